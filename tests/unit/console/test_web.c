/* SPDX-License-Identifier: Apache-2.0 */
/* test_web.c - the web console's files: what is served, what never is. tests/web/served.mjs looks at the headers. */
#include "bdr/osfile.h"
#include "rig.h"
#include <sys/stat.h>
#include <unistd.h>

static void file_put(const struct rig *r, const char *path, const char *text)
{
    char at[256], *slash;

    snprintf(at, sizeof(at), "%s/web/%s", r->bed->dir, path);
    slash = strrchr(at, '/');
    *slash = 0;
    check_ok(bdr_os_mkdirs(at));
    *slash = '/';
    check_ok(bdr_os_replace_file(at, text, strlen(text), 0600, false));
}

static void site_put(const struct rig *r)
{
    char from[256], to[256];

    file_put(r, "index.html", "<!doctype html><title>page</title>");
    file_put(r, "assets/app-1a2b3c.js", "console.log(1)");
    file_put(r, "assets/app-1a2b3c.js.gz", "packed");
    file_put(r, ".secret", "hidden");
    file_put(r, "assets/.env", "hidden");
    file_put(r, "tool.sh", "no type");
    snprintf(from, sizeof(from), "%s/ca.crt", r->bed->dir);
    snprintf(to, sizeof(to), "%s/web/link.txt", r->bed->dir);
    assert_int_equal(symlink(from, to), 0);
}

/* The body as text, NULL when it was refused; `out_type` of 64 bytes. */
static char *get(struct rig *r, const char *path, unsigned *out_status, char *out_type)
{
    const struct bdr_http_call call = {.method = "GET", .path = path};
    BDR_AUTO(http_reply) struct bdr_http_reply reply = {0};
    struct bdr_err *err = bdr_http_call(r->anyone, &call, &reply);
    char *text = NULL;

    out_type[0] = 0;
    if (err) {
        *out_status = (unsigned)err->sys;
        bdr_err_drop(err, "it is what the test looks at");
        return NULL;
    }
    *out_status = reply.status;
    snprintf(out_type, 64, "%s", reply.type);
    text = calloc(1, reply.body.len + 1); /* a body has no NUL behind it */
    assert_non_null(text);
    if (reply.body.len)
        memcpy(text, reply.body.data, reply.body.len);
    return text;
}

static void test_web__pages__are_the_index_and_files_have_their_type(void **state)
{
    static const struct {
        const char *path, *type, *starts;
    } rows[] = {
        {"/", "text/html; charset=utf-8", "<!doctype"},
        {"/index.html", "text/html; charset=utf-8", "<!doctype"},
        {"/config/site/vmware", "text/html; charset=utf-8", "<!doctype"},
        {"/hosts/17", "text/html; charset=utf-8", "<!doctype"},
        {"/hosts?name=db1&state=protected", "text/html; charset=utf-8", "<!doctype"}, /* the page reads it */
        {"/?limit=nine", "text/html; charset=utf-8", "<!doctype"},
        {"/assets/app-1a2b3c.js", "text/javascript; charset=utf-8", ""},
    };

    RIG_OF(state, r);
    site_put(r);
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        unsigned status;
        char type[64];
        BDR_AUTO(mem) char *body = get(r, rows[i].path, &status, type);

        assert_int_equal(status, 200);
        assert_string_equal(type, rows[i].type);
        assert_int_equal(strncmp(body, rows[i].starts, strlen(rows[i].starts)), 0);
    }
}

static void test_web__what_is_outside_or_hidden__is_not_there(void **state)
{
    static const char *const paths[] = {
        "/%2e%2e/ca.crt",
        "/%2e%2e/master.key",
        "/..%2fca.key",
        "/assets/%2e%2e/%2e%2e/ca.key",
        "/.secret",
        "/assets/.env",
        "/link.txt",
        "/tool.sh",
        "/assets/gone-0000.js",
        "/initial-password.txt",
        "/v1/no-such",
        "/v1",
        "/assets%00/x",
        "/%5c..%5cca.key",
    };

    RIG_OF(state, r);
    site_put(r);
    for (size_t i = 0; i < BDR_COUNT(paths); i++) {
        unsigned status;
        char type[64];
        BDR_AUTO(mem) char *body = get(r, paths[i], &status, type);

        if (status != 404 && status != 400)
            print_error("%s: %u %s\n", paths[i], status, body ? body : "");
        assert_true(status == 404 || status == 400);
    }
}

static void test_web__not_installed__is_said(void **state)
{
    unsigned status;
    json_t *v;

    RIG_OF(state, r);
    v = rig_call(r, NULL, "GET", "/", NULL, &status);
    assert_int_equal(status, 404);
    assert_non_null(strstr(rig_at(v, "/detail"), "not installed"));
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_web__pages__are_the_index_and_files_have_their_type),
        RIG(test_web__what_is_outside_or_hidden__is_not_there),
        RIG(test_web__not_installed__is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
