/* SPDX-License-Identifier: Apache-2.0 */
/* bdr-console: the program. */
#include "allinone.h"
#include "bdr/cancel.h"
#include "bdr/osfile.h"
#include "bdr/route.h"
#include "console.h"
#include "first_login.h"
#include "frame/cli.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct run_args {
    const char *data, *db, *address, *packages, *web, *public_url;
    const char *gateway, *repository;
    struct bdr_list name;
    uint32_t port, http_port, gateway_port;
    bool all_in_one, keys_lost;
};

static const struct bdr_opt run_opts[] = {
    {.name = "data",
     BDR_PATH(struct run_args, data),
     .def = "/var/lib/bdr-console",
     .metavar = "DIR",
     .help = "Where the database, the keys and the certificates are."},
    {.name = "db",
     BDR_STRING(struct run_args, db),
     .env = "BDR_CONSOLE_DB",
     .metavar = "URL",
     .help = "The database: a file, or postgresql://...; DATA/console.db when not set."},
    {.name = "address",
     BDR_STRING(struct run_args, address),
     .def = "0.0.0.0",
     .metavar = "ADDRESS",
     .help = "The address to listen on."},
    {.name = "port",
     BDR_U32(struct run_args, port),
     .def = "10443",
     .min = 1,
     .max = 65534,
     .help = "HTTPS: the API, the web console, agents and proxies."},
    {.name = "http-port",
     BDR_U32(struct run_args, http_port),
     .def = "30080",
     .min = 1,
     .max = 65534,
     .help = "HTTP: install scripts and packages, nothing else."},
    {.name = "name",
     BDR_LIST(struct run_args, name),
     .metavar = "NAME",
     .help = "A host name or address by which this console is reached; the first one is used in install commands."},
    {.name = "packages",
     BDR_PATH(struct run_args, packages),
     .metavar = "DIR",
     .help = "The packages that machines install."},
    {.name = "web",
     BDR_PATH(struct run_args, web),
     .metavar = "DIR",
     .help = "The web console's files; those installed with this program when not set."},
    {.name = "public-url",
     BDR_STRING(struct run_args, public_url),
     .metavar = "URL",
     .help = "How machines reach this console, when a proxy or NAT stands before it."},
    {.name = "keys-lost",
     BDR_FLAG(struct run_args, keys_lost),
     .help = "The database's ca.key or master.key is lost: go on with those in DATA, or new ones. Secrets it opened "
             "have to be typed again; after a new CA every machine has to enrol again."},
    {.name = "all-in-one",
     BDR_FLAG(struct run_args, all_in_one),
     .help = "Run a gateway of this machine's own beside the console, with a repository in a folder."},
    {.name = "gateway-port",
     BDR_U32(struct run_args, gateway_port),
     .def = "443",
     .min = 1,
     .max = 65535,
     .help = "With --all-in-one: the port of the gateway."},
    {.name = "gateway-program",
     BDR_PATH(struct run_args, gateway),
     .metavar = "FILE",
     .help = "With --all-in-one: bdr-gateway; beside this program, or in PATH, when not set."},
    {.name = "repository",
     BDR_PATH(struct run_args, repository),
     .metavar = "DIR",
     .help = "With --all-in-one: the folder of the first repository; DATA/repository when not set."},
    {0},
};

/* The first of these places, seen from this program's folder, that is there; `otherwise` when none is. */
static const char *beside(const char *const *places, size_t n_places, int access_mode, char out[PATH_MAX],
                          const char *otherwise)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *slash;

    self[n > 0 ? n : 0] = 0;
    slash = strrchr(self, '/');
    for (size_t i = 0; slash && i < n_places; i++) {
        snprintf(out, PATH_MAX, "%.*s/%s", (int)(slash - self), self, places[i]);
        if (access(out, access_mode) == 0)
            return out;
    }
    return otherwise;
}

/* As packages put them, or as the build does; else PATH finds the program, and the console has its own places. */
static const char *const gateway_places[] = {"bdr-gateway", "../../bdr-gateway", "../gateway/bdr-gateway"};
static const char *const web_places[] = {"../share/openbdr/web", "../../web/dist"};
static const char *const package_places[] = {"../share/openbdr/packages", "../../packages"};

static struct bdr_err *run_all(const struct run_args *a, struct bdr_console *c, struct bdr_cli *cli)
{
    BDR_AUTO(all) struct bdr_all *all = NULL;
    char program[PATH_MAX], host[256];

    BDR_TRY(bdr_os_hostname(host, sizeof(host)));
    BDR_TRY(
        bdr_all_start(c,
                      &(struct bdr_all_config){.program = a->gateway ? a->gateway
                                                                     : beside(gateway_places, BDR_COUNT(gateway_places),
                                                                              X_OK, program, "bdr-gateway"),
                                               .name = a->name.count ? a->name.items[0] : host,
                                               .port = (uint16_t)a->gateway_port,
                                               .repository = a->repository,
                                               .cancel = cli->cancel},
                      &all));
    while (!bdr_cancelled(cli->cancel)) {
        struct bdr_err *err = bdr_all_look(all, 60000);

        if (err && err->code != BDR_CANCELLED)
            return err;
        bdr_err_drop(err, "the end");
    }
    return NULL;
}

/* What a person needs who starts it for the first time. */
static void run_told(struct bdr_console *c, struct bdr_cli *cli)
{
    char first[PATH_MAX], print[104];

    bdr_out_note(cli->out, "listening on https port %u, http port %u", bdr_console_port(c), bdr_console_http_port(c));
    bdr_out_note(cli->out, "fingerprint of its CA: %s", bdr_fingerprint_text(bdr_ca_info(c->ca)->fingerprint, print));
    snprintf(first, sizeof(first), "%s/%s", c->config.folder, BDR_FIRST_LOGIN_FILE);
    if (access(first, R_OK) == 0)
        bdr_out_note(cli->out, "log in as admin with the password in %s, and choose another", first);
}

static struct bdr_err *run(void *p, struct bdr_cli *cli)
{
    const struct run_args *a = p;
    BDR_AUTO(console) struct bdr_console *c = NULL;
    char web[PATH_MAX], packages[PATH_MAX];
    const struct bdr_console_config config = {
        .folder = a->data,
        .db = a->db,
        .address = a->address,
        .port = (uint16_t)a->port,
        .http_port = (uint16_t)a->http_port,
        .names = a->name.items,
        .n_names = a->name.count,
        .loopback = a->all_in_one,
        .keys_lost = a->keys_lost,
        .packages =
            a->packages ? a->packages : beside(package_places, BDR_COUNT(package_places), R_OK | X_OK, packages, NULL),
        .web = a->web ? a->web : beside(web_places, BDR_COUNT(web_places), R_OK | X_OK, web, NULL),
        .public_url = a->public_url,
    };

    BDR_TRY(bdr_console_start(&config, &c));
    run_told(c, cli);
    if (a->all_in_one)
        return run_all(a, c, cli);
    while (!bdr_cancelled(cli->cancel))
        bdr_err_drop(bdr_cancel_sleep(cli->cancel, 60000), "the loop looks at it");
    return NULL;
}

struct api_args {
    bool zh;
};
static const struct bdr_opt api_opts[] = {
    {.name = "zh", BDR_FLAG(struct api_args, zh), .help = "Descriptions in Chinese."},
    {0},
};
static struct bdr_err *api(void *p, struct bdr_cli *cli)
{
    const struct api_args *a = p;
    BDR_AUTO(router) struct bdr_router *r = NULL;
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;

    (void)cli;
    BDR_TRY(bdr_console_api(&r));
    BDR_TRY(bdr_openapi(r, a->zh, &text, &len));
    return bdr_os_write(1, "standard output", text, len);
}

static const struct bdr_cmd cmd_run = {
    .name = "run",
    .group = "Commands",
    .summary = "run the console until it is told to stop",
    .help = "Makes what is missing on its first start: keys, the certificate authority, the database, and an account "
            "'admin' whose password is in DATA/initial-password.",
    .opts = run_opts,
    .args_size = sizeof(struct run_args),
    .run = run,
};
static const struct bdr_cmd cmd_api = {
    .name = "openapi",
    .summary = "print the API as an OpenAPI document",
    .opts = api_opts,
    .args_size = sizeof(struct api_args),
    .run = api,
};
static const struct bdr_cmd *const cmds[] = {
    &cmd_run, &cmd_api, &bdr_cmd_config, &bdr_cmd_completion, &bdr_cmd_version, &bdr_cmd_help, NULL};
static const struct bdr_cmd root = {
    .name = "bdr-console",
    .summary = "inventory, policies, jobs, users, and the web console of OpenBDR",
    .help = "Agents, Sync Proxies and gateways connect to it; it connects to none of them.",
    .subs = cmds,
};
static const char *const configs[] = {"/etc/bdr/console", NULL};
static const struct bdr_app app = {
    .name = "bdr-console", .version = OPENBDR_VERSION, .title = "OpenBDR", .root = &root, .configs = configs};

int main(int argc, char **argv)
{
    return bdr_cli_main(&app, argc, argv);
}
