/* The workloads ae and mlp in KANN with a BLAS, timed on request; as torch_steps.py: one JSON line when it is warm, then one
 * for each "SECONDS" on the input. A step: cost read, all gradients, RMSprop (KANN has no Adam). compare.py fetches KANN and
 * builds this. */
#define _GNU_SOURCE
#include "kann.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 128, MOST_STEPS = 100000, LEAST_STEPS = 3 };

typedef struct net {
    kann_t *ann;
    float *x, *y, *square; /* input, target, moment of RMSprop */
} net;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *noise(int n)
{
    float *x = malloc(sizeof *x * (size_t)n);
    for (int i = 0; x && i < n; i++)
        x[i] = (float)kad_drand_normal(0);
    return x;
}

static kad_node_t *hidden(kad_node_t *x, int width) { return kad_relu(kann_layer_dense(x, width)); }

static int build(net *t, const char *name)
{
    int in, out;
    if (strcmp(name, "ae") == 0) {
        in = out = 784;
        kad_node_t *h = hidden(hidden(hidden(kann_layer_input(in), 256), 64), 256);
        t->ann = kann_new(kann_layer_cost(h, out, KANN_C_MSE), 0);
    } else if (strcmp(name, "mlp") == 0) {
        in = 3072;
        out = 10;
        t->ann = kann_new(kann_layer_cost(hidden(hidden(kann_layer_input(in), 512), 256), out, KANN_C_CEM), 0);
    } else {
        return 0;
    }
    t->x = noise(BATCH * in);
    t->y = in == out ? t->x : calloc((size_t)(BATCH * out), sizeof(float));
    t->square = t->ann ? calloc((size_t)kann_size_var(t->ann), sizeof(float)) : NULL;
    if (!t->ann || !t->x || !t->y || !t->square)
        return 0;
    for (int i = 0; in != out && i < BATCH; i++)
        t->y[i * out + i % out] = 1;
    kann_set_batch_size(t->ann, BATCH);
    kann_switch(t->ann, 1);
    kann_feed_bind(t->ann, KANN_F_IN, 0, &t->x);
    kann_feed_bind(t->ann, KANN_F_TRUTH, 0, &t->y);
    return 1;
}

static double step(net *t)
{
    double begin = now();
    volatile float cost = kann_cost(t->ann, 0, 1);
    (void)cost;
    kann_RMSprop(kann_size_var(t->ann), 1e-3f, NULL, 0.9f, t->ann->g, t->ann->x, t->square);
    return (now() - begin) * 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void slice(net *t, double seconds, double *ms)
{
    double end = now() + seconds;
    int n = 0;
    step(t);
    while (n < MOST_STEPS && (n < LEAST_STEPS || now() < end))
        ms[n++] = step(t);
    qsort(ms, (size_t)n, sizeof *ms, by_value);
    printf("{\"median_ms\": %.6f, \"min_ms\": %.6f, \"steps\": %d}\n", ms[n / 2], ms[0], n);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static double ms[MOST_STEPS];
    char line[64];
    net t = { 0 };
    if (argc != 2 || !build(&t, argv[1])) {
        fprintf(stderr, "usage: kann_steps ae|mlp\n");
        return 2;
    }
    double first_step = now();
    for (int i = 0; i < 3; i++)
        step(&t);
    printf("{\"first_step\": %.6f, \"params\": %d, \"version\": \"%s\"}\n", first_step, kann_size_var(t.ann), KANN_VERSION);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        slice(&t, atof(line), ms);
    kann_delete(t.ann);
    return 0;
}
