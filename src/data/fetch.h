/* Getting a file: what fetch.c, which knows when a file is right, and fetch_http.c, which knows libcurl, tell each other. */
#ifndef GRD_DATA_FETCH_H
#define GRD_DATA_FETCH_H

#include "base/bar.h"
#include "base/host.h"

#include <gradus/data.h>

typedef struct grd_part {    /* a file that is coming, under its temporary name */
    grd_host *host;
    const grd_remote_file *file;
    char path[1024];
    int fd;
    int64_t have;            /* bytes in it */
    int64_t total;           /* it will have; 0 = not known */
    int64_t received;        /* bytes that came, those thrown away too */
    bool failed;             /* it could not be written: another mirror would not help */
    grd_bar bar;
    double begun, drawn;     /* clock */
} grd_part;

/* The next bytes. False: they could not be written, or are more than there can be; the message is in the host. */
bool grd_part_add(grd_part *part, const void *bytes, size_t n);
bool grd_part_empty(grd_part *part); /* throws away what is there */

typedef enum grd_got {
    GRD_GOT_ALL,             /* the server says that this is all */
    GRD_GOT_SOME,            /* the connection broke; what came is in the part */
    GRD_GOT_AGAIN,           /* what was there was no beginning of it and is thrown away */
    GRD_GOT_NOTHING,         /* this address does not have it */
    GRD_GOT_STOPPED          /* on request */
} grd_got;

/* Appends what is missing, or starts again from the beginning where the server does not send parts. The reason of anything but
 * GRD_GOT_ALL is in the host. */
grd_got grd_http_get(grd_part *part, const char *url, int64_t timeout, const volatile int *stop);

#endif
