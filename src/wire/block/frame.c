/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/blockwire.h"
#include <pthread.h>
#include <string.h>

static const uint8_t frame_magic[4] = {'B', 'D', 'R', 'F'};

static void le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

void bdr_frame_head(const struct bdr_frame *f, uint8_t out[BDR_FRAME_HEAD_BYTES])
{
    memset(out, 0, BDR_FRAME_HEAD_BYTES);
    memcpy(out, frame_magic, 4);
    memcpy(out + 4, f->id, sizeof(f->id));
    le32(out + 36, f->raw_len);
    out[40] = f->codec;
    le32(out + 44, f->payload_len);
}

struct bdr_err *bdr_frame_parse(const uint8_t head[BDR_FRAME_HEAD_BYTES], uint32_t block_bytes, struct bdr_frame *out)
{
    struct bdr_cur c = bdr_cur_of(head, BDR_FRAME_HEAD_BYTES);
    const uint8_t *magic = bdr_cur_take(&c, 4), *id = bdr_cur_take(&c, BDR_WIRE_ID_BYTES), *zero;
    struct bdr_frame f;

    f.raw_len = bdr_cur_u32(&c);
    f.codec = bdr_cur_u8(&c);
    zero = bdr_cur_take(&c, 3);
    f.payload_len = bdr_cur_u32(&c);
    if (memcmp(magic, frame_magic, 4) != 0 || zero[0] || zero[1] || zero[2])
        BDR_FAIL(BDR_INVAL, 0, "this is not a frame");
    if (!f.raw_len || f.raw_len > block_bytes)
        BDR_FAIL(BDR_INVAL, 0, "a block has 1 to %u bytes, not %u", block_bytes, f.raw_len);
    if (!f.payload_len || f.payload_len > f.raw_len)
        BDR_FAIL(BDR_INVAL, 0, "a payload has 1 to %u bytes here, not %u", f.raw_len, f.payload_len);
    if (f.codec >= BDR_FRAME_CODECS)
        BDR_FAIL(BDR_INVAL, 0, "there is no codec %u", f.codec);
    memcpy(f.id, id, sizeof(f.id));
    *out = f;
    return NULL;
}

/* ---- CRC-32C ---- */

#define CRC_POLY 0x82f63b78u /* Castagnoli, reflected */

static uint32_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ CRC_POLY : c >> 1;
        crc_table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int t = 1; t < 8; t++)
            crc_table[t][i] = crc_table[t - 1][i] >> 8 ^ crc_table[0][crc_table[t - 1][i] & 255];
}

static uint32_t crc_plain(uint32_t c, const uint8_t *p, size_t len)
{
    pthread_once(&crc_once, crc_fill);
    for (; len >= 8; p += 8, len -= 8) {
        c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        c = crc_table[7][c & 255] ^ crc_table[6][c >> 8 & 255] ^ crc_table[5][c >> 16 & 255] ^ crc_table[4][c >> 24] ^
            crc_table[3][p[4]] ^ crc_table[2][p[5]] ^ crc_table[1][p[6]] ^ crc_table[0][p[7]];
    }
    while (len--)
        c = c >> 8 ^ crc_table[0][(c ^ *p++) & 255];
    return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t c, const uint8_t *p, size_t len)
{
    uint64_t wide = c;

    for (; len >= 8; p += 8, len -= 8) {
        uint64_t v;

        memcpy(&v, p, 8);
        wide = __builtin_ia32_crc32di(wide, v);
    }
    c = (uint32_t)wide;
    while (len--)
        c = __builtin_ia32_crc32qi(c, *p++);
    return c;
}
#endif

uint32_t bdr_crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~crc_sse(~crc, data, len);
#endif
    return ~crc_plain(~crc, data, len);
}
