/* Writing .pth files: the pickle first, then each storage from where it lies. */
#include "format/pth.h"

#include "format/pickle.h"
#include "format/zip.h"

#include <stdio.h>

static grd_status write_records(grd_zip_writer *zip, const grd_bytes *pickle, const grd_storage_list *storages)
{
    GRD_TRY(grd_zip_add(zip, "archive/data.pkl", pickle->data, pickle->size));
    GRD_TRY(grd_zip_add(zip, "archive/byteorder", "little", 6));
    for (int i = 0; i < storages->n; i++) {
        const grd_tensor_data *tensor = storages->item[i];
        char entry[40];
        snprintf(entry, sizeof entry, "archive/data/%d", i);
        GRD_TRY(grd_zip_add(zip, entry, tensor->data, (uint64_t)grd_count(&tensor->shape) * grd_dtype_size(tensor->dtype)));
    }
    GRD_TRY(grd_zip_add(zip, "archive/version", "3\n", 2));
    return grd_zip_end(zip);
}

grd_status grd_pth_write_file(grd_host *host, const char *name, FILE *file, const grd_value *root)
{
    grd_bytes pickle;
    grd_storage_list storages = { 0 };
    grd_zip_writer zip;
    grd_bytes_init(&pickle, host);
    grd_zip_begin(&zip, host, name, file);
    grd_status status = grd_pickle_write(host, name, root, &pickle, &storages);
    if (status == GRD_OK)
        status = write_records(&zip, &pickle, &storages);
    grd_zip_drop(&zip);
    grd_free(host, storages.item);
    grd_bytes_free(&pickle);
    return status;
}

grd_status grd_pth_write(grd_host *host, const char *path, const grd_value *root)
{
    grd_atomic atomic;
    GRD_TRY(grd_atomic_open(host, &atomic, path));
    grd_status status = grd_pth_write_file(host, path, atomic.file, root);
    if (status == GRD_OK)
        return grd_atomic_commit(host, &atomic);
    grd_atomic_abort(&atomic);
    return status;
}
