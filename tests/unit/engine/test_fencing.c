/* SPDX-License-Identifier: Apache-2.0 */
/* test_fencing.c - one writer a host: leases count up, a newer writer fences the older off before it can publish. */
#include "bdr/session.h"
#include "bdr/store_fault.h"
#include "engine.h"
#include "presence.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct bdr_err *begin(struct bdr_repo *repo, const char *host, bool take_over, struct bdr_session **out)
{
    return bdr_session_begin(repo, &(struct bdr_session_options){.host = host, .take_over = take_over}, out);
}

/* An empty point: a manifest without disks is one. */
static struct bdr_err *publish(struct bdr_session *s, char id[33])
{
    json_t *point = json_pack("{s:[]}", "disks");
    struct bdr_err *err = bdr_session_publish(s, point, id);

    json_decref(point);
    return err;
}

static uint64_t lease_of(struct bdr_repo *repo, const char *id)
{
    json_t *point = NULL;
    uint64_t n;

    engine_ok(bdr_point_load(repo, id, &point));
    n = (uint64_t)json_integer_value(json_object_get(point, "lease"));
    json_decref(point);
    return n;
}

static void test_lease__numbers_count_up(void **state)
{
    struct engine *e = *state;
    struct bdr_session *s = NULL;
    struct bdr_repo *repo;
    uint64_t last = 0;
    char id[33];

    engine_init(e, true, "lz4", 65536);
    repo = engine_open(e);
    for (int i = 0; i < 5; i++) {
        engine_ok(begin(repo, "web", false, &s));
        engine_ok(publish(s, id));
        assert_true(lease_of(repo, id) > last);
        last = lease_of(repo, id);
    }
    /* Another host has numbers of its own. */
    engine_ok(begin(repo, "db", false, &s));
    engine_ok(publish(s, id));
    assert_int_equal(lease_of(repo, id), 1);
    bdr_repo_close(repo);
}

static void test_begin__another_writer_lives__is_busy(void **state)
{
    struct engine *e = *state;
    struct bdr_session *a = NULL, *b = NULL, *c = NULL;
    struct bdr_repo *repo, *other;
    char id[33];

    engine_init(e, false, "lz4", 65536);
    repo = engine_open(e);
    other = engine_open(e);
    engine_ok(begin(repo, "web", false, &a));
    engine_fails(begin(other, "web", false, &b), BDR_BUSY);
    engine_ok(begin(other, "db", false, &c)); /* another host is free */
    engine_ok(publish(a, id));
    engine_ok(begin(other, "web", false, &b));
    engine_ok(publish(b, id));
    bdr_session_abandon(c);
    bdr_repo_close(other);
    bdr_repo_close(repo);
}

static void test_take_over__fences_the_older_at_publish(void **state)
{
    struct engine *e = *state;
    struct bdr_session *a = NULL, *b = NULL;
    struct bdr_point_info *points = NULL;
    struct bdr_repo *repo, *other;
    char id[33];
    size_t n;

    engine_init(e, true, "lz4", 65536);
    repo = engine_open(e);
    other = engine_open(e);
    engine_ok(begin(repo, "web", false, &a));
    engine_ok(begin(other, "web", true, &b));
    engine_fails(publish(a, id), BDR_FENCED);
    engine_ok(bdr_repo_points(repo, &points, &n));
    assert_int_equal(n, 0);
    free(points);
    engine_ok(publish(b, id));
    engine_ok(bdr_repo_points(repo, &points, &n));
    assert_int_equal(n, 1);
    free(points);
    /* Also when the newer one has come and gone. */
    engine_ok(begin(repo, "web", false, &a));
    engine_ok(begin(other, "web", true, &b));
    engine_ok(publish(b, id));
    engine_fails(publish(a, id), BDR_FENCED);
    bdr_repo_close(other);
    bdr_repo_close(repo);
}

/* A session whose object somebody removed (declared dead) publishes nothing. */
static void test_publish__declared_dead__is_fenced(void **state)
{
    struct engine *e = *state;
    struct bdr_session *s = NULL;
    struct bdr_store *st = NULL;
    struct bdr_repo *repo;
    char key[64], id[33];

    engine_init(e, false, "lz4", 65536);
    repo = engine_open(e);
    engine_ok(begin(repo, "web", false, &s));
    snprintf(key, sizeof(key), "sessions/%s", bdr_session_presence(s));
    engine_ok(bdr_store_open(e->repo, &(struct bdr_store_options){0}, &st));
    engine_ok(bdr_store_remove(st, key));
    engine_fails(publish(s, id), BDR_FENCED);
    bdr_store_close(st);
    bdr_repo_close(repo);
}

struct child_ctx {
    struct engine *e;
    int fd;
};

static int child_writer(void *raw)
{
    struct child_ctx *c = raw;
    struct bdr_repo *repo = engine_open(c->e);
    struct bdr_session *s = NULL;

    engine_ok(begin(repo, "web", false, &s));
    if (write(c->fd, "r", 1) != 1)
        return 1;
    for (;;)
        pause();
}

/* A process that was killed binds nobody, and one that is only stopped still does. */
static void test_begin__writer_stopped_or_killed(void **state)
{
    struct engine *e = *state;
    struct bdr_session *s = NULL;
    struct bdr_repo *repo;
    int fds[2];
    char c, id[33];
    pid_t pid;

    engine_init(e, false, "lz4", 65536);
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(child_writer(&(struct child_ctx){e, fds[1]}));
    }
    assert_int_equal(read(fds[0], &c, 1), 1);
    repo = engine_open(e);
    kill(pid, SIGSTOP);
    engine_age(e->repo, 7200); /* however old its objects look */
    engine_fails(begin(repo, "web", false, &s), BDR_BUSY);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    engine_ok(begin(repo, "web", false, &s));
    engine_ok(publish(s, id));
    bdr_repo_close(repo);
    close(fds[0]);
    close(fds[1]);
}

/* ---- between the check and the put ---- */

enum meanwhile { TAKEN_OVER, DECLARED_DEAD, SESSION_PRUNED };

struct moment {
    struct bdr_repo *other;
    enum meanwhile what;
    bool done;
};

/* What happens while the writer sleeps with its manifest ready to be put. */
static void meanwhile(void *ctx, const char *key)
{
    struct moment *m = ctx;
    struct bdr_session *b = NULL;
    char id[33];

    if (strncmp(key, "points/", 7) != 0 || m->done)
        return;
    m->done = true;
    if (m->what == TAKEN_OVER) {
        engine_ok(begin(m->other, "web", true, &b));
        engine_ok(publish(b, id));
    } else {
        BDR_AUTO(json) json_t *keys = NULL;

        engine_ok(bdr_repo_list(m->other, "sessions/", &keys));
        assert_int_equal(json_array_size(keys), 1);
        engine_ok(bdr_store_remove(m->other->store, json_string_value(json_array_get(keys, 0))));
        if (m->what == SESSION_PRUNED) {
            engine_age(m->other->store->url, 3600);
            assert_true(engine_prune(m->other).packs_removed > 0);
        }
    }
}

static void test_publish__overtaken_between_check_and_put__is_taken_back(void **state)
{
    struct engine *e = *state;
    char image[160];

    snprintf(image, sizeof(image), "%s/image", e->dir);
    engine_image(image, 1 << 20, 5);
    for (int what = TAKEN_OVER; what <= SESSION_PRUNED; what++) {
        struct moment m = {.what = (enum meanwhile)what};
        struct bdr_point_info *points = NULL;
        struct bdr_backup_result r;
        struct bdr_repo *repo;
        size_t n = 0;

        engine_remove(e->repo);
        engine_init(e, false, "lz4", 65536);
        repo = engine_open(e);
        m.other = engine_open(e);
        engine_ok(bdr_store_wrap_fault(&repo->store, &(struct bdr_store_fault){.before_put = meanwhile, .ctx = &m}));
        repo->env.store = repo->store;
        engine_fails(engine_try_backup(repo, image, "web", NULL, &r), BDR_FENCED);
        assert_true(m.done);
        engine_ok(bdr_repo_points(m.other, &points, &n));
        assert_int_equal(n, what == TAKEN_OVER); /* the other's */
        free(points);
        engine_verify_clean(m.other);
        bdr_repo_close(repo);
        bdr_repo_close(m.other);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_lease__numbers_count_up),
        T(test_begin__another_writer_lives__is_busy),
        T(test_take_over__fences_the_older_at_publish),
        T(test_publish__declared_dead__is_fenced),
        T(test_begin__writer_stopped_or_killed),
        T(test_publish__overtaken_between_check_and_put__is_taken_back),
    };

    return cmocka_run_group_tests_name("fencing", tests, NULL, NULL);
}
