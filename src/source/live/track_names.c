/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track_names.c - generations have 64-bit numbers, marks have room for 63 names: who is called what, and for how long.
 *
 * A name is freed by relabelling its marks to the next greater number that is still told apart. What was written then
 * counts as written later: whoever asks for changes gets more than there are, never less. Programs store the running
 * name all the while, so that a mark is only ever relabelled by compare-and-swap.
 */
#include "track_priv.h"
#include <string.h>

#define NAMES_RECENT 16 /* newest generations are left alone: passes under way ask about them */

_Static_assert(CBT_KEPT + NAMES_RECENT + 2 < CBT_NAMES, "merging always frees some names");

static uint32_t names_gen(const struct track_head *h)
{
    return TRACK_LOAD(&h->cbt.gen) & CBT_NAME;
}

uint64_t track_names_seq(const struct track_head *h)
{
    return TRACK_LOAD(&h->names[names_gen(h)]);
}

void track_names_repair(struct track_head *h)
{
    uint64_t now = track_names_seq(h);

    for (unsigned i = 1; i < CBT_NAMES; i++)
        if (TRACK_LOAD(&h->names[i]) > now)
            TRACK_STORE(&h->names[i], (uint64_t)0); /* given by a cut that was never committed: no mark has it */
}

uint32_t track_names_free(const struct track_head *h)
{
    for (uint32_t i = 1; i < CBT_NAMES; i++)
        if (!TRACK_LOAD(&h->names[i]))
            return i;
    return 0;
}

/* Names in use, by number; returns how many. */
static unsigned names_sorted(const struct track_head *h, uint8_t out[CBT_NAMES])
{
    unsigned n = 0;

    for (unsigned i = 1; i < CBT_NAMES; i++) {
        unsigned at = n;

        if (!h->names[i])
            continue;
        for (; at && h->names[out[at - 1]] > h->names[i]; at--)
            out[at] = out[at - 1];
        out[at] = (uint8_t)i;
        n++;
    }
    return n;
}

/* Is somebody's boundary between generation a and the next one, b? */
static bool names_needed(const struct track_head *h, uint64_t a, uint64_t b)
{
    for (unsigned i = 0; i < CBT_KEPT; i++)
        if (h->kept[i] >= a && h->kept[i] < b)
            return true;
    return false;
}

void track_names_merge(struct track_head *h, uint8_t *marks, uint64_t granules)
{
    uint8_t sorted[CBT_NAMES], to[256];
    unsigned n = names_sorted(h, sorted), merged = 0;

    for (unsigned i = 0; i < 256; i++)
        to[i] = (uint8_t)i;
    /* from new to old, so that a row of generations nobody tells apart gets the name of its newest */
    for (unsigned i = n > NAMES_RECENT ? n - NAMES_RECENT : 0; i-- > 0;) {
        uint8_t old = sorted[i], next = sorted[i + 1];

        if (names_needed(h, h->names[old], h->names[next]))
            continue;
        for (unsigned how = 0; how < 256; how += CBT_PENDING)
            to[old | how] = (uint8_t)((to[next] & CBT_NAME) | how);
        merged++;
    }
    if (!merged)
        return;
    for (uint64_t i = 0; i < granules; i++) {
        uint8_t was;

        if (i % 8 == 0 && granules - i >= 8 && !TRACK_LOAD((uint64_t *)(void *)(marks + i))) {
            i += 7; /* most of a map is empty */
            continue;
        }
        was = __atomic_load_n(&marks[i], __ATOMIC_RELAXED);
        while (to[was] != was)
            if (__atomic_compare_exchange_n(&marks[i], &was, to[was], false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
                break;
    }
    __atomic_fetch_add(&h->epoch, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 1; i < CBT_NAMES; i++)
        if (to[i] != i)
            TRACK_STORE(&h->names[i], (uint64_t)0);
}

/*
 * With all slots taken, the boundary is forgotten that costs its token least: the token then resumes at the boundary
 * before, so it reads what changed between the two again. Measured against what changed since, that is the distance to
 * the one before through the age: old points end up far apart and young ones close together.
 */
void track_names_keep(struct track_head *h, uint64_t seq)
{
    uint64_t all[CBT_KEPT + 1];
    unsigned n = 0, drop = 0;
    double least = 0;

    for (unsigned i = 0; i < CBT_KEPT; i++) {
        if (h->kept[i] == seq)
            return;
        if (h->kept[i])
            all[n++] = h->kept[i];
    }
    all[n++] = seq;
    for (unsigned i = n - 1; i > 0 && all[i - 1] > all[i]; i--) {
        uint64_t t = all[i];

        all[i] = all[i - 1];
        all[i - 1] = t;
    }
    if (n > CBT_KEPT) {
        for (unsigned i = 1; i + 1 < n; i++) { /* neither the oldest nor the newest */
            double gap = (double)(all[i] - all[i - 1]), age = (double)(all[n - 1] - all[i]) + 1;

            if (!drop || gap / age < least) {
                least = gap / age;
                drop = i;
            }
        }
        memmove(&all[drop], &all[drop + 1], (n - 1 - drop) * sizeof(all[0]));
        n--;
    }
    /* Dying here leaves a boundary twice or not at all: marks may be merged that were wanted apart, which is harmless.
     */
    memset(&all[n], 0, (CBT_KEPT - n) * sizeof(all[0]));
    memcpy(h->kept, all, sizeof(h->kept));
}

void track_names_lut(const struct track_head *h, uint64_t seq, uint8_t lut[256])
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t of = TRACK_LOAD(&h->names[i & CBT_NAME]);

        /* a name that means nothing is damage, or was freed just now: changed, to be sure */
        if (of && of <= seq)
            lut[i] = 0;
        else
            lut[i] = of && (i & CBT_ZERO) && !(i & CBT_PENDING) ? TRACK_ZERO : TRACK_DATA;
    }
    lut[0] = 0;
}
