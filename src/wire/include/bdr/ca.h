/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.h - who is who: keys, certificate requests, our own certificate authority, and checking a peer.
 *
 * One console has one CA (EC P-256). It signs the certificates of servers (names, addresses) and of machines. Who a
 * machine is stands in one SAN URI, bdr://machine/<id>?role=<role>; whatever else its request asks for is not looked
 * at. There are no revocation lists: each request asks a callback about the certificate's serial.
 * Depends on: base, os, OpenSSL 3.      Threads: a CA and a trust from any once made; keys one at a time.
 * Source:  docs/wire.md#identities, RFC 5280
 */
#pragma once
#include "bdr/err.h"
#include <stdint.h>

#define BDR_SERIAL_CHARS      41     /* 20 bytes as hex and NUL: RFC 5280 4.1.2.2 */
#define BDR_FINGERPRINT_CHARS 65     /* SHA-256 of the DER as hex and NUL */
#define BDR_MACHINE_ID_CHARS  65     /* 1..64 of A-Z a-z 0-9 . _ - */
#define BDR_ROLE_CHARS        33     /* 1..32 of a-z 0-9 -, a letter first */
#define BDR_CERT_BYTES_MAX    65536u /* of one PEM or DER that we agree to look at */

/* ---- what a certificate says ---- */
struct bdr_cert_info {
    char serial[BDR_SERIAL_CHARS];
    char fingerprint[BDR_FINGERPRINT_CHARS];
    char machine[BDR_MACHINE_ID_CHARS]; /* "" when it is no machine's */
    char role[BDR_ROLE_CHARS];          /* "agent", "proxy", "gateway", ... */
    int64_t not_before_ms, not_after_ms;
    bool ca;
};
/* "SHA256:ab:cd:..." as people compare it, into buf[104]; returns buf. */
const char *bdr_fingerprint_text(const char fingerprint[BDR_FINGERPRINT_CHARS], char buf[104]);
/* The reverse, from what a person pasted: with or without colons, blanks, "SHA256:", in any case. INVAL. */
bdr_ret bdr_fingerprint_read(const char *text, char out[BDR_FINGERPRINT_CHARS]);
/* Reads a certificate (DER, or PEM: the first one). Nothing is verified. INVAL. */
bdr_ret bdr_cert_parse(const void *data, size_t len, struct bdr_cert_info *out);
/* The same of a file. NOTFOUND, INVAL. */
bdr_ret bdr_cert_parse_file(const char *path, struct bdr_cert_info *out);
/* Two thirds of its life are over (or all): it is time for the next one. */
bool bdr_cert_renew_due(const struct bdr_cert_info *info, int64_t now_ms);
/* "bdr://machine/web1?role=agent" into its parts. False when it is none; out untouched. */
bool bdr_machine_uri_read(const char *uri, char machine[BDR_MACHINE_ID_CHARS], char role[BDR_ROLE_CHARS]);
/* Are these right as a machine's id, as a role? */
bool bdr_machine_id_ok(const char *id);
bool bdr_role_ok(const char *role);

/* ---- a machine's side ---- */
struct bdr_key;
bdr_ret bdr_key_new(struct bdr_key **out);
void bdr_key_free(struct bdr_key *key);
/* Writes it as PKCS#8 PEM, mode 0600, all or nothing and durable; the folder must exist. */
bdr_ret bdr_key_save(const struct bdr_key *key, const char *path);
/* DENIED when others may read the file: a key somebody else has is no key. NOTFOUND, INVAL. */
bdr_ret bdr_key_load(const char *path, struct bdr_key **out);
/* A certificate request, PEM; caller frees. `name` becomes its common name, for people only. */
bdr_ret bdr_key_csr(const struct bdr_key *key, const char *name, char **out_pem);

/* ---- the CA ---- */
struct bdr_ca;
/* Makes a new one in memory. `name`: "OpenBDR CA of dr-site". Lifetime 10 years when 0. */
bdr_ret bdr_ca_new(const char *name, uint64_t lifetime_ms, struct bdr_ca **out);
/* Key first, then the certificate; both all or nothing. EXISTS rather than overwriting another CA. */
bdr_ret bdr_ca_save(const struct bdr_ca *ca, const char *key_path, const char *cert_path);
/* INVAL when they do not belong together. */
bdr_ret bdr_ca_load(const char *key_path, const char *cert_path, struct bdr_ca **out);
void bdr_ca_free(struct bdr_ca *ca);
const char *bdr_ca_pem(const struct bdr_ca *ca);
const struct bdr_cert_info *bdr_ca_info(const struct bdr_ca *ca);

struct bdr_server_spec {
    const char *const *names; /* host names and IP addresses; the first is the common name */
    size_t n;
    uint64_t lifetime_ms; /* 0: 90 days */
    int64_t now_ms;       /* 0: the clock's; tests make expired ones */
};
/* A server's certificate for `key`: leaf and CA as one PEM, so that a client that knows only the CA's print can check.
 */
bdr_ret bdr_ca_issue_server(const struct bdr_ca *ca, const struct bdr_key *key, const struct bdr_server_spec *spec,
                            char **out_pem);
struct bdr_machine_spec {
    const char *machine, *role;
    const char *server; /* a gateway's host name or address: its certificate is good for serving as that, too; or NULL */
    uint64_t lifetime_ms; /* 0: 30 days */
    int64_t now_ms;
};
/*
 * Signs a machine's request.
 *
 * Shape:   the request's public key is all that is taken from it; its signature must be right (the sender has the key).
 * Errors:  INVAL not a request, a bad signature, a weak key (EC P-256, P-384, Ed25519, RSA from 2048 bits), a bad id.
 */
bdr_ret bdr_ca_issue_machine(const struct bdr_ca *ca, const void *csr, size_t len, const struct bdr_machine_spec *spec,
                             char **out_pem, struct bdr_cert_info *out_info);
/*
 * Makes sure that key_path and cert_path hold a server identity for exactly these names, good for a third of its life:
 * keeps what is there or issues anew. *out_renewed tells (the server then reloads).
 */
bdr_ret bdr_ca_ensure_server(const struct bdr_ca *ca, const struct bdr_server_spec *spec, const char *key_path,
                             const char *cert_path, bool *out_renewed);

/* ---- checking a peer ---- */
struct bdr_trust;
/* Believes the certificates of `pem` and no others. */
bdr_ret bdr_trust_new(const char *pem, size_t len, struct bdr_trust **out);
bdr_ret bdr_trust_load(const char *path, struct bdr_trust **out);
void bdr_trust_free(struct bdr_trust *trust);
enum bdr_peer_fault { BDR_PEER_OK, BDR_PEER_UNKNOWN_CA, BDR_PEER_EXPIRED, BDR_PEER_BAD, BDR_PEER_MISSING };
/*
 * Is this certificate (DER, leaf) one of a client that our CA signed, good at `now_ms`? `out` is filled when it is.
 */
enum bdr_peer_fault bdr_trust_check_client(const struct bdr_trust *trust, const void *der, size_t len, int64_t now_ms,
                                           struct bdr_cert_info *out);

BDR_AUTO_DEFINE(key, struct bdr_key *, bdr_key_free)
BDR_AUTO_DEFINE(ca, struct bdr_ca *, bdr_ca_free)
BDR_AUTO_DEFINE(trust, struct bdr_trust *, bdr_trust_free)
