/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - where a repository's objects live: a folder, S3, memory.
 *
 * An object is a key and immutable bytes; keys are 1..200 characters of [a-z0-9._/-], no component empty or beginning
 * with '.', no leading or trailing '/', the first component not "tmp"; and no key is another one's folder ("a" and
 * "a/b"). Callers use bdr_store_*(): the checks live there.
 * Depends on: base, os.      Threads: every call from any thread, except that a writer belongs to one thread.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"
#include <stdatomic.h>

struct bdr_store;        /* a driver's struct starts with one */
struct bdr_store_writer; /* likewise */

struct bdr_store_options {
    bool create;                     /* make the folder / bucket prefix when absent */
    bool read_only;                  /* writes fail with READONLY */
    const struct bdr_cancel *cancel; /* for waits and retries; NULL never */
};

struct bdr_store_stat {
    uint64_t size_bytes;
    int64_t modified_ms; /* by the store's clock */
    int64_t now_ms;      /* the store's clock when it answered: ages are now - modified, our own clock may be wrong */
};

/* Keys come in increasing byte order. An error stops the listing and is returned. */
typedef struct bdr_err *(*bdr_list_fn)(void *ctx, const char *key, uint64_t size_bytes);

enum bdr_put_flags {
    BDR_PUT_REPLACE = 0,
    BDR_PUT_EXCL = 1, /* EXISTS when the key is there already; atomic against other writers */
};

struct bdr_store_driver {
    const char *name, *title, *help;
    const char *scheme; /* "s3://", or NULL: a path */
    struct bdr_err *(*open)(const char *url, const struct bdr_store_options *opt, struct bdr_store **out);
    struct bdr_err *(*get)(struct bdr_store *st, const char *key, uint64_t off, void *buf, size_t len, size_t *out_len);
    struct bdr_err *(*stat)(struct bdr_store *st, const char *key, struct bdr_store_stat *out);
    struct bdr_err *(*put)(struct bdr_store *st, const char *key, const void *data, size_t len, int flags);
    struct bdr_err *(*list)(struct bdr_store *st, const char *prefix, bdr_list_fn fn, void *ctx);
    struct bdr_err *(*remove)(struct bdr_store *st, const char *key);
    struct bdr_err *(*writer_begin)(struct bdr_store *st, const char *key, struct bdr_store_writer **out);
    struct bdr_err *(*writer_append)(struct bdr_store_writer *w, const void *data, size_t len);
    struct bdr_err *(*writer_commit)(struct bdr_store_writer *w); /* consumes w, also on error */
    void (*writer_abandon)(struct bdr_store_writer *w);
    /* Optional: hold an object for as long as this process lives (an advisory lock). */
    struct bdr_err *(*hold)(struct bdr_store *st, const char *key, void **out_hold);
    void (*release)(struct bdr_store *st, void *hold);
    struct bdr_err *(*held)(struct bdr_store *st, const char *key, bool *out);
    struct bdr_err *(*sweep)(struct bdr_store *st, uint64_t min_age_ms, uint64_t *out_removed);
    void (*close)(struct bdr_store *st);
};

/* What was asked of a store since it was opened. */
struct bdr_store_counts {
    atomic_uint_fast64_t gets, get_bytes, stats, puts, lists, removes;
};

struct bdr_store {
    const struct bdr_store_driver *drv;
    bool read_only;
    bool local; /* a folder on this machine: its path is bdr_store_path() */
    char *url;  /* owned; as shown to people, without secrets */
    struct bdr_store_counts counts;
};
struct bdr_store_writer {
    struct bdr_store *st;
};

/*
 * What the calling thread's next opens of object stores use instead of the environment: credentials that came from
 * somewhere else never pass through it, where programs that we start and threads that open other stores would see them.
 * NULL members: endpoint Amazon's; region, addressing, ca_file as the environment says.
 */
struct bdr_store_access {
    const char *key, *secret, *endpoint, *region;
    const char *addressing; /* "path", "virtual" */
    const char *ca_file;    /* PEM */
};
/* Borrowed until it is set to NULL again. Threads: each has its own. */
void bdr_store_access_set(const struct bdr_store_access *access);

/* Opens by URL: "s3://bucket/prefix", "mem:NAME", else a folder path.
 * Errors: NOTFOUND (no such folder or bucket, and !create), DENIED, INVAL, NET. */
bdr_ret bdr_store_open(const char *url, const struct bdr_store_options *opt, struct bdr_store **out);
void bdr_store_close(struct bdr_store *st);

/* Reads up to `len` bytes at `off`; *out_len < len only at the object's end. NOTFOUND; RANGE when off is past the end.
 */
bdr_ret bdr_store_get(struct bdr_store *st, const char *key, uint64_t off, void *buf, size_t len, size_t *out_len);
/* The whole object, at most `max` bytes (RANGE when larger); *out is owned by the caller, NUL added behind it. */
bdr_ret bdr_store_get_all(struct bdr_store *st, const char *key, size_t max, uint8_t **out, size_t *out_len);
/* NOTFOUND when it is not there. */
bdr_ret bdr_store_stat(struct bdr_store *st, const char *key, struct bdr_store_stat *out);
/* The object is complete, visible at once as a whole, and durable when this returns. After a failure or a crash it is
 * there as before or as put, never in part (as put: the answer got lost on the network, the folder's last sync failed).
 * EXISTS with BDR_PUT_EXCL. */
bdr_ret bdr_store_put(struct bdr_store *st, const char *key, const void *data, size_t len, int flags);
/* All keys that start with `prefix` (a plain string prefix). None is not an error. Leftovers of crashed writers are
 * never listed. */
bdr_ret bdr_store_list(struct bdr_store *st, const char *prefix, bdr_list_fn fn, void *ctx);
/* Gone (durably enough that it stays gone) when this returns; was not there: fine. */
bdr_ret bdr_store_remove(struct bdr_store *st, const char *key);

/* A large object in pieces, with bounded memory. Nothing is visible before commit; commit is durable and replaces. */
bdr_ret bdr_store_writer_begin(struct bdr_store *st, const char *key, struct bdr_store_writer **out);
bdr_ret bdr_store_writer_append(struct bdr_store_writer *w, const void *data, size_t len);
bdr_ret bdr_store_writer_commit(struct bdr_store_writer *w); /* consumes w, also on error */
void bdr_store_writer_abandon(struct bdr_store_writer *w);

/* Holding: *out_hold NULL when the driver can't (then liveness is told by refreshing the object). BUSY when somebody
 * holds it; NOTFOUND. A hold ends with release, with the process, or when the object is replaced. */
bdr_ret bdr_store_hold(struct bdr_store *st, const char *key, void **out_hold);
void bdr_store_release(struct bdr_store *st, void *hold);
/* Whether a living process holds it. UNSUPPORTED when the driver can't tell. */
bdr_ret bdr_store_held(struct bdr_store *st, const char *key, bool *out);

/* Folder of a local store, else NULL. Borrowed. */
const char *bdr_store_path(const struct bdr_store *st);
/* Removes what crashed writers left behind (temporary files, unfinished multipart uploads) and is older than
 * `min_age_ms` by the store's clock; never what a living writer uses. */
bdr_ret bdr_store_sweep(struct bdr_store *st, uint64_t min_age_ms, uint64_t *out_removed);

BDR_AUTO_DEFINE(store, struct bdr_store *, bdr_store_close)
BDR_AUTO_DEFINE(store_writer, struct bdr_store_writer *, bdr_store_writer_abandon)
