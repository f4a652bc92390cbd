/* SPDX-License-Identifier: Apache-2.0 */
/* test_machines.c - machines and the console over real connections: joining, beats, inventory, being shut out. */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "fleet.h"
#include "revoked.h"
#include "rules/machine.h"
#include <openssl/evp.h>

#define NOTHING "{}"

/* ---- joining ---- */

static struct bdr_err *enrol_raw(struct rig *r, const char *token, int kind, const char *csr, struct bdr_enrol_out *out)
{
    const struct bdr_enrol_in in = {.token = token, .kind = kind, .name = "web1", .csr = csr};

    return fleet_json(r, NULL, "POST", "/v1/enrol", &bdr_enrol_in_shape, &in, &bdr_enrol_out_shape, out);
}

static void test_enrol__a_token__gives_a_certificate_once(void **state)
{
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    struct bdr_enrol_out got;
    struct bdr_cert_info info;
    char token[64];

    RIG_OF(state, r);
    fleet_token(r, "agent", token);
    check_ok(bdr_key_new(&key));
    check_ok(bdr_key_csr(key, "web1", &csr));
    check_fails(enrol_raw(r, token, BDR_MACHINE_PROXY, csr, &got), BDR_DENIED, "not for a machine of kind proxy");
    check_fails(enrol_raw(r, token, BDR_MACHINE_AGENT, "no request", &got), BDR_INVAL, "");
    check_ok(enrol_raw(r, token, BDR_MACHINE_AGENT, csr, &got));
    assert_true(got.host > 0);
    assert_int_equal(strlen(got.machine), 32);
    check_ok(bdr_cert_parse(got.certificate, strlen(got.certificate), &info));
    assert_string_equal(info.machine, got.machine);
    assert_string_equal(info.role, "agent");
    assert_string_equal(got.ca, bdr_ca_pem(r->console->ca));
    check_fails(enrol_raw(r, token, BDR_MACHINE_AGENT, csr, &got), BDR_DENIED, "was used before");
    check_fails(enrol_raw(r, "bdre_guess", BDR_MACHINE_AGENT, csr, &got), BDR_DENIED, "copy a new install command");
}

static void test_enrol__guessing__is_slowed_down_and_a_good_token_is_not(void **state)
{
    struct bdr_enrol_out got;
    struct bdr_err *err = NULL;
    FLEET m = {0};
    int n = 0;

    RIG_OF(state, r);
    while (!err || err->code == BDR_DENIED) {
        assert_true(n++ < 50);
        bdr_err_free(err);
        err = enrol_raw(r, "bdre_guess", BDR_MACHINE_AGENT, "x", &got);
        assert_non_null(err);
    }
    check_fails(err, BDR_THROTTLED, "");
    fleet_join(r, "agent", "late", NULL, NULL, &m);
    assert_true(m.host > 0);
}

static void test_enrol__same_identity__takes_the_deregistered_host_over(void **state)
{
    FLEET first = {0}, twin = {0}, again = {0};
    BDR_AUTO(mem) struct bdr_row_host *host = NULL, *other = NULL;
    struct bdr_tx *tx = NULL;

    RIG_OF(state, r);
    fleet_join(r, "agent", "web1", "id-1", NULL, &first);
    fleet_join(r, "agent", "web1", "id-1", NULL, &twin); /* a clone: the first one still lives */
    assert_true(first.host != twin.host);
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_LOCK, &tx));
    check_ok(bdr_host_deregister(tx, (int64_t)first.host, false, "test", bdr_clock_wall_ms()));
    check_ok(bdr_tx_commit(tx));
    json_decref(fleet_want(r, &first, 401, "POST", "/v1/machine/beat", NOTHING));
    fleet_join(r, "agent", "web1-new", "id-1", NULL, &again);
    assert_int_equal(again.host, first.host);
    assert_true(again.id != first.id);
    tx = fleet_read(r);
    check_ok(bdr_q_host_get(tx, (int64_t)again.host, &host));
    check_ok(bdr_q_host_get(tx, (int64_t)twin.host, &other));
    bdr_tx_abandon(tx);
    assert_string_equal(host->state, "registered");
    assert_string_equal(host->name, "web1-new");
    assert_string_equal(host->label, "web1"); /* what its points are called */
    assert_true(host->needs_full);
    assert_true(strstr(other->label, "web1-") == other->label);
}

static void test_renew__next_certificate__works_and_the_old_one_still_does(void **state)
{
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(http_client) struct bdr_http_client *renewed = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    struct fleet_machine next;
    struct bdr_renew_in in;
    struct bdr_renew_out got;
    FLEET m = {0};
    int i = 0;

    RIG_OF(state, r);
    fleet_join(r, "proxy", "p1", NULL, NULL, &m);
    check_ok(bdr_key_new(&key));
    check_ok(bdr_key_csr(key, "p1", &csr));
    in.csr = csr;
    check_ok(
        fleet_json(r, &m, "POST", "/v1/machine/certificate", &bdr_renew_in_shape, &in, &bdr_renew_out_shape, &got));
    next = m;
    snprintf(next.key, sizeof(next.key), "%s/next.key", r->bed->dir);
    snprintf(next.cert, sizeof(next.cert), "%s/next.crt", r->bed->dir);
    check_ok(bdr_key_save(key, next.key));
    check_ok(bdr_os_replace_file(next.cert, got.certificate, strlen(got.certificate), 0600, false));
    renewed = fleet_client(r, next.key, next.cert);
    next.client = renewed;
    json_decref(fleet_want(r, &next, 200, "POST", "/v1/machine/beat", NOTHING));
    json_decref(fleet_want(r, &m, 200, "POST", "/v1/machine/beat", NOTHING));
    for (; i < 20; i++) {
        struct bdr_err *err =
            fleet_json(r, &m, "POST", "/v1/machine/certificate", &bdr_renew_in_shape, &in, &bdr_renew_out_shape, &got);

        if (err) {
            check_fails(err, BDR_THROTTLED, "");
            break;
        }
    }
    assert_true(i < 20);
    json_decref(rig_want(r, r->admin, 401, "POST", "/v1/machine/certificate", "{\"csr\":\"x\"}"));
}

/* ---- beats ---- */

static void test_beat__answers__what_is_wanted(void **state)
{
    BDR_AUTO(mem) struct bdr_row_machine *row = NULL;
    struct bdr_tx *tx;
    FLEET agent = {0}, proxy = {0};
    json_t *v;

    RIG_OF(state, r);
    fleet_join(r, "agent", "web1", NULL, NULL, &agent);
    fleet_join(r, "proxy", "p1", NULL, NULL, &proxy);
    v = fleet_want(r, &agent, 200, "POST", "/v1/machine/beat",
                   "{\"version\":\"0.9\",\"os\":\"Debian 13\",\"inventory\":\"abc\",\"boot\":\"b1\",\"jobs\":1}");
    assert_string_equal(rig_at(v, "/want_inventory"), "true");
    assert_string_equal(rig_at(v, "/registered"), "true");
    assert_string_equal(rig_at(v, "/work"), "false");
    assert_int_equal(rig_int(v, "/beat_s"), BDR_MACHINE_BEAT_S);
    json_decref(v);
    tx = fleet_read(r);
    check_ok(bdr_q_machine_get(tx, agent.id, &row));
    bdr_tx_abandon(tx);
    assert_string_equal(row->version, "0.9");
    assert_string_equal(row->os, "Debian 13");
    v = fleet_want(r, &proxy, 200, "POST", "/v1/machine/beat", NOTHING);
    assert_int_equal(rig_int(v, "/http_timeout_s"), 600);
    assert_int_equal(rig_int(v, "/disks_max"), 50);
    assert_string_equal(rig_at(v, "/want_inventory"), "false");
    json_decref(v);
}

static void test_inventory__is_kept_by_its_print__and_disks_come_and_go(void **state)
{
    static const char two[] =
        "{\"name\":\"web1\",\"os\":\"Debian "
        "12\",\"disks\":[{\"ref\":\"live:/dev/sda\",\"name\":\"sda\",\"size_bytes\":1000},"
        "{\"ref\":\"live:/dev/sdb\",\"name\":\"sdb\",\"size_bytes\":2000,\"reason\":\"read only\"}],"
        "\"nics\":[{\"name\":\"lo\",\"addresses\":\"127.0.0.1/8\"},{\"name\":\"eth0\",\"addresses\":\"fe80::1/64, "
        "192.0.2.7/24\"}]}";
    static const char one[] =
        "{\"name\":\"web1\",\"disks\":[{\"ref\":\"live:/dev/sdb\",\"name\":\"sdb\",\"size_bytes\":2000}]}";
    BDR_AUTO(mem) struct bdr_row_host *host = NULL, *before = NULL;
    BDR_AUTO(mem) struct bdr_row_disk *disk = NULL;
    uint8_t hash[32];
    char print[65], beat[128];
    struct bdr_tx *tx;
    FLEET m = {0}, proxy = {0};
    size_t n = 0;
    json_t *v;

    RIG_OF(state, r);
    fleet_join(r, "agent", "web1", NULL, NULL, &m);
    fleet_join(r, "proxy", "p1", NULL, NULL, &proxy);
    json_decref(fleet_want(r, &m, 204, "PUT", "/v1/machine/inventory", two));
    tx = fleet_read(r);
    check_ok(bdr_q_host_get(tx, (int64_t)m.host, &before));
    bdr_tx_abandon(tx);
    assert_string_equal(before->addr, "192.0.2.7"); /* the first that others can use */
    assert_true(EVP_Digest(two, strlen(two), hash, NULL, EVP_sha256(), NULL));
    snprintf(beat, sizeof(beat), "{\"inventory\":\"%s\"}", bdr_hex(hash, 32, print));
    v = fleet_want(r, &m, 200, "POST", "/v1/machine/beat", beat);
    assert_string_equal(rig_at(v, "/want_inventory"), "false");
    json_decref(v);
    json_decref(fleet_want(r, &m, 204, "PUT", "/v1/machine/inventory", one));
    tx = fleet_read(r);
    check_ok(bdr_q_host_get(tx, (int64_t)m.host, &host));
    check_ok(bdr_q_disk_list(tx, (int64_t)m.host, &disk, &n));
    bdr_tx_abandon(tx);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(disk[i].gone_ms != 0, !strcmp(disk[i].name, "sda"));
    assert_string_equal(host->addr, "127.0.0.1"); /* the second one names none: what we see */
    json_decref(fleet_want(r, &proxy, 403, "PUT", "/v1/machine/inventory", one));
    json_decref(fleet_want(r, &m, 422, "PUT", "/v1/machine/inventory", "{\"name\":\"x\",\"disks\":[{\"ref\":\"a\"}]}"));
}

static void test_inventory__disks_added_removed_resized__are_told_in_the_feed(void **state)
{
    static const struct {
        const char *disks, *said; /* what is told; the newest rows of the feed, newest first */
    } steps[] = {
        {"{\"ref\":\"live:/dev/sda\",\"name\":\"sda\",\"size_bytes\":1000}", ""}, /* a new host is no news */
        {"{\"ref\":\"live:/dev/sda\",\"name\":\"sda\",\"size_bytes\":1000}", ""},
        {"{\"ref\":\"live:/dev/sda\",\"name\":\"sda\",\"size_bytes\":1000},"
         "{\"ref\":\"live:/dev/sdb\",\"name\":\"sdb\",\"size_bytes\":2000}",
         "disk.added sdb 2000 0;"},
        {"{\"ref\":\"live:/dev/sda\",\"name\":\"sda\",\"size_bytes\":3000},"
         "{\"ref\":\"live:/dev/sdb\",\"name\":\"sdb\",\"size_bytes\":2000}",
         "disk.resized sda 3000 1000;"},
        {"{\"ref\":\"live:/dev/sda\",\"name\":\"sda\",\"size_bytes\":3000}", "disk.removed sdb 2000 2000;"},
        {"{\"ref\":\"live:/dev/sdb\",\"name\":\"sdb\",\"size_bytes\":2000}",
         "disk.added sdb 2000 2000;disk.removed sda 3000 3000;"},
    };
    FLEET m = {0};
    int64_t seen = 0;

    RIG_OF(state, r);
    fleet_join(r, "agent", "web1", NULL, NULL, &m);
    for (size_t i = 0; i < BDR_COUNT(steps); i++) {
        BDR_AUTO(buf) struct bdr_buf said = {0}, body = {0};
        char path[96];
        json_t *v, *row;
        size_t k;

        bdr_buf_printf(&body, "{\"name\":\"web1\",\"os\":\"%zu\",\"disks\":[%s]}", i, steps[i].disks);
        json_decref(fleet_want(r, &m, 204, "PUT", "/v1/machine/inventory", (const char *)body.data));
        snprintf(path, sizeof(path), "/v1/events?object=host&object_id=%lld", (long long)m.host);
        v = rig_want(r, r->viewer, 200, "GET", path, NULL);
        json_array_foreach(json_object_get(v, "items"), k,
                           row) if (json_integer_value(json_object_get(row, "id")) > seen)
            bdr_buf_printf(&said, "%s %s %lld %lld;", rig_at(row, "/kind"), rig_at(row, "/values/disk"),
                           (long long)rig_int(row, "/values/size_bytes"), (long long)rig_int(row, "/values/was_bytes"));
        seen = json_array_size(json_object_get(v, "items")) ? rig_int(v, "/items/0/id") : 0;
        assert_string_equal(said.data ? (const char *)said.data : "", steps[i].said);
        json_decref(v);
    }
}

/* ---- rights ---- */

static void test_machine_routes__others__are_refused(void **state)
{
    static const struct {
        const char *method, *path, *body;
        bool agent, proxy, gateway;
    } rows[] = {
        {"POST", "/v1/machine/beat", NOTHING, true, true, true},
        {"POST", "/v1/machine/claim", NOTHING, true, true, true},
        {"PUT", "/v1/machine/platforms/1/hosts", "{\"fence\":1,\"job\":1}", false, true, false},
        {"GET", "/v1/gateway/repositories", NULL, false, false, true},
        {"POST", "/v1/gateway/authorise", "{\"machine\":\"a\",\"serial\":\"b\",\"host\":1,\"fence\":1}", false, false,
         true},
        {"PUT", "/v1/gateway/repositories/1/state", "{\"state\":\"ok\"}", false, false, true},
        {"POST", "/v1/gateway/repositories/1/points", NOTHING, false, false, true},
        {"POST", "/v1/gateway/repositories/1/removing", "{\"ref\":\"a\"}", false, false, true},
    };
    struct fleet_machine m[3];

    RIG_OF(state, r);
    fleet_join(r, "agent", "a", NULL, NULL, &m[0]);
    fleet_join(r, "proxy", "p", NULL, NULL, &m[1]);
    fleet_join(r, "gateway", "g", NULL, "https://gw1:443", &m[2]);
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        const bool may[] = {rows[i].agent, rows[i].proxy, rows[i].gateway};
        unsigned status = 0;

        json_decref(rig_want(r, NULL, 401, rows[i].method, rows[i].path, rows[i].body));
        json_decref(rig_want(r, r->admin, 401, rows[i].method, rows[i].path, rows[i].body));
        for (size_t k = 0; k < 3; k++) {
            struct rig as = *r;

            as.anyone = m[k].client;
            json_decref(rig_call(&as, NULL, rows[i].method, rows[i].path, rows[i].body, &status));
            if (may[k] ? status == 401 ||
                             (status == 403 && !strstr(rows[i].path, "hosts") && !strstr(rows[i].path, "auth"))
                       : status != 403)
                fail_msg("%s as %zu: %u", rows[i].path, k, status);
        }
    }
    /* a certificate is no key to people's pages */
    for (size_t k = 0; k < 3; k++)
        json_decref(fleet_want(r, &m[k], 401, "GET", "/v1/session", NULL));
    fleet_leave(&m[0]);
    fleet_leave(&m[1]);
    fleet_leave(&m[2]);
}

struct heard {
    char event[32], data[128];
};
static bool hear(void *ctx, const char *event, const char *id, const char *data)
{
    struct heard *h = ctx;

    (void)id;
    snprintf(h->event, sizeof(h->event), "%s", event);
    snprintf(h->data, sizeof(h->data), "%s", data);
    return strcmp(event, "revoked") != 0;
}

struct ear {
    struct bdr_http_client *client;
    struct heard heard;
    struct bdr_err *err;
};
static struct bdr_err *listen_main(void *ctx, unsigned index)
{
    struct ear *e = ctx;

    e[index].err = bdr_http_listen(e[index].client, "/v1/machine/events", NULL, hear, &e[index].heard, NULL);
    return NULL;
}

static void test_revoke__cuts_connections_and_tells_gateways__on_each_console(void **state)
{
    FLEET m = {0}, gw = {0};
    struct bdr_pool *pool = NULL;
    struct ear ears[2];
    struct bdr_tx *tx = NULL;
    char want[64];

    RIG_OF(state, r);
    fleet_join(r, "agent", "a", NULL, NULL, &m);
    fleet_join(r, "gateway", "g", NULL, NULL, &gw);
    json_decref(fleet_want(r, &m, 200, "POST", "/v1/machine/beat", NOTHING));
    ears[0] = (struct ear){.client = gw.client};
    ears[1] = (struct ear){.client = m.client};
    check_ok(bdr_pool_start("ear", 2, listen_main, ears, NULL, &pool));
    for (int i = 0; bdr_hub_counts(r->console->hub).machines < 2; i++) {
        assert_true(i < 1000);
        check_ok(bdr_cancel_sleep(&r->console->stop, 10));
    }
    /* as another console would: in the database alone */
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_LOCK, &tx));
    check_ok(bdr_machine_shut_out(tx, m.id, bdr_clock_wall_ms()));
    check_ok(bdr_tx_commit(tx));
    json_decref(fleet_want(r, &m, 401, "POST", "/v1/machine/beat", NOTHING)); /* at once: each request asks */
    check_ok(bdr_revoked_learn(r->console, bdr_clock_wall_ms()));
    check_ok(bdr_pool_join(pool));
    assert_string_equal(ears[0].heard.event, "revoked");
    snprintf(want, sizeof(want), "{\"machine\":\"%s\"}", m.uuid);
    assert_string_equal(ears[0].heard.data, want);
    check_ok(ears[0].err);
    bdr_err_drop(ears[1].err, "ended or broken, by whose end came first");
    check_fails(fleet_json(r, &m, "POST", "/v1/machine/beat", &bdr_beat_in_shape, &(struct bdr_beat_in){0}, NULL, NULL),
                BDR_AUTH, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_enrol__a_token__gives_a_certificate_once),
        RIG(test_enrol__guessing__is_slowed_down_and_a_good_token_is_not),
        RIG(test_enrol__same_identity__takes_the_deregistered_host_over),
        RIG(test_renew__next_certificate__works_and_the_old_one_still_does),
        RIG(test_beat__answers__what_is_wanted),
        RIG(test_inventory__is_kept_by_its_print__and_disks_come_and_go),
        RIG(test_inventory__disks_added_removed_resized__are_told_in_the_feed),
        RIG(test_machine_routes__others__are_refused),
        RIG(test_revoke__cuts_connections_and_tells_gateways__on_each_console),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
