/* SPDX-License-Identifier: Apache-2.0 */
/* hand.h - a session of the block protocol by hand, request by request. */
#pragma once
#include "bdr/blockwire.h"
#include "bdr/bytes.h"
#include "bed.h"

/* A session by hand. */
struct hand {
    struct bed *b;
    struct bdr_http_client *c;
    uint64_t host, fence;
    char session[33];
    struct bdr_http_reply reply;
};
struct hand hand_new(struct bed *b, const char *machine, uint64_t host);
void hand_free(struct hand *h);
/* Calls and returns the status; the reply is kept. A path without a slash before it is the session's. */
unsigned hand_call(struct hand *h, const char *method, const char *path, const char *type, const void *body, size_t len);
unsigned hand_binary(struct hand *h, const char *path, const void *body, size_t len);
unsigned hand_json(struct hand *h, const char *path, const char *text);
json_t *hand_reply(struct hand *h);
bool hand_says(struct hand *h, const char *part);
/* Begins a session of the host under `fence`; the status. */
unsigned hand_begin(struct hand *h, uint64_t fence);

void hand_fill(uint8_t *block, size_t len, unsigned seed);
struct bdr_id hand_id(const void *data, size_t len);
/* Appends a frame; its checksum is right whatever it says. */
void hand_frame_put(struct bdr_buf *out, const struct bdr_frame *f, const void *payload, size_t len);
/* The frame of a block without a codec; its id. */
struct bdr_id hand_frame(struct bdr_buf *out, const void *data, uint32_t len);
