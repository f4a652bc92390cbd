/* SPDX-License-Identifier: Apache-2.0 */
/* hub.c - a list of open streams and a ring of the newest events, under one lock. */
#include "hub.h"
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define HUB_RING    256   /* events remembered for those who come back */
#define OUTBOX_MAX  65536 /* bytes for the other consoles */
#define OUTBOX_LINE 4000

struct hub_listener {
    struct hub_listener *next;
    struct bdr_events *events;
    int64_t machine_id; /* 0: a person */
    char kinds[128];    /* "": all */
    struct bdr_hub_key key;
};
struct hub_event {
    uint64_t id;
    char kind[32];
    char *json; /* owned */
};
struct bdr_hub {
    pthread_mutex_t lock; /* guards all below; sending never waits */
    struct hub_listener *first;
    struct hub_event ring[HUB_RING];
    uint64_t next_id;
    bool relayed, overrun; /* overrun: more was told than the outbox holds */
    struct bdr_buf outbox; /* lines "MACHINE KIND JSON", the machine -1 for people */
};

struct bdr_err *bdr_hub_new(struct bdr_hub **out)
{
    struct bdr_hub *hub;
    uint64_t random = 0;

    BDR_TRY(bdr_os_random(&random, sizeof(random)));
    hub = calloc(1, sizeof(*hub));
    BDR_NOMEM_IF_NULL(hub);
    pthread_mutex_init(&hub->lock, NULL);
    /* far from those of another console, or of the one before: an id of theirs must not pass for one of ours, or
     * whoever comes over from there would be told less than was missed */
    hub->next_id = HUB_RING + (random >> 20);
    *out = hub;
    return NULL;
}

static void listener_free(struct hub_listener *l)
{
    bdr_events_close(l->events);
    free(l);
}

void bdr_hub_free(struct bdr_hub *hub)
{
    if (!hub)
        return;
    while (hub->first) {
        struct hub_listener *l = hub->first;

        hub->first = l->next;
        listener_free(l);
    }
    for (size_t i = 0; i < HUB_RING; i++)
        free(hub->ring[i].json);
    bdr_buf_free(&hub->outbox);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

static bool kind_wanted(const char *kinds, const char *kind)
{
    size_t len = strlen(kind);

    if (!*kinds)
        return true;
    for (const char *at = kinds; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, kind, len) && (!at[len] || at[len] == ','))
            return true;
    return false;
}

static bool listener_send(struct hub_listener *l, const char *kind, uint64_t id, const char *json)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
    return bdr_events_send(l->events, kind, id ? text : NULL, json);
}

/* What a person missed; lock held. */
static void hub_catch_up(struct bdr_hub *hub, struct hub_listener *l, const char *last)
{
    uint64_t from = last ? strtoull(last, NULL, 10) + 1 : hub->next_id;

    if (from > hub->next_id || hub->next_id - from > HUB_RING) {
        (void)listener_send(l, "reset", hub->next_id - 1, "{}");
        return;
    }
    for (uint64_t id = from; id < hub->next_id; id++) {
        const struct hub_event *e = &hub->ring[id % HUB_RING];

        if (e->id == id && kind_wanted(l->kinds, e->kind))
            (void)listener_send(l, e->kind, id, e->json);
    }
}

struct bdr_err *bdr_hub_join(struct bdr_hub *hub, struct bdr_req *req, int64_t machine_id, const char *kinds,
                             const struct bdr_hub_key *key)
{
    struct hub_listener *l = calloc(1, sizeof(*l));
    struct bdr_err *err;

    BDR_NOMEM_IF_NULL(l);
    l->machine_id = machine_id;
    if (key)
        l->key = *key;
    snprintf(l->kinds, sizeof(l->kinds), "%s", kinds ? kinds : "");
    err = bdr_req_events(req, &l->events);
    if (err) {
        free(l);
        return err;
    }
    pthread_mutex_lock(&hub->lock);
    l->next = hub->first;
    hub->first = l;
    if (!machine_id)
        hub_catch_up(hub, l, bdr_req_header(req, "Last-Event-ID"));
    pthread_mutex_unlock(&hub->lock);
    return NULL;
}

/* Sends to those that `machine_id` means (-1: people); forgets those that have gone. */
static void hub_send(struct bdr_hub *hub, int64_t machine_id, const char *kind, uint64_t id, const char *json)
{
    struct hub_listener **at = &hub->first;

    while (*at) {
        struct hub_listener *l = *at;
        bool meant = machine_id < 0 ? !l->machine_id && kind_wanted(l->kinds, kind)
                                    : l->machine_id && (!machine_id || l->machine_id == machine_id);

        if (meant ? listener_send(l, kind, id, json) : bdr_events_alive(l->events)) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        listener_free(l);
    }
}

/* A line that waits already is not sent twice: it says no more the second time. Lock held. */
static void outbox_add(struct bdr_hub *hub, int64_t machine_id, const char *kind, const char *json)
{
    size_t was = hub->outbox.len, len;
    uint8_t *line;

    if (!hub->relayed || hub->overrun)
        return;
    bdr_buf_printf(&hub->outbox, "%lld %s %s\n", (long long)machine_id, kind, json);
    hub->overrun =
        hub->outbox.failed || hub->outbox.len > OUTBOX_MAX || strchr(json, '\n') || hub->outbox.len - was > OUTBOX_LINE;
    if (hub->overrun)
        return;
    line = hub->outbox.data + was;
    len = hub->outbox.len - was;
    for (uint8_t *at = hub->outbox.data; (at = memmem(at, (size_t)(line - at), line, len)) != NULL; at++)
        if (at == hub->outbox.data || at[-1] == '\n') {
            hub->outbox.len = was;
            return;
        }
}

void bdr_hub_relayed(struct bdr_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->relayed = true;
    pthread_mutex_unlock(&hub->lock);
}

size_t bdr_hub_outbox(struct bdr_hub *hub, char *text, size_t cap)
{
    size_t n = 0;

    pthread_mutex_lock(&hub->lock);
    if (hub->overrun) {
        n = (size_t)snprintf(text, cap, "-1 reset {}\n0 work {}\n0 settings {}\n");
        bdr_buf_free(&hub->outbox);
        hub->overrun = false;
    } else {
        for (size_t i = 0; i < hub->outbox.len && i < cap - 1; i++)
            n = hub->outbox.data[i] == '\n' ? i + 1 : n;
        if (n) {
            memcpy(text, hub->outbox.data, n);
            hub->outbox.len -= n;
            memmove(hub->outbox.data, hub->outbox.data + n, hub->outbox.len);
        }
        text[n] = 0;
    }
    pthread_mutex_unlock(&hub->lock);
    return n;
}

/* Lock held. */
static void hub_people(struct bdr_hub *hub, const char *kind, const char *json)
{
    struct hub_event *e;
    char *copy = strdup(json);

    e = &hub->ring[hub->next_id % HUB_RING];
    free(e->json);
    e->json = copy;
    e->id = copy ? hub->next_id : 0; /* without memory: who comes back is told to begin anew */
    snprintf(e->kind, sizeof(e->kind), "%s", kind);
    hub_send(hub, -1, kind, hub->next_id++, json);
}

void bdr_hub_tell(struct bdr_hub *hub, const char *kind, const char *json)
{
    pthread_mutex_lock(&hub->lock);
    hub_people(hub, kind, json);
    outbox_add(hub, -1, kind, json);
    pthread_mutex_unlock(&hub->lock);
}

/* Lock held. Who comes back with an id of before is told the same: none of those is in the ring any more. */
static void hub_reset(struct bdr_hub *hub)
{
    hub->next_id += HUB_RING + 1;
    for (struct hub_listener **at = &hub->first; *at;) {
        struct hub_listener *l = *at;

        if (l->machine_id ? bdr_events_alive(l->events) : listener_send(l, "reset", hub->next_id - 1, "{}")) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        listener_free(l);
    }
}

void bdr_hub_reset(struct bdr_hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub_reset(hub);
    pthread_mutex_unlock(&hub->lock);
}

void bdr_hub_heard(struct bdr_hub *hub, const char *text)
{
    char line[OUTBOX_LINE + 1], kind[32];

    pthread_mutex_lock(&hub->lock);
    for (size_t len; *text; text += len + (text[len] == '\n')) {
        long long machine_id;
        int at = 0;

        len = strcspn(text, "\n");
        snprintf(line, sizeof(line), "%.*s", (int)BDR_MIN(len, sizeof(line) - 1), text);
        if (sscanf(line, "%lld %31s %n", &machine_id, kind, &at) != 2 || !at || line[at] != '{')
            continue; /* of a newer console */
        if (machine_id >= 0)
            hub_send(hub, machine_id, kind, 0, line + at);
        else if (!strcmp(kind, "reset"))
            hub_reset(hub);
        else
            hub_people(hub, kind, line + at);
    }
    pthread_mutex_unlock(&hub->lock);
}

void bdr_hub_tell_machine(struct bdr_hub *hub, int64_t machine_id, const char *kind, const char *json)
{
    pthread_mutex_lock(&hub->lock);
    hub_send(hub, machine_id, kind, 0, json ? json : "{}");
    outbox_add(hub, machine_id, kind, json ? json : "{}");
    pthread_mutex_unlock(&hub->lock);
}

struct bdr_err *bdr_hub_keys(struct bdr_hub *hub, struct bdr_hub_key **out, size_t *out_n)
{
    struct bdr_hub_key *keys;
    size_t n = 0, room = 1;

    pthread_mutex_lock(&hub->lock);
    for (const struct hub_listener *l = hub->first; l; l = l->next)
        room += !l->machine_id;
    keys = calloc(room, sizeof(*keys));
    for (const struct hub_listener *l = hub->first; keys && l; l = l->next)
        if (!l->machine_id)
            keys[n++] = l->key;
    pthread_mutex_unlock(&hub->lock);
    BDR_NOMEM_IF_NULL(keys);
    *out = keys;
    *out_n = n;
    return NULL;
}

size_t bdr_hub_end(struct bdr_hub *hub, const struct bdr_hub_key *key)
{
    struct hub_listener **at;
    size_t n = 0;

    pthread_mutex_lock(&hub->lock);
    for (at = &hub->first; *at;) {
        struct hub_listener *l = *at;

        if (l->machine_id || memcmp(&l->key, key, sizeof(*key)) != 0) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        listener_free(l);
        n++;
    }
    pthread_mutex_unlock(&hub->lock);
    return n;
}

struct bdr_hub_counts bdr_hub_counts(struct bdr_hub *hub)
{
    struct bdr_hub_counts n = {0};

    pthread_mutex_lock(&hub->lock);
    for (const struct hub_listener *l = hub->first; l; l = l->next)
        (*(l->machine_id ? &n.machines : &n.people))++;
    pthread_mutex_unlock(&hub->lock);
    return n;
}
