/* Pickles made by hand: the opcodes of plain data are understood, all else is refused with a sentence. */
#define _GNU_SOURCE
#include "helper_format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "\x80\x02" and the opcodes as a whole file, with a storage "0" of six floats. */
static grd_status parse(grd_host *host, const char *ops, size_t size, grd_pth *pth, void **keep)
{
    static const float six[6] = { 0, 1, 2, 3, 4, 5 };
    char *pickle = malloc(size + 2);
    zip_maker zip;
    memcpy(pickle, "\x80\x02", 2);
    memcpy(pickle + 2, ops, size);
    zip_pth(&zip, host, pickle, size + 2, six, sizeof six);
    free(pickle);
    *keep = zip.out.data;
    return grd_pth_parse(host, "hand.pth", zip.out.data, zip.out.size, pth);
}

#define TEXT(length, text) "X" length "\0\0\0" text
#define STORAGE(class, key, count)                                                                                               \
    "(" TEXT("\x07", "storage") "ctorch\n" class "\n" TEXT("\x01", key) TEXT("\x03", "cpu") count "tQ"
#define TENSOR(storage, offset, shape, strides) "ctorch._utils\n_rebuild_tensor_v2\n(" storage offset shape strides "\x89}tR"
#define SIX STORAGE("FloatStorage", "0", "K\x06")

typedef struct refused {
    const char *ops;
    size_t size;
    const char *text;
} refused;
#define CASE(ops, text)                                                                                                          \
    {                                                                                                                            \
        ops, sizeof(ops) - 1, text                                                                                               \
    }

static const refused cases[] = {
    CASE("cos\nsystem\n(" TEXT("\x02", "id") "tR.", "refused to load \"os.system\""),
    CASE(TEXT("\x02", "os") TEXT("\x06", "system") "\x93)R.", "refused to load \"os.system\""),
    CASE("c__builtin__\neval\n(" TEXT("\x01", "1") "tR.", "refused to load \"__builtin__.eval\""),
    CASE("ctorch\nload\n.", "refused to load \"torch.load\""),
    CASE("c\x1b[31m\n\n.", "refused to load \"?[31m.\""),
    CASE("ctorch\nTensor\n)R.", "refused to make an object of class \"Tensor\""),
    CASE("ctorch\nFloatStorage\n)\x81.", "refused to make an object of class \"FloatStorage\""),
    CASE("", "ends in the middle"),
    CASE("K", "ends in the middle"),
    CASE("X\xff\xff\xff\xff"
         "abc.",
         "ends in the middle"),
    CASE("\x8b\xff\xff\xff\xff.", "ends in the middle"),
    CASE("cos", "ends in the middle of a name"),
    CASE("\x80\x09N.", "pickle protocol 9"),
    CASE("h\x05.", "memo entry 5 is used but was never set"),
    CASE("Nr\xff\xff\xff\x7f.", "memo entry 2147483647"),
    CASE("e.", "needs a mark"),
    CASE("(.", "stack has 0 items"),
    CASE(".", "stack has 0 items"),
    CASE("NN.", "2 items left over"),
    CASE("(N.", "1 items left over"),
    CASE("K\x01K\x02"
         "a.",
         "items appended to a int, expected a list"),
    CASE("(e.", "items appended to a missing item"),
    CASE("]NNs.", "2 items set in a list, expected pairs and a dict"),
    CASE("}(Nu.", "1 items set in a dict, expected pairs"),
    CASE("NR.", "stack has 1 items, expected 2"),
    CASE("NNR.", "a call of something that is not a function"),
    CASE("i\n\n.", "opcode 0x69"),
    CASE("]q\0h\0a.", "nested more than 64 deep"),
    CASE("}q\0" TEXT("\x01", "a") "h\0s.", "nested more than 64 deep"),
    CASE("ctorch\nFloatStorage\n.", "a class or function where data is expected"),
    CASE("](ctorch\nSize\ne.", "a class or function where data is expected"),
    CASE(SIX ".", "a storage where data is expected"),
    CASE("NQ.", "a reference that is not"),
    CASE(STORAGE("FloatStorage", "0", "J\xff\xff\xff\xff") ".", "a reference that is not"),
    CASE("ctorch._utils\n_rebuild_tensor_v2\n)R.", "expected a storage, an offset, a shape"),
    CASE(TENSOR("N", "K\0", "K\x06\x85", "K\x01\x85") ".", "expected a storage, an offset, a shape"),
    CASE(TENSOR(SIX, "K\0", "K\x06\x85", "K\x01K\x01\x86") ".", "as many strides"),
    CASE(TENSOR(SIX, "K\0", "K\x07\x85", "K\x01\x85") ".", "a tensor [7] needs 7 elements of a storage of 6"),
    CASE(TENSOR(SIX, "K\x01", "K\x06\x85", "K\x01\x85") ".", "needs 7 elements of a storage of 6"),
    CASE(TENSOR(SIX, "K\0", "K\x02K\x02\x86", "K\x05K\x01\x86") ".", "needs 7 elements of a storage of 6"),
    CASE(TENSOR(SIX, "K\0", "J\xff\xff\xff\xff\x85", "K\x01\x85") ".", "a tensor of impossible size"),
    CASE(TENSOR(SIX, "K\0", "K\x02\x85", "J\xff\xff\xff\xff\x85") ".", "a tensor of impossible size"),
    CASE(TENSOR(SIX, "J\xff\xff\xff\xff", "K\x01\x85", "K\x01\x85") ".", "a tensor of impossible size"),
    CASE(TENSOR(SIX, "K\0", "J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", "K\x01K\x01\x86") ".", "a tensor of impossible size"),
    CASE(TENSOR(SIX, "K\0", "K\x02\x85", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85") ".", "a tensor of impossible size"),
    CASE(TENSOR(SIX, "K\0", "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01t", "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01t") ".",
         "with 7 dimensions"),
    CASE(TENSOR(SIX, "K\0",
                "J\xff\xff\xff\x3f"
                "K\x08\x86",
                "K\0K\0\x86") ".",
         "far more memory than the file's size"),
    CASE(TENSOR(STORAGE("FloatStorage", "0", "K\x07"), "K\0", "K\x06\x85", "K\x01\x85") ".",
         "storage \"0\" has 24 bytes, expected 7 elements of float32"),
    CASE(TENSOR(STORAGE("DoubleStorage", "0", "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"), "K\0", "K\x06\x85", "K\x01\x85") ".",
         "storage \"0\" has 24 bytes"),
    CASE(TENSOR(STORAGE("FloatStorage", "9", "K\x06"), "K\0", "K\x06\x85", "K\x01\x85") ".", "no record \"data/9\""),
    CASE("ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._tensor\n_rebuild_from_type_v2\nctorch\nTensor\n)}tR.",
         "expected a function"),
    CASE("ctorch._tensor\n_rebuild_from_type_v2\n(ctorch\nTensor\nctorch\nTensor\n)}tR.", "refused to make an object"),
    CASE("ccollections\nOrderedDict\n(K\x01tR"
         "NNs"
         "K\x01s.",
         "stack has"),
    CASE("ccollections\nOrderedDict\n](NNe\x85R.", "its argument is not a list of pairs"),
};

static void what_is_not_plain_data_is_refused_with_a_sentence(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        grd_pth pth;
        void *keep;
        FAILS(&host, GRD_ERR_FORMAT, cases[i].text, parse(&host, cases[i].ops, cases[i].size, &pth, &keep));
        assert_int_equal(strncmp(host.err.text, "hand.pth: ", 10), 0);
        grd_free(&host, keep);
    }
}

/* Lists of ten references each to the list before: small in the file, endless to walk. */
static void a_tree_of_endless_references_is_refused(void **state)
{
    (void)state;
    grd_host host;
    grd_bytes b;
    grd_host_init(&host, NULL);
    grd_bytes_init(&b, &host);
    grd_bytes_text(&b, "]q");
    grd_bytes_number(&b, 0, 1);
    for (int level = 1; level < 30; level++) {
        grd_bytes_text(&b, "](");
        for (int i = 0; i < 10; i++) {
            grd_bytes_text(&b, "h");
            grd_bytes_number(&b, (uint64_t)(level - 1), 1);
        }
        grd_bytes_text(&b, "eq");
        grd_bytes_number(&b, (uint64_t)level, 1);
    }
    grd_bytes_text(&b, "\x86\x86\x86."); /* the stack's 30 lists */
    for (int i = 0; i < 26; i++)
        b.data[b.size - 1] = '\x86', grd_bytes_text(&b, ".");
    grd_pth pth;
    void *keep;
    FAILS(&host, GRD_ERR_FORMAT, "far more items than the file's size", parse(&host, (char *)b.data, b.size, &pth, &keep));
    grd_free(&host, keep);
    grd_bytes_free(&b);
}

static grd_value *parsed(grd_host *host, const char *ops, size_t size, grd_pth *pth, void **keep)
{
    OK(host, parse(host, ops, size, pth, keep));
    return pth->root;
}
#define PARSED(ops) parsed(&host, ops, sizeof(ops) - 1, &pth, &keep)
#define DONE (grd_pth_close(&pth), grd_free(&host, keep))

static void strided_views_become_row_major(void **state)
{
    (void)state;
    grd_host host;
    grd_pth pth;
    void *keep;
    grd_host_init(&host, NULL);
    const struct {
        const char *ops;
        size_t size;
        grd_shape shape;
        float expected[8];
    } views[] = {
#define VIEW(offset, shape, strides, ...)                                                                                        \
    { TENSOR(SIX, offset, shape, strides) ".", sizeof(TENSOR(SIX, offset, shape, strides) ".") - 1, __VA_ARGS__ }
        VIEW("K\0", "K\x02K\x03\x86", "K\x03K\x01\x86", { 2, { 2, 3 } }, { 0, 1, 2, 3, 4, 5 }),
        VIEW("K\0", "K\x03K\x02\x86", "K\x01K\x03\x86", { 2, { 3, 2 } }, { 0, 3, 1, 4, 2, 5 }),
        VIEW("K\x01", "K\x02K\x02\x86", "K\x03K\x01\x86", { 2, { 2, 2 } }, { 1, 2, 4, 5 }),
        VIEW("K\x05", "K\x02K\x02\x86", "K\0K\0\x86", { 2, { 2, 2 } }, { 5, 5, 5, 5 }),
        VIEW("K\x02", ")", ")", { 0 }, { 2 }),
        VIEW("K\x01", "K\x02K\x01K\x02\x87", "K\x02K\x63K\x01\x87", { 3, { 2, 1, 2 } }, { 1, 2, 3, 4 }),
        VIEW("K\0", "K\x02K\0\x86", "K\x63K\x01\x86", { 2, { 2, 0 } }, { 0 }),
    };
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        const grd_tensor_data *t = &parsed(&host, views[i].ops, views[i].size, &pth, &keep)->tensor;
        assert_true(grd_shape_equal(&t->shape, &views[i].shape));
        size_t bytes = (size_t)grd_count(&t->shape) * sizeof(float);
        assert_true(!bytes || memcmp(t->data, views[i].expected, bytes) == 0);
        DONE;
    }
}

static void narrow_types_are_converted(void **state)
{
    (void)state;
    grd_host host;
    grd_host_init(&host, NULL);
    /* one storage, read as several types */
    static const uint16_t half[8] = { 0x3c00, 0xc000, 0x0001, 0x83ff, 0x7c00, 0xfc00, 0x7bff, 0x8000 };
    static const float as_half[8] = { 1, -2, 5.9604645e-8f, -6.097555e-5f, INFINITY, -INFINITY, 65504, -0.0f };
    const struct {
        const char *ops;
        size_t size, elements;
        const char *stored;
        grd_dtype dtype;
    } types[] = {
#define TYPE(class, count, stored, dtype)                                                                                        \
    { TENSOR(STORAGE(class, "0", count), "K\0", count "\x85", "K\x01\x85") ".",                                                  \
      sizeof(TENSOR(STORAGE(class, "0", count), "K\0", count "\x85", "K\x01\x85") ".") - 1, count[1], stored, dtype }
        TYPE("HalfStorage", "K\x08", "float16", GRD_F32),   TYPE("BFloat16Storage", "K\x08", "bfloat16", GRD_F32),
        TYPE("ShortStorage", "K\x08", "int16", GRD_I32),    TYPE("CharStorage", "K\x10", "int8", GRD_I32),
        TYPE("BoolStorage", "K\x10", "bool", GRD_U8),       TYPE("ByteStorage", "K\x10", "uint8", GRD_U8),
        TYPE("IntStorage", "K\x04", "int32", GRD_I32),      TYPE("LongStorage", "K\x02", "int64", GRD_I64),
        TYPE("DoubleStorage", "K\x02", "float64", GRD_F64),
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        zip_maker zip;
        grd_pth pth;
        zip_pth(&zip, &host, types[i].ops, types[i].size, half, sizeof half);
        OK(&host, grd_pth_parse(&host, "types", zip.out.data, zip.out.size, &pth));
        const grd_tensor_data *t = &pth.root->tensor;
        assert_string_equal(t->stored, types[i].stored);
        assert_int_equal(t->dtype, types[i].dtype);
        assert_int_equal(t->shape.dim[0], types[i].elements);
        const uint8_t *raw = (const uint8_t *)half;
        for (size_t k = 0; k < types[i].elements; k++) {
            if (i == 0)
                assert_true(((const float *)t->data)[k] == as_half[k]);
            if (i == 1) {
                uint32_t bits = (uint32_t)half[k] << 16;
                assert_memory_equal((const float *)t->data + k, &bits, 4);
            }
            if (i == 2)
                assert_int_equal(((const int32_t *)t->data)[k], (int16_t)half[k]);
            if (i == 3)
                assert_int_equal(((const int32_t *)t->data)[k], (int8_t)raw[k]);
        }
        if (i > 3)
            assert_memory_equal(t->data, raw, 16);
        grd_pth_close(&pth);
        grd_bytes_free(&zip.out);
    }
}

static void opcodes_of_plain_data_are_understood(void **state)
{
    (void)state;
    grd_host host;
    grd_pth pth;
    void *keep;
    grd_host_init(&host, NULL);
    assert_int_equal(PARSED("\x8a\x01\xff.")->integer, -1);
    DONE;
    assert_int_equal(PARSED("\x8a\x00.")->integer, 0);
    DONE;
    assert_string_equal(PARSED("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.")->text.bytes, "0x1950a86a20f9469cfc6c");
    DONE;
    assert_string_equal(PARSED("\x8a\x09\0\0\0\0\0\0\0\0\xff.")->text.bytes, "-0x010000000000000000");
    DONE;
    assert_true(PARSED("G\x3f\xf8\0\0\0\0\0\0.")->real == 1.5);
    DONE;
    assert_int_equal(PARSED("\x95\x05\0\0\0\0\0\0\0\x8c\x02hi\x94.")->text.size, 2);
    DONE;
    assert_int_equal(PARSED("\x8f(K\x01K\x02\x90.")->list.n, 2);
    DONE;
    assert_string_equal(PARSED("ctorch\nfloat16\n.")->text.bytes, "torch.float16");
    DONE;
    assert_int_equal(PARSED("ctorch\nSize\nK\x01K\x02\x86\x85R.")->kind, GRD_VALUE_TUPLE);
    DONE;
    /* Python 2's OrderedDict([[key, value], ...]), and attributes, which are left out */
    const grd_value *dict =
        PARSED("ccollections\nOrderedDict\n](](" TEXT("\x01", "a") "K\x05"
                                                                   "ee\x85R}" TEXT("\x09", "_metadata") "Nsb.");
    assert_true(dict->dict.ordered);
    assert_int_equal(grd_value_to_int(grd_value_get(dict, "a"), 0), 5);
    DONE;
    assert_int_equal(PARSED("}(NK\x01\x88K\x02K\x03K\x04u.")->dict.n, 1); /* keys None and True are left out */
    DONE;
    /* a tensor twice by the memo is one node; a parameter is its tensor */
    const grd_value *list =
        PARSED("](" TENSOR(SIX, "K\0", "K\x06\x85", "K\x01\x85") "q\x01h\x01"
                                                                 "ctorch._utils\n_rebuild_parameter\n(h\x01\x88}tRe.");
    assert_int_equal(list->list.n, 3);
    assert_ptr_equal(list->list.item[0], list->list.item[1]);
    assert_ptr_equal(list->list.item[0], list->list.item[2]);
    DONE;
}

/* ---- files of PyTorch before 1.6 ---- */

#define MAGIC "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19."
#define PROTOCOL "\x80\x02M\xe9\x03."
#define SYSTEM "\x80\x02}" TEXT("\x0d", "little_endian") "\x88s."
#define OLD_STORAGE(view)                                                                                                        \
    "(" TEXT("\x07", "storage") "ctorch\nFloatStorage\n" TEXT("\x01", "k") TEXT("\x03", "cpu") "K\x06" view "tQ"
#define OLD(view, offset, shape, strides)                                                                                        \
    MAGIC PROTOCOL SYSTEM "\x80\x02" TENSOR(OLD_STORAGE(view), offset, shape, strides) ".\x80\x02](" TEXT("\x01", "k") "e."

static size_t with_six(char *out, const char *head, size_t head_size, uint64_t count)
{
    static const float six[6] = { 0, 1, 2, 3, 4, 5 };
    memcpy(out, head, head_size);
    for (int i = 0; i < 8; i++)
        out[head_size + (size_t)i] = (char)(count >> (8 * i));
    memcpy(out + head_size + 8, six, sizeof six);
    return head_size + 8 + sizeof six;
}

static void files_of_the_older_format_are_read(void **state)
{
    (void)state;
    grd_host host;
    grd_pth pth;
    char bytes[1024];
    grd_host_init(&host, NULL);
    const char whole[] = OLD("N", "K\x01", "K\x02K\x02\x86", "K\x03K\x01\x86");
    const char part[] = OLD("(" TEXT("\x01", "v") "K\x02K\x03t", "K\x01", "K\x02\x85", "K\x01\x85");
    size_t size = with_six(bytes, whole, sizeof whole - 1, 6);
    OK(&host, grd_pth_parse(&host, "old", bytes, size, &pth));
    assert_memory_equal(pth.root->tensor.data, ((float[]){ 1, 2, 4, 5 }), 16);
    grd_pth_close(&pth);
    for (size_t n = 0; n < size; n++) {
        void *copy = malloc(n + 1); /* exact but for the byte that malloc(0) needs */
        memcpy(copy, bytes, n);
        assert_int_equal(grd_pth_parse(&host, "old", copy, n, &pth), GRD_ERR_FORMAT);
        free(copy);
    }
    size = with_six(bytes, part, sizeof part - 1, 6);
    OK(&host, grd_pth_parse(&host, "old", bytes, size, &pth));
    assert_memory_equal(pth.root->tensor.data, ((float[]){ 3, 4 }), 8);
    grd_pth_close(&pth);
    with_six(bytes, whole, sizeof whole - 1, UINT64_MAX);
    FAILS(&host, GRD_ERR_FORMAT, "storage \"k\" has 18446744073709551615 elements, expected 6",
          grd_pth_parse(&host, "old", bytes, size, &pth));
    const char outside[] = OLD("(" TEXT("\x01", "v") "K\x04K\x03t", "K\0", "K\x02\x85", "K\x01\x85");
    size = with_six(bytes, outside, sizeof outside - 1, 6);
    FAILS(&host, GRD_ERR_FORMAT, "does not lie inside", grd_pth_parse(&host, "old", bytes, size, &pth));
    FAILS(&host, GRD_ERR_FORMAT, "its magic number is missing", grd_pth_parse(&host, "old", "\x80\x02K\x05.", 5, &pth));
    FAILS(&host, GRD_ERR_FORMAT, "protocol 7, expected 1001",
          grd_pth_parse(&host, "old", MAGIC "\x80\x02K\x07.", sizeof MAGIC + 4, &pth));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_plain_data_is_refused_with_a_sentence),
        cmocka_unit_test(a_tree_of_endless_references_is_refused),
        cmocka_unit_test(strided_views_become_row_major),
        cmocka_unit_test(narrow_types_are_converted),
        cmocka_unit_test(opcodes_of_plain_data_are_understood),
        cmocka_unit_test(files_of_the_older_format_are_read),
    };
    return cmocka_run_group_tests_name("pickle", tests, NULL, NULL);
}
