/* SPDX-License-Identifier: BSD-3-Clause */
/* The ends of all pairs are sorted twice: equal ones together, to add them up, then by their sums. */

#include "control/matrix.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdlib.h>

struct end_sum {
	struct matrix_end end;
	uint64_t bytes;
};

static int compare_ends(const struct matrix_end *a, const struct matrix_end *b)
{
	int order = book_node_compare(a->node, b->node);

	return order || a->node ? order : address_compare(&a->address, &b->address);
}

static int compare_by_end(const void *a, const void *b)
{
	const struct end_sum *x = a, *y = b;

	return compare_ends(&x->end, &y->end);
}

static int compare_by_bytes(const void *a, const void *b)
{
	const struct end_sum *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return compare_ends(&x->end, &y->end);
}

static struct matrix_end end_of(const struct flow_row *row, bool src)
{
	return (struct matrix_end){
		.node = src ? row->src_node : row->dst_node,
		.address = src ? row->connection.src.address : row->connection.dst.address,
	};
}

static bool is_part(const struct flow_row *row)
{
	return row->class != CLASS_PHYSICAL && row->connection.src.address.family != ADDRESS_NONE &&
	       row->connection.dst.address.family != ADDRESS_NONE;
}

/* Each end once, with its bytes. Returns their number. */
static size_t sum_ends(const struct flow_row *rows, size_t n, struct end_sum *ends)
{
	size_t n_ends = 0, n_sums = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t bytes = rows[i].counts.tx_bytes + rows[i].counts.rx_bytes;

		if (!is_part(&rows[i]))
			continue;
		ends[n_ends++] = (struct end_sum){end_of(&rows[i], true), bytes};
		ends[n_ends++] = (struct end_sum){end_of(&rows[i], false), bytes};
	}
	qsort(ends, n_ends, sizeof(*ends), compare_by_end);
	for (size_t i = 0; i < n_ends; i++) {
		if (n_sums > 0 && compare_by_end(&ends[n_sums - 1], &ends[i]) == 0)
			ends[n_sums - 1].bytes += ends[i].bytes;
		else
			ends[n_sums++] = ends[i];
	}
	qsort(ends, n_sums, sizeof(*ends), compare_by_bytes);
	return n_sums;
}

static size_t place_of(const struct matrix *matrix, const struct matrix_end *end)
{
	size_t i = 0;

	while (i < matrix->n && compare_ends(&matrix->ends[i], end) != 0)
		i++;
	return i;
}

int matrix_make(const struct flow_row *rows, size_t n, struct matrix *ret_matrix)
{
	_cleanup_free_ struct end_sum *ends = calloc(MAX(n, (size_t)1), 2 * sizeof(*ends));
	struct matrix matrix = {};
	size_t n_ends;

	if (!ends)
		return -ENOMEM;
	n_ends = sum_ends(rows, n, ends);
	matrix.n = MIN(n_ends, (size_t)MATRIX_ENDS);
	matrix.n_others = n_ends - matrix.n;
	for (size_t i = 0; i < matrix.n; i++)
		matrix.ends[i] = ends[i].end;
	for (size_t i = 0; i < n; i++) {
		const struct matrix_end src = end_of(&rows[i], true), dst = end_of(&rows[i], false);
		size_t from, to;

		if (!is_part(&rows[i]))
			continue;
		from = place_of(&matrix, &src);
		to = place_of(&matrix, &dst);
		matrix.bytes[from][to] += rows[i].counts.tx_bytes;
		matrix.bytes[to][from] += rows[i].counts.rx_bytes;
	}
	*ret_matrix = matrix;
	return 0;
}
