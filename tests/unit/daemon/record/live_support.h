/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A memory of live connections, and windows in which packets come. */

#include "common/details.h"
#include "common/time_text.h"
#include "daemon/record/live.h"
#include "tests/unit/common/observe.h"
#include "tests/unit/daemon/record/support.h"

#include <stdlib.h>
#include <string.h>

#define SYN CONTROL_SYN
#define ACK CONTROL_ACK
#define FIN CONTROL_FIN
#define RST CONTROL_RST
#define PSH 0x08

#define TCP    6
#define UDP    17
#define PERIOD (5 * NSEC_PER_SEC)

static struct live *live;
static int64_t now;

static inline void setup(void)
{
	ck_assert_int_eq(live_new(1024, &live), 0);
	now = 1000 * NSEC_PER_SEC;
	live_begin(live, now);
}

static inline void teardown(void)
{
	live_free(live);
}

static inline void next_window(int64_t length)
{
	live_begin_window(live, now, now + length);
	now += length;
}

static inline void pass(int64_t seconds)
{
	for (; seconds > 0; seconds -= 5)
		next_window(PERIOD);
}

static inline struct entry entry_of(uint32_t number, uint8_t proto)
{
	struct connection connection = test_connection("100.64.0.1:1", "100.64.0.2:2", proto);
	struct entry entry = {.counts.tx_packets = 1};

	connection.src.port = (uint16_t)number;
	connection.dst.port = (uint16_t)(number >> 16);
	entry_key_make(&entry.key, CLASS_VIRTUAL, &connection);
	return entry;
}

static inline void follow(struct entry *entry)
{
	live_follow(live, live_hash(live, &entry->key), entry);
}

#define TCP_WINDOW(...)                                                                                      \
	tcp_window((const struct step[]){__VA_ARGS__},                                                       \
		   sizeof((struct step[]){__VA_ARGS__}) / sizeof(struct step))

/* What a window says of the connection in which these packets came. */
static inline struct details tcp_window(const struct step *steps, size_t n)
{
	struct entry entry = entry_of(1, TCP);

	next_window(PERIOD);
	entry.details = observe(steps, n);
	follow(&entry);
	return entry.details;
}

static inline void expect(struct details details, uint32_t starts, uint32_t ends, enum opener opener)
{
	ck_assert_uint_eq(details.starts, starts);
	ck_assert_uint_eq(details.ends, ends);
	ck_assert_uint_eq(details.opener, opener);
}

/* Both ends have opened one in the window: nobody is named. */
static inline void expect_both(struct details details, uint32_t starts, uint32_t ends)
{
	ck_assert_uint_eq(details.starts, starts);
	ck_assert_uint_eq(details.ends, ends);
	ck_assert(details.bits & DETAILS_OPENERS_DIFFER);
}

static inline void open_one(uint32_t number, bool answered)
{
	const struct step steps[] = {{false, SYN, number}, {true, SYN | ACK, 5}};
	struct entry entry = entry_of(number, TCP);

	entry.details = observe(steps, answered ? 2 : 1);
	follow(&entry);
	ck_assert_uint_eq(entry.details.starts, 1);
}

/* The same of a connection that is not TCP, after one packet. */
static inline struct details other_window(uint8_t proto, bool received)
{
	struct entry entry = entry_of(1, proto);

	next_window(PERIOD);
	entry.details.bits = (uint16_t)(DETAILS_HAS_FIRST | (received ? DETAILS_FIRST_RECEIVED : 0));
	follow(&entry);
	return entry.details;
}

static inline int run_live_tests(const char *name, const TTest *const *tests, size_t n)
{
	Suite *suite = suite_create(name);
	TCase *cases = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(cases, tests[i]);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
