/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes_parse.c - /proc/PID/mountinfo and /proc/swaps as structs (proc(5), fs/proc_namespace.c, mm/swapfile.c).
 *
 * Both come from the kernel, but the names in them from whoever may mount: blanks and the like arrive as \040.
 */
#include "volumes_priv.h"
#include <limits.h>
#include <string.h>

/* "\040" -> " ", in place: mangle_path() writes three octal digits and never another escape. */
static void parse_unescape(char *text)
{
    char *to = text;

    for (const char *p = text; *p; p++) {
        if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' && p[3] >= '0' && p[3] <= '7') {
            char c = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));

            p += 3;
            if (!c) /* no name holds one; it would cut ours short */
                continue;
            *to++ = c;
        } else {
            *to++ = *p;
        }
    }
    *to = 0;
}

static bool parse_number(const char *text, char stop, uint64_t max, uint64_t *out, const char **out_end)
{
    uint64_t v = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (v > (max - (uint64_t)(*p - '0')) / 10)
            return false;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    if (p == text || *p != stop)
        return false;
    *out = v;
    *out_end = p;
    return true;
}

static bool parse_dev(const char *text, volumes_dev *out)
{
    uint64_t major, minor;
    const char *at;

    if (!parse_number(text, ':', UINT32_MAX, &major, &at) || !parse_number(at + 1, 0, UINT32_MAX, &minor, &at))
        return false;
    *out = volumes_dev_of((uint32_t)major, (uint32_t)minor);
    return true;
}

bool volumes_option(const char *options, const char *name, char *out, size_t n)
{
    size_t name_len = strlen(name);

    while (options && *options) {
        size_t len = strcspn(options, ",");

        if (len > name_len && !strncmp(options, name, name_len) && options[name_len] == '=') {
            size_t value = len - name_len - 1;

            if (value + 1 > n)
                return false;
            memcpy(out, options + name_len + 1, value);
            out[value] = 0;
            return true;
        }
        options += len + (options[len] == ',');
    }
    return false;
}

/*
 * 36 35 98:0 /root /point rw,noatime shared:1 master:2 - ext4 /dev/sda1 rw,errors=continue
 * One blank between fields; the source may be empty (mount("", ...)), and then two blanks follow each other.
 */
static bool parse_mount(char *line, struct volumes_mount *m)
{
    char *field[7], *rest = line, *tail;
    uint64_t parent;
    const char *end;

    for (size_t i = 0; i < 6; i++) {
        field[i] = strsep(&rest, " ");
        if (!field[i] || !*field[i] || !rest)
            return false;
    }
    do /* optional fields, none or more, up to the "-" */
        tail = strsep(&rest, " ");
    while (tail && rest && strcmp(tail, "-"));
    if (!tail || !rest)
        return false;
    m->type = strsep(&rest, " ");
    m->source = rest ? strsep(&rest, " ") : NULL;
    m->options = rest;
    if (!*m->type || !m->options || !parse_number(field[0], 0, UINT64_MAX, &m->id, &end) ||
        !parse_number(field[1], 0, UINT64_MAX, &parent, &end) || !parse_dev(field[2], &m->dev) || field[4][0] != '/')
        return false;
    /* A bind mount can be read-only on a file system that is written to: only the file system's own options count. */
    m->read_only = !strncmp(m->options, "ro", 2) && (m->options[2] == ',' || !m->options[2]);
    parse_unescape(field[3]);
    parse_unescape(field[4]);
    parse_unescape((char *)(uintptr_t)m->source);
    m->root = field[3];
    m->point = field[4];
    return true;
}

void volumes_mounts_free(struct volumes_mounts *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->at[i].elsewhere);
        free(m->at[i].line);
    }
    free(m->at);
    *m = (struct volumes_mounts){0};
}

/* Calls `put` for each line, as a string of its own that `put` takes over. */
static struct bdr_err *parse_lines(const char *text, size_t len, const char *what,
                                   struct bdr_err *(*put)(void *ctx, char *line, bool *out_good), void *ctx)
{
    size_t number = 0;

    while (len) {
        const char *nl = memchr(text, '\n', len);
        size_t n = nl ? (size_t)(nl - text) : len;
        bool good = false;

        number++;
        if (!memchr(text, 0, n)) {
            char *line = calloc(1, n + 1); /* not strndup: sanitizers want what that reads to be ended */

            BDR_NOMEM_IF_NULL(line);
            memcpy(line, text, n);
            BDR_TRY(put(ctx, line, &good));
        }
        if (!good)
            BDR_FAIL(BDR_INVAL, 0, "%s line %zu is not understood", what, number);
        text += n + (nl != NULL);
        len -= n + (nl != NULL);
    }
    return NULL;
}

static struct bdr_err *parse_put_mount(void *ctx, char *line, bool *out_good)
{
    struct volumes_mounts *m = ctx;

    if (!(m->n & (m->n + 1))) { /* full: room for 0, 1, 3, 7, ... */
        struct volumes_mount *more = reallocarray(m->at, m->n * 2 + 1, sizeof(*more));

        if (!more) {
            free(line);
            BDR_NOMEM_IF_NULL(more);
        }
        m->at = more;
    }
    m->at[m->n] = (struct volumes_mount){.line = line};
    *out_good = parse_mount(line, &m->at[m->n++]);
    return NULL;
}

struct bdr_err *volumes_mounts_parse(const char *text, size_t len, struct volumes_mounts *out)
{
    struct bdr_err *err;

    *out = (struct volumes_mounts){0};
    err = parse_lines(text, len, "the table of mounts,", parse_put_mount, out);
    if (err)
        volumes_mounts_free(out);
    return err;
}

void volumes_areas_free(struct volumes_areas *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->at[i].path);
    free(a->at);
    *a = (struct volumes_areas){0};
}

/* "/swap\040file   file\t\t1048572\t\t0\t\t-2": blanks and tabs, any number; the size is in KiB without the header. */
static bool parse_area(char *line, struct volumes_area *a)
{
    char *rest = line + strcspn(line, " \t"), *type, *size;
    uint64_t kib;
    const char *end;

    if (!*rest || rest == line || *line != '/')
        return false;
    *rest++ = 0;
    type = rest + strspn(rest, " \t");
    rest = type + strcspn(type, " \t");
    if (!*rest)
        return false;
    *rest++ = 0;
    size = rest + strspn(rest, " \t");
    size[strcspn(size, " \t")] = 0;
    if (strcmp(type, "file") && strcmp(type, "partition"))
        return false;
    if (!parse_number(size, 0, UINT64_MAX / 1024, &kib, &end))
        return false;
    a->file = *type == 'f';
    a->bytes = kib * 1024;
    parse_unescape(line);
    return true;
}

static struct bdr_err *parse_put_area(void *ctx, char *line, bool *out_good)
{
    struct volumes_areas *a = ctx;
    struct volumes_area *more;

    if (!a->n && !a->at && !strncmp(line, "Filename", 8)) { /* the heading; only ever the first line */
        a->at = calloc(1, sizeof(*a->at));
        free(line);
        BDR_NOMEM_IF_NULL(a->at);
        *out_good = true;
        return NULL;
    }
    more = reallocarray(a->at, a->n + 1, sizeof(*more)); /* at most MAX_SWAPFILES, about 30 */
    if (!more) {
        free(line);
        BDR_NOMEM_IF_NULL(more);
    }
    a->at = more;
    a->at[a->n] = (struct volumes_area){.path = line};
    *out_good = parse_area(line, &a->at[a->n++]);
    return NULL;
}

struct bdr_err *volumes_areas_parse(const char *text, size_t len, struct volumes_areas *out)
{
    struct bdr_err *err;

    *out = (struct volumes_areas){0};
    err = parse_lines(text, len, "the table of swap areas,", parse_put_area, out);
    if (err)
        volumes_areas_free(out);
    return err;
}
