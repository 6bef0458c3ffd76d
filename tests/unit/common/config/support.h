/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Configurations from texts, and the errors of wrong ones. */

#include "common/config/load.h"
#include "tests/unit/common/support.h"

#define TUN	"[tun]\ninterface=wg0\n"
#define LOGTAIL TUN "[upload a]\ntype=logtail\ncollection=c\n"
#define TEN	"0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

struct error_case {
	const char *text;
	unsigned int line;
	const char *reason;
};

/* Of a text without errors; owned by the caller. */
struct config *parse_config(const char *text);
/* The text is refused with this line and reason. */
void assert_error(const char *text, size_t size, unsigned int line, const char *reason);
/* The prefixes as text, with blanks between them. */
void assert_prefixes(const struct prefix_list *list, const char *expected);
