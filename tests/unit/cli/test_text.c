/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "frame/table.h"
#include "frame/text.h"
#include "oom.h"

static void test_width__scripts__counted_in_columns(void **state)
{
    (void)state;
    assert_int_equal(bdr_text_width(""), 0);
    assert_int_equal(bdr_text_width("abc"), 3);
    assert_int_equal(bdr_text_width("\xc3\xa9t\xc3\xa9"), 3);        /* ete with accents */
    assert_int_equal(bdr_text_width("e\xcc\x81"), 1);                /* combining accent */
    assert_int_equal(bdr_text_width("\xe6\xba\x90\xe7\xab\xaf"), 4); /* two wide characters */
    assert_int_equal(bdr_text_width("\xf0\x9f\x98\x80"), 2);         /* emoji */
    assert_int_equal(bdr_text_width("a\xff"
                                    "b"),
                     3);                                         /* invalid byte */
    assert_int_equal(bdr_text_width("\xe6\xba"), 2);             /* cut character */
    assert_int_equal(bdr_text_width("\xc0\xaf\xed\xa0\x80"), 5); /* overlong, surrogate */
    assert_int_equal(bdr_text_width("\x1b[31m"), 5);
}

static const char *put(struct bdr_buf *b, const char *s, unsigned max)
{
    b->len = 0;
    bdr_text_put(b, s, max);
    return bdr_text_of(b);
}

static void test_put__steering_characters__made_harmless(void **state)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    assert_string_equal(put(&b, "a\x1b[2Jb\nc\x7f", 0), "a?[2Jb?c?");
    assert_string_equal(put(&b, "x\xe2\x80\xaey", 0), "x?y"); /* right-to-left override */
    assert_string_equal(put(&b,
                            "\xc2\x9b"
                            "31m",
                            0),
                        "?31m"); /* C1 control sequence introducer */
    assert_string_equal(put(&b,
                            "a\xff"
                            "b",
                            0),
                        "a\xef\xbf\xbd"
                        "b"); /* always valid UTF-8 */
}

static void test_put__limit__cut_with_ellipsis(void **state)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    assert_string_equal(put(&b, "abcdef", 6), "abcdef");
    assert_string_equal(put(&b, "abcdefg", 6), "abcde\xe2\x80\xa6");
    assert_string_equal(put(&b, "\xe6\xba\x90\xe7\xab\xaf\xe4\xbb\xa3", 4),
                        "\xe6\xba\x90\xe2\x80\xa6"); /* never half */
}

static void test_wrap__long_text__fits(void **state)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    bdr_text_wrap(&b, "one two three four averyveryverylongword five", 2, 2, 12);
    assert_string_equal(bdr_text_of(&b), "one two\n  three four\n  averyveryverylongword\n  five\n");
    b.len = 0;
    bdr_text_wrap(&b, "no limit here at all", 0, 0, 0);
    assert_string_equal(bdr_text_of(&b), "no limit here at all\n");
    b.len = 0;
    bdr_text_paragraphs(&b, "a\nb\n\n  keep   this\nc", 1, 20);
    assert_string_equal(bdr_text_of(&b), " a b\n\n   keep   this\n c\n");
}

static const struct bdr_col cols[] = {
    {.title = "Name", .key = "name"},
    {.title = "Size", .key = "size_bytes", .kind = BDR_COL_SIZE},
    {.title = "Points", .key = "points", .kind = BDR_COL_COUNT},
    {.title = "Last", .key = "last", .kind = BDR_COL_TIME},
    {.title = "Age", .key = "age_ms", .kind = BDR_COL_DURATION},
    {.key = "id"},
    {.title = "OK", .key = "ok", .kind = BDR_COL_BOOL},
};
static struct bdr_err *fill(struct bdr_table **out)
{
    BDR_AUTO(table) struct bdr_table *t = NULL;

    BDR_TRY(bdr_table_new(cols, BDR_COUNT(cols), &t));
    BDR_TRY(bdr_table_add(t, (const struct bdr_cell[]){BDR_CELL_TEXT("vda"), BDR_CELL_U64(1536), BDR_CELL_U64(7),
                                                       BDR_CELL_TIME(1795371300000), BDR_CELL_U64(5400000),
                                                       BDR_CELL_TEXT("a1"), BDR_CELL_U64(1)}));
    BDR_TRY(
        bdr_table_add(t, (const struct bdr_cell[]){BDR_CELL_TEXT("\xe6\xba\x90\xe7\xab\xaf\xe4\xbb\xa3\xe7\x90\x86"),
                                                   BDR_CELL_NONE, BDR_CELL_U64(12345), BDR_CELL_NONE, BDR_CELL_U64(0),
                                                   BDR_CELL_TEXT(NULL), BDR_CELL_U64(0)}));
    *out = BDR_STEAL(t);
    return NULL;
}

static void test_table__rows__aligned_by_width(void **state)
{
    BDR_AUTO(table) struct bdr_table *t = NULL;
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    check_ok(fill(&t));
    assert_int_equal(bdr_table_rows(t), 2);
    check_ok(bdr_table_text(t, 0, false, &b));
    assert_string_equal(
        bdr_text_of(&b),
        "Name         Size  Points  Last                    Age  OK\n"
        "vda       1.5 KiB       7  2026-11-22 18:15:00Z  1h30m  yes\n"
        "\xe6\xba\x90\xe7\xab\xaf\xe4\xbb\xa3\xe7\x90\x86        -   12345  -                        0s  no\n");
}

static void test_table__narrow_terminal__text_is_cut(void **state)
{
    static const struct bdr_col two[] = {{.title = "A", .key = "a"}, {.title = "B", .key = "b", .max_width = 5}};
    BDR_AUTO(table) struct bdr_table *t = NULL;
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    check_ok(bdr_table_new(two, 2, &t));
    check_ok(bdr_table_add(
        t, (const struct bdr_cell[]){BDR_CELL_TEXT("a long name of a disk"), BDR_CELL_TEXT("123456789")}));
    check_ok(bdr_table_text(t, 20, true, &b));
    assert_string_equal(bdr_text_of(&b), "\x1b[1mA              B\x1b[0m\n"
                                         "a long name \xe2\x80\xa6  1234\xe2\x80\xa6\n");
}

static void test_table__json__typed(void **state)
{
    BDR_AUTO(table) struct bdr_table *t = NULL;
    BDR_AUTO(mem) char *text = NULL;
    json_t *doc;

    (void)state;
    check_ok(fill(&t));
    doc = bdr_table_json(t);
    text = json_dumps(doc, JSON_COMPACT);
    json_decref(doc);
    assert_string_equal(text, "[{\"name\":\"vda\",\"size_bytes\":1536,\"points\":7,\"last\":\"2026-11-22T18:15:00Z\","
                              "\"age_ms\":5400000,\"id\":\"a1\",\"ok\":true},"
                              "{\"name\":\"\xe6\xba\x90\xe7\xab\xaf\xe4\xbb\xa3\xe7\x90\x86\",\"size_bytes\":null,"
                              "\"points\":12345,\"last\":null,\"age_ms\":0,\"id\":null,\"ok\":false}]");
}

static void test_record__json_of_bad_utf8__still_valid(void **state)
{
    static const struct bdr_col one[] = {{.title = "Path", .key = "path"}};
    json_t *doc = bdr_record_json(one, 1,
                                  (const struct bdr_cell[]){BDR_CELL_TEXT("a\xff"
                                                                          "b")});

    (void)state;
    assert_non_null(doc);
    assert_string_equal(json_string_value(json_object_get(doc, "path")), "a\xef\xbf\xbd"
                                                                         "b");
    json_decref(doc);
}

static void test_record__text__titles_aligned(void **state)
{
    static const struct bdr_col two[] = {{.title = "Id", .key = "id"},
                                         {.title = "Size", .key = "s", .kind = BDR_COL_SIZE}};
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    check_ok(bdr_record_text(two, 2, (const struct bdr_cell[]){BDR_CELL_TEXT("x\ny"), BDR_CELL_U64(0)}, &b));
    assert_string_equal(bdr_text_of(&b), "Id:   x?y\nSize: 0 B\n");
}

static void test_table__nth_allocation_fails__clean_error(void **state)
{
    unsigned n = 0;
    bool hit;

    (void)state;
    do {
        BDR_AUTO(table) struct bdr_table *t = NULL;
        BDR_AUTO(buf) struct bdr_buf b = {0};
        struct bdr_err *err;

        oom_arm(++n);
        err = fill(&t);
        if (!err)
            err = bdr_table_text(t, 40, false, &b);
        hit = oom_disarm();
        assert_true(hit == (err != NULL));
        bdr_err_free(err);
    } while (hit);
    assert_true(n > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_width__scripts__counted_in_columns),
        cmocka_unit_test(test_put__steering_characters__made_harmless),
        cmocka_unit_test(test_put__limit__cut_with_ellipsis),
        cmocka_unit_test(test_wrap__long_text__fits),
        cmocka_unit_test(test_table__rows__aligned_by_width),
        cmocka_unit_test(test_table__narrow_terminal__text_is_cut),
        cmocka_unit_test(test_table__json__typed),
        cmocka_unit_test(test_record__json_of_bad_utf8__still_valid),
        cmocka_unit_test(test_record__text__titles_aligned),
        cmocka_unit_test(test_table__nth_allocation_fails__clean_error),
    };

    bdr_text_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
