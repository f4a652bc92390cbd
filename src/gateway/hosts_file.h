/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts_file.h - an authority that is a file, for a gateway without a console.
 *
 *   # what          number  where or who
 *   repository      1       /srv/bdr/repo1  passphrase-file=/etc/bdr/repo1.pass  compress=zstd:2
 *   host            7       web1  repository=1  machine=3f2a..  bandwidth=20M  identity=4c1d..
 *   revoked         3f2a..
 *
 * It is read again when it has changed; one that can't be read leaves what was known in force. Depends on: base, os.
 * Threads: any.      Source: docs/gateway.md
 */
#pragma once
#include "authority.h"

struct gw_hosts_file;
bdr_ret gw_hosts_file_open(const char *path, struct gw_hosts_file **out);
void gw_hosts_file_close(struct gw_hosts_file *f);
/* Looks whether the file has changed; *out_changed: it has, and was read. */
bdr_ret gw_hosts_file_refresh(struct gw_hosts_file *f, bool *out_changed);
struct gw_authority gw_hosts_file_authority(struct gw_hosts_file *f);
