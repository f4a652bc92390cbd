/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/label.h"
#include <stdio.h>
#include <string.h>

#define LABEL_NAME_MAX 96 /* leaves room for "-<id>" */

static bool label_char(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
           c == '_' || c == '-';
}

void bdr_label_of(const char *name, size_t max, char out[BDR_LABEL_CHARS])
{
    size_t n = 0;

    BDR_ASSERT(max < BDR_LABEL_CHARS);
    for (; n < max && name[n]; n++)
        out[n] = label_char((unsigned char)name[n]) ? name[n] : '-';
    while (name[n] && n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80) /* not in the middle of a character */
        n--;
    out[n] = 0;
    if (out[0] == '.' || out[0] == '-') /* neither a hidden file nor an option */
        out[0] = '_';
    if (!n)
        snprintf(out, BDR_LABEL_CHARS, "host");
}

static struct bdr_err *label_make(struct bdr_tx *tx, const struct bdr_row_host *host, char out[BDR_LABEL_CHARS])
{
    int64_t taken = 0;
    size_t n;

    bdr_label_of(host->name, LABEL_NAME_MAX, out);
    n = strlen(out);
    BDR_TRY(bdr_q_host_label_taken(tx, out, &taken));
    /* "web-7" may be the name of another host, too */
    for (unsigned i = 1; taken; i++) {
        if (i == 1)
            snprintf(out + n, BDR_LABEL_CHARS - n, "-%lld", (long long)host->id);
        else
            snprintf(out + n, BDR_LABEL_CHARS - n, "-%lld.%u", (long long)host->id, i);
        BDR_TRY(bdr_q_host_label_taken(tx, out, &taken));
    }
    return NULL;
}

struct bdr_err *bdr_host_label(struct bdr_tx *tx, int64_t host_id, char out[BDR_LABEL_CHARS])
{
    BDR_AUTO(mem) struct bdr_row_host *host = NULL;
    char label[BDR_LABEL_CHARS];
    struct bdr_err *err;
    int64_t changed = 0;

    BDR_TRY(bdr_q_host_lock(tx, host_id, &host));
    if (!host)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no host %lld", (long long)host_id);
    if (*host->label) {
        snprintf(out, BDR_LABEL_CHARS, "%s", host->label);
        return NULL;
    }
    BDR_TRY(label_make(tx, host, label));
    err = bdr_q_host_label_set(tx, host_id, label, &changed);
    if (err && err->code == BDR_EXISTS)
        return bdr_err_recode(err, BDR_BUSY, BDR_AT, "naming host %lld '%s'", (long long)host_id, label);
    BDR_TRY(err);
    memcpy(out, label, sizeof(label));
    return NULL;
}
