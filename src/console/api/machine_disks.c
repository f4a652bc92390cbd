/* SPDX-License-Identifier: Apache-2.0 */
/* machine_disks.c - the disks of a host as an agent or a scan tells them, and what of that is news. */
#include "api/machine.h"
#include "watch/alarm.h"
#include <string.h>

static struct bdr_err *disk_event(struct bdr_tx *tx, const struct machine_disks *m, const char *kind, const char *name,
                                  int64_t size_bytes, int64_t was_bytes)
{
    const struct bdr_value v[] = {BDR_VT("disk", name), BDR_VN("size_bytes", size_bytes),
                                  BDR_VN("was_bytes", was_bytes)};

    return bdr_event_add(tx, kind, "host", m->host_id, v, BDR_COUNT(v), m->now_ms);
}

static const struct bdr_row_disk *disk_of(const struct bdr_row_disk *row, size_t n, const char *ref)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(row[i].ref, ref))
            return &row[i];
    return NULL;
}

static bool disk_is_told(const struct machine_disks *m, const char *ref)
{
    for (size_t i = 0; i < m->n; i++)
        if (!strcmp(m->disks[i].ref, ref))
            return true;
    return false;
}

/* A host that had no disks is new: all of it would be news. */
static struct bdr_err *disks_news(struct bdr_tx *tx, const struct machine_disks *m, const struct bdr_row_disk *row,
                                  size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!row[i].gone_ms && !disk_is_told(m, row[i].ref))
            BDR_TRY(disk_event(tx, m, "disk.removed", row[i].name, row[i].size_bytes, row[i].size_bytes));
    for (size_t i = 0; n && i < m->n; i++) {
        const struct bdr_inv_disk *d = &m->disks[i];
        const struct bdr_row_disk *was = disk_of(row, n, d->ref);
        int64_t size = (int64_t)d->size_bytes;

        if (!was || was->gone_ms)
            BDR_TRY(disk_event(tx, m, "disk.added", d->name, size, was ? was->size_bytes : 0));
        else if (was->size_bytes != size)
            BDR_TRY(disk_event(tx, m, "disk.resized", d->name, size, was->size_bytes));
    }
    return NULL;
}

struct bdr_err *machine_disks_seen(struct bdr_tx *tx, const struct machine_disks *m)
{
    BDR_AUTO(mem) struct bdr_row_disk *row = NULL;
    int64_t id, changed;
    size_t n = 0;

    BDR_TRY(bdr_q_disk_list(tx, m->host_id, &row, &n));
    BDR_TRY(disks_news(tx, m, row, n));
    BDR_TRY(bdr_q_disk_all_gone(tx, m->host_id, m->now_ms, &changed));
    for (size_t i = 0; i < m->n; i++) {
        const struct bdr_inv_disk *d = &m->disks[i];

        BDR_TRY(bdr_q_disk_seen(tx,
                                &(struct bdr_in_disk_seen){.host_id = m->host_id,
                                                           .ref = d->ref,
                                                           .name = d->name,
                                                           .position = (int64_t)i,
                                                           .size_bytes = (int64_t)d->size_bytes,
                                                           .reason = d->reason ? d->reason : ""},
                                &id));
    }
    return NULL;
}
