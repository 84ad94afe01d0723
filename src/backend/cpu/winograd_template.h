/* The transforms of one Winograd scheme. Included by winograd_kernels.c with
 *   M     places of a tile along one axis: 4 or 2; P = M + 2 points
 *   N(x)  the function's name
 * and behind it the four transforms of one line, each a matrix that is the outer product's half:
 *   N(line_b)  P -> P: B'    N(line_g)  3 -> P: G    N(line_a)  P -> M: A'
 *   N(line_at) M -> P: A     N(line_gt) P -> 3: G' */

#define P (M + 2)

/* ---- patches ---- */

/* rows x rows places from (i, j) of a picture h x w, zeros outside, through the gate's activation gradient if there is one. */
static void N(gather)(const grd_wino_map *s, int rows, const float *from, const float *gate, int64_t h, int64_t w, int64_t i, int64_t j,
                      float *patch)
{
    const int64_t left = j < 0 ? -j : 0, right = w - j < rows ? w - j : rows;
    for (int r = 0; r < rows; r++, patch += rows * W) {
        const int64_t row = i + r;
        if (row < 0 || row >= h || left >= right) {
            memset(patch, 0, sizeof(float) * (size_t)(rows * W));
            continue;
        }
        const int64_t at = (row * w + j + left) * W, n = (right - left) * W;
        memset(patch, 0, sizeof(float) * (size_t)(left * W));
        memset(patch + right * W, 0, sizeof(float) * (size_t)((rows - right) * W));
        if (gate)
            gate_gradient(s, gate + at, from + at, patch + left * W, n);
        else
            memcpy(patch + left * W, from + at, sizeof(float) * (size_t)n);
    }
}

typedef struct N(place) { int64_t n, i, j; } N(place); /* of a tile: picture, first row and column of the target */

static inline N(place) N(place_of)(const grd_wino_map *s, int64_t tile)
{
    const int64_t a_picture = s->tiles_h * s->tiles_w, in = tile % a_picture;
    return (N(place)){ tile / a_picture, in / s->tiles_w * M, in % s->tiles_w * M };
}

/* The tile after it. */
static inline void N(step)(const grd_wino_map *s, N(place) *at)
{
    at->j += M;
    if (at->j < s->ow)
        return;
    at->j = 0;
    at->i += M;
    if (at->i < s->oh)
        return;
    at->i = 0;
    at->n++;
}

/* ---- source side: V = B' patch B ---- */

static inline void N(rows_in)(V t[P][P], float *v, int64_t step)
{
    for (int r = 0; r < P; r++) {
        V z[P];
        N(line_b)(z, t[r]);
        for (int c = 0; c < P; c++)
            STORE(v + (r * P + c) * step, z[c]);
    }
}

static inline void N(patch_in)(const float *from, int64_t ld, float *v, int64_t step)
{
    V t[P][P];
    for (int c = 0; c < P; c++) {
        V x[P], z[P];
        for (int r = 0; r < P; r++)
            x[r] = LOAD(from + r * ld + c * W);
        N(line_b)(z, x);
        for (int r = 0; r < P; r++)
            t[r][c] = z[r];
    }
    N(rows_in)(t, v, step);
}

/* The same where the patch sticks out of the picture. */
static void N(border_in)(const grd_wino_map *s, const float *plane, int64_t i, int64_t j, float *v)
{
    static const float zeros[P * W];
    const float *row[P];
    V t[P][P];
    for (int r = 0; r < P; r++)
        row[r] = i + r >= 0 && i + r < s->h ? plane + ((i + r) * s->w + j) * W : NULL;
    for (int c = 0; c < P; c++) {
        const bool inside = j + c >= 0 && j + c < s->w;
        V x[P], z[P];
        for (int r = 0; r < P; r++)
            x[r] = LOAD(inside && row[r] ? row[r] + c * W : zeros);
        N(line_b)(z, x);
        for (int r = 0; r < P; r++)
            t[r][c] = z[r];
    }
    N(rows_in)(t, v, s->v_step);
}

static void N(source)(const grd_wino_job *j, const float *gate, int64_t first, int64_t n)
{
    const grd_wino_map *s = j->map;
    for (int64_t b = 0; b < s->blocks; b++) {
        N(place) at = N(place_of)(s, first);
        for (int64_t k = 0; k < n; k++, N(step)(s, &at)) {
            const int64_t plane = (at.n * s->blocks + b) * s->h * s->w * W, i = at.i - s->pad_h, jj = at.j - s->pad_w;
            float *v = j->v + (b * s->group + k) * W;
            if (gate) {
                V patch[P * P];
                N(gather)(s, P, j->x + plane, gate + plane, s->h, s->w, i, jj, (float *)patch);
                N(patch_in)((float *)patch, P * W, v, s->v_step);
            } else if (i < 0 || jj < 0 || i + P > s->h || jj + P > s->w) {
                N(border_in)(s, j->x + plane, i, jj, v);
            } else {
                N(patch_in)(j->x + plane + (i * s->w + jj) * W, s->w * W, v, s->v_step);
            }
        }
    }
}

/* ---- target side, convolution: y = act(A' T A + bias) ---- */

static inline void N(tile_out)(const float *t, int64_t step, V y[M][M])
{
    V z[M][P];
    for (int c = 0; c < P; c++) {
        V x[P], u[M];
        for (int r = 0; r < P; r++)
            x[r] = LOAD(t + (r * P + c) * step);
        N(line_a)(u, x);
        for (int r = 0; r < M; r++)
            z[r][c] = u[r];
    }
    for (int r = 0; r < M; r++)
        N(line_a)(y[r], z[r]);
}

static void N(target)(const grd_wino_job *j, int64_t first, int64_t n)
{
    const grd_wino_map *s = j->map;
    for (int64_t b = 0; b < s->o_blocks; b++) {
        V bias = { 0 };
        const int64_t lanes = s->o_channels - b * W;
        for (int64_t l = 0; j->bias && l < W && l < lanes; l++)
            bias[l] = j->bias[b * W + l];
        N(place) at = N(place_of)(s, first);
        for (int64_t k = 0; k < n; k++, N(step)(s, &at)) {
            V y[M][M];
            float *to = j->y + (((at.n * s->o_blocks + b) * s->oh + at.i) * s->ow + at.j) * W;
            const int64_t rows = s->oh - at.i < M ? s->oh - at.i : M, cols = s->ow - at.j < M ? s->ow - at.j : M;
            N(tile_out)(j->t + (b * s->group + k) * W, s->m_step, y);
            for (int r = 0; r < M; r++)
                for (int c = 0; c < M; c++)
                    y[r][c] += bias;
            finish(s, &y[0][0], M * M, lanes);
            for (int r = 0; r < rows; r++, to += s->ow * W)
                if (cols == M)
                    for (int c = 0; c < M; c++)
                        STORE(to + c * W, y[r][c]);
                else
                    for (int c = 0; c < cols; c++)
                        STORE(to + c * W, y[r][c]);
        }
    }
}

/* ---- target side, gradient: D = A dy A' ---- */

static inline void N(tile_in)(const float *from, int64_t ld, float *d, int64_t step)
{
    V t[P][M];
    for (int c = 0; c < M; c++) {
        V y[M], z[P];
        for (int r = 0; r < M; r++)
            y[r] = LOAD(from + r * ld + c * W);
        N(line_at)(z, y);
        for (int r = 0; r < P; r++)
            t[r][c] = z[r];
    }
    for (int r = 0; r < P; r++) {
        V z[P];
        N(line_at)(z, t[r]);
        for (int c = 0; c < P; c++)
            STORE(d + (r * P + c) * step, z[c]);
    }
}

static inline void N(add_total)(V *sum, const float *from, int64_t ld)
{
    for (int r = 0; r < M; r++)
        for (int c = 0; c < M; c++)
            *sum += LOAD(from + r * ld + c * W);
}

static void N(spread)(const grd_wino_job *j, int64_t first, int64_t n, bool begin)
{
    const grd_wino_map *s = j->map;
    for (int64_t b = 0; b < s->o_blocks; b++) {
        V sum = { 0 };
        N(place) at = N(place_of)(s, first);
        for (int64_t k = 0; k < n; k++, N(step)(s, &at)) {
            V patch[M * M];
            const int64_t plane = (at.n * s->o_blocks + b) * s->oh * s->ow * W;
            const float *from = j->dy + plane + (at.i * s->ow + at.j) * W;
            int64_t ld = s->ow * W;
            if (j->gate || at.i + M > s->oh || at.j + M > s->ow) {
                N(gather)(s, M, j->dy + plane, j->gate ? j->gate + plane : NULL, s->oh, s->ow, at.i, at.j, (float *)patch);
                from = (const float *)patch;
                ld = M * W;
            }
            if (j->sums)
                N(tile_in)(from, ld, j->t + (b * s->group + k) * W, s->m_step);
            if (j->db)
                N(add_total)(&sum, from, ld);
        }
        if (j->db)
            STORE(j->db + b * W, begin ? sum : sum + LOAD(j->db + b * W));
    }
}

/* ---- weights ---- */

/* w (3 x 3 vectors) to u, one point every `step` */
static inline void N(weights_in)(const V *w, float *u, int64_t step)
{
    V t[P][3];
    for (int c = 0; c < 3; c++) {
        const V x[3] = { w[c], w[3 + c], w[6 + c] };
        V z[P];
        N(line_g)(z, x);
        for (int r = 0; r < P; r++)
            t[r][c] = z[r];
    }
    for (int r = 0; r < P; r++) {
        V z[P];
        N(line_g)(z, t[r]);
        for (int c = 0; c < P; c++)
            STORE(u + (r * P + c) * step, z[c]);
    }
}

/* dw (3 x 3 vectors) = G' S G, S [P P] */
static inline void N(weights_out)(const V *sum, V *dw)
{
    V z[3][P];
    for (int c = 0; c < P; c++) {
        V x[P], u[3];
        for (int r = 0; r < P; r++)
            x[r] = sum[r * P + c];
        N(line_gt)(u, x);
        for (int r = 0; r < 3; r++)
            z[r][c] = u[r];
    }
    for (int r = 0; r < 3; r++)
        N(line_gt)(dw + 3 * r, z[r]);
}

/* ---- all tiles of a share ---- */

static void N(convolve)(const grd_wino_job *j, int64_t begin, int64_t end)
{
    for (int64_t first = begin; first < end; first += j->map->group) {
        const int64_t n = end - first < j->map->group ? end - first : j->map->group;
        N(source)(j, j->gate, first, n);
        for (int point = 0; point < P * P; point++)
            product(j, point, n);
        N(target)(j, first, n);
    }
}

static void N(correlate)(const grd_wino_job *j, int64_t begin, int64_t end)
{
    for (int64_t first = begin; first < end; first += j->map->group) {
        const int64_t n = end - first < j->map->group ? end - first : j->map->group;
        N(spread)(j, first, n, first == begin);
        if (!j->sums)
            continue;
        N(source)(j, NULL, first, n);
        for (int point = 0; point < P * P; point++)
            add_products(j, point, n, first == begin);
    }
}

#undef P
