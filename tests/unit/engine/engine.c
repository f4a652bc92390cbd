/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include "bdr/osfile.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

unsigned engine_workers;
const char *engine_scan_dir;

void engine_ok(struct bdr_err *err)
{
    char text[2048];

    if (!err)
        return;
    bdr_err_text(err, text, sizeof(text));
    print_error("unexpected %s at %s: %s\n", bdr_code_name(err->code), err->at, text);
    bdr_err_free(err);
    fail();
}

void engine_fails(struct bdr_err *err, enum bdr_code code)
{
    char text[2048];

    if (!err)
        fail_msg("no error, but %s was expected", bdr_code_name(code));
    if (err->code != code) {
        print_error("wrong error %s: %s\n", bdr_code_name(err->code), bdr_err_text(err, text, sizeof(text)));
        bdr_err_free(err);
        fail_msg("%s was expected", bdr_code_name(code));
    }
    bdr_err_free(err);
}

static const char *engine_place(void)
{
    const char *env = getenv("BDR_TEST_TMP");
    struct statvfs vfs;

    if (env)
        return env;
    if (!statvfs("/dev/shm", &vfs) && !access("/dev/shm", W_OK) && vfs.f_bavail * vfs.f_frsize > 2ull << 30)
        return "/dev/shm";
    return "/tmp";
}

int engine_setup(void **state)
{
    struct engine *e = calloc(1, sizeof(*e));
    int fd;

    if (!e)
        return -1;
    /* Thousands of small repositories are made here: in memory when there is enough of it. */
    snprintf(e->dir, sizeof(e->dir), "%s/bdr-test-XXXXXX", engine_place());
    if (!mkdtemp(e->dir))
        return -1;
    snprintf(e->repo, sizeof(e->repo), "%s/repo", e->dir);
    snprintf(e->pass, sizeof(e->pass), "%s/pass", e->dir);
    fd = open(e->pass, O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || write(fd, "correct horse\n", 14) != 14 || close(fd))
        return -1;
    *state = e;
    return 0;
}

int engine_teardown(void **state)
{
    struct engine *e = *state;
    pid_t pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", e->dir, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
    free(e);
    return 0;
}

void engine_init(struct engine *e, bool encrypt, const char *compress, uint32_t block_bytes)
{
    struct bdr_repo_init_options opt = {.block_bytes = block_bytes, .compress = compress, .encrypt = encrypt,
                                        .pack_bytes = 4u << 20, .passphrase_file = encrypt ? e->pass : NULL};

    engine_ok(bdr_repo_init(e->repo, &opt));
}

struct bdr_repo *engine_open(struct engine *e)
{
    struct bdr_repo *repo = NULL;

    engine_ok(bdr_repo_open(e->repo, &(struct bdr_repo_options){.passphrase_file = e->pass}, &repo));
    return repo;
}

const char *engine_path(struct engine *e, const char *name)
{
    static char paths[4][160];
    static unsigned at;
    char *p = paths[at++ % 4];

    snprintf(p, sizeof(paths[0]), "%s/%s", e->dir, name);
    return p;
}

static uint64_t engine_rand(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static void engine_fill(uint8_t *buf, size_t len, uint64_t seed, bool text)
{
    uint64_t s = seed * 2654435761u + 88172645463325252u;

    for (size_t i = 0; i < len; i++)
        buf[i] = text ? "the quick brown fox jumps over lazy dogs "[engine_rand(&s) % 41] : (uint8_t)engine_rand(&s);
}

void engine_image(const char *path, uint64_t size, uint32_t seed)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    uint8_t *buf = malloc(65536);
    uint64_t s = seed + 1;

    assert_true(fd >= 0 && buf);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    for (uint64_t off = 0; off < size; off += 65536) {
        size_t n = (size_t)(size - off < 65536 ? size - off : 65536);
        unsigned kind = engine_rand(&s) % 5;

        if (kind == 0)
            continue; /* a hole */
        if (kind == 1)
            memset(buf, 0, n);
        else
            engine_fill(buf, n, seed ^ (off >> 16), kind == 2);
        engine_ok(bdr_os_pwrite(fd, path, buf, n, off));
    }
    free(buf);
    close(fd);
}

void engine_scribble(const char *path, uint64_t off, uint64_t len, uint32_t seed)
{
    int fd = open(path, O_RDWR);
    uint8_t *buf = malloc(len);

    assert_true(fd >= 0 && buf);
    engine_fill(buf, len, seed, false);
    engine_ok(bdr_os_pwrite(fd, path, buf, len, off));
    free(buf);
    close(fd);
}

struct bdr_err *engine_try_backup(struct bdr_repo *repo, const char *image, const char *host, const char *changed,
                                  struct bdr_backup_result *out)
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    struct bdr_backup_disk disk = {0};

    BDR_TRY(bdr_source_open(&(struct bdr_source_spec){.location = image, .changed_extents = changed}, &src));
    disk.src = src;
    return bdr_backup_run(repo, &disk, 1,
                          &(struct bdr_backup_options){
                              .host = host, .host_id = "test", .audit_pct = -1, .workers = engine_workers,
                              .scan_dir = engine_scan_dir},
                          out);
}

struct bdr_backup_result engine_backup(struct bdr_repo *repo, const char *image, const char *host, const char *changed)
{
    struct bdr_backup_result r = {0};

    engine_ok(engine_try_backup(repo, image, host, changed, &r));
    return r;
}

bool engine_is_same(struct bdr_repo *repo, const char *point, const char *image)
{
    struct bdr_disk *disk = NULL;
    uint8_t *want = malloc(1 << 20), *got = malloc(1 << 20);
    int fd = open(image, O_RDONLY);
    struct stat st;
    bool same = true;

    assert_true(fd >= 0 && want && got && !fstat(fd, &st));
    engine_ok(bdr_disk_open(repo, point, 0, NULL, &disk));
    assert_int_equal(bdr_disk_size(disk), st.st_size);
    for (uint64_t off = 0; same && off < (uint64_t)st.st_size;) {
        size_t n = (uint64_t)st.st_size - off < 700001 ? (size_t)((uint64_t)st.st_size - off) : 700001; /* odd on purpose */

        engine_ok(bdr_os_pread(fd, image, want, n, off));
        engine_ok(bdr_disk_read(disk, off, got, n));
        same = !memcmp(want, got, n);
        off += n;
    }
    bdr_disk_close(disk);
    close(fd);
    free(want);
    free(got);
    return same;
}

void engine_same(struct bdr_repo *repo, const char *point, const char *image)
{
    assert_true(engine_is_same(repo, point, image));
}

/* ---- for the tests that break things ---- */

static int engine_wait(pid_t pid)
{
    int status = 0;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int engine_run(const char *const *argv)
{
    pid_t pid = fork();

    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return engine_wait(pid);
}

int engine_child(int (*fn)(void *ctx), void *ctx)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
        _exit(fn(ctx));
    return engine_wait(pid);
}

/* A file with its holes and times. */
static void copy_file(const char *from, const char *to, const struct stat *st)
{
    int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_EXCL | O_WRONLY, st->st_mode & 07777);
    off_t at = 0, hole = 0;

    assert_true(in >= 0 && out >= 0);
    assert_int_equal(ftruncate(out, st->st_size), 0);
    while ((at = lseek(in, hole, SEEK_DATA)) >= 0 && (hole = lseek(in, at, SEEK_HOLE)) > at)
        for (assert_int_equal(lseek(out, at, SEEK_SET), at); at < hole;)
            assert_true(sendfile(out, in, &at, (size_t)(hole - at)) > 0);
    assert_int_equal(futimens(out, (struct timespec[2]){st->st_atim, st->st_mtim}), 0);
    close(in);
    close(out);
}

static void copy_tree(const char *from, const char *to)
{
    char a[512], b[512];
    struct dirent *de;
    struct stat st;
    DIR *d;

    assert_int_equal(lstat(from, &st), 0);
    if (!S_ISDIR(st.st_mode)) {
        copy_file(from, to, &st);
        return;
    }
    assert_int_equal(mkdir(to, st.st_mode & 07777), 0);
    d = opendir(from);
    assert_non_null(d);
    while ((de = readdir(d))) {
        if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
            continue;
        snprintf(a, sizeof(a), "%s/%s", from, de->d_name);
        snprintf(b, sizeof(b), "%s/%s", to, de->d_name);
        copy_tree(a, b);
    }
    closedir(d);
}

/* Thousands of times: rm and cp would take longer to start than to run. */
void engine_remove(const char *path)
{
    engine_ok(bdr_os_remove_tree(path));
}

void engine_copy(const char *from, const char *to)
{
    engine_remove(to);
    copy_tree(from, to);
}

static void files_add(struct engine_files *f, const char *dir, const char *at)
{
    char path[512], name[160];
    struct dirent *de;
    DIR *d;

    snprintf(path, sizeof(path), "%s/%s", dir, at);
    d = opendir(path);
    if (!d)
        return; /* not made yet, or gone since its name was read */
    while ((de = readdir(d))) {
        struct stat st;

        if (de->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s%s%s", at, *at ? "/" : "", de->d_name);
        snprintf(path, sizeof(path), "%s/%s", dir, name);
        if (lstat(path, &st))
            continue;
        if (S_ISDIR(st.st_mode)) {
            files_add(f, dir, name);
            continue;
        }
        f->name = reallocarray(f->name, f->n + 1, sizeof(*f->name));
        assert_non_null(f->name);
        memcpy(f->name[f->n++], name, sizeof(name));
    }
    closedir(d);
}

static int files_cmp(const void *a, const void *b)
{
    return strcmp(a, b);
}

struct engine_files engine_files(const char *dir)
{
    struct engine_files f = {0};

    files_add(&f, dir, "");
    if (f.n)
        qsort(f.name, f.n, sizeof(*f.name), files_cmp);
    return f;
}

void engine_files_free(struct engine_files *f)
{
    free(f->name);
    *f = (struct engine_files){0};
}

uint64_t engine_bytes_of(const char *dir)
{
    struct engine_files f = engine_files(dir);
    uint64_t sum = 0;

    for (size_t i = 0; i < f.n; i++) {
        char path[512];
        struct stat st;

        snprintf(path, sizeof(path), "%s/%s", dir, f.name[i]);
        if (!lstat(path, &st))
            sum += (uint64_t)st.st_size;
    }
    engine_files_free(&f);
    return sum;
}

void engine_age(const char *dir, unsigned seconds)
{
    struct engine_files f = engine_files(dir);

    for (size_t i = 0; i < f.n; i++) {
        struct timespec t[2];
        char path[512];
        struct stat st;

        snprintf(path, sizeof(path), "%s/%s", dir, f.name[i]);
        if (lstat(path, &st))
            continue;
        t[0] = t[1] = st.st_mtim;
        t[0].tv_sec = t[1].tv_sec -= seconds;
        assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
    }
    engine_files_free(&f);
}

void engine_verify_clean(struct bdr_repo *repo)
{
    struct bdr_verify_result r;

    engine_ok(bdr_verify(repo, &(struct bdr_verify_options){.depth = BDR_VERIFY_ALL, .workers = 2}, &r));
    for (size_t i = 0; i < r.n_bad; i++)
        print_error("bad: %s\n", r.bad_objects[i]);
    for (size_t i = 0; i < r.n_damage; i++)
        print_error("damage: %.8s of %s, disk %u, %llu bytes at %llu: %s\n", r.damage[i].point, r.damage[i].host,
                    r.damage[i].disk, (unsigned long long)r.damage[i].len, (unsigned long long)r.damage[i].off,
                    r.damage[i].what);
    if (r.n_bad || r.n_damage)
        fail_msg("the repository is damaged");
    bdr_verify_free(&r);
}

struct bdr_prune_result engine_prune(struct bdr_repo *repo)
{
    struct bdr_prune_result r;

    engine_ok(bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = -1}, &r));
    return r;
}
