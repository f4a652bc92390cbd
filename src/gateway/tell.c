/* SPDX-License-Identifier: Apache-2.0 */
/* tell.c - what the gateway tells the console by itself: new points, whole lists of them, space. */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/machine_api.h"
#include "bdr/osfile.h"
#include "bdr/sync.h"
#include "console_i.h"
#include "space.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CONSOLE_LIST_EVERY  (6ull * 3600000) /* a whole list, whatever was told */
#define CONSOLE_SPACE_EVERY 60000u

/* Texts are the manifest's. */
static struct bdr_point_told told_of(const json_t *m)
{
    const json_t *stats = json_object_get(m, "stats"), *disks = json_object_get(m, "disks");
    struct bdr_point_told t = {.ref = console_text(m, "id"),
                               .label = console_text(m, "host"),
                               .taken = (int64_t)console_u64(m, "time_ms"),
                               .full = json_is_true(json_object_get(m, "full")),
                               .consistency = console_text(m, "consistency"),
                               .read_bytes = console_u64(stats, "read_bytes"),
                               .stored_bytes = console_u64(stats, "stored_bytes")};

    for (size_t i = 0; i < json_array_size(disks); i++)
        t.disk_bytes += console_u64(json_array_get(disks, i), "size");
    if (!t.consistency)
        t.consistency = "crash";
    return t;
}

static struct bdr_err *tell_send(struct gw_console *c, uint64_t repository, struct bdr_points_told *body)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    char path[80];

    snprintf(path, sizeof(path), "/v1/gateway/repositories/%" PRIu64 "/points", repository);
    BDR_TRY(bdr_arena_new(&arena));
    return bdr_http_json(
        c->http,
        &(struct bdr_http_json){
            .method = "POST", .path = path, .in_shape = &bdr_points_told_shape, .in = body, .cancel = &c->stop},
        arena, NULL);
}

struct listing {
    struct gw_console *c;
    uint64_t repository;
    char name[33];
    struct bdr_point_told *items; /* owned */
    json_t *kept;                 /* the manifests that items borrow from */
    size_t n;
    uint64_t data_bytes;
};

static struct bdr_err *listing_send(struct listing *l, bool complete)
{
    struct bdr_points_told body = {.complete = complete, .list = l->name};

    body.points.items = l->items;
    body.points.n = l->n;
    BDR_TRY(tell_send(l->c, l->repository, &body));
    l->n = 0;
    json_array_clear(l->kept);
    return NULL;
}

static struct bdr_err *listing_point(void *ctx, const json_t *manifest)
{
    struct listing *l = ctx;

    if (l->n == BDR_MACHINE_POINTS_MAX)
        BDR_TRY(listing_send(l, false));
    if (json_array_append(l->kept, (json_t *)(uintptr_t)manifest))
        BDR_FAIL(BDR_NOMEM, 0, "listing points");
    l->items[l->n] = told_of(manifest);
    l->data_bytes += l->items[l->n++].disk_bytes;
    return NULL;
}

static struct bdr_err *tell_list(struct gw_console *c, uint64_t repository, uint64_t *out_data_bytes)
{
    struct listing l = {.c = c, .repository = repository, .items = calloc(BDR_MACHINE_POINTS_MAX, sizeof(*l.items))};
    struct bdr_err *err;
    uint8_t raw[16];

    l.kept = json_array();
    err = l.items && l.kept ? bdr_os_random(raw, sizeof(raw)) : bdr_err_new(BDR_NOMEM, 0, BDR_AT, "listing points");
    if (!err) {
        bdr_hex(raw, sizeof(raw), l.name);
        err = gw_repo_each_point(c->gw, repository, &c->stop, listing_point, &l);
    }
    if (!err)
        err = listing_send(&l, true);
    if (!err)
        *out_data_bytes = l.data_bytes;
    json_decref(l.kept);
    free(l.items);
    return err;
}

/* Which repositories there are is asked until it is known; each one's list is due at once then. */
static struct bdr_err *lists_learn(struct gw_console *c)
{
    BDR_AUTO(mem) uint64_t *ids = NULL;
    struct list_row *rows;
    size_t n = 0;

    if (c->lists_known)
        return NULL;
    BDR_TRY(console_repositories(c, &c->stop, &ids, &n));
    rows = calloc(n + 1, sizeof(*rows));
    BDR_NOMEM_IF_NULL(rows);
    for (size_t i = 0; i < n; i++)
        rows[i].repository = ids[i];
    pthread_mutex_lock(&c->lock);
    free(c->lists);
    c->lists = rows;
    c->n_lists = n;
    c->lists_known = true;
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* The list of one repository when it is due; an error makes it due again. */
static struct bdr_err *list_due(struct gw_console *c, struct list_row *row)
{
    uint64_t due, now = bdr_clock_mono_ms();
    struct bdr_err *err;

    pthread_mutex_lock(&c->lock);
    due = row->due_ms;
    if (due <= now)
        row->due_ms = UINT64_MAX; /* what fails meanwhile makes it due again */
    pthread_mutex_unlock(&c->lock);
    if (due > now)
        return NULL;
    err = tell_list(c, row->repository, &row->data_bytes);
    pthread_mutex_lock(&c->lock);
    row->due_ms = BDR_MIN(row->due_ms, now + (err ? c->config.retry_ms : CONSOLE_LIST_EVERY));
    pthread_mutex_unlock(&c->lock);
    if (err)
        row->space_ms = 0;
    return err;
}

/* Lists and space; what is wrong with one repository is told and does not keep the others waiting. */
static struct bdr_err *lists_due(struct gw_console *c)
{
    for (size_t i = 0; i < c->n_lists; i++) {
        struct list_row *row = &c->lists[i];
        struct bdr_err *err = list_due(c, row);

        if (err &&
            (err->code == BDR_NET || err->code == BDR_TIMEOUT || err->code == BDR_CANCELLED || err->code == BDR_AUTH))
            return err;
        if (err)
            BDR_LOG(ERROR, "gateway.repository", F_U64("id", row->repository), F_ERR(err));
        if (row->space_ms <= bdr_clock_mono_ms()) {
            struct bdr_err *told = gw_space_tell(c->http, c->gw, row->repository, row->data_bytes, err, &c->stop);

            bdr_err_drop(err, "told");
            BDR_TRY(told);
            row->space_ms = bdr_clock_mono_ms() + CONSOLE_SPACE_EVERY;
        } else {
            bdr_err_drop(err, "told a moment ago");
        }
    }
    return NULL;
}

/* A point that could not be told makes its repository's list due. */
static void list_make_due(struct gw_console *c, uint64_t repository)
{
    bool known = false;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->n_lists; i++)
        if (c->lists[i].repository == repository) {
            c->lists[i].due_ms = 0;
            known = true;
        }
    c->lists_known = c->lists_known && known; /* a new one: ask again */
    pthread_mutex_unlock(&c->lock);
}

static struct told_row *told_take(struct gw_console *c)
{
    struct told_row *t;

    pthread_mutex_lock(&c->lock);
    t = c->head;
    if (t) {
        c->head = t->next;
        if (!c->head)
            c->tail = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    return t;
}

static struct bdr_err *tell_queue(struct gw_console *c)
{
    struct told_row *t;
    struct bdr_err *err = NULL;

    while (!err && (t = told_take(c)) != NULL) {
        struct bdr_point_told one = told_of(t->manifest);
        struct bdr_points_told body = {0};

        body.points.items = &one;
        body.points.n = 1;
        err = tell_send(c, t->repository, &body);
        if (err)
            list_make_due(c, t->repository);
        json_decref(t->manifest);
        free(t);
    }
    return err;
}

void console_tell(struct gw_console *c)
{
    while (!bdr_cancelled(&c->stop)) {
        struct bdr_err *err;

        pthread_mutex_lock(&c->lock);
        c->telling = true;
        pthread_mutex_unlock(&c->lock);
        err = lists_learn(c);
        if (!err)
            err = tell_queue(c);
        if (!err)
            err = lists_due(c);
        pthread_mutex_lock(&c->lock);
        c->telling = false;
        if (!err && !c->head)
            bdr_cond_wait_slice(&c->changed, &c->lock);
        pthread_mutex_unlock(&c->lock);
        if (err) {
            BDR_LOG(WARN, "gateway.not-told", F_ERR(err));
            bdr_err_drop(err, "all points are told when the console is there again");
            bdr_err_drop(bdr_cancel_sleep(&c->stop, c->config.retry_ms), "the loop looks");
        }
    }
}

void gw_console_told(void *ctx, uint64_t repository, const json_t *manifest)
{
    struct gw_console *c = ctx;
    struct told_row *t = calloc(1, sizeof(*t));

    if (t)
        t->manifest = json_deep_copy(manifest);
    if (!t || !t->manifest) {
        free(t);
        list_make_due(c, repository);
        return;
    }
    t->repository = repository;
    pthread_mutex_lock(&c->lock);
    if (c->tail)
        c->tail->next = t;
    else
        c->head = t;
    c->tail = t;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

bool gw_console_all_told(struct gw_console *c)
{
    bool all;

    pthread_mutex_lock(&c->lock);
    all = !c->head && !c->telling && c->lists_known;
    for (size_t i = 0; i < c->n_lists; i++)
        all = all && c->lists[i].due_ms > bdr_clock_mono_ms();
    pthread_mutex_unlock(&c->lock);
    return all;
}

void console_untold(struct gw_console *c)
{
    struct told_row *t;

    while ((t = told_take(c)) != NULL) {
        json_decref(t->manifest);
        free(t);
    }
}
