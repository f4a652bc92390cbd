/* SPDX-License-Identifier: Apache-2.0 */
/*
 * install.c - all that port 30080 has: install scripts and packages, for everybody, over plain HTTP. It is a router of
 * its own, so that no row of the API can ever be reached there.
 */
#include "api/api.h"
#include "packages.h"
#include <string.h>

static struct bdr_err *send(struct bdr_req *req, const char *file, const char *type, const char *missing)
{
    struct bdr_err *err;
    int fd = -1;

    err = bdr_packages_open(api_console(req)->packages, file, &fd);
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "told in words");
        BDR_REFUSE(req, BDR_NOTFOUND, "%s", missing);
    }
    BDR_TRY(err);
    return bdr_req_send_file(req, fd, type, file);
}

/* agent.sh is what install_agent.sh is called here. */
static struct bdr_err *script(struct bdr_req *req, const void *in, void *out)
{
    const char *name = bdr_req_param(req, "name");
    char kind[16], file[BDR_SCRIPT_NAME_CHARS];
    size_t n = strlen(name);

    (void)in, (void)out;
    if (n <= 3 || n - 3 >= sizeof(kind) || strcmp(name + n - 3, ".sh") != 0)
        BDR_REFUSE(req, BDR_NOTFOUND, "There are agent.sh, proxy.sh and gateway.sh here.");
    memcpy(kind, name, n - 3);
    kind[n - 3] = 0;
    if (!bdr_packages_script_name(kind, file))
        BDR_REFUSE(req, BDR_NOTFOUND, "There are agent.sh, proxy.sh and gateway.sh here.");
    return send(req, file, "text/x-shellscript", "This console's folder of packages lacks that install script.");
}

struct bdr_err *api_package(struct bdr_req *req, const void *in, void *out)
{
    (void)in, (void)out;
    return send(req, bdr_req_param(req, "file"), "application/octet-stream", "There is no such package here.");
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/install/{name:path}",
     .flags = BDR_R_ANONYMOUS | BDR_R_STREAM_OUT,
     .out_type = "text/x-shellscript",
     .run = script,
     .help = "The script that the install command downloads.",
     .help_zh = "安装脚本"},
    {.method = BDR_GET,
     .path = "/packages/{file:path}",
     .flags = BDR_R_ANONYMOUS | BDR_R_STREAM_OUT,
     .out_type = "application/octet-stream",
     .run = api_package,
     .help = "A package.",
     .help_zh = "安装包下载"},
};
const struct bdr_route_table api_install_table = BDR_ROUTES("install", rows);
