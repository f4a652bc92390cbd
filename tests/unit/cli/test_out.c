/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "frame/help.h"
#include "frame/man.h"
#include "frame/text.h"
#include "oom.h"
#include "sample.h"
#include <errno.h>
#include <stdio.h>

/* A program's output, caught. */
struct caught {
    char *out, *err;
    size_t out_len, err_len;
    struct bdr_out_how how;
    struct bdr_out *o;
};

static int caught_open(struct caught *c, bool json, bool quiet)
{
    *c = (struct caught){0};
    c->how = (struct bdr_out_how){.json = json, .quiet = quiet};
    c->how.out = open_memstream(&c->out, &c->out_len);
    c->how.err = open_memstream(&c->err, &c->err_len);
    check_ok(bdr_out_new(&c->how, &c->o));
    return 0;
}

static int caught_close(struct caught *c, const struct bdr_err *err, const struct bdr_cmd *cmd)
{
    int code = bdr_out_finish(c->o, err, cmd, &sample_app);

    fclose(c->how.out);
    fclose(c->how.err);
    return code;
}

static void caught_free(struct caught *c)
{
    bdr_out_free(c->o);
    free(c->out);
    free(c->err);
}

static struct bdr_err *chain(void)
{
    return bdr_err_wrap(
        bdr_err_wrap(bdr_err_new(BDR_NOSPACE, ENOSPC, BDR_AT, "writing pack \x1b 7"), BDR_AT, "storing chunk 3"),
        BDR_AT, "backing up vda");
}

static void test_finish__error__one_line_and_a_hint(void **state)
{
    BDR_AUTO(err) struct bdr_err *err = chain();
    struct caught c;

    (void)state;
    caught_open(&c, false, false);
    assert_int_equal(caught_close(&c, err, NULL), 7);
    assert_string_equal(c.out, "");
    assert_string_equal(c.err, "bdr: backing up vda: storing chunk 3: writing pack ? 7: No space left on device\n"
                               "hint: make room, then run the same command again: it goes on where it stopped\n");
    caught_free(&c);
}

static void test_finish__hints__nearest_first(void **state)
{
    const struct bdr_cmd cmd = {.hints = (const struct bdr_hint[]){{BDR_NOSPACE, "buy a disk"}, {0}}};
    BDR_AUTO(err) struct bdr_err *err = chain();
    struct caught c;

    (void)state;
    caught_open(&c, false, true);
    caught_close(&c, err, &cmd);
    assert_non_null(strstr(c.err, "hint: buy a disk\n"));
    caught_free(&c);
    caught_open(&c, false, true);
    bdr_out_hint(c.o, "ask Ann");
    caught_close(&c, err, &cmd);
    assert_non_null(strstr(c.err, "hint: ask Ann\n"));
    caught_free(&c);
}

static void test_finish__json_error__document_and_words(void **state)
{
    BDR_AUTO(err) struct bdr_err *err = chain();
    struct caught c;

    (void)state;
    caught_open(&c, true, false);
    check_ok(bdr_out_json(c.o, json_object())); /* the error takes its place */
    assert_int_equal(caught_close(&c, err, NULL), 7);
    assert_string_equal(c.out,
                        "{\"error\":{\"code\":\"NOSPACE\",\"message\":\"backing up vda\",\"causes\":[\"storing chunk "
                        "3\",\"writing pack \\u001B 7\",\"No space left on device\"],\"exit\":7,\"hint\":\"make room, "
                        "then run the same command again: it goes on where it stopped\"}}\n");
    assert_non_null(strstr(c.err, "bdr: backing up vda: "));
    caught_free(&c);
}

static void test_finish__json__one_document_and_no_lines(void **state)
{
    struct caught c;

    (void)state;
    caught_open(&c, true, false);
    check_ok(bdr_out_line(c.o, "for people"));
    bdr_out_note(c.o, "working on %d", 7);
    check_ok(bdr_out_json(c.o, json_pack("{s:i}", "n", 1)));
    assert_int_equal(caught_close(&c, NULL, NULL), 0);
    assert_string_equal(c.out, "{\"n\":1}\n");
    assert_string_equal(c.err, "bdr: working on 7\n");
    caught_free(&c);
}

static void test_note__quiet__nothing(void **state)
{
    struct caught c;

    (void)state;
    caught_open(&c, false, true);
    bdr_out_note(c.o, "working");
    check_ok(bdr_out_line(c.o, "result %s", "a\tb"));
    assert_int_equal(caught_close(&c, NULL, NULL), 0);
    assert_string_equal(c.out, "result a?b\n");
    assert_string_equal(c.err, "");
    caught_free(&c);
}

static void test_finish__full_disk_behind_stdout__told(void **state)
{
    struct bdr_out_how how = {.out = fopen("/dev/full", "w"), .err = NULL};
    struct bdr_out *o = NULL;
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;

    (void)state;
    how.err = open_memstream(&text, &len);
    check_ok(bdr_out_new(&how, &o));
    check_ok(bdr_out_line(o, "lost"));
    assert_int_equal(bdr_out_finish(o, NULL, NULL, NULL), 7);
    fclose(how.out);
    fclose(how.err);
    assert_non_null(strstr(text, "bdr: writing to standard output: No space left on device"));
    bdr_out_free(o);
}

static void test_finish__nth_allocation_fails__still_the_exit_code(void **state)
{
    unsigned n = 0;
    bool hit;

    (void)state;
    do {
        struct bdr_err *err = chain();
        FILE *out = fopen("/dev/null", "w"), *words = fopen("/dev/null", "w");
        struct bdr_out *o = NULL;
        int code;

        check_ok(bdr_out_new(&(struct bdr_out_how){.out = out, .err = words, .json = true}, &o));
        oom_arm(++n);
        code = bdr_out_finish(o, err, NULL, NULL);
        hit = oom_disarm();
        assert_int_equal(code, 7);
        bdr_err_free(err);
        bdr_out_free(o);
        fclose(out);
        fclose(words);
    } while (hit);
}

/* Help against tests/golden/cli-help; BDR_GOLDEN=write makes the files anew. */
static void check_golden(const char *name, const struct bdr_buf *text)
{
    static char was[65536];
    char path[1024];
    size_t n;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", getenv("BDR_GOLDEN_DIR"), name);
    if (getenv("BDR_GOLDEN")) {
        f = fopen(path, "w");
        assert_non_null(f);
        fwrite(text->data, 1, text->len, f);
        fclose(f);
    }
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(was, 1, sizeof(was) - 1, f);
    was[n] = 0;
    fclose(f);
    assert_int_equal(n, text->len);
    assert_memory_equal(was, text->data, n);
}

static void test_help__sample__golden(void **state)
{
    static const struct {
        const char *words[3], *name;
        unsigned width;
    } rows[] = {{{NULL}, "bdr.80.txt", 80},          {{"copy", NULL}, "copy.80.txt", 80},
                {{"copy", NULL}, "copy.50.txt", 50}, {{"copy", NULL}, "copy.wide.txt", 300},
                {{"key", NULL}, "key.80.txt", 80},   {{"key", "export", NULL}, "key-export.80.txt", 80}};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        BDR_AUTO(buf) struct bdr_buf b = {0};
        struct bdr_list words = {.items = rows[i].words};
        const struct bdr_cmd *cmd = NULL;
        char path[64];

        while (words.items[words.count])
            words.count++;
        check_ok(bdr_help_find(&sample_app, &words, &cmd, path));
        bdr_help_text(&sample_app, cmd, path, rows[i].width, &b);
        check_ok(bdr_buf_check(&b));
        check_golden(rows[i].name, &b);
    }
}

/* No golden file: the exit codes in it grow with errors.def. `outside` lets groff judge it. */
static void test_man__sample__escaped(void **state)
{
    static const char *const parts[] = {
        ".TH \"BDR\\-COPY\" 1 \"\" \"Sample 1.2.3\" \"Sample\"\n",
        ".B bdr copy [OPTIONS] DISK [MORE...] TARGET\n",
        "\\fB\\-s\\fR, \\fB\\-\\-size\\fR \\fISIZE\\fR\n",
        "# with a \\(aqquote\\(aq and a \\ebackslash\n",
        ".TP\n4 (of this command)\nSome of the disks are damaged.\n",
        "\\fBSAMPLE_SIZE\\fR\nThe same as \\fB\\-\\-size\\fR",
    };
    BDR_AUTO(buf) struct bdr_buf b = {0};

    (void)state;
    bdr_man_page(&sample_app, &sample_copy, "copy", &b);
    check_ok(bdr_buf_check(&b));
    for (size_t i = 0; i < BDR_COUNT(parts); i++)
        if (!strstr(bdr_text_of(&b), parts[i]))
            fail_msg("the page lacks %s", parts[i]);
    assert_null(strstr(bdr_text_of(&b), "secret")); /* hidden */
}

static void test_help_find__unknown__nearest(void **state)
{
    static const char *const words[] = {"key", "exprot"};
    const struct bdr_cmd *cmd = NULL;
    char path[64];

    (void)state;
    check_fails(bdr_help_find(&sample_app, &(struct bdr_list){words, 2}, &cmd, path), BDR_INVAL,
                "no command is called 'key exprot'; did you mean 'export'?");
}

/* docs/exit-codes.md has a row for each code of schema/errors.def, and no other. */
static void test_exit_codes__docs__agree_with_the_table(void **state)
{
    char line[512], want[128], name[64];
    bool seen[BDR_CODE_END] = {false};
    FILE *f = fopen(getenv("BDR_EXIT_DOC"), "r");

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        int code, exit_code;

        if (sscanf(line, "| %d | `%63[A-Z]` |", &exit_code, name) != 2)
            continue;
        for (code = BDR_OK + 1; code < BDR_CODE_END && strcmp(bdr_code_name((enum bdr_code)code), name); code++)
            continue;
        assert_true(code < BDR_CODE_END);
        seen[code] = true;
        snprintf(want, sizeof(want), "| %d | `%s` | %s | %s |", bdr_code_exit((enum bdr_code)code), name,
                 bdr_code_title((enum bdr_code)code), bdr_code_retryable((enum bdr_code)code) ? "yes" : "no");
        assert_int_equal(strncmp(line, want, strlen(want)), 0);
    }
    fclose(f);
    for (int code = BDR_OK + 1; code < BDR_CODE_END; code++)
        assert_true(seen[code]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finish__error__one_line_and_a_hint),
        cmocka_unit_test(test_finish__hints__nearest_first),
        cmocka_unit_test(test_finish__json_error__document_and_words),
        cmocka_unit_test(test_finish__json__one_document_and_no_lines),
        cmocka_unit_test(test_note__quiet__nothing),
        cmocka_unit_test(test_finish__full_disk_behind_stdout__told),
        cmocka_unit_test(test_finish__nth_allocation_fails__still_the_exit_code),
        cmocka_unit_test(test_help__sample__golden),
        cmocka_unit_test(test_man__sample__escaped),
        cmocka_unit_test(test_help_find__unknown__nearest),
        cmocka_unit_test(test_exit_codes__docs__agree_with_the_table),
    };

    bdr_text_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
