/* SPDX-License-Identifier: Apache-2.0 */
/* test_metrics.c - /metrics: who may read it, and whether Prometheus can (tests/lab/metrics/check). */
#include "auth/login.h"
#include "bdr/osfile.h"
#include "rig.h"
#include "site.h"
#include "watch/metrics.h"
#include <sys/wait.h>

static void sql(struct rig *r, const char *text)
{
    check_ok(bed_sql(r->bed, text));
}

/* A token of the viewer's with these scopes. */
struct scoped {
    const char *scopes;
    char token[44];
};
static struct bdr_err *scoped_add(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_account *a = NULL;
    struct scoped *s = ctx;
    int64_t id;

    BDR_TRY(bdr_q_account_by_name(tx, "rig-viewer", &a));
    return bdr_api_token_new(tx, a->id, s->scopes, s->scopes, bdr_clock_wall_ms(), 0, s->token, &id);
}

static unsigned status_of(struct rig *r, const char *token)
{
    unsigned status = 0;

    json_decref(rig_call(r, token, "GET", "/metrics", NULL, &status));
    return status;
}

static void test_metrics__readers__need_the_scope_or_this_machine(void **state)
{
    struct scoped right = {.scopes = "metrics:read"}, wrong = {.scopes = "host:read"};

    RIG_OF(state, r);
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, scoped_add, &right));
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, scoped_add, &wrong));
    assert_int_equal(status_of(r, NULL), 401);
    assert_int_equal(status_of(r, "nonsense"), 401);
    assert_int_equal(status_of(r, wrong.token), 403);
    assert_int_equal(status_of(r, right.token), 200);
    assert_int_equal(status_of(r, r->viewer), 200);
    sql(r, "INSERT INTO setting (name, value, changed_ms) VALUES ('metrics.loopback', 'yes', 0)");
    assert_int_equal(status_of(r, NULL), 200);
    sql(r, "UPDATE setting SET value = 'no' WHERE name = 'metrics.loopback'");
    assert_int_equal(status_of(r, NULL), 401);
}

static void test_metrics__the_page__is_what_prometheus_reads(void **state)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    char path[128], command[400];
    int64_t now = bdr_clock_wall_ms(), platform;
    int rc;

    RIG_OF(state, r);
    platform = site_platform(r->bed, "vc");
    site_proxy(r->bed, "p");
    site_host(r->bed, platform, "we\\ird \"name\"\nwith a line");
    site_job(r->bed, platform, 0, 1);
    sql(r, "INSERT INTO policy (name, interval_ms, created_ms, changed_ms) VALUES ('p', 600000, 0, 0)");
    sql(r, "INSERT INTO repository (name, url, encrypted, used_bytes, free_bytes, created_ms) VALUES ('r', '/r', 0, 5, "
           "7, 0)");
    sql(r, "UPDATE host SET state = 'protected', policy_id = 1, repository_id = 1");
    check_ok(bdr_tick_all(r->console, now - 3600000));
    check_ok(bdr_tick_all(r->console, now));
    sql(r, "INSERT INTO channel (kind, name, params, created_ms) VALUES ('syslog', 's', '{}', 0)");
    sql(r, "INSERT INTO notification (channel_id, alarm_id, what, due_ms) SELECT 1, min(id), 'raised', "
           "9000000000000000 FROM alarm");
    check_ok(bdr_metrics_text(r->console, now, &text));
    bdr_buf_u8(&text, 0);
    assert_non_null(strstr((char *)text.data,
                           "bdr_host_rpo_age_seconds{host=\"1\",name=\"we\\\\ird \\\"name\\\"\\nwith a line\"} 36"));
    assert_non_null(strstr((char *)text.data, "bdr_hosts{state=\"protected\"} 1\n"));
    assert_non_null(strstr((char *)text.data, "bdr_repository_free_bytes{repository=\"r\"} 7\n"));
    assert_non_null(strstr((char *)text.data, "# HELP bdr_alarms Alarms that stand.\n# TYPE bdr_alarms gauge\n"));
    snprintf(path, sizeof(path), "%s/metrics", r->bed->dir);
    check_ok(bdr_os_replace_file(path, text.data, text.len - 1, 0600, false));
    snprintf(command, sizeof(command), "%s %s", getenv("BDR_LAB_METRICS"), path);
    rc = system(command); /* banned-ok: a test's own checker */
    if (WEXITSTATUS(rc) == 77)
        skip();
    assert_int_equal(rc, 0);
}

static void test_metrics__hosts__are_bounded(void **state)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    int64_t platform;
    size_t n = 0;
    char ref[16];

    RIG_OF(state, r);
    platform = site_platform(r->bed, "vc");
    for (int i = 0; i < 30; i++) {
        snprintf(ref, sizeof(ref), "vm-%d", i);
        site_host(r->bed, platform, ref);
    }
    sql(r, "INSERT INTO policy (name, interval_ms, created_ms, changed_ms) VALUES ('p', 600000, 0, 0)");
    sql(r, "INSERT INTO repository (name, url, encrypted, created_ms) VALUES ('r', '/r', 0, 0)");
    sql(r, "UPDATE host SET state = 'protected', policy_id = 1, repository_id = 1, last_point_ms = 1700000000000 + id");
    sql(r, "INSERT INTO setting (name, value, changed_ms) VALUES ('metrics.hosts', '10', 0)");
    check_ok(bdr_tick_all(r->console, SITE_NOW));
    check_ok(bdr_metrics_text(r->console, SITE_NOW, &text));
    bdr_buf_u8(&text, 0);
    for (const char *at = (char *)text.data; (at = strstr(at, "bdr_host_rpo_age_seconds{")); at++)
        n++;
    assert_int_equal(n, 10);
    assert_non_null(strstr((char *)text.data, "name=\"vm-0\"")); /* the oldest ones */
    assert_null(strstr((char *)text.data, "name=\"vm-20\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_metrics__readers__need_the_scope_or_this_machine),
        RIG(test_metrics__the_page__is_what_prometheus_reads),
        RIG(test_metrics__hosts__are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
