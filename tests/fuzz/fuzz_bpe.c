/* libFuzzer target: if the first byte is odd, any bytes as a tokenizer.json; else as a text that a tokenizer is trained on, which
 * must come back from its ids.
 * Build with clang -fsanitize=fuzzer,address,undefined together with src/base, src/format and src/data;
 * tests/data/test_bpe_fuzz.c runs it for a while with a mutator of its own. */
#include "data/tokenize.h"

#include <stdlib.h>
#include <string.h>

int fuzz_bpe(const uint8_t *data, size_t size);

static void round_trip(const grd_bpe *bpe, grd_host *host, const char *text, size_t size, bool exact)
{
    int32_t *ids = malloc(sizeof *ids * (size + 2));
    char *back = malloc(size + 2);
    size_t n, length;
    if (grd_bpe_encode(bpe, host, text, size, ids, size + 2, &n) != GRD_OK || n > size + 1)
        abort();
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= bpe->vocab.n)
            abort();
    grd_bpe_decode(bpe, ids, n, true, back, size + 2, &length);
    if (exact && (length != size || (size && memcmp(back, text, size) != 0)))
        abort();
    free(ids);
    free(back);
}

static void train(grd_host *host, const char *text, size_t size)
{
    grd_counts counts;
    grd_bpe bpe;
    grd_counts_init(&counts, host, GRD_PIECES_GPT2);
    if (grd_counts_add(&counts, text, size) != GRD_OK ||
        grd_bpe_train(&counts, &(grd_bpe_opts){ .vocab_size = 300, .special = (const char *const[]){ "<eos>", NULL } }, &bpe) !=
            GRD_OK)
        abort();
    round_trip(&bpe, host, text, size, true);
    grd_bpe_free(&bpe);
    grd_counts_free(&counts);
}

int fuzz_bpe(const uint8_t *data, size_t size)
{
    grd_host host;
    grd_bpe bpe;
    if (!size)
        return 0;
    grd_host_init(&host, NULL);
    if (!(data[0] & 1)) {
        train(&host, (const char *)data + 1, size - 1);
    } else if (grd_bpe_parse(&host, "fuzz", data + 1, size - 1, &bpe) == GRD_OK) {
        round_trip(&bpe, &host, (const char *)data, size, false);
        grd_bpe_free(&bpe);
    } else if (strncmp(host.err.text, "fuzz: ", 6) != 0) {
        abort();
    }
    return 0;
}

#ifndef GRADUS_FUZZ_TEST
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_bpe(data, size); }
#endif
