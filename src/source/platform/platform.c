/* SPDX-License-Identifier: Apache-2.0 */
/* platform.c - the entry points of a platform: every call of every driver passes here, checked and kept to its limits.
 */
#include "bdr/platform.h"
#include "bdr/clock.h"
#include "bdr/sync.h"
#include <string.h>

#define PLATFORM_DISKS_MAX 1024u
#define PLATFORM_REF_MAX   512u

extern const struct bdr_platform_driver bdr_platform_mem;
const struct bdr_platform_driver *const bdr_platform_drivers[] = {&bdr_platform_mem, NULL};

struct bdr_platform_core {
    const struct bdr_cancel *cancel;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t turn;
    uint32_t snapshots;
    uint64_t next_ms; /* the next request may begin then */
};

struct bdr_err *bdr_platform_open(const struct bdr_platform_spec *given, struct bdr_platform **out)
{
    const struct bdr_platform_driver *drv = NULL;
    struct bdr_platform_spec spec = *given;
    struct bdr_platform_core *core;
    struct bdr_platform *p = NULL;
    struct bdr_err *err;

    for (size_t i = 0; bdr_platform_drivers[i]; i++)
        if (spec.kind && !strcmp(bdr_platform_drivers[i]->name, spec.kind))
            drv = bdr_platform_drivers[i];
    if (!drv)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "this Sync Proxy can't speak to platforms of kind '%s'",
                 spec.kind ? spec.kind : "");
    if (!spec.timeout_ms)
        spec.timeout_ms = 600000;
    BDR_TRY(bdr_cancel_check(spec.cancel));
    core = calloc(1, sizeof(*core));
    BDR_NOMEM_IF_NULL(core);
    err = drv->open(&spec, &p);
    if (err) {
        free(core);
        return err;
    }
    core->cancel = spec.cancel;
    pthread_mutex_init(&core->lock, NULL);
    pthread_cond_init(&core->turn, NULL);
    p->drv = drv;
    p->core = core;
    *out = p;
    return NULL;
}

void bdr_platform_close(struct bdr_platform *p)
{
    struct bdr_platform_core *core;

    if (!p)
        return;
    core = p->core;
    BDR_ASSERT(!core->snapshots);
    p->drv->close(p);
    pthread_cond_destroy(&core->turn);
    pthread_mutex_destroy(&core->lock);
    free(core);
}

/* Waits until one more request keeps to the rate. */
static struct bdr_err *platform_pace(struct bdr_platform *p)
{
    uint32_t rate = p->drv->limits.requests_s;
    uint64_t now = bdr_clock_mono_ms(), at;

    if (!rate)
        return bdr_cancel_check(p->core->cancel);
    pthread_mutex_lock(&p->core->lock);
    at = BDR_MAX(p->core->next_ms, now);
    p->core->next_ms = at + BDR_MAX(1000u / rate, 1u);
    pthread_mutex_unlock(&p->core->lock);
    return bdr_cancel_sleep(p->core->cancel, at - now);
}

struct bdr_err *bdr_platform_list(struct bdr_platform *p, const char *cursor, struct bdr_arena *arena,
                                  struct bdr_platform_host **out, size_t *out_n, const char **out_next)
{
    BDR_TRY(platform_pace(p));
    *out_next = NULL;
    return p->drv->list(p, cursor, arena, out, out_n, out_next);
}

static struct bdr_err *platform_turn(struct bdr_platform *p)
{
    struct bdr_platform_core *core = p->core;
    struct bdr_err *err = NULL;

    pthread_mutex_lock(&core->lock);
    while (!err && p->drv->limits.snapshots && core->snapshots >= p->drv->limits.snapshots) {
        bdr_cond_wait_slice(&core->turn, &core->lock);
        err = bdr_cancel_check(core->cancel);
    }
    core->snapshots += !err;
    pthread_mutex_unlock(&core->lock);
    return err;
}

static void platform_over(struct bdr_platform *p)
{
    pthread_mutex_lock(&p->core->lock);
    p->core->snapshots--;
    pthread_cond_signal(&p->core->turn);
    pthread_mutex_unlock(&p->core->lock);
}

struct bdr_err *bdr_platform_snapshot_begin(struct bdr_platform *p, const char *host, const char *const *disks,
                                            size_t n, struct bdr_platform_snapshot **out)
{
    struct bdr_platform_snapshot *s = NULL;
    struct bdr_err *err;

    if (!host || !*host || strlen(host) > PLATFORM_REF_MAX || !n || n > PLATFORM_DISKS_MAX)
        BDR_FAIL(BDR_INVAL, 0, "a snapshot is of one host and 1 to %u of its disks", PLATFORM_DISKS_MAX);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (!strcmp(disks[i], disks[k]))
                BDR_FAIL(BDR_INVAL, 0, "disk %s is named twice", disks[i]);
    BDR_TRY(platform_turn(p));
    err = platform_pace(p);
    if (!err)
        err = p->drv->snapshot_begin(p, host, disks, n, &s);
    if (err) {
        platform_over(p);
        return err;
    }
    s->platform = p;
    s->n = n;
    *out = s;
    return NULL;
}

struct bdr_err *bdr_platform_source(struct bdr_platform_snapshot *s, size_t disk, struct bdr_source **out)
{
    if (disk >= s->n)
        BDR_FAIL(BDR_RANGE, 0, "the snapshot has %zu disks", s->n);
    return s->platform->drv->source(s, disk, out);
}

void bdr_platform_snapshot_end(struct bdr_platform_snapshot *s)
{
    struct bdr_platform *p;

    if (!s)
        return;
    p = s->platform;
    p->drv->snapshot_end(s);
    platform_over(p);
}
