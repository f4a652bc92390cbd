/* SPDX-License-Identifier: Apache-2.0 */
#include "sample.h"
#include "bdr/log.h"
#include <signal.h>
#include <string.h>

static const char *sample_env(void *ctx, const char *name)
{
    size_t len = strlen(name);

    for (const char *const *e = ctx; e && *e; e++)
        if (!strncmp(*e, name, len) && (*e)[len] == '=')
            return *e + len + 1;
    return NULL;
}

struct bdr_world sample_world(const char *const *env)
{
    return (struct bdr_world){.env = sample_env, .ctx = (void *)(uintptr_t)env};
}

static struct bdr_err *sample_copy_run(void *args, struct bdr_cli *cli)
{
    const struct sample_args *a = args;

    return bdr_out_line(cli->out, "%s to %s, %llu bytes", a->disk, a->target, (unsigned long long)a->size_bytes);
}

/* Behaves as it is told: for tests from outside. */
static struct bdr_err *sample_do_run(void *args, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {{.title = "Name", .key = "name"},
                                          {.title = "Size", .key = "size_bytes", .kind = BDR_COL_SIZE}};
    const struct sample_args *a = args;
    BDR_AUTO(table) struct bdr_table *table = NULL;
    BDR_AUTO(progress) struct bdr_progress *meter = NULL;

    if (!strcmp(a->text, "table")) {
        BDR_TRY(bdr_table_new(cols, BDR_COUNT(cols), &table));
        BDR_TRY(bdr_table_add(table, (const struct bdr_cell[]){BDR_CELL_TEXT("vda"), BDR_CELL_U64(1536)}));
        return bdr_out_table(cli->out, table);
    }
    if (!strcmp(a->text, "fail"))
        return bdr_err_wrap(bdr_err_new(BDR_NOSPACE, 28, BDR_AT, "writing pack 7"), BDR_AT, "backing up vda");
    if (!strcmp(a->text, "lines")) {
        for (int i = 0; i < 100000; i++)
            BDR_TRY(bdr_out_line(cli->out, "line %d", i));
        return NULL;
    }
    if (!strcmp(a->text, "once"))
        raise(SIGTERM);
    if (!strcmp(a->text, "twice") && !raise(SIGINT))
        raise(SIGINT);
    if (!strcmp(a->text, "progress")) {
        BDR_TRY(bdr_cli_progress(cli, NULL, &meter));
        bdr_progress_phase(meter, "reading");
        bdr_progress_add(meter, &(struct bdr_progress_counts){.done_bytes = 512, .total_bytes = 1024});
        BDR_TRY(bdr_cancel_sleep(cli->cancel, 450));
        BDR_LOG(WARN, "sample.event", F_U64("n", 1));
        BDR_TRY(bdr_cancel_sleep(cli->cancel, 450));
    }
    return bdr_cancel_check(cli->cancel);
}

static const struct bdr_opt copy_opts[] = {
    {.name = "flag", .letter = 'f', BDR_FLAG(struct sample_args, flag), .help = "A switch."},
    {.name = "count", .letter = 'c', BDR_COUNTED(struct sample_args, count), .max = 5, .help = "A counted switch."},
    {.name = "u32",
     BDR_U32(struct sample_args, u32),
     .def = "4",
     .min = 1,
     .max = 64,
     .env = "SAMPLE_U32",
     .help = "A small number."},
    {.name = "u64", BDR_U64(struct sample_args, u64), .help = "A large number."},
    {.name = "size",
     .letter = 's',
     BDR_SIZE(struct sample_args, size_bytes),
     .def = "1M",
     .min = 4096,
     .max = 1099511627776,
     .env = "SAMPLE_SIZE",
     .help = "How many bytes there are, told at such length that the text must be wrapped even on a terminal as "
             "wide as they commonly are."},
    {.name = "wait", BDR_DURATION(struct sample_args, wait_ms), .def = "5m", .help = "How long to wait."},
    {.name = "at", BDR_TIME(struct sample_args, at_ms), .help = "When."},
    {.name = "text", BDR_STRING(struct sample_args, text), .def = "", .metavar = "WORDS", .help = "Any words."},
    {.name = "path", BDR_PATH(struct sample_args, path), .env = "SAMPLE_PATH", .help = "A file."},
    {.name = "choice", BDR_CHOICE(struct sample_args, choice, "none|lz4|zstd"), .def = "lz4", .help = "One of three."},
    {.name = "host", BDR_HOSTNAME(struct sample_args, host), .help = "A host."},
    {.name = "address", BDR_ADDRESS(struct sample_args, address), .help = "Where to listen."},
    {.name = "tag", .letter = 't', BDR_LIST(struct sample_args, tags), .env = "SAMPLE_TAGS", .help = "A label."},
    {.name = "force", BDR_FLAG(struct sample_args, flag), .cli_only = true, .help = "Don't ask."},
    {.name = "secret", BDR_FLAG(struct sample_args, flag), .hidden = true, .help = "Not shown."},
    {0},
};
static const struct bdr_arg copy_args[] = {
    {.name = "DISK", BDR_PATH(struct sample_args, disk), .help = "The disk to copy."},
    {.name = "MORE", .need = BDR_ARG_ANY, BDR_LIST(struct sample_args, more), .path = true, .help = "More disks."},
    {.name = "TARGET", BDR_STRING(struct sample_args, target), .help = "Where to."},
    {0},
};
const struct bdr_cmd sample_copy = {
    .name = "copy",
    .group = "Protect",
    .summary = "Copy disks",
    .help = "Copies one disk or several to a target. What is there already is not copied again, which is why the "
            "second time is quicker than the first.\n"
            "\n"
            "  verbatim:   stays as it is\n"
            "\n"
            "The end.",
    .examples = "# a disk\nbdr copy /dev/vda target\n\n# with a 'quote' and a \\backslash\nbdr copy --size=4G a b\n",
    .opts = copy_opts,
    .args = copy_args,
    .args_size = sizeof(struct sample_args),
    .run = sample_copy_run,
    .exits = (const struct bdr_exit_note[]){{4, "Some of the disks are damaged."}, {0}},
};

static const struct bdr_opt do_opts[] = {
    {.name = "text", BDR_STRING(struct sample_args, text), .required = true, .help = "What to do."},
    {0},
};
static const struct bdr_cmd sample_do = {
    .name = "do",
    .summary = "Do as told",
    .opts = do_opts,
    .args_size = sizeof(struct sample_args),
    .run = sample_do_run,
    .hints = (const struct bdr_hint[]){{BDR_NOSPACE, "buy a larger disk"}, {0}},
};

static struct bdr_err *sample_export_run(void *args, struct bdr_cli *cli)
{
    (void)args;
    return bdr_out_line(cli->out, "exported");
}
static const struct bdr_arg export_args[] = {
    {.name = "FILE", .need = BDR_ARG_OPTIONAL, BDR_PATH(struct sample_args, path), .help = "Where to."},
    {0},
};
static const struct bdr_opt export_opts[] = {
    {.name = "choice", BDR_CHOICE(struct sample_args, choice, "pem|der"), .def = "pem", .help = "The format."},
    {0},
};
const struct bdr_cmd sample_key_export = {
    .name = "export",
    .summary = "Export a key",
    .opts = export_opts,
    .args = export_args,
    .args_size = sizeof(struct sample_args),
    .run = sample_export_run,
};
static const struct bdr_cmd sample_key = {
    .name = "key",
    .group = "Care",
    .summary = "Keys",
    .subs = (const struct bdr_cmd *const[]){&sample_key_export, NULL},
};
static const struct bdr_cmd *const sample_cmds[] = {
    &sample_copy,  &sample_do,        &sample_key, &bdr_cmd_config, &bdr_cmd_completion, &bdr_cmd_version,
    &bdr_cmd_help, &bdr_cmd_internal, NULL,
};
static const struct bdr_cmd sample_root = {
    .name = "bdr", .summary = "a sample", .help = "A sample of a program.", .subs = sample_cmds};
static const char *const sample_configs[] = {"sample-system.conf", "~/sample-user.conf", NULL};
const struct bdr_app sample_app = {
    .name = "bdr", .version = "1.2.3", .title = "Sample", .root = &sample_root, .configs = sample_configs};
