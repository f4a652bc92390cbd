/* SPDX-License-Identifier: Apache-2.0 */
/* target_priv.h - what target drivers share. Threads: any. */
#pragma once
#include "bdr/target.h"

extern const struct bdr_target_driver bdr_target_raw;
extern const struct bdr_target_driver bdr_target_blockdev;
extern const struct bdr_target_driver bdr_target_qcow2;
extern const struct bdr_target_driver bdr_target_nbd;
extern const struct bdr_target_driver bdr_target_null;

#define TARGET_DIRECT_ALIGN 4096u /* fits every logical sector and the memory alignment of O_DIRECT, open(2) */
#define TARGET_ZEROS_BYTES  (1u << 20)

/* TARGET_ZEROS_BYTES zeros, page-aligned, never written to. */
const void *target_zeros(void);
/* A 4096-aligned buffer of at least `len` bytes; free() it. NOMEM. */
bdr_ret target_buffer(size_t len, void **out);
