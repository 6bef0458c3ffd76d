/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Who is behind the addresses of traffic, as the messages tell one after the other. Nodes come and go, have
 * several addresses, are renamed, and leave an address to another node, so that the answer is one of its
 * time: an address is the node's that the latest message gave it to, and before the first such message
 * nobody's. Sums, which are read at the end, give that time to the first node that the address is known of.
 *
 * A nodeId tells nodes apart. Two of them are one node all the same when it has one name under both and one
 * of its addresses passes from the one to the other: the node got another key, or another name service.
 */

#include "common/address.h"
#include "common/cleanup.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message;
struct node_book;

/* Past these many nodes or addresses, and with longer texts, there are none: traffic has bare addresses then.
 */
#define NODE_BOOK_MAX	   1000000
#define NODE_BOOK_TEXT_MAX 1024

/* One node. Lives as long as its book. */
struct book_node {
	uint32_t number; /* from 1, in the order in which they became known */
	const char *id;	 /* nodeId; NULL: none, and then it has a name */
	char *name;	 /* the latest; NULL: none */
	char *label;	 /* name and id, where another node has the same name; else NULL */

	struct address *addresses; /* all that it has had, in no order and maybe twice */
	size_t n_addresses, allocated;

	unsigned int wanted;	/* bits of node_book_want() */
	struct book_node *same; /* the node that this one turned out to be, or NULL */
	char key[];		/* id or name */
};

/* 0 or -ENOMEM. */
int node_book_new(struct node_book **ret_book);
void node_book_free(struct node_book *book);
DEFINE_CLEANUP(struct node_book *, node_book_free);

/*
 * Takes what a message says of nodes; it is the latest from now on. Of two nodes with one address the first
 * has it, this node before the others. What is no node is skipped. 0 or -ENOMEM.
 */
int node_book_learn(struct node_book *book, const struct message *message);
/* The same, from a message before the time that is asked for: it says where that begins. */
int node_book_learn_early(struct node_book *book, const struct message *message);
/* Goes back to the beginning, with all that was learnt: the same messages can be learnt again. */
void node_book_rewind(struct node_book *book);

/* The node that has the address now; NULL: unknown. The book may be NULL in these two. */
struct book_node *node_book_find(const struct node_book *book, const struct address *address);
/* The node that was the first to have it. */
struct book_node *node_book_find_first(const struct node_book *book, const struct address *address);
/* A node that was found, as it is known by now; NULL stays NULL. */
struct book_node *book_node_latest(struct book_node *node);
/* The node of a row's end by what is known now: the one it had, else the first that had the address. */
struct book_node *node_book_settle(const struct node_book *book, struct book_node *node,
				   const struct address *address);
/* In the order in which they became known, unknown ones first. */
int book_node_compare(const struct book_node *a, const struct book_node *b);
/* Whether nodes are known at all. */
bool node_book_is_empty(const struct node_book *book);

/* Makes labels, of which no two are equal, from what is known by now. 0 or -ENOMEM. */
int node_book_label(struct node_book *book);
/* What tables call a node. NULL for NULL. */
const char *book_node_label(const struct book_node *node);
/* Its name, else its nodeId. NULL for NULL. */
const char *book_node_name(const struct book_node *node);
/* {"nodeId","name","addresses"}, the addresses sorted (new reference); NULL: no memory, or no node. */
json_t *book_node_json(const struct book_node *node);

/*
 * A node that is looked for from now on: by its nodeId, by a name that it has or had, whole or up to the
 * first dot, or by an address. Returns its bit, or 0: there are too many. The text is borrowed.
 */
unsigned int node_book_want(struct node_book *book, const char *text);
/* The bits of the wanted nodes that have this address now. */
unsigned int node_book_wanted(const struct node_book *book, const struct address *address);
/* The text of one that no message has named so far, and which is no address either; NULL: none. */
const char *node_book_unknown(const struct node_book *book);
