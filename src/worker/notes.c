/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notes.c - one small file a job: jobs/<id>.json.
 *
 * It is written before the job begins and says how a job that was cut off by our death ended (another try may help);
 * what really came of it replaces that; when the console has answered, the file goes.
 */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "worker_i.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *note_path(const char *state, uint64_t id, char buf[512])
{
    snprintf(buf, 512, "%s/" WORKER_NOTES "/%" PRIu64 ".json", state, id);
    return buf;
}

struct bdr_err *note_end(const char *state, uint64_t id, const struct bdr_job_end_in *end)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    char path[512];

    BDR_TRY(bdr_shape_write(&bdr_job_end_in_shape, BDR_SHAPE_REQUEST, end, &text));
    return bdr_os_replace_file(note_path(state, id, path), text.data, text.len, 0600, false);
}

struct bdr_err *note_running(const char *state, const struct bdr_job_work *work)
{
    struct bdr_job_end_in end = {.fence = work->fence,
                                 .how = BDR_HOW_RETRY,
                                 .error_code = "STALE",
                                 .error_text = "the program or the machine was started anew while the job ran"};

    return note_end(state, work->id, &end);
}

void note_drop(const char *state, uint64_t id)
{
    char path[512];

    unlink(note_path(state, id, path)); /* when that fails the end is told once more: harmless */
}

static struct bdr_err *note_read(struct worker *w, uint64_t id,
                                 struct bdr_err *(*fn)(struct worker *w, uint64_t id, struct bdr_job_end_in *end))
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    BDR_AUTO(mem) char *text = NULL;
    struct bdr_job_end_in end;
    struct bdr_err *err;
    char path[512];
    size_t len = 0;

    BDR_TRY(bdr_arena_new(&arena));
    err = bdr_os_read_file(note_path(w->cfg->state, id, path), 1u << 20, &text, &len);
    if (!err)
        err = bdr_shape_read(&bdr_job_end_in_shape, BDR_SHAPE_REQUEST, text, len, arena, &end, NULL);
    if (err) {
        BDR_LOG(WARN, "worker.note-unreadable", F_U64("job", id), F_ERR(err));
        bdr_err_drop(err, "its lease runs out; that tells the console, too");
        note_drop(w->cfg->state, id);
        return NULL;
    }
    return fn(w, id, &end);
}

struct bdr_err *notes_each(struct worker *w,
                           struct bdr_err *(*fn)(struct worker *w, uint64_t id, struct bdr_job_end_in *end))
{
    uint64_t ids[WORKER_JOBS_MAX];
    struct dirent *e;
    char folder[512];
    size_t n = 0;
    DIR *dir = opendir(bdr_worker_path(w->cfg->state, WORKER_NOTES, folder));

    if (!dir && errno == ENOENT)
        return NULL;
    if (!dir)
        BDR_FAIL_ERRNO("opening %s", folder);
    while (n < BDR_COUNT(ids) && (e = readdir(dir))) {
        char *end = NULL;

        errno = 0;
        ids[n] = strtoull(e->d_name, &end, 10);
        if (end != e->d_name && !strcmp(end, ".json") && !errno && !jobs_has(w, ids[n]))
            n++;
    }
    closedir(dir);
    for (size_t i = 0; i < n; i++)
        BDR_TRY(note_read(w, ids[i], fn));
    return NULL;
}
