/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the S3 store does when the server, or what is in front of it, misbehaves: it survives or fails with a clear
 * error, and never returns wrong bytes. Started by `run`, which starts proxy.py.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/pool.h"
#include "bdr/store.h"
#include <curl/curl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

#define MIB   ((size_t)1 << 20)
#define SMALL 50000

static uint8_t data[20 * MIB];
static char place[64];

static void ok_at(struct bdr_err *err, int line)
{
    char text[1024];

    if (err)
        fail_msg("line %d: %s: %s", line, bdr_code_name(err->code), bdr_err_text(err, text, sizeof(text)));
}
#define OK(call) ok_at((call), __LINE__)

/* It fails with this code, and the message has that in it. */
static void fails_at(struct bdr_err *err, enum bdr_code code, const char *has, int line)
{
    char text[2048] = "success";

    if (err)
        bdr_err_text(err, text, sizeof(text));
    if (!err || err->code != code || !strstr(text, has) || strstr(text, getenv("AWS_SECRET_ACCESS_KEY")))
        fail_msg("line %d: wanted %s with '%s', got %s: %s", line, bdr_code_name(code), has,
                 err ? bdr_code_name(err->code) : "OK", text);
    bdr_err_free(err);
}
#define FAILS(code, has, call) fails_at((call), BDR_##code, has, __LINE__)

static size_t collect(char *bytes, size_t size, size_t n, void *ctx)
{
    bdr_buf_put(ctx, bytes, size * n);
    return size * n;
}

/* Tells the proxy something; gives the number it answers. */
static uint64_t tell(const char *path, const char *text)
{
    BDR_AUTO(buf) struct bdr_buf answer = {0};
    CURL *curl = curl_easy_init();
    uint64_t n = 0;
    char url[256];

    snprintf(url, sizeof(url), "%s%s", getenv("FAULTY_URL"), path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    curl_easy_cleanup(curl);
    bdr_buf_u8(&answer, 0);
    OK(bdr_u64_parse((char *)answer.data, UINT64_MAX, &n));
    return n;
}
static void fault(const char *text)
{
    tell("/_fault", text);
}
static uint64_t clear(void)
{
    return tell("/_clear", "");
}

static int fresh(void **state)
{
    (void)state;
    clear();
    setenv("AWS_ENDPOINT_URL", getenv("FAULTY_URL"), 1);
    setenv("BDR_S3_ATTEMPTS", "4", 1);
    setenv("BDR_S3_STALL_S", "1", 1);
    unsetenv("BDR_S3_CA");
    return 0;
}

static struct bdr_store *open_store(const struct bdr_cancel *token)
{
    struct bdr_store *st = NULL;

    OK(bdr_store_open(place, &(struct bdr_store_options){.create = true, .cancel = token}, &st));
    return st;
}

static void expect(struct bdr_store *st, const char *key, const void *want, size_t len)
{
    BDR_AUTO(mem) uint8_t *got = NULL;
    size_t n = 0;

    OK(bdr_store_get_all(st, key, len, &got, &n));
    assert_int_equal(n, len);
    assert_memory_equal(got, want, len);
}

static struct bdr_err *count_keys(void *ctx, const char *key, uint64_t size_bytes)
{
    (void)key;
    (void)size_bytes;
    ++*(unsigned *)ctx;
    return NULL;
}

static void test_get__damaged_answers__are_asked_for_again(void **state)
{
    static const char *const kinds[] = {
        "kind=reset method=GET times=2",
        "kind=lost method=GET",
        "kind=truncate method=GET times=2",
        "kind=short method=GET times=2",
        "kind=flip method=GET times=2",
        "kind=shift method=GET",
        "kind=junk method=GET",
        "kind=status status=500 method=GET times=3",
        "kind=status status=503 code=SlowDown method=GET times=3",
        "kind=status status=429 method=GET",
        "kind=status status=408 method=GET",
        "kind=hang method=GET",
        "kind=drip method=GET",
    };
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);

    (void)state;
    OK(bdr_store_put(st, "get", data, SMALL, BDR_PUT_REPLACE));
    for (size_t i = 0; i < BDR_COUNT(kinds); i++) {
        clear();
        fault(kinds[i]);
        expect(st, "get", data, SMALL);
        assert_true(clear() >= 2);
    }
}

static void test_get__a_range_that_is_damaged__is_asked_for_again(void **state)
{
    static const char *const kinds[] = {"kind=truncate method=GET times=2", "kind=short method=GET times=2",
                                        "kind=shift method=GET times=2", "kind=lost method=GET"};
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);
    char buf[1000];
    size_t n;

    (void)state;
    OK(bdr_store_put(st, "range", data, SMALL, BDR_PUT_REPLACE));
    for (size_t i = 0; i < BDR_COUNT(kinds); i++) {
        fault(kinds[i]);
        OK(bdr_store_get(st, "range", 777, buf, sizeof(buf), &n));
        assert_int_equal(n, sizeof(buf));
        assert_memory_equal(buf, data + 777, sizeof(buf));
    }
}

static void test_get__damaged_for_ever__fails_and_says_so(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);
    char *buf = malloc(SMALL);
    size_t n = 12345;

    (void)state;
    OK(bdr_store_put(st, "bad", data, SMALL, BDR_PUT_REPLACE));
    fault("kind=flip method=GET times=-1");
    FAILS(CORRUPT, "SHA-256", bdr_store_get(st, "bad", 0, buf, SMALL, &n));
    clear();
    fault("kind=truncate method=GET times=-1");
    FAILS(NET, "giving up after 4 attempts", bdr_store_get(st, "bad", 0, buf, SMALL, &n));
    clear();
    fault("kind=status status=503 code=SlowDown times=-1");
    FAILS(THROTTLED, "SlowDown", bdr_store_get(st, "bad", 0, buf, SMALL, &n));
    clear();
    fault("kind=hang times=-1");
    FAILS(TIMEOUT, "does not answer in time", bdr_store_get(st, "bad", 0, buf, SMALL, &n));
    assert_int_equal(n, 12345);
    free(buf);
}

static void test_put__damaged_or_lost__arrives_once_and_whole(void **state)
{
    static const char *const kinds[] = {
        "kind=reset method=PUT times=2",
        "kind=lost method=PUT times=2",
        "kind=flip-up method=PUT times=2",
        "kind=status status=500 method=PUT times=2",
        "kind=late-status status=503 code=SlowDown method=PUT times=2",
        "kind=status status=400 code=RequestTimeout method=PUT",
        "kind=hang method=PUT",
        "kind=status status=409 code=ConditionalRequestConflict method=PUT",
    };
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(kinds); i++) {
        char key[32];

        snprintf(key, sizeof(key), "put/%zu", i);
        fault(kinds[i]);
        OK(bdr_store_put(st, key, data + i, SMALL, BDR_PUT_EXCL)); /* also when the first attempt made it */
        assert_true(clear() >= 2);
        expect(st, key, data + i, SMALL);
        FAILS(EXISTS, key, bdr_store_put(st, key, data + i, SMALL, BDR_PUT_EXCL));
    }
}

static void test_put_excl__somebody_elses_object__is_exists_even_after_a_lost_answer(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);

    (void)state;
    OK(bdr_store_put(st, "theirs", "same", 4, BDR_PUT_EXCL));
    fault("kind=reset method=PUT");
    FAILS(EXISTS, "exists already", bdr_store_put(st, "theirs", "same", 4, BDR_PUT_EXCL));
    clear();
    fault("kind=lost method=PUT");
    FAILS(EXISTS, "exists already", bdr_store_put(st, "theirs", "same", 4, BDR_PUT_EXCL));
}

static void test_put_excl__refused_though_absent__is_tried_again(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);

    (void)state;
    fault("kind=status status=412 code=PreconditionFailed method=PUT times=2");
    OK(bdr_store_put(st, "odd", "1", 1, BDR_PUT_EXCL));
    expect(st, "odd", "1", 1);
}

static void test_put__denied_or_full__fails_at_once(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);

    (void)state;
    fault("kind=status status=403 code=AccessDenied method=PUT");
    clear();
    fault("kind=status status=403 code=AccessDenied method=PUT");
    FAILS(DENIED, "AccessDenied", bdr_store_put(st, "no", "1", 1, BDR_PUT_REPLACE));
    assert_int_equal(clear(), 1);
    fault("kind=status status=403 code=QuotaExceeded method=PUT");
    FAILS(NOSPACE, "QuotaExceeded", bdr_store_put(st, "no", "1", 1, BDR_PUT_REPLACE));
}

static void test_list__damaged_pages__are_asked_for_again(void **state)
{
    static const char *const kinds[] = {
        "kind=truncate times=2 match=list-type", "kind=short times=2 match=list-type",     "kind=junk match=list-type",
        "kind=error-200 match=list-type",        "kind=status status=500 match=list-type", "kind=lost match=list-type"};
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);

    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        char key[32];

        snprintf(key, sizeof(key), "list/%03u", i);
        OK(bdr_store_put(st, key, "x", 1, BDR_PUT_REPLACE));
    }
    for (size_t i = 0; i < BDR_COUNT(kinds); i++) {
        unsigned n = 0;

        clear();
        fault(kinds[i]);
        OK(bdr_store_list(st, "list/", count_keys, &n));
        assert_int_equal(n, 30);
    }
}

static struct bdr_err *write_large(struct bdr_store *st, const char *key, size_t len)
{
    BDR_AUTO(store_writer) struct bdr_store_writer *w = NULL;

    BDR_TRY(bdr_store_writer_begin(st, key, &w));
    for (size_t at = 0; at < len; at += MIB)
        BDR_TRY(bdr_store_writer_append(w, data + at, BDR_MIN(MIB, len - at)));
    return bdr_store_writer_commit(BDR_STEAL(w));
}

static void test_writer__every_step_once_damaged__gives_the_bytes(void **state)
{
    static const char *const kinds[] = {
        "kind=lost method=POST match=uploads=",       "kind=lost method=PUT match=partNumber=1",
        "kind=flip-up method=PUT match=partNumber=2", "kind=late-status status=500 method=PUT match=partNumber=2",
        "kind=lost method=POST match=uploadId=",      "kind=late-status status=500 method=POST match=uploadId=",
        "kind=error-200 method=POST match=uploadId=", "kind=truncate method=POST match=uploadId=",
        "kind=status status=503 method=POST times=2",
    };
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(kinds); i++) {
        char key[32];

        snprintf(key, sizeof(key), "large/%zu", i);
        clear();
        fault(kinds[i]);
        OK(write_large(st, key, 17 * MIB + 5));
        expect(st, key, data, 17 * MIB + 5);
    }
}

static void test_writer__fails__leaves_no_object_and_sweep_the_rest(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);
    struct bdr_store_stat stat;
    uint64_t swept = 0;

    (void)state;
    clear();
    OK(bdr_store_sweep(st, 0, NULL));
    fault("kind=status status=500 method=PUT match=partNumber=2 times=-1");
    fault("kind=reset method=DELETE times=-1");
    FAILS(IO, "giving up", write_large(st, "part", 17 * MIB));
    clear();
    FAILS(NOTFOUND, "part", bdr_store_stat(st, "part", &stat));
    OK(bdr_store_sweep(st, 0, &swept));
    assert_int_equal(swept, 1);
}

static void test_clock__hours_off__is_learnt(void **state)
{
    static const char *const kinds[] = {"kind=skew status=7200 times=-1", "kind=skew status=-90000 times=-1"};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(kinds); i++) {
        BDR_AUTO(store) struct bdr_store *st = NULL;
        struct bdr_store_stat stat;
        int64_t off = i ? -90000000 : 7200000, apart;

        clear();
        fault(kinds[i]);
        st = open_store(NULL);
        OK(bdr_store_put(st, "clock", "tick", 4, BDR_PUT_REPLACE));
        expect(st, "clock", "tick", 4);
        OK(bdr_store_stat(st, "clock", &stat));
        apart = stat.now_ms - bdr_clock_wall_ms() - off;
        assert_true(apart > -5000 && apart < 5000);
    }
}

static void test_clock__server_that_contradicts_itself__is_denied(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = open_store(NULL);

    (void)state;
    clear();
    fault("kind=status status=403 code=RequestTimeTooSkewed times=-1");
    FAILS(DENIED, "clock", bdr_store_put(st, "clock", "tock", 4, BDR_PUT_REPLACE));
    assert_int_equal(clear(), 2);
}

static void test_open__wrong_key_or_place__says_what_to_do(void **state)
{
    struct bdr_store *st = NULL;
    char secret[128];

    (void)state;
    fault("kind=status status=301 code=PermanentRedirect");
    FAILS(INVAL, "AWS_REGION", bdr_store_open(place, NULL, &st));
    fault("kind=junk times=-1");
    FAILS(CORRUPT, "does not speak S3", bdr_store_open(place, NULL, &st));
    clear();
    FAILS(NOTFOUND, "create the bucket", bdr_store_open("s3://no-such-bucket/x", NULL, &st));
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1", 1);
    FAILS(NET, "127.0.0.1", bdr_store_open(place, NULL, &st));
    setenv("AWS_ENDPOINT_URL", getenv("DIRECT_URL"), 1);
    snprintf(secret, sizeof(secret), "%s", getenv("AWS_SECRET_ACCESS_KEY"));
    setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret", 1);
    FAILS(DENIED, "check AWS_SECRET_ACCESS_KEY", bdr_store_open(place, NULL, &st));
    setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
}

static struct bdr_cancel cancel;

static void on_alarm(int sig)
{
    (void)sig;
    bdr_cancel_set(&cancel);
}

static void test_cancel__while_a_request_hangs__ends_soon(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = NULL;
    const struct itimerval soon = {.it_value.tv_usec = 300000};
    uint64_t start;
    char c;

    (void)state;
    setenv("BDR_S3_STALL_S", "30", 1);
    st = open_store(&cancel);
    fault("kind=hang times=-1");
    signal(SIGALRM, on_alarm);
    start = bdr_clock_mono_ms();
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    FAILS(CANCELLED, "cancelled", bdr_store_get(st, "x", 0, &c, 1, &(size_t){0}));
    assert_in_range(bdr_clock_mono_ms() - start, 200, 3000);
}

static void test_tls__own_ca__is_trusted_when_told(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = NULL;
    struct bdr_store *refused = NULL;
    char url[64];

    (void)state;
    snprintf(url, sizeof(url), "https://127.0.0.1:%s", getenv("TLS_PORT"));
    setenv("AWS_ENDPOINT_URL", url, 1);
    FAILS(DENIED, "set BDR_S3_CA", bdr_store_open(place, NULL, &refused));
    setenv("BDR_S3_CA", getenv("TLS_CA"), 1);
    st = open_store(NULL);
    OK(bdr_store_put(st, "tls", data, SMALL, BDR_PUT_REPLACE));
    expect(st, "tls", data, SMALL);
    snprintf(url, sizeof(url), "https://localhost:%s", getenv("TLS_PORT"));
    setenv("AWS_ENDPOINT_URL", url, 1);
    FAILS(DENIED, "not trusted", bdr_store_open(place, NULL, &refused));
}

/* Each thread has keys of its own and knows what must be there. */
static struct bdr_err *storm(void *ctx, unsigned index)
{
    BDR_AUTO(mem) uint8_t *buf = malloc(SMALL);

    BDR_NOMEM_IF_NULL(buf);
    for (unsigned i = 0; i < 15; i++) {
        size_t len = 1000 + (index * 37 + i) * 100, from = (index * 100 + i) * 1000, n = 0;
        char key[32];
        unsigned listed = 0;

        snprintf(key, sizeof(key), "storm/%u/%02u", index, i);
        BDR_TRY(bdr_store_put(ctx, key, data + from, len, i & 1 ? BDR_PUT_EXCL : BDR_PUT_REPLACE));
        BDR_TRY(bdr_store_get(ctx, key, 0, buf, SMALL, &n));
        if (n != len || memcmp(buf, data + from, n))
            BDR_FAIL(BDR_INTERNAL, 0, "wrong bytes in %s", key);
        BDR_TRY(bdr_store_get(ctx, key, 11, buf, 500, &n));
        if (n != 500 || memcmp(buf, data + from + 11, n))
            BDR_FAIL(BDR_INTERNAL, 0, "wrong bytes in part of %s", key);
        snprintf(key, sizeof(key), "storm/%u/", index);
        BDR_TRY(bdr_store_list(ctx, key, count_keys, &listed));
        if (listed != i + 1)
            BDR_FAIL(BDR_INTERNAL, 0, "%u keys listed instead of %u", listed, i + 1);
    }
    return NULL;
}

static void test_storm__a_third_of_all_answers_damaged__nothing_is_wrong(void **state)
{
    BDR_AUTO(store) struct bdr_store *st = NULL;
    struct bdr_pool *pool = NULL;

    (void)state;
    setenv("BDR_S3_ATTEMPTS", "30", 1);
    st = open_store(NULL);
    fault("kind=chaos status=33 times=-1");
    OK(bdr_pool_start("storm", 4, storm, st, NULL, &pool));
    OK(bdr_pool_join(pool));
    clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_get__damaged_answers__are_asked_for_again, fresh),
        cmocka_unit_test_setup(test_get__a_range_that_is_damaged__is_asked_for_again, fresh),
        cmocka_unit_test_setup(test_get__damaged_for_ever__fails_and_says_so, fresh),
        cmocka_unit_test_setup(test_put__damaged_or_lost__arrives_once_and_whole, fresh),
        cmocka_unit_test_setup(test_put_excl__somebody_elses_object__is_exists_even_after_a_lost_answer, fresh),
        cmocka_unit_test_setup(test_put_excl__refused_though_absent__is_tried_again, fresh),
        cmocka_unit_test_setup(test_put__denied_or_full__fails_at_once, fresh),
        cmocka_unit_test_setup(test_list__damaged_pages__are_asked_for_again, fresh),
        cmocka_unit_test_setup(test_writer__every_step_once_damaged__gives_the_bytes, fresh),
        cmocka_unit_test_setup(test_writer__fails__leaves_no_object_and_sweep_the_rest, fresh),
        cmocka_unit_test_setup(test_clock__hours_off__is_learnt, fresh),
        cmocka_unit_test_setup(test_clock__server_that_contradicts_itself__is_denied, fresh),
        cmocka_unit_test_setup(test_open__wrong_key_or_place__says_what_to_do, fresh),
        cmocka_unit_test_setup(test_cancel__while_a_request_hangs__ends_soon, fresh),
        cmocka_unit_test_setup(test_tls__own_ca__is_trusted_when_told, fresh),
        cmocka_unit_test_setup(test_storm__a_third_of_all_answers_damaged__nothing_is_wrong, fresh),
    };
    uint32_t seed = 1;

    if (!getenv("FAULTY_URL") || !getenv("AWS_SECRET_ACCESS_KEY")) {
        fprintf(stderr, "start this by tests/lab/s3-faulty/run\n");
        return 77;
    }
    for (size_t i = 0; i < sizeof(data); i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (uint8_t)(seed >> 24);
    }
    snprintf(place, sizeof(place), "s3://faults/%llu", (unsigned long long)bdr_clock_wall_ms());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
