/* Pooling of W channels side by side. Included by pool_kernels.c with V, I, B (vectors of W floats, int32, bytes), W and N(name). */

/* where: which of the window's places (counted in the window, border included) held the maximum; may be NULL. */
static void N(maxpool)(const grd_pool_job *j, const float *restrict x, float *restrict y, uint8_t *where)
{
    for (int64_t oy = 0; oy < j->oh; oy++)
        for (int64_t ox = 0; ox < j->ow; ox++, y += W) {
            window v = window_of(j, oy, ox);
            int64_t top = oy * j->stride_h - j->pad_h, left = ox * j->stride_w - j->pad_w;
            const float *first = x + (v.y0 * j->w + v.x0) * W;
            V best = *(const V *)first;
            I place = (I){ 0 } + (int32_t)((v.y0 - top) * j->kernel_w + v.x0 - left);
            for (int64_t iy = v.y0; iy < v.y1; iy++)
                for (int64_t ix = v.x0; ix < v.x1; ix++) {
                    V p = *(const V *)(x + (iy * j->w + ix) * W);
                    I k = (I){ 0 } + (int32_t)((iy - top) * j->kernel_w + ix - left);
                    I wins = (I)((p > best) | ((p != p) & (best == best))); /* a NaN wins */
                    best = (V)(((I)p & wins) | ((I)best & ~wins));
                    place = (k & wins) | (place & ~wins);
                }
            *(V *)y = best;
            if (where)
                *(B *)where = __builtin_convertvector(place, B);
            where = where ? where + W : NULL;
        }
}

static void N(maxpool_grad)(const grd_pool_job *j, const float *restrict dy, const uint8_t *where, float *restrict dx)
{
    memset(dx, 0, sizeof *dx * (size_t)(j->h * j->w * W));
    for (int64_t oy = 0; oy < j->oh; oy++)
        for (int64_t ox = 0; ox < j->ow; ox++, dy += W, where += W) {
            window v = window_of(j, oy, ox);
            int64_t top = oy * j->stride_h - j->pad_h, left = ox * j->stride_w - j->pad_w;
            I place = __builtin_convertvector(*(const B *)where, I);
            V d = *(const V *)dy;
            for (int64_t iy = v.y0; iy < v.y1; iy++)
                for (int64_t ix = v.x0; ix < v.x1; ix++) {
                    V *p = (V *)(dx + (iy * j->w + ix) * W);
                    int32_t k = (int32_t)((iy - top) * j->kernel_w + ix - left);
                    *p += (V)((I)d & (I)(place == k));
                }
        }
}

static void N(avgpool)(const grd_pool_job *j, const float *restrict x, float *restrict y)
{
    for (int64_t oy = 0; oy < j->oh; oy++)
        for (int64_t ox = 0; ox < j->ow; ox++, y += W) {
            window v = window_of(j, oy, ox);
            V sum = { 0 };
            for (int64_t iy = v.y0; iy < v.y1; iy++)
                for (int64_t ix = v.x0; ix < v.x1; ix++)
                    sum += *(const V *)(x + (iy * j->w + ix) * W);
            *(V *)y = sum * factor_of(j, &v);
        }
}

static void N(avgpool_grad)(const grd_pool_job *j, const float *restrict dy, float *restrict dx)
{
    memset(dx, 0, sizeof *dx * (size_t)(j->h * j->w * W));
    for (int64_t oy = 0; oy < j->oh; oy++)
        for (int64_t ox = 0; ox < j->ow; ox++, dy += W) {
            window v = window_of(j, oy, ox);
            V part = *(const V *)dy * factor_of(j, &v);
            for (int64_t iy = v.y0; iy < v.y1; iy++)
                for (int64_t ix = v.x0; ix < v.x1; ix++)
                    *(V *)(dx + (iy * j->w + ix) * W) += part;
        }
}
