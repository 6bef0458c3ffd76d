/* SPDX-License-Identifier: BSD-3-Clause */
/* A WireGuard configuration, read for its names: the same ones in whatever pieces it arrives, each clean and
 * bounded, and nothing of the file is left in memory. And the same bytes as the broker's answer. */

#include "common/plain_text.h"
#include "daemon/device/peers/conf_names.h"
#include "daemon/device/peers/names_file.h"
#include "daemon/device/peers/names_source.h"
#include "tests/fuzz/fuzz_support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void check_names(const struct wg_names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		const char *text = wg_names_text(names, i);

		REQUIRE(*text && strlen(text) <= WG_NAME_MAX && plain_text_is(text));
		REQUIRE(wg_names_find(names, names->items[i].public_key) == text);
	}
}

static void read_file(const uint8_t *data, size_t size, size_t step, struct wg_names *names)
{
	static const struct conf_names wiped;
	struct conf_names file = {};

	for (size_t i = 0; i < size; i += step)
		REQUIRE(conf_names_feed(&file, (const char *)data + i, MIN(step, size - i), names) == 0);
	REQUIRE(conf_names_finish(&file, names) == 0);
	REQUIRE(memcmp(file.line, wiped.line, sizeof(file.line)) == 0);
	conf_names_deinit(&file);
	REQUIRE(memcmp(&file, &wiped, sizeof(file)) == 0);
	check_names(names);
}

static void read_answer(const uint8_t *data, size_t size)
{
	_cleanup_wg_names_ struct wg_names names = {};
	char token[WG_NAMES_TOKEN_MAX] = "";
	struct wg_names_answer answer = {.token = token};
	int r = wg_names_answer_feed(&answer, (const char *)data, size, &names);

	REQUIRE(r == 0 || r == -EBADMSG);
	REQUIRE(answer.length < sizeof(answer.line) && memchr(token, '\0', sizeof(token)));
	wg_names_sort(&names);
	check_names(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_wg_names_ struct wg_names whole = {}, pieces = {};

	read_file(data, size, size + 1, &whole);
	read_file(data, size, 3, &pieces);
	REQUIRE(wg_names_equal(&whole, &pieces));
	read_answer(data, size);
	return 0;
}
