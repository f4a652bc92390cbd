/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - where a bucket is and who we are: from the URL, the environment and ~/.aws/credentials.
 *
 * Threads: read-only once loaded. docs/drivers/store.md has the table of settings.
 */
#pragma once
#include "bdr/err.h"

struct bdr_s3_config {
    char *bucket, *prefix; /* prefix is "" or ends in '/' */
    char *origin;          /* "https://s3.eu-west-1.amazonaws.com", without a path */
    char *host;            /* the Host header: "bucket.s3..." or "127.0.0.1:7480" */
    char *base;            /* path in front of the key: "" or "/bucket", encoded */
    char *region;
    char *ca_file;        /* or NULL: the system's */
    char *key_id;         /* shown in signatures; not secret */
    char *secret, *token; /* wiped on free; token may be NULL */
    unsigned attempts;    /* of one request */
    unsigned stall_s;     /* give an attempt up after so long below 1 KiB/s */
    bool amazon;          /* not a custom endpoint */
};
bdr_ret bdr_s3_config_load(const char *url, struct bdr_s3_config *out);
void bdr_s3_config_free(struct bdr_s3_config *cfg);
BDR_UNUSED static inline void bdr_auto_s3_config(struct bdr_s3_config *cfg)
{
    bdr_s3_config_free(cfg);
}
