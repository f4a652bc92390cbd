/* SPDX-License-Identifier: Apache-2.0 */
/* publish.c - the end of a session: its point becomes visible, once, however often that is asked for. */
#include "bdr/bytes.h"
#include "bdr/jsonset.h"
#include "bdr/log.h"
#include "bdr/point.h"
#include "gw_i.h"
#include <string.h>

static struct bdr_err *publish_answer(struct bdr_req *req, const json_t *point)
{
    return gw_send_json(req, 200,
                        json_pack("{s:O,s:O*}", "id", json_object_get(point, "id"), "stats",
                                  json_object_get(point, "stats")));
}

/*
 * The answer to a publish got lost, with or without this process: the host's last point says which session made it.
 * False: it did not, and nothing was answered.
 */
static struct bdr_err *publish_again(struct gw *gw, struct bdr_req *req, bool *out_answered)
{
    const struct bdr_cert_info *peer = bdr_req_peer(req);
    struct gw_question q = {.machine = peer->machine, .serial = peer->serial, .host = bdr_req_param_u64(req, "host")};
    const char *session = bdr_req_param(req, "session"), *fence = bdr_req_header(req, "Bdr-Fence"), *made_by;
    BDR_AUTO(json) json_t *point = NULL;
    struct bdr_point_info info;
    struct gw_repo *r = NULL;
    struct gw_leave leave = {0};
    struct bdr_err *err;

    *out_answered = false;
    err = fence ? bdr_u64_parse(fence, UINT64_MAX, &q.fence) : bdr_err_new(BDR_INVAL, 0, BDR_AT, "no fence");
    if (!err)
        err = gw->config.authority->authorise(gw->config.authority->ctx, &q, &gw->stop, &leave);
    if (!err)
        err = gw_repo_get(gw, leave.repository, &r);
    if (!err)
        err = bdr_repo_find(r->repo, "latest", leave.label, &info);
    if (!err)
        err = bdr_point_read(r->repo, &info, &point);
    if (err) {
        bdr_err_drop(err, "then the usual answer: no such session");
        return NULL;
    }
    made_by = json_string_value(json_object_get(point, "session"));
    if (!made_by || strcmp(made_by, session) != 0 ||
        (uint64_t)json_integer_value(json_object_get(point, "fence")) != q.fence)
        return NULL;
    *out_answered = true;
    return publish_answer(req, point);
}

static bool session_listed(struct gw *gw, const char *id)
{
    bool found = false;

    pthread_mutex_lock(&gw->lock);
    for (const struct gw_session *s = gw->sessions; s && !found; s = s->next)
        found = !strcmp(s->id, id);
    pthread_mutex_unlock(&gw->lock);
    return found;
}

/* Nobody else touches the repository's session: its point is made, whatever happens to the connection. */
static struct bdr_err *publish_go(struct gw_session *s, json_t *point)
{
    struct bdr_session *session;
    struct bdr_err *err;
    char id[33];

    pthread_rwlock_wrlock(&s->puts);
    if (!s->s || atomic_load(&s->ended)) {
        err = bdr_err_new(BDR_CANCELLED, 0, BDR_AT, "the session has ended");
    } else {
        for (size_t i = 0; i < GW_MAPS_OPEN; i++)
            if (s->maps[i] && !s->maps[i]->busy) {
                gw_map_free(s->maps[i]);
                s->maps[i] = NULL;
            }
        session = BDR_STEAL(s->s);
        err = bdr_session_publish(session, point, id);
    }
    pthread_rwlock_unlock(&s->puts);
    return err;
}

static void publish_after(struct gw *gw, struct gw_session *s, const json_t *point)
{
    struct bdr_err *err = gw_repo_learn_point(gw, s->repo, s->host, point, s->base);

    if (err) {
        BDR_LOG(WARN, "gateway.not-learnt", F_STR("host", s->label), F_ERR(err));
        bdr_err_drop(err, "the host's next session learns it");
    }
    if (gw->config.told)
        gw->config.told(gw->config.told_ctx, s->repo->id, point);
}

struct bdr_err *gw_publish_run(struct bdr_req *req, const void *in, void *out)
{
    struct gw *gw = gw_of_req(req);
    BDR_AUTO(gw_session) struct gw_session *s = NULL;
    BDR_AUTO(json) json_t *body = NULL;
    BDR_AUTO(json) json_t *point = NULL;
    struct bdr_err *err;
    bool answered = false;

    (void)in;
    (void)out;
    BDR_TRY(gw_body_json(req, BDR_WIRE_MANIFEST_BYTES, &body));
    if (!session_listed(gw, bdr_req_param(req, "session")))
        BDR_TRY(publish_again(gw, req, &answered));
    if (answered)
        return NULL;
    BDR_TRY(gw_session_of(gw, req, &s));
    if (!s)
        return NULL;
    pthread_rwlock_rdlock(&s->puts);
    pthread_mutex_lock(&s->lock);
    err = s->s && !atomic_load(&s->ended) ? gw_manifest(s, body, &point)
                                          : bdr_err_new(BDR_CANCELLED, 0, BDR_AT, "the session has ended");
    pthread_mutex_unlock(&s->lock);
    pthread_rwlock_unlock(&s->puts);
    if (err && err->code == BDR_INVAL) {
        struct bdr_err *sent = gw_problem(req, 422, BDR_INVAL, "The manifest: %s.", err->msg);

        bdr_err_drop(err, "told");
        return sent;
    }
    BDR_TRY(gw_answer_err(req, err));
    if (bdr_req_answered(req))
        return NULL;
    err = publish_go(s, point);
    gw_session_end(s);
    if (err && err->code == BDR_CANCELLED) { /* the same request, sent twice, at the same time */
        BDR_TRY(publish_again(gw, req, &answered));
        if (answered) {
            bdr_err_drop(err, "the other one published it");
            return NULL;
        }
    }
    if (err) {
        BDR_LOG(WARN, "gateway.not-published", F_STR("host", s->label), F_ERR(err));
        return gw_answer_err(req, err);
    }
    BDR_LOG(INFO, "gateway.published", F_STR("host", s->label),
            F_STR("point", json_string_value(json_object_get(point, "id"))));
    atomic_fetch_add(&gw->points, 1);
    publish_after(gw, s, point);
    return publish_answer(req, point);
}
