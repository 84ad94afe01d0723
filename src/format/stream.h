/* Bytes read in turn from a file or from memory; what is compressed by gzip or xz is unpacked on the way, by its first bytes and
 * not by its name. Memory stays bounded, whatever the input says. */
#ifndef GRD_FORMAT_STREAM_H
#define GRD_FORMAT_STREAM_H

#include "base/host.h"

typedef struct grd_stream grd_stream;

/* On failure *stream is NULL. */
grd_status grd_stream_open(grd_host *host, const char *path, grd_stream **stream);
/* `name` begins the messages and is copied; the bytes must outlive the stream. */
grd_status grd_stream_memory(grd_host *host, const char *name, const void *bytes, size_t size, grd_stream **stream);
void grd_stream_close(grd_stream *stream); /* NULL is allowed */

/* Up to `want` bytes; *got is less only where the data end. The end of compressed data counts only with its checksum: a file that
 * was cut off is an error. */
grd_status grd_stream_read(grd_stream *stream, void *out, size_t want, size_t *got);
/* Passes over `size` bytes; *passed is less only where the data end. */
grd_status grd_stream_skip(grd_stream *stream, uint64_t size, uint64_t *passed);
const char *grd_stream_name(const grd_stream *stream);

/* All the rest, with one zero byte more that is not counted; grd_free. max_bytes 0 = no limit; more is an error. */
grd_status grd_stream_all(grd_stream *stream, size_t max_bytes, void **bytes, size_t *size);

#endif
