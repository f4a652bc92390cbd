/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_full.c - prune on a disk without one free byte: it frees space, loses nothing, and may be ended at any moment.
 *
 * The disk is a small tmpfs in a mount namespace of our own; where that can't be had the test skips itself (77).
 */
#include "bdr/session.h"
#include "bdr/store_fault.h"
#include "engine.h"
#include "repo_i.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB   (1u << 20)
#define BLOCK 65536u
#define DISK  "/tmp/bdr-test-full"

struct scene {
    char keep[96], gone[96];       /* images */
    char kept[33], removed[2][33]; /* points */
    char repo[96], filler[96], template[160];
};

static uint64_t room(void)
{
    struct statvfs vfs;

    assert_int_equal(statvfs(DISK, &vfs), 0);
    return (uint64_t)vfs.f_bavail * vfs.f_frsize;
}

/* Not one byte more. */
static void fill(const struct scene *s)
{
    static uint8_t junk[65536];
    int fd = open(s->filler, O_CREAT | O_WRONLY | O_APPEND, 0600);

    assert_true(fd >= 0);
    for (size_t n = sizeof(junk); n; n /= 2)
        while (write(fd, junk, n) > 0)
            ;
    close(fd);
    assert_int_equal(room(), 0);
}

static struct bdr_repo *open_full(const struct scene *s)
{
    struct bdr_repo *repo = NULL;

    engine_ok(bdr_repo_open(s->repo, &(struct bdr_repo_options){.to_free = true, .cache_dir = NULL}, &repo));
    return repo;
}

/* A repository on the disk with three points: of the first nearly all blocks are changed in the third; the second is of
 * another host. All of it is also kept as a template elsewhere. */
static void scene_make(struct scene *s, struct engine *e, uint32_t every)
{
    struct bdr_repo_init_options opt = {.block_bytes = BLOCK, .pack_bytes = 4 * MIB, .compress = "none"};
    struct bdr_repo *repo;

    *s = (struct scene){0};
    snprintf(s->keep, sizeof(s->keep), "%s/keep", e->dir);
    snprintf(s->gone, sizeof(s->gone), "%s/gone", e->dir);
    snprintf(s->template, sizeof(s->template), "%s/template", e->dir);
    snprintf(s->repo, sizeof(s->repo), DISK "/repo");
    snprintf(s->filler, sizeof(s->filler), DISK "/filler");
    engine_run((const char *const[]){"rm", "-rf", s->repo, s->filler, NULL});
    engine_image(s->keep, 9 * MIB, 1);
    engine_image(s->gone, 5 * MIB, 900000);
    engine_ok(bdr_repo_init(s->repo, &opt));
    repo = open_full(s);
    memcpy(s->removed[0], engine_backup(repo, s->keep, "web", NULL).point_id, 33);
    for (uint64_t at = 0; at < 9 * MIB; at += every)
        engine_scribble(s->keep, at, every / 2, (uint32_t)(5000 + at / BLOCK));
    memcpy(s->removed[1], engine_backup(repo, s->gone, "db", NULL).point_id, 33);
    memcpy(s->kept, engine_backup(repo, s->keep, "web", NULL).point_id, 33);
    bdr_repo_close(repo);
    engine_age(s->repo, 3600);
    engine_copy(s->repo, s->template);
}

static void scene_again(const struct scene *s)
{
    engine_remove(s->filler);
    engine_copy(s->template, s->repo);
    fill(s);
}

static void is_whole(const struct scene *s)
{
    struct bdr_repo *repo = open_full(s);

    engine_verify_clean(repo);
    engine_same(repo, s->kept, s->keep);
    bdr_repo_close(repo);
}

static bool has(const struct scene *s, const char *name)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", s->repo, name);
    return !access(path, F_OK);
}

static void test_prune__not_a_byte_free__frees_and_restores_the_reserve(void **state)
{
    struct bdr_prune_result r;
    struct bdr_repo *repo;
    struct scene s;

    scene_make(&s, *state, 2 * MIB);
    assert_true(has(&s, "reserve"));
    fill(&s);
    is_whole(&s);
    fill(&s);
    repo = open_full(&s);
    engine_ok(bdr_point_remove(repo, s.removed[0]));
    engine_ok(bdr_point_remove(repo, s.removed[1]));
    fill(&s);
    r = engine_prune(repo);
    assert_true(r.bytes_freed > 4 * MIB);
    assert_true(r.packs_rewritten > 0);
    assert_int_equal(r.packs_no_room, 0);
    assert_true(has(&s, "reserve"));
    assert_true(room() > 3 * MIB);
    engine_verify_clean(repo);
    engine_same(repo, s.kept, s.keep);
    engine_backup(repo, s.keep, "web", NULL);
    bdr_repo_close(repo);
}

/* Nothing is wholly dead and there is no room to copy what lives: told, not failed, and nothing is worse. */
static void test_prune__no_room_to_rewrite__says_so(void **state)
{
    struct bdr_prune_result r;
    struct bdr_repo *repo;
    struct scene s;

    scene_make(&s, *state, 128 << 10);
    fill(&s);
    repo = open_full(&s);
    engine_ok(bdr_point_remove(repo, s.removed[0]));
    fill(&s);
    r = engine_prune(repo);
    assert_true(r.packs_no_room > 0);
    assert_true(r.bytes_freed < 3 * MIB);
    assert_true(has(&s, "reserve"));
    engine_verify_clean(repo);
    /* A pack's room is enough to go on, pack by pack. */
    assert_int_equal(truncate(s.filler, 0), 0);
    engine_scribble(s.filler, 0, room() > 5 * MIB ? room() - 5 * MIB : 0, 1);
    r = engine_prune(repo);
    assert_int_equal(r.packs_no_room, 0);
    assert_true(r.packs_rewritten > 0); /* how the blocks lie in packs is up to the threads */
    engine_verify_clean(repo);
    engine_same(repo, s.kept, s.keep);
    bdr_repo_close(repo);
}

/* A backup was killed in the middle: its blocks are in packs that no index names, and tmp/ holds a torn one. */
static void test_prune__after_a_backup_filled_the_disk__frees_all_of_it(void **state)
{
    struct bdr_backup_result ignored;
    struct bdr_repo *repo;
    struct scene s;
    char more[160], path[192];
    struct stat st;
    uint64_t before;

    scene_make(&s, *state, 2 * MIB);
    snprintf(more, sizeof(more), "%s-more", s.gone);
    engine_image(more, 40 * MIB, 4711);
    before = room();
    repo = open_full(&s);
    engine_fails(engine_try_backup(repo, more, "other", NULL, &ignored), BDR_NOSPACE);
    bdr_repo_close(repo);
    snprintf(path, sizeof(path), "%s/index/data.mdb", s.repo);
    assert_int_equal(unlink(path), 0);
    fill(&s);
    engine_age(s.repo, 3600);
    repo = open_full(&s);
    engine_prune(repo);
    engine_same(repo, s.kept, s.keep);
    engine_verify_clean(repo);
    bdr_repo_close(repo);
    assert_int_equal(stat(s.filler, &st), 0);
    assert_true((uint64_t)st.st_blocks * 512 + room() + (256 << 10) >= before);
}

struct ending {
    const struct scene *s;
    uint64_t at;
    enum bdr_fault_kind kind;
};

/* 0: pruned, 3: pruned before the fault came. */
static int ending_run(void *ctx)
{
    const struct ending *x = ctx;
    uint64_t calls = 0;
    struct bdr_store_fault plan = {.fail_at = x->at, .kind = x->kind, .code = BDR_NOSPACE, .calls = &calls};
    struct bdr_prune_result r;
    struct bdr_repo *repo = open_full(x->s);
    struct bdr_err *err = bdr_store_wrap_fault(&repo->store, &plan);

    repo->env.store = repo->store;
    if (!err)
        err = bdr_point_remove(repo, x->s->removed[0]);
    if (!err)
        err = bdr_point_remove(repo, x->s->removed[1]);
    if (!err)
        err = bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = -1}, &r);
    bdr_err_free(err);
    bdr_repo_close(repo);
    return err ? 1 : calls < x->at ? 3 : 0;
}

static void ended(void **state, enum bdr_fault_kind kind)
{
    struct scene s;
    int rc = 0;

    scene_make(&s, *state, 2 * MIB);
    for (uint64_t at = 1; rc != 3; at++) {
        struct ending x = {&s, at, kind};
        struct bdr_prune_result r;
        struct bdr_repo *repo;

        assert_true(at < 120);
        scene_again(&s);
        rc = engine_child(ending_run, &x);
        assert_true(rc == 0 || rc == 1 || rc == 3 || rc == BDR_FAULT_EXIT);
        is_whole(&s);
        repo = open_full(&s);
        for (int i = 0; i < 2; i++) {
            struct bdr_err *err = bdr_point_remove(repo, s.removed[i]);

            if (err)
                engine_fails(err, BDR_NOTFOUND);
        }
        r = engine_prune(repo);
        assert_int_equal(r.packs_no_room, 0);
        assert_true(room() > 3 * MIB);
        engine_same(repo, s.kept, s.keep);
        engine_verify_clean(repo);
        bdr_repo_close(repo);
        assert_true(has(&s, "reserve"));
    }
}

static void test_prune__killed_at_any_store_call_of_a_full_disk__goes_on(void **state)
{
    ended(state, BDR_FAULT_DIE_AFTER);
}
static void test_prune__torn_at_any_store_call_of_a_full_disk__goes_on(void **state)
{
    ended(state, BDR_FAULT_TEAR);
}

static bool small_disk(void)
{
    char map[64];
    uid_t uid = getuid();
    int fd;

    if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS))
        return false;
    if (uid) { /* root of our own world only */
        snprintf(map, sizeof(map), "0 %u 1", uid);
        fd = open("/proc/self/uid_map", O_WRONLY);
        if (fd < 0 || write(fd, map, strlen(map)) < 0)
            return false;
        close(fd);
    }
    if (mkdir(DISK, 0700) && errno != EEXIST)
        return false;
    return !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) && !mount("bdr-test", DISK, "tmpfs", 0, "size=24m");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_prune__not_a_byte_free__frees_and_restores_the_reserve),
        T(test_prune__no_room_to_rewrite__says_so),
        T(test_prune__after_a_backup_filled_the_disk__frees_all_of_it),
        T(test_prune__killed_at_any_store_call_of_a_full_disk__goes_on),
        T(test_prune__torn_at_any_store_call_of_a_full_disk__goes_on),
    };

    engine_workers = 1;
    if (!small_disk()) {
        printf("no file system of our own can be mounted here\n");
        return 77;
    }
    return cmocka_run_group_tests_name("full", tests, NULL, NULL);
}
