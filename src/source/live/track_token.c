/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track_token.c - what a recovery point remembers of the tracker, and whether that still means something.
 *
 *   cbt1:BOOT:INSTANCE:PROGRAMS:MAJOR:MINOR:DISKSEQ:NODE:SIZE:SEQ:EXACT:SEEN:DISK:COMPLETIONS:PASSTHROUGH
 *
 * Numbers are decimal but INSTANCE and PROGRAMS (16 hex digits). Kept in the repository's manifests; other versions of
 * us read it, so cbt1 never changes.
 */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "track_priv.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TOKEN_FIELDS 15
#define TOKEN_MAX    512

enum { TOKEN_KIND, TOKEN_BOOT, TOKEN_INSTANCE, TOKEN_PROGRAMS, TOKEN_NUMBERS };

/* ---- text ---- */

struct bdr_err *track_token_text(const struct track_token *k, char **out)
{
    const struct bdr_track_counts *c = &k->base.counts;
    char text[TOKEN_MAX];
    char *copy;

    snprintf(text, sizeof(text), "cbt1:%s:%016llx:%016llx:%u:%u:%llu:%llu:%llu:%llu:%d:%llu:%llu:%llu:%llu", k->boot,
             (unsigned long long)k->instance, (unsigned long long)k->programs, k->major, k->minor,
             (unsigned long long)k->diskseq, (unsigned long long)k->node, (unsigned long long)k->size_bytes,
             (unsigned long long)k->base.seq, k->base.exact, (unsigned long long)c->seen_sectors,
             (unsigned long long)c->disk_sectors, (unsigned long long)c->completions,
             (unsigned long long)c->passthrough);
    copy = strdup(text);
    BDR_NOMEM_IF_NULL(copy);
    *out = copy;
    return NULL;
}

static bool token_hex(const char *s, uint64_t *out)
{
    uint64_t v = 0;

    if (strlen(s) != 16 || strspn(s, "0123456789abcdef") != 16)
        return false;
    for (; *s; s++)
        v = v << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
    *out = v;
    return true;
}

/* Decimal as we write it: no sign, no leading zero. */
static bool token_number(const char *s, uint64_t max, uint64_t *out)
{
    struct bdr_err *err =
        s[0] == '0' && s[1] ? bdr_err_new(BDR_INVAL, 0, BDR_AT, "a leading zero") : bdr_u64_parse(s, max, out);
    bool good = !err;

    bdr_err_drop(err, "the caller says what is wrong");
    return good;
}

/* Boot ids are lower-case UUIDs. */
static bool token_boot(const char *s)
{
    if (strlen(s) != 36)
        return false;
    for (int i = 0; i < 36; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-'
                                                    : !isxdigit((unsigned char)s[i]) || isupper((unsigned char)s[i]))
            return false;
    return true;
}

struct bdr_err *track_token_parse(const char *text, struct track_token *out)
{
    static const uint64_t max[TOKEN_FIELDS - TOKEN_NUMBERS] = {0xfff,      0xfffff,    UINT64_MAX, UINT64_MAX,
                                                               UINT64_MAX, UINT64_MAX, 1,          UINT64_MAX,
                                                               UINT64_MAX, UINT64_MAX, UINT64_MAX};
    uint64_t v[TOKEN_FIELDS - TOKEN_NUMBERS];
    char copy[TOKEN_MAX], *field[TOKEN_FIELDS], *at = copy;
    struct track_token k = {0};
    size_t len = strnlen(text, TOKEN_MAX), n = 0;

    if (len >= TOKEN_MAX)
        BDR_FAIL(BDR_INVAL, 0, "the token is too long");
    memcpy(copy, text, len + 1);
    for (; at && n < TOKEN_FIELDS; n++) {
        field[n] = at;
        at = strchr(at, ':');
        if (at)
            *at++ = 0;
    }
    if (n != TOKEN_FIELDS || at || strcmp(field[TOKEN_KIND], "cbt1"))
        BDR_FAIL(BDR_INVAL, 0, "the token is not one of the block tracker");
    if (!token_boot(field[TOKEN_BOOT]) || !token_hex(field[TOKEN_INSTANCE], &k.instance) ||
        !token_hex(field[TOKEN_PROGRAMS], &k.programs))
        BDR_FAIL(BDR_INVAL, 0, "the tracker's token is damaged");
    for (unsigned i = 0; i < BDR_COUNT(v); i++)
        if (!token_number(field[TOKEN_NUMBERS + i], max[i], &v[i]))
            BDR_FAIL(BDR_INVAL, 0, "the tracker's token is damaged");
    memcpy(k.boot, field[TOKEN_BOOT], sizeof(k.boot));
    k.major = (uint32_t)v[0];
    k.minor = (uint32_t)v[1];
    k.diskseq = v[2];
    k.node = v[3];
    k.size_bytes = v[4];
    k.base = (struct bdr_track_base){.seq = v[5], .exact = v[6], .counts = {v[7], v[8], v[9], v[10]}};
    *out = k;
    return NULL;
}

/* ---- counts ---- */

void track_counts_sum(const struct track_map *m, struct cbt_count *out)
{
    struct cbt_count sum = {0};

    for (unsigned i = 0; i < CBT_SLOTS; i++) {
        sum.writes += TRACK_LOAD(&m->counts[i].writes);
        sum.write_sectors += TRACK_LOAD(&m->counts[i].write_sectors);
        sum.discards += TRACK_LOAD(&m->counts[i].discards);
        sum.discard_sectors += TRACK_LOAD(&m->counts[i].discard_sectors);
        sum.completions += TRACK_LOAD(&m->counts[i].completions);
        sum.passthrough += TRACK_LOAD(&m->counts[i].passthrough);
    }
    *out = sum;
}

struct bdr_err *bdr_track_counts(struct bdr_track *t, struct bdr_track_counts *out)
{
    struct cbt_count sum;
    uint64_t disk;

    BDR_TRY(track_fresh(t, false));
    /* The disk's first: what is queued in between looks like being in flight, not like being missed. */
    BDR_TRY(track_disk_stat(&t->disk, &disk));
    track_counts_sum(t->map, &sum);
    *out = (struct bdr_track_counts){.seen_sectors = sum.write_sectors + sum.discard_sectors,
                                     .disk_sectors = disk,
                                     .completions = sum.completions,
                                     .passthrough = sum.passthrough};
    return NULL;
}

struct bdr_err *bdr_track_missed(const struct bdr_track_counts *base, const struct bdr_track_counts *now,
                                 int64_t *out_missed)
{
    if (now->seen_sectors < base->seen_sectors || now->disk_sectors < base->disk_sectors)
        BDR_FAIL(BDR_STALE, 0, "the counters of the disk or its tracker went backwards");
    *out_missed = (int64_t)(now->disk_sectors - base->disk_sectors) - (int64_t)(now->seen_sectors - base->seen_sectors);
    return NULL;
}

/* ---- tokens ---- */

static struct bdr_err *token_this_boot(char out[37])
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;

    BDR_TRY(bdr_os_read_file("/proc/sys/kernel/random/boot_id", 128, &text, &len));
    text[strcspn(text, "\n")] = 0;
    if (!token_boot(text))
        BDR_FAIL(BDR_UNSUPPORTED, 0, "the kernel does not tell boots apart");
    memcpy(out, text, 37);
    return NULL;
}

struct bdr_err *bdr_track_token(struct bdr_track *t, uint64_t seq, const struct bdr_track_counts *counts, bool exact,
                                char **out)
{
    struct track_token k = {.base = {.seq = seq, .exact = exact && counts}};
    const struct track_head *h;
    struct cbt_count sum;
    struct track_disk d;
    char why[160];

    BDR_TRY(track_fresh(t, false));
    BDR_TRY(track_pins_programs(&k.programs, why));
    BDR_TRY(track_disk_at(t->disk.major, t->disk.minor, &d));
    BDR_TRY(token_this_boot(k.boot));
    h = t->map->head;
    if (seq > track_names_seq(h))
        BDR_FAIL(BDR_INVAL, 0, "generation %llu is none of %s", (unsigned long long)seq, t->disk.name);
    track_counts_sum(t->map, &sum);
    k.base.counts.passthrough = sum.passthrough;
    if (counts)
        k.base.counts = *counts;
    if (k.programs <= 1 || !d.counted)
        k.base.exact = false;
    k.instance = h->instance;
    k.major = h->major;
    k.minor = h->minor;
    k.diskseq = h->diskseq;
    k.node = h->node;
    k.size_bytes = h->size_bytes;
    return track_token_text(&k, out);
}

static struct bdr_err *token_check(const struct bdr_track *t, const struct track_token *k)
{
    const struct track_head *h = t->map->head;
    struct cbt_count sum;
    char boot[37];

    BDR_TRY(token_this_boot(boot));
    if (strcmp(boot, k->boot))
        BDR_FAIL(BDR_STALE, 0, "the machine was started anew since the last point");
    if (k->major != h->major || k->minor != h->minor || k->diskseq != h->diskseq || k->node != h->node)
        BDR_FAIL(BDR_STALE, 0, "another disk is now %s", t->disk.name);
    if (k->instance != h->instance)
        BDR_FAIL(BDR_STALE, 0, "%.*s", (int)sizeof(h->trouble),
                 h->trouble[0] ? h->trouble : "tracking was stopped since the last point");
    if (k->size_bytes > h->size_bytes)
        BDR_FAIL(BDR_STALE, 0, "%s shrank since the last point", t->disk.name);
    if (k->base.seq >= track_names_seq(h))
        BDR_FAIL(BDR_STALE, 0, "the token's generation is not one of this tracking");
    track_counts_sum(t->map, &sum);
    if (sum.passthrough != k->base.counts.passthrough)
        BDR_FAIL(BDR_STALE, 0, "%llu commands that may write went to %s past the block layer since the last point",
                 (unsigned long long)(sum.passthrough - k->base.counts.passthrough), t->disk.name);
    return NULL;
}

struct bdr_err *bdr_track_resume(struct bdr_track *t, const char *token, struct bdr_track_base *out)
{
    struct bdr_err *err;
    struct track_token k;
    uint64_t programs = 0;
    char why[160];

    err = track_token_parse(token, &k);
    if (err)
        return bdr_err_recode(err, BDR_STALE, BDR_AT, "the last point's token is of no use");
    BDR_TRY(track_fresh(t, false));
    BDR_TRY(token_check(t, &k));
    BDR_TRY(track_pins_programs(&programs, why));
    if (programs <= 1 || programs != k.programs || !t->disk.counted)
        k.base.exact = false; /* other programs counted */
    *out = k.base;
    return NULL;
}
