/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl.h - what mail and webhooks share of libcurl: deadlines, cancelling, whom to trust.
 *
 * Threads: one at a time.
 */
#pragma once
#include "watch/notify.h"
#include <curl/curl.h>

struct watch_curl {
    CURL *easy;              /* owned */
    struct curl_slist *list; /* owned: headers or recipients */
    const struct bdr_cancel *cancel;
    char text[CURL_ERROR_SIZE];
    char said[160];    /* the far side's last line, when it is no HTTP */
    char host[256];    /* as it was written */
    char refused[128]; /* "ADDRESS is WHAT": where we do not go */
};
/* For a delivery of `ch` to `host`: its deadline, whom it trusts, where it may go (address.h). */
bdr_ret watch_curl_open(struct watch_curl *w, const struct bdr_channel *ch, const char *host,
                        const struct bdr_cancel *cancel);
bdr_ret watch_curl_add(struct watch_curl *w, const char *text);
/* Runs it; errors are for people. */
bdr_ret watch_curl_run(struct watch_curl *w);
void watch_curl_close(struct watch_curl *w);
BDR_UNUSED static inline void bdr_auto_watch_curl(struct watch_curl *w)
{
    watch_curl_close(w);
}
