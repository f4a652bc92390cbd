/* SPDX-License-Identifier: Apache-2.0 */
/*
 * web.c - the web console's files: everything that is not the API, from one folder, for everybody who reaches the port.
 *
 * Nothing in that folder is secret; what must hold is that nothing outside of it is served, that a browser runs only
 * what came from here, and that a new version is seen at once (index.html is asked for again; what it names carries a
 * hash of its content in its name and never changes).
 */
#include "api/api.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX  "index.html"
#define HASHED "assets/" /* names made by the web build: content's hash in each */

static const struct {
    const char *end, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".txt", "text/plain; charset=utf-8"},
};

static const struct {
    const char *name, *value;
} headers[] = {
    /* data: only for the little pictures inside of the style sheet; blob: for pictures that the API gives */
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
     "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
    {"X-Frame-Options", "DENY"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "camera=(), microphone=(), geolocation=()"},
    {"Vary", "Accept-Encoding"},
};

/* NULL: not a kind of file that belongs to the web console. */
static const char *type_of(const char *path)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < BDR_COUNT(types); i++) {
        size_t end = strlen(types[i].end);

        if (len > end && !strcmp(path + len - end, types[i].end))
            return types[i].type;
    }
    return NULL;
}

/* A part that begins with a dot is hidden, or leads upwards. */
static bool has_dot_part(const char *path)
{
    return path[0] == '.' || strstr(path, "/.");
}

static bool takes_gzip(const struct bdr_req *req)
{
    const char *list = bdr_req_header(req, "Accept-Encoding"), *hit = list ? strstr(list, "gzip") : NULL;

    return hit && strncmp(hit, "gzip;q=0", 8) != 0;
}

/* A plain file below the folder; -1 when there is none. A link inside of the folder is not followed. */
static int file_open(int dir, const char *path)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
        close(fd);
        return -1;
    }
    return fd;
}

static struct bdr_err *headers_set(struct bdr_req *req, const char *path)
{
    for (size_t i = 0; i < BDR_COUNT(headers); i++)
        BDR_TRY(bdr_req_set_header(req, headers[i].name, headers[i].value));
    if (!strncmp(path, HASHED, strlen(HASHED)))
        return bdr_req_set_header(req, "Cache-Control", "public, max-age=31536000, immutable");
    return NULL;
}

/* *out_sent false: there is no such file. The build leaves FILE.gz beside what is worth it. */
static struct bdr_err *file_send(struct bdr_req *req, int dir, const char *path, bool *out_sent)
{
    const char *type = type_of(path);
    char packed[512];
    int fd = -1;

    *out_sent = false;
    if (!type)
        return NULL;
    snprintf(packed, sizeof(packed), "%s.gz", path);
    if (takes_gzip(req))
        fd = file_open(dir, packed);
    if (fd >= 0)
        BDR_TRY(bdr_req_set_header(req, "Content-Encoding", "gzip"));
    else
        fd = file_open(dir, path);
    if (fd < 0)
        return NULL;
    *out_sent = true;
    BDR_TRY(headers_set(req, path));
    return bdr_req_send_file(req, fd, type, NULL);
}

static struct bdr_err *web(struct bdr_req *req, const void *in, void *out)
{
    const char *path = bdr_req_param(req, "rest"), *last;
    BDR_AUTO(fd) int dir = -1;
    bool sent = false;

    (void)in, (void)out;
    if (!strcmp(path, "v1") || !strncmp(path, "v1/", 3))
        BDR_REFUSE(req, BDR_NOTFOUND, "There is nothing at this path. Look at /v1/openapi.json for what there is.");
    if (has_dot_part(path))
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no such file.");
    dir = open(api_console(req)->config.web, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        BDR_REFUSE(req, BDR_NOTFOUND,
                   "The web console is not installed on this machine; the API is at /v1/openapi.json.");
    if (*path)
        BDR_TRY(file_send(req, dir, path, &sent));
    if (sent)
        return NULL;
    last = strrchr(path, '/');
    if (strchr(last ? last : path, '.')) /* a file's name: no page of the console has a dot in its path */
        BDR_REFUSE(req, BDR_NOTFOUND, "There is no such file.");
    BDR_TRY(file_send(req, dir, INDEX, &sent));
    if (!sent)
        BDR_REFUSE(req, BDR_NOTFOUND,
                   "The web console is not installed on this machine; the API is at /v1/openapi.json.");
    return NULL;
}

#define PAGE(path_)                                                                                                    \
    {                                                                                                                  \
        .method = BDR_GET, .path = (path_), .flags = BDR_R_ANONYMOUS | BDR_R_HIDDEN | BDR_R_ANY_QUERY, .run = web,     \
        .help = "The web console.", .help_zh = "网页控制台"                                                       \
    }
static const struct bdr_route rows[] = {
    PAGE("/"),
    PAGE("/{rest:path}"),
    {.method = BDR_GET,
     .path = "/packages/{file:path}",
     .flags = BDR_R_ANONYMOUS | BDR_R_HIDDEN | BDR_R_STREAM_OUT,
     .out_type = "application/octet-stream",
     .run = api_package,
     .help = "A package, for the download buttons.",
     .help_zh = "安装包下载"},
};
const struct bdr_route_table api_web_table = BDR_ROUTES("web", rows);
