/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Repairs a spool that no daemon holds: behind `netlogctl spool repair`. */

#include "common/spool/check.h"

/*
 * Cuts off torn tails, removes leftovers, moves segments without a sound header to "damaged/", and takes
 * damaged parts out of the others: they are kept in "damaged/", and what follows them becomes a segment of
 * its own, so that the spool is sound but for gaps that readers report. Each finding is reported before it is
 * repaired; *ret_report is the state before. No sound message is lost, even if it is killed at any point.
 * -EWOULDBLOCK while a daemon holds the spool; -ENOSPC and others: what was repaired stays so, and it may be
 * called again.
 */
int spool_repair(int directory_fd, spool_found found, void *userdata, struct spool_report *ret_report);
