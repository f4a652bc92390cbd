/* SPDX-License-Identifier: Apache-2.0 */
/* What a host with a right certificate and wrong intentions can send, and what it gets for it. */
#include "hand.h"
#include "bdr/blockwire.h"
#include "bdr/bytes.h"
#include "bdr/encode.h"
#include "bdr/jsonset.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#define BLOCK 65536u

static unsigned map_begin(struct hand *h, const char *disk, uint64_t size, const char *base, const char *mode)
{
    char body[256];

    snprintf(body, sizeof(body), "{\"disk\":\"%s\",\"size\":%" PRIu64 ",\"base\":%s,\"mode\":\"%s\"}", disk, size, base, mode);
    return hand_json(h, "maps", body);
}

/* ---- whose is what ---- */

static void test_session__not_its_host__403(void **state)
{
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 2), gw = hand_new(b, "gw", 1);

    assert_int_equal(hand_begin(&h, 1), 403);
    h.host = 999;
    assert_int_equal(hand_begin(&h, 1), 403);
    assert_int_equal(hand_begin(&gw, 1), 403); /* a gateway's certificate is none of a source */
    hand_free(&h);
    hand_free(&gw);
}

static void test_session__anothers_session__404(void **state)
{
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand a = hand_new(b, "m1", 1), m = hand_new(b, "m2", 2);
    char own[33];

    assert_int_equal(hand_begin(&a, 1), 201);
    assert_int_equal(hand_begin(&m, 1), 201);
    memcpy(own, m.session, sizeof(own));
    memcpy(m.session, a.session, sizeof(own));
    assert_int_equal(hand_binary(&m, "ask", "", 0), 404);
    m.host = 1; /* by the victim's path */
    assert_int_equal(hand_binary(&m, "ask", "", 0), 404);
    assert_int_equal(hand_binary(&m, "blocks", "", 0), 404);
    assert_int_equal(hand_json(&m, "publish", "{}"), 404);
    assert_int_equal(hand_call(&m, "DELETE", "", NULL, NULL, 0), 404);
    assert_int_equal(hand_binary(&a, "ask", "", 0), 200); /* it lives */
    hand_free(&a);
    hand_free(&m);
}

static void test_possession__foreign_id__not_there_not_read_not_referred_to(void **state)
{
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand a = hand_new(b, "m1", 1), m = hand_new(b, "m2", 2);
    BDR_AUTO(buf) struct bdr_buf frames = {0};
    BDR_AUTO(buf) struct bdr_buf runs = {0};
    uint8_t block[BLOCK];
    struct bdr_id id;
    char path[96], hex[65];

    hand_fill(block, sizeof(block), 1);
    assert_int_equal(hand_begin(&a, 1), 201);
    id = hand_frame(&frames, block, BLOCK);
    assert_int_equal(hand_binary(&a, "blocks", frames.data, frames.len), 200);
    assert_int_equal(hand_binary(&a, "ask", &id, sizeof(id)), 200);
    assert_int_equal(a.reply.body.data[0], 1);

    assert_int_equal(hand_begin(&m, 1), 201);
    assert_int_equal(hand_binary(&m, "ask", &id, sizeof(id)), 200);
    assert_int_equal(m.reply.body.data[0], 0);
    snprintf(path, sizeof(path), "blocks/%s", bdr_hex(id.b, sizeof(id.b), hex));
    assert_int_equal(hand_call(&m, "GET", path, NULL, NULL, 0), 422);
    assert_int_equal(hand_call(&a, "GET", path, NULL, NULL, 0), 200); /* its owner may */
    assert_int_equal(a.reply.body.len, BLOCK);
    assert_memory_equal(a.reply.body.data, block, BLOCK);
    assert_int_equal(map_begin(&m, "d", 4 * BLOCK, "null", "full"), 201);
    bdr_runs_put(&runs, 0, 1, id.b);
    assert_int_equal(hand_binary(&m, "maps/1/set?n=0", runs.data, runs.len), 422);
    assert_true(hand_says(&m, hex)); /* which one */
    /* What it has sent itself is fine. */
    assert_int_equal(hand_binary(&m, "blocks", frames.data, frames.len), 200);
    assert_int_equal(hand_binary(&m, "maps/1/set?n=0", runs.data, runs.len), 200);
    hand_free(&a);
    hand_free(&m);
}

static void test_map__foreign_base__422(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img")), base[80];
    struct bdr_backup_result r;
    struct bdr_repo *repo;
    json_t *m = NULL;

    engine_image(image, 4 << 20, 5);
    bed_start(b, false, "none", BLOCK);
    r = bed_backup(b, 1, image, NULL);
    repo = bed_repo(b);
    engine_ok(bdr_point_load(repo, r.point_id, &m));
    snprintf(base, sizeof(base), "\"%s\"",
             json_string_value(json_object_get(json_array_get(json_object_get(m, "disks"), 0), "root")));
    json_decref(m);
    bdr_repo_close(repo);
    struct hand h = hand_new(b, "m2", 2), own = hand_new(b, "m1", 1);
    assert_int_equal(hand_begin(&h, 1), 201);
    assert_int_equal(map_begin(&h, "d", 4 << 20, base, "delta"), 422);
    assert_int_equal(map_begin(&h, "d", 4 << 20, base, "full"), 422);
    assert_int_equal(map_begin(&h, "d", 4 << 20, "\"xyz\"", "full"), 422);
    assert_int_equal(hand_begin(&own, 99), 201);
    assert_int_equal(map_begin(&own, "d", 4 << 20, base, "delta"), 201);
    assert_int_equal(map_begin(&own, "d", 8 << 20, base, "delta"), 422); /* of another size */
    hand_free(&h);
    hand_free(&own);
    free(image);
}

/* ---- frames ---- */

struct bad_frame {
    const char *why, *says;
    void (*make)(struct bdr_buf *out, const uint8_t *block);
};

static void bad_id(struct bdr_buf *out, const uint8_t *block)
{
    struct bdr_frame f = {.raw_len = BLOCK, .payload_len = BLOCK};

    memset(f.id, 7, sizeof(f.id));
    hand_frame_put(out, &f, block, BLOCK);
}
static void bad_crc(struct bdr_buf *out, const uint8_t *block)
{
    hand_frame(out, block, BLOCK);
    out->data[100] ^= 1;
}
static void bad_magic(struct bdr_buf *out, const uint8_t *block)
{
    hand_frame(out, block, BLOCK);
    out->data[0] = 'X';
}
static void bad_cut(struct bdr_buf *out, const uint8_t *block)
{
    hand_frame(out, block, BLOCK);
    out->len -= 1000;
}
static void bad_cut_head(struct bdr_buf *out, const uint8_t *block)
{
    hand_frame(out, block, BLOCK);
    out->len = 20;
}
static void bad_large(struct bdr_buf *out, const uint8_t *block)
{
    struct bdr_frame f = {.raw_len = BLOCK + 1, .payload_len = 10, .codec = 2};

    hand_frame_put(out, &f, block, 10);
}
static void bad_huge_payload(struct bdr_buf *out, const uint8_t *block)
{
    struct bdr_frame f = {.raw_len = 10, .payload_len = 0xfffffff0u};

    hand_frame_put(out, &f, block, 100);
}
static void bad_empty(struct bdr_buf *out, const uint8_t *block)
{
    struct bdr_frame f = {.raw_len = 0, .payload_len = 0};

    hand_frame_put(out, &f, block, 0);
}
static void bad_codec(struct bdr_buf *out, const uint8_t *block)
{
    struct bdr_frame f = {.raw_len = BLOCK, .payload_len = 100, .codec = 9};

    hand_frame_put(out, &f, block, 100);
}
static void bad_plain_short(struct bdr_buf *out, const uint8_t *block)
{
    struct bdr_frame f = {.raw_len = BLOCK, .payload_len = 100};

    hand_frame_put(out, &f, block, 100);
}
/* 16 MiB of zeros in some hundred bytes that say they are one block. */
static void bad_bomb(struct bdr_buf *out, const uint8_t *block)
{
    struct bdr_frame f = {.raw_len = BLOCK, .codec = 2};
    size_t n = 16u << 20;
    uint8_t *zeros = calloc(1, n), *packed = malloc(ZSTD_compressBound(n));

    (void)block;
    assert_true(zeros && packed);
    f.payload_len = (uint32_t)ZSTD_compress(packed, ZSTD_compressBound(n), zeros, n, 3);
    assert_true(f.payload_len < BLOCK);
    hand_frame_put(out, &f, packed, f.payload_len);
    free(zeros);
    free(packed);
}
static void bad_lz4(struct bdr_buf *out, const uint8_t *block)
{
    struct bdr_frame f = {.raw_len = BLOCK, .payload_len = 5000, .codec = 1};

    hand_frame_put(out, &f, block, 5000);
}
static const struct bad_frame bad_frames[] = {
    {"a wrong id", "not that of its bytes", bad_id},
    {"a wrong checksum", "checksum", bad_crc},
    {"no magic", "not a frame", bad_magic},
    {"cut short", "cut short", bad_cut},
    {"a cut head", "cut short", bad_cut_head},
    {"a block too large", "bytes", bad_large},
    {"a huge payload", "payload", bad_huge_payload},
    {"an empty block", "bytes", bad_empty},
    {"a codec nobody knows", "codec", bad_codec},
    {"a plain payload that is short", "plain", bad_plain_short},
    {"a bomb", "decompress", bad_bomb},
    {"noise as lz4", "decompress", bad_lz4},
};

static void test_blocks__bad_frames__422_and_those_before_kept(void **state)
{
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1);
    uint8_t good[BLOCK], block[BLOCK];
    struct gw_stats stats;

    assert_int_equal(hand_begin(&h, 1), 201);
    for (size_t i = 0; i < BDR_COUNT(bad_frames); i++) {
        BDR_AUTO(buf) struct bdr_buf body = {0};
        BDR_AUTO(buf) struct bdr_buf bad = {0};
        struct bdr_id id;

        hand_fill(good, sizeof(good), 100 + (unsigned)i);
        hand_fill(block, sizeof(block), 1000 + (unsigned)i);
        id = hand_frame(&body, good, BLOCK);
        bad_frames[i].make(&bad, block);
        bdr_buf_put(&body, bad.data, bad.len);
        if (hand_binary(&h, "blocks", body.data, body.len) != 422 || !hand_says(&h, bad_frames[i].says))
            fail_msg("%s: %u %.*s", bad_frames[i].why, h.reply.status, (int)h.reply.body.len, (char *)h.reply.body.data);
        assert_true(hand_says(&h, "Frame 1 "));
        assert_int_equal(hand_binary(&h, "ask", &id, sizeof(id)), 200);
        assert_int_equal(h.reply.body.data[0], 1); /* the one before it counts */
    }
    gw_stats(b->gw, &stats);
    assert_int_equal(stats.buffer_bytes, 0);
    assert_int_equal(stats.frames, BDR_COUNT(bad_frames));
    hand_free(&h);
}

static void test_bodies__oversized__413(void **state)
{
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1);
    uint8_t *big = calloc(1, BDR_WIRE_SET_BYTES + 64);

    assert_non_null(big);
    assert_int_equal(hand_begin(&h, 1), 201);
    assert_int_equal(hand_binary(&h, "ask", big, BDR_WIRE_ASK_IDS * 32 + 32), 413);
    assert_int_equal(hand_binary(&h, "ask", big, 33), 422);
    assert_int_equal(map_begin(&h, "d", 1 << 20, "null", "full"), 201);
    assert_int_equal(hand_binary(&h, "maps/1/set?n=0", big, BDR_WIRE_SET_BYTES + 64), 413);
    memset(big, ' ', 8192);
    assert_int_equal(hand_call(&h, "POST", "/v1/hosts/1/sessions", "application/json", big, 8192), 413);
    assert_int_equal(hand_binary(&h, "ask", "", 0), 200);
    free(big);
    hand_free(&h);
}

/* ---- runs ---- */

static void test_runs__that_make_no_sense__422_and_nothing_done(void **state)
{
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1);
    BDR_AUTO(buf) struct bdr_buf frames = {0};
    uint8_t block[BLOCK], tail[1000];
    struct bdr_id id, short_id, twice[2];
    static const struct {
        const char *says;
        uint64_t first[2];
        uint32_t count[2];
    } rows[] = {
        {"behind", {5, 3}, {1, 1}},           /* backwards */
        {"behind", {5, 5}, {1, 1}},           /* twice */
        {"past the disk", {100, 0}, {1, 0}},  /* behind the end */
        {"past the disk", {UINT64_MAX, 0}, {2, 0}},
        {"empty", {5, 0}, {0, 0}},
    };

    hand_fill(block, sizeof(block), 1);
    hand_fill(tail, sizeof(tail), 2);
    assert_int_equal(hand_begin(&h, 1), 201);
    id = hand_frame(&frames, block, BLOCK);
    short_id = hand_frame(&frames, tail, sizeof(tail));
    assert_int_equal(hand_binary(&h, "blocks", frames.data, frames.len), 200);
    assert_int_equal(map_begin(&h, "d", 99 * BLOCK + 1000, "null", "full"), 201);
    twice[0] = twice[1] = id;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        BDR_AUTO(buf) struct bdr_buf runs = {0};

        for (size_t k = 0; k < 2 && (k == 0 || rows[i].count[1]); k++)
            bdr_runs_put(&runs, rows[i].first[k], rows[i].count[k], twice[0].b);
        assert_int_equal(hand_binary(&h, "maps/1/set?n=0", runs.data, runs.len), 422);
        if (!hand_says(&h, rows[i].says))
            fail_msg("row %zu: %.*s", i, (int)h.reply.body.len, (char *)h.reply.body.data);
    }
    {
        BDR_AUTO(buf) struct bdr_buf runs = {0};

        bdr_runs_put(&runs, 0, 1, short_id.b); /* a short block in the middle */
        assert_int_equal(hand_binary(&h, "maps/1/set?n=0", runs.data, runs.len), 422);
        runs.len = 0;
        bdr_runs_put(&runs, 99, 1, id.b); /* a long one at the end */
        assert_int_equal(hand_binary(&h, "maps/1/set?n=0", runs.data, runs.len), 422);
        runs.len = 0;
        bdr_runs_put(&runs, 0, 1, id.b);
        assert_int_equal(hand_binary(&h, "maps/1/set?n=0", runs.data, runs.len - 8), 422); /* cut */
        assert_int_equal(hand_binary(&h, "maps/1/set?n=1", runs.data, runs.len), 409);     /* not its turn */
        assert_int_equal(hand_binary(&h, "maps/7/set?n=0", runs.data, runs.len), 409);     /* no such map */
        runs.len = 0;
        bdr_runs_put(&runs, 62, 2, twice);
        bdr_runs_put(&runs, 64, 2, twice);
        bdr_runs_put(&runs, 99, 1, short_id.b);
        assert_int_equal(hand_binary(&h, "maps/1/set?n=0", runs.data, runs.len), 200);
        assert_int_equal(hand_binary(&h, "maps/1/set?n=0", runs.data, runs.len), 200); /* the answer got lost */
        assert_int_equal(hand_binary(&h, "maps/1/set?n=1", runs.data, runs.len), 422); /* behind, over requests too */
    }
    assert_int_equal(hand_call(&h, "POST", "maps/1/finish", NULL, NULL, 0), 200);
    assert_int_equal(hand_call(&h, "POST", "maps/1/finish", NULL, NULL, 0), 200); /* again the same */
    hand_free(&h);
}

static void test_maps__many__bounded(void **state)
{
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1);

    assert_int_equal(hand_begin(&h, 1), 201);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(map_begin(&h, "d", 1ull << 50, "null", "full"), 201);
    assert_int_equal(map_begin(&h, "d", 1ull << 50, "null", "full"), 429);
    assert_int_equal(hand_call(&h, "DELETE", "maps/3", NULL, NULL, 0), 204);
    assert_int_equal(map_begin(&h, "d", 1ull << 50, "null", "full"), 201);
    assert_int_equal(map_begin(&h, "", 1 << 20, "null", "full"), 422);
    assert_int_equal(map_begin(&h, "d", 0, "null", "full"), 422);
    assert_int_equal(map_begin(&h, "d", 1 << 20, "null", "some"), 422);
    assert_int_equal(hand_call(&h, "GET", "maps/1/base?first=0&count=65537", NULL, NULL, 0), 422);
    assert_int_equal(hand_call(&h, "GET", "maps/1/base?first=99999999999999&count=1", NULL, NULL, 0), 422);
    hand_free(&h);
}

/* ---- fences ---- */

static void test_fence__older__412_over_restarts(void **state)
{
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1), old = hand_new(b, "m1", 1);

    assert_int_equal(hand_begin(&old, 5), 201);
    assert_int_equal(hand_begin(&h, 7), 201);
    assert_int_equal(hand_binary(&old, "ask", "", 0), 404); /* its session was ended */
    assert_int_equal(hand_begin(&old, 6), 412);
    old.fence = 5;
    memcpy(old.session, h.session, sizeof(old.session));
    assert_int_equal(hand_binary(&old, "ask", "", 0), 412); /* the right session, the wrong fence */
    bed_down(b);
    bed_up(b);
    assert_int_equal(hand_begin(&old, 6), 412);
    assert_int_equal(hand_begin(&h, 7), 201); /* the same number: a worker that lost the answer */
    assert_int_equal(hand_begin(&h, 7), 201);
    assert_int_equal(hand_begin(&h, 0), 400);
    hand_free(&h);
    hand_free(&old);
}

/* ---- publishing ---- */

#define DISK "{\"identity\":\"d\",\"name\":\"vda\",\"sector\":512,\"table\":\"none\"}"

static void publish_ready(struct hand *h, uint64_t fence)
{
    BDR_AUTO(buf) struct bdr_buf frames = {0};
    BDR_AUTO(buf) struct bdr_buf runs = {0};
    uint8_t block[BLOCK];
    struct bdr_id id;

    hand_fill(block, sizeof(block), 1);
    assert_int_equal(hand_begin(h, fence), 201);
    id = hand_frame(&frames, block, BLOCK);
    assert_int_equal(hand_binary(h, "blocks", frames.data, frames.len), 200);
    assert_int_equal(map_begin(h, "d", 4 * BLOCK, "null", "full"), 201);
    bdr_runs_put(&runs, 1, 1, id.b);
    assert_int_equal(hand_binary(h, "maps/1/set?n=0", runs.data, runs.len), 200);
    assert_int_equal(hand_call(h, "POST", "maps/1/finish", NULL, NULL, 0), 200);
}

static void test_publish__bad_manifests__422(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"disks\":[],\"consistency\":\"crash\"}",
        "{\"disks\":[" DISK "],\"consistency\":\"perfect\"}",
        "{\"disks\":[" DISK "," DISK "],\"consistency\":\"crash\"}",
        "{\"disks\":[{\"identity\":\"other\",\"name\":\"vda\",\"sector\":512,\"table\":\"none\"}],\"consistency\":\"crash\"}",
        "{\"disks\":[" DISK "],\"consistency\":\"crash\",\"host\":\"host2\"}",
        "{\"disks\":[" DISK "],\"consistency\":\"crash\",\"tags\":{\"a\":1}}",
        "{\"disks\":[" DISK "],\"consistency\":\"crash\",\"boot_mode\":\"magic\"}",
        "{\"disks\":[{\"identity\":\"d\",\"name\":\"vda\",\"sector\":511,\"table\":\"none\"}],\"consistency\":\"crash\"}",
        ("{\"disks\":[{\"identity\":\"d\",\"name\":\"vda\",\"sector\":512,\"table\":\"none\",\"unreadable\":[[0,999999999]]}],"
         "\"consistency\":\"crash\"}"),
        "{\"disks\":7,\"consistency\":\"crash\"}",
    };
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1);

    publish_ready(&h, 1);
    for (size_t i = 0; i < BDR_COUNT(bad); i++)
        if (hand_json(&h, "publish", bad[i]) != 422)
            fail_msg("%s: %u", bad[i], h.reply.status);
    assert_int_equal(hand_json(&h, "publish", "{nonsense"), 400);
    assert_int_equal(hand_json(&h, "publish", "{\"disks\":[" DISK "],\"consistency\":\"crash\"}"), 200);
    hand_free(&h);
}

static void test_publish__what_is_made_up__is_left_out(void **state)
{
    static const char given[] =
        "{\"id\":\"ffffffffffffffffffffffffffffffff\",\"lease\":999,\"session\":\"x\",\"base\":\"zzz\",\"origin\":\"o\","
        "\"host_id\":\"not-this-machine\",\"time_ms\":99999999999999,\"consistency\":\"crash\",\"stats\":{\"new_bytes\":77},"
        "\"evil\":1,\"disks\":[{\"identity\":\"d\",\"name\":\"vda\",\"sector\":512,\"table\":\"none\",\"size\":1,\"levels\":9,"
        "\"root\":\"0000000000000000000000000000000000000000000000000000000000000000\"}]}";
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1);
    struct bdr_repo *repo;
    json_t *o, *m = NULL, *d;
    char id[33];

    publish_ready(&h, 1);
    assert_int_equal(hand_json(&h, "publish", given), 200);
    o = hand_reply(&h);
    snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(o, "id")));
    json_decref(o);
    repo = bed_repo(b);
    engine_ok(bdr_point_load(repo, id, &m));
    d = json_array_get(json_object_get(m, "disks"), 0);
    assert_string_equal(json_string_value(json_object_get(m, "host_id")), "id1");
    assert_null(json_object_get(m, "evil"));
    assert_null(json_object_get(m, "base"));
    assert_null(json_object_get(m, "origin"));
    assert_int_equal(json_integer_value(json_object_get(d, "size")), 4 * BLOCK);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(m, "stats"), "new_bytes")), BLOCK);
    assert_true(json_integer_value(json_object_get(m, "time_ms")) < 99999999999999);
    engine_verify_clean(repo);
    json_decref(m);
    bdr_repo_close(repo);
    hand_free(&h);
}

static void test_publish__repeated__the_same_point(void **state)
{
    static const char body[] = "{\"disks\":[" DISK "],\"consistency\":\"crash\"}";
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1), other = hand_new(b, "m2", 2);
    char first[33];
    json_t *o;

    publish_ready(&h, 3);
    assert_int_equal(hand_json(&h, "publish", body), 200);
    o = hand_reply(&h);
    snprintf(first, sizeof(first), "%s", json_string_value(json_object_get(o, "id")));
    json_decref(o);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(hand_json(&h, "publish", body), 200);
        assert_true(hand_says(&h, first));
        bed_down(b); /* and by a gateway that has started again */
        bed_up(b);
    }
    h.fence = 4;
    assert_int_equal(hand_json(&h, "publish", body), 404); /* replayed under another fence */
    memcpy(other.session, h.session, sizeof(other.session));
    other.fence = 3;
    assert_int_equal(hand_json(&other, "publish", body), 404);
    hand_free(&h);
    hand_free(&other);
}

/* ---- patience ---- */

static struct bdr_err *slow_source(void *ctx, void *buf, size_t cap, size_t *out_len)
{
    unsigned *left = ctx;

    memset(buf, 'B', cap);
    *out_len = *left ? 1 : 0;
    *left -= *left ? 1 : 0;
    return bdr_cancel_sleep(NULL, 300);
}

static void test_blocks__slow_body__cut_off(void **state)
{
    struct bed *b = *state;
    b->limits.stall_ms = 1500;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1);
    char path[128], fence[32];
    const struct bdr_pair header = {"Bdr-Fence", fence};
    unsigned left = 100;
    struct bdr_err *err;

    assert_int_equal(hand_begin(&h, 1), 201);
    snprintf(fence, sizeof(fence), "1");
    snprintf(path, sizeof(path), "/v1/hosts/1/sessions/%s/blocks", h.session);
    err = bdr_http_call(h.c,
                        &(struct bdr_http_call){.method = "POST", .path = path, .type = "application/octet-stream",
                                                .source = slow_source, .source_ctx = &left, .body_len = UINT64_MAX,
                                                .headers = &header, .n_headers = 1},
                        &h.reply);
    assert_non_null(err);
    bdr_err_free(err);
    assert_true(left > 50);
    assert_int_equal(hand_binary(&h, "ask", "", 0), 200); /* others go on */
    hand_free(&h);
}

static void test_revoked__at_once__nothing_goes(void **state)
{
    struct bed *b = *state;
    bed_start(b, false, "none", BLOCK);
    struct hand h = hand_new(b, "m1", 1), other = hand_new(b, "m2", 2);
    struct gw_stats stats;

    assert_int_equal(hand_begin(&h, 1), 201);
    assert_int_equal(hand_begin(&other, 1), 201);
    bed_also(b, "revoked m1");
    gw_cut(b->gw, NULL);
    assert_int_not_equal(hand_binary(&h, "ask", "", 0), 200);
    assert_int_not_equal(hand_begin(&h, 2), 201);
    gw_stats(b->gw, &stats);
    assert_int_equal(stats.sessions, 1);
    assert_int_equal(hand_binary(&other, "ask", "", 0), 200);
    hand_free(&h);
    hand_free(&other);
}

#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_session__not_its_host__403),
        T(test_session__anothers_session__404),
        T(test_possession__foreign_id__not_there_not_read_not_referred_to),
        T(test_map__foreign_base__422),
        T(test_blocks__bad_frames__422_and_those_before_kept),
        T(test_bodies__oversized__413),
        T(test_runs__that_make_no_sense__422_and_nothing_done),
        T(test_maps__many__bounded),
        T(test_fence__older__412_over_restarts),
        T(test_publish__bad_manifests__422),
        T(test_publish__what_is_made_up__is_left_out),
        T(test_publish__repeated__the_same_point),
        T(test_blocks__slow_body__cut_off),
        T(test_revoked__at_once__nothing_goes),
    };

    return cmocka_run_group_tests_name("gateway-malice", tests, NULL, NULL);
}
