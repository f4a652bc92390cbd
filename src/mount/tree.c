/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"
#include "bdr/clock.h"
#include "bdr/disk.h"
#include "bdr/log.h"
#include "info.h"
#include "parts.h"
#include <stdio.h>
#include <string.h>

#define TREE_REFRESH_MS 2000 /* how soon a new point is seen */
#define TREE_ROOT_INO   1    /* FUSE_ROOT_ID */

struct mount_tree {
    struct bdr_repo *repo;
    uint64_t cache_bytes;
    const char *parts_reader, *only; /* borrowed; or NULL */
    pthread_mutex_t refresh_lock; /* taken first; one refresh at a time, held over its I/O as that is what it is for */
    uint64_t refreshed_ms;        /* guarded by refresh_lock; 0: never */
    pthread_mutex_t lock;         /* guards all below and the nodes' changing members */
    struct mount_node **slots;    /* open addressing by inode number */
    size_t n_slots, n_nodes;
    uint64_t refresh;
    struct mount_node *root;
};

void mount_safe_name(const char *host, char *out, size_t n)
{
    size_t k = 0;

    for (; *host && k + 1 < n; host++)
        out[k++] = *host == '/' || (unsigned char)*host < 0x20 ? '_' : *host;
    out[k] = 0;
    if (!k || !strcmp(out, ".") || !strcmp(out, ".."))
        snprintf(out, n, "_");
}

/* FNV-1a over the parent's number and the name. */
static uint64_t tree_hash(uint64_t parent, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (int i = 0; i < 8; i++)
        h = (h ^ (parent >> (8 * i) & 0xff)) * 0x100000001b3u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    h &= INT64_MAX; /* some programs keep inode numbers in signed integers */
    return h > TREE_ROOT_INO ? h : h + 2;
}

static struct mount_node *tree_slot(struct mount_tree *tree, uint64_t ino, size_t *out_at)
{
    size_t at = (size_t)(ino * 0x9e3779b97f4a7c15u >> 20) % tree->n_slots;

    while (tree->slots[at] && tree->slots[at]->ino != ino)
        at = (at + 1) % tree->n_slots;
    if (out_at)
        *out_at = at;
    return tree->slots[at];
}

static bool tree_grow(struct mount_tree *tree)
{
    struct mount_node **old = tree->slots;
    size_t n = tree->n_slots;

    if (tree->n_nodes * 2 < n)
        return true;
    tree->slots = calloc(n * 2, sizeof(*old));
    if (!tree->slots) {
        tree->slots = old;
        return false;
    }
    tree->n_slots = n * 2;
    for (size_t i = 0; i < n; i++)
        if (old[i]) {
            size_t at;

            tree_slot(tree, old[i]->ino, &at);
            tree->slots[at] = old[i];
        }
    free(old);
    return true;
}

static void node_free(struct mount_node *node)
{
    bdr_disk_close(node->open);
    free(node->children);
    free(node->name);
    free(node->text);
    free(node);
}

/* Held: lock. Numbers that collide move to the next one; whoever was first keeps it for this mount. */
static struct mount_node *tree_find(struct mount_tree *tree, const struct mount_node *dir, const char *name,
                                    uint64_t *out_ino)
{
    uint64_t ino = tree_hash(dir->ino, name);
    struct mount_node *node;

    while ((node = tree_slot(tree, ino, NULL)) && (node->parent != dir || strcmp(node->name, name)))
        ino++;
    if (out_ino)
        *out_ino = ino;
    return node;
}

/* Held: lock. Finds or makes a child; NULL when memory ends. */
static struct mount_node *tree_add(struct mount_tree *tree, struct mount_node *dir, enum mount_kind kind,
                                   const char *name)
{
    uint64_t ino;
    struct mount_node *node = tree_find(tree, dir, name, &ino);
    size_t at;

    if (node) {
        node->listed = true;
        return node;
    }
    if (!tree_grow(tree))
        return NULL;
    if (dir->n_children == dir->cap_children) {
        size_t cap = dir->cap_children ? dir->cap_children * 2 : 8;
        struct mount_node **more = reallocarray(dir->children, cap, sizeof(struct mount_node *));

        if (!more)
            return NULL;
        dir->children = more;
        dir->cap_children = cap;
    }
    node = calloc(1, sizeof(*node));
    if (!node)
        return NULL;
    *node = (struct mount_node){.kind = kind, .ino = ino, .parent = dir, .listed = true, .time_ms = dir->time_ms};
    node->name = strdup(name);
    if (!node->name) {
        free(node);
        return NULL;
    }
    tree_slot(tree, ino, &at);
    tree->slots[at] = node;
    tree->n_nodes++;
    dir->children[dir->n_children++] = node;
    return node;
}

struct bdr_err *mount_tree_new(struct bdr_repo *repo, uint64_t cache_bytes, const char *parts_reader,
                               const char *only, struct mount_tree **out)
{
    BDR_AUTO(mount_tree) struct mount_tree *tree = calloc(1, sizeof(*tree));
    size_t at;

    BDR_NOMEM_IF_NULL(tree);
    pthread_mutex_init(&tree->lock, NULL);
    pthread_mutex_init(&tree->refresh_lock, NULL);
    tree->repo = repo;
    tree->cache_bytes = cache_bytes;
    tree->parts_reader = parts_reader;
    tree->only = only;
    tree->n_slots = 256;
    tree->slots = calloc(tree->n_slots, sizeof(struct mount_node *));
    BDR_NOMEM_IF_NULL(tree->slots);
    tree->root = calloc(1, sizeof(*tree->root));
    BDR_NOMEM_IF_NULL(tree->root);
    *tree->root =
        (struct mount_node){.kind = MOUNT_ROOT, .ino = TREE_ROOT_INO, .listed = true, .time_ms = bdr_clock_wall_ms()};
    tree_slot(tree, TREE_ROOT_INO, &at);
    tree->slots[at] = tree->root;
    tree->n_nodes = 1;
    *out = BDR_STEAL(tree);
    return NULL;
}

void mount_tree_free(struct mount_tree *tree)
{
    for (size_t i = 0; tree->slots && i < tree->n_slots; i++)
        if (tree->slots[i])
            node_free(tree->slots[i]);
    free(tree->slots);
    pthread_mutex_destroy(&tree->lock);
    pthread_mutex_destroy(&tree->refresh_lock);
    free(tree);
}

struct mount_node *mount_tree_by_ino(struct mount_tree *tree, uint64_t ino)
{
    struct mount_node *node;

    pthread_mutex_lock(&tree->lock);
    node = tree_slot(tree, ino, NULL);
    pthread_mutex_unlock(&tree->lock);
    return node;
}

/* Held: lock. */
static bool tree_take_point(struct mount_tree *tree, const struct bdr_point_info *p)
{
    char host_name[sizeof(p->host)], time[24], name[64];
    struct mount_node *host, *point;

    mount_safe_name(p->host, host_name, sizeof(host_name));
    host = tree_add(tree, tree->root, MOUNT_HOST, host_name);
    if (!host || !tree_add(tree, host, MOUNT_LATEST, "latest"))
        return false;
    snprintf(name, sizeof(name), "%s-%.8s", bdr_clock_text(p->time_ms, time), p->id);
    point = tree_find(tree, host, name, NULL);
    if (point && strcmp(point->point.id, p->id)) /* same second, same first digits: the whole id then */
        snprintf(name, sizeof(name), "%s-%.32s", time, p->id);
    point = tree_add(tree, host, MOUNT_POINT, name);
    if (!point)
        return false;
    if (!point->seen) {
        point->point = *p;
        point->time_ms = p->time_ms;
    }
    if (host->seen != tree->refresh || !host->newest || host->newest->time_ms <= p->time_ms)
        host->newest = point;
    host->time_ms = host->newest->time_ms;
    point->seen = host->seen = tree->refresh;
    return true;
}

/* Held: lock. What the last refresh did not see is gone. */
static void tree_unlist(struct mount_tree *tree)
{
    for (size_t i = 0; i < tree->root->n_children; i++) {
        struct mount_node *host = tree->root->children[i];

        host->listed = host->seen == tree->refresh;
        for (size_t k = 0; k < host->n_children; k++)
            if (host->children[k]->kind == MOUNT_POINT)
                host->children[k]->listed = host->children[k]->seen == tree->refresh;
    }
}

static struct bdr_err *tree_refresh(struct mount_tree *tree)
{
    BDR_AUTO(mem) struct bdr_point_info *points = NULL;
    struct bdr_err *err = NULL;
    bool fits = true;
    size_t n = 0;

    pthread_mutex_lock(&tree->refresh_lock);
    if (!tree->refreshed_ms || bdr_clock_mono_ms() - tree->refreshed_ms >= TREE_REFRESH_MS) {
        err = bdr_repo_points(tree->repo, &points, &n);
        if (!err) {
            pthread_mutex_lock(&tree->lock);
            tree->refresh++;
            for (size_t i = 0; i < n && fits; i++)
                if (!tree->only || !strcmp(tree->only, points[i].id))
                    fits = tree_take_point(tree, &points[i]);
            if (fits)
                tree_unlist(tree);
            pthread_mutex_unlock(&tree->lock);
            tree->refreshed_ms = bdr_clock_mono_ms();
        }
    }
    pthread_mutex_unlock(&tree->refresh_lock);
    BDR_TRY_FOR(err, "listing the recovery points");
    if (!fits)
        BDR_NOMEM_IF_NULL(NULL);
    return NULL;
}

/* Held: lock. Files of one disk. */
static bool tree_add_disk(struct mount_tree *tree, struct mount_node *point, const struct mount_disk_info *d)
{
    char name[48];
    struct mount_node *disk, *part;

    snprintf(name, sizeof(name), "disk%u.raw", d->index);
    disk = tree_add(tree, point, MOUNT_DISK, name);
    if (!disk)
        return false;
    disk->disk = disk;
    disk->disk_index = d->index;
    disk->size_bytes = d->size_bytes;
    for (size_t i = 0; i < d->n_parts; i++) {
        snprintf(name, sizeof(name), "disk%u.p%u", d->index, d->parts[i].number);
        part = tree_add(tree, point, MOUNT_PART, name);
        if (!part)
            return false;
        part->disk = disk;
        part->part_off = d->parts[i].off;
        part->size_bytes = d->parts[i].len;
    }
    return true;
}

/* Looks into the disks of a point. Damage of one leaves the others; a network that is away is an error. */
static struct bdr_err *tree_look(struct mount_tree *tree, const struct mount_node *point, struct mount_disk_info *disks)
{
    for (uint32_t i = 0; i < point->point.disks; i++) {
        struct mount_disk_info *d = &disks[i];
        BDR_AUTO(disk) struct bdr_disk *disk = NULL;
        struct bdr_disk_options opt = {.cache_bytes = 4u << 20};
        struct bdr_err *err = bdr_disk_open(tree->repo, point->point.id, i, &opt, &disk);

        d->index = i;
        if (!err) {
            d->readable = true;
            d->size_bytes = bdr_disk_size(disk);
            d->sector_bytes = bdr_disk_sector_bytes(disk);
            err = mount_parts_read(disk, tree->parts_reader, &d->parts, &d->n_parts);
        }
        if (err && bdr_code_retryable(err->code))
            return bdr_err_wrap(err, BDR_AT, "looking into disk %u of point %s", i, point->point.id);
        if (err) {
            BDR_LOG(WARN, "mount.disk", F_STR("point", point->point.id), F_U64("disk", i), F_ERR(err));
            bdr_err_text(err, d->error, sizeof(d->error));
            bdr_err_drop(err, "told in the log and in point.json");
        }
    }
    return NULL;
}

static struct bdr_err *tree_expand(struct mount_tree *tree, struct mount_node *point)
{
    BDR_AUTO(mem) struct mount_disk_info *disks = calloc((size_t)point->point.disks + 1, sizeof(*disks));
    BDR_AUTO(mem) char *text = NULL;
    struct mount_node *info = NULL;
    struct bdr_err *err;
    bool fits = true;

    BDR_NOMEM_IF_NULL(disks);
    err = tree_look(tree, point, disks);
    if (!err)
        err = mount_info_json(&point->point, disks, point->point.disks, &text);
    if (!err) {
        pthread_mutex_lock(&tree->lock);
        if (!point->expanded) { /* else another thread was faster and added the same */
            for (uint32_t i = 0; i < point->point.disks && fits; i++)
                fits = !disks[i].readable || tree_add_disk(tree, point, &disks[i]);
            info = fits ? tree_add(tree, point, MOUNT_INFO, "point.json") : NULL;
            fits = info != NULL;
            if (info && !info->text) {
                info->size_bytes = strlen(text);
                info->text = BDR_STEAL(text);
            }
            point->expanded = fits;
        }
        pthread_mutex_unlock(&tree->lock);
    }
    for (uint32_t i = 0; i < point->point.disks; i++)
        free(disks[i].parts);
    BDR_TRY(err);
    if (!fits)
        BDR_NOMEM_IF_NULL(NULL);
    return NULL;
}

struct bdr_err *mount_tree_fill(struct mount_tree *tree, struct mount_node *dir)
{
    bool known;

    if (dir->kind == MOUNT_ROOT || dir->kind == MOUNT_HOST)
        return tree_refresh(tree);
    if (dir->kind != MOUNT_POINT)
        return NULL;
    pthread_mutex_lock(&tree->lock);
    known = dir->expanded;
    pthread_mutex_unlock(&tree->lock);
    return known ? NULL : tree_expand(tree, dir);
}

static struct mount_node *tree_peek(struct mount_tree *tree, struct mount_node *dir, const char *name)
{
    struct mount_node *node;

    pthread_mutex_lock(&tree->lock);
    /* A point's files appear together: half of them is none. */
    node = dir->kind == MOUNT_POINT && !dir->expanded ? NULL : tree_find(tree, dir, name, NULL);
    if (node && !node->listed)
        node = NULL;
    pthread_mutex_unlock(&tree->lock);
    return node;
}

struct bdr_err *mount_tree_lookup(struct mount_tree *tree, struct mount_node *dir, const char *name,
                                  struct mount_node **out)
{
    struct mount_node *node = tree_peek(tree, dir, name);

    if (!node) {
        BDR_TRY(mount_tree_fill(tree, dir));
        node = tree_peek(tree, dir, name);
    }
    *out = node;
    return NULL;
}

struct mount_node *mount_tree_child(struct mount_tree *tree, struct mount_node *dir, size_t *index)
{
    struct mount_node *node = NULL;

    pthread_mutex_lock(&tree->lock);
    while (!node && *index < dir->n_children) {
        node = dir->children[(*index)++];
        if (!node->listed)
            node = NULL;
    }
    pthread_mutex_unlock(&tree->lock);
    return node;
}

char *mount_tree_latest(struct mount_tree *tree, struct mount_node *host)
{
    char *name;

    pthread_mutex_lock(&tree->lock);
    name = strdup(host->newest ? host->newest->name : ".");
    pthread_mutex_unlock(&tree->lock);
    return name;
}

/* An open disk with one user more, or NULL. `spare` becomes it when there is none. */
static struct bdr_disk *tree_share_disk(struct mount_tree *tree, struct mount_node *node, struct bdr_disk **spare)
{
    struct bdr_disk *disk;

    pthread_mutex_lock(&tree->lock);
    if (!node->open && spare)
        node->open = BDR_STEAL(*spare);
    disk = node->open;
    if (disk)
        node->opens++;
    pthread_mutex_unlock(&tree->lock);
    return disk;
}

struct bdr_err *mount_tree_get_disk(struct mount_tree *tree, struct mount_node *file, struct bdr_disk **out)
{
    struct mount_node *node = file->disk;
    struct bdr_disk_options opt = {.cache_bytes = tree->cache_bytes, .readahead = 8};
    BDR_AUTO(disk) struct bdr_disk *opened = NULL;
    struct bdr_disk *disk = tree_share_disk(tree, node, NULL);

    if (!disk) {
        BDR_TRY(bdr_disk_open(tree->repo, node->parent->point.id, node->disk_index, &opt, &opened));
        disk = tree_share_disk(tree, node, &opened);
    }
    *out = disk;
    return NULL;
}

void mount_tree_put_disk(struct mount_tree *tree, struct mount_node *file)
{
    struct mount_node *node = file->disk;
    struct bdr_disk *last = NULL;

    pthread_mutex_lock(&tree->lock);
    if (--node->opens == 0)
        last = BDR_STEAL(node->open);
    pthread_mutex_unlock(&tree->lock);
    bdr_disk_close(last);
}
