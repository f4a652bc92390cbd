/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and certificate requests, PEM or DER, as a stranger sends them. */
#include "bdr/ca.h"
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct bdr_ca *ca;
    static struct bdr_trust *trust;
    const struct bdr_machine_spec spec = {.machine = "m", .role = "agent"};
    struct bdr_cert_info info;
    char *pem = NULL;

    if (!ca) {
        BDR_ASSERT(!bdr_ca_new("Fuzz CA", 0, &ca));
        BDR_ASSERT(!bdr_trust_new(bdr_ca_pem(ca), strlen(bdr_ca_pem(ca)), &trust));
    }
    struct bdr_err *err = bdr_cert_parse(bytes, len, &info);
    if (!err)
        BDR_ASSERT(strlen(info.fingerprint) == 64 && strlen(info.serial) <= 40 && !info.machine[0] == !info.role[0]);
    bdr_err_free(err);
    BDR_ASSERT(bdr_trust_check_client(trust, bytes, len, 1795342500000, &info) != BDR_PEER_OK);
    err = bdr_ca_issue_machine(ca, bytes, len, &spec, &pem, &info);
    if (!err)
        BDR_ASSERT(!strcmp(info.machine, "m") && !strcmp(info.role, "agent"));
    bdr_err_free(err);
    free(pem);
    return 0;
}
