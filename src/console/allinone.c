/* SPDX-License-Identifier: Apache-2.0 */
#include "allinone.h"
#include "api/api.h"
#include "bdr/bytes.h"
#include "bdr/ca.h"
#include "bdr/child.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "rules/machine.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ALL_TOKEN_MS   600000
#define ALL_AGAIN_MS   2000
#define ALL_EXPIRED_LOOKS 60u /* one that can't be helped is not started again and again */

struct bdr_all {
    struct bdr_console *c;
    struct bdr_all_config config;
    char state[512], url[300], listen[32], print[104], console[64];
    struct bdr_child *gateway; /* owned; NULL: it ended */
    unsigned ticks;            /* looks since its certificate ended */
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

/* ---- its certificate, when nobody was there to renew it ---- */

struct recertify {
    struct bdr_all *all;
    struct bdr_cert_info was, now;
    char *pem; /* owned; leaf and what it takes */
    char *csr; /* owned */
    bool done;
};

/* Only for the machine that had this very certificate from us, and whose access nobody ended. */
static struct bdr_err *recertify_do(struct bdr_tx *tx, void *ctx)
{
    struct recertify *r = ctx;
    BDR_AUTO(mem) struct bdr_row_certificate *cert = NULL;
    BDR_AUTO(mem) struct bdr_row_machine *m = NULL;
    struct bdr_machine_spec spec = {.role = "gateway", .server = r->all->config.name};
    uint8_t print[32], was[32];
    int64_t locked;
    bool found = false;

    r->done = false;
    free(BDR_STEAL(r->pem));
    BDR_TRY(bdr_q_machine_by_uuid(tx, r->was.machine, &m));
    if (m)
        BDR_TRY(bdr_q_machine_lock(tx, m->id, &locked, &found));
    BDR_TRY(bdr_q_certificate_by_serial(tx, r->was.serial, &cert));
    BDR_ASSERT(bdr_unhex(r->was.fingerprint, was, sizeof(was)));
    if (!m || m->revoked_ms || strcmp(m->kind, "gateway") != 0 || !cert || cert->machine_id != m->id ||
        cert->revoked_ms || cert->sha256.len != sizeof(was) || memcmp(cert->sha256.data, was, sizeof(was)) != 0)
        return NULL;
    spec.machine = m->uuid;
    BDR_TRY(bdr_ca_issue_machine(r->all->c->ca, r->csr, strlen(r->csr), &spec, &r->pem, &r->now));
    BDR_ASSERT(bdr_unhex(r->now.fingerprint, print, sizeof(print)));
    BDR_TRY(bdr_q_certificate_add(tx, &(struct bdr_in_certificate_add){
                                          r->now.serial, m->id, {print, sizeof(print)}, api_now(), r->now.not_after_ms}));
    r->done = true;
    return NULL;
}

/* One file with both, as the gateway keeps it: no crash leaves a key without its certificate. */
static struct bdr_err *identity_save(const struct bdr_all *all, const struct bdr_key *key, const char *certificate)
{
    BDR_AUTO(mem) char *pem = NULL;
    char fresh[600], path[600];
    struct bdr_err *err;
    size_t len = 0, n = strlen(certificate);

    snprintf(fresh, sizeof(fresh), "%s/identity.new", all->state);
    snprintf(path, sizeof(path), "%s/identity.pem", all->state);
    BDR_TRY(bdr_key_save(key, fresh));
    err = bdr_os_read_file(fresh, BDR_CERT_BYTES_MAX, &pem, &len);
    unlink(fresh);
    BDR_TRY(err);
    pem = realloc(pem, len + n + 1);
    BDR_NOMEM_IF_NULL(pem);
    memmove(pem + n, pem, len);
    memcpy(pem, certificate, n);
    err = bdr_os_replace_file(path, pem, len + n, 0600, false);
    explicit_bzero(pem, len + n);
    return err;
}

/*
 * A machine that was off for longer than its gateway's certificate is good can't renew it, for it can't say who it is any
 * more. We hold both ends here, and need nobody to paste a command.
 */
static struct bdr_err *recertify(struct bdr_all *all)
{
    BDR_AUTO(key) struct bdr_key *key = NULL;
    struct recertify r = {.all = all};
    struct bdr_err *err;
    char path[600], until[24];

    snprintf(path, sizeof(path), "%s/identity.pem", all->state);
    BDR_TRY(bdr_cert_parse_file(path, &r.was));
    if (r.was.not_after_ms > api_now())
        return NULL;
    BDR_TRY(bdr_key_new(&key));
    BDR_TRY(bdr_key_csr(key, r.was.machine, &r.csr));
    err = bdr_db_run(all->c->db, BDR_TX_LOCK, recertify_do, &r);
    if (!err && r.done)
        err = identity_save(all, key, r.pem);
    free(r.csr);
    free(r.pem);
    BDR_TRY(err);
    if (r.done)
        BDR_LOG(WARN, "allinone.gateway-recertified", F_STR("until", bdr_clock_text(r.now.not_after_ms, until)));
    else
        BDR_LOG(ERROR, "allinone.gateway-not-ours", F_STR("machine", r.was.machine));
    return NULL;
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

    BDR_TRY_FOR(recertify(all), "the certificate of this machine's own gateway");
    return bdr_child_start(&(struct bdr_child_spec){.argv = argv, .with_us = true}, &all->gateway);
}

/* It slept through its certificate's end: a new start takes a new one. */
static bool gateway_expired(const struct bdr_all *all)
{
    struct bdr_cert_info info;
    struct bdr_err *err;
    char path[600];
    bool expired;

    snprintf(path, sizeof(path), "%s/identity.pem", all->state);
    err = bdr_cert_parse_file(path, &info);
    expired = !err && info.not_after_ms <= api_now();
    bdr_err_drop(err, "the gateway says what is wrong with it");
    return expired;
}

struct bdr_err *bdr_all_look(struct bdr_all *all, uint64_t ms)
{
    bool ended = !all->gateway;
    struct bdr_err *err;

    if (all->gateway)
        BDR_TRY(bdr_child_poll(all->gateway, ms, all->config.cancel, &ended));
    else
        BDR_TRY(bdr_cancel_sleep(all->config.cancel, BDR_MIN(ms, (uint64_t)ALL_AGAIN_MS)));
    if (!ended && gateway_expired(all) && all->ticks++ % ALL_EXPIRED_LOOKS == 0) {
        BDR_LOG(WARN, "allinone.gateway-expired", F_STR("state", all->state));
        bdr_child_stop(BDR_STEAL(all->gateway), 0);
        return NULL;
    }
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
