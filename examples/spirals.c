/* A small network learns to tell three spiral arms apart: data, graph, trainer, test. Nothing is written to disk. */
#include <gradus/gradus.h>

#include <stdio.h>

static grd_var hidden(grd_var x, int64_t units)
{
    return grd_relu(grd_linear(x, &(grd_linear_opts){ .out = units }));
}

static grd_status learn(grd_ctx *c)
{
    grd_graph *g = grd_graph_new(c);
    if (!g)
        return GRD_ERR_MEMORY;
    grd_var x = grd_input(g, "x", GRD_F32, 2, (int64_t[]){ GRD_VARIES, 2 });
    grd_var y = grd_input(g, "label", GRD_I32, 1, (int64_t[]){ GRD_VARIES });
    grd_var h = grd_linear(hidden(hidden(x, 64), 64), &(grd_linear_opts){ .out = 3 });
    grd_var loss = grd_cross_entropy(h, y, NULL), accuracy = grd_accuracy(h, y, NULL);

    grd_dataset *train, *val, *test;
    grd_status s = grd_dataset_open(c, "spirals", "n=1500 seed=1", &train);
    if (s == GRD_OK)
        s = grd_dataset_open(c, "spirals", "n=300 seed=2", &val);
    if (s == GRD_OK)
        s = grd_dataset_open(c, "spirals", "n=1000 seed=3", &test);
    if (s != GRD_OK)
        return s;

    grd_trainer *t;
    s = grd_trainer_new(c, &(grd_trainer_opts){ .loss = loss, .metrics = { accuracy }, .train = train, .val = val,
                                                .optim = "adam lr=1e-2", .schedule = "cosine", .epochs = 30, .batch = 50 }, &t);
    if (s == GRD_OK)
        s = grd_trainer_fit(t); /* the model then holds the weights of the best epoch */
    if (s != GRD_OK)
        return s;

    grd_metric value[2];
    int n = 2;
    s = grd_evaluate(grd_trainer_model(t), &(grd_eval_opts){ .loss = loss, .metrics = { accuracy }, .data = test, .batch = 100 },
                     value, &n);
    if (s != GRD_OK)
        return s;
    printf("best epoch %lld; on 1000 new points: loss %.4f, accuracy %.3f\n",
           (long long)grd_trainer_state(t)->best_epoch, value[0].value, value[1].value);
    return value[1].value > 0.9 ? GRD_OK : GRD_ERR_NUMBER;
}

int main(void)
{
    grd_ctx *c = grd_open(&(grd_opts){ .seed = 1 });
    if (!c)
        return 1;
    grd_status s = learn(c);
    if (s != GRD_OK)
        fprintf(stderr, "%s: %s\n", grd_status_name(s), grd_error(c)); /* the first error, with path and shapes */
    grd_close(c);                                                      /* frees all that was made from c */
    return s != GRD_OK;
}
