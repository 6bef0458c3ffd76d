/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The JSON text of an entry: the innermost loop of making messages. */

#include "daemon/record/entries.h"

#include <stddef.h>

/* The room that an entry needs: {"proto":255,"src":"...","dst":"...", four members with 19 digits each, its
 * details}, and what the text of an address may write beyond its end. */
#define ENTRY_TEXT_MAX	     544
#define DROP_REASON_NAME_MAX 64 /* bytes; longer ones are cut */

/* The text of the last source address: sorted entries mostly share it. Zero-initialised is valid. */
struct entry_text {
	/* The name of a reason for drops; NULL: it has none. May be NULL itself. */
	const char *(*drop_reason_name)(uint16_t reason);
	uint8_t address[ENTRY_SRC_PORT - ENTRY_SRC];
	char text[ADDRESS_TEXT_MAX + 3]; /* quote, bracket; up to the colon */
	size_t length;
};

/* Writes the entry at p, which has room for ENTRY_TEXT_MAX bytes; returns the end. */
char *entry_text_write(struct entry_text *last, const struct entry *entry, char *p);
/* Writes ,"<prefix>Pkts":n and so on for every count that is not zero; returns the end. At most 160 bytes. */
char *counts_text_write(const struct counts *counts, char *p);
