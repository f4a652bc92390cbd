/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "frame/config.h"

static void test_config__all_forms__entries(void **state)
{
    static const char text[] = "\xef\xbb\xbf# comment\n"
                               "repo = /srv/bdr # not a comment\r\n"
                               "\n"
                               "  [ key export ]  \n"
                               "\ttag=\"a \\\"b\\\" \\\\ \"\n"
                               "empty =\n"
                               "last = x = y";
    BDR_AUTO(config) struct bdr_config c = {0};

    (void)state;
    check_ok(bdr_config_parse("f", text, sizeof(text) - 1, &c));
    assert_int_equal(c.count, 5);
    assert_string_equal(c.entries[0].section, "");
    assert_string_equal(c.entries[0].key, "repo");
    assert_string_equal(c.entries[0].value, "/srv/bdr # not a comment");
    assert_int_equal(c.entries[0].line, 2);
    assert_null(c.entries[1].key);
    assert_string_equal(c.entries[1].section, "key export");
    assert_string_equal(c.entries[2].section, "key export");
    assert_string_equal(c.entries[2].value, "a \"b\" \\ ");
    assert_int_equal(c.entries[2].line, 5);
    assert_string_equal(c.entries[3].value, "");
    assert_string_equal(c.entries[4].value, "x = y");
}

static void test_config__bad__names_file_and_line(void **state)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"\nrepo\n", "f:2: expected 'key = value'"},         {"= x\n", "f:1: '' is not a key"},
        {"Re Po = x\n", "f:1: 'Re Po' is not a key"},        {"[backup\n", "f:1: the section's closing bracket"},
        {"[]\n", "f:1: '' is not a section's name"},         {"[Back]\n", "f:1: 'Back' is not a section's name"},
        {"a = \"x\n", "f:1: the closing quote is missing"},  {"a = \"x\" y\n", "f:1: something stands behind"},
        {"a = \"\\n\"\n", "f:1: after a backslash"},         {"a = \"\\", "f:1: after a backslash"},
        {"\n\n# \x01\n", "f:3: a control character (0x01)"},
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        BDR_AUTO(config) struct bdr_config c = {0};

        check_fails(bdr_config_parse("f", rows[i].text, strlen(rows[i].text), &c), BDR_INVAL, rows[i].part);
    }
}

static void test_config__zero_byte__refused(void **state)
{
    BDR_AUTO(config) struct bdr_config c = {0};

    (void)state;
    check_fails(bdr_config_parse("f", "a = b\0c\n", 8, &c), BDR_INVAL, "f:1: a zero byte");
}

static void test_config__too_large__refused(void **state)
{
    BDR_AUTO(config) struct bdr_config c = {0};

    (void)state;
    check_fails(bdr_config_parse("f", "", BDR_CONFIG_MAX_BYTES + 1, &c), BDR_RANGE, "larger than");
}

static void test_config__empty__no_entries(void **state)
{
    BDR_AUTO(config) struct bdr_config c = {0};

    (void)state;
    check_ok(bdr_config_parse("f", "", 0, &c));
    assert_int_equal(c.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config__all_forms__entries), cmocka_unit_test(test_config__bad__names_file_and_line),
        cmocka_unit_test(test_config__zero_byte__refused), cmocka_unit_test(test_config__too_large__refused),
        cmocka_unit_test(test_config__empty__no_entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
