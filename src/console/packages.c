/* SPDX-License-Identifier: Apache-2.0 */
#include "packages.h"
#include "bdr/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_MAX_CHARS 128
#define PRINTS         64 /* packages whose prints are kept */
#define PIECE          65536u

/* A print is good as long as the file is the same one and was not written to. */
struct print {
    char name[NAME_MAX_CHARS + 1];
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
    char hex[65];
};
struct bdr_packages {
    char *folder;         /* owned */
    pthread_mutex_t lock; /* guards prints and next */
    struct print prints[PRINTS];
    size_t next;
};

struct bdr_err *bdr_packages_new(const char *folder, struct bdr_packages **out)
{
    struct bdr_packages *p = calloc(1, sizeof(*p));

    BDR_NOMEM_IF_NULL(p);
    p->folder = strdup(folder);
    if (!p->folder) {
        free(p);
        BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
    }
    pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return NULL;
}

void bdr_packages_free(struct bdr_packages *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->lock);
    free(p->folder);
    free(p);
}

bool bdr_package_name_ok(const char *name)
{
    size_t n = strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._+~-");

    return n > 0 && n <= NAME_MAX_CHARS && !name[n] && name[0] != '.' && name[0] != '-';
}

struct bdr_err *bdr_packages_open(struct bdr_packages *p, const char *name, int *out_fd)
{
    BDR_AUTO(fd) int folder = -1;
    BDR_AUTO(fd) int fd = -1;
    struct stat st;

    if (!bdr_package_name_ok(name))
        BDR_FAIL(BDR_NOTFOUND, 0, "that is no package's name");
    folder = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) /* NONBLOCK: a FIFO would keep us waiting */
        fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR || errno == ENXIO))
        BDR_FAIL(BDR_NOTFOUND, errno, "there is no file %s in %s", name, p->folder);
    if (fd < 0)
        BDR_FAIL_ERRNO("opening %s in %s", name, p->folder);
    if (fstat(fd, &st) != 0)
        BDR_FAIL_ERRNO("looking at %s in %s", name, p->folder);
    if (!S_ISREG(st.st_mode))
        BDR_FAIL(BDR_NOTFOUND, 0, "%s in %s is no plain file", name, p->folder);
    *out_fd = bdr_fd_steal(&fd);
    return NULL;
}

/* ---- prints ---- */

static void md_free(EVP_MD_CTX **md)
{
    EVP_MD_CTX_free(*md);
}

static struct bdr_err *print_make(int fd, const char *name, char out[65])
{
    __attribute__((cleanup(md_free))) EVP_MD_CTX *md = EVP_MD_CTX_new();
    BDR_AUTO(mem) uint8_t *buf = malloc(PIECE);
    uint8_t hash[32];
    ssize_t n;

    BDR_NOMEM_IF_NULL(md);
    BDR_NOMEM_IF_NULL(buf);
    if (!EVP_DigestInit_ex(md, EVP_sha256(), NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "hashing");
    while ((n = read(fd, buf, PIECE)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            BDR_FAIL_ERRNO("reading %s", name);
        if (!EVP_DigestUpdate(md, buf, (size_t)n))
            BDR_FAIL(BDR_INTERNAL, 0, "hashing");
    }
    if (!EVP_DigestFinal_ex(md, hash, NULL))
        BDR_FAIL(BDR_INTERNAL, 0, "hashing");
    bdr_hex(hash, sizeof(hash), out);
    return NULL;
}

static bool print_kept(struct bdr_packages *p, const char *name, const struct stat *st, char out[65])
{
    bool found = false;

    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < PRINTS && !found; i++) {
        const struct print *k = &p->prints[i];

        found = !strcmp(k->name, name) && k->dev == st->st_dev && k->ino == st->st_ino && k->size == st->st_size &&
                k->changed.tv_sec == st->st_ctim.tv_sec && k->changed.tv_nsec == st->st_ctim.tv_nsec;
        if (found)
            memcpy(out, k->hex, sizeof(k->hex));
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

static void print_keep(struct bdr_packages *p, const char *name, const struct stat *st, const char hex[65])
{
    struct print *k = NULL;

    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < PRINTS; i++)
        if (!strcmp(p->prints[i].name, name))
            k = &p->prints[i];
    if (!k)
        k = &p->prints[p->next++ % PRINTS];
    snprintf(k->name, sizeof(k->name), "%s", name);
    k->dev = st->st_dev;
    k->ino = st->st_ino;
    k->size = st->st_size;
    k->changed = st->st_ctim;
    memcpy(k->hex, hex, sizeof(k->hex));
    pthread_mutex_unlock(&p->lock);
}

struct bdr_err *bdr_packages_print(struct bdr_packages *p, const char *name, char out[65])
{
    BDR_AUTO(fd) int fd = -1;
    struct stat st;

    BDR_TRY(bdr_packages_open(p, name, &fd));
    if (fstat(fd, &st) != 0)
        BDR_FAIL_ERRNO("looking at %s", name);
    if (print_kept(p, name, &st, out))
        return NULL;
    BDR_TRY(print_make(fd, name, out));
    print_keep(p, name, &st, out);
    return NULL;
}

/* ---- scripts ---- */

bool bdr_packages_script_name(const char *kind, char out[BDR_SCRIPT_NAME_CHARS])
{
    static const char *const kinds[] = {"agent", "proxy", "gateway"};

    for (size_t i = 0; i < BDR_COUNT(kinds); i++)
        if (!strcmp(kinds[i], kind)) {
            snprintf(out, BDR_SCRIPT_NAME_CHARS, "install_%s.sh", kind);
            return true;
        }
    return false;
}
