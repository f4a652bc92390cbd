/* SPDX-License-Identifier: Apache-2.0 */
/* mail.c - a message as a mail, by SMTP (RFC 5321) with STARTTLS (RFC 3207) or TLS from the start (RFC 8314). */
#include "bdr/clock.h"
#include "watch/curl.h"
#include "watch/notify.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WORD_BYTES 39 /* of text in an encoded word: with "Subject: " before it a line has 78 characters at most */
#define LINE_BYTES 57 /* 76 characters of base64 (RFC 2045 6.8) */

static void mail_base64(struct bdr_buf *out, const void *data, size_t len)
{
    uint8_t text[80];

    out->failed |= EVP_EncodeBlock(text, data, (int)len) < 0;
    bdr_buf_put(out, text, (len + 2) / 3 * 4);
}

/* A header's text; folded into encoded words when it is not plain. Lines cannot be broken into it: none is plain. */
static void mail_header_text(struct bdr_buf *out, const char *text)
{
    size_t len = strlen(text), at = 0;
    bool plain = len < 200;

    for (size_t i = 0; i < len; i++)
        plain = plain && text[i] >= 0x20 && text[i] < 0x7f && !(text[i] == '=' && text[i + 1] == '?');
    if (plain) {
        bdr_buf_put(out, text, len);
        return;
    }
    while (at < len) {
        size_t n = BDR_MIN(len - at, (size_t)WORD_BYTES);

        while (n > 1 && at + n < len && ((uint8_t)text[at + n] & 0xc0) == 0x80)
            n--; /* not within a character */
        bdr_buf_printf(out, "%s=?UTF-8?B?", at ? "\r\n " : "");
        mail_base64(out, text + at, n);
        bdr_buf_printf(out, "?=");
        at += n;
    }
}

struct bdr_err *bdr_mail_text(const struct bdr_channel *ch, const struct bdr_message *m, struct bdr_buf *out)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t at = (time_t)(m->at_ms / 1000);
    struct tm tm;
    const char *domain = strchr(ch->params.from, '@');

    gmtime_r(&at, &tm);
    bdr_buf_printf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday,
                   months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    bdr_buf_printf(out, "From: OpenBDR <%s>\r\n", ch->params.from);
    for (size_t i = 0; i < ch->params.to.n; i++)
        bdr_buf_printf(out, "%s<%s>", i ? ",\r\n " : "To: ", ch->params.to.items[i]);
    bdr_buf_printf(out, "\r\nSubject: ");
    mail_header_text(out, m->subject);
    bdr_buf_printf(out, "\r\nMessage-ID: <%s.openbdr%s>\r\n", m->id, domain ? domain : "@localhost");
    bdr_buf_printf(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    for (size_t i = 0, len = strlen(m->text); i < len; i += LINE_BYTES) {
        mail_base64(out, m->text + i, BDR_MIN(len - i, (size_t)LINE_BYTES));
        bdr_buf_printf(out, "\r\n");
    }
    return bdr_buf_check(out);
}

static size_t mail_give(char *to, size_t size, size_t n, void *ctx)
{
    struct bdr_cur *c = ctx;
    size_t len = BDR_MIN(size * n, bdr_cur_left(c));

    memcpy(to, bdr_cur_take(c, len), len);
    return len;
}

struct bdr_err *bdr_mail_send(const struct bdr_channel *ch, const struct bdr_message *m,
                              const struct bdr_cancel *cancel)
{
    const struct bdr_channel_params *p = &ch->params;
    BDR_AUTO(watch_curl) struct watch_curl w = {0};
    BDR_AUTO(buf) struct bdr_buf text = {0};
    struct bdr_cur at;
    bool v6 = strchr(p->host, ':') != NULL;
    char url[300];

    BDR_TRY(bdr_mail_text(ch, m, &text));
    at = bdr_cur_of(text.data, text.len);
    BDR_TRY(watch_curl_open(&w, ch, p->host, cancel));
    snprintf(url, sizeof(url), "%s://%s%s%s:%u/openbdr", p->tls == BDR_MAIL_TLS ? "smtps" : "smtp", v6 ? "[" : "",
             p->host, v6 ? "]" : "", p->port);
    curl_easy_setopt(w.easy, CURLOPT_URL, url);
    curl_easy_setopt(w.easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    if (p->tls == BDR_MAIL_STARTTLS) /* or not at all */
        curl_easy_setopt(w.easy, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    if (p->username) {
        curl_easy_setopt(w.easy, CURLOPT_USERNAME, p->username);
        curl_easy_setopt(w.easy, CURLOPT_PASSWORD, ch->secret.data ? (const char *)ch->secret.data : "");
    }
    curl_easy_setopt(w.easy, CURLOPT_MAIL_FROM, p->from);
    for (size_t i = 0; i < p->to.n; i++)
        BDR_TRY(watch_curl_add(&w, p->to.items[i]));
    curl_easy_setopt(w.easy, CURLOPT_MAIL_RCPT, w.list);
    curl_easy_setopt(w.easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(w.easy, CURLOPT_READFUNCTION, mail_give);
    curl_easy_setopt(w.easy, CURLOPT_READDATA, &at);
    BDR_TRY_FOR(watch_curl_run(&w), "the mail server %s:%u", p->host, p->port);
    return NULL;
}
