/* SPDX-License-Identifier: Apache-2.0 */
/* auditlog.c - who changed what: reading the audit log, and checking that nobody edited it. */
#include "api/people.h"
#include <string.h>

struct audit_row {
    uint64_t seq;
    int64_t at;
    const char *actor, *actor_kind, *addr, *action, *object, *object_id;
    json_t *before, *after;
    bool has_before, has_after;
};
static const struct bdr_shape_field audit_fields[] = {
    {BDR_FIELD(struct audit_row, seq), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "1, 2, 3 without a gap.",
     .help_zh = "序号"},
    {BDR_FIELD(struct audit_row, at), .type = BDR_T_TIME, .flags = BDR_F_REQUIRED, .help = "When.", .help_zh = "时间"},
    {BDR_FIELD(struct audit_row, actor), .type = BDR_T_TEXT, .help = "Who.", .help_zh = "操作者"},
    {BDR_FIELD(struct audit_row, actor_kind), .type = BDR_T_TEXT, .help = "account, token, machine, console.",
     .help_zh = "操作者类型"},
    {BDR_FIELD(struct audit_row, addr), .type = BDR_T_TEXT, .help = "From where.", .help_zh = "来源地址"},
    {BDR_FIELD(struct audit_row, action), .type = BDR_T_TEXT, .help = "What: platform.update.", .help_zh = "操作"},
    {BDR_FIELD(struct audit_row, object), .type = BDR_T_TEXT, .help = "On what kind of thing.", .help_zh = "对象类型"},
    {BDR_FIELD(struct audit_row, object_id), .type = BDR_T_TEXT, .help = "Which one.", .help_zh = "对象"},
    {BDR_FIELD_HAS(struct audit_row, before), .type = BDR_T_JSON, .help = "What it was, without secrets.",
     .help_zh = "修改前"},
    {BDR_FIELD_HAS(struct audit_row, after), .type = BDR_T_JSON, .help = "What it is.", .help_zh = "修改后"},
    {.name = NULL},
};
static const struct bdr_shape audit_shape = {
    .name = "AuditRow", .size = sizeof(struct audit_row), .fields = audit_fields};

struct audit_filter {
    const char *actor, *action, *object, *object_id;
    int64_t from, until;
    bool has_from, has_until;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct audit_filter, actor), .type = BDR_T_TEXT, .len_max = 127, .help = "By whom.",
     .help_zh = "操作者"},
    {BDR_FIELD(struct audit_filter, action), .type = BDR_T_TEXT, .len_max = 64, .help = "What begins so: user.",
     .help_zh = "操作前缀"},
    {BDR_FIELD(struct audit_filter, object), .type = BDR_T_TEXT, .len_max = 64, .help = "On what kind of thing.",
     .help_zh = "对象类型"},
    {BDR_FIELD(struct audit_filter, object_id), .type = BDR_T_TEXT, .len_max = 64, .help = "Which one.",
     .help_zh = "对象"},
    {BDR_FIELD_HAS(struct audit_filter, from), .type = BDR_T_TIME, .help = "From then on.", .help_zh = "起始时间"},
    {BDR_FIELD_HAS(struct audit_filter, until), .type = BDR_T_TIME, .help = "Before then.", .help_zh = "截止时间"},
    {.name = NULL},
};
static const struct bdr_shape filter_shape = {
    .name = "AuditFilter", .size = sizeof(struct audit_filter), .fields = filter_fields};

static void json_free(void *p)
{
    json_decref(p);
}

/* What we wrote ourselves; a row that somebody edited may hold anything, and is shown without. */
static struct bdr_err *json_of(struct bdr_req *req, const char *text, json_t **out, bool *has)
{
    struct bdr_err *err = text ? bdr_json_read(text, strlen(text), out) : NULL;

    *has = text && !err && json_is_object(*out);
    if (err && err->code == BDR_INVAL) {
        bdr_err_drop(err, "verify says that it was edited");
        return NULL;
    }
    BDR_TRY(err);
    return text ? bdr_arena_defer(bdr_req_arena(req), json_free, *out) : NULL;
}

static struct bdr_err *list(struct bdr_req *req, const void *in, void *answer)
{
    const struct audit_filter *f = bdr_req_filter(req);
    size_t n = 0, limit = bdr_req_page(req)->limit;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_audit *row = NULL;
    struct bdr_page *page = answer;
    struct audit_row *item;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_audit_search(tx,
                               &(struct bdr_in_audit_search){.before_seq = api_cursor(req, INT64_MAX),
                                                             .actor = f->actor ? f->actor : "",
                                                             .action = f->action ? f->action : "",
                                                             .object = f->object ? f->object : "",
                                                             .object_id = f->object_id ? f->object_id : "",
                                                             .from_ms = f->has_from ? f->from : 0,
                                                             .until_ms = f->has_until ? f->until : INT64_MAX,
                                                             .limit = (int64_t)limit + 1},
                               &row, &n));
    BDR_TRY(people_keep(req, row));
    item = bdr_arena_alloc(bdr_req_arena(req), BDR_MAX(n, (size_t)1) * sizeof(*item));
    BDR_NOMEM_IF_NULL(item);
    for (size_t i = 0; i < n; i++) {
        item[i] = (struct audit_row){.seq = (uint64_t)row[i].seq,
                                     .at = row[i].at_ms,
                                     .actor = row[i].actor,
                                     .actor_kind = row[i].actor_kind,
                                     .addr = *row[i].addr ? row[i].addr : NULL,
                                     .action = row[i].action,
                                     .object = row[i].object,
                                     .object_id = row[i].object_id};
        BDR_TRY(json_of(req, row[i].before, &item[i].before, &item[i].has_before));
        BDR_TRY(json_of(req, row[i].after, &item[i].after, &item[i].has_after));
    }
    *page = (struct bdr_page){.items = item, .n = n};
    return api_page_end(req, page, n > limit ? row[limit - 1].seq : 0);
}

struct verify_filter {
    const char *hash;
    uint64_t seq;
};
static const struct bdr_shape_field verify_in_fields[] = {
    {BDR_FIELD(struct verify_filter, seq), .type = BDR_T_U64, .help = "A head that was written down elsewhere ...",
     .help_zh = "已记录的序号"},
    {BDR_FIELD(struct verify_filter, hash), .type = BDR_T_ID, .len_max = 64, .help = "... has to be in the chain.",
     .help_zh = "已记录的摘要"},
    {.name = NULL},
};
static const struct bdr_shape verify_in_shape = {
    .name = "AuditVerify", .size = sizeof(struct verify_filter), .fields = verify_in_fields};

struct verified {
    bool ok;
    uint64_t rows;
    const char *hash, *text;
};
static const struct bdr_shape_field verified_fields[] = {
    {BDR_FIELD(struct verified, ok), .type = BDR_T_BOOL, .help = "Nobody edited it.", .help_zh = "完整"},
    {BDR_FIELD(struct verified, rows), .type = BDR_T_U64, .help = "Rows that fit.", .help_zh = "行数"},
    {BDR_FIELD(struct verified, hash), .type = BDR_T_TEXT, .help = "Of the newest; write it down elsewhere.",
     .help_zh = "最新摘要"},
    {BDR_FIELD(struct verified, text), .type = BDR_T_TEXT, .help = "What does not fit.", .help_zh = "说明"},
    {.name = NULL},
};
static const struct bdr_shape verified_shape = {
    .name = "AuditVerified", .size = sizeof(struct verified), .fields = verified_fields};

static struct bdr_err *verify(struct bdr_req *req, const void *in, void *answer)
{
    const struct verify_filter *f = bdr_req_filter(req);
    struct bdr_audit_head known = {.seq = (int64_t)f->seq}, head = {0};
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct verified *out = answer;
    struct bdr_err *err;
    char text[512], hex[65];

    (void)in;
    if (f->hash && (!f->seq || !bdr_unhex(f->hash, known.hash, sizeof(known.hash)))) {
        bdr_req_fault(req, "?hash", BDR_INVAL, "is no hash of 64 hex digits with its seq");
        BDR_FAIL(BDR_INVAL, 0, "hash");
    }
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    err = bdr_audit_verify(tx, api_console(req)->ring, f->hash ? &known : NULL, &head);
    if (err && err->code != BDR_CORRUPT)
        return err;
    out->ok = !err;
    if (err)
        out->text = api_text(req, bdr_err_text(err, text, sizeof(text)));
    bdr_err_drop(err, "it is the answer");
    out->rows = (uint64_t)head.seq;
    out->hash = api_text(req, out->ok && head.seq ? bdr_hex(head.hash, sizeof(head.hash), hex) : "");
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/v1/audit",
     .perm = "audit:admin",
     .flags = BDR_R_LIST,
     .query = &filter_shape,
     .out = &audit_shape,
     .run = list,
     .cli = "audit list",
     .help = "Who changed what, newest first.",
     .help_zh = "审计日志"},
    {.method = BDR_GET,
     .path = "/v1/audit/verify",
     .perm = "audit:admin",
     .query = &verify_in_shape,
     .out = &verified_shape,
     .run = verify,
     .cli = "audit verify",
     .help = "Was the audit log edited?",
     .help_zh = "校验审计日志"},
};
const struct bdr_route_table api_audit_table = BDR_ROUTES("audit", rows);
