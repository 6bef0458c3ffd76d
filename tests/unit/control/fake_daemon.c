/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon that the suites of netlogctl talk to. */

#include "tests/unit/control/fake_daemon.h"

#include "common/cleanup.h"
#include "common/unix_socket.h"
#include "control/varlink/idl.h"
#include "control/varlink/interfaces.h"
#include "control/varlink/server.h"
#include "tests/unit/control/support.h"
#include "tests/unit/scratch.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct fake_daemon {
	char directory[SCRATCH_MAX];
	char socket[96];
	const struct fake_answer *answers;
	size_t n_answers;
	struct event_base *base;
	struct varlink_server *server;
	struct event *stop_event;
	int stop_fds[2];
	pthread_t thread;
	json_t *asked;
	atomic_bool unchecked;
};

/* A method that the table lacks fails. */
static int answer(struct fake_daemon *daemon, const char *method, struct varlink_call *call,
		  json_t *parameters)
{
	json_array_append_new(daemon->asked, json_pack("{sssO}", "method", method, "parameters", parameters));
	for (size_t i = 0; i < daemon->n_answers; i++) {
		const struct fake_answer *entry = &daemon->answers[i];
		_cleanup_free_ char *copy = strdup(entry->parameters);
		char wrong[VARLINK_IDL_NAME_MAX], *rest = copy, *line;

		if (strcmp(entry->method, method) != 0)
			continue;
		if (entry->error)
			return varlink_call_error(call, entry->error, json_of(copy));
		while ((line = strsep(&rest, "\n"))) {
			json_t *reply = json_of(line);

			ck_assert_msg(daemon->unchecked || varlink_idl_check_reply(interface_control, method,
										   reply, wrong) == 0,
				      "%s: %s", method, wrong);
			if (rest)
				varlink_call_reply_continues(call, reply);
			else
				varlink_call_reply(call, reply);
		}
		return 0;
	}
	return -ENOSYS;
}

#define METHOD(name)                                                                                         \
	static int run_##name(struct varlink_call *call, json_t *parameters, void *userdata)                 \
	{                                                                                                    \
		return answer(userdata, #name, call, parameters);                                            \
	}

METHOD(Start)
METHOD(Stop)
METHOD(Reconfig)
METHOD(Reload)
METHOD(Flush)
METHOD(SetNodes)
METHOD(Status)
METHOD(Metrics)
METHOD(Tail)
METHOD(GetRoutes)
METHOD(GetPeers)
METHOD(GetNodes)

static const struct varlink_method methods[] = {
	{.name = "Start", .run = run_Start},
	{.name = "Stop", .run = run_Stop},
	{.name = "Reconfig", .run = run_Reconfig},
	{.name = "Reload", .run = run_Reload},
	{.name = "Flush", .run = run_Flush},
	{.name = "SetNodes", .run = run_SetNodes},
	{.name = "Status", .run = run_Status},
	{.name = "Metrics", .run = run_Metrics},
	{.name = "GetRoutes", .flags = VARLINK_NEEDS_MORE, .run = run_GetRoutes},
	{.name = "GetPeers", .flags = VARLINK_NEEDS_MORE, .run = run_GetPeers},
	{.name = "GetNodes", .flags = VARLINK_NEEDS_MORE, .run = run_GetNodes},
	{.name = "Tail", .flags = VARLINK_NEEDS_MORE, .run = run_Tail},
};

static const struct varlink_interface control_interface = {
	.name = "org.netlogd.control",
	.description = interface_control,
	.methods = methods,
	.n_methods = ARRAY_SIZE(methods),
};

static void on_stop(evutil_socket_t fd, short what, void *userdata)
{
	struct fake_daemon *daemon = userdata;

	(void)fd;
	(void)what;
	event_base_loopbreak(daemon->base);
}

static void *run(void *userdata)
{
	struct fake_daemon *daemon = userdata;

	event_base_dispatch(daemon->base);
	return NULL;
}

static bool everybody(uid_t uid, void *userdata)
{
	(void)uid;
	(void)userdata;
	return true;
}

struct fake_daemon *fake_daemon_start(const struct fake_answer *answers, size_t n_answers)
{
	struct fake_daemon *daemon = calloc(1, sizeof(*daemon));
	const struct varlink_server_options options = {
		.vendor = "netlogd", .is_operator = everybody, .userdata = daemon};
	int fd;

	daemon->answers = answers;
	daemon->n_answers = n_answers;
	daemon->asked = json_array();
	scratch_make(daemon->directory);
	snprintf(daemon->socket, sizeof(daemon->socket), "%s/control.sock", daemon->directory);
	daemon->base = event_base_new();
	ck_assert_int_eq(varlink_server_new(daemon->base, &options, &daemon->server), 0);
	ck_assert_int_eq(varlink_server_add_interface(daemon->server, &control_interface), 0);
	ck_assert_int_eq(unix_socket_listen(daemon->socket, 0600, UNIX_SOCKET_NO_GROUP, &fd), 0);
	ck_assert_int_eq(varlink_server_listen(daemon->server, fd), 0);
	ck_assert_int_eq(pipe(daemon->stop_fds), 0);
	daemon->stop_event = event_new(daemon->base, daemon->stop_fds[0], EV_READ, on_stop, daemon);
	ck_assert_int_eq(event_add(daemon->stop_event, NULL), 0);
	ck_assert_int_eq(pthread_create(&daemon->thread, NULL, run, daemon), 0);
	return daemon;
}

void fake_daemon_unchecked(struct fake_daemon *daemon)
{
	daemon->unchecked = true;
}

const char *fake_daemon_socket(const struct fake_daemon *daemon)
{
	return daemon->socket;
}

json_t *fake_daemon_stop(struct fake_daemon *daemon)
{
	json_t *asked = daemon->asked;

	safe_close(daemon->stop_fds[1]);
	pthread_join(daemon->thread, NULL);
	event_free(daemon->stop_event);
	safe_close(daemon->stop_fds[0]);
	varlink_server_free(daemon->server);
	event_base_free(daemon->base);
	free(daemon);
	return asked;
}
