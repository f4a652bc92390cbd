/* SPDX-License-Identifier: Apache-2.0 */
/* sink.c - from the contract to whoever fulfils it. */
#include "bdr/sink.h"

void bdr_sink_free(struct bdr_sink *s)
{
    if (s)
        s->ops->free(s);
}
struct bdr_err *bdr_sink_begin(struct bdr_sink *s, const struct bdr_sink_begin *opt)
{
    return s->ops->begin(s, opt);
}
void bdr_sink_abandon(struct bdr_sink *s)
{
    s->ops->abandon(s);
}
struct bdr_err *bdr_sink_publish(struct bdr_sink *s, json_t *point, char out_id[33])
{
    return s->ops->publish(s, point, out_id);
}
uint32_t bdr_sink_block_bytes(const struct bdr_sink *s)
{
    return s->ops->block_bytes(s);
}
struct bdr_err *bdr_sink_base(struct bdr_sink *s, json_t **out)
{
    return s->ops->base(s, out);
}
bool bdr_sink_knows_host(const struct bdr_sink *s)
{
    return s->ops->knows_host;
}
struct bdr_err *bdr_sink_id(struct bdr_sink *s, const void *data, size_t len, struct bdr_id *out)
{
    return s->ops->id(s, data, len, out);
}
struct bdr_err *bdr_sink_put(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                             const void *data, size_t len, bool *out_new)
{
    return s->ops->put(s, run, block, id, data, len, out_new);
}
struct bdr_err *bdr_sink_keep(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id,
                              size_t len, bool *out_kept)
{
    return s->ops->keep(s, run, block, id, len, out_kept);
}
void bdr_sink_place(const struct bdr_sink *s, char *out, size_t out_n)
{
    s->ops->place(s, out, out_n);
}
struct bdr_err *bdr_sink_get(struct bdr_sink *s, const struct bdr_id *id, void *dst, size_t max, size_t *out_len)
{
    return s->ops->get(s, id, dst, max, out_len);
}
struct bdr_err *bdr_sink_renew(struct bdr_sink *s)
{
    return s->ops->renew(s);
}
struct bdr_err *bdr_sink_flush(struct bdr_sink *s)
{
    return s->ops->flush(s);
}
void bdr_sink_stats(struct bdr_sink *s, struct bdr_sink_stats *out)
{
    *out = (struct bdr_sink_stats){0};
    s->ops->stats(s, out);
}
struct bdr_err *bdr_sink_map_new(struct bdr_sink *s, const struct bdr_sink_disk *disk, struct bdr_sink_map **out)
{
    return s->ops->map_new(s, disk, out);
}
void bdr_sink_map_free(struct bdr_sink *s, struct bdr_sink_map *m)
{
    if (m)
        s->ops->map_free(s, m);
}
struct bdr_err *bdr_sink_map_run(struct bdr_sink *s, struct bdr_sink_map *m, uint64_t first, uint32_t count,
                                 struct bdr_sink_run **out)
{
    return s->ops->map_run(s, m, first, count, out);
}
struct bdr_err *bdr_sink_map_zero(struct bdr_sink *s, struct bdr_sink_map *m, uint64_t first, uint64_t count)
{
    return s->ops->map_zero(s, m, first, count);
}
struct bdr_err *bdr_sink_map_finish(struct bdr_sink *s, struct bdr_sink_map *m, struct bdr_id *out_root, bool *out_zero)
{
    return s->ops->map_finish(s, m, out_root, out_zero);
}
const struct bdr_id *bdr_sink_run_base(const struct bdr_sink *s, const struct bdr_sink_run *run, uint64_t block)
{
    return s->ops->run_base(run, block);
}
void bdr_sink_run_set(struct bdr_sink *s, struct bdr_sink_run *run, uint64_t block, const struct bdr_id *id)
{
    s->ops->run_set(run, block, id);
}
struct bdr_err *bdr_sink_run_end(struct bdr_sink *s, struct bdr_sink_run *run, bool ok)
{
    return s->ops->run_end(s, run, ok);
}
