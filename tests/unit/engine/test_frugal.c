/* SPDX-License-Identifier: Apache-2.0 */
/* test_frugal.c - what is not asked of a store: packs listed twice, blocks read that the target of a copy has. */
#include "bdr/copy.h"
#include "bdr/gc.h"
#include "engine.h"
#include "repo_i.h"
#include <stdio.h>
#include <string.h>

#define MIB   (1u << 20)
#define BLOCK 65536u

static struct bdr_repo *open_at(const char *url, bool writes_next)
{
    struct bdr_repo *repo = NULL;

    engine_ok(bdr_repo_open(url, &(struct bdr_repo_options){.writes_next = writes_next}, &repo));
    return repo;
}

static void init_at(const char *url, uint32_t block)
{
    engine_ok(bdr_repo_init(
        url, &(struct bdr_repo_init_options){.block_bytes = block, .compress = "none", .pack_bytes = 4u << 20}));
}

/* ---- listing ---- */

static uint64_t lists_of_a_backup(struct engine *e, const char *image, bool writes_next, uint64_t *out_opening)
{
    struct bdr_repo *repo = open_at(e->repo, writes_next);
    uint64_t lists;

    *out_opening = repo->store->counts.lists;
    engine_backup(repo, image, "web", NULL);
    lists = repo->store->counts.lists;
    bdr_repo_close(repo);
    return lists;
}

static void test_open__a_session_follows__packs_are_listed_once(void **state)
{
    struct engine *e = *state;
    char image[160];
    uint64_t twice, once, opening;

    snprintf(image, sizeof(image), "%s/image", e->dir);
    engine_image(image, 2 * MIB, 3);
    engine_init(e, false, "none", BLOCK);
    lists_of_a_backup(e, image, true, &opening);
    twice = lists_of_a_backup(e, image, false, &opening);
    assert_int_equal(opening, 1);
    once = lists_of_a_backup(e, image, true, &opening);
    assert_int_equal(opening, 0);
    assert_int_equal(once, twice - 1);
}

/* Between opening and the session a prune removes packs that the index of who opened still names, and another machine's
 * writer stores new ones. */
static void test_open__pruned_before_the_session__its_point_is_whole(void **state)
{
    struct engine *e = *state;
    char image[160], other[160], cache[160];
    struct bdr_backup_result one, two;
    struct bdr_repo *repo = NULL, *pruner, *reader;

    snprintf(image, sizeof(image), "%s/image", e->dir);
    snprintf(other, sizeof(other), "%s/other", e->dir);
    snprintf(cache, sizeof(cache), "%s/cache", e->dir);
    engine_image(image, 6 * MIB, 3);
    engine_image(other, 3 * MIB, 77);
    engine_init(e, false, "none", BLOCK);
    /* An index of its own, which knows the first point's packs. */
    engine_ok(bdr_repo_open(e->repo, &(struct bdr_repo_options){.cache_dir = cache}, &repo));
    one = engine_backup(repo, image, "web", NULL);
    bdr_repo_close(repo);
    repo = NULL;
    engine_ok(bdr_repo_open(e->repo, &(struct bdr_repo_options){.cache_dir = cache, .writes_next = true}, &repo));
    pruner = open_at(e->repo, true);
    engine_ok(bdr_point_remove(pruner, one.point_id));
    engine_age(e->repo, 3600);
    assert_true(engine_prune(pruner).packs_removed > 0);
    engine_backup(pruner, other, "db", NULL);
    bdr_repo_close(pruner);
    two = engine_backup(repo, image, "web", NULL);
    assert_true(two.new_bytes > 0);
    bdr_repo_close(repo);
    reader = open_at(e->repo, false);
    engine_same(reader, two.point_id, image);
    engine_verify_clean(reader);
    bdr_repo_close(reader);
}

/* ---- copying ---- */

struct pair {
    char image[160], second[160];
    struct bdr_repo *from, *to;
    char a[33], b[33];
};

static void pair_make(struct pair *p, struct engine *e, uint32_t block_b)
{
    snprintf(p->image, sizeof(p->image), "%s/image", e->dir);
    snprintf(p->second, sizeof(p->second), "%s/second", e->dir);
    engine_image(p->image, 20 * MIB, 3);
    engine_init(e, false, "none", BLOCK);
    init_at(p->second, block_b);
    p->from = open_at(e->repo, false);
    p->to = open_at(p->second, false);
    memcpy(p->a, engine_backup(p->from, p->image, "web", NULL).point_id, 33);
    /* The target has most of it by itself, of another host. */
    engine_backup(p->to, p->image, "twin", NULL);
    engine_scribble(p->image, 3 * MIB, 100, 9);
    engine_scribble(p->image, 17 * MIB, 2 * BLOCK, 10);
    memcpy(p->b, engine_backup(p->from, p->image, "web", NULL).point_id, 33);
}

static void pair_close(struct pair *p)
{
    bdr_repo_close(p->from);
    bdr_repo_close(p->to);
}

static void test_copy__target_has_the_blocks__they_are_not_read(void **state)
{
    struct bdr_copy_result r;
    struct pair p;
    uint64_t before;

    pair_make(&p, *state, BLOCK);
    before = p.from->store->counts.get_bytes;
    engine_ok(bdr_copy_point(p.from, p.b, p.to, &(struct bdr_copy_options){0}, &r));
    assert_true(r.full && !r.there);
    assert_int_equal(r.read_bytes, r.new_bytes);
    assert_true(r.read_bytes >= 3 * BLOCK && r.read_bytes <= 4 * BLOCK);
    /* Those, the nodes, a manifest: not the 15 MiB there are. */
    assert_true(p.from->store->counts.get_bytes - before < 8 * BLOCK);
    engine_same(p.to, r.point_id, p.image);
    engine_verify_clean(p.to);
    /* And then the one before it, built on this one. */
    before = p.from->store->counts.get_bytes;
    engine_ok(bdr_copy_point(p.from, p.a, p.to, &(struct bdr_copy_options){0}, &r));
    assert_true(!r.full && r.read_bytes == 0 && r.new_bytes == 0);
    assert_true(p.from->store->counts.get_bytes - before < 2 * BLOCK);
    engine_verify_clean(p.to);
    pair_close(&p);
}

/* Another block size: ids differ, so all is read. */
static void test_copy__other_block_size__is_read(void **state)
{
    struct bdr_copy_result r;
    struct pair p;

    pair_make(&p, *state, 2 * BLOCK);
    engine_ok(bdr_copy_point(p.from, p.b, p.to, &(struct bdr_copy_options){0}, &r));
    assert_true(r.full && r.read_bytes > 10 * MIB);
    engine_same(p.to, r.point_id, p.image);
    pair_close(&p);
}

/* What the target only seems to have is stored again: its packs are condemned, or its base is damaged. */
static void test_copy__target_lost_its_blocks__they_are_read(void **state)
{
    struct bdr_copy_result r;
    struct engine *e = *state;
    struct pair p;
    char packs[200];

    pair_make(&p, e, BLOCK);
    bdr_repo_close(p.to);
    snprintf(packs, sizeof(packs), "%s/packs", p.second);
    engine_remove(packs);
    p.to = open_at(p.second, true);
    engine_ok(bdr_copy_point(p.from, p.b, p.to, &(struct bdr_copy_options){0}, &r));
    assert_true(r.read_bytes > 10 * MIB && r.new_bytes > 10 * MIB);
    engine_same(p.to, r.point_id, p.image);
    pair_close(&p);
}

static void test_copy__name_of_another_machine__is_refused(void **state)
{
    struct bdr_backup_disk disk = {0};
    struct bdr_backup_result b;
    struct bdr_copy_result r;
    struct pair p;

    pair_make(&p, *state, BLOCK);
    engine_ok(bdr_source_open(&(struct bdr_source_spec){.location = p.image}, &disk.src));
    engine_ok(bdr_backup_run(p.to, &disk, 1, &(struct bdr_backup_options){.host = "web", .host_id = "stranger"}, &b));
    bdr_source_close(disk.src);
    engine_fails(bdr_copy_point(p.from, p.b, p.to, &(struct bdr_copy_options){0}, &r), BDR_INVAL);
    engine_ok(bdr_copy_point(p.from, p.b, p.to, &(struct bdr_copy_options){.take_over = true}, &r));
    engine_same(p.to, r.point_id, p.image);
    pair_close(&p);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_open__a_session_follows__packs_are_listed_once),
        T(test_open__pruned_before_the_session__its_point_is_whole),
        T(test_copy__target_has_the_blocks__they_are_not_read),
        T(test_copy__other_block_size__is_read),
        T(test_copy__target_lost_its_blocks__they_are_read),
        T(test_copy__name_of_another_machine__is_refused),
    };

    return cmocka_run_group_tests_name("frugal", tests, NULL, NULL);
}
