/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's shapes, handlers and rows. */
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include "demo.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* ---- shapes ---- */

static const struct bdr_choice kinds[] = {
    {"full", DEMO_FULL, "Everything.", "全量"},
    {"incremental", DEMO_INCREMENTAL, "What changed.", "增量"},
    {.name = NULL},
};
static const struct bdr_shape_field disk_fields[] = {
    {BDR_FIELD(struct demo_disk, name), .type = BDR_T_ID, .flags = BDR_F_REQUIRED, .help = "Its name.",
     .help_zh = "名称"},
    {BDR_FIELD(struct demo_disk, size), .type = BDR_T_SIZE, .flags = BDR_F_REQUIRED, .min = 512,
     .max = (int64_t)1 << 50, .help = "Its size.", .help_zh = "大小"},
    {.name = NULL},
};
const struct bdr_shape demo_disk_shape = {.name = "Disk", .size = sizeof(struct demo_disk), .fields = disk_fields};

static const struct bdr_shape_field host_fields[] = {
    {BDR_FIELD(struct demo_host, id), .type = BDR_T_ID, .flags = BDR_F_REQUIRED | BDR_F_READONLY, .help = "Its id.",
     .help_zh = "编号"},
    {BDR_FIELD(struct demo_host, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 1, .len_max = 64,
     .pattern = "^[a-z][a-z0-9-]{0,63}$", .help = "Its name.", .help_zh = "名称"},
    {BDR_FIELD(struct demo_host, address), .type = BDR_T_HOST, .flags = BDR_F_REQUIRED, .help = "Where it is.",
     .help_zh = "地址"},
    {BDR_FIELD_HAS(struct demo_host, note), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = 200, .help = "A note.",
     .help_zh = "备注"},
    {BDR_FIELD(struct demo_host, secret), .type = BDR_T_SECRET, .len_max = 64, .help = "Its password.",
     .help_zh = "密码"},
    {BDR_FIELD(struct demo_host, callback), .type = BDR_T_URL, .help = "Who is told.", .help_zh = "回调地址"},
    {BDR_FIELD_HAS(struct demo_host, kind), .type = BDR_T_ENUM, .choices = kinds, .def = "incremental",
     .help = "Kind of backup.", .help_zh = "备份方式"},
    {BDR_FIELD_HAS(struct demo_host, enabled), .type = BDR_T_BOOL, .def = "true", .help = "Is it protected?",
     .help_zh = "是否启用"},
    {BDR_FIELD_HAS(struct demo_host, weight), .type = BDR_T_U32, .def = "5", .min = 1, .max = 10, .help = "Its weight.",
     .help_zh = "权重"},
    {BDR_FIELD(struct demo_host, limit_bytes), .type = BDR_T_SIZE, .help = "Bytes a second.", .help_zh = "限速"},
    {BDR_FIELD(struct demo_host, every_ms), .type = BDR_T_DURATION, .def = "3600000", .min = 1000, .help = "How often.",
     .help_zh = "周期"},
    {BDR_FIELD(struct demo_host, created), .type = BDR_T_TIME, .flags = BDR_F_READONLY, .help = "Since when.",
     .help_zh = "创建时间"},
    {BDR_FIELD(struct demo_host, disks), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &demo_disk_shape,
     .n_max = 32, .help = "Its disks.", .help_zh = "磁盘"},
    {BDR_FIELD(struct demo_host, tags), .type = BDR_T_ARRAY, .of = BDR_T_ID, .n_max = 16, .help = "Its tags.",
     .help_zh = "标签"},
    {.name = NULL},
};
const struct bdr_shape demo_host_shape = {.name = "Host",
                                          .size = sizeof(struct demo_host),
                                          .fields = host_fields,
                                          .help = "A machine to protect.",
                                          .help_zh = "受保护的主机"};

struct host_filter {
    const char *name;
    int kind;
    bool has_kind;
    BDR_ARRAY(const char *) tag;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct host_filter, name), .type = BDR_T_TEXT, .len_max = 64, .help = "Only this name.",
     .help_zh = "名称"},
    {BDR_FIELD_HAS(struct host_filter, kind), .type = BDR_T_ENUM, .choices = kinds, .help = "Only this kind.",
     .help_zh = "备份方式"},
    {BDR_FIELD(struct host_filter, tag), .type = BDR_T_ARRAY, .of = BDR_T_ID, .n_max = 4, .help = "With one of these.",
     .help_zh = "标签"},
    {.name = NULL},
};
static const struct bdr_shape filter_shape = {
    .name = "HostFilter", .size = sizeof(struct host_filter), .fields = filter_fields};

struct count {
    uint64_t bytes;
};
static const struct bdr_shape_field count_fields[] = {
    {BDR_FIELD(struct count, bytes), .type = BDR_T_SIZE, .flags = BDR_F_REQUIRED, .help = "How many.",
     .help_zh = "字节数"},
    {.name = NULL},
};
static const struct bdr_shape count_shape = {.name = "Count", .size = sizeof(struct count), .fields = count_fields};

struct me {
    const char *machine, *role, *who;
};
static const struct bdr_shape_field me_fields[] = {
    {BDR_FIELD(struct me, machine), .type = BDR_T_TEXT, .help = "Machine.", .help_zh = "机器"},
    {BDR_FIELD(struct me, role), .type = BDR_T_TEXT, .help = "Role.", .help_zh = "角色"},
    {BDR_FIELD(struct me, who), .type = BDR_T_TEXT, .help = "Person.", .help_zh = "用户"},
    {.name = NULL},
};
static const struct bdr_shape me_shape = {.name = "Me", .size = sizeof(struct me), .fields = me_fields};

struct bytes_query {
    uint64_t bytes;
};
static const struct bdr_shape_field bytes_fields[] = {
    {BDR_FIELD(struct bytes_query, bytes), .type = BDR_T_SIZE, .def = "1000", .max = (int64_t)1 << 34,
     .help = "How many.", .help_zh = "字节数"},
    {.name = NULL},
};
static const struct bdr_shape bytes_shape = {
    .name = "BytesQuery", .size = sizeof(struct bytes_query), .fields = bytes_fields};

/* ---- handlers; the demo is what authorise left as `who` ---- */

struct demo *demo_of_app; /* anonymous routes have nobody to carry it; one demo at a time */

static struct demo_host *host_find(struct demo *d, const char *id)
{
    for (size_t i = 0; i < d->n_hosts; i++)
        if (!strcmp(d->hosts[i].id, id))
            return &d->hosts[i];
    return NULL;
}

/* Copies through JSON: simple, and the copy lives in `arena`. */
static struct bdr_err *host_copy(const struct demo_host *from, struct bdr_arena *arena, struct demo_host *out)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    BDR_TRY(bdr_shape_write(&demo_host_shape, BDR_SHAPE_RESPONSE, from, &b));
    BDR_TRY(bdr_shape_read(&demo_host_shape, BDR_SHAPE_RESPONSE, (char *)b.data, b.len, arena, out, NULL));
    out->has_note = out->note != NULL;
    out->has_enabled = out->has_weight = out->has_kind = true;
    return NULL;
}

static struct bdr_err *host_add(struct bdr_req *req, const void *in, void *out)
{
    struct demo *d = demo_of_app;
    struct demo_host *h = out, *kept;
    struct bdr_err *err = NULL;

    *h = *(const struct demo_host *)in;
    if (!strcmp(h->name, "taken")) {
        bdr_req_fault(req, "/name", BDR_EXISTS, "is the name of another host");
        BDR_REFUSE(req, BDR_EXISTS, "There is a host of the name '%s'; choose another.", h->name);
    }
    h->created = bdr_clock_wall_ms();
    h->has_note = h->note != NULL;
    h->has_enabled = h->has_weight = h->has_kind = true;
    atomic_fetch_add(&d->runs, 1);
    pthread_mutex_lock(&d->lock);
    h->id = bdr_arena_printf(bdr_req_arena(req), "h%llu", (unsigned long long)++d->next_id);
    if (d->n_hosts < DEMO_HOSTS_MAX) {
        kept = &d->hosts[d->n_hosts];
        err = host_copy(h, d->arena, kept);
        d->n_hosts += !err;
    } else {
        err = bdr_err_new(BDR_NOSPACE, 0, BDR_AT, "too many hosts");
    }
    pthread_mutex_unlock(&d->lock);
    return err;
}

static struct bdr_err *host_get(struct bdr_req *req, const void *in, void *out)
{
    struct demo *d = demo_of_app;
    struct demo_host *h;
    struct bdr_err *err = NULL;

    (void)in;
    pthread_mutex_lock(&d->lock);
    h = host_find(d, bdr_req_param(req, "id"));
    err = h ? host_copy(h, bdr_req_arena(req), out)
            : bdr_req_refuse(req, BDR_NOTFOUND, BDR_AT, "There is no host '%s'.", bdr_req_param(req, "id"));
    pthread_mutex_unlock(&d->lock);
    return err;
}

static struct bdr_err *host_set(struct bdr_req *req, const void *in, void *out)
{
    const struct demo_host *change = in;
    struct demo *d = demo_of_app;
    struct demo_host *h, merged;
    struct bdr_err *err = NULL;

    pthread_mutex_lock(&d->lock);
    h = host_find(d, bdr_req_param(req, "id"));
    if (h) {
        merged = *h;
        merged.name = change->name ? change->name : h->name;
        merged.enabled = change->has_enabled ? change->enabled : h->enabled;
        merged.weight = change->has_weight ? change->weight : h->weight;
        err = host_copy(&merged, d->arena, h);
        if (!err)
            err = host_copy(h, bdr_req_arena(req), out);
    } else {
        err = bdr_req_refuse(req, BDR_NOTFOUND, BDR_AT, "There is no host '%s'.", bdr_req_param(req, "id"));
    }
    pthread_mutex_unlock(&d->lock);
    return err;
}

static struct bdr_err *host_remove(struct bdr_req *req, const void *in, void *out)
{
    struct demo *d = demo_of_app;
    struct demo_host *h;

    (void)in;
    (void)out;
    pthread_mutex_lock(&d->lock);
    h = host_find(d, bdr_req_param(req, "id"));
    if (h)
        *h = d->hosts[--d->n_hosts];
    pthread_mutex_unlock(&d->lock);
    if (!h)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no host '%s'.", bdr_req_param(req, "id"));
    return NULL;
}

static struct bdr_err *host_list(struct bdr_req *req, const void *in, void *out)
{
    const struct host_filter *filter = bdr_req_filter(req);
    const struct bdr_page_query *page = bdr_req_page(req);
    struct demo *d = demo_of_app;
    struct bdr_page *p = out;
    struct demo_host *items = bdr_arena_alloc(bdr_req_arena(req), page->limit * sizeof(*items));
    uint64_t from = 0;
    struct bdr_err *err = page->cursor ? bdr_u64_parse(page->cursor, DEMO_HOSTS_MAX, &from) : NULL;

    (void)in;
    BDR_NOMEM_IF_NULL(items);
    if (err) {
        bdr_err_drop(err, "said in better words");
        bdr_req_fault(req, "?cursor", BDR_INVAL, "is none of ours; use `next` of the page before");
        BDR_FAIL(BDR_INVAL, 0, "cursor");
    }
    p->items = items;
    pthread_mutex_lock(&d->lock);
    for (size_t i = from; i < d->n_hosts && !err; i++) {
        if (p->n == page->limit) {
            p->next = bdr_arena_printf(bdr_req_arena(req), "%zu", i);
            break;
        }
        if ((!filter->name || !strcmp(filter->name, d->hosts[i].name)) &&
            (!filter->has_kind || filter->kind == d->hosts[i].kind))
            err = host_copy(&d->hosts[i], bdr_req_arena(req), &items[p->n++]);
    }
    pthread_mutex_unlock(&d->lock);
    return err;
}

static struct bdr_err *take(struct bdr_req *req, const void *in, void *out)
{
    struct demo *d = demo_of_app;
    struct count *c = out;
    char buf[65536];
    size_t n = 1;

    (void)in;
    while (n) {
        uint64_t rate = atomic_load(&d->read_bytes_per_s);

        BDR_TRY(bdr_req_read(req, buf, sizeof(buf), &n));
        c->bytes += n;
        atomic_fetch_add(&d->taken_bytes, n);
        if (rate)
            BDR_TRY(bdr_cancel_sleep(bdr_req_cancel(req), n * 1000 / rate));
    }
    return NULL;
}

static struct bdr_err *refuse_late(struct bdr_req *req, const void *in, void *out)
{
    char buf[1000];
    size_t n;

    (void)in;
    (void)out;
    BDR_TRY(bdr_req_read(req, buf, sizeof(buf), &n));
    BDR_REFUSE(req, BDR_NOSPACE, "There is no space left for this pack; free some on the gateway.");
}

static struct bdr_err *give(struct bdr_req *req, const void *in, void *out)
{
    const struct bytes_query *q = bdr_req_filter(req);
    char buf[65536];

    (void)in;
    (void)out;
    BDR_TRY(bdr_req_begin(req, 200, "application/octet-stream", q->bytes % 2 ? UINT64_MAX : q->bytes));
    for (uint64_t at = 0; at < q->bytes;) {
        size_t n = (size_t)BDR_MIN((uint64_t)sizeof(buf), q->bytes - at);

        for (size_t i = 0; i < n; i++)
            buf[i] = (char)((at + i) % 251);
        BDR_TRY(bdr_req_write(req, buf, n));
        at += n;
    }
    return NULL;
}

static struct bdr_err *give_broken(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    (void)out;
    BDR_TRY(bdr_req_begin(req, 200, "application/octet-stream", UINT64_MAX));
    BDR_TRY(bdr_req_write(req, "half", 4));
    BDR_FAIL(BDR_IO, 0, "the disk below broke");
}

static struct bdr_err *file_get(struct bdr_req *req, const void *in, void *out)
{
    char path[160];
    int fd;

    (void)in;
    (void)out;
    demo_path(demo_of_app, bdr_req_param(req, "name"), path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no file '%s'.", bdr_req_param(req, "name"));
    return bdr_req_send_file(req, fd, "application/octet-stream", bdr_req_param(req, "name"));
}

static struct bdr_err *listen_events(struct bdr_req *req, const void *in, void *out)
{
    struct demo *d = demo_of_app;
    struct bdr_events *ev = NULL;

    (void)in;
    (void)out;
    BDR_TRY(bdr_req_events(req, &ev));
    pthread_mutex_lock(&d->lock);
    if (d->n_streams == d->cap_streams) {
        d->cap_streams = d->cap_streams ? d->cap_streams * 2 : 64;
        d->streams = realloc(d->streams, d->cap_streams * sizeof(d->streams[0]));
        BDR_ASSERT(d->streams);
    }
    d->streams[d->n_streams++] = ev;
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

size_t demo_broadcast(struct demo *d, const char *event, const char *id, const char *data)
{
    size_t sent = 0;

    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->n_streams;) {
        if (bdr_events_send(d->streams[i], event, id, data)) {
            sent++;
            i++;
        } else {
            bdr_events_close(d->streams[i]);
            d->streams[i] = d->streams[--d->n_streams];
        }
    }
    pthread_mutex_unlock(&d->lock);
    return sent;
}

static struct bdr_err *event_send(struct bdr_req *req, const void *in, void *out)
{
    struct count *c = out;

    (void)req;
    (void)in;
    c->bytes = demo_broadcast(demo_of_app, "tick", "1", "all of you");
    return NULL;
}

static struct bdr_err *me(struct bdr_req *req, const void *in, void *out)
{
    struct me *m = out;
    const struct bdr_cert_info *peer = bdr_req_peer(req);

    (void)in;
    m->machine = peer ? peer->machine : NULL;
    m->role = peer ? peer->role : NULL;
    m->who = bdr_req_who_name(req);
    return NULL;
}

static struct bdr_err *slow(struct bdr_req *req, const void *in, void *out)
{
    struct count *c = out;
    struct bdr_err *err;

    (void)in;
    atomic_fetch_add(&demo_of_app->slow_running, 1);
    err = bdr_cancel_sleep(bdr_req_cancel(req), bdr_req_param_u64(req, "ms"));
    atomic_fetch_sub(&demo_of_app->slow_running, 1);
    c->bytes = 1;
    return err;
}

static struct bdr_err *ping(struct bdr_req *req, const void *in, void *out)
{
    (void)req;
    (void)in;
    ((struct count *)out)->bytes = 1;
    return NULL;
}

static struct bdr_err *crash(struct bdr_req *req, const void *in, void *out)
{
    (void)req;
    (void)in;
    (void)out;
    BDR_FAIL(BDR_IO, 5, "reading /var/lib/secret/path of table users");
}

static struct bdr_err *token(struct bdr_req *req, const void *in, void *out)
{
    (void)in;
    ((struct count *)out)->bytes = strlen(bdr_req_param(req, "token"));
    return NULL;
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/hosts", "view", BDR_R_LIST, .out = &demo_host_shape, .query = &filter_shape, .run = host_list,
     .cli = "host list", .help = "All hosts.", .help_zh = "主机列表"},
    {BDR_POST, "/v1/hosts", "operate", BDR_R_IDEMPOTENT, .in = &demo_host_shape, .out = &demo_host_shape,
     .run = host_add, .status = 201, .cli = "host add", .help = "Protect one more host.", .help_zh = "添加主机"},
    {BDR_GET, "/v1/hosts/{id}", "view", 0, .out = &demo_host_shape, .run = host_get, .help = "One host.",
     .help_zh = "主机"},
    {BDR_PATCH, "/v1/hosts/{id}", "operate", 0, .in = &demo_host_shape, .out = &demo_host_shape, .run = host_set,
     .help = "Change a host.", .help_zh = "修改主机"},
    {BDR_DELETE, "/v1/hosts/{id}", "operate", 0, .run = host_remove, .help = "Forget a host.", .help_zh = "删除主机"},
    {BDR_PUT, "/v1/blocks/{id}", "operate", BDR_R_STREAM_IN, .in_type = "application/octet-stream", .out = &count_shape,
     .run = take, .help = "Take bytes.", .help_zh = "接收数据"},
    {BDR_PUT, "/v1/small/{id}", "operate", BDR_R_STREAM_IN, .in_type = "application/octet-stream", .out = &count_shape,
     .run = take, .body_max_bytes = 100000, .help = "Take few bytes.", .help_zh = "接收少量数据"},
    {BDR_PUT, "/v1/full/{id}", "operate", BDR_R_STREAM_IN, .in_type = "application/octet-stream", .run = refuse_late,
     .help = "Take none.", .help_zh = "空间已满"},
    {BDR_GET, "/v1/bytes", "view", BDR_R_STREAM_OUT, .out_type = "application/octet-stream", .query = &bytes_shape,
     .run = give, .help = "Give bytes.", .help_zh = "发送数据"},
    {BDR_GET, "/v1/broken", "view", BDR_R_STREAM_OUT | BDR_R_HIDDEN, .out_type = "application/octet-stream",
     .run = give_broken, .help = "Half an answer.", .help_zh = "不完整的数据"},
    {BDR_GET, "/v1/files/{name}", "view", BDR_R_STREAM_OUT, .out_type = "application/octet-stream", .run = file_get,
     .help = "A file.", .help_zh = "文件"},
    {BDR_GET, "/v1/events", "view", BDR_R_STREAM_OUT | BDR_R_HIDDEN, .out_type = "text/event-stream",
     .run = listen_events, .help = "What happens.", .help_zh = "事件"},
    {BDR_POST, "/v1/events", "operate", BDR_R_HIDDEN, .out = &count_shape, .run = event_send, .help = "Tell all.",
     .help_zh = "广播"},
    {BDR_GET, "/v1/me", "view", 0, .out = &me_shape, .run = me, .help = "Who am I?", .help_zh = "当前身份"},
    {BDR_GET, "/v1/machine/me", "view", BDR_R_MACHINE, .roles = "agent|proxy", .out = &me_shape, .run = me,
     .help = "Which machine am I?", .help_zh = "当前机器"},
    {BDR_GET, "/v1/slow/{ms:u64}", "view", BDR_R_HIDDEN, .out = &count_shape, .run = slow, .help = "Slow.",
     .help_zh = "慢"},
    {BDR_GET, "/v1/crash", "view", BDR_R_HIDDEN, .out = &count_shape, .run = crash, .help = "Fails.",
     .help_zh = "失败"},
    {BDR_GET, "/v1/ping", NULL, BDR_R_ANONYMOUS | BDR_R_AT_ONCE, .out = &count_shape, .run = ping, .help = "Alive?",
     .help_zh = "存活检查"},
    {BDR_POST, "/v1/greet", NULL, BDR_R_ANONYMOUS, .in = &demo_disk_shape, .out = &count_shape, .run = ping,
     .help = "Anybody's body.", .help_zh = "任意请求"},
    {BDR_GET, "/v1/pong", NULL, BDR_R_ANONYMOUS, .out = &count_shape, .run = ping, .help = "Alive, on a worker?",
     .help_zh = "存活检查"},
    {BDR_GET, "/v1/install/{token:secret}", NULL, BDR_R_ANONYMOUS, .out = &count_shape, .run = token,
     .help = "By token.", .help_zh = "令牌"},
    {BDR_GET, "/v1/openapi.json", NULL, BDR_R_ANONYMOUS | BDR_R_STREAM_OUT, .out_type = "application/json",
     .query = &bdr_openapi_query, .run = bdr_openapi_run, .help = "This description.", .help_zh = "接口说明"},
};

static struct bdr_err *authorise(void *ctx, struct bdr_req *req, const struct bdr_route *route, const char *perm)
{
    const char *token_given = bdr_req_header(req, "Authorization");

    (void)ctx;
    (void)route;
    if (bdr_req_peer(req)) {
        bdr_req_set_who(req, bdr_req_peer(req)->machine, demo_of_app);
        return NULL;
    }
    if (!token_given)
        BDR_REFUSE(req, BDR_AUTH, "Sign in first: send a token in the Authorization header.");
    if (!strcmp(token_given, "Bearer admin") || (!strcmp(token_given, "Bearer viewer") && !strcmp(perm, "view"))) {
        bdr_req_set_who(req, token_given + 7, demo_of_app);
        return NULL;
    }
    if (!strcmp(token_given, "Bearer viewer"))
        BDR_REFUSE(req, BDR_DENIED, "You may not %s here; ask an administrator.", perm);
    BDR_REFUSE(req, BDR_AUTH, "This token is not known; sign in again.");
}

static void on_audit(void *ctx, struct bdr_req *req, const struct bdr_route *route, unsigned status)
{
    (void)ctx;
    (void)req;
    (void)route;
    (void)status;
    atomic_fetch_add(&demo_of_app->audits, 1);
}

static struct bdr_err *key_begin(void *ctx, struct bdr_req *req, const char *key, const uint8_t digest[32],
                                 bool *out_kept, struct bdr_kept_answer *out)
{
    struct demo *d = demo_of_app;
    bool mine, same;

    (void)ctx;
    pthread_mutex_lock(&d->lock);
    mine = !strcmp(d->kept_key, key);
    same = !memcmp(d->kept_digest, digest, 32);
    if (mine && same) {
        *out = (struct bdr_kept_answer){d->kept_status, bdr_arena_text(bdr_req_arena(req), d->kept_body, d->kept_len),
                                        d->kept_len};
        *out_kept = true;
    } else if (!mine) {
        memcpy(d->kept_digest, digest, 32);
    }
    pthread_mutex_unlock(&d->lock);
    if (mine && !same)
        BDR_REFUSE(req, BDR_EXISTS, "This Idempotency-Key belongs to another request; make a new one.");
    return NULL;
}

static void key_end(void *ctx, struct bdr_req *req, const char *key, const struct bdr_kept_answer *answer)
{
    struct demo *d = demo_of_app;

    (void)ctx;
    (void)req;
    pthread_mutex_lock(&d->lock);
    d->kept_key[0] = 0;
    if (answer && answer->len <= sizeof(d->kept_body)) {
        snprintf(d->kept_key, sizeof(d->kept_key), "%s", key);
        memcpy(d->kept_body, answer->body, answer->len);
        d->kept_len = answer->len;
        d->kept_status = answer->status;
    }
    pthread_mutex_unlock(&d->lock);
}

bool demo_is_revoked(void *ctx, const struct bdr_cert_info *peer)
{
    struct demo *d = ctx;
    bool yes;

    pthread_mutex_lock(&d->lock);
    yes = !strcmp(d->revoked, peer->serial);
    pthread_mutex_unlock(&d->lock);
    return yes;
}

struct bdr_err *demo_router(struct bdr_router **out)
{
    static const struct bdr_idempotency keep = {.begin = key_begin, .end = key_end};
    static const struct bdr_route_table tables[] = {BDR_ROUTES("demo", rows)};
    const struct bdr_router_config config = {
        .title = "Demo",
        .version = "1",
        .tables = tables,
        .n_tables = 1,
        .authorise = authorise,
        .audit = on_audit,
        .idempotency = &keep,
    };

    return bdr_router_new(&config, out);
}
