/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * cbt.h - one disk's tracking map as the kernel programs and we share it.
 *
 * An array of elements of 1024 bytes that is one piece of memory: page 0 the header, page 1 counters, then the marks: a
 * byte for each 64 KiB of the disk. It lives in the kernel's memory and never leaves the machine: host byte order.
 * A mark is the name (1..63) of the generation in which its granule was touched last, and how:
 *     name            written, or partly discarded
 *     name | PENDING  a discard of all of it is on the way; counts as written
 *     name | ZERO     a discard of all of it succeeded and nothing was written since
 * There are no coarser levels: a bio is at most 4 GiB (bi_size has 32 bits), which is 65,536 marks, and those are
 * stored one by one. So no two bytes ever tell different things about one granule. Source: docs/drivers/live-track.md#marks
 */
#pragma once

#define CBT_MAGIC         0x31544243u /* "CBT1" */
#define CBT_LAYOUT        1u          /* of this file; other maps are not touched */
#define CBT_ELEM_BYTES    1024u
#define CBT_ELEM_SHIFT    10u
#define CBT_COUNT_ELEM    4u /* page 1 */
#define CBT_MARK_ELEM     8u /* page 2 and on */
#define CBT_GRANULE_SHIFT 7u /* sectors */
#define CBT_SLOTS         64u
#define CBT_SLOTS_ELEM    (CBT_ELEM_BYTES / 64u)
#define CBT_NAMES         64u
#define CBT_NAME          0x3fu
#define CBT_PENDING       0x40u
#define CBT_ZERO          0x80u
#define CBT_KEPT          32u

/* What the programs read; the beginning of the header. */
struct cbt_head {
    unsigned int magic, layout;
    unsigned int gen; /* the running generation's name: the commit point of a cut */
    unsigned int state;
    unsigned long long sectors, granules;
};

/*
 * Counters of some CPUs; one cache line, so that CPUs do not fight. Sectors are of 512 bytes; they and passthrough are
 * exact. Writes, discards and completions are only shown, and may be a few too small.
 */
struct cbt_count {
    unsigned long long writes, write_sectors, discards, discard_sectors; /* at queueing */
    unsigned long long completions, passthrough;                         /* requests, at completion */
    unsigned long long spare[2];
};
