/* Event files: frames and sums to the byte, and TensorBoard itself as oracle where there is one (GRADUS_PYTHON). */
#define _GNU_SOURCE
#include "helper_format.h"

#include "format/crc32c.h"
#include "format/histogram.h"
#include "format/tfevents.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static uint32_t masked(const void *bytes, size_t size)
{
    uint32_t c = grd_crc32c(bytes, size);
    return (c >> 15 | c << 17) + 0xA282EAD8u;
}

static void crc32c_gives_the_known_sums(void **state)
{
    (void)state;
    const char zeros[32] = { 0 };
    assert_int_equal(grd_crc32c("123456789", 9), 0xE3069283);
    assert_int_equal(grd_crc32c(zeros, 32), 0x8A9136AA);
    assert_int_equal(grd_crc32c("", 0), 0);
    assert_int_equal(masked("\x1a\x11"
                            "CRC test, one two",
                            19),
                     0x5794D08A);
}

static grd_events *open_events(grd_host *host, const char *suffix)
{
    grd_events *events;
    OK(host,
       grd_events_open(
           host, &(grd_events_opts){ .dir = temp_dir(), .time = 1700000000.0, .hostname = "box", .pid = 42, .suffix = suffix },
           &events));
    return events;
}

/* The whole file; counts its records and checks each frame. */
static uint8_t *records(grd_host *host, const char *path, size_t *size, int *n)
{
    void *bytes;
    OK(host, grd_file_read(host, path, 0, &bytes, size));
    const uint8_t *at = bytes, *end = at + *size;
    for (*n = 0; at < end; ++*n) {
        assert_true(end - at >= 16);
        uint64_t length = grd_little(at, 8);
        assert_true(length <= (uint64_t)(end - at) - 16);
        assert_int_equal(grd_little(at + 8, 4), masked(at, 8));
        assert_int_equal(grd_little(at + 12 + length, 4), masked(at + 12, (size_t)length));
        at += 16 + length;
    }
    return bytes;
}

static void the_first_record_is_the_golden_one(void **state)
{
    (void)state;
    static const uint8_t golden[] = "\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\x09\0\0\0\x40\xfc\x54\xd9\x41\x1a\x0d"
                                    "brain.Event:2\xec\xed\x8f\x9d";
    grd_host host;
    grd_host_init(&host, NULL);
    grd_events *events = open_events(&host, ".a"), *second = open_events(&host, ".a");
    char expected[512];
    snprintf(expected, sizeof expected, "%s/events.out.tfevents.1700000000.box.42.0.a", temp_dir());
    assert_string_equal(grd_events_path(events), expected);
    assert_non_null(strstr(grd_events_path(second), "box.42.1.a")); /* never two writers of one file */
    size_t size;
    int n;
    uint8_t *bytes = records(&host, expected, &size, &n);
    assert_int_equal(size, sizeof golden - 1);
    assert_memory_equal(bytes, golden, size);
    assert_int_equal(grd_events_length(events), size);
    grd_free(&host, bytes);
    OK(&host, grd_events_close(events));
    OK(&host, grd_events_close(second));
    OK(&host, grd_events_close(NULL));
}

static void a_scalar_and_a_restart_are_encoded_to_the_byte(void **state)
{
    (void)state;
    static const uint8_t scalar[] = "\x09\0\0\0\0\0\0\xf8\x3f"
                                    "\x10\xac\x02"
                                    "\x2a\x0a"
                                    "\x0a\x08"
                                    "\x0a\x01"
                                    "a"
                                    "\x15\0\0\0\xc0";
    static const uint8_t restart[] = "\x09\0\0\0\0\0\0\xf8\x3f"
                                     "\x10\x07"
                                     "\x3a\x02\x08\x01";
    grd_host host;
    grd_host_init(&host, NULL);
    grd_events *events = open_events(&host, ".b");
    size_t first = (size_t)grd_events_length(events), size;
    int n;
    OK(&host, grd_events_scalar(events, 1.5, 300, "a", -2));
    OK(&host, grd_events_restart(events, 1.5, 7));
    assert_int_equal(grd_events_length(events), first); /* not yet */
    OK(&host, grd_events_flush(events));
    uint8_t *bytes = records(&host, grd_events_path(events), &size, &n);
    assert_int_equal(n, 3);
    assert_int_equal(size, grd_events_length(events));
    assert_int_equal(grd_little(bytes + first, 8), sizeof scalar - 1);
    assert_memory_equal(bytes + first + 12, scalar, sizeof scalar - 1);
    assert_memory_equal(bytes + first + 16 + sizeof scalar - 1 + 12, restart, sizeof restart - 1);
    grd_free(&host, bytes);
    OK(&host, grd_events_close(events));
}

/* A limit on the size of files stands for a full disk. */
static void a_full_disk_is_an_error_and_leaves_whole_records(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    grd_events *events = open_events(&host, ".c");
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 1000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    OK(&host, grd_events_scalar(events, 1, 1, "kept", 1));
    OK(&host, grd_events_flush(events));
    int64_t length = grd_events_length(events);
    for (int i = 0; i < 100; i++)
        OK(&host, grd_events_scalar(events, 1, i, "lost", i));
    grd_status status = grd_events_flush(events);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, GRD_ERR_IO);
    assert_non_null(strstr(host.err.text, ".c: cannot write: "));
    size_t size;
    int n;
    grd_free(&host, records(&host, grd_events_path(events), &size, &n));
    assert_int_equal(n, 2);
    assert_int_equal(size, length);
    OK(&host, grd_events_scalar(events, 1, 2, "after", 1)); /* with room again it goes on */
    OK(&host, grd_events_flush(events));
    grd_free(&host, records(&host, grd_events_path(events), &size, &n));
    assert_int_equal(n, 3);
    OK(&host, grd_events_close(events));
    FAILS(&host, GRD_ERR_IO, "no-such-folder", grd_events_open(&host, &(grd_events_opts){ .dir = "/no-such-folder" }, &events));
    assert_null(events);
}

static grd_status write_all(grd_host *host, const char *suffix, grd_events **out)
{
    grd_events *e;
    float values[200];
    for (int i = 0; i < 200; i++)
        values[i] = (float)(sin(i * 0.7) * exp(i * 0.02));
    values[7] = 0;
    values[8] = NAN;
    GRD_TRY(grd_events_open(
        host, &(grd_events_opts){ .dir = temp_dir(), .time = 1700000000.0, .hostname = "box", .pid = 42, .suffix = suffix }, &e));
    *out = e;
    for (int i = 1; i <= 3; i++)
        GRD_TRY(grd_events_scalar(e, 1700000000.0 + i, i, "Loss/train", 1.0 / i));
    GRD_TRY(grd_events_text(e, 1700000001, 2, "notes", "**bold** text"));
    GRD_TRY(grd_events_image(e, 1700000001, 2, "picture", 5, 3, 1, "not a PNG", 9));
    GRD_TRY(grd_events_histogram(e, 1700000001, 2, "weights", GRD_F32, values, 200));
    GRD_TRY(grd_events_histogram(e, 1700000001, 3, "weights", GRD_F32, values + 8, 1)); /* nothing finite */
    grd_hparam hparams[] = { { "lr", NULL, 0.25 }, { "optim", "adam", 0 } };
    GRD_TRY(grd_events_hparams(e, 1700000001, hparams, 2, (const char *const[]){ "Loss/train" }, 1));
    GRD_TRY(grd_events_hparams_end(e, 1700000009, true));
    return grd_events_flush(e);
}

static void refused_memory_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    for (int64_t n = 1;; n++) {
        counter memory = { .refuse = n };
        grd_host host;
        grd_events *events = NULL;
        counting_host(&host, &memory);
        grd_status status = write_all(&host, ".m", &events);
        bool refused = memory.calls >= n;
        assert_int_equal(status, refused ? GRD_ERR_MEMORY : GRD_OK);
        if (events) {
            size_t size;
            int count;
            grd_host plain;
            grd_host_init(&plain, NULL);
            (void)grd_events_flush(events);
            grd_free(&plain, records(&plain, grd_events_path(events), &size, &count)); /* what is there is whole */
            unlink(grd_events_path(events));
        }
        grd_events_close(events);
        assert_int_equal(memory.live, 0);
        if (!refused) {
            assert_true(n > 30);
            break;
        }
    }
}

static void tensorboard_reads_everything(void **state)
{
    (void)state;
    if (!python_has("tensorboard"))
        skip();
    grd_host host;
    grd_events *events;
    grd_host_init(&host, NULL);
    OK(&host, write_all(&host, ".d", &events));
    char path[512];
    snprintf(path, sizeof path, "%s", grd_events_path(events));
    OK(&host, grd_events_close(events));
    run_python("import math, struct, sys\n"
               "import numpy as np\n"
               "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
               "from tensorboard.plugins.hparams import plugin_data_pb2, metadata\n"
               "a = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0, 'histograms': 0, 'images': 0, 'tensors': 0})\n"
               "a.Reload()\n"
               "s = a.Scalars('Loss/train')\n"
               "assert [(e.step, e.wall_time) for e in s] == [(i, 1700000000.0 + i) for i in (1, 2, 3)]\n"
               "assert [e.value for e in s] == [float(np.float32(1 / i)) for i in (1, 2, 3)]\n"
               "assert a.Tensors('notes')[0].tensor_proto.string_val[0] == b'**bold** text'\n"
               "assert a.SummaryMetadata('notes').plugin_data.plugin_name == 'text'\n"
               "i = a.Images('picture')[0]\n"
               "assert (i.width, i.height, i.encoded_image_string, i.step) == (5, 3, b'not a PNG', 2)\n"
               "x = np.array([math.sin(i * 0.7) * math.exp(i * 0.02) for i in range(200)]).astype(np.float32)\n"
               "x[7] = 0\n"
               "x = np.delete(x, 8).astype(np.float64)\n"
               "h = a.Histograms('weights')[0].histogram_value\n"
               "assert (h.min, h.max, h.num) == (x.min(), x.max(), 199)\n"
               "assert abs(h.sum - x.sum()) < 1e-9 and abs(h.sum_squares - (x * x).sum()) < 1e-9\n"
               "v, edges = 1e-12, []\n"
               "while v < 1e20:\n"
               "    edges.append(v)\n"
               "    v *= 1.1\n"
               "edges = [-e for e in edges[::-1]] + [0] + edges\n"
               "counts = np.histogram(x, bins=edges)[0]\n"
               "mine = dict(zip(h.bucket_limit, h.bucket))\n"
               "assert sum(h.bucket) == 199 and h.bucket[0] == 0\n"
               "for right, count in zip(edges[1:], counts):\n"
               "    assert mine.get(right, 0) == count, (right, count)\n"
               "assert a.Histograms('weights')[1].histogram_value.num == 0\n"
               "def plugin(tag):\n"
               "    d = a.SummaryMetadata(tag).plugin_data\n"
               "    assert d.plugin_name == 'hparams'\n"
               "    return plugin_data_pb2.HParamsPluginData.FromString(d.content)\n"
               "e = plugin('_hparams_/experiment').experiment\n"
               "assert [i.name for i in e.hparam_infos] == ['lr', 'optim'] and e.metric_infos[0].name.tag == 'Loss/train'\n"
               "start = plugin('_hparams_/session_start_info').session_start_info\n"
               "assert start.hparams['lr'].number_value == 0.25 and start.hparams['optim'].string_value == 'adam'\n"
               "assert plugin('_hparams_/session_end_info').session_end_info.status == 1\n",
               path);
}

static void tensorboard_drops_what_a_restart_repeats(void **state)
{
    (void)state;
    if (!python_has("tensorboard"))
        skip();
    grd_host host;
    grd_host_init(&host, NULL);
    grd_events *events = open_events(&host, ".e");
    for (int i = 1; i <= 5; i++)
        OK(&host, grd_events_scalar(events, i, i, "x", i));
    OK(&host, grd_events_restart(events, 6, 4));
    OK(&host, grd_events_scalar(events, 7, 4, "x", 40));
    OK(&host, grd_events_flush(events));
    run_python("import sys\n"
               "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
               "a = EventAccumulator(sys.argv[1])\na.Reload()\n"
               "assert [(e.step, e.value) for e in a.Scalars('x')] == [(1, 1), (2, 2), (3, 3), (4, 40)]\n",
               grd_events_path(events));
    OK(&host, grd_events_close(events));
}

static void extreme_values_are_counted_in_some_bin(void **state)
{
    (void)state;
    static const double extreme[] = { 0, -0.0, 5e-324, -5e-324, 1e20, 1e300, -1e300, 1e-12, -1e-12, INFINITY, -INFINITY, NAN };
    grd_histogram *h = calloc(1, sizeof *h);
    grd_histogram_count(h, GRD_F64, extreme, 12);
    double total = 0;
    for (int i = 0; i < h->n; i++)
        total += h->in_bin[i];
    assert_true(total == 9 && h->count == 9);
    assert_true(h->min == -1e300 && h->max == 1e300);
    assert_true(h->n < GRD_HISTOGRAM_MAX);
    grd_histogram_count(h, GRD_F64, extreme, 0);
    assert_int_equal(h->n, 1);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_gives_the_known_sums),
        cmocka_unit_test(the_first_record_is_the_golden_one),
        cmocka_unit_test(a_scalar_and_a_restart_are_encoded_to_the_byte),
        cmocka_unit_test(a_full_disk_is_an_error_and_leaves_whole_records),
        cmocka_unit_test(refused_memory_is_an_error_and_leaks_nothing),
        cmocka_unit_test(tensorboard_reads_everything),
        cmocka_unit_test(tensorboard_drops_what_a_restart_repeats),
        cmocka_unit_test(extreme_values_are_counted_in_some_bin),
    };
    return cmocka_run_group_tests_name("tfevents", tests, NULL, remove_temp_dir);
}
