/* SPDX-License-Identifier: Apache-2.0 */
/* verbs.c - from a row and its options to a request. */
#include "console/verbs.h"
#include "bdr/jsonset.h"
#include "bdr/osfile.h"
#include "console/home.h"
#include <stdio.h>
#include <string.h>

#define PAGE     500
#define FILE_MAX (1u << 20)

static const struct verb *verb_of(const struct bdr_cmd *cmd)
{
    for (const struct verb *v = verbs; v->cmd; v++)
        if (v->cmd == cmd)
            return v;
    BDR_ASSERT(!"each command of the console has its row");
    return NULL;
}

/* "/v1/hosts/{id}/disks/{disk}" with the words of the command line in their places. */
static struct bdr_err *path_make(const struct verb *v, const struct verb_args *a, struct bdr_buf *out)
{
    size_t word = 0;

    for (const char *p = v->path; *p; p++) {
        if (*p != '{') {
            bdr_buf_u8(out, (uint8_t)*p);
            continue;
        }
        BDR_ASSERT(word < VERB_PATHS && a->path[word]);
        bdr_http_escape(out, a->path[word++]);
        p += strcspn(p, "}");
    }
    return bdr_buf_check(out);
}

/* ---- options ---- */

/* A file's text without the line break at its end; "-" is standard input. */
static struct bdr_err *file_text(const char *path, char **out)
{
    size_t len = 0;

    BDR_TRY(bdr_os_read_file(strcmp(path, "-") ? path : "/dev/stdin", FILE_MAX, out, &len));
    while (len && ((*out)[len - 1] == '\n' || (*out)[len - 1] == '\r'))
        (*out)[--len] = 0;
    return NULL;
}

static struct bdr_err *value_file(const char *path, enum verb_kind kind, json_t **out)
{
    BDR_AUTO(mem) char *text = NULL;
    struct bdr_err *err = NULL;

    BDR_TRY(file_text(path, &text));
    if (kind == VERB_SECRET)
        *out = json_string(text);
    else
        err = bdr_json_read(text, strlen(text), out);
    bdr_wipe(text, strlen(text));
    BDR_TRY_FOR(err, "%s", path);
    if (!*out)
        BDR_FAIL(BDR_INVAL, 0, "%s is not UTF-8", path);
    return NULL;
}

static struct bdr_err *value_list(const struct verb_opt *o, const struct bdr_list *list, json_t **out)
{
    json_t *a = json_array();

    BDR_NOMEM_IF_NULL(a);
    *out = a;
    for (size_t i = 0; i < list->count; i++) {
        uint64_t n = 0;

        if (o->kind == VERB_NUMBERS)
            BDR_TRY_FOR(bdr_u64_parse(list->items[i], BDR_SHAPE_INT_MAX, &n), "option --%s", o->name);
        if (json_array_append_new(a, o->kind == VERB_NUMBERS ? json_integer((json_int_t)n) : json_string(list->items[i])))
            BDR_FAIL(BDR_INVAL, 0, "option --%s: '%s' is not UTF-8", o->name, list->items[i]);
    }
    return NULL;
}

/* The option's value as the API wants it; new reference, also when it fails. */
static struct bdr_err *value_of(const struct verb_opt *o, const struct verb_slot *s, json_t **out)
{
    char when[32];

    switch (o->kind) {
    case VERB_BOOL:
        *out = json_boolean(s->flag);
        break;
    case VERB_NUMBER:
    case VERB_SIZE:
    case VERB_DURATION:
        *out = json_integer((json_int_t)s->number);
        break;
    case VERB_TIME:
        *out = json_string(bdr_rfc3339_text(s->time, when));
        break;
    case VERB_TEXTS:
    case VERB_NUMBERS:
    case VERB_TIMES:
        return value_list(o, &s->list, out);
    case VERB_SECRET:
    case VERB_JSON:
        return value_file(s->text, o->kind, out);
    default:
        *out = json_string(s->text);
        if (!*out)
            BDR_FAIL(BDR_INVAL, 0, "option --%s is not UTF-8", o->name);
    }
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

static void query_put(struct bdr_buf *path, const char *name, const char *text)
{
    bdr_buf_u8(path, memchr(path->data, '?', path->len) ? '&' : '?');
    bdr_http_escape(path, name);
    bdr_buf_u8(path, '=');
    bdr_http_escape(path, text);
}

static struct bdr_err *query_value(struct bdr_buf *path, const char *name, const json_t *v)
{
    char number[32];

    if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++)
            BDR_TRY(query_value(path, name, json_array_get(v, i)));
        return NULL;
    }
    snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
    query_put(path, name, json_is_string(v) ? json_string_value(v) : json_is_boolean(v) ? (json_is_true(v) ? "true" : "false") : number);
    return bdr_buf_check(path);
}

/* What was given goes into the query or the body; the rest is the console's to know. */
static struct bdr_err *options_put(struct bdr_cli *cli, const struct verb *v, const struct verb_args *a,
                                   struct bdr_buf *path, json_t *body)
{
    for (const struct verb_opt *o = v->opts; o->name; o++) {
        json_t *value = NULL;
        struct bdr_err *err;

        if (!bdr_cli_given(cli, o->name) || (v->page && !strcmp(o->member, "limit")))
            continue;
        err = value_of(o, &a->slot[o->slot], &value);
        if (!err && o->place == VERB_IN_QUERY)
            err = query_value(path, o->member, value);
        else if (!err && json_object_set(body, o->member, value))
            err = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "a request's body");
        json_decref(value);
        BDR_TRY(err);
    }
    return NULL;
}

/* ---- the request ---- */

static struct bdr_err *key_make(char out[33])
{
    uint8_t raw[16];

    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    bdr_hex(raw, sizeof(raw), out);
    return NULL;
}

static struct bdr_err *send_one(struct bdr_cli *cli, struct bdr_http_client *client, const struct verb *v,
                                const char *path, const json_t *body, struct bdr_http_reply *reply)
{
    char *text = v->body ? json_dumps(body, JSON_COMPACT) : NULL, key[33];
    struct bdr_http_call call = {.method = v->method, .path = path, .cancel = cli->cancel};
    struct bdr_err *err;

    if (v->body)
        BDR_NOMEM_IF_NULL(text);
    if (text) {
        call.type = "application/json";
        call.body = text;
        call.body_len = strlen(text);
    }
    err = v->key ? key_make(key) : NULL;
    if (v->key)
        call.idempotency_key = key;
    if (!err)
        err = bdr_http_call(client, &call, reply);
    if (text)
        bdr_wipe(text, strlen(text)); /* secrets may have been in it */
    free(text);
    if (err && err->code == BDR_AUTH)
        bdr_cli_hint(cli, "log in again: bdr login URL");
    return err;
}

/* All pages of a list, at most `limit` items, as one array. */
static struct bdr_err *pages(struct bdr_cli *cli, struct bdr_http_client *client, const struct verb *v,
                             const struct bdr_buf *path, uint64_t limit, json_t *out)
{
    const char *next = NULL;
    BDR_AUTO(json) json_t *page = NULL;

    do {
        BDR_AUTO(buf) struct bdr_buf p = {0};
        BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
        char n[16];

        bdr_buf_put(&p, path->data, path->len);
        snprintf(n, sizeof(n), "%u", (unsigned)BDR_MIN((uint64_t)PAGE, limit - json_array_size(out)));
        query_put(&p, "limit", n);
        if (next)
            query_put(&p, "cursor", next);
        bdr_buf_u8(&p, 0);
        BDR_TRY(bdr_buf_check(&p));
        BDR_TRY(send_one(cli, client, v, (const char *)p.data, NULL, &reply));
        json_decref(BDR_STEAL(page));
        BDR_TRY(bdr_json_read((const char *)reply.body.data, reply.body.len, &page));
        if (json_array_extend(out, json_object_get(page, "items")))
            BDR_FAIL(BDR_CORRUPT, 0, "the console's answer is no list");
        next = json_string_value(json_object_get(page, "next"));
    } while (next && json_array_size(out) < limit);
    return NULL;
}

static uint64_t limit_of(struct bdr_cli *cli, const struct verb *v, const struct verb_args *a)
{
    for (const struct verb_opt *o = v->opts; o->name; o++)
        if (!strcmp(o->member, "limit") && bdr_cli_given(cli, "limit"))
            return a->slot[o->slot].number;
    return UINT64_MAX;
}

static struct bdr_err *verb_send(struct bdr_cli *cli, const struct verb *v, const struct verb_args *a,
                                 struct bdr_http_client *client, json_t *body)
{
    BDR_AUTO(buf) struct bdr_buf path = {0};
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    BDR_AUTO(json) json_t *answer = NULL;

    BDR_TRY(path_make(v, a, &path));
    BDR_TRY(options_put(cli, v, a, &path, body));
    if (v->page) {
        answer = json_array();
        BDR_NOMEM_IF_NULL(answer);
        BDR_TRY(pages(cli, client, v, &path, limit_of(cli, v, a), answer));
        return verb_show(cli, v->cols, v->n_cols, answer);
    }
    bdr_buf_u8(&path, 0);
    BDR_TRY(bdr_buf_check(&path));
    BDR_TRY(send_one(cli, client, v, (const char *)path.data, body, &reply));
    if (v->raw)
        return bdr_out_raw(cli->out, reply.body.data, reply.body.len);
    if (!reply.body.len) {
        bdr_out_note(cli->out, "done");
        return NULL;
    }
    BDR_TRY(bdr_json_read((const char *)reply.body.data, reply.body.len, &answer));
    return verb_show(cli, v->cols, v->n_cols, answer);
}

struct bdr_err *verb_run(void *args, struct bdr_cli *cli)
{
    BDR_AUTO(console_home) struct console_home h = {0};
    BDR_AUTO(http_client) struct bdr_http_client *client = NULL;
    BDR_AUTO(json) json_t *body = json_object();

    BDR_NOMEM_IF_NULL(body);
    BDR_TRY(console_home_read(cli, &h));
    BDR_TRY(console_client(&h, &client));
    return verb_send(cli, verb_of(cli->cmd), args, client, body);
}
