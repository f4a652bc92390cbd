/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers that hold a thread each: whoever begins many slow ones leaves threads, and places in the queue, to others.
 */
#include "bdr/bytes.h"
#include "demo.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define THREADS 8
#define SHARE   6 /* three quarters */
#define QUEUE   16
#define MANY    40
#define UPLOAD                                                                                                         \
    "PUT /v1/blocks/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\nContent-Type: "                            \
    "application/octet-stream\r\n"
#define WHOLE UPLOAD "Content-Length: 10\r\nConnection: close\r\n\r\n0123456789"
#define SLOW  UPLOAD "Content-Length: 1000\r\n\r\nS"

static struct demo *d;
static int fds[MANY];
static size_t n_fds;

/* Nothing here ends by its deadline. */
static int setup(void **state)
{
    const struct bdr_http_limits limits = {
        .header_ms = 600000, .stall_ms = 600000, .idle_ms = 600000, .stream_workers = THREADS, .stream_queue = QUEUE};

    (void)state;
    n_fds = 0;
    d = demo_start(&limits, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    while (n_fds)
        close(fds[--n_fds]);
    demo_free(d);
    return 0;
}

static uint64_t cut_greedy(void)
{
    struct bdr_http_stats stats;

    bdr_http_stats(d->server, &stats);
    return stats.cut_greedy;
}

static void begin(unsigned from, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fds[n_fds] = demo_raw_from(d, DEMO_PLAIN, from, 0, text);
        assert_true(fds[n_fds] >= 0);
        n_fds++;
    }
}

static void taken_await(uint64_t bytes)
{
    for (int i = 0; i < 3000 && atomic_load(&d->taken_bytes) < bytes; i++)
        usleep(10000);
    assert_true(atomic_load(&d->taken_bytes) >= bytes);
}

static void check_taken(unsigned from)
{
    BDR_AUTO(fd) int fd = demo_raw_from(d, DEMO_PLAIN, from, 0, WHOLE);
    const struct timeval patience = {.tv_sec = 60};
    char buf[4096];
    size_t len = 0;
    ssize_t n = 1;

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    while (n > 0 && len + 1 < sizeof(buf)) {
        n = recv(fd, buf + len, sizeof(buf) - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
    }
    buf[len] = 0;
    if (!strstr(buf, "{\"bytes\":10}"))
        fail_msg("not taken: '%.80s'; %llu cut", buf, (unsigned long long)cut_greedy());
}

static void test_transfers__one_holds_all_it_may__others_go_on(void **state)
{
    (void)state;
    begin(7, SLOW, MANY); /* more than threads and queue together */
    taken_await(SHARE);
    for (unsigned i = 0; i < 20; i++)
        check_taken(100 + i);
    assert_int_equal(atomic_load(&d->taken_bytes), SHARE + 20 * 10); /* the others of the one wait */
    assert_int_equal(cut_greedy(), 0);
}

static void test_transfers__several_hold_them_all__the_slowest_makes_room(void **state)
{
    (void)state;
    begin(7, SLOW, SHARE);
    begin(8, SLOW, SHARE);
    taken_await(THREADS);
    check_taken(100);
    check_taken(101);
    assert_in_range(cut_greedy(), 1, 4);
}

/* They wait for us (bandwidth, a disk), not we for them: that is nobody's greed. */
static void test_transfers__several_that_we_hold_up__are_not_cut(void **state)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};

    (void)state;
    atomic_store(&d->read_bytes_per_s, 65536);
    bdr_buf_printf(&text, UPLOAD "Content-Length: 700000\r\n\r\n");
    for (int i = 0; i < 700000; i++)
        bdr_buf_u8(&text, 'x');
    bdr_buf_u8(&text, 0);
    begin(7, (char *)text.data, SHARE);
    begin(8, (char *)text.data, SHARE);
    taken_await(THREADS);
    check_taken(100); /* when one of them has ended, after 10 s */
    assert_int_equal(cut_greedy(), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_transfers__one_holds_all_it_may__others_go_on),
        T(test_transfers__several_hold_them_all__the_slowest_makes_room),
        T(test_transfers__several_that_we_hold_up__are_not_cut),
    };

    return cmocka_run_group_tests_name("wire-fair", tests, NULL, NULL);
}
