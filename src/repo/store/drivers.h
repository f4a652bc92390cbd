/* SPDX-License-Identifier: Apache-2.0 */
/* drivers.h - the store drivers, for store.c alone. */
#pragma once
#include "bdr/store.h"

/* No key is or begins with this folder: drivers keep unfinished objects in it. */
#define BDR_STORE_TMP "tmp"

extern const struct bdr_store_driver bdr_store_fs;
extern const struct bdr_store_driver bdr_store_mem;
