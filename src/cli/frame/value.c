/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/value.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint64_t ms;
} duration_units[] = {{"w", 604800000}, {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

bool bdr_choice_next(const char **at, const char **out, size_t *out_len)
{
    if (!*at || !**at)
        return false;
    *out = *at;
    *out_len = strcspn(*at, "|");
    *at += *out_len;
    if (**at)
        (*at)++;
    return true;
}

static struct bdr_err *value_range(const struct bdr_opt *opt, const char *text, uint64_t v)
{
    char low[32], high[32];

    if (v >= opt->min && (!opt->max || v <= opt->max))
        return NULL;
    if (opt->type == BDR_OPT_SIZE) {
        bdr_size_text(opt->min, low);
        bdr_size_text(opt->max, high);
    } else if (opt->type == BDR_OPT_DURATION) {
        bdr_duration_text(opt->min, low);
        bdr_duration_text(opt->max, high);
    } else {
        snprintf(low, sizeof(low), "%llu", (unsigned long long)opt->min);
        snprintf(high, sizeof(high), "%llu", (unsigned long long)opt->max);
    }
    if (!opt->max)
        BDR_FAIL(BDR_RANGE, 0, "%s is too little; the least is %s", text, low);
    BDR_FAIL(BDR_RANGE, 0, "%s is out of range; it goes from %s to %s", text, low, high);
}

static struct bdr_err *value_flag(const struct bdr_opt *opt, const char *text, void *field)
{
    static const struct {
        const char *word;
        bool v;
    } words[] = {{"yes", true}, {"true", true},   {"on", true},   {"1", true},
                 {"no", false}, {"false", false}, {"off", false}, {"0", false}};

    (void)opt;
    for (size_t i = 0; i < BDR_COUNT(words); i++) {
        if (strcmp(words[i].word, text))
            continue;
        *(bool *)field = words[i].v;
        return NULL;
    }
    BDR_FAIL(BDR_INVAL, 0, "'%s' is neither yes nor no", text);
}

static struct bdr_err *value_u32(const struct bdr_opt *opt, const char *text, void *field)
{
    uint64_t v = 0;

    BDR_TRY(bdr_u64_parse(text, UINT32_MAX, &v));
    BDR_TRY(value_range(opt, text, v));
    *(uint32_t *)field = (uint32_t)v;
    return NULL;
}

static struct bdr_err *value_u64(const struct bdr_opt *opt, const char *text, void *field)
{
    uint64_t v = 0;

    BDR_TRY(bdr_u64_parse(text, UINT64_MAX, &v));
    BDR_TRY(value_range(opt, text, v));
    *(uint64_t *)field = v;
    return NULL;
}

static struct bdr_err *value_percent(const struct bdr_opt *opt, const char *text, void *field)
{
    char *end = NULL;
    double v;

    (void)opt;
    /* Digits and a point only: strtod would take "0x1", "nan", "1e1" and a sign. */
    if (!*text || text[strspn(text, "0123456789.") + (text[strspn(text, "0123456789.")] == '%')])
        BDR_FAIL(BDR_INVAL, 0, "'%s' is not a percentage; write it like 0.1, 5, 5%%", text);
    v = strtod(text, &end);
    if (end == text || (*end && strcmp(end, "%") != 0))
        BDR_FAIL(BDR_INVAL, 0, "'%s' is not a percentage; write it like 0.1, 5, 5%%", text);
    if (v > 100)
        BDR_FAIL(BDR_RANGE, 0, "%s is out of range; a percentage goes from 0 to 100", text);
    *(double *)field = v;
    return NULL;
}

static struct bdr_err *value_size(const struct bdr_opt *opt, const char *text, void *field)
{
    uint64_t v = 0;

    /* strtod would take "0x10", "nan", "1e3" and a leading blank. */
    if (*text < '0' || *text > '9' || strpbrk(text, "xXnN") || text[strspn(text, "0123456789.")] == 'e')
        BDR_FAIL(BDR_INVAL, 0, "'%s' is not a size; write it like 4096, 64K, 1.5G", text);
    BDR_TRY(bdr_size_parse(text, &v));
    BDR_TRY(value_range(opt, text, v));
    *(uint64_t *)field = v;
    return NULL;
}

struct bdr_err *bdr_duration_parse(const char *text, uint64_t *out_ms)
{
    uint64_t sum = 0;
    const char *p = text;

    if (!strcmp(text, "0")) {
        *out_ms = 0;
        return NULL;
    }
    do {
        uint64_t v = 0, unit = 0;
        const char *digits = p;
        size_t len;

        for (; *p >= '0' && *p <= '9'; p++) {
            if (v > UINT64_MAX / 10 - 1)
                BDR_FAIL(BDR_RANGE, 0, "'%s' is too long a time", text);
            v = v * 10 + (uint64_t)(*p - '0');
        }
        len = strcspn(p, "0123456789");
        for (size_t i = 0; i < BDR_COUNT(duration_units); i++)
            if (strlen(duration_units[i].name) == len && !strncmp(duration_units[i].name, p, len))
                unit = duration_units[i].ms;
        if (p == digits || !unit)
            BDR_FAIL(BDR_INVAL, 0, "'%s' is not a duration; write it like 10s, 5m, 2h, 7d, 4w", text);
        if (v > (UINT64_MAX - sum) / unit)
            BDR_FAIL(BDR_RANGE, 0, "'%s' is too long a time", text);
        sum += v * unit;
        p += len;
    } while (*p);
    *out_ms = sum;
    return NULL;
}

const char *bdr_duration_text(uint64_t ms, char buf[32])
{
    size_t at = 0;
    unsigned parts = 0;

    for (size_t i = 0; i < BDR_COUNT(duration_units) && parts < 2; i++) {
        uint64_t n = ms / duration_units[i].ms;

        if (!n && (!parts || !ms))
            continue;
        if (n)
            at += (size_t)snprintf(buf + at, 32 - at, "%llu%s", (unsigned long long)n, duration_units[i].name);
        ms -= n * duration_units[i].ms;
        parts++;
    }
    if (!at)
        memcpy(buf, "0s", 3);
    return buf;
}

static struct bdr_err *value_duration(const struct bdr_opt *opt, const char *text, void *field)
{
    uint64_t ms = 0;

    BDR_TRY(bdr_duration_parse(text, &ms));
    BDR_TRY(value_range(opt, text, ms));
    *(uint64_t *)field = ms;
    return NULL;
}

static struct bdr_err *value_time(const struct bdr_opt *opt, const char *text, void *field)
{
    (void)opt;
    return bdr_clock_parse(text, field);
}

static struct bdr_err *value_string(const struct bdr_opt *opt, const char *text, void *field)
{
    (void)opt;
    *(const char **)field = text;
    return NULL;
}

static struct bdr_err *value_path(const struct bdr_opt *opt, const char *text, void *field)
{
    if (!*text)
        BDR_FAIL(BDR_INVAL, 0, "an empty path");
    return value_string(opt, text, field);
}

static struct bdr_err *value_choice(const struct bdr_opt *opt, const char *text, void *field)
{
    const char *at = opt->choices, *word;
    size_t len;

    while (bdr_choice_next(&at, &word, &len)) {
        if (strlen(text) == len && !strncmp(word, text, len))
            return value_string(opt, text, field);
    }
    BDR_FAIL(BDR_INVAL, 0, "'%s' is not one of %s", text, opt->choices);
}

/* RFC 1123 2.1: labels of letters, digits and hyphens, 63 each, 253 in all; underscores occur in practice. */
static bool value_is_host(const char *s, size_t len)
{
    char ip[INET6_ADDRSTRLEN];
    unsigned char addr[16];
    size_t label = 0;

    if (!len || len > 253)
        return false;
    if (memchr(s, ':', len)) {
        if (len >= sizeof(ip))
            return false;
        memcpy(ip, s, len);
        ip[len] = 0;
        return inet_pton(AF_INET6, ip, addr) == 1;
    }
    if (s[len - 1] == '.')
        len--; /* the root, as in a fully qualified name */
    for (size_t i = 0; i < len; i++) {
        bool word =
            (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '_';

        if (s[i] == '.' && label && s[i - 1] != '-') {
            label = 0;
            continue;
        }
        if ((!word && (s[i] != '-' || !label)) || ++label > 63)
            return false;
    }
    return label && s[len - 1] != '-';
}

static struct bdr_err *value_hostname(const struct bdr_opt *opt, const char *text, void *field)
{
    if (!value_is_host(text, strlen(text)))
        BDR_FAIL(BDR_INVAL, 0, "'%s' is not a host name; write it like dr1.example.com, 192.0.2.7 or 2001:db8::7",
                 text);
    return value_string(opt, text, field);
}

static struct bdr_err *value_address(const struct bdr_opt *opt, const char *text, void *field)
{
    const char *colon = strrchr(text, ':'), *host = text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    struct bdr_err *bad;
    uint64_t port = 0;
    bool ok = colon != NULL;

    if (ok && len) {
        bool v6 = host[0] == '[' && host[len - 1] == ']';

        ok = v6 ? memchr(host, ':', len) && value_is_host(host + 1, len - 2)
                : !memchr(host, ':', len) && value_is_host(host, len);
    }
    if (ok) {
        bad = bdr_u64_parse(colon + 1, 65535, &port);
        ok = !bad;
        bdr_err_drop(bad, "the message below says more");
    }
    if (!ok || !port)
        BDR_FAIL(BDR_INVAL, 0, "'%s' is not an address; write it like :10809, 192.0.2.7:443 or [2001:db8::7]:443",
                 text);
    return value_string(opt, text, field);
}

static const struct bdr_value_type value_types[BDR_OPT_TYPE_END] = {
    [BDR_OPT_FLAG] = {"flag", "", "yes, no", sizeof(bool), value_flag},
    [BDR_OPT_COUNT] = {"count", "", "0, 1, 2", sizeof(uint32_t), value_u32},
    [BDR_OPT_STRING] = {"string", "TEXT", "any text", sizeof(char *), value_string},
    [BDR_OPT_PATH] = {"path", "PATH", "a file name", sizeof(char *), value_path},
    [BDR_OPT_U32] = {"number", "N", "0, 42", sizeof(uint32_t), value_u32},
    [BDR_OPT_U64] = {"number", "N", "0, 42", sizeof(uint64_t), value_u64},
    [BDR_OPT_PERCENT] = {"percentage", "PERCENT", "0.1, 5, 5%", sizeof(double), value_percent},
    [BDR_OPT_SIZE] = {"size", "SIZE", "4096, 64K, 1.5G", sizeof(uint64_t), value_size},
    [BDR_OPT_DURATION] = {"duration", "DURATION", "10s, 5m, 2h, 7d, 4w, 1h30m", sizeof(uint64_t), value_duration},
    [BDR_OPT_TIME] = {"time", "TIME", "2026-11-22T18:15:00Z, 2026-11-22 (UTC)", sizeof(int64_t), value_time},
    [BDR_OPT_CHOICE] = {"choice", "WORD", "one of the words", sizeof(char *), value_choice},
    [BDR_OPT_LIST] = {"list", "TEXT", "any text, once for each item", sizeof(char *), value_string},
    [BDR_OPT_HOSTNAME] = {"host", "HOST", "dr1.example.com, 192.0.2.7", sizeof(char *), value_hostname},
    [BDR_OPT_ADDRESS] = {"address", "ADDRESS", ":10809, 192.0.2.7:443", sizeof(char *), value_address},
};

const struct bdr_value_type *bdr_value_type(enum bdr_opt_type type)
{
    BDR_ASSERT(type < BDR_OPT_TYPE_END);
    return &value_types[type];
}

struct bdr_err *bdr_value_parse(const struct bdr_opt *opt, const char *text, void *field)
{
    return bdr_value_type(opt->type)->parse(opt, text, field);
}
