/* SPDX-License-Identifier: Apache-2.0 */
/* Names of hosts, as machines and platforms tell them, become names in repositories, paths and commands. */
#include "rules/label.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[512] = "", label[BDR_LABEL_CHARS];
    size_t max = size ? data[0] % (BDR_LABEL_CHARS - 1) + 1 : 96, n = 0;

    for (size_t i = 1; i < size && n + 1 < sizeof(name); i++)
        name[n++] = (char)data[i];
    bdr_label_of(name, max, label);
    BDR_ASSERT(*label && strlen(label) <= BDR_MAX(max, strlen("host")));
    BDR_ASSERT(label[0] != '.' && label[0] != '-');
    for (const char *p = label; *p; p++)
        BDR_ASSERT((unsigned char)*p > 0x20 && *p != 0x7f && !strchr("/\\'\"$`;&|<>*?!(){}[]~#", *p));
    return 0;
}
