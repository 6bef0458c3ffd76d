/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections and counts: comparing, adding, and growing lists of flows. */

#include "common/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const class_names[N_CLASSES] = {
	[CLASS_VIRTUAL] = "virtual",
	[CLASS_SUBNET] = "subnet",
	[CLASS_EXIT] = "exit",
	[CLASS_PHYSICAL] = "physical",
};

const char *traffic_class_name(enum traffic_class class)
{
	return (unsigned int)class < N_CLASSES ? class_names[class] : NULL;
}

int traffic_class_parse(const char *text, enum traffic_class *ret_class)
{
	for (unsigned int class = 0; class < N_CLASSES; class ++)
		if (strcmp(text, class_names[class]) == 0) {
			*ret_class = (enum traffic_class) class;
			return 0;
		}
	return -EINVAL;
}

int connection_compare(const struct connection *a, const struct connection *b)
{
	int order = endpoint_compare(&a->src, &b->src);

	if (!order)
		order = endpoint_compare(&a->dst, &b->dst);
	return order ? order : (int)a->proto - (int)b->proto;
}

/* Saturates, also where a summand is beyond the bound. */
static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum) || sum > COUNT_MAX)
		return COUNT_MAX;
	return sum;
}

void counts_add(struct counts *sum, const struct counts *more)
{
	sum->tx_packets = add(sum->tx_packets, more->tx_packets);
	sum->tx_bytes = add(sum->tx_bytes, more->tx_bytes);
	sum->rx_packets = add(sum->rx_packets, more->rx_packets);
	sum->rx_bytes = add(sum->rx_bytes, more->rx_bytes);
}

struct counts counts_difference(const struct counts *a, const struct counts *b)
{
	return (struct counts){a->tx_packets - b->tx_packets, a->tx_bytes - b->tx_bytes,
			       a->rx_packets - b->rx_packets, a->rx_bytes - b->rx_bytes};
}

bool counts_is_zero(const struct counts *counts)
{
	return !(counts->tx_packets | counts->tx_bytes | counts->rx_packets | counts->rx_bytes);
}

bool counts_equal(const struct counts *a, const struct counts *b)
{
	return a->tx_packets == b->tx_packets && a->tx_bytes == b->tx_bytes &&
	       a->rx_packets == b->rx_packets && a->rx_bytes == b->rx_bytes;
}

int flows_reserve(struct flows *flows, size_t n)
{
	size_t needed, allocated = flows->allocated ? flows->allocated : 64;
	struct flow *items;

	if (__builtin_add_overflow(flows->n, n, &needed))
		return -ENOMEM;
	if (needed <= flows->allocated)
		return 0;
	while (allocated < needed)
		if (__builtin_mul_overflow(allocated, (size_t)2, &allocated))
			return -ENOMEM;
	items = reallocarray(flows->items, allocated, sizeof(*items));
	if (!items)
		return -ENOMEM;
	flows->items = items;
	flows->allocated = allocated;
	return 0;
}

int flows_add(struct flows *flows, const struct connection *connection, const struct counts *counts)
{
	int r;

	r = flows_reserve(flows, 1);
	if (r < 0)
		return r;
	flows->items[flows->n++] = (struct flow){.connection = *connection, .counts = *counts};
	return 0;
}

void flows_discard(struct flows *flows, size_t n)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = ((uintptr_t)flows->items + page - 1) & ~(page - 1);
	uintptr_t end = (uintptr_t)(flows->items + n) & ~(page - 1);

	/* A failure only keeps the memory until the list is freed. */
	if (end > begin)
		madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void flows_deinit(struct flows *flows)
{
	free(flows->items);
	*flows = (struct flows){};
}
