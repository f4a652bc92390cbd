/* SPDX-License-Identifier: Apache-2.0 */
#include "revoked.h"
#include "bdr/log.h"
#include "console.h"
#include "db/statements.h"
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#define LEARN_ROWS    500
#define LEARN_BACK_MS 120000 /* clocks of several consoles differ, and a commit takes its time */

struct bdr_revoked {
    pthread_mutex_t lock; /* guards all below */
    void *tree;           /* owned serials */
    int64_t learned_ms;   /* all that was revoked before is in the tree */
    bool cut_due;         /* something was added; its connections may stand */
};

static int serial_cmp(const void *a, const void *b)
{
    return strcmp(a, b);
}

struct bdr_err *bdr_revoked_new(struct bdr_revoked **out)
{
    struct bdr_revoked *r = calloc(1, sizeof(*r));

    BDR_NOMEM_IF_NULL(r);
    pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return NULL;
}

void bdr_revoked_free(struct bdr_revoked *r)
{
    if (!r)
        return;
    tdestroy(r->tree, free);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static struct bdr_err *revoked_add(struct bdr_revoked *r, const char *serial, bool *out_new)
{
    char *copy = strdup(serial);
    void *at = NULL;

    BDR_NOMEM_IF_NULL(copy);
    pthread_mutex_lock(&r->lock);
    at = tsearch(copy, &r->tree, serial_cmp);
    *out_new = at && *(char **)at == copy;
    r->cut_due |= *out_new;
    pthread_mutex_unlock(&r->lock);
    if (!*out_new)
        free(copy);
    BDR_NOMEM_IF_NULL(at);
    return NULL;
}

struct bdr_err *bdr_revoked_add(struct bdr_revoked *r, const char *serial)
{
    bool is_new;

    return revoked_add(r, serial, &is_new);
}

bool bdr_revoked_is(void *ctx, const struct bdr_cert_info *peer)
{
    struct bdr_revoked *r = ctx;
    bool found;

    pthread_mutex_lock(&r->lock);
    found = tfind(peer->serial, &r->tree, serial_cmp) != NULL;
    pthread_mutex_unlock(&r->lock);
    return found;
}

/* ---- learning ---- */

static struct bdr_err *gateways_tell(struct bdr_console *c, struct bdr_tx *tx, const char *uuid)
{
    BDR_AUTO(mem) struct bdr_row_gateway_list *gateway = NULL;
    char json[128];
    size_t n = 0;

    BDR_TRY(bdr_q_gateway_list(tx, &gateway, &n));
    snprintf(json, sizeof(json), "{\"machine\":\"%.64s\"}", uuid);
    for (size_t i = 0; i < n; i++)
        bdr_hub_tell_machine(c->hub, gateway[i].machine_id, "revoked", json);
    return NULL;
}

struct bdr_err *bdr_revoked_learn(struct bdr_console *c, int64_t now_ms)
{
    struct bdr_revoked *r = c->revoked;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n = LEARN_ROWS, fresh = 0;
    char after[64] = "";
    int64_t since;
    bool cut;

    pthread_mutex_lock(&r->lock);
    since = r->learned_ms;
    pthread_mutex_unlock(&r->lock);
    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    while (n == LEARN_ROWS) {
        BDR_AUTO(mem) struct bdr_row_certificate_revoked *row = NULL;

        BDR_TRY(bdr_q_certificate_revoked(tx, &(struct bdr_in_certificate_revoked){since, now_ms, after, LEARN_ROWS},
                                          &row, &n));
        for (size_t i = 0; i < n; i++) {
            bool is_new = false;

            BDR_TRY(revoked_add(r, row[i].serial, &is_new));
            fresh += is_new;
            if (is_new && since) /* at the start nobody is connected yet */
                BDR_TRY(gateways_tell(c, tx, row[i].uuid));
            snprintf(after, sizeof(after), "%s", row[i].serial);
        }
    }
    pthread_mutex_lock(&r->lock);
    r->learned_ms = BDR_MAX(r->learned_ms, BDR_MAX(now_ms - LEARN_BACK_MS, (int64_t)1));
    cut = r->cut_due;
    r->cut_due = false;
    pthread_mutex_unlock(&r->lock);
    if (!cut || !c->server)
        return NULL;
    n = bdr_http_cut(c->server, bdr_revoked_is, r);
    BDR_LOG(INFO, "console.revoked", F_U64("certificates", fresh), F_U64("connections-cut", n));
    return NULL;
}
