/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scene.h - a small site in the console's tables, and what happened there, for tests of what the console does by
 * itself.
 *
 * Times are in ms since 1970. Threads: one, that of the test.
 */
#pragma once
#include "fleet.h"
#include "policy/policy.h"
#include "rig.h"
#include "site.h"

#define SCENE_MINUTE INT64_C(60000)
#define SCENE_HOUR   INT64_C(3600000)
#define SCENE_DAY    INT64_C(86400000)

struct scene {
    int64_t platform, proxy, gateway, repository, policy, host;
};
/* One of each; the host is protected every ten minutes. */
struct scene scene_make(struct rig *r);
/* gateway 0: none. */
int64_t scene_repository_add(struct bed *b, const char *name, int64_t gateway);
int64_t scene_policy_add(struct bed *b, const char *name, int64_t interval_ms, const char *windows);
int64_t scene_host_add(struct bed *b, int64_t platform, const char *ref, int64_t policy, int64_t repository);

void scene_sql(struct rig *r, const char *fmt, ...) BDR_PRINTF(2, 3);
/* All machines are alive. */
void scene_beat(struct rig *r, int64_t now);
/* How many there are of a kind, the newest first; free(*out). */
size_t scene_jobs(struct rig *r, const char *kind, struct bdr_row_job **out);
size_t scene_job_count(struct rig *r, const char *kind);
void scene_job_ends(struct rig *r, int64_t id, const char *state, const char *result, int64_t now);
/* Of GET /v1/alarms; json_decref(). */
json_t *scene_alarms(struct rig *r, const char *query);
/* How many alarms of a kind stand. */
size_t scene_standing(struct rig *r, const char *kind);
