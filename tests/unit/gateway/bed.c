/* SPDX-License-Identifier: Apache-2.0 */
#include "bed.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BED_HOSTS 9u
#define BED_MANY  128u

const char *bed_file(struct bed *b, const char *name)
{
    return engine_path(b->e, name);
}

/* "m1", "m2", ...: key and certificate of an agent, signed by the bed's CA. */
static void bed_machine(struct bed *b, const char *id, const char *role)
{
    const struct bdr_machine_spec spec = {.machine = id, .role = role};
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    BDR_AUTO(mem) char *pem = NULL;
    char name[96];

    engine_ok(bdr_key_new(&key));
    snprintf(name, sizeof(name), "%s.key", id);
    engine_ok(bdr_key_save(key, bed_file(b, name)));
    engine_ok(bdr_key_csr(key, id, &csr));
    engine_ok(bdr_ca_issue_machine(b->ca, csr, strlen(csr), &spec, &pem, NULL));
    snprintf(name, sizeof(name), "%s.crt", id);
    engine_ok(bdr_os_replace_file(bed_file(b, name), pem, strlen(pem), 0644, false));
}

static void bed_write_hosts(struct bed *b, const char *also)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};

    bdr_buf_printf(&text, "# for tests\nrepository 1 %s passphrase-file=%s\n", b->e->repo, b->e->pass);
    for (unsigned i = 1; i <= BED_HOSTS; i++)
        bdr_buf_printf(&text, "host %u host%u repository=1 machine=m%u identity=id%u\n", i, i, i, i);
    for (unsigned i = 21; i < 21 + BED_MANY; i++)
        bdr_buf_printf(&text, "host %u many%u repository=1 machine=m1\n", i, i);
    bdr_buf_printf(&text, "%s\n", also);
    engine_ok(bdr_buf_check(&text));
    engine_ok(bdr_os_replace_file(bed_file(b, "hosts"), text.data, text.len, 0600, false));
}

void bed_also(struct bed *b, const char *line)
{
    bool changed = false;

    bed_write_hosts(b, line);
    engine_ok(gw_hosts_file_refresh(b->file, &changed));
    assert_true(changed);
}

int bed_setup(void **state)
{
    const char *names[] = {"localhost", "127.0.0.1"};
    const struct bdr_server_spec server = {.names = names, .n = 2};
    struct bed *b = calloc(1, sizeof(*b));
    void *e = NULL;
    bool renewed;

    if (!b || engine_setup(&e))
        return -1;
    b->e = e;
    engine_ok(bdr_ca_new("Bed CA", 0, &b->ca));
    engine_ok(bdr_ca_save(b->ca, bed_file(b, "ca.key"), bed_file(b, "ca.crt")));
    engine_ok(bdr_ca_ensure_server(b->ca, &server, bed_file(b, "server.key"), bed_file(b, "server.crt"), &renewed));
    bed_machine(b, "m1", "agent");
    bed_machine(b, "m2", "agent");
    bed_machine(b, "m3", "proxy");
    bed_machine(b, "gw", "gateway");
    bed_write_hosts(b, "");
    engine_ok(gw_hosts_file_open(bed_file(b, "hosts"), &b->file));
    b->authority = gw_hosts_file_authority(b->file);
    b->limits.stall_ms = 5000;
    *state = b;
    return 0;
}

int bed_teardown(void **state)
{
    struct bed *b = *state;
    void *e = b->e;

    bed_down(b);
    gw_hosts_file_close(b->file);
    bdr_ca_free(b->ca);
    free(b);
    return engine_teardown(&e);
}

void bed_up(struct bed *b)
{
    const struct gw_config config = {.state_dir = bed_file(b, "state"),
                                     .authority = &b->authority,
                                     .port = b->port,
                                     .cert_file = bed_file(b, "server.crt"),
                                     .key_file = bed_file(b, "server.key"),
                                     .ca_file = bed_file(b, "ca.crt"),
                                     .limits = b->limits,
                                     .told = b->told,
                                     .told_ctx = b->told_ctx};

    engine_ok(gw_start(&config, &b->gw));
    b->port = gw_port(b->gw);
}

void bed_start(struct bed *b, bool encrypt, const char *compress, uint32_t block_bytes)
{
    engine_init(b->e, encrypt, compress, block_bytes ? block_bytes : 65536);
    bed_up(b);
}

void bed_down(struct bed *b)
{
    gw_stop(BDR_STEAL(b->gw));
}

struct bdr_sink *bed_sink(struct bed *b, const char *machine, uint64_t host, uint64_t fence, uint16_t port)
{
    char url[64], key[32], crt[32];
    struct bdr_sink *sink = NULL;

    snprintf(url, sizeof(url), "https://127.0.0.1:%u", port ? port : b->port);
    snprintf(key, sizeof(key), "%s.key", machine);
    snprintf(crt, sizeof(crt), "%s.crt", machine);
    engine_ok(bdr_sink_gateway(&(struct bdr_gateway_config){.url = url,
                                                            .ca_file = bed_file(b, "ca.crt"),
                                                            .cert_file = bed_file(b, crt),
                                                            .key_file = bed_file(b, key),
                                                            .host = host,
                                                            .fence = fence ? fence : ++b->fence,
                                                            .patience_ms = 60000},
                               &sink));
    return sink;
}

struct bdr_err *bed_backup_to(struct bdr_sink *sink, const char *image, const char *changed, struct bdr_backup_meter *meter,
                              const struct bdr_cancel *cancel, struct bdr_backup_result *out)
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    struct bdr_backup_disk disk = {0};

    BDR_TRY(bdr_source_open(&(struct bdr_source_spec){.location = image, .changed_extents = changed}, &src));
    disk.src = src;
    return bdr_backup_to(sink, &disk, 1,
                         &(struct bdr_backup_options){.host = "any", .host_id = "test", .audit_pct = -1, .meter = meter,
                                                      .cancel = cancel},
                         out);
}

struct bdr_err *bed_try(struct bed *b, uint64_t host, const char *image, const char *changed,
                        struct bdr_backup_result *out)
{
    char machine[16];

    snprintf(machine, sizeof(machine), "m%" PRIu64, host > BED_HOSTS ? 1 : host);
    BDR_AUTO(sink) struct bdr_sink *sink = bed_sink(b, machine, host, 0, 0);
    return bed_backup_to(sink, image, changed, NULL, NULL, out);
}

struct bdr_backup_result bed_backup(struct bed *b, uint64_t host, const char *image, const char *changed)
{
    struct bdr_backup_result r = {0};

    engine_ok(bed_try(b, host, image, changed, &r));
    return r;
}

struct bdr_repo *bed_repo(struct bed *b)
{
    return engine_open(b->e);
}

void bed_same(struct bed *b, const char *point, const char *image)
{
    BDR_AUTO(repo) struct bdr_repo *repo = bed_repo(b);

    engine_same(repo, point, image);
}

struct bdr_http_client *bed_client(struct bed *b, const char *machine)
{
    struct bdr_http_client *c = NULL;
    char url[64], key[32], crt[32];

    snprintf(url, sizeof(url), "https://127.0.0.1:%u", b->port);
    snprintf(key, sizeof(key), "%s.key", machine);
    snprintf(crt, sizeof(crt), "%s.crt", machine);
    engine_ok(bdr_http_client_new(&(struct bdr_http_client_config){.base = url,
                                                                   .ca_file = bed_file(b, "ca.crt"),
                                                                   .cert_file = bed_file(b, crt),
                                                                   .key_file = bed_file(b, key),
                                                                   .tries = 1},
                                  &c));
    return c;
}
