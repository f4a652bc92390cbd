/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xml.h - what S3 answers in XML. The bytes are not trusted: no document type, no network, at most BDR_S3_XML_MAX.
 *
 * Threads: any. Errors: CORRUPT when it is not the document we asked for.
 */
#pragma once
#include "bdr/err.h"

#define BDR_S3_XML_MAX ((size_t)8 << 20) /* a page of 1000 keys of 1024 bytes, each byte escaped, has 3 MB */

struct bdr_s3_entry {
    char *key;       /* owned; decoded */
    char *upload_id; /* owned; of an upload */
    uint64_t size_bytes;
    int64_t started_ms; /* of an upload */
};
struct bdr_s3_page {
    struct bdr_s3_entry *entries;
    size_t n, cap;
    bool more;
    char *next, *next_upload; /* owned; where the next page begins */
};
void bdr_s3_page_free(struct bdr_s3_page *page);
BDR_UNUSED static inline void bdr_auto_s3_page(struct bdr_s3_page *page)
{
    bdr_s3_page_free(page);
}

/* ListBucketResult (version 2) and ListMultipartUploadsResult. */
bdr_ret bdr_s3_xml_list(const void *xml, size_t len, struct bdr_s3_page *out);
bdr_ret bdr_s3_xml_uploads(const void *xml, size_t len, struct bdr_s3_page *out);

/* <Error>; fields are one line of printable ASCII, "" when missing. False when it is no such document. */
struct bdr_s3_error {
    char code[64], message[256], region[64];
};
bool bdr_s3_xml_error(const void *xml, size_t len, struct bdr_s3_error *out);

/* The text of <root><child>text</child></root>. */
bdr_ret bdr_s3_xml_text(const void *xml, size_t len, const char *root, const char *child, char **out);
