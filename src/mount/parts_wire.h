/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts_wire.h - what the mount and the reader of its partition tables (bdr-parts) say to each other.
 *
 * Packets over a socketpair, descriptor 3 in the reader; numbers little-endian. The reader is not believed: it has read
 * bytes that a guest made.
 *
 *   to it    size u64, sector u32                          once
 *   from it  'R', off u64, len u32 (<= PARTS_READ_BYTES)   asks for bytes of the disk
 *   to it    len bytes
 *   from it  'P', number u32, off u64, len u64, type[40], uuid[40], name[76]    one partition
 *   from it  'E'                                           that is all; without it nothing counts
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define PARTS_HELLO_BYTES 12u
#define PARTS_ASK_BYTES   13u
#define PARTS_READ_BYTES  65536u
#define PARTS_ROW_BYTES   (1u + 4 + 8 + 8 + PARTS_TYPE + PARTS_UUID + PARTS_NAME)
#define PARTS_TYPE        40u
#define PARTS_UUID        40u
#define PARTS_NAME        76u
#define PARTS_MAX         256u
#define PARTS_EDGE_BYTES  (1u << 20) /* tables lie in the first MiB (32 KiB of GPT) or the last (its second copy) */
#define PARTS_EBR_MAX     256u       /* logical partitions form a chain; a damaged one may be a ring */

static inline void parts_put(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}
static inline uint64_t parts_get(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}
