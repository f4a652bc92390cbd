/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_api.c - a real console on loopback over TLS: agents that beat, jobs that run, people who look, listeners that
 * wait.
 *
 * Usage: bench_api FOLDER DB PORT PID [SECONDS [HOSTS [LISTENERS [JOBS]]]]      tests/bench/api starts the console and
 * this
 *
 * Fills the console's database (hosts protected by a policy, each with an agent that has a certificate of its own),
 * opens one kept connection an agent with that certificate, and then: each agent beats every 30 s, the first JOBS hold
 * a running sync, on a connection of its own, and tell its progress every 5 s, 20 pages a second are loaded, LISTENERS
 * hold event streams. Calls are due at fixed times; latency counts from when a call was due. One line of JSON:
 * latencies, memory and processor time of the console.
 */
#include "auth/login.h"
#include "bdr/ca.h"
#include "bdr/clock.h"
#include "bdr/http_client.h"
#include "bdr/pool.h"
#include "bench_link.h"
#include "jobs/jobs.h"
#include <curl/curl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BEAT_THREADS 16
#define PAGE_THREADS 4
#define JOB_THREADS  4
#define PER_ADDRESS  800 /* connections from one address: the console takes a thousand */
#define JOBS_ADDRESS 100 /* of 127.0.1.x, the first one that jobs have */
#define FILL_BATCH   100 /* of a transaction: the console wants its turns meanwhile */
#define SAMPLES      200000

struct agent {
    char *cert;              /* owned, PEM */
    struct link *beat, *job; /* owned */
    int64_t machine, job_id, fence;
};
enum call { CALL_BEAT, CALL_JOB, CALL_PAGE, CALLS };
struct bench {
    const char *folder, *port;
    long pid;
    int64_t seconds, hosts, listeners, jobs;
    struct link_site site;
    struct agent *agents;
    char *key; /* PEM; one for all: what costs is the handshake */
    char token[64], ca[300], base[64];
    uint64_t start_ns;
    uint32_t *us[CALLS];
    atomic_size_t n[CALLS], wrong, heard;
    struct bdr_cancel stop;
};

/* ---- the site ---- */

struct fill {
    struct bench *b;
    struct bdr_ca *ca;
    const char *csr;
    int64_t policy, repository, next;
};

static void agent_address(int64_t i, int first, char out[24])
{
    snprintf(out, 24, "127.0.1.%d", (int)(i / PER_ADDRESS) + first);
}

static struct bdr_err *fill_agent(struct bdr_tx *tx, struct fill *f, int64_t i, int64_t policy, int64_t repository)
{
    int64_t now = bdr_clock_wall_ms(), due = now + i % 3600 * 1000, machine, host, n;
    struct bdr_cert_info info;
    char uuid[40], name[32], address[24];
    uint8_t print[32];

    snprintf(uuid, sizeof(uuid), "%032llx", (unsigned long long)i + 1);
    snprintf(name, sizeof(name), "web-%05lld", (long long)i);
    agent_address(i, 1, address);
    BDR_TRY(bdr_ca_issue_machine(f->ca, f->csr, strlen(f->csr),
                                 &(struct bdr_machine_spec){.machine = uuid, .role = "agent"}, &f->b->agents[i].cert,
                                 &info));
    for (size_t k = 0; k < sizeof(print); k++) {
        unsigned byte = 0;

        BDR_ASSERT(sscanf(info.fingerprint + 2 * k, "%2x", &byte) == 1);
        print[k] = (uint8_t)byte;
    }
    BDR_TRY(bdr_q_machine_add(tx, &(struct bdr_in_machine_add){uuid, "agent", name, address, "Debian 12", "0.1.0", now},
                              &machine));
    f->b->agents[i].machine = machine;
    BDR_TRY(bdr_q_machine_beat(tx, machine, now, ""));
    BDR_TRY(bdr_q_certificate_add(
        tx, &(struct bdr_in_certificate_add){info.serial, machine, {print, 32}, now, info.not_after_ms}));
    BDR_TRY(bdr_q_host_of_agent(tx, &(struct bdr_in_host_of_agent){BDR_SOME(machine), name, address, "Debian 12", now},
                                &host));
    BDR_TRY(bdr_q_host_protect(
        tx, &(struct bdr_in_host_protect){host, BDR_SOME(policy), BDR_SOME(repository), BDR_SOME(due)}, &n));
    if (i < f->b->jobs)
        BDR_TRY(bdr_q_job_add(tx,
                              &(struct bdr_in_job_add){.kind = "sync",
                                                       .writes = true,
                                                       .host_id = BDR_SOME(host),
                                                       .machine_id = BDR_SOME(machine),
                                                       .repository_id = BDR_SOME(repository),
                                                       .params = "",
                                                       .origin = "bench",
                                                       .disks = 1,
                                                       .due_ms = now - 60000,
                                                       .max_tries = 5,
                                                       .now_ms = now},
                              &n));
    /* as if it had run before: runs are spread over the hour */
    return bdr_q_host_scheduled(tx, host, due - 3600000, BDR_SOME(due), &n);
}

static struct bdr_err *fill_site(struct bdr_tx *tx, void *ctx)
{
    struct fill *f = ctx;
    int64_t now = bdr_clock_wall_ms(), account, token;

    BDR_TRY(bdr_q_account_add(
        tx, &(struct bdr_in_account_add){"bench", "bench", "", "", "operator", "none", false, now}, &account));
    BDR_TRY(bdr_api_token_new(tx, account, "bench", "*", now, 0, f->b->token, &token));
    BDR_TRY(bdr_q_policy_add(tx,
                             &(struct bdr_in_policy_add){.name = "hourly",
                                                         .interval_ms = 3600000,
                                                         .cron = "",
                                                         .zone = "UTC",
                                                         .windows = "",
                                                         .bandwidth = "",
                                                         .retention = "daily=7",
                                                         .compression = "zstd",
                                                         .consistency = "crash",
                                                         .tries = 5,
                                                         .now_ms = now},
                             &f->policy));
    return bdr_q_repository_add(
        tx, &(struct bdr_in_repository_add){"bench", "/srv/bench", (struct bdr_opt_i64){0}, false, now},
        &f->repository);
}

/* The next FILL_BATCH agents. */
static struct bdr_err *fill_agents(struct bdr_tx *tx, void *ctx)
{
    struct fill *f = ctx;
    int64_t end = BDR_MIN(f->next + FILL_BATCH, f->b->hosts);

    for (int64_t i = f->next; i < end; i++)
        BDR_TRY(fill_agent(tx, f, i, f->policy, f->repository));
    f->next = end;
    return NULL;
}

static struct bdr_err *site(struct bench *b, const char *where)
{
    BDR_AUTO(db) struct bdr_db *db = NULL;
    BDR_AUTO(ca) struct bdr_ca *ca = NULL;
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    char path[400], cert[400];
    struct fill fill;
    FILE *f;
    size_t n;

    snprintf(path, sizeof(path), "%s/ca.key", b->folder);
    snprintf(cert, sizeof(cert), "%s/ca.crt", b->folder);
    BDR_TRY(bdr_ca_load(path, cert, &ca));
    BDR_TRY(bdr_key_new(&key));
    BDR_TRY(bdr_key_csr(key, "bench", &csr));
    snprintf(path, sizeof(path), "%s/bench.key", b->folder);
    BDR_TRY(bdr_key_save(key, path));
    b->key = calloc(1, 4096);
    f = fopen(path, "re");
    if (!b->key || !f)
        BDR_FAIL(BDR_IO, 0, "reading %s", path);
    n = fread(b->key, 1, 4095, f);
    fclose(f);
    if (!n)
        BDR_FAIL(BDR_IO, 0, "reading %s", path);
    BDR_TRY(bdr_db_open(&(struct bdr_db_options){.where = where, .wait_ms = 60000}, &db));
    fill = (struct fill){.b = b, .ca = ca, .csr = csr};
    BDR_TRY(bdr_db_run(db, BDR_TX_LOCK, fill_site, &fill));
    while (fill.next < b->hosts)
        BDR_TRY(bdr_db_run(db, BDR_TX_LOCK, fill_agents, &fill));
    for (int64_t i = 0; i < b->jobs; i++) {
        BDR_AUTO(mem) struct bdr_row_job *job = NULL;

        BDR_TRY(bdr_job_claim(db, b->agents[i].machine, bdr_clock_wall_ms(), 600000, &job));
        if (!job)
            BDR_FAIL(BDR_INTERNAL, 0, "no job for agent %lld", (long long)i);
        b->agents[i].job_id = job->id;
        b->agents[i].fence = job->fence;
    }
    return NULL;
}

/* ---- calls ---- */

static size_t sink(char *data, size_t size, size_t n, void *ctx)
{
    (void)data, (void)ctx;
    return size * n;
}

static struct bdr_err *curl_new(const struct bench *b, CURL **out)
{
    CURL *curl = curl_easy_init();

    BDR_NOMEM_IF_NULL(curl);
    curl_easy_setopt(curl, CURLOPT_CAINFO, b->ca);
    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, sink);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    *out = curl;
    return NULL;
}

static struct bdr_err *tell(struct bench *b, struct link **link, int64_t i, int address, const char *path,
                            const char *json)
{
    char from[24];
    int status = 0;

    agent_address(i, address, from);
    if (!*link)
        BDR_TRY(link_open(&b->site, from, b->agents[i].cert, link));
    BDR_TRY_FOR(link_post(*link, path, json, &status), "agent %lld", (long long)i);
    if (status != 200)
        atomic_fetch_add(&b->wrong, 1);
    return NULL;
}

static struct bdr_err *beat(struct bench *b, int64_t i)
{
    return tell(b, &b->agents[i].beat, i, 1, "/v1/machine/beat",
                "{\"version\":\"0.1.0\",\"os\":\"Debian 12\",\"jobs\":0,\"disks\":0}");
}

/* Progress of the job of agent i, for the n-th time. */
static struct bdr_err *job_beat(struct bench *b, int64_t i, int64_t n)
{
    const struct agent *a = &b->agents[i];
    char path[64], json[160];

    snprintf(path, sizeof(path), "/v1/machine/jobs/%lld/beat", (long long)a->job_id);
    snprintf(json, sizeof(json),
             "{\"fence\":%lld,\"pass\":1,\"done_bytes\":%lld,\"total_bytes\":1099511627776,\"stored_bytes\":%lld}",
             (long long)a->fence, (long long)n << 20, (long long)n << 18);
    return tell(b, &b->agents[i].job, i, JOBS_ADDRESS, path, json);
}

static struct bdr_err *page(struct bench *b, CURL *curl, int64_t i)
{
    static const char *const pages[] = {"/v1/hosts?limit=50", "/v1/jobs?limit=50", "/v1/alarms?limit=50",
                                        "/v1/summary",        "/v1/hosts/7/rpo",   "/v1/events?limit=50"};
    char url[128];
    long status = 0;
    CURLcode rc;

    snprintf(url, sizeof(url), "%s%s", b->base, pages[(size_t)i % BDR_COUNT(pages)]);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    rc = curl_easy_perform(curl);
    if (rc)
        BDR_FAIL(BDR_NET, 0, "%s: %s", url, curl_easy_strerror(rc));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        atomic_fetch_add(&b->wrong, 1);
    return NULL;
}

static void sleep_until(uint64_t ns)
{
    uint64_t now = bdr_clock_mono_ns();

    if (now < ns)
        nanosleep(&(struct timespec){(time_t)((ns - now) / 1000000000u), (long)((ns - now) % 1000000000u)}, NULL);
}

static void took(struct bench *b, enum call call, uint64_t due_ns)
{
    size_t at = atomic_fetch_add(&b->n[call], 1);

    if (at < SAMPLES)
        b->us[call][at] = (uint32_t)BDR_MIN((bdr_clock_mono_ns() - due_ns) / 1000, (uint64_t)UINT32_MAX);
}

static struct bdr_err *connect_main(void *ctx, unsigned index)
{
    struct bench *b = ctx;
    uint64_t heard_ms = bdr_clock_mono_ms();

    for (int64_t i = index; i < b->hosts; i += BEAT_THREADS) {
        BDR_TRY(beat(b, i));
        if (bdr_clock_mono_ms() - heard_ms < 30000)
            continue;
        /* a slow machine is not done yet: the first ones beat again, or the console would close their connections */
        for (int64_t k = index; k < i; k += BEAT_THREADS)
            BDR_TRY(beat(b, k));
        heard_ms = bdr_clock_mono_ms();
    }
    for (int64_t i = index; i < b->jobs; i += BEAT_THREADS)
        BDR_TRY(job_beat(b, i, 0));
    return NULL;
}

/* Calls n of `kind`, a thread's share of them, each when it is due. */
static struct bdr_err *load_calls(struct bench *b, enum call kind, unsigned index, unsigned threads, double rate,
                                  CURL *curl)
{
    for (int64_t n = index;; n += threads) {
        uint64_t due = b->start_ns + (uint64_t)((double)n / rate * 1e9);

        if (due >= b->start_ns + (uint64_t)b->seconds * 1000000000u)
            return NULL;
        sleep_until(due);
        switch (kind) {
        case CALL_BEAT:
            BDR_TRY(beat(b, n % b->hosts));
            break;
        case CALL_JOB:
            BDR_TRY(job_beat(b, n % b->jobs, n));
            break;
        default:
            BDR_TRY(page(b, curl, n));
        }
        took(b, kind, due);
    }
}

static struct bdr_err *load_main(void *ctx, unsigned index)
{
    struct bench *b = ctx;
    struct curl_slist *header = NULL;
    struct bdr_err *err;
    CURL *curl = NULL;
    char auth[100];

    if (index < BEAT_THREADS)
        return load_calls(b, CALL_BEAT, index, BEAT_THREADS, (double)b->hosts / 30, NULL);
    index -= BEAT_THREADS;
    if (index < JOB_THREADS)
        return b->jobs ? load_calls(b, CALL_JOB, index, JOB_THREADS, (double)b->jobs / 5, NULL) : NULL;
    BDR_TRY(curl_new(b, &curl));
    snprintf(auth, sizeof(auth), "Authorization: Bearer %s", b->token);
    header = curl_slist_append(NULL, auth);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, header);
    err = load_calls(b, CALL_PAGE, index - JOB_THREADS, PAGE_THREADS, 20, curl);
    curl_easy_cleanup(curl);
    curl_slist_free_all(header);
    return err;
}

static bool on_event(void *ctx, const char *event, const char *id, const char *data)
{
    struct bench *b = ctx;

    (void)event, (void)id, (void)data;
    atomic_fetch_add(&b->heard, 1);
    return true;
}

static struct bdr_err *listen_main(void *ctx, unsigned index)
{
    struct bench *b = ctx;
    BDR_AUTO(http_client) struct bdr_http_client *client = NULL;

    (void)index;
    BDR_TRY(bdr_http_client_new(&(struct bdr_http_client_config){.base = b->base, .ca_file = b->ca, .bearer = b->token},
                                &client));
    bdr_err_drop(bdr_http_listen(client, "/v1/stream", NULL, on_event, b, &b->stop), "it ends when the bench does");
    return NULL;
}

/* ---- figures ---- */

static double proc_number(long pid, const char *file, const char *key)
{
    char path[64], line[256];
    double v = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/%s", pid, file);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (!strncmp(line, key, strlen(key)))
            v = strtod(line + strlen(key), NULL);
    if (f)
        fclose(f);
    return v;
}

static double cpu_seconds(long pid)
{
    char path[64], line[1024] = "";
    unsigned long user = 0, system_ = 0;
    const char *at;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    at = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
    fclose(f);
    if (!at || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system_) != 2)
        return 0;
    return (double)(user + system_) / (double)sysconf(_SC_CLK_TCK);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void report(const struct bench *b, double connect_s, double cpu, double rss_before)
{
    static const char *const names[] = {"beat", "job", "page"};
    double busy = -1;

    getloadavg(&busy, 1);
    printf("{\"bench\":\"console-api\",\"hosts\":%lld,\"connections\":%lld,\"jobs\":%lld,\"listeners\":%lld,"
           "\"seconds\":%lld,"
           "\"connect_seconds\":%.1f,",
           (long long)b->hosts, (long long)(b->hosts + b->jobs), (long long)b->jobs, (long long)b->listeners,
           (long long)b->seconds, connect_s);
    for (int c = 0; c < CALLS; c++) {
        size_t n = BDR_MIN(atomic_load(&b->n[c]), (size_t)SAMPLES);

        if (!n)
            continue;
        qsort(b->us[c], n, sizeof(*b->us[c]), by_size);
        printf("\"%s\":{\"calls_per_s\":%.1f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f},", names[c],
               (double)n / (double)b->seconds, b->us[c][n / 2] / 1e3, b->us[c][n * 99 / 100] / 1e3,
               b->us[c][n - 1] / 1e3);
    }
    printf("\"events_heard\":%zu,\"not_200\":%zu,\"console_cpu_cores\":%.3f,\"console_rss_empty_mib\":%.0f,\"console_"
           "rss_mib\":%.0f,"
           "\"console_max_rss_mib\":%.0f,\"load_average\":%.1f}\n",
           atomic_load(&b->heard), atomic_load(&b->wrong), cpu / (double)b->seconds, rss_before / 1024,
           proc_number(b->pid, "status", "VmRSS:") / 1024, proc_number(b->pid, "status", "VmHWM:") / 1024, busy);
}

static struct bdr_err *run(struct bench *b, int argc, char **argv)
{
    struct bdr_pool *pool = NULL, *listeners = NULL;
    int64_t *const numbers[] = {&b->seconds, &b->hosts, &b->listeners, &b->jobs};
    double rss = proc_number(b->pid, "status", "VmRSS:"), connect_s, cpu;
    struct bdr_cancel cancel = {0};
    uint64_t v = 0, t;

    for (int i = 5; i < argc && i < 9; i++) {
        BDR_TRY(bdr_u64_parse(argv[i], 100000, &v));
        *numbers[i - 5] = (int64_t)v;
    }
    b->jobs = BDR_MIN(b->jobs, b->hosts);
    b->agents = calloc((size_t)b->hosts, sizeof(*b->agents));
    BDR_NOMEM_IF_NULL(b->agents);
    for (int c = 0; c < CALLS; c++) {
        b->us[c] = calloc(SAMPLES, sizeof(*b->us[c]));
        BDR_NOMEM_IF_NULL(b->us[c]);
    }
    BDR_TRY_FOR(site(b, argv[2]), "filling the database");
    b->site = (struct link_site){
        .address = "127.0.0.1", .port = (uint16_t)strtoul(b->port, NULL, 10), .ca_file = b->ca, .key = b->key};
    BDR_TRY(link_site_open(&b->site));
    t = bdr_clock_mono_ms();
    BDR_TRY(bdr_pool_start("connect", BEAT_THREADS, connect_main, b, &cancel, &pool));
    BDR_TRY_FOR(bdr_pool_join(pool), "connecting");
    connect_s = (double)(bdr_clock_mono_ms() - t) / 1e3;
    BDR_TRY(bdr_pool_start("listen", (unsigned)b->listeners, listen_main, b, &b->stop, &listeners));
    cpu = cpu_seconds(b->pid);
    b->start_ns = bdr_clock_mono_ns();
    BDR_TRY(bdr_pool_start("load", BEAT_THREADS + JOB_THREADS + PAGE_THREADS, load_main, b, &cancel, &pool));
    BDR_TRY(bdr_pool_join(pool));
    cpu = cpu_seconds(b->pid) - cpu;
    report(b, connect_s, cpu, rss);
    bdr_cancel_set(&b->stop);
    for (int64_t i = 0; i < b->hosts; i++) {
        link_close(b->agents[i].beat);
        link_close(b->agents[i].job);
    }
    link_site_close(&b->site);
    return bdr_pool_join(listeners);
}

int main(int argc, char **argv)
{
    static struct bench b = {.seconds = 60, .hosts = 10000, .listeners = 50, .jobs = 500};
    BDR_AUTO(err) struct bdr_err *err = NULL;
    char text[512];

    if (argc < 5) {
        fprintf(stderr, "usage: bench_api FOLDER DB PORT PID [SECONDS [HOSTS [LISTENERS [JOBS]]]]\n");
        return 2;
    }
    b.folder = argv[1];
    b.port = argv[3];
    b.pid = strtol(argv[4], NULL, 10);
    snprintf(b.ca, sizeof(b.ca), "%s/ca.crt", b.folder);
    snprintf(b.base, sizeof(b.base), "https://127.0.0.1:%s", b.port);
    signal(SIGPIPE, SIG_IGN); /* a connection that the console closed is opened again */
    curl_global_init(CURL_GLOBAL_DEFAULT);
    err = run(&b, argc, argv);
    if (err)
        fprintf(stderr, "bench_api: %s\n", bdr_err_text(err, text, sizeof(text)));
    return err ? bdr_code_exit(err->code) : 0;
}
