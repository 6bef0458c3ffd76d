/* SPDX-License-Identifier: BSD-3-Clause */
/* All texts lie in one buffer: ten thousand names are two allocations, and are released at once. */

#include "daemon/device/peers/names.h"

#include "common/plain_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void wg_names_deinit(struct wg_names *names)
{
	free(names->items);
	buffer_deinit(&names->texts);
	*names = (struct wg_names){};
}

/* Copies what is shown of a name, and returns its length; 0: nothing is left. */
static size_t clean(const char *text, char ret_name[static WG_NAME_MAX + 1])
{
	size_t n;

	text += strspn(text, " \t");
	n = strnlen(text, WG_NAME_MAX);
	memcpy(ret_name, text, n);
	ret_name[n] = '\0';
	/* Cut between characters. */
	if (text[n])
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			ret_name[--n] = '\0';
	n = plain_text_clean(ret_name);
	while (n > 0 && strchr(" \t.", ret_name[n - 1]))
		ret_name[--n] = '\0';
	return n;
}

int wg_names_add(struct wg_names *names, const uint8_t *public_key, const char *text, unsigned int rank)
{
	char name[WG_NAME_MAX + 1];
	size_t n = clean(text, name);

	if (n == 0)
		return 0;
	if (names->n == WG_NAMES_MAX || names->texts.length + n + 1 > WG_NAMES_TEXT_MAX) {
		names->cut = true;
		return 0;
	}
	if (names->n == names->allocated) {
		size_t allocated = names->allocated ? names->allocated * 2 : 64;
		struct wg_name *items = reallocarray(names->items, allocated, sizeof(*items));

		if (!items)
			return -ENOMEM;
		names->items = items;
		names->allocated = allocated;
	}
	names->items[names->n] =
		(struct wg_name){.text = (uint32_t)names->texts.length, .rank = (uint32_t)rank};
	memcpy(names->items[names->n].public_key, public_key, WG_PEERS_KEY_SIZE);
	buffer_append(&names->texts, name, n + 1);
	if (buffer_error(&names->texts))
		return -ENOMEM;
	names->n++;
	return 0;
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(((const struct wg_name *)a)->public_key, ((const struct wg_name *)b)->public_key,
		      WG_PEERS_KEY_SIZE);
}

/* By key; then the best first. */
static int compare(const void *a, const void *b)
{
	const struct wg_name *left = a, *right = b;
	int r = compare_keys(a, b);

	if (r != 0)
		return r;
	if (left->rank != right->rank)
		return left->rank > right->rank ? -1 : 1;
	return left->text < right->text ? -1 : left->text > right->text;
}

void wg_names_sort(struct wg_names *names)
{
	size_t n = 0;

	if (names->n < 2)
		return;
	qsort(names->items, names->n, sizeof(*names->items), compare);
	for (size_t i = 1; i < names->n; i++)
		if (compare_keys(&names->items[n], &names->items[i]) != 0)
			names->items[++n] = names->items[i];
	names->n = n + 1;
}

const char *wg_names_text(const struct wg_names *names, size_t i)
{
	return names->texts.data + names->items[i].text;
}

const char *wg_names_find(const struct wg_names *names, const uint8_t *public_key)
{
	struct wg_name wanted, *found;

	if (names->n == 0)
		return NULL;
	memcpy(wanted.public_key, public_key, WG_PEERS_KEY_SIZE);
	found = bsearch(&wanted, names->items, names->n, sizeof(wanted), compare_keys);
	return found ? wg_names_text(names, (size_t)(found - names->items)) : NULL;
}

bool wg_names_equal(const struct wg_names *a, const struct wg_names *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (compare_keys(&a->items[i], &b->items[i]) != 0 ||
		    strcmp(wg_names_text(a, i), wg_names_text(b, i)) != 0)
			return false;
	return true;
}
