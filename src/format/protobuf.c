/* Writing protocol buffers: a field is its number and wire type as a varint, then its value. */
#include "format/protobuf.h"

#include <string.h>

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

static void put_varint(grd_bytes *message, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        grd_bytes_number(message, (value & 127) | 128, 1);
    grd_bytes_number(message, value, 1);
}

static void put_key(grd_bytes *message, int field, int wire_type)
{
    put_varint(message, (uint64_t)field << 3 | (uint64_t)wire_type);
}

static void put_double(grd_bytes *message, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    grd_bytes_number(message, bits, 8);
}

void grd_proto_int(grd_bytes *message, int field, int64_t value)
{
    put_key(message, field, VARINT);
    put_varint(message, (uint64_t)value);
}

void grd_proto_double(grd_bytes *message, int field, double value)
{
    put_key(message, field, FIXED64);
    put_double(message, value);
}

void grd_proto_float(grd_bytes *message, int field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(message, field, FIXED32);
    grd_bytes_number(message, bits, 4);
}

void grd_proto_doubles(grd_bytes *message, int field, const double *value, int n)
{
    put_key(message, field, LENGTH);
    put_varint(message, (uint64_t)n * 8);
    for (int i = 0; i < n; i++)
        put_double(message, value[i]);
}

void grd_proto_bytes(grd_bytes *message, int field, const void *data, size_t size)
{
    put_key(message, field, LENGTH);
    put_varint(message, size);
    grd_bytes_put(message, data, size);
}

void grd_proto_text(grd_bytes *message, int field, const char *text)
{
    grd_proto_bytes(message, field, text, strlen(text));
}

void grd_proto_message(grd_bytes *message, int field, grd_bytes *part)
{
    message->failed = message->failed || part->failed;
    grd_proto_bytes(message, field, part->data, part->size);
    grd_bytes_free(part);
}
