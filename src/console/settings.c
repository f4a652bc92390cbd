/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"
#include "db/statements.h"
#include <stdio.h>
#include <string.h>

struct bdr_err *bdr_setting_get(struct bdr_tx *tx, const char *name, char **out)
{
    BDR_AUTO(mem) struct bdr_row_setting_get *row = NULL;
    char *copy;

    BDR_TRY(bdr_q_setting_get(tx, name, &row));
    copy = strdup(row ? row->value : "");
    BDR_NOMEM_IF_NULL(copy);
    *out = copy;
    return NULL;
}

struct bdr_err *bdr_setting_put(struct bdr_tx *tx, const char *name, const char *value, int64_t now_ms)
{
    return bdr_q_setting_put(tx, name, value, now_ms);
}

struct bdr_err *bdr_settings_names(struct bdr_console *c)
{
    const char *names[BDR_SETTING_NAMES_MAX];
    BDR_AUTO(mem) char *text = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n = 0;

    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_setting_get(tx, "names", &text));
    bdr_tx_abandon(BDR_STEAL(tx));
    for (char *at = text; *at && n < BDR_SETTING_NAMES_MAX;) {
        char *end = at + strcspn(at, " ");

        if (end > at)
            names[n++] = at;
        at = end + (*end == ' ');
        *end = 0;
    }
    return bdr_console_names(c, names, n);
}

static bool url_safe(const char *url)
{
    return !url[strspn(url, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:/._-[]%")];
}

/* "name:port" as a name, an IPv6 address with its brackets; "" when it is no such thing. */
static void host_of(const char *host, char *out, size_t n)
{
    const char *end = host && *host == '[' ? strchr(host, ']') : NULL;
    size_t len = !host ? 0 : end ? (size_t)(end - host) + 1 : strcspn(host, ":/");

    snprintf(out, n, "%.*s", len < n ? (int)len : 0, host ? host : "");
    if (!url_safe(out) || strchr(out, '/') || strchr(out, '%'))
        *out = 0;
}

static struct bdr_err *url_make(const char *scheme, const char *host, unsigned port, char **out)
{
    const bool v6 = strchr(host, ':') && host[0] != '[';
    char *text = NULL;

    if (asprintf(&text, "%s://%s%s%s:%u", scheme, v6 ? "[" : "", host, v6 ? "]" : "", port) < 0)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    *out = text;
    return NULL;
}

/* A URL that somebody wrote, without slashes at its end. */
static struct bdr_err *url_take(const char *given, char **out)
{
    size_t n = strlen(given);
    char *text;

    while (n && given[n - 1] == '/')
        n--;
    if (!url_safe(given))
        BDR_FAIL(BDR_INVAL, 0, "the address %s has letters that an install command can't hold", given);
    text = strndup(given, n);
    BDR_NOMEM_IF_NULL(text);
    *out = text;
    return NULL;
}

struct bdr_err *bdr_settings_urls(struct bdr_console *c, const char *asked_by, char **out_https, char **out_http)
{
    BDR_AUTO(mem) char *public_url = NULL, *download_url = NULL, *https = NULL, *http = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    char host[256];
    const char *from;

    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_setting_get(tx, "public_url", &public_url));
    BDR_TRY(bdr_setting_get(tx, "download_url", &download_url));
    bdr_tx_abandon(BDR_STEAL(tx));
    host_of(asked_by, host, sizeof(host));
    if (c->names_given || !*host)
        snprintf(host, sizeof(host), "%s", c->config.names[0]);
    from = *public_url ? public_url : c->config.public_url && *c->config.public_url ? c->config.public_url : NULL;
    BDR_TRY(from ? url_take(from, &https) : url_make("https", host, bdr_console_port(c), &https));
    if (from && !strncmp(https, "https://", 8)) /* the packages are next door */
        host_of(https + 8, host, sizeof(host));
    BDR_TRY(*download_url ? url_take(download_url, &http) : url_make("http", host, bdr_console_http_port(c), &http));
    *out_https = BDR_STEAL(https);
    *out_http = BDR_STEAL(http);
    return NULL;
}
