/* HTML pages: whatever the texts are, the page stays well formed and holds its pictures itself. */
#include "format/html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static grd_host host;

static char *finish(grd_bytes *out)
{
    assert_int_equal(grd_bytes_status(out), GRD_OK);
    grd_bytes_put(out, "", 1);
    return (char *)out->data;
}

static void texts_are_escaped(void **state)
{
    (void)state;
    grd_bytes out;
    grd_bytes_init(&out, &host);
    grd_html_begin(&out, "<a & \"b\">");
    grd_html_tag(&out, "p class=\"small\"", "x<\xff\x01y");
    grd_html_end(&out);
    const char *page = finish(&out);
    assert_non_null(strstr(page, "<h1>&lt;a &amp; &quot;b&quot;&gt;</h1>"));
    assert_non_null(strstr(page, "<p class=\"small\">x&lt;??y</p>"));
    assert_non_null(strstr(page, "</style></head><body>"));
    assert_non_null(strstr(page, "</body></html>"));
    grd_bytes_free(&out);
}

static void pictures_are_inside(void **state)
{
    (void)state;
    grd_bytes out;
    const uint8_t pixels[12] = { 0, 255, 0, 9, 8, 7, 0, 0, 0, 1, 1, 1 };
    grd_bytes_init(&out, &host);
    assert_int_equal(grd_html_figure(&out, 2, 2, 3, pixels, 4, "a<b"), GRD_OK);
    const char *page = finish(&out);
    assert_non_null(strstr(page, "width=\"8\" height=\"8\" src=\"data:image/png;base64,iVBORw0KGgo"));
    assert_non_null(strstr(page, "<figcaption>a&lt;b</figcaption>"));
    size_t length = strspn(strstr(page, "base64,") + 7, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");
    assert_int_equal(length % 4, 0);
    grd_bytes_free(&out);
}

static void bars_are_as_high_as_their_values(void **state)
{
    (void)state;
    grd_bytes out;
    grd_bytes_init(&out, &host);
    grd_html_bars(&out, (const char *const[]){ "a", "b" }, 2, (const char *const[]){ "s" }, 1, (const double[]){ 1, 2 });
    const char *page = finish(&out);
    assert_non_null(strstr(page, "height=\"60.0\""));
    assert_non_null(strstr(page, "height=\"120.0\""));
    grd_bytes_free(&out);
    grd_bytes_init(&out, &host);
    grd_html_bars(&out, NULL, 0, NULL, 1, NULL); /* nothing to show */
    assert_null(strstr(finish(&out), "nan"));
    grd_bytes_free(&out);
}

static void table_cells_stand_in_rows(void **state)
{
    (void)state;
    grd_bytes out;
    grd_bytes_init(&out, &host);
    grd_html_table(&out, (const char *const[]){ "h" }, 1);
    grd_html_row(&out);
    grd_html_cell(&out, "%d<", 7);
    grd_html_table_end(&out);
    const char *page = finish(&out);
    assert_non_null(strstr(page, "<th>h</th>\n<tr><td>7&lt;</td>\n</table>"));
    grd_bytes_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(pictures_are_inside),
        cmocka_unit_test(bars_are_as_high_as_their_values),
        cmocka_unit_test(table_cells_stand_in_rows),
    };
    grd_host_init(&host, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
