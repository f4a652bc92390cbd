/* SPDX-License-Identifier: Apache-2.0 */
/* talk.c - messages between the two processes, whole or not at all. */
#include "talk.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct bdr_err *talk_send(int fd, const struct talk_head *head, const void *body)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)head, sizeof(*head)}, {(void *)(uintptr_t)body, head->len}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = head->len ? 2 : 1};
    ssize_t n;

    BDR_ASSERT(head->len <= TALK_BODY_MAX);
    do
        n = sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        BDR_FAIL(BDR_NET, errno, "talking to the agent's other process");
    return NULL;
}

struct bdr_err *talk_recv(int fd, struct talk_msg *out, bool *out_closed)
{
    ssize_t n;

    *out_closed = false;
    do
        n = recv(fd, out, sizeof(*out), 0);
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE))) {
        *out_closed = true;
        return NULL;
    }
    if (n < 0)
        BDR_FAIL(BDR_NET, errno, "listening to the agent's other process");
    if ((size_t)n < sizeof(out->head) || out->head.len != (size_t)n - sizeof(out->head))
        BDR_FAIL(BDR_INVAL, 0, "the agent's other process sent no message");
    return NULL;
}
