/* SPDX-License-Identifier: Apache-2.0 */
/* The console as the authority: leaves, revocation, who is told of points, and a console that is away. */
#include "bed.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/machine_api.h"
#include "bdr/osfile.h"
#include "bdr/route.h"
#include "console.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

/* A console with one repository, one host and a memory. */
struct fake {
    struct bed *b;
    struct bdr_router *router;
    struct bdr_http_server *server;
    uint16_t port;
    struct gw_console *console;
    pthread_mutex_t lock; /* guards all below */
    unsigned asked, told, lists, refuse_told;
    bool refuse_leave;
    char last_ref[64];
    struct bdr_events *ear; /* owned */
};
static struct fake *fake_now;

static struct bdr_err *fake_authorise_run(struct bdr_req *req, const void *in, void *out)
{
    const struct bdr_authorise_in *q = in;
    struct bdr_authorise_out *o = out;
    struct fake *f = fake_now;
    bool refuse;

    pthread_mutex_lock(&f->lock);
    f->asked++;
    refuse = f->refuse_leave;
    pthread_mutex_unlock(&f->lock);
    if (refuse || q->host != 1 || strcmp(q->machine, "m1") != 0)
        BDR_REFUSE(req, BDR_DENIED, "not this one");
    *o = (struct bdr_authorise_out){.repository = 1, .label = "host1", .identity = "cafe", .valid_s = 60};
    return NULL;
}

static struct bdr_err *fake_repositories(struct bdr_req *req, const void *in, void *out)
{
    struct bdr_gateway_repos *o = out;
    struct bdr_gateway_repo *r = bdr_arena_alloc(bdr_req_arena(req), sizeof(*r));

    (void)in;
    BDR_NOMEM_IF_NULL(r);
    *r = (struct bdr_gateway_repo){.id = 1, .name = "r", .url = fake_now->b->e->repo, .passphrase = "correct horse", .create = true};
    o->repositories.items = r;
    o->repositories.n = 1;
    return NULL;
}

static struct bdr_err *fake_points(struct bdr_req *req, const void *in, void *out)
{
    const struct bdr_points_told *t = in;
    struct fake *f = fake_now;
    bool refuse;

    (void)out;
    pthread_mutex_lock(&f->lock);
    refuse = f->refuse_told;
    f->refuse_told -= refuse;
    if (!refuse) {
        f->told += (unsigned)t->points.n;
        f->lists += t->complete;
        if (t->points.n)
            snprintf(f->last_ref, sizeof(f->last_ref), "%s", t->points.items[t->points.n - 1].ref);
    }
    pthread_mutex_unlock(&f->lock);
    if (refuse)
        BDR_REFUSE(req, BDR_INVAL, "not now");
    return NULL;
}

static struct bdr_err *fake_events(struct bdr_req *req, const void *in, void *out)
{
    struct bdr_events *ev = NULL;
    struct fake *f = fake_now;

    (void)in;
    (void)out;
    BDR_TRY(bdr_req_events(req, &ev));
    pthread_mutex_lock(&f->lock);
    bdr_events_close(f->ear);
    f->ear = ev;
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static struct bdr_err *fake_state(struct bdr_req *req, const void *in, void *out)
{
    (void)req;
    (void)in;
    (void)out;
    return NULL;
}

#define ROW .flags = BDR_R_MACHINE, .perm = "x", .roles = "gateway", .help = "x", .help_zh = "x"
static const struct bdr_route rows[] = {
    {.method = BDR_POST, .path = "/v1/gateway/authorise", .in = &bdr_authorise_in_shape, .out = &bdr_authorise_out_shape,
     .run = fake_authorise_run, ROW},
    {.method = BDR_GET, .path = "/v1/gateway/repositories", .out = &bdr_gateway_repos_shape, .run = fake_repositories, ROW},
    {.method = BDR_POST, .path = "/v1/gateway/repositories/{id:u64}/points", .in = &bdr_points_told_shape,
     .run = fake_points, ROW},
    {.method = BDR_PUT, .path = "/v1/gateway/repositories/{id:u64}/state", .in = &bdr_repo_state_shape, .run = fake_state, ROW},
    {.method = BDR_GET, .path = "/v1/machine/events", .run = fake_events, .flags = BDR_R_MACHINE | BDR_R_STREAM_OUT,
     .out_type = "text/event-stream", .perm = "x", .help = "x", .help_zh = "x"},
};

static struct bdr_err *fake_perm(void *ctx, struct bdr_req *req, const struct bdr_route *row, const char *perm)
{
    (void)row;
    (void)perm;
    bdr_req_set_who(req, "gw", ctx);
    return NULL;
}

static void fake_up(struct fake *f)
{
    const struct bdr_http_listener listener = {.port = f->port, .tls = BDR_TLS_REQUIRED,
                                               .cert_file = bed_file(f->b, "server.crt"),
                                               .key_file = bed_file(f->b, "server.key"),
                                               .ca_file = bed_file(f->b, "ca.crt")};
    const struct bdr_http_config config = {.listeners = &listener, .n_listeners = 1, .app = &bdr_router_app,
                                           .app_ctx = f->router};

    engine_ok(bdr_http_start(&config, &f->server));
    f->port = bdr_http_port(f->server, 0);
}

static void fake_down(struct fake *f)
{
    bdr_http_stop(BDR_STEAL(f->server), 100);
    pthread_mutex_lock(&f->lock);
    bdr_events_close(BDR_STEAL(f->ear));
    pthread_mutex_unlock(&f->lock);
}

static struct fake *fake_start(struct bed *b)
{
    static const struct bdr_route_table tables[] = {BDR_ROUTES("x", rows)};
    struct fake *f = calloc(1, sizeof(*f));
    char url[64];

    assert_non_null(f);
    f->b = b;
    fake_now = f;
    pthread_mutex_init(&f->lock, NULL);
    engine_ok(bdr_router_new(&(struct bdr_router_config){.title = "x", .version = "1", .tables = tables, .n_tables = 1,
                                                         .authorise = fake_perm, .ctx = f},
                             &f->router));
    fake_up(f);
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", f->port);
    engine_ok(gw_console_open(&(struct gw_console_config){.url = url, .ca_file = bed_file(b, "ca.crt"),
                                                          .cert_file = bed_file(b, "gw.crt"),
                                                          .key_file = bed_file(b, "gw.key"), .retry_ms = 50},
                              &f->console));
    b->authority = gw_console_authority(f->console);
    b->told = gw_console_told;
    b->told_ctx = f->console;
    bed_up(b); /* the repository is made when it is needed first */
    engine_ok(gw_console_attach(f->console, b->gw));
    return f;
}

static void fake_end(struct fake *f)
{
    gw_console_quiet(f->console);
    bed_down(f->b);
    gw_console_close(f->console);
    if (f->server)
        fake_down(f);
    bdr_router_free(f->router);
    pthread_mutex_destroy(&f->lock);
    free(f);
    fake_now = NULL;
}

static unsigned fake_get(struct fake *f, const unsigned *n)
{
    unsigned v;

    pthread_mutex_lock(&f->lock);
    v = *n;
    pthread_mutex_unlock(&f->lock);
    return v;
}

static void await_at_least(struct fake *f, const unsigned *n, unsigned want)
{
    uint64_t end = bdr_clock_mono_ms() + 20000;

    while (fake_get(f, n) < want) {
        if (bdr_clock_mono_ms() >= end)
            fail_msg("told %u, lists %u, wanted %u", f->told, f->lists, want);
        bdr_err_drop(bdr_cancel_sleep(NULL, 2), "never cancelled");
    }
}

static void test_console__leave__asked_once_for_its_time(void **state)
{
    struct bed *b = *state;
    struct fake *f = fake_start(b);
    char *image = strdup(bed_file(b, "a.img"));
    struct bdr_backup_result r = {0};

    engine_image(image, 2 * MIB, 1);
    r = bed_backup(b, 1, image, NULL);
    bed_same(b, r.point_id, image);
    assert_int_equal(f->asked, 1);
    engine_fails(bed_try(b, 2, image, NULL, &r), BDR_DENIED);
    free(image);
    fake_end(f);
}

static void test_console__points__told_and_all_of_them_after_trouble(void **state)
{
    struct bed *b = *state;
    struct fake *f = fake_start(b);
    char *image = strdup(bed_file(b, "a.img"));
    struct bdr_backup_result r;
    unsigned lists;

    engine_image(image, 2 * MIB, 1);
    await_at_least(f, &f->lists, 1); /* at the start: an empty list */
    r = bed_backup(b, 1, image, NULL);
    await_at_least(f, &f->told, 1);
    assert_string_equal(f->last_ref, r.point_id);
    pthread_mutex_lock(&f->lock);
    f->refuse_told = 1; /* the next one fails: the list follows */
    lists = f->lists;
    pthread_mutex_unlock(&f->lock);
    bed_backup(b, 1, image, NULL);
    await_at_least(f, &f->lists, lists + 1);
    assert_true(fake_get(f, &f->told) >= 3);
    free(image);
    fake_end(f);
}

static void test_console__away__sessions_with_leave_go_on(void **state)
{
    struct bed *b = *state;
    struct fake *f = fake_start(b);
    char *image = strdup(bed_file(b, "a.img"));
    struct bdr_backup_result r = {0};
    struct bdr_sink *sink = bed_sink(b, "m1", 1, 5, 0);
    unsigned told;

    engine_image(image, 2 * MIB, 1);
    engine_ok(bed_backup_to(sink, image, NULL, NULL, NULL, &r));
    await_at_least(f, &f->told, 1);
    fake_down(f);
    engine_scribble(image, 0, MIB, 4);
    engine_ok(bed_backup_to(sink, image, NULL, NULL, NULL, &r)); /* the same fence: its leave is good still */
    bed_same(b, r.point_id, image);
    told = f->told;
    fake_up(f);
    await_at_least(f, &f->told, told + 1); /* it is told of what it missed, one way or the other */
    assert_string_equal(f->last_ref, r.point_id);
    bdr_sink_free(sink);
    free(image);
    fake_end(f);
}

static void test_console__revoked_event__connections_break(void **state)
{
    struct bed *b = *state;
    struct fake *f = fake_start(b);
    char *image = strdup(bed_file(b, "a.img"));
    struct bdr_sink *sink = bed_sink(b, "m1", 1, 5, 0);
    uint64_t end = bdr_clock_mono_ms() + 20000;
    struct bdr_backup_result r = {0};
    bool heard = false;

    engine_image(image, 2 * MIB, 1);
    engine_ok(bed_backup_to(sink, image, NULL, NULL, NULL, &r));
    while (!heard) {
        pthread_mutex_lock(&f->lock);
        heard = f->ear && bdr_events_send(f->ear, "revoked", NULL, "{\"machine\":\"m1\"}");
        pthread_mutex_unlock(&f->lock);
        assert_true(bdr_clock_mono_ms() < end);
        bdr_err_drop(bdr_cancel_sleep(NULL, 5), "never cancelled");
    }
    while (!b->authority.revoked(b->authority.ctx, "m1", "x")) {
        assert_true(bdr_clock_mono_ms() < end);
        bdr_err_drop(bdr_cancel_sleep(NULL, 5), "never cancelled");
    }
    engine_fails(bed_backup_to(sink, image, NULL, NULL, NULL, &r), BDR_AUTH);
    bdr_sink_free(sink);
    free(image);
    fake_end(f);
}

static void test_console__ended_event__that_lease_writes_no_more(void **state)
{
    struct bed *b = *state;
    struct fake *f = fake_start(b);
    char *image = strdup(bed_file(b, "a.img"));
    struct bdr_sink *sink = bed_sink(b, "m1", 1, 5, 0), *later = bed_sink(b, "m1", 1, 6, 0);
    uint64_t end = bdr_clock_mono_ms() + 20000;
    struct bdr_backup_result r = {0};
    bool heard = false;
    unsigned asked;

    engine_image(image, 2 * MIB, 1);
    engine_ok(bed_backup_to(sink, image, NULL, NULL, NULL, &r));
    pthread_mutex_lock(&f->lock);
    f->refuse_leave = true;
    asked = f->asked;
    pthread_mutex_unlock(&f->lock);
    engine_ok(bed_backup_to(sink, image, NULL, NULL, NULL, &r)); /* by the leave that is kept */
    while (!heard) {
        pthread_mutex_lock(&f->lock);
        heard = f->ear && bdr_events_send(f->ear, "ended", NULL, "{\"host\":1,\"fence\":5}");
        pthread_mutex_unlock(&f->lock);
        assert_true(bdr_clock_mono_ms() < end);
        bdr_err_drop(bdr_cancel_sleep(NULL, 5), "never cancelled");
    }
    for (heard = false; !heard;) { /* it was heard once the gateway has to ask */
        struct bdr_err *err = bed_backup_to(sink, image, NULL, NULL, NULL, &r);

        heard = err && err->code == BDR_DENIED;
        bdr_err_drop(err, "looked at");
        assert_true(bdr_clock_mono_ms() < end);
    }
    assert_true(fake_get(f, &f->asked) > asked);
    pthread_mutex_lock(&f->lock);
    f->refuse_leave = false;
    pthread_mutex_unlock(&f->lock);
    engine_ok(bed_backup_to(later, image, NULL, NULL, NULL, &r)); /* the next lease is not meant */
    bdr_sink_free(sink);
    bdr_sink_free(later);
    free(image);
    fake_end(f);
}

static void test_console__repository_gone__is_not_made_anew(void **state)
{
    struct bed *b = *state;
    struct fake *f = fake_start(b);
    char *image = strdup(bed_file(b, "a.img")), *away = strdup(bed_file(b, "away"));
    struct bdr_backup_result r = {0};

    engine_image(image, 2 * MIB, 1);
    r = bed_backup(b, 1, image, NULL); /* it was not there */
    bed_same(b, r.point_id, image);
    gw_console_quiet(f->console);
    bed_down(b);
    assert_int_equal(rename(b->e->repo, away), 0); /* its disk is not mounted */
    bed_up(b);
    engine_fails(bed_try(b, 1, image, NULL, &r), BDR_BUSY);
    assert_int_not_equal(access(b->e->repo, F_OK), 0);
    free(image);
    free(away);
    fake_end(f);
}

#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_console__leave__asked_once_for_its_time),
        T(test_console__points__told_and_all_of_them_after_trouble),
        T(test_console__away__sessions_with_leave_go_on),
        T(test_console__revoked_event__connections_break),
        T(test_console__ended_event__that_lease_writes_no_more),
        T(test_console__repository_gone__is_not_made_anew),
    };

    return cmocka_run_group_tests_name("gateway-console", tests, NULL, NULL);
}
