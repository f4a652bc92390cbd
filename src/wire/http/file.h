/* SPDX-License-Identifier: Apache-2.0 */
/* file.h - inside of the server: which part of a file a client wants. Pure. Threads: any. */
#pragma once
#include <stdint.h>

enum http_range {
    HTTP_RANGE_ALL,  /* no range we serve: the whole */
    HTTP_RANGE_PART, /* the outs are set */
    HTTP_RANGE_NONE, /* past the end: 416 */
};
enum http_range http_range_read(const char *text, uint64_t size, uint64_t *out_off, uint64_t *out_len);
