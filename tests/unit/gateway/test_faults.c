/* SPDX-License-Identifier: Apache-2.0 */
/* Killed programs, cut networks, full disks: what was sent counts, and what is published is whole. */
#include "bed.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "relay.h"
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

/* An image that no codec makes smaller. */
static char *noise(struct bed *b, const char *name, uint64_t size, uint32_t seed)
{
    char *path = strdup(bed_file(b, name));

    assert_non_null(path);
    engine_image(path, size, seed);
    engine_scribble(path, 0, size, seed);
    return path;
}

/* Waits until `ready` says so; the test fails after a minute. */
static void await(bool (*ready)(void *ctx), void *ctx)
{
    uint64_t end = bdr_clock_mono_ms() + 60000;

    while (!ready(ctx)) {
        assert_true(bdr_clock_mono_ms() < end);
        bdr_err_drop(bdr_cancel_sleep(NULL, 2), "never cancelled");
    }
}

/* ---- a backup in a thread of its own ---- */

struct runner {
    struct bdr_sink *sink;
    const char *image;
    struct bdr_backup_meter meter;
    struct bdr_cancel cancel;
    struct bdr_backup_result r;
    struct bdr_pool *pool;
};

static struct bdr_err *runner_main(void *ctx, unsigned index)
{
    struct runner *run = ctx;

    (void)index;
    return bed_backup_to(run->sink, run->image, NULL, &run->meter, &run->cancel, &run->r);
}

static void runner_start(struct runner *run)
{
    engine_ok(bdr_pool_start("runner", 1, runner_main, run, NULL, &run->pool));
}

static bool runner_stored_16(void *ctx)
{
    return atomic_load(&((struct runner *)ctx)->meter.stored_bytes) >= 16 * MIB;
}

/* ---- the gateway as a program ---- */

static pid_t program_start(struct bed *b)
{
    const char *exe = getenv("BDR_GATEWAY");
    char listen[32], *state = strdup(bed_file(b, "state")), *log = strdup(bed_file(b, "gateway.log"));
    char *hosts = strdup(bed_file(b, "hosts")), *ca = strdup(bed_file(b, "ca.crt"));
    char *crt = strdup(bed_file(b, "server.crt")), *key = strdup(bed_file(b, "server.key"));
    const char *argv[] = {exe, "serve", "--listen", listen, "--hosts", hosts, "--ca", ca, "--cert", crt, "--key", key,
                          "--state", state, NULL};
    pid_t pid;

    assert_non_null(exe);
    snprintf(listen, sizeof(listen), "127.0.0.1:%u", b->port);
    pid = fork();
    if (pid == 0) {
        int fd = open(log, O_CREAT | O_APPEND | O_WRONLY, 0600);

        dup2(fd, 1);
        dup2(fd, 2);
        execv(exe, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    assert_true(pid > 0);
    free(state);
    free(log);
    free(hosts);
    free(ca);
    free(crt);
    free(key);
    return pid;
}

static bool port_open(void *ctx)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(((struct bed *)ctx)->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = !connect(fd, (struct sockaddr *)&a, sizeof(a));

    close(fd);
    return open;
}

/* A port that was free a moment ago. */
static uint16_t port_free(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) &&
                !getsockname(fd, (struct sockaddr *)&a, &len));
    close(fd);
    return ntohs(a.sin_port);
}

static void program_end(pid_t pid, int signal)
{
    int status = 0;

    assert_int_equal(kill(pid, signal), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (signal == SIGTERM)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_gateway__killed_in_an_upload__the_rest_is_sent(void **state)
{
    struct bed *b = *state;
    char *image = noise(b, "a.img", 48 * MIB, 5);
    atomic_uint_fast64_t bps = 64 * MIB;
    struct runner run = {.image = image};
    struct bdr_backup_result r = {0};
    struct bdr_err *err;
    uint64_t stored;
    pid_t pid;

    engine_init(b->e, false, "none", 65536);
    b->port = port_free();
    pid = program_start(b);
    await(port_open, b);
    run.sink = bed_sink(b, "m1", 1, 0, 0);
    runner_start(&run);
    await(runner_stored_16, &run);
    program_end(pid, SIGKILL);
    stored = atomic_load(&run.meter.stored_bytes);
    pid = program_start(b);
    err = bdr_pool_join(run.pool); /* the session is gone: the job's next try */
    assert_non_null(err);
    assert_true(bdr_code_retryable(err->code));
    bdr_err_free(err);
    bdr_sink_free(run.sink);
    (void)bps;
    engine_ok(bed_try(b, 1, image, NULL, &r));
    /* What was in packs counts; the pack that was being written (4 MiB here) does not. */
    assert_true(r.sent_bytes < 48 * MIB - stored + 8 * MIB);
    program_end(pid, SIGTERM);
    bed_same(b, r.point_id, image);
    free(image);
}

struct client_watch {
    struct bed *b;
    uint64_t bytes;
};
static bool client_sent(void *ctx)
{
    struct client_watch *w = ctx;
    struct gw_stats st;

    gw_stats(w->b->gw, &st);
    return st.frame_bytes >= w->bytes;
}

static void test_client__killed_in_an_upload__the_rest_is_sent(void **state)
{
    struct bed *b = *state;
    char *image = noise(b, "a.img", 48 * MIB, 6), url[64], *ca, *crt, *key;
    struct client_watch w = {b, 16 * MIB};
    struct bdr_backup_result r;
    struct gw_stats st;
    pid_t pid;

    bed_start(b, false, "none", 65536);
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", b->port);
    ca = strdup(bed_file(b, "ca.crt"));
    crt = strdup(bed_file(b, "m1.crt"));
    key = strdup(bed_file(b, "m1.key"));
    assert_non_null(getenv("BDR"));
    pid = fork();
    if (pid == 0) {
        execl(getenv("BDR"), "bdr", "backup", "--repo", url, "--host-number", "1", "--fence", "1", "--ca", ca, "--cert", crt,
              "--key", key, "--bandwidth", "30M", "--quiet", image, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    await(client_sent, &w);
    program_end(pid, SIGKILL);
    gw_stats(b->gw, &st);
    assert_int_equal(st.points, 0);
    b->fence = 1;
    r = bed_backup(b, 1, image, NULL);
    assert_true(r.sent_bytes < 48 * MIB - 16 * MIB + MIB);
    bed_same(b, r.point_id, image);
    free(image);
    free(ca);
    free(crt);
    free(key);
}

static void test_cli__backup_through_a_gateway__as_any_other(void **state)
{
    struct bed *b = *state;
    char *image = noise(b, "a.img", 4 * MIB, 6), url[64];
    char *ca = strdup(bed_file(b, "ca.crt")), *crt = strdup(bed_file(b, "m1.crt")), *key = strdup(bed_file(b, "m1.key"));
    const char *good[] = {getenv("BDR"), "backup", "--repo", url, "--host-number", "1", "--ca", ca, "--cert", crt,
                          "--key", key, "--quiet", image, NULL};
    const char *foreign[] = {getenv("BDR"), "backup", "--repo", url, "--host-number", "2", "--ca", ca, "--cert", crt,
                             "--key", key, "--quiet", image, NULL};
    const char *nobody[] = {getenv("BDR"), "backup", "--repo", url, "--quiet", image, NULL};
    struct gw_stats st;

    bed_start(b, false, "zstd", 65536);
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", b->port);
    assert_int_equal(engine_run(good), 0);
    assert_int_equal(engine_run(foreign), 6);
    assert_int_equal(engine_run(nobody), 2);
    gw_stats(b->gw, &st);
    assert_int_equal(st.points, 1);
    free(image);
    free(ca);
    free(crt);
    free(key);
}

/* ---- the network ---- */

static void test_network__cut_again_and_again__the_backup_goes_on(void **state)
{
    struct bed *b = *state;
    char *image = noise(b, "a.img", 48 * MIB, 8);
    struct runner run = {.image = image};
    struct relay *relay;

    bed_start(b, false, "none", 65536);
    relay = relay_start(b->port);
    run.sink = bed_sink(b, "m1", 1, 0, relay_port(relay));
    relay_cut_after(relay, 5 * MIB);
    runner_start(&run);
    for (unsigned cut = 1; cut <= 4; cut++) {
        uint64_t end = bdr_clock_mono_ms() + 60000;

        while (relay_cuts(relay) < cut && bdr_clock_mono_ms() < end)
            bdr_err_drop(bdr_cancel_sleep(NULL, 2), "never cancelled");
        relay_cut_after(relay, cut < 4 ? 6 * MIB : 0);
    }
    engine_ok(bdr_pool_join(run.pool));
    assert_true(relay_cuts(relay) >= 4);
    assert_int_equal(run.r.new_bytes, 48 * MIB);
    /* Each cut costs what was on its way at most. */
    assert_true(relay_bytes(relay) < 48 * MIB + 4 * 8 * MIB + 4 * MIB);
    bdr_sink_free(run.sink);
    relay_stop(relay);
    bed_same(b, run.r.point_id, image);
    free(image);
}

static void test_gateway__restarted_in_order__the_next_try_sends_the_rest(void **state)
{
    struct bed *b = *state;
    char *image = noise(b, "a.img", 48 * MIB, 9);
    struct runner run = {.image = image};
    struct bdr_backup_result r;
    struct bdr_err *err;
    uint64_t stored;

    bed_start(b, false, "none", 65536);
    run.sink = bed_sink(b, "m1", 1, 0, 0);
    runner_start(&run);
    await(runner_stored_16, &run);
    bed_down(b);
    stored = atomic_load(&run.meter.stored_bytes);
    bed_up(b);
    err = bdr_pool_join(run.pool);
    assert_non_null(err);
    assert_true(bdr_code_retryable(err->code));
    bdr_err_free(err);
    bdr_sink_free(run.sink);
    r = bed_backup(b, 1, image, NULL);
    assert_true(r.sent_bytes < 48 * MIB - stored + MIB); /* also what was in the last pack */
    bed_same(b, r.point_id, image);
    free(image);
}

static void test_cancel__in_an_upload__within_a_second(void **state)
{
    struct bed *b = *state;
    char *image = noise(b, "a.img", 48 * MIB, 9);
    struct runner run = {.image = image};
    struct bdr_err *err;
    uint64_t begun;

    bed_start(b, false, "none", 65536);
    run.sink = bed_sink(b, "m1", 1, 0, 0);
    runner_start(&run);
    await(runner_stored_16, &run);
    begun = bdr_clock_mono_ms();
    bdr_cancel_set(&run.cancel);
    err = bdr_pool_join(run.pool);
    assert_true(bdr_clock_mono_ms() - begun < 1500);
    engine_fails(err, BDR_CANCELLED);
    bdr_sink_free(run.sink);
    free(image);
}

static void test_two_writers__the_older_is_fenced(void **state)
{
    struct bed *b = *state;
    char *image = noise(b, "a.img", 48 * MIB, 10);
    struct runner old = {.image = image};
    struct bdr_backup_result r;
    struct bdr_err *err;
    struct gw_stats st;

    bed_start(b, false, "none", 65536);
    b->fence = 10;
    old.sink = bed_sink(b, "m1", 1, 5, 0);
    runner_start(&old);
    await(runner_stored_16, &old);
    r = bed_backup(b, 1, image, NULL); /* fence 11 */
    err = bdr_pool_join(old.pool);
    assert_non_null(err);
    bdr_err_free(err);
    engine_fails(bed_backup_to(old.sink, image, NULL, NULL, NULL, &old.r), BDR_FENCED);
    gw_stats(b->gw, &st);
    assert_int_equal(st.points, 1);
    bdr_sink_free(old.sink);
    bed_same(b, r.point_id, image);
    free(image);
}

static void test_bandwidth__of_a_host__is_kept(void **state)
{
    struct bed *b = *state;
    char *image = noise(b, "a.img", 8 * MIB, 10);
    uint64_t begun;

    bed_start(b, false, "none", 65536);
    bed_also(b, "host 500 slow repository=1 machine=m1 bandwidth=4M");
    begun = bdr_clock_mono_ms();
    bed_backup(b, 500, image, NULL);
    assert_in_range(bdr_clock_mono_ms() - begun, 1500, 20000); /* 2 s by the limit */
    free(image);
}

struct raise {
    struct bdr_backup_meter meter;
    atomic_uint_fast64_t bps;
};
static void *raise_when_it_reads(void *ctx)
{
    struct raise *r = ctx;

    while (!atomic_load(&r->meter.read_bytes))
        bdr_err_drop(bdr_cancel_sleep(NULL, 5), "never cancelled");
    atomic_store(&r->bps, 0);
    return NULL;
}

/* A worker that writes a repository itself keeps to its job's limit, too, and a new limit is felt while it runs. */
static void test_bandwidth__without_a_gateway__is_kept_and_changes(void **state)
{
    struct bed *b = *state;
    char *image = noise(b, "a.img", 8 * MIB, 10), *other = noise(b, "b.img", 8 * MIB, 11);
    BDR_AUTO(sink) struct bdr_sink *sink = NULL;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    struct bdr_backup_result r = {0};
    struct raise raise = {.bps = 4 * MIB};
    uint64_t begun;
    pthread_t t;

    bed_start(b, false, "none", 65536);
    repo = bed_repo(b);
    engine_ok(bdr_sink_local(repo, &sink));
    bdr_sink_local_limit(sink, &raise.bps);
    begun = bdr_clock_mono_ms();
    engine_ok(bed_backup_to(sink, image, NULL, NULL, NULL, &r));
    assert_true(bdr_clock_mono_ms() - begun >= 1500); /* 2 s by the limit */
    bed_same(b, r.point_id, image);
    atomic_store(&raise.bps, 1); /* outside of a policy's hours: that would take 97 days */
    assert_int_equal(pthread_create(&t, NULL, raise_when_it_reads, &raise), 0);
    engine_ok(bed_backup_to(sink, other, NULL, &raise.meter, NULL, &r));
    pthread_join(t, NULL);
    bed_same(b, r.point_id, other);
    free(image);
    free(other);
}

/* ---- a full disk ---- */

static void test_disk__full__507_and_nothing_lost(void **state)
{
    struct bed *b = *state;
    char *small = noise(b, "s.img", 4 * MIB, 20), *image = noise(b, "a.img", 64 * MIB, 21);
    struct bdr_backup_result first, r = {0};
    struct bdr_err *err;
    struct bdr_repo *repo;
    char text[1024];

    engine_ok(bdr_os_mkdirs(b->e->repo));
    if (mount("tmpfs", b->e->repo, "tmpfs", 0, "size=40m")) {
        free(small);
        free(image);
        skip();
    }
    bed_start(b, false, "none", 65536);
    first = bed_backup(b, 2, small, NULL);
    err = bed_try(b, 1, image, NULL, &r);
    if (!err || err->code != BDR_NOSPACE) {
        umount2(b->e->repo, MNT_DETACH);
        engine_fails(err, BDR_NOSPACE);
    }
    bdr_err_text(err, text, sizeof(text));
    assert_non_null(strstr(text, "HTTP 507"));
    assert_null(strstr(strstr(text, "HTTP 507") + 1, "HTTP 507")); /* told once */
    bdr_err_free(err);
    bed_same(b, first.point_id, small); /* what was there is there */
    assert_int_equal(mount("tmpfs", b->e->repo, "tmpfs", MS_REMOUNT, "size=200m"), 0);
    engine_ok(bed_try(b, 1, image, NULL, &r));
    assert_true(r.sent_bytes < 56 * MIB); /* what had been stored is not sent again */
    bed_same(b, r.point_id, image);
    repo = bed_repo(b);
    engine_verify_clean(repo);
    bdr_repo_close(repo);
    bed_down(b);
    umount2(b->e->repo, MNT_DETACH);
    free(small);
    free(image);
}

#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
int main(void)
{
    bdr_log_setup(BDR_LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        T(test_gateway__killed_in_an_upload__the_rest_is_sent),
        T(test_client__killed_in_an_upload__the_rest_is_sent),
        T(test_cli__backup_through_a_gateway__as_any_other),
        T(test_network__cut_again_and_again__the_backup_goes_on),
        T(test_gateway__restarted_in_order__the_next_try_sends_the_rest),
        T(test_cancel__in_an_upload__within_a_second),
        T(test_two_writers__the_older_is_fenced),
        T(test_bandwidth__of_a_host__is_kept),
        T(test_bandwidth__without_a_gateway__is_kept_and_changes),
        T(test_disk__full__507_and_nothing_lost),
    };

    return cmocka_run_group_tests_name("gateway-faults", tests, NULL, NULL);
}
