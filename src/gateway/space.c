/* SPDX-License-Identifier: Apache-2.0 */
#include "space.h"
#include "bdr/http_client.h"
#include "bdr/machine_api.h"
#include "bdr/osfile.h"
#include "bdr/repo.h"
#include <inttypes.h>
#include <stdio.h>

#define SPACE_FULL_BYTES (64u << 20) /* less than two packs: the next backup would not end */

static struct bdr_err *space_of(struct gw *gw, uint64_t repository, struct bdr_repo_state *out)
{
    struct bdr_repo *repo = NULL;
    struct bdr_repo_facts facts;

    BDR_TRY(gw_repo_open(gw, repository, &repo));
    BDR_TRY(bdr_repo_facts(repo, &facts));
    out->used_bytes = facts.stored_bytes;
    if (bdr_repo_url(repo)[0] != '/')
        return NULL; /* a bucket: nobody knows what is left */
    BDR_TRY(bdr_os_room(bdr_repo_url(repo), &out->free_bytes));
    out->has_free_bytes = true;
    if (out->free_bytes < SPACE_FULL_BYTES) {
        out->state = "full";
        out->text = "the file system of the repository is full";
    }
    return NULL;
}

struct bdr_err *gw_space_tell(struct bdr_http_client *http, struct gw *gw, uint64_t repository, uint64_t data_bytes,
                              const struct bdr_err *trouble, const struct bdr_cancel *cancel)
{
    struct bdr_repo_state state = {.state = "ok", .data_bytes = data_bytes};
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    char path[80], text[500];
    struct bdr_err *err = NULL;

    if (!trouble)
        trouble = err = space_of(gw, repository, &state);
    if (trouble) {
        state.state = "error";
        state.text = bdr_err_text(trouble, text, sizeof(text));
    }
    bdr_err_drop(err, "it is what the console is told");
    snprintf(path, sizeof(path), "/v1/gateway/repositories/%" PRIu64 "/state", repository);
    BDR_TRY(bdr_arena_new(&arena));
    return bdr_http_json(http,
                         &(struct bdr_http_json){.method = "PUT",
                                                 .path = path,
                                                 .in_shape = &bdr_repo_state_shape,
                                                 .in = &state,
                                                 .cancel = cancel},
                         arena, NULL);
}
