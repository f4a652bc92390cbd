/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The suite every store driver passes. usage: conform_store mem|fs|URL
 *
 * "mem" and "fs" make their own place; a URL is a place of which we may use a fresh prefix (s3://bucket/prefix,
 * with its settings in the environment).
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "bdr/store.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

static char place[512];
static bool is_fs, is_mem;

static void ok_at(struct bdr_err *err, int line)
{
    char text[1024];

    if (err)
        fail_msg("line %d: %s: %s", line, bdr_code_name(err->code), bdr_err_text(err, text, sizeof(text)));
}
#define OK(call) ok_at((call), __LINE__)

static void code_at(struct bdr_err *err, enum bdr_code code, int line)
{
    char text[1024];

    if (!err || err->code != code)
        fail_msg("line %d: wanted %s, got %s", line, bdr_code_name(code),
                 err ? bdr_err_text(err, text, sizeof(text)) : "success");
    bdr_err_free(err);
}
#define FAILS(code, call) code_at((call), BDR_##code, __LINE__)

/* A store at a place of its own, `sub`. */
static struct bdr_store *open_at(const char *sub, bool create)
{
    struct bdr_store_options opt = {.create = create};
    struct bdr_store *st = NULL;
    char url[600];

    snprintf(url, sizeof(url), "%s%s%s", place, is_mem ? "" : "/", sub);
    OK(bdr_store_open(url, &opt, &st));
    return st;
}

static void expect(struct bdr_store *st, const char *key, const void *data, size_t len)
{
    BDR_AUTO(mem) uint8_t *got = NULL;
    size_t n = 0;

    OK(bdr_store_get_all(st, key, len, &got, &n));
    assert_int_equal(n, len);
    assert_memory_equal(got, data, len);
}

static void fill(uint8_t *buf, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1664525u + 1013904223u;
        buf[i] = (uint8_t)(seed >> 24);
    }
}

static struct bdr_err *list_into(void *ctx, const char *key, uint64_t size_bytes)
{
    bdr_buf_printf(ctx, "%s=%llu ", key, (unsigned long long)size_bytes);
    return bdr_buf_check(ctx);
}

static void expect_list(struct bdr_store *st, const char *prefix, const char *want)
{
    BDR_AUTO(buf) struct bdr_buf got = {0};

    OK(bdr_store_list(st, prefix, list_into, &got));
    bdr_buf_u8(&got, 0);
    assert_string_equal((char *)got.data, want);
}

static void test_put__then_get__gives_the_bytes(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("put", true);
    char buf[16];
    size_t n = 99;

    (void)state;
    OK(bdr_store_put(st, "a/b/c", "hello", 5, BDR_PUT_REPLACE));
    expect(st, "a/b/c", "hello", 5);
    OK(bdr_store_get(st, "a/b/c", 1, buf, 3, &n));
    assert_int_equal(n, 3);
    assert_memory_equal(buf, "ell", 3);
    OK(bdr_store_get(st, "a/b/c", 3, buf, sizeof(buf), &n));
    assert_int_equal(n, 2);
    OK(bdr_store_get(st, "a/b/c", 5, buf, sizeof(buf), &n));
    assert_int_equal(n, 0);
    FAILS(RANGE, bdr_store_get(st, "a/b/c", 6, buf, sizeof(buf), &n));
    OK(bdr_store_get(st, "a/b/c", 5, buf, 0, &n));
    FAILS(RANGE, bdr_store_get(st, "a/b/c", 6, buf, 0, &n));
    FAILS(NOTFOUND, bdr_store_get(st, "a/b/d", 0, buf, sizeof(buf), &n));
    FAILS(NOTFOUND, bdr_store_get(st, "a/b", 0, buf, sizeof(buf), &n));
    FAILS(NOTFOUND, bdr_store_get(st, "a/b/c/d", 0, buf, sizeof(buf), &n));
}

static void test_put__empty_object__is_there(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("empty", true);
    struct bdr_store_stat stat;
    char buf[4];
    size_t n = 99;

    (void)state;
    OK(bdr_store_put(st, "e", "", 0, BDR_PUT_EXCL));
    FAILS(EXISTS, bdr_store_put(st, "e", "", 0, BDR_PUT_EXCL));
    OK(bdr_store_get(st, "e", 0, buf, sizeof(buf), &n));
    assert_int_equal(n, 0);
    FAILS(RANGE, bdr_store_get(st, "e", 1, buf, sizeof(buf), &n));
    OK(bdr_store_stat(st, "e", &stat));
    assert_int_equal(stat.size_bytes, 0);
    expect_list(st, "", "e=0 ");
}

static void test_put__replace__gives_the_new_bytes_everywhere(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("replace", true), *other = open_at("replace", true);

    (void)state;
    OK(bdr_store_put(st, "k", "one", 3, BDR_PUT_REPLACE));
    expect(st, "k", "one", 3);
    expect(other, "k", "one", 3);
    OK(bdr_store_put(other, "k", "three", 5, BDR_PUT_REPLACE));
    expect(st, "k", "three", 5);
    FAILS(EXISTS, bdr_store_put(st, "k", "four", 4, BDR_PUT_EXCL));
    expect(other, "k", "three", 5);
    OK(bdr_store_remove(other, "k"));
    FAILS(NOTFOUND, bdr_store_get(st, "k", 0, &(char){0}, 1, &(size_t){0}));
    OK(bdr_store_put(st, "k", "five", 4, BDR_PUT_EXCL));
    expect(other, "k", "five", 4);
}

static void test_get_all__larger_than_max__is_range(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("all", true);
    BDR_AUTO(mem) uint8_t *big = malloc(3 * MIB), *got = NULL;
    size_t n;

    (void)state;
    fill(big, 3 * MIB, 1);
    OK(bdr_store_put(st, "big", big, 3 * MIB, BDR_PUT_REPLACE));
    expect(st, "big", big, 3 * MIB);
    FAILS(RANGE, bdr_store_get_all(st, "big", 3 * MIB - 1, &got, &n));
    FAILS(RANGE, bdr_store_get_all(st, "big", 10, &got, &n));
    FAILS(NOTFOUND, bdr_store_get_all(st, "none", 10, &got, &n));
    assert_null(got);
}

static void test_stat__tells_size_and_age_by_the_stores_clock(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("stat", true);
    struct bdr_store_stat stat;

    (void)state;
    OK(bdr_store_put(st, "s", "12345", 5, BDR_PUT_REPLACE));
    OK(bdr_store_stat(st, "s", &stat));
    assert_int_equal(stat.size_bytes, 5);
    assert_in_range(stat.now_ms - stat.modified_ms + 2000, 0, 62000);
    FAILS(NOTFOUND, bdr_store_stat(st, "t", &stat));
    FAILS(NOTFOUND, bdr_store_stat(st, "s/t", &stat));
}

static void test_key__bad__is_inval(void **state)
{
    static const char *const bad[] = {"",     "/a", "a/",  "a//b", ".",   "..",    "a/../b", "a/./b", ".a",
                                      "a/.b", "A",  "a b", "a\n",  "a%2", "tmp/x", "tmp",    "\xc3",  "a\\b"};
    BDR_AUTO(store) struct bdr_store *st = open_at("keys", true);
    char longest[202];

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(bad); i++) {
        FAILS(INVAL, bdr_store_put(st, bad[i], "x", 1, BDR_PUT_REPLACE));
        FAILS(INVAL, bdr_store_get(st, bad[i], 0, longest, 1, &(size_t){0}));
        FAILS(INVAL, bdr_store_remove(st, bad[i]));
    }
    FAILS(INVAL, bdr_store_list(st, "../", list_into, NULL));
    memset(longest, 'k', sizeof(longest));
    longest[201] = 0;
    FAILS(INVAL, bdr_store_put(st, longest, "x", 1, BDR_PUT_REPLACE));
    longest[200] = 0;
    OK(bdr_store_put(st, longest, "x", 1, BDR_PUT_EXCL));
    expect(st, longest, "x", 1);
    OK(bdr_store_put(st, "0/a.b_c-d/tmp", "y", 1, BDR_PUT_EXCL));
    expect(st, "0/a.b_c-d/tmp", "y", 1);
}

static void test_list__prefix_is_a_plain_string_and_order_is_of_bytes(void **state)
{
    static const char *const keys[] = {"a/x", "a-b", "a.b", "ab/1", "ab/2", "abc", "b", "a0", "a_z", "zz/y/x/w"};
    BDR_AUTO(store) struct bdr_store *st = open_at("list", true);

    (void)state;
    expect_list(st, "", "");
    expect_list(st, "none/", "");
    for (size_t i = 0; i < BDR_COUNT(keys); i++)
        OK(bdr_store_put(st, keys[i], "123456789", i, BDR_PUT_REPLACE));
    expect_list(st, "", "a-b=1 a.b=2 a/x=0 a0=7 a_z=8 ab/1=3 ab/2=4 abc=5 b=6 zz/y/x/w=9 ");
    expect_list(st, "ab", "ab/1=3 ab/2=4 abc=5 ");
    expect_list(st, "ab/", "ab/1=3 ab/2=4 ");
    expect_list(st, "ab/2", "ab/2=4 ");
    expect_list(st, "abc", "abc=5 ");
    expect_list(st, "abc/", "");
    expect_list(st, "zz/y", "zz/y/x/w=9 ");
    expect_list(st, "c", "");
}

static struct bdr_err *list_stop(void *ctx, const char *key, uint64_t size_bytes)
{
    (void)key;
    (void)size_bytes;
    ++*(int *)ctx;
    BDR_FAIL(BDR_FENCED, 0, "stop here");
}

static struct bdr_err *list_removing(void *ctx, const char *key, uint64_t size_bytes)
{
    (void)size_bytes;
    return bdr_store_remove(ctx, key);
}

struct put_job {
    struct bdr_store *st;
    unsigned threads, keys;
};

static struct bdr_err *put_many(void *ctx, unsigned index)
{
    const struct put_job *job = ctx;
    char key[32];

    for (unsigned i = index; i < job->keys; i += job->threads) {
        snprintf(key, sizeof(key), "m/%02x/%05u", i & 15, i);
        BDR_TRY(bdr_store_put(job->st, key, key, strlen(key), BDR_PUT_REPLACE));
    }
    return NULL;
}

struct list_check {
    char last[201];
    unsigned n;
};

static struct bdr_err *list_ordered(void *ctx, const char *key, uint64_t size_bytes)
{
    struct list_check *c = ctx;

    if (strcmp(key, c->last) <= 0 || size_bytes != strlen(key))
        BDR_FAIL(BDR_INTERNAL, 0, "%s after %s, %llu bytes", key, c->last, (unsigned long long)size_bytes);
    snprintf(c->last, sizeof(c->last), "%s", key);
    c->n++;
    return NULL;
}

static void test_list__more_than_a_page__has_all_in_order(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("pages", true);
    struct put_job job = {.st = st, .threads = 8, .keys = 1234};
    struct bdr_pool *pool = NULL;
    struct list_check check = {0};
    int stopped = 0;

    (void)state;
    OK(bdr_pool_start("put", job.threads, put_many, &job, NULL, &pool));
    OK(bdr_pool_join(pool));
    OK(bdr_store_list(st, "m/", list_ordered, &check));
    assert_int_equal(check.n, job.keys);
    check = (struct list_check){0};
    OK(bdr_store_list(st, "m/0f/", list_ordered, &check));
    assert_int_equal(check.n, job.keys / 16);
    FAILS(FENCED, bdr_store_list(st, "m/", list_stop, &stopped));
    assert_int_equal(stopped, 1);
    OK(bdr_store_list(st, "m/0f/", list_removing, st));
    expect_list(st, "m/0f/", "");
}

static void test_remove__gone_and_again_is_fine(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("remove", true);

    (void)state;
    OK(bdr_store_put(st, "d/x", "1", 1, BDR_PUT_REPLACE));
    OK(bdr_store_put(st, "d/y", "2", 1, BDR_PUT_REPLACE));
    OK(bdr_store_remove(st, "d/x"));
    OK(bdr_store_remove(st, "d/x"));
    OK(bdr_store_remove(st, "no/such/thing"));
    OK(bdr_store_remove(st, "d"));
    FAILS(NOTFOUND, bdr_store_stat(st, "d/x", &(struct bdr_store_stat){0}));
    expect_list(st, "", "d/y=1 ");
}

struct race_job {
    struct bdr_store *st;
    unsigned rounds, wins[8];
};

static struct bdr_err *race(void *ctx, unsigned index)
{
    struct race_job *job = ctx;

    for (unsigned i = 0; i < job->rounds; i++) {
        char key[32], value[32];
        struct bdr_err *err;

        snprintf(key, sizeof(key), "r/%u", i);
        snprintf(value, sizeof(value), "%u", index);
        err = bdr_store_put(job->st, key, value, strlen(value), BDR_PUT_EXCL);
        if (!err)
            job->wins[index]++;
        else if (err->code == BDR_EXISTS)
            bdr_err_drop(err, "somebody else won this round");
        else
            return err;
    }
    return NULL;
}

static void test_put_excl__eight_threads__exactly_one_wins_each_key(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("race", true);
    struct race_job job = {.st = st, .rounds = 25};
    unsigned told = 0, seen[8] = {0};
    struct bdr_pool *pool = NULL;

    (void)state;
    OK(bdr_pool_start("race", 8, race, &job, NULL, &pool));
    OK(bdr_pool_join(pool));
    for (unsigned i = 0; i < job.rounds; i++) {
        char key[32], value[4];
        size_t n = 0;

        snprintf(key, sizeof(key), "r/%u", i);
        OK(bdr_store_get(st, key, 0, value, sizeof(value), &n));
        assert_int_equal(n, 1);
        seen[value[0] - '0']++;
    }
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(seen[i], job.wins[i]);
        told += job.wins[i];
    }
    assert_int_equal(told, job.rounds);
}

struct flip_job {
    struct bdr_store *st;
    unsigned rounds;
};
#define FLIP_BYTES 60000

static struct bdr_err *flip(void *ctx, unsigned index)
{
    struct flip_job *job = ctx;
    BDR_AUTO(mem) uint8_t *buf = malloc(FLIP_BYTES + 1);

    BDR_NOMEM_IF_NULL(buf);
    for (unsigned i = 0; i < job->rounds; i++) {
        size_t n = 0;

        if (index < 2) {
            memset(buf, (int)('a' + (i + index) % 26), FLIP_BYTES);
            BDR_TRY(bdr_store_put(job->st, "flip", buf, FLIP_BYTES - (i % 7) * 100, BDR_PUT_REPLACE));
            continue;
        }
        BDR_TRY(bdr_store_get(job->st, "flip", 0, buf, FLIP_BYTES + 1, &n));
        for (size_t at = 1; at < n; at++)
            if (buf[at] != buf[0])
                BDR_FAIL(BDR_CORRUPT, 0, "two versions mixed at %zu of %zu", at, n);
        if (n < FLIP_BYTES - 600 || n % 100)
            BDR_FAIL(BDR_CORRUPT, 0, "%zu bytes are of no version", n);
    }
    return NULL;
}

static void test_put__while_others_read__is_seen_whole(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("flip", true);
    struct flip_job job = {.st = st, .rounds = 60};
    struct bdr_pool *pool = NULL;
    uint8_t first[FLIP_BYTES];

    (void)state;
    memset(first, 'a', sizeof(first));
    OK(bdr_store_put(st, "flip", first, sizeof(first), BDR_PUT_REPLACE));
    OK(bdr_pool_start("flip", 5, flip, &job, NULL, &pool));
    OK(bdr_pool_join(pool));
}

static void write_pieces(struct bdr_store_writer *w, const uint8_t *data, size_t len, size_t piece)
{
    for (size_t at = 0; at < len; at += piece)
        OK(bdr_store_writer_append(w, data + at, BDR_MIN(piece, len - at)));
}

static void test_writer__sizes_around_parts__give_the_bytes(void **state)
{
    static const size_t sizes[] = {0, 1, 5 * MIB, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 21 * MIB + 77};
    BDR_AUTO(store) struct bdr_store *st = open_at("writer", true);
    BDR_AUTO(mem) uint8_t *data = malloc(22 * MIB);

    (void)state;
    fill(data, 22 * MIB, 7);
    for (size_t i = 0; i < BDR_COUNT(sizes); i++) {
        BDR_AUTO(store_writer) struct bdr_store_writer *w = NULL;
        char key[32], tail[9];
        size_t n = 0;

        snprintf(key, sizeof(key), "w/%zu", sizes[i]);
        OK(bdr_store_writer_begin(st, key, &w));
        write_pieces(w, data, sizes[i], 1000003);
        FAILS(NOTFOUND, bdr_store_stat(st, key, &(struct bdr_store_stat){0}));
        OK(bdr_store_writer_commit(BDR_STEAL(w)));
        expect(st, key, data, sizes[i]);
        if (sizes[i] < 100)
            continue;
        OK(bdr_store_get(st, key, sizes[i] - 5, tail, sizeof(tail), &n));
        assert_int_equal(n, 5);
        assert_memory_equal(tail, data + sizes[i] - 5, 5);
    }
}

static void test_writer__replaces_at_commit_only(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("wreplace", true);
    BDR_AUTO(store_writer) struct bdr_store_writer *w = NULL;

    (void)state;
    OK(bdr_store_put(st, "k", "old", 3, BDR_PUT_REPLACE));
    OK(bdr_store_writer_begin(st, "k", &w));
    OK(bdr_store_writer_append(w, "newer", 5));
    expect(st, "k", "old", 3);
    OK(bdr_store_writer_commit(BDR_STEAL(w)));
    expect(st, "k", "newer", 5);
}

static void test_writer__abandoned__leaves_nothing(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("abandon", true);
    BDR_AUTO(mem) uint8_t *data = calloc(1, 9 * MIB);
    uint64_t swept = 99;

    (void)state;
    for (int large = 0; large < 2; large++) {
        struct bdr_store_writer *w = NULL;

        OK(bdr_store_writer_begin(st, "gone", &w));
        OK(bdr_store_writer_append(w, data, large ? 9 * MIB : 10));
        bdr_store_writer_abandon(w);
    }
    expect_list(st, "", "");
    OK(bdr_store_sweep(st, 0, &swept));
    assert_int_equal(swept, 0);
}

/* A process that dies while it writes: nothing is listed; sweep finds what it left, not what a living one uses. */
static void test_sweep__dead_writer__is_removed_and_a_living_one_is_not(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = is_mem ? NULL : open_at("sweep", true);
    static uint8_t data[9 * MIB];
    struct bdr_store_writer *w = NULL;
    uint64_t swept = 99;
    int status;
    pid_t pid;

    (void)state;
    if (is_mem)
        skip();
    pid = fork();
    if (!pid) {
        struct bdr_store *mine = NULL;
        char url[600];
        struct bdr_err *err;

        snprintf(url, sizeof(url), "%s/sweep", place);
        err = bdr_store_open(url, NULL, &mine);
        if (!err)
            err = bdr_store_writer_begin(mine, "dead", &w);
        if (!err)
            err = bdr_store_writer_append(w, data, 9 * MIB);
        _exit(err ? 1 : 9);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
    expect_list(st, "", "");
    OK(bdr_store_sweep(st, 3600 * 1000, &swept));
    assert_int_equal(swept, 0);
    OK(bdr_store_writer_begin(st, "alive", &w));
    OK(bdr_store_writer_append(w, data, sizeof(data)));
    OK(bdr_store_sweep(st, 0, &swept));
    assert_int_equal(swept, 1);
    OK(bdr_store_writer_commit(w));
    expect(st, "alive", data, sizeof(data));
    OK(bdr_store_sweep(st, 0, &swept));
    assert_int_equal(swept, 0);
}

static void test_hold__is_seen_by_others_until_released(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("hold", true), *other = open_at("hold", true);
    void *hold = NULL;
    bool held = true;

    (void)state;
    OK(bdr_store_put(st, "s/1", "x", 1, BDR_PUT_EXCL));
    if (!st->drv->hold) {
        OK(bdr_store_hold(st, "s/1", &hold));
        assert_null(hold);
        FAILS(UNSUPPORTED, bdr_store_held(st, "s/1", &held));
        return;
    }
    OK(bdr_store_held(other, "s/1", &held));
    assert_false(held);
    OK(bdr_store_hold(st, "s/1", &hold));
    OK(bdr_store_held(other, "s/1", &held));
    assert_true(held);
    OK(bdr_store_held(st, "s/1", &held));
    assert_true(held);
    FAILS(BUSY, bdr_store_hold(other, "s/1", &(void *){NULL}));
    expect(other, "s/1", "x", 1);
    bdr_store_release(st, hold);
    OK(bdr_store_held(other, "s/1", &held));
    assert_false(held);
    FAILS(NOTFOUND, bdr_store_hold(st, "s/2", &hold));
    FAILS(NOTFOUND, bdr_store_held(st, "s/2", &held));
}

static void test_hold__holder_dies__is_free(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = is_fs ? open_at("holddie", true) : NULL;
    int ready[2], go[2], status;
    bool held = false;
    pid_t pid;
    char c;

    (void)state;
    if (!is_fs)
        skip();
    OK(bdr_store_put(st, "s", "x", 1, BDR_PUT_EXCL));
    assert_int_equal(pipe(ready) | pipe(go), 0);
    pid = fork();
    if (!pid) {
        void *hold = NULL;

        if (bdr_store_hold(st, "s", &hold) || write(ready[1], "r", 1) != 1 || read(go[0], &c, 1) != 1)
            _exit(1);
        _exit(9);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    OK(bdr_store_held(st, "s", &held));
    assert_true(held);
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 9);
    OK(bdr_store_held(st, "s", &held));
    assert_false(held);
}

static void test_open__read_only__writes_nothing(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_at("ro", true), *ro = NULL;
    struct bdr_store_writer *w = NULL;

    (void)state;
    OK(bdr_store_put(st, "k", "v", 1, BDR_PUT_REPLACE));
    {
        char url[600];

        snprintf(url, sizeof(url), "%s%sro", place, is_mem ? "" : "/");
        OK(bdr_store_open(url, &(struct bdr_store_options){.read_only = true}, &ro));
    }
    expect(ro, "k", "v", 1);
    FAILS(READONLY, bdr_store_put(ro, "k", "w", 1, BDR_PUT_REPLACE));
    FAILS(READONLY, bdr_store_remove(ro, "k"));
    FAILS(READONLY, bdr_store_writer_begin(ro, "k", &w));
    FAILS(READONLY, bdr_store_sweep(ro, 0, NULL));
    expect(st, "k", "v", 1);
}

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *at)
{
    (void)sb;
    (void)type;
    (void)at;
    return remove(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put__then_get__gives_the_bytes),
        cmocka_unit_test(test_put__empty_object__is_there),
        cmocka_unit_test(test_put__replace__gives_the_new_bytes_everywhere),
        cmocka_unit_test(test_get_all__larger_than_max__is_range),
        cmocka_unit_test(test_stat__tells_size_and_age_by_the_stores_clock),
        cmocka_unit_test(test_key__bad__is_inval),
        cmocka_unit_test(test_list__prefix_is_a_plain_string_and_order_is_of_bytes),
        cmocka_unit_test(test_list__more_than_a_page__has_all_in_order),
        cmocka_unit_test(test_remove__gone_and_again_is_fine),
        cmocka_unit_test(test_put_excl__eight_threads__exactly_one_wins_each_key),
        cmocka_unit_test(test_put__while_others_read__is_seen_whole),
        cmocka_unit_test(test_writer__sizes_around_parts__give_the_bytes),
        cmocka_unit_test(test_writer__replaces_at_commit_only),
        cmocka_unit_test(test_writer__abandoned__leaves_nothing),
        cmocka_unit_test(test_sweep__dead_writer__is_removed_and_a_living_one_is_not),
        cmocka_unit_test(test_hold__is_seen_by_others_until_released),
        cmocka_unit_test(test_hold__holder_dies__is_free),
        cmocka_unit_test(test_open__read_only__writes_nothing),
    };
    char folder[] = "/tmp/bdr-conform-XXXXXX";
    int failed;

    if (argc != 2) {
        fprintf(stderr, "usage: %s mem|fs|URL\n", argv[0]);
        return 2;
    }
    is_mem = !strcmp(argv[1], "mem");
    is_fs = !strcmp(argv[1], "fs");
    if (is_fs && !mkdtemp(folder)) {
        perror(folder);
        return 1;
    }
    if (is_mem)
        snprintf(place, sizeof(place), "mem:");
    else if (is_fs)
        snprintf(place, sizeof(place), "%s", folder);
    else
        snprintf(place, sizeof(place), "%s/conform-%llu-%d", argv[1], (unsigned long long)bdr_clock_wall_ms(),
                 (int)getpid());
    failed = cmocka_run_group_tests_name(argv[1], tests, NULL, NULL);
    if (is_fs && !failed && nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS))
        perror(folder);
    return failed;
}
