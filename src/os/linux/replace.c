/* SPDX-License-Identifier: Apache-2.0 */
/* Replacing a small file as a whole. */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct bdr_err *replace_write(int fd, const char *tmp, const void *data, size_t len, unsigned mode)
{
    if (fchmod(fd, mode)) /* the umask has no say in who may read a key */
        BDR_FAIL_ERRNO("setting the mode of %s", tmp);
    BDR_TRY(bdr_os_write(fd, tmp, data, len));
    if (fsync(fd))
        BDR_FAIL_ERRNO("writing %s through to the disk", tmp);
    return NULL;
}

static struct bdr_err *replace_name(const char *tmp, const char *path, bool fresh)
{
    if (fresh ? link(tmp, path) : rename(tmp, path))
        BDR_FAIL_ERRNO("putting %s in its place", path);
    return NULL;
}

struct bdr_err *bdr_os_replace_file(const char *path, const void *data, size_t len, unsigned mode, bool fresh)
{
    BDR_AUTO(buf) struct bdr_buf tmp = {0};
    BDR_AUTO(fd) int fd = -1;
    BDR_AUTO(mem) char *folder = NULL;
    const char *slash = strrchr(path, '/');
    struct bdr_err *err;
    uint8_t random[8];
    char hex[17];

    BDR_TRY(bdr_os_random(random, sizeof(random)));
    bdr_buf_printf(&tmp, "%s.%s.tmp", path, bdr_hex(random, sizeof(random), hex));
    BDR_TRY(bdr_buf_check(&tmp));
    folder = slash == path ? strdup("/") : slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    BDR_NOMEM_IF_NULL(folder);
    fd = open((char *)tmp.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0600);
    if (fd < 0)
        BDR_FAIL_ERRNO("making a file beside %s", path);
    err = replace_write(fd, (char *)tmp.data, data, len, mode);
    if (!err)
        err = replace_name((char *)tmp.data, path, fresh);
    if (err || fresh)
        unlink((char *)tmp.data);
    BDR_TRY(err);
    return bdr_os_fsync_dir(folder);
}
