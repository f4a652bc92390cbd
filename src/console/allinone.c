/* SPDX-License-Identifier: Apache-2.0 */
#include "allinone.h"
#include "api/api.h"
#include "bdr/bytes.h"
#include "bdr/child.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "rules/machine.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ALL_TOKEN_MS   600000
#define ALL_AGAIN_MS   2000

struct bdr_all {
    struct bdr_console *c;
    struct bdr_all_config config;
    char state[512], url[300], listen[32], print[104], console[64];
    struct bdr_child *gateway; /* owned; NULL: it ended */
};

/* ---- enrolment ---- */

struct token {
    char text[BDR_TOKEN_CHARS];
};

static struct bdr_err *token_make(struct bdr_tx *tx, void *ctx)
{
    struct token *t = ctx;

    return bdr_enrol_token(tx, "gateway", "all-in-one", (struct bdr_opt_i64){0}, api_now(), api_now() + ALL_TOKEN_MS,
                           t->text);
}

static struct bdr_err *enrol(struct bdr_all *all)
{
    char path[600], text[BDR_TOKEN_CHARS + 2];
    const char *const argv[] = {
        all->config.program, "enrol",        "--state", all->state, "--console", all->console, "--ca",
        all->print,          "--token-file", path,      "--url",    all->url,    NULL};
    struct token t;
    struct stat st;
    struct bdr_err *err;

    snprintf(path, sizeof(path), "%s/enrolment.json", all->state);
    if (stat(path, &st) == 0)
        return NULL;
    BDR_TRY(bdr_os_mkdirs(all->state));
    BDR_TRY(bdr_db_run(all->c->db, BDR_TX_LOCK, token_make, &t));
    snprintf(path, sizeof(path), "%s/token", all->state);
    snprintf(text, sizeof(text), "%s\n", t.text);
    BDR_TRY(bdr_os_replace_file(path, text, strlen(text), 0600, false));
    err = bdr_child_run(argv, all->config.cancel);
    unlink(path);
    explicit_bzero(text, sizeof(text));
    explicit_bzero(&t, sizeof(t));
    return err;
}

/* ---- a repository and a policy to begin with ---- */

struct begin {
    struct bdr_all *all;
    char folder[600];
    int64_t gateway, repository;
};

static struct bdr_err *passphrase_put(struct bdr_tx *tx, struct bdr_console *c, int64_t id)
{
    const struct bdr_seal_place place = {"repository", id, "passphrase"};
    BDR_AUTO(secret) struct bdr_secret secret = {0};
    uint8_t raw[32];
    char hex[65];

    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    BDR_TRY(bdr_secret_set(&secret, bdr_hex(raw, sizeof(raw), hex), 64));
    explicit_bzero(hex, sizeof(hex));
    return bdr_secret_put(tx, c->ring, &place, &secret, api_now());
}

static struct bdr_err *begin_do(struct bdr_tx *tx, void *ctx)
{
    struct begin *b = ctx;
    BDR_AUTO(mem) struct bdr_row_gateway_list *gateway = NULL;
    BDR_AUTO(mem) struct bdr_row_repository *repository = NULL;
    BDR_AUTO(mem) struct bdr_row_policy *policy = NULL;
    size_t gateways = 0, repositories = 0, policies = 0;
    int64_t id;

    BDR_TRY(bdr_q_gateway_list(tx, &gateway, &gateways));
    BDR_TRY(bdr_q_repository_list(tx, 0, 1, &repository, &repositories));
    BDR_TRY(bdr_q_policy_list(tx, 0, 1, &policy, &policies));
    if (!gateways)
        BDR_FAIL(BDR_INTERNAL, 0, "the gateway enrolled, and is not there");
    b->gateway = gateway[gateways - 1].machine_id;
    if (!repositories) {
        BDR_TRY(bdr_q_repository_add(
            tx, &(struct bdr_in_repository_add){"local", b->folder, BDR_SOME(b->gateway), true, api_now()}, &id));
        BDR_TRY(passphrase_put(tx, b->all->c, id));
    }
    if (policies)
        return NULL;
    return bdr_q_policy_add(tx,
                            &(struct bdr_in_policy_add){.name = "hourly",
                                                        .interval_ms = 3600000,
                                                        .zone = "UTC",
                                                        .cron = "",
                                                        .windows = "",
                                                        .bandwidth = "",
                                                        .retention = "hourly=24 daily=7 weekly=4 monthly=12",
                                                        .compression = "zstd",
                                                        .encrypt = true,
                                                        .consistency = "filesystem",
                                                        .tries = 5,
                                                        .now_ms = api_now()},
                            &id);
}

static struct bdr_err *begin(struct bdr_all *all)
{
    struct begin b = {.all = all};

    if (all->config.repository)
        snprintf(b.folder, sizeof(b.folder), "%s", all->config.repository);
    else
        snprintf(b.folder, sizeof(b.folder), "%s/repository", all->c->config.folder);
    return bdr_db_run(all->c->db, BDR_TX_WRITE, begin_do, &b);
}

/* ---- the gateway's process ---- */

static struct bdr_err *gateway_start(struct bdr_all *all)
{
    const char *const argv[] = {all->config.program, "serve", "--state", all->state, "--listen", all->listen, NULL};

    return bdr_child_start(&(struct bdr_child_spec){.argv = argv, .with_us = true}, &all->gateway);
}

struct bdr_err *bdr_all_look(struct bdr_all *all, uint64_t ms)
{
    bool ended = !all->gateway;
    struct bdr_err *err;

    if (all->gateway)
        BDR_TRY(bdr_child_poll(all->gateway, ms, all->config.cancel, &ended));
    else
        BDR_TRY(bdr_cancel_sleep(all->config.cancel, BDR_MIN(ms, (uint64_t)ALL_AGAIN_MS)));
    if (!ended)
        return NULL;
    if (all->gateway) {
        BDR_LOG(ERROR, "allinone.gateway-ended", F_U64("status", (uint64_t)bdr_child_status(all->gateway)),
                F_STR("said", bdr_child_said(all->gateway)));
        bdr_child_stop(BDR_STEAL(all->gateway), 0);
        return NULL; /* a moment later: a port that is in use would make a busy loop of it */
    }
    err = gateway_start(all);
    if (err)
        BDR_LOG(ERROR, "allinone.gateway", F_ERR(err));
    bdr_err_drop(err, "tried again");
    return NULL;
}

/* ---- life ---- */

struct bdr_err *bdr_all_start(struct bdr_console *c, const struct bdr_all_config *config, struct bdr_all **out)
{
    BDR_AUTO(all) struct bdr_all *all = calloc(1, sizeof(*all));
    bool v6 = strchr(config->name, ':') != NULL;

    BDR_NOMEM_IF_NULL(all);
    all->c = c;
    all->config = *config;
    snprintf(all->state, sizeof(all->state), "%s/gateway", c->config.folder);
    snprintf(all->url, sizeof(all->url), "https://%s%.250s%s:%u", v6 ? "[" : "", config->name, v6 ? "]" : "",
             config->port);
    snprintf(all->listen, sizeof(all->listen), "0.0.0.0:%u", config->port);
    snprintf(all->console, sizeof(all->console), "https://127.0.0.1:%u", bdr_console_port(c));
    bdr_fingerprint_text(bdr_ca_info(c->ca)->fingerprint, all->print);
    BDR_TRY_FOR(enrol(all), "enrolling this machine's own gateway");
    BDR_TRY_FOR(begin(all), "a repository and a policy to begin with");
    BDR_TRY(gateway_start(all));
    *out = BDR_STEAL(all);
    return NULL;
}

void bdr_all_stop(struct bdr_all *all)
{
    if (!all)
        return;
    bdr_child_stop(all->gateway, 0); /* asks it first, and gives it ten seconds */
    free(all);
}
