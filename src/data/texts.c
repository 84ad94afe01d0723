/* Options that are texts: paths that hold the name of a part, and lists of names. */
#include "data/texts.h"

#include "data/listing.h"
#include "format/stream.h"

#include <string.h>

grd_status grd_text_part(grd_arena *arena, const char *key, const char *path, int part, const char **out)
{
    static const char *const name[] = { "train", "val", "test" };
    if (part != GRD_PART_TRAIN && !strstr(path, "{part}"))
        return grd_fail(arena->host, GRD_ERR_ARG, "%s: \"%.200s\" does not hold {part}: there is no part %s", key, path,
                        name[part]);
    *out = grd_fill_path(arena, path, part, "{}"); /* braces without a word stay */
    return *out ? GRD_OK : GRD_ERR_MEMORY;
}

grd_status grd_text_names(grd_arena *arena, const char *key, const char *list, const char ***names, int *n)
{
    size_t most = 1;
    *n = 0;
    for (const char *c = list ? list : ""; *c; c++)
        most += *c == ',';
    if (most > GRD_MAX_NAMES)
        return grd_fail(arena->host, GRD_ERR_ARG, "%s: %zu names, expected at most %d", key, most, GRD_MAX_NAMES);
    *names = grd_arena_alloc(arena, sizeof **names * (most + 1));
    char *text = grd_arena_strdup(arena, list ? list : "");
    if (!*names || !text)
        return GRD_ERR_MEMORY;
    for (char *c = text; *text && c;) {
        char *end = strchr(c, ','), *next = end ? end + 1 : NULL;
        end = end ? end : c + strlen(c);
        for (c += strspn(c, " \t"); end > c && (end[-1] == ' ' || end[-1] == '\t');)
            end--;
        *end = 0;
        if (!*c)
            return grd_fail(arena->host, GRD_ERR_ARG,
                            "%s: \"%.200s\": expected names with commas between, found none at place %d", key, list, *n + 1);
        (*names)[(*n)++] = c;
        c = next;
    }
    return GRD_OK;
}

grd_status grd_text_open(grd_host *host, const char *path, grd_text_file *file)
{
    grd_stream *stream;
    void *bytes;
    *file = (grd_text_file){ .path = path };
    GRD_TRY(grd_stream_open(host, path, &stream));
    grd_status status = grd_stream_all(stream, 0, &bytes, &file->size);
    grd_stream_close(stream);
    if (status != GRD_OK)
        return status;
    file->at = file->bytes = bytes;
    return GRD_OK;
}

bool grd_text_line(grd_text_file *f, const char **line, size_t *size)
{
    const size_t left = f->size - (size_t)(f->at - f->bytes);
    if (!left)
        return false;
    const char *end = memchr(f->at, '\n', left);
    *line = f->at;
    *size = end ? (size_t)(end - f->at) : left;
    f->at += *size + (end != NULL);
    *size -= *size && (*line)[*size - 1] == '\r';
    f->line++;
    return true;
}
