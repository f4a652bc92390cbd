/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a store is. usage: bench_store URL [MIB]     prints one JSON object; keys end in their units
 *
 * One writer of MIB (256) in appends of 64 KiB; then 4 threads: that much in writers of 32 MiB, 400 puts and gets of
 * 64 KiB, random reads of 64 KiB of the large object. Removes what it made.
 */
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "bdr/store.h"
#include <stdio.h>
#include <string.h>

#define PIECE   ((size_t)65536)
#define THREADS 4
#define SMALL   400
#define PACK    ((uint64_t)32 << 20)

struct bench {
    struct bdr_store *st;
    uint64_t bytes;
    uint8_t piece[PIECE];
};

static struct bdr_err *write_one(struct bench *b, const char *key, uint64_t bytes)
{
    BDR_AUTO(store_writer) struct bdr_store_writer *w = NULL;

    BDR_TRY(bdr_store_writer_begin(b->st, key, &w));
    for (uint64_t at = 0; at < bytes; at += PIECE)
        BDR_TRY(bdr_store_writer_append(w, b->piece, PIECE));
    return bdr_store_writer_commit(BDR_STEAL(w));
}

static struct bdr_err *bench_packs(void *ctx, unsigned index)
{
    struct bench *b = ctx;
    char key[32];

    for (uint64_t i = index; i < b->bytes / PACK; i += THREADS) {
        snprintf(key, sizeof(key), "bench/pack-%llu", (unsigned long long)i);
        BDR_TRY(write_one(b, key, PACK));
    }
    return NULL;
}

static struct bdr_err *bench_puts(void *ctx, unsigned index)
{
    struct bench *b = ctx;
    char key[32];

    for (unsigned i = index; i < SMALL; i += THREADS) {
        snprintf(key, sizeof(key), "bench/small-%u", i);
        BDR_TRY(bdr_store_put(b->st, key, b->piece, PIECE, BDR_PUT_REPLACE));
    }
    return NULL;
}

static struct bdr_err *bench_gets(void *ctx, unsigned index)
{
    struct bench *b = ctx;
    uint8_t buf[PIECE];
    char key[32];
    size_t n;

    for (unsigned i = index; i < SMALL; i += THREADS) {
        snprintf(key, sizeof(key), "bench/small-%u", i);
        BDR_TRY(bdr_store_get(b->st, key, 0, buf, PIECE, &n));
    }
    return NULL;
}

static struct bdr_err *bench_random(void *ctx, unsigned index)
{
    struct bench *b = ctx;
    uint8_t buf[PIECE];
    uint64_t seed = index + 1;
    size_t n;

    for (unsigned i = index; i < SMALL; i += THREADS) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        BDR_TRY(bdr_store_get(b->st, "bench/large", (seed >> 20) % (b->bytes / PIECE) * PIECE, buf, PIECE, &n));
    }
    return NULL;
}

static struct bdr_err *remove_one(void *ctx, const char *key, uint64_t size_bytes)
{
    (void)size_bytes;
    return bdr_store_remove(ctx, key);
}

/* Seconds that THREADS threads take. */
static struct bdr_err *timed(struct bench *b, struct bdr_err *(*fn)(void *, unsigned), double *out_s)
{
    uint64_t start = bdr_clock_mono_ns();
    struct bdr_pool *pool = NULL;

    BDR_TRY(bdr_pool_start("bench", THREADS, fn, b, NULL, &pool));
    BDR_TRY(bdr_pool_join(pool));
    *out_s = (double)(bdr_clock_mono_ns() - start) / 1e9;
    return NULL;
}

static struct bdr_err *bench(struct bench *b)
{
    double mib = (double)b->bytes / (1 << 20), large, packs, puts, gets, random;
    uint64_t start;

    BDR_TRY(bdr_os_random(b->piece, sizeof(b->piece)));
    start = bdr_clock_mono_ns();
    BDR_TRY(write_one(b, "bench/large", b->bytes));
    large = (double)(bdr_clock_mono_ns() - start) / 1e9;
    BDR_TRY(timed(b, bench_packs, &packs));
    BDR_TRY(timed(b, bench_puts, &puts));
    BDR_TRY(timed(b, bench_gets, &gets));
    BDR_TRY(timed(b, bench_random, &random));
    BDR_TRY(bdr_store_list(b->st, "bench/", remove_one, b->st));
    printf("{\"writer_mib_s\": %.1f, \"writers4_mib_s\": %.1f, \"put_64k_per_s\": %.0f, \"get_64k_per_s\": %.0f, "
           "\"random_64k_per_s\": %.0f}\n",
           mib / large, mib / packs, SMALL / puts, SMALL / gets, SMALL / random);
    return NULL;
}

int main(int argc, char **argv)
{
    struct bdr_store_options opt = {.create = true};
    static struct bench b = {.bytes = 256 << 20};
    struct bdr_err *err;
    char text[1024];

    if (argc < 2) {
        fprintf(stderr, "usage: %s URL [MIB]\n", argv[0]);
        return 2;
    }
    if (argc > 2)
        b.bytes = strtoull(argv[2], NULL, 10) << 20;
    err = bdr_store_open(argv[1], &opt, &b.st);
    if (!err)
        err = bench(&b);
    bdr_store_close(b.st);
    if (!err)
        return 0;
    fprintf(stderr, "%s\n", bdr_err_text(err, text, sizeof(text)));
    bdr_err_free(err);
    return 1;
}
