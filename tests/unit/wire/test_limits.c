/* SPDX-License-Identifier: Apache-2.0 */
/* What no well-behaved client does: raw sockets, slow ones, and bytes that are no HTTP. */
#include "bdr/clock.h"
#include "demo.h"
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct demo *d;

static int setup(void **state)
{
    const struct bdr_http_limits limits = {.header_ms = 600,
                                           .stall_ms = 800,
                                           .idle_ms = 1500,
                                           .connections_per_ip = 40,
                                           .stream_workers = 1,
                                           .stream_queue = 1};

    (void)state;
    d = demo_start(&limits, 0);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    demo_free(d);
    return 0;
}

/* Everything until the other side closes, or `ms`; false when it did not close. */
static bool read_all(int fd, char *buf, size_t cap, uint64_t ms)
{
    uint64_t until = bdr_clock_mono_ms() + ms;
    size_t len = 0;

    buf[0] = 0;
    for (;;) {
        uint64_t now = bdr_clock_mono_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n;

        if (now >= until)
            return false;
        if (poll(&p, 1, (int)(until - now)) <= 0)
            return false;
        n = recv(fd, buf + len, len + 1 < cap ? cap - 1 - len : 0, 0);
        if (n <= 0)
            return true;
        len += (size_t)n;
        buf[len] = 0;
    }
}

static void exchange(const char *send_text, const char *status)
{
    BDR_AUTO(fd) int fd = demo_raw(d, DEMO_PLAIN, send_text);
    char buf[8192];

    if (!read_all(fd, buf, sizeof(buf), 8000))
        fail_msg("no end after: %.60s", send_text);
    if (strncmp(buf, status, strlen(status)))
        fail_msg("%.60s: %.60s", send_text, buf);
}

#define AUTH "Authorization: Bearer admin\r\n"

static void test_malformed__is_refused_and_closed(void **state)
{
    static const struct {
        const char *text, *status;
    } rows[] = {
        {"GET /v1/ping HTTP/1.1\r\n\r\n", "HTTP/1.1 400"}, /* no Host */
        {"GET /v1/ping%00x HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400"},
        {"POST /v1/hosts HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "HTTP/1.1 400"},
        {"POST /v1/hosts HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "HTTP/1.1 400"},
        {"POST /v1/hosts HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n{}", "HTTP/1.1 400"},
        {"POST /v1/hosts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400"},
        {"GARBAGE\r\n\r\n", ""},
        {"\x16\x03\x01\x02\x05\x01\xff\xff\xff\xff\r\n\r\n", ""},
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        exchange(rows[i].text, rows[i].status);
    exchange("GET /v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200"); /* it still serves */
}

static void test_header__too_large__is_refused(void **state)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    bdr_buf_printf(&b, "GET /v1/ping HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 3000; i++)
        bdr_buf_printf(&b, "X-Long-%04d: aaaaaaaaaaaaaaaa\r\n", i);
    bdr_buf_printf(&b, "\r\n");
    exchange((char *)b.data, "HTTP/1.1 431");
    b.len = 0;
    bdr_buf_printf(&b, "GET /v1/ping HTTP/1.1\r\nHost: x\r\n"); /* small, but too many */
    for (int i = 0; i < 600; i++)
        bdr_buf_printf(&b, "a:b\r\n");
    bdr_buf_printf(&b, "\r\n");
    exchange((char *)b.data, "HTTP/1.1 4");
    b.len = 0;
    bdr_buf_printf(&b, "GET /");
    for (int i = 0; i < 40000; i++)
        bdr_buf_u8(&b, 'a');
    bdr_buf_printf(&b, " HTTP/1.1\r\nHost: x\r\n\r\n");
    exchange((char *)b.data, "HTTP/1.1 414");
}

static void test_body__too_large__is_413_before_it_is_sent(void **state)
{
    (void)state;
    exchange("POST /v1/hosts HTTP/1.1\r\nHost: x\r\n" AUTH
             "Content-Type: application/json\r\nContent-Length: 99999999\r\n"
             "Expect: 100-continue\r\n\r\n",
             "HTTP/1.1 413");
    exchange("POST /v1/hosts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n"
             "Expect: 100-continue\r\n\r\n",
             "HTTP/1.1 401"); /* nobody's body is asked for */
}

/* One byte each 100 ms; how long until we are thrown out? */
static uint64_t drip(const char *begin, const char *rest, uint64_t max_ms)
{
    BDR_AUTO(fd) int fd = demo_raw(d, DEMO_PLAIN, begin);
    uint64_t begun = bdr_clock_mono_ms();
    char buf[512];

    while (bdr_clock_mono_ms() - begun < max_ms) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (send(fd, rest, 1, MSG_NOSIGNAL) != 1)
            break;
        if (poll(&p, 1, 100) > 0 && recv(fd, buf, sizeof(buf), MSG_DONTWAIT) <= 0)
            break;
    }
    return bdr_clock_mono_ms() - begun;
}

static void test_slow_loris__is_cut_though_it_never_stops_sending(void **state)
{
    struct bdr_http_stats stats;

    (void)state;
    assert_in_range(drip("GET /v1/ping HTTP/1.1\r\nHost: x\r\n", "a", 8000), 400, 4000);
    assert_in_range(drip("", "G", 8000), 400, 4000);
    /* the body of a request that nobody needs to wait for */
    assert_in_range(drip("PUT /v1/blocks/a HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Type: application/octet-stream\r\n"
                         "Content-Length: 100000\r\n\r\n",
                         "b", 8000),
                    500, 5000);
    for (int i = 0; i < 100; i++) {
        bdr_http_stats(d->server, &stats);
        if (stats.cut_slow == 2)
            break;
        usleep(10000);
    }
    assert_int_equal(stats.cut_slow, 2); /* the one that never said a line counts as idle */
    /* many at once: the server still answers others at once */
    int fds[30];
    uint64_t begun = bdr_clock_mono_ms();

    for (int i = 0; i < 30; i++)
        fds[i] = demo_raw(d, DEMO_PLAIN, "GET / HTTP/1.1\r\nX: ");
    exchange("GET /v1/pong HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200");
    assert_true(bdr_clock_mono_ms() - begun < 3000);
    for (int i = 0; i < 30; i++)
        close(fds[i]);
}

static void test_idle__is_closed(void **state)
{
    BDR_AUTO(fd) int fd = demo_raw(d, DEMO_PLAIN, "GET /v1/ping HTTP/1.1\r\nHost: x\r\n\r\n");
    uint64_t begun = bdr_clock_mono_ms();
    char buf[4096];

    (void)state;
    assert_true(read_all(fd, buf, sizeof(buf), 8000));
    assert_in_range(bdr_clock_mono_ms() - begun, 1000, 6000);
}

static void test_pipelined__are_answered_in_order(void **state)
{
    char buf[8192];
    BDR_AUTO(fd)
    int fd = demo_raw(d, DEMO_PLAIN,
                      "GET /v1/slow/100 HTTP/1.1\r\nHost: x\r\n" AUTH "X-Request-Id: first-one\r\n\r\n"
                      "GET /v1/ping HTTP/1.1\r\nHost: x\r\nX-Request-Id: second-one\r\nConnection: close\r\n\r\n");

    (void)state;
    assert_true(read_all(fd, buf, sizeof(buf), 8000));
    assert_true(strstr(buf, "first-one") && strstr(buf, "first-one") < strstr(buf, "second-one"));
}

static void test_per_address__has_its_limit(void **state)
{
    /* all of them wait for something, so none can make room */
    static const char wait[] = "GET /v1/slow/1000 HTTP/1.1\r\nHost: x\r\n" AUTH "Connection: close\r\n\r\n";
    int fds[60];
    char buf[4096];
    unsigned answered = 0;

    (void)state;
    for (int i = 0; i < 60; i++)
        fds[i] = demo_raw(d, DEMO_PLAIN, wait);
    for (int i = 0; i < 60; i++) {
        read_all(fds[i], buf, sizeof(buf), 9000); /* 8 of 40 at once, a second each */
        answered += !strncmp(buf, "HTTP/1.1 200", 12);
    }
    for (int i = 0; i < 60; i++)
        close(fds[i]);
    assert_in_range(answered, 36, 40); /* room is made for a few at once */
}

static void test_streams__more_than_there_are_workers__wait_then_503(void **state)
{
    static const char begin[] =
        "PUT /v1/blocks/a HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Type: application/octet-stream\r\n"
        "Content-Length: 10\r\n\r\n";
    int first = demo_raw(d, DEMO_PLAIN, begin), second, third;
    char buf[4096];

    (void)state;
    usleep(100000); /* the one worker has the first, and waits for its body */
    second = demo_raw(d, DEMO_PLAIN, begin);
    usleep(100000);
    third = demo_raw(d, DEMO_PLAIN, begin);
    assert_int_equal(send(third, "0123456789", 10, MSG_NOSIGNAL), 10);
    read_all(third, buf, sizeof(buf), 300);
    assert_non_null(strstr(buf, "503"));
    assert_non_null(strstr(buf, "Retry-After"));
    assert_int_equal(send(first, "0123456789", 10, MSG_NOSIGNAL), 10);
    assert_int_equal(send(second, "0123456789", 10, MSG_NOSIGNAL), 10);
    read_all(second, buf, sizeof(buf), 500);
    assert_non_null(strstr(buf, "{\"bytes\":10}"));
    close(first);
    close(second);
    close(third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_malformed__is_refused_and_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_header__too_large__is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body__too_large__is_413_before_it_is_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_loris__is_cut_though_it_never_stops_sending, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle__is_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipelined__are_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_per_address__has_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams__more_than_there_are_workers__wait_then_503, setup, teardown),
    };

    return cmocka_run_group_tests_name("wire-limits", tests, NULL, NULL);
}
