/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maps.c - a disk's map at the gateway: ids of the base come in windows, runs go out in order, behind their blocks.
 *
 * Workers end runs in any order. A run is written down when all before it are; what is written down is sent when the
 * batches that were open by then have been taken, because the gateway believes nobody about blocks it has not seen.
 */
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/sync.h"
#include "client.h"
#include <stdio.h>
#include <string.h>

#define MAPS_SET_BYTES    (128u << 10) /* of a request */
#define MAPS_QUEUE_BYTES  ((uint64_t)4 << 20)
#define MAPS_WINDOW_FULL  8192u /* blocks; all of it is going to be used */
#define MAPS_WINDOW_DELTA 1024u
#define MAPS_KEEP_MS      30000u /* the gateway gives up who is silent for four times that */

static const struct bdr_id maps_hole;

static struct gwc_map *map_of(struct bdr_sink_map *m)
{
    return (struct gwc_map *)m;
}
static struct gwc_run *run_of(struct bdr_sink_run *r)
{
    return (struct gwc_run *)r;
}

/* Under the lock. */
static void map_unref(struct gwc_map *m)
{
    if (--m->refs)
        return;
    while (m->head) {
        struct gwc_run *r = m->head;

        m->head = r->next;
        free(r);
    }
    bdr_buf_free(&m->ready);
    free(m->win);
    free(m->win_there);
    free(m);
}

static void set_free(struct gwc *g, struct gwc_set *set)
{
    g->set_bytes -= set->body.len;
    map_unref(set->map);
    bdr_buf_free(&set->body);
    free(set);
}

void gwc_sets_free(struct gwc *g)
{
    pthread_mutex_lock(&g->lock);
    while (g->sets) {
        struct gwc_set *set = g->sets;

        g->sets = set->next;
        set_free(g, set);
    }
    g->sets_tail = NULL;
    pthread_mutex_unlock(&g->lock);
}

/* ---- out: runs in order ---- */

/* What is written down becomes a request. Under the lock. */
static struct bdr_err *map_cut(struct gwc_map *m)
{
    struct gwc *g = m->g;
    struct gwc_set *set;

    if (!m->ready.len)
        return NULL;
    BDR_TRY(bdr_buf_check(&m->ready));
    set = calloc(1, sizeof(*set));
    BDR_NOMEM_IF_NULL(set);
    set->map = m;
    m->refs++;
    set->n = m->sets++;
    set->barrier = m->ready_barrier;
    set->body = m->ready;
    m->ready = (struct bdr_buf){0};
    m->ready_barrier = 0;
    g->set_bytes += set->body.len;
    if (g->sets_tail)
        g->sets_tail->next = set;
    else
        g->sets = set;
    g->sets_tail = set;
    pthread_cond_broadcast(&g->changed);
    return NULL;
}

static void run_write(struct gwc_map *m, const struct gwc_run *r)
{
    bool delta = m->mode == BDR_MAP_DELTA;

    m->ready_barrier = BDR_MAX(m->ready_barrier, r->barrier);
    if (r->zero_run) {
        for (uint64_t at = 0, n; at < r->zeros; at += n) {
            n = BDR_MIN(r->zeros - at, (uint64_t)UINT32_MAX);
            bdr_runs_put(&m->ready, r->first + at, (uint32_t)n, NULL);
        }
        return;
    }
    for (uint32_t i = 0, n; i < r->count; i += n) {
        bool zero = !memcmp(&r->id[i], &maps_hole, sizeof(maps_hole));

        for (n = 1; i + n < r->count && r->set[i + n] == r->set[i] &&
                    zero == !memcmp(&r->id[i + n], &maps_hole, sizeof(maps_hole));
             n++)
            ;
        if (r->set[i] && (!zero || delta)) /* in a full map what is not set is zero */
            bdr_runs_put(&m->ready, r->first + i, n, zero ? NULL : r->id[i].b);
    }
}

/* Writes down the runs at the head of the list that have ended. Under the lock. */
static struct bdr_err *map_advance(struct gwc_map *m)
{
    while (m->head && m->head->done) {
        struct gwc_run *r = m->head;

        m->head = r->next;
        if (!m->head)
            m->tail = NULL;
        run_write(m, r);
        free(r);
        if (m->ready.len >= MAPS_SET_BYTES)
            BDR_TRY(map_cut(m));
    }
    return NULL;
}

static void map_append(struct gwc_map *m, struct gwc_run *r)
{
    if (m->tail)
        m->tail->next = r;
    else
        m->head = r;
    m->tail = r;
}

const struct bdr_id *gwc_run_base(const struct bdr_sink_run *run, uint64_t block)
{
    const struct gwc_run *r = (const struct gwc_run *)run;
    const struct bdr_id *id = &r->base[block - r->first];

    return memcmp(id, &maps_hole, sizeof(maps_hole)) ? id : NULL;
}

void gwc_run_set(struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id)
{
    struct gwc_run *r = run_of(run);
    size_t at = (size_t)(block - r->first);

    BDR_ASSERT(block >= r->first && at < r->count);
    r->set[at] = true;
    r->id[at] = id ? *id : maps_hole;
}

struct bdr_err *gwc_run_end(struct bdr_sink *s, struct bdr_sink_run *run, bool ok)
{
    struct gwc_run *r = run_of(run);
    struct gwc *g = gwc_of(s);
    struct gwc_map *m = r->map;
    struct bdr_err *err;

    pthread_mutex_lock(&g->lock);
    if (!ok)
        m->dead = true;
    r->done = true;
    r->barrier = g->seq;
    err = m->dead ? NULL : map_advance(m);
    pthread_mutex_unlock(&g->lock);
    return err;
}

/* Waits until the queue of requests is short. */
static struct bdr_err *map_room(struct gwc *g)
{
    bool room = false;

    while (!room) {
        BDR_TRY(gwc_check(g));
        pthread_mutex_lock(&g->lock);
        room = g->set_bytes < MAPS_QUEUE_BYTES;
        if (!room && !g->failed)
            bdr_cond_wait_slice(&g->changed, &g->lock);
        pthread_mutex_unlock(&g->lock);
    }
    return NULL;
}

/* ---- in: the base ---- */

/* Which of the window's ids the gateway has: what a full pass finds unchanged is not even asked about again. */
static struct bdr_err *window_ask(struct gwc_map *m)
{
    BDR_AUTO(mem) struct bdr_id *ids = calloc(m->g->ask_ids, sizeof(*ids));
    BDR_AUTO(mem) uint32_t *where = calloc(m->g->ask_ids, sizeof(*where));
    BDR_AUTO(mem) uint8_t *bits = calloc(m->g->ask_ids / 8 + 1, 1);
    uint32_t n = 0;

    if (!ids || !where || !bits)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    for (uint32_t i = 0; i <= m->win_n; i++) {
        if (i < m->win_n && memcmp(&m->win[i], &maps_hole, sizeof(maps_hole)) != 0) {
            where[n] = i;
            ids[n++] = m->win[i];
        }
        if (n && (n == m->g->ask_ids || i == m->win_n)) {
            BDR_TRY(gwc_ask(m->g, m->g->opt.cancel, ids, n, bits));
            for (uint32_t k = 0; k < n; k++)
                m->win_there[where[k]] = bits[k / 8] >> (k % 8) & 1;
            n = 0;
        }
    }
    return NULL;
}

static struct bdr_err *window_fetch(struct gwc_map *m, uint64_t first, uint32_t most)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    uint32_t n = (uint32_t)BDR_MIN((uint64_t)most, m->blocks - first);
    struct bdr_err *err;
    char path[96];

    if (!m->win) {
        m->win = calloc(most, sizeof(*m->win));
        m->win_there = calloc(most, 1);
        if (!m->win || !m->win_there)
            BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    memset(m->win, 0, most * sizeof(*m->win));
    memset(m->win_there, 0, most);
    m->win_first = first;
    m->win_n = n;
    snprintf(path, sizeof(path), "./maps/%u/base?first=%llu&count=%u", m->number, (unsigned long long)first, n);
    err = gwc_call(m->g, "GET", path, &(struct bdr_http_call){.cancel = m->g->opt.cancel}, &reply);
    if (err && err->code == BDR_CORRUPT && m->mode == BDR_MAP_FULL) {
        bdr_err_drop(err, "without the base its blocks are asked about one by one");
        return NULL;
    }
    BDR_TRY(err);
    if (reply.body.len != n * sizeof(*m->win))
        BDR_FAIL(BDR_INVAL, 0, "the gateway gave %zu bytes for %u ids", reply.body.len, n);
    memcpy(m->win, reply.body.data, reply.body.len);
    return m->mode == BDR_MAP_FULL ? window_ask(m) : NULL;
}

struct bdr_err *gwc_map_run(struct bdr_sink *s, struct bdr_sink_map *map, uint64_t first, uint32_t count,
                            struct bdr_sink_run **out)
{
    BDR_AUTO(mem) struct gwc_run *r = calloc(1, sizeof(*r));
    struct gwc_map *m = map_of(map);
    struct gwc *g = gwc_of(s);

    BDR_ASSERT(count && first % 64 + count <= 64 && first + count <= m->blocks);
    BDR_NOMEM_IF_NULL(r);
    BDR_TRY(map_room(g));
    if (m->has_base && !(m->win && first >= m->win_first && first + count <= m->win_first + m->win_n))
        BDR_TRY_FOR(window_fetch(m, first - first % 64,
                                 m->mode == BDR_MAP_FULL ? MAPS_WINDOW_FULL : MAPS_WINDOW_DELTA),
                    "reading the map of the last point");
    r->map = m;
    r->first = first;
    r->count = count;
    for (uint32_t i = 0; m->has_base && i < count; i++) {
        r->base[i] = m->win[first - m->win_first + i];
        r->there[i] = m->win_there[first - m->win_first + i];
    }
    pthread_mutex_lock(&g->lock);
    map_append(m, r);
    pthread_mutex_unlock(&g->lock);
    *out = (struct bdr_sink_run *)BDR_STEAL(r);
    return NULL;
}

struct bdr_err *gwc_map_zero(struct bdr_sink *s, struct bdr_sink_map *map, uint64_t first, uint64_t count)
{
    struct gwc_run *r;
    struct gwc *g = gwc_of(s);
    struct bdr_err *err;

    if (!count)
        return NULL;
    BDR_TRY(map_room(g));
    r = calloc(1, sizeof(*r));
    BDR_NOMEM_IF_NULL(r);
    *r = (struct gwc_run){.map = map_of(map), .first = first, .zeros = count, .zero_run = true, .done = true};
    pthread_mutex_lock(&g->lock);
    map_append(r->map, r);
    err = map_advance(map_of(map));
    pthread_mutex_unlock(&g->lock);
    return err;
}

/* ---- life ---- */

static struct bdr_err *map_describe(const struct bdr_sink_disk *disk, char **out)
{
    BDR_AUTO(json) json_t *o = json_object();
    char hex[65];

    BDR_NOMEM_IF_NULL(o);
    BDR_TRY(bdr_json_set_text(o, "disk", disk->identity));
    BDR_TRY(bdr_json_set(o, "size", json_integer((json_int_t)disk->size_bytes)));
    BDR_TRY(bdr_json_set(o, "base",
                         disk->base ? json_string(bdr_hex(disk->base->b, sizeof(disk->base->b), hex)) : json_null()));
    BDR_TRY(bdr_json_set(o, "mode", json_string(disk->mode == BDR_MAP_FULL ? "full" : "delta")));
    *out = json_dumps(o, JSON_COMPACT);
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

struct bdr_err *gwc_map_new(struct bdr_sink *s, const struct bdr_sink_disk *disk, struct bdr_sink_map **out)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    struct gwc *g = gwc_of(s);
    BDR_AUTO(mem) struct gwc_map *m = calloc(1, sizeof(*m));
    BDR_AUTO(mem) char *body = NULL;
    BDR_AUTO(json) json_t *o = NULL;

    BDR_NOMEM_IF_NULL(m);
    m->g = g;
    m->refs = 1;
    m->mode = disk->mode;
    m->blocks = disk->size_bytes / g->block_bytes + (disk->size_bytes % g->block_bytes != 0);
    m->has_base = disk->base != NULL;
    BDR_TRY(map_describe(disk, &body));
    BDR_TRY(gwc_call(g, "POST", "./maps",
                     &(struct bdr_http_call){.type = "application/json", .body = body, .body_len = strlen(body),
                                             .cancel = g->opt.cancel},
                     &reply));
    BDR_TRY(bdr_json_read((const char *)reply.body.data, reply.body.len, &o));
    m->number = (uint32_t)json_integer_value(json_object_get(o, "map"));
    *out = (struct bdr_sink_map *)BDR_STEAL(m);
    return NULL;
}

/* Takes this map's requests off the queue. Under the lock. */
static void map_drop_sets(struct gwc_map *m)
{
    struct gwc *g = m->g;

    g->sets_tail = NULL;
    for (struct gwc_set **at = &g->sets; *at;) {
        struct gwc_set *set = *at;

        if (set->map != m) {
            g->sets_tail = set;
            at = &set->next;
            continue;
        }
        *at = set->next;
        set_free(g, set); /* the mover's reference is left */
    }
}

void gwc_map_free(struct bdr_sink *s, struct bdr_sink_map *map)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    struct gwc_map *m = map_of(map);
    struct gwc *g = gwc_of(s);
    bool give_up;
    char path[32];

    pthread_mutex_lock(&g->lock);
    m->dead = true;
    map_drop_sets(m);
    while (g->set_busy == m)
        bdr_cond_wait_slice(&g->changed, &g->lock);
    give_up = !m->finished && !g->failed;
    snprintf(path, sizeof(path), "./maps/%u", m->number);
    map_unref(m);
    pthread_mutex_unlock(&g->lock);
    if (give_up && g->begun && !bdr_cancelled(g->opt.cancel)) /* another pass over the disk may follow */
        bdr_err_drop(gwc_call(g, "DELETE", path, &(struct bdr_http_call){.cancel = g->opt.cancel}, &reply),
                     "what follows finds out");
}

static struct bdr_err *map_drain(struct gwc_map *m)
{
    struct gwc *g = m->g;
    bool sent = false;

    while (!sent) {
        struct bdr_err *err = NULL;

        BDR_TRY(gwc_check(g));
        pthread_mutex_lock(&g->lock);
        err = map_cut(m);
        sent = g->set_busy != m;
        for (const struct gwc_set *set = g->sets; set; set = set->next)
            sent = sent && set->map != m;
        if (!err && !sent && !g->failed)
            bdr_cond_wait_slice(&g->changed, &g->lock);
        pthread_mutex_unlock(&g->lock);
        BDR_TRY(err);
    }
    return gwc_check(g);
}

struct bdr_err *gwc_map_finish(struct bdr_sink *s, struct bdr_sink_map *map, struct bdr_id *out_root, bool *out_zero)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    struct gwc_map *m = map_of(map);
    struct gwc *g = gwc_of(s);
    BDR_AUTO(json) json_t *o = NULL;
    const json_t *root;
    struct bdr_id id;
    char path[48];

    if (m->dead || m->head)
        BDR_FAIL(BDR_CANCELLED, 0, "the map was not completed");
    BDR_TRY(map_drain(m));
    snprintf(path, sizeof(path), "./maps/%u/finish", m->number);
    BDR_TRY(gwc_call(g, "POST", path, &(struct bdr_http_call){.cancel = g->opt.cancel}, &reply));
    BDR_TRY(bdr_json_read((const char *)reply.body.data, reply.body.len, &o));
    root = json_object_get(o, "root");
    if (!json_is_null(root) && (!json_is_string(root) || !bdr_unhex(json_string_value(root), id.b, sizeof(id.b))))
        BDR_FAIL(BDR_INVAL, 0, "the gateway did not say the map's root");
    m->finished = true;
    atomic_store(&g->node_bytes, (uint64_t)json_integer_value(json_object_get(o, "node_bytes")));
    *out_zero = json_is_null(root);
    if (!*out_zero)
        *out_root = id;
    return NULL;
}

/* ---- the thread that sends ---- */

static struct bdr_err *set_send(struct gwc *g, const struct gwc_set *set)
{
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    struct bdr_err *err;
    char path[64];

    snprintf(path, sizeof(path), "./maps/%u/set?n=%llu", set->map->number, (unsigned long long)set->n);
    atomic_fetch_add(&g->sent_bytes, set->body.len);
    err = gwc_call(g, "POST", path,
                   &(struct bdr_http_call){.type = "application/octet-stream", .body = set->body.data,
                                           .body_len = set->body.len, .cancel = &g->stop},
                   &reply);
    if (err && err->sys == 422) /* it said that it has them, and has them no more: the next try asks again */
        return bdr_err_recode(err, BDR_NET, BDR_AT, "the gateway has lost blocks of this host; run it again");
    return err;
}

/* The next request whose blocks have all been taken. */
static struct gwc_set *set_take(struct gwc *g)
{
    struct gwc_set *set = g->sets;

    if (!set)
        return NULL;
    if (g->filling && g->filling->seq <= set->barrier)
        gwc_seal(g);
    if (!gwc_taken(g, set->barrier))
        return NULL;
    g->sets = set->next;
    if (!g->sets)
        g->sets_tail = NULL;
    g->set_busy = set->map;
    return set;
}

void gwc_mapper(struct gwc *g)
{
    while (!bdr_cancelled(&g->stop)) {
        struct gwc_set *set;

        pthread_mutex_lock(&g->lock);
        set = g->failed ? NULL : set_take(g);
        if (!set)
            bdr_cond_wait_slice(&g->changed, &g->lock);
        pthread_mutex_unlock(&g->lock);
        if (!set) {
            if (bdr_clock_mono_ms() - atomic_load(&g->last_ms) > MAPS_KEEP_MS)
                gwc_fail(g, gwc_ask(g, &g->stop, NULL, 0, NULL));
            continue;
        }
        gwc_fail(g, set_send(g, set));
        pthread_mutex_lock(&g->lock);
        g->set_busy = NULL;
        set_free(g, set);
        pthread_cond_broadcast(&g->changed);
        pthread_mutex_unlock(&g->lock);
    }
}
