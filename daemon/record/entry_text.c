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

#define PUT_NUMBER(p, name, value)                                                                           \
	({                                                                                                   \
		char *at = (p);                                                                              \
		if (value) {                                                                                 \
			at = PUT(at, name);                                                                  \
			at += decimal_format((value), at);                                                   \
		}                                                                                            \
		at;                                                                                          \
	})

static char *write_drops(const struct details *details, const char *(*name)(uint16_t reason), char *p)
{
	const char *reason = name && details->drop_reason ? name(details->drop_reason) : NULL;

	p = PUT_NUMBER(p, ",\"txDrops\":", details->tx_drops);
	p = PUT_NUMBER(p, ",\"rxDrops\":", details->rx_drops);
	if (reason) {
		size_t length = strnlen(reason, DROP_REASON_NAME_MAX);

		p = PUT(p, ",\"dropReason\":\"");
		memcpy(p, reason, length);
		p += length;
		*p++ = '"';
	}
	return p;
}

/* Those that are known. At most 220 bytes. */
static char *write_details(const struct details *details, const char *(*name)(uint16_t reason), char *p)
{
	if (!(details->bits & DETAILS_OPENERS_DIFFER)) {
		if (details->opener == OPENER_SRC)
			p = PUT(p, ",\"init\":\"src\"");
		else if (details->opener == OPENER_DST)
			p = PUT(p, ",\"init\":\"dst\"");
	}
	p = PUT_NUMBER(p, ",\"starts\":", details->starts);
	p = PUT_NUMBER(p, ",\"ends\":", details->ends);
	p = PUT_NUMBER(p, ",\"txFlags\":", details->tx_flags);
	p = PUT_NUMBER(p, ",\"rxFlags\":", details->rx_flags);
	return details->tx_drops | details->rx_drops ? write_drops(details, name, p) : p;
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
	p = write_details(&entry->details, last->drop_reason_name, p);
	*p++ = '}';
	return p;
}
