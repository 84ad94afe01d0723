/* TensorBoard event files: records in TFRecord frames, each a serialized `Event`.
 *
 * Times are seconds since 1970. Steps of one tag must not go back; after a resume open a new file and call grd_events_restart
 * with the step that training goes on from: what older files have of that step and later is dropped by the viewer. Records are
 * gathered in memory until grd_events_flush or 64 KiB; a failed write is reported and leaves whole records in the file. */
#ifndef GRD_FORMAT_TFEVENTS_H
#define GRD_FORMAT_TFEVENTS_H

#include "base/host.h"

#include <gradus/tensor.h>

typedef struct grd_events grd_events;

typedef struct grd_events_opts {
    const char *dir;       /* must exist */
    double time;           /* in the file's name and of its first record; 0 = now */
    const char *hostname;  /* NULL = this machine's */
    int64_t pid;           /* 0 = this process's */
    const char *suffix;    /* of the file's name; NULL = none */
} grd_events_opts;

/* A new file in dir, events.out.tfevents.SECONDS.HOSTNAME.PID.COUNTER[SUFFIX]; the counter goes up until no such file is there.
 * Its first record is written when this returns. */
grd_status grd_events_open(grd_host *host, const grd_events_opts *opts, grd_events **events);
grd_status grd_events_flush(grd_events *events);
/* Flushes and frees, whether or not the flush succeeds. NULL: nothing. */
grd_status grd_events_close(grd_events *events);
const char *grd_events_path(const grd_events *events);
int64_t grd_events_length(const grd_events *events); /* bytes in the file, once flushed */

grd_status grd_events_scalar(grd_events *events, double time, int64_t step, const char *tag, double value); /* kept as float */
/* SessionLog START: drop what has this step or a later one. */
grd_status grd_events_restart(grd_events *events, double time, int64_t step);
grd_status grd_events_text(grd_events *events, double time, int64_t step, const char *tag, const char *markdown);
/* A PNG file's bytes; channels 1 grey, 3 RGB, 4 RGBA. */
grd_status grd_events_image(grd_events *events, double time, int64_t step, const char *tag, int width, int height, int channels,
                            const void *png, size_t png_size);
/* Counts of n values (F32 or F64) in PyTorch's default bins, see format/histogram.h. */
grd_status grd_events_histogram(grd_events *events, double time, int64_t step, const char *tag, grd_dtype dtype,
                                const void *values, int64_t n);

/* The HPARAMS tab: names and values of this run, and the tags of the scalars that are its results. Once, at the start, in the
 * folder of those scalars; grd_events_hparams_end when the run ends. */
typedef struct grd_hparam {
    const char *name;
    const char *text;      /* NULL: the number counts */
    double number;
} grd_hparam;
grd_status grd_events_hparams(grd_events *events, double time, const grd_hparam *hparam, int n, const char *const *metric_tag,
                              int n_metrics);
grd_status grd_events_hparams_end(grd_events *events, double time, bool success);

#endif
