/* SPDX-License-Identifier: Apache-2.0 */
/* route_i.h - inside of route: compiled rows, and what a request found. Threads: any once made. */
#pragma once
#include "../http/http_i.h"
#include "bdr/route.h"

#define PARAMS_MAX   8
#define SEGMENTS_MAX 16

enum param_type { PARAM_ID, PARAM_U64, PARAM_PATH, PARAM_SECRET };
struct segment {
    const char *text; /* literal, or a parameter's name; not ended by NUL */
    size_t len;
    bool param;
    enum param_type type;
};
struct compiled {
    const struct bdr_route *row;
    const char *tag;
    struct segment segments[SEGMENTS_MAX];
    size_t n;
};
struct bdr_router {
    struct bdr_router_config config;
    struct compiled *rows; /* owned */
    size_t n;
};

/* Hangs on the request as app_data, in its arena. */
struct found {
    const struct bdr_router *router;
    const struct bdr_route *row; /* NULL: none */
    const struct compiled *compiled;
    struct {
        const char *name;
        const char *value;
        uint64_t number;
    } params[PARAMS_MAX];
    size_t n_params;
    const void *filter;
    struct bdr_page_query page;
    bool head;
};

enum match { MATCH_NONE, MATCH_METHOD, MATCH_YES };
/* Finds the row for a path and method; fills params. METHOD: the path is known, with other methods, listed in `allow`.
 */
enum match route_match(const struct bdr_router *r, struct bdr_arena *arena, const char *method, const char *path,
                       struct found *out, char allow[64]);
bdr_ret route_compile(const struct bdr_route *row, struct compiled *out);

extern const struct bdr_shape route_page_shape; /* struct bdr_page_query */

/* problem.c */
/* Answers with a problem; never fails (without memory the connection breaks). */
void problem_send(struct bdr_req *req, unsigned status, enum bdr_code code, const char *detail,
                  const struct bdr_faults *faults);
/* The same from an error (consumed): logs it, shows what may be shown. Returns the status. */
unsigned problem_of_err(struct bdr_req *req, struct bdr_err *err, const struct bdr_faults *faults);
