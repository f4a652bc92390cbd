/* SPDX-License-Identifier: Apache-2.0 */
/* idset.c - open addressing in 64 stripes, each with a lock; an id's bytes are its hash. */
#include "idset.h"
#include <pthread.h>
#include <string.h>

#define IDSET_STRIPES 64

struct idset_stripe {
    pthread_mutex_t lock; /* guards all below */
    struct bdr_id *slot;  /* all-zero: free (SHA-256 never gives that in practice, and ids of zeros are not stored) */
    size_t cap, count;    /* cap is a power of two */
};
struct bdr_idset {
    struct idset_stripe stripe[IDSET_STRIPES];
};

static const struct bdr_id idset_free_slot;

struct bdr_err *bdr_idset_new(struct bdr_idset **out)
{
    struct bdr_idset *s = calloc(1, sizeof(*s));

    BDR_NOMEM_IF_NULL(s);
    for (size_t i = 0; i < IDSET_STRIPES; i++)
        pthread_mutex_init(&s->stripe[i].lock, NULL);
    *out = s;
    return NULL;
}

void bdr_idset_free(struct bdr_idset *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < IDSET_STRIPES; i++) {
        free(s->stripe[i].slot);
        pthread_mutex_destroy(&s->stripe[i].lock);
    }
    free(s);
}

static bool slot_used(const struct bdr_id *id)
{
    return memcmp(id, &idset_free_slot, sizeof(*id)) != 0;
}

static size_t id_home(const struct bdr_id *id, size_t cap)
{
    uint64_t h;

    memcpy(&h, id->b + 8, sizeof(h));
    return (size_t)h & (cap - 1);
}

/* The slot that holds the id, or the free one where it belongs. */
static size_t stripe_find(const struct idset_stripe *st, const struct bdr_id *id)
{
    size_t i = id_home(id, st->cap);

    while (slot_used(&st->slot[i]) && memcmp(&st->slot[i], id, sizeof(*id)) != 0)
        i = (i + 1) & (st->cap - 1);
    return i;
}

static bool stripe_grow(struct idset_stripe *st)
{
    struct idset_stripe more = {.cap = st->cap ? st->cap * 2 : 64};

    more.slot = calloc(more.cap, sizeof(*more.slot));
    if (!more.slot)
        return false;
    for (size_t i = 0; i < st->cap; i++)
        if (slot_used(&st->slot[i]))
            more.slot[stripe_find(&more, &st->slot[i])] = st->slot[i];
    free(st->slot);
    st->slot = more.slot;
    st->cap = more.cap;
    return true;
}

static struct idset_stripe *idset_stripe(struct bdr_idset *s, const struct bdr_id *id)
{
    return &s->stripe[id->b[0] % IDSET_STRIPES];
}

struct bdr_err *bdr_idset_add(struct bdr_idset *s, const struct bdr_id *id, bool *out_new)
{
    struct idset_stripe *st = idset_stripe(s, id);
    bool ok = true;
    size_t i;

    pthread_mutex_lock(&st->lock);
    if ((st->count + 1) * 4 > st->cap * 3)
        ok = stripe_grow(st);
    if (ok) {
        i = stripe_find(st, id);
        *out_new = !slot_used(&st->slot[i]);
        if (*out_new) {
            st->slot[i] = *id;
            st->count++;
        }
    }
    pthread_mutex_unlock(&st->lock);
    if (!ok)
        BDR_FAIL(BDR_NOMEM, 0, "remembering block ids");
    return NULL;
}

bool bdr_idset_has(struct bdr_idset *s, const struct bdr_id *id)
{
    struct idset_stripe *st = idset_stripe(s, id);
    bool has;

    pthread_mutex_lock(&st->lock);
    has = st->cap && slot_used(&st->slot[stripe_find(st, id)]);
    pthread_mutex_unlock(&st->lock);
    return has;
}

void bdr_idset_remove(struct bdr_idset *s, const struct bdr_id *id)
{
    struct idset_stripe *st = idset_stripe(s, id);
    size_t i, j, mask;

    pthread_mutex_lock(&st->lock);
    if (st->cap && slot_used(&st->slot[i = stripe_find(st, id)])) {
        /* Close the gap, so that a search never stops before an id that had moved past it. */
        mask = st->cap - 1;
        for (j = (i + 1) & mask; slot_used(&st->slot[j]); j = (j + 1) & mask) {
            size_t home = id_home(&st->slot[j], st->cap);

            if (((j - home) & mask) >= ((j - i) & mask)) {
                st->slot[i] = st->slot[j];
                i = j;
            }
        }
        memset(&st->slot[i], 0, sizeof(st->slot[i]));
        st->count--;
    }
    pthread_mutex_unlock(&st->lock);
}

size_t bdr_idset_count(struct bdr_idset *s)
{
    size_t n = 0;

    for (size_t i = 0; i < IDSET_STRIPES; i++) {
        pthread_mutex_lock(&s->stripe[i].lock);
        n += s->stripe[i].count;
        pthread_mutex_unlock(&s->stripe[i].lock);
    }
    return n;
}
