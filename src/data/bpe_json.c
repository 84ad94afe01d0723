/* tokenizer.json: written in the layout of Python's `tokenizers`, read with every id and merge checked. Tokens are texts there,
 * in which a code point stands for each byte. */
#include "data/tokenize.h"

#include "base/file.h"
#include "format/utf8.h"

#include <jansson.h>
#include <string.h>

/* ---- writing ---- */

static void put_quoted(grd_bytes *b, const char *text, size_t size)
{
    grd_bytes_text(b, "\"");
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            grd_bytes_put(b, (char[]){ '\\', (char)c }, 2);
        else if (c < 32)
            grd_bytes_print(b, "\\u%04x", c);
        else
            grd_bytes_put(b, &text[i], 1);
    }
    grd_bytes_text(b, "\"");
}

static void put_token(grd_bytes *b, const grd_bpe *bpe, int32_t id, const uint32_t code[256])
{
    size_t size;
    const char *text = grd_vocab_text(&bpe->vocab, id, &size);
    if (grd_bpe_is_special(bpe, id)) {
        put_quoted(b, text, size);
        return;
    }
    grd_bytes_text(b, "\"");
    for (size_t i = 0; i < size; i++) {
        char utf8[4];
        uint32_t c = code[(unsigned char)text[i]];
        if (c == '"' || c == '\\')
            grd_bytes_text(b, "\\");
        grd_bytes_put(b, utf8, grd_utf8_encode(c, utf8));
    }
    grd_bytes_text(b, "\"");
}

static void put_specials(grd_bytes *b, const grd_bpe *bpe)
{
    size_t size;
    for (int32_t k = 0; k < bpe->specials; k++) {
        const char *text = grd_vocab_text(&bpe->vocab, bpe->special[k], &size);
        grd_bytes_print(b, "%s\n    {\"id\": %d, \"content\": ", k ? "," : "", bpe->special[k]);
        put_quoted(b, text, size);
        grd_bytes_text(
            b, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": true}");
    }
}

static void put_all(grd_bytes *b, const grd_bpe *bpe)
{
    uint32_t code[256];
    grd_bpe_alphabet(code);
    grd_bytes_text(b, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": [");
    put_specials(b, bpe);
    grd_bytes_text(b, "],\n  \"normalizer\": null,\n");
    grd_bytes_print(b,
                    "  \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": %s, \"trim_offsets\": true, "
                    "\"use_regex\": true},\n",
                    bpe->prefix_space ? "true" : "false");
    grd_bytes_text(b, "  \"post_processor\": null,\n  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
                      "\"trim_offsets\": true, \"use_regex\": true},\n");
    grd_bytes_text(
        b, "  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null,\n"
           "    \"end_of_word_suffix\": null, \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n"
           "    \"vocab\": {");
    for (int32_t id = 0; id < bpe->vocab.n; id++) {
        grd_bytes_text(b, id ? ",\n      " : "\n      ");
        put_token(b, bpe, id, code);
        grd_bytes_print(b, ": %d", id);
    }
    grd_bytes_text(b, "},\n    \"merges\": [");
    for (int32_t k = 0; k < bpe->merges; k++) {
        grd_bytes_text(b, k ? ",\n      [" : "\n      [");
        put_token(b, bpe, bpe->merge[k].a, code);
        grd_bytes_text(b, ", ");
        put_token(b, bpe, bpe->merge[k].b, code);
        grd_bytes_text(b, "]");
    }
    grd_bytes_text(b, "]}\n}\n");
}

grd_status grd_bpe_write(grd_host *host, const char *path, const grd_bpe *bpe)
{
    grd_bytes b;
    grd_bytes_init(&b, host);
    put_all(&b, bpe);
    grd_status status = grd_bytes_status(&b);
    if (status == GRD_OK)
        status = grd_file_write(host, path, b.data, b.size);
    grd_bytes_free(&b);
    return status;
}

/* ---- reading ---- */

typedef struct reader {
    grd_host *host;
    const char *name;
    grd_bpe *bpe;
    const json_t *added;      /* array */
    uint32_t code[256];
    const char **text;        /* by id, in the JSON's memory */
    bool *is_special;
    int32_t n;
} reader;

static grd_status bad(const reader *r, const char *what)
{
    return grd_fail(r->host, GRD_ERR_FORMAT, "%s: %s", r->name, what);
}

static grd_status bad_token(const reader *r, const char *token, const char *what)
{
    char text[GRD_PRINTABLE];
    return grd_fail(r->host, GRD_ERR_FORMAT, "%s: token \"%s\": %s", r->name, grd_printable(token, strlen(token), text), what);
}

/* The bytes that a token's code points stand for; *size is its length, -1 if one stands for none. `bytes` has room for strlen. */
static void token_bytes(const reader *r, const char *token, char *bytes, ptrdiff_t *size)
{
    size_t left = strlen(token);
    for (*size = 0; left;) {
        uint32_t c;
        size_t n = grd_utf8_decode(token, left, &c);
        int byte = 0;
        if (c < 256 && r->code[c] == c)
            byte = (int)c;
        else
            while (byte < 256 && r->code[byte] != c)
                byte++;
        if (byte == 256) {
            *size = -1;
            return;
        }
        bytes[(*size)++] = (char)byte;
        token += n;
        left -= n;
    }
}

/* Its type, and that what would change the result is as we have it. */
static grd_status check_parts(const reader *r, const json_t *root)
{
    const json_t *model = json_object_get(root, "model"), *pre = json_object_get(root, "pre_tokenizer");
    const char *type = json_string_value(json_object_get(model, "type")),
               *split = json_string_value(json_object_get(pre, "type"));
    static const char *const off[] = { "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback",
                                       "ignore_merges" };
    if (type && strcmp(type, "BPE") != 0)
        return grd_fail(r->host, GRD_ERR_UNSUPPORTED, "%s: a model of type %.40s, expected BPE", r->name, type);
    const json_t *normalizer = json_object_get(root, "normalizer");
    if (normalizer && !json_is_null(normalizer))
        return grd_fail(r->host, GRD_ERR_UNSUPPORTED, "%s: it has a normalizer, expected none", r->name);
    if (!split || strcmp(split, "ByteLevel") != 0 || json_is_false(json_object_get(pre, "use_regex")))
        return grd_fail(r->host, GRD_ERR_UNSUPPORTED, "%s: a pre-tokenizer of type %.40s, expected ByteLevel with its regex",
                        r->name, split ? split : "null");
    for (size_t k = 0; k < sizeof off / sizeof *off; k++) {
        const json_t *value = json_object_get(model, off[k]);
        bool empty = json_is_string(value) && !*json_string_value(value);
        if (value && !json_is_null(value) && !json_is_false(value) && !empty)
            return grd_fail(r->host, GRD_ERR_UNSUPPORTED, "%s: the model sets %s, expected null", r->name, off[k]);
    }
    return GRD_OK;
}

static grd_status place(reader *r, const char *token, const json_t *id, bool special)
{
    json_int_t i = json_is_integer(id) ? json_integer_value(id) : -1;
    if (i < 0 || i >= r->n)
        return bad_token(r, token, "its id is not below the number of tokens");
    if (special && r->text[i] && strcmp(r->text[i], token) == 0) {
        r->is_special[i] = true;
        return GRD_OK;
    }
    if (r->text[i])
        return bad_token(r, token, "its id is another token's");
    r->text[i] = token;
    r->is_special[i] = special;
    return GRD_OK;
}

static grd_status place_all(reader *r, json_t *vocab)
{
    const char *key;
    json_t *value;
    json_object_foreach(vocab, key, value)
        GRD_TRY(place(r, key, value, false));
    for (size_t k = 0; k < json_array_size(r->added); k++) {
        const json_t *item = json_array_get(r->added, k);
        const char *content = json_string_value(json_object_get(item, "content"));
        if (!content || !*content)
            return bad(r, "an added token without content");
        GRD_TRY(place(r, content, json_object_get(item, "id"), true));
    }
    for (int32_t i = 0; i < r->n; i++)
        if (!r->text[i])
            return grd_fail(r->host, GRD_ERR_FORMAT, "%s: no token has id %d of %d", r->name, i, r->n);
    return GRD_OK;
}

static grd_status add_tokens(reader *r)
{
    for (int32_t i = 0; i < r->n; i++) {
        size_t length = strlen(r->text[i]);
        char *bytes = grd_alloc(r->host, length);
        ptrdiff_t size = (ptrdiff_t)length;
        int32_t id = -1;
        if (!bytes)
            return grd_fail_in(r->host, "%s: ", r->name);
        if (r->is_special[i])
            memcpy(bytes, r->text[i], length);
        else
            token_bytes(r, r->text[i], bytes, &size);
        grd_status status = size < 0 ? bad_token(r, r->text[i], "it has a sign that stands for no byte")
                                     : grd_vocab_add(&r->bpe->vocab, bytes, (size_t)size, &id);
        grd_free(r->host, bytes);
        GRD_TRY(status);
        if (id != i)
            return bad_token(r, r->text[i], "its bytes are another token's");
        if (r->is_special[i])
            GRD_TRY(grd_bpe_add_special(r->bpe, i));
    }
    return GRD_OK;
}

/* A merge is ["a", "b"] or, before tokenizers 0.20, "a b". The parts as they stand in JSON. */
static bool merge_parts(const json_t *merge, const char **a, size_t *na, const char **b, size_t *nb)
{
    if (json_is_string(merge)) {
        const char *text = json_string_value(merge), *blank = strchr(text, ' ');
        *a = text;
        *na = blank ? (size_t)(blank - text) : 0;
        *b = blank ? blank + 1 : "";
    } else {
        *a = json_string_value(json_array_get(merge, 0));
        *b = json_array_size(merge) == 2 ? json_string_value(json_array_get(merge, 1)) : NULL;
        *na = *a ? strlen(*a) : 0;
    }
    *nb = *b ? strlen(*b) : 0;
    return *na && *nb;
}

/* Writes both parts' bytes one after the other into `bytes` (room for na + nb + 2) and finds the three ids. */
static bool find_merge(const reader *r, char *bytes, const char *a, size_t na, const char *b, grd_bpe_merge *m)
{
    ptrdiff_t size[2];
    char *part = bytes; /* the texts are longer than what they stand for, so each is decoded where its bytes go */
    memcpy(part, a, na);
    part[na] = 0;
    token_bytes(r, part, part, &size[0]);
    if (size[0] < 0)
        return false;
    m->a = grd_vocab_find(&r->bpe->vocab, bytes, (size_t)size[0]);
    strcpy(part + size[0], b);
    token_bytes(r, part + size[0], part + size[0], &size[1]);
    if (size[1] < 0)
        return false;
    m->b = grd_vocab_find(&r->bpe->vocab, part + size[0], (size_t)size[1]);
    m->joined = grd_vocab_find(&r->bpe->vocab, bytes, (size_t)(size[0] + size[1]));
    return m->a >= 0 && m->b >= 0 && m->joined >= 0;
}

static grd_status add_merges(reader *r, const json_t *merges)
{
    for (size_t k = 0; k < json_array_size(merges); k++) {
        const char *a, *b;
        size_t na, nb;
        if (!merge_parts(json_array_get(merges, k), &a, &na, &b, &nb))
            return grd_fail(r->host, GRD_ERR_FORMAT, "%s: merge %zu is not two tokens", r->name, k + 1);
        char *bytes = grd_alloc(r->host, na + nb + 2);
        if (!bytes)
            return grd_fail_in(r->host, "%s: ", r->name);
        bool found = find_merge(r, bytes, a, na, b, &r->bpe->merge[r->bpe->merges]);
        grd_free(r->host, bytes);
        if (!found)
            return grd_fail(r->host, GRD_ERR_FORMAT, "%s: merge %zu: its tokens or what they make are not in the vocabulary",
                            r->name, k + 1);
        r->bpe->merges++;
    }
    return GRD_OK;
}

static grd_status read_root(reader *r, const json_t *root)
{
    const json_t *model = json_object_get(root, "model"), *merges = json_object_get(model, "merges");
    json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab) || !json_is_array(merges))
        return bad(r, "no model with vocab and merges; expected the JSON of a BPE tokenizer");
    GRD_TRY(check_parts(r, root));
    size_t n = json_object_size(vocab);
    r->added = json_object_get(root, "added_tokens");
    for (size_t k = 0; k < json_array_size(r->added); k++) {
        const char *content = json_string_value(json_object_get(json_array_get(r->added, k), "content"));
        n += content && !json_object_get(vocab, content);
    }
    if (n > INT32_MAX / 4 || json_array_size(merges) > INT32_MAX / 4)
        return bad(r, "too many tokens");
    r->n = (int32_t)n;
    r->bpe->prefix_space = json_is_true(json_object_get(json_object_get(root, "pre_tokenizer"), "add_prefix_space"));
    r->text = GRD_NEW_N(r->host, const char *, n);
    r->is_special = GRD_NEW_N(r->host, bool, n);
    grd_free(r->host, r->bpe->merge);
    r->bpe->merge = GRD_NEW_N(r->host, grd_bpe_merge, json_array_size(merges));
    if (!r->text || !r->is_special || !r->bpe->merge)
        return grd_fail_in(r->host, "%s: ", r->name);
    GRD_TRY(place_all(r, vocab));
    GRD_TRY(add_tokens(r));
    GRD_TRY(add_merges(r, merges));
    return grd_bpe_index(r->bpe, r->name);
}

grd_status grd_bpe_parse(grd_host *host, const char *name, const void *json, size_t size, grd_bpe *bpe)
{
    json_error_t error;
    reader r = { .host = host, .name = name, .bpe = bpe };
    GRD_TRY(grd_bpe_init(bpe, host, 0));
    json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &error);
    grd_bpe_alphabet(r.code);
    grd_status status = root ? read_root(&r, root)
                             : grd_fail(host, GRD_ERR_FORMAT, "%s: line %d: bad JSON: %s", name, error.line, error.text);
    json_decref(root);
    grd_free(host, r.text);
    grd_free(host, r.is_special);
    if (status != GRD_OK)
        grd_bpe_free(bpe);
    return status;
}

grd_status grd_bpe_read(grd_host *host, const char *path, grd_bpe *bpe)
{
    void *bytes;
    size_t size;
    *bpe = (grd_bpe){ .host = host };
    GRD_TRY(grd_file_read(host, path, (size_t)1 << 30, &bytes, &size));
    grd_status status = grd_bpe_parse(host, path, bytes, size, bpe);
    grd_free(host, bytes);
    return status;
}
