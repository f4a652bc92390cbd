/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes.h - growable buffers, little-endian fields, hex.
 *
 * A struct bdr_buf only grows; `put` calls remember running out of memory and bdr_buf_check tells once.
 * A struct bdr_cur reads fields from bytes we do not trust: past the end it yields zeros and remembers.
 * Threads: one at a time.
 */
#pragma once
#include "bdr/err.h"

struct bdr_buf {
    uint8_t *data; /* owned */
    size_t len, cap;
    bool failed;
};
void bdr_buf_free(struct bdr_buf *b);
bool bdr_buf_reserve(struct bdr_buf *b, size_t more);
void bdr_buf_put(struct bdr_buf *b, const void *data, size_t len);
void bdr_buf_u8(struct bdr_buf *b, uint8_t v);
void bdr_buf_u16(struct bdr_buf *b, uint16_t v);
void bdr_buf_u32(struct bdr_buf *b, uint32_t v);
void bdr_buf_u64(struct bdr_buf *b, uint64_t v);
void bdr_buf_printf(struct bdr_buf *b, const char *fmt, ...) BDR_PRINTF(2, 3);
/* NOMEM when any put failed. */
bdr_ret bdr_buf_check(const struct bdr_buf *b);
BDR_UNUSED static inline void bdr_auto_buf(struct bdr_buf *b)
{
    bdr_buf_free(b);
}

struct bdr_cur {
    const uint8_t *at, *end; /* borrowed */
    bool failed;
};
BDR_UNUSED static inline struct bdr_cur bdr_cur_of(const void *data, size_t len)
{
    return (struct bdr_cur){.at = data, .end = len ? (const uint8_t *)data + len : data};
}
size_t bdr_cur_left(const struct bdr_cur *c);
/* `len` bytes, or NULL (and failed). */
const uint8_t *bdr_cur_take(struct bdr_cur *c, size_t len);
uint8_t bdr_cur_u8(struct bdr_cur *c);
uint16_t bdr_cur_u16(struct bdr_cur *c);
uint32_t bdr_cur_u32(struct bdr_cur *c);
uint64_t bdr_cur_u64(struct bdr_cur *c);

/* out[2*n+1] gets lower-case hex; returns out. */
char *bdr_hex(const void *data, size_t n, char *out);
/* False unless `hex` is exactly 2*n hex digits. */
bool bdr_unhex(const char *hex, void *out, size_t n);
bool bdr_all_zero(const void *data, size_t n);
/* Overwrites memory that held a secret; not optimised away. */
void bdr_wipe(void *data, size_t n);
/* "1.5 GiB" into buf[16]; returns buf. */
const char *bdr_size_text(uint64_t bytes, char buf[16]);
/* "64K", "1.5G", "4096" (binary multiples). INVAL otherwise. */
bdr_ret bdr_size_parse(const char *text, uint64_t *out);
/* Decimal digits only, up to max. INVAL, RANGE. */
bdr_ret bdr_u64_parse(const char *text, uint64_t max, uint64_t *out);
