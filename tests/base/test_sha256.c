/* SHA-256 against the examples that its standard gives. */
#include "base/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void hashes_the_examples_of_the_standard(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } of[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
          "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        grd_sha256 s;
        char hex[GRD_SHA256_HEX + 1];
        grd_sha256_begin(&s);
        grd_sha256_add(&s, of[i].text, strlen(of[i].text));
        grd_sha256_end(&s, hex);
        assert_string_equal(hex, of[i].hex);
    }
}

static void pieces_of_any_length_give_the_same_hash(void **state)
{
    (void)state;
    enum { N = 1000000 };
    char *text = malloc(N), hex[GRD_SHA256_HEX + 1];
    assert_non_null(text);
    memset(text, 'a', N);
    for (size_t piece = 1; piece < 200; piece += 33) {
        grd_sha256 s;
        grd_sha256_begin(&s);
        for (size_t at = 0; at < N; at += piece)
            grd_sha256_add(&s, text + at, piece < N - at ? piece : N - at);
        grd_sha256_end(&s, hex);
        assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_the_examples_of_the_standard),
        cmocka_unit_test(pieces_of_any_length_give_the_same_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
