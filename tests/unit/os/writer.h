/* SPDX-License-Identifier: Apache-2.0 */
/* writer.h - a thread that writes into a file system, and knows how long it was kept waiting. Threads: one at a time.
 */
#pragma once
#include "lab.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#define SLACK_MS  1000 /* of the guarantee itself: budget + 1 s */
#define LOADED_MS 2000 /* more, for a machine that is busy with other things */
#define TRIES     3

/* Writes into a file system until told to stop; the longest that one write took. */
struct writer {
    char path[160];
    pthread_t thread;
    atomic_int tid, stop, once;
    atomic_uint_fast64_t writes, begun_ms, worst_ms;
};

/* once: one write, then the thread ends by itself. */
void writer_start(struct writer *w, const char *mount, bool once);
/* The longest a write took, one that is still under way included; waits for that to end. */
uint64_t writer_stop(struct writer *w);
/* True once the writer's thread waits in the kernel, uninterruptibly. */
bool writer_blocked(struct writer *w);
