/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - the dashboard, and series for charts: RPO of a host, space of a repository. */
#include "api/api.h"
#include "bdr/machine_api.h"
#include "policy/policy.h"
#include <stdio.h>
#include <string.h>

#define HOUR_MS    INT64_C(3600000)
#define DAY_MS     INT64_C(86400000)
#define POINTS_MAX 2000

struct span_query {
    int64_t from, to;
    bool has_from, has_to;
};
static const struct bdr_shape_field span_fields[] = {
    {BDR_FIELD_HAS(struct span_query, from), .type = BDR_T_TIME, .help = "From when; a day ago.",
     .help_zh = "开始时间"},
    {BDR_FIELD_HAS(struct span_query, to), .type = BDR_T_TIME, .help = "Until when; now.", .help_zh = "结束时间"},
    {.name = NULL},
};
static const struct bdr_shape span_shape = {
    .name = "SpanQuery", .size = sizeof(struct span_query), .fields = span_fields};

static struct bdr_err *span_of(struct bdr_req *req, int64_t *out_from, int64_t *out_to)
{
    const struct span_query *q = bdr_req_filter(req);

    *out_to = q->has_to ? q->to : api_now() + 1;
    *out_from = q->has_from ? q->from : *out_to - DAY_MS;
    if (*out_from >= *out_to) {
        bdr_req_fault(req, "?to", BDR_RANGE, "is not after from");
        BDR_REFUSE(req, BDR_INVAL, "There is no time between from and to.");
    }
    return NULL;
}

/* ---- RPO ---- */

struct rpo_at {
    int64_t at;
    uint64_t age, minutes, missed_minutes;
};
static const struct bdr_shape_field rpo_at_fields[] = {
    {BDR_FIELD(struct rpo_at, at), .type = BDR_T_TIME, .flags = BDR_F_REQUIRED, .help = "When.", .help_zh = "时间"},
    {BDR_FIELD(struct rpo_at, age), .type = BDR_T_DURATION, .flags = BDR_F_REQUIRED,
     .help = "How old the newest point was; of an hour, the most.", .help_zh = "最新恢复点的时长"},
    {BDR_FIELD(struct rpo_at, minutes), .type = BDR_T_U64, .help = "What it stands for.", .help_zh = "代表的分钟数"},
    {BDR_FIELD(struct rpo_at, missed_minutes), .type = BDR_T_U64, .help = "Of these, older than promised.",
     .help_zh = "超期分钟数"},
    {.name = NULL},
};
static const struct bdr_shape rpo_at_shape = {.name = "RpoAt", .size = sizeof(struct rpo_at), .fields = rpo_at_fields};

struct rpo_out {
    uint64_t promised, age;
    bool missed, has_age;
    int64_t newest;
    bool has_newest;
    BDR_ARRAY(struct rpo_at) series;
};
static const struct bdr_shape_field rpo_fields[] = {
    {BDR_FIELD(struct rpo_out, promised), .type = BDR_T_DURATION, .help = "The policy's RPO; 0: none.",
     .help_zh = "承诺的RPO"},
    {BDR_FIELD_HAS(struct rpo_out, age), .type = BDR_T_DURATION, .help = "Now.", .help_zh = "当前RPO"},
    {BDR_FIELD(struct rpo_out, missed), .type = BDR_T_BOOL, .help = "Older than promised.", .help_zh = "超期"},
    {BDR_FIELD_HAS(struct rpo_out, newest), .type = BDR_T_TIME, .help = "The newest point.", .help_zh = "最新恢复点"},
    {BDR_FIELD(struct rpo_out, series), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &rpo_at_shape,
     .n_max = 2 * POINTS_MAX, .help = "Oldest first: hours, and single looks in the last day.", .help_zh = "历史"},
    {.name = NULL},
};
static const struct bdr_shape rpo_shape = {.name = "HostRpo", .size = sizeof(struct rpo_out), .fields = rpo_fields};

static struct bdr_err *rpo_series(struct bdr_req *req, struct bdr_tx *tx, int64_t id, int64_t from, int64_t to,
                                  struct rpo_out *out)
{
    static const int64_t steps[] = {HOUR_MS, 0};
    struct rpo_at *at = bdr_arena_alloc(bdr_req_arena(req), 2 * POINTS_MAX * sizeof(*at));

    BDR_NOMEM_IF_NULL(at);
    out->series.items = at;
    for (size_t k = 0; k < BDR_COUNT(steps); k++) {
        BDR_AUTO(mem) struct bdr_row_rpo_series *row = NULL;
        size_t n = 0;

        BDR_TRY(bdr_q_rpo_series(tx, &(struct bdr_in_rpo_series){id, steps[k], from, to, POINTS_MAX}, &row, &n));
        for (size_t i = 0; i < n; i++)
            at[out->series.n++] = (struct rpo_at){row[i].at_ms, (uint64_t)row[i].age_ms, (uint64_t)row[i].minutes,
                                                  (uint64_t)row[i].missed};
    }
    return NULL;
}

static struct bdr_err *host_rpo(struct bdr_req *req, const void *in, void *out)
{
    int64_t id = (int64_t)bdr_req_param_u64(req, "id"), from, to;
    BDR_AUTO(mem) struct bdr_row_host *h = NULL;
    BDR_AUTO(mem) struct bdr_row_policy *p = NULL;
    BDR_AUTO(mem) struct bdr_row_watch_get *w = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct rpo_out *o = out;

    (void)in;
    BDR_TRY(span_of(req, &from, &to));
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_host_get(tx, id, &h));
    if (!h)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no host %s.", bdr_req_param(req, "id"));
    if (h->policy_id.set)
        BDR_TRY(bdr_q_policy_get(tx, h->policy_id.v, &p));
    BDR_TRY(bdr_q_watch_get(tx, id, &w));
    o->has_newest = h->last_point_ms != 0;
    o->newest = h->last_point_ms;
    if (p && w) {
        struct bdr_rpo rpo;

        o->promised = (uint64_t)bdr_policy_rpo_ms(p->interval_ms, p->rpo_ms);
        rpo = bdr_rpo_measure((int64_t)o->promised, w->since_ms, h->last_point_ms, api_now());
        o->has_age = true;
        o->age = (uint64_t)rpo.age_ms;
        o->missed = rpo.missed;
    }
    return rpo_series(req, tx, id, from, to, o);
}

/* ---- space ---- */

struct space_at {
    int64_t at;
    uint64_t used_bytes, free_bytes;
    bool has_free_bytes;
};
static const struct bdr_shape_field space_at_fields[] = {
    {BDR_FIELD(struct space_at, at), .type = BDR_T_TIME, .flags = BDR_F_REQUIRED, .help = "When.", .help_zh = "时间"},
    {BDR_FIELD(struct space_at, used_bytes), .type = BDR_T_SIZE, .flags = BDR_F_REQUIRED, .help = "Used.",
     .help_zh = "已用"},
    {BDR_FIELD_HAS(struct space_at, free_bytes), .type = BDR_T_SIZE, .help = "Free, where that is known.",
     .help_zh = "剩余"},
    {.name = NULL},
};
static const struct bdr_shape space_at_shape = {
    .name = "SpaceAt", .size = sizeof(struct space_at), .fields = space_at_fields};
struct space_out {
    BDR_ARRAY(struct space_at) series;
};
static const struct bdr_shape_field space_fields[] = {
    {BDR_FIELD(struct space_out, series), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &space_at_shape,
     .n_max = POINTS_MAX, .help = "Oldest first.", .help_zh = "历史"},
    {.name = NULL},
};
static const struct bdr_shape space_shape = {
    .name = "RepositorySpace", .size = sizeof(struct space_out), .fields = space_fields};

static struct bdr_err *repository_space(struct bdr_req *req, const void *in, void *out)
{
    int64_t id = (int64_t)bdr_req_param_u64(req, "id"), from, to, step;
    BDR_AUTO(mem) struct bdr_row_repository *r = NULL;
    BDR_AUTO(mem) struct bdr_row_space_series *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct space_out *o = out;
    size_t n = 0;

    (void)in;
    BDR_TRY(span_of(req, &from, &to));
    step = to - from <= DAY_MS ? 0 : to - from <= 31 * DAY_MS ? HOUR_MS : DAY_MS;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_repository_get(tx, id, &r));
    if (!r)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no repository %s.", bdr_req_param(req, "id"));
    BDR_TRY(bdr_q_space_series(tx, &(struct bdr_in_space_series){id, step, from, to, POINTS_MAX}, &row, &n));
    o->series.items = bdr_arena_alloc(bdr_req_arena(req), (n + 1) * sizeof(*o->series.items));
    BDR_NOMEM_IF_NULL(o->series.items);
    for (; o->series.n < n; o->series.n++) {
        const struct bdr_row_space_series *s = &row[o->series.n];

        o->series.items[o->series.n] =
            (struct space_at){s->at_ms, (uint64_t)s->used_bytes, (uint64_t)s->free_bytes.v, s->free_bytes.set};
    }
    return NULL;
}

/* ---- the dashboard ---- */

struct summary {
    uint64_t hosts_protected, hosts_paused, hosts_at_risk, hosts_unprotected;
    uint64_t rpo_hosts, rpo_missed, rpo_worst;
    double rpo_now_pct, rpo_day_pct;
    uint64_t jobs_running, jobs_waiting, jobs_done_day, jobs_failed_day;
    uint64_t read_bytes_day, stored_bytes_day;
    uint64_t repositories, repositories_wrong, used_bytes, free_bytes;
    uint64_t machines, machines_silent, agents_silent, proxies_silent, gateways_silent;
    uint64_t alarms_critical, alarms_warning, alarms_info;
    BDR_ARRAY(struct space_at) growth;
};
#define N(member, type_, en, zh)                                                                                       \
    {                                                                                                                  \
        BDR_FIELD(struct summary, member), .type = BDR_T_##type_, .help = en, .help_zh = zh                            \
    }
static const struct bdr_shape_field summary_fields[] = {
    N(hosts_protected, U64, "Protected hosts.", "已保护主机"),
    N(hosts_paused, U64, "Of these, paused.", "已暂停"),
    N(hosts_at_risk, U64, "Of these, with an alarm about their points or jobs.", "存在风险"),
    N(hosts_unprotected, U64, "Seen or registered, and not protected.", "未保护"),
    N(rpo_hosts, U64, "Hosts with a promise that counts now.", "有RPO承诺的主机"),
    N(rpo_missed, U64, "Of these, with an older point than promised.", "RPO超期的主机"),
    N(rpo_worst, DURATION, "The oldest newest point.", "最差RPO"),
    N(rpo_now_pct, REAL, "Promises kept now, in percent.", "当前RPO达标率"),
    N(rpo_day_pct, REAL, "The same by time, in the last 24 hours.", "24小时RPO达标率"),
    N(jobs_running, U64, "Jobs that run.", "运行中的任务"),
    N(jobs_waiting, U64, "Jobs that wait.", "等待中的任务"),
    N(jobs_done_day, U64, "Done in the last 24 hours.", "24小时内完成"),
    N(jobs_failed_day, U64, "Failed in the last 24 hours.", "24小时内失败"),
    N(read_bytes_day, SIZE, "Read at the sources in the last 24 hours.", "24小时读取量"),
    N(stored_bytes_day, SIZE, "Stored in the last 24 hours.", "24小时存储量"),
    N(repositories, U64, "Repositories.", "存储库"),
    N(repositories_wrong, U64, "Of these, in trouble.", "异常的存储库"),
    N(used_bytes, SIZE, "Their space in use.", "已用空间"),
    N(free_bytes, SIZE, "Their free space, where it is known.", "剩余空间"),
    N(machines, U64, "Agents, proxies and gateways.", "机器总数"),
    N(machines_silent, U64, "Of these, silent.", "失联机器"),
    N(agents_silent, U64, "Silent agents.", "失联的代理程序"),
    N(proxies_silent, U64, "Silent proxies.", "失联的同步代理"),
    N(gateways_silent, U64, "Silent gateways.", "失联的网关"),
    N(alarms_critical, U64, "Critical alarms that stand.", "严重告警"),
    N(alarms_warning, U64, "Warnings that stand.", "警告"),
    N(alarms_info, U64, "Others that stand.", "提示"),
    {BDR_FIELD(struct summary, growth), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &space_at_shape,
     .n_max = 1000, .help = "Space of all repositories by the hour, for 30 days.", .help_zh = "空间增长"},
    {.name = NULL},
};
#undef N
static const struct bdr_shape summary_shape = {
    .name = "Summary", .size = sizeof(struct summary), .fields = summary_fields};

static struct bdr_err *summary_hosts(struct bdr_tx *tx, int64_t now, struct summary *s)
{
    BDR_AUTO(mem) struct bdr_row_host_counts *h = NULL;
    BDR_AUTO(mem) struct bdr_row_rpo_now *rpo = NULL;
    BDR_AUTO(mem) struct bdr_row_rpo_hours *day = NULL;
    int64_t risk = 0;
    size_t n = 0;

    BDR_TRY(bdr_q_host_counts(tx, &h, &n));
    for (size_t i = 0; i < n; i++)
        if (!strcmp(h[i].state, "protected")) {
            s->hosts_protected += (uint64_t)h[i].n;
            s->hosts_paused += h[i].paused ? (uint64_t)h[i].n : 0;
        } else if (strcmp(h[i].state, "gone") != 0) {
            s->hosts_unprotected += (uint64_t)h[i].n;
        }
    BDR_TRY(bdr_q_alarm_hosts_at_risk(tx, &risk));
    s->hosts_at_risk = (uint64_t)risk;
    BDR_TRY(bdr_q_rpo_now(tx, now, &rpo));
    s->rpo_hosts = (uint64_t)rpo->hosts;
    s->rpo_missed = (uint64_t)rpo->missed;
    s->rpo_worst = (uint64_t)BDR_MAX(rpo->worst_ms, (int64_t)0);
    s->rpo_now_pct = rpo->hosts ? 100.0 * (double)(rpo->hosts - rpo->missed) / (double)rpo->hosts : 100;
    BDR_TRY(bdr_q_rpo_hours(tx, now - DAY_MS, &day));
    s->rpo_day_pct =
        day->minutes ? 100.0 * (double)(day->minutes - day->missed) / (double)day->minutes : s->rpo_now_pct;
    return NULL;
}

static struct bdr_err *summary_work(struct bdr_tx *tx, int64_t now, struct summary *s)
{
    BDR_AUTO(mem) struct bdr_row_job_counts_open *open = NULL;
    BDR_AUTO(mem) struct bdr_row_moved_since *day = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_job_counts_open(tx, &open, &n));
    for (size_t i = 0; i < n; i++)
        *(!strcmp(open[i].state, "ready") || !strcmp(open[i].state, "paused") ? &s->jobs_waiting : &s->jobs_running) +=
            (uint64_t)open[i].n;
    BDR_TRY(bdr_q_moved_since(tx, now - DAY_MS, INT64_MAX, &day));
    s->jobs_done_day = (uint64_t)day->done;
    s->jobs_failed_day = (uint64_t)day->failed;
    s->read_bytes_day = (uint64_t)day->read_bytes;
    s->stored_bytes_day = (uint64_t)day->stored_bytes;
    return NULL;
}

static struct bdr_err *summary_machines(struct bdr_tx *tx, int64_t now, struct summary *s)
{
    BDR_AUTO(mem) struct bdr_row_machine_counts *m = NULL;
    BDR_AUTO(mem) struct bdr_row_alarm_counts *a = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_machine_counts(tx, now - 3 * BDR_MACHINE_BEAT_S * 1000, &m, &n));
    for (size_t i = 0; i < n; i++) {
        s->machines += (uint64_t)m[i].n;
        s->machines_silent += (uint64_t)m[i].silent;
        *(!strcmp(m[i].kind, "agent")   ? &s->agents_silent
          : !strcmp(m[i].kind, "proxy") ? &s->proxies_silent
                                        : &s->gateways_silent) += (uint64_t)m[i].silent;
    }
    BDR_TRY(bdr_q_alarm_counts(tx, &a, &n));
    for (size_t i = 0; i < n; i++)
        *(!strcmp(a[i].severity, "critical")  ? &s->alarms_critical
          : !strcmp(a[i].severity, "warning") ? &s->alarms_warning
                                              : &s->alarms_info) += (uint64_t)a[i].n;
    return NULL;
}

static struct bdr_err *summary_space(struct bdr_req *req, struct bdr_tx *tx, int64_t now, struct summary *s)
{
    BDR_AUTO(mem) struct bdr_row_repository_total *total = NULL;
    BDR_AUTO(mem) struct bdr_row_space_total *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_repository_total(tx, &total));
    s->repositories = (uint64_t)total->n;
    s->repositories_wrong = (uint64_t)total->wrong;
    s->used_bytes = (uint64_t)total->used_bytes;
    s->free_bytes = (uint64_t)total->free_bytes;
    BDR_TRY(bdr_q_space_total(tx, now - 30 * DAY_MS, &row, &n));
    s->growth.items = bdr_arena_alloc(bdr_req_arena(req), (n + 1) * sizeof(*s->growth.items));
    BDR_NOMEM_IF_NULL(s->growth.items);
    for (size_t i = 0; i < n; i++)
        s->growth.items[s->growth.n++] =
            (struct space_at){.at = row[i].at_ms, .used_bytes = (uint64_t)row[i].used_bytes};
    return NULL;
}

static struct bdr_err *summary(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    int64_t now = api_now();

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(summary_hosts(tx, now, out));
    BDR_TRY(summary_work(tx, now, out));
    BDR_TRY(summary_machines(tx, now, out));
    return summary_space(req, tx, now, out);
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/v1/summary",
     .perm = "summary:read",
     .out = &summary_shape,
     .run = summary,
     .cli = "status",
     .help = "How things are, in numbers.",
     .help_zh = "总览"},
    {.method = BDR_GET,
     .path = "/v1/hosts/{id:u64}/rpo",
     .perm = "hosts:read",
     .query = &span_shape,
     .out = &rpo_shape,
     .run = host_rpo,
     .cli = "host rpo",
     .help = "How old a host's newest point is, and was.",
     .help_zh = "主机RPO"},
    {.method = BDR_GET,
     .path = "/v1/repositories/{id:u64}/space",
     .perm = "repositories:read",
     .query = &span_shape,
     .out = &space_shape,
     .run = repository_space,
     .cli = "repository space",
     .help = "A repository's space over time.",
     .help_zh = "存储库空间"},
};
const struct bdr_route_table api_watch_table = BDR_ROUTES("watch", rows);
