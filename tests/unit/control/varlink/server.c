/* SPDX-License-Identifier: BSD-3-Clause */
/* Listeners, places, interfaces, and the end of a server. */

#include "control/varlink/server.h"

#include "tests/unit/control/varlink/server_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

/* Listens on a name that the kernel chooses (abstract: it leaves nothing behind). */
static socklen_t listen_somewhere(struct fixture *f, struct sockaddr_un *ret_name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t size = sizeof(*ret_name);

	*ret_name = (struct sockaddr_un){.sun_family = AF_UNIX};
	ck_assert_int_eq(bind(fd, (struct sockaddr *)ret_name, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)ret_name, &size), 0);
	ck_assert_int_eq(listen(fd, 100), 0);
	ck_assert_int_eq(varlink_server_listen(f->server, fd), 0);
	return size;
}

static int connect_to(const struct sockaddr_un *name, socklen_t size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)name, size), 0);
	return fd;
}

static void fill_up(bool operators, size_t max, size_t expected)
{
	struct varlink_server_options options = {.max_clients = max};
	struct sockaddr_un name;
	struct peer peers[70];
	struct fixture f;
	socklen_t size;

	fixture_init(&f, &options);
	f.operators = operators;
	size = listen_somewhere(&f, &name);
	for (size_t i = 0; i < expected + 2; i++)
		peer_init(&peers[i], &f, connect_to(&name, size));
	expect_cut_off(&peers[expected]);
	expect_cut_off(&peers[expected + 1]);
	ck_assert_uint_eq(counters(&f).clients, expected);
	ck_assert_uint_eq(counters(&f).refused, 2);
	/* One that goes makes room for another. */
	peer_close(&peers[0]);
	peer_close(&peers[expected]);
	turn_until(f.base, counters(&f).clients == expected - 1);
	peer_init(&peers[0], &f, connect_to(&name, size));
	expect(&peers[0], SAY("room"), SAID("room"));
	expect(&peers[expected - 1], SAY("last"), SAID("last"));
	for (size_t i = 0; i < expected + 2; i++)
		if (i != expected)
			peer_close(&peers[i]);
	fixture_deinit(&f);
}

START_TEST(test_too_many_clients)
{
	fill_up(true, 0, 64);
	/* The last quarter is for operators. */
	fill_up(false, 0, 48);
	fill_up(false, 8, 6);
}
END_TEST

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	++*(int *)userdata;
}

/* Without a free descriptor a client waits and the loop is idle; the client is served when there is one. */
START_TEST(test_no_descriptors)
{
	struct timeval tick = {.tv_usec = 20000};
	struct rlimit limit, none;
	struct sockaddr_un name;
	struct fixture f;
	struct peer peer;
	int fd, turns = 0, ticks = 0;
	struct event *timer;
	socklen_t size;

	fixture_init(&f, NULL);
	size = listen_somewhere(&f, &name);
	fd = connect_to(&name, size);
	timer = event_new(f.base, -1, EV_PERSIST, on_tick, &ticks);
	evtimer_add(timer, &tick);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (ticks < 15) {
		ck_assert_int_eq(event_base_loop(f.base, EVLOOP_ONCE), 0);
		turns++;
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_ge(counters(&f).accept_errors, 2);
	/* 300 ms: the ticks, and an attempt every 100 ms. */
	ck_assert_int_le(turns, 30);
	peer_init(&peer, &f, fd);
	expect(&peer, SAY("served"), SAID("served"));
	event_free(timer);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_server_goes_first)
{
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, METHOD("Later"));
	turn_until(f.base, f.kept != NULL);
	varlink_server_free(TAKE_PTR(f.server));
	ck_assert_uint_eq(f.n_closed, 1);
	expect_cut_off(&peer);
	peer_close(&peer);
	fixture_deinit(&f);
}
END_TEST

START_TEST(test_kept_call_outlives_all)
{
	struct varlink_call *call;
	struct fixture f;
	struct peer peer;

	fixture_init(&f, NULL);
	peer_connect(&peer, &f);
	peer_send(&peer, METHOD("Later"));
	turn_until(f.base, f.kept != NULL);
	call = varlink_call_ref(f.kept);
	peer_close(&peer);
	turn_until(f.base, f.n_closed == 1);
	fixture_deinit(&f);
	ck_assert_int_eq(varlink_call_reply(call, json_pack("{si}", "number", 1)), -ENOTCONN);
	ck_assert_uint_eq(varlink_call_pending(call), 0);
	varlink_call_unref(call);
}
END_TEST

START_TEST(test_wrong_interfaces)
{
	struct varlink_interface unreadable = {.name = "org.example.a", .description = "nonsense"};
	struct varlink_interface undescribed = test_interface;
	struct fixture f;

	fixture_init(&f, NULL);
	undescribed.name = "org.example.b";
	undescribed.description = "interface org.example.b\nmethod Other() -> ()\n";
	ck_assert_int_eq(varlink_server_add_interface(f.server, &test_interface), -EEXIST);
	ck_assert_int_eq(varlink_server_add_interface(f.server, &unreadable), -EINVAL);
	ck_assert_int_eq(varlink_server_add_interface(f.server, &undescribed), -EINVAL);
	fixture_deinit(&f);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_too_many_clients,	     test_no_descriptors,   test_server_goes_first,
		test_kept_call_outlives_all, test_wrong_interfaces,
	};

	return run_suite("varlink_server", tests, ARRAY_SIZE(tests));
}
