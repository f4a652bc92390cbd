/* SPDX-License-Identifier: Apache-2.0 */
/* Answering with a file: whole, a range of it, or "you have it already". RFC 9110 13, 14. */
#include "file.h"
#include "bdr/bytes.h"
#include "http_i.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static bool number(const char **at, uint64_t *out)
{
    uint64_t v = 0;
    const char *p = *at;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (v > (INT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (uint64_t)(*p - '0');
    }
    if (p == *at)
        return false;
    *at = p;
    *out = v;
    return true;
}

enum http_range http_range_read(const char *text, uint64_t size, uint64_t *out_off, uint64_t *out_len)
{
    uint64_t first = 0, last;
    const char *at = text + 6;
    bool has_first;

    if (strncmp(text, "bytes=", 6))
        return HTTP_RANGE_ALL;
    has_first = number(&at, &first);
    if (*at++ != '-')
        return HTTP_RANGE_ALL;
    if (*at) {
        if (!number(&at, &last) || *at)
            return HTTP_RANGE_ALL; /* also several ranges: the whole is a right answer to them */
    } else if (!has_first) {
        return HTTP_RANGE_ALL;
    } else {
        last = UINT64_MAX;
    }
    if (!has_first) { /* the last so many bytes */
        if (!last || !size)
            return HTTP_RANGE_NONE;
        first = last < size ? size - last : 0;
        last = size - 1;
    }
    if (last < first)
        return HTTP_RANGE_ALL;
    if (first >= size)
        return HTTP_RANGE_NONE;
    *out_off = first;
    *out_len = BDR_MIN(last, size - 1) - first + 1;
    return HTTP_RANGE_PART;
}

static bool etag_listed(const char *list, const char *etag)
{
    const char *hit = strstr(list, etag);

    return !strcmp(list, "*") || (hit && (hit == list || hit[-1] == ' ' || hit[-1] == ',' || hit[-1] == '/'));
}

/* Name for saving: what would need quoting or could be a path becomes '_'. */
static struct bdr_err *disposition(struct bdr_req *req, const char *name)
{
    char *text = bdr_arena_printf(req->arena, "attachment; filename=\"%s\"", name);

    BDR_NOMEM_IF_NULL(text);
    for (char *p = text + strlen("attachment; filename=\""); p[0] && p[1]; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e || strchr("\"\\/", *p))
            *p = '_';
    return bdr_req_set_header(req, "Content-Disposition", text);
}

static struct bdr_err *file_headers(struct bdr_req *req, const struct stat *st, const char *type, const char *name,
                                    const char *etag)
{
    char date[40];
    struct tm tm;

    if (name)
        BDR_TRY(disposition(req, name));
    BDR_TRY(bdr_req_set_header(req, "Content-Type", type));
    BDR_TRY(bdr_req_set_header(req, "Accept-Ranges", "bytes"));
    BDR_TRY(bdr_req_set_header(req, "ETag", etag));
    if (gmtime_r(&st->st_mtime, &tm) && strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm))
        BDR_TRY(bdr_req_set_header(req, "Last-Modified", date));
    if (http_has_header(req, "Cache-Control"))
        return NULL;
    return bdr_req_set_header(req, "Cache-Control", "no-cache"); /* keep it, but ask whether it changed */
}

struct bdr_err *bdr_req_send_file(struct bdr_req *req, int fd_given, const char *type, const char *name)
{
    BDR_AUTO(fd) int fd = fd_given;
    const char *none_match = bdr_req_header(req, "If-None-Match"), *if_range = bdr_req_header(req, "If-Range");
    const char *range = bdr_req_header(req, "Range");
    uint64_t off = 0, len;
    unsigned status = 200;
    char etag[80], text[80];
    struct stat st;

    if (fstat(fd, &st))
        BDR_FAIL_ERRNO("answering with a file");
    if (!S_ISREG(st.st_mode))
        BDR_FAIL(BDR_NOTFOUND, 0, "no plain file");
    len = (uint64_t)st.st_size;
    snprintf(etag, sizeof(etag), "\"%llx-%llx-%llx\"", (unsigned long long)st.st_ino, (unsigned long long)st.st_size,
             (unsigned long long)st.st_mtim.tv_sec * 1000000000u + (unsigned long long)st.st_mtim.tv_nsec);
    BDR_TRY(file_headers(req, &st, type, name, etag));
    if (none_match && etag_listed(none_match, etag))
        return bdr_req_send(req, 304, NULL, NULL, 0);
    if (range && (!if_range || !strcmp(if_range, etag)))
        switch (http_range_read(range, len, &off, &len)) {
        case HTTP_RANGE_PART:
            status = 206;
            snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)off,
                     (unsigned long long)(off + len - 1), (unsigned long long)st.st_size);
            BDR_TRY(bdr_req_set_header(req, "Content-Range", text));
            break;
        case HTTP_RANGE_NONE:
            snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)st.st_size);
            BDR_TRY(bdr_req_set_header(req, "Content-Range", text));
            return bdr_req_send(req, 416, NULL, NULL, 0);
        case HTTP_RANGE_ALL:
            break;
        }
    pthread_mutex_lock(&req->lock);
    BDR_ASSERT(req->answer.kind == ANSWER_NONE);
    req->answer.kind = ANSWER_FILE;
    req->answer.status = status;
    req->answer.fd = bdr_fd_steal(&fd);
    req->answer.file_off = off;
    req->answer.file_len = len;
    pthread_mutex_unlock(&req->lock);
    return NULL;
}
