/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cost of names: a WireGuard configuration of many peers, read once, and looked at when it has not
 * changed; the peers as nodes above those of an operator's file, made anew when a peer changes; and what it
 * takes to let go of a large file's nodes. Prints figures, judges none.
 */

#include "daemon/device/peers/names_file.h"
#include "daemon/record/peer_nodes.h"

#include <malloc.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOKS 10000

static double cpu_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void make_key(uint32_t number, char ret_text[static BASE64_ENCODE_RAW_LENGTH(WG_PEERS_KEY_SIZE) + 1])
{
	uint8_t key[WG_PEERS_KEY_SIZE] = {};

	number *= UINT32_C(2654435761);
	memcpy(key, &number, sizeof(number));
	base64_encode_raw(ret_text, sizeof(key), key);
	ret_text[BASE64_ENCODE_RAW_LENGTH(WG_PEERS_KEY_SIZE)] = '\0';
}

static void write_conf(FILE *file, uint32_t peers)
{
	char key[BASE64_ENCODE_RAW_LENGTH(WG_PEERS_KEY_SIZE) + 1];

	fputs("[Interface]\nAddress = 10.0.0.1/8\nListenPort = 51820\n", file);
	for (uint32_t i = 0; i < peers; i++) {
		make_key(i, key);
		fprintf(file,
			"\n[Peer]\n# friendly_name = laptop-%u of user %u\nPublicKey = %s\nPresharedKey = %s\n"
			"AllowedIPs = 10.%u.%u.%u/32, fd00::%x/128\nPersistentKeepalive = 25\n",
			i, i, key, key, i >> 16, i >> 8 & 255, i & 255, i);
	}
}

/* Until the file's last change is long enough ago, there is no token. */
static int read_file(const char *path, char token[static WG_NAMES_TOKEN_MAX], struct wg_names *names)
{
	int r = 1;

	for (*token = '\0'; r == 1 && !*token;) {
		wg_names_deinit(names);
		r = wg_names_file_read(path, token, names);
	}
	return r;
}

static int measure_file(uint32_t peers)
{
	_cleanup_wg_names_ struct wg_names names = {};
	char path[] = "/tmp/bench-names-XXXXXX", token[WG_NAMES_TOKEN_MAX] = "";
	int fd = mkstemp(path), r = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	double times[4];
	long size;

	if (!file)
		return -1;
	write_conf(file, peers);
	size = ftell(file);
	fclose(file);
	times[0] = cpu_ms();
	r = wg_names_file_read(path, token, &names);
	times[1] = cpu_ms();
	if (r == 1)
		r = read_file(path, token, &names);
	times[2] = cpu_ms();
	for (int i = 0; r >= 0 && i < LOOKS; i++) {
		struct wg_names none = {};

		r = wg_names_file_read(path, token, &none);
		if (r == 1)
			r = -1;
	}
	times[3] = cpu_ms();
	unlink(path);
	printf("%6u peers, %5.1f MB: read %7.3f ms (%zu names), a look when unchanged %.4f ms\n", peers,
	       (double)size / 1e6, times[1] - times[0], names.n, (times[3] - times[2]) / LOOKS);
	return r;
}

static struct nodes *make_nodes(uint32_t n)
{
	struct node_refusal refusal = {};
	json_t *array = json_array(), *json = json_pack("{s:o}", "nodes", array);
	struct nodes *nodes = NULL;

	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(
			array, json_pack("{s:o,s:o,s:[o,o],s:[s,s]}", "nodeId", json_sprintf("node-%u", i),
					 "name", json_sprintf("node-%u.tailnet.example", i), "addresses",
					 json_sprintf("100.%u.%u.%u", 64 + (i >> 16), i >> 8 & 255, i & 255),
					 json_sprintf("fd7a:115c:a1e0::%x:%x", i >> 16, i & 65535), "tags",
					 "tag:server", "tag:berlin"));
	(void)nodes_new_json(json, &nodes, &refusal);
	json_decref(json);
	/* What the allocator has put off is not to be done later, in the name of others. */
	malloc_trim(0);
	return nodes;
}

static int add_peer(struct peer_nodes *peers, uint32_t number)
{
	char key[BASE64_ENCODE_RAW_LENGTH(WG_PEERS_KEY_SIZE) + 1];
	struct prefix items[10];
	struct prefix_list addresses = {.items = items, .n = 10};

	make_key(number, key);
	/* One in ten is one of the operator's nodes. */
	for (uint32_t i = 0; i < 10; i++) {
		uint32_t at = number * 10 + i;
		uint8_t bytes[] = {i == 0 && number % 10 == 0 ? 100 : 10, (uint8_t)(64 + (at >> 16)),
				   (uint8_t)(at >> 8), (uint8_t)at};

		items[i] = (struct prefix){.address = address_ipv4(bytes), .length = 32};
	}
	return peer_nodes_add(peers, &(struct peer_identity){
					     .id = key, .name = key, .named = true, .addresses = &addresses});
}

static int measure_nodes(uint32_t named, uint32_t n_peers)
{
	struct nodes *below = make_nodes(named), *nodes = NULL;
	struct peer_nodes peers = {};
	double times[4];
	int r = below ? 0 : -1;
	size_t count;

	times[0] = cpu_ms();
	for (uint32_t i = 0; r == 0 && i < n_peers; i++)
		r = add_peer(&peers, i);
	if (r == 0)
		r = peer_nodes_finish(&peers, below, &nodes);
	times[1] = cpu_ms();
	count = nodes_count(nodes);
	nodes_unref(nodes);
	times[2] = cpu_ms();
	nodes_unref(below);
	times[3] = cpu_ms();
	printf("%6u peers with ten addresses above %6u nodes: made in %7.3f ms (%zu nodes), released in %7.3f ms; the "
	       "operator's in %7.3f ms\n",
	       n_peers, named, times[1] - times[0], count, times[2] - times[1], times[3] - times[2]);
	return r;
}

int main(void)
{
	int r = 0;

	for (uint32_t peers = 10; r >= 0 && peers <= 10000; peers *= 10)
		r = measure_file(peers);
	if (r >= 0)
		r = measure_nodes(0, 2000);
	if (r >= 0)
		r = measure_nodes(100000, 2000);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
