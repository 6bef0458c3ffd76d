/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel has these of each socket too, but finding the tunnel's own would mean to look through all. */

#include "daemon/device/wireguard/socket_drops.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each of the two has some 4 KiB. */
#define TEXT_MAX 16384

static bool is_drop(const char *name, size_t length)
{
	return (length == 12 && memcmp(name, "RcvbufErrors", 12) == 0) ||
	       (length == 9 && memcmp(name, "MemErrors", 9) == 0);
}

/* Two lines: "Udp: NAME NAME ..." and "Udp: VALUE VALUE ...". */
static uint64_t parse_columns(const char *text)
{
	const char *names = strstr(text, "\nUdp: "), *values;
	uint64_t sum = 0;

	values = names ? strstr(names + 1, "\nUdp: ") : NULL;
	if (!values)
		return UINT64_MAX;
	for (names += 5, values += 5; *names == ' ' && *values == ' ';) {
		const char *name = ++names;
		char *end;
		uint64_t value = strtoull(++values, &end, 10);

		names += strcspn(names, " \n");
		if (end == values)
			return UINT64_MAX;
		if (is_drop(name, (size_t)(names - name)))
			sum += value;
		values = end;
	}
	return sum;
}

/* A line for each: "Udp6NAME VALUE". */
static uint64_t parse_lines(const char *text)
{
	uint64_t sum = 0;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "Udp6", 4) == 0 && is_drop(line + 4, strcspn(line + 4, " \t\n")))
			sum += strtoull(line + strcspn(line, " \t\n"), NULL, 10);
	}
	return sum;
}

uint64_t socket_drops_parse(const char *snmp, const char *snmp6)
{
	uint64_t sum = parse_columns(snmp);

	return sum == UINT64_MAX ? sum : sum + parse_lines(snmp6);
}

static int read_text(const char *path, char text[static TEXT_MAX])
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	size_t length;

	if (!file)
		return -errno;
	length = fread(text, 1, TEXT_MAX - 1, file);
	text[length] = '\0';
	return ferror(file) ? -EIO : 0;
}

uint64_t socket_drops_read(void)
{
	char snmp[TEXT_MAX], snmp6[TEXT_MAX];

	if (read_text("/proc/thread-self/net/snmp", snmp) < 0)
		return UINT64_MAX;
	/* Without IPv6 there is no such file. */
	if (read_text("/proc/thread-self/net/snmp6", snmp6) < 0)
		*snmp6 = '\0';
	return socket_drops_parse(snmp, snmp6);
}
