/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as a client sees them: problem+json (RFC 9457) with a code that does not change.
 *
 * A chain of errors speaks of files, queries and other hosts; none of that leaves. Out go: what bdr_req_refuse said,
 * the mistakes of the body, or a sentence for the code. The log has the chain under the same request id.
 */
#include "bdr/log.h"
#include "route_i.h"
#include <string.h>

#define PROBLEM "application/problem+json"

static const struct {
    unsigned status;
    const char *todo; /* what a person can do when nobody said more */
} rows[BDR_CODE_END] = {
    [BDR_INTERNAL] = {500, "The server failed to do this. Tell its operator the request's id; the log has the reason."},
    [BDR_NOMEM] = {503, "The server is short of memory. Try again in a minute."},
    [BDR_IO] = {500, "The server could not read or write its data. Its operator finds the reason in the log."},
    [BDR_INVAL] = {400, "The request is not right. Check it against the API's description at /v1/openapi.json."},
    [BDR_UNSUPPORTED] = {422, "This is not supported here."},
    [BDR_RANGE] = {422, "A value is outside of what is allowed. Check it against the API's description."},
    [BDR_PARTIAL] = {500, "Only a part was done. Look at the object again to see what is missing."},
    [BDR_CORRUPT] = {500,
                     "Stored data is damaged. Its operator finds what and where in the log; verify and repair it."},
    [BDR_NOTFOUND] = {404, "There is no such thing here. Look at the list for its right name."},
    [BDR_EXISTS] = {409, "There is one already. Choose another name, or change the one there is."},
    [BDR_DENIED] = {403, "You are not allowed to do this. Ask an administrator for the permission."},
    [BDR_AUTH] = {401, "Sign in first, or check your token or certificate."},
    [BDR_NOSPACE] = {507, "The server has no space left. Free some, or ask its operator."},
    [BDR_READONLY] = {409, "This can only be read, not changed."},
    [BDR_CONFLICT] = {409, "This is not possible as things stand. Look at the object again to see why."},
    [BDR_BUSY] = {409, "Somebody else is using it. Wait for that to end, then try again."},
    [BDR_FENCED] = {412, "Somebody newer has taken over this work. Stop, and ask for work again."},
    [BDR_STALE] = {409, "It has changed in the meantime. Read it again, then repeat your change."},
    [BDR_NET] = {502, "Another system could not be reached. Check the network and try again."},
    [BDR_TIMEOUT] = {504, "It took too long. Try again; if that happens often, look at the other system's load."},
    [BDR_THROTTLED] = {429, "Too many requests. Wait as long as Retry-After says."},
    [BDR_VERSION] = {422, "It was made by a newer version. Update this one."},
    [BDR_CANCELLED] = {503, "It was stopped before its end. Try again."},
};

unsigned bdr_status_of_code(enum bdr_code code)
{
    return code > BDR_OK && code < BDR_CODE_END && rows[code].status ? rows[code].status : 500;
}

static void problem_put(struct bdr_buf *b, struct bdr_req *req, unsigned status, enum bdr_code code, const char *detail,
                        const struct bdr_faults *faults)
{
    bdr_buf_printf(b, "{\"type\":\"urn:openbdr:problem:%s\",\"title\":", bdr_code_name(code));
    bdr_json_put_text(b, code == BDR_AUTH ? "not authenticated" : bdr_code_title(code));
    bdr_buf_printf(b, ",\"status\":%u,\"code\":\"%s\",\"detail\":", status, bdr_code_name(code));
    bdr_json_put_text(b, detail);
    bdr_buf_printf(b, ",\"request\":\"%s\"", bdr_req_id(req));
    for (size_t i = 0; faults && i < faults->n; i++) {
        bdr_buf_printf(b, "%s{\"pointer\":", i ? "," : ",\"errors\":[");
        bdr_json_put_text(b, faults->items[i].pointer);
        bdr_buf_printf(b, ",\"code\":\"%s\",\"detail\":", bdr_code_name(faults->items[i].code));
        bdr_json_put_text(b, faults->items[i].text);
        bdr_buf_u8(b, '}');
    }
    bdr_buf_printf(b, faults && faults->n ? "]}" : "}");
}

void problem_send(struct bdr_req *req, unsigned status, enum bdr_code code, const char *detail,
                  const struct bdr_faults *faults)
{
    BDR_AUTO(buf) struct bdr_buf b = {0};
    struct bdr_err *err = NULL;

    if (bdr_req_answered(req)) {
        bdr_req_break(req); /* too late for words */
        return;
    }
    problem_put(&b, req, status, code, detail ? detail : rows[code].todo, faults);
    if (status == 401)
        err = bdr_req_set_header(req, "WWW-Authenticate", "Bearer realm=\"openbdr\"");
    if (!err && (status == 429 || status == 503))
        err = bdr_req_set_header(req, "Retry-After", "5");
    if (!err)
        err = bdr_buf_check(&b);
    if (!err)
        err = bdr_req_send(req, status, PROBLEM, b.data, b.len);
    if (err) {
        bdr_req_break(req);
        bdr_err_drop(err, "no memory even for saying so");
    }
}

unsigned problem_of_err(struct bdr_req *req, struct bdr_err *err, const struct bdr_faults *faults)
{
    unsigned status = bdr_status_of_code(err->code);
    const char *detail = req->refusal;

    if (!faults || !faults->n)
        faults = req->faults;
    if (faults && faults->n && !detail)
        detail = faults->n == 1 ? "One value is not right: see errors." : "Some values are not right: see errors.";
    if (status == 400 && faults && faults->n)
        status = 422;
    if (err->sys == 413)
        status = 413; /* a streamed body went past its limit */
    if (status >= 500)
        BDR_LOG(ERROR, "http.failed", F_STR("id", req->id), F_STR("method", req->method), F_STR("path", req->path),
                F_ERR(err));
    else
        BDR_LOG(INFO, "http.refused", F_STR("id", req->id), F_U64("status", status), F_ERR(err));
    problem_send(req, status, err->code, detail, faults);
    bdr_err_free(err);
    return status;
}
