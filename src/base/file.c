#define _GNU_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static grd_status io_error(grd_host *host, const char *path, const char *what)
{
    return grd_fail(host, GRD_ERR_IO, "%s: %s: %s", path, what, strerror(errno));
}

grd_status grd_file_read(grd_host *host, const char *path, size_t max_bytes, void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return io_error(host, path, "cannot open");
    struct stat info;
    if (fstat(fileno(file), &info) != 0 || S_ISDIR(info.st_mode)) {
        fclose(file);
        return grd_fail(host, GRD_ERR_IO, "%s: not a file", path);
    }
    size_t n = (size_t)info.st_size;
    if (max_bytes && n > max_bytes) {
        fclose(file);
        return grd_fail(host, GRD_ERR_FORMAT, "%s: %zu bytes, expected at most %zu", path, n, max_bytes);
    }
    char *memory = grd_alloc(host, n + 1);
    if (!memory) {
        fclose(file);
        return grd_fail_in(host, "%s: ", path);
    }
    size_t got = fread(memory, 1, n, file);
    if (ferror(file) || got != n) {
        fclose(file);
        grd_free(host, memory);
        return grd_fail(host, GRD_ERR_IO, "%s: read %zu of %zu bytes", path, got, n);
    }
    fclose(file);
    *bytes = memory;
    *size = n;
    return GRD_OK;
}

grd_status grd_atomic_open(grd_host *host, grd_atomic *atomic, const char *path)
{
    atomic->file = NULL;
    if (snprintf(atomic->path, sizeof atomic->path, "%s", path) >= (int)sizeof atomic->path)
        return grd_fail(host, GRD_ERR_IO, "%s: the path is too long", path);
    snprintf(atomic->temporary, sizeof atomic->temporary, "%s.tmp%ld-%zx", path, (long)getpid(), (size_t)(uintptr_t)atomic);
    atomic->file = fopen(atomic->temporary, "wb");
    return atomic->file ? GRD_OK : io_error(host, atomic->temporary, "cannot create");
}

void grd_atomic_abort(grd_atomic *atomic)
{
    if (!atomic->file)
        return;
    fclose(atomic->file);
    atomic->file = NULL;
    unlink(atomic->temporary);
}

static void sync_folder(const char *path)
{
    char dir[1024];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = 0;
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return; /* the rename itself has succeeded; some file systems have no folders to sync */
    (void)fsync(fd);
    close(fd);
}

grd_status grd_file_rename(grd_host *host, const char *from, const char *to)
{
    if (rename(from, to) != 0)
        return io_error(host, to, "cannot write");
    sync_folder(to);
    return GRD_OK;
}

grd_status grd_atomic_commit(grd_host *host, grd_atomic *atomic)
{
    bool written = fflush(atomic->file) == 0 && fsync(fileno(atomic->file)) == 0 && !ferror(atomic->file);
    if (!written) {
        io_error(host, atomic->path, "cannot write");
        grd_atomic_abort(atomic);
        return GRD_ERR_IO;
    }
    bool closed = fclose(atomic->file) == 0;
    atomic->file = NULL;
    grd_status status = closed ? GRD_OK : io_error(host, atomic->path, "cannot write");
    if (status == GRD_OK)
        status = grd_file_rename(host, atomic->temporary, atomic->path);
    if (status != GRD_OK)
        unlink(atomic->temporary);
    return status;
}

grd_status grd_file_write(grd_host *host, const char *path, const void *bytes, size_t size)
{
    grd_atomic atomic;
    GRD_TRY(grd_atomic_open(host, &atomic, path));
    if (fwrite(bytes, 1, size, atomic.file) != size) {
        io_error(host, path, "cannot write");
        grd_atomic_abort(&atomic);
        return GRD_ERR_IO;
    }
    return grd_atomic_commit(host, &atomic);
}

grd_status grd_make_dirs(grd_host *host, const char *path)
{
    char part[1024];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return grd_fail(host, GRD_ERR_IO, "%s: the path is too long", path);
    for (char *c = part + 1;; c++) {
        if (*c != '/' && *c != 0)
            continue;
        char end = *c;
        *c = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return io_error(host, part, "cannot make the folder");
        *c = end;
        if (!end)
            break;
    }
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
        return grd_fail(host, GRD_ERR_IO, "%s: not a folder", path);
    return GRD_OK;
}

bool grd_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

grd_status grd_path_join(grd_host *host, char *out, size_t size, const char *dir, const char *name)
{
    int n = name[0] == '/' || !dir || !*dir ? snprintf(out, size, "%s", name)
                                            : snprintf(out, size, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name);
    return n >= 0 && (size_t)n < size ? GRD_OK : grd_fail(host, GRD_ERR_ARG, "%s/%s: the path is too long", dir ? dir : "", name);
}
