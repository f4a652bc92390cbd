/* SPDX-License-Identifier: Apache-2.0 */
/* test_rules.c - the manual's rules: bind, unbind, delete, deregister, settings, forms; and enrolment. */
#include "bdr/pool.h"
#include "jobs/jobs.h"
#include "rules/machine.h"
#include "rules/platform.h"
#include "site.h"
#include <stdatomic.h>

#define NOW SITE_NOW

enum { BIND, UNBIND, REMOVE_PROXY, REMOVE_PLATFORM, DEREGISTER, FORCE };

struct act {
    int what;
    int64_t a, b;
};

static struct bdr_err *act(struct bdr_tx *tx, void *ctx)
{
    const struct act *a = ctx;

    switch (a->what) {
    case BIND:
        return bdr_proxy_bind(tx, a->a, a->b, NOW);
    case UNBIND:
        return bdr_proxy_unbind(tx, a->a, a->b);
    case REMOVE_PROXY:
        return bdr_proxy_remove(tx, a->a, NOW);
    case REMOVE_PLATFORM:
        return bdr_platform_remove(tx, a->a);
    default:
        return bdr_host_deregister(tx, a->a, a->what == FORCE, "alice", NOW);
    }
}
static struct bdr_err *do_act(struct bed *b, int what, int64_t one, int64_t two)
{
    struct act a = {what, one, two};

    return bdr_db_run(b->db, BDR_TX_LOCK, act, &a);
}
#define DO1(what, one)      do_act(b, what, one, 0)
#define DO2(what, one, two) do_act(b, what, one, two)

static struct bdr_job_lease claim_now(struct bed *b, int64_t worker)
{
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;

    check_ok(bdr_job_claim(b->db, worker, NOW, 0, &job));
    return job ? (struct bdr_job_lease){job->id, worker, job->fence} : (struct bdr_job_lease){0};
}

static void test_rules__unbind_and_delete__wait_for_jobs_and_bindings(void **state)
{
    BED_OF(state, b);
    int64_t platform = site_platform(b, "p"), other = site_platform(b, "q"), one = site_proxy(b, "one"),
            two = site_proxy(b, "two");
    struct bdr_job_lease l;
    enum bdr_job_state s;

    check_ok(DO2(BIND, one, platform));
    check_ok(DO2(BIND, one, other));
    check_ok(DO2(BIND, two, platform));
    check_fails(DO2(BIND, two, platform), BDR_EXISTS, "binding");
    check_fails(DO2(BIND, two, 999), BDR_NOTFOUND, "999");
    check_fails(DO2(BIND, 999, platform), BDR_NOTFOUND, "999");
    site_job(b, platform, 0, 1);
    site_job(b, platform, 0, 1);
    l = claim_now(b, one);
    assert_true(l.job_id > 0);
    check_fails(DO2(UNBIND, one, platform), BDR_CONFLICT, "1 jobs");
    check_ok(DO2(UNBIND, one, other)); /* nothing runs for that one */
    check_fails(DO2(UNBIND, one, other), BDR_NOTFOUND, "not bound");
    check_ok(DO2(UNBIND, two, platform));
    check_ok(bdr_job_worker_says(b->db, &l, BDR_JOB_ON_FINISH, NULL, NOW, &s));
    check_fails(DO2(UNBIND, one, platform), BDR_CONFLICT, "last"); /* the second job waits for somebody */
    l = claim_now(b, one);
    check_ok(bdr_job_worker_says(b->db, &l, BDR_JOB_ON_FINISH, NULL, NOW, &s));
    check_fails(DO1(REMOVE_PROXY, one), BDR_CONFLICT, "p first");
    check_fails(DO1(REMOVE_PLATFORM, platform), BDR_CONFLICT, "one first");
    check_ok(DO2(UNBIND, one, platform));
    check_ok(DO1(REMOVE_PROXY, one));
    check_fails(DO1(REMOVE_PROXY, one), BDR_NOTFOUND, "");
    check_ok(DO1(REMOVE_PLATFORM, platform)); /* finished jobs stay, as history */
    check_fails(DO1(REMOVE_PLATFORM, platform), BDR_NOTFOUND, "");
}

static void protect(struct bed *b, int64_t host)
{
    struct bdr_tx *tx = NULL;
    int64_t changed = 0;

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_host_protect(tx, &(struct bdr_in_host_protect){.id = host, .next_ms = BDR_SOME(NOW)}, &changed));
    assert_int_equal(changed, 1);
    check_ok(bdr_tx_commit(tx));
}

static void test_rules__deregistration__is_refused_while_protected_unless_forced(void **state)
{
    BED_OF(state, b);
    int64_t platform = site_platform(b, "p"), proxy = site_proxy(b, "one"), host = site_host(b, platform, "vm-1"),
            waiting, running;
    BDR_AUTO(mem) struct bdr_row_job *job = NULL, *held = NULL;
    BDR_AUTO(mem) struct bdr_row_host *row = NULL;
    struct bdr_tx *tx = NULL;

    check_ok(DO2(BIND, proxy, platform));
    protect(b, host);
    check_fails(DO1(DEREGISTER, host), BDR_CONFLICT, "protected");
    running = site_job(b, platform, host, 1);
    assert_int_equal(claim_now(b, proxy).job_id, running);
    waiting = site_job(b, platform, host, 1);
    check_ok(DO1(FORCE, host));
    job = site_job_get(b, waiting);
    assert_string_equal(job->state, "cancelled");
    held = site_job_get(b, running);
    assert_string_equal(held->state, "cancelling");
    check_ok(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_host_get(tx, host, &row));
    bdr_tx_abandon(tx);
    assert_string_equal(row->state, "seen");
    assert_false(row->next_ms.set);
    check_fails(DO1(DEREGISTER, host), BDR_CONFLICT, "not registered");
    check_fails(DO1(REMOVE_PLATFORM, platform), BDR_CONFLICT, "bound");
    check_fails(DO1(DEREGISTER, 777), BDR_NOTFOUND, "777");
}

static void test_rules__settings__have_the_manuals_defaults_and_advice(void **state)
{
    BED_OF(state, b);
    int64_t proxy = site_proxy(b, "one");
    BDR_AUTO(mem) struct bdr_row_proxy_get *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    bool unwise = true;

    check_ok(bdr_tx_begin(b->db, BDR_TX_LOCK, &tx));
    check_ok(bdr_q_proxy_get(tx, proxy, &row));
    assert_int_equal(row->http_timeout_s, BDR_PROXY_HTTP_TIMEOUT_S);
    assert_int_equal(row->max_disks, BDR_PROXY_DISKS);
    check_ok(bdr_proxy_settings(tx, proxy, 900, 150, &unwise));
    assert_false(unwise);
    check_ok(bdr_proxy_settings(tx, proxy, 900, 151, &unwise));
    assert_true(unwise);
    check_fails(bdr_proxy_settings(tx, proxy, 0, 50, &unwise), BDR_INVAL, "timeout");
    check_fails(bdr_proxy_settings(tx, proxy, 600, 0, &unwise), BDR_INVAL, "disks");
    check_fails(bdr_proxy_settings(tx, 999, 600, 50, &unwise), BDR_NOTFOUND, "999");
}

static void test_rules__forms__take_defaults_and_name_what_is_missing(void **state)
{
    struct bdr_in_platform_add p = {
        .kind = "openstack", .endpoint = "http://192.168.10.201:5000/v3", .username = "u", .now_ms = NOW};
    struct bdr_in_ceph_add c = {.monitors = "10.0.0.201,10.0.0.202", .cephx = true};
    char name[96];

    (void)state;
    check_ok(bdr_platform_fill(&p, name));
    assert_string_equal(p.region, "RegionOne");
    assert_string_equal(p.user_domain, "default");
    assert_string_equal(p.project, "admin");
    assert_string_equal(p.name, "openstack-192.168.10.201-20270115-080000");
    p = (struct bdr_in_platform_add){.kind = "aws", .username = "AKIA", .region = "ap-southeast-1", .now_ms = NOW};
    check_ok(bdr_platform_fill(&p, name));
    assert_string_equal(p.name, "aws-ap-southeast-1-20270115-080000");
    p = (struct bdr_in_platform_add){.kind = "vmware", .endpoint = "vc.example", .username = "u"};
    check_fails(bdr_platform_fill(&p, name), BDR_INVAL, "https://");
    p = (struct bdr_in_platform_add){.kind = "vmware", .endpoint = "https://vc.example"};
    check_fails(bdr_platform_fill(&p, name), BDR_INVAL, "username");
    p = (struct bdr_in_platform_add){.kind = "vmware", .endpoint = "https://vc", .username = "u", .region = "r"};
    check_fails(bdr_platform_fill(&p, name), BDR_INVAL, "no region");
    p = (struct bdr_in_platform_add){.kind = "xen"};
    check_fails(bdr_platform_fill(&p, name), BDR_INVAL, "xen");
    p = (struct bdr_in_platform_add){.kind = "oracle", .username = "ocid1.user", .tenancy = "t", .region = "r"};
    check_fails(bdr_platform_fill(&p, name), BDR_INVAL, "key_print");
    check_ok(bdr_ceph_fill(&c));
    assert_string_equal(c.pool, "volumes");
    assert_string_equal(c.username, "cinder");
    assert_string_equal(c.diff, "rbd_diff");
    c.diff = "guess";
    check_fails(bdr_ceph_fill(&c), BDR_INVAL, "guess");
    c = (struct bdr_in_ceph_add){.monitors = "10.0.0.1, 10.0.0.2"};
    check_fails(bdr_ceph_fill(&c), BDR_INVAL, "commas");
}

struct join {
    struct bed *b;
    const char *token;
    atomic_int in;
};

static struct bdr_err *join(struct bdr_tx *tx, void *ctx)
{
    return bdr_enrol(tx, ctx, &(int64_t){0}, NULL);
}

static struct bdr_err *join_one(void *ctx, unsigned index)
{
    struct join *j = ctx;
    char uuid[24], serial[24];
    uint8_t print[32] = {(uint8_t)index};
    struct bdr_enrol e = {j->token, "agent",     uuid, "web1",     "192.0.2.5", "Debian 12", "0.1",
                          serial,   {print, 32}, NOW,  NOW + 1000, NULL,        NULL};
    struct bdr_err *err;

    snprintf(uuid, sizeof(uuid), "u%u", index);
    snprintf(serial, sizeof(serial), "%u", index);
    err = bdr_db_run(j->b->db, BDR_TX_LOCK, join, &e);
    atomic_fetch_add(&j->in, !err);
    if (err && err->code == BDR_DENIED)
        bdr_err_drop(BDR_STEAL(err), "another one was quicker");
    return err;
}

static void test_enrol__a_token__lets_one_machine_in_until_it_is_deregistered(void **state)
{
    BED_OF(state, b);
    BDR_AUTO(mem) struct bdr_row_machine *who = NULL, *later = NULL, *gone = NULL;
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    struct join j = {.b = b};
    struct bdr_pool *pool = NULL;
    struct bdr_tx *tx = NULL;
    char token[BDR_TOKEN_CHARS], stale[BDR_TOKEN_CHARS];
    uint8_t print[32] = {0};

    check_ok(bdr_tx_begin(b->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_enrol_token(tx, "agent", "", (struct bdr_opt_i64){0}, NOW, NOW + 1, token));
    check_ok(bdr_enrol_token(tx, "agent", "", (struct bdr_opt_i64){0}, NOW - 5, NOW, stale));
    check_fails(bdr_enrol_token(tx, "toaster", "", (struct bdr_opt_i64){0}, NOW, NOW + 1, stale), BDR_INVAL, "toaster");
    check_ok(bdr_tx_commit(tx));
    j.token = stale;
    check_ok(join_one(&j, 0));
    j.token = "bdre_nonsense";
    check_ok(join_one(&j, 0));
    assert_int_equal(atomic_load(&j.in), 0);
    j.token = token;
    check_ok(bdr_pool_start("join", 5, join_one, &j, NULL, &pool));
    check_ok(bdr_pool_join(pool));
    assert_int_equal(atomic_load(&j.in), 1);

    check_ok(bdr_tx_begin(b->db, BDR_TX_LOCK, &tx));
    for (int i = 0; i < 5 && !who; i++) {
        print[0] = (uint8_t)i;
        check_ok(bdr_q_certificate_who(tx, (struct bdr_blob){print, 32}, NOW, &who));
    }
    assert_non_null(who);
    check_ok(bdr_q_certificate_who(tx, (struct bdr_blob){print, 32}, NOW + 1000, &later));
    assert_null(later); /* expired */
    check_ok(bdr_q_host_by_machine(tx, who->id, &host));
    assert_string_equal(host->state, "registered");
    check_ok(bdr_host_deregister(tx, host->id, false, "alice", NOW));
    check_ok(bdr_q_certificate_who(tx, (struct bdr_blob){print, 32}, NOW, &gone));
    assert_null(gone);
    check_ok(bdr_tx_commit(tx));
}

struct race {
    struct bed *b;
    int64_t proxy, platform;
    atomic_int claimed, unbound;
};

static struct bdr_err *race_one(void *ctx, unsigned index)
{
    struct race *r = ctx;
    struct bdr_err *err;

    if (index) {
        BDR_AUTO(mem) struct bdr_row_job *job = NULL;

        BDR_TRY(bdr_job_claim(r->b->db, r->proxy, NOW, 0, &job));
        atomic_fetch_add(&r->claimed, job != NULL);
        return NULL;
    }
    err = do_act(r->b, UNBIND, r->proxy, r->platform);
    atomic_fetch_add(&r->unbound, !err);
    if (err && err->code == BDR_CONFLICT)
        bdr_err_drop(BDR_STEAL(err), "the claim was quicker");
    return err;
}

static void test_rules__unbind_and_claim_at_once__never_both(void **state)
{
    BED_OF(state, b);
    struct race r = {.b = b};

    for (int i = 0; i < 15; i++) {
        struct bdr_pool *pool = NULL;
        char name[16];

        snprintf(name, sizeof(name), "r%d", i);
        r.platform = site_platform(b, name);
        r.proxy = site_proxy(b, name);
        atomic_store(&r.claimed, 0);
        atomic_store(&r.unbound, 0);
        /* a second proxy: the rule about the last one shall not decide */
        snprintf(name, sizeof(name), "s%d", i);
        site_bind(b, site_proxy(b, name), r.platform);
        site_bind(b, r.proxy, r.platform);
        site_job(b, r.platform, 0, 1);
        check_ok(bdr_pool_start("race", 3, race_one, &r, NULL, &pool));
        check_ok(bdr_pool_join(pool));
        assert_int_equal(atomic_load(&r.claimed) + atomic_load(&r.unbound), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BED(test_rules__unbind_and_delete__wait_for_jobs_and_bindings),
        BED(test_rules__deregistration__is_refused_while_protected_unless_forced),
        BED(test_rules__settings__have_the_manuals_defaults_and_advice),
        cmocka_unit_test(test_rules__forms__take_defaults_and_name_what_is_missing),
        BED(test_enrol__a_token__lets_one_machine_in_until_it_is_deregistered),
        BED(test_rules__unbind_and_claim_at_once__never_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
