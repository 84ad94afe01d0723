/* The two passes. Included by image_resize.c with
 *   T, SUM, W_TYPE  a pixel, a sum of weighted pixels, a weight   WEIGHT(axis)  the weights   N(name)  the function's name
 *   START(axis), END(sum, axis)  what a sum begins with, and the pixel it becomes */

static inline void N(row_of)(const T *restrict in, T *restrict out, const axis *a, int taps)
{
    const W_TYPE *w = WEIGHT(a);
    for (int x = 0; x < a->n; x++, w += taps) {
        const T *from = in + a->first[x];
        SUM sum = START(a);
        for (int k = 0; k < taps; k++)
            sum += (SUM)from[k] * (SUM)w[k];
        out[x] = END(sum, a);
    }
}

/* Along a row; numbers of taps known to the compiler are unrolled. */
static void N(along_row)(const T *in, T *out, const axis *a)
{
    switch (a->taps) {
    case 1: N(row_of)(in, out, a, 1); break;
    case 2: N(row_of)(in, out, a, 2); break;
    case 3: N(row_of)(in, out, a, 3); break;
    case 4: N(row_of)(in, out, a, 4); break;
    case 5: N(row_of)(in, out, a, 5); break;
    default: N(row_of)(in, out, a, a->taps);
    }
}

/* New row i from the rows at `rows`, `ld` apart. */
static void N(across_rows)(const T *restrict rows, int64_t ld, T *restrict out, int width, const axis *a, int i)
{
    const W_TYPE *w = WEIGHT(a) + (int64_t)i * a->taps;
    const T *from = rows + a->first[i] * ld;
    if (a->taps == 2) {
        W_TYPE w0 = w[0], w1 = w[1];
        const T *next = from + ld;
        for (int x = 0; x < width; x++)
            out[x] = END((SUM)START(a) + (SUM)from[x] * (SUM)w0 + (SUM)next[x] * (SUM)w1, a);
        return;
    }
    for (int begin = 0; begin < width; begin += BLOCK) {
        int n = width - begin < BLOCK ? width - begin : BLOCK;
        SUM sum[BLOCK];
        for (int x = 0; x < n; x++)
            sum[x] = START(a);
        for (int k = 0; k < a->taps; k++)
            for (int x = 0; x < n; x++)
                sum[x] += (SUM)from[k * ld + begin + x] * (SUM)w[k];
        for (int x = 0; x < n; x++)
            out[begin + x] = END(sum[x], a);
    }
}

static void N(plane)(const parts *p, const grd_pixels *in, const grd_pixels *out, int c)
{
    const T *from = (const T *)in->data + c * in->plane;
    T *to = (T *)out->data + c * out->plane, *rows = p->rows;
    int first = p->y.first[0], last = p->y.first[p->y.n - 1] + p->y.taps; /* rows that are wanted: they only go up */
    for (int y = first; y < last; y++)
        N(along_row)(from + y * in->row, rows + (int64_t)y * out->width, &p->x);
    for (int y = 0; y < out->height; y++)
        N(across_rows)(rows, out->width, to + y * out->row, out->width, &p->y, y);
}
