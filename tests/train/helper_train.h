/* A small run for the tests of the trainer: spirals, a network with batch norm and dropout, a folder of its own. */
#ifndef TESTS_TRAIN_HELPER_H
#define TESTS_TRAIN_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gradus/gradus.h>

typedef struct run {
    grd_ctx *ctx;
    grd_graph *graph;
    grd_var logits, loss, accuracy;
    grd_model *model;
    grd_dataset *train, *val;
    grd_trainer_opts opts;     /* filled by run_open, to be changed before run_start */
    grd_trainer *trainer;
} run;

/* 100 samples to train on (7 batches of 16), 60 to validate; 2 threads; 3 epochs; no files, no progress line. */
void run_open(run *r, const grd_opts *opts);
void run_start(run *r);        /* makes the trainer */
grd_status run_fit(run *r);    /* run_start and fit */
void run_close(run *r);

void check_ok(const grd_ctx *ctx, grd_status status, const char *file, int line);
#define OK(ctx, expression) check_ok((ctx), (expression), __FILE__, __LINE__)

/* A new empty folder below the temporary folder. */
void make_folder(char path[256], const char *name);
void remove_folder(const char *path);
char *read_text(const char *dir, const char *name, size_t *size); /* by malloc, ends with 0; fails if it is not there */
bool is_there(const char *dir, const char *name);
int count_files(const char *dir, const char *part);               /* whose name contains part */
/* metrics.jsonl without the seconds; by malloc. */
char *read_metrics(const char *dir);
/* The model's values as bytes; by malloc. */
void *model_values(run *r, size_t *size);

/* An allocator that counts, and refuses from the n-th request on if n > 0. */
typedef struct counter {
    long calls, fail_at;
} counter;
grd_allocator counting(counter *c);

#endif
