/* concat of channels on channel-blocked layouts: whole blocks are copied, so all inputs but the last must fill theirs. */
#include "backend/cpu/planes.h"
#include "backend/cpu/rows.h"

#include "base/parallel.h"

#include <string.h>

enum { GRAIN = 16384 };

typedef struct concat_state {
    int64_t pictures, out;            /* elements of a picture */
    int64_t part[GRD_MAX_IN];         /* elements of a picture's part */
    int n;
} concat_state;

typedef struct job { const concat_state *s; const grd_args *a; bool backward; } job;

static void copy_pictures(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const concat_state *s = j->s;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * s->out;
        for (int k = 0; k < s->n; at += s->part[k++]) {
            size_t bytes = sizeof(float) * (size_t)s->part[k];
            if (!j->backward)
                memcpy((float *)(void *)j->a->out[0] + at, (const float *)j->a->in[k] + i * s->part[k], bytes);
            else if (j->a->din[k])
                memcpy((float *)(void *)j->a->din[k] + i * s->part[k], (const float *)(const void *)j->a->dout[0] + at, bytes);
        }
    }
}

static void run_copies(const grd_impl *impl, const grd_args *a, bool backward)
{
    const concat_state *s = impl->state;
    job j = { s, a, backward };
    grd_parallel_for(impl->threads, s->pictures, s->out >= GRAIN ? 1 : GRAIN / s->out, copy_pictures, &j);
}

static void forward(const grd_impl *impl, const grd_args *a) { run_copies(impl, a, false); }
static void backward(const grd_impl *impl, const grd_args *a) { run_copies(impl, a, true); }

/* The first channel-blocked layout among the inputs. */
static const grd_layout *find_blocked(const grd_node *node)
{
    grd_planes p;
    for (int i = 0; i < node->n_in; i++)
        if (node->in_layout[i].kind == GRD_LAYOUT_BLOCKED && grd_planes_of(&node->in_layout[i], &node->in_shape[i], &p))
            return &node->in_layout[i];
    return NULL;
}

GRD_CPU_PREPARE(grd_cpu_concat)
{
    const grd_axis_opts *o = node->attr;
    int rank = node->out_shape->rank;
    const grd_layout *like = find_blocked(node);
    if (!like || rank != 4 || (o->axis != 1 && o->axis != 1 - rank))
        return "no inputs blocked by channel";
    int lanes = like->inner_size[0];
    for (int i = 0; i + 1 < node->n_in; i++)
        if (node->in_shape[i].dim[1] % lanes != 0)
            return "an input does not fill its blocks of channels";
    concat_state *s = GRD_NEW(env->host, concat_state);
    if (!s)
        return "out of memory";
    impl->state = s;
    impl->owns_state = true;
    s->n = node->n_in;
    s->pictures = node->out_shape->dim[0];
    for (int i = 0; i < node->n_in; i++) {
        impl->in[i] = grd_planes_layout(like, &node->in_shape[i]);
        s->part[i] = (int64_t)(impl->in[i].bytes / sizeof(float)) / s->pictures;
        s->out += s->part[i];
        if (pass == GRD_BACKWARD)
            impl->din[i] = impl->in[i];
    }
    impl->out[0] = grd_planes_layout(like, node->out_shape);
    if (pass == GRD_BACKWARD)
        impl->dout[0] = impl->out[0];
    impl->run = pass == GRD_FORWARD ? forward : backward;
    return NULL;
}
