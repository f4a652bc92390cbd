/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode.h - blocks without a repository at hand: their ids, and how they are compressed on the way to one.
 *
 * Who sends blocks to a gateway encodes them as the repository would; the gateway undoes it to check, and stores what
 * came. Depends on: base.      Threads: an encoder belongs to one thread at a time.
 * Source:  docs/formats/repository.md sections 3 and 6
 */
#pragma once
#include "bdr/repo.h"

struct bdr_encoder;
/* compress: "zstd[:LEVEL]", "lz4[:ACCELERATION]", "none"; id_key: 32 bytes of a keyed repository, or NULL. INVAL, NOMEM. */
bdr_ret bdr_encoder_new(const char *compress, const uint8_t *id_key, struct bdr_encoder **out);
void bdr_encoder_free(struct bdr_encoder *e);
bdr_ret bdr_encoder_id(struct bdr_encoder *e, const void *data, size_t len, struct bdr_id *out);
/* Bytes that `out` of pack needs. */
size_t bdr_encoder_bound(size_t len);
/* Compresses; when that would not save 1/32, *out_codec is NONE and nothing is written: take `in` itself. */
bdr_ret bdr_encoder_pack(struct bdr_encoder *e, const void *in, size_t len, void *out, enum bdr_codec *out_codec,
                         size_t *out_len);
/* Exactly raw_len bytes must come out, whatever the payload claims. CORRUPT; VERSION a codec we do not know. */
bdr_ret bdr_encoder_unpack(struct bdr_encoder *e, uint8_t codec, const void *in, size_t len, void *out, size_t raw_len);

BDR_AUTO_DEFINE(encoder, struct bdr_encoder *, bdr_encoder_free)
