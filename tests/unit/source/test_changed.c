/* SPDX-License-Identifier: Apache-2.0 */
#include "changed.h"
#include "util.h"
#include <inttypes.h>

#define DISK ((uint64_t)1 << 20)

static void parses(const char *text, const char *want)
{
    BDR_AUTO(changed) struct changed_list list = {0};
    char got[512] = "";
    size_t at = 0;

    OK(changed_parse("F", text, strlen(text), DISK, &list));
    for (size_t i = 0; i < list.n; i++)
        at += (size_t)snprintf(got + at, sizeof(got) - at, "%" PRIu64 "+%" PRIu64 " ", list.at[i].off, list.at[i].len);
    assert_string_equal(got, want);
}

static void refuses(const char *text, const char *part)
{
    struct changed_list list = {0};

    FAILS(INVAL, part, changed_parse("F", text, strlen(text), DISK, &list));
    assert_null(list.at);
}

static void test_changed_parse__good_lines__sorted_and_merged(void **state)
{
    (void)state;
    parses("", "");
    parses("0 1", "0+1 ");
    parses("4096 512\n0 512\n", "0+512 4096+512 ");
    parses("0 512\n512 512\n", "0+1024 ");
    parses("0 1000\n10 20\n999 2\n", "0+1001 ");
    parses("5 5\n5 5\n5 1\n", "5+5 ");
    parses("100 0\n", "");
    parses("1048576 0\n", "");
    parses("1048575 1\n", "1048575+1 ");
    parses("0 1048576", "0+1048576 ");
}

static void test_changed_parse__comments_blanks_hex_crlf__taken(void **state)
{
    (void)state;
    parses("# all\n\n   \n\t7\t 9  # tail\r\n0x10 0xF\r\n", "7+24 ");
    parses("#", "");
    parses("0x0 0x1", "0+1 ");
}

static void test_changed_parse__bad_lines__named(void **state)
{
    (void)state;
    refuses("0 1\n\n12\n", "F line 3: '12'");
    refuses("0 1 2\n", "line 1");
    refuses("-1 5\n", "line 1");
    refuses("1 5k\n", "line 1");
    refuses("0x 5\n", "line 1");
    refuses("0xg 5\n", "line 1");
    refuses("1,5\n", "line 1");
    refuses("99999999999999999999 1\n", "line 1");
    refuses("18446744073709551616 1\n", "line 1");
    refuses("1048577 0\n", "past the end of the disk (1048576 bytes)");
    refuses("1048575 2\n", "line 1: 2 bytes at 1048575");
    refuses("#\n18446744073709551615 1\n", "line 2");
    refuses("1 18446744073709551615\n", "line 1");
}

static void test_changed_find__offsets__first_that_ends_behind(void **state)
{
    BDR_AUTO(changed) struct changed_list list = {0};

    (void)state;
    OK(changed_parse("F", "10 10\n30 10\n", 12, DISK, &list));
    assert_int_equal(changed_find(&list, 0), 0);
    assert_int_equal(changed_find(&list, 19), 0);
    assert_int_equal(changed_find(&list, 20), 1);
    assert_int_equal(changed_find(&list, 39), 1);
    assert_int_equal(changed_find(&list, 40), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changed_parse__good_lines__sorted_and_merged),
        cmocka_unit_test(test_changed_parse__comments_blanks_hex_crlf__taken),
        cmocka_unit_test(test_changed_parse__bad_lines__named),
        cmocka_unit_test(test_changed_find__offsets__first_that_ends_behind),
    };

    return cmocka_run_group_tests_name("source changed", tests, NULL, NULL);
}
