/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testd.c - the demo API as a program, for tests that look at a server from outside.
 *
 *   wire-testd          prints its ports and folder as JSON, serves until its standard input ends.
 * Commands on standard input, one a line: "rate N" (bytes a second a taker reads; 0: all), "revoke SERIAL", "stop MS".
 */
#include "bdr/log.h"
#include "demo.h"
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct bdr_http_limits limits = {.connections_per_ip = 20000};
    struct demo *d;
    char line[256];
    uint64_t grace = 1000;

    bdr_log_setup(getenv("TESTD_LOG") ? BDR_LOG_INFO : BDR_LOG_ERROR, false);
    d = demo_new();
    demo_machine(d, NULL, "m1", "agent", 0, 0);
    demo_serve(d, &limits, 0);
    printf("{\"plain\":%u,\"tls\":%u,\"optional\":%u,\"required\":%u,\"folder\":\"%s\"}\n", bdr_http_port(d->server, 0),
           bdr_http_port(d->server, 1), bdr_http_port(d->server, 2), bdr_http_port(d->server, 3), d->folder);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "rate ", 5))
            atomic_store(&d->read_bytes_per_s, strtoull(line + 5, NULL, 10));
        if (!strncmp(line, "revoke ", 7)) {
            pthread_mutex_lock(&d->lock);
            snprintf(d->revoked, sizeof(d->revoked), "%.40s", line + 7);
            pthread_mutex_unlock(&d->lock);
        }
        if (!strncmp(line, "stop ", 5)) {
            grace = strtoull(line + 5, NULL, 10);
            break;
        }
        printf("ok\n");
        fflush(stdout);
    }
    demo_stop(d, grace);
    demo_free(d);
    return 0;
}
