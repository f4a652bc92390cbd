/* SPDX-License-Identifier: Apache-2.0 */
/* machine_join.c - how a machine becomes one of ours: enrolment with a one-time token, and its next certificates. */
#include "api/machine.h"
#include "auth/limit.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "rules/machine.h"
#include <stdio.h>
#include <string.h>

/* A good token is its own limit: it is used up. All other tries of an address count together. */
static const struct bdr_rate_rule enrol_rule = {20, 3000}, renew_rule = {6, 600000};
#define CERT_KEEP_MS (90 * 86400000ll)

static const char *kind_name(int kind)
{
    for (const struct bdr_choice *c = bdr_machine_kinds; c->name; c++)
        if (c->value == kind)
            return c->name;
    return "";
}

/* ---- enrolment ---- */

struct enrol {
    struct bdr_req *req;
    const struct bdr_enrol_in *in;
    struct bdr_enrol e;
    int64_t good, wait_ms, machine_id, host_id;
    char key[128];
    const char *note; /* audit */
};

/* Is the token good? If not, the address has one try less. */
static struct bdr_err *enrol_look(struct bdr_tx *tx, void *ctx)
{
    struct enrol *e = ctx;
    uint8_t hash[32];

    e->good = 0;
    e->wait_ms = 0;
    if (bdr_token_hash(BDR_TOKEN_ENROL, e->in->token, hash))
        BDR_TRY(bdr_q_enrolment_good(tx, (struct bdr_blob){hash, sizeof(hash)}, e->e.kind, e->e.now_ms, &e->good));
    return e->good ? NULL : bdr_rate_take(tx, e->key, &enrol_rule, e->e.now_ms, &e->wait_ms);
}

static struct bdr_err *enrol_failed(struct bdr_tx *tx, void *ctx)
{
    struct enrol *e = ctx;

    return bdr_rate_take(tx, e->key, &enrol_rule, e->e.now_ms, &e->wait_ms);
}

static struct bdr_err *enrol_do(struct bdr_tx *tx, void *ctx)
{
    struct enrol *e = ctx;
    char id[24];

    BDR_TRY(bdr_enrol(tx, &e->e, &e->machine_id, &e->host_id));
    snprintf(id, sizeof(id), "%lld", (long long)e->machine_id);
    return bdr_audit_add(tx, api_console(e->req)->ring,
                         &(struct bdr_audit){.at_ms = e->e.now_ms,
                                             .actor = e->e.uuid,
                                             .actor_kind = "machine",
                                             .addr = e->e.addr,
                                             .action = "machine.enrol",
                                             .object = "machine",
                                             .object_id = id,
                                             .after = e->note});
}

/* "https://gw1:443/" as "gw1:443". */
static struct bdr_err *gateway_place(struct bdr_req *req, const char *url, const char **out)
{
    const char *host = url ? url + strlen("https://") : bdr_req_remote(req);
    size_t len;

    if (url && strncmp(url, "https://", 8) != 0) {
        bdr_req_fault(req, "/url", BDR_INVAL, "begins with https://");
        BDR_REFUSE(req, BDR_INVAL, "A gateway is reached by HTTPS; give its URL as https://NAME:PORT.");
    }
    len = strcspn(host, "/?#@");
    if (!len || (url && host[len] && host[len + 1])) {
        bdr_req_fault(req, "/url", BDR_INVAL, "is more than https://NAME:PORT");
        BDR_REFUSE(req, BDR_INVAL, "Give the gateway's URL as https://NAME:PORT, without a path.");
    }
    *out = !url && strchr(host, ':') ? bdr_arena_printf(bdr_req_arena(req), "[%s]", host)
                                     : bdr_arena_text(bdr_req_arena(req), host, len);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

/* "gw1:443", "[2001:db8::1]:443" without the port: what its certificate has to name. */
static struct bdr_err *gateway_name(struct bdr_req *req, const char *place, const char **out)
{
    const char *from = *place == '[' ? place + 1 : place;
    size_t len = *place == '[' ? strcspn(from, "]") : strcspn(from, ":");

    *out = bdr_arena_text(bdr_req_arena(req), from, len);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

static struct bdr_err *note_of(struct bdr_req *req, const struct bdr_enrol *e, const char **out)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    bdr_buf_printf(&b, "{\"kind\":");
    bdr_json_put_text(&b, e->kind);
    bdr_buf_printf(&b, ",\"name\":");
    bdr_json_put_text(&b, e->name);
    bdr_buf_printf(&b, ",\"serial\":");
    bdr_json_put_text(&b, e->serial);
    bdr_buf_u8(&b, '}');
    BDR_TRY(bdr_buf_check(&b));
    *out = bdr_arena_text(bdr_req_arena(req), (char *)b.data, b.len);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

static struct bdr_err *throttled(struct bdr_req *req, int64_t wait_ms)
{
    char wait[24];

    snprintf(wait, sizeof(wait), "%lld", (long long)(wait_ms + 999) / 1000);
    BDR_TRY(bdr_req_set_header(req, "Retry-After", wait));
    BDR_REFUSE(req, BDR_THROTTLED, "Too many tries from this address; wait %s seconds.", wait);
}

/* The certificate is signed before the transaction: nothing is kept of it when the token turns out to be used up. */
static struct bdr_err *sign(struct bdr_req *req, const char *csr, const struct bdr_machine_spec *spec, char **out_pem,
                            struct bdr_cert_info *out)
{
    struct bdr_err *err = bdr_ca_issue_machine(api_console(req)->ca, csr, strlen(csr), spec, out_pem, out);

    if (err && err->code == BDR_INVAL)
        bdr_req_fault(req, "/csr", BDR_INVAL, "%s", err->msg);
    return api_refusal(req, err);
}

static struct bdr_err *enrol_sign(struct bdr_req *req, struct enrol *e, const char *uuid, char **out_pem,
                                  struct bdr_cert_info *out)
{
    struct bdr_machine_spec spec = {.machine = uuid, .role = e->e.kind};
    struct bdr_err *err;

    if (e->e.https)
        BDR_TRY(gateway_name(req, e->e.https, &spec.server));
    err = sign(req, e->in->csr, &spec, out_pem, out);
    if (err)
        bdr_err_drop(bdr_db_run(api_console(req)->db, BDR_TX_LOCK, enrol_failed, e), "only a count of tries");
    return err;
}

static struct bdr_err *enrol(struct bdr_req *req, const void *body, void *answer)
{
    struct bdr_console *c = api_console(req);
    const struct bdr_enrol_in *in = body;
    struct bdr_enrol_out *out = answer;
    struct enrol e = {.req = req, .in = in};
    struct bdr_cert_info info;
    uint8_t raw[16], print[32];
    char uuid[33], event[64];
    char *pem = NULL;

    e.e = (struct bdr_enrol){.token = in->token,
                             .kind = kind_name(in->kind),
                             .name = in->name,
                             .addr = bdr_req_remote(req),
                             .os = in->os ? in->os : "",
                             .version = in->version ? in->version : "",
                             .identity = in->identity,
                             .now_ms = api_now()};
    snprintf(e.key, sizeof(e.key), "enrol addr %.100s", e.e.addr);
    BDR_TRY(bdr_db_run(c->db, BDR_TX_LOCK, enrol_look, &e));
    if (e.wait_ms)
        return throttled(req, e.wait_ms);
    if (!e.good)
        BDR_REFUSE(req, BDR_DENIED,
                   "The enrolment token is unknown, was used before, has expired, or is not for a machine of kind %s; "
                   "copy a new install command from the console.",
                   e.e.kind);
    if (in->kind == BDR_MACHINE_GATEWAY)
        BDR_TRY(gateway_place(req, in->url, &e.e.https));
    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    e.e.uuid = bdr_hex(raw, sizeof(raw), uuid);
    BDR_TRY(enrol_sign(req, &e, uuid, &pem, &info));
    BDR_TRY(bdr_arena_defer(bdr_req_arena(req), free, pem));
    BDR_ASSERT(bdr_unhex(info.fingerprint, print, sizeof(print)));
    e.e.serial = info.serial;
    e.e.sha256 = (struct bdr_blob){print, sizeof(print)};
    e.e.expires_ms = info.not_after_ms;
    BDR_TRY(note_of(req, &e.e, &e.note));
    BDR_TRY(api_run(req, BDR_TX_LOCK, enrol_do, &e));
    out->machine = bdr_arena_text(bdr_req_arena(req), uuid, strlen(uuid));
    BDR_NOMEM_IF_NULL(out->machine);
    out->certificate = pem;
    out->ca = bdr_ca_pem(c->ca);
    out->expires = info.not_after_ms;
    out->host = (uint64_t)e.host_id;
    snprintf(event, sizeof(event), "{\"id\":%lld,\"what\":\"added\"}", (long long)e.machine_id);
    bdr_hub_tell(c->hub, "machine", event);
    if (e.host_id) {
        snprintf(event, sizeof(event), "{\"id\":%lld,\"what\":\"changed\"}", (long long)e.host_id);
        bdr_hub_tell(c->hub, "host", event);
    }
    BDR_LOG(INFO, "machine.enrolled", F_STR("kind", e.e.kind), F_STR("machine", uuid), F_STR("name", e.e.name));
    return NULL;
}

/* ---- renewal ---- */

struct renew {
    struct bdr_req *req;
    struct bdr_cert_info info;
    int64_t now_ms, wait_ms;
    char key[128];
};

static struct bdr_err *renew_rate(struct bdr_tx *tx, void *ctx)
{
    struct renew *r = ctx;

    return bdr_rate_take(tx, r->key, &renew_rule, r->now_ms, &r->wait_ms);
}

static struct bdr_err *renew_do(struct bdr_tx *tx, void *ctx)
{
    struct renew *r = ctx;
    const int64_t id = machine_id(r->req);
    BDR_AUTO(mem) struct bdr_row_machine *m = NULL;
    uint8_t print[32];
    int64_t locked, forgotten;
    bool found = false;

    BDR_ASSERT(bdr_unhex(r->info.fingerprint, print, sizeof(print)));
    /* the row is held: whoever revokes the machine now waits, and then finds this certificate, too */
    BDR_TRY(bdr_q_machine_lock(tx, id, &locked, &found));
    if (found)
        BDR_TRY(bdr_q_machine_get(tx, id, &m));
    if (!m || m->revoked_ms)
        BDR_FAIL(BDR_DENIED, 0, "this machine's access was ended at the console");
    BDR_TRY(bdr_q_certificate_forget(tx, id, r->now_ms - CERT_KEEP_MS, &forgotten));
    return bdr_q_certificate_add(tx, &(struct bdr_in_certificate_add){
                                         r->info.serial, id, {print, sizeof(print)}, r->now_ms, r->info.not_after_ms});
}

/* A gateway's certificate names where it serves now: it may have been moved since the last one. */
static struct bdr_err *renew_server(struct bdr_req *req, const char **out)
{
    BDR_AUTO(mem) struct bdr_row_gateway_get *g = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    if (strcmp(api_who(req)->machine.kind, "gateway") != 0)
        return NULL;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_gateway_get(tx, machine_id(req), &g));
    return g && *g->https ? gateway_name(req, g->https, out) : NULL;
}

static struct bdr_err *renew(struct bdr_req *req, const void *body, void *answer)
{
    struct bdr_console *c = api_console(req);
    const struct bdr_row_machine *m = &api_who(req)->machine;
    const struct bdr_renew_in *in = body;
    struct bdr_renew_out *out = answer;
    struct renew r = {.req = req, .now_ms = api_now()};
    struct bdr_machine_spec spec = {.machine = m->uuid, .role = m->kind};
    char *pem = NULL;

    snprintf(r.key, sizeof(r.key), "renew %.100s", m->uuid);
    BDR_TRY(bdr_db_run(c->db, BDR_TX_LOCK, renew_rate, &r));
    if (r.wait_ms)
        return throttled(req, r.wait_ms);
    BDR_TRY(renew_server(req, &spec.server));
    BDR_TRY(sign(req, in->csr, &spec, &pem, &r.info));
    BDR_TRY(bdr_arena_defer(bdr_req_arena(req), free, pem));
    BDR_TRY(api_run(req, BDR_TX_LOCK, renew_do, &r));
    *out = (struct bdr_renew_out){pem, bdr_ca_pem(c->ca), r.info.not_after_ms};
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_POST,
     .path = "/v1/enrol",
     .flags = BDR_R_ANONYMOUS,
     .in = &bdr_enrol_in_shape,
     .out = &bdr_enrol_out_shape,
     .status = 201,
     .run = enrol,
     .help = "Join with a one-time token: a certificate for the key of the request.",
     .help_zh = "使用一次性令牌接入"},
    {.method = BDR_POST,
     .path = "/v1/machine/certificate",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .in = &bdr_renew_in_shape,
     .out = &bdr_renew_out_shape,
     .run = renew,
     .help = "The next certificate.",
     .help_zh = "证书续期"},
};
const struct bdr_route_table api_machine_join_table = BDR_ROUTES("machine", rows);
