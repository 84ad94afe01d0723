#define _GNU_SOURCE
#include "format/tfevents.h"

#include "format/bytes.h"
#include "format/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { GATHER = 64 * 1024, MAX_NAMES = 10000 };

struct grd_events {
    grd_host *host;
    int fd;
    char path[1280];
    int64_t length;      /* whole records in the file */
    grd_bytes pending;
};

/* ---- protobuf: field numbers and wire types by hand ---- */

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static void varint(grd_bytes *b, uint64_t v)
{
    for (; v >= 128; v >>= 7)
        grd_bytes_number(b, (v & 127) | 128, 1);
    grd_bytes_number(b, v, 1);
}

static void tag(grd_bytes *b, int field, int wire) { varint(b, (uint64_t)field << 3 | (uint64_t)wire); }

static void put_double(grd_bytes *b, int field, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    tag(b, field, FIXED64);
    grd_bytes_number(b, bits, 8);
}

static void put_float(grd_bytes *b, int field, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    tag(b, field, FIXED32);
    grd_bytes_number(b, bits, 4);
}

static void put_int(grd_bytes *b, int field, int64_t v)
{
    tag(b, field, VARINT);
    varint(b, (uint64_t)v);
}

static void put_bytes(grd_bytes *b, int field, const void *data, size_t size)
{
    tag(b, field, BYTES);
    varint(b, size);
    grd_bytes_put(b, data, size);
}

static void put_text(grd_bytes *b, int field, const char *text) { put_bytes(b, field, text, strlen(text)); }
static void put_message(grd_bytes *b, int field, const grd_bytes *message) { put_bytes(b, field, message->data, message->size); }

/* ---- records ---- */

static uint32_t masked(const void *data, size_t size)
{
    uint32_t c = grd_crc32c(data, size);
    return (c >> 15 | c << 17) + 0xA282EAD8u;
}

static grd_status add_record(grd_events *e, const grd_bytes *payload)
{
    uint8_t head[8];
    for (int i = 0; i < 8; i++)
        head[i] = (uint8_t)((uint64_t)payload->size >> (8 * i));
    grd_bytes_put(&e->pending, head, 8);
    grd_bytes_number(&e->pending, masked(head, 8), 4);
    grd_bytes_put(&e->pending, payload->data, payload->size);
    grd_bytes_number(&e->pending, masked(payload->data, payload->size), 4);
    if (e->pending.failed || payload->failed)
        return grd_fail(e->host, GRD_ERR_MEMORY, "%s: out of memory", e->path);
    return e->pending.size >= GATHER ? grd_events_flush(e) : GRD_OK;
}

grd_status grd_events_flush(grd_events *e)
{
    size_t done = 0;
    while (done < e->pending.size) {
        ssize_t n = write(e->fd, e->pending.data + done, e->pending.size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int why = n < 0 ? errno : ENOSPC;
            if (ftruncate(e->fd, e->length) != 0) /* a half record would end the file for its readers */
                why = errno;
            lseek(e->fd, e->length, SEEK_SET);
            e->pending.size = 0;
            return grd_fail(e->host, GRD_ERR_IO, "%s: cannot write: %s", e->path, strerror(why));
        }
        done += (size_t)n;
    }
    e->length += (int64_t)done;
    e->pending.size = 0;
    return GRD_OK;
}

/* An event with one more field, which is a message (or text). */
static grd_status add_event(grd_events *e, double time, int64_t step, int field, const grd_bytes *content)
{
    grd_bytes event;
    grd_bytes_init(&event, e->host);
    put_double(&event, 1, time);
    if (step)
        put_int(&event, 2, step);
    put_message(&event, field, content);
    grd_status status = content->failed ? grd_fail(e->host, GRD_ERR_MEMORY, "%s: out of memory", e->path) : add_record(e, &event);
    grd_bytes_free(&event);
    return status;
}

/* value: the Summary.Value without its tag; field 5 of the event is a summary with it. */
static grd_status add_value(grd_events *e, double time, int64_t step, const char *name, const grd_bytes *rest)
{
    grd_bytes value, summary;
    grd_bytes_init(&value, e->host);
    grd_bytes_init(&summary, e->host);
    put_text(&value, 1, name);
    grd_bytes_put(&value, rest->data, rest->size);
    value.failed = value.failed || rest->failed;
    put_message(&summary, 1, &value);
    summary.failed = summary.failed || value.failed;
    grd_status status = add_event(e, time, step, 5, &summary);
    grd_bytes_free(&value);
    grd_bytes_free(&summary);
    return status;
}

/* ---- life ---- */

static grd_status create(grd_events *e, const grd_events_opts *o, double when)
{
    char host[256] = "localhost";
    if (o->hostname)
        snprintf(host, sizeof host, "%s", o->hostname);
    else
        gethostname(host, sizeof host - 1);
    for (int counter = 0; counter < MAX_NAMES; counter++) {
        int n = snprintf(e->path, sizeof e->path, "%s/events.out.tfevents.%010lld.%s.%lld.%d%s", o->dir, (long long)when, host,
                         (long long)(o->pid ? o->pid : getpid()), counter, o->suffix ? o->suffix : "");
        if (n >= (int)sizeof e->path)
            return grd_fail(e->host, GRD_ERR_IO, "%s: the path is too long", o->dir);
        e->fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (e->fd >= 0)
            return GRD_OK;
        if (errno != EEXIST)
            break;
    }
    return grd_fail(e->host, GRD_ERR_IO, "%s: cannot create: %s", e->path, strerror(errno));
}

grd_status grd_events_open(grd_host *host, const grd_events_opts *opts, grd_events **events)
{
    *events = NULL;
    grd_events *e = GRD_NEW(host, grd_events);
    if (!e)
        return GRD_ERR_MEMORY;
    e->host = host;
    e->fd = -1;
    grd_bytes_init(&e->pending, host);
    double when = opts->time > 0 ? opts->time : (double)time(NULL);
    grd_status status = create(e, opts, when);
    if (status == GRD_OK) {
        grd_bytes first;
        grd_bytes_init(&first, host);
        grd_bytes_text(&first, "brain.Event:2");
        status = add_event(e, when, 0, 3, &first);
        grd_bytes_free(&first);
    }
    if (status == GRD_OK)
        status = grd_events_flush(e);
    if (status != GRD_OK) {
        e->pending.size = 0;
        grd_events_close(e);
        return status;
    }
    *events = e;
    return GRD_OK;
}

grd_status grd_events_close(grd_events *e)
{
    if (!e)
        return GRD_OK;
    grd_status status = e->fd >= 0 ? grd_events_flush(e) : GRD_OK;
    if (e->fd >= 0 && close(e->fd) != 0 && status == GRD_OK)
        status = grd_fail(e->host, GRD_ERR_IO, "%s: cannot write: %s", e->path, strerror(errno));
    grd_bytes_free(&e->pending);
    grd_free(e->host, e);
    return status;
}

const char *grd_events_path(const grd_events *e) { return e->path; }
int64_t grd_events_length(const grd_events *e) { return e->length; }

/* ---- kinds ---- */

grd_status grd_events_scalar(grd_events *e, double time, int64_t step, const char *name, double value)
{
    grd_bytes rest;
    grd_bytes_init(&rest, e->host);
    put_float(&rest, 2, (float)value);
    grd_status status = add_value(e, time, step, name, &rest);
    grd_bytes_free(&rest);
    return status;
}

grd_status grd_events_restart(grd_events *e, double time, int64_t step)
{
    grd_bytes session;
    grd_bytes_init(&session, e->host);
    put_int(&session, 1, 1); /* START */
    grd_status status = add_event(e, time, step, 7, &session);
    grd_bytes_free(&session);
    return status;
}

static void put_plugin(grd_bytes *value, grd_host *host, const char *name)
{
    grd_bytes data, metadata;
    grd_bytes_init(&data, host);
    grd_bytes_init(&metadata, host);
    put_text(&data, 1, name);
    put_message(&metadata, 1, &data);
    put_message(value, 9, &metadata);
    value->failed = value->failed || data.failed || metadata.failed;
    grd_bytes_free(&data);
    grd_bytes_free(&metadata);
}

grd_status grd_events_text(grd_events *e, double time, int64_t step, const char *name, const char *markdown)
{
    grd_bytes rest, tensor;
    grd_bytes_init(&rest, e->host);
    grd_bytes_init(&tensor, e->host);
    put_plugin(&rest, e->host, "text");
    put_int(&tensor, 1, 7);                             /* STRING */
    put_bytes(&tensor, 2, "\x12\x02\x08\x01", 4);       /* shape [1] */
    put_text(&tensor, 8, markdown);
    put_message(&rest, 8, &tensor);
    rest.failed = rest.failed || tensor.failed;
    grd_status status = add_value(e, time, step, name, &rest);
    grd_bytes_free(&rest);
    grd_bytes_free(&tensor);
    return status;
}

grd_status grd_events_image(grd_events *e, double time, int64_t step, const char *name, int width, int height, int channels, const void *png, size_t png_size)
{
    grd_bytes rest, image;
    grd_bytes_init(&rest, e->host);
    grd_bytes_init(&image, e->host);
    put_int(&image, 1, height);
    put_int(&image, 2, width);
    put_int(&image, 3, channels);
    put_bytes(&image, 4, png, png_size);
    put_message(&rest, 4, &image);
    rest.failed = rest.failed || image.failed;
    grd_status status = add_value(e, time, step, name, &rest);
    grd_bytes_free(&rest);
    grd_bytes_free(&image);
    return status;
}
