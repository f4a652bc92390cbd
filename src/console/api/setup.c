/* SPDX-License-Identifier: Apache-2.0 */
/* setup.c - the settings page: how the console is reached, and how it sends mail. */
#include "api/people.h"
#include "settings.h"
#include <stdio.h>
#include <string.h>

enum { TLS_NONE, TLS_STARTTLS, TLS_TLS };
static const struct bdr_choice tlss[] = {
    {"none", TLS_NONE, "Not encrypted.", "不加密"},
    {"starttls", TLS_STARTTLS, "STARTTLS, and nothing less.", "STARTTLS"},
    {"tls", TLS_TLS, "From the first byte.", "TLS"},
    {.name = NULL},
};

struct setup {
    const char *site_name, *public_url, *download_url;
    BDR_ARRAY(const char *) names;
    bool has_names;
    const char *mail_host, *mail_from, *mail_to, *mail_user, *mail_password;
    uint32_t mail_port;
    int mail_tls;
    bool has_mail_port, has_mail_tls, mail_password_set;
};
/* One row a setting: the text of `setting.value`, and where it is in the struct. */
static const struct bdr_shape_field fields[] = {
    {BDR_FIELD(struct setup, site_name), .type = BDR_T_TEXT, .len_max = 63, .help = "What this site is called.",
     .help_zh = "站点名称"},
    {BDR_FIELD(struct setup, public_url), .type = BDR_T_TEXT, .len_max = 255,
     .pattern = "^(https://[][A-Za-z0-9:._-]+(/[A-Za-z0-9._/-]*)?)?$",
     .help = "How machines reach the console (HTTPS); empty: by its first name.", .help_zh = "对外HTTPS地址"},
    {BDR_FIELD(struct setup, download_url), .type = BDR_T_TEXT, .len_max = 255,
     .pattern = "^(https?://[][A-Za-z0-9:._-]+(/[A-Za-z0-9._/-]*)?)?$",
     .help = "How machines reach the packages (HTTP).", .help_zh = "安装包下载地址"},
    {BDR_FIELD_HAS(struct setup, names), .type = BDR_T_ARRAY, .of = BDR_T_HOST, .n_max = BDR_SETTING_NAMES_MAX,
     .help = "More names and addresses for its certificate.", .help_zh = "证书附加名称"},
    {BDR_FIELD(struct setup, mail_host), .type = BDR_T_TEXT, .len_max = 255, .pattern = "^[][A-Za-z0-9:._-]*$",
     .help = "SMTP server; empty: no mail is sent.", .help_zh = "邮件服务器"},
    {BDR_FIELD_HAS(struct setup, mail_port), .type = BDR_T_U32, .min = 1, .max = 65535, .help = "Its port.",
     .help_zh = "邮件服务器端口"},
    {BDR_FIELD_HAS(struct setup, mail_tls), .type = BDR_T_ENUM, .choices = tlss, .help = "How it is encrypted.",
     .help_zh = "邮件加密方式"},
    {BDR_FIELD(struct setup, mail_from), .type = BDR_T_TEXT, .len_max = 254, .help = "Sender.", .help_zh = "发件人"},
    {BDR_FIELD(struct setup, mail_to), .type = BDR_T_TEXT, .len_max = 1000, .help = "Who gets mail by default.",
     .help_zh = "默认收件人"},
    {BDR_FIELD(struct setup, mail_user), .type = BDR_T_TEXT, .len_max = 254, .help = "User at the server.",
     .help_zh = "邮件用户名"},
    {BDR_FIELD(struct setup, mail_password), .type = BDR_T_SECRET, .len_max = 1024,
     .help = "Password at the server; empty: none.", .help_zh = "邮件密码"},
    {BDR_FIELD(struct setup, mail_password_set), .type = BDR_T_BOOL, .flags = BDR_F_READONLY,
     .help = "There is a password.", .help_zh = "已设置邮件密码"},
    {.name = NULL},
};
static const struct bdr_shape shape = {.name = "Settings", .size = sizeof(struct setup), .fields = fields};

static const struct {
    const char *name;
    size_t at;
} texts[] = {
    {"site_name", offsetof(struct setup, site_name)},       {"public_url", offsetof(struct setup, public_url)},
    {"download_url", offsetof(struct setup, download_url)}, {"mail_host", offsetof(struct setup, mail_host)},
    {"mail_from", offsetof(struct setup, mail_from)},       {"mail_to", offsetof(struct setup, mail_to)},
    {"mail_user", offsetof(struct setup, mail_user)},
};
static const struct bdr_seal_place password_place = {"setting", 0, "mail_password"};

static struct bdr_err *value_of(struct bdr_tx *tx, struct bdr_req *req, const char *name, const char **out)
{
    BDR_AUTO(mem) char *text = NULL;

    BDR_TRY(bdr_setting_get(tx, name, &text));
    *out = bdr_arena_text(bdr_req_arena(req), text, strlen(text));
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

static struct bdr_err *names_read(struct bdr_tx *tx, struct bdr_req *req, struct setup *out)
{
    const char **items = bdr_arena_alloc(bdr_req_arena(req), BDR_SETTING_NAMES_MAX * sizeof(*items)), *text = NULL;

    BDR_NOMEM_IF_NULL(items);
    BDR_TRY(value_of(tx, req, "names", &text));
    out->names.items = items;
    out->has_names = true;
    for (const char *at = text; *at && out->names.n < BDR_SETTING_NAMES_MAX; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");

        items[out->names.n] = bdr_arena_text(bdr_req_arena(req), at, len);
        BDR_NOMEM_IF_NULL(items[out->names.n]);
        out->names.n++;
        at += len;
    }
    return NULL;
}

static struct bdr_err *setup_read(struct bdr_tx *tx, struct bdr_req *req, struct setup *out)
{
    BDR_AUTO(secret) struct bdr_secret s = {0};
    const char *text = NULL;
    uint64_t n = 0;

    *out = (struct setup){0};
    for (size_t i = 0; i < BDR_COUNT(texts); i++) {
        BDR_TRY(value_of(tx, req, texts[i].name, &text));
        memcpy((char *)out + texts[i].at, &text, sizeof(text));
    }
    BDR_TRY(names_read(tx, req, out));
    BDR_TRY(value_of(tx, req, "mail_port", &text));
    if (*text)
        BDR_TRY(bdr_u64_parse(text, 65535, &n));
    out->mail_port = n ? (uint32_t)n : 25;
    BDR_TRY(value_of(tx, req, "mail_tls", &text));
    out->mail_tls = TLS_STARTTLS;
    for (const struct bdr_choice *c = tlss; c->name; c++)
        if (!strcmp(c->name, text))
            out->mail_tls = c->value;
    out->has_mail_port = out->has_mail_tls = true;
    return bdr_secret_get(tx, api_console(req)->ring, &password_place, &s, &out->mail_password_set);
}

struct change {
    struct bdr_req *req;
    const struct setup *in;
    struct setup before, *out;
    int64_t now_ms;
};

static struct bdr_err *names_write(struct bdr_tx *tx, const struct change *c)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    for (size_t i = 0; i < c->in->names.n; i++)
        bdr_buf_printf(&b, "%s%s", i ? " " : "", c->in->names.items[i]);
    bdr_buf_u8(&b, 0);
    BDR_TRY(bdr_buf_check(&b));
    return bdr_setting_put(tx, "names", (char *)b.data, c->now_ms);
}

static struct bdr_err *password_write(struct bdr_tx *tx, const struct change *c)
{
    BDR_AUTO(secret) struct bdr_secret s = {0};
    int64_t changed;

    if (!*c->in->mail_password)
        return bdr_q_sealed_delete(tx, "setting", 0, &changed);
    BDR_TRY(bdr_secret_set(&s, c->in->mail_password, strlen(c->in->mail_password)));
    return bdr_secret_put(tx, api_console(c->req)->ring, &password_place, &s, c->now_ms);
}

static struct bdr_err *change_do(struct bdr_tx *tx, void *ctx)
{
    struct change *c = ctx;
    char number[16];

    BDR_TRY(setup_read(tx, c->req, &c->before));
    for (size_t i = 0; i < BDR_COUNT(texts); i++) {
        const char *text;

        memcpy(&text, (const char *)c->in + texts[i].at, sizeof(text));
        if (text)
            BDR_TRY(bdr_setting_put(tx, texts[i].name, text, c->now_ms));
    }
    if (c->in->has_names)
        BDR_TRY(names_write(tx, c));
    snprintf(number, sizeof(number), "%u", c->in->mail_port);
    if (c->in->has_mail_port)
        BDR_TRY(bdr_setting_put(tx, "mail_port", number, c->now_ms));
    if (c->in->has_mail_tls)
        BDR_TRY(bdr_setting_put(tx, "mail_tls", tlss[c->in->mail_tls].name, c->now_ms));
    if (c->in->mail_password)
        BDR_TRY(password_write(tx, c));
    BDR_TRY(setup_read(tx, c->req, c->out));
    return api_audit(tx, c->req, "settings.update", "settings", 0, &shape, &c->before, c->out);
}

static struct bdr_err *change(struct bdr_req *req, const void *in, void *out)
{
    struct change c = {.req = req, .in = in, .out = out, .now_ms = api_now()};

    BDR_TRY(api_run(req, BDR_TX_WRITE, change_do, &c));
    if (c.in->has_names)
        BDR_TRY(api_refusal(req, bdr_settings_names(api_console(req))));
    people_tell(req, "settings", 0, "changed");
    return NULL;
}

static struct bdr_err *show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    return setup_read(tx, req, out);
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/v1/settings",
     .perm = "settings:admin",
     .out = &shape,
     .run = show,
     .cli = "settings show",
     .help = "The console's settings.",
     .help_zh = "系统设置"},
    {.method = BDR_PATCH,
     .path = "/v1/settings",
     .perm = "settings:admin",
     .in = &shape,
     .out = &shape,
     .run = change,
     .cli = "settings set",
     .help = "Change some of them.",
     .help_zh = "修改系统设置"},
};
const struct bdr_route_table api_setup_table = BDR_ROUTES("settings", rows);
