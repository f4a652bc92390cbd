/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"
#include "auth/login.h"
#include "auth/password.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"

struct rig_person {
    const char *name, *role;
    char *token;
};

static struct bdr_err *person_add(struct bdr_tx *tx, void *ctx)
{
    const struct rig_person *p = ctx;
    int64_t id, token_id;

    /* nobody logs in with this password: the hash is of nothing */
    BDR_TRY(bdr_q_account_add(
        tx, &(struct bdr_in_account_add){p->name, p->name, "", "", p->role, "none", false, bdr_clock_wall_ms()}, &id));
    return bdr_api_token_new(tx, id, "rig", "*", bdr_clock_wall_ms(), 0, p->token, &token_id);
}

static int rig_up(void **state, int (*bed_up)(void **state))
{
    struct rig *r = calloc(1, sizeof(*r));
    char base[64], ca[128];

    if (!r || bed_up((void **)&r->bed))
        return -1;
    if (!r->bed) {
        free(r);
        *state = NULL;
        return 0;
    }
    check_ok(bdr_arena_new(&r->arena));
    snprintf(r->packages, sizeof(r->packages), "%s/packages", r->bed->dir);
    snprintf(r->web, sizeof(r->web), "%s/web", r->bed->dir);
    check_ok(bdr_console_start(&(struct bdr_console_config){.folder = r->bed->dir,
                                                            .db = r->bed->where,
                                                            .address = "127.0.0.1",
                                                            .port = BDR_ANY_PORT,
                                                            .http_port = BDR_ANY_PORT,
                                                            .packages = r->packages,
                                                            .web = r->web,
                                                            .no_ticks = true},
                               &r->console));
    snprintf(base, sizeof(base), "https://127.0.0.1:%u", bdr_console_port(r->console));
    snprintf(ca, sizeof(ca), "%s/ca.crt", r->bed->dir);
    check_ok(
        bdr_http_client_new(&(struct bdr_http_client_config){.base = base, .ca_file = ca, .tries = 1}, &r->anyone));
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, person_add, &(struct rig_person){"rig-admin", "admin", r->admin}));
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, person_add,
                        &(struct rig_person){"rig-operator", "operator", r->operator_}));
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, person_add, &(struct rig_person){"rig-viewer", "viewer", r->viewer}));
    *state = r;
    return 0;
}

int rig_sqlite(void **state)
{
    return rig_up(state, bed_sqlite);
}

int rig_pg(void **state)
{
    return rig_up(state, bed_pg);
}

int rig_down(void **state)
{
    struct rig *r = *state;
    void *bed;

    if (!r)
        return 0;
    bdr_http_client_free(r->anyone);
    bdr_console_stop(r->console);
    bdr_arena_free(r->arena);
    bed = r->bed;
    free(r);
    return bed_down(&bed);
}

void rig_folder(struct rig *r, const char *name, bool keys, char out[128])
{
    static const char *const files[] = {"ca.key", "ca.crt", "master.key"};

    snprintf(out, 128, "%s/%s", r->bed->dir, name);
    check_ok(bdr_os_mkdirs(out));
    for (size_t i = 0; keys && i < BDR_COUNT(files); i++) {
        BDR_AUTO(mem) char *text = NULL;
        char from[192], to[192];
        size_t len = 0;

        snprintf(from, sizeof(from), "%s/%s", r->bed->dir, files[i]);
        snprintf(to, sizeof(to), "%s/%s", out, files[i]);
        check_ok(bdr_os_read_file(from, 65536, &text, &len));
        check_ok(bdr_os_replace_file(to, text, len, 0600, true));
    }
}

struct bdr_err *rig_console(struct rig *r, const char *folder, bool keys_lost, struct bdr_console **out)
{
    return bdr_console_start(&(struct bdr_console_config){.folder = folder,
                                                          .db = r->bed->where,
                                                          .address = "127.0.0.1",
                                                          .port = BDR_ANY_PORT,
                                                          .http_port = BDR_ANY_PORT,
                                                          .keys_lost = keys_lost,
                                                          .no_ticks = true},
                             out);
}

json_t *rig_call(struct rig *r, const char *token, const char *method, const char *path, const char *body,
                 unsigned *out_status)
{
    char auth[64];
    const struct bdr_pair headers[] = {{"Authorization", auth}};
    struct bdr_http_reply reply = {0};
    struct bdr_http_call call = {.method = method,
                                 .path = path,
                                 .type = body ? "application/json" : NULL,
                                 .body = body,
                                 .body_len = body ? strlen(body) : 0,
                                 .headers = headers,
                                 .n_headers = token ? 1 : 0};
    struct bdr_err *err;
    json_t *v = NULL;
    char text[1024];

    snprintf(auth, sizeof(auth), "Bearer %s", token ? token : "");
    err = bdr_http_call(r->anyone, &call, &reply);
    if (err && err->sys >= 400) {
        *out_status = (unsigned)err->sys;
        v = json_pack("{s:s}", "detail", bdr_err_text(err, text, sizeof(text)));
        bdr_err_drop(err, "it is what the test looks at");
    } else {
        check_ok(err);
        *out_status = reply.status;
        if (reply.body.len)
            v = json_loadb((char *)reply.body.data, reply.body.len, 0, NULL);
    }
    bdr_http_reply_free(&reply);
    return v;
}

json_t *rig_want(struct rig *r, const char *token, unsigned want, const char *method, const char *path,
                 const char *body)
{
    unsigned status = 0;
    json_t *v = rig_call(r, token, method, path, body, &status);

    if (status != want) {
        char *text = v ? json_dumps(v, 0) : NULL;

        print_error("%s %s: %u, not %u: %s\n", method, path, status, want, text ? text : "");
        free(text);
    }
    assert_int_equal(status, want);
    return v;
}

static const json_t *rig_find(const json_t *v, const char *pointer)
{
    char part[128];

    while (v && *pointer == '/') {
        size_t len = strcspn(++pointer, "/");

        snprintf(part, sizeof(part), "%.*s", (int)len, pointer);
        v = json_is_array(v) ? json_array_get(v, strtoul(part, NULL, 10)) : json_object_get(v, part);
        pointer += len;
    }
    return v;
}

char *rig_first_password(const struct rig *r, char path[128])
{
    char *password = NULL;
    size_t len = 0;

    snprintf(path, 128, "%s/initial-password", r->bed->dir);
    check_ok(bdr_os_read_file(path, 100, &password, &len));
    password[len - 1] = 0;
    return password;
}

const char *rig_at(const json_t *v, const char *pointer)
{
    static char number[32];
    const json_t *at = rig_find(v, pointer);

    if (json_is_integer(at)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(at));
        return number;
    }
    if (json_is_boolean(at))
        return json_is_true(at) ? "true" : "false";
    return json_is_string(at) ? json_string_value(at) : "";
}

int64_t rig_int(const json_t *v, const char *pointer)
{
    const json_t *at = rig_find(v, pointer);

    assert_true(json_is_integer(at));
    return json_integer_value(at);
}
