/* PyTorch's .pth files: a tree of plain data to bytes and back.
 *
 * Written: a zip of stored records (top folder `archive`), pickle protocol 2, each storage at a multiple of 64 bytes, true
 * CRC-32 in both headers, no time stamps: the same tree gives the same bytes. torch.load reads it with weights_only=True and
 * with mmap=True. Read: that, what torch.save has written since 1.6 (deflated records and zip64 too), and the older format
 * (0.1.10 to 1.5). Nothing that is read is executed: a class or function outside a short list is refused by name. */
#ifndef GRD_FORMAT_PTH_H
#define GRD_FORMAT_PTH_H

#include "base/file.h"
#include "format/value.h"

/* ---- writing ---- */

/* The whole file, atomically (beside, synced, renamed). Tensors go to the file straight from their memory; those with the same
 * pointer, type and count share one storage, as tied weights do in PyTorch. Text must be UTF-8. */
grd_status grd_pth_write(grd_host *host, const char *path, const grd_value *root);
/* The same into an open file, from its current position, which must be 0. `name` begins messages. */
grd_status grd_pth_write_file(grd_host *host, const char *name, FILE *file, const grd_value *root);

/* ---- reading ---- */

typedef struct grd_pth {
    grd_value *root;     /* may share nodes (tied weights: the same node), never has cycles; at most GRD_PTH_MAX_DEPTH deep */
    grd_arena arena;     /* the tree, and elements that had to be converted */
    void *bytes;         /* the file: tensors point into it */
} grd_pth;

#define GRD_PTH_MAX_DEPTH 64

/* Reads a whole file. Types of tensors: float16 and bfloat16 become F32; bool is U8; int8 and int16 become I32 (`stored` says
 * what it was). Views with strides become row-major. OrderedDict has `ordered`; torch.Size is a tuple; a set is a list; a dtype
 * or a device is text; bytes are text; an integer beyond 64 bits is text "0x..."; entries with other keys than text and integers
 * are left out.
 * On success call grd_pth_close; on failure nothing is held. Messages begin with the path. */
grd_status grd_pth_read(grd_host *host, const char *path, grd_pth *pth);
/* The same from memory, which must outlive `pth`. */
grd_status grd_pth_parse(grd_host *host, const char *name, const void *bytes, size_t size, grd_pth *pth);
void grd_pth_close(grd_pth *pth); /* NULL, or already closed: nothing */

#endif
