/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authority.h - who says which machine may write which host's points, and what repositories there are.
 *
 * Two answer: a file (hosts_file.h), for a gateway that stands alone, and the console (console.h).
 * Depends on: base.      Threads: all calls from any.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

struct gw_question {
    const char *machine, *serial; /* of the certificate that came */
    uint64_t host, fence;
};
struct gw_leave {
    uint64_t repository;
    char label[128];        /* the host's name in the repository */
    char identity[65];      /* of the machine behind it; "": as the client says */
    uint64_t bandwidth_bps; /* 0: unlimited */
    uint32_t valid_s;       /* ask again after */
};
/* What it takes to open a repository. */
struct gw_repo_spec {
    uint64_t id;
    char *url;             /* owned */
    char *passphrase;      /* owned, wiped; or: */
    char *passphrase_file; /* owned; NULL both: not encrypted */
    char *s3_key, *s3_secret, *s3_endpoint, *s3_region, *s3_addressing; /* owned, wiped; NULL key: the environment's */
    char *s3_ca;           /* owned; PEM */
    char *compress;        /* owned; for those who send; NULL: as it was made */
    bool create;           /* make it where nothing is */
    uint32_t block_bytes;  /* of one that is made; 0: the default */
};
void gw_repo_spec_free(struct gw_repo_spec *spec);

struct gw_authority {
    /* DENIED it may not; FENCED the number is old; NET, TIMEOUT, THROTTLED: nobody can say now. */
    struct bdr_err *(*authorise)(void *ctx, const struct gw_question *q, const struct bdr_cancel *cancel,
                                 struct gw_leave *out);
    /* NOTFOUND; NET ... *out is the caller's. */
    struct bdr_err *(*repository)(void *ctx, uint64_t id, const struct bdr_cancel *cancel, struct gw_repo_spec *out);
    /* All of them: for lists that are told and for upkeep. Caller frees. */
    struct bdr_err *(*repositories)(void *ctx, const struct bdr_cancel *cancel, uint64_t **out, size_t *out_n);
    /* Is that point to be removed now, by the rule `retention` ("": it was named)? From then on nobody can hold it. NULL: all
     * may that a job says. */
    struct bdr_err *(*removing)(void *ctx, uint64_t repository, const char *ref, const char *retention,
                                const struct bdr_cancel *cancel, bool *out_may);
    /* Never blocks. */
    bool (*revoked)(void *ctx, const char *machine, const char *serial);
    void *ctx;
};
