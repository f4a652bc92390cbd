/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../src/mover/recover_state.h"
#include "bdr/bytes.h"
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after setjmp.h, stdarg.h */
#include <cmocka.h>

#define POINT "0123456789abcdef0123456789abcdef"

static enum bdr_code parse(const char *text, size_t len)
{
    struct recover_state st = {0};
    struct bdr_err *err = recover_state_parse(text, len, &st);
    enum bdr_code code = err ? err->code : BDR_OK;

    bdr_err_free(err);
    recover_state_free(&st);
    return code;
}

/* `body` with its checksum. */
static void sealed(const char *body, struct bdr_buf *out)
{
    uint8_t digest[32];
    char hex[65];

    assert_int_equal(EVP_Digest(body, strlen(body), digest, NULL, EVP_sha256(), NULL), 1);
    bdr_buf_printf(out, "%ssum %s\n", body, bdr_hex(digest, 32, hex));
}

static void test_state__formatted__parses_back(void **state)
{
    struct recover_state st, back;
    struct bdr_buf text = {0};

    (void)state;
    assert_null(recover_state_init(&st, POINT, 7, 1000000001, 65536));
    for (uint64_t i = 0; i < st.n_spans; i++)
        recover_state_set(&st, i, i % 7 < 3 || i + 1 == st.n_spans);
    recover_state_format(&st, &text);
    assert_null(recover_state_parse((char *)text.data, text.len, &back));
    assert_string_equal(back.point, POINT);
    assert_int_equal(back.disk, 7);
    assert_int_equal(back.size_bytes, 1000000001);
    assert_int_equal(back.span_bytes, 65536);
    assert_memory_equal(back.done, st.done, st.n_spans / 8 + 1);
    recover_state_free(&st);
    recover_state_free(&back);
    bdr_buf_free(&text);
}

static void test_state__any_byte_changed_or_cut__is_refused(void **state)
{
    struct recover_state st;
    struct bdr_buf text = {0};

    (void)state;
    assert_null(recover_state_init(&st, POINT, 0, 10u << 20, 65536));
    recover_state_set(&st, 3, true);
    recover_state_set(&st, 159, true);
    recover_state_format(&st, &text);
    for (size_t i = 0; i < text.len; i++) {
        text.data[i] ^= 1;
        assert_int_not_equal(parse((char *)text.data, text.len), BDR_OK);
        text.data[i] ^= 1;
        assert_int_not_equal(parse((char *)text.data, i), BDR_OK);
    }
    assert_int_equal(parse((char *)text.data, text.len), BDR_OK);
    recover_state_free(&st);
    bdr_buf_free(&text);
}

static void test_state__nonsense_with_right_checksum__is_refused(void **state)
{
    static const char *const bodies[] = {
        "bdr-recover 1\npoint " POINT "\ndisk 0\nsize 1000\nspan 1000\n",                 /* not a power of two */
        "bdr-recover 1\npoint " POINT "\ndisk 0\nsize 1000\nspan 4096\n",                 /* too small */
        "bdr-recover 1\npoint " POINT "\ndisk 0\nsize 9223372036854775807\nspan 65536\n", /* too many spans */
        "bdr-recover 1\npoint xyz\ndisk 0\nsize 1000\nspan 65536\n",
        "bdr-recover 1\npoint " POINT "\ndisk 0\nsize 200000\nspan 65536\ndone 65536 65536\ndone 0 65536\n",
        "bdr-recover 1\npoint " POINT "\ndisk 0\nsize 200000\nspan 65536\ndone 0 131072\ndone 65536 65536\n",
        "bdr-recover 1\npoint " POINT "\ndisk 0\nsize 200000\nspan 65536\ndone 0 1\n",
        "bdr-recover 1\npoint " POINT "\ndisk 0\nsize 200000\nspan 65536\ndone 0 200001\n",
        "bdr-recover 1\npoint " POINT "\ndisk 0\nsize 200000\nspan 65536\ndone 65536 18446744073709551615\n",
        "bdr-recover 1\npoint " POINT "\ndisk 0\nsize 200000\nspan 65536\nwhat 1 2\n",
        "bdr-recover 1\npoint " POINT "\ndisk 0\nsize 200000\n",
        "bdr-recover 0\n",
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(bodies); i++) {
        struct bdr_buf text = {0};
        enum bdr_code code;

        sealed(bodies[i], &text);
        code = parse((char *)text.data, text.len);
        if (code != BDR_CORRUPT && code != BDR_RANGE)
            fail_msg("accepted: %s", bodies[i]);
        bdr_buf_free(&text);
    }
}

static void test_state__newer_version__says_so(void **state)
{
    struct bdr_buf text = {0};

    (void)state;
    sealed("bdr-recover 2\nwho knows\n", &text);
    assert_int_equal(parse((char *)text.data, text.len), BDR_VERSION);
    bdr_buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state__formatted__parses_back),
        cmocka_unit_test(test_state__any_byte_changed_or_cut__is_refused),
        cmocka_unit_test(test_state__nonsense_with_right_checksum__is_refused),
        cmocka_unit_test(test_state__newer_version__says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
