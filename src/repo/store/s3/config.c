/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include "bdr/store.h"
#include "sigv4.h"
#include <stdio.h>
#include <string.h>

#define ATTEMPTS         8 /* with full jitter from 100 ms, doubled to at most 10 s: about 8 s of trying on average */
#define STALL_S          30
#define PROFILE_FILE_MAX 65536

static void secret_free(char *s)
{
    if (s)
        bdr_wipe(s, strlen(s));
    free(s);
}

void bdr_s3_config_free(struct bdr_s3_config *cfg)
{
    free(cfg->bucket);
    free(cfg->prefix);
    free(cfg->origin);
    free(cfg->host);
    free(cfg->base);
    free(cfg->region);
    free(cfg->ca_file);
    free(cfg->key_id);
    secret_free(cfg->secret);
    secret_free(cfg->token);
    *cfg = (struct bdr_s3_config){0};
}

/* Replaces *out by a copy of the first `n` bytes of `s`. */
static struct bdr_err *set_n(char **out, const char *s, size_t n)
{
    char *copy = strndup(s, n);

    BDR_NOMEM_IF_NULL(copy);
    secret_free(*out);
    *out = copy;
    return NULL;
}
static struct bdr_err *set(char **out, const char *s)
{
    return set_n(out, s, strlen(s));
}

static _Thread_local const struct bdr_store_access *config_access; /* borrowed */

void bdr_store_access_set(const struct bdr_store_access *access)
{
    config_access = access;
}

/* What `name` is when credentials were given; *out_given false: as the environment says. */
static const char *access_value(const char *name, bool *out_given)
{
    const struct bdr_store_access *a = config_access;
    const struct {
        const char *name, *value;
        bool hides; /* the environment's is not for this store, even if there is no value */
    } rows[] = {{"AWS_ACCESS_KEY_ID", a->key, true},        {"AWS_SECRET_ACCESS_KEY", a->secret, true},
                {"AWS_ENDPOINT_URL", a->endpoint, true},    {"AWS_SESSION_TOKEN", NULL, true},
                {"AWS_REGION", a->region, false},           {"BDR_S3_ADDRESSING", a->addressing, false},
                {"BDR_S3_CA", a->ca_file, false}};

    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        if (!strcmp(rows[i].name, name)) {
            *out_given = rows[i].hides || (rows[i].value && *rows[i].value);
            return rows[i].value;
        }
    return NULL;
}

/* NULL when unset or empty. */
static const char *env(const char *name)
{
    bool given = false;
    const char *v = config_access && config_access->key ? access_value(name, &given) : NULL;

    if (!given)
        v = getenv(name);
    return v && *v ? v : NULL;
}

static struct bdr_err *env_u32(const char *name, unsigned min, unsigned max, unsigned standard, unsigned *out)
{
    const char *text = env(name);
    uint64_t v = standard;

    if (text)
        BDR_TRY_FOR(bdr_u64_parse(text, max, &v), "reading %s", name);
    if (v < min)
        BDR_FAIL(BDR_RANGE, 0, "%s is %s; it must be %u to %u", name, text, min, max);
    *out = (unsigned)v;
    return NULL;
}

/* ---- credentials ---- */

static char *trim(char *s)
{
    char *end;

    s += strspn(s, " \t\r");
    for (end = s + strlen(s); end > s && strchr(" \t\r", end[-1]); end--)
        ;
    *end = 0;
    return s;
}

/* Takes what the section [profile] of an ini text says. `text` is cut to pieces. *out_found: there is such a section.
 */
static struct bdr_err *profile_parse(char *text, const char *profile, struct bdr_s3_config *cfg, bool *out_found)
{
    const struct {
        const char *name;
        char **to;
    } rows[] = {{"aws_access_key_id", &cfg->key_id},
                {"aws_secret_access_key", &cfg->secret},
                {"aws_session_token", &cfg->token},
                {"region", &cfg->region}};
    bool mine = false;

    *out_found = false;
    for (char *line, *rest = text; (line = strsep(&rest, "\n"));) {
        char *value = NULL, *name = trim(line);

        if (*name == '[') {
            size_t n = strlen(profile);

            mine = !strncmp(name + 1, profile, n) && !strcmp(name + 1 + n, "]");
            *out_found |= mine;
            continue;
        }
        if (!mine || *name == '#' || *name == ';' || !(value = strchr(name, '=')))
            continue;
        *value++ = 0;
        name = trim(name);
        for (size_t i = 0; i < BDR_COUNT(rows); i++)
            if (!strcmp(name, rows[i].name) && !*rows[i].to)
                BDR_TRY(set(rows[i].to, trim(value)));
    }
    return NULL;
}

static struct bdr_err *profile_load(struct bdr_s3_config *cfg)
{
    const char *profile = env("AWS_PROFILE"), *file = env("AWS_SHARED_CREDENTIALS_FILE"), *home = env("HOME");
    BDR_AUTO(mem) char *path = NULL;
    char *text = NULL;
    struct bdr_err *err;
    bool found = false;
    size_t len = 0;

    if (file)
        path = strdup(file);
    else if (asprintf(&path, "%s/.aws/credentials", home ? home : "") < 0)
        path = NULL;
    BDR_NOMEM_IF_NULL(path);
    err = bdr_os_read_file(path, PROFILE_FILE_MAX, &text, &len);
    if (err && err->code == BDR_NOTFOUND && !profile && !file) {
        bdr_err_drop(err, "the file is optional");
        return NULL;
    }
    if (!err)
        err = profile_parse(text, profile ? profile : "default", cfg, &found);
    if (!err && !found && profile)
        err = bdr_err_new(BDR_NOTFOUND, 0, BDR_AT, "%s has no section [%s], which AWS_PROFILE names", path, profile);
    if (text)
        bdr_wipe(text, len);
    free(text);
    return err;
}

static struct bdr_err *load_credentials(struct bdr_s3_config *cfg)
{
    const char *id = env("AWS_ACCESS_KEY_ID"), *secret = env("AWS_SECRET_ACCESS_KEY");
    const char *token = env("AWS_SESSION_TOKEN"), *region = env("AWS_REGION");

    if (!id != !secret)
        BDR_FAIL(BDR_INVAL, 0, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together; %s is not set",
                 id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    if (!region)
        region = env("AWS_DEFAULT_REGION");
    if (region)
        BDR_TRY(set(&cfg->region, region));
    if (id) {
        BDR_TRY(set(&cfg->key_id, id));
        BDR_TRY(set(&cfg->secret, secret));
        if (token)
            BDR_TRY(set(&cfg->token, token));
    } else {
        BDR_TRY_FOR(profile_load(cfg), "reading S3 credentials");
    }
    if (!cfg->key_id || !cfg->secret)
        BDR_FAIL(BDR_DENIED, 0,
                 "no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them to "
                 "~/.aws/credentials");
    if (!cfg->region)
        BDR_TRY(set(&cfg->region, "us-east-1"));
    return NULL;
}

/* ---- places ---- */

/* "s3://bucket/some/prefix" */
static struct bdr_err *load_url(const char *url, struct bdr_s3_config *cfg)
{
    const char *bucket = url + strlen("s3://"), *end = bucket + strcspn(bucket, "/"), *prefix = end;
    size_t n;

    if (strcspn(bucket, "@:") < (size_t)(end - bucket))
        BDR_FAIL(BDR_INVAL, 0, "write an S3 place as s3://bucket/prefix; credentials do not belong in it");
    /* Amazon takes 3 to 63 of [a-z0-9.-]; Ceph took more for years. */
    if (end - bucket < 3 || end - bucket > 255 ||
        strspn(bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") < (size_t)(end - bucket))
        BDR_FAIL(BDR_INVAL, 0, "'%.*s' is not a bucket: write s3://bucket/prefix, bucket being 3 to 63 of [a-z0-9.-]",
                 (int)BDR_MIN(end - bucket, 255), bucket);
    BDR_TRY(set_n(&cfg->bucket, bucket, (size_t)(end - bucket)));
    prefix += strspn(prefix, "/");
    n = strlen(prefix);
    while (n && prefix[n - 1] == '/')
        n--;
    free(cfg->prefix);
    if (asprintf(&cfg->prefix, "%.*s%s", (int)n, prefix, n ? "/" : "") < 0) {
        cfg->prefix = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    /* A key has at most 1024 bytes (AWS, "Object key naming"); ours take 200. */
    if (n > 800)
        BDR_FAIL(BDR_INVAL, 0, "the prefix in s3://%s/... is longer than 800 bytes", cfg->bucket);
    return NULL;
}

/* Splits AWS_ENDPOINT_URL; a path behind the host is kept in front of ours. */
static struct bdr_err *split_endpoint(const char *endpoint, const char **out_scheme, char **out_host, char **out_path)
{
    const char *host = strstr(endpoint, "://"), *path;
    size_t n;

    if (!strncmp(endpoint, "https://", 8))
        *out_scheme = "https";
    else if (!strncmp(endpoint, "http://", 7))
        *out_scheme = "http";
    else
        BDR_FAIL(BDR_INVAL, 0, "AWS_ENDPOINT_URL must begin with https:// or http://");
    host += 3;
    path = host + strcspn(host, "/");
    if (path == host || strcspn(host, "@?# ") < strlen(host))
        BDR_FAIL(BDR_INVAL, 0, "AWS_ENDPOINT_URL must be like https://s3.example.org:8443");
    BDR_TRY(set_n(out_host, host, (size_t)(path - host)));
    n = strlen(path);
    while (n && path[n - 1] == '/')
        n--;
    return set_n(out_path, path, n);
}

/* Whether requests name the bucket in the path rather than in the host. */
static struct bdr_err *want_path_style(const struct bdr_s3_config *cfg, bool *out)
{
    const char *addressing = env("BDR_S3_ADDRESSING");

    if (addressing && strcmp(addressing, "path") && strcmp(addressing, "virtual"))
        BDR_FAIL(BDR_INVAL, 0, "BDR_S3_ADDRESSING is '%s'; it must be path or virtual", addressing);
    /* A bucket with dots does not match the wildcard of Amazon's certificate. */
    *out = addressing ? !strcmp(addressing, "path") : !cfg->amazon || strchr(cfg->bucket, '.');
    return NULL;
}

static struct bdr_err *load_endpoint(struct bdr_s3_config *cfg)
{
    const char *endpoint = env("AWS_ENDPOINT_URL"), *scheme = "https";
    BDR_AUTO(mem) char *host = NULL, *path = NULL;
    BDR_AUTO(buf) struct bdr_buf base = {0};
    bool path_style = true;

    cfg->amazon = !endpoint;
    if (endpoint)
        BDR_TRY(split_endpoint(endpoint, &scheme, &host, &path));
    else if (asprintf(&host, "s3.%s.amazonaws.com%s", cfg->region, strncmp(cfg->region, "cn-", 3) ? "" : ".cn") < 0)
        host = NULL;
    BDR_NOMEM_IF_NULL(host);
    BDR_TRY(want_path_style(cfg, &path_style));
    if (asprintf(&cfg->host, "%s%s%s", path_style ? "" : cfg->bucket, path_style ? "" : ".", host) < 0) {
        cfg->host = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    if (asprintf(&cfg->origin, "%s://%s", scheme, cfg->host) < 0) {
        cfg->origin = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    if (path)
        bdr_sigv4_encode(&base, path, true);
    if (path_style) {
        bdr_buf_u8(&base, '/');
        bdr_sigv4_encode(&base, cfg->bucket, false);
    }
    bdr_buf_u8(&base, 0);
    BDR_TRY(bdr_buf_check(&base));
    cfg->base = (char *)BDR_STEAL(base.data);
    return NULL;
}

struct bdr_err *bdr_s3_config_load(const char *url, struct bdr_s3_config *out)
{
    BDR_AUTO(s3_config) struct bdr_s3_config cfg = {0};
    const char *ca = env("BDR_S3_CA");

    BDR_TRY(load_url(url, &cfg));
    BDR_TRY(load_credentials(&cfg));
    BDR_TRY(load_endpoint(&cfg));
    BDR_TRY(env_u32("BDR_S3_ATTEMPTS", 1, 100, ATTEMPTS, &cfg.attempts));
    BDR_TRY(env_u32("BDR_S3_STALL_S", 1, 3600, STALL_S, &cfg.stall_s));
    if (ca)
        BDR_TRY(set(&cfg.ca_file, ca));
    *out = cfg;
    cfg = (struct bdr_s3_config){0};
    return NULL;
}
