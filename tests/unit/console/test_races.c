/* SPDX-License-Identifier: Apache-2.0 */
/* test_races.c - one enrolment token in many hands at the same moment, over real connections. */
#include "bdr/cancel.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "bdr/sync.h"
#include "fleet.h"
#include "rules/machine.h"
#include <pthread.h>
#include <stdatomic.h>

#define HANDS 50
/* Everybody is let go at the same moment, and what each got is kept. */
struct race {
    struct rig *r;
    char token[64], csr[2][2048];
    size_t n_csr;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t go;
    unsigned ready, wanted;
    int64_t enrolment;
    atomic_uint joined, refused, slowed, other, deleted, kept;
    char uuid[40];
};

static void race_wait(struct race *race)
{
    pthread_mutex_lock(&race->lock);
    race->ready++;
    pthread_cond_broadcast(&race->go);
    while (race->ready < race->wanted)
        bdr_cond_wait_slice(&race->go, &race->lock);
    pthread_mutex_unlock(&race->lock);
}

static void race_enrol(struct race *race, unsigned index)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_enrol_out got;
    const struct bdr_enrol_in in = {
        .token = race->token, .kind = BDR_MACHINE_AGENT, .name = "web1", .csr = race->csr[index % race->n_csr]};
    struct bdr_err *err = bdr_arena_new(&arena);

    race_wait(race);
    if (!err)
        err = bdr_http_json(race->r->anyone,
                            &(struct bdr_http_json){.method = "POST",
                                                    .path = "/v1/enrol",
                                                    .in_shape = &bdr_enrol_in_shape,
                                                    .out_shape = &bdr_enrol_out_shape,
                                                    .in = &in},
                            arena, &got);
    if (!err) {
        atomic_fetch_add(&race->joined, 1);
        pthread_mutex_lock(&race->lock);
        snprintf(race->uuid, sizeof(race->uuid), "%s", got.machine);
        pthread_mutex_unlock(&race->lock);
    } else {
        char text[512];

        /* BUSY: a 503 of a database that wrote nothing for a second, which a busy machine may have */
        bool slowed = err->code == BDR_THROTTLED || err->code == BDR_BUSY;

        if (err->code != BDR_DENIED && !slowed)
            print_error("%s\n", bdr_err_text(err, text, sizeof(text)));
        atomic_fetch_add(err->code == BDR_DENIED ? &race->refused : slowed ? &race->slowed : &race->other, 1);
    }
    bdr_err_free(err);
}

static struct bdr_err *race_main(void *ctx, unsigned index)
{
    race_enrol(ctx, index);
    return NULL;
}

static void race_free(struct race *race)
{
    pthread_mutex_destroy(&race->lock);
    pthread_cond_destroy(&race->go);
}

static void race_new(struct race *race, struct rig *r, size_t n_csr, unsigned wanted)
{
    *race = (struct race){.r = r, .n_csr = n_csr, .wanted = wanted};
    pthread_mutex_init(&race->lock, NULL);
    pthread_cond_init(&race->go, NULL);
    for (size_t i = 0; i < n_csr; i++) {
        BDR_AUTO(key) struct bdr_key *key = NULL;
        BDR_AUTO(mem) char *csr = NULL;

        check_ok(bdr_key_new(&key));
        check_ok(bdr_key_csr(key, "web1", &csr));
        snprintf(race->csr[i], sizeof(race->csr[i]), "%s", csr);
    }
}

static size_t machines(struct rig *r)
{
    BDR_AUTO(mem) struct bdr_row_machine *m = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = fleet_read(r);
    size_t n = 0;

    check_ok(bdr_q_machine_list(tx, "", 0, 1000, &m, &n));
    return n;
}

static size_t hosts(struct rig *r)
{
    json_t *v = rig_want(r, r->viewer, 200, "GET", "/v1/hosts?limit=500", NULL);
    size_t n = json_array_size(json_object_get(v, "items"));

    json_decref(v);
    return n;
}

static void test_token__fifty_hands_at_once__one_joins(void **state)
{
    struct race race;
    struct bdr_pool *pool = NULL;
    json_t *v;

    RIG_OF(state, r);
    race_new(&race, r, 2, HANDS);
    fleet_token(r, "agent", race.token);
    check_ok(bdr_pool_start("hand", HANDS, race_main, &race, NULL, &pool));
    check_ok(bdr_pool_join(pool));
    assert_int_equal(atomic_load(&race.joined), 1);
    assert_int_equal(atomic_load(&race.other), 0);
    assert_int_equal(atomic_load(&race.refused) + atomic_load(&race.slowed), HANDS - 1);
    /* nothing is left of the others: no machine, no host, no certificate that the CA would believe */
    assert_int_equal(machines(r), 1);
    assert_int_equal(hosts(r), 1);
    v = rig_want(r, r->admin, 200, "GET", "/v1/certificates", NULL);
    assert_int_equal(json_array_size(json_object_get(v, "items")), 1);
    assert_string_equal(rig_at(v, "/items/0/uuid"), race.uuid);
    json_decref(v);
    race_free(&race);
}

static struct bdr_err *take_back_main(void *ctx, unsigned index)
{
    struct race *race = ctx;
    char path[64];
    unsigned status = 0;

    if (index) {
        race_enrol(race, 0);
        return NULL;
    }
    snprintf(path, sizeof(path), "/v1/enrolments/%lld", (long long)race->enrolment);
    race_wait(race);
    json_decref(rig_call(race->r, race->r->admin, "DELETE", path, NULL, &status));
    atomic_fetch_add(status == 204 ? &race->deleted : status == 404 || status == 409 ? &race->kept : &race->other, 1);
    return NULL;
}

/* Whoever was first: never a machine that joined with a token of which a person was told that it is gone. */
static void test_token__taken_back_while_it_is_used__one_of_the_two(void **state)
{
    size_t joined = 0;

    RIG_OF(state, r);
    for (int round = 0; round < 12; round++) {
        struct race race;
        struct bdr_pool *pool = NULL;
        json_t *v = rig_want(r, r->admin, 201, "POST", "/v1/enrolments", "{\"kind\":\"agent\"}");

        race_new(&race, r, 1, 2);
        race.enrolment = rig_int(v, "/id");
        snprintf(race.token, sizeof(race.token), "%s", rig_at(v, "/token"));
        json_decref(v);
        check_ok(bdr_pool_start("hand", 2, take_back_main, &race, NULL, &pool));
        check_ok(bdr_pool_join(pool));
        assert_int_equal(atomic_load(&race.other), 0);
        assert_int_equal(atomic_load(&race.joined) + atomic_load(&race.deleted), 1);
        joined += atomic_load(&race.joined);
        assert_int_equal(machines(r), joined);
        race_free(&race);
    }
}

/* It was good when the request came, and is not any more when it is used. */
static void test_token__expires_in_the_middle__joins_nobody(void **state)
{
    const int64_t now = bdr_clock_wall_ms();
    const uint8_t print[32] = {1};
    struct bdr_enrol e = {.kind = "agent",
                          .name = "late",
                          .addr = "192.0.2.1",
                          .os = "",
                          .version = "",
                          .uuid = "00112233445566778899aabbccddeeff",
                          .serial = "01",
                          .sha256 = {print, sizeof(print)},
                          .now_ms = now + 1000,
                          .expires_ms = now + 100000};
    struct bdr_tx *tx = NULL;
    int64_t machine, host;
    char token[64];

    RIG_OF(state, r);
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_LOCK, &tx));
    check_ok(bdr_enrol_token(tx, "agent", "", (struct bdr_opt_i64){0}, now, now + 1000, token));
    check_ok(bdr_tx_commit(tx));
    e.token = token;
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_LOCK, &tx));
    check_fails(bdr_enrol(tx, &e, &machine, &host), BDR_DENIED, "expired");
    bdr_tx_abandon(tx);
    assert_int_equal(machines(r), 0);
    e.now_ms = now + 999;
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_LOCK, &tx));
    check_ok(bdr_enrol(tx, &e, &machine, &host));
    check_ok(bdr_tx_commit(tx));
}

/* The same key twice, each with a token of its own: two machines, and ending one ends only that one. */
static void test_enrol__one_request_twice__is_two_machines(void **state)
{
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    struct fleet_machine m[2] = {0};
    struct bdr_enrol_out got[2];
    char token[64], path[64];
    bool first;
    json_t *v;

    RIG_OF(state, r);
    check_ok(bdr_key_new(&key));
    check_ok(bdr_key_csr(key, "web1", &csr));
    for (int i = 0; i < 2; i++) {
        fleet_token(r, "agent", token);
        check_ok(
            fleet_json(r, NULL, "POST", "/v1/enrol", &bdr_enrol_in_shape,
                       &(struct bdr_enrol_in){.token = token, .kind = BDR_MACHINE_AGENT, .name = "web1", .csr = csr},
                       &bdr_enrol_out_shape, &got[i]));
        snprintf(m[i].key, sizeof(m[i].key), "%s/twice.key", r->bed->dir);
        snprintf(m[i].cert, sizeof(m[i].cert), "%s/twice%d.crt", r->bed->dir, i);
        check_ok(bdr_os_replace_file(m[i].cert, got[i].certificate, strlen(got[i].certificate), 0600, false));
    }
    check_ok(bdr_key_save(key, m[0].key));
    assert_string_not_equal(got[0].machine, got[1].machine);
    assert_true(got[0].host != got[1].host);
    for (int i = 0; i < 2; i++) {
        m[i].client = fleet_client(r, m[i].key, m[i].cert);
        json_decref(fleet_want(r, &m[i], 200, "POST", "/v1/machine/beat", "{}"));
    }
    v = rig_want(r, r->admin, 200, "GET", "/v1/certificates", NULL);
    first = !strcmp(rig_at(v, "/items/0/uuid"), got[0].machine);
    assert_string_equal(rig_at(v, first ? "/items/0/uuid" : "/items/1/uuid"), got[0].machine);
    snprintf(path, sizeof(path), "/v1/certificates/%s/revoke",
             rig_at(v, first ? "/items/0/machine" : "/items/1/machine"));
    json_decref(v);
    json_decref(rig_want(r, r->admin, 204, "POST", path, NULL));
    json_decref(fleet_want(r, &m[1], 200, "POST", "/v1/machine/beat", "{}"));
    check_fails(
        fleet_json(r, &m[0], "POST", "/v1/machine/beat", &bdr_beat_in_shape, &(struct bdr_beat_in){0}, NULL, NULL),
        BDR_AUTH, "");
    fleet_leave(&m[0]);
    fleet_leave(&m[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_token__fifty_hands_at_once__one_joins),
        RIG(test_token__taken_back_while_it_is_used__one_of_the_two),
        RIG(test_token__expires_in_the_middle__joins_nobody),
        RIG(test_enrol__one_request_twice__is_two_machines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
