/* SPDX-License-Identifier: Apache-2.0 */
#include "target_priv.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

const struct bdr_target_driver *const bdr_target_drivers[] = {
    &bdr_target_raw, &bdr_target_blockdev, &bdr_target_qcow2, &bdr_target_nbd, &bdr_target_null, NULL,
};

const void *target_zeros(void)
{
    /* Never written, so it stays the kernel's zero page and costs no memory. */
    static _Alignas(TARGET_DIRECT_ALIGN) const uint8_t zeros[TARGET_ZEROS_BYTES];

    return zeros;
}

struct bdr_err *target_buffer(size_t len, void **out)
{
    size_t room = (len + TARGET_DIRECT_ALIGN - 1) / TARGET_DIRECT_ALIGN * TARGET_DIRECT_ALIGN;
    void *buf = aligned_alloc(TARGET_DIRECT_ALIGN, BDR_MAX(room, (size_t)TARGET_DIRECT_ALIGN));

    BDR_NOMEM_IF_NULL(buf);
    *out = buf;
    return NULL;
}

static bool target_ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n > m && !strcmp(s + n - m, end);
}

/* The driver for `location`; *where is what follows the scheme (all of it for URLs). */
static const struct bdr_target_driver *target_pick(const char *location, const char **where)
{
    static const struct {
        const char *scheme;
        const struct bdr_target_driver *drv;
        bool url; /* the driver wants it with the scheme */
    } rows[] = {
        {"raw:", &bdr_target_raw, false},           {"file:", &bdr_target_raw, false},
        {"blockdev:", &bdr_target_blockdev, false}, {"qcow2:", &bdr_target_qcow2, false},
        {"null:", &bdr_target_null, false},         {"nbd://", &bdr_target_nbd, true},
        {"nbds://", &bdr_target_nbd, true},         {"nbd+unix://", &bdr_target_nbd, true},
        {"nbds+unix://", &bdr_target_nbd, true},
    };
    struct stat st;

    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        size_t n = strlen(rows[i].scheme);

        if (!strncmp(location, rows[i].scheme, n)) {
            *where = rows[i].url ? location : location + n;
            return rows[i].drv;
        }
    }
    *where = location;
    if (!stat(location, &st) && S_ISBLK(st.st_mode))
        return &bdr_target_blockdev;
    return target_ends_with(location, ".qcow2") ? &bdr_target_qcow2 : &bdr_target_raw;
}

struct bdr_err *bdr_target_path(const char *location, char **out)
{
    const char *where = NULL;
    const struct bdr_target_driver *drv = target_pick(location, &where);
    char *path = drv->is_file ? strdup(where) : NULL;

    if (drv->is_file)
        BDR_NOMEM_IF_NULL(path);
    *out = path;
    return NULL;
}

struct bdr_err *bdr_target_open(const struct bdr_target_spec *spec, struct bdr_target **out)
{
    const char *where = NULL;
    const struct bdr_target_driver *drv = target_pick(spec->location, &where);
    BDR_AUTO(target) struct bdr_target *t = NULL;
    struct bdr_target_info info;

    if (!*where && drv != &bdr_target_null)
        BDR_FAIL(BDR_INVAL, 0, "'%s' names no place to recover to; %s", spec->location, drv->help);
    if (!spec->size_bytes)
        BDR_FAIL(BDR_INVAL, 0, "the disk has no bytes: there is nothing to recover to %s", spec->location);
    if (spec->size_bytes > INT64_MAX)
        BDR_FAIL(BDR_RANGE, 0, "a disk of %llu bytes is larger than any target", (unsigned long long)spec->size_bytes);
    BDR_TRY(drv->open(spec, where, &t));
    t->size_bytes = spec->size_bytes;
    BDR_TRY(bdr_target_info(t, &info));
    t->align_bytes = info.align_bytes;
    *out = BDR_STEAL(t);
    return NULL;
}

void bdr_target_close(struct bdr_target *t)
{
    if (t)
        t->drv->close(t);
}

struct bdr_err *bdr_target_info(struct bdr_target *t, struct bdr_target_info *out)
{
    struct bdr_target_info info = {.size_bytes = t->size_bytes, .align_bytes = 1};

    BDR_TRY(t->drv->info(t, &info));
    if (!info.max_inflight)
        info.max_inflight = t->drv->max_inflight;
    info.can_read = t->drv->read != NULL;
    *out = info;
    return NULL;
}

static struct bdr_err *target_check(const struct bdr_target *t, const char *what, uint64_t off, uint64_t len)
{
    if (off > t->size_bytes || len > t->size_bytes - off)
        BDR_FAIL(BDR_RANGE, 0, "%s of %llu bytes at %llu passes the end of the disk at %llu", what,
                 (unsigned long long)len, (unsigned long long)off, (unsigned long long)t->size_bytes);
    if (off % t->align_bytes || (len % t->align_bytes && off + len != t->size_bytes))
        BDR_FAIL(BDR_INVAL, 0, "%s of %llu bytes at %llu is not on a boundary of %u bytes", what,
                 (unsigned long long)len, (unsigned long long)off, t->align_bytes);
    return NULL;
}

struct bdr_err *bdr_target_write(struct bdr_target *t, uint64_t off, const void *buf, size_t len)
{
    BDR_TRY(target_check(t, "write", off, len));
    return len ? t->drv->write(t, off, buf, len) : NULL;
}

struct bdr_err *bdr_target_zero(struct bdr_target *t, uint64_t off, uint64_t len)
{
    BDR_TRY(target_check(t, "zero", off, len));
    if (!len)
        return NULL;
    if (t->drv->zero) {
        struct bdr_err *err = t->drv->zero(t, off, len);

        if (!err || err->code != BDR_UNSUPPORTED)
            return err;
        bdr_err_drop(err, "zeros are written instead");
    }
    while (len) {
        size_t n = (size_t)BDR_MIN(len, (uint64_t)TARGET_ZEROS_BYTES);

        BDR_TRY(t->drv->write(t, off, target_zeros(), n));
        off += n;
        len -= n;
    }
    return NULL;
}

struct bdr_err *bdr_target_read(struct bdr_target *t, uint64_t off, void *buf, size_t len)
{
    if (!t->drv->read)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "a target of kind '%s' cannot be read back", t->drv->name);
    BDR_TRY(target_check(t, "read", off, len));
    return len ? t->drv->read(t, off, buf, len) : NULL;
}

struct bdr_err *bdr_target_flush(struct bdr_target *t)
{
    return t->drv->flush ? t->drv->flush(t) : NULL;
}

struct bdr_err *bdr_target_commit(struct bdr_target *t)
{
    return t->drv->commit ? t->drv->commit(t) : bdr_target_flush(t);
}
