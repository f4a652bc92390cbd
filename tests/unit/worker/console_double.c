/* SPDX-License-Identifier: Apache-2.0 */
#include "console_double.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include <stdio.h>
#include <string.h>

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        struct bdr_err *ok_ = (call);                                                                                  \
        char ok_text_[512];                                                                                            \
        if (ok_) {                                                                                                     \
            fprintf(stderr, "%s: %s\n", #call, bdr_err_text(ok_, ok_text_, sizeof(ok_text_)));                         \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static struct console_double *the_double; /* handlers have nobody to carry it; one at a time */

static void put_text(char *to, size_t n, const char *from)
{
    if (from)
        snprintf(to, n, "%s", from);
}

static void keep_json(char **to, const struct bdr_shape *shape, const void *in)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    OK(bdr_shape_write(shape, BDR_SHAPE_RESPONSE, in, &b));
    free(*to);
    *to = strndup((const char *)b.data, b.len);
}

/* Needs the lock. NULL: no such machine, or revoked. */
static struct double_machine *machine_of(struct console_double *d, struct bdr_req *req)
{
    const struct bdr_cert_info *peer = bdr_req_peer(req);

    for (size_t i = 0; peer && i < d->n_machines; i++)
        if (!strcmp(d->machines[i].id, peer->machine))
            return d->machines[i].revoked ? NULL : &d->machines[i];
    return NULL;
}

/* ---- enrolment ---- */

static struct bdr_err *sign(struct console_double *d, struct bdr_req *req, const char *csr, struct double_machine *m,
                            const char **out_pem, int64_t *out_expires)
{
    const struct bdr_machine_spec spec = {.machine = m->id, .role = m->role, .lifetime_ms = d->cert_ms};
    BDR_AUTO(mem) char *pem = NULL;
    struct bdr_cert_info info;

    BDR_TRY(bdr_ca_issue_machine(d->ca, csr, strlen(csr), &spec, &pem, &info));
    snprintf(m->serial, sizeof(m->serial), "%s", info.serial);
    *out_pem = bdr_arena_text(bdr_req_arena(req), pem, strlen(pem));
    *out_expires = info.not_after_ms;
    return NULL;
}

static struct bdr_err *run_enrol(struct bdr_req *req, const void *in, void *out)
{
    struct console_double *d = the_double;
    const struct bdr_enrol_in *ask = in;
    struct bdr_enrol_out *got = out;
    struct double_machine *m = NULL;
    struct bdr_err *err;
    bool known = false;

    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < BDR_COUNT(d->tokens) && !known; i++)
        if (d->tokens[i][0] && !strcmp(d->tokens[i], ask->token)) {
            d->tokens[i][0] = 0;
            known = true;
        }
    if (known && d->n_machines < DOUBLE_MACHINES) {
        m = &d->machines[d->n_machines++];
        memset(m, 0, sizeof(*m));
        snprintf(m->id, sizeof(m->id), "%032zx", d->n_machines);
        put_text(m->role, sizeof(m->role), bdr_machine_kinds[ask->kind].name);
        put_text(m->name, sizeof(m->name), ask->name);
        m->host = ask->kind == BDR_MACHINE_AGENT ? d->n_machines : 0;
    }
    if (!m) {
        pthread_mutex_unlock(&d->lock);
        BDR_REFUSE(req, BDR_AUTH, "This token was used already, or never given out.");
    }
    err = sign(d, req, ask->csr, m, &got->certificate, &got->expires);
    got->machine = m->id;
    got->host = m->host;
    got->ca = bdr_ca_pem(d->ca);
    pthread_mutex_unlock(&d->lock);
    return err;
}

static struct bdr_err *run_renew(struct bdr_req *req, const void *in, void *out)
{
    struct console_double *d = the_double;
    const struct bdr_renew_in *ask = in;
    struct bdr_renew_out *got = out;
    struct double_machine *m;
    struct bdr_err *err = NULL;

    pthread_mutex_lock(&d->lock);
    m = machine_of(d, req);
    if (m) {
        err = sign(d, req, ask->csr, m, &got->certificate, &got->expires);
        m->renewals++;
    }
    got->ca = bdr_ca_pem(d->ca);
    pthread_mutex_unlock(&d->lock);
    if (!m)
        BDR_REFUSE(req, BDR_AUTH, "This machine was revoked.");
    return err;
}

/* ---- beats ---- */

static bool job_for(const struct double_job *j, const char *machine)
{
    return j->state == DOUBLE_READY && (!j->for_machine[0] || !strcmp(j->for_machine, machine));
}

static void expire(struct console_double *d)
{
    for (size_t i = 0; i < d->n_jobs; i++)
        if (d->jobs[i].state == DOUBLE_RUNNING && bdr_clock_mono_ms() >= d->jobs[i].lease_end_ms) {
            d->jobs[i].state = DOUBLE_READY;
            d->jobs[i].holder[0] = 0;
        }
}

static struct bdr_err *run_beat(struct bdr_req *req, const void *in, void *out)
{
    struct console_double *d = the_double;
    const struct bdr_beat_in *say = in;
    struct bdr_beat_out *got = out;
    struct double_machine *m;

    pthread_mutex_lock(&d->lock);
    if (d->fail_beats) {
        d->fail_beats--;
        pthread_mutex_unlock(&d->lock);
        BDR_REFUSE(req, BDR_THROTTLED, "Not now.");
    }
    m = machine_of(d, req);
    expire(d);
    if (m) {
        m->beats++;
        m->jobs = say->jobs;
        m->disks = say->disks;
        put_text(m->boot, sizeof(m->boot), say->boot);
        *got = (struct bdr_beat_out){.beat_s = d->beat_s,
                                     .want_inventory = say->inventory && strcmp(say->inventory, m->print) != 0,
                                     .registered = !m->deregistered,
                                     .http_timeout_s = d->http_timeout_s,
                                     .disks_max = d->disks_max,
                                     .time = bdr_clock_wall_ms()};
        if (got->want_inventory)
            put_text(m->print, sizeof(m->print), say->inventory);
        for (size_t i = 0; i < d->n_jobs; i++)
            got->work |= job_for(&d->jobs[i], m->id);
    }
    pthread_mutex_unlock(&d->lock);
    if (!m)
        BDR_REFUSE(req, BDR_AUTH, "This machine was revoked.");
    return NULL;
}

static struct bdr_err *run_inventory(struct bdr_req *req, const void *in, void *out)
{
    struct console_double *d = the_double;
    struct double_machine *m;

    (void)out;
    pthread_mutex_lock(&d->lock);
    m = machine_of(d, req);
    if (m) {
        m->inventories++;
        keep_json(&m->inventory, &bdr_inventory_shape, in);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static struct bdr_err *run_events(struct bdr_req *req, const void *in, void *out)
{
    struct console_double *d = the_double;
    struct bdr_events *ev = NULL;
    size_t free_slot = DOUBLE_MACHINES;

    (void)in;
    (void)out;
    BDR_TRY(bdr_req_events(req, &ev));
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < DOUBLE_MACHINES; i++) {
        if (d->ears[i] && !bdr_events_alive(d->ears[i])) {
            bdr_events_close(d->ears[i]);
            d->ears[i] = NULL;
        }
        if (!d->ears[i])
            free_slot = i;
    }
    if (free_slot < DOUBLE_MACHINES)
        d->ears[free_slot] = ev;
    pthread_mutex_unlock(&d->lock);
    if (free_slot == DOUBLE_MACHINES)
        bdr_events_close(ev);
    return NULL;
}

void double_event(struct console_double *d, const char *event, const char *data)
{
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < DOUBLE_MACHINES; i++)
        if (d->ears[i])
            bdr_events_send(d->ears[i], event, NULL, data);
    pthread_mutex_unlock(&d->lock);
}

/* ---- jobs ---- */

static bool kind_wanted(const char *kinds, const char *work)
{
    json_t *doc = json_loads(work, 0, NULL);
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    size_t n = kind ? strlen(kind) : 0;
    bool found = !kinds;

    for (const char *p = kinds; p && kind && !found && (p = strstr(p, kind)) != NULL; p += n)
        found = (p == kinds || p[-1] == ' ') && (!p[n] || p[n] == ' ');
    json_decref(doc);
    return found;
}

static struct bdr_err *job_give(struct console_double *d, struct bdr_req *req, struct double_job *j,
                                struct bdr_claim_out *got)
{
    json_t *doc = json_loads(j->work, 0, NULL);
    BDR_AUTO(mem) char *text = NULL;
    struct bdr_err *err;

    BDR_ASSERT(doc);
    json_object_set_new(doc, "id", json_integer((json_int_t)j->id));
    json_object_set_new(doc, "fence", json_integer((json_int_t)j->fence));
    json_object_set_new(doc, "lease_s", json_integer(j->lease_s ? j->lease_s : d->lease_s));
    if (j->checkpoint[0])
        json_object_set_new(doc, "checkpoint", json_string(j->checkpoint));
    text = json_dumps(doc, 0);
    json_decref(doc);
    err = bdr_shape_read(&bdr_job_work_shape, BDR_SHAPE_RESPONSE, text, strlen(text), bdr_req_arena(req), &got->job,
                         NULL);
    got->has_job = !err;
    return err;
}

static struct bdr_err *run_claim(struct bdr_req *req, const void *in, void *out)
{
    struct console_double *d = the_double;
    const struct bdr_claim_in *say = in;
    struct double_machine *m;
    struct bdr_err *err = NULL;

    pthread_mutex_lock(&d->lock);
    m = machine_of(d, req);
    expire(d);
    for (size_t i = 0; m && i < d->n_jobs; i++) {
        struct double_job *j = &d->jobs[i];

        if (!job_for(j, m->id) || !kind_wanted(say->kinds, j->work))
            continue;
        j->state = DOUBLE_RUNNING;
        j->fence = ++d->fences;
        j->claims++;
        j->wanted = BDR_JOB_GO_ON;
        j->lease_end_ms = bdr_clock_mono_ms() + (uint64_t)(j->lease_s ? j->lease_s : d->lease_s) * 1000;
        put_text(j->holder, sizeof(j->holder), m->id);
        err = job_give(d, req, j, out);
        break;
    }
    pthread_mutex_unlock(&d->lock);
    if (!m)
        BDR_REFUSE(req, BDR_AUTH, "This machine was revoked.");
    return err;
}

static struct double_job *job_find(struct console_double *d, uint64_t id)
{
    return id >= 1 && id <= d->n_jobs ? &d->jobs[id - 1] : NULL;
}

/* Needs the lock. */
static bool job_held(struct console_double *d, struct bdr_req *req, struct double_job *j, uint64_t fence)
{
    struct double_machine *m = machine_of(d, req);

    expire(d);
    return m && j->state == DOUBLE_RUNNING && j->fence == fence && !strcmp(j->holder, m->id);
}

static struct bdr_err *run_job_beat(struct bdr_req *req, const void *in, void *out)
{
    struct console_double *d = the_double;
    const struct bdr_job_beat_in *say = in;
    struct bdr_job_beat_out *got = out;
    struct double_job *j;
    bool held;

    pthread_mutex_lock(&d->lock);
    j = job_find(d, bdr_req_param_u64(req, "id"));
    held = j && job_held(d, req, j, say->fence);
    if (held) {
        j->beats++;
        j->lease_end_ms = bdr_clock_mono_ms() + (uint64_t)(j->lease_s ? j->lease_s : d->lease_s) * 1000;
        j->done_bytes = say->done_bytes;
        j->total_bytes = say->total_bytes;
        j->stored_bytes = say->stored_bytes;
        put_text(j->checkpoint, sizeof(j->checkpoint), say->checkpoint);
        put_text(j->step, sizeof(j->step), say->step);
        *got = (struct bdr_job_beat_out){
            .wanted = j->wanted, .lease_s = j->lease_s ? j->lease_s : d->lease_s, .bandwidth_bps = j->bandwidth_bps};
    } else if (j) {
        j->stale++;
    }
    pthread_mutex_unlock(&d->lock);
    if (!held)
        BDR_REFUSE(req, BDR_FENCED, "Somebody else has this job.");
    return NULL;
}

static enum double_state state_after(const struct double_job *j, int how)
{
    switch (how) {
    case BDR_HOW_FINISH:
        return DOUBLE_FINISHED;
    case BDR_HOW_RETRY:
        return j->again ? DOUBLE_READY : DOUBLE_FAILED;
    case BDR_HOW_STOPPED:
        return j->wanted == BDR_JOB_GO_ON && j->again ? DOUBLE_READY : DOUBLE_STOPPED;
    default:
        return DOUBLE_FAILED;
    }
}

static struct bdr_err *run_job_end(struct bdr_req *req, const void *in, void *out)
{
    struct console_double *d = the_double;
    const struct bdr_job_end_in *say = in;
    struct bdr_job_end_out *got = out;
    bool held, again = false, busy = false;
    struct double_job *j;

    pthread_mutex_lock(&d->lock);
    j = job_find(d, bdr_req_param_u64(req, "id"));
    if (d->fail_ends) {
        d->fail_ends--;
        pthread_mutex_unlock(&d->lock);
        BDR_REFUSE(req, BDR_THROTTLED, "Not now.");
    }
    held = j && job_held(d, req, j, say->fence);
    if (held) {
        j->ends++;
        j->last_how = say->how;
        j->state = state_after(j, say->how);
        put_text(j->error_code, sizeof(j->error_code), say->error_code ? say->error_code : "");
        put_text(j->error_text, sizeof(j->error_text), say->error_text ? say->error_text : "");
        j->done_bytes = say->done_bytes;
        j->total_bytes = say->total_bytes;
        j->stored_bytes = say->stored_bytes;
        free(j->result);
        j->result = say->result ? json_dumps(say->result, JSON_SORT_KEYS) : NULL;
        if (d->lose_ends) {
            d->lose_ends--;
            busy = true;
        }
    } else if (j) {
        again = j->state != DOUBLE_RUNNING && j->fence == say->fence && j->last_how == say->how && j->ends;
        j->stale += !again;
        j->ends += again;
    }
    got->state = "ended";
    pthread_mutex_unlock(&d->lock);
    if (busy)
        BDR_REFUSE(req, BDR_THROTTLED, "The answer got lost.");
    if (!held && !again)
        BDR_REFUSE(req, BDR_FENCED, "Somebody else has this job.");
    return NULL;
}

static struct bdr_err *run_hosts(struct bdr_req *req, const void *in, void *out)
{
    struct console_double *d = the_double;
    const struct bdr_seen_hosts *say = in;
    struct double_job *j;
    bool held;

    (void)out;
    pthread_mutex_lock(&d->lock);
    j = job_find(d, say->job);
    held = j && job_held(d, req, j, say->fence);
    if (held) {
        d->host_parts++;
        d->hosts_seen += (unsigned)say->hosts.n;
        d->hosts_complete = say->complete;
        keep_json(&d->hosts, &bdr_seen_hosts_shape, say);
    }
    pthread_mutex_unlock(&d->lock);
    if (!held)
        BDR_REFUSE(req, BDR_FENCED, "Somebody else has this job.");
    return NULL;
}

/* ---- life ---- */

static const struct bdr_route rows[] = {
    {BDR_POST, "/v1/enrol", NULL, BDR_R_ANONYMOUS, .in = &bdr_enrol_in_shape, .out = &bdr_enrol_out_shape,
     .run = run_enrol, .body_max_bytes = 1 << 20, .help = "Enrol.", .help_zh = "接入"},
    {BDR_POST, "/v1/machine/certificate", "machine", BDR_R_MACHINE, .in = &bdr_renew_in_shape,
     .out = &bdr_renew_out_shape, .run = run_renew, .help = "Renew.", .help_zh = "续期"},
    {BDR_POST, "/v1/machine/beat", "machine", BDR_R_MACHINE, .in = &bdr_beat_in_shape, .out = &bdr_beat_out_shape,
     .run = run_beat, .help = "Beat.", .help_zh = "心跳"},
    {BDR_PUT, "/v1/machine/inventory", "machine", BDR_R_MACHINE, .in = &bdr_inventory_shape, .run = run_inventory,
     .body_max_bytes = 16 << 20, .help = "Inventory.", .help_zh = "清单"},
    {BDR_GET, "/v1/machine/events", "machine", BDR_R_MACHINE | BDR_R_STREAM_OUT, .out_type = "text/event-stream",
     .run = run_events, .help = "Events.", .help_zh = "事件"},
    {BDR_POST, "/v1/machine/claim", "machine", BDR_R_MACHINE, .in = &bdr_claim_in_shape, .out = &bdr_claim_out_shape,
     .run = run_claim, .help = "Claim.", .help_zh = "领取"},
    {BDR_POST, "/v1/machine/jobs/{id:u64}/beat", "machine", BDR_R_MACHINE, .in = &bdr_job_beat_in_shape,
     .out = &bdr_job_beat_out_shape, .run = run_job_beat, .help = "Beat of a job.", .help_zh = "任务心跳"},
    {BDR_POST, "/v1/machine/jobs/{id:u64}/end", "machine", BDR_R_MACHINE, .in = &bdr_job_end_in_shape,
     .out = &bdr_job_end_out_shape, .run = run_job_end, .body_max_bytes = 1 << 20, .help = "End of a job.",
     .help_zh = "任务结束"},
    {BDR_PUT, "/v1/machine/platforms/{id:u64}/hosts", "machine", BDR_R_MACHINE, .in = &bdr_seen_hosts_shape,
     .run = run_hosts, .body_max_bytes = 64 << 20, .help = "Hosts.", .help_zh = "主机"},
};

static struct bdr_err *may(void *ctx, struct bdr_req *req, const struct bdr_route *route, const char *perm)
{
    (void)ctx;
    (void)req;
    (void)route;
    (void)perm;
    return NULL;
}

static void path_of(const struct console_double *d, const char *name, char out[160])
{
    snprintf(out, 160, "%s/%s", d->folder, name);
}

struct console_double *double_new(void)
{
    static const struct bdr_route_table tables[] = {BDR_ROUTES("double", rows)};
    const char *names[] = {"localhost", "127.0.0.1"};
    const struct bdr_server_spec spec = {.names = names, .n = 2};
    struct console_double *d = calloc(1, sizeof(*d));
    char a[160], b[160];
    bool renewed;

    BDR_ASSERT(d);
    the_double = d;
    d->beat_s = 30;
    d->lease_s = 60;
    pthread_mutex_init(&d->lock, NULL);
    snprintf(d->folder, sizeof(d->folder), "/tmp/bdr-double-XXXXXX");
    BDR_ASSERT(mkdtemp(d->folder));
    OK(bdr_ca_new("Double CA", 0, &d->ca));
    snprintf(d->ca_print, sizeof(d->ca_print), "%s", bdr_ca_info(d->ca)->fingerprint);
    path_of(d, "ca.key", a);
    path_of(d, "ca.crt", b);
    OK(bdr_ca_save(d->ca, a, b));
    path_of(d, "server.key", a);
    path_of(d, "server.crt", b);
    OK(bdr_ca_ensure_server(d->ca, &spec, a, b, &renewed));
    OK(bdr_router_new(
        &(struct bdr_router_config){
            .title = "Double", .version = "1", .tables = tables, .n_tables = 1, .authorise = may},
        &d->router));
    return d;
}

void double_serve(struct console_double *d)
{
    char ca[160], key[160], crt[160];
    struct bdr_http_listener listener = {
        .port = d->port, .tls = BDR_TLS_OPTIONAL, .cert_file = crt, .key_file = key, .ca_file = ca};
    struct bdr_http_config config = {
        .listeners = &listener, .n_listeners = 1, .app = &bdr_router_app, .app_ctx = d->router};

    path_of(d, "ca.crt", ca);
    path_of(d, "server.key", key);
    path_of(d, "server.crt", crt);
    OK(bdr_http_start(&config, &d->server));
    d->port = bdr_http_port(d->server, 0);
    snprintf(d->url, sizeof(d->url), "https://127.0.0.1:%u", d->port);
}

void double_stop(struct console_double *d)
{
    bdr_http_stop(d->server, 200);
    d->server = NULL;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < DOUBLE_MACHINES; i++) {
        bdr_events_close(d->ears[i]);
        d->ears[i] = NULL;
    }
    pthread_mutex_unlock(&d->lock);
}

void double_free(struct console_double *d)
{
    if (d->server)
        double_stop(d);
    bdr_router_free(d->router);
    bdr_ca_free(d->ca);
    for (size_t i = 0; i < d->n_jobs; i++) {
        free(d->jobs[i].work);
        free(d->jobs[i].result);
    }
    for (size_t i = 0; i < d->n_machines; i++)
        free(d->machines[i].inventory);
    free(d->hosts);
    OK(bdr_os_remove_tree(d->folder));
    pthread_mutex_destroy(&d->lock);
    free(d);
    the_double = NULL;
}

void double_token(struct console_double *d, const char *token)
{
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < BDR_COUNT(d->tokens); i++)
        if (!d->tokens[i][0]) {
            put_text(d->tokens[i], sizeof(d->tokens[i]), token);
            break;
        }
    pthread_mutex_unlock(&d->lock);
}

uint64_t double_job(struct console_double *d, const char *machine, const char *work)
{
    struct double_job *j;

    pthread_mutex_lock(&d->lock);
    BDR_ASSERT(d->n_jobs < DOUBLE_JOBS);
    j = &d->jobs[d->n_jobs++];
    j->id = d->n_jobs;
    j->last_how = -1;
    j->again = true;
    j->work = strdup(work);
    put_text(j->for_machine, sizeof(j->for_machine), machine);
    pthread_mutex_unlock(&d->lock);
    double_event(d, "work", "{}");
    return j->id;
}

void double_revoke(struct console_double *d, const char *machine)
{
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->n_machines; i++)
        if (!strcmp(d->machines[i].id, machine))
            d->machines[i].revoked = true;
    pthread_mutex_unlock(&d->lock);
}

struct double_job double_job_of(struct console_double *d, uint64_t id)
{
    struct double_job j;

    pthread_mutex_lock(&d->lock);
    j = d->jobs[id - 1];
    pthread_mutex_unlock(&d->lock);
    return j;
}

struct double_machine double_machine_of(struct console_double *d, size_t i)
{
    struct double_machine m;

    pthread_mutex_lock(&d->lock);
    m = d->machines[i];
    pthread_mutex_unlock(&d->lock);
    return m;
}

bool double_wait(struct console_double *d, bool (*ready)(struct console_double *d, void *ctx), void *ctx, uint64_t ms)
{
    uint64_t end = bdr_clock_mono_ms() + ms;
    bool yes = false;

    while (!yes && bdr_clock_mono_ms() < end) {
        pthread_mutex_lock(&d->lock);
        yes = ready(d, ctx);
        pthread_mutex_unlock(&d->lock);
        if (!yes)
            bdr_err_drop(bdr_cancel_sleep(NULL, 5), "looks again");
    }
    return yes;
}

struct wait_job {
    uint64_t id;
    enum double_state state;
};
static bool job_is(struct console_double *d, void *ctx)
{
    const struct wait_job *w = ctx;

    return d->jobs[w->id - 1].state == w->state;
}

bool double_wait_job(struct console_double *d, uint64_t id, enum double_state state, uint64_t ms)
{
    return double_wait(d, job_is, &(struct wait_job){id, state}, ms);
}
