/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.h - where a backup goes: a repository that is opened here, or a gateway that owns one.
 *
 * Lifecycle: (bdr_sink_local | bdr_sink_gateway) -> (begin -> work -> (publish | abandon))* -> free.
 * A sink may take its time: what put was given is stored when flush or publish says so, and what went wrong meanwhile
 * is told by the next call. Errors are final for what was begun.
 * Depends on: base, repo.      Threads: id, put, get, run_base, run_set, run_end from any; the rest from one.
 */
#pragma once
#include "bdr/map.h"
#include <jansson.h>
#include <stdatomic.h>

struct bdr_sink;
struct bdr_sink_map;
struct bdr_sink_run;

/* A repository that is open here; borrowed. */
bdr_ret bdr_sink_local(struct bdr_repo *repo, struct bdr_sink **out);
/* It stores at most so many bytes a second, compressed; 0: unlimited. May change at any time; borrowed. Before begin. */
void bdr_sink_local_limit(struct bdr_sink *s, const atomic_uint_fast64_t *bandwidth_bps);
void bdr_sink_free(struct bdr_sink *s);

struct bdr_sink_begin {
    const char *host;       /* whose points these are; a gateway knows it better */
    const char *compress;   /* NULL: as the repository was made */
    const char *base_point; /* id of the point to build on; NULL: the host's last one */
    bool take_over;         /* fence off a living writer */
    atomic_uint_fast64_t *new_bytes, *stored_bytes; /* counted up when it becomes known later than put; NULL: not */
    const struct bdr_cancel *cancel;                /* outlives what is begun */
};
/* BUSY another living writer; FENCED a newer one; DENIED; NOSPACE; NET; CANCELLED. */
bdr_ret bdr_sink_begin(struct bdr_sink *s, const struct bdr_sink_begin *opt);
/* Gives up what was begun; nothing begun is fine. */
void bdr_sink_abandon(struct bdr_sink *s);
/* All that was put is stored, then the point is visible. Ends what was begun, also on error. */
bdr_ret bdr_sink_publish(struct bdr_sink *s, json_t *point, char out_id[33]);

/* ---- once begun ---- */
uint32_t bdr_sink_block_bytes(const struct bdr_sink *s);
/* The manifest to build on, a new reference; NULL when there is none. */
bdr_ret bdr_sink_base(struct bdr_sink *s, json_t **out);
/* It has made sure by itself that this machine may write this host's points. */
bool bdr_sink_knows_host(const struct bdr_sink *s);
bdr_ret bdr_sink_id(struct bdr_sink *s, const void *data, size_t len, struct bdr_id *out);
/*
 * Makes sure that the block is there; `run` and `block`: where it is going to be. `data` is free again on return.
 * *out_new: it certainly was not there; what turns out later goes to begin's counters.
 */
bdr_ret bdr_sink_put(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                     const void *data, size_t len, bool *out_new);
/* The base's block at `block`, of len bytes, goes on being referred to. *out_kept false: it was lost and must be put. */
bdr_ret bdr_sink_keep(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id, size_t len,
                      bool *out_kept);
/* Names the repository (and, at a gateway, the host), the same every time; for caches. */
void bdr_sink_place(const struct bdr_sink *s, char *out, size_t out_n);
/* Reads a block of the base. */
bdr_ret bdr_sink_get(struct bdr_sink *s, const struct bdr_id *id, void *dst, size_t max, size_t *out_len);
/* Call it now and then. FENCED when somebody newer has taken over. */
bdr_ret bdr_sink_renew(struct bdr_sink *s);
/* All that was put has been taken, and maps that are finished may be built on. */
bdr_ret bdr_sink_flush(struct bdr_sink *s);
struct bdr_sink_stats {
    uint64_t bytes_new, bytes_stored, bytes_known, node_bytes;
    uint64_t sent_bytes; /* over the network */
};
void bdr_sink_stats(struct bdr_sink *s, struct bdr_sink_stats *out);

/* ---- maps: as in map.h ---- */
struct bdr_sink_disk {
    const char *identity;
    uint64_t size_bytes;
    const struct bdr_id *base; /* root of a disk of the base, or of a map of this disk that was finished; or NULL */
    enum bdr_map_mode mode;
};
bdr_ret bdr_sink_map_new(struct bdr_sink *s, const struct bdr_sink_disk *disk, struct bdr_sink_map **out);
void bdr_sink_map_free(struct bdr_sink *s, struct bdr_sink_map *m); /* only when no run is open any more */
bdr_ret bdr_sink_map_run(struct bdr_sink *s, struct bdr_sink_map *m, uint64_t first, uint32_t count,
                         struct bdr_sink_run **out);
bdr_ret bdr_sink_map_zero(struct bdr_sink *s, struct bdr_sink_map *m, uint64_t first, uint64_t count);
bdr_ret bdr_sink_map_finish(struct bdr_sink *s, struct bdr_sink_map *m, struct bdr_id *out_root, bool *out_zero);
const struct bdr_id *bdr_sink_run_base(const struct bdr_sink *s, const struct bdr_sink_run *run, uint64_t block);
void bdr_sink_run_set(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id);
bdr_ret bdr_sink_run_end(struct bdr_sink *s, struct bdr_sink_run *run, bool ok);

BDR_AUTO_DEFINE(sink, struct bdr_sink *, bdr_sink_free)

/* ---- what an implementation fills in; embeds struct bdr_sink first ---- */
struct bdr_sink_ops {
    bool knows_host;
    void (*free)(struct bdr_sink *s);
    struct bdr_err *(*begin)(struct bdr_sink *s, const struct bdr_sink_begin *opt);
    void (*abandon)(struct bdr_sink *s);
    struct bdr_err *(*publish)(struct bdr_sink *s, json_t *point, char out_id[33]);
    uint32_t (*block_bytes)(const struct bdr_sink *s);
    struct bdr_err *(*base)(struct bdr_sink *s, json_t **out);
    struct bdr_err *(*id)(struct bdr_sink *s, const void *data, size_t len, struct bdr_id *out);
    struct bdr_err *(*put)(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                           const void *data, size_t len, bool *out_new);
    struct bdr_err *(*keep)(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                            size_t len, bool *out_kept);
    void (*place)(const struct bdr_sink *s, char *out, size_t out_n);
    struct bdr_err *(*get)(struct bdr_sink *s, const struct bdr_id *id, void *dst, size_t max, size_t *out_len);
    struct bdr_err *(*renew)(struct bdr_sink *s);
    struct bdr_err *(*flush)(struct bdr_sink *s);
    void (*stats)(struct bdr_sink *s, struct bdr_sink_stats *out);
    struct bdr_err *(*map_new)(struct bdr_sink *s, const struct bdr_sink_disk *disk, struct bdr_sink_map **out);
    void (*map_free)(struct bdr_sink *s, struct bdr_sink_map *m);
    struct bdr_err *(*map_run)(struct bdr_sink *s, struct bdr_sink_map *m, uint64_t first, uint32_t count,
                               struct bdr_sink_run **out);
    struct bdr_err *(*map_zero)(struct bdr_sink *s, struct bdr_sink_map *m, uint64_t first, uint64_t count);
    struct bdr_err *(*map_finish)(struct bdr_sink *s, struct bdr_sink_map *m, struct bdr_id *out_root, bool *out_zero);
    const struct bdr_id *(*run_base)(const struct bdr_sink_run *run, uint64_t block);
    void (*run_set)(struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id);
    struct bdr_err *(*run_end)(struct bdr_sink *s, struct bdr_sink_run *run, bool ok);
};
struct bdr_sink {
    const struct bdr_sink_ops *ops;
};
