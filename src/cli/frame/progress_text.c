/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/progress.h"
#include "frame/text.h"
#include "frame/value.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define RATE_MEMORY_MS 5000.0 /* the average forgets 63 % in this time */
#define BAR_MIN        10
#define BAR_MAX        30
#define ETA_MAX_S      (99 * 86400) /* beyond, a number says nothing */

void bdr_progress_begin(struct bdr_progress_state *s, uint64_t now_ms)
{
    *s = (struct bdr_progress_state){.start_ms = now_ms, .tick_ms = now_ms};
}

void bdr_progress_tick(struct bdr_progress_state *s, const struct bdr_progress_counts *counts, uint64_t now_ms)
{
    uint64_t ms = now_ms > s->tick_ms ? now_ms - s->tick_ms : 0;
    uint64_t bytes = counts->done_bytes > s->tick_bytes ? counts->done_bytes - s->tick_bytes : 0;
    double keep = exp(-(double)ms / RATE_MEMORY_MS);

    s->counts = *counts;
    if (!ms)
        return; /* the bytes wait for the next tick */
    s->rate = s->rate * keep + (double)bytes * 1000.0 / (double)ms * (1.0 - keep);
    s->rate_weight = s->rate_weight * keep + (1.0 - keep);
    s->tick_ms = now_ms;
    s->tick_bytes = counts->done_bytes;
}

double bdr_progress_rate(const struct bdr_progress_state *s)
{
    return s->rate_weight > 0 ? s->rate / s->rate_weight : 0;
}

int64_t bdr_progress_eta_s(const struct bdr_progress_state *s)
{
    double rate = bdr_progress_rate(s), left;

    if (!s->counts.total_bytes || rate < 1)
        return -1;
    if (s->counts.done_bytes >= s->counts.total_bytes)
        return 0;
    left = (double)(s->counts.total_bytes - s->counts.done_bytes) / rate;
    return left > ETA_MAX_S ? -1 : BDR_MAX((int64_t)llround(left), 1);
}

static unsigned progress_pct(const struct bdr_progress_counts *c)
{
    if (c->done_bytes >= c->total_bytes)
        return 100;
    return (unsigned)((double)c->done_bytes * 100.0 / (double)c->total_bytes);
}

/* A part of the line: shown in the order of `parts`, kept by rank (0 is kept longest). */
struct progress_part {
    char text[64];
    unsigned rank;
    bool shown;
};
enum { PART_PHASE, PART_PCT, PART_BAR, PART_DONE, PART_RATE, PART_ETA, PART_NEW, PART_STORED, PART_FILES, PART_END };

static void progress_rate_text(double rate, char *buf, size_t n)
{
    char size[16];

    snprintf(buf, n, "%s/s", bdr_size_text((uint64_t)llround(rate), size));
}

static void progress_parts(const struct bdr_progress_state *s, uint64_t now_ms, struct progress_part parts[PART_END])
{
    const struct bdr_progress_counts *c = &s->counts;
    static const unsigned ranks[PART_END] = {
        [PART_PCT] = 0, [PART_DONE] = 1, [PART_ETA] = 2,    [PART_RATE] = 3, [PART_PHASE] = 4,
        [PART_BAR] = 5, [PART_NEW] = 6,  [PART_STORED] = 7, [PART_FILES] = 8};
    char a[32], b[16];
    int64_t eta = bdr_progress_eta_s(s);

    for (int i = 0; i < PART_END; i++)
        parts[i] = (struct progress_part){.rank = ranks[i]};
    if (s->phase && c->pass)
        snprintf(parts[PART_PHASE].text, sizeof(parts[0].text), "%.40s, pass %llu", s->phase, (unsigned long long)c->pass + 1);
    else if (s->phase)
        snprintf(parts[PART_PHASE].text, sizeof(parts[0].text), "%s", s->phase);
    bdr_size_text(c->done_bytes, a);
    if (c->total_bytes) {
        snprintf(parts[PART_PCT].text, sizeof(parts[0].text), "%3u%%", progress_pct(c));
        snprintf(parts[PART_DONE].text, sizeof(parts[0].text), "%s/%s", a, bdr_size_text(c->total_bytes, b));
    } else {
        snprintf(parts[PART_DONE].text, sizeof(parts[0].text), "%s", a);
    }
    if (s->rate_weight > 0)
        progress_rate_text(bdr_progress_rate(s), parts[PART_RATE].text, sizeof(parts[0].text));
    if (eta >= 0)
        snprintf(parts[PART_ETA].text, sizeof(parts[0].text), "ETA %s", bdr_duration_text((uint64_t)eta * 1000, a));
    else
        snprintf(parts[PART_ETA].text, sizeof(parts[0].text), "%s so far",
                 bdr_duration_text((now_ms - s->start_ms) / 1000 * 1000, a));
    if (c->new_bytes)
        snprintf(parts[PART_NEW].text, sizeof(parts[0].text), "new %s", bdr_size_text(c->new_bytes, b));
    if (c->stored_bytes)
        snprintf(parts[PART_STORED].text, sizeof(parts[0].text), "stored %s", bdr_size_text(c->stored_bytes, b));
    if (c->files)
        snprintf(parts[PART_FILES].text, sizeof(parts[0].text), "%llu files", (unsigned long long)c->files);
}

static void progress_draw_bar(unsigned pct, unsigned width, struct bdr_buf *out)
{
    unsigned inner = width - 2, full = inner * pct / 100;

    bdr_buf_u8(out, '[');
    bdr_text_fill(out, '=', full);
    if (full < inner)
        bdr_buf_u8(out, '>');
    bdr_text_fill(out, ' ', inner - full - (full < inner));
    bdr_buf_u8(out, ']');
}

/* Chooses the parts that fit, by rank; returns the columns left over. */
static unsigned progress_fit(struct progress_part parts[PART_END], unsigned width)
{
    unsigned used = 0;

    for (unsigned rank = 0; rank < PART_END; rank++) {
        for (int i = 0; i < PART_END; i++) {
            struct progress_part *part = &parts[i];
            unsigned w = i == PART_BAR ? BAR_MIN : bdr_text_width(part->text);
            unsigned need = w + (used ? 2 : 0);

            if (part->rank != rank || (i == PART_BAR ? !*parts[PART_PCT].text : !*part->text))
                continue;
            if (width && used + need > width)
                return width - used; /* nothing less important in place of something more important */
            part->shown = true;
            used += need;
        }
    }
    return width ? width - used : BAR_MAX - BAR_MIN;
}

void bdr_progress_bar(const struct bdr_progress_state *s, uint64_t now_ms, unsigned width, struct bdr_buf *out)
{
    struct progress_part parts[PART_END];
    unsigned left;
    bool first = true;

    progress_parts(s, now_ms, parts);
    left = progress_fit(parts, width);
    for (int i = 0; i < PART_END; i++) {
        if (!parts[i].shown)
            continue;
        if (!first)
            bdr_buf_printf(out, "  ");
        first = false;
        if (i == PART_BAR)
            progress_draw_bar(progress_pct(&s->counts), BDR_MIN(BAR_MIN + left, BAR_MAX), out);
        else
            bdr_text_put(out, parts[i].text, 0);
    }
}

void bdr_progress_plain(const struct bdr_progress_state *s, uint64_t now_ms, struct bdr_buf *out)
{
    struct progress_part parts[PART_END];
    bool first = true;

    progress_parts(s, now_ms, parts);
    for (int i = 0; i < PART_END; i++) {
        const char *text = parts[i].text;

        if (!*text)
            continue;
        if (!first)
            bdr_buf_printf(out, i == PART_PCT ? ": " : ", ");
        first = false;
        bdr_text_put(out, text + strspn(text, " "), 0);
    }
    bdr_buf_u8(out, '\n');
}

static json_t *progress_or_null(bool known, uint64_t v)
{
    return known ? json_integer((json_int_t)v) : json_null();
}

void bdr_progress_json(const struct bdr_progress_state *s, uint64_t now_ms, struct bdr_buf *out)
{
    const struct bdr_progress_counts *c = &s->counts;
    int64_t eta = bdr_progress_eta_s(s);
    json_t *doc = json_pack(
        "{s:s, s:s?, s:I, s:o, s:I, s:I, s:I, s:I, s:o, s:I}", "event", "progress", "phase", s->phase, "done_bytes",
        (json_int_t)c->done_bytes, "total_bytes", progress_or_null(c->total_bytes != 0, c->total_bytes), "new_bytes",
        (json_int_t)c->new_bytes, "stored_bytes", (json_int_t)c->stored_bytes, "files", (json_int_t)c->files,
        "bytes_per_s", (json_int_t)bdr_progress_rate(s), "eta_s", progress_or_null(eta >= 0, (uint64_t)eta),
        "elapsed_ms", (json_int_t)(now_ms - s->start_ms));
    BDR_AUTO(mem) char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

    json_decref(doc);
    if (text)
        bdr_buf_printf(out, "%s\n", text);
    else
        out->failed = true;
}

void bdr_progress_summary(const struct bdr_progress_counts *c, uint64_t elapsed_ms, struct bdr_buf *out)
{
    char size[16], time[32], rate[32];

    /* Milliseconds say something below ten seconds only. */
    bdr_duration_text(elapsed_ms < 10000 ? elapsed_ms : elapsed_ms / 1000 * 1000, time);
    bdr_buf_printf(out, "%s in %s", bdr_size_text(c->done_bytes, size), time);
    if (elapsed_ms) {
        progress_rate_text((double)c->done_bytes * 1000.0 / (double)elapsed_ms, rate, sizeof(rate));
        bdr_buf_printf(out, " (%s)", rate);
    }
    if (c->new_bytes)
        bdr_buf_printf(out, ", %s new", bdr_size_text(c->new_bytes, size));
    if (c->stored_bytes)
        bdr_buf_printf(out, ", %s stored", bdr_size_text(c->stored_bytes, size));
    if (c->files)
        bdr_buf_printf(out, ", %llu files", (unsigned long long)c->files);
}
