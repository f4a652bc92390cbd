/* SPDX-License-Identifier: Apache-2.0 */
#include "recover_state.h"
#include "bdr/bytes.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define STATE_MAGIC    "bdr-recover "
#define STATE_VERSION  1
#define STATE_FILE_MAX (64u << 20)
#define STATE_SUM_LINE 69 /* "sum " + 64 hex + newline */

struct bdr_err *recover_state_init(struct recover_state *st, const char *point, uint32_t disk, uint64_t size_bytes,
                                   uint32_t span_bytes)
{
    struct recover_state made = {.disk = disk, .size_bytes = size_bytes, .span_bytes = span_bytes};

    made.n_spans = size_bytes / span_bytes + (size_bytes % span_bytes != 0);
    if (made.n_spans > RECOVER_SPANS_MAX)
        BDR_FAIL(BDR_RANGE, 0, "a disk of %llu bytes is too large", (unsigned long long)size_bytes);
    snprintf(made.point, sizeof(made.point), "%s", point);
    made.done = calloc((size_t)(made.n_spans / 8 + 1), 1);
    BDR_NOMEM_IF_NULL(made.done);
    *st = made;
    return NULL;
}

void recover_state_free(struct recover_state *st)
{
    free(st->done);
    *st = (struct recover_state){0};
}

bool recover_state_get(const struct recover_state *st, uint64_t span)
{
    return st->done[span / 8] >> (span % 8) & 1;
}

void recover_state_set(struct recover_state *st, uint64_t span, bool done)
{
    uint8_t bit = (uint8_t)(1u << (span % 8));

    if (done)
        st->done[span / 8] |= bit;
    else
        st->done[span / 8] &= (uint8_t)~bit;
}

static void state_sum(const void *data, size_t len, char hex[65])
{
    uint8_t digest[32] = {0};

    BDR_ASSERT(EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) == 1);
    bdr_hex(digest, sizeof(digest), hex);
}

void recover_state_format(const struct recover_state *st, struct bdr_buf *out)
{
    size_t start = out->len;
    char hex[65];

    bdr_buf_printf(out, STATE_MAGIC "%d\npoint %s\ndisk %u\nsize %llu\nspan %u\n", STATE_VERSION, st->point, st->disk,
                   (unsigned long long)st->size_bytes, st->span_bytes);
    for (uint64_t i = 0; i < st->n_spans; i++) {
        uint64_t first = i;

        while (i < st->n_spans && recover_state_get(st, i))
            i++;
        if (i > first) {
            uint64_t off = first * st->span_bytes, end = BDR_MIN(i * st->span_bytes, st->size_bytes);

            bdr_buf_printf(out, "done %llu %llu\n", (unsigned long long)off, (unsigned long long)(end - off));
        }
    }
    if (out->failed)
        return;
    state_sum(out->data + start, out->len - start, hex);
    bdr_buf_printf(out, "sum %s\n", hex);
}

/* Reads decimal digits up to `end_char`; false when there are none or too many. */
static bool state_number(const char **at, const char *end, char end_char, uint64_t max, uint64_t *out)
{
    const char *p = *at;
    uint64_t v = 0;

    if (p == end || *p < '0' || *p > '9')
        return false;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        uint64_t d = (uint64_t)(*p - '0');

        if (v > (max - d) / 10 || d > max)
            return false;
        v = v * 10 + d;
    }
    if (p == end || *p != end_char)
        return false;
    *at = p + 1;
    *out = v;
    return true;
}

static bool state_word(const char **at, const char *end, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(end - *at) < n || memcmp(*at, word, n))
        return false;
    *at += n;
    return true;
}

static bool state_point(const char **at, const char *end, char point[33])
{
    uint8_t raw[16];

    if (end - *at < 33 || (*at)[32] != '\n')
        return false;
    memcpy(point, *at, 32);
    point[32] = 0;
    *at += 33;
    return bdr_unhex(point, raw, sizeof(raw));
}

/* "done OFF LEN": whole spans, increasing. */
static bool state_done(struct recover_state *st, uint64_t off, uint64_t len, uint64_t *next)
{
    uint64_t end;

    if (!len || off > st->size_bytes || len > st->size_bytes - off)
        return false;
    end = off + len;
    if (off % st->span_bytes || (end % st->span_bytes && end != st->size_bytes) || off < *next)
        return false;
    for (uint64_t i = off / st->span_bytes; i * st->span_bytes < end; i++)
        recover_state_set(st, i, true);
    *next = end;
    return true;
}

struct bdr_err *recover_state_parse(const char *text, size_t len, struct recover_state *out)
{
    BDR_AUTO(recover_state) struct recover_state st = {0};
    const char *at = text, *end;
    uint64_t version, disk, size, span, off, n, next = 0;
    char hex[65], point[33];

    if (!state_word(&at, text + len, STATE_MAGIC) || !state_number(&at, text + len, '\n', UINT32_MAX, &version))
        BDR_FAIL(BDR_CORRUPT, 0, "not the state of a recover");
    if (version > STATE_VERSION)
        BDR_FAIL(BDR_VERSION, 0, "the state of a newer program (version %llu)", (unsigned long long)version);
    if (version < STATE_VERSION || len < STATE_SUM_LINE)
        BDR_FAIL(BDR_CORRUPT, 0, "the state is cut short");
    end = text + len - STATE_SUM_LINE;
    state_sum(text, (size_t)(end - text), hex);
    if (memcmp(end, "sum ", 4) || memcmp(end + 4, hex, 64) || end[68] != '\n')
        BDR_FAIL(BDR_CORRUPT, 0, "the checksum is wrong");
    if (!state_word(&at, end, "point ") || !state_point(&at, end, point) || !state_word(&at, end, "disk ") ||
        !state_number(&at, end, '\n', UINT32_MAX, &disk) || !state_word(&at, end, "size ") ||
        !state_number(&at, end, '\n', INT64_MAX, &size) || !state_word(&at, end, "span ") ||
        !state_number(&at, end, '\n', RECOVER_SPAN_MAX, &span) || span < RECOVER_SPAN_MIN || (span & (span - 1)))
        BDR_FAIL(BDR_CORRUPT, 0, "a field is missing");
    BDR_TRY(recover_state_init(&st, point, (uint32_t)disk, size, (uint32_t)span));
    while (at < end)
        if (!state_word(&at, end, "done ") || !state_number(&at, end, ' ', INT64_MAX, &off) ||
            !state_number(&at, end, '\n', INT64_MAX, &n) || !state_done(&st, off, n, &next))
            BDR_FAIL(BDR_CORRUPT, 0, "a line is not understood");
    *out = st;
    st.done = NULL;
    return NULL;
}

struct bdr_err *recover_state_load(const char *path, struct recover_state *out, bool *out_found)
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0;
    struct bdr_err *err = bdr_os_read_file(path, STATE_FILE_MAX, &text, &len);

    if (err && err->code == BDR_NOTFOUND) {
        bdr_err_drop(err, "no earlier run: an answer");
        *out_found = false;
        return NULL;
    }
    if (!err)
        err = recover_state_parse(text, len, out);
    if (err)
        return bdr_err_wrap(err, BDR_AT, "reading %s (remove it and recover with --force to start over)", path);
    *out_found = true;
    return NULL;
}

static struct bdr_err *state_sync_folder(const char *path)
{
    BDR_AUTO(mem) char *copy = strdup(path);

    BDR_NOMEM_IF_NULL(copy);
    return bdr_os_fsync_dir(dirname(copy));
}

struct bdr_err *recover_state_save(const char *path, const struct recover_state *st)
{
    BDR_AUTO(buf) struct bdr_buf text = {0};
    BDR_AUTO(mem) char *tmp = NULL;
    BDR_AUTO(fd) int fd = -1;

    recover_state_format(st, &text);
    BDR_TRY(bdr_buf_check(&text));
    if (asprintf(&tmp, "%s.tmp", path) < 0)
        BDR_NOMEM_IF_NULL(NULL);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        BDR_FAIL_ERRNO("creating %s", tmp);
    BDR_TRY(bdr_os_write(fd, tmp, text.data, text.len));
    if (fsync(fd))
        BDR_FAIL_ERRNO("flushing %s", tmp);
    if (rename(tmp, path))
        BDR_FAIL_ERRNO("renaming %s", tmp);
    return state_sync_folder(path);
}

struct bdr_err *recover_state_remove(const char *path)
{
    if (unlink(path)) {
        if (errno == ENOENT)
            return NULL;
        BDR_FAIL_ERRNO("removing %s", path);
    }
    return state_sync_folder(path);
}
