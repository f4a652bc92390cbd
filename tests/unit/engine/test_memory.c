/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memory.c - memory does not grow with the disk: a sparse one of 64 TiB is backed up and read back within 64 MiB
 * of what a small one takes.
 */
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "engine.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1ull << 20)
#define TIB (1ull << 40)

struct job {
    struct engine *e;
    const char *image;
    uint64_t size, written; /* written: places with data, spread evenly */
};

static void sparse_image(const struct job *j)
{
    int fd = open(j->image, O_CREAT | O_RDWR | O_TRUNC, 0600);
    uint8_t page[4096] = {1};

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)j->size), 0);
    for (uint64_t i = 0; i < j->written; i++) {
        memcpy(page, &(uint64_t){i + 1}, 8);
        engine_ok(bdr_os_pwrite(fd, j->image, page, sizeof(page), j->size / j->written * i / 4096 * 4096));
    }
    close(fd);
}

static int backup_child(void *raw)
{
    const struct job *j = raw;
    struct bdr_repo *repo = engine_open(j->e);
    struct bdr_backup_result r = {0};
    struct bdr_disk *disk = NULL;
    uint8_t buf[4096];
    uint64_t word;

    r = engine_backup(repo, j->image, j->image, NULL);
    r = engine_backup(repo, j->image, j->image, NULL); /* compares with the first one's map */
    assert_int_equal(r.new_bytes, 0);
    assert_int_equal(r.scan_blocks + r.audited_blocks, j->written); /* the scan cache is within the bound, too */
    engine_ok(bdr_disk_open(repo, r.point_id, 0, NULL, &disk));
    for (uint64_t i = 0; i < j->written; i++) {
        engine_ok(bdr_disk_read(disk, j->size / j->written * i / 4096 * 4096, buf, sizeof(buf)));
        memcpy(&word, buf, 8);
        assert_int_equal(word, i + 1);
    }
    bdr_disk_close(disk);
    engine_verify_clean(repo);
    engine_prune(repo);
    bdr_repo_close(repo);
    return 0;
}

/* Peak resident KiB of the job in a process of its own. */
static long peak_kib(struct job *job, double *out_seconds)
{
    struct rusage ru;
    struct timespec a, b;
    int status = 0;
    pid_t pid;

    clock_gettime(CLOCK_MONOTONIC, &a);
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        _exit(backup_child(job));
    assert_int_equal(wait4(pid, &status, 0, &ru), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    clock_gettime(CLOCK_MONOTONIC, &b);
    *out_seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    return ru.ru_maxrss;
}

static void test_backup__sparse_64_tib__memory_is_bounded(void **state)
{
    struct engine *e = *state;
    struct job small = {.e = e, .image = engine_path(e, "small"), .size = 64 * MIB, .written = 4};
    struct job large = {.e = e, .image = engine_path(e, "large"), .size = 64 * TIB, .written = 2000};
    double s1, s2;
    long a, b;
    int fd = open(large.image, O_CREAT | O_RDWR, 0600);

    if (ftruncate(fd, (off_t)large.size)) /* tmpfs takes it, ext4 ends at 16 TiB */
        large.size = 15 * TIB;
    close(fd);
    engine_scan_dir = engine_path(e, "cache");
    sparse_image(&small);
    sparse_image(&large);
    engine_init(e, false, "zstd", 65536);
    a = peak_kib(&small, &s1);
    b = peak_kib(&large, &s2);
    print_message("64 MiB: %ld KiB, %.1f s; %llu TiB: %ld KiB, %.1f s\n", a, s1, (unsigned long long)(large.size / TIB), b,
                  s2);
    if (!getenv("BDR_SANITIZER")) { /* whose memory is not ours */
        assert_true(b <= a + 64 * 1024);
        assert_true(b <= 128 * 1024);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_backup__sparse_64_tib__memory_is_bounded, engine_setup, engine_teardown),
    };

    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
