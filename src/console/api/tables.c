/* SPDX-License-Identifier: Apache-2.0 */
/* The list of nouns: the API's table of contents. A new noun is one file, one declaration, one row. */
#include "api/objects.h"

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
    &api_access_table,
    &api_audit_table,
    &api_setup_table,
    &api_certificates_table,
    &api_hosts_table,
    &api_policies_table,
    &api_repositories_table,
    &api_gateways_table,
    &api_jobs_table,
    &api_points_table,
    &api_recoveries_table,
    &api_shares_table,
    &api_platforms_table,
    &api_platform_kinds_table,
    &api_names_table,
    &api_proxies_table,
    &api_machines_table,
    &api_cli_login_table,
    &api_alarms_table,
    &api_channels_table,
    &api_metrics_table,
    &api_watch_table,
    &api_web_table, /* last: whatever is none of the above */
    NULL,
};
