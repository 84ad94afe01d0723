/* Products with a matrix that is used again and again, as weights are at every step of a recurrence: it is laid out once in panels of
 * columns, in the order in which the product reads it. An element's sum runs over k in order, whatever the rows beside it. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/vectors.h"

#include <string.h>

/* Sums of ROWS x WIDE vectors stay in registers (of 32 on AVX-512, else of 16). */
#if defined GRD_ISA_avx512
enum { ROWS = 8, WIDE = 2 };
#elif defined GRD_ISA_avx2
enum { ROWS = 6, WIDE = 2 };
#else
enum { ROWS = 6, WIDE = 1 };
#endif
enum { LANES = GRD_WIDEST, COLS = WIDE * LANES };
typedef grd_wide V;
typedef float V8 __attribute__((vector_size(32)));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

int64_t GRD_KERNEL(panel_floats)(int64_t k, int64_t n)
{
    return (n + COLS - 1) / COLS * COLS * k;
}

/* 8 x 8 numbers whose rows lie `ld` apart, turned, into rows of a panel. */
INLINE void turn(const float *b, int64_t ld, float *to)
{
    V8 r[8], s[8];
    UNROLL for (int i = 0; i < 8; i++)
        r[i] = (V8)*(const grd_v8 *)(b + i * ld);
    UNROLL for (int i = 0; i < 8; i += 2) {
        s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL for (int i = 0; i < 8; i += 4)
        UNROLL for (int h = 0; h < 2; h++) {
            r[i + 2 * h] = __builtin_shufflevector(s[i + h], s[i + h + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            r[i + 2 * h + 1] = __builtin_shufflevector(s[i + h], s[i + h + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    UNROLL for (int i = 0; i < 4; i++) {
        *(grd_v8 *)(to + i * COLS) = (grd_v8)__builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        *(grd_v8 *)(to + (i + 4) * COLS) = (grd_v8)__builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

/* One panel from row q of B on. */
static void pack_columns(const float *b, int64_t row, int64_t col, int64_t q, int64_t k, int64_t cols, float *to)
{
    for (; q < k; q++) {
        for (int64_t c = 0; c < cols; c++)
            to[q * COLS + c] = b[q * row + c * col];
        memset(to + q * COLS + cols, 0, sizeof *to * (size_t)(COLS - cols));
    }
}

void GRD_KERNEL(panel_pack)(const float *b, int64_t row, int64_t col, int64_t first, int64_t k, int64_t n, int64_t deep, float *panels)
{
    for (int64_t j = 0; j < n; j += COLS, b += COLS * col) {
        float *to = panels + j * deep + first * COLS;
        int64_t q = 0;
        if (n - j < COLS) {
            pack_columns(b, row, col, q, k, n - j, to);
            continue;
        }
        for (; col == 1 && q < k; q++)
            memcpy(to + q * COLS, b + q * row, sizeof *to * COLS);
        for (; row == 1 && q + 8 <= k; q += 8)
            for (int64_t c = 0; c < COLS; c += 8)
                turn(b + q + c * col, col, to + q * COLS + c);
        pack_columns(b, row, col, q, k, COLS, to);
    }
}

/* `rows` rows of one panel; sums start from c if they are added to it. */
INLINE void block(const int rows, const bool turned, const grd_panel_job *job, const float *a, const float *panel, float *c, int64_t ldc)
{
    V sum[ROWS][WIDE];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int w = 0; w < WIDE; w++)
            sum[r][w] = job->add ? (V)*(const grd_vn *)(c + r * ldc + w * LANES) : (V){ 0 };
    for (int64_t q = 0; q < job->k; q++, panel += COLS)
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int w = 0; w < WIDE; w++)
                sum[r][w] += a[turned ? q * job->lda + r : r * job->lda + q] * (V)*(const grd_vn *)(panel + w * LANES);
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int w = 0; w < WIDE; w++)
            *(grd_vn *)(c + r * ldc + w * LANES) = (grd_vn)sum[r][w];
}

static void rows_of_panel(int64_t rows, const grd_panel_job *job, const float *a, const float *panel, float *c, int64_t ldc)
{
    switch (rows) {
#define CASE(n)                                       \
    case n:                                           \
        if (job->turned)                              \
            block(n, true, job, a, panel, c, ldc);    \
        else                                          \
            block(n, false, job, a, panel, c, ldc);   \
        break;
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#ifdef GRD_ISA_avx512
    CASE(7) CASE(8)
#endif
#undef CASE
    }
}

/* The last panel where columns are missing: by way of a whole block beside. */
static void narrow(int64_t rows, const grd_panel_job *job, const float *a, const float *panel, float *c, int64_t cols)
{
    float whole[ROWS * COLS];
    const size_t bytes = sizeof *c * (size_t)cols;
    memset(whole, 0, sizeof whole);
    for (int64_t r = 0; r < rows && job->add; r++)
        memcpy(whole + r * COLS, c + r * job->ldc, bytes);
    rows_of_panel(rows, job, a, panel, whole, COLS);
    for (int64_t r = 0; r < rows; r++)
        memcpy(c + r * job->ldc, whole + r * COLS, bytes);
}

/* Blocks of rows are as equal as can be: few rows make chains that wait for each other. */
void GRD_KERNEL(panel_product)(const grd_panel_job *job)
{
    const int64_t blocks = (job->m + ROWS - 1) / ROWS;
    for (int64_t j = 0; j < job->n; j += COLS)
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t i = job->m * b / blocks, rows = job->m * (b + 1) / blocks - i;
            const float *a = job->a + (job->turned ? i : i * job->lda), *panel = job->panels + j * job->deep + job->first * COLS;
            float *c = job->c + i * job->ldc + j;
            if (job->n - j < COLS)
                narrow(rows, job, a, panel, c, job->n - j);
            else
                rows_of_panel(rows, job, a, panel, c, job->ldc);
        }
}
