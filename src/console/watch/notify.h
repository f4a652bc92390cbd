/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - channels: where alarms are sent, the messages, and sending them.
 *
 * A message holds all that waits for a channel, so that a site that goes dark is one mail and not a thousand. Sending
 * takes at most BDR_SEND_MS, whatever the far side does, and ends at once when `cancel` is set.
 * Threads: any; a channel is one thread's.      Source: docs/console/notifications.md
 */
#pragma once
#include "bdr/arena.h"
#include "bdr/shape.h"
#include "watch/alarm.h"

#define BDR_SEND_MS       20000
#define BDR_NOTIFY_TRIES  12  /* with the pauses between them about five hours */
#define BDR_MESSAGE_ITEMS 100 /* alarms in one message */

enum bdr_channel_kind { BDR_CHANNEL_MAIL, BDR_CHANNEL_WEBHOOK, BDR_CHANNEL_SYSLOG };
enum bdr_mail_tls { BDR_MAIL_STARTTLS, BDR_MAIL_TLS, BDR_MAIL_PLAIN };
enum bdr_syslog_transport { BDR_SYSLOG_UDP, BDR_SYSLOG_TCP };
extern const struct bdr_choice bdr_channel_kinds[], bdr_mail_tlss[], bdr_syslog_transports[], bdr_severities[],
    bdr_langs[];

/* What is kept of a channel besides its row, as JSON in channel.params; secrets are rows of sealed. */
struct bdr_channel_params {
    const char *host;
    uint32_t port;
    int tls;
    const char *username, *from;
    BDR_ARRAY(const char *) to;
    const char *url;
    const char *ca; /* PEM; NULL: the system's */
    int transport;
};
extern const struct bdr_shape bdr_channel_params_shape;
/* Which secret a channel of that kind has; NULL: none. */
const char *bdr_channel_secret_field(int kind);

struct bdr_channel {
    const struct bdr_row_channel *row; /* borrowed */
    int kind;
    struct bdr_channel_params params; /* in the arena */
    struct bdr_secret secret;         /* owned; password or signing key */
    uint32_t deadline_ms;             /* BDR_SEND_MS, but for tests */
};
/* Reads params and secret. `tx` may be any kind. */
bdr_ret bdr_channel_open(struct bdr_tx *tx, const struct bdr_keyring *ring, struct bdr_arena *arena,
                         const struct bdr_row_channel *row, struct bdr_channel *out);
void bdr_channel_close(struct bdr_channel *ch);

/* One alarm of a message. */
struct bdr_message_item {
    const char *what; /* raised, worse, cleared, test */
    const struct bdr_row_alarm *alarm;
};
/* All in the arena it was made in. */
struct bdr_message {
    const char *subject, *text, *json;
    const char *lines[BDR_MESSAGE_ITEMS]; /* one an item, for syslog */
    int severity[BDR_MESSAGE_ITEMS];
    size_t n;
    int64_t at_ms;
    const char *id; /* for Message-ID and the receiver of a webhook: the same message sent again has the same */
};
/* `url`: of the console, for links; "" none. */
bdr_ret bdr_message_make(struct bdr_arena *arena, const struct bdr_channel *ch, const struct bdr_message_item *items,
                         size_t n, const char *url, int64_t now_ms, struct bdr_message *out);
bdr_ret bdr_channel_send(const struct bdr_channel *ch, const struct bdr_message *m, const struct bdr_cancel *cancel);

/* mail.c, webhook.c, syslog.c */
bdr_ret bdr_mail_send(const struct bdr_channel *ch, const struct bdr_message *m, const struct bdr_cancel *cancel);
bdr_ret bdr_webhook_send(const struct bdr_channel *ch, const struct bdr_message *m, const struct bdr_cancel *cancel);
bdr_ret bdr_syslog_send(const struct bdr_channel *ch, const struct bdr_message *m, const struct bdr_cancel *cancel);
/* The whole mail with its headers. Pure: for tests. */
bdr_ret bdr_mail_text(const struct bdr_channel *ch, const struct bdr_message *m, struct bdr_buf *out);
/* The host of a receiver's address; INVAL when there is none. */
bdr_ret bdr_webhook_host(const char *url, char out[256]);
/* "sha256=..." over "TIMESTAMP.BODY". */
bdr_ret bdr_webhook_signature(const struct bdr_secret *secret, const char *timestamp, const char *body, char out[72]);
/* 1 min, doubling up to 30 min. */
int64_t bdr_notify_backoff_ms(int64_t tries);
