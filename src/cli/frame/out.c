/* SPDX-License-Identifier: Apache-2.0 */
#include "frame/out.h"
#include "frame/progress.h"
#include "frame/table.h"
#include "frame/text.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#define OUT_GONE_EXIT 141 /* 128 + SIGPIPE, as a shell shows it */
#define OUT_ERR_BYTES 4096

struct bdr_out {
    struct bdr_out_how how;
    json_t *doc; /* owned */
    bool gone;   /* the reader of stdout closed it */
    char hint[256];
};

/* What to do next, whatever the command. Programs put theirs in front (bdr_app.hints). */
static const struct bdr_hint out_hints[] = {
    {BDR_INTERNAL, "this is a bug; please report it with the output of the same command and -vv"},
    {BDR_NOMEM, "close other programs or lower the command's limits, then run it again"},
    {BDR_IO, "look at the system's log for disk errors, then run the command again"},
    {BDR_DENIED, "run it as a user who may do this, or mend the permissions"},
    {BDR_NOSPACE, "make room, then run the same command again: it goes on where it stopped"},
    {BDR_BUSY, "wait for the other one to finish, then run it again"},
    {BDR_NET, "check the address and the network, then run it again"},
    {BDR_TIMEOUT, "run it again; what was done is kept"},
    {BDR_VERSION, "install a newer version of this program"},
    {0},
};

struct bdr_out_how bdr_out_how_real(void)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool color = (!no_color || !*no_color) && term && strcmp(term, "dumb") != 0; /* https://no-color.org */
    struct bdr_out_how how = {.out = stdout, .err = stderr};
    struct winsize size;

    if (isatty(STDOUT_FILENO)) {
        how.color_out = color;
        how.width = 80;
        if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
            how.width = size.ws_col;
    }
    how.color_err = color && isatty(STDERR_FILENO);
    return how;
}

struct bdr_err *bdr_out_new(const struct bdr_out_how *how, struct bdr_out **out)
{
    struct bdr_out *o = calloc(1, sizeof(*o));

    BDR_NOMEM_IF_NULL(o);
    o->how = *how;
    *out = o;
    return NULL;
}

void bdr_out_free(struct bdr_out *o)
{
    if (!o)
        return;
    json_decref(o->doc);
    free(o);
}

bool bdr_out_is_json(const struct bdr_out *o)
{
    return o->how.json;
}

unsigned bdr_out_width(const struct bdr_out *o)
{
    return o->how.width;
}

static struct bdr_err *out_failed(struct bdr_out *o, int err)
{
    o->gone = o->gone || err == EPIPE;
    if (o->gone)
        BDR_FAIL(BDR_CANCELLED, EPIPE, "the reader of standard output has gone");
    BDR_FAIL(bdr_code_of_errno(err), err, "writing to standard output");
}

struct bdr_err *bdr_out_raw(struct bdr_out *o, const void *text, size_t len)
{
    int bad;

    if (!len)
        return NULL;
    bdr_screen_begin();
    errno = 0;
    bad = fwrite(text, 1, len, o->how.out) == len ? 0 : errno ? errno : EIO;
    bdr_screen_end();
    return bad ? out_failed(o, bad) : NULL;
}

struct bdr_err *bdr_out_line(struct bdr_out *o, const char *fmt, ...)
{
    BDR_AUTO(mem) char *text = NULL;
    BDR_AUTO(buf) struct bdr_buf line = {0};
    va_list ap;
    int n;

    if (o->how.json)
        return NULL;
    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0) {
        text = NULL;
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    bdr_text_put(&line, text, 0);
    bdr_buf_u8(&line, '\n');
    BDR_TRY(bdr_buf_check(&line));
    return bdr_out_raw(o, line.data, line.len);
}

struct bdr_err *bdr_out_table(struct bdr_out *o, const struct bdr_table *t)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};

    if (o->how.json)
        return bdr_out_json(o, bdr_table_json(t));
    BDR_TRY(bdr_table_text(t, o->how.width, o->how.color_out, &text));
    return bdr_out_raw(o, text.data, text.len);
}

struct bdr_err *bdr_out_record(struct bdr_out *o, const struct bdr_col *cols, size_t n, const struct bdr_cell *cells)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};

    if (o->how.json)
        return bdr_out_json(o, bdr_record_json(cols, n, cells));
    BDR_TRY(bdr_record_text(cols, n, cells, &text));
    return bdr_out_raw(o, text.data, text.len);
}

struct bdr_err *bdr_out_json(struct bdr_out *o, json_t *doc)
{
    BDR_NOMEM_IF_NULL(doc);
    if (!o->how.json) {
        json_decref(doc);
        return NULL;
    }
    BDR_ASSERT(!o->doc); /* one document a run */
    o->doc = doc;
    return NULL;
}

/* One line on stderr that no progress line and no other thread's line gets into. */
static void out_err_line(struct bdr_out *o, const char *front, const char *text)
{
    BDR_AUTO(buf) struct bdr_buf line = {0};

    bdr_buf_printf(&line, "%s", front);
    bdr_text_put(&line, text, 0);
    bdr_buf_u8(&line, '\n');
    bdr_screen_begin();
    if (line.failed)
        fputs(text, o->how.err);
    else
        fwrite(line.data, 1, line.len, o->how.err);
    fflush(o->how.err);
    bdr_screen_end();
}

void bdr_out_note(struct bdr_out *o, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    if (o->how.quiet)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    out_err_line(o, "bdr: ", text);
}

void bdr_out_hint(struct bdr_out *o, const char *text)
{
    snprintf(o->hint, sizeof(o->hint), "%s", text);
}

static const char *out_find_hint(const struct bdr_hint *rows, enum bdr_code code)
{
    for (; rows && rows->code; rows++)
        if (rows->code == code)
            return rows->text;
    return NULL;
}

static const char *out_hint_for(const struct bdr_out *o, enum bdr_code code, const struct bdr_cmd *cmd,
                                const struct bdr_app *app)
{
    const char *hint = *o->hint ? o->hint : NULL;

    if (!hint && cmd)
        hint = out_find_hint(cmd->hints, code);
    if (!hint && app)
        hint = out_find_hint(app->hints, code);
    return hint ? hint : out_find_hint(out_hints, code);
}

/* {"error":{"code":"NOTFOUND","message":...,"causes":[...],"hint":...,"exit":5}} */
static json_t *out_error_json(const struct bdr_err *err, const char *hint)
{
    json_t *causes = json_array(), *doc;
    const struct bdr_err *root = err;

    for (const struct bdr_err *e = err->cause; e; e = e->cause) {
        json_array_append_new(causes, bdr_json_text(e->msg));
        root = e;
    }
    for (; root->cause; root = root->cause)
        continue;
    if (root->sys > 0 && root->sys < 200)
        json_array_append_new(causes, json_string(strerror((int)root->sys)));
    doc = json_pack("{s:{s:s, s:o?, s:o, s:i, s:s*}}", "error", "code", bdr_code_name(err->code), "message",
                    bdr_json_text(err->msg), "causes", causes, "exit", bdr_code_exit(err->code), "hint", hint);
    return doc;
}

static void out_report(struct bdr_out *o, const struct bdr_err *err, const char *hint)
{
    char text[OUT_ERR_BYTES];

    bdr_err_text(err, text, sizeof(text));
    out_err_line(o, o->how.color_err ? "\x1b[31mbdr:\x1b[0m " : "bdr: ", text);
    if (hint)
        out_err_line(o, "hint: ", hint);
    if (!o->how.json)
        return;
    json_t *doc = out_error_json(err, hint);
    if (doc && json_is_object(o->doc)) /* what a command found out is still told: damage is no reason to list nothing */
        json_object_update_missing(doc, o->doc);
    json_decref(o->doc);
    o->doc = doc;
}

/* The document and what stdio still holds. */
static struct bdr_err *out_flush(struct bdr_out *o)
{
    BDR_AUTO(mem) char *text = NULL;

    if (o->doc) {
        text = json_dumps(o->doc, o->how.width ? JSON_INDENT(2) : JSON_COMPACT);
        BDR_NOMEM_IF_NULL(text);
        BDR_TRY(bdr_out_raw(o, text, strlen(text)));
        BDR_TRY(bdr_out_raw(o, "\n", 1));
    }
    if (fflush(o->how.out))
        return out_failed(o, errno);
    return NULL;
}

int bdr_out_finish(struct bdr_out *o, const struct bdr_err *err, const struct bdr_cmd *cmd, const struct bdr_app *app)
{
    BDR_AUTO(err) struct bdr_err *late = NULL;
    int code = err ? bdr_code_exit(err->code) : 0;

    if (o->gone)
        return OUT_GONE_EXIT;
    if (err)
        out_report(o, err, out_hint_for(o, err->code, cmd, app));
    late = out_flush(o);
    if (o->gone)
        return OUT_GONE_EXIT;
    if (late) {
        o->how.json = false; /* stdout does not work */
        out_report(o, late, out_hint_for(o, late->code, cmd, app));
    }
    return late && !code ? bdr_code_exit(late->code) : code;
}
