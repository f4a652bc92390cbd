/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lab.h - file systems to freeze and to look at: images in a folder of our own, on loop devices, in a mount namespace
 * of our own, so that nothing of the machine's is touched and all goes away with the program.
 *
 * Threads: one at a time.
 */
#pragma once
#include "bdr/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        struct bdr_err *ok_ = (call);                                                                                  \
        char ok_text_[512];                                                                                            \
        if (ok_)                                                                                                       \
            fail_msg("%s: %s", bdr_code_name(ok_->code), bdr_err_text(ok_, ok_text_, sizeof(ok_text_)));               \
    } while (0)

/* The call must fail with BDR_<code> and say `part`, on one line. */
#define FAILS(want, part, call)                                                                                        \
    do {                                                                                                               \
        struct bdr_err *fails_ = (call);                                                                               \
        char fails_text_[1024];                                                                                        \
        assert_non_null(fails_);                                                                                       \
        bdr_err_text(fails_, fails_text_, sizeof(fails_text_));                                                        \
        if (fails_->code != BDR_##want || !strstr(fails_text_, (part)) || strchr(fails_text_, '\n'))                   \
            fail_msg("got %s: %s", bdr_code_name(fails_->code), fails_text_);                                          \
        bdr_err_free(fails_);                                                                                          \
    } while (0)

struct lab_fs {
    char image[128], dev[32], mount[128];
    int loop; /* held open while it lives; the loop device goes when the last user does */
};

/* Folder of this program's run; "" until lab_open(). */
extern char lab_dir[64];
/* cmocka group setup and teardown. Without root or loop devices lab_reason says why and tests must skip. */
int lab_open(void **state);
int lab_close(void **state);
extern const char *lab_reason;
/* Skips a test, naming the reason as tools/check/run reads it. */
#define LAB_OR_SKIP(test, need)                                                                                        \
    do {                                                                                                               \
        const char *lab_why_ = lab_lacks(need);                                                                        \
        if (lab_why_) {                                                                                                \
            printf("skip %s: %s\n", (test), lab_why_);                                                                 \
            skip();                                                                                                    \
        }                                                                                                              \
    } while (0)
/* NULL, or why file systems of `type` ("ext4"; NULL: none in particular) can't be made here. */
const char *lab_lacks(const char *type);

/* A sparse image of `mib` in folder `dir` (NULL: lab_dir), on a loop device, formatted, mounted at its own folder. */
void lab_make(struct lab_fs *fs, const char *name, const char *dir, const char *type, unsigned mib);
/* Only the loop device. */
void lab_loop(struct lab_fs *fs, const char *name, const char *dir, unsigned mib);
void lab_unmake(struct lab_fs *fs);
/* Writes `text` (NULL: removes nothing, makes an empty file) below lab_dir, with its folders. */
void lab_put(const char *name, const char *text);
/* Thaws if frozen; true when it was. Never the machine's own. */
bool lab_thaw(const char *mount);
/* 0 or errno of FIFREEZE, by somebody who is not the freezer. */
int lab_freeze(const char *mount);
uint64_t lab_now_ms(void);
