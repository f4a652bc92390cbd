/* SPDX-License-Identifier: Apache-2.0 */
/* enrolments.c - one-time tokens, and the commands that people paste on the machines that join with them. */
#include "api/api.h"
#include "bdr/bytes.h"
#include "bdr/log.h"
#include "packages.h"
#include "rules/machine.h"
#include "settings.h"
#include <stdio.h>
#include <string.h>

#define VALID_S     86400
#define VALID_MAX_S (30 * 86400)

struct enrolment_new {
    int kind;
    const char *note, *url, *data;
    uint32_t valid_s;
};
static const struct bdr_shape_field new_fields[] = {
    {BDR_FIELD(struct enrolment_new, kind), .type = BDR_T_ENUM, .flags = BDR_F_REQUIRED, .choices = bdr_machine_kinds,
     .help = "What may join with it.", .help_zh = "类型"},
    {BDR_FIELD(struct enrolment_new, note), .type = BDR_T_TEXT, .len_max = 255, .help = "What it is for.",
     .help_zh = "备注"},
    {BDR_FIELD(struct enrolment_new, valid_s), .type = BDR_T_U32, .def = "86400", .min = 60, .max = VALID_MAX_S,
     .help = "For how many seconds it may be used.", .help_zh = "有效期(秒)"},
    {BDR_FIELD(struct enrolment_new, url), .type = BDR_T_TEXT, .len_max = 256, .pattern = "^(https://[A-Za-z0-9.:-]+)?$",
     .help = "Gateways: where sources will reach it, like https://gw1.example:443; without it the address that it connects "
             "from, port 443.",
     .help_zh = "网关HTTPS数据地址"},
    {BDR_FIELD(struct enrolment_new, data), .type = BDR_T_TEXT, .len_max = 256, .pattern = "^(/[A-Za-z0-9/._-]+)?$",
     .help = "Gateways: the folder for repositories; without it /srv/egisplus-gateway.", .help_zh = "网关数据目录"},
    {.name = NULL},
};
static const struct bdr_shape new_shape = {
    .name = "EnrolmentNew", .size = sizeof(struct enrolment_new), .fields = new_fields};

/* `token`, `command`, `manual` are in the answer to who made it, and nowhere else. */
struct enrolment {
    uint64_t id, machine;
    bool has_machine;
    const char *kind, *note, *account, *machine_name, *token, *command, *manual, *missing;
    int64_t created, expires, used;
    bool has_used;
};
static const struct bdr_shape_field enrolment_fields[] = {
    {BDR_FIELD(struct enrolment, id), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "Its id.", .help_zh = "编号"},
    {BDR_FIELD(struct enrolment, kind), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .help = "agent, proxy or gateway.",
     .help_zh = "类型"},
    {BDR_FIELD(struct enrolment, note), .type = BDR_T_TEXT, .help = "What it is for.", .help_zh = "备注"},
    {BDR_FIELD(struct enrolment, account), .type = BDR_T_TEXT, .help = "Who made it.", .help_zh = "创建人"},
    {BDR_FIELD(struct enrolment, created), .type = BDR_T_TIME, .flags = BDR_F_REQUIRED, .help = "When it was made.",
     .help_zh = "创建时间"},
    {BDR_FIELD(struct enrolment, expires), .type = BDR_T_TIME, .flags = BDR_F_REQUIRED, .help = "When it ends.",
     .help_zh = "到期时间"},
    {BDR_FIELD_HAS(struct enrolment, used), .type = BDR_T_TIME, .help = "When a machine joined with it.",
     .help_zh = "使用时间"},
    {BDR_FIELD_HAS(struct enrolment, machine), .type = BDR_T_U64, .help = "Which machine.", .help_zh = "机器"},
    {BDR_FIELD(struct enrolment, machine_name), .type = BDR_T_TEXT, .help = "Its name.", .help_zh = "机器名称"},
    {BDR_FIELD(struct enrolment, token), .type = BDR_T_TEXT, .help = "The token. Shown once.",
     .help_zh = "令牌(仅显示一次)"},
    {BDR_FIELD(struct enrolment, command), .type = BDR_T_TEXT, .len_max = 4096,
     .help = "To be pasted as root on the machine; it holds the token. Shown once.",
     .help_zh = "安装命令(以root执行,仅显示一次)"},
    {BDR_FIELD(struct enrolment, manual), .type = BDR_T_TEXT, .len_max = 4096,
     .help = "The same for a machine that has the program already.", .help_zh = "已安装程序时的接入命令"},
    {BDR_FIELD(struct enrolment, missing), .type = BDR_T_TEXT, .help = "Why there is no command.",
     .help_zh = "无安装命令的原因"},
    {.name = NULL},
};
static const struct bdr_shape enrolment_shape = {
    .name = "Enrolment", .size = sizeof(struct enrolment), .fields = enrolment_fields};

static const char *kind_name(int kind)
{
    for (const struct bdr_choice *c = bdr_machine_kinds; c->name; c++)
        if (c->value == kind)
            return c->name;
    return "";
}

/* ---- the commands ---- */

/*
 * One line for `sh` as root. The script comes over plain HTTP, so it is run only when it is the one whose print is in
 * the command. The token is an assignment of the shell: it is no argument that others see.
 */
#define COMMAND                                                                                                        \
    "f=$(mktemp) && { curl -fsSo \"$f\" '%s/install/%s.sh' || wget -qO \"$f\" '%s/install/%s.sh'; } && "               \
    "if echo '%s  '\"$f\" | sha256sum -c >/dev/null 2>&1; then "                                                       \
    "BDR_TOKEN='%s' sh \"$f\" --console '%s' --ca '%s' --packages '%s'%s; "                                              \
    "else echo 'The install script was changed on its way; nothing was run.' >&2; false; fi; "                         \
    "r=$?; rm -f \"$f\"; (exit $r)"
#define MANUAL "BDR_TOKEN='%s' bdr-%s enrol --console '%s' --ca '%s'"

/* What a gateway is told beside that: " --port '8443' --url 'https://gw1:8443' --data '/srv/dr'". Their shapes quote. */
static struct bdr_err *gateway_options(struct bdr_req *req, const struct enrolment_new *in, const char **out)
{
    const char *host = in->url && *in->url ? in->url + strlen("https://") : "", *colon = strrchr(host, ':');
    uint64_t port = 443;

    if (colon) {
        struct bdr_err *err = bdr_u64_parse(colon + 1, 65535, &port);

        if (err || !port || colon == host || strchr(host, ':') != colon) {
            bdr_err_drop(err, "told in words");
            bdr_req_fault(req, "/url", BDR_INVAL, "is not https://NAME:PORT");
            BDR_REFUSE(req, BDR_INVAL, "Give the gateway's URL as https://NAME:PORT.");
        }
    }
    *out = bdr_arena_printf(bdr_req_arena(req), "%s%s%s%s%s%s%s%s%s", port != 443 ? " --port '" : "",
                            port != 443 ? colon + 1 : "", port != 443 ? "'" : "", *host ? " --url '" : "",
                            *host ? in->url : "", *host ? "'" : "", in->data && *in->data ? " --data '" : "",
                            in->data ? in->data : "", in->data && *in->data ? "'" : "");
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

static struct bdr_err *commands(struct bdr_req *req, const char *more, struct enrolment *out)
{
    struct bdr_console *c = api_console(req);
    BDR_AUTO(mem) char *https = NULL, *http = NULL;
    char ca[104], file[BDR_SCRIPT_NAME_CHARS], print[65];
    struct bdr_err *err;

    BDR_TRY(api_refusal(req, bdr_settings_urls(c, bdr_req_header(req, "Host"), &https, &http)));
    bdr_fingerprint_text(bdr_ca_info(c->ca)->fingerprint, ca);
    out->manual = bdr_arena_printf(bdr_req_arena(req), MANUAL, out->token, out->kind, https, ca);
    BDR_NOMEM_IF_NULL(out->manual);
    BDR_ASSERT(bdr_packages_script_name(out->kind, file));
    err = bdr_packages_print(c->packages, file, print);
    if (err) {
        out->missing = bdr_arena_printf(bdr_req_arena(req), "The folder of packages (%s) has no %s: %s",
                                        c->config.packages, file, bdr_code_title(err->code));
        bdr_err_drop(err, "told in words");
        BDR_NOMEM_IF_NULL(out->missing);
        return NULL;
    }
    out->command = bdr_arena_printf(bdr_req_arena(req), COMMAND, http, out->kind, http, out->kind, print, out->token,
                                    https, ca, http, more);
    BDR_NOMEM_IF_NULL(out->command);
    return NULL;
}

/* ---- making one ---- */

struct add {
    struct bdr_req *req;
    const struct enrolment_new *in;
    struct enrolment *out;
    char token[BDR_TOKEN_CHARS];
    int64_t now_ms;
};

static struct bdr_err *add_do(struct bdr_tx *tx, void *ctx)
{
    struct add *a = ctx;
    struct enrolment audited;
    uint8_t hash[32];
    int64_t id = 0;
    bool found = false;

    BDR_TRY(bdr_enrol_token(tx, kind_name(a->in->kind), a->in->note ? a->in->note : "",
                            BDR_SOME(api_who(a->req)->person.account_id), a->now_ms,
                            a->now_ms + a->in->valid_s * 1000ll, a->token));
    BDR_ASSERT(bdr_token_hash(BDR_TOKEN_ENROL, a->token, hash));
    BDR_TRY(bdr_q_enrolment_id(tx, (struct bdr_blob){hash, sizeof(hash)}, &id, &found));
    BDR_ASSERT(found);
    *a->out = (struct enrolment){.id = (uint64_t)id,
                                 .kind = kind_name(a->in->kind),
                                 .note = api_text(a->req, a->in->note),
                                 .account = api_who(a->req)->person.name,
                                 .created = a->now_ms,
                                 .expires = a->now_ms + a->in->valid_s * 1000ll};
    audited = *a->out;
    return api_audit(tx, a->req, "enrolment.add", "enrolment", id, &enrolment_shape, NULL, &audited);
}

static struct bdr_err *add(struct bdr_req *req, const void *body, void *answer)
{
    struct add a = {.req = req, .in = body, .out = answer, .now_ms = api_now()};
    const char *more = "";

    /* a gateway may be given repositories with their keys, a proxy platforms with their passwords */
    if (a.in->kind != BDR_MACHINE_AGENT && api_who(req)->person.role < BDR_ROLE_ADMIN)
        BDR_REFUSE(req, BDR_DENIED, "Tokens for a %s need the role admin.", kind_name(a.in->kind));
    if (a.in->kind == BDR_MACHINE_GATEWAY)
        BDR_TRY(gateway_options(req, a.in, &more));
    else if (a.in->url || a.in->data)
        BDR_REFUSE(req, BDR_INVAL, "Only a gateway has a URL and a data folder; leave url and data out.");
    BDR_TRY(api_run(req, BDR_TX_LOCK, add_do, &a));
    a.out->token = bdr_arena_text(bdr_req_arena(req), a.token, strlen(a.token));
    bdr_wipe(a.token, sizeof(a.token));
    BDR_NOMEM_IF_NULL(a.out->token);
    return commands(req, more, a.out);
}

/* ---- the others ---- */

static struct bdr_err *list(struct bdr_req *req, const void *in, void *answer)
{
    struct bdr_row_enrolment_view *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_page *page = answer;
    struct enrolment *item;
    size_t n = 0, limit = bdr_req_page(req)->limit;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_enrolment_view(tx, api_cursor(req, INT64_MAX), (int64_t)limit + 1, &row, &n));
    if (row)
        BDR_TRY(bdr_arena_defer(bdr_req_arena(req), free, row));
    item = bdr_arena_alloc(bdr_req_arena(req), BDR_MAX(n, (size_t)1) * sizeof(*item));
    BDR_NOMEM_IF_NULL(item);
    for (size_t i = 0; i < n; i++)
        item[i] = (struct enrolment){.id = (uint64_t)row[i].id,
                                     .kind = row[i].kind,
                                     .note = *row[i].note ? row[i].note : NULL,
                                     .account = *row[i].account ? row[i].account : NULL,
                                     .machine = (uint64_t)row[i].machine_id.v,
                                     .has_machine = row[i].machine_id.set,
                                     .machine_name = *row[i].machine ? row[i].machine : NULL,
                                     .created = row[i].created_ms,
                                     .expires = row[i].expires_ms,
                                     .used = row[i].used_ms,
                                     .has_used = row[i].used_ms > 0};
    *page = (struct bdr_page){.items = item, .n = n};
    return api_page_end(req, page, n > limit ? row[limit - 1].id : 0);
}

static struct bdr_err *remove_do(struct bdr_tx *tx, void *ctx)
{
    struct bdr_req *req = ctx;
    const int64_t id = (int64_t)bdr_req_param_u64(req, "id");
    int64_t changed = 0;

    BDR_TRY(bdr_q_enrolment_delete(tx, id, &changed));
    if (!changed)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no unused enrolment token %lld", (long long)id);
    return api_audit(tx, req, "enrolment.remove", "enrolment", id, NULL, NULL, NULL);
}

static struct bdr_err *remove_one(struct bdr_req *req, const void *in, void *out)
{
    (void)in, (void)out;
    return api_run(req, BDR_TX_LOCK, remove_do, req);
}

static const struct bdr_route rows[] = {
    {.method = BDR_POST,
     .path = "/v1/enrolments",
     .perm = "enrolment:operate",
     .in = &new_shape,
     .out = &enrolment_shape,
     .status = 201,
     .run = add,
     .cli = "enrolment add",
     .help = "A one-time token and the install command with it, shown once.",
     .help_zh = "生成安装命令"},
    {.method = BDR_GET,
     .path = "/v1/enrolments",
     .perm = "enrolment:read",
     .flags = BDR_R_LIST,
     .out = &enrolment_shape,
     .run = list,
     .cli = "enrolment list",
     .help = "Tokens that were made, and which machines joined with them.",
     .help_zh = "安装命令列表"},
    {.method = BDR_DELETE,
     .path = "/v1/enrolments/{id:u64}",
     .perm = "enrolment:operate",
     .run = remove_one,
     .cli = "enrolment remove",
     .help = "A token that was not used yet is worth nothing from now on.",
     .help_zh = "作废安装命令"},
};
const struct bdr_route_table api_enrolments_table = BDR_ROUTES("enrolment", rows);
