/* SPDX-License-Identifier: Apache-2.0 */
#include "counts.h"
#include "bdr/osfile.h"
#include <stdio.h>
#include <string.h>

#define COUNTS_FILE_MAX 4096
#define COUNTS_FIELDS   17

/* The numbers of a line; fewer than `n` leave the rest 0 (before Linux 4.18 there are no discards). */
static size_t counts_fields(char *text, uint64_t *out, size_t n)
{
    size_t got = 0;

    for (char *at = text; got < n;) {
        char *end;
        unsigned long long v = strtoull(at, &end, 10);

        if (end == at)
            break;
        out[got++] = v;
        at = end;
    }
    return got;
}

static struct bdr_err *counts_file(const char *sys_root, unsigned major, unsigned minor, const char *name,
                                   uint64_t *out, size_t n, size_t least)
{
    BDR_AUTO(mem) char *text = NULL;
    char path[256];
    size_t len = 0;

    snprintf(path, sizeof(path), "%s/dev/block/%u:%u/%s", sys_root, major, minor, name);
    BDR_TRY(bdr_os_read_file(path, COUNTS_FILE_MAX, &text, &len));
    memset(out, 0, n * sizeof(*out));
    if (counts_fields(text, out, n) < least)
        BDR_FAIL(BDR_UNSUPPORTED, 0, "%s is not as it should be", path);
    return NULL;
}

struct bdr_err *live_counts_read(const char *sys_root, unsigned major, unsigned minor, struct live_counts *out)
{
    uint64_t stat[COUNTS_FIELDS], flying[2];

    BDR_TRY(counts_file(sys_root, major, minor, "inflight", flying, 2, 2));
    BDR_TRY(counts_file(sys_root, major, minor, "stat", stat, COUNTS_FIELDS, 11));
    out->written = stat[6] + stat[13]; /* sectors written, discarded. An empty flush counts as a write of none. */
    out->flying = flying[1];
    return NULL;
}
