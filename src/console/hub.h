/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hub.h - who listens to server-sent events, and telling them.
 *
 * People hear what changed ("job", "host", "alarm", ... with a small JSON); a machine hears what concerns it. Events
 * are hints: whoever missed one asks again. Nothing here waits for a slow listener: it is cut off and comes back.
 * Several consoles on one database relay what they tell (relay.h).
 * Threads: any.
 */
#pragma once
#include "bdr/req.h"

struct bdr_hub;
/* What a person's stream was opened with: no padding, compared as bytes. */
struct bdr_hub_key {
    uint8_t hash[32];     /* of the session or the API token */
    uint32_t token, role; /* an API token; the enum bdr_role of then */
};
bdr_ret bdr_hub_new(struct bdr_hub **out);
/* Closes all streams. NULL is fine. */
void bdr_hub_free(struct bdr_hub *hub);
/*
 * The request becomes a stream of events: a machine's (machine_id > 0), or a person's (0) of the kinds in `kinds`
 * (words with commas; NULL: all). With a Last-Event-ID that is still remembered, what was missed comes first; else
 * one event "reset". `key`: what a person came with, NULL for machines.
 */
bdr_ret bdr_hub_join(struct bdr_hub *hub, struct bdr_req *req, int64_t machine_id, const char *kinds,
                     const struct bdr_hub_key *key);
/* What each stream of people was opened with, no matter how often; the caller frees. */
bdr_ret bdr_hub_keys(struct bdr_hub *hub, struct bdr_hub_key **out, size_t *out_n);
/* Ends the streams that were opened with it. Returns how many. */
size_t bdr_hub_end(struct bdr_hub *hub, const struct bdr_hub_key *key);
/* Tells people. `json` is one object. */
void bdr_hub_tell(struct bdr_hub *hub, const char *kind, const char *json);
/* Tells one machine (0: all machines); `json` may be NULL: "{}". */
void bdr_hub_tell_machine(struct bdr_hub *hub, int64_t machine_id, const char *kind, const char *json);
/* Told by the other consoles, too: from now on what is told is kept for bdr_hub_outbox. */
void bdr_hub_relayed(struct bdr_hub *hub);
/* Takes what was told since, as much as fits: a text for bdr_hub_heard of another console. 0: nothing, text is "". */
size_t bdr_hub_outbox(struct bdr_hub *hub, char *text, size_t cap);
/* Tells those who listen here what was told there. */
void bdr_hub_heard(struct bdr_hub *hub, const char *text);
/* Nobody knows what was missed: people are told to load anew. */
void bdr_hub_reset(struct bdr_hub *hub);
struct bdr_hub_counts {
    size_t people, machines;
};
struct bdr_hub_counts bdr_hub_counts(struct bdr_hub *hub);
