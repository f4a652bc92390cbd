/* SPDX-License-Identifier: Apache-2.0 */
/* The Sync Proxy as a program, one or two of them, against the double of a console and a computed platform. */
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/platform.h"
#include "bdr/worker.h"
#include "console_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define WAIT_MS 60000
#define PROXIES 2

struct bed {
    struct console_double *d;
    char folder[64];
    pid_t proxy[PROXIES];
};

static void none(struct bdr_err *err)
{
    char text[512];

    if (err)
        fail_msg("%s", bdr_err_text(err, text, sizeof(text)));
}

static pid_t start(const char *log, const char *const *argv)
{
    pid_t pid = fork();

    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);

        dup2(fd, 1);
        dup2(fd, 2);
        if (getenv("BDR_SANITIZER")) /* looking for leaks needs ptrace, which the filter takes away */
            setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return pid;
}

static int ended(pid_t pid)
{
    int st;

    assert_int_equal(waitpid(pid, &st, 0), pid);
    return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

static void tool(struct bed *b, const char *const *argv)
{
    char log[96];

    snprintf(log, sizeof(log), "%s/tool.log", b->folder);
    assert_int_equal(ended(start(log, argv)), 0);
}

static void proxy_start(struct bed *b, size_t i)
{
    char state[96], log[96];
    const char *argv[] = {PROXY, "run", "--state", state, "--beat-ms", "150", NULL};

    snprintf(state, sizeof(state), "%s/proxy%zu", b->folder, i);
    snprintf(log, sizeof(log), "%s/proxy%zu.log", b->folder, i);
    b->proxy[i] = start(log, argv);
}

static int proxy_end(struct bed *b, size_t i, int sig)
{
    pid_t pid = b->proxy[i];

    b->proxy[i] = 0;
    kill(pid, sig);
    return ended(pid);
}

static struct bed *bed_new(void)
{
    struct bed *b = calloc(1, sizeof(*b));
    char path[96], repo[96];
    const char *init[] = {BDR, "init", "--repo", repo, "--encrypt", "--passphrase-file", path, NULL};

    assert_non_null(b);
    snprintf(b->folder, sizeof(b->folder), "/tmp/bdr-proxy-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    snprintf(path, sizeof(path), "%s/pass", b->folder);
    snprintf(repo, sizeof(repo), "%s/repo", b->folder);
    none(bdr_os_replace_file(path, "sesame\n", 7, 0600, false));
    tool(b, init);
    b->d = double_new();
    b->d->disks_max = 7;
    b->d->http_timeout_s = 30;
    b->d->lease_s = 2;
    double_serve(b->d);
    for (size_t i = 0; i < PROXIES; i++) {
        char state[96];

        snprintf(state, sizeof(state), "%s/proxy%zu", b->folder, i);
        double_token(b->d, "t");
        none(bdr_worker_enrol(&(struct bdr_worker_enrol){.state = state,
                                                         .console = b->d->url,
                                                         .ca = b->d->ca_print,
                                                         .token = "t",
                                                         .kind = BDR_MACHINE_PROXY,
                                                         .name = "p"}));
    }
    return b;
}

static void bed_free(struct bed *b)
{
    for (size_t i = 0; i < PROXIES; i++)
        if (b->proxy[i])
            assert_int_equal(proxy_end(b, i, SIGTERM), 0);
    double_free(b->d);
    none(bdr_os_remove_tree(b->folder));
    free(b);
}

#define SIZE_TEXT "16777216"
static uint64_t sync_job(struct bed *b, const char *options)
{
    char work[1200];

    snprintf(work, sizeof(work),
             "{\"kind\":\"sync\",\"host\":4,\"label\":\"vm4\",\"ref\":\"h3\",\"store\":{\"repository\":1,\"url\":\"%s/"
             "repo\",\"passphrase\":"
             "\"sesame\",\"compress\":\"lz4\"},\"platform\":{\"id\":9,\"kind\":\"mem\",\"endpoint\":\"mem:hosts=10,"
             "disks=2,size=" SIZE_TEXT ",seed=3,%s\",\"password\":\"mem\"},\"disks\":[{\"id\":1,\"ref\":\"h3-d0\","
                                       "\"name\":\"a\"},{\"id\":2,\"ref\":\"h3-d1\","
             "\"name\":\"b\"}]}",
             b->folder, options);
    return double_job(b->d, NULL, work);
}

static json_t *result_of(struct bed *b, uint64_t id)
{
    struct double_job j;
    json_t *doc;

    if (!double_wait_job(b->d, id, DOUBLE_FINISHED, WAIT_MS)) {
        j = double_job_of(b->d, id);
        fail_msg("the job does not end well: state %d %s %s", j.state, j.error_code, j.error_text);
    }
    doc = json_loads(double_job_of(b->d, id).result, 0, NULL);
    assert_non_null(doc);
    return doc;
}

/* The point's disks are those of the platform in that generation. */
static void same_as_platform(struct bed *b, const json_t *result, unsigned gen)
{
    struct bdr_platform *p = NULL;
    struct bdr_platform_snapshot *s = NULL;
    const char *refs[] = {"h3-d0", "h3-d1"};
    char endpoint[128], repo[96], pass[96], to[96];

    snprintf(endpoint, sizeof(endpoint), "mem:hosts=10,disks=2,size=" SIZE_TEXT ",seed=3,gen=%u", gen);
    snprintf(repo, sizeof(repo), "%s/repo", b->folder);
    snprintf(pass, sizeof(pass), "%s/pass", b->folder);
    snprintf(to, sizeof(to), "%s/back.raw", b->folder);
    none(bdr_platform_open(&(struct bdr_platform_spec){.kind = "mem", .endpoint = endpoint, .password = "mem"}, &p));
    none(bdr_platform_snapshot_begin(p, "h3", refs, 2, &s));
    for (size_t i = 0; i < 2; i++) {
        const char *name = i ? "1" : "0";
        const char *argv[] = {BDR,      "recover", json_string_value(json_object_get(result, "point")),
                              "--repo", repo,      "--passphrase-file",
                              pass,     "--disk",  name,
                              "--to",   to,        NULL};
        struct bdr_source *src = NULL;
        struct bdr_source_info info;
        uint8_t *want, *got;
        int fd;

        unlink(to);
        tool(b, argv);
        none(bdr_platform_source(s, i, &src));
        none(bdr_source_info(src, &info));
        want = malloc(info.size_bytes);
        got = malloc(info.size_bytes);
        none(bdr_source_read(src, 0, want, info.size_bytes));
        fd = open(to, O_RDONLY | O_CLOEXEC);
        none(bdr_os_pread(fd, to, got, info.size_bytes, 0));
        assert_memory_equal(want, got, info.size_bytes);
        close(fd);
        free(want);
        free(got);
        bdr_source_close(src);
    }
    bdr_platform_snapshot_end(s);
    bdr_platform_close(p);
}

/* ---- tests ---- */

static void test_scan__1203_hosts__told_in_parts(void **state)
{
    struct bed *b = bed_new();
    json_t *result;

    (void)state;
    proxy_start(b, 0);
    result = result_of(
        b,
        double_job(b->d, NULL,
                   "{\"kind\":\"scan\",\"platform\":{\"id\":9,\"kind\":\"mem\",\"endpoint\":\"mem:hosts=1203,disks=2,"
                   "size=1M\",\"password\":\"mem\"}}"));
    assert_int_equal(json_integer_value(json_object_get(result, "hosts")), 1203);
    assert_int_equal(b->d->host_parts, 3);
    assert_int_equal(b->d->hosts_seen, 1203);
    assert_true(b->d->hosts_complete);
    assert_non_null(strstr(b->d->hosts, "\"reason\":\"it is a template"));
    json_decref(result);
    bed_free(b);
}

static void test_scan__wrong_password__fails_and_says_so(void **state)
{
    struct bed *b = bed_new();
    uint64_t id;

    (void)state;
    proxy_start(b, 0);
    id = double_job(b->d, NULL,
                    "{\"kind\":\"scan\",\"platform\":{\"id\":9,\"kind\":\"mem\",\"endpoint\":\"mem:hosts=3\","
                    "\"password\":\"no\"}}");
    assert_true(double_wait_job(b->d, id, DOUBLE_FAILED, WAIT_MS));
    assert_string_equal(double_job_of(b->d, id).error_code, "AUTH");
    assert_int_equal(double_job_of(b->d, id).last_how, BDR_HOW_FAIL);
    assert_int_equal(b->d->host_parts, 0);
    bed_free(b);
}

static void test_sync__full_then_changes__both_are_the_platforms(void **state)
{
    struct bed *b = bed_new();
    json_t *first, *second;

    (void)state;
    proxy_start(b, 0);
    first = result_of(b, sync_job(b, "gen=2"));
    assert_true(json_is_true(json_object_get(first, "full")));
    same_as_platform(b, first, 2);
    second = result_of(b, sync_job(b, "gen=4,fault=read"));
    assert_false(json_is_true(json_object_get(second, "full")));
    assert_true(json_integer_value(json_object_get(second, "audited_blocks")) > 0); /* unchanged ones, read all the same */
    assert_true(json_integer_value(json_object_get(second, "read_bytes")) < 2 * 16777216);
    same_as_platform(b, second, 4);
    json_decref(first);
    json_decref(second);
    bed_free(b);
}

struct half {
    uint64_t id;
    char holder[33];
};
static bool half_way(struct console_double *d, void *ctx)
{
    struct half *h = ctx;
    struct double_job *j = &d->jobs[h->id - 1];

    snprintf(h->holder, sizeof(h->holder), "%s", j->holder);
    return j->state == DOUBLE_RUNNING && j->done_bytes > 1u << 20;
}

static size_t holder_of(const struct half *h)
{
    return !strcmp(h->holder, "00000000000000000000000000000001") ? 0 : 1;
}

static void test_proxy_dies_in_a_sync__the_other_goes_on(void **state)
{
    struct bed *b = bed_new();
    struct half h = {0};
    json_t *result;
    size_t first;

    (void)state;
    proxy_start(b, 0);
    proxy_start(b, 1);
    h.id = sync_job(b, "gen=2,slow_us=600000");
    assert_true(double_wait(b->d, half_way, &h, WAIT_MS));
    first = holder_of(&h);
    assert_int_equal(proxy_end(b, first, SIGKILL), 128 + SIGKILL);
    result = result_of(b, h.id);
    assert_int_equal(double_job_of(b->d, h.id).claims, 2);
    assert_int_equal(double_job_of(b->d, h.id).fence, 2);
    assert_string_not_equal(double_job_of(b->d, h.id).holder, h.holder);
    same_as_platform(b, result, 2);
    json_decref(result);
    bed_free(b);
}

static void test_drain__job_ends_well_and_nothing_new_is_taken(void **state)
{
    struct bed *b = bed_new();
    struct half h = {0};
    pid_t pid;
    uint64_t second;

    (void)state;
    proxy_start(b, 0);
    h.id = sync_job(b, "gen=2,slow_us=400000");
    assert_true(double_wait(b->d, half_way, &h, WAIT_MS));
    pid = b->proxy[0];
    b->proxy[0] = 0;
    kill(pid, SIGUSR1);
    second = sync_job(b, "gen=3");
    assert_int_equal(ended(pid), 0);
    assert_int_equal(double_job_of(b->d, h.id).state, DOUBLE_FINISHED);
    assert_int_equal(double_job_of(b->d, second).claims, 0);
    proxy_start(b, 1);
    json_decref(result_of(b, second));
    bed_free(b);
}

static bool two_run(struct console_double *d, void *ctx)
{
    unsigned n = 0;

    (void)ctx;
    for (size_t i = 0; i < d->n_jobs; i++)
        n += d->jobs[i].state == DOUBLE_RUNNING;
    return n == 4;
}

static void test_disks_max__no_more_at_once(void **state)
{
    struct bed *b = bed_new();
    uint64_t id = 0;
    char work[900];

    (void)state;
    b->d->disks_max = 4;
    proxy_start(b, 0);
    for (int i = 0; i < 6; i++) {
        snprintf(work, sizeof(work),
                 "{\"kind\":\"sync\",\"label\":\"vm%d\",\"ref\":\"h%d\",\"store\":{\"repository\":1,\"url\":\"%s/"
                 "repo\",\"passphrase\":"
                 "\"sesame\"},\"platform\":{\"id\":9,\"kind\":\"mem\",\"endpoint\":\"mem:hosts=10,size=8M,slow_us="
                 "100000\",\"password\":"
                 "\"mem\"},\"disks\":[{\"id\":1,\"ref\":\"h%d-d0\"}]}",
                 i, i % 6, b->folder, i % 6);
        id = double_job(b->d, NULL, work);
    }
    assert_true(double_wait(b->d, two_run, NULL, WAIT_MS)); /* four run; the others wait */
    for (uint64_t i = 1; i <= id; i++) {
        assert_true(double_wait_job(b->d, i, DOUBLE_FINISHED, WAIT_MS));
        assert_true(double_machine_of(b->d, 0).disks <= 4);
    }
    bed_free(b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan__1203_hosts__told_in_parts),
        cmocka_unit_test(test_scan__wrong_password__fails_and_says_so),
        cmocka_unit_test(test_sync__full_then_changes__both_are_the_platforms),
        cmocka_unit_test(test_proxy_dies_in_a_sync__the_other_goes_on),
        cmocka_unit_test(test_drain__job_ends_well_and_nothing_new_is_taken),
        cmocka_unit_test(test_disks_max__no_more_at_once),
    };

    bdr_log_setup(BDR_LOG_ERROR, false);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
