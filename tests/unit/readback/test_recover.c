/* SPDX-License-Identifier: Apache-2.0 */
/* recover: copies, stops anywhere, goes on, tells damage. The repository is fake; the target is a real file. */
#include "bdr/bytes.h"
#include "bdr/child.h"
#include "bdr/disk.h"
#include "bdr/osfile.h"
#include "bdr/recover.h"
#include "bdr/repo.h"
#include "fake_repo.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
/* after setjmp.h, stdarg.h */
#include <cmocka.h>

#define DISK_BYTES 50000384u /* 12 spans, the last one short and odd */
#define SPAN       (4u << 20)
#define POINT_A    "0123456789abcdef0123456789abcdef"
#define POINT_B    "1123456789abcdef0123456789abcdef"

struct lab {
    char dir[64], repo[96], out[96], state[112];
};

static void ok(struct bdr_err *err)
{
    char text[1024];

    if (err)
        fail_msg("%s", bdr_err_text(err, text, sizeof(text)));
}

static void fails(struct bdr_err *err, enum bdr_code code)
{
    char text[1024];

    if (!err)
        fail_msg("expected %s, got success", bdr_code_name(code));
    if (err->code != code)
        fail_msg("expected %s, got %s: %s", bdr_code_name(code), bdr_code_name(err->code),
                 bdr_err_text(err, text, sizeof(text)));
    bdr_err_free(err);
}

static void lab_repo(const struct lab *lab, const char *more)
{
    FILE *f = fopen(lab->repo, "w");

    assert_non_null(f);
    fprintf(f, "point " POINT_B " web 2000 gen:%u:2\npoint " POINT_A " web 1000 gen:%u:1\n%s", DISK_BYTES, DISK_BYTES,
            more);
    fclose(f);
}

static int lab_setup(void **state)
{
    struct lab *lab = calloc(1, sizeof(*lab));

    assert_non_null(lab);
    snprintf(lab->dir, sizeof(lab->dir), "/var/tmp/bdr-recover-XXXXXX");
    assert_non_null(mkdtemp(lab->dir));
    snprintf(lab->repo, sizeof(lab->repo), "%s/repo", lab->dir);
    snprintf(lab->out, sizeof(lab->out), "%s/out.raw", lab->dir);
    snprintf(lab->state, sizeof(lab->state), "%s.bdr-recover", lab->out);
    lab_repo(lab, "");
    *state = lab;
    return 0;
}

static int lab_teardown(void **state)
{
    struct lab *lab = *state;
    const char *const rm[] = {"rm", "-rf", lab->dir, NULL};

    ok(bdr_child_run(rm, NULL));
    free(lab);
    return 0;
}

/* Runs with what `spec` says; fills in repository, disk and target. */
static struct bdr_err *lab_run(const struct lab *lab, const char *point, struct bdr_recover_spec spec,
                               struct bdr_recover_result *res)
{
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(disk) struct bdr_disk *disk = NULL;
    struct bdr_recover_result own = {0};
    struct bdr_err *err;

    BDR_TRY(bdr_repo_open(lab->repo, NULL, &repo));
    BDR_TRY(bdr_disk_open(repo, point, 0, NULL, &disk));
    spec.disk = disk;
    spec.point_id = point;
    if (!spec.location)
        spec.location = lab->out;
    err = bdr_recover_run(&spec, &own);
    if (res)
        *res = own;
    else
        bdr_recover_result_free(&own);
    return err;
}

/* The target holds disk `seed`, but for zeros in [hole, hole+len). */
static void lab_holds(const struct lab *lab, uint64_t seed, uint64_t hole, size_t len)
{
    BDR_AUTO(mem) uint8_t *want = malloc(DISK_BYTES), *got = malloc(DISK_BYTES);
    BDR_AUTO(fd) int fd = open(lab->out, O_RDONLY | O_CLOEXEC);
    struct stat st;

    assert_true(want && got && fd >= 0 && !fstat(fd, &st));
    assert_int_equal(st.st_size, DISK_BYTES);
    fake_gen(seed, 0, want, DISK_BYTES);
    memset(want + hole, 0, len);
    ok(bdr_os_pread(fd, lab->out, got, DISK_BYTES, 0));
    assert_memory_equal(got, want, DISK_BYTES);
}

static bool there(const char *path)
{
    return !access(path, F_OK);
}

static void test_recover__plain__holds_the_disk_and_counts(void **state)
{
    struct lab *lab = *state;
    struct bdr_recover_progress p = {0};
    struct bdr_recover_result res;

    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.progress = &p, .verify = true}, &res));
    lab_holds(lab, 1, 0, 0);
    assert_false(there(lab->state));
    assert_int_equal(p.total_bytes, DISK_BYTES);
    assert_int_equal(p.done_bytes, DISK_BYTES);
    assert_int_equal(p.data_bytes + p.zero_bytes, DISK_BYTES);
    assert_int_equal(p.verified_bytes, DISK_BYTES);
    assert_true(res.zero_bytes > 0 && res.data_bytes > 0 && !res.resumed && !res.n_damaged);
}

static void test_recover__direct_io__holds_the_disk(void **state)
{
    struct lab *lab = *state;

    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.direct = true, .workers = 3, .verify = true}, NULL));
    lab_holds(lab, 1, 0, 0);
}

static void test_recover__existing_data__needs_force(void **state)
{
    struct lab *lab = *state;

    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){0}, NULL));
    fails(lab_run(lab, POINT_B, (struct bdr_recover_spec){0}, NULL), BDR_EXISTS);
    lab_holds(lab, 1, 0, 0);
    fails(lab_run(lab, POINT_B, (struct bdr_recover_spec){.resume = true}, NULL), BDR_EXISTS);
    lab_holds(lab, 1, 0, 0);
    ok(lab_run(lab, POINT_B, (struct bdr_recover_spec){.force = true}, NULL));
    lab_holds(lab, 2, 0, 0);
}

/* A child that is killed at its n-th read. True when it was; false when it came to the end. */
static bool lab_killed_run_slow(const struct lab *lab, unsigned n, unsigned slow_ms)
{
    char more[64];
    int st = 0;
    pid_t pid;

    snprintf(more, sizeof(more), "slow %u\nkill_after %u\n", slow_ms, n);
    lab_repo(lab, more);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct bdr_err *err =
            lab_run(lab, POINT_A, (struct bdr_recover_spec){.resume = true, .checkpoint_ms = 1, .workers = 2}, NULL);

        _exit(err ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &st, 0), pid);
    lab_repo(lab, "");
    if (WIFEXITED(st))
        assert_int_equal(WEXITSTATUS(st), 0);
    return WIFSIGNALED(st);
}

static bool lab_killed_run(const struct lab *lab, unsigned n)
{
    return lab_killed_run_slow(lab, n, 0);
}

static void test_recover__killed_at_every_read__resumes_to_the_same_disk(void **state)
{
    struct lab *lab = *state;
    unsigned n = 1;

    for (; lab_killed_run(lab, n); n += n < 4 ? 1 : 9) {
        struct bdr_recover_result res = {0};

        assert_true(there(lab->state));
        fails(lab_run(lab, POINT_A, (struct bdr_recover_spec){0}, NULL), BDR_EXISTS);
        ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.resume = true, .verify = true}, &res));
        assert_true(res.resumed);
        assert_int_equal(res.resumed_bytes + res.data_bytes + res.zero_bytes, DISK_BYTES);
        lab_holds(lab, 1, 0, 0);
        assert_false(there(lab->state));
        assert_int_equal(unlink(lab->out), 0);
    }
    assert_true(n > 20);
}

static void test_recover__killed_again_and_again__moves_forward(void **state)
{
    struct lab *lab = *state;
    unsigned runs = 0;

    while (lab_killed_run_slow(lab, 15, 5)) /* slow enough for a checkpoint to come through */
        assert_true(++runs < 60);
    assert_true(runs > 0);
    lab_holds(lab, 1, 0, 0);
}

static void test_recover__unfinished_of_another_point__is_refused(void **state)
{
    struct lab *lab = *state;

    assert_true(lab_killed_run(lab, 10));
    fails(lab_run(lab, POINT_B, (struct bdr_recover_spec){.resume = true}, NULL), BDR_INVAL);
    fails(lab_run(lab, POINT_B, (struct bdr_recover_spec){0}, NULL), BDR_EXISTS);
    ok(lab_run(lab, POINT_B, (struct bdr_recover_spec){.resume = true, .force = true}, NULL));
    lab_holds(lab, 2, 0, 0);
    assert_false(there(lab->state));
}

static void test_recover__unfinished_copy_lost__starts_over(void **state)
{
    struct lab *lab = *state;
    struct bdr_recover_result res;

    assert_true(lab_killed_run(lab, 30));
    assert_int_equal(unlink(lab->out), 0);
    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.resume = true}, &res));
    assert_false(res.resumed);
    assert_int_equal(res.resumed_bytes, 0);
    lab_holds(lab, 1, 0, 0);
}

static void test_recover__damaged_state__is_told_and_forced_away(void **state)
{
    struct lab *lab = *state;
    int fd;

    assert_true(lab_killed_run(lab, 30));
    fd = open(lab->state, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && pwrite(fd, "x", 1, 20) == 1);
    close(fd);
    fails(lab_run(lab, POINT_A, (struct bdr_recover_spec){.resume = true}, NULL), BDR_CORRUPT);
    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.force = true}, NULL));
    lab_holds(lab, 1, 0, 0);
}

static void test_recover__cancelled__stops_and_resumes(void **state)
{
    struct lab *lab = *state;
    struct bdr_cancel cancel = {0};
    struct bdr_recover_result res;

    bdr_cancel_set(&cancel);
    fails(lab_run(lab, POINT_A, (struct bdr_recover_spec){.cancel = &cancel}, NULL), BDR_CANCELLED);
    assert_true(there(lab->state));
    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.resume = true}, &res));
    assert_true(res.resumed);
    lab_holds(lab, 1, 0, 0);
}

/* A data block of disk 1 in its second span. */
static uint64_t bad_block(void)
{
    uint8_t buf[512];

    for (uint64_t off = SPAN;; off += FAKE_BLOCK_BYTES) {
        fake_gen(1, off, buf, sizeof(buf));
        if (!bdr_all_zero(buf, sizeof(buf)))
            return off;
    }
}

static void lab_damage(const struct lab *lab)
{
    char more[96];

    snprintf(more, sizeof(more), "corrupt 0 %llu 100\n", (unsigned long long)bad_block() + 300);
    lab_repo(lab, more);
}

static void test_recover__damage__stops_by_default(void **state)
{
    struct lab *lab = *state;

    lab_damage(lab);
    fails(lab_run(lab, POINT_A, (struct bdr_recover_spec){0}, NULL), BDR_CORRUPT);
    lab_repo(lab, ""); /* repaired */
    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.resume = true}, NULL));
    lab_holds(lab, 1, 0, 0);
}

static void test_recover__skip_damaged__costs_one_block_until_repaired(void **state)
{
    struct lab *lab = *state;
    struct bdr_recover_result res;

    lab_damage(lab);
    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.skip_damaged = true, .verify = true}, &res));
    assert_int_equal(res.n_damaged, 1);
    assert_int_equal(res.damaged[0].off, bad_block());
    assert_int_equal(res.damaged[0].len, FAKE_BLOCK_BYTES);
    bdr_recover_result_free(&res);
    lab_holds(lab, 1, bad_block(), FAKE_BLOCK_BYTES);
    assert_true(there(lab->state));
    lab_repo(lab, "");
    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.resume = true, .verify = true}, &res));
    assert_int_equal(res.n_damaged, 0);
    assert_int_equal(res.resumed_bytes, DISK_BYTES - SPAN);
    lab_holds(lab, 1, 0, 0);
    assert_false(there(lab->state));
}

static void test_recover__medium_lost_a_write__verify_finds_and_resume_heals(void **state)
{
    struct lab *lab = *state;
    struct bdr_err *err;
    char text[512], want[32];
    uint64_t at = bad_block() + SPAN * 3 / SPAN * SPAN + 12345;
    int fd;

    lab_damage(lab);
    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.skip_damaged = true}, NULL)); /* keeps its state */
    lab_repo(lab, "");
    fd = open(lab->out, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && pwrite(fd, "\xee\xee\xee", 3, (off_t)at) == 3);
    close(fd);
    err = lab_run(lab, POINT_A, (struct bdr_recover_spec){.resume = true, .verify = true}, NULL);
    assert_non_null(err);
    assert_int_equal(err->code, BDR_CORRUPT);
    snprintf(want, sizeof(want), "at %llu", (unsigned long long)at);
    if (!strstr(bdr_err_text(err, text, sizeof(text)), want))
        fail_msg("'%s' does not say %s", text, want);
    bdr_err_free(err);
    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.resume = true, .verify = true}, NULL));
    lab_holds(lab, 1, 0, 0);
}

static void test_recover__null__reads_all_and_cannot_verify(void **state)
{
    struct lab *lab = *state;

    ok(lab_run(lab, POINT_A, (struct bdr_recover_spec){.location = "null:"}, NULL));
    fails(lab_run(lab, POINT_A, (struct bdr_recover_spec){.location = "null:", .verify = true}, NULL), BDR_UNSUPPORTED);
}

static void test_recover__qcow2__resumes(void **state)
{
    struct lab *lab = *state;
    char qcow[128];
    const char *const convert[] = {"qemu-img", "convert", "-O", "raw", qcow, lab->out, NULL};
    struct bdr_cancel cancel = {0};

    snprintf(qcow, sizeof(qcow), "%s/out.qcow2", lab->dir);
    lab_damage(lab);
    fails(lab_run(lab, POINT_A, (struct bdr_recover_spec){.location = qcow}, NULL), BDR_CORRUPT);
    lab_repo(lab, "");
    ok(lab_run(lab, POINT_A,
               (struct bdr_recover_spec){.location = qcow, .resume = true, .verify = true, .cancel = &cancel}, NULL));
    ok(bdr_child_run(convert, NULL));
    assert_int_equal(truncate(lab->out, DISK_BYTES), 0); /* qcow2 rounds up to sectors */
    lab_holds(lab, 1, 0, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_recover__plain__holds_the_disk_and_counts),
        T(test_recover__direct_io__holds_the_disk),
        T(test_recover__existing_data__needs_force),
        T(test_recover__killed_at_every_read__resumes_to_the_same_disk),
        T(test_recover__killed_again_and_again__moves_forward),
        T(test_recover__unfinished_of_another_point__is_refused),
        T(test_recover__unfinished_copy_lost__starts_over),
        T(test_recover__damaged_state__is_told_and_forced_away),
        T(test_recover__cancelled__stops_and_resumes),
        T(test_recover__damage__stops_by_default),
        T(test_recover__skip_damaged__costs_one_block_until_repaired),
        T(test_recover__medium_lost_a_write__verify_finds_and_resume_heals),
        T(test_recover__null__reads_all_and_cannot_verify),
        T(test_recover__qcow2__resumes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
