/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads the vectors' JSON. An invalid file ends the test program, which names the place. */

#include "tests/unit/daemon/device/support/vectors.h"

#include "common/cleanup.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void broken(const char *file, size_t index, const char *what)
{
	fprintf(stderr, "%s: vector %zu: %s\n", file, index, what);
	abort();
}

static int from_hex(const char *hex, uint8_t **ret_bytes, size_t *ret_length)
{
	size_t length = strlen(hex) / 2;
	uint8_t *bytes = malloc(length > 0 ? length : 1);

	if (!bytes)
		abort();
	for (size_t i = 0; i < length; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
			free(bytes);
			return -1;
		}
		bytes[i] = (uint8_t)byte;
	}
	*ret_bytes = bytes;
	*ret_length = length;
	return 0;
}

static void vector_load(struct vector *vector, json_t *item, const char *file, size_t index)
{
	const char *name, *packet, *src, *dst;
	json_int_t proto, bytes;

	if (json_unpack(item, "{s:s, s:s, s:{s:I, s:s, s:s, s:I}}", "name", &name, "packet", &packet, "tuple",
			"proto", &proto, "src", &src, "dst", &dst, "bytes", &bytes))
		broken(file, index, "members are missing");
	if (from_hex(packet, &vector->packet, &vector->length))
		broken(file, index, "the packet is not hexadecimal");
	if (endpoint_parse(src, &vector->connection.src) || endpoint_parse(dst, &vector->connection.dst))
		broken(file, index, "invalid endpoint");
	vector->name = strdup(name);
	vector->connection.proto = (uint8_t)proto;
	vector->bytes = (uint64_t)bytes;
}

void vectors_load(struct vectors *vectors, const char *file)
{
	const char *directory = getenv("NETLOGD_VECTORS");
	char path[PATH_MAX];
	json_error_t error;
	json_t *list, *item;
	size_t i;

	snprintf(path, sizeof(path), "%s/%s", directory ? directory : VECTORS_DIRECTORY, file);
	list = json_load_file(path, 0, &error);
	if (!json_is_array(list)) {
		fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
		abort();
	}
	vectors->n = json_array_size(list);
	vectors->items = calloc(vectors->n, sizeof(*vectors->items));
	if (!vectors->items)
		abort();
	json_array_foreach (list, i, item)
		vector_load(&vectors->items[i], item, path, i);
	json_decref(list);
}

void vectors_deinit(struct vectors *vectors)
{
	for (size_t i = 0; i < vectors->n; i++) {
		free(vectors->items[i].name);
		free(vectors->items[i].packet);
	}
	free(vectors->items);
	*vectors = (struct vectors){};
}

struct connection connection_swapped(const struct connection *connection)
{
	return (struct connection){
		.src = connection->dst, .dst = connection->src, .proto = connection->proto};
}
