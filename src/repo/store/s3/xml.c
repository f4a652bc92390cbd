/* SPDX-License-Identifier: Apache-2.0 */
#include "xml.h"
#include "bdr/bytes.h"
#include "bdr/clock.h"
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <pthread.h>
#include <string.h>

void bdr_s3_page_free(struct bdr_s3_page *page)
{
    for (size_t i = 0; i < page->n; i++) {
        free(page->entries[i].key);
        free(page->entries[i].upload_id);
    }
    free(page->entries);
    free(page->next);
    free(page->next_upload);
    *page = (struct bdr_s3_page){0};
}

static void xml_doc_free(xmlDoc **doc)
{
    if (*doc)
        xmlFreeDoc(*doc);
}
#define AUTO_DOC __attribute__((cleanup(xml_doc_free)))

/* NULL unless it is a well-formed document without a document type whose root is named `root`. */
static xmlDoc *xml_parse(const void *xml, size_t len, const char *root)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    AUTO_DOC xmlDoc *doc = NULL;
    const xmlNode *top;

    pthread_once(&once, xmlInitParser);
    if (!len || len > BDR_S3_XML_MAX)
        return NULL;
    doc = xmlReadMemory(xml, (int)len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!doc || doc->intSubset || doc->extSubset)
        return NULL;
    top = xmlDocGetRootElement(doc);
    if (!top || strcmp((const char *)top->name, root))
        return NULL;
    return BDR_STEAL(doc);
}

static const xmlNode *xml_child(const xmlNode *node, const char *name)
{
    for (const xmlNode *c = node->children; c; c = c->next)
        if (c->type == XML_ELEMENT_NODE && !strcmp((const char *)c->name, name))
            return c;
    return NULL;
}

/* The text of a child, "" when there is none; owned by the caller. NOMEM. */
static struct bdr_err *xml_text(const xmlNode *node, const char *name, char **out)
{
    const xmlNode *child = xml_child(node, name);
    xmlChar *text = child ? xmlNodeGetContent(child) : NULL;
    char *copy = strdup(text ? (const char *)text : "");

    xmlFree(text);
    BDR_NOMEM_IF_NULL(copy);
    free(*out);
    *out = copy;
    return NULL;
}

static struct bdr_err *xml_corrupt(struct bdr_err *err, const char *name)
{
    return err ? bdr_err_recode(err, BDR_CORRUPT, BDR_AT, "reading <%s> of the S3 server's list", name) : NULL;
}

static struct bdr_err *xml_u64(const xmlNode *node, const char *name, uint64_t *out)
{
    BDR_AUTO(mem) char *text = NULL;

    BDR_TRY(xml_text(node, name, &text));
    return xml_corrupt(bdr_u64_parse(text, UINT64_MAX, out), name);
}

static int xml_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Undoes encoding-type=url in place. False on a bad escape or a NUL in disguise. */
static bool xml_url_decode(char *s)
{
    char *to = s;

    for (; *s; s++) {
        if (*s == '%') {
            int hi = xml_hex_digit(s[1]), lo = hi < 0 ? -1 : xml_hex_digit(s[2]);

            if (lo < 0 || hi * 16 + lo == 0)
                return false;
            *to++ = (char)(hi * 16 + lo);
            s += 2;
        } else {
            *to++ = *s == '+' ? ' ' : *s;
        }
    }
    *to = 0;
    return true;
}

static struct bdr_err *xml_key(const xmlNode *node, const char *name, bool encoded, char **out)
{
    BDR_TRY(xml_text(node, name, out));
    if (encoded && !xml_url_decode(*out))
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server sent a list with a badly encoded <%s>", name);
    return NULL;
}

/* A new, empty row. */
static struct bdr_err *page_add(struct bdr_s3_page *page, struct bdr_s3_entry **out)
{
    if (page->n == page->cap) {
        size_t cap = page->cap ? 2 * page->cap : 128;
        struct bdr_s3_entry *entries = reallocarray(page->entries, cap, sizeof(*entries));

        BDR_NOMEM_IF_NULL(entries);
        page->entries = entries;
        page->cap = cap;
    }
    page->entries[page->n] = (struct bdr_s3_entry){0};
    *out = &page->entries[page->n++];
    return NULL;
}

/* What both kinds of list have in common: whether names are encoded, and whether there is more. */
static struct bdr_err *xml_page_head(const xmlNode *top, bool *out_encoded, bool *out_more)
{
    BDR_AUTO(mem) char *encoding = NULL, *more = NULL;

    BDR_TRY(xml_text(top, "EncodingType", &encoding));
    BDR_TRY(xml_text(top, "IsTruncated", &more));
    if (strcmp(more, "true") && strcmp(more, "false"))
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server sent a list without <IsTruncated>");
    *out_encoded = !strcmp(encoding, "url");
    *out_more = !strcmp(more, "true");
    return NULL;
}

struct bdr_err *bdr_s3_xml_list(const void *xml, size_t len, struct bdr_s3_page *out)
{
    AUTO_DOC xmlDoc *doc = xml_parse(xml, len, "ListBucketResult");
    BDR_AUTO(s3_page) struct bdr_s3_page page = {0};
    const xmlNode *top;
    bool encoded;

    if (!doc)
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server sent something that is not a list of objects");
    top = xmlDocGetRootElement(doc);
    BDR_TRY(xml_page_head(top, &encoded, &page.more));
    BDR_TRY(xml_text(top, "NextContinuationToken", &page.next));
    if (page.more && !*page.next)
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server sent a truncated list without <NextContinuationToken>");
    for (const xmlNode *c = top->children; c; c = c->next) {
        struct bdr_s3_entry *entry = NULL;

        if (c->type != XML_ELEMENT_NODE || strcmp((const char *)c->name, "Contents"))
            continue;
        BDR_TRY(page_add(&page, &entry));
        BDR_TRY(xml_key(c, "Key", encoded, &entry->key));
        BDR_TRY(xml_u64(c, "Size", &entry->size_bytes));
    }
    *out = page;
    page = (struct bdr_s3_page){0};
    return NULL;
}

/* "2026-11-22T18:43:24.123Z", also without the fraction. */
static struct bdr_err *xml_time(const xmlNode *node, const char *name, int64_t *out_ms)
{
    BDR_AUTO(mem) char *text = NULL;
    char *dot;

    BDR_TRY(xml_text(node, name, &text));
    dot = strchr(text, '.');
    if (dot)
        memcpy(dot, "Z", 2);
    return xml_corrupt(bdr_clock_parse(text, out_ms), name);
}

struct bdr_err *bdr_s3_xml_uploads(const void *xml, size_t len, struct bdr_s3_page *out)
{
    AUTO_DOC xmlDoc *doc = xml_parse(xml, len, "ListMultipartUploadsResult");
    BDR_AUTO(s3_page) struct bdr_s3_page page = {0};
    const xmlNode *top;
    bool encoded;

    if (!doc)
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server sent something that is not a list of uploads");
    top = xmlDocGetRootElement(doc);
    BDR_TRY(xml_page_head(top, &encoded, &page.more));
    BDR_TRY(xml_key(top, "NextKeyMarker", encoded, &page.next));
    BDR_TRY(xml_text(top, "NextUploadIdMarker", &page.next_upload));
    if (page.more && !*page.next)
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server sent a truncated list without <NextKeyMarker>");
    for (const xmlNode *c = top->children; c; c = c->next) {
        struct bdr_s3_entry *entry = NULL;

        if (c->type != XML_ELEMENT_NODE || strcmp((const char *)c->name, "Upload"))
            continue;
        BDR_TRY(page_add(&page, &entry));
        BDR_TRY(xml_key(c, "Key", encoded, &entry->key));
        BDR_TRY(xml_text(c, "UploadId", &entry->upload_id));
        BDR_TRY(xml_time(c, "Initiated", &entry->started_ms));
    }
    *out = page;
    page = (struct bdr_s3_page){0};
    return NULL;
}

/* Copies what may be shown: one line, printable ASCII. */
static void xml_shown(char *to, size_t n, const char *from)
{
    size_t i = 0;

    for (; *from && i + 1 < n; from++)
        to[i++] = *from >= ' ' && *from < 127 ? *from : '?';
    to[i] = 0;
}

bool bdr_s3_xml_error(const void *xml, size_t len, struct bdr_s3_error *out)
{
    AUTO_DOC xmlDoc *doc = xml_parse(xml, len, "Error");
    const struct {
        const char *name;
        char *to;
        size_t n;
    } rows[] = {{"Code", out->code, sizeof(out->code)},
                {"Message", out->message, sizeof(out->message)},
                {"Region", out->region, sizeof(out->region)}};

    *out = (struct bdr_s3_error){0};
    if (!doc)
        return false;
    for (size_t i = 0; i < BDR_COUNT(rows); i++) {
        BDR_AUTO(mem) char *text = NULL;

        bdr_err_drop(xml_text(xmlDocGetRootElement(doc), rows[i].name, &text), "without it the status tells enough");
        if (text)
            xml_shown(rows[i].to, rows[i].n, text);
    }
    return true;
}

struct bdr_err *bdr_s3_xml_text(const void *xml, size_t len, const char *root, const char *child, char **out)
{
    AUTO_DOC xmlDoc *doc = xml_parse(xml, len, root);
    BDR_AUTO(mem) char *text = NULL;

    if (doc)
        BDR_TRY(xml_text(xmlDocGetRootElement(doc), child, &text));
    if (!text || !*text)
        BDR_FAIL(BDR_CORRUPT, 0, "the S3 server sent something else than <%s><%s>", root, child);
    *out = BDR_STEAL(text);
    return NULL;
}
