/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the S3 store, from its URL, the environment and the credentials file. */
#include "config.h"
#include "bdr/store.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char file[] = "/tmp/bdr-credentials-XXXXXX";

static int fresh(void **state)
{
    static const char *const names[] = {
        "AWS_ACCESS_KEY_ID",  "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
        "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",      "BDR_S3_ADDRESSING", "BDR_S3_CA",
        "AWS_PROFILE",        "BDR_S3_ATTEMPTS",       "BDR_S3_STALL_S"};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(names); i++)
        unsetenv(names[i]);
    setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
    return 0;
}

static void with_keys(void)
{
    setenv("AWS_ACCESS_KEY_ID", "id", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "hush", 1);
}

static void fails(const char *url, enum bdr_code code, const char *msg)
{
    BDR_AUTO(s3_config) struct bdr_s3_config cfg = {0};
    BDR_AUTO(err) struct bdr_err *err = bdr_s3_config_load(url, &cfg);
    char text[512];

    assert_non_null(err);
    assert_int_equal(err->code, code);
    assert_non_null(strstr(bdr_err_text(err, text, sizeof(text)), msg));
    assert_null(strstr(text, "hush"));
}

static void test_load__amazon__is_virtual_host_and_https(void **state)
{
    BDR_AUTO(s3_config) struct bdr_s3_config cfg = {0};

    (void)state;
    with_keys();
    setenv("AWS_DEFAULT_REGION", "eu-west-1", 1);
    assert_null(bdr_s3_config_load("s3://bucket/a/b/", &cfg));
    assert_string_equal(cfg.origin, "https://bucket.s3.eu-west-1.amazonaws.com");
    assert_string_equal(cfg.host, "bucket.s3.eu-west-1.amazonaws.com");
    assert_string_equal(cfg.base, "");
    assert_string_equal(cfg.prefix, "a/b/");
}

static void test_load__endpoint__is_path_style(void **state)
{
    BDR_AUTO(s3_config) struct bdr_s3_config cfg = {0}, virtual = {0};

    (void)state;
    with_keys();
    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:7480/s3/", 1);
    assert_null(bdr_s3_config_load("s3://bucket", &cfg));
    assert_string_equal(cfg.origin, "http://127.0.0.1:7480");
    assert_string_equal(cfg.base, "/s3/bucket");
    assert_string_equal(cfg.prefix, "");
    assert_string_equal(cfg.region, "us-east-1");
    setenv("BDR_S3_ADDRESSING", "virtual", 1);
    assert_null(bdr_s3_config_load("s3://bucket//p", &virtual));
    assert_string_equal(virtual.origin, "http://bucket.127.0.0.1:7480");
    assert_string_equal(virtual.base, "/s3");
    assert_string_equal(virtual.prefix, "p/");
}

static void test_load__profile__is_read(void **state)
{
    BDR_AUTO(s3_config) struct bdr_s3_config cfg = {0}, other = {0};

    (void)state;
    assert_null(bdr_s3_config_load("s3://bucket/x", &cfg));
    assert_string_equal(cfg.key_id, "ID1");
    assert_string_equal(cfg.secret, "hush/1=");
    assert_null(cfg.token);
    setenv("AWS_PROFILE", "two", 1);
    assert_null(bdr_s3_config_load("s3://bucket/x", &other));
    assert_string_equal(other.key_id, "ID2");
    assert_string_equal(other.token, "hush3");
    assert_string_equal(other.region, "eu-north-1");
}

static void test_load__wrong__says_what(void **state)
{
    (void)state;
    setenv("AWS_PROFILE", "three", 1);
    fails("s3://bucket/x", BDR_NOTFOUND, "[three]");
    setenv("AWS_PROFILE", "empty", 1);
    fails("s3://bucket/x", BDR_DENIED, "AWS_ACCESS_KEY_ID");
    setenv("AWS_ACCESS_KEY_ID", "id", 1);
    fails("s3://bucket/x", BDR_INVAL, "AWS_SECRET_ACCESS_KEY is not set");
    with_keys();
    fails("s3://id:hush@bucket/x", BDR_INVAL, "s3://bucket/prefix");
    fails("s3:///x", BDR_INVAL, "s3://bucket/prefix");
    fails("s3://dr/x", BDR_INVAL, "'dr' is not a bucket");
    setenv("AWS_ENDPOINT_URL", "ftp://x", 1);
    fails("s3://bucket/x", BDR_INVAL, "AWS_ENDPOINT_URL");
    setenv("AWS_ENDPOINT_URL", "https://u:hush@host", 1);
    fails("s3://bucket/x", BDR_INVAL, "AWS_ENDPOINT_URL");
    setenv("AWS_ENDPOINT_URL", "https://host", 1);
    setenv("BDR_S3_ADDRESSING", "both", 1);
    fails("s3://bucket/x", BDR_INVAL, "path or virtual");
    unsetenv("BDR_S3_ADDRESSING");
    setenv("BDR_S3_ATTEMPTS", "0", 1);
    fails("s3://bucket/x", BDR_RANGE, "BDR_S3_ATTEMPTS");
}

static void *other_thread(void *out)
{
    struct bdr_s3_config cfg = {0};

    *(struct bdr_err **)out = bdr_s3_config_load("s3://bucket/x", &cfg);
    bdr_s3_config_free(&cfg);
    return NULL;
}

/* What a console gave goes before the environment, for the thread that was given it and until it is taken back. */
static void test_load__access_given__hides_the_environments_keys(void **state)
{
    const struct bdr_store_access access = {.key = "theirs", .secret = "whisper", .endpoint = "https://s3.dr.example:8443",
                                            .region = "eu-1", .addressing = "virtual", .ca_file = "/ca.pem"};
    BDR_AUTO(s3_config) struct bdr_s3_config cfg = {0}, plain = {0};
    struct bdr_err *err = NULL;
    pthread_t t;

    (void)state;
    setenv("AWS_SESSION_TOKEN", "stale", 1);
    setenv("AWS_ACCESS_KEY_ID", "ours", 1); /* alone it would be a mistake */
    setenv("AWS_ENDPOINT_URL", "http://elsewhere", 1);
    bdr_store_access_set(&access);
    assert_null(bdr_s3_config_load("s3://bucket/x", &cfg));
    assert_string_equal(cfg.key_id, "theirs");
    assert_string_equal(cfg.secret, "whisper");
    assert_null(cfg.token);
    assert_string_equal(cfg.origin, "https://bucket.s3.dr.example:8443");
    assert_string_equal(cfg.region, "eu-1");
    assert_string_equal(cfg.ca_file, "/ca.pem");
    assert_int_equal(pthread_create(&t, NULL, other_thread, &err), 0);
    pthread_join(t, NULL);
    assert_non_null(err); /* of the environment alone: a key without a secret */
    bdr_err_drop(err, "looked at");
    bdr_store_access_set(&(struct bdr_store_access){.key = "theirs", .secret = "whisper"});
    setenv("BDR_S3_CA", "/site.pem", 1);
    assert_null(bdr_s3_config_load("s3://bucket/x", &plain));
    assert_string_equal(plain.origin, "https://bucket.s3.us-east-1.amazonaws.com");
    assert_string_equal(plain.ca_file, "/site.pem");
    bdr_store_access_set(NULL);
    fails("s3://bucket/x", BDR_INVAL, "go together");
}

int main(void)
{
    static const char text[] = "# comment\n[default]\naws_access_key_id = ID1\r\n aws_secret_access_key=hush/1=\n"
                               "[two]\naws_access_key_id=ID2\naws_secret_access_key=hush2\naws_session_token = hush3\n"
                               "region = eu-north-1\n[twofold]\naws_access_key_id=no\n[empty]\n";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_load__amazon__is_virtual_host_and_https, fresh),
        cmocka_unit_test_setup(test_load__endpoint__is_path_style, fresh),
        cmocka_unit_test_setup(test_load__profile__is_read, fresh),
        cmocka_unit_test_setup(test_load__wrong__says_what, fresh),
        cmocka_unit_test_setup(test_load__access_given__hides_the_environments_keys, fresh),
    };
    int fd = mkstemp(file), failed;

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    close(fd);
    unlink(file);
    return failed;
}
