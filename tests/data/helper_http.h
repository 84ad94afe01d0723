/* An HTTP server on 127.0.0.1 in a thread, for one file, with the faults that servers have. The first folder of an address says
 * which: http://127.0.0.1:PORT/dies/NAME. */
#ifndef GRD_TESTS_DATA_HTTP_H
#define GRD_TESTS_DATA_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  well      as it should be; sends parts
 *  whole     does not know parts: always all of it
 *  dies      every connection breaks after HTTP_PIECE bytes
 *  halves    no parts, and every connection breaks after half of it
 *  corrupt   one bit is wrong
 *  silent    goes on to the half, then says nothing more
 *  slow      a little every 2 ms
 *  shifted   answers with other parts than it was asked for
 *  page      status 200 and a page that says sorry
 *  endless   does not say how much, and sends more than there is
 *  moved     sends on to well;  round: to itself;  away: to file:///etc/passwd
 *  gone      404;  empty: hangs up without a word */
enum { HTTP_PIECE = 70000, HTTP_MOST = 64 };

typedef struct http_request {
    char folder[16];
    int64_t from;       /* of its Range; -1: none */
    int64_t sent;       /* bytes of the body */
} http_request;

typedef struct http_server {
    const uint8_t *body;
    size_t size;
    int socket, port;
    _Atomic bool stop;
    int n;              /* requests; to be looked at after http_stop */
    http_request request[HTTP_MOST];
    unsigned long thread;
} http_server;

void http_start(http_server *s, const uint8_t *body, size_t size);
void http_stop(http_server *s);
/* "http://127.0.0.1:PORT/FOLDER/" */
const char *http_address(const http_server *s, const char *folder, char text[64]);

#endif
