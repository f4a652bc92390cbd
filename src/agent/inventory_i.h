/* SPDX-License-Identifier: Apache-2.0 */
/* inventory_i.h - what the files of the inventory share; everything lives in the arena. */
#pragma once
#include "bdr/arena.h"
#include "bdr/machine_api.h"
#include "talk.h"

struct inv {
    struct bdr_arena *arena;
    struct bdr_inv_disk *disks;
    size_t n_disks;
    struct bdr_inv_volume *volumes;
    size_t n_volumes;
    struct bdr_inv_nic *nics;
    size_t n_nics;
    const char *mounts; /* /proc/self/mountinfo; NULL: none */
};
/* A small file's text without blanks around; NULL when it is not there or empty. */
const char *inv_text(struct inv *v, const char *path);
/* inventory_net.c */
bdr_ret inv_nics(struct inv *v);
