/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "frame/help.h"
#include "oom.h"
#include "sample.h"
#include <fcntl.h>
#include <stdio.h>

#define MAX_WORDS 32

/* Parses a line split at blanks; an empty word is written as ''. */
static struct bdr_err *parse(struct bdr_parsed *out, const char *line, const char *const *env)
{
    static char room[512]; /* settings point into it until the next call */
    char *argv[MAX_WORDS] = {(char *)(uintptr_t) "bdr"};
    struct bdr_world world = sample_world(env);
    int argc = 1;

    snprintf(room, sizeof(room), "%s", line);
    for (char *at = room; *at && argc < MAX_WORDS;) {
        char *end = at + strcspn(at, " ");
        bool last = !*end;

        *end = 0;
        argv[argc++] = strcmp(at, "''") ? at : end;
        at = last ? end : end + 1;
    }
    return bdr_parse(&sample_app, argc, argv, &world, out);
}

static const char *const no_env[] = {NULL};

static void test_parse__no_options__defaults(void **state)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0};
    const struct sample_args *a;

    (void)state;
    check_ok(parse(&p, "copy disk target", no_env));
    a = p.args;
    assert_ptr_equal(p.cmd, &sample_copy);
    assert_string_equal(p.path, "copy");
    assert_false(a->flag);
    assert_int_equal(a->u32, 4);
    assert_int_equal(a->size_bytes, 1 << 20);
    assert_int_equal(a->wait_ms, 300000);
    assert_string_equal(a->choice, "lz4");
    assert_null(a->path);
    assert_int_equal(a->tags.count, 0);
    assert_string_equal(a->disk, "disk");
    assert_string_equal(a->target, "target");
    assert_int_equal(a->more.count, 0);
    assert_string_equal(p.common.progress, "auto");
}

static void test_parse__every_option__stored(void **state)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0};
    const struct sample_args *a;

    (void)state;
    check_ok(parse(&p,
                   "-r /repo copy d --flag --count -cc --u32=64 --u64 7 --size=64K --wait 2h --at 2026-11-22 "
                   "--text=a=b --path p --choice zstd --host h.example --address [::1]:1 m1 m2 --tag x -ty t -qv",
                   no_env));
    a = p.args;
    assert_true(a->flag);
    assert_int_equal(a->count, 3);
    assert_int_equal(a->u32, 64);
    assert_int_equal(a->u64, 7);
    assert_int_equal(a->size_bytes, 65536);
    assert_int_equal(a->wait_ms, 7200000);
    assert_int_equal(a->at_ms, 1795305600000);
    assert_string_equal(a->text, "a=b");
    assert_string_equal(a->path, "p");
    assert_string_equal(a->choice, "zstd");
    assert_string_equal(a->host, "h.example");
    assert_string_equal(a->address, "[::1]:1");
    assert_int_equal(a->tags.count, 2);
    assert_string_equal(a->tags.items[0], "x");
    assert_string_equal(a->tags.items[1], "y");
    assert_string_equal(a->disk, "d");
    assert_int_equal(a->more.count, 2);
    assert_string_equal(a->more.items[1], "m2");
    assert_string_equal(a->target, "t");
    assert_string_equal(p.common.repo, "/repo");
    assert_true(p.common.quiet);
    assert_int_equal(p.common.verbose, 1);
}

static void test_parse__double_dash__ends_options(void **state)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0};
    const struct sample_args *a;

    (void)state;
    check_ok(parse(&p, "copy -- --flag -", no_env));
    a = p.args;
    assert_false(a->flag);
    assert_string_equal(a->disk, "--flag");
    assert_string_equal(a->target, "-");
}

static void test_parse__flag_with_value__taken(void **state)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0};

    (void)state;
    check_ok(parse(&p, "copy d t --flag --flag=no --count=4 --count", no_env));
    assert_false(((const struct sample_args *)p.args)->flag);
    assert_int_equal(((const struct sample_args *)p.args)->count, 5);
}

static void test_parse__count_over_max__stays(void **state)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0};

    (void)state;
    check_ok(parse(&p, "copy d t -vvvvvvv", no_env));
    assert_int_equal(p.common.verbose, 3);
}

static void test_parse__sub_command__found(void **state)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0};

    (void)state;
    check_ok(parse(&p, "-q key --json export", no_env));
    assert_ptr_equal(p.cmd, &sample_key_export);
    assert_string_equal(p.path, "key export");
    assert_true(p.common.json);
}

static void test_parse__help__stops_before_checks(void **state)
{
    static const char *const lines[] = {"copy --help", "copy -h --nonsense", "--help", "key --help", "copy -qh"};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(lines); i++) {
        BDR_AUTO(parsed) struct bdr_parsed p = {0};

        check_ok(parse(&p, lines[i], (const char *const[]){"SAMPLE_U32=bad", NULL}));
        assert_true(p.stopped && p.common.help);
    }
}

static void test_parse__bad_line__says_what_is_right(void **state)
{
    static const struct {
        const char *line, *part;
        enum bdr_code code;
    } rows[] = {
        {"cpoy", "unknown command 'cpoy'; did you mean 'copy'?", BDR_INVAL},
        {"zzzzzz", "unknown command 'zzzzzz'", BDR_INVAL},
        {"key exprot", "unknown command 'key exprot'; did you mean 'export'?", BDR_INVAL},
        {"key", "say what to do after 'key': export", BDR_INVAL},
        {"copy --szie=1", "unknown option '--szie'; did you mean '--size'?", BDR_INVAL},
        {"copy --siz 1 a b", "unknown option '--siz'; did you mean '--size'?", BDR_INVAL}, /* no prefixes */
        {"copy --passphrase f a b", "did you mean '--passphrase-file'?", BDR_INVAL},
        {"--size=1 copy", "a command's own options come after its name", BDR_INVAL},
        {"copy -z", "unknown option '-z'", BDR_INVAL},
        {"copy -flag", "unknown option '-l' in '-flag'", BDR_INVAL},
        {"copy -zoo", "long options begin with two dashes", BDR_INVAL},
        {"copy a b --size", "option --size needs a value: SIZE, like 4096, 64K, 1.5G", BDR_INVAL},
        {"copy a b --choice", "needs a value: none|lz4|zstd", BDR_INVAL},
        {"copy a b --size=x", "option --size: 'x' is not a size; write it like", BDR_INVAL},
        {"copy a b --size=1", "option --size: 1 is out of range; it goes from 4.0 KiB to 1.0 TiB", BDR_RANGE},
        {"copy a b --u32=65", "from 1 to 64", BDR_RANGE},
        {"copy a b --flag=maybe", "option --flag: 'maybe' is neither yes nor no", BDR_INVAL},
        {"copy a b --choice=bz", "'bz' is not one of none|lz4|zstd", BDR_INVAL},
        {"copy a b --path=", "empty path", BDR_INVAL},
        {"copy", "DISK is missing: The disk to copy.", BDR_INVAL},
        {"copy a", "TARGET is missing", BDR_INVAL},
        {"copy '' b", "DISK: an empty path", BDR_INVAL},
        {"key export a b", "'b' is one argument too many", BDR_INVAL},
        {"do", "option --text TEXT is missing", BDR_INVAL},
        {"copy --aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "unknown option",
         BDR_INVAL},
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        BDR_AUTO(parsed) struct bdr_parsed p = {0};

        check_fails(parse(&p, rows[i].line, no_env), rows[i].code, rows[i].part);
    }
}

static void test_parse__json_behind_the_mistake__seen(void **state)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0};

    (void)state;
    check_fails(parse(&p, "copy --nope --json", no_env), BDR_INVAL, "--nope");
    assert_true(p.common.json);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int clean(void **state)
{
    (void)state;
    unlink("sample-system.conf");
    unlink("sample-user.conf");
    unlink("only.conf");
    return 0;
}

static void check_size(const char *line, const char *const *env, uint64_t want, const char *where)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0};
    const struct bdr_setting *win;
    char buf[128];

    check_ok(parse(&p, line, env));
    assert_int_equal(((const struct sample_args *)p.args)->size_bytes, want);
    win = bdr_parsed_winner(&p, bdr_opt_find(sample_copy.opts, "size"));
    assert_string_equal(bdr_setting_where(win, buf, sizeof(buf)), where);
}

static void test_precedence__each_layer__wins_over_those_below(void **state)
{
    static const char *const home[] = {"HOME=.", NULL}, *const env[] = {"HOME=.", "SAMPLE_SIZE=5M", NULL};

    (void)state;
    check_size("copy a b", home, 1 << 20, "default");
    write_file("sample-system.conf", "# system\n[copy]\nsize = 2M\n");
    check_size("copy a b", home, 2 << 20, "sample-system.conf:3");
    write_file("sample-user.conf", "[copy]\nsize = 3M\n");
    check_size("copy a b", home, 3 << 20, "./sample-user.conf:2");
    check_size("copy a b", no_env, 2 << 20, "sample-system.conf:3"); /* nobody's home */
    check_size("copy a b", env, 5 << 20, "environment variable SAMPLE_SIZE");
    check_size("copy a b --size 6M", env, 6 << 20, "option --size");
    write_file("only.conf", "[copy]\nsize = 4M\n");
    check_size("copy a b --config only.conf", home, 4 << 20, "only.conf:2");
}

static void test_precedence__section__wins_over_top(void **state)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0}, q = {0};

    (void)state;
    write_file("sample-system.conf", "[copy]\nrepo = special\n[key export]\nchoice = der\n");
    write_file("only.conf", "repo = top\n[copy]\nrepo = special\n");
    check_ok(parse(&p, "copy a b --config only.conf", no_env));
    assert_string_equal(p.common.repo, "special");
    check_ok(parse(&q, "key export --config only.conf", no_env));
    assert_string_equal(q.common.repo, "top");
}

static void test_precedence__list__replaced_not_merged(void **state)
{
    static const char *const env[] = {"SAMPLE_TAGS=e1,,e2", NULL};
    BDR_AUTO(parsed) struct bdr_parsed p = {0}, q = {0}, r = {0};

    (void)state;
    write_file("sample-system.conf", "[copy]\ntag = f1\ntag = f2\ntag = f3\n");
    check_ok(parse(&p, "copy a b", no_env));
    assert_int_equal(((const struct sample_args *)p.args)->tags.count, 3);
    check_ok(parse(&q, "copy a b", env));
    assert_int_equal(((const struct sample_args *)q.args)->tags.count, 2);
    assert_string_equal(((const struct sample_args *)q.args)->tags.items[1], "e2");
    check_ok(parse(&r, "copy a b -t x", env));
    assert_int_equal(((const struct sample_args *)r.args)->tags.count, 1);
}

static void test_precedence__home_in_file_and_environment__expanded(void **state)
{
    static const char *const env[] = {"HOME=/home/x", "SAMPLE_PATH=~/p", NULL};
    BDR_AUTO(parsed) struct bdr_parsed p = {0};

    (void)state;
    write_file("sample-system.conf", "key-file = ~/k\nrepo = ~/stays\n");
    check_ok(parse(&p, "copy a b", env));
    assert_string_equal(((const struct sample_args *)p.args)->path, "/home/x/p");
    assert_string_equal(p.common.key_file, "/home/x/k");
    assert_string_equal(p.common.repo, "~/stays");
}

static void test_settings__bad_file__names_line_and_nearest(void **state)
{
    static const struct {
        const char *text, *part;
        enum bdr_code code;
    } rows[] = {
        {"\nrepoo = x\n", "sample-system.conf:2: unknown key 'repoo'; did you mean 'repo'?", BDR_INVAL},
        {"[copy]\nsise = 1M\n", "sample-system.conf:2: unknown key 'sise' in [copy]; did you mean 'size'?", BDR_INVAL},
        {"[cpy]\n", "sample-system.conf:1: no command is called 'cpy'; did you mean 'copy'?", BDR_INVAL},
        {"[key]\nchoice = der\n", "'key' is a group; write [key export]", BDR_INVAL},
        {"size = 1M\n", "'size' belongs in a section: [copy]", BDR_INVAL},
        {"[copy]\nsize = big\n", "sample-system.conf:2: size: 'big' is not a size", BDR_INVAL},
        {"[copy]\nsize = 1\n", "sample-system.conf:2: size: 1 is out of range", BDR_RANGE},
        {"[copy]\nforce = yes\n", "'force' is for the command line only", BDR_INVAL},
        {"help = yes\n", "'help' is for the command line only", BDR_INVAL},
        {"repo = a\nrepo = b\n", "sample-system.conf:2: 'repo' is set already in line 1", BDR_INVAL},
        {"[key export]\nchoice = xml\n", "'xml' is not one of pem|der", BDR_INVAL}, /* other commands' too */
        {"nonsense\n", "sample-system.conf:1: expected", BDR_INVAL},
    };

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        BDR_AUTO(parsed) struct bdr_parsed p = {0}, q = {0};

        write_file("sample-system.conf", rows[i].text);
        check_fails(parse(&p, "copy a b", no_env), rows[i].code, rows[i].part);
        check_ok(parse(&q, "version", no_env)); /* works with a broken configuration */
    }
}

static void test_settings__bad_environment__named(void **state)
{
    static const char *const env[] = {"SAMPLE_SIZE=huge", NULL}, *const empty[] = {"SAMPLE_SIZE=", NULL};
    BDR_AUTO(parsed) struct bdr_parsed p = {0}, q = {0};

    (void)state;
    check_fails(parse(&p, "copy a b", env), BDR_INVAL, "environment variable SAMPLE_SIZE: 'huge' is not a size");
    check_ok(parse(&q, "copy a b", empty));
}

static void test_settings__only_file_missing__error(void **state)
{
    BDR_AUTO(parsed) struct bdr_parsed p = {0};

    (void)state;
    check_fails(parse(&p, "copy a b --config nowhere.conf", no_env), BDR_NOTFOUND, "nowhere.conf");
}

static void test_parse__nth_allocation_fails__clean_error(void **state)
{
    static const char *const env[] = {"HOME=.", "SAMPLE_TAGS=a,b", "SAMPLE_PATH=~/p", NULL};
    unsigned n = 0;
    bool hit;

    (void)state;
    write_file("sample-system.conf", "key-file = ~/k\n[copy]\nsize = 2M\n");
    do {
        BDR_AUTO(parsed) struct bdr_parsed p = {0};
        struct bdr_err *err;

        oom_arm(++n);
        err = parse(&p, "copy a b c --text x --path=p -v --choice none", env);
        hit = oom_disarm();
        if (err)
            assert_int_equal(err->code, BDR_NOMEM);
        assert_true(hit == (err != NULL));
        bdr_err_free(err);
    } while (hit);
    assert_true(n > 10);
}

static void test_parse__nth_allocation_fails_in_an_error__still_an_error(void **state)
{
    unsigned n = 0;
    bool hit;

    (void)state;
    write_file("sample-system.conf", "repoo = x\n");
    do {
        BDR_AUTO(parsed) struct bdr_parsed p = {0};
        struct bdr_err *err;

        oom_arm(++n);
        err = parse(&p, "copy a b", no_env);
        hit = oom_disarm();
        assert_non_null(err);
        bdr_err_free(err);
    } while (hit);
}

static void test_app__sample_tables__have_no_mistakes(void **state)
{
    (void)state;
    check_ok(bdr_app_check(&sample_app));
}

static void test_app__mistakes__found(void **state)
{
    static const struct bdr_opt twice[] = {{.name = "a", .help = "X."}, {.name = "a", .help = "X."}, {0}};
    static const struct bdr_opt common[] = {{.name = "repo", .help = "X."}, {0}};
    static const struct bdr_opt letter[] = {{.name = "a", .letter = 'r', .help = "X."}, {0}};
    static const struct bdr_opt stop[] = {{.name = "a", .help = "X"}, {0}};
    static const struct bdr_opt def[] = {{.name = "a", .type = BDR_OPT_SIZE, .def = "big", .help = "X."}, {0}};
    static const struct bdr_opt outside[] = {{.name = "a", .offset = 99, .help = "X."}, {0}};
    static const struct {
        const struct bdr_opt *opts;
        const char *part;
    } rows[] = {{twice, "twice"},    {common, "twice"}, {letter, "twice"},
                {stop, "full stop"}, {def, "default"},  {outside, "outside"}};

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        const struct bdr_cmd cmd = {
            .name = "x", .summary = "X", .opts = rows[i].opts, .args_size = 16, .run = sample_copy.run};
        const struct bdr_cmd *const subs[] = {&cmd, NULL};
        const struct bdr_cmd root = {.name = "bdr", .summary = "x", .subs = subs};
        const struct bdr_app app = {.name = "bdr", .root = &root};
        struct bdr_err *err = bdr_app_check(&app);
        char text[256];

        assert_non_null(err);
        assert_non_null(strstr(bdr_err_text(err, text, sizeof(text)), rows[i].part));
        bdr_err_free(err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__no_options__defaults),
        cmocka_unit_test(test_parse__every_option__stored),
        cmocka_unit_test(test_parse__double_dash__ends_options),
        cmocka_unit_test(test_parse__flag_with_value__taken),
        cmocka_unit_test(test_parse__count_over_max__stays),
        cmocka_unit_test(test_parse__sub_command__found),
        cmocka_unit_test(test_parse__help__stops_before_checks),
        cmocka_unit_test(test_parse__bad_line__says_what_is_right),
        cmocka_unit_test(test_parse__json_behind_the_mistake__seen),
        cmocka_unit_test_teardown(test_precedence__each_layer__wins_over_those_below, clean),
        cmocka_unit_test_teardown(test_precedence__section__wins_over_top, clean),
        cmocka_unit_test_teardown(test_precedence__list__replaced_not_merged, clean),
        cmocka_unit_test_teardown(test_precedence__home_in_file_and_environment__expanded, clean),
        cmocka_unit_test_teardown(test_settings__bad_file__names_line_and_nearest, clean),
        cmocka_unit_test(test_settings__bad_environment__named),
        cmocka_unit_test(test_settings__only_file_missing__error),
        cmocka_unit_test_teardown(test_parse__nth_allocation_fails__clean_error, clean),
        cmocka_unit_test_teardown(test_parse__nth_allocation_fails_in_an_error__still_an_error, clean),
        cmocka_unit_test(test_app__sample_tables__have_no_mistakes),
        cmocka_unit_test(test_app__mistakes__found),
    };
    char dir[] = "/tmp/bdr-test-cli.XXXXXX";
    int failed;

    if (!mkdtemp(dir) || chdir(dir))
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(dir);
    return failed;
}
