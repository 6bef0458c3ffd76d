/* SPDX-License-Identifier: BSD-3-Clause */
/* Changes that are reported, each of them made in a network namespace. */

#include "daemon/net/link_monitor.h"
#include "common/cleanup.h"
#include "tests/unit/daemon/net/support.h"

#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

static void on_change(void *userdata)
{
	++*(unsigned int *)userdata;
}

static unsigned int wait_for_change(struct event_base *base, unsigned int *changes)
{
	const struct timeval limit = {.tv_sec = 10};

	*changes = 0;
	event_base_loopexit(base, &limit);
	while (*changes == 0 && !event_base_got_exit(base))
		event_base_loop(base, EVLOOP_ONCE);
	return *changes;
}

START_TEST(changes_are_reported)
{
	static const char *const changes[] = {
		"link add new0 type veth peer name new1",
		"link set new0 up",
		"link set new0 down",
		"link set new0 name newer0",
		"link set newer0 up",
		"link del newer0",
	};
	struct event_base *base = event_base_new();
	struct link_monitor *monitor = NULL;
	unsigned int reported = 0;

	ck_assert_int_eq(link_monitor_new(base, on_change, &reported, &monitor), 0);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		/* One change may make several messages, which are all there when ip has ended. */
		while (event_base_loop(base, EVLOOP_NONBLOCK), reported > 0)
			reported = 0;
		ip(changes[i]);
		ck_assert_msg(wait_for_change(base, &reported) > 0, "%s", changes[i]);
	}
	link_monitor_free(monitor);
	event_base_free(base);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("link_monitor");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (getuid() != 0) {
		puts("skipped: a network namespace of its own needs root");
		return 77;
	}
	tcase_add_checked_fixture(tcase, network_setup, NULL);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, changes_are_reported);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
