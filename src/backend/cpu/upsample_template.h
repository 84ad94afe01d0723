/* Pictures of W channels side by side at another size. Included by upsample_kernels.c with V (vectors of W floats), W and N(name). */

static void N(nearest)(const grd_upsample_job *j, const float *restrict x, float *restrict y)
{
    const int64_t line = j->x.out * W;
    for (int64_t oy = 0; oy < j->y.out; oy++, y += line) {
        if (oy && j->y.tap[oy].low == j->y.tap[oy - 1].low) {
            memcpy(y, y - line, sizeof *y * (size_t)line);
            continue;
        }
        const float *row = x + j->y.tap[oy].low * j->x.in * W;
        for (int64_t ox = 0; ox < j->x.out; ox++)
            *(V *)(y + ox * W) = *(const V *)(row + j->x.tap[ox].low * (int64_t)W);
    }
}

static void N(bilinear)(const grd_upsample_job *j, const float *restrict x, float *restrict y)
{
    for (int64_t oy = 0; oy < j->y.out; oy++) {
        const grd_upsample_tap v = j->y.tap[oy];
        const float *top = x + v.low * j->x.in * W, *bottom = x + v.high * j->x.in * W;
        for (int64_t ox = 0; ox < j->x.out; ox++, y += W) {
            const grd_upsample_tap u = j->x.tap[ox];
            const int64_t left = u.low * (int64_t)W, right = u.high * (int64_t)W;
            V above = (1 - u.part) * *(const V *)(top + left) + u.part * *(const V *)(top + right);
            V below = (1 - u.part) * *(const V *)(bottom + left) + u.part * *(const V *)(bottom + right);
            *(V *)y = (1 - v.part) * above + v.part * below;
        }
    }
}

static void N(grad)(const grd_upsample_job *j, const float *restrict dy, float *restrict dx)
{
    for (int64_t iy = 0; iy < j->y.in; iy++) {
        const grd_upsample_touch v = j->y.touch[iy];
        for (int64_t ix = 0; ix < j->x.in; ix++, dx += W) {
            const grd_upsample_touch u = j->x.touch[ix];
            V sum = { 0 };
            for (int64_t oy = v.begin; oy < v.end; oy++) {
                const float *from = dy + oy * j->x.out * W, *weight = j->x.weight + u.first - u.begin;
                V line = { 0 };
                for (int64_t ox = u.begin; ox < u.end; ox++)
                    line += weight[ox] * *(const V *)(from + ox * W);
                sum += j->y.weight[v.first + oy - v.begin] * line;
            }
            *(V *)dx = sum;
        }
    }
}
