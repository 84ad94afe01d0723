/* One GET with libcurl, which is loaded when the first byte is asked for: with the some 25 libraries behind it, it would more than
 * double the time that every other start takes. */
#include "data/fetch.h"

#ifdef GRD_HAVE_CURL

#include <curl/curl.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct curl_calls { /* curl_easy_NAME */
    CURL *(*init)(void);
    CURLcode (*setopt)(CURL *handle, CURLoption option, ...);
    CURLcode (*getinfo)(CURL *handle, CURLINFO info, ...);
    CURLcode (*perform)(CURL *handle);
    void (*cleanup)(CURL *handle);
    const char *(*strerror)(CURLcode code);
} curl_calls;

typedef struct transfer {
    grd_part *part;
    curl_calls call;
    CURL *curl;
    const volatile int *stop;
    int64_t first, total;    /* of Content-Range: bytes FIRST-LAST/TOTAL; -1: not there */
    bool begun;              /* the body */
    bool refused;            /* by us, with a message */
    char error[CURL_ERROR_SIZE];
} transfer;

/* ---- the library ---- */

static bool find(void *library, const char *name, void *call)
{
    void *found = dlsym(library, name);
    memcpy(call, &found, sizeof found); /* ISO C has no cast from an object's address to a function's */
    return found != NULL;
}

/* It stays loaded until the process ends: it has state and threads of its own. */
static bool load(curl_calls *c, grd_host *host)
{
    void *library = dlopen(GRD_CURL_LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const bool good = library && find(library, "curl_easy_init", &c->init) && find(library, "curl_easy_setopt", &c->setopt) &&
                      find(library, "curl_easy_getinfo", &c->getinfo) && find(library, "curl_easy_perform", &c->perform) &&
                      find(library, "curl_easy_cleanup", &c->cleanup) && find(library, "curl_easy_strerror", &c->strerror);
    if (!good)
        grd_fail(host, GRD_ERR_UNSUPPORTED, "libcurl cannot be loaded (%s): without it files come from a folder only", dlerror());
    if (library)
        dlclose(library);
    return good;
}

/* ---- what the server says ---- */

/* "bytes 100-199/200"; the total may be *. */
static void read_range(transfer *t, const char *text)
{
    long long first, last, total = -1;
    char unit[8];
    if (sscanf(text, " %7s %lld-%lld/%lld", unit, &first, &last, &total) >= 3 && strcasecmp(unit, "bytes") == 0 && first >= 0) {
        t->first = first;
        t->total = total;
    }
}

static size_t on_header(char *bytes, size_t size, size_t n, void *user)
{
    static const char name[] = "content-range:";
    char line[128];
    transfer *t = user;
    size_t length = size * n < sizeof line - 1 ? size * n : sizeof line - 1;
    memcpy(line, bytes, length);
    line[length] = 0;
    if (strncmp(line, "HTTP/", 5) == 0)
        t->first = t->total = -1; /* a new answer, after a redirection */
    else if (strncasecmp(line, name, sizeof name - 1) == 0)
        read_range(t, line + sizeof name - 1);
    return size * n;
}

static long status_of(const transfer *t)
{
    long status = 0;
    t->call.getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* What is there is as long as theirs, or longer: no beginning of it. */
static bool past_end(const transfer *t) { return status_of(t) == 416 && t->part->have > 0; }

static bool refuse(transfer *t, const char *text)
{
    t->refused = true;
    grd_fail(t->part->host, GRD_ERR_IO, "%s", text);
    return false;
}

/* Before the first byte: whether the body is what was asked for, and where it belongs. */
static bool begin(transfer *t)
{
    char text[160];
    long code = status_of(t);
    curl_off_t length = -1;
    grd_part *part = t->part;
    t->call.getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    int64_t total = code == 206 ? t->total : length;
    if (code != 200 && code != 206) {
        snprintf(text, sizeof text, "HTTP status %ld, expected 200", code);
        return refuse(t, text);
    }
    if (code == 206 && t->first != part->have) {
        snprintf(text, sizeof text, "bytes from %lld on, expected from %lld on", (long long)t->first, (long long)part->have);
        return refuse(t, text);
    }
    if (part->file->size && total >= 0 && total != part->file->size) {
        snprintf(text, sizeof text, "%lld bytes, expected %lld", (long long)total, (long long)part->file->size);
        return refuse(t, text);
    }
    if (code == 200 && !grd_part_empty(part)) /* the server does not know ranges */
        return false;
    part->total = total > 0 ? total : part->file->size;
    return t->begun = true;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *user)
{
    transfer *t = user;
    if (!t->begun && past_end(t))
        return size * n; /* a sentence for people */
    if (!t->begun && !begin(t))
        return 0;
    if (grd_part_add(t->part, bytes, size * n))
        return size * n;
    t->refused = true;
    return 0;
}

static int on_time(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
    const transfer *t = user;
    (void)total, (void)now, (void)up_total, (void)up;
    return t->stop && *t->stop;
}

/* ---- asking ---- */

static bool prepare(transfer *t, const char *url, int64_t timeout)
{
    const char *schemes = strncasecmp(url, "https:", 6) == 0 ? "https" : "http,https"; /* never from https back to http */
    CURLcode bad = CURLE_OK;
#define SET(option, value) bad = bad ? bad : t->call.setopt(t->curl, option, value)
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_REDIR_PROTOCOLS_STR, schemes);
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, 10L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_USERAGENT, "gradus/" GRD_VERSION);
    SET(CURLOPT_CONNECTTIMEOUT, (long)timeout);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)timeout);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_XFERINFOFUNCTION, on_time);
    SET(CURLOPT_XFERINFODATA, t);
    SET(CURLOPT_NOPROGRESS, 0L);
    if (t->part->have > 0) {
        char range[32]; /* copied by libcurl */
        snprintf(range, sizeof range, "%lld-", (long long)t->part->have);
        SET(CURLOPT_RANGE, range);
    }
#undef SET
    return !bad || refuse(t, t->call.strerror(bad));
}

/* Whether it was the connection, not the answer, so that asking again may help. */
static bool broke(CURLcode code)
{
    return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR ||
           code == CURLE_OPERATION_TIMEDOUT || code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM;
}

static grd_got judge(transfer *t, CURLcode code)
{
    grd_host *host = t->part->host;
    if (t->refused)
        return GRD_GOT_NOTHING;
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        grd_fail(host, GRD_ERR_STOPPED, "stopped");
        return GRD_GOT_STOPPED;
    }
    if (code != CURLE_OK) {
        grd_fail(host, GRD_ERR_IO, "%s", *t->error ? t->error : t->call.strerror(code));
        return broke(code) ? GRD_GOT_SOME : GRD_GOT_NOTHING;
    }
    if (!t->begun && past_end(t))
        return grd_part_empty(t->part) ? GRD_GOT_AGAIN : GRD_GOT_NOTHING;
    if (!t->begun && !begin(t)) /* an empty body */
        return GRD_GOT_NOTHING;
    return GRD_GOT_ALL;
}

grd_got grd_http_get(grd_part *part, const char *url, int64_t timeout, const volatile int *stop)
{
    transfer t = { .part = part, .stop = stop, .first = -1, .total = -1 };
    if (!load(&t.call, part->host)) {
        part->failed = true; /* no mirror can help */
        return GRD_GOT_NOTHING;
    }
    t.curl = t.call.init();
    if (!t.curl) {
        grd_fail(part->host, GRD_ERR_MEMORY, "libcurl does not start");
        return GRD_GOT_NOTHING;
    }
    grd_got got = prepare(&t, url, timeout) ? judge(&t, t.call.perform(t.curl)) : GRD_GOT_NOTHING;
    t.call.cleanup(t.curl);
    return got;
}

#else

grd_got grd_http_get(grd_part *part, const char *url, int64_t timeout, const volatile int *stop)
{
    (void)url, (void)timeout, (void)stop;
    part->failed = true; /* no mirror can help */
    grd_fail(part->host, GRD_ERR_UNSUPPORTED, "this gradus was built without libcurl: it can take files from a folder only");
    return GRD_GOT_NOTHING;
}

#endif
