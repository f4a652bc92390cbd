/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agent and console as they are: the real agent's programs, the real console in this process with its API and database.
 * A host enrols, is protected by a policy, synced on demand, its point comes back, it is deregistered and may be
 * uninstalled.
 */
#include "../console/fleet.h"
#include "bdr/osfile.h"
#include "secret.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define TRIES 1200 /* of 50 ms */

static pid_t start(const char *log, const char *token, const char *const *argv)
{
    pid_t pid = fork();

    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);

        dup2(fd, 1);
        dup2(fd, 2);
        if (getenv("BDR_SANITIZER")) /* looking for leaks needs ptrace, which the filter takes away */
            setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        if (token)
            setenv("BDR_TOKEN", token, 1);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
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

static int tool(struct rig *r, const char *token, const char *const *argv)
{
    char log[160];

    snprintf(log, sizeof(log), "%s/tool.log", r->bed->dir);
    return ended(start(log, token, argv));
}

static void first_line(struct rig *r, const char *command, char *out, size_t n)
{
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    char path[160], *text = NULL;
    size_t len;

    snprintf(path, sizeof(path), "%s/line", r->bed->dir);
    unlink(path);
    assert_int_equal(ended(start(path, NULL, argv)), 0);
    check_ok(bdr_os_read_file(path, 4096, &text, &len));
    snprintf(out, n, "%.*s", (int)strcspn(text, "\n"), text);
    free(text);
}

/* The value at `pointer` of GET path, once it is `want`. */
static json_t *wait_for(struct rig *r, const char *path, const char *pointer, const char *want)
{
    json_t *v = NULL;

    for (int i = 0; i < TRIES; i++) {
        json_decref(v);
        v = rig_want(r, r->admin, 200, "GET", path, NULL);
        if (!strcmp(rig_at(v, pointer), want))
            return v;
        check_ok(bdr_cancel_sleep(NULL, 50));
    }
    fail_msg("%s of %s does not become '%s': %s", pointer, path, want, json_dumps(v, 0));
    return NULL;
}

struct pass {
    struct rig *r;
    int64_t repository;
    const char *file;
};
/* The passphrase that the console made, for recovering without it. */
static struct bdr_err *pass_read(struct bdr_tx *tx, void *ctx)
{
    struct pass *p = ctx;
    const struct bdr_seal_place place = {"repository", p->repository, "passphrase"};
    BDR_AUTO(secret) struct bdr_secret s = {0};
    bool found = false;

    BDR_TRY(bdr_secret_get(tx, p->r->console->ring, &place, &s, &found));
    assert_true(found);
    return bdr_os_replace_file(p->file, s.data, s.len, 0600, false);
}

static void test_agent__enrol_protect_sync_recover_deregister(void **state)
{
    char token[64], log[160], agent_state[160], repo[160], pass[160], back[160], loop[64], text[700], path[80],
        print[104], url[64];
    const char *enrol[] = {AGENT, "enrol", "--state", agent_state, "--console", url, "--ca", print, NULL};
    const char *run[] = {AGENT, "run", "--state", agent_state, "--disks", loop, "--beat-ms", "150", NULL};
    const char *check[] = {AGENT, "unenrol-check", "--state", agent_state, NULL};
    json_t *v, *hosts;
    struct bdr_cert_info ca;
    long long host, policy, repository, job;
    pid_t agent;

    RIG_OF(state, r);
    if (geteuid() || access("/dev/loop-control", R_OK | W_OK)) {
        printf("skip agent and console: needs root and loop devices\n");
        skip();
    }
    snprintf(log, sizeof(log), "%s/agent.log", r->bed->dir);
    snprintf(agent_state, sizeof(agent_state), "%s/agent", r->bed->dir);
    snprintf(repo, sizeof(repo), "%s/repo", r->bed->dir);
    snprintf(pass, sizeof(pass), "%s/pass", r->bed->dir);
    snprintf(back, sizeof(back), "%s/back.raw", r->bed->dir);
    snprintf(text, sizeof(text),
             "truncate -s 48M %s/disk.raw && head -c 9000000 /dev/urandom | dd of=%s/disk.raw conv=notrunc status=none "
             "&& losetup -f "
             "--show %s/disk.raw",
             r->bed->dir, r->bed->dir, r->bed->dir);
    first_line(r, text, loop, sizeof(loop));

    /* as the pasted command does */
    snprintf(url, sizeof(url), "https://127.0.0.1:%u", bdr_console_port(r->console));
    snprintf(path, sizeof(path), "%.60s/ca.crt", r->bed->dir);
    check_ok(bdr_cert_parse_file(path, &ca));
    bdr_fingerprint_text(ca.fingerprint, print);
    fleet_token(r, "agent", token);
    assert_int_equal(tool(r, token, enrol), 0);
    assert_int_equal(tool(r, token, check), 8); /* it is registered */
    agent = start(log, NULL, run);

    hosts = rig_want(r, r->admin, 200, "GET", "/v1/hosts", NULL);
    host = rig_int(hosts, "/items/0/id");
    json_decref(hosts);
    snprintf(path, sizeof(path), "/v1/hosts/%lld", host);
    json_decref(wait_for(r, path, "/disks/0/size_bytes", "50331648")); /* its inventory came */

    snprintf(text, sizeof(text), "{\"name\":\"r\",\"url\":\"%s\",\"encrypted\":true}", repo);
    v = rig_want(r, r->admin, 201, "POST", "/v1/repositories", text);
    repository = rig_int(v, "/id");
    json_decref(v);
    v = rig_want(r, r->admin, 201, "POST", "/v1/policies",
                 "{\"name\":\"hourly\",\"interval_ms\":3600000,\"retention\":\"last=3\",\"compression\":\"lz4\"}");
    policy = rig_int(v, "/id");
    json_decref(v);
    snprintf(path, sizeof(path), "/v1/hosts/%lld/protection", host);
    snprintf(text, sizeof(text), "{\"policy\":%lld,\"repository\":%lld}", policy, repository);
    json_decref(rig_want(r, r->admin, 200, "PUT", path, text));

    snprintf(path, sizeof(path), "/v1/hosts/%lld/sync", host);
    v = rig_want(r, r->admin, 202, "POST", path, "{\"full\":true}");
    job = rig_int(v, "/id");
    json_decref(v);
    snprintf(path, sizeof(path), "/v1/jobs/%lld", job);
    json_decref(wait_for(r, path, "/state", "done"));

    v = rig_want(r, r->admin, 200, "GET", "/v1/points", NULL); /* without a gateway the worker's word is taken */
    assert_int_equal(rig_int(v, "/items/0/disk_bytes"), 50331648);
    json_decref(v);
    check_ok(bdr_db_run(r->bed->db, BDR_TX_READ, pass_read, &(struct pass){r, repository, pass}));
    {
        const char *recover[] = {BDR,  "recover", "latest", "--repo", repo, "--passphrase-file",
                                 pass, "--to",    back,     NULL};
        const char *cmp[] = {"cmp", back, loop, NULL};

        assert_int_equal(tool(r, NULL, recover), 0);
        assert_int_equal(tool(r, NULL, cmp), 0);
    }

    snprintf(path, sizeof(path), "/v1/hosts/%lld/protection", host);
    json_decref(rig_want(r, r->admin, 200, "DELETE", path, NULL));
    snprintf(path, sizeof(path), "/v1/hosts/%lld", host);
    json_decref(rig_want(r, r->admin, 204, "DELETE", path, NULL));
    assert_int_equal(tool(r, NULL, check), 0); /* it may go */
    kill(agent, SIGTERM);
    assert_int_equal(ended(agent), 0);
    {
        const char *untrack[] = {AGENT, "untrack", NULL};
        const char *detach[] = {"losetup", "-d", loop, NULL};

        assert_int_equal(tool(r, NULL, untrack), 0);
        assert_int_equal(tool(r, NULL, detach), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {RIG(test_agent__enrol_protect_sync_recover_deregister)};
    char pins[64];

    snprintf(pins, sizeof(pins), "/sys/fs/bpf/bdr-test-%d", (int)getpid()); /* not this machine's own tracking */
    setenv("BDR_TRACK_PINS", pins, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
