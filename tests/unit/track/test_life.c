/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_life.c - what happens to tracking when processes die, disks change and pins are tampered with.
 *
 * The rule that all of these try to break: what a token or a handle tells after that is complete, or it says STALE.
 */
#include "bdr/osfile.h"
#include "live/track_priv.h"
#include "loopdisk.h"
#include <bpf/bpf.h>
#include <glob.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct scratch at;
static struct loopdisk disk;

/* ---- a story's beginning and end ---- */

static struct bdr_track *opened(void)
{
    struct bdr_track *t = NULL;

    OK(bdr_track_open(disk.dev, &t));
    return t;
}

/* A token of now, at rest. */
static char *token_now(struct bdr_track *t, uint64_t *out_seq)
{
    struct bdr_track_counts counts;
    char *token = NULL;

    OK(bdr_track_cut(t, out_seq));
    OK(bdr_track_counts(t, &counts));
    OK(bdr_track_token(t, *out_seq, &counts, true, &token));
    return token;
}

static bool told(struct bdr_track *t, uint64_t seq, uint64_t off, uint64_t len)
{
    struct told text = {0};

    OK(bdr_track_changes(t, seq, off, len, told_put, &text));
    return text.at > 0;
}

/* After whatever happened: with this token either everything since is told, or nothing is promised. True: resumed. */
static bool token_holds(const char *token, uint64_t written_off)
{
    struct bdr_track *t = opened();
    struct bdr_track_base base;
    struct bdr_track_counts now;
    int64_t missed = 0;
    struct bdr_err *err = bdr_track_resume(t, token, &base);
    bool good = !err;

    if (err) {
        assert_int_equal(err->code, BDR_STALE);
        bdr_err_free(err);
    } else {
        assert_true(told(t, base.seq, written_off, GRANULE));
        OK(bdr_track_counts(t, &now));
        OK(bdr_track_missed(&base.counts, &now, &missed));
        if (base.exact)
            assert_int_equal(missed, 0);
    }
    bdr_track_close(t);
    return good;
}

static int story_begin(void **state)
{
    (void)state;
    track_program_version = 1;
    loopdisk_make(&disk, &at, "life", 32 * MIB);
    OK(bdr_track_start(disk.dev));
    return 0;
}

static int story_end(void **state)
{
    (void)state;
    track_program_version = 1;
    OK(bdr_track_stop(NULL));
    loopdisk_end(&disk);
    return 0;
}

/* ---- death ---- */

/* Calls that change something that outlives the process; a death is told apart only by which of them were done. */
static bool lasting(const struct __ptrace_syscall_info *s)
{
    switch (s->entry.nr) {
    case SYS_bpf:
        return s->entry.args[0] == BPF_MAP_UPDATE_ELEM || s->entry.args[0] == BPF_MAP_DELETE_ELEM ||
               s->entry.args[0] == BPF_OBJ_PIN || s->entry.args[0] == BPF_RAW_TRACEPOINT_OPEN ||
               s->entry.args[0] == BPF_LINK_CREATE;
#ifdef SYS_mkdir
    case SYS_mkdir:
    case SYS_rename:
    case SYS_unlink:
    case SYS_rmdir:
#endif
    case SYS_mkdirat:
    case SYS_renameat2:
    case SYS_unlinkat:
        return true;
    default:
        return false;
    }
}

/* Runs `what` in a process that is killed before its n-th lasting call (from 0); false when it ended before that. */
static bool killed_at(void (*what)(void), unsigned n)
{
    pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (!pid) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        what();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (;;) {
        struct __ptrace_syscall_info info = {0};

        ptrace(PTRACE_SYSCALL, pid, 0, 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
            return false;
        }
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info);
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY && lasting(&info) && !n--)
            break;
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return true;
}

static void do_start(void)
{
    OK(bdr_track_start(disk.dev));
}
static void do_upgrade(void)
{
    track_program_version++;
    OK(bdr_track_start(disk.dev));
}
static void do_open(void)
{
    bdr_track_close(opened());
}
static void do_stop(void)
{
    OK(bdr_track_stop(NULL));
}

static void test_life__starter_killed_at_each_step__next_start_tracks(void **state)
{
    unsigned n = 0;

    (void)state;
    for (bool killed = true; killed; n++) {
        struct bdr_track *t;
        uint64_t seq;
        char *token;

        OK(bdr_track_stop(NULL));
        killed = killed_at(do_start, n);
        OK(bdr_track_start(disk.dev));
        t = opened();
        loopdisk_write(&disk, 0, 4096);
        token = token_now(t, &seq);
        loopdisk_write(&disk, 5 * GRANULE, 4096);
        assert_true(told(t, 0, 0, GRANULE) && told(t, seq, 5 * GRANULE, 1) && !told(t, seq, 0, GRANULE));
        bdr_track_close(t);
        assert_true(token_holds(token, 5 * GRANULE));
        free(token);
    }
    print_message("    killed before each of %u steps\n", n - 1);
    assert_in_range(n, 8, 40);
}

/* again: the new version is tried again after the death, else the old one goes on. */
static unsigned check_upgrades(bool again)
{
    unsigned n = 0;

    for (bool killed = true; killed; n++) {
        struct bdr_track *t = opened();
        uint64_t seq;
        char *token = token_now(t, &seq);

        killed = killed_at(do_upgrade, n);
        loopdisk_write(&disk, 7 * GRANULE, 4096);
        assert_true(told(t, seq, 7 * GRANULE, 1)); /* the old programs or the new ones or both, at each moment */
        track_program_version += again;
        OK(bdr_track_start(disk.dev));
        loopdisk_write(&disk, 8 * GRANULE, 4096);
        bdr_track_close(t);
        assert_true(token_holds(token, 7 * GRANULE) && token_holds(token, 8 * GRANULE));
        free(token);
    }
    return n;
}

static void test_life__upgrade_killed_at_each_step__tokens_hold(void **state)
{
    struct bdr_track *t = opened();
    struct bdr_track_base base;
    uint64_t seq;
    char *token = token_now(t, &seq);

    (void)state;
    OK(bdr_track_resume(t, token, &base));
    assert_true(base.exact);
    assert_in_range(check_upgrades(false), 6, 40);
    assert_in_range(check_upgrades(true), 6, 40);
    OK(bdr_track_resume(t, token, &base));
    assert_false(base.exact); /* other programs have counted */
    bdr_track_close(t);
    free(token);
}

static void test_life__grower_killed_at_each_step__nothing_is_lost(void **state)
{
    unsigned n = 0;

    (void)state;
    for (bool killed = true; killed; n++) {
        struct bdr_track *t = opened();
        uint64_t seq, old = disk.size;
        char *token = token_now(t, &seq);

        loopdisk_write(&disk, 3 * GRANULE, 4096);
        loopdisk_grow(&disk, disk.size + 3 * MIB + 4096);
        killed = killed_at(do_open, n);
        loopdisk_write(&disk, 9 * GRANULE, 4096);
        loopdisk_write(&disk, disk.size - 4096, 4096);
        assert_true(told(t, seq, old, disk.size - old)); /* the old handle follows */
        bdr_track_close(t);
        assert_true(token_holds(token, 3 * GRANULE) && token_holds(token, 9 * GRANULE) && token_holds(token, old));
        free(token);
    }
    assert_in_range(n, 2, 10);
}

static void test_life__stopper_killed_at_each_step__stopped_or_whole(void **state)
{
    unsigned n = 0;

    (void)state;
    for (bool killed = true; killed; n++) {
        struct bdr_track *t;
        struct bdr_track_base base;
        struct told text = {0};
        uint64_t seq;
        char *token;

        OK(bdr_track_start(disk.dev));
        t = opened();
        token = token_now(t, &seq);
        killed = killed_at(do_stop, n);
        if (n || !killed) { /* before the first step nothing has changed */
            FAILS(STALE, "", bdr_track_changes(t, seq, 0, disk.size, told_put, &text));
            assert_true(bdr_track_touched(t, seq, 0, 1));
            OK(bdr_track_start(disk.dev));
            bdr_track_close(t);
            t = opened();
            FAILS(STALE, "", bdr_track_resume(t, token, &base));
        }
        bdr_track_close(t);
        free(token);
    }
    assert_in_range(n, 4, 20);
}

static void test_life__no_process_left__tracking_goes_on(void **state)
{
    struct bdr_track *t;
    uint64_t seq;
    char *token;
    pid_t pid;
    int status;

    (void)state;
    OK(bdr_track_stop(NULL));
    pid = fork();
    if (!pid) {
        do_start();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    loopdisk_write(&disk, 2 * GRANULE, 4096);
    t = opened();
    assert_true(told(t, 0, 2 * GRANULE, 1));
    token = token_now(t, &seq);
    bdr_track_close(t);
    loopdisk_write(&disk, 4 * GRANULE, 4096);
    assert_true(token_holds(token, 4 * GRANULE));
    free(token);
}

/* ---- disks that change ---- */

static void test_life__another_medium_in_the_drive__stale(void **state)
{
    struct bdr_track *t = opened();
    struct bdr_track_base base;
    struct bdr_track_status *rows = NULL;
    struct loop_config config = {.block_size = 512};
    struct told text = {0};
    size_t n = 0;
    uint64_t seq;
    char *token = token_now(t, &seq);

    (void)state;
    assert_int_equal(ioctl(disk.fd, LOOP_CLR_FD, 0), 0);
    close(disk.fd);
    disk.fd = open(disk.dev, O_RDWR | O_CLOEXEC);
    config.fd = (uint32_t)disk.backing;
    if (ioctl(disk.fd, LOOP_CONFIGURE, &config)) {
        print_message("    another test has taken %s\n", disk.dev);
        bdr_track_close(t);
        free(token);
        skip();
    }
    FAILS(STALE, "another disk", bdr_track_changes(t, seq, 0, MIB, told_put, &text));
    FAILS(STALE, "another disk", bdr_track_cut(t, &seq));
    OK(bdr_track_list(&rows, &n));
    assert_int_equal(n, 1);
    assert_non_null(strstr(rows[0].trouble, "another disk"));
    free(rows);
    bdr_track_close(t);
    t = NULL;
    FAILS(NOTFOUND, "another disk", bdr_track_open(disk.dev, &t));
    OK(bdr_track_start(disk.dev));
    t = opened();
    FAILS(STALE, "another disk", bdr_track_resume(t, token, &base));
    bdr_track_close(t);
    free(token);
}

static void test_life__shrunk_disk__tracking_begins_anew_and_says_so(void **state)
{
    struct bdr_track *t = opened();
    struct bdr_track_status *rows = NULL;
    struct bdr_track_base base;
    uint64_t seq;
    size_t n = 0;
    char *token = token_now(t, &seq);

    (void)state;
    loopdisk_grow(&disk, 16 * MIB);
    FAILS(STALE, "shrank", bdr_track_cut(t, &seq));
    bdr_track_close(t);
    OK(bdr_track_start(disk.dev));
    OK(bdr_track_list(&rows, &n));
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].size_bytes, 16 * MIB);
    assert_non_null(strstr(rows[0].trouble, "shrank"));
    free(rows);
    t = opened();
    FAILS(STALE, "shrank", bdr_track_resume(t, token, &base));
    bdr_track_close(t);
    free(token);
}

static void growing_write(void)
{
    loopdisk_write(&disk, 21 * GRANULE, 4096);
}

static void test_life__write_while_the_map_is_copied__is_carried_over(void **state)
{
    struct bdr_track *t = opened();
    uint64_t seq;
    char *token = token_now(t, &seq);

    (void)state;
    loopdisk_grow(&disk, disk.size + MIB);
    track_map_growing = growing_write;
    bdr_track_close(opened());
    track_map_growing = NULL;
    assert_true(told(t, seq, 21 * GRANULE, GRANULE));
    assert_false(told(t, seq, 20 * GRANULE, GRANULE));
    bdr_track_close(t);
    assert_true(token_holds(token, 21 * GRANULE)); /* and it was counted */
    free(token);
}

/* Writers of single granules in turn; each granule they wrote must be told although the map is swapped meanwhile. */
struct writer {
    struct loopdisk *d;
    uint64_t granules, done;
    atomic_bool stop;
};
static void *writer_run(void *ctx)
{
    struct writer *w = ctx;

    while (!atomic_load(&w->stop) && w->done < w->granules)
        loopdisk_write(w->d, w->done++ * GRANULE, 4096);
    return NULL;
}

static void test_life__disk_grows_under_writes__no_mark_is_lost(void **state)
{
    struct writer w = {.d = &disk, .granules = 30 * MIB / GRANULE};
    struct bdr_track *t = opened();
    uint64_t old = disk.size, seq;
    char *token = token_now(t, &seq);
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, writer_run, &w), 0);
    for (int i = 0; i < 12; i++) {
        loopdisk_grow(&disk, disk.size + MIB);
        bdr_track_close(opened());
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    assert_true(w.done);
    for (uint64_t i = 0; i < w.done; i++)
        assert_true(told(t, seq, i * GRANULE, GRANULE));
    for (uint64_t i = w.done; i < old / GRANULE - 1; i++)
        assert_false(told(t, seq, i * GRANULE, GRANULE));
    assert_true(told(t, seq, old, disk.size - old));
    bdr_track_close(t);
    assert_true(token_holds(token, 0)); /* and no count either */
    free(token);
}

/* ---- tampering ---- */

/* Path of something below the pins; `what` may be "disks" or a hook's name in the only set of programs. */
static void pin_path(const char *what, char out[300])
{
    char pattern[200];
    glob_t found;

    if (!strcmp(what, "disks")) {
        snprintf(out, 300, "%s/disks", at.pins);
        return;
    }
    snprintf(pattern, sizeof(pattern), "%s/prog-*", at.pins);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_int_equal(found.gl_pathc, 1);
    snprintf(out, 300, "%s/%s", found.gl_pathv[0], what);
    globfree(&found);
}

static void check_hook_removed(const char *hook)
{
    struct bdr_track *t = opened();
    struct bdr_track_status *rows = NULL;
    struct bdr_track_base base;
    struct told text = {0};
    char path[300];
    size_t n = 0;
    uint64_t seq;
    char *token = token_now(t, &seq);

    pin_path(hook, path);
    assert_int_equal(unlink(path), 0);
    FAILS(STALE, hook, bdr_track_changes(t, seq, 0, MIB, told_put, &text));
    FAILS(STALE, hook, bdr_track_cut(t, &seq));
    FAILS(STALE, hook, bdr_track_resume(t, token, &base));
    OK(bdr_track_list(&rows, &n));
    assert_non_null(strstr(rows[0].trouble, hook));
    free(rows);
    bdr_track_close(t);
    OK(bdr_track_start(disk.dev)); /* mends it; what was before is not known */
    t = opened();
    FAILS(STALE, "interrupted", bdr_track_resume(t, token, &base));
    free(token);
    token = token_now(t, &seq);
    bdr_track_close(t);
    loopdisk_write(&disk, 0, 4096);
    assert_true(token_holds(token, 0));
    free(token);
}

static void test_life__hook_removed__everybody_is_told(void **state)
{
    (void)state;
    check_hook_removed("bio_queue");
    check_hook_removed("rq_complete");
}

/* The programs are all there and see nothing: only the counts can tell. */
static void test_life__writes_that_no_program_saw__are_counted(void **state)
{
    struct bdr_track *t = opened();
    uint32_t key = track_disk_key(t->disk.major, t->disk.minor);
    BDR_AUTO(fd) int table = -1;
    struct bdr_track_counts base, now;
    int64_t missed = 0;

    (void)state;
    OK(track_pins_disks(&table));
    OK(bdr_track_counts(t, &base));
    loopdisk_write(&disk, 0, 8192);
    OK(bdr_track_counts(t, &now));
    OK(bdr_track_missed(&base, &now, &missed));
    assert_int_equal(missed, 0);
    assert_int_equal(bpf_map_delete_elem(table, &key), 0);
    loopdisk_write(&disk, 65536, 8192);
    OK(track_pins_put(table, key, t->map->fd));
    OK(bdr_track_counts(t, &now));
    OK(bdr_track_missed(&base, &now, &missed));
    assert_int_equal(missed, 16);
    t->map->counts[3].write_sectors += 40; /* skewed the other way */
    OK(bdr_track_counts(t, &now));
    OK(bdr_track_missed(&base, &now, &missed));
    assert_int_equal(missed, 16 - 40);
    FAILS(STALE, "backwards", bdr_track_missed(&now, &base, &missed));
    bdr_track_close(t);
}

static void test_life__damaged_map__is_told(void **state)
{
    struct bdr_track *t = opened();
    struct bdr_track_status *rows = NULL;
    struct bdr_track_base base;
    struct told text = {0};
    size_t n = 0;
    uint64_t seq;
    char *token = token_now(t, &seq);

    (void)state;
    t->map->marks[11] = 61; /* a name nobody gave */
    assert_true(told(t, seq, 11 * GRANULE, GRANULE));
    OK(bdr_track_list(&rows, &n));
    assert_non_null(strstr(rows[0].trouble, "damaged"));
    free(rows);
    t->map->marks[11] = 0;
    t->map->head->size_bytes ^= 4096;
    FAILS(STALE, "damaged", bdr_track_changes(t, seq, 0, MIB, told_put, &text));
    OK(bdr_track_list(&rows, &n));
    assert_non_null(strstr(rows[0].trouble, "damaged"));
    free(rows);
    bdr_track_close(t);
    t = NULL;
    FAILS(NOTFOUND, "damaged", bdr_track_open(disk.dev, &t));
    OK(bdr_track_start(disk.dev));
    t = opened();
    FAILS(STALE, "", bdr_track_resume(t, token, &base));
    bdr_track_close(t);
    free(token);
}

static void test_life__grower_that_died_between_two_stores__stale(void **state)
{
    struct bdr_track *t = opened();
    struct bdr_track_base base;
    uint64_t seq;
    char *token = token_now(t, &seq);

    (void)state;
    t->map->head->cbt.state = TRACK_GROWING;
    FAILS(STALE, "enlarged", bdr_track_resume(t, token, &base));
    bdr_track_close(t);
    OK(bdr_track_start(disk.dev));
    t = opened();
    FAILS(STALE, "enlarged", bdr_track_resume(t, token, &base));
    bdr_track_close(t);
    free(token);
}

static void test_life__foreign_pins__are_not_believed(void **state)
{
    struct bdr_track *t = NULL;
    char path[300];
    int fd;

    (void)state;
    OK(bdr_track_stop(NULL));
    assert_int_equal(mkdir(at.pins, 0700), 0);
    pin_path("disks", path);
    fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "foreign", 4, 4, 1, NULL);
    assert_int_equal(bpf_obj_pin(fd, path), 0);
    FAILS(CORRUPT, "not the table", bdr_track_open(disk.dev, &t));
    OK(bdr_track_start(disk.dev)); /* takes the place: the folder is ours */
    pin_path("bio_queue", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(bpf_obj_pin(fd, path), 0);
    close(fd);
    t = opened();
    FAILS(STALE, "bio_queue", bdr_track_cut(t, &(uint64_t){0}));
    bdr_track_close(t);
    OK(bdr_track_start(disk.dev));
    bdr_track_close(opened());
    assert_int_equal(chmod(at.pins, 0777), 0);
    FAILS(DENIED, "not ours alone", bdr_track_start(disk.dev));
    assert_int_equal(chmod(at.pins, 0700), 0);
}

/* ---- many generations ---- */

static void test_life__a_thousand_generations_under_writes__nothing_is_forgotten(void **state)
{
    enum { GENS = 1100, KEPT = 5 };
    uint64_t granules = disk.size / GRANULE, seed = 4711;
    uint64_t *last = calloc(granules, sizeof(*last)), kept[KEPT] = {0};
    struct bdr_track *t = opened();

    (void)state;
    assert_non_null(last);
    for (unsigned g = 0; g < GENS; g++) {
        uint64_t seq = 0;

        for (unsigned i = 0; i < 3; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            loopdisk_write(&disk, (seed >> 33) % granules * GRANULE, 4096);
            last[(seed >> 33) % granules] = g + 1;
        }
        OK(bdr_track_cut(t, &seq));
        assert_int_equal(seq, g + 1);
        if (g % 40 == 0) {
            OK(bdr_track_keep(t, seq));
            kept[g / 40 % KEPT] = seq;
        }
        for (unsigned k = 0; g % 100 == 99 && k < KEPT; k++)
            for (uint64_t i = 0; i < granules; i++) {
                bool is = told(t, kept[k], i * GRANULE, GRANULE);

                if (is != (last[i] > kept[k]))
                    fail_msg("granule %u of generation %u after %u: told %d", (unsigned)i, (unsigned)last[i],
                             (unsigned)kept[k], is);
            }
    }
    bdr_track_close(t);
    free(last);
}

static int setup(void **state)
{
    (void)state;
    scratch_begin(&at);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    scratch_end(&at);
    return 0;
}

#define STORY(name) cmocka_unit_test_setup_teardown(test_life__##name, story_begin, story_end)
/* argv[1]: "deaths" or the others; two programs' worth of time. */
int main(int argc, char **argv)
{
    const struct CMUnitTest deaths[] = {
        STORY(starter_killed_at_each_step__next_start_tracks),
        STORY(upgrade_killed_at_each_step__tokens_hold),
        STORY(grower_killed_at_each_step__nothing_is_lost),
        STORY(stopper_killed_at_each_step__stopped_or_whole),
        STORY(no_process_left__tracking_goes_on),
    };
    const struct CMUnitTest changes[] = {
        STORY(another_medium_in_the_drive__stale),
        STORY(shrunk_disk__tracking_begins_anew_and_says_so),
        STORY(write_while_the_map_is_copied__is_carried_over),
        STORY(disk_grows_under_writes__no_mark_is_lost),
        STORY(hook_removed__everybody_is_told),
        STORY(writes_that_no_program_saw__are_counted),
        STORY(damaged_map__is_told),
        STORY(grower_that_died_between_two_stores__stale),
        STORY(foreign_pins__are_not_believed),
        STORY(a_thousand_generations_under_writes__nothing_is_forgotten),
    };
    const char *why = scratch_why_not();

    if (why) {
        printf("%s\n", why);
        return 77;
    }
    if (argc > 1 && !strcmp(argv[1], "deaths"))
        return cmocka_run_group_tests(deaths, setup, teardown);
    return cmocka_run_group_tests(changes, setup, teardown);
}
