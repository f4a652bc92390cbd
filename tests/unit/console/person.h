/* SPDX-License-Identifier: Apache-2.0 */
/*
 * person.h - people with a browser's cookie, where rig.h has API tokens stand for them.
 *
 * Threads: one, that of the test.
 */
#pragma once
#include "auth/login.h"
#include "fleet.h"

#define PERSON_FIRST  "correct horse 1"  /* an administrator's choice */
#define PERSON_SECOND "battery staple 2" /* and one's own after it */

/* As rig_call, as the browser of whoever has `cookie`; with_header: the one that pages of ours send. */
json_t *person_call(struct rig *r, const char *cookie, bool with_header, const char *method, const char *path,
                    const char *body, unsigned *out_status);
/* The same as those pages do it, and the status must be `want`. */
json_t *person_want(struct rig *r, const char *cookie, unsigned want, const char *method, const char *path,
                    const char *body);
struct bdr_login_result person_login(struct rig *r, const char *name, const char *password);
/* A user with a password of their own and a session; returns the user's id. */
int64_t person_make(struct rig *r, const char *name, const char *role, char cookie[BDR_TOKEN_CHARS]);
