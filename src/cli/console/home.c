/* SPDX-License-Identifier: Apache-2.0 */
#include "console/home.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX 65536

static struct bdr_err *home_path(char folder[512], char path[600])
{
    const char *home = getenv("HOME");

    if (!home || home[0] != '/')
        BDR_FAIL(BDR_INVAL, 0, "HOME names no folder: a login has no place to be kept");
    snprintf(folder, 512, "%.490s/.config/bdr", home);
    snprintf(path, 600, "%s/console", folder);
    return NULL;
}

void console_home_free(struct console_home *h)
{
    if (h->token)
        bdr_wipe(h->token, strlen(h->token));
    free(h->url);
    free(h->print);
    free(h->token);
    free(h->name);
    *h = (struct console_home){0};
}

static char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));

    return text ? strdup(text) : NULL;
}

struct bdr_err *console_home_read(struct bdr_cli *cli, struct console_home *out)
{
    BDR_AUTO(console_home) struct console_home h = {0};
    BDR_AUTO(mem) char *text = NULL;
    char folder[512], path[600];
    struct stat st;
    size_t len = 0;
    json_t *o = NULL;

    BDR_TRY(home_path(folder, path));
    if (stat(path, &st) != 0) {
        bdr_cli_hint(cli, "run 'bdr login URL' first");
        BDR_FAIL(BDR_NOTFOUND, 0, "you are not logged in to a console");
    }
    if (st.st_mode & 077)
        BDR_FAIL(BDR_DENIED, 0, "others may read %s, which holds a token: chmod 600 it, and log in again", path);
    BDR_TRY(bdr_os_read_file(path, FILE_MAX, &text, &len));
    BDR_TRY_FOR(bdr_json_read(text, len, &o), "%s", path);
    bdr_wipe(text, len);
    h = (struct console_home){text_of(o, "url"), text_of(o, "ca_fingerprint"), text_of(o, "token"), text_of(o, "name")};
    json_decref(o);
    if (!h.url || !h.token)
        BDR_FAIL(BDR_CORRUPT, 0, "%s names no console; log in again", path);
    *out = h;
    h = (struct console_home){0};
    return NULL;
}

struct bdr_err *console_home_write(const struct console_home *h)
{
    char folder[512], path[600];
    struct bdr_err *err;
    json_t *o = json_pack("{s:s,s:s*,s:s,s:s}", "url", h->url, "ca_fingerprint", h->print, "token", h->token, "name",
                          h->name ? h->name : "");
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;

    json_decref(o);
    BDR_NOMEM_IF_NULL(text);
    err = home_path(folder, path);
    if (!err)
        err = bdr_os_mkdirs(folder);
    if (!err)
        err = bdr_os_replace_file(path, text, strlen(text), 0600, false);
    bdr_wipe(text, strlen(text));
    free(text);
    return err;
}

struct bdr_err *console_home_remove(void)
{
    char folder[512], path[600];

    BDR_TRY(home_path(folder, path));
    if (unlink(path) != 0 && errno != ENOENT)
        BDR_FAIL_ERRNO("removing %s", path);
    return NULL;
}

struct bdr_err *console_client(const struct console_home *h, struct bdr_http_client **out)
{
    return bdr_http_client_new(&(struct bdr_http_client_config){.base = h->url,
                                                                .ca_fingerprint = h->print,
                                                                .system_ca = !h->print,
                                                                .bearer = h->token,
                                                                .tries = 2},
                               out);
}
