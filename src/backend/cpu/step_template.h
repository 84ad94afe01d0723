/* Optimizer kernels for one element type: T and NAME(x) are set by step_kernels.c. */

static inline T NAME(gradient)(const grd_step_job *j, T g)
{
    g *= (T)j->scale;
    if (j->clip_value > 0) {
        T c = (T)j->clip_value;
        g = g < -c ? -c : g > c ? c : g;
    }
    return g * (T)j->factor;
}

void GRD_KERNEL_T(adam)(const grd_step_job *j, int64_t begin, int64_t end)
{
    T *restrict p = j->p, *restrict m = j->m[0], *restrict v = j->m[1], *restrict most = j->m[2];
    const T *restrict g = j->g;
    const T b2 = (T)j->beta2, eps = (T)j->eps, rate = (T)(j->lr / j->correction1);
    const T root = (T)(1 / SQRT_DOUBLE(j->correction2)), l2 = j->decoupled ? 0 : (T)j->weight_decay;
    const T keep = j->decoupled ? (T)(1 - j->lr * j->weight_decay) : 1, c1 = (T)(1 - j->beta1), c2 = (T)(1 - j->beta2);
    const T scale = (T)(j->scale * j->factor);
    if (j->clip_value > 0 || j->amsgrad) {
        for (int64_t i = begin; i < end; i++) {
            T x = p[i] * keep, d = NAME(gradient)(j, g[i]) + l2 * p[i];
            m[i] += (d - m[i]) * c1;
            v[i] = b2 * v[i] + c2 * d * d;
            T second = v[i];
            if (j->amsgrad)
                second = most[i] = most[i] > v[i] ? most[i] : v[i];
            p[i] = x - rate * m[i] / (SQRT(second) * root + eps);
        }
        return;
    }
    for (int64_t i = begin; i < end; i++) {
        T x = p[i] * keep, d = g[i] * scale + l2 * p[i];
        T first = m[i] + (d - m[i]) * c1, second = b2 * v[i] + c2 * d * d;
        m[i] = first;
        v[i] = second;
        p[i] = x - rate * first / (SQRT(second) * root + eps);
    }
}

void GRD_KERNEL_T(sgd)(const grd_step_job *j, int64_t begin, int64_t end)
{
    T *restrict p = j->p, *restrict m = j->m[0];
    const T *restrict g = j->g;
    const T lr = (T)j->lr, decay = (T)j->weight_decay, mu = (T)j->momentum, fresh = j->first ? 1 : (T)(1 - j->dampening);
    for (int64_t i = begin; i < end; i++) {
        T d = NAME(gradient)(j, g[i]) + decay * p[i];
        if (m) {
            m[i] = (j->first ? 0 : mu * m[i]) + fresh * d;
            d = j->nesterov ? d + mu * m[i] : m[i];
        }
        p[i] -= lr * d;
    }
}

void GRD_KERNEL_T(average)(void *memory, const void *parameters, double weight, int64_t begin, int64_t end)
{
    T *restrict e = memory;
    const T *restrict p = parameters;
    const T share = (T)weight;
    for (int64_t i = begin; i < end; i++)
        e[i] += share * (p[i] - e[i]);
}

double GRD_KERNEL_T(squares)(const void *memory, int64_t n, double scale, double clip_value)
{
    const T *g = memory;
    double lane[8] = { 0 };
    const double top = clip_value > 0 ? clip_value : 1e300;
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) {
            double x = (double)g[i + k] * scale;
            x = x < -top ? -top : x > top ? top : x;
            lane[k] += x * x;
        }
    for (int k = 0; i < n; i++, k++) {
        double x = (double)g[i] * scale;
        x = x < -top ? -top : x > top ? top : x;
        lane[k] += x * x;
    }
    return ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
}
