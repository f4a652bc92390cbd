/* SPDX-License-Identifier: Apache-2.0 */
/* test_notify.c - notifications against real far sides (tests/lab/notify), good ones and bad ones. */
#include "bdr/osfile.h"
#include "bdr/pool.h"
#include "rig.h"
#include "site.h"
#include "watch/notify.h"
#include "watch/watch.h"
#include <dirent.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#define MINUTE INT64_C(60000)
#define LAB                                                                                                            \
    if (!lab())                                                                                                        \
    skip()

static const char *lab(void)
{
    return getenv("BDR_LAB_NOTIFY");
}

static char *lab_read(const char *name)
{
    char path[256], *text = NULL;
    size_t len;

    snprintf(path, sizeof(path), "%s/%s", lab(), name);
    check_ok(bdr_os_read_file(path, 1 << 20, &text, &len));
    return text;
}

static int lab_port(const char *name)
{
    BDR_AUTO(mem) char *text = lab_read("ports.json");
    json_t *ports = json_loads(text, 0, NULL);
    int port = (int)json_integer_value(json_object_get(ports, name));

    json_decref(ports);
    assert_true(port > 0);
    return port;
}

/* What came of a kind, oldest first; the newest one's name in `out`. */
static size_t lab_count(const char *kind, char out[300])
{
    DIR *d = opendir(lab());
    size_t n = 0, len = strlen(kind);
    long newest = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (!strncmp(e->d_name, kind, len) && e->d_name[len] == '-') {
            long v = strtol(e->d_name + len + 1, NULL, 10);

            n++;
            if (v > newest && out) {
                newest = v;
                snprintf(out, 300, "%s", e->d_name);
            }
        }
    closedir(d);
    return n;
}

static void lab_clear(void)
{
    static const char *const kinds[] = {"mail", "hook", "syslog"};
    char name[300], path[600];

    for (size_t i = 0; i < BDR_COUNT(kinds); i++)
        while (lab_count(kinds[i], name)) {
            snprintf(path, sizeof(path), "%s/%s", lab(), name);
            assert_int_equal(unlink(path), 0);
        }
}

/* The newest one, once there are `want` (UDP is not there at once); owned by the caller. */
static char *lab_newest(const char *kind, size_t want)
{
    char name[300] = "";
    size_t n = 0;

    for (int i = 0; i < 1000 && (n = lab_count(kind, name)) < want; i++)
        check_ok(bdr_cancel_sleep(NULL, 5));
    assert_int_equal(n, want);
    return lab_read(name);
}

/* The text of a mail: its base64 decoded; owned by the caller. */
static char *mail_body(const char *mail)
{
    const char *at = strstr(mail, "\r\n\r\n");
    char *flat = calloc(1, strlen(mail) + 4), *out = calloc(1, strlen(mail) + 4);
    size_t n = 0;

    assert_true(at && flat && out);
    for (at += 4; *at; at++)
        if (*at > ' ')
            flat[n++] = *at;
    assert_true(EVP_DecodeBlock((uint8_t *)out, (uint8_t *)flat, (int)n) >= 0);
    free(flat);
    return out;
}

static char *ca_json(void)
{
    BDR_AUTO(mem) char *pem = lab_read("ca.pem");
    json_t *v = json_string(pem);
    char *text = json_dumps(v, JSON_ENCODE_ANY);

    json_decref(v);
    return text;
}

static int64_t channel_post(struct rig *r, const char *fmt, ...) BDR_PRINTF(2, 3);
static int64_t channel_post(struct rig *r, const char *fmt, ...)
{
    char body[8192];
    json_t *v;
    int64_t id;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(body, sizeof(body), fmt, ap);
    va_end(ap);
    v = rig_want(r, r->admin, 201, "POST", "/v1/channels", body);
    id = rig_int(v, "/id");
    json_decref(v);
    return id;
}

/* A channel of mails that arrive. */
static int64_t channel_mail(struct rig *r, const char *name, const char *more)
{
    BDR_AUTO(mem) char *ca = ca_json();

    return channel_post(r,
                        "{\"name\":\"%s\",\"kind\":\"mail\",\"host\":\"127.0.0.1\",\"port\":%d,\"tls\":\"starttls\","
                        "\"username\":\"night\",\"password\":\"shift-secret-1\",\"from\":\"bdr@dr.example\","
                        "\"to\":[\"ops@example.org\",\"boss@example.org\"],\"ca\":%s%s}",
                        name, lab_port("starttls"), ca, more);
}

static json_t *channel_test(struct rig *r, int64_t id)
{
    char path[64];

    snprintf(path, sizeof(path), "/v1/channels/%lld/test", (long long)id);
    return rig_want(r, r->admin, 200, "POST", path, NULL);
}

static void sql(struct rig *r, const char *fmt, ...) BDR_PRINTF(2, 3);
static void sql(struct rig *r, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    check_ok(bed_sql(r->bed, text));
}

/* How many notifications are in a state. */
static size_t waiting(struct rig *r, const char *state)
{
    BDR_AUTO(mem) struct bdr_row_notification_counts *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    size_t n = 0, of = 0;

    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_notification_counts(tx, &row, &n));
    for (size_t i = 0; i < n; i++)
        of += !strcmp(row[i].state, state) ? (size_t)row[i].n : 0;
    return of;
}

/* ---- mail ---- */

static void test_mail__an_alarm__arrives_once_encrypted_and_says_what_to_do(void **state)
{
    BDR_AUTO(mem) char *mail = NULL;
    BDR_AUTO(mem) char *body = NULL;

    RIG_OF(state, r);
    LAB;
    lab_clear();
    channel_mail(r, "night shift", "");
    site_proxy(r->bed, "proxy-7");
    check_ok(bdr_tick_all(r->console, SITE_NOW + 10 * MINUTE));
    mail = lab_newest("mail", 1);
    assert_non_null(strstr(mail, "\"from\": \"bdr@dr.example\""));
    assert_non_null(strstr(mail, "\"to\": [\"ops@example.org\", \"boss@example.org\"]"));
    assert_non_null(strstr(mail, "\"login\": \"night\""));
    assert_non_null(strstr(mail, "\"tls\": true"));
    assert_non_null(strstr(mail, "Subject: [OpenBDR] ALARM WARNING: Machine silent: proxy-7\r\n"));
    assert_non_null(strstr(mail, "Auto-Submitted: auto-generated"));
    body = mail_body(mail);
    assert_non_null(strstr(body, "The proxy proxy-7 was last heard of at 2027-01-15 08:00 UTC."));
    assert_non_null(strstr(body, "What to do:\n  Is the machine on"));
    assert_non_null(strstr(body, "through the channel night shift"));
    check_ok(bdr_tick_all(r->console, SITE_NOW + 11 * MINUTE));
    assert_int_equal(lab_count("mail", NULL), 1);
    sql(r, "UPDATE machine_beat SET beat_ms = %lld", (long long)(SITE_NOW + 12 * MINUTE));
    check_ok(bdr_tick_all(r->console, SITE_NOW + 12 * MINUTE));
    free(mail);
    mail = lab_newest("mail", 2);
    assert_non_null(strstr(mail, "OVER WARNING: Machine silent: proxy-7"));
    free(body);
    body = mail_body(mail);
    assert_non_null(strstr(body, "It lasted 2 min"));
    assert_null(strstr(body, "What to do"));
}

static void test_mail__a_site_goes_dark__is_one_mail_in_chinese(void **state)
{
    BDR_AUTO(mem) char *mail = NULL;
    BDR_AUTO(mem) char *body = NULL;
    char name[24];

    RIG_OF(state, r);
    LAB;
    lab_clear();
    channel_mail(r, "值班", ",\"lang\":\"zh\"");
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "p-%d", i);
        site_proxy(r->bed, name);
    }
    check_ok(bdr_tick_all(r->console, SITE_NOW + 10 * MINUTE));
    mail = lab_newest("mail", 1);
    assert_non_null(strstr(mail, "Subject: =?UTF-8?B?"));
    body = mail_body(mail);
    assert_non_null(strstr(body, "proxy p-39自2027-01-15 08:00 UTC起没有心跳"));
    assert_non_null(strstr(body, "处理建议"));
    assert_int_equal(waiting(r, "sent"), 40);
}

static void test_mail__severity__decides_who_is_told(void **state)
{
    RIG_OF(state, r);
    LAB;
    lab_clear();
    channel_mail(r, "critical only", ",\"min_severity\":\"critical\"");
    channel_mail(r, "off", ",\"enabled\":false");
    site_proxy(r->bed, "p");
    check_ok(bdr_tick_all(r->console, SITE_NOW + 10 * MINUTE));
    assert_int_equal(lab_count("mail", NULL), 0);
    sql(r, "UPDATE machine SET kind = 'gateway'");
    check_ok(bdr_tick_all(r->console, SITE_NOW + 11 * MINUTE)); /* worse: now it is worth a mail */
    assert_int_equal(lab_count("mail", NULL), 1);
}

/* A message of one alarm, for what needs no console. */
static struct bdr_message message_make(struct bdr_arena *arena, const struct bdr_channel *ch, const char *name)
{
    const struct bdr_value v[] = {BDR_VT("name", name), BDR_VT("error", "e")};
    BDR_AUTO(buf) struct bdr_buf text = {0};
    struct bdr_row_alarm alarm = {.id = 5,
                                  .kind = "repository.error",
                                  .severity = "critical",
                                  .object = "repository",
                                  .object_id = 1,
                                  .raised_ms = SITE_NOW,
                                  .times = 1};
    struct bdr_message m;

    check_ok(bdr_values_json(v, 2, 0, &text));
    alarm.text = (const char *)text.data;
    check_ok(bdr_message_make(arena, ch, &(struct bdr_message_item){"raised", &alarm}, 1, "https://c.example", SITE_NOW,
                              &m));
    return m;
}

static void test_mail_text__names_of_strangers__break_no_header(void **state)
{
    const char *to[] = {"a@example.org"};
    struct bdr_row_channel row = {.id = 1, .kind = "mail", .name = "x", .lang = "en"};
    struct bdr_channel ch = {.row = &row, .params = {.host = "h", .from = "b@dr.example"}};
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    BDR_AUTO(buf) struct bdr_buf out = {0};
    struct bdr_message m;
    const char *line;

    (void)state;
    ch.params.to.items = to;
    ch.params.to.n = 1;
    check_ok(bdr_arena_new(&arena));
    m = message_make(
        arena, &ch,
        "主机\r\nBcc: victim@example.org\r\n\r\n=?UTF-8?B?aGk=?= 很长很长很长很长很长很长很长很长很长很长很长的名字");
    check_ok(bdr_mail_text(&ch, &m, &out));
    bdr_buf_u8(&out, 0);
    assert_null(strstr((char *)out.data, "Bcc:"));
    for (line = (char *)out.data; *line; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 79);
        if (!line[strcspn(line, "\n")])
            break;
    }
    assert_non_null(strstr(m.text, "https://c.example/#/alarms/5"));
}

/* ---- webhook, syslog ---- */

static void test_webhook__a_post__is_signed_over_its_time(void **state)
{
    static const char key[] = "0123456789abcdef-key";
    struct bdr_secret secret = {(uint8_t *)(uintptr_t)key, strlen(key)};
    BDR_AUTO(mem) char *hook = NULL;
    BDR_AUTO(mem) char *ca = NULL;
    json_t *v, *body;
    char want[72];

    RIG_OF(state, r);
    LAB;
    lab_clear();
    ca = ca_json();
    channel_post(
        r, "{\"name\":\"h\",\"kind\":\"webhook\",\"url\":\"https://localhost:%d/200\",\"secret\":\"%s\",\"ca\":%s}",
        lab_port("https"), key, ca);
    site_proxy(r->bed, "p");
    check_ok(bdr_tick_all(r->console, SITE_NOW + 10 * MINUTE));
    hook = lab_newest("hook", 1);
    v = json_loads(hook, 0, NULL);
    check_ok(bdr_webhook_signature(&secret, rig_at(v, "/headers/X-BDR-Timestamp"), rig_at(v, "/body"), want));
    assert_string_equal(rig_at(v, "/headers/X-BDR-Signature"), want);
    assert_int_equal(strlen(rig_at(v, "/headers/X-BDR-Delivery")), 32);
    body = json_loads(rig_at(v, "/body"), 0, NULL);
    assert_string_equal(rig_at(body, "/notifications/0/what"), "raised");
    assert_string_equal(rig_at(body, "/notifications/0/kind"), "machine.silent");
    assert_string_equal(rig_at(body, "/notifications/0/values/name"), "p");
    json_decref(body);
    json_decref(v);
}

static void test_webhook_signature__is_the_known_one(void **state)
{
    struct bdr_secret secret = {(uint8_t *)(uintptr_t) "key", 3};
    char out[72];

    (void)state;
    /* printf '1.{}' | openssl dgst -sha256 -hmac key */
    check_ok(bdr_webhook_signature(&secret, "1", "{}", out));
    assert_string_equal(out, "sha256=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224");
}

static void test_syslog__lines__are_of_rfc_5424(void **state)
{
    static const char *const transports[] = {"udp", "tcp"};

    RIG_OF(state, r);
    LAB;
    for (size_t i = 0; i < BDR_COUNT(transports); i++) {
        BDR_AUTO(mem) char *line = NULL;
        char port[24];
        int64_t id;
        json_t *v;

        lab_clear();
        snprintf(port, sizeof(port), "syslog_%s", transports[i]);
        id = channel_post(
            r, "{\"name\":\"%s\",\"kind\":\"syslog\",\"host\":\"127.0.0.1\",\"port\":%d,\"transport\":\"%s\"}",
            transports[i], lab_port(port), transports[i]);
        v = channel_test(r, id);
        assert_string_equal(rig_at(v, "/delivered"), "true");
        json_decref(v);
        line = lab_newest("syslog", 1);
        assert_memory_equal(line, "<134>1 20", 9); /* local0, informational */
        assert_non_null(strstr(line, " bdr-console - alarm - \xef\xbb\xbfTEST: Test message"));
    }
}

/* ---- far sides that fail ---- */

static void test_failure__becomes_an_alarm_and_what_waits_arrives_later(void **state)
{
    char path[64], body[64];
    int64_t bad, now = SITE_NOW + 10 * MINUTE;
    json_t *v;

    RIG_OF(state, r);
    LAB;
    lab_clear();
    channel_mail(r, "good", "");
    /* nobody listens on port 1 */
    bad = channel_post(r, "{\"name\":\"bad\",\"kind\":\"webhook\",\"url\":\"http://127.0.0.1:1/\"}");
    site_proxy(r->bed, "p");
    check_ok(bdr_tick_all(r->console, now));
    assert_int_equal(lab_count("mail", NULL), 1);
    assert_int_equal(waiting(r, "ready"), 1);
    check_ok(bdr_tick_all(r->console, now + 15000)); /* the failure is an alarm, told by the other channel */
    assert_int_equal(lab_count("mail", NULL), 2);
    v = rig_want(r, r->viewer, 200, "GET", "/v1/alarms?kind=channel.failed", NULL);
    assert_int_equal(rig_int(v, "/items/0/object_id"), bad);
    assert_non_null(strstr(rig_at(v, "/items/0/text"), "Notifications by bad cannot be delivered: the receiver: "));
    json_decref(v);
    assert_int_equal(waiting(r, "ready"), 1); /* it does not tell of itself */
    snprintf(path, sizeof(path), "/v1/channels/%lld", (long long)bad);
    snprintf(body, sizeof(body), "{\"url\":\"http://127.0.0.1:%d/200\"}", lab_port("http"));
    json_decref(rig_want(r, r->admin, 200, "PATCH", path, body));
    check_ok(bdr_tick_all(r->console, now + 30000));
    assert_int_equal(lab_count("hook", NULL), 0); /* not yet: a minute after the failure */
    check_ok(bdr_tick_all(r->console, now + 2 * MINUTE));
    assert_int_equal(lab_count("hook", NULL), 1);
    assert_int_equal(waiting(r, "ready"), 0);
    check_ok(bdr_tick_all(r->console, now + 3 * MINUTE));
    v = rig_want(r, r->viewer, 200, "GET", "/v1/alarms?kind=channel.failed", NULL);
    assert_int_equal(json_array_size(json_object_get(v, "items")), 0);
    json_decref(v);
}

static void test_failure__without_end__is_given_up(void **state)
{
    int64_t now = SITE_NOW + 10 * MINUTE;

    RIG_OF(state, r);
    LAB;
    channel_post(r, "{\"name\":\"bad\",\"kind\":\"webhook\",\"url\":\"http://127.0.0.1:%d/503\"}", lab_port("http"));
    site_proxy(r->bed, "p");
    check_ok(bdr_tick_all(r->console, now));
    for (int i = 1; i < BDR_NOTIFY_TRIES; i++) {
        assert_int_equal(waiting(r, "ready"), 1);
        now += 30 * MINUTE;
        check_ok(bdr_watch_deliver(r->console, now));
    }
    assert_int_equal(waiting(r, "ready"), 0);
    assert_int_equal(waiting(r, "failed"), 1);
    assert_int_equal(bdr_notify_backoff_ms(1), MINUTE);
    assert_int_equal(bdr_notify_backoff_ms(3), 4 * MINUTE);
    assert_int_equal(bdr_notify_backoff_ms(60), 30 * MINUTE);
}

static void test_failure__each_kind__is_told_by_the_test_button(void **state)
{
    /* name, port, path or tls, what the error says */
    static const struct {
        const char *kind, *port, *more, *says;
    } rows[] = {
        {"mail", "refusing", "\"tls\":\"none\"", "554"},
        {"mail", "plain", "\"tls\":\"starttls\"", "STARTTLS"},       /* it offers none: nothing is sent in the clear */
        {"mail", "starttls", "\"tls\":\"starttls\"", "certificate"}, /* of a CA that nobody named */
        {"mail", "tls", "\"tls\":\"tls\"", "certificate"},
        {"webhook", "http", "/500", "status 500"},
        {"webhook", "http", "/302", "status 302"}, /* it goes nowhere else */
        {"webhook", "https", "/200", "certificate"},
    };

    RIG_OF(state, r);
    LAB;
    lab_clear();
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        bool mail = !strcmp(rows[i].kind, "mail");
        int64_t id;
        json_t *v;

        if (mail)
            id = channel_post(r,
                              "{\"name\":\"c%zu\",\"kind\":\"mail\",\"host\":\"localhost\",\"port\":%d,%s,"
                              "\"from\":\"a@b.example\",\"to\":[\"c@d.example\"]}",
                              i, lab_port(rows[i].port), rows[i].more);
        else
            id = channel_post(r, "{\"name\":\"c%zu\",\"kind\":\"webhook\",\"url\":\"%s://localhost:%d%s\"}", i,
                              rows[i].port, lab_port(rows[i].port), rows[i].more);
        v = channel_test(r, id);
        assert_string_equal(rig_at(v, "/delivered"), "false");
        if (!strstr(rig_at(v, "/error"), rows[i].says))
            print_error("wanted '%s', got '%s'\n", rows[i].says, rig_at(v, "/error"));
        assert_non_null(strstr(rig_at(v, "/error"), rows[i].says));
        json_decref(v);
    }
    assert_int_equal(lab_count("mail", NULL), 0);
    assert_int_equal(lab_count("hook", NULL), 0);
}

static void test_failure__a_silent_server__costs_no_more_than_the_deadline(void **state)
{
    const char *to[] = {"a@example.org"};
    struct bdr_row_channel row = {.id = 1, .kind = "mail", .name = "x", .lang = "en"};
    struct bdr_channel ch = {.row = &row,
                             .kind = BDR_CHANNEL_MAIL,
                             .params = {.host = "127.0.0.1", .tls = BDR_MAIL_PLAIN, .from = "b@dr.example"},
                             .deadline_ms = 300};
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    struct bdr_cancel cancel = {0};
    struct bdr_message m;
    uint64_t begin;

    (void)state;
    LAB;
    ch.params.to.items = to;
    ch.params.to.n = 1;
    ch.params.port = (uint32_t)lab_port("silent");
    check_ok(bdr_arena_new(&arena));
    m = message_make(arena, &ch, "r");
    begin = bdr_clock_mono_ms();
    check_fails(bdr_channel_send(&ch, &m, NULL), BDR_TIMEOUT, "the mail server 127.0.0.1");
    assert_in_range(bdr_clock_mono_ms() - begin, 250, 5000);
    ch.deadline_ms = 60000;
    bdr_cancel_set(&cancel); /* the console stops */
    begin = bdr_clock_mono_ms();
    check_fails(bdr_channel_send(&ch, &m, &cancel), BDR_CANCELLED, "");
    assert_true(bdr_clock_mono_ms() - begin < 5000);
}

/* ---- several consoles ---- */

static struct bdr_err *deliver_main(void *ctx, unsigned index)
{
    struct bdr_console **c = ctx;

    return bdr_watch_deliver(c[index], SITE_NOW + 20 * MINUTE);
}

static void test_deliver__two_consoles__send_once(void **state)
{
    struct bdr_console *c[2];
    struct bdr_cancel cancel = {0};
    struct bdr_pool *pool = NULL;
    char name[24], folder[128];

    RIG_OF(state, r);
    LAB;
    lab_clear();
    c[0] = r->console;
    rig_folder(r, "other", true, folder);
    check_ok(rig_console(r, folder, false, &c[1]));
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "hook %d", i);
        channel_post(r, "{\"name\":\"%s\",\"kind\":\"webhook\",\"url\":\"http://127.0.0.1:%d/200\"}", name,
                     lab_port("http"));
    }
    site_proxy(r->bed, "p");
    check_ok(bdr_watch_conditions(r->console, SITE_NOW + 20 * MINUTE));
    check_ok(bdr_pool_start("deliver", 2, deliver_main, c, &cancel, &pool));
    check_ok(bdr_pool_join(pool));
    assert_int_equal(lab_count("hook", NULL), 8);
    assert_int_equal(waiting(r, "sent"), 8);
    bdr_console_stop(c[1]);
}

/* ---- the API ---- */

static void test_channels__rights_and_mistakes__are_told(void **state)
{
    static const struct {
        const char *body, *pointer;
    } bad[] = {
        {"{\"name\":\"x\",\"kind\":\"pigeon\"}", "kind"},
        {"{\"name\":\"x\",\"kind\":\"mail\",\"from\":\"a@b\",\"to\":[\"a@b\"]}", "host"},
        {"{\"name\":\"x\",\"kind\":\"mail\",\"host\":\"h\",\"from\":\"a@b\",\"to\":[]}", "to"},
        {"{\"name\":\"x\",\"kind\":\"mail\",\"host\":\"h\",\"from\":\"a@b\\r\\nBcc: c@d\",\"to\":[\"a@b\"]}", "from"},
        {"{\"name\":\"x\",\"kind\":\"mail\",\"host\":\"h\",\"from\":\"a@b\",\"to\":[\"a@b>,<c@d\"]}", "to"},
        {"{\"name\":\"x\",\"kind\":\"mail\",\"host\":\"h\",\"from\":\"a@b\",\"to\":[\"a@b\"],\"tls\":\"none\","
         "\"username\":\"u\","
         "\"password\":\"p\"}",
         "tls"},
        {"{\"name\":\"x\",\"kind\":\"webhook\"}", "url"},
        {"{\"name\":\"x\",\"kind\":\"webhook\",\"url\":\"file:///etc/passwd\"}", "url"},
        {"{\"name\":\"x\",\"kind\":\"webhook\",\"url\":\"http://h/\",\"secret\":\"short\"}", "secret"},
        {"{\"name\":\"x\",\"kind\":\"webhook\",\"url\":\"http://h/\",\"host\":\"h\"}", "host"},
        {"{\"name\":\"x\",\"kind\":\"syslog\"}", "host"},
        {"{\"name\":\"x\",\"kind\":\"syslog\",\"host\":\"h\",\"port\":70000}", "port"},
    };
    static const char good[] = "{\"name\":\"s\",\"kind\":\"syslog\",\"host\":\"log.example\"}";
    char path[64];
    json_t *v;

    RIG_OF(state, r);
    for (size_t i = 0; i < BDR_COUNT(bad); i++) {
        unsigned status = 0;

        v = rig_call(r, r->admin, "POST", "/v1/channels", bad[i].body, &status);
        if (status != 422 || !strstr(rig_at(v, "/detail"), bad[i].pointer))
            print_error("%s: %u %s\n", bad[i].body, status, rig_at(v, "/detail"));
        assert_int_equal(status, 422);
        json_decref(v);
    }
    json_decref(rig_want(r, r->operator_, 403, "POST", "/v1/channels", good));
    json_decref(rig_want(r, NULL, 401, "GET", "/v1/channels", NULL));
    json_decref(rig_want(r, r->viewer, 403, "GET", "/v1/channels", NULL));
    v = rig_want(r, r->admin, 201, "POST", "/v1/channels", good);
    assert_int_equal(rig_int(v, "/port"), 514);
    assert_string_equal(rig_at(v, "/state"), "new");
    snprintf(path, sizeof(path), "/v1/channels/%s", rig_at(v, "/id"));
    json_decref(v);
    json_decref(rig_want(r, r->admin, 409, "POST", "/v1/channels", good));
    v = rig_want(r, r->admin, 200, "PATCH", path, "{\"enabled\":false,\"port\":6514,\"transport\":\"tcp\"}");
    assert_string_equal(rig_at(v, "/host"), "log.example");
    assert_string_equal(rig_at(v, "/enabled"), "false");
    assert_int_equal(rig_int(v, "/port"), 6514);
    json_decref(v);
    json_decref(rig_want(r, r->operator_, 403, "DELETE", path, NULL));
    json_decref(rig_want(r, r->admin, 204, "DELETE", path, NULL));
    json_decref(rig_want(r, r->admin, 404, "GET", path, NULL));
    json_decref(rig_want(r, r->admin, 404, "DELETE", path, NULL));
    json_decref(rig_want(r, r->admin, 404, "POST", "/v1/channels/77/test", NULL));
}

static void test_channels__secrets__go_in_and_never_come_out(void **state)
{
    BDR_AUTO(mem) struct bdr_row_audit *row = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    char path[64];
    json_t *v;
    size_t n = 0;

    RIG_OF(state, r);
    v = rig_want(
        r, r->admin, 201, "POST", "/v1/channels",
        "{\"name\":\"m\",\"kind\":\"mail\",\"host\":\"mx.example\",\"username\":\"u\",\"password\":\"TOPSECRET-1\","
        "\"from\":\"a@b\",\"to\":[\"c@d\"]}");
    assert_string_equal(rig_at(v, "/sealed"), "true");
    assert_string_equal(rig_at(v, "/password"), "");
    snprintf(path, sizeof(path), "/v1/channels/%s", rig_at(v, "/id"));
    json_decref(v);
    /* another server does not get the old password */
    json_decref(rig_want(r, r->admin, 400, "PATCH", path, "{\"host\":\"evil.example\"}"));
    json_decref(rig_want(r, r->admin, 200, "PATCH", path, "{\"host\":\"mx2.example\",\"password\":\"TOPSECRET-2\"}"));
    v = rig_want(r, r->admin, 200, "PATCH", path, "{\"username\":\"\"}");
    assert_string_equal(rig_at(v, "/sealed"), "false");
    json_decref(v);
    check_ok(bdr_tx_begin(r->bed->db, BDR_TX_READ, &tx));
    check_ok(bdr_q_audit_from(tx, 1, 100, &row, &n));
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        assert_null(strstr(row[i].after, "TOPSECRET"));
        assert_true(!row[i].before || !strstr(row[i].before, "TOPSECRET"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG(test_mail__an_alarm__arrives_once_encrypted_and_says_what_to_do),
        RIG(test_mail__a_site_goes_dark__is_one_mail_in_chinese),
        RIG(test_mail__severity__decides_who_is_told),
        cmocka_unit_test(test_mail_text__names_of_strangers__break_no_header),
        RIG(test_webhook__a_post__is_signed_over_its_time),
        cmocka_unit_test(test_webhook_signature__is_the_known_one),
        RIG(test_syslog__lines__are_of_rfc_5424),
        RIG(test_failure__becomes_an_alarm_and_what_waits_arrives_later),
        RIG(test_failure__without_end__is_given_up),
        RIG(test_failure__each_kind__is_told_by_the_test_button),
        cmocka_unit_test(test_failure__a_silent_server__costs_no_more_than_the_deadline),
        RIG_PG(test_deliver__two_consoles__send_once),
        RIG(test_channels__rights_and_mistakes__are_told),
        RIG(test_channels__secrets__go_in_and_never_come_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
