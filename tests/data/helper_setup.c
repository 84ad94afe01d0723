#include "helper_setup.h"

#include <stdio.h>
#include <string.h>

grd_ctx *ctx;
char dir[256];
counter memory;

int setup_with(grd_opts opts)
{
    memory = (counter){ 0 };
    const grd_allocator counted = counting(&memory);
    opts.allocator = &counted;
    ctx = grd_open(&opts);
    snprintf(dir, sizeof dir, "%s", temp_dir());
    return ctx ? 0 : -1;
}

int setup(void **state)
{
    (void)state;
    return setup_with((grd_opts){ 0 });
}

int teardown(void **state)
{
    (void)state;
    grd_close(ctx);
    remove_dir(dir);
    return memory.live == 0 ? 0 : -1;
}

void put_text(const char *name, const char *text)
{
    put(dir, name, (bytes){ (uint8_t *)(uintptr_t)text, strlen(text) }, strlen(text));
}

char *with_dir(const char *text)
{
    static char filled[1200];
    size_t n = 0;
    for (const char *c = text; *c && n + 300 < sizeof filled; c++)
        n += (size_t)(*c == '%' ? snprintf(filled + n, sizeof filled - n, "%s", dir) : snprintf(filled + n, sizeof filled - n, "%c", *c));
    return filled;
}

const grd_field *field(const grd_dataset *d, int f)
{
    const grd_field *all;
    assert_true(grd_dataset_fields(d, &all) > f);
    return &all[f];
}
