/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_console.c - a site of 10,000 hosts and 500 running jobs on the console's database, by the clock.
 *
 * Usage: bench_console WHERE [SECONDS [HOSTS [JOBS]]]; prints one line of JSON. WHERE as bdr_db_open takes it, empty.
 *
 * Each host is heard of every 30 s, each job reports progress every 5 s and a checkpoint every 30 s, each of ten
 * proxies asks for work every 5 s, people load 20 pages a second. Calls are due at fixed times, whether or not the one
 * before has ended; latency counts from when a call was due. Afterwards, for a fifth of the time, heartbeats as fast as
 * they go.
 */
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/pool.h"
#include "jobs/jobs.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BENCH_THREADS 4
#define BENCH_PROXIES 10
#define BENCH_SAMPLES 400000

enum call { CALL_BEAT, CALL_PROGRESS, CALL_CHECKPOINT, CALL_CLAIM, CALL_PAGE, CALL_EXPIRE, CALLS };
static const char *const call_names[] = {"heartbeat", "progress", "checkpoint", "claim", "page", "expire"};

struct bench {
    struct bdr_db *db;
    int64_t hosts, jobs, seconds;
    int64_t first_agent, proxy[BENCH_PROXIES];
    struct bdr_job_lease *lease; /* of jobs */
    uint64_t start_ns;
    uint32_t *us[CALLS]; /* latencies */
    atomic_size_t n[CALLS];
    atomic_long flat_out;
};

static struct bdr_err *fill(struct bdr_tx *tx, void *ctx)
{
    struct bench *b = ctx;
    int64_t platform = 0, now = bdr_clock_wall_ms(), id, changed;
    char name[32], uuid[40];

    BDR_TRY(bdr_q_platform_add(
        tx,
        &(struct bdr_in_platform_add){"vmware", "bench", "https://vc.example", "root", "", "", "", "", "", "", "", now},
        &platform));
    for (int i = 0; i < BENCH_PROXIES; i++) {
        snprintf(uuid, sizeof(uuid), "proxy-%d", i);
        BDR_TRY(
            bdr_q_machine_add(tx, &(struct bdr_in_machine_add){uuid, "proxy", uuid, "", "", "", now}, &b->proxy[i]));
        BDR_TRY(bdr_q_proxy_add(tx, b->proxy[i]));
        BDR_TRY(bdr_q_proxy_set(tx, b->proxy[i], 600, b->jobs / BENCH_PROXIES, &changed));
        BDR_TRY(bdr_q_machine_beat(tx, b->proxy[i], now, ""));
        BDR_TRY(bdr_q_binding_add(tx, b->proxy[i], platform, now));
    }
    for (int64_t i = 0; i < b->hosts; i++) {
        snprintf(uuid, sizeof(uuid), "agent-%06lld", (long long)i);
        snprintf(name, sizeof(name), "web-%06lld", (long long)i);
        BDR_TRY(bdr_q_machine_add(
            tx, &(struct bdr_in_machine_add){uuid, "agent", name, "192.0.2.1", "Debian 12", "0.1.0", now}, &id));
        if (!i)
            b->first_agent = id;
        BDR_TRY(bdr_q_machine_beat(tx, id, now, ""));
        BDR_TRY(bdr_q_host_of_agent(
            tx, &(struct bdr_in_host_of_agent){BDR_SOME(id), name, "192.0.2.1", "Debian 12", now}, &id));
        if (i < b->jobs + b->jobs / 2) /* half as many again wait for their turn */
            BDR_TRY(bdr_q_job_add(tx,
                                  &(struct bdr_in_job_add){.kind = "sync",
                                                           .writes = true,
                                                           .host_id = BDR_SOME(id),
                                                           .platform_id = BDR_SOME(platform),
                                                           .params = "",
                                                           .origin = "bench",
                                                           .disks = 1,
                                                           .due_ms = now - 60000,
                                                           .max_tries = 5,
                                                           .now_ms = now},
                                  &id));
    }
    return NULL;
}

static struct bdr_err *claim_all(struct bench *b)
{
    for (int64_t i = 0; i < b->jobs; i++) {
        BDR_AUTO(mem) struct bdr_row_job *job = NULL;

        BDR_TRY(bdr_job_claim(b->db, b->proxy[i % BENCH_PROXIES], bdr_clock_wall_ms(), 600000, &job));
        if (!job)
            BDR_FAIL(BDR_INTERNAL, 0, "no job left for claim %lld", (long long)i);
        b->lease[i] = (struct bdr_job_lease){job->id, job->worker_id.v, job->fence};
    }
    return NULL;
}

static struct bdr_err *beat(struct bdr_tx *tx, void *ctx)
{
    return bdr_q_machine_beat(tx, *(int64_t *)ctx, bdr_clock_wall_ms(), "");
}

/* What a person's browser asks for: hosts, jobs, alarms, proxies. */
static struct bdr_err *page(struct bench *b, int64_t i)
{
    BDR_AUTO(mem) void *rows = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n;

    BDR_TRY(bdr_tx_begin(b->db, BDR_TX_READ, &tx));
    switch (i % 4) {
    case 0:
        return bdr_q_host_list(tx, &(struct bdr_in_host_list){"registered", 0, i * 37 % b->hosts, 50},
                               (struct bdr_row_host **)&rows, &n);
    case 1:
        return bdr_q_job_list(tx, &(struct bdr_in_job_list){"running", "", INT64_MAX, 50}, (struct bdr_row_job **)&rows,
                              &n);
    case 2:
        return bdr_q_alarm_standing(tx, INT64_MAX, 50, (struct bdr_row_alarm **)&rows, &n);
    default:
        return bdr_q_proxy_list(tx, 0, 50, (struct bdr_row_proxy_list **)&rows, &n);
    }
}

static struct bdr_err *call_one(struct bench *b, enum call call, int64_t i)
{
    struct bdr_job_lease *l = &b->lease[i % b->jobs];
    struct bdr_row_job *job = NULL;
    enum bdr_job_state s;
    char text[64];
    int64_t id = b->first_agent + i % b->hosts;
    size_t n;

    switch (call) {
    case CALL_BEAT: {
        /* machines and hosts were added in turns of one each: agents' numbers follow each other */
        return bdr_db_run(b->db, BDR_TX_BEAT, beat, &id);
    }
    case CALL_PROGRESS:
        return bdr_job_beat(b->db, l, &(struct bdr_job_progress){1, i << 20, INT64_C(1) << 40, i << 18},
                            bdr_clock_wall_ms(), 600000, &s);
    case CALL_CHECKPOINT:
        snprintf(text, sizeof(text), "{\"disk\":0,\"block\":%lld}", (long long)i);
        return bdr_job_checkpoint(b->db, l, text);
    case CALL_CLAIM:
        BDR_TRY(bdr_job_claim(b->db, b->proxy[i % BENCH_PROXIES], bdr_clock_wall_ms(), 0, &job));
        free(job); /* all proxies are full */
        return NULL;
    case CALL_PAGE:
        return page(b, i);
    default:
        return bdr_job_expire(b->db, bdr_clock_wall_ms(), 100, &n);
    }
}

static void sleep_until(uint64_t ns)
{
    uint64_t now = bdr_clock_mono_ns();

    if (now < ns)
        nanosleep(&(struct timespec){(time_t)((ns - now) / 1000000000u), (long)((ns - now) % 1000000000u)}, NULL);
}

static struct bdr_err *load(void *ctx, unsigned index)
{
    struct bench *b = ctx;
    const double per_second[CALLS] = {
        (double)b->hosts / 30, (double)b->jobs / 5, (double)b->jobs / 30, BENCH_PROXIES / 5.0, 20, 1};
    int64_t next[CALLS];

    for (int c = 0; c < CALLS; c++)
        next[c] = index;
    for (;;) {
        uint64_t due = UINT64_MAX, now;
        int call = 0;
        size_t at;

        for (int c = 0; c < CALLS; c++) {
            uint64_t t = b->start_ns + (uint64_t)((double)next[c] / per_second[c] * 1e9);

            if (t < due) {
                due = t;
                call = c;
            }
        }
        if (due >= b->start_ns + (uint64_t)b->seconds * 1000000000u)
            return NULL;
        sleep_until(due);
        BDR_TRY_FOR(call_one(b, (enum call)call, next[call]), "%s", call_names[call]);
        now = bdr_clock_mono_ns();
        at = atomic_fetch_add(&b->n[call], 1);
        if (at < BENCH_SAMPLES)
            b->us[call][at] = (uint32_t)BDR_MIN((now - due) / 1000, (uint64_t)UINT32_MAX);
        next[call] += BENCH_THREADS;
    }
}

static struct bdr_err *flat_out(void *ctx, unsigned index)
{
    struct bench *b = ctx;
    uint64_t end = bdr_clock_mono_ms() + (uint64_t)b->seconds * 200;

    for (int64_t i = index; bdr_clock_mono_ms() < end; i += BENCH_THREADS) {
        BDR_TRY(call_one(b, CALL_BEAT, i));
        atomic_fetch_add(&b->flat_out, 1);
    }
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static struct bdr_err *phase(struct bench *b, struct bdr_err *(*fn)(void *ctx, unsigned index))
{
    struct bdr_pool *pool = NULL;

    BDR_TRY(bdr_pool_start("bench", BENCH_THREADS, fn, b, NULL, &pool));
    return bdr_pool_join(pool);
}

static void report(const struct bench *b, double cpu, double fill_s, double flat_s)
{
    struct rusage u;

    double busy = -1;

    getloadavg(&busy, 1); /* of the whole machine: latencies on a busy one say little */
    getrusage(RUSAGE_SELF, &u);
    printf("{\"bench\":\"console-db\",\"engine\":\"%s\",\"hosts\":%lld,\"jobs\":%lld,\"seconds\":%lld,\"fill_seconds\":"
           "%.1f,",
           bdr_db_engine(b->db) == BDR_DB_PG ? "postgresql" : "sqlite", (long long)b->hosts, (long long)b->jobs,
           (long long)b->seconds, fill_s);
    for (int c = 0; c < CALLS; c++) {
        size_t n = BDR_MIN(atomic_load(&b->n[c]), (size_t)BENCH_SAMPLES);

        if (!n)
            continue;
        qsort(b->us[c], n, sizeof(*b->us[c]), by_size);
        printf("\"%s\":{\"calls_per_s\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f},", call_names[c],
               (double)n / (double)b->seconds, b->us[c][n / 2] / 1e3, b->us[c][n * 99 / 100] / 1e3,
               b->us[c][n - 1] / 1e3);
    }
    printf("\"console_cpu_cores\":%.3f,\"heartbeats_flat_out_per_s\":%.0f,\"console_max_rss_mib\":%.0f,\"load_"
           "average\":%.1f}\n",
           cpu / (double)b->seconds, (double)atomic_load(&b->flat_out) / flat_s, (double)u.ru_maxrss / 1024, busy);
}

static struct bdr_err *run(struct bench *b, int argc, char **argv)
{
    BDR_AUTO(db) struct bdr_db *db = NULL;
    uint64_t v = 0, t;
    double cpu, fill_s;

    b->seconds = 30;
    b->hosts = 10000;
    b->jobs = 500;
    for (int i = 2; i < argc && i < 5; i++) {
        BDR_TRY(bdr_u64_parse(argv[i], 1000000, &v));
        *(i == 2 ? &b->seconds : i == 3 ? &b->hosts : &b->jobs) = (int64_t)v;
    }
    BDR_TRY(bdr_db_open(&(struct bdr_db_options){.where = argv[1], .wait_ms = 30000}, &db));
    b->db = db;
    BDR_TRY(bdr_db_migrate(db, NULL));
    b->lease = calloc((size_t)b->jobs, sizeof(*b->lease));
    BDR_NOMEM_IF_NULL(b->lease);
    for (int c = 0; c < CALLS; c++) {
        b->us[c] = calloc(BENCH_SAMPLES, sizeof(*b->us[c]));
        BDR_NOMEM_IF_NULL(b->us[c]);
    }
    t = bdr_clock_mono_ms();
    BDR_TRY(bdr_db_run(db, BDR_TX_WRITE, fill, b));
    BDR_TRY(claim_all(b));
    fill_s = (double)(bdr_clock_mono_ms() - t) / 1e3;
    cpu = cpu_seconds();
    b->start_ns = bdr_clock_mono_ns();
    BDR_TRY(phase(b, load));
    cpu = cpu_seconds() - cpu;
    t = bdr_clock_mono_ms();
    BDR_TRY(phase(b, flat_out));
    report(b, cpu, fill_s, (double)(bdr_clock_mono_ms() - t) / 1e3);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct bench b;
    BDR_AUTO(err) struct bdr_err *err = NULL;
    char text[512];

    if (argc < 2) {
        fprintf(stderr, "usage: bench_console WHERE [SECONDS [HOSTS [JOBS]]]\n");
        return 2;
    }
    err = run(&b, argc, argv);
    if (err)
        fprintf(stderr, "bench_console: %s\n", bdr_err_text(err, text, sizeof(text)));
    free(b.lease);
    for (int c = 0; c < CALLS; c++)
        free(b.us[c]);
    return err ? bdr_code_exit(err->code) : 0;
}
