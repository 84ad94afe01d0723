/* Our own vector kernels: one line each. A kernel (files *_kernels.c) is compiled once per instruction set and chosen at run
 * time. */
#ifndef GRD_BACKEND_CPU_KERNELS_H
#define GRD_BACKEND_CPU_KERNELS_H

#include "backend/cpu/winograd.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct grd_key;

/* One optimizer update over elements begin..end-1 of the flat arenas. Elements are float or double, as the kernel's name says. */
typedef struct grd_step_job {
    void *p;               /* parameters */
    const void *g;         /* gradients, not yet divided */
    void *m[3];            /* moments, as the optimizer orders them */
    double scale;          /* 1 / weight of the group */
    double clip_value;     /* 0 = off: |g scale| is cut to it */
    double factor;         /* of clipping by norm, after the cut */
    double lr, weight_decay;
    double beta1, beta2, eps, correction1, correction2; /* Adam: 1 - beta^t */
    double momentum, dampening;
    bool decoupled, amsgrad, nesterov, first;  /* first: momentum starts with the gradient itself */
} grd_step_job;

/* A block of rows x cols, rows `ld` apart, with an activation (GRD_ACT_*). */
typedef struct grd_act_job {
    const float *b;        /* act_bias: y = act(y + b); NULL = no bias */
    float *y;              /* act_gradient: NULL = no activation, dz = dy */
    const float *dy;       /* act_gradient: dz = dy act'(y) */
    float *dz;
    float *db;             /* act_gradient: sums of dz over the rows, written; NULL = not wanted */
    int64_t rows, cols, ld;
    int act;
    float slope;
} grd_act_job;

/* Batch norm: per channel, first the one the run begins with. */
typedef struct grd_bn_job {
    const float *mean, *scale, *shift; /* y = (x - mean) scale + shift */
    const float *offset, *slope;       /* bn_grad: dx = scale (g - offset - (x - mean) slope) */
    bool relu;                         /* behind it */
} grd_bn_job;

/* Pooling of one run: h x w places to oh x ow, `lanes` (16, 8 or 1) channels each. */
typedef struct grd_pool_job {
    int64_t h, w, oh, ow, lanes;
    int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
    bool adaptive;  /* windows follow from the sizes */
    bool count_pad; /* average: the border counts */
} grd_pool_job;

/* One axis of a picture at another size. Output o lies `part` of the way from place low to place high. The gradient of place i
 * is the sum of those of outputs begin..end-1, with factors from weight[first] on. */
typedef struct grd_upsample_tap { int32_t low, high; float part; } grd_upsample_tap;
typedef struct grd_upsample_touch { int32_t begin, end; int64_t first; } grd_upsample_touch;
typedef struct grd_upsample_axis {
    int64_t in, out;
    const grd_upsample_tap *tap;     /* [out] */
    const grd_upsample_touch *touch; /* [in] */
    const float *weight;
} grd_upsample_axis;

/* One run: y.in x x.in places of `lanes` (16, 8 or 1) channels to y.out x x.out. */
typedef struct grd_upsample_job {
    grd_upsample_axis y, x;
    int64_t lanes;
} grd_upsample_job;

/* Transposed convolution, kernel 2 at stride 2: pictures height x width of c channels to twice that of o, blocked by whole blocks. */
typedef struct grd_upconv_job {
    int64_t c, o, height, width;
    const float *x, *dy, *w, *bias; /* bias NULL: none */
    float *y, *dx, *u;              /* u: weights in the order of a product */
    float *sums, *db;               /* of one thread; NULL: not wanted */
} grd_upconv_job;

/* An element-wise op of one input; attr is the row's options. `from` is x or y, whichever the row keeps for backward. In place
 * is fine. */
typedef struct grd_unary_kernel {
    const char *op;
    void (*forward)(float *y, const float *x, int64_t n, const void *attr);
    void (*backward)(float *dx, const float *from, const float *dy, int64_t n, const void *attr);
} grd_unary_kernel;

/* Lines of m numbers, brought to mean 0 and variance 1, then scaled by w and shifted by b (NULL: 1 and 0). */
typedef struct grd_norm_job {
    const float *x, *w, *b, *dy;
    float *y, *dx;         /* dx NULL: not wanted */
    float *stats;          /* mean and 1 / standard deviation of each line; NULL in a forward pass alone */
    int64_t m;
    float eps;
} grd_norm_job;

/* Lines of logits against one class each; or planes: the logits of a class `stride` apart, positions side by side. */
typedef struct grd_class_job {
    const float *x;
    const int32_t *label;
    float *dx, g;          /* gradient of the sum */
    int64_t classes, stride;
    int64_t ignore;        /* label that does not count */
} grd_class_job;

/* A tile of attention scores, rows queries x keys, before scaling. Query r sees the first `seen` keys of the tile (it may be
 * less than 0 or more than there are), r more if causal. */
typedef struct grd_attend_job {
    float *s;              /* scores, rows ld apart, with room for a multiple of 16 keys */
    float *y;              /* [rows,dv], rows ldy apart: sums of values so far */
    float *most, *sum;     /* [rows]: largest score so far, sum of exp(score - most) */
    int64_t rows, keys, ld, ldy, dv, seen;
    float scale;
    bool causal, first;    /* first: nothing was summed before */
} grd_attend_job;

/* C [m,n] = A [m,k] B, or added to it; rows lda and ldc apart. panels: by panel_pack, `deep` rows, of which B is the k from `first`
 * on. turned: A lies as [k,m]. */
typedef struct grd_panel_job {
    int64_t m, n, k, lda, ldc, deep;
    const float *a, *panels;
    float *c;
    bool add, turned;
    int64_t first;
} grd_panel_job;

/* Resizing bytes along one axis: new pixel i is the sum of w[k n + i] old ones from first[i] on, k < taps, 1 being 1 << shift. */
typedef struct grd_image_axis {
    int n_in, n, taps, shift;
    int32_t *first;
    int16_t *w;
} grd_image_axis;

/* X(result, name, (arguments)) */
#define GRD_CPU_KERNELS(X)                                                                                         \
    /* the machine's own limits: chains of multiply-adds that wait for nothing, returns FLOPs; a = b + k c */      \
    X(double, peak_chains, (int64_t rounds, float *sink))                                                          \
    X(void, peak_triad, (float *a, const float *b, const float *c, float k, int64_t n))                            \
    /* the first word of each of n blocks from `block` on, as n calls of grd_random4 would give them */            \
    X(void, random_first, (const struct grd_key *key, uint64_t row, uint64_t block, int n, uint32_t *out))         \
    X(void, adam_f32, (const grd_step_job *job, int64_t begin, int64_t end))                                       \
    X(void, adam_f64, (const grd_step_job *job, int64_t begin, int64_t end))                                       \
    X(void, sgd_f32, (const grd_step_job *job, int64_t begin, int64_t end))                                        \
    X(void, sgd_f64, (const grd_step_job *job, int64_t begin, int64_t end))                                        \
    /* moving average, elements begin..end-1: e += weight (p - e) */                                               \
    X(void, average_f32, (void *e, const void *p, double weight, int64_t begin, int64_t end))                      \
    X(void, average_f64, (void *e, const void *p, double weight, int64_t begin, int64_t end))                      \
    /* sum of (cut(g scale))^2 over n elements, in 8 lanes that are added in a fixed order */                      \
    X(double, squares_f32, (const void *g, int64_t n, double scale, double clip_value))                            \
    X(double, squares_f64, (const void *g, int64_t n, double scale, double clip_value))                            \
    X(void, add_relu, (float *y, const float *a, const float *b, int64_t n))                                       \
    X(void, relu_gradient, (float *dx, const float *y, const float *dy, int64_t n))                                \
    X(void, act_bias, (const grd_act_job *job))                                                                    \
    X(void, act_gradient, (const grd_act_job *job))                                                                \
    /* batch norm, one run of rows x lanes; sums are added to what is there; y: gate by it, NULL = by x */         \
    X(void, bn_sums, (const float *x, const float *k, int64_t rows, int64_t lanes, double *sum, double *square))   \
    X(void, bn_apply,                                                                                              \
      (const grd_bn_job *job, const float *x, const float *add, float *y, int64_t rows, int64_t lanes))            \
    X(void, bn_grad_sums,                                                                                          \
      (const grd_bn_job *job, const float *x, const float *dy, const float *y, int64_t rows, int64_t lanes, double *sum, double *product)) \
    X(void, bn_grad,                                                                                               \
      (const grd_bn_job *job, const float *x, const float *dy, const float *y, float *dx, float *dadd, int64_t rows, int64_t lanes)) \
    X(void, maxpool, (const grd_pool_job *job, const float *x, float *y, uint8_t *where))                          \
    X(void, maxpool_grad, (const grd_pool_job *job, const float *dy, const uint8_t *where, float *dx))             \
    X(void, avgpool, (const grd_pool_job *job, const float *x, float *y))                                          \
    X(void, avgpool_grad, (const grd_pool_job *job, const float *dy, float *dx))                                   \
    X(void, upsample_nearest, (const grd_upsample_job *job, const float *x, float *y))                             \
    X(void, upsample_bilinear, (const grd_upsample_job *job, const float *x, float *y))                            \
    X(void, upsample_grad, (const grd_upsample_job *job, const float *dy, float *dx))                              \
    X(const grd_unary_kernel *, unary, (const char *op)) /* NULL: there is none */                                 \
    X(void, layernorm, (const grd_norm_job *job, int64_t begin, int64_t end))                                      \
    X(void, layernorm_gradient, (const grd_norm_job *job, int64_t begin, int64_t end, float *dw, float *db))       \
    X(void, softmax, (float *y, const float *x, int64_t n, bool logarithm))                                        \
    X(void, softmax_gradient, (float *dx, const float *y, const float *dy, int64_t n, bool logarithm))             \
    X(double, class_loss, (const grd_class_job *job, int64_t begin, int64_t end, double *weight))                  \
    X(void, class_loss_gradient, (const grd_class_job *job, int64_t begin, int64_t end))                           \
    X(double, class_loss_planes, (const grd_class_job *job, int64_t begin, int64_t end, double *weight))           \
    X(void, class_loss_planes_gradient, (const grd_class_job *job, int64_t begin, int64_t end))                    \
    X(void, add_into, (float *y, const float *x, int64_t n))                                                       \
    X(double, sum, (const float *x, int64_t n))                                                                    \
    X(void, add, (float *y, const float *a, const float *b, int64_t rows, int64_t cols, int64_t ldb))              \
    X(void, attend_scores, (const grd_attend_job *job))                                                            \
    X(void, attend_finish, (const grd_attend_job *job, float *total))                                              \
    X(void, attend_gradient, (const grd_attend_job *job, const float *total, const float *e, float *ds))           \
    /* floats that panels of a matrix [k,n] take; b [k,n], element (i,j) at i row + j col, becomes rows `first` on of panels */ \
    X(int64_t, panel_floats, (int64_t k, int64_t n))                                                               \
    X(void, panel_pack,                                                                                            \
      (const float *b, int64_t row, int64_t col, int64_t first, int64_t k, int64_t n, int64_t deep, float *panels)) \
    X(void, panel_product, (const grd_panel_job *job))                                                             \
    X(void, lstm_cell, (int64_t n, const float *b, float *z, float *c, float *h))                                  \
    X(void, lstm_cell_gradient, (int64_t n, const float *z, const float *c, const float *before, const float *dh,  \
                                 float *dc, float *dz))                                                            \
    X(void, gru_cell, (int64_t n, const float *b, float *s, const float *u, float *q, const float *before, float *h)) \
    X(void, gru_cell_gradient, (int64_t n, const float *s, const float *q, const float *before, float *dh, float *ds, float *du)) \
    X(float, dot, (const float *a, const float *b, int64_t n))                                                     \
    X(void, sub, (float *y, const float *a, const float *b, int64_t rows, int64_t cols, int64_t ldb))              \
    X(void, mul, (float *y, const float *a, const float *b, int64_t rows, int64_t cols, int64_t ldb))              \
    X(void, upconv_weights, (const grd_upconv_job *job, bool data, int64_t begin, int64_t end))                    \
    X(void, upconv_forward, (const grd_upconv_job *job, int64_t begin, int64_t end))                               \
    X(void, upconv_data, (const grd_upconv_job *job, int64_t begin, int64_t end))                                  \
    X(void, upconv_correlate, (const grd_upconv_job *job, int64_t begin, int64_t end))                             \
    X(void, upconv_fold, (const grd_upconv_job *job, int shares, int64_t apart, float *dw, int64_t begin, int64_t end)) \
    /* rows of bytes: planes of a row of RGB; one row resized (pair: n_in words); new row i of rows side by side */ \
    X(void, image_split3, (const uint8_t *in, uint8_t *r, uint8_t *g, uint8_t *b, int64_t n))                      \
    X(void, image_along, (const grd_image_axis *axis, const uint8_t *in, int32_t *pair, uint8_t *out))             \
    X(void, image_across, (const grd_image_axis *axis, int i, const uint8_t *rows, int width, uint8_t *out))       \
    X(void, image_saturate, (const uint8_t *const in[3], uint8_t *const out[3], int n, float factor)) /* in place, too */ \
    X(void, wino_sizes, (int *lanes, int *rows)) /* of a block of channels; tiles that products take at once */    \
    X(void, wino_weights, (const grd_wino_map *map, const grd_wino_weights *job, int64_t begin, int64_t end))      \
    X(void, wino_convolve, (const grd_wino_job *job, int64_t begin, int64_t end))                                  \
    X(void, wino_correlate, (const grd_wino_job *job, int64_t begin, int64_t end))                                 \
    X(void, wino_fold, (const grd_wino_map *map, const float *sums, int shares, int64_t apart, float *dw, int64_t begin, int64_t end))

typedef struct grd_cpu_table {
#define GRD_CPU_MEMBER(result, name, args) result (*name) args;
    GRD_CPU_KERNELS(GRD_CPU_MEMBER)
#undef GRD_CPU_MEMBER
} grd_cpu_table;

/* The kernels for the instruction set in use. */
const grd_cpu_table *grd_cpu(void);
/* Those of a given level (0 base, 1 avx2, 2 avx512), or NULL if this CPU or build lacks it: for tests. */
const grd_cpu_table *grd_cpu_level(int level);

#ifdef GRD_ISA /* inside a *_kernels.c: the name with the instruction set behind it */
#define GRD_KERNEL_PASTE2(name, isa) grd_cpu_##name##_##isa
#define GRD_KERNEL_PASTE(name, isa) GRD_KERNEL_PASTE2(name, isa)
#define GRD_KERNEL(name) GRD_KERNEL_PASTE(name, GRD_ISA)
#define GRD_CPU_DECLARE(result, name, args) result GRD_KERNEL(name) args;
GRD_CPU_KERNELS(GRD_CPU_DECLARE)
#undef GRD_CPU_DECLARE
#endif

#endif
