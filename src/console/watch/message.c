/* SPDX-License-Identifier: Apache-2.0 */
/* message.c - what a person who is woken by it reads: what, which host, since when, what to do. */
#include "bdr/clock.h"
#include "watch/notify.h"
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* Words of the frame; the alarm's own are in schema/alarms.def. */
enum word { W_RAISED, W_WORSE, W_CLEARED, W_TEST, W_SINCE, W_FOR, W_TODO, W_ALARM, W_CHANNEL, W_MANY, W_LASTED, WORDS };
static const char *const words[WORDS][2] = {
    [W_RAISED] = {"ALARM", "告警"},
    [W_WORSE] = {"ALARM, worse", "告警升级"},
    [W_CLEARED] = {"OVER", "已恢复"},
    [W_TEST] = {"TEST", "测试"},
    [W_SINCE] = {"since", "自"},
    [W_FOR] = {"for", "已持续"},
    [W_TODO] = {"What to do", "处理建议"},
    [W_ALARM] = {"Alarm", "告警编号"},
    [W_CHANNEL] = {"Sent by the OpenBDR console through the channel", "由OpenBDR控制台通过通知渠道发送："},
    [W_MANY] = {"alarms", "条告警"},
    [W_LASTED] = {"It lasted", "共持续"},
};
static const char *const severity_words[][2] = {{"info", "提示"}, {"WARNING", "警告"}, {"CRITICAL", "严重"}};

static enum word what_word(const char *what)
{
    return !strcmp(what, "cleared") ? W_CLEARED
           : !strcmp(what, "worse") ? W_WORSE
           : !strcmp(what, "test")  ? W_TEST
                                    : W_RAISED;
}

/* The rendered words of an item; in the arena. */
struct item_words {
    const char *title, *text, *todo, *name;
};

static const char *keep(struct bdr_arena *arena, struct bdr_buf *b)
{
    const char *text = b->failed ? NULL : bdr_arena_text(arena, (const char *)b->data, b->len);

    b->len = 0;
    return text;
}

/* One line, whatever the names in it hold. */
static void one_line(struct bdr_buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if (b->data[i] < 0x20 || b->data[i] == 0x7f)
            b->data[i] = ' ';
}

static struct bdr_err *item_make(struct bdr_arena *arena, const struct bdr_message_item *item, enum bdr_lang lang,
                                 struct item_words *out)
{
    const struct bdr_alarm_kind *k = bdr_alarm_kind(item->alarm->kind);
    static const char *const test[] = {"Notifications by {name} arrive.", "通知渠道{name}可以正常送达。"};
    const char *patterns[] = {k ? k->text[lang] : test[lang], k ? k->todo[lang] : "",
                              strstr(item->alarm->text, "\"host\":") ? "{host}" : "{name}"};
    const char **to[] = {&out->text, &out->todo, &out->name};
    BDR_AUTO(buf) struct bdr_buf b = {0};

    out->title = k ? k->title[lang] : lang == BDR_LANG_ZH ? "测试消息" : "Test message";
    for (size_t i = 0; i < BDR_COUNT(patterns); i++) {
        bdr_alarm_words(&b, patterns[i], item->alarm->text, lang);
        one_line(&b);
        *to[i] = keep(arena, &b);
        BDR_NOMEM_IF_NULL(*to[i]);
    }
    if (!strcmp(out->name, "{name}"))
        out->name = "";
    return NULL;
}

static void item_text(struct bdr_buf *b, const struct bdr_message_item *item, const struct item_words *w,
                      enum bdr_lang lang, const char *url, int64_t now_ms)
{
    const struct bdr_row_alarm *a = item->alarm;
    bool cleared = !strcmp(item->what, "cleared");
    int64_t end = a->cleared_ms.set ? a->cleared_ms.v : now_ms;
    char time[24];

    bdr_clock_text(a->raised_ms, time);
    bdr_buf_printf(b, "%s: %s%s%s\n", words[what_word(item->what)][lang], w->title, *w->name ? ": " : "", w->name);
    bdr_buf_printf(b, "%s, %s %.10s %.5s UTC, ", severity_words[bdr_severity_of(a->severity)][lang],
                   words[W_SINCE][lang], time, time + 11);
    bdr_buf_printf(b, "%s ", words[cleared ? W_LASTED : W_FOR][lang]);
    bdr_span_words(b, end - a->raised_ms, lang);
    bdr_buf_printf(b, "\n\n%s\n", w->text);
    if (!cleared && *w->todo)
        bdr_buf_printf(b, "\n%s:\n  %s\n", words[W_TODO][lang], w->todo);
    bdr_buf_printf(b, "\n%s %lld", words[W_ALARM][lang], (long long)a->id);
    if (*url && a->id)
        bdr_buf_printf(b, ": %s/#/alarms/%lld", url, (long long)a->id);
    bdr_buf_printf(b, "\n");
}

static json_t *item_json(const struct bdr_message_item *item, const struct item_words *w)
{
    const struct bdr_row_alarm *a = item->alarm;
    json_t *text = json_loads(a->text, 0, NULL), *values = json_object_get(text, "v");
    char since[32];
    json_t *v = json_pack("{s:s,s:I,s:s,s:s,s:s,s:I,s:s?,s:s?,s:s?,s:s,s:I}", "what", item->what, "alarm",
                          (json_int_t)a->id, "kind", a->kind, "severity", a->severity, "object", a->object, "object_id",
                          (json_int_t)a->object_id, "title", w->title, "text", w->text, "todo", w->todo, "since",
                          bdr_rfc3339_text(a->raised_ms, since), "times", (json_int_t)a->times);

    if (v && json_object_set(v, "values", values ? values : json_null()))
        v = NULL;
    json_decref(text);
    return v;
}

static struct bdr_err *subject_make(struct bdr_arena *arena, const struct bdr_message_item *items,
                                    const struct item_words *w, size_t n, enum bdr_lang lang, const char **out)
{
    size_t by[3] = {0};

    if (n == 1)
        *out = bdr_arena_printf(arena, "[OpenBDR] %s %s: %s%s%s", words[what_word(items->what)][lang],
                                severity_words[bdr_severity_of(items->alarm->severity)][lang], w->title,
                                *w->name ? ": " : "", w->name);
    else {
        for (size_t i = 0; i < n; i++)
            if (strcmp(items[i].what, "cleared") != 0)
                by[bdr_severity_of(items[i].alarm->severity)]++;
        *out = bdr_arena_printf(arena, "[OpenBDR] %zu %s: %s %zu, %s %zu, %s %zu", n, words[W_MANY][lang],
                                severity_words[2][lang], by[2], severity_words[1][lang], by[1], words[W_CLEARED][lang],
                                n - by[0] - by[1] - by[2]);
    }
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

/* Of what is told, so that the same told again is the same. */
static struct bdr_err *id_make(struct bdr_arena *arena, const struct bdr_channel *ch,
                               const struct bdr_message_item *items, size_t n, int64_t now_ms, const char **out)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};
    uint8_t md[32];
    char hex[33];

    bdr_buf_printf(&b, "%lld", (long long)ch->row->id);
    for (size_t i = 0; i < n; i++)
        bdr_buf_printf(&b, " %s %lld %lld", items[i].what, (long long)items[i].alarm->id,
                       (long long)(items[i].alarm->id ? items[i].alarm->raised_ms : now_ms));
    BDR_TRY(bdr_buf_check(&b));
    if (EVP_Digest(b.data, b.len, md, NULL, EVP_sha256(), NULL) != 1)
        BDR_FAIL(BDR_INTERNAL, 0, "SHA-256");
    *out = bdr_arena_printf(arena, "%s", bdr_hex(md, 16, hex));
    BDR_NOMEM_IF_NULL(*out);
    return NULL;
}

struct bdr_err *bdr_message_make(struct bdr_arena *arena, const struct bdr_channel *ch,
                                 const struct bdr_message_item *items, size_t n, const char *url, int64_t now_ms,
                                 struct bdr_message *out)
{
    enum bdr_lang lang = bdr_lang_of(ch->row->lang);
    BDR_AUTO(buf) struct bdr_buf b = {0};
    struct item_words *w = bdr_arena_alloc(arena, n * sizeof(*w));
    json_t *list = json_array(), *root;
    char time[32], *text = NULL;

    BDR_ASSERT(n && n <= BDR_MESSAGE_ITEMS);
    *out = (struct bdr_message){.n = n, .at_ms = now_ms};
    for (size_t i = 0; w && i < n; i++) {
        struct bdr_err *err = item_make(arena, &items[i], lang, &w[i]);

        if (err) {
            json_decref(list);
            return err;
        }
        json_array_append_new(list, item_json(&items[i], &w[i]));
        out->severity[i] =
            !strcmp(items[i].what, "cleared") ? BDR_SEV_INFO : (int)bdr_severity_of(items[i].alarm->severity);
        out->lines[i] = bdr_arena_printf(arena, "%s: %s%s%s: %s", words[what_word(items[i].what)][lang], w[i].title,
                                         *w[i].name ? ": " : "", w[i].name, w[i].text);
        if (i)
            bdr_buf_printf(&b, "\n----------------------------------------\n\n");
        item_text(&b, &items[i], &w[i], lang, url, now_ms);
    }
    root = json_pack("{s:s,s:s,s:o}", "console", url, "sent", bdr_rfc3339_text(now_ms, time), "notifications", list);
    if (!w || !root) {
        json_decref(root);
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    bdr_buf_printf(&b, "\n-- \n%s %s\n", words[W_CHANNEL][lang], ch->row->name);
    out->text = keep(arena, &b);
    text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    out->json = text ? bdr_arena_text(arena, text, strlen(text)) : NULL;
    free(text);
    if (!out->text || !out->json || !out->lines[n - 1])
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    BDR_TRY(id_make(arena, ch, items, n, now_ms, &out->id));
    return subject_make(arena, items, w, n, lang, &out->subject);
}
