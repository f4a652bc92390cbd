/* SPDX-License-Identifier: Apache-2.0 */
/* console.c - from a configuration to a running console, and back. */
#include "console.h"
#include "api/api.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "first_login.h"
#include "identity.h"
#include "packages.h"
#include "relay.h"
#include "revoked.h"
#include "settings.h"
#include "tick.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER      "/var/lib/bdr-console"
#define PACKAGES    "/usr/share/openbdr/packages"
#define WEB         "/usr/share/openbdr/web"
#define STOP_MS     3000
#define CA_NAME     "OpenBDR console CA"
#define NAMES_MAX   64 /* in a certificate */
#define OWN_NAMES   24

/* ---- configuration ---- */

static struct bdr_err *own(struct bdr_console *c, char *text, const char **out)
{
    BDR_NOMEM_IF_NULL(text);
    for (size_t i = 0; i < BDR_COUNT(c->owned); i++)
        if (!c->owned[i]) {
            c->owned[i] = text;
            *out = text;
            return NULL;
        }
    free(text);
    BDR_FAIL(BDR_INTERNAL, 0, "more texts than struct bdr_console has room for");
}

static struct bdr_err *own_printf(struct bdr_console *c, const char **out, const char *fmt, const char *a, unsigned n)
{
    char *text = NULL;

    if (asprintf(&text, fmt, a, n) < 0)
        text = NULL;
    return own(c, text, out);
}

/* An interface's address as text; "" when others can't use it. */
static void address_text(const struct ifaddrs *i, char out[INET6_ADDRSTRLEN])
{
    const void *at = NULL;

    *out = 0;
    if (!i->ifa_addr || i->ifa_flags & IFF_LOOPBACK || !(i->ifa_flags & IFF_UP))
        return;
    if (i->ifa_addr->sa_family == AF_INET)
        at = &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
    else if (i->ifa_addr->sa_family == AF_INET6 &&
             !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr))
        at = &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr;
    if (at && !inet_ntop(i->ifa_addr->sa_family, at, out, INET6_ADDRSTRLEN))
        *out = 0;
}

/* Nobody said how the console is reached: by all that this machine is called. */
static struct bdr_err *names_own(struct bdr_console *c)
{
    const char **names = calloc(OWN_NAMES, sizeof(*names));
    struct ifaddrs *list = NULL;
    char text[256], *copy = NULL;
    struct bdr_err *err;
    size_t n = 0;

    BDR_NOMEM_IF_NULL(names);
    c->own_names = names;
    err = bdr_os_hostname(text, sizeof(text));
    if (!err && *text) {
        copy = strdup(text);
        BDR_TRY(own(c, copy, &names[n]));
        n++;
    }
    bdr_err_drop(err, "its addresses will do");
    names[n++] = "localhost";
    names[n++] = "127.0.0.1";
    if (getifaddrs(&list) != 0)
        list = NULL;
    err = NULL;
    for (const struct ifaddrs *i = list; i && n < OWN_NAMES && !err; i = i->ifa_next) {
        address_text(i, text);
        if (*text)
            err = own(c, strdup(text), &names[n]);
        n += *text && !err;
    }
    freeifaddrs(list);
    c->config.names = names;
    c->config.n_names = n;
    return err;
}

static struct bdr_err *config_fill(struct bdr_console *c)
{
    struct bdr_console_config *k = &c->config;

    c->names_given = k->n_names > 0;
    if (!k->folder)
        k->folder = FOLDER;
    if (!k->db)
        BDR_TRY(own_printf(c, &k->db, "%s/console.db", k->folder, 0));
    if (!k->address)
        k->address = "0.0.0.0";
    if (!k->packages)
        k->packages = PACKAGES;
    if (!k->web)
        k->web = WEB;
    k->port = k->port == BDR_ANY_PORT ? 0 : k->port ? k->port : BDR_CONSOLE_PORT;
    k->http_port = k->http_port == BDR_ANY_PORT ? 0 : k->http_port ? k->http_port : BDR_CONSOLE_HTTP_PORT;
    return k->n_names ? NULL : names_own(c);
}

/* FOLDER/name into `out`. */
static void in_folder(const struct bdr_console *c, const char *name, char out[512])
{
    snprintf(out, 512, "%s/%s", c->config.folder, name);
}

/* ---- identity ---- */

static struct bdr_err *ca_open(struct bdr_console *c)
{
    char key[512], cert[512];
    struct stat st;

    in_folder(c, "ca.key", key);
    in_folder(c, "ca.crt", cert);
    if (stat(cert, &st) == 0)
        return bdr_ca_load(key, cert, &c->ca);
    if (stat(key, &st) == 0 && unlink(key) != 0) /* power was cut between the two; nobody has seen this CA */
        BDR_FAIL_ERRNO("removing %s", key);
    BDR_TRY(bdr_ca_new(CA_NAME, 0, &c->ca));
    return bdr_ca_save(c->ca, key, cert);
}

static void name_add(struct bdr_server_spec *spec, const char *names[NAMES_MAX], const char *name)
{
    bool there = spec->n >= NAMES_MAX;

    for (size_t i = 0; i < spec->n; i++)
        there |= !strcmp(names[i], name);
    if (!there)
        names[spec->n++] = name;
}

struct bdr_err *bdr_console_names(struct bdr_console *c, const char *const *more, size_t n)
{
    const char *names[NAMES_MAX];
    struct bdr_server_spec spec = {.names = names};
    char key[512], cert[512];
    bool renewed = false;

    for (; spec.n < c->config.n_names && spec.n < NAMES_MAX; spec.n++)
        names[spec.n] = c->config.names[spec.n];
    for (size_t i = 0; i < n; i++)
        name_add(&spec, names, more[i]);
    if (c->config.loopback)
        name_add(&spec, names, "127.0.0.1");
    in_folder(c, "server.key", key);
    in_folder(c, "server.crt", cert);
    BDR_TRY_FOR(bdr_ca_ensure_server(c->ca, &spec, key, cert, &renewed), "the console's certificate");
    return renewed && c->server ? bdr_http_reload(c->server) : NULL;
}

/* ---- the servers ---- */

static struct bdr_err *router_of(struct bdr_console *c, struct bdr_router **out)
{
    struct bdr_route_table tables[64];
    size_t n = 0;

    for (; api_tables[n]; n++) {
        BDR_ASSERT(n < BDR_COUNT(tables));
        tables[n] = *api_tables[n];
    }
    return bdr_router_new(&(struct bdr_router_config){.title = "OpenBDR",
                                                      .version = OPENBDR_VERSION,
                                                      .tables = tables,
                                                      .n_tables = n,
                                                      .authorise = api_authorise,
                                                      .idempotency = &api_idempotency,
                                                      .ctx = c},
                          out);
}

struct bdr_err *bdr_console_api(struct bdr_router **out)
{
    return router_of(NULL, out);
}

/* 30080: scripts and packages for everybody, and nothing else. What it serves is checked by prints that came by HTTPS.
 */
static struct bdr_err *serve_packages(struct bdr_console *c)
{
    const struct bdr_http_listener listener = {.address = c->config.address, .port = c->config.http_port};

    BDR_TRY(bdr_packages_new(c->config.packages, &c->packages));
    BDR_TRY(bdr_router_new(&(struct bdr_router_config){.title = "OpenBDR packages",
                                                       .version = OPENBDR_VERSION,
                                                       .tables = &api_install_table,
                                                       .n_tables = 1,
                                                       .authorise = api_authorise,
                                                       .ctx = c},
                           &c->http_router));
    return bdr_http_start(&(struct bdr_http_config){.listeners = &listener,
                                                    .n_listeners = 1,
                                                    .limits = {.connections = 2000,
                                                               .connections_per_ip = 200,
                                                               .header_bytes = 8192,
                                                               .buffered_bytes = 1,
                                                               .loops = 1,
                                                               .workers = 2,
                                                               .stream_workers = 16},
                                                    .app = &bdr_router_app,
                                                    .app_ctx = c->http_router},
                          &c->http_server);
}

static struct bdr_err *serve(struct bdr_console *c)
{
    char key[512], cert[512], ca[512];
    const struct bdr_http_listener listeners[] = {
        {.address = c->config.address,
         .port = c->config.port,
         .tls = BDR_TLS_OPTIONAL,
         .cert_file = cert,
         .key_file = key,
         .ca_file = ca},
    };

    in_folder(c, "server.key", key);
    in_folder(c, "server.crt", cert);
    in_folder(c, "ca.crt", ca);
    BDR_TRY(router_of(c, &c->router));
    BDR_TRY(bdr_http_start(&(struct bdr_http_config){.listeners = listeners,
                                                     .n_listeners = 1,
                                                     .limits = {.header_bytes = 8192},
                                                     .app = &bdr_router_app,
                                                     .app_ctx = c->router,
                                                     .revoked = bdr_revoked_is,
                                                     .revoked_ctx = c->revoked},
                           &c->server));
    return serve_packages(c);
}

uint16_t bdr_console_port(const struct bdr_console *c)
{
    return bdr_http_port(c->server, 0);
}

uint16_t bdr_console_http_port(const struct bdr_console *c)
{
    return bdr_http_port(c->http_server, 0);
}

/* ---- life ---- */

/* Nobody else runs in this folder, or on this file. */
static struct bdr_err *hold(struct bdr_console *c)
{
    const char *file = bdr_db_file(c->config.db);
    char path[1024], what[600];

    snprintf(path, sizeof(path), "%s/console.lock", c->config.folder);
    snprintf(what, sizeof(what), "the folder %.500s", c->config.folder);
    BDR_TRY(bdr_holder_take(&(struct bdr_holder_spec){.path = path,
                                                      .what = what,
                                                      .advice = "stop that one first, or give this one a folder of its "
                                                                "own with --data",
                                                      .port = c->config.port},
                            &c->folder_held));
    if (!file)
        return NULL;
    if ((size_t)snprintf(path, sizeof(path), "%s.lock", file) >= sizeof(path))
        BDR_FAIL(BDR_RANGE, 0, "the path of the database is too long");
    snprintf(what, sizeof(what), "the database %.500s", file);
    BDR_TRY_FOR(
        bdr_holder_take(&(struct bdr_holder_spec){.path = path,
                                                  .what = what,
                                                  .advice = "a file is for one console, several need PostgreSQL "
                                                            "(docs/console/database.md); stop that one first, "
                                                            "or give this one a database of its own with --db",
                                                  .port = c->config.port},
                        &c->file_held),
        "the console's database");
    return NULL;
}

static struct bdr_err *abandon(struct bdr_tx *tx, void *ctx)
{
    int64_t n;

    (void)ctx;
    return bdr_q_idempotency_abandon(tx, &n);
}

/* Requests that ran when the console ended. With several consoles one that is away can't be told from one that is gone. */
static void requests_abandon(struct bdr_console *c)
{
    if (bdr_db_file(c->config.db))
        bdr_err_drop(bdr_db_run(c->db, BDR_TX_LOCK, abandon, NULL), "they are given up after a while in any case");
}

static struct bdr_err *start(struct bdr_console *c)
{
    char path[512];

    BDR_TRY(config_fill(c));
    BDR_TRY_FOR(bdr_os_mkdirs(c->config.folder), "the console's folder");
    BDR_TRY(hold(c));
    BDR_TRY_FOR(bdr_db_open(&(struct bdr_db_options){.where = c->config.db, .cancel = &c->stop}, &c->db),
                "the console's database");
    BDR_TRY_FOR(bdr_db_migrate(c->db, NULL), "the console's database");
    BDR_TRY(bdr_identity_expect(c));
    in_folder(c, "master.key", path);
    BDR_TRY_FOR(bdr_keyring_open(path, &c->ring), "the master key");
    BDR_TRY_FOR(ca_open(c), "the console's certificate authority");
    BDR_TRY(bdr_identity_check(c));
    requests_abandon(c);
    BDR_TRY(bdr_first_login(c));
    BDR_TRY(bdr_settings_names(c));
    BDR_TRY(bdr_hub_new(&c->hub));
    BDR_TRY(bdr_revoked_new(&c->revoked));
    BDR_TRY(bdr_revoked_learn(c, api_now()));
    BDR_TRY(serve(c));
    BDR_TRY(bdr_relay_start(c, &c->relay));
    return c->config.no_ticks ? NULL : bdr_ticker_start(c, &c->ticker);
}

struct bdr_err *bdr_console_start(const struct bdr_console_config *config, struct bdr_console **out)
{
    BDR_AUTO(console) struct bdr_console *c = calloc(1, sizeof(*c));

    BDR_NOMEM_IF_NULL(c);
    c->config = *config;
    c->folder_held = c->file_held = BDR_HOLDER_NONE;
    BDR_TRY(start(c));
    *out = BDR_STEAL(c);
    return NULL;
}

void bdr_console_stop(struct bdr_console *c)
{
    if (!c)
        return;
    bdr_ticker_stop(c->ticker);
    bdr_relay_stop(c->relay);
    bdr_http_stop(c->http_server, 0);
    bdr_http_stop(c->server, STOP_MS);
    bdr_cancel_set(&c->stop);
    bdr_hub_free(c->hub);
    bdr_router_free(c->router);
    bdr_router_free(c->http_router);
    bdr_revoked_free(c->revoked);
    bdr_packages_free(c->packages);
    free(c->own_names);
    bdr_db_close(c->db);
    bdr_ca_free(c->ca);
    bdr_keyring_free(c->ring);
    bdr_holder_drop(&c->file_held); /* after the database */
    bdr_holder_drop(&c->folder_held);
    for (size_t i = 0; i < BDR_COUNT(c->owned); i++)
        free(c->owned[i]);
    free(c);
}
