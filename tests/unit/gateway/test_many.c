/* SPDX-License-Identifier: Apache-2.0 */
/* 64 hosts written at once: what that costs the gateway, and one sender. */
#include "bed.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB     ((uint64_t)1 << 20)
#define WRITERS 64u
#define GATEWAY_MAX_KIB (256u * 1024)
#define AGENT_MAX_KIB   (64u * 1024)

struct many {
    struct bed *b;
    char *image[WRITERS];
    uint64_t begun[WRITERS], ended[WRITERS];
    atomic_uint_fast64_t bps;
    struct bdr_backup_result r[WRITERS];
};

static uint64_t status_kib(pid_t pid, const char *name)
{
    BDR_AUTO(mem) char *text = NULL;
    char path[64];
    const char *at;
    size_t n = 0;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    engine_ok(bdr_os_read_file(path, 65536, &text, &n));
    at = strstr(text, name);
    assert_non_null(at);
    return strtoull(at + strlen(name) + 1, NULL, 10);
}

static pid_t program_start(struct bed *b, const char *const *argv)
{
    char *log = strdup(bed_file(b, "program.log"));
    pid_t pid = fork();

    if (pid == 0) {
        int fd = open(log, O_CREAT | O_APPEND | O_WRONLY, 0600);

        dup2(fd, 1);
        dup2(fd, 2);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    assert_true(pid > 0);
    free(log);
    return pid;
}

static void port_await(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint64_t end = bdr_clock_mono_ms() + 20000;
    bool open = false;

    while (!open) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        open = !connect(fd, (struct sockaddr *)&a, sizeof(a));
        close(fd);
        assert_true(bdr_clock_mono_ms() < end);
    }
}

static uint16_t port_free(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) && !getsockname(fd, (struct sockaddr *)&a, &len));
    close(fd);
    return ntohs(a.sin_port);
}

static struct bdr_err *writer(void *ctx, unsigned i)
{
    struct many *m = ctx;
    BDR_AUTO(source) struct bdr_source *src = NULL;
    BDR_AUTO(sink) struct bdr_sink *sink = NULL;
    struct bdr_backup_disk disk = {0};
    char url[64], ca[160], crt[160], key[160];

    snprintf(url, sizeof(url), "https://127.0.0.1:%u", m->b->port);
    snprintf(ca, sizeof(ca), "%s/ca.crt", m->b->e->dir);
    snprintf(crt, sizeof(crt), "%s/m1.crt", m->b->e->dir);
    snprintf(key, sizeof(key), "%s/m1.key", m->b->e->dir);
    BDR_TRY(bdr_sink_gateway(&(struct bdr_gateway_config){.url = url, .ca_file = ca, .cert_file = crt, .key_file = key,
                                                          .host = 21 + i, .fence = 1, .bandwidth_bps = &m->bps},
                             &sink));
    BDR_TRY(bdr_source_open(&(struct bdr_source_spec){.location = m->image[i]}, &src));
    disk.src = src;
    m->begun[i] = bdr_clock_mono_ms();
    BDR_TRY(bdr_backup_to(sink, &disk, 1,
                          &(struct bdr_backup_options){.host = "x", .host_id = "x", .audit_pct = -1, .workers = 1}, &m->r[i]));
    m->ended[i] = bdr_clock_mono_ms();
    return NULL;
}

static void test_gateway__64_writers__within_256_mib(void **state)
{
    struct bed *b = *state;
    struct many *m = calloc(1, sizeof(*m));
    uint64_t last_begin = 0, first_end = UINT64_MAX, kib;
    struct bdr_pool *pool = NULL;
    char listen[32], *f[5];
    const char *names[] = {"hosts", "ca.crt", "server.crt", "server.key", "state"};
    struct bdr_repo *repo;
    int status;
    pid_t pid;

    assert_non_null(m);
    m->b = b;
    atomic_store(&m->bps, MIB);
    for (unsigned i = 0; i < WRITERS; i++) {
        char name[32];

        snprintf(name, sizeof(name), "w%u.img", i);
        m->image[i] = strdup(bed_file(b, name));
        engine_image(m->image[i], 6 * MIB, i);
        engine_scribble(m->image[i], 0, 6 * MIB, 5000 + i);
    }
    for (size_t i = 0; i < BDR_COUNT(f); i++)
        f[i] = strdup(bed_file(b, names[i]));
    engine_ok(bdr_repo_init(b->e->repo, &(struct bdr_repo_init_options){.compress = "none"})); /* as people make them */
    b->port = port_free();
    snprintf(listen, sizeof(listen), "127.0.0.1:%u", b->port);
    const char *argv[] = {getenv("BDR_GATEWAY"), "serve", "--listen", listen, "--hosts", f[0], "--ca", f[1], "--cert", f[2],
                          "--key", f[3], "--state", f[4], NULL};
    assert_non_null(argv[0]);
    pid = program_start(b, argv);
    port_await(b->port);
    engine_ok(bdr_pool_start("writer", WRITERS, writer, m, NULL, &pool));
    engine_ok(bdr_pool_join(pool));
    for (unsigned i = 0; i < WRITERS; i++) {
        last_begin = BDR_MAX(last_begin, m->begun[i]);
        first_end = BDR_MIN(first_end, m->ended[i]);
    }
    assert_true(last_begin < first_end); /* they did write at once */
    kib = status_kib(pid, "VmHWM:");
    print_message("gateway with %u writers: %" PRIu64 " MiB\n", WRITERS, kib / 1024);
    if (!getenv("BDR_SANITIZER")) /* whose memory is not ours */
        assert_true(kib <= GATEWAY_MAX_KIB);
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
    repo = bed_repo(b);
    for (unsigned i = 0; i < WRITERS; i += 13)
        engine_same(repo, m->r[i].point_id, m->image[i]);
    bdr_repo_close(repo);
    for (unsigned i = 0; i < WRITERS; i++)
        free(m->image[i]);
    for (size_t i = 0; i < BDR_COUNT(f); i++)
        free(f[i]);
    free(m);
}

static void test_sender__a_large_disk__within_64_mib(void **state)
{
    struct bed *b = *state;
    char url[64], *image = strdup(bed_file(b, "a.img")), *ca = strdup(bed_file(b, "ca.crt"));
    char *crt = strdup(bed_file(b, "m1.crt")), *key = strdup(bed_file(b, "m1.key"));
    const char *argv[] = {getenv("BDR"), "backup", "--repo", url, "--host-number", "1", "--ca", ca, "--cert", crt,
                          "--key", key, "--quiet", image, NULL};
    uint64_t kib = 0, most = 0;
    int status = 0;
    pid_t pid;

    engine_image(image, 512 * MIB, 3);
    engine_scribble(image, 0, 128 * MIB, 4);
    bed_start(b, false, "zstd", 262144);
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", b->port);
    pid = program_start(b, argv);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        BDR_AUTO(mem) char *text = NULL;
        char path[64];
        size_t n = 0;
        const char *at;
        struct bdr_err *err;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        err = bdr_os_read_file(path, 65536, &text, &n);
        at = err || strncmp(text, "Name:\tbdr\n", 10) != 0 ? NULL : strstr(text, "VmHWM:"); /* before exec it is ourselves */
        kib = at ? strtoull(at + 6, NULL, 10) : 0;
        bdr_err_drop(err, "it has ended");
        most = BDR_MAX(most, kib);
        bdr_err_drop(bdr_cancel_sleep(NULL, 5), "never cancelled");
    }
    print_message("sender: %" PRIu64 " MiB\n", most / 1024);
    assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
    if (!getenv("BDR_SANITIZER"))
        assert_true(most > 0 && most <= AGENT_MAX_KIB);
    free(image);
    free(ca);
    free(crt);
    free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gateway__64_writers__within_256_mib, bed_setup, bed_teardown),
        cmocka_unit_test_setup_teardown(test_sender__a_large_disk__within_64_mib, bed_setup, bed_teardown),
    };

    setenv("BDR_TEST_TMP", "/tmp", 0); /* a real disk: its buffers count */
    bdr_log_setup(BDR_LOG_ERROR, false);
    return cmocka_run_group_tests_name("gateway-many", tests, NULL, NULL);
}
