/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexcheck.c - is an LMDB file whole? LMDB trusts its pages: a flipped bit in one ends the program or the answer.
 *
 * Walks every page that the newest meta page leads to, with pread and bounds on everything, before LMDB maps the file.
 * Knows what our index uses of the format: no MDB_DUPFIXED, no nested names, a 64-bit machine's own byte order.
 * Source: the structures MDB_meta, MDB_db, MDB_page, MDB_node of LMDB 0.9's mdb.c.
 */
#include "indexcheck.h"
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define LMDB_MAGIC 0xBEEFC0DEu
#define LMDB_VERSION 1
#define PAGE_HEADER 16
#define NODE_HEADER 8
#define DB_BYTES 48
#define KEY_MAX 511
#define DEPTH_MAX 32 /* LMDB's CURSOR_STACK */
#define NO_PAGE UINT64_MAX

enum { P_BRANCH = 1, P_LEAF = 2, P_OVERFLOW = 4, P_META = 8, P_DIRTY = 0x10, P_SUBP = 0x40, P_KEEP = 0x8000 };
enum { F_BIGDATA = 1, F_SUBDATA = 2, F_DUPDATA = 4 };
enum { DB_INTEGERKEY = 0x08, DB_DUPSORT = 0x04 };

struct lmdb_db {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};
_Static_assert(sizeof(struct lmdb_db) == DB_BYTES, "as on disk");
struct lmdb_meta {
    uint32_t magic, version;
    uint64_t address, mapsize;
    struct lmdb_db db[2]; /* free pages, names */
    uint64_t last_page, txn;
};
struct lmdb_node {
    uint16_t lo, hi, flags, ksize;
};

struct check {
    int fd;
    const char *file;
    uint32_t page_bytes;
    uint64_t last_page;
    uint8_t *used, *freed; /* owned; a bit a page */
};
static void check_free(struct check *c)
{
    free(c->used);
    free(c->freed);
}

/* One walk of one tree. */
struct tree {
    struct check *c;
    struct lmdb_db db;
    bool is_free, is_names;
    uint8_t prev[KEY_MAX + 1]; /* last key of the walk so far */
    size_t prev_len;           /* SIZE_MAX: none yet */
    bool equal_ok;             /* prev is a branch's: the first row behind it may be the same */
    uint64_t branches, leaves, overflows, entries;
};

#define BAD(...) BDR_FAIL(BDR_CORRUPT, 0, __VA_ARGS__)

static struct bdr_err *check_page(const struct check *c, uint64_t no, uint8_t *page)
{
    return bdr_os_pread(c->fd, c->file, page, c->page_bytes, no * c->page_bytes);
}

static struct bdr_err *check_claim(struct check *c, uint8_t *bits, uint64_t no)
{
    if (no < 2 || no > c->last_page)
        BAD("page %llu is outside the file", (unsigned long long)no);
    if (bits[no / 8] >> (no % 8) & 1)
        BAD("page %llu is used twice", (unsigned long long)no);
    bits[no / 8] |= (uint8_t)(1u << (no % 8));
    return NULL;
}

static int key_cmp(const struct tree *t, const uint8_t *a, size_t an, const uint8_t *b, size_t bn)
{
    int rc;

    if (t->is_free) {
        uint64_t x = 0, y = 0;

        memcpy(&x, a, BDR_MIN(an, sizeof(x)));
        memcpy(&y, b, BDR_MIN(bn, sizeof(y)));
        return x < y ? -1 : x > y;
    }
    rc = memcmp(a, b, BDR_MIN(an, bn));
    return rc ? rc : an < bn ? -1 : an > bn;
}

static struct bdr_err *tree_walk(struct check *c, const struct lmdb_db *db, bool is_free, bool is_names,
                                 uint16_t want_flags);

/* The page numbers that one row of the free list names. */
static struct bdr_err *tree_freed(struct tree *t, const uint8_t *list, size_t len)
{
    uint64_t n, no;

    if (len < 8)
        BAD("a row of the free list is cut short");
    memcpy(&n, list, 8);
    if (n > len / 8 - 1)
        BAD("a row of the free list is cut short");
    for (uint64_t i = 1; i <= n; i++) {
        memcpy(&no, list + i * 8, 8);
        BDR_TRY(check_claim(t->c, t->c->freed, no));
    }
    return NULL;
}

/* A value that has pages of its own. */
static struct bdr_err *tree_overflow(struct tree *t, const uint8_t *ref, uint32_t len)
{
    struct check *c = t->c;
    uint64_t no, n = ((uint64_t)len + PAGE_HEADER + c->page_bytes - 1) / c->page_bytes, got;
    BDR_AUTO(mem) uint8_t *data = NULL;
    uint16_t flags;
    uint32_t pages;

    memcpy(&no, ref, 8);
    for (uint64_t i = 0; i < n; i++)
        BDR_TRY(check_claim(c, c->used, no + i));
    data = calloc((size_t)n, c->page_bytes);
    BDR_NOMEM_IF_NULL(data);
    BDR_TRY(bdr_os_pread(c->fd, c->file, data, (size_t)(n * c->page_bytes), no * c->page_bytes));
    memcpy(&got, data, 8);
    memcpy(&flags, data + 10, 2);
    memcpy(&pages, data + 12, 4);
    if (got != no || (flags & ~(P_DIRTY | P_KEEP)) != P_OVERFLOW || pages != n)
        BAD("page %llu is not the value it should be", (unsigned long long)no);
    t->overflows += n;
    return t->is_free ? tree_freed(t, data + PAGE_HEADER, len) : NULL;
}

/* Several values of one key, in a small page inside the row. */
static struct bdr_err *tree_subpage(struct tree *t, const uint8_t *page, uint32_t len)
{
    struct tree sub = {.c = t->c, .prev_len = SIZE_MAX};
    uint16_t flags, lower, upper;

    if (len < PAGE_HEADER)
        BAD("a row's values are cut short");
    memcpy(&flags, page + 10, 2);
    memcpy(&lower, page + 12, 2);
    memcpy(&upper, page + 14, 2);
    if ((flags & ~P_DIRTY) != (P_LEAF | P_SUBP) || lower < PAGE_HEADER + 2 || lower > upper || upper > len || lower % 2)
        BAD("a row's values make no sense");
    for (uint16_t at = PAGE_HEADER; at < lower; at += 2) {
        struct lmdb_node n;
        uint16_t off;

        memcpy(&off, page + at, 2);
        if (off < upper || off + (uint32_t)NODE_HEADER > len)
            BAD("a row's values make no sense");
        memcpy(&n, page + off, sizeof(n));
        if (n.flags || n.lo || n.hi || off + (uint32_t)NODE_HEADER + n.ksize > len || n.ksize > KEY_MAX)
            BAD("a row's values make no sense");
        if (sub.prev_len != SIZE_MAX && key_cmp(&sub, sub.prev, sub.prev_len, page + off + NODE_HEADER, n.ksize) >= 0)
            BAD("a row's values are out of order");
        memcpy(sub.prev, page + off + NODE_HEADER, n.ksize);
        sub.prev_len = n.ksize;
        t->entries++;
    }
    return NULL;
}

/* The value of one leaf row; node lies within the page. */
static struct bdr_err *tree_value(struct tree *t, const struct lmdb_node *n, const uint8_t *key, const uint8_t *value,
                                  uint32_t len)
{
    struct lmdb_db db;

    if (n->flags & F_BIGDATA)
        return tree_overflow(t, value, len);
    if (t->is_names) {
        bool blocks = n->ksize == 6 && !memcmp(key, "blocks", 6);

        if (n->flags != F_SUBDATA || len != DB_BYTES)
            BAD("a table of the index is not a table");
        memcpy(&db, value, sizeof(db));
        return tree_walk(t->c, &db, false, false, blocks ? DB_DUPSORT : 0);
    }
    if (n->flags && !(t->db.flags & DB_DUPSORT))
        BAD("a row has values of a kind that its table lacks");
    if (n->flags == F_DUPDATA)
        return tree_subpage(t, value, len);
    if (n->flags == (F_DUPDATA | F_SUBDATA)) {
        if (len != DB_BYTES)
            BAD("a row's values make no sense");
        memcpy(&db, value, sizeof(db));
        t->entries += db.entries;
        return tree_walk(t->c, &db, false, false, 0);
    }
    if (n->flags)
        BAD("a row has flags %u", n->flags);
    t->entries++;
    return t->is_free ? tree_freed(t, value, len) : NULL;
}

static struct bdr_err *tree_leaf(struct tree *t, const uint8_t *page, uint16_t lower, uint16_t upper)
{
    for (uint16_t at = PAGE_HEADER; at < lower; at += 2) {
        struct lmdb_node n;
        const uint8_t *key;
        uint32_t len, room;
        uint16_t off;

        memcpy(&off, page + at, 2);
        if (off < upper || off + (uint32_t)NODE_HEADER > t->c->page_bytes)
            BAD("a row lies outside its page");
        memcpy(&n, page + off, sizeof(n));
        len = n.lo | (uint32_t)n.hi << 16;
        room = t->c->page_bytes - off - NODE_HEADER;
        if (n.ksize == 0 || n.ksize > KEY_MAX || n.ksize > room || (n.flags & F_BIGDATA ? 8 : len) > room - n.ksize ||
            (t->is_free && n.ksize != 8))
            BAD("a row lies outside its page");
        key = page + off + NODE_HEADER;
        if (t->prev_len != SIZE_MAX && key_cmp(t, t->prev, t->prev_len, key, n.ksize) >= (t->equal_ok ? 1 : 0))
            BAD("rows are out of order");
        t->equal_ok = false;
        memcpy(t->prev, key, n.ksize);
        t->prev_len = n.ksize;
        t->entries += t->is_names;
        BDR_TRY(tree_value(t, &n, key, key + n.ksize, len));
    }
    return NULL;
}

static struct bdr_err *tree_page(struct tree *t, uint64_t no, unsigned depth);

static struct bdr_err *tree_branch(struct tree *t, const uint8_t *page, uint16_t lower, uint16_t upper, unsigned depth)
{
    if (lower < PAGE_HEADER + 4)
        BAD("a branch leads to less than two pages");
    for (uint16_t at = PAGE_HEADER; at < lower; at += 2) {
        const uint8_t *key;
        struct lmdb_node n;
        uint16_t off;

        memcpy(&off, page + at, 2);
        if (off < upper || off + (uint32_t)NODE_HEADER > t->c->page_bytes)
            BAD("a branch lies outside its page");
        memcpy(&n, page + off, sizeof(n));
        if (n.ksize > KEY_MAX || off + (uint32_t)NODE_HEADER + n.ksize > t->c->page_bytes)
            BAD("a branch lies outside its page");
        key = page + off + NODE_HEADER;
        if (at > PAGE_HEADER) { /* the first key of a branch page is never looked at */
            if (key_cmp(t, t->prev, t->prev_len, key, n.ksize) >= 0)
                BAD("branches are out of order");
            memcpy(t->prev, key, n.ksize);
            t->prev_len = n.ksize;
            t->equal_ok = true;
        }
        BDR_TRY(tree_page(t, n.lo | (uint64_t)n.hi << 16 | (uint64_t)n.flags << 32, depth + 1));
    }
    return NULL;
}

static struct bdr_err *tree_page(struct tree *t, uint64_t no, unsigned depth)
{
    BDR_AUTO(mem) uint8_t *page = malloc(t->c->page_bytes);
    uint16_t flags, lower, upper;
    uint64_t got;

    BDR_NOMEM_IF_NULL(page);
    if (depth > DEPTH_MAX || depth > t->db.depth)
        BAD("the tree is deeper than it says");
    BDR_TRY(check_claim(t->c, t->c->used, no));
    BDR_TRY(check_page(t->c, no, page));
    memcpy(&got, page, 8);
    memcpy(&flags, page + 10, 2);
    memcpy(&lower, page + 12, 2);
    memcpy(&upper, page + 14, 2);
    flags &= (uint16_t)~(P_DIRTY | P_KEEP);
    if (got != no || (flags != P_LEAF && flags != P_BRANCH) || (flags == P_LEAF) != (depth == t->db.depth) ||
        lower < PAGE_HEADER + 2 || lower > upper || upper > t->c->page_bytes || lower % 2)
        BAD("page %llu makes no sense", (unsigned long long)no);
    if (flags == P_BRANCH) {
        t->branches++;
        return tree_branch(t, page, lower, upper, depth);
    }
    t->leaves++;
    return tree_leaf(t, page, lower, upper);
}

static struct bdr_err *tree_walk(struct check *c, const struct lmdb_db *db, bool is_free, bool is_names,
                                 uint16_t want_flags)
{
    BDR_AUTO(mem) struct tree *t = calloc(1, sizeof(*t));

    BDR_NOMEM_IF_NULL(t);
    *t = (struct tree){.c = c, .db = *db, .is_free = is_free, .is_names = is_names, .prev_len = SIZE_MAX};
    if (db->flags != want_flags)
        BAD("a table has flags %u instead of %u", db->flags, want_flags);
    if (db->root == NO_PAGE) {
        if (db->depth || db->entries)
            BAD("a table that has rows has no pages");
        return NULL;
    }
    BDR_TRY(tree_page(t, db->root, 1));
    if (t->branches != db->branch_pages || t->leaves != db->leaf_pages || t->overflows != db->overflow_pages ||
        t->entries != db->entries)
        BAD("a table has %llu rows, it should have %llu", (unsigned long long)t->entries, (unsigned long long)db->entries);
    return NULL;
}

/* The newer of the two meta pages, by the rule LMDB follows. */
static struct bdr_err *check_meta(struct check *c, uint64_t size, struct lmdb_meta *out)
{
    struct lmdb_meta meta[2];
    uint8_t page[PAGE_HEADER + sizeof(*out)];

    for (unsigned i = 0; i < 2; i++) {
        uint16_t flags;

        if (size < (uint64_t)i * c->page_bytes + sizeof(page))
            BAD("the file is cut short");
        BDR_TRY(bdr_os_pread(c->fd, c->file, page, sizeof(page), (uint64_t)i * c->page_bytes));
        memcpy(&flags, page + 10, 2);
        memcpy(&meta[i], page + PAGE_HEADER, sizeof(meta[i]));
        if (!i)
            c->page_bytes = meta[0].db[0].pad;
        if (!(flags & P_META) || meta[i].magic != LMDB_MAGIC || meta[i].version != LMDB_VERSION ||
            meta[i].db[0].pad != c->page_bytes || c->page_bytes < 512 || c->page_bytes > 65536 ||
            (c->page_bytes & (c->page_bytes - 1)))
            BAD("the file does not begin like an index");
    }
    *out = meta[meta[1].txn > meta[0].txn];
    if (out->last_page < 1 || out->last_page >= size / c->page_bytes)
        BAD("the file is cut short");
    return NULL;
}

struct bdr_err *bdr_index_check(const char *file)
{
    __attribute__((cleanup(check_free))) struct check c = {.file = file, .page_bytes = 512};
    BDR_AUTO(fd) int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct lmdb_meta meta;
    struct stat st;

    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", file);
    if (fstat(fd, &st))
        BDR_FAIL_ERRNO("looking at %s", file);
    if (st.st_size == 0)
        return NULL; /* LMDB was ended before its first byte */
    if (sizeof(size_t) != 8)
        BAD("indexes of this machine's word size are not checked but made again");
    c.fd = fd;
    BDR_TRY(check_meta(&c, (uint64_t)st.st_size, &meta));
    c.last_page = meta.last_page;
    c.used = calloc(1, c.last_page / 8 + 1);
    c.freed = calloc(1, c.last_page / 8 + 1);
    if (!c.used || !c.freed)
        BDR_FAIL(BDR_NOMEM, 0, "checking the index");
    BDR_TRY(tree_walk(&c, &meta.db[0], true, false, DB_INTEGERKEY));
    BDR_TRY(tree_walk(&c, &meta.db[1], false, true, 0));
    for (uint64_t i = 0; i <= c.last_page / 8; i++)
        if (c.used[i] & c.freed[i])
            BAD("a page is both used and free");
    return NULL;
}
