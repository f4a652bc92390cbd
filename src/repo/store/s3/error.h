/* SPDX-License-Identifier: Apache-2.0 */
/* error.h - what an S3 answer that is not 2xx means. Pure functions. Threads: any. */
#pragma once
#include "request.h"
#include "xml.h"

struct bdr_s3_problem {
    enum bdr_code code;
    bool retry; /* the same request may succeed a little later */
    const char *advice;
    struct bdr_s3_error told; /* empty when the answer has no XML */
};
void bdr_s3_error_read(const struct bdr_s3_reply *reply, struct bdr_s3_problem *out);
/* One line that says what to do; never the signature or the string that was signed, which S3 echoes. */
bdr_ret bdr_s3_error_make(const struct bdr_s3_config *cfg, const char *method, const char *key,
                          const struct bdr_s3_reply *reply);
