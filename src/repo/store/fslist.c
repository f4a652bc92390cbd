/* SPDX-License-Identifier: Apache-2.0 */
#include "fslist.h"
#include "bdr/bytes.h"
#include "drivers.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 100 /* a key of 200 characters has no more components */

/* The names of one folder, in key order: a folder's name ends in '/', so that "a-b" < "a/x" < "ab" as in the keys. */
struct fslist_names {
    char **names;
    size_t n, cap;
};

struct fslist_walk {
    const char *root, *prefix;
    bdr_list_fn fn;
    void *ctx;
};

static void fslist_names_free(struct fslist_names *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->names[i]);
    free(list->names);
}

static struct bdr_err *fslist_add(struct fslist_names *list, const char *name, bool folder)
{
    char *copy;

    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64;
        char **names = reallocarray(list->names, cap, sizeof(*names));

        BDR_NOMEM_IF_NULL(names);
        list->names = names;
        list->cap = cap;
    }
    if (asprintf(&copy, "%s%s", name, folder ? "/" : "") < 0)
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    list->names[list->n++] = copy;
    return NULL;
}

static int fslist_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether a key that begins with `start` can begin with `prefix`. */
static bool fslist_may_match(const char *start, const char *prefix)
{
    size_t n = strlen(start), p = strlen(prefix);

    return !strncmp(start, prefix, BDR_MIN(n, p));
}

/* DT_UNKNOWN is all some file systems tell. */
static bool fslist_is_folder(DIR *dir, const struct dirent *de, bool *out_gone)
{
    struct stat sb;

    *out_gone = false;
    if (de->d_type != DT_UNKNOWN)
        return de->d_type == DT_DIR;
    *out_gone = fstatat(dirfd(dir), de->d_name, &sb, AT_SYMLINK_NOFOLLOW) != 0;
    return !*out_gone && S_ISDIR(sb.st_mode);
}

/* The names of folder `at` ("" or "a/b/") that can match. */
static struct bdr_err *fslist_read(const struct fslist_walk *walk, DIR *dir, const char *at, const char *path,
                                   struct fslist_names *out)
{
    struct dirent *de;

    for (errno = 0; (de = readdir(dir)); errno = 0) {
        BDR_AUTO(mem) char *key = NULL;
        bool gone, folder;

        if (de->d_name[0] == '.' || (!*at && !strcmp(de->d_name, BDR_STORE_TMP)))
            continue;
        folder = fslist_is_folder(dir, de, &gone);
        if (asprintf(&key, "%s%s%s", at, de->d_name, folder ? "/" : "") < 0) {
            key = NULL;
            BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
        }
        if (gone || (folder ? !fslist_may_match(key, walk->prefix) : strncmp(key, walk->prefix, strlen(walk->prefix))))
            continue;
        BDR_TRY(fslist_add(out, de->d_name, folder));
    }
    if (errno && errno != ENOENT)
        BDR_FAIL_ERRNO("reading folder %s", path);
    qsort(out->names, out->n, out->names ? sizeof(*out->names) : 1, fslist_order);
    return NULL;
}

static struct bdr_err *fslist_folder(const struct fslist_walk *walk, const char *at, unsigned depth);

static struct bdr_err *fslist_names(const struct fslist_walk *walk, int folder_fd, const char *at,
                                    const struct fslist_names *list, unsigned depth)
{
    for (size_t i = 0; i < list->n; i++) {
        BDR_AUTO(mem) char *key = NULL;
        struct stat sb;

        if (asprintf(&key, "%s%s", at, list->names[i]) < 0) {
            key = NULL;
            BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
        }
        if (key[strlen(key) - 1] == '/') {
            BDR_TRY(fslist_folder(walk, key, depth + 1));
            continue;
        }
        if (fstatat(folder_fd, list->names[i], &sb, AT_SYMLINK_NOFOLLOW)) {
            if (errno == ENOENT || errno == ESTALE)
                continue;
            BDR_FAIL_ERRNO("looking at %s/%s", walk->root, key);
        }
        if (S_ISREG(sb.st_mode))
            BDR_TRY(walk->fn(walk->ctx, key, (uint64_t)sb.st_size));
    }
    return NULL;
}

static struct bdr_err *fslist_folder(const struct fslist_walk *walk, const char *at, unsigned depth)
{
    BDR_AUTO(mem) char *path = NULL;
    struct fslist_names list = {0};
    struct bdr_err *err;
    DIR *dir;

    if (depth > DEPTH_MAX)
        return NULL;
    if (asprintf(&path, "%s/%s", walk->root, at) < 0) {
        path = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    dir = opendir(path);
    if (!dir && *at && (errno == ENOENT || errno == ENOTDIR || errno == ESTALE))
        return NULL;
    if (!dir)
        BDR_FAIL_ERRNO("opening folder %s", path);
    err = fslist_read(walk, dir, at, path, &list);
    if (!err)
        err = fslist_names(walk, dirfd(dir), at, &list, depth);
    closedir(dir);
    fslist_names_free(&list);
    return err;
}

struct bdr_err *bdr_fslist(const char *root, const char *prefix, bdr_list_fn fn, void *ctx)
{
    const struct fslist_walk walk = {.root = root, .prefix = prefix, .fn = fn, .ctx = ctx};
    const char *slash = strrchr(prefix, '/');
    BDR_AUTO(mem) char *at = strndup(prefix, slash ? (size_t)(slash - prefix) + 1 : 0);

    /* Start in the deepest folder that all matches are in. */
    BDR_NOMEM_IF_NULL(at);
    return fslist_folder(&walk, at, 0);
}
