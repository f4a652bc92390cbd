/* SPDX-License-Identifier: Apache-2.0 */
/* Time and trouble on one NBD connection, with servers that are slow, silent or rude. */
#include "bdr/clock.h"
#include "bdr/pool.h"
#include "nbd/conn.h"
#include "util.h"
#include <sys/socket.h>
#include <sys/un.h>

static char dir[] = "/tmp/bdr-nbd-test-XXXXXX";
static char sock[64], uri[128];

static int nbd_setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(sock, sizeof(sock), "%s/sock", dir);
    snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", sock);
    return 0;
}

static int nbd_teardown(void **state)
{
    (void)state;
    unlink(sock);
    return rmdir(dir);
}

/*
 * A server of 1 MiB of zeros, one client after the other. It speaks the protocol by hand so that it can stop
 * speaking: before the handshake, or instead of the answer to request number `silent_from` and later ones.
 * Source: NBD proto.md, fixed newstyle with NBD_OPT_GO, simple replies.
 */
struct server {
    int fd;
    uint32_t silent_from; /* of each connection, from 1; 0: never */
    bool mute;            /* accepts and says nothing */
    bool hang_up;         /* ends the connection where it would be silent */
    uint64_t size_bytes[4];
    unsigned n;
    struct bdr_cancel stop;
};

static bool take(int fd, void *buf, size_t len)
{
    return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static void put(int fd, uint64_t v, unsigned bytes)
{
    uint8_t b[8];

    for (unsigned i = 0; i < bytes; i++)
        b[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
    if (send(fd, b, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        return; /* the client has gone; the next take tells */
}

static uint64_t be(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;

    while (bytes--)
        v = v << 8 | *p++;
    return v;
}

static void put_option_reply(int fd, uint32_t option, uint32_t type, uint32_t len)
{
    put(fd, 0x3e889045565a9, 8);
    put(fd, option, 4);
    put(fd, type, 4);
    put(fd, len, 4);
}

static bool serve_options(int fd, uint64_t size_bytes)
{
    uint8_t head[16], data[4096];

    put(fd, 0x4e42444d41474943, 8); /* NBDMAGIC */
    put(fd, 0x49484156454f5054, 8); /* IHAVEOPT */
    put(fd, 3, 2);                  /* fixed newstyle, no zeroes */
    if (!take(fd, data, 4))
        return false;
    while (take(fd, head, sizeof(head))) {
        uint32_t option = (uint32_t)be(head + 8, 4), len = (uint32_t)be(head + 12, 4);

        if (len > sizeof(data) || (len && !take(fd, data, len)))
            return false;
        if (option != 7) { /* not NBD_OPT_GO: unsupported */
            put_option_reply(fd, option, 0x80000001, 0);
            continue;
        }
        put_option_reply(fd, option, 3, 12); /* NBD_REP_INFO: export, size, flags */
        put(fd, 0, 2);
        put(fd, size_bytes, 8);
        put(fd, 3, 2); /* has flags, read-only */
        put_option_reply(fd, option, 1, 0);
        return true;
    }
    return false;
}

static void serve_client(struct server *s, int fd)
{
    static const uint8_t zeros[1 << 20];
    uint8_t req[28];

    if (s->mute) {
        if (take(fd, req, sizeof(req)))
            return;
        return; /* the client has given up */
    }
    if (!serve_options(fd, s->size_bytes[s->n]))
        return;
    for (uint32_t number = 1; take(fd, req, sizeof(req)) && be(req + 6, 2) == 0; number++) {
        if (s->silent_from && number >= s->silent_from) {
            if (s->hang_up)
                return;
            continue;
        }
        put(fd, 0x67446698, 4);
        put(fd, 0, 4);
        put(fd, be(req + 8, 8), 8);
        if (send(fd, zeros, be(req + 24, 4), MSG_NOSIGNAL) < 0)
            return;
    }
}

static struct bdr_err *server_main(void *ctx, unsigned index)
{
    struct server *s = ctx;

    (void)index;
    for (;;) {
        int fd = accept(s->fd, NULL, NULL);

        if (fd < 0)
            return NULL; /* shut down by the test */
        serve_client(s, fd);
        close(fd);
        if (s->n + 1 < BDR_COUNT(s->size_bytes))
            s->n++;
    }
}

static struct bdr_pool *server_start(struct server *s)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct bdr_pool *pool = NULL;

    for (size_t i = 0; i < BDR_COUNT(s->size_bytes); i++)
        if (!s->size_bytes[i])
            s->size_bytes[i] = 1 << 20;
    memcpy(addr.sun_path, sock, sizeof(sock));
    unlink(sock);
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(s->fd, 4), 0);
    OK(bdr_pool_start("server", 1, server_main, s, NULL, &pool));
    return pool;
}

static void server_stop(struct server *s, struct bdr_pool *pool)
{
    shutdown(s->fd, SHUT_RDWR);
    OK(bdr_pool_join(pool));
    close(s->fd);
}

static struct nbd_target target_of(const struct bdr_cancel *cancel)
{
    return (struct nbd_target){.uri = uri, .cancel = cancel, .connect_ms = 20000, .reply_ms = 20000};
}

static void test_conn__good_server__reads(void **state)
{
    struct server s = {0};
    struct bdr_pool *pool = server_start(&s);
    struct nbd_target t = target_of(NULL);
    struct nbd_conn conn;
    static uint8_t buf[1 << 20];

    (void)state;
    OK(nbd_conn_init(&conn, &t));
    OK(nbd_conn_connect(&conn));
    assert_int_equal(conn.facts.size_bytes, 1 << 20);
    memset(buf, 1, sizeof(buf));
    OK(nbd_conn_read(&conn, 0, buf, sizeof(buf)));
    for (size_t i = 0; i < sizeof(buf); i++)
        assert_int_equal(buf[i], 0);
    nbd_conn_close(&conn);
    server_stop(&s, pool);
}

static void test_conn__silent_handshake__timeout(void **state)
{
    struct server s = {.mute = true};
    struct bdr_pool *pool = server_start(&s);
    struct nbd_target t = target_of(NULL);
    struct nbd_conn conn;

    (void)state;
    t.connect_ms = 100;
    OK(nbd_conn_init(&conn, &t));
    FAILS(TIMEOUT, "no answer for 100 ms", nbd_conn_connect(&conn));
    nbd_conn_close(&conn);
    server_stop(&s, pool);
}

/* After the timeout nothing writes into the buffer, and the next read has a connection of its own. */
static void test_conn__no_reply__timeout_then_connects_again(void **state)
{
    struct server s = {.silent_from = 3};
    struct bdr_pool *pool = server_start(&s);
    struct nbd_target t = target_of(NULL);
    struct nbd_conn conn;
    uint8_t buf[4096];

    (void)state;
    t.reply_ms = 100;
    OK(nbd_conn_init(&conn, &t));
    OK(nbd_conn_read(&conn, 0, buf, sizeof(buf)));
    OK(nbd_conn_read(&conn, 0, buf, sizeof(buf)));
    FAILS(TIMEOUT, "did not answer for 100 ms", nbd_conn_read(&conn, 0, buf, sizeof(buf)));
    OK(nbd_conn_read(&conn, 0, buf, sizeof(buf)));
    nbd_conn_close(&conn);
    server_stop(&s, pool);
}

struct reader {
    struct nbd_conn *conn;
    enum bdr_code codes[4];
};
static struct bdr_err *reader_main(void *ctx, unsigned index)
{
    struct reader *r = ctx;
    uint8_t buf[4096];
    struct bdr_err *err = nbd_conn_read(r->conn, index * sizeof(buf), buf, sizeof(buf));

    r->codes[index] = err ? err->code : BDR_OK;
    bdr_err_drop(err, "the test looks at the code");
    return NULL;
}

static void test_conn__no_reply_to_several_readers__all_are_told(void **state)
{
    struct server s = {.silent_from = 1};
    struct bdr_pool *pool = server_start(&s), *readers = NULL;
    struct nbd_target t = target_of(NULL);
    struct nbd_conn conn;
    struct reader r = {.conn = &conn};

    (void)state;
    t.reply_ms = 200;
    OK(nbd_conn_init(&conn, &t));
    OK(bdr_pool_start("reader", 4, reader_main, &r, NULL, &readers));
    OK(bdr_pool_join(readers));
    for (size_t i = 0; i < BDR_COUNT(r.codes); i++)
        assert_true(r.codes[i] == BDR_TIMEOUT || r.codes[i] == BDR_NET);
    nbd_conn_close(&conn);
    server_stop(&s, pool);
}

static void test_conn__server_hangs_up__net_and_never_data(void **state)
{
    struct server s = {.silent_from = 2, .hang_up = true};
    struct bdr_pool *pool = server_start(&s);
    struct nbd_target t = target_of(NULL);
    struct nbd_conn conn;
    uint8_t buf[4096];

    (void)state;
    OK(nbd_conn_init(&conn, &t));
    for (int i = 0; i < 6; i++) {
        OK(nbd_conn_read(&conn, 0, buf, sizeof(buf)));
        FAILS(NET, "broke", nbd_conn_read(&conn, 0, buf, sizeof(buf)));
    }
    nbd_conn_close(&conn);
    server_stop(&s, pool);
}

static void test_conn__comes_back_with_another_size__stale(void **state)
{
    struct server s = {.silent_from = 2, .hang_up = true, .size_bytes = {1 << 20, 2 << 20}};
    struct bdr_pool *pool = server_start(&s);
    struct nbd_target t = target_of(NULL);
    struct nbd_conn conn;
    uint8_t buf[4096];

    (void)state;
    OK(nbd_conn_init(&conn, &t));
    OK(nbd_conn_read(&conn, 0, buf, sizeof(buf)));
    FAILS(NET, "broke", nbd_conn_read(&conn, 0, buf, sizeof(buf)));
    FAILS(STALE, "another disk", nbd_conn_read(&conn, 0, buf, sizeof(buf)));
    nbd_conn_close(&conn);
    server_stop(&s, pool);
}

static struct bdr_err *cancel_soon(void *ctx, unsigned index)
{
    (void)index;
    BDR_TRY(bdr_cancel_sleep(NULL, 100)); /* the reader waits by then; if not yet, the outcome is the same */
    bdr_cancel_set(ctx);
    return NULL;
}

static void test_conn__cancelled__returns_soon(void **state)
{
    struct server s = {.silent_from = 1};
    struct bdr_pool *pool = server_start(&s), *canceller = NULL;
    struct bdr_cancel cancel = {0};
    struct nbd_target t = target_of(&cancel);
    struct nbd_conn conn;
    uint64_t start = bdr_clock_mono_ms();
    uint8_t buf[4096];

    (void)state;
    OK(nbd_conn_init(&conn, &t));
    OK(nbd_conn_connect(&conn));
    OK(bdr_pool_start("cancel", 1, cancel_soon, &cancel, NULL, &canceller));
    FAILS(CANCELLED, "", nbd_conn_read(&conn, 0, buf, sizeof(buf)));
    assert_true(bdr_clock_mono_ms() - start < 10000);
    OK(bdr_pool_join(canceller));
    nbd_conn_close(&conn);
    server_stop(&s, pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conn__good_server__reads),
        cmocka_unit_test(test_conn__silent_handshake__timeout),
        cmocka_unit_test(test_conn__no_reply__timeout_then_connects_again),
        cmocka_unit_test(test_conn__no_reply_to_several_readers__all_are_told),
        cmocka_unit_test(test_conn__server_hangs_up__net_and_never_data),
        cmocka_unit_test(test_conn__comes_back_with_another_size__stale),
        cmocka_unit_test(test_conn__cancelled__returns_soon),
    };

    return cmocka_run_group_tests_name("source nbd", tests, nbd_setup, nbd_teardown);
}
