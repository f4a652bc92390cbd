/* SPDX-License-Identifier: Apache-2.0 */
/* channels.c - where alarms are sent: made, changed, tested, removed. Secrets go in and never come out. */
#include "api/api.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "watch/address.h"
#include "watch/notify.h"
#include <stdio.h>
#include <string.h>

struct channel {
    uint64_t id;
    const char *name;
    int kind, min_severity, lang, tls, transport;
    bool has_kind, has_min_severity, has_lang, has_tls, has_transport, enabled, has_enabled;
    const char *host, *username, *password, *from, *url, *secret, *ca;
    uint32_t port;
    bool has_port, has_to;
    BDR_ARRAY(const char *) to;
    /* what the console says */
    const char *state, *error;
    bool sealed, has_last_ok, has_last_error;
    int64_t last_ok, last_error;
};
#define MAIL "^[^@[:space:]<>,;]+@[^@[:space:]<>,;]+$"
static const struct bdr_shape_field channel_fields[] = {
    {BDR_FIELD(struct channel, id), .type = BDR_T_U64, .flags = BDR_F_READONLY, .help = "Number.", .help_zh = "编号"},
    {BDR_FIELD(struct channel, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 1, .len_max = 100,
     .help = "What people call it.", .help_zh = "名称"},
    {BDR_FIELD_HAS(struct channel, kind), .type = BDR_T_ENUM, .flags = BDR_F_REQUIRED, .choices = bdr_channel_kinds,
     .help = "How it is sent.", .help_zh = "类型"},
    {BDR_FIELD_HAS(struct channel, enabled), .type = BDR_T_BOOL, .def = "true", .help = "In use.", .help_zh = "启用"},
    {BDR_FIELD_HAS(struct channel, min_severity), .type = BDR_T_ENUM, .choices = bdr_severities, .def = "warning",
     .help = "The least severity that is sent.", .help_zh = "最低级别"},
    {BDR_FIELD_HAS(struct channel, lang), .type = BDR_T_ENUM, .choices = bdr_langs, .def = "en",
     .help = "Language of the text.", .help_zh = "语言"},
    {BDR_FIELD(struct channel, host), .type = BDR_T_HOST, .help = "mail, syslog: the server.", .help_zh = "服务器"},
    {BDR_FIELD_HAS(struct channel, port), .type = BDR_T_U32, .min = 1, .max = 65535,
     .help = "Its port: 587 (STARTTLS), 465 (TLS), 25 (none); syslog 514.", .help_zh = "端口"},
    {BDR_FIELD_HAS(struct channel, tls), .type = BDR_T_ENUM, .choices = bdr_mail_tlss, .def = "starttls",
     .help = "mail: encryption.", .help_zh = "加密方式"},
    {BDR_FIELD(struct channel, username), .type = BDR_T_TEXT, .len_max = 255, .help = "mail: login; empty: none.",
     .help_zh = "用户名"},
    {BDR_FIELD(struct channel, password), .type = BDR_T_SECRET, .len_max = 1024, .help = "mail: its password.",
     .help_zh = "密码"},
    {BDR_FIELD(struct channel, from), .type = BDR_T_TEXT, .len_max = 254, .pattern = MAIL, .help = "mail: sender.",
     .help_zh = "发件人"},
    {BDR_FIELD(struct channel, to), .has = 1 + offsetof(struct channel, has_to), .type = BDR_T_ARRAY, .of = BDR_T_TEXT,
     .len_max = 254, .pattern = MAIL, .n_max = 50, .help = "mail: recipients.", .help_zh = "收件人"},
    {BDR_FIELD(struct channel, url), .type = BDR_T_URL, .len_max = 1024, .help = "webhook: who gets the POST.",
     .help_zh = "接收地址"},
    {BDR_FIELD(struct channel, secret), .type = BDR_T_SECRET, .len_min = 16, .len_max = 256,
     .help = "webhook: key of the signature, 16 characters or more.", .help_zh = "签名密钥"},
    {BDR_FIELD(struct channel, ca), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = 65536,
     .help = "CA certificates (PEM) of the server; empty: the system's.", .help_zh = "CA证书"},
    {BDR_FIELD_HAS(struct channel, transport), .type = BDR_T_ENUM, .choices = bdr_syslog_transports, .def = "udp",
     .help = "syslog: how.", .help_zh = "传输方式"},
    {BDR_FIELD(struct channel, sealed), .type = BDR_T_BOOL, .flags = BDR_F_READONLY, .help = "A secret is kept.",
     .help_zh = "已保存密钥"},
    {BDR_FIELD(struct channel, state), .type = BDR_T_TEXT, .flags = BDR_F_READONLY, .help = "new, ok or failed.",
     .help_zh = "状态"},
    {BDR_FIELD(struct channel, error), .type = BDR_T_TEXT, .flags = BDR_F_READONLY, .help = "Why it failed.",
     .help_zh = "失败原因"},
    {BDR_FIELD_HAS(struct channel, last_ok), .type = BDR_T_TIME, .flags = BDR_F_READONLY, .help = "The last delivery.",
     .help_zh = "最近成功"},
    {BDR_FIELD_HAS(struct channel, last_error), .type = BDR_T_TIME, .flags = BDR_F_READONLY,
     .help = "The last failure.", .help_zh = "最近失败"},
    {.name = NULL},
};
static const struct bdr_shape channel_shape = {
    .name = "Channel", .size = sizeof(struct channel), .fields = channel_fields};

static const char *choice_name(const struct bdr_choice *choices, int value)
{
    while (choices->name && choices->value != value)
        choices++;
    return choices->name ? choices->name : "";
}

/* ---- out ---- */

static struct bdr_err *channel_fill(struct bdr_req *req, struct bdr_tx *tx, const struct bdr_row_channel *row,
                                    struct channel *out)
{
    struct bdr_arena *arena = bdr_req_arena(req);
    struct bdr_channel ch = {0};

    BDR_TRY(bdr_channel_open(tx, api_console(req)->ring, arena, row, &ch));
    *out = (struct channel){.id = (uint64_t)row->id,
                            .name = api_text(req, row->name),
                            .kind = ch.kind,
                            .has_kind = true,
                            .enabled = row->enabled,
                            .has_enabled = true,
                            .min_severity = (int)bdr_severity_of(row->min_severity),
                            .has_min_severity = true,
                            .lang = (int)bdr_lang_of(row->lang),
                            .has_lang = true,
                            .host = ch.params.host,
                            .port = ch.params.port,
                            .has_port = ch.params.port != 0,
                            .tls = ch.params.tls,
                            .has_tls = ch.kind == BDR_CHANNEL_MAIL,
                            .transport = ch.params.transport,
                            .has_transport = ch.kind == BDR_CHANNEL_SYSLOG,
                            .username = ch.params.username,
                            .from = ch.params.from,
                            .has_to = ch.params.to.n != 0,
                            .url = ch.params.url,
                            .ca = ch.params.ca,
                            .sealed = ch.secret.data != NULL,
                            .state = row->error_ms > row->ok_ms ? "failed"
                                     : row->ok_ms               ? "ok"
                                                                : "new",
                            .error = api_text(req, row->error_text),
                            .last_ok = row->ok_ms,
                            .has_last_ok = row->ok_ms != 0,
                            .last_error = row->error_ms,
                            .has_last_error = row->error_ms != 0};
    out->to.items = ch.params.to.items;
    out->to.n = ch.params.to.n;
    bdr_channel_close(&ch);
    return NULL;
}

static struct bdr_err *channel_list(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(mem) struct bdr_row_channel *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_page *page = out;
    struct channel *items;
    size_t limit = bdr_req_page(req)->limit;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_channel_all(tx, api_cursor(req, 0), (int64_t)limit + 1, &row, &page->n));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n && i < limit; i++)
        BDR_TRY(channel_fill(req, tx, &row[i], &items[i]));
    return api_page_end(req, page, page->n > limit ? row[limit - 1].id : 0);
}

static struct bdr_err *channel_get(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(mem) struct bdr_row_channel *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_channel_one(tx, (int64_t)bdr_req_param_u64(req, "id"), &row));
    if (!row)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no channel %s.", bdr_req_param(req, "id"));
    return channel_fill(req, tx, row, out);
}

/* ---- in ---- */

/* Which fields belong to which kinds: bit n is kind n. The rest belongs to all. */
static bool field_foreign(const struct channel *c, struct bdr_req *req)
{
    const struct {
        const char *pointer;
        bool given;
        unsigned kinds;
    } fields[] = {
        {"/host", c->host, 1u << BDR_CHANNEL_MAIL | 1u << BDR_CHANNEL_SYSLOG},
        {"/port", c->has_port, 1u << BDR_CHANNEL_MAIL | 1u << BDR_CHANNEL_SYSLOG},
        {"/username", c->username && *c->username, 1u << BDR_CHANNEL_MAIL},
        {"/password", c->password, 1u << BDR_CHANNEL_MAIL},
        {"/from", c->from, 1u << BDR_CHANNEL_MAIL},
        {"/to", c->to.n, 1u << BDR_CHANNEL_MAIL},
        {"/url", c->url, 1u << BDR_CHANNEL_WEBHOOK},
        {"/secret", c->secret, 1u << BDR_CHANNEL_WEBHOOK},
        {"/ca", c->ca && *c->ca, 1u << BDR_CHANNEL_MAIL | 1u << BDR_CHANNEL_WEBHOOK},
    };
    bool any = false;

    for (size_t i = 0; i < BDR_COUNT(fields); i++)
        if (fields[i].given && !(fields[i].kinds & 1u << c->kind)) {
            bdr_req_fault(req, fields[i].pointer, BDR_INVAL, "does not belong to a channel of the kind %s",
                          choice_name(bdr_channel_kinds, c->kind));
            any = true;
        }
    return any;
}

static bool host_is_here(const char *host)
{
    return !strcmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "::1");
}

/* Names are looked at when they are used: what they stand for changes. */
static bool address_refused(struct bdr_req *req, const struct channel *c)
{
    const char *pointer = c->url ? "/url" : "/host", *why;
    char host[256] = "";

    if (c->url) {
        struct bdr_err *err = bdr_webhook_host(c->url, host);

        if (err)
            bdr_req_fault(req, pointer, BDR_INVAL, "%s", err->msg);
        if (err) {
            bdr_err_drop(err, "told");
            return true;
        }
    } else if (c->host)
        snprintf(host, sizeof(host), "%s", c->host);
    why = bdr_host_refused(host);
    if (why)
        bdr_req_fault(req, pointer, BDR_INVAL, "is an address %s; the console does not send anything there", why);
    return why != NULL;
}

/* `c`: as it will be, the secrets only when they are new. */
static struct bdr_err *channel_check(struct bdr_req *req, struct channel *c)
{
    bool bad = field_foreign(c, req);
    const struct {
        const char *pointer;
        bool missing;
    } needs[] = {
        {"/host", c->kind != BDR_CHANNEL_WEBHOOK && !c->host},
        {"/from", c->kind == BDR_CHANNEL_MAIL && !c->from},
        {"/to", c->kind == BDR_CHANNEL_MAIL && !c->to.n},
        {"/url", c->kind == BDR_CHANNEL_WEBHOOK && !c->url},
    };

    for (size_t i = 0; i < BDR_COUNT(needs); i++)
        if (needs[i].missing) {
            bdr_req_fault(req, needs[i].pointer, BDR_INVAL, "is needed for a channel of the kind %s",
                          choice_name(bdr_channel_kinds, c->kind));
            bad = true;
        }
    if (c->kind == BDR_CHANNEL_MAIL && c->tls == BDR_MAIL_PLAIN && c->username && *c->username && c->host &&
        !host_is_here(c->host)) {
        bdr_req_fault(req, "/tls", BDR_INVAL, "a password is not sent in the clear: choose starttls or tls");
        bad = true;
    }
    if (c->kind == BDR_CHANNEL_MAIL && c->password && (!c->username || !*c->username)) {
        bdr_req_fault(req, "/username", BDR_INVAL, "is needed with a password");
        bad = true;
    }
    if (address_refused(req, c))
        bad = true;
    if (bad)
        BDR_REFUSE(req, BDR_INVAL, "The channel's settings do not fit together.");
    if (!c->has_port || !c->port)
        c->port = c->kind == BDR_CHANNEL_SYSLOG    ? 514
                  : c->kind == BDR_CHANNEL_WEBHOOK ? 0
                  : c->tls == BDR_MAIL_STARTTLS    ? 587
                  : c->tls == BDR_MAIL_TLS         ? 465
                                                   : 25;
    return NULL;
}

static struct bdr_err *params_text(const struct channel *c, struct bdr_buf *out)
{
    struct bdr_channel_params p = {.host = c->host,
                                   .port = c->port,
                                   .tls = c->tls,
                                   .username = c->username && *c->username ? c->username : NULL,
                                   .from = c->from,
                                   .url = c->url,
                                   .ca = c->ca && *c->ca ? c->ca : NULL,
                                   .transport = c->transport};

    p.to.items = c->to.items;
    p.to.n = c->to.n;
    return bdr_shape_write(&bdr_channel_params_shape, BDR_SHAPE_RESPONSE, &p, out);
}

/* What is given replaces what was. */
static void channel_merge(struct channel *c, const struct channel *given)
{
    const char **to[] = {&c->name, &c->host, &c->username, &c->from, &c->url, &c->ca};
    const char *from[] = {given->name, given->host, given->username, given->from, given->url, given->ca};

    for (size_t i = 0; i < BDR_COUNT(to); i++)
        if (from[i])
            *to[i] = from[i];
    c->password = given->password;
    c->secret = given->secret;
    if (given->has_enabled)
        c->enabled = given->enabled;
    if (given->has_min_severity)
        c->min_severity = given->min_severity;
    if (given->has_lang)
        c->lang = given->lang;
    if (given->has_port) {
        c->port = given->port;
        c->has_port = true;
    } else if (given->has_tls && given->tls != c->tls) {
        c->has_port = false; /* the usual one of the new way */
    }
    if (given->has_tls)
        c->tls = given->tls;
    if (given->has_transport)
        c->transport = given->transport;
    if (given->has_to)
        memcpy(&c->to, &given->to, sizeof(c->to));
}

struct change {
    struct bdr_req *req;
    const struct channel *in;
    int64_t id; /* 0: a new one */
    struct channel *out;
    struct bdr_row_channel *row; /* owned */
};

static struct bdr_err *secret_store(struct bdr_tx *tx, struct bdr_req *req, int64_t id, const struct channel *c)
{
    const char *value = c->kind == BDR_CHANNEL_MAIL ? c->password : c->secret;
    const char *field = bdr_channel_secret_field(c->kind);
    BDR_AUTO(secret) struct bdr_secret plain = {0};
    int64_t n;

    if (field && c->kind == BDR_CHANNEL_MAIL && (!c->username || !*c->username))
        return bdr_q_sealed_delete(tx, "channel", id, &n);
    if (!field || !value)
        return NULL;
    BDR_TRY(bdr_secret_set(&plain, value, strlen(value)));
    return bdr_secret_put(tx, api_console(req)->ring, &(struct bdr_seal_place){"channel", id, field}, &plain,
                          api_now());
}

/* Somewhere else must not get the secret that was meant for here. */
static bool moved_elsewhere(const struct channel *was, const struct channel *now)
{
    const char *a = was->kind == BDR_CHANNEL_MAIL ? was->host : was->url,
               *b = was->kind == BDR_CHANNEL_MAIL ? now->host : now->url;

    return was->sealed && a && b && strcmp(a, b) != 0;
}

static struct bdr_err *change(struct bdr_tx *tx, void *ctx)
{
    struct change *ch = ctx;
    struct channel c = *ch->in, was = {0};
    BDR_AUTO(buf) struct bdr_buf params = {0};
    int64_t n = 0;

    free(BDR_STEAL(ch->row));
    if (ch->id) {
        BDR_TRY(bdr_q_channel_one(tx, ch->id, &ch->row));
        if (!ch->row)
            BDR_REFUSE(ch->req, BDR_NOTFOUND, "There is no channel %s.", bdr_req_param(ch->req, "id"));
        BDR_TRY(channel_fill(ch->req, tx, ch->row, &was));
        if (c.has_kind && c.kind != was.kind)
            BDR_REFUSE(ch->req, BDR_INVAL, "A channel's kind stays; make another channel.");
        c = was;
        channel_merge(&c, ch->in);
        if (moved_elsewhere(&was, &c) && !c.password && !c.secret)
            BDR_REFUSE(ch->req, BDR_INVAL, "Give the password or secret again: it is not sent to another server.");
    }
    BDR_TRY(channel_check(ch->req, &c));
    BDR_TRY(params_text(&c, &params));
    if (ch->id)
        BDR_TRY(bdr_q_channel_set(tx,
                                  &(struct bdr_in_channel_set){ch->id, c.name, (const char *)params.data,
                                                               choice_name(bdr_severities, c.min_severity), c.enabled,
                                                               choice_name(bdr_langs, c.lang)},
                                  &n));
    else
        BDR_TRY(bdr_q_channel_new(tx,
                                  &(struct bdr_in_channel_new){choice_name(bdr_channel_kinds, c.kind), c.name,
                                                               (const char *)params.data,
                                                               choice_name(bdr_severities, c.min_severity), c.enabled,
                                                               choice_name(bdr_langs, c.lang), api_now()},
                                  &n));
    c.id = ch->id ? (uint64_t)ch->id : (uint64_t)n;
    BDR_TRY(secret_store(tx, ch->req, (int64_t)c.id, &c));
    free(BDR_STEAL(ch->row));
    BDR_TRY(bdr_q_channel_one(tx, (int64_t)c.id, &ch->row));
    if (!ch->row)
        BDR_FAIL(BDR_INTERNAL, 0, "the channel is gone in its own transaction");
    BDR_TRY(channel_fill(ch->req, tx, ch->row, ch->out));
    return api_audit(tx, ch->req, ch->id ? "channel.update" : "channel.add", "channel", (int64_t)c.id, &channel_shape,
                     ch->id ? &was : NULL, ch->out);
}

static struct bdr_err *change_run(struct bdr_req *req, int64_t id, const void *in, void *out)
{
    struct change ch = {.req = req, .in = in, .id = id, .out = out};
    struct bdr_err *err = bdr_db_run(api_console(req)->db, BDR_TX_LOCK, change, &ch);
    char json[64];

    free(ch.row);
    if (err && err->code == BDR_EXISTS) {
        bdr_err_drop(err, "said in words");
        BDR_REFUSE(req, BDR_EXISTS, "There is a channel of that name already; choose another.");
    }
    BDR_TRY(api_refusal(req, err));
    snprintf(json, sizeof(json), "{\"id\":%llu,\"what\":\"changed\"}", (unsigned long long)((struct channel *)out)->id);
    bdr_hub_tell(api_console(req)->hub, "channel", json);
    return NULL;
}

static struct bdr_err *channel_add(struct bdr_req *req, const void *in, void *out)
{
    return change_run(req, 0, in, out);
}

static struct bdr_err *channel_update(struct bdr_req *req, const void *in, void *out)
{
    return change_run(req, (int64_t)bdr_req_param_u64(req, "id"), in, out);
}

static struct bdr_err *drop(struct bdr_tx *tx, void *ctx)
{
    struct change *ch = ctx;
    struct channel was;
    int64_t n;

    free(BDR_STEAL(ch->row));
    BDR_TRY(bdr_q_channel_one(tx, ch->id, &ch->row));
    if (!ch->row)
        BDR_REFUSE(ch->req, BDR_NOTFOUND, "There is no channel %s.", bdr_req_param(ch->req, "id"));
    BDR_TRY(channel_fill(ch->req, tx, ch->row, &was));
    BDR_TRY(bdr_q_sealed_delete(tx, "channel", ch->id, &n));
    BDR_TRY(bdr_q_channel_delete(tx, ch->id, &n));
    return api_audit(tx, ch->req, "channel.delete", "channel", ch->id, &channel_shape, &was, NULL);
}

static struct bdr_err *channel_delete(struct bdr_req *req, const void *in, void *out)
{
    struct change ch = {.req = req, .id = (int64_t)bdr_req_param_u64(req, "id")};
    struct bdr_err *err = api_run(req, BDR_TX_LOCK, drop, &ch);
    char json[64];

    (void)in, (void)out;
    free(ch.row);
    BDR_TRY(err);
    snprintf(json, sizeof(json), "{\"id\":%lld,\"what\":\"deleted\"}", (long long)ch.id);
    bdr_hub_tell(api_console(req)->hub, "channel", json);
    return NULL;
}

/* ---- tested ---- */

struct test_out {
    bool delivered;
    const char *error;
    uint64_t took;
};
static const struct bdr_shape_field test_fields[] = {
    {BDR_FIELD(struct test_out, delivered), .type = BDR_T_BOOL, .help = "The far side took it.", .help_zh = "已送达"},
    {BDR_FIELD(struct test_out, error), .type = BDR_T_TEXT, .help = "Why not.", .help_zh = "失败原因"},
    {BDR_FIELD(struct test_out, took), .type = BDR_T_DURATION, .help = "How long it took.", .help_zh = "耗时"},
    {.name = NULL},
};
static const struct bdr_shape test_shape = {
    .name = "ChannelTest", .size = sizeof(struct test_out), .fields = test_fields};

struct outcome {
    int64_t id;
    const char *error;
};
static struct bdr_err *outcome_keep(struct bdr_tx *tx, void *ctx)
{
    const struct outcome *o = ctx;
    int64_t n;

    return o->error ? bdr_q_channel_error(tx, o->id, api_now(), o->error, &n)
                    : bdr_q_channel_ok(tx, o->id, api_now(), &n);
}

static struct bdr_err *test_send(struct bdr_req *req, const struct bdr_channel *ch)
{
    struct bdr_console *c = api_console(req);
    const struct bdr_value v[] = {BDR_VT("name", ch->row->name), BDR_VT("error", "-")};
    BDR_AUTO(buf) struct bdr_buf text = {0};
    struct bdr_row_alarm alarm = {.kind = "test",
                                  .severity = "info",
                                  .object = "channel",
                                  .object_id = ch->row->id,
                                  .raised_ms = api_now(),
                                  .last_ms = api_now(),
                                  .times = 1,
                                  .acked_by = ""};
    struct bdr_message m;

    BDR_TRY(bdr_values_json(v, BDR_COUNT(v), 0, &text));
    alarm.text = (const char *)text.data;
    BDR_TRY(bdr_message_make(bdr_req_arena(req), ch, &(struct bdr_message_item){"test", &alarm}, 1,
                             c->config.public_url ? c->config.public_url : "", api_now(), &m));
    return bdr_channel_send(ch, &m, bdr_req_cancel(req));
}

static struct bdr_err *channel_test(struct bdr_req *req, const void *in, void *out)
{
    struct bdr_console *c = api_console(req);
    BDR_AUTO(mem) struct bdr_row_channel *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_channel ch = {0};
    uint64_t begin = bdr_clock_mono_ms();
    struct test_out *o = out;
    struct bdr_err *err;
    char text[400];

    (void)in;
    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_channel_one(tx, (int64_t)bdr_req_param_u64(req, "id"), &row));
    if (!row)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no channel %s.", bdr_req_param(req, "id"));
    BDR_TRY(bdr_channel_open(tx, c->ring, bdr_req_arena(req), row, &ch));
    bdr_tx_abandon(BDR_STEAL(tx));
    err = test_send(req, &ch);
    bdr_channel_close(&ch);
    o->delivered = !err;
    o->took = bdr_clock_mono_ms() - begin;
    if (err) {
        bdr_err_text(err, text, sizeof(text));
        bdr_err_drop(err, "told to who asked, and kept");
        o->error = api_text(req, text);
    }
    return bdr_db_run(c->db, BDR_TX_LOCK, outcome_keep, &(struct outcome){row->id, o->error});
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/v1/channels",
     .perm = "channels:admin",
     .flags = BDR_R_LIST,
     .out = &channel_shape,
     .run = channel_list,
     .cli = "channel list",
     .help = "Where alarms are sent.",
     .help_zh = "通知渠道列表"},
    {.method = BDR_POST,
     .path = "/v1/channels",
     .perm = "channels:admin",
     .flags = BDR_R_IDEMPOTENT,
     .in = &channel_shape,
     .out = &channel_shape,
     .status = 201,
     .run = channel_add,
     .cli = "channel add",
     .help = "Send alarms somewhere else, too.",
     .help_zh = "添加通知渠道"},
    {.method = BDR_GET,
     .path = "/v1/channels/{id:u64}",
     .perm = "channels:admin",
     .out = &channel_shape,
     .run = channel_get,
     .cli = "channel show",
     .help = "One channel.",
     .help_zh = "查看通知渠道"},
    {.method = BDR_PATCH,
     .path = "/v1/channels/{id:u64}",
     .perm = "channels:admin",
     .in = &channel_shape,
     .out = &channel_shape,
     .run = channel_update,
     .cli = "channel set",
     .help = "Change a channel.",
     .help_zh = "修改通知渠道"},
    {.method = BDR_DELETE,
     .path = "/v1/channels/{id:u64}",
     .perm = "channels:admin",
     .run = channel_delete,
     .cli = "channel remove",
     .help = "Remove a channel; what waits for it is not sent.",
     .help_zh = "删除通知渠道"},
    {.method = BDR_POST,
     .path = "/v1/channels/{id:u64}/test",
     .perm = "channels:admin",
     .out = &test_shape,
     .run = channel_test,
     .cli = "channel test",
     .help = "Send a test message now and tell what came of it.",
     .help_zh = "测试通知渠道"},
};
const struct bdr_route_table api_channels_table = BDR_ROUTES("channels", rows);
