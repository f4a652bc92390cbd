/* SPDX-License-Identifier: Apache-2.0 */
/*
 * possess.c - possession in LMDB, written without waiting for the disk.
 *
 * A killed process leaves the file whole; a machine that went down may not. So the boot it is open on stands beside it,
 * and a file that was open on another boot is thrown away.
 */
#include "possess.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POSSESS_MAP_BYTES ((size_t)16 << 30) /* address space */
#define POSSESS_READERS   512
#define POSSESS_KEY       24u /* host, big-endian; first 16 bytes of the id */
#define POSSESS_VALUE     12u /* time, top bit: in a point; length of the block */
#define POSSESS_POINTED   ((uint64_t)1 << 63)
#define POSSESS_CHUNK     4096u /* entries looked at in one transaction of a sweep */

struct gw_possess {
    char *dir;
    uint64_t keep_ms;
    MDB_env *env;
    MDB_dbi blocks, hosts;
};

static void txn_abort(MDB_txn **txn)
{
    if (*txn)
        mdb_txn_abort(*txn);
}
#define TXN __attribute__((cleanup(txn_abort))) MDB_txn *

static struct bdr_err *possess_err(int rc, const char *at)
{
    enum bdr_code code = rc == MDB_MAP_FULL ? BDR_NOSPACE : rc > 0 ? bdr_code_of_errno(rc) : BDR_CORRUPT;

    return bdr_err_new(code, rc > 0 ? rc : 0, at, "the table of who possesses which blocks: %s", mdb_strerror(rc));
}
#define LMDB(call)                                                                                                     \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_)                                                                                                       \
            return possess_err(rc_, BDR_AT);                                                                           \
    } while (0)

static struct bdr_err *possess_path(const char *dir, const char *name, char out[512])
{
    if (snprintf(out, 512, "%s/%s", dir, name) >= 512)
        BDR_FAIL(BDR_INVAL, 0, "%s is too long a path", dir);
    return NULL;
}

static struct bdr_err *possess_wipe(const char *dir)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    char path[512];

    for (size_t i = 0; i < BDR_COUNT(files); i++) {
        BDR_TRY(possess_path(dir, files[i], path));
        if (unlink(path) && errno != ENOENT)
            BDR_FAIL_ERRNO("removing %s", path);
    }
    return NULL;
}

/* Was it left open by a boot that is no more? Says from now on that it is open on this one. */
static struct bdr_err *possess_boot(const char *dir)
{
    BDR_AUTO(mem) char *boot = NULL;
    BDR_AUTO(mem) char *was = NULL;
    struct bdr_err *err;
    char path[512];
    size_t n = 0, m = 0;

    BDR_TRY(possess_path(dir, "open", path));
    BDR_TRY(bdr_os_read_file("/proc/sys/kernel/random/boot_id", 64, &boot, &n));
    err = bdr_os_read_file(path, 64, &was, &m);
    if (!err && (m != n || memcmp(boot, was, n) != 0)) {
        BDR_LOG(WARN, "gateway.possession-lost", F_STR("folder", dir));
        BDR_TRY(possess_wipe(dir));
    }
    bdr_err_drop(err, "it was closed in order");
    return bdr_os_replace_file(path, boot, n, 0600, false);
}

static struct bdr_err *possess_env(struct gw_possess *p)
{
    TXN txn = NULL;

    LMDB(mdb_env_create(&p->env));
    mdb_env_set_maxdbs(p->env, 2);
    mdb_env_set_maxreaders(p->env, POSSESS_READERS);
    mdb_env_set_mapsize(p->env, POSSESS_MAP_BYTES);
    LMDB(mdb_env_open(p->env, p->dir, MDB_NOTLS | MDB_NORDAHEAD | MDB_NOSYNC, 0600));
    mdb_reader_check(p->env, NULL);
    LMDB(mdb_txn_begin(p->env, NULL, 0, &txn));
    LMDB(mdb_dbi_open(txn, "blocks", MDB_CREATE, &p->blocks));
    LMDB(mdb_dbi_open(txn, "hosts", MDB_CREATE, &p->hosts));
    LMDB(mdb_txn_commit(BDR_STEAL(txn)));
    return NULL;
}

struct bdr_err *gw_possess_open(const char *dir, uint64_t keep_ms, struct gw_possess **out)
{
    struct gw_possess *p = calloc(1, sizeof(*p));
    BDR_AUTO(gw_possess) struct gw_possess *mine = p;
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(p);
    BDR_TRY(bdr_os_mkdirs(dir));
    p->keep_ms = keep_ms;
    p->dir = strdup(dir);
    BDR_NOMEM_IF_NULL(p->dir);
    BDR_TRY(possess_boot(dir));
    err = possess_env(p);
    if (err && err->code == BDR_CORRUPT) {
        BDR_LOG(WARN, "gateway.possession-lost", F_STR("folder", dir), F_ERR(err));
        bdr_err_drop(err, "points and uploads say it again");
        mdb_env_close(BDR_STEAL(p->env));
        BDR_TRY(possess_wipe(dir));
        err = possess_env(p);
    }
    BDR_TRY(err);
    (void)BDR_STEAL(mine);
    *out = p;
    return NULL;
}

void gw_possess_close(struct gw_possess *p)
{
    char path[512];

    if (!p)
        return;
    if (p->env && !mdb_env_sync(p->env, 1)) {
        struct bdr_err *err = possess_path(p->dir, "open", path);

        mdb_env_close(BDR_STEAL(p->env));
        if (!err)
            unlink(path);
        bdr_err_drop(err, "then it is made anew");
    }
    if (p->env)
        mdb_env_close(p->env);
    free(p->dir);
    free(p);
}

static void key_host(uint64_t host, uint8_t *key)
{
    for (int i = 0; i < 8; i++)
        key[i] = (uint8_t)(host >> (56 - 8 * i));
}

static void key_make(uint64_t host, const struct bdr_id *id, uint8_t key[POSSESS_KEY])
{
    key_host(host, key);
    memcpy(key + 8, id->b, 16);
}

static void value_read(const MDB_val *v, uint64_t *time, uint32_t *raw_len)
{
    struct bdr_cur c = bdr_cur_of(v->mv_data, v->mv_size);

    *time = bdr_cur_u64(&c);
    *raw_len = bdr_cur_u32(&c);
    if (c.failed)
        *raw_len = 0;
}

static void value_make(uint64_t time, uint32_t raw_len, uint8_t out[POSSESS_VALUE])
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(time >> (8 * i));
    for (int i = 0; i < 4; i++)
        out[8 + i] = (uint8_t)(raw_len >> (8 * i));
}

struct bdr_err *gw_possess_look(struct gw_possess *p, uint64_t host, struct gw_owned *blocks, size_t n)
{
    uint64_t now = (uint64_t)bdr_clock_wall_ms();
    uint8_t key[POSSESS_KEY];
    TXN txn = NULL;

    LMDB(mdb_txn_begin(p->env, NULL, MDB_RDONLY, &txn));
    for (size_t i = 0; i < n; i++) {
        MDB_val k = {sizeof(key), key}, v;
        uint64_t time;
        int rc;

        blocks[i].raw_len = 0;
        key_make(host, &blocks[i].id, key);
        rc = mdb_get(txn, p->blocks, &k, &v);
        if (rc == MDB_NOTFOUND)
            continue;
        LMDB(rc);
        value_read(&v, &time, &blocks[i].raw_len);
        if (!(time & POSSESS_POINTED) && time + p->keep_ms < now)
            blocks[i].raw_len = 0;
    }
    return NULL;
}

struct bdr_err *gw_possess_uploaded(struct gw_possess *p, const uint64_t *hosts, size_t n, const struct bdr_id *id,
                                    bool *out)
{
    uint64_t now = (uint64_t)bdr_clock_wall_ms();
    uint8_t key[POSSESS_KEY];
    bool found = false;
    TXN txn = NULL;

    LMDB(mdb_txn_begin(p->env, NULL, MDB_RDONLY, &txn));
    for (size_t i = 0; i < n && !found; i++) {
        MDB_val k = {sizeof(key), key}, v;
        uint64_t time;
        uint32_t raw_len;
        int rc;

        key_make(hosts[i], id, key);
        rc = mdb_get(txn, p->blocks, &k, &v);
        if (rc == MDB_NOTFOUND)
            continue;
        LMDB(rc);
        value_read(&v, &time, &raw_len);
        found = !(time & POSSESS_POINTED) && time + p->keep_ms >= now;
    }
    *out = found;
    return NULL;
}

struct bdr_err *gw_possess_add(struct gw_possess *p, uint64_t host, const struct gw_owned *blocks, size_t n, bool pointed,
                               int64_t now_ms)
{
    uint8_t key[POSSESS_KEY], value[POSSESS_VALUE];
    TXN txn = NULL;

    if (!n)
        return NULL;
    LMDB(mdb_txn_begin(p->env, NULL, 0, &txn));
    for (size_t i = 0; i < n; i++) {
        MDB_val k = {sizeof(key), key}, v;
        uint64_t time = 0;
        uint32_t raw_len = 0;
        int rc;

        key_make(host, &blocks[i].id, key);
        rc = mdb_get(txn, p->blocks, &k, &v);
        if (!rc)
            value_read(&v, &time, &raw_len);
        else if (rc != MDB_NOTFOUND)
            return possess_err(rc, BDR_AT);
        if (!pointed && time & POSSESS_POINTED)
            continue;
        value_make((uint64_t)now_ms | (pointed ? POSSESS_POINTED : 0), blocks[i].raw_len, value);
        v = (MDB_val){sizeof(value), value};
        LMDB(mdb_put(txn, p->blocks, &k, &v, 0));
    }
    LMDB(mdb_txn_commit(BDR_STEAL(txn)));
    return NULL;
}

/* Looks at some entries from `key` on; *out_more false at the end of the host's. */
static struct bdr_err *sweep_some(struct gw_possess *p, uint64_t host, uint8_t key[POSSESS_KEY], uint64_t uploaded,
                                  uint64_t pointed, bool *out_more)
{
    MDB_val k = {POSSESS_KEY, key}, v;
    MDB_cursor *cur = NULL;
    uint8_t prefix[8];
    TXN txn = NULL;
    int rc;

    key_host(host, prefix);
    LMDB(mdb_txn_begin(p->env, NULL, 0, &txn));
    LMDB(mdb_cursor_open(txn, p->blocks, &cur));
    rc = mdb_cursor_get(cur, &k, &v, MDB_SET_RANGE);
    for (unsigned i = 0; !rc && i < POSSESS_CHUNK && k.mv_size == POSSESS_KEY && !memcmp(k.mv_data, prefix, 8); i++) {
        uint64_t time;
        uint32_t raw_len;

        value_read(&v, &time, &raw_len);
        memcpy(key, k.mv_data, POSSESS_KEY);
        if (time & POSSESS_POINTED ? (time & ~POSSESS_POINTED) < pointed : time < uploaded)
            rc = mdb_cursor_del(cur, 0);
        if (!rc)
            rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
    }
    *out_more = !rc && k.mv_size == POSSESS_KEY && !memcmp(k.mv_data, prefix, 8);
    if (*out_more)
        memcpy(key, k.mv_data, POSSESS_KEY);
    if (rc && rc != MDB_NOTFOUND)
        return possess_err(rc, BDR_AT);
    LMDB(mdb_txn_commit(BDR_STEAL(txn)));
    return NULL;
}

struct bdr_err *gw_possess_sweep(struct gw_possess *p, uint64_t host, int64_t uploaded_ms, int64_t pointed_ms)
{
    uint8_t key[POSSESS_KEY] = {0};
    bool more = true;

    key_host(host, key);
    while (more)
        BDR_TRY(sweep_some(p, host, key, (uint64_t)BDR_MAX(uploaded_ms, (int64_t)0),
                           (uint64_t)BDR_MAX(pointed_ms, (int64_t)0), &more));
    return NULL;
}

struct bdr_err *gw_possess_last(struct gw_possess *p, uint64_t host, char out[33])
{
    uint8_t key[8];
    MDB_val k = {sizeof(key), key}, v;
    TXN txn = NULL;
    int rc;

    key_host(host, key);
    out[0] = 0;
    LMDB(mdb_txn_begin(p->env, NULL, MDB_RDONLY, &txn));
    rc = mdb_get(txn, p->hosts, &k, &v);
    if (rc == MDB_NOTFOUND)
        return NULL;
    LMDB(rc);
    if (v.mv_size == 32) {
        memcpy(out, v.mv_data, 32);
        out[32] = 0;
    }
    return NULL;
}

struct bdr_err *gw_possess_set_last(struct gw_possess *p, uint64_t host, const char *point)
{
    uint8_t key[8];
    MDB_val k = {sizeof(key), key}, v = {strlen(point), (void *)(uintptr_t)point};
    TXN txn = NULL;

    key_host(host, key);
    LMDB(mdb_txn_begin(p->env, NULL, 0, &txn));
    LMDB(mdb_put(txn, p->hosts, &k, &v, 0));
    LMDB(mdb_txn_commit(BDR_STEAL(txn)));
    return NULL;
}

struct bdr_err *gw_possess_hosts(struct gw_possess *p, uint64_t **out, size_t *out_n)
{
    BDR_AUTO(mem) uint64_t *all = NULL;
    MDB_cursor *cur = NULL;
    size_t n = 0, cap = 0;
    TXN txn = NULL;
    MDB_val k, v;
    int rc;

    LMDB(mdb_txn_begin(p->env, NULL, MDB_RDONLY, &txn));
    LMDB(mdb_cursor_open(txn, p->hosts, &cur));
    while (!(rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT))) {
        const uint8_t *b = k.mv_data;
        uint64_t host = 0;

        for (size_t i = 0; i < 8 && i < k.mv_size; i++)
            host = host << 8 | b[i];
        if (n == cap) {
            uint64_t *more = reallocarray(all, cap ? 2 * cap : 64, sizeof(*more));

            if (!more)
                mdb_cursor_close(cur);
            BDR_NOMEM_IF_NULL(more);
            all = more;
            cap = cap ? 2 * cap : 64;
        }
        all[n++] = host;
    }
    mdb_cursor_close(cur);
    *out = BDR_STEAL(all);
    *out_n = n;
    return NULL;
}

struct bdr_err *gw_possess_sync(struct gw_possess *p)
{
    LMDB(mdb_env_sync(p->env, 1));
    return NULL;
}
