/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../src/serve/listen.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
/* after setjmp.h, stdarg.h */
#include <cmocka.h>

static enum bdr_code try_open(const char *where, struct serve_listen *l)
{
    struct bdr_err *err = serve_listen_open(where, l);
    enum bdr_code code = err ? err->code : BDR_OK;

    bdr_err_free(err);
    return code;
}

static void test_listen__stale_socket__is_replaced_and_a_live_one_is_not(void **state)
{
    char dir[] = "/tmp/bdr-listen-XXXXXX", path[64];
    struct serve_listen l, other;
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/so ck", dir);
    assert_int_equal(try_open(path, &l), BDR_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_non_null(strstr(l.uri, "so%20ck"));
    assert_true(l.loopback);
    assert_int_equal(try_open(path, &other), BDR_BUSY);
    serve_listen_close(&l, false); /* as a killed server leaves it */
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(try_open(path, &other), BDR_OK);
    serve_listen_close(&other, true);
    free(l.path);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void test_listen__a_plain_file__is_left_alone(void **state)
{
    char path[] = "/tmp/bdr-listen-XXXXXX";
    struct serve_listen l;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(try_open(path, &l), BDR_EXISTS);
    assert_int_equal(unlink(path), 0);
}

static void test_listen__tcp__tells_its_port(void **state)
{
    struct serve_listen l, other;
    char where[64];

    (void)state;
    assert_int_equal(try_open("127.0.0.1:0", &l), BDR_OK);
    assert_true(l.loopback);
    assert_memory_equal(l.uri, "nbd://127.0.0.1:", 16);
    snprintf(where, sizeof(where), "%.*s", (int)strcspn(l.uri + 6, "/"), l.uri + 6);
    assert_int_equal(try_open(where, &other), BDR_BUSY);
    serve_listen_close(&l, true);
    assert_int_equal(try_open("0.0.0.0:0", &l), BDR_OK);
    assert_false(l.loopback);
    serve_listen_close(&l, true);
    assert_int_equal(try_open("nonsense", &l), BDR_INVAL);
    assert_int_equal(try_open("127.0.0.1:", &l), BDR_INVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listen__stale_socket__is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(test_listen__a_plain_file__is_left_alone),
        cmocka_unit_test(test_listen__tcp__tells_its_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
