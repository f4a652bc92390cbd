/* SPDX-License-Identifier: Apache-2.0 */
#include "harm.h"
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HARM_MAX 512

static char found[HARM_MAX][300];
static unsigned n_found;

static int harm_visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (type == FTW_F && n_found < HARM_MAX)
        snprintf(found[n_found++], sizeof(found[0]), "%s", path);
    return 0;
}

static int path_cmp(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void harm_list(const char *repo, const char *folder)
{
    char dir[200];

    snprintf(dir, sizeof(dir), "%s/%s", repo, folder);
    n_found = 0;
    nftw(dir, harm_visit, 8, FTW_PHYS);
    qsort(found, n_found, sizeof(found[0]), path_cmp);
}

unsigned harm_count(const char *repo, const char *folder)
{
    harm_list(repo, folder);
    return n_found;
}

static void harm_bit(int fd, off_t at)
{
    uint8_t b;

    if (pread(fd, &b, 1, at) != 1)
        abort();
    b ^= 16;
    if (pwrite(fd, &b, 1, at) != 1)
        abort();
}

static void harm_zero(int fd, off_t end)
{
    static const uint8_t zeros[4096];

    for (off_t at = 64; at < end; at += (off_t)sizeof(zeros))
        if (pwrite(fd, zeros, (size_t)(end - at < 4096 ? end - at : 4096), at) < 0)
            abort();
}

static bool harm_one(const char *path, enum harm_class cls, enum harm_how how, bool do_it)
{
    uint8_t head[12], trailer[64];
    struct stat st;
    off_t body_end = 0;
    int fd = open(path, O_RDWR);
    bool mine;

    if (fd < 0 || fstat(fd, &st) || pread(fd, head, sizeof(head), 0) != sizeof(head) ||
        pread(fd, trailer, sizeof(trailer), st.st_size - 64) != sizeof(trailer))
        abort();
    mine = head[10] == (uint8_t)cls;
    for (int i = 7; i >= 0; i--)
        body_end = body_end << 8 | trailer[8 + i];
    if (mine && do_it) {
        if (how == HARM_FLIP)
            harm_bit(fd, 64 + (body_end - 64) / 2);
        if (how == HARM_ZERO)
            harm_zero(fd, body_end);
        if (how == HARM_TABLE)
            harm_bit(fd, body_end + 20);
        if (how == HARM_TEAR && ftruncate(fd, st.st_size / 2))
            abort();
        if (how == HARM_DELETE && unlink(path))
            abort();
    }
    close(fd);
    return mine;
}

unsigned harm_packs(const char *repo, enum harm_class cls, enum harm_how how, unsigned each)
{
    unsigned seen = 0, done = 0;

    harm_list(repo, "packs");
    for (unsigned i = 0; i < n_found; i++) {
        bool now = seen % each == 0, mine = harm_one(found[i], cls, how, now);

        seen += mine;
        done += mine && now;
    }
    return done;
}
