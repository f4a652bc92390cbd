/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/suggest.h"
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 63 /* our longest name has 24; bounds the stack */

unsigned bdr_edit_distance(const char *a, const char *b)
{
    unsigned rows[3][NAME_MAX_BYTES + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > NAME_MAX_BYTES || lb > NAME_MAX_BYTES)
        return la == lb && !strcmp(a, b) ? 0 : NAME_MAX_BYTES + 1;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *cur = rows[i % 3], *up = rows[(i - 1) % 3], *up2 = rows[(i + 1) % 3];

        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = up[j - 1] + (a[i - 1] != b[j - 1]);

            best = BDR_MIN(best, up[j] + 1);
            best = BDR_MIN(best, cur[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = BDR_MIN(best, up2[j - 2] + 1);
            cur[j] = best;
        }
    }
    return rows[la % 3][lb];
}

void bdr_nearest_offer(struct bdr_nearest *n, const char *name)
{
    size_t len = strlen(n->typed);
    /* A third of the letters may be wrong; a beginning (two letters or more) is nearly right. */
    unsigned limit = (unsigned)BDR_MIN(BDR_MAX(len / 3, 1), 3);
    unsigned d = len >= 2 && !strncmp(n->typed, name, len) ? 1 : bdr_edit_distance(n->typed, name);

    if (d > limit || (n->best && d >= n->distance))
        return;
    n->best = name;
    n->distance = d;
}

const char *bdr_nearest_text(const struct bdr_nearest *nearest, const char *front, char *buf, size_t n)
{
    buf[0] = 0;
    if (nearest->best)
        snprintf(buf, n, "; did you mean '%s%s'?", front, nearest->best);
    return buf;
}
