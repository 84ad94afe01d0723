/* .pth files: the zip around the pickle and its storages. */
#include "format/pth.h"

#include "format/pickle.h"
#include "format/zip.h"

#include <stdio.h>
#include <string.h>

/* ---- writing ---- */

static grd_status write_records(grd_zip_writer *zip, const grd_bytes *pickle, const grd_storage_list *storages)
{
    GRD_TRY(grd_zip_add(zip, "archive/data.pkl", pickle->data, pickle->size));
    GRD_TRY(grd_zip_add(zip, "archive/byteorder", "little", 6));
    for (int i = 0; i < storages->n; i++) {
        char entry[40];
        const grd_tensor_data *t = storages->item[i];
        snprintf(entry, sizeof entry, "archive/data/%d", i);
        GRD_TRY(grd_zip_add(zip, entry, t->data, (uint64_t)grd_count(&t->shape) * grd_dtype_size(t->dtype)));
    }
    GRD_TRY(grd_zip_add(zip, "archive/version", "3\n", 2));
    return grd_zip_end(zip);
}

grd_status grd_pth_write_file(grd_host *host, const char *name, FILE *file, const grd_value *root)
{
    grd_bytes pickle;
    grd_storage_list storages = { 0 };
    grd_bytes_init(&pickle, host);
    grd_status status = grd_pickle_write(host, name, root, &pickle, &storages);
    if (status == GRD_OK) {
        grd_zip_writer zip;
        grd_zip_begin(&zip, host, name, file);
        status = write_records(&zip, &pickle, &storages);
        grd_zip_drop(&zip);
    }
    grd_free(host, storages.item);
    grd_bytes_free(&pickle);
    return status;
}

grd_status grd_pth_write(grd_host *host, const char *path, const grd_value *root)
{
    grd_atomic atomic;
    GRD_TRY(grd_atomic_open(host, &atomic, path));
    grd_status status = grd_pth_write_file(host, path, atomic.file, root);
    if (status != GRD_OK) {
        grd_atomic_abort(&atomic);
        return status;
    }
    return grd_atomic_commit(host, &atomic);
}

/* ---- reading ---- */

typedef struct reader {
    grd_host *host;
    const char *name;
    grd_zip zip;
    const uint8_t *top;  /* folder of the records */
    size_t top_size;
    grd_pickle pickle;
} reader;

static grd_status bad(const reader *r, const char *what) { return grd_fail(r->host, GRD_ERR_FORMAT, "%s: %s", r->name, what); }

static grd_zip_entry *record(const reader *r, const char *rest, size_t rest_size)
{
    char name[512];
    if (r->top_size + rest_size + 1 > sizeof name)
        return NULL;
    memcpy(name, r->top, r->top_size);
    memcpy(name + r->top_size, rest, rest_size);
    return grd_zip_find(&r->zip, name, r->top_size + rest_size);
}

/* The folder that holds data.pkl. */
static grd_status find_top(reader *r)
{
    static const char tail[] = "/data.pkl";
    size_t n = sizeof tail - 1;
    for (size_t i = 0; i < r->zip.n; i++) {
        const grd_zip_entry *e = &r->zip.entry[i];
        if (e->name_size <= n || memcmp(e->name + e->name_size - n, tail, n) != 0)
            continue;
        if (memchr(e->name, '/', e->name_size - n))
            continue;
        r->top = (const uint8_t *)e->name;
        r->top_size = e->name_size - n;
        return GRD_OK;
    }
    return bad(r, "no record data.pkl: not a PyTorch file");
}

static grd_status check_version(reader *r)
{
    grd_zip_entry *e = record(r, "/version", 8);
    if (!e)
        e = record(r, "/.data/version", 14);
    if (!e)
        return bad(r, "no record version: not a PyTorch file");
    if (record(r, "/constants.pkl", 14))
        return bad(r, "a TorchScript file; expected one that torch.save has written");
    grd_zip_entry *order = record(r, "/byteorder", 10);
    if (order)
        GRD_TRY(grd_zip_load(&r->zip, order));
    if (order && (order->size < 6 || memcmp(order->data, "little", 6) != 0))
        return bad(r, "not little-endian");
    return GRD_OK;
}

static grd_status resolve_tensor(reader *r, const grd_tensor_ref *ref)
{
    const grd_storage *s = ref->storage;
    char rest[300];
    if (s->key_size > 256)
        return bad(r, "a storage key of more than 256 letters");
    memcpy(rest, "/data/", 6);
    memcpy(rest + 6, s->key, s->key_size);
    grd_zip_entry *e = record(r, rest, 6 + s->key_size);
    if (!e)
        return grd_fail(r->host, GRD_ERR_FORMAT, "%s: storage data/%.40s is missing", r->name, s->key);
    int64_t reach = grd_strided_reach(&ref->view);
    if (s->count < 0 || (uint64_t)s->count > e->size / s->type->size || reach < 0 || reach > s->count)
        return grd_fail(r->host, GRD_ERR_FORMAT, "%s: storage data/%.40s has %llu bytes, its tensors need more", r->name, s->key, (unsigned long long)e->size);
    GRD_TRY(grd_zip_load(&r->zip, e));
    grd_tensor_data *t = &ref->value->tensor;
    int64_t count = grd_count(&t->shape);
    const uint8_t *at = e->data + (size_t)ref->view.offset * s->type->size;
    bool aligned = (uintptr_t)at % grd_dtype_size(t->dtype) == 0;
    if (!count || (grd_strided_plain(&ref->view) && !s->type->convert && aligned)) {
        t->data = count ? at : NULL;
        return GRD_OK;
    }
    uint64_t bytes = (uint64_t)count * grd_dtype_size(t->dtype);
    if (bytes > *r->pickle.budget)
        return bad(r, "its tensors take more memory than the file accounts for");
    *r->pickle.budget -= bytes;
    void *copy = grd_arena_alloc(r->zip.arena, bytes);
    if (!copy)
        return GRD_ERR_MEMORY;
    grd_strided_gather(&ref->view, s->type, e->data, copy);
    t->data = copy;
    return GRD_OK;
}

static grd_status read_zip(reader *r)
{
    GRD_TRY(find_top(r));
    GRD_TRY(check_version(r));
    grd_zip_entry *e = record(r, "/data.pkl", 9);
    GRD_TRY(grd_zip_load(&r->zip, e));
    r->pickle.bytes = e->data;
    r->pickle.size = e->size;
    GRD_TRY(grd_pickle_read(&r->pickle));
    for (int i = 0; i < r->pickle.tensors.n; i++)
        GRD_TRY(resolve_tensor(r, &r->pickle.tensors.item[i]));
    return GRD_OK;
}

grd_status grd_pth_parse(grd_host *host, const char *name, const void *bytes, size_t size, grd_pth *pth)
{
    memset(pth, 0, sizeof *pth);
    grd_arena_init(&pth->arena, host);
    uint64_t budget = (uint64_t)64 * size + (1 << 20); /* more than any honest file of that size unpacks to */
    reader r = { .host = host, .name = name };
    r.pickle = (grd_pickle){ .arena = &pth->arena, .name = name, .budget = &budget };
    grd_status status;
    if (size >= 15 && memcmp(bytes, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", 15) == 0)
        status = bad(&r, "written by PyTorch before 1.6; expected the zip format: load it there and save it again");
    else if (size < 4 || memcmp(bytes, "PK\3\4", 4) != 0)
        status = bad(&r, "not a .pth file: it does not begin as a zip archive");
    else
        status = grd_zip_open(&r.zip, &pth->arena, name, bytes, size, &budget);
    if (status == GRD_OK)
        status = read_zip(&r);
    grd_pickle_drop(&r.pickle);
    pth->root = r.pickle.root;
    if (status != GRD_OK)
        grd_pth_close(pth);
    return status;
}

grd_status grd_pth_read(grd_host *host, const char *path, grd_pth *pth)
{
    void *bytes;
    size_t size;
    memset(pth, 0, sizeof *pth);
    GRD_TRY(grd_file_read(host, path, 0, &bytes, &size));
    grd_status status = grd_pth_parse(host, path, bytes, size, pth);
    if (status != GRD_OK) {
        grd_free(host, bytes);
        return status;
    }
    pth->bytes = bytes;
    return GRD_OK;
}

void grd_pth_close(grd_pth *pth)
{
    if (!pth || !pth->arena.host)
        return;
    grd_host *host = pth->arena.host;
    grd_arena_free(&pth->arena);
    grd_free(host, pth->bytes);
    memset(pth, 0, sizeof *pth);
}
