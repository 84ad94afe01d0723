/* Reading .pth files: which container it is, its pickle, then the tensors' elements. */
#include "format/pth.h"

#include "format/pickle.h"
#include "format/zip.h"

#include <stdlib.h>
#include <string.h>

typedef struct reader {
    grd_host *host;
    grd_arena *arena;
    const char *name;
    const uint8_t *bytes;
    size_t size;
    uint64_t budget;      /* bytes that may still be allocated */
    grd_pickle pickle;
} reader;

static grd_status fail(const reader *r, const char *what)
{
    return grd_fail(r->host, GRD_ERR_FORMAT, "%s: %s", r->name, what);
}

/* ---- tensors ---- */

static grd_status check_storage(const reader *r, const grd_storage *storage, uint64_t bytes)
{
    char key[GRD_PRINTABLE];
    if ((uint64_t)storage->count <= bytes / storage->type->size)
        return GRD_OK;
    return grd_fail(r->host, GRD_ERR_FORMAT, "%s: storage \"%s\" has %llu bytes, expected %lld elements of %s", r->name,
                    grd_printable(storage->key, storage->key_size, key), (unsigned long long)bytes, (long long)storage->count,
                    storage->type->stored);
}

/* Points the tensor at its elements in the file if they can stay there, else gathers them. */
static grd_status bind_tensor(reader *r, const grd_tensor_ref *ref, const uint8_t *data)
{
    const grd_storage_type *type = ref->storage->type;
    size_t element = grd_dtype_size(type->dtype);
    uint64_t bytes = (uint64_t)grd_count(&ref->view.shape) * element;
    if (!bytes)
        return GRD_OK;
    const uint8_t *begin = data + (size_t)ref->view.offset * type->size;
    if (!type->convert && grd_strided_plain(&ref->view) && (uintptr_t)begin % element == 0) {
        ref->value->tensor.data = begin;
        return GRD_OK;
    }
    if (bytes > r->budget)
        return fail(r, "the tensors need far more memory than the file's size");
    r->budget -= bytes;
    void *out = grd_arena_alloc(r->arena, (size_t)bytes);
    if (!out)
        return GRD_ERR_MEMORY;
    grd_strided_gather(&ref->view, type, data, out);
    ref->value->tensor.data = out;
    return GRD_OK;
}

/* ---- zip ---- */

typedef struct archive {
    grd_zip zip;
    const char *folder;   /* with its slash */
    size_t folder_size;
} archive;

static grd_zip_entry *find_record(const archive *a, const char *name, size_t name_size, char *path, size_t path_size)
{
    if (a->folder_size + name_size > path_size)
        return NULL;
    memcpy(path, a->folder, a->folder_size);
    memcpy(path + a->folder_size, name, name_size);
    return grd_zip_find(&a->zip, path, a->folder_size + name_size);
}

static grd_zip_entry *find_named(const archive *a, const char *name)
{
    char path[1024];
    return find_record(a, name, strlen(name), path, sizeof path);
}

/* The folder is that of FOLDER/data.pkl. */
static grd_zip_entry *find_pickle(archive *a)
{
    const char end[] = "/data.pkl";
    const size_t end_size = sizeof end - 1;
    for (size_t i = 0; i < a->zip.n; i++) {
        grd_zip_entry *entry = &a->zip.entry[i];
        if (entry->name_size <= end_size || memcmp(entry->name + entry->name_size - end_size, end, end_size) != 0)
            continue;
        a->folder = entry->name;
        a->folder_size = entry->name_size - end_size + 1;
        if (!memchr(a->folder, '/', a->folder_size - 1))
            return entry;
    }
    return NULL;
}

static grd_status check_version(reader *r, archive *a)
{
    grd_zip_entry *version = find_named(a, "version"), *order = find_named(a, "byteorder");
    if (!version)
        version = find_named(a, ".data/version");
    if (!version)
        return fail(r, "no record \"version\": not a file of torch.save, or a damaged one");
    GRD_TRY(grd_zip_load(&a->zip, version));
    char text[8] = "", shown[GRD_PRINTABLE];
    memcpy(text, version->data, version->size < sizeof text ? (size_t)version->size : sizeof text - 1);
    int number = atoi(text);
    if (number < 1 || number > 10)
        return grd_fail(r->host, GRD_ERR_FORMAT, "%s: file version \"%s\", expected 1 to 10", r->name,
                        grd_printable(text, strcspn(text, "\n"), shown));
    if (!order)
        return GRD_OK;
    GRD_TRY(grd_zip_load(&a->zip, order));
    if (order->size != 6 || memcmp(order->data, "little", 6) != 0)
        return grd_fail(r->host, GRD_ERR_FORMAT, "%s: byte order \"%s\", expected \"little\"", r->name,
                        grd_printable(order->data, (size_t)order->size, shown));
    return GRD_OK;
}

static grd_status bind_from_zip(reader *r, archive *a, const grd_tensor_ref *ref)
{
    const grd_storage *storage = ref->storage;
    char path[1024], key[GRD_PRINTABLE], name[512];
    grd_zip_entry *entry = NULL;
    if (storage->key_size < sizeof name - 5) {
        memcpy(name, "data/", 5);
        memcpy(name + 5, storage->key, storage->key_size);
        entry = find_record(a, name, 5 + storage->key_size, path, sizeof path);
    }
    if (!entry)
        return grd_fail(r->host, GRD_ERR_FORMAT, "%s: no record \"data/%s\", which a tensor needs", r->name,
                        grd_printable(storage->key, storage->key_size, key));
    GRD_TRY(grd_zip_load(&a->zip, entry));
    GRD_TRY(check_storage(r, storage, entry->size));
    return bind_tensor(r, ref, entry->data);
}

static grd_status read_zip(reader *r)
{
    archive a = { 0 };
    GRD_TRY(grd_zip_open(&a.zip, r->arena, r->name, r->bytes, r->size, &r->budget));
    grd_zip_entry *pickle = find_pickle(&a);
    if (!pickle)
        return fail(r, "a zip archive without FOLDER/data.pkl: not a file of torch.save");
    if (find_named(&a, "constants.pkl"))
        return fail(r, "a TorchScript archive (it has constants.pkl), expected a state_dict saved by torch.save");
    GRD_TRY(check_version(r, &a));
    GRD_TRY(grd_zip_load(&a.zip, pickle));
    r->pickle.bytes = pickle->data;
    r->pickle.size = (size_t)pickle->size;
    GRD_TRY(grd_pickle_read(&r->pickle));
    for (int i = 0; i < r->pickle.tensors.n; i++)
        GRD_TRY(bind_from_zip(r, &a, &r->pickle.tensors.item[i]));
    return GRD_OK;
}

/* ---- the format before PyTorch 1.6: five pickles in a row, then for each storage its number of elements and they ---- */

#define LEGACY_MAGIC "0x1950a86a20f9469cfc6c"

static grd_status read_legacy_head(reader *r)
{
    GRD_TRY(grd_pickle_read(&r->pickle));
    if (strcmp(grd_value_to_text(r->pickle.root, ""), LEGACY_MAGIC) != 0)
        return fail(r, "a pickle, but not a file of torch.save (its magic number is missing)");
    GRD_TRY(grd_pickle_read(&r->pickle));
    int64_t protocol = grd_value_to_int(r->pickle.root, -1);
    if (protocol != 1001)
        return grd_fail(r->host, GRD_ERR_FORMAT, "%s: protocol %lld, expected 1001", r->name, (long long)protocol);
    GRD_TRY(grd_pickle_read(&r->pickle));
    if (!grd_value_to_bool(grd_value_get(r->pickle.root, "little_endian"), true))
        return fail(r, "written on a big-endian machine, expected little-endian");
    return GRD_OK;
}

/* Where each storage's elements begin in the file: a dict from key to offset. */
static grd_status find_storages(reader *r, const grd_value *keys, grd_value *offsets)
{
    grd_value *types = grd_value_dict(r->arena); /* key -> index of a tensor that uses it */
    for (int i = 0; i < r->pickle.tensors.n; i++) {
        const grd_storage *s = r->pickle.tensors.item[i].storage;
        GRD_TRY(grd_value_set_key(r->arena, types, grd_value_bytes(r->arena, s->key, s->key_size), grd_value_int(r->arena, i)));
    }
    size_t at = r->pickle.at;
    for (int i = 0; i < grd_value_count(keys); i++) {
        const grd_value *key = grd_value_item(keys, i);
        const grd_value *index = grd_value_is(key, GRD_VALUE_TEXT) ? grd_value_get(types, key->text.bytes) : NULL;
        if (!index)
            return fail(r, "its list of storages names one that no tensor uses");
        const grd_storage *storage = r->pickle.tensors.item[index->integer].storage;
        if (r->size - at < 8)
            return fail(r, "cut short in the list of storages");
        uint64_t count = grd_little(r->bytes + at, 8);
        at += 8;
        if (count != (uint64_t)storage->count)
            return grd_fail(r->host, GRD_ERR_FORMAT, "%s: storage \"%s\" has %llu elements, expected %lld", r->name, storage->key,
                            (unsigned long long)count, (long long)storage->count);
        GRD_TRY(check_storage(r, storage, r->size - at));
        GRD_TRY(grd_value_set_key(r->arena, offsets, key, grd_value_int(r->arena, (int64_t)at)));
        at += (size_t)count * storage->type->size;
    }
    return GRD_OK;
}

static grd_status read_legacy(reader *r)
{
    r->pickle.bytes = r->bytes;
    r->pickle.size = r->size;
    GRD_TRY(read_legacy_head(r));
    GRD_TRY(grd_pickle_read(&r->pickle));
    grd_value *root = r->pickle.root, *offsets = grd_value_dict(r->arena);
    GRD_TRY(grd_pickle_read(&r->pickle));
    if (!offsets || !grd_value_is(r->pickle.root, GRD_VALUE_LIST))
        return offsets ? fail(r, "no list of storages after the data") : GRD_ERR_MEMORY;
    GRD_TRY(find_storages(r, r->pickle.root, offsets));
    r->pickle.root = root;
    for (int i = 0; i < r->pickle.tensors.n; i++) {
        const grd_tensor_ref *ref = &r->pickle.tensors.item[i];
        const grd_value *offset = grd_value_get(offsets, ref->storage->key);
        if (!offset)
            return grd_fail(r->host, GRD_ERR_FORMAT, "%s: no storage \"%s\", which a tensor needs", r->name, ref->storage->key);
        GRD_TRY(check_storage(r, ref->storage, r->size - (size_t)offset->integer));
        GRD_TRY(bind_tensor(r, ref, r->bytes + offset->integer));
    }
    return GRD_OK;
}

/* ---- the whole ---- */

static grd_status read_any(reader *r)
{
    if (r->size >= 4 && memcmp(r->bytes, "PK\3\4", 4) == 0)
        return read_zip(r);
    if (r->size && r->bytes[0] == 0x80)
        return read_legacy(r);
    if (r->size >= 262 && memcmp(r->bytes + 257, "ustar", 5) == 0)
        return fail(r, "a tar archive, as PyTorch before 0.1.10 wrote them; load it there and save it again");
    char shown[GRD_PRINTABLE];
    grd_printable(r->bytes, r->size < 8 ? r->size : 8, shown);
    return grd_fail(r->host, GRD_ERR_FORMAT, "%s: not a .pth file: begins with \"%s\" (%zu bytes in all), expected zip or pickle",
                    r->name, shown, r->size);
}

grd_status grd_pth_parse(grd_host *host, const char *name, const void *bytes, size_t size, grd_pth *pth)
{
    *pth = (grd_pth){ 0 };
    grd_arena_init(&pth->arena, host);
    reader r = { .host = host, .arena = &pth->arena, .name = name, .bytes = bytes, .size = size };
    r.budget = ((uint64_t)256 << 20) + 16 * (uint64_t)size;
    r.pickle = (grd_pickle){ .arena = &pth->arena, .name = name, .budget = &r.budget };
    grd_status status = read_any(&r);
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
    *pth = (grd_pth){ 0 };
    GRD_TRY(grd_file_read(host, path, 0, &bytes, &size));
    grd_status status = grd_pth_parse(host, path, bytes, size, pth);
    if (status == GRD_OK)
        pth->bytes = bytes;
    else
        grd_free(host, bytes);
    return status;
}

void grd_pth_close(grd_pth *pth)
{
    if (!pth || !pth->arena.host)
        return;
    grd_free(pth->arena.host, pth->bytes);
    grd_arena_free(&pth->arena);
    *pth = (grd_pth){ 0 };
}
