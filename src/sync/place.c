/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.c - opens where a job's points go: a gateway, or a repository that the worker writes itself.
 *
 * Secrets of a repository come with the job and stay in memory: a passphrase passes through a file that has no name
 * any more when it is read by others, S3 keys are handed to the store.
 */
#include "place.h"
#include "bdr/bytes.h"
#include "bdr/gateway_sink.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/priority.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* In memory where the machine has such a place; removed as soon as the repository is open. */
static struct bdr_err *place_secret(const struct bdr_sync *s, const char *text, char path[512])
{
    BDR_AUTO(fd) int fd = -1;

    snprintf(path, 512, "/dev/shm/bdr-XXXXXX");
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        snprintf(path, 512, "%s/secret-XXXXXX", s->state);
        fd = mkostemp(path, O_CLOEXEC);
    }
    if (fd < 0)
        BDR_FAIL_ERRNO("making a file for the passphrase");
    return bdr_os_write(fd, "the passphrase", text, strlen(text));
}

/*
 * The first one to come makes the repository; but only for a job that reads all anyway: a place that was lost, or is
 * not mounted today, must not be taken for a new one.
 */
static struct bdr_err *place_make(const struct bdr_sync *s, const struct bdr_repo_options *opt, struct bdr_err *missing,
                                  struct bdr_repo **out)
{
    const struct bdr_job_store *store = &s->job->work->store;
    const struct bdr_repo_init_options init = {.compress = store->compress && *store->compress ? store->compress : NULL,
                                               .encrypt = opt->passphrase_file != NULL,
                                               .passphrase_file = opt->passphrase_file,
                                               .cancel = opt->cancel};
    struct bdr_err *err;

    bdr_err_drop(missing, "it is made now");
    err = bdr_repo_init(store->url, &init);
    if (err && err->code != BDR_EXISTS) /* another worker was faster: theirs is as good */
        return err;
    bdr_err_drop(err, "opened like any other");
    BDR_LOG(INFO, "sync.repository-made", F_STR("url", store->url));
    return bdr_repo_open(store->url, opt, out);
}

static struct bdr_err *place_repo(const struct bdr_sync *s, struct place *out)
{
    const struct bdr_job_store *store = &s->job->work->store;
    struct bdr_store_access access = {.key = store->s3_key, .secret = store->s3_secret, .endpoint = store->s3_endpoint,
                                      .region = store->s3_region, .addressing = store->s3_addressing};
    bool s3 = !strncmp(store->url, "s3://", 5);
    char cache[512], ca[512], secret[512] = "";
    struct bdr_repo_options opt = {
        .cache_dir = bdr_worker_path(s->state, "cache", cache), .writes_next = true, .cancel = &s->job->cancel};
    struct bdr_err *err = NULL;

    if (store->passphrase && *store->passphrase) {
        err = place_secret(s, store->passphrase, secret);
        opt.passphrase_file = secret;
    }
    if (!err && s3 && store->s3_ca) {
        snprintf(ca, sizeof(ca), "%s/s3-ca-%llu.pem", s->state, (unsigned long long)store->repository);
        err = bdr_os_replace_file(ca, store->s3_ca, strlen(store->s3_ca), 0644, false);
        access.ca_file = ca;
    }
    if (!err) {
        bdr_store_access_set(s3 && store->s3_key ? &access : NULL);
        err = bdr_repo_open(store->url, &opt, &out->repo);
        if (err && err->code == BDR_NOTFOUND && s->job->work->full)
            err = place_make(s, &opt, err, &out->repo);
        bdr_store_access_set(NULL);
    }
    if (secret[0])
        unlink(secret);
    return err;
}

/* The gateway knows the repository; it believes this machine's certificate and asks the console about the rest. */
static struct bdr_err *place_gateway(const struct bdr_sync *s, struct place *out)
{
    const struct bdr_job_work *work = s->job->work;

    bdr_os_thrifty();
    return bdr_sink_gateway(
        &(struct bdr_gateway_config){.url = work->store.gateway_url,
                                     .ca_file = bdr_worker_path(s->state, "ca.crt", out->ca),
                                     .cert_file = bdr_worker_path(s->state, "identity.pem", out->identity),
                                     .key_file = out->identity,
                                     .host = work->host,
                                     .fence = work->fence,
                                     .bandwidth_bps = &s->job->bandwidth_bps},
        &out->sink);
}

struct bdr_err *place_open(const struct bdr_sync *s, struct place *out)
{
    const struct bdr_job_work *work = s->job->work;

    *out = (struct place){0};
    if (!work->has_store)
        BDR_FAIL(BDR_INVAL, 0, "the job does not say where its points go");
    if (work->store.gateway_url && *work->store.gateway_url)
        return place_gateway(s, out);
    if (!work->store.url || !*work->store.url)
        BDR_FAIL(BDR_INVAL, 0, "the job's repository has no address");
    BDR_TRY(place_repo(s, out));
    BDR_TRY(bdr_sink_local(out->repo, &out->sink));
    bdr_sink_local_limit(out->sink, &s->job->bandwidth_bps);
    return NULL;
}

void place_close(struct place *p)
{
    bdr_sink_free(p->sink);
    bdr_repo_close(p->repo);
    *p = (struct place){0};
}
