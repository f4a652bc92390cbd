/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest-records - writers whose work can be judged in a recovered copy.
 *
 *   guest-records append FILE ACKED [MS]   appends numbered, checksummed records of 4 KiB for ever, fdatasync after each,
 *                                     MS apart; the number of durable ones is kept in ACKED (on another disk)
 *   guest-records check FILE          prints how many whole records stand in a row from the start of FILE; exit 1 when
 *                                     a record that is neither whole nor empty is followed by a whole one
 *   guest-records scatter FILE SEED   rewrites random blocks of FILE for ever, 4 to 64 KiB, half of them past the page cache
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD 4096u
#define WORDS (RECORD / 8)

static uint64_t records_mix(uint64_t x) /* splitmix64 */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void records_fill(uint64_t *words, uint64_t number)
{
    words[0] = number + 1;
    for (size_t i = 1; i < WORDS; i++)
        words[i] = records_mix(number << 16 ^ i);
}

static int records_die(const char *what)
{
    fprintf(stderr, "guest-records: %s: %s\n", what, strerror(errno));
    return 2;
}

static int records_append(const char *path, const char *acked, unsigned ms)
{
    uint64_t words[WORDS], number = 0;
    int fd = open(path, O_RDWR | O_CREAT, 0644), ack = open(acked, O_RDWR | O_CREAT, 0644);
    if (fd < 0 || ack < 0)
        return records_die("open");
    while (pread(fd, words, RECORD, (off_t)(number * RECORD)) == (ssize_t)RECORD)
        number++;
    for (;; number++) {
        char text[32];
        records_fill(words, number);
        if (pwrite(fd, words, RECORD, (off_t)(number * RECORD)) != (ssize_t)RECORD || fdatasync(fd))
            return records_die(path);
        int n = snprintf(text, sizeof(text), "%020" PRIu64 "\n", number + 1);
        if (pwrite(ack, text, (size_t)n, 0) != n)
            return records_die(acked);
        if (ms)
            usleep(ms * 1000);
    }
}

static int records_check(const char *path)
{
    uint64_t words[WORDS], want[WORDS], whole = 0, number = 0;
    bool broken = false;
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return records_die(path);
    for (; pread(fd, words, RECORD, (off_t)(number * RECORD)) == (ssize_t)RECORD; number++) {
        records_fill(want, number);
        if (memcmp(words, want, RECORD) != 0) {
            broken = true;
        } else if (broken) {
            fprintf(stderr, "guest-records: record %" PRIu64 " is whole, one before it is not\n", number);
            return 1;
        } else {
            whole++;
        }
    }
    printf("%" PRIu64 "\n", whole);
    return 0;
}

static int records_scatter(const char *path, uint64_t seed)
{
    struct stat st;
    void *buf = NULL;
    int fd = open(path, O_RDWR), direct = open(path, O_RDWR | O_DIRECT);
    if (fd < 0 || fstat(fd, &st) || posix_memalign(&buf, 4096, 65536))
        return records_die(path);
    uint64_t blocks = (uint64_t)st.st_size / 4096;
    if (blocks < 32)
        return errno = EINVAL, records_die(path);
    for (;;) {
        seed = records_mix(seed);
        size_t len = 4096 * (1 + seed % 16);
        uint64_t off = records_mix(seed) % (blocks - 16) * 4096;
        for (size_t i = 0; i < len / 8; i++)
            ((uint64_t *)buf)[i] = seed + i;
        if (pwrite(direct >= 0 && seed >> 40 & 1 ? direct : fd, buf, len, (off_t)off) < 0)
            return records_die(path);
    }
}

int main(int argc, char **argv)
{
    if ((argc == 4 || argc == 5) && strcmp(argv[1], "append") == 0)
        return records_append(argv[2], argv[3], argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 0);
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        return records_check(argv[2]);
    if (argc == 4 && strcmp(argv[1], "scatter") == 0)
        return records_scatter(argv[2], strtoull(argv[3], NULL, 10));
    fprintf(stderr, "usage: guest-records append FILE ACKED [MS] | check FILE | scatter FILE SEED\n");
    return 2;
}
