/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* One node identity: who is behind an address of the tailnet, as the operator named it. */

#include "common/address.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct node {
	char *id;
	char *name;    /* no trailing dot; members may be NULL */
	bool nameless; /* the name stands for one that is not known */
	char *os;
	char *user;  /* only where there are no tags */
	char **tags; /* sorted, each once; NULL-terminated or NULL */
	struct address *addresses;
	size_t n_addresses;
	char *json; /* the node as written in a message: compact, empty members left out */
	size_t json_length;
};

/* Bounds, in bytes of UTF-8: what is beyond is refused. */
#define NODE_TEXT_MAX	   256
#define NODE_ADDRESSES_MAX 64
#define NODE_TAGS_MAX	   64

/* What was refused, and why. */
struct node_refusal {
	char *value;	    /* the offending text; owned by the caller */
	const char *reason; /* "has no nodeId"; constant, or in `names` */
	char names[160];
};

/* Reads one node, and makes its JSON. 0, -ENOMEM, or -EINVAL with what was refused. */
int node_from_json(const json_t *object, struct node *ret_node, struct node_refusal *ret_refusal);
/* Writes the JSON of a node whose members have been set; of many addresses the first NODE_ADDRESSES_MAX. 0 or
 * -ENOMEM. */
int node_make_json(struct node *node);
/* A copy without its JSON, and with room for more addresses. 0 or -ENOMEM. */
int node_copy(const struct node *from, size_t more, struct node *ret_node);
void node_deinit(struct node *node);
bool node_has_address(const struct node *node, const struct address *address);
/* How people call it: its name, or its id. */
const char *node_name(const struct node *node);
