/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The known node identities, from a nodes file or SetNodes. */

#include "common/cleanup.h"
#include "daemon/record/node.h"

#define NODES_MAX      100000
#define NODES_FILE_MAX (64 << 20)

struct config_error;

/* Sorted by id. Never changes after it was made. */
struct nodes;

/*
 * From {"nodes":[Node...]}. 0, -ENOMEM, or -EINVAL with what was refused: a node without a nodeId, one nodeId
 * or one address given twice, a text that is too long or has control characters or marks of direction, an
 * unknown member, a member of the wrong type. Members that are null or empty
 * count as left out; a user beside tags is dropped.
 */
int nodes_new_json(const json_t *object, struct nodes **ret_nodes, struct node_refusal *ret_refusal);
/* From a file of that form. -EINVAL, -ENOMEM, or -errno when the file cannot be read, -EFBIG when it is
 * beyond NODES_FILE_MAX; *ret_error says what is wrong, with the line of a JSON syntax error. */
int nodes_load(const char *path, struct nodes **ret_nodes, struct config_error *ret_error);
void nodes_free(struct nodes *nodes);
DEFINE_CLEANUP(struct nodes *, nodes_free);

/* NULL if unknown; nodes may be NULL in all of these. */
const struct node *nodes_find_address(const struct nodes *nodes, const struct address *address);
const struct node *nodes_find_id(const struct nodes *nodes, const char *id);
size_t nodes_count(const struct nodes *nodes);
const struct node *nodes_get(const struct nodes *nodes, size_t i);
/* The place of one of its nodes: nodes_get(nodes, nodes_index(nodes, node)) == node. */
size_t nodes_index(const struct nodes *nodes, const struct node *node);
