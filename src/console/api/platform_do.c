/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform_do.c - adding, changing and deleting platforms, and looking at them through a Sync Proxy.
 *
 * Secrets are rows of `sealed`: owner "platform", fields password, secret_key, private_key; owner "ceph", field keyring.
 */
#include "api/platforms.h"
#include "rules/machine.h"
#include "rules/platform.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

/* The secrets a form may have, and where they are in the struct. */
static const struct {
    const char *column;
    size_t at;
} secrets[] = {
    {"password", offsetof(struct platform, password)},
    {"secret_key", offsetof(struct platform, secret_key)},
    {"private_key", offsetof(struct platform, private_key)},
};

static const char *secret_of(const struct platform *p, size_t i)
{
    const char *text;

    memcpy(&text, (const char *)p + secrets[i].at, sizeof(text));
    return text && *text ? text : NULL;
}

static const struct bdr_platform_field *field_of(const char *kind, const char *column)
{
    for (size_t i = 0; i < bdr_platform_field_count; i++)
        if (!strcmp(bdr_platform_fields[i].kind, kind) && !strcmp(bdr_platform_fields[i].column, column))
            return &bdr_platform_fields[i];
    return NULL;
}

/* ---- Oracle's key ---- */

static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf, (void)size, (void)rwflag;
    *(bool *)ctx = true;
    return -1;
}

/* "20:3b:...": the MD5 of the public key's DER, which is what Oracle calls a key's fingerprint; "" when it cannot be made. */
static void key_print_of(EVP_PKEY *key, char out[48])
{
    uint8_t md[EVP_MAX_MD_SIZE], *der = NULL;
    unsigned n = 0;
    int len = i2d_PUBKEY(key, &der);

    out[0] = 0;
    if (len > 0 && EVP_Digest(der, (size_t)len, md, &n, EVP_md5(), NULL) == 1 && n == 16)
        for (unsigned i = 0; i < n; i++)
            snprintf(out + strlen(out), 48 - strlen(out), "%s%02x", i ? ":" : "", md[i]);
    OPENSSL_free(der);
}

/* Is the text a private key we can use? `print` gets its fingerprint. *out_why: what is wrong with it, NULL: nothing. */
static void key_look(const char *pem, char print[48], const char **out_why)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    bool locked = false;
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &locked) : NULL;

    *out_why = NULL;
    print[0] = 0;
    if (locked)
        *out_why = "is protected by a passphrase; take it off (openssl rsa -in KEY.pem) and paste the result";
    else if (!key)
        *out_why = "is no private key in PEM form; paste the whole file oci_api_key.pem with its BEGIN and END lines";
    else if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA)
        *out_why = "is no RSA key, and Oracle takes no other";
    else
        key_print_of(key, print);
    EVP_PKEY_free(key);
    BIO_free(bio);
}

static bool same_print(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if ((*a | 0x20) != (*b | 0x20))
            return false;
    return *a == *b;
}

static void fault(struct bdr_req *req, unsigned *bad, const char *pointer, const char *text)
{
    bdr_req_fault(req, pointer, BDR_INVAL, "%s", text);
    ++*bad;
}

/* The key, and that its print is the one given; a print that was not given is filled in. */
static struct bdr_err *oracle_check(struct bdr_req *req, struct platform *p, unsigned *bad)
{
    char print[48];
    const char *why;

    if (p->tenancy && strncmp(p->tenancy, "ocid1.tenancy.", 14) != 0)
        fault(req, bad, "/tenancy", "is no OCID of a tenancy: it begins with ocid1.tenancy.");
    if (p->username && strncmp(p->username, "ocid1.user.", 11) != 0)
        fault(req, bad, "/username", "is no OCID of a user: it begins with ocid1.user.");
    if (p->key_print && *p->key_print &&
        (strlen(p->key_print) != 47 || strspn(p->key_print, "0123456789abcdefABCDEF:") != 47))
        fault(req, bad, "/key_print", "is no fingerprint: 16 pairs of hex digits with colons between");
    if (!p->private_key || !*p->private_key)
        return NULL;
    key_look(p->private_key, print, &why);
    if (why) {
        fault(req, bad, "/private_key", why);
        return NULL;
    }
    if (!p->key_print || !*p->key_print) {
        p->key_print = bdr_arena_printf(bdr_req_arena(req), "%s", print);
        BDR_NOMEM_IF_NULL(p->key_print);
    } else if (*print && !same_print(p->key_print, print)) {
        bdr_req_fault(req, "/key_print", BDR_INVAL, "is of another key; this one's is %s", print);
        ++*bad;
    }
    return NULL;
}

/* ---- Ceph ---- */

static void ceph_check(struct bdr_req *req, const struct platform *p, unsigned *bad)
{
    char pointer[48];

    for (size_t i = 0; i < p->ceph.n; i++) {
        const struct ceph *c = &p->ceph.items[i];

        snprintf(pointer, sizeof(pointer), "/ceph/%zu/keyring", i);
        if (c->keyring && *c->keyring &&
            strspn(c->keyring, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") != strlen(c->keyring))
            fault(req, bad, pointer, "is no key: the text behind 'key = ' of the keyring file, without blanks");
        if ((c->cephx || !c->has_cephx) && !c->id && (!c->keyring || !*c->keyring))
            fault(req, bad, pointer, "is needed with CephX");
    }
}

static struct bdr_err *ceph_keyring(struct bdr_tx *tx, struct bdr_req *req, int64_t id, const char *text)
{
    const struct bdr_seal_place at = {"ceph", id, "keyring"};
    BDR_AUTO(secret) struct bdr_secret secret = {0};

    if (!text || !*text)
        return NULL;
    BDR_TRY(bdr_secret_set(&secret, text, strlen(text)));
    return bdr_secret_put(tx, api_console(req)->ring, &at, &secret, api_now());
}

static struct bdr_err *ceph_put(struct bdr_tx *tx, struct bdr_req *req, int64_t platform_id, const struct ceph *c)
{
    struct bdr_in_ceph_add in = {.platform_id = platform_id,
                                 .cluster = c->cluster,
                                 .monitors = c->monitors,
                                 .cephx = c->cephx || !c->has_cephx,
                                 .username = c->username,
                                 .pool = c->pool,
                                 .diff = obj_choice_name(ceph_diffs, c->diff),
                                 .volume_types = c->volume_types};
    int64_t id = (int64_t)c->id, n = 0;

    BDR_TRY(bdr_ceph_fill(&in));
    if (!id) {
        struct bdr_err *err = bdr_q_ceph_add(tx, &in, &id);

        if (err && err->code == BDR_EXISTS)
            return bdr_err_recode(err, BDR_EXISTS, BDR_AT, "cluster %s with pool %s is there twice", in.cluster, in.pool);
        BDR_TRY(err);
    } else {
        BDR_TRY(bdr_q_ceph_set(tx,
                               &(struct bdr_in_ceph_set){id, platform_id, in.cluster, in.monitors, in.cephx, in.username,
                                                         in.pool, in.diff, in.volume_types},
                               &n));
        if (!n)
            BDR_FAIL(BDR_INVAL, 0, "the platform has no Ceph cluster %lld", (long long)id);
    }
    return ceph_keyring(tx, req, id, c->keyring);
}

/* All clusters as they were given; those that were not are deleted. */
static struct bdr_err *ceph_replace(struct bdr_tx *tx, struct bdr_req *req, int64_t platform_id, const struct platform *p)
{
    BDR_AUTO(mem) struct bdr_row_ceph *was = NULL;
    size_t n = 0;
    int64_t changed;

    BDR_TRY(bdr_q_ceph_list(tx, platform_id, &was, &n));
    for (size_t i = 0; i < n; i++) {
        bool stays = false;

        for (size_t k = 0; k < p->ceph.n; k++)
            stays |= (int64_t)p->ceph.items[k].id == was[i].id;
        if (stays)
            continue;
        BDR_TRY(bdr_q_sealed_delete(tx, "ceph", was[i].id, &changed));
        BDR_TRY(bdr_q_ceph_delete(tx, platform_id, was[i].id, &changed));
    }
    for (size_t k = 0; k < p->ceph.n; k++)
        BDR_TRY(ceph_put(tx, req, platform_id, &p->ceph.items[k]));
    return NULL;
}

/* ---- what is right ---- */

struct bdr_err *platform_mem_on(struct bdr_tx *tx, bool *out)
{
    BDR_AUTO(mem) struct bdr_row_setting_get *row = NULL;

    BDR_TRY(bdr_q_setting_get(tx, PLATFORM_MEM, &row));
    *out = row && !strcmp(row->value, "1");
    return NULL;
}

/* Secrets that the kind has not, or that a new platform lacks; then what only one kind has. */
static struct bdr_err *platform_check(struct bdr_req *req, struct platform *p, bool fresh)
{
    unsigned bad = 0;
    char pointer[32];

    for (size_t i = 0; i < BDR_COUNT(secrets); i++) {
        const struct bdr_platform_field *f = field_of(p->kind, secrets[i].column);

        snprintf(pointer, sizeof(pointer), "/%s", secrets[i].column);
        if (!f && secret_of(p, i))
            fault(req, &bad, pointer, "is nothing a platform of this kind has");
        if (f && fresh && !secret_of(p, i))
            fault(req, &bad, pointer, "is needed");
    }
    if (p->ceph.n && strcmp(p->kind, "openstack") != 0)
        fault(req, &bad, "/ceph", "is for OpenStack alone");
    ceph_check(req, p, &bad);
    if (!strcmp(p->kind, "oracle"))
        BDR_TRY(oracle_check(req, p, &bad));
    if (bad)
        BDR_REFUSE(req, BDR_INVAL, "The platform is not right; see what is said of its fields.");
    return NULL;
}

static struct bdr_in_platform_add columns_of(const struct platform *p)
{
    return (struct bdr_in_platform_add){.kind = p->kind,
                                        .name = p->name,
                                        .endpoint = p->endpoint,
                                        .username = p->username,
                                        .user_domain = p->user_domain,
                                        .project = p->project,
                                        .project_domain = p->project_domain,
                                        .region = p->region,
                                        .tenancy = p->tenancy,
                                        .key_print = p->key_print,
                                        .cert_print = p->cert_print,
                                        .now_ms = api_now()};
}

static struct bdr_err *secrets_put(struct bdr_tx *tx, struct bdr_req *req, int64_t id, const struct platform *p)
{
    for (size_t i = 0; i < BDR_COUNT(secrets); i++) {
        const struct bdr_seal_place at = {"platform", id, secrets[i].column};
        BDR_AUTO(secret) struct bdr_secret secret = {0};

        if (!secret_of(p, i))
            continue;
        BDR_TRY(bdr_secret_set(&secret, secret_of(p, i), strlen(secret_of(p, i))));
        BDR_TRY(bdr_secret_put(tx, api_console(req)->ring, &at, &secret, api_now()));
    }
    return NULL;
}

static struct bdr_err *taken(struct bdr_req *req, struct bdr_err *err)
{
    if (err && err->code == BDR_EXISTS && !strstr(err->msg, "twice")) {
        bdr_err_drop(err, "said in better words");
        bdr_req_fault(req, "/name", BDR_EXISTS, "is the name of another platform");
        BDR_REFUSE(req, BDR_EXISTS, "There is a platform of that name already; choose another one.");
    }
    return api_refusal(req, err);
}

/* ---- looking at it ---- */

static struct bdr_err *scan_add(struct bdr_tx *tx, struct obj_change *c, const char *params)
{
    c->wake_platform = c->id;
    return obj_job_add(tx, c->req,
                       &(struct bdr_in_job_add){.kind = "scan",
                                                .platform_id = BDR_SOME(c->id),
                                                .params = params,
                                                .priority = 50,
                                                .max_tries = 3},
                       &c->made);
}

/* c->in: the job's params. */
static struct bdr_err *scan_tx(struct bdr_tx *tx, void *ctx)
{
    BDR_AUTO(mem) struct bdr_row_job *last = NULL;
    struct obj_change *c = ctx;
    struct platform p;
    int64_t locked;
    enum bdr_job_state state;
    bool found;

    BDR_TRY(bdr_q_platform_lock(tx, c->id, &locked, &found));
    BDR_TRY(platform_get(c->req, tx, c->id, &p));
    if (!p.bound.n)
        BDR_FAIL(BDR_CONFLICT, 0, "no Sync Proxy is bound to platform %s; bind one first", p.name);
    if (strstr(c->in, "regions") && strcmp(p.kind, "aws") != 0)
        BDR_FAIL(BDR_CONFLICT, 0, "only AWS tells its regions; platform %s is of kind %s", p.name, p.kind);
    BDR_TRY(bdr_q_scan_last_of_platform(tx, c->id, &last));
    if (last && bdr_job_state_of(last->state, &state) && !bdr_job_ends(state) && !strcmp(last->params, c->in))
        BDR_FAIL(BDR_CONFLICT, 0, "job %lld is at it already", (long long)last->id);
    BDR_TRY(scan_add(tx, c, c->in));
    return api_audit(tx, c->req, strstr(c->in, "test") ? "platform.test" : "platform.refresh", "platform", c->id,
                     &platform_shape, NULL, NULL);
}

static struct bdr_err *scan(struct bdr_req *req, const char *params, void *out)
{
    struct obj_change c = {.req = req, .in = params, .id = obj_id(req)};

    BDR_TRY(api_run(req, BDR_TX_LOCK, scan_tx, &c));
    obj_tell(req, "job", c.made, "added");
    obj_tell(req, "platform", c.id, "changed");
    obj_wake(req, 0, c.id);
    return obj_job_show(req, c.made, out);
}

struct bdr_err *platform_refresh(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return scan(req, "{}", out);
}

struct bdr_err *platform_test(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return scan(req, "{\"test\":true}", out);
}

struct bdr_err *platform_regions(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    return scan(req, "{\"regions\":true}", out);
}

/* ---- changes ---- */

static struct bdr_err *add_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    const struct platform *p = c->in;
    struct bdr_in_platform_add in = columns_of(p);
    bool mem = false;
    char name[96];

    BDR_TRY(platform_mem_on(tx, &mem));
    if (!strcmp(p->kind, "mem") && !mem)
        BDR_FAIL(BDR_INVAL, 0, "platforms of kind mem are simulated, and switched off here");
    BDR_TRY(bdr_platform_fill(&in, name));
    BDR_TRY(bdr_q_platform_add(tx, &in, &c->id));
    BDR_TRY(secrets_put(tx, c->req, c->id, p));
    for (size_t i = 0; i < p->ceph.n; i++) {
        struct ceph fresh = p->ceph.items[i];

        fresh.id = 0;
        BDR_TRY(ceph_put(tx, c->req, c->id, &fresh));
    }
    for (size_t i = 0; i < p->proxies.n; i++)
        BDR_TRY(bdr_proxy_bind(tx, (int64_t)p->proxies.items[i], c->id, api_now()));
    if (p->proxies.n)
        BDR_TRY(scan_add(tx, c, "{}"));
    BDR_TRY(platform_get(c->req, tx, c->id, c->out));
    return api_audit(tx, c->req, "platform.add", "platform", c->id, &platform_shape, NULL, c->out);
}

struct bdr_err *platform_add(struct bdr_req *req, const void *in, void *out)
{
    struct platform p = *(const struct platform *)in;
    struct obj_change c = {.req = req, .in = &p, .out = out};

    BDR_TRY(platform_check(req, &p, true));
    BDR_TRY(taken(req, bdr_db_run(api_console(req)->db, BDR_TX_LOCK, add_tx, &c)));
    obj_tell(req, "platform", c.id, "added");
    if (p.proxies.n)
        obj_wake(req, 0, c.id);
    return NULL;
}

/* What was given over what was there. */
static struct platform merged(const struct platform *was, const struct platform *in)
{
    struct platform p = *was;

    p.name = in->name && *in->name ? in->name : p.name;
    p.endpoint = in->endpoint ? in->endpoint : p.endpoint;
    p.username = in->username ? in->username : p.username;
    p.user_domain = in->user_domain ? in->user_domain : p.user_domain;
    p.project = in->project ? in->project : p.project;
    p.project_domain = in->project_domain ? in->project_domain : p.project_domain;
    p.region = in->region ? in->region : p.region;
    p.tenancy = in->tenancy ? in->tenancy : p.tenancy;
    p.key_print = in->key_print ? in->key_print : in->private_key && *in->private_key ? NULL : p.key_print;
    p.cert_print = in->cert_print ? in->cert_print : p.cert_print;
    p.password = in->password;
    p.secret_key = in->secret_key;
    p.private_key = in->private_key;
    p.ceph.items = in->has_ceph ? in->ceph.items : NULL;
    p.ceph.n = in->has_ceph ? in->ceph.n : 0;
    return p;
}

static struct bdr_err *set_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    const struct platform *in = c->in;
    struct bdr_in_platform_add col;
    struct platform was, p;
    int64_t n, locked;
    char name[96];
    bool found;

    BDR_TRY(bdr_q_platform_lock(tx, c->id, &locked, &found));
    BDR_TRY(platform_get(c->req, tx, c->id, &was));
    if (in->kind && strcmp(in->kind, was.kind) != 0)
        BDR_FAIL(BDR_CONFLICT, 0, "a platform's kind stays %s: add another platform", was.kind);
    if (in->has_proxies)
        BDR_FAIL(BDR_INVAL, 0, "proxies are bound and unbound one by one: PUT /v1/proxies/ID/platforms/%lld",
                 (long long)c->id);
    p = merged(&was, in);
    BDR_TRY(platform_check(c->req, &p, false));
    col = columns_of(&p);
    BDR_TRY(bdr_platform_fill(&col, name));
    BDR_TRY(bdr_q_platform_update(
        tx,
        &(struct bdr_in_platform_update){c->id, col.name, col.endpoint, col.username, col.user_domain, col.project,
                                         col.project_domain, col.region, col.tenancy, col.key_print, col.cert_print,
                                         col.now_ms},
        &n));
    BDR_TRY(secrets_put(tx, c->req, c->id, &p));
    if (in->has_ceph)
        BDR_TRY(ceph_replace(tx, c->req, c->id, &p));
    if (was.bound.n) /* is it still right? */
        BDR_TRY(scan_add(tx, c, "{}"));
    BDR_TRY(platform_get(c->req, tx, c->id, c->out));
    return api_audit(tx, c->req, "platform.update", "platform", c->id, &platform_shape, &was, c->out);
}

struct bdr_err *platform_set(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in, .out = out, .id = obj_id(req)};

    BDR_TRY(taken(req, bdr_db_run(api_console(req)->db, BDR_TX_LOCK, set_tx, &c)));
    obj_tell(req, "platform", c.id, "changed");
    if (c.wake_platform)
        obj_wake(req, 0, c.wake_platform);
    return NULL;
}

static struct bdr_err *remove_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    struct platform was;

    BDR_TRY(platform_get(c->req, tx, c->id, &was));
    BDR_TRY(bdr_platform_remove(tx, c->id));
    return api_audit(tx, c->req, "platform.delete", "platform", c->id, &platform_shape, &was, NULL);
}

struct bdr_err *platform_remove(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .id = obj_id(req)};

    (void)in, (void)out;
    BDR_TRY(api_run(req, BDR_TX_LOCK, remove_tx, &c));
    obj_tell(req, "platform", c.id, "removed");
    return NULL;
}
