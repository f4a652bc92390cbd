/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_reader.c - a reader of partition tables that a table has taken over. What it does is told by the disk's first
 * byte: c crashes, h hangs, e ends at once, s stays silent but floods its standard error, b asks beyond the disk, a
 * asks for ever, l lies about partitions, t talks too much, n sends nonsense, w waits with the last word, r refuses to
 * read answers and i (told to the test by its exit) looks for what it must not have.
 */
#include "parts_wire.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

static uint8_t answer[PARTS_READ_BYTES];

static void ask(uint64_t off, uint32_t len)
{
    uint8_t q[PARTS_ASK_BYTES] = {'R'};

    parts_put(q + 1, off, 8);
    parts_put(q + 9, len, 4);
    if (send(3, q, sizeof(q), MSG_NOSIGNAL) < 0)
        exit(9);
}

static void part(uint32_t number, uint64_t off, uint64_t len, const char *name)
{
    uint8_t row[PARTS_ROW_BYTES];

    memset(row, 0xff, sizeof(row)); /* texts without an end */
    row[0] = 'P';
    parts_put(row + 1, number, 4);
    parts_put(row + 5, off, 8);
    parts_put(row + 13, len, 8);
    memcpy(row + 21 + PARTS_TYPE + PARTS_UUID, name, strlen(name));
    if (send(3, row, sizeof(row), MSG_NOSIGNAL) < 0)
        exit(9);
}

int main(void)
{
    uint8_t hello[PARTS_HELLO_BYTES];

    if (recv(3, hello, sizeof(hello), 0) != (ssize_t)sizeof(hello))
        return 2;
    ask(0, 512);
    if (recv(3, answer, sizeof(answer), 0) != 512)
        return 2;
    switch (answer[0]) {
    case 'c':
        raise(SIGSEGV);
        break;
    case 'h':
        signal(SIGTERM, SIG_IGN);
        part(1, 4096, 8192, "early");
        for (;;) /* also when nobody listens */
            if (write(2, answer, 512) < 0)
                usleep(100);
    case 'b':
        ask(parts_get(hello, 8) - 100, 512);
        break;
    case 'a':
        for (;;) {
            ask(0, PARTS_READ_BYTES);
            if (recv(3, answer, sizeof(answer), 0) <= 0)
                return 0;
        }
    case 'l':
        part(1, 1 << 20, UINT64_MAX, "too long");
        part(0, 0, 512, "no number");
        part(2, UINT64_MAX - 5, 512, "beyond");
        part(3, 0, 0, "empty");
        part(4, 4096, 8192, "a\nb\x1b[2J");
        send(3, "E", 1, MSG_NOSIGNAL);
        return 0;
    case 't':
        for (uint32_t i = 1;; i++)
            part(i % 60000 + 1, 0, 512, "one more");
    case 'n':
        send(3, answer, 300, MSG_NOSIGNAL);
        break;
    case 'r':
        for (;;)
            ask(0, PARTS_READ_BYTES);
    case 'i': /* descriptors, environment: 0, 1, 2 and the socket is all */
        for (int fd = 4; fd < 1024; fd++)
            if (fcntl(fd, F_GETFD) >= 0)
                return 77;
        for (char **e = environ; *e; e++)
            if (strncmp(*e, "LISTEN_", 7) != 0)
                return 78;
        part(1, 4096, 8192, "all is well");
        send(3, "E", 1, MSG_NOSIGNAL);
        return 0;
    default:
        return 0;
    }
    return 0;
}
