/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonset.h - building JSON objects that lose no member when memory is short; BDR_AUTO(json).
 *
 * A manifest without "root" would be a disk of zeros, a key object without "wrapped" a repository nobody can open.
 * Threads: as the object.
 */
#pragma once
#include "bdr/err.h"
#include <jansson.h>
#include <string.h>

BDR_AUTO_DEFINE(json, json_t *, json_decref)

/* Sets a member; takes over v, and NULL (what a constructor of jansson returns without memory) is NOMEM. */
BDR_UNUSED BDR_MUST_USE static inline struct bdr_err *bdr_json_set(json_t *o, const char *name, json_t *v)
{
    if (json_object_set_new(o, name, v))
        BDR_FAIL(BDR_NOMEM, 0, "building a JSON object");
    return NULL;
}

/* The same for a text from outside: what is not UTF-8 in it (a path, a text that was cut) becomes '?'. */
BDR_UNUSED BDR_MUST_USE static inline struct bdr_err *bdr_json_set_text(json_t *o, const char *name, const char *text)
{
    json_t *v = json_string(text);
    char *copy;

    if (v)
        return bdr_json_set(o, name, v);
    copy = strdup(text);
    BDR_NOMEM_IF_NULL(copy);
    for (char *p = copy; *p; p++)
        if (*p & 0x80)
            *p = '?';
    v = json_string(copy);
    free(copy);
    return bdr_json_set(o, name, v);
}

/* Appends; takes over v. */
BDR_UNUSED BDR_MUST_USE static inline struct bdr_err *bdr_json_append(json_t *a, json_t *v)
{
    if (json_array_append_new(a, v))
        BDR_FAIL(BDR_NOMEM, 0, "building a JSON array");
    return NULL;
}
