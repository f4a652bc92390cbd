/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_damage.c - every kind of file of a repository is damaged in turn: flipped bytes, cut short, missing.
 *
 * What must hold each time: nothing crashes; a read gives the right bytes or an error; verify tells of the damage and
 * names exactly the blocks that can't be read; the other host's point stays whole.
 * BDR_DAMAGE_STEP=1 flips every byte instead of a spread of them; BDR_DAMAGE_ONLY=points/ only those of such files.
 */
#include "bdr/bytes.h"
#include "bdr/session.h"
#include "engine.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK 65536u
#define BLOCKS 9 /* of each host's disk; the last one is short */
#define DISK ((BLOCKS - 1) * BLOCK + 1000)

struct victim {
    struct engine *e;
    char key[96]; /* key file, "" without encryption */
    struct {
        char image[96], point[33];
        uint8_t *bytes; /* DISK */
        uint32_t bad;   /* of the last look: one bit a block that could not be read */
    } host[2];
    bool opened;
    size_t n_bad;
    uint32_t named[2]; /* blocks that verify named */
};

static struct bdr_err *victim_open(struct victim *v, struct bdr_repo **out)
{
    return bdr_repo_open(v->e->repo, &(struct bdr_repo_options){.key_file = *v->key ? v->key : NULL}, out);
}

static const char *host_name(size_t i)
{
    return i ? "web" : "db";
}

/* Two hosts with different disks, a condemned set, a lease each. */
static void victim_make(struct victim *v, struct engine *e, bool encrypt, const char *compress)
{
    struct bdr_repo_init_options opt = {.block_bytes = BLOCK, .compress = compress, .encrypt = encrypt};
    struct bdr_session *s = NULL;
    struct bdr_prune_result pr;
    struct bdr_backup_result first;
    struct bdr_repo *repo = NULL;
    int fd;

    *v = (struct victim){.e = e};
    if (encrypt) {
        snprintf(v->key, sizeof(v->key), "%s/key", e->dir);
        fd = open(v->key, O_CREAT | O_WRONLY, 0600);
        assert_int_equal(write(fd, "0123456789abcdef0123456789abcdef!", 33), 33);
        close(fd);
        opt.key_file = v->key;
    }
    engine_ok(bdr_repo_init(e->repo, &opt));
    engine_ok(victim_open(v, &repo));
    for (uint32_t i = 0; i < 2; i++) {
        snprintf(v->host[i].image, sizeof(v->host[i].image), "%s/%s.img", e->dir, host_name(i));
        engine_image(v->host[i].image, DISK, 1000 + 4000 * i);
        engine_scribble(v->host[i].image, 3 * BLOCK, 2 * BLOCK, 70 + i);
        engine_scribble(v->host[i].image, DISK - 500, 500, 80 + i);
        snprintf(v->host[i].point, sizeof(v->host[i].point), "%s",
                 engine_backup(repo, v->host[i].image, host_name(i), NULL).point_id);
    }
    /* A pack that waits for an open session to end: a point that is removed while a session is open. */
    engine_image(engine_path(e, "gone.img"), 2 * BLOCK, 99);
    engine_scribble(engine_path(e, "gone.img"), 0, 2 * BLOCK, 98);
    first = engine_backup(repo, engine_path(e, "gone.img"), "gone", NULL);
    engine_ok(bdr_session_begin(repo, &(struct bdr_session_options){.host = "other"}, &s));
    engine_ok(bdr_point_remove(repo, first.point_id));
    engine_age(e->repo, 3600);
    pr = engine_prune(repo);
    assert_true(pr.packs_waiting > 0);
    bdr_session_abandon(s);
    bdr_repo_close(repo);
    for (size_t i = 0; i < 2; i++) {
        v->host[i].bytes = malloc(DISK);
        fd = open(v->host[i].image, O_RDONLY);
        assert_int_equal(read(fd, v->host[i].bytes, DISK), DISK);
        close(fd);
    }
}

static void victim_free(struct victim *v)
{
    free(v->host[0].bytes);
    free(v->host[1].bytes);
}

static bool is_damage(const struct bdr_err *err)
{
    return err->code == BDR_CORRUPT || err->code == BDR_VERSION || err->code == BDR_INVAL;
}

/* Reads a host's disk block by block: right bytes or a plain error. */
static void look_at_disk(struct victim *v, struct bdr_repo *repo, size_t h)
{
    struct bdr_disk *disk = NULL;
    struct bdr_err *err = bdr_disk_open(repo, v->host[h].point, 0, NULL, &disk);
    uint8_t buf[BLOCK];

    v->host[h].bad = 0;
    if (err) {
        assert_true(is_damage(err) || err->code == BDR_NOTFOUND);
        bdr_err_free(err);
        v->host[h].bad = UINT32_MAX;
        return;
    }
    for (uint32_t b = 0; b < BLOCKS; b++) {
        size_t len = b == BLOCKS - 1 ? DISK - b * BLOCK : BLOCK;

        memset(buf, 0xee, sizeof(buf));
        err = bdr_disk_read(disk, (uint64_t)b * BLOCK, buf, len);
        if (err) {
            if (!is_damage(err))
                engine_fails(err, BDR_CORRUPT);
            else
                bdr_err_free(err);
            v->host[h].bad |= 1u << b;
        } else if (memcmp(buf, v->host[h].bytes + (size_t)b * BLOCK, len) != 0) {
            fail_msg("wrong bytes were returned as data");
        }
    }
    bdr_disk_close(disk);
}

static void look_at_verify(struct victim *v, struct bdr_repo *repo)
{
    struct bdr_verify_result r;

    v->named[0] = v->named[1] = 0;
    engine_ok(bdr_verify(repo, &(struct bdr_verify_options){.depth = BDR_VERIFY_ALL, .workers = 1}, &r));
    v->n_bad = r.n_bad + r.n_damage;
    for (size_t i = 0; i < r.n_damage; i++) {
        size_t h = !strcmp(r.damage[i].host, "web");

        assert_string_equal(r.damage[i].point, v->host[h].point);
        assert_int_equal(r.damage[i].disk, 0);
        assert_int_equal(r.damage[i].off % BLOCK, 0);
        for (uint64_t b = r.damage[i].off / BLOCK; b * BLOCK < r.damage[i].off + r.damage[i].len; b++)
            v->named[h] |= 1u << b;
    }
    bdr_verify_free(&r);
}

/* Opens the repository and looks at everything; `v` holds what was seen. */
static void look(struct victim *v)
{
    struct bdr_repo *repo = NULL;
    struct bdr_err *err = victim_open(v, &repo);

    v->opened = !err;
    if (err) {
        assert_true(is_damage(err) || err->code == BDR_AUTH || err->code == BDR_NOTFOUND);
        bdr_err_free(err);
        return;
    }
    look_at_verify(v, repo);
    look_at_disk(v, repo, 0);
    look_at_disk(v, repo, 1);
    bdr_repo_close(repo);
}

static bool starts(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

static bool nobody_reads(const char *name)
{
    const char *only = getenv("BDR_DAMAGE_ONLY");

    return (only && !starts(name, only)) || starts(name, "tmp/") || starts(name, "sessions/") || !strcmp(name, "reserve");
}

/* What must be true after the file `name` was damaged in whichever way. A node that is damaged hurts only the blocks
 * below it that are not zero, but verify names the node's whole reach. */
static void judge(struct victim *v, const char *name)
{
    assert_true(v->opened);
    if (!strcmp(name, "config") || starts(name, "keys/") || starts(name, "copies/"))
        assert_int_equal(v->host[0].bad | v->host[1].bad, 0);
    for (size_t h = 0; h < 2; h++) {
        if (v->host[h].bad == UINT32_MAX)
            continue;
        if (v->host[h].bad & ~v->named[h])
            fail_msg("%s: blocks %x of %s can't be read, verify names %x", name, v->host[h].bad, host_name(h), v->named[h]);
        if (v->named[h] && !v->host[h].bad)
            fail_msg("%s: verify names %x of %s, but all can be read", name, v->named[h], host_name(h));
    }
    if (v->host[0].bad && v->host[1].bad)
        fail_msg("%s: damage in one file of one host hurts both", name);
    if (!starts(name, "index/") && !v->n_bad)
        fail_msg("%s: damage went unnoticed", name);
    if (starts(name, "index/") && (v->n_bad || v->host[0].bad || v->host[1].bad))
        fail_msg("%s: a damaged index hurt something", name);
}

static void flip(const char *path, uint64_t at, uint8_t mask)
{
    int fd = open(path, O_RDWR);
    uint8_t c;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
    c ^= mask;
    assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
    close(fd);
}

static uint64_t step_after(const char *name, uint64_t at, uint64_t size)
{
    const char *env = getenv("BDR_DAMAGE_STEP");

    if (env)
        return at + (uint64_t)strtoul(env, NULL, 10);
    if (getenv("BDR_SANITIZER")) /* several times slower */
        return at + 11 + size / 40;
    if (starts(name, "index/"))
        return at < 300 ? at + 7 : at + 331;
    if (!starts(name, "packs/"))
        return at < 110 ? at + 3 : at + 13;
    return at + (at < 64 ? 5 : at + 64 > size ? 7 : size - at < 1500 ? 61 : size / 40 + 1);
}

static size_t flip_all(struct victim *v, bool without_index)
{
    struct engine_files files = engine_files(v->e->repo);
    char path[320], index[160], spare[160];
    size_t flips = 0;

    snprintf(index, sizeof(index), "%s/index", v->e->repo);
    snprintf(spare, sizeof(spare), "%s/spare", v->e->dir);
    for (size_t i = 0; i < files.n; i++) {
        const char *name = files.name[i];
        struct stat st;

        if (nobody_reads(name) || (without_index && !starts(name, "packs/")))
            continue;
        snprintf(path, sizeof(path), "%s/%s", v->e->repo, name);
        if (starts(name, "index/"))
            engine_copy(index, spare);
        assert_int_equal(stat(path, &st), 0);
        for (uint64_t at = 0; at < (uint64_t)st.st_size; at = step_after(name, at, (uint64_t)st.st_size)) {
            if (!strcmp(name, "index/lock.mdb") && at > 4096)
                break;
            if (without_index)
                engine_remove(index);
            flip(path, at, flips & 1 ? 0xff : 0x01);
            look(v);
            judge(v, name);
            if (starts(name, "index/"))
                engine_copy(spare, index);
            else
                flip(path, at, flips & 1 ? 0xff : 0x01);
            flips++;
        }
        look(v);
        if (!v->opened || v->n_bad || v->host[0].bad || v->host[1].bad)
            fail_msg("%s: damage stayed after it was undone", name);
    }
    engine_files_free(&files);
    return flips;
}

static void damage(void **state, bool encrypt, const char *compress)
{
    struct victim v;
    size_t n, m;

    victim_make(&v, *state, encrypt, compress);
    look(&v);
    assert_true(v.opened && !v.n_bad && !v.host[0].bad && !v.host[1].bad);
    n = flip_all(&v, false);
    m = flip_all(&v, true);
    print_message("%zu flips with an index, %zu in packs without one\n", n, m);
    victim_free(&v);
}

static void test_flip__plain_none__is_named(void **state)
{
    damage(state, false, "none");
}
static void test_flip__plain_zstd__is_named(void **state)
{
    damage(state, false, "zstd");
}
static void test_flip__encrypted_zstd__is_named(void **state)
{
    damage(state, true, "zstd");
}
static void test_flip__encrypted_lz4__is_named(void **state)
{
    damage(state, true, "lz4");
}

/* Cut short at every sixteenth, empty, and gone. */
static void test_torn__every_file__is_named(void **state)
{
    struct victim v;
    struct engine_files files;
    char path[320], spare[160], index[160];

    victim_make(&v, *state, true, "zstd");
    snprintf(index, sizeof(index), "%s/index", v.e->repo);
    files = engine_files(v.e->repo);
    for (size_t i = 0; i < files.n; i++) {
        const char *name = files.name[i];
        struct stat st;

        if (nobody_reads(name))
            continue;
        snprintf(path, sizeof(path), "%s/%s", v.e->repo, name);
        snprintf(spare, sizeof(spare), "%s/spare", v.e->dir);
        assert_int_equal(stat(path, &st), 0);
        for (int part = -1; part < 16; part++) {
            engine_copy(v.e->repo, spare);
            if (part < 0)
                assert_int_equal(unlink(path), 0);
            else
                assert_int_equal(truncate(path, st.st_size * part / 16), 0);
            look(&v);
            /* That a lease, a set or a point is not there at all is what it looks like after prune or rm. */
            if (part >= 0 || starts(name, "index/") || starts(name, "config") || starts(name, "keys"))
                judge(&v, name);
            if (part < 0 && starts(name, "copies/")) /* as an older program leaves it */
                assert_true(v.opened && !v.n_bad);
            if (part < 0 && starts(name, "packs/"))
                assert_true(v.opened && !(v.host[0].bad && v.host[1].bad) && !(v.host[0].bad & ~v.named[0]) &&
                            !(v.host[1].bad & ~v.named[1]));
            engine_copy(spare, v.e->repo);
        }
    }
    engine_files_free(&files);
    victim_free(&v);
}

/* A backup and a prune work although condemned sets and leases are damaged, and the prune takes the set back. */
static void test_condemned__damaged__stops_nobody(void **state)
{
    struct victim v;
    struct engine_files files;
    struct bdr_repo *repo = NULL;
    struct bdr_backup_result r;
    char path[320];
    size_t sets = 0;

    victim_make(&v, *state, false, "lz4");
    files = engine_files(v.e->repo);
    for (size_t i = 0; i < files.n; i++)
        if (starts(files.name[i], "condemned/") || starts(files.name[i], "leases/")) {
            snprintf(path, sizeof(path), "%s/%s", v.e->repo, files.name[i]);
            flip(path, 110, 1);
            sets += starts(files.name[i], "condemned/");
        }
    engine_files_free(&files);
    assert_true(sets > 0);
    engine_ok(victim_open(&v, &repo));
    r = engine_backup(repo, v.host[0].image, "third", NULL);
    assert_true(r.new_bytes > 0); /* no pack is trusted */
    engine_same(repo, r.point_id, v.host[0].image);
    engine_prune(repo);
    engine_prune(repo);
    files = engine_files(v.e->repo);
    for (size_t i = 0; i < files.n; i++)
        assert_false(starts(files.name[i], "condemned/"));
    engine_files_free(&files);
    engine_same(repo, r.point_id, v.host[0].image);
    engine_same(repo, v.host[1].point, v.host[1].image);
    bdr_repo_close(repo);
    victim_free(&v);
}

/* Garbage, another repository's index, one of zeros: all are thrown away. */
static void test_index__garbage__is_made_again(void **state)
{
    struct victim v;
    char data[160], lock[160];

    victim_make(&v, *state, false, "zstd");
    snprintf(data, sizeof(data), "%s/index/data.mdb", v.e->repo);
    snprintf(lock, sizeof(lock), "%s/index/lock.mdb", v.e->repo);
    for (int kind = 0; kind < 6; kind++) {
        struct stat st;

        assert_int_equal(stat(data, &st), 0);
        if (kind == 0)
            assert_int_equal(truncate(data, 0), 0);
        if (kind == 1) {
            assert_int_equal(truncate(data, 0), 0);
            assert_int_equal(truncate(data, st.st_size), 0);
        }
        if (kind == 2)
            engine_image(data, (uint64_t)st.st_size + 5000, 5);
        if (kind == 3)
            engine_scribble(data, 8192, (uint64_t)st.st_size - 8192, 6);
        if (kind == 4)
            engine_image(lock, 8192, 7);
        if (kind == 5)
            assert_int_equal(unlink(data), 0);
        look(&v);
        judge(&v, "index/data.mdb");
    }
    victim_free(&v);
}

static void rebuild_bad(void *ctx, const char *pack, struct bdr_err *err)
{
    (void)pack;
    ++*(size_t *)ctx;
    bdr_err_free(err);
}

/* rebuild-index recovers while others do not use the index, and is refused while they do. */
static void test_rebuild__always_recovers(void **state)
{
    struct victim v;
    struct bdr_repo *repo = NULL, *other = NULL;
    struct bdr_repo_options opt = {.fresh_index = true};
    uint64_t packs = 0;
    size_t bad = 0;

    victim_make(&v, *state, false, "zstd");
    engine_scribble(engine_path(v.e, "repo/index/data.mdb"), 4096, 20000, 3);
    engine_ok(bdr_repo_open(v.e->repo, &opt, &repo));
    engine_ok(bdr_repo_rebuild(repo, rebuild_bad, &bad, &packs));
    assert_true(packs >= 4);
    assert_int_equal(bad, 0);
    engine_verify_clean(repo);
    engine_fails(bdr_repo_open(v.e->repo, &opt, &other), BDR_BUSY);
    engine_same(repo, v.host[0].point, v.host[0].image);
    bdr_repo_close(repo);
    victim_free(&v);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        T(test_flip__plain_none__is_named),
        T(test_flip__plain_zstd__is_named),
        T(test_flip__encrypted_zstd__is_named),
        T(test_flip__encrypted_lz4__is_named),
        T(test_torn__every_file__is_named),
        T(test_condemned__damaged__stops_nobody),
        T(test_index__garbage__is_made_again),
        T(test_rebuild__always_recovers),
    };

    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
