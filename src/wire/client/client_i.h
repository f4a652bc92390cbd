/* SPDX-License-Identifier: Apache-2.0 */
/* client_i.h - inside of the client: its connections and what curl is told. */
#pragma once
#include "bdr/http_client.h"
#include <curl/curl.h>
#include <pthread.h>

#define IDLE_MAX 16 /* connections kept for the next call */

struct http_slot {
    CURL *easy;
    CURLM *multi; /* holds the connection */
    unsigned age; /* the client's, when it was made */
};
struct bdr_http_client {
    struct bdr_http_client_config config;    /* texts owned */
    char fingerprint[BDR_FINGERPRINT_CHARS]; /* "": by file or system */
    pthread_mutex_t lock;                    /* guards what follows */
    struct http_slot idle[IDLE_MAX];
    size_t n_idle;
    unsigned age; /* how often it was made fresh */
    char *ca_pem; /* owned */
    char shown[BDR_FINGERPRINT_CHARS]; /* print of the topmost certificate of a server that had not the one wanted */
};
/* AUTH with both prints, when a server showed another CA than the one wanted by its print. */
bdr_ret client_wrong_print(struct bdr_http_client *c);
/* Tells a fresh handle whom to trust and who we are. */
bdr_ret client_tls_setup(struct bdr_http_client *c, CURL *easy);
