/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Entries as JSON. Everything is written straight to where it stays; names of members are copied with a
 * length that the compiler knows, and the text of a source address is kept for the next entry.
 */

#include "daemon/record/entry_text.h"

#include "common/decimal.h"

#include <string.h>

#define PUT(p, text)                                                                                         \
	({                                                                                                   \
		memcpy((p), (text), sizeof(text) - 1);                                                       \
		(p) + sizeof(text) - 1;                                                                      \
	})

/* "tx_packets" and the others in the order of the message. */
char *counts_text_write(const struct counts *counts, char *p)
{
	if (counts->tx_packets) {
		p = PUT(p, ",\"txPkts\":");
		p += decimal_format(counts->tx_packets, p);
	}
	if (counts->tx_bytes) {
		p = PUT(p, ",\"txBytes\":");
		p += decimal_format(counts->tx_bytes, p);
	}
	if (counts->rx_packets) {
		p = PUT(p, ",\"rxPkts\":");
		p += decimal_format(counts->rx_packets, p);
	}
	if (counts->rx_bytes) {
		p = PUT(p, ",\"rxBytes\":");
		p += decimal_format(counts->rx_bytes, p);
	}
	return p;
}

static struct endpoint read_endpoint(const uint8_t *key)
{
	struct endpoint endpoint;

	memcpy(&endpoint.address, key, sizeof(endpoint.address));
	endpoint.port = (uint16_t)(key[sizeof(endpoint.address)] << 8 | key[sizeof(endpoint.address) + 1]);
	return endpoint;
}

static void remember_source(struct entry_text *last, const uint8_t *key)
{
	struct address address;
	char *p = last->text;

	memcpy(&address, key, sizeof(address));
	memcpy(last->address, key, sizeof(last->address));
	if (address.family == ADDRESS_IPV6)
		*p++ = '[';
	p += address_format(&address, p);
	if (address.family == ADDRESS_IPV6)
		*p++ = ']';
	last->length = (size_t)(p - last->text);
}

static char *write_source(struct entry_text *last, const uint8_t *key, char *p)
{
	if (key[0] == ADDRESS_NONE)
		return p;
	if (memcmp(last->address, key, sizeof(last->address)) != 0)
		remember_source(last, key);
	memcpy(p, last->text, sizeof(last->text));
	p += last->length;
	*p++ = ':';
	return p +
	       decimal_format((uint64_t)key[sizeof(last->address)] << 8 | key[sizeof(last->address) + 1], p);
}

char *entry_text_write(struct entry_text *last, const struct entry *entry, char *p)
{
	const uint8_t *key = entry->key.bytes;
	struct endpoint dst = read_endpoint(key + ENTRY_DST);

	p = PUT(p, "{\"proto\":");
	p += decimal_format(key[ENTRY_PROTO], p);
	p = PUT(p, ",\"src\":\"");
	p = write_source(last, key + ENTRY_SRC, p);
	p = PUT(p, "\",\"dst\":\"");
	p += endpoint_format(&dst, p);
	*p++ = '"';
	p = counts_text_write(&entry->counts, p);
	*p++ = '}';
	return p;
}
