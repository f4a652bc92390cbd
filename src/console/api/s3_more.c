/* SPDX-License-Identifier: Apache-2.0 */
#include "api/s3_more.h"
#include "api/objects.h"
#include "secret.h"
#include <string.h>

static struct bdr_seal_place place(int64_t repository)
{
    return (struct bdr_seal_place){"repository", repository, "s3_more"};
}

struct bdr_err *s3_more_get(struct bdr_req *req, struct bdr_tx *tx, int64_t repository, struct s3_more *out)
{
    const struct bdr_seal_place at = place(repository);
    BDR_AUTO(secret) struct bdr_secret secret = {0};
    const char *text;
    json_t *o = NULL;
    bool found = false;

    *out = (struct s3_more){0};
    BDR_TRY(bdr_secret_get(tx, api_console(req)->ring, &at, &secret, &found));
    if (!found)
        return NULL;
    text = bdr_arena_text(bdr_req_arena(req), (char *)secret.data, secret.len);
    BDR_NOMEM_IF_NULL(text);
    BDR_TRY(obj_json(req, text, &o));
    *out = (struct s3_more){.region = json_string_value(json_object_get(o, "region")),
                            .ca = json_string_value(json_object_get(o, "ca")),
                            .addressing = json_string_value(json_object_get(o, "addressing"))};
    return NULL;
}

static const char *given(const char *text)
{
    return text && *text ? text : NULL;
}

struct bdr_err *s3_more_put(struct bdr_tx *tx, struct bdr_req *req, int64_t repository, const struct s3_more *more)
{
    const struct bdr_seal_place at = place(repository);
    BDR_AUTO(secret) struct bdr_secret secret = {0};
    BDR_AUTO(mem) char *text = NULL;
    struct s3_more was;
    json_t *o;

    BDR_TRY(s3_more_get(req, tx, repository, &was));
    if (!given(more->region) && !given(more->ca) && !given(more->addressing) && !was.region && !was.ca && !was.addressing)
        return NULL;
    o = json_pack("{s:s*,s:s*,s:s*}", "region", given(more->region), "ca", given(more->ca), "addressing",
                  given(more->addressing));
    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    BDR_NOMEM_IF_NULL(text);
    BDR_TRY(bdr_secret_set(&secret, text, strlen(text)));
    return bdr_secret_put(tx, api_console(req)->ring, &at, &secret, api_now());
}
