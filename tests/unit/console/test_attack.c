/* SPDX-License-Identifier: Apache-2.0 */
/* test_attack.c - what another site, a thief of a token, somebody who guesses, and a channel's maker can not do. */
#include "auth/password.h"
#include "auth/token.h"
#include "auth/totp.h"
#include "fleet.h"
#include "watch/address.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST "correct horse 1"
#define OWN   "battery staple 2"

/* ---- requests as a browser sends them, or as nobody should ---- */

struct ask {
    const char *method, *path, *type, *body, *cookie, *from; /* from: an address of loopback */
    const char *more[4];                                     /* headers */
};
struct said {
    long status;
    char head[8192], body[8192];
};

static size_t keep(char *data, size_t size, size_t n, void *ctx)
{
    char *to = ctx;
    size_t len = strlen(to), room = sizeof(((struct said *)0)->head) - 1 - len;

    memcpy(to + len, data, BDR_MIN(size * n, room));
    to[len + BDR_MIN(size * n, room)] = 0;
    return size * n;
}

static long ask(struct rig *r, const struct ask *a, struct said *out)
{
    CURL *c = curl_easy_init();
    struct curl_slist *list = NULL;
    char url[300], text[600];

    assert_non_null(c);
    memset(out, 0, sizeof(*out));
    snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", bdr_console_port(r->console), a->path);
    snprintf(text, sizeof(text), "Content-Type: %s", a->type ? a->type : "application/json");
    if (a->body)
        list = curl_slist_append(list, text);
    snprintf(text, sizeof(text), "Cookie: %s", a->cookie ? a->cookie : "");
    if (a->cookie)
        list = curl_slist_append(list, text);
    for (size_t i = 0; i < BDR_COUNT(a->more) && a->more[i]; i++)
        list = curl_slist_append(list, a->more[i]);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, a->method);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    if (a->body)
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, a->body);
    if (a->from)
        curl_easy_setopt(c, CURLOPT_INTERFACE, a->from);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, keep);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, out->head);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, out->body);
    assert_int_equal(curl_easy_perform(c), CURLE_OK);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &out->status);
    curl_slist_free_all(list);
    curl_easy_cleanup(c);
    return out->status;
}

/* "bdr_session=..." of the answer that sets it, with its attributes in `line`. */
static void cookie_of(const struct said *s, const char *name, char cookie[300], char line[600])
{
    char start[64];
    const char *at;

    snprintf(start, sizeof(start), "Set-Cookie: %s=", name);
    at = strcasestr(s->head, start);
    assert_non_null(at);
    at += strlen("Set-Cookie: ");
    snprintf(cookie, 300, "%.*s", (int)strcspn(at, ";\r"), at);
    snprintf(line, 600, "%.*s", (int)strcspn(at, "\r"), at);
}

static long login_from(struct rig *r, const char *name, const char *password, const char *cookie, const char *from,
                       struct said *out)
{
    char body[2200];

    snprintf(body, sizeof(body), "{\"name\":\"%s\",\"password\":\"%s\"}", name, password);
    return ask(r, &(struct ask){.method = "POST", .path = "/v1/session", .body = body, .cookie = cookie, .from = from},
               out);
}

/* A user with a password of their own; a session and a known browser. */
static int64_t user_make(struct rig *r, const char *name, const char *role, char session[300], char device[300])
{
    static const char change[] = "{\"old\":\"" FIRST "\",\"password\":\"" OWN "\"}";
    char body[300], line[600];
    struct said s;
    int64_t id;
    json_t *v;

    snprintf(body, sizeof(body), "{\"name\":\"%s\",\"role\":\"%s\",\"password\":\"" FIRST "\"}", name, role);
    v = rig_want(r, r->admin, 201, "POST", "/v1/users", body);
    id = rig_int(v, "/id");
    json_decref(v);
    assert_int_equal(login_from(r, name, FIRST, NULL, NULL, &s), 200);
    cookie_of(&s, "bdr_session", session, line);
    assert_int_equal(ask(r,
                         &(struct ask){.method = "PUT",
                                       .path = "/v1/session/password",
                                       .body = change,
                                       .cookie = session,
                                       .more = {"X-Requested-With: bdr"}},
                         &s),
                     204);
    assert_int_equal(login_from(r, name, OWN, NULL, NULL, &s), 200);
    cookie_of(&s, "bdr_session", session, line);
    cookie_of(&s, "bdr_device", device, line);
    return id;
}

/* ---- another site ---- */

static void test_csrf__a_page_of_another_site__changes_nothing(void **state)
{
    static const char body[] = "{\"kind\":\"agent\"}";
    static const struct {
        const char *type, *more[3];
        long status;
    } rows[] = {
        /* what a form or a script of another site can send without asking us first */
        {"text/plain", {NULL}, 403},
        {"text/plain", {"Origin: https://evil.example", "Sec-Fetch-Site: cross-site", NULL}, 403},
        {"application/x-www-form-urlencoded", {NULL}, 403},
        {"multipart/form-data; boundary=x", {NULL}, 403},
        /* what it can't, each thing alone */
        {"application/json", {"Origin: https://evil.example", NULL}, 403},
        {"text/plain", {"X-Requested-With: bdr", NULL}, 415},
        {"application/json",
         {"X-Requested-With: bdr", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"},
         403},
        /* ours */
        {"application/json", {"X-Requested-With: bdr", "Sec-Fetch-Site: same-origin", NULL}, 201},
        {"application/json", {"X-Requested-With: bdr", NULL}, 201},
    };
    char session[300], device[300];
    struct said s;

    RIG_OF(state, r);
    user_make(r, "ida", "admin", session, device);
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        struct ask a = {
            .method = "POST", .path = "/v1/enrolments", .type = rows[i].type, .body = body, .cookie = session};

        memcpy(a.more, rows[i].more, sizeof(rows[i].more));
        ask(r, &a, &s);
        if (s.status != rows[i].status && !(rows[i].status == 403 && s.status == 415))
            fail_msg("row %zu: %ld, %s", i, s.status, s.body);
    }
    /* a browser asks before it sends what is unusual, and is told nothing that would let it */
    ask(r,
        &(struct ask){.method = "OPTIONS",
                      .path = "/v1/enrolments",
                      .cookie = session,
                      .more = {"Origin: https://evil.example", "Access-Control-Request-Method: POST",
                               "Access-Control-Request-Headers: x-requested-with"}},
        &s);
    assert_null(strcasestr(s.head, "Access-Control-Allow"));
    /* nor may it log somebody in as somebody else */
    ask(r,
        &(struct ask){.method = "POST",
                      .path = "/v1/session",
                      .type = "text/plain",
                      .body = "{\"name\":\"ida\",\"password\":\"" OWN "\"}"},
        &s);
    assert_int_equal(s.status, 415);
    assert_null(strcasestr(s.head, "Set-Cookie"));
}

static void test_cookies__leave_with_nobody_else(void **state)
{
    static const char *const wanted[] = {"; Secure", "; HttpOnly", "; SameSite=Strict"};
    char session[300], device[300], line[600];
    struct said s;

    RIG_OF(state, r);
    user_make(r, "ida", "admin", session, device);
    assert_int_equal(login_from(r, "ida", OWN, NULL, NULL, &s), 200);
    for (int i = 0; i < 2; i++) {
        cookie_of(&s, i ? "bdr_device" : "bdr_session", session, line);
        for (size_t k = 0; k < BDR_COUNT(wanted); k++)
            assert_non_null(strstr(line, wanted[k]));
        assert_null(strcasestr(line, "Domain")); /* this host alone */
        assert_non_null(strstr(line, i ? "; Path=/v1/session;" : "; Path=/;"));
    }
}

static void test_session__that_somebody_else_chose__is_not_the_one(void **state)
{
    char theirs[300], device[300], chosen[300], line[600];
    struct said s;

    RIG_OF(state, r);
    user_make(r, "ida", "admin", theirs, device);
    user_make(r, "eve", "viewer", chosen, device);
    assert_int_equal(login_from(r, "ida", OWN, chosen, NULL, &s), 200); /* in a browser that eve prepared */
    cookie_of(&s, "bdr_session", theirs, line);
    assert_string_not_equal(theirs, chosen);
    ask(r, &(struct ask){.method = "GET", .path = "/v1/session", .cookie = chosen}, &s);
    assert_non_null(strstr(s.body, "eve")); /* it is what it was */
    ask(r, &(struct ask){.method = "GET", .path = "/v1/session", .cookie = theirs}, &s);
    assert_non_null(strstr(s.body, "ida"));
}

/* ---- a token in the wrong hands ---- */

static void token_make(struct rig *r, const char *session, const char *body, char token[64])
{
    struct said s;
    json_t *v;

    assert_int_equal(ask(r,
                         &(struct ask){.method = "POST",
                                       .path = "/v1/tokens",
                                       .body = body,
                                       .cookie = session,
                                       .more = {"X-Requested-With: bdr"}},
                         &s),
                     201);
    v = json_loads(s.body, 0, NULL);
    snprintf(token, 64, "%s", rig_at(v, "/token"));
    json_decref(v);
}

static void test_token__stolen__gives_no_more_than_it_is(void **state)
{
    static const struct {
        const char *method, *path, *body;
    } more[] = {
        {"POST", "/v1/tokens", "{\"name\":\"more\",\"scopes\":\"*\"}"},
        {"POST", "/v1/users", "{\"name\":\"mine\",\"role\":\"admin\",\"password\":\"" FIRST "\"}"},
        {"PATCH", "/v1/users/%lld", "{\"role\":\"admin\"}"},
        {"PATCH", "/v1/users/%lld", "{\"disabled\":false}"},
        {"POST", "/v1/enrolments", "{\"kind\":\"gateway\"}"},
        {"PUT", "/v1/session/password", "{\"old\":\"" OWN "\",\"password\":\"x y z 1 2 3 4\"}"},
        {"POST", "/v1/session/totp", "{\"password\":\"" OWN "\"}"},
        {"GET", "/v1/users/%lld/tokens", NULL},
        {"GET", "/v1/users/%lld/sessions", NULL},
        {"GET", "/v1/audit", NULL},
        {"POST", "/v1/channels", "{\"name\":\"out\",\"kind\":\"webhook\",\"url\":\"https://evil.example/\"}"},
    };
    char session[300], device[300], viewer[64], narrow[64], path[80], text[120];
    struct said s;
    int64_t id;

    RIG_OF(state, r);
    id = user_make(r, "vic", "viewer", session, device);
    token_make(r, session, "{\"name\":\"all\",\"scopes\":\"*\"}", viewer); /* all of what a viewer may */
    user_make(r, "ann", "admin", session, device);
    token_make(r, session, "{\"name\":\"look\",\"scopes\":\"host:read\"}", narrow);
    for (size_t i = 0; i < BDR_COUNT(more); i++)
        for (int k = 0; k < 2; k++) {
            snprintf(path, sizeof(path), more[i].path, (long long)id); /* NOLINT: constant texts above */
            json_decref(rig_want(r, k ? narrow : viewer, 403, more[i].method, path, more[i].body));
        }
    /* nor together with the cookie of somebody else's session: one of them counts, not both */
    snprintf(text, sizeof(text), "Authorization: Bearer %s", viewer);
    ask(r, &(struct ask){.method = "GET", .path = "/v1/users", .cookie = session, .more = {text}}, &s);
    assert_int_equal(s.status, 403);
    check_ok(bed_sql(r->bed, "UPDATE api_token SET expires_ms = 1 WHERE name = 'all'"));
    json_decref(rig_want(r, viewer, 401, "GET", "/v1/session", NULL));
}

/* ---- guessing ---- */

/* As many hashes of the same cost, and a write: neither time nor disk tells which names there are. */
static void test_login__a_name_that_is_not_there__costs_as_much(void **state)
{
    char session[300], device[300], body[3400], lengthy[3100] = "";
    struct said s;
    int64_t off;

    RIG_OF(state, r);
    user_make(r, "ida", "admin", session, device);
    off = user_make(r, "off", "viewer", session, device);
    user_make(r, "shut", "viewer", session, device);
    snprintf(body, sizeof(body), "/v1/users/%lld", (long long)off);
    json_decref(rig_want(r, r->admin, 200, "PATCH", body, "{\"disabled\":true}"));
    check_ok(bed_sql(r->bed, "UPDATE account SET locked_until_ms = 9000000000000 WHERE name = 'shut'"));
    for (size_t at = 0; at < 3000; at += 3) /* 1,000 letters, and more bytes than any password has */
        memcpy(lengthy + at, "\xe5\xaf\x86", 4);
    for (int k = 0; k < 2; k++) {
        static const char *const names[] = {"nobody", "ida", "off", "shut"};

        for (size_t i = 0; i < BDR_COUNT(names); i++) {
            uint64_t before = bdr_password_runs();

            snprintf(body, sizeof(body), "{\"name\":\"%s\",\"password\":\"%s\"}", names[i],
                     k ? lengthy : "a wrong one");
            ask(r, &(struct ask){.method = "POST", .path = "/v1/session", .body = body}, &s);
            if (s.status != 401 || bdr_password_runs() != before + 1)
                fail_msg("%s: %ld, %llu hashes", names[i], s.status,
                         (unsigned long long)(bdr_password_runs() - before));
        }
    }
}

static void test_lock__by_strangers__does_not_keep_out_whoever_was_there_before(void **state)
{
    char session[300], device[300], foreign[300];
    struct said s;
    int waits = 0;

    RIG_OF(state, r);
    user_make(r, "eve", "viewer", session, foreign);
    user_make(r, "ida", "admin", session, device);
    for (int i = 0; i < 40; i++) /* until the account is locked, and its name is asked for too often */
        waits += login_from(r, "ida", "a wrong one", NULL, "127.0.0.2", &s) == 429;
    assert_true(waits > 20);
    assert_int_not_equal(login_from(r, "ida", OWN, NULL, "127.0.0.3", &s), 200);    /* a stranger, whatever he knows */
    assert_int_not_equal(login_from(r, "ida", OWN, foreign, "127.0.0.3", &s), 200); /* another's browser */
    assert_int_equal(login_from(r, "ida", OWN, device, "127.0.0.2", &s), 200);      /* even behind the same address */
    /* a stolen browser does not guess for long either, and shuts nobody else out */
    for (int i = waits = 0; i < 20; i++)
        waits += login_from(r, "ida", "a wrong one", device, "127.0.0.4", &s) == 429;
    assert_in_range(waits, 10, 12);
    assert_int_equal(login_from(r, "ida", OWN, device, "127.0.0.4", &s), 429);
}

static void test_device__ends_with_the_password(void **state)
{
    static const char change[] = "{\"old\":\"" OWN "\",\"password\":\"another staple 3\"}";
    char session[300], device[300];
    struct said s;

    RIG_OF(state, r);
    user_make(r, "ida", "admin", session, device);
    assert_int_equal(ask(r,
                         &(struct ask){.method = "PUT",
                                       .path = "/v1/session/password",
                                       .body = change,
                                       .cookie = session,
                                       .more = {"X-Requested-With: bdr"}},
                         &s),
                     204);
    check_ok(bed_sql(r->bed, "UPDATE account SET locked_until_ms = 9000000000000 WHERE name = 'ida'"));
    assert_int_equal(login_from(r, "ida", "another staple 3", device, NULL, &s), 401);
    device[strlen(device) - 1] ^= 1;
    assert_int_equal(login_from(r, "ida", "another staple 3", device, NULL, &s), 401);
}

/* Both steps; what the first one said, when it was no. */
static long code_give(struct rig *r, const char *code, struct said *s)
{
    char first[300], line[600], body[64];

    if (login_from(r, "ida", OWN, NULL, NULL, s) != 200)
        return s->status;
    cookie_of(s, "bdr_session", first, line);
    snprintf(body, sizeof(body), "{\"code\":\"%s\"}", code);
    return ask(r, &(struct ask){.method = "POST", .path = "/v1/session/code", .body = body, .cookie = first}, s);
}

/* What the phone would get. */
static void secret_read(struct rig *r, int64_t account, struct bdr_secret *out)
{
    const struct bdr_seal_place place = {"account", account, "totp-new"};
    struct bdr_tx *tx = fleet_read(r);
    bool found = false;

    check_ok(bdr_secret_get(tx, r->console->ring, &place, out, &found));
    bdr_tx_abandon(tx);
    assert_true(found);
}

static void test_totp__a_code_that_was_seen__is_worth_nothing(void **state)
{
    char session[300], device[300], body[300], code[9], wrong[9];
    BDR_AUTO(secret) struct bdr_secret totp = {0};
    struct bdr_console *again = NULL;
    struct said s;
    long status = 0;
    int64_t id;
    int tries;

    RIG_OF(state, r);
    id = user_make(r, "ida", "admin", session, device);
    assert_int_equal(ask(r,
                         &(struct ask){.method = "POST",
                                       .path = "/v1/session/totp",
                                       .body = "{\"password\":\"" OWN "\"}",
                                       .cookie = session,
                                       .more = {"X-Requested-With: bdr"}},
                         &s),
                     200);
    secret_read(r, id, &totp);
    /* the code of the step before: that of now is still to come. On a busy machine it may be the last but one on arrival. */
    for (tries = 0; tries < 3 && status != 200; tries++) {
        check_ok(bdr_totp_code(&totp, bdr_clock_wall_ms() / BDR_TOTP_STEP_MS - 1, 6, code));
        snprintf(body, sizeof(body), "{\"code\":\"%s\"}", code);
        status = ask(r,
                     &(struct ask){.method = "PUT",
                                   .path = "/v1/session/totp",
                                   .body = body,
                                   .cookie = session,
                                   .more = {"X-Requested-With: bdr"}},
                     &s);
    }
    assert_int_equal(status, 200);
    status = 0;
    assert_int_equal(code_give(r, code, &s), 401); /* it turned the second step on */
    check_ok(bdr_totp_code(&totp, bdr_clock_wall_ms() / BDR_TOTP_STEP_MS, 6, code));
    assert_int_equal(code_give(r, code, &s), 200);
    assert_int_equal(code_give(r, code, &s), 401); /* in another session */
    bdr_console_stop(r->console);
    check_ok(rig_console(r, r->bed->dir, false, &again));
    r->console = again;
    assert_int_equal(code_give(r, code, &s), 401); /* after a restart */
    /* and nobody tries all of them */
    for (tries = 0; tries < 60 && status != 429; tries++) {
        check_ok(bdr_totp_code(&totp, 1000 + tries, 6, wrong));
        status = code_give(r, wrong, &s);
        assert_int_not_equal(status, 200);
    }
    assert_int_equal(status, 429);
}

/* ---- where a channel leads ---- */

static void test_channel__to_where_it_has_no_business__is_refused(void **state)
{
    static const char *const urls[] = {
        "http://169.254.169.254/latest/meta-data/",
        "http://169.254.1.1/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0.0.0.0:10443/",
        "http://0/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://224.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:25/_HELO",
        "dict://127.0.0.1:11211/stats",
        "ftp://h.example/",
        "http://255.255.255.255/",
    };
    static const char *const hosts[] = {"169.254.169.254", "0.0.0.0", "fe80::1", "::ffff:169.254.169.254"};
    char body[400];

    RIG_OF(state, r);
    for (size_t i = 0; i < BDR_COUNT(urls); i++) {
        unsigned status = 0;

        snprintf(body, sizeof(body), "{\"name\":\"n\",\"kind\":\"webhook\",\"url\":\"%s\"}", urls[i]);
        json_decref(rig_call(r, r->admin, "POST", "/v1/channels", body, &status));
        if (status != 422)
            fail_msg("%s: %u", urls[i], status);
    }
    for (size_t i = 0; i < BDR_COUNT(hosts); i++) {
        snprintf(body, sizeof(body), "{\"name\":\"n\",\"kind\":\"syslog\",\"host\":\"%s\"}", hosts[i]);
        json_decref(rig_want(r, r->admin, 422, "POST", "/v1/channels", body));
        snprintf(body, sizeof(body),
                 "{\"name\":\"n\",\"kind\":\"mail\",\"host\":\"%s\",\"from\":\"a@b.example\",\"to\":[\"c@d.example\"]}",
                 hosts[i]);
        json_decref(rig_want(r, r->admin, 422, "POST", "/v1/channels", body));
    }
}

/* A name is looked at when it is used: here one that somebody made lead to the console's own machine. */
static void test_channel__a_name_that_leads_home__is_not_followed(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    BDR_AUTO(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char body[300], path[64];
    json_t *v;

    RIG_OF(state, r);
    assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)&a, len) && !listen(fd, 5) &&
                !getsockname(fd, (struct sockaddr *)&a, &len));
    for (int i = 0; i < 2; i++) {
        if (i) /* libcurl has all of .localhost lead there, as a resolver may any name */
            snprintf(body, sizeof(body),
                     "{\"name\":\"m\",\"kind\":\"mail\",\"host\":\"evil.localhost\",\"port\":%u,"
                     "\"from\":\"a@b.example\",\"to\":[\"c@d.example\"]}",
                     ntohs(a.sin_port));
        else
            snprintf(body, sizeof(body), "{\"name\":\"w\",\"kind\":\"webhook\",\"url\":\"http://evil.localhost:%u/\"}",
                     ntohs(a.sin_port));
        v = rig_want(r, r->admin, 201, "POST", "/v1/channels", body);
        snprintf(path, sizeof(path), "/v1/channels/%lld/test", (long long)rig_int(v, "/id"));
        json_decref(v);
        v = rig_want(r, r->admin, 200, "POST", path, NULL);
        assert_string_equal(rig_at(v, "/delivered"), "false");
        if (!strstr(rig_at(v, "/error"), "the console's own"))
            fail_msg("%s", rig_at(v, "/error"));
        json_decref(v);
    }
    assert_int_equal(poll(&p, 1, 0), 0); /* nobody came */
}

static void test_address__kinds__are_told_apart(void **state)
{
    static const struct {
        const char *host;
        bool refused;
    } rows[] = {
        {"192.0.2.1", false},    {"10.0.0.1", false},    {"172.16.3.4", false},    {"127.0.0.1", false},
        {"::1", false},          {"[::1]", false},       {"2001:db8::1", false},   {"fd00::1", false},
        {"mail.example", false}, {"169.253.1.1", false}, {"169.254.0.1", true},    {"0.1.2.3", true},
        {"239.1.1.1", true},     {"fe80::1%eth0", true}, {"febf::1", true},        {"fec0::1", false},
        {"ff02::1", true},       {"::", true},           {"::ffff:0.0.0.0", true}, {"168.63.129.16", true},
    };
    struct sockaddr_in home = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        if (!!bdr_host_refused(rows[i].host) != rows[i].refused)
            fail_msg("%s", rows[i].host);
    assert_null(bdr_address_refused((struct sockaddr *)&home, "localhost"));
    assert_null(bdr_address_refused((struct sockaddr *)&home, "127.0.0.53"));
    assert_non_null(bdr_address_refused((struct sockaddr *)&home, "localhost.evil.example"));
    assert_non_null(bdr_address_refused((struct sockaddr *)&home, "127.0.0.1.evil.example"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_csrf__a_page_of_another_site__changes_nothing),
        RIG(test_cookies__leave_with_nobody_else),
        RIG(test_session__that_somebody_else_chose__is_not_the_one),
        RIG(test_token__stolen__gives_no_more_than_it_is),
        RIG(test_login__a_name_that_is_not_there__costs_as_much),
        RIG(test_lock__by_strangers__does_not_keep_out_whoever_was_there_before),
        RIG(test_device__ends_with_the_password),
        RIG(test_totp__a_code_that_was_seen__is_worth_nothing),
        RIG(test_channel__to_where_it_has_no_business__is_refused),
        RIG(test_channel__a_name_that_leads_home__is_not_followed),
        cmocka_unit_test(test_address__kinds__are_told_apart),
    };

    return cmocka_run_group_tests_name("console-attack", tests, NULL, NULL);
}
