/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_repo.h"
#include "bdr/bytes.h"
#include "bdr/disk.h"
#include "bdr/osfile.h"
#include "bdr/repo.h"
#include "bdr/store.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct fake_disk {
    char *path; /* file:, or NULL */
    uint64_t size, seed;
    uint64_t bad_off, bad_len;
};
struct fake_point {
    struct bdr_point_info info;
    struct fake_disk disks[8];
};
struct bdr_repo {
    char *url;
    struct fake_point *points;
    size_t n;
};
struct bdr_disk {
    const struct fake_disk *d;
    int fd;
};

static atomic_long fake_kill = 0; /* counts down */
static atomic_long fake_slow_ms = 0;

static uint64_t fake_mix(uint64_t x)
{
    x ^= x >> 31;
    x *= 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return x ^ x >> 32;
}

/* A third of the blocks is zeros, in runs. */
static bool fake_is_zero(uint64_t seed, uint64_t block)
{
    return fake_mix(seed * 1000003 + block / 5) % 3 == 0;
}

void fake_gen(uint64_t seed, uint64_t off, void *buf, size_t len)
{
    uint8_t *p = buf;

    while (len) {
        uint64_t block = off / FAKE_BLOCK_BYTES, in = off % FAKE_BLOCK_BYTES;
        size_t n = (size_t)BDR_MIN((uint64_t)len, FAKE_BLOCK_BYTES - in);

        if (fake_is_zero(seed, block)) {
            memset(p, 0, n);
        } else {
            uint64_t key = fake_mix(seed ^ block * 7919) | 1;

            uint64_t mask = 0x0101010101010101u * (uint8_t)block;

            for (size_t i = 0; i < n;) { /* eight bytes at a time: a sanitizer makes this dear */
                uint64_t word = (key * ((in + i) / 8 + 1)) ^ mask;
                size_t at = (in + i) % 8, take = BDR_MIN(8 - at, n - i);

                memcpy(p + i, (uint8_t *)&word + at, take);
                i += take;
            }
        }
        p += n;
        off += n;
        len -= n;
    }
}

static struct bdr_err *fake_disk_parse(struct fake_disk *d, char *spec)
{
    unsigned long long size, seed;
    struct stat st;

    if (sscanf(spec, "gen:%llu:%llu", &size, &seed) == 2) {
        *d = (struct fake_disk){.size = size, .seed = seed};
        return NULL;
    }
    if (strncmp(spec, "file:", 5) || stat(spec + 5, &st))
        BDR_FAIL(BDR_INVAL, 0, "bad disk '%s'", spec);
    *d = (struct fake_disk){.path = strdup(spec + 5), .size = (uint64_t)st.st_size};
    return NULL;
}

static struct bdr_err *fake_line(struct bdr_repo *repo, char *line)
{
    char *save = NULL, *word = strtok_r(line, " ", &save);
    struct fake_point *p = repo->n ? &repo->points[repo->n - 1] : NULL;

    if (!word || *word == '#')
        return NULL;
    if (!strcmp(word, "slow")) {
        atomic_store(&fake_slow_ms, strtol(save, NULL, 10));
    } else if (!strcmp(word, "kill_after")) {
        atomic_store(&fake_kill, strtol(save, NULL, 10));
    } else if (!strcmp(word, "corrupt") && p) {
        unsigned long long d, off, len;

        if (sscanf(save, "%llu %llu %llu", &d, &off, &len) != 3 || d >= p->info.disks)
            BDR_FAIL(BDR_INVAL, 0, "bad line");
        /* A block is good or bad as a whole. */
        p->disks[d].bad_off = off / FAKE_BLOCK_BYTES * FAKE_BLOCK_BYTES;
        p->disks[d].bad_len =
            (off + len + FAKE_BLOCK_BYTES - 1) / FAKE_BLOCK_BYTES * FAKE_BLOCK_BYTES - p->disks[d].bad_off;
    } else if (!strcmp(word, "point")) {
        const char *id = strtok_r(NULL, " ", &save), *host = strtok_r(NULL, " ", &save),
                   *time = strtok_r(NULL, " ", &save);

        p = realloc(repo->points, (repo->n + 1) * sizeof(*p));
        BDR_NOMEM_IF_NULL(p);
        repo->points = p;
        p += repo->n++;
        memset(p, 0, sizeof(*p));
        snprintf(p->info.id, sizeof(p->info.id), "%s", id);
        snprintf(p->info.host, sizeof(p->info.host), "%s", host);
        p->info.time_ms = strtoll(time, NULL, 10);
        while ((word = strtok_r(NULL, " ", &save)) && p->info.disks < 8) {
            BDR_TRY(fake_disk_parse(&p->disks[p->info.disks], word));
            p->info.size_bytes += p->disks[p->info.disks++].size;
        }
    }
    return NULL;
}

/* A fake repository is a file: nobody's credentials are asked for. */
void bdr_store_access_set(const struct bdr_store_access *access)
{
    (void)access;
}

struct bdr_err *bdr_repo_open(const char *url, const struct bdr_repo_options *opt, struct bdr_repo **out)
{
    BDR_AUTO(mem) char *text = NULL;
    BDR_AUTO(repo) struct bdr_repo *repo = calloc(1, sizeof(*repo));
    char *save = NULL;
    size_t len = 0;

    (void)opt;
    BDR_NOMEM_IF_NULL(repo);
    BDR_TRY(bdr_os_read_file(url, 1u << 24, &text, &len));
    repo->url = strdup(url);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        BDR_TRY(fake_line(repo, line));
    *out = BDR_STEAL(repo);
    return NULL;
}

void bdr_repo_close(struct bdr_repo *repo)
{
    for (size_t i = 0; i < repo->n; i++)
        for (uint32_t d = 0; d < repo->points[i].info.disks; d++)
            free(repo->points[i].disks[d].path);
    free(repo->points);
    free(repo->url);
    free(repo);
}

const char *bdr_repo_url(const struct bdr_repo *repo)
{
    return repo->url;
}

uint32_t bdr_repo_block_bytes(const struct bdr_repo *repo)
{
    (void)repo;
    return FAKE_BLOCK_BYTES;
}

struct bdr_err *bdr_repo_points(struct bdr_repo *repo, struct bdr_point_info **out, size_t *out_n)
{
    struct bdr_point_info *list;
    BDR_AUTO(repo) struct bdr_repo *now = NULL;

    /* The file may have grown: points come while a mount lives. */
    BDR_TRY(bdr_repo_open(repo->url, NULL, &now));
    list = calloc(now->n + 1, sizeof(*list));
    BDR_NOMEM_IF_NULL(list);
    for (size_t i = 0; i < now->n; i++)
        list[i] = now->points[i].info;
    *out_n = now->n;
    *out = list;
    return NULL;
}

struct bdr_err *bdr_repo_find(struct bdr_repo *repo, const char *which, const char *host, struct bdr_point_info *out)
{
    const struct bdr_point_info *best = NULL;

    for (size_t i = 0; i < repo->n; i++) {
        const struct bdr_point_info *p = &repo->points[i].info;

        if (host && strcmp(host, p->host))
            continue;
        if (!strcmp(which, "latest") ? !best || p->time_ms > best->time_ms : !strncmp(p->id, which, strlen(which)))
            best = p;
    }
    if (!best)
        BDR_FAIL(BDR_NOTFOUND, 0, "no point '%s'", which);
    *out = *best;
    return NULL;
}

struct bdr_err *bdr_disk_open(struct bdr_repo *repo, const char *point_id, uint32_t index,
                              const struct bdr_disk_options *opt, struct bdr_disk **out)
{
    (void)opt;
    for (size_t i = 0; i < repo->n; i++) {
        struct fake_point *p = &repo->points[i];
        struct bdr_disk *disk;

        if (strncmp(p->info.id, point_id, strlen(point_id)) || index >= p->info.disks)
            continue;
        disk = calloc(1, sizeof(*disk));
        BDR_NOMEM_IF_NULL(disk);
        disk->d = &p->disks[index];
        disk->fd = disk->d->path ? open(disk->d->path, O_RDONLY | O_CLOEXEC) : -1;
        *out = disk;
        return NULL;
    }
    BDR_FAIL(BDR_NOTFOUND, 0, "no disk %u of point '%s'", index, point_id);
}

void bdr_disk_close(struct bdr_disk *disk)
{
    if (disk && disk->fd >= 0)
        close(disk->fd);
    free(disk);
}
uint64_t bdr_disk_size(const struct bdr_disk *disk)
{
    return disk->d->size;
}
uint32_t bdr_disk_sector_bytes(const struct bdr_disk *disk)
{
    (void)disk;
    return 512;
}
uint32_t bdr_disk_block_bytes(const struct bdr_disk *disk)
{
    (void)disk;
    return FAKE_BLOCK_BYTES;
}

struct bdr_err *bdr_disk_read(struct bdr_disk *disk, uint64_t off, void *buf, size_t len)
{
    const struct fake_disk *d = disk->d;

    if (atomic_load(&fake_slow_ms))
        BDR_TRY(bdr_cancel_sleep(NULL, (uint64_t)atomic_load(&fake_slow_ms)));
    if (atomic_load(&fake_kill) && atomic_fetch_sub(&fake_kill, 1) == 1)
        kill(getpid(), SIGKILL);
    if (off > d->size || len > d->size - off)
        BDR_FAIL(BDR_RANGE, 0, "past the end");
    if (d->bad_len && off < d->bad_off + d->bad_len && d->bad_off < off + len)
        BDR_FAIL(BDR_CORRUPT, 0, "the block at %llu does not match its id (pack fake)", (unsigned long long)d->bad_off);
    if (d->path)
        return bdr_os_pread(disk->fd, d->path, buf, len, off);
    fake_gen(d->seed, off, buf, len);
    return NULL;
}

struct bdr_err *bdr_disk_extent(struct bdr_disk *disk, uint64_t off, uint64_t max, bool *out_data, uint64_t *out_len)
{
    const struct fake_disk *d = disk->d;
    uint64_t end, block = off / FAKE_BLOCK_BYTES;
    bool zero;

    if (off >= d->size)
        BDR_FAIL(BDR_RANGE, 0, "past the end");
    max = BDR_MIN(max, d->size - off);
    if (d->path) {
        off_t data = lseek(disk->fd, (off_t)off, SEEK_DATA), next;

        *out_data = data == (off_t)off;
        next = *out_data ? lseek(disk->fd, (off_t)off, SEEK_HOLE) : data;
        *out_len = next < 0 ? max : BDR_MIN(max, (uint64_t)next - off);
        return NULL;
    }
    zero = fake_is_zero(d->seed, block);
    do
        end = ++block * FAKE_BLOCK_BYTES;
    while (end - off < max && fake_is_zero(d->seed, block) == zero);
    *out_data = !zero;
    *out_len = BDR_MIN(max, end - off);
    return NULL;
}
