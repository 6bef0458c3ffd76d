/* SPDX-License-Identifier: BSD-3-Clause */
/* Three digits and a unit are precise enough for a table. */

#include "control/units.h"

#include "common/cleanup.h"
#include "common/time_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

static const char *scaled(double value, double step, const char *const *names, size_t n_names,
			  const char *suffix, char *ret_text)
{
	int decimals = 0;
	size_t i = 0;

	while (value >= step - 0.5 && i + 1 < n_names) {
		value /= step;
		i++;
	}
	if (i > 0)
		decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0; /* three digits in total */
	snprintf(ret_text, UNITS_TEXT_MAX, "%.*f %s%s", decimals, value, names[i], suffix);
	return ret_text;
}

static const char *const byte_names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

const char *units_bytes(uint64_t bytes, char *ret_text)
{
	return scaled((double)bytes, 1024, byte_names, ARRAY_SIZE(byte_names), "", ret_text);
}

const char *units_byte_rate(uint64_t bytes, int64_t ns, char *ret_text)
{
	ret_text[0] = '\0';
	if (ns <= 0)
		return ret_text;
	return scaled((double)bytes * (double)NSEC_PER_SEC / (double)ns, 1024, byte_names,
		      ARRAY_SIZE(byte_names), "/s", ret_text);
}

const char *units_count(uint64_t count, char *ret_text)
{
	static const char *const names[] = {"", "k", "M", "G", "T", "P", "E"};

	if (count > 9999999)
		return scaled((double)count, 1000, names, ARRAY_SIZE(names), "", ret_text);
	snprintf(ret_text, UNITS_TEXT_MAX, "%" PRIu64, count);
	return ret_text;
}

const char *units_packets(uint64_t packets, uint64_t bytes, char *ret_text)
{
	return packets == 0 && bytes > 0 ? "-" : units_count(packets, ret_text);
}

static int64_t rounded(int64_t ns, int64_t unit)
{
	return ns / unit + (ns % unit >= unit / 2);
}

const char *units_duration(int64_t ns, char *ret_text)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	/* Windows are 1.998 s long, and not 1 s. */
	int64_t microseconds = rounded(ns, NSEC_PER_USEC), milliseconds = rounded(ns, NSEC_PER_MSEC);
	int64_t seconds = rounded(ns, NSEC_PER_SEC);
	size_t i = 0;

	if (ns < 0)
		return units_duration(0, ret_text);
	if (milliseconds < 1000) {
		bool small = microseconds < 1000;

		snprintf(ret_text, UNITS_TEXT_MAX, "%" PRId64 " %s", small ? microseconds : milliseconds,
			 small ? "us" : "ms");
		return ret_text;
	}
	while (seconds < units[i].seconds)
		i++;
	if (i + 1 < ARRAY_SIZE(units) && seconds % units[i].seconds >= units[i + 1].seconds)
		snprintf(ret_text, UNITS_TEXT_MAX, "%" PRId64 " %s %" PRId64 " %s",
			 seconds / units[i].seconds, units[i].name,
			 seconds % units[i].seconds / units[i + 1].seconds, units[i + 1].name);
	else
		snprintf(ret_text, UNITS_TEXT_MAX, "%" PRId64 " %s", seconds / units[i].seconds,
			 units[i].name);
	return ret_text;
}
