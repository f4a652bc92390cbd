/* SPDX-License-Identifier: Apache-2.0 */
/* objects.c - what the operator's nouns share. */
#include "api/objects.h"
#include "revoked.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct bdr_shape_field allowed_fields[] = {
    OBJ_OUT(struct obj_allowed, action, TEXT, "What could be asked for.", "操作"),
    OBJ_OUT(struct obj_allowed, allowed, BOOL, "It can be, now.", "当前可执行"),
    OBJ_OUT(struct obj_allowed, reason, TEXT, "Why not.", "不可执行的原因"),
    OBJ_END,
};
const struct bdr_shape obj_allowed_shape = OBJ_SHAPE(struct obj_allowed, "Allowed", allowed_fields);

const struct bdr_choice obj_consistencies[] = {
    {"crash", 0, "As after a power cut.", "崩溃一致性"},
    {"filesystem", 1, "File systems were frozen for a moment.", "文件系统一致性"},
    {"application", 2, "Applications were told, too.", "应用一致性"},
    {.name = NULL},
};

void obj_allow(struct obj_allowed_list *list, size_t max, const char *action, const char *reason)
{
    BDR_ASSERT(list->n < max);
    list->items[list->n++] = (struct obj_allowed){.action = action, .reason = reason, .allowed = !reason};
}

struct bdr_err *obj_keep(struct bdr_req *req, void *block)
{
    return block ? bdr_arena_defer(bdr_req_arena(req), free, block) : NULL;
}

const char *obj_text(const char *text)
{
    return text && *text ? text : NULL;
}

const char *obj_like(struct bdr_req *req, const char *typed)
{
    size_t n = typed ? strlen(typed) : 0, at = 0;
    char *out;

    if (!n)
        return "";
    out = bdr_arena_alloc(bdr_req_arena(req), 2 * n + 3);
    if (!out)
        return NULL;
    out[at++] = '%';
    for (size_t i = 0; i < n; i++) {
        if (strchr("%_!", typed[i]))
            out[at++] = '!';
        out[at++] = (char)tolower((unsigned char)typed[i]);
    }
    out[at++] = '%';
    return out;
}

const char *obj_choice_name(const struct bdr_choice *choices, int value)
{
    while (choices->name && choices->value != value)
        choices++;
    return choices->name ? choices->name : "";
}

int obj_choice_of(const struct bdr_choice *choices, const char *name)
{
    for (const struct bdr_choice *c = choices; c->name; c++)
        if (!strcmp(c->name, name))
            return c->value;
    return choices->value;
}

static void json_free(void *p)
{
    json_decref(p);
}

struct bdr_err *obj_json(struct bdr_req *req, const char *text, json_t **out)
{
    json_t *v = text && *text ? json_loads(text, 0, NULL) : NULL;

    *out = NULL;
    if (!json_is_object(v)) {
        json_decref(v);
        return NULL;
    }
    BDR_TRY(bdr_arena_defer(bdr_req_arena(req), json_free, v));
    *out = v;
    return NULL;
}

const char *obj_machine_state(int64_t revoked_ms, int64_t beat_ms, int64_t now_ms)
{
    return revoked_ms ? "revoked" : beat_ms >= now_ms - BDR_JOB_ALIVE_MS ? "alive" : "silent";
}

struct bdr_err *obj_read(struct bdr_req *req, struct bdr_tx **out)
{
    return api_refusal(req, bdr_tx_begin(api_console(req)->db, BDR_TX_READ, out));
}

void obj_tell(struct bdr_req *req, const char *kind, int64_t id, const char *what)
{
    char json[96];

    snprintf(json, sizeof(json), "{\"id\":%lld,\"what\":\"%s\"}", (long long)id, what);
    bdr_hub_tell(api_console(req)->hub, kind, json);
}

void obj_wake(struct bdr_req *req, int64_t machine_id, int64_t platform_id)
{
    BDR_AUTO(mem) struct bdr_row_binding_proxies *bound = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_hub *hub = api_console(req)->hub;
    struct bdr_err *err;
    size_t n = 0;

    if (machine_id) {
        bdr_hub_tell_machine(hub, machine_id, "work", NULL);
        return;
    }
    if (!platform_id)
        return;
    err = bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx);
    if (!err)
        err = bdr_q_binding_proxies(tx, platform_id, &bound, &n);
    bdr_err_drop(err, "a hint: they ask by themselves before long");
    for (size_t i = 0; i < n; i++)
        bdr_hub_tell_machine(hub, bound[i].proxy_id, "work", NULL);
}

struct bdr_err *obj_shut_out(struct bdr_req *req, int64_t machine_id)
{
    struct bdr_console *c = api_console(req);

    bdr_hub_tell_machine(c->hub, machine_id, "settings", NULL); /* its next request is refused: it learns at once */
    return bdr_revoked_learn(c, api_now());
}

struct bdr_err *obj_job_add(struct bdr_tx *tx, struct bdr_req *req, struct bdr_in_job_add *job, int64_t *out_id)
{
    if (!job->params)
        job->params = "";
    job->origin = bdr_req_who_name(req);
    if (!strcmp(job->origin, "policy")) /* an account may have that name; the schedule's jobs have their own rules */
        job->origin = "account policy";
    job->now_ms = api_now();
    job->due_ms = job->now_ms;
    job->disks = BDR_MAX(job->disks, (int64_t)1);
    if (!job->max_tries)
        job->max_tries = 5;
    return bdr_q_job_add(tx, job, out_id);
}
