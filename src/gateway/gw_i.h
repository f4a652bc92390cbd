/* SPDX-License-Identifier: Apache-2.0 */
/* gw_i.h - the inside of the gateway, shared by its files. */
#pragma once
#include "bdr/blockwire.h"
#include "bdr/encode.h"
#include "bdr/map.h"
#include "bdr/pace.h"
#include "bdr/route.h"
#include "gateway.h"
#include "possess.h"
#include <pthread.h>
#include <stdatomic.h>

#define GW_MAPS_OPEN     8u
#define GW_DISKS_MAX     1024u
#define GW_HOST_LOCKS    64u
#define GW_UPLOAD_MS     300000u /* one request of blocks */
#define GW_ROOM_MS       60000u  /* it may wait for room in memory */

/* ---- repositories (repos.c) ---- */
struct gw_coder {
    struct gw_coder *next;
    struct bdr_encoder *e;
};
struct gw_repo {
    struct gw_repo *next;
    uint64_t id;
    struct bdr_repo *repo;     /* owned */
    struct gw_possess *owners; /* owned */
    char compress[24];
    uint32_t block_bytes;
    bool keyed;
    uint8_t id_key[32];
    pthread_mutex_t lock; /* guards coders */
    struct gw_coder *coders;
};
bdr_ret gw_repo_get(struct gw *gw, uint64_t id, struct gw_repo **out);
void gw_repos_close(struct gw *gw);
bdr_ret gw_coder_take(struct gw_repo *r, struct gw_coder **out);
void gw_coder_give(struct gw_repo *r, struct gw_coder *c);
/* The host possesses what its points refer to; nothing is done when that is known to be so. */
bdr_ret gw_repo_learn(struct gw *gw, struct gw_repo *r, uint64_t host, const char *label);
/* The point that was just published is one of those. */
bdr_ret gw_repo_learn_point(struct gw *gw, struct gw_repo *r, uint64_t host, const json_t *point, const json_t *base);

/* ---- sessions (sessions.c) ---- */
struct gw_map {
    uint32_t number;
    struct bdr_map *map; /* owned; NULL once finished */
    char *identity;      /* owned */
    uint64_t size, blocks;
    bool delta, has_base, busy;
    struct bdr_id base;
    uint32_t levels;
    uint64_t sets, next; /* requests taken; the first block that may be set next */
};
struct gw_disk { /* a finished map */
    uint32_t number;
    char *identity; /* owned */
    uint64_t size;
    bool zero;
    struct bdr_id root;
};
struct gw_session {
    struct gw_session *next; /* under gw->lock */
    struct gw *gw;
    struct gw_repo *repo;
    struct bdr_session *s; /* owned; NULL once published */
    char id[33], machine[BDR_MACHINE_ID_CHARS], serial[BDR_SERIAL_CHARS], label[128], identity[65];
    uint64_t host, fence;
    json_t *base; /* owned; or NULL */
    struct bdr_pace pace;
    atomic_uint_fast64_t bandwidth_bps, last_ms, valid_ms; /* monotonic: of the last request, leave is good until */
    atomic_bool ended;
    struct bdr_cancel cancel;
    pthread_rwlock_t puts; /* shared: storing blocks; alone: flush, renew, publish */
    pthread_mutex_t lock;  /* guards all below */
    pthread_cond_t changed;
    unsigned refs, uploads;
    struct gw_upload *running; /* those uploads, the newest first; each lives in its handler */
    uint32_t maps_made;
    struct gw_map *maps[GW_MAPS_OPEN]; /* owned */
    struct gw_disk *disks;             /* owned */
    size_t n_disks;
};
/* A request of blocks that runs, as its session sees it. */
struct gw_upload {
    struct gw_upload *next; /* under the session's lock */
    struct bdr_req *req;
    atomic_uint_fast64_t heard_ms; /* monotonic: a byte came, or we had no time for one */
    bool pushed;                   /* under the session's lock: a newer one has its place */
};
/* Begins one for a host, after the one before has ended. */
bdr_ret gw_session_begin(struct gw *gw, struct bdr_req *req, uint64_t host, uint64_t fence, struct gw_session **out);
/* The request's session, checked: whose it is, its fence, its leave. *out NULL: an answer was sent. */
bdr_ret gw_session_of(struct gw *gw, struct bdr_req *req, struct gw_session **out);
void gw_session_unref(struct gw_session *s);
/* No request gets it any more; the last one that has it makes durable what came. */
void gw_session_end(struct gw_session *s);
void gw_sessions_tend(struct gw *gw); /* the keeper's round */
void gw_sessions_end(struct gw *gw, const char *machine);
BDR_AUTO_DEFINE(gw_session, struct gw_session *, gw_session_unref)

/* ---- room for blocks in memory ---- */
struct gw_share { /* of a machine that has any */
    struct gw_share *next;
    uint64_t used;
    char machine[BDR_MACHINE_ID_CHARS];
};
struct gw_room {
    pthread_mutex_t lock; /* guards used, shares */
    pthread_cond_t changed;
    uint64_t used, max;
    struct gw_share *shares; /* owned */
};
/* False: there was none in time. A machine has three quarters at most, unless one request alone takes more. */
bool gw_room_take(struct gw_room *r, const char *machine, uint64_t bytes, const struct bdr_cancel *cancel);
void gw_room_give(struct gw_room *r, const char *machine, uint64_t bytes);

struct gw {
    struct gw_config config;
    struct gw_limits limits;
    char *state_dir; /* owned */
    struct bdr_router *router;
    struct bdr_http_server *server;
    struct bdr_pool *keeper;
    struct bdr_cancel stop;
    struct bdr_pace pace;
    struct gw_room room;
    pthread_mutex_t host_lock[GW_HOST_LOCKS]; /* taken first: beginning a host's session, learning its points */
    pthread_mutex_t repo_lock;                /* opening repositories; guards repos */
    struct gw_repo *repos;
    pthread_mutex_t lock; /* taken last; guards sessions */
    struct gw_session *sessions;
    unsigned n_sessions;
    char shared[8][33]; /* guarded by lock: points that are served, jobs.h's GW_SHARES_MAX; "": a free row */
    atomic_uint_fast64_t frames, frame_bytes, blocks_new, points, refused;
};

/* ---- routes (routes.c) ---- */
bdr_ret gw_router(struct gw *gw, struct bdr_router **out);
/* Answers with problem+json of exactly this status; what is left of the body is thrown away first. */
bdr_ret gw_problem(struct bdr_req *req, unsigned status, enum bdr_code code, const char *fmt, ...) BDR_PRINTF(4, 5);
#define GW_REFUSE(req, status, code, ...) return gw_problem((req), (status), (code), __VA_ARGS__)
/* The whole body, at most `max` bytes. */
bdr_ret gw_body(struct bdr_req *req, size_t max, struct bdr_buf *out);
bdr_ret gw_body_json(struct bdr_req *req, size_t max, json_t **out);
bdr_ret gw_send_json(struct bdr_req *req, unsigned status, json_t *o); /* takes o */
/* An error of the repository, as its client must see it. */
bdr_ret gw_answer_err(struct bdr_req *req, struct bdr_err *err);
struct gw_base_query {
    uint64_t first, count;
};
struct gw_set_query {
    uint64_t n;
};
extern const struct bdr_shape gw_base_query_shape, gw_set_query_shape;

struct bdr_err *gw_blocks_run(struct bdr_req *req, const void *in, void *out);
struct bdr_err *gw_ask_run(struct bdr_req *req, const void *in, void *out);
struct bdr_err *gw_block_run(struct bdr_req *req, const void *in, void *out);
struct bdr_err *gw_map_new_run(struct bdr_req *req, const void *in, void *out);
struct bdr_err *gw_map_base_run(struct bdr_req *req, const void *in, void *out);
struct bdr_err *gw_map_set_run(struct bdr_req *req, const void *in, void *out);
struct bdr_err *gw_map_finish_run(struct bdr_req *req, const void *in, void *out);
struct bdr_err *gw_map_drop_run(struct bdr_req *req, const void *in, void *out);
struct bdr_err *gw_publish_run(struct bdr_req *req, const void *in, void *out);
void gw_map_free(struct gw_map *m);
struct gw *gw_of_req(struct bdr_req *req);

/* ---- what a client's manifest becomes (manifest.c) ---- */
/* *out: ours, of what of `given` may be believed, with the session's roots. INVAL and why. */
bdr_ret gw_manifest(struct gw_session *s, const json_t *given, json_t **out);

/* ---- fences (fence.c) ---- */
/* Keeps the largest number of a host, durably. *out_ok false: this one is smaller than *out_largest. */
bdr_ret gw_fence_take(const char *state_dir, uint64_t host, uint64_t fence, bool *out_ok, uint64_t *out_largest);
