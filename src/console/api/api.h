/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.h - what the handlers of the API share: who asks, transactions, audit, times.
 *
 * A file of api/ holds the shapes, handlers and rows of one noun and ends with its struct bdr_route_table, which
 * tables.c lists. A row's .perm is "area:verb"; the verb says the least role: self (whoever is logged in), read
 * (viewer), operate (operator), admin (admin). API tokens need the same words in their scopes. Rows for machines have
 * BDR_R_MACHINE, .roles and .perm "machine:self".
 * Threads: as req.h says.
 */
#pragma once
#include "audit.h"
#include "auth/login.h"
#include "bdr/machine_api.h"
#include "bdr/route.h"
#include "console.h"
#include "db/statements.h"

/* Who asks; in the request's arena. */
struct api_who {
    struct bdr_who person;          /* role NONE for a machine */
    struct bdr_row_machine machine; /* id 0 for a person */
    char serial[BDR_SERIAL_CHARS];
    struct bdr_hub_key key; /* what a person came with */
};
BDR_UNUSED static inline struct bdr_console *api_console(const struct bdr_req *req)
{
    return bdr_req_ctx(req);
}
BDR_UNUSED static inline const struct api_who *api_who(const struct bdr_req *req)
{
    return bdr_req_who(req);
}
int64_t api_now(void);
/* A router's authorise, audit and idempotency: ctx is the struct bdr_console. */
bdr_ret api_authorise(void *ctx, struct bdr_req *req, const struct bdr_route *route, const char *perm);
extern const struct bdr_idempotency api_idempotency;

/*
 * Runs `fn` in a transaction. Its errors become the request's answer: NOTFOUND, EXISTS, CONFLICT, INVAL, DENIED, BUSY
 * are shown with their text (so their texts are written for people), all others only by kind.
 */
bdr_ret api_run(struct bdr_req *req, enum bdr_tx_kind kind, struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx),
                void *ctx);
/* The same for an error that did not come out of api_run; consumed. */
bdr_ret api_refusal(struct bdr_req *req, struct bdr_err *err);

/*
 * Writes the change into the audit log, in the change's own transaction. `before`, `after`: structs of `shape`, or
 * NULL (was not there, is not there); secrets are left out by the shape. Who and from where comes from the request.
 */
bdr_ret api_audit(struct bdr_tx *tx, struct bdr_req *req, const char *action, const char *object, int64_t object_id,
                  const struct bdr_shape *shape, const void *before, const void *after);
/* The same of somebody who has just shown who they are on a route that needs no login: `account` is their name. */
bdr_ret api_audit_as(struct bdr_tx *tx, struct bdr_req *req, const char *account, const char *action,
                     const char *object, int64_t object_id, const struct bdr_shape *shape, const void *before,
                     const void *after);

/* Lists: rows with ids above (or below) the cursor; fetch page->limit + 1 and give what came to api_page_end. */
int64_t api_cursor(const struct bdr_req *req, int64_t none);
/* Cuts `out` to the limit and sets .next to the id that `last_id` names when more rows came than fit. */
bdr_ret api_page_end(struct bdr_req *req, struct bdr_page *out, int64_t last_id_of_page);

/* After a change of accounts, sessions or tokens: streams that were opened with them end at once. */
void api_streams_review(struct bdr_req *req);

/* A copy in the request's arena; "" becomes NULL, which is left out of the answer. NULL when memory is short too. */
const char *api_text(struct bdr_req *req, const char *text);
/* 0 (never, unknown) is left out of the answer when the field has `has`. */

/* Answers with a package; the path's {file}. For 30080, and for browsers at 10443, which HSTS keeps from the other. */
struct bdr_err *api_package(struct bdr_req *req, const void *in, void *out);

/* ---- the tables ---- */
extern const struct bdr_route_table api_session_table, api_health_table;
extern const struct bdr_route_table api_machine_join_table, api_machine_beat_table, api_machine_work_table,
    api_machine_job_table, api_machine_scan_table, api_machine_gateway_table;
extern const struct bdr_route_table api_enrolments_table, api_accounts_table, api_own_table, api_access_table,
    api_audit_table, api_setup_table, api_certificates_table;
extern const struct bdr_route_table api_install_table; /* of port 30080, and not of the API */
extern const struct bdr_route_table api_alarms_table, api_channels_table, api_metrics_table, api_watch_table;
extern const struct bdr_route_table api_web_table;
extern const struct bdr_route_table *const api_tables[]; /* NULL-ended */
