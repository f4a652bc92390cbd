/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rig.h - a running console for each test, on both engines, and clients for it.
 *
 * RIG(test) makes two cmocka tests of one function, as BED does. Time stands still for what happens by itself: a test
 * calls bdr_tick_all.
 */
#pragma once
#include "bdr/http_client.h"
#include "bed.h"
#include "console.h"
#include "tick.h"
#include <jansson.h>

struct rig {
    struct bed *bed;
    struct bdr_console *console;
    struct bdr_http_client *anyone; /* no identity */
    struct bdr_arena *arena;
    char packages[80];                         /* what port 30080 serves: not there at first */
    char web[80];                              /* the web console's folder: not there until a test makes it */
    char admin[44], operator_[44], viewer[44]; /* API tokens with scope * */
};
int rig_sqlite(void **state);
int rig_pg(void **state);
int rig_down(void **state);
#define RIG(f)                                                                                                         \
    {#f "@sqlite", f, rig_sqlite, rig_down, NULL},                                                                     \
    {                                                                                                                  \
#f "@postgresql", f, rig_pg, rig_down, NULL                                                                    \
    }
/* What several consoles on one database do: on PostgreSQL only, a file is for one. */
#define RIG_PG(f)                                                                                                      \
    {                                                                                                                  \
#f "@postgresql", f, rig_pg, rig_down, NULL                                                                    \
    }
#define RIG_OF(state, name)                                                                                            \
    struct rig *name = *(state);                                                                                       \
    if (!name)                                                                                                         \
    skip()

/* A folder named `name` in the bed's; with `keys` it holds copies of the console's CA and master key. */
void rig_folder(struct rig *r, const char *name, bool keys, char out[128]);
/* Another console on the same database, in a folder of its own; nothing happens there by itself either. */
bdr_ret rig_console(struct rig *r, const char *folder, bool keys_lost, struct bdr_console **out);

/*
 * One request as whoever has `token` (NULL: nobody); `body` is JSON or NULL. Returns the answer's JSON, owned by the
 * caller (NULL: empty); *out_status what it was. For machines: rig_machine_client.
 */
json_t *rig_call(struct rig *r, const char *token, const char *method, const char *path, const char *body,
                 unsigned *out_status);
/* The same and the status must be `want`; prints the answer otherwise. */
json_t *rig_want(struct rig *r, const char *token, unsigned want, const char *method, const char *path,
                 const char *body);
/* "/items/0/name" of an answer as text; "" when it is not there. Numbers as text, too. Borrowed or static. */
const char *rig_at(const json_t *v, const char *pointer);
/* The first login of a console that has just begun: where its file is (path, at most 128 bytes), and the password;
 * free(). */
char *rig_first_password(const struct rig *r, char path[128]);
int64_t rig_int(const json_t *v, const char *pointer);
/* A client of an account's session would need cookies: tokens stand for people, see test_console.c for cookies. */
