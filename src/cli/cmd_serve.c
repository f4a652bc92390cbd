/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_serve.c - bdr serve (NBD) and bdr mount (FUSE). */
#include "bdr/mount.h"
#include "bdr/serve.h"
#include "cmds.h"
#include "engine.h"

struct serve_args {
    const char *which, *host, *listen, *tls_dir, *cow_dir;
    uint64_t cache_bytes;
    uint32_t disk;
    bool writable, allow_plain;
};

struct serve_told {
    struct bdr_cli *cli;
    const char *point;
};

static void serve_ready(void *ctx, const char *uri)
{
    struct serve_told *t = ctx;

    bdr_out_note(t->cli->out, "point %.8s is served at %s; press Ctrl-C to end", t->point, uri);
}

static struct bdr_err *serve_run(void *raw, struct bdr_cli *cli)
{
    const struct serve_args *a = raw;
    struct bdr_point_info point;
    struct serve_told told = {.cli = cli, .point = point.id};
    struct bdr_serve_spec spec = {.passphrase_file = cli->common->passphrase_file, .key_file = cli->common->key_file,
                                  .cache_dir = cli->common->cache_dir, .point = point.id, .disk = a->disk,
                                  .listen = a->listen, .tls_dir = a->tls_dir, .allow_plain = a->allow_plain,
                                  .writable = a->writable, .cow_dir = a->cow_dir, .cache_bytes = a->cache_bytes,
                                  .ready = serve_ready, .ready_ctx = &told};

    {
        BDR_AUTO(repo) struct bdr_repo *repo = NULL;

        BDR_TRY(bdr_cli_open(cli, true, &repo));
        BDR_TRY(bdr_repo_find(repo, a->which, a->host, &point));
    }
    BDR_TRY(bdr_cli_repo(cli, NULL, &spec.repo_url));
    return bdr_serve_run(&spec, cli->cancel);
}

static const struct bdr_opt serve_opts[] = {
    {.name = "listen", BDR_STRING(struct serve_args, listen), .def = "127.0.0.1:10809", .metavar = "PATH|HOST:PORT",
     .help = "A unix socket's path (with a '/'), or an address; port 0 takes any free one."},
    {.name = "host", BDR_STRING(struct serve_args, host), .metavar = "NAME", .help = "Whose latest point."},
    {.name = "disk", BDR_U32(struct serve_args, disk), .def = "0", .max = 255, .help = "Number of the disk, from 0."},
    {.name = "writable", BDR_FLAG(struct serve_args, writable), .cli_only = true,
     .help = "Let clients write; what they write is kept in a temporary file and forgotten at the end."},
    {.name = "cow-dir", BDR_PATH(struct serve_args, cow_dir), .help = "Where that file is made. Default: /var/tmp."},
    {.name = "tls-dir", BDR_PATH(struct serve_args, tls_dir),
     .help = "Folder with ca-cert.pem, server-cert.pem, server-key.pem: TLS, and clients need a certificate."},
    {.name = "allow-plain", BDR_FLAG(struct serve_args, allow_plain),
     .help = "Serve beyond this machine without TLS: everybody on the network can read the disk."},
    {.name = "cache", BDR_SIZE(struct serve_args, cache_bytes), .help = "Memory for decoded blocks."},
    {0},
};
static const struct bdr_arg serve_rows[] = {
    {.name = "POINT", .need = BDR_ARG_REQUIRED, BDR_STRING(struct serve_args, which),
     .help = "A point's id or its beginning, or 'latest'."},
    {0},
};
const struct bdr_cmd bdr_cmd_serve = {
    .name = "serve",
    .summary = "offer a disk of a recovery point over NBD",
    .help = "Serves the disk at once, without copying it first: boot a virtual machine from it, mount it, or copy it "
            "elsewhere. Runs until Ctrl-C. Needs nbdkit.",
    .examples = "# on a unix socket, and boot it\nbdr serve --repo /backup/r1 latest --host web1 --writable --listen /tmp/web1.sock\n"
                "qemu-system-x86_64 -m 1G -drive 'file=nbd+unix:///?socket=/tmp/web1.sock,format=raw,if=virtio'\n",
    .opts = serve_opts,
    .args = serve_rows,
    .args_size = sizeof(struct serve_args),
    .run = serve_run,
};

struct mount_args {
    const char *where;
    uint64_t cache_bytes;
    uint32_t threads;
    bool allow_other;
};

static void mount_ready(void *ctx)
{
    struct bdr_cli *cli = ctx;

    bdr_out_note(cli->out, "mounted; press Ctrl-C, or run 'fusermount3 -u' on it, to end");
}

static struct bdr_err *mount_run(void *raw, struct bdr_cli *cli)
{
    const struct mount_args *a = raw;
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;

    BDR_TRY(bdr_cli_open(cli, true, &repo));
    return bdr_mount_run(&(struct bdr_mount_spec){.repo = repo, .mountpoint = a->where, .allow_other = a->allow_other,
                                                  .threads = a->threads, .cache_bytes = a->cache_bytes,
                                                  .ready = mount_ready, .ready_ctx = cli},
                         cli->cancel);
}

static const struct bdr_opt mount_opts[] = {
    {.name = "allow-other", BDR_FLAG(struct mount_args, allow_other), .help = "Other users may read it, too."},
    {.name = "threads", BDR_U32(struct mount_args, threads), .max = 64, .help = "Requests answered at once. Default: 8."},
    {.name = "cache", BDR_SIZE(struct mount_args, cache_bytes), .help = "Memory for decoded blocks of each open disk. Default: 32M."},
    {0},
};
static const struct bdr_arg mount_rows[] = {
    {.name = "FOLDER", .need = BDR_ARG_REQUIRED, BDR_PATH(struct mount_args, where), .help = "An empty folder."},
    {0},
};
const struct bdr_cmd bdr_cmd_mount = {
    .name = "mount",
    .summary = "show all recovery points as files",
    .help = "Mounts the repository: a folder a host, in it a folder a point, in that each disk and each of its "
            "partitions as a file. Runs until Ctrl-C.",
    .examples = "# get one file back\nbdr mount --repo /backup/r1 /mnt/points &\n"
                "mount -o loop,ro,norecovery /mnt/points/web1/latest/disk0.p1 /mnt/web1\n",
    .opts = mount_opts,
    .args = mount_rows,
    .args_size = sizeof(struct mount_args),
    .run = mount_run,
};
