/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - the names in a mount: hosts, points, and what is in a point.
 *
 * Nodes are never freed before the tree, so a pointer stays good; a pruned point is only no longer listed. Inode
 * numbers are made from names, so they are the same in every mount of the repository.
 * Threads: all calls from any thread but new and free.
 */
#pragma once
#include "bdr/err.h"
#include "bdr/repo.h"
#include <pthread.h>

struct bdr_disk;
struct mount_tree;

enum mount_kind { MOUNT_ROOT, MOUNT_HOST, MOUNT_POINT, MOUNT_LATEST, MOUNT_INFO, MOUNT_DISK, MOUNT_PART };

/* The members up to `part_off` never change once a node is found (time_ms of a host does: hence atomic). */
struct mount_node {
    enum mount_kind kind;
    uint64_t ino;
    char *name;
    struct mount_node *parent;
    struct bdr_point_info point; /* POINT */
    _Atomic int64_t time_ms;
    uint32_t disk_index;
    uint64_t size_bytes;
    char *text;              /* INFO: the JSON */
    struct mount_node *disk; /* PART: the DISK it lies on; DISK: itself */
    uint64_t part_off;       /* PART: where it begins */
    /* Below: guarded by the tree's lock. */
    bool listed, expanded;
    uint64_t seen; /* number of the refresh that saw it */
    struct mount_node **children;
    size_t n_children, cap_children;
    struct mount_node *newest; /* HOST: what `latest` points to */
    struct bdr_disk *open;     /* DISK: while somebody has it open */
    unsigned opens;
};

/* `parts_reader`: as of mount_parts_read; borrowed. */
/* `only`: the one point that is shown, or NULL; borrowed. */
bdr_ret mount_tree_new(struct bdr_repo *repo, uint64_t cache_bytes, const char *parts_reader, const char *only,
                       struct mount_tree **out);
void mount_tree_free(struct mount_tree *tree);

/* NULL when no such number was ever given out. */
struct mount_node *mount_tree_by_ino(struct mount_tree *tree, uint64_t ino);
/* The child `name`; *out is NULL when there is none. Looks into the repository when it is not known yet. */
bdr_ret mount_tree_lookup(struct mount_tree *tree, struct mount_node *dir, const char *name, struct mount_node **out);
/* Makes sure that the children of `dir` are known. IO and NET errors may pass. */
bdr_ret mount_tree_fill(struct mount_tree *tree, struct mount_node *dir);
/* The first listed child at or after `index`; *index is then the place after it. NULL: no more. */
struct mount_node *mount_tree_child(struct mount_tree *tree, struct mount_node *dir, size_t *index);
/* Where `latest` of a host points; caller frees. */
char *mount_tree_latest(struct mount_tree *tree, struct mount_node *host);

/* The open disk of a DISK or PART node; each get is ended by a put. */
bdr_ret mount_tree_get_disk(struct mount_tree *tree, struct mount_node *file, struct bdr_disk **out);
void mount_tree_put_disk(struct mount_tree *tree, struct mount_node *file);

/* Pure: a host's name as a file name, never "", ".", "..", nor with '/'. */
void mount_safe_name(const char *host, char *out, size_t n);

BDR_AUTO_DEFINE(mount_tree, struct mount_tree *, mount_tree_free)
