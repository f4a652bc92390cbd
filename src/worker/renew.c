/* SPDX-License-Identifier: Apache-2.0 */
/* renew.c - the next certificate, with a new key, when two thirds of the old one's life are over. */
#include "bdr/clock.h"
#include "worker_i.h"
#include <string.h>

struct bdr_err *worker_renew(struct worker *w)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    struct bdr_cert_info now, next;
    struct bdr_renew_out got;
    char path[512], until[24];

    BDR_TRY(bdr_cert_parse_file(bdr_worker_path(w->cfg->state, WORKER_IDENTITY, path), &now));
    if (!bdr_cert_renew_due(&now, bdr_clock_wall_ms()))
        return NULL;
    BDR_TRY(bdr_arena_new(&arena));
    BDR_TRY(state_new_key(w->who.machine, &key, &csr));
    struct bdr_renew_in ask = {.csr = csr};
    BDR_TRY_FOR(worker_call(w,
                            &(struct bdr_http_json){.method = "POST",
                                                    .path = "/v1/machine/certificate",
                                                    .in_shape = &bdr_renew_in_shape,
                                                    .in = &ask,
                                                    .out_shape = &bdr_renew_out_shape},
                            arena, &got),
                "renewing the certificate");
    BDR_TRY_FOR(bdr_cert_parse(got.certificate, strlen(got.certificate), &next),
                "the certificate that the console sent");
    if (strcmp(next.machine, w->who.machine) != 0 || next.not_after_ms <= now.not_after_ms)
        BDR_FAIL(BDR_INVAL, 0, "the console sent a certificate that is not ours, or no longer good than the old one");
    BDR_TRY(state_save_identity(w->cfg->state, key, got.certificate));
    BDR_TRY(worker_line_renew(w));
    w->who.expires_ms = next.not_after_ms;
    BDR_LOG(INFO, "worker.certificate-renewed", F_STR("until", bdr_clock_text(next.not_after_ms, until)));
    return NULL;
}
