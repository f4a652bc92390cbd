/* SPDX-License-Identifier: Apache-2.0 */
/* test_scan.c - the scan cache: what it spares, and that nothing which is wrong with it makes a point wrong. */
#include "bdr/bytes.h"
#include "bdr/encode.h"
#include "bdr/osfile.h"
#include "engine.h"
#include "scan.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK 65536u
#define MIB   (1ull << 20)
#define PAGE  4096u

/* ---- the file by itself ---- */

static const struct bdr_id id_x = {.b = {1, 2, 3}}, id_y = {.b = {1, 2, 4}};

static struct scan_what what_of(struct engine *e, const char *identity, bool believe)
{
    static char dir[160];

    snprintf(dir, sizeof(dir), "%s/cache/scan", e->dir);
    return (struct scan_what){.dir = dir,
                              .place = "repository",
                              .host = "web",
                              .identity = identity,
                              .block_bytes = BLOCK,
                              .blocks = 1000,
                              .believe = believe};
}

static struct scan *opened(const struct scan_what *what)
{
    struct scan *s = NULL;

    engine_ok(scan_open(what, &s));
    return s;
}

static void note(struct scan *s, uint64_t block, const void *data, size_t len, const struct bdr_id *id)
{
    struct scan_hand *h = NULL;

    engine_ok(scan_hand_new(s, &h));
    scan_run(h, block, 1);
    scan_note(h, block, data, len, id);
    scan_run_end(h);
    scan_hand_free(h);
}

static bool knows(struct scan *s, uint64_t block, const void *data, size_t len, const struct bdr_id *id)
{
    struct scan_hand *h = NULL;
    bool same;

    engine_ok(scan_hand_new(s, &h));
    scan_run(h, block, 1);
    same = scan_same(h, block, data, len, id);
    scan_run_end(h);
    scan_hand_free(h);
    return same;
}

/* Asks the file as it is, and leaves it. */
static bool file_knows(const struct scan_what *what, uint64_t block, const void *data, size_t len,
                       const struct bdr_id *id)
{
    struct scan *s = opened(what);
    bool same = knows(s, block, data, len, id);

    scan_free(s);
    return same;
}

/* The one file of the folder; fails when there are more or less. */
static const char *only_file(const struct scan_what *what)
{
    static char path[512];
    struct dirent *d;
    DIR *dir = opendir(what->dir);
    int n = 0;

    assert_non_null(dir);
    while ((d = readdir(dir)))
        if (d->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", what->dir, d->d_name);
            n++;
        }
    closedir(dir);
    assert_int_equal(n, 1);
    return path;
}

static uint8_t *bytes(uint32_t seed)
{
    uint8_t *p = calloc(2, BLOCK);

    assert_non_null(p);
    for (uint32_t i = 0; i < 2 * BLOCK; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (uint8_t)(seed >> 24);
    }
    return p;
}

/* A file that knows block 300 with id_x. */
static struct scan_what one_known(struct engine *e, const uint8_t *data)
{
    struct scan_what what = what_of(e, "disk", true);
    struct scan *s = opened(&what);

    note(s, 300, data, BLOCK, &id_x);
    scan_commit(s);
    scan_free(s);
    assert_true(file_knows(&what, 300, data, BLOCK, &id_x));
    return what;
}

static void test_same__only_this_content_with_this_id_here(void **state)
{
    uint8_t *data = bytes(1), *other = bytes(1);
    struct scan_what what = one_known(*state, data);
    struct scan *s = opened(&what);

    assert_true(knows(s, 300, data, BLOCK, &id_x));
    assert_false(knows(s, 300, data, BLOCK, &id_y)); /* another base */
    assert_false(knows(s, 299, data, BLOCK, &id_x)); /* another place: nothing is known of it */
    assert_false(knows(s, 301, data, BLOCK, &id_x));
    assert_false(knows(s, 300, data, BLOCK - 512, &id_x));
    for (uint32_t bit = 0; bit < 8 * BLOCK; bit += 997) {
        other[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(knows(s, 300, other, BLOCK, &id_x));
        other[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* What sums that are linear without a key do not see: words that changed places, the same flip twice. */
    for (uint32_t i = 0; i + 32 <= BLOCK; i += 4096) {
        memcpy(other + i, data + i + 16, 16);
        memcpy(other + i + 16, data + i, 16);
        assert_false(knows(s, 300, other, BLOCK, &id_x));
        memcpy(other + i, data + i, 32);
        other[i] ^= 0x80;
        other[i + 16] ^= 0x80;
        assert_false(knows(s, 300, other, BLOCK, &id_x));
        memcpy(other + i, data + i, 32);
    }
    assert_true(knows(s, 300, other, BLOCK, &id_x));
    scan_free(s);
    free(data);
    free(other);
}

static void read_all(const char *path, uint8_t **out, size_t *out_len)
{
    struct stat st;
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0 && !fstat(fd, &st));
    *out_len = (size_t)st.st_size;
    *out = malloc(*out_len);
    assert_non_null(*out);
    engine_ok(bdr_os_pread(fd, path, *out, *out_len, 0));
    close(fd);
}

static void poke(const char *path, uint64_t at, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    engine_ok(bdr_os_pwrite(fd, path, data, len, at));
    close(fd);
}

static void test_file__every_byte_flipped__nothing_is_known(void **state)
{
    uint8_t *data = bytes(2), *raw = NULL;
    struct scan_what what = one_known(*state, data);
    char path[512];
    size_t len = 0;

    snprintf(path, sizeof(path), "%s", only_file(&what));
    read_all(path, &raw, &len);
    assert_int_equal(len, 5 * PAGE); /* 1000 blocks: page 0, four of 255 */
    for (size_t at = 0; at < len; at++) {
        uint8_t bad = raw[at] ^ (uint8_t)(1u << at % 8);

        if (at >= PAGE && at / PAGE != 1 + 300 / 255)
            continue; /* pages of other blocks */
        poke(path, at, &bad, 1);
        if (file_knows(&what, 300, data, BLOCK, &id_x))
            fail_msg("byte %zu was not missed", at);
        poke(path, at, &raw[at], 1);
    }
    assert_true(file_knows(&what, 300, data, BLOCK, &id_x));
    free(raw);
    free(data);
}

static void test_file__cut_off_anywhere__is_not_used_or_right(void **state)
{
    uint8_t *data = bytes(3), *raw = NULL;
    struct scan_what what = one_known(*state, data);
    char path[512];
    size_t len = 0;

    snprintf(path, sizeof(path), "%s", only_file(&what));
    read_all(path, &raw, &len);
    for (size_t cut = 0; cut < 3 * PAGE; cut += 257) {
        assert_int_equal(truncate(path, (off_t)cut), 0);
        assert_false(file_knows(&what, 300, data, BLOCK, &id_x));
        poke(path, 0, raw, len);
    }
    assert_int_equal(truncate(path, 3 * PAGE), 0); /* the page is there */
    assert_true(file_knows(&what, 300, data, BLOCK, &id_x));
    free(raw);
    free(data);
}

static void test_file__page_of_an_earlier_writing__is_not_believed(void **state)
{
    uint8_t *data = bytes(4), *other = bytes(5), *raw = NULL;
    struct scan_what what = one_known(*state, data);
    struct scan *s;
    size_t len = 0;

    read_all(only_file(&what), &raw, &len);
    s = opened(&what);
    note(s, 300, other, BLOCK, &id_y);
    scan_commit(s);
    scan_free(s);
    assert_true(file_knows(&what, 300, other, BLOCK, &id_y));
    assert_false(file_knows(&what, 300, data, BLOCK, &id_x));
    poke(only_file(&what), 2 * PAGE, raw + 2 * PAGE, PAGE);
    assert_false(file_knows(&what, 300, data, BLOCK, &id_x));
    assert_false(file_knows(&what, 300, other, BLOCK, &id_y));
    free(raw);
    free(data);
    free(other);
}

static void test_file__of_another_disk_or_open_to_others__is_not_used(void **state)
{
    uint8_t *data = bytes(6), *raw = NULL;
    struct scan_what what = one_known(*state, data), other = what;
    char path[512], own[512];
    size_t len = 0;
    struct scan *s;

    snprintf(path, sizeof(path), "%s", only_file(&what));
    other.host = "web2";
    assert_false(file_knows(&other, 300, data, BLOCK, &id_x));
    /* Its name alone is not believed. */
    s = opened(&other);
    scan_commit(s);
    scan_free(s);
    read_all(path, &raw, &len);
    assert_int_equal(unlink(path), 0);
    snprintf(own, sizeof(own), "%s", only_file(&other));
    poke(own, 0, raw, len);
    assert_false(file_knows(&other, 300, data, BLOCK, &id_x));
    assert_int_equal(rename(own, path), 0);
    assert_true(file_knows(&what, 300, data, BLOCK, &id_x));
    assert_int_equal(chmod(path, 0644), 0);
    assert_false(file_knows(&what, 300, data, BLOCK, &id_x));
    assert_int_equal(chmod(path, 0600), 0);
    what.block_bytes = 2 * BLOCK;
    assert_false(file_knows(&what, 300, data, BLOCK, &id_x));
    what.block_bytes = BLOCK;
    what.blocks = 301; /* the disk became smaller, or larger */
    assert_true(file_knows(&what, 300, data, BLOCK, &id_x));
    what.blocks = 100000;
    assert_true(file_knows(&what, 300, data, BLOCK, &id_x));
    assert_false(file_knows(&what, 99999, data, BLOCK, &id_x));
    snprintf(own, sizeof(own), "%s.kept", path);
    assert_int_equal(rename(path, own), 0);
    assert_int_equal(symlink(own, path), 0);
    assert_false(file_knows(&what, 300, data, BLOCK, &id_x));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(file_knows(&what, 300, data, BLOCK, &id_x));
    free(raw);
    free(data);
}

static void test_keys__two_files__differ_and_fingerprints_too(void **state)
{
    struct engine *e = *state;
    uint8_t *data = bytes(7), *raw[2] = {NULL, NULL};

    for (int i = 0; i < 2; i++) {
        struct scan_what what = what_of(e, i ? "disk1" : "disk0", true);
        struct scan *s = opened(&what);
        char path[512];
        size_t len;

        note(s, 0, data, BLOCK, &id_x);
        scan_commit(s);
        scan_free(s);
        snprintf(path, sizeof(path), "%s", only_file(&what));
        read_all(path, &raw[i], &len);
        assert_int_equal(unlink(path), 0);
    }
    assert_memory_not_equal(raw[0] + 24, raw[1] + 24, 16);
    assert_memory_not_equal(raw[0] + 40, raw[1] + 40, 32);
    assert_memory_not_equal(raw[0] + 72, raw[1] + 72, 32);
    assert_memory_not_equal(raw[0] + PAGE, raw[1] + PAGE, 16);
    assert_false(bdr_all_zero(raw[0] + PAGE, 16));
    free(raw[0]);
    free(raw[1]);
    free(data);
}

struct killed {
    struct scan_what what;
    const uint8_t *data;
};

static int write_and_die(void *raw)
{
    const struct killed *k = raw;
    struct scan *s = opened(&k->what);

    note(s, 300, k->data, BLOCK, &id_y);
    raise(SIGKILL);
    return 0;
}

static void test_commit__killed_before_it__the_old_file_counts(void **state)
{
    struct engine *e = *state;
    uint8_t *data = bytes(8), *other = bytes(9);
    struct killed k = {.what = one_known(e, data), .data = other};
    char path[512];

    snprintf(path, sizeof(path), "%s", only_file(&k.what));
    assert_int_equal(engine_child(write_and_die, &k), 128 + SIGKILL);
    assert_true(file_knows(&k.what, 300, data, BLOCK, &id_x));
    assert_false(file_knows(&k.what, 300, other, BLOCK, &id_y));
    /* What the dead one left goes when it is a day old; the file stays. */
    engine_age(k.what.dir, 86500);
    assert_true(file_knows(&k.what, 300, data, BLOCK, &id_x));
    assert_string_equal(only_file(&k.what), path);
    /* And that one when nobody has used it for long. */
    engine_age(k.what.dir, 91 * 86400);
    assert_false(file_knows(&k.what, 300, data, BLOCK, &id_x));
    free(data);
    free(other);
}

static void test_distrust__removes_and_forgets(void **state)
{
    uint8_t *data = bytes(10);
    struct scan_what what = one_known(*state, data);
    struct scan *s = opened(&what);

    scan_distrust(s);
    assert_false(knows(s, 300, data, BLOCK, &id_x));
    note(s, 300, data, BLOCK, &id_x);
    scan_commit(s);
    scan_free(s);
    assert_false(file_knows(&what, 300, data, BLOCK, &id_x));
    free(data);
}

static void test_file__64_tib_disk__is_sparse_and_known_at_its_end(void **state)
{
    struct scan_what what = what_of(*state, "huge", true);
    uint64_t last = ((uint64_t)64 << 40) / BLOCK - 1;
    uint8_t *data = bytes(11);
    struct scan *s;
    struct stat st;

    what.blocks = last + 1;
    s = opened(&what);
    note(s, 0, data, BLOCK, &id_x);
    note(s, last, data, BLOCK, &id_x);
    scan_commit(s);
    scan_free(s);
    assert_true(file_knows(&what, 0, data, BLOCK, &id_x));
    assert_true(file_knows(&what, last, data, BLOCK, &id_x));
    assert_false(file_knows(&what, last / 2, data, BLOCK, &id_x));
    assert_int_equal(stat(only_file(&what), &st), 0);
    assert_true((uint64_t)st.st_blocks * 512 < 1 * MIB);
    free(data);
}

/* ---- whole backups ---- */

struct bed {
    struct engine *e;
    struct bdr_repo *repo;
    char image[160], dir[160], identity[256];
    const char *host;
    double audit_pct;
};

static struct bed bed_make(struct engine *e, uint32_t block, uint64_t size)
{
    struct bed b = {.e = e, .host = "web", .audit_pct = -1};
    struct bdr_source *src = NULL;
    struct bdr_source_info info;

    engine_init(e, true, "lz4", block);
    b.repo = engine_open(e);
    snprintf(b.image, sizeof(b.image), "%s", engine_path(e, "disk"));
    snprintf(b.dir, sizeof(b.dir), "%s", engine_path(e, "cache/scan"));
    engine_image(b.image, size, 3);
    engine_ok(bdr_source_open(&(struct bdr_source_spec){.location = b.image}, &src));
    engine_ok(bdr_source_info(src, &info));
    snprintf(b.identity, sizeof(b.identity), "%s", info.identity);
    bdr_source_close(src);
    return b;
}

static struct bdr_backup_result back(const struct bed *b, const char *changed, enum bdr_backup_pass pass)
{
    struct bdr_backup_disk disk = {0};
    struct bdr_backup_result r = {0};

    engine_ok(bdr_source_open(&(struct bdr_source_spec){.location = b->image, .changed_extents = changed}, &disk.src));
    engine_ok(bdr_backup_run(
        b->repo, &disk, 1,
        &(struct bdr_backup_options){
            .host = b->host, .host_id = "test", .audit_pct = b->audit_pct, .scan_dir = b->dir, .pass = pass},
        &r));
    bdr_source_close(disk.src);
    engine_same(b->repo, r.point_id, b->image);
    return r;
}

static uint64_t data_blocks(const struct bdr_backup_result *r, uint32_t block)
{
    return (r->read_bytes - r->zero_bytes + block - 1) / block;
}

static void spares(struct engine *e, uint32_t block)
{
    struct bed b = bed_make(e, block, 24 * MIB + 4096);
    struct bdr_backup_result r;
    uint64_t all;

    b.audit_pct = 0;
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.scan_blocks, 0);
    all = data_blocks(&r, block);
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.scan_blocks, all);
    assert_int_equal(r.audited_blocks + r.changed_bytes + r.new_bytes, 0);
    assert_true(r.full && r.known_bytes > 0);
    /* A byte somewhere, and all of what was the end. */
    engine_scribble(b.image, 5 * MIB + 17, 1, 77);
    engine_scribble(b.image, 24 * MIB, 4096, 78);
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_true(r.changed_bytes > 0 && r.changed_bytes <= 2 * block);
    assert_true(r.scan_blocks < data_blocks(&r, block) && r.scan_blocks + 2 >= data_blocks(&r, block));
    /* What was changed is known now, too. */
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.scan_blocks, data_blocks(&r, block));
    /* --full hashes all, and the cache goes on to be good. */
    r = back(&b, NULL, BDR_PASS_FULL);
    assert_int_equal(r.scan_blocks, 0);
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.scan_blocks, data_blocks(&r, block));
    engine_verify_clean(b.repo);
    bdr_repo_close(b.repo);
}

static void test_backup__64k_blocks__unchanged_ones_are_not_hashed(void **state)
{
    spares(*state, 65536);
}
static void test_backup__4m_blocks__unchanged_ones_are_not_hashed(void **state)
{
    spares(*state, 4 * MIB);
}

static void test_backup__changes_by_a_tracker_between__only_those_are_hashed(void **state)
{
    struct engine *e = *state;
    struct bed b = bed_make(e, BLOCK, 16 * MIB);
    const char *list = engine_path(e, "changed");
    struct bdr_backup_result r;
    FILE *f = fopen(list, "w");

    b.audit_pct = 0;
    back(&b, NULL, BDR_PASS_AUTO);
    engine_scribble(b.image, 8 * MIB, 3 * BLOCK, 5);
    assert_non_null(f);
    fprintf(f, "%llu %u\n", 8 * MIB, 3 * BLOCK);
    fclose(f);
    r = back(&b, list, BDR_PASS_AUTO);
    assert_false(r.full);
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.changed_bytes, 0);
    assert_int_equal(r.scan_blocks, data_blocks(&r, BLOCK) - 3);
    bdr_repo_close(b.repo);
}

/* The last point is removed: the one before is the base, and the cache is of one that is gone. */
static void test_backup__base_is_another_point__only_what_agrees_is_spared(void **state)
{
    struct bed b = bed_make(*state, BLOCK, 16 * MIB);
    struct bdr_backup_result r;

    b.audit_pct = 0;
    back(&b, NULL, BDR_PASS_AUTO);
    engine_scribble(b.image, 4 * MIB, 2 * BLOCK, 5);
    r = back(&b, NULL, BDR_PASS_AUTO);
    engine_ok(bdr_point_remove(b.repo, r.point_id));
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.changed_bytes, 2 * BLOCK);
    assert_int_equal(r.scan_blocks, data_blocks(&r, BLOCK) - 2);
    bdr_repo_close(b.repo);
}

/* As after a crash between the point and its cache: the file is the one before. */
static void test_backup__cache_of_the_point_before__is_right(void **state)
{
    struct engine *e = *state;
    struct bed b = bed_make(e, BLOCK, 16 * MIB);
    const char *kept = engine_path(e, "kept");
    struct bdr_backup_result r;

    b.audit_pct = 0;
    back(&b, NULL, BDR_PASS_AUTO);
    engine_copy(b.dir, kept);
    engine_scribble(b.image, 4 * MIB, 2 * BLOCK, 5);
    back(&b, NULL, BDR_PASS_AUTO);
    engine_copy(kept, b.dir);
    engine_scribble(b.image, 9 * MIB, BLOCK, 6);
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.changed_bytes, BLOCK);
    assert_int_equal(r.scan_blocks, data_blocks(&r, BLOCK) - 3);
    bdr_repo_close(b.repo);
}

static void test_backup__host_renamed_or_disk_resized__right(void **state)
{
    struct bed b = bed_make(*state, BLOCK, 16 * MIB);
    struct bdr_backup_result r;

    b.audit_pct = 0;
    back(&b, NULL, BDR_PASS_AUTO);
    b.host = "www";
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.scan_blocks, 0);
    assert_int_equal(truncate(b.image, (off_t)(20 * MIB + 512)), 0);
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.scan_blocks, data_blocks(&r, BLOCK));
    assert_int_equal(truncate(b.image, (off_t)(9 * MIB + 512)), 0);
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_true(r.scan_blocks > 0 && r.scan_blocks <= data_blocks(&r, BLOCK));
    bdr_repo_close(b.repo);
}

/* The cache says of what the disk holds now that it is what the base has. */
static void lie(const struct bed *b, const char *point, uint64_t block)
{
    BDR_AUTO(scan) struct scan *s = NULL;
    BDR_AUTO(scan_hand) struct scan_hand *h = NULL;
    BDR_AUTO(encoder) struct bdr_encoder *coder = NULL;
    struct bdr_id id;
    uint8_t *data = malloc(BLOCK), key[32];
    bool keyed = false;
    struct bdr_disk *disk = NULL;
    char place[33];
    int fd = open(b->image, O_RDONLY);

    assert_true(data && fd >= 0);
    bdr_repo_id(b->repo, place);
    engine_ok(bdr_disk_open(b->repo, point, 0, NULL, &disk));
    engine_ok(bdr_disk_read(disk, block * BLOCK, data, BLOCK));
    bdr_disk_close(disk);
    bdr_repo_id_key(b->repo, key, &keyed);
    engine_ok(bdr_encoder_new("none", keyed ? key : NULL, &coder));
    engine_ok(bdr_encoder_id(coder, data, BLOCK, &id));
    engine_ok(bdr_os_pread(fd, b->image, data, BLOCK, block * BLOCK));
    close(fd);
    engine_ok(scan_open(&(struct scan_what){.dir = b->dir,
                                            .place = place,
                                            .host = b->host,
                                            .identity = b->identity,
                                            .block_bytes = BLOCK,
                                            .blocks = 256,
                                            .believe = true},
                        &s));
    engine_ok(scan_hand_new(s, &h));
    scan_run(h, block, 1);
    scan_note(h, block, data, BLOCK, &id);
    scan_run_end(h);
    scan_commit(s);
    free(data);
}

static uint64_t data_block(struct bed *b)
{
    uint8_t data[512];
    int fd = open(b->image, O_RDONLY);
    uint64_t block = 0;

    assert_true(fd >= 0);
    do
        engine_ok(bdr_os_pread(fd, b->image, data, sizeof(data), ++block * BLOCK));
    while (bdr_all_zero(data, sizeof(data)));
    close(fd);
    return block;
}

static void test_backup__cache_lies__the_sample_finds_it_and_all_is_hashed(void **state)
{
    struct bed b = bed_make(*state, BLOCK, 16 * MIB);
    struct bdr_backup_result r = back(&b, NULL, BDR_PASS_AUTO);
    uint64_t block = data_block(&b);
    char first[33];

    snprintf(first, sizeof(first), "%s", r.point_id);
    engine_scribble(b.image, block * BLOCK, BLOCK, 99);
    lie(&b, first, block);
    b.audit_pct = 100;
    r = back(&b, NULL, BDR_PASS_AUTO); /* and compares it with the disk */
    assert_int_equal(r.audit_misses, 1);
    assert_int_equal(r.scan_blocks, 0);
    assert_int_equal(r.changed_bytes, BLOCK);
    assert_non_null(strstr(r.reason, "scan cache"));
    /* The new one is right. */
    b.audit_pct = 0;
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.scan_blocks, data_blocks(&r, BLOCK));
    assert_int_equal(r.audit_misses, 0);
    bdr_repo_close(b.repo);
}

/* The sample meets a lie sooner or later, and then the point is right. */
static void test_backup__sample_of_some__finds_a_lie_in_the_end(void **state)
{
    struct bed b = bed_make(*state, BLOCK, 16 * MIB);
    struct bdr_backup_result r = back(&b, NULL, BDR_PASS_AUTO);
    uint64_t block = data_block(&b);

    engine_scribble(b.image, block * BLOCK, BLOCK, 99);
    lie(&b, r.point_id, block);
    b.audit_pct = 60;
    for (int i = 0; i < 200; i++) { /* until the sample meets it: not once in 200 has a chance of 1e-80 */
        struct bdr_backup_disk disk = {0};

        engine_ok(bdr_source_open(&(struct bdr_source_spec){.location = b.image}, &disk.src));
        engine_ok(bdr_backup_run(b.repo, &disk, 1,
                                 &(struct bdr_backup_options){
                                     .host = b.host, .host_id = "test", .audit_pct = b.audit_pct, .scan_dir = b.dir},
                                 &r));
        bdr_source_close(disk.src);
        if (r.audit_misses)
            break;
    }
    assert_int_equal(r.audit_misses, 1);
    engine_same(b.repo, r.point_id, b.image);
    bdr_repo_close(b.repo);
}

static void test_backup__repository_lost_its_blocks__they_are_stored_again(void **state)
{
    struct engine *e = *state;
    struct bed b = bed_make(e, BLOCK, 16 * MIB);
    struct bdr_backup_result r = back(&b, NULL, BDR_PASS_AUTO);
    uint64_t first = r.new_bytes;
    struct bdr_repo_options opt = {.passphrase_file = e->pass};
    struct engine_files files;
    size_t gone = 0;
    uint64_t largest = 0;
    char path[400], victim[400] = "";

    bdr_repo_close(b.repo);
    files = engine_files(e->repo);
    for (size_t i = 0; i < files.n; i++) {
        struct stat st;

        snprintf(path, sizeof(path), "%s/%s", e->repo, files.name[i]);
        if (!strncmp(files.name[i], "packs/", 6) && !stat(path, &st) && (uint64_t)st.st_size > largest) {
            largest = (uint64_t)st.st_size;
            snprintf(victim, sizeof(victim), "%s", path);
            gone++;
        }
    }
    engine_files_free(&files);
    assert_true(gone > 0);
    assert_int_equal(unlink(victim), 0);
    engine_ok(bdr_repo_open(e->repo, &opt, &b.repo));
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_true(r.new_bytes > 0 && r.new_bytes <= first);
    assert_int_equal(r.new_bytes, r.healed_bytes);
    engine_verify_clean(b.repo);
    bdr_repo_close(b.repo);
}

static void test_backup__folder_can_not_be_made__backs_up_all_the_same(void **state)
{
    struct engine *e = *state;
    struct bed b = bed_make(e, BLOCK, 4 * MIB);
    struct bdr_backup_result r;

    snprintf(b.dir, sizeof(b.dir), "%s/scan", b.image); /* a file is in the way */
    back(&b, NULL, BDR_PASS_AUTO);
    r = back(&b, NULL, BDR_PASS_AUTO);
    assert_int_equal(r.scan_blocks, 0);
    bdr_repo_close(b.repo);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_same__only_this_content_with_this_id_here),
        T(test_file__every_byte_flipped__nothing_is_known),
        T(test_file__cut_off_anywhere__is_not_used_or_right),
        T(test_file__page_of_an_earlier_writing__is_not_believed),
        T(test_file__of_another_disk_or_open_to_others__is_not_used),
        T(test_keys__two_files__differ_and_fingerprints_too),
        T(test_commit__killed_before_it__the_old_file_counts),
        T(test_distrust__removes_and_forgets),
        T(test_file__64_tib_disk__is_sparse_and_known_at_its_end),
        T(test_backup__64k_blocks__unchanged_ones_are_not_hashed),
        T(test_backup__4m_blocks__unchanged_ones_are_not_hashed),
        T(test_backup__changes_by_a_tracker_between__only_those_are_hashed),
        T(test_backup__base_is_another_point__only_what_agrees_is_spared),
        T(test_backup__cache_of_the_point_before__is_right),
        T(test_backup__host_renamed_or_disk_resized__right),
        T(test_backup__cache_lies__the_sample_finds_it_and_all_is_hashed),
        T(test_backup__sample_of_some__finds_a_lie_in_the_end),
        T(test_backup__repository_lost_its_blocks__they_are_stored_again),
        T(test_backup__folder_can_not_be_made__backs_up_all_the_same),
    };

    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
