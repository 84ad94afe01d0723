/* Handler: the progress line, here in two,
 *
 *   Epoch [3/20]:  45%|####      | 211/469 [00:12<00:15, 17.30it/s, curr_loss=0.123, learning_rate=0.001, running_mean=0.2,
 *   last_50_mean=0.19]
 *
 * drawn again and again on a terminal; anywhere else a plain line now and then. After each epoch a line stays. */
#define _GNU_SOURCE
#include "base/bar.h"
#include "base/options.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECENT = 50, LINE = 512, PLAIN_EVERY = 100 /* intervals */ };

typedef struct progress {
    grd_progress_opts opts;
    grd_host *host;
    grd_bar line;
    double recent[RECENT];     /* losses of the last steps */
    int64_t n_recent;          /* ever */
    double epoch_begun, drawn; /* clock */
    int64_t batch_begun, batch_drawn;
    double mean_n, mean_t;     /* moving averages of batches and seconds between two drawings */
} progress;

static const grd_option options[] = {
    GRD_ENUM(grd_progress_opts, mode, 0, "auto|bar|plain|off", "a bar if it goes to a terminal, else plain lines"),
    GRD_REAL(grd_progress_opts, interval, 0.1, 0.001, 1e6, "seconds between two drawings; plain lines: 100 of these"),
    GRD_FLAG(grd_progress_opts, ascii, "draw the bar with # and digits"),
    GRD_END
};

static grd_status open_progress(void **state, const void *opts, grd_trainer *t)
{
    progress *s = GRD_NEW(t->host, progress);
    if (!s)
        return GRD_ERR_MEMORY;
    s->opts = *(const grd_progress_opts *)opts;
    s->host = t->host;
    s->line = grd_bar_make(s->opts.file, s->opts.mode + 1, s->opts.ascii); /* resolved: the index among the choices */
    *state = s;
    return GRD_OK;
}

static void close_progress(void *state)
{
    progress *s = state;
    if (s)
        grd_free(s->host, s);
}

/* ---- text ---- */

/* Three digits, or all of them if that is shorter; exponents without padding. */
static const char *number(double value, char text[40])
{
    char brief[40], full[40];
    snprintf(brief, sizeof brief, "%.3g", value);
    for (char *e = strpbrk(brief, "e"); e && e[2] == '0';)
        memmove(e + 2, e + 3, strlen(e + 3) + 1);
    int digits = 1;
    do
        snprintf(full, sizeof full, "%.*g", digits, value);
    while (++digits <= 17 && strtod(full, NULL) != value && isfinite(value));
    return strcpy(text, strlen(brief) < strlen(full) ? brief : full);
}

static const char *rate_text(double rate, char text[24])
{
    if (!(rate > 0) || !isfinite(rate))
        return "?it/s";
    snprintf(text, 24, rate < 1 ? "%5.2fs/it" : "%5.2fit/s", rate < 1 ? 1 / rate : rate);
    return text;
}

static double recent_mean(const progress *s)
{
    int64_t n = s->n_recent < RECENT ? s->n_recent : RECENT;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += s->recent[i];
    return n ? sum / (double)n : NAN;
}

/* "211/469 [00:12<00:15, 17.30it/s, curr_loss=..., ...]" */
static void counts_text(const progress *s, const grd_train_state *now, double rate, char *text, size_t size)
{
    char value[4][40], time[2][24], speed[24];
    double elapsed = grd_clock() - s->epoch_begun, left = rate > 0 ? (double)(now->batches - now->batch) / rate : NAN;
    int n = now->batches < 0 ? snprintf(text, size, "%lld [%s, %s", (long long)now->batch, grd_clock_text(elapsed, time[0]),
                                        rate_text(rate, speed))
                             : snprintf(text, size, "%lld/%lld [%s<%s, %s", (long long)now->batch, (long long)now->batches,
                                        grd_clock_text(elapsed, time[0]), grd_clock_text(left, time[1]), rate_text(rate, speed));
    if (n < 0 || (size_t)n >= size)
        return;
    if (!s->n_recent)
        snprintf(text + n, size - (size_t)n, "]");
    else
        snprintf(text + n, size - (size_t)n, ", curr_loss=%s, learning_rate=%s, running_mean=%s, last_50_mean=%s]",
                 number(now->loss, value[0]), number(now->lr, value[1]), number(now->train_loss, value[2]),
                 number(recent_mean(s), value[3]));
}

static void draw(progress *s, const grd_train_state *now, double rate)
{
    char head[64], counts[LINE];
    snprintf(head, sizeof head, "Epoch [%lld/%lld]", (long long)now->epoch, (long long)now->epochs);
    counts_text(s, now, rate, counts, sizeof counts);
    grd_bar_draw(&s->line, head, now->batches < 0 ? NAN : now->batches ? (double)now->batch / (double)now->batches : 0, counts);
}

/* Batches a second: a moving average (0.3 for the newest), corrected for its beginning. */
static double measure(progress *s, const grd_train_state *now, double clock)
{
    double n = (double)(now->batch - s->batch_drawn), seconds = clock - s->drawn;
    s->mean_n += 0.3 * (n - s->mean_n);
    s->mean_t += 0.3 * (seconds - s->mean_t);
    s->drawn = clock;
    s->batch_drawn = now->batch;
    return s->mean_t > 0 ? s->mean_n / s->mean_t : NAN; /* both have the same correction */
}

static void on_step(progress *s, const grd_train_state *now)
{
    s->recent[s->n_recent++ % RECENT] = now->loss;
    double clock = grd_clock(), wait = s->opts.interval * (s->line.bar ? 1 : PLAIN_EVERY);
    if (clock - s->drawn < wait || now->batch == now->batches)
        return;
    draw(s, now, measure(s, now, clock));
}

static void begin_epoch(progress *s, const grd_train_state *now)
{
    s->epoch_begun = s->drawn = grd_clock();
    s->batch_begun = s->batch_drawn = now->batch;
    s->mean_n = s->mean_t = 0;
    if (s->line.bar)
        draw(s, now, NAN);
}

/* What stays of an epoch. */
static void end_epoch(progress *s, const grd_train_state *now)
{
    char text[LINE], value[40], time[24], speed[24];
    double elapsed = grd_clock() - s->epoch_begun;
    size_t n = 0;
#define ADD(...) n += n < sizeof text ? (size_t)snprintf(text + n, sizeof text - n, __VA_ARGS__) : 0
    ADD("Epoch [%lld/%lld]: %lld", (long long)now->epoch, (long long)now->epochs, (long long)now->batch);
    if (now->batches >= 0)
        ADD("/%lld", (long long)now->batches);
    ADD(" [%s, %s] train_loss=%s", grd_clock_text(elapsed, time),
        rate_text((double)(now->batch - s->batch_begun) / elapsed, speed), number(now->train_loss, value));
    if (!isnan(now->val_loss))
        ADD(" val_loss=%s", number(now->val_loss, value));
    for (int k = 0; k < now->n_metrics; k++)
        ADD(" %s=%s", now->metric[k].name, number(now->metric[k].value, value));
    ADD(" learning_rate=%s%s", number(now->lr, value), now->improved ? " (best)" : "");
    if (now->clipped_steps)
        ADD(", %lld steps clipped", (long long)now->clipped_steps);
#undef ADD
    grd_bar_stay(&s->line, text);
}

static void greet(progress *s, const grd_train_state *now)
{
    char value[2][40];
    if (now->resumed)
        fprintf(s->line.file, "%s: resumed in epoch %lld after step %lld\n", now->stage, (long long)now->epoch,
                (long long)now->step);
    if (now->clip_value > 0)
        fprintf(s->line.file, "%s: gradients cut at value %s\n", now->stage, number(now->clip_value, value[0]));
    if (now->clip_norm > 0)
        fprintf(s->line.file, "%s: gradients clipped at norm %s\n", now->stage, number(now->clip_norm, value[1]));
    fflush(s->line.file);
}

static grd_status on_progress(void *state, grd_event event, const grd_train_state *now, grd_trainer *t)
{
    progress *s = state;
    (void)t;
    if (!s->line.file)
        return GRD_OK;
    switch (event) {
    case GRD_EVENT_START: greet(s, now); break;
    case GRD_EVENT_EPOCH_BEGIN: begin_epoch(s, now); break;
    case GRD_EVENT_STEP_END: on_step(s, now); break;
    case GRD_EVENT_EPOCH_END: end_epoch(s, now); break;
    case GRD_EVENT_END:
        grd_bar_leave(&s->line); /* the line of an epoch that was cut off stays */
        break;
    default: break;
    }
    return GRD_OK; /* a line that cannot be written is no reason to lose a run */
}

const grd_handler grd_handler_progress = {
    .name = "progress", .doc = "a progress line while training", .options = options, .options_size = sizeof(grd_progress_opts),
    .open = open_progress, .on = on_progress, .close = close_progress,
};
