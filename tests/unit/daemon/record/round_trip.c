/* SPDX-License-Identifier: BSD-3-Clause */
/* The reader reads what the encoder writes: any connections and counts, wherever messages are cut. */

#include "common/cleanup.h"
#include "common/message.h"
#include "common/time_text.h"
#include "daemon/record/encode.h"
#include "daemon/routes/routing.h"
#include "tests/unit/daemon/record/messages.h"
#include "tests/unit/daemon/record/support.h"

#include <string.h>

#define FLOWS 3000

struct expected {
	enum traffic_class class;
	struct flow flow;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Of all families and of every length of text: few bits set make zero groups and small numbers. */
static struct endpoint random_endpoint(uint64_t *state)
{
	static const uint8_t firsts[][4] = {{100, 64}, {10}, {8, 8}};
	uint64_t random = next_random(state);
	struct endpoint endpoint = {.port = (uint16_t)(random >> 48)};
	uint8_t bytes[16] = {};

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(next_random(state) >> 20 & next_random(state) >> 30);
	if (random % 4 == 0) {
		if (random & 0x100)
			memset(bytes + 2, 0, 10);
		endpoint.address = address_ipv6(bytes);
	} else {
		memcpy(bytes, firsts[random % 4 - 1], 2);
		endpoint.address = address_ipv4(bytes);
	}
	return endpoint;
}

static uint64_t random_count(uint64_t *state)
{
	return (next_random(state) & COUNT_MAX) >> next_random(state) % 64;
}

/* Every connection once: the source port counts them. */
static struct flow random_flow(uint64_t *state, uint16_t number)
{
	struct flow flow = {.connection.src = random_endpoint(state)};

	flow.connection.src.port = number;
	flow.connection.dst = random_endpoint(state);
	flow.connection.proto = (uint8_t)next_random(state);
	flow.counts = (struct counts){random_count(state), random_count(state), random_count(state),
				      random_count(state) + 1};
	counts_add(&flow.counts, &(struct counts){});
	if (next_random(state) & 1)
		flow.details = (struct details){
			.starts = (uint32_t)random_count(state),
			.ends = (uint32_t)random_count(state),
			.tx_drops = (uint32_t)random_count(state),
			.rx_drops = (uint32_t)random_count(state) | 1,
			.drop_reason = (uint16_t)(next_random(state) % 3),
			.tx_flags = (uint8_t)next_random(state),
			.rx_flags = (uint8_t)next_random(state),
			.opener = (uint8_t)(next_random(state) % 3),
		};
	return flow;
}

static const char *drop_reason(uint16_t reason)
{
	return reason == 1 ? "NETFILTER_DROP"
			   : "A_NAME_OF_SIXTY_FOUR_LETTERS_WHICH_IS_THE_LONGEST_THAT_FITS_HERE";
}

static void assert_details(const struct flow *flow, const struct json_slice *reason,
			   const struct details *expected)
{
	const char *name = expected->drop_reason ? drop_reason(expected->drop_reason) : "";
	struct details details = flow->details;

	details.drop_reason = expected->drop_reason; /* comes as text */
	ck_assert_mem_eq(&details, expected, sizeof(details));
	ck_assert_uint_eq(reason->length, strlen(name));
	if (reason->length)
		ck_assert_mem_eq(reason->data, name, strlen(name));
}

static int compare(const void *a, const void *b)
{
	const struct expected *x = a, *y = b;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	return connection_compare(&x->flow.connection, &y->flow.connection);
}

static void assert_messages(const struct messages *messages, const struct encode_times *window,
			    const struct expected *expected, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < messages->n; i++) {
		struct message_entries entries;
		enum traffic_class class;
		struct message message;
		struct flow flow;
		int r;

		ck_assert_int_eq(message_parse(messages->texts[i], messages->sizes[i], &message), 0);
		ck_assert_uint_eq(message.proc_id, 12345);
		ck_assert_uint_eq(message.proc_seq, i + 1);
		ck_assert_int_eq(message.client_time, window->end + 1);
		ck_assert_int_eq(message.start, window->start);
		ck_assert_int_eq(message.end, window->end);
		ck_assert_str_eq(message.node_id, "a \"node\"");
		ck_assert_uint_eq(message.overflow_tun.rx_bytes, i == 0 ? 7 : 0);
		entries = message_entries(&message);
		while ((r = message_entries_next(&entries, &class, &flow)) > 0) {
			ck_assert_uint_lt(at, n);
			ck_assert_uint_eq(class, expected[at].class);
			ck_assert_int_eq(connection_compare(&flow.connection, &expected[at].flow.connection),
					 0);
			ck_assert(counts_equal(&flow.counts, &expected[at].flow.counts));
			assert_details(&flow, &entries.drop_reason, &expected[at].flow.details);
			at++;
		}
		ck_assert_int_eq(r, 0);
		message_deinit(&message);
	}
	ck_assert_uint_eq(at, n);
}

/* The flows of a window, as they are added and as they must come back. */
static void make_flows(uint64_t *state, const struct routing *routing, struct flows *ret_tun,
		       struct flows *ret_sock, struct expected *expected)
{
	for (uint16_t i = 0; i < FLOWS; i++) {
		struct flow flow = random_flow(state, i);
		bool sock = next_random(state) % 8 == 0;

		expected[i] = (struct expected){
			sock ? CLASS_PHYSICAL : routing_classify(routing, &flow.connection), flow};
		struct flows *flows = sock ? ret_sock : ret_tun;

		ck_assert_int_eq(flows_add(flows, &flow.connection, &flow.counts), 0);
		/* The physical layer has none. */
		if (sock)
			expected[i].flow.details = (struct details){};
		flows->items[flows->n - 1].details = expected[i].flow.details;
	}
	qsort(expected, FLOWS, sizeof(*expected), compare);
}

START_TEST(test_round_trip)
{
	struct route_lists lists = test_lists("100.64.0.1", "100.64.0.0/10 10.0.0.0/8 8000::/1", "");
	struct prefix_list tailnet = {}, none = {};
	struct aggregate_settings gathering = {
		.exit_traffic = EXIT_TRAFFIC_FULL, .ignore_addrs = &none, .details = true};
	struct encode_settings settings = {
		.max_message_size = 4096 << _i, .node_id = "a \"node\"", .drop_reason_name = drop_reason};
	struct encode_times window = {1665692589644000000, 1665692594700000001};
	struct encode_sequence sequence = {.proc_id = 12345};
	uint64_t state = UINT64_C(88172645463325252) + (uint64_t)_i;
	static struct expected expected[FLOWS];
	static struct messages messages;
	struct flows tun = {}, sock = {};
	struct routing *routing;
	struct aggregate *aggregate;

	test_list_add(&tailnet, "100.64.0.0/10");
	ck_assert_int_eq(routing_new(&lists, &tailnet, &none, &routing), 0);
	ck_assert_int_eq(aggregate_new(&aggregate), 0);
	make_flows(&state, routing, &tun, &sock, expected);
	ck_assert_int_eq(aggregate_add_tun(aggregate, &tun, routing, &gathering, NULL, NULL), 0);
	ck_assert_int_eq(aggregate_add_sock(aggregate, &sock, NULL), 0);
	aggregate_add_overflow(aggregate, &(struct counts){.rx_bytes = 7}, &(struct counts){});
	ck_assert_int_eq(encode_window(aggregate, &window, &settings, &sequence, window.end + 1,
				       messages_take, &messages),
			 0);
	if (_i == 0)
		ck_assert_uint_gt(messages.n, 50);
	assert_messages(&messages, &window, expected, FLOWS);
	messages_deinit(&messages);
	flows_deinit(&tun);
	flows_deinit(&sock);
	aggregate_free(aggregate);
	routing_free(routing);
	prefix_list_deinit(&tailnet);
	test_lists_deinit(&lists);
}
END_TEST

START_TEST(test_text)
{
	struct encode_sequence sequence = {.proc_id = UINT32_MAX, .proc_seq = 41};
	_cleanup_buffer_ struct buffer buffer = {};
	static const char text[] = "\"\u00e4\" \\ \x01";
	struct message message;

	ck_assert_int_eq(encode_text(&buffer, &sequence, 5, text, NULL), 0);
	ck_assert_int_eq(message_parse(buffer.data, buffer.length, &message), 0);
	ck_assert_str_eq(message.text, "netlogd: \"\u00e4\" \\ \x01");
	ck_assert_uint_eq(message.proc_id, UINT32_MAX);
	ck_assert_uint_eq(message.proc_seq, 42);
	ck_assert_int_eq(message.client_time, 5);
	ck_assert(!message.has_window);
	message_deinit(&message);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("round_trip");
	TCase *test_case = tcase_create("round_trip");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test_case, 60);
	tcase_add_loop_test(test_case, test_round_trip, 0, 7);
	tcase_add_test(test_case, test_text);
	suite_add_tcase(suite, test_case);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
