/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inventory_net.c - the network interfaces that are hardware, or bonds and bridges over it: not what containers come
 * and go with.
 */
#include "inventory_i.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define NICS_MAX 128

static bool nic_wanted(const char *name)
{
    static const char *const attrs[] = {"device", "bonding", "bridge"};
    char path[PATH_MAX];

    if (!strcmp(name, "lo") || !strncmp(name, "docker", 6) || !strncmp(name, "virbr", 5) || !strncmp(name, "br-", 3) ||
        !strncmp(name, "veth", 4))
        return false;
    for (size_t i = 0; i < BDR_COUNT(attrs); i++) {
        snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, attrs[i]);
        if (!access(path, F_OK))
            return true;
    }
    return strchr(name, '.') != NULL || !strncmp(name, "eth", 3); /* VLANs; and where /sys says nothing */
}

static struct bdr_inv_nic *nic_of(struct inv *v, const char *name)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < v->n_nics; i++)
        if (!strcmp(v->nics[i].name, name))
            return &v->nics[i];
    if (v->n_nics == NICS_MAX)
        return NULL;
    v->nics[v->n_nics].name = bdr_arena_text(v->arena, name, strlen(name));
    snprintf(path, sizeof(path), "/sys/class/net/%s/address", name);
    v->nics[v->n_nics].mac = inv_text(v, path);
    return &v->nics[v->n_nics++];
}

static int nic_by_name(const void *a, const void *b)
{
    return strcmp(((const struct bdr_inv_nic *)a)->name, ((const struct bdr_inv_nic *)b)->name);
}

struct bdr_err *inv_nics(struct inv *v)
{
    struct ifaddrs *all = NULL;
    char text[INET6_ADDRSTRLEN];

    v->nics = bdr_arena_alloc(v->arena, NICS_MAX * sizeof(*v->nics));
    BDR_NOMEM_IF_NULL(v->nics);
    if (getifaddrs(&all))
        return NULL; /* no network to tell of */
    for (struct ifaddrs *a = all; a; a = a->ifa_next) {
        struct bdr_inv_nic *nic = nic_wanted(a->ifa_name) ? nic_of(v, a->ifa_name) : NULL;
        const void *raw = NULL;

        if (!nic || !a->ifa_addr)
            continue;
        if (a->ifa_addr->sa_family == AF_INET)
            raw = &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr;
        else if (a->ifa_addr->sa_family == AF_INET6)
            raw = &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
        if (!raw || !inet_ntop(a->ifa_addr->sa_family, raw, text, sizeof(text)))
            continue;
        nic->addresses = nic->addresses ? bdr_arena_printf(v->arena, "%s,%s", nic->addresses, text)
                                        : bdr_arena_printf(v->arena, "%s", text);
    }
    freeifaddrs(all);
    qsort(v->nics, v->n_nics, sizeof(*v->nics), nic_by_name);
    return NULL;
}
