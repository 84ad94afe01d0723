/* The GRU between its products: one step of one row of the batch, gates in the order r z n. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/vmath.h"

/* b: sums of both biases for r and z, then b_in, b_hn. s: w_ih x -> gates. u: w_hh h. q: what r is a factor of. before, h: state. */
void GRD_KERNEL(gru_cell)(int64_t n, const float *restrict b, float *restrict s, const float *restrict u, float *restrict q,
                          const float *restrict before, float *restrict h)
{
    float *restrict sr = s, *restrict sz = s + n, *restrict sn = s + 2 * n;
    for (int64_t k = 0; k < n; k++) {
        const float r = vmath_sigmoid(sr[k] + u[k] + b[k]), z = vmath_sigmoid(sz[k] + u[n + k] + b[n + k]);
        const float inner = u[2 * n + k] + b[3 * n + k], fresh = vmath_tanh(GRD_FMA(r, inner, sn[k] + b[2 * n + k]));
        sr[k] = r;
        sz[k] = z;
        sn[k] = fresh;
        q[k] = inner;
        h[k] = GRD_FMA(z, before[k] - fresh, fresh);
    }
}

/* dh: gradient of h after the step -> what of it goes past the gates. du, ds: of w_hh h and w_ih x. before: h before the step. */
void GRD_KERNEL(gru_cell_gradient)(int64_t n, const float *restrict s, const float *restrict q, const float *restrict before,
                                   float *restrict dh, float *restrict ds, float *restrict du)
{
    for (int64_t k = 0; k < n; k++) {
        const float r = s[k], z = s[n + k], fresh = s[2 * n + k];
        const float dn = dh[k] * (1 - z) * (1 - fresh * fresh);
        const float dr = dn * q[k] * r * (1 - r), dz = dh[k] * (before[k] - fresh) * z * (1 - z);
        ds[k] = dr;
        ds[n + k] = dz;
        ds[2 * n + k] = dn;
        du[k] = dr;
        du[n + k] = dz;
        du[2 * n + k] = dn * r;
        dh[k] *= z;
    }
}
