/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash_store.c - the process ends, or the store fails, at every call that changes the store, one run a call.
 *
 * After each: everything verifies, every earlier point is bit-identical, a new backup works, and two prunes bring the
 * repository back to the size of one that never met a fault.
 */
#include "bdr/store_fault.h"
#include "engine.h"
#include "repo_i.h"
#include <stdio.h>
#include <string.h>

#define BLOCK 65536u
#define DISK (12 * BLOCK + 777)

enum op { OP_FIRST, OP_INCREMENTAL, OP_PRUNE };

struct crash {
    struct engine *e;
    char template[96], image[96], next[96], other[96], third[96];
    char points[3][33];       /* of the template: web, web, db */
    enum op op;
    struct bdr_store_fault plan;
};

static struct bdr_repo *open_with(struct crash *c, struct bdr_store_fault *plan)
{
    struct bdr_repo *repo = engine_open(c->e);

    if (plan) {
        engine_ok(bdr_store_wrap_fault(&repo->store, plan));
        repo->env.store = repo->store;
    }
    return repo;
}

/* The work that is interrupted. Returns whether it came to its end. */
static struct bdr_err *work(struct crash *c, struct bdr_repo *repo)
{
    struct bdr_backup_result b;
    struct bdr_prune_result p;

    if (c->op == OP_FIRST)
        return engine_try_backup(repo, c->next, "new", NULL, &b);
    if (c->op == OP_INCREMENTAL)
        return engine_try_backup(repo, c->next, "web", NULL, &b);
    BDR_TRY(bdr_point_remove(repo, c->points[0]));
    return bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = 5}, &p);
}

/* Exit status: 0 came to its end, 9 died as planned, 3 an error. */
static int child(void *raw)
{
    struct crash *c = raw;
    uint64_t calls = 0;
    struct bdr_store_fault plan = c->plan;
    struct bdr_repo *repo;
    struct bdr_err *err;
    bool met;

    plan.calls = &calls;
    repo = open_with(c, &plan);
    err = work(c, repo);
    bdr_repo_close(repo);
    met = plan.fail_at && calls >= plan.fail_at;
    if (err) {
        bool planned = err->code == plan.code || err->code == BDR_FENCED || err->code == BDR_NOTFOUND;

        if (!planned) {
            char text[512];

            fprintf(stderr, "unplanned error: %s\n", bdr_err_text(err, text, sizeof(text)));
        }
        bdr_err_free(err);
        return planned ? 3 : 4;
    }
    return met ? 5 : 0; /* 5: survived the fault (only tidying failed) */
}

static uint64_t settle(struct crash *c)
{
    struct bdr_point_info *points = NULL;
    struct bdr_repo *repo = engine_open(c->e);
    struct bdr_backup_result b;
    uint64_t size;
    size_t n;

    engine_verify_clean(repo);
    if (c->op != OP_PRUNE)
        engine_same(repo, c->points[0], c->image);
    engine_same(repo, c->points[1], c->other);
    engine_same(repo, c->points[2], c->third);
    b = engine_backup(repo, c->next, "after", NULL);
    engine_same(repo, b.point_id, c->next);
    /* Only the known points and the last one stay, whether or not the interrupted one was published. */
    engine_ok(bdr_repo_points(repo, &points, &n));
    for (size_t i = 0; i < n; i++) {
        bool keep = !strcmp(points[i].id, c->points[1]) || !strcmp(points[i].id, c->points[2]) ||
                    !strcmp(points[i].id, b.point_id);

        if (!keep)
            engine_ok(bdr_point_remove(repo, points[i].id));
    }
    free(points);
    engine_age(engine_path(c->e, "repo/packs"), 1200);
    engine_prune(repo);
    engine_prune(repo);
    engine_verify_clean(repo);
    engine_same(repo, c->points[1], c->other);
    engine_same(repo, b.point_id, c->next);
    bdr_repo_close(repo);
    size = engine_bytes_of(engine_path(c->e, "repo/packs"));
    assert_int_equal(access(engine_path(c->e, "repo/condemned"), F_OK) ? 0 : engine_bytes_of(engine_path(c->e, "repo/condemned")), 0);
    assert_int_equal(access(engine_path(c->e, "repo/tmp"), F_OK) ? 0 : engine_bytes_of(engine_path(c->e, "repo/tmp")), 0);
    assert_int_equal(access(engine_path(c->e, "repo/sessions"), F_OK) ? 0 : engine_bytes_of(engine_path(c->e, "repo/sessions")), 0);
    return size;
}

static void crash_make(struct crash *c, struct engine *e)
{
    struct bdr_repo *repo;

    *c = (struct crash){.e = e};
    snprintf(c->template, sizeof(c->template), "%s/template", e->dir);
    snprintf(c->image, sizeof(c->image), "%s/image", e->dir);
    snprintf(c->other, sizeof(c->other), "%s/other", e->dir);
    snprintf(c->third, sizeof(c->third), "%s/third", e->dir);
    snprintf(c->next, sizeof(c->next), "%s/next", e->dir);
    engine_image(c->image, DISK, 1000);
    engine_image(c->other, DISK, 1000);
    engine_scribble(c->other, 2 * BLOCK, 3 * BLOCK, 9);
    engine_image(c->third, DISK, 1000);
    engine_scribble(c->third, 9 * BLOCK, 3 * BLOCK, 12);
    engine_image(c->next, DISK, 1000);
    engine_scribble(c->next, 6 * BLOCK, 4 * BLOCK, 10);
    engine_init(e, false, "zstd", BLOCK);
    repo = engine_open(e);
    /* The first point has blocks nobody else has, so that prune has packs to rewrite. */
    engine_scribble(c->image, 0, 2 * BLOCK, 11);
    memcpy(c->points[0], engine_backup(repo, c->image, "web", NULL).point_id, 33);
    memcpy(c->points[1], engine_backup(repo, c->other, "web", NULL).point_id, 33);
    memcpy(c->points[2], engine_backup(repo, c->third, "db", NULL).point_id, 33);
    bdr_repo_close(repo);
    engine_age(engine_path(e, "repo/packs"), 3600);
    engine_copy(e->repo, c->template);
}

static void crash(void **state, enum op op, enum bdr_fault_kind kind, bool sticky)
{
    struct crash c;
    uint64_t never, got;
    unsigned runs = 0;
    int rc;

    crash_make(&c, *state);
    c.op = op;
    assert_int_equal(engine_child(child, &c), 0);
    never = settle(&c);
    for (uint64_t n = 1;; n++) {
        engine_copy(c.template, c.e->repo);
        c.plan = (struct bdr_store_fault){.fail_at = n, .kind = kind, .code = BDR_NOSPACE, .sticky = sticky};
        rc = engine_child(child, &c);
        if (rc == 0)
            break;
        if (rc != BDR_FAULT_EXIT && rc != 3 && rc != 5)
            fail_msg("call %llu: the program ended with %d", (unsigned long long)n, rc);
        got = settle(&c);
        if (got > never + never / 20 + 4096)
            fail_msg("call %llu: %llu bytes stay, %llu without a fault", (unsigned long long)n, (unsigned long long)got,
                     (unsigned long long)never);
        runs++;
    }
    assert_true(runs >= 8);
    print_message("%u calls\n", runs);
}

#define CRASH(name, op, kind, sticky)                                                                                  \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        crash(state, op, kind, sticky);                                                                                \
    }
CRASH(test_first__dies_before, OP_FIRST, BDR_FAULT_DIE_BEFORE, false)
CRASH(test_first__dies_after, OP_FIRST, BDR_FAULT_DIE_AFTER, false)
CRASH(test_first__fails_before, OP_FIRST, BDR_FAULT_ERROR_BEFORE, false)
CRASH(test_first__disk_stays_full, OP_FIRST, BDR_FAULT_TEAR, true)
CRASH(test_incremental__dies_before, OP_INCREMENTAL, BDR_FAULT_DIE_BEFORE, false)
CRASH(test_incremental__dies_torn, OP_INCREMENTAL, BDR_FAULT_TEAR_DIE, false)
CRASH(test_incremental__answer_lost, OP_INCREMENTAL, BDR_FAULT_ERROR_AFTER, false)
CRASH(test_prune__dies_before, OP_PRUNE, BDR_FAULT_DIE_BEFORE, false)
CRASH(test_prune__dies_after, OP_PRUNE, BDR_FAULT_DIE_AFTER, false)
CRASH(test_prune__answer_lost, OP_PRUNE, BDR_FAULT_ERROR_AFTER, false)
CRASH(test_prune__disk_stays_full, OP_PRUNE, BDR_FAULT_ERROR_BEFORE, true)

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_first__dies_before),
        T(test_first__dies_after),
        T(test_first__fails_before),
        T(test_first__disk_stays_full),
        T(test_incremental__dies_before),
        T(test_incremental__dies_torn),
        T(test_incremental__answer_lost),
        T(test_prune__dies_before),
        T(test_prune__dies_after),
        T(test_prune__answer_lost),
        T(test_prune__disk_stays_full),
    };

    engine_workers = 1; /* how blocks lie in packs is known then, and so what may stay */
    return cmocka_run_group_tests_name("crash-store", tests, NULL, NULL);
}
