/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stress.c - eight writers, a prune and a verify on one repository, all at once, each with a handle of its own.
 *
 * Disks are computed (mem:), so every point can be compared byte by byte at any time. BDR_STRESS_SECONDS (20).
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/pool.h"
#include "engine.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define WRITERS 8
#define DISK_KIB 3000u /* not a multiple of the block */
#define KEPT 3

struct stress {
    struct engine *e;
    const char *packs;
    uint64_t end_ms;
    atomic_uint backups, busy, prunes, verifies, reads, freed;
    struct bdr_cancel stop;
};

static void disk_name(char out[64], unsigned writer, unsigned gen)
{
    /* Two writers at a time have the same disk: their blocks are shared. */
    snprintf(out, 64, "mem:%uK,seed=%u,gen=%u", DISK_KIB, writer / 2, gen);
}

static struct bdr_err *compare(struct bdr_repo *repo, const char *point, const char *location)
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    BDR_AUTO(disk) struct bdr_disk *disk = NULL;
    BDR_AUTO(mem) uint8_t *want = malloc(1 << 20);
    BDR_AUTO(mem) uint8_t *got = malloc(1 << 20);

    BDR_NOMEM_IF_NULL(want && got ? want : NULL);
    BDR_TRY(bdr_source_open(&(struct bdr_source_spec){.location = location}, &src));
    BDR_TRY(bdr_disk_open(repo, point, 0, NULL, &disk));
    for (uint64_t off = 0, n; off < bdr_disk_size(disk); off += n) {
        n = BDR_MIN(bdr_disk_size(disk) - off, (uint64_t)1 << 20);
        BDR_TRY(bdr_source_read(src, off, want, (size_t)n));
        BDR_TRY(bdr_disk_read(disk, off, got, (size_t)n));
        if (memcmp(want, got, (size_t)n) != 0)
            BDR_FAIL(BDR_INTERNAL, 0, "point %.8s differs from %s near %llu", point, location, (unsigned long long)off);
    }
    return NULL;
}

static struct bdr_err *backup(struct bdr_repo *repo, const char *host, const char *location, char id[33])
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    struct bdr_backup_disk disk = {0};
    struct bdr_backup_result r;

    BDR_TRY(bdr_source_open(&(struct bdr_source_spec){.location = location}, &src));
    disk.src = src;
    BDR_TRY(bdr_backup_run(repo, &disk, 1, &(struct bdr_backup_options){.host = host, .host_id = "x", .workers = 2}, &r));
    memcpy(id, r.point_id, 33);
    return NULL;
}

static struct bdr_err *writer_go(struct stress *s, struct bdr_repo *repo, unsigned me)
{
    char kept[KEPT][33] = {{0}}, location[KEPT][64], host[16];

    snprintf(host, sizeof(host), "host%u", me);
    for (unsigned gen = 0; bdr_clock_mono_ms() < s->end_ms && !bdr_cancelled(&s->stop); gen++) {
        unsigned at = gen % KEPT, look = (gen / 2) % KEPT;

        if (kept[at][0])
            BDR_TRY(bdr_point_remove(repo, kept[at]));
        disk_name(location[at], me, gen % 900);
        BDR_TRY_FOR(backup(repo, host, location[at], kept[at]), "%s, generation %u", host, gen);
        atomic_fetch_add(&s->backups, 1);
        if (kept[look][0]) {
            BDR_TRY_FOR(compare(repo, kept[look], location[look]), "reading a point of %s back", host);
            atomic_fetch_add(&s->reads, 1);
        }
    }
    for (unsigned i = 0; i < KEPT; i++)
        if (kept[i][0])
            BDR_TRY_FOR(compare(repo, kept[i], location[i]), "at the end, %s", host);
    return NULL;
}

static struct bdr_err *prune_go(struct stress *s, struct bdr_repo *repo)
{
    while (bdr_clock_mono_ms() < s->end_ms && !bdr_cancelled(&s->stop)) {
        struct bdr_prune_result r;

        /* Old enough to be condemned at once: the danger we are after. */
        engine_age(s->packs, 1200);
        BDR_TRY_FOR(bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = 10}, &r), "prune");
        atomic_fetch_add(&s->prunes, 1);
        atomic_fetch_add(&s->freed, (unsigned)(r.bytes_freed >> 10));
    }
    return NULL;
}

static struct bdr_err *verify_go(struct stress *s, struct bdr_repo *repo)
{
    while (bdr_clock_mono_ms() < s->end_ms && !bdr_cancelled(&s->stop)) {
        struct bdr_verify_result r;
        struct bdr_err *err = NULL;

        BDR_TRY_FOR(bdr_verify(repo, &(struct bdr_verify_options){.depth = BDR_VERIFY_ALL, .workers = 2}, &r), "verify");
        if (r.n_bad)
            err = bdr_err_new(BDR_INTERNAL, 0, BDR_AT, "verify saw damage that is none: %s", r.bad_objects[0]);
        else if (r.n_damage)
            err = bdr_err_new(BDR_INTERNAL, 0, BDR_AT, "verify saw damage that is none: %s %s", r.damage[0].host,
                              r.damage[0].what);
        bdr_verify_free(&r);
        BDR_TRY(err);
        atomic_fetch_add(&s->verifies, 1);
    }
    return NULL;
}

static struct bdr_err *stress_thread(void *ctx, unsigned index)
{
    struct stress *s = ctx;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;

    BDR_TRY(bdr_repo_open(s->e->repo, &(struct bdr_repo_options){.passphrase_file = s->e->pass}, &repo));
    if (index == 0)
        return prune_go(s, repo);
    if (index == 1)
        return verify_go(s, repo);
    return writer_go(s, repo, index - 2);
}

static void test_stress__writers_prune_verify__all_points_whole(void **state)
{
    struct engine *e = *state;
    const char *env = getenv("BDR_STRESS_SECONDS");
    struct stress s = {.e = e};
    struct bdr_pool *pool = NULL;
    struct bdr_repo *repo;
    struct bdr_point_info *points = NULL;
    struct bdr_err *err;
    size_t n;

    engine_init(e, true, "lz4", 65536);
    s.packs = engine_path(e, "repo/packs");
    s.end_ms = bdr_clock_mono_ms() + 1000 * (env ? strtoul(env, NULL, 10) : 20);
    engine_ok(bdr_pool_start("stress", WRITERS + 2, stress_thread, &s, &s.stop, &pool));
    err = bdr_pool_join(pool);
    print_message("%u backups, %u read back, %u prunes freed %u KiB, %u verifies\n", atomic_load(&s.backups),
                  atomic_load(&s.reads), atomic_load(&s.prunes), atomic_load(&s.freed), atomic_load(&s.verifies));
    engine_ok(err);
    repo = engine_open(e);
    engine_verify_clean(repo);
    engine_prune(repo);
    engine_prune(repo);
    engine_verify_clean(repo);
    engine_ok(bdr_repo_points(repo, &points, &n));
    for (size_t i = 0; i < n; i++)
        engine_ok(bdr_point_remove(repo, points[i].id));
    free(points);
    engine_prune(repo);
    assert_int_equal(engine_bytes_of(engine_path(e, "repo/packs")), 0);
    bdr_repo_close(repo);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stress__writers_prune_verify__all_points_whole, engine_setup, engine_teardown),
    };

    return cmocka_run_group_tests_name("stress", tests, NULL, NULL);
}
