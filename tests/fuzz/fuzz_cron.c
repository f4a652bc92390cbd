/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a crontab line: no crash, and what was accepted comes later than asked, at a minute that the line names.
 */
#include "policy/cron.h"
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t after[] = {INT64_C(1792886400000), INT64_C(1806192000000)}; /* around changing clocks */
    BDR_AUTO(mem) char *text = malloc(size + 1);
    struct bdr_cron c;
    struct bdr_err *err;

    BDR_ASSERT(text);
    memcpy(text, data, size);
    text[size] = 0;
    err = bdr_cron_parse(text, &c);
    for (size_t i = 0; !err && i < BDR_COUNT(after); i++) {
        int64_t next = 0;

        BDR_ASSERT(c.minutes && c.hours && c.days && c.months && c.weekdays);
        BDR_ASSERT(!bdr_cron_next(&c, i ? "UTC" : "Europe/Berlin", after[i], &next));
        BDR_ASSERT(next == -1 || next > after[i]);
        if (i && next != -1)
            BDR_ASSERT(c.minutes >> (next / 60000 % 60) & 1 && c.hours >> (next / 3600000 % 24) & 1);
    }
    bdr_err_drop(err, "most inputs are wrong");
    return 0;
}
