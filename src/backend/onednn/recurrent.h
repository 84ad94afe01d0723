/* What lstm and gru have in common: products by packed panels at every step, the arguments of their rows. */
#ifndef GRD_BACKEND_ONEDNN_RECURRENT_H
#define GRD_BACKEND_ONEDNN_RECURRENT_H

#include "backend/cpu/kernels.h"
#include "backend/cut.h"
#include "backend/onednn/onednn.h"

#include <string.h>

enum { GRD_RNN_X, GRD_RNN_W_IH, GRD_RNN_W_HH, GRD_RNN_B_IH, GRD_RNN_B_HH, GRD_RNN_LENGTHS }; /* inputs */

/* Steps of row n of the batch that count. */
static inline int64_t grd_rnn_length(const grd_args *a, int64_t n, int64_t t)
{
    const int64_t length = a->n_in > GRD_RNN_LENGTHS ? ((const int32_t *)a->in[GRD_RNN_LENGTHS])[n] : t;
    return length < 0 ? 0 : length > t ? t : length;
}

static inline const float *grd_rnn_gradient(const grd_args *a, int output) { return (const float *)(const void *)a->dout[output]; }

/* NULL: nobody reads it. */
static inline float *grd_rnn_wanted(const grd_args *a, int input) { return input < a->n_in ? (float *)(void *)a->din[input] : NULL; }

static inline void grd_rnn_start(float *to, const float *from, int64_t n)
{
    if (from)
        memcpy(to, from, sizeof *to * (size_t)n);
    else
        memset(to, 0, sizeof *to * (size_t)n);
}

/* How far rows of n gates are apart: a multiple of 2 KiB would put them all on the same cache lines. */
static inline int64_t grd_rnn_apart(int64_t n) { return n + (n % 512 ? 0 : 16); }

/* w [n,k] as B = w' of a product, in rows `first` on of panels that are `deep` deep. */
static inline void grd_rnn_pack_turned(const grd_cpu_table *cpu, const float *w, int64_t first, int64_t k, int64_t n, int64_t deep,
                                       float *panels)
{
    cpu->panel_pack(w, 1, k, first, k, n, deep, panels);
}

/* w [k,n] as B. */
static inline void grd_rnn_pack(const grd_cpu_table *cpu, const float *w, int64_t k, int64_t n, float *panels)
{
    cpu->panel_pack(w, n, 1, 0, k, n, k, panels);
}

#endif
