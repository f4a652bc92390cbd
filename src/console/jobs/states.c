/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/states.h"
#include <string.h>

#define BACKOFF_MS     30000
#define BACKOFF_MAX_MS 1800000

static const struct {
    const char *name;
    bool held, ends;
} states[] = {
#define S(name, text, held, ends, title) [BDR_JOB_##name] = {text, held, ends},
#include "jobs.def"
#undef S
};

static const struct {
    const char *name;
    enum bdr_job_who who;
} events[] = {
#define V(name, text, who, title) [BDR_JOB_ON_##name] = {text, BDR_JOB_BY_##who},
#include "jobs.def"
#undef V
};

/* The state after, plus one; 0: refused. */
static const unsigned char table[BDR_JOB_STATES][BDR_JOB_EVENTS] = {
#define T(was, event, now) [BDR_JOB_##was][BDR_JOB_ON_##event] = BDR_JOB_##now + 1,
#include "jobs.def"
#undef T
};

const char *bdr_job_state_name(enum bdr_job_state state)
{
    return states[state].name;
}

const char *bdr_job_event_name(enum bdr_job_event event)
{
    return events[event].name;
}

bool bdr_job_state_of(const char *name, enum bdr_job_state *out)
{
    for (size_t i = 0; i < BDR_COUNT(states); i++)
        if (!strcmp(states[i].name, name)) {
            *out = (enum bdr_job_state)i;
            return true;
        }
    return false;
}

bool bdr_job_held(enum bdr_job_state state)
{
    return states[state].held;
}

bool bdr_job_ends(enum bdr_job_state state)
{
    return states[state].ends;
}

enum bdr_job_who bdr_job_event_who(enum bdr_job_event event)
{
    return events[event].who;
}

struct bdr_err *bdr_job_next(enum bdr_job_state was, enum bdr_job_event event, enum bdr_job_state *out)
{
    if (!table[was][event])
        BDR_FAIL(BDR_CONFLICT, 0, "a job that is %s can't be told '%s'", states[was].name, events[event].name);
    *out = (enum bdr_job_state)(table[was][event] - 1);
    return NULL;
}

int64_t bdr_job_backoff_ms(int64_t tries, unsigned shake)
{
    int64_t ms = BACKOFF_MS;

    for (int64_t i = 1; i < tries && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    ms = BDR_MIN(ms, (int64_t)BACKOFF_MAX_MS);
    return ms * 4 / 5 + ms * 2 / 5 * BDR_MIN(shake, 255u) / 255;
}

int64_t bdr_job_eta_ms(int64_t done_bytes, int64_t total_bytes, int64_t rate_bps)
{
    int64_t left = total_bytes - done_bytes;

    if (left <= 0)
        return total_bytes > 0 ? 0 : -1;
    if (rate_bps <= 0)
        return -1;
    return left / rate_bps * 1000 + left % rate_bps * 1000 / rate_bps;
}
