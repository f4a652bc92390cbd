/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform.h - the contract of a platform driver: the hosts of a vSphere, an OpenStack, a cloud, without an agent in
 * them.
 *
 * Lifecycle: open -> list* ; snapshot_begin -> source* -> (close the sources) -> snapshot_end ; close.
 * A snapshot is one moment of some disks of one host. Its disks are ordinary sources (source.h) that stand still, and
 * whose tokens tell later what changed since: since() with a token of an earlier snapshot makes extents(CHANGED) work,
 * or says STALE. Each driver passes tests/conform/platform. Callers use bdr_platform_*(), which check, count and keep
 * to the limits. Depends on: base, wire (arena), source.      Threads: any number of calls at once on one platform; a
 * snapshot is one thread's, its sources as source.h says.
 */
#pragma once
#include "bdr/arena.h"
#include "bdr/source.h"
#include <jansson.h>

struct bdr_platform_spec { /* borrowed for the call of open */
    const char *kind;      /* the driver's name: "vmware", "openstack", "aws", "fusioncompute", "oracle", "mem" */
    const char *endpoint, *username, *password, *user_domain, *project, *project_domain, *region, *tenancy, *key_print,
        *cert_print;
    const json_t *more;              /* what only this kind has */
    uint32_t timeout_ms;             /* of one request; 0: 600000 */
    const struct bdr_cancel *cancel; /* outlives the platform */
};
struct bdr_platform_disk {
    const char *ref, *name, *bus;
    uint64_t size_bytes;
    uint32_t sector_bytes;
    const char *reason; /* why it can't be protected, in words; NULL: it can */
};
struct bdr_platform_host {
    const char *ref;                      /* stays while the host lives, whatever it is called */
    const char *name, *addr, *os, *power; /* "on", "off" */
    const char *reason;                   /* as a whole */
    struct bdr_platform_disk *disks;
    size_t n_disks;
};
/* What the platform stands, declared; the functions below obey. 0: no limit. */
struct bdr_platform_limits {
    uint32_t snapshots;  /* open at once */
    uint32_t requests_s; /* of list and snapshots */
    uint32_t hosts_page; /* list gives at most so many at once */
};

struct bdr_platform;
struct bdr_platform_snapshot;
struct bdr_platform_driver {
    const char *name, *title;
    struct bdr_platform_limits limits;
    struct bdr_err *(*open)(const struct bdr_platform_spec *spec, struct bdr_platform **out);
    struct bdr_err *(*list)(struct bdr_platform *p, const char *cursor, struct bdr_arena *arena,
                            struct bdr_platform_host **out, size_t *out_n, const char **out_next);
    struct bdr_err *(*snapshot_begin)(struct bdr_platform *p, const char *host, const char *const *disks, size_t n,
                                      struct bdr_platform_snapshot **out);
    struct bdr_err *(*source)(struct bdr_platform_snapshot *s, size_t disk, struct bdr_source **out);
    void (*snapshot_end)(struct bdr_platform_snapshot *s);
    void (*close)(struct bdr_platform *p);
};
/* First member of every driver's struct; the core fills it in. */
struct bdr_platform {
    const struct bdr_platform_driver *drv;
    struct bdr_platform_core *core;
};
struct bdr_platform_snapshot {
    struct bdr_platform *platform; /* borrowed */
    size_t n;                      /* disks */
};

/* Errors:  UNSUPPORTED no such kind; AUTH the credentials are wrong; DENIED they lack a right (it is named); NET,
 * TIMEOUT; INVAL. */
bdr_ret bdr_platform_open(const struct bdr_platform_spec *spec, struct bdr_platform **out);
void bdr_platform_close(struct bdr_platform *p);
/*
 * A page of hosts, from `cursor` (NULL: the first) on; texts in `arena`. *out_next NULL: that was the last.
 * Errors:  AUTH, DENIED, NET, TIMEOUT, THROTTLED.
 */
bdr_ret bdr_platform_list(struct bdr_platform *p, const char *cursor, struct bdr_arena *arena,
                          struct bdr_platform_host **out, size_t *out_n, const char **out_next);
/*
 * Makes a snapshot of these disks of the host, all of one moment.
 *
 * What an earlier worker left of this host's snapshots is removed first. Waits for its turn when the limit is reached.
 * Errors:  NOTFOUND the host or a disk is gone; UNSUPPORTED and why; BUSY somebody else's snapshot is in the way; as
 * list.
 */
bdr_ret bdr_platform_snapshot_begin(struct bdr_platform *p, const char *host, const char *const *disks, size_t n,
                                    struct bdr_platform_snapshot **out);
/* Opens disk `disk` of the snapshot. Its identity is the same in each snapshot of that disk. Close it before the
 * snapshot ends. */
bdr_ret bdr_platform_source(struct bdr_platform_snapshot *s, size_t disk, struct bdr_source **out);
/* Removes it; NULL is fine. What can't be removed now is removed by the next begin. */
void bdr_platform_snapshot_end(struct bdr_platform_snapshot *s);

/* All drivers, NULL-terminated. */
extern const struct bdr_platform_driver *const bdr_platform_drivers[];

BDR_AUTO_DEFINE(platform, struct bdr_platform *, bdr_platform_close)
BDR_AUTO_DEFINE(platform_snapshot, struct bdr_platform_snapshot *, bdr_platform_snapshot_end)
