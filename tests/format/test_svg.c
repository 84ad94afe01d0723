/* Plots: well-formed whatever the data are, each point where it belongs. */
#include "helper_format.h"

#include "format/svg.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

/* Index behind the first `what` from index `from` on. */
static size_t after(const char *text, size_t from, const char *what)
{
    const char *at = strstr(text + from, what);
    assert_non_null(at);
    return (size_t)(at - text) + strlen(what);
}

/* Tags are closed and balanced, attributes quoted, no stray < or &, no number that is not one. */
static void check_form(const char *svg)
{
    int depth = 0;
    assert_int_equal(strncmp(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 40), 0);
    for (const char *c = svg; *c; c++) {
        if (*c == '&')
            assert_true(!strncmp(c, "&lt;", 4) || !strncmp(c, "&gt;", 4) || !strncmp(c, "&amp;", 5));
        assert_true(*c != '>');
        if (*c != '<')
            continue;
        const char *end = strchr(c, '>');
        assert_non_null(end);
        if (c[1] == '/')
            depth--;
        else if (end[-1] != '/')
            depth++;
        int quotes = 0;
        for (; c < end; c++)
            quotes += *c == '"';
        assert_int_equal(quotes % 2, 0);
    }
    assert_int_equal(depth, 0);
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
}

/* Not inline: gcc 12 takes what strstr finds in the plot for a pointer to `text`. */
__attribute__((noinline)) static char *plotted(grd_host *host, const grd_svg_panel *panel, int n)
{
    char *text;
    size_t size;
    OK(host, grd_svg_encode(host, &(grd_svg_plot){ .panel = panel, .n_panels = n }, &text, &size));
    assert_int_equal(strlen(text), size);
    check_form(text);
    return text;
}

static void odd_data_give_a_well_formed_plot(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    const struct {
        double y[4];
        int n;
    } data[] = {
        { { 0 }, 0 },
        { { 3 }, 1 },
        { { NAN, NAN }, 2 },
        { { 5, 5, 5, 5 }, 4 },
        { { 0, 0 }, 2 },
        { { 1, INFINITY, 2, -INFINITY }, 4 },
        { { -DBL_MAX, DBL_MAX }, 2 },
        { { DBL_MIN, 5e-324 }, 2 },
        { { 1e9, 1e9 + 1e-6 }, 2 },
        { { 1e-300, 1e300 }, 2 },
        { { -1, -2 }, 2 },
        { { 1e15, 1e15 + 1 }, 2 },
        { { 0.1, 0.1 + 1e-17, 0.3 }, 3 },
        { { -1e-20, 1e-20 }, 2 },
    };
    for (size_t i = 0; i < sizeof data / sizeof *data; i++)
        for (int mode = 0; mode < 4; mode++) {
            grd_svg_series series[2] = {
                { .name = "a <b> & \"c\"", .y = data[i].y, .x = mode & 2 ? data[i].y : NULL, .n = data[i].n },
                { .name = NULL, .y = data[i].y, .n = data[i].n, .dashed = true }
            };
            grd_svg_panel panel = {
                .title = "t\xff\x01<", .x_label = "x", .y_label = "\xc3\xa4", .log_y = mode & 1, .series = series, .n_series = 2
            };
            grd_free(&host, plotted(&host, &panel, 1));
        }
    grd_free(&host, plotted(&host, NULL, 0));
    grd_free(&host, plotted(&host, &(grd_svg_panel){ 0 }, 1));
}

static void a_point_that_is_not_finite_breaks_the_line(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    double y[64];
    for (int i = 0; i < 64; i++)
        y[i] = i + 1;
    grd_svg_series series = { .y = y, .n = 64 };
    grd_svg_panel panel = { .series = &series, .n_series = 1 };
    char *svg = plotted(&host, &panel, 1);
    assert_int_equal(count(svg, "<polyline"), 1);
    assert_int_equal(count(svg, "<circle"), 0);
    grd_free(&host, svg);
    y[20] = NAN;
    y[22] = INFINITY; /* 21 is alone between them: a dot */
    svg = plotted(&host, &panel, 1);
    assert_int_equal(count(svg, "<polyline"), 3);
    assert_int_equal(count(svg, "<circle"), 1);
    grd_free(&host, svg);
    y[0] = -1;
    panel.log_y = true;
    svg = plotted(&host, &panel, 1);
    assert_int_equal(count(svg, "<polyline"), 3);
    grd_free(&host, svg);
    series.n = 1;
    y[0] = 0.25;
    svg = plotted(&host, &panel, 1);
    assert_int_equal(count(svg, "<circle"), 1);
    grd_free(&host, svg);
}

/* The x of the line's first and last point and the ends of the frame. */
static void points_lie_inside_the_frame_in_order(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    const double y[5] = { 10, 8, 6, 4, 2 };
    grd_svg_series series = { .y = y, .n = 5 };
    char *svg = plotted(&host, &(grd_svg_panel){ .series = &series, .n_series = 1 }, 1);
    const char *points = svg + after(svg, 0, "points=\""), *frame = svg + after(svg, 200, "<rect ");
    double px[5], py[5], x, top, width, height;
    for (int i = 0, used; i < 5; i++, points += used)
        assert_int_equal(sscanf(points, "%lf,%lf %n", &px[i], &py[i], &used), 2);
    assert_int_equal(sscanf(frame, "x=\"%lf\" y=\"%lf\" width=\"%lf\" height=\"%lf\"", &x, &top, &width, &height), 4);
    for (int i = 0; i < 5; i++) {
        assert_true(px[i] > x && px[i] < x + width && py[i] > top && py[i] < top + height);
        if (i) /* equal steps, falling on the screen as the values do */
            assert_true(fabs((px[i] - px[i - 1]) - (px[1] - px[0])) < 0.11 &&
                        fabs((py[i] - py[i - 1]) - (py[1] - py[0])) < 0.11 && py[i] > py[i - 1]);
    }
    assert_non_null(strstr(svg, ">10<"));
    grd_free(&host, svg);
}

static void ticks_are_round_numbers(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    const double y[3] = { 0.0123, 0.05, 0.31 };
    grd_svg_series series = { .y = y, .n = 3 };
    char *svg = plotted(&host, &(grd_svg_panel){ .series = &series, .n_series = 1 }, 1);
    assert_non_null(strstr(svg, ">0.05<"));
    assert_non_null(strstr(svg, ">0.30<"));
    assert_null(strstr(svg, ">1.5<")); /* epochs have no halves */
    grd_free(&host, svg);
    svg = plotted(&host, &(grd_svg_panel){ .series = &series, .n_series = 1, .log_y = true }, 1);
    assert_non_null(strstr(svg, ">0.1<"));
    assert_non_null(strstr(svg, ">0.02<"));
    grd_free(&host, svg);
}

static void refused_memory_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    double y[500] = { 0 };
    grd_svg_series series = { .name = "loss", .y = y, .n = 500 };
    grd_svg_panel panel = { .title = "t", .series = &series, .n_series = 1 };
    for (int64_t n = 1;; n++) {
        counter memory = { .refuse = n };
        grd_host host;
        counting_host(&host, &memory);
        grd_status status = grd_svg_write(&host, in_temp_dir("m.svg"), &(grd_svg_plot){ .panel = &panel, .n_panels = 1 });
        bool refused = memory.calls >= n;
        assert_int_equal(status, refused ? GRD_ERR_MEMORY : GRD_OK);
        assert_int_equal(memory.live, 0);
        if (!refused) {
            assert_true(n > 2);
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_data_give_a_well_formed_plot),
        cmocka_unit_test(a_point_that_is_not_finite_breaks_the_line),
        cmocka_unit_test(points_lie_inside_the_frame_in_order),
        cmocka_unit_test(ticks_are_round_numbers),
        cmocka_unit_test(refused_memory_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests_name("svg", tests, NULL, remove_temp_dir);
}
