/* SPDX-License-Identifier: Apache-2.0 */
/* machine_beat.c - a machine lives: beats, its inventory, and the stream that makes it hurry. */
#include "api/machine.h"
#include "bdr/log.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define INVENTORY_MAX (4u << 20)

struct bdr_err *machine_keep(struct bdr_req *req, void *row)
{
    return row ? bdr_arena_defer(bdr_req_arena(req), free, row) : NULL;
}

static struct bdr_err *tell_host(struct bdr_req *req, int64_t id)
{
    char event[64];

    snprintf(event, sizeof(event), "{\"id\":%lld,\"what\":\"changed\"}", (long long)id);
    bdr_hub_tell(api_console(req)->hub, "host", event);
    return NULL;
}

/* ---- beat ---- */

struct beat {
    struct bdr_req *req;
    const struct bdr_beat_in *in;
    const char *load;
    int64_t now_ms;
    bool full; /* the disk: nothing is written */
    struct bdr_beat_out *out;
};

/* Name, system and version are written when they are not what they were: a beat is one small row, usually. */
static struct bdr_err *beat_is(struct bdr_tx *tx, const struct beat *b)
{
    const struct bdr_row_machine *m = &api_who(b->req)->machine;
    const char *addr = bdr_req_remote(b->req), *os = b->in->os ? b->in->os : m->os;
    const char *version = b->in->version ? b->in->version : m->version;
    int64_t changed;

    if (!strcmp(addr, m->addr) && !strcmp(os, m->os) && !strcmp(version, m->version))
        return NULL;
    return bdr_q_machine_is(tx, &(struct bdr_in_machine_is){m->id, addr, os, version}, &changed);
}

static struct bdr_err *beat_do(struct bdr_tx *tx, void *ctx)
{
    struct beat *b = ctx;
    BDR_AUTO(mem) struct bdr_row_machine_want *w = NULL;
    const struct bdr_row_machine *m = &api_who(b->req)->machine;

    if (!b->full) {
        BDR_TRY(bdr_q_machine_beat(tx, m->id, b->now_ms, b->load));
        BDR_TRY(beat_is(tx, b));
    }
    BDR_TRY(bdr_q_machine_want(tx, m->id, b->now_ms, &w));
    if (!w)
        BDR_FAIL(BDR_AUTH, 0, "the machine is gone");
    *b->out = (struct bdr_beat_out){
        .beat_s = BDR_MACHINE_BEAT_S,
        .want_inventory = b->in->inventory && strcmp(b->in->inventory, w->print) != 0,
        .work = w->work,
        .registered = strcmp(m->kind, "agent") != 0 || !strcmp(w->host_state, "registered") ||
                      !strcmp(w->host_state, "protected"),
        .http_timeout_s = (uint32_t)w->http_timeout_s,
        .disks_max = (uint32_t)w->max_disks,
        .time = b->now_ms,
    };
    return NULL;
}

static struct bdr_err *beat(struct bdr_req *req, const void *body, void *answer)
{
    const struct bdr_beat_in *in = body;
    struct beat b = {.req = req, .in = in, .now_ms = api_now(), .out = answer};
    struct bdr_err *err;

    b.load = bdr_arena_printf(
        bdr_req_arena(req), "{\"boot\":\"%s\",\"jobs\":%u,\"disks\":%u,\"cpu_pct\":%u,\"memory_bytes\":%llu}",
        in->boot ? in->boot : "", in->jobs, in->disks, in->cpu_pct, (unsigned long long)in->memory_bytes);
    BDR_NOMEM_IF_NULL(b.load);
    err = api_run(req, BDR_TX_BEAT, beat_do, &b);
    if (!err || err->code != BDR_NOSPACE)
        return err;
    /* no machine can do anything about the console's disk: it is answered, and goes on */
    BDR_LOG(WARN, "machine.beat-not-kept", F_STR("machine", api_who(req)->machine.uuid), F_ERR(err));
    bdr_err_drop(err, "logged; the next beat is written when there is room");
    b.full = true;
    return api_run(req, BDR_TX_READ, beat_do, &b);
}

/* ---- inventory ---- */

struct inventory {
    struct bdr_req *req;
    const struct bdr_inventory *in;
    const char *json, *print, *addr;
    int64_t now_ms, host_id;
};

/* The first address that others can use: what a person looks for in a list of hosts. */
static const char *address_of(struct bdr_req *req, const struct bdr_inventory *in)
{
    static const char *const own[] = {"127.", "::1", "fe80:", "169.254."};

    for (size_t i = 0; i < in->nics.n; i++)
        for (const char *at = in->nics.items[i].addresses; at && *at;) {
            size_t len = strcspn(at, ", /");
            bool good = len > 0;

            for (size_t k = 0; k < BDR_COUNT(own); k++)
                good &= strncmp(at, own[k], strlen(own[k])) != 0;
            if (good)
                return bdr_arena_text(bdr_req_arena(req), at, len);
            at += strcspn(at, ",");
            at += strspn(at, ", ");
        }
    return bdr_req_remote(req);
}

static struct bdr_err *inventory_do(struct bdr_tx *tx, void *ctx)
{
    struct inventory *v = ctx;
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    int64_t changed;

    BDR_TRY(bdr_q_inventory_put(tx, &(struct bdr_in_inventory_put){machine_id(v->req), v->print, v->json, v->now_ms}));
    BDR_TRY(bdr_q_host_by_machine(tx, machine_id(v->req), &host));
    if (!host)
        BDR_FAIL(BDR_CONFLICT, 0, "this agent speaks for no host any more; enrol it again");
    v->host_id = host->id;
    BDR_TRY(bdr_q_host_inventory(
        tx,
        &(struct bdr_in_host_inventory){host->id, v->in->name, v->addr, v->in->os ? v->in->os : host->os, v->now_ms},
        &changed));
    return machine_disks_seen(tx, &(struct machine_disks){host->id, v->now_ms, v->in->disks.items, v->in->disks.n});
}

static struct bdr_err *inventory(struct bdr_req *req, const void *body, void *answer)
{
    struct inventory v = {.req = req, .in = body, .now_ms = api_now()};
    const void *data = NULL;
    uint8_t hash[32];
    char print[65];
    size_t len = 0;

    (void)answer;
    bdr_req_body(req, &data, &len);
    if (!EVP_Digest(data, len, hash, NULL, EVP_sha256(), NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "hashing an inventory");
    v.print = bdr_hex(hash, sizeof(hash), print);
    v.json = bdr_arena_text(bdr_req_arena(req), data, len);
    v.addr = address_of(req, v.in);
    BDR_NOMEM_IF_NULL(v.json);
    BDR_NOMEM_IF_NULL(v.addr);
    BDR_TRY(api_run(req, BDR_TX_LOCK, inventory_do, &v));
    return tell_host(req, v.host_id);
}

/* ---- events ---- */

static struct bdr_err *events(struct bdr_req *req, const void *in, void *out)
{
    (void)in, (void)out;
    return bdr_hub_join(api_console(req)->hub, req, machine_id(req), NULL, NULL);
}

static const struct bdr_route rows[] = {
    {.method = BDR_POST,
     .path = "/v1/machine/beat",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .in = &bdr_beat_in_shape,
     .out = &bdr_beat_out_shape,
     .run = beat,
     .help = "I live; what is wanted?",
     .help_zh = "心跳"},
    {.method = BDR_PUT,
     .path = "/v1/machine/inventory",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE,
     .roles = "agent",
     .in = &bdr_inventory_shape,
     .body_max_bytes = INVENTORY_MAX,
     .run = inventory,
     .help = "What the machine is made of.",
     .help_zh = "上报机器清单"},
    {.method = BDR_GET,
     .path = "/v1/machine/events",
     .perm = "machine:self",
     .flags = BDR_R_MACHINE | BDR_R_STREAM_OUT,
     .out_type = "text/event-stream",
     .run = events,
     .help = "Hints to hurry: work, job, settings, revoked, ended.",
     .help_zh = "事件流"},
};
const struct bdr_route_table api_machine_beat_table = BDR_ROUTES("machine", rows);
