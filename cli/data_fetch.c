#define _GNU_SOURCE
#include "cli.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_ROOM = 1024 };

/* ---- the list ---- */

static int64_t bytes_of(const grd_remote *set)
{
    int64_t n = 0;
    for (int i = 0; i < GRD_REMOTE_FILES && set->file[i].name; i++) {
        if (!set->file[i].size)
            return 0;
        n += set->file[i].size;
    }
    return n;
}

static bool has_hashes(const grd_remote *set)
{
    for (int i = 0; i < GRD_REMOTE_FILES && set->file[i].name; i++)
        if (!set->file[i].sha256)
            return false;
    return true;
}

static json_t *set_json(const grd_remote *set)
{
    json_t *files = json_array(), *mirrors = json_array();
    for (int i = 0; i < GRD_REMOTE_FILES && set->file[i].name; i++) {
        const grd_remote_file *f = &set->file[i];
        json_array_append_new(files, json_pack("{s:s, s:o, s:s?}", "name", f->name, "bytes",
                                               f->size ? json_integer(f->size) : json_null(), "sha256", f->sha256));
    }
    for (int i = 0; i < GRD_REMOTE_MIRRORS && set->mirror[i]; i++)
        json_array_append_new(mirrors, json_string(set->mirror[i]));
    return json_pack("{s:s, s:s, s:o, s:o}", "name", set->name, "doc", set->doc, "mirrors", mirrors, "files", files);
}

static int list(const cli_args *args)
{
    json_t *all = json_array();
    const grd_remote *set;
    for (int i = 0; (set = grd_remote_at(i)); i++) {
        char size[32] = "size unknown";
        if (args->json) {
            json_array_append_new(all, set_json(set));
            continue;
        }
        if (bytes_of(set))
            snprintf(size, sizeof size, "%.1f MB", (double)bytes_of(set) / 1e6);
        printf("%-16s %12s  %s%s\n", set->name, size, set->doc, has_hashes(set) ? "" : " (no hash is known)");
    }
    if (args->json)
        cli_print_json(json_pack("{s:o}", "sets", all));
    else
        json_decref(all);
    return EXIT_DONE;
}

/* ---- what is to be had ---- */

/* An address as a set of one file, whose name is what stands behind the last slash, without a question. */
static bool from_url(const cli_args *args, grd_remote *set, char mirror[PATH_ROOM], char name[PATH_ROOM])
{
    const char *url = args->word[0], *host = strstr(url, "://") + 3;
    size_t head = strcspn(host, "?#") + (size_t)(host - url);
    while (head > 0 && url[head - 1] != '/')
        head--;
    size_t length = strcspn(url + head, "?#");
    if (head <= (size_t)(host - url) || !length || snprintf(mirror, PATH_ROOM, "%.*s", (int)head, url) >= PATH_ROOM ||
        snprintf(name, PATH_ROOM, "%.*s", (int)length, url + head) >= PATH_ROOM)
        return false;
    *set = (grd_remote){ .mirror = { mirror }, .file = { { .name = name, .path = url + head, .sha256 = args->sha256 } } };
    return true;
}

/* Where the recipes look for it: $GRADUS_DATA/NAME; without that variable data/NAME. An address: here. */
static const char *folder_of(const cli_args *args, const grd_remote *set, char path[PATH_ROOM])
{
    const char *base = getenv("GRADUS_DATA");
    if (args->dir || !set->name)
        return args->dir ? args->dir : ".";
    int n = snprintf(path, PATH_ROOM, "%s/%s", base && *base ? base : "data", set->name);
    return n < PATH_ROOM ? path : set->name;
}

/* ---- getting it ---- */

static void on_file(void *user, const grd_fetched *f)
{
    json_t *files = user;
    if (files)
        json_array_append_new(files, json_pack("{s:s, s:s, s:I, s:I, s:s, s:b}", "name", f->name, "path", f->path, "bytes",
                                               (json_int_t)f->bytes, "received", (json_int_t)f->received, "sha256", f->sha256,
                                               "verified", f->verified));
    else
        printf("%s: %lld bytes, %s%s%s\n", f->path, (long long)f->bytes, f->received ? "fetched" : "was there",
               f->verified ? ", verified" : ", no hash is known to compare with: SHA-256 ", f->verified ? "" : f->sha256);
}

static int fetch(const cli_args *args, const grd_remote *set)
{
    char dir[PATH_ROOM];
    json_t *files = args->json ? json_array() : NULL;
    grd_ctx *ctx = grd_open(NULL);
    grd_fetch_opts opts = { .dir = folder_of(args, set, dir),
                            .from = args->from,
                            .progress_file = args->quiet ? NULL : stderr,
                            .progress_ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0,
                            .done = on_file,
                            .user = files,
                            .stop = cli_stop };
    if (!ctx || grd_fetch(ctx, set, &opts) != GRD_OK) {
        json_decref(files);
        return cli_fail(ctx);
    }
    if (files)
        cli_print_json(json_pack("{s:s, s:o}", "dir", opts.dir, "files", files));
    grd_close(ctx);
    return EXIT_DONE;
}

static int run(const cli_args *args)
{
    char mirror[PATH_ROOM], name[PATH_ROOM], text[300];
    grd_remote url;
    if (args->n_words + args->n_overrides == 0)
        return list(args);
    if (args->n_words + args->n_overrides != 1)
        return cli_usage(&verb_data_fetch, "expected one name or address");
    cli_args one = *args;
    if (!one.n_words) /* an address with "=" in it */
        one.word[0] = one.override[0];
    if (strstr(one.word[0], "://"))
        return from_url(&one, &url, mirror, name)
                   ? fetch(&one, &url)
                   : cli_usage(&verb_data_fetch, "expected an address that ends with a file's name");
    if (args->sha256)
        return cli_usage(&verb_data_fetch, "--sha256 belongs to an address: the hashes of known sets are known");
    const grd_remote *set = grd_remote_find(one.word[0]);
    if (set)
        return fetch(&one, set);
    snprintf(text, sizeof text, "no data set \"%.100s\" is known; `gradus data fetch` lists those that are", one.word[0]);
    return cli_usage(&verb_data_fetch, text);
}

const cli_verb verb_data_fetch = {
    "data fetch", "[NAME | URL [--sha256 HEX]] [--dir DIR] [--from DIR] [--quiet] [--json]",
    "gets a known data set from its publisher",
    "Without a name: lists the known sets. Files go to --dir, else to $GRADUS_DATA/NAME, else to data/NAME (of an address:\n"
    "here). A file comes as FILE.part and gets its name when its size and SHA-256 are right. What Ctrl-C, a crash or a lost\n"
    "connection left is continued the next time; mirrors are tried in order; a file that is there already is only checked.\n"
    "--from DIR takes the files from a folder instead of the network. Where nobody vouches for a hash, the one found is\n"
    "printed.\n"
    "--json: {\"dir\", \"files\": [{\"name\", \"path\", \"bytes\", \"received\", \"sha256\", \"verified\"}]}; of the list\n"
    "{\"sets\": [{\"name\", \"doc\", \"mirrors\", \"files\"}]}.\n",
    run, false
};
