/* SPDX-License-Identifier: Apache-2.0 */
#include "codec.h"
#include "bdr/bytes.h"
#include <lz4.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

/* The default level's table, doubled for the default block of 256 KiB: 0.3 % smaller, 3 % slower (docs/benchmarks.md). */
#define CODEC_TUNED_LEVEL    2
#define CODEC_TUNED_FROM     131072
#define CODEC_TUNED_HASH_LOG 15
#define CODEC_TEST_ACCEL     8 /* LZ4 that only has to tell whether there are repeats */

struct bdr_codec_ctx {
    ZSTD_CCtx *zc;
    ZSTD_DCtx *zd;
    int level; /* set on zc */
};

struct bdr_err *bdr_codec_new(struct bdr_codec_ctx **out)
{
    struct bdr_codec_ctx *c = calloc(1, sizeof(*c));

    BDR_NOMEM_IF_NULL(c);
    c->level = INT32_MIN;
    *out = c;
    return NULL;
}

void bdr_codec_free(struct bdr_codec_ctx *c)
{
    if (!c)
        return;
    ZSTD_freeCCtx(c->zc);
    ZSTD_freeDCtx(c->zd);
    free(c);
}

size_t bdr_codec_bound(size_t len)
{
    return BDR_MAX(ZSTD_compressBound(len), (size_t)LZ4_compressBound((int)len));
}

/*
 * True when the bytes' frequencies are flat: an entropy coder gains nothing, only repeats could. 4,096 samples; random
 * data gives a sum of squares of 4096^2/256 + 4096 = 69,632 on average with a deviation of about 360, text and code
 * several times that.
 */
static bool codec_flat(const uint8_t *p, size_t len)
{
    uint32_t count[256] = {0};
    uint64_t sum = 0;
    size_t step = len / 4096;

    if (len < 4096)
        return false;
    for (size_t i = 0; i < 4096; i++)
        count[p[i * step]]++;
    for (size_t i = 0; i < 256; i++)
        sum += (uint64_t)count[i] * count[i];
    return sum < 72000;
}

struct bdr_err *bdr_codec_pack(struct bdr_codec_ctx *c, enum bdr_codec want, int level, const void *in, size_t len,
                               void *out, enum bdr_codec *out_codec, size_t *out_len)
{
    size_t most = len - len / 32, n = 0;

    *out_codec = BDR_CODEC_NONE;
    *out_len = len;
    if (want == BDR_CODEC_NONE || len < 64)
        return NULL;
    if (want == BDR_CODEC_LZ4 || codec_flat(in, len)) {
        /* LZ4 skips quickly over what has no repeats, so it is also the cheap test before zstd. */
        n = (size_t)LZ4_compress_fast(in, out, (int)len, (int)most, want == BDR_CODEC_LZ4 ? level : CODEC_TEST_ACCEL);
        if (!n)
            return NULL;
        if (want == BDR_CODEC_LZ4) {
            *out_codec = BDR_CODEC_LZ4;
            *out_len = n;
            return NULL;
        }
    }
    if (!c->zc) {
        c->zc = ZSTD_createCCtx();
        BDR_NOMEM_IF_NULL(c->zc);
    }
    if (c->level != level) {
        ZSTD_CCtx_setParameter(c->zc, ZSTD_c_compressionLevel, level);
        ZSTD_CCtx_setParameter(c->zc, ZSTD_c_contentSizeFlag, 0);
        ZSTD_CCtx_setParameter(c->zc, ZSTD_c_checksumFlag, 0);
        c->level = level;
    }
    ZSTD_CCtx_setParameter(c->zc, ZSTD_c_hashLog,
                           level == CODEC_TUNED_LEVEL && len > CODEC_TUNED_FROM ? CODEC_TUNED_HASH_LOG : 0);
    n = ZSTD_compress2(c->zc, out, bdr_codec_bound(len), in, len);
    if (ZSTD_isError(n))
        BDR_FAIL(BDR_NOMEM, 0, "compressing %zu bytes: %s", len, ZSTD_getErrorName(n));
    if (n <= most) {
        *out_codec = BDR_CODEC_ZSTD;
        *out_len = n;
    }
    return NULL;
}

struct bdr_err *bdr_codec_unpack(struct bdr_codec_ctx *c, uint8_t codec, const void *in, size_t len, void *out,
                                 size_t raw_len)
{
    size_t n;

    switch (codec) {
    case BDR_CODEC_NONE:
        if (len != raw_len)
            BDR_FAIL(BDR_CORRUPT, 0, "a plain block has %zu bytes instead of %zu", len, raw_len);
        memcpy(out, in, len);
        return NULL;
    case BDR_CODEC_LZ4: {
        int got = LZ4_decompress_safe(in, out, (int)len, (int)raw_len);

        if (got < 0 || (size_t)got != raw_len)
            BDR_FAIL(BDR_CORRUPT, 0, "an LZ4 block does not decompress");
        return NULL;
    }
    case BDR_CODEC_ZSTD:
        if (!c->zd) {
            c->zd = ZSTD_createDCtx();
            BDR_NOMEM_IF_NULL(c->zd);
        }
        n = ZSTD_decompressDCtx(c->zd, out, raw_len, in, len);
        if (ZSTD_isError(n) || n != raw_len)
            BDR_FAIL(BDR_CORRUPT, 0, "a zstd block does not decompress");
        return NULL;
    default:
        BDR_FAIL(BDR_VERSION, 0, "codec %u is not known to this version; update OpenBDR", codec);
    }
}

/* What may follow the name, and what counts without it. docs/benchmarks.md "Compression" has the measurements. */
static const struct codec_row {
    const char *name, *range; /* range NULL: nothing may follow */
    int min, max, def;
} codec_rows[] = {
    [BDR_CODEC_NONE] = {.name = "none"},
    [BDR_CODEC_LZ4] = {.name = "lz4", .range = "an LZ4 acceleration is 1 to 64", .min = 1, .max = 64, .def = 2},
    /* The lowest level that keeps a repository within 5 % of the peers' size. */
    [BDR_CODEC_ZSTD] = {.name = "zstd", .range = "zstd levels are -50 to 19", .min = -50, .max = 19, .def = 2},
};

const char *bdr_codec_name(enum bdr_codec codec)
{
    return (size_t)codec < BDR_COUNT(codec_rows) ? codec_rows[codec].name : "?";
}

void bdr_codec_text(enum bdr_codec codec, int level, char *out, size_t out_n)
{
    if ((size_t)codec < BDR_COUNT(codec_rows) && codec_rows[codec].range)
        snprintf(out, out_n, "%s:%d", codec_rows[codec].name, level);
    else
        snprintf(out, out_n, "%s", bdr_codec_name(codec));
}

/* What stands behind the colon. */
static struct bdr_err *codec_level(const struct codec_row *row, const char *text, int *out)
{
    bool negative = *text == '-' && row->min < 0;
    uint64_t most = (uint64_t)(negative ? -row->min : row->max), level = 0;

    if (!row->range)
        BDR_FAIL(BDR_INVAL, 0, "%s has no levels; write it without one", row->name);
    BDR_TRY_FOR(bdr_u64_parse(text + negative, most, &level), "%s", row->range);
    if (!negative && (int64_t)level < row->min)
        BDR_FAIL(BDR_INVAL, 0, "%s, not %s", row->range, text);
    *out = negative ? -(int)level : (int)level;
    return NULL;
}

struct bdr_err *bdr_codec_parse(const char *text, enum bdr_codec *out_codec, int *out_level)
{
    size_t name = strcspn(text, ":");

    for (size_t i = 0; i < BDR_COUNT(codec_rows); i++) {
        const struct codec_row *row = &codec_rows[i];
        int level = row->def;

        if (strlen(row->name) != name || strncmp(text, row->name, name) != 0)
            continue;
        if (text[name] == ':')
            BDR_TRY(codec_level(row, text + name + 1, &level));
        *out_codec = (enum bdr_codec)i;
        *out_level = level;
        return NULL;
    }
    BDR_FAIL(BDR_INVAL, 0, "compression '%s' is not known; use zstd[:LEVEL], lz4[:ACCELERATION] or none", text);
}
