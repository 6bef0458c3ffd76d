/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Entries as JSON. Everything is written straight to its place; names of members are copied with a length
 * that the compiler knows, and the text of a source address is kept for the next entry.
 */

#include "daemon/record/entry_text.h"

#include "common/decimal.h"

#include <string.h>

#define PUT(p, text)                                                                                         \
	({                                                                                                   \
		memcpy((p), (text), sizeof(text) - 1);                                                       \
		(p) + sizeof(text) - 1;                                                                      \
	})

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

static unsigned int get_port(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static char *write_source(struct entry_text *last, const uint8_t *key, char *p)
{
	if (key[0] == ADDRESS_NONE)
		return p;
	if (memcmp(last->address, key, sizeof(last->address)) != 0) {
		struct address address;
		char *end = last->text;

		memcpy(&address, key, sizeof(address));
		memcpy(last->address, key, sizeof(last->address));
		if (address.family == ADDRESS_IPV6)
			*end++ = '[';
		end += address_format(&address, end);
		if (address.family == ADDRESS_IPV6)
			*end++ = ']';
		last->length = (size_t)(end - last->text);
	}
	memcpy(p, last->text, sizeof(last->text));
	p += last->length;
	*p++ = ':';
	return p + decimal_format(get_port(key + sizeof(last->address)), p);
}

char *entry_text_write(struct entry_text *last, const struct entry *entry, char *p)
{
	const uint8_t *key = entry->key.bytes;
	struct endpoint dst = {.port = (uint16_t)get_port(key + ENTRY_DST_PORT)};

	memcpy(&dst.address, key + ENTRY_DST, sizeof(dst.address));
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
