/* SPDX-License-Identifier: Apache-2.0 */
/*
 * install.c - all that port 30080 has: install scripts and packages, for everybody, over plain HTTP. It is a router of
 * its own, so that no row of the API can ever be reached there.
 */
#include "api/api.h"
#include "packages.h"
#include <string.h>

static struct bdr_err *script(struct bdr_req *req, const void *in, void *out)
{
    const char *name = bdr_req_param(req, "name");
    size_t n = strlen(name), len = 0;
    struct bdr_err *err;
    char kind[16], print[65];
    char *text = NULL;

    (void)in, (void)out;
    if (n <= 3 || n - 3 >= sizeof(kind) || strcmp(name + n - 3, ".sh") != 0)
        BDR_REFUSE(req, BDR_NOTFOUND, "There are agent.sh, proxy.sh and gateway.sh here.");
    memcpy(kind, name, n - 3);
    kind[n - 3] = 0;
    err = bdr_packages_script(api_console(req)->packages, kind, &text, &len, print);
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "told in words");
        BDR_REFUSE(req, BDR_NOTFOUND, "This console has no install script %s; its folder of packages lacks it.", name);
    }
    BDR_TRY(err);
    BDR_TRY(bdr_arena_defer(bdr_req_arena(req), free, text));
    return bdr_req_send(req, 200, "text/x-shellscript; charset=utf-8", text, len);
}

static struct bdr_err *package(struct bdr_req *req, const void *in, void *out)
{
    const char *name = bdr_req_param(req, "file");
    struct bdr_err *err;
    int fd = -1;

    (void)in, (void)out;
    err = bdr_packages_open(api_console(req)->packages, name, &fd);
    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "told in words");
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no such package here.");
    }
    BDR_TRY(err);
    return bdr_req_send_file(req, fd, "application/octet-stream", name);
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
     .run = package,
     .help = "A package.",
     .help_zh = "安装包下载"},
};
const struct bdr_route_table api_install_table = BDR_ROUTES("install", rows);
