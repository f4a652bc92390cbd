/* SPDX-License-Identifier: Apache-2.0 */
/* From a JSON text or a query into a struct, every mistake noted. */
#include "bdr/suggest.h"
#include "shape_i.h"
#include <stdio.h>
#include <string.h>

/* jansson goes 2048 levels down on the stack; nothing of ours nests that far. Looks at brackets outside of strings. */
static bool depth_ok(const char *text, size_t len)
{
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        if (in_string) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                in_string = false;
        } else if (text[i] == '"') {
            in_string = true;
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > BDR_SHAPE_DEPTH_MAX)
                return false;
        } else if ((text[i] == '}' || text[i] == ']') && depth) {
            depth--;
        }
    }
    return true;
}

struct bdr_err *bdr_json_read(const char *text, size_t len, json_t **out)
{
    json_error_t e;
    json_t *json;

    if (!depth_ok(text, len))
        BDR_FAIL(BDR_INVAL, 0, "more than %u brackets in each other", BDR_SHAPE_DEPTH_MAX);
    json = json_loadb(len ? text : "", len, JSON_REJECT_DUPLICATES, &e);
    if (!json && json_error_code(&e) == json_error_out_of_memory)
        BDR_FAIL(BDR_NOMEM, 0, "reading JSON");
    if (!json)
        BDR_FAIL(BDR_INVAL, 0, "line %d, column %d: not JSON: %s", e.line, e.column, len ? e.text : "it is empty");
    *out = json;
    return NULL;
}

static bool field_is_taken(const struct reading *r, const struct bdr_shape_field *f)
{
    return r->mode == BDR_SHAPE_RESPONSE || !(f->flags & BDR_F_READONLY);
}

void unknown_field(struct reading *r, const struct reading_at *at, const struct bdr_shape *shape, const char *name)
{
    struct bdr_nearest near = {.typed = name};
    char hint[128];

    for (const struct bdr_shape_field *f = shape->fields; f->name; f++)
        if (field_is_taken(r, f))
            bdr_nearest_offer(&near, f->name);
    reading_fault(r, at, BDR_INVAL, "is not known here%s", bdr_nearest_text(&near, "", hint, sizeof(hint)));
}

void field_mark(const struct bdr_shape_field *f, void *obj)
{
    if (f->has)
        memcpy((char *)obj + f->has - 1, &(bool){true}, sizeof(bool));
}

static void object_defaults(struct reading *r, const struct reading_at *at, const struct bdr_shape *shape, void *obj)
{
    for (const struct bdr_shape_field *f = shape->fields; f->name; f++) {
        const struct reading_at here = {.up = at, .name = f->name};
        char *place = (char *)obj + f->offset;

        if (f->def)
            scalar_read(r, &here, f, f->type, (struct scalar){.text = f->def, .len = strlen(f->def)}, place);
        else if (f->type == BDR_T_OBJECT)
            object_defaults(r, &here, f->shape, place);
        else if (f->type == BDR_T_ENUM && !(f->flags & BDR_F_REQUIRED))
            memcpy(place, &f->choices->value, sizeof(int)); /* zero may be no choice at all */
    }
}

void field_absent(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f, void *obj)
{
    const struct reading_at here = {.up = at, .name = f->name};
    struct bdr_shape one = {.fields = (struct bdr_shape_field[]){*f, {.name = NULL}}};

    if (r->mode == BDR_SHAPE_PATCH)
        return;
    if (f->flags & BDR_F_REQUIRED && field_is_taken(r, f)) {
        if (r->mode == BDR_SHAPE_REQUEST || f->type != BDR_T_SECRET)
            reading_fault(r, &here, BDR_INVAL, "is missing; it must be %s", bdr_shape_type_text(f->type));
        return;
    }
    object_defaults(r, at, &one, obj);
}

size_t item_size(const struct bdr_shape_field *f)
{
    return f->of == BDR_T_OBJECT ? f->shape->size : scalar_size(f->of);
}

void *array_room(struct reading *r, const struct bdr_shape_field *f, void *obj, size_t n)
{
    struct {
        void *items;
        size_t n;
    } array = {.n = n};

    if (n) {
        array.items = bdr_arena_alloc(r->arena, n * item_size(f));
        if (!array.items) {
            r->nomem = true;
            array.n = 0;
        }
    }
    memcpy((char *)obj + f->offset, &array, sizeof(array));
    return array.items;
}

bool array_count_ok(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f, size_t n)
{
    size_t max = f->n_max ? f->n_max : BDR_SHAPE_ITEMS_MAX;

    if (n >= f->n_min && n <= max)
        return true;
    reading_fault(r, at, BDR_RANGE, n > max ? "has %zu items; the most is %zu" : "has %zu items; the least is %zu", n,
                  n > max ? max : (size_t)f->n_min);
    return false;
}

static void object_read(struct reading *r, const struct reading_at *at, const struct bdr_shape *shape,
                        const json_t *json, void *obj);

static void value_read(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f,
                       enum bdr_shape_type type, const json_t *json, void *place)
{
    if (type == BDR_T_OBJECT)
        object_read(r, at, f->shape, json, place);
    else
        scalar_read(r, at, f, type, (struct scalar){.json = json}, place);
}

static void array_read(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f,
                       const json_t *json, void *obj)
{
    char *items;

    if (!json_is_array(json)) {
        reading_fault(r, at, BDR_INVAL, "must be %s", bdr_shape_type_text(BDR_T_ARRAY));
        return;
    }
    /* A newer server may well have more of them than we were built for. */
    if (r->mode != BDR_SHAPE_RESPONSE && !array_count_ok(r, at, f, json_array_size(json)))
        return;
    items = array_room(r, f, obj, json_array_size(json));
    for (size_t i = 0; items && i < json_array_size(json); i++) {
        const struct reading_at here = {.up = at, .index = i};

        value_read(r, &here, f, f->of, json_array_get(json, i), items + i * item_size(f));
    }
}

static const struct bdr_shape_field *field_find(const struct bdr_shape *shape, const char *name)
{
    for (const struct bdr_shape_field *f = shape->fields; f->name; f++)
        if (!strcmp(f->name, name))
            return f;
    return NULL;
}

static void object_read(struct reading *r, const struct reading_at *at, const struct bdr_shape *shape,
                        const json_t *json, void *obj)
{
    const char *name;
    json_t *value;

    if (!json_is_object(json)) {
        reading_fault(r, at, BDR_INVAL, "must be %s", bdr_shape_type_text(BDR_T_OBJECT));
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        const struct reading_at here = {.up = at, .name = name};
        const struct bdr_shape_field *f = field_find(shape, name);

        if (!f) {
            if (r->mode != BDR_SHAPE_RESPONSE)
                unknown_field(r, &here, shape, name);
        } else if (!field_is_taken(r, f)) {
            reading_fault(r, &here, BDR_INVAL, "is set by the server; leave it out");
        } else {
            field_mark(f, obj);
            if (f->type == BDR_T_ARRAY)
                array_read(r, &here, f, value, obj);
            else
                value_read(r, &here, f, f->type, value, (char *)obj + f->offset);
        }
    }
    for (const struct bdr_shape_field *f = shape->fields; f->name; f++)
        if (!json_object_get(json, f->name))
            field_absent(r, at, f, obj);
}

/* The parsed text holds the secrets once more; jansson frees without wiping. */
static void secrets_wipe(const struct bdr_shape *shape, const json_t *json)
{
    for (const struct bdr_shape_field *f = shape->fields; f->name; f++) {
        const json_t *v = json_object_get(json, f->name);

        if (f->type == BDR_T_SECRET && json_is_string(v))
            bdr_wipe((char *)(uintptr_t)json_string_value(v), json_string_length(v));
        if (f->type == BDR_T_OBJECT)
            secrets_wipe(f->shape, v);
        for (size_t i = 0; f->type == BDR_T_ARRAY && f->of == BDR_T_OBJECT && i < json_array_size(v); i++)
            secrets_wipe(f->shape, json_array_get(v, i));
    }
}

struct bdr_err *bdr_shape_read(const struct bdr_shape *shape, enum bdr_shape_mode mode, const char *text, size_t len,
                               struct bdr_arena *arena, void *out, struct bdr_faults *faults)
{
    BDR_AUTO(mem) struct bdr_faults *own = faults ? NULL : calloc(1, sizeof(*own));
    struct reading r = {.mode = mode, .arena = arena, .faults = faults ? faults : own};
    json_t *json = NULL;

    BDR_NOMEM_IF_NULL(r.faults);
    r.faults->n = 0;
    r.faults->more = false;
    memset(out, 0, shape->size);
    BDR_TRY(bdr_json_read(text, len, &json));
    object_read(&r, NULL, shape, json, out);
    secrets_wipe(shape, json);
    json_decref(json);
    return reading_result(&r);
}

static void query_array(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f,
                        const struct bdr_pair *pairs, size_t n, void *out)
{
    size_t count = 0, i = 0;
    char *items;

    for (size_t k = 0; k < n; k++)
        count += !strcmp(pairs[k].name, f->name);
    if (!array_count_ok(r, at, f, count))
        return;
    items = array_room(r, f, out, count);
    for (size_t k = 0; items && k < n; k++)
        if (!strcmp(pairs[k].name, f->name))
            scalar_read(r, at, f, f->of, (struct scalar){.text = pairs[k].value, .len = strlen(pairs[k].value)},
                        items + i++ * item_size(f));
}

struct bdr_err *bdr_shape_read_query(const struct bdr_shape *shape, const struct bdr_pair *pairs, size_t n,
                                     struct bdr_arena *arena, void *out, struct bdr_faults *faults)
{
    BDR_AUTO(mem) struct bdr_faults *own = faults ? NULL : calloc(1, sizeof(*own));
    struct reading r = {.mode = BDR_SHAPE_REQUEST, .arena = arena, .faults = faults ? faults : own};
    char pointer[80];

    BDR_NOMEM_IF_NULL(r.faults);
    r.faults->n = 0;
    r.faults->more = false;
    memset(out, 0, shape->size);
    for (size_t i = 0; i < n; i++)
        if (!field_find(shape, pairs[i].name)) {
            snprintf(pointer, sizeof(pointer), "?%s", pairs[i].name);
            unknown_field(&r, &(struct reading_at){.name = pointer}, shape, pairs[i].name);
        }
    for (const struct bdr_shape_field *f = shape->fields; f->name; f++) {
        const struct bdr_pair *found = NULL;
        struct reading_at at = {.name = pointer};

        snprintf(pointer, sizeof(pointer), "?%s", f->name);
        for (size_t i = 0; i < n; i++) {
            if (strcmp(pairs[i].name, f->name))
                continue;
            if (found && f->type != BDR_T_ARRAY)
                reading_fault(&r, &at, BDR_INVAL, "is given more than once");
            found = &pairs[i];
        }
        if (!found)
            field_absent(&r, NULL, f, out);
        else if (f->type == BDR_T_ARRAY)
            query_array(&r, &at, f, pairs, n, out);
        else
            scalar_read(&r, &at, f, f->type, (struct scalar){.text = found->value, .len = strlen(found->value)},
                        (char *)out + f->offset);
        if (found)
            field_mark(f, out);
    }
    return reading_result(&r);
}
