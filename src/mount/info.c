/* SPDX-License-Identifier: Apache-2.0 */
#include "info.h"
#include "bdr/clock.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* Partition names come from the disk and may be any bytes; JSON is UTF-8. */
static json_t *info_text(const char *text)
{
    json_t *s = json_string(text);

    return s ? s : json_string("?");
}

static json_t *info_part(const struct mount_disk_info *d, const struct mount_part *p)
{
    json_t *o = json_object();
    char file[48];

    snprintf(file, sizeof(file), "disk%u.p%u", d->index, p->number);
    json_object_set_new(o, "file", json_string(file));
    json_object_set_new(o, "offset_bytes", json_integer((json_int_t)p->off));
    json_object_set_new(o, "size_bytes", json_integer((json_int_t)p->len));
    json_object_set_new(o, "type", info_text(p->type));
    if (*p->uuid)
        json_object_set_new(o, "uuid", info_text(p->uuid));
    if (*p->name)
        json_object_set_new(o, "name", info_text(p->name));
    return o;
}

static json_t *info_disk(const struct mount_disk_info *d)
{
    json_t *o = json_object(), *parts = json_array();
    char file[32];

    snprintf(file, sizeof(file), "disk%u.raw", d->index);
    if (d->readable) {
        json_object_set_new(o, "file", json_string(file));
        json_object_set_new(o, "size_bytes", json_integer((json_int_t)d->size_bytes));
        json_object_set_new(o, "sector_bytes", json_integer((json_int_t)d->sector_bytes));
    }
    for (size_t i = 0; i < d->n_parts; i++)
        json_array_append_new(parts, info_part(d, &d->parts[i]));
    json_object_set_new(o, "partitions", parts);
    if (*d->error)
        json_object_set_new(o, "error", info_text(d->error));
    return o;
}

struct bdr_err *mount_info_json(const struct bdr_point_info *point, const struct mount_disk_info *disks, size_t n,
                                char **out)
{
    json_t *o = json_object(), *list = json_array();
    char time[24], *text = NULL, *line = NULL;

    json_object_set_new(o, "id", info_text(point->id));
    json_object_set_new(o, "host", info_text(point->host));
    json_object_set_new(o, "time", json_string(bdr_clock_text(point->time_ms, time)));
    json_object_set_new(o, "time_ms", json_integer((json_int_t)point->time_ms));
    json_object_set_new(o, "size_bytes", json_integer((json_int_t)point->size_bytes));
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, info_disk(&disks[i]));
    json_object_set_new(o, "disks", list);
    text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
    json_decref(o);
    if (text && asprintf(&line, "%s\n", text) < 0)
        line = NULL;
    free(text);
    BDR_NOMEM_IF_NULL(line);
    *out = line;
    return NULL;
}
