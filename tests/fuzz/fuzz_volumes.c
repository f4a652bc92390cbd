/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_volumes.c - any bytes as the kernel's tables of mounts and of swap areas: what is accepted is whole, and there
 * is one entry a line.
 */
#include "../../src/os/linux/volumes_priv.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t lines_of(const uint8_t *data, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < size; i++)
        n += data[i] == '\n';
    return n + (size && data[size - 1] != '\n');
}

static void check_error(struct bdr_err *err)
{
    BDR_ASSERT(err->code == BDR_INVAL && strstr(err->msg, " line ") && !strchr(err->msg, '\n'));
    bdr_err_drop(err, "most inputs are wrong");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct volumes_mounts mounts;
    struct volumes_areas areas;
    char value[64];
    struct bdr_err *err = volumes_mounts_parse((const char *)data, size, &mounts);

    if (err)
        check_error(err);
    else
        BDR_ASSERT(mounts.n == lines_of(data, size));
    for (size_t i = 0; i < mounts.n; i++) {
        const struct volumes_mount *m = &mounts.at[i];

        BDR_ASSERT(!err && m->point[0] == '/' && m->type[0] && m->source && m->options);
        BDR_ASSERT(strlen(m->point) + strlen(m->type) + strlen(m->source) + strlen(m->options) < size);
        if (volumes_option(m->options, "logdev", value, sizeof(value)))
            BDR_ASSERT(strlen(value) < sizeof(value) && !strchr(value, ','));
    }
    volumes_mounts_free(&mounts);

    err = volumes_areas_parse((const char *)data, size, &areas);
    if (err)
        check_error(err);
    else
        BDR_ASSERT(areas.n <= lines_of(data, size));
    for (size_t i = 0; i < areas.n; i++)
        BDR_ASSERT(!err && areas.at[i].path[0] == '/' && areas.at[i].bytes % 1024 == 0);
    volumes_areas_free(&areas);
    return 0;
}
