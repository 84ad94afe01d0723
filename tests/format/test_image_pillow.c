/* Pillow as oracle: it writes files of every kind it can, and with GRADUS_DATA reads all real ones; each is compared pixel by
 * pixel through a checksum. Skipped unless GRADUS_PYTHON names a Python with Pillow and numpy. */
#include "helper_format.h"

#include "format/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Lines for the test: file, channels wanted, indices wanted, width, height, channels, crc of the pixels. */
#define SCRIPT_HEAD                                                                                                              \
    "import sys, os, zlib, struct, glob, numpy as np\n"                                                                          \
    "from PIL import Image, ImageOps\n"                                                                                          \
    "dir = os.path.dirname(sys.argv[1]); lines = open(sys.argv[1], 'w')\n"                                                       \
    "rng = np.random.default_rng(1)\n"                                                                                           \
    "def put(path, wanted, indices, image):\n"                                                                                   \
    "    a = np.ascontiguousarray(image)\n"                                                                                      \
    "    a = a.reshape(a.shape[0], a.shape[1], -1).astype(np.uint8)\n"                                                           \
    "    print(path, wanted, int(indices), a.shape[1], a.shape[0], a.shape[2], zlib.crc32(a.tobytes()), file=lines)\n"           \
    "def say(path):\n"                                                                                                           \
    "    image = Image.open(path); image.load()\n"                                                                               \
    "    if image.mode == 'P': put(path, 0, True, image)\n"                                                                      \
    "    image = ImageOps.exif_transpose(image)\n"                                                                               \
    "    put(path, 3, False, image.convert('RGB')); put(path, 4, False, image.convert('RGBA'))\n"                                \
    "    grey = image.convert('RGB') if image.mode in ('P', 'CMYK') else image\n"                                                \
    "    put(path, 1, False, grey.convert('L'))\n"

#define MAKE                                                                                                                     \
    "ramp = np.linspace(0, 255, 61)[None, :, None] * np.linspace(.2, 1, 43)[:, None, None] * np.array([1, .8, .5, .9])\n"        \
    "noise = np.clip(ramp + rng.normal(0, 20, ramp.shape), 0, 255).astype(np.uint8)\n"                                           \
    "rgb, rgba = Image.fromarray(noise[..., :3].copy()), Image.fromarray(noise)\n"                                               \
    "kinds = {'RGB': rgb, 'RGBA': rgba, 'L': rgb.convert('L'), 'LA': rgba.convert('LA'), '1': rgb.convert('1')}\n"               \
    "for n in (2, 4, 16, 200): kinds['P%d' % n] = rgb.quantize(n)\n"                                                             \
    "for name, image in kinds.items():\n"                                                                                        \
    "    for end in ('png', 'bmp'):\n"                                                                                           \
    "        if (name, end) == ('LA', 'bmp'): continue\n"                                                                        \
    "        path = '%s/%s.%s' % (dir, name, end); image.save(path); say(path)\n"                                                \
    "path = dir + '/tRNS.png'; kinds['P16'].save(path, transparency=bytes(range(0, 160, 10))); say(path)\n"                      \
    "for mode in ('RGB', 'L', 'CMYK'):\n"                                                                                        \
    "    for sampling in (0, 1, 2):\n"                                                                                           \
    "        for progressive in (False, True):\n"                                                                                \
    "            for size in ((61, 43), (8, 8), (1, 1), (17, 2)):\n"                                                             \
    "                path = '%s/%s%d%d-%d.jpg' % (dir, mode, sampling, progressive, size[0])\n"                                  \
    "                image = rgb.convert(mode).resize(size)\n"                                                                   \
    "                image.save(path, quality=83, subsampling=sampling, progressive=progressive); say(path)\n"                   \
    "for turn in range(1, 9):\n"                                                                                                 \
    "    exif = Image.Exif(); exif[0x112] = turn\n"                                                                              \
    "    path = '%s/turn%d.jpg' % (dir, turn); rgb.save(path, exif=exif); say(path)\n"                                           \
    "def bmp(name, bits, compression, body, palette=b'', masks=b'', height=43):\n"                                               \
    "    path = '%s/%s.bmp' % (dir, name)\n"                                                                                     \
    "    at = 54 + len(masks) + len(palette)\n"                                                                                  \
    "    head = struct.pack('<IiiHHIIiiII', 40, 61, height, 1, bits, compression, len(body), 0, 0, len(palette) // 4, 0)\n"      \
    "    open(path, 'wb').write(b'BM' + struct.pack('<IHHI', at + len(body), 0, 0, at) + head + masks + palette + body)\n"       \
    "    say(path)\n"                                                                                                            \
    "body = rng.integers(0, 256, 43 * 124, np.uint8).tobytes()\n"                                                                \
    "bmp('555', 16, 0, body); bmp('555down', 16, 0, body, height=-43)\n"                                                         \
    "bmp('565', 16, 3, body, masks=struct.pack('<III', 0xf800, 0x7e0, 0x1f))\n"                                                  \
    "bmp('x888', 32, 3, rng.integers(0, 256, 43 * 244, np.uint8).tobytes(), masks=struct.pack('<III', 0xff0000, 0xff00, "        \
    "0xff))\n"                                                                                                                   \
    "palette = rng.integers(0, 256, 64, np.uint8).tobytes()\n"                                                                   \
    "def runs(bits):\n"                                                                                                          \
    "    out = b''\n"                                                                                                            \
    "    for y in range(43):\n"                                                                                                  \
    "        x = 0\n"                                                                                                            \
    "        while x < 61:\n"                                                                                                    \
    "            n = min(int(rng.integers(1, 20)), 61 - x)\n"                                                                    \
    "            if n > 3 and rng.integers(2):\n"                                                                                \
    "                k = rng.integers(0, 16, n, np.uint8)\n"                                                                     \
    "                if bits == 4: k = np.append(k, [0] * (n % 2)).astype(np.uint8); k = k[::2] * 16 + k[1::2]\n"                \
    "                out += bytes([0, n]) + k.tobytes() + b'\\0' * (len(k) % 2)\n"                                               \
    "            else: out += bytes([n, int(rng.integers(0, 16 if bits == 8 else 256))])\n"                                      \
    "            x += n\n"                                                                                                       \
    "        out += b'\\0\\0' if y < 42 else b'\\0\\1'\n"                                                                        \
    "    return out\n"                                                                                                           \
    "bmp('rle8', 8, 1, runs(8), palette); bmp('rle4', 4, 2, runs(4), palette)\n"

#define REAL                                                                                                                     \
    "data = os.environ['GRADUS_DATA']\n"                                                                                         \
    "for path in sorted(glob.glob(data + '/msrc/images/*.jpg') + glob.glob(data + '/msrc/labels/*.png')): say(path)\n"

static int compare(const char *list)
{
    FILE *file = fopen(list, "r");
    char path[1024];
    int wanted, indices, w, h, c, n = 0, faults = 0;
    unsigned long crc;
    assert_non_null(file);
    while (fscanf(file, "%1023s %d %d %d %d %d %lu", path, &wanted, &indices, &w, &h, &c, &crc) == 7) {
        grd_host host;
        grd_image image;
        grd_host_init(&host, NULL);
        OK(&host, grd_image_read(&host, path, &(grd_image_opts){ .channels = wanted, .indices = indices }, &image));
        unsigned long found = crc32(0, image.pixels, (uInt)(image.width * image.height * image.channels));
        if (image.width != w || image.height != h || image.channels != c || found != crc) {
            print_error("%s, channels %d, indices %d: %d x %d x %d, crc %lu; Pillow: %d x %d x %d, crc %lu\n", path, wanted,
                        indices, image.width, image.height, image.channels, found, w, h, c, crc);
            faults++;
        }
        grd_image_free(&host, &image);
        n++;
    }
    fclose(file);
    assert_int_equal(faults, 0);
    return n;
}

static void files_of_every_kind_are_read_as_pillow_reads_them(void **state)
{
    (void)state;
    if (!python_has("PIL, numpy"))
        skip();
    const char *list = in_temp_dir("list");
    run_python(SCRIPT_HEAD MAKE, list);
    assert_true(compare(list) > 200);
}

static void real_pictures_are_read_as_pillow_reads_them(void **state)
{
    (void)state;
    if (!python_has("PIL, numpy") || !getenv("GRADUS_DATA"))
        skip();
    const char *list = in_temp_dir("list");
    run_python(SCRIPT_HEAD REAL, list);
    assert_int_equal(compare(list), 391 * 3 + 391 * 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_every_kind_are_read_as_pillow_reads_them),
        cmocka_unit_test(real_pictures_are_read_as_pillow_reads_them),
    };
    return cmocka_run_group_tests_name("image and Pillow", tests, NULL, remove_temp_dir);
}
