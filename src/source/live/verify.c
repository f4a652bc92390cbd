/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "disk.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define VERIFY_BYTES ((size_t)1 << 20)

static struct bdr_err *verify_copy(const struct live_disk *d, const char *dir)
{
    BDR_AUTO(mem) uint8_t *buf = aligned_alloc(4096, VERIFY_BYTES);
    BDR_AUTO(fd) int fd = -1;
    char path[PATH_MAX];

    BDR_NOMEM_IF_NULL(buf);
    snprintf(path, sizeof(path), "%s/disk%u.raw", dir, d->index);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)d->size_bytes))
        BDR_FAIL_ERRNO("making %s", path);
    for (uint64_t off = 0; off < d->size_bytes; off += VERIFY_BYTES) {
        size_t n = (size_t)BDR_MIN(d->size_bytes - off, (uint64_t)VERIFY_BYTES);

        BDR_TRY(bdr_os_pread(d->fd, d->path, buf, n, off));
        if (!bdr_all_zero(buf, n))
            BDR_TRY(bdr_os_pwrite(fd, path, buf, n, off));
    }
    return NULL;
}

struct bdr_err *live_verify_hook(struct live_moment *m, const struct live_counts *before)
{
    const char *dir = getenv("BDR_LIVE_VERIFY");
    char path[PATH_MAX];

    if (!dir)
        return NULL;
    snprintf(path, sizeof(path), "%s/disturbed", dir);
    unlink(path);
    LIVE_EACH(m, i, d)
    {
        struct live_counts now;

        BDR_TRY(verify_copy(d, dir));
        BDR_TRY(live_counts_read(m->sys_root, d->major, d->minor, &now));
        if (now.flying || now.written != before[i].written)
            close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    return NULL;
}
