/* SPDX-License-Identifier: Apache-2.0 */
#include "person.h"

json_t *person_call(struct rig *r, const char *cookie, bool with_header, const char *method, const char *path,
                    const char *body, unsigned *out_status)
{
    char text[128];
    const struct bdr_pair headers[] = {{"Cookie", text}, {"X-Requested-With", "bdr"}};
    struct bdr_http_reply reply = {0};
    const struct bdr_http_call call = {.method = method,
                                       .path = path,
                                       .type = body ? "application/json" : NULL,
                                       .body = body,
                                       .body_len = body ? strlen(body) : 0,
                                       .headers = headers,
                                       .n_headers = with_header ? 2 : 1};
    struct bdr_err *err;
    char why[1024];
    json_t *v = NULL;

    snprintf(text, sizeof(text), "other=1; bdr_session=%s", cookie);
    err = bdr_http_call(r->anyone, &call, &reply);
    *out_status = err ? (unsigned)err->sys : reply.status;
    if (err)
        v = json_pack("{s:s}", "detail", bdr_err_text(err, why, sizeof(why)));
    else if (reply.body.len)
        v = json_loadb((char *)reply.body.data, reply.body.len, 0, NULL);
    bdr_err_drop(err, "it is what the test looks at");
    bdr_http_reply_free(&reply);
    return v;
}

json_t *person_want(struct rig *r, const char *cookie, unsigned want, const char *method, const char *path,
                    const char *body)
{
    unsigned status = 0;
    json_t *v = person_call(r, cookie, true, method, path, body, &status);

    if (status != want)
        print_error("%s %s: %u, not %u: %s\n", method, path, status, want, rig_at(v, "/detail"));
    assert_int_equal(status, want);
    return v;
}

struct bdr_login_result person_login(struct rig *r, const char *name, const char *password)
{
    const struct bdr_login_from from = {.addr = "192.0.2.1", .agent = "test", .now_ms = bdr_clock_wall_ms()};
    BDR_AUTO(secret) struct bdr_secret s = {0};
    struct bdr_login_result got;

    check_ok(bdr_secret_set(&s, password, strlen(password)));
    check_ok(bdr_login_password(r->bed->db, name, &s, &from, &got));
    return got;
}

int64_t person_make(struct rig *r, const char *name, const char *role, char cookie[BDR_TOKEN_CHARS])
{
    char body[300];
    struct bdr_login_result in;
    int64_t id;
    json_t *v;

    snprintf(body, sizeof(body), "{\"name\":\"%s\",\"role\":\"%s\",\"password\":\"" PERSON_FIRST "\"}", name, role);
    v = rig_want(r, r->admin, 201, "POST", "/v1/users", body);
    id = rig_int(v, "/id");
    json_decref(v);
    in = person_login(r, name, PERSON_FIRST);
    assert_int_equal(in.what, BDR_LOGIN_IN);
    assert_true(in.must_change);
    snprintf(cookie, BDR_TOKEN_CHARS, "%s", in.cookie);
    json_decref(person_want(r, cookie, 204, "PUT", "/v1/session/password",
                            "{\"old\":\"" PERSON_FIRST "\",\"password\":\"" PERSON_SECOND "\"}"));
    return id;
}
