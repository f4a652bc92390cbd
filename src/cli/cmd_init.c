/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_init.c - bdr init. */
#include "cmds.h"
#include "engine.h"

struct init_args {
    uint64_t block_bytes, pack_bytes;
    const char *compress;
    bool encrypt;
};

static struct bdr_err *init_run(void *raw, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {
        {"Repository", "url", BDR_COL_TEXT, 0, 0},      {"Id", "id", BDR_COL_TEXT, 0, 0},
        {"Block size", "block_bytes", BDR_COL_SIZE, 0, 0}, {"Compression", "compress", BDR_COL_TEXT, 0, 0},
        {"Encrypted", "encrypted", BDR_COL_BOOL, 0, 0},
    };
    const struct init_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    struct bdr_repo_facts facts;
    const char *url = NULL;

    BDR_TRY(bdr_cli_repo(cli, NULL, &url));
    BDR_TRY(bdr_repo_init(url, &(struct bdr_repo_init_options){.block_bytes = (uint32_t)a->block_bytes,
                                                               .pack_bytes = (uint32_t)a->pack_bytes,
                                                               .compress = a->compress,
                                                               .encrypt = a->encrypt,
                                                               .passphrase_file = cli->common->passphrase_file,
                                                               .key_file = cli->common->key_file,
                                                               .cancel = cli->cancel}));
    BDR_TRY(bdr_cli_open(cli, false, &repo));
    BDR_TRY(bdr_repo_facts(repo, &facts));
    if (a->encrypt)
        bdr_out_note(cli->out, "without the passphrase or key file nobody can read this repository, we included; "
                               "'bdr key export' prints a recovery kit to lock away");
    return bdr_out_record(cli->out, cols, BDR_COUNT(cols),
                          (const struct bdr_cell[]){BDR_CELL_TEXT(bdr_repo_url(repo)), BDR_CELL_TEXT(facts.id),
                                                    BDR_CELL_U64(facts.block_bytes), BDR_CELL_TEXT(facts.compress),
                                                    BDR_CELL_U64(facts.encrypted)});
}

static const struct bdr_opt init_opts[] = {
    {.name = "block-size", BDR_SIZE(struct init_args, block_bytes), .def = "256K", .min = 65536, .max = 4194304,
     .help = "Size of the blocks disks are cut into: a power of two from 64K to 4M. Smaller ones make increments "
             "smaller, larger ones the repository's maps and index."},
    {.name = "pack-size", BDR_SIZE(struct init_args, pack_bytes), .def = "32M", .min = 4194304, .max = 268435456,
     .help = "Blocks are grouped into objects of about this size."},
    {.name = "compress", BDR_STRING(struct init_args, compress), .def = "zstd", .metavar = "zstd[:LEVEL]|lz4[:ACCELERATION]|none",
     .help = "How blocks are compressed; blocks that would not get smaller are stored as they are."},
    {.name = "encrypt", BDR_FLAG(struct init_args, encrypt),
     .help = "Encrypt everything with AES-256-GCM; give the key by --passphrase-file or --key-file.", .cli_only = true},
    {0},
};

const struct bdr_cmd bdr_cmd_init = {
    .name = "init",
    .group = "Repositories",
    .summary = "make a repository",
    .help = "Makes an empty repository in a folder or below an S3 prefix. What is chosen here stays for the "
            "repository's life; compression can be changed for each backup.",
    .examples = "# an encrypted repository in a folder\nbdr init --repo /backup/r1 --encrypt --passphrase-file /root/pass\n"
                "# one in a bucket\nbdr init --repo s3://dr-bucket/site1 --compress lz4\n",
    .opts = init_opts,
    .args_size = sizeof(struct init_args),
    .run = init_run,
};
