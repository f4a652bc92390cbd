/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway does for the console beside taking blocks, while others write; and the parts below. */
#include "bed.h"
#include "bdr/blockwire.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include "bdr/gc.h"
#include "bdr/jsonset.h"
#include "bdr/machine_api.h"
#include "bdr/osfile.h"
#include "jobs.h"
#include "possess.h"
#include <stdio.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

struct at_work {
    struct bdr_job_work work;
    struct gw_job job;
    json_t *params, *result;
};

static struct gw_job *at_work(struct at_work *a, const char *params)
{
    json_decref(a->params);
    json_decref(a->result);
    *a = (struct at_work){.work = {.kind = "any", .has_store = true, .store = {.repository = 1}}};
    if (params)
        engine_ok(bdr_json_read(params, strlen(params), &a->params));
    a->work.params = a->params;
    a->job = (struct gw_job){.work = &a->work};
    return &a->job;
}

static size_t points_of(struct bed *b, const char *host)
{
    struct bdr_repo *repo = bed_repo(b);
    struct bdr_point_info *all = NULL;
    size_t n = 0, m = 0;

    engine_ok(bdr_repo_points(repo, &all, &n));
    for (size_t i = 0; i < n; i++)
        m += !strcmp(all[i].host, host);
    free(all);
    bdr_repo_close(repo);
    return m;
}

static void test_prune__rules__of_those_hosts_alone(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img"));
    struct at_work a = {0};

    engine_image(image, 4 * MIB, 1);
    bed_start(b, false, "none", 65536);
    for (unsigned i = 0; i < 3; i++) {
        engine_scribble(image, 0, 2 * MIB, 100 + i);
        bed_backup(b, 1, image, NULL);
        bed_backup(b, 2, image, NULL);
    }
    engine_ok(gw_job_prune(b->gw, at_work(&a, "{\"rules\":[{\"retention\":\"last=1\",\"hosts\":[1]}]}"), &a.result));
    assert_int_equal(json_array_size(json_object_get(a.result, "removed")), 2);
    assert_int_equal(points_of(b, "host1"), 1);
    assert_int_equal(points_of(b, "host2"), 3);
    /* A retention that makes no sense removes nothing. */
    engine_fails(gw_job_prune(b->gw, at_work(&a, "{\"rules\":[{\"retention\":\"last=x\",\"hosts\":[2]}]}"), &a.result), BDR_INVAL);
    assert_int_equal(points_of(b, "host2"), 3);
    at_work(&a, NULL);
    a.work.retention = "last=2";
    a.work.label = "host2";
    engine_ok(gw_job_prune(b->gw, &a.job, &a.result));
    assert_int_equal(points_of(b, "host2"), 2);
    at_work(&a, NULL);
    free(image);
}

static void test_prune__named__and_kept(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img")), params[256];
    struct bdr_backup_result one, two;
    struct at_work a = {0};

    engine_image(image, 4 * MIB, 1);
    bed_start(b, false, "none", 65536);
    one = bed_backup(b, 1, image, NULL);
    engine_scribble(image, 0, 2 * MIB, 3);
    two = bed_backup(b, 1, image, NULL);
    snprintf(params, sizeof(params), "{\"remove\":[\"%s\",\"%s\"],\"keep\":[\"%s\"]}", one.point_id, two.point_id, two.point_id);
    engine_ok(gw_job_prune(b->gw, at_work(&a, params), &a.result));
    assert_int_equal(points_of(b, "host1"), 1);
    engine_ok(gw_job_prune(b->gw, at_work(&a, params), &a.result)); /* again: it is gone already */
    assert_int_equal(json_array_size(json_object_get(a.result, "removed")), 0);
    engine_fails(gw_job_prune(b->gw, at_work(&a, "{\"remove\":[\"a\"]}"), &a.result), BDR_INVAL);
    bed_same(b, two.point_id, image);
    at_work(&a, NULL);
    free(image);
}

/* What the console says at the moment counts, whatever the params of long ago say. */
struct asked {
    const char *held;
    char retention[32];
    unsigned n;
    bool away;
};
static struct bdr_err *removing(void *ctx, uint64_t repository, const char *ref, const char *retention,
                                const struct bdr_cancel *cancel, bool *out)
{
    static struct asked *a;

    (void)cancel;
    if (!repository) {
        a = ctx;
        return NULL;
    }
    a->n++;
    snprintf(a->retention, sizeof(a->retention), "%s", retention);
    if (a->away)
        BDR_FAIL(BDR_NET, 0, "the console is away");
    *out = strcmp(ref, a->held) != 0;
    return NULL;
}

static void test_prune__the_console_is_asked_before_each(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img")), params[256];
    struct bdr_backup_result p[3];
    struct at_work a = {0};
    struct asked asked = {.away = true};

    engine_image(image, 4 * MIB, 1);
    bed_start(b, false, "none", 65536);
    for (unsigned i = 0; i < 3; i++) {
        engine_scribble(image, 0, MIB, 40 + i);
        p[i] = bed_backup(b, 1, image, NULL);
    }
    asked.held = p[0].point_id;
    engine_ok(removing(&asked, 0, NULL, NULL, NULL, NULL));
    b->authority.removing = removing;
    engine_fails(gw_job_prune(b->gw, at_work(&a, "{\"rules\":[{\"retention\":\"last=1\",\"hosts\":[1]}]}"), &a.result),
                 BDR_NET);
    assert_int_equal(points_of(b, "host1"), 3);
    asked.away = false;
    engine_ok(gw_job_prune(b->gw, at_work(&a, "{\"rules\":[{\"retention\":\"last=1\",\"hosts\":[1]}]}"), &a.result));
    assert_string_equal(asked.retention, "last=1");
    assert_int_equal(asked.n, 3);
    assert_int_equal(json_array_size(json_object_get(a.result, "removed")), 1);
    assert_int_equal(points_of(b, "host1"), 2);
    snprintf(params, sizeof(params), "{\"remove\":[\"%s\",\"%s\"]}", p[0].point_id, p[2].point_id);
    engine_ok(gw_job_prune(b->gw, at_work(&a, params), &a.result));
    assert_string_equal(asked.retention, "");
    assert_int_equal(points_of(b, "host1"), 1); /* the one that is held */
    at_work(&a, NULL);
    free(image);
}

/* What only removed points referred to is possessed no more: it has to be sent again though another host has it. */
static void test_prune__possession_ends_with_the_points(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img")), params[128];
    struct bdr_backup_result one, again;
    struct at_work a = {0};

    b->limits.keep_ms = 3000;
    engine_image(image, 8 * MIB, 1);
    engine_scribble(image, 0, 8 * MIB, 5);
    bed_start(b, false, "none", 65536);
    one = bed_backup(b, 1, image, NULL);
    bed_backup(b, 2, image, NULL);
    bdr_err_drop(bdr_cancel_sleep(NULL, 3100), "uploads are of long ago then; never cancelled");
    snprintf(params, sizeof(params), "{\"remove\":[\"%s\"]}", one.point_id);
    engine_ok(gw_job_prune(b->gw, at_work(&a, params), &a.result));
    again = bed_backup(b, 1, image, NULL);
    assert_true(again.sent_bytes >= 8 * MIB);
    assert_int_equal(again.stored_bytes, 0);
    again = bed_backup(b, 2, image, NULL); /* the other one's are its own still */
    assert_true(again.sent_bytes < MIB);
    at_work(&a, NULL);
    free(image);
}

static void test_verify__damage__is_listed(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img")), packs[160], path[400];
    struct bdr_backup_result r;
    struct engine_files files;
    struct at_work a = {0};

    engine_image(image, 8 * MIB, 1);
    engine_scribble(image, 0, 8 * MIB, 5);
    bed_start(b, false, "none", 65536);
    r = bed_backup(b, 1, image, NULL);
    engine_ok(gw_job_verify(b->gw, at_work(&a, "{\"sample_pct\":50}"), &a.result));
    assert_true(json_integer_value(json_object_get(a.result, "blocks")) > 0);
    snprintf(packs, sizeof(packs), "%s/packs", b->e->repo);
    files = engine_files(packs);
    for (size_t i = 0; i < files.n; i++) {
        snprintf(path, sizeof(path), "%s/%s", packs, files.name[i]);
        engine_scribble(path, 20000, 5000, 9);
    }
    engine_files_free(&files);
    engine_fails(gw_job_verify(b->gw, at_work(&a, NULL), &a.result), BDR_CORRUPT);
    assert_string_equal(json_string_value(json_array_get(json_object_get(a.result, "damaged_points"), 0)), r.point_id);
    at_work(&a, NULL);
    free(image);
}

static void test_recover__to_a_file__is_the_disk(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img")), *to = strdup(bed_file(b, "made/for it/out.raw")), params[512];
    const char *cmp[] = {"cmp", image, to, NULL};
    struct bdr_backup_result r;
    struct at_work a = {0};

    engine_image(image, 8 * MIB, 1);
    bed_start(b, true, "zstd", 65536);
    r = bed_backup(b, 1, image, NULL);
    snprintf(params, sizeof(params), "{\"target\":\"file\",\"format\":\"raw\",\"point\":\"%s\",\"path\":\"%s\",\"disk_name\":\"disk0\"}",
             r.point_id, to);
    engine_ok(gw_job_recover(b->gw, at_work(&a, params), &a.result));
    assert_int_equal(engine_run(cmp), 0);
    assert_true(atomic_load(&a.job.done_bytes) == 8 * MIB);
    engine_fails(gw_job_recover(b->gw, at_work(&a, params), &a.result), BDR_EXISTS);
    at_work(&a, params);
    a.job.recover_below = "/nowhere";
    engine_fails(gw_job_recover(b->gw, &a.job, &a.result), BDR_DENIED);
    snprintf(params, sizeof(params), "{\"target\":\"file\",\"point\":\"%s\",\"path\":\"%s/../x\"}", r.point_id, b->e->dir);
    engine_fails(gw_job_recover(b->gw, at_work(&a, params), &a.result), BDR_INVAL);
    snprintf(params, sizeof(params), "{\"target\":\"file\",\"point\":\"%s\",\"path\":\"/dev/null\"}", r.point_id);
    engine_fails(gw_job_recover(b->gw, at_work(&a, params), &a.result), BDR_INVAL);
    at_work(&a, NULL);
    free(image);
    free(to);
}

static unsigned told_n;
static void told(void *ctx, uint64_t repository, const json_t *manifest)
{
    (void)ctx;
    assert_int_equal(repository, 1);
    assert_non_null(json_object_get(manifest, "id"));
    told_n++;
}

static void test_told__each_point__once(void **state)
{
    struct bed *b = *state;
    char *image = strdup(bed_file(b, "a.img"));

    told_n = 0;
    b->told = told;
    engine_image(image, MIB, 1);
    bed_start(b, false, "none", 65536);
    bed_backup(b, 1, image, NULL);
    bed_backup(b, 2, image, NULL);
    assert_int_equal(told_n, 2);
    free(image);
}

/* ---- parts ---- */

static void test_retention__texts__as_written(void **state)
{
    struct bdr_keep k;

    (void)state;
    engine_ok(gw_retention_read("last=3 daily=7 within=30d", &k));
    assert_int_equal(k.last, 3);
    assert_int_equal(k.daily, 7);
    assert_int_equal(k.within_ms, 30ull * 86400000);
    engine_ok(gw_retention_read("", &k));
    assert_int_equal(k.last, 0);
    engine_fails(gw_retention_read("daily", &k), BDR_INVAL);
    engine_fails(gw_retention_read("often=3", &k), BDR_INVAL);
    engine_fails(gw_retention_read("within=3", &k), BDR_INVAL);
    engine_fails(gw_retention_read("daily=-1", &k), BDR_INVAL);
}

static void test_crc32c__known_values__hold(void **state)
{
    uint8_t zeros[32] = {0}, ones[32], up[32];

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    for (unsigned i = 0; i < 32; i++)
        up[i] = (uint8_t)i;
    /* RFC 3720 B.4 */
    assert_int_equal(bdr_crc32c(0, zeros, 32), 0x8a9136aau);
    assert_int_equal(bdr_crc32c(0, ones, 32), 0x62a8ab43u);
    assert_int_equal(bdr_crc32c(0, up, 32), 0x46dd794eu);
    assert_int_equal(bdr_crc32c(bdr_crc32c(0, up, 11), up + 11, 21), 0x46dd794eu);
}

static void test_possess__uploads_age_points_stay(void **state)
{
    struct bed *b = *state;
    struct gw_possess *p = NULL;
    struct gw_owned own[3] = {{{{1}}, 100}, {{{2}}, 200}, {{{3}}, 300}}, look[3];
    char last[33];

    engine_ok(gw_possess_open(bed_file(b, "own"), UINT64_MAX / 4, &p));
    engine_ok(gw_possess_add(p, 7, own, 2, false, 1000));
    engine_ok(gw_possess_add(p, 7, &own[1], 1, true, 1000));
    engine_ok(gw_possess_add(p, 7, &own[1], 1, false, 5000)); /* sent again: still of a point */
    memcpy(look, own, sizeof(look));
    engine_ok(gw_possess_look(p, 7, look, 3));
    assert_int_equal(look[0].raw_len, 100);
    assert_int_equal(look[1].raw_len, 200);
    assert_int_equal(look[2].raw_len, 0);
    engine_ok(gw_possess_look(p, 8, look, 3)); /* another host */
    assert_int_equal(look[0].raw_len + look[1].raw_len, 0);
    engine_ok(gw_possess_sweep(p, 7, 2000, 500));
    engine_ok(gw_possess_look(p, 7, look, 3));
    assert_int_equal(look[0].raw_len, 0);
    assert_int_equal(look[1].raw_len, 200);
    engine_ok(gw_possess_set_last(p, 7, "0123456789abcdef0123456789abcdef"));
    gw_possess_close(p);
    engine_ok(gw_possess_open(bed_file(b, "own"), 1000, &p)); /* uploads of long ago do not count, points do */
    engine_ok(gw_possess_add(p, 7, own, 1, false, bdr_clock_wall_ms() - 2000));
    engine_ok(gw_possess_look(p, 7, look, 3));
    assert_int_equal(look[0].raw_len, 0);
    assert_int_equal(look[1].raw_len, 200);
    gw_possess_close(p);
    engine_ok(gw_possess_open(bed_file(b, "own"), UINT64_MAX / 4, &p)); /* it lasts */
    engine_ok(gw_possess_look(p, 7, look, 3));
    assert_int_equal(look[1].raw_len, 200);
    engine_ok(gw_possess_last(p, 7, last));
    assert_string_equal(last, "0123456789abcdef0123456789abcdef");
    gw_possess_close(p);
    /* It was open when another boot ended. */
    engine_ok(bdr_os_replace_file(bed_file(b, "own/open"), "another boot\n", 13, 0600, false));
    engine_ok(gw_possess_open(bed_file(b, "own"), UINT64_MAX / 4, &p));
    engine_ok(gw_possess_look(p, 7, look, 3));
    assert_int_equal(look[1].raw_len, 0);
    gw_possess_close(p);
}

static void test_hosts_file__mistakes__are_told_and_change_nothing(void **state)
{
    static const char *const bad[] = {"nonsense", "host x name repository=1 machine=m", "host 5 a machine=m",
                                      "host 1 other repository=1 machine=m9", "host 88 host1 repository=1 machine=m9",
                                      "repository 1 /elsewhere", "host 77 a repository=1 machine=m evil=1", "revoked"};
    struct bed *b = *state;
    struct gw_leave leave;
    const struct gw_question q = {.machine = "m1", .serial = "s", .host = 1, .fence = 1};
    bool changed;

    for (size_t i = 0; i < BDR_COUNT(bad); i++) {
        BDR_AUTO(buf) struct bdr_buf text = {0};

        bdr_buf_printf(&text, "repository 1 /r\nhost 1 host1 repository=1 machine=m1\n%s\n", bad[i]);
        engine_ok(bdr_os_replace_file(bed_file(b, "hosts"), text.data, text.len, 0600, false));
        engine_fails(gw_hosts_file_refresh(b->file, &changed), BDR_INVAL);
        engine_ok(b->authority.authorise(b->authority.ctx, &q, NULL, &leave));
        assert_string_equal(leave.label, "host1");
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_prune__rules__of_those_hosts_alone),
        T(test_prune__named__and_kept),
        T(test_prune__the_console_is_asked_before_each),
        T(test_prune__possession_ends_with_the_points),
        T(test_verify__damage__is_listed),
        T(test_recover__to_a_file__is_the_disk),
        T(test_told__each_point__once),
        cmocka_unit_test(test_retention__texts__as_written),
        cmocka_unit_test(test_crc32c__known_values__hold),
        T(test_possess__uploads_age_points_stay),
        T(test_hosts_file__mistakes__are_told_and_change_nothing),
    };

    setenv("BDR_TEST_TMP", "/tmp", 0); /* /dev/shm is below /dev */
    return cmocka_run_group_tests_name("gateway-jobs", tests, NULL, NULL);
}
