/* A growing byte buffer. */
#include "format/bytes.h"

#include <stdio.h>
#include <string.h>

void grd_bytes_init(grd_bytes *bytes, grd_host *host)
{
    *bytes = (grd_bytes){ .host = host };
}

void grd_bytes_free(grd_bytes *bytes)
{
    grd_free(bytes->host, bytes->data);
    bytes->data = NULL;
    bytes->size = bytes->cap = 0;
}

grd_status grd_bytes_status(const grd_bytes *bytes)
{
    return bytes->failed ? GRD_ERR_MEMORY : GRD_OK;
}

static uint8_t *make_room(grd_bytes *bytes, size_t size)
{
    if (bytes->failed)
        return NULL;
    if (size > bytes->cap - bytes->size) {
        size_t cap = bytes->cap * 2 > bytes->size + size ? bytes->cap * 2 : bytes->size + size + 256;
        uint8_t *data = grd_grow(bytes->host, bytes->data, bytes->size, cap);
        if (!data) {
            bytes->failed = true;
            return NULL;
        }
        bytes->data = data;
        bytes->cap = cap;
    }
    uint8_t *place = bytes->data + bytes->size;
    bytes->size += size;
    return place;
}

void grd_bytes_put(grd_bytes *bytes, const void *data, size_t size)
{
    uint8_t *place = size ? make_room(bytes, size) : NULL;
    if (place)
        memcpy(place, data, size);
}

void grd_bytes_text(grd_bytes *bytes, const char *text)
{
    grd_bytes_put(bytes, text, strlen(text));
}

void grd_bytes_print(grd_bytes *bytes, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *place = n > 0 ? (char *)make_room(bytes, (size_t)n + 1) : NULL;
    if (place) {
        vsnprintf(place, (size_t)n + 1, format, again);
        bytes->size--; /* the zero at the end is none of the bytes */
    }
    va_end(again);
}

void grd_bytes_zeros(grd_bytes *bytes, size_t size)
{
    uint8_t *place = size ? make_room(bytes, size) : NULL;
    if (place)
        memset(place, 0, size);
}

void grd_bytes_number(grd_bytes *bytes, uint64_t number, int size)
{
    uint8_t little[8];
    for (int i = 0; i < size; i++)
        little[i] = (uint8_t)(number >> (8 * i));
    grd_bytes_put(bytes, little, (size_t)size);
}

const char *grd_printable(const void *bytes, size_t size, char text[GRD_PRINTABLE])
{
    const unsigned char *from = bytes;
    size_t n = size < GRD_PRINTABLE - 1 ? size : GRD_PRINTABLE - 1;
    for (size_t i = 0; i < n; i++)
        text[i] = from[i] >= 32 && from[i] < 127 ? (char)from[i] : '?';
    text[n] = 0;
    if (n < size)
        memcpy(text + n - 3, "...", 3);
    return text;
}

size_t grd_utf8_length(const char *text, size_t left)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
    bool outside = (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF4 && s[1] > 0x8F);
    return overlong || outside ? 0 : n;
}
