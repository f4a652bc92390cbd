/* SPDX-License-Identifier: Apache-2.0 */
/* speaker.h - the process that talks to the console, and does the jobs by asking the reader. */
#pragma once
#include "bdr/worker_prog.h"
#include "talk.h"

struct speaker {
    struct remote *remote;
    const struct bdr_prog_options *opt;
    const char *firmware; /* "bios", "uefi"; NULL until an inventory was seen */
    char identity[65]; /* of the machine; written by the main thread before a job can be claimed, and always the same */
    uint64_t watchdog_ms, fed_ms;
};
/* The job `sync`; ctx is a struct speaker. */
struct bdr_err *speaker_sync(void *ctx, struct bdr_worker_job *job, json_t **out_result);
/* The life of the process. */
bdr_ret speaker_run(const struct bdr_prog_options *opt, const int lanes[TALK_LANES], uint8_t *slots,
                    const struct bdr_cancel *cancel);
