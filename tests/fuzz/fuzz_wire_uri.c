/* SPDX-License-Identifier: Apache-2.0 */
/* A machine's identity, a fingerprint as people paste it, a time, an address: short texts. */
#include "bdr/ca.h"
#include "bdr/shape.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char text[256], machine[BDR_MACHINE_ID_CHARS], role[BDR_ROLE_CHARS], print[BDR_FINGERPRINT_CHARS], shown[104],
        uri[160];
    char time[32];
    int64_t ms, back;

    if (len >= sizeof(text))
        return 0;
    if (len)
        memcpy(text, bytes, len);
    text[len] = 0;
    if (bdr_machine_uri_read(text, machine, role)) {
        BDR_ASSERT(bdr_machine_id_ok(machine) && bdr_role_ok(role));
        snprintf(uri, sizeof(uri), "bdr://machine/%s?role=%s", machine, role);
        BDR_ASSERT(!strcmp(uri, text)); /* one way to write it */
    }
    struct bdr_err *err = bdr_fingerprint_read(text, print);
    if (!err)
        BDR_ASSERT(!bdr_fingerprint_read(bdr_fingerprint_text(print, shown), print));
    bdr_err_free(err);
    if (bdr_rfc3339_read(text, &ms) && ms > -62135596800000 && ms < 253402300800000)
        BDR_ASSERT(bdr_rfc3339_read(bdr_rfc3339_text(ms, time), &back) && back == ms);
    return 0;
}
