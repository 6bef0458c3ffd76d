/* SPDX-License-Identifier: BSD-3-Clause */
/* The confinement: each thing that it forbids is tried, by a child that is confined as the uploader is. */

#include "daemon/upload/sandbox/sandbox.h"

#include "common/cleanup.h"
#include "common/config/config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static char directory[] = "/tmp/netlogd-sandbox-XXXXXX";

static void make_config(struct config *config, char *upload, char *spool, char *file)
{
	sprintf(upload, "%s/upload", directory);
	sprintf(spool, "%s/spool", directory);
	sprintf(file, "%s/netlogd.conf", directory);
	*config = (struct config){
		.file = file,
		.upload_directory = upload,
		.spool_directory = spool,
		.log_id_file = NULL,
	};
}

/* Runs a check in a confined child: its exit status, or 256 + the signal that ended it. */
static int confined(int (*check)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char upload[64], spool[64], file[64];
		struct config config;

		make_config(&config, upload, spool, file);
		struct sandbox_user user = {.uid = geteuid(), .gid = getegid()};
		int upload_fd = open(upload, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (sandbox_enter(&config, &user, upload_fd, false) < 0)
			_exit(255);
		_exit(check());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void setup(void)
{
	char path[64];

	strcpy(directory, "/tmp/netlogd-sandbox-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	for (const char *const *name = (const char *const[]){"upload", "spool", "other", NULL}; *name;
	     name++) {
		snprintf(path, sizeof(path), "%s/%s", directory, *name);
		ck_assert_int_eq(mkdir(path, 0700), 0);
		snprintf(path, sizeof(path), "%s/%s/file", directory, *name);
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
}

static void teardown(void)
{
	char path[64];

	for (const char *const *name = (const char *const[]){"upload", "spool", "other", NULL}; *name;
	     name++) {
		snprintf(path, sizeof(path), "%s/%s/file", directory, *name);
		unlink(path);
		snprintf(path, sizeof(path), "%s/%s/new", directory, *name);
		unlink(path);
		snprintf(path, sizeof(path), "%s/%s", directory, *name);
		rmdir(path);
	}
	rmdir(directory);
}

/* 0 when opening says what is expected: 0 or an errno. */
static int try_open(const char *name, int flags, int expected)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	return (fd < 0 ? errno : 0) == expected ? 0 : 1;
}

static int check_files(void)
{
	if (try_open("upload/file", O_RDWR, 0) || try_open("upload/new", O_RDWR | O_CREAT, 0))
		return 1;
	/* What the configuration names comes from the broker; nothing else can be reached. */
	if (try_open("spool/file", O_RDONLY, EACCES) || try_open("spool/new", O_RDWR | O_CREAT, EACCES) ||
	    try_open("other/file", O_RDONLY, EACCES))
		return 2;
	if (open("/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0 || errno != EACCES)
		return 3;
	if (open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0 || errno != EACCES)
		return 4;
	if (open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC) < 0 && errno != ENOENT)
		return 5;
	if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
		return 7;
	if (open("/etc/netlogd-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EACCES)
		return 6;
	return 0;
}

START_TEST(test_files)
{
	ck_assert_int_eq(confined(check_files), 0);
}
END_TEST

static int check_execve(void)
{
	char *const arguments[] = {(char *)"true", NULL};

	execv("/bin/true", arguments);
	return 7;
}

static int try_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0 && errno == EPERM ? 0 : 1;
}

static int check_ptrace(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
	return 7;
}

START_TEST(test_no_other_program)
{
	ck_assert_int_eq(confined(check_execve), 256 + SIGSYS);
	ck_assert_int_eq(confined(try_fork), 0);
	ck_assert_int_eq(confined(check_ptrace), 256 + SIGSYS);
}
END_TEST

static int check_sockets(void)
{
	int families[] = {AF_INET, AF_INET6}, pair[2];

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (socket(families[i], SOCK_STREAM | SOCK_CLOEXEC, 0) < 0)
			return 1;
	if (socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM)
		return 4;
	/* A pair of streams is connected for good; datagram sockets can be connected anew, to anybody's. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 5;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) >= 0 || errno != EPERM)
		return 6;
	if (socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM)
		return 2;
	if (socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM)
		return 3;
	return 0;
}

START_TEST(test_sockets)
{
	ck_assert_int_eq(confined(check_sockets), 0);
}
END_TEST

static int check_memory(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 || errno != EPERM)
		return 2;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		    MAP_FAILED ||
	    errno != EPERM)
		return 3;
	return mprotect(page, 4096, PROT_READ) == 0 ? 0 : 4;
}

START_TEST(test_memory)
{
	ck_assert_int_eq(confined(check_memory), 0);
}
END_TEST

static void *nothing(void *userdata)
{
	return userdata;
}

static int check_thread(void)
{
	pthread_t thread;
	void *result;

	if (pthread_create(&thread, NULL, nothing, directory) != 0 || pthread_join(thread, &result) != 0)
		return 1;
	return result == directory ? 0 : 2;
}

START_TEST(test_threads_are_allowed)
{
	ck_assert_int_eq(confined(check_thread), 0);
}
END_TEST

static pid_t parent;

static int check_processes(void)
{
	struct rlimit limit = {};

	if (syscall(SYS_tgkill, getpid(), gettid(), 0) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	if (kill(parent, 0) == 0 || errno != EPERM || syscall(SYS_tgkill, parent, parent, 0) == 0 ||
	    errno != EPERM)
		return 2;
	if (prlimit(parent, RLIMIT_NOFILE, &limit, NULL) == 0 || errno != EPERM)
		return 3;
	return 0;
}

START_TEST(test_other_processes)
{
	parent = getpid();
	ck_assert_int_eq(confined(check_processes), 0);
}
END_TEST

static int check_privileges(void)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");
	int zeros = 0;

	if (!status)
		return 1;
	while (fgets(line, sizeof(line), status)) {
		if (strncmp(line, "CapEff:\t0000000000000000", 24) == 0 ||
		    strncmp(line, "CapPrm:\t0000000000000000", 24) == 0 ||
		    strncmp(line, "CapInh:\t0000000000000000", 24) == 0 ||
		    strncmp(line, "CapAmb:\t0000000000000000", 24) == 0 ||
		    strncmp(line, "NoNewPrivs:\t1", 13) == 0)
			zeros++;
	}
	fclose(status);
	return zeros == 5 ? 0 : 2;
}

START_TEST(test_privileges)
{
	ck_assert_int_eq(confined(check_privileges), 0);
}
END_TEST

START_TEST(test_descriptors)
{
	int kept = open("/dev/null", O_RDONLY | O_CLOEXEC), other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const int keep[] = {-1, kept};

		sandbox_close_descriptors(keep, ARRAY_SIZE(keep));
		if (fcntl(kept, F_GETFD) < 0)
			_exit(1);
		_exit(fcntl(other, F_GETFD) >= 0 ? 2 : fcntl(1, F_GETFD) < 0 ? 3 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(kept);
	close(other);
}
END_TEST

START_TEST(test_needs_restart)
{
	char upload[64], spool[64], config_file[64];
	struct sink_config file = {.path = (char *)"/var/x/a"};
	struct config old, new;

	make_config(&old, upload, spool, config_file);
	new = old;
	ck_assert(!sandbox_needs_restart(&old, &new));
	/* The broker opens it, wherever it is. */
	new.sinks = &file;
	new.n_sinks = 1;
	ck_assert(!sandbox_needs_restart(&old, &new));
	new.metrics_listen = (char *)"127.0.0.1:9000";
	ck_assert(sandbox_needs_restart(&old, &new));
	old.metrics_listen = new.metrics_listen;
	ck_assert(!sandbox_needs_restart(&old, &new));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox");
	TCase *tcase = tcase_create("confined");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_files);
	/* Sanitizer builds have no filter of calls (sandbox.c says why). */
	if (!SANITIZED) {
		tcase_add_test(tcase, test_no_other_program);
		tcase_add_test(tcase, test_sockets);
		tcase_add_test(tcase, test_memory);
		tcase_add_test(tcase, test_other_processes);
	}
	tcase_add_test(tcase, test_threads_are_allowed);
	tcase_add_test(tcase, test_privileges);
	tcase_add_test(tcase, test_descriptors);
	tcase_add_test(tcase, test_needs_restart);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
