/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_source.c - how fast a source reads, start to end, whatever the driver.
 *
 * Usage: bench-source LOCATION [READERS [READ_BYTES [LIMIT]]]; prints one line of JSON. Readers take turns at the next
 * piece.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/pool.h"
#include "bdr/source.h"
#include <pthread.h>
#include <stdio.h>

struct bench {
    struct bdr_source *src;
    uint64_t size_bytes, next, piece;
    pthread_mutex_t lock; /* guards next */
};

static struct bdr_err *bench_reader(void *ctx, unsigned index)
{
    struct bench *b = ctx;
    BDR_AUTO(mem) void *buf = aligned_alloc(4096, (size_t)b->piece);

    (void)index;
    BDR_NOMEM_IF_NULL(buf);
    for (;;) {
        uint64_t off;

        pthread_mutex_lock(&b->lock);
        off = b->next;
        b->next += b->piece;
        pthread_mutex_unlock(&b->lock);
        if (off >= b->size_bytes)
            return NULL;
        BDR_TRY(bdr_source_read(b->src, off, buf, (size_t)BDR_MIN(b->piece, b->size_bytes - off)));
    }
}

static struct bdr_err *bench_run(char **argv, int argc)
{
    struct bench b = {.lock = PTHREAD_MUTEX_INITIALIZER, .piece = (uint64_t)1 << 20};
    BDR_AUTO(source) struct bdr_source *src = NULL;
    struct bdr_source_info info;
    struct bdr_pool *pool = NULL;
    uint64_t readers = 4, start, ns;

    if (argc > 2)
        BDR_TRY(bdr_u64_parse(argv[2], 64, &readers));
    if (argc > 3)
        BDR_TRY(bdr_size_parse(argv[3], &b.piece));
    BDR_TRY(bdr_source_open(&(struct bdr_source_spec){.location = argv[1]}, &src));
    BDR_TRY(bdr_source_info(src, &info));
    b.src = src;
    b.size_bytes = info.size_bytes;
    if (argc > 4) {
        uint64_t limit = 0;

        BDR_TRY(bdr_size_parse(argv[4], &limit));
        b.size_bytes = BDR_MIN(limit, b.size_bytes);
    }
    start = bdr_clock_mono_ns();
    BDR_TRY(bdr_pool_start("bench", (unsigned)readers, bench_reader, &b, NULL, &pool));
    BDR_TRY(bdr_pool_join(pool));
    ns = bdr_clock_mono_ns() - start;
    printf("{\"bench\":\"source\",\"driver\":\"%s\",\"readers\":%u,\"read_bytes\":%llu,\"bytes\":%llu,\"seconds\":%.3f,"
           "\"mib_per_s\":%.0f}\n",
           src->drv->name, (unsigned)readers, (unsigned long long)b.piece, (unsigned long long)b.size_bytes,
           (double)ns / 1e9, (double)b.size_bytes / 1048576 / ((double)ns / 1e9));
    return NULL;
}

int main(int argc, char **argv)
{
    BDR_AUTO(err) struct bdr_err *err = NULL;
    char text[512];

    if (argc < 2) {
        fprintf(stderr, "usage: bench-source LOCATION [READERS [READ_BYTES [LIMIT]]]\n");
        return 2;
    }
    err = bench_run(argv, argc);
    if (err)
        fprintf(stderr, "bench-source: %s\n", bdr_err_text(err, text, sizeof(text)));
    return err ? bdr_code_exit(err->code) : 0;
}
