/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blockwire.h - the binary bodies of the gateway's protocol: frames of blocks, runs of ids.
 *
 * Both sides use it; everything that is read here comes from strangers. Depends on: base.      Threads: any.
 * Source:  docs/formats/gateway-protocol.md
 */
#pragma once
#include "bdr/bytes.h"

#define BDR_WIRE_ID_BYTES      32u
#define BDR_FRAME_HEAD_BYTES   48u
#define BDR_FRAME_TAIL_BYTES   4u
#define BDR_FRAME_CODECS       3u         /* 0 none, 1 lz4, 2 zstd: as in packs */
#define BDR_WIRE_ASK_IDS       4096u      /* ids in one question */
#define BDR_WIRE_BASE_IDS      65536u     /* ids in one answer */
#define BDR_WIRE_SET_BYTES     (1u << 20) /* of one request that sets runs */
#define BDR_WIRE_BODY_BYTES    (64u << 20)
#define BDR_WIRE_MANIFEST_BYTES (8u << 20)

struct bdr_frame {
    uint8_t id[BDR_WIRE_ID_BYTES];
    uint32_t raw_len, payload_len;
    uint8_t codec;
};
void bdr_frame_head(const struct bdr_frame *f, uint8_t out[BDR_FRAME_HEAD_BYTES]);
/* INVAL and why, for the sender: not a frame, or past what `block_bytes` allows. */
bdr_ret bdr_frame_parse(const uint8_t head[BDR_FRAME_HEAD_BYTES], uint32_t block_bytes, struct bdr_frame *out);
/* CRC-32C (RFC 3720 B.4); begin with crc 0. */
uint32_t bdr_crc32c(uint32_t crc, const void *data, size_t len);

#define BDR_RUN_HEAD_BYTES 16u
struct bdr_set_run {
    uint64_t first;
    uint32_t count;
    const uint8_t *ids; /* count * 32 bytes, borrowed; NULL: the blocks are zero */
};
/* Appends a run; ids NULL: zeros. */
void bdr_runs_put(struct bdr_buf *out, uint64_t first, uint32_t count, const void *ids);
struct bdr_runs {
    struct bdr_cur cur;
    uint64_t blocks; /* of the disk */
    uint64_t next;   /* the first block that the next run may have */
};
/* The next run; *out_more false at the end. INVAL and why: cut short, backwards, overlapping, empty, past the disk. */
bdr_ret bdr_runs_next(struct bdr_runs *r, struct bdr_set_run *out, bool *out_more);
