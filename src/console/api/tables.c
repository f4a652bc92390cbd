/* SPDX-License-Identifier: Apache-2.0 */
/* The list of nouns: the API's table of contents. A new noun is one file, one declaration, one row. */
#include "api/api.h"

const struct bdr_route_table *const api_tables[] = {
    &api_health_table,
    &api_session_table,
    &api_web_table, /* last: whatever is none of the above */
    NULL,
};
