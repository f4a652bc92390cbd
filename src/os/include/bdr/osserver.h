/* SPDX-License-Identifier: Apache-2.0 */
/* osserver.h - what a server with many connections asks the kernel for. Threads: any. */
#pragma once
#include "bdr/err.h"
#include <stdint.h>

/*
 * Lets this process open `want` files, or as many as it may allow itself (systemd and shells begin with 1024); fewer
 * than now is never the result.
 */
bdr_ret bdr_os_files_allow(uint64_t want, uint64_t *out_may);
/* Bytes that the other side of a TCP connection has said it has, since the connection began. */
bdr_ret bdr_os_socket_acked(int fd, uint64_t *out);
