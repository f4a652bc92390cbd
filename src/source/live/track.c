/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track.c - which disks are tracked: start, stop, list, open.
 *
 * A disk is tracked while the table of disks has its map and the programs are attached; every step that changes that is
 * one system call, under the lock.
 */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "track_priv.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* ---- can this machine do it? ---- */

static struct bdr_err *track_permitted(void)
{
    BDR_AUTO(fd) int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bdr_probe", 4, 8, 1, NULL);

    if (fd < 0 && (errno == EPERM || errno == EACCES))
        BDR_FAIL(BDR_DENIED, errno, "tracking changed blocks needs root (CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN)");
    if (fd < 0 && errno == ENOSYS)
        BDR_FAIL(BDR_UNSUPPORTED, errno, "this kernel has no bpf()");
    if (fd < 0)
        BDR_FAIL_ERRNO("making a BPF map");
    return NULL;
}

static struct bdr_err *track_kernel(void)
{
    BDR_AUTO(mem) char *lockdown = NULL;
    unsigned major = 0, minor = 0;
    struct utsname u;
    size_t len = 0;

    if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "the kernel does not tell its version");
    if (major < 5 || (major == 5 && minor < 11))
        BDR_FAIL(BDR_UNSUPPORTED, 0, "Linux %u.%u is too old to track changed blocks; 5.11 or later is needed", major,
                 minor);
    if (access("/sys/kernel/btf/vmlinux", R_OK))
        BDR_FAIL(BDR_UNSUPPORTED, 0,
                 "the kernel has no type information (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF)");
    bdr_err_drop(bdr_os_read_file("/sys/kernel/security/lockdown", 256, &lockdown, &len), "no such file: no lockdown");
    if (lockdown && strstr(lockdown, "[confidentiality]"))
        BDR_FAIL(BDR_UNSUPPORTED, 0, "the kernel is locked down (confidentiality): tracing programs may not run");
    return NULL;
}

struct bdr_err *bdr_track_supported(void)
{
    struct bdr_err *err = track_kernel();

    if (!err)
        err = track_permitted();
    if (err && err->code == BDR_DENIED)
        return bdr_err_recode(err, BDR_UNSUPPORTED, BDR_AT, "not permitted");
    return err;
}

/* ---- start and stop ---- */

/* Calls fn for every disk in the table; it may remove that disk. */
static struct bdr_err *track_each(int disks_fd,
                                  struct bdr_err *(*fn)(void *ctx, int disks_fd, uint32_t key, uint32_t id), void *ctx)
{
    BDR_AUTO(mem) uint32_t *keys = NULL;
    uint32_t key, id;
    const uint32_t *at = NULL;
    size_t n = 0;

    keys = calloc(1024, sizeof(*keys)); /* what the table holds at most */
    BDR_NOMEM_IF_NULL(keys);
    while (n < 1024 && !bpf_map_get_next_key(disks_fd, at, &key)) {
        keys[n] = key;
        at = &keys[n++];
    }
    for (size_t i = 0; i < n; i++)
        if (!bpf_map_lookup_elem(disks_fd, &keys[i], &id))
            BDR_TRY(fn(ctx, disks_fd, keys[i], id));
    return NULL;
}

static struct bdr_err *track_forget(int disks_fd, uint32_t key, uint32_t id)
{
    BDR_AUTO(track_map) struct track_map *m = NULL;
    struct bdr_err *err = track_map_open(id, &m);

    if (!err)
        __atomic_fetch_or(&m->head->cbt.state, TRACK_ENDED, __ATOMIC_SEQ_CST); /* for other processes' handles */
    bdr_err_drop(err, "a damaged map is removed all the same");
    if (bpf_map_delete_elem(disks_fd, &key) && errno != ENOENT)
        BDR_FAIL_ERRNO("taking the disk %u:%u from the table of tracked disks", key >> 20, key & 0xfffff);
    return NULL;
}

static struct bdr_err *track_renew_one(void *ctx, int disks_fd, uint32_t key, uint32_t id)
{
    BDR_AUTO(track_map) struct track_map *m = NULL;
    struct bdr_err *err = track_map_open(id, &m);

    if (!err)
        return track_map_renew(m, ctx);
    bdr_err_drop(err, "a damaged map can't say that it is stale: no map does");
    return track_forget(disks_fd, key, id);
}

static struct bdr_err *track_renew_all(int disks_fd, const char *why)
{
    char text[160];

    snprintf(text, sizeof(text), "%s", why);
    return track_each(disks_fd, track_renew_one, text);
}

/* Under the lock: the disk's map is there, whole and large enough. */
static struct bdr_err *track_ensure(int disks_fd, const struct track_disk *d)
{
    BDR_AUTO(track_map) struct track_map *old = NULL;
    BDR_AUTO(track_map) struct track_map *m = NULL;
    uint32_t key = track_disk_key(d->major, d->minor), id = 0;
    struct bdr_err *err = track_pins_find(disks_fd, key, &id);
    char trouble[160] = "";

    if (!err) {
        err = track_map_open(id, &old);
        if (err)
            bdr_err_text(err, trouble, sizeof(trouble));
        else
            track_map_foreign(old, d, trouble);
        if (!trouble[0] && old->head->size_bytes == d->size_bytes) {
            __atomic_fetch_and(&old->head->cbt.state, ~(unsigned)TRACK_ENDED, __ATOMIC_SEQ_CST); /* a stop that died */
            return NULL;
        }
        if (!trouble[0])
            return track_map_grow(disks_fd, old, d, &m);
    }
    if (err && err->code != BDR_NOTFOUND && err->code != BDR_CORRUPT)
        return err;
    bdr_err_drop(err, "a new map is made");
    if (trouble[0])
        BDR_TRY(track_forget(disks_fd, key, id));
    BDR_TRY(track_map_new(d, &m));
    snprintf(m->head->trouble, sizeof(m->head->trouble), "%s", trouble);
    return track_pins_put(disks_fd, key, m->fd);
}

struct bdr_err *bdr_track_start(const char *disk)
{
    BDR_AUTO(fd) int lock = -1;
    BDR_AUTO(fd) int disks = -1;
    struct track_disk d;

    BDR_TRY(track_disk_find(disk, &d));
    BDR_TRY(track_disk_fit(&d));
    BDR_TRY(track_kernel());
    BDR_TRY(track_permitted());
    BDR_TRY(track_pins_lock(true, &lock));
    BDR_TRY(track_pins_ensure(&disks, track_renew_all));
    BDR_TRY_FOR(track_ensure(disks, &d), "tracking %s", disk);
    return NULL;
}

static struct bdr_err *track_forget_one(void *ctx, int disks_fd, uint32_t key, uint32_t id)
{
    (void)ctx;
    return track_forget(disks_fd, key, id);
}

struct bdr_err *bdr_track_stop(const char *disk)
{
    BDR_AUTO(fd) int lock = -1;
    BDR_AUTO(fd) int disks = -1;
    struct track_disk d;
    uint32_t key, id;
    struct bdr_err *err;

    if (disk)
        BDR_TRY(track_disk_find(disk, &d));
    err = track_pins_lock(false, &lock);
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "nothing is tracked");
        return NULL;
    }
    BDR_TRY(err);
    err = track_pins_disks(&disks);
    if (err && err->code != BDR_NOTFOUND && err->code != BDR_CORRUPT)
        return err;
    if (err) {
        bdr_err_drop(err, "whatever is there instead of a table is no tracking");
        return disk ? NULL : track_pins_remove();
    }
    if (disk) {
        key = track_disk_key(d.major, d.minor);
        if (!bpf_map_lookup_elem(disks, &key, &id))
            BDR_TRY(track_forget(disks, key, id));
        if (!bpf_map_get_next_key(disks, NULL, &key))
            return NULL; /* others are tracked */
    } else {
        BDR_TRY(track_each(disks, track_forget_one, NULL));
    }
    return track_pins_remove(); /* programs without a disk cost time for nothing */
}

/* ---- handles ---- */

static struct bdr_err *track_grow(struct track_map *old, const struct track_disk *d, bool locked)
{
    BDR_AUTO(fd) int lock = -1;
    BDR_AUTO(fd) int disks = -1;

    (void)old;
    if (!locked)
        BDR_TRY(track_pins_lock(false, &lock));
    BDR_TRY(track_pins_disks(&disks));
    return track_ensure(disks, d);
}

struct bdr_err *bdr_track_open(const char *disk, struct bdr_track **out)
{
    BDR_AUTO(track) struct bdr_track *t = calloc(1, sizeof(*t));
    BDR_AUTO(fd) int disks = -1;
    uint32_t id;
    char why[160];
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(t);
    BDR_TRY(track_disk_find(disk, &t->disk));
    BDR_TRY(track_pins_disks(&disks));
    BDR_TRY(track_pins_find(disks, track_disk_key(t->disk.major, t->disk.minor), &id));
    err = track_map_open(id, &t->map);
    if (err && err->code == BDR_CORRUPT)
        return bdr_err_recode(err, BDR_NOTFOUND, BDR_AT, "%s is not tracked", disk);
    BDR_TRY(err);
    t->instance = t->map->head->instance;
    track_map_foreign(t->map, &t->disk, why);
    if (why[0])
        BDR_FAIL(BDR_NOTFOUND, 0, "%s is not tracked: %s", disk, why);
    if (t->map->head->size_bytes != t->disk.size_bytes) {
        BDR_TRY(track_grow(t->map, &t->disk, false));
        err = track_fresh(t, false);
        if (err)
            return err;
    }
    *out = BDR_STEAL(t);
    return NULL;
}

void bdr_track_close(struct bdr_track *t)
{
    if (!t)
        return;
    track_map_free(t->map);
    free(t);
}

/* Follows the disk's map when it is another one now. */
static struct bdr_err *track_follow(struct bdr_track *t, uint32_t id)
{
    BDR_AUTO(track_map) struct track_map *m = NULL;
    struct bdr_err *err;

    if (id != t->map->id) {
        err = track_map_open(id, &m);
        if (err && err->code == BDR_CORRUPT)
            return bdr_err_recode(err, BDR_STALE, BDR_AT, "the tracking map of %s is damaged", t->disk.name);
        BDR_TRY(err);
        if (TRACK_LOAD(&m->head->instance) != t->instance)
            BDR_FAIL(BDR_STALE, 0, "tracking of %s was stopped and started anew", t->disk.name);
        m->before = t->map;
        TRACK_STORE(&t->map, m);
        m = NULL;
    }
    if (TRACK_LOAD(&t->map->head->instance) != t->instance)
        BDR_FAIL(BDR_STALE, 0, "%s", t->map->head->trouble[0] ? t->map->head->trouble : "tracking was started anew");
    if (t->map->head->check != track_head_check(t->map->head))
        BDR_FAIL(BDR_STALE, 0, "the header of the tracking map of %s is damaged", t->disk.name);
    return NULL;
}

struct bdr_err *track_fresh(struct bdr_track *t, bool locked)
{
    BDR_AUTO(fd) int disks = -1;
    uint32_t key = track_disk_key(t->disk.major, t->disk.minor), id;
    uint64_t programs = 0;
    struct track_disk d;
    char why[160] = "";
    struct bdr_err *err = track_pins_programs(&programs, why);

    if (!err && !programs)
        BDR_FAIL(BDR_STALE, 0, "%s", why);
    if (!err)
        err = track_pins_disks(&disks);
    if (!err)
        err = track_pins_find(disks, key, &id);
    if (err && (err->code == BDR_NOTFOUND || err->code == BDR_CORRUPT))
        return bdr_err_recode(err, BDR_STALE, BDR_AT, "tracking of %s was stopped", t->disk.name);
    BDR_TRY(err);
    BDR_TRY(track_follow(t, id));
    err = track_disk_at(t->disk.major, t->disk.minor, &d);
    if (err && err->code == BDR_NOTFOUND)
        return bdr_err_recode(err, BDR_STALE, BDR_AT, "%s was taken away", t->disk.name);
    BDR_TRY(err);
    track_map_foreign(t->map, &d, why);
    if (why[0])
        BDR_FAIL(BDR_STALE, 0, "%s", why);
    if (d.size_bytes == t->map->head->size_bytes)
        return NULL;
    BDR_TRY(track_grow(t->map, &d, locked));
    BDR_TRY(track_pins_find(disks, key, &id));
    return track_follow(t, id);
}

/* ---- list ---- */

struct track_rows {
    struct bdr_track_status *rows;
    size_t n, cap;
    const char *programs; /* what is wrong with them; "" nothing */
};

static struct bdr_err *track_row_map(uint32_t id, struct bdr_track_status *s)
{
    BDR_AUTO(track_map) struct track_map *m = NULL;
    const struct track_head *h;
    struct track_disk d;
    struct cbt_count sum;
    uint64_t since = 0;
    bool damaged = false;
    struct bdr_err *err;

    BDR_TRY(track_map_open(id, &m));
    h = m->head;
    track_counts_sum(m, &sum);
    s->size_bytes = h->size_bytes;
    s->map_bytes = m->bytes;
    s->started_ms = h->started_ms;
    s->seq = track_names_seq(h);
    s->writes = sum.writes;
    s->written_bytes = sum.write_sectors * 512;
    s->discarded_bytes = sum.discard_sectors * 512;
    s->passthrough = sum.passthrough;
    for (unsigned i = 0; i < CBT_KEPT; i++)
        since = BDR_MAX(since, h->kept[i]);
    s->changed_bytes = track_changed(m, since, &damaged);
    snprintf(s->trouble, sizeof(s->trouble), "%.*s", (int)sizeof(h->trouble), h->trouble);
    if (damaged)
        snprintf(s->trouble, sizeof(s->trouble), "the map holds marks of no generation: it is damaged");
    err = track_disk_at(s->major, s->minor, &d);
    if (err) {
        bdr_err_drop(err, "said in trouble");
        snprintf(s->trouble, sizeof(s->trouble), "the device is gone");
        return NULL;
    }
    track_disk_path(&d, s->disk);
    s->queue_only = d.queue_only;
    track_map_foreign(m, &d, s->trouble[0] ? (char[160]){0} : s->trouble);
    if (!s->trouble[0] && !d.counted)
        snprintf(s->trouble, sizeof(s->trouble), "queue/iostats is off: what was missed can't be counted");
    return NULL;
}

static struct bdr_err *track_row(void *ctx, int disks_fd, uint32_t key, uint32_t id)
{
    struct track_rows *r = ctx;
    struct bdr_track_status *s, *rows;
    struct bdr_err *err;

    (void)disks_fd;
    if (r->n == r->cap) {
        rows = reallocarray(r->rows, r->cap + 16, sizeof(*rows));
        BDR_NOMEM_IF_NULL(rows);
        r->rows = rows;
        r->cap += 16;
    }
    s = &r->rows[r->n];
    *s = (struct bdr_track_status){.major = key >> 20, .minor = key & 0xfffff};
    err = track_row_map(id, s);
    if (err && err->code == BDR_CORRUPT) {
        bdr_err_text(err, s->trouble, sizeof(s->trouble));
        bdr_err_drop(err, "said in trouble");
        err = NULL;
    }
    BDR_TRY(err);
    if (r->programs[0])
        snprintf(s->trouble, sizeof(s->trouble), "%s", r->programs);
    r->n++;
    return NULL;
}

static int track_row_order(const void *a, const void *b)
{
    const struct bdr_track_status *x = a, *y = b;
    int c = strcmp(x->disk, y->disk);

    return c ? c : (x->major > y->major) - (x->major < y->major);
}

struct bdr_err *bdr_track_list(struct bdr_track_status **out, size_t *out_n)
{
    BDR_AUTO(fd) int disks = -1;
    uint64_t programs = 0;
    char why[160] = "";
    struct track_rows r = {.programs = why};
    struct bdr_err *err = track_pins_disks(&disks);

    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "nothing is tracked: an empty list");
        disks = -1;
    } else {
        BDR_TRY(err);
        BDR_TRY(track_pins_programs(&programs, why));
        err = track_each(disks, track_row, &r);
        if (err) {
            free(r.rows);
            return err;
        }
    }
    if (r.n)
        qsort(r.rows, r.n, sizeof(*r.rows), track_row_order);
    *out = r.rows;
    *out_n = r.n;
    return NULL;
}
