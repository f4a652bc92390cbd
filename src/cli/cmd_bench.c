/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_bench.c - bdr bench: what this machine can do with this disk's data.
 *
 * The whole engine runs on a sample held in memory into repositories held in memory, so that neither the disk nor the
 * store limits: what is left is hashing, compression and encryption, which decide how long a first backup must take.
 */
#include "bdr/backup.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/disk.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "bdr/recover.h"
#include "cmds.h"
#include "engine.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BENCH_PIECE (1u << 20)

struct bench_args {
    const char *source;
    uint64_t sample_bytes, block_bytes;
};

struct bench_rates {
    double full, again, back; /* bytes a second: first backup, unchanged backup, recovery */
    double ratio;             /* raw / stored */
};

/* Pieces spread evenly over the disk, one behind the other in a memory file. *out_read_rate: bytes a second. */
static struct bdr_err *bench_sample(const struct bench_args *a, struct bdr_cli *cli, int fd, uint64_t *out_bytes,
                                    double *out_read_rate)
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    BDR_AUTO(mem) uint8_t *buf = NULL;
    struct bdr_source_info info;
    uint64_t pieces, step, start, at = 0;

    BDR_TRY(bdr_source_open(&(struct bdr_source_spec){.location = a->source, .cancel = cli->cancel}, &src));
    BDR_TRY(bdr_source_info(src, &info));
    if (info.size_bytes < BENCH_PIECE)
        BDR_FAIL(BDR_INVAL, 0, "%s is smaller than 1 MiB; measure with something larger", a->source);
    if (posix_memalign((void **)&buf, 4096, BENCH_PIECE))
        BDR_FAIL(BDR_NOMEM, 0, "allocating a buffer");
    pieces = BDR_MIN(a->sample_bytes, info.size_bytes) / BENCH_PIECE;
    step = info.size_bytes / BENCH_PIECE / pieces * BENCH_PIECE;
    start = bdr_clock_mono_ns();
    for (uint64_t i = 0; i < pieces; i++) {
        BDR_TRY(bdr_cancel_check(cli->cancel));
        BDR_TRY(bdr_source_read(src, i * step, buf, BENCH_PIECE));
        BDR_TRY(bdr_os_pwrite(fd, "the sample", buf, BENCH_PIECE, at));
        at += BENCH_PIECE;
    }
    *out_bytes = at;
    *out_read_rate = (double)at * 1e9 / (double)(bdr_clock_mono_ns() - start + 1);
    return NULL;
}

/* Without a source: half text-like, half random, in 64 KiB stretches. */
static struct bdr_err *bench_make(const struct bench_args *a, int fd, uint64_t *out_bytes)
{
    BDR_AUTO(mem) uint8_t *buf = malloc(BENCH_PIECE);
    uint64_t s = 88172645463325252u, at = 0;

    BDR_NOMEM_IF_NULL(buf);
    for (; at + BENCH_PIECE <= a->sample_bytes; at += BENCH_PIECE) {
        for (size_t i = 0; i < BENCH_PIECE; i++) {
            s ^= s << 13, s ^= s >> 7, s ^= s << 17;
            buf[i] = i >> 16 & 1 ? (uint8_t)s : (uint8_t)(' ' + ((s >> 5) & (s >> 13) & (s >> 21) & 63));
        }
        BDR_TRY(bdr_os_pwrite(fd, "the sample", buf, BENCH_PIECE, at));
    }
    *out_bytes = at;
    return NULL;
}

/* Fills the sample file and tells where it is from. */
static struct bdr_err *bench_take(const struct bench_args *a, struct bdr_cli *cli, const char *path)
{
    BDR_AUTO(fd) int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    char size[16], rate_text[16];
    uint64_t bytes = 0;
    double rate = 0;

    if (fd < 0)
        BDR_FAIL_ERRNO("making %s", path);
    if (!a->source)
        return bench_make(a, fd, &bytes);
    BDR_TRY(bench_sample(a, cli, fd, &bytes, &rate));
    bdr_out_note(cli->out, "sample: %s of %s, read at %s/s with one reader", bdr_size_text(bytes, size), a->source,
                 bdr_size_text((uint64_t)rate, rate_text));
    return NULL;
}

static struct bdr_err *bench_backup(struct bdr_repo *repo, const char *path, const struct bdr_cancel *cancel,
                                    struct bdr_backup_result *out, double *out_rate)
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    struct bdr_backup_disk disk = {0};
    uint64_t start;

    BDR_TRY(bdr_source_open(&(struct bdr_source_spec){.location = path, .cancel = cancel}, &src));
    disk.src = src;
    start = bdr_clock_mono_ns();
    BDR_TRY(bdr_backup_run(repo, &disk, 1,
                           &(struct bdr_backup_options){.host = "bench", .host_id = "bench", .cancel = cancel}, out));
    *out_rate = (double)out->size_bytes * 1e9 / (double)(bdr_clock_mono_ns() - start + 1);
    return NULL;
}

static struct bdr_err *bench_run_one(const struct bench_args *a, struct bdr_cli *cli, const char *dir,
                                     const char *key_file, const char *path, const char *compress, bool encrypt,
                                     struct bench_rates *out)
{
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(disk) struct bdr_disk *disk = NULL;
    struct bdr_backup_result r;
    struct bdr_recover_result back = {0};
    char url[64];
    uint64_t start;

    snprintf(url, sizeof(url), "mem:bench-%s-%d", compress, encrypt);
    BDR_TRY(bdr_repo_init(url, &(struct bdr_repo_init_options){.block_bytes = (uint32_t)a->block_bytes,
                                                               .compress = compress, .encrypt = encrypt,
                                                               .key_file = encrypt ? key_file : NULL}));
    BDR_TRY(bdr_repo_open(url,
                          &(struct bdr_repo_options){.key_file = key_file, .cache_dir = dir, .cancel = cli->cancel},
                          &repo));
    BDR_TRY(bench_backup(repo, path, cli->cancel, &r, &out->full));
    out->ratio = (double)r.new_bytes / (double)(r.stored_bytes ? r.stored_bytes : 1);
    BDR_TRY(bench_backup(repo, path, cli->cancel, &r, &out->again));
    BDR_TRY(bdr_disk_open(repo, r.point_id, 0, NULL, &disk));
    start = bdr_clock_mono_ns();
    BDR_TRY(bdr_recover_run(&(struct bdr_recover_spec){.disk = disk, .point_id = r.point_id, .location = "null:",
                                                       .cancel = cli->cancel},
                            &back));
    bdr_recover_result_free(&back);
    out->back = (double)r.size_bytes * 1e9 / (double)(bdr_clock_mono_ns() - start + 1);
    return NULL;
}

static struct bdr_err *bench_table(const struct bench_args *a, struct bdr_cli *cli, const char *dir, const char *path,
                                   struct bdr_table *t)
{
    static const char *const codecs[] = {"none", "lz4:1", "lz4", "lz4:4", "zstd:-3", "zstd:1", "zstd:2", "zstd:3", "zstd:9"};
    char key_file[96];
    uint8_t key[32];
    BDR_AUTO(fd) int fd = -1;

    snprintf(key_file, sizeof(key_file), "%s/key", dir);
    fd = open(key_file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        BDR_FAIL_ERRNO("making %s", key_file);
    BDR_TRY(bdr_os_random(key, sizeof(key)));
    BDR_TRY(bdr_os_write(fd, key_file, key, sizeof(key)));
    for (int encrypt = 0; encrypt < 2; encrypt++)
        for (size_t i = 0; i < BDR_COUNT(codecs); i++) {
            struct bench_rates r = {0};
            char ratio[16];

            BDR_TRY(bench_run_one(a, cli, dir, key_file, path, codecs[i], encrypt, &r));
            snprintf(ratio, sizeof(ratio), "%.2f", r.ratio);
            BDR_TRY(bdr_table_add(t, (const struct bdr_cell[]){BDR_CELL_TEXT(codecs[i]), BDR_CELL_U64((uint64_t)encrypt),
                                                               BDR_CELL_U64((uint64_t)r.full), BDR_CELL_TEXT(ratio),
                                                               BDR_CELL_U64((uint64_t)r.again),
                                                               BDR_CELL_U64((uint64_t)r.back)}));
        }
    return NULL;
}

static struct bdr_err *bench_run(void *raw, struct bdr_cli *cli)
{
    static const struct bdr_col cols[] = {
        {"COMPRESSION", "compress", BDR_COL_TEXT, 0, 0},       {"ENCRYPTED", "encrypted", BDR_COL_BOOL, 0, 0},
        {"FIRST BACKUP/S", "backup_bytes_per_s", BDR_COL_SIZE, 0, 0}, {"RATIO", "ratio", BDR_COL_TEXT, BDR_ALIGN_RIGHT, 0},
        {"UNCHANGED/S", "unchanged_bytes_per_s", BDR_COL_SIZE, 0, 0}, {"RECOVER/S", "recover_bytes_per_s", BDR_COL_SIZE, 0, 0},
    };
    const struct bench_args *a = raw;
    BDR_AUTO(table) struct bdr_table *t = NULL;
    char dir[64], path[80];
    struct bdr_err *err;

    snprintf(dir, sizeof(dir), "%s/bdr-bench-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(dir))
        BDR_FAIL_ERRNO("making a temporary folder");
    snprintf(path, sizeof(path), "%s/sample", dir);
    err = bench_take(a, cli, path);
    if (!err)
        err = bdr_table_new(cols, BDR_COUNT(cols), &t);
    if (!err)
        err = bench_table(a, cli, dir, path, t);
    bdr_err_drop(bdr_os_remove_tree(dir), "a temporary folder");
    BDR_TRY(err);
    BDR_TRY(bdr_out_table(cli->out, t));
    bdr_out_note(cli->out, "on %u CPUs, memory to memory; your disk and your store may be slower", bdr_cpu_count());
    return NULL;
}

static const struct bdr_opt bench_opts[] = {
    {.name = "sample", BDR_SIZE(struct bench_args, sample_bytes), .def = "128M", .min = 1 << 20, .max = 1ull << 33,
     .help = "How much of the source is looked at, in pieces spread over all of it."},
    {.name = "block-size", BDR_SIZE(struct bench_args, block_bytes), .def = "256K", .min = 65536, .max = 4194304,
     .help = "Block size of the repositories that are tried."},
    {0},
};
static const struct bdr_arg bench_rows[] = {
    {.name = "SOURCE", .need = BDR_ARG_OPTIONAL, BDR_STRING(struct bench_args, source), .path = true,
     .help = "A disk to take the sample from. Default: made-up data."},
    {0},
};
const struct bdr_cmd bdr_cmd_bench = {
    .name = "bench",
    .summary = "measure what this machine can do, to choose compression",
    .help = "Runs the engine on a sample held in memory, with each kind of compression, with and without encryption. "
            "Nothing is stored anywhere.",
    .examples = "# how would backups of this disk go?\nbdr bench /dev/sda\n",
    .opts = bench_opts,
    .args = bench_rows,
    .args_size = sizeof(struct bench_args),
    .run = bench_run,
};
