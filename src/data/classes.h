/* One number of every sample, read once: its class, its length. */
#ifndef GRD_DATA_CLASSES_H
#define GRD_DATA_CLASSES_H

#include "data/dataset.h"

typedef struct grd_classes {
    int field;     /* which field; -1 = not read, or one class for all */
    int64_t n;     /* number of classes */
    int32_t *of;   /* per sample; NULL = all are class 0 */
} grd_classes;

/* Classes of field `name` (a single class index); kept if they were read before. who begins messages. Freed by the caller. */
grd_status grd_classes_read(const grd_dataset *data, const char *who, const char *name, grd_classes *classes);
/* A field that is one whole number (i32 or u8), of every sample. out: [length of the set]. */
grd_status grd_numbers_read(const grd_dataset *data, const char *who, const char *name, int64_t *out);
/* The length of each sample in field f: its first dimension that varies. out: [length of the set]. */
grd_status grd_lengths_read(const grd_dataset *data, const char *who, int f, int64_t *out);

#endif
