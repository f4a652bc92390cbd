/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_alloc.c - the n-th allocation of our own code fails, for every n (the JSON library allocates through it), in init,
 * open, backup, read back, prune and verify: an error that says so, or success; never a crash, a hang or a damaged
 * repository.
 *
 * The linker puts __wrap_malloc and friends in the place of what our objects call.
 * BDR_ALLOC_EVERY (5): every how many-th n; 1 for all. Leaks are AddressSanitizer's to tell.
 */
#include "bdr/bytes.h"
#include "engine.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static atomic_ulong alloc_count, alloc_fail_at; /* 0: never */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t m);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
int __real_posix_memalign(void **out, size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t m);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_posix_memalign(void **out, size_t align, size_t n);
int __wrap_asprintf(char **out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool alloc_fails(void)
{
    unsigned long n = atomic_fetch_add(&alloc_count, 1) + 1;

    return n == atomic_load(&alloc_fail_at);
}

void *__wrap_malloc(size_t n)
{
    return alloc_fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t m)
{
    return alloc_fails() ? NULL : __real_calloc(n, m);
}
void *__wrap_realloc(void *p, size_t n)
{
    return alloc_fails() ? NULL : __real_realloc(p, n);
}
void *__wrap_reallocarray(void *p, size_t n, size_t m)
{
    return alloc_fails() ? NULL : __real_reallocarray(p, n, m);
}
char *__wrap_strdup(const char *s)
{
    return alloc_fails() ? NULL : __real_strdup(s);
}
char *__wrap_strndup(const char *s, size_t n)
{
    return alloc_fails() ? NULL : __real_strndup(s, n);
}
int __wrap_posix_memalign(void **out, size_t align, size_t n)
{
    return alloc_fails() ? ENOMEM : __real_posix_memalign(out, align, n);
}
int __wrap_asprintf(char **out, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (alloc_fails()) {
        *out = NULL;
        return -1;
    }
    va_start(ap, fmt);
    n = vasprintf(out, fmt, ap);
    va_end(ap);
    return n;
}

struct alloc {
    struct engine *e;
    char image[96], next[96], repo[96], second[96];
    char point[33];
    struct bdr_prune_result pruned;
};

/* The whole life of a small repository's day. */
static struct bdr_err *day(struct alloc *a)
{
    BDR_AUTO(repo) struct bdr_repo *repo = NULL;
    BDR_AUTO(disk) struct bdr_disk *disk = NULL;
    BDR_AUTO(mem) struct bdr_point_info *points = NULL;
    struct bdr_verify_result v;
    struct bdr_backup_result b;
    uint8_t buf[4096];
    size_t n = 0;

    BDR_TRY(bdr_repo_init(a->second, &(struct bdr_repo_init_options){.block_bytes = 65536, .encrypt = true,
                                                                    .key_file = a->image}));
    BDR_TRY(bdr_repo_open(a->repo, &(struct bdr_repo_options){0}, &repo));
    BDR_TRY(engine_try_backup(repo, a->next, "web", NULL, &b));
    BDR_TRY(bdr_repo_points(repo, &points, &n));
    BDR_TRY(bdr_disk_open(repo, a->point, 0, NULL, &disk));
    BDR_TRY(bdr_disk_read(disk, 100, buf, sizeof(buf)));
    BDR_TRY(bdr_point_remove(repo, b.point_id));
    BDR_TRY(bdr_prune(repo, &(struct bdr_prune_options){.max_unused_pct = 1}, &a->pruned));
    BDR_TRY(bdr_verify(repo, &(struct bdr_verify_options){.depth = BDR_VERIFY_ALL, .workers = 1}, &v));
    bdr_verify_free(&v);
    return NULL;
}

static void test_day__every_allocation_fails_once(void **state)
{
    const char *env = getenv("BDR_ALLOC_EVERY");
    unsigned long every = env ? strtoul(env, NULL, 10) : getenv("BDR_SANITIZER") ? 19 : 5, total, nomem = 0, survived = 0;
    struct alloc a = {.e = *state};
    char template[96];
    struct bdr_repo *repo;

    snprintf(template, sizeof(template), "%s/template", a.e->dir);
    snprintf(a.repo, sizeof(a.repo), "%s", a.e->repo);
    snprintf(a.second, sizeof(a.second), "%s/second", a.e->dir);
    snprintf(a.image, sizeof(a.image), "%s/image", a.e->dir);
    snprintf(a.next, sizeof(a.next), "%s/next", a.e->dir);
    engine_image(a.image, 6 * 65536 + 5, 1000);
    engine_image(a.next, 6 * 65536 + 5, 1000);
    engine_scribble(a.next, 65536, 65536, 3);
    engine_init(a.e, false, "zstd", 65536);
    repo = engine_open(a.e);
    memcpy(a.point, engine_backup(repo, a.image, "web", NULL).point_id, 33);
    bdr_repo_close(repo);
    engine_copy(a.repo, template);
    atomic_store(&alloc_count, 0);
    engine_ok(day(&a));
    total = atomic_load(&alloc_count);
    for (unsigned long n = 1; n <= total; n += every) {
        struct bdr_err *err;

        engine_copy(template, a.repo);
        engine_remove(a.second);
        alarm(60); /* a hang ends the test, too */
        atomic_store(&alloc_count, 0);
        atomic_store(&alloc_fail_at, n);
        err = day(&a);
        atomic_store(&alloc_fail_at, 0);
        if (err && err->code != BDR_NOMEM) {
            char text[512];

            fail_msg("allocation %lu of %lu: %s: %s", n, total, bdr_code_name(err->code),
                     bdr_err_text(err, text, sizeof(text)));
        }
        nomem += err != NULL;
        survived += err == NULL;
        bdr_err_free(err);
        repo = engine_open(a.e);
        engine_same(repo, a.point, a.image);
        engine_verify_clean(repo);
        bdr_repo_close(repo);
    }
    alarm(0);
    print_message("%lu allocations: %lu times out of memory, %lu times done all the same\n", total, nomem, survived);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_day__every_allocation_fails_once, engine_setup, engine_teardown),
    };

    return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}
