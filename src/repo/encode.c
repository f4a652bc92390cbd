/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/encode.h"
#include "bdr/bytes.h"
#include "codec.h"
#include "crypto.h"
#include <string.h>

struct bdr_encoder {
    struct bdr_codec_ctx *codec;
    struct bdr_hasher *hasher;
    enum bdr_codec want;
    int level;
};

struct bdr_err *bdr_encoder_new(const char *compress, const uint8_t *id_key, struct bdr_encoder **out)
{
    BDR_AUTO(encoder) struct bdr_encoder *e = calloc(1, sizeof(*e));
    BDR_AUTO(secret) struct bdr_secret key = {{0}};

    BDR_NOMEM_IF_NULL(e);
    BDR_TRY(bdr_codec_parse(compress, &e->want, &e->level));
    BDR_TRY(bdr_codec_new(&e->codec));
    if (id_key)
        memcpy(key.b, id_key, sizeof(key.b));
    BDR_TRY(bdr_hasher_new(id_key ? &key : NULL, &e->hasher));
    *out = BDR_STEAL(e);
    return NULL;
}

void bdr_encoder_free(struct bdr_encoder *e)
{
    if (!e)
        return;
    bdr_codec_free(e->codec);
    bdr_hasher_free(e->hasher);
    free(e);
}

struct bdr_err *bdr_encoder_id(struct bdr_encoder *e, const void *data, size_t len, struct bdr_id *out)
{
    return bdr_hasher_id(e->hasher, data, len, out);
}

size_t bdr_encoder_bound(size_t len)
{
    return bdr_codec_bound(len);
}

struct bdr_err *bdr_encoder_pack(struct bdr_encoder *e, const void *in, size_t len, void *out,
                                 enum bdr_codec *out_codec, size_t *out_len)
{
    return bdr_codec_pack(e->codec, e->want, e->level, in, len, out, out_codec, out_len);
}

struct bdr_err *bdr_encoder_unpack(struct bdr_encoder *e, uint8_t codec, const void *in, size_t len, void *out,
                                   size_t raw_len)
{
    return bdr_codec_unpack(e->codec, codec, in, len, out, raw_len);
}
