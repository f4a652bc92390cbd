/* SPDX-License-Identifier: Apache-2.0 */
/* harm.h - damaging a repository folder in the ways that disks and people do. */
#pragma once
#include <stdint.h>

enum harm_class { HARM_DATA, HARM_NODE };
enum harm_how {
    HARM_FLIP,   /* one bit in the middle of the entries */
    HARM_ZERO,   /* all entries are zeros */
    HARM_TABLE,  /* one bit in the table */
    HARM_TEAR,   /* the second half is missing */
    HARM_DELETE, /* the object is gone */
};
/* Harms every `each`-th pack of the class in the repository folder (1: all); returns how many. */
unsigned harm_packs(const char *repo, enum harm_class cls, enum harm_how how, unsigned each);
/* Objects below a folder of the repository. */
unsigned harm_count(const char *repo, const char *folder);
