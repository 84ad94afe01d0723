/* TensorBoard event files. Field numbers are those of tensorflow/tensorboard's event.proto, summary.proto, tensor.proto and the
 * hparams plugin's. */
#define _GNU_SOURCE
#include "format/tfevents.h"

#include "format/bytes.h"
#include "format/crc32c.h"
#include "format/histogram.h"
#include "format/protobuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { GATHER = 64 * 1024, MAX_NAMES = 10000 };

/* Fields of Event, Summary and Summary.Value. */
enum { EVENT_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_IMAGE = 4, VALUE_HISTOGRAM = 5, VALUE_TENSOR = 8, VALUE_METADATA = 9 };

struct grd_events {
    grd_host *host;
    int fd;
    char path[1280];
    int64_t length;      /* whole records in the file */
    grd_bytes pending;
};

/* ---- records ---- */

static uint32_t masked_crc(const void *data, size_t size)
{
    uint32_t crc = grd_crc32c(data, size);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

grd_status grd_events_flush(grd_events *events)
{
    size_t done = 0;
    while (done < events->pending.size) {
        ssize_t n = write(events->fd, events->pending.data + done, events->pending.size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int why = n < 0 ? errno : ENOSPC;
            if (ftruncate(events->fd, events->length) != 0) /* half a record would be the end of the file for its readers */
                why = errno;
            lseek(events->fd, events->length, SEEK_SET);
            events->pending.size = 0;
            return grd_fail(events->host, GRD_ERR_IO, "%s: cannot write: %s", events->path, strerror(why));
        }
        done += (size_t)n;
    }
    events->length += (int64_t)done;
    events->pending.size = 0;
    return GRD_OK;
}

/* Takes the payload: it is freed. */
static grd_status add_record(grd_events *events, grd_bytes *payload)
{
    grd_bytes *out = &events->pending;
    size_t before = out->size;
    if (!payload->failed) {
        grd_bytes_number(out, payload->size, 8);
        if (!out->failed)
            grd_bytes_number(out, masked_crc(out->data + before, 8), 4);
        grd_bytes_put(out, payload->data, payload->size);
        grd_bytes_number(out, masked_crc(payload->data, payload->size), 4);
    }
    bool failed = payload->failed || out->failed;
    grd_bytes_free(payload);
    if (failed) { /* the record is lost, the writer is not */
        out->size = before;
        out->failed = false;
        return grd_fail(events->host, GRD_ERR_MEMORY, "%s: out of memory", events->path);
    }
    return out->size >= GATHER ? grd_events_flush(events) : GRD_OK;
}

/* An event whose one other field is a message or a text. Takes the content. */
static grd_status add_event(grd_events *events, double time, int64_t step, int field, grd_bytes *content)
{
    grd_bytes event;
    grd_bytes_init(&event, events->host);
    grd_proto_double(&event, EVENT_TIME, time);
    if (step)
        grd_proto_int(&event, EVENT_STEP, step);
    grd_proto_message(&event, field, content);
    return add_record(events, &event);
}

/* A summary of one value under a tag. Takes the content, which becomes `field` of the value, and the metadata unless NULL. */
static grd_status add_value(grd_events *events, double time, int64_t step, const char *tag, int field, grd_bytes *content,
                            grd_bytes *metadata)
{
    grd_bytes value, summary;
    grd_bytes_init(&value, events->host);
    grd_bytes_init(&summary, events->host);
    grd_proto_text(&value, VALUE_TAG, tag);
    if (metadata)
        grd_proto_message(&value, VALUE_METADATA, metadata);
    if (content)
        grd_proto_message(&value, field, content);
    grd_proto_message(&summary, SUMMARY_VALUE, &value);
    return add_event(events, time, step, EVENT_SUMMARY, &summary);
}

/* ---- life ---- */

static grd_status create_file(grd_events *events, const grd_events_opts *opts, double time)
{
    char hostname[256] = "localhost";
    if (!opts->hostname)
        (void)gethostname(hostname, sizeof hostname - 1);
    const char *name = opts->hostname ? opts->hostname : hostname, *suffix = opts->suffix ? opts->suffix : "";
    long long pid = opts->pid ? (long long)opts->pid : (long long)getpid();
    for (int counter = 0; counter < MAX_NAMES; counter++) {
        int n = snprintf(events->path, sizeof events->path, "%s/events.out.tfevents.%010lld.%s.%lld.%d%s", opts->dir,
                         (long long)time, name, pid, counter, suffix);
        if (n >= (int)sizeof events->path)
            return grd_fail(events->host, GRD_ERR_IO, "%s: the path is too long", opts->dir);
        events->fd = open(events->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (events->fd >= 0)
            return GRD_OK;
        if (errno != EEXIST)
            break;
    }
    return grd_fail(events->host, GRD_ERR_IO, "%s: cannot create: %s", events->path, strerror(errno));
}

static grd_status write_first(grd_events *events, double time)
{
    grd_bytes version;
    grd_bytes_init(&version, events->host);
    grd_bytes_text(&version, "brain.Event:2");
    GRD_TRY(add_event(events, time, 0, EVENT_VERSION, &version));
    return grd_events_flush(events);
}

grd_status grd_events_open(grd_host *host, const grd_events_opts *opts, grd_events **events)
{
    *events = NULL;
    grd_events *made = GRD_NEW(host, grd_events);
    if (!made)
        return GRD_ERR_MEMORY;
    made->host = host;
    made->fd = -1;
    grd_bytes_init(&made->pending, host);
    double when = opts->time > 0 ? opts->time : (double)time(NULL);
    grd_status status = create_file(made, opts, when);
    if (status == GRD_OK) {
        status = write_first(made, when);
        if (status != GRD_OK)
            unlink(made->path);
    }
    if (status != GRD_OK) {
        made->pending.size = 0;
        grd_events_close(made);
        return status;
    }
    *events = made;
    return GRD_OK;
}

grd_status grd_events_close(grd_events *events)
{
    if (!events)
        return GRD_OK;
    grd_status status = events->fd >= 0 ? grd_events_flush(events) : GRD_OK;
    if (events->fd >= 0 && close(events->fd) != 0 && status == GRD_OK)
        status = grd_fail(events->host, GRD_ERR_IO, "%s: cannot write: %s", events->path, strerror(errno));
    grd_bytes_free(&events->pending);
    grd_free(events->host, events);
    return status;
}

const char *grd_events_path(const grd_events *events)
{
    return events->path;
}

int64_t grd_events_length(const grd_events *events)
{
    return events->length;
}

/* ---- scalars, sessions, text, images, histograms ---- */

grd_status grd_events_scalar(grd_events *events, double time, int64_t step, const char *tag, double number)
{
    grd_bytes value, summary;
    grd_bytes_init(&value, events->host);
    grd_bytes_init(&summary, events->host);
    grd_proto_text(&value, VALUE_TAG, tag);
    grd_proto_float(&value, VALUE_SIMPLE, (float)number);
    grd_proto_message(&summary, SUMMARY_VALUE, &value);
    return add_event(events, time, step, EVENT_SUMMARY, &summary);
}

grd_status grd_events_restart(grd_events *events, double time, int64_t step)
{
    grd_bytes session;
    grd_bytes_init(&session, events->host);
    grd_proto_int(&session, 1, 1); /* status START */
    return add_event(events, time, step, EVENT_SESSION, &session);
}

/* SummaryMetadata of a plugin; takes the plugin's content unless NULL. */
static void init_metadata(grd_bytes *metadata, grd_host *host, const char *plugin, grd_bytes *content)
{
    grd_bytes data;
    grd_bytes_init(&data, host);
    grd_proto_text(&data, 1, plugin);
    if (content)
        grd_proto_message(&data, 2, content);
    grd_bytes_init(metadata, host);
    grd_proto_message(metadata, 1, &data);
}

grd_status grd_events_text(grd_events *events, double time, int64_t step, const char *tag, const char *markdown)
{
    grd_bytes metadata, tensor, shape, dim;
    init_metadata(&metadata, events->host, "text", NULL);
    grd_bytes_init(&tensor, events->host);
    grd_bytes_init(&shape, events->host);
    grd_bytes_init(&dim, events->host);
    grd_proto_int(&dim, 1, 1);
    grd_proto_message(&shape, 2, &dim);
    grd_proto_int(&tensor, 1, 7); /* dtype STRING */
    grd_proto_message(&tensor, 2, &shape);
    grd_proto_text(&tensor, 8, markdown);
    return add_value(events, time, step, tag, VALUE_TENSOR, &tensor, &metadata);
}

grd_status grd_events_image(grd_events *events, double time, int64_t step, const char *tag, int width, int height, int channels,
                            const void *png, size_t png_size)
{
    grd_bytes image;
    grd_bytes_init(&image, events->host);
    grd_proto_int(&image, 1, height);
    grd_proto_int(&image, 2, width);
    grd_proto_int(&image, 3, channels);
    grd_proto_bytes(&image, 4, png, png_size);
    return add_value(events, time, step, tag, VALUE_IMAGE, &image, NULL);
}

grd_status grd_events_histogram(grd_events *events, double time, int64_t step, const char *tag, grd_dtype dtype,
                                const void *values, int64_t n)
{
    grd_histogram *h = GRD_NEW(events->host, grd_histogram);
    if (!h)
        return GRD_ERR_MEMORY;
    grd_histogram_count(h, dtype, values, n);
    grd_bytes histogram;
    grd_bytes_init(&histogram, events->host);
    const double head[5] = { h->min, h->max, h->count, h->sum, h->sum_squares };
    for (int i = 0; i < 5; i++)
        grd_proto_double(&histogram, i + 1, head[i]);
    grd_proto_doubles(&histogram, 6, h->right, h->n);
    grd_proto_doubles(&histogram, 7, h->in_bin, h->n);
    grd_free(events->host, h);
    return add_value(events, time, step, tag, VALUE_HISTOGRAM, &histogram, NULL);
}

/* ---- hparams: three values without a tensor, all in the plugin's content ---- */

static grd_status add_hparams(grd_events *events, double time, const char *tag, int field, grd_bytes *message)
{
    grd_bytes content, metadata;
    grd_bytes_init(&content, events->host);
    grd_proto_message(&content, field, message);
    init_metadata(&metadata, events->host, "hparams", &content);
    return add_value(events, time, 0, tag, 0, NULL, &metadata);
}

/* Experiment: which parameters there are and which scalars are results. */
static grd_status add_experiment(grd_events *events, double time, const grd_hparam *hparam, int n, const char *const *metric_tag,
                                 int n_metrics)
{
    grd_bytes experiment;
    grd_bytes_init(&experiment, events->host);
    for (int i = 0; i < n; i++) {
        grd_bytes info;
        grd_bytes_init(&info, events->host);
        grd_proto_text(&info, 1, hparam[i].name);
        grd_proto_int(&info, 4, hparam[i].text ? 1 : 3); /* type: string, float64 */
        grd_proto_message(&experiment, 4, &info);
    }
    for (int i = 0; i < n_metrics; i++) {
        grd_bytes info, name;
        grd_bytes_init(&info, events->host);
        grd_bytes_init(&name, events->host);
        grd_proto_text(&name, 2, metric_tag[i]);
        grd_proto_message(&info, 1, &name);
        grd_proto_message(&experiment, 5, &info);
    }
    return add_hparams(events, time, "_hparams_/experiment", 2, &experiment);
}

grd_status grd_events_hparams(grd_events *events, double time, const grd_hparam *hparam, int n, const char *const *metric_tag,
                              int n_metrics)
{
    GRD_TRY(add_experiment(events, time, hparam, n, metric_tag, n_metrics));
    grd_bytes start;
    grd_bytes_init(&start, events->host);
    for (int i = 0; i < n; i++) {
        grd_bytes entry, value;
        grd_bytes_init(&entry, events->host);
        grd_bytes_init(&value, events->host);
        if (hparam[i].text)
            grd_proto_text(&value, 3, hparam[i].text);
        else
            grd_proto_double(&value, 2, hparam[i].number);
        grd_proto_text(&entry, 1, hparam[i].name);
        grd_proto_message(&entry, 2, &value);
        grd_proto_message(&start, 1, &entry);
    }
    grd_proto_double(&start, 5, time);
    return add_hparams(events, time, "_hparams_/session_start_info", 3, &start);
}

grd_status grd_events_hparams_end(grd_events *events, double time, bool success)
{
    grd_bytes info;
    grd_bytes_init(&info, events->host);
    grd_proto_int(&info, 1, success ? 1 : 2);
    grd_proto_double(&info, 2, time);
    return add_hparams(events, time, "_hparams_/session_end_info", 4, &info);
}
