/* SPDX-License-Identifier: Apache-2.0 */
/* codec.h - compressing one block. Threads: a context belongs to one thread. */
#pragma once
#include "bdr/repo.h"

struct bdr_codec_ctx;
bdr_ret bdr_codec_new(struct bdr_codec_ctx **out);
void bdr_codec_free(struct bdr_codec_ctx *c);
/* Bytes that compressing `len` bytes may need in `out`. */
size_t bdr_codec_bound(size_t len);
/*
 * Compresses in[len] as `want` at `level` (zstd's, or LZ4's acceleration) into out (bdr_codec_bound(len) bytes). When it would not save at least
 * 1/32, nothing is written and *out_codec is NONE, *out_len is len: store `in` itself.
 */
bdr_ret bdr_codec_pack(struct bdr_codec_ctx *c, enum bdr_codec want, int level, const void *in, size_t len, void *out,
                       enum bdr_codec *out_codec, size_t *out_len);
/* Exactly raw_len bytes must come out. CORRUPT otherwise; VERSION for a codec we do not know. */
bdr_ret bdr_codec_unpack(struct bdr_codec_ctx *c, uint8_t codec, const void *in, size_t len, void *out, size_t raw_len);
/* "lz4", "lz4:4", "zstd", "zstd:3", "none". *out_level is zstd's level or LZ4's acceleration. INVAL. */
bdr_ret bdr_codec_parse(const char *text, enum bdr_codec *out_codec, int *out_level);
const char *bdr_codec_name(enum bdr_codec codec);
/* What bdr_codec_parse takes, with its level when it has one: "zstd:2", "lz4:2", "none". */
void bdr_codec_text(enum bdr_codec codec, int level, char *out, size_t out_n);
BDR_AUTO_DEFINE(codec, struct bdr_codec_ctx *, bdr_codec_free)
