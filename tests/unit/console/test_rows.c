/* SPDX-License-Identifier: Apache-2.0 */
/* test_rows.c - every row of the API, whoever wrote it: who is refused, and that it says what it is. */
#include "bdr/route.h"
#include "rig.h"
#include <ctype.h>

/* The row's path with 1 (or "x") for what it takes. */
static void path_of(const struct bdr_route *row, char out[200])
{
    size_t at = 0;

    for (const char *p = row->path; *p && at < 190; p++) {
        if (*p != '{') {
            out[at++] = *p;
            continue;
        }
        out[at++] = '1';
        p += strcspn(p, "}");
    }
    out[at] = 0;
}

static unsigned ask(struct rig *r, struct bdr_http_client *client, const char *token, const struct bdr_route *row)
{
    struct bdr_http_client *was = r->anyone;
    char path[200];
    unsigned status = 0;

    path_of(row, path);
    r->anyone = client;
    json_decref(rig_call(r, token, bdr_method_name(row->method), path,
                         row->in || row->flags & BDR_R_STREAM_IN ? "{}" : NULL, &status));
    r->anyone = was;
    return status;
}

static const struct bdr_route *row_at(const struct bdr_router *router, size_t i, const char *what)
{
    const struct bdr_route *row = bdr_router_row(router, i);

    if (row && what)
        print_message("%s: %s %s\n", what, bdr_method_name(row->method), row->path);
    return row;
}

#define is_right(row, got, want)                                                                                       \
    do {                                                                                                               \
        if ((got) != (want))                                                                                           \
            print_error("%s %s: %u, not %u\n", bdr_method_name((row)->method), (row)->path, (got), (want));            \
        assert_int_equal((got), (want));                                                                               \
    } while (0)

static void test_rows__nobody__is_let_in_nowhere(void **state)
{
    BDR_AUTO(router) struct bdr_router *router = NULL;
    const struct bdr_route *row;

    RIG_OF(state, r);
    check_ok(bdr_console_api(&router));
    for (size_t i = 0; (row = row_at(router, i, NULL)); i++)
        if (!(row->flags & BDR_R_ANONYMOUS))
            is_right(row, ask(r, r->anyone, NULL, row), 401u);
}

static void test_rows__a_viewer__changes_nothing(void **state)
{
    BDR_AUTO(router) struct bdr_router *router = NULL;
    const struct bdr_route *row;
    size_t n = 0;

    RIG_OF(state, r);
    check_ok(bdr_console_api(&router));
    for (size_t i = 0; (row = row_at(router, i, NULL)); i++) {
        const char *verb = row->perm ? strchr(row->perm, ':') : NULL;

        if (row->flags & (BDR_R_ANONYMOUS | BDR_R_MACHINE) || (strcmp(verb, ":operate") && strcmp(verb, ":admin")))
            continue;
        is_right(row, ask(r, r->anyone, r->viewer, row), 403u);
        if (!strcmp(verb, ":admin"))
            is_right(row, ask(r, r->anyone, r->operator_, row), 403u);
        n++;
    }
    assert_true(n > 20);
}

/* A client with a certificate of this console's CA for a machine that is in its database. */
static struct bdr_http_client *machine_client(struct rig *r)
{
    struct bdr_http_client *client = NULL;
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    BDR_AUTO(mem) char *pem = NULL;
    struct bdr_cert_info info;
    struct bdr_tx *tx = NULL;
    char key_file[128], cert_file[128], ca[128], base[64];
    uint8_t print[32];
    int64_t id = 0, host = 0;
    FILE *f;

    check_ok(bdr_key_new(&key));
    check_ok(bdr_key_csr(key, "m", &csr));
    check_ok(bdr_ca_issue_machine(r->console->ca, csr, strlen(csr),
                                  &(struct bdr_machine_spec){.machine = "00000000000000000000000000000001", .role = "agent"},
                                  &pem, &info));
    snprintf(key_file, sizeof(key_file), "%s/m.key", r->bed->dir);
    snprintf(cert_file, sizeof(cert_file), "%s/m.crt", r->bed->dir);
    snprintf(ca, sizeof(ca), "%s/ca.crt", r->bed->dir);
    snprintf(base, sizeof(base), "https://127.0.0.1:%u", bdr_console_port(r->console));
    check_ok(bdr_key_save(key, key_file));
    f = fopen(cert_file, "w");
    assert_non_null(f);
    assert_true(fputs(pem, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_true(bdr_unhex(info.fingerprint, print, sizeof(print)));
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_WRITE, &tx));
    check_ok(bdr_q_machine_add(
        tx, &(struct bdr_in_machine_add){"00000000000000000000000000000001", "agent", "m", "", "", "", 1}, &id));
    check_ok(bdr_q_host_of_agent(tx, &(struct bdr_in_host_of_agent){BDR_SOME(id), "m", "", "", 1}, &host));
    check_ok(bdr_q_certificate_add(tx, &(struct bdr_in_certificate_add){info.serial, id, {print, 32}, 1, INT64_MAX}));
    check_ok(bdr_tx_commit(tx));
    check_ok(bdr_http_client_new(
        &(struct bdr_http_client_config){
            .base = base, .ca_file = ca, .cert_file = cert_file, .key_file = key_file, .tries = 1},
        &client));
    return client;
}

static void test_rows__a_machine__is_no_person(void **state)
{
    BDR_AUTO(router) struct bdr_router *router = NULL;
    BDR_AUTO(http_client) struct bdr_http_client *machine = NULL;
    const struct bdr_route *row;

    RIG_OF(state, r);
    machine = machine_client(r);
    check_ok(bdr_console_api(&router));
    for (size_t i = 0; (row = row_at(router, i, NULL)); i++) {
        if (!(row->flags & (BDR_R_ANONYMOUS | BDR_R_MACHINE)))
            is_right(row, ask(r, machine, NULL, row), 401u);
        if (row->flags & BDR_R_MACHINE) /* and a person is no machine, not even an administrator */
            is_right(row, ask(r, r->anyone, r->admin, row), 401u);
    }
}

static bool verb_ok(const char *cli)
{
    bool ok = islower((unsigned char)cli[0]);

    for (const char *p = cli; *p; p++)
        ok &= islower((unsigned char)*p) || *p == '-' || (*p == ' ' && islower((unsigned char)p[1]));
    return ok;
}

static void test_rows__each__says_what_it_is(void **state)
{
    BDR_AUTO(router) struct bdr_router *router = NULL;
    const struct bdr_route *row, *other;

    (void)state;
    check_ok(bdr_console_api(&router));
    for (size_t i = 0; (row = row_at(router, i, NULL)); i++) {
        assert_true(strlen(row->help) > 4 && row->help[strlen(row->help) - 1] != ' ');
        assert_true(strlen(row->help_zh) > 2);
        if (row->flags & BDR_R_ANONYMOUS)
            assert_null(row->perm);
        else
            assert_non_null(strchr(row->perm, ':'));
        if (!row->cli)
            continue;
        assert_true(verb_ok(row->cli));
        for (size_t k = 0; k < i; k++) {
            other = bdr_router_row(router, k);
            if (other->cli && !strcmp(other->cli, row->cli))
                print_error("two rows are '%s': %s and %s\n", row->cli, row->path, other->path);
            assert_false(other->cli && !strcmp(other->cli, row->cli));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_rows__nobody__is_let_in_nowhere),
        RIG(test_rows__a_viewer__changes_nothing),
        RIG(test_rows__a_machine__is_no_person),
        cmocka_unit_test(test_rows__each__says_what_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
