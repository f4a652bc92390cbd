/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_sink.h - a sink that is a gateway: blocks go over HTTPS to the program that owns the repository.
 *
 * Blocks are asked about in batches, what is missing is compressed and sent over several connections, map runs follow
 * in order. A connection that breaks, a gateway that starts again or is busy are waited for; memory is bounded.
 * Depends on: base, wire, repo (ids and codecs only).      Threads: as sink.h.
 * Source:  docs/formats/gateway-protocol.md
 */
#pragma once
#include "bdr/sink.h"

struct bdr_gateway_config {
    const char *url;     /* "https://gateway.example:443" */
    const char *ca_file; /* whom to trust */
    const char *cert_file, *key_file; /* who we are */
    const char *proxy;   /* NULL: none */
    uint64_t host;       /* the console's number of it */
    uint64_t fence;      /* of the job; larger than any before */
    unsigned connections;   /* 0: as many as the gateway lets us */
    uint64_t memory_bytes;  /* of blocks on their way; 0: 12 MiB. As much again holds them compressed */
    uint64_t patience_ms;   /* how long a gateway that does not answer is waited for; 0: 10 minutes */
    const atomic_uint_fast64_t *bandwidth_bps; /* bytes a second, may change at any time; NULL or 0: unlimited */
};
/* Nothing is connected yet. INVAL, NOTFOUND files; begin: AUTH, DENIED, FENCED, NET. What makes the same job worth
 * another try (the gateway has given the session up) is NET. */
bdr_ret bdr_sink_gateway(const struct bdr_gateway_config *config, struct bdr_sink **out);
/* The host's name in the repository, once begun; "" before. Borrowed. */
const char *bdr_sink_gateway_label(const struct bdr_sink *s);
