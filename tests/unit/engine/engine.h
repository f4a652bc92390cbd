/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h - a repository and disks in a temporary folder, for tests of the whole engine. */
#pragma once
#include "bdr/backup.h"
#include "bdr/disk.h"
#include "bdr/err.h"
#include "bdr/gc.h"
#include "bdr/point.h"
#include "bdr/repo.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>

struct engine {
    char dir[64];  /* temporary folder, removed at the end */
    char repo[96]; /* repository folder in it */
    char pass[96]; /* passphrase file in it */
};

/* Fails the test with the error's text unless err is NULL. */
void engine_ok(struct bdr_err *err);
/* Fails the test unless err has this code; frees it. */
void engine_fails(struct bdr_err *err, enum bdr_code code);
int engine_setup(void **state);    /* *state: struct engine; no repository yet */
int engine_teardown(void **state);
void engine_init(struct engine *e, bool encrypt, const char *compress, uint32_t block_bytes);
struct bdr_repo *engine_open(struct engine *e);
/* A path in the folder; valid until the next call but three. */
const char *engine_path(struct engine *e, const char *name);
/* A deterministic disk image: text, random bytes, zeros and holes. */
void engine_image(const char *path, uint64_t size, uint32_t seed);
/* Overwrites [off, off+len) of an image with bytes made from seed. */
void engine_scribble(const char *path, uint64_t off, uint64_t len, uint32_t seed);
/* Backs one image up; `changed` is a --changed-extents file or NULL. */
struct bdr_err *engine_try_backup(struct bdr_repo *repo, const char *image, const char *host, const char *changed,
                                  struct bdr_backup_result *out);
/* Of every backup from now on; 0: as many as usual. With 1 the packs are filled one after the other: their number is known. */
extern unsigned engine_workers;
/* Folder of scan caches of every backup from now on; NULL: none. */
extern const char *engine_scan_dir;
struct bdr_backup_result engine_backup(struct bdr_repo *repo, const char *image, const char *host, const char *changed);
/* Compares disk 0 of a point with an image, byte for byte. */
void engine_same(struct bdr_repo *repo, const char *point, const char *image);
bool engine_is_same(struct bdr_repo *repo, const char *point, const char *image);

/* ---- for the tests that break things ---- */

/* Runs a program and waits; its exit status, 128 + signal when it was killed. */
int engine_run(const char *const *argv);
void engine_copy(const char *from, const char *to); /* a folder or file, whole; `to` does not exist or is replaced */
void engine_remove(const char *path);               /* likewise; gone already is fine */
/* Regular files below `dir`, sorted, as paths relative to it. The caller frees with engine_files_free. */
struct engine_files {
    char (*name)[160];
    size_t n;
};
struct engine_files engine_files(const char *dir);
void engine_files_free(struct engine_files *f);
uint64_t engine_bytes_of(const char *dir); /* sum of the sizes of the files below */
/* Makes all files below look `seconds` older: prune spares what may be of an open session. */
void engine_age(const char *dir, unsigned seconds);
/* Everything is checked and nothing may be wrong. */
void engine_verify_clean(struct bdr_repo *repo);
/* bdr_prune; fails the test on an error. */
struct bdr_prune_result engine_prune(struct bdr_repo *repo);
/* Runs `fn` in a child process; its exit status, 128 + signal when it was killed. No repository may be open. */
int engine_child(int (*fn)(void *ctx), void *ctx);
