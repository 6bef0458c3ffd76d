/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the suites of control/ share: a runner, JSON written in C, and a loop that ends on a condition. */

#include <check.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdlib.h>

/* JSON with single quotes, for readability in C. Aborts if it is invalid. */
json_t *json_of(const char *text);
/* The same as compact text with double quotes; owned by the caller. */
char *json_text_of(const char *text);
/* Asserts that two values are equal, and shows both if not; takes the reference to actual. */
void assert_json(json_t *actual, const char *expected);

/* Turns the loop until the condition holds; fails the test after ten seconds. */
#define turn_until(base, condition)                                                                          \
	do {                                                                                                 \
		struct event *alarm_ = start_alarm(base);                                                    \
		while (!(condition)) {                                                                       \
			ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);                             \
			ck_assert_msg(evtimer_pending(alarm_, NULL), "never: %s", #condition);               \
		}                                                                                            \
		event_free(alarm_);                                                                          \
	} while (0)

struct event *start_alarm(struct event_base *base);

/* Runs a suite of one case; the exit status of the program. */
int run_suite(const char *name, const TTest *const *tests, size_t n);
