/* SPDX-License-Identifier: Apache-2.0 */
/* More connections than there is room for, held by somebody who does not mean to be served; others are. */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "bdr/osserver.h"
#include "demo.h"
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

#define LIMIT  240
#define PER_IP 60
#define FLOOD  900 /* several times the limit */
#define AUTH   "Authorization: Bearer admin\r\n"
#define PING   "GET /v1/pong HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static struct demo *d;
static int fds[FLOOD];

/* Nothing here ends by its deadline: what makes room is the crowd itself. */
static int setup(void **state)
{
    const struct bdr_http_limits limits = {.header_ms = 600000,
                                           .stall_ms = 600000,
                                           .idle_ms = 600000,
                                           .connections = LIMIT,
                                           .connections_per_ip = PER_IP,
                                           .bodies_bytes = 1 << 20};

    (void)state;
    for (int i = 0; i < FLOOD; i++)
        fds[i] = -1;
    d = demo_start(&limits, 0);
    return 0;
}

static int setup_one(void **state)
{
    const struct bdr_http_limits limits = {
        .header_ms = 600000, .stall_ms = 600000, .idle_ms = 600000, .connections_per_ip = PER_IP};

    (void)state;
    for (int i = 0; i < FLOOD; i++)
        fds[i] = -1;
    d = demo_start(&limits, 0);
    return 0;
}

static int setup_short(void **state)
{
    const struct bdr_http_limits limits = {.header_ms = 400, .stall_ms = 600};

    (void)state;
    d = demo_start(&limits, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < FLOOD; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    demo_free(d);
    return 0;
}

static struct bdr_http_stats stats_now(void)
{
    struct bdr_http_stats stats;

    bdr_http_stats(d->server, &stats);
    return stats;
}

/* All that the other side sends until it closes; at most 10 s. */
static size_t answer_of(int fd, char *buf, size_t cap)
{
    const struct timeval patience = {.tv_sec = 10};
    size_t len = 0;
    ssize_t n = 1;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    while (n > 0 && len + 1 < cap) {
        n = recv(fd, buf + len, cap - 1 - len, 0);
        len += n > 0 ? (size_t)n : 0;
    }
    buf[len] = 0;
    return len;
}

static void check_served(unsigned from, const char *text)
{
    BDR_AUTO(fd) int fd = demo_raw_from(d, DEMO_PLAIN, from, 0, text);
    char buf[4096];

    assert_true(fd >= 0);
    answer_of(fd, buf, sizeof(buf));
    if (strncmp(buf, "HTTP/1.1 200", 12) != 0)
        fail_msg("not served: '%.60s'; %llu connections, %llu cut", buf, (unsigned long long)stats_now().connections,
                 (unsigned long long)stats_now().cut_crowded);
}

/* `each` connections from an address; between them somebody else comes, who must be served. */
static void flood(const char *text, unsigned each)
{
    for (unsigned i = 0; i < FLOOD; i++) {
        fds[i] = demo_raw_from(d, DEMO_PLAIN, 1000 + i / each, 0, text);
        assert_true(fds[i] >= 0);
        if (i % 100 == 99)
            check_served(2, PING);
    }
    assert_in_range(stats_now().connections, 1, LIMIT + LIMIT / 3 + 1); /* some are about to close */
    assert_true(stats_now().cut_crowded > FLOOD - 2 * LIMIT);
}

static void test_flood__silent_connections__others_are_served(void **state)
{
    (void)state;
    flood("", 40);
}

static void test_flood__half_a_header__others_are_served(void **state)
{
    (void)state;
    flood("GET /v1/ping HTTP/1.1\r\nHost: x\r\nX-Slow: a", 40);
}

static void test_flood__half_a_body__others_are_served(void **state)
{
    (void)state;
    flood("POST /v1/greet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", 40);
}

static void test_flood__asked_once_and_idle__others_are_served(void **state)
{
    (void)state;
    flood("GET /v1/ping HTTP/1.1\r\nHost: x\r\n\r\n", 40);
}

/* However many came after: one connection of an address is in nobody's way. */
static void test_flood__somebody_slow_who_came_first__is_let_be(void **state)
{
    static const char begun[] = "GET /v1/pong HTTP/1.1\r\nHost: x\r\n", rest[] = "Connection: close\r\n\r\n";
    int slow[] = {demo_raw_from(d, DEMO_PLAIN, 2, 0, ""), demo_raw_from(d, DEMO_PLAIN, 3, 0, begun)};
    char buf[4096];

    (void)state;
    flood("", 40);
    assert_int_equal(send(slow[0], begun, strlen(begun), MSG_NOSIGNAL), (int)strlen(begun));
    for (size_t i = 0; i < BDR_COUNT(slow); i++) {
        assert_int_equal(send(slow[i], rest, strlen(rest), MSG_NOSIGNAL), (int)strlen(rest));
        answer_of(slow[i], buf, sizeof(buf));
        if (strncmp(buf, "HTTP/1.1 200", 12) != 0)
            fail_msg("not served: '%.60s'", buf);
        close(slow[i]);
    }
}

/* The flood's address is also somebody else's: a proxy before us, a site behind one address. */
static void test_flood__from_one_address__others_behind_it_are_served(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FLOOD; i++) {
        fds[i] = demo_raw_from(d, DEMO_PLAIN, 7, 0, "GET / HTTP/1.1\r\nX-Slow: ");
        assert_true(fds[i] >= 0);
        if (i % 100 == 99)
            check_served(7, PING);
    }
    assert_in_range(stats_now().connections, 1, FLOOD / 2);
}

/* Who said who they are, and waits for us or sends us something, is not cut to make room for strangers. */
static void test_flood__those_who_are_known__stay(void **state)
{
    static const char upload[] = "PUT /v1/blocks/a HTTP/1.1\r\nHost: x\r\n" AUTH
                                 "Content-Type: application/octet-stream\r\nContent-Length: 10\r\n"
                                 "Connection: close\r\n\r\n01234";
    static const char post[] = "POST /v1/hosts HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Type: application/json\r\n"
                               "Content-Length: 60\r\nConnection: close\r\n\r\n{";
    static const char rest[] = "\"name\":\"flooded\",\"address\":\"192.0.2.1\"                    }";
    int listening = demo_raw(d, DEMO_PLAIN, "GET /v1/events HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n");
    int uploading = demo_raw(d, DEMO_PLAIN, upload), posting = demo_raw(d, DEMO_PLAIN, post);
    char buf[4096];

    (void)state;
    for (int i = 0; i < 1000 && (!stats_now().event_streams || stats_now().requests_running < 3); i++)
        usleep(10000);
    assert_int_equal(stats_now().requests_running, 3);
    for (int i = 0; i < 1000 && atomic_load(&d->taken_bytes) < 5; i++) /* authorised, and in the middle of its body */
        usleep(10000);
    flood("", 40);
    assert_int_equal(stats_now().event_streams, 1);
    assert_int_equal(send(uploading, "56789", 5, MSG_NOSIGNAL), 5);
    answer_of(uploading, buf, sizeof(buf));
    assert_non_null(strstr(buf, "{\"bytes\":10}"));
    assert_int_equal(send(posting, rest, strlen(rest), MSG_NOSIGNAL), (int)strlen(rest));
    answer_of(posting, buf, sizeof(buf));
    if (strncmp(buf, "HTTP/1.1 2", 10) != 0)
        fail_msg("not taken: %s", buf);
    close(listening);
    close(uploading);
    close(posting);
}

/* Bodies that strangers begin and do not end have a quarter of the room; who is known has the rest. */
static void test_bodies__of_strangers__do_not_fill_the_memory(void **state)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};
    BDR_AUTO(buf) struct bdr_buf known = {0};
    unsigned refused = 0;
    char buf[4096];

    (void)state;
    bdr_buf_printf(&b, "POST /v1/greet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                       "Content-Length: 90000\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 80000; i++)
        bdr_buf_u8(&b, ' ');
    bdr_buf_u8(&b, 0);
    for (unsigned i = 0; i < 40; i++) { /* 3.2 MiB of 256 KiB */
        fds[i] = demo_raw_from(d, DEMO_PLAIN, 2000 + i, 0, (char *)b.data);
        assert_true(fds[i] >= 0);
    }
    for (int i = 0; i < 1000 && stats_now().requests_running < 40; i++)
        usleep(10000);
    bdr_buf_printf(&known, "POST /v1/hosts HTTP/1.1\r\nHost: x\r\n" AUTH "Content-Type: application/json\r\n"
                           "Content-Length: 200045\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 200000; i++)
        bdr_buf_u8(&known, ' ');
    bdr_buf_printf(&known, "{\"name\":\"a\",\"address\":\"192.0.2.1\"}           ");
    bdr_buf_u8(&known, 0);
    {
        BDR_AUTO(fd) int fd = demo_raw(d, DEMO_PLAIN, (char *)known.data);

        answer_of(fd, buf, sizeof(buf));
        assert_memory_equal(buf, "HTTP/1.1 2", 10);
    }
    for (unsigned i = 0; i < 40; i++) {
        char rest[10000];

        memset(rest, ' ', sizeof(rest)); /* a refused one hears so when its body is through */
        (void)!send(fds[i], rest, sizeof(rest), MSG_NOSIGNAL);
        answer_of(fds[i], buf, sizeof(buf));
        refused += strstr(buf, "HTTP/1.1 503") && strstr(buf, "Retry-After");
    }
    assert_in_range(refused, 37, 39);
    /* and all of it is given back */
    check_served(2, "POST /v1/greet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 28\r\n"
                    "Connection: close\r\n\r\n{\"name\":\"sda\",\"size\":100000}");
}

static void test_bodies__of_strangers__have_a_small_limit(void **state)
{
    BDR_AUTO(fd)
    int fd = demo_raw(d, DEMO_PLAIN,
                      "POST /v1/greet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      "Content-Length: 900000\r\n\r\n");
    char buf[4096];

    (void)state;
    answer_of(fd, buf, sizeof(buf));
    assert_memory_equal(buf, "HTTP/1.1 413", 12);
}

static void big_file(size_t bytes)
{
    BDR_AUTO(mem) char *data = calloc(1, bytes);
    char path[160];

    assert_non_null(data);
    demo_path(d, "big", path);
    assert_null(bdr_os_replace_file(path, data, bytes, 0600, false));
}

/* An answer of 16 MiB, and whoever asked for it never takes any: its time does not grow with the answer. */
static void test_answer__never_read__is_cut(void **state)
{
    BDR_AUTO(fd) int fd = -1;

    (void)state;
    big_file(16 << 20);
    fd = demo_raw_from(d, DEMO_PLAIN, 1, 4096, "GET /v1/files/big HTTP/1.1\r\nHost: x\r\n" AUTH "\r\n");
    for (int i = 0; i < 1000 && !stats_now().cut_slow; i++)
        usleep(10000);
    assert_int_equal(stats_now().cut_slow, 1);
}

/* One that takes it slowly, but takes it, gets all of it: many times stall_ms. */
static void test_answer__read_slowly__arrives(void **state)
{
    static char buf[65536];
    BDR_AUTO(fd) int fd = -1;
    uint64_t len = 0, begun = bdr_clock_mono_ms();
    ssize_t n = 1;

    (void)state;
    big_file(8 << 20);
    fd = demo_raw_from(d, DEMO_PLAIN, 1, 65536,
                       "GET /v1/files/big HTTP/1.1\r\nHost: x\r\n" AUTH "Connection: close\r\n\r\n");
    while (n > 0) {
        n = recv(fd, buf, sizeof(buf), 0);
        len += n > 0 ? (uint64_t)n : 0;
        usleep(15000); /* the speed of a line, not a wait for something */
    }
    assert_true(len > 8 << 20);
    assert_true(bdr_clock_mono_ms() - begun > 1200); /* it was slow: twice stall_ms */
    assert_int_equal(stats_now().cut_slow, 0);
}

/* Before any request: no word at all, half a ClientHello. */
static void test_handshake__that_does_not_come__is_cut_and_counted(void **state)
{
    int silent = demo_raw(d, DEMO_TLS, ""), half = demo_raw(d, DEMO_TLS, "\x16\x03\x01\x02");
    int plain = demo_raw(d, DEMO_PLAIN, "");
    char buf[64];

    (void)state;
    assert_int_equal(answer_of(silent, buf, sizeof(buf)), 0);
    answer_of(half, buf, sizeof(buf));
    assert_int_equal(answer_of(plain, buf, sizeof(buf)), 0);
    for (int i = 0; i < 1000 && stats_now().cut_silent < 3; i++)
        usleep(10000);
    assert_int_equal(stats_now().cut_silent, 3);
    close(silent);
    close(half);
    close(plain);
}

static void test_files__the_soft_limit__is_raised(void **state)
{
    struct rlimit was, low;
    uint64_t may = 0;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    low = (struct rlimit){300, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_null(bdr_os_files_allow(200, &may));
    assert_int_equal(may, 300); /* never less */
    assert_null(bdr_os_files_allow(400, &may));
    assert_int_equal(may, BDR_MIN((rlim_t)400, was.rlim_max));
    assert_null(bdr_os_files_allow(UINT64_MAX / 2, &may));
    assert_int_equal(may, was.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flood__silent_connections__others_are_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood__half_a_header__others_are_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood__half_a_body__others_are_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood__asked_once_and_idle__others_are_served, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood__somebody_slow_who_came_first__is_let_be, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flood__from_one_address__others_behind_it_are_served, setup_one, teardown),
        cmocka_unit_test_setup_teardown(test_flood__those_who_are_known__stay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bodies__of_strangers__do_not_fill_the_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bodies__of_strangers__have_a_small_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answer__never_read__is_cut, setup_short, teardown),
        cmocka_unit_test_setup_teardown(test_answer__read_slowly__arrives, setup_short, teardown),
        cmocka_unit_test_setup_teardown(test_handshake__that_does_not_come__is_cut_and_counted, setup_short, teardown),
        cmocka_unit_test(test_files__the_soft_limit__is_raised),
    };

    return cmocka_run_group_tests_name("wire-flood", tests, NULL, NULL);
}
