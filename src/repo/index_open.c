/* SPDX-License-Identifier: Apache-2.0 */
/* index_open.c - the index as a file: opened once a process, doubted after a crash, thrown away when damaged. */
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "index_i.h"
#include "indexcheck.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define INDEX_VERSION 2
#define INDEX_READERS 1024
#define INDEX_LOCK_BYTES (256u << 10) /* more than LMDB's lock file takes for that many readers of 64 bytes each */
#define INDEX_WAIT_MS (10u * 60000u)  /* for another process that checks a large index */
/* Address space, not memory or disk. 64 GiB hold about 700 million blocks; an index that has grown gets more. */
#define INDEX_MAP_BYTES ((size_t)64 << 30)

/* LMDB must not be opened twice in one process, so open indexes are shared. Guards index_all and refs. */
static pthread_mutex_t index_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bdr_index *index_all;

struct bdr_err *bdr_index_err(int rc, const char *at, const char *doing)
{
    switch (rc) {
    case MDB_MAP_FULL:
        return bdr_err_new(BDR_NOSPACE, 0, at, "%s: the index has reached its size limit; start the program again", doing);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_PANIC:
        return bdr_err_new(BDR_CORRUPT, 0, at, "%s: the index is damaged (%s); run 'bdr rebuild-index'", doing,
                           mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return bdr_err_new(BDR_VERSION, 0, at, "%s: the index was made by another LMDB; run 'bdr rebuild-index'", doing);
    default:
        return bdr_err_new(rc > 0 ? bdr_code_of_errno(rc) : BDR_INTERNAL, rc > 0 ? rc : 0, at, "%s%s%s", doing,
                           rc > 0 ? "" : ": ", rc > 0 ? "" : mdb_strerror(rc));
    }
}
struct bdr_err *bdr_index_begin(struct bdr_index *ix, unsigned flags, MDB_txn **out)
{
    int rc = mdb_txn_begin(ix->env, NULL, flags, out);

    if (rc == MDB_MAP_RESIZED) { /* another process made it larger */
        mdb_env_set_mapsize(ix->env, 0);
        rc = mdb_txn_begin(ix->env, NULL, flags, out);
    }
    INDEX_TRY(rc, "using the index");
    return NULL;
}

/* ---- the sum of all rows: changed with each row, counted anew when the file is doubted ---- */

/* FNV-1a over a row, and a finaliser so that sums of similar rows do not cancel out (splitmix64's). */
uint64_t bdr_index_row_hash(uint8_t table, const MDB_val *k, const MDB_val *v)
{
    const MDB_val *part[2] = {k, v};
    uint64_t h = 0xcbf29ce484222325u ^ table;

    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < part[p]->mv_size; i++)
            h = (h ^ ((const uint8_t *)part[p]->mv_data)[i]) * 0x100000001b3u;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return h ^ h >> 31;
}

int bdr_index_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *k, MDB_val *v, uint64_t *sum)
{
    *sum += bdr_index_row_hash((uint8_t)dbi, k, v);
    return mdb_put(txn, dbi, k, v, 0);
}

/* v: the very value. */
int bdr_index_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *k, MDB_val *v, uint64_t *sum)
{
    uint64_t h = bdr_index_row_hash((uint8_t)dbi, k, v);
    int rc = mdb_del(txn, dbi, k, v);

    if (!rc)
        *sum -= h;
    return rc;
}

/* Ends a change of rows: `change` goes into the sum. */
struct bdr_err *bdr_index_commit(struct bdr_index *ix, MDB_txn *txn, uint64_t change)
{
    MDB_val k = {3, (void *)(uintptr_t)"sum"}, v;
    uint64_t sum = 0;
    int rc = mdb_get(txn, ix->meta, &k, &v);

    if (!rc && v.mv_size == sizeof(sum))
        memcpy(&sum, v.mv_data, sizeof(sum));
    sum += change;
    v = (MDB_val){sizeof(sum), &sum};
    if (!rc || rc == MDB_NOTFOUND)
        rc = mdb_put(txn, ix->meta, &k, &v, 0);
    if (rc) {
        mdb_txn_abort(txn);
        return bdr_index_err(rc, BDR_AT, "writing the index");
    }
    INDEX_TRY(mdb_txn_commit(txn), "writing the index");
    return NULL;
}

static struct bdr_err *index_sum_table(MDB_txn *txn, MDB_dbi dbi, uint64_t *sum, uint32_t *max_no)
{
    MDB_cursor *cur = NULL;
    MDB_val k, v;
    int rc = mdb_cursor_open(txn, dbi, &cur);

    while (!rc && !(rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT))) {
        const uint8_t *p = v.mv_size == BDR_LOC_BYTES ? v.mv_data : k.mv_size == 4 ? k.mv_data : NULL;

        *sum += bdr_index_row_hash((uint8_t)dbi, &k, &v);
        if (p)
            *max_no = BDR_MAX(*max_no, (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
    }
    mdb_cursor_close(cur);
    if (rc && rc != MDB_NOTFOUND)
        return bdr_index_err(rc, BDR_AT, "counting the index");
    return NULL;
}

/* CORRUPT unless the rows are what we once wrote, and no pack's number can be given twice. */
static struct bdr_err *index_sum_check(struct bdr_index *ix)
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    MDB_val k = {3, (void *)(uintptr_t)"sum"}, v;
    uint64_t sum = 0, want = 0;
    uint32_t next = 0, max_no = 0;
    struct bdr_cur c;

    BDR_TRY(bdr_index_begin(ix, MDB_RDONLY, &txn));
    BDR_TRY(index_sum_table(txn, ix->blocks, &sum, &max_no));
    BDR_TRY(index_sum_table(txn, ix->packs, &sum, &max_no));
    BDR_TRY(index_sum_table(txn, ix->names, &sum, &max_no));
    if (!mdb_get(txn, ix->meta, &k, &v) && v.mv_size == sizeof(want))
        memcpy(&want, v.mv_data, sizeof(want));
    k = (MDB_val){4, (void *)(uintptr_t)"next"};
    if (!mdb_get(txn, ix->meta, &k, &v)) {
        c = bdr_cur_of(v.mv_data, v.mv_size);
        next = bdr_cur_u32(&c);
    }
    if (sum != want || max_no > next)
        BDR_FAIL(BDR_CORRUPT, 0, "the index's rows are not what was written");
    return NULL;
}

static struct bdr_err *index_setup(struct bdr_index *ix, const uint8_t repo_id[16])
{
    BDR_AUTO(txn) MDB_txn *txn = NULL;
    MDB_val k = {6, (void *)(uintptr_t)"format"}, v;
    uint8_t want[20] = {INDEX_VERSION};
    int rc;

    memcpy(want + 4, repo_id, 16);
    BDR_TRY(bdr_index_begin(ix, 0, &txn));
    INDEX_TRY(mdb_dbi_open(txn, "blocks", MDB_CREATE | MDB_DUPSORT, &ix->blocks), "opening the index");
    INDEX_TRY(mdb_dbi_open(txn, "packs", MDB_CREATE, &ix->packs), "opening the index");
    INDEX_TRY(mdb_dbi_open(txn, "names", MDB_CREATE, &ix->names), "opening the index");
    INDEX_TRY(mdb_dbi_open(txn, "blobs", MDB_CREATE, &ix->blobs), "opening the index");
    INDEX_TRY(mdb_dbi_open(txn, "meta", MDB_CREATE, &ix->meta), "opening the index");
    rc = mdb_get(txn, ix->meta, &k, &v);
    if (rc == MDB_NOTFOUND) {
        v = (MDB_val){sizeof(want), want};
        INDEX_TRY(mdb_put(txn, ix->meta, &k, &v, 0), "preparing the index");
    } else if (rc) {
        return bdr_index_err(rc, BDR_AT, "opening the index");
    } else if (v.mv_size != sizeof(want) || memcmp(v.mv_data, want, sizeof(want)) != 0) {
        BDR_FAIL(BDR_CORRUPT, 0, "the index belongs to another repository or format; run 'bdr rebuild-index'");
    }
    INDEX_TRY(mdb_txn_commit(BDR_STEAL(txn)), "preparing the index");
    return NULL;
}

/* ---- opening ----
 *
 * LMDB trusts its file: a flipped bit may end the program. So the file is looked at before LMDB gets it, unless "state"
 * says that it is as the last of us left it: the same inode, size and change time, on the same boot. Each process holds
 * "state" shared while it has the index open; only one that is alone checks, and only the last one to leave writes
 * "state". A file that is not whole is thrown away: the packs say the same.
 */

static struct bdr_err *index_path(const char *dir, const char *name, char **out)
{
    if (asprintf(out, "%s/%s", dir, name) < 0) {
        *out = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "opening the index");
    }
    return NULL;
}

/* What "state" holds when the index was left in order. */
static struct bdr_err *index_state(const char *dir, struct bdr_buf *out)
{
    BDR_AUTO(mem) char *file = NULL;
    BDR_AUTO(mem) char *boot = NULL;
    struct stat st;
    size_t n = 0;

    BDR_TRY(index_path(dir, "data.mdb", &file));
    BDR_TRY(bdr_os_read_file("/proc/sys/kernel/random/boot_id", 64, &boot, &n));
    if (stat(file, &st))
        BDR_FAIL_ERRNO("looking at %s", file);
    bdr_buf_put(out, "BDRIDXS1", 8);
    bdr_buf_u64(out, (uint64_t)st.st_ino);
    bdr_buf_u64(out, (uint64_t)st.st_size);
    bdr_buf_u64(out, (uint64_t)st.st_ctim.tv_sec);
    bdr_buf_u64(out, (uint64_t)st.st_ctim.tv_nsec);
    bdr_buf_put(out, boot, n);
    return bdr_buf_check(out);
}

static bool index_is_clean(const char *dir, int state_fd)
{
    BDR_AUTO(buf) struct bdr_buf want = {0};
    struct bdr_err *err = index_state(dir, &want);
    uint8_t got[256];
    ssize_t n = err ? -1 : pread(state_fd, got, sizeof(got), 0);

    bdr_err_drop(err, "then it is checked");
    return n == (ssize_t)want.len && !memcmp(got, want.data, want.len);
}

static void index_leave(struct bdr_index *ix)
{
    BDR_AUTO(buf) struct bdr_buf now = {0};

    if (ix->state_fd < 0)
        return;
    if (ix->ino && !flock(ix->state_fd, LOCK_EX | LOCK_NB)) { /* nobody else has it open */
        struct bdr_err *err = index_state(ix->dir, &now);

        if (!err)
            err = bdr_os_pwrite(ix->state_fd, "state", now.data, now.len, 0);
        bdr_err_drop(err, "then the next one checks the file");
    }
    close(ix->state_fd);
}

static struct bdr_err *index_wipe(const char *dir)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};

    for (size_t i = 0; i < BDR_COUNT(files); i++) {
        BDR_AUTO(mem) char *path = NULL;

        BDR_TRY(index_path(dir, files[i], &path));
        if (unlink(path) && errno != ENOENT)
            BDR_FAIL_ERRNO("removing %s", path);
    }
    return NULL;
}

/* LMDB maps its lock file; on a full disk touching a hole in it would end the program. */
static struct bdr_err *index_reserve_lock(const char *dir)
{
    BDR_AUTO(mem) char *path = NULL;
    BDR_AUTO(fd) int fd = -1;
    struct stat st;
    int rc;

    BDR_TRY(index_path(dir, "lock.mdb", &path));
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st))
        BDR_FAIL_ERRNO("opening %s", path);
    if (st.st_size >= INDEX_LOCK_BYTES && (uint64_t)st.st_blocks * 512 >= INDEX_LOCK_BYTES)
        return NULL;
    rc = posix_fallocate(fd, 0, INDEX_LOCK_BYTES);
    if (rc && rc != EOPNOTSUPP && rc != EINVAL)
        return bdr_err_new(bdr_code_of_errno(rc), rc, BDR_AT, "making room for %s", path);
    return NULL;
}

/* Takes "state". *out_alone: nobody else has the index open; the lock is exclusive then. */
static struct bdr_err *index_state_open(const char *dir, int *out_fd, bool *out_alone)
{
    uint64_t deadline = bdr_clock_mono_ms() + INDEX_WAIT_MS;
    BDR_AUTO(mem) char *path = NULL;
    BDR_AUTO(fd) int fd = -1;

    BDR_TRY(index_path(dir, "state", &path));
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", path);
    for (;;) {
        *out_alone = !flock(fd, LOCK_EX | LOCK_NB);
        if (*out_alone || !flock(fd, LOCK_SH | LOCK_NB))
            break;
        if (errno != EWOULDBLOCK)
            BDR_FAIL_ERRNO("locking %s", path);
        if (bdr_clock_mono_ms() > deadline)
            BDR_FAIL(BDR_BUSY, 0, "another process keeps %s to itself", path);
        BDR_TRY(bdr_cancel_sleep(NULL, 5));
    }
    *out_fd = bdr_fd_steal(&fd);
    return NULL;
}

static void index_free(struct bdr_index *ix)
{
    if (ix->env && ix->pid == getpid())
        mdb_env_close(ix->env);
    index_leave(ix);
    free(ix->dir);
    free(ix);
}
BDR_AUTO_DEFINE(index_half, struct bdr_index *, index_free)

/* Gives the file to LMDB; with `doubt` its rows are counted. */
static struct bdr_err *index_env(struct bdr_index *ix, const uint8_t repo_id[16], bool doubt)
{
    BDR_AUTO(mem) char *file = NULL;
    size_t map = INDEX_MAP_BYTES;
    struct stat st;

    BDR_TRY(index_path(ix->dir, "data.mdb", &file));
    BDR_TRY(index_reserve_lock(ix->dir));
    if (!stat(file, &st) && (size_t)st.st_size > map / 4)
        map = (size_t)st.st_size * 4;
    INDEX_TRY(mdb_env_create(&ix->env), "opening the index");
    mdb_env_set_maxdbs(ix->env, 8);
    mdb_env_set_maxreaders(ix->env, INDEX_READERS);
    mdb_env_set_mapsize(ix->env, map);
    INDEX_TRY(mdb_env_open(ix->env, ix->dir, MDB_NOTLS | MDB_NORDAHEAD | MDB_NOMEMINIT, 0600), "opening the index");
    mdb_reader_check(ix->env, NULL); /* readers that were killed would keep old pages */
    BDR_TRY(index_setup(ix, repo_id));
    if (doubt)
        BDR_TRY(index_sum_check(ix));
    if (stat(file, &st))
        BDR_FAIL_ERRNO("looking at %s", file);
    ix->dev = st.st_dev;
    ix->ino = st.st_ino;
    return NULL;
}

static struct bdr_err *index_open_once(struct bdr_index *ix, const uint8_t repo_id[16], bool doubt)
{
    BDR_AUTO(mem) char *file = NULL;
    struct bdr_err *err = NULL;
    struct stat st;

    BDR_TRY(index_path(ix->dir, "data.mdb", &file));
    if (doubt && !stat(file, &st))
        err = bdr_index_check(file);
    if (!err)
        err = index_env(ix, repo_id, doubt);
    if (err && ix->env) {
        mdb_env_close(ix->env);
        ix->env = NULL;
    }
    return err;
}

static struct bdr_err *index_open(const char *dir, const uint8_t repo_id[16], bool fresh, struct bdr_index **out)
{
    BDR_AUTO(index_half) struct bdr_index *ix = calloc(1, sizeof(*ix));
    bool alone = false, doubt;
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(ix);
    ix->refs = 1;
    ix->state_fd = -1;
    ix->pid = getpid();
    ix->dir = strdup(dir);
    BDR_NOMEM_IF_NULL(ix->dir);
    BDR_TRY(index_state_open(dir, &ix->state_fd, &alone));
    if (fresh && !alone)
        BDR_FAIL(BDR_BUSY, 0, "another process is using the index; wait for it");
    if (fresh)
        BDR_TRY(index_wipe(dir));
    doubt = alone && !index_is_clean(dir, ix->state_fd);
    if (alone && ftruncate(ix->state_fd, 0))
        BDR_FAIL_ERRNO("writing %s/state", dir);
    err = index_open_once(ix, repo_id, doubt);
    if (err && alone && (err->code == BDR_CORRUPT || err->code == BDR_VERSION || err->code == BDR_INVAL)) {
        BDR_LOG(WARN, "index.thrown-away", F_STR("folder", dir), F_ERR(err));
        bdr_err_drop(err, "the packs say the same");
        BDR_TRY(index_wipe(dir));
        err = index_open_once(ix, repo_id, false);
    }
    BDR_TRY(err);
    if (alone && flock(ix->state_fd, LOCK_SH)) /* others may come in */
        BDR_FAIL_ERRNO("locking %s/state", dir);
    *out = BDR_STEAL(ix);
    return NULL;
}

struct bdr_err *bdr_index_open(const char *dir, const uint8_t repo_id[16], bool fresh, struct bdr_index **out)
{
    struct bdr_index *ix = NULL;
    struct bdr_err *err = NULL;
    BDR_AUTO(mem) char *file = NULL;
    struct stat st;

    BDR_TRY(bdr_os_mkdirs(dir));
    BDR_TRY(index_path(dir, "data.mdb", &file));
    pthread_mutex_lock(&index_lock);
    if (!stat(file, &st))
        for (ix = index_all; ix && !(ix->dev == st.st_dev && ix->ino == st.st_ino && ix->pid == getpid()); ix = ix->next)
            ;
    if (ix && fresh) {
        err = bdr_err_new(BDR_BUSY, 0, BDR_AT, "this process is using the index");
    } else if (ix) {
        ix->refs++;
    } else if (!(err = index_open(dir, repo_id, fresh, &ix))) {
        ix->next = index_all;
        index_all = ix;
    }
    pthread_mutex_unlock(&index_lock);
    if (err)
        return bdr_err_wrap(err, BDR_AT, "index folder %s", dir);
    *out = ix;
    return NULL;
}

void bdr_index_close(struct bdr_index *ix)
{
    if (!ix)
        return;
    pthread_mutex_lock(&index_lock);
    if (--ix->refs == 0) {
        for (struct bdr_index **p = &index_all; *p; p = &(*p)->next)
            if (*p == ix) {
                *p = ix->next;
                break;
            }
        index_free(ix);
    }
    pthread_mutex_unlock(&index_lock);
}
