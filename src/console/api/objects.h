/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.h - what the operator's nouns (hosts, policies, platforms, ...) share: rows of shapes, searches, jobs made on
 * request, and telling people and machines of a change.
 *
 * Threads: as req.h says.
 */
#pragma once
#include "api/api.h"
#include "jobs/jobs.h"

/* ---- rows of shapes ---- */
/* A field that only comes out. */
#define OBJ_OUT(S, m, t, en, zh)                                                                                       \
    {                                                                                                                  \
        BDR_FIELD(S, m), .type = BDR_T_##t, .flags = BDR_F_READONLY, .help = (en), .help_zh = (zh)                     \
    }
/* The same, left out when there is none. */
#define OBJ_OUT_HAS(S, m, t, en, zh)                                                                                   \
    {                                                                                                                  \
        BDR_FIELD_HAS(S, m), .type = BDR_T_##t, .flags = BDR_F_READONLY, .help = (en), .help_zh = (zh)                 \
    }
#define OBJ_ID(S)                                                                                                      \
    {                                                                                                                  \
        BDR_FIELD(S, id), .type = BDR_T_U64, .flags = BDR_F_READONLY | BDR_F_REQUIRED, .help = "Its number.",          \
                          .help_zh = "编号"                                                                            \
    }
#define OBJ_END                                                                                                        \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }
#define OBJ_SHAPE(S, title, rows) {.name = (title), .size = sizeof(S), .fields = (rows)}
/* Sets a member that is left out when it is 0. */
#define OBJ_SET(o, m, v)                                                                                               \
    do {                                                                                                               \
        (o)->m = (v);                                                                                                  \
        (o)->has_##m = (o)->m != 0;                                                                                    \
    } while (0)

/* Why a button cannot be pressed now; NULL reason: it can. */
struct obj_allowed {
    const char *action, *reason;
    bool allowed;
};
extern const struct bdr_shape obj_allowed_shape;
struct obj_allowed_list { /* as BDR_ARRAY */
    struct obj_allowed *items;
    size_t n;
};
/* Puts `action` into the list (room for `max`), refused with `reason`, or allowed when that is NULL. */
void obj_allow(struct obj_allowed_list *list, size_t max, const char *action, const char *reason);

/* ---- texts ---- */
/* Keeps a block of rows as long as the request (consumed, also on failure). */
bdr_ret obj_keep(struct bdr_req *req, void *block);
/* "" is NULL, which is left out of answers. Borrowed. */
const char *obj_text(const char *text);
/* What a person typed into a search box, for LIKE ... ESCAPE '!'; "" when nothing. NULL: memory is short. */
const char *obj_like(struct bdr_req *req, const char *typed);
const char *obj_choice_name(const struct bdr_choice *choices, int value);
int obj_choice_of(const struct bdr_choice *choices, const char *name);
/* JSON text of ours as a value that lives as long as the request; NULL when there is none. */
bdr_ret obj_json(struct bdr_req *req, const char *text, json_t **out);

/* alive, silent or revoked. */
const char *obj_machine_state(int64_t revoked_ms, int64_t beat_ms, int64_t now_ms);

/* A path's {id}. */
BDR_UNUSED static inline int64_t obj_id(const struct bdr_req *req)
{
    return (int64_t)bdr_req_param_u64(req, "id");
}
/* Begins to read; the request's errors. */
bdr_ret obj_read(struct bdr_req *req, struct bdr_tx **out);

/* ---- changes ---- */
/* What a change's function in api_run gets. */
struct obj_change {
    struct bdr_req *req;
    const void *in;
    void *out;
    int64_t id;
    int64_t made; /* a job or a row that was made */
    int64_t wake_machine, wake_platform;
};
/* Tells people that object `id` changed: kind "host", what "changed", "added" or "removed". After the commit. */
void obj_tell(struct bdr_req *req, const char *kind, int64_t id, const char *what);
/* Tells whoever is able to do a job that was made that there is one: a machine, or a platform's proxies. */
void obj_wake(struct bdr_req *req, int64_t machine_id, int64_t platform_id);
/* The machine's certificates are refused from now on, and its connections cut; after its rows say so. */
bdr_ret obj_shut_out(struct bdr_req *req, int64_t machine_id);
/* Adds a job: texts that are NULL become "", origin and times are filled. */
bdr_ret obj_job_add(struct bdr_tx *tx, struct bdr_req *req, struct bdr_in_job_add *job, int64_t *out_id);

/* ---- a job, as the API tells it: what many requests answer with ---- */
struct obj_job {
    uint64_t id, host, platform, worker, repository, recovery;
    const char *kind, *state, *origin, *host_name, *platform_name, *worker_name, *step, *error_code, *error_text;
    uint64_t done_bytes, total_bytes, stored_bytes, rate_bps, eta_ms, tries, max_tries, pass, disks;
    uint32_t progress_pct;
    int64_t created, due, started, ended, beat;
    bool has_host, has_platform, has_worker, has_repository, has_recovery, has_eta_ms, has_progress_pct, has_started,
        has_ended, has_beat;
    json_t *params, *result;
    struct obj_allowed_list allowed;
};
extern const struct bdr_shape obj_job_shape;
/* Fills the job from its row; NOTFOUND. */
bdr_ret obj_job_get(struct bdr_req *req, struct bdr_tx *tx, int64_t id, struct obj_job *out);
/* Reads it after a change. */
bdr_ret obj_job_show(struct bdr_req *req, int64_t id, struct obj_job *out);

/* A tick's work: recoveries go on as their jobs do. */
bdr_ret bdr_recoveries_follow(struct bdr_console *c, int64_t now_ms);

extern const struct bdr_choice obj_consistencies[]; /* crash, filesystem, application */

extern const struct bdr_route_table api_hosts_table, api_policies_table, api_repositories_table, api_gateways_table,
    api_jobs_table, api_points_table, api_shares_table, api_recoveries_table, api_platforms_table, api_platform_kinds_table,
    api_names_table, api_proxies_table, api_machines_table, api_cli_login_table;
