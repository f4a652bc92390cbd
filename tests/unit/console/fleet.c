/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet.h"
#include "bdr/osfile.h"
#include "rules/machine.h"

struct fleet_tokens {
    const char *kind;
    char *out;
};

static struct bdr_err *token_add(struct bdr_tx *tx, void *ctx)
{
    const struct fleet_tokens *t = ctx;
    int64_t now = bdr_clock_wall_ms();

    return bdr_enrol_token(tx, t->kind, "", (struct bdr_opt_i64){0}, now, now + 3600000, t->out);
}

void fleet_token(struct rig *r, const char *kind, char out[64])
{
    check_ok(bdr_db_run(r->bed->db, BDR_TX_WRITE, token_add, &(struct fleet_tokens){kind, out}));
}

struct bdr_http_client *fleet_client(struct rig *r, const char *key, const char *cert)
{
    struct bdr_http_client *c = NULL;
    char base[64], ca[128];

    snprintf(base, sizeof(base), "https://127.0.0.1:%u", bdr_console_port(r->console));
    snprintf(ca, sizeof(ca), "%s/ca.crt", r->bed->dir);
    check_ok(bdr_http_client_new(
        &(struct bdr_http_client_config){.base = base, .ca_file = ca, .cert_file = cert, .key_file = key, .tries = 1},
        &c));
    return c;
}

void fleet_join(struct rig *r, const char *kind, const char *name, const char *identity, const char *url,
                struct fleet_machine *out)
{
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) struct bdr_row_machine *row = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_enrol_out got;
    char token[64];
    struct bdr_enrol_in in = {
        .token = token, .name = name, .os = "Debian 12", .version = "0.1", .identity = identity, .url = url};

    in.kind = !strcmp(kind, "agent")   ? BDR_MACHINE_AGENT
              : !strcmp(kind, "proxy") ? BDR_MACHINE_PROXY
                                       : BDR_MACHINE_GATEWAY;
    *out = (struct fleet_machine){0};
    fleet_token(r, kind, token);
    check_ok(bdr_key_new(&key));
    check_ok(bdr_key_csr(key, name, &csr));
    in.csr = csr;
    check_ok(fleet_json(r, NULL, "POST", "/v1/enrol", &bdr_enrol_in_shape, &in, &bdr_enrol_out_shape, &got));
    snprintf(out->uuid, sizeof(out->uuid), "%s", got.machine);
    snprintf(out->key, sizeof(out->key), "%s/%.32s.key", r->bed->dir, got.machine);
    snprintf(out->cert, sizeof(out->cert), "%s/%.32s.crt", r->bed->dir, got.machine);
    check_ok(bdr_key_save(key, out->key));
    check_ok(bdr_os_replace_file(out->cert, got.certificate, strlen(got.certificate), 0600, false));
    out->host = got.host;
    out->expires = got.expires;
    out->client = fleet_client(r, out->key, out->cert);
    tx = fleet_read(r);
    check_ok(bdr_q_machine_by_uuid(tx, got.machine, &row));
    assert_non_null(row);
    out->id = row->id;
}

void fleet_leave(struct fleet_machine *m)
{
    bdr_http_client_free(m->client);
    m->client = NULL;
}

json_t *fleet_want(struct rig *r, const struct fleet_machine *m, unsigned want, const char *method, const char *path,
                   const char *body)
{
    struct rig as = *r;

    if (m)
        as.anyone = m->client;
    return rig_want(&as, NULL, want, method, path, body);
}

struct bdr_err *fleet_json(struct rig *r, const struct fleet_machine *m, const char *method, const char *path,
                           const struct bdr_shape *in_shape, const void *in, const struct bdr_shape *out_shape,
                           void *out)
{
    return bdr_http_json(
        m ? m->client : r->anyone,
        &(struct bdr_http_json){.method = method, .path = path, .in_shape = in_shape, .out_shape = out_shape, .in = in},
        r->arena, out);
}

struct bdr_tx *fleet_read(struct rig *r)
{
    struct bdr_tx *tx = NULL;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    return tx;
}
