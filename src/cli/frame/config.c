/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/config.h"
#include <string.h>

static bool config_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cuts blanks off both ends, in place; returns the first character that stays. */
static char *config_trim(char *s)
{
    size_t len = strlen(s);

    while (len && config_blank(s[len - 1]))
        s[--len] = 0;
    while (config_blank(*s))
        s++;
    return s;
}

static bool config_word(const char *s, const char *more)
{
    for (const char *p = s; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_' || strchr(more, *p)))
            return false;
    return *s != 0;
}

static struct bdr_err *config_add(struct bdr_config *c, struct bdr_config_entry e)
{
    if (c->count == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct bdr_config_entry *grown = reallocarray(c->entries, cap, sizeof(*grown));

        BDR_NOMEM_IF_NULL(grown);
        c->entries = grown;
        c->cap = cap;
    }
    c->entries[c->count++] = e;
    return NULL;
}

/* Takes the quotes off, in place. */
static struct bdr_err *config_unquote(const struct bdr_config *c, unsigned line, char *s)
{
    char *to = s, *from = s + 1;

    for (; *from && *from != '"'; from++) {
        if (*from == '\\' && from[1] != '"' && from[1] != '\\')
            BDR_FAIL(BDR_INVAL, 0, "%s:%u: after a backslash only \" or \\ may stand", c->name, line);
        if (*from == '\\')
            from++;
        *to++ = *from;
    }
    if (*from != '"')
        BDR_FAIL(BDR_INVAL, 0, "%s:%u: the closing quote is missing", c->name, line);
    if (from[1])
        BDR_FAIL(BDR_INVAL, 0, "%s:%u: something stands behind the closing quote", c->name, line);
    *to = 0;
    return NULL;
}

static struct bdr_err *config_line(struct bdr_config *c, const char **section, unsigned line, char *s)
{
    char *eq, *key, *value;
    size_t len;

    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 && *p != '\t')
            BDR_FAIL(BDR_INVAL, 0, "%s:%u: a control character (0x%02x)", c->name, line, (unsigned char)*p);
    s = config_trim(s);
    if (!*s || *s == '#')
        return NULL;
    if (*s == '[') {
        len = strlen(s);
        if (s[len - 1] != ']')
            BDR_FAIL(BDR_INVAL, 0, "%s:%u: the section's closing bracket is missing", c->name, line);
        s[len - 1] = 0;
        *section = config_trim(s + 1);
        if (!config_word(*section, " "))
            BDR_FAIL(BDR_INVAL, 0, "%s:%u: '%s' is not a section's name", c->name, line, *section);
        return config_add(c, (struct bdr_config_entry){.section = *section, .line = line});
    }
    eq = strchr(s, '=');
    if (!eq)
        BDR_FAIL(BDR_INVAL, 0, "%s:%u: expected 'key = value', '[section]' or '# comment'", c->name, line);
    *eq = 0;
    key = config_trim(s);
    value = config_trim(eq + 1);
    if (!config_word(key, ""))
        BDR_FAIL(BDR_INVAL, 0, "%s:%u: '%s' is not a key; keys are like cache-dir", c->name, line, key);
    if (*value == '"')
        BDR_TRY(config_unquote(c, line, value));
    return config_add(c, (struct bdr_config_entry){.section = *section, .key = key, .value = value, .line = line});
}

struct bdr_err *bdr_config_parse(const char *name, const char *text, size_t len, struct bdr_config *out)
{
    const char *section = "";
    unsigned line = 0;
    char *at;

    *out = (struct bdr_config){0};
    if (len > BDR_CONFIG_MAX_BYTES)
        BDR_FAIL(BDR_RANGE, 0, "%s is larger than %d bytes", name, BDR_CONFIG_MAX_BYTES);
    out->name = strdup(name);
    BDR_NOMEM_IF_NULL(out->name);
    out->text = malloc(len + 1);
    BDR_NOMEM_IF_NULL(out->text);
    memcpy(out->text, text, len);
    out->text[len] = 0;
    at = out->text;
    if (!strncmp(at, "\xef\xbb\xbf", 3)) /* some editors begin a file so */
        at += 3;
    for (char *end = out->text + len; at < end;) {
        char *stop = memchr(at, '\n', (size_t)(end - at));

        line++;
        if (!stop)
            stop = end;
        *stop = 0;
        if (memchr(at, 0, (size_t)(stop - at)))
            BDR_FAIL(BDR_INVAL, 0, "%s:%u: a zero byte", name, line);
        if (stop > at && stop[-1] == '\r')
            stop[-1] = 0;
        BDR_TRY(config_line(out, &section, line, at));
        at = stop + 1;
    }
    return NULL;
}

void bdr_config_free(struct bdr_config *c)
{
    free(c->name);
    free(c->text);
    free(c->entries);
    *c = (struct bdr_config){0};
}
