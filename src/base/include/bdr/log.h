/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - events with typed fields; one line each on stderr (text or JSON lines).
 *
 * An event is a stable name, never a sentence. ERROR wants a person, WARN was survived, INFO is a line a
 * job step, DEBUG is free. Secrets have no field type. Threads: any.
 */
#pragma once
#include "bdr/err.h"

enum bdr_log_level { BDR_LOG_ERROR, BDR_LOG_WARN, BDR_LOG_INFO, BDR_LOG_DEBUG };
struct bdr_field {
    const char *name;
    enum { BDR_F_STR, BDR_F_U64, BDR_F_ERR } kind;
    union {
        const char *str;
        uint64_t u64;
        const struct bdr_err *err;
    };
};
#define F_STR(n, v) ((struct bdr_field){.name = (n), .kind = BDR_F_STR, .str = (v)})
#define F_U64(n, v) ((struct bdr_field){.name = (n), .kind = BDR_F_U64, .u64 = (v)})
#define F_ERR(v) ((struct bdr_field){.name = "error", .kind = BDR_F_ERR, .err = (v)})

void bdr_log_setup(enum bdr_log_level max, bool json);
/* Called before and after each line is written, by any thread: a progress line makes way. Threads: before others start. */
void bdr_log_around(void (*begin)(void), void (*end)(void));
bool bdr_log_wanted(enum bdr_log_level level);
void bdr_log_write(enum bdr_log_level level, const char *event, const struct bdr_field *fields, size_t n);
#define BDR_LOG(level, event, ...)                                                                                     \
    do {                                                                                                               \
        if (bdr_log_wanted(BDR_LOG_##level)) {                                                                         \
            const struct bdr_field bdr_f_[] = {__VA_ARGS__};                                                           \
            bdr_log_write(BDR_LOG_##level, (event), bdr_f_, BDR_COUNT(bdr_f_));                                        \
        }                                                                                                              \
    } while (0)
