/* SPDX-License-Identifier: Apache-2.0 */
/* "METHOD /path\n" against a route table, and a Range header against a file's size. */
#include "../../src/wire/http/file.h"
#include "../../src/wire/route/route_i.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct bdr_err *nothing(struct bdr_req *req, const void *in, void *out)
{
    (void)req;
    (void)in;
    (void)out;
    return NULL;
}
static struct bdr_err *all_may(void *ctx, struct bdr_req *req, const struct bdr_route *route, const char *perm)
{
    (void)ctx;
    (void)req;
    (void)route;
    (void)perm;
    return NULL;
}
#define ROW(m, p)                                                                                                      \
    {                                                                                                                  \
        .method = (m), .path = (p), .perm = "p", .help = "x", .help_zh = "x", .run = nothing                           \
    }

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const struct bdr_route rows[] = {ROW(BDR_GET, "/a/{id}"), ROW(BDR_DELETE, "/a/new"),
                                            ROW(BDR_GET, "/a/{n:u64}/{x}"), ROW(BDR_GET, "/f/{rest:path}"),
                                            ROW(BDR_POST, "/a/{id}/b/{t:secret}")};
    static const struct bdr_route_table table = BDR_ROUTES("t", rows);
    static struct bdr_router *router;
    const struct bdr_router_config config = {
        .title = "t", .version = "1", .tables = &table, .n_tables = 1, .authorise = all_may};
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct found found;
    uint64_t off = 0, n = 0, size = len ? bytes[0] : 0;
    char text[300], allow[64], *path;

    if (!router)
        BDR_ASSERT(!bdr_router_new(&config, &router));
    if (len >= sizeof(text) || bdr_arena_new(&arena))
        return 0;
    if (len)
        memcpy(text, bytes, len);
    text[len] = 0;
    if (len && http_range_read(text + 1, size, &off, &n) == HTTP_RANGE_PART)
        BDR_ASSERT(n && off < size && off + n <= size);
    path = strchr(text, ' ');
    if (!path)
        return 0;
    *path++ = 0;
    memset(&found, 0, sizeof(found));
    if (route_match(router, arena, text, path, &found, allow) == MATCH_YES)
        for (size_t i = 0; i < found.n_params; i++)
            BDR_ASSERT(found.params[i].value && found.params[i].value[0] && strcmp(found.params[i].value, ".."));
    return 0;
}
