#include "backend/backend.h"

const grd_backend *const grd_backends[] = {
    &grd_backend_cpu,
#ifdef GRD_HAVE_ONEDNN
    &grd_backend_onednn,
#endif
    &grd_backend_ref,
    NULL
};
