/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool.c - recover, serve and mount as a command, for the scripts beside it.
 *
 *   tool recover REPO POINT DISK LOCATION [force] [resume] [verify] [skip] [direct] [workers=N] [every=MS]
 *   tool serve   REPO POINT DISK LISTEN [PLUGIN] [writable]
 *   tool mount   REPO FOLDER
 *
 * Says "ready ..." on standard output when serving; ends on SIGTERM or SIGINT. Exit codes are those of errors.def.
 */
#include "bdr/bytes.h"
#include "bdr/disk.h"
#include "bdr/log.h"
#include "bdr/mount.h"
#include "bdr/recover.h"
#include "bdr/repo.h"
#include "bdr/serve.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static struct bdr_cancel cancel;

static void on_signal(int sig)
{
    (void)sig;
    bdr_cancel_set(&cancel);
}

static bool has(char **argv, const char *word)
{
    for (; *argv; argv++)
        if (!strcmp(*argv, word))
            return true;
    return false;
}

static const char *value(char **argv, const char *key)
{
    for (; *argv; argv++)
        if (!strncmp(*argv, key, strlen(key)))
            return *argv + strlen(key);
    return NULL;
}

static struct bdr_err *run_recover(char **argv)
{
    struct bdr_repo_options ro = {.read_only = true, .passphrase_file = getenv("PASSPHRASE_FILE")};
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(disk) struct bdr_disk *disk = NULL;
    struct bdr_point_info point;
    struct bdr_recover_result res = {0};
    uint64_t index, workers = 0, every = 0;
    struct bdr_recover_spec spec = {.location = argv[3],
                                    .force = has(argv, "force"),
                                    .resume = has(argv, "resume"),
                                    .verify = has(argv, "verify"),
                                    .skip_damaged = has(argv, "skip"),
                                    .direct = has(argv, "direct"),
                                    .cancel = &cancel};

    BDR_TRY(bdr_u64_parse(argv[2], 64, &index));
    if (value(argv, "workers="))
        BDR_TRY(bdr_u64_parse(value(argv, "workers="), 64, &workers));
    if (value(argv, "every="))
        BDR_TRY(bdr_u64_parse(value(argv, "every="), 100000, &every));
    BDR_TRY(bdr_repo_open(argv[0], &ro, &repo));
    BDR_TRY(bdr_repo_find(repo, argv[1], NULL, &point));
    BDR_TRY(bdr_disk_open(repo, point.id, (uint32_t)index, NULL, &disk));
    spec.disk = disk;
    spec.point_id = point.id;
    spec.disk_index = (uint32_t)index;
    spec.workers = (uint32_t)workers;
    spec.checkpoint_ms = (uint32_t)every;
    BDR_TRY(bdr_recover_run(&spec, &res));
    printf("data %llu zero %llu resumed %llu\n", (unsigned long long)res.data_bytes, (unsigned long long)res.zero_bytes,
           (unsigned long long)res.resumed_bytes);
    for (size_t i = 0; i < res.n_damaged; i++)
        printf("damaged %llu %llu\n", (unsigned long long)res.damaged[i].off, (unsigned long long)res.damaged[i].len);
    if (*res.note)
        printf("note %s\n", res.note);
    bdr_recover_result_free(&res);
    return NULL;
}

static void serve_ready(void *ctx, const char *uri)
{
    (void)ctx;
    printf("ready %s\n", uri);
    fflush(stdout);
}

static struct bdr_err *run_serve(char **argv)
{
    uint64_t index;
    struct bdr_serve_spec spec = {.repo_url = argv[0],
                                  .point = argv[1],
                                  .listen = argv[3],
                                  .ready = serve_ready,
                                  .writable = has(argv, "writable"),
                                  .plugin = argv[4],
                                  .passphrase_file = getenv("PASSPHRASE_FILE"),
                                  .tls_dir = getenv("TLS_DIR")};

    BDR_TRY(bdr_u64_parse(argv[2], 64, &index));
    spec.disk = (uint32_t)index;
    return bdr_serve_run(&spec, &cancel);
}

static void mount_ready(void *ctx)
{
    (void)ctx;
    printf("ready\n");
    fflush(stdout);
}

static struct bdr_err *run_mount(char **argv)
{
    struct bdr_repo_options ro = {.read_only = true, .passphrase_file = getenv("PASSPHRASE_FILE")};
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;

    BDR_TRY(bdr_repo_open(argv[0], &ro, &repo));
    return bdr_mount_run(&(struct bdr_mount_spec){.repo = repo, .mountpoint = argv[1], .parts_reader = PARTS_READER, .ready = mount_ready},
                         &cancel);
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_signal};
    struct bdr_err *err = NULL;
    char text[1024];
    int code = 0;

    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    if (argc >= 6 && !strcmp(argv[1], "recover"))
        err = run_recover(argv + 2);
    else if (argc >= 7 && !strcmp(argv[1], "serve"))
        err = run_serve(argv + 2);
    else if (argc >= 4 && !strcmp(argv[1], "mount"))
        err = run_mount(argv + 2);
    else
        err = bdr_err_new(BDR_INVAL, 0, BDR_AT, "see the head of tool.c");
    if (err) {
        fprintf(stderr, "%s: %s\n", bdr_code_name(err->code), bdr_err_text(err, text, sizeof(text)));
        code = bdr_code_exit(err->code);
        bdr_err_free(err);
    }
    return code;
}
