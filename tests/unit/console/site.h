/* SPDX-License-Identifier: Apache-2.0 */
/* site.h - a small production site in a test's database. */
#pragma once
#include "bed.h"

int64_t site_platform(struct bed *b, const char *name);
int64_t site_proxy(struct bed *b, const char *uuid); /* alive at SITE_NOW */
void site_bind(struct bed *b, int64_t proxy, int64_t platform);
int64_t site_host(struct bed *b, int64_t platform, const char *ref);
/* A sync of a host, due at once. */
int64_t site_job(struct bed *b, int64_t platform, int64_t host, int64_t disks);
struct bdr_row_job *site_job_get(struct bed *b, int64_t id); /* the caller frees */
#define SITE_NOW INT64_C(1800000000000)
