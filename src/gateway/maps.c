/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maps.c - the maps of a session's disks, built here from runs of ids that the host possesses.
 *
 * A request is checked as a whole before any of it is done, and is numbered: the last one may come twice.
 */
#include "bdr/bytes.h"
#include "bdr/jsonset.h"
#include "bdr/mapread.h"
#include "bdr/point.h"
#include "gw_i.h"
#include <stdio.h>
#include <string.h>

#define MAPS_LOOK 4096u /* ids looked up at once */

static const struct bdr_shape_field base_query_fields[] = {
    {BDR_FIELD(struct gw_base_query, first), .type = BDR_T_U64, .flags = BDR_F_REQUIRED,
     .help = "The first block.", .help_zh = "第一个数据块。"},
    {BDR_FIELD(struct gw_base_query, count), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .min = 1, .max = BDR_WIRE_BASE_IDS,
     .help = "How many.", .help_zh = "数量。"},
    {0},
};
const struct bdr_shape gw_base_query_shape = {.name = "BaseQuery", .size = sizeof(struct gw_base_query),
                                              .fields = base_query_fields, .help = "Which ids.", .help_zh = "哪些标识。"};
static const struct bdr_shape_field set_query_fields[] = {
    {BDR_FIELD(struct gw_set_query, n), .type = BDR_T_U64, .flags = BDR_F_REQUIRED,
     .help = "Requests of a map are numbered from 0; the last one may be repeated.",
     .help_zh = "同一映射的请求从 0 开始编号；最后一个可以重复。"},
    {0},
};
const struct bdr_shape gw_set_query_shape = {.name = "SetQuery", .size = sizeof(struct gw_set_query),
                                             .fields = set_query_fields, .help = "Which request.", .help_zh = "哪个请求。"};

void gw_map_free(struct gw_map *m)
{
    if (!m)
        return;
    bdr_map_free(m->map);
    free(m->identity);
    free(m);
}

/* Takes the map for this request alone. NULL: an answer was sent. */
static struct bdr_err *map_take(struct bdr_req *req, struct gw_session *s, struct gw_map **out)
{
    uint64_t number = bdr_req_param_u64(req, "map");
    struct gw_map *m = NULL;
    bool busy = false;

    *out = NULL;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < GW_MAPS_OPEN; i++)
        if (s->maps[i] && s->maps[i]->number == number)
            m = s->maps[i];
    if (m) {
        busy = m->busy;
        m->busy = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (!m)
        return gw_problem(req, 409, BDR_CONFLICT, "There is no open map %llu in this session.",
                          (unsigned long long)number);
    if (busy)
        return gw_problem(req, 429, BDR_THROTTLED, "A map takes one request at a time.");
    *out = m;
    return NULL;
}

static void map_give(struct gw_session *s, struct gw_map *m)
{
    pthread_mutex_lock(&s->lock);
    m->busy = false;
    pthread_mutex_unlock(&s->lock);
}

/* Takes it out of the session; it was taken before. */
static void map_remove(struct gw_session *s, struct gw_map *m)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < GW_MAPS_OPEN; i++)
        if (s->maps[i] == m)
            s->maps[i] = NULL;
    pthread_mutex_unlock(&s->lock);
}

/* ---- a new one ---- */

/* Roots of which this session may build: disks of the host's last point, maps it has finished. */
static bool base_find(struct gw_session *s, const struct bdr_id *root, uint64_t *out_size, bool *out_ours)
{
    bool found = false;

    *out_ours = false;
    for (uint32_t i = 0; s->base && i < bdr_point_disks(s->base) && !found; i++) {
        struct bdr_point_disk d;
        struct bdr_err *err = bdr_point_disk(s->base, i, &d);

        if (!err && d.has_root && !memcmp(&d.root, root, sizeof(*root))) {
            *out_size = d.size_bytes;
            found = true;
        }
        bdr_err_drop(err, "a base that makes no sense is none");
    }
    if (found)
        return true;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_disks && !found; i++)
        if (!s->disks[i].zero && !memcmp(&s->disks[i].root, root, sizeof(*root))) {
            *out_size = s->disks[i].size;
            *out_ours = found = true;
        }
    pthread_mutex_unlock(&s->lock);
    return found;
}

static struct bdr_err *map_base(struct bdr_req *req, struct gw_session *s, const json_t *given, struct gw_map *m)
{
    uint64_t size = 0;
    bool ours = false;
    struct bdr_err *err = NULL;

    if (!given || json_is_null(given))
        return NULL;
    if (!json_is_string(given) || !bdr_unhex(json_string_value(given), m->base.b, sizeof(m->base.b)) ||
        !base_find(s, &m->base, &size, &ours))
        return gw_problem(req, 422, BDR_INVAL, "That base is no disk of this host's last point, and no finished map.");
    if (m->delta ? size != m->size
                 : bdr_map_levels(bdr_blocks_of(size, s->repo->block_bytes)) != m->levels)
        return gw_problem(req, 422, BDR_INVAL, "That base is of a disk of another size.");
    m->has_base = true;
    if (!ours)
        return NULL;
    pthread_rwlock_wrlock(&s->puts); /* its nodes must be where they can be read */
    err = s->s ? bdr_session_flush(s->s) : bdr_err_new(BDR_CANCELLED, 0, BDR_AT, "the session has ended");
    pthread_rwlock_unlock(&s->puts);
    return gw_answer_err(req, err);
}

static struct bdr_err *map_place(struct bdr_req *req, struct gw_session *s, struct gw_map *m, uint32_t *out)
{
    size_t at = 0;

    pthread_mutex_lock(&s->lock);
    while (at < GW_MAPS_OPEN && s->maps[at])
        at++;
    if (at < GW_MAPS_OPEN) {
        *out = m->number = ++s->maps_made;
        s->maps[at] = m;
    }
    pthread_mutex_unlock(&s->lock);
    if (at < GW_MAPS_OPEN)
        return NULL;
    gw_map_free(m);
    return gw_problem(req, 429, BDR_THROTTLED, "At most %u maps of a session are open at once.", GW_MAPS_OPEN);
}

static struct bdr_err *map_make(struct bdr_req *req, struct gw_session *s, const json_t *body, struct gw_map *m)
{
    const char *disk = json_string_value(json_object_get(body, "disk"));
    const char *mode = json_string_value(json_object_get(body, "mode"));
    json_int_t size = json_integer_value(json_object_get(body, "size"));
    struct bdr_err *err = NULL;

    if (!disk || !*disk || strlen(disk) > 512)
        return gw_problem(req, 422, BDR_INVAL, "Say the disk's identity, of 1 to 512 bytes.");
    if (size < 1 || size > BDR_SHAPE_INT_MAX)
        return gw_problem(req, 422, BDR_INVAL, "Say the disk's size in bytes.");
    if (!mode || (strcmp(mode, "full") != 0 && strcmp(mode, "delta") != 0))
        return gw_problem(req, 422, BDR_INVAL, "The mode is full or delta.");
    m->identity = strdup(disk);
    BDR_NOMEM_IF_NULL(m->identity);
    m->size = (uint64_t)size;
    m->delta = !strcmp(mode, "delta");
    m->blocks = bdr_blocks_of(m->size, s->repo->block_bytes);
    m->levels = bdr_map_levels(m->blocks);
    BDR_TRY(map_base(req, s, json_object_get(body, "base"), m));
    if (bdr_req_answered(req))
        return NULL;
    pthread_rwlock_rdlock(&s->puts);
    err = s->s ? bdr_map_new(s->s, m->blocks, m->has_base ? &m->base : NULL, m->delta ? BDR_MAP_DELTA : BDR_MAP_FULL,
                             &m->map)
               : bdr_err_new(BDR_CANCELLED, 0, BDR_AT, "the session has ended");
    pthread_rwlock_unlock(&s->puts);
    return gw_answer_err(req, err);
}

struct bdr_err *gw_map_new_run(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    BDR_AUTO(json) json_t *body = NULL;
    struct gw_map *m;
    struct bdr_err *err;
    uint32_t number = 0;

    (void)in;
    (void)out;
    BDR_TRY(gw_session_of(gw_of_req(req), req, &s));
    if (!s)
        return NULL;
    BDR_TRY(gw_body_json(req, 65536, &body));
    m = calloc(1, sizeof(*m));
    BDR_NOMEM_IF_NULL(m);
    err = map_make(req, s, body, m);
    if (err || bdr_req_answered(req)) {
        gw_map_free(m);
        return err;
    }
    BDR_TRY(map_place(req, s, m, &number));
    if (bdr_req_answered(req))
        return NULL;
    return gw_send_json(req, 201, json_pack("{s:I}", "map", (json_int_t)number));
}

/* ---- the base's ids ---- */

struct bdr_err *gw_map_base_run(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    BDR_AUTO(mem) struct bdr_id *ids = NULL;
    const struct gw_base_query *q = bdr_req_filter(req);
    struct gw_map *m = NULL;
    struct bdr_err *err = NULL;

    (void)in;
    (void)out;
    BDR_TRY(gw_session_of(gw_of_req(req), req, &s));
    if (!s)
        return NULL;
    BDR_TRY(map_take(req, s, &m));
    if (!m)
        return NULL;
    if (q->first >= m->blocks || q->count > m->blocks - q->first) {
        map_give(s, m);
        GW_REFUSE(req, 422, BDR_INVAL, "The disk has %llu blocks.", (unsigned long long)m->blocks);
    }
    ids = calloc(q->count, sizeof(*ids));
    if (!ids)
        err = bdr_err_new(BDR_NOMEM, 0, BDR_AT, "reading a map");
    else if (m->has_base)
        err = bdr_map_ids(s->repo->repo, &m->base, m->levels, q->first, (uint32_t)q->count, ids);
    map_give(s, m);
    BDR_TRY(gw_answer_err(req, err));
    return bdr_req_answered(req) ? NULL
                                 : bdr_req_send(req, 200, "application/octet-stream", ids, q->count * sizeof(*ids));
}

/* ---- runs ---- */

struct setting {
    struct gw_session *s;
    struct gw_map *m;
    const struct bdr_buf *body;
    uint32_t block_bytes;
    struct gw_owned *look; /* owned; MAPS_LOOK */
    char why[320];         /* the refusal; "": none */
};

static uint32_t setting_len(const struct setting *t, uint64_t block)
{
    return (uint32_t)BDR_MIN((uint64_t)t->block_bytes, t->m->size - block * t->block_bytes);
}

/* The host possesses each block, of just the length that the place has, and the repository has it. */
static struct bdr_err *setting_owned(struct setting *t, const struct bdr_set_run *run)
{
    for (uint32_t at = 0, n; at < run->count; at += n) {
        n = BDR_MIN(run->count - at, MAPS_LOOK);
        for (uint32_t i = 0; i < n; i++)
            memcpy(t->look[i].id.b, run->ids + (size_t)(at + i) * BDR_WIRE_ID_BYTES, BDR_WIRE_ID_BYTES);
        BDR_TRY(gw_possess_look(t->s->repo->owners, t->s->host, t->look, n));
        for (uint32_t i = 0; i < n; i++) {
            uint64_t block = run->first + at + i;
            bool has = false;
            char hex[65];

            if (t->look[i].raw_len)
                BDR_TRY(bdr_session_has(t->s->s, &t->look[i].id, &has));
            if (!has) {
                snprintf(t->why, sizeof(t->why), "Block %llu: this host does not possess %s. Send it.",
                         (unsigned long long)block, bdr_hex(t->look[i].id.b, BDR_WIRE_ID_BYTES, hex));
                return NULL;
            }
            if (t->look[i].raw_len != setting_len(t, block)) {
                snprintf(t->why, sizeof(t->why), "Block %llu has %u bytes; %s has %u.", (unsigned long long)block,
                         setting_len(t, block), bdr_hex(t->look[i].id.b, BDR_WIRE_ID_BYTES, hex), t->look[i].raw_len);
                return NULL;
            }
        }
    }
    return NULL;
}

static struct bdr_runs setting_runs(const struct setting *t)
{
    return (struct bdr_runs){.cur = bdr_cur_of(t->body->data, t->body->len), .blocks = t->m->blocks, .next = t->m->next};
}

static struct bdr_err *setting_check(struct setting *t)
{
    struct bdr_runs r = setting_runs(t);
    struct bdr_set_run run;
    bool more = true;

    while (more && !t->why[0]) {
        struct bdr_err *err = bdr_runs_next(&r, &run, &more);

        if (err) {
            snprintf(t->why, sizeof(t->why), "%s", err->msg);
            bdr_err_drop(err, "told");
            return NULL;
        }
        if (more && run.ids)
            BDR_TRY(setting_owned(t, &run));
    }
    return NULL;
}

static struct bdr_err *setting_ids(struct setting *t, const struct bdr_set_run *run)
{
    for (uint32_t at = 0, n; at < run->count; at += n) {
        uint64_t first = run->first + at;
        struct bdr_map_run *r = NULL;

        n = (uint32_t)BDR_MIN((uint64_t)(run->count - at), 64 - first % 64);
        BDR_TRY(bdr_map_run(t->m->map, first, n, &r));
        for (uint32_t i = 0; i < n; i++) {
            struct bdr_id id;

            memcpy(id.b, run->ids + (size_t)(at + i) * BDR_WIRE_ID_BYTES, sizeof(id.b));
            bdr_map_set(r, first + i, &id);
        }
        BDR_TRY(bdr_map_run_end(r, true));
    }
    return NULL;
}

static struct bdr_err *setting_do(struct setting *t)
{
    struct bdr_runs r = setting_runs(t);
    struct bdr_set_run run;
    bool more = true;

    for (;;) {
        BDR_TRY(bdr_runs_next(&r, &run, &more));
        if (!more)
            break;
        if (run.ids)
            BDR_TRY(setting_ids(t, &run));
        else if (t->m->delta)
            BDR_TRY(bdr_map_zero(t->m->map, run.first, run.count));
    }
    t->m->next = r.next;
    t->m->sets++;
    return NULL;
}

static struct bdr_err *setting_go(struct setting *t)
{
    struct bdr_err *err;

    t->look = calloc(MAPS_LOOK, sizeof(*t->look));
    BDR_NOMEM_IF_NULL(t->look);
    pthread_rwlock_rdlock(&t->s->puts);
    err = t->s->s && !atomic_load(&t->s->ended) ? setting_check(t)
                                                : bdr_err_new(BDR_CANCELLED, 0, BDR_AT, "the session has ended");
    if (!err && !t->why[0])
        err = setting_do(t);
    pthread_rwlock_unlock(&t->s->puts);
    free(t->look);
    return err;
}

struct bdr_err *gw_map_set_run(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    BDR_AUTO(buf) struct bdr_buf body = {0};
    struct setting t = {.body = &body};
    struct bdr_err *err = NULL;
    uint64_t n = ((const struct gw_set_query *)bdr_req_filter(req))->n, sets;

    (void)in;
    (void)out;
    BDR_TRY(gw_session_of(gw_of_req(req), req, &s));
    if (!s)
        return NULL;
    BDR_TRY(gw_body(req, BDR_WIRE_SET_BYTES, &body));
    BDR_TRY(map_take(req, s, &t.m));
    if (!t.m)
        return NULL;
    t.s = s;
    t.block_bytes = s->repo->block_bytes;
    sets = t.m->sets;
    if (n == sets)
        err = setting_go(&t);
    map_give(s, t.m);
    BDR_TRY(gw_answer_err(req, err));
    if (bdr_req_answered(req))
        return NULL;
    if (n != sets && n + 1 != sets)
        GW_REFUSE(req, 409, BDR_CONFLICT, "Request %llu of this map is awaited, not %llu.", (unsigned long long)sets,
                  (unsigned long long)n);
    if (t.why[0])
        GW_REFUSE(req, 422, BDR_INVAL, "%s", t.why);
    return gw_send_json(req, 200, json_pack("{s:I}", "next", (json_int_t)(n + 1)));
}

/* ---- the end of one ---- */

static struct bdr_err *finish_answer(struct bdr_req *req, struct gw_session *s, const struct gw_disk *d)
{
    uint64_t nodes = 0;
    char hex[65];

    pthread_rwlock_rdlock(&s->puts);
    if (s->s)
        nodes = atomic_load(&bdr_session_stats(s->s)->node_bytes);
    pthread_rwlock_unlock(&s->puts);
    return gw_send_json(req, 200,
                        json_pack("{s:o,s:I}", "root",
                                  d->zero ? json_null() : json_string(bdr_hex(d->root.b, sizeof(d->root.b), hex)),
                                  "node_bytes", (json_int_t)nodes));
}

/* The map's result is the disk's; an earlier one of the same disk is forgotten. */
static struct bdr_err *finish_keep(struct gw_session *s, struct gw_disk *d)
{
    struct gw_disk *more;

    for (size_t i = 0; i < s->n_disks; i++)
        if (!strcmp(s->disks[i].identity, d->identity)) {
            free(s->disks[i].identity);
            s->disks[i] = *d;
            d->identity = NULL;
            return NULL;
        }
    if (s->n_disks == GW_DISKS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "at most %u disks fit one point", GW_DISKS_MAX);
    more = reallocarray(s->disks, s->n_disks + 1, sizeof(*more));
    BDR_NOMEM_IF_NULL(more);
    s->disks = more;
    s->disks[s->n_disks++] = *d;
    d->identity = NULL;
    return NULL;
}

static bool finish_again(struct gw_session *s, uint64_t number, struct gw_disk *out)
{
    bool found = false;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_disks && !found; i++)
        if (s->disks[i].number == number) {
            *out = s->disks[i];
            found = true;
        }
    pthread_mutex_unlock(&s->lock);
    return found;
}

struct bdr_err *gw_map_finish_run(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    struct gw_disk d = {0};
    struct gw_map *m = NULL;
    struct bdr_err *err;

    (void)in;
    (void)out;
    BDR_TRY(gw_session_of(gw_of_req(req), req, &s));
    if (!s)
        return NULL;
    if (finish_again(s, bdr_req_param_u64(req, "map"), &d))
        return finish_answer(req, s, &d);
    BDR_TRY(map_take(req, s, &m));
    if (!m)
        return NULL;
    pthread_rwlock_rdlock(&s->puts);
    err = s->s && !atomic_load(&s->ended) ? bdr_map_finish(m->map, &d.root, &d.zero)
                                          : bdr_err_new(BDR_CANCELLED, 0, BDR_AT, "the session has ended");
    pthread_rwlock_unlock(&s->puts);
    d.number = m->number;
    d.size = m->size;
    d.identity = BDR_STEAL(m->identity);
    map_remove(s, m);
    gw_map_free(m);
    if (!err) {
        pthread_mutex_lock(&s->lock);
        err = finish_keep(s, &d);
        pthread_mutex_unlock(&s->lock);
    }
    free(d.identity);
    BDR_TRY(gw_answer_err(req, err));
    return bdr_req_answered(req) ? NULL : finish_answer(req, s, &d);
}

struct bdr_err *gw_map_drop_run(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    struct gw_map *m = NULL;

    (void)in;
    (void)out;
    BDR_TRY(gw_session_of(gw_of_req(req), req, &s));
    if (!s)
        return NULL;
    BDR_TRY(map_take(req, s, &m));
    if (!m)
        return NULL;
    map_remove(s, m);
    gw_map_free(m);
    return NULL;
}
