#define _GNU_SOURCE
#include "helper_http.h"

#include "helper_data.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is(const http_request *r, const char *folder) { return strcmp(r->folder, folder) == 0; }

/* Until the empty line; false if the other side hung up. */
static bool read_request(http_server *s, int fd, http_request *r)
{
    char text[4096] = "";
    size_t n = 0;
    while (!strstr(text, "\r\n\r\n")) {
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got <= 0 || s->stop)
            return false;
        n += (size_t)got;
        text[n] = 0;
    }
    const char *range = strstr(text, "Range: bytes=");
    r->from = range ? atoll(range + strlen("Range: bytes=")) : -1;
    return sscanf(text, "GET /%15[a-z]/", r->folder) == 1;
}

static void say(int fd, const char *text) { (void)!send(fd, text, strlen(text), MSG_NOSIGNAL); }

static void wait_for_hangup(http_server *s, int fd)
{
    char rest[256];
    while (!s->stop) {
        struct pollfd p = { fd, POLLIN, 0 };
        if (poll(&p, 1, 20) > 0 && recv(fd, rest, sizeof rest, 0) <= 0)
            return;
    }
}

/* The bytes first..end of the file, in the manner of the folder. */
static void send_body(http_server *s, int fd, http_request *r, int64_t first, int64_t end)
{
    const int64_t piece = is(r, "slow") ? 1000 : 8192;
    for (int64_t at = first; at < end && !s->stop;) {
        uint8_t out[8192];
        int64_t n = end - at < piece ? end - at : piece;
        for (int64_t i = 0; i < n; i++)
            out[i] = s->body[(at + i) % (int64_t)s->size];
        if (is(r, "corrupt") && at <= (int64_t)s->size - 10 && at + n > (int64_t)s->size - 10)
            out[(int64_t)s->size - 10 - at] ^= 4;
        ssize_t sent = send(fd, out, (size_t)n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        at += sent;
        r->sent += sent;
        if (is(r, "slow"))
            usleep(2000);
    }
}

static void answer_file(http_server *s, int fd, http_request *r)
{
    char head[256];
    const int64_t size = (int64_t)s->size;
    bool parts = r->from >= 0 && !is(r, "whole") && !is(r, "halves") && !is(r, "endless");
    int64_t first = parts ? r->from + is(r, "shifted") : 0, end = size;
    if (parts && first >= size) {
        snprintf(head, sizeof head, "HTTP/1.1 416 No\r\nContent-Range: bytes */%lld\r\nContent-Length: 5\r\n\r\nsorry",
                 (long long)size);
        say(fd, head);
        return;
    }
    if (is(r, "endless"))
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    else if (parts)
        snprintf(head, sizeof head, "HTTP/1.1 206 Part\r\nContent-Range: bytes %lld-%lld/%lld\r\nContent-Length: %lld\r\n\r\n",
                 (long long)first, (long long)size - 1, (long long)size, (long long)(size - first));
    else
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\n\r\n", (long long)size);
    say(fd, head);
    if (is(r, "dies") && first + HTTP_PIECE < end)
        end = first + HTTP_PIECE;
    else if (is(r, "halves") || (is(r, "silent") && first < size / 2))
        end = size / 2;
    else if (is(r, "endless"))
        end = 2 * size;
    send_body(s, fd, r, first, end);
    if (is(r, "silent") && end < size)
        wait_for_hangup(s, fd);
}

static void answer(http_server *s, int fd, http_request *r)
{
    char text[200], to[64] = "file:///etc/passwd";
    if (is(r, "gone"))
        say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot here\n");
    else if (is(r, "page"))
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n<html>sorry, no</html>");
    else if (is(r, "moved") || is(r, "round") || is(r, "away")) {
        if (!is(r, "away"))
            http_address(s, is(r, "moved") ? "well" : "round", to);
        snprintf(text, sizeof text, "HTTP/1.1 302 Found\r\nLocation: %s%s\r\nContent-Length: 6\r\n\r\nmoved\n", to,
                 is(r, "away") ? "" : "a.bin");
        say(fd, text);
    } else if (!is(r, "empty"))
        answer_file(s, fd, r);
}

static void *serve(void *user)
{
    http_server *s = user;
    while (!s->stop) {
        struct pollfd p = { s->socket, POLLIN, 0 };
        if (poll(&p, 1, 20) <= 0)
            continue;
        int fd = accept(s->socket, NULL, NULL);
        if (fd < 0)
            continue;
        for (int more = 1; more;) { /* a redirection comes on the same connection */
            http_request *r = &s->request[s->n % HTTP_MOST];
            *r = (http_request){ .from = -1 };
            more = read_request(s, fd, r);
            if (!more)
                break;
            s->n++;
            answer(s, fd, r);
            more = is(r, "moved") || is(r, "round") || is(r, "away");
        }
        shutdown(fd, SHUT_WR);
        wait_for_hangup(s, fd); /* so that what was sent arrives: closing with unread bytes would reset */
        close(fd);
    }
    return NULL;
}

void http_start(http_server *s, const uint8_t *body, size_t size)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t length = sizeof to;
    pthread_t thread;
    memset(s, 0, sizeof *s);
    s->body = body;
    s->size = size;
    s->socket = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->socket >= 0);
    assert_int_equal(bind(s->socket, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(listen(s->socket, 8), 0);
    assert_int_equal(getsockname(s->socket, (struct sockaddr *)&to, &length), 0);
    s->port = ntohs(to.sin_port);
    assert_int_equal(pthread_create(&thread, NULL, serve, s), 0);
    s->thread = thread;
}

void http_stop(http_server *s)
{
    s->stop = true;
    pthread_join((pthread_t)s->thread, NULL);
    close(s->socket);
}

const char *http_address(const http_server *s, const char *folder, char text[64])
{
    snprintf(text, 64, "http://127.0.0.1:%d/%s/", s->port, folder);
    return text;
}
