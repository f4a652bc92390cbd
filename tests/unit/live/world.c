/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"
#include "bdr/osfile.h"
#include "bdr/script.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

struct world world;

struct bdr_track {
    int dummy;
};
struct bdr_freezer {
    int dummy;
};
struct bdr_throttle {
    int dummy;
};

static void world_stat(void)
{
    char path[128], text[256];
    int fd, n;

    snprintf(path, sizeof(path), "%s/dev/block/1:2/stat", world.dir);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    n = snprintf(text, sizeof(text), "0 0 0 0 7 0 %llu 0 0 0 0 0 0 0 0 0 0\n", (unsigned long long)world.kernel);
    assert_int_equal(write(fd, text, (size_t)n), n);
    close(fd);
}

void world_begin(void)
{
    char path[160];
    int fd;

    world = (struct world){.seq = 1, .fs_n = 1};
    snprintf(world.dir, sizeof(world.dir), "/tmp/bdr-world-XXXXXX");
    assert_non_null(mkdtemp(world.dir));
    snprintf(path, sizeof(path), "%s/dev/block/1:2", world.dir);
    OK(bdr_os_mkdirs(path));
    snprintf(path, sizeof(path), "%s/dev/block/1:2/inflight", world.dir);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "       0        0\n", 18), 18);
    close(fd);
    world_stat();
    snprintf(path, sizeof(path), "%s/disk", world.dir);
    world.fd = open(path, O_CREAT | O_RDWR, 0600);
    assert_int_equal(ftruncate(world.fd, (off_t)(GRANULES * GRANULE)), 0);
}

void world_end(void)
{
    close(world.fd);
    OK(bdr_os_remove_tree(world.dir));
}

static void world_bytes(unsigned granule, bool zero)
{
    static uint8_t buf[65536];
    static uint8_t with;

    memset(buf, zero ? 0 : ++with ? with : ++with, sizeof(buf));
    OK(bdr_os_pwrite(world.fd, "disk", buf, sizeof(buf), granule * GRANULE));
}

void world_write_unseen(unsigned granule)
{
    world_bytes(granule, false);
    world.kernel += GRANULE / 512;
    world_stat();
}

void world_write(unsigned granule)
{
    world_write_unseen(granule);
    world.seen += GRANULE / 512;
    world.mark[granule] = world.seq;
    world.zero[granule] = false;
}

void world_discard(unsigned granule)
{
    world_write(granule);
    world_bytes(granule, true);
    world.zero[granule] = true;
}

static void world_when(const char *when)
{
    if (world.writer)
        world.writer(when);
}

/* ---- track.h ---- */

#define STALE_IF_BROKEN()                                                                                              \
    do {                                                                                                               \
        if (world.broken)                                                                                              \
            BDR_FAIL(BDR_STALE, 0, "%s", world.broken);                                                                \
    } while (0)

struct bdr_err *bdr_track_start(const char *disk)
{
    (void)disk;
    world.starts++;
    world.broken = NULL;
    return NULL;
}
struct bdr_err *bdr_track_open(const char *disk, struct bdr_track **out)
{
    (void)disk;
    *out = calloc(1, sizeof(**out));
    return NULL;
}
void bdr_track_close(struct bdr_track *t)
{
    free(t);
}
struct bdr_err *bdr_track_cut(struct bdr_track *t, uint64_t *out)
{
    (void)t;
    STALE_IF_BROKEN();
    *out = world.seq++;
    world_when("cut");
    return NULL;
}
struct bdr_err *bdr_track_settle(struct bdr_track *t, uint32_t ms, const struct bdr_cancel *cancel)
{
    (void)t;
    (void)ms;
    return bdr_cancel_check(cancel);
}
struct bdr_err *bdr_track_changes(struct bdr_track *t, uint64_t seq, uint64_t off, uint64_t len, bdr_extent_fn fn,
                                  void *ctx)
{
    (void)t;
    STALE_IF_BROKEN();
    for (unsigned g = 0; g < GRANULES; g++) {
        uint64_t lo = BDR_MAX(off, g * GRANULE), hi = BDR_MIN(off + len, (g + 1) * GRANULE);

        if (world.mark[g] > seq && lo < hi)
            BDR_TRY(fn(ctx, &(struct bdr_extent){lo, hi - lo, world.zero[g] ? BDR_EXTENT_ZERO : BDR_EXTENT_DATA}));
    }
    world_when("listed");
    return NULL;
}
bool bdr_track_touched(struct bdr_track *t, uint64_t seq, uint64_t off, uint64_t len)
{
    (void)t;
    for (uint64_t g = off / GRANULE; g <= (off + len - 1) / GRANULE; g++)
        if (world.mark[g] > seq)
            return true;
    return false;
}
struct bdr_err *bdr_track_counts(struct bdr_track *t, struct bdr_track_counts *out)
{
    (void)t;
    STALE_IF_BROKEN();
    *out = (struct bdr_track_counts){
        .seen_sectors = world.seen, .disk_sectors = world.kernel, .passthrough = world.passthrough};
    return NULL;
}
struct bdr_err *bdr_track_missed(const struct bdr_track_counts *base, const struct bdr_track_counts *now, int64_t *out)
{
    *out = (int64_t)(now->disk_sectors - base->disk_sectors) - (int64_t)(now->seen_sectors - base->seen_sectors);
    return NULL;
}
struct bdr_err *bdr_track_token(struct bdr_track *t, uint64_t seq, const struct bdr_track_counts *counts, bool exact,
                                char **out)
{
    (void)t;
    (void)counts;
    world.token_seq = seq;
    world.token_exact = exact;
    *out = strdup("token");
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}
struct bdr_err *bdr_track_resume(struct bdr_track *t, const char *token, struct bdr_track_base *out)
{
    (void)t;
    if (strcmp(token, "token"))
        BDR_FAIL(BDR_STALE, 0, "the machine was started anew");
    *out = (struct bdr_track_base){
        .seq = world.token_seq, .exact = true, .counts = {.seen_sectors = world.seen, .disk_sectors = world.kernel}};
    return NULL;
}
struct bdr_err *bdr_track_keep(struct bdr_track *t, uint64_t seq)
{
    (void)t;
    world.kept_seq = seq;
    return NULL;
}

/* ---- volumes.h ---- */

struct bdr_err *bdr_volumes_scan(const char *const *disks, size_t n, struct bdr_volumes **out)
{
    struct bdr_volumes *v = calloc(1, sizeof(*v));
    static uint64_t on[4] = {1};

    (void)disks;
    (void)n;
    assert_non_null(v);
    v->fs = calloc(world.fs_n + 1, sizeof(*v->fs));
    for (v->fs_n = 0; v->fs_n < world.fs_n; v->fs_n++)
        v->fs[v->fs_n] = (struct bdr_volume_fs){
            .mount = (char *)(uintptr_t) "/mnt", .type = (char *)(uintptr_t) "ext4", .disks = on};
    v->swap = calloc(1, sizeof(*v->swap));
    v->swap[0] =
        (struct bdr_volume_range){.off = world.swap_off, .len = world.swap_len, .what = (char *)(uintptr_t) "/swap"};
    v->swap_n = world.swap_len != 0;
    v->raw = calloc(1, sizeof(*v->raw));
    v->raw[0] = (struct bdr_volume_range){.len = GRANULES * GRANULE, .what = (char *)(uintptr_t) "/dev/fake"};
    v->raw_n = world.raw;
    *out = v;
    return NULL;
}
void bdr_volumes_free(struct bdr_volumes *v)
{
    if (!v)
        return;
    free(v->fs);
    free(v->swap);
    free(v->raw);
    free(v);
}
struct bdr_err *bdr_volumes_disks(char ***out, size_t *out_n)
{
    *out = NULL;
    *out_n = 0;
    return NULL;
}
struct bdr_err *bdr_volumes_whole_disk(const char *device, char **out)
{
    *out = strdup(device);
    return NULL;
}
void bdr_volumes_disks_free(char **disks, size_t n)
{
    (void)disks;
    (void)n;
}

/* ---- freeze.h ---- */

struct bdr_err *bdr_freezer_start(const char *const *mounts, size_t n, struct bdr_freezer **out)
{
    (void)mounts;
    assert_int_equal(n, world.fs_n);
    world.held = (unsigned)n;
    *out = calloc(1, sizeof(**out));
    world.started = true;
    return NULL;
}
void bdr_freezer_end(struct bdr_freezer *f)
{
    if (f)
        world.frozen = world.started = false;
    free(f);
}
struct bdr_err *bdr_freezer_sync(struct bdr_freezer *f, const struct bdr_cancel *cancel)
{
    (void)f;
    world.syncs++;
    world_when("sync");
    return bdr_cancel_check(cancel);
}
struct bdr_err *bdr_freezer_freeze(struct bdr_freezer *f, uint32_t budget_ms, enum bdr_freeze_state *out_states)
{
    (void)f;
    (void)budget_ms;
    world.freezes++;
    if (world.busy)
        BDR_FAIL(BDR_BUSY, 0, "somebody else froze /mnt");
    if (world.freezes <= world.timeouts)
        BDR_FAIL(BDR_TIMEOUT, 0, "freezing /mnt took the whole budget");
    assert_int_equal(world.held, world.fs_n); /* nothing is forgotten */
    for (size_t i = 0; i < world.fs_n; i++)
        out_states[i] = world.unfreezable ? BDR_FREEZE_UNSUPPORTED : BDR_FREEZE_YES;
    world.frozen = true;
    world_when("frozen");
    return NULL;
}
uint32_t bdr_freezer_left_ms(const struct bdr_freezer *f)
{
    (void)f;
    return 100;
}
struct bdr_err *bdr_freezer_thaw(struct bdr_freezer *f, bool *out_held, uint32_t *out_window_ms)
{
    (void)f;
    assert_true(world.frozen);
    world.frozen = false;
    *out_held = world.freezes > world.lost;
    *out_window_ms = 33;
    world_when("thawed");
    return NULL;
}

/* ---- throttle.h, script.h ---- */

struct bdr_err *bdr_throttle_start(const char *const *disks, size_t n, uint64_t bytes_per_s, struct bdr_throttle **out)
{
    (void)disks;
    assert_true(n && bytes_per_s);
    world.throttles++;
    if (!world.throttle_works)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "there are no control groups");
    *out = calloc(1, sizeof(**out));
    return NULL;
}
struct bdr_err *bdr_throttle_set(struct bdr_throttle *t, uint64_t bytes_per_s)
{
    (void)t;
    (void)bytes_per_s;
    world.throttles++;
    return NULL;
}
void bdr_throttle_end(struct bdr_throttle *t)
{
    free(t);
}
size_t bdr_throttle_count(const struct bdr_throttle *t)
{
    (void)t;
    return 1;
}
struct bdr_err *bdr_script_check(const char *path)
{
    (void)path;
    return NULL;
}
struct bdr_err *bdr_script_run(const char *path, enum bdr_script_phase phase, bool ok, uint32_t timeout_ms,
                               const struct bdr_cancel *cancel)
{
    (void)path;
    (void)ok;
    (void)timeout_ms;
    assert_false(world.frozen); /* it might need the file system */
    world.scripts++;
    if (phase == BDR_SCRIPT_PRE)
        BDR_TRY(bdr_cancel_check(cancel));
    if (world.script_fails)
        BDR_FAIL(BDR_INVAL, 0, "the program said 1");
    return NULL;
}

/* ---- the disk ---- */

struct bdr_source *world_disk(struct bdr_moment *moment, bool untracked)
{
    extern const struct bdr_source_driver bdr_source_live;
    struct live_moment *m = (struct live_moment *)moment;
    struct live_disk *d = calloc(1, sizeof(*d));
    char path[128];

    assert_non_null(d);
    m->sys_root = world.dir;
    snprintf(path, sizeof(path), "%s/disk", world.dir);
    OK(bdr_source_open(&(struct bdr_source_spec){.location = path}, &d->dev));
    d->path = strdup("/dev/fake");
    d->major = 1;
    d->minor = 2;
    d->fd = dup(world.fd);
    d->size_bytes = GRANULES * GRANULE;
    d->m = m;
    d->index = (uint32_t)m->n;
    if (untracked)
        snprintf(d->untracked, sizeof(d->untracked), "the kernel is too old");
    else
        OK(bdr_track_open("", &d->track));
    m->disk[m->n++] = d;
    OK(bdr_source_ready(&d->base, &bdr_source_live));
    return &d->base;
}
