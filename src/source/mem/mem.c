/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c - a disk whose content is computed: the reference driver and the template for others.
 *
 * Speaks: nothing. Location "mem:SIZE[,seed=N][,gen=N][,sector=N]". The same location always has the same content and
 * takes no memory, so a test may ask for 64 TiB. Each generation rewrites about one cell of 16; opened with the token
 * of generation g, the disk knows what changed since. About one cell of 4 is zeros. With "live=N" it changes while it is read: live.h.
 * Can't: lose anything. Faults come from source/filter/fault.c.
 */
#include "../source_priv.h"
#include "bdr/bytes.h"
#include "live.h"
#include <stdio.h>
#include <string.h>

#define MEM_CELL_BYTES    65536u
#define MEM_CHANGE_ONE_IN 16u
#define MEM_ZERO_ONE_IN   4u
#define MEM_MAX_GEN       1000u /* finding a cell's generation takes that many steps */
#define MEM_INFLIGHT      16

struct mem_src {
    struct bdr_source base;
    char *location; /* owned */
    uint64_t size_bytes, seed, gen;
    uint32_t sector_bytes;
    char *base_token; /* owned; NULL without one */
    struct mem_moment *moment; /* borrowed; NULL: it stands still */
    bool live;
    uint64_t tick_reads;
    atomic_uint_fast64_t reads;
};

static uint64_t mem_now(const struct mem_src *m)
{
    return m->moment ? m->gen + atomic_load(&m->moment->tick) : m->gen;
}

/* Source: the finaliser of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mem_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t mem_hash(uint64_t seed, uint64_t cell, uint64_t gen, uint64_t what)
{
    return mem_mix(mem_mix(mem_mix(seed + what * 0x9e3779b97f4a7c15u) + cell) + gen);
}

/* The generation, at most `gen`, that wrote `cell` last. */
static uint64_t mem_cell_gen(uint64_t seed, uint64_t cell, uint64_t gen)
{
    while (gen && mem_hash(seed, cell, gen, 1) % MEM_CHANGE_ONE_IN)
        gen--;
    return gen;
}

static bool mem_cell_zero(uint64_t seed, uint64_t cell, uint64_t cell_gen)
{
    return mem_hash(seed, cell, cell_gen, 2) % MEM_ZERO_ONE_IN == 0;
}

/* A cell's generation as a read sees it: as of the moment where that was told to have changed. */
static uint64_t mem_read_gen(const struct mem_src *m, uint64_t cell)
{
    const struct mem_moment *moment = m->moment;
    uint64_t gen;

    if (!moment || !moment->last)
        return mem_cell_gen(m->seed, cell, mem_now(m));
    gen = mem_cell_gen(m->seed, cell, m->gen + moment->final);
    return gen > m->gen + moment->since ? gen : mem_cell_gen(m->seed, cell, mem_now(m));
}

/* Bytes [at, at+len) of a cell of generation `gen`. */
static void mem_fill(const struct mem_src *m, uint64_t cell, uint64_t gen, uint32_t at, uint8_t *out, uint32_t len)
{
    uint64_t key;

    if (mem_cell_zero(m->seed, cell, gen)) {
        memset(out, 0, len);
        return;
    }
    key = mem_hash(m->seed, cell, gen, 3);
    while (len) {
        uint64_t word = mem_mix(key + (at / 8 + 1) * 0x9e3779b97f4a7c15u);
        uint32_t n = BDR_MIN(8 - at % 8, len);

        for (uint32_t i = 0; i < n; i++) /* little-endian whatever the machine */
            out[i] = (uint8_t)(word >> 8 * (at % 8 + i));
        out += n;
        at += n;
        len -= n;
    }
}

static struct bdr_err *mem_option(struct mem_src *m, const char *key, const char *value)
{
    uint64_t sector = 0;

    if (!strcmp(key, "seed"))
        return bdr_u64_parse(value, UINT64_MAX, &m->seed);
    if (!strcmp(key, "gen"))
        return bdr_u64_parse(value, MEM_MAX_GEN, &m->gen);
    if (!strcmp(key, "live")) {
        m->live = true;
        return bdr_u64_parse(value, UINT64_MAX, &m->tick_reads);
    }
    if (strcmp(key, "sector"))
        BDR_FAIL(BDR_INVAL, 0, "'%s' is no option of mem:; there are seed, gen, sector and live", key);
    BDR_TRY(bdr_u64_parse(value, 65536, &sector));
    m->sector_bytes = (uint32_t)sector;
    return NULL;
}

static struct bdr_err *mem_parse(struct mem_src *m, char *text)
{
    char *rest = text, *part = strsep(&rest, ",");

    m->sector_bytes = 512;
    BDR_TRY_FOR(bdr_size_parse(part, &m->size_bytes), "the size in %s", m->location);
    while ((part = strsep(&rest, ","))) {
        char *value = strchr(part, '=');

        if (!value)
            BDR_FAIL(BDR_INVAL, 0, "'%s' in %s has no value; write it like seed=7", part, m->location);
        *value++ = 0;
        BDR_TRY_FOR(mem_option(m, part, value), "option %s of %s", part, m->location);
    }
    return NULL;
}

static void mem_close(struct bdr_source *src)
{
    struct mem_src *m = (struct mem_src *)src;

    free(m->location);
    free(m->base_token);
    free(m);
}

static struct bdr_err *mem_setup(struct mem_src *m, const struct bdr_source_spec *spec)
{
    BDR_AUTO(mem) char *text = strdup(source_strip(spec->location, "mem:"));

    m->location = strdup(spec->location);
    if (spec->base_token)
        m->base_token = strdup(spec->base_token);
    if (!text || !m->location || (spec->base_token && !m->base_token))
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    BDR_TRY(mem_parse(m, text));
    if (m->live && !spec->moment)
        BDR_FAIL(BDR_INVAL, 0, "%s needs a moment", m->location);
    m->moment = m->live ? (struct mem_moment *)spec->moment : NULL;
    return NULL;
}

static struct bdr_err *mem_open(const struct bdr_source_spec *spec, struct bdr_source **out)
{
    struct mem_src *m = calloc(1, sizeof(*m));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(m);
    err = mem_setup(m, spec);
    if (err)
        mem_close(&m->base);
    else
        *out = &m->base;
    return err;
}

static struct bdr_err *mem_info(struct bdr_source *src, struct bdr_source_info *out)
{
    struct mem_src *m = (struct mem_src *)src;
    char text[64];

    out->size_bytes = m->size_bytes;
    out->sector_bytes = m->sector_bytes;
    out->align_bytes = m->sector_bytes;
    out->max_inflight = MEM_INFLIGHT;
    out->knows_allocation = true;
    out->has_changes = m->base_token || m->live;
    out->live = m->live;
    snprintf(text, sizeof(text), "%llu,seed=%llu", (unsigned long long)m->size_bytes, (unsigned long long)m->seed);
    source_identity(out, "mem:", text);
    return NULL;
}

static struct bdr_err *mem_make_token(const struct mem_src *m, uint64_t gen, struct bdr_buf *out)
{
    bdr_buf_printf(out, "mem1:%llu:%llu:%llu", (unsigned long long)m->size_bytes, (unsigned long long)m->seed,
                   (unsigned long long)gen);
    bdr_buf_u8(out, 0);
    return bdr_buf_check(out);
}

/* STALE unless the base token is of this disk and not of its future. */
static struct bdr_err *mem_base_gen(const struct mem_src *m, uint64_t *out)
{
    for (uint64_t gen = 0; gen <= mem_now(m); gen++) {
        BDR_AUTO(buf) struct bdr_buf b = {0};

        BDR_TRY(mem_make_token(m, gen, &b));
        if (m->base_token && !strcmp((const char *)b.data, m->base_token)) {
            *out = gen;
            return NULL;
        }
    }
    BDR_FAIL(BDR_STALE, 0, "the token '%s' is not of an earlier generation of %s", m->base_token ? m->base_token : "",
             m->location);
}

static struct bdr_err *mem_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                   bdr_extent_fn fn, void *ctx)
{
    struct mem_src *m = (struct mem_src *)src;
    uint64_t since = 0, last = (off + len - 1) / MEM_CELL_BYTES;
    struct mem_moment *moment = m->moment;
    uint64_t now = moment && moment->last ? m->gen + moment->final : mem_now(m);

    if (moment && of == BDR_EXTENTS_ALL)
        moment->stale = NULL;
    if (moment && moment->stale)
        BDR_FAIL(BDR_STALE, 0, "%s", moment->stale);
    if (moment && moment->rounds)
        since = m->gen + moment->since;
    else if (of == BDR_EXTENTS_CHANGED)
        BDR_TRY(mem_base_gen(m, &since));
    for (uint64_t cell = off / MEM_CELL_BYTES; cell <= last; cell++) {
        uint64_t gen = mem_cell_gen(m->seed, cell, now);
        struct bdr_extent ext = {
            .off = cell * MEM_CELL_BYTES,
            .len = MEM_CELL_BYTES,
            .kind = mem_cell_zero(m->seed, cell, gen) ? BDR_EXTENT_ZERO : BDR_EXTENT_DATA,
        };

        if (of == BDR_EXTENTS_ALL || gen > since)
            BDR_TRY(fn(ctx, &ext));
    }
    return NULL;
}

static struct bdr_err *mem_read(struct bdr_source *src, uint64_t off, void *buf, size_t len)
{
    struct mem_src *m = (struct mem_src *)src;
    uint8_t *p = buf;

    if (m->tick_reads && atomic_fetch_add(&m->reads, 1) % m->tick_reads == m->tick_reads - 1)
        atomic_fetch_add(&m->moment->tick, 1);
    while (len) {
        uint32_t at = (uint32_t)(off % MEM_CELL_BYTES);
        uint64_t gen = mem_read_gen(m, off / MEM_CELL_BYTES);
        uint32_t n = (uint32_t)BDR_MIN((size_t)(MEM_CELL_BYTES - at), len);

        if (m->moment && m->moment->last && gen > m->gen + m->moment->final)
            BDR_FAIL(BDR_STALE, 0, "%llu of %s was written after the moment", (unsigned long long)off, m->location);
        mem_fill(m, off / MEM_CELL_BYTES, gen, at, p, n);
        p += n;
        off += n;
        len -= n;
    }
    return NULL;
}

static struct bdr_err *mem_token(struct bdr_source *src, char **out)
{
    struct mem_src *m = (struct mem_src *)src;
    BDR_AUTO(buf) struct bdr_buf b = {0};

    uint64_t gen = m->gen;

    if (m->moment)
        gen += m->moment->last ? m->moment->final : m->moment->began;
    BDR_TRY(mem_make_token(m, gen, &b));
    *out = (char *)BDR_STEAL(b.data);
    return NULL;
}

static struct bdr_err *mem_since(struct bdr_source *src, const char *token)
{
    struct mem_src *m = (struct mem_src *)src;
    char *own;
    uint64_t gen;

    if (!m->live)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%s learns its base when it is opened", m->location);
    own = strdup(token);
    BDR_NOMEM_IF_NULL(own);
    free(m->base_token);
    m->base_token = own;
    return mem_base_gen(m, &gen);
}

static bool mem_touched(struct bdr_source *src, uint64_t off, uint64_t len)
{
    struct mem_src *m = (struct mem_src *)src;

    for (uint64_t cell = off / MEM_CELL_BYTES; m->moment && cell <= (off + len - 1) / MEM_CELL_BYTES; cell++)
        if (mem_cell_gen(m->seed, cell, mem_now(m)) > m->gen + m->moment->began)
            return true;
    return false;
}

const struct bdr_source_driver bdr_source_mem = {
    .name = "mem",
    .title = "Computed disk (tests)",
    .help = "mem:SIZE[,seed=N][,gen=N][,sector=512|4096][,live=N]",
    .schemes = "mem:",
    .max_inflight = MEM_INFLIGHT,
    .open = mem_open,
    .info = mem_info,
    .extents = mem_extents,
    .read = mem_read,
    .token = mem_token,
    .since = mem_since,
    .touched = mem_touched,
    .close = mem_close,
};
