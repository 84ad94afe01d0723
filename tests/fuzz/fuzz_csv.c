/* libFuzzer target: any bytes as a table, plain or packed. The first byte chooses the options.
 * Build with clang -fsanitize=fuzzer,address,undefined together with src/base and src/format; tests/format/test_tables_fuzz.c
 * runs it for a while with a mutator of its own. */
#include "format/csv.h"

#include <stdlib.h>
#include <string.h>

int fuzz_csv(const uint8_t *data, size_t size);

static void look_at_column(const grd_csv *csv, int column)
{
    grd_csv_levels levels;
    double *number = malloc(sizeof(double) * ((size_t)csv->n_rows + 1));
    grd_csv_type type = grd_csv_type_of(csv, column);
    grd_status status = grd_csv_numbers(csv, column, number, 1);
    if ((status == GRD_OK) != (type.exception < 0))
        abort();
    free(number);
    if (grd_csv_levels_of(csv, column, 1000, &levels) != GRD_OK)
        return;
    for (int k = 0; k < levels.n; k++)
        if (grd_csv_level(&levels, levels.text[k]) != k || levels.count[k] < 1)
            abort();
    grd_csv_levels_free(&levels);
}

int fuzz_csv(const uint8_t *data, size_t size)
{
    grd_host host;
    grd_csv csv;
    if (!size)
        return 0;
    grd_csv_opts opts = { .no_header = data[0] & 1,
                          .trim = data[0] & 2,
                          .no_quotes = data[0] & 4,
                          .comment = data[0] & 8 ? '#' : 0,
                          .separator = data[0] & 16 ? ',' : 0,
                          .point = data[0] & 32 ? ',' : 0 };
    grd_host_init(&host, NULL);
    if (grd_csv_parse(&host, "fuzz", data + 1, size - 1, &opts, &csv) != GRD_OK) {
        if (strncmp(host.err.text, "fuzz:", 5) != 0)
            abort();
        return 0;
    }
    volatile size_t sum = 0;
    for (int64_t i = 0; i < csv.n_rows; i++)
        for (int k = 0; k < csv.n_columns; k++)
            sum += strlen(grd_csv_cell(&csv, i, k));
    (void)sum;
    for (int k = 0; k < csv.n_columns && k < 20; k++)
        look_at_column(&csv, k);
    grd_csv_close(&csv);
    return 0;
}

#ifndef GRADUS_FUZZ_TEST
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_csv(data, size); }
#endif
