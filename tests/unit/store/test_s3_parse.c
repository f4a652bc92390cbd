/* SPDX-License-Identifier: Apache-2.0 */
/* What S3 answers: lists, errors, header lines; and what no S3 server should answer. */
#include "error.h"
#include "header.h"
#include "xml.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static void fails(struct bdr_err *err, enum bdr_code code)
{
    assert_non_null(err);
    assert_int_equal(err->code, code);
    bdr_err_free(err);
}

static void test_list__two_keys_and_more__are_read(void **state)
{
    static const char xml[] =
        "<?xml version=\"1.0\"?><ListBucketResult" NS "><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>"
        "<NextContinuationToken>a&amp;b</NextContinuationToken>"
        "<Contents><Key>p%2Fa+b%C3%A9</Key><Size>12</Size><Owner><ID>x</ID></Owner></Contents>"
        "<Contents><Key>p/b</Key><Size>0</Size></Contents></ListBucketResult>";
    BDR_AUTO(s3_page) struct bdr_s3_page page = {0};

    (void)state;
    assert_null(bdr_s3_xml_list(xml, strlen(xml), &page));
    assert_true(page.more);
    assert_string_equal(page.next, "a&b");
    assert_int_equal(page.n, 2);
    assert_string_equal(page.entries[0].key, "p/a b\xc3\xa9");
    assert_int_equal(page.entries[0].size_bytes, 12);
    assert_string_equal(page.entries[1].key, "p/b");
}

static void test_list__damaged__is_corrupt(void **state)
{
    static const char *const bad[] = {
        "",
        "<html></html>",
        "<ListBucketResult><IsTruncated>false</IsTruncated>",
        "<ListBucketResult></ListBucketResult>",
        "<ListBucketResult><IsTruncated>maybe</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>-1</Size></Contents>"
        "</ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><Contents><Key>%00</Key>"
        "<Size>1</Size></Contents></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><Contents><Key>%4</Key>"
        "<Size>1</Size></Contents></ListBucketResult>",
        "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(bad); i++) {
        BDR_AUTO(s3_page) struct bdr_s3_page page = {0};

        fails(bdr_s3_xml_list(bad[i], strlen(bad[i]), &page), BDR_CORRUPT);
        assert_int_equal(page.n, 0);
    }
}

static void test_uploads__are_read(void **state)
{
    static const char xml[] =
        "<ListMultipartUploadsResult" NS "><IsTruncated>false</IsTruncated><Upload><Key>p/a</Key>"
        "<UploadId>2~x</UploadId><Initiated>2013-05-24T00:00:01.000Z</Initiated></Upload></ListMultipartUploadsResult>";
    static const char undated[] = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>a</Key>"
                                  "</Upload></ListMultipartUploadsResult>";
    BDR_AUTO(s3_page) struct bdr_s3_page page = {0};

    (void)state;
    assert_null(bdr_s3_xml_uploads(xml, strlen(xml), &page));
    assert_int_equal(page.n, 1);
    assert_string_equal(page.entries[0].upload_id, "2~x");
    assert_true(page.entries[0].started_ms == 1369353601000);
    fails(bdr_s3_xml_uploads(undated, strlen(undated), &page), BDR_CORRUPT);
}

static void test_error__is_one_printable_line_with_advice(void **state)
{
    static const char xml[] = "<Error><Code>SignatureDoesNotMatch</Code><Message>Bad\n\x1b[1m</Message>"
                              "<StringToSign>secret stuff</StringToSign></Error>";
    static const char clean[] = "<Error><Code>SignatureDoesNotMatch</Code><Message>Bad\nline</Message>"
                                "<StringToSign>secret stuff</StringToSign></Error>";
    const struct bdr_s3_config cfg = {.bucket = (char *)"b", .region = (char *)"eu"};
    struct bdr_s3_reply reply = {.status = 403};
    BDR_AUTO(err) struct bdr_err *err = NULL;
    struct bdr_s3_error told;

    (void)state;
    assert_false(bdr_s3_xml_error(xml, strlen(xml), &told)); /* control characters are not XML */
    bdr_buf_put(&reply.body, clean, strlen(clean));
    err = bdr_s3_error_make(&cfg, "GET", "k", &reply);
    bdr_s3_reply_free(&reply);
    assert_int_equal(err->code, BDR_DENIED);
    assert_string_equal(err->msg, "GET s3://b/k: SignatureDoesNotMatch: Bad?line; check AWS_SECRET_ACCESS_KEY");
}

static void test_error__other_region__names_it(void **state)
{
    const struct bdr_s3_config cfg = {.bucket = (char *)"b", .region = (char *)"us-east-1"};
    const struct bdr_s3_reply reply = {.status = 301, .region = "eu-west-1"};
    BDR_AUTO(err) struct bdr_err *err = bdr_s3_error_make(&cfg, "GET", NULL, &reply);

    (void)state;
    assert_int_equal(err->code, BDR_INVAL);
    assert_string_equal(err->msg, "bucket b is in region eu-west-1, not us-east-1: set AWS_REGION=eu-west-1");
}

static void test_error__codes_and_statuses__map(void **state)
{
    static const struct {
        int status;
        const char *xml;
        enum bdr_code code;
        bool retry;
    } rows[] = {
        {404, "<Error><Code>NoSuchBucket</Code></Error>", BDR_NOTFOUND, false},
        {403, "<Error><Code>QuotaExceeded</Code></Error>", BDR_NOSPACE, false},
        {400, "<Error><Code>RequestTimeout</Code></Error>", BDR_TIMEOUT, true},
        {409, "<Error><Code>ConditionalRequestConflict</Code></Error>", BDR_BUSY, true},
        {409, "<Error><Code>BucketAlreadyOwnedByYou</Code></Error>", BDR_EXISTS, false},
        {503, "", BDR_THROTTLED, true},
        {500, "<html>", BDR_IO, true},
        {418, "", BDR_IO, false},
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        struct bdr_s3_reply reply = {.status = rows[i].status};
        struct bdr_s3_problem p;

        bdr_buf_put(&reply.body, rows[i].xml, strlen(rows[i].xml));
        bdr_s3_error_read(&reply, &p);
        assert_int_equal(p.code, rows[i].code);
        assert_int_equal(p.retry, rows[i].retry);
        bdr_s3_reply_free(&reply);
    }
}

static void line(struct bdr_s3_reply *reply, const char *text)
{
    bdr_s3_header_line(text, strlen(text), reply);
}

static void test_header__known_lines__are_taken(void **state)
{
    struct bdr_s3_reply r = {.length = -1};

    (void)state;
    line(&r, "HTTP/1.1 206 Partial Content\r\n");
    line(&r, "Content-Length: 10\r\n");
    line(&r, "content-range: bytes 5-14/100\r\n");
    line(&r, "Date: Fri, 24 May 2013 00:00:00 GMT\r\n");
    line(&r, "ETag:\"abc\"\r\n");
    line(&r, "Retry-After: 99999\r\n");
    assert_true(r.length == 10 && r.has_range && r.range_from == 5 && r.range_total == 100);
    assert_true(r.date_ms == 1369353600000 && r.retry_after_ms == 30000);
    assert_string_equal(r.etag, "\"abc\"");
    line(&r, "HTTP/1.1 200 OK\r\n");
    assert_true(r.length == -1 && !r.has_range && !*r.etag);
}

static void test_header__nonsense__is_left_out(void **state)
{
    static const char *const bad[] = {
        "content-range: bytes 5-4/100",
        "content-range: bytes 5-100/100",
        "content-range: items 1-2/3",
        "content-range: bytes x/100",
        "content-range: bytes -1-2/3",
        "content-length: -5",
        "content-length: 99999999999999999999",
        "date: Fri, 24 May 2054910447 00:00:00 GMT",
        "content-length:",
        ":",
        "",
        "x-amz-bucket-region: Not A Region",
    };
    struct bdr_s3_reply r = {.length = -1};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(bad); i++)
        line(&r, bad[i]);
    assert_true(r.length == -1 && !r.has_range && !*r.region && !r.date_ms);
    line(&r, "content-range: bytes */7\r\n");
    assert_true(r.has_range && r.range_total == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list__two_keys_and_more__are_read),
        cmocka_unit_test(test_list__damaged__is_corrupt),
        cmocka_unit_test(test_uploads__are_read),
        cmocka_unit_test(test_error__is_one_printable_line_with_advice),
        cmocka_unit_test(test_error__other_region__names_it),
        cmocka_unit_test(test_error__codes_and_statuses__map),
        cmocka_unit_test(test_header__known_lines__are_taken),
        cmocka_unit_test(test_header__nonsense__is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
