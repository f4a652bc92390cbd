/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/log.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include <stdatomic.h>
#include <string.h>

static atomic_int log_max = BDR_LOG_WARN;
static atomic_bool log_json = false;
static void (*log_begin)(void), (*log_end)(void);

void bdr_log_setup(enum bdr_log_level max, bool json)
{
    atomic_store(&log_max, (int)max);
    atomic_store(&log_json, json);
}

void bdr_log_around(void (*begin)(void), void (*end)(void))
{
    log_begin = begin;
    log_end = end;
}

bool bdr_log_wanted(enum bdr_log_level level)
{
    return (int)level <= atomic_load(&log_max);
}

static void log_quoted(struct bdr_buf *b, const char *s)
{
    bdr_buf_u8(b, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\')
            bdr_buf_printf(b, "\\%c", c);
        else if (c < 0x20)
            bdr_buf_printf(b, "\\u%04x", c);
        else
            bdr_buf_u8(b, c);
    }
    bdr_buf_u8(b, '"');
}

void bdr_log_write(enum bdr_log_level level, const char *event, const struct bdr_field *fields, size_t n)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    BDR_AUTO(buf) struct bdr_buf b = {0};
    bool json = atomic_load(&log_json);
    char time[24], text[1024];

    bdr_clock_text(bdr_clock_wall_ms(), time);
    bdr_buf_printf(&b, json ? "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"" : "%s %-5s %s", time, names[level],
                   event);
    for (size_t i = 0; i < n; i++) {
        bdr_buf_printf(&b, json ? ",\"%s\":" : " %s=", fields[i].name);
        if (fields[i].kind == BDR_F_U64)
            bdr_buf_printf(&b, "%llu", (unsigned long long)fields[i].u64);
        else
            log_quoted(&b, fields[i].kind == BDR_F_STR ? (fields[i].str ? fields[i].str : "")
                                                       : bdr_err_text(fields[i].err, text, sizeof(text)));
    }
    bdr_buf_printf(&b, json ? "}\n" : "\n");
    /* One write a line, so that lines of several threads and processes do not mix. */
    if (log_begin)
        log_begin();
    if (!b.failed && write(STDERR_FILENO, b.data, b.len) < 0)
        b.failed = true; /* nowhere to tell */
    if (log_end)
        log_end();
}
