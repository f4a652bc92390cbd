/* SPDX-License-Identifier: Apache-2.0 */
/* health.c - is it alive, is it ready, what can it do. */
#include "api/api.h"

struct health {
    const char *status, *version;
};
static const struct bdr_shape_field health_fields[] = {
    {BDR_FIELD(struct health, status), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .help = "ok.", .help_zh = "状态"},
    {BDR_FIELD(struct health, version), .type = BDR_T_TEXT, .help = "The program's version.", .help_zh = "版本"},
    {.name = NULL},
};
static const struct bdr_shape health_shape = {.name = "Health", .size = sizeof(struct health), .fields = health_fields};

static struct bdr_err *live(struct bdr_req *req, const void *in, void *out)
{
    struct health *h = out;

    (void)req, (void)in;
    h->status = "ok";
    return NULL;
}

static struct bdr_err *ready(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct health *h = out;
    int64_t admins;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_account_admins(tx, &admins));
    h->status = "ok";
    h->version = OPENBDR_VERSION;
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/v1/health/live",
     .flags = BDR_R_ANONYMOUS | BDR_R_AT_ONCE,
     .out = &health_shape,
     .run = live,
     .help = "The process answers.",
     .help_zh = "进程存活"},
    {.method = BDR_GET,
     .path = "/v1/health/ready",
     .flags = BDR_R_ANONYMOUS,
     .out = &health_shape,
     .run = ready,
     .help = "The database answers, too.",
     .help_zh = "服务就绪"},
    {.method = BDR_GET,
     .path = "/v1/openapi.json",
     .flags = BDR_R_ANONYMOUS | BDR_R_STREAM_OUT,
     .query = &bdr_openapi_query,
     .out_type = "application/json",
     .run = bdr_openapi_run,
     .help = "This API, as an OpenAPI document.",
     .help_zh = "OpenAPI文档"},
};
const struct bdr_route_table api_health_table = BDR_ROUTES("health", rows);
