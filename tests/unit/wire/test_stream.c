/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, files, events and stopping: everything that lasts longer than one answer. */
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "demo.h"
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static struct demo *d;
static struct bdr_http_client *c;

static int setup(void **state)
{
    (void)state;
    d = demo_new();
    demo_machine(d, NULL, "web1", "agent", 0, 0);
    demo_serve(d, NULL, 0);
    c = demo_client(d, DEMO_REQUIRED, "web1");
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    bdr_http_client_free(c);
    demo_free(d);
    return 0;
}

static void fails(struct bdr_err *err, enum bdr_code code)
{
    char text[512];

    assert_non_null(err);
    if (err->code != code)
        fail_msg("%s", bdr_err_text(err, text, sizeof(text)));
    bdr_err_free(err);
}

struct flow {
    uint64_t at, len;
    bool ok;
    struct bdr_cancel *cancel_at_half;
};

static struct bdr_err *flow_source(void *ctx, void *buf, size_t cap, size_t *out_len)
{
    struct flow *f = ctx;
    size_t n = (size_t)BDR_MIN((uint64_t)cap, f->len - f->at);

    memset(buf, 7, n);
    f->at += n;
    if (f->cancel_at_half && f->at > f->len / 2)
        bdr_cancel_set(f->cancel_at_half);
    *out_len = n;
    return NULL;
}

static struct bdr_err *flow_rewind(void *ctx)
{
    ((struct flow *)ctx)->at = 0;
    return NULL;
}

static struct bdr_err *flow_sink(void *ctx, const void *data, size_t len)
{
    struct flow *f = ctx;
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i++)
        f->ok = f->ok && p[i] == (f->at + i) % 251;
    f->at += len;
    return NULL;
}

static struct bdr_err *put(const char *path, struct flow *f, bool known, const struct bdr_cancel *cancel,
                           struct bdr_http_reply *reply)
{
    const struct bdr_http_call call = {.method = "PUT",
                                       .path = path,
                                       .type = "application/octet-stream",
                                       .source = flow_source,
                                       .rewind = flow_rewind,
                                       .source_ctx = f,
                                       .body_len = known ? f->len : UINT64_MAX,
                                       .cancel = cancel};

    return bdr_http_call(c, &call, reply);
}

static void test_upload__known_and_chunked__all_arrives(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
        struct flow f = {.len = 8u << 20};

        assert_null(put("/v1/blocks/a", &f, known, NULL, &reply));
        assert_int_equal(atomic_exchange(&d->taken_bytes, 0), 8u << 20);
    }
}

static void test_upload__too_large__is_413_either_way(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
        struct flow f = {.len = 300000};

        fails(put("/v1/small/a", &f, known, NULL, &reply), BDR_RANGE);
        assert_int_equal(reply.status, 413);
    }
}

static void test_upload__refused_on_the_way__the_reason_arrives(void **state)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    struct flow f = {.len = 20u << 20};

    (void)state;
    fails(put("/v1/full/a", &f, true, NULL, &reply), BDR_NOSPACE);
    assert_int_equal(reply.status, 507);
}

static void test_upload__cancelled__ends_soon_and_the_handler_too(void **state)
{
    struct bdr_cancel cancel = {0};
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    struct flow f = {.len = 64u << 20, .cancel_at_half = &cancel};
    struct bdr_http_stats stats;

    (void)state;
    fails(put("/v1/blocks/a", &f, true, &cancel, &reply), BDR_CANCELLED);
    for (int i = 0; i < 500; i++) {
        bdr_http_stats(d->server, &stats);
        if (!stats.requests_running)
            break;
        usleep(10000);
    }
    assert_int_equal(stats.requests_running, 0);
    assert_true(atomic_load(&d->taken_bytes) < 64u << 20);
}

static void test_download__whole_and_right(void **state)
{
    static const uint64_t lens[] = {0, 1, 5000000, 5000001};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(lens); i++) {
        BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
        struct flow f = {.ok = true};
        char path[64];
        const struct bdr_http_call call = {.method = "GET", .path = path, .sink = flow_sink, .sink_ctx = &f};

        snprintf(path, sizeof(path), "/v1/bytes?bytes=%llu", (unsigned long long)lens[i]);
        assert_null(bdr_http_call(c, &call, &reply));
        assert_true(f.ok);
        assert_int_equal(f.at, lens[i]);
    }
}

static void test_download__broken_in_the_middle__is_an_error(void **state)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    const struct bdr_http_call call = {.method = "GET", .path = "/v1/broken", .deadline_ms = 30000};

    (void)state;
    fails(bdr_http_call(c, &call, &reply), BDR_NET);
}

static void file_case(const char *name, const char *value, unsigned status, const char *body)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    const struct bdr_pair header = {name, value};
    const struct bdr_http_call call = {
        .method = "GET", .path = "/v1/files/f.txt", .headers = &header, .n_headers = name != NULL};
    struct bdr_err *err = bdr_http_call(c, &call, &reply);

    assert_int_equal(reply.status, status);
    if (status < 300) {
        assert_null(err);
        assert_int_equal(reply.body.len, strlen(body));
        assert_memory_equal(reply.body.data, body, strlen(body));
    }
    bdr_err_free(err);
}

static void test_file__ranges_and_etags(void **state)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    const struct bdr_http_call call = {.method = "HEAD", .path = "/v1/files/f.txt"};
    char path[160];

    (void)state;
    demo_path(d, "f.txt", path);
    assert_null(bdr_os_replace_file(path, "0123456789", 10, 0644, false));
    file_case(NULL, NULL, 200, "0123456789");
    file_case("Range", "bytes=2-4", 206, "234");
    file_case("Range", "bytes=7-", 206, "789");
    file_case("Range", "bytes=-2", 206, "89");
    file_case("Range", "bytes=-20", 206, "0123456789");
    file_case("Range", "bytes=9-999999999999", 206, "9");
    file_case("Range", "bytes=10-", 416, "");
    file_case("Range", "bytes=-0", 416, "");
    file_case("Range", "bytes=4-2", 200, "0123456789");
    file_case("Range", "bytes=0-1,4-5", 200, "0123456789");
    file_case("Range", "bytes=99999999999999999999-", 200, "0123456789");
    file_case("Range", "lines=1-2", 200, "0123456789");
    assert_null(bdr_http_call(c, &call, &reply));
    assert_int_equal(reply.body.len, 0);
    file_case("If-None-Match", reply.etag, 304, "");
    file_case("If-None-Match", "\"other\"", 200, "0123456789");
}

/* ---- events ---- */

struct heard {
    atomic_uint n;
    unsigned stop_at;
};

static bool on_event(void *ctx, const char *event, const char *id, const char *data)
{
    struct heard *h = ctx;

    assert_string_equal(event, "tick");
    assert_string_equal(id, "7");
    assert_string_equal(data, "two\nlines");
    return atomic_fetch_add(&h->n, 1) + 1 < h->stop_at;
}

static struct bdr_err *listener(void *ctx, unsigned index)
{
    (void)index;
    return bdr_http_listen(c, "/v1/events", NULL, on_event, ctx, NULL);
}

static void wait_streams(uint64_t n)
{
    struct bdr_http_stats stats = {0};

    for (int i = 0; i < 500 && stats.event_streams != n; i++) {
        usleep(10000);
        bdr_http_stats(d->server, &stats);
    }
    assert_int_equal(stats.event_streams, n);
    for (int i = 0; i < 500; i++) {
        size_t known;

        pthread_mutex_lock(&d->lock);
        known = d->n_streams;
        pthread_mutex_unlock(&d->lock);
        if (known >= n)
            return;
        usleep(10000);
    }
}

static void test_events__many_listeners__all_hear_in_order(void **state)
{
    struct heard h = {.stop_at = 40};
    struct bdr_pool *pool = NULL;

    (void)state;
    assert_null(bdr_pool_start("listen", 8, listener, &h, NULL, &pool));
    wait_streams(8);
    for (int i = 0; i < 5; i++)
        assert_int_equal(demo_broadcast(d, "tick", "7", "two\nlines"), 8);
    /* the 40th ends its own listener; the others end with the server */
    for (int i = 0; i < 500 && atomic_load(&h.n) < 40; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&h.n), 40);
    demo_stop(d, 2000);
    assert_null(bdr_pool_join(pool));
}

static void test_events__a_client_that_does_not_read__is_cut_off(void **state)
{
    static char big[65536];
    size_t sent = 1;

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    BDR_AUTO(fd)
    int fd = demo_raw(d, DEMO_PLAIN, "GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\n\r\n");
    wait_streams(1);
    for (int i = 0; i < 1000 && sent; i++)
        sent = demo_broadcast(d, "tick", "7", big);
    assert_int_equal(sent, 0);
}

/* ---- stopping ---- */

struct getter {
    const char *path;
    atomic_uint ok, failed;
};

static struct bdr_err *get_one(void *ctx, unsigned index)
{
    struct getter *g = ctx;
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    const struct bdr_http_call call = {.method = "GET", .path = g->path, .deadline_ms = 3000};
    struct bdr_err *err = bdr_http_call(c, &call, &reply);

    (void)index;
    atomic_fetch_add(err ? &g->failed : &g->ok, 1);
    bdr_err_free(err);
    return NULL;
}

static void wait_slow(unsigned n)
{
    for (int i = 0; i < 500 && atomic_load(&d->slow_running) != n; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&d->slow_running), n);
}

static void test_stop__while_busy__what_runs_is_finished(void **state)
{
    struct getter g = {.path = "/v1/slow/500"};
    struct bdr_pool *pool = NULL;

    (void)state;
    assert_null(bdr_pool_start("get", 4, get_one, &g, NULL, &pool));
    wait_slow(4);
    demo_stop(d, 5000);
    assert_null(bdr_pool_join(pool));
    assert_int_equal(atomic_load(&g.ok), 4);
}

static void test_stop__deadline__cancels_and_comes_back(void **state)
{
    struct getter g = {.path = "/v1/slow/60000"};
    struct bdr_pool *pool = NULL;
    uint64_t begun;

    (void)state;
    assert_null(bdr_pool_start("get", 4, get_one, &g, NULL, &pool));
    wait_slow(4);
    begun = bdr_clock_mono_ms();
    demo_stop(d, 200);
    assert_true(bdr_clock_mono_ms() - begun < 10000);
    assert_null(bdr_pool_join(pool));
    assert_int_equal(atomic_load(&g.failed), 4);
    assert_int_equal(atomic_load(&d->slow_running), 0);
}

static void test_stop__in_the_middle_of_streams(void **state)
{
    struct getter g = {.path = "/v1/bytes?bytes=17179869184"};
    struct bdr_pool *pool = NULL;

    (void)state;
    assert_null(bdr_pool_start("get", 2, get_one, &g, NULL, &pool));
    usleep(100000);
    demo_stop(d, 0);
    assert_null(bdr_pool_join(pool));
    assert_int_equal(atomic_load(&g.failed), 2);
}

#define STOPS 20

static _Thread_local bool linger; /* before something is taken out of an epoll set */

/* In place of libc's, also for libmicrohttpd: this thread comes late, after others who take the same out. */
int epoll_ctl(int set, int what, int fd, struct epoll_event *event);
int epoll_ctl(int set, int what, int fd, struct epoll_event *event)
{
    if (what == EPOLL_CTL_DEL && linger)
        usleep(10000);
    return (int)syscall(SYS_epoll_ctl, set, what, fd, event);
}

struct comers {
    atomic_uint port, came; /* port 0: it is over */
};

/* Connects as long as there is a port, whether it is served or not. */
static struct bdr_err *come(void *ctx, unsigned index)
{
    struct comers *k = ctx;
    unsigned port;

    (void)index;
    while ((port = atomic_load(&k->port)) != 0) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        BDR_AUTO(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd >= 0 && !connect(fd, (const struct sockaddr *)&to, sizeof(to)))
            atomic_fetch_add(&k->came, 1);
    }
    return NULL;
}

/* libmicrohttpd 0.9.75 ends the program when it is told to leave a socket that one of its threads just leaves (MHD_quiesce_daemon). */
static void test_stop__while_somebody_comes_all_the_time__is_a_stop(void **state)
{
    struct comers k = {0};
    struct bdr_pool *pool = NULL;

    (void)state;
    linger = true;
    atomic_store(&k.port, bdr_http_port(d->server, DEMO_PLAIN));
    assert_null(bdr_pool_start("come", 4, come, &k, NULL, &pool));
    for (unsigned i = 0; i < STOPS; i++) {
        unsigned came = atomic_load(&k.came);

        for (int t = 0; t < 5000 && atomic_load(&k.came) < came + 20; t++)
            usleep(1000);
        assert_true(atomic_load(&k.came) >= came + 20);
        demo_stop(d, 0);
        demo_serve(d, NULL, 0);
        atomic_store(&k.port, bdr_http_port(d->server, DEMO_PLAIN));
    }
    atomic_store(&k.port, 0);
    assert_null(bdr_pool_join(pool));
    linger = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_upload__known_and_chunked__all_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__too_large__is_413_either_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__refused_on_the_way__the_reason_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upload__cancelled__ends_soon_and_the_handler_too, setup, teardown),
        cmocka_unit_test_setup_teardown(test_download__whole_and_right, setup, teardown),
        cmocka_unit_test_setup_teardown(test_download__broken_in_the_middle__is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file__ranges_and_etags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events__many_listeners__all_hear_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events__a_client_that_does_not_read__is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop__while_busy__what_runs_is_finished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop__deadline__cancels_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop__in_the_middle_of_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop__while_somebody_comes_all_the_time__is_a_stop, setup, teardown),
    };

    return cmocka_run_group_tests_name("wire-stream", tests, NULL, NULL);
}
