/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd.c - an export of an NBD server.
 *
 * Speaks: the NBD protocol with structured replies, by libnbd 1.14: nbd://, nbds:// (TLS), nbd+unix://, nbds+unix://.
 * base:allocation tells holes, qemu:dirty-bitmap:NAME tells changes. Several connections where the server promises
 * that they see the same (multi-conn), else one, with several requests in flight on it.
 * Can't: make or clear the server's bitmap (so it has no token: who made the bitmap knows what it is relative to).
 */
#include "../source_priv.h"
#include "bdr/osfile.h"
#include "conn.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NBD_INFLIGHT     8u
#define NBD_MAX_INFLIGHT 64u
#define NBD_MAX_CONNS    4u
#define NBD_CONNECT_MS   30000u
#define NBD_REPLY_MS     60000u /* twice what Linux gives a disk (/sys/block/NAME/device/timeout) */
/* Block status is asked for in such pieces: compact replies carry 32-bit lengths. */
#define NBD_STATUS_BYTES ((uint64_t)1 << 30)

#define NBD_QEMU_DIRTY 1u /* Source: QEMU docs/interop/nbd.txt, "qemu:dirty-bitmap" */

static const char *const nbd_tls_names[] = {"ca-cert.pem", "client-cert.pem", "client-key.pem"};

struct nbd_src {
    struct bdr_source base;
    struct nbd_target target; /* its strings are owned */
    char *uri, *bitmap, *tls_dir;
    uint32_t inflight, n_conns;
    pthread_mutex_t lock; /* guards users */
    uint32_t users[NBD_MAX_CONNS];
    struct nbd_conn conns[NBD_MAX_CONNS];
};

/* "nbd://user@host:10809/export?query" -> "nbd://host:10809/export"; a socket's path is in the query and stays. */
static void nbd_identity(const char *uri, struct bdr_source_info *info)
{
    const char *at = strstr(uri, "://"), *from = at ? at + 3 : uri, *end = from + strlen(from);
    bool local = at && at - uri >= 5 && !strncmp(at - 5, "+unix", 5);
    const char *path = from + strcspn(from, "/?"), *query = from + strcspn(from, "?");
    const char *user = memchr(from, '@', (size_t)(path - from));
    char text[1024];

    if (user)
        from = user + 1;
    snprintf(text, sizeof(text), "%.*s", (int)BDR_MIN((local ? end : query) - from, 1000), from);
    source_identity(info, local ? "nbd+unix://" : "nbd://", text);
}

static void nbd_tls_remove(const char *dir)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < BDR_COUNT(nbd_tls_names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, nbd_tls_names[i]);
        unlink(path);
    }
    rmdir(dir);
}

/* libnbd takes a folder with fixed names; ours are the user's files. */
static struct bdr_err *nbd_tls_make(struct nbd_src *n, const struct bdr_source_spec *spec)
{
    const char *files[] = {spec->tls_ca, spec->tls_cert, spec->tls_key};
    const char *tmp = getenv("TMPDIR");
    char path[PATH_MAX], dir[PATH_MAX];

    snprintf(dir, sizeof(dir), "%s/bdr-nbd-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
    if (!mkdtemp(dir))
        BDR_FAIL_ERRNO("making a folder for TLS files: %s", dir);
    n->tls_dir = strdup(dir);
    if (!n->tls_dir) {
        rmdir(dir);
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    for (size_t i = 0; i < BDR_COUNT(files); i++) {
        BDR_AUTO(mem) char *real = files[i] ? realpath(files[i], NULL) : NULL;

        if (!files[i])
            continue;
        if (!real || access(real, R_OK))
            BDR_FAIL_ERRNO("reading the TLS file %s", files[i]);
        if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, nbd_tls_names[i]) >= sizeof(path))
            BDR_FAIL(BDR_INVAL, 0, "the name %s is too long", dir);
        if (symlink(real, path))
            BDR_FAIL_ERRNO("linking the TLS file %s", files[i]);
    }
    return NULL;
}

static void nbd_close_source(struct bdr_source *src)
{
    struct nbd_src *n = (struct nbd_src *)src;

    for (uint32_t i = 0; i < NBD_MAX_CONNS; i++)
        nbd_conn_close(&n->conns[i]);
    if (n->tls_dir)
        nbd_tls_remove(n->tls_dir);
    pthread_mutex_destroy(&n->lock);
    free(n->tls_dir);
    free(n->bitmap);
    free(n->uri);
    free(n);
}

static struct bdr_err *nbd_setup_target(struct nbd_src *n, const struct bdr_source_spec *spec)
{
    bool tls = !strncmp(spec->location, "nbds", 4);

    if (spec->tls_ca && !tls)
        BDR_FAIL(BDR_INVAL, 0, "TLS files are given but %s is not encrypted; write nbds instead of nbd",
                 spec->location);
    n->uri = strdup(spec->location);
    BDR_NOMEM_IF_NULL(n->uri);
    if (spec->dirty_bitmap) {
        size_t room = sizeof("qemu:dirty-bitmap:") + strlen(spec->dirty_bitmap);

        n->bitmap = malloc(room);
        BDR_NOMEM_IF_NULL(n->bitmap);
        snprintf(n->bitmap, room, "qemu:dirty-bitmap:%s", spec->dirty_bitmap);
    }
    if (spec->tls_ca || spec->tls_cert)
        BDR_TRY(nbd_tls_make(n, spec));
    n->target = (struct nbd_target){
        .uri = n->uri,
        .bitmap = n->bitmap,
        .tls_dir = n->tls_dir,
        .cancel = spec->cancel,
        .connect_ms = NBD_CONNECT_MS,
        .reply_ms = NBD_REPLY_MS,
    };
    return NULL;
}

static struct bdr_err *nbd_setup(struct nbd_src *n, const struct bdr_source_spec *spec)
{
    BDR_TRY(nbd_setup_target(n, spec));
    BDR_TRY(nbd_conn_init(&n->conns[0], &n->target));
    BDR_TRY(nbd_conn_connect(&n->conns[0]));
    n->n_conns = 1;
    n->inflight = BDR_MIN(spec->depth ? spec->depth : NBD_INFLIGHT, NBD_MAX_INFLIGHT);
    if (!n->conns[0].facts.multi_conn)
        return NULL;
    for (uint32_t want = BDR_MIN(n->inflight, NBD_MAX_CONNS); n->n_conns < want; n->n_conns++) {
        struct nbd_conn *conn = &n->conns[n->n_conns];

        BDR_TRY(nbd_conn_init(conn, &n->target)); /* the first reader on it connects */
        conn->facts = n->conns[0].facts;
        conn->known = true;
    }
    return NULL;
}

static struct bdr_err *nbd_open_source(const struct bdr_source_spec *spec, struct bdr_source **out)
{
    struct nbd_src *n = calloc(1, sizeof(*n));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(n);
    pthread_mutex_init(&n->lock, NULL);
    err = nbd_setup(n, spec);
    if (err)
        nbd_close_source(&n->base);
    else
        *out = &n->base;
    return err;
}

static struct bdr_err *nbd_info(struct bdr_source *src, struct bdr_source_info *out)
{
    struct nbd_src *n = (struct nbd_src *)src;
    const struct nbd_facts *facts = &n->conns[0].facts;

    out->size_bytes = facts->size_bytes;
    out->sector_bytes = BDR_MIN(BDR_MAX(facts->min_bytes, 512u), 4096u);
    out->align_bytes = facts->min_bytes;
    out->max_inflight = n->inflight;
    out->knows_allocation = facts->allocation;
    out->has_changes = facts->bitmap;
    out->rotational = facts->rotational;
    nbd_identity(n->uri, out);
    return NULL;
}

/* A place in one of the two lists of a block status reply. */
struct nbd_cursor {
    const struct nbd_status *list;
    size_t i;
    uint64_t left; /* of entry i */
};

static struct nbd_cursor nbd_cursor_of(const struct nbd_status *list)
{
    return (struct nbd_cursor){.list = list, .left = list->n ? list->at[0].len : 0};
}

/* False at the end of the list. */
static bool nbd_cursor_settle(struct nbd_cursor *c)
{
    while (!c->left && c->i + 1 < c->list->n)
        c->left = c->list->at[++c->i].len;
    return c->left > 0;
}

/*
 * Tells what one reply says of [off, end). *out_end is where its knowledge ends: at the end of the shorter list. The
 * dirty list rules when there is one; `alloc` may be empty when it does.
 */
static struct bdr_err *nbd_tell(const struct nbd_status *alloc, const struct nbd_status *dirty, bool changed,
                                uint64_t off, uint64_t end, bdr_extent_fn fn, void *ctx, uint64_t *out_end)
{
    struct nbd_cursor a = nbd_cursor_of(alloc), d = nbd_cursor_of(dirty);
    bool by_alloc = alloc->n > 0;

    while (off < end && (!by_alloc || nbd_cursor_settle(&a)) && (!changed || nbd_cursor_settle(&d))) {
        uint64_t len = end - off;
        bool zero = by_alloc && alloc->at[a.i].flags & LIBNBD_STATE_ZERO;
        struct bdr_extent ext = {.off = off, .kind = zero ? BDR_EXTENT_ZERO : BDR_EXTENT_DATA};
        bool told = !changed || dirty->at[d.i].flags & NBD_QEMU_DIRTY;

        if (by_alloc)
            len = BDR_MIN(len, a.left);
        if (changed)
            len = BDR_MIN(len, d.left);
        ext.len = len;
        if (told)
            BDR_TRY(fn(ctx, &ext));
        a.left -= by_alloc ? len : 0;
        d.left -= changed ? len : 0;
        off += len;
    }
    *out_end = off;
    return NULL;
}

static struct bdr_err *nbd_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                   bdr_extent_fn fn, void *ctx)
{
    struct nbd_src *n = (struct nbd_src *)src;
    BDR_AUTO(nbd_status) struct nbd_status alloc = {0}, dirty = {0};
    uint32_t unit = n->conns[0].facts.min_bytes;
    bool changed = of == BDR_EXTENTS_CHANGED;
    uint64_t end = off + len, ask_end;

    ask_end = end % unit ? BDR_MIN(end - end % unit + unit, n->conns[0].facts.size_bytes) : end;
    off -= off % unit;
    while (off < end) {
        uint64_t n_bytes = BDR_MIN(ask_end - off, NBD_STATUS_BYTES), told = off;

        BDR_TRY(nbd_conn_status(&n->conns[0], off, n_bytes, &alloc, &dirty));
        if (changed ? dirty.n : alloc.n)
            BDR_TRY(nbd_tell(&alloc, &dirty, changed, off, off + n_bytes, fn, ctx, &told));
        if (told == off)
            BDR_FAIL(BDR_NET, 0, "%s tells no extents at %llu", n->uri, (unsigned long long)off);
        off = told;
    }
    return NULL;
}

static uint32_t nbd_take(struct nbd_src *n)
{
    uint32_t best = 0;

    pthread_mutex_lock(&n->lock);
    for (uint32_t i = 1; i < n->n_conns; i++)
        if (n->users[i] < n->users[best])
            best = i;
    n->users[best]++;
    pthread_mutex_unlock(&n->lock);
    return best;
}

static void nbd_give(struct nbd_src *n, uint32_t i)
{
    pthread_mutex_lock(&n->lock);
    n->users[i]--;
    pthread_mutex_unlock(&n->lock);
}

static struct bdr_err *nbd_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct nbd_src *n = (struct nbd_src *)src;
    uint32_t i = nbd_take(n);
    struct bdr_err *err = nbd_conn_read(&n->conns[i], off, buf, len);

    nbd_give(n, i);
    return err;
}

const struct bdr_source_driver bdr_source_nbd = {
    .name = "nbd",
    .title = "NBD server",
    .help = "nbd://HOST[:PORT]/EXPORT, nbds:// for TLS, nbd+unix:///EXPORT?socket=PATH",
    .schemes = "nbd:// nbds:// nbd+unix:// nbds+unix://",
    .accepts = BDR_SOURCE_ACCEPTS_BITMAP | BDR_SOURCE_ACCEPTS_TLS,
    .max_inflight = NBD_MAX_INFLIGHT,
    .open = nbd_open_source,
    .info = nbd_info,
    .extents = nbd_extents,
    .read = nbd_read,
    .close = nbd_close_source,
};
