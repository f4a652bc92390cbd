/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changed_extents.c - the wrapper of spec.changed_extents: CHANGED is what a file says.
 *
 * Where the source knows its holes, a changed extent that is now a hole is told as ZERO and need not be read.
 */
#include "../changed.h"
#include "bdr/osfile.h"
#include "filter.h"

/* About 12 million lines; a tracker that needs more can tell larger blocks. */
#define CHANGED_FILE_MAX_BYTES ((size_t)256 << 20)

struct changed_src {
    struct filter_src filter;
    struct changed_list list;
};

static struct bdr_err *changed_info(struct bdr_source *src, struct bdr_source_info *out)
{
    BDR_TRY(filter_info(src, out));
    out->has_changes = true;
    return NULL;
}

static struct bdr_err *changed_extents(struct bdr_source *src, enum bdr_extents_of of, uint64_t off, uint64_t len,
                                       bdr_extent_fn fn, void *ctx)
{
    struct changed_src *c = (struct changed_src *)src;
    uint64_t end = off + len;

    if (of == BDR_EXTENTS_ALL)
        return filter_extents(src, of, off, len, fn, ctx);
    for (size_t i = changed_find(&c->list, off); i < c->list.n && c->list.at[i].off < end; i++) {
        uint64_t lo = BDR_MAX(c->list.at[i].off, off), hi = BDR_MIN(c->list.at[i].off + c->list.at[i].len, end);

        BDR_TRY(filter_extents(src, BDR_EXTENTS_ALL, lo, hi - lo, fn, ctx));
    }
    return NULL;
}

static void changed_close(struct bdr_source *src)
{
    changed_free(&((struct changed_src *)src)->list);
    filter_close(src);
}

static const struct bdr_source_driver changed_driver = {
    .name = "changed-extents",
    .title = "Changes told by a file",
    .info = changed_info,
    .extents = changed_extents,
    .read = filter_read,
    .token = filter_token,
    .touched = filter_touched, /* no since: the file says against what */
    .check = filter_check,
    .committed = filter_committed,
    .close = changed_close,
};

struct bdr_err *source_wrap_changed(struct bdr_source **src, const char *path)
{
    BDR_AUTO(changed) struct changed_list list = {0};
    BDR_AUTO(mem) char *text = NULL;
    struct changed_src *c;
    size_t len = 0;

    BDR_TRY_FOR(bdr_os_read_file(path, CHANGED_FILE_MAX_BYTES, &text, &len), "reading the changed extents");
    BDR_TRY(changed_parse(path, text, len, source_known(*src)->size_bytes, &list));
    c = calloc(1, sizeof(*c));
    BDR_NOMEM_IF_NULL(c);
    c->list = list;
    list = (struct changed_list){0};
    return filter_wrap(src, &c->filter, &changed_driver);
}
