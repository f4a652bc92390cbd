/* SPDX-License-Identifier: Apache-2.0 */
/* syslog.c - a message as lines of RFC 5424, by UDP (RFC 5426) or TCP with octet counts (RFC 6587 3.4.1). */
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "watch/address.h"
#include "watch/notify.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define LINE_MAX_BYTES 2048 /* what every receiver takes (RFC 5424 6.1) */
#define FACILITY       16   /* local0 */
#define POLL_MS        100

/* Waits until the socket may be written to. */
static struct bdr_err *syslog_wait(int fd, uint64_t until_ms, const struct bdr_cancel *cancel)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int n = 0;

    while (!n) {
        BDR_TRY(bdr_cancel_check(cancel));
        if (bdr_clock_mono_ms() > until_ms)
            BDR_FAIL(BDR_TIMEOUT, 0, "it does not take what is sent");
        n = poll(&p, 1, POLL_MS);
        if (n < 0 && errno != EINTR)
            BDR_FAIL_ERRNO("waiting");
    }
    return NULL;
}

static struct bdr_err *syslog_connect(const struct addrinfo *ai, uint64_t until_ms, const struct bdr_cancel *cancel,
                                      int *out)
{
    BDR_AUTO(fd) int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
    int fault = 0;
    socklen_t len = sizeof(fault);

    if (fd < 0)
        BDR_FAIL_ERRNO("making a socket");
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) != 0 && errno != EINPROGRESS)
        BDR_FAIL(BDR_NET, errno, "connecting: %s", strerror(errno));
    BDR_TRY(syslog_wait(fd, until_ms, cancel));
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &len) != 0 || fault)
        BDR_FAIL(BDR_NET, fault, "connecting: %s", strerror(fault));
    *out = bdr_fd_steal(&fd);
    return NULL;
}

static struct bdr_err *syslog_write(int fd, const uint8_t *at, size_t len, uint64_t until_ms,
                                    const struct bdr_cancel *cancel)
{
    while (len) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            BDR_TRY(syslog_wait(fd, until_ms, cancel));
            continue;
        }
        if (n < 0)
            BDR_FAIL(BDR_NET, errno, "sending: %s", strerror(errno));
        at += n;
        len -= (size_t)n;
    }
    return NULL;
}

static void syslog_line(struct bdr_buf *out, const struct bdr_message *m, size_t i)
{
    static const int severity[] = {6, 4, 2}; /* informational, warning, critical */
    char time[32], host[256] = "-";

    bdr_err_drop(bdr_os_hostname(host, sizeof(host)), "a line without it says as much");
    bdr_buf_printf(out, "<%d>1 %s %s bdr-console - alarm - \xef\xbb\xbf%s", FACILITY * 8 + severity[m->severity[i]],
                   bdr_rfc3339_text(m->at_ms, time), host, m->lines[i]);
    if (out->len > LINE_MAX_BYTES)
        out->len = LINE_MAX_BYTES;
    while (out->len && (out->data[out->len - 1] & 0xc0) == 0x80 && out->len == LINE_MAX_BYTES)
        out->len--; /* not within a character */
}

static struct bdr_err *syslog_lines(int fd, bool tcp, const struct bdr_message *m, uint64_t until_ms,
                                    const struct bdr_cancel *cancel)
{
    for (size_t i = 0; i < m->n; i++) {
        BDR_AUTO(buf) struct bdr_buf line = {0};
        char count[24];

        syslog_line(&line, m, i);
        BDR_TRY(bdr_buf_check(&line));
        snprintf(count, sizeof(count), "%zu ", line.len);
        if (tcp)
            BDR_TRY(syslog_write(fd, (const uint8_t *)count, strlen(count), until_ms, cancel));
        BDR_TRY(syslog_write(fd, line.data, line.len, until_ms, cancel));
    }
    return NULL;
}

struct bdr_err *bdr_syslog_send(const struct bdr_channel *ch, const struct bdr_message *m,
                                const struct bdr_cancel *cancel)
{
    bool tcp = ch->params.transport == BDR_SYSLOG_TCP;
    const struct addrinfo want = {.ai_socktype = tcp ? SOCK_STREAM : SOCK_DGRAM};
    uint64_t until = bdr_clock_mono_ms() + ch->deadline_ms;
    struct addrinfo *list = NULL;
    struct bdr_err *err = NULL;
    BDR_AUTO(fd) int fd = -1;
    char port[8];
    int rc;

    snprintf(port, sizeof(port), "%u", ch->params.port);
    rc = getaddrinfo(ch->params.host, port, &want, &list);
    if (rc)
        BDR_FAIL(BDR_NET, 0, "the name %s: %s", ch->params.host, gai_strerror(rc));
    for (const struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next) {
        const char *why = bdr_address_refused(ai->ai_addr, ch->params.host);

        bdr_err_drop(err, "the next address may answer");
        err =
            why ? bdr_err_new(BDR_DENIED, 0, BDR_AT, "the address is %s; the console does not send anything there", why)
                : syslog_connect(ai, until, cancel, &fd);
    }
    freeaddrinfo(list);
    BDR_TRY_FOR(err, "%s:%s", ch->params.host, port);
    BDR_TRY_FOR(syslog_lines(fd, tcp, m, until, cancel), "%s:%s", ch->params.host, port);
    return NULL;
}
