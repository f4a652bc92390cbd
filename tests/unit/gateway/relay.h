/* SPDX-License-Identifier: Apache-2.0 */
/* relay.h - a network between a client and a gateway that can be cut. Threads: any. */
#pragma once
#include <stdint.h>

struct relay;
struct relay *relay_start(uint16_t to_port);
uint16_t relay_port(const struct relay *r);
/* Breaks all connections after so many more bytes went to the gateway; 0: never. */
void relay_cut_after(struct relay *r, uint64_t bytes);
unsigned relay_cuts(const struct relay *r);
uint64_t relay_bytes(const struct relay *r); /* towards the gateway */
void relay_stop(struct relay *r);
