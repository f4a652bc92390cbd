/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - all that is so of one kind, against the alarms of that kind that stand. */
#include "bdr/bytes.h"
#include "watch/alarm.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct sweep_item {
    struct bdr_found f; /* object is static or in `text` of nobody: copied */
    char object[24];
    struct bdr_value *values; /* owned, with their texts behind them */
    bool keep, stands;
};
struct bdr_sweep {
    enum bdr_alarm_id kind;
    struct sweep_item *items; /* owned */
    size_t n, cap;
    struct bdr_told told;
    int64_t now_ms;
};

struct bdr_err *bdr_sweep_new(enum bdr_alarm_id kind, struct bdr_sweep **out)
{
    struct bdr_sweep *s = calloc(1, sizeof(*s));

    BDR_NOMEM_IF_NULL(s);
    s->kind = kind;
    *out = s;
    return NULL;
}

void bdr_sweep_free(struct bdr_sweep *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        free(s->items[i].values);
    free(s->items);
    free(s);
}

static struct bdr_err *sweep_room(struct bdr_sweep *s)
{
    size_t cap = s->cap ? s->cap * 2 : 16;
    struct sweep_item *items;

    if (s->n < s->cap)
        return NULL;
    items = reallocarray(s->items, cap, sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    s->items = items;
    s->cap = cap;
    return NULL;
}

struct bdr_err *bdr_sweep_found(struct bdr_sweep *s, const struct bdr_found *f)
{
    struct sweep_item *item;
    size_t texts = 0, size = f->n_values * sizeof(*f->values);
    char *at;

    BDR_TRY(sweep_room(s));
    for (size_t i = 0; i < f->n_values; i++)
        texts += f->values[i].text ? strlen(f->values[i].text) + 1 : 0;
    item = &s->items[s->n];
    *item = (struct sweep_item){.f = *f, .values = calloc(1, size + texts + 1)};
    BDR_NOMEM_IF_NULL(item->values);
    s->n++;
    if (size)
        memcpy(item->values, f->values, size);
    at = (char *)item->values + size;
    for (size_t i = 0; i < f->n_values; i++)
        if (f->values[i].text) {
            size_t len = strlen(f->values[i].text) + 1;

            memcpy(at, f->values[i].text, len);
            item->values[i].text = at;
            at += len;
        }
    snprintf(item->object, sizeof(item->object), "%s", f->object);
    return NULL;
}

struct bdr_err *bdr_sweep_keep(struct bdr_sweep *s, const char *object, int64_t object_id)
{
    BDR_TRY(bdr_sweep_found(s, &(struct bdr_found){.object = object, .object_id = object_id}));
    s->items[s->n - 1].keep = true;
    return NULL;
}

static int sweep_compare(const void *a, const void *b)
{
    const struct sweep_item *x = a, *y = b;
    int objects = strcmp(x->object, y->object);

    return objects ? objects : (x->f.object_id > y->f.object_id) - (x->f.object_id < y->f.object_id);
}

static int64_t sweep_mark(const char *text)
{
    json_t *root = json_loads(text, 0, NULL);
    int64_t mark = json_integer_value(json_object_get(root, "m"));

    json_decref(root);
    return mark;
}

static struct bdr_err *sweep_apply(struct bdr_tx *tx, void *ctx)
{
    struct bdr_sweep *s = ctx;
    BDR_AUTO(mem) struct bdr_row_alarm_of_kind *row = NULL;
    size_t n = 0;

    s->told.n = 0;
    for (size_t i = 0; i < s->n; i++)
        s->items[i].stands = s->items[i].keep;
    BDR_TRY(bdr_q_alarm_of_kind(tx, bdr_alarm_kinds[s->kind].kind, &row, &n));
    for (size_t i = 0; i < n; i++) {
        struct sweep_item key = {.f.object_id = row[i].object_id}, *at;

        snprintf(key.object, sizeof(key.object), "%s", row[i].object);
        at = s->n ? bsearch(&key, s->items, s->n, sizeof(*s->items), sweep_compare) : NULL;
        if (!at)
            BDR_TRY(bdr_alarm_clear(tx, s->kind, row[i].object, row[i].object_id, s->now_ms, &s->told));
        else
            at->stands = at->keep || (bdr_severity_of(row[i].severity) == at->f.severity &&
                                      (!at->f.mark || sweep_mark(row[i].text) == at->f.mark));
    }
    for (size_t i = 0; i < s->n; i++) {
        struct sweep_item *item = &s->items[i];

        if (item->stands)
            continue;
        item->f.object = item->object;
        item->f.values = item->values;
        BDR_TRY(bdr_alarm_raise(tx, s->kind, &item->f, s->now_ms, &s->told));
    }
    return NULL;
}

struct bdr_err *bdr_sweep_end(struct bdr_console *c, struct bdr_sweep *s, int64_t now_ms)
{
    s->now_ms = now_ms;
    if (s->n)
        qsort(s->items, s->n, sizeof(*s->items), sweep_compare);
    BDR_TRY_FOR(bdr_db_run(c->db, BDR_TX_LOCK, sweep_apply, s), "alarms of the kind %s", bdr_alarm_kinds[s->kind].kind);
    bdr_alarm_tell(c, &s->told);
    return NULL;
}
