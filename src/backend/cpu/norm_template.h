/* Batch norm on one vector of channels, places `ld` floats apart. Included by norm_kernels.c with
 *   V, I   vector of W floats, of W int32    N(name)   the function's name */

/* Adds to sum and square (W each) those of x - k. */
static void N(sums)(const float *x, const float *k, int64_t rows, int64_t ld, double *sum, double *square)
{
    V shift = *(const V *)k;
    for (int64_t r = 0; r < rows; r += STRETCH) {
        int64_t end = r + STRETCH < rows ? r + STRETCH : rows, i = r;
        V s0 = { 0 }, s1 = { 0 }, q0 = { 0 }, q1 = { 0 };
        for (; i + 1 < end; i += 2) {
            V a = *(const V *)(x + i * ld) - shift, b = *(const V *)(x + (i + 1) * ld) - shift;
            s0 += a;
            s1 += b;
            q0 += a * a;
            q1 += b * b;
        }
        if (i < end) {
            V a = *(const V *)(x + i * ld) - shift;
            s0 += a;
            q0 += a * a;
        }
        s0 += s1;
        q0 += q1;
        for (int l = 0; l < W; l++) {
            sum[l] += (double)s0[l];
            square[l] += (double)q0[l];
        }
    }
}

/* y = (x - mean) scale + shift (+ add), through a ReLU or not. */
static void N(apply)(const grd_bn_job *j, const float *x, const float *add, float *y, int64_t rows, int64_t ld)
{
    V mean = *(const V *)j->mean, scale = *(const V *)j->scale, shift = *(const V *)j->shift;
    for (int64_t i = 0; i < rows; i++) {
        V z = (*(const V *)(x + i * ld) - mean) * scale + shift;
        if (add)
            z += *(const V *)(add + i * ld);
        *(V *)(y + i * ld) = j->relu ? GATE(z, z) : z;
    }
}

/* Adds to sum and product (W each) those of g and g (x - mean), g = dy behind the gate. */
static void N(grad_sums)(const grd_bn_job *j, const float *x, const float *dy, const float *y, int64_t rows, int64_t ld, double *sum,
                         double *product)
{
    V mean = *(const V *)j->mean, scale = *(const V *)j->scale, shift = *(const V *)j->shift;
    for (int64_t r = 0; r < rows; r += STRETCH) {
        int64_t end = r + STRETCH < rows ? r + STRETCH : rows;
        V s = { 0 }, p = { 0 };
        for (int64_t i = r; i < end; i++) {
            V d = *(const V *)(x + i * ld) - mean, g = *(const V *)(dy + i * ld);
            if (j->relu) {
                V z = y ? *(const V *)(y + i * ld) : (V)(d * scale + shift);
                g = GATE(z, g);
            }
            s += g;
            p += g * d;
        }
        for (int l = 0; l < W; l++) {
            sum[l] += (double)s[l];
            product[l] += (double)p[l];
        }
    }
}

/* dx = scale (g - offset - (x - mean) slope); dadd = g. Either may be NULL; dx or dadd may be dy. */
static void N(grad)(const grd_bn_job *j, const float *x, const float *dy, const float *y, float *dx, float *dadd, int64_t rows,
                    int64_t ld)
{
    V mean = *(const V *)j->mean, scale = *(const V *)j->scale, shift = *(const V *)j->shift;
    V offset = *(const V *)j->offset, slope = *(const V *)j->slope;
    for (int64_t i = 0; i < rows; i++) {
        V d = *(const V *)(x + i * ld) - mean, g = *(const V *)(dy + i * ld);
        if (j->relu) {
            V z = y ? *(const V *)(y + i * ld) : (V)(d * scale + shift);
            g = GATE(z, g);
        }
        if (dadd)
            *(V *)(dadd + i * ld) = g;
        if (dx)
            *(V *)(dx + i * ld) = scale * (g - offset - d * slope);
    }
}
