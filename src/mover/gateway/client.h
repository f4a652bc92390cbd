/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - the inside of a gateway sink, shared by the files of this folder. */
#pragma once
#include "bdr/blockwire.h"
#include "bdr/encode.h"
#include "bdr/gateway_sink.h"
#include "bdr/http_client.h"
#include "bdr/pace.h"
#include <pthread.h>

#define GWC_BATCH_BYTES ((size_t)2 << 20)
#define GWC_BATCH_BLOCKS 64u

/* Blocks that are asked about and sent together. */
struct gwc_batch {
    struct gwc_batch *next;
    uint64_t seq;
    size_t raw_len, cap;
    unsigned n;
    bool taken; /* by a lane */
    struct gwc_block {
        struct bdr_id id;
        uint32_t off, len;
        bool counted; /* put said already that it is new */
    } block[GWC_BATCH_BLOCKS];
    uint8_t raw[];
};

struct gwc_map;
/* Runs that go out in one request, once the blocks they name have been taken. */
struct gwc_set {
    struct gwc_set *next;
    struct gwc_map *map; /* counts as a reference */
    uint64_t n, barrier;
    struct bdr_buf body;
};

struct gwc_run {
    struct gwc_map *map;
    struct gwc_run *next;
    uint64_t first, barrier;
    uint32_t count;
    bool done, zero_run;
    uint64_t zeros; /* of a zero_run: blocks */
    bool set[64], there[64];
    struct bdr_id base[64], id[64]; /* all zero: a hole */
};

struct gwc_map {
    struct gwc *g;
    unsigned refs; /* the mover's, and one a set on its way */
    uint32_t number;
    uint64_t blocks;
    enum bdr_map_mode mode;
    bool has_base, dead, finished;
    /* the feeder's: a window over the base */
    uint64_t win_first;
    uint32_t win_n;
    struct bdr_id *win;
    uint8_t *win_there;
    /* under the lock: runs in the order they were opened, and what is ready of them */
    struct gwc_run *head, *tail;
    struct bdr_buf ready;
    uint64_t ready_barrier, sets;
};

struct gwc_coder {
    struct gwc_coder *next;
    struct bdr_encoder *e;
};

struct gwc {
    struct bdr_sink sink;
    struct bdr_gateway_config config; /* texts owned */
    struct bdr_http_client *http;     /* owned */
    struct bdr_sink_begin opt;        /* what begin was given; texts not used */
    struct bdr_pace pace;
    /* of the session */
    bool begun;
    char session[33], fence[24], compress[24], label[128];
    char path[96]; /* /v1/hosts/7/sessions/.. */
    uint32_t block_bytes, connections, ask_ids;
    uint8_t id_key[32];
    bool keyed;
    json_t *base; /* owned */
    struct bdr_pool *pool;
    struct bdr_cancel stop;
    atomic_uint_fast64_t last_ms; /* of the last request */
    atomic_uint_fast64_t bytes_new, bytes_stored, bytes_known, node_bytes, sent_bytes;

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct bdr_err *failed; /* owned; the first error */
    struct gwc_batch *filling, *head, *tail; /* owned; the list by seq, until taken by the gateway */
    struct gwc_batch *spare;                 /* owned; to be filled again */
    uint64_t seq, batch_bytes, batch_max; /* bytes: of all batches, spare ones too */
    struct gwc_set *sets, *sets_tail;        /* owned */
    uint64_t set_bytes;
    const struct gwc_map *set_busy;          /* whose runs are being sent */
    struct gwc_coder *coders;                /* owned; idle ones */
};

BDR_UNUSED static inline struct gwc *gwc_of(const struct bdr_sink *s)
{
    return (struct gwc *)(uintptr_t)s;
}

/* client.c */
/* One request below the session's path (or an absolute one), again and again while that may help. */
bdr_ret gwc_call(struct gwc *g, const char *method, const char *path, const struct bdr_http_call *more,
                 struct bdr_http_reply *out);
/* The first error of whoever works for us, as a copy; NULL when there is none. */
bdr_ret gwc_failed(struct gwc *g);
/* Keeps the first error (takes it) and stops all. */
void gwc_fail(struct gwc *g, struct bdr_err *err);
bdr_ret gwc_check(struct gwc *g); /* failed, or cancelled by the user */
bdr_ret gwc_coder_take(struct gwc *g, struct gwc_coder **out);
void gwc_coder_give(struct gwc *g, struct gwc_coder *c);

/* upload.c */
struct bdr_err *gwc_put(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                        const void *data, size_t len, bool *out_new);
struct bdr_err *gwc_keep(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                         size_t len, bool *out_kept);
void gwc_lane(struct gwc *g);
void gwc_seal(struct gwc *g);                       /* under the lock */
bool gwc_taken(const struct gwc *g, uint64_t seq);  /* under the lock: all batches up to seq */
/* bits[n]: which of the ids need not be sent. */
bdr_ret gwc_ask(struct gwc *g, const struct bdr_cancel *cancel, const struct bdr_id *ids, size_t n, uint8_t *bits);
void gwc_batches_free(struct gwc *g);

/* maps.c */
void gwc_mapper(struct gwc *g);
void gwc_sets_free(struct gwc *g);
struct bdr_err *gwc_map_new(struct bdr_sink *s, const struct bdr_sink_disk *disk, struct bdr_sink_map **out);
void gwc_map_free(struct bdr_sink *s, struct bdr_sink_map *m);
struct bdr_err *gwc_map_run(struct bdr_sink *s, struct bdr_sink_map *m, uint64_t first, uint32_t count,
                            struct bdr_sink_run **out);
struct bdr_err *gwc_map_zero(struct bdr_sink *s, struct bdr_sink_map *m, uint64_t first, uint64_t count);
struct bdr_err *gwc_map_finish(struct bdr_sink *s, struct bdr_sink_map *m, struct bdr_id *out_root, bool *out_zero);
const struct bdr_id *gwc_run_base(const struct bdr_sink_run *run, uint64_t block);
void gwc_run_set(struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id);
struct bdr_err *gwc_run_end(struct bdr_sink *s, struct bdr_sink_run *run, bool ok);
