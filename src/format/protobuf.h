/* Protocol buffer messages, written field by field into a grd_bytes: just what event files need. */
#ifndef GRD_FORMAT_PROTOBUF_H
#define GRD_FORMAT_PROTOBUF_H

#include "format/bytes.h"

void grd_proto_int(grd_bytes *message, int field, int64_t value);     /* int32, int64, bool, enum */
void grd_proto_double(grd_bytes *message, int field, double value);
void grd_proto_float(grd_bytes *message, int field, float value);
void grd_proto_doubles(grd_bytes *message, int field, const double *value, int n); /* packed */
void grd_proto_bytes(grd_bytes *message, int field, const void *data, size_t size);
void grd_proto_text(grd_bytes *message, int field, const char *text);
/* Adds `part` as a field and frees it; a part that failed fails the message. */
void grd_proto_message(grd_bytes *message, int field, grd_bytes *part);

#endif
