/* SPDX-License-Identifier: Apache-2.0 */
/*
 * track_pins.c - the folder below bpffs that keeps table and programs alive without any process.
 *
 *   /sys/fs/bpf/openbdr/v1/disks                                       the table: dev -> one disk's map
 *   /sys/fs/bpf/openbdr/v1/prog-LAYOUT-VERSION-NUMBER/{bio_queue,rq_complete}   links of the running programs
 *   /sys/fs/bpf/openbdr/v1/new-NUMBER/                                 such a folder in the making
 *
 * A set of programs is complete or it is not there: the folder is renamed when both links are in it. Who died while
 * two sets were attached leaves doubled counts: cleaning up gives the set another number, and counts of different
 * numbers are not compared. The lock is flock() on the folder itself, so it needs no file elsewhere.
 */
#include "bdr/bytes.h"
#include "bdr/cancel.h"
#include "bdr/osfile.h"
#include "cbt.skel.h"
#include "track_priv.h"
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define PINS_BPFFS   "/sys/fs/bpf"
#define PINS_FOLDER  PINS_BPFFS "/openbdr/v1"
#define PINS_PATH    256
#define PINS_LOCK_MS 30000
#define PINS_SETS    16

uint32_t track_program_version = 2; /* one more whenever cbt.bpf.c changes: a start then replaces what is pinned */
bool track_program_loses;

static const struct pins_hook {
    const char *file, *program;
} pins_hooks[] = {{"bio_queue", "cbt_bio_queue"}, {"rq_complete", "cbt_rq_complete"}};

const char *track_pins_folder(void)
{
    const char *env = getenv("BDR_TRACK_PINS");

    return env && env[0] ? env : PINS_FOLDER;
}

static struct bdr_err *pins_path(char out[PINS_PATH], const char *folder, const char *file)
{
    int n = snprintf(out, PINS_PATH, "%s%s%s%s%s", track_pins_folder(), folder[0] ? "/" : "", folder,
                     file[0] ? "/" : "", file);

    if (n < 0 || n >= PINS_PATH)
        BDR_FAIL(BDR_INVAL, 0, "BDR_TRACK_PINS is too long");
    return NULL;
}

/* ---- folder and lock ---- */

/* Mounts bpffs where it belongs when nobody has; under a lock, or two of us would mount one over the other's pins. */
static struct bdr_err *pins_mount(void)
{
    BDR_AUTO(fd) int fd = -1;
    struct statfs fs;

    for (unsigned waited = 0;; waited += 10) {
        if (statfs(PINS_BPFFS, &fs))
            BDR_FAIL_ERRNO("looking at %s", PINS_BPFFS);
        if ((unsigned long)fs.f_type == BPF_FS_MAGIC)
            return NULL;
        if (fd >= 0)
            break;
        fd = open(PINS_BPFFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
            close(bdr_fd_steal(&fd));
            if (waited >= PINS_LOCK_MS)
                BDR_FAIL(BDR_BUSY, 0, "somebody holds %s", PINS_BPFFS);
            BDR_TRY(bdr_cancel_sleep(NULL, 10));
        } else if (fd < 0) {
            BDR_FAIL_ERRNO("opening %s", PINS_BPFFS);
        }
    }
    if (mount("bpf", PINS_BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME, "mode=0700"))
        BDR_FAIL_ERRNO("mounting bpffs at %s", PINS_BPFFS);
    return NULL;
}

static struct bdr_err *pins_make(void)
{
    const char *folder = track_pins_folder();

    if (strncmp(folder, PINS_BPFFS "/", strlen(PINS_BPFFS "/")))
        BDR_FAIL(BDR_INVAL, 0, "BDR_TRACK_PINS must be below %s", PINS_BPFFS);
    BDR_TRY(pins_mount());
    return bdr_os_mkdirs(folder);
}

static struct bdr_err *pins_open(int *out_fd)
{
    const char *folder = track_pins_folder();
    BDR_AUTO(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        BDR_FAIL(BDR_NOTFOUND, 0, "no disk of this machine is tracked");
    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s", folder);
    if (fstat(fd, &st))
        BDR_FAIL_ERRNO("looking at %s", folder);
    if (st.st_uid != geteuid() || st.st_mode & 022)
        BDR_FAIL(BDR_DENIED, 0, "%s is not ours alone: somebody else could have put anything there", folder);
    *out_fd = bdr_fd_steal(&fd);
    return NULL;
}

struct bdr_err *track_pins_lock(bool make, int *out_fd)
{
    for (unsigned waited = 0;; waited += 10) {
        BDR_AUTO(fd) int fd = -1;
        struct stat mine, there;

        if (make)
            BDR_TRY(pins_make());
        BDR_TRY(pins_open(&fd));
        if (!flock(fd, LOCK_EX | LOCK_NB)) {
            if (!fstat(fd, &mine) && !stat(track_pins_folder(), &there) && mine.st_ino == there.st_ino) {
                *out_fd = bdr_fd_steal(&fd);
                return NULL;
            } /* else: whoever had the lock removed the folder */
        } else if (errno != EWOULDBLOCK && errno != EINTR) {
            BDR_FAIL_ERRNO("locking %s", track_pins_folder());
        }
        if (waited >= PINS_LOCK_MS)
            BDR_FAIL(BDR_BUSY, 0, "another process has been changing the tracker for %u s", PINS_LOCK_MS / 1000);
        BDR_TRY(bdr_cancel_sleep(NULL, 10));
    }
}

/* ---- the table ---- */

static bool pins_is_table(int fd, struct bpf_map_info *info)
{
    uint32_t len = sizeof(*info);

    memset(info, 0, sizeof(*info));
    return !bpf_obj_get_info_by_fd(fd, info, &len) && info->type == BPF_MAP_TYPE_HASH_OF_MAPS &&
           info->key_size == sizeof(uint32_t) && info->value_size == sizeof(uint32_t);
}

struct bdr_err *track_pins_disks(int *out_fd)
{
    BDR_AUTO(fd) int fd = -1;
    char path[PINS_PATH];
    struct bpf_map_info info;

    BDR_TRY(pins_path(path, "disks", ""));
    fd = bpf_obj_get(path);
    if (fd < 0 && errno == ENOENT)
        BDR_FAIL(BDR_NOTFOUND, 0, "no disk of this machine is tracked");
    if (fd < 0 && (errno == EACCES || errno == EPERM) && geteuid())
        BDR_FAIL_ERRNO("opening %s", path);
    if (fd < 0 || !pins_is_table(fd, &info))
        BDR_FAIL(BDR_CORRUPT, 0, "%s is not the table of tracked disks", path);
    *out_fd = bdr_fd_steal(&fd);
    return NULL;
}

struct bdr_err *track_pins_find(int disks_fd, uint32_t key, uint32_t *out_id)
{
    uint32_t id;

    if (bpf_map_lookup_elem(disks_fd, &key, &id)) {
        if (errno == ENOENT)
            BDR_FAIL(BDR_NOTFOUND, 0, "the disk %u:%u is not tracked", key >> 20, key & 0xfffff);
        BDR_FAIL_ERRNO("looking up a tracked disk");
    }
    *out_id = id;
    return NULL;
}

struct bdr_err *track_pins_put(int disks_fd, uint32_t key, int map_fd)
{
    if (bpf_map_update_elem(disks_fd, &key, &map_fd, BPF_ANY))
        BDR_FAIL_ERRNO("putting a disk into the table of tracked disks");
    return NULL;
}

/*
 * An update of any map of maps returns after a grace period of RCU, under which all programs of tracepoints run: that
 * is there for exactly this (maybe_wait_bpf_programs in kernel/bpf/syscall.c, since 4.20). membarrier(GLOBAL) would do
 * the same but does nothing while one CPU is online, and is refused with nohz_full.
 */
struct bdr_err *track_pins_barrier(void)
{
    BDR_AUTO(fd) int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bdr_barrier", 4, 8, 1, NULL);
    BDR_AUTO(fd) int outer = -1;
    uint32_t zero = 0;
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = 0);

    opts.inner_map_fd = (uint32_t)inner;
    if (inner >= 0)
        outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "bdr_barrier", 4, 4, 1, &opts);
    if (outer < 0 || bpf_map_update_elem(outer, &zero, &inner, BPF_ANY))
        BDR_FAIL_ERRNO("waiting for the kernel's running programs");
    return NULL;
}

/* ---- sets of programs ---- */

struct pins_set {
    char folder[64];
    unsigned layout, version;
    uint64_t number;
    bool making;         /* new-... */
    const char *missing; /* the first hook that is not as it should be; NULL: complete */
};

/* Is this pin a link of our program of that name, which marks in the table with this id? */
static bool pins_link_good(const char *path, const char *program, uint32_t table_id)
{
    BDR_AUTO(fd) int link = bpf_obj_get(path);
    BDR_AUTO(fd) int prog = -1;
    struct bpf_link_info li = {0};
    struct bpf_prog_info pi = {0};
    uint32_t len = sizeof(li), maps[8];

    if (link < 0 || bpf_obj_get_info_by_fd(link, &li, &len))
        return false;
    if (li.type != BPF_LINK_TYPE_RAW_TRACEPOINT && li.type != BPF_LINK_TYPE_TRACING)
        return false; /* a map's info has other members at the same place: the program is looked at next */
    prog = bpf_prog_get_fd_by_id(li.prog_id);
    pi.nr_map_ids = BDR_COUNT(maps);
    pi.map_ids = (uint64_t)(uintptr_t)maps;
    len = sizeof(pi);
    if (prog < 0 || bpf_obj_get_info_by_fd(prog, &pi, &len) || strcmp(pi.name, program))
        return false;
    for (uint32_t i = 0; i < pi.nr_map_ids && i < BDR_COUNT(maps); i++)
        if (maps[i] == table_id)
            return true;
    return false;
}

static struct bdr_err *pins_set_look(struct pins_set *s, uint32_t table_id)
{
    char path[PINS_PATH];

    for (size_t i = 0; i < BDR_COUNT(pins_hooks); i++) {
        BDR_TRY(pins_path(path, s->folder, pins_hooks[i].file));
        if (!s->missing && !pins_link_good(path, pins_hooks[i].program, table_id))
            s->missing = pins_hooks[i].file;
    }
    return NULL;
}

static bool pins_set_named(const char *name, struct pins_set *out)
{
    unsigned long long number;
    int used = 0;

    if (strlen(name) >= sizeof(out->folder))
        return false;
    *out = (struct pins_set){.making = !strncmp(name, "new-", 4)};
    snprintf(out->folder, sizeof(out->folder), "%s", name);
    if (out->making)
        return true;
    if (sscanf(name, "prog-%u-%u-%16llx%n", &out->layout, &out->version, &number, &used) != 3 || name[used])
        return false;
    out->number = number;
    return true;
}

/* All sets, complete or not; more than fit are a mess that nobody but an attacker makes. */
static struct bdr_err *pins_sets(uint32_t table_id, struct pins_set *out, size_t *out_n)
{
    DIR *dir = opendir(track_pins_folder());
    struct bdr_err *err = NULL;
    struct dirent *e;
    size_t n = 0;

    if (!dir && errno == ENOENT)
        BDR_FAIL(BDR_NOTFOUND, 0, "no disk of this machine is tracked");
    if (!dir)
        BDR_FAIL_ERRNO("opening %s", track_pins_folder());
    while (!err && n < PINS_SETS && (e = readdir(dir)))
        if (pins_set_named(e->d_name, &out[n]))
            err = pins_set_look(&out[n++], table_id);
    closedir(dir);
    *out_n = n;
    return err;
}

struct bdr_err *track_pins_programs(uint64_t *out_programs, char why[160])
{
    struct pins_set sets[PINS_SETS];
    struct bpf_map_info info;
    BDR_AUTO(fd) int table = -1;
    size_t n = 0;

    BDR_TRY(track_pins_disks(&table));
    if (!pins_is_table(table, &info))
        BDR_FAIL(BDR_CORRUPT, 0, "the table of tracked disks is damaged");
    BDR_TRY(pins_sets(info.id, sets, &n));
    why[0] = 0;
    *out_programs = 0;
    for (size_t i = 0; i < n; i++)
        if (!sets[i].making && !sets[i].missing)
            *out_programs = n == 1 ? sets[i].number : 1; /* two sets count everything twice: a number nobody else has */
    if (*out_programs)
        return NULL;
    if (n)
        snprintf(why, 160, "the tracking program %s is not attached any more",
                 sets[0].missing ? sets[0].missing : "set");
    else
        snprintf(why, 160, "the tracking programs are not attached any more");
    return NULL;
}

static struct bdr_err *pins_set_remove(const char *folder)
{
    char path[PINS_PATH];

    BDR_TRY(pins_path(path, folder, ""));
    return bdr_os_remove_tree(path);
}

/* What libbpf says last, for our error: the verifier's text is many lines, its last ones tell. */
static _Thread_local char pins_said[400];

static int pins_print(enum libbpf_print_level level, const char *fmt, va_list args)
{
    char line[400];

    if (level != LIBBPF_WARN)
        return 0;
    vsnprintf(line, sizeof(line), fmt, args);
    line[strcspn(line, "\n")] = 0;
    if (!pins_said[0])
        memcpy(pins_said, line, sizeof(line));
    return 0;
}

static void pins_skel_free(struct cbt **sk)
{
    if (*sk)
        cbt__destroy(*sk);
}

static struct bdr_err *pins_attach(struct bpf_program *prog, const char *folder, const char *file)
{
    struct bpf_link *link = bpf_program__attach(prog);
    struct bdr_err *err;
    char path[PINS_PATH];

    if (!link)
        BDR_FAIL_ERRNO("attaching the tracking program %s (%s)", file, pins_said);
    err = pins_path(path, folder, file);
    if (!err && bpf_link__pin(link, path))
        err = bdr_err_new(bdr_code_of_errno(errno), errno, BDR_AT, "pinning %s", path);
    bpf_link__destroy(link); /* the pin keeps it */
    return err;
}

/* Loads, attaches and pins a new set. Table and set are the caller's to clean up after a failure. */
static struct bdr_err *pins_load(int table)
{
    __attribute__((cleanup(pins_skel_free))) struct cbt *sk = NULL;
    char making[PINS_PATH], made[PINS_PATH], folder[64], name[64];
    uint64_t number;

    BDR_TRY(bdr_os_random(&number, sizeof(number)));
    number |= 2; /* never 0 or 1, which mean something else */
    snprintf(folder, sizeof(folder), "new-%016llx", (unsigned long long)number);
    snprintf(name, sizeof(name), "prog-%u-%u-%016llx", CBT_LAYOUT, track_program_version, (unsigned long long)number);
    BDR_TRY(pins_path(making, folder, ""));
    BDR_TRY(pins_path(made, name, ""));
    libbpf_set_print(pins_print);
    pins_said[0] = 0;
    sk = cbt__open();
    if (sk)
        sk->rodata->cbt_lose_completions = track_program_loses;
    if (!sk || bpf_map__reuse_fd(sk->maps.disks, table) || cbt__load(sk)) {
        int e = errno;

        BDR_FAIL(e == EPERM || e == EACCES ? BDR_DENIED : BDR_UNSUPPORTED, e, "loading the tracking programs (%s)",
                 pins_said);
    }
    if (mkdir(making, 0700))
        BDR_FAIL_ERRNO("making %s", making);
    /* completion first: from the first write that is marked when queued, completions are marked too */
    BDR_TRY(pins_attach(sk->progs.cbt_rq_complete, folder, "rq_complete"));
    BDR_TRY(pins_attach(sk->progs.cbt_bio_queue, folder, "bio_queue"));
    if (rename(making, made))
        BDR_FAIL_ERRNO("renaming %s", making);
    return NULL;
}

static struct bdr_err *pins_table_make(int *out_fd)
{
    BDR_AUTO(fd) int inner = -1, fd = -1;
    char path[PINS_PATH];
    LIBBPF_OPTS(bpf_map_create_opts, inner_opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = 0);

    BDR_TRY(pins_path(path, "disks", ""));
    inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bdr_cbt_disk", 4, CBT_ELEM_BYTES, CBT_MARK_ELEM, &inner_opts);
    if (inner < 0)
        BDR_FAIL_ERRNO("making a tracking map");
    opts.inner_map_fd = (uint32_t)inner;
    fd = bpf_map_create(BPF_MAP_TYPE_HASH_OF_MAPS, "disks", 4, 4, 1024, &opts);
    if (fd < 0)
        BDR_FAIL_ERRNO("making the table of tracked disks");
    if (bpf_obj_pin(fd, path))
        BDR_FAIL_ERRNO("pinning %s", path);
    *out_fd = bdr_fd_steal(&fd);
    return NULL;
}

/* The table; made anew, without any disk, when there is none or something else is in its place. */
static struct bdr_err *pins_table(int *out_fd)
{
    struct bdr_err *err = track_pins_disks(out_fd);
    char path[PINS_PATH];

    if (!err || (err->code != BDR_NOTFOUND && err->code != BDR_CORRUPT))
        return err;
    bdr_err_drop(err, "made below");
    BDR_TRY(pins_path(path, "disks", ""));
    if (unlink(path) && errno != ENOENT)
        BDR_TRY(bdr_os_remove_tree(path));
    return pins_table_make(out_fd);
}

/* The complete set to go on with; n when there is none. */
static size_t pins_best(const struct pins_set *sets, size_t n)
{
    size_t best = n;

    for (size_t i = 0; i < n; i++)
        if (!sets[i].making && !sets[i].missing && sets[i].layout == CBT_LAYOUT &&
            (best == n || sets[i].version > sets[best].version))
            best = i;
    return best;
}

/* Removes the other sets; the one that stays gets a new number, because both counted for a while. */
static struct bdr_err *pins_alone(const struct pins_set *sets, size_t n, size_t best)
{
    char from[PINS_PATH], to[PINS_PATH], name[64];
    uint64_t number;

    for (size_t i = 0; i < n; i++)
        if (i != best)
            BDR_TRY(pins_set_remove(sets[i].folder));
    BDR_TRY(bdr_os_random(&number, sizeof(number)));
    number |= 2;
    snprintf(name, sizeof(name), "prog-%u-%u-%016llx", sets[best].layout, sets[best].version,
             (unsigned long long)number);
    BDR_TRY(pins_path(from, sets[best].folder, ""));
    BDR_TRY(pins_path(to, name, ""));
    if (rename(from, to))
        BDR_FAIL_ERRNO("renaming %s", from);
    return NULL;
}

struct bdr_err *track_pins_ensure(int *out_disks_fd, struct bdr_err *(*renew)(int disks_fd, const char *why))
{
    struct pins_set sets[PINS_SETS];
    struct bpf_map_info info;
    BDR_AUTO(fd) int table = -1;
    size_t n = 0, best;

    BDR_TRY(pins_table(&table));
    if (!pins_is_table(table, &info))
        BDR_FAIL(BDR_INTERNAL, 0, "the table of tracked disks vanished");
    BDR_TRY(pins_sets(info.id, sets, &n));
    best = pins_best(sets, n);
    if (best == n)
        BDR_TRY(renew(table, "tracking was interrupted: its programs were not all attached"));
    if (best == n || sets[best].version < track_program_version) {
        BDR_TRY(pins_load(table));
        for (size_t i = 0; i < n; i++)
            BDR_TRY(pins_set_remove(sets[i].folder));
    } else if (n > 1) {
        BDR_TRY(pins_alone(sets, n, best));
    }
    *out_disks_fd = bdr_fd_steal(&table);
    return NULL;
}

struct bdr_err *track_pins_remove(void)
{
    return bdr_os_remove_tree(track_pins_folder());
}
