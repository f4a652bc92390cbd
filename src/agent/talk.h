/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk.h - what the two processes of the agent say to each other.
 *
 * The reader has the rights of root and neither a network nor a key; the speaker has the network and the machine's key
 * and no rights. The speaker asks, the reader answers and believes nothing: each number is checked, each disk must be
 * one of the inventory. They share socket pairs (lanes: one question each at a time) and a piece of memory a lane that
 * blocks are read into. Both are one program, so a message is a struct.
 * Depends on: base, source.
 */
#pragma once
#include "bdr/bytes.h"
#include "bdr/cancel.h"
#include "bdr/live.h"
#include "bdr/pool.h"
#include "bdr/source.h"

#define TALK_LANES         8u
#define TALK_SLOT_BYTES    (1u << 20) /* as much as the copy engine reads at once */
#define TALK_BODY_MAX      49152u
#define TALK_DISKS_MAX     256u
#define TALK_INVENTORY_MAX (8u << 20)

enum talk_op {
    TALK_INVENTORY = 1, /* -> JSON in pieces */
    TALK_BEGIN,         /* JSON {"disks":[refs],"freeze_ms":N} -> struct bdr_source_info each, in pieces */
    TALK_EXTENTS,       /* disk, flag (of), a off, b len -> pieces of struct bdr_extent */
    TALK_READ,          /* disk, a off, b len -> the lane's memory */
    TALK_TOKEN,         /* disk -> text; flag 0: none */
    TALK_SINCE,         /* disk, text */
    TALK_TOUCHED,       /* disk, a off, b len -> flag */
    TALK_CHECK,
    TALK_COMMITTED,
    TALK_NEXT,   /* -> flag: the step */
    TALK_REPORT, /* -> struct bdr_moment_report */
    TALK_END,    /* closes the disks */
    TALK_CANCEL, /* what runs is to stop soon */
    TALK_ALIVE,  /* the watchdog's food */
};
struct talk_head {
    uint32_t op;   /* a question; 0 in an answer */
    uint32_t code; /* of an answer: enum bdr_code, with its text as body */
    uint32_t disk, flag;
    uint32_t more; /* another piece follows */
    uint32_t len;  /* of the body behind */
    uint64_t a, b;
};
struct talk_msg {
    struct talk_head head;
    uint8_t body[TALK_BODY_MAX];
};

/* Errors:  NET the other process is gone. */
bdr_ret talk_send(int fd, const struct talk_head *head, const void *body);
/* *out_closed: the other side ended. INVAL: what came is no message. */
bdr_ret talk_recv(int fd, struct talk_msg *out, bool *out_closed);

/* ---- the speaker's side: remote.c ---- */
struct remote;
/* `slots` is TALK_LANES pieces of shared memory; lanes[] are its ends of the socket pairs (consumed). */
bdr_ret remote_new(const int lanes[TALK_LANES], uint8_t *slots, struct remote **out);
void remote_free(struct remote *r);
bdr_ret remote_inventory(struct remote *r, char **out);
void remote_alive(struct remote *r);
/*
 * Opens the disks at the reader as sources with one moment. One session at a time: BUSY.
 * Lifecycle: begin -> use the sources and the moment -> close the sources, the moment -> remote_end.
 */
struct remote_session {
    struct remote *r;
    struct bdr_moment *moment;
    struct bdr_source *src[TALK_DISKS_MAX];
    size_t n;
};
bdr_ret remote_begin(struct remote *r, const char *const *refs, size_t n, const struct bdr_cancel *cancel,
                     struct remote_session *out);
void remote_end(struct remote_session *s);

/* ---- the reader's side: reader.c ---- */
struct reader_config {
    const char *disks;   /* NULL: this machine's; else devices with commas, those alone */
    const char *scripts; /* folder; NULL: none */
};
struct reader;
bdr_ret reader_new(const struct reader_config *cfg, uint8_t *slots, struct reader **out);
/* Answers the lanes on threads of its own until they are closed. */
bdr_ret reader_serve(struct reader *r, const int lanes[TALK_LANES], struct bdr_pool **out);
/* What runs is cancelled; to be called when the speaker is gone, before the pool is joined. */
void reader_stop(struct reader *r);
/* Closes what the speaker left open. After the pool was joined. */
void reader_reset(struct reader *r);
void reader_free(struct reader *r);

/* ---- inventory.c ---- */
/* This machine as JSON of bdr_inventory_shape; caller frees. `disks` as in struct reader_config. */
bdr_ret agent_inventory(const char *disks, char **out);
/* Is `ref` one that the inventory tells now? */
bdr_ret agent_inventory_has(const char *disks, const char *ref);
