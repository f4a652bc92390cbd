/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "bdr/jsonset.h"
#include "bdr/osfile.h"
#include <stdio.h>
#include <string.h>

static struct bdr_err *cli_open(struct bdr_cli *cli, const struct bdr_repo_options *more, struct bdr_repo **out)
{
    struct bdr_repo_options opt = *more;
    const char *url = NULL;

    BDR_TRY(bdr_cli_repo(cli, NULL, &url));
    opt.passphrase_file = cli->common->passphrase_file;
    opt.key_file = cli->common->key_file;
    opt.cache_dir = cli->common->cache_dir;
    opt.cancel = cli->cancel;
    return bdr_repo_open(url, &opt, out);
}

struct bdr_err *bdr_cli_open(struct bdr_cli *cli, bool read_only, struct bdr_repo **out)
{
    return cli_open(cli, &(struct bdr_repo_options){.read_only = read_only}, out);
}

struct bdr_err *bdr_cli_open_writer(struct bdr_cli *cli, struct bdr_repo **out)
{
    return cli_open(cli, &(struct bdr_repo_options){.writes_next = true}, out);
}

struct bdr_err *bdr_cli_open_to_free(struct bdr_cli *cli, struct bdr_repo **out)
{
    return cli_open(cli, &(struct bdr_repo_options){.writes_next = true, .to_free = true}, out);
}

struct bdr_err *bdr_cli_open_other(struct bdr_cli *cli, const char *url, const char *passphrase_file,
                                   const char *key_file, bool read_only, struct bdr_repo **out)
{
    bool own = passphrase_file || key_file;

    return bdr_repo_open(url,
                         &(struct bdr_repo_options){.passphrase_file = own ? passphrase_file : cli->common->passphrase_file,
                                                    .key_file = own ? key_file : cli->common->key_file,
                                                    .cache_dir = cli->common->cache_dir,
                                                    .read_only = read_only,
                                                    .writes_next = !read_only,
                                                    .cancel = cli->cancel},
                         out);
}

struct bdr_err *bdr_cli_host(const char *host, char out[128])
{
    if (!host)
        return bdr_os_hostname(out, 128);
    if (!*host || strlen(host) > 127)
        BDR_FAIL(BDR_INVAL, 0, "a host's name has 1 to 127 bytes");
    snprintf(out, 128, "%s", host);
    return NULL;
}

void bdr_cli_gc_sample(void *ctx, struct bdr_progress_counts *out)
{
    const struct bdr_gc_meter *m = ctx;

    out->done_bytes = atomic_load(&m->done);
    out->total_bytes = atomic_load(&m->total);
}

static struct bdr_err *damage_json(struct bdr_cli *cli, const struct bdr_cli_damage *d)
{
    BDR_AUTO(json) json_t *doc = bdr_record_json(d->cols, d->n, d->cells);
    json_t *bad = json_array();

    BDR_NOMEM_IF_NULL(doc);
    BDR_TRY(bdr_json_set(doc, "bad_objects", bad));
    for (size_t i = 0; i < d->n_bad; i++)
        BDR_TRY(bdr_json_append(bad, json_string(d->bad[i])));
    BDR_TRY(bdr_json_set(doc, d->name, bdr_table_json(d->table)));
    return bdr_out_json(cli->out, BDR_STEAL(doc));
}

struct bdr_err *bdr_cli_tell_damage(struct bdr_cli *cli, const struct bdr_cli_damage *d)
{
    if (cli->common->json)
        return damage_json(cli, d);
    for (size_t i = 0; i < d->n_bad; i++)
        BDR_TRY(bdr_out_line(cli->out, "bad: %s", d->bad[i]));
    if (d->rows) {
        BDR_TRY(bdr_out_table(cli->out, d->table));
        BDR_TRY(bdr_out_line(cli->out, "%s", ""));
    }
    return bdr_out_record(cli->out, d->cols, d->n, d->cells);
}
