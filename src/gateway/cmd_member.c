/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd_member.h"
#include "bdr/bytes.h"
#include "bdr/worker_prog.h"
#include "frame/cli.h"
#include "machine.h"

#define MEMBER_STATE "/var/lib/bdr-gateway"

struct member_args {
    const char *console, *ca, *token_file, *url, *name, *state, *user;
    bool force;
};

static struct bdr_err *enrol_run(void *raw, struct bdr_cli *cli)
{
    const struct member_args *a = raw;
    char token[BDR_PROG_TOKEN_CHARS] = "";
    struct bdr_err *err;

    BDR_TRY(bdr_prog_become(a->state, a->user));
    BDR_TRY(bdr_prog_token(a->token_file, token));
    err = gw_machine_enrol(&(struct gw_enrol){.state = a->state, .console = a->console, .ca_print = a->ca, .token = token,
                                              .url = a->url, .name = a->name, .force = a->force, .cancel = cli->cancel});
    bdr_wipe(token, sizeof(token));
    return err;
}

#define MEMBER_STATE_OPT                                                                                               \
    {                                                                                                                  \
        .name = "state", BDR_PATH(struct member_args, state), .def = MEMBER_STATE, .metavar = "DIR",                   \
        .help = "Where the enrolment is kept."                                                                         \
    }
#define MEMBER_USER_OPT                                                                                                \
    {                                                                                                                  \
        .name = "user", BDR_STRING(struct member_args, user), .metavar = "NAME",                                       \
        .help = "Root does it as this user, whose the state folder is then."                                           \
    }

static const struct bdr_opt enrol_opts[] = {
    {.name = "console", BDR_STRING(struct member_args, console), .required = true, .metavar = "URL",
     .help = "The console, https://console.example:10443."},
    {.name = "ca", BDR_STRING(struct member_args, ca), .required = true, .metavar = "SHA256",
     .help = "The print of the console's CA, as it shows it."},
    {.name = "token-file", BDR_PATH(struct member_args, token_file), .metavar = "FILE",
     .help = "A file with the one-time token; - is standard input. Else BDR_TOKEN in the environment."},
    {.name = "url", BDR_STRING(struct member_args, url), .metavar = "URL",
     .help = "Where agents and proxies reach this gateway, https://gw1.example:443. Default: where it connects from."},
    {.name = "name", BDR_STRING(struct member_args, name), .help = "Its name, for people. Default: the host name."},
    MEMBER_STATE_OPT,
    MEMBER_USER_OPT,
    {.name = "force", BDR_FLAG(struct member_args, force), .cli_only = true, .help = "Forget an enrolment that is there."},
    {0},
};

const struct bdr_cmd gw_cmd_enrol = {
    .name = "enrol",
    .summary = "make this gateway known to a console",
    .help = "Makes a key, has the console sign it, and keeps the certificate and the console's CA.",
    .examples = "# with the token that the console shows\nbdr-gateway enrol --console https://console.example:10443 "
                "--ca SHA256:ab:cd --token-file token --url https://gw1.example:443\n",
    .opts = enrol_opts,
    .args_size = sizeof(struct member_args),
    .run = enrol_run,
};

static const struct bdr_opt state_opts[] = {MEMBER_STATE_OPT, MEMBER_USER_OPT, {0}};

static struct bdr_err *status_run(void *raw, struct bdr_cli *cli)
{
    const struct member_args *a = raw;

    BDR_TRY(bdr_prog_become(a->state, a->user));
    return bdr_prog_status(a->state, cli->common->json);
}

const struct bdr_cmd gw_cmd_status = {
    .name = "status",
    .summary = "how it goes: connection to the console, certificate, jobs",
    .examples = "# of a gateway that was installed by its command\nbdr-gateway status --state /var/lib/egisplus-gateway/state\n",
    .opts = state_opts,
    .args_size = sizeof(struct member_args),
    .run = status_run,
};

static struct bdr_err *unenrol_run(void *raw, struct bdr_cli *cli)
{
    const struct member_args *a = raw;

    (void)cli;
    BDR_TRY(bdr_prog_become(a->state, a->user));
    return bdr_prog_unenrol_check(a->state);
}

const struct bdr_cmd gw_cmd_unenrol_check = {
    .name = "unenrol-check",
    .summary = "may this gateway be removed? 0: yes; 8: it is registered still; 9: can't be told",
    .examples = "# before it is uninstalled\nbdr-gateway unenrol-check\n",
    .opts = state_opts,
    .args_size = sizeof(struct member_args),
    .run = unenrol_run,
};
