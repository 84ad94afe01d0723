/* Arrays of NumPy: .npy (versions 1 to 3) and .npz, read from bytes that nobody has to trust, and written. The header is parsed
 * as the small literal it is; nothing in it is executed. */
#ifndef GRD_FORMAT_NPY_H
#define GRD_FORMAT_NPY_H

#include "base/map.h"
#include "format/zip.h"

#include <gradus/tensor.h>

#define GRD_NPY_MAX_RANK 32

typedef enum grd_npy_type {
    GRD_NPY_BOOL, GRD_NPY_U8, GRD_NPY_I8, GRD_NPY_U16, GRD_NPY_I16, GRD_NPY_U32, GRD_NPY_I32, GRD_NPY_U64, GRD_NPY_I64,
    GRD_NPY_F16, GRD_NPY_F32, GRD_NPY_F64
} grd_npy_type;
size_t grd_npy_size(grd_npy_type type);      /* bytes of an element */
const char *grd_npy_name(grd_npy_type type); /* "float32" */

typedef struct grd_npy {
    grd_host *host;
    grd_npy_type type;
    int rank;                      /* 0: one element */
    int64_t dim[GRD_NPY_MAX_RANK]; /* may be 0 */
    int64_t count;                 /* product of the dimensions */
    const void *data;              /* row-major, in this machine's byte order, aligned to its elements; but of a view */
    bool swap;                     /* a view's data is in the other byte order */
    void *owned;                   /* what grd_npy_close frees */
    grd_map map;                   /* and what it closes */
} grd_npy;

/* The bytes must hold one array and nothing more. npy->data may point into them, so they must outlive it. On failure nothing is
 * left to close. Structured, object, text, time and complex types are refused. */
grd_status grd_npy_parse(grd_host *host, const char *name, const void *bytes, size_t size, grd_npy *npy);
grd_status grd_npy_read(grd_host *host, const char *path, grd_npy *npy);
/* The same without a copy of the elements: for grd_npy_convert only, which reads them in either byte order and wherever they lie.
 * Fortran order is refused: a row would lie all over the file. */
grd_status grd_npy_view(grd_host *host, const char *name, const void *bytes, size_t size, grd_npy *npy);
grd_status grd_npy_map(grd_host *host, const char *path, grd_npy *npy);
void grd_npy_close(grd_npy *npy);

/* `n` elements from `first` on as type `to`. Floats may be rounded to f32; whatever else would change a value is an error that
 * says which: a float that is no integer, a number outside of the range. `name` begins the message. */
grd_status grd_npy_convert(const grd_npy *npy, const char *name, int64_t first, int64_t n, grd_dtype to, void *out);

grd_npy_type grd_npy_type_of(grd_dtype dtype);
/* Version 1, little-endian, row-major; atomically. */
grd_status grd_npy_write(grd_host *host, const char *path, grd_npy_type type, int rank, const int64_t *dim, const void *data);

/* ---- .npz: a zip of arrays ---- */

typedef struct grd_npz {
    grd_arena arena;
    char *path;
    void *bytes;
    grd_map map;
    uint64_t budget;
    grd_zip zip;   /* sorted by name; zip.n records */
} grd_npz;

/* On failure nothing is left to close. */
grd_status grd_npz_open(grd_host *host, const char *path, grd_npz *npz);
grd_status grd_npz_map(grd_host *host, const char *path, grd_npz *npz);
grd_status grd_npz_parse(grd_host *host, const char *name, const void *bytes, size_t size, grd_npz *npz); /* bytes outlive it */
void grd_npz_close(grd_npz *npz);
/* By its name without ".npy"; a name that is not there is an error that lists those that are. Close it before the npz. */
grd_status grd_npz_load(grd_npz *npz, const char *name, grd_npy *npy);
grd_status grd_npz_view(grd_npz *npz, const char *name, grd_npy *npy); /* without a copy, if it is stored uncompressed */
bool grd_npz_is_stored(const grd_npz *npz, const char *name);

typedef struct grd_npz_item {
    const char *name; /* without ".npy" */
    grd_npy_type type;
    int rank;
    const int64_t *dim;
    const void *data;
} grd_npz_item;
grd_status grd_npz_write(grd_host *host, const char *path, const grd_npz_item *item, int n); /* stored; atomically */

#endif
