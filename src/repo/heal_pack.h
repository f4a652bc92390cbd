/* SPDX-License-Identifier: Apache-2.0 */
/* heal_pack.h - replacing one bad pack by its good blocks. Threads: one. */
#pragma once
#include "bdr/heal.h"
#include "idset.h"
#include "repo_i.h"
#include "session_i.h"

struct bdr_heal_pack {
    struct bdr_repo *r;
    const struct bdr_heal_options *opt;
    struct bdr_heal_result *out;
    struct bdr_session *session;      /* borrowed; open since before anything was judged lost */
    struct bdr_idset *lost, *healed;  /* borrowed; blocks that points need */
};
/*
 * Moves the good blocks of the pack, makes them durable, and only then takes the pack away. A pack whose table is
 * unreadable, or that had a block which is lost now, is kept as damaged/<name>.
 */
bdr_ret bdr_heal_pack(struct bdr_heal_pack *h, const uint8_t name[16]);
