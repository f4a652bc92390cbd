/* SPDX-License-Identifier: Apache-2.0 */
/* alarms.c - alarms: listed, acknowledged; the feed of events; the stream of what changes. */
#include "api/api.h"
#include "api/words.h"
#include "bdr/bytes.h"
#include "watch/alarm.h"
#include <stdio.h>
#include <string.h>

/* ---- alarms ---- */

struct alarm_out {
    uint64_t id;
    const char *kind, *severity, *object, *title, *text, *todo, *acked_by;
    uint64_t object_id, times;
    int64_t raised, last, acked, cleared;
    bool has_acked, has_cleared, standing;
    json_t *values;
};
static const struct bdr_shape_field alarm_fields[] = {
    {BDR_FIELD(struct alarm_out, id), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "Number.", .help_zh = "编号"},
    {BDR_FIELD(struct alarm_out, kind), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED,
     .help = "What kind: rpo.missed, job.failed, ...", .help_zh = "类型"},
    {BDR_FIELD(struct alarm_out, severity), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED,
     .help = "info, warning or critical.", .help_zh = "级别"},
    {BDR_FIELD(struct alarm_out, object), .type = BDR_T_TEXT, .help = "About what: host, machine, repository, ...",
     .help_zh = "对象类型"},
    {BDR_FIELD(struct alarm_out, object_id), .type = BDR_T_U64, .help = "Its number.", .help_zh = "对象编号"},
    {BDR_FIELD(struct alarm_out, title), .type = BDR_T_TEXT, .help = "What it is called.", .help_zh = "标题"},
    {BDR_FIELD(struct alarm_out, text), .type = BDR_T_TEXT, .help = "What is so.", .help_zh = "内容"},
    {BDR_FIELD(struct alarm_out, todo), .type = BDR_T_TEXT, .help = "What to do.", .help_zh = "处理建议"},
    {BDR_FIELD(struct alarm_out, values), .type = BDR_T_JSON, .help = "The values in the text, by name.",
     .help_zh = "参数"},
    {BDR_FIELD(struct alarm_out, times), .type = BDR_T_U64, .help = "How often it was found anew.", .help_zh = "次数"},
    {BDR_FIELD(struct alarm_out, standing), .type = BDR_T_BOOL, .help = "It is still so.", .help_zh = "未恢复"},
    {BDR_FIELD(struct alarm_out, raised), .type = BDR_T_TIME, .help = "Since when.", .help_zh = "产生时间"},
    {BDR_FIELD(struct alarm_out, last), .type = BDR_T_TIME, .help = "Found last.", .help_zh = "最近一次"},
    {BDR_FIELD_HAS(struct alarm_out, acked), .type = BDR_T_TIME, .help = "When a person took note.",
     .help_zh = "确认时间"},
    {BDR_FIELD(struct alarm_out, acked_by), .type = BDR_T_TEXT, .help = "Who.", .help_zh = "确认人"},
    {BDR_FIELD_HAS(struct alarm_out, cleared), .type = BDR_T_TIME, .help = "When it was over.", .help_zh = "恢复时间"},
    {.name = NULL},
};
static const struct bdr_shape alarm_shape = {.name = "Alarm", .size = sizeof(struct alarm_out), .fields = alarm_fields};

enum alarm_state { ALARM_STANDING, ALARM_CLEARED, ALARM_ALL };
static const struct bdr_choice alarm_states[] = {{"standing", ALARM_STANDING, "What is so now.", "未恢复"},
                                                 {"cleared", ALARM_CLEARED, "What is over.", "已恢复"},
                                                 {"all", ALARM_ALL, "Both.", "全部"},
                                                 {.name = NULL}};
struct alarm_filter {
    int state;
    const char *severity, *kind, *object, *lang;
    uint64_t object_id;
    bool acked, has_acked;
};
static const struct bdr_shape_field alarm_filter_fields[] = {
    {BDR_FIELD(struct alarm_filter, state), .type = BDR_T_ENUM, .choices = alarm_states, .def = "standing",
     .help = "Which.", .help_zh = "状态"},
    {BDR_FIELD(struct alarm_filter, severity), .type = BDR_T_TEXT, .pattern = "^(info|warning|critical)$",
     .len_max = 16, .help = "Only this severity.", .help_zh = "级别"},
    {BDR_FIELD(struct alarm_filter, kind), .type = BDR_T_ID, .help = "Only this kind.", .help_zh = "类型"},
    {BDR_FIELD(struct alarm_filter, object), .type = BDR_T_ID, .help = "Only about this kind of object.",
     .help_zh = "对象类型"},
    {BDR_FIELD(struct alarm_filter, object_id), .type = BDR_T_U64, .help = "Only about this one.",
     .help_zh = "对象编号"},
    {BDR_FIELD_HAS(struct alarm_filter, acked), .type = BDR_T_BOOL, .help = "Only (not) acknowledged ones.",
     .help_zh = "已确认"},
    {BDR_FIELD(struct alarm_filter, lang), .type = BDR_T_TEXT, .pattern = "^(en|zh)$", .len_max = 2,
     .help = "en or zh; else as the browser asks.", .help_zh = "语言"},
    {.name = NULL},
};
static const struct bdr_shape alarm_filter_shape = {
    .name = "AlarmFilter", .size = sizeof(struct alarm_filter), .fields = alarm_filter_fields};

enum bdr_lang api_lang(struct bdr_req *req, const char *asked)
{
    const char *header = bdr_req_header(req, "Accept-Language");

    return bdr_lang_of(asked ? asked : header);
}

const char *api_words(struct bdr_req *req, const char *pattern, const char *values, enum bdr_lang lang)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};

    bdr_alarm_words(&b, pattern, values, lang);
    return b.failed ? NULL : bdr_arena_text(bdr_req_arena(req), (const char *)b.data, b.len);
}

static void values_free(void *p)
{
    json_decref(p);
}

struct bdr_err *api_values(struct bdr_req *req, const char *text, json_t **out)
{
    json_t *root = json_loads(text, 0, NULL), *v = json_incref(json_object_get(root, "v"));

    json_decref(root);
    *out = v;
    return v ? bdr_arena_defer(bdr_req_arena(req), values_free, v) : NULL;
}

static struct bdr_err *alarm_fill(struct bdr_req *req, const struct bdr_row_alarm *a, enum bdr_lang lang,
                                  struct alarm_out *out)
{
    const struct bdr_alarm_kind *k = bdr_alarm_kind(a->kind);

    *out = (struct alarm_out){.id = (uint64_t)a->id,
                              .kind = api_text(req, a->kind),
                              .severity = api_text(req, a->severity),
                              .object = api_text(req, a->object),
                              .object_id = (uint64_t)a->object_id,
                              .title = k ? k->title[lang] : NULL,
                              .text = k ? api_words(req, k->text[lang], a->text, lang) : NULL,
                              .todo = k ? k->todo[lang] : NULL,
                              .acked_by = api_text(req, a->acked_by),
                              .times = (uint64_t)a->times,
                              .raised = a->raised_ms,
                              .last = a->last_ms,
                              .acked = a->acked_ms,
                              .has_acked = a->acked_ms != 0,
                              .cleared = a->cleared_ms.v,
                              .has_cleared = a->cleared_ms.set,
                              .standing = !a->cleared_ms.set};
    return api_values(req, a->text, &out->values);
}

static struct bdr_err *alarm_list(struct bdr_req *req, const void *in, void *out)
{
    const struct alarm_filter *f = bdr_req_filter(req);
    BDR_AUTO(mem) struct bdr_row_alarm *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_page *page = out;
    struct alarm_out *items;
    size_t limit = bdr_req_page(req)->limit;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_alarm_page(tx,
                             &(struct bdr_in_alarm_page){.state = alarm_states[f->state].name,
                                                         .severity = f->severity ? f->severity : "",
                                                         .kind = f->kind ? f->kind : "",
                                                         .object = f->object ? f->object : "",
                                                         .object_id = (int64_t)f->object_id,
                                                         .acked = f->has_acked ? f->acked : -1,
                                                         .before = api_cursor(req, INT64_MAX),
                                                         .limit = (int64_t)limit + 1},
                             &row, &page->n));
    bdr_tx_abandon(BDR_STEAL(tx));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n && i < limit; i++)
        BDR_TRY(alarm_fill(req, &row[i], api_lang(req, f->lang), &items[i]));
    return api_page_end(req, page, page->n > limit ? row[limit - 1].id : 0);
}

static struct bdr_err *alarm_get(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(mem) struct bdr_row_alarm *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_alarm_one(tx, (int64_t)bdr_req_param_u64(req, "id"), &row));
    if (!row)
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no alarm %s.", bdr_req_param(req, "id"));
    return alarm_fill(req, row, api_lang(req, NULL), out);
}

/* ---- acknowledged ---- */

struct ack {
    struct bdr_req *req;
    int64_t id;
    struct bdr_row_alarm *row; /* owned */
    struct alarm_out *out;
};

static struct bdr_err *ack(struct bdr_tx *tx, void *ctx)
{
    struct ack *a = ctx;
    const char *who = bdr_req_who_name(a->req);
    struct alarm_out before;
    int64_t n = 0, now = api_now();
    const struct bdr_value v[] = {BDR_VN("alarm", a->id), BDR_VT("account", who)};

    free(BDR_STEAL(a->row));
    BDR_TRY(bdr_q_alarm_one(tx, a->id, &a->row));
    if (!a->row)
        BDR_FAIL(BDR_NOTFOUND, 0, "There is no alarm %lld", (long long)a->id);
    BDR_TRY(alarm_fill(a->req, a->row, BDR_LANG_EN, &before));
    BDR_TRY(bdr_q_alarm_ack(tx, a->id, who, now, &n));
    if (!n)
        BDR_FAIL(BDR_CONFLICT, 0, "%s has acknowledged this alarm already", a->row->acked_by);
    a->row->acked_by = who; /* borrowed: the row is one block */
    a->row->acked_ms = now;
    BDR_TRY(alarm_fill(a->req, a->row, api_lang(a->req, NULL), a->out));
    BDR_TRY(bdr_event_add(tx, "alarm.acknowledged", a->row->object, a->row->object_id, v, BDR_COUNT(v), now));
    return api_audit(tx, a->req, "alarm.ack", "alarm", a->id, &alarm_shape, &before, a->out);
}

static struct bdr_err *alarm_ack(struct bdr_req *req, const void *in, void *out)
{
    struct ack a = {.req = req, .id = (int64_t)bdr_req_param_u64(req, "id"), .out = out};
    struct bdr_err *err = api_run(req, BDR_TX_LOCK, ack, &a);

    (void)in;
    free(a.row);
    BDR_TRY(err);
    bdr_alarm_tell(api_console(req), &(struct bdr_told){.n = 1, .ids = {a.id}});
    return NULL;
}

/* ---- the feed ---- */

struct event_out {
    uint64_t id;
    const char *kind, *object;
    uint64_t object_id;
    int64_t at;
    json_t *values;
};
static const struct bdr_shape_field event_fields[] = {
    {BDR_FIELD(struct event_out, id), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "Number.", .help_zh = "编号"},
    {BDR_FIELD(struct event_out, at), .type = BDR_T_TIME, .help = "When.", .help_zh = "时间"},
    {BDR_FIELD(struct event_out, kind), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED,
     .help = "What: job.done, alarm.raised, ...", .help_zh = "类型"},
    {BDR_FIELD(struct event_out, object), .type = BDR_T_TEXT, .help = "To what.", .help_zh = "对象类型"},
    {BDR_FIELD(struct event_out, object_id), .type = BDR_T_U64, .help = "Its number.", .help_zh = "对象编号"},
    {BDR_FIELD(struct event_out, values), .type = BDR_T_JSON, .help = "More, by name.", .help_zh = "参数"},
    {.name = NULL},
};
static const struct bdr_shape event_shape = {.name = "Event", .size = sizeof(struct event_out), .fields = event_fields};

struct event_filter {
    const char *kind, *object;
    uint64_t object_id;
};
static const struct bdr_shape_field event_filter_fields[] = {
    {BDR_FIELD(struct event_filter, kind), .type = BDR_T_ID, .help = "Only this kind.", .help_zh = "类型"},
    {BDR_FIELD(struct event_filter, object), .type = BDR_T_ID, .help = "Only about this kind of object.",
     .help_zh = "对象类型"},
    {BDR_FIELD(struct event_filter, object_id), .type = BDR_T_U64, .help = "Only about this one.",
     .help_zh = "对象编号"},
    {.name = NULL},
};
static const struct bdr_shape event_filter_shape = {
    .name = "EventFilter", .size = sizeof(struct event_filter), .fields = event_filter_fields};

static struct bdr_err *event_list(struct bdr_req *req, const void *in, void *out)
{
    const struct event_filter *f = bdr_req_filter(req);
    BDR_AUTO(mem) struct bdr_row_event_page *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_page *page = out;
    struct event_out *items;
    size_t limit = bdr_req_page(req)->limit;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_event_page(tx,
                             &(struct bdr_in_event_page){f->kind ? f->kind : "", f->object ? f->object : "",
                                                         (int64_t)f->object_id, api_cursor(req, INT64_MAX),
                                                         (int64_t)limit + 1},
                             &row, &page->n));
    bdr_tx_abandon(BDR_STEAL(tx));
    page->items = items = bdr_arena_alloc(bdr_req_arena(req), (page->n + 1) * sizeof(*items));
    BDR_NOMEM_IF_NULL(items);
    for (size_t i = 0; i < page->n && i < limit; i++) {
        items[i] = (struct event_out){.id = (uint64_t)row[i].id,
                                      .kind = api_text(req, row[i].kind),
                                      .object = api_text(req, row[i].object),
                                      .object_id = (uint64_t)row[i].object_id,
                                      .at = row[i].at_ms};
        BDR_TRY(api_values(req, row[i].text, &items[i].values));
    }
    return api_page_end(req, page, page->n > limit ? row[limit - 1].id : 0);
}

/* ---- the stream ---- */

struct stream_query {
    const char *kinds;
};
static const struct bdr_shape_field stream_fields[] = {
    {BDR_FIELD(struct stream_query, kinds), .type = BDR_T_TEXT, .len_max = 127, .pattern = "^[a-z]+(,[a-z]+)*$",
     .help = "Only these, with commas between: job,host,alarm.", .help_zh = "只接收这些类型，逗号分隔"},
    {.name = NULL},
};
static const struct bdr_shape stream_shape = {
    .name = "StreamQuery", .size = sizeof(struct stream_query), .fields = stream_fields};

static struct bdr_err *stream(struct bdr_req *req, const void *in, void *out)
{
    const struct stream_query *q = bdr_req_filter(req);

    (void)in, (void)out;
    BDR_TRY(bdr_hub_join(api_console(req)->hub, req, 0, q->kinds, &api_who(req)->key));
    api_streams_review(req); /* the right may have ended since it was asked for */
    return NULL;
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/v1/alarms",
     .perm = "alarms:read",
     .flags = BDR_R_LIST,
     .query = &alarm_filter_shape,
     .out = &alarm_shape,
     .run = alarm_list,
     .cli = "alarm list",
     .help = "Alarms, newest first; those that stand, unless asked otherwise.",
     .help_zh = "告警列表"},
    {.method = BDR_GET,
     .path = "/v1/alarms/{id:u64}",
     .perm = "alarms:read",
     .out = &alarm_shape,
     .run = alarm_get,
     .cli = "alarm show",
     .help = "One alarm.",
     .help_zh = "查看告警"},
    {.method = BDR_POST,
     .path = "/v1/alarms/{id:u64}/ack",
     .perm = "alarms:operate",
     .out = &alarm_shape,
     .run = alarm_ack,
     .cli = "alarm ack",
     .help = "Take note of an alarm; it stands until what it tells of is over.",
     .help_zh = "确认告警"},
    {.method = BDR_GET,
     .path = "/v1/events",
     .perm = "events:read",
     .flags = BDR_R_LIST,
     .query = &event_filter_shape,
     .out = &event_shape,
     .run = event_list,
     .cli = "event list",
     .help = "What happened, newest first.",
     .help_zh = "事件列表"},
    {.method = BDR_GET,
     .path = "/v1/stream",
     .perm = "events:read",
     .flags = BDR_R_STREAM_OUT,
     .query = &stream_shape,
     .out_type = "text/event-stream",
     .run = stream,
     .help = "What changes, as server-sent events; Last-Event-ID continues where one was.",
     .help_zh = "变更推送"},
};
const struct bdr_route_table api_alarms_table = BDR_ROUTES("alarms", rows);
