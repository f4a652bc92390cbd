/* SPDX-License-Identifier: Apache-2.0 */
#include "scan.h"
#include "bdr/bytes.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* docs/formats/scan-cache.md */
#define SCAN_PAGE     4096u
#define SCAN_BODY     4080u /* of a page; its tag follows */
#define SCAN_PER_PAGE 255u
#define SCAN_MARK     16u
#define SCAN_VERSION  1u
#define SCAN_NONCE_AT 24
#define SCAN_KEYS_AT  40
#define SCAN_WHAT_AT  104
#define SCAN_KEYS     64u
#define SCAN_NEW      ".new-"      /* then six letters */
#define SCAN_OLD_S    (90 * 86400) /* a file that nobody wrote for so long is of a disk that is gone */
#define SCAN_LEFT_S   86400        /* one that a killed writer left; no scan takes so long between two runs */

static const uint8_t scan_magic[8] = "BDRSCAN";

struct scan {
    char *dir, *path, *temp; /* owned */
    int old, fd;             /* old -1: nothing is known; fd: of temp */
    uint32_t block_bytes;
    uint64_t blocks, old_pages;
    uint8_t what[32];
    uint8_t old_nonce[16], nonce[16];
    uint8_t keys[SCAN_KEYS];        /* wiped; K1, K2 */
    atomic_bool distrusted, broken; /* broken: the new file misses something */
};

/* A thread's own. */
struct scan_hand {
    struct scan *s; /* borrowed */
    EVP_CIPHER_CTX *mark, *tag;
    uint64_t first;
    uint32_t count;
    uint8_t was[SCAN_RUN_MAX][SCAN_MARK], now[SCAN_RUN_MAX][SCAN_MARK];
    uint8_t page[SCAN_PAGE];
};

/* ---- GMAC ---- */

static EVP_CIPHER_CTX *gmac_new(const uint8_t key[32])
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (ctx && !EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, NULL)) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

struct gmac_part {
    const void *data;
    size_t len;
};

static bool gmac(EVP_CIPHER_CTX *ctx, const struct gmac_part *part, size_t n, uint8_t out[SCAN_MARK])
{
    static const uint8_t iv[12];
    int got = 0, ok = EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, iv);

    for (size_t i = 0; i < n; i++)
        ok = ok && EVP_EncryptUpdate(ctx, NULL, &got, part[i].data, (int)part[i].len);
    return ok && EVP_EncryptFinal_ex(ctx, out, &got) && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, SCAN_MARK, out);
}

static bool scan_mark(struct scan_hand *h, const void *data, size_t len, const struct bdr_id *id,
                      uint8_t out[SCAN_MARK])
{
    return gmac(h->mark, (const struct gmac_part[]){{data, len}, {id->b, sizeof(id->b)}}, 2, out);
}

static bool scan_tag(EVP_CIPHER_CTX *ctx, const uint8_t nonce[16], uint64_t number, const uint8_t *page,
                     uint8_t out[SCAN_MARK])
{
    uint8_t n[8];

    for (int i = 0; i < 8; i++)
        n[i] = (uint8_t)(number >> (8 * i));
    return gmac(ctx, (const struct gmac_part[]){{nonce, 16}, {n, sizeof(n)}, {page, SCAN_BODY}}, 3, out);
}

/* ---- the file ---- */

static void put_le(uint8_t *at, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static struct bdr_err *scan_names(struct scan *s, const struct scan_what *what)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    char hex[33];

    bdr_buf_put(&text, what->place, strlen(what->place) + 1);
    bdr_buf_put(&text, what->host, strlen(what->host) + 1);
    bdr_buf_put(&text, what->identity, strlen(what->identity) + 1);
    BDR_TRY(bdr_buf_check(&text));
    if (!EVP_Digest(text.data, text.len, s->what, NULL, EVP_sha256(), NULL))
        BDR_FAIL(BDR_NOMEM, 0, "hashing");
    s->dir = strdup(what->dir);
    BDR_NOMEM_IF_NULL(s->dir);
    bdr_hex(s->what, 16, hex);
    if (asprintf(&s->path, "%s/%s", s->dir, hex) < 0) {
        s->path = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    if (asprintf(&s->temp, "%s" SCAN_NEW "XXXXXX", s->path) < 0) {
        s->temp = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    return NULL;
}

/* Of disks that are gone, and of writers that were killed. */
static void scan_sweep(const struct scan *s)
{
    DIR *dir = opendir(s->dir);
    time_t now = time(NULL);
    struct dirent *e;

    while (dir && (e = readdir(dir))) {
        struct stat st;
        long most = strstr(e->d_name, SCAN_NEW) ? SCAN_LEFT_S : SCAN_OLD_S;

        if (e->d_name[0] != '.' && !fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) &&
            now - st.st_mtime > most)
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

/* Whether page 0 is what it must be; keys and nonce are taken from it then. */
static bool scan_header(struct scan *s, const uint8_t page[SCAN_PAGE])
{
    struct bdr_cur c = bdr_cur_of(page, SCAN_PAGE);
    const uint8_t *magic = bdr_cur_take(&c, sizeof(scan_magic));
    uint32_t version = bdr_cur_u32(&c), block_bytes = bdr_cur_u32(&c);
    uint8_t tag[SCAN_MARK];
    EVP_CIPHER_CTX *ctx;
    bool ok;

    if (memcmp(magic, scan_magic, sizeof(scan_magic)) != 0 || version != SCAN_VERSION ||
        block_bytes != s->block_bytes || memcmp(page + SCAN_WHAT_AT, s->what, sizeof(s->what)) != 0)
        return false;
    ctx = gmac_new(page + SCAN_KEYS_AT + 32);
    ok = ctx && scan_tag(ctx, page + SCAN_NONCE_AT, 0, page, tag) && !memcmp(tag, page + SCAN_BODY, SCAN_MARK);
    EVP_CIPHER_CTX_free(ctx);
    if (!ok)
        return false;
    memcpy(s->old_nonce, page + SCAN_NONCE_AT, sizeof(s->old_nonce));
    memcpy(s->keys, page + SCAN_KEYS_AT, SCAN_KEYS);
    return true;
}

/* s->old stays -1 when there is nothing to be believed. */
static void scan_open_old(struct scan *s)
{
    uint8_t page[SCAN_PAGE];
    struct bdr_err *err;
    struct stat st;
    int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) ||
        st.st_size < SCAN_PAGE) {
        close(fd);
        return;
    }
    err = bdr_os_pread(fd, s->path, page, sizeof(page), 0);
    if (!err && scan_header(s, page)) {
        s->old = fd;
        s->old_pages = (uint64_t)st.st_size / SCAN_PAGE - 1;
    } else {
        close(fd);
    }
    bdr_err_drop(err, "a cache that can't be read is none");
    bdr_wipe(page, sizeof(page));
}

static struct bdr_err *scan_begin(struct scan *s)
{
    uint8_t page[SCAN_PAGE] = {0};
    EVP_CIPHER_CTX *ctx;
    struct bdr_err *err;
    bool ok;

    BDR_TRY(bdr_os_random(s->nonce, sizeof(s->nonce)));
    if (s->old < 0)
        BDR_TRY(bdr_os_random(s->keys, sizeof(s->keys)));
    s->fd = mkostemp(s->temp, O_CLOEXEC);
    if (s->fd < 0)
        BDR_FAIL_ERRNO("making a file in %s", s->dir);
    memcpy(page, scan_magic, sizeof(scan_magic));
    put_le(page + 8, SCAN_VERSION, 4);
    put_le(page + 12, s->block_bytes, 4);
    put_le(page + 16, s->blocks, 8);
    memcpy(page + SCAN_NONCE_AT, s->nonce, sizeof(s->nonce));
    memcpy(page + SCAN_KEYS_AT, s->keys, SCAN_KEYS);
    memcpy(page + SCAN_WHAT_AT, s->what, sizeof(s->what));
    ctx = gmac_new(s->keys + 32);
    ok = ctx && scan_tag(ctx, s->nonce, 0, page, page + SCAN_BODY);
    EVP_CIPHER_CTX_free(ctx);
    err = ok ? bdr_os_pwrite(s->fd, s->temp, page, sizeof(page), 0) : bdr_err_new(BDR_NOMEM, 0, BDR_AT, "making a tag");
    bdr_wipe(page, sizeof(page));
    return err;
}

struct bdr_err *scan_open(const struct scan_what *what, struct scan **out)
{
    BDR_AUTO(scan) struct scan *s = calloc(1, sizeof(*s));

    BDR_NOMEM_IF_NULL(s);
    s->old = s->fd = -1;
    s->block_bytes = what->block_bytes;
    s->blocks = what->blocks;
    BDR_TRY(scan_names(s, what));
    BDR_TRY(bdr_os_mkdirs(s->dir));
    scan_sweep(s);
    if (what->believe)
        scan_open_old(s);
    BDR_TRY(scan_begin(s));
    *out = BDR_STEAL(s);
    return NULL;
}

void scan_free(struct scan *s)
{
    if (!s)
        return;
    if (s->old >= 0)
        close(s->old);
    if (s->fd >= 0) {
        close(s->fd);
        unlink(s->temp);
    }
    bdr_wipe(s->keys, sizeof(s->keys));
    free(s->dir);
    free(s->path);
    free(s->temp);
    free(s);
}

void scan_distrust(struct scan *s)
{
    if (atomic_exchange(&s->distrusted, true))
        return;
    if (unlink(s->path) && errno != ENOENT)
        BDR_LOG(ERROR, "backup.scan-cache-stays", F_STR("path", s->path), F_U64("errno", (uint64_t)errno));
}

/* Pages get their tags; holes stay holes. Not made durable: a page that a power cut spoils has a wrong tag. */
static struct bdr_err *scan_seal(struct scan *s, EVP_CIPHER_CTX *ctx)
{
    off_t at = SCAN_PAGE, end;

    while ((at = lseek(s->fd, at, SEEK_DATA)) >= 0) {
        end = lseek(s->fd, at, SEEK_HOLE);
        if (end < 0)
            BDR_FAIL_ERRNO("looking through %s", s->temp);
        for (uint64_t p = (uint64_t)at / SCAN_PAGE; p < ((uint64_t)end + SCAN_PAGE - 1) / SCAN_PAGE; p++) {
            uint8_t page[SCAN_PAGE];

            if (!p)
                continue;
            BDR_TRY(bdr_os_pread(s->fd, s->temp, page, SCAN_PAGE, p * SCAN_PAGE));
            if (bdr_all_zero(page, SCAN_PAGE))
                continue;
            if (!scan_tag(ctx, s->nonce, p, page, page + SCAN_BODY))
                BDR_FAIL(BDR_NOMEM, 0, "making a tag");
            BDR_TRY(bdr_os_pwrite(s->fd, s->temp, page + SCAN_BODY, SCAN_MARK, p * SCAN_PAGE + SCAN_BODY));
        }
        at = end;
    }
    if (errno != ENXIO)
        BDR_FAIL_ERRNO("looking through %s", s->temp);
    return NULL;
}

static struct bdr_err *scan_publish(struct scan *s)
{
    uint64_t pages = (s->blocks + SCAN_PER_PAGE - 1) / SCAN_PER_PAGE;
    EVP_CIPHER_CTX *ctx;
    struct bdr_err *err;

    if (ftruncate(s->fd, (off_t)((pages + 1) * SCAN_PAGE)))
        BDR_FAIL_ERRNO("sizing %s", s->temp);
    ctx = gmac_new(s->keys + 32);
    BDR_NOMEM_IF_NULL(ctx);
    err = scan_seal(s, ctx);
    EVP_CIPHER_CTX_free(ctx);
    BDR_TRY(err);
    if (rename(s->temp, s->path))
        BDR_FAIL_ERRNO("renaming %s", s->temp);
    close(s->fd);
    s->fd = -1;
    return NULL;
}

void scan_commit(struct scan *s)
{
    struct bdr_err *err;

    if (!s || atomic_load(&s->distrusted))
        return;
    err = atomic_load(&s->broken) ? bdr_err_new(BDR_IO, 0, BDR_AT, "it could not be written whole") : scan_publish(s);
    if (err)
        BDR_LOG(WARN, "backup.scan-cache", F_STR("path", s->path), F_ERR(err));
    bdr_err_drop(err, "the next scan hashes more");
}

/* ---- runs ---- */

struct bdr_err *scan_hand_new(struct scan *s, struct scan_hand **out)
{
    BDR_AUTO(scan_hand) struct scan_hand *h = calloc(1, sizeof(*h));

    BDR_NOMEM_IF_NULL(h);
    h->s = s;
    h->mark = gmac_new(s->keys);
    h->tag = gmac_new(s->keys + 32);
    if (!h->mark || !h->tag)
        BDR_FAIL(BDR_NOMEM, 0, "preparing fingerprints");
    *out = BDR_STEAL(h);
    return NULL;
}

void scan_hand_free(struct scan_hand *h)
{
    if (!h)
        return;
    EVP_CIPHER_CTX_free(h->mark);
    EVP_CIPHER_CTX_free(h->tag);
    free(h);
}

static void scan_fail(struct scan *s, struct bdr_err *err)
{
    if (err)
        atomic_store(&s->broken, true);
    bdr_err_drop(err, "the cache is not written this time");
}

/* Page p of the old file into h->page, when it may be believed. */
static bool scan_page(struct scan_hand *h, uint64_t p)
{
    struct scan *s = h->s;
    uint8_t tag[SCAN_MARK];
    struct bdr_err *err;

    if (p > s->old_pages)
        return false;
    err = bdr_os_pread(s->old, s->path, h->page, SCAN_PAGE, p * SCAN_PAGE);
    if (err) {
        bdr_err_drop(err, "what can't be read is not known");
        return false;
    }
    return scan_tag(h->tag, s->old_nonce, p, h->page, tag) && !memcmp(tag, h->page + SCAN_BODY, SCAN_MARK);
}

void scan_run(struct scan_hand *h, uint64_t first, uint32_t count)
{
    struct scan *s = h->s;
    uint32_t n;

    BDR_ASSERT(count <= SCAN_RUN_MAX);
    h->first = first;
    h->count = count;
    memset(h->was, 0, sizeof(h->was));
    memset(h->now, 0, sizeof(h->now));
    if (s->old < 0 || atomic_load(&s->distrusted))
        return;
    for (uint32_t i = 0; i < count; i += n) {
        uint64_t block = first + i;
        uint32_t at = (uint32_t)(block % SCAN_PER_PAGE);

        n = BDR_MIN(count - i, SCAN_PER_PAGE - at);
        if (scan_page(h, 1 + block / SCAN_PER_PAGE))
            memcpy(h->was[i], h->page + (size_t)at * SCAN_MARK, (size_t)n * SCAN_MARK);
    }
}

bool scan_same(struct scan_hand *h, uint64_t block, const void *data, size_t len, const struct bdr_id *id)
{
    size_t at = (size_t)(block - h->first);
    uint8_t mark[SCAN_MARK];

    BDR_ASSERT(at < h->count);
    if (bdr_all_zero(h->was[at], SCAN_MARK) || atomic_load(&h->s->distrusted))
        return false;
    if (!scan_mark(h, data, len, id, mark) || memcmp(mark, h->was[at], SCAN_MARK) != 0)
        return false;
    memcpy(h->now[at], mark, SCAN_MARK);
    return true;
}

void scan_note(struct scan_hand *h, uint64_t block, const void *data, size_t len, const struct bdr_id *id)
{
    size_t at = (size_t)(block - h->first);

    BDR_ASSERT(at < h->count);
    if (!scan_mark(h, data, len, id, h->now[at]))
        atomic_store(&h->s->broken, true);
}

void scan_run_end(struct scan_hand *h)
{
    struct scan *s = h->s;
    uint32_t n;

    for (uint32_t i = 0; i < h->count; i += n) {
        uint64_t block = h->first + i;
        uint32_t at = (uint32_t)(block % SCAN_PER_PAGE);

        n = BDR_MIN(h->count - i, SCAN_PER_PAGE - at);
        if (!bdr_all_zero(h->now[i], (size_t)n * SCAN_MARK) && !atomic_load(&s->broken))
            scan_fail(s, bdr_os_pwrite(s->fd, s->temp, h->now[i], (size_t)n * SCAN_MARK,
                                       (1 + block / SCAN_PER_PAGE) * SCAN_PAGE + (uint64_t)at * SCAN_MARK));
    }
}
