/* SPDX-License-Identifier: Apache-2.0 */
/*
 * make.c - backs images up into a repository, for the scripts beside it.
 *
 *   make REPO HOST IMAGE...       makes the repository when it is not there; prints the point's id
 *
 * With PASSPHRASE_FILE in the environment it is encrypted.
 */
#include "bdr/backup.h"
#include "bdr/repo.h"
#include "bdr/source.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct bdr_err *make_backup(const char *url, const char *host, char **images, size_t n)
{
    const char *pass = getenv("PASSPHRASE_FILE");
    struct bdr_repo_init_options init = {.encrypt = pass != NULL, .passphrase_file = pass};
    struct bdr_backup_disk disks[8] = {{0}};
    struct bdr_backup_result res;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    struct bdr_err *err = NULL;

    if (access(url, F_OK))
        BDR_TRY(bdr_repo_init(url, &init));
    BDR_TRY(bdr_repo_open(url, &(struct bdr_repo_options){.passphrase_file = pass}, &repo));
    for (size_t i = 0; i < n && !err; i++)
        err = bdr_source_open(&(struct bdr_source_spec){.location = images[i]}, &disks[i].src);
    if (!err)
        err = bdr_backup_run(repo, disks, n, &(struct bdr_backup_options){.host = host, .audit_pct = -1}, &res);
    for (size_t i = 0; i < n; i++)
        bdr_source_close(disks[i].src);
    if (!err)
        printf("%s\n", res.point_id);
    return err;
}

int main(int argc, char **argv)
{
    struct bdr_err *err;
    char text[1024];

    if (argc < 4 || argc > 11) {
        fprintf(stderr, "usage: make REPO HOST IMAGE...\n");
        return 2;
    }
    err = make_backup(argv[1], argv[2], argv + 3, (size_t)argc - 3);
    if (!err)
        return 0;
    fprintf(stderr, "%s: %s\n", bdr_code_name(err->code), bdr_err_text(err, text, sizeof(text)));
    bdr_err_free(err);
    return 1;
}
