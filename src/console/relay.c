/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/pool.h"

#define RELAY_HEAR_MS  200   /* how long a word of ours may wait for others to come along */
#define RELAY_ALIVE_MS 15000 /* says nothing, to notice a connection that is gone */
#define RELAY_AGAIN_MS 1000

struct bdr_relay {
    struct bdr_console *c;
    struct bdr_pool *pool;
    struct bdr_cancel stop;
};

static void relay_heard(void *ctx, const char *text)
{
    bdr_hub_heard(ctx, text);
}

/* Until the connection is lost, or we stop. */
static struct bdr_err *relay_serve(struct bdr_relay *r, bool again)
{
    BDR_AUTO(ear) struct bdr_ear *ear = NULL;
    uint64_t told_ms = bdr_clock_mono_ms();
    char text[BDR_EAR_TEXT];

    BDR_TRY(bdr_ear_open(r->c->db, &ear));
    if (again) {
        BDR_LOG(INFO, "console.relay-back", F_STR("database", "postgresql"));
        bdr_hub_reset(r->c->hub); /* what was said meanwhile we have not heard */
    }
    while (!bdr_cancelled(&r->stop)) {
        while (bdr_hub_outbox(r->c->hub, text, sizeof(text)) || told_ms + RELAY_ALIVE_MS < bdr_clock_mono_ms()) {
            BDR_TRY(bdr_ear_tell(ear, text));
            told_ms = bdr_clock_mono_ms();
        }
        BDR_TRY(bdr_ear_hear(ear, RELAY_HEAR_MS, relay_heard, r->c->hub));
    }
    return NULL;
}

static struct bdr_err *relay_main(void *ctx, unsigned index)
{
    struct bdr_relay *r = ctx;
    bool again = false;

    (void)index;
    while (!bdr_cancelled(&r->stop)) {
        struct bdr_err *err = relay_serve(r, again);

        if (err)
            BDR_LOG(WARN, "console.relay-lost", F_ERR(err));
        bdr_err_drop(err, "opened anew in a moment");
        again = true;
        bdr_err_drop(bdr_cancel_sleep(&r->stop, RELAY_AGAIN_MS), "the loop looks");
    }
    return NULL;
}

struct bdr_err *bdr_relay_start(struct bdr_console *c, struct bdr_relay **out)
{
    struct bdr_relay *r;
    struct bdr_err *err;

    *out = NULL;
    if (bdr_db_engine(c->db) == BDR_DB_SQLITE)
        return NULL;
    r = calloc(1, sizeof(*r));
    BDR_NOMEM_IF_NULL(r);
    r->c = c;
    bdr_hub_relayed(c->hub);
    err = bdr_pool_start("bdr-relay", 1, relay_main, r, &r->stop, &r->pool);
    if (err) {
        free(r);
        return err;
    }
    *out = r;
    return NULL;
}

void bdr_relay_stop(struct bdr_relay *r)
{
    if (!r)
        return;
    bdr_cancel_set(&r->stop);
    bdr_err_drop(bdr_pool_join(r->pool), "it logged its own");
    free(r);
}
