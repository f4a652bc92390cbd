/* SPDX-License-Identifier: Apache-2.0 */
/* enrol.c - how a machine joins, and whether it may go again. */
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "worker_i.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ENROL_ANSWER_MS 30000

static struct bdr_err *enrol_check(const struct bdr_worker_enrol *in, char ca[BDR_FINGERPRINT_CHARS])
{
    struct bdr_worker_identity who;
    struct bdr_err *err;

    if (!in->console || strncmp(in->console, "https://", 8) || strlen(in->console) >= sizeof(who.console))
        BDR_FAIL(BDR_INVAL, 0, "the console's address must be like https://console.example:10443");
    if (!in->token || !*in->token)
        BDR_FAIL(BDR_INVAL, 0, "there is no token; copy the install command from the console");
    if (!in->ca)
        BDR_FAIL(BDR_INVAL, 0,
                 "there is no fingerprint of the console's CA; copy the install command from the console");
    BDR_TRY_FOR(bdr_fingerprint_read(in->ca, ca), "the fingerprint of the console's CA");
    err = bdr_worker_identity(in->state, &who);
    if (!err && !in->force)
        BDR_FAIL(BDR_EXISTS, 0, "this machine is enrolled already, as %s at %s; --force forgets that", who.machine,
                 who.console);
    if (err && err->code != BDR_NOTFOUND && !in->force)
        return err;
    bdr_err_drop(err, "nothing, or nothing that is to be kept");
    return NULL;
}

/* What the console's refusal means for the person who pasted the command. */
static struct bdr_err *enrol_refused(struct bdr_err *err)
{
    if (err->sys == 401 || err->sys == 403 || err->sys == 404 || err->sys == 409 || err->sys == 410)
        return bdr_err_recode(
            err, BDR_AUTH, BDR_AT,
            "the console did not take the token: it works once and for a short time; copy the install command "
            "from the console again");
    if (err->code == BDR_NET || err->code == BDR_TIMEOUT)
        return bdr_err_wrap(
            err, BDR_AT,
            "enrolling; when the console got the request but its answer was lost, the token is used up: "
            "copy the install command again");
    return bdr_err_wrap(err, BDR_AT, "enrolling");
}

/* What came is of the CA that we were told to trust, and for us. */
static struct bdr_err *enrol_judge(const struct bdr_enrol_out *got, const char *ca, int64_t *out_expires)
{
    struct bdr_cert_info info;

    BDR_TRY_FOR(bdr_cert_parse(got->ca, strlen(got->ca), &info), "the CA that the console sent");
    if (strcmp(info.fingerprint, ca) != 0)
        BDR_FAIL(BDR_AUTH, 0, "the CA that the console sent has another fingerprint than the install command says");
    BDR_TRY_FOR(bdr_cert_parse(got->certificate, strlen(got->certificate), &info),
                "the certificate that the console sent");
    if (strcmp(info.machine, got->machine) != 0)
        BDR_FAIL(BDR_INVAL, 0, "the console sent a certificate of another machine");
    *out_expires = info.not_after_ms;
    return NULL;
}

struct bdr_err *bdr_worker_enrol(const struct bdr_worker_enrol *in)
{
    BDR_AUTO(http_client) struct bdr_http_client *client = NULL;
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    struct bdr_worker_identity who = {.kind = in->kind};
    struct bdr_enrol_out got;
    char name[256], path[512];
    struct bdr_err *err;

    BDR_TRY(enrol_check(in, who.ca_print));
    BDR_TRY(bdr_os_hostname(name, sizeof(name)));
    if (in->name)
        snprintf(name, sizeof(name), "%s", in->name);
    BDR_TRY(bdr_arena_new(&arena));
    BDR_TRY(bdr_os_mkdirs(in->state));
    BDR_TRY(state_new_key(name, &key, &csr));
    BDR_TRY(bdr_http_client_new(
        &(struct bdr_http_client_config){
            .base = in->console, .ca_fingerprint = in->ca, .answer_ms = ENROL_ANSWER_MS, .tries = 2},
        &client));
    struct bdr_enrol_in ask = {.token = in->token,
                               .kind = in->kind,
                               .name = name,
                               .csr = csr,
                               .os = in->os,
                               .version = in->version,
                               .identity = in->identity,
                               .url = in->url};
    struct bdr_http_json call = {.method = "POST",
                                 .path = "/v1/enrol",
                                 .in_shape = &bdr_enrol_in_shape,
                                 .in = &ask,
                                 .out_shape = &bdr_enrol_out_shape,
                                 .cancel = in->cancel};
    err = bdr_http_json(client, &call, arena, &got);
    if (err)
        return enrol_refused(err);
    BDR_TRY(enrol_judge(&got, who.ca_print, &who.expires_ms));
    snprintf(who.console, sizeof(who.console), "%s", in->console);
    snprintf(who.machine, sizeof(who.machine), "%s", got.machine);
    who.host = got.host;
    unlink(bdr_worker_path(in->state, WORKER_ENROLMENT, path));
    unlink(bdr_worker_path(in->state, WORKER_MARKER, path));
    BDR_TRY(state_save_identity(in->state, key, got.certificate));
    BDR_TRY(bdr_os_replace_file(bdr_worker_path(in->state, WORKER_CA, path), got.ca, strlen(got.ca), 0644, false));
    return state_save_enrolment(in->state, &who);
}

static bool standing_marked(const char *state)
{
    char path[512];

    return !access(bdr_worker_path(state, WORKER_MARKER, path), F_OK);
}

struct bdr_err *bdr_worker_standing(const char *state, const char *version, enum bdr_worker_standing *out, char *why,
                                    size_t n)
{
    BDR_AUTO(http_client) struct bdr_http_client *client = NULL;
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_worker_identity who;
    struct bdr_beat_out got = {0};
    struct bdr_err *err = bdr_worker_identity(state, &who);
    char text[400];

    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "that is the answer");
        *out = BDR_STANDING_NONE;
        snprintf(why, n, "this machine was never enrolled");
        return NULL;
    }
    BDR_TRY(err);
    BDR_TRY(bdr_arena_new(&arena));
    BDR_TRY(bdr_worker_client(state, who.console, WORKER_ANSWER_MS, &client));
    struct bdr_beat_in ask = {.version = version};
    struct bdr_http_json call = {.method = "POST",
                                 .path = "/v1/machine/beat",
                                 .in_shape = &bdr_beat_in_shape,
                                 .in = &ask,
                                 .out_shape = &bdr_beat_out_shape};
    err = bdr_http_json(client, &call, arena, &got);
    if (!err) {
        *out = got.registered ? BDR_STANDING_REGISTERED : BDR_STANDING_DEREGISTERED;
        snprintf(why, n,
                 got.registered ? "%s says that this machine is registered"
                                : "%s says that this machine was deregistered",
                 who.console);
        return NULL;
    }
    if (worker_revoked(err)) {
        *out = BDR_STANDING_DEREGISTERED;
        snprintf(why, n, "%s does not know this machine any more", who.console);
    } else {
        *out = standing_marked(state) ? BDR_STANDING_MARKED : BDR_STANDING_UNKNOWN;
        snprintf(why, n,
                 standing_marked(state)
                     ? "the console said before that this machine was deregistered; it can't be reached now (%s)"
                     : "the console can't be asked: %s",
                 bdr_err_text(err, text, sizeof(text)));
    }
    bdr_err_drop(err, "told in words");
    return NULL;
}
