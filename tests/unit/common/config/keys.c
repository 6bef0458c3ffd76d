/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of keys: documented in the example, and the names of what it chooses from. */

#include "common/config/keys.h"

#include "common/buffer.h"
#include "common/file.h"
#include "tests/unit/common/config/support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static bool is_fallback(const char *line)
{
	return line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';
}

/* The example with its "#key = value" lines, or its "# " lines after the sinks' heading, uncommented. */
static char *uncomment(const char *text, bool fallbacks, bool sinks)
{
	_cleanup_buffer_ struct buffer result = {};
	bool in_sinks = false;

	while (*text) {
		size_t n = (size_t)(strchrnul(text, '\n') - text);
		bool is_section = strncmp(text, "# [upload ", 10) == 0;
		bool is_value = in_sinks && text[0] == '#' && memmem(text, n, " = ", 3);

		in_sinks = in_sinks || is_section;
		if (fallbacks && is_fallback(text))
			buffer_append(&result, text + 1, n - 1);
		else if (sinks && (is_section || is_value))
			buffer_append(&result, text + 2, n - 2);
		else
			buffer_append(&result, text, n);
		buffer_append_char(&result, '\n');
		text += n + (text[n] == '\n');
	}
	return buffer_take(&result, NULL);
}

/* Every key is explained, and the defaults in the example are the defaults. */
START_TEST(the_example_has_every_key)
{
	_cleanup_free_ char *text = NULL, *written = NULL, *sinks = NULL;
	struct config *plain, *full, *with_sinks;

	ck_assert_int_eq(file_read(AT_FDCWD, EXAMPLE, 1 << 20, &text, NULL, NULL), 0);
	for (size_t i = 0; i < config_keys_n; i++) {
		_cleanup_free_ char *key = NULL;

		ck_assert_int_gt(asprintf(&key, "%s =", config_keys[i].name), 0);
		ck_assert_msg(strstr(text, key) != NULL, "%s is not explained", key);
	}
	written = uncomment(text, true, false);
	sinks = uncomment(text, false, true);
	ck_assert_str_ne(written, text);
	plain = parse_config(text);
	full = parse_config(written);
	ck_assert_ptr_null(config_restart_needed(plain, full));
	ck_assert(device_config_equal(&plain->tun, &full->tun));
	ck_assert(device_config_equal(&plain->sock, &full->sock));
	ck_assert(route_lists_equal(&plain->routes, &full->routes));
	ck_assert(prefix_list_equal(&plain->tailnet, &full->tailnet));
	ck_assert(prefix_list_equal(&plain->tailnet_exclude, &full->tailnet_exclude));
	ck_assert(prefix_list_equal(&plain->ignore_addrs, &full->ignore_addrs));
	ck_assert_str_eq(plain->log_id_file, full->log_id_file);
	ck_assert_int_eq(plain->log_level, full->log_level);
	ck_assert_int_eq(plain->autostart, full->autostart);
	ck_assert_uint_eq(plain->max_flows, full->max_flows);
	ck_assert_int_eq(plain->underlay, full->underlay);
	ck_assert_int_eq(plain->routes_mode, full->routes_mode);
	ck_assert_int_eq(plain->period, full->period);
	ck_assert_int_eq(plain->exit_traffic, full->exit_traffic);
	ck_assert_uint_eq(plain->max_message_size, full->max_message_size);
	ck_assert_int_eq(plain->heartbeat, full->heartbeat);
	ck_assert_int_eq(plain->peer_events, full->peer_events);
	ck_assert_int_eq(plain->details, full->details);
	ck_assert_int_eq(plain->drops, full->drops);
	ck_assert_int_eq(plain->fold_ports, full->fold_ports);
	ck_assert_uint_eq(plain->spool_max_size, full->spool_max_size);
	ck_assert_int_eq(plain->spool_sync, full->spool_sync);
	ck_assert_int_eq(plain->spool_sync_interval, full->spool_sync_interval);
	ck_assert_int_eq(plain->spool_retain, full->spool_retain);
	with_sinks = parse_config(sinks);
	ck_assert_uint_eq(with_sinks->n_sinks, 3);
	ck_assert_int_eq(with_sinks->sinks[1].type, SINK_TYPE_CLICKHOUSE);
	config_free(plain);
	config_free(full);
	config_free(with_sinks);
}
END_TEST

START_TEST(names)
{
	for (unsigned int source = SOURCE_AUTO; source <= SOURCE_TAILSCALE; source++) {
		const char *name = device_source_name((enum device_source)source);
		enum device_source again;

		ck_assert_str_ne(name, "");
		ck_assert_int_eq(device_source_parse(name, &again), 0);
		ck_assert_uint_eq(again, source);
	}
	ck_assert_str_eq(device_source_name(SOURCE_WIREGUARD), "wireguard");
	ck_assert_int_eq(device_source_parse("x", &(enum device_source){0}), -EINVAL);
	ck_assert_str_eq(sink_type_name(SINK_TYPE_CLICKHOUSE), "clickhouse");
	ck_assert_str_eq(exit_traffic_name(EXIT_TRAFFIC_ANONYMIZE), "anonymize");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("keys");
	TCase *test_case = tcase_create("keys");

	tcase_add_test(test_case, the_example_has_every_key);
	tcase_add_test(test_case, names);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
