/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lab.h - what a conformance row needs to set the scene: a folder, programs, loop devices, disk content.
 *
 * Every function fails the running test by itself. What was set up is undone by lab_close, last thing first.
 * Threads: one.
 */
#pragma once
#include "bdr/source.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../expect.h"

#define LAB_MAX_ITEMS 16

struct lab {
    char dir[64];
    struct {
        pid_t pid;     /* a server to end, or 0 */
        char loop[64]; /* a loop device to detach, or "" */
    } items[LAB_MAX_ITEMS];
    size_t n;
};

void lab_open(struct lab *lab);
void lab_close(struct lab *lab);
/* "DIR/name"; valid for the life of the lab (never freed: a test's lifetime). */
const char *lab_path(struct lab *lab, const char *name);
/* printf into memory that lasts as long as the process. */
const char *lab_text(const char *fmt, ...) BDR_PRINTF(1, 2);

/* Runs a program found in PATH and waits; the test fails unless it returns 0. */
void lab_run(const char *const argv[]);
#define RUN(...) lab_run((const char *const[]){__VA_ARGS__, NULL})
/* Starts a server that forks itself into the background once it serves and writes its pid to `pid_file`. */
void lab_serve(struct lab *lab, const char *pid_file, const char *const argv[]);
#define SERVE(lab, pid_file, ...) lab_serve(lab, pid_file, (const char *const[]){__VA_ARGS__, NULL})
/* A loop device over `path` with sectors of that size; NULL when CI allows to go without one (BDR_NO_LOOP=1). */
const char *lab_loop(struct lab *lab, const char *path, unsigned sector_bytes);
/* A TCP port of 127.0.0.1 that was free a moment ago. */
unsigned lab_port(void);

/* Writes the content of the "mem:..." disk to `path`, holes as holes. */
void lab_fill(const char *path, const char *mem_location);
void lab_poke(const char *path, uint64_t off, const void *data, size_t len);
