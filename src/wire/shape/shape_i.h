/* SPDX-License-Identifier: Apache-2.0 */
/* shape_i.h - inside of shape: one table a type, one place where mistakes are noted. Threads: one a reading. */
#pragma once
#include "bdr/shape.h"

/* The state of one reading. */
struct reading {
    enum bdr_shape_mode mode;
    struct bdr_arena *arena;
    struct bdr_faults *faults;
    bool nomem;
};
/* Where we are: a list up to the root, so that pointers cost nothing until a mistake is made. */
struct reading_at {
    const struct reading_at *up; /* NULL: the root */
    const char *name;            /* NULL: an item */
    size_t index;
};

void reading_fault(struct reading *r, const struct reading_at *at, enum bdr_code code, const char *fmt, ...)
    BDR_PRINTF(4, 5);
/* The error for the mistakes noted, or NULL. */
bdr_ret reading_result(const struct reading *r);

/* What a scalar is given as: a JSON value, or the text of a query or a default (json NULL). */
struct scalar {
    const json_t *json;
    const char *text;
    size_t len;
};
/* Writes the value into `place` (the type's C type); notes mistakes. False when there was one. */
bool scalar_read(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f,
                 enum bdr_shape_type type, struct scalar in, void *place);
/* Bytes of a type's C type; 0 for those that have none of their own. */
size_t scalar_size(enum bdr_shape_type type);
bool type_is_text(enum bdr_shape_type type);
bool type_is_number(enum bdr_shape_type type);
/* Sets what was not given: default or a complaint. */
void field_absent(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f, void *obj);
void field_mark(const struct bdr_shape_field *f, void *obj);
void unknown_field(struct reading *r, const struct reading_at *at, const struct bdr_shape *shape, const char *name);
/* Room for `n` items of array field `f`, in the arena, stored into obj. NULL: no memory (noted), or n is 0. */
void *array_room(struct reading *r, const struct bdr_shape_field *f, void *obj, size_t n);
size_t item_size(const struct bdr_shape_field *f);
bool array_count_ok(struct reading *r, const struct reading_at *at, const struct bdr_shape_field *f, size_t n);

/* Text forms. */
bool text_is_host(const char *s);
bool text_is_ip(const char *s);
bool text_is_url(const char *s);
/* Characters of UTF-8; false when it is not UTF-8, or holds control characters (lines: but \n, \t). */
bool text_count(const char *s, size_t len, bool lines, size_t *out);
/* -1: the pattern itself is broken. */
int text_matches(const char *pattern, const char *s);
