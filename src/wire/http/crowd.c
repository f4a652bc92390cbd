/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Too many connections: who has to make room.
 *
 * At its limit libmicrohttpd accepts nobody, and then whoever holds connections and says nothing shuts everybody out
 * until their deadlines pass. So it is given a third more than our limit and none for an address: past ours somebody
 * has to go: of the addresses that hold the most, the oldest. A flood cuts its own, however fast it is, and whoever has
 * a few only is let be; behind one address with a flood he is served before he is the oldest. Where all are busy and
 * known, who comes last has to go.
 */
#include "bdr/bytes.h"
#include "http_i.h"
#include <string.h>

static unsigned crowd_bucket(const struct http_conn *c)
{
    uint32_t h = 2166136261u ^ (uint32_t)c->listener->index; /* FNV-1a */

    for (const char *p = c->remote; *p; p++)
        h = (h ^ (uint8_t)*p) * 16777619u;
    return (h ^ h >> 16) % CROWD_BUCKETS;
}

void http_crowd_add(struct http_conn *c)
{
    c->bucket = crowd_bucket(c);
    c->counted = true;
    c->listener->n_conns++;
    c->listener->server->crowd[c->bucket]++;
}

void http_crowd_remove(struct http_conn *c)
{
    if (!c->counted)
        return;
    c->counted = false;
    c->listener->n_conns--;
    c->listener->server->crowd[c->bucket]--;
}

/* Has whoever asks now been authorised? Under server.lock, that of the request after it. */
static bool crowd_known(const struct http_conn *c)
{
    bool known = atomic_load(&c->known);

    if (!known && c->req) {
        pthread_mutex_lock(&c->req->lock);
        known = bdr_req_who_name(c->req)[0] != 0;
        pthread_mutex_unlock(&c->req->lock);
    }
    return known;
}

/* Too many? When we `make` room, a sixteenth more: a flood must not have us look at all for each of its own. */
static bool crowd_over(const struct http_conn *c, bool make)
{
    const struct bdr_http_server *s = c->listener->server;
    unsigned most = s->limits.connections, most_ip = s->limits.connections_per_ip;

    return c->listener->n_conns > most - (make ? most / 16 : 0) ||
           s->crowd[c->bucket] > most_ip - (make ? most_ip / 16 : 0);
}

/* Cuts, the oldest first, those of addresses that hold at least `each`: idle ones that are `known`, or who is not. */
static void crowd_cut(const struct http_listener *l, unsigned each, bool known)
{
    struct bdr_http_server *s = l->server;

    for (struct http_conn *c = s->oldest; c; c = c->prev) {
        if (c->listener != l || !c->counted || s->crowd[c->bucket] < each || !crowd_over(c, true))
            continue;
        /* without a deadline we are not waiting for it, but it for us */
        if (!atomic_load(&c->deadline_ms) || (known ? atomic_load(&c->state) != CONN_IDLE : crowd_known(c)))
            continue;
        http_conn_cut(c);
        http_crowd_remove(c);
        atomic_fetch_add(&s->cut_crowded, 1);
    }
}

/* What the address with the most of them holds. */
static unsigned crowd_largest(const struct http_listener *l)
{
    unsigned most = 1;

    for (const struct http_conn *c = l->server->conns; c; c = c->next)
        if (c->listener == l && c->counted)
            most = BDR_MAX(most, l->server->crowd[c->bucket]);
    return most;
}

void http_crowd_thin(struct http_conn *fresh)
{
    for (int known = 0; known < 2 && crowd_over(fresh, false); known++)
        for (unsigned each = crowd_largest(fresh->listener); each && crowd_over(fresh, false); each /= 2)
            crowd_cut(fresh->listener, BDR_MAX(each / 2, 1u), known);
}
