/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c - which driver opens a location: an explicit scheme, else what the path is.
 *
 * A raw image is opened as what its bytes are, never as what they say: a guest can write a qcow2 header that names
 * /etc/shadow as its backing file into its own first sector. An image that names other files needs the scheme.
 */
#include "source_priv.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OPEN_SNIFF_BYTES 512

const char *source_strip(const char *location, const char *scheme)
{
    size_t n = strlen(scheme);

    return strncmp(location, scheme, n) ? location : location + n;
}

void source_identity(struct bdr_source_info *info, const char *prefix, const char *text)
{
    size_t room = sizeof(info->identity), n = strlen(text), used = strlen(prefix);
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, 64 bits */

    if (used + n < room) {
        memcpy(info->identity, prefix, used);
        memcpy(info->identity + used, text, n + 1);
        return;
    }
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3u;
    used += 18; /* '#', 16 digits, ':' */
    snprintf(info->identity, room, "%s#%016llx:%s", prefix, (unsigned long long)hash, text + n - (room - 1 - used));
}

static uint64_t open_be(const uint8_t *p, size_t n)
{
    uint64_t v = 0;

    while (n--)
        v = v << 8 | *p++;
    return v;
}

/* Source of the magics: QEMU docs/interop/qcow2.txt; VMDK 5.0 and VHDX 1.00 specifications; VDICore.h's comment. */
enum source_magic source_sniff(const uint8_t *head, size_t len, const char **out_format)
{
    static const struct {
        const char *format, *bytes;
        size_t n, at;
    } others[] = {
        {"vmdk", "KDMV", 4, 0},
        {"vmdk", "COWD", 4, 0},
        {"vmdk", "# Disk DescriptorFile", 21, 0},
        {"vhdx", "vhdxfile", 8, 0},
        {"vdi", "\x7f\x10\xda\xbe", 4, 64},
        {"qed", "QED", 4, 0},
        {"parallels", "WithoutFreeSpace", 16, 0},
    };

    *out_format = "raw";
    if (len >= 24 && !memcmp(head, "QFI\xfb", 4)) {
        uint64_t version = open_be(head + 4, 4), backing = open_be(head + 8, 8);
        uint64_t incompatible = version >= 3 && len >= 80 ? open_be(head + 72, 8) : 0;

        *out_format = "qcow2";
        if (version < 2 || version > 3) /* no such format: bytes that look alike */
            return SOURCE_MAGIC_RAW;
        return backing || incompatible & 4 /* external data file */ ? SOURCE_MAGIC_QCOW2_LINKED : SOURCE_MAGIC_QCOW2;
    }
    for (size_t i = 0; i < BDR_COUNT(others); i++) {
        if (len >= others[i].at + others[i].n && !memcmp(head + others[i].at, others[i].bytes, others[i].n)) {
            *out_format = others[i].format;
            return SOURCE_MAGIC_OTHER;
        }
    }
    return SOURCE_MAGIC_RAW;
}

static const struct bdr_source_driver *open_driver(const char *name)
{
    for (size_t i = 0; bdr_source_drivers[i]; i++)
        if (!strcmp(bdr_source_drivers[i]->name, name))
            return bdr_source_drivers[i];
    return NULL;
}

static bool open_has_scheme(const struct bdr_source_driver *drv, const char *location)
{
    for (const char *s = drv->schemes; s && *s;) {
        size_t n = strcspn(s, " ");

        if (!strncmp(location, s, n))
            return true;
        s += n + strspn(s + n, " ");
    }
    return false;
}

/* "foo:" at the front; such a location that is no path either is most likely a misspelt scheme. */
static size_t open_scheme_len(const char *location)
{
    size_t n = 0;

    while (isalnum((unsigned char)location[n]) || location[n] == '+' || location[n] == '-')
        n++;
    return n && location[n] == ':' ? n : 0;
}

static struct bdr_err *open_unknown(const char *location, size_t scheme_len)
{
    char known[256];
    size_t at = 0;

    known[0] = 0;
    for (size_t i = 0; bdr_source_drivers[i] && at < sizeof(known); i++) {
        int n = snprintf(known + at, sizeof(known) - at, " %s", bdr_source_drivers[i]->schemes);

        at += n > 0 ? (size_t)n : 0;
    }
    BDR_FAIL(BDR_INVAL, 0, "'%.*s' is no kind of source; use a path or one of%s", (int)scheme_len + 1, location, known);
}

static struct bdr_err *open_by_content(const char *path, const char **out_driver)
{
    uint8_t head[OPEN_SNIFF_BYTES];
    BDR_AUTO(fd) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const char *format;
    ssize_t n;

    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", path);
    n = pread(fd, head, sizeof(head), 0);
    if (n < 0)
        BDR_FAIL_ERRNO("reading the first bytes of %s", path);
    switch (source_sniff(head, (size_t)n, &format)) {
    case SOURCE_MAGIC_QCOW2:
        *out_driver = "qemu";
        break;
    case SOURCE_MAGIC_QCOW2_LINKED:
        BDR_FAIL(BDR_INVAL, 0, "%s is a qcow2 image that names other files; write qcow2:%s if you trust it to", path,
                 path);
    case SOURCE_MAGIC_OTHER:
        BDR_FAIL(BDR_INVAL, 0,
                 "%s looks like a %s image; write qemu:%s:%s for the disk in it, file:%s for the file as is", path,
                 format, format, path, path);
    case SOURCE_MAGIC_RAW:
        *out_driver = "file";
        break;
    }
    return NULL;
}

static struct bdr_err *open_by_path(const char *location, const char **out_driver)
{
    size_t scheme_len = open_scheme_len(location);
    struct stat st;

    if (stat(location, &st)) {
        if (errno == ENOENT && scheme_len)
            return open_unknown(location, scheme_len);
        BDR_FAIL_ERRNO("looking at %s", location);
    }
    if (S_ISBLK(st.st_mode))
        *out_driver = "blockdev";
    else if (S_ISREG(st.st_mode))
        BDR_TRY(open_by_content(location, out_driver));
    else if (S_ISDIR(st.st_mode))
        BDR_FAIL(BDR_INVAL, 0, "%s is a folder; name a disk image, or the block device that holds the folder",
                 location);
    else
        BDR_FAIL(BDR_INVAL, 0, "%s is a %s; name a disk image or a block device", location,
                 S_ISFIFO(st.st_mode)   ? "pipe"
                 : S_ISSOCK(st.st_mode) ? "socket (for an NBD server: nbd+unix:///?socket=PATH)"
                                        : "character device");
    return NULL;
}

static struct bdr_err *open_dispatch(const char *location, const struct bdr_source_driver **out)
{
    const char *name = NULL;

    if (!location || !*location)
        BDR_FAIL(BDR_INVAL, 0, "no disk is named; give a path or a location like nbd://HOST/EXPORT");
    for (size_t i = 0; bdr_source_drivers[i]; i++) {
        if (open_has_scheme(bdr_source_drivers[i], location)) {
            *out = bdr_source_drivers[i];
            return NULL;
        }
    }
    BDR_TRY(open_by_path(location, &name));
    *out = open_driver(name);
    if (!*out)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%s: this program was built without the %s driver", location, name);
    return NULL;
}

static struct bdr_err *open_check_spec(const struct bdr_source_driver *drv, const struct bdr_source_spec *spec)
{
    bool tls = spec->tls_ca || spec->tls_cert || spec->tls_key;

    if (spec->dirty_bitmap && !(drv->accepts & BDR_SOURCE_ACCEPTS_BITMAP))
        BDR_FAIL(BDR_INVAL, 0, "a dirty bitmap belongs to nbd or qcow2; %s is opened by '%s'", spec->location,
                 drv->name);
    if (spec->dirty_bitmap && !*spec->dirty_bitmap)
        BDR_FAIL(BDR_INVAL, 0, "the name of the dirty bitmap is empty");
    if (tls && !(drv->accepts & BDR_SOURCE_ACCEPTS_TLS))
        BDR_FAIL(BDR_INVAL, 0, "TLS files belong to nbds://; %s is opened by '%s'", spec->location, drv->name);
    if (!spec->tls_cert != !spec->tls_key)
        BDR_FAIL(BDR_INVAL, 0, "a TLS certificate and its key go together; the %s is missing",
                 spec->tls_cert ? "key" : "certificate");
    if (spec->changed_extents && spec->dirty_bitmap)
        BDR_FAIL(BDR_INVAL, 0, "the changes come from a dirty bitmap or from a file of extents, not from both");
    return NULL;
}

struct bdr_err *bdr_source_open(const struct bdr_source_spec *spec, struct bdr_source **out)
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    const struct bdr_source_driver *drv = NULL;
    struct bdr_source_spec own = *spec;

    BDR_TRY(bdr_cancel_check(spec->cancel));
    BDR_TRY(open_dispatch(spec->location, &drv));
    BDR_TRY(open_check_spec(drv, spec));
    own.changed_extents = NULL;
    BDR_TRY(drv->open(&own, &src));
    BDR_TRY_FOR(bdr_source_ready(src, drv), "opening %s", spec->location);
    if (spec->changed_extents)
        BDR_TRY(source_wrap_changed(&src, spec->changed_extents));
    *out = BDR_STEAL(src);
    return NULL;
}
