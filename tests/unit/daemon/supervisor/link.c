/* SPDX-License-Identifier: BSD-3-Clause */
/* The link to the uploader: what waits for one, what it is sent, and what its answers become. The uploader is
 * a Varlink client on the same loop. */

#include "daemon/supervisor/link.h"

#include "common/cleanup.h"
#include "control/varlink/async.h"
#include "control/varlink/client.h"
#include "tests/unit/control/support.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define ID_A	     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID_B	     "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define METHOD(name) "org.netlogd.upload." name

struct uploader {
	struct varlink_async *async;
	json_t *events; /* of its Watch */
	bool watch_ended, closed;
	json_t *answers; /* of its calls: null or an error's name */
};

static struct event_base *base;
static struct uploader_link *link_;
static unsigned int identified, reported, connected, disconnected;
static bool is_uploader = true;

static void on_identified(void *userdata)
{
	(void)userdata;
	identified++;
}

static void on_reported(void *userdata)
{
	(void)userdata;
	reported++;
}

static void on_connected(bool now, void *userdata)
{
	(void)userdata;
	if (now)
		connected++;
	else
		disconnected++;
}

static bool may_be_uploader(uid_t uid, void *userdata)
{
	(void)userdata;
	ck_assert_uint_eq(uid, getuid());
	return is_uploader;
}

static const struct uploader_link_ops ops = {
	.identified = on_identified,
	.reported = on_reported,
	.connected = on_connected,
	.is_uploader = may_be_uploader,
};

static void setup(void)
{
	base = event_base_new();
	ck_assert_ptr_nonnull(base);
	ck_assert_int_eq(uploader_link_new(base, &ops, NULL, &link_), 0);
}

static void teardown(void)
{
	uploader_link_free(link_);
	event_base_free(base);
}

/* ---- the uploader ---------------------------------------------------------------------------------- */

static void on_reply(const char *error, json_t *parameters, bool continues, void *request, void *userdata)
{
	struct uploader *uploader = userdata;

	if (!request) {
		json_array_append_new(uploader->answers, error ? json_string(error) : json_null());
		return;
	}
	ck_assert_msg(!error || !is_uploader, "Watch failed: %s", error);
	if (continues)
		json_array_append(uploader->events, parameters);
	else
		uploader->watch_ended = true;
}

static void on_closed(int error, void *userdata)
{
	struct uploader *uploader = userdata;

	(void)error;
	uploader->closed = true;
}

static void watch(struct uploader *uploader)
{
	static const struct varlink_async_ops async_ops = {.reply = on_reply, .closed = on_closed};
	int pair[2];

	*uploader = (struct uploader){.events = json_array(), .answers = json_array()};
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert_int_eq(uploader_link_add_connection(link_, pair[0]), 0);
	ck_assert_int_eq(varlink_async_new(base, pair[1], &async_ops, uploader, &uploader->async), 0);
	ck_assert_int_eq(varlink_async_send(uploader->async, METHOD("Watch"), NULL, true, uploader), 0);
}

static void leave(struct uploader *uploader)
{
	varlink_async_free(uploader->async);
	json_decref(uploader->events);
	json_decref(uploader->answers);
	*uploader = (struct uploader){};
}

/* A call that wants no reply, since Watch is still being answered on the connection. */
static void call(struct uploader *uploader, const char *method, const char *parameters)
{
	ck_assert_int_eq(varlink_async_send_oneway(uploader->async, method, json_of(parameters)), 0);
}

/* Waits for as many events as expected, asserts them and forgets them. */
static void expect_events(struct uploader *uploader, const char *expected)
{
	json_t *events = json_of(expected);
	size_t n = json_array_size(events);

	json_decref(events);
	turn_until(base, json_array_size(uploader->events) >= n);
	assert_json(json_deep_copy(uploader->events), expected);
	json_array_clear(uploader->events);
}

/* ---- what is sent ---------------------------------------------------------------------------------- */

START_TEST(test_state_waits_for_an_uploader)
{
	struct uploader first, second;

	ck_assert_int_eq(uploader_link_set_log_ids(link_, ID_A, ID_B), 0);
	uploader_link_set_metrics(link_, "old");
	uploader_link_set_metrics(link_, "new");
	uploader_link_wake(link_, 5);
	uploader_link_reload(link_); /* a new uploader reads the configuration anyway */
	ck_assert(!uploader_link_is_connected(link_));
	watch(&first);
	expect_events(&first, "[{'logId':{'nodeLogId':'" ID_A "','domainLogId':'" ID_B "'}},"
			      "{'metrics':'new'},{'wake':5}]");
	ck_assert(uploader_link_is_connected(link_));
	ck_assert_uint_eq(connected, 1);

	/* There is one uploader. The IDs are sent until one has stored them. */
	watch(&second);
	expect_events(&second, "[{'logId':{'nodeLogId':'" ID_A "','domainLogId':'" ID_B "'}},"
			       "{'metrics':'new'},{'wake':5}]");
	turn_until(base, first.watch_ended);
	ck_assert_uint_eq(connected, 2);
	leave(&first);
	uploader_link_reload(link_);
	expect_events(&second, "[{'reload':true}]");
	ck_assert_uint_eq(disconnected, 0);
	call(&second, METHOD("Identify"), "{'publicId':'" ID_A "','logIdsStored':true}");
	turn_until(base, identified == 1);
	leave(&second);
	turn_until(base, disconnected == 1);
	ck_assert(!uploader_link_is_connected(link_));
	watch(&first);
	expect_events(&first, "[{'metrics':'new'},{'wake':5}]");
	leave(&first);
}
END_TEST

START_TEST(test_a_start_without_ids_is_sent_too)
{
	struct uploader uploader;

	watch(&uploader);
	expect_events(&uploader, "[{'logId':{}},{'wake':0}]");
	ck_assert_int_eq(uploader_link_set_log_ids(link_, ID_A, NULL), 0);
	expect_events(&uploader, "[{'logId':{'nodeLogId':'" ID_A "'}}]");
	ck_assert_int_eq(uploader_link_set_log_ids(link_, NULL, NULL), 0);
	expect_events(&uploader, "[{'logId':{}}]");
	leave(&uploader);

	/* Of two that nobody was there for, the later one counts as a whole. */
	turn_until(base, disconnected == 1);
	ck_assert_int_eq(uploader_link_set_log_ids(link_, ID_A, ID_A), 0);
	ck_assert_int_eq(uploader_link_set_log_ids(link_, NULL, ID_B), 0);
	watch(&uploader);
	expect_events(&uploader, "[{'logId':{'domainLogId':'" ID_B "'}},{'wake':0}]");
	leave(&uploader);
}
END_TEST

START_TEST(test_one_wake_up_is_under_way_at_a_time)
{
	struct uploader uploader;

	watch(&uploader);
	expect_events(&uploader, "[{'logId':{}},{'wake':0}]");
	uploader_link_wake(link_, 7);
	uploader_link_wake(link_, 7);
	uploader_link_wake(link_, 6);
	uploader_link_reload(link_);
	expect_events(&uploader, "[{'wake':7},{'reload':true}]");
	uploader_link_wake(link_, 8);
	expect_events(&uploader, "[{'wake':8}]");
	leave(&uploader);
}
END_TEST

START_TEST(test_others_are_refused)
{
	struct uploader uploader;

	is_uploader = false;
	watch(&uploader);
	turn_until(base, uploader.watch_ended);
	ck_assert_uint_eq(connected, 0);
	ck_assert_uint_eq(json_array_size(uploader.events), 0);
	leave(&uploader);
	is_uploader = true;
}
END_TEST

/* ---- what comes back ------------------------------------------------------------------------------- */

/* An answered call, on a connection of its own that watches nothing. */
static void expect_answer(const char *method, const char *parameters, const char *error, const char *detail)
{
	_cleanup_(varlink_client_freep) struct varlink_client *client = NULL;
	int pair[2];
	json_t *reply;
	_cleanup_free_ char *ret_error = NULL;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert_int_eq(uploader_link_add_connection(link_, pair[0]), 0);
	ck_assert_int_eq(varlink_client_new_fd(pair[1], &client), 0);
	ck_assert_int_eq(varlink_client_send(client, method, json_of(parameters), false, 10000), 0);
	for (;;) {
		int r = varlink_client_receive(client, 0, &reply, &ret_error, NULL);

		if (r == 0)
			break;
		ck_assert_int_eq(r, -ETIMEDOUT);
		ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
	}
	if (error)
		ck_assert_str_eq(ret_error, error);
	else
		ck_assert_ptr_null(ret_error);
	assert_json(reply, detail);
}

#define INVALID(name) "org.varlink.service.InvalidParameter", "{'parameter':'" name "'}"

static void assert_id(const struct log_id *id, const char *expected)
{
	char text[LOG_ID_TEXT_MAX];

	ck_assert_ptr_nonnull(id);
	log_id_format(id, text);
	ck_assert_str_eq(text, expected);
}

START_TEST(test_public_ids)
{
	ck_assert_ptr_null(uploader_link_public_id(link_));
	ck_assert_ptr_null(uploader_link_domain_public_id(link_));
	expect_answer(METHOD("Identify"), "{'publicId':'12'}", INVALID("publicId"));
	expect_answer(METHOD("Identify"), "{'publicId':'" ID_A "','domainPublicId':'x'}",
		      INVALID("domainPublicId"));
	ck_assert_uint_eq(identified, 0);
	ck_assert_ptr_null(uploader_link_public_id(link_));
	expect_answer(METHOD("Identify"), "{'publicId':'" ID_A "','domainPublicId':'" ID_B "'}", NULL, "{}");
	ck_assert_uint_eq(identified, 1);
	assert_id(uploader_link_public_id(link_), ID_A);
	assert_id(uploader_link_domain_public_id(link_), ID_B);
	expect_answer(METHOD("Identify"), "{'publicId':'" ID_B "'}", NULL, "{}");
	ck_assert_uint_eq(identified, 2);
	assert_id(uploader_link_public_id(link_), ID_B);
	ck_assert_ptr_null(uploader_link_domain_public_id(link_));
}
END_TEST

/* The same, and how much of all that was ever written it has passed. */
#define SINK_PASSED(messages, bytes, delivered, passed, passed_bytes)                                        \
	"{'name':'a','type':'file','state':'ok','backlogMessages':" #messages ",'backlogBytes':" #bytes      \
	",'deliveredSequence':" #delivered ",'deliveredMessages':" #passed                                   \
	",'deliveredBytes':" #passed_bytes                                                                   \
	",'retries':0,'lostMessages':0,'lostBytes':0,'quarantined':0,'sentMessages':0,'sentBytes':0}"
#define SINK(messages, bytes, delivered)                                                                     \
	"{'name':'a','type':'file','state':'ok','backlogMessages':" #messages ",'backlogBytes':" #bytes      \
	",'deliveredSequence':" #delivered ",'retries':0,'lostMessages':0,'lostBytes':0,'quarantined':0,"    \
	"'sentMessages':0,'sentBytes':0}"

static void assert_pending(uint64_t messages, uint64_t bytes)
{
	struct uploader_pending pending = {};

	ck_assert(uploader_link_get_pending(link_, &pending));
	ck_assert(pending.known);
	ck_assert_uint_eq(pending.messages, messages);
	ck_assert_uint_eq(pending.bytes, bytes);
}

/* After a power cut sequences jump; three messages are three. */
START_TEST(test_backlog_is_counted_in_messages)
{
	expect_answer(METHOD("Report"), "{'sinks':[" SINK_PASSED(1, 100, 40, 40, 4000) "]}", NULL, "{}");
	uploader_link_set_written(link_, 41, 4100);
	uploader_link_wake(link_, 1048617);
	assert_pending(1, 100);
	uploader_link_set_written(link_, 43, 4350);
	uploader_link_wake(link_, 1048619);
	assert_pending(3, 350);
	/* It may have seen more than the power cut left. */
	expect_answer(METHOD("Report"), "{'sinks':[" SINK_PASSED(2, 200, 45, 45, 4500) "]}", NULL, "{}");
	assert_pending(2, 200);
}
END_TEST

START_TEST(test_backlog_is_that_of_the_slowest_sink)
{
	struct uploader_pending pending = {.messages = 7};

	ck_assert(!uploader_link_get_pending(link_, &pending));
	ck_assert_uint_eq(pending.messages, 7);
	ck_assert_uint_eq(json_array_size(uploader_link_sinks(link_)), 0);
	expect_answer(METHOD("Report"), "{'sinks':7}", INVALID("sinks"));
	ck_assert_uint_eq(reported, 0);

	expect_answer(METHOD("Report"), "{'sinks':[]}", NULL, "{}");
	ck_assert_uint_eq(reported, 1);
	assert_pending(0, 0);
	expect_answer(METHOD("Report"), "{'sinks':[" SINK(3, 300, 97) "," SINK(40, 4000, 60) "]}", NULL,
		      "{}");
	ck_assert_uint_eq(json_array_size(uploader_link_sinks(link_)), 2);
	assert_pending(40, 4000);
	uploader_link_wake(link_, 100);
	assert_pending(40, 4000);
	/* Spooled since the report. */
	uploader_link_wake(link_, 110);
	assert_pending(50, 4000);
	expect_answer(METHOD("Report"), "{'sinks':[" SINK(-3, -300, -1) "]}", NULL, "{}");
	assert_pending(0, 0);
}
END_TEST

/* ---- flushes --------------------------------------------------------------------------------------- */

struct flushed {
	unsigned int n;
	struct uploader_pending pending;
};

static void on_flushed(const struct uploader_pending *pending, void *userdata)
{
	struct flushed *flushed = userdata;

	flushed->n++;
	flushed->pending = *pending;
}

START_TEST(test_flush_without_an_uploader_ends_at_once)
{
	struct flushed flushed = {};

	ck_assert_int_eq(uploader_link_flush(link_, 3600000, on_flushed, &flushed), 0);
	ck_assert_uint_eq(flushed.n, 0); /* from the loop only */
	turn_until(base, flushed.n == 1);
	ck_assert(!flushed.pending.known);
}
END_TEST

START_TEST(test_flush_is_answered)
{
	struct uploader uploader;
	struct flushed first = {}, second = {}, third = {};

	watch(&uploader);
	expect_events(&uploader, "[{'logId':{}},{'wake':0}]");
	ck_assert_int_eq(uploader_link_flush(link_, 60000, on_flushed, &first), 0);
	ck_assert_int_eq(uploader_link_flush(link_, 50000, on_flushed, &second), 0);
	ck_assert_int_eq(uploader_link_flush(link_, 40000, on_flushed, &third), 0);
	expect_events(&uploader,
		      "[{'flush':{'id':1,'deadlineMs':60000}},{'flush':{'id':2,'deadlineMs':50000}},"
		      "{'flush':{'id':3,'deadlineMs':40000}}]");
	/* Nobody waits: the uploader may forget it at once. */
	uploader_link_forget_flush(link_, &third);
	expect_events(&uploader, "[{'flush':{'id':3,'deadlineMs':0}}]");
	call(&uploader, METHOD("Flushed"), "{'id':77,'pendingMessages':1,'pendingBytes':1}");
	call(&uploader, METHOD("Flushed"), "{'id':3,'pendingMessages':1,'pendingBytes':1}");
	call(&uploader, METHOD("Flushed"), "{'id':2,'pendingMessages':-1,'pendingBytes':-1}");
	call(&uploader, METHOD("Flushed"), "{'id':2,'pendingMessages':1,'pendingBytes':1}");
	turn_until(base, second.n == 1);
	ck_assert(second.pending.known);
	ck_assert_uint_eq(second.pending.messages, 0);
	ck_assert_uint_eq(second.pending.bytes, 0);

	/* The next uploader is asked for what still waits. */
	leave(&uploader);
	turn_until(base, disconnected == 1);
	watch(&uploader);
	expect_events(&uploader, "[{'logId':{}},{'wake':0},{'flush':{'id':1,'deadlineMs':60000}}]");
	call(&uploader, METHOD("Flushed"), "{'id':1,'pendingMessages':4,'pendingBytes':400}");
	turn_until(base, first.n == 1);
	ck_assert_uint_eq(first.pending.messages, 4);
	ck_assert_uint_eq(first.pending.bytes, 400);
	ck_assert_uint_eq(second.n, 1);
	ck_assert_uint_eq(third.n, 0);
	uploader_link_hurry(link_, 1000);
	expect_events(&uploader, "[{'flush':{'id':4,'deadlineMs':1000}},{'flush':{'id':4,'deadlineMs':0}}]");
	leave(&uploader);
	expect_answer(METHOD("Flushed"), "{'id':1,'pendingMessages':0}", INVALID("pendingBytes"));
}
END_TEST

START_TEST(test_flush_that_nobody_answers_ends_after_its_deadline)
{
	struct uploader uploader;
	struct flushed flushed = {};

	expect_answer(METHOD("Report"), "{'sinks':[" SINK(40, 4000, 60) "]}", NULL, "{}");
	watch(&uploader);
	expect_events(&uploader, "[{'logId':{}},{'wake':0}]");
	ck_assert_int_eq(uploader_link_flush(link_, 10, on_flushed, &flushed), 0);
	expect_events(&uploader, "[{'flush':{'id':1,'deadlineMs':10}}]");
	turn_until(base, flushed.n == 1);
	ck_assert(flushed.pending.known);
	ck_assert_uint_eq(flushed.pending.messages, 40);
	ck_assert_uint_eq(flushed.pending.bytes, 4000);
	leave(&uploader);
}
END_TEST

START_TEST(test_flushes_are_bounded_and_end_with_the_link)
{
	struct flushed flushed = {};
	struct uploader_link *link;

	ck_assert_int_eq(uploader_link_new(base, &ops, NULL, &link), 0);
	for (unsigned int i = 0; i < UPLOADER_FLUSHES_MAX; i++)
		ck_assert_int_eq(uploader_link_flush(link, 60000, on_flushed, &flushed), 0);
	ck_assert_int_eq(uploader_link_flush(link, 60000, on_flushed, &flushed), -EAGAIN);
	uploader_link_forget_flush(link, &ops);
	uploader_link_forget_flush(link, &flushed);
	ck_assert_int_eq(uploader_link_flush(link, 60000, on_flushed, &flushed), 0);
	ck_assert_uint_eq(flushed.n, 0);
	uploader_link_free(link);
	ck_assert_uint_eq(flushed.n, UPLOADER_FLUSHES_MAX);
	ck_assert(!flushed.pending.known);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("link");
	TCase *tcase = tcase_create("link");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_state_waits_for_an_uploader);
	tcase_add_test(tcase, test_a_start_without_ids_is_sent_too);
	tcase_add_test(tcase, test_one_wake_up_is_under_way_at_a_time);
	tcase_add_test(tcase, test_others_are_refused);
	tcase_add_test(tcase, test_public_ids);
	tcase_add_test(tcase, test_backlog_is_that_of_the_slowest_sink);
	tcase_add_test(tcase, test_backlog_is_counted_in_messages);
	tcase_add_test(tcase, test_flush_without_an_uploader_ends_at_once);
	tcase_add_test(tcase, test_flush_is_answered);
	tcase_add_test(tcase, test_flush_that_nobody_answers_ends_after_its_deadline);
	tcase_add_test(tcase, test_flushes_are_bounded_and_end_with_the_link);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
