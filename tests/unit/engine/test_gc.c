/* SPDX-License-Identifier: Apache-2.0 */
/* test_gc.c - prune frees what nothing refers to and nothing else, whoever writes meanwhile; retention's decisions. */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/session.h"
#include "engine.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1u << 20)
#define BLOCK 65536u

static uint64_t packs_bytes(struct engine *e)
{
    return engine_bytes_of(engine_path(e, "repo/packs"));
}

static size_t objects_in(struct engine *e, const char *folder)
{
    char path[160];
    struct engine_files f;
    size_t n;

    snprintf(path, sizeof(path), "%s/%s", e->repo, folder);
    if (access(path, F_OK))
        return 0;
    f = engine_files(path);
    n = f.n;
    engine_files_free(&f);
    return n;
}

/* ---- freeing ---- */

static void frees(void **state, bool encrypt, const char *compress)
{
    struct engine *e = *state;
    char a[96], b[96], old[96];
    struct bdr_backup_result one, two, other;
    struct bdr_prune_result r;
    struct bdr_repo *repo;
    uint64_t before;

    snprintf(a, sizeof(a), "%s/a.img", e->dir);
    snprintf(b, sizeof(b), "%s/b.img", e->dir);
    snprintf(old, sizeof(old), "%s/old.img", e->dir);
    engine_image(a, 40 * MIB, 1);
    engine_image(b, 3 * MIB, 70001);
    engine_init(e, encrypt, compress, BLOCK);
    repo = engine_open(e);
    one = engine_backup(repo, a, "web", NULL);
    engine_run((const char *const[]){"cp", a, old, NULL});
    /* Every second MiB changes: packs of the first point become half dead. */
    for (uint64_t at = 0; at < 40 * MIB; at += 2 * MIB)
        engine_scribble(a, at, MIB, (uint32_t)(5000 + at / MIB));
    two = engine_backup(repo, a, "web", NULL);
    other = engine_backup(repo, b, "db", NULL);
    engine_same(repo, one.point_id, old);
    r = engine_prune(repo);
    assert_int_equal(r.points, 3);
    assert_int_equal(r.bytes_freed, 0);
    before = packs_bytes(e);
    engine_ok(bdr_point_remove(repo, one.point_id));
    engine_age(e->repo, 3600);
    r = engine_prune(repo);
    assert_true(r.packs_rewritten > 0);
    assert_true(r.packs_removed > 0);
    assert_true(packs_bytes(e) < before - 8 * MIB);
    engine_same(repo, two.point_id, a);
    engine_same(repo, other.point_id, b);
    engine_verify_clean(repo);
    engine_ok(bdr_point_remove(repo, two.point_id));
    engine_ok(bdr_point_remove(repo, other.point_id));
    engine_prune(repo);
    assert_int_equal(packs_bytes(e), 0);
    assert_int_equal(objects_in(e, "condemned"), 0);
    assert_int_equal(objects_in(e, "sessions"), 0);
    assert_int_equal(objects_in(e, "locks"), 0);
    assert_int_equal(objects_in(e, "tmp"), 0);
    bdr_repo_close(repo);
    repo = engine_open(e);
    one = engine_backup(repo, a, "web", NULL);
    engine_same(repo, one.point_id, a);
    bdr_repo_close(repo);
}
static void test_prune__half_dead_packs__are_rewritten(void **state)
{
    frees(state, true, "zstd");
}
static void test_prune__plain__frees_all(void **state)
{
    frees(state, false, "none");
}

static void test_prune__small_packs__are_merged(void **state)
{
    struct engine *e = *state;
    const char *a = engine_path(e, "a.img");
    char points[12][33], copies[12][96];
    struct bdr_repo *repo;
    size_t before;

    engine_image(a, 2 * MIB, 1);
    engine_init(e, true, "zstd", BLOCK);
    repo = engine_open(e);
    for (uint32_t i = 0; i < 12; i++) {
        engine_scribble(a, i * BLOCK, 70000, 600 + i);
        memcpy(points[i], engine_backup(repo, a, "web", NULL).point_id, 33);
        snprintf(copies[i], sizeof(copies[i]), "%s/copy%u", e->dir, i);
        engine_run((const char *const[]){"cp", a, copies[i], NULL});
    }
    before = objects_in(e, "packs");
    assert_true(before >= 24);
    engine_prune(repo);
    assert_true(objects_in(e, "packs") <= 4);
    for (size_t i = 0; i < 12; i++)
        engine_same(repo, points[i], copies[i]);
    engine_verify_clean(repo);
    bdr_repo_close(repo);
}

static void test_prune__dry_run__changes_nothing(void **state)
{
    struct engine *e = *state;
    const char *a = engine_path(e, "a.img");
    struct bdr_prune_result r, real;
    struct bdr_backup_result one;
    struct bdr_repo *repo;
    uint64_t before;

    engine_image(a, 5 * MIB, 1);
    engine_init(e, false, "lz4", BLOCK);
    repo = engine_open(e);
    one = engine_backup(repo, a, "web", NULL);
    engine_ok(bdr_point_remove(repo, one.point_id));
    before = engine_bytes_of(e->repo);
    engine_ok(bdr_prune(repo, &(struct bdr_prune_options){.dry_run = true, .max_unused_pct = -1}, &r));
    assert_int_equal(engine_bytes_of(e->repo), before);
    real = engine_prune(repo);
    assert_int_equal(real.bytes_freed, r.bytes_freed);
    assert_int_equal(real.packs_removed, r.packs_removed);
    bdr_repo_close(repo);
}

/* ---- beside open sessions ---- */

/* Puts `n` blocks made from seed and returns whether all were new. */
static size_t put_blocks(struct bdr_session *s, uint32_t seed, uint32_t n)
{
    uint8_t *buf = malloc(BLOCK);
    size_t fresh = 0;

    assert_non_null(buf);
    for (uint32_t i = 0; i < n; i++) {
        struct bdr_id id;
        bool is = false;

        for (size_t j = 0; j < BLOCK; j++)
            buf[j] = (uint8_t)((j * 2654435761u + seed * 977 + i * 31) >> 13);
        engine_ok(bdr_session_id(s, buf, BLOCK, &id));
        engine_ok(bdr_session_put(s, BDR_BLOCK_DATA, &id, buf, BLOCK, &is));
        fresh += is;
    }
    free(buf);
    return fresh;
}

static struct bdr_session *session(struct bdr_repo *repo, const char *host)
{
    struct bdr_session *s = NULL;

    engine_ok(bdr_session_begin(repo, &(struct bdr_session_options){.host = host}, &s));
    return s;
}

/* What an open session stored stays, what a dead one stored goes. */
static void test_prune__blocks_of_an_open_session__stay(void **state)
{
    struct engine *e = *state;
    struct bdr_prune_result r;
    struct bdr_session *s;
    struct bdr_repo *repo;

    engine_init(e, true, "zstd", BLOCK);
    repo = engine_open(e);
    s = session(repo, "web");
    assert_int_equal(put_blocks(s, 1, 10), 10);
    engine_ok(bdr_session_flush(s));
    r = engine_prune(repo);
    assert_int_equal(r.packs_removed, 0);
    assert_int_equal(r.sessions_open, 1);
    assert_int_equal(put_blocks(s, 1, 10), 0); /* they are still there */
    engine_age(e->repo, 3600);
    r = engine_prune(repo);                    /* old enough to be condemned, and waits for the session */
    assert_int_equal(r.packs_removed, 0);
    assert_true(objects_in(e, "packs") > 0);
    bdr_session_abandon(s);
    r = engine_prune(repo);
    assert_int_equal(packs_bytes(e), 0);
    assert_int_equal(objects_in(e, "condemned"), 0);
    bdr_repo_close(repo);
}

/*
 * A block that a prune condemns while a session refers to it already: it waits, the point is published, and the next
 * prune takes the sentence back. `other_index`: the second session has an index of its own, as on another machine.
 */
static void condemned_while_in_use(void **state, bool other_index)
{
    struct engine *e = *state;
    const char *a = engine_path(e, "a.img"), *cache = engine_path(e, "cache");
    struct bdr_backup_result one, two;
    struct bdr_prune_result r;
    struct bdr_session *s;
    struct bdr_repo *repo, *writer = NULL;
    size_t condemned;

    engine_image(a, 6 * MIB, 1);
    engine_init(e, false, "zstd", BLOCK);
    repo = engine_open(e);
    engine_ok(bdr_repo_open(e->repo, &(struct bdr_repo_options){.cache_dir = other_index ? cache : NULL}, &writer));
    one = engine_backup(repo, a, "web", NULL);
    engine_ok(bdr_point_remove(repo, one.point_id));
    engine_age(e->repo, 3600);
    s = session(writer, "db"); /* began before the prune: it may refer to anything */
    r = engine_prune(repo);
    assert_int_equal(r.packs_removed, 0);
    assert_true(r.packs_waiting > 0);
    condemned = objects_in(e, "condemned");
    assert_int_equal(condemned, 1);
    /* A session that begins now must not refer to them, one that has begun may. */
    two = engine_backup(writer, a, "late", NULL);
    assert_true(two.new_bytes > 0);
    bdr_session_abandon(s);
    r = engine_prune(repo);
    assert_true(r.packs_removed > 0);
    engine_same(repo, two.point_id, a);
    engine_verify_clean(repo);
    bdr_repo_close(writer);
    bdr_repo_close(repo);
}
static void test_prune__condemned__new_sessions_store_again(void **state)
{
    condemned_while_in_use(state, false);
}
static void test_prune__condemned__sessions_with_another_index_store_again(void **state)
{
    condemned_while_in_use(state, true);
}

/* The session began before the condemnation and refers to a condemned block through the base it shares. */
static void test_prune__point_published_after_condemnation__keeps_its_blocks(void **state)
{
    struct engine *e = *state;
    const char *a = engine_path(e, "a.img");
    struct bdr_backup_result one, two, three;
    struct bdr_prune_result r;
    struct bdr_session *s;
    struct bdr_repo *repo;

    engine_image(a, 6 * MIB, 1);
    engine_init(e, false, "zstd", BLOCK);
    repo = engine_open(e);
    one = engine_backup(repo, a, "web", NULL);
    two = engine_backup(repo, a, "db", NULL); /* the same blocks */
    assert_int_equal(two.new_bytes, 0);
    engine_ok(bdr_point_remove(repo, one.point_id));
    engine_ok(bdr_point_remove(repo, two.point_id));
    engine_age(e->repo, 3600);
    s = session(repo, "sleeper");
    r = engine_prune(repo);
    assert_true(r.packs_waiting > 0);
    bdr_session_abandon(s);
    /* The set is ready now, but not yet executed. A backup stores anew and builds on nothing condemned. */
    three = engine_backup(repo, a, "web", NULL);
    engine_same(repo, three.point_id, a);
    r = engine_prune(repo);
    assert_true(r.packs_removed > 0);
    engine_same(repo, three.point_id, a);
    engine_verify_clean(repo);
    bdr_repo_close(repo);
}

/* The writer's base is removed and pruned while it runs, with its packs condemned before it began. */
static void test_publish__base_removed_with_condemned_packs__is_stale(void **state)
{
    struct engine *e = *state;
    const char *a = engine_path(e, "a.img");
    struct bdr_backup_result one, two, three;
    struct bdr_session *early, *late;
    struct bdr_repo *repo;
    json_t *point = NULL, *copy;
    char id[33];

    engine_image(a, 6 * MIB, 1);
    engine_init(e, false, "zstd", BLOCK);
    repo = engine_open(e);
    one = engine_backup(repo, a, "web", NULL);
    engine_ok(bdr_point_load(repo, one.point_id, &point));
    engine_ok(bdr_point_remove(repo, one.point_id));
    engine_age(e->repo, 3600);
    early = session(repo, "web");
    engine_prune(repo); /* condemns all; waits for `early` */
    /* `early` publishes a point that refers to the condemned packs: that is its right. */
    copy = json_deep_copy(point);
    json_object_del(copy, "base");
    engine_ok(bdr_session_publish(early, copy, id));
    json_decref(copy);
    engine_same(repo, id, a);
    /* `late` shares that point's map without asking about a single block. */
    late = session(repo, "web");
    copy = json_deep_copy(point);
    json_object_set_new(copy, "base", json_string(id));
    engine_ok(bdr_point_remove(repo, id));
    engine_prune(repo); /* the set is ready: everything goes */
    engine_fails(bdr_session_publish(late, copy, id), BDR_STALE);
    json_decref(copy);
    json_decref(point);
    engine_verify_clean(repo); /* no visible point is broken */
    two = engine_backup(repo, a, "web", NULL);
    engine_same(repo, two.point_id, a);
    three = engine_backup(repo, a, "web", NULL); /* nothing condemned: removing a base is nobody's business */
    engine_ok(bdr_point_remove(repo, two.point_id));
    engine_same(repo, three.point_id, a);
    bdr_repo_close(repo);
}

/* ---- the dead and the doubled ---- */

struct child_ctx {
    struct engine *e;
    int fd; /* tells the parent that it is ready */
};

static int child_session(void *raw)
{
    struct child_ctx *c = raw;
    struct bdr_repo *repo = engine_open(c->e);
    struct bdr_session *s = session(repo, "web");

    put_blocks(s, 3, 20);
    engine_ok(bdr_session_flush(s));
    if (write(c->fd, "r", 1) != 1)
        return 1;
    for (;;)
        pause();
}

static void test_prune__killed_session__is_noticed(void **state)
{
    struct engine *e = *state;
    struct bdr_prune_result r;
    struct bdr_repo *repo;
    struct bdr_session *s = NULL;
    int fds[2];
    char c;
    pid_t pid;

    engine_init(e, true, "zstd", BLOCK);
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(child_session(&(struct child_ctx){e, fds[1]}));
    }
    assert_int_equal(read(fds[0], &c, 1), 1);
    repo = engine_open(e);
    r = engine_prune(repo);
    assert_int_equal(r.sessions_open, 1);
    engine_fails(bdr_session_begin(repo, &(struct bdr_session_options){.host = "web"}, &s), BDR_BUSY);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    r = engine_prune(repo);
    assert_int_equal(r.sessions_open, 0);
    assert_int_equal(packs_bytes(e), 0);
    assert_int_equal(objects_in(e, "sessions"), 0);
    assert_int_equal(objects_in(e, "tmp"), 0);
    engine_ok(bdr_session_begin(repo, &(struct bdr_session_options){.host = "web"}, &s));
    bdr_session_abandon(s);
    bdr_repo_close(repo);
    close(fds[0]);
    close(fds[1]);
}

/* A prune that meets another one at every step it takes. */
static int child_prune_hold(void *raw)
{
    struct child_ctx *c = raw;
    struct bdr_store *st = NULL;
    void *hold = NULL;

    /* Holds the lock as a prune does, without a prune's work. */
    engine_ok(bdr_store_open(c->e->repo, &(struct bdr_store_options){0}, &st));
    engine_ok(bdr_store_put(st, "locks/prune", "x", 1, BDR_PUT_EXCL));
    engine_ok(bdr_store_hold(st, "locks/prune", &hold));
    if (write(c->fd, "r", 1) != 1)
        return 1;
    for (;;)
        pause();
}

static void test_prune__two_at_once__one_is_busy(void **state)
{
    struct engine *e = *state;
    struct bdr_prune_result r;
    struct bdr_repo *repo;
    int fds[2];
    char c;
    pid_t pid;

    engine_init(e, false, "zstd", BLOCK);
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(child_prune_hold(&(struct child_ctx){e, fds[1]}));
    }
    assert_int_equal(read(fds[0], &c, 1), 1);
    repo = engine_open(e);
    engine_fails(bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = -1}, &r), BDR_BUSY);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    engine_prune(repo); /* the dead one's lock is taken over */
    assert_int_equal(objects_in(e, "locks"), 0);
    bdr_repo_close(repo);
    close(fds[0]);
    close(fds[1]);
}

/* A block in two packs: either may be lost or pruned, and verify knows. */
static void test_copies__one_of_two_packs_is_lost__reads_go_on(void **state)
{
    struct engine *e = *state;
    const char *a = engine_path(e, "a.img");
    struct bdr_backup_result one, two;
    struct bdr_session *s;
    struct bdr_repo *repo;
    struct engine_files before, after;
    size_t lost = 0;

    engine_image(a, 3 * MIB, 1);
    engine_init(e, false, "zstd", BLOCK);
    repo = engine_open(e);
    one = engine_backup(repo, a, "web", NULL);
    before = engine_files(engine_path(e, "repo/packs"));
    /* While its packs are condemned the same content is stored again; then both points are visible. */
    json_t *point = NULL;
    engine_ok(bdr_point_load(repo, one.point_id, &point));
    json_object_del(point, "base");
    engine_ok(bdr_point_remove(repo, one.point_id));
    engine_age(e->repo, 3600);
    s = session(repo, "keeper");
    engine_prune(repo);
    two = engine_backup(repo, a, "web", NULL);
    assert_true(two.new_bytes > 0);
    engine_ok(bdr_session_publish(s, point, one.point_id));
    json_decref(point);
    after = engine_files(engine_path(e, "repo/packs"));
    assert_true(after.n >= before.n + 2);
    /* The first copy is damaged: nobody is hurt, verify tells of the object. */
    for (size_t i = 0; i < before.n; i++) {
        char path[320];

        snprintf(path, sizeof(path), "%s/packs/%s", e->repo, before.name[i]);
        engine_scribble(path, 100, 40, 1);
        lost++;
    }
    engine_same(repo, two.point_id, a);
    engine_same(repo, one.point_id, a);
    struct bdr_verify_result r;
    engine_ok(bdr_verify(repo, &(struct bdr_verify_options){.depth = BDR_VERIFY_ALL}, &r));
    assert_int_equal(r.n_damage, 0);
    assert_int_equal(r.n_bad, lost);
    bdr_verify_free(&r);
    bdr_repo_close(repo);
    /* And lost altogether. */
    for (size_t i = 0; i < before.n; i++) {
        char path[320];

        snprintf(path, sizeof(path), "%s/packs/%s", e->repo, before.name[i]);
        assert_int_equal(unlink(path), 0);
    }
    repo = engine_open(e);
    engine_same(repo, one.point_id, a);
    engine_verify_clean(repo);
    engine_prune(repo);
    engine_same(repo, two.point_id, a);
    engine_verify_clean(repo);
    bdr_repo_close(repo);
    engine_files_free(&before);
    engine_files_free(&after);
}

/* A short last block that has the very bytes of another disk's map node: its id is the node's. */
static void test_mark__block_with_the_bytes_of_a_node__hides_nothing(void **state)
{
    struct engine *e = *state;
    const char *a = engine_path(e, "a.img"), *b = engine_path(e, "b.img");
    uint8_t node[16 + 64 * 32], *buf = malloc(BLOCK);
    struct bdr_backup_result one, two;
    struct bdr_session *s;
    struct bdr_repo *repo;
    size_t len = 16;
    uint64_t bits = 0;
    int fd;

    /* Without encryption anybody can compute the node of a disk they know. */
    engine_image(a, 20 * BLOCK, 1);
    engine_init(e, false, "none", BLOCK);
    repo = engine_open(e);
    s = session(repo, "none");
    fd = open(a, O_RDONLY);
    for (uint32_t i = 0; i < 20; i++) {
        struct bdr_id id;

        assert_int_equal(pread(fd, buf, BLOCK, (off_t)i * BLOCK), BLOCK);
        if (bdr_all_zero(buf, BLOCK))
            continue;
        bits |= 1ull << i;
        engine_ok(bdr_session_id(s, buf, BLOCK, &id));
        memcpy(node + len, id.b, 32);
        len += 32;
    }
    close(fd);
    bdr_session_abandon(s);
    memcpy(node, "BDRN\1\0\0\0", 8);
    for (size_t i = 0; i < 8; i++)
        node[8 + i] = (uint8_t)(bits >> (8 * i));
    fd = open(b, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, node, len), len);
    close(fd);
    /* Both orders of marking: the hosts' keys decide, so every name is tried in turn. */
    for (int i = 0; i < 4; i++) {
        char host[16];

        snprintf(host, sizeof(host), "host%d", i);
        two = engine_backup(repo, b, host, NULL);
    }
    one = engine_backup(repo, a, "web", NULL);
    engine_age(e->repo, 3600);
    engine_prune(repo);
    engine_verify_clean(repo);
    engine_same(repo, one.point_id, a);
    engine_same(repo, two.point_id, b);
    bdr_repo_close(repo);
    free(buf);
}

/* ---- retention ---- */

struct keep_case {
    const char *when;
    bool keep;
};

static int64_t ms_of(const char *text)
{
    int64_t ms = 0;

    engine_ok(bdr_clock_parse(text, &ms));
    return ms;
}

static void keeps(const struct bdr_keep *keep, const char *now, const struct keep_case *rows, size_t n)
{
    struct bdr_point_info points[32];
    struct bdr_keep_row out[32];

    assert_true(n <= 32);
    memset(points, 0, sizeof(points));
    for (size_t i = 0; i < n; i++) {
        snprintf(points[i].host, sizeof(points[i].host), "web");
        snprintf(points[i].id, sizeof(points[i].id), "%032zu", i);
        points[i].time_ms = ms_of(rows[i].when);
    }
    bdr_keep_decide(keep, points, n, ms_of(now), out);
    for (size_t i = 0; i < n; i++)
        if (out[i].keep != rows[i].keep)
            fail_msg("%s: %s, because: %s", rows[i].when, out[i].keep ? "kept" : "not kept", out[i].why);
}
#define KEEPS(keep, now, ...)                                                                                          \
    do {                                                                                                               \
        const struct keep_case rows_[] = {__VA_ARGS__};                                                                \
        keeps(&(struct bdr_keep)keep, now, rows_, BDR_COUNT(rows_));                                                   \
    } while (0)
#define KEEP(...) {__VA_ARGS__}

static void test_keep__each_rule__keeps_the_newest_of_its_period(void **state)
{
    (void)state;
    KEEPS(KEEP(.last = 2), "2026-11-22", {"2026-11-20", false}, {"2026-11-21", true}, {"2026-11-22", true});
    KEEPS(KEEP(.hourly = 2), "2026-11-22", {"2026-11-20T09:10", false}, {"2026-11-20T10:10", true},
          {"2026-11-20T11:10", false}, {"2026-11-20T11:59", true});
    KEEPS(KEEP(.daily = 2), "2026-11-22", {"2026-11-18T23:59", false}, {"2026-11-19T00:00", false},
          {"2026-11-19T23:59", true}, {"2026-11-20T00:00", false}, {"2026-11-20T12:00", true});
    KEEPS(KEEP(.monthly = 3), "2026-11-22", {"2025-12-31", true}, {"2026-01-01", false}, {"2026-01-31", true},
          {"2026-11-01", false}, {"2026-11-21", true});
    KEEPS(KEEP(.yearly = 2), "2026-11-22", {"2023-06-01", false}, {"2024-12-31", true}, {"2026-01-01", false},
          {"2026-11-21", true});
    KEEPS(KEEP(.within_ms = 86400000ull), "2026-11-22T12:00", {"2026-11-21T11:59", false}, {"2026-11-21T12:00", true},
          {"2026-11-22T11:00", true});
}

static void test_keep__iso_week_at_the_years_end__is_one_week(void **state)
{
    (void)state;
    /* Monday 2024-12-30 to Sunday 2025-01-05 is week 1 of 2025; 2026-12-28 to 2027-01-03 is week 53 of 2026. */
    KEEPS(KEEP(.weekly = 2), "2025-01-10", {"2024-12-28", false}, {"2024-12-29", true}, {"2024-12-30", false},
          {"2025-01-01", false}, {"2025-01-05", true});
    KEEPS(KEEP(.weekly = 3), "2027-01-10", {"2026-12-26", false}, {"2026-12-27", true}, {"2026-12-28", false},
          {"2026-12-31", false}, {"2027-01-03", true}, {"2027-01-04", true});
}

static void test_keep__newest_and_no_rule(void **state)
{
    (void)state;
    KEEPS(KEEP(.last = 0), "2026-11-22", {"2020-01-01", true}, {"2021-01-01", true});
    /* Nothing is young enough, but the newest stays all the same. */
    KEEPS(KEEP(.within_ms = 1000), "2026-11-22", {"2020-01-01", false}, {"2021-01-01", true});
    /* Rules add up; one point may serve several. */
    KEEPS(KEEP(.last = 1, .daily = 2, .yearly = 2), "2026-11-22", {"2025-05-05", true}, {"2026-11-19", false},
          {"2026-11-20", true}, {"2026-11-21T10:00", false}, {"2026-11-21T11:00", true});
}

static void test_keep__hosts_are_judged_alone(void **state)
{
    struct bdr_point_info points[4];
    struct bdr_keep_row out[4];

    (void)state;
    memset(points, 0, sizeof(points));
    for (size_t i = 0; i < 4; i++) {
        snprintf(points[i].host, sizeof(points[i].host), "%s", i < 2 ? "a" : "b");
        points[i].time_ms = ms_of(i < 2 ? "2020-01-01" : "2026-01-01") + (int64_t)i;
    }
    bdr_keep_decide(&(struct bdr_keep){.last = 1}, points, 4, ms_of("2026-11-22"), out);
    assert_false(out[0].keep);
    assert_true(out[1].keep);
    assert_false(out[2].keep);
    assert_true(out[3].keep);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_prune__half_dead_packs__are_rewritten),
        T(test_prune__plain__frees_all),
        T(test_prune__small_packs__are_merged),
        T(test_prune__dry_run__changes_nothing),
        T(test_prune__blocks_of_an_open_session__stay),
        T(test_prune__condemned__new_sessions_store_again),
        T(test_prune__condemned__sessions_with_another_index_store_again),
        T(test_prune__point_published_after_condemnation__keeps_its_blocks),
        T(test_publish__base_removed_with_condemned_packs__is_stale),
        T(test_prune__killed_session__is_noticed),
        T(test_prune__two_at_once__one_is_busy),
        T(test_copies__one_of_two_packs_is_lost__reads_go_on),
        T(test_mark__block_with_the_bytes_of_a_node__hides_nothing),
        cmocka_unit_test(test_keep__each_rule__keeps_the_newest_of_its_period),
        cmocka_unit_test(test_keep__iso_week_at_the_years_end__is_one_week),
        cmocka_unit_test(test_keep__newest_and_no_rule),
        cmocka_unit_test(test_keep__hosts_are_judged_alone),
    };

    engine_workers = 1; /* how blocks lie in packs is known then */
    return cmocka_run_group_tests_name("gc", tests, NULL, NULL);
}
