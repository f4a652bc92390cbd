/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packages.h - the folder of packages and install scripts that port 30080 serves, and nothing around it.
 *
 *   FOLDER/<file>               a package
 *   FOLDER/install_<kind>.sh    the install script of agent, proxy, gateway; it holds the print of its package
 *
 * What comes over plain HTTP is believed by its print alone: the command that people paste came to them by HTTPS and
 * holds the print of the script, the script that of the package.
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
#define BDR_SCRIPT_NAME_CHARS 32
/* "install_agent.sh"; false: there is no such kind of machine. */
bool bdr_packages_script_name(const char *kind, char out[BDR_SCRIPT_NAME_CHARS]);
