/* JPEG through libjpeg (libjpeg-turbo), by rows: so a file that ends early is told by its rows. Slow integer DCT and smooth
 * upsampling are its defaults, and Pillow's. It reports errors by longjmp: all its calls that may fail stand in one function. */
#include "format/image_codec.h"

#include <stdio.h> /* jpeglib.h wants it before */

#include <jerror.h>
#include <jpeglib.h>
#include <setjmp.h>
#include <string.h>

enum { EXIF = JPEG_APP0 + 1, MAX_SCANS = 500 };

typedef struct reader {
    struct jpeg_decompress_struct d; /* first: the callbacks get it */
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    grd_image_input *in;
    grd_image *image;
    uint8_t *line; /* a row of CMYK */
    jmp_buf back;
    bool ended;        /* more bytes were wanted than there are */
    bool scans;        /* several, that refine one another: rows come only after all of them */
    grd_status status; /* GRD_OK: libjpeg complains, and the text is `text` */
    char text[JMSG_LENGTH_MAX];
} reader;

/* ---- callbacks ---- */

static void give_up(j_common_ptr d)
{
    reader *r = (reader *)d;
    d->err->format_message(d, r->text);
    longjmp(r->back, 1);
}

/* Warnings that lose no pixel. */
static bool is_harmless(int code)
{
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR || code == JWRN_NOT_SEQUENTIAL ||
           code == JWRN_TOO_MUCH_DATA;
}

static void on_message(j_common_ptr d, int level)
{
    if (level < 0 && !is_harmless(d->err->msg_code))
        give_up(d);
}

static void on_output(j_common_ptr d)
{
    (void)d;
}

/* A small file can ask for any number of passes over a large picture. */
static void on_progress(j_common_ptr d)
{
    reader *r = (reader *)d;
    if (r->d.input_scan_number > MAX_SCANS) {
        snprintf(r->text, sizeof r->text, "more than %d scans", MAX_SCANS);
        longjmp(r->back, 1);
    }
}

static void source_begin(j_decompress_ptr d)
{
    (void)d;
}

/* All bytes are there from the start: who wants more gets an end marker, and libjpeg says what it lacks. */
static boolean source_fill(j_decompress_ptr d)
{
    static const JOCTET end[2] = { 0xff, JPEG_EOI };
    ((reader *)d)->ended = true;
    d->src->next_input_byte = end;
    d->src->bytes_in_buffer = sizeof end;
    return TRUE;
}

static void source_skip(j_decompress_ptr d, long n)
{
    if (n <= 0)
        return;
    if ((unsigned long)n > d->src->bytes_in_buffer) {
        source_fill(d);
        return;
    }
    d->src->next_input_byte += n;
    d->src->bytes_in_buffer -= (size_t)n;
}

static void begin(reader *r)
{
    r->d.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = give_up;
    r->errors.emit_message = on_message;
    r->errors.output_message = on_output;
    r->source = (struct jpeg_source_mgr){ .next_input_byte = r->in->bytes,
                                          .bytes_in_buffer = r->in->size,
                                          .init_source = source_begin,
                                          .fill_input_buffer = source_fill,
                                          .skip_input_data = source_skip,
                                          .resync_to_restart = jpeg_resync_to_restart,
                                          .term_source = source_begin };
    r->progress.progress_monitor = on_progress;
}

/* ---- EXIF: a TIFF behind "Exif\0\0"; tag 0x112 of its first directory ---- */

static unsigned number(const uint8_t *b, int size, bool big)
{
    unsigned v = 0;
    for (int i = 0; i < size; i++)
        v = v << 8 | b[big ? i : size - 1 - i];
    return v;
}

static int orientation_of(const uint8_t *exif, size_t size)
{
    enum { HEAD = 6, ENTRY = 12, TAG = 0x112, SHORT = 3 };
    if (size < HEAD + 8 || memcmp(exif, "Exif\0", HEAD) != 0)
        return 1;
    const uint8_t *tiff = exif + HEAD;
    size -= HEAD;
    bool big = tiff[0] == 'M';
    if (memcmp(tiff, big ? "MM\0*" : "II*\0", 4) != 0)
        return 1;
    size_t at = number(tiff + 4, 4, big);
    if (at > size - 2)
        return 1;
    size_t n = number(tiff + at, 2, big);
    for (at += 2; n > 0 && size - at >= ENTRY; n--, at += ENTRY) {
        const uint8_t *entry = tiff + at;
        if (number(entry, 2, big) != TAG)
            continue;
        unsigned value = number(entry + 8, 2, big);
        return number(entry + 2, 2, big) == SHORT && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

static int find_orientation(const reader *r)
{
    for (jpeg_saved_marker_ptr m = r->d.marker_list; m; m = m->next)
        if (m->marker == EXIF && m->data_length >= 6 && memcmp(m->data, "Exif\0", 6) == 0)
            return orientation_of(m->data, m->data_length);
    return 1;
}

/* ---- pixels ---- */

static void choose_scale(reader *r)
{
    const grd_image_opts *o = &r->in->opts;
    bool turned = r->in->orientation >= 5;
    int64_t width = turned ? o->min_height : o->min_width, height = turned ? o->min_width : o->min_height;
    r->d.scale_num = r->d.scale_denom = 8;
    if (width == 0 && height == 0)
        return;
    for (unsigned m = 7; m >= 1; m--) { /* libjpeg rounds up */
        if (((int64_t)r->d.image_width * m + 7) / 8 < width || ((int64_t)r->d.image_height * m + 7) / 8 < height)
            break;
        r->d.scale_num = m;
    }
}

/* Ink, stored inverted as Adobe does, to RGB: white less ink, less what black leaves. */
static void rgb_of_cmyk(const uint8_t *cmyk, uint8_t *rgb, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < 3; c++) {
            int light = cmyk[4 * i + 3], product = (255 - cmyk[4 * i + c]) * light + 128;
            int left = light - (((product >> 8) + product) >> 8);
            rgb[3 * i + c] = (uint8_t)(left > 0 ? left : 0);
        }
}

static void stop(reader *r, grd_status status)
{
    if (status != GRD_OK) {
        r->status = status;
        longjmp(r->back, 1);
    }
}

static void read_head(reader *r)
{
    grd_image_input *in = r->in;
    grd_image *image = r->image;
    jpeg_read_header(&r->d, TRUE);
    stop(r, grd_image_check_size(in, r->d.image_width, r->d.image_height));
    r->scans = jpeg_has_multiple_scans(&r->d);
    int components = r->d.num_components;
    if (components != 1 && components != 3 && components != 4)
        stop(r, grd_fail(in->host, GRD_ERR_UNSUPPORTED, "%s: a JPEG of %d components, expected 1, 3 or 4", in->name, components));
    r->d.out_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
    if (!in->opts.no_orientation)
        in->orientation = find_orientation(r);
    choose_scale(r);
    jpeg_calc_output_dimensions(&r->d);
    image->width = (int)r->d.output_width;
    image->height = (int)r->d.output_height;
    image->channels = components == 1 ? 1 : 3;
    image->depth = 8;
}

static void read_rows(reader *r)
{
    grd_image *image = r->image;
    size_t stride = (size_t)image->width * (size_t)image->channels;
    stop(r, grd_image_alloc(r->in, image));
    if (r->d.out_color_space == JCS_CMYK) {
        r->line = grd_alloc_raw(r->in->host, (size_t)image->width * 4);
        stop(r, r->line ? GRD_OK : grd_fail_in(r->in->host, "%s: ", r->in->name));
    }
    jpeg_start_decompress(&r->d);
    while (r->d.output_scanline < r->d.output_height) {
        JSAMPROW to = (uint8_t *)image->pixels + stride * r->d.output_scanline, row = r->line ? r->line : to;
        if (jpeg_read_scanlines(&r->d, &row, 1) == 1 && r->line)
            rgb_of_cmyk(r->line, to, image->width);
    }
    if (r->ended && r->scans) { /* the end that is missing may be any number of scans */
        snprintf(r->text, sizeof r->text, "no end marker");
        longjmp(r->back, 1);
    }
}

/* False on failure. */
static bool work(reader *r)
{
    if (setjmp(r->back))
        return false;
    jpeg_create_decompress(&r->d);
    r->d.src = &r->source;
    r->d.progress = &r->progress;
    if (!r->in->opts.no_orientation)
        jpeg_save_markers(&r->d, EXIF, 0xffff);
    read_head(r);
    if (!r->in->probe)
        read_rows(r);
    return true;
}

static grd_status complain(const reader *r)
{
    const grd_image_input *in = r->in;
    bool refused = r->errors.msg_code == JERR_OUT_OF_MEMORY;
    if (refused)
        return grd_fail(in->host, GRD_ERR_MEMORY, "%s: JPEG: %s", in->name, r->text);
    if (!r->image->pixels)
        return r->ended
                   ? grd_fail(in->host, GRD_ERR_FORMAT, "%s: JPEG: truncated in its header, after %zu bytes", in->name, in->size)
                   : grd_fail(in->host, GRD_ERR_FORMAT, "%s: JPEG: %s", in->name, r->text);
    unsigned rows = r->d.output_scanline, of = r->d.output_height;
    if (r->ended && r->scans)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: JPEG: truncated in scan %d: %s", in->name, r->d.input_scan_number,
                        r->text);
    if (r->ended)
        return grd_fail(in->host, GRD_ERR_FORMAT, "%s: JPEG: truncated after %u of %u rows", in->name, rows, of);
    return grd_fail(in->host, GRD_ERR_FORMAT, "%s: JPEG: damaged after %u of %u rows: %s", in->name, rows, of, r->text);
}

grd_status grd_jpeg_decode(grd_image_input *in, grd_image *image)
{
    reader r = { .in = in, .image = image };
    begin(&r);
    grd_status status = work(&r) ? GRD_OK : r.status != GRD_OK ? r.status : complain(&r);
    jpeg_destroy_decompress(&r.d);
    grd_free(in->host, r.line);
    return status;
}
