/* SPDX-License-Identifier: Apache-2.0 */
#include "revoked.h"
#include <pthread.h>
#include <search.h>
#include <string.h>

struct bdr_revoked {
    pthread_mutex_t lock; /* guards tree */
    void *tree;           /* owned serials */
};

static int serial_cmp(const void *a, const void *b)
{
    return strcmp(a, b);
}

struct bdr_err *bdr_revoked_new(struct bdr_revoked **out)
{
    struct bdr_revoked *r = calloc(1, sizeof(*r));

    BDR_NOMEM_IF_NULL(r);
    pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return NULL;
}

void bdr_revoked_free(struct bdr_revoked *r)
{
    if (!r)
        return;
    tdestroy(r->tree, free);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct bdr_err *bdr_revoked_add(struct bdr_revoked *r, const char *serial)
{
    char *copy = strdup(serial);
    void *at = NULL;

    BDR_NOMEM_IF_NULL(copy);
    pthread_mutex_lock(&r->lock);
    at = tsearch(copy, &r->tree, serial_cmp);
    pthread_mutex_unlock(&r->lock);
    if (!at || *(char **)at != copy)
        free(copy);
    BDR_NOMEM_IF_NULL(at);
    return NULL;
}

bool bdr_revoked_is(void *ctx, const struct bdr_cert_info *peer)
{
    struct bdr_revoked *r = ctx;
    bool found;

    pthread_mutex_lock(&r->lock);
    found = tfind(peer->serial, &r->tree, serial_cmp) != NULL;
    pthread_mutex_unlock(&r->lock);
    return found;
}
