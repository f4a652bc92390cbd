/* SPDX-License-Identifier: Apache-2.0 */
/* test_http.c - port 30080: install scripts and packages, and nothing else whatever is asked; the pasted command works.
 */
#include "bdr/osfile.h"
#include "fleet.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(struct rig *r, const char *name, const char *text)
{
    char path[200];

    snprintf(path, sizeof(path), "%s/packages/%s", r->bed->dir, name);
    check_ok(bdr_os_replace_file(path, text, strlen(text), 0644, false));
}

/* GET of 30080 with an optional Range; *out_status, body owned by the caller. */
static char *http_get(struct rig *r, const char *method, const char *path, const char *range, unsigned *out_status)
{
    BDR_AUTO(http_client) struct bdr_http_client *c = NULL;
    const struct bdr_pair headers[] = {{"Range", range}};
    struct bdr_http_reply reply = {0};
    struct bdr_err *err;
    char base[64], *text;

    snprintf(base, sizeof(base), "http://127.0.0.1:%u", bdr_console_http_port(r->console));
    check_ok(bdr_http_client_new(&(struct bdr_http_client_config){.base = base, .tries = 1}, &c));
    err = bdr_http_call(
        c, &(struct bdr_http_call){.method = method, .path = path, .headers = headers, .n_headers = range ? 1 : 0},
        &reply);
    *out_status = err ? (unsigned)err->sys : reply.status;
    bdr_err_drop(err, "it is what the test looks at");
    text = calloc(1, reply.body.len + 1); /* a body has no NUL behind it */
    assert_non_null(text);
    if (reply.body.len)
        memcpy(text, reply.body.data, reply.body.len);
    bdr_http_reply_free(&reply);
    return text;
}

static void http_want(struct rig *r, const char *path, const char *range, unsigned want, const char *body)
{
    unsigned status = 0;
    BDR_AUTO(mem) char *text = http_get(r, "GET", path, range, &status);

    if (status != want)
        print_error("%s: %u, not %u\n", path, status, want);
    assert_int_equal(status, want);
    if (body)
        assert_string_equal(text, body);
}

static void folder_make(struct rig *r)
{
    char path[200], outside[200];

    snprintf(path, sizeof(path), "%s/packages", r->bed->dir);
    check_ok(bdr_os_mkdirs(path));
    put(r, "egisplus-agent-0.1.tar.gz", "0123456789");
    put(r, "install_agent.sh", "echo \"$@\" >\"$OUT\"; echo \"$BDR_TOKEN\" >>\"$OUT\"\n");
    put(r, ".hidden", "no");
    snprintf(outside, sizeof(outside), "%s/master.key", r->bed->dir);
    snprintf(path, sizeof(path), "%s/packages/link.deb", r->bed->dir);
    assert_int_equal(symlink(outside, path), 0);
    snprintf(path, sizeof(path), "%s/packages/folder.deb", r->bed->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/packages/fifo.deb", r->bed->dir);
    assert_int_equal(mkfifo(path, 0644), 0);
}

static void test_http__packages__whole_and_in_part(void **state)
{
    RIG_OF(state, r);
    http_want(r, "/packages/egisplus-agent-0.1.tar.gz", NULL, 404, NULL); /* no folder yet */
    folder_make(r);
    http_want(r, "/packages/egisplus-agent-0.1.tar.gz", NULL, 200, "0123456789");
    http_want(r, "/packages/egisplus-agent-0.1.tar.gz", "bytes=4-6", 206, "456");
    http_want(r, "/packages/egisplus-agent-0.1.tar.gz", "bytes=-3", 206, "789");
    http_want(r, "/packages/egisplus-agent-0.1.tar.gz", "bytes=50-", 416, NULL);
    http_want(r, "/install/agent.sh", NULL, 200, "echo \"$@\" >\"$OUT\"; echo \"$BDR_TOKEN\" >>\"$OUT\"\n");
    http_want(r, "/install/proxy.sh", NULL, 404, NULL); /* not in the folder */
}

static void test_http__nothing_else__is_there(void **state)
{
    static const char *const paths[] = {
        "/",
        "/v1/health/live",
        "/v1/session",
        "/v1/users",
        "/v1/openapi.json",
        "/v1/enrol",
        "/v1/machine/beat",
        "/packages/",
        "/packages/.hidden",
        "/packages/link.deb",
        "/packages/folder.deb",
        "/packages/fifo.deb",
        "/packages/missing.deb",
        "/packages/../master.key",
        "/packages/..%2fmaster.key",
        "/packages/%2e%2e/master.key",
        "/packages/%2e%2e%2fmaster.key",
        "/packages/..%5cmaster.key",
        "/packages/folder.deb/../../master.key",
        "/packages//etc/passwd",
        "/packages/%2fetc%2fpasswd",
        "/packages/link.deb%00.tar.gz",
        "/packages/a%0d%0aX-Evil:%201",
        "/install/../packages/.hidden",
        "/install/root.sh",
        "/install/.sh",
        "/install/agent.sh/x",
        "/install/..%2finstall_agent.sh",
        "/install/agentagentagentagentagent.sh",
    };
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH"};
    unsigned status = 0;

    RIG_OF(state, r);
    folder_make(r);
    for (size_t i = 0; i < BDR_COUNT(paths); i++) {
        BDR_AUTO(mem) char *text = http_get(r, "GET", paths[i], NULL, &status);

        if (status != 404 && status != 400)
            fail_msg("%s: %u", paths[i], status);
    }
    for (size_t i = 0; i < BDR_COUNT(methods); i++) {
        BDR_AUTO(mem) char *text = http_get(r, methods[i], "/packages/egisplus-agent-0.1.tar.gz", NULL, &status);

        assert_int_equal(status, 405);
    }
    /* 10443 has packages for its download buttons, by the same rules */
    json_decref(rig_want(r, NULL, 404, "GET", "/packages/link.deb", NULL));
    json_decref(rig_want(r, NULL, 404, "GET", "/packages/.hidden", NULL));
    json_decref(rig_want(r, NULL, 404, "GET", "/packages/%2e%2e%2fmaster.key", NULL));
}

/* Runs `command` in a shell as a person who pastes it; `out` is what the script wrote, "" when it did not run. */
static int paste(struct rig *r, const char *command, char *out, size_t n)
{
    BDR_AUTO(mem) char *script = NULL, *text = NULL;
    char path[200], file[200];
    const char *argv[] = {"/bin/sh", path, NULL};
    struct bdr_err *err;
    size_t len = 0;
    int code = 0;
    pid_t pid;

    snprintf(file, sizeof(file), "%s/out", r->bed->dir);
    (void)unlink(file);
    snprintf(path, sizeof(path), "%s/command", r->bed->dir);
    assert_true(asprintf(&script, "OUT='%s'; export OUT\n%s\n", file, command) > 0);
    check_ok(bdr_os_replace_file(path, script, strlen(script), 0600, false));
    pid = fork();
    if (!pid) {
        execv(argv[0], (char *const *)(const void *)argv);
        _exit(127);
    }
    assert_true(pid > 0 && waitpid(pid, &code, 0) == pid);
    *out = 0;
    err = bdr_os_read_file(file, 4096, &text, &len);
    if (!err)
        snprintf(out, n, "%.*s", (int)len, text);
    bdr_err_drop(err, "then it did not run");
    return WEXITSTATUS(code);
}

static void test_command__pasted__runs_the_script_that_it_knows(void **state)
{
    char command[2000], token[64], out[1000], want[200], print[104];
    json_t *v;

    RIG_OF(state, r);
    v = rig_want(r, r->admin, 201, "POST", "/v1/enrolments", "{\"kind\":\"agent\"}");
    assert_string_equal(rig_at(v, "/command"), "");
    assert_non_null(strstr(rig_at(v, "/missing"), "install_agent.sh"));
    json_decref(v);
    folder_make(r);
    v = rig_want(r, r->admin, 201, "POST", "/v1/enrolments", "{\"kind\":\"agent\"}");
    snprintf(token, sizeof(token), "%s", rig_at(v, "/token"));
    snprintf(command, sizeof(command), "%s", rig_at(v, "/command"));
    json_decref(v);
    assert_int_equal(paste(r, command, out, sizeof(out)), 0);
    snprintf(want, sizeof(want), "--console https://127.0.0.1:%u --ca %s --packages http://127.0.0.1:%u\n",
             bdr_console_port(r->console), bdr_fingerprint_text(bdr_ca_info(r->console->ca)->fingerprint, print),
             bdr_console_http_port(r->console));
    assert_true(strstr(out, want) == out);
    assert_non_null(strstr(out, token));                 /* in its environment */
    put(r, "install_agent.sh", "echo evil >\"$OUT\"\n"); /* somebody on the way */
    assert_int_not_equal(paste(r, command, out, sizeof(out)), 0);
    assert_string_equal(out, "");
}

static void test_command__gateway__brings_its_address_and_folder(void **state)
{
    static const char *const bad[] = {
        "{\"kind\":\"gateway\",\"url\":\"https://gw1'; id; '\"}", "{\"kind\":\"gateway\",\"url\":\"http://gw1\"}",
        "{\"kind\":\"gateway\",\"url\":\"https://gw1:0\"}", "{\"kind\":\"gateway\",\"url\":\"https://gw1:70000\"}",
        "{\"kind\":\"gateway\",\"data\":\"/srv/$(id)\"}", "{\"kind\":\"gateway\",\"data\":\"srv\"}",
        "{\"kind\":\"agent\",\"data\":\"/srv/dr\"}"};
    static const struct {
        const char *body, *ends;
    } good[] = {
        {"{\"kind\":\"gateway\"}", "\n"},
        {"{\"kind\":\"gateway\",\"url\":\"https://gw1.example\"}", " --url https://gw1.example\n"},
        {"{\"kind\":\"gateway\",\"url\":\"https://gw1:443\"}", " --url https://gw1:443\n"},
        {"{\"kind\":\"gateway\",\"url\":\"https://gw1:8443\",\"data\":\"/srv/dr\"}",
         " --port 8443 --url https://gw1:8443 --data /srv/dr\n"},
    };
    char out[1000], want[300];
    json_t *v;

    RIG_OF(state, r);
    folder_make(r);
    put(r, "install_gateway.sh", "echo \"$@\" >\"$OUT\"\n");
    for (size_t i = 0; i < BDR_COUNT(bad); i++) {
        unsigned status = 0;

        v = rig_call(r, r->admin, "POST", "/v1/enrolments", bad[i], &status);
        if (status != 422 && status != 400)
            print_error("%s: %u\n", bad[i], status);
        assert_true(status == 422 || status == 400);
        json_decref(v);
    }
    for (size_t i = 0; i < BDR_COUNT(good); i++) {
        v = rig_want(r, r->admin, 201, "POST", "/v1/enrolments", good[i].body);
        assert_int_equal(paste(r, rig_at(v, "/command"), out, sizeof(out)), 0);
        snprintf(want, sizeof(want), "--packages http://127.0.0.1:%u%s", bdr_console_http_port(r->console), good[i].ends);
        assert_non_null(strstr(out, want));
        json_decref(v);
    }
}

/* ---- the API's side of rudeness ---- */

static void test_api__rude_requests__are_answered_with_a_reason(void **state)
{
    BDR_AUTO(mem) char *big = NULL;
    struct bdr_http_reply reply = {0};
    FLEET m = {0};
    struct bdr_err *err;

    RIG_OF(state, r);
    fleet_join(r, "agent", "web1", NULL, NULL, &m);
    big = malloc(6u << 20);
    assert_non_null(big);
    memset(big, ' ', 6u << 20);
    err = bdr_http_call(m.client,
                        &(struct bdr_http_call){.method = "PUT",
                                                .path = "/v1/machine/inventory",
                                                .type = "application/json",
                                                .body = big,
                                                .body_len = 6u << 20},
                        &reply);
    assert_non_null(err);
    assert_true(err->sys == 413 || err->code == BDR_NET); /* or it hung up before we had sent all */
    bdr_err_free(err);
    bdr_http_reply_free(&reply);
    err = bdr_http_call(
        m.client,
        &(struct bdr_http_call){
            .method = "POST", .path = "/v1/machine/beat", .type = "text/plain", .body = "{}", .body_len = 2},
        &reply);
    assert_non_null(err);
    assert_int_equal(err->sys, 415);
    bdr_err_free(err);
    bdr_http_reply_free(&reply);
    json_decref(fleet_want(r, &m, 400, "POST", "/v1/machine/beat", "{\"inventory\":"));
    json_decref(fleet_want(r, &m, 400, "POST", "/v1/machine/beat", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["));
    json_decref(fleet_want(r, &m, 422, "POST", "/v1/machine/beat", "{\"unheard\":1}"));
    json_decref(fleet_want(r, &m, 422, "POST", "/v1/machine/beat", "{\"boot\":\"\\\"},{\\\"x\"}"));
    json_decref(fleet_want(r, &m, 404, "POST", "/v1/machine/jobs/-1/beat", "{\"fence\":1}"));
    json_decref(fleet_want(r, &m, 404, "POST", "/v1/machine/jobs/99999999999999999999/beat", "{\"fence\":1}"));
    json_decref(fleet_want(r, &m, 400, "POST", "/v1/machine/jobs/1/beat", "{\"fence\":99999999999999999999}"));
    json_decref(fleet_want(r, &m, 422, "POST", "/v1/machine/jobs/1/beat", "{\"fence\":-1}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_http__packages__whole_and_in_part),
        RIG(test_http__nothing_else__is_there),
        RIG(test_command__pasted__runs_the_script_that_it_knows),
        RIG(test_command__gateway__brings_its_address_and_folder),
        RIG(test_api__rude_requests__are_answered_with_a_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
