/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - the state folder: who the machine is, whom it trusts. Each file is replaced as a whole. */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "worker_i.h"
#include <stdio.h>
#include <string.h>

#define STATE_JSON_MAX (1u << 20)

const char *bdr_worker_path(const char *state, const char *name, char buf[512])
{
    snprintf(buf, 512, "%s/%s", state, name);
    return buf;
}

struct bdr_err *state_write_json(const char *path, json_t *doc, unsigned mode)
{
    BDR_AUTO(json_doc) json_t *own = doc;
    BDR_AUTO(mem) char *text = doc ? json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

    BDR_NOMEM_IF_NULL(text);
    return bdr_os_replace_file(path, text, strlen(text), mode, false);
}

struct bdr_err *state_read_json(const char *path, json_t **out)
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;

    BDR_TRY(bdr_os_read_file(path, STATE_JSON_MAX, &text, &len));
    BDR_TRY_FOR(bdr_json_read(text, len, out), "reading %s", path);
    return NULL;
}

struct bdr_err *state_new_key(const char *name, struct bdr_key **out_key, char **out_csr)
{
    BDR_AUTO(key) struct bdr_key *key = NULL;

    BDR_TRY(bdr_key_new(&key));
    BDR_TRY(bdr_key_csr(key, name, out_csr));
    *out_key = BDR_STEAL(key);
    return NULL;
}

struct bdr_err *state_save_identity(const char *state, const struct bdr_key *key, const char *certificate)
{
    BDR_AUTO(buf) struct bdr_buf both = {0};
    BDR_AUTO(mem) char *pem = NULL;
    char fresh[512], path[512];
    struct bdr_err *err;
    size_t len = 0;

    /* The key never leaves the folder; one file holds both, so that no crash leaves a key without its certificate. */
    bdr_worker_path(state, "identity.new", fresh);
    BDR_TRY(bdr_key_save(key, fresh));
    err = bdr_os_read_file(fresh, BDR_CERT_BYTES_MAX, &pem, &len);
    if (!err) {
        bdr_buf_printf(&both, "%s%s", certificate,
                       certificate[0] && certificate[strlen(certificate) - 1] == '\n' ? "" : "\n");
        bdr_buf_put(&both, pem, len);
        err = bdr_buf_check(&both);
    }
    if (!err)
        err = bdr_os_replace_file(bdr_worker_path(state, WORKER_IDENTITY, path), both.data, both.len, 0600, false);
    unlink(fresh);
    if (pem)
        bdr_wipe(pem, len);
    if (both.data)
        bdr_wipe(both.data, both.cap);
    return err;
}

struct bdr_err *state_save_enrolment(const char *state, const struct bdr_worker_identity *who)
{
    char path[512];

    return state_write_json(bdr_worker_path(state, WORKER_ENROLMENT, path),
                            json_pack("{s:s,s:s,s:s,s:I,s:i}", "console", who->console, "machine", who->machine, "ca",
                                      who->ca_print, "host", (json_int_t)who->host, "kind", who->kind),
                            0600);
}

struct bdr_err *bdr_worker_identity(const char *state, struct bdr_worker_identity *out)
{
    BDR_AUTO(json_doc) json_t *doc = NULL;
    struct bdr_worker_identity who = {0};
    struct bdr_cert_info info;
    const char *console, *machine, *ca;
    json_int_t host = 0;
    char path[512];
    struct bdr_err *err = state_read_json(bdr_worker_path(state, WORKER_ENROLMENT, path), &doc);

    if (err && err->code == BDR_NOTFOUND)
        return bdr_err_recode(err, BDR_NOTFOUND, BDR_AT, "this machine is not enrolled");
    BDR_TRY(err);
    if (json_unpack(doc, "{s:s,s:s,s:s,s:I,s:i}", "console", &console, "machine", &machine, "ca", &ca, "host", &host,
                    "kind", &who.kind) ||
        strlen(console) >= sizeof(who.console) || strlen(machine) >= sizeof(who.machine) ||
        strlen(ca) >= sizeof(who.ca_print))
        BDR_FAIL(BDR_CORRUPT, 0, "%s is not what enrolment writes; enrol this machine again", path);
    snprintf(who.console, sizeof(who.console), "%s", console);
    snprintf(who.machine, sizeof(who.machine), "%s", machine);
    snprintf(who.ca_print, sizeof(who.ca_print), "%s", ca);
    who.host = (uint64_t)host;
    BDR_TRY(bdr_cert_parse_file(bdr_worker_path(state, WORKER_IDENTITY, path), &info));
    who.expires_ms = info.not_after_ms;
    *out = who;
    return NULL;
}

struct bdr_err *bdr_worker_client(const char *state, const char *base, uint32_t answer_ms, struct bdr_http_client **out)
{
    char ca[512], identity[512];

    return bdr_http_client_new(
        &(struct bdr_http_client_config){.base = base,
                                         .ca_file = bdr_worker_path(state, WORKER_CA, ca),
                                         .cert_file = bdr_worker_path(state, WORKER_IDENTITY, identity),
                                         .key_file = identity,
                                         .answer_ms = answer_ms,
                                         .tries = 1},
        out);
}
