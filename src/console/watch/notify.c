/* SPDX-License-Identifier: Apache-2.0 */
/* notify.c - what waits for each channel, sent: once, whatever number of consoles; again later, when it fails. */
#include "watch/notify.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "watch/watch.h"
#include <stdio.h>
#include <string.h>

#define LEASE_MS 120000 /* ours alone for so long: more than a delivery can take */

const struct bdr_choice bdr_channel_kinds[] = {{"mail", BDR_CHANNEL_MAIL, "Mail by SMTP.", "邮件"},
                                               {"webhook", BDR_CHANNEL_WEBHOOK, "A signed POST of JSON.", "Webhook"},
                                               {"syslog", BDR_CHANNEL_SYSLOG, "RFC 5424 lines.", "Syslog"},
                                               {.name = NULL}};
const struct bdr_choice bdr_mail_tlss[] = {
    {"starttls", BDR_MAIL_STARTTLS, "Encrypted after STARTTLS, or not at all.", "STARTTLS"},
    {"tls", BDR_MAIL_TLS, "Encrypted from the start.", "TLS"},
    {"none", BDR_MAIL_PLAIN, "Not encrypted; no password then.", "不加密"},
    {.name = NULL}};
const struct bdr_choice bdr_syslog_transports[] = {
    {"udp", BDR_SYSLOG_UDP, "UDP.", "UDP"}, {"tcp", BDR_SYSLOG_TCP, "TCP with octet counts.", "TCP"}, {.name = NULL}};
const struct bdr_choice bdr_severities[] = {{"info", BDR_SEV_INFO, "All.", "提示"},
                                            {"warning", BDR_SEV_WARNING, "Warnings and worse.", "警告"},
                                            {"critical", BDR_SEV_CRITICAL, "Only what cannot wait.", "严重"},
                                            {.name = NULL}};
const struct bdr_choice bdr_langs[] = {
    {"en", BDR_LANG_EN, "English.", "英文"}, {"zh", BDR_LANG_ZH, "Chinese.", "中文"}, {.name = NULL}};

static const struct bdr_shape_field params_fields[] = {
    {BDR_FIELD(struct bdr_channel_params, host), .type = BDR_T_HOST, .help = "Host.", .help_zh = "主机"},
    {BDR_FIELD(struct bdr_channel_params, port), .type = BDR_T_U32, .max = 65535, .help = "Port.", .help_zh = "端口"},
    {BDR_FIELD(struct bdr_channel_params, tls), .type = BDR_T_ENUM, .choices = bdr_mail_tlss, .help = "Encryption.",
     .help_zh = "加密"},
    {BDR_FIELD(struct bdr_channel_params, username), .type = BDR_T_TEXT, .help = "Login.", .help_zh = "用户名"},
    {BDR_FIELD(struct bdr_channel_params, from), .type = BDR_T_TEXT, .help = "Sender.", .help_zh = "发件人"},
    {BDR_FIELD(struct bdr_channel_params, to), .type = BDR_T_ARRAY, .of = BDR_T_TEXT, .n_max = 50,
     .help = "Recipients.", .help_zh = "收件人"},
    {BDR_FIELD(struct bdr_channel_params, url), .type = BDR_T_URL, .help = "Receiver.", .help_zh = "接收地址"},
    {BDR_FIELD(struct bdr_channel_params, ca), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = 65536,
     .help = "CA certificates.", .help_zh = "CA证书"},
    {BDR_FIELD(struct bdr_channel_params, transport), .type = BDR_T_ENUM, .choices = bdr_syslog_transports,
     .help = "Transport.", .help_zh = "传输方式"},
    {.name = NULL},
};
const struct bdr_shape bdr_channel_params_shape = {
    .name = "ChannelParams", .size = sizeof(struct bdr_channel_params), .fields = params_fields};

const char *bdr_channel_secret_field(int kind)
{
    return kind == BDR_CHANNEL_MAIL ? "password" : kind == BDR_CHANNEL_WEBHOOK ? "secret" : NULL;
}

struct bdr_err *bdr_channel_open(struct bdr_tx *tx, const struct bdr_keyring *ring, struct bdr_arena *arena,
                                 const struct bdr_row_channel *row, struct bdr_channel *out)
{
    struct bdr_channel ch = {.row = row, .kind = -1, .deadline_ms = BDR_SEND_MS};
    const char *field;
    bool found = false;

    for (const struct bdr_choice *k = bdr_channel_kinds; k->name; k++)
        if (!strcmp(k->name, row->kind))
            ch.kind = k->value;
    if (ch.kind < 0)
        BDR_FAIL(BDR_CORRUPT, 0, "the channel %s is of a kind that does not exist", row->name);
    BDR_TRY_FOR(bdr_shape_read(&bdr_channel_params_shape, BDR_SHAPE_RESPONSE, row->params, strlen(row->params), arena,
                               &ch.params, NULL),
                "the settings of the channel %s", row->name);
    field = bdr_channel_secret_field(ch.kind);
    if (field)
        BDR_TRY(bdr_secret_get(tx, ring, &(struct bdr_seal_place){"channel", row->id, field}, &ch.secret, &found));
    *out = ch;
    return NULL;
}

void bdr_channel_close(struct bdr_channel *ch)
{
    bdr_secret_free(&ch->secret);
}

struct bdr_err *bdr_channel_send(const struct bdr_channel *ch, const struct bdr_message *m,
                                 const struct bdr_cancel *cancel)
{
    static struct bdr_err *(*const send[])(const struct bdr_channel *ch, const struct bdr_message *m,
                                           const struct bdr_cancel *cancel) = {
        [BDR_CHANNEL_MAIL] = bdr_mail_send,
        [BDR_CHANNEL_WEBHOOK] = bdr_webhook_send,
        [BDR_CHANNEL_SYSLOG] = bdr_syslog_send,
    };

    return send[ch->kind](ch, m, cancel);
}

int64_t bdr_notify_backoff_ms(int64_t tries)
{
    int64_t ms = INT64_C(60000) << (tries < 1 ? 0 : tries > 6 ? 5 : tries - 1);

    return BDR_MIN(ms, INT64_C(1800000));
}

/* ---- the queue ---- */

struct batch {
    int64_t channel_id, now_ms;
    struct bdr_row_notification_take *row; /* owned */
    size_t n;
    const char *error; /* NULL: it arrived */
};

static struct bdr_err *batch_take(struct bdr_tx *tx, void *ctx)
{
    struct batch *b = ctx;

    free(BDR_STEAL(b->row));
    b->n = 0;
    return bdr_q_notification_take(
        tx, &(struct bdr_in_notification_take){b->channel_id, b->now_ms, b->now_ms + LEASE_MS, BDR_MESSAGE_ITEMS},
        &b->row, &b->n);
}

static struct bdr_err *batch_end(struct bdr_tx *tx, void *ctx)
{
    const struct batch *b = ctx;
    int64_t n;

    for (size_t i = 0; i < b->n; i++) {
        bool last = b->row[i].tries >= BDR_NOTIFY_TRIES;

        BDR_TRY(
            bdr_q_notification_end(tx,
                                   &(struct bdr_in_notification_end){b->row[i].id,
                                                                     !b->error ? "sent"
                                                                     : last    ? "failed"
                                                                               : "ready",
                                                                     b->now_ms + bdr_notify_backoff_ms(b->row[i].tries),
                                                                     b->error ? b->error : "", b->now_ms},
                                   &n));
    }
    return b->error ? bdr_q_channel_error(tx, b->channel_id, b->now_ms, b->error, &n)
                    : bdr_q_channel_ok(tx, b->channel_id, b->now_ms, &n);
}

/* The channel and the alarms of a batch. */
struct load {
    struct bdr_row_channel *row; /* owned */
    struct bdr_channel ch;
    struct bdr_message_item items[BDR_MESSAGE_ITEMS];
    size_t n;
};

static void load_free(void *p)
{
    struct load *l = p;

    for (size_t i = 0; i < l->n; i++)
        free((void *)(uintptr_t)l->items[i].alarm);
    bdr_channel_close(&l->ch);
    free(l->row);
}

static struct bdr_err *load_batch(struct bdr_console *c, struct bdr_arena *arena, const struct batch *b, struct load *l)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_channel_one(tx, b->channel_id, &l->row));
    if (!l->row)
        return NULL; /* deleted, and what waited with it */
    BDR_TRY(bdr_channel_open(tx, c->ring, arena, l->row, &l->ch));
    for (size_t i = 0; i < b->n && l->n < BDR_MESSAGE_ITEMS; i++) {
        struct bdr_row_alarm *a = NULL;

        BDR_TRY(bdr_q_alarm_one(tx, b->row[i].alarm_id, &a));
        if (a)
            l->items[l->n++] = (struct bdr_message_item){b->row[i].what, a};
    }
    return NULL;
}

static struct bdr_err *batch_send(struct bdr_console *c, struct batch *b)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_message m;
    struct load *l;

    BDR_TRY(bdr_arena_new(&arena));
    l = bdr_arena_alloc(arena, sizeof(*l));
    BDR_NOMEM_IF_NULL(l);
    BDR_TRY(bdr_arena_defer(arena, load_free, l));
    BDR_TRY(load_batch(c, arena, b, l));
    if (!l->n)
        return NULL;
    BDR_TRY(bdr_message_make(arena, &l->ch, l->items, l->n, c->config.public_url ? c->config.public_url : "", b->now_ms,
                             &m));
    return bdr_channel_send(&l->ch, &m, &c->ticks_stop);
}

static struct bdr_err *deliver_one(struct bdr_console *c, int64_t channel_id, int64_t now_ms)
{
    struct batch b = {.channel_id = channel_id, .now_ms = now_ms};
    struct bdr_err *err = bdr_db_run(c->db, BDR_TX_LOCK, batch_take, &b), *sent;
    char text[400];

    if (!err && b.n) {
        sent = batch_send(c, &b);
        if (sent && sent->code == BDR_CANCELLED) { /* the console stops: another one, or the next start, sends it */
            bdr_err_drop(BDR_STEAL(sent), "the lease ends by itself");
        } else {
            b.error = sent ? bdr_err_text(sent, text, sizeof(text)) : NULL;
            if (sent)
                BDR_LOG(WARN, "notify.failed", F_U64("channel", (uint64_t)channel_id), F_U64("alarms", b.n),
                        F_ERR(sent));
            err = bdr_db_run(c->db, BDR_TX_LOCK, batch_end, &b);
            bdr_err_drop(sent, "kept in its row; it becomes an alarm");
        }
    }
    free(b.row);
    return err;
}

struct bdr_err *bdr_watch_deliver(struct bdr_console *c, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_notification_waiting *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_err *err = NULL;
    size_t n = 0;

    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_notification_waiting(tx, now_ms, &row, &n));
    bdr_tx_abandon(BDR_STEAL(tx));
    for (size_t i = 0; i < n && !bdr_cancelled(&c->ticks_stop); i++)
        err = bdr_err_first(err, deliver_one(c, row[i].channel_id, now_ms));
    return err;
}
