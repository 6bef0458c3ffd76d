#pragma once

/* Node identities: who stands behind an address of the tailnet, as the operator named them (a nodes file, or
 * SetNodes). */

#include "common/address.h"

#include <jansson.h>
#include <stddef.h>

struct node {
	char *id;
	char *name; /* no trailing dot; members may be NULL */
	char *os;
	char *user;  /* only where there are no tags */
	char **tags; /* sorted, each once; NULL-terminated or NULL */
	struct address *addresses;
	size_t n_addresses;
};

struct nodes;

/*
 * From {"nodes":[Node...]}. 0, -ENOMEM, or -EINVAL with the offending value's text in *ret_value (owned by
 * the caller). Never changes afterwards.
 */
int nodes_new_json(const json_t *object, struct nodes **ret_nodes, char **ret_value);
/* From a file of that form; *ret_reason says what is wrong, with the line where it is JSON that can't be
 * read. */
int nodes_load(const char *path, struct nodes **ret_nodes, char **ret_reason);
void nodes_free(struct nodes *nodes);
/* NULL if unknown. */
const struct node *nodes_find_address(const struct nodes *nodes, const struct address *address);
const struct node *nodes_find_id(const struct nodes *nodes, const char *id);
size_t nodes_count(const struct nodes *nodes);
const struct node *nodes_get(const struct nodes *nodes, size_t i);
