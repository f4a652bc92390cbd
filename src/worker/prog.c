/* SPDX-License-Identifier: Apache-2.0 */
/* prog.c - the commands that all programs of machines have alike. */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/cpulimit.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/service.h"
#include "bdr/worker_prog.h"
#include "worker_i.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- options ---- */

struct prog_option {
    const char *name, *value, *help; /* value NULL: a switch */
    size_t offset;
};
#define PROG_TEXT(name_, member_, value_, help_)                                                                       \
    {                                                                                                                  \
        name_, value_, help_, offsetof(struct bdr_prog_options, member_)                                               \
    }
#define PROG_FLAG(name_, member_, help_)                                                                               \
    {                                                                                                                  \
        name_, NULL, help_, offsetof(struct bdr_prog_options, member_)                                                 \
    }

static const struct prog_option prog_options[] = {
    PROG_TEXT("state", state, "DIR", "Folder with what this machine knows of itself."),
    PROG_TEXT("user", user, "NAME", "The user that talks to the console, without any right to disks."),
    PROG_TEXT("console", console, "URL", "enrol: the console, https://console.example:10443."),
    PROG_TEXT("ca", ca, "SHA256:..", "enrol: fingerprint of the console's CA."),
    PROG_TEXT("token-file", token_file, "FILE",
              "enrol: holds the one-time token; - is standard input. Else BDR_TOKEN in the environment."),
    PROG_TEXT("name", name, "NAME", "enrol: the name people see. Default: the host name."),
    PROG_TEXT("url", url, "URL", "enrol, gateways: where sources reach it."),
    PROG_TEXT("scripts", scripts, "DIR", "run: folder of pre-freeze and post-freeze."),
    PROG_TEXT("disks", disks, "LIST", "agents: these devices alone, with commas. Default: all disks of the machine."),
    PROG_TEXT("cpu-percent", cpu, "N",
              "agents: copies take at most so much of one processor, on average; 200 is two. Default: no limit."),
    PROG_TEXT("beat-ms", beat, "MS", "run: beat so often, whatever the console says (tests)."),
    PROG_FLAG("force", force, "enrol: forget an enrolment that is there."),
    PROG_FLAG("json", json, "status: as JSON."),
    PROG_FLAG("log-json", log_json, "Log lines as JSON."),
    PROG_FLAG("verbose", verbose, "Log what happens in detail."),
};

static struct bdr_err *prog_parse(int argc, char **argv, struct bdr_prog_options *opt)
{
    for (int i = 2; i < argc; i++) {
        const struct prog_option *found = NULL;
        const char *arg = argv[i], *eq = strchr(arg, '=');
        size_t n = eq ? (size_t)(eq - arg) : strlen(arg);

        for (size_t k = 0; k < BDR_COUNT(prog_options) && n > 2 && !strncmp(arg, "--", 2); k++)
            if (strlen(prog_options[k].name) == n - 2 && !strncmp(prog_options[k].name, arg + 2, n - 2))
                found = &prog_options[k];
        if (!found)
            BDR_FAIL(BDR_INVAL, 0, "'%s' is no option of this command; --help lists them", arg);
        if (!found->value && eq)
            BDR_FAIL(BDR_INVAL, 0, "--%s takes no value", found->name);
        if (!found->value) {
            *(bool *)((char *)opt + found->offset) = true;
            continue;
        }
        if (!eq && i + 1 == argc)
            BDR_FAIL(BDR_INVAL, 0, "--%s needs a value", found->name);
        *(const char **)((char *)opt + found->offset) = eq ? eq + 1 : argv[++i];
    }
    return NULL;
}

static struct bdr_err *prog_number(const char *name, const char *text, uint32_t max, uint32_t *out)
{
    uint64_t n = 0;

    BDR_TRY_FOR(bdr_u64_parse(text, max, &n), "--%s", name);
    *out = (uint32_t)n;
    return NULL;
}

static void prog_help(const struct bdr_prog *prog)
{
    printf("%s " OPENBDR_VERSION " - %s\n\n"
           "usage: %s COMMAND [OPTIONS]\n\n"
           "  enrol           join a console: --console URL --ca PRINT, the token in BDR_TOKEN or --token-file\n"
           "  run             beat, take jobs, do them; until SIGTERM\n"
           "  status          how it goes\n"
           "  unenrol-check   may the program be removed? 0: yes; 8: the host is registered still; 9: can't be told\n%s"
           "  version\n\n",
           prog->name, prog->title, prog->name, prog->more_help ? prog->more_help : "");
    for (size_t i = 0; i < BDR_COUNT(prog_options); i++) {
        char head[40];

        snprintf(head, sizeof(head), "--%s %s", prog_options[i].name,
                 prog_options[i].value ? prog_options[i].value : "");
        printf("  %-22s %s\n", head, prog_options[i].help);
    }
    printf("\nDefault of --state: %s\n", prog->state);
}

/* ---- enrol ---- */

const char *bdr_prog_os(char buf[256])
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;
    struct bdr_err *err = bdr_os_read_file("/etc/os-release", 65536, &text, &len);
    const char *p;

    snprintf(buf, 256, "Linux");
    if (err) {
        bdr_err_drop(err, "older than os-release(5)");
        err = bdr_os_read_file("/etc/redhat-release", 4096, &text, &len);
        if (!err)
            snprintf(buf, 256, "%.*s", (int)strcspn(text, "\n"), text);
        bdr_err_drop(err, "then it is just Linux");
        return buf;
    }
    p = !strncmp(text, "PRETTY_NAME=", 12) ? text : strstr(text, "\nPRETTY_NAME=");
    if (p) {
        p = strchr(p, '=') + 1;
        p += *p == '"' || *p == '\'';
        snprintf(buf, 256, "%.*s", (int)strcspn(p, "\"'\n"), p);
    }
    return buf;
}

/* Never in argv: every user of the machine reads that. */
struct bdr_err *bdr_prog_token(const char *file, char out[BDR_PROG_TOKEN_CHARS])
{
    const char *env = getenv("BDR_TOKEN");
    ssize_t n, len = 0;
    int fd;

    if (!file) {
        if (!env || !*env)
            BDR_FAIL(BDR_INVAL, 0, "the one-time token belongs into BDR_TOKEN or a file named by --token-file");
        snprintf(out, BDR_PROG_TOKEN_CHARS, "%s", env);
        unsetenv("BDR_TOKEN");
        return NULL;
    }
    fd = strcmp(file, "-") ? open(file, O_RDONLY | O_CLOEXEC) : dup(0);
    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", file);
    while (len < BDR_PROG_TOKEN_CHARS - 1 && (n = read(fd, out + len, (size_t)(BDR_PROG_TOKEN_CHARS - 1 - len))) > 0)
        len += n;
    close(fd);
    out[len] = 0;
    out[strcspn(out, "\r\n")] = 0;
    return NULL;
}

/* All but `run` are done as the user whose the state folder is. */
struct bdr_err *bdr_prog_become(const char *state, const char *user)
{
    uid_t uid = 0;
    gid_t gid = 0;

    if (!user || geteuid())
        return NULL;
    BDR_TRY(bdr_os_user(user, &uid, &gid));
    BDR_TRY(bdr_os_mkdirs(state));
    if (chown(state, uid, gid))
        BDR_FAIL_ERRNO("giving %s to %s", state, user);
    return bdr_os_become(uid, gid);
}

static struct bdr_err *prog_enrol(const struct bdr_prog *prog, const struct bdr_prog_options *opt,
                                  struct bdr_cancel *cancel)
{
    char token[BDR_PROG_TOKEN_CHARS] = "", os[256], identity[33] = "";
    struct bdr_worker_identity who;
    struct bdr_err *err = bdr_os_machine_id("machine", identity);

    bdr_err_drop(err, "the console knows it by its name then");
    BDR_TRY(bdr_prog_become(opt->state, opt->user)); /* root may have made the id just now */
    BDR_TRY(bdr_prog_token(opt->token_file, token));
    err = bdr_worker_enrol(&(struct bdr_worker_enrol){.state = opt->state,
                                                      .console = opt->console,
                                                      .ca = opt->ca,
                                                      .token = token,
                                                      .kind = prog->kind,
                                                      .name = opt->name,
                                                      .os = bdr_prog_os(os),
                                                      .version = OPENBDR_VERSION,
                                                      .identity = identity[0] ? identity : NULL,
                                                      .url = opt->url,
                                                      .force = opt->force,
                                                      .cancel = cancel});
    bdr_wipe(token, sizeof(token));
    BDR_TRY(err);
    BDR_TRY(bdr_worker_identity(opt->state, &who));
    printf("enrolled at %s as %s\n", who.console, who.machine);
    return NULL;
}

/* ---- status, unenrol-check ---- */

struct bdr_err *bdr_prog_status(const char *state, bool json)
{
    BDR_AUTO(json_doc) json_t *doc = NULL;
    struct bdr_worker_identity who;
    const char *text;
    char path[512], until[24];
    const json_t *job;
    size_t i;
    struct bdr_err *err;

    BDR_TRY(bdr_worker_identity(state, &who));
    err = state_read_json(bdr_worker_path(state, WORKER_STATUS, path), &doc);
    if (err && err->code != BDR_NOTFOUND)
        return err;
    if (err) {
        bdr_err_drop(err, "it never ran");
        doc = json_pack("{s:s,s:s,s:s}", "console", who.console, "machine", who.machine, "state", "never started");
    }
    BDR_NOMEM_IF_NULL(doc);
    pid_t pid = (pid_t)json_integer_value(json_object_get(doc, "pid"));
    bool runs = pid > 0 && (!kill(pid, 0) || errno == EPERM);
    json_object_set_new(doc, "running", json_boolean(runs));
    if (json) {
        BDR_AUTO(mem) char *out = json_dumps(doc, JSON_INDENT(2) | JSON_SORT_KEYS);

        BDR_NOMEM_IF_NULL(out);
        printf("%s\n", out);
        return NULL;
    }
    printf("Console      %s\nMachine      %s\nRunning      %s\nConnection   %s\n", who.console, who.machine,
           runs ? "yes" : "no", json_string_value(json_object_get(doc, "state")));
    if ((text = json_string_value(json_object_get(doc, "last_beat"))) != NULL)
        printf("Last beat    %s\n", text);
    if ((text = json_string_value(json_object_get(doc, "error"))) != NULL)
        printf("Error        %s\n", text);
    printf("Certificate  until %s\n", bdr_clock_text(who.expires_ms, until));
    json_array_foreach(json_object_get(doc, "jobs"), i, job)
    {
        text = json_string_value(json_object_get(job, "step"));
        printf("Job %lld      %s: %s\n", (long long)json_integer_value(json_object_get(job, "id")),
               json_string_value(json_object_get(job, "kind")), text ? text : "");
    }
    return NULL;
}

struct bdr_err *bdr_prog_unenrol_check(const char *state)
{
    enum bdr_worker_standing standing = BDR_STANDING_UNKNOWN;
    char why[700];

    BDR_TRY(bdr_worker_standing(state, OPENBDR_VERSION, &standing, why, sizeof(why)));
    if (standing == BDR_STANDING_REGISTERED)
        BDR_FAIL(BDR_CONFLICT, 0, "%s: deregister its host at the console first", why);
    if (standing == BDR_STANDING_UNKNOWN)
        BDR_FAIL(BDR_NET, 0, "%s", why);
    printf("%s\n", why);
    return NULL;
}

/* ---- main ---- */

static struct bdr_cancel prog_cancel;

static void prog_on_signal(int sig)
{
    (void)sig;
    bdr_cancel_set(&prog_cancel);
}

static void prog_signals(void)
{
    struct sigaction act = {.sa_handler = prog_on_signal, .sa_flags = SA_RESTART};

    sigemptyset(&act.sa_mask);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static struct bdr_err *prog_do(const struct bdr_prog *prog, const char *command, const struct bdr_prog_options *opt)
{
    struct bdr_err *err = NULL;

    if (!strcmp(command, "run")) {
        prog_signals();
        return prog->run(opt, &prog_cancel);
    }
    if (!strcmp(command, "status") || !strcmp(command, "unenrol-check"))
        BDR_TRY(bdr_prog_become(opt->state, opt->user));
    if (!strcmp(command, "enrol"))
        return prog_enrol(prog, opt, &prog_cancel);
    if (!strcmp(command, "status"))
        return bdr_prog_status(opt->state, opt->json);
    if (!strcmp(command, "unenrol-check"))
        return bdr_prog_unenrol_check(opt->state);
    if (prog->more && prog->more(command, opt, &prog_cancel, &err))
        return err;
    BDR_FAIL(BDR_INVAL, 0, "'%s' is no command of %s; --help lists them", command, prog->name);
}

int bdr_prog_main(const struct bdr_prog *prog, int argc, char **argv)
{
    struct bdr_prog_options opt = {.state = prog->state};
    const char *command = argc > 1 ? argv[1] : "--help";
    struct bdr_err *err;
    char text[1024];
    int code;

    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            command = "--help";
    if (!strcmp(command, "--help") || !strcmp(command, "help")) {
        prog_help(prog);
        return argc > 1 ? 0 : 2;
    }
    if (!strcmp(command, "version") || !strcmp(command, "--version")) {
        printf("%s " OPENBDR_VERSION "\n", prog->name);
        return 0;
    }
    err = prog_parse(argc, argv, &opt);
    if (!err && opt.beat)
        err = prog_number("beat-ms", opt.beat, 3600000, &opt.beat_ms);
    if (!err && opt.cpu)
        err = prog_number("cpu-percent", opt.cpu, BDR_CPU_LIMIT_MAX_PCT, &opt.cpu_pct);
    bdr_log_setup(opt.verbose ? BDR_LOG_DEBUG : BDR_LOG_INFO, opt.log_json);
    if (!err)
        err = prog_do(prog, command, &opt);
    if (!err)
        return 0;
    code = bdr_code_exit(err->code);
    fprintf(stderr, "%s: %s\n", prog->name, bdr_err_text(err, text, sizeof(text)));
    bdr_err_drop(err, "told");
    return code;
}
