/* Fuzz target: any bytes as a list of samples, or as a file of classes. The first byte chooses columns, separator and which of the
 * two. Build with clang -fsanitize=fuzzer,address,undefined together with src/base, src/tensor, src/format and src/data. */
#include "data/file_list.h"

#include <stdlib.h>
#include <string.h>

static void fuzz_names(grd_host *host, const uint8_t *data, size_t size)
{
    grd_arena arena;
    grd_class_names names;
    grd_arena_init(&arena, host);
    grd_status status = grd_class_names_parse(&arena, "fuzz", (const char *)data, size, &names);
    if (status == GRD_OK) {
        if (names.n < 1)
            abort();
        for (int i = 0; i < names.n; i += 1 + names.n / 16) /* no name stands there twice */
            if (grd_class_names_find(&names, names.name[i]) != i)
                abort();
    } else if (strncmp(host->err.text, "fuzz:", 5) != 0) {
        abort();
    }
    grd_arena_free(&arena);
}

static void look_at_list(const grd_pictures *p)
{
    volatile size_t sum = 0;
    for (int i = 0; i < p->list.n; i++) {
        const grd_listed *item = &p->list.item[i];
        sum += strlen(item->image) + (p->has_mask ? strlen(item->mask) : 0);
        if (p->has_label && (item->label < 0 || item->label >= p->classes.n))
            abort();
    }
    (void)sum;
    if (p->number.n != p->n_numbers * p->list.n)
        abort();
}

static void fuzz_list(grd_host *host, const uint8_t *data, size_t size, int way)
{
    static const char *const columns[] = { "image label", "image mask label", "image points", "label image target",
                                           "image", "- label image -" };
    static const char separators[] = { 0, ' ', '\t', ',' };
    grd_list_rule rule = { .image = "images/{}.png", .mask = way / 24 % 2 ? "{part}/{}{}" : NULL, .part = 2,
                           .separator = separators[way / 6 % 4] };
    grd_label_words words;
    grd_pictures *p;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    if (grd_list_columns(host, columns[way % 6], &rule) != GRD_OK ||
        grd_pictures_new(host, &(grd_pictures_opts){ 0 }, "root", &p) != GRD_OK)
        abort();
    grd_status status = grd_list_parse(p, "fuzz", text, size, &rule, &words);
    if (status == GRD_OK && p->has_label) {
        status = grd_list_classes(&p->texts, "fuzz", &words, &p->classes);
        if (status == GRD_OK && grd_list_labels(p, "fuzz", &words) != GRD_OK)
            abort(); /* they are its own classes */
    }
    if (status == GRD_OK)
        look_at_list(p);
    else if (strncmp(host->err.text, "fuzz:", 5) != 0)
        abort();
    grd_free(host, words.item);
    grd_pictures_close(p);
    free(text);
}

static int fuzz_file_list(const uint8_t *data, size_t size)
{
    grd_host host;
    if (!size)
        return 0;
    grd_host_init(&host, NULL);
    if (data[0] & 64)
        fuzz_names(&host, data + 1, size - 1);
    else
        fuzz_list(&host, data + 1, size - 1, data[0] & 63);
    return 0;
}

#ifndef GRADUS_FUZZ_TEST
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_file_list(data, size); }
#endif
