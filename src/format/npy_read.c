/* Reading .npy: magic, version, the length of a header, the header (a Python dict of three keys), then the elements. */
#include "format/npy.h"

#include "base/file.h"

#include <string.h>

static const struct {
    const char *name;
    char code; /* as in descr */
    unsigned char size;
} types[] = {
    { "bool", 'b', 1 },  { "uint8", 'u', 1 },   { "int8", 'i', 1 },    { "uint16", 'u', 2 },
    { "int16", 'i', 2 }, { "uint32", 'u', 4 },  { "int32", 'i', 4 },   { "uint64", 'u', 8 },
    { "int64", 'i', 8 }, { "float16", 'f', 2 }, { "float32", 'f', 4 }, { "float64", 'f', 8 },
};
enum { TYPES = sizeof types / sizeof *types };

size_t grd_npy_size(grd_npy_type type) { return types[type].size; }
const char *grd_npy_name(grd_npy_type type) { return types[type].name; }

static bool little_endian(void)
{
    const uint16_t one = 1;
    return *(const uint8_t *)&one == 1;
}

/* ---- the header ---- */

typedef struct header {
    grd_npy *npy;
    const char *name;
    const char *at, *end;
    bool fortran, swap, view;
    unsigned seen; /* keys, a bit each */
} header;

static grd_status bad(const header *h, const char *what)
{
    char text[GRD_PRINTABLE];
    return grd_fail(h->npy->host, GRD_ERR_FORMAT, "%s: bad .npy header: %s at \"%s\"", h->name, what,
                    grd_printable(h->at, (size_t)(h->end - h->at), text));
}

static void blanks(header *h)
{
    while (h->at < h->end && (*h->at == ' ' || *h->at == '\n' || *h->at == '\t'))
        h->at++;
}

static bool take(header *h, const char *word)
{
    size_t n = strlen(word);
    blanks(h);
    if ((size_t)(h->end - h->at) < n || memcmp(h->at, word, n) != 0)
        return false;
    h->at += n;
    return true;
}

/* A quoted text without escapes, which is all that keys and simple types need. */
static bool take_text(header *h, char *text, size_t room)
{
    blanks(h);
    if (h->at == h->end || (*h->at != '\'' && *h->at != '"'))
        return false;
    const char *begin = h->at + 1, *close = memchr(begin, *h->at, (size_t)(h->end - begin));
    if (!close || (size_t)(close - begin) >= room || memchr(begin, '\\', (size_t)(close - begin)))
        return false;
    memcpy(text, begin, (size_t)(close - begin));
    text[close - begin] = 0;
    h->at = close + 1;
    return true;
}

static grd_status refuse_type(const header *h, const char *descr)
{
    const char *what = "its type";
    switch (descr[strspn(descr, "<>=|")]) {
    case 'O':
        return grd_fail(h->npy->host, GRD_ERR_UNSUPPORTED,
                        "%s: an array of Python objects (pickles), which are never loaded; save it as an array of numbers",
                        h->name);
    case 'U': case 'S': case 'a':
        what = "text";
        break;
    case 'M': case 'm':
        what = "times";
        break;
    case 'c':
        what = "complex numbers";
    }
    char text[GRD_PRINTABLE];
    return grd_fail(h->npy->host, GRD_ERR_UNSUPPORTED,
                    "%s: %s '%s' cannot be read; expected bool, integers of 8 to 64 bits or floats of 16 to 64", h->name, what,
                    grd_printable(descr, strlen(descr), text));
}

static grd_status read_descr(header *h)
{
    char descr[32];
    blanks(h);
    if (h->at < h->end && (*h->at == '[' || *h->at == '('))
        return grd_fail(h->npy->host, GRD_ERR_UNSUPPORTED,
                        "%s: a structured array (records with fields); save each field as an array of its own", h->name);
    if (!take_text(h, descr, sizeof descr))
        return bad(h, "no text for 'descr'");
    const char *c = descr + (strchr("<>=|", descr[0]) && descr[0]);
    int k = 0;
    while (k < TYPES && !(c[0] == types[k].code && c[1] == '0' + types[k].size && !c[2]))
        k++;
    if (k == TYPES || (types[k].size > 1 && (c == descr || descr[0] == '|')))
        return refuse_type(h, descr);
    h->npy->type = (grd_npy_type)k;
    h->swap = types[k].size > 1 && ((descr[0] == '<' && !little_endian()) || (descr[0] == '>' && little_endian()));
    return GRD_OK;
}

static grd_status read_order(header *h)
{
    h->fortran = take(h, "True");
    return h->fortran || take(h, "False") ? GRD_OK : bad(h, "neither True nor False for 'fortran_order'");
}

static grd_status read_shape(header *h)
{
    grd_npy *npy = h->npy;
    bool comma = false;
    if (!take(h, "("))
        return bad(h, "no tuple for 'shape'");
    while (!take(h, ")")) {
        if (npy->rank && !comma)
            return bad(h, "no comma in 'shape'");
        if (npy->rank == GRD_NPY_MAX_RANK)
            return bad(h, "more than 32 dimensions");
        int64_t d = 0;
        if (h->at == h->end || *h->at < '0' || *h->at > '9')
            return bad(h, "no number in 'shape'");
        for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++) {
            if (d > (INT64_MAX - 9) / 10)
                return bad(h, "too large a dimension");
            d = d * 10 + (*h->at - '0');
        }
        if (h->at < h->end && *h->at == 'L') /* written by Python 2 */
            h->at++;
        npy->dim[npy->rank++] = d;
        comma = take(h, ",");
    }
    return npy->rank == 1 && !comma ? bad(h, "\"(n)\" is no tuple") : GRD_OK;
}

static grd_status read_dict(header *h)
{
    static const struct {
        const char *key;
        grd_status (*read)(header *h);
    } keys[] = { { "descr", read_descr }, { "fortran_order", read_order }, { "shape", read_shape } };
    if (!take(h, "{"))
        return bad(h, "no dict");
    while (!take(h, "}")) {
        char key[32];
        unsigned k = 0;
        if (!take_text(h, key, sizeof key))
            return bad(h, "no key");
        while (k < 3 && strcmp(key, keys[k].key) != 0)
            k++;
        if (k == 3 || (h->seen & 1u << k))
            return bad(h, k == 3 ? "an unknown key" : "a key that is there twice");
        h->seen |= 1u << k;
        if (!take(h, ":"))
            return bad(h, "no colon");
        GRD_TRY(keys[k].read(h));
        if (!take(h, ",")) {
            if (!take(h, "}"))
                return bad(h, "no comma");
            break;
        }
    }
    blanks(h);
    if (h->at != h->end)
        return bad(h, "more after the dict");
    return h->seen == 7 ? GRD_OK : bad(h, "one of descr, fortran_order, shape is missing");
}

/* ---- the elements ---- */

static grd_status check_size(const header *h, size_t left)
{
    grd_npy *npy = h->npy;
    uint64_t bytes = grd_npy_size(npy->type);
    bool empty = false, fits = true;
    for (int k = 0; k < npy->rank; k++)
        empty = empty || npy->dim[k] == 0;
    for (int k = 0; k < npy->rank && !empty; k++) {
        fits = fits && (uint64_t)npy->dim[k] <= (uint64_t)INT64_MAX / bytes;
        bytes = fits ? bytes * (uint64_t)npy->dim[k] : bytes;
    }
    bytes = empty ? 0 : bytes;
    npy->count = (int64_t)(bytes / grd_npy_size(npy->type));
    if (!fits || bytes > left)
        return grd_fail(npy->host, GRD_ERR_FORMAT,
                        "%s: the shape in the header takes more than the %zu bytes behind it: the file was cut off", h->name,
                        left);
    if (bytes < left)
        return grd_fail(npy->host, GRD_ERR_FORMAT, "%s: %zu bytes after the last element", h->name, left - (size_t)bytes);
    return GRD_OK;
}

static void copy_element(uint8_t *to, const uint8_t *from, size_t size, bool swap)
{
    if (!swap)
        memcpy(to, from, size);
    for (size_t b = 0; swap && b < size; b++)
        to[b] = from[size - 1 - b];
}

/* To row-major: the index of the source runs along, first dimension fastest. */
static void transpose(const header *h, const uint8_t *from, uint8_t *to)
{
    const grd_npy *npy = h->npy;
    size_t size = grd_npy_size(npy->type);
    int64_t at[GRD_NPY_MAX_RANK] = { 0 }, step[GRD_NPY_MAX_RANK], position = 0;
    for (int64_t k = 0, n = 1; k < npy->rank; n *= npy->dim[k++])
        step[k] = n;
    for (int64_t i = 0; i < npy->count; i++) {
        copy_element(to + (size_t)i * size, from + (size_t)position * size, size, h->swap);
        for (int k = npy->rank - 1; k >= 0; k--) {
            position += step[k];
            if (++at[k] < npy->dim[k])
                break;
            position -= step[k] * npy->dim[k];
            at[k] = 0;
        }
    }
}

static grd_status place_elements(const header *h, const uint8_t *from)
{
    grd_npy *npy = h->npy;
    size_t size = grd_npy_size(npy->type), n = (size_t)npy->count;
    bool transposed = h->fortran && npy->rank > 1 && n;
    npy->data = from;
    if (h->view && transposed)
        return grd_fail(npy->host, GRD_ERR_UNSUPPORTED,
                        "%s: in Fortran order, where a sample lies all over the file: it cannot be mapped; save it with "
                        "numpy.ascontiguousarray", h->name);
    npy->swap = h->view && h->swap;
    if (h->view || (!transposed && !h->swap && (uintptr_t)from % size == 0))
        return GRD_OK;
    uint8_t *to = grd_alloc_raw(npy->host, n * size);
    if (!to)
        return grd_fail_in(npy->host, "%s: ", h->name);
    if (transposed)
        transpose(h, from, to);
    for (size_t i = 0; !transposed && i < n; i++)
        copy_element(to + i * size, from + i * size, size, h->swap);
    npy->data = npy->owned = to;
    return GRD_OK;
}

static grd_status parse(grd_host *host, const char *name, const void *bytes, size_t size, bool view, grd_npy *npy)
{
    const uint8_t *b = bytes;
    *npy = (grd_npy){ .host = host };
    if (size < 10 || memcmp(b, "\x93NUMPY", 6) != 0) {
        char begin[GRD_PRINTABLE];
        return grd_fail(host, GRD_ERR_FORMAT, "%s: not a .npy file: begins with \"%s\" (%zu bytes in all)", name,
                        grd_printable(bytes, size < 8 ? size : 8, begin), size);
    }
    if (b[6] < 1 || b[6] > 3)
        return grd_fail(host, GRD_ERR_UNSUPPORTED, "%s: .npy version %d.%d, expected 1, 2 or 3", name, b[6], b[7]);
    size_t start = b[6] == 1 ? 10 : 12;
    uint64_t length = size < start ? 0 : grd_little(b + 8, b[6] == 1 ? 2 : 4);
    if (size < start || length > size - start)
        return grd_fail(host, GRD_ERR_FORMAT, "%s: the .npy header is longer than the file", name);
    header h = { .npy = npy, .name = name, .view = view, .at = (const char *)b + start, .end = (const char *)b + start + length };
    grd_status status = read_dict(&h);
    if (status == GRD_OK)
        status = check_size(&h, size - start - (size_t)length);
    if (status == GRD_OK)
        status = place_elements(&h, b + start + length);
    if (status != GRD_OK)
        *npy = (grd_npy){ .host = host };
    return status;
}

grd_status grd_npy_parse(grd_host *host, const char *name, const void *bytes, size_t size, grd_npy *npy)
{
    return parse(host, name, bytes, size, false, npy);
}

grd_status grd_npy_view(grd_host *host, const char *name, const void *bytes, size_t size, grd_npy *npy)
{
    return parse(host, name, bytes, size, true, npy);
}

grd_status grd_npy_map(grd_host *host, const char *path, grd_npy *npy)
{
    grd_map map;
    *npy = (grd_npy){ .host = host };
    GRD_TRY(grd_map_open(host, path, &map));
    grd_status status = grd_npy_view(host, path, map.bytes, map.size, npy);
    if (status == GRD_OK)
        npy->map = map;
    else
        grd_map_close(&map);
    return status;
}

grd_status grd_npy_read(grd_host *host, const char *path, grd_npy *npy)
{
    void *bytes;
    size_t size;
    *npy = (grd_npy){ .host = host };
    GRD_TRY(grd_file_read(host, path, 0, &bytes, &size));
    grd_status status = grd_npy_parse(host, path, bytes, size, npy);
    if (status != GRD_OK || npy->owned)
        grd_free(host, bytes);
    else
        npy->owned = bytes;
    return status;
}

void grd_npy_close(grd_npy *npy)
{
    grd_free(npy->host, npy->owned);
    grd_map_close(&npy->map);
    *npy = (grd_npy){ .host = npy->host };
}
