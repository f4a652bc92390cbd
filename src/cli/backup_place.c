/* SPDX-License-Identifier: Apache-2.0 */
/* backup_place.c - where a backup goes: a repository that is opened here, or a gateway. */
#include "backup_args.h"
#include "bdr/clock.h"
#include "bdr/priority.h"
#include "engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool place_is_gateway(const char *url)
{
    return !strncmp(url, "https://", 8);
}

static struct bdr_err *place_gateway(const struct backup_args *a, const char *url, struct backup_place *out)
{
    if (!a->host_number || !a->gateway_cert || !a->gateway_key || !a->gateway_ca)
        BDR_FAIL(BDR_INVAL, 0, "a gateway wants --host-number, --cert, --key and --ca: who this machine is, and whom it trusts");
    if (a->take_over || a->host_id)
        BDR_FAIL(BDR_INVAL, 0, "--take-over and --host-id are decided by whoever manages the gateway");
    bdr_os_thrifty();
    atomic_store(&out->bandwidth_bps, a->bandwidth_bps);
    return bdr_sink_gateway(&(struct bdr_gateway_config){.url = url,
                                                         .ca_file = a->gateway_ca,
                                                         .cert_file = a->gateway_cert,
                                                         .key_file = a->gateway_key,
                                                         .proxy = a->proxy,
                                                         .host = a->host_number,
                                                         /* nobody numbers the runs of a command, so time does */
                                                         .fence = a->fence ? a->fence : (uint64_t)bdr_clock_wall_ms(),
                                                         .bandwidth_bps = &out->bandwidth_bps},
                            &out->sink);
}

/* Beside the indexes of repositories elsewhere. Nowhere to put it: none. */
static void place_scan_dir(const struct backup_args *a, const struct bdr_cli *cli, char out[512])
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME"), *own = cli->common->cache_dir;
    int n = 0;

    if (a->no_scan_cache)
        n = 0;
    else if (own)
        n = snprintf(out, 512, "%s/scan", own);
    else if (xdg && *xdg)
        n = snprintf(out, 512, "%s/bdr/scan", xdg);
    else if (home && *home)
        n = snprintf(out, 512, "%s/.cache/bdr/scan", home);
    if (n <= 0 || n >= 512)
        out[0] = 0;
}

struct bdr_err *backup_place_open(const struct backup_args *a, struct bdr_cli *cli, struct backup_place *out)
{
    const char *url = NULL;

    place_scan_dir(a, cli, out->scan_dir);
    BDR_TRY(bdr_cli_repo(cli, NULL, &url));
    if (place_is_gateway(url))
        return place_gateway(a, url, out);
    if (a->host_number || a->gateway_cert || a->gateway_key || a->gateway_ca || a->proxy || a->fence || a->bandwidth_bps)
        BDR_FAIL(BDR_INVAL, 0, "--host-number, --fence, --cert, --key, --ca, --proxy and --bandwidth are for a gateway, "
                               "and %s is none", url);
    BDR_TRY(bdr_cli_open_writer(cli, &out->repo));
    return bdr_sink_local(out->repo, &out->sink);
}

void backup_place_close(struct backup_place *p)
{
    bdr_sink_free(p->sink);
    bdr_repo_close(p->repo);
}
