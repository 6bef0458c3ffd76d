/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The fixture of the tests of tun sources: a source under test that counts a tunnel in a namespace of its
 * own. Each test runs in its own process, and once for each variant of its suite.
 */

#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "tests/unit/daemon/device/support/tunnel.h"

#include <check.h>
#include <stdint.h>

/* The source: `ebpf` by TCX or by clsact, or `packet`. */
enum tun_variant { TUN_TCX, TUN_CLSACT, TUN_PACKETS };

extern struct tunnel tun_tunnel;
extern struct epoch *tun_epoch;
extern struct device *tun_device;
extern enum tun_variant tun_variant;
extern bool tun_details; /* sources that are made from now on give them */

/* Makes tun_device for the tunnel. 0 or -errno. */
int tun_make(uint32_t max_flows);
/* Makes all of them, and starts counting. */
void tun_start(const struct tunnel_options *options, uint32_t max_flows);
void tun_stop(void);
/* Ends a window, and takes it; what the packet source counts too late for it, with it. */
void tun_extract(struct extraction *ret_extraction);

/* An IPv4 UDP packet of 28 bytes, one of 65536 connections. */
void tun_packet(uint8_t packet[static 28], uint16_t number);
/* Receives n packets of one connection. */
void tun_receive(unsigned int n);
void tun_stay_on_one_cpu(void);
/* Entries for which a side has room beside those asked for: a block for all that take blocks, since they
 * leave the rest of their last one unused. */
unsigned int tun_rests(void);

/* The suite's main(): add_tests() for each variant (a bit each) that this kernel can do. An exit status. */
int tun_run(const char *name, unsigned int variants, void (*add_tests)(TCase *tcase));
