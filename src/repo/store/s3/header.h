/* SPDX-License-Identifier: Apache-2.0 */
/* header.h - takes what we need from one header line of an answer. Pure functions. Threads: any. */
#pragma once
#include "request.h"

/* `line` is not terminated and not trusted. A status line begins a new answer ("100 Continue" comes before "200"). */
void bdr_s3_header_line(const char *line, size_t len, struct bdr_s3_reply *reply);
