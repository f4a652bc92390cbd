/* SPDX-License-Identifier: Apache-2.0 */
/* The list of nouns: the API's table of contents. A new noun is one file, one declaration, one row. */
#include "api/api.h"

/* clang-format off: a row a line */
const struct bdr_route_table *const api_tables[] = {
    &api_health_table,
    &api_session_table,
    &api_machine_join_table,
    &api_machine_beat_table,
    &api_machine_work_table,
    &api_machine_job_table,
    &api_machine_scan_table,
    &api_machine_gateway_table,
    &api_enrolments_table,
    &api_accounts_table,
    &api_own_table,
    &api_audit_table,
    &api_setup_table,
    &api_certificates_table,
    NULL,
};
