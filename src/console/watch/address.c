/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/address.h"
#include "bdr/bytes.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* IANA's special-purpose registries (RFC 6890), and where clouds tell their machines who they are. */
static const struct {
    const char *net;
    unsigned bits;
    const char *what;
} v4_refused[] =
    {
        {"0.0.0.0", 8, "no machine's"},
        {"169.254.0.0", 16, "of its own link (in a cloud: of its credentials)"},
        {"100.100.100.200", 32, "of a cloud's credentials"},
        {"168.63.129.16", 32, "of a cloud's credentials"},
        {"192.0.0.192", 32, "of a cloud's credentials"},
        {"224.0.0.0", 4, "of many machines"},
        {"240.0.0.0", 4, "no machine's"},
},
  v6_refused[] = {
      {"::", 128, "no machine's"},
      {"fe80::", 10, "of its own link"},
      {"fd00:ec2::254", 128, "of a cloud's credentials"},
      {"fd20:ce::254", 128, "of a cloud's credentials"},
      {"ff00::", 8, "of many machines"},
};

static bool net_has(int family, const char *net, unsigned bits, const uint8_t *address)
{
    uint8_t raw[16];

    BDR_ASSERT(inet_pton(family, net, raw) == 1);
    return !memcmp(raw, address, bits / 8) && (!(bits % 8) || !((raw[bits / 8] ^ address[bits / 8]) >> (8 - bits % 8)));
}

/* Did somebody mean this machine? */
static bool host_is_loopback(const char *host)
{
    char plain[64];
    uint8_t raw[16];
    size_t len;

    host += *host == '[';
    len = strcspn(host, "]");
    snprintf(plain, sizeof(plain), "%.*s", (int)BDR_MIN(len, sizeof(plain) - 1), host);
    return !strcmp(plain, "localhost") || (inet_pton(AF_INET, plain, raw) == 1 && raw[0] == 127) ||
           (inet_pton(AF_INET6, plain, raw) == 1 && net_has(AF_INET6, "::1", 128, raw));
}

static const char *loopback_refused(const char *host)
{
    return host_is_loopback(host) ? NULL : "the console's own (write localhost, if that is meant)";
}

static const char *v4_look(const uint8_t *a, const char *host)
{
    for (size_t i = 0; i < BDR_COUNT(v4_refused); i++)
        if (net_has(AF_INET, v4_refused[i].net, v4_refused[i].bits, a))
            return v4_refused[i].what;
    return a[0] == 127 ? loopback_refused(host) : NULL;
}

static const char *v6_look(const uint8_t *a, const char *host)
{
    /* an IPv4 address in IPv6's clothes: mapped, or through NAT64 */
    if (net_has(AF_INET6, "::ffff:0:0", 96, a) || net_has(AF_INET6, "64:ff9b::", 96, a))
        return v4_look(a + 12, host);
    for (size_t i = 0; i < BDR_COUNT(v6_refused); i++)
        if (net_has(AF_INET6, v6_refused[i].net, v6_refused[i].bits, a))
            return v6_refused[i].what;
    return net_has(AF_INET6, "::1", 128, a) ? loopback_refused(host) : NULL;
}

const char *bdr_address_refused(const struct sockaddr *to, const char *host)
{
    switch (to->sa_family) {
    case AF_INET:
        return v4_look((const uint8_t *)&((const struct sockaddr_in *)(const void *)to)->sin_addr, host);
    case AF_INET6:
        return v6_look(((const struct sockaddr_in6 *)(const void *)to)->sin6_addr.s6_addr, host);
    default:
        return "of no network";
    }
}

const char *bdr_host_refused(const char *host)
{
    char plain[64];
    uint8_t raw[16];

    host += *host == '[';
    snprintf(plain, sizeof(plain), "%.*s", (int)BDR_MIN(strcspn(host, "]%"), sizeof(plain) - 1), host);
    if (inet_pton(AF_INET, plain, raw) == 1)
        return v4_look(raw, host);
    return inet_pton(AF_INET6, plain, raw) == 1 ? v6_look(raw, host) : NULL;
}
