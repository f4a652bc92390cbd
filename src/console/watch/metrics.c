/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - one look at the tables, then the rows of schema/metrics.def in order. */
#include "watch/metrics.h"
#include "bdr/clock.h"
#include "bdr/machine_api.h"
#include "db/statements.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum metric {
#define M(name, ...) METRIC_##name,
#include "metrics.def"
#undef M
    METRICS
};
static const struct {
    const char *name, *type, *unit, *labels, *help;
} metrics[METRICS] = {
#define GAUGE                                   "gauge"
#define COUNTER                                 "counter"
#define M(name, text, type, unit, labels, help) [METRIC_##name] = {text, type, unit, labels, help},
#include "metrics.def"
#undef M
};

/* Samples of each metric, written as they are found and put together at the end. */
struct page {
    struct bdr_buf rows[METRICS];
};

static void page_free(struct page *p)
{
    for (size_t i = 0; i < METRICS; i++)
        bdr_buf_free(&p->rows[i]);
}
BDR_UNUSED static void bdr_auto_page(struct page *p)
{
    page_free(p);
}

/* A label's value; names of hosts are anybody's text. */
static void label_value(struct bdr_buf *b, const char *text)
{
    for (const char *at = text; *at; at++) {
        if (*at == '\\' || *at == '"')
            bdr_buf_u8(b, '\\');
        if (*at == '\n')
            bdr_buf_put(b, "\\n", 2);
        else if ((uint8_t)*at >= 0x20)
            bdr_buf_u8(b, (uint8_t)*at);
    }
}

/* `first`, `second`: values of the metric's labels, as many as it has. */
static void sample(struct page *p, enum metric m, const char *first, const char *second, double value)
{
    struct bdr_buf *b = &p->rows[m];
    const char *labels = metrics[m].labels, *values[] = {first, second};

    bdr_buf_printf(b, "%s", metrics[m].name);
    for (int i = 0; *labels && i < 2; i++) {
        size_t len = strcspn(labels, ",");

        bdr_buf_printf(b, "%s%.*s=\"", i ? "," : "{", (int)len, labels);
        label_value(b, values[i] ? values[i] : "");
        bdr_buf_u8(b, '"');
        labels += len + (labels[len] == ',');
    }
    bdr_buf_printf(b, "%s %.17g\n", *metrics[m].labels ? "}" : "", value);
}

static void number(struct page *p, enum metric m, double value)
{
    sample(p, m, NULL, NULL, value);
}

static struct bdr_err *page_jobs(struct bdr_tx *tx, struct page *p)
{
    static const char *const states[] = {"ready", "running", "pausing", "paused", "cancelling"};
    BDR_AUTO(mem) struct bdr_row_job_counts_open *open = NULL;
    BDR_AUTO(mem) struct bdr_row_moved_since *all = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_job_counts_open(tx, &open, &n));
    for (size_t i = 0; i < BDR_COUNT(states); i++) { /* 0 is said, too: a graph without gaps */
        int64_t of = 0;

        for (size_t k = 0; k < n; k++)
            of += !strcmp(open[k].state, states[i]) ? open[k].n : 0;
        sample(p, METRIC_JOBS, states[i], NULL, (double)of);
    }
    BDR_TRY(bdr_q_moved_since(tx, 0, 1, &all));
    sample(p, METRIC_JOBS_ENDED, "done", NULL, (double)all->done);
    sample(p, METRIC_JOBS_ENDED, "failed", NULL, (double)all->failed);
    number(p, METRIC_READ, (double)all->read_bytes);
    number(p, METRIC_STORED, (double)all->stored_bytes);
    return NULL;
}

static struct bdr_err *page_rpo(struct bdr_tx *tx, int64_t now_ms, struct page *p)
{
    BDR_AUTO(mem) struct bdr_row_setting_get *setting = NULL;
    BDR_AUTO(mem) struct bdr_row_rpo_now *rpo = NULL;
    BDR_AUTO(mem) struct bdr_row_rpo_oldest *old = NULL;
    uint64_t limit = BDR_METRICS_HOSTS;
    char id[24];
    size_t n = 0;

    BDR_TRY(bdr_q_rpo_now(tx, now_ms, &rpo));
    number(p, METRIC_RPO_MISSED, (double)rpo->missed);
    number(p, METRIC_RPO_WORST, (double)rpo->worst_ms / 1e3);
    BDR_TRY(bdr_q_setting_get(tx, "metrics.hosts", &setting));
    if (setting)
        bdr_err_drop(bdr_u64_parse(setting->value, BDR_METRICS_HOSTS_MAX, &limit), "the default is as good");
    BDR_TRY(bdr_q_rpo_oldest(tx, (int64_t)limit, &old, &n));
    for (size_t i = 0; i < n; i++) {
        snprintf(id, sizeof(id), "%lld", (long long)old[i].id);
        sample(p, METRIC_RPO_AGE, id, old[i].name, (double)(now_ms - old[i].since_ms) / 1e3);
    }
    return NULL;
}

static struct bdr_err *page_hosts(struct bdr_tx *tx, struct page *p)
{
    static const char *const states[] = {"seen", "registered", "protected", "gone"};
    BDR_AUTO(mem) struct bdr_row_host_counts *row = NULL;
    int64_t paused = 0, risk = 0;
    size_t n = 0;

    BDR_TRY(bdr_q_host_counts(tx, &row, &n));
    for (size_t i = 0; i < BDR_COUNT(states); i++) {
        int64_t of = 0;

        for (size_t k = 0; k < n; k++)
            of += !strcmp(row[k].state, states[i]) ? row[k].n : 0;
        sample(p, METRIC_HOSTS, states[i], NULL, (double)of);
    }
    for (size_t k = 0; k < n; k++)
        paused += row[k].paused && !strcmp(row[k].state, "protected") ? row[k].n : 0;
    number(p, METRIC_HOSTS_PAUSED, (double)paused);
    BDR_TRY(bdr_q_alarm_hosts_at_risk(tx, &risk));
    number(p, METRIC_HOSTS_RISK, (double)risk);
    return NULL;
}

static struct bdr_err *page_things(struct bdr_tx *tx, int64_t now_ms, struct page *p)
{
    static const char *const severities[] = {"info", "warning", "critical"};
    BDR_AUTO(mem) struct bdr_row_machine_counts *m = NULL;
    BDR_AUTO(mem) struct bdr_row_repository *r = NULL;
    BDR_AUTO(mem) struct bdr_row_alarm_counts *a = NULL;
    BDR_AUTO(mem) struct bdr_row_notification_counts *t = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_machine_counts(tx, now_ms - 3 * BDR_MACHINE_BEAT_S * 1000, &m, &n));
    for (size_t i = 0; i < n; i++) {
        sample(p, METRIC_MACHINES, m[i].kind, NULL, (double)m[i].n);
        sample(p, METRIC_SILENT, m[i].kind, NULL, (double)m[i].silent);
    }
    BDR_TRY(bdr_q_repository_list(tx, 0, 1000, &r, &n));
    for (size_t i = 0; i < n; i++) {
        sample(p, METRIC_SPACE_USED, r[i].name, NULL, (double)r[i].used_bytes);
        if (r[i].free_bytes.set)
            sample(p, METRIC_SPACE_FREE, r[i].name, NULL, (double)r[i].free_bytes.v);
    }
    BDR_TRY(bdr_q_alarm_counts(tx, &a, &n));
    for (size_t i = 0; i < BDR_COUNT(severities); i++) {
        int64_t of = 0;

        for (size_t k = 0; k < n; k++)
            of += !strcmp(a[k].severity, severities[i]) ? a[k].n : 0;
        sample(p, METRIC_ALARMS, severities[i], NULL, (double)of);
    }
    BDR_TRY(bdr_q_notification_counts(tx, &t, &n));
    for (size_t i = 0; i < n; i++)
        sample(p, METRIC_NOTIFICATIONS, t[i].state, NULL, (double)t[i].n);
    return NULL;
}

static void page_http(struct bdr_console *c, struct page *p)
{
    struct bdr_hub_counts hub = bdr_hub_counts(c->hub);
    struct bdr_http_stats s = {0}, plain = {0};

    bdr_http_stats(c->server, &s);
    bdr_http_stats(c->http_server, &plain); /* packages; it knows neither streams nor certificates */
    number(p, METRIC_HTTP_NOW, (double)(s.connections + plain.connections));
    number(p, METRIC_HTTP_RUNNING, (double)(s.requests_running + plain.requests_running));
    number(p, METRIC_HTTP_STREAMS, (double)s.event_streams);
    number(p, METRIC_HTTP_ALL, (double)(s.connections_total + plain.connections_total));
    number(p, METRIC_HTTP_REQUESTS, (double)(s.requests_total + plain.requests_total));
    number(p, METRIC_HTTP_SLOW, (double)(s.cut_slow + plain.cut_slow));
    number(p, METRIC_HTTP_SILENT, (double)(s.cut_silent + plain.cut_silent));
    number(p, METRIC_HTTP_CROWDED, (double)(s.cut_crowded + plain.cut_crowded));
    number(p, METRIC_HTTP_GREEDY, (double)(s.cut_greedy + plain.cut_greedy));
    number(p, METRIC_HTTP_REFUSED, (double)s.refused_peers);
    sample(p, METRIC_LISTENERS, "people", NULL, (double)hub.people);
    sample(p, METRIC_LISTENERS, "machines", NULL, (double)hub.machines);
}

static void page_process(struct page *p)
{
    FILE *f = fopen("/proc/self/statm", "re");
    DIR *d = opendir("/proc/self/fd");
    long size = 0, rss = 0, fds = -3; /* ".", "..", and the folder itself */
    struct rusage u;

    if (f) {
        if (fscanf(f, "%ld %ld", &size, &rss) == 2)
            number(p, METRIC_RSS, (double)rss * (double)sysconf(_SC_PAGESIZE));
        fclose(f);
    }
    while (d && readdir(d))
        fds++;
    if (d) {
        closedir(d);
        number(p, METRIC_FDS, (double)fds);
    }
    if (getrusage(RUSAGE_SELF, &u) == 0)
        number(p, METRIC_CPU,
               (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                   (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

static struct bdr_err *page_write(struct page *p, struct bdr_buf *out)
{
    for (size_t i = 0; i < METRICS; i++) {
        if (!p->rows[i].len)
            continue;
        BDR_TRY(bdr_buf_check(&p->rows[i]));
        bdr_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics[i].name, metrics[i].help, metrics[i].name,
                       metrics[i].type);
        bdr_buf_put(out, p->rows[i].data, p->rows[i].len);
    }
    return bdr_buf_check(out);
}

struct bdr_err *bdr_metrics_text(struct bdr_console *c, int64_t now_ms, struct bdr_buf *out)
{
    BDR_AUTO(page) struct page p = {0};
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    uint64_t begin = bdr_clock_mono_ns();

    sample(&p, METRIC_BUILD, OPENBDR_VERSION, NULL, 1);
    BDR_TRY(bdr_tx_begin(c->db, BDR_TX_READ, &tx));
    BDR_TRY(page_jobs(tx, &p));
    BDR_TRY(page_hosts(tx, &p));
    BDR_TRY(page_rpo(tx, now_ms, &p));
    BDR_TRY(page_things(tx, now_ms, &p));
    bdr_tx_abandon(BDR_STEAL(tx));
    number(&p, METRIC_DB_READ, (double)(bdr_clock_mono_ns() - begin) / 1e9);
    page_http(c, &p);
    page_process(&p);
    return page_write(&p, out);
}
