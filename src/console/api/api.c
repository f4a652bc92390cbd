/* SPDX-License-Identifier: Apache-2.0 */
/* api.c - who asks and whether they may; errors for people; the audit row of a change; pages. */
#include "api/api.h"
#include "auth/token.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "streams.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define COOKIE "bdr_session="

int64_t api_now(void)
{
    return bdr_clock_wall_ms();
}

/* ---- who asks ---- */

static enum bdr_role verb_role(const char *verb)
{
    static const struct {
        const char *verb;
        enum bdr_role role;
    } rows[] = {{"self", BDR_ROLE_VIEWER},
                {"read", BDR_ROLE_VIEWER},
                {"operate", BDR_ROLE_OPERATOR},
                {"admin", BDR_ROLE_ADMIN}};

    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        if (!strcmp(rows[i].verb, verb))
            return rows[i].role;
    return BDR_ROLE_NONE;
}

/* The cookie's value among others; NULL when it is not there. */
static const char *cookie_of(struct bdr_req *req)
{
    const char *at = bdr_req_header(req, "Cookie");

    while (at && *at) {
        at += strspn(at, "; ");
        if (!strncmp(at, COOKIE, strlen(COOKIE)))
            return bdr_arena_text(bdr_req_arena(req), at + strlen(COOKIE), strcspn(at + strlen(COOKIE), ";"));
        at += strcspn(at, ";");
    }
    return NULL;
}

static struct bdr_err *who_machine(struct bdr_console *c, struct bdr_req *req, struct api_who *who)
{
    const struct bdr_cert_info *peer = bdr_req_peer(req);
    BDR_AUTO(mem) struct bdr_row_machine *m = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    uint8_t print[32];

    for (size_t i = 0; i < sizeof(print); i++) {
        unsigned byte = 0;

        BDR_ASSERT(sscanf(peer->fingerprint + 2 * i, "%2x", &byte) == 1);
        print[i] = (uint8_t)byte;
    }
    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_certificate_who(tx, (struct bdr_blob){print, sizeof(print)}, api_now(), &m));
    if (!m)
        BDR_REFUSE(
            req, BDR_AUTH,
            "This machine's access was ended at the console. Remove it here, or enrol it again with a new token.");
    who->machine = *m;
    who->machine.uuid = bdr_arena_text(bdr_req_arena(req), m->uuid, strlen(m->uuid));
    who->machine.kind = bdr_arena_text(bdr_req_arena(req), m->kind, strlen(m->kind));
    who->machine.name = bdr_arena_text(bdr_req_arena(req), m->name, strlen(m->name));
    who->machine.addr = bdr_arena_text(bdr_req_arena(req), m->addr, strlen(m->addr));
    who->machine.os = bdr_arena_text(bdr_req_arena(req), m->os, strlen(m->os));
    who->machine.version = bdr_arena_text(bdr_req_arena(req), m->version, strlen(m->version));
    if (!who->machine.uuid || !who->machine.kind || !who->machine.name || !who->machine.addr || !who->machine.os ||
        !who->machine.version)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    snprintf(who->serial, sizeof(who->serial), "%s", peer->serial);
    bdr_req_set_who(req, who->machine.uuid, who);
    return NULL;
}

/* A page of another site can make a browser send the cookie, but not this header; and new browsers say whose page it is. */
static bool from_our_page(struct bdr_req *req)
{
    const char *site = bdr_req_header(req, "Sec-Fetch-Site");

    if (site && !strcmp(site, "cross-site") && strcmp(bdr_req_method(req), "GET") != 0)
        return false;
    return !strcmp(bdr_req_method(req), "GET") || !strcmp(bdr_req_method(req), "HEAD") ||
           bdr_req_header(req, "X-Requested-With") != NULL;
}

static struct bdr_err *who_person(struct bdr_console *c, struct bdr_req *req, struct api_who *who)
{
    const char *auth = bdr_req_header(req, "Authorization"), *cookie = cookie_of(req);
    const char *agent = bdr_req_header(req, "User-Agent");
    const struct bdr_login_from from = {
        .addr = bdr_req_remote(req), .agent = agent ? agent : "", .now_ms = api_now()};

    if (auth && !strncasecmp(auth, "Bearer ", 7)) {
        auth += 7 + strspn(auth + 7, " ");
        BDR_TRY(bdr_who_token(c->db, auth, &from, &who->person));
        who->key.token = bdr_token_hash(BDR_TOKEN_API, auth, who->key.hash);
    } else if (cookie && from_our_page(req)) {
        BDR_TRY(bdr_who_session(c->db, cookie, &from, &who->person));
        (void)bdr_token_hash(BDR_TOKEN_SESSION, cookie, who->key.hash);
    } else if (cookie)
        BDR_REFUSE(req, BDR_DENIED,
                   "A change asked for with the session's cookie needs the header X-Requested-With: bdr.");
    if (who->person.role == BDR_ROLE_NONE)
        BDR_REFUSE(req, BDR_AUTH, "%s",
                   auth || cookie ? "The session or token is not valid any more: log in again."
                                  : "Log in (POST /v1/session), or send an API token as Authorization: Bearer.");
    who->key.role = who->person.role;
    bdr_req_set_who(req, bdr_arena_text(bdr_req_arena(req), who->person.name, strlen(who->person.name)), who);
    return NULL;
}

struct bdr_err *api_authorise(void *ctx, struct bdr_req *req, const struct bdr_route *route, const char *perm)
{
    struct api_who *who = bdr_arena_alloc(bdr_req_arena(req), sizeof(*who));
    const char *verb = strchr(perm, ':');
    char area[32];

    BDR_NOMEM_IF_NULL(who);
    if (route->flags & BDR_R_MACHINE)
        return who_machine(ctx, req, who);
    BDR_TRY(who_person(ctx, req, who));
    BDR_ASSERT(verb && (size_t)(verb - perm) < sizeof(area) && verb_role(verb + 1) != BDR_ROLE_NONE);
    snprintf(area, sizeof(area), "%.*s", (int)(verb - perm), perm);
    if (!strcmp(verb, ":self"))
        return NULL;
    if (who->person.must_change)
        BDR_REFUSE(req, BDR_DENIED, "Choose a password of your own first (PUT /v1/session/password).");
    if (!bdr_who_may(&who->person, verb_role(verb + 1), area, verb + 1))
        BDR_REFUSE(req, BDR_DENIED, "This needs the role %s%s.", bdr_role_name(verb_role(verb + 1)),
                   who->person.token_id ? " and a token with the scope for it" : "");
    return NULL;
}

void api_streams_review(struct bdr_req *req)
{
    struct bdr_err *err = bdr_streams_review(api_console(req), api_now());

    if (err)
        BDR_LOG(WARN, "console.streams-review", F_ERR(err));
    bdr_err_drop(err, "the tick of the next two seconds looks again");
}

/* ---- transactions and errors ---- */

struct bdr_err *api_refusal(struct bdr_req *req, struct bdr_err *err)
{
    static const enum bdr_code shown[] = {BDR_NOTFOUND, BDR_EXISTS, BDR_CONFLICT, BDR_INVAL,
                                          BDR_DENIED,   BDR_RANGE,  BDR_FENCED};
    char text[512] = "";
    enum bdr_code code;

    if (!err || bdr_req_answered(req))
        return err;
    for (size_t i = 0; i < BDR_COUNT(shown); i++)
        if (err->code == shown[i]) {
            for (const struct bdr_err *e = err; e; e = e->cause) {
                size_t n = strlen(text);

                snprintf(text + n, sizeof(text) - n, "%s%s", n ? ": " : "", e->msg);
            }
            code = err->code;
            bdr_err_drop(err, "told to who asked");
            return bdr_req_refuse(req, code, BDR_AT, "%s", text);
        }
    return err;
}

struct bdr_err *api_run(struct bdr_req *req, enum bdr_tx_kind kind, struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx),
                        void *ctx)
{
    return api_refusal(req, bdr_db_run(api_console(req)->db, kind, fn, ctx));
}

static const char *actor_kind(const struct api_who *who)
{
    return !who ? "nobody" : who->machine.id ? "machine" : who->person.token_id ? "token" : "account";
}

struct bdr_err *api_audit(struct bdr_tx *tx, struct bdr_req *req, const char *action, const char *object,
                          int64_t object_id, const struct bdr_shape *shape, const void *before, const void *after)
{
    return api_audit_as(tx, req, NULL, action, object, object_id, shape, before, after);
}

struct bdr_err *api_audit_as(struct bdr_tx *tx, struct bdr_req *req, const char *account, const char *action,
                             const char *object, int64_t object_id, const struct bdr_shape *shape, const void *before,
                             const void *after)
{
    const struct api_who *who = api_who(req);
    BDR_AUTO(buf) struct bdr_buf was = {0};
    BDR_AUTO(buf) struct bdr_buf now = {0};
    char id[24];

    snprintf(id, sizeof(id), "%lld", (long long)object_id);
    if (before)
        BDR_TRY(bdr_shape_write(shape, BDR_SHAPE_RESPONSE, before, &was));
    if (after)
        BDR_TRY(bdr_shape_write(shape, BDR_SHAPE_RESPONSE, after, &now));
    return bdr_audit_add(tx, api_console(req)->ring,
                         &(struct bdr_audit){
                             .at_ms = api_now(),
                             .actor = account ? account
                                      : who   ? bdr_req_who_name(req)
                                              : "",
                             .actor_kind = account ? "account" : actor_kind(who),
                             .addr = bdr_req_remote(req),
                             .action = action,
                             .object = object,
                             .object_id = id,
                             .before = before ? (const char *)was.data : NULL,
                             .after = after ? (const char *)now.data : NULL,
                         });
}

/* ---- pages ---- */

int64_t api_cursor(const struct bdr_req *req, int64_t none)
{
    const char *cursor = bdr_req_page(req)->cursor;
    char *end = NULL;
    long long v = cursor ? strtoll(cursor, &end, 10) : 0;

    return cursor && end != cursor && !*end ? v : none;
}

struct bdr_err *api_page_end(struct bdr_req *req, struct bdr_page *out, int64_t last_id_of_page)
{
    if (out->n <= bdr_req_page(req)->limit)
        return NULL;
    out->n = bdr_req_page(req)->limit;
    out->next = bdr_arena_printf(bdr_req_arena(req), "%lld", (long long)last_id_of_page);
    BDR_NOMEM_IF_NULL(out->next);
    return NULL;
}

const char *api_text(struct bdr_req *req, const char *text)
{
    return text && *text ? bdr_arena_text(bdr_req_arena(req), text, strlen(text)) : NULL;
}
