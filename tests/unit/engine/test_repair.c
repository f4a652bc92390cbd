/* SPDX-License-Identifier: Apache-2.0 */
/* test_repair.c - what is damaged heals from disks and from another repository, and never gets worse. */
#include "bdr/copy.h"
#include "bdr/gc.h"
#include "bdr/session.h"
#include "bdr/store_fault.h"
#include "engine.h"
#include "harm.h"
#include "repo_i.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB   (1u << 20)
#define BLOCK 65536u

/* A repository with two points of one disk, images of both states, and a second repository with copies. */
struct scene {
    struct engine *e;
    char v1[160], v2[160], disk[160], second[160], pristine[160], key[160];
    char a[33], b[33];
};

/* Key files: deriving a key from a passphrase takes a tenth of a second each time, on purpose. */
static struct bdr_repo *open_at(const struct scene *s, const char *url)
{
    struct bdr_repo *repo = NULL;

    engine_ok(bdr_repo_open(url, &(struct bdr_repo_options){.key_file = s->key}, &repo));
    return repo;
}
static struct bdr_repo *open_first(const struct scene *s)
{
    return open_at(s, s->e->repo);
}
static struct bdr_repo *open_second(const struct scene *s)
{
    return open_at(s, s->second);
}

static void init_at(const struct scene *s, const char *url, bool encrypt, uint32_t block)
{
    struct bdr_repo_init_options opt = {.block_bytes = block, .compress = "zstd", .encrypt = encrypt,
                                        .pack_bytes = 4u << 20, .key_file = encrypt ? s->key : NULL};

    engine_ok(bdr_repo_init(url, &opt));
}

static void scene_paths(struct scene *s, struct engine *e)
{
    FILE *f;

    *s = (struct scene){.e = e};
    snprintf(s->v1, sizeof(s->v1), "%s/v1", e->dir);
    snprintf(s->v2, sizeof(s->v2), "%s/v2", e->dir);
    snprintf(s->disk, sizeof(s->disk), "%s/disk", e->dir);
    snprintf(s->second, sizeof(s->second), "%s/second", e->dir);
    snprintf(s->pristine, sizeof(s->pristine), "%s/pristine", e->dir);
    snprintf(s->key, sizeof(s->key), "%s/key", e->dir);
    f = fopen(s->key, "w");
    assert_non_null(f);
    fputs("0123456789abcdef0123456789abcdef\n", f);
    fclose(f);
}

static void scene_make(struct scene *s, struct engine *e, bool encrypt, uint64_t size)
{
    struct bdr_copy_result r;
    struct bdr_repo *repo, *other;

    scene_paths(s, e);
    engine_image(s->disk, size, 7);
    init_at(s, e->repo, encrypt, BLOCK);
    init_at(s, s->second, !encrypt, 2 * BLOCK);
    repo = open_first(s);
    memcpy(s->a, engine_backup(repo, s->disk, "web1", NULL).point_id, 33);
    engine_copy(s->disk, s->v1);
    engine_scribble(s->disk, size / 3, 500000, 99);
    engine_scribble(s->disk, size - 100000, 100000, 98);
    memcpy(s->b, engine_backup(repo, s->disk, "web1", NULL).point_id, 33);
    engine_copy(s->disk, s->v2);
    other = open_second(s);
    engine_ok(bdr_copy_point(repo, s->a, other, &(struct bdr_copy_options){0}, &r));
    engine_ok(bdr_copy_point(repo, s->b, other, &(struct bdr_copy_options){0}, &r));
    bdr_repo_close(repo);
    bdr_repo_close(other);
    engine_copy(e->repo, s->pristine);
}

enum from { FROM_NOBODY = 0, FROM_DISK = 1, FROM_SECOND = 2 };

static struct bdr_err *try_repair(const struct scene *s, struct bdr_repo *repo, int from, bool dry_run,
                                  struct bdr_heal_result *out)
{
    struct bdr_source *src[1] = {NULL};
    struct bdr_repo *other = NULL;
    struct bdr_repair_options opt = {.sources = src, .dry_run = dry_run};
    struct bdr_err *err;

    if (from & FROM_DISK) {
        engine_ok(bdr_source_open(&(struct bdr_source_spec){.location = s->disk}, &src[0]));
        opt.n_sources = 1;
    }
    if (from & FROM_SECOND)
        opt.other = other = open_second(s);
    err = bdr_repair(repo, &opt, out);
    bdr_source_close(src[0]);
    bdr_repo_close(other);
    return err;
}

static struct bdr_heal_result repair(const struct scene *s, int from, bool dry_run)
{
    struct bdr_heal_result r = {0};
    struct bdr_repo *repo = open_first(s);

    engine_ok(try_repair(s, repo, from, dry_run, &r));
    bdr_repo_close(repo);
    bdr_heal_free(&r);
    return r;
}

struct health {
    size_t damage, bad;
};

static struct health verify(const struct scene *s)
{
    struct bdr_repo *repo = open_first(s);
    struct bdr_verify_result r = {0};
    struct health h;

    engine_ok(bdr_verify(repo, &(struct bdr_verify_options){.depth = BDR_VERIFY_ALL}, &r));
    h = (struct health){r.n_damage, r.n_bad};
    bdr_verify_free(&r);
    bdr_repo_close(repo);
    return h;
}

static void is_whole(const struct scene *s)
{
    struct health h = verify(s);
    struct bdr_repo *repo;

    assert_int_equal(h.damage, 0);
    assert_int_equal(h.bad, 0);
    repo = open_first(s);
    engine_same(repo, s->a, s->v1);
    engine_same(repo, s->b, s->v2);
    bdr_repo_close(repo);
}

static void forget_index(const struct scene *s)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/index", s->e->repo);
    engine_remove(path);
}

/* ---- every kind of damage ---- */

static void every_damage(void **state, bool encrypt)
{
    struct scene s;

    scene_make(&s, *state, encrypt, 12 * MIB + 4096);
    for (int cls = HARM_DATA; cls <= HARM_NODE; cls++)
        for (int how = HARM_FLIP; how <= HARM_DELETE; how++)
            for (int no_index = 0; no_index < 2; no_index++) {
                struct bdr_heal_result dry, r;
                struct health h;

                engine_copy(s.pristine, s.e->repo);
                assert_true(harm_packs(s.e->repo, (enum harm_class)cls, (enum harm_how)how, 1) > 0);
                if (no_index)
                    forget_index(&s);
                h = verify(&s);
                assert_true(h.damage + h.bad > 0);
                dry = repair(&s, FROM_SECOND, true);
                assert_int_equal(dry.n_left, 0);
                assert_int_equal(verify(&s).bad, h.bad); /* nothing was changed */
                r = repair(&s, FROM_SECOND, false);
                assert_int_equal(r.n_left, 0);
                assert_int_equal(r.n_bad, 0);
                assert_int_equal(r.lost_blocks, r.healed_blocks);
                assert_int_equal(r.lost_blocks, dry.healed_blocks);
                assert_int_equal(r.packs_replaced, r.bad_packs);
                assert_int_equal(r.n_place > 0, h.damage > 0);
                /* With the index, a table that is damaged costs nothing. */
                if (how == HARM_TABLE && !no_index)
                    assert_int_equal(r.lost_blocks, 0);
                assert_int_equal(r.packs_set_aside > 0, how == HARM_TABLE || how == HARM_TEAR);
                assert_int_equal(harm_count(s.e->repo, "damaged"), r.packs_set_aside);
                is_whole(&s);
                forget_index(&s);
                is_whole(&s);
                r = repair(&s, FROM_NOBODY, false);
                assert_int_equal(r.bad_packs + r.lost_blocks + r.n_place, 0);
            }
}

static void test_repair__every_damage_plain__heals_from_an_encrypted_copy(void **state)
{
    every_damage(state, false);
}
static void test_repair__every_damage_encrypted__heals_from_a_plain_copy(void **state)
{
    every_damage(state, true);
}

/* ---- in part, and what a backup does then ---- */

static void in_part(void **state, bool encrypt, enum harm_class cls, enum harm_how how)
{
    struct bdr_heal_result r;
    struct scene s;
    struct bdr_repo *repo;

    scene_make(&s, *state, encrypt, 12 * MIB + 4096);
    assert_true(harm_packs(s.e->repo, cls, how, 1) > 0);
    /* The disk is as in the newer point; what only the older one had is not there. */
    r = repair(&s, FROM_DISK, false);
    assert_true(r.healed_blocks > 0);
    assert_true(r.n_left > 0);
    repo = open_first(&s);
    engine_same(repo, s.b, s.v2);
    bdr_repo_close(repo);
    r = repair(&s, FROM_SECOND | FROM_DISK, false);
    assert_true(r.healed_blocks > 0);
    assert_int_equal(r.n_left, 0);
    is_whole(&s);
}

static void test_repair__zeroed_data__in_part_from_the_disk(void **state)
{
    in_part(state, true, HARM_DATA, HARM_ZERO);
}
static void test_repair__lost_nodes__in_part_from_the_disk(void **state)
{
    in_part(state, false, HARM_NODE, HARM_DELETE);
}

static void test_repair__nobody_has_it__the_next_backup_stores_it_again_and_says_so(void **state)
{
    static const enum harm_how hows[] = {HARM_ZERO, HARM_DELETE, HARM_FLIP};

    for (size_t i = 0; i < BDR_COUNT(hows); i++) {
        struct bdr_backup_result b;
        struct bdr_heal_result r;
        struct bdr_repo *repo;
        struct health h;
        struct scene s;

        if (i) {
            assert_int_equal(engine_teardown(state), 0);
            assert_int_equal(engine_setup(state), 0);
        }
        scene_make(&s, *state, i & 1, 12 * MIB + 4096);
        assert_true(harm_packs(s.e->repo, HARM_DATA, hows[i], 1) > 0);
        r = repair(&s, FROM_NOBODY, false);
        assert_true(r.n_left > 0 && !r.healed_blocks);
        h = verify(&s);
        assert_true(h.damage > 0);
        assert_int_equal(h.bad, 0);
        assert_int_equal(harm_count(s.e->repo, "damaged"), r.packs_set_aside);
        assert_int_equal(r.packs_set_aside > 0, hows[i] != HARM_DELETE);
        repo = open_first(&s);
        b = engine_backup(repo, s.disk, "web1", NULL);
        assert_true(b.healed_bytes > 0);
        engine_same(repo, s.b, s.v2);
        bdr_repo_close(repo);
        r = repair(&s, FROM_SECOND, false);
        assert_int_equal(r.n_left, 0);
        is_whole(&s);
    }
}

static void test_repair__many_levels__lost_maps_are_made_again(void **state)
{
    struct engine *e = *state;
    struct bdr_heal_result r = {0};
    struct bdr_backup_result b;
    struct bdr_repo *repo;
    struct scene s;

    scene_paths(&s, e);
    engine_image(s.disk, 0, 7);
    assert_int_equal(truncate(s.disk, 1ll << 40), 0);
    engine_scribble(s.disk, 5 * MIB, 700000, 1);
    engine_scribble(s.disk, 700ull << 30, 70000, 1);
    engine_scribble(s.disk, (1ull << 40) - 5, 5, 1);
    init_at(&s, e->repo, true, BLOCK);
    repo = open_first(&s);
    b = engine_backup(repo, s.disk, "huge", NULL);
    bdr_repo_close(repo);
    assert_true(harm_packs(e->repo, HARM_NODE, HARM_DELETE, 1) > 0);
    r = repair(&s, FROM_DISK, false);
    assert_true(r.lost_blocks >= 10);
    assert_int_equal(r.n_left, 0);
    assert_int_equal(verify(&s).damage, 0);
    repo = open_first(&s);
    b = engine_backup(repo, s.disk, "huge", NULL);
    assert_int_equal(b.new_bytes + b.node_bytes, 0);
    bdr_repo_close(repo);
}

static void test_repair__copy_moved_disks_and_grown_ones__still_heal(void **state)
{
    struct bdr_heal_result r;
    struct scene s;

    scene_make(&s, *state, false, 12 * MIB + 4096);
    assert_true(harm_packs(s.e->repo, HARM_DATA, HARM_ZERO, 1) > 0);
    /* Under another name, so another identity, and larger by now. */
    assert_int_equal(rename(s.v1, s.disk), 0);
    engine_copy(s.disk, s.v1);
    assert_int_equal(truncate(s.disk, 64 * MIB), 0);
    r = repair(&s, FROM_DISK, false);
    assert_true(r.healed_blocks > 100 && r.n_left > 0);
    r = repair(&s, FROM_SECOND, false);
    assert_int_equal(r.n_left, 0);
    is_whole(&s);
}

/* ---- beside others ---- */

static void test_repair__read_only_or_pruning__is_refused(void **state)
{
    struct bdr_heal_result r = {0};
    struct bdr_repo *repo = NULL;
    struct scene s;
    char lock[160];

    scene_make(&s, *state, false, 4 * MIB);
    engine_ok(bdr_repo_open(s.e->repo, &(struct bdr_repo_options){.read_only = true}, &repo));
    engine_fails(try_repair(&s, repo, FROM_DISK, false, &r), BDR_READONLY);
    bdr_repo_close(repo);
    assert_true(harm_packs(s.e->repo, HARM_DATA, HARM_FLIP, 1) > 0);
    engine_ok(bdr_repo_open(s.e->repo, &(struct bdr_repo_options){.read_only = true}, &repo));
    engine_ok(try_repair(&s, repo, FROM_DISK, true, &r));
    bdr_heal_free(&r);
    bdr_repo_close(repo);
    assert_true(verify(&s).bad > 0);
    snprintf(lock, sizeof(lock), "%s/locks", s.e->repo);
    r = repair(&s, FROM_DISK | FROM_SECOND, false);
    assert_int_equal(harm_count(s.e->repo, "locks"), 0);
    assert_int_equal(harm_count(s.e->repo, "sessions"), 0);
    is_whole(&s);
}

/* A writer that began before the repair and found its blocks known publishes after it: its point must be whole. */
static void test_repair__under_an_open_session__what_it_found_stays(void **state)
{
    static const enum harm_how hows[] = {HARM_FLIP, HARM_TABLE, HARM_TEAR};

    for (size_t i = 0; i < BDR_COUNT(hows); i++) {
        struct bdr_session *session = NULL;
        struct bdr_heal_result r;
        struct bdr_repo *repo;
        struct bdr_prune_result p;
        json_t *point = NULL;
        struct scene s;
        char id[33];

        if (i) {
            assert_int_equal(engine_teardown(state), 0);
            assert_int_equal(engine_setup(state), 0);
        }
        scene_make(&s, *state, i & 1, 12 * MIB + 4096);
        repo = open_first(&s);
        engine_ok(bdr_session_begin(repo, &(struct bdr_session_options){.host = "other"}, &session));
        /* It refers to all that point b has, as a backup that finds every block known would. */
        engine_ok(bdr_point_load(repo, s.b, &point));
        assert_true(harm_packs(s.e->repo, HARM_DATA, hows[i], 2) > 0);
        r = repair(&s, FROM_SECOND, false);
        assert_int_equal(r.n_left, 0);
        engine_ok(bdr_point_remove(repo, s.a));
        engine_ok(bdr_point_remove(repo, s.b));
        engine_ok(bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = -1}, &p));
        json_object_del(point, "base");
        engine_ok(bdr_session_publish(session, point, id));
        json_decref(point);
        engine_ok(bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = -1}, &p));
        engine_same(repo, id, s.v2);
        bdr_repo_close(repo);
        assert_int_equal(verify(&s).damage, 0);
    }
}

/* ---- ended at any moment ---- */

static struct bdr_repo *open_faulty(const struct scene *s, const struct bdr_store_fault *plan)
{
    struct bdr_repo *repo = open_first(s);

    engine_ok(bdr_store_wrap_fault(&repo->store, plan));
    repo->env.store = repo->store;
    return repo;
}

/* Runs a repair whose store fails or ends the process at call `at`; false when it ended before. */
static bool interrupted(const struct scene *s, uint64_t at, enum bdr_fault_kind kind)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        uint64_t calls = 0;
        struct bdr_store_fault plan = {.fail_at = at, .kind = kind, .code = BDR_NOSPACE, .calls = &calls};
        struct bdr_repo *repo = open_faulty(s, &plan);
        struct bdr_heal_result r = {0};
        struct bdr_err *err = try_repair(s, repo, FROM_SECOND, false, &r);

        bdr_err_free(err);
        if (!err)
            bdr_heal_free(&r);
        _exit(calls >= at ? 1 : 0);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) < 2 || WEXITSTATUS(status) == BDR_FAULT_EXIT));
    return WEXITSTATUS(status) != 0;
}

static void ended(void **state, bool encrypt, enum harm_how how, enum bdr_fault_kind kind)
{
    struct scene s;
    uint64_t at = 1;
    struct health was;

    scene_make(&s, *state, encrypt, 3 * MIB + 4096);
    assert_true(harm_packs(s.e->repo, HARM_DATA, how, 1) > 0);
    engine_copy(s.e->repo, s.pristine);
    was = verify(&s);
    for (bool more = true; more; at += 1 + at / 4) {
        struct bdr_prune_result p;
        struct bdr_heal_result r;
        struct bdr_repo *repo;

        engine_copy(s.pristine, s.e->repo);
        more = interrupted(&s, at, kind);
        assert_true(verify(&s).damage <= was.damage);
        if (at % 2) { /* a prune between must not make it worse either; damage may keep it from running at all */
            repo = open_first(&s);
            bdr_err_drop(bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = 0}, &p), "damaged");
            bdr_repo_close(repo);
            assert_true(verify(&s).damage <= was.damage);
        }
        r = repair(&s, FROM_SECOND, false);
        assert_int_equal(r.n_left, 0);
        is_whole(&s);
    }
    assert_true(at > 10);
}

static void test_repair__killed_at_any_store_call__goes_on(void **state)
{
    ended(state, false, HARM_FLIP, BDR_FAULT_DIE_AFTER);
}
static void test_repair__killed_before_any_store_call__goes_on(void **state)
{
    ended(state, true, HARM_TEAR, BDR_FAULT_DIE_BEFORE);
}
static void test_repair__disk_full_at_any_store_call__goes_on(void **state)
{
    ended(state, false, HARM_TABLE, BDR_FAULT_ERROR_BEFORE);
}
static void test_repair__torn_at_any_store_call__goes_on(void **state)
{
    ended(state, true, HARM_FLIP, BDR_FAULT_TEAR);
}

/* ---- manifests ---- */

enum manifest_how { MANIFEST_FLIPPED, MANIFEST_TORN, MANIFEST_EMPTY, MANIFEST_VERSION, MANIFEST_HOWS };

static void manifest_path(const char *repo, const char *id, char out[400])
{
    struct engine_files f = engine_files(repo);

    out[0] = 0;
    for (size_t i = 0; i < f.n; i++)
        if (!strncmp(f.name[i], "points/", 7) && strstr(f.name[i], id))
            snprintf(out, 400, "%s/%s", repo, f.name[i]);
    engine_files_free(&f);
    assert_true(out[0]);
}

static void harm_manifest(const char *repo, const char *id, enum manifest_how how)
{
    char path[400];
    struct stat st;
    uint8_t c;
    int fd;

    manifest_path(repo, id, path);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0 && !fstat(fd, &st));
    if (how == MANIFEST_TORN || how == MANIFEST_EMPTY) {
        assert_int_equal(ftruncate(fd, how == MANIFEST_TORN ? st.st_size / 2 : 0), 0);
    } else {
        off_t at = how == MANIFEST_VERSION ? 10 : st.st_size / 2;

        assert_int_equal(pread(fd, &c, 1, at), 1);
        c ^= 0x40;
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
    }
    close(fd);
}

static void manifests_from_second(void **state, bool encrypt)
{
    struct scene s;

    scene_make(&s, *state, encrypt, 3 * MIB + 4096);
    for (int how = 0; how < MANIFEST_HOWS; how++) {
        struct bdr_repo *repo, *other;
        struct bdr_heal_result dry, r;
        struct bdr_copy_result copy;
        json_t *point = NULL;

        engine_copy(s.pristine, s.e->repo);
        harm_manifest(s.e->repo, s.a, (enum manifest_how)how);
        harm_manifest(s.e->repo, s.b, (enum manifest_how)how);
        forget_index(&s); /* the cache of manifests goes with it */
        assert_int_equal(verify(&s).bad, 2);
        dry = repair(&s, FROM_SECOND, true);
        assert_int_equal(dry.objects_healed, 2);
        assert_int_equal(dry.n_bad, 0);
        assert_int_equal(verify(&s).bad, 2);
        r = repair(&s, FROM_SECOND, false);
        assert_int_equal(r.objects_healed, 2);
        assert_int_equal(r.n_bad + r.n_left, 0);
        is_whole(&s); /* with the ids they had */
        repo = open_first(&s);
        other = open_second(&s);
        engine_ok(bdr_point_load(repo, s.a, &point));
        assert_null(json_object_get(point, "origin")); /* it is the original again */
        json_decref(point);
        engine_ok(bdr_copy_point(repo, s.a, other, &(struct bdr_copy_options){0}, &copy));
        assert_true(copy.there);
        bdr_repo_close(repo);
        bdr_repo_close(other);
        assert_int_equal(harm_count(s.e->repo, "points"), 2);
    }
}

static void test_repair__damaged_manifests_plain__come_back_from_the_copy(void **state)
{
    manifests_from_second(state, false);
}
static void test_repair__damaged_manifests_encrypted__come_back_from_the_copy(void **state)
{
    manifests_from_second(state, true);
}

/* The other way round: the copy's manifest is damaged and comes back as a copy of that origin. */
static void test_repair__damaged_manifest_of_a_copy__keeps_its_origin(void **state)
{
    struct bdr_point_info *points = NULL;
    struct bdr_heal_result r = {0};
    struct bdr_repo *repo, *other;
    struct scene s;
    char id[33], index[200];
    size_t n = 0;

    scene_make(&s, *state, true, 3 * MIB);
    other = open_second(&s);
    engine_ok(bdr_repo_points(other, &points, &n));
    memcpy(id, points[1].id, 33);
    free(points);
    bdr_repo_close(other);
    harm_manifest(s.second, id, MANIFEST_FLIPPED);
    snprintf(index, sizeof(index), "%s/index", s.second);
    engine_remove(index);
    repo = open_first(&s);
    other = open_second(&s);
    engine_ok(bdr_repair(other, &(struct bdr_repair_options){.other = repo}, &r));
    assert_int_equal(r.objects_healed, 1);
    assert_int_equal(r.n_bad, 0);
    bdr_heal_free(&r);
    engine_ok(bdr_repo_points(other, &points, &n));
    assert_int_equal(n, 2);
    assert_string_equal(points[1].id, id);
    assert_string_equal(points[1].origin, s.b);
    free(points);
    engine_same(other, id, s.v2);
    bdr_repo_close(repo);
    bdr_repo_close(other);
}

static void test_repair__damaged_manifest__comes_back_from_the_cache(void **state)
{
    struct bdr_heal_result r;
    struct scene s;

    scene_make(&s, *state, true, 3 * MIB);
    bdr_repo_close(open_first(&s));
    harm_manifest(s.e->repo, s.b, MANIFEST_TORN);
    assert_int_equal(verify(&s).bad, 1);
    r = repair(&s, FROM_NOBODY, false);
    assert_int_equal(r.objects_healed, 1);
    forget_index(&s);
    is_whole(&s);
}

/* Nobody has it: it is told, holds up prune, and can be given up. */
static void test_repair__damaged_manifest_nobody_has__can_be_removed(void **state)
{
    struct bdr_heal_result r;
    struct bdr_prune_result p;
    struct bdr_repo *repo;
    struct scene s;

    scene_make(&s, *state, true, 3 * MIB);
    harm_manifest(s.e->repo, s.b, MANIFEST_FLIPPED);
    forget_index(&s);
    r = repair(&s, FROM_DISK, false);
    assert_int_equal(r.objects_healed, 0);
    assert_int_equal(r.n_bad, 1);
    repo = open_first(&s);
    engine_fails(bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = -1}, &p), BDR_CORRUPT);
    engine_ok(bdr_point_remove(repo, s.b));
    engine_ok(bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = -1}, &p));
    engine_same(repo, s.a, s.v1);
    bdr_repo_close(repo);
    assert_int_equal(verify(&s).bad, 0);
}

/* A point that is gone without a trace looks like one that was removed: it is counted, not brought back. */
static void test_repair__missing_manifest__is_told_not_resurrected(void **state)
{
    struct bdr_heal_result r;
    struct scene s;
    char path[400];

    scene_make(&s, *state, false, 3 * MIB);
    manifest_path(s.e->repo, s.b, path);
    assert_int_equal(unlink(path), 0);
    r = repair(&s, FROM_SECOND, false);
    assert_int_equal(r.points_elsewhere, 1);
    assert_int_equal(r.objects_healed, 0);
    assert_int_equal(harm_count(s.e->repo, "points"), 1);
}

static void test_repair__manifest_ended_at_any_store_call__goes_on(void **state)
{
    struct scene s;

    scene_make(&s, *state, false, 3 * MIB);
    harm_manifest(s.e->repo, s.b, MANIFEST_FLIPPED);
    forget_index(&s);
    engine_copy(s.e->repo, s.pristine);
    for (uint64_t at = 1; at < 40; at++) {
        engine_copy(s.pristine, s.e->repo);
        if (!interrupted(&s, at, at & 1 ? BDR_FAULT_DIE_AFTER : BDR_FAULT_ERROR_BEFORE))
            break;
        repair(&s, FROM_SECOND, false);
        is_whole(&s);
        assert_int_equal(harm_count(s.e->repo, "points"), 2);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_repair__every_damage_plain__heals_from_an_encrypted_copy),
        T(test_repair__every_damage_encrypted__heals_from_a_plain_copy),
        T(test_repair__zeroed_data__in_part_from_the_disk),
        T(test_repair__lost_nodes__in_part_from_the_disk),
        T(test_repair__nobody_has_it__the_next_backup_stores_it_again_and_says_so),
        T(test_repair__many_levels__lost_maps_are_made_again),
        T(test_repair__copy_moved_disks_and_grown_ones__still_heal),
        T(test_repair__read_only_or_pruning__is_refused),
        T(test_repair__under_an_open_session__what_it_found_stays),
        T(test_repair__damaged_manifests_plain__come_back_from_the_copy),
        T(test_repair__damaged_manifests_encrypted__come_back_from_the_copy),
        T(test_repair__damaged_manifest_of_a_copy__keeps_its_origin),
        T(test_repair__damaged_manifest__comes_back_from_the_cache),
        T(test_repair__damaged_manifest_nobody_has__can_be_removed),
        T(test_repair__missing_manifest__is_told_not_resurrected),
        T(test_repair__manifest_ended_at_any_store_call__goes_on),
        T(test_repair__killed_at_any_store_call__goes_on),
        T(test_repair__killed_before_any_store_call__goes_on),
        T(test_repair__disk_full_at_any_store_call__goes_on),
        T(test_repair__torn_at_any_store_call__goes_on),
    };

    return cmocka_run_group_tests_name("repair", tests, NULL, NULL);
}
