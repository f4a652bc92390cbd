/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_api.h - what the console and its machines (agents, proxies, gateways) say to each other, as shapes.
 *
 * Both sides include this header, so that they can't differ; neither includes the other. Routes and their meaning:
 * docs/wire/machines.md. Texts are borrowed from the arena they were read into.
 * Depends on: shape.h.      Threads: any (tables).
 */
#pragma once
#include "bdr/shape.h"

#define BDR_MACHINE_BEAT_S     30 /* a machine unheard of for three of them is silent */
#define BDR_MACHINE_DISKS_MAX  1024u
#define BDR_MACHINE_POINTS_MAX 1000u /* in one report */
#define BDR_MACHINE_TEXT_MAX   65536u
#define BDR_MACHINE_PEM_MAX    16384u

enum bdr_machine_kind { BDR_MACHINE_AGENT, BDR_MACHINE_PROXY, BDR_MACHINE_GATEWAY };
extern const struct bdr_choice bdr_machine_kinds[];

/* ---- POST /v1/enrol: whoever holds a one-time token ---- */
struct bdr_enrol_in {
    const char *token; /* SECRET */
    int kind;          /* enum bdr_machine_kind */
    const char *name;  /* host name, for people */
    const char *csr;   /* PEM */
    const char *os, *version;
    const char *identity; /* of the hardware or the disk image: the same machine enrolling again is known by it */
    const char *url;      /* gateways: where sources reach it, https://gw1:443 */
};
struct bdr_enrol_out {
    const char *machine;     /* 32 hex digits: the name in its certificate */
    const char *certificate; /* PEM, leaf first */
    const char *ca;          /* PEM: whom to trust from now on */
    int64_t expires;         /* wall ms */
    uint64_t host;           /* agents: the host it speaks for; else 0 */
};
extern const struct bdr_shape bdr_enrol_in_shape, bdr_enrol_out_shape;

/* ---- POST /v1/machine/certificate: renewal, with the old one ---- */
struct bdr_renew_in {
    const char *csr;
};
struct bdr_renew_out {
    const char *certificate, *ca;
    int64_t expires;
};
extern const struct bdr_shape bdr_renew_in_shape, bdr_renew_out_shape;

/* ---- POST /v1/machine/beat ---- */
struct bdr_beat_in {
    const char *version, *os;
    const char *boot;      /* changes with each start of the machine */
    const char *inventory; /* print of the inventory it would send: SHA-256 hex; NULL: it has none */
    uint32_t jobs, disks;  /* running now */
    uint32_t cpu_pct;      /* of one core */
    uint64_t memory_bytes; /* of its processes */
};
struct bdr_beat_out {
    uint32_t beat_s;         /* come again after */
    bool want_inventory;     /* it is not what was sent last */
    bool work;               /* a job may be there: claim */
    bool registered;         /* false: the host was deregistered, it may be uninstalled */
    uint32_t http_timeout_s; /* proxies */
    uint32_t disks_max;      /* proxies: disks at once */
    int64_t time;            /* the console's clock */
};
extern const struct bdr_shape bdr_beat_in_shape, bdr_beat_out_shape;

/* ---- PUT /v1/machine/inventory: agents ---- */
struct bdr_inv_disk {
    const char *ref;  /* the source that reads it, "live:/dev/disk/by-id/..." or "live:/dev/sda"; stable over boots */
    const char *name; /* "sda" */
    const char *model, *serial, *bus; /* virtio, nvme, ata, scsi, loop, md, dm */
    const char *table;                /* gpt, mbr, none */
    const char *use;                  /* in words, for people: "/, /boot, swap; LVM vg0" */
    uint64_t size_bytes;
    uint32_t sector_bytes;
    bool removable, read_only;
    const char *reason; /* why it can't be protected; NULL: it can */
};
struct bdr_inv_volume {
    const char *name, *kind; /* partition, lvm, md, luks, disk */
    const char *disks;       /* names of the disks it lies on, with commas */
    const char *fs, *label, *uuid, *mount;
    uint64_t size_bytes, used_bytes;
};
struct bdr_inv_nic {
    const char *name, *mac, *addresses; /* with commas */
};
struct bdr_inventory {
    const char *name, *os, *kernel, *arch;
    const char *firmware; /* bios, uefi */
    const char *cpu;
    uint32_t cpus;
    uint64_t memory_bytes;
    const char *identity; /* machine id */
    const char *tracker;  /* what live tracking can do here: "ebpf", or why not */
    BDR_ARRAY(struct bdr_inv_disk) disks;
    BDR_ARRAY(struct bdr_inv_volume) volumes;
    BDR_ARRAY(struct bdr_inv_nic) nics;
};
extern const struct bdr_shape bdr_inventory_shape;

/* ---- POST /v1/machine/claim: the next job, if there is one ---- */
struct bdr_claim_in {
    uint32_t disks_free;
    const char *kinds; /* words: the kinds it can do; NULL: all of its role */
};
struct bdr_job_disk {
    uint64_t id;
    const char *ref, *name;
    uint64_t size_bytes;
    bool excluded;
};
struct bdr_job_store {
    uint64_t repository;     /* its id */
    const char *gateway_url; /* https://gw1:443 : speak the gateway's protocol for this host; NULL: the worker opens: */
    const char *url;         /* a folder or s3://bucket/prefix */
    const char *passphrase;  /* of the repository, when the worker opens it itself; a secret */
    const char *s3_key, *s3_secret, *s3_endpoint, *s3_region;
    const char *s3_addressing; /* "path", "virtual"; NULL: as is usual there */
    const char *s3_ca;         /* PEM, of the endpoint's certificate; NULL: the system's */
    const char *compress; /* "zstd:2", "lz4", "none" */
};
struct bdr_job_platform { /* proxies: whom to ask, with the credentials; secrets */
    uint64_t id;
    const char *kind, *name, *endpoint, *username, *user_domain, *project, *project_domain, *region, *tenancy,
        *key_print, *cert_print;
    const char *password; /* password, secret_key or private_key */
    json_t *more;         /* Ceph clusters, name records */
};
struct bdr_job_work {
    uint64_t id, fence, host; /* host 0: none */
    const char *kind;         /* sync, scan, verify, prune, recover */
    const char *label;        /* the host's name in the repository */
    const char *ref;          /* the platform's name for the host */
    const char *host_name;
    const char *checkpoint;  /* where the worker before stopped; NULL: at the beginning */
    const char *consistency; /* wanted: crash, filesystem, application */
    const char *retention;   /* prune: "last=3 daily=7" */
    const char *origin;      /* "policy", or who asked */
    bool full;               /* read all of it */
    uint32_t lease_s;
    uint64_t bandwidth_bps; /* 0: unlimited */
    bool has_store, has_platform;
    struct bdr_job_store store;
    struct bdr_job_platform platform;
    json_t *params;
    BDR_ARRAY(struct bdr_job_disk) disks;
};
struct bdr_claim_out {
    bool has_job;
    struct bdr_job_work job;
};
extern const struct bdr_shape bdr_claim_in_shape, bdr_claim_out_shape, bdr_job_work_shape;

/* ---- POST /v1/machine/jobs/{id}/beat: at least each third of the lease ---- */
struct bdr_job_beat_in {
    uint64_t fence;
    uint32_t pass;
    uint64_t done_bytes, total_bytes, stored_bytes;
    const char *checkpoint; /* NULL: as before */
    const char *step;       /* what it does now, for people: "reading vda", "freezing" */
};
enum bdr_job_wanted { BDR_JOB_GO_ON, BDR_JOB_PAUSE, BDR_JOB_CANCEL };
extern const struct bdr_choice bdr_job_wanteds[];
struct bdr_job_beat_out {
    int wanted; /* enum bdr_job_wanted: PAUSE and CANCEL want an end of STOPPED */
    uint32_t lease_s;
    uint64_t bandwidth_bps; /* 0: unlimited */
};
extern const struct bdr_shape bdr_job_beat_in_shape, bdr_job_beat_out_shape;

/* ---- POST /v1/machine/jobs/{id}/end ---- */
enum bdr_job_how { BDR_HOW_FINISH, BDR_HOW_FAIL, BDR_HOW_RETRY, BDR_HOW_STOPPED };
extern const struct bdr_choice bdr_job_hows[];
struct bdr_job_end_in {
    uint64_t fence;
    int how;
    const char *error_code, *error_text; /* "NOSPACE"; one line for people */
    uint64_t done_bytes, total_bytes, stored_bytes;
    json_t *result; /* sync: {"point":ID,"consistency":..,"full":..,"reason":..,"read_bytes":..,...}; NULL: none */
};
struct bdr_job_end_out {
    const char *state;
};
extern const struct bdr_shape bdr_job_end_in_shape, bdr_job_end_out_shape;

/* ---- a scan job's result; PUT /v1/machine/platforms/{id}/hosts: proxies ---- */
struct bdr_seen_host {
    const char *ref, *name, *addr, *os, *power;
    const char *reason; /* why it can't be protected as a whole; NULL: it can */
    BDR_ARRAY(struct bdr_inv_disk) disks;
};
struct bdr_seen_hosts {
    uint64_t fence, job; /* the scan's lease */
    bool complete;       /* the last part: hosts of the platform that no part named are gone */
    BDR_ARRAY(struct bdr_seen_host) hosts;
};
extern const struct bdr_shape bdr_seen_hosts_shape;

/* ---- gateways ---- */
/* POST /v1/gateway/authorise: may this machine write that host's points, now? */
struct bdr_authorise_in {
    const char *machine, *serial; /* of the certificate that the gateway saw */
    uint64_t host, fence;
};
struct bdr_authorise_out {
    uint64_t repository;
    const char *label;      /* the host's name in the repository */
    const char *identity;   /* of the machine, for manifests */
    uint64_t bandwidth_bps; /* 0: unlimited */
    uint32_t valid_s;       /* ask again after */
};
extern const struct bdr_shape bdr_authorise_in_shape, bdr_authorise_out_shape;

/* GET /v1/gateway/repositories: what it owns */
struct bdr_gateway_repo {
    uint64_t id;
    const char *name, *url;
    const char *passphrase; /* NULL: not encrypted. A secret */
    const char *s3_key, *s3_secret, *s3_endpoint, *s3_region;
    const char *s3_addressing; /* "path", "virtual"; NULL: as is usual there */
    const char *s3_ca;         /* PEM, of the endpoint's certificate; NULL: the system's */
    const char *compress;
    uint64_t block_bytes; /* for making it; 0: the default */
    bool create;          /* nobody has seen it yet: make it where nothing is. Otherwise nothing there is a disk that is
                             not mounted, and not a reason to begin anew */
};
struct bdr_gateway_repos {
    BDR_ARRAY(struct bdr_gateway_repo) repositories;
};
extern const struct bdr_shape bdr_gateway_repos_shape;

/* PUT /v1/gateway/repositories/{id}/state */
struct bdr_repo_state {
    const char *state, *text;                    /* ok, error, full */
    uint64_t used_bytes, free_bytes, data_bytes; /* data: of all points before deduplication */
    bool has_free_bytes;
};
extern const struct bdr_shape bdr_repo_state_shape;

/* POST /v1/gateway/repositories/{id}/removing: before each point that a prune removes */
struct bdr_removing_in {
    const char *ref, *retention; /* NULL: it was named, no rule removes it */
};
struct bdr_removing_out {
    bool may;
};
extern const struct bdr_shape bdr_removing_in_shape, bdr_removing_out_shape;

/* POST /v1/gateway/repositories/{id}/points: after each publish, and all of them now and then */
struct bdr_point_told {
    const char *ref, *label; /* id in the repository; the host's name there */
    int64_t taken;
    bool full;
    const char *consistency;
    uint64_t disk_bytes, read_bytes, stored_bytes;
    uint64_t job; /* 0: not known */
};
struct bdr_points_told {
    bool complete;    /* the last part of a whole list: points that no part named are gone */
    const char *list; /* of a whole list: one name for all its parts */
    BDR_ARRAY(struct bdr_point_told) points;
};
extern const struct bdr_shape bdr_points_told_shape;
