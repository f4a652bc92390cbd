/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - a name of a block device that stays when its path does not: its own number, or its place.
 *
 * Depends on: base.      Threads: any.
 */
#pragma once
#include "bdr/source.h"

/*
 * The best name of device `major`:`minor`: a partition's UUID, a disk's WWID or serial number, a mapped device's or
 * array's UUID, a loop device's file; else "blockdev:" and `path`.
 * `sys_root` is "/sys", `udev_root` is "/run/udev/data"; a test gives folders of its own.
 */
void blockdev_identity(const char *sys_root, const char *udev_root, unsigned major, unsigned minor, const char *path,
                       struct bdr_source_info *info);
/* Whether the kernel thinks that seeking costs; false when it can't be told. */
bool blockdev_rotational(const char *sys_root, unsigned major, unsigned minor);
