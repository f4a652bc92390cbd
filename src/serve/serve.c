/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.c - run nbdkit with our plugin on sockets that we make.
 *
 * By socket activation: the sockets listen before nbdkit starts, so there is nothing to wait for but its greeting, and
 * who removes a socket file is never in doubt. nbdkit ends when we do (--exit-with-parent), even by kill -9.
 */
#include "bdr/serve.h"
#include "bdr/child.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "bdr/osproc.h"
#include "listen.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SERVE_ARGS_MAX  26
#define SERVE_FIRST_FD  ((size_t)3) /* as child.h says */
#define SERVE_ANSWER_MS 120000 /* opening a large repository in object storage brings its index here first */
#define SERVE_WATCH_MS  1000
#define SERVE_GREET_MS  100 /* between looks at whether nbdkit lives */

/* Where the plugin lies relative to the program: in a build tree, and as installed. */
static const char *const serve_beside[] = {"../serve/nbdkit-bdr-nbd-plugin.so", "src/serve/nbdkit-bdr-nbd-plugin.so",
                                           "../lib/nbdkit-bdr-nbd-plugin.so", "nbdkit-bdr-nbd-plugin.so"};

#define SERVE_SECRETS 2

/* nbdkit of our own, as packages that bring their libraries have it; else PATH finds it. */
static const char *const serve_nbdkit[] = {"nbdkit"};

struct serve_args {
    char *at[SERVE_ARGS_MAX + 1]; /* owned; NULL-terminated */
    size_t n;
    bool failed;
    int fds[LISTEN_MAX + SERVE_SECRETS]; /* sockets, borrowed; then secrets, owned */
    size_t n_fds, n_secrets;
};

BDR_PRINTF(2, 3) static void serve_arg(struct serve_args *a, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;

    BDR_ASSERT(a->n < SERVE_ARGS_MAX);
    va_start(ap, fmt);
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    a->failed = a->failed || !text;
    a->at[a->n++] = text;
}

static void serve_args_free(struct serve_args *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->at[i]);
    for (size_t i = a->n_fds - a->n_secrets; i < a->n_fds; i++)
        close(a->fds[i]);
}

/* What only nbdkit is to read, as a file that has no name; it finds it under `out`. */
static struct bdr_err *serve_secret(struct serve_args *a, const char *text, char out[32])
{
    int fd = memfd_create("bdr-secret", MFD_CLOEXEC);

    if (fd < 0)
        BDR_FAIL_ERRNO("keeping a secret in memory");
    BDR_ASSERT(a->n_fds < BDR_COUNT(a->fds));
    snprintf(out, 32, "/proc/self/fd/%zu", SERVE_FIRST_FD + a->n_fds);
    a->fds[a->n_fds++] = fd;
    a->n_secrets++;
    return bdr_os_pwrite(fd, "a secret", text, strlen(text), 0);
}

static void serve_plugin(const struct bdr_serve_spec *spec, struct serve_args *a)
{
    BDR_AUTO(mem) char *path = NULL;
    struct bdr_err *err = spec->plugin ? NULL : bdr_os_beside(serve_beside, BDR_COUNT(serve_beside), &path);

    bdr_err_drop(err, "nbdkit looks into its own folder");
    serve_arg(a, "%s", spec->plugin ? spec->plugin : path ? path : "bdr-nbd");
}

static void serve_program(struct serve_args *a)
{
    BDR_AUTO(mem) char *path = NULL;
    struct bdr_err *err = bdr_os_beside(serve_nbdkit, BDR_COUNT(serve_nbdkit), &path);

    bdr_err_drop(err, "PATH has it");
    serve_arg(a, "%s", path ? path : "nbdkit");
}

static struct bdr_err *serve_argv(const struct bdr_serve_spec *spec, struct serve_args *a)
{
    char secret[32];

    serve_program(a);
    serve_arg(a, "--foreground");
    serve_arg(a, "--exit-with-parent");
    if (spec->psk_file) {
        serve_arg(a, "--tls=require");
        serve_arg(a, "--tls-psk=%s", spec->psk_file);
    } else if (spec->tls_dir) {
        serve_arg(a, "--tls=require");
        serve_arg(a, "--tls-certificates=%s", spec->tls_dir);
        serve_arg(a, "--tls-verify-peer");
    }
    if (spec->writable)
        serve_arg(a, "--filter=cow");
    else
        serve_arg(a, "--readonly");
    serve_plugin(spec, a);
    serve_arg(a, "repo=%s", spec->repo_url);
    serve_arg(a, "point=%s", spec->point ? spec->point : "latest");
    serve_arg(a, "disk=%u", spec->disk);
    if (spec->passphrase) {
        BDR_TRY(serve_secret(a, spec->passphrase, secret));
        serve_arg(a, "passphrase-file=%s", secret);
    }
    if (spec->s3_access) {
        BDR_TRY(serve_secret(a, spec->s3_access, secret));
        serve_arg(a, "s3-access=%s", secret);
    }
    if (spec->passphrase_file)
        serve_arg(a, "passphrase-file=%s", spec->passphrase_file);
    if (spec->key_file)
        serve_arg(a, "key-file=%s", spec->key_file);
    if (spec->cache_dir)
        serve_arg(a, "cache-dir=%s", spec->cache_dir);
    if (spec->cache_bytes)
        serve_arg(a, "cache-size=%llu", (unsigned long long)spec->cache_bytes);
    if (spec->readahead)
        serve_arg(a, "readahead=%u", spec->readahead);
    if (a->failed)
        BDR_NOMEM_IF_NULL(NULL);
    return NULL;
}

/* nbdkit ended by itself: its last words are the reason. */
static struct bdr_err *serve_ended(struct bdr_child *c)
{
    const char *said = bdr_child_said(c);

    if (!*said)
        said = "it gave no reason";
    if (!strncmp(said, "nbdkit: ", 8))
        said += 8;
    if (!strncmp(said, "error: ", 7))
        said += 7;
    BDR_FAIL(BDR_INVAL, 0, "nbdkit ended with status %d: %s", bdr_child_status(c), said);
}

/* Until the greeting comes; the socket already takes connections, so only the wait for it counts. */
static struct bdr_err *serve_wait_ready(struct bdr_child *c, const struct serve_listen *l,
                                        const struct bdr_cancel *cancel)
{
    uint64_t end = bdr_clock_mono_ms() + SERVE_ANSWER_MS;
    bool ended = false, answers = false;
    BDR_AUTO(fd) int fd = -1;

    BDR_TRY(serve_listen_connect(l, &fd));
    while (!answers) {
        BDR_TRY(bdr_child_poll(c, 0, cancel, &ended));
        if (ended)
            return serve_ended(c);
        if (bdr_clock_mono_ms() >= end)
            BDR_FAIL(BDR_TIMEOUT, 0, "nbdkit did not answer within %d s", SERVE_ANSWER_MS / 1000);
        BDR_TRY(serve_listen_greet(fd, SERVE_GREET_MS, cancel, &answers));
    }
    return NULL;
}

static struct bdr_err *serve_on(const struct bdr_serve_spec *spec, struct serve_listen *l, struct serve_args *a,
                                const struct bdr_cancel *cancel)
{
    BDR_AUTO(child) struct bdr_child *c = NULL;
    BDR_AUTO(mem) char *tmpdir = NULL;
    char uri[sizeof(l->uri) + 8];
    bool ended = false;

    memcpy(a->fds, l->fds, l->n * sizeof(l->fds[0]));
    a->n_fds = l->n;
    BDR_TRY(serve_argv(spec, a));
    /* Where nbdkit-cow-filter(1) puts its file; /var/tmp when not told. */
    if (spec->cow_dir && asprintf(&tmpdir, "TMPDIR=%s", spec->cow_dir) < 0) {
        tmpdir = NULL;
        BDR_NOMEM_IF_NULL(tmpdir);
    }
    BDR_TRY(bdr_child_start(
        &(struct bdr_child_spec){.argv = (const char *const *)a->at, .fds = a->fds, .n_fds = a->n_fds, .n_quiet = a->n_secrets, .env = tmpdir}, &c));
    BDR_TRY(serve_wait_ready(c, l, cancel));
    serve_listen_close(l, false); /* nbdkit has its own copies: now only it keeps the address */
    snprintf(uri, sizeof(uri), "%s%s", spec->tls_dir || spec->psk_file ? "nbds" : "nbd", l->uri + strlen("nbd"));
    if (spec->ready)
        spec->ready(spec->ready_ctx, uri);
    while (!ended)
        BDR_TRY(bdr_child_poll(c, SERVE_WATCH_MS, cancel, &ended));
    return serve_ended(c);
}

struct bdr_err *bdr_serve_run(const struct bdr_serve_spec *spec, const struct bdr_cancel *cancel)
{
    struct serve_listen l = {0};
    struct serve_args a = {0};
    struct bdr_err *err;

    BDR_TRY(serve_listen_open(spec->listen, &l));
    if (!l.loopback && !spec->tls_dir && !spec->psk_file && !spec->allow_plain)
        err = bdr_err_new(BDR_INVAL, 0, BDR_AT,
                          "serving %s without TLS shows the disk to the network; add --tls DIR or listen on 127.0.0.1",
                          spec->listen);
    else
        err = serve_on(spec, &l, &a, cancel);
    serve_listen_close(&l, true);
    serve_args_free(&a);
    if (err && err->code == BDR_CANCELLED && bdr_cancelled(cancel)) {
        bdr_err_drop(err, "that is how serving ends");
        return NULL;
    }
    return err;
}
