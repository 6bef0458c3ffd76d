/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nodes by their ids, and addresses with the node that has each. An address is marked with the number of the
 * message that gave it to its node: so a message is learnt by touching what it names, and no more.
 */

#include "control/node_book.h"

#include "common/hash_index.h"
#include "common/message.h"
#include "control/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WANTS_MAX 4

struct book_address {
	struct address address;
	uint64_t message; /* the latest that gave it to a node; 0: none since the rewind */
	struct book_node *owner, *first;
};

struct want {
	const char *text;
	struct address address; /* if the text is one */
};

struct node_book {
	struct book_node **nodes;
	size_t n_nodes, nodes_allocated;
	struct hash_index node_index;

	struct book_address *addresses;
	size_t n_addresses, addresses_allocated;
	struct hash_index address_index;

	uint64_t message; /* number of the latest */
	bool rewound;	  /* names are the latest already, and say no longer which nodes are one */
	bool labels_stale;
	struct want wants[WANTS_MAX];
	size_t n_wants;
};

int node_book_new(struct node_book **ret_book)
{
	struct node_book *book = calloc(1, sizeof(*book));

	if (!book)
		return -ENOMEM;
	*ret_book = book;
	return 0;
}

void node_book_free(struct node_book *book)
{
	if (!book)
		return;
	for (size_t i = 0; i < book->n_nodes; i++) {
		free(book->nodes[i]->name);
		free(book->nodes[i]->label);
		free(book->nodes[i]->addresses);
		free(book->nodes[i]);
	}
	free(book->nodes);
	free(book->addresses);
	hash_index_deinit(&book->node_index);
	hash_index_deinit(&book->address_index);
	free(book);
}

/* Halves the way that it goes, so that a node of many ids does not cost more each time. */
struct book_node *book_node_latest(struct book_node *node)
{
	while (node && node->same) {
		if (node->same->same)
			node->same = node->same->same;
		node = node->same;
	}
	return node;
}

/* ---- addresses ------------------------------------------------------------------------------------- */

static uint32_t hash_address(const struct address *address)
{
	uint64_t high, low;

	/*
	 * Twice as fast as by bytes: every entry of every message comes here. The last bytes of an address,
	 * which differ most, are the highest of a number, and multiplying carries nothing down.
	 */
	memcpy(&high, address->bytes, sizeof(high));
	memcpy(&low, address->bytes + sizeof(high), sizeof(low));
	high += (low ^ low >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	high = (high ^ high >> 32) * UINT64_C(0xff51afd7ed558ccd);
	return (uint32_t)(high >> 32);
}

static bool is_address(const void *book, size_t item, const void *key)
{
	const struct address *address = &((const struct node_book *)book)->addresses[item].address;

	return memcmp(address, key, sizeof(*address)) == 0;
}

static struct book_address *find_address(const struct node_book *book, const struct address *address)
{
	const struct hash_slot *slot;

	if (!book || book->n_addresses == 0 || address->family == ADDRESS_NONE)
		return NULL;
	slot = hash_index_find(&book->address_index, hash_address(address), is_address, book, address);
	return slot->item ? &book->addresses[slot->item - 1] : NULL;
}

/* NULL in *ret_place: there are too many. 0 or -ENOMEM. */
static int take_address(struct node_book *book, const struct address *address,
			struct book_address **ret_place)
{
	uint32_t hash = hash_address(address);
	struct book_address *addresses;
	struct hash_slot *slot;

	addresses = rows_make_room(&book->address_index, book->addresses, book->n_addresses,
				   &book->addresses_allocated, sizeof(*addresses));
	if (!addresses)
		return -ENOMEM;
	book->addresses = addresses;
	*ret_place = NULL;
	slot = hash_index_find(&book->address_index, hash, is_address, book, address);
	if (!slot->item) {
		if (book->n_addresses == NODE_BOOK_MAX)
			return 0;
		hash_slot_take(slot, hash, book->n_addresses);
		addresses[book->n_addresses++] = (struct book_address){.address = *address};
	}
	*ret_place = &addresses[slot->item - 1];
	return 0;
}

static int compare_addresses(const void *a, const void *b)
{
	return address_compare(a, b);
}

static void sort_addresses(struct book_node *node)
{
	size_t n = 0;

	if (node->n_addresses < 2)
		return;
	qsort(node->addresses, node->n_addresses, sizeof(*node->addresses), compare_addresses);
	for (size_t i = 0; i < node->n_addresses; i++)
		if (n == 0 || address_compare(&node->addresses[n - 1], &node->addresses[i]) != 0)
			node->addresses[n++] = node->addresses[i];
	node->n_addresses = n;
}

/* An address that goes back and forth comes again and again: equal ones go before there is more room. */
static int add_address(struct book_node *node, const struct address *address)
{
	if (node->n_addresses == node->allocated) {
		sort_addresses(node);
		if (node->n_addresses * 2 >= node->allocated) {
			size_t more = node->allocated ? node->allocated * 2 : 2;
			struct address *grown = reallocarray(node->addresses, more, sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			node->addresses = grown;
			node->allocated = more;
		}
	}
	node->addresses[node->n_addresses++] = *address;
	return 0;
}

/* ---- nodes ----------------------------------------------------------------------------------------- */

static bool is_node(const void *book, size_t item, const void *key)
{
	return strcmp(((const struct node_book *)book)->nodes[item]->key, key) == 0;
}

static unsigned int wants_of_text(const struct node_book *book, const char *id, const char *name)
{
	size_t label = name ? strcspn(name, ".") : 0;
	unsigned int wants = 0;

	for (size_t i = 0; i < book->n_wants; i++) {
		const char *text = book->wants[i].text;

		if ((id && strcmp(id, text) == 0) ||
		    (name && (strcasecmp(name, text) == 0 ||
			      (label > 0 && strncasecmp(name, text, label) == 0 && text[label] == '\0'))))
			wants |= 1U << i;
	}
	return wants;
}

/* The node with this id or, without one, this name; NULL in *ret_node: there are too many. 0 or -ENOMEM. */
static int take_node(struct node_book *book, const char *id, const char *name, struct book_node **ret_node)
{
	const char *key = id ? id : name;
	size_t n = strlen(key);
	uint32_t hash = rows_hash(ROWS_HASH_START, key, n);
	struct book_node **nodes, *node;
	struct hash_slot *slot;

	nodes = rows_make_room(&book->node_index, book->nodes, book->n_nodes, &book->nodes_allocated,
			       sizeof(struct book_node *));
	if (!nodes)
		return -ENOMEM;
	book->nodes = nodes;
	*ret_node = NULL;
	slot = hash_index_find(&book->node_index, hash, is_node, book, key);
	if (slot->item) {
		*ret_node = book_node_latest(nodes[slot->item - 1]);
		return 0;
	}
	if (book->n_nodes == NODE_BOOK_MAX)
		return 0;
	node = calloc(1, sizeof(*node) + n + 1);
	if (!node)
		return -ENOMEM;
	node->number = (uint32_t)book->n_nodes + 1;
	memcpy(node->key, key, n);
	node->id = id ? node->key : NULL;
	node->wanted = wants_of_text(book, id, NULL);
	hash_slot_take(slot, hash, book->n_nodes);
	nodes[book->n_nodes++] = *ret_node = node;
	book->labels_stale = true;
	return 0;
}

static int set_name(struct node_book *book, struct book_node *node, const char *name)
{
	int r;

	if (!name || (node->name && strcmp(node->name, name) == 0))
		return 0;
	r = rows_set_name(&node->name, name);
	node->wanted |= wants_of_text(book, NULL, name);
	book->labels_stale = true;
	return r;
}

/* The older of two nodes turns out to be the newer one. */
static int join(struct node_book *book, struct book_node *older, struct book_node *newer)
{
	for (size_t i = 0; i < older->n_addresses; i++)
		if (add_address(newer, &older->addresses[i]) < 0)
			return -ENOMEM;
	free(older->addresses);
	older->addresses = NULL;
	older->n_addresses = older->allocated = 0;
	newer->wanted |= older->wanted;
	older->same = newer;
	book->labels_stale = true;
	return 0;
}

static int give_address(struct node_book *book, struct book_node *node, const struct address *address,
			bool early)
{
	struct book_node *owner;
	struct book_address *place;
	int r;

	r = take_address(book, address, &place);
	if (r < 0 || !place || place->message == book->message)
		return r;
	owner = book_node_latest(place->owner);
	if (owner != node) {
		if (!book->rewound && owner && owner->name && node->name &&
		    strcmp(owner->name, node->name) == 0)
			r = join(book, owner, node);
		if (r == 0)
			r = add_address(node, address);
		if (r < 0)
			return r;
		for (size_t i = 0; i < book->n_wants; i++)
			if (address_compare(&book->wants[i].address, address) == 0)
				node->wanted |= 1U << i;
	}
	place->owner = node;
	place->message = book->message;
	if (early || !place->first)
		place->first = node;
	return 0;
}

/* A member as text; NULL if it is missing, empty, too long or no text. */
static const char *text_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	size_t length = json_string_length(value);

	return length > 0 && length <= NODE_BOOK_TEXT_MAX ? json_string_value(value) : NULL;
}

static int learn_node(struct node_book *book, const json_t *object, bool early)
{
	const json_t *addresses = json_object_get(object, "addresses"), *item;
	const char *id = text_of(object, "nodeId"), *name = text_of(object, "name");
	struct book_node *node;
	size_t i;
	int r;

	if (!id && !name)
		return 0;
	r = take_node(book, id, name, &node);
	if (r < 0 || !node)
		return r;
	r = set_name(book, node, name);
	if (r < 0)
		return r;
	json_array_foreach (addresses, i, item) {
		const char *text = json_string_value(item);
		struct address address;

		if (!text || address_parse(text, &address) < 0 || address.family == ADDRESS_NONE)
			continue;
		r = give_address(book, node, &address, early);
		if (r < 0)
			return r;
	}
	return 0;
}

static int learn(struct node_book *book, const struct message *message, bool early)
{
	const json_t *node;
	size_t i;
	int r = 0;

	book->message++;
	if (message->src_node)
		r = learn_node(book, message->src_node, early);
	json_array_foreach (message->dst_nodes, i, node) {
		if (r < 0)
			return r;
		r = learn_node(book, node, early);
	}
	return r;
}

int node_book_learn(struct node_book *book, const struct message *message)
{
	return learn(book, message, false);
}

int node_book_learn_early(struct node_book *book, const struct message *message)
{
	return learn(book, message, true);
}

void node_book_rewind(struct node_book *book)
{
	for (size_t i = 0; i < book->n_addresses; i++) {
		book->addresses[i].owner = book->addresses[i].first;
		book->addresses[i].message = 0;
	}
	book->rewound = true;
}

struct book_node *node_book_find(const struct node_book *book, const struct address *address)
{
	const struct book_address *place = find_address(book, address);

	return place ? book_node_latest(place->owner) : NULL;
}

struct book_node *node_book_find_first(const struct node_book *book, const struct address *address)
{
	const struct book_address *place = find_address(book, address);

	return place ? book_node_latest(place->first) : NULL;
}

struct book_node *node_book_settle(const struct node_book *book, struct book_node *node,
				   const struct address *address)
{
	return node ? book_node_latest(node) : node_book_find_first(book, address);
}

int book_node_compare(const struct book_node *a, const struct book_node *b)
{
	uint32_t left = a ? a->number : 0, right = b ? b->number : 0;

	return left < right ? -1 : left > right;
}

bool node_book_is_empty(const struct node_book *book)
{
	return !book || book->n_nodes == 0;
}

/* ---- as text --------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
	const struct book_node *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

int node_book_label(struct node_book *book)
{
	_cleanup_free_ struct book_node **named = NULL;
	size_t n = 0;

	if (!book->labels_stale)
		return 0;
	named = calloc(book->n_nodes, sizeof(*named));
	if (!named)
		return -ENOMEM;
	for (size_t i = 0; i < book->n_nodes; i++) {
		free(book->nodes[i]->label);
		book->nodes[i]->label = NULL;
		if (!book->nodes[i]->same && book->nodes[i]->name)
			named[n++] = book->nodes[i];
	}
	if (n > 1)
		qsort(named, n, sizeof(struct book_node *), compare_names);
	for (size_t i = 0; i < n; i++) {
		bool shared = (i > 0 && compare_names(&named[i - 1], &named[i]) == 0) ||
			      (i + 1 < n && compare_names(&named[i], &named[i + 1]) == 0);

		if (!shared || !named[i]->id)
			continue;
		if (asprintf(&named[i]->label, "%s (%s)", named[i]->name, named[i]->id) < 0) {
			named[i]->label = NULL;
			return -ENOMEM;
		}
	}
	book->labels_stale = false;
	return 0;
}

const char *book_node_name(const struct book_node *node)
{
	if (!node)
		return NULL;
	return node->name ? node->name : node->id;
}

const char *book_node_label(const struct book_node *node)
{
	return node && node->label ? node->label : book_node_name(node);
}

json_t *book_node_json(const struct book_node *node)
{
	json_t *addresses;
	_cleanup_free_ struct address *sorted = NULL;
	struct book_node copy;

	if (!node)
		return NULL;
	addresses = json_array();
	sorted = calloc(MAX(node->n_addresses, 1), sizeof(*sorted));
	if (!addresses || !sorted) {
		json_decref(addresses);
		return NULL;
	}
	copy = *node;
	copy.addresses = memcpy(sorted, node->addresses, node->n_addresses * sizeof(*sorted));
	sort_addresses(&copy);
	for (size_t i = 0; i < copy.n_addresses; i++) {
		char text[ADDRESS_TEXT_MAX];

		address_format(&copy.addresses[i], text);
		json_array_append_new(addresses, json_string(text));
	}
	return json_pack("{ss* ss* so}", "nodeId", node->id, "name", node->name, "addresses", addresses);
}

/* ---- looking for nodes ----------------------------------------------------------------------------- */

unsigned int node_book_want(struct node_book *book, const char *text)
{
	struct want want = {.text = text};

	if (book->n_wants == WANTS_MAX)
		return 0;
	/* No node has the address that is none. */
	if (address_parse(text, &want.address) < 0)
		want.address = (struct address){};
	book->wants[book->n_wants] = want;
	return 1U << book->n_wants++;
}

unsigned int node_book_wanted(const struct node_book *book, const struct address *address)
{
	const struct book_node *node = node_book_find(book, address);
	unsigned int wanted = node ? node->wanted : 0;

	for (size_t i = 0; address->family != ADDRESS_NONE && i < book->n_wants; i++)
		if (address_compare(&book->wants[i].address, address) == 0)
			wanted |= 1U << i;
	return wanted;
}

const char *node_book_unknown(const struct node_book *book)
{
	unsigned int known = 0;

	for (size_t i = 0; i < book->n_nodes; i++)
		known |= book->nodes[i]->wanted;
	for (size_t i = 0; i < book->n_wants; i++)
		if (!(known & 1U << i) && book->wants[i].address.family == ADDRESS_NONE)
			return book->wants[i].text;
	return NULL;
}
