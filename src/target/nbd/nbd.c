/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd.c - recover a disk into a writable NBD export: another machine's qemu-nbd, nbdkit, nbd-server.
 *
 * Speaks the protocol through libnbd 1.14 (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md) with
 * up to four connections when the server allows it. An export can't be asked whose data it holds: one that is not
 * blank wants `force`.
 */
#include "../target_priv.h"
#include "bdr/bytes.h"
#include "conns.h"
#include <errno.h>
#include <libnbd.h>
#include <stdio.h>
#include <string.h>

struct nbd_target {
    struct bdr_target base;
    struct nbd_conns *conns;
    uint64_t disk_bytes;
    bool blank; /* all of it is known to be zeros */
};

static void nbd_target_close(struct bdr_target *base)
{
    struct nbd_target *t = (struct nbd_target *)base;

    nbd_conns_free(t->conns);
    free(t);
}

static struct bdr_err *nbd_target_connect(const struct bdr_target_spec *spec, const char *uri, struct nbd_conns *conns)
{
    struct nbd_handle *h = NULL;

    BDR_TRY(nbd_conns_handle(&h));
    if ((spec->tls_ca && nbd_set_tls_certificates(h, spec->tls_ca)) || nbd_set_uri_allow_local_file(h, true) ||
        nbd_connect_uri(h, uri)) {
        struct bdr_err *err = nbd_conns_err(uri, "connecting to");

        nbd_close(h);
        return err;
    }
    return nbd_conns_add(conns, h);
}

static struct bdr_err *nbd_target_open(const struct bdr_target_spec *spec, const char *where, struct bdr_target **out)
{
    struct nbd_target *t = calloc(1, sizeof(*t));
    BDR_AUTO(target) struct bdr_target *guard = NULL;
    const struct nbd_conns_info *info;
    bool blank = false;

    BDR_NOMEM_IF_NULL(t);
    guard = &t->base;
    *t = (struct nbd_target){.base.drv = &bdr_target_nbd, .disk_bytes = spec->size_bytes};
    BDR_TRY(nbd_conns_new(where, spec->cancel, &t->conns));
    BDR_TRY(nbd_target_connect(spec, where, t->conns));
    info = nbd_conns_info(t->conns);
    if (info->size_bytes < spec->size_bytes)
        BDR_FAIL(BDR_RANGE, 0, "%s has %llu bytes, the disk needs %llu; use a larger export", where,
                 (unsigned long long)info->size_bytes, (unsigned long long)spec->size_bytes);
    if (!spec->resume) {
        BDR_TRY(nbd_conns_blank(t->conns, &blank));
        if (!blank && !spec->force)
            BDR_FAIL(BDR_EXISTS, 0, "%s already holds data; add --force to overwrite it", where);
        t->blank = blank && info->knows_zeros;
    }
    for (unsigned i = 1; info->multi && i < NBD_CONNS_MAX; i++)
        BDR_TRY(nbd_target_connect(spec, where, t->conns));
    *out = BDR_STEAL(guard);
    return NULL;
}

static struct bdr_err *nbd_target_info(struct bdr_target *base, struct bdr_target_info *out)
{
    struct nbd_target *t = (struct nbd_target *)base;
    const struct nbd_conns_info *info = nbd_conns_info(t->conns);
    char more[16];

    out->size_bytes = info->size_bytes;
    out->align_bytes = info->min_bytes;
    out->starts_zero = t->blank;
    out->max_inflight = info->multi ? NBD_CONNS_MAX : 1;
    if (info->size_bytes > t->disk_bytes)
        snprintf(out->note, sizeof(out->note), "the export is %s larger than the disk",
                 bdr_size_text(info->size_bytes - t->disk_bytes, more));
    return NULL;
}

/* The disk's end may lie within the server's smallest block: fill it up. */
static struct bdr_err *nbd_target_tail(struct nbd_target *t, uint64_t off, const void *buf, size_t len)
{
    uint32_t min = nbd_conns_info(t->conns)->min_bytes;
    size_t padded = (len + min - 1) / min * min;
    BDR_AUTO(mem) uint8_t *copy = calloc(1, padded);

    BDR_NOMEM_IF_NULL(copy);
    if (padded > nbd_conns_info(t->conns)->size_bytes - off)
        BDR_FAIL(BDR_RANGE, 0, "the export has no room for the last block of %u bytes", min);
    memcpy(copy, buf, len);
    return nbd_conns_write(t->conns, off, copy, padded);
}

static struct bdr_err *nbd_target_write(struct bdr_target *base, uint64_t off, const void *buf, size_t len)
{
    struct nbd_target *t = (struct nbd_target *)base;
    size_t odd = len % nbd_conns_info(t->conns)->min_bytes;

    BDR_TRY(nbd_conns_write(t->conns, off, buf, len - odd));
    return odd ? nbd_target_tail(t, off + len - odd, (const uint8_t *)buf + len - odd, odd) : NULL;
}

static struct bdr_err *nbd_target_zero(struct bdr_target *base, uint64_t off, uint64_t len)
{
    struct nbd_target *t = (struct nbd_target *)base;
    size_t odd = (size_t)(len % nbd_conns_info(t->conns)->min_bytes);

    BDR_TRY(nbd_conns_zero(t->conns, off, len - odd));
    return odd ? nbd_target_tail(t, off + len - odd, target_zeros(), odd) : NULL;
}

static struct bdr_err *nbd_target_read(struct bdr_target *base, uint64_t off, void *buf, size_t len)
{
    struct nbd_target *t = (struct nbd_target *)base;
    uint32_t min = nbd_conns_info(t->conns)->min_bytes;
    size_t padded = (len + min - 1) / min * min;
    BDR_AUTO(mem) uint8_t *copy = NULL;

    if (padded == len)
        return nbd_conns_read(t->conns, off, buf, len);
    copy = malloc(padded);
    BDR_NOMEM_IF_NULL(copy);
    BDR_TRY(nbd_conns_read(t->conns, off, copy, padded));
    memcpy(buf, copy, len);
    return NULL;
}

static struct bdr_err *nbd_target_flush(struct bdr_target *base)
{
    return nbd_conns_flush(((struct nbd_target *)base)->conns);
}

const struct bdr_target_driver bdr_target_nbd = {
    .name = "nbd",
    .title = "NBD export",
    .help = "nbd://HOST[:PORT]/EXPORT, nbds://..., nbd+unix:///EXPORT?socket=PATH",
    .scheme = "nbd://",
    .max_inflight = NBD_CONNS_MAX,
    .open = nbd_target_open,
    .info = nbd_target_info,
    .write = nbd_target_write,
    .zero = nbd_target_zero,
    .read = nbd_target_read,
    .flush = nbd_target_flush,
    .close = nbd_target_close,
};
