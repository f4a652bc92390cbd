/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server.h - listeners, connections and their limits; requests are handed to an app (route.h makes one).
 *
 * A few event loops (libmicrohttpd, epoll) own the sockets; handlers run on worker threads. A request that waits for a
 * worker, for its body, or for an event costs no thread.
 * Lifecycle: start -> (reload | cut)* -> stop.
 * Depends on: base, os, libmicrohttpd, GnuTLS, OpenSSL.      Threads: all calls from any; stop once.
 * Source:  docs/wire.md#server
 */
#pragma once
#include "bdr/req.h"

struct bdr_http_server;

enum bdr_tls_mode {
    BDR_TLS_NONE,
    BDR_TLS_SERVER,   /* the client needs no certificate and is not asked for one */
    BDR_TLS_OPTIONAL, /* one that is given must be right */
    BDR_TLS_REQUIRED, /* no certificate of our CA, no handshake */
};
struct bdr_http_listener {
    const char *address; /* IP address; NULL: 127.0.0.1 */
    uint16_t port;       /* 0: any free one, see bdr_http_port */
    enum bdr_tls_mode tls;
    const char *cert_file, *key_file; /* TLS; read again by reload. The key must be 0600. */
    const char *ca_file;              /* OPTIONAL, REQUIRED: who may be a client */
};

/* 0 takes the default in brackets. */
struct bdr_http_limits {
    /*
     * Of one listener, and of one address there (a site's hosts may stand behind one). Past either those make room that
     * we wait for and that have not said who they are, then idle ones: of the addresses with the most, the oldest first.
     * Fewer when this process may not open so many files: some are for its work.
     */
    unsigned connections;        /* [20000] */
    unsigned connections_per_ip; /* [1000] */
    unsigned header_bytes;       /* [32768] request line and headers; more is 431 or 414 */
    uint64_t buffered_bytes;     /* [1 MiB] of a body, when the route names no limit */
    uint64_t bodies_bytes; /* [64 MiB] of all bodies that are kept at once, a quarter of it for strangers; then 503 */
    unsigned header_ms;    /* [10000] from the connection, or from a request's first line, to the end of its headers */
    unsigned stall_ms;     /* [30000] for each 64 KiB of a body or answer to make it through */
    unsigned idle_ms;      /* [75000] a kept-alive connection may wait for its next request */
    unsigned loops;        /* [2] event loops of a listener */
    unsigned workers;      /* [8] threads for handlers */
    unsigned stream_workers; /* [32] threads for handlers that read or write streams; a client has 3/4 at most */
    unsigned stream_queue;   /* [64] of those may wait for a thread; more get 503 */
};

/* How a request's body is taken; filled by the app as soon as the headers are there. */
struct bdr_http_plan {
    enum { BDR_BODY_NONE, BDR_BODY_BUFFERED, BDR_BODY_STREAMED } body;
    uint64_t max_bytes; /* 0: limits.buffered_bytes; streams: no limit */
    bool stream;        /* a stream worker runs it, although its body is none */
    bool stranger;      /* its sender need not say who it is: its body has to share room with others like it */
    bool at_once;       /* never blocks: run it on the event loop */
};
/* The one thing that gets requests. */
struct bdr_http_app {
    /* On the event loop: must not block. May answer (an error) at once. */
    void (*begin)(void *ctx, struct bdr_req *req, struct bdr_http_plan *plan);
    /* On a worker, before the body is read: may answer (an error); else the request goes on. */
    void (*admit)(void *ctx, struct bdr_req *req);
    /* On a worker, with the body: answers. */
    void (*run)(void *ctx, struct bdr_req *req);
    /* Without a thread of its own: an error of the server's (413, 408, 503, ...) in the app's form. */
    void (*refuse)(void *ctx, struct bdr_req *req, unsigned status, enum bdr_code code, const char *text);
};
struct bdr_http_config {
    const struct bdr_http_listener *listeners; /* copied, texts too */
    size_t n_listeners;
    struct bdr_http_limits limits;
    const struct bdr_http_app *app;
    void *app_ctx;
    /* Is this certificate no longer to be believed? Asked at each request, which gets a 401; must not block. */
    bool (*revoked)(void *ctx, const struct bdr_cert_info *peer);
    void *revoked_ctx;
};

/* Errors:  INVAL configuration; what reading keys gives; BUSY the address is in use; DENIED a port below 1024. */
bdr_ret bdr_http_start(const struct bdr_http_config *config, struct bdr_http_server **out);
/* The port that listener `i` really has. */
uint16_t bdr_http_port(const struct bdr_http_server *s, size_t i);
/* Reads certificates, keys and CAs again; connections that stand keep theirs. On failure the old ones stay. */
bdr_ret bdr_http_reload(struct bdr_http_server *s);
/* Breaks the connections whose peer `match` likes: after a revocation. Returns how many. */
size_t bdr_http_cut(struct bdr_http_server *s, bool (*match)(void *ctx, const struct bdr_cert_info *peer), void *ctx);
/*
 * Takes no more connections, ends idle ones and event streams, lets running requests finish for `grace_ms`, then
 * cancels them and waits for their handlers. Frees. NULL is fine.
 */
void bdr_http_stop(struct bdr_http_server *s, uint64_t grace_ms);

struct bdr_http_stats {
    uint64_t connections, requests_running, event_streams; /* now */
    uint64_t connections_total, requests_total, refused_peers;
    uint64_t cut_slow;    /* in the middle of a request */
    uint64_t cut_silent;  /* before the first one, handshakes too */
    uint64_t cut_crowded; /* to make room */
    uint64_t cut_greedy;  /* slow transfers of whoever had most of the stream_workers, when others waited */
};
void bdr_http_stats(struct bdr_http_server *s, struct bdr_http_stats *out);
