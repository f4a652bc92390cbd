/* SPDX-License-Identifier: Apache-2.0 */
/* test_console.c - the console as a whole: its first start, who is let in, what everybody may see. */
#include "rig.h"
#include <sys/stat.h>

static void test_console__first_start__gives_a_password_that_must_be_changed(void **state)
{
    char path[128], body[128];
    BDR_AUTO(mem) char *password = NULL;
    struct stat st;
    json_t *v;

    RIG_OF(state, r);
    password = rig_first_password(r, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    snprintf(body, sizeof(body), "{\"name\":\"admin\",\"password\":\"%s\"}", password);
    v = rig_want(r, NULL, 200, "POST", "/v1/session", body);
    assert_string_equal(rig_at(v, "/stage"), "in");
    assert_string_equal(rig_at(v, "/must_change"), "true");
    json_decref(v);
    json_decref(rig_want(r, NULL, 401, "POST", "/v1/session", "{\"name\":\"admin\",\"password\":\"wrong wrong\"}"));
}

static void test_console__nobody__is_told_how_to_come_in(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    v = rig_want(r, NULL, 401, "GET", "/v1/session", NULL);
    assert_non_null(strstr(rig_at(v, "/detail"), "Log in"));
    json_decref(v);
    json_decref(rig_want(r, NULL, 200, "GET", "/v1/health/live", NULL));
    json_decref(rig_want(r, NULL, 200, "GET", "/v1/health/ready", NULL));
}

static void test_console__a_token__says_who(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    v = rig_want(r, r->operator_, 200, "GET", "/v1/session", NULL);
    assert_string_equal(rig_at(v, "/name"), "rig-operator");
    assert_string_equal(rig_at(v, "/role"), "operator");
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_console__first_start__gives_a_password_that_must_be_changed),
        RIG(test_console__nobody__is_told_how_to_come_in),
        RIG(test_console__a_token__says_who),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
