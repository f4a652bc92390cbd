/* SPDX-License-Identifier: Apache-2.0 */
#include "hand.h"
#include "bdr/blockwire.h"
#include "bdr/encode.h"
#include "bdr/jsonset.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

unsigned hand_call(struct hand *h, const char *method, const char *path, const char *type, const void *body,
                          size_t len)
{
    char fence[32], full[256];
    const struct bdr_pair header = {"Bdr-Fence", fence};
    struct bdr_err *err;
    unsigned status;

    snprintf(fence, sizeof(fence), "%" PRIu64, h->fence);
    if (*path == '/')
        snprintf(full, sizeof(full), "%s", path);
    else
        snprintf(full, sizeof(full), "/v1/hosts/%" PRIu64 "/sessions/%s%s%s", h->host, h->session, *path ? "/" : "", path);
    bdr_http_reply_free(&h->reply);
    err = bdr_http_call(h->c,
                        &(struct bdr_http_call){.method = method, .path = full, .type = type, .body = body, .body_len = len,
                                                .headers = &header, .n_headers = 1},
                        &h->reply);
    status = h->reply.status ? h->reply.status : err ? (unsigned)err->sys : 0;
    bdr_err_drop(err, "the status tells");
    return status;
}

unsigned hand_binary(struct hand *h, const char *path, const void *body, size_t len)
{
    return hand_call(h, "POST", path, "application/octet-stream", body, len);
}
unsigned hand_json(struct hand *h, const char *path, const char *text)
{
    return hand_call(h, "POST", path, "application/json", text, strlen(text));
}
json_t *hand_reply(struct hand *h)
{
    json_t *o = NULL;

    engine_ok(bdr_json_read((const char *)h->reply.body.data, h->reply.body.len, &o));
    return o;
}
bool hand_says(struct hand *h, const char *part)
{
    return h->reply.body.len && memmem(h->reply.body.data, h->reply.body.len, part, strlen(part));
}

unsigned hand_begin(struct hand *h, uint64_t fence)
{
    char path[64], body[64];
    unsigned status;

    h->fence = fence;
    snprintf(path, sizeof(path), "/v1/hosts/%" PRIu64 "/sessions", h->host);
    snprintf(body, sizeof(body), "{\"fence\":%" PRIu64 "}", fence);
    status = hand_json(h, path, body);
    if (status == 201) {
        json_t *o = hand_reply(h);

        snprintf(h->session, sizeof(h->session), "%s", json_string_value(json_object_get(o, "session")));
        json_decref(o);
    }
    return status;
}

struct hand hand_new(struct bed *b, const char *machine, uint64_t host)
{
    struct hand h = {.b = b, .host = host, .c = bed_client(b, machine)};

    snprintf(h.session, sizeof(h.session), "%032d", 0);
    return h;
}
void hand_free(struct hand *h)
{
    bdr_http_client_free(h->c);
    bdr_http_reply_free(&h->reply);
}

void hand_fill(uint8_t *block, size_t len, unsigned seed)
{
    uint64_t s = seed * 0x9e3779b97f4a7c15u + 1;

    for (size_t i = 0; i < len; i++) {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        block[i] = (uint8_t)s;
    }
}

struct bdr_id hand_id(const void *data, size_t len)
{
    BDR_AUTO(encoder) struct bdr_encoder *e = NULL;
    struct bdr_id id;

    engine_ok(bdr_encoder_new("none", NULL, &e));
    engine_ok(bdr_encoder_id(e, data, len, &id));
    return id;
}

void hand_frame_put(struct bdr_buf *out, const struct bdr_frame *f, const void *payload, size_t len)
{
    size_t start = out->len;
    uint8_t head[BDR_FRAME_HEAD_BYTES];

    bdr_frame_head(f, head);
    bdr_buf_put(out, head, sizeof(head));
    bdr_buf_put(out, payload, len);
    bdr_buf_u32(out, bdr_crc32c(0, out->data + start, out->len - start));
    engine_ok(bdr_buf_check(out));
}

struct bdr_id hand_frame(struct bdr_buf *out, const void *data, uint32_t len)
{
    struct bdr_frame f = {.raw_len = len, .payload_len = len};
    struct bdr_id id = hand_id(data, len);

    memcpy(f.id, id.b, sizeof(f.id));
    hand_frame_put(out, &f, data, len);
    return id;
}
