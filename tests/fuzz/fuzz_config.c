/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration file: no crash, no leak, and what was accepted is consistent. */
#include "frame/config.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    BDR_AUTO(config) struct bdr_config c = {0};
    struct bdr_err *err = bdr_config_parse("fuzz", (const char *)data, size, &c);
    unsigned line = 0;

    for (size_t i = 0; i < c.count; i++) {
        const struct bdr_config_entry *e = &c.entries[i];

        BDR_ASSERT(e->line > line && e->section);
        BDR_ASSERT(!e->key || (*e->key && e->value));
        BDR_ASSERT(!e->value || strlen(e->value) <= size);
        line = e->line;
    }
    BDR_ASSERT(err || !size || size <= BDR_CONFIG_MAX_BYTES);
    bdr_err_drop(err, "most inputs are wrong");
    return 0;
}
