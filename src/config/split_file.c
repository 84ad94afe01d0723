/* RUN/STAGE/split.json: which of the source's samples a stage was trained, chosen and tested on, {"train": [indices], "val": ...,
 * "test": ...}. A run that goes on must find the same. */
#define _GNU_SOURCE
#include "config/pipeline.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_set(FILE *out, const char *name, const grd_dataset *set, bool more)
{
    fprintf(out, "\"%s\": ", name);
    if (!set || grd_dataset_length(set) < 0)
        fputs("null", out); /* none, or a stream */
    for (int64_t i = 0; set && i < grd_dataset_length(set); i++)
        fprintf(out, "%s%lld", i ? ", " : "[", (long long)grd_dataset_index(set, i));
    if (set && grd_dataset_length(set) >= 0)
        fputs(grd_dataset_length(set) ? "]" : "[]", out);
    fputs(more ? ",\n " : "}\n", out);
}

grd_status grd_stage_keep_split(const grd_stage *s, const grd_stage_data *data)
{
    grd_host *host = s->pipeline->host;
    char path[1200], *text = NULL;
    size_t size = 0, old_size;
    void *old;
    GRD_TRY(grd_stage_path(s, "split.json", path));
    FILE *memory = open_memstream(&text, &size);
    if (!memory)
        return grd_fail(host, GRD_ERR_MEMORY, "%s: out of memory", path);
    fputc('{', memory);
    print_set(memory, "train", data->train, true);
    print_set(memory, "val", data->val, true);
    print_set(memory, "test", data->test, false);
    if (fclose(memory) != 0) {
        free(text);
        return grd_fail(host, GRD_ERR_MEMORY, "%s: out of memory", path);
    }
    grd_status status;
    if (!grd_file_exists(path)) {
        status = grd_file_write(host, path, text, size);
    } else {
        status = grd_file_read(host, path, 0, &old, &old_size);
        if (status == GRD_OK) {
            if (old_size != size || memcmp(old, text, size) != 0)
                status = grd_fail(host, GRD_ERR_DATA, "%s: the run was begun with other samples than the data now give: have files of "
                                                      "the source, or options of data, changed?", path);
            grd_free(host, old);
        }
    }
    free(text);
    return status;
}
