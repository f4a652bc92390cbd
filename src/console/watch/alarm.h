/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alarm.h - alarms: kinds (schema/alarms.def), words for people, raised and cleared.
 *
 * An alarm is one row while it stands: (kind, object, object_id). Most kinds are conditions: a sweep finds all that is
 * so now, and the difference to what stands is raised and cleared. Each raise and clear is an event of the feed, goes
 * to the listeners, and waits for the channels that want it, all in one transaction.
 * Threads: any; a sweep is one thread's.
 */
#pragma once
#include "console.h"
#include "db/statements.h"

enum bdr_severity { BDR_SEV_INFO, BDR_SEV_WARNING, BDR_SEV_CRITICAL };
enum bdr_lang { BDR_LANG_EN, BDR_LANG_ZH };
enum bdr_alarm_id {
#define A(name, ...) BDR_ALARM_##name,
#include "alarms.def"
#undef A
    BDR_ALARMS
};
struct bdr_alarm_kind {
    const char *kind;
    enum bdr_severity severity;
    const char *title[2], *text[2], *todo[2]; /* by enum bdr_lang */
    const char *raised, *cleared;             /* for the documents */
};
extern const struct bdr_alarm_kind bdr_alarm_kinds[BDR_ALARMS];
/* NULL: no kind is called that. */
const struct bdr_alarm_kind *bdr_alarm_kind(const char *kind);
const char *bdr_severity_name(enum bdr_severity s);
/* INFO when it is none. */
enum bdr_severity bdr_severity_of(const char *name);
enum bdr_lang bdr_lang_of(const char *name); /* "zh..." or English */

/* A named value of an alarm's text. */
struct bdr_value {
    const char *name, *text; /* text NULL: the number */
    int64_t number;
};
#define BDR_VT(n, v)                                                                                                   \
    {                                                                                                                  \
        .name = (n), .text = (v)                                                                                       \
    }
#define BDR_VN(n, v)                                                                                                   \
    {                                                                                                                  \
        .name = (n), .number = (v)                                                                                     \
    }

/* What is so. `mark`: another number (the failed job's) makes an alarm that stands already count once more. */
struct bdr_found {
    enum bdr_severity severity;
    const char *object;
    int64_t object_id, mark;
    const struct bdr_value *values;
    size_t n_values;
};

/* What a transaction did, to be told when it is committed. */
struct bdr_told {
    size_t n;
    int64_t ids[64];
};
/* Within a transaction (LOCK); `told` is emptied by whoever begins the transaction. */
bdr_ret bdr_alarm_raise(struct bdr_tx *tx, enum bdr_alarm_id kind, const struct bdr_found *f, int64_t now_ms,
                        struct bdr_told *told);
/* Not standing is fine. */
bdr_ret bdr_alarm_clear(struct bdr_tx *tx, enum bdr_alarm_id kind, const char *object, int64_t object_id,
                        int64_t now_ms, struct bdr_told *told);
void bdr_alarm_tell(struct bdr_console *c, const struct bdr_told *told);

/* All that is so of one kind, now. */
struct bdr_sweep;
bdr_ret bdr_sweep_new(enum bdr_alarm_id kind, struct bdr_sweep **out);
void bdr_sweep_free(struct bdr_sweep *s);
/* Copies. */
bdr_ret bdr_sweep_found(struct bdr_sweep *s, const struct bdr_found *f);
/* What is neither found nor kept is cleared; what is kept stays as it is, if it stands. */
bdr_ret bdr_sweep_keep(struct bdr_sweep *s, const char *object, int64_t object_id);
bdr_ret bdr_sweep_end(struct bdr_console *c, struct bdr_sweep *s, int64_t now_ms);
BDR_AUTO_DEFINE(sweep, struct bdr_sweep *, bdr_sweep_free)

/* Words of an alarm's `text` column; strings belong to the buffer. An unknown value is shown by its name. */
void bdr_alarm_words(struct bdr_buf *out, const char *pattern, const char *values_json, enum bdr_lang lang);
/* "3 h 20 min"; "3小时20分". */
void bdr_span_words(struct bdr_buf *out, int64_t ms, enum bdr_lang lang);

/* {"v":{...},"m":MARK} of values. */
bdr_ret bdr_values_json(const struct bdr_value *v, size_t n, int64_t mark, struct bdr_buf *out);
/* A row of the feed. */
bdr_ret bdr_event_add(struct bdr_tx *tx, const char *kind, const char *object, int64_t object_id,
                      const struct bdr_value *v, size_t n, int64_t now_ms);
