/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The known node identities. Those that the operator gives, in a nodes file or by SetNodes, may be a hundred
 * thousand; those that the tunnel knows (peer_nodes.h) lie above them as a set of their own, in which a node
 * of the operator's that is also the tunnel's stands again, as both know it.
 */

#include "common/cleanup.h"
#include "daemon/record/node.h"

#define NODES_MAX      100000
#define NODES_FILE_MAX (64 << 20)

struct config_error;

/* Sorted by id. Never changes after it was made, and may be used by several threads. */
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
/*
 * From nodes without JSON, which are taken (and the array), above others, which gain a reference (NULL:
 * none). An id or an address that is given twice stays with the first of them. A node with the id of one
 * below stands in its place and must have its addresses, too. self: the id of this node; NULL: not known.
 * 0 or -ENOMEM.
 */
int nodes_new_above(struct nodes *below, struct node *items, size_t n, const char *self,
		    struct nodes **ret_nodes);
/*
 * Those that are known now, which gain a reference, and of those that lay above others before the ones that
 * have gone or lost addresses, as far as nobody has taken these. 0 or -ENOMEM.
 */
int nodes_new_with_gone(struct nodes *now, const struct nodes *before, struct nodes **ret_nodes);
/* NULL for NULL. The last one to let go of a hundred thousand takes some 20 ms for it. */
struct nodes *nodes_ref(struct nodes *nodes);
void nodes_unref(struct nodes *nodes);
DEFINE_CLEANUP(struct nodes *, nodes_unref);

/* NULL if unknown; nodes may be NULL in all of these. */
const struct node *nodes_find_address(const struct nodes *nodes, const struct address *address);
const struct node *nodes_find_id(const struct nodes *nodes, const char *id);
/* This node: the one with this id (may be NULL), else the one that is known to be it, else the owner of the
 * first of this machine's addresses (may be NULL) that a node owns. */
const struct node *nodes_self(const struct nodes *nodes, const char *id, const struct prefix_list *addresses);
size_t nodes_count(const struct nodes *nodes);

/* One after the other, sorted by id. Zero-initialise the place; NULL after the last one. */
struct nodes_place {
	size_t above, below;
};
const struct node *nodes_next(const struct nodes *nodes, struct nodes_place *place);

/* Another number for each of its nodes, less than nodes_numbers(). */
size_t nodes_number(const struct nodes *nodes, const struct node *node);
size_t nodes_numbers(const struct nodes *nodes);
