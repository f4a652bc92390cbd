/* SPDX-License-Identifier: Apache-2.0 */
/* What an S3 server answers in XML, as a list, a list of uploads, an error and a single field. */
#include "../../src/repo/store/s3/xml.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    BDR_AUTO(s3_page) struct bdr_s3_page page = {0}, uploads = {0};
    BDR_AUTO(mem) char *text = NULL;
    struct bdr_s3_error told;

    bdr_err_drop(bdr_s3_xml_list(bytes, len, &page), "refusing is right");
    bdr_err_drop(bdr_s3_xml_uploads(bytes, len, &uploads), "refusing is right");
    bdr_err_drop(bdr_s3_xml_text(bytes, len, "InitiateMultipartUploadResult", "UploadId", &text), "refusing is right");
    for (size_t i = 0; i < page.n; i++)
        BDR_ASSERT(page.entries[i].key);
    for (size_t i = 0; i < uploads.n; i++)
        BDR_ASSERT(uploads.entries[i].key && uploads.entries[i].upload_id);
    BDR_ASSERT(!page.more || *page.next);
    if (bdr_s3_xml_error(bytes, len, &told))
        for (const char *c = told.message; *c; c++)
            BDR_ASSERT(*c >= ' ' && *c < 127);
    return 0;
}
