/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each platform driver must do, whatever it speaks. A driver is a row of rows[]: how to open it in two states of
 * its hosts' disks (before and after some writes), with wrong credentials, and with faults.
 */
#include "bdr/bytes.h"
#include "bdr/platform.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

struct row {
    const char *name, *kind, *password, *wrong_password;
    const char *endpoint, *endpoint_later, *endpoint_flaky, *endpoint_denied, *endpoint_forgot;
    size_t hosts;
};
static const struct row rows[] = {
    {.name = "mem",
     .kind = "mem",
     .password = "mem",
     .wrong_password = "wrong",
     .endpoint = "mem:hosts=230,disks=3,size=2M,seed=5,gen=3",
     .endpoint_later = "mem:hosts=230,disks=3,size=2M,seed=5,gen=6",
     .endpoint_flaky = "mem:hosts=230,disks=3,size=8M,seed=5,gen=3,fault=read",
     .endpoint_denied = "mem:fault=denied",
     .endpoint_forgot = "mem:hosts=230,disks=3,size=2M,seed=5,gen=6,fault=stale",
     .hosts = 230},
};
static const struct row *row;

static void none(struct bdr_err *err)
{
    char text[512];

    if (err)
        fail_msg("%s", bdr_err_text(err, text, sizeof(text)));
}

static void refused(struct bdr_err *err, enum bdr_code code)
{
    char text[512] = "no error";

    if (err)
        bdr_err_text(err, text, sizeof(text));
    if (!err || err->code != code)
        fail_msg("wanted %s, got: %s", bdr_code_name(code), text);
    bdr_err_free(err);
}

static struct bdr_platform *platform(const char *endpoint)
{
    struct bdr_platform *p = NULL;

    none(bdr_platform_open(
        &(struct bdr_platform_spec){
            .kind = row->kind, .endpoint = endpoint, .username = "u", .password = row->password},
        &p));
    return p;
}

/* The first host that can be protected as a whole. */
static struct bdr_platform_host *good_host(struct bdr_platform *p, struct bdr_arena *arena)
{
    struct bdr_platform_host *hosts;
    const char *cursor = NULL;
    size_t n;

    do {
        none(bdr_platform_list(p, cursor, arena, &hosts, &n, &cursor));
        for (size_t i = 0; i < n; i++) {
            bool good = !hosts[i].reason && hosts[i].n_disks;

            for (size_t d = 0; d < hosts[i].n_disks; d++)
                good &= !hosts[i].disks[d].reason;
            if (good)
                return &hosts[i];
        }
    } while (cursor);
    fail_msg("no host can be protected");
    return NULL;
}

static struct bdr_platform_snapshot *snapshot(struct bdr_platform *p, const struct bdr_platform_host *h)
{
    const char *refs[64];
    struct bdr_platform_snapshot *s = NULL;

    for (size_t i = 0; i < h->n_disks && i < 64; i++)
        refs[i] = h->disks[i].ref;
    none(bdr_platform_snapshot_begin(p, h->ref, refs, BDR_MIN(h->n_disks, (size_t)64), &s));
    return s;
}

static uint8_t *content(struct bdr_source *src, uint64_t *out_size)
{
    struct bdr_source_info info;
    uint8_t *all;

    none(bdr_source_info(src, &info));
    all = aligned_alloc(4096, info.size_bytes);
    assert_non_null(all);
    for (uint64_t off = 0; off < info.size_bytes; off += 65536)
        none(bdr_source_read(src, off, all + off, (size_t)BDR_MIN((uint64_t)65536, info.size_bytes - off)));
    *out_size = info.size_bytes;
    return all;
}

static void test_list__all_hosts_once__with_reasons(void **state)
{
    BDR_AUTO(platform) struct bdr_platform *p = platform(row->endpoint);
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    const char *cursor = NULL;
    char last[600] = "";
    size_t all = 0, pages = 0, reasons = 0;

    (void)state;
    none(bdr_arena_new(&arena));
    do {
        struct bdr_platform_host *hosts;
        size_t n;

        none(bdr_platform_list(p, cursor, arena, &hosts, &n, &cursor));
        pages++;
        for (size_t i = 0; i < n; i++) {
            assert_true(hosts[i].ref && *hosts[i].ref && hosts[i].name && *hosts[i].name);
            assert_string_not_equal(hosts[i].ref, last);
            snprintf(last, sizeof(last), "%s", hosts[i].ref);
            reasons += hosts[i].reason != NULL;
            for (size_t d = 0; d < hosts[i].n_disks; d++) {
                assert_true(hosts[i].disks[d].ref && *hosts[i].disks[d].ref);
                assert_true(hosts[i].disks[d].reason || hosts[i].disks[d].size_bytes);
                if (hosts[i].disks[d].reason)
                    assert_true(strlen(hosts[i].disks[d].reason) > 8);
            }
        }
        all += n;
        assert_true(!p->drv->limits.hosts_page || n <= p->drv->limits.hosts_page);
    } while (cursor);
    assert_int_equal(all, row->hosts);
    assert_true(pages > 1 && reasons > 0);
}

static void test_open__wrong_password_or_right_or_kind__says_which(void **state)
{
    struct bdr_platform *p = NULL;

    (void)state;
    refused(
        bdr_platform_open(
            &(struct bdr_platform_spec){.kind = row->kind, .endpoint = row->endpoint, .password = row->wrong_password},
            &p),
        BDR_AUTH);
    refused(
        bdr_platform_open(
            &(struct bdr_platform_spec){.kind = row->kind, .endpoint = row->endpoint_denied, .password = row->password},
            &p),
        BDR_DENIED);
    refused(bdr_platform_open(&(struct bdr_platform_spec){.kind = "cloud-nine", .endpoint = row->endpoint}, &p),
            BDR_UNSUPPORTED);
}

static void test_snapshot__read_twice__the_same(void **state)
{
    BDR_AUTO(platform) struct bdr_platform *p = platform(row->endpoint);
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_platform_host *h;
    struct bdr_platform_snapshot *s;

    (void)state;
    none(bdr_arena_new(&arena));
    h = good_host(p, arena);
    s = snapshot(p, h);
    for (size_t i = 0; i < h->n_disks; i++) {
        BDR_AUTO(source) struct bdr_source *src = NULL;
        struct bdr_source_info info;
        uint64_t n, m;
        uint8_t *a, *b;

        none(bdr_platform_source(s, i, &src));
        none(bdr_source_info(src, &info));
        assert_int_equal(info.size_bytes, h->disks[i].size_bytes);
        assert_true(info.has_changes && !info.live);
        a = content(src, &n);
        b = content(src, &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
        free(a);
        free(b);
    }
    bdr_platform_snapshot_end(s);
}

struct cover {
    const uint8_t *before, *after;
    uint64_t at, changed, missed;
};
/* Gaps between what is told must be the same in both. */
static void cover_gap(struct cover *c, uint64_t end)
{
    for (uint64_t off = c->at; off < end; off += 512)
        if (memcmp(c->before + off, c->after + off, (size_t)BDR_MIN((uint64_t)512, end - off)) != 0)
            c->missed += 512;
}
static struct bdr_err *cover_extent(void *ctx, const struct bdr_extent *ext)
{
    struct cover *c = ctx;

    cover_gap(c, ext->off);
    if (ext->kind == BDR_EXTENT_ZERO && !bdr_all_zero(c->after + ext->off, ext->len))
        c->missed += ext->len;
    c->changed += ext->len;
    c->at = ext->off + ext->len;
    return NULL;
}

static void test_changes__since_a_token__nothing_is_missed(void **state)
{
    BDR_AUTO(platform) struct bdr_platform *p1 = platform(row->endpoint);
    BDR_AUTO(platform) struct bdr_platform *p2 = platform(row->endpoint_later);
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_platform_host *h;
    struct bdr_platform_snapshot *s1, *s2;

    (void)state;
    none(bdr_arena_new(&arena));
    h = good_host(p1, arena);
    s1 = snapshot(p1, h);
    s2 = snapshot(p2, h);
    for (size_t i = 0; i < h->n_disks; i++) {
        BDR_AUTO(source) struct bdr_source *a = NULL, *b = NULL;
        BDR_AUTO(mem) char *token = NULL;
        struct bdr_source_info ia, ib;
        struct cover c = {0};
        uint64_t n, m;
        uint8_t *before, *after;

        none(bdr_platform_source(s1, i, &a));
        none(bdr_platform_source(s2, i, &b));
        none(bdr_source_info(a, &ia));
        none(bdr_source_info(b, &ib));
        assert_string_equal(ia.identity, ib.identity);
        none(bdr_source_token(a, &token));
        assert_non_null(token);
        before = content(a, &n);
        after = content(b, &m);
        refused(bdr_source_extents(b, BDR_EXTENTS_CHANGED, 0, m, cover_extent, &c),
                BDR_STALE); /* no base is known yet */
        none(bdr_source_since(b, token));
        c = (struct cover){.before = before, .after = after};
        none(bdr_source_extents(b, BDR_EXTENTS_CHANGED, 0, m, cover_extent, &c));
        cover_gap(&c, m);
        assert_int_equal(c.missed, 0);
        assert_true(c.changed < m); /* all of it would be true, too, but no help */
        free(before);
        free(after);
    }
    bdr_platform_snapshot_end(s1);
    bdr_platform_snapshot_end(s2);
}

static void test_changes__forgotten_or_nonsense_token__stale(void **state)
{
    BDR_AUTO(platform) struct bdr_platform *p = platform(row->endpoint_forgot);
    BDR_AUTO(platform) struct bdr_platform *q = platform(row->endpoint);
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_source *src = NULL;
    struct bdr_platform_snapshot *s;
    char *token = NULL;
    struct cover c = {0};
    struct bdr_err *err;

    (void)state;
    none(bdr_arena_new(&arena));
    s = snapshot(q, good_host(q, arena));
    none(bdr_platform_source(s, 0, &src));
    none(bdr_source_token(src, &token));
    err = bdr_source_since(src, "token of somebody else");
    if (!err) /* a driver may find out only when it is asked for changes */
        err = bdr_source_extents(src, BDR_EXTENTS_CHANGED, 0, 1 << 20, cover_extent, &c);
    refused(err, BDR_STALE);
    refused(bdr_source_since(src, ""), BDR_STALE);
    bdr_source_close(src);
    bdr_platform_snapshot_end(s);
    s = snapshot(p, good_host(p, arena));
    none(bdr_platform_source(s, 0, &src));
    refused(bdr_source_since(src, token), BDR_STALE);
    bdr_source_close(src);
    bdr_platform_snapshot_end(s);
    free(token);
}

static void test_snapshot__gone_or_unprotectable__says_why(void **state)
{
    BDR_AUTO(platform) struct bdr_platform *p = platform(row->endpoint);
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_platform_snapshot *s = NULL;
    struct bdr_platform_host *hosts, *h;
    const char *none_such = "no-such-disk", *cursor = NULL;
    bool tried = false;
    size_t n;

    (void)state;
    none(bdr_arena_new(&arena));
    h = good_host(p, arena);
    refused(bdr_platform_snapshot_begin(p, "no-such-host", &h->disks[0].ref, 1, &s), BDR_NOTFOUND);
    refused(bdr_platform_snapshot_begin(p, h->ref, &none_such, 1, &s), BDR_NOTFOUND);
    refused(bdr_platform_snapshot_begin(p, h->ref, &h->disks[0].ref, 0, &s), BDR_INVAL);
    do {
        none(bdr_platform_list(p, cursor, arena, &hosts, &n, &cursor));
        for (size_t i = 0; i < n && !tried; i++)
            if (hosts[i].reason && hosts[i].n_disks) {
                refused(bdr_platform_snapshot_begin(p, hosts[i].ref, &hosts[i].disks[0].ref, 1, &s), BDR_UNSUPPORTED);
                tried = true;
            }
    } while (cursor && !tried);
    assert_true(tried);
}

static void test_read__platform_breaks_off__retry_gets_it(void **state)
{
    static const struct bdr_retry_policy policy = {.attempts = 4, .first_delay_ms = 1, .max_delay_ms = 2};
    BDR_AUTO(platform) struct bdr_platform *p = platform(row->endpoint_flaky);
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_platform_snapshot *s;
    struct bdr_source *src = NULL;
    uint64_t n;

    (void)state;
    none(bdr_arena_new(&arena));
    s = snapshot(p, good_host(p, arena));
    none(bdr_platform_source(s, 0, &src));
    none(bdr_source_wrap_retry(&src, &policy, NULL));
    free(content(src, &n));
    bdr_source_close(src);
    bdr_platform_snapshot_end(s);
}

static void test_cancel__ends_at_once(void **state)
{
    struct bdr_cancel cancel = {.set = 1};
    struct bdr_platform *p = NULL;

    (void)state;
    refused(bdr_platform_open(
                &(struct bdr_platform_spec){
                    .kind = row->kind, .endpoint = row->endpoint, .password = row->password, .cancel = &cancel},
                &p),
            BDR_CANCELLED);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list__all_hosts_once__with_reasons),
        cmocka_unit_test(test_open__wrong_password_or_right_or_kind__says_which),
        cmocka_unit_test(test_snapshot__read_twice__the_same),
        cmocka_unit_test(test_changes__since_a_token__nothing_is_missed),
        cmocka_unit_test(test_changes__forgotten_or_nonsense_token__stale),
        cmocka_unit_test(test_snapshot__gone_or_unprotectable__says_why),
        cmocka_unit_test(test_read__platform_breaks_off__retry_gets_it),
        cmocka_unit_test(test_cancel__ends_at_once),
    };

    for (size_t i = 0; argc > 1 && i < BDR_COUNT(rows); i++)
        if (!strcmp(rows[i].name, argv[1]))
            row = &rows[i];
    if (!row)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
