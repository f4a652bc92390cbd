/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes_elsewhere.c - file systems that are mounted in other mount namespaces only: a container's, a service's of its own.
 *
 * What is mounted here, too, is reached here. The rest is reached through a process there, /proc/PID/root (proc(5)): the
 * one with the lowest number, which is most often the one that the others came from. That asks for root; without it
 * such a file system stays "claimed by something that is not mounted here".
 */
#include "bdr/osfile.h"
#include "volumes_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct elsewhere_ns {
    uint64_t ns, pid; /* ns: its inode */
};
struct elsewhere {
    struct elsewhere_ns *at;
    size_t n, cap;
};

static void elsewhere_end(struct elsewhere *e)
{
    free(e->at);
}

/* The mount namespace of the process `pid` ("self"); 0 when that is not to be known. */
static uint64_t elsewhere_of(const struct volumes_host *host, const char *pid)
{
    char path[PATH_MAX], to[64];
    ssize_t n;

    snprintf(path, sizeof(path), "%s/%s/ns/mnt", host->proc, pid);
    n = readlink(path, to, sizeof(to) - 1);
    if (n < 6 || strncmp(to, "mnt:[", 5))
        return 0;
    to[n] = 0;
    return strtoull(to + 5, NULL, 10);
}

static int elsewhere_order(const void *a, const void *b)
{
    const struct elsewhere_ns *x = a, *y = b;

    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* All processes that are in another one than ours, those of one namespace together, the lowest number first. */
static struct bdr_err *elsewhere_list(const struct volumes_host *host, struct elsewhere *all)
{
    uint64_t ours = elsewhere_of(host, "self");
    DIR *dir = ours ? volumes_opendir(host->proc) : NULL;
    bool short_of_memory = false;
    struct dirent *e;

    while (dir && !short_of_memory && (e = readdir(dir))) {
        uint64_t ns = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? elsewhere_of(host, e->d_name) : 0;

        if (!ns || ns == ours)
            continue;
        if (all->n == all->cap) {
            struct elsewhere_ns *more = reallocarray(all->at, all->cap * 2 + 16, sizeof(*more));

            short_of_memory = !more;
            if (!more)
                continue;
            all->at = more;
            all->cap = all->cap * 2 + 16;
        }
        all->at[all->n++] = (struct elsewhere_ns){ns, strtoull(e->d_name, NULL, 10)};
    }
    if (dir)
        closedir(dir);
    if (short_of_memory)
        BDR_NOMEM_IF_NULL(NULL);
    if (all->n)
        qsort(all->at, all->n, sizeof(*all->at), elsewhere_order);
    return NULL;
}

static int elsewhere_by_dev(const void *a, const void *b)
{
    volumes_dev x = *(const volumes_dev *)a, y = *(const volumes_dev *)b;

    return x < y ? -1 : x > y;
}

/* Moves those of `there` whose file system is not among `known` to s->mounts, each under its way in. */
static struct bdr_err *elsewhere_take(struct volumes_scan *s, uint64_t pid, struct volumes_mounts *there,
                                      const volumes_dev *known, size_t known_n)
{
    for (size_t i = 0; i < there->n; i++) {
        struct volumes_mount *m = &there->at[i], *more;
        char where[PATH_MAX];

        if (bsearch(&m->dev, known, known_n, sizeof(*known), elsewhere_by_dev) || !volumes_on_devices(m))
            continue;
        if (snprintf(where, sizeof(where), "%s/%llu/root%s", s->host->proc, (unsigned long long)pid, m->point) >=
            (int)sizeof(where))
            continue;
        more = reallocarray(s->mounts.at, s->mounts.n + 1, sizeof(*more));
        BDR_NOMEM_IF_NULL(more);
        s->mounts.at = more;
        m->elsewhere = strdup(where);
        BDR_NOMEM_IF_NULL(m->elsewhere);
        m->point = m->elsewhere;
        s->mounts.at[s->mounts.n++] = *m;
        *m = (struct volumes_mount){0};
    }
    return NULL;
}

/* One namespace, by one of its processes. *out is false when that can't be looked into: it ended, or is another's. */
static struct bdr_err *elsewhere_look(struct volumes_scan *s, uint64_t pid, const volumes_dev *known, size_t known_n,
                                      bool *out)
{
    BDR_AUTO(mem) char *text = NULL;
    struct volumes_mounts there = {0};
    struct bdr_err *err;
    char path[PATH_MAX];
    size_t len = 0;

    *out = false;
    snprintf(path, sizeof(path), "%s/%llu/mountinfo", s->host->proc, (unsigned long long)pid);
    err = bdr_os_read_file(path, VOLUMES_TEXT_MAX, &text, &len);
    if (err && (err->code == BDR_NOMEM || err->sys == EMFILE || err->sys == ENFILE))
        return err;
    bdr_err_drop(err, "a process that ended, or that is not ours to look into");
    if (err || !len)
        return NULL;
    *out = true;
    err = volumes_mounts_parse(text, len, &there);
    if (!err)
        err = elsewhere_take(s, pid, &there, known, known_n);
    volumes_mounts_free(&there);
    return err;
}

struct bdr_err *volumes_elsewhere(struct volumes_scan *s)
{
    __attribute__((cleanup(elsewhere_end))) struct elsewhere all = {0};
    BDR_AUTO(mem) volumes_dev *known = calloc(s->mounts.n + 1, sizeof(*known));
    size_t known_n = s->mounts.n;

    BDR_NOMEM_IF_NULL(known);
    for (size_t i = 0; i < known_n; i++)
        known[i] = s->mounts.at[i].dev;
    qsort(known, known_n, sizeof(*known), elsewhere_by_dev);
    BDR_TRY(elsewhere_list(s->host, &all));
    for (size_t i = 0; i < all.n;) {
        uint64_t ns = all.at[i].ns;
        bool looked = false;

        for (; i < all.n && all.at[i].ns == ns; i++)
            if (!looked)
                BDR_TRY(elsewhere_look(s, all.at[i].pid, known, known_n, &looked));
    }
    return NULL;
}

/*
 * Whoever is root in a container can put a symbolic link in the way, and an absolute one would lead us to a file system
 * of ours: there, none is followed. openat2(2) is of Linux 5.6; before it, the names are taken as they are.
 */
int volumes_open(const char *point, int flags)
{
    BDR_AUTO(fd) int root = -1;
    char way[64];
    unsigned long long pid;
    int n = 0;

    if (sscanf(point, "/proc/%llu/root/%n", &pid, &n) == 1 && n) {
        struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
        long fd;

        snprintf(way, sizeof(way), "/proc/%llu/root", pid);
        root = open(way, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0)
            return -1;
        fd = syscall(SYS_openat2, root, point[n] ? point + n : ".", &how, sizeof(how));
        if (fd >= 0 || errno != ENOSYS)
            return (int)fd;
    }
    return open(point, flags | O_CLOEXEC);
}
