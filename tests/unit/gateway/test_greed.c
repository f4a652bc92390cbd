/* SPDX-License-Identifier: Apache-2.0 */
/* One enrolled machine wants all that a gateway has; and what a cut line leaves behind is in nobody's way. */
#include "gw_i.h"
#include "hand.h"
#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK 65536u
#define HOGS  24u

/* ---- requests whose bodies begin and never end ---- */

struct hog {
    int fd;
    gnutls_session_t tls;
};
struct hogs {
    gnutls_certificate_credentials_t cred;
    struct hog hog[HOGS];
    unsigned n;
};

static void hog_send(struct hog *h, const void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = gnutls_record_send(h->tls, (const char *)data + at, len - at);

        assert_true(n > 0);
        at += (size_t)n;
    }
}

/* One more of machine m1: the headers of a body of 100 kB, and `first` of it. */
static void hog_begin(struct bed *b, struct hogs *all, const char *path, const void *first, size_t len)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(b->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct hog *h = &all->hog[all->n];
    char head[512], key[160];

    if (!all->cred) {
        assert_int_equal(gnutls_certificate_allocate_credentials(&all->cred), 0);
        snprintf(key, sizeof(key), "%s", bed_file(b, "m1.key"));
        assert_int_equal(gnutls_certificate_set_x509_key_file(all->cred, bed_file(b, "m1.crt"), key, GNUTLS_X509_FMT_PEM), 0);
    }
    assert_true(all->n < HOGS);
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(h->fd >= 0 && !connect(h->fd, (struct sockaddr *)&a, sizeof(a)));
    assert_int_equal(gnutls_init(&h->tls, GNUTLS_CLIENT), 0);
    all->n++;
    assert_int_equal(gnutls_set_default_priority(h->tls), 0);
    assert_int_equal(gnutls_credentials_set(h->tls, GNUTLS_CRD_CERTIFICATE, all->cred), 0);
    gnutls_transport_set_int(h->tls, h->fd);
    assert_int_equal(gnutls_handshake(h->tls), 0);
    snprintf(head, sizeof(head),
             "POST %s HTTP/1.1\r\nHost: x\r\nBdr-Fence: 1\r\nContent-Type: application/octet-stream\r\n"
             "Content-Length: 100000\r\n\r\n",
             path);
    hog_send(h, head, strlen(head));
    hog_send(h, first, len);
}

/* How many were cut. */
static unsigned hogs_cut(const struct hogs *all)
{
    unsigned cut = 0;

    for (unsigned i = 0; i < all->n; i++) {
        struct pollfd p = {all->hog[i].fd, POLLRDHUP, 0};

        cut += poll(&p, 1, 0) == 1 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
    }
    return cut;
}

static void hogs_end(struct hogs *all)
{
    for (unsigned i = 0; i < all->n; i++) {
        gnutls_deinit(all->hog[i].tls);
        close(all->hog[i].fd);
    }
    gnutls_certificate_free_credentials(all->cred);
}

static void running_await(struct bed *b, uint64_t requests)
{
    struct gw_stats stats = {0};

    for (int i = 0; i < 3000 && stats.requests != requests; i++) {
        usleep(10000);
        gw_stats(b->gw, &stats);
    }
    assert_int_equal(stats.requests, requests);
}

/* Four uploads of a session, all that it may have, each with a frame that the gateway has taken. */
static void dead_begin(struct bed *b, struct hogs *all, const struct hand *h)
{
    BDR_AUTO(buf) struct bdr_buf frame = {0};
    struct gw_stats stats = {0};
    uint8_t block[BLOCK];
    char path[128];

    hand_fill(block, sizeof(block), 1);
    hand_frame(&frame, block, sizeof(block));
    snprintf(path, sizeof(path), "/v1/hosts/%" PRIu64 "/sessions/%s/blocks", h->host, h->session);
    for (unsigned i = 0; i < 4; i++)
        hog_begin(b, all, path, frame.data, frame.len);
    for (int i = 0; i < 3000 && stats.frames < 4; i++) {
        usleep(10000);
        gw_stats(b->gw, &stats);
    }
    assert_int_equal(stats.frames, 4);
}

/* ---- the tests ---- */

/* Not by uploads, of which a session has four: by anything that has a body. */
static void test_machine__all_threads_by_slow_bodies__others_go_on(void **state)
{
    struct bed *b = *state;
    struct hogs hogs = {0};
    char path[128], *image = strdup(bed_file(b, "a.img"));

    b->limits.stall_ms = 600000;
    b->limits.streams = 8;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1);
    assert_int_equal(hand_begin(&h, 1), 201);
    snprintf(path, sizeof(path), "/v1/hosts/1/sessions/%s/ask", h.session);
    for (unsigned i = 0; i < HOGS; i++)
        hog_begin(b, &hogs, path, "B", 1);
    running_await(b, HOGS);
    engine_image(image, 2 << 20, 7);
    bed_backup(b, 2, image, NULL);
    assert_int_equal(hogs_cut(&hogs), 0); /* nobody had to go for it */
    hogs_end(&hogs);
    hand_free(&h);
    free(image);
}

static void test_upload__after_a_cut__pushes_out_its_own_dead_ones(void **state)
{
    struct bed *b = *state;
    struct hogs dead = {0};
    unsigned status = 0;

    b->limits.stall_ms = 600000;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1);
    assert_int_equal(hand_begin(&h, 1), 201);
    dead_begin(b, &dead, &h);
    for (int i = 0; i < 3000 && (status = hand_binary(&h, "blocks", "", 0)) == 429; i++)
        usleep(10000); /* until they have been silent for long enough */
    assert_int_equal(status, 200);
    running_await(b, 3);
    assert_int_equal(hogs_cut(&dead), 1); /* no more than it took */
    hogs_end(&dead);
    hand_free(&h);
}

static void test_session__begun_again__ends_the_uploads_of_the_one_before(void **state)
{
    struct bed *b = *state;
    struct hogs dead = {0};

    b->limits.stall_ms = 600000;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1);
    assert_int_equal(hand_begin(&h, 1), 201);
    dead_begin(b, &dead, &h);
    assert_int_equal(hand_begin(&h, 1), 201); /* the same job's worker, which lost its line */
    running_await(b, 0);
    assert_int_equal(hogs_cut(&dead), 4);
    assert_int_equal(hand_binary(&h, "blocks", "", 0), 200);
    hogs_end(&dead);
    hand_free(&h);
}

/* Room for blocks in memory: a machine has three quarters of it, whatever its uploads. */
static void test_room__of_one_machine__leaves_a_quarter(void **state)
{
    struct gw_room room = {.max = 1000};
    struct bdr_cancel stop = {0};

    (void)state;
    pthread_mutex_init(&room.lock, NULL);
    pthread_cond_init(&room.changed, NULL);
    bdr_cancel_set(&stop); /* nobody waits */
    for (int i = 0; i < 7; i++)
        assert_true(gw_room_take(&room, "a", 100, &stop));
    assert_false(gw_room_take(&room, "a", 100, &stop));
    assert_true(gw_room_take(&room, "b", 300, &stop));
    assert_false(gw_room_take(&room, "c", 100, &stop));
    gw_room_give(&room, "a", 100);
    assert_true(gw_room_take(&room, "c", 100, &stop));
    gw_room_give(&room, "b", 300);
    for (int i = 0; i < 6; i++)
        gw_room_give(&room, "a", 100);
    gw_room_give(&room, "c", 100);
    assert_true(gw_room_take(&room, "a", 5000, &stop)); /* one that is larger than all has it alone */
    gw_room_give(&room, "a", 5000);
    assert_null(room.shares);
    assert_int_equal(room.used, 0);
    pthread_cond_destroy(&room.changed);
    pthread_mutex_destroy(&room.lock);
}

#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_machine__all_threads_by_slow_bodies__others_go_on),
        T(test_upload__after_a_cut__pushes_out_its_own_dead_ones),
        T(test_session__begun_again__ends_the_uploads_of_the_one_before),
        cmocka_unit_test(test_room__of_one_machine__leaves_a_quarter),
    };

    return cmocka_run_group_tests_name("gateway-greed", tests, NULL, NULL);
}
