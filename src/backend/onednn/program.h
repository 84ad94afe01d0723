/* A step as a short list of oneDNN primitives. Everything is made when the plan compiles; running binds pointers and executes.
 * Slots say where each argument comes from, so that no op needs a run function of its own. */
#ifndef GRD_BACKEND_ONEDNN_PROGRAM_H
#define GRD_BACKEND_ONEDNN_PROGRAM_H

#include "backend/onednn/onednn.h"
#include "backend/onednn/shim.h"

enum { GRD_DNN_MAX_CALLS = 6, GRD_DNN_MAX_ARGS = 6 };

typedef enum grd_dnn_from { GRD_DNN_IN, GRD_DNN_OUT, GRD_DNN_DOUT, GRD_DNN_DIN, GRD_DNN_TEMP, GRD_DNN_SCRATCHPAD } grd_dnn_from;

typedef struct grd_dnn_slot {
    grd_dnn_from from;
    int index;       /* which input, output, ... */
    size_t offset;   /* TEMP: bytes into the step's scratch memory */
} grd_dnn_slot;

typedef struct grd_dnn_call {
    dnnl_primitive_t primitive;
    int n;
    dnnl_exec_arg_t arg[GRD_DNN_MAX_ARGS];
    grd_dnn_slot slot[GRD_DNN_MAX_ARGS];
} grd_dnn_call;

typedef struct grd_dnn_program {
    grd_onednn_state base;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr;       /* says that scratchpads are handed in */
    grd_dnn_call call[GRD_DNN_MAX_CALLS];
    int n_calls;
    size_t temp, scratchpad;          /* bytes: values between the calls, then what the neediest call asks for */
    bool failed;                      /* sticks; the functions below do nothing then */
    void (*before)(const grd_impl *impl, const grd_args *args); /* around the calls; may be NULL */
    void (*after)(const grd_impl *impl, const grd_args *args);
} grd_dnn_program;

#define GRD_DNN_NO_SLOT ((grd_dnn_slot){ GRD_DNN_TEMP, -1, 0 })

/* A program inside a state of `bytes` (it comes first there); NULL: no memory, host knows. */
grd_dnn_program *grd_dnn_open(grd_host *host, size_t bytes);
void grd_dnn_drop(grd_impl *impl, grd_host *host);
/* Memory between calls. */
grd_dnn_slot grd_dnn_temp(grd_dnn_program *p, size_t bytes);
/* Adds a call; its arguments follow. */
void grd_dnn_add(grd_dnn_program *p, const_dnnl_primitive_desc_t pd);
void grd_dnn_arg(grd_dnn_program *p, int arg, shim_md_in md, grd_dnn_slot slot);
/* Adds a copy into another layout, nothing if the two are equal; returns where the result is. */
grd_dnn_slot grd_dnn_reorder(grd_dnn_program *p, shim_md_in from, grd_dnn_slot source, shim_md_in to, grd_dnn_slot target);
/* Hands the program to impl (or drops it, if something failed). NULL or the reason. */
const char *grd_dnn_close(grd_dnn_program *p, grd_impl *impl, grd_host *host);

/* ---- layouts ---- */

/* What a descriptor says, as a layout. `letters`: "nchw", "oihw", for its name. */
grd_layout grd_dnn_layout(shim_md_in md, const grd_shape *shape, const char *letters);
/* The other way round; false for layouts oneDNN has no name for. The descriptor is to be released. */
bool grd_dnn_describe(const grd_layout *layout, const grd_shape *shape, shim_md *md);
/* Row-major. */
bool grd_dnn_plain(int rank, const int64_t *dims, shim_md *md);

#endif
