/* SPDX-License-Identifier: Apache-2.0 */
/* The examples that AWS publishes, with their signatures. */
#include "sigv4.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define EMPTY        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define S3_ID        "AKIAIOSFODNN7EXAMPLE"
#define S3_SECRET    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SUITE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

#define SUITE_ID "AKIDEXAMPLE"

/* The published examples differ in these only. */
static struct bdr_sigv4 s3_request(const char *method, const char *path, const char *query,
                                   const struct bdr_sigv4_pair *headers, size_t n, const char *payload_hex)
{
    return (struct bdr_sigv4){.method = method,
                              .path = path,
                              .query = query,
                              .headers = headers,
                              .n_headers = n,
                              .payload_hex = payload_hex,
                              .time = "20130524T000000Z",
                              .region = "us-east-1",
                              .service = "s3",
                              .key_id = S3_ID,
                              .secret = S3_SECRET};
}

static struct bdr_sigv4 suite_request(const char *service, const char *query, const struct bdr_sigv4_pair *headers,
                                      size_t n)
{
    return (struct bdr_sigv4){.method = "GET",
                              .path = "/",
                              .query = query,
                              .headers = headers,
                              .n_headers = n,
                              .payload_hex = EMPTY,
                              .time = "20150830T123600Z",
                              .region = "us-east-1",
                              .service = service,
                              .key_id = SUITE_ID,
                              .secret = SUITE_SECRET};
}

static void expect_signature(const struct bdr_sigv4 *req, const char *signed_names, const char *signature)
{
    BDR_AUTO(buf) struct bdr_buf got = {0}, want = {0};

    assert_null(bdr_sigv4_authorize(req, &got));
    bdr_buf_u8(&got, 0);
    bdr_buf_printf(&want, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s%c",
                   req->key_id, req->time, req->region, req->service, signed_names, signature, 0);
    assert_string_equal((char *)got.data, (char *)want.data);
}

/* docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Examples: Signature Calculations" */
static void test_authorize__s3_get_object__is_as_published(void **state)
{
    const struct bdr_sigv4_pair headers[] = {{"host", "examplebucket.s3.amazonaws.com"},
                                             {"range", "bytes=0-9"},
                                             {"x-amz-content-sha256", EMPTY},
                                             {"x-amz-date", "20130524T000000Z"}};

    (void)state;
    struct bdr_sigv4 request = s3_request("GET", "/test.txt", "", headers, BDR_COUNT(headers), EMPTY);
    expect_signature(&request, "host;range;x-amz-content-sha256;x-amz-date",
                     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_authorize__s3_put_object__is_as_published(void **state)
{
    BDR_AUTO(buf) struct bdr_buf path = {0};
    char payload[65];
    const struct bdr_sigv4_pair headers[] = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                                             {"host", "examplebucket.s3.amazonaws.com"},
                                             {"x-amz-content-sha256", payload},
                                             {"x-amz-date", "20130524T000000Z"},
                                             {"x-amz-storage-class", "REDUCED_REDUNDANCY"}};

    (void)state;
    assert_null(bdr_sigv4_sha256("Welcome to Amazon S3.", 21, payload));
    bdr_sigv4_encode(&path, "/test$file.text", true);
    bdr_buf_u8(&path, 0);
    struct bdr_sigv4 request = s3_request("PUT", (char *)path.data, "", headers, BDR_COUNT(headers), payload);
    expect_signature(&request, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void test_authorize__s3_list__is_as_published(void **state)
{
    const struct bdr_sigv4_pair headers[] = {{"host", "examplebucket.s3.amazonaws.com"},
                                             {"x-amz-content-sha256", EMPTY},
                                             {"x-amz-date", "20130524T000000Z"}};

    (void)state;
    struct bdr_sigv4 request = s3_request("GET", "/", "max-keys=2&prefix=J", headers, BDR_COUNT(headers), EMPTY);
    expect_signature(&request, "host;x-amz-content-sha256;x-amz-date",
                     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

/* "get-vanilla" of the Signature Version 4 test suite. */
static void test_authorize__get_vanilla__is_as_published(void **state)
{
    const struct bdr_sigv4_pair headers[] = {{"host", "example.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}};

    (void)state;
    struct bdr_sigv4 request = suite_request("service", "", headers, BDR_COUNT(headers));
    expect_signature(&request, "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

/* docs.aws.amazon.com/IAM/latest/UserGuide: the ListUsers example. */
static void test_authorize__iam_list_users__is_as_published(void **state)
{
    const struct bdr_sigv4_pair headers[] = {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"},
                                             {"host", "iam.amazonaws.com"},
                                             {"x-amz-date", "20150830T123600Z"}};

    (void)state;
    struct bdr_sigv4 request = suite_request("iam", "Action=ListUsers&Version=2010-05-08", headers, BDR_COUNT(headers));
    expect_signature(&request, "content-type;host;x-amz-date",
                     "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
}

static void test_encode__everything_but_unreserved(void **state)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    bdr_sigv4_encode(&b, "aZ0-._~/ +%\xc3\xa9", true);
    bdr_buf_u8(&b, '|');
    bdr_sigv4_encode(&b, "a/b=&", false);
    bdr_buf_u8(&b, 0);
    assert_string_equal((char *)b.data, "aZ0-._~/%20%2B%25%C3%A9|a%2Fb%3D%26");
}

static void test_time__is_basic_iso(void **state)
{
    char t[17];

    (void)state;
    bdr_sigv4_time(1369353600000, t);
    assert_string_equal(t, "20130524T000000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authorize__s3_get_object__is_as_published),
        cmocka_unit_test(test_authorize__s3_put_object__is_as_published),
        cmocka_unit_test(test_authorize__s3_list__is_as_published),
        cmocka_unit_test(test_authorize__get_vanilla__is_as_published),
        cmocka_unit_test(test_authorize__iam_list_users__is_as_published),
        cmocka_unit_test(test_encode__everything_but_unreserved),
        cmocka_unit_test(test_time__is_basic_iso),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
