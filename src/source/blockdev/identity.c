/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"
#include "../source_priv.h"
#include "bdr/osfile.h"
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define IDENTITY_FILE_MAX 65536

struct identity_dev {
    const char *udev_root;
    char dir[PATH_MAX]; /* of the device in sysfs */
    unsigned major, minor;
};

/* Cuts blanks at both ends; NULL when nothing is left or it is a placeholder: vendors ship "0000", "none". */
static const char *identity_trim(char *text)
{
    size_t n;

    while (isspace((unsigned char)*text))
        text++;
    n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1]))
        text[--n] = 0;
    if (!n || strspn(text, "0 .-") == n || !strcasecmp(text, "none") || !strcasecmp(text, "unknown"))
        return NULL;
    return text;
}

/* A file of a few lines; NULL when it can't be read, which only means that this name is not to be had. */
static char *identity_slurp(const char *path)
{
    char *text = NULL;
    size_t len = 0;
    struct bdr_err *err = bdr_os_read_file(path, IDENTITY_FILE_MAX, &text, &len);

    bdr_err_drop(err, "the next source of a name is tried");
    return err ? NULL : text;
}

/* The value of "key=..." in lines of `text`, cut out in place. */
static const char *identity_line(char *text, const char *key)
{
    size_t n = strlen(key);
    char *rest = text, *line;

    while ((line = strsep(&rest, "\n")))
        if (!strncmp(line, key, n))
            return identity_trim(line + n);
    return NULL;
}

static bool identity_from_attr(const struct identity_dev *dev, const char *attr, const char *prefix,
                               struct bdr_source_info *info)
{
    char path[PATH_MAX + 64];
    BDR_AUTO(mem) char *text = NULL;
    const char *value;

    snprintf(path, sizeof(path), "%s/%s", dev->dir, attr);
    text = identity_slurp(path);
    value = text ? identity_trim(text) : NULL;
    if (value)
        source_identity(info, prefix, value);
    return value != NULL;
}

static bool identity_from_lines(const char *path, const char *key, const char *prefix, struct bdr_source_info *info)
{
    BDR_AUTO(mem) char *text = identity_slurp(path);
    const char *value = text ? identity_line(text, key) : NULL;

    if (value)
        source_identity(info, prefix, value);
    return value != NULL;
}

static bool identity_from_udev(const struct identity_dev *dev, const char *key, const char *prefix,
                               struct bdr_source_info *info)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/b%u:%u", dev->udev_root, dev->major, dev->minor);
    return identity_from_lines(path, key, prefix, info);
}

/* Source: Documentation/ABI/stable/sysfs-block, testing/sysfs-block-dm, testing/sysfs-class-bdi; nvme's wwid. */
static bool identity_of_disk(const struct identity_dev *dev, struct bdr_source_info *info)
{
    static const struct {
        const char *attr, *prefix;
    } attrs[] = {
        {"dm/uuid", "dm:"},       {"md/uuid", "md:"},  {"wwid", "disk:"},
        {"device/wwid", "disk:"}, {"serial", "disk:"}, {"device/serial", "disk:"},
    };
    static const struct {
        const char *key, *prefix;
    } udev[] = {
        {"E:MD_UUID=", "md:"},
        {"E:ID_SERIAL=", "disk:"},
    };

    for (size_t i = 0; i < BDR_COUNT(attrs); i++)
        if (identity_from_attr(dev, attrs[i].attr, attrs[i].prefix, info))
            return true;
    for (size_t i = 0; i < BDR_COUNT(udev); i++)
        if (identity_from_udev(dev, udev[i].key, udev[i].prefix, info))
            return true;
    return identity_from_attr(dev, "loop/backing_file", "loop:", info);
}

static bool identity_of_partition(const struct identity_dev *dev, const char *number, struct bdr_source_info *info)
{
    struct identity_dev disk = *dev;
    char path[PATH_MAX + 16], both[sizeof(info->identity) + 16];

    if (identity_from_udev(dev, "E:ID_PART_ENTRY_UUID=", "partuuid:", info))
        return true;
    snprintf(path, sizeof(path), "%s/uevent", dev->dir); /* PARTUUID there since Linux 6.8 */
    if (identity_from_lines(path, "PARTUUID=", "partuuid:", info))
        return true;
    snprintf(path, sizeof(path), "%s/..", dev->dir);
    if (!realpath(path, disk.dir))
        return false;
    snprintf(path, sizeof(path), "%s/dev", disk.dir);
    {
        BDR_AUTO(mem) char *text = identity_slurp(path);

        if (!text || sscanf(text, "%u:%u", &disk.major, &disk.minor) != 2)
            return false;
    }
    if (!identity_of_disk(&disk, info))
        return false;
    snprintf(both, sizeof(both), "%s-part%s", info->identity, number);
    source_identity(info, "", both);
    return true;
}

static bool identity_dir(const char *sys_root, unsigned major, unsigned minor, char dir[PATH_MAX])
{
    char link[PATH_MAX];

    snprintf(link, sizeof(link), "%s/dev/block/%u:%u", sys_root, major, minor);
    return realpath(link, dir) != NULL;
}

void blockdev_identity(const char *sys_root, const char *udev_root, unsigned major, unsigned minor, const char *path,
                       struct bdr_source_info *info)
{
    struct identity_dev dev = {.udev_root = udev_root, .major = major, .minor = minor};
    char part[PATH_MAX + 16];
    BDR_AUTO(mem) char *number = NULL;
    const char *value;

    if (identity_dir(sys_root, major, minor, dev.dir)) {
        snprintf(part, sizeof(part), "%s/partition", dev.dir);
        number = identity_slurp(part);
        value = number ? identity_trim(number) : NULL;
        if (value ? identity_of_partition(&dev, value, info) : identity_of_disk(&dev, info))
            return;
    }
    source_identity(info, "blockdev:", path);
}

bool blockdev_rotational(const char *sys_root, unsigned major, unsigned minor)
{
    static const char *const places[] = {"queue/rotational", "../queue/rotational"}; /* a disk's, a partition's */
    char dir[PATH_MAX], path[PATH_MAX + 32];

    if (!identity_dir(sys_root, major, minor, dir))
        return false;
    for (size_t i = 0; i < BDR_COUNT(places); i++) {
        BDR_AUTO(mem) char *text = NULL;

        snprintf(path, sizeof(path), "%s/%s", dir, places[i]);
        text = identity_slurp(path);
        if (text)
            return *text == '1';
    }
    return false;
}
