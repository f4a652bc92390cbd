/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/platform.h"
#include "bdr/clock.h"
#include <stdio.h>
#include <string.h>

const struct bdr_platform_field bdr_platform_fields[] = {
#define F(kind, column, need, by_default, example) {#kind, #column, BDR_FIELD_##need, by_default, example},
#include "platforms.def"
#undef F
};
const size_t bdr_platform_field_count = BDR_COUNT(bdr_platform_fields);

static const char *const platform_kinds[] = {
#define P(kind, port) #kind,
#include "platforms.def"
#undef P
};

#define FIELD_MAX 1024

static const struct {
    const char *column;
    size_t at;
} platform_columns[] = {
    {"endpoint", offsetof(struct bdr_in_platform_add, endpoint)},
    {"username", offsetof(struct bdr_in_platform_add, username)},
    {"user_domain", offsetof(struct bdr_in_platform_add, user_domain)},
    {"project", offsetof(struct bdr_in_platform_add, project)},
    {"project_domain", offsetof(struct bdr_in_platform_add, project_domain)},
    {"region", offsetof(struct bdr_in_platform_add, region)},
    {"tenancy", offsetof(struct bdr_in_platform_add, tenancy)},
    {"key_print", offsetof(struct bdr_in_platform_add, key_print)},
    {"cert_print", offsetof(struct bdr_in_platform_add, cert_print)},
};

static const struct bdr_platform_field *field_of(const char *kind, const char *column)
{
    for (size_t i = 0; i < bdr_platform_field_count; i++)
        if (!strcmp(bdr_platform_fields[i].kind, kind) && !strcmp(bdr_platform_fields[i].column, column))
            return &bdr_platform_fields[i];
    return NULL;
}

static struct bdr_err *text_check(const char *column, const char *text)
{
    if (strlen(text) > FIELD_MAX)
        BDR_FAIL(BDR_INVAL, 0, "%s is longer than %d bytes", column, FIELD_MAX);
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            BDR_FAIL(BDR_INVAL, 0, "%s has a control character in it", column);
    return NULL;
}

static struct bdr_err *column_fill(struct bdr_in_platform_add *p, size_t i)
{
    const struct bdr_platform_field *f = field_of(p->kind, platform_columns[i].column);
    char *at = (char *)p + platform_columns[i].at;
    const char *text;

    memcpy(&text, at, sizeof(text));
    if (!text)
        text = "";
    if (!*text && f)
        text = f->by_default;
    if (*text && !f && strcmp(platform_columns[i].column, "cert_print") != 0)
        BDR_FAIL(BDR_INVAL, 0, "a platform of kind %s has no %s", p->kind, platform_columns[i].column);
    if (f && f->need == BDR_FIELD_MUST && !*text)
        BDR_FAIL(BDR_INVAL, 0, "%s is needed, like %s", f->column, f->example);
    BDR_TRY(text_check(platform_columns[i].column, text));
    memcpy(at, &text, sizeof(text));
    return NULL;
}

/* https://host:port/... -> host; else the text itself. */
static void place_of(const struct bdr_in_platform_add *p, char *out, size_t n)
{
    const char *host = strstr(p->endpoint, "://");

    if (*p->region && !*p->endpoint)
        snprintf(out, n, "%s", p->region);
    else {
        host = host ? host + 3 : p->endpoint;
        snprintf(out, n, "%.*s", (int)strcspn(host, ":/"), host);
    }
}

struct bdr_err *bdr_platform_fill(struct bdr_in_platform_add *p, char name[96])
{
    char place[48], when[24];
    bool known = false;

    for (size_t i = 0; i < BDR_COUNT(platform_kinds); i++)
        known |= p->kind && !strcmp(platform_kinds[i], p->kind);
    if (!known)
        BDR_FAIL(BDR_INVAL, 0, "'%.32s' is no kind of platform; vmware, openstack, aws, fusioncompute, oracle",
                 p->kind ? p->kind : "");
    for (size_t i = 0; i < BDR_COUNT(platform_columns); i++)
        BDR_TRY(column_fill(p, i));
    if (*p->endpoint && strncmp(p->endpoint, "https://", 8) != 0 && strncmp(p->endpoint, "http://", 7) != 0)
        BDR_FAIL(BDR_INVAL, 0, "the endpoint '%.200s' does not begin with https://", p->endpoint);
    if (!p->name || !*p->name) {
        place_of(p, place, sizeof(place));
        bdr_clock_text(p->now_ms, when); /* 2027-01-15T08:00:00Z: a name has it as 20270115-080000 */
        snprintf(name, 96, "%s-%s-%.4s%.2s%.2s-%.2s%.2s%.2s", p->kind, place, when, when + 5, when + 8, when + 11,
                 when + 14, when + 17);
        p->name = name;
    }
    return text_check("name", p->name);
}

struct bdr_err *bdr_ceph_fill(struct bdr_in_ceph_add *c)
{
    if (!c->monitors || !*c->monitors)
        BDR_FAIL(BDR_INVAL, 0, "monitors are needed, like 10.0.0.201,10.0.0.202,10.0.0.203");
    if (strchr(c->monitors, ' ') || strstr(c->monitors, ",,"))
        BDR_FAIL(BDR_INVAL, 0, "write the monitors with commas between and no blanks");
    if (!c->cluster || !*c->cluster)
        c->cluster = "ceph";
    if (!c->username || !*c->username)
        c->username = "cinder";
    if (!c->pool || !*c->pool)
        c->pool = "volumes";
    if (!c->volume_types || !*c->volume_types)
        c->volume_types = "DEFAULT_VOLUME_TYPE";
    if (!c->diff || !*c->diff)
        c->diff = "rbd_diff";
    if (strcmp(c->diff, "rbd_diff") != 0 && strcmp(c->diff, "rbd_du") != 0)
        BDR_FAIL(BDR_INVAL, 0, "changes are found by rbd_diff (exact) or rbd_du (faster), not by '%.32s'", c->diff);
    BDR_TRY(text_check("monitors", c->monitors));
    BDR_TRY(text_check("pool", c->pool));
    return text_check("volume types", c->volume_types);
}

static struct bdr_err *platform_secrets(struct bdr_tx *tx, int64_t platform_id)
{
    BDR_AUTO(mem) struct bdr_row_ceph *ceph = NULL;
    int64_t changed;
    size_t n = 0;

    BDR_TRY(bdr_q_ceph_list(tx, platform_id, &ceph, &n));
    for (size_t i = 0; i < n; i++)
        BDR_TRY(bdr_q_sealed_delete(tx, "ceph", ceph[i].id, &changed));
    return bdr_q_sealed_delete(tx, "platform", platform_id, &changed);
}

struct bdr_err *bdr_platform_remove(struct bdr_tx *tx, int64_t platform_id)
{
    BDR_AUTO(mem) struct bdr_row_binding_proxies *bound = NULL;
    int64_t id = 0, hosts = 0, jobs = 0, left = 0, changed;
    bool found = false;
    size_t n = 0;

    BDR_TRY(bdr_q_platform_lock(tx, platform_id, &id, &found));
    if (!found)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no platform %lld", (long long)platform_id);
    BDR_TRY(bdr_q_binding_proxies(tx, platform_id, &bound, &n));
    if (n)
        BDR_FAIL(BDR_CONFLICT, 0, "%zu proxies are bound to the platform, %s first; unbind them before", n,
                 bound[0].name);
    BDR_TRY(bdr_q_host_count_of_platform(tx, platform_id, &hosts));
    if (hosts)
        BDR_FAIL(BDR_CONFLICT, 0, "%lld hosts of the platform are registered; deregister them before",
                 (long long)hosts);
    BDR_TRY(bdr_q_job_unfinished_of_platform(tx, platform_id, &jobs));
    if (jobs)
        BDR_FAIL(BDR_CONFLICT, 0, "%lld jobs of the platform have not ended", (long long)jobs);
    BDR_TRY(bdr_q_job_forget_platform(tx, platform_id, &changed));
    BDR_TRY(bdr_q_job_forget_idle_hosts(tx, platform_id, &changed));
    BDR_TRY(bdr_q_host_delete_idle(tx, platform_id, &changed));
    BDR_TRY(bdr_q_host_left_of_platform(tx, platform_id, &left));
    if (left)
        BDR_FAIL(BDR_CONFLICT, 0, "%lld hosts of the platform still have recovery points or recoveries",
                 (long long)left);
    BDR_TRY(platform_secrets(tx, platform_id));
    BDR_TRY(bdr_q_ceph_delete_all(tx, platform_id, &changed));
    BDR_TRY(bdr_q_name_record_delete_all(tx, platform_id, &changed));
    return bdr_q_platform_delete(tx, platform_id, &changed);
}
