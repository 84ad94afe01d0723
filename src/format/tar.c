/* Tar: blocks of 512 bytes; a header, then the bytes, padded. Entries of type L (GNU), x and g (PAX) say something about the next
 * one or all that follow. (POSIX.1-2001, pax; GNU tar's manual, "Basic Tar Format") */
#include "format/tar.h"

#include "format/stream.h"

#include <string.h>

enum { BLOCK = 512, MAX_EXTRA = 1 << 20 /* bytes of a long name or a PAX header */ };

struct grd_tar {
    grd_host *host;
    grd_stream *stream;
    const char *path;
    char *name;            /* of the entry; grown when needed */
    size_t name_room;
    uint64_t left, padding; /* of the entry */
    uint64_t position;     /* of the next header, for messages */
    bool has_name, has_size; /* said by what stood before: for the next entry */
    uint64_t next_size;
    bool ended;
};

static grd_status bad(const grd_tar *t, const char *what)
{
    return grd_fail(t->host, GRD_ERR_FORMAT, "%s: tar header at byte %llu: %s", t->path, (unsigned long long)t->position, what);
}

/* ---- names ---- */

static grd_status set_name(grd_tar *t, const char *prefix, size_t prefix_size, const char *name, size_t size)
{
    size_t wanted = prefix_size + size + 2;
    if (wanted > t->name_room) {
        char *larger = grd_alloc_raw(t->host, wanted);
        if (!larger)
            return grd_fail_in(t->host, "%s: ", t->path);
        grd_free(t->host, t->name);
        t->name = larger;
        t->name_room = wanted;
    }
    char *to = t->name;
    if (prefix_size) {
        memcpy(to, prefix, prefix_size);
        to += prefix_size;
        *to++ = '/';
    }
    memcpy(to, name, size);
    to[size] = 0;
    return GRD_OK;
}

static size_t field_length(const uint8_t *field, size_t room)
{
    const uint8_t *zero = memchr(field, 0, room);
    return zero ? (size_t)(zero - field) : room;
}

/* ---- numbers: octal digits, or with the top bit set a big-endian number (GNU) ---- */

static bool read_number(const uint8_t *field, size_t size, uint64_t *value)
{
    *value = 0;
    if (field[0] & 0x80) {
        for (size_t i = 0; i < size; i++) {
            uint8_t byte = i ? field[i] : field[i] & 0x7f;
            if (*value >> 55)
                return false;
            *value = *value << 8 | byte;
        }
        return true;
    }
    size_t i = 0;
    while (i < size && field[i] == ' ')
        i++;
    for (; i < size && field[i] >= '0' && field[i] <= '7'; i++) {
        if (*value >> 60)
            return false;
        *value = *value << 3 | (uint64_t)(field[i] - '0');
    }
    return i == size || field[i] == 0 || field[i] == ' ';
}

/* The sum of the header's bytes with its own field as blanks; old writers took the bytes as signed. */
static bool checksum_is_right(const uint8_t *header)
{
    uint64_t said;
    int64_t sum = 0, signed_sum = 0;
    for (int i = 0; i < BLOCK; i++) {
        uint8_t byte = i >= 148 && i < 156 ? ' ' : header[i];
        sum += byte;
        signed_sum += byte < 128 ? byte : byte - 256;
    }
    return read_number(header + 148, 8, &said) && ((int64_t)said == sum || (int64_t)said == signed_sum);
}

/* ---- what stands before an entry ---- */

static grd_status read_extra(grd_tar *t, uint64_t size, char **text)
{
    size_t got;
    uint64_t passed, padding = (BLOCK - size % BLOCK) % BLOCK;
    if (size > MAX_EXTRA)
        return bad(t, "a name or PAX header of more than 1 MB");
    *text = grd_alloc(t->host, (size_t)size + 1);
    if (!*text)
        return grd_fail_in(t->host, "%s: ", t->path);
    grd_status status = grd_stream_read(t->stream, *text, (size_t)size, &got);
    if (status == GRD_OK)
        status = grd_stream_skip(t->stream, padding, &passed);
    if (status == GRD_OK && (got < size || passed < padding))
        status = bad(t, "the archive was cut off");
    if (status != GRD_OK) {
        grd_free(t->host, *text);
        return status;
    }
    t->position += size + padding;
    return GRD_OK;
}

static grd_status pax_record(grd_tar *t, const char *key, size_t key_size, const char *value, size_t size)
{
    if (key_size >= 11 && memcmp(key, "GNU.sparse.", 11) == 0)
        return bad(t, "a sparse file, which is not supported");
    if (key_size == 4 && memcmp(key, "path", 4) == 0) {
        if (memchr(value, 0, size))
            return bad(t, "a zero byte in a PAX path");
        t->has_name = true;
        return set_name(t, NULL, 0, value, size);
    }
    if (key_size != 4 || memcmp(key, "size", 4) != 0)
        return GRD_OK;
    t->next_size = 0;
    for (size_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9' || t->next_size > (UINT64_MAX >> 4) / 10)
            return bad(t, "a PAX size that is no number");
        t->next_size = t->next_size * 10 + (uint64_t)(value[i] - '0');
    }
    t->has_size = size > 0;
    return GRD_OK;
}

/* Records "LENGTH KEY=VALUE\n", the length being that of the whole record. */
static grd_status read_pax(grd_tar *t, const char *text, size_t size)
{
    for (size_t at = 0; at < size && text[at];) {
        size_t length = 0, i = at;
        for (; i < size && text[i] >= '0' && text[i] <= '9' && length <= MAX_EXTRA; i++)
            length = length * 10 + (size_t)(text[i] - '0');
        if (i == at || i == size || text[i] != ' ' || length > size - at || at + length < i + 3 || text[at + length - 1] != '\n')
            return bad(t, "a PAX record of a wrong length");
        const char *key = text + i + 1, *end = text + at + length - 1, *equals = memchr(key, '=', (size_t)(end - key));
        if (!equals)
            return bad(t, "a PAX record without =");
        GRD_TRY(pax_record(t, key, (size_t)(equals - key), equals + 1, (size_t)(end - equals - 1)));
        at += length;
    }
    return GRD_OK;
}

static grd_status take_extra(grd_tar *t, char type, uint64_t size)
{
    char *text = NULL;
    GRD_TRY(read_extra(t, size, &text));
    grd_status status = GRD_OK;
    if (type == 'L') {
        status = set_name(t, NULL, 0, text, strlen(text));
        t->has_name = true;
    } else if (type == 'x') {
        status = read_pax(t, text, (size_t)size);
    }
    grd_free(t->host, text); /* g: paths and sizes make no sense for all entries; K: the target of a link */
    return status;
}

/* ---- entries ---- */

static grd_status pass_rest(grd_tar *t)
{
    uint64_t passed, size = t->left + t->padding;
    GRD_TRY(grd_stream_skip(t->stream, size, &passed));
    t->left = t->padding = 0;
    return passed == size ? GRD_OK : bad(t, "the entry before it was cut off");
}

/* Behind the blocks of zeros there may be padding; reading it compares the checksum of gzip or xz. */
static grd_status finish(grd_tar *t)
{
    uint64_t passed;
    t->ended = true;
    if (t->has_name || t->has_size)
        return bad(t, "the archive ends where an entry was announced");
    return grd_stream_skip(t->stream, UINT64_MAX, &passed);
}

static grd_status read_header(grd_tar *t, uint8_t header[BLOCK], bool *end)
{
    static const uint8_t zeros[BLOCK];
    size_t got;
    GRD_TRY(grd_stream_read(t->stream, header, BLOCK, &got));
    if (got < BLOCK)
        return bad(t, "the archive was cut off");
    *end = memcmp(header, zeros, BLOCK) == 0;
    if (!*end && !checksum_is_right(header))
        return bad(t, t->position ? "a wrong checksum: the archive is damaged" : "a wrong checksum: not a tar archive");
    return GRD_OK;
}

static grd_status describe(grd_tar *t, const uint8_t *header, uint64_t size, grd_tar_entry *entry)
{
    char type = (char)header[156];
    bool posix = memcmp(header + 257, "ustar", 6) == 0; /* with its zero; GNU's magic has a blank and no prefix */
    size_t name = field_length(header, 100), prefix = posix ? field_length(header + 345, 155) : 0;
    if (type == 'S')
        return bad(t, "a sparse file, which is not supported");
    if (!t->has_name)
        GRD_TRY(set_name(t, (const char *)header + 345, prefix, (const char *)header, name));
    name = strlen(t->name);
    bool file = type == '0' || type == 0 || type == '7';
    bool folder = type == '5' || (type == 0 && name && t->name[name - 1] == '/');
    bool without_bytes = folder || (type >= '1' && type <= '6');
    *entry = (grd_tar_entry){ .name = t->name, .type = folder ? 'd' : file ? 'f' : type == '1' || type == '2' ? 'l' : 'o' };
    entry->size = without_bytes ? 0 : t->has_size ? t->next_size : size;
    if (entry->size > (uint64_t)INT64_MAX)
        return bad(t, "a size beyond all bounds");
    t->has_name = t->has_size = false;
    t->left = entry->size;
    t->padding = (BLOCK - entry->size % BLOCK) % BLOCK;
    t->position += t->left + t->padding;
    return GRD_OK;
}

grd_status grd_tar_next(grd_tar *t, grd_tar_entry *entry, bool *more)
{
    uint8_t header[BLOCK];
    *more = false;
    *entry = (grd_tar_entry){ .name = "" };
    if (t->ended)
        return GRD_OK;
    GRD_TRY(pass_rest(t));
    for (;;) {
        uint64_t size;
        bool end = false;
        GRD_TRY(read_header(t, header, &end));
        if (end)
            return finish(t);
        if (!read_number(header + 124, 12, &size))
            return bad(t, "a size that is no number");
        t->position += BLOCK;
        if (!header[156] || !strchr("LKxg", header[156])) {
            GRD_TRY(describe(t, header, size, entry));
            *more = true;
            return GRD_OK;
        }
        GRD_TRY(take_extra(t, (char)header[156], size));
    }
}

grd_status grd_tar_read(grd_tar *t, void *out, size_t want, size_t *got)
{
    size_t n = want < t->left ? want : (size_t)t->left;
    GRD_TRY(grd_stream_read(t->stream, out, n, got));
    t->left -= *got;
    if (*got == n)
        return GRD_OK;
    return grd_fail(t->host, GRD_ERR_FORMAT, "%s: %s: the archive was cut off %llu bytes before its end", t->path, t->name,
                    (unsigned long long)t->left);
}

/* ---- opening ---- */

static grd_status make(grd_host *host, grd_stream *stream, grd_tar **tar)
{
    grd_tar *t = *tar = GRD_NEW(host, grd_tar);
    if (!t) {
        grd_stream_close(stream);
        return GRD_ERR_MEMORY;
    }
    t->host = host;
    t->stream = stream;
    t->path = grd_stream_name(stream);
    return GRD_OK;
}

grd_status grd_tar_open(grd_host *host, const char *path, grd_tar **tar)
{
    grd_stream *stream;
    *tar = NULL;
    GRD_TRY(grd_stream_open(host, path, &stream));
    return make(host, stream, tar);
}

grd_status grd_tar_memory(grd_host *host, const char *name, const void *bytes, size_t size, grd_tar **tar)
{
    grd_stream *stream;
    *tar = NULL;
    GRD_TRY(grd_stream_memory(host, name, bytes, size, &stream));
    return make(host, stream, tar);
}

void grd_tar_close(grd_tar *t)
{
    if (!t)
        return;
    grd_stream_close(t->stream);
    grd_free(t->host, t->name);
    grd_free(t->host, t);
}

/* ---- one member ---- */

static bool is_member(const char *name, const char *member)
{
    if (strncmp(name, "./", 2) == 0)
        name += 2;
    return strcmp(name, strncmp(member, "./", 2) == 0 ? member + 2 : member) == 0;
}

/* In pieces that double: the header's size is believed only as far as there are bytes. */
static grd_status load_entry(grd_tar *t, uint64_t entry_size, void **bytes, size_t *size)
{
    size_t room = entry_size < (1 << 20) ? (size_t)entry_size : 1 << 20, got;
    uint8_t *all = grd_alloc_raw(t->host, room + 1);
    grd_status status = all ? GRD_OK : grd_fail_in(t->host, "%s: ", t->path);
    for (*size = 0; status == GRD_OK;) {
        status = grd_tar_read(t, all + *size, room - *size, &got);
        *size += status == GRD_OK ? got : 0;
        if (status != GRD_OK || *size == entry_size)
            break;
        size_t larger = entry_size - room < room ? (size_t)entry_size : 2 * room;
        uint8_t *copy = larger < SIZE_MAX ? grd_alloc_raw(t->host, larger + 1) : NULL;
        if (!copy) {
            status = grd_fail(t->host, GRD_ERR_MEMORY, "%s: %s: out of memory at %zu bytes", t->path, t->name, *size);
            break;
        }
        memcpy(copy, all, *size);
        grd_free(t->host, all);
        all = copy;
        room = larger;
    }
    if (status != GRD_OK) {
        grd_free(t->host, all);
        return status;
    }
    all[*size] = 0;
    *bytes = all;
    return GRD_OK;
}

static grd_status load_member(grd_tar *t, const char *member, size_t max_bytes, void **bytes, size_t *size)
{
    grd_tar_entry entry;
    for (bool more = true; more;) {
        GRD_TRY(grd_tar_next(t, &entry, &more));
        if (!more || entry.type != 'f' || !is_member(entry.name, member))
            continue;
        if (max_bytes && entry.size > max_bytes)
            return grd_fail(t->host, GRD_ERR_FORMAT, "%s: %s: %llu bytes, expected at most %zu", t->path, entry.name,
                            (unsigned long long)entry.size, max_bytes);
        return load_entry(t, entry.size, bytes, size);
    }
    return grd_fail(t->host, GRD_ERR_FORMAT, "%s: no file \"%s\" in the archive", t->path, member);
}

grd_status grd_tar_load(grd_host *host, const char *path, const char *member, size_t max_bytes, void **bytes, size_t *size)
{
    grd_tar *tar;
    *bytes = NULL;
    *size = 0;
    GRD_TRY(grd_tar_open(host, path, &tar));
    grd_status status = load_member(tar, member, max_bytes, bytes, size);
    grd_tar_close(tar);
    return status;
}
