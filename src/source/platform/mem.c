/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c - a platform that is computed: the reference driver and the template for others.
 *
 * Endpoint: "mem:hosts=N,disks=N,size=BYTES,seed=N,gen=N[,fault=WORD][,slow_us=N]". Host "h<i>" has disks "h<i>-d<k>";
 * a disk's content is that of the source mem: with a seed of its own and the platform's write generation `gen`, so two
 * openings with another generation are two moments of one disk. The password is "mem". Faults: net (each third request
 * fails), list, snapshot, read (every 50th read fails once), denied, stale (tokens are never good). Every seventh host
 * can't be protected, and the last disk of each fifth; both say why. slow_us: so long each read takes, for tests that
 * need a job to last.
 */
#include "bdr/bytes.h"
#include "bdr/platform.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define PMEM_HOSTS_MAX 100000u
#define PMEM_DISKS_MAX 64u

struct pmem {
    struct bdr_platform base;
    uint64_t hosts, disks, size, seed, gen, slow_us;
    char fault[16];
    const struct bdr_cancel *cancel;
    atomic_uint requests;
};
struct pmem_snapshot {
    struct bdr_platform_snapshot base;
    struct pmem *p;
    uint64_t host;
    uint64_t disk[PMEM_DISKS_MAX];
};
struct pmem_disk {
    struct bdr_source base;
    struct pmem *p;
    struct bdr_source *inner; /* owned */
    char location[128];
    bool based; /* since() was told a good token */
    atomic_uint reads;
};

/* ---- the platform ---- */

static bool pmem_fault(const struct pmem *p, const char *what)
{
    return !strcmp(p->fault, what);
}

static struct bdr_err *pmem_request(struct pmem *p, const char *what)
{
    unsigned n = atomic_fetch_add(&p->requests, 1);

    BDR_TRY(bdr_cancel_check(p->cancel));
    if (pmem_fault(p, "net") && n % 3 == 1)
        BDR_FAIL(BDR_NET, 0, "the platform broke the connection");
    if (pmem_fault(p, what))
        BDR_FAIL(BDR_NET, 0, "the platform does not answer to %s", what);
    return NULL;
}

static struct bdr_err *pmem_option(struct pmem *p, const char *key, const char *value)
{
    const struct {
        const char *name;
        uint64_t max, *to;
    } rows[] = {{"hosts", PMEM_HOSTS_MAX, &p->hosts},
                {"disks", PMEM_DISKS_MAX, &p->disks},
                {"seed", UINT32_MAX, &p->seed},
                {"gen", 1000, &p->gen},
                {"slow_us", 10000000, &p->slow_us}};

    if (!strcmp(key, "size"))
        return bdr_size_parse(value, &p->size);
    if (!strcmp(key, "fault")) {
        snprintf(p->fault, sizeof(p->fault), "%s", value);
        return NULL;
    }
    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        if (!strcmp(key, rows[i].name))
            return bdr_u64_parse(value, rows[i].max, rows[i].to);
    BDR_FAIL(BDR_INVAL, 0, "'%s' is no option of a mem: platform", key);
}

static struct bdr_err *pmem_setup(struct pmem *p, const struct bdr_platform_spec *spec)
{
    BDR_AUTO(mem) char *text = NULL;
    char *rest, *part;

    if (!spec->endpoint || strncmp(spec->endpoint, "mem:", 4))
        BDR_FAIL(BDR_INVAL, 0, "the address of a mem platform begins with mem:");
    if (!spec->password || strcmp(spec->password, "mem"))
        BDR_FAIL(BDR_AUTH, 0, "the platform does not take this user and password");
    *p = (struct pmem){.hosts = 1, .disks = 1, .size = 1 << 20, .cancel = spec->cancel};
    text = strdup(spec->endpoint + 4);
    BDR_NOMEM_IF_NULL(text);
    rest = text;
    while ((part = strsep(&rest, ",")) != NULL) {
        char *value = strchr(part, '=');

        if (!*part)
            continue;
        if (!value)
            BDR_FAIL(BDR_INVAL, 0, "'%s' has no value", part);
        *value++ = 0;
        BDR_TRY_FOR(pmem_option(p, part, value), "the platform's address");
    }
    if (pmem_fault(p, "denied"))
        BDR_FAIL(BDR_DENIED, 0, "the user lacks the right 'make snapshots' on this platform");
    return NULL;
}

static struct bdr_err *pmem_open(const struct bdr_platform_spec *spec, struct bdr_platform **out)
{
    struct pmem *p = calloc(1, sizeof(*p));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(p);
    err = pmem_setup(p, spec);
    if (err) {
        free(p);
        return err;
    }
    *out = &p->base;
    return NULL;
}

static void pmem_close(struct bdr_platform *base)
{
    free(base);
}

static const char *pmem_host_reason(uint64_t h)
{
    return h % 7 == 6 ? "it is a template; templates are not started and do not change" : NULL;
}

static const char *pmem_disk_reason(const struct pmem *p, uint64_t h, uint64_t d)
{
    return h % 5 == 4 && d + 1 == p->disks && p->disks > 1 ? "it is an independent disk: snapshots leave it out" : NULL;
}

static struct bdr_err *pmem_host(struct pmem *p, uint64_t h, struct bdr_arena *a, struct bdr_platform_host *out)
{
    struct bdr_platform_disk *d = bdr_arena_alloc(a, (p->disks + 1) * sizeof(*d));

    *out = (struct bdr_platform_host){.ref = bdr_arena_printf(a, "h%llu", (unsigned long long)h),
                                      .name = bdr_arena_printf(a, "mem-host-%llu", (unsigned long long)h),
                                      .addr = bdr_arena_printf(a, "192.0.2.%llu", (unsigned long long)(h % 254 + 1)),
                                      .os = "computed",
                                      .power = h % 2 ? "off" : "on",
                                      .reason = pmem_host_reason(h),
                                      .disks = d,
                                      .n_disks = p->disks};
    if (!d || !out->ref || !out->name || !out->addr)
        BDR_FAIL(BDR_NOMEM, 0, "listing hosts");
    for (uint64_t i = 0; i < p->disks; i++) {
        d[i] = (struct bdr_platform_disk){
            .ref = bdr_arena_printf(a, "h%llu-d%llu", (unsigned long long)h, (unsigned long long)i),
            .name = bdr_arena_printf(a, "disk%llu", (unsigned long long)i),
            .bus = "mem",
            .size_bytes = p->size,
            .sector_bytes = 512,
            .reason = pmem_disk_reason(p, h, i)};
        if (!d[i].ref || !d[i].name)
            BDR_FAIL(BDR_NOMEM, 0, "listing disks");
    }
    return NULL;
}

extern const struct bdr_platform_driver bdr_platform_mem;

static struct bdr_err *pmem_list(struct bdr_platform *base, const char *cursor, struct bdr_arena *arena,
                                 struct bdr_platform_host **out, size_t *out_n, const char **out_next)
{
    struct pmem *p = (struct pmem *)base;
    uint64_t from = 0, n;

    BDR_TRY(pmem_request(p, "list"));
    if (cursor)
        BDR_TRY(bdr_u64_parse(cursor, PMEM_HOSTS_MAX, &from));
    n = BDR_MIN(p->hosts - BDR_MIN(from, p->hosts), (uint64_t)bdr_platform_mem.limits.hosts_page);
    *out = bdr_arena_alloc(arena, (n + 1) * sizeof(**out));
    BDR_NOMEM_IF_NULL(*out);
    for (uint64_t i = 0; i < n; i++)
        BDR_TRY(pmem_host(p, from + i, arena, &(*out)[i]));
    *out_n = n;
    if (from + n < p->hosts) {
        *out_next = bdr_arena_printf(arena, "%llu", (unsigned long long)(from + n));
        BDR_NOMEM_IF_NULL(*out_next);
    }
    return NULL;
}

/* ---- a disk of a snapshot ---- */

static struct bdr_err *pdisk_open(struct pmem_disk *d, const char *token)
{
    struct bdr_source *inner = NULL;

    BDR_TRY(bdr_source_open(
        &(struct bdr_source_spec){.location = d->location, .base_token = token, .cancel = d->p->cancel}, &inner));
    bdr_source_close(d->inner);
    d->inner = inner;
    return NULL;
}

static struct bdr_err *pdisk_info(struct bdr_source *src, struct bdr_source_info *out)
{
    struct pmem_disk *d = (struct pmem_disk *)src;

    BDR_TRY(bdr_source_info(d->inner, out));
    out->has_changes = true;
    out->driver[0] = 0; /* tokens are this driver's */
    return NULL;
}

static struct bdr_err *pdisk_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                     bdr_extent_fn fn, void *ctx)
{
    struct pmem_disk *d = (struct pmem_disk *)src;

    if (of == BDR_EXTENTS_CHANGED && !d->based)
        BDR_FAIL(BDR_STALE, 0, "no earlier point of this disk is known");
    return bdr_source_extents(d->inner, of, off, len, fn, ctx);
}

static struct bdr_err *pdisk_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct pmem_disk *d = (struct pmem_disk *)src;
    unsigned n = atomic_fetch_add(&d->reads, 1);

    if (d->p->slow_us)
        BDR_TRY(bdr_cancel_sleep(d->p->cancel, BDR_MAX(d->p->slow_us / 1000, (uint64_t)1)));
    if (pmem_fault(d->p, "read") && n % 50 == 7)
        BDR_FAIL(BDR_NET, 0, "the platform broke a read off");
    return bdr_source_read(d->inner, off, buf, len);
}

static struct bdr_err *pdisk_token(struct bdr_source *src, char **out)
{
    return bdr_source_token(((struct pmem_disk *)src)->inner, out);
}

static struct bdr_err *pdisk_since(struct bdr_source *src, const char *token)
{
    struct pmem_disk *d = (struct pmem_disk *)src;
    struct bdr_err *err;

    if (!*token)
        BDR_FAIL(BDR_STALE, 0, "the last point of this disk was made without a record of changes");
    if (pmem_fault(d->p, "stale"))
        BDR_FAIL(BDR_STALE, 0, "the platform has reset its record of changes");
    err = pdisk_open(d, token);
    d->based = !err;
    return err;
}

static void pdisk_close(struct bdr_source *src)
{
    struct pmem_disk *d = (struct pmem_disk *)src;

    bdr_source_close(d->inner);
    free(d);
}

static const struct bdr_source_driver pdisk_driver = {
    .name = "platform-mem",
    .title = "Disk of a computed platform",
    .max_inflight = 8,
    .info = pdisk_info,
    .extents = pdisk_extents,
    .read = pdisk_read,
    .token = pdisk_token,
    .since = pdisk_since,
    .close = pdisk_close,
};

/* ---- snapshots ---- */

static struct bdr_err *psnap_find(struct pmem *p, const char *host, const char *ref, uint64_t *out_host,
                                  uint64_t *out_disk)
{
    unsigned long long h, d;
    int end = 0;

    if (sscanf(host, "h%llu%n", &h, &end) != 1 || host[end] || h >= p->hosts)
        BDR_FAIL(BDR_NOTFOUND, 0, "the platform has no host %s any more", host);
    if (pmem_host_reason(h))
        BDR_FAIL(BDR_UNSUPPORTED, 0, "host %s can't be protected: %s", host, pmem_host_reason(h));
    *out_host = h;
    if (sscanf(ref, "h%llu-d%llu%n", &h, &d, &end) != 2 || ref[end] || h != *out_host || d >= p->disks)
        BDR_FAIL(BDR_NOTFOUND, 0, "host %s has no disk %s any more", host, ref);
    if (pmem_disk_reason(p, h, d))
        BDR_FAIL(BDR_UNSUPPORTED, 0, "disk %s can't be protected: %s", ref, pmem_disk_reason(p, h, d));
    *out_disk = d;
    return NULL;
}

static struct bdr_err *pmem_snapshot_begin(struct bdr_platform *base, const char *host, const char *const *disks,
                                           size_t n, struct bdr_platform_snapshot **out)
{
    struct pmem *p = (struct pmem *)base;
    BDR_AUTO(mem) struct pmem_snapshot *s = NULL;

    BDR_TRY(pmem_request(p, "snapshot"));
    if (n > PMEM_DISKS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "at most %u disks", PMEM_DISKS_MAX);
    s = calloc(1, sizeof(*s));
    BDR_NOMEM_IF_NULL(s);
    s->p = p;
    for (size_t i = 0; i < n; i++)
        BDR_TRY(psnap_find(p, host, disks[i], &s->host, &s->disk[i]));
    *out = &BDR_STEAL(s)->base;
    return NULL;
}

static struct bdr_err *pmem_source(struct bdr_platform_snapshot *base, size_t disk, struct bdr_source **out)
{
    struct pmem_snapshot *s = (struct pmem_snapshot *)base;
    struct pmem *p = s->p;
    BDR_AUTO(source) struct bdr_source *src = NULL;
    struct pmem_disk *d = calloc(1, sizeof(*d));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(d);
    d->p = p;
    snprintf(d->location, sizeof(d->location), "mem:%llu,seed=%llu,gen=%llu", (unsigned long long)p->size,
             (unsigned long long)(p->seed * 1000003 + s->host * PMEM_DISKS_MAX + s->disk[disk]),
             (unsigned long long)p->gen);
    err = pdisk_open(d, NULL);
    if (err) {
        free(d);
        return err;
    }
    src = &d->base;
    src->drv = &pdisk_driver;
    BDR_TRY(bdr_source_ready(src, &pdisk_driver));
    *out = BDR_STEAL(src);
    return NULL;
}

static void pmem_snapshot_end(struct bdr_platform_snapshot *s)
{
    free(s);
}

const struct bdr_platform_driver bdr_platform_mem = {
    .name = "mem",
    .title = "Computed platform (tests)",
    .limits = {.snapshots = 64, .hosts_page = 100},
    .open = pmem_open,
    .list = pmem_list,
    .snapshot_begin = pmem_snapshot_begin,
    .source = pmem_source,
    .snapshot_end = pmem_snapshot_end,
    .close = pmem_close,
};
