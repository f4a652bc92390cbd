/* SPDX-License-Identifier: Apache-2.0 */
/* The CA: what it signs, what it refuses, and who is believed. */
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "demo.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct demo *d;

static int setup(void **state)
{
    (void)state;
    d = demo_new();
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    demo_free(d);
    return 0;
}

static void fails(struct bdr_err *err, enum bdr_code code)
{
    assert_non_null(err);
    assert_int_equal(err->code, code);
    bdr_err_free(err);
}

static void read_all(const char *name, char **out, size_t *len)
{
    char path[160];

    demo_path(d, name, path);
    assert_null(bdr_os_read_file(path, 65536, out, len));
}

static enum bdr_peer_fault check(const char *name, int64_t now_ms, struct bdr_cert_info *info)
{
    BDR_AUTO(trust) struct bdr_trust *trust = NULL;
    BDR_AUTO(mem) char *pem = NULL;
    size_t len;

    read_all(name, &pem, &len);
    assert_null(bdr_trust_new(bdr_ca_pem(d->ca), strlen(bdr_ca_pem(d->ca)), &trust));
    return bdr_trust_check_client(trust, pem, len, now_ms, info);
}

static void test_keys__are_private(void **state)
{
    static const char *const names[] = {"ca.key", "server.key"};
    struct bdr_key *key = NULL;
    char path[160];
    struct stat st;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        demo_path(d, names[i], path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    chmod(path, 0640);
    fails(bdr_key_load(path, &key), BDR_DENIED);
}

static void test_ca__is_not_overwritten__and_loads_again(void **state)
{
    BDR_AUTO(ca) struct bdr_ca *again = NULL;
    char key[160], crt[160], other[160];

    (void)state;
    demo_path(d, "ca.key", key);
    demo_path(d, "ca.crt", crt);
    demo_path(d, "server.key", other);
    fails(bdr_ca_save(d->ca, key, crt), BDR_EXISTS);
    assert_null(bdr_ca_load(key, crt, &again));
    assert_string_equal(bdr_ca_info(again)->fingerprint, bdr_ca_info(d->ca)->fingerprint);
    assert_true(bdr_ca_info(again)->ca);
    bdr_ca_free(again);
    again = NULL;
    fails(bdr_ca_load(other, crt, &again), BDR_INVAL);
}

static void test_machine__identity_is_ours_not_the_requests(void **state)
{
    struct bdr_cert_info info = {0};
    int64_t now = bdr_clock_wall_ms();

    (void)state;
    demo_machine(d, NULL, "web1", "agent", 0, 86400000);
    assert_int_equal(check("web1.crt", now, &info), BDR_PEER_OK);
    assert_string_equal(info.machine, "web1");
    assert_string_equal(info.role, "agent");
    assert_int_equal(strlen(info.serial), 32);
    assert_false(info.ca);
    assert_false(bdr_cert_renew_due(&info, now));
    assert_true(bdr_cert_renew_due(&info, now + 3 * 86400000 / 4));
}

static void test_trust__expired_foreign_server__are_refused(void **state)
{
    BDR_AUTO(ca) struct bdr_ca *other = NULL;
    struct bdr_cert_info info = {0};
    int64_t now = bdr_clock_wall_ms();

    (void)state;
    demo_machine(d, NULL, "old", "agent", 2 * 86400000, 86400000);
    assert_int_equal(check("old.crt", now, &info), BDR_PEER_EXPIRED);
    assert_null(bdr_ca_new("Demo CA", 0, &other)); /* the same name, another key */
    demo_machine(d, other, "foe", "agent", 0, 86400000);
    assert_int_equal(check("foe.crt", now, &info), BDR_PEER_UNKNOWN_CA);
    assert_int_equal(check("server.crt", now, &info), BDR_PEER_BAD); /* a server's certificate is no client's */
    assert_int_equal(check("server.key", now, &info), BDR_PEER_BAD);
}

static void test_csr__damaged_or_weak__is_refused(void **state)
{
    /* openssl req -new -newkey rsa:1024 -nodes -subj /CN=weak */
    static const char weak[] = "-----BEGIN CERTIFICATE REQUEST-----\n"
                               "MIIBTjCBuAIBADAPMQ0wCwYDVQQDDAR3ZWFrMIGfMA0GCSqGSIb3DQEBAQUAA4GN\n"
                               "ADCBiQKBgQCfOTKgcjh3l9kb2or44rIcGwNyf2p0fcAe6/oqMyQZESYIXbLjU/5l\n"
                               "JMutFXGOoQbG73PNWEcD5RSM04UjQ8jbkXIA8zlEZEoO1dr08D9hn+2y/Cu5Jlja\n"
                               "nAI/NGCW1qCeDuJ9d9oUrAgeyS/dBMmPAKQxak0ZIaemtdjcoQxdrQIDAQABoAAw\n"
                               "DQYJKoZIhvcNAQELBQADgYEATMANJV23b35+jXLGVisWSOAZucHFdtFy/a0IqiBD\n"
                               "clK3zL0/VRlku2kC5e8s181b67NJ5Tiep30/7wnqv0xIisIPkDEQ6ECZHWxak++M\n"
                               "3xunKAy/3CtaG9SdoqsVeQGUQVB3kRhhXRkALtra1MEtcfk3HQW2BbAQlsiiXY4H\n"
                               "xg0=\n"
                               "-----END CERTIFICATE REQUEST-----\n";
    const struct bdr_machine_spec spec = {.machine = "m", .role = "agent"};
    const struct bdr_machine_spec names[] = {{.machine = "a b", .role = "agent"},
                                             {.machine = "a", .role = "Agent"},
                                             {.machine = "", .role = "agent"},
                                             {.machine = "a?role=proxy", .role = "agent"}};
    BDR_AUTO(key) struct bdr_key *key = NULL;
    BDR_AUTO(mem) char *csr = NULL;
    char *pem = NULL;
    char *mid;

    (void)state;
    assert_null(bdr_key_new(&key));
    assert_null(bdr_key_csr(key, "x", &csr));
    for (size_t i = 0; i < BDR_COUNT(names); i++)
        fails(bdr_ca_issue_machine(d->ca, csr, strlen(csr), &names[i], &pem, NULL), BDR_INVAL);
    fails(bdr_ca_issue_machine(d->ca, weak, strlen(weak), &spec, &pem, NULL), BDR_INVAL);
    fails(bdr_ca_issue_machine(d->ca, "", 0, &spec, &pem, NULL), BDR_INVAL);
    mid = strstr(csr, "-----END") - 10; /* inside of the signature */
    *mid = *mid == 'A' ? 'B' : 'A';
    fails(bdr_ca_issue_machine(d->ca, csr, strlen(csr), &spec, &pem, NULL), BDR_INVAL);
}

static void test_server__renewed_when_due_or_names_change(void **state)
{
    const char *names[] = {"localhost", "127.0.0.1", "console.example"};
    struct bdr_server_spec spec = {.names = names, .n = 2};
    char key[160], crt[160];
    bool renewed = true;

    (void)state;
    demo_path(d, "server.key", key);
    demo_path(d, "server.crt", crt);
    assert_null(bdr_ca_ensure_server(d->ca, &spec, key, crt, &renewed));
    assert_false(renewed);
    spec.n = 3;
    assert_null(bdr_ca_ensure_server(d->ca, &spec, key, crt, &renewed));
    assert_true(renewed);
    spec.now_ms = bdr_clock_wall_ms() + 61ll * 86400000;
    assert_null(bdr_ca_ensure_server(d->ca, &spec, key, crt, &renewed));
    assert_true(renewed);
}

static void test_fingerprint__as_people_paste_it(void **state)
{
    char text[104], back[BDR_FINGERPRINT_CHARS];
    const char *print = bdr_ca_info(d->ca)->fingerprint;

    (void)state;
    assert_null(bdr_fingerprint_read(bdr_fingerprint_text(print, text), back));
    assert_string_equal(back, print);
    assert_null(bdr_fingerprint_read(print, back));
    fails(bdr_fingerprint_read("SHA256:ab:cd", back), BDR_INVAL);
    fails(bdr_fingerprint_read("zz", back), BDR_INVAL);
    snprintf(text, sizeof(text), "%s0", print);
    fails(bdr_fingerprint_read(text, back), BDR_INVAL);
}

static void test_machine_uri__only_the_exact_form(void **state)
{
    static const char *const bad[] = {"",
                                      "bdr://machine/",
                                      "bdr://machine/a",
                                      "bdr://machine/a?role=",
                                      "bdr://machine//a?role=b",
                                      "bdr://machine/a?role=B",
                                      "bdr://machine/a?role=b&x=1",
                                      "BDR://machine/a?role=b",
                                      "bdr://machine/a%20?role=b"};
    char m[BDR_MACHINE_ID_CHARS] = "same", r[BDR_ROLE_CHARS];

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(bad); i++)
        assert_false(bdr_machine_uri_read(bad[i], m, r));
    assert_string_equal(m, "same");
    assert_true(bdr_machine_uri_read("bdr://machine/web-1.x_y?role=sync-proxy", m, r));
    assert_string_equal(m, "web-1.x_y");
    assert_string_equal(r, "sync-proxy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keys__are_private, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ca__is_not_overwritten__and_loads_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_machine__identity_is_ours_not_the_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trust__expired_foreign_server__are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_csr__damaged_or_weak__is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server__renewed_when_due_or_names_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fingerprint__as_people_paste_it, setup, teardown),
        cmocka_unit_test(test_machine_uri__only_the_exact_form),
    };

    return cmocka_run_group_tests_name("wire-cert", tests, NULL, NULL);
}
