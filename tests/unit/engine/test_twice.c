/* SPDX-License-Identifier: Apache-2.0 */
/* test_twice.c - config and keys are kept twice: one damaged or missing copy costs nothing, and a removed key is gone.
 */
#include "bdr/copy.h"
#include "bdr/session.h"
#include "bdr/store_fault.h"
#include "engine.h"
#include "lock.h"
#include "presence.h"
#include "repo_i.h"
#include "twice.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scene {
    struct engine *e;
    char key[2][96], id[2][33]; /* two key files; the second one's key is added */
    char disk[96];
};

static struct bdr_err *try_open(const struct scene *s, unsigned key, bool read_only, struct bdr_repo **out)
{
    return bdr_repo_open(s->e->repo, &(struct bdr_repo_options){.key_file = s->key[key], .read_only = read_only}, out);
}

static struct bdr_repo *open_with(const struct scene *s, unsigned key)
{
    struct bdr_repo *repo = NULL;

    engine_ok(try_open(s, key, false, &repo));
    return repo;
}

static void refused_with(const struct scene *s, unsigned key, enum bdr_code code)
{
    struct bdr_repo *repo = NULL;

    engine_fails(try_open(s, key, true, &repo), code);
}

static void scene_make(struct scene *s, struct engine *e, unsigned keys)
{
    struct bdr_key_row *rows = NULL;
    struct bdr_repo *repo;
    size_t n = 0;

    *s = (struct scene){.e = e};
    for (unsigned i = 0; i < 2; i++) {
        FILE *f;

        snprintf(s->key[i], sizeof(s->key[i]), "%s/key%u", e->dir, i);
        f = fopen(s->key[i], "w");
        assert_non_null(f);
        fprintf(f, "0123456789abcdef0123456789abcde%u\n", i);
        fclose(f);
    }
    snprintf(s->disk, sizeof(s->disk), "%s/disk", e->dir);
    engine_image(s->disk, 300000, 3);
    engine_ok(bdr_repo_init(
        e->repo, &(struct bdr_repo_init_options){.block_bytes = 65536, .encrypt = true, .key_file = s->key[0]}));
    repo = open_with(s, 0);
    engine_ok(bdr_repo_keys(repo, &rows, &n));
    assert_int_equal(n, 1);
    memcpy(s->id[0], rows[0].id, 33);
    free(rows);
    if (keys > 1)
        engine_ok(bdr_repo_key_add(repo, NULL, s->key[1], "two", s->id[1]));
    bdr_repo_close(repo);
}

static const char *path_of(const struct scene *s, const char *prefix, const char *name)
{
    static char paths[4][256];
    static unsigned at;
    char *p = paths[at++ % 4];

    snprintf(p, sizeof(paths[0]), "%s/%s%s", s->e->repo, prefix, name);
    return p;
}

static void flip_file(const char *path)
{
    struct stat st;
    uint8_t c;
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0 && !fstat(fd, &st));
    assert_int_equal(pread(fd, &c, 1, st.st_size / 2), 1);
    c ^= 4;
    assert_int_equal(pwrite(fd, &c, 1, st.st_size / 2), 1);
    close(fd);
}

static bool is_there(const char *path)
{
    return !access(path, F_OK);
}

static bool same_files(const char *a, const char *b)
{
    return engine_run((const char *const[]){"cmp", "-s", a, b, NULL}) == 0;
}

static size_t verify_bad(const struct scene *s, unsigned key)
{
    struct bdr_verify_result r;
    struct bdr_repo *repo = NULL;
    size_t n;

    engine_ok(try_open(s, key, true, &repo));
    engine_ok(bdr_verify(repo, &(struct bdr_verify_options){.depth = BDR_VERIFY_MAPS}, &r));
    n = r.n_bad;
    bdr_verify_free(&r);
    bdr_repo_close(repo);
    return n;
}

static void write_once(const struct scene *s, unsigned key)
{
    struct bdr_repo *repo = open_with(s, key);

    engine_backup(repo, s->disk, "web", NULL);
    bdr_repo_close(repo);
}

static void repair_once(const struct scene *s, unsigned key, bool dry_run, uint64_t healed, size_t left)
{
    struct bdr_heal_result r = {0};
    struct bdr_repo *repo = open_with(s, key);

    engine_ok(bdr_repair(repo, &(struct bdr_repair_options){.dry_run = dry_run}, &r));
    assert_int_equal(r.objects_healed, healed);
    assert_int_equal(r.n_bad, left);
    bdr_heal_free(&r);
    bdr_repo_close(repo);
}

/* ---- one copy is damaged ---- */

enum harm_how { HARM_FLIPPED, HARM_TORN, HARM_GONE };

static void harm(const char *path, enum harm_how how)
{
    if (how == HARM_FLIPPED)
        flip_file(path);
    else if (how == HARM_TORN)
        assert_int_equal(truncate(path, 60), 0);
    else
        assert_int_equal(unlink(path), 0);
}

static void one_copy(struct engine *e, bool by_repair)
{
    static const char *const side[] = {"", "copies/"};

    for (int how = HARM_FLIPPED; how <= HARM_GONE; how++)
        for (int which = 0; which < 2; which++)
            for (int second = 0; second < 2; second++) {
                struct scene s;
                char name[64];
                bool told = !(second && how == HARM_GONE);

                engine_remove(e->repo);
                scene_make(&s, e, 1);
                snprintf(name, sizeof(name), which ? "keys/%s" : "config", s.id[0]);
                assert_true(same_files(path_of(&s, "", name), path_of(&s, "copies/", name)));
                harm(path_of(&s, side[second], name), (enum harm_how)how);
                assert_int_equal(verify_bad(&s, 0), told);
                if (by_repair) {
                    repair_once(&s, 0, true, told, 0);
                    assert_int_equal(verify_bad(&s, 0), told);
                    repair_once(&s, 0, false, told, 0);
                } else {
                    write_once(&s, 0);
                    if (which && second && how == HARM_FLIPPED) /* a writer does not read second copies of keys */
                        continue;
                }
                assert_true(same_files(path_of(&s, "", name), path_of(&s, "copies/", name)));
                assert_int_equal(verify_bad(&s, 0), 0);
            }
}

static void test_copy__one_damaged_or_gone__the_next_writer_heals(void **state)
{
    one_copy(*state, false);
}
static void test_copy__one_damaged_or_gone__repair_heals(void **state)
{
    one_copy(*state, true);
}

static void test_copy__none_as_of_old_programs__is_fine_and_made(void **state)
{
    struct scene s;

    scene_make(&s, *state, 2);
    engine_remove(path_of(&s, "", "copies"));
    assert_int_equal(verify_bad(&s, 1), 0);
    assert_false(is_there(path_of(&s, "", "copies")));
    write_once(&s, 1);
    assert_true(same_files(path_of(&s, "", "config"), path_of(&s, "copies/", "config")));
    for (int i = 0; i < 2; i++)
        assert_true(same_files(path_of(&s, "keys/", s.id[i]), path_of(&s, "copies/keys/", s.id[i])));
}

/* A second copy that is whole but another repository's, or an older one's, is overwritten; it is never used. */
static void test_copy__second_says_something_else__the_first_wins(void **state)
{
    struct scene s;
    char other[200], first[200];

    scene_make(&s, *state, 1);
    snprintf(first, sizeof(first), "%s", path_of(&s, "", "config"));
    snprintf(other, sizeof(other), "%s/other", s.e->dir);
    engine_ok(bdr_repo_init(other, &(struct bdr_repo_init_options){0}));
    strncat(other, "/config", sizeof(other) - strlen(other) - 1);
    engine_copy(other, path_of(&s, "copies/", "config"));
    assert_int_equal(verify_bad(&s, 0), 1);
    write_once(&s, 0);
    assert_true(same_files(first, path_of(&s, "copies/", "config")));
    assert_int_equal(verify_bad(&s, 0), 0);
}

static void test_copy__both_damaged__is_told_plainly(void **state)
{
    struct scene s;

    scene_make(&s, *state, 2);
    flip_file(path_of(&s, "keys/", s.id[0]));
    flip_file(path_of(&s, "copies/keys/", s.id[0]));
    refused_with(&s, 0, BDR_CORRUPT);
    assert_int_equal(verify_bad(&s, 1), 1); /* the other key opens */
    repair_once(&s, 1, false, 0, 1);
    struct bdr_repo *repo = open_with(&s, 1);
    engine_fails(bdr_repo_key_remove(repo, s.id[1]), BDR_INVAL); /* the last one that is whole */
    engine_ok(bdr_repo_key_remove(repo, s.id[0]));
    bdr_repo_close(repo);
    assert_int_equal(verify_bad(&s, 1), 0);
    flip_file(path_of(&s, "", "config"));
    assert_int_equal(unlink(path_of(&s, "", "copies/config")), 0);
    refused_with(&s, 1, BDR_CORRUPT);
}

static void test_init__where_only_the_second_config_is_left__is_refused(void **state)
{
    struct engine *e = *state;

    engine_init(e, false, "none", 65536);
    assert_int_equal(unlink(engine_path(e, "repo/config")), 0);
    engine_fails(bdr_repo_init(e->repo, &(struct bdr_repo_init_options){0}), BDR_EXISTS);
    bdr_repo_close(engine_open(e));
}

/* ---- removed keys ---- */

static void test_remove__both_copies_go(void **state)
{
    struct bdr_repo *repo;
    struct scene s;

    scene_make(&s, *state, 2);
    repo = open_with(&s, 1);
    engine_ok(bdr_repo_key_remove(repo, s.id[0]));
    bdr_repo_close(repo);
    assert_false(is_there(path_of(&s, "keys/", s.id[0])));
    assert_false(is_there(path_of(&s, "copies/keys/", s.id[0])));
    refused_with(&s, 0, BDR_AUTH);
    write_once(&s, 1);
    refused_with(&s, 0, BDR_AUTH);
}

struct removal {
    struct scene *s;
    uint64_t at;
    enum bdr_fault_kind kind;
    int told; /* a pipe: whether the removal said that it was done, and how many calls it made */
};

static int removal_run(void *ctx)
{
    const struct removal *r = ctx;
    uint64_t calls = 0;
    struct bdr_store_fault plan = {.fail_at = r->at, .kind = r->kind, .code = BDR_IO, .calls = &calls};
    struct bdr_repo *repo = NULL;
    struct bdr_err *err = try_open(r->s, 1, false, &repo);

    if (!err)
        err = bdr_store_wrap_fault(&repo->store, &plan);
    if (err)
        return 2;
    repo->env.store = repo->store;
    err = bdr_repo_key_remove(repo, r->s->id[0]);
    bdr_repo_close(repo);
    if (err) {
        bdr_err_free(err);
        return 1;
    }
    return calls < r->at ? 3 : 0;
}

/* Whenever the first copy is gone the key is, and whatever is left over goes with the next writer or repair. */
static void removal_ended(struct engine *e, enum bdr_fault_kind kind)
{
    int rc = 0;

    for (uint64_t at = 1; rc != 3; at++) {
        struct removal r = {.at = at, .kind = kind};
        struct bdr_repo *repo = NULL;
        struct scene s;

        assert_true(at < 40);
        engine_remove(e->repo);
        scene_make(&s, e, 2);
        r.s = &s;
        rc = engine_child(removal_run, &r);
        assert_true(rc == 0 || rc == 1 || rc == 3 || rc == BDR_FAULT_EXIT);
        if (rc == 0 || rc == 3)
            assert_false(is_there(path_of(&s, "keys/", s.id[0])));
        if (is_there(path_of(&s, "keys/", s.id[0]))) {
            engine_ok(try_open(&s, 0, true, &repo));
            bdr_repo_close(repo);
        } else {
            refused_with(&s, 0, BDR_AUTH);
            assert_int_equal(verify_bad(&s, 1), is_there(path_of(&s, "copies/keys/", s.id[0])));
        }
        if (at & 1)
            write_once(&s, 1);
        else
            repair_once(&s, 1, false, verify_bad(&s, 1), 0);
        assert_int_equal(is_there(path_of(&s, "keys/", s.id[0])), is_there(path_of(&s, "copies/keys/", s.id[0])));
        if (!is_there(path_of(&s, "keys/", s.id[0])))
            refused_with(&s, 0, BDR_AUTH);
        assert_int_equal(verify_bad(&s, 1), 0);
    }
}

static void test_remove__killed_after_any_call__never_half(void **state)
{
    removal_ended(*state, BDR_FAULT_DIE_AFTER);
}
static void test_remove__failing_at_any_call__never_half(void **state)
{
    removal_ended(*state, BDR_FAULT_ERROR_BEFORE);
}

/* An older program knows of one copy only: what it removes must not come back. */
static void test_remove__by_an_older_program__stays_removed(void **state)
{
    struct scene s;

    scene_make(&s, *state, 2);
    assert_int_equal(unlink(path_of(&s, "keys/", s.id[0])), 0);
    refused_with(&s, 0, BDR_AUTH);
    assert_int_equal(verify_bad(&s, 1), 1);
    write_once(&s, 1);
    assert_false(is_there(path_of(&s, "copies/keys/", s.id[0])));
    refused_with(&s, 0, BDR_AUTH);
}

/* Who heals keys and who removes one exclude each other: else a removed key could be written again. */
static void test_remove__while_keys_are_healed__waits(void **state)
{
    struct bdr_repo *repo, *other;
    struct bdr_presence me = {0};
    struct bdr_lock lock = {0};
    uint64_t healed = 0;
    struct scene s;

    scene_make(&s, *state, 2);
    repo = open_with(&s, 1);
    other = open_with(&s, 1);
    engine_ok(bdr_presence_begin(other, "test", &me));
    engine_ok(bdr_lock_take(other, BDR_LOCK_KEYS, me.id, &lock));
    engine_fails(bdr_repo_key_remove(repo, s.id[0]), BDR_BUSY);
    engine_fails(bdr_twice_heal(repo, me.id, &healed), BDR_BUSY);
    /* A backup does not wait for it. */
    assert_int_equal(unlink(path_of(&s, "copies/keys/", s.id[1])), 0);
    engine_backup(repo, s.disk, "web", NULL);
    assert_false(is_there(path_of(&s, "copies/keys/", s.id[1])));
    bdr_lock_drop(other, &lock);
    bdr_presence_end(other, &me);
    engine_ok(bdr_repo_key_remove(repo, s.id[0]));
    bdr_repo_close(repo);
    bdr_repo_close(other);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_copy__one_damaged_or_gone__the_next_writer_heals),
        T(test_copy__one_damaged_or_gone__repair_heals),
        T(test_copy__none_as_of_old_programs__is_fine_and_made),
        T(test_copy__second_says_something_else__the_first_wins),
        T(test_copy__both_damaged__is_told_plainly),
        T(test_init__where_only_the_second_config_is_left__is_refused),
        T(test_remove__both_copies_go),
        T(test_remove__killed_after_any_call__never_half),
        T(test_remove__failing_at_any_call__never_half),
        T(test_remove__by_an_older_program__stays_removed),
        T(test_remove__while_keys_are_healed__waits),
    };

    return cmocka_run_group_tests_name("twice", tests, NULL, NULL);
}
