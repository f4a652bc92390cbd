/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.h - offer a disk of a recovery point over NBD, by running nbdkit with our plugin.
 *
 * Depends on: base, os; nbdkit 1.32 and its cow filter are found at run time.      Threads: any; a call each.
 */
#pragma once
#include "bdr/cancel.h"
#include "bdr/err.h"

struct bdr_serve_spec {
    const char *repo_url;
    const char *passphrase_file, *key_file; /* names of files only: secrets never stand in a command line; or NULL */
    const char *cache_dir;                  /* of the repository's index, or NULL */
    const char *point;                      /* id, prefix or NULL: the newest */
    uint32_t disk;
    const char *listen;   /* path of a unix socket (has a '/'), or HOST:PORT, [V6]:PORT; port 0: any free one */
    const char *tls_dir;  /* folder with ca-cert.pem, server-cert.pem, server-key.pem; clients need a certificate */
    const char *psk_file; /* "user:hex key", a line each, 0600, there as long as it is served: TLS by these; instead of tls_dir */
    /* Secrets of a program that has them in memory; they pass through files without a name. NULL: none. */
    const char *passphrase; /* instead of passphrase_file */
    const char *s3_access;  /* key, secret, endpoint, region, addressing, CA file: a line each, "" where there is none */
    bool allow_plain;     /* TCP beyond this machine without TLS */
    bool writable;        /* writes go to a temporary file and are forgotten at the end */
    const char *cow_dir;  /* where that file is made; NULL: /var/tmp */
    uint64_t cache_bytes; /* 0: the plugin's default */
    uint32_t readahead;   /* blocks; 0: the plugin's default */
    const char *plugin;   /* path of the plugin; NULL: beside the program, else as installed */
    /* Called once when clients are answered; `uri` is what they connect to. May be NULL. */
    void (*ready)(void *ctx, const char *uri);
    void *ready_ctx;
};

/*
 * Serves until `cancel` is set, which is success.
 *
 * Errors:  BUSY somebody already listens there; NOTFOUND nbdkit, plugin, repository or point; INVAL plain TCP to
 *          others without allow_plain; whatever nbdkit says when it ends by itself; TIMEOUT it never answers.
 * Source:  docs/serve.md
 */
bdr_ret bdr_serve_run(const struct bdr_serve_spec *spec, const struct bdr_cancel *cancel);
