#include "helper_tar.h"

#include <stdio.h>
#include <string.h>

void tar_put(grd_bytes *b, const char *name, char type, const void *data, size_t size)
{
    char header[512] = "";
    unsigned sum = 0;
    size_t n = strlen(name);
    memcpy(header, name, n < 100 ? n : 100);
    memcpy(header + 100, "0000644", 8);
    snprintf(header + 124, 12, "%011o", (unsigned)size);
    memset(header + 148, ' ', 8);
    header[156] = type;
    memcpy(header + 257, "ustar\00000", 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    grd_bytes_put(b, header, 512);
    grd_bytes_put(b, data, size);
    grd_bytes_zeros(b, (512 - size % 512) % 512);
}

void tar_end(grd_bytes *b)
{
    grd_bytes_zeros(b, 1024);
}
