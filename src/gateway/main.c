/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the bdr-gateway program: what its command line says, put together. */
#include "bdr/osfile.h"
#include "bdr/bytes.h"
#include "bdr/log.h"
#include "bdr/priority.h"
#include "bdr/worker.h"
#include "bdr/service.h"
#include "cmd_member.h"
#include "frame/cli.h"
#include "gateway.h"
#include "hosts_file.h"
#include "machine.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SERVE_ROUND_MS 2000u

struct serve_args {
    const char *listen, *cert, *key, *ca, *state, *hosts, *below, *user, *share;
    uint64_t bandwidth_bps, buffer_bytes, idle_ms;
    uint32_t sessions;
};

struct serve {
    struct gw_hosts_file *file; /* owned; or: */
    struct gw_machine *machine; /* owned; enrolled at a console */
    struct gw_authority authority;
    struct gw *gw;                 /* owned */
};

static void serve_close(struct serve *s)
{
    gw_machine_quiet(s->machine);
    gw_stop(s->gw);
    gw_machine_close(s->machine);
    gw_hosts_file_close(s->file);
}

static struct bdr_err *serve_authority(const struct serve_args *a, struct serve *s)
{
    struct bdr_err *err;

    if (a->hosts) {
        BDR_TRY(gw_hosts_file_open(a->hosts, &s->file));
        s->authority = gw_hosts_file_authority(s->file);
        return NULL;
    }
    err = gw_machine_open(a->state, a->below, &s->machine);
    if (err && err->code == BDR_NOTFOUND)
        return bdr_err_wrap(err, BDR_AT, "nobody says who may write what: run 'bdr-gateway enrol', or give --hosts FILE");
    BDR_TRY(err);
    s->authority = gw_machine_authority(s->machine);
    return NULL;
}

/* "address:port", ":port", "[ip6]:port". */
static struct bdr_err *serve_address(const char *text, char host[64], uint16_t *out_port)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    uint64_t port = 0;

    if (!colon || len >= 64)
        BDR_FAIL(BDR_INVAL, 0, "--listen is like 0.0.0.0:443");
    BDR_TRY(bdr_u64_parse(colon + 1, 65535, &port));
    if (len > 1 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    snprintf(host, 64, "%.*s", (int)len, text);
    if (!len)
        snprintf(host, 64, "::");
    *out_port = (uint16_t)port;
    return NULL;
}

/* "0.0.0.0:10809-10840", "127.0.0.1:0" (any free port). */
static struct bdr_err *serve_share(const char *text, char host[64], struct gw_config *config)
{
    const char *dash = strrchr(text, '-');
    uint64_t last = 0;
    char first[96];

    if (strlen(text) >= sizeof(first))
        BDR_FAIL(BDR_INVAL, 0, "--share is like 0.0.0.0:10809-10840");
    snprintf(first, sizeof(first), "%.*s", dash ? (int)(dash - text) : (int)strlen(text), text);
    BDR_TRY_FOR(serve_address(first, host, &config->share_first), "reading --share");
    if (dash)
        BDR_TRY_FOR(bdr_u64_parse(dash + 1, 65535, &last), "reading --share");
    config->share_last = (uint16_t)last;
    config->share_address = host;
    if (dash && (!config->share_first || config->share_last < config->share_first))
        BDR_FAIL(BDR_INVAL, 0, "--share is like 0.0.0.0:10809-10840, the first port before the last");
    return NULL;
}

/* A port below 1024 is the one right that is kept. */
static struct bdr_err *serve_rights(const struct serve_args *a)
{
    uid_t uid = 0;
    gid_t gid = 0;

    if (!a->user || geteuid())
        return NULL;
    BDR_TRY(bdr_os_user(a->user, &uid, &gid));
    return bdr_os_become_server(uid, gid);
}

static void serve_round(struct serve *s)
{
    bool changed = false;
    struct bdr_err *err = s->file ? gw_hosts_file_refresh(s->file, &changed) : NULL;

    if (err)
        BDR_LOG(ERROR, "gateway.hosts-file", F_ERR(err));
    bdr_err_drop(err, "what was known stays in force");
    if (changed)
        gw_cut(s->gw, NULL);
}

static struct bdr_err *serve_run(void *raw, struct bdr_cli *cli)
{
    const struct serve_args *a = raw;
    __attribute__((cleanup(serve_close))) struct serve s = {0};
    struct gw_config config = {.state_dir = a->state,
                               .authority = &s.authority,
                               .cert_file = a->cert,
                               .key_file = a->key,
                               .ca_file = a->ca,
                               .limits = {.sessions = a->sessions,
                                          .buffer_bytes = a->buffer_bytes,
                                          .bandwidth_bps = a->bandwidth_bps,
                                          .idle_ms = a->idle_ms}};
    char host[64], share[64], identity[512], ca[512];
    struct bdr_err *err;

    BDR_TRY(serve_address(a->listen, host, &config.port));
    config.address = host;
    BDR_TRY(serve_share(a->share, share, &config));
    BDR_TRY(serve_rights(a));
    BDR_TRY(serve_authority(a, &s));
    if (s.machine && !a->cert && !a->key && !a->ca) { /* enrolment gave it all of them */
        config.cert_file = config.key_file = bdr_worker_path(a->state, "identity.pem", identity);
        config.ca_file = bdr_worker_path(a->state, "ca.crt", ca);
    }
    if (!config.cert_file || !config.key_file || !config.ca_file)
        BDR_FAIL(BDR_INVAL, 0, "give --cert, --key and --ca");
    if (s.machine) {
        config.told = gw_machine_told;
        config.told_ctx = s.machine;
    }
    err = gw_start(&config, &s.gw);
    if (err && err->code == BDR_BUSY)
        bdr_cli_hint(cli, "another program has port %u; stop it, or give --listen ADDRESS:PORT and say so at the console",
                     config.port);
    BDR_TRY(err);
    bdr_os_notify("READY=1\nSTATUS=serving");
    bdr_out_note(cli->out, "listening on port %u", gw_port(s.gw));
    if (s.machine)
        return gw_machine_run(s.machine, s.gw, cli->cancel);
    while (!bdr_cancelled(cli->cancel)) {
        bdr_err_drop(bdr_cancel_sleep(cli->cancel, SERVE_ROUND_MS), "the loop looks");
        serve_round(&s);
    }
    return NULL;
}

static const struct bdr_opt serve_opts[] = {
    {.name = "listen", BDR_STRING(struct serve_args, listen), .def = "0.0.0.0:443", .metavar = "ADDRESS:PORT",
     .help = "Where agents and proxies connect to."},
    {.name = "cert", BDR_PATH(struct serve_args, cert), .metavar = "FILE",
     .help = "The server's certificate (PEM), leaf first; an enrolled gateway has one."},
    {.name = "key", BDR_PATH(struct serve_args, key), .metavar = "FILE",
     .help = "Its key (PEM); nobody else may be able to read it."},
    {.name = "ca", BDR_PATH(struct serve_args, ca), .metavar = "FILE",
     .help = "The CA of the machines' certificates (PEM)."},
    {.name = "state", BDR_PATH(struct serve_args, state), .def = "/var/lib/bdr-gateway", .metavar = "DIR",
     .help = "Where fences, tables of possession and the enrolment are kept."},
    {.name = "hosts", BDR_PATH(struct serve_args, hosts), .metavar = "FILE",
     .help = "Without a console: a file that says which machine may write which host; docs/gateway.md."},
    {.name = "recover-below", BDR_PATH(struct serve_args, below), .def = "/", .metavar = "DIR",
     .help = "Files that the console has disks recovered to must be below this folder."},
    {.name = "user", BDR_STRING(struct serve_args, user), .metavar = "NAME",
     .help = "Root becomes this user, who may bind ports below 1024 and nothing more."},
    {.name = "share", BDR_STRING(struct serve_args, share), .def = "0.0.0.0:10809-10840", .metavar = "ADDRESS:PORT-PORT",
     .help = "Where points are served over NBD when the console asks for it; port 0: any free one."},
    {.name = "sessions", BDR_U32(struct serve_args, sessions), .def = "64", .min = 1, .max = 256,
     .help = "Hosts that may be written at once."},
    {.name = "bandwidth", BDR_SIZE(struct serve_args, bandwidth_bps), .metavar = "BYTES",
     .help = "Take at most so many bytes a second from all together."},
    {.name = "buffers", BDR_SIZE(struct serve_args, buffer_bytes), .def = "48M", .min = 8u << 20,
     .help = "Memory for blocks that are being taken."},
    {.name = "idle", BDR_DURATION(struct serve_args, idle_ms), .def = "120s", .min = 1000,
     .help = "How long a session may be silent before it is given up."},
    {0},
};

static const struct bdr_cmd cmd_serve = {
    .name = "serve",
    .group = "Gateway",
    .summary = "take blocks from agents and proxies into the repositories",
    .help = "Owns repositories and takes the blocks of hosts for them, over HTTPS with certificates on both sides. It runs "
            "until the first signal; what came by then is made durable. After 'bdr-gateway enrol' it needs no options: the "
            "console says who may write what.",
    .examples = "# alone, by a file\nbdr-gateway serve --hosts /etc/bdr/hosts --cert gw.crt --key gw.key --ca ca.crt\n",
    .opts = serve_opts,
    .args_size = sizeof(struct serve_args),
    .run = serve_run,
};

static const struct bdr_cmd *const main_cmds[] = {&cmd_serve, &gw_cmd_enrol, &gw_cmd_status, &gw_cmd_unenrol_check, &bdr_cmd_config,
                                                  &bdr_cmd_completion, &bdr_cmd_version, &bdr_cmd_help, &bdr_cmd_internal, NULL};
static const struct bdr_cmd main_root = {
    .name = "bdr-gateway",
    .summary = "own repositories and take the blocks of hosts",
    .help = "The program of the DR site that keeps recovery points. See docs/gateway.md.",
    .subs = main_cmds,
};
static const char *const main_configs[] = {"/etc/bdr/gateway.config", NULL};
static const struct bdr_app main_app = {.name = "bdr-gateway", .version = OPENBDR_VERSION, .title = "OpenBDR",
                                        .root = &main_root, .configs = main_configs};

int main(int argc, char **argv)
{
    bdr_os_thrifty();
    return bdr_cli_main(&main_app, argc, argv);
}
