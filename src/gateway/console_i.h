/* SPDX-License-Identifier: Apache-2.0 */
/* console_i.h - what the two halves of the gateway's console client share: asking (console.c) and telling (tell.c). */
#pragma once
#include "bdr/cancel.h"
#include "bdr/http_client.h"
#include "bdr/pool.h"
#include "console.h"
#include <pthread.h>

#define CONSOLE_LEAVES  1024u /* kept; a gateway has fewer hosts writing at once by far */
#define CONSOLE_REVOKED 4096u /* remembered until the certificates' end makes it needless: a start forgets them */

struct leave_row {
    char machine[65], serial[41];
    uint64_t host, fence, until_ms;
    struct gw_leave leave;
};
struct told_row {
    struct told_row *next;
    uint64_t repository;
    json_t *manifest; /* owned */
};
struct list_row {
    uint64_t repository, due_ms;
    uint64_t space_ms, data_bytes; /* the telling thread's alone */
};

struct gw_console {
    struct gw_console_config config;
    struct bdr_http_client *http;
    struct gw *gw; /* borrowed; NULL before attach */
    struct bdr_pool *pool;
    struct bdr_cancel stop;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct leave_row *leaves; /* owned; CONSOLE_LEAVES, a ring */
    size_t leave_at;
    char (*revoked)[65]; /* owned; a ring */
    size_t revoked_n;
    struct told_row *head, *tail; /* owned */
    struct list_row *lists;       /* owned: when the whole list is due */
    size_t n_lists;
    bool lists_known, telling;
};

/* Members of JSON that came; NULL and 0 when they are not there. */
const char *console_text(const json_t *m, const char *name);
uint64_t console_u64(const json_t *m, const char *name);
/* The ids of the console's repositories for this gateway; owned by the caller. */
bdr_ret console_repositories(void *ctx, const struct bdr_cancel *cancel, uint64_t **out, size_t *out_n);
/* The telling thread: until stop. */
void console_tell(struct gw_console *c);
/* Drops what was not told. */
void console_untold(struct gw_console *c);
