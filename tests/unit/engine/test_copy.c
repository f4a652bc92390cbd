/* SPDX-License-Identifier: Apache-2.0 */
/* test_copy.c - diff tells what a byte compare tells; copies are bit by bit the original, and cost what differs. */
#include "bdr/bytes.h"
#include "bdr/copy.h"
#include "bdr/diff.h"
#include "bdr/gc.h"
#include "bdr/osfile.h"
#include "engine.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB   (1u << 20)
#define BLOCK 65536u

/* ---- diff ---- */

struct marks {
    uint8_t *differs; /* a block: 0 not told, 1 told as zero, 2 told as data */
    uint64_t blocks, next, bytes;
};

static struct bdr_err *mark_extent(void *ctx, uint64_t off, uint64_t len, bool data)
{
    struct marks *m = ctx;

    assert_true(len > 0 && off >= m->next && off % BLOCK == 0);
    m->next = off + len;
    m->bytes += len;
    for (uint64_t b = off / BLOCK; b * BLOCK < off + len; b++) {
        assert_true(b < m->blocks && !m->differs[b]);
        m->differs[b] = data ? 2 : 1;
    }
    return NULL;
}

static size_t block_of(int fd, uint64_t size, uint64_t block, uint8_t *out)
{
    uint64_t off = block * BLOCK;
    size_t n = off < size ? (size_t)BDR_MIN((uint64_t)BLOCK, size - off) : 0;

    memset(out, 0, BLOCK);
    if (n)
        engine_ok(bdr_os_pread(fd, "image", out, n, off));
    return n;
}

/* Compares what diff tells with the bytes; only the block where the smaller disk ends may be told without need. */
static void check_diff(struct bdr_repo *repo, const char *a, const char *image_a, const char *b, const char *image_b)
{
    int fa = open(image_a, O_RDONLY), fb = open(image_b, O_RDONLY);
    uint8_t *x = malloc(BLOCK), *y = malloc(BLOCK);
    struct stat sa, sb;
    struct marks m = {0};

    assert_true(fa >= 0 && fb >= 0 && x && y && !fstat(fa, &sa) && !fstat(fb, &sb));
    m.blocks = bdr_blocks_of((uint64_t)BDR_MAX(sa.st_size, sb.st_size), BLOCK);
    m.differs = calloc(m.blocks, 1);
    engine_ok(bdr_diff(repo, &(struct bdr_diff_side){a, 0}, &(struct bdr_diff_side){b, 0}, NULL, mark_extent, &m));
    for (uint64_t i = 0; i < m.blocks; i++) {
        size_t na = block_of(fa, (uint64_t)sa.st_size, i, x), nb = block_of(fb, (uint64_t)sb.st_size, i, y);
        bool same = !memcmp(x, y, BLOCK);

        if (same && m.differs[i])
            assert_true(na != nb && (na % BLOCK || nb % BLOCK));
        else
            assert_int_equal(m.differs[i] != 0, !same);
        if (m.differs[i])
            assert_int_equal(m.differs[i] == 2, nb && !bdr_all_zero(y, nb));
    }
    free(m.differs);
    free(x);
    free(y);
    close(fa);
    close(fb);
}

static void copy_file(const char *from, const char *to)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        execlp("cp", "cp", "--sparse=always", from, to, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static uint64_t rnd(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return *s >> 33;
}

static void punch(const char *path, uint64_t off, uint64_t len)
{
    int fd = open(path, O_RDWR);

    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len), 0);
    close(fd);
}

static void test_diff__many_random_changes_and_sizes__is_what_a_byte_compare_says(void **state)
{
    static const uint64_t sizes[] = {3 * MIB, 3 * MIB + 777, 9 * MIB, 5 * MIB + 1, 290 * MIB, 300 * MIB + 4096, 512,
                                     64 * BLOCK, 65 * BLOCK};
    struct engine *e = *state;
    char image[10][160], point[10][33];
    struct bdr_repo *repo;
    uint64_t seed = 5;

    engine_init(e, true, "lz4", BLOCK);
    repo = engine_open(e);
    for (size_t i = 0; i < BDR_COUNT(sizes); i++) {
        snprintf(image[i], sizeof(image[i]), "%s/d%zu", e->dir, i);
        if (!i)
            engine_image(image[i], sizes[i], 3);
        else
            copy_file(image[i - 1], image[i]);
        assert_int_equal(truncate(image[i], (off_t)sizes[i]), 0);
        for (int k = 0; k < 40 && sizes[i] > MIB; k++) {
            uint64_t off = rnd(&seed) % (sizes[i] - MIB / 2);

            if (k % 4)
                engine_scribble(image[i], off, 1 + rnd(&seed) % 100000, (uint32_t)rnd(&seed));
            else
                punch(image[i], off, 200000);
        }
        memcpy(point[i], engine_backup(repo, image[i], "h", NULL).point_id, 33);
    }
    for (size_t i = 0; i < BDR_COUNT(sizes); i++)
        for (size_t j = 0; j < BDR_COUNT(sizes); j++)
            check_diff(repo, point[i], image[i], point[j], image[j]);
    bdr_repo_close(repo);
}

static void test_diff__of_a_huge_disk__reads_only_what_differs(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img");
    struct bdr_backup_result a, b;
    struct marks m = {.blocks = (uint64_t)1 << 26};
    struct bdr_repo *repo;

    engine_image(image, 0, 3);
    assert_int_equal(truncate(image, 1ll << 42), 0);
    engine_scribble(image, 2ull << 40, 100, 1);
    engine_init(e, false, "lz4", BLOCK);
    repo = engine_open(e);
    a = engine_backup(repo, image, "db", NULL);
    engine_scribble(image, (1ull << 42) - 100, 100, 1);
    b = engine_backup(repo, image, "db", NULL);
    m.differs = calloc(m.blocks, 1);
    engine_ok(bdr_diff(repo, &(struct bdr_diff_side){a.point_id, 0}, &(struct bdr_diff_side){b.point_id, 0}, NULL,
                       mark_extent, &m));
    assert_int_equal(m.bytes, BLOCK);
    assert_int_equal(m.differs[m.blocks - 1], 2);
    free(m.differs);
    engine_fails(bdr_diff(repo, &(struct bdr_diff_side){a.point_id, 1}, &(struct bdr_diff_side){b.point_id, 0}, NULL,
                          mark_extent, &m),
                 BDR_NOTFOUND);
    bdr_repo_close(repo);
}

/* ---- copy ---- */

static struct bdr_repo *second(struct engine *e, bool encrypt, uint32_t block)
{
    struct bdr_repo_init_options opt = {.block_bytes = block, .compress = "lz4", .encrypt = encrypt,
                                        .pack_bytes = 4u << 20, .passphrase_file = encrypt ? e->pass : NULL};
    char url[160];
    struct bdr_repo *repo = NULL;

    snprintf(url, sizeof(url), "%s/second", e->dir);
    if (access(url, F_OK))
        engine_ok(bdr_repo_init(url, &opt));
    engine_ok(bdr_repo_open(url, &(struct bdr_repo_options){.passphrase_file = e->pass}, &repo));
    return repo;
}

static struct bdr_copy_result copy(struct bdr_repo *from, const char *point, struct bdr_repo *to)
{
    struct bdr_copy_result r = {0};

    engine_ok(bdr_copy_point(from, point, to, &(struct bdr_copy_options){0}, &r));
    return r;
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : "";
}

static void copies(void **state, bool enc_a, uint32_t block_a, bool enc_b, uint32_t block_b, uint64_t size)
{
    struct engine *e = *state;
    char one[160], two[160], three[160];
    struct bdr_backup_result a, b, c;
    struct bdr_copy_result r;
    struct bdr_repo *from, *to;
    json_t *p = NULL, *q = NULL;

    snprintf(one, sizeof(one), "%s/one", e->dir);
    snprintf(two, sizeof(two), "%s/two", e->dir);
    snprintf(three, sizeof(three), "%s/three", e->dir);
    engine_image(one, size, 7);
    engine_init(e, enc_a, "zstd", block_a);
    from = engine_open(e);
    to = second(e, enc_b, block_b);
    a = engine_backup(from, one, "web1", NULL);
    rename(one, two); /* another identity would be another disk */
    copy_file(two, one);
    engine_scribble(one, size / 2, 5000, 99);
    b = engine_backup(from, one, "web1", NULL);
    copy_file(one, three);
    punch(one, 0, MIB);
    engine_scribble(one, size - 3000, 3000, 98);
    c = engine_backup(from, one, "web1", NULL);

    r = copy(from, a.point_id, to);
    assert_true(r.full && !r.there);
    engine_same(to, r.point_id, two);
    r = copy(from, b.point_id, to);
    assert_true(!r.full && r.read_bytes <= 3ull * BDR_MAX(block_a, block_b));
    engine_same(to, r.point_id, three);
    engine_ok(bdr_point_load(from, b.point_id, &p));
    engine_ok(bdr_point_load(to, r.point_id, &q));
    assert_string_equal(text(q, "origin"), b.point_id);
    assert_string_equal(text(q, "host_id"), text(p, "host_id"));
    assert_int_equal(json_integer_value(json_object_get(q, "time_ms")),
                     json_integer_value(json_object_get(p, "time_ms")));
    json_decref(p);
    json_decref(q);
    r = copy(from, c.point_id, to);
    assert_true(!r.full && r.read_bytes <= MIB + 4ull * BDR_MAX(block_a, block_b));
    engine_same(to, r.point_id, one);
    /* Again: nothing to do. And back: what is there is known to be there. */
    r = copy(from, b.point_id, to);
    assert_true(r.there);
    r = copy(to, r.point_id, from);
    assert_true(r.there);
    assert_string_equal(r.point_id, b.point_id);
    bdr_repo_close(from);
    bdr_repo_close(to);
}

static void test_copy__same_block_size_plain(void **state)
{
    copies(state, false, BLOCK, false, BLOCK, 20 * MIB);
}
static void test_copy__encrypted_to_plain_smaller_blocks(void **state)
{
    copies(state, true, 1 * MIB, false, BLOCK, 20 * MIB + 513);
}
static void test_copy__plain_to_encrypted_larger_blocks(void **state)
{
    copies(state, false, BLOCK, true, 4 * MIB, 30 * MIB + 4096);
}

static void test_copy__removed_in_the_middle__comes_back_from_the_copy(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img");
    char id[3][33], back[33];
    struct bdr_copy_result r = {0};
    struct bdr_repo *from, *to;
    json_t *p = NULL;

    engine_image(image, 20 * MIB, 7);
    engine_init(e, false, "lz4", BLOCK);
    from = engine_open(e);
    to = second(e, true, 2 * BLOCK);
    for (uint32_t i = 0; i < 3; i++) {
        engine_scribble(image, i * MIB, 5000, i);
        memcpy(id[i], engine_backup(from, image, "web1", NULL).point_id, 33);
        r = copy(from, id[i], to);
        if (i == 1)
            memcpy(back, r.point_id, 33);
    }
    engine_ok(bdr_point_remove(from, id[1]));
    r = copy(to, back, from);
    assert_true(!r.there && !r.full && r.new_bytes == 0);
    engine_ok(bdr_point_load(from, r.point_id, &p));
    assert_string_equal(text(p, "origin"), id[1]);
    json_decref(p);
    assert_true(copy(from, r.point_id, to).there);
    bdr_repo_close(from);
    bdr_repo_close(to);
}

static void test_copy__unreadable_parts_and_tags__are_taken_over(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img");
    static const char *const tags[] = {"why=test", "who=me", NULL};
    struct bdr_source *src = NULL;
    struct bdr_backup_disk disk = {.name = "system"};
    struct bdr_backup_result r, s;
    struct bdr_copy_result c;
    struct bdr_repo *from, *to;
    json_t *p = NULL, *q = NULL;
    const char *const same[] = {"time_ms", "host_id", "consistency", "boot_mode", "tags"};
    struct bdr_backup_options opt = {.host = "old", .host_id = "x", .tags = tags, .boot_mode = "uefi",
                                     .consistency = "application"};

    engine_image(image, 3 * MIB, 3);
    engine_init(e, false, "lz4", BLOCK);
    from = engine_open(e);
    to = second(e, true, BLOCK);
    engine_ok(bdr_source_open(&(struct bdr_source_spec){.location = image}, &src));
    engine_ok(bdr_source_wrap_fault(&src, &(struct bdr_fault_plan){.bad_off = 1 * MIB + 512, .bad_len = 1024}));
    disk.src = src;
    engine_ok(bdr_backup_run(from, &disk, 1, &opt, &r));
    engine_ok(bdr_backup_run(from, &disk, 1, &opt, &s));
    bdr_source_close(src);
    c = copy(from, r.point_id, to);
    engine_ok(bdr_point_load(from, r.point_id, &p));
    engine_ok(bdr_point_load(to, c.point_id, &q));
    for (size_t i = 0; i < BDR_COUNT(same); i++)
        assert_true(json_equal(json_object_get(p, same[i]), json_object_get(q, same[i])));
    for (size_t i = 0; i < 4; i++) {
        static const char *const members[] = {"name", "identity", "unreadable", "unreadable_bytes"};
        const json_t *d = json_array_get(json_object_get(p, "disks"), 0);
        const json_t *k = json_array_get(json_object_get(q, "disks"), 0);

        assert_non_null(json_object_get(d, members[i]));
        assert_true(json_equal(json_object_get(d, members[i]), json_object_get(k, members[i])));
    }
    json_decref(p);
    json_decref(q);
    c = copy(from, s.point_id, to); /* the base's gaps do not make a copy a full one */
    assert_true(!c.full && c.read_bytes == 0);
    bdr_repo_close(from);
    bdr_repo_close(to);
}

/* Flips a byte in the middle of every data pack. */
static void damage_data(const char *repo)
{
    char dir[200], path[600];
    DIR *top, *d;
    struct dirent *x, *y;

    snprintf(dir, sizeof(dir), "%s/packs", repo);
    top = opendir(dir);
    assert_non_null(top);
    while ((x = readdir(top))) {
        if (x->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, x->d_name);
        d = opendir(path);
        while ((y = readdir(d))) {
            uint8_t cls = 1, byte;
            struct stat st;
            int fd;

            snprintf(path, sizeof(path), "%s/%s/%s", dir, x->d_name, y->d_name);
            fd = y->d_name[0] == '.' ? -1 : open(path, O_RDWR);
            if (fd < 0)
                continue;
            assert_int_equal(pread(fd, &cls, 1, 10), 1);
            assert_int_equal(fstat(fd, &st), 0);
            if (!cls && st.st_size > (off_t)MIB) {
                assert_int_equal(pread(fd, &byte, 1, st.st_size / 2), 1);
                byte ^= 1;
                assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
            }
            close(fd);
        }
        closedir(d);
    }
    closedir(top);
}

static void test_copy__damaged_source__fails_and_names_the_place(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img");
    struct bdr_copy_result r = {0};
    struct bdr_backup_result a, b;
    struct bdr_repo *from, *to;
    struct bdr_point_info *all = NULL;
    size_t n = 9;
    char msg[2048];
    struct bdr_err *err;

    engine_image(image, 20 * MIB, 7);
    engine_init(e, false, "lz4", BLOCK);
    from = engine_open(e);
    to = second(e, true, 2 * BLOCK);
    a = engine_backup(from, image, "web1", NULL);
    damage_data(e->repo);
    engine_scribble(image, 0, 20 * MIB, 3);
    b = engine_backup(from, image, "web2", NULL);
    err = bdr_copy_point(from, a.point_id, to, &(struct bdr_copy_options){0}, &r);
    assert_non_null(err);
    assert_int_equal(err->code, BDR_CORRUPT);
    bdr_err_text(err, msg, sizeof(msg));
    assert_non_null(strstr(msg, "disk offset"));
    assert_non_null(strstr(msg, "packs/"));
    bdr_err_free(err);
    engine_ok(bdr_repo_points(to, &all, &n));
    assert_int_equal(n, 0);
    free(all);
    r = copy(from, b.point_id, to);
    engine_same(to, r.point_id, image);
    bdr_repo_close(from);
    bdr_repo_close(to);
}

static void test_copy__damage_in_what_changed__is_told_after_one_pass(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img");
    struct bdr_backup_meter meter = {0};
    struct bdr_copy_result r = {0};
    struct bdr_backup_result a, b;
    struct bdr_repo *from, *to;

    engine_image(image, 40 * MIB, 7);
    engine_init(e, false, "none", BLOCK);
    from = engine_open(e);
    to = second(e, true, 2 * BLOCK);
    a = engine_backup(from, image, "web1", NULL);
    copy(from, a.point_id, to);
    engine_scribble(image, 20 * MIB, 2 * MIB, 3);
    b = engine_backup(from, image, "web1", NULL);
    damage_data(e->repo);
    engine_fails(bdr_copy_point(from, b.point_id, to, &(struct bdr_copy_options){.meter = &meter}, &r), BDR_CORRUPT);
    assert_true(atomic_load(&meter.read_bytes) <= 3 * MIB);
    bdr_repo_close(from);
    bdr_repo_close(to);
}

static void test_copy__cancelled__goes_on_and_stores_nothing_twice(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img");
    struct bdr_repo_facts before, after;
    struct bdr_copy_result r = {0};
    struct bdr_backup_result a;
    struct bdr_repo *from, *to;
    struct bdr_cancel stop = {0};
    pid_t pid;

    engine_image(image, 60 * MIB, 7);
    engine_init(e, false, "none", BLOCK);
    from = engine_open(e);
    a = engine_backup(from, image, "web1", NULL);
    bdr_repo_close(from);
    bdr_repo_close(second(e, false, BLOCK));
    pid = fork();
    if (pid == 0) { /* dies somewhere in the middle */
        from = engine_open(e);
        to = second(e, false, BLOCK);
        alarm(0);
        ualarm(30000, 0);
        engine_ok(bdr_copy_point(from, a.point_id, to, &(struct bdr_copy_options){0}, &r));
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    from = engine_open(e);
    to = second(e, false, BLOCK);
    bdr_cancel_set(&stop);
    bdr_err_drop(bdr_copy_point(from, a.point_id, to, &(struct bdr_copy_options){.cancel = &stop}, &r), "cancelled");
    engine_ok(bdr_repo_facts(to, &before));
    r = copy(from, a.point_id, to);
    engine_same(to, r.point_id, image);
    engine_ok(bdr_repo_facts(to, &after));
    engine_ok(bdr_repo_facts(from, &before));
    assert_int_equal(after.blocks, before.blocks);
    bdr_repo_close(from);
    bdr_repo_close(to);
}

static void test_copy__same_repository__is_refused(void **state)
{
    struct engine *e = *state;
    const char *image = engine_path(e, "disk.img");
    struct bdr_copy_result r = {0};
    struct bdr_backup_result a;
    struct bdr_repo *from, *to;

    engine_image(image, 1 * MIB, 7);
    engine_init(e, false, "none", BLOCK);
    from = engine_open(e);
    to = engine_open(e);
    a = engine_backup(from, image, "web1", NULL);
    engine_fails(bdr_copy_point(from, a.point_id, to, &(struct bdr_copy_options){0}, &r), BDR_INVAL);
    bdr_repo_close(from);
    bdr_repo_close(to);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_diff__many_random_changes_and_sizes__is_what_a_byte_compare_says),
        T(test_diff__of_a_huge_disk__reads_only_what_differs),
        T(test_copy__same_block_size_plain),
        T(test_copy__encrypted_to_plain_smaller_blocks),
        T(test_copy__plain_to_encrypted_larger_blocks),
        T(test_copy__removed_in_the_middle__comes_back_from_the_copy),
        T(test_copy__unreadable_parts_and_tags__are_taken_over),
        T(test_copy__damaged_source__fails_and_names_the_place),
        T(test_copy__damage_in_what_changed__is_told_after_one_pass),
        T(test_copy__cancelled__goes_on_and_stores_nothing_twice),
        T(test_copy__same_repository__is_refused),
    };

    return cmocka_run_group_tests_name("copy", tests, NULL, NULL);
}
