/* SPDX-License-Identifier: Apache-2.0 */
/* login.c - bdr login, bdr logout: from a name and a password to an API token in ~/.config/bdr/console. */
#include "bdr/osfile.h"
#include "console/home.h"
#include "console/verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LINE 1024

/* ---- asking on the terminal; what is typed may be a secret ---- */

static struct bdr_err *line_read(int fd, char *out, size_t n)
{
    size_t at = 0;
    char c = 0;

    for (;;) {
        ssize_t got = read(fd, &c, 1);

        if (got < 0 && errno == EINTR)
            BDR_FAIL(BDR_CANCELLED, 0, "interrupted");
        if (got < 0)
            BDR_FAIL_ERRNO("reading the terminal");
        if (got == 0 || c == '\n')
            break;
        if (at + 1 == n)
            BDR_FAIL(BDR_RANGE, 0, "what was typed is longer than %zu characters", n - 1);
        out[at++] = c;
    }
    out[at] = 0;
    if (!at)
        BDR_FAIL(BDR_INVAL, 0, "nothing was typed");
    return NULL;
}

static struct bdr_err *ask(const char *what, bool secret, char out[LINE])
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios was, quiet;
    struct bdr_err *err;

    if (fd < 0)
        BDR_FAIL(BDR_INVAL, 0, "there is no terminal to ask for the %s; give --name and --password-file", what);
    err = bdr_os_write(fd, "the terminal", what, strlen(what));
    if (!err)
        err = bdr_os_write(fd, "the terminal", ": ", 2);
    if (!err && tcgetattr(fd, &was) == 0) {
        quiet = was;
        if (secret)
            quiet.c_lflag &= (tcflag_t)~ECHO;
        tcsetattr(fd, TCSAFLUSH, &quiet);
        err = line_read(fd, out, LINE);
        tcsetattr(fd, TCSAFLUSH, &was);
        if (secret)
            err = bdr_err_first(err, bdr_os_write(fd, "the terminal", "\n", 1));
    } else if (!err) {
        err = bdr_err_new(BDR_INVAL, 0, BDR_AT, "the terminal cannot be asked");
    }
    close(fd);
    return err;
}

/* ---- login ---- */

struct login_args {
    const char *url, *print, *name, *password_file, *new_password_file, *code;
};

/* Texts that are wiped when done. */
struct answers {
    char name[LINE], password[LINE], code[LINE], fresh[LINE];
};

static struct bdr_err *from_file(const char *path, char out[LINE])
{
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
    struct bdr_err *err;

    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", path);
    err = line_read(fd, out, LINE);
    close(fd);
    return err;
}

static struct bdr_err *login_call(struct bdr_cli *cli, struct bdr_http_client *client, const struct answers *a,
                                  json_t **out)
{
    struct bdr_http_reply reply = {0};
    struct bdr_err *err;
    char host[256], label[300];
    json_t *o;
    char *body;

    BDR_TRY(bdr_os_hostname(host, sizeof(host)));
    snprintf(label, sizeof(label), "bdr on %.60s", host);
    o = json_pack("{s:s,s:s,s:s,s:s*,s:s*}", "name", a->name, "password", a->password, "label", label, "code",
                  *a->code ? a->code : NULL, "new_password", *a->fresh ? a->fresh : NULL);
    body = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    BDR_NOMEM_IF_NULL(body);
    err = bdr_http_call(client,
                        &(struct bdr_http_call){.method = "POST",
                                                .path = "/v1/session/token",
                                                .type = "application/json",
                                                .body = body,
                                                .body_len = strlen(body),
                                                .cancel = cli->cancel},
                        &reply);
    bdr_wipe(body, strlen(body));
    free(body);
    if (!err)
        err = bdr_json_read((const char *)reply.body.data, reply.body.len, out);
    if (reply.body.data)
        bdr_wipe(reply.body.data, reply.body.len);
    bdr_http_reply_free(&reply);
    return err;
}

/* Asks until the console says "in"; *out is its answer. */
static struct bdr_err *login_steps(struct bdr_cli *cli, const struct login_args *in, struct bdr_http_client *client,
                                   struct answers *a, json_t **out)
{
    for (int i = 0; i < 4; i++) {
        const char *stage;

        BDR_TRY(login_call(cli, client, a, out));
        stage = json_string_value(json_object_get(*out, "stage"));
        if (stage && !strcmp(stage, "in"))
            return NULL;
        if (stage && !strcmp(stage, "code"))
            BDR_TRY(ask("Code of the second step", true, a->code));
        else if (stage && !strcmp(stage, "new_password") && in->new_password_file)
            BDR_TRY(from_file(in->new_password_file, a->fresh));
        else if (stage && !strcmp(stage, "new_password"))
            BDR_TRY(ask("The password must be changed. New password", true, a->fresh));
        else
            break;
        json_decref(*out);
        *out = NULL;
    }
    BDR_FAIL(BDR_AUTH, 0, "the console did not let us in");
}

static struct bdr_err *login_keep(const struct console_home *h, const json_t *answer)
{
    struct console_home kept = *h;
    const char *token = json_string_value(json_object_get(answer, "token"));

    if (!token)
        BDR_FAIL(BDR_CORRUPT, 0, "the console gave no token");
    kept.token = (char *)(uintptr_t)token;
    return console_home_write(&kept);
}

static struct bdr_err *login_do(struct bdr_cli *cli, const struct login_args *in, struct answers *a)
{
    BDR_AUTO(http_client) struct bdr_http_client *client = NULL;
    struct console_home h = {.url = (char *)(uintptr_t)in->url, .name = a->name};
    char print[BDR_FINGERPRINT_CHARS];
    json_t *answer = NULL;
    struct bdr_err *err;

    if (strncmp(in->url, "https://", 8) != 0)
        BDR_FAIL(BDR_INVAL, 0, "'%s' is no console's address; it is like https://console.example:10443", in->url);
    if (in->print) {
        BDR_TRY(bdr_fingerprint_read(in->print, print));
        h.print = print;
    }
    BDR_TRY(console_client(&h, &client));
    if (in->name)
        snprintf(a->name, sizeof(a->name), "%s", in->name);
    else
        BDR_TRY(ask("Name", false, a->name));
    BDR_TRY(in->password_file ? from_file(in->password_file, a->password) : ask("Password", true, a->password));
    err = login_steps(cli, in, client, a, &answer);
    if (!err)
        err = login_keep(&h, answer);
    json_decref(answer);
    BDR_TRY(err);
    bdr_out_note(cli->out, "logged in to %s as %s", in->url, a->name);
    return NULL;
}

static struct bdr_err *login_run(void *raw, struct bdr_cli *cli)
{
    struct answers a = {0};
    struct bdr_err *err = login_do(cli, raw, &a);

    bdr_wipe(&a, sizeof(a));
    if (err && err->code == BDR_AUTH && !((struct login_args *)raw)->print)
        bdr_cli_hint(cli, "a console with a CA of its own needs --ca-fingerprint; its web page shows it");
    return err;
}

static const struct bdr_opt login_opts[] = {
    {.name = "ca-fingerprint",
     BDR_STRING(struct login_args, print),
     .metavar = "SHA256:..",
     .cli_only = true,
     .help = "Print of the console's CA, which is then trusted; without it the system's CAs are."},
    {.name = "name", BDR_STRING(struct login_args, name), .metavar = "NAME", .cli_only = true,
     .help = "The account; asked for when it is not given."},
    {.name = "password-file", BDR_PATH(struct login_args, password_file), .metavar = "FILE", .cli_only = true,
     .help = "Its first line is the password; '-' is standard input. Asked for when it is not given."},
    {.name = "new-password-file", BDR_PATH(struct login_args, new_password_file), .metavar = "FILE", .cli_only = true,
     .help = "The new password, where the first one must be changed."},
    {0},
};
static const struct bdr_arg login_rows[] = {
    {.name = "URL", .need = BDR_ARG_REQUIRED, BDR_STRING(struct login_args, url),
     .help = "The console's address, like https://console.example:10443."},
    {0},
};
const struct bdr_cmd bdr_cmd_login = {
    .name = "login",
    .group = "Console",
    .summary = "log in to a console",
    .help = "Asks for name, password and, where it is on, the code of the second step. What is kept is an API token that "
            "is good for 90 days, in ~/.config/bdr/console.",
    .examples = "# once; then the commands below work\nbdr login https://console.example:10443 --ca-fingerprint SHA256:3f:9a:..\n",
    .opts = login_opts,
    .args = login_rows,
    .args_size = sizeof(struct login_args),
    .run = login_run,
};

/* ---- logout ---- */

static struct bdr_err *logout_run(void *args, struct bdr_cli *cli)
{
    BDR_AUTO(console_home) struct console_home h = {0};
    BDR_AUTO(http_client) struct bdr_http_client *client = NULL;
    struct bdr_http_reply reply = {0};
    struct bdr_err *err;

    (void)args;
    BDR_TRY(console_home_read(cli, &h));
    BDR_TRY(console_client(&h, &client));
    err = bdr_http_call(
        client, &(struct bdr_http_call){.method = "DELETE", .path = "/v1/session/token", .cancel = cli->cancel}, &reply);
    bdr_http_reply_free(&reply);
    if (err && err->code == BDR_AUTH)
        bdr_err_drop(BDR_STEAL(err), "the token is worth nothing already");
    if (err)
        bdr_out_note(cli->out, "the console could not be told; the token stays good there until it is revoked");
    BDR_TRY(bdr_err_first(console_home_remove(), err));
    bdr_out_note(cli->out, "logged out of %s", h.url);
    return NULL;
}

const struct bdr_cmd bdr_cmd_logout = {
    .name = "logout",
    .summary = "end the login to the console",
    .help = "Revokes the token at the console and forgets it here.",
    .run = logout_run,
};
