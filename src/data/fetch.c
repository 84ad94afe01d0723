/* Getting a set's files: from mirrors or from a folder, under a temporary name until they are known to be right. */
#define _GNU_SOURCE
#include "data/fetch.h"

#include "base/clock.h"
#include "base/ctx.h"
#include "base/file.h"
#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY = 1 << 16, MOST_BREAKS = 20 /* of the connection to one mirror */ };

typedef struct job {
    grd_host *host;
    const grd_remote *set;
    const grd_fetch_opts *opts;
    const char *dir;
    int64_t timeout;
    grd_part part;
    char path[1024];                /* final */
    char hash[GRD_SHA256_HEX + 1];  /* found */
} job;

/* ---- the part ---- */

static void show(grd_part *part)
{
    char tail[96], time[2][24];
    const double now = grd_clock(), elapsed = now - part->begun, wait = part->bar.bar ? 0.1 : 10;
    if (now - part->drawn < wait)
        return;
    part->drawn = now;
    double rate = elapsed > 0 ? (double)part->received / elapsed : 0;
    double left = rate > 0 && part->total ? (double)(part->total - part->have) / rate : -1;
    int n = snprintf(tail, sizeof tail, "%.1f", (double)part->have / 1e6);
    if (part->total)
        n += snprintf(tail + n, sizeof tail - (size_t)n, "/%.1f", (double)part->total / 1e6);
    snprintf(tail + n, sizeof tail - (size_t)n, " MB [%s<%s, %.2f MB/s]", grd_clock_text(elapsed, time[0]),
             grd_clock_text(left, time[1]), rate / 1e6);
    grd_bar_draw(&part->bar, part->file->name, part->total ? (double)part->have / (double)part->total : 0, tail);
}

static bool cannot_write(grd_part *part)
{
    part->failed = true;
    grd_fail(part->host, GRD_ERR_IO, "%s: cannot write: %s", part->path, strerror(errno));
    return false;
}

bool grd_part_add(grd_part *part, const void *bytes, size_t n)
{
    const char *at = bytes;
    part->received += (int64_t)n;
    if (part->total && (int64_t)n > part->total - part->have) {
        grd_fail(part->host, GRD_ERR_IO, "more than %lld bytes", (long long)part->total);
        return false;
    }
    while (n > 0) {
        ssize_t written = pwrite(part->fd, at, n, part->have);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return cannot_write(part);
        at += written;
        n -= (size_t)written;
        part->have += written;
    }
    show(part);
    return true;
}

bool grd_part_empty(grd_part *part)
{
    if (part->have > 0 && ftruncate(part->fd, 0) != 0)
        return cannot_write(part);
    part->have = 0;
    return true;
}

static grd_status open_part(job *j)
{
    grd_part *part = &j->part;
    struct stat opened, named;
    if (snprintf(part->path, sizeof part->path, "%s.part", j->path) >= (int)sizeof part->path)
        return grd_fail(j->host, GRD_ERR_ARG, "%s: the path is too long", j->path);
    part->fd = open(part->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (part->fd < 0)
        return grd_fail(j->host, GRD_ERR_IO, "%s: cannot create: %s", part->path, strerror(errno));
    /* Another that had the lock may have given the file its final name since it was opened here. */
    if ((flock(part->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) || fstat(part->fd, &opened) != 0 ||
        stat(part->path, &named) != 0 || opened.st_ino != named.st_ino || opened.st_dev != named.st_dev) {
        close(part->fd);
        return grd_fail(j->host, GRD_ERR_IO, "%s: another process is fetching it", part->path);
    }
    part->have = S_ISREG(opened.st_mode) ? opened.st_size : 0;
    part->total = part->file->size;
    bool usable = part->file->sha256 && (!part->total || part->have <= part->total);
    if (!usable && !grd_part_empty(part)) {
        close(part->fd);
        return GRD_ERR_IO;
    }
    return GRD_OK;
}

/* ---- is it right? ---- */

/* Size and hash of an open file; without `sha256` its hash is only found. */
static grd_status verify(job *j, int fd, const char *where)
{
    const grd_remote_file *file = j->part.file;
    struct stat info;
    if (fstat(fd, &info) != 0)
        return grd_fail(j->host, GRD_ERR_IO, "%s: %s", where, strerror(errno));
    if (file->size && info.st_size != file->size)
        return grd_fail(j->host, GRD_ERR_DATA, "%s: %lld bytes, expected %lld", where, (long long)info.st_size,
                        (long long)file->size);
    GRD_TRY(grd_sha256_fd(j->host, fd, where, j->hash));
    if (file->sha256 && strcasecmp(j->hash, file->sha256) != 0)
        return grd_fail(j->host, GRD_ERR_DATA, "%s: SHA-256 %s, expected %s", where, j->hash, file->sha256);
    return GRD_OK;
}

static bool stopped(const job *j)
{
    return j->opts->stop && *j->opts->stop;
}

/* ---- from where ---- */

static grd_status copy_from(job *j)
{
    grd_part *part = &j->part;
    char path[1024];
    GRD_TRY(grd_path_join(j->host, path, sizeof path, j->opts->from, part->file->name));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return grd_fail(j->host, GRD_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    grd_status status = verify(j, fd, path);
    char *bytes = status == GRD_OK ? grd_alloc_raw(j->host, COPY) : NULL;
    ssize_t n = 0;
    bool good = bytes && grd_part_empty(part);
    while (good && !stopped(j) && (n = pread(fd, bytes, COPY, part->have)) > 0)
        good = grd_part_add(part, bytes, (size_t)n);
    if (good && n < 0)
        grd_fail(j->host, GRD_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    if (good && stopped(j))
        grd_fail(j->host, GRD_ERR_STOPPED, "%s: stopped", path);
    good = good && n == 0 && !stopped(j);
    grd_free(j->host, bytes);
    close(fd);
    return good ? verify(j, part->fd, part->path) : j->host->err.status;
}

/* One mirror: as long as every connection gets further than the one before, it is asked for the rest. Bytes that an earlier
 * attempt left may be at fault when the hash is wrong: then once more without them. */
static grd_status from_mirror(job *j, const char *url)
{
    grd_part *part = &j->part;
    bool old_bytes = part->have > 0;
    int64_t furthest = part->have;
    for (int breaks = 0;;) {
        if (!part->file->sha256 && !grd_part_empty(part))
            return GRD_ERR_IO;
        grd_got got = part->total && part->have == part->total ? GRD_GOT_ALL : grd_http_get(part, url, j->timeout, j->opts->stop);
        if ((got == GRD_GOT_AGAIN || (got == GRD_GOT_SOME && part->have > furthest)) && ++breaks <= MOST_BREAKS) {
            furthest = part->have;
            old_bytes = old_bytes && got != GRD_GOT_AGAIN;
            continue;
        }
        if (got != GRD_GOT_ALL)
            return part->failed ? j->host->err.status : grd_fail_in(j->host, "%s: ", url);
        grd_status status = verify(j, part->fd, url);
        if (status != GRD_ERR_DATA)
            return status;
        if (!grd_part_empty(part))
            return GRD_ERR_IO;
        if (!old_bytes)
            return status;
        old_bytes = false;
        furthest = 0;
        part->total = part->file->size;
    }
}

static grd_status from_mirrors(job *j)
{
    char reasons[2 * sizeof j->host->err.text] = "";
    char url[1024];
    grd_part *part = &j->part;
    grd_status status = GRD_ERR_ARG;
    for (int m = 0; m < GRD_REMOTE_MIRRORS && j->set->mirror[m]; m++) {
        const char *end = part->file->path ? part->file->path : part->file->name;
        if (snprintf(url, sizeof url, "%s%s", j->set->mirror[m], end) >= (int)sizeof url)
            return grd_fail(j->host, GRD_ERR_ARG, "%s: the address is too long", j->set->mirror[m]);
        part->total = part->file->size;
        status = from_mirror(j, url);
        if (status == GRD_OK || status == GRD_ERR_STOPPED || status == GRD_ERR_MEMORY || part->failed)
            return status;
        size_t n = strlen(reasons);
        snprintf(reasons + n, sizeof reasons - n, "%s%s", n ? "; " : "", j->host->err.text);
    }
    return grd_fail(j->host, status, "%s", *reasons ? reasons : "no address is known");
}

/* ---- one file ---- */

/* The part gets its name, for good. */
static grd_status keep(job *j)
{
    if (fsync(j->part.fd) != 0) {
        cannot_write(&j->part);
        return GRD_ERR_IO;
    }
    return grd_file_rename(j->host, j->part.path, j->path);
}

static grd_status get(job *j)
{
    grd_part *part = &j->part;
    GRD_TRY(open_part(j));
    part->begun = part->drawn = grd_clock();
    grd_status status = j->opts->from ? copy_from(j) : from_mirrors(j);
    grd_bar_leave(&part->bar);
    if (status == GRD_OK)
        status = keep(j);
    if (status != GRD_OK && (part->have == 0 || !part->file->sha256)) /* nothing to go on with */
        unlink(part->path);
    close(part->fd);
    return status;
}

/* A file of that name is never written over: it may be somebody's. */
static grd_status check_there(job *j, bool *there)
{
    int fd = open(j->path, O_RDONLY | O_CLOEXEC);
    *there = fd >= 0;
    if (fd < 0)
        return errno == ENOENT ? GRD_OK : grd_fail(j->host, GRD_ERR_IO, "%s: cannot open: %s", j->path, strerror(errno));
    grd_status status = verify(j, fd, j->path);
    struct stat info;
    if (fstat(fd, &info) == 0)
        j->part.have = info.st_size;
    close(fd);
    if (status == GRD_ERR_DATA)
        return grd_fail_in(j->host, "there already, but not the right one (remove it to fetch it): ");
    return status;
}

static grd_status fetch_file(job *j, const grd_remote_file *file)
{
    bool there;
    j->part = (grd_part){ .host = j->host, .file = file, .fd = -1 };
    j->part.bar = grd_bar_make(j->opts->progress_file, j->opts->progress, j->opts->progress_ascii);
    GRD_TRY(grd_path_join(j->host, j->path, sizeof j->path, j->dir, file->name));
    GRD_TRY(check_there(j, &there));
    if (!there)
        GRD_TRY(get(j));
    if (j->opts->done)
        j->opts->done(j->opts->user, &(grd_fetched){ .name = file->name,
                                                     .path = j->path,
                                                     .bytes = j->part.have,
                                                     .received = j->part.received,
                                                     .sha256 = j->hash,
                                                     .verified = file->sha256 != NULL });
    return GRD_OK;
}

/* ---- a set ---- */

static bool is_hash(const char *text)
{
    return strlen(text) == GRD_SHA256_HEX && strspn(text, "0123456789abcdefABCDEF") == GRD_SHA256_HEX;
}

static grd_status check_set(grd_host *host, const grd_remote *set)
{
    for (int i = 0; i < GRD_REMOTE_FILES && set->file[i].name; i++) {
        const grd_remote_file *file = &set->file[i];
        if (!*file->name || *file->name == '.' || strchr(file->name, '/'))
            return grd_fail(host, GRD_ERR_ARG, "file \"%s\": expected a name without a folder and without a dot in front",
                            file->name);
        if (file->size < 0)
            return grd_fail(host, GRD_ERR_ARG, "%s: size %lld, expected 0 or more", file->name, (long long)file->size);
        if (file->sha256 && !is_hash(file->sha256))
            return grd_fail(host, GRD_ERR_ARG, "%s: SHA-256 \"%s\", expected 64 hexadecimal digits", file->name, file->sha256);
    }
    return GRD_OK;
}

grd_status grd_fetch(grd_ctx *ctx, const grd_remote *set, const grd_fetch_opts *opts)
{
    static const grd_fetch_opts none;
    opts = opts ? opts : &none;
    job j = { .host = &ctx->host, .set = set, .opts = opts, .dir = opts->dir && *opts->dir ? opts->dir : ".",
              .timeout = opts->timeout > 0 ? opts->timeout : 30 };
    const char *name = set->name ? set->name : "fetch";
    if (opts->timeout < 0 || opts->timeout > 86400)
        return grd_fail(&ctx->host, GRD_ERR_ARG, "%s: timeout: %lld s, expected 0 to 86400", name, (long long)opts->timeout);
    grd_status status = check_set(&ctx->host, set);
    if (status == GRD_OK)
        status = grd_make_dirs(&ctx->host, j.dir);
    for (int i = 0; status == GRD_OK && i < GRD_REMOTE_FILES && set->file[i].name; i++)
        status = fetch_file(&j, &set->file[i]);
    return status == GRD_OK ? GRD_OK : grd_fail_in(&ctx->host, "%s: ", name);
}
