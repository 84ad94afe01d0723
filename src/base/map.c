#define _POSIX_C_SOURCE 200809L
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static grd_status map_all(grd_host *host, int fd, const char *path, grd_map *map)
{
    struct stat info;
    if (fstat(fd, &info) != 0)
        return grd_fail(host, GRD_ERR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return grd_fail(host, GRD_ERR_IO, "%s: not a file", path);
    if (info.st_size == 0)
        return GRD_OK;
    if ((uintmax_t)info.st_size > SIZE_MAX)
        return grd_fail(host, GRD_ERR_IO, "%s: larger than this machine's memory can show", path);
    void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED)
        return grd_fail(host, GRD_ERR_IO, "%s: cannot map: %s", path, strerror(errno));
    *map = (grd_map){ bytes, (size_t)info.st_size };
    return GRD_OK;
}

grd_status grd_map_open(grd_host *host, const char *path, grd_map *map)
{
    *map = (grd_map){ 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return grd_fail(host, GRD_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    grd_status status = map_all(host, fd, path, map);
    close(fd);
    return status;
}

void grd_map_close(grd_map *map)
{
    if (map->bytes)
        munmap((void *)map->bytes, map->size);
    *map = (grd_map){ 0 };
}
