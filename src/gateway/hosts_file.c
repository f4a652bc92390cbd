/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts_file.h"
#include "bdr/bytes.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX (4u << 20)
#define FILE_WORDS_MAX 16u
#define FILE_VALID_S   60u

struct host_row {
    uint64_t number, repository, bandwidth_bps;
    char label[128], machine[65], identity[65];
};
struct hosts {
    struct gw_repo_spec *repos;
    struct host_row *hosts;
    char (*revoked)[65];
    size_t n_repos, n_hosts, n_revoked;
};
struct gw_hosts_file {
    char *path;
    pthread_mutex_t lock; /* guards all below */
    struct hosts now;
    struct timespec changed;
    off_t size;
};

static void hosts_free(struct hosts *h)
{
    for (size_t i = 0; i < h->n_repos; i++)
        gw_repo_spec_free(&h->repos[i]);
    free(h->repos);
    free(h->hosts);
    free(h->revoked);
    *h = (struct hosts){0};
}

/* ---- reading ---- */

/* Cuts a line into words in place; what stands behind # is for people. */
static size_t line_words(char *line, char *words[FILE_WORDS_MAX])
{
    size_t n = 0;

    line[strcspn(line, "#")] = 0;
    for (char *at = line; n < FILE_WORDS_MAX; n++) {
        at += strspn(at, " \t\r");
        if (!*at)
            break;
        words[n] = at;
        at += strcspn(at, " \t\r");
        if (*at)
            *at++ = 0;
    }
    return n;
}

/* "name=value" among the words; NULL when it is not there. */
static const char *word_value(char *const *words, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strncmp(words[i], name, strlen(name)) && words[i][strlen(name)] == '=')
            return words[i] + strlen(name) + 1;
    return NULL;
}

static struct bdr_err *text_copy(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    if (from)
        BDR_NOMEM_IF_NULL(*to);
    return NULL;
}

static struct bdr_err *known_words(char *const *words, size_t n, const char *const *names, size_t n_names)
{
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;

        while (k < n_names && (strncmp(words[i], names[k], strlen(names[k])) != 0 || words[i][strlen(names[k])] != '='))
            k++;
        if (k == n_names)
            BDR_FAIL(BDR_INVAL, 0, "'%s' is not understood here", words[i]);
    }
    return NULL;
}

static struct bdr_err *repo_line(struct hosts *h, char *const *words, size_t n)
{
    static const char *const names[] = {"passphrase-file", "compress"};
    struct gw_repo_spec *more, *r;

    if (n < 3)
        BDR_FAIL(BDR_INVAL, 0, "write: repository NUMBER PLACE [passphrase-file=FILE] [compress=HOW]");
    BDR_TRY(known_words(words + 3, n - 3, names, BDR_COUNT(names)));
    more = reallocarray(h->repos, h->n_repos + 1, sizeof(*more));
    BDR_NOMEM_IF_NULL(more);
    h->repos = more;
    r = &h->repos[h->n_repos++];
    *r = (struct gw_repo_spec){0};
    BDR_TRY(bdr_u64_parse(words[1], INT64_MAX, &r->id));
    for (size_t i = 0; i + 1 < h->n_repos; i++)
        if (h->repos[i].id == r->id)
            BDR_FAIL(BDR_INVAL, 0, "repository %s is there twice", words[1]);
    BDR_TRY(text_copy(&r->url, words[2]));
    BDR_TRY(text_copy(&r->passphrase_file, word_value(words + 3, n - 3, "passphrase-file")));
    return text_copy(&r->compress, word_value(words + 3, n - 3, "compress"));
}

static struct bdr_err *host_line(struct hosts *h, char *const *words, size_t n)
{
    static const char *const names[] = {"repository", "machine", "bandwidth", "identity"};
    const char *repository, *machine, *bandwidth, *identity;
    struct host_row *more, r = {0};

    if (n < 3)
        BDR_FAIL(BDR_INVAL, 0, "write: host NUMBER NAME repository=N machine=ID [bandwidth=SIZE] [identity=ID]");
    BDR_TRY(known_words(words + 3, n - 3, names, BDR_COUNT(names)));
    repository = word_value(words + 3, n - 3, "repository");
    machine = word_value(words + 3, n - 3, "machine");
    bandwidth = word_value(words + 3, n - 3, "bandwidth");
    identity = word_value(words + 3, n - 3, "identity");
    if (!repository || !machine || strlen(words[2]) > 127 || strlen(machine) > 64 || strlen(identity ? identity : "") > 64)
        BDR_FAIL(BDR_INVAL, 0, "a host needs repository= and machine=, and names of usual length");
    BDR_TRY(bdr_u64_parse(words[1], INT64_MAX, &r.number));
    BDR_TRY(bdr_u64_parse(repository, INT64_MAX, &r.repository));
    if (bandwidth)
        BDR_TRY(bdr_size_parse(bandwidth, &r.bandwidth_bps));
    snprintf(r.label, sizeof(r.label), "%s", words[2]);
    snprintf(r.machine, sizeof(r.machine), "%s", machine);
    snprintf(r.identity, sizeof(r.identity), "%s", identity ? identity : "");
    for (size_t i = 0; i < h->n_hosts; i++) {
        const struct host_row *o = &h->hosts[i];

        /* Several machines may write one host (proxies), but a name is one host's. */
        if ((o->number == r.number) != (!strcmp(o->label, r.label) && o->repository == r.repository))
            BDR_FAIL(BDR_INVAL, 0, "host %s or the name %s is there twice, as another one", words[1], words[2]);
    }
    more = reallocarray(h->hosts, h->n_hosts + 1, sizeof(*more));
    BDR_NOMEM_IF_NULL(more);
    h->hosts = more;
    h->hosts[h->n_hosts++] = r;
    return NULL;
}

static struct bdr_err *revoked_line(struct hosts *h, char *const *words, size_t n)
{
    char(*more)[65];

    if (n != 2 || strlen(words[1]) > 64)
        BDR_FAIL(BDR_INVAL, 0, "write: revoked MACHINE-OR-SERIAL");
    more = reallocarray(h->revoked, h->n_revoked + 1, sizeof(*more));
    BDR_NOMEM_IF_NULL(more);
    h->revoked = more;
    snprintf(h->revoked[h->n_revoked++], 65, "%s", words[1]);
    return NULL;
}

static struct bdr_err *file_line(struct hosts *h, char *line)
{
    char *words[FILE_WORDS_MAX];
    size_t n = line_words(line, words);

    if (!n)
        return NULL;
    if (!strcmp(words[0], "repository"))
        return repo_line(h, words, n);
    if (!strcmp(words[0], "host"))
        return host_line(h, words, n);
    if (!strcmp(words[0], "revoked"))
        return revoked_line(h, words, n);
    BDR_FAIL(BDR_INVAL, 0, "a line begins with repository, host or revoked, not '%s'", words[0]);
}

static struct bdr_err *file_read(const char *path, struct hosts *out)
{
    BDR_AUTO(mem) char *text = NULL;
    size_t len = 0, number = 0;

    BDR_TRY(bdr_os_read_file(path, FILE_BYTES_MAX, &text, &len));
    for (char *at = text; *at;) {
        char *end = at + strcspn(at, "\n"), *next = *end ? end + 1 : end;

        *end = 0;
        number++;
        BDR_TRY_FOR(file_line(out, at), "%s line %zu", path, number);
        at = next;
    }
    return NULL;
}

struct bdr_err *gw_hosts_file_refresh(struct gw_hosts_file *f, bool *out_changed)
{
    struct hosts fresh = {0}, old;
    struct bdr_err *err;
    struct stat st;

    *out_changed = false;
    if (stat(f->path, &st))
        BDR_FAIL_ERRNO("looking at %s", f->path);
    pthread_mutex_lock(&f->lock);
    *out_changed = st.st_size != f->size || st.st_mtim.tv_sec != f->changed.tv_sec || st.st_mtim.tv_nsec != f->changed.tv_nsec;
    pthread_mutex_unlock(&f->lock);
    if (!*out_changed)
        return NULL;
    err = file_read(f->path, &fresh);
    if (err) {
        hosts_free(&fresh);
        *out_changed = false;
        return err;
    }
    pthread_mutex_lock(&f->lock);
    old = f->now;
    f->now = fresh;
    f->size = st.st_size;
    f->changed = st.st_mtim;
    pthread_mutex_unlock(&f->lock);
    hosts_free(&old);
    return NULL;
}

struct bdr_err *gw_hosts_file_open(const char *path, struct gw_hosts_file **out)
{
    struct gw_hosts_file *f = calloc(1, sizeof(*f));
    struct bdr_err *err;
    bool changed;

    BDR_NOMEM_IF_NULL(f);
    pthread_mutex_init(&f->lock, NULL);
    f->size = -1;
    f->path = strdup(path);
    err = f->path ? gw_hosts_file_refresh(f, &changed) : bdr_err_new(BDR_NOMEM, 0, BDR_AT, "allocating memory");
    if (err) {
        gw_hosts_file_close(f);
        return err;
    }
    *out = f;
    return NULL;
}

void gw_hosts_file_close(struct gw_hosts_file *f)
{
    if (!f)
        return;
    hosts_free(&f->now);
    pthread_mutex_destroy(&f->lock);
    free(f->path);
    free(f);
}

/* ---- answering ---- */

static bool file_revoked(void *ctx, const char *machine, const char *serial)
{
    struct gw_hosts_file *f = ctx;
    bool found = false;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->now.n_revoked && !found; i++)
        found = !strcmp(f->now.revoked[i], machine) || !strcmp(f->now.revoked[i], serial);
    pthread_mutex_unlock(&f->lock);
    return found;
}

static struct bdr_err *file_authorise(void *ctx, const struct gw_question *q, const struct bdr_cancel *cancel,
                                      struct gw_leave *out)
{
    struct gw_hosts_file *f = ctx;
    bool found = false;

    (void)cancel;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->now.n_hosts && !found; i++) {
        const struct host_row *r = &f->now.hosts[i];

        if (r->number != q->host || strcmp(r->machine, q->machine) != 0)
            continue;
        *out = (struct gw_leave){.repository = r->repository, .bandwidth_bps = r->bandwidth_bps, .valid_s = FILE_VALID_S};
        snprintf(out->label, sizeof(out->label), "%s", r->label);
        snprintf(out->identity, sizeof(out->identity), "%s", r->identity);
        found = true;
    }
    pthread_mutex_unlock(&f->lock);
    if (!found || file_revoked(f, q->machine, q->serial))
        BDR_FAIL(BDR_DENIED, 0, "machine %s may not write host %llu", q->machine, (unsigned long long)q->host);
    return NULL;
}

static struct bdr_err *file_repository(void *ctx, uint64_t id, const struct bdr_cancel *cancel, struct gw_repo_spec *out)
{
    struct gw_hosts_file *f = ctx;
    struct bdr_err *err = bdr_err_new(BDR_NOTFOUND, 0, BDR_AT, "%s names no repository %llu", f->path,
                                      (unsigned long long)id);

    (void)cancel;
    *out = (struct gw_repo_spec){.id = id};
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->now.n_repos; i++) {
        const struct gw_repo_spec *r = &f->now.repos[i];

        if (r->id != id)
            continue;
        bdr_err_drop(err, "it does");
        err = text_copy(&out->url, r->url);
        if (!err)
            err = text_copy(&out->passphrase_file, r->passphrase_file);
        if (!err)
            err = text_copy(&out->compress, r->compress);
        break;
    }
    pthread_mutex_unlock(&f->lock);
    if (err)
        gw_repo_spec_free(out);
    return err;
}

static struct bdr_err *file_repositories(void *ctx, const struct bdr_cancel *cancel, uint64_t **out, size_t *out_n)
{
    struct gw_hosts_file *f = ctx;
    uint64_t *all;

    (void)cancel;
    pthread_mutex_lock(&f->lock);
    all = calloc(f->now.n_repos + 1, sizeof(*all));
    for (size_t i = 0; all && i < f->now.n_repos; i++)
        all[i] = f->now.repos[i].id;
    *out_n = f->now.n_repos;
    pthread_mutex_unlock(&f->lock);
    BDR_NOMEM_IF_NULL(all);
    *out = all;
    return NULL;
}

struct gw_authority gw_hosts_file_authority(struct gw_hosts_file *f)
{
    return (struct gw_authority){.authorise = file_authorise, .repository = file_repository,
                                 .repositories = file_repositories, .revoked = file_revoked, .ctx = f};
}
