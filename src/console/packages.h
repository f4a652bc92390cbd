/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packages.h - the folder of packages and install scripts that port 30080 serves, and nothing around it.
 *
 *   FOLDER/<file>                  a package; served as it is
 *   FOLDER/install/<kind>.sh.in    the install script of agent, proxy, gateway; @VERSION@ and @SHA256:<file>@ are
 * filled in
 *
 * What comes over plain HTTP is believed by its print alone: the command that people paste came by HTTPS and holds the
 * print of the script; the script holds those of the packages. So a script is the same for everybody.
 * Threads: any.
 */
#pragma once
#include "bdr/err.h"

struct bdr_packages;
/* The folder may be missing: everything is NOTFOUND then, until it is there. */
bdr_ret bdr_packages_new(const char *folder, struct bdr_packages **out);
void bdr_packages_free(struct bdr_packages *p);
/* Is this the name of a package? Letters, digits, . _ + ~ -; no dot first; at most 128. */
bool bdr_package_name_ok(const char *name);
/* Opens a package. NOTFOUND there is none; links and what is no plain file are none. */
bdr_ret bdr_packages_open(struct bdr_packages *p, const char *name, int *out_fd);
/* SHA-256 of a package, hex; kept until the file changes. NOTFOUND. */
bdr_ret bdr_packages_print(struct bdr_packages *p, const char *name, char out[65]);
/* The script of a kind of machine, filled in; caller frees. NOTFOUND; CORRUPT it names a package by a wrong name. */
bdr_ret bdr_packages_script(struct bdr_packages *p, const char *kind, char **out, size_t *out_len, char out_print[65]);
