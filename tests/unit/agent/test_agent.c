/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole agent: the real program, two processes, against the double of a console, with a loop device and a
 * repository in a folder. What comes out of the repository is compared with the disk.
 */
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/track.h"
#include "bdr/worker.h"
#include "console_double.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define WAIT_MS 60000
#define USER    "nobody"

struct bed {
    const char *cpu; /* --cpu-percent; NULL: no limit */
    struct console_double *d;
    char folder[64], loop[64], state[128];
    pid_t agent, gateway;
    char gateway_url[64]; /* "": the agent writes the repository itself */
    uint64_t bytes;
};

static void none(struct bdr_err *err)
{
    char text[512];

    if (err)
        fail_msg("%s", bdr_err_text(err, text, sizeof(text)));
}

/* A command of the shell's; its exit code, and its first line when `out` is wanted. */
static int sh_code(char *out, size_t n, const char *fmt, va_list ap)
{
    char text[2048];
    int fds[2], st;
    pid_t pid;

    vsnprintf(text, sizeof(text), fmt, ap);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        execl("/bin/sh", "sh", "-c", text, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    if (out) {
        ssize_t got = read(fds[0], out, n - 1);

        out[got > 0 ? got : 0] = 0;
        out[strcspn(out, "\n")] = 0;
    }
    while (read(fds[0], text, sizeof(text)) > 0)
        ;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &st, 0), pid);
    return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

static void sh(const char *fmt, ...) BDR_PRINTF(1, 2);
static void sh(const char *fmt, ...)
{
    va_list ap;
    int code;

    va_start(ap, fmt);
    code = sh_code(NULL, 0, fmt, ap);
    va_end(ap);
    if (code)
        fail_msg("'%s' ended with %d", fmt, code);
}

static void sh_line(char *out, size_t n, const char *fmt, ...) BDR_PRINTF(3, 4);
static void sh_line(char *out, size_t n, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    assert_int_equal(sh_code(out, n, fmt, ap), 0);
    va_end(ap);
}

/* ---- the agent ---- */

static pid_t agent_start(struct bed *b)
{
    pid_t pid = fork();

    if (pid == 0) {
        char log[160];
        int fd;

        snprintf(log, sizeof(log), "%s/agent.log", b->folder);
        fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
        dup2(fd, 2);
        if (getenv("BDR_SANITIZER")) /* looking for leaks needs ptrace, which the filter takes away */
            setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        execl(AGENT, "bdr-agent", "run", "--state", b->state, "--disks", b->loop, "--user", USER, "--beat-ms", "150",
              b->cpu ? "--cpu-percent" : NULL, b->cpu, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int agent_end(struct bed *b, int sig)
{
    int st;

    kill(b->agent, sig);
    assert_int_equal(waitpid(b->agent, &st, 0), b->agent);
    b->agent = 0;
    return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

/* The process that talks to the console: the agent's child. 0: there is none. */
static pid_t agent_speaker(struct bed *b)
{
    char path[64], *text = NULL;
    size_t len;
    struct bdr_err *err;
    pid_t pid = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)b->agent, (int)b->agent);
    err = bdr_os_read_file(path, 4096, &text, &len);
    if (!err)
        pid = (pid_t)strtol(text, NULL, 10);
    bdr_err_drop(err, "it has just ended");
    free(text);
    return pid;
}

static struct bed *bed_new(uint64_t mib)
{
    struct bed *b = calloc(1, sizeof(*b));
    char token[64] = "agent-token";

    assert_non_null(b);
    b->bytes = mib << 20;
    snprintf(b->folder, sizeof(b->folder), "/tmp/bdr-agent-XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    sh("chmod 755 %s", b->folder);
    snprintf(b->state, sizeof(b->state), "%s/state", b->folder);
    sh("truncate -s %lluM %s/disk.raw", (unsigned long long)mib, b->folder);
    sh_line(b->loop, sizeof(b->loop), "losetup -f --show %s/disk.raw", b->folder);
    sh("printf 'open sesame\\n' > %s/pass && %s init --repo %s/repo --encrypt --passphrase-file %s/pass >/dev/null",
       b->folder, BDR, b->folder, b->folder);
    sh("chown -R " USER " %s/repo", b->folder);
    b->d = double_new();
    b->d->lease_s = 2;
    double_serve(b->d);
    double_token(b->d, token);
    sh("BDR_TOKEN=%s %s enrol --state %s --user " USER " --console %s --ca SHA256:%s >/dev/null", token, AGENT,
       b->state, b->d->url, b->d->ca_print);
    return b;
}

/* A gateway of the same CA that owns the bed's repository; nobody but it can write there then. */
static void gateway_start(struct bed *b)
{
    const char *names[] = {"127.0.0.1"};
    char crt[128], key[128], ca[160], hosts[128], state[128], log[128], text[600], *said = NULL;
    const char *p = NULL;
    bool renewed;
    size_t len;

    snprintf(crt, sizeof(crt), "%s/gw.crt", b->folder);
    snprintf(key, sizeof(key), "%s/gw.key", b->folder);
    snprintf(ca, sizeof(ca), "%s/ca.crt", b->d->folder);
    snprintf(hosts, sizeof(hosts), "%s/gw.hosts", b->folder);
    snprintf(state, sizeof(state), "%s/gw.state", b->folder);
    snprintf(log, sizeof(log), "%s/gw.log", b->folder);
    none(bdr_ca_ensure_server(b->d->ca, &(struct bdr_server_spec){.names = names, .n = 1}, key, crt, &renewed));
    snprintf(text, sizeof(text),
             "repository 1 %s/repo passphrase-file=%s/pass compress=lz4\nhost 1 web1 repository=1 machine=%032d\n",
             b->folder, b->folder, 1);
    none(bdr_os_replace_file(hosts, text, strlen(text), 0600, false));
    sh("chown -R root: %s/repo && chmod -R go= %s/repo", b->folder, b->folder);
    b->gateway = fork();
    if (b->gateway == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);

        dup2(fd, 1);
        dup2(fd, 2);
        execl(GATEWAY, "bdr-gateway", "serve", "--listen", "127.0.0.1:0", "--hosts", hosts, "--cert", crt, "--key", key,
              "--ca", ca, "--state", state, (char *)NULL);
        _exit(127);
    }
    while (!p) {
        none(bdr_cancel_sleep(NULL, 10));
        if (access(log, R_OK))
            continue;
        free(said);
        said = NULL;
        none(bdr_os_read_file(log, 65536, &said, &len));
        p = strstr(said, "listening on port ");
    }
    snprintf(b->gateway_url, sizeof(b->gateway_url), "https://127.0.0.1:%d", (int)strtol(p + 18, NULL, 10));
    free(said);
}

static void gateway_end(struct bed *b)
{
    int st;

    kill(b->gateway, SIGTERM);
    assert_int_equal(waitpid(b->gateway, &st, 0), b->gateway);
    b->gateway = 0;
}

static void bed_free(struct bed *b)
{
    if (b->agent)
        agent_end(b, SIGTERM);
    if (b->gateway)
        gateway_end(b);
    if (getenv("BDR_KEEP"))
        sh("cp %s/agent.log /tmp/agent-test.log", b->folder);
    none(bdr_track_stop(b->loop));
    sh("losetup -d %s", b->loop);
    double_free(b->d);
    none(bdr_os_remove_tree(b->folder));
    free(b);
}

static uint64_t job_new(struct bed *b, bool full)
{
    char work[1024], where[400];

    if (b->gateway_url[0])
        snprintf(where, sizeof(where), "\"gateway_url\":\"%s\"", b->gateway_url);
    else
        snprintf(where, sizeof(where), "\"url\":\"%s/repo\",\"passphrase\":\"open sesame\"", b->folder);
    snprintf(work, sizeof(work),
             "{\"kind\":\"sync\",\"host\":1,\"label\":\"web1\",\"host_name\":\"web1\",\"full\":%s,\"store\":{"
             "\"repository\":1,%s,"
             "\"compress\":\"lz4\"},\"disks\":[{\"id\":1,\"ref\":\"live:%s\",\"name\":"
             "\"data\",\"size_bytes\":%llu},{\"id\":2,\"ref\":\"live:/dev/none\",\"name\":\"no\",\"excluded\":true}]}",
             full ? "true" : "false", where, b->loop, (unsigned long long)b->bytes);
    return double_job(b->d, NULL, work);
}

static json_t *job_result(struct bed *b, uint64_t id)
{
    struct double_job j;
    json_t *doc;

    if (!double_wait_job(b->d, id, DOUBLE_FINISHED, WAIT_MS)) {
        j = double_job_of(b->d, id);
        fail_msg("the job does not end well: state %d %s %s", j.state, j.error_code, j.error_text);
    }
    j = double_job_of(b->d, id);
    doc = json_loads(j.result, 0, NULL);
    assert_non_null(doc);
    return doc;
}

static void recover(struct bed *b, const json_t *result)
{
    sh("rm -f %s/back.raw; %s recover %s --repo %s/repo --passphrase-file %s/pass --to %s/back.raw >/dev/null",
       b->folder, BDR, json_string_value(json_object_get(result, "point")), b->folder, b->folder, b->folder);
}

/* ---- tests ---- */

static void test_sync__full_then_incremental__both_come_back(void **s)
{
    struct bed *b = bed_new(96);
    json_t *first, *second;
    char mount[160];

    (void)s;
    snprintf(mount, sizeof(mount), "%s/mnt", b->folder);
    sh("mkfs.ext4 -q -F %s && mkdir %s && mount %s %s && head -c 20000000 /dev/urandom > %s/a && sync", b->loop, mount,
       b->loop, mount, mount);
    b->agent = agent_start(b);
    first = job_result(b, job_new(b, false));
    assert_true(json_is_true(json_object_get(first, "full")));
    assert_string_equal(json_string_value(json_object_get(first, "consistency")), "filesystem");
    assert_int_equal(json_integer_value(json_object_get(first, "size_bytes")), b->bytes);
    recover(b, first);
    sh("mkdir -p %s/m2 && mount -o loop,ro %s/back.raw %s/m2 && diff -r %s %s/m2 && umount %s/m2", b->folder, b->folder,
       b->folder, mount, b->folder, b->folder);
    sh("head -c 3000000 /dev/urandom > %s/b && sync", mount);
    second = job_result(b, job_new(b, false));
    assert_false(json_is_true(json_object_get(second, "full")));
    assert_in_range(json_integer_value(json_object_get(second, "read_bytes")), 3000000, 30000000);
    recover(b, second);
    sh("mount -o loop,ro %s/back.raw %s/m2 && diff -r %s %s/m2 && umount %s/m2", b->folder, b->folder, mount, b->folder,
       b->folder);
    sh("umount %s", mount);
    json_decref(first);
    json_decref(second);
    bed_free(b);
}

static void test_gateway__full_then_incremental__both_come_back(void **s)
{
    struct bed *b = bed_new(64);
    json_t *first, *second;

    (void)s;
    sh("head -c 40000000 /dev/urandom > %s && sync", b->loop);
    gateway_start(b);
    b->agent = agent_start(b);
    first = job_result(b, job_new(b, false));
    assert_true(json_integer_value(json_object_get(first, "sent_bytes")) > 40000000);
    recover(b, first);
    sh("cmp %s %s/back.raw", b->loop, b->folder);
    sh("head -c 1000000 /dev/urandom | dd of=%s bs=1M seek=7 conv=notrunc status=none && sync", b->loop);
    second = job_result(b, job_new(b, false));
    assert_false(json_is_true(json_object_get(second, "full")));
    assert_true(json_integer_value(json_object_get(second, "sent_bytes")) < 4000000);
    recover(b, second);
    sh("cmp %s %s/back.raw", b->loop, b->folder);
    json_decref(first);
    json_decref(second);
    bed_free(b);
}

static bool half_way(struct console_double *d, void *ctx)
{
    (void)ctx;
    return d->jobs[0].state == DOUBLE_RUNNING && d->jobs[0].done_bytes > 200u << 20 &&
           d->jobs[0].done_bytes < 700u << 20;
}

static void test_killed_in_a_sync__restart_goes_on(void **s)
{
    struct bed *b = bed_new(768);
    struct double_job j;
    json_t *result;
    uint64_t id;

    (void)s;
    sh("head -c %llu /dev/urandom > %s && sync", (unsigned long long)b->bytes, b->loop);
    b->d->lease_s = 60;
    id = job_new(b, false);
    pthread_mutex_lock(&b->d->lock);
    b->d->jobs[0].bandwidth_bps = 0;
    b->d->jobs[0].lease_s = 1; /* beats often enough to be seen half way */
    pthread_mutex_unlock(&b->d->lock);
    b->agent = agent_start(b);
    assert_true(double_wait(b->d, half_way, NULL, WAIT_MS));
    assert_int_equal(agent_end(b, SIGKILL), 128 + SIGKILL);
    b->agent = agent_start(b);
    result = job_result(b, id);
    j = double_job_of(b->d, id);
    assert_int_equal(j.claims, 2);
    assert_int_equal(j.fence, 2);
    recover(b, result);
    sh("cmp %s %s/back.raw", b->loop, b->folder);
    /* what the first one had stored was not stored again */
    assert_true(json_integer_value(json_object_get(result, "new_bytes")) < (json_int_t)b->bytes);
    json_decref(result);
    bed_free(b);
}

static void test_speaker_killed__started_again(void **s)
{
    struct bed *b = bed_new(16);
    pid_t before = 0, after = 0;
    json_t *result;

    (void)s;
    b->agent = agent_start(b);
    while (!(before = agent_speaker(b)) || !double_machine_of(b->d, 0).beats)
        none(bdr_cancel_sleep(NULL, 5));
    kill(before, SIGKILL);
    while (!(after = agent_speaker(b)) || after == before)
        none(bdr_cancel_sleep(NULL, 5));
    result = job_result(b, job_new(b, false));
    recover(b, result);
    sh("cmp %s %s/back.raw", b->loop, b->folder);
    json_decref(result);
    /* and the reader's death takes the speaker with it */
    after = agent_speaker(b);
    agent_end(b, SIGKILL);
    while (!kill(after, 0))
        none(bdr_cancel_sleep(NULL, 5));
    bed_free(b);
}

static void test_speaker__has_no_rights(void **s)
{
    struct bed *b = bed_new(16);
    char line[128];
    pid_t speaker = 0;

    (void)s;
    b->agent = agent_start(b);
    while (!double_machine_of(b->d, 0).inventories)
        none(bdr_cancel_sleep(NULL, 5));
    speaker = agent_speaker(b);
    assert_true(speaker > 0);
    sh_line(line, sizeof(line), "awk '/^Uid:/{print $2,$3,$4,$5}' /proc/%d/status", (int)speaker);
    assert_string_equal(line, "65534 65534 65534 65534");
    sh_line(line, sizeof(line), "awk '/^CapEff:|^CapPrm:|^CapAmb:/{printf \"%%s \", $2}' /proc/%d/status",
            (int)speaker);
    assert_string_equal(line, "0000000000000000 0000000000000000 0000000000000000 ");
    sh_line(line, sizeof(line), "awk '/^Seccomp:|^NoNewPrivs:/{printf \"%%s \", $2}' /proc/%d/status", (int)speaker);
    assert_string_equal(line, "1 2 ");
    sh_line(line, sizeof(line), "ls -l /proc/%d/fd | grep -c %s; true", (int)speaker, b->loop);
    assert_string_equal(line, "0");
    assert_non_null(strstr(double_machine_of(b->d, 0).inventory, b->loop));
    bed_free(b);
}

static void test_disk_that_is_not_in_the_inventory__refused(void **s)
{
    struct bed *b = bed_new(16);
    struct double_job j;
    uint64_t id;

    (void)s;
    b->agent = agent_start(b);
    id = double_job(
        b->d, NULL,
        "{\"kind\":\"sync\",\"label\":\"web1\",\"store\":{\"repository\":1,\"url\":\"/tmp/none\"},\"disks\":[{\"id\":1,"
        "\"ref\":\"/etc/shadow\"}]}");
    assert_true(double_wait_job(b->d, id, DOUBLE_FAILED, WAIT_MS));
    j = double_job_of(b->d, id);
    assert_string_equal(j.error_code, "NOTFOUND");
    assert_non_null(strstr(j.error_text, "/etc/shadow is not a disk"));
    bed_free(b);
}

static bool has_new_size(struct console_double *d, void *ctx)
{
    return d->machines[0].inventory && strstr(d->machines[0].inventory, ctx);
}

static void test_disk_grows__told_within_a_beat(void **s)
{
    struct bed *b = bed_new(16);
    char want[] = "\"size_bytes\":33554432";

    (void)s;
    b->agent = agent_start(b);
    while (!double_machine_of(b->d, 0).inventories)
        none(bdr_cancel_sleep(NULL, 5));
    sh("truncate -s 32M %s/disk.raw && losetup -c %s", b->folder, b->loop);
    assert_true(double_wait(b->d, has_new_size, want, 5000));
    bed_free(b);
}

static uint64_t pss_kib(pid_t pid)
{
    char path[64], *text = NULL, *p;
    size_t len;
    struct bdr_err *err;
    uint64_t kib = 0;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    err = bdr_os_read_file(path, 65536, &text, &len);
    if (!err && (p = strstr(text, "\nPss:")) != NULL)
        kib = strtoull(p + 5, NULL, 10);
    bdr_err_drop(err, "it has just ended");
    free(text);
    return kib;
}

static double cpu_s(pid_t pid)
{
    BDR_AUTO(mem) char *text = NULL;
    unsigned long user = 0, system = 0;
    size_t len = 0;
    char path[64];
    const char *p;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    none(bdr_os_read_file(path, 4096, &text, &len));
    p = strrchr(text, ')');
    assert_non_null(p);
    assert_int_equal(sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* A tenth of one processor; what comes on top is the opening of an encrypted repository, and a burst. */
static void test_cpu_percent__holds_what_a_sync_takes(void **s)
{
    struct bed *b;
    uint64_t begun;
    double before, took;
    json_t *r;

    (void)s;
    if (getenv("BDR_SANITIZER")) {
        printf("skip cpu: a sanitizer makes start and end expensive\n");
        skip();
    }
    b = bed_new(512);
    sh("head -c 530000000 /dev/urandom > %s && sync", b->loop);
    b->cpu = "10";
    b->agent = agent_start(b);
    while (!agent_speaker(b))
        none(bdr_cancel_sleep(NULL, 10));
    before = cpu_s(agent_speaker(b));
    begun = bdr_clock_mono_ms();
    r = job_result(b, job_new(b, false));
    took = (double)(bdr_clock_mono_ms() - begun) / 1000;
    before = cpu_s(agent_speaker(b)) - before;
    fprintf(stderr, "%.2f s of processor time in %.2f s\n", before, took);
    assert_true(before <= took / 10 + 0.7);
    recover(b, r);
    sh("cmp %s %s/back.raw", b->loop, b->folder);
    json_decref(r);
    bed_free(b);
}

static void memory_of(bool gateway)
{
    struct bed *b;
    uint64_t most = 0, id, begun;
    struct double_job j = {0};

    if (getenv("BDR_SANITIZER")) {
        printf("skip memory: a sanitizer needs memory of its own\n");
        skip();
    }
    b = bed_new(1024);
    sh("head -c 700000000 /dev/urandom > %s && sync", b->loop);
    if (gateway)
        gateway_start(b);
    b->agent = agent_start(b);
    id = job_new(b, false);
    begun = bdr_clock_mono_ms();
    while (j.state != DOUBLE_FINISHED && bdr_clock_mono_ms() - begun < 2 * WAIT_MS) {
        pid_t speaker = agent_speaker(b);
        uint64_t now = pss_kib(b->agent) + (speaker ? pss_kib(speaker) : 0);

        most = BDR_MAX(most, now);
        j = double_job_of(b->d, id);
        none(bdr_cancel_sleep(NULL, 10));
    }
    assert_int_equal(j.state, DOUBLE_FINISHED);
    fprintf(stderr, "both processes, %s: at most %llu KiB; %s\n", gateway ? "to a gateway" : "to a folder",
            (unsigned long long)most, j.result);
    assert_in_range(most, 1024, 64 * 1024);
    bed_free(b);
}

static void test_memory__of_a_sync_of_1_gib_to_a_folder__64_mib(void **s)
{
    (void)s;
    memory_of(false);
}

static void test_memory__of_a_sync_of_1_gib_to_a_gateway__64_mib(void **s)
{
    (void)s;
    memory_of(true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sync__full_then_incremental__both_come_back),
        cmocka_unit_test(test_gateway__full_then_incremental__both_come_back),
        cmocka_unit_test(test_killed_in_a_sync__restart_goes_on),
        cmocka_unit_test(test_speaker_killed__started_again),
        cmocka_unit_test(test_speaker__has_no_rights),
        cmocka_unit_test(test_disk_that_is_not_in_the_inventory__refused),
        cmocka_unit_test(test_disk_grows__told_within_a_beat),
        cmocka_unit_test(test_cpu_percent__holds_what_a_sync_takes),
        cmocka_unit_test(test_memory__of_a_sync_of_1_gib_to_a_folder__64_mib),
        cmocka_unit_test(test_memory__of_a_sync_of_1_gib_to_a_gateway__64_mib),
    };
    char pins[64];
    int code;

    if (geteuid() || access("/dev/loop-control", R_OK | W_OK)) {
        printf("needs root and loop devices\n");
        return 77;
    }
    bdr_log_setup(BDR_LOG_ERROR, false);
    /* What we mount is ours alone; what we track has pins of its own. */
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return 1;
    if (access("/sys/fs/bpf/.", R_OK) == 0 && mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700"))
        printf("no bpf file system; disks are read in full\n");
    snprintf(pins, sizeof(pins), "/sys/fs/bpf/bdr-test-%d", (int)getpid());
    setenv("BDR_TRACK_PINS", pins, 1);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    code = cmocka_run_group_tests(tests, NULL, NULL);
    bdr_err_drop(bdr_track_stop(NULL), "none is left");
    bdr_err_drop(bdr_os_remove_tree(pins), "nothing is left");
    return code;
}
