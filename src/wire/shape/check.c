/* SPDX-License-Identifier: Apache-2.0 */
/* Is a table itself right? A mistake here is a programmer's: it is found when the program starts. */
#include "shape_i.h"
#include <string.h>

#define NEST_MAX 8

static struct bdr_err *default_check(const struct bdr_shape_field *f)
{
    BDR_AUTO(arena) struct bdr_arena *arena = NULL;
    BDR_AUTO(mem) struct bdr_faults *faults = calloc(1, sizeof(*faults));
    struct reading r = {.faults = faults};
    union {
        int64_t i;
        void *p;
    } place;

    BDR_NOMEM_IF_NULL(faults);
    BDR_TRY(bdr_arena_new(&arena));
    r.arena = arena;
    scalar_read(&r, NULL, f, f->type, (struct scalar){.text = f->def, .len = strlen(f->def)}, &place);
    return reading_result(&r);
}

static struct bdr_err *field_check(const struct bdr_shape_field *f, unsigned depth);

static struct bdr_err *shape_check(const struct bdr_shape *shape, unsigned depth)
{
    if (!shape->name || !shape->fields || !shape->size || depth > NEST_MAX)
        BDR_FAIL(BDR_INTERNAL, 0, "a shape needs a name, fields and a size, and nests at most %d deep", NEST_MAX);
    for (const struct bdr_shape_field *f = shape->fields; f->name; f++) {
        for (const struct bdr_shape_field *g = shape->fields; g != f; g++)
            if (!strcmp(f->name, g->name))
                BDR_FAIL(BDR_INTERNAL, 0, "shape %s has field %s twice", shape->name, f->name);
        if (f->offset + f->size > shape->size || f->has > shape->size)
            BDR_FAIL(BDR_INTERNAL, 0, "shape %s: field %s lies outside of its struct", shape->name, f->name);
        BDR_TRY_FOR(field_check(f, depth), "shape %s: field %s", shape->name, f->name);
    }
    return NULL;
}

static struct bdr_err *field_check(const struct bdr_shape_field *f, unsigned depth)
{
    enum bdr_shape_type scalar = f->type == BDR_T_ARRAY ? f->of : f->type;
    size_t want = f->type == BDR_T_ARRAY    ? sizeof(void *) + sizeof(size_t)
                  : f->type == BDR_T_OBJECT ? (f->shape ? f->shape->size : 0)
                                            : scalar_size(f->type);

    if (f->type <= BDR_T_NONE || f->type >= BDR_T_END || !f->help || !f->help_zh)
        BDR_FAIL(BDR_INTERNAL, 0, "it needs a type and its help in English and Chinese");
    if ((scalar == BDR_T_OBJECT) != (f->shape != NULL) || (scalar == BDR_T_ENUM) != (f->choices != NULL))
        BDR_FAIL(BDR_INTERNAL, 0, ".shape goes with objects, .choices with enums");
    if (scalar == BDR_T_ARRAY || scalar == BDR_T_NONE || (f->of && f->type != BDR_T_ARRAY))
        BDR_FAIL(BDR_INTERNAL, 0, ".of is what an array holds, and no array itself");
    if (f->size != want)
        BDR_FAIL(BDR_INTERNAL, 0, "its C type has %zu bytes, %s has %zu", f->size, bdr_shape_type_text(f->type), want);
    if (f->max && f->max < f->min)
        BDR_FAIL(BDR_INTERNAL, 0, ".max is less than .min");
    if (f->pattern && (!type_is_text(scalar) || text_matches(f->pattern, "") < 0 || f->pattern[0] != '^'))
        BDR_FAIL(BDR_INTERNAL, 0, "its pattern is not right, or not for a text");
    if (f->def && (f->flags & BDR_F_REQUIRED || !f->size || f->type == BDR_T_ARRAY || f->type == BDR_T_OBJECT))
        BDR_FAIL(BDR_INTERNAL, 0, "a default is for scalars that are not required");
    if (f->def)
        BDR_TRY_FOR(default_check(f), "its default");
    return f->shape ? shape_check(f->shape, depth + 1) : NULL;
}

struct bdr_err *bdr_shape_check(const struct bdr_shape *shape)
{
    struct bdr_err *err = shape_check(shape, 0);

    return err && err->code != BDR_NOMEM ? bdr_err_recode(err, BDR_INTERNAL, BDR_AT, "a table is wrong") : err;
}
