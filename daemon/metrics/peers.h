/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What is told of single peers: with their names, so not for everybody. */

struct buffer;
struct peer_samples;

/* NULL: nothing. */
void metrics_write_peers(struct buffer *text, const struct peer_samples *samples);
