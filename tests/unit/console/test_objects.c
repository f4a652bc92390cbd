/* SPDX-License-Identifier: Apache-2.0 */
/* test_objects.c - the operator's nouns: hosts, policies, repositories, jobs, points and recoveries, and their rules. */
#include "rig.h"
#include "api/objects.h"
#include "site.h"

/* A host of an agent, registered, with two disks of which the second cannot be protected. */
static int64_t agent_host(struct rig *r)
{
    struct bdr_tx *tx = NULL;
    int64_t machine = 0, host = 0, disk = 0;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_machine_add(
        tx, &(struct bdr_in_machine_add){"agent-1", "agent", "web1", "192.0.2.7", "Debian 12", "0.1", 1000}, &machine));
    check_ok(bdr_q_host_of_agent(
        tx, &(struct bdr_in_host_of_agent){BDR_SOME(machine), "web1", "192.0.2.7", "Debian 12", 1000}, &host));
    check_ok(bdr_q_disk_seen(tx, &(struct bdr_in_disk_seen){host, "live:/dev/sda", "sda", 0, 1 << 30, ""}, &disk));
    check_ok(
        bdr_q_disk_seen(tx, &(struct bdr_in_disk_seen){host, "live:/dev/sdb", "sdb", 1, 1 << 30, "removable"}, &disk));
    check_ok(bdr_tx_commit(tx));
    return host;
}

static int64_t gateway(struct rig *r)
{
    struct bdr_tx *tx = NULL;
    int64_t machine = 0;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_machine_add(
        tx, &(struct bdr_in_machine_add){"gateway-1", "gateway", "gw1", "192.0.2.9", "Debian 12", "0.1", 1000}, &machine));
    check_ok(bdr_q_gateway_put(tx, machine, "gw1:443", ""));
    check_ok(bdr_tx_commit(tx));
    return machine;
}

/* Sends `body` and gives the id of what was made. */
static int64_t made(struct rig *r, const char *path, const char *body)
{
    json_t *v = rig_want(r, r->admin, 201, "POST", path, body);
    int64_t id = rig_int(v, "/id");

    json_decref(v);
    return id;
}

static json_t *getf(struct rig *r, const char *fmt, int64_t id)
{
    char path[128];

    snprintf(path, sizeof(path), fmt, (long long)id); /* NOLINT: formats of this file */
    return rig_want(r, r->viewer, 200, "GET", path, NULL);
}

/* METHOD path-with-an-id as the operator; `part` has to be in what is said. */
static void refused(struct rig *r, unsigned status, const char *method, const char *path, const char *body,
                    const char *part)
{
    json_t *v = rig_want(r, r->admin, status, method, path, body);

    if (!strstr(rig_at(v, "/detail"), part))
        print_error("%s %s says '%s', without '%s'\n", method, path, rig_at(v, "/detail"), part);
    assert_non_null(strstr(rig_at(v, "/detail"), part));
    json_decref(v);
}

static void done(struct rig *r, unsigned status, const char *method, const char *path, const char *body)
{
    json_decref(rig_want(r, r->operator_, status, method, path, body));
}

static int64_t audited(struct rig *r, const char *action)
{
    BDR_AUTO(mem) struct bdr_row_audit *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    int64_t found = 0;
    size_t n = 0;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_audit_list(tx, INT64_MAX, "", 500, &row, &n));
    for (size_t i = 0; i < n; i++) {
        found += !strcmp(row[i].action, action);
        assert_null(row[i].after ? strstr(row[i].after, "s3cret") : NULL);
    }
    return found;
}

#define POLICY(name) "{\"name\":\"" name "\",\"interval_ms\":3600000,\"retention\":\"daily=7\"}"
#define FOLDER(name) "{\"name\":\"" name "\",\"url\":\"/srv/" name "\"}"

static void test_policy__wrong_texts__are_told_at_their_fields(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    refused(r, 422, "POST", "/v1/policies", "{\"name\":\"p\",\"cron\":\"61 * * * *\"}", "minute");
    refused(r, 422, "POST", "/v1/policies", "{\"name\":\"p\",\"interval_ms\":1000}", "less than a minute");
    refused(r, 422, "POST", "/v1/policies", "{\"name\":\"p\"}", "never runs");
    refused(r, 422, "POST", "/v1/policies", "{\"name\":\"p\",\"interval_ms\":60000,\"zone\":\"Mars/Base\"}", "Mars");
    refused(r, 422, "POST", "/v1/policies", "{\"name\":\"p\",\"interval_ms\":60000,\"windows\":\"often\"}", "often");
    refused(r, 422, "POST", "/v1/policies", "{\"name\":\"p\",\"interval_ms\":60000,\"bandwidth\":\"much\"}", "much");
    refused(r, 422, "POST", "/v1/policies", "{\"name\":\"p\",\"interval_ms\":60000,\"retention\":\"all=1\"}", "all");
    refused(r, 422, "POST", "/v1/policies", "{\"name\":\"p\",\"interval_ms\":60000,\"compression\":\"zip\"}", "compression");
    v = rig_want(r, r->viewer, 200, "GET", "/v1/policies", NULL);
    assert_string_equal(rig_at(v, "/items/0/name"), "");
    json_decref(v);
}

static void test_policy__life__is_audited(void **state)
{
    char path[64];
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    id = made(r, "/v1/policies", POLICY("hourly"));
    refused(r, 409, "POST", "/v1/policies", POLICY("hourly"), "already");
    json_decref(rig_want(r, r->operator_, 403, "POST", "/v1/policies", POLICY("x")));
    snprintf(path, sizeof(path), "/v1/policies/%lld", (long long)id);
    v = rig_want(r, r->admin, 200, "PATCH", path, "{\"cron\":\"30 2 * * *\",\"zone\":\"Asia/Shanghai\",\"encrypt\":false}");
    assert_string_equal(rig_at(v, "/cron"), "30 2 * * *");
    assert_string_equal(rig_at(v, "/encrypt"), "false");
    assert_int_equal(rig_int(v, "/interval_ms"), 3600000);
    assert_string_equal(rig_at(v, "/retention"), "daily=7");
    json_decref(v);
    refused(r, 422, "PATCH", path, "{\"cron\":\"nonsense\"}", "nonsense");
    refused(r, 404, "PATCH", "/v1/policies/999", "{\"cron\":\"\"}", "999");
    v = getf(r, "/v1/policies/%lld/runs", id);
    assert_string_not_equal(rig_at(v, "/runs/4"), "");
    assert_true(strcmp(rig_at(v, "/runs/0"), rig_at(v, "/runs/1")) < 0);
    json_decref(v);
    json_decref(rig_want(r, r->admin, 204, "DELETE", path, NULL));
    json_decref(rig_want(r, r->admin, 404, "GET", path, NULL));
    assert_int_equal(audited(r, "policy.add"), 1);
    assert_int_equal(audited(r, "policy.update"), 1);
    assert_int_equal(audited(r, "policy.delete"), 1);
}

static void test_policy__preview__gives_five_runs_in_the_windows(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    v = rig_want(r, r->viewer, 200, "POST", "/v1/policies/preview",
                 "{\"name\":\"x\",\"cron\":\"0 2 * * *\",\"zone\":\"Asia/Shanghai\",\"bandwidth\":\"* 00:00-24:00 10M\"}");
    for (int i = 0; i < 5; i++) {
        char at[16];

        snprintf(at, sizeof(at), "/runs/%d", i);
        assert_non_null(strstr(rig_at(v, at), "T18:00:00")); /* two in the morning there */
    }
    assert_int_equal(rig_int(v, "/bandwidth_bps"), 10 << 20);
    json_decref(v);
}

static void test_policy__rpo_shorter_than_the_interval__is_refused(void **state)
{
    static const char *const paths[] = {"/v1/policies", "/v1/policies/preview"};

    RIG_OF(state, r);
    for (size_t i = 0; i < BDR_COUNT(paths); i++)
        json_decref(rig_want(r, r->admin, 422, "POST", paths[i],
                             "{\"name\":\"x\",\"interval_ms\":3600000,\"rpo_ms\":20000}"));
    json_decref(rig_want(r, r->admin, 200, "POST", "/v1/policies/preview",
                         "{\"name\":\"x\",\"interval_ms\":3600000,\"rpo_ms\":3600000}"));
}

static void test_repository__secrets__go_in_and_never_come_out(void **state)
{
    BDR_AUTO(mem) struct bdr_row_sealed_get *sealed = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    char path[64], *text;
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    refused(r, 422, "POST", "/v1/repositories", "{\"name\":\"b\",\"url\":\"s3://bucket/x\"}", "s3_key");
    refused(r, 422, "POST", "/v1/repositories", "{\"name\":\"b\",\"url\":\"/srv/x\",\"s3_key\":\"AK\"}", "folder");
    refused(r, 422, "POST", "/v1/repositories", "{\"name\":\"b\",\"url\":\"ftp://x\"}", "url");
    id = made(r, "/v1/repositories",
              "{\"name\":\"bucket\",\"url\":\"s3://bucket/x\",\"s3_key\":\"AK\",\"s3_secret\":\"s3cret\"}");
    snprintf(path, sizeof(path), "/v1/repositories/%lld", (long long)id);
    v = rig_want(r, r->admin, 200, "GET", path, NULL);
    text = json_dumps(v, 0);
    assert_null(strstr(text, "s3cret"));
    assert_null(strstr(text, "passphrase"));
    free(text);
    assert_string_equal(rig_at(v, "/s3_secret_set"), "true");
    assert_string_equal(rig_at(v, "/encrypted"), "true");
    json_decref(v);
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_sealed_get(tx, "repository", id, "passphrase", &sealed));
    assert_non_null(sealed);
    json_decref(rig_want(r, r->admin, 200, "PATCH", path, "{\"name\":\"bucket2\",\"s3_secret\":\"\"}"));
    refused(r, 409, "PATCH", path, "{\"url\":\"s3://other/x\"}", "stay");
    refused(r, 409, "POST", "/v1/repositories", FOLDER("bucket2"), "already");
    refused(r, 400, "POST", "/v1/repositories", "{\"name\":\"g\",\"url\":\"/srv/g\",\"gateway\":77}", "no gateway 77");
    assert_int_equal(audited(r, "repository.add"), 1);
}

static void test_repository__bucket__how_it_is_reached_stays_and_changes(void **state)
{
    BDR_AUTO(mem) char *body = NULL;
    const char *pem;
    char path[64];
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    refused(r, 422, "POST", "/v1/repositories",
            "{\"name\":\"b\",\"url\":\"s3://bucket/y\",\"s3_key\":\"AK\",\"s3_secret\":\"s3cret\",\"s3_ca\":\"no\"}", "PEM");
    refused(r, 422, "POST", "/v1/repositories", "{\"name\":\"b\",\"url\":\"/srv/y\",\"s3_region\":\"eu-1\"}", "folder");
    pem = bdr_ca_pem(r->console->ca);
    v = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "name", "b", "url", "s3://bucket/y", "s3_key", "AK", "s3_secret", "s3cret",
                  "s3_region", "eu-1", "s3_addressing", "path", "s3_ca", pem);
    body = json_dumps(v, 0);
    json_decref(v);
    id = made(r, "/v1/repositories", body);
    snprintf(path, sizeof(path), "/v1/repositories/%lld", (long long)id);
    v = rig_want(r, r->admin, 200, "PATCH", path, "{\"name\":\"c\"}");
    assert_string_equal(rig_at(v, "/s3_region"), "eu-1");
    assert_string_equal(rig_at(v, "/s3_addressing"), "path");
    assert_string_equal(rig_at(v, "/s3_ca"), pem);
    json_decref(v);
    v = rig_want(r, r->admin, 200, "PATCH", path, "{\"s3_ca\":\"\",\"s3_addressing\":\"usual\"}");
    assert_string_equal(rig_at(v, "/s3_region"), "eu-1");
    assert_string_equal(rig_at(v, "/s3_addressing"), "usual");
    assert_string_equal(rig_at(v, "/s3_ca"), "");
    json_decref(v);
}

/* A protected host of an agent with its policy and repository. */
struct site {
    int64_t host, gateway, policy, repository;
};
static struct site protected_site(struct rig *r)
{
    struct site s = {agent_host(r), gateway(r), made(r, "/v1/policies", POLICY("hourly")), 0};
    char path[64], body[128];

    snprintf(body, sizeof(body), "{\"name\":\"main\",\"url\":\"/srv/main\",\"gateway\":%lld}", (long long)s.gateway);
    s.repository = made(r, "/v1/repositories", body);
    snprintf(path, sizeof(path), "/v1/hosts/%lld/protection", (long long)s.host);
    snprintf(body, sizeof(body), "{\"policy\":%lld,\"repository\":%lld,\"excluded\":[2]}", (long long)s.policy,
             (long long)s.repository);
    done(r, 200, "PUT", path, body);
    return s;
}

static void test_host__protection__obeys_its_rules(void **state)
{
    int64_t host, policy, plain, full;
    char path[64], body[160];
    json_t *v;

    RIG_OF(state, r);
    host = agent_host(r);
    policy = made(r, "/v1/policies", POLICY("hourly"));
    plain = made(r, "/v1/repositories", "{\"name\":\"plain\",\"url\":\"/srv/plain\",\"encrypted\":false}");
    full = made(r, "/v1/repositories", FOLDER("sealed"));
    snprintf(path, sizeof(path), "/v1/hosts/%lld/protection", (long long)host);
#define BODY(p, rep, more)                                                                                             \
    (snprintf(body, sizeof(body), "{\"policy\":%lld,\"repository\":%lld%s}", (long long)(p), (long long)(rep), more), body)
    refused(r, 400, "PUT", path, BODY(99, full, ""), "no policy 99");
    refused(r, 400, "PUT", path, BODY(policy, 99, ""), "no repository 99");
    refused(r, 409, "PUT", path, BODY(policy, plain, ""), "not encrypted");
    refused(r, 409, "PUT", path, BODY(policy, full, ""), "sdb cannot be protected");
    refused(r, 409, "PUT", path, BODY(policy, full, ",\"excluded\":[1,2]"), "at least one");
    refused(r, 400, "PUT", path, BODY(policy, full, ",\"excluded\":[2,7]"), "not the host's");
    json_decref(rig_want(r, r->viewer, 403, "PUT", path, BODY(policy, full, ",\"excluded\":[2]")));
    done(r, 200, "PUT", path, BODY(policy, full, ",\"excluded\":[2]"));
    v = getf(r, "/v1/hosts/%lld", host);
    assert_string_equal(rig_at(v, "/state"), "protected");
    assert_string_equal(rig_at(v, "/disks/1/excluded"), "true");
    assert_string_equal(rig_at(v, "/policy_name"), "hourly");
    assert_string_equal(rig_at(v, "/rpo_state"), "missed"); /* since 1970 */
    assert_string_not_equal(rig_at(v, "/next_run"), "");
    json_decref(v);
    refused(r, 409, "DELETE", "/v1/repositories/2", NULL, "1 hosts");
    refused(r, 409, "DELETE", "/v1/policies/1", NULL, "1 hosts");
    refused(r, 409, "PATCH", "/v1/hosts/1/disks/1", "{\"excluded\":true}", "at least one");
    refused(r, 409, "PATCH", "/v1/hosts/1/disks/2", "{\"excluded\":false}", "cannot be protected");
    refused(r, 404, "PATCH", "/v1/hosts/1/disks/9", "{\"excluded\":false}", "no disk 9");
    assert_int_equal(audited(r, "host.protect"), 1);
}

static void test_host__list__is_filtered_by_the_server(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    protected_site(r);
    site_host(r->bed, site_platform(r->bed, "vc"), "vm-100%");
    static const struct {
        const char *query;
        const char *first;
    } rows[] = {{"?state=protected", "web1"}, {"?state=registered", "vm-100%"}, {"?state=seen", ""},
                {"?name=EB1", "web1"},        {"?name=192.0.2.7", "web1"},      {"?name=100%25", "vm-100%"},
                {"?name=0_25", ""},           {"?rpo=missed", "web1"},          {"?rpo=kept", ""},
                {"?policy=1", "web1"},        {"?platform=1", "vm-100%"},       {"?repository=1", "web1"}};
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        char path[64];

        snprintf(path, sizeof(path), "/v1/hosts%s", rows[i].query);
        v = rig_want(r, r->viewer, 200, "GET", path, NULL);
        if (strcmp(rig_at(v, "/items/0/name"), rows[i].first) != 0)
            print_error("%s\n", rows[i].query);
        assert_string_equal(rig_at(v, "/items/0/name"), rows[i].first);
        json_decref(v);
    }
    v = rig_want(r, r->viewer, 200, "GET", "/v1/hosts?limit=1", NULL);
    assert_string_equal(rig_at(v, "/next"), "1");
    json_decref(v);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/hosts?limit=1&cursor=1", NULL);
    assert_string_equal(rig_at(v, "/items/0/name"), "vm-100%");
    assert_string_equal(rig_at(v, "/next"), "");
    json_decref(v);
    json_decref(rig_want(r, r->viewer, 422, "GET", "/v1/hosts?state=wild", NULL));
    json_decref(rig_want(r, r->viewer, 422, "GET", "/v1/hosts?nonsense=1", NULL));
}

/* The names of all pages, one host a page: "a b c". */
static void host_order(struct rig *r, const char *sort, char out[128])
{
    char path[96], cursor[24] = "";

    out[0] = 0;
    do {
        json_t *v;

        snprintf(path, sizeof(path), "/v1/hosts?limit=1&sort=%s%s%s", sort, *cursor ? "&cursor=" : "", cursor);
        v = rig_want(r, r->viewer, 200, "GET", path, NULL);
        snprintf(out + strlen(out), 128 - strlen(out), "%s%s", *out ? " " : "", rig_at(v, "/items/0/name"));
        snprintf(cursor, sizeof(cursor), "%s", rig_at(v, "/next"));
        json_decref(v);
    } while (*cursor);
}

static void test_host__list__is_sorted_by_the_server(void **state)
{
    static const char *const names[] = {"mail", "app", "mail", "db"};
    static const int64_t points[] = {5000, 0, 2000, 9000};
    int64_t platform;
    char got[128], sql[96];

    RIG_OF(state, r);
    platform = site_platform(r->bed, "vc");
    for (size_t i = 0; i < BDR_COUNT(names); i++) {
        snprintf(got, sizeof(got), "ref-%zu", i);
        snprintf(sql, sizeof(sql), "UPDATE host SET name = '%s', last_point_ms = %lld WHERE id = %lld", names[i],
                 (long long)points[i], (long long)site_host(r->bed, platform, got));
        check_ok(bed_sql(r->bed, sql));
    }
    host_order(r, "added", got);
    assert_string_equal(got, "mail app mail db");
    host_order(r, "name", got);
    assert_string_equal(got, "app db mail mail");
    host_order(r, "point", got);
    assert_string_equal(got, "app mail mail db");
    json_decref(rig_want(r, r->viewer, 422, "GET", "/v1/hosts?sort=wild", NULL));
}

static void test_host__sync_now__makes_one_job_at_a_time(void **state)
{
    struct site s;
    int64_t job;
    char path[64];
    json_t *v;

    RIG_OF(state, r);
    s = protected_site(r);
    (void)s;
    v = rig_want(r, r->operator_, 202, "POST", "/v1/hosts/1/sync", "{\"full\":true}");
    job = rig_int(v, "/id");
    assert_string_equal(rig_at(v, "/kind"), "sync");
    assert_string_equal(rig_at(v, "/state"), "ready");
    assert_string_equal(rig_at(v, "/origin"), "rig-operator");
    assert_string_equal(rig_at(v, "/params/full"), "true");
    assert_int_equal(rig_int(v, "/disks"), 1);
    json_decref(v);
    refused(r, 409, "POST", "/v1/hosts/1/sync", "{}", "already");
    refused(r, 409, "DELETE", "/v1/hosts/1/protection", NULL, "has not ended");
    v = rig_want(r, r->viewer, 200, "GET", "/v1/hosts/1", NULL);
    assert_int_equal(rig_int(v, "/job"), job);
    json_decref(v);
    snprintf(path, sizeof(path), "/v1/jobs/%lld/pause", (long long)job);
    done(r, 200, "POST", path, NULL);
    refused(r, 409, "POST", path, NULL, "paused");
    snprintf(path, sizeof(path), "/v1/jobs/%lld/resume", (long long)job);
    done(r, 200, "POST", path, NULL);
    snprintf(path, sizeof(path), "/v1/jobs/%lld/cancel", (long long)job);
    json_decref(rig_want(r, r->viewer, 403, "POST", path, NULL));
    v = rig_want(r, r->operator_, 200, "POST", path, NULL);
    assert_string_equal(rig_at(v, "/state"), "cancelled");
    json_decref(v);
    v = getf(r, "/v1/jobs/%lld/log", job);
    assert_string_equal(rig_at(v, "/items/2/event"), "cancel");
    assert_string_equal(rig_at(v, "/items/2/actor"), "rig-operator");
    json_decref(v);
    done(r, 200, "DELETE", "/v1/hosts/1/protection", NULL);
    assert_int_equal(audited(r, "job.cancel"), 1);
}

static void test_job__list__filters_and_tells_progress(void **state)
{
    struct bdr_row_job *claimed = NULL;
    enum bdr_job_state now;
    json_t *v;

    RIG_OF(state, r);
    protected_site(r);
    done(r, 202, "POST", "/v1/hosts/1/sync", "{}");
    check_ok(bdr_job_claim(r->bed->db, 1, bdr_clock_wall_ms(), 0, &claimed));
    assert_non_null(claimed);
    check_ok(bdr_job_beat(r->bed->db, &(struct bdr_job_lease){claimed->id, 1, claimed->fence},
                          &(struct bdr_job_progress){1, 250, 1000, 10}, bdr_clock_wall_ms() + 1000, 0, &now));
    free(claimed);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/jobs?active=true&kind=sync&host=1", NULL);
    assert_int_equal(rig_int(v, "/items/0/progress_pct"), 25);
    assert_string_equal(rig_at(v, "/items/0/worker_name"), "web1");
    assert_true(rig_int(v, "/items/0/rate_bps") > 0);
    assert_true(rig_int(v, "/items/0/eta_ms") > 0);
    json_decref(v);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/jobs?state=done", NULL);
    assert_string_equal(rig_at(v, "/items/0/kind"), "");
    json_decref(v);
    v = rig_want(r, r->operator_, 200, "POST", "/v1/jobs/1/cancel", NULL);
    assert_string_equal(rig_at(v, "/state"), "cancelling");
    json_decref(v);
}

static void test_host__deregister__ends_the_agents_access(void **state)
{
    BDR_AUTO(mem) struct bdr_row_machine *m = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    RIG_OF(state, r);
    protected_site(r);
    json_decref(rig_want(r, r->operator_, 403, "DELETE", "/v1/hosts/1", NULL));
    refused(r, 409, "DELETE", "/v1/hosts/1", NULL, "force it");
    json_decref(rig_want(r, r->admin, 204, "DELETE", "/v1/hosts/1?forced=true", NULL));
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_machine_get(tx, 1, &m));
    assert_true(m->revoked_ms > 0);
    refused(r, 409, "DELETE", "/v1/hosts/1", NULL, "not registered");
    refused(r, 404, "DELETE", "/v1/hosts/99", NULL, "99");
}

static void test_host__seen_on_a_platform__is_registered_first(void **state)
{
    int64_t platform;

    RIG_OF(state, r);
    platform = site_platform(r->bed, "vc");
    site_host(r->bed, platform, "vm-1");
    check_ok(bed_sql(r->bed, "UPDATE host SET state = 'seen'"));
    refused(r, 409, "POST", "/v1/hosts/1/sync", "{}", "protect it first");
    done(r, 200, "POST", "/v1/hosts/1/register", NULL);
    refused(r, 409, "POST", "/v1/hosts/1/register", NULL, "registered");
    refused(r, 409, "POST", "/v1/hosts/1/pause", NULL, "not protected");
}

static void point_add(struct rig *r, int64_t host, int64_t repository, const char *ref, int64_t taken_ms)
{
    struct bdr_tx *tx = NULL;
    int64_t id = 0;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_point_add(
        tx, &(struct bdr_in_point_add){host, repository, ref, taken_ms, "full", "crash", 1 << 30, 1 << 20, 1 << 10}, &id));
    check_ok(bdr_tx_commit(tx));
}

static void test_point__held_ones__are_not_removed(void **state)
{
    struct site s;
    json_t *v;

    RIG_OF(state, r);
    s = protected_site(r);
    point_add(r, s.host, s.repository, "p-old", 1000000);
    point_add(r, s.host, s.repository, "p-new", 2000000);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/points?host=1&limit=1", NULL);
    assert_string_equal(rig_at(v, "/items/0/ref"), "p-new");
    assert_string_equal(rig_at(v, "/next"), "2000000.2");
    json_decref(v);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/points?host=1&limit=1&cursor=2000000.2", NULL);
    assert_string_equal(rig_at(v, "/items/0/ref"), "p-old");
    json_decref(v);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/points?to=1970-01-01T00:20:00Z", NULL);
    assert_string_equal(rig_at(v, "/items/0/ref"), "p-old");
    json_decref(v);
    done(r, 200, "PATCH", "/v1/points/1", "{\"held\":true,\"note\":\"before the change\"}");
    refused(r, 409, "DELETE", "/v1/points/1", NULL, "held");
    json_decref(rig_want(r, r->operator_, 403, "DELETE", "/v1/points/2", NULL));
    v = rig_want(r, r->admin, 202, "DELETE", "/v1/points/2", NULL);
    assert_string_equal(rig_at(v, "/kind"), "prune");
    assert_string_equal(rig_at(v, "/params/remove/0"), "p-new");
    json_decref(v);
    v = rig_want(r, r->operator_, 202, "POST", "/v1/points/1/verify", NULL);
    assert_string_equal(rig_at(v, "/kind"), "verify");
    json_decref(v);
}

static void test_recovery__export__becomes_a_job_of_the_gateway(void **state)
{
    struct site s;
    json_t *v;

    RIG_OF(state, r);
    s = protected_site(r);
    refused(r, 409, "POST", "/v1/recoveries", "{\"host\":1,\"path\":\"/srv/out\"}", "no recovery point yet");
    point_add(r, s.host, s.repository, "p-1", 1000000);
    refused(r, 422, "POST", "/v1/recoveries", "{\"host\":1,\"path\":\"/srv/out\",\"kind\":\"drill\"}", "not there yet");
    refused(r, 422, "POST", "/v1/recoveries", "{\"host\":1,\"path\":\"/srv/../etc\"}", "..");
    refused(r, 422, "POST", "/v1/recoveries", "{\"host\":1,\"path\":\"/srv/x\",\"target\":\"device\"}", "/dev/");
    check_ok(bed_sql(r->bed, "UPDATE disk SET excluded = 0"));
    refused(r, 400, "POST", "/v1/recoveries", "{\"host\":1,\"path\":\"/srv/x\"}", "2 disks");
    check_ok(bed_sql(r->bed, "UPDATE disk SET excluded = 1 WHERE id = 2"));
    refused(r, 400, "POST", "/v1/recoveries", "{\"host\":1,\"path\":\"/srv/x\",\"point\":9}", "no recovery point 9");
    json_decref(rig_want(r, r->viewer, 403, "POST", "/v1/recoveries", "{\"host\":1,\"path\":\"/srv/x\"}"));
    v = rig_want(r, r->operator_, 201, "POST", "/v1/recoveries", "{\"host\":1,\"path\":\"/srv/x\",\"format\":\"qcow2\"}");
    assert_string_equal(rig_at(v, "/state"), "planned");
    assert_int_equal(rig_int(v, "/point"), 1);
    json_decref(v);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/jobs/1", NULL);
    assert_string_equal(rig_at(v, "/kind"), "recover");
    assert_string_equal(rig_at(v, "/params/point"), "p-1");
    assert_string_equal(rig_at(v, "/params/format"), "qcow2");
    json_decref(v);
    v = rig_want(r, r->operator_, 200, "POST", "/v1/recoveries/1/cancel", NULL);
    assert_string_equal(rig_at(v, "/state"), "failed");
    json_decref(v);
    refused(r, 409, "POST", "/v1/recoveries/1/cancel", NULL, "failed");
}

static size_t held_of(struct rig *r, int64_t repository)
{
    BDR_AUTO(mem) struct bdr_row_care_held *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n = 0;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_care_held(tx, repository, &row, &n));
    return n;
}
static bool key_there(struct rig *r, int64_t share)
{
    BDR_AUTO(mem) struct bdr_row_sealed_get *sealed = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_sealed_get(tx, "recovery", share, "psk", &sealed));
    return sealed != NULL;
}

static void test_share__its_key__is_told_once_and_gone_at_the_end(void **state)
{
    struct site s;
    char key[128], *text;
    json_t *v;

    RIG_OF(state, r);
    s = protected_site(r);
    refused(r, 409, "POST", "/v1/shares", "{\"host\":1}", "no recovery point yet");
    point_add(r, s.host, s.repository, "p-1", 1000000);
    refused(r, 422, "POST", "/v1/shares", "{\"host\":1,\"target\":\"mount\",\"disk\":1}", "all disks");
    refused(r, 422, "POST", "/v1/shares", "{\"host\":1,\"for_s\":1}", "for_s");
    refused(r, 400, "POST", "/v1/recoveries", "{\"host\":1,\"path\":\"/srv/x\",\"target\":\"nbd\"}", "/v1/shares");
    json_decref(rig_want(r, r->viewer, 403, "POST", "/v1/shares", "{\"host\":1}"));
    v = rig_want(r, r->operator_, 201, "POST", "/v1/shares", "{\"host\":1,\"disk\":1}");
    assert_string_equal(rig_at(v, "/state"), "waiting");
    snprintf(key, sizeof(key), "%s", rig_at(v, "/secret"));
    assert_int_equal(strlen(key), strlen("share-1:") + 64);
    json_decref(v);
    for (size_t i = 0; i < 4; i++) {
        static const char *const path[] = {"/v1/shares/1", "/v1/recoveries/1", "/v1/jobs/1", "/v1/audit"};

        v = rig_want(r, r->admin, 200, "GET", path[i], NULL);
        text = json_dumps(v, 0);
        assert_null(strstr(text, key + strlen("share-1:")));
        free(text);
        json_decref(v);
    }
    assert_true(key_there(r, 1));
    assert_int_equal(held_of(r, s.repository), 1); /* retention keeps it meanwhile */
    v = rig_want(r, r->operator_, 200, "POST", "/v1/shares/1/stop", NULL);
    assert_string_equal(rig_at(v, "/state"), "ended");
    json_decref(v);
    assert_false(key_there(r, 1));
    assert_int_equal(held_of(r, s.repository), 0);
    refused(r, 409, "POST", "/v1/shares/1/stop", NULL, "ended");
    /* one whose job ends by itself */
    done(r, 201, "POST", "/v1/shares", "{\"host\":1,\"disk\":1}");
    check_ok(bed_sql(r->bed, "UPDATE job SET state = 'done', started_ms = 2000000, ended_ms = 3000000 WHERE id = 2"));
    check_ok(bdr_recoveries_follow(r->console, 0));
    v = rig_want(r, r->viewer, 200, "GET", "/v1/shares/2", NULL);
    assert_string_equal(rig_at(v, "/state"), "ended");
    json_decref(v);
    assert_false(key_there(r, 2));
    assert_int_equal(held_of(r, s.repository), 0);
}

static void test_recovery__goes_on__as_its_job_does(void **state)
{
    struct bdr_row_job *job = NULL;
    enum bdr_job_state now;
    struct site s;
    json_t *v;

    RIG_OF(state, r);
    s = protected_site(r);
    point_add(r, s.host, s.repository, "p-1", 1000000);
    done(r, 201, "POST", "/v1/recoveries", "{\"host\":1,\"path\":\"/srv/x\",\"disk\":1}");
    check_ok(bdr_job_claim(r->bed->db, s.gateway, bdr_clock_wall_ms() + 60000, 0, &job));
    assert_non_null(job);
    check_ok(bdr_recoveries_follow(r->console, 0));
    v = rig_want(r, r->viewer, 200, "GET", "/v1/recoveries/1", NULL);
    assert_string_equal(rig_at(v, "/state"), "running");
    json_decref(v);
    check_ok(bdr_job_worker_says(r->bed->db, &(struct bdr_job_lease){job->id, s.gateway, job->fence}, BDR_JOB_ON_FINISH,
                                 &(struct bdr_job_outcome){.result = "{\"data_bytes\":5}"}, bdr_clock_wall_ms() + 61000,
                                 &now));
    free(job);
    check_ok(bdr_recoveries_follow(r->console, 0));
    v = rig_want(r, r->viewer, 200, "GET", "/v1/recoveries/1", NULL);
    assert_string_equal(rig_at(v, "/state"), "ended");
    assert_int_equal(rig_int(v, "/report/data_bytes"), 5);
    assert_true(rig_int(v, "/rto_ms") > 0);
    json_decref(v);
}

static void test_gateway__with_repositories__stays(void **state)
{
    struct site s;
    char path[64];
    json_t *v;

    RIG_OF(state, r);
    s = protected_site(r);
    snprintf(path, sizeof(path), "/v1/gateways/%lld", (long long)s.gateway);
    v = rig_want(r, r->admin, 200, "PATCH", path, "{\"iscsi\":\"gw1:3260\"}");
    assert_string_equal(rig_at(v, "/url"), "https://gw1:443");
    assert_string_equal(rig_at(v, "/allowed/0/allowed"), "false");
    json_decref(v);
    refused(r, 422, "PATCH", path, "{\"url\":\"http://gw1\"}", "url");
    refused(r, 409, "DELETE", path, NULL, "owns repositories");
    json_decref(rig_want(r, r->admin, 200, "DELETE", "/v1/hosts/1/protection", NULL));
    check_ok(bed_sql(r->bed, "UPDATE host SET repository_id = NULL"));
    json_decref(rig_want(r, r->admin, 204, "DELETE", "/v1/repositories/1", NULL));
    json_decref(rig_want(r, r->admin, 204, "DELETE", path, NULL));
    json_decref(rig_want(r, r->admin, 404, "GET", path, NULL));
}

static void test_agent__list__names_its_host(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    protected_site(r);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/agents", NULL);
    assert_string_equal(rig_at(v, "/items/0/host_name"), "web1");
    assert_string_equal(rig_at(v, "/items/0/state"), "silent");
    assert_string_equal(rig_at(v, "/items/1/name"), ""); /* the gateway is none */
    json_decref(v);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/machines/2", NULL);
    assert_string_equal(rig_at(v, "/kind"), "gateway");
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_policy__wrong_texts__are_told_at_their_fields),
        RIG(test_policy__life__is_audited),
        RIG(test_policy__preview__gives_five_runs_in_the_windows),
        RIG(test_policy__rpo_shorter_than_the_interval__is_refused),
        RIG(test_repository__secrets__go_in_and_never_come_out),
        RIG(test_repository__bucket__how_it_is_reached_stays_and_changes),
        RIG(test_host__protection__obeys_its_rules),
        RIG(test_host__list__is_filtered_by_the_server),
        RIG(test_host__list__is_sorted_by_the_server),
        RIG(test_host__sync_now__makes_one_job_at_a_time),
        RIG(test_job__list__filters_and_tells_progress),
        RIG(test_host__deregister__ends_the_agents_access),
        RIG(test_host__seen_on_a_platform__is_registered_first),
        RIG(test_point__held_ones__are_not_removed),
        RIG(test_recovery__export__becomes_a_job_of_the_gateway),
        RIG(test_recovery__goes_on__as_its_job_does),
        RIG(test_share__its_key__is_told_once_and_gone_at_the_end),
        RIG(test_gateway__with_repositories__stays),
        RIG(test_agent__list__names_its_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
