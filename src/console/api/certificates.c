/* SPDX-License-Identifier: Apache-2.0 */
/* certificates.c - our CA, the machines that have certificates of it, and ending a machine's access. */
#include "api/people.h"
#include "jobs/jobs.h"
#include "revoked.h"
#include "rules/machine.h"
#include <string.h>

struct ca_out {
    const char *print, *pem, *serial;
    int64_t expires;
};
static const struct bdr_shape_field ca_fields[] = {
    {BDR_FIELD(struct ca_out, print), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED,
     .help = "SHA-256, as machines compare it.", .help_zh = "根证书指纹"},
    {BDR_FIELD(struct ca_out, pem), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED | BDR_F_LINES, .len_max = 65536,
     .help = "The certificate.", .help_zh = "根证书(PEM)"},
    {BDR_FIELD(struct ca_out, serial), .type = BDR_T_TEXT, .help = "Its serial number.", .help_zh = "序列号"},
    {BDR_FIELD(struct ca_out, expires), .type = BDR_T_TIME, .help = "When it ends.", .help_zh = "到期时间"},
    {.name = NULL},
};
static const struct bdr_shape ca_shape = {.name = "Ca", .size = sizeof(struct ca_out), .fields = ca_fields};

static struct bdr_err *ca(struct bdr_req *req, const void *in, void *answer)
{
    const struct bdr_ca *ours = api_console(req)->ca;
    struct ca_out *out = answer;
    char print[104];

    (void)in;
    out->print = api_text(req, bdr_fingerprint_text(bdr_ca_info(ours)->fingerprint, print));
    BDR_NOMEM_IF_NULL(out->print);
    out->pem = bdr_ca_pem(ours);
    out->serial = bdr_ca_info(ours)->serial;
    out->expires = bdr_ca_info(ours)->not_after_ms;
    return NULL;
}

static struct bdr_err *ca_pem(struct bdr_req *req, const void *in, void *out)
{
    const char *pem = bdr_ca_pem(api_console(req)->ca);

    (void)in, (void)out;
    BDR_TRY(bdr_req_set_header(req, "Content-Disposition", "attachment; filename=\"openbdr-ca.pem\""));
    return bdr_req_send(req, 200, "application/x-pem-file", pem, strlen(pem));
}

struct cert_row {
    uint64_t machine;
    const char *uuid, *kind, *name, *serial, *state;
    int64_t issued, expires, revoked;
    bool has_revoked;
};
static const struct bdr_shape_field cert_fields[] = {
    {BDR_FIELD(struct cert_row, machine), .type = BDR_T_U64, .flags = BDR_F_REQUIRED,
     .help = "Whose: the machine's id.", .help_zh = "机器"},
    {BDR_FIELD(struct cert_row, uuid), .type = BDR_T_TEXT, .help = "Its name in the certificate.",
     .help_zh = "机器标识"},
    {BDR_FIELD(struct cert_row, kind), .type = BDR_T_TEXT, .help = "agent, proxy or gateway.", .help_zh = "类型"},
    {BDR_FIELD(struct cert_row, name), .type = BDR_T_TEXT, .help = "Its name.", .help_zh = "名称"},
    {BDR_FIELD(struct cert_row, serial), .type = BDR_T_TEXT, .help = "Serial number.", .help_zh = "序列号"},
    {BDR_FIELD(struct cert_row, state), .type = BDR_T_TEXT, .help = "good, expired or revoked.", .help_zh = "状态"},
    {BDR_FIELD(struct cert_row, issued), .type = BDR_T_TIME, .help = "Made.", .help_zh = "签发时间"},
    {BDR_FIELD(struct cert_row, expires), .type = BDR_T_TIME, .help = "Ends.", .help_zh = "到期时间"},
    {BDR_FIELD_HAS(struct cert_row, revoked), .type = BDR_T_TIME, .help = "When it was revoked.",
     .help_zh = "吊销时间"},
    {.name = NULL},
};
static const struct bdr_shape cert_shape = {
    .name = "Certificate", .size = sizeof(struct cert_row), .fields = cert_fields};

struct cert_filter {
    int kind;
    bool has_kind;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD_HAS(struct cert_filter, kind), .type = BDR_T_ENUM, .choices = bdr_machine_kinds, .help = "Of this kind.",
     .help_zh = "类型"},
    {.name = NULL},
};
static const struct bdr_shape filter_shape = {
    .name = "CertificateFilter", .size = sizeof(struct cert_filter), .fields = filter_fields};

static const char *kind_name(int kind)
{
    for (const struct bdr_choice *c = bdr_machine_kinds; c->name; c++)
        if (c->value == kind)
            return c->name;
    return "";
}

static const char *state_of(int64_t revoked_ms, int64_t expires_ms, int64_t now_ms)
{
    return revoked_ms ? "revoked" : expires_ms <= now_ms ? "expired" : "good";
}

static struct bdr_err *list(struct bdr_req *req, const void *in, void *answer)
{
    const struct cert_filter *f = bdr_req_filter(req);
    size_t n = 0, limit = bdr_req_page(req)->limit;
    struct bdr_row_certificate_view *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_page *page = answer;
    struct cert_row *item;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_certificate_view(tx, f->has_kind ? kind_name(f->kind) : "", api_cursor(req, 0), (int64_t)limit + 1,
                                   &row, &n));
    BDR_TRY(people_keep(req, row));
    item = bdr_arena_alloc(bdr_req_arena(req), BDR_MAX(n, (size_t)1) * sizeof(*item));
    BDR_NOMEM_IF_NULL(item);
    for (size_t i = 0; i < n; i++)
        item[i] = (struct cert_row){.machine = (uint64_t)row[i].machine_id,
                                    .uuid = row[i].uuid,
                                    .kind = row[i].kind,
                                    .name = row[i].name,
                                    .serial = row[i].serial,
                                    .state = state_of(row[i].revoked_ms, row[i].expires_ms, api_now()),
                                    .issued = row[i].issued_ms,
                                    .expires = row[i].expires_ms,
                                    .revoked = row[i].revoked_ms,
                                    .has_revoked = row[i].revoked_ms > 0};
    *page = (struct bdr_page){.items = item, .n = n};
    return api_page_end(req, page, n > limit ? row[limit - 1].machine_id : 0);
}

static struct bdr_err *of_machine(struct bdr_req *req, const void *in, void *answer)
{
    const int64_t id = (int64_t)bdr_req_param_u64(req, "id");
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_certificate *row = NULL;
    struct bdr_row_machine *m = NULL;
    struct bdr_page *page = answer;
    struct cert_row *item;
    size_t n = 0;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_machine_get(tx, id, &m));
    BDR_TRY(people_keep(req, m));
    if (!m)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no machine %lld.", (long long)id);
    BDR_TRY(bdr_q_certificate_list(tx, id, &row, &n));
    BDR_TRY(people_keep(req, row));
    n = BDR_MIN(n, (size_t)bdr_req_page(req)->limit);
    item = bdr_arena_alloc(bdr_req_arena(req), BDR_MAX(n, (size_t)1) * sizeof(*item));
    BDR_NOMEM_IF_NULL(item);
    for (size_t i = 0; i < n; i++)
        item[i] = (struct cert_row){.machine = (uint64_t)id,
                                    .uuid = m->uuid,
                                    .kind = m->kind,
                                    .name = m->name,
                                    .serial = row[i].serial,
                                    .state = state_of(row[i].revoked_ms, row[i].expires_ms, api_now()),
                                    .issued = row[i].issued_ms,
                                    .expires = row[i].expires_ms,
                                    .revoked = row[i].revoked_ms,
                                    .has_revoked = row[i].revoked_ms > 0};
    *page = (struct bdr_page){.items = item, .n = n};
    return NULL;
}

/* ---- the end of a machine's access ---- */

struct revoke {
    struct bdr_req *req;
    int64_t id, now_ms;
};

static struct bdr_err *revoke_do(struct bdr_tx *tx, void *ctx)
{
    const struct revoke *r = ctx;
    BDR_AUTO(mem) struct bdr_row_machine *m = NULL;
    struct cert_row was = {.machine = (uint64_t)r->id};
    int64_t locked;
    bool found = false;

    BDR_TRY(bdr_q_machine_lock(tx, r->id, &locked, &found));
    if (found)
        BDR_TRY(bdr_q_machine_get(tx, r->id, &m));
    if (!m)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no machine %lld", (long long)r->id);
    if (m->revoked_ms)
        BDR_FAIL(BDR_CONFLICT, 0, "the access of %s was ended before", m->name);
    BDR_TRY(bdr_machine_shut_out(tx, r->id, r->now_ms));
    was.uuid = m->uuid;
    was.kind = m->kind;
    was.name = m->name;
    was.state = "good";
    return api_audit(tx, r->req, "machine.revoke", "machine", r->id, &cert_shape, &was, NULL);
}

static struct bdr_err *end_access(struct bdr_req *req, const void *in, void *out)
{
    struct revoke r = {req, (int64_t)bdr_req_param_u64(req, "id"), api_now()};

    (void)in, (void)out;
    BDR_TRY(api_run(req, BDR_TX_LOCK, revoke_do, &r));
    /* the other consoles learn it by their tick; its jobs go to others when their leases end */
    BDR_TRY(bdr_revoked_learn(api_console(req), r.now_ms));
    people_tell(req, "machine", r.id, "changed");
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/v1/ca",
     .perm = "certificate:read",
     .out = &ca_shape,
     .run = ca,
     .cli = "ca show",
     .help = "The console's certificate authority.",
     .help_zh = "根证书"},
    {.method = BDR_GET,
     .path = "/v1/ca.pem",
     .flags = BDR_R_ANONYMOUS | BDR_R_STREAM_OUT,
     .out_type = "application/x-pem-file",
     .run = ca_pem,
     .help = "Its certificate, for a browser.",
     .help_zh = "下载根证书"},
    {.method = BDR_GET,
     .path = "/v1/certificates",
     .perm = "certificate:read",
     .flags = BDR_R_LIST,
     .query = &filter_shape,
     .out = &cert_shape,
     .run = list,
     .cli = "certificate list",
     .help = "Machines and their newest certificates.",
     .help_zh = "证书列表"},
    {.method = BDR_GET,
     .path = "/v1/certificates/{id:u64}",
     .perm = "certificate:read",
     .flags = BDR_R_LIST,
     .out = &cert_shape,
     .run = of_machine,
     .cli = "certificate show",
     .help = "All certificates of a machine.",
     .help_zh = "机器证书"},
    {.method = BDR_POST,
     .path = "/v1/certificates/{id:u64}/revoke",
     .perm = "certificate:admin",
     .run = end_access,
     .cli = "certificate revoke",
     .help = "End a machine's access, at once and for good; it would have to enrol again.",
     .help_zh = "吊销机器证书"},
};
const struct bdr_route_table api_certificates_table = BDR_ROUTES("certificate", rows);
