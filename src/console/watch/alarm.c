/* SPDX-License-Identifier: Apache-2.0 */
/* alarm.c - one alarm: its kind, its words, raised, cleared. */
#include "watch/alarm.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const struct bdr_alarm_kind bdr_alarm_kinds[BDR_ALARMS] = {
#define A(name, kind, sev, title_en, title_zh, text_en, text_zh, todo_en, todo_zh, raised, cleared)                    \
    [BDR_ALARM_##                                                                                                      \
        name] = {kind, BDR_SEV_##sev, {title_en, title_zh}, {text_en, text_zh}, {todo_en, todo_zh}, raised, cleared},
#include "alarms.def"
#undef A
};
static const char *const severities[] = {"info", "warning", "critical"};

const struct bdr_alarm_kind *bdr_alarm_kind(const char *kind)
{
    for (size_t i = 0; i < BDR_ALARMS; i++)
        if (!strcmp(bdr_alarm_kinds[i].kind, kind))
            return &bdr_alarm_kinds[i];
    return NULL;
}

const char *bdr_severity_name(enum bdr_severity s)
{
    return severities[s];
}

enum bdr_severity bdr_severity_of(const char *name)
{
    for (size_t i = 0; i < BDR_COUNT(severities); i++)
        if (!strcmp(severities[i], name))
            return (enum bdr_severity)i;
    return BDR_SEV_INFO;
}

enum bdr_lang bdr_lang_of(const char *name)
{
    return name && !strncmp(name, "zh", 2) ? BDR_LANG_ZH : BDR_LANG_EN;
}

/* ---- words ---- */

void bdr_span_words(struct bdr_buf *out, int64_t ms, enum bdr_lang lang)
{
    static const struct {
        int64_t ms;
        const char *unit[2];
    } units[] = {{86400000, {" d", "天"}}, {3600000, {" h", "小时"}}, {60000, {" min", "分钟"}}, {1000, {" s", "秒"}}};
    int said = 0;

    ms = ms < 0 ? -ms : ms;
    for (size_t i = 0; i < BDR_COUNT(units) && said < 2; i++) {
        if (!said && ms < units[i].ms && i + 1 < BDR_COUNT(units))
            continue;
        if (said && ms < units[i].ms)
            break;
        bdr_buf_printf(out, "%s%lld%s", said && lang == BDR_LANG_EN ? " " : "", (long long)(ms / units[i].ms),
                       units[i].unit[lang]);
        ms %= units[i].ms;
        said++;
    }
}

static void alarm_value(struct bdr_buf *out, const json_t *v, const char *form, enum bdr_lang lang)
{
    char text[24];
    int64_t n = json_integer_value(v);

    if (json_is_string(v))
        bdr_buf_put(out, json_string_value(v), json_string_length(v));
    else if (!strcmp(form, "size"))
        bdr_buf_printf(out, "%s", bdr_size_text(n > 0 ? (uint64_t)n : 0, text));
    else if (!strcmp(form, "span"))
        bdr_span_words(out, n, lang);
    else if (!strcmp(form, "time"))
        bdr_buf_printf(out, "%.10s %.5s UTC", bdr_clock_text(n, text), text + 11);
    else
        bdr_buf_printf(out, "%lld", (long long)n);
}

void bdr_alarm_words(struct bdr_buf *out, const char *pattern, const char *values_json, enum bdr_lang lang)
{
    json_t *root = json_loads(values_json, 0, NULL), *values = json_object_get(root, "v");
    const char *at = pattern;

    while (*at) {
        size_t plain = strcspn(at, "{"), len;
        char name[40], *form;
        const json_t *v;

        bdr_buf_put(out, at, plain);
        at += plain;
        if (!*at)
            break;
        len = strcspn(at, "}");
        snprintf(name, sizeof(name), "%.*s", (int)len - 1, at + 1);
        form = strchr(name, ':');
        if (form)
            *form++ = 0;
        v = json_object_get(values, name);
        if (v)
            alarm_value(out, v, form ? form : "", lang);
        else
            bdr_buf_printf(out, "{%s}", name);
        at += len + (at[len] != 0);
    }
    bdr_buf_put(out, "", 1);
    if (!out->failed)
        out->len--;
    json_decref(root);
}

struct bdr_err *bdr_values_json(const struct bdr_value *v, size_t n, int64_t mark, struct bdr_buf *out)
{
    json_t *values = json_object(), *root = json_pack("{s:o,s:I}", "v", values, "m", (json_int_t)mark);
    char *text = NULL;
    bool ok = root != NULL;

    for (size_t i = 0; i < n && ok; i++) {
        /* what a machine said may be any bytes; a text that is no UTF-8 is not worth losing the alarm */
        json_t *item = v[i].text ? json_string(v[i].text) : json_integer((json_int_t)v[i].number);

        ok = !json_object_set_new(values, v[i].name, item ? item : json_string("?"));
    }
    text = ok ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    BDR_NOMEM_IF_NULL(text);
    bdr_buf_put(out, text, strlen(text) + 1);
    free(text);
    BDR_TRY(bdr_buf_check(out));
    out->len--;
    return NULL;
}

/* ---- raised, cleared ---- */

struct bdr_err *bdr_event_add(struct bdr_tx *tx, const char *kind, const char *object, int64_t object_id,
                              const struct bdr_value *v, size_t n, int64_t now_ms)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    int64_t id;

    BDR_TRY(bdr_values_json(v, n, 0, &text));
    return bdr_q_event_add(tx, &(struct bdr_in_event_add){now_ms, kind, object, object_id, (const char *)text.data},
                           &id);
}

static void told_add(struct bdr_told *told, int64_t id)
{
    if (told->n < BDR_COUNT(told->ids))
        told->ids[told->n] = id;
    told->n++;
}

/* For each channel that wants it. A channel is not asked to tell that it fails. */
static struct bdr_err *alarm_notify(struct bdr_tx *tx, int64_t alarm_id, const char *what, enum bdr_severity severity,
                                    const char *object, int64_t object_id, int64_t now_ms)
{
    BDR_AUTO(mem) struct bdr_row_channel *row = NULL;
    size_t n = 0;

    BDR_TRY(bdr_q_channel_all(tx, 0, 1000, &row, &n));
    for (size_t i = 0; i < n; i++) {
        if (!row[i].enabled || severity < bdr_severity_of(row[i].min_severity) ||
            (!strcmp(object, "channel") && row[i].id == object_id))
            continue;
        BDR_TRY(bdr_q_notification_add(tx, &(struct bdr_in_notification_add){row[i].id, alarm_id, what, now_ms}));
    }
    return NULL;
}

struct bdr_err *bdr_alarm_raise(struct bdr_tx *tx, enum bdr_alarm_id kind, const struct bdr_found *f, int64_t now_ms,
                                struct bdr_told *told)
{
    const struct bdr_alarm_kind *k = &bdr_alarm_kinds[kind];
    BDR_AUTO(buf) struct bdr_buf text = {0};
    BDR_AUTO(mem) struct bdr_row_alarm_raise *row = NULL;
    struct bdr_value event[] = {BDR_VT("kind", k->kind), BDR_VT("severity", bdr_severity_name(f->severity)),
                                BDR_VN("alarm", 0)};

    BDR_TRY(bdr_values_json(f->values, f->n_values, f->mark, &text));
    BDR_TRY(bdr_q_alarm_raise(tx,
                              &(struct bdr_in_alarm_raise){k->kind, bdr_severity_name(f->severity), f->object,
                                                           f->object_id, (const char *)text.data, now_ms},
                              &row));
    told_add(told, row->id);
    event[2].number = row->id;
    if (row->times == 1)
        BDR_TRY(bdr_event_add(tx, "alarm.raised", f->object, f->object_id, event, BDR_COUNT(event), now_ms));
    /* a channel that wants critical ones alone hears of it when it has become one: each word at most once an alarm */
    return alarm_notify(tx, row->id, row->times == 1 || f->severity < BDR_SEV_CRITICAL ? "raised" : "worse",
                        f->severity, f->object, f->object_id, now_ms);
}

struct bdr_err *bdr_alarm_clear(struct bdr_tx *tx, enum bdr_alarm_id kind, const char *object, int64_t object_id,
                                int64_t now_ms, struct bdr_told *told)
{
    const char *name = bdr_alarm_kinds[kind].kind;
    BDR_AUTO(mem) struct bdr_row_alarm *row = NULL;
    struct bdr_value event[] = {BDR_VT("kind", name), BDR_VN("alarm", 0)};
    bool found = false;
    int64_t id = 0;

    BDR_TRY(bdr_q_alarm_clear(tx, &(struct bdr_in_alarm_clear){name, object, object_id, now_ms}, &id, &found));
    if (!found)
        return NULL;
    told_add(told, id);
    event[1].number = id;
    BDR_TRY(bdr_event_add(tx, "alarm.cleared", object, object_id, event, BDR_COUNT(event), now_ms));
    BDR_TRY(bdr_q_alarm_one(tx, id, &row));
    if (!row)
        return NULL;
    return alarm_notify(tx, id, "cleared", bdr_severity_of(row->severity), object, object_id, now_ms);
}

void bdr_alarm_tell(struct bdr_console *c, const struct bdr_told *told)
{
    char json[64];

    for (size_t i = 0; i < told->n && i < BDR_COUNT(told->ids); i++) {
        snprintf(json, sizeof(json), "{\"id\":%lld,\"what\":\"changed\"}", (long long)told->ids[i]);
        bdr_hub_tell(c->hub, "alarm", json);
    }
    if (told->n > BDR_COUNT(told->ids)) /* many at once: read the list again */
        bdr_hub_tell(c->hub, "alarm", "{\"id\":0,\"what\":\"changed\"}");
}
