/* SPDX-License-Identifier: BSD-3-Clause */
/* Multiply and fold, as wyhash and its kin do: each step mixes all 64 bits of the word before. */

#include "common/hash_bytes.h"

#include <string.h>

/* A multiplication that keeps the upper half of the product, too: eight bytes at a time. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product =
		(unsigned __int128)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xd1b54a32d192ed03));

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(uint64_t sum, const void *data, size_t size)
{
	const char *p = data;
	uint64_t word;

	sum = mix(sum, size);
	for (; size >= sizeof(word); p += sizeof(word), size -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum = mix(sum, word);
	}
	word = 0;
	if (size > 0)
		memcpy(&word, p, size);
	return mix(sum, word);
}
