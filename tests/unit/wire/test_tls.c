/* SPDX-License-Identifier: Apache-2.0 */
/* Who may talk to whom: certificates of every kind, on a real connection. */
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "demo.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DAY_MS 86400000ull

static struct demo *d;

static int setup(void **state)
{
    (void)state;
    d = demo_new();
    demo_machine(d, NULL, "web1", "agent", 0, DAY_MS);
    demo_serve(d, NULL, 0);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    demo_free(d);
    return 0;
}

static struct bdr_err *get(struct bdr_http_client *c, const char *path)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    const struct bdr_http_call call = {.method = "GET", .path = path};

    return bdr_http_call(c, &call, &reply);
}

static void get_fails(struct bdr_http_client *c, const char *path, enum bdr_code code, const char *words)
{
    struct bdr_err *err = get(c, path);
    char text[1024];

    assert_non_null(err);
    bdr_err_text(err, text, sizeof(text));
    if (err->code != code || !strstr(text, words))
        fail_msg("%s: %s", bdr_code_name(err->code), text);
    bdr_err_free(err);
}

static void test_machine__with_its_certificate__is_known(void **state)
{
    static const int listeners[] = {DEMO_OPTIONAL, DEMO_REQUIRED};

    (void)state;
    for (int i = 0; i < 2; i++) {
        BDR_AUTO(http_client) struct bdr_http_client *c = demo_client(d, listeners[i], "web1");
        BDR_AUTO(arena) struct bdr_arena *arena = NULL;

        assert_null(get(c, "/v1/machine/me"));
    }
}

static void test_nobody__optional_works__required_says_why(void **state)
{
    BDR_AUTO(http_client) struct bdr_http_client *optional = demo_client(d, DEMO_OPTIONAL, NULL);
    BDR_AUTO(http_client) struct bdr_http_client *required = demo_client(d, DEMO_REQUIRED, NULL);

    (void)state;
    assert_null(get(optional, "/v1/me"));
    get_fails(optional, "/v1/machine/me", BDR_AUTH, "certificate that enrolment gave");
    get_fails(required, "/v1/ping", BDR_AUTH, "enrol this machine first");
}

static void test_wrong_ca__expired__foreign_role(void **state)
{
    BDR_AUTO(ca) struct bdr_ca *other = NULL;

    (void)state;
    assert_null(bdr_ca_new("Demo CA", 0, &other));
    demo_machine(d, other, "foe", "agent", 0, DAY_MS);
    demo_machine(d, NULL, "old", "agent", 2 * DAY_MS, DAY_MS);
    demo_machine(d, NULL, "gate", "gateway", 0, DAY_MS);
    BDR_AUTO(http_client) struct bdr_http_client *foe = demo_client(d, DEMO_OPTIONAL, "foe");
    BDR_AUTO(http_client) struct bdr_http_client *old = demo_client(d, DEMO_REQUIRED, "old");
    BDR_AUTO(http_client) struct bdr_http_client *gate = demo_client(d, DEMO_REQUIRED, "gate");
    struct bdr_http_stats stats;

    get_fails(foe, "/v1/ping", BDR_AUTH, "another console");
    get_fails(old, "/v1/ping", BDR_AUTH, "has expired");
    get_fails(gate, "/v1/machine/me", BDR_DENIED, "enrolled as gateway");
    bdr_http_stats(d->server, &stats);
    assert_in_range(stats.refused_peers, 2, 6); /* a client that was cut off before it heard why tries again */
    assert_int_equal(stats.requests_total, 1);
}

static bool is_web1(void *ctx, const struct bdr_cert_info *peer)
{
    (void)ctx;
    return !strcmp(peer->machine, "web1");
}

static void test_revoked__at_once__also_on_a_standing_connection(void **state)
{
    BDR_AUTO(http_client) struct bdr_http_client *c = demo_client(d, DEMO_REQUIRED, "web1");
    struct bdr_cert_info info;
    struct bdr_http_stats stats;
    char path[160];

    (void)state;
    assert_null(get(c, "/v1/machine/me"));
    demo_path(d, "web1.crt", path);
    assert_null(bdr_cert_parse_file(path, &info));
    pthread_mutex_lock(&d->lock);
    memcpy(d->revoked, info.serial, sizeof(d->revoked));
    pthread_mutex_unlock(&d->lock);
    get_fails(c, "/v1/machine/me", BDR_AUTH, "was revoked");
    bdr_http_stats(d->server, &stats);
    assert_int_equal(stats.connections_total, 1); /* it was the same connection */
    get_fails(c, "/v1/machine/me", BDR_AUTH, "certificate was revoked");
    bdr_http_stats(d->server, &stats);
    assert_int_equal(stats.connections_total, 2); /* which was then closed; the next one hears the same */
    assert_int_equal(stats.refused_peers, 2);
}

static struct bdr_err *listen_once(void *ctx, unsigned index)
{
    struct bdr_http_client *c = ctx;
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    const struct bdr_http_call call = {.method = "GET", .path = "/v1/slow/60000", .deadline_ms = 50000};

    (void)index;
    return bdr_http_call(c, &call, &reply);
}

static void wait_for_slow(unsigned n)
{
    for (int i = 0; i < 500 && atomic_load(&d->slow_running) != n; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&d->slow_running), n);
}

static void test_cut__breaks_what_runs(void **state)
{
    struct bdr_http_client_config config = {.tries = 1};
    struct bdr_pool *pool = NULL;
    BDR_AUTO(http_client) struct bdr_http_client *c = NULL;
    char base[64], ca[160], key[160], crt[160];
    struct bdr_err *err;

    (void)state;
    snprintf(base, sizeof(base), "https://127.0.0.1:%u", bdr_http_port(d->server, DEMO_REQUIRED));
    demo_path(d, "ca.crt", ca);
    demo_path(d, "web1.key", key);
    demo_path(d, "web1.crt", crt);
    config.base = base;
    config.ca_file = ca;
    config.key_file = key;
    config.cert_file = crt;
    assert_null(bdr_http_client_new(&config, &c));
    assert_null(bdr_pool_start("listen", 1, listen_once, c, NULL, &pool));
    wait_for_slow(1);
    assert_int_equal(bdr_http_cut(d->server, is_web1, NULL), 1);
    err = bdr_pool_join(pool);
    assert_non_null(err);
    assert_int_equal(err->code, BDR_NET);
    bdr_err_free(err);
    wait_for_slow(0); /* its handler saw the token */
}

static void test_fingerprint__trusts_that_ca_and_nothing_else(void **state)
{
    BDR_AUTO(http_client) struct bdr_http_client *c = NULL;
    BDR_AUTO(http_client) struct bdr_http_client *wrong = NULL;
    BDR_AUTO(http_client) struct bdr_http_client *leaf = NULL;
    struct bdr_cert_info info;
    char base[64], text[104], path[160], zero[65];
    struct bdr_http_client_config config = {.base = base, .ca_fingerprint = text};

    (void)state;
    snprintf(base, sizeof(base), "https://localhost:%u", bdr_http_port(d->server, DEMO_TLS));
    bdr_fingerprint_text(bdr_ca_info(d->ca)->fingerprint, text);
    assert_null(bdr_http_client_new(&config, &c));
    assert_null(bdr_http_client_ca_pem(c));
    assert_null(get(c, "/v1/ping"));
    assert_string_equal(bdr_http_client_ca_pem(c), bdr_ca_pem(d->ca));
    memset(zero, '0', 64);
    zero[64] = 0;
    config.ca_fingerprint = zero;
    assert_null(bdr_http_client_new(&config, &wrong));
    get_fails(wrong, "/v1/ping", BDR_AUTH, "not the server we trust");
    demo_path(d, "server.crt", path);
    assert_null(bdr_cert_parse_file(path, &info));
    config.ca_fingerprint = info.fingerprint; /* a leaf's print pins nothing */
    assert_null(bdr_http_client_new(&config, &leaf));
    get_fails(leaf, "/v1/ping", BDR_AUTH, "not the server we trust");
}

static void test_client__other_ca__is_not_believed(void **state)
{
    BDR_AUTO(http_client) struct bdr_http_client *c = NULL;
    BDR_AUTO(ca) struct bdr_ca *other = NULL;
    char base[64], path[160];
    struct bdr_http_client_config config = {.base = base, .ca_file = path};

    (void)state;
    snprintf(base, sizeof(base), "https://localhost:%u", bdr_http_port(d->server, DEMO_TLS));
    assert_null(bdr_ca_new("Demo CA", 0, &other));
    demo_path(d, "other.crt", path);
    assert_null(bdr_os_replace_file(path, bdr_ca_pem(other), strlen(bdr_ca_pem(other)), 0644, false));
    assert_null(bdr_http_client_new(&config, &c));
    get_fails(c, "/v1/ping", BDR_AUTH, "not the server we trust");
    config.ca_file = NULL; /* https without saying whom to trust */
    struct bdr_http_client *none = NULL;
    struct bdr_err *err = bdr_http_client_new(&config, &none);
    assert_int_equal(err->code, BDR_INVAL);
    bdr_err_free(err);
}

static void test_reload__new_connections_get_the_new_certificate(void **state)
{
    BDR_AUTO(http_client) struct bdr_http_client *standing = demo_client(d, DEMO_OPTIONAL, "web1");
    BDR_AUTO(http_client) struct bdr_http_client *fresh = NULL;
    BDR_AUTO(http_client) struct bdr_http_client *by_print = NULL;
    const char *names[] = {"127.0.0.2"};
    const struct bdr_server_spec spec = {.names = names, .n = 1};
    char key[160], crt[160], ca[160], base[64];
    struct bdr_http_client_config config = {.base = base, .ca_file = ca};
    struct bdr_http_stats stats;
    struct bdr_err *err;
    bool renewed = false;

    (void)state;
    assert_null(get(standing, "/v1/ping"));
    demo_path(d, "server.key", key);
    demo_path(d, "server.crt", crt);
    demo_path(d, "ca.crt", ca);
    assert_null(bdr_ca_ensure_server(d->ca, &spec, key, crt, &renewed));
    assert_true(renewed);
    assert_null(bdr_http_reload(d->server));
    assert_null(get(standing, "/v1/ping"));
    bdr_http_stats(d->server, &stats);
    assert_int_equal(stats.connections_total, 1); /* it still stands */
    snprintf(base, sizeof(base), "https://127.0.0.1:%u", bdr_http_port(d->server, DEMO_OPTIONAL));
    assert_null(bdr_http_client_new(&config, &fresh));
    get_fails(fresh, "/v1/ping", BDR_AUTH, "not the server we trust"); /* the new certificate has another name */
    config.ca_file = NULL;
    config.ca_fingerprint = bdr_ca_info(d->ca)->fingerprint; /* a print does not make up for the name */
    assert_null(bdr_http_client_new(&config, &by_print));
    get_fails(by_print, "/v1/ping", BDR_AUTH, "not the server we trust");
    assert_null(bdr_os_replace_file(crt, "garbage", 7, 0644, false));
    err = bdr_http_reload(d->server);
    assert_int_equal(err->code, BDR_INVAL);
    bdr_err_free(err);
    assert_null(get(standing, "/v1/ping"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_machine__with_its_certificate__is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody__optional_works__required_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_ca__expired__foreign_role, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revoked__at_once__also_on_a_standing_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut__breaks_what_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fingerprint__trusts_that_ca_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client__other_ca__is_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reload__new_connections_get_the_new_certificate, setup, teardown),
    };

    return cmocka_run_group_tests_name("wire-tls", tests, NULL, NULL);
}
