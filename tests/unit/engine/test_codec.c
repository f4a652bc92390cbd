/* SPDX-License-Identifier: Apache-2.0 */
/* test_codec.c - how compression is named, and that a block comes back whatever its level. */
#include "codec.h"
#include "engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 262144u

static void test_parse__all_forms__codec_and_level(void **state)
{
    static const struct {
        const char *text, *again;
        enum bdr_codec codec;
        int level;
    } rows[] = {
        {"none", "none", BDR_CODEC_NONE, 0},           {"lz4", "lz4:2", BDR_CODEC_LZ4, 2},
        {"lz4:1", "lz4:1", BDR_CODEC_LZ4, 1},          {"lz4:64", "lz4:64", BDR_CODEC_LZ4, 64},
        {"zstd", "zstd:2", BDR_CODEC_ZSTD, 2},         {"zstd:19", "zstd:19", BDR_CODEC_ZSTD, 19},
        {"zstd:-50", "zstd:-50", BDR_CODEC_ZSTD, -50}, {"zstd:0", "zstd:0", BDR_CODEC_ZSTD, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        enum bdr_codec codec = BDR_CODEC_NONE;
        char text[24];
        int level = 99;

        engine_ok(bdr_codec_parse(rows[i].text, &codec, &level));
        assert_int_equal(codec, rows[i].codec);
        assert_int_equal(level, rows[i].level);
        bdr_codec_text(codec, level, text, sizeof(text));
        assert_string_equal(text, rows[i].again);
    }
}

static void test_parse__nonsense__inval(void **state)
{
    static const char *const bad[] = {"",       "lz",    "lz4:",    "lz4:0",    "lz4:65",   "lz4:-1",   "lz4:2x",
                                      "none:1", "zstd:", "zstd:20", "zstd:-51", "zstd:--1", "zstd:1:2", "LZ4"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        enum bdr_codec codec = BDR_CODEC_ZSTD;
        int level = 77;
        struct bdr_err *err = bdr_codec_parse(bad[i], &codec, &level);

        if (!err)
            fail_msg("'%s' was taken", bad[i]);
        bdr_err_drop(err, "as it must be");
        assert_int_equal(codec, BDR_CODEC_ZSTD);
        assert_int_equal(level, 77);
    }
}

/* Lines of a log: repeats near and far, so that it matters how hard one looks. */
static uint8_t *text_block(void)
{
    static const char *const words[] = {"accepted ", "connection ", "from ", "port ",   "closed ",
                                        "by ",       "user ",       "for ",  "session "};
    uint8_t *p = malloc(BLOCK);
    uint32_t seed = 1;

    assert_non_null(p);
    for (size_t at = 0; at < BLOCK;) {
        char one[32];
        size_t n;

        seed = seed * 1664525u + 1013904223u;
        n = (size_t)(seed >> 28 ? snprintf(one, sizeof(one), "%s", words[(seed >> 16) % 9])
                                : snprintf(one, sizeof(one), "%u\n", seed >> 8));
        n = n < BLOCK - at ? n : BLOCK - at;
        memcpy(p + at, one, n);
        at += n;
    }
    return p;
}

static size_t pack_and_back(struct bdr_codec_ctx *c, enum bdr_codec want, int level, const uint8_t *in)
{
    uint8_t *out = malloc(bdr_codec_bound(BLOCK)), *back = malloc(BLOCK);
    enum bdr_codec codec;
    size_t len = 0;

    assert_true(out && back);
    engine_ok(bdr_codec_pack(c, want, level, in, BLOCK, out, &codec, &len));
    assert_int_equal(codec, want);
    assert_true(len < BLOCK);
    engine_ok(bdr_codec_unpack(c, (uint8_t)codec, out, len, back, BLOCK));
    assert_memory_equal(in, back, BLOCK);
    free(out);
    free(back);
    return len;
}

static void test_lz4__more_acceleration__larger_and_the_same_content(void **state)
{
    BDR_AUTO(codec) struct bdr_codec_ctx *c = NULL;
    uint8_t *in = text_block();
    size_t hard, fast;

    (void)state;
    engine_ok(bdr_codec_new(&c));
    hard = pack_and_back(c, BDR_CODEC_LZ4, 1, in);
    fast = pack_and_back(c, BDR_CODEC_LZ4, 64, in);
    assert_true(hard < fast);
    pack_and_back(c, BDR_CODEC_ZSTD, 2, in);
    free(in);
}

static void test_lz4__repository__remembers_its_acceleration(void **state)
{
    struct engine *e = *state;
    struct bdr_repo_facts facts;
    struct bdr_repo *repo;

    engine_init(e, false, "lz4:7", 65536);
    repo = engine_open(e);
    engine_ok(bdr_repo_facts(repo, &facts));
    assert_string_equal(facts.compress, "lz4:7");
    bdr_repo_close(repo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__all_forms__codec_and_level),
        cmocka_unit_test(test_parse__nonsense__inval),
        cmocka_unit_test(test_lz4__more_acceleration__larger_and_the_same_content),
        cmocka_unit_test_setup_teardown(test_lz4__repository__remembers_its_acceleration, engine_setup,
                                        engine_teardown),
    };

    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
