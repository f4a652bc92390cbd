/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sessions.c - who is writing: one session a host, guarded by the fence, given up when it is silent.
 *
 * Requests hold a reference. Ending a session only takes it off the list; whoever lets go of it last makes durable what
 * came (so that it need not be sent again) and frees it.
 */
#include "bdr/clock.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/point.h"
#include "bdr/sync.h"
#include "gw_i.h"
#include <string.h>
#include <stdio.h>

#define SESSION_LEAVE_MS 5000u /* how long a new session waits for the requests of the one before */
#define SESSION_VALID_S  300u  /* of a leave that names no time */

static void session_free(struct gw_session *s)
{
    for (size_t i = 0; i < GW_MAPS_OPEN; i++)
        gw_map_free(s->maps[i]);
    if (s->s)
        bdr_err_drop(bdr_session_flush(s->s), "what is not durable is sent again");
    bdr_session_abandon(s->s);
    for (size_t i = 0; i < s->n_disks; i++)
        free(s->disks[i].identity);
    free(s->disks);
    json_decref(s->base);
    bdr_pace_done(&s->pace);
    pthread_rwlock_destroy(&s->puts);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void gw_session_unref(struct gw_session *s)
{
    bool last;

    pthread_mutex_lock(&s->lock);
    last = --s->refs == 0;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (last)
        session_free(s);
}

static void session_ref(struct gw_session *s)
{
    pthread_mutex_lock(&s->lock);
    s->refs++;
    pthread_mutex_unlock(&s->lock);
}

void gw_session_end(struct gw_session *s)
{
    struct gw *gw = s->gw;
    bool mine = false;

    pthread_mutex_lock(&gw->lock);
    for (struct gw_session **at = &gw->sessions; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            gw->n_sessions--;
            mine = true;
            break;
        }
    pthread_mutex_unlock(&gw->lock);
    atomic_store(&s->ended, true);
    bdr_cancel_set(&s->cancel);
    pthread_mutex_lock(&s->lock);
    for (struct gw_upload *u = s->running; u; u = u->next)
        if (atomic_load(&u->heard_ms) != UINT64_MAX) /* it waits for a client that may be gone; others see the end */
            bdr_req_cut(u->req);
    pthread_mutex_unlock(&s->lock);
    if (mine)
        gw_session_unref(s); /* the list's */
}

/* A reference to the session that `pick` likes, or NULL. */
static struct gw_session *session_find(struct gw *gw, bool (*pick)(const struct gw_session *s, const void *arg),
                                       const void *arg)
{
    struct gw_session *s;

    pthread_mutex_lock(&gw->lock);
    for (s = gw->sessions; s && !pick(s, arg); s = s->next)
        ;
    if (s)
        session_ref(s);
    pthread_mutex_unlock(&gw->lock);
    return s;
}

static bool pick_host(const struct gw_session *s, const void *arg)
{
    return s->host == *(const uint64_t *)arg;
}
static bool pick_id(const struct gw_session *s, const void *arg)
{
    return !strcmp(s->id, arg);
}

/* ---- beginning ---- */

static struct bdr_err *session_leave(struct gw *gw, const struct bdr_cert_info *peer, uint64_t host, uint64_t fence,
                                     struct gw_leave *out)
{
    const struct gw_question q = {.machine = peer->machine, .serial = peer->serial, .host = host, .fence = fence};

    *out = (struct gw_leave){0};
    BDR_TRY(gw->config.authority->authorise(gw->config.authority->ctx, &q, &gw->stop, out));
    if (!out->valid_s)
        out->valid_s = SESSION_VALID_S;
    return NULL;
}

/* Ends the session that writes this host now and waits a little for its requests. */
static void session_replace(struct gw *gw, uint64_t host)
{
    struct gw_session *old = session_find(gw, pick_host, &host);
    uint64_t deadline = bdr_clock_mono_ms() + SESSION_LEAVE_MS;

    if (!old)
        return;
    gw_session_end(old);
    pthread_mutex_lock(&old->lock);
    while (old->refs > 1 && bdr_clock_mono_ms() < deadline)
        bdr_cond_wait_slice(&old->changed, &old->lock);
    pthread_mutex_unlock(&old->lock);
    gw_session_unref(old);
}

static struct bdr_err *session_base(struct gw_session *s)
{
    struct bdr_point_info info;
    struct bdr_err *err = bdr_repo_find(s->repo->repo, "latest", s->label, &info);

    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "the host's first point");
        return NULL;
    }
    BDR_TRY(err);
    return bdr_point_read(s->repo->repo, &info, &s->base);
}

static struct bdr_err *session_new(struct gw *gw, const struct bdr_cert_info *peer, uint64_t host, uint64_t fence,
                                   const struct gw_leave *leave, struct gw_session **out)
{
    struct gw_session *s = calloc(1, sizeof(*s));
    BDR_AUTO(gw_session) struct gw_session *mine = s;

    BDR_NOMEM_IF_NULL(s);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    pthread_rwlock_init(&s->puts, NULL);
    bdr_pace_init(&s->pace);
    s->gw = gw;
    s->refs = 1;
    s->host = host;
    s->fence = fence;
    snprintf(s->machine, sizeof(s->machine), "%s", peer->machine);
    snprintf(s->serial, sizeof(s->serial), "%s", peer->serial);
    snprintf(s->label, sizeof(s->label), "%s", leave->label);
    snprintf(s->identity, sizeof(s->identity), "%s", leave->identity);
    atomic_store(&s->bandwidth_bps, leave->bandwidth_bps);
    atomic_store(&s->last_ms, bdr_clock_mono_ms());
    atomic_store(&s->valid_ms, bdr_clock_mono_ms() + leave->valid_s * 1000ull);
    BDR_TRY(gw_repo_get(gw, leave->repository, &s->repo));
    BDR_TRY(gw_repo_learn(gw, s->repo, host, s->label));
    /* The fence decided who writes: whoever else holds the lease is an older one of ours, or was told to stop. */
    BDR_TRY(bdr_session_begin(s->repo->repo,
                              &(struct bdr_session_options){.host = s->label, .take_over = true, .slots = 1}, &s->s));
    snprintf(s->id, sizeof(s->id), "%s", bdr_session_presence(s->s));
    BDR_TRY(session_base(s));
    *out = BDR_STEAL(mine);
    return NULL;
}

static struct bdr_err *session_enlist(struct gw *gw, struct gw_session *s, bool *out_room)
{
    pthread_mutex_lock(&gw->lock);
    *out_room = gw->n_sessions < gw->limits.sessions;
    if (*out_room) {
        s->next = gw->sessions;
        gw->sessions = s;
        gw->n_sessions++;
        pthread_mutex_lock(&s->lock);
        s->refs++; /* the list's */
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(&gw->lock);
    return NULL;
}

static struct bdr_err *session_begin_locked(struct gw *gw, struct bdr_req *req, uint64_t host, uint64_t fence,
                                            const struct gw_leave *leave, struct gw_session **out)
{
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    uint64_t largest = 0;
    bool ok = false;

    BDR_TRY(gw_fence_take(gw->state_dir, host, fence, &ok, &largest));
    if (!ok)
        return gw_problem(req, 412, BDR_FENCED,
                          "Fence %llu is older than %llu, which has written this host already. Stop for good.",
                          (unsigned long long)fence, (unsigned long long)largest);
    session_replace(gw, host);
    pthread_mutex_lock(&gw->lock);
    ok = gw->n_sessions < gw->limits.sessions;
    pthread_mutex_unlock(&gw->lock);
    if (ok) {
        BDR_TRY(session_new(gw, bdr_req_peer(req), host, fence, leave, &s));
        BDR_TRY(session_enlist(gw, s, &ok));
    }
    if (!ok)
        return gw_problem(req, 503, BDR_THROTTLED, "%u sessions are running, more do not fit. Come again.",
                          gw->limits.sessions);
    BDR_LOG(INFO, "gateway.session", F_STR("host", s->label), F_STR("session", s->id), F_STR("machine", s->machine),
            F_U64("fence", fence));
    *out = BDR_STEAL(s);
    return NULL;
}

struct bdr_err *gw_session_begin(struct gw *gw, struct bdr_req *req, uint64_t host, uint64_t fence,
                                 struct gw_session **out)
{
    pthread_mutex_t *lock = &gw->host_lock[host % GW_HOST_LOCKS];
    struct gw_leave leave;
    struct bdr_err *err;

    *out = NULL;
    BDR_TRY(session_leave(gw, bdr_req_peer(req), host, fence, &leave));
    pthread_mutex_lock(lock);
    err = session_begin_locked(gw, req, host, fence, &leave, out);
    pthread_mutex_unlock(lock);
    return err;
}

/* ---- using ---- */

/* The leave is asked for again when its time is over. One that can't be had now is no reason to stop before twice its time. */
static struct bdr_err *session_valid(struct gw *gw, struct bdr_req *req, struct gw_session *s)
{
    uint64_t now = bdr_clock_mono_ms(), until = atomic_load(&s->valid_ms);
    struct gw_leave leave;
    struct bdr_err *err;

    if (now < until)
        return NULL;
    if (!atomic_compare_exchange_strong(&s->valid_ms, &until, now + 10000)) /* somebody else is asking */
        return NULL;
    err = session_leave(gw, bdr_req_peer(req), s->host, s->fence, &leave);
    if (err && (err->code == BDR_NET || err->code == BDR_TIMEOUT || err->code == BDR_THROTTLED) &&
        now < until + SESSION_VALID_S * 1000ull) {
        BDR_LOG(WARN, "gateway.leave-unknown", F_STR("host", s->label), F_ERR(err));
        bdr_err_drop(err, "the console is away; asked again in a moment");
        atomic_store(&s->valid_ms, until);
        return NULL;
    }
    if (err) {
        gw_session_end(s);
        return err;
    }
    atomic_store(&s->bandwidth_bps, leave.bandwidth_bps);
    atomic_store(&s->valid_ms, now + leave.valid_s * 1000ull);
    return NULL;
}

static struct bdr_err *session_check(struct gw *gw, struct bdr_req *req, struct gw_session *s, bool *out_ok)
{
    const struct bdr_cert_info *peer = bdr_req_peer(req);
    const char *text = bdr_req_header(req, "Bdr-Fence");
    uint64_t fence = 0;
    struct bdr_err *err = text ? bdr_u64_parse(text, UINT64_MAX, &fence) : NULL;

    *out_ok = false;
    if (err || !text) {
        bdr_err_drop(err, "refused");
        return gw_problem(req, 400, BDR_INVAL, "Say the job's fence in the header Bdr-Fence.");
    }
    /* Another machine's session is none as far as this one can tell. */
    if (!s || strcmp(s->machine, peer->machine) != 0 || s->host != bdr_req_param_u64(req, "host"))
        return gw_problem(req, 404, BDR_NOTFOUND, "There is no such session (any more). Begin again: what was uploaded counts.");
    if (fence != s->fence)
        return gw_problem(req, 412, BDR_FENCED, "This session was begun under another fence.");
    BDR_TRY(session_valid(gw, req, s));
    *out_ok = true;
    return NULL;
}

struct bdr_err *gw_session_of(struct gw *gw, struct bdr_req *req, struct gw_session **out)
{
    BDR_AUTO(gw_session) struct gw_session *s = session_find(gw, pick_id, bdr_req_param(req, "session"));
    bool ok = false;

    *out = NULL;
    BDR_TRY(session_check(gw, req, s, &ok));
    if (!ok)
        return NULL;
    atomic_store(&s->last_ms, bdr_clock_mono_ms());
    *out = BDR_STEAL(s);
    return NULL;
}

/* ---- upkeep ---- */

struct pick_late {
    uint64_t now, idle;
};
static bool pick_silent(const struct gw_session *s, const void *arg)
{
    const struct pick_late *late = arg;

    bool alone;

    pthread_mutex_lock(&((struct gw_session *)(uintptr_t)s)->lock);
    alone = s->refs == 1;
    pthread_mutex_unlock(&((struct gw_session *)(uintptr_t)s)->lock);
    return alone && atomic_load(&s->last_ms) + late->idle < late->now;
}
static bool pick_machine(const struct gw_session *s, const void *arg)
{
    const struct gw_authority *a = s->gw->config.authority;

    return arg ? !strcmp(s->machine, arg) : a->revoked && a->revoked(a->ctx, s->machine, s->serial);
}

void gw_sessions_end(struct gw *gw, const char *machine)
{
    struct gw_session *s;

    while ((s = session_find(gw, pick_machine, machine)) != NULL) {
        BDR_LOG(WARN, "gateway.session-cut", F_STR("host", s->label), F_STR("machine", s->machine));
        gw_session_end(s);
        gw_session_unref(s);
    }
}

struct pick_over {
    uint64_t host, fence;
};
static bool pick_over(const struct gw_session *s, const void *arg)
{
    const struct pick_over *over = arg;

    return s->host == over->host && s->fence <= over->fence;
}

void gw_sessions_over(struct gw *gw, uint64_t host, uint64_t fence)
{
    const struct pick_over over = {host, fence};
    struct gw_session *s;

    while ((s = session_find(gw, pick_over, &over)) != NULL) {
        BDR_LOG(INFO, "gateway.session-over", F_STR("host", s->label), F_U64("fence", s->fence));
        gw_session_end(s);
        gw_session_unref(s);
    }
}

/* Tells the repository that the session lives, unless it is busy anyway. */
static void session_renew(struct gw_session *s)
{
    struct bdr_err *err = NULL;

    if (pthread_rwlock_trywrlock(&s->puts))
        return;
    if (s->s)
        err = bdr_session_renew(s->s);
    pthread_rwlock_unlock(&s->puts);
    if (err) {
        BDR_LOG(WARN, "gateway.session-lost", F_STR("host", s->label), F_ERR(err));
        bdr_err_drop(err, "its client begins again");
        gw_session_end(s);
    }
}

void gw_sessions_tend(struct gw *gw)
{
    const struct pick_late late = {bdr_clock_mono_ms(), gw->limits.idle_ms};
    struct gw_session *all[256], *s;
    size_t n = 0;

    while ((s = session_find(gw, pick_silent, &late)) != NULL) {
        BDR_LOG(INFO, "gateway.session-silent", F_STR("host", s->label), F_STR("session", s->id));
        gw_session_end(s);
        gw_session_unref(s);
    }
    pthread_mutex_lock(&gw->lock);
    for (s = gw->sessions; s && n < BDR_COUNT(all); s = s->next) {
        session_ref(s);
        all[n++] = s;
    }
    pthread_mutex_unlock(&gw->lock);
    for (size_t i = 0; i < n; i++) {
        session_renew(all[i]);
        gw_session_unref(all[i]);
    }
}
