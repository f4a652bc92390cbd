/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape.h - the form of a JSON body or a query, as a table; it reads, checks, writes and documents.
 *
 * One row a field: the JSON name, the place in a C struct, what values are right, what it means in two languages.
 * From the rows come: JSON -> struct with every mistake reported at once, struct -> JSON, OpenAPI schemas, forms.
 * Tables are constant, outlive all use, and pass bdr_shape_check (the router does that at start).
 * Depends on: base, jansson, libcurl (URLs).      Threads: any (a result belongs to its arena's thread).
 *
 * C types:  BOOL bool · U32 uint32_t · U64, SIZE (bytes), DURATION (ms) uint64_t · I64, TIME (wall ms) int64_t ·
 *           REAL double · ENUM int · TEXT, ID, HOST, IP, URL, SECRET const char * (NULL: absent) ·
 *           OBJECT the struct itself · ARRAY BDR_ARRAY(T) · JSON json_t * (borrowed; NULL: absent)
 * On the wire SIZE and DURATION are integers, TIME is RFC 3339 text, ENUM is text.
 */
#pragma once
#include "bdr/arena.h"
#include "bdr/bytes.h"
#include <jansson.h>

enum bdr_shape_type {
    BDR_T_NONE,
    BDR_T_BOOL,
    BDR_T_U32,
    BDR_T_U64,
    BDR_T_I64,
    BDR_T_REAL,
    BDR_T_SIZE,
    BDR_T_DURATION,
    BDR_T_TIME,
    BDR_T_ENUM,
    BDR_T_TEXT,   /* no control characters; with BDR_F_LINES newlines and tabs are fine */
    BDR_T_ID,     /* 1..64 of A-Z a-z 0-9 . _ - */
    BDR_T_HOST,   /* host name or IP address */
    BDR_T_IP,     /* IPv4 or IPv6 address */
    BDR_T_URL,    /* http:// or https:// */
    BDR_T_SECRET, /* text that goes in and never comes out */
    BDR_T_OBJECT,
    BDR_T_ARRAY,
    BDR_T_JSON, /* any object; for what only another program understands */
    BDR_T_END
};

enum bdr_shape_flag {
    BDR_F_REQUIRED = 1,
    BDR_F_READONLY = 2, /* the server sets it; refused in a request */
    BDR_F_LINES = 4,
};

/* JavaScript's largest exact integer: larger numbers change silently in a browser (RFC 7493 2.2). */
#define BDR_SHAPE_INT_MAX    9007199254740991
#define BDR_SHAPE_TEXT_MAX   1024u /* characters of a text without len_max */
#define BDR_SHAPE_ITEMS_MAX  1000u /* items of an array without n_max */
#define BDR_SHAPE_DEPTH_MAX  32u   /* brackets in each other, before jansson sees the text */
#define BDR_SHAPE_FAULTS_MAX 64u   /* mistakes told of one body */

struct bdr_choice {
    const char *name; /* NULL ends */
    int value;
    const char *help, *help_zh;
};

struct bdr_shape;
struct bdr_shape_field {
    const char *name; /* NULL ends a table */
    enum bdr_shape_type type;
    enum bdr_shape_type of; /* ARRAY: what its items are; min, max, len_*, pattern, choices are theirs */
    unsigned flags;         /* enum bdr_shape_flag */
    size_t offset, size;    /* filled by BDR_FIELD */
    size_t has;             /* 1 + offset of a bool "it was given" / "show it"; 0: none; filled by BDR_FIELD_HAS */
    const struct bdr_shape *shape;    /* OBJECT, ARRAY of OBJECT */
    const struct bdr_choice *choices; /* ENUM */
    const char *def;                  /* as in a query: "true", "5", "full"; NULL: zero */
    int64_t min, max;                 /* numbers; max 0: the type's (a minimum alone is fine) */
    uint32_t len_min, len_max;        /* characters */
    uint32_t n_min, n_max;            /* items */
    const char *pattern;              /* POSIX extended, anchored, in what ECMA-262 understands alike */
    const char *help, *help_zh;
};
struct bdr_shape {
    const char *name; /* of the schema: "HostNew" */
    size_t size;
    const struct bdr_shape_field *fields;
    const char *help, *help_zh;
};

#define BDR_FIELD(type_, member_)                                                                                      \
    .name = #member_, .offset = offsetof(type_, member_), .size = sizeof(((type_ *)0)->member_)
#define BDR_FIELD_HAS(type_, member_) BDR_FIELD(type_, member_), .has = 1 + offsetof(type_, has_##member_)
#define BDR_ARRAY(T)                                                                                                   \
    struct {                                                                                                           \
        T *items;                                                                                                      \
        size_t n;                                                                                                      \
    }

struct bdr_fault {
    const char *pointer; /* RFC 6901: "/disks/0/size"; "?limit" for a query */
    enum bdr_code code;  /* INVAL, RANGE */
    const char *text;    /* "is 70000; the most is 65535" */
};
struct bdr_faults {
    struct bdr_fault items[BDR_SHAPE_FAULTS_MAX];
    size_t n;
    bool more; /* there were still others */
};

enum bdr_shape_mode {
    BDR_SHAPE_REQUEST,  /* unknown and read-only fields are mistakes; secrets are taken */
    BDR_SHAPE_PATCH,    /* the same; nothing is required, no defaults: `has` tells what was given */
    BDR_SHAPE_RESPONSE, /* what a newer server adds is passed over; secrets are neither there nor missed */
};

/* INTERNAL and what is wrong with the table itself. */
bdr_ret bdr_shape_check(const struct bdr_shape *shape);
/*
 * Reads `len` bytes of JSON into out[shape->size], which is zeroed first.
 *
 * Shape:   strings and arrays live in `arena`. `faults` (may be NULL) gets every mistake, texts in `arena`.
 * Errors:  INVAL not JSON, or mistakes (then faults->n > 0); NOMEM. `out` is not to be used then.
 */
bdr_ret bdr_shape_read(const struct bdr_shape *shape, enum bdr_shape_mode mode, const char *text, size_t len,
                       struct bdr_arena *arena, void *out, struct bdr_faults *faults);

struct bdr_pair {
    const char *name, *value;
};
/*
 * The same from the pairs of a query: scalars, and arrays of scalars by giving a name several times.
 */
bdr_ret bdr_shape_read_query(const struct bdr_shape *shape, const struct bdr_pair *pairs, size_t n,
                             struct bdr_arena *arena, void *out, struct bdr_faults *faults);
/*
 * Appends the JSON of `in`. RESPONSE: without secrets. REQUEST: with secrets, without read-only fields.
 *
 * Shape:   an absent value (NULL text, `has` false) is left out; a NUL stands behind, not counted; bytes that are not UTF-8 become U+FFFD.
 * Errors:  INTERNAL a required text is NULL, an enum has no such value, a number is past BDR_SHAPE_INT_MAX; NOMEM.
 */
bdr_ret bdr_shape_write(const struct bdr_shape *shape, enum bdr_shape_mode mode, const void *in, struct bdr_buf *out);

/* Appends `text` as a JSON string; what is not UTF-8 becomes U+FFFD. NULL is null. */
void bdr_json_put_text(struct bdr_buf *out, const char *text);
/* jansson on bytes from outside: depth, duplicates, NUL are refused. INVAL, NOMEM. */
bdr_ret bdr_json_read(const char *text, size_t len, json_t **out);
/* "2026-11-22T18:15:00.250Z", also with an offset (RFC 3339). False when it is none. */
bool bdr_rfc3339_read(const char *text, int64_t *out_wall_ms);
/* The reverse, always UTC with milliseconds; buf[32]. Years 0000 to 9999. */
const char *bdr_rfc3339_text(int64_t wall_ms, char buf[32]);
/* Words of a type for messages and OpenAPI: what is expected, "a host name or an IP address". */
const char *bdr_shape_type_text(enum bdr_shape_type type);
