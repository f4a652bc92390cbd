/* SPDX-License-Identifier: Apache-2.0 */
/* sync.c - the job `sync` of a platform's host: a snapshot of its disks, copied, and removed again. */
#include "bdr/bytes.h"
#include "bdr/sync_job.h"
#include "proxy.h"
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define SYNC_DISKS_MAX 1024u

struct copy {
    struct proxy *proxy;
    struct bdr_platform *platform; /* owned, and so on down */
    struct bdr_platform_snapshot *snapshot;
    struct bdr_backup_disk *disks;
    size_t n, open;
};

static void copy_end(struct copy *c)
{
    for (size_t i = 0; i < c->open; i++)
        bdr_source_close(c->disks[i].src);
    bdr_platform_snapshot_end(c->snapshot);
    bdr_platform_close(c->platform);
    free(c->disks);
}

static struct bdr_err *copy_open(struct copy *c, struct bdr_worker_job *job)
{
    static const struct bdr_retry_policy policy = {.attempts = 6, .first_delay_ms = 200, .max_delay_ms = 10000};
    BDR_AUTO(mem) const char **refs = calloc(SYNC_DISKS_MAX, sizeof(*refs));

    c->disks = calloc(SYNC_DISKS_MAX, sizeof(*c->disks));
    if (!refs || !c->disks)
        BDR_FAIL(BDR_NOMEM, 0, "opening the host's disks");
    for (size_t i = 0; i < job->work->disks.n && c->n < SYNC_DISKS_MAX; i++) {
        const struct bdr_job_disk *d = &job->work->disks.items[i];

        if (d->excluded)
            continue;
        c->disks[c->n].name = d->name && *d->name ? d->name : NULL;
        refs[c->n++] = d->ref;
    }
    if (!c->n)
        BDR_FAIL(BDR_INVAL, 0, "all disks of this host are excluded; there is nothing to protect");
    bdr_worker_job_step(job, "making a snapshot");
    BDR_TRY_FOR(
        bdr_platform_snapshot_begin(c->platform, job->work->ref ? job->work->ref : "", refs, c->n, &c->snapshot),
        "making a snapshot");
    for (; c->open < c->n; c->open++) {
        struct bdr_source **src = &c->disks[c->open].src;

        BDR_TRY_FOR(bdr_platform_source(c->snapshot, c->open, src), "opening disk %s", refs[c->open]);
        struct bdr_err *err = bdr_source_wrap_retry(src, &policy, &job->cancel);

        if (err) {
            bdr_source_close(*src);
            return err;
        }
    }
    return NULL;
}

/* Whose points these are, whichever proxy makes them: the platform and its name of the host. */
static struct bdr_err *copy_host_id(const struct bdr_job_work *work, char out[33])
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    uint8_t digest[32];

    bdr_buf_printf(&text, "bdr platform %" PRIu64 " %s", work->platform.id, work->ref ? work->ref : "");
    BDR_TRY(bdr_buf_check(&text));
    if (!EVP_Digest(text.data, text.len, digest, NULL, EVP_sha256(), NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "hashing the host's name");
    bdr_hex(digest, 16, out);
    return NULL;
}

struct bdr_err *proxy_sync(void *ctx, struct bdr_worker_job *job, json_t **out_result)
{
    __attribute__((cleanup(copy_end))) struct copy c = {.proxy = ctx};
    char host_id[33];

    BDR_TRY(copy_host_id(job->work, host_id));
    BDR_TRY(proxy_platform(ctx, job, &c.platform));
    BDR_TRY(copy_open(&c, job));
    return bdr_sync_run(
        &(struct bdr_sync){.state = c.proxy->opt->state, .job = job, .disks = c.disks, .n = c.n, .host_id = host_id},
        out_result);
}
