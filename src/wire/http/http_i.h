/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_i.h - inside of the server: connections, requests, answers, and how they lock each other.
 *
 * Locks in the order they are taken: req.lock, then libmicrohttpd's own (suspend, resume); server.lock alone guards the
 * list of connections and may be followed by req.lock of one of them. Nothing is called back under a lock.
 *
 * A request is owned by references: the connection's (until libmicrohttpd says it is completed), a worker's, the
 * answer's and the event stream's. Only the event loop touches `mhd`, except bdr_mhd resume under req.lock while
 * `suspended` is true: a suspended connection cannot go away.
 */
#pragma once
#include "bdr/http_server.h"
#include <gnutls/gnutls.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#define RING_BYTES      (256u * 1024) /* of a streamed body or answer, each way */
#define STALL_BYTES     65536u        /* progress that buys another limits.stall_ms */
#define EVENTS_MAX      (256u * 1024) /* queued for a client that does not read */
#define EVENTS_ALIVE_MS 15000u
#define DRAIN_SMALL     (256u * 1024)       /* of a refused body: read it, keep the connection */
#define DRAIN_MAX       (64u * 1024 * 1024) /* of a body whose handler answered early: its answer should arrive */
#define WATCH_TICK_MS   250u
#define CROWD_TELL_MS   10000u /* a flood is said once in a while */
#define GREEDY_LOOK     256u   /* of somebody's transfers */
#define CROWD_BUCKETS   16384u /* addresses are counted in; two in one share a count */

/* Certificate and CAs of one listener at one time; kept until the last connection made with it closes. */
struct http_tls {
    atomic_uint refs;
    gnutls_certificate_credentials_t cred; /* owned */
    struct bdr_trust *trust;               /* owned; NULL without client certificates */
};
bdr_ret http_tls_load(const struct bdr_http_listener *l, struct http_tls **out);
void http_tls_unref(struct http_tls *tls);
/* Sets up a fresh session: certificate, whether to ask for the client's, how to check it. False: break it off. */
struct http_conn;
bool http_tls_session(struct http_conn *c, gnutls_session_t session);
/* Counts and logs a peer whose certificate did not do. */
void http_peer_refused(struct http_conn *c, const char *why, const char *serial);

struct http_listener {
    struct bdr_http_server *server;
    struct bdr_http_listener config; /* texts owned */
    size_t index;
    uint16_t port;
    struct MHD_Daemon *daemon;
    size_t n_conns;           /* guarded by server.lock: those that were not cut */
    pthread_mutex_t lock;     /* guards tls */
    struct http_tls *tls;     /* one reference */
    char *key_pem, *cert_pem; /* owned; what libmicrohttpd was started with */
};

enum conn_state { CONN_IDLE, CONN_HEADERS, CONN_REQUEST };
struct http_conn {
    struct http_conn *next, *prev; /* guarded by server.lock */
    struct http_listener *listener;
    struct MHD_Connection *mhd;
    struct http_tls *tls; /* one reference; NULL: plain */
    int fd;
    char remote[64];
    atomic_bool has_peer;
    atomic_bool known;            /* it has said who it is: by certificate, token or session */
    atomic_bool asked;            /* one whole request */
    bool counted;                 /* guarded by server.lock: in the listener's and its bucket's count */
    unsigned bucket;              /* of its listener and address */
    struct bdr_cert_info peer;    /* written in the handshake, constant after */
    _Atomic uint64_t deadline_ms; /* 0: none; past it, the connection is cut */
    atomic_bool sending;          /* an answer that is there as a whole: its deadline moves on as it arrives */
    uint64_t acked;               /* of it, when the deadline was set; the watch's once `sending` is set */
    atomic_int state;
    bool bad_line, late; /* the loop's; late: it came while the server stops */
    struct bdr_req *req; /* guarded by server.lock; the running one */
};

struct http_ring {
    uint8_t *data; /* owned; NULL until needed */
    size_t cap, head, len;
    bool eof;
};

struct http_header {
    struct http_header *next;
    const char *name, *value; /* in the arena */
};
enum answer_kind { ANSWER_NONE, ANSWER_DATA, ANSWER_FILE, ANSWER_STREAM, ANSWER_EVENTS };
struct http_answer {
    enum answer_kind kind;
    unsigned status;
    struct http_header *headers;
    const void *data; /* DATA: in the arena */
    size_t len;
    int fd; /* FILE: owned until queued */
    uint64_t file_off, file_len;
    uint64_t stream_len; /* STREAM */
};

enum req_stage { STAGE_HEADERS, STAGE_ADMIT, STAGE_BODY, STAGE_RUN, STAGE_ANSWER };
struct bdr_req {
    atomic_uint refs;
    struct bdr_http_server *server;
    struct http_conn *conn; /* valid until `gone` */
    size_t listener;
    struct MHD_Connection *mhd;
    struct bdr_req *next_job;
    uint32_t client;    /* set when it is given to the workers; of its machine or address */
    uint64_t queued_ms; /* the same; monotonic */
    struct bdr_arena *arena; /* owned */
    struct bdr_cancel cancel;
    struct bdr_http_plan plan;

    /* constant after the headers */
    char id[40], remote[64];
    const char *method, *path;
    struct bdr_pair *query, *headers;
    size_t n_query, n_headers;
    uint64_t body_len;
    bool has_body, tls, has_peer;
    struct bdr_cert_info peer;
    uint64_t begun_ns;

    /* the handler's */
    const char *who_name; /* written under lock: the log reads it */
    void *who;
    void *app_data;      /* the app's */
    const char *refusal; /* public text of a bdr_req_refuse */
    struct bdr_faults *faults;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum req_stage stage;
    bool suspended, gone, aborted, at_headers, want_body, admitted, must_close, events_open;
    bool over;     /* the body was larger than allowed */
    bool unframed; /* where the body ends is not sure: none of it is read */
    uint64_t body_seen, drained, answered_bytes, stall_mark;
    struct bdr_buf body; /* BUFFERED */
    uint64_t body_held;  /* of it in server.bodies */
    struct http_ring in, out;
    struct http_answer answer;
    struct bdr_buf events;
    uint64_t events_last_ms;
};

struct http_work;
struct bdr_http_server {
    struct bdr_http_limits limits;
    const struct bdr_http_app *app;
    void *app_ctx;
    bool (*revoked)(void *ctx, const struct bdr_cert_info *peer);
    void *revoked_ctx;
    size_t n_listeners;
    struct http_work *work, *stream_work; /* owned */
    struct bdr_pool *watch_pool;          /* owned */
    struct bdr_cancel watch_stop;
    atomic_bool stopping, ending;     /* graceful; no more at all */
    pthread_mutex_t lock;             /* guards conns, each conn's req, n_conns */
    pthread_cond_t quiet;             /* a request ended */
    struct http_conn *conns, *oldest; /* the newest first */
    uint64_t n_conns;
    uint64_t crowd_told, crowd_told_ms; /* the watch's */
    unsigned crowd[CROWD_BUCKETS];      /* guarded by lock: connections by address */
    atomic_uint_fast64_t running, events, conns_total, requests_total, bodies, bodies_strange, cut_slow, cut_silent,
        cut_crowded, cut_greedy, refused_peers;
    struct http_listener listeners[];
};

/* conn.c */
void http_conn_notify(void *cls, struct MHD_Connection *mhd, void **ctx, enum MHD_ConnectionNotificationCode code);
void *http_conn_line(void *cls, const char *uri, struct MHD_Connection *mhd);
/* Breaks the connection; its loop notices. Under server.lock. */
void http_conn_cut(struct http_conn *c);
void http_deadline(struct http_conn *c, uint64_t ms_from_now);
/* An answer that is there as a whole begins: stall_ms for each STALL_BYTES that arrive. */
void http_deadline_answer(struct http_conn *c);
struct bdr_err *http_watch(void *ctx, unsigned index);

/* crowd.c: all under server.lock */
void http_crowd_add(struct http_conn *c);
void http_crowd_remove(struct http_conn *c);
/* This one has just come: makes room where a limit is passed. */
void http_crowd_thin(struct http_conn *fresh);

/* loop.c: what libmicrohttpd calls */
enum MHD_Result http_access(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                            const char *version, const char *data, size_t *size, void **ctx);
void http_completed(void *cls, struct MHD_Connection *mhd, void **ctx, enum MHD_RequestTerminationCode why);

/* request.c */
bdr_ret http_req_new(struct http_conn *c, const char *url, const char *method, struct bdr_req **out);
void http_req_ref(struct bdr_req *req);
/* Room for `n` more bytes of a buffered body; false when the bodies of all have no more. Under req.lock. */
bool http_req_hold(struct bdr_req *req, size_t n);
/* Gives back its share of server.bodies; the loop's. */
void http_req_room_give(struct bdr_req *req);
/* Nobody will read its body: forgets it. Under req.lock. */
void http_req_body_drop(struct bdr_req *req);
void http_req_unref(struct bdr_req *req);
/* Lets the loop look at the request again. Under req.lock. */
void http_req_wake(struct bdr_req *req);
/* Ends all waiting; the connection breaks when the loop next looks. */
void http_req_abort(struct bdr_req *req);
/* What a worker does with a request. */
void http_req_work(struct bdr_req *req);

/* answer.c: under req.lock, on the loop */
enum MHD_Result http_answer_queue(struct bdr_req *req);
/* The answer is there: under req.lock, any thread. */
void http_answer_ready(struct bdr_req *req);
/* Was this header of the answer set already? Its lock is not needed: handlers answer once. */
bool http_has_header(const struct bdr_req *req, const char *name);
/* events.c */
ssize_t http_events_read(void *cls, uint64_t pos, char *buf, size_t max);
/* Keeps it alive; any thread. */
void http_events_tick(struct bdr_req *req, uint64_t now_ms);
/* stream.c */
ssize_t http_stream_read(void *cls, uint64_t pos, char *buf, size_t max);
bool http_ring_open(struct http_ring *r);
size_t http_ring_put(struct http_ring *r, const void *data, size_t len);
size_t http_ring_take(struct http_ring *r, void *buf, size_t cap);
void http_ring_free(struct http_ring *r);

/* work.c */
/* `shared`: no client may have all threads, for handlers that wait for their clients. */
bdr_ret http_work_start(const char *name, unsigned threads, unsigned max_waiting, bool shared,
                        void (*run)(struct bdr_req *req), struct http_work **out);
/* False when too many wait. Takes a reference of its own. */
bool http_work_push(struct http_work *w, struct bdr_req *req);
/* Others wait in vain: requests that have had their turn of the client that runs most, at most `cap`. The caller unrefs. */
size_t http_work_greedy(struct http_work *w, uint64_t now_ms, struct bdr_req **out, size_t cap);
void http_work_stop(struct http_work *w);
