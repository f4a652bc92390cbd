/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - GET /metrics: with a token of the scope metrics:read, or from this machine when a setting allows that. */
#include "watch/metrics.h"
#include "api/api.h"
#include <string.h>

#define SETTING "metrics.loopback" /* "yes" */

static bool is_loopback(const char *addr)
{
    return !strncmp(addr, "127.", 4) || !strcmp(addr, "::1") || !strncmp(addr, "::ffff:127.", 11);
}

static struct bdr_err *allowed(struct bdr_req *req, bool *out)
{
    BDR_AUTO(mem) struct bdr_row_setting_get *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    *out = false;
    if (!is_loopback(bdr_req_remote(req)) || bdr_req_header(req, "X-Forwarded-For") || bdr_req_header(req, "Forwarded"))
        return NULL;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_setting_get(tx, SETTING, &row));
    *out = row && !strcmp(row->value, "yes");
    return NULL;
}

static struct bdr_err *metrics_get(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    bool ok = false;

    (void)in, (void)out;
    BDR_TRY(allowed(req, &ok));
    if (!ok)
        BDR_TRY(api_authorise(api_console(req), req, bdr_req_route(req), "metrics:read"));
    BDR_TRY(bdr_metrics_text(api_console(req), api_now(), &text));
    return bdr_req_send(req, 200, "text/plain; version=0.0.4; charset=utf-8", text.data, text.len);
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/metrics",
     .flags = BDR_R_ANONYMOUS | BDR_R_STREAM_OUT,
     .out_type = "text/plain",
     .run = metrics_get,
     .help = "The console in numbers, for Prometheus. Needs the scope metrics:read, or the setting metrics.loopback.",
     .help_zh = "Prometheus监控指标"},
};
const struct bdr_route_table api_metrics_table = BDR_ROUTES("metrics", rows);
