/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include <string.h>

/* docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; QuotaExceeded is Ceph's, XMinioStorageFull MinIO's. */
static const struct {
    const char *name;
    enum bdr_code code;
    bool retry;
    const char *advice;
} rows[] = {
    {"AccessDenied", BDR_DENIED, false, "; check what the access key may do"},
    {"AllAccessDisabled", BDR_DENIED, false, ""},
    {"AccountProblem", BDR_DENIED, false, ""},
    {"InvalidAccessKeyId", BDR_DENIED, false, "; check AWS_ACCESS_KEY_ID"},
    {"SignatureDoesNotMatch", BDR_DENIED, false, "; check AWS_SECRET_ACCESS_KEY"},
    {"ExpiredToken", BDR_DENIED, false, "; get a new AWS_SESSION_TOKEN"},
    {"InvalidToken", BDR_DENIED, false, "; check AWS_SESSION_TOKEN"},
    {"RequestTimeTooSkewed", BDR_DENIED, false, "; set this machine's clock or the server's"},
    {"NoSuchBucket", BDR_NOTFOUND, false, "; create the bucket, or check its name and the endpoint"},
    {"NoSuchKey", BDR_NOTFOUND, false, ""},
    {"NoSuchUpload", BDR_STALE, false, "; a clean-up removed the unfinished upload, or it was completed"},
    {"PreconditionFailed", BDR_EXISTS, false, ""},
    {"QuotaExceeded", BDR_NOSPACE, false, "; raise the quota of the bucket or user"},
    {"InsufficientStorage", BDR_NOSPACE, false, ""},
    {"XMinioStorageFull", BDR_NOSPACE, false, ""},
    {"EntityTooLarge", BDR_RANGE, false, ""},
    {"InvalidRange", BDR_RANGE, false, ""},
    {"NotImplemented", BDR_UNSUPPORTED, false, ""},
    {"BadDigest", BDR_CORRUPT, true, "; data is damaged on its way to the server"},
    {"XAmzContentSHA256Mismatch", BDR_CORRUPT, true, "; data is damaged on its way to the server"},
    {"IncompleteBody", BDR_NET, true, ""},
    {"RequestTimeout", BDR_TIMEOUT, true, ""},
    {"SlowDown", BDR_THROTTLED, true, ""},
    {"ConditionalRequestConflict", BDR_BUSY, true, ""},
    {"OperationAborted", BDR_BUSY, true, ""},
    {"ConcurrentModification", BDR_BUSY, true, ""},
};

static const struct {
    int status;
    enum bdr_code code;
    bool retry;
} statuses[] = {
    {400, BDR_INVAL, false},  {401, BDR_DENIED, false},      {403, BDR_DENIED, false}, {404, BDR_NOTFOUND, false},
    {405, BDR_DENIED, false}, {408, BDR_TIMEOUT, true},      {409, BDR_BUSY, false},   {411, BDR_INVAL, false},
    {412, BDR_EXISTS, false}, {413, BDR_RANGE, false},       {416, BDR_RANGE, false},  {429, BDR_THROTTLED, true},
    {500, BDR_IO, true},      {501, BDR_UNSUPPORTED, false}, {502, BDR_NET, true},     {503, BDR_THROTTLED, true},
    {504, BDR_TIMEOUT, true}, {507, BDR_NOSPACE, false},
};

void bdr_s3_error_read(const struct bdr_s3_reply *reply, struct bdr_s3_problem *out)
{
    *out = (struct bdr_s3_problem){.code = BDR_IO, .advice = ""};
    for (size_t i = 0; i < BDR_COUNT(statuses); i++)
        if (statuses[i].status == reply->status) {
            out->code = statuses[i].code;
            out->retry = statuses[i].retry;
        }
    if (!bdr_s3_xml_error(reply->body.data, reply->body.len, &out->told))
        return;
    for (size_t i = 0; i < BDR_COUNT(rows); i++)
        if (!strcmp(rows[i].name, out->told.code)) {
            out->code = rows[i].code;
            out->retry = rows[i].retry || out->retry;
            out->advice = rows[i].advice;
        }
    /* Two makers at once: the loser is told to try again, and will find the object there. */
    if (reply->status == 409 && !strncmp(out->told.code, "Bucket", 6))
        out->code = BDR_EXISTS;
}

struct bdr_err *bdr_s3_error_make(const struct bdr_s3_config *cfg, const char *method, const char *key,
                                  const struct bdr_s3_reply *reply)
{
    const char *slash = key ? "/" : "";
    struct bdr_s3_problem p;

    bdr_s3_error_read(reply, &p);
    if (!key)
        key = "";
    if (reply->status == 301 || reply->status == 307 || reply->status == 308 ||
        !strcmp(p.told.code, "AuthorizationHeaderMalformed")) {
        const char *region = *reply->region ? reply->region : p.told.region;

        if (*region && strcmp(region, cfg->region))
            BDR_FAIL(BDR_INVAL, reply->status, "bucket %s is in region %s, not %s: set AWS_REGION=%s", cfg->bucket,
                     region, cfg->region, region);
        BDR_FAIL(BDR_INVAL, reply->status,
                 "bucket %s is served from another address (%s): check AWS_REGION (now %s) "
                 "and AWS_ENDPOINT_URL",
                 cfg->bucket, *p.told.message ? p.told.message : "redirect", cfg->region);
    }
    if (!*p.told.code)
        return bdr_err_new(p.code, reply->status, BDR_AT, "%s s3://%s%s%s: the server answered %s", method, cfg->bucket,
                           slash, key, bdr_code_title(p.code));
    return bdr_err_new(p.code, reply->status, BDR_AT, "%s s3://%s%s%s: %s%s%s%s", method, cfg->bucket, slash, key,
                       p.told.code, *p.told.message ? ": " : "", p.told.message, p.advice);
}
