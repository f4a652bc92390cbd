/* SPDX-License-Identifier: Apache-2.0 */
/* test_work.c - jobs between the console and its machines: claimed with what they need, kept alive, ended, fenced off.
 */
#include "fleet.h"
#include "jobs/jobs.h"
#include "secret.h"

#define BIG 9007199254740991ull

/* A production site: an agent's host, protected into a repository without a gateway; a proxy and a platform. */
struct work {
    struct rig *r;
    struct fleet_machine agent, proxy, other, gateway;
    int64_t platform, repository, behind, policy, vm, sync, scan;
    char serial[64];
};

static struct bdr_err *put(struct bdr_tx *tx, struct rig *r, const char *owner, int64_t id, const char *field,
                           const char *text)
{
    const struct bdr_seal_place place = {owner, id, field};
    BDR_AUTO(secret) struct bdr_secret s = {0};

    BDR_TRY(bdr_secret_set(&s, text, strlen(text)));
    return bdr_secret_put(tx, r->console->ring, &place, &s, bdr_clock_wall_ms());
}

static struct bdr_err *job_add(struct bdr_tx *tx, const char *kind, bool writes, int64_t host, int64_t platform,
                               int64_t machine, int64_t *out)
{
    int64_t now = bdr_clock_wall_ms();

    return bdr_q_job_add(
        tx,
        &(struct bdr_in_job_add){.kind = kind,
                                 .writes = writes,
                                 .host_id = host ? BDR_SOME(host) : (struct bdr_opt_i64){0},
                                 .platform_id = platform ? BDR_SOME(platform) : (struct bdr_opt_i64){0},
                                 .machine_id = machine ? BDR_SOME(machine) : (struct bdr_opt_i64){0},
                                 .params = "",
                                 .origin = "test",
                                 .disks = 1,
                                 .due_ms = now - 60000,
                                 .max_tries = 3,
                                 .now_ms = now - 60000},
        out);
}

static struct bdr_err *site_make(struct bdr_tx *tx, void *ctx)
{
    struct work *w = ctx;
    int64_t now = bdr_clock_wall_ms(), changed, id;

    BDR_TRY(bdr_q_platform_add(tx,
                               &(struct bdr_in_platform_add){.kind = "vmware",
                                                             .name = "vc1",
                                                             .endpoint = "https://vc.example:443",
                                                             .username = "root",
                                                             .user_domain = "",
                                                             .project = "",
                                                             .project_domain = "",
                                                             .region = "",
                                                             .tenancy = "",
                                                             .key_print = "",
                                                             .cert_print = "",
                                                             .now_ms = now},
                               &w->platform));
    BDR_TRY(put(tx, w->r, "platform", w->platform, "password", "vc-password"));
    BDR_TRY(bdr_q_name_record_add(tx, BDR_SOME(w->platform), "esx1.example", "192.0.2.9", &id));
    BDR_TRY(bdr_q_binding_add(tx, w->proxy.id, w->platform, now));
    BDR_TRY(
        bdr_q_repository_add(tx, &(struct bdr_in_repository_add){"r1", "/backup/r1", {0}, true, now}, &w->repository));
    BDR_TRY(put(tx, w->r, "repository", w->repository, "passphrase", "repo-passphrase"));
    BDR_TRY(bdr_q_repository_add(
        tx, &(struct bdr_in_repository_add){"r2", "s3://b/p", BDR_SOME(w->gateway.id), true, now}, &w->behind));
    BDR_TRY(put(tx, w->r, "repository", w->behind, "passphrase", "gateway-passphrase"));
    BDR_TRY(bdr_q_policy_add(tx,
                             &(struct bdr_in_policy_add){.name = "gold",
                                                         .interval_ms = 3600000,
                                                         .cron = "",
                                                         .zone = "UTC",
                                                         .windows = "",
                                                         .bandwidth = "* 00:00-24:00 1M",
                                                         .retention = "last=3",
                                                         .compression = "lz4",
                                                         .encrypt = true,
                                                         .consistency = "filesystem",
                                                         .rpo_ms = 0,
                                                         .tries = 5,
                                                         .now_ms = now},
                             &w->policy));
    BDR_TRY(bdr_q_host_protect(
        tx, &(struct bdr_in_host_protect){(int64_t)w->agent.host, BDR_SOME(w->policy), BDR_SOME(w->repository), {0}},
        &changed));
    BDR_TRY(bdr_q_disk_seen(
        tx,
        &(struct bdr_in_disk_seen){
            .host_id = (int64_t)w->agent.host, .ref = "live:/dev/sda", .name = "sda", .size_bytes = 1000, .reason = ""},
        &id));
    BDR_TRY(bdr_q_host_seen(
        tx, &(struct bdr_in_host_seen){BDR_SOME(w->platform), "vm-1", "db/one two", "", "", "", now}, &w->vm));
    BDR_TRY(bdr_q_host_state(tx, w->vm, "registered", &changed));
    BDR_TRY(bdr_q_host_protect(tx, &(struct bdr_in_host_protect){w->vm, BDR_SOME(w->policy), BDR_SOME(w->behind), {0}},
                               &changed));
    BDR_TRY(job_add(tx, "sync", true, (int64_t)w->agent.host, 0, w->agent.id, &w->sync));
    return job_add(tx, "scan", false, 0, w->platform, 0, &w->scan);
}

static void work_free(struct work *w)
{
    fleet_leave(&w->agent);
    fleet_leave(&w->proxy);
    fleet_leave(&w->other);
    fleet_leave(&w->gateway);
}

static void work_make(struct rig *r, struct work *w)
{
    *w = (struct work){.r = r};
    fleet_join(r, "agent", "web1", "id-web1", NULL, &w->agent);
    fleet_join(r, "proxy", "p1", NULL, NULL, &w->proxy);
    fleet_join(r, "proxy", "p2", NULL, NULL, &w->other);
    fleet_join(r, "gateway", "gw", NULL, "https://gw1.example:443/", &w->gateway);
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, site_make, w));
}
#define WORK_OF(state, w)                                                                                              \
    __attribute__((cleanup(work_free))) struct work w = {0};                                                           \
    RIG_OF(state, r);                                                                                                  \
    work_make(r, &w)

static struct bdr_job_work *claim(struct work *w, const struct fleet_machine *m, const char *kinds)
{
    struct bdr_claim_out *out = bdr_arena_alloc(w->r->arena, sizeof(*out));
    const struct bdr_claim_in in = {.kinds = kinds};

    assert_non_null(out);
    check_ok(fleet_json(w->r, m, "POST", "/v1/machine/claim", &bdr_claim_in_shape, &in, &bdr_claim_out_shape, out));
    return out->has_job ? &out->job : NULL;
}

static struct bdr_err *beat(struct work *w, const struct fleet_machine *m, uint64_t job, uint64_t fence,
                            const char *checkpoint, struct bdr_job_beat_out *out)
{
    const struct bdr_job_beat_in in = {
        .fence = fence, .done_bytes = 5, .total_bytes = 10, .checkpoint = checkpoint, .step = "reading sda"};
    char path[80];

    snprintf(path, sizeof(path), "/v1/machine/jobs/%llu/beat", (unsigned long long)job);
    return fleet_json(w->r, m, "POST", path, &bdr_job_beat_in_shape, &in, &bdr_job_beat_out_shape, out);
}

static struct bdr_err *end(struct work *w, const struct fleet_machine *m, uint64_t job, uint64_t fence, int how,
                           const char *result, const char **out_state)
{
    struct bdr_job_end_in in = {.fence = fence, .how = how};
    struct bdr_job_end_out got = {0};
    struct bdr_err *err;
    char path[80];

    if (how == BDR_HOW_FAIL || how == BDR_HOW_RETRY) {
        in.error_code = "STALE";
        in.error_text = "the snapshot is gone";
    }
    if (result) {
        in.result = json_loads(result, 0, NULL);
        assert_non_null(in.result);
    }
    snprintf(path, sizeof(path), "/v1/machine/jobs/%llu/end", (unsigned long long)job);
    err = fleet_json(w->r, m, "POST", path, &bdr_job_end_in_shape, &in, &bdr_job_end_out_shape, &got);
    json_decref(in.result);
    *out_state = got.state;
    return err;
}

/* ---- claim ---- */

static void test_claim__a_sync__comes_with_all_it_needs(void **state)
{
    struct bdr_job_work *job;

    WORK_OF(state, w);
    job = claim(&w, &w.agent, NULL);
    assert_non_null(job);
    assert_int_equal(job->id, w.sync);
    assert_string_equal(job->kind, "sync");
    assert_string_equal(job->label, "web1");
    assert_int_equal(job->host, w.agent.host);
    assert_true(job->full); /* the host's first */
    assert_string_equal(job->consistency, "filesystem");
    assert_string_equal(job->store.compress, "lz4");
    assert_string_equal(job->store.url, "/backup/r1");
    assert_string_equal(job->store.passphrase, "repo-passphrase");
    assert_null(job->store.gateway_url);
    assert_int_equal(job->bandwidth_bps, 1 << 20);
    assert_int_equal(job->disks.n, 1);
    assert_string_equal(job->disks.items[0].ref, "live:/dev/sda");
    assert_false(job->has_platform);
    assert_true(job->fence > 0);
    assert_null(claim(&w, &w.agent, NULL)); /* it is taken */
}

static void test_claim__of_a_platform__only_bound_proxies_get_its_password(void **state)
{
    struct bdr_job_work *job;

    WORK_OF(state, w);
    assert_null(claim(&w, &w.other, NULL));
    assert_null(claim(&w, &w.gateway, NULL));
    assert_null(claim(&w, &w.proxy, "sync verify")); /* kinds it can't do stay */
    job = claim(&w, &w.proxy, "sync,scan");
    assert_non_null(job);
    assert_string_equal(job->kind, "scan");
    assert_true(job->has_platform);
    assert_string_equal(job->platform.password, "vc-password");
    assert_string_equal(job->platform.endpoint, "https://vc.example:443");
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(json_object_get(job->platform.more, "names"), 0), "addr")),
        "192.0.2.9");
    assert_false(job->has_store);
}

static struct bdr_err *vm_sync(struct bdr_tx *tx, void *ctx)
{
    struct work *w = ctx;
    int64_t id;

    return job_add(tx, "sync", true, w->vm, w->platform, 0, &id);
}

static void test_claim__behind_a_gateway__no_key_of_the_repository_is_told(void **state)
{
    struct bdr_job_work *job;

    WORK_OF(state, w);
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, vm_sync, &w));
    job = claim(&w, &w.proxy, "sync");
    assert_non_null(job);
    assert_string_equal(job->store.gateway_url, "https://gw1.example:443");
    assert_null(job->store.passphrase);
    assert_null(job->store.url);
    assert_string_equal(job->ref, "vm-1");
    assert_string_equal(job->label, "db-one-two");
    assert_string_equal(job->host_name, "db/one two");
}

static struct bdr_err *no_repository(struct bdr_tx *tx, void *ctx)
{
    struct work *w = ctx;
    int64_t changed;

    return bdr_q_host_protect(tx, &(struct bdr_in_host_protect){(int64_t)w->agent.host, {0}, {0}, {0}}, &changed);
}

static void test_claim__what_cannot_be_done__fails_where_people_look(void **state)
{
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    struct bdr_tx *tx;

    WORK_OF(state, w);
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, no_repository, &w));
    assert_null(claim(&w, &w.agent, NULL));
    tx = fleet_read(r);
    check_ok(bdr_q_job_get(tx, w.sync, &job));
    bdr_tx_abandon(tx);
    assert_string_equal(job->state, "failed");
    assert_non_null(strstr(job->error_text, "has no repository"));
}

/* ---- beat and end ---- */

struct person {
    int64_t job;
    enum bdr_job_event event;
};
static struct bdr_err *person_says(struct bdr_tx *tx, void *ctx)
{
    const struct person *p = ctx;
    enum bdr_job_state now;

    return bdr_job_person_says(tx, p->job, p->event, "test", bdr_clock_wall_ms(), &now);
}

static void test_job__beats_and_ends__once_and_again(void **state)
{
    static const char result[] =
        "{\"point\":\"0123456789abcdef\",\"full\":true,\"consistency\":\"crash\","
        "\"size_bytes\":1000,\"read_bytes\":900,\"stored_bytes\":80,\"trackers\":{\"%lld\":\"t1\","
        "\"999\":\"x\"}}";
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    BDR_AUTO(mem) struct bdr_row_point *point = NULL;
    BDR_AUTO(mem) struct bdr_row_disk *disk = NULL;
    BDR_AUTO(mem) struct bdr_row_job *row = NULL;
    struct bdr_job_beat_out b;
    const struct bdr_job_work *job;
    const char *now = NULL;
    struct bdr_tx *tx;
    char text[400];
    size_t n = 0;

    WORK_OF(state, w);
    job = claim(&w, &w.agent, NULL);
    assert_non_null(job);
    check_ok(beat(&w, &w.agent, job->id, job->fence, "at 5", &b));
    assert_int_equal(b.wanted, BDR_JOB_GO_ON);
    assert_int_equal(b.bandwidth_bps, 1 << 20);
    assert_int_equal(b.lease_s, BDR_JOB_LEASE_MS / 1000);
    tx = fleet_read(r);
    check_ok(bdr_q_job_get(tx, w.sync, &row));
    check_ok(bdr_q_disk_list(tx, (int64_t)w.agent.host, &disk, &n));
    bdr_tx_abandon(tx);
    assert_string_equal(row->checkpoint, "at 5");
    assert_string_equal(row->step, "reading sda");
    assert_int_equal(row->done_bytes, 5);
    snprintf(text, sizeof(text), result, (long long)disk[0].id);

    check_fails(end(&w, &w.agent, job->id, job->fence, BDR_HOW_FINISH, "{\"point\":\"../../x\"}", &now), BDR_INVAL,
                "names its point");
    check_ok(end(&w, &w.agent, job->id, job->fence, BDR_HOW_FINISH, text, &now));
    assert_string_equal(now, "done");
    check_ok(end(&w, &w.agent, job->id, job->fence, BDR_HOW_FINISH, text, &now)); /* the answer was lost */
    assert_string_equal(now, "done");
    check_fails(end(&w, &w.agent, job->id, job->fence, BDR_HOW_FAIL, NULL, &now), BDR_FENCED, "is over");
    check_fails(beat(&w, &w.agent, job->id, job->fence, NULL, &b), BDR_FENCED, "is over");

    free(BDR_STEAL(disk));
    tx = fleet_read(r);
    check_ok(bdr_q_host_get(tx, (int64_t)w.agent.host, &host));
    check_ok(bdr_q_point_list(tx, (int64_t)w.agent.host, INT64_MAX, 10, &point, &n));
    check_ok(bdr_q_disk_list(tx, (int64_t)w.agent.host, &disk, &(size_t){0}));
    bdr_tx_abandon(tx);
    assert_int_equal(n, 1);
    assert_string_equal(point[0].ref, "0123456789abcdef");
    assert_string_equal(point[0].kind, "full");
    assert_int_equal(point[0].disk_bytes, 1000);
    assert_int_equal(host->last_point_ms, point[0].taken_ms);
    assert_false(host->needs_full);
    assert_string_equal(disk[0].tracker, "t1");
}

static void test_job__a_person_wants_it_to_stop__its_worker_hears_of_it(void **state)
{
    const struct bdr_job_work *job;
    struct bdr_job_beat_out b;
    const char *now = NULL;

    WORK_OF(state, w);
    job = claim(&w, &w.agent, NULL);
    check_ok(bdr_db_run(r->bed->db, BDR_TX_LOCK, person_says, &(struct person){w.sync, BDR_JOB_ON_PAUSE}));
    check_ok(beat(&w, &w.agent, job->id, job->fence, NULL, &b));
    assert_int_equal(b.wanted, BDR_JOB_PAUSE);
    check_ok(bdr_db_run(r->bed->db, BDR_TX_LOCK, person_says, &(struct person){w.sync, BDR_JOB_ON_CANCEL}));
    check_ok(beat(&w, &w.agent, job->id, job->fence, NULL, &b));
    assert_int_equal(b.wanted, BDR_JOB_CANCEL);
    check_ok(end(&w, &w.agent, job->id, job->fence, BDR_HOW_STOPPED, NULL, &now));
    assert_string_equal(now, "cancelled");
}

static void test_job__of_somebody_else__is_out_of_reach(void **state)
{
    const struct bdr_job_work *job;
    struct bdr_job_beat_out b;
    const char *now = NULL;

    WORK_OF(state, w);
    job = claim(&w, &w.agent, NULL);
    check_fails(beat(&w, &w.other, job->id, job->fence, NULL, &b), BDR_FENCED, "");
    check_fails(beat(&w, &w.agent, job->id, job->fence + 1, NULL, &b), BDR_FENCED, "");
    check_fails(beat(&w, &w.agent, job->id, job->fence - 1, NULL, &b), BDR_FENCED, "");
    check_fails(beat(&w, &w.agent, 4242, job->fence, NULL, &b), BDR_FENCED, "");
    check_fails(beat(&w, &w.agent, BIG, BIG, NULL, &b), BDR_FENCED, "");
    for (int how = BDR_HOW_FINISH; how <= BDR_HOW_STOPPED; how++) {
        check_fails(end(&w, &w.other, job->id, job->fence, how, NULL, &now), BDR_FENCED, "");
        check_fails(end(&w, &w.agent, job->id, job->fence + 1, how, NULL, &now), BDR_FENCED, "");
    }
    check_fails(end(&w, &w.proxy, (uint64_t)w.scan, 1, BDR_HOW_FINISH, NULL, &now), BDR_FENCED, ""); /* not claimed */
    check_ok(beat(&w, &w.agent, job->id, job->fence, NULL, &b)); /* none of that did anything to it */
}

static void test_job__the_lease_ran_out__its_old_holder_is_fenced_off(void **state)
{
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    const struct bdr_job_work *first, *second;
    struct bdr_job_beat_out b;
    const char *now = NULL;
    struct bdr_tx *tx;
    size_t n = 0;

    WORK_OF(state, w);
    first = claim(&w, &w.agent, NULL);
    check_ok(bed_sql(r->bed, "UPDATE job SET lease_until_ms = 1 WHERE state = 'running';"));
    check_ok(bdr_job_expire(r->bed->db, bdr_clock_wall_ms(), 10, &n));
    assert_int_equal(n, 1);
    check_fails(end(&w, &w.agent, first->id, first->fence, BDR_HOW_FINISH, NULL, &now), BDR_FENCED, "");
    second = claim(&w, &w.agent, NULL);
    assert_non_null(second);
    assert_true(second->fence > first->fence);
    check_fails(beat(&w, &w.agent, first->id, first->fence, NULL, &b), BDR_FENCED, "");
    check_ok(end(&w, &w.agent, second->id, second->fence, BDR_HOW_RETRY, NULL, &now));
    assert_string_equal(now, "ready");
    check_ok(end(&w, &w.agent, second->id, second->fence, BDR_HOW_RETRY, NULL, &now));
    tx = fleet_read(r);
    check_ok(bdr_q_host_get(tx, (int64_t)w.agent.host, &host));
    bdr_tx_abandon(tx);
    assert_true(host->needs_full); /* STALE */
}

/* ---- scans ---- */

static struct bdr_err *seen(struct work *w, const struct fleet_machine *m, int64_t platform, uint64_t job,
                            uint64_t fence, bool complete, const char *ref)
{
    struct bdr_inv_disk disk = {.ref = "disk-1", .name = "Hard disk 1", .size_bytes = 4096};
    struct bdr_seen_host host = {.ref = ref, .name = ref, .power = "on", .reason = "shared disk"};
    struct bdr_seen_hosts in = {.job = job, .fence = fence, .complete = complete};
    char path[80];

    host.disks.items = &disk;
    host.disks.n = 1;
    in.hosts.items = &host;
    in.hosts.n = ref ? 1 : 0;
    snprintf(path, sizeof(path), "/v1/machine/platforms/%lld/hosts", (long long)platform);
    return fleet_json(w->r, m, "PUT", path, &bdr_seen_hosts_shape, &in, NULL, NULL);
}

static void test_scan__its_hosts__come_and_go(void **state)
{
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    BDR_AUTO(mem) struct bdr_row_platform *platform = NULL;
    const struct bdr_job_work *job;
    const char *now = NULL;
    struct bdr_tx *tx;
    size_t n = 0;

    WORK_OF(state, w);
    job = claim(&w, &w.proxy, "scan");
    assert_non_null(job);
    check_fails(seen(&w, &w.other, w.platform, job->id, job->fence, false, "vm-9"), BDR_DENIED, "not bound");
    check_fails(seen(&w, &w.proxy, w.platform, job->id, job->fence + 1, false, "vm-9"), BDR_FENCED, "");
    check_fails(seen(&w, &w.proxy, w.platform + 1, job->id, job->fence, false, "vm-9"), BDR_DENIED, "not bound");
    check_ok(seen(&w, &w.proxy, w.platform, job->id, job->fence, false, "vm-2"));
    check_ok(seen(&w, &w.proxy, w.platform, job->id, job->fence, true, "vm-3"));
    check_ok(end(&w, &w.proxy, job->id, job->fence, BDR_HOW_FINISH, NULL, &now));
    check_fails(seen(&w, &w.proxy, w.platform, job->id, job->fence, true, NULL), BDR_FENCED, "");
    tx = fleet_read(r);
    check_ok(bdr_q_host_list(tx, &(struct bdr_in_host_list){"", w.platform, 0, 10}, &host, &n));
    check_ok(bdr_q_platform_get(tx, w.platform, &platform));
    bdr_tx_abandon(tx);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(host[i].state, !strcmp(host[i].ref, "vm-1") ? "protected" : "seen");
        assert_string_equal(host[i].power, !strcmp(host[i].ref, "vm-1") ? "missing" : "on");
        assert_string_equal(host[i].reason, !strcmp(host[i].ref, "vm-1") ? "" : "shared disk");
    }
    assert_string_equal(platform->status, "ok");
}

/* ---- gateways ---- */

static struct bdr_err *authorise(struct work *w, const struct fleet_machine *gw, const struct fleet_machine *m,
                                 const char *serial, int64_t host, uint64_t fence, struct bdr_authorise_out *out)
{
    const struct bdr_authorise_in in = {.machine = m->uuid, .serial = serial, .host = (uint64_t)host, .fence = fence};

    return fleet_json(w->r, gw, "POST", "/v1/gateway/authorise", &bdr_authorise_in_shape, &in, &bdr_authorise_out_shape,
                      out);
}

static void test_authorise__only_the_holder_of_the_lease__may_write(void **state)
{
    struct bdr_cert_info mine, others;
    struct bdr_authorise_out out;
    const struct bdr_job_work *job;
    FLEET second = {0};

    WORK_OF(state, w);
    fleet_join(r, "gateway", "gw2", NULL, NULL, &second);
    check_ok(bdr_cert_parse_file(w.proxy.cert, &mine));
    check_ok(bdr_cert_parse_file(w.other.cert, &others));
    check_fails(authorise(&w, &w.gateway, &w.proxy, mine.serial, w.vm, 0, &out), BDR_DENIED, "no job");
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, vm_sync, &w));
    job = claim(&w, &w.proxy, "sync");
    assert_non_null(job);
    check_ok(authorise(&w, &w.gateway, &w.proxy, mine.serial, w.vm, job->fence, &out));
    assert_int_equal(out.repository, w.behind);
    assert_string_equal(out.label, "db-one-two");
    assert_int_equal(out.bandwidth_bps, 1 << 20);
    assert_true(out.valid_s > 0);
    check_fails(authorise(&w, &w.gateway, &w.proxy, mine.serial, w.vm, job->fence - 1, &out), BDR_FENCED, "");
    check_fails(authorise(&w, &w.gateway, &w.proxy, mine.serial, w.vm, job->fence + 1, &out), BDR_DENIED, "");
    check_fails(authorise(&w, &w.gateway, &w.proxy, others.serial, w.vm, job->fence, &out), BDR_DENIED, "access");
    check_fails(authorise(&w, &w.gateway, &w.other, others.serial, w.vm, job->fence, &out), BDR_DENIED, "no job");
    check_fails(authorise(&w, &w.gateway, &w.proxy, mine.serial, (int64_t)w.agent.host, job->fence, &out), BDR_DENIED,
                "");
    check_fails(authorise(&w, &second, &w.proxy, mine.serial, w.vm, job->fence, &out), BDR_DENIED, "not for this");
}

static void test_gateway__its_repositories__come_with_keys_and_others_do_not(void **state)
{
    struct bdr_gateway_repos out;
    FLEET second = {0};
    char path[80];

    WORK_OF(state, w);
    fleet_join(r, "gateway", "gw2", NULL, NULL, &second);
    check_ok(fleet_json(r, &w.gateway, "GET", "/v1/gateway/repositories", NULL, NULL, &bdr_gateway_repos_shape, &out));
    assert_int_equal(out.repositories.n, 1);
    assert_string_equal(out.repositories.items[0].passphrase, "gateway-passphrase");
    assert_string_equal(out.repositories.items[0].url, "s3://b/p");
    check_ok(fleet_json(r, &second, "GET", "/v1/gateway/repositories", NULL, NULL, &bdr_gateway_repos_shape, &out));
    assert_int_equal(out.repositories.n, 0);
    snprintf(path, sizeof(path), "/v1/gateway/repositories/%lld/state", (long long)w.behind);
    json_decref(fleet_want(r, &w.gateway, 204, "PUT", path, "{\"state\":\"full\",\"used_bytes\":5,\"free_bytes\":0}"));
    json_decref(fleet_want(r, &second, 404, "PUT", path, "{\"state\":\"ok\"}"));
    json_decref(fleet_want(r, &w.gateway, 422, "PUT", path, "{\"state\":\"fine\"}"));
    snprintf(path, sizeof(path), "/v1/gateway/repositories/%lld/state", (long long)w.repository);
    json_decref(fleet_want(r, &w.gateway, 404, "PUT", path, "{\"state\":\"ok\"}"));
}

/* A prune that was made when nothing was held and the rule was another. */
static struct bdr_err *stale_prune(struct bdr_tx *tx, void *ctx)
{
    struct work *w = ctx;
    int64_t now = bdr_clock_wall_ms(), id;

    return bdr_q_job_add(tx,
                         &(struct bdr_in_job_add){.kind = "prune",
                                                  .machine_id = BDR_SOME(w->gateway.id),
                                                  .repository_id = BDR_SOME(w->behind),
                                                  .params = "{\"rules\":[{\"retention\":\"last=1\",\"hosts\":[1]}],"
                                                            "\"keep\":[]}",
                                                  .origin = "policy",
                                                  .due_ms = now - 60000,
                                                  .max_tries = 3,
                                                  .now_ms = now - 60000},
                         &id);
}

static bool may_remove(struct work *w, const char *ref, const char *retention)
{
    struct bdr_removing_in in = {ref, retention};
    struct bdr_removing_out out = {0};
    char path[80];

    snprintf(path, sizeof(path), "/v1/gateway/repositories/%lld/removing", (long long)w->behind);
    check_ok(fleet_json(w->r, &w->gateway, "POST", path, &bdr_removing_in_shape, &in, &bdr_removing_out_shape, &out));
    return out.may;
}

static void test_prune__holds_and_rules__are_those_of_now(void **state)
{
    const struct bdr_job_work *job;
    char path[80];

    WORK_OF(state, w);
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, stale_prune, &w));
    check_ok(bed_sql(r->bed, "INSERT INTO point (host_id, repository_id, ref, taken_ms, kind, consistency, disk_bytes, held) "
                             "SELECT id, repository_id, 'p1', 1, 'full', 'crash', 1, 0 FROM host WHERE ref = 'vm-1'"));
    check_ok(bed_sql(r->bed, "INSERT INTO point (host_id, repository_id, ref, taken_ms, kind, consistency, disk_bytes, held) "
                             "SELECT id, repository_id, 'p2', 2, 'full', 'crash', 1, 0 FROM host WHERE ref = 'vm-1'"));
    json_decref(rig_want(r, r->operator_, 200, "PATCH", "/v1/points/1", "{\"held\":true}"));
    job = claim(&w, &w.gateway, "prune");
    assert_non_null(job);
    assert_string_equal(rig_at(job->params, "/rules/0/retention"), "last=3");
    assert_int_equal(rig_int(job->params, "/rules/0/hosts/0"), w.vm);
    assert_string_equal(rig_at(job->params, "/keep/0"), "p1");
    /* while it runs */
    assert_false(may_remove(&w, "p1", "last=3")); /* held */
    assert_false(may_remove(&w, "p2", "last=1")); /* that was the rule */
    json_decref(rig_want(r, r->operator_, 200, "PATCH", "/v1/points/2", "{\"held\":true}"));
    assert_false(may_remove(&w, "p2", "last=3"));
    assert_false(may_remove(&w, "p2", NULL));
    json_decref(rig_want(r, r->operator_, 200, "PATCH", "/v1/points/2", "{\"held\":false}"));
    assert_true(may_remove(&w, "p2", "last=3"));
    assert_true(may_remove(&w, "p2", "last=3")); /* asked again after a network that broke off */
    assert_true(may_remove(&w, "unheard", "last=3"));
    /* too late, and told so */
    json_decref(rig_want(r, r->operator_, 409, "PATCH", "/v1/points/2", "{\"held\":true}"));
    snprintf(path, sizeof(path), "/v1/gateway/repositories/%lld/removing", (long long)w.repository);
    json_decref(fleet_want(r, &w.gateway, 404, "POST", path, "{\"ref\":\"p1\"}"));
}

/* Makes all jobs ones that wait for room until `due`. */
static void wait_for_room(struct rig *r, int64_t repository, int64_t due)
{
    char text[256];

    snprintf(text, sizeof(text),
             "UPDATE job SET state = 'ready', tries = 3, error_code = 'NOSPACE', repository_id = %lld, due_ms = %lld",
             (long long)repository, (long long)due);
    check_ok(bed_sql(r->bed, text));
}

static int64_t due_of_the_job(struct rig *r)
{
    BDR_AUTO(mem) struct bdr_row_job *job = NULL;
    struct bdr_tx *tx = fleet_read(r);
    size_t n = 0;

    check_ok(bdr_q_job_list(tx, &(struct bdr_in_job_list){"", "sync", INT64_MAX, 10}, &job, &n));
    bdr_tx_abandon(tx);
    assert_true(n > 0);
    return job[0].due_ms;
}

static void test_gateway__has_room_again__those_that_waited_go_on(void **state)
{
    static const struct {
        const char *was, *is;
        bool hurried;
    } rows[] = {{"{\"state\":\"full\",\"used_bytes\":5,\"free_bytes\":0}",
                 "{\"state\":\"ok\",\"used_bytes\":5,\"free_bytes\":70000000}", true},
                {"{\"state\":\"ok\",\"used_bytes\":5,\"free_bytes\":70000000}",
                 "{\"state\":\"ok\",\"used_bytes\":5,\"free_bytes\":70000001}", false},
                {"{\"state\":\"ok\",\"used_bytes\":5,\"free_bytes\":70000000}",
                 "{\"state\":\"ok\",\"used_bytes\":5,\"free_bytes\":700000000}", true}};
    int64_t due = bdr_clock_wall_ms() + 3600000;
    char path[80];

    WORK_OF(state, w);
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, vm_sync, &w));
    snprintf(path, sizeof(path), "/v1/gateway/repositories/%lld/state", (long long)w.behind);
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        json_decref(fleet_want(r, &w.gateway, 204, "PUT", path, rows[i].was));
        wait_for_room(r, w.behind, due);
        json_decref(fleet_want(r, &w.gateway, 204, "PUT", path, rows[i].is));
        assert_int_equal(due_of_the_job(r) < due, rows[i].hurried);
    }
}

static void told(struct work *w, unsigned want, const char *list, bool complete, const char *ref, const char *label)
{
    char path[80], body[400];

    snprintf(path, sizeof(path), "/v1/gateway/repositories/%lld/points", (long long)w->behind);
    snprintf(body, sizeof(body),
             "{\"complete\":%s%s%s%s,\"points\":[{\"ref\":\"%s\",\"label\":\"%s\",\"taken\":\"2026-01-02T03:04:05Z\","
             "\"full\":true,\"stored_bytes\":7}]}",
             complete ? "true" : "false", list ? ",\"list\":\"" : "", list ? list : "", list ? "\"" : "", ref, label);
    json_decref(fleet_want(w->r, &w->gateway, want, "POST", path, body));
}

static size_t points_of(struct work *w, int64_t host)
{
    BDR_AUTO(mem) struct bdr_row_point *point = NULL;
    struct bdr_tx *tx = fleet_read(w->r);
    size_t n = 0;

    check_ok(bdr_q_point_list(tx, host, INT64_MAX, 100, &point, &n));
    bdr_tx_abandon(tx);
    return n;
}

static void test_points__a_whole_list__takes_away_what_it_does_not_name(void **state)
{
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    struct bdr_tx *tx;

    WORK_OF(state, w);
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, vm_sync, &w));
    assert_non_null(claim(&w, &w.proxy, "sync"));  /* gives it its label */
    told(&w, 422, NULL, true, "p1", "db-one-two"); /* of which list? */
    told(&w, 204, NULL, false, "p1", "db-one-two");
    told(&w, 204, NULL, false, "p2", "db-one-two");
    told(&w, 204, NULL, false, "p2", "db-one-two"); /* again: the same */
    told(&w, 204, NULL, false, "x1", "web1");       /* a host of another repository: none of its business */
    told(&w, 204, NULL, false, "x2", "nobody");
    assert_int_equal(points_of(&w, w.vm), 2);
    assert_int_equal(points_of(&w, (int64_t)w.agent.host), 0);
    tx = fleet_read(r);
    check_ok(bdr_q_host_get(tx, w.vm, &host));
    bdr_tx_abandon(tx);
    assert_int_equal(host->last_point_ms, 1767323045000);
    told(&w, 204, "l1", true, "p2", "db-one-two");
    assert_int_equal(points_of(&w, w.vm), 2); /* p1 is younger than the list may be */
    check_ok(bed_sql(r->bed, "UPDATE point SET told_ms = told_ms - 3600000;"));
    told(&w, 204, "l2", false, "p2", "db-one-two");
    assert_int_equal(points_of(&w, w.vm), 2); /* not the last part yet */
    told(&w, 204, "l2", true, "p3", "db-one-two");
    assert_int_equal(points_of(&w, w.vm), 2);       /* p2, p3 */
    told(&w, 204, NULL, false, "p1", "db-one-two"); /* it is there after all */
    assert_int_equal(points_of(&w, w.vm), 3);
    check_ok(bed_sql(r->bed, "UPDATE point SET state = 'removed', list = '' WHERE ref = 'p1';"));
    told(&w, 204, NULL, false, "p1", "db-one-two"); /* a person removed it: it stays away */
    assert_int_equal(points_of(&w, w.vm), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_claim__a_sync__comes_with_all_it_needs),
        RIG(test_claim__of_a_platform__only_bound_proxies_get_its_password),
        RIG(test_claim__behind_a_gateway__no_key_of_the_repository_is_told),
        RIG(test_claim__what_cannot_be_done__fails_where_people_look),
        RIG(test_job__beats_and_ends__once_and_again),
        RIG(test_job__a_person_wants_it_to_stop__its_worker_hears_of_it),
        RIG(test_job__of_somebody_else__is_out_of_reach),
        RIG(test_job__the_lease_ran_out__its_old_holder_is_fenced_off),
        RIG(test_scan__its_hosts__come_and_go),
        RIG(test_authorise__only_the_holder_of_the_lease__may_write),
        RIG(test_gateway__its_repositories__come_with_keys_and_others_do_not),
        RIG(test_gateway__has_room_again__those_that_waited_go_on),
        RIG(test_prune__holds_and_rules__are_those_of_now),
        RIG(test_points__a_whole_list__takes_away_what_it_does_not_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
