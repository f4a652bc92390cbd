/* SPDX-License-Identifier: Apache-2.0 */
/* The API's description, OpenAPI 3.1 (JSON Schema 2020-12), from the same rows that dispatch. */
#include "../shape/shape_i.h"
#include "route_i.h"
#include <stdio.h>
#include <string.h>

/* What text.c and scalar.c accept, as ECMA-262 says it. tests/lab/wire asks both with generated values. */
#define PATTERN_TEXT  "^[^\\u0000-\\u001f\\u007f]*$"
#define PATTERN_LINES "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f]*$"
#define PATTERN_ID    "^[A-Za-z0-9._-]{1,64}$"
#define PATTERN_PART  "^(?!\\.{1,2}$)[A-Za-z0-9._-]{1,64}$"
#define PATTERN_HOST                                                                                                   \
    "^(?![0-9.]+$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$"
#define PATTERN_URL "^https?://"

struct writing {
    const struct bdr_router *router;
    json_t *schemas; /* borrowed; in the document */
    bool zh, failed;
};

/* Sets a member; a NULL value (no memory) is remembered once for all. */
static void set(struct writing *w, json_t *o, const char *name, json_t *value)
{
    if (json_object_set_new(o, name, value))
        w->failed = true;
}

static void set_text(struct writing *w, json_t *o, const char *name, const char *text)
{
    if (text)
        set(w, o, name, json_string(text));
}

static json_t *object_in(struct writing *w, json_t *o, const char *name)
{
    json_t *v = json_object();

    set(w, o, name, v);
    return v;
}

static void append(struct writing *w, json_t *a, json_t *value)
{
    if (json_array_append_new(a, value))
        w->failed = true;
}

static const char *words(const struct writing *w, const char *en, const char *zh)
{
    return w->zh && zh ? zh : en;
}

static json_t *one_text(struct writing *w, const char *name, const char *value)
{
    json_t *o = json_object();

    set_text(w, o, name, value);
    return o;
}

static void schema_of(struct writing *w, const struct bdr_shape *shape, bool patch);

static json_t *ref_to(struct writing *w, const struct bdr_shape *shape, bool patch)
{
    char ref[160];

    schema_of(w, shape, patch);
    snprintf(ref, sizeof(ref), "#/components/schemas/%s%s", shape->name, patch ? "Patch" : "");
    return one_text(w, "$ref", ref);
}

static void numbers(struct writing *w, json_t *o, const struct bdr_shape_field *f, enum bdr_shape_type type)
{
    int64_t max = f->max ? f->max : type == BDR_T_U32 ? UINT32_MAX : BDR_SHAPE_INT_MAX;
    int64_t min = type == BDR_T_I64 && !f->min && !f->max ? -BDR_SHAPE_INT_MAX : f->min;

    set_text(w, o, "type", type == BDR_T_REAL ? "number" : "integer");
    if (type != BDR_T_REAL || f->min || f->max)
        set(w, o, "minimum", json_integer(min));
    if (type != BDR_T_REAL || f->max)
        set(w, o, "maximum", json_integer(max));
    if (type == BDR_T_SIZE || type == BDR_T_DURATION)
        set_text(w, o, "x-unit", type == BDR_T_SIZE ? "bytes" : "milliseconds");
}

static void any_of(struct writing *w, json_t *o, bool host)
{
    json_t *a = json_array(), *h;

    append(w, a, one_text(w, "format", "ipv4"));
    append(w, a, one_text(w, "format", "ipv6"));
    if (host) {
        h = one_text(w, "pattern", PATTERN_HOST);
        append(w, a, h);
    }
    set(w, o, "anyOf", a);
}

static void texts(struct writing *w, json_t *o, const struct bdr_shape_field *f, enum bdr_shape_type type)
{
    size_t max = f->len_max ? f->len_max : BDR_SHAPE_TEXT_MAX;

    set_text(w, o, "type", "string");
    if (type == BDR_T_HOST)
        max = BDR_MIN(max, (size_t)253);
    if (type == BDR_T_ID)
        max = BDR_MIN(max, (size_t)64);
    if (f->len_min)
        set(w, o, "minLength", json_integer(f->len_min));
    set(w, o, "maxLength", json_integer((json_int_t)max));
    set_text(w, o, "pattern",
             f->pattern                               ? f->pattern
             : type == BDR_T_ID                       ? PATTERN_ID
             : type == BDR_T_URL                      ? PATTERN_URL
             : type == BDR_T_HOST || type == BDR_T_IP ? NULL
             : f->flags & BDR_F_LINES                 ? PATTERN_LINES
                                                      : PATTERN_TEXT);
    if (type == BDR_T_HOST || type == BDR_T_IP)
        any_of(w, o, type == BDR_T_HOST);
    if (type == BDR_T_URL)
        set_text(w, o, "format", "uri");
    if (type == BDR_T_SECRET)
        set_text(w, o, "format", "password");
}

static void choices(struct writing *w, json_t *o, const struct bdr_shape_field *f)
{
    json_t *names = json_array(), *help = json_object();

    for (const struct bdr_choice *c = f->choices; c->name; c++) {
        append(w, names, json_string(c->name));
        set_text(w, help, c->name, words(w, c->help, c->help_zh));
    }
    set_text(w, o, "type", "string");
    set(w, o, "enum", names);
    set(w, o, "x-help", help);
}

static json_t *type_schema(struct writing *w, const struct bdr_shape_field *f, enum bdr_shape_type type, bool patch)
{
    json_t *o;

    if (type == BDR_T_OBJECT)
        return ref_to(w, f->shape, patch);
    o = json_object();
    if (type_is_number(type) || type == BDR_T_REAL) {
        numbers(w, o, f, type);
    } else if (type == BDR_T_BOOL) {
        set_text(w, o, "type", "boolean");
    } else if (type == BDR_T_TIME) {
        set_text(w, o, "type", "string");
        set_text(w, o, "format", "date-time");
    } else if (type == BDR_T_ENUM) {
        choices(w, o, f);
    } else if (type == BDR_T_JSON) {
        set_text(w, o, "type", "object");
    } else if (type == BDR_T_ARRAY) {
        set_text(w, o, "type", "array");
        set(w, o, "items", type_schema(w, f, f->of, false));
        if (f->n_min)
            set(w, o, "minItems", json_integer(f->n_min));
        set(w, o, "maxItems", json_integer(f->n_max ? f->n_max : BDR_SHAPE_ITEMS_MAX));
    } else {
        texts(w, o, f, type);
    }
    return o;
}

static json_t *default_of(const struct bdr_shape_field *f)
{
    int64_t v = 0;

    if (f->type == BDR_T_BOOL)
        return json_boolean(!strcmp(f->def, "true"));
    if (!type_is_number(f->type) && f->type != BDR_T_REAL)
        return json_string(f->def);
    if (f->type == BDR_T_REAL)
        return json_real(strtod(f->def, NULL));
    v = strtoll(f->def, NULL, 10);
    return json_integer(v);
}

static json_t *field_schema(struct writing *w, const struct bdr_shape_field *f, bool patch)
{
    json_t *o = type_schema(w, f, f->type, patch);

    set_text(w, o, "description", words(w, f->help, f->help_zh));
    if (f->def && !patch)
        set(w, o, "default", default_of(f));
    if (f->flags & BDR_F_READONLY)
        set(w, o, "readOnly", json_true());
    if (f->type == BDR_T_SECRET)
        set(w, o, "writeOnly", json_true());
    return o;
}

static void schema_of(struct writing *w, const struct bdr_shape *shape, bool patch)
{
    json_t *o, *properties, *required;
    char name[128];

    snprintf(name, sizeof(name), "%s%s", shape->name, patch ? "Patch" : "");
    if (json_object_get(w->schemas, name))
        return;
    o = object_in(w, w->schemas, name);
    set_text(w, o, "type", "object");
    set_text(w, o, "description", words(w, shape->help, shape->help_zh));
    properties = object_in(w, o, "properties");
    required = json_array();
    for (const struct bdr_shape_field *f = shape->fields; f->name; f++) {
        set(w, properties, f->name, field_schema(w, f, patch));
        if (f->flags & BDR_F_REQUIRED && !patch)
            append(w, required, json_string(f->name));
    }
    if (json_array_size(required))
        set(w, o, "required", required);
    else
        json_decref(required);
    set(w, o, "additionalProperties", json_false());
}

static void problem_schema(struct writing *w)
{
    static const char *const texts_of[] = {"type", "title", "code", "detail", "request"};
    json_t *o = object_in(w, w->schemas, "Problem"), *p, *required = json_array(), *e, *item;

    set_text(w, o, "type", "object");
    set_text(w, o, "description",
             words(w, "What went wrong and what to do (RFC 9457). `code` is stable.",
                   "出错原因和处理办法（RFC 9457）。code 保持不变。"));
    p = object_in(w, o, "properties");
    for (size_t i = 0; i < BDR_COUNT(texts_of); i++) {
        set(w, p, texts_of[i], one_text(w, "type", "string"));
        append(w, required, json_string(texts_of[i]));
    }
    set(w, p, "status", one_text(w, "type", "integer"));
    append(w, required, json_string("status"));
    e = object_in(w, p, "errors");
    set_text(w, e, "type", "array");
    item = object_in(w, e, "items");
    set_text(w, item, "type", "object");
    p = object_in(w, item, "properties");
    set(w, p, "pointer", one_text(w, "type", "string"));
    set(w, p, "code", one_text(w, "type", "string"));
    set(w, p, "detail", one_text(w, "type", "string"));
    set(w, o, "required", required);
}

static void content(struct writing *w, json_t *o, const char *type, json_t *schema)
{
    set(w, object_in(w, object_in(w, o, "content"), type), "schema", schema);
}

static json_t *parameter(struct writing *w, const char *name, const char *in, bool required, json_t *schema)
{
    json_t *o = json_object();

    set_text(w, o, "name", name);
    set_text(w, o, "in", in);
    if (required)
        set(w, o, "required", json_true());
    set(w, o, "schema", schema);
    return o;
}

static void query_parameters(struct writing *w, const struct bdr_shape *shape, json_t *list)
{
    for (const struct bdr_shape_field *f = shape ? shape->fields : NULL; f && f->name; f++) {
        json_t *p = parameter(w, f->name, "query", f->flags & BDR_F_REQUIRED, field_schema(w, f, false));

        set_text(w, p, "description", words(w, f->help, f->help_zh));
        append(w, list, p);
    }
}

static json_t *path_schema(struct writing *w, const struct segment *s)
{
    json_t *o = one_text(w, "type", s->type == PARAM_U64 ? "integer" : "string");

    if (s->type == PARAM_U64) {
        set(w, o, "minimum", json_integer(0));
        set(w, o, "maximum", json_integer(BDR_SHAPE_INT_MAX));
    } else {
        set_text(w, o, "pattern", PATTERN_PART);
    }
    return o;
}

static void parameters(struct writing *w, const struct compiled *c, json_t *op)
{
    json_t *list = json_array(), *key;
    char name[64];

    for (size_t i = 0; i < c->n; i++)
        if (c->segments[i].param) {
            snprintf(name, sizeof(name), "%.*s", (int)c->segments[i].len, c->segments[i].text);
            append(w, list, parameter(w, name, "path", true, path_schema(w, &c->segments[i])));
        }
    if (c->row->flags & BDR_R_LIST)
        query_parameters(w, &route_page_shape, list);
    query_parameters(w, c->row->query, list);
    if (c->row->flags & BDR_R_IDEMPOTENT) {
        key = one_text(w, "type", "string");
        set_text(w, key, "pattern", "^[!-~]{8,128}$");
        append(w, list, parameter(w, "Idempotency-Key", "header", false, key));
    }
    if (json_array_size(list))
        set(w, op, "parameters", list);
    else
        json_decref(list);
}

static json_t *page_schema(struct writing *w, const struct bdr_shape *item)
{
    json_t *o = one_text(w, "type", "object"), *p = object_in(w, o, "properties"), *items = object_in(w, p, "items"),
           *required = json_array();

    set_text(w, items, "type", "array");
    set(w, items, "items", ref_to(w, item, false));
    set(w, p, "next", one_text(w, "type", "string"));
    append(w, required, json_string("items"));
    set(w, o, "required", required);
    return o;
}

static void bodies(struct writing *w, const struct bdr_route *row, json_t *op)
{
    json_t *responses = object_in(w, op, "responses"), *ok, *bad, *body;
    char status[16];

    snprintf(status, sizeof(status), "%u", row->status ? row->status : row->out || row->out_type ? 200 : 204);
    ok = object_in(w, responses, status);
    set_text(w, ok, "description", words(w, "Done.", "成功。"));
    if (row->flags & BDR_R_LIST)
        content(w, ok, "application/json", page_schema(w, row->out));
    else if (row->out)
        content(w, ok, "application/json", ref_to(w, row->out, false));
    else if (row->out_type)
        content(w, ok, row->out_type, json_object());
    bad = object_in(w, responses, "default");
    set_text(w, bad, "description", words(w, "It failed; the problem says why.", "失败，原因见返回内容。"));
    content(w, bad, "application/problem+json", one_text(w, "$ref", "#/components/schemas/Problem"));
    if (!row->in && !row->in_type)
        return;
    body = object_in(w, op, "requestBody");
    set(w, body, "required", json_true());
    content(w, body, row->in ? "application/json" : row->in_type,
            row->in ? ref_to(w, row->in, row->method == BDR_PATCH) : json_object());
}

static json_t *security(struct writing *w, const struct bdr_route *row)
{
    json_t *list = json_array(), *one, *scopes;

    if (row->flags & BDR_R_ANONYMOUS)
        return list;
    one = json_object();
    scopes = json_array();
    append(w, scopes, json_string(row->perm));
    set(w, one, row->flags & BDR_R_MACHINE ? "machine" : "session", scopes);
    append(w, list, one);
    return list;
}

static void operation(struct writing *w, const struct compiled *c, json_t *paths)
{
    const struct bdr_route *row = c->row;
    char path[256] = "", id[256], method[8];
    json_t *at, *op, *tags;

    for (size_t i = 0; i < c->n; i++)
        snprintf(path + strlen(path), sizeof(path) - strlen(path), c->segments[i].param ? "/{%.*s}" : "/%.*s",
                 (int)c->segments[i].len, c->segments[i].text);
    at = json_object_get(paths, path);
    if (!at)
        at = object_in(w, paths, path);
    snprintf(method, sizeof(method), "%s", bdr_method_name(row->method));
    for (char *p = method; *p; p++)
        *p = (char)(*p | 0x20);
    snprintf(id, sizeof(id), "%s%s", method, path);
    for (char *p = id; *p; p++)
        if (strchr("/{}.-", *p))
            *p = '_';
    op = object_in(w, at, method);
    set_text(w, op, "operationId", id);
    set_text(w, op, "summary", words(w, row->help, row->help_zh));
    if (c->tag) {
        tags = json_array();
        append(w, tags, json_string(c->tag));
        set(w, op, "tags", tags);
    }
    set_text(w, op, "x-permission", row->perm);
    set_text(w, op, "x-cli", row->cli);
    set(w, op, "security", security(w, row));
    parameters(w, c, op);
    bodies(w, row, op);
}

static void document(struct writing *w, json_t *doc)
{
    json_t *info = object_in(w, doc, "info"), *paths, *components, *schemes, *s;

    set_text(w, doc, "openapi", "3.1.0");
    set_text(w, info, "title", w->router->config.title);
    set_text(w, info, "version", w->router->config.version);
    components = object_in(w, doc, "components");
    w->schemas = object_in(w, components, "schemas");
    problem_schema(w);
    schemes = object_in(w, components, "securitySchemes");
    s = object_in(w, schemes, "session");
    set_text(w, s, "type", "http");
    set_text(w, s, "scheme", "bearer");
    set(w, schemes, "machine", one_text(w, "type", "mutualTLS"));
    paths = object_in(w, doc, "paths");
    for (size_t i = 0; i < w->router->n; i++)
        if (!(w->router->rows[i].row->flags & BDR_R_HIDDEN))
            operation(w, &w->router->rows[i], paths);
}

struct bdr_err *bdr_openapi(const struct bdr_router *r, bool zh, char **out_json, size_t *out_len)
{
    struct writing w = {.router = r, .zh = zh};
    json_t *doc = json_object();

    BDR_NOMEM_IF_NULL(doc);
    document(&w, doc);
    *out_json = w.failed ? NULL : json_dumps(doc, JSON_INDENT(1));
    json_decref(doc);
    BDR_NOMEM_IF_NULL(*out_json);
    *out_len = strlen(*out_json);
    return NULL;
}

struct lang_query {
    int lang;
};
static const struct bdr_choice langs[] = {
    {"en", 0, "English", "英文"},
    {"zh", 1, "Chinese", "中文"},
    {.name = NULL},
};
static const struct bdr_shape_field lang_fields[] = {
    {BDR_FIELD(struct lang_query, lang), .type = BDR_T_ENUM, .choices = langs, .def = "en",
     .help = "Language of the descriptions.", .help_zh = "说明文字的语言。"},
    {.name = NULL},
};
const struct bdr_shape bdr_openapi_query = {
    .name = "OpenapiQuery", .size = sizeof(struct lang_query), .fields = lang_fields};

struct bdr_err *bdr_openapi_run(struct bdr_req *req, const void *in, void *out)
{
    const struct found *f = req->app_data;
    const struct lang_query *q = bdr_req_filter(req);
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;

    (void)in;
    (void)out;
    BDR_TRY(bdr_openapi(f->router, q->lang == 1, &text, &len));
    return bdr_req_send(req, 200, "application/json", text, len);
}
