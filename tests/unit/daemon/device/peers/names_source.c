/* SPDX-License-Identifier: BSD-3-Clause */
/* The file of names as it changes, by itself and through the broker; and what the broker says of it. */

#include "daemon/device/peers/names_source.h"
#include "common/time_text.h"
#include "common/unix_socket.h"
#include "daemon/device/peers/broker.h"
#include "daemon/device/peers/socket.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY1_HEX "0101010101010101010101010101010101010101010101010101010101010101"
#define KEY1	 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define KEY2_HEX "0202020202020202020202020202020202020202020202020202020202020202"
#define KEY2	 "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
#define PRIVATE	 "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define SHARED	 "CJG05xgaLA8RiisoCAmp2U0v329LsIdK1GW4EMc9fmU="

static const char conf[] = "# the hub in Berlin\n"
			   "[Interface]\n"
			   "PrivateKey = " PRIVATE "\n"
			   "Address = 10.7.0.1/24\n"
			   "PostUp = iptables -A FORWARD -i %i -j ACCEPT # a note\n"
			   "# old: " PRIVATE "\n"
			   "\n"
			   "# friendly_name = laptop\n"
			   "[Peer]\n"
			   "PublicKey = " KEY1 " # " SHARED "\n"
			   "PresharedKey = " SHARED "\n"
			   "# presharedkey = " SHARED "\n"
			   "AllowedIPs = 10.7.0.2/32 # in use\n"
			   "Endpoint = vpn.example.net:51820\n"
			   "\n"
			   "# a peer without a key: nobody\n"
			   "[Peer]\n"
			   "PresharedKey = " SHARED "\n"
			   "\n"
			   "### Client phone\n"
			   "[Peer]\n"
			   "PublicKey = " KEY2 "\n";

static char folder[SCRATCH_MAX], path[SCRATCH_MAX + 32], broker_path[SCRATCH_MAX + 32];
static uint8_t key1[WG_PEERS_KEY_SIZE], key2[WG_PEERS_KEY_SIZE];

static void setup(void)
{
	scratch_make(folder);
	snprintf(path, sizeof(path), "%s/wg0.conf", folder);
	snprintf(broker_path, sizeof(broker_path), "%s/broker.sock", folder);
	memset(key1, 1, sizeof(key1));
	memset(key2, 2, sizeof(key2));
}

/* Others may use the folder and reach it. */
static void open_to_all(void)
{
	char parent[SCRATCH_MAX + 8];

	snprintf(parent, sizeof(parent), "%s/..", folder);
	ck_assert_int_eq(chmod(parent, 0711), 0);
	ck_assert_int_eq(chmod(folder, 0777), 0);
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

/* Time goes on until the file's last change is old enough to be told from another one. */
static void let_it_settle(char token[static WG_NAMES_TOKEN_MAX], struct wg_names *names)
{
	int64_t end = time_now_boot() + 20 * NSEC_PER_SEC;

	for (*token = '\0'; !*token && time_now_boot() < end; poll(NULL, 0, 10)) {
		wg_names_deinit(names);
		ck_assert_int_eq(wg_names_file_read(path, token, names), 1);
	}
	ck_assert_str_ne(token, "");
}

START_TEST(an_unchanged_file_is_not_read)
{
	_cleanup_wg_names_ struct wg_names names = {};
	char token[WG_NAMES_TOKEN_MAX] = "";
	struct inotify_event event;
	_cleanup_close_ int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	write_file(path, conf);
	/* It may change once more within the file system's step of time. */
	ck_assert_int_eq(wg_names_file_read(path, token, &names), 1);
	ck_assert_str_eq(token, "");
	let_it_settle(token, &names);
	ck_assert_str_eq(wg_names_find(&names, key1), "laptop");
	ck_assert_str_eq(wg_names_find(&names, key2), "phone");
	ck_assert_uint_eq(names.n, 2);
	/* The kernel tells whether it is opened. */
	ck_assert_int_ge(inotify_add_watch(watch, path, IN_OPEN | IN_ACCESS), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(wg_names_file_read(path, token, &names), 0);
	ck_assert_int_eq(read(watch, &event, sizeof(event)), -1);
	ck_assert_int_eq(errno, EAGAIN);
	wg_names_deinit(&names);
	ck_assert_int_eq(wg_names_file_read(path, (char[WG_NAMES_TOKEN_MAX]){"another"}, &names), 1);
	ck_assert_int_eq(read(watch, &event, sizeof(event)), sizeof(event));
	ck_assert_uint_eq(event.mask, IN_OPEN);
}
END_TEST

START_TEST(what_is_no_file_of_names)
{
	_cleanup_wg_names_ struct wg_names names = {};
	char token[WG_NAMES_TOKEN_MAX] = "as it was";
	int fd;

	ck_assert_int_eq(wg_names_file_read(path, token, &names), -ENOENT);
	ck_assert_str_eq(token, "");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(wg_names_file_read(path, token, &names), -EINVAL);
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(wg_names_file_read(path, token, &names), -EINVAL);
	rmdir(path);
	/* Of 100 MB nothing is read. */
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(ftruncate(fd, 100 * 1000 * 1000), 0);
	close(fd);
	ck_assert_int_eq(wg_names_file_read(path, token, &names), -EFBIG);
	ck_assert_uint_eq(names.n, 0);
}
END_TEST

struct writer {
	FILE *file;
	bool end; /* atomic */
};

static void *write_on(void *userdata)
{
	struct writer *writer = userdata;

	while (!__atomic_load_n(&writer->end, __ATOMIC_RELAXED)) {
		ck_assert_int_ge(fputs("#", writer->file), 0);
		ck_assert_int_eq(fflush(writer->file), 0);
	}
	return NULL;
}

/* Half of a file is not taken for the whole. */
START_TEST(a_file_that_is_written_to)
{
	_cleanup_wg_names_ struct wg_names names = {};
	struct writer writer = {.file = fopen(path, "w")};
	char token[WG_NAMES_TOKEN_MAX] = "";
	pthread_t thread;
	int r = 1;

	ck_assert_ptr_nonnull(writer.file);
	for (int i = 0; i < 100000; i++)
		ck_assert_int_ge(fputs("# a long line that is nobody's\n", writer.file), 0);
	ck_assert_int_ge(fprintf(writer.file, "%s", conf), 0);
	ck_assert_int_eq(fflush(writer.file), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_on, &writer), 0);
	/* Where the other thread does not get its turn meanwhile, there is nothing to notice. */
	for (int i = 0; i < 50 && r == 1; i++) {
		wg_names_deinit(&names);
		r = wg_names_file_read(path, token, &names);
		ck_assert_str_eq(token, "");
	}
	__atomic_store_n(&writer.end, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ck_assert_int_eq(fclose(writer.file), 0);
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert_uint_eq(names.n, 0);
	ck_assert_int_eq(wg_names_file_read(path, token, &names), 1);
	ck_assert_str_eq(wg_names_find(&names, key2), "phone");
}
END_TEST

static void expect_names(const struct wg_names_source *source, const char *one, const char *two)
{
	const struct wg_names *names = wg_names_source_names(source);

	ck_assert_pstr_eq(wg_names_find(names, key1), one);
	ck_assert_pstr_eq(wg_names_find(names, key2), two);
	ck_assert_uint_eq(names->n, (size_t) !!one + (size_t) !!two);
}

/* Written in place, replaced, removed (which is a problem if the operator has named it), made again. */
static void follow_changes(struct wg_names_source *source, const char *gone)
{
	char other[sizeof(path) + 8];

	ck_assert(wg_names_source_follow(source));
	expect_names(source, "laptop", "phone");
	ck_assert(!wg_names_source_follow(source));
	expect_names(source, "laptop", "phone");
	write_file(path, "# tablet\n[Peer]\nPublicKey = " KEY1 "\n");
	ck_assert(wg_names_source_follow(source));
	expect_names(source, "tablet", NULL);
	/* Of the same size. */
	write_file(path, "# gadget\n[Peer]\nPublicKey = " KEY1 "\n");
	ck_assert(wg_names_source_follow(source));
	expect_names(source, "gadget", NULL);
	snprintf(other, sizeof(other), "%s.new", path);
	write_file(other, "# server\n[Peer]\nPublicKey = " KEY2 "\n");
	ck_assert_int_eq(rename(other, path), 0);
	ck_assert(wg_names_source_follow(source));
	expect_names(source, NULL, "server");
	/* Another comment elsewhere changes no name. */
	write_file(path, "# server\n[Peer]\nPublicKey = " KEY2 "\nAllowedIPs = 10.0.0.0/24\n");
	ck_assert(!wg_names_source_follow(source));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(wg_names_source_follow(source));
	expect_names(source, NULL, NULL);
	ck_assert_pstr_eq(wg_names_source_problem(source), gone);
	ck_assert(!wg_names_source_follow(source));
	ck_assert_pstr_eq(wg_names_source_problem(source), gone);
	write_file(path, conf);
	ck_assert(wg_names_source_follow(source));
	ck_assert_ptr_null(wg_names_source_problem(source));
	expect_names(source, "laptop", "phone");
	/* What cannot be read for the moment is not gone. */
	ck_assert_int_eq(truncate(path, WG_NAMES_FILE_MAX + 1), 0);
	ck_assert(!wg_names_source_follow(source));
	expect_names(source, "laptop", "phone");
	ck_assert_ptr_nonnull(strstr(wg_names_source_problem(source), "wg0.conf: larger than 16 MiB"));
	write_file(path, conf);
	ck_assert(!wg_names_source_follow(source));
	ck_assert_ptr_null(wg_names_source_problem(source));
}

START_TEST(follows_the_file)
{
	_cleanup_(wg_names_source_freep) struct wg_names_source *source = NULL;
	struct wg_names_options options = {.interface = "wg0", .folder = folder};

	write_file(path, conf);
	ck_assert_int_eq(wg_names_source_new(&options, &source), 0);
	follow_changes(source, NULL);
	options.interface = "../wg0";
	ck_assert_int_eq(wg_names_source_new(&options, &source), -EINVAL);
}
END_TEST

START_TEST(a_file_that_is_named)
{
	_cleanup_(wg_names_source_freep) struct wg_names_source *source = NULL;
	struct wg_names_options options = {.interface = "wg7", .file = path, .broker = "/nonexistent"};
	char gone[sizeof(path) + 32];

	snprintf(gone, sizeof(gone), "%s: No such file or directory", path);
	ck_assert_int_eq(wg_names_source_new(&options, &source), 0);
	/* From the first look on. */
	ck_assert(!wg_names_source_follow(source));
	ck_assert_pstr_eq(wg_names_source_problem(source), gone);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert(!wg_names_source_follow(source));
	ck_assert_ptr_nonnull(strstr(wg_names_source_problem(source), "wg0.conf: not a regular file"));
	rmdir(path);
	write_file(path, conf);
	follow_changes(source, gone);
}
END_TEST

/* --- through the broker --- */

struct broker {
	int listen_fd;
	pthread_t thread;
	unsigned int connections; /* atomic */
};

/* As systemd does, for one connection after the other. */
static void *serve(void *userdata)
{
	struct wg_broker_folders folders = {.sockets = "/nonexistent", .names = folder};
	struct broker *broker = userdata;
	int fd;

	while ((fd = accept(broker->listen_fd, NULL, NULL)) >= 0) {
		__atomic_add_fetch(&broker->connections, 1, __ATOMIC_RELAXED);
		(void)wg_broker_serve(fd, &folders);
		close(fd);
	}
	return NULL;
}

static void broker_start_as(struct broker *broker, void *(*server)(void *userdata))
{
	broker->connections = 0;
	ck_assert_int_eq(unix_socket_listen(broker_path, 0600, UNIX_SOCKET_NO_GROUP, &broker->listen_fd), 0);
	/* It waits for connections. */
	ck_assert_int_eq(fcntl(broker->listen_fd, F_SETFL, 0), 0);
	ck_assert_int_eq(pthread_create(&broker->thread, NULL, server, broker), 0);
}

static void broker_start(struct broker *broker)
{
	broker_start_as(broker, serve);
}

static void broker_stop(struct broker *broker)
{
	shutdown(broker->listen_fd, SHUT_RDWR);
	pthread_join(broker->thread, NULL);
	close(broker->listen_fd);
	unlink(broker_path);
}

/* All that the broker sends until the empty line. */
static const char *ask(int client, const char *request)
{
	static char text[1 << 20];
	size_t n = 0;

	ck_assert_int_eq(wg_socket_send(client, request, strlen(request), INT64_MAX), 0);
	while (n < 2 || strcmp(text + n - 2, "\n\n") != 0) {
		ssize_t received = wg_socket_receive(client, text + n, sizeof(text) - 1 - n,
						     time_now_boot() + 20 * NSEC_PER_SEC);

		ck_assert_int_gt(received, 0);
		n += (size_t)received;
		text[n] = '\0';
	}
	ck_assert_uint_eq(strlen(text), n);
	return text;
}

START_TEST(the_broker_says_names_and_nothing_else)
{
	static const char *const secrets[] = {
		PRIVATE,  SHARED,   "PrivateKey", "PresharedKey", "10.7.0",	   "iptables",	     "note",
		"in use", "nobody", "Berlin",	  "private_key",  "preshared_key", "vpn.example.net"};
	_cleanup_wg_names_ struct wg_names names = {};
	char token[WG_NAMES_TOKEN_MAX], expected[1024], request[WG_BROKER_REQUEST_MAX];
	struct broker broker;
	const char *answer;
	int client;

	write_file(path, conf);
	let_it_settle(token, &names);
	broker_start(&broker);
	ck_assert_int_eq(unix_socket_connect(broker_path, NSEC_PER_SEC, &client), 0);
	answer = ask(client, "interface=wg0\nnames=\n\n");
	snprintf(expected, sizeof(expected),
		 "token=%s\npublic_key=" KEY1_HEX "\nname=laptop\npublic_key=" KEY2_HEX
		 "\nname=phone\nerrno=0\n\n",
		 token);
	ck_assert_str_eq(answer, expected);
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
		ck_assert_ptr_null(strcasestr(answer, secrets[i]));
	wg_broker_request_names("wg0", token, request);
	snprintf(expected, sizeof(expected), "token=%s\nunchanged=1\nerrno=0\n\n", token);
	ck_assert_str_eq(ask(client, request), expected);
	/* An interface that has no file, one that would lead elsewhere, and a tunnel's peers as ever. */
	ck_assert_str_eq(ask(client, "interface=wg1\nnames=\n\n"), "errno=2\n\n");
	ck_assert_str_eq(ask(client, "interface=wg0\nget=1\n\n"), "errno=19\n\n");
	close(client);
	broker_stop(&broker);
}
END_TEST

START_TEST(requests_for_names)
{
	static const char *const wrong[] = {
		"interface=../wg0\nnames=\n\n",
		"interface=/etc/wireguard/wg0\nnames=\n\n",
		"interface=wg0\nnames=/etc/shadow\n\n",
		"interface=wg0\nnames=\nfile=x\n\n",
		"interface=wg0\nnames=1",
		"interface=wg0\nnames=\nget=1\n\n",
		"interface=wg0\nhere=1\nnames=\n\n",
	};
	char interface[IFNAMSIZ], token[WG_NAMES_TOKEN_MAX], text[WG_BROKER_REQUEST_MAX];
	char longest[WG_NAMES_TOKEN_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_msg(wg_broker_parse_request(wrong[i], interface) == -EBADMSG, "%s", wrong[i]);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	wg_broker_request_names("a-name-of-15-by", longest, text);
	ck_assert_int_eq(wg_broker_parse_request(text, interface), 0);
	ck_assert_str_eq(interface, "a-name-of-15-by");
	ck_assert(wg_broker_is_names(text, token));
	ck_assert_str_eq(token, longest);
	ck_assert(!wg_broker_is_here(text));
	wg_broker_request("wg0", text);
	ck_assert(!wg_broker_is_names(text, token));
}
END_TEST

/* The folder that the daemon may not look into is another one than the broker's, in which the file changes.
 */
static char closed[SCRATCH_MAX + 32];

static void begin_closed(struct broker *broker, void *(*server)(void *userdata),
			 struct wg_names_source **ret_source)
{
	struct wg_names_options options = {.interface = "wg0", .folder = closed, .broker = broker_path};

	snprintf(closed, sizeof(closed), "%s/closed", folder);
	ck_assert_int_eq(mkdir(closed, 0700), 0);
	write_file(path, conf);
	if (geteuid() == 0) {
		open_to_all();
		ck_assert_int_eq(chmod(path, 0666), 0);
	}
	broker_start_as(broker, server);
	ck_assert_int_eq(chmod(broker_path, 0666), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	else
		ck_assert_int_eq(chmod(closed, 0), 0);
	ck_assert_int_eq(wg_names_source_new(&options, ret_source), 0);
}

START_TEST(follows_the_file_through_the_broker)
{
	_cleanup_(wg_names_source_freep) struct wg_names_source *source = NULL;
	uid_t uid = geteuid();
	struct broker broker;

	begin_closed(&broker, serve, &source);
	ck_assert(wg_names_source_follow(source));
	expect_names(source, "laptop", "phone");
	ck_assert(!wg_names_source_follow(source));
	write_file(path, "# tablet\n[Peer]\nPublicKey = " KEY1 "\n");
	ck_assert(wg_names_source_follow(source));
	expect_names(source, "tablet", NULL);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(wg_names_source_follow(source));
	expect_names(source, NULL, NULL);
	ck_assert_ptr_null(wg_names_source_problem(source));
	write_file(path, conf);
	ck_assert(wg_names_source_follow(source));
	expect_names(source, "laptop", "phone");
	/* It ends, and the names stay. */
	ck_assert_int_eq(seteuid(uid), 0);
	shutdown(broker.listen_fd, SHUT_RDWR);
	close(broker.listen_fd);
	unlink(broker_path);
	ck_assert(!wg_names_source_follow(source));
	expect_names(source, "laptop", "phone");
	wg_names_source_free(TAKE_PTR(source));
	pthread_join(broker.thread, NULL);
}
END_TEST

/* The broker sees the folder that was there when it was started. */
START_TEST(another_folder_is_for_another_broker)
{
	_cleanup_(wg_names_source_freep) struct wg_names_source *source = NULL;
	char moved[sizeof(closed) + 8];
	uid_t uid = geteuid();
	struct broker broker;

	begin_closed(&broker, serve, &source);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(wg_names_source_follow(source), i == 0);
	ck_assert_uint_eq(__atomic_load_n(&broker.connections, __ATOMIC_RELAXED), 1);
	ck_assert_int_eq(seteuid(uid), 0);
	snprintf(moved, sizeof(moved), "%s.old", closed);
	ck_assert_int_eq(rename(closed, moved), 0);
	ck_assert_int_eq(mkdir(closed, uid == 0 ? 0700 : 0), 0);
	if (uid == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	for (int i = 0; i < 3; i++)
		ck_assert(!wg_names_source_follow(source));
	ck_assert_uint_eq(__atomic_load_n(&broker.connections, __ATOMIC_RELAXED), 2);
	expect_names(source, "laptop", "phone");
	ck_assert_int_eq(seteuid(uid), 0);
	wg_names_source_free(TAKE_PTR(source));
	broker_stop(&broker);
}
END_TEST

#define FIRST_ANSWER  "token=1\npublic_key=" KEY1_HEX "\nname=laptop\nerrno=0\n\n"
#define SECOND_ANSWER "token=2\npublic_key=" KEY1_HEX "\nname=tablet\nerrno=0\n\n"

/* Ends in the middle of its second answer. */
static void *serve_half(void *userdata)
{
	static const char half[] = "token=2\npublic_key=" KEY1_HEX "\n";
	struct broker *broker = userdata;
	int fd;

	while ((fd = accept(broker->listen_fd, NULL, NULL)) >= 0) {
		char request[WG_BROKER_REQUEST_MAX] = {};

		while (wg_socket_receive(fd, request, sizeof(request) - 1, INT64_MAX) > 0) {
			const char *answer = "token=2\nunchanged=1\nerrno=0\n\n";
			bool again = __atomic_load_n(&broker->connections, __ATOMIC_RELAXED) > 0;

			if (strstr(request, "names=\n"))
				answer = FIRST_ANSWER;
			else if (strstr(request, "names=1\n"))
				answer = again ? SECOND_ANSWER : half;
			ck_assert_int_eq(wg_socket_send(fd, answer, strlen(answer), INT64_MAX), 0);
			if (answer == half)
				break;
			memset(request, 0, sizeof(request));
		}
		__atomic_add_fetch(&broker->connections, 1, __ATOMIC_RELAXED);
		close(fd);
	}
	return NULL;
}

START_TEST(half_an_answer_is_none)
{
	_cleanup_(wg_names_source_freep) struct wg_names_source *source = NULL;
	uid_t uid = geteuid();
	struct broker broker;

	begin_closed(&broker, serve_half, &source);
	ck_assert(wg_names_source_follow(source));
	expect_names(source, "laptop", NULL);
	/* The token of names that were not taken must not say that they are known. */
	ck_assert(wg_names_source_follow(source));
	expect_names(source, "tablet", NULL);
	ck_assert(!wg_names_source_follow(source));
	ck_assert_int_eq(seteuid(uid), 0);
	wg_names_source_free(TAKE_PTR(source));
	broker_stop(&broker);
}
END_TEST

START_TEST(without_permission_or_broker)
{
	_cleanup_(wg_names_source_freep) struct wg_names_source *source = NULL;
	struct wg_names_options options = {.interface = "wg0", .folder = closed, .broker = broker_path};
	uid_t uid = geteuid();

	snprintf(closed, sizeof(closed), "%s/closed", folder);
	ck_assert_int_eq(mkdir(closed, 0700), 0);
	if (geteuid() == 0) {
		open_to_all();
		ck_assert_int_eq(seteuid(65534), 0);
	} else {
		ck_assert_int_eq(chmod(closed, 0), 0);
	}
	ck_assert_int_eq(wg_names_source_new(&options, &source), 0);
	ck_assert(!wg_names_source_follow(source));
	ck_assert_ptr_nonnull(strstr(wg_names_source_problem(source), "netlogd-wg-broker.socket"));
	ck_assert_int_eq(seteuid(uid), 0);
}
END_TEST

START_TEST(answers)
{
	static const char good[] =
		"token=1-2\ncut=1\npublic_key=" KEY1_HEX "\nname=a=b\nlater=1\nerrno=0\n\n";
	static const char *const wrong[] = {
		"no equals sign\n", "name=x\n",	       "public_key=01\nname=x\n",
		"errno=x\n",	    "errno=0\n\nmore", "public_key=" KEY1_HEX "\nname=x\nname=y\n",
		"errno=-1\n",
	};
	char token[WG_NAMES_TOKEN_MAX] = "", line[1024];

	for (size_t step = 1; step < sizeof(good); step++) {
		struct wg_names_answer answer = {.token = token};
		_cleanup_wg_names_ struct wg_names names = {};

		for (size_t i = 0; i < strlen(good); i += step)
			ck_assert_int_eq(
				wg_names_answer_feed(&answer, good + i, MIN(step, strlen(good) - i), &names),
				0);
		ck_assert(answer.done && !answer.unchanged && names.cut);
		ck_assert_str_eq(token, "1-2");
		wg_names_sort(&names);
		ck_assert_str_eq(wg_names_find(&names, key1), "a=b");
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct wg_names_answer answer = {.token = token};
		_cleanup_wg_names_ struct wg_names names = {};

		ck_assert_msg(wg_names_answer_feed(&answer, wrong[i], strlen(wrong[i]), &names) == -EBADMSG,
			      "%s", wrong[i]);
	}
	memset(line, 'a', sizeof(line));
	ck_assert_int_eq(wg_names_answer_feed(&(struct wg_names_answer){.token = token}, line, sizeof(line),
					      &(struct wg_names){}),
			 -EBADMSG);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("names_source");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, an_unchanged_file_is_not_read);
	tcase_add_test(tcase, what_is_no_file_of_names);
	tcase_add_test(tcase, a_file_that_is_written_to);
	tcase_add_test(tcase, follows_the_file);
	tcase_add_test(tcase, a_file_that_is_named);
	tcase_add_test(tcase, the_broker_says_names_and_nothing_else);
	tcase_add_test(tcase, requests_for_names);
	tcase_add_test(tcase, follows_the_file_through_the_broker);
	tcase_add_test(tcase, another_folder_is_for_another_broker);
	tcase_add_test(tcase, half_an_answer_is_none);
	tcase_add_test(tcase, without_permission_or_broker);
	tcase_add_test(tcase, answers);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
