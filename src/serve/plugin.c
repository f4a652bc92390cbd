/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.c - `bdr-nbd`: a disk of a recovery point as an NBD export, a plugin of nbdkit.
 *
 * Speaks nbdkit's plugin API 2, see nbdkit-plugin(3). Read-only by itself: nbdkit's cow filter gives a machine that
 * boots from it something to write to. Connections share one disk and its cache; the content never changes, so a
 * client may use as many connections as it likes.
 */
#define NBDKIT_API_VERSION 2
#include "bdr/bytes.h"
#include "bdr/disk.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/repo.h"
#include <errno.h>
#include <nbdkit-plugin.h>
#include <stdio.h>
#include <string.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#define PLUGIN_CACHE_BYTES (128u << 20)
#define PLUGIN_READAHEAD   16          /* blocks */
#define PLUGIN_MAX_REQUEST (32u << 20) /* what every client may send: the protocol's advice, doc/proto.md */

static struct {
    char *repo_url, *point, *passphrase_file, *key_file, *cache_dir, *s3_access; /* owned */
    uint64_t disk_index, cache_bytes, readahead;
    struct bdr_repo *repo;
    struct bdr_disk *disk;
} plugin = {.cache_bytes = PLUGIN_CACHE_BYTES, .readahead = PLUGIN_READAHEAD};

/* Tells nbdkit's log and the client; consumes err. */
static int plugin_fail(struct bdr_err *err)
{
    char text[1024];
    int e = err->code == BDR_RANGE ? EINVAL : err->code == BDR_NOMEM ? ENOMEM : EIO;

    nbdkit_error("%s", bdr_err_text(err, text, sizeof(text)));
    bdr_err_free(err);
    nbdkit_set_error(e);
    return -1;
}

static int plugin_text(char **field, const char *value, bool is_path)
{
    free(*field);
    /* nbdkit changes to / when it goes into the background. */
    *field = is_path ? nbdkit_absolute_path(value) : strdup(value);
    if (!*field) {
        nbdkit_error("out of memory");
        return -1;
    }
    return 0;
}

static int plugin_number(uint64_t *field, const char *value, bool is_size, uint64_t max)
{
    struct bdr_err *err = is_size ? bdr_size_parse(value, field) : bdr_u64_parse(value, max, field);

    return err ? plugin_fail(err) : 0;
}

static int plugin_config(const char *key, const char *value)
{
    if (!strcmp(key, "repo")) /* a folder, or a URL such as s3://bucket/prefix */
        return plugin_text(&plugin.repo_url, value, !strstr(value, "://"));
    if (!strcmp(key, "point"))
        return plugin_text(&plugin.point, value, false);
    if (!strcmp(key, "disk"))
        return plugin_number(&plugin.disk_index, value, false, UINT32_MAX);
    if (!strcmp(key, "passphrase-file"))
        return plugin_text(&plugin.passphrase_file, value, true);
    if (!strcmp(key, "key-file"))
        return plugin_text(&plugin.key_file, value, true);
    if (!strcmp(key, "s3-access")) /* for programs: not in the help */
        return plugin_text(&plugin.s3_access, value, true);
    if (!strcmp(key, "cache-dir"))
        return plugin_text(&plugin.cache_dir, value, true);
    if (!strcmp(key, "cache-size"))
        return plugin_number(&plugin.cache_bytes, value, true, UINT64_MAX);
    if (!strcmp(key, "readahead"))
        return plugin_number(&plugin.readahead, value, false, 4096);
    nbdkit_error("unknown parameter '%s'; there are repo, point, disk, passphrase-file, key-file, cache-dir, "
                 "cache-size and readahead",
                 key);
    return -1;
}

static int plugin_config_complete(void)
{
    if (!plugin.repo_url) {
        nbdkit_error("say which repository: repo=FOLDER or repo=s3://BUCKET/PREFIX");
        return -1;
    }
    if (!plugin.point && plugin_text(&plugin.point, "latest", false))
        return -1;
    return 0;
}

/* Lines as serve.h says; *access borrows from `text`, which is cut to pieces. */
static void plugin_access(char *text, struct bdr_store_access *access)
{
    const char **const rows[] = {&access->key,    &access->secret,     &access->endpoint,
                                 &access->region, &access->addressing, &access->ca_file};
    char *rest = text, *line;

    for (size_t i = 0; i < BDR_COUNT(rows) && (line = strsep(&rest, "\n")); i++)
        *rows[i] = *line ? line : NULL;
}

static struct bdr_err *plugin_repo_open(const struct bdr_repo_options *opt)
{
    struct bdr_store_access access = {0};
    char *text = NULL;
    struct bdr_err *err;
    size_t len = 0;

    if (!plugin.s3_access)
        return bdr_repo_open(plugin.repo_url, opt, &plugin.repo);
    BDR_TRY(bdr_os_read_file(plugin.s3_access, 4096, &text, &len));
    plugin_access(text, &access);
    bdr_store_access_set(&access);
    err = bdr_repo_open(plugin.repo_url, opt, &plugin.repo);
    bdr_store_access_set(NULL);
    bdr_wipe(text, len);
    free(text);
    return err;
}

/* After the fork: the repository may have threads and connections. */
static int plugin_after_fork(void)
{
    struct bdr_repo_options opt = {.passphrase_file = plugin.passphrase_file,
                                   .key_file = plugin.key_file,
                                   .cache_dir = plugin.cache_dir,
                                   .read_only = true};
    struct bdr_disk_options disk_opt = {.cache_bytes = plugin.cache_bytes, .readahead = (uint32_t)plugin.readahead};
    struct bdr_point_info point;
    struct bdr_err *err = plugin_repo_open(&opt);

    if (!err)
        err = bdr_repo_find(plugin.repo, plugin.point, NULL, &point);
    if (!err)
        err = bdr_disk_open(plugin.repo, point.id, (uint32_t)plugin.disk_index, &disk_opt, &plugin.disk);
    return err ? plugin_fail(bdr_err_wrap(err, BDR_AT, "opening disk %llu of point %s in %s",
                                          (unsigned long long)plugin.disk_index, plugin.point, plugin.repo_url))
               : 0;
}

static void plugin_unload(void)
{
    bdr_disk_close(plugin.disk);
    if (plugin.repo)
        bdr_repo_close(plugin.repo);
    free(plugin.repo_url);
    free(plugin.point);
    free(plugin.passphrase_file);
    free(plugin.key_file);
    free(plugin.cache_dir);
    free(plugin.s3_access);
}

static void *plugin_open(int readonly)
{
    (void)readonly;
    return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t plugin_get_size(void *handle)
{
    (void)handle;
    return (int64_t)bdr_disk_size(plugin.disk);
}

static int plugin_yes(void *handle)
{
    (void)handle;
    return 1;
}

static int plugin_can_cache(void *handle)
{
    (void)handle;
    return NBDKIT_CACHE_EMULATE; /* nbdkit reads and throws away: that fills the disk's cache */
}

static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
    uint32_t block = bdr_disk_block_bytes(plugin.disk);

    (void)handle;
    *minimum = 1;
    /* Asking for whole blocks decodes each once; the protocol wants a power of two in 512..32 MiB. */
    *preferred = block >= 512 && block <= PLUGIN_MAX_REQUEST && !(block & (block - 1)) ? block : 65536;
    *maximum = PLUGIN_MAX_REQUEST;
    return 0;
}

static int plugin_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
    struct bdr_err *err = bdr_disk_read(plugin.disk, offset, buf, count);

    (void)handle;
    (void)flags;
    return err ? plugin_fail(err) : 0;
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents)
{
    uint64_t end = offset + count;

    (void)handle;
    while (offset < end) {
        bool data = true;
        uint64_t len = 0;
        /* Not past what was asked for: an answer costs what it walks over. */
        struct bdr_err *err = bdr_disk_extent(plugin.disk, offset, end - offset, &data, &len);

        if (err)
            return plugin_fail(err);
        if (nbdkit_add_extent(extents, offset, len, data ? 0 : NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO))
            return -1;
        if (flags & NBDKIT_FLAG_REQ_ONE)
            return 0;
        offset += len;
    }
    return 0;
}

static struct nbdkit_plugin nbdkit_bdr = {
    .name = "bdr-nbd",
    .longname = "OpenBDR recovery point",
    .version = OPENBDR_VERSION,
    .description = "A disk of a recovery point, read-only; --filter=cow makes it writable for as long as nbdkit runs.",
    .config_help = "repo=FOLDER|URL        (required) the repository\n"
                   "point=ID|latest        the recovery point; the newest if absent\n"
                   "disk=N                 which disk of it, from 0\n"
                   "passphrase-file=FILE   or key-file=FILE, for an encrypted repository\n"
                   "cache-size=SIZE        decoded blocks kept in memory; 128M if absent\n"
                   "readahead=BLOCKS       fetched ahead of a sequential reader; 16 if absent",
    .magic_config_key = "repo",
    .config = plugin_config,
    .config_complete = plugin_config_complete,
    .after_fork = plugin_after_fork,
    .unload = plugin_unload,
    .open = plugin_open,
    .get_size = plugin_get_size,
    .block_size = plugin_block_size,
    .can_multi_conn = plugin_yes,
    .can_extents = plugin_yes,
    .can_cache = plugin_can_cache,
    .pread = plugin_pread,
    .extents = plugin_extents,
    .errno_is_preserved = 0,
};

struct nbdkit_plugin *plugin_init(void); /* the macro below defines it without a prototype */
NBDKIT_REGISTER_PLUGIN(nbdkit_bdr)
