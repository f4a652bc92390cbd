/* SPDX-License-Identifier: Apache-2.0 */
#include "fsbig.h"
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define BIG_BUF_BYTES  ((size_t)1 << 20)   /* one write; larger ones gained nothing */
#define BIG_ALIGN      4096u               /* open(2), O_DIRECT: no device in use wants more */
#define BIG_HINT_BYTES ((uint64_t)4 << 20) /* write-back starts this early, so that the sync at the end is short */

static int big_set_direct(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 ? -1 : fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT);
}

struct bdr_err *bdr_fsbig_begin(struct bdr_fsbig *f, int fd, const char *path, bool direct)
{
    *f = (struct bdr_fsbig){.fd = fd, .path = path};
    if (!direct || big_set_direct(fd, true))
        return NULL;
    if (posix_memalign((void **)&f->buf, BIG_ALIGN, BIG_BUF_BYTES)) {
        f->buf = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    return NULL;
}

void bdr_fsbig_end(struct bdr_fsbig *f)
{
    free(f->buf);
    f->buf = NULL;
}

static struct bdr_err *big_cached(struct bdr_fsbig *f, const void *data, size_t len)
{
    uint64_t ready;

    BDR_TRY(bdr_os_pwrite(f->fd, f->path, data, len, f->written_bytes));
    f->written_bytes += len;
    ready = f->written_bytes - f->hinted_bytes;
    if (ready >= BIG_HINT_BYTES) {
        /* Only a hint: whether the bytes are on disk is decided by fdatasync in commit. */
        (void)sync_file_range(f->fd, (off_t)f->hinted_bytes, (off_t)ready, SYNC_FILE_RANGE_WRITE);
        f->hinted_bytes = f->written_bytes;
    }
    return NULL;
}

/* The buffer's first `len` bytes, a multiple of the alignment. A file system that takes the flag and refuses the write
 * (stacked ones do) gets ordinary writes from here on. */
static struct bdr_err *big_direct(struct bdr_fsbig *f, size_t len)
{
    struct bdr_err *err = bdr_os_pwrite(f->fd, f->path, f->buf, len, f->written_bytes);

    if (err && err->sys == EINVAL && !big_set_direct(f->fd, false)) {
        bdr_err_drop(err, "written through the page cache instead");
        err = bdr_os_pwrite(f->fd, f->path, f->buf, len, f->written_bytes);
    }
    BDR_TRY(err);
    f->written_bytes += len;
    return NULL;
}

struct bdr_err *bdr_fsbig_append(struct bdr_fsbig *f, const void *data, size_t len)
{
    const uint8_t *from = data;

    if (!f->buf)
        return big_cached(f, data, len);
    for (size_t n; len; from += n, len -= n) {
        n = BDR_MIN(len, BIG_BUF_BYTES - f->fill);
        memcpy(f->buf + f->fill, from, n);
        f->fill += n;
        if (f->fill == BIG_BUF_BYTES) {
            BDR_TRY(big_direct(f, BIG_BUF_BYTES));
            f->fill = 0;
        }
    }
    return NULL;
}

struct bdr_err *bdr_fsbig_finish(struct bdr_fsbig *f)
{
    size_t whole = f->fill - f->fill % BIG_ALIGN, rest = f->fill - whole;

    if (!f->buf)
        return NULL;
    if (whole)
        BDR_TRY(big_direct(f, whole));
    if (big_set_direct(f->fd, false)) /* the odd end */
        BDR_FAIL_ERRNO("writing %s", f->path);
    if (rest)
        BDR_TRY(bdr_os_pwrite(f->fd, f->path, f->buf + whole, rest, f->written_bytes));
    f->written_bytes += rest;
    f->fill = 0;
    return NULL;
}
