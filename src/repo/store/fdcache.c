/* SPDX-License-Identifier: Apache-2.0 */
#include "fdcache.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#define SLOTS 64 /* random reads of a restored disk touch a few packs at a time; 64 is far below any limit of files */

struct bdr_fdcache_entry {
    int fd;
    unsigned refs; /* readers, plus one while it is in a slot */
    nlink_t links; /* when opened: fewer later means that the path now leads elsewhere */
    uint64_t hash, used;
    char path[];
};

struct bdr_fdcache {
    pthread_mutex_t lock; /* guards all below, and refs and used of every entry */
    uint64_t tick;
    struct bdr_fdcache_entry *slots[SLOTS];
};

/* FNV-1a; only spares comparing long strings. */
static uint64_t fdcache_hash(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3u;
    return h;
}

struct bdr_err *bdr_fdcache_new(struct bdr_fdcache **out)
{
    struct bdr_fdcache *cache = calloc(1, sizeof(*cache));

    BDR_NOMEM_IF_NULL(cache);
    pthread_mutex_init(&cache->lock, NULL);
    *out = cache;
    return NULL;
}

static void fdcache_unref(struct bdr_fdcache *cache, struct bdr_fdcache_entry *entry)
{
    bool last;

    if (!entry)
        return;
    pthread_mutex_lock(&cache->lock);
    last = --entry->refs == 0;
    pthread_mutex_unlock(&cache->lock);
    if (last) {
        close(entry->fd);
        free(entry);
    }
}

void bdr_fdcache_free(struct bdr_fdcache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        fdcache_unref(cache, cache->slots[i]);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* Takes a reference to the entry of `path` if there is one. */
static struct bdr_fdcache_entry *fdcache_find(struct bdr_fdcache *cache, const char *path, uint64_t hash)
{
    struct bdr_fdcache_entry *found = NULL;

    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < SLOTS && !found; i++) {
        struct bdr_fdcache_entry *e = cache->slots[i];

        if (e && e->hash == hash && !strcmp(e->path, path)) {
            e->refs++;
            e->used = ++cache->tick;
            found = e;
        }
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

/* Puts an entry in the slot of an older one of that path, a free one, or the one used longest ago. */
static void fdcache_insert(struct bdr_fdcache *cache, struct bdr_fdcache_entry *entry)
{
    struct bdr_fdcache_entry *out;
    size_t slot = 0;

    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < SLOTS; i++) {
        const struct bdr_fdcache_entry *e = cache->slots[i], *best = cache->slots[slot];

        if (e && e->hash == entry->hash && !strcmp(e->path, entry->path)) {
            slot = i;
            break;
        }
        if (best && (!e || e->used < best->used))
            slot = i;
    }
    out = cache->slots[slot];
    entry->refs++;
    entry->used = ++cache->tick;
    cache->slots[slot] = entry;
    pthread_mutex_unlock(&cache->lock);
    fdcache_unref(cache, out);
}

void bdr_fdcache_drop(struct bdr_fdcache *cache, const char *path)
{
    struct bdr_fdcache_entry *out = NULL;
    uint64_t hash = fdcache_hash(path);

    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < SLOTS; i++) {
        struct bdr_fdcache_entry *e = cache->slots[i];

        if (e && e->hash == hash && !strcmp(e->path, path)) {
            out = e;
            cache->slots[i] = NULL;
        }
    }
    pthread_mutex_unlock(&cache->lock);
    fdcache_unref(cache, out);
}

static struct bdr_err *fdcache_open(struct bdr_fdcache *cache, const char *path, struct bdr_fdref *out)
{
    size_t len = strlen(path) + 1;
    BDR_AUTO(mem) struct bdr_fdcache_entry *entry = calloc(1, sizeof(*entry) + len);
    BDR_AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat sb;

    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", path);
    BDR_NOMEM_IF_NULL(entry);
    if (fstat(fd, &sb))
        BDR_FAIL_ERRNO("looking at %s", path);
    if (!S_ISREG(sb.st_mode))
        BDR_FAIL(BDR_NOTFOUND, 0, "%s is a folder, not an object", path);
    entry->fd = bdr_fd_steal(&fd);
    entry->refs = 1;
    entry->links = sb.st_nlink;
    entry->hash = fdcache_hash(path);
    memcpy(entry->path, path, len);
    fdcache_insert(cache, entry);
    *out = (struct bdr_fdref){.entry = entry, .fd = entry->fd, .size_bytes = (uint64_t)sb.st_size};
    entry = NULL;
    return NULL;
}

struct bdr_err *bdr_fdcache_get(struct bdr_fdcache *cache, const char *path, struct bdr_fdref *out)
{
    struct bdr_fdcache_entry *e = fdcache_find(cache, path, fdcache_hash(path));
    struct stat sb;

    if (!e)
        return fdcache_open(cache, path, out);
    if (!fstat(e->fd, &sb) && sb.st_nlink == e->links) {
        *out = (struct bdr_fdref){.entry = e, .fd = e->fd, .size_bytes = (uint64_t)sb.st_size};
        return NULL;
    }
    bdr_fdcache_drop(cache, path);
    fdcache_unref(cache, e);
    return fdcache_open(cache, path, out);
}

void bdr_fdcache_put(struct bdr_fdcache *cache, struct bdr_fdref *ref)
{
    fdcache_unref(cache, ref->entry);
    *ref = (struct bdr_fdref){.fd = -1};
}
