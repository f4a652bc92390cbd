/* SPDX-License-Identifier: Apache-2.0 */
/* test_platforms.c - platforms as the operator's manual has them, their Sync Proxies, and names. */
#include "rig.h"
#include "jobs/jobs.h"
#include "site.h"
#include <openssl/evp.h>
#include <openssl/pem.h>

static int64_t made(struct rig *r, const char *path, const char *body)
{
    json_t *v = rig_want(r, r->admin, 201, "POST", path, body);
    int64_t id = rig_int(v, "/id");

    json_decref(v);
    return id;
}

static void refused(struct rig *r, unsigned status, const char *method, const char *path, const char *body,
                    const char *part)
{
    json_t *v = rig_want(r, r->admin, status, method, path, body);

    if (!strstr(rig_at(v, "/detail"), part))
        print_error("%s %s says '%s', without '%s'\n", method, path, rig_at(v, "/detail"), part);
    assert_non_null(strstr(rig_at(v, "/detail"), part));
    json_decref(v);
}

static int64_t sealed(struct rig *r, const char *owner, int64_t id, const char *field, uint8_t *out, size_t n)
{
    BDR_AUTO(mem) struct bdr_row_sealed_get *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_sealed_get(tx, owner, id, field, &row));
    if (row && out)
        memcpy(out, row->blob.data, BDR_MIN(row->blob.len, n));
    return row ? (int64_t)row->blob.len : 0;
}

#define VMWARE                                                                                                         \
    "{\"kind\":\"vmware\",\"name\":\"vc\",\"endpoint\":\"https://vc.example:443\",\"username\":\"root\","               \
    "\"password\":\"s3cret-1\"}"

static void test_kinds__are_the_manuals(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/platform-kinds", NULL);
    assert_int_equal(json_array_size(json_object_get(v, "items")), 5);
    assert_string_equal(rig_at(v, "/items/0/kind"), "vmware");
    assert_string_equal(rig_at(v, "/items/0/fields/0/label_zh"), "鉴权地址");
    assert_string_equal(rig_at(v, "/items/0/fields/2/type"), "secret");
    assert_string_equal(rig_at(v, "/items/0/ports/3/ports"), "902");
    assert_string_equal(rig_at(v, "/items/1/fields/6/default"), "RegionOne");
    assert_string_equal(rig_at(v, "/items/1/ports/2/ports"), "5000, 35357, 9696, 8774, 8776, 9292");
    assert_string_equal(rig_at(v, "/items/1/ceph_fields/4/default"), "volumes");
    assert_string_equal(rig_at(v, "/items/2/fields/2/choices/0"), "ap-southeast-1");
    assert_int_equal(rig_int(v, "/items/3/port"), 7443);
    assert_string_equal(rig_at(v, "/items/4/fields/2/type"), "file");
    assert_string_equal(rig_at(v, "/items/4/proxy_size/2/value"), "8GB");
    json_decref(v);
}

static void test_mem__is_hidden_until_switched_on(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    refused(r, 400, "POST", "/v1/platforms", "{\"kind\":\"mem\"}", "switched off");
    json_decref(rig_want(r, r->operator_, 403, "PUT", "/v1/platform-kinds/mem", "{\"enabled\":true}"));
    json_decref(rig_want(r, r->admin, 200, "PUT", "/v1/platform-kinds/mem", "{\"enabled\":true}"));
    v = rig_want(r, r->viewer, 200, "GET", "/v1/platform-kinds", NULL);
    assert_string_equal(rig_at(v, "/items/5/kind"), "mem");
    json_decref(v);
    v = rig_want(r, r->admin, 201, "POST", "/v1/platforms", "{\"kind\":\"mem\"}");
    assert_string_equal(rig_at(v, "/project"), "hosts=3,disks=2,size=64M");
    json_decref(v);
}

static void test_platform__secret__stays_when_it_is_empty(void **state)
{
    uint8_t first[256] = {0}, second[256] = {0};
    char path[64], *text;
    int64_t id;
    json_t *v;

    RIG_OF(state, r);
    refused(r, 422, "POST", "/v1/platforms", "{\"kind\":\"vmware\",\"endpoint\":\"https://vc\",\"username\":\"u\"}",
            "password");
    refused(r, 400, "POST", "/v1/platforms", "{\"kind\":\"hyperv\"}", "no kind");
    refused(r, 400, "POST", "/v1/platforms", "{\"kind\":\"vmware\",\"username\":\"u\",\"password\":\"p\"}", "endpoint");
    refused(r, 400, "POST", "/v1/platforms",
            "{\"kind\":\"vmware\",\"endpoint\":\"https://vc\",\"username\":\"u\",\"password\":\"p\",\"region\":\"x\"}",
            "no region");
    id = made(r, "/v1/platforms", VMWARE);
    refused(r, 409, "POST", "/v1/platforms", VMWARE, "name");
    snprintf(path, sizeof(path), "/v1/platforms/%lld", (long long)id);
    v = rig_want(r, r->admin, 200, "GET", path, NULL);
    text = json_dumps(v, 0);
    assert_null(strstr(text, "s3cret"));
    free(text);
    assert_string_equal(rig_at(v, "/secret_set"), "true");
    assert_string_equal(rig_at(v, "/status"), "error");
    assert_non_null(strstr(rig_at(v, "/status_text"), "No Sync Proxy"));
    json_decref(v);
    assert_true(sealed(r, "platform", id, "password", first, sizeof(first)) > 8);
    json_decref(rig_want(r, r->admin, 200, "PATCH", path, "{\"username\":\"admin\",\"password\":\"\"}"));
    assert_true(sealed(r, "platform", id, "password", second, sizeof(second)) > 8);
    assert_memory_equal(first, second, sizeof(first));
    json_decref(rig_want(r, r->admin, 200, "PATCH", path, "{\"password\":\"s3cret-2\"}"));
    assert_true(sealed(r, "platform", id, "password", second, sizeof(second)) > 8);
    assert_memory_not_equal(first, second, sizeof(first));
    refused(r, 409, "PATCH", path, "{\"kind\":\"aws\"}", "stays vmware");
    json_decref(rig_want(r, r->admin, 204, "DELETE", path, NULL));
    assert_int_equal(sealed(r, "platform", id, "password", NULL, 0), 0);
}

static void test_platform__name__is_made_up(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    v = rig_want(r, r->admin, 201, "POST", "/v1/platforms",
                 "{\"kind\":\"aws\",\"username\":\"AKIA\",\"secret_key\":\"s3cret\",\"region\":\"ap-southeast-1\"}");
    assert_non_null(strstr(rig_at(v, "/name"), "aws-ap-southeast-1-"));
    json_decref(v);
}

#define OPENSTACK(ceph)                                                                                                \
    "{\"kind\":\"openstack\",\"name\":\"os\",\"endpoint\":\"http://192.168.10.201:5000/v3\",\"username\":\"u\","        \
    "\"password\":\"p\",\"ceph\":[" ceph "]}"

static void test_openstack__ceph__as_many_clusters_as_there_are(void **state)
{
    json_t *v;
    int64_t id, first;
    char path[64], body[256];

    RIG_OF(state, r);
    refused(r, 422, "POST", "/v1/platforms", OPENSTACK("{\"monitors\":\"10.0.0.201, 10.0.0.202\"}"), "monitors");
    refused(r, 422, "POST", "/v1/platforms", OPENSTACK("{\"monitors\":\"10.0.0.201\"}"), "CephX");
    refused(r, 422, "POST", "/v1/platforms", OPENSTACK("{\"monitors\":\"10.0.0.201\",\"keyring\":\"not base64!\"}"), "key");
    v = rig_want(r, r->admin, 201, "POST", "/v1/platforms",
                 OPENSTACK("{\"monitors\":\"10.0.0.201,10.0.0.202\",\"keyring\":\"AQBB+w==\"},"
                           "{\"monitors\":\"10.1.0.1\",\"cephx\":false,\"pool\":\"fast\",\"diff\":\"rbd_du\"}"));
    id = rig_int(v, "/id");
    assert_string_equal(rig_at(v, "/ceph/0/pool"), "volumes");
    assert_string_equal(rig_at(v, "/ceph/0/keyring_set"), "true");
    assert_string_equal(rig_at(v, "/ceph/1/diff"), "rbd_du");
    assert_string_equal(rig_at(v, "/ceph/0/keyring"), "");
    assert_string_equal(rig_at(v, "/region"), "RegionOne");
    first = rig_int(v, "/ceph/0/id");
    json_decref(v);
    snprintf(path, sizeof(path), "/v1/platforms/%lld", (long long)id);
    snprintf(body, sizeof(body), "{\"ceph\":[{\"id\":%lld,\"monitors\":\"10.0.0.203\"},{\"monitors\":\"10.2.0.1\",\"pool\":"
                                 "\"slow\",\"keyring\":\"AQ==\"}]}", (long long)first);
    v = rig_want(r, r->admin, 200, "PATCH", path, body);
    assert_string_equal(rig_at(v, "/ceph/0/monitors"), "10.0.0.203");
    assert_string_equal(rig_at(v, "/ceph/0/keyring_set"), "true");
    assert_string_equal(rig_at(v, "/ceph/1/pool"), "slow");
    assert_string_equal(rig_at(v, "/ceph/2/pool"), "");
    json_decref(v);
    refused(r, 400, "PATCH", path, "{\"ceph\":[{\"id\":999,\"monitors\":\"10.0.0.203\"}]}", "no Ceph cluster 999");
    refused(r, 422, "POST", "/v1/platforms",
            "{\"kind\":\"vmware\",\"endpoint\":\"https://v\",\"username\":\"u\",\"password\":\"p\","
            "\"ceph\":[{\"monitors\":\"m\",\"cephx\":false}]}", "OpenStack");
}

/* A fresh RSA key as PEM and its print as Oracle makes it. */
static void oracle_key(char pem[4096], char print[48])
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    uint8_t md[64], *der = NULL;
    unsigned n = 0;
    int len;

    assert_true(key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    len = BIO_read(bio, pem, 4095);
    assert_true(len > 0);
    pem[len] = 0;
    len = i2d_PUBKEY(key, &der);
    assert_true(EVP_Digest(der, (size_t)len, md, &n, EVP_md5(), NULL) == 1 && n == 16);
    for (unsigned i = 0; i < n; i++)
        snprintf(print + 3 * i, 4, "%02x%s", md[i], i < 15 ? ":" : "");
    OPENSSL_free(der);
    BIO_free(bio);
    EVP_PKEY_free(key);
}

static char *oracle_body(const char *pem, const char *print)
{
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s}", "kind", "oracle", "tenancy", "ocid1.tenancy.oc1..aaaa", "username",
                          "ocid1.user.oc1..bbbb", "private_key", pem, "region", "ap-singapore-1");
    char *text;

    if (print)
        json_object_set_new(o, "key_print", json_string(print));
    text = json_dumps(o, 0);
    json_decref(o);
    return text;
}

static void test_oracle__key__is_looked_at(void **state)
{
    char pem[4096], print[48], other[4096], other_print[48], *body;
    json_t *v;

    RIG_OF(state, r);
    oracle_key(pem, print);
    oracle_key(other, other_print);
    body = oracle_body("oci_api_key.pem", print);
    refused(r, 422, "POST", "/v1/platforms", body, "PEM");
    free(body);
    body = oracle_body(pem, other_print);
    refused(r, 422, "POST", "/v1/platforms", body, print);
    free(body);
    body = oracle_body(pem, "20:3b:97");
    refused(r, 422, "POST", "/v1/platforms", body, "no fingerprint");
    free(body);
    body = oracle_body(pem, NULL);
    v = rig_want(r, r->admin, 201, "POST", "/v1/platforms", body);
    assert_string_equal(rig_at(v, "/key_print"), print);
    assert_string_equal(rig_at(v, "/private_key"), "");
    json_decref(v);
    free(body);
}

static void test_platform__scan__is_a_job_of_its_proxies(void **state)
{
    int64_t proxy, id;
    char body[256], path[64];
    json_t *v;

    RIG_OF(state, r);
    proxy = site_proxy(r->bed, "px1");
    id = made(r, "/v1/platforms", VMWARE);
    snprintf(path, sizeof(path), "/v1/platforms/%lld/refresh", (long long)id);
    refused(r, 409, "POST", path, NULL, "no Sync Proxy");
    snprintf(body, sizeof(body), "/v1/proxies/%lld/platforms/%lld", (long long)proxy, (long long)id);
    json_decref(rig_want(r, r->operator_, 403, "PUT", body, NULL));
    v = rig_want(r, r->admin, 200, "PUT", body, NULL);
    assert_string_equal(rig_at(v, "/platforms/0/name"), "vc");
    json_decref(v);
    refused(r, 409, "PUT", body, NULL, "already");
    v = rig_want(r, r->operator_, 202, "POST", path, NULL);
    assert_string_equal(rig_at(v, "/kind"), "scan");
    json_decref(v);
    refused(r, 409, "POST", path, NULL, "at it already");
    snprintf(path, sizeof(path), "/v1/platforms/%lld/test", (long long)id);
    v = rig_want(r, r->operator_, 202, "POST", path, NULL);
    assert_string_equal(rig_at(v, "/params/test"), "true");
    json_decref(v);
    snprintf(path, sizeof(path), "/v1/platforms/%lld/regions", (long long)id);
    refused(r, 409, "POST", path, NULL, "only AWS");
    refused(r, 409, "DELETE", body, NULL, "last Sync Proxy");
    snprintf(path, sizeof(path), "/v1/platforms/%lld", (long long)id);
    refused(r, 409, "DELETE", path, NULL, "bound");
    v = rig_want(r, r->viewer, 200, "GET", path, NULL);
    assert_string_equal(rig_at(v, "/bound/0/name"), "px1");
    json_decref(v);
}

static void test_platform__with_proxies_at_once__is_scanned(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    site_proxy(r->bed, "px1");
    v = rig_want(r, r->admin, 201, "POST", "/v1/platforms",
                 "{\"kind\":\"fusioncompute\",\"endpoint\":\"https://fc:7443\",\"username\":\"u\",\"password\":\"p\","
                 "\"proxies\":[1]}");
    assert_int_equal(rig_int(v, "/job"), 1);
    assert_int_equal(rig_int(v, "/bound/0/id"), 1);
    json_decref(v);
    refused(r, 404, "POST", "/v1/platforms",
            "{\"kind\":\"fusioncompute\",\"name\":\"x\",\"endpoint\":\"https://fc:7443\",\"username\":\"u\",\"password\":\"p\","
            "\"proxies\":[77]}", "77");
}

static void test_proxy__settings__warn_above_150_disks(void **state)
{
    int64_t proxy;
    json_t *v;

    RIG_OF(state, r);
    proxy = site_proxy(r->bed, "px1");
    assert_int_equal(proxy, 1);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/proxies/1", NULL);
    assert_int_equal(rig_int(v, "/http_timeout_s"), 600);
    assert_int_equal(rig_int(v, "/max_disks"), 50);
    assert_string_equal(rig_at(v, "/warning"), "");
    json_decref(v);
    v = rig_want(r, r->admin, 200, "PATCH", "/v1/proxies/1", "{\"max_disks\":151}");
    assert_non_null(strstr(rig_at(v, "/warning"), "150"));
    assert_int_equal(rig_int(v, "/http_timeout_s"), 600);
    json_decref(v);
    json_decref(rig_want(r, r->admin, 422, "PATCH", "/v1/proxies/1", "{\"max_disks\":0}"));
    json_decref(rig_want(r, r->admin, 422, "PATCH", "/v1/proxies/1", "{\"max_disks\":1001}"));
    refused(r, 404, "PATCH", "/v1/proxies/9", "{\"max_disks\":10}", "9");
}

static void test_proxy__draining__is_given_nothing_new(void **state)
{
    int64_t proxy, platform, host;
    struct bdr_row_job *job = NULL;

    RIG_OF(state, r);
    proxy = site_proxy(r->bed, "px1");
    platform = site_platform(r->bed, "vc");
    site_bind(r->bed, proxy, platform);
    host = site_host(r->bed, platform, "vm-1");
    site_job(r->bed, platform, host, 1);
    json_decref(rig_want(r, r->admin, 200, "PATCH", "/v1/proxies/1", "{\"drain\":true}"));
    check_ok(bdr_job_claim(r->bed->db, proxy, SITE_NOW + 60000, 0, &job));
    assert_null(job);
    json_decref(rig_want(r, r->admin, 200, "PATCH", "/v1/proxies/1", "{\"drain\":false}"));
    check_ok(bdr_job_claim(r->bed->db, proxy, SITE_NOW + 60000, 0, &job));
    assert_non_null(job);
    free(job);
}

static void test_proxy__bound__is_not_deleted(void **state)
{
    int64_t proxy, platform;
    json_t *v;

    RIG_OF(state, r);
    proxy = site_proxy(r->bed, "px1");
    platform = site_platform(r->bed, "vc");
    site_bind(r->bed, proxy, platform);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/proxies", NULL);
    assert_string_equal(rig_at(v, "/items/0/allowed/1/action"), "delete");
    assert_string_equal(rig_at(v, "/items/0/allowed/1/allowed"), "false");
    assert_string_equal(rig_at(v, "/items/0/platforms/0/unbind"), "true");
    json_decref(v);
    refused(r, 409, "DELETE", "/v1/proxies/1", NULL, "unbind it before");
    json_decref(rig_want(r, r->admin, 200, "DELETE", "/v1/proxies/1/platforms/1", NULL));
    refused(r, 404, "DELETE", "/v1/proxies/1/platforms/1", NULL, "not bound");
    json_decref(rig_want(r, r->admin, 204, "DELETE", "/v1/proxies/1", NULL));
    refused(r, 404, "DELETE", "/v1/proxies/1", NULL, "no Sync Proxy 1");
}

static void test_names__are_addresses_of_both_kinds(void **state)
{
    json_t *v;

    RIG_OF(state, r);
    site_platform(r->bed, "vc");
    made(r, "/v1/names", "{\"name\":\"vc.example\",\"address\":\"192.0.2.1\",\"platform\":1}");
    made(r, "/v1/names", "{\"name\":\"s3.example\",\"address\":\"2001:db8::1\"}");
    refused(r, 409, "POST", "/v1/names", "{\"name\":\"s3.example\",\"address\":\"2001:db8::1\"}", "already");
    refused(r, 422, "POST", "/v1/names", "{\"name\":\"x\",\"address\":\"192.0.2.999\"}", "address");
    refused(r, 422, "POST", "/v1/names", "{\"name\":\"a b\",\"address\":\"192.0.2.9\"}", "name");
    refused(r, 400, "POST", "/v1/names", "{\"name\":\"x\",\"address\":\"192.0.2.9\",\"platform\":9}", "no platform 9");
    v = rig_want(r, r->viewer, 200, "GET", "/v1/names?platform=1", NULL);
    assert_string_equal(rig_at(v, "/items/0/name"), "vc.example");
    assert_string_equal(rig_at(v, "/items/1/name"), "");
    json_decref(v);
    json_decref(rig_want(r, r->admin, 204, "DELETE", "/v1/names/2", NULL));
    refused(r, 404, "DELETE", "/v1/names/2", NULL, "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_kinds__are_the_manuals),
        RIG(test_mem__is_hidden_until_switched_on),
        RIG(test_platform__secret__stays_when_it_is_empty),
        RIG(test_platform__name__is_made_up),
        RIG(test_openstack__ceph__as_many_clusters_as_there_are),
        RIG(test_oracle__key__is_looked_at),
        RIG(test_platform__scan__is_a_job_of_its_proxies),
        RIG(test_platform__with_proxies_at_once__is_scanned),
        RIG(test_proxy__settings__warn_above_150_disks),
        RIG(test_proxy__draining__is_given_nothing_new),
        RIG(test_proxy__bound__is_not_deleted),
        RIG(test_names__are_addresses_of_both_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
