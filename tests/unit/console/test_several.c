/* SPDX-License-Identifier: Apache-2.0 */
/* test_several.c - several consoles on one database: which may start, and what they have in common. */
#include "bdr/osfile.h"
#include "fleet.h"
#include <sys/stat.h>
#include <unistd.h>

static bool there(const char *folder, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* ---- one a folder, one a file ---- */

static void test_start__a_folder_in_use__says_who_has_it(void **state)
{
    struct bdr_console *second = NULL;
    char who[64];

    RIG_OF(state, r);
    snprintf(who, sizeof(who), "process %ld on ", (long)getpid());
    check_fails(rig_console(r, r->bed->dir, false, &second), BDR_BUSY, who);
    check_fails(rig_console(r, r->bed->dir, false, &second), BDR_BUSY, "stop that one first");
    json_decref(rig_want(r, r->admin, 200, "GET", "/v1/session", NULL)); /* and the first goes on */
}

static void test_start__a_file_in_use__is_refused_whatever_the_folder(void **state)
{
    struct bdr_console *second = NULL;
    char folder[128];

    RIG_OF(state, r);
    rig_folder(r, "other", true, folder);
    check_fails(rig_console(r, folder, false, &second), BDR_BUSY, "several need PostgreSQL");
    check_fails(rig_console(r, folder, true, &second), BDR_BUSY, "several need PostgreSQL");
}

static void test_start__a_lock_left_over__shuts_nobody_out(void **state)
{
    struct bdr_console *again = NULL;
    char path[160], text[] = "process 1 on elsewhere, port 1, since ever\x1b[2J\n";

    RIG_OF(state, r);
    bdr_console_stop(r->console);
    r->console = NULL;
    snprintf(path, sizeof(path), "%s/console.lock", r->bed->dir);
    assert_true(there(r->bed->dir, "console.lock"));
    check_ok(bdr_os_replace_file(path, text, strlen(text), 0600, false));
    check_ok(rig_console(r, r->bed->dir, false, &again));
    bdr_console_stop(again);
}

/* ---- one CA, one master key ---- */

static void test_start__without_the_keys_of_the_database__makes_none(void **state)
{
    struct bdr_console *second = NULL;
    char folder[128], path[256];

    RIG_OF(state, r);
    rig_folder(r, "bare", false, folder);
    check_fails(rig_console(r, folder, false, &second), BDR_CONFLICT, "copy ca.key, ca.crt and master.key");
    assert_false(there(folder, "ca.key") || there(folder, "ca.crt") || there(folder, "master.key"));
    /* half of them is not enough: what is sealed would not open */
    json_decref(rig_want(r, r->admin, 201, "POST", "/v1/channels",
                         "{\"name\":\"h\",\"kind\":\"webhook\",\"url\":\"https://h.example/\","
                         "\"secret\":\"0123456789abcdef\"}"));
    rig_folder(r, "half", true, folder);
    snprintf(path, sizeof(path), "%s/master.key", folder);
    assert_int_equal(unlink(path), 0);
    check_fails(rig_console(r, folder, false, &second), BDR_CONFLICT, "master key");
    assert_false(there(folder, "master.key"));
    rig_folder(r, "good", true, folder);
    check_ok(rig_console(r, folder, false, &second));
    bdr_console_stop(second);
}

static void test_start__with_keys_of_its_own__is_refused_unless_the_others_are_lost(void **state)
{
    struct bdr_console *second = NULL;
    BDR_AUTO(keyring) struct bdr_keyring *ring = NULL;
    char folder[128], path[256];

    RIG_OF(state, r);
    json_decref(rig_want(r, r->admin, 201, "POST", "/v1/channels",
                         "{\"name\":\"h\",\"kind\":\"webhook\",\"url\":\"https://h.example/\","
                         "\"secret\":\"0123456789abcdef\"}"));
    bdr_console_stop(r->console);
    r->console = NULL;
    rig_folder(r, "stranger", true, folder);
    snprintf(path, sizeof(path), "%s/master.key", folder);
    assert_int_equal(unlink(path), 0);
    check_ok(bdr_keyring_open(path, &ring)); /* another one */
    check_fails(rig_console(r, folder, false, &second), BDR_CONFLICT, "another master key");
    check_ok(rig_console(r, folder, true, &second));
    bdr_console_stop(second);
    /* from now on they are the database's */
    check_ok(rig_console(r, folder, false, &second));
    bdr_console_stop(second);
    check_fails(rig_console(r, r->bed->dir, false, &r->console), BDR_CONFLICT, "another master key");
    rig_folder(r, "nobody", false, folder);
    check_ok(rig_console(r, folder, true, &r->console));
}

/* ---- what they tell each other ---- */

static void test_outbox__what_was_told__is_taken_once_in_whole_lines(void **state)
{
    struct bdr_hub *hub = NULL;
    char text[8192], small[40], json[200];
    size_t all = 0, n;

    (void)state;
    check_ok(bdr_hub_new(&hub));
    bdr_hub_tell(hub, "job", "{\"id\":1}");
    assert_int_equal(bdr_hub_outbox(hub, text, sizeof(text)), 0); /* nobody to relay to */
    bdr_hub_relayed(hub);
    for (int i = 0; i < 3; i++)
        bdr_hub_tell(hub, "job", "{\"id\":1}"); /* no more than once */
    bdr_hub_tell_machine(hub, 7, "work", NULL);
    bdr_hub_tell(hub, "job", "{\"id\":11}");
    assert_int_equal(bdr_hub_outbox(hub, small, sizeof(small)), strlen("-1 job {\"id\":1}\n7 work {}\n"));
    assert_string_equal(small, "-1 job {\"id\":1}\n7 work {}\n");
    assert_true(bdr_hub_outbox(hub, text, sizeof(text)) > 0);
    assert_string_equal(text, "-1 job {\"id\":11}\n");
    assert_int_equal(bdr_hub_outbox(hub, text, sizeof(text)), 0);
    assert_string_equal(text, "");
    /* more than it holds: the others load anew, rather than miss some of it */
    for (int i = 0; i < 3000; i++) {
        snprintf(json, sizeof(json), "{\"id\":%d,\"what\":\"changed\"}", i);
        bdr_hub_tell(hub, "host", json);
    }
    while ((n = bdr_hub_outbox(hub, text, sizeof(text))) > 0)
        all += n;
    assert_true(all < 100);
    /* what comes from others is not sent back to them; what a newer one says is let pass */
    bdr_hub_heard(hub, "-1 job {\"id\":2}\n3 work {}\n-1 reset {}\nnonsense\n-1 job\n-1 job x\n\n9");
    assert_int_equal(bdr_hub_outbox(hub, text, sizeof(text)), 0);
    bdr_hub_free(hub);
}

struct heard {
    char text[256];
};
static void hear(void *ctx, const char *text)
{
    struct heard *h = ctx;
    size_t n = strlen(h->text);

    snprintf(h->text + n, sizeof(h->text) - n, "%s;", text);
}

static void test_ear__words__reach_the_others_in_order_and_not_oneself(void **state)
{
    struct bdr_ear *ear[2] = {NULL, NULL};
    struct heard heard[2] = {{""}, {""}};

    BED_OF(state, b);
    if (b->engine == BDR_DB_SQLITE) {
        check_fails(bdr_ear_open(b->db, &ear[0]), BDR_UNSUPPORTED, "one console");
        return;
    }
    for (int i = 0; i < 2; i++)
        check_ok(bdr_ear_open(b->db, &ear[i]));
    check_ok(bdr_ear_tell(ear[0], "one"));
    check_ok(bdr_ear_tell(ear[0], "two '\"%s"));
    check_ok(bdr_ear_tell(ear[1], "three"));
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 100 && !strchr(heard[i].text, ';'); k++)
            check_ok(bdr_ear_hear(ear[i], 100, hear, &heard[i]));
    assert_string_equal(heard[0].text, "three;");
    assert_string_equal(heard[1].text, "one;two '\"%s;");
    bdr_ear_close(ear[0]);
    bdr_ear_close(ear[1]);
}

/* ---- a request that ran when its console ended ---- */

static struct bdr_err *unfinished(struct bdr_tx *tx, void *ctx)
{
    int64_t n = 0;

    (void)ctx;
    BDR_TRY(bdr_q_idempotency_keep(tx, &(struct bdr_in_idempotency_keep){"rig-admin", "once-upon-a-time", 0, ""}, &n));
    assert_int_equal(n, 1);
    return NULL;
}

/* What POST /v1/policies says to that key; NULL: it was made. */
static struct bdr_err *policy_once(struct rig *r)
{
    char auth[64], base[64], ca[128];
    const struct bdr_pair headers[] = {{"Authorization", auth}};
    BDR_AUTO(http_client) struct bdr_http_client *client = NULL;
    static const char body[] = "{\"name\":\"once\",\"interval_ms\":3600000}";
    struct bdr_http_reply reply = {0};
    struct bdr_err *err;

    snprintf(auth, sizeof(auth), "Bearer %s", r->admin);
    snprintf(base, sizeof(base), "https://127.0.0.1:%u", bdr_console_port(r->console));
    snprintf(ca, sizeof(ca), "%s/ca.crt", r->bed->dir);
    BDR_TRY(bdr_http_client_new(&(struct bdr_http_client_config){.base = base, .ca_file = ca, .tries = 1}, &client));
    err = bdr_http_call(client,
                        &(struct bdr_http_call){.method = "POST",
                                                .path = "/v1/policies",
                                                .type = "application/json",
                                                .body = body,
                                                .body_len = sizeof(body) - 1,
                                                .headers = headers,
                                                .n_headers = 1,
                                                .idempotency_key = "once-upon-a-time"},
                        &reply);
    bdr_http_reply_free(&reply);
    return err;
}

static void test_request__whose_console_ended__may_come_again(void **state)
{
    struct bdr_console *again = NULL;

    RIG_OF(state, r);
    check_ok(policy_once(r));
    check_ok(policy_once(r)); /* its answer was kept */
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, unfinished, NULL));
    check_fails(policy_once(r), BDR_CONFLICT, "still runs");
    bdr_console_stop(r->console);
    check_ok(rig_console(r, r->bed->dir, false, &again));
    r->console = again;
    if (bdr_db_file(r->bed->where))
        check_fails(policy_once(r), BDR_EXISTS, "once"); /* it ran again: the first one had come to its end */
    else
        check_fails(policy_once(r), BDR_CONFLICT, "still runs"); /* another console may be at it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_start__a_folder_in_use__says_who_has_it),
        {"test_start__a_file_in_use__is_refused_whatever_the_folder@sqlite",
         test_start__a_file_in_use__is_refused_whatever_the_folder, rig_sqlite, rig_down, NULL},
        RIG(test_start__a_lock_left_over__shuts_nobody_out),
        RIG_PG(test_start__without_the_keys_of_the_database__makes_none),
        RIG_PG(test_start__with_keys_of_its_own__is_refused_unless_the_others_are_lost),
        RIG(test_request__whose_console_ended__may_come_again),
        cmocka_unit_test(test_outbox__what_was_told__is_taken_once_in_whole_lines),
        BED(test_ear__words__reach_the_others_in_order_and_not_oneself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
