/* SPDX-License-Identifier: Apache-2.0 */
/* Text forms: UTF-8, host names, addresses, URLs, patterns, RFC 3339. Pure. */
#include "shape_i.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

bool text_count(const char *s, size_t len, bool lines, size_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; n++) {
        unsigned char c = (unsigned char)s[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xc2 && c < 0xe0 ? 1
                      : c >= 0xe0 && c < 0xf0 ? 2
                      : c >= 0xf0 && c < 0xf5 ? 3
                                              : 9;

        if (more == 9 || len - i <= more)
            return false;
        if ((c < 0x20 && !(lines && (c == '\n' || c == '\t' || c == '\r'))) || c == 0x7f)
            return false;
        for (size_t k = 1; k <= more; k++)
            if (((unsigned char)s[i + k] & 0xc0) != 0x80)
                return false;
        i += 1 + more;
    }
    *out = n;
    return true;
}

static bool alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool text_is_ip(const char *s)
{
    unsigned char room[16];

    return inet_pton(AF_INET, s, room) == 1 || inet_pton(AF_INET6, s, room) == 1;
}

/* RFC 1123 2.1: labels of letters, digits and inner hyphens, 63 each, 253 together. All digits and dots is no name. */
bool text_is_host(const char *s)
{
    size_t len = strlen(s), label = 0;

    if (text_is_ip(s))
        return true;
    if (!len || len > 253 || strspn(s, "0123456789.") == len)
        return false;
    for (size_t i = 0; i <= len; i++) {
        if (s[i] && s[i] != '.') {
            if (!alnum(s[i]) && !(s[i] == '-' && label && alnum(s[i + 1])) &&
                !(s[i] == '-' && label && s[i + 1] == '-'))
                return false;
            label++;
        } else {
            if (!label || label > 63)
                return false;
            label = 0;
        }
    }
    return true;
}

bool text_is_url(const char *s)
{
    CURLU *u;
    char *host = NULL;
    bool ok;

    if (strncmp(s, "http://", 7) && strncmp(s, "https://", 8))
        return false;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f || strchr("\"<>\\^`{|}", *p))
            return false;
    u = curl_url();
    ok = u && !curl_url_set(u, CURLUPART_URL, s, 0) && !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
         (host[0] == '[' || text_is_host(host));
    curl_free(host);
    curl_url_cleanup(u);
    return ok;
}

/* Patterns stand in constant tables: each is compiled once and kept for good. */
#define PATTERNS_MAX 256
static struct {
    pthread_mutex_t lock; /* guards the rest; a compiled pattern is never changed */
    struct {
        const char *text;
        regex_t *compiled; /* NULL: broken */
    } rows[PATTERNS_MAX];
    size_t n;
} patterns = {.lock = PTHREAD_MUTEX_INITIALIZER};

static regex_t *pattern_of(const char *text, bool *out_temporary)
{
    regex_t *re = NULL;
    bool found = false;

    *out_temporary = false;
    pthread_mutex_lock(&patterns.lock);
    for (size_t i = 0; i < patterns.n && !found; i++)
        if (patterns.rows[i].text == text) {
            re = patterns.rows[i].compiled;
            found = true;
        }
    if (!found) {
        re = calloc(1, sizeof(*re));
        if (re && regcomp(re, text, REG_EXTENDED | REG_NOSUB)) {
            free(re);
            re = NULL;
        }
        if (re && patterns.n < PATTERNS_MAX) {
            patterns.rows[patterns.n].text = text;
            patterns.rows[patterns.n++].compiled = re;
        } else if (re) {
            *out_temporary = true;
        }
    }
    pthread_mutex_unlock(&patterns.lock);
    return re;
}

int text_matches(const char *pattern, const char *s)
{
    bool temporary;
    regex_t *re = pattern_of(pattern, &temporary);
    int ok;

    if (!re)
        return -1;
    ok = regexec(re, s, 0, NULL, 0) == 0;
    if (temporary) {
        regfree(re);
        free(re);
    }
    return ok;
}

static bool digits(const char **at, size_t n, int *out)
{
    int v = 0;

    for (size_t i = 0; i < n; i++) {
        if ((*at)[i] < '0' || (*at)[i] > '9')
            return false;
        v = v * 10 + ((*at)[i] - '0');
    }
    *at += n;
    *out = v;
    return true;
}

static bool literal(const char **at, const char *any)
{
    if (!**at || !strchr(any, **at))
        return false;
    (*at)++;
    return true;
}

/* "Z", "+08:00" into minutes east. */
static bool zone_read(const char **at, int *out_minutes)
{
    int h, m, sign = **at == '-' ? -1 : 1;

    *out_minutes = 0;
    if (literal(at, "Zz"))
        return true;
    if (!literal(at, "+-") || !digits(at, 2, &h) || !literal(at, ":") || !digits(at, 2, &m) || h > 23 || m > 59)
        return false;
    *out_minutes = sign * (h * 60 + m);
    return true;
}

bool bdr_rfc3339_read(const char *text, int64_t *out_wall_ms)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct tm tm = {0};
    const char *at = text;
    int year, month, ms = 0, minutes;

    if (!digits(&at, 4, &year) || !literal(&at, "-") || !digits(&at, 2, &month) || !literal(&at, "-") ||
        !digits(&at, 2, &tm.tm_mday) || !literal(&at, "Tt") || !digits(&at, 2, &tm.tm_hour) || !literal(&at, ":") ||
        !digits(&at, 2, &tm.tm_min) || !literal(&at, ":") || !digits(&at, 2, &tm.tm_sec))
        return false;
    if (literal(&at, ".")) {
        int d, scale = 100;

        if (!digits(&at, 1, &d))
            return false;
        do {
            ms += d * scale;
            scale /= 10;
        } while (digits(&at, 1, &d));
    }
    if (!zone_read(&at, &minutes) || *at)
        return false;
    if (month < 1 || month > 12 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 || tm.tm_mday < 1)
        return false;
    if (tm.tm_mday > days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)))
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    *out_wall_ms = ((int64_t)timegm(&tm) - (int64_t)minutes * 60) * 1000 + ms;
    return true;
}

const char *bdr_rfc3339_text(int64_t wall_ms, char buf[32])
{
    int64_t ms = ((wall_ms % 1000) + 1000) % 1000;
    time_t t = (time_t)((wall_ms - ms) / 1000);
    struct tm tm;

    if (!gmtime_r(&t, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099)
        memcpy(buf, "1970-01-01T00:00:00.000Z", 25);
    else
        snprintf(buf, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec, (int)ms);
    return buf;
}
