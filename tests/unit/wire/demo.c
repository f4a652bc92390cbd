/* SPDX-License-Identifier: Apache-2.0 */
#include "demo.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        struct bdr_err *ok_ = (call);                                                                                  \
        char ok_text_[512];                                                                                            \
        if (ok_) {                                                                                                     \
            fprintf(stderr, "%s: %s\n", #call, bdr_err_text(ok_, ok_text_, sizeof(ok_text_)));                         \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- life ---- */

void demo_path(const struct demo *d, const char *name, char out[160])
{
    snprintf(out, 160, "%s/%s", d->folder, name);
}

struct demo *demo_new(void)
{
    const char *names[] = {"localhost", "127.0.0.1"};
    const struct bdr_server_spec spec = {.names = names, .n = 2};
    struct demo *d = calloc(1, sizeof(*d));
    char a[160], b[160];
    bool renewed;

    BDR_ASSERT(d);
    demo_of_app = d;
    pthread_mutex_init(&d->lock, NULL);
    snprintf(d->folder, sizeof(d->folder), "/tmp/bdr-wire-XXXXXX");
    BDR_ASSERT(mkdtemp(d->folder));
    OK(bdr_arena_new(&d->arena));
    OK(bdr_ca_new("Demo CA", 0, &d->ca));
    demo_path(d, "ca.key", a);
    demo_path(d, "ca.crt", b);
    OK(bdr_ca_save(d->ca, a, b));
    demo_path(d, "server.key", a);
    demo_path(d, "server.crt", b);
    OK(bdr_ca_ensure_server(d->ca, &spec, a, b, &renewed));
    OK(demo_router(&d->router));
    return d;
}

void demo_serve(struct demo *d, const struct bdr_http_limits *limits, uint16_t base_port)
{
    char ca[160], key[160], crt[160];
    struct bdr_http_listener listeners[DEMO_LISTENERS];
    struct bdr_http_config config = {
        .listeners = listeners,
        .n_listeners = DEMO_LISTENERS,
        .app = &bdr_router_app,
        .app_ctx = d->router,
        .revoked = demo_is_revoked,
        .revoked_ctx = d,
    };

    demo_path(d, "ca.crt", ca);
    demo_path(d, "server.key", key);
    demo_path(d, "server.crt", crt);
    for (int i = 0; i < DEMO_LISTENERS; i++)
        listeners[i] = (struct bdr_http_listener){
            .port = base_port ? (uint16_t)(base_port + i) : 0,
            .tls = (enum bdr_tls_mode)i,
            .cert_file = crt,
            .key_file = key,
            .ca_file = ca,
        };
    if (limits)
        config.limits = *limits;
    OK(bdr_http_start(&config, &d->server));
}

struct demo *demo_start(const struct bdr_http_limits *limits, uint16_t base_port)
{
    struct demo *d = demo_new();

    demo_serve(d, limits, base_port);
    return d;
}

void demo_stop(struct demo *d, uint64_t grace_ms)
{
    bdr_http_stop(d->server, grace_ms);
    d->server = NULL;
}

void demo_free(struct demo *d)
{
    demo_stop(d, 1000);
    for (size_t i = 0; i < d->n_streams; i++)
        bdr_events_close(d->streams[i]);
    free(d->streams);
    bdr_router_free(d->router);
    bdr_ca_free(d->ca);
    bdr_arena_free(d->arena);
    OK(bdr_os_remove_tree(d->folder));
    pthread_mutex_destroy(&d->lock);
    free(d);
    demo_of_app = NULL;
}

void demo_machine(struct demo *d, const struct bdr_ca *other, const char *id, const char *role, uint64_t ago_ms,
                  uint64_t life_ms)
{
    const struct bdr_machine_spec spec = {
        .machine = id, .role = role, .lifetime_ms = life_ms, .now_ms = bdr_clock_wall_ms() - (int64_t)ago_ms};
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    BDR_AUTO(mem) char *pem = NULL;
    char name[80], path[160];

    OK(bdr_key_new(&key));
    snprintf(name, sizeof(name), "%s.key", id);
    demo_path(d, name, path);
    OK(bdr_key_save(key, path));
    OK(bdr_key_csr(key, id, &csr));
    OK(bdr_ca_issue_machine(other ? other : d->ca, csr, strlen(csr), &spec, &pem, NULL));
    snprintf(name, sizeof(name), "%s.crt", id);
    demo_path(d, name, path);
    OK(bdr_os_replace_file(path, pem, strlen(pem), 0644, false));
}

struct bdr_http_client *demo_client(struct demo *d, int listener, const char *machine)
{
    char base[64], ca[160], key[160], crt[160], name[80];
    struct bdr_http_client_config config = {.base = base, .bearer = machine ? NULL : "admin"};
    struct bdr_http_client *c = NULL;

    snprintf(base, sizeof(base), "%s://127.0.0.1:%u", listener == DEMO_PLAIN ? "http" : "https",
             bdr_http_port(d->server, (size_t)listener));
    demo_path(d, "ca.crt", ca);
    if (listener != DEMO_PLAIN)
        config.ca_file = ca;
    if (machine) {
        snprintf(name, sizeof(name), "%s.key", machine);
        demo_path(d, name, key);
        snprintf(name, sizeof(name), "%s.crt", machine);
        demo_path(d, name, crt);
        config.key_file = key;
        config.cert_file = crt;
    }
    OK(bdr_http_client_new(&config, &c));
    return c;
}

int demo_raw_from(struct demo *d, int listener, unsigned from, int receive, const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(bdr_http_port(d->server, (size_t)listener)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in me = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000u + from)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    BDR_ASSERT(fd >= 0 && !bind(fd, (const struct sockaddr *)&me, sizeof(me)));
    if (receive)
        BDR_ASSERT(!setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive)));
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) || send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int demo_raw(struct demo *d, int listener, const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(bdr_http_port(d->server, (size_t)listener)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ssize_t n;

    BDR_ASSERT(fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a)));
    n = send(fd, text, strlen(text), MSG_NOSIGNAL);
    (void)n; /* a server that hangs up early is part of some tests */
    return fd;
}
