/* One batch of a data set, bound to a model's inputs by name. */
#include "config/pipeline.h"

#include <string.h>

grd_status grd_one_batch_open(grd_pipeline *p, const grd_dataset *set, const grd_model *model, int64_t size, uint64_t seed,
                              bool shuffle, grd_one_batch *batch)
{
    const grd_batch *taken = NULL;
    memset(batch, 0, sizeof *batch);
    if (grd_dataset_length(set) == 0)
        return grd_fail(p->host, GRD_ERR_DATA, "%s: there are no samples", p->config.path);
    const grd_loader_opts opts = { .batch = size, .seed = seed, .shuffle = shuffle, .shuffle_buffer = size };
    GRD_TRY(grd_loader_new(p->ctx, set, &opts, &batch->loader));
    grd_status status = grd_loader_start(batch->loader, 0, 0);
    if (status == GRD_OK)
        status = grd_loader_next(batch->loader, &taken);
    if (status != GRD_OK) {
        grd_one_batch_close(batch);
        return status;
    }
    batch->n = taken->n;
    for (int i = 0; i < grd_model_inputs(model); i++) {
        for (int f = 0; f < taken->n_fields; f++) {
            if (strcmp(taken->field[f].name, grd_model_input_name(model, i)) == 0) {
                batch->shape[i] = taken->shape[f];
                batch->input[i] = taken->data[f];
            }
        }
    }
    return GRD_OK;
}

void grd_one_batch_close(grd_one_batch *batch)
{
    grd_loader_free(batch->loader);
    batch->loader = NULL;
}
