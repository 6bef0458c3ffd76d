/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Lines of the helper's form (form.h), made of the parts of an answer that are found by status_scan(). What
 * is missing, of the wrong type, too long or senseless is left out, by itself.
 */

#include "daemon/tailscale/status_scan.h"

#include <jansson.h>
#include <stdint.h>

struct buffer;
struct derp_map;

/* "node". users: the answer's User, decoded; or NULL. */
void status_line_node(struct buffer *lines, uint32_t slot, const struct status_peer *peer, bool self,
		      const json_t *users);
/* "counts" */
void status_line_counts(struct buffer *lines, uint32_t slot, const struct status_peer *peer,
			const struct derp_map *derp);
/* The code of the region through which the peer's packets go; "" when they go another way. Returns
 * ret_code. */
char *status_line_region(const struct status_peer *peer, char ret_code[static 32]);
/* A text of an answer: 0; -EINVAL when it is none, or longer than size - 1; ret_text is "" then. */
int status_line_text(const struct json_slice *value, char *ret_text, size_t size);
