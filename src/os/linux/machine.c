/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.c - which machine this is: its machine-id, or where it has none (a container, a fresh root, a golden
 * image with "uninitialized" in it), an id of our own that is made once and kept.
 */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MACHINE_ID_CHARS 32

static struct bdr_err *machine_read(const char *path, char out[MACHINE_ID_CHARS + 1])
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;

    BDR_TRY(bdr_os_read_file(path, 4096, &text, &len));
    if (len < MACHINE_ID_CHARS || strspn(text, "0123456789abcdef") < MACHINE_ID_CHARS)
        BDR_FAIL(BDR_NOTFOUND, 0, "%s does not hold a machine id", path);
    memcpy(out, text, MACHINE_ID_CHARS);
    out[MACHINE_ID_CHARS] = 0;
    return NULL;
}

static struct bdr_err *machine_own_folder(char *out, size_t n)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int len;

    if (geteuid() == 0)
        len = snprintf(out, n, "/var/lib/bdr");
    else if (state && *state == '/')
        len = snprintf(out, n, "%s/bdr", state);
    else if (home && *home == '/')
        len = snprintf(out, n, "%s/.local/state/bdr", home);
    else
        BDR_FAIL(BDR_NOTFOUND, 0, "this machine has no /etc/machine-id, and there is no HOME to keep one of our own in");
    if (len < 0 || (size_t)len >= n)
        BDR_FAIL(BDR_RANGE, 0, "the folder for our machine id has too long a name");
    return NULL;
}

/* Complete or not there: written aside, then linked; whoever links first has made the id for all. */
static struct bdr_err *machine_make(const char *folder, const char *path)
{
    char aside[4200], id[MACHINE_ID_CHARS + 2];
    uint8_t raw[MACHINE_ID_CHARS / 2];
    int rc, sys;

    BDR_TRY(bdr_os_mkdirs(folder));
    BDR_TRY(bdr_os_random(raw, sizeof(raw)));
    bdr_hex(raw, sizeof(raw), id);
    memcpy(id + MACHINE_ID_CHARS, "\n", 2);
    snprintf(aside, sizeof(aside), "%s.%.8s", path, id);
    BDR_AUTO(fd) int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        BDR_FAIL_ERRNO("creating %s", aside);
    BDR_TRY(bdr_os_write(fd, aside, id, MACHINE_ID_CHARS + 1));
    if (fsync(fd))
        BDR_FAIL_ERRNO("syncing %s", aside);
    rc = link(aside, path);
    sys = errno;
    unlink(aside);
    errno = sys;
    if (rc && sys != EEXIST)
        BDR_FAIL_ERRNO("creating %s", path);
    return bdr_os_fsync_dir(folder);
}

static struct bdr_err *machine_own(char out[MACHINE_ID_CHARS + 1])
{
    char folder[4096], path[4150];

    BDR_TRY(machine_own_folder(folder, sizeof(folder)));
    snprintf(path, sizeof(path), "%s/machine-id", folder);
    if (access(path, F_OK))
        BDR_TRY(machine_make(folder, path));
    return machine_read(path, out);
}

struct bdr_err *bdr_os_machine_id(const char *purpose, char out[33])
{
    BDR_AUTO(buf) struct bdr_buf b = {0};
    char id[MACHINE_ID_CHARS + 1];
    struct bdr_err *err = machine_read("/etc/machine-id", id);
    uint8_t digest[32];
    unsigned n = 0;

    if (err) {
        bdr_err_drop(err, "an id of our own takes its place");
        BDR_TRY(machine_own(id));
    }
    /* machine-id(5) asks that it be hashed with something of the application's before it is shown. */
    bdr_buf_printf(&b, "bdr %s %s", purpose, id);
    BDR_TRY(bdr_buf_check(&b));
    if (!EVP_Digest(b.data, b.len, digest, &n, EVP_sha256(), NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "hashing the machine id");
    bdr_hex(digest, 16, out);
    return NULL;
}
