/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which system calls the uploader may make: those of a process that reads and writes files, talks to the
 * network, and starts threads. No other program is run, no process made, no memory made executable but by
 * loading a library, no socket but IP ones opened.
 */

#include "daemon/upload/sandbox/sandbox.h"

#include "build-config.h"
#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const int allowed[] = {
	/* files */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(preadv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(stat),
	SCMP_SYS(fstat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstatat64),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(getdents64),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(fcntl),
	SCMP_SYS(fcntl64),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(flock),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fchmod),
	SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),
	SCMP_SYS(rmdir),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(link),
	SCMP_SYS(linkat),
	SCMP_SYS(umask),
	SCMP_SYS(fadvise64),
	/* memory (what is executable: below) */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	/* waiting */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(_newselect),
	SCMP_SYS(eventfd2),
	SCMP_SYS(pipe2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(inotify_init1),
	SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_rm_watch),
	SCMP_SYS(futex),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(sched_yield),
	SCMP_SYS(restart_syscall),
	/* network (which sockets: below) */
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(send),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recv),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(shutdown),
	/* signals, threads, time, chance */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(rseq),
	SCMP_SYS(membarrier),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_gettime64),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Nothing here makes these by accident: whoever does is not us any more. */
static const int fatal[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(ptrace),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(bpf),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(keyctl),
	SCMP_SYS(kexec_load),
	SCMP_SYS(reboot),
	SCMP_SYS(perf_event_open),
};

/* A call that this architecture does not have needs no rule. */
static int add_rule(scmp_filter_ctx filter, uint32_t action, int call, unsigned int n,
		    const struct scmp_arg_cmp *arguments)
{
	int r = seccomp_rule_add_array(filter, action, call, n, arguments);

	return r == -EDOM || r == -EOPNOTSUPP ? 0 : r;
}

static int add_all(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_rule(filter, action, calls[i], 0, NULL);
	return r;
}

static int add_masked(scmp_filter_ctx filter, int call, unsigned int argument, scmp_datum_t mask,
		      scmp_datum_t value)
{
	struct scmp_arg_cmp compare = SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value);

	return add_rule(filter, SCMP_ACT_ALLOW, call, 1, &compare);
}

static int add_equal(scmp_filter_ctx filter, int call, unsigned int argument, scmp_datum_t value)
{
	struct scmp_arg_cmp compare = SCMP_CMP64(argument, SCMP_CMP_EQ, value);

	return add_rule(filter, SCMP_ACT_ALLOW, call, 1, &compare);
}

/* Never writable and executable at once, and nothing becomes executable that was not mapped so. */
static int add_memory(scmp_filter_ctx filter)
{
	static const int maps[] = {SCMP_SYS(mmap), SCMP_SYS(mmap2)};
	static const scmp_datum_t protections[] = {0, PROT_WRITE, PROT_EXEC};
	int r = add_masked(filter, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		for (size_t j = 0; r == 0 && j < ARRAY_SIZE(protections); j++)
			r = add_masked(filter, maps[i], 2, PROT_WRITE | PROT_EXEC, protections[j]);
	return r;
}

static int add_sockets(scmp_filter_ctx filter)
{
	/*
	 * Netlink: getaddrinfo() asks which kinds of addresses the machine has. No local ones: behind them
	 * are the doors to other programs. A pair is for libcurl's threads, and leads nowhere else as long as
	 * it is a stream (a datagram socket could be connected anew).
	 */
	static const int families[] = {AF_INET, AF_INET6, AF_NETLINK};
	const struct scmp_arg_cmp pair[] = {
		SCMP_CMP64(0, SCMP_CMP_EQ, AF_UNIX),
		SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, (scmp_datum_t) ~(SOCK_CLOEXEC | SOCK_NONBLOCK),
			   SOCK_STREAM),
	};
	int r = add_rule(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), ARRAY_SIZE(pair), pair);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++)
		r = add_equal(filter, SCMP_SYS(socket), 0, (scmp_datum_t)families[i]);
	return r;
}

/* Started by somebody who is not root the uploader has that user: its processes are none of its business. */
static int add_own_process(scmp_filter_ctx filter)
{
	scmp_datum_t own = (scmp_datum_t)getpid();
	int r = add_equal(filter, SCMP_SYS(tgkill), 0, own);

	if (r == 0)
		r = add_equal(filter, SCMP_SYS(prlimit64), 0, 0);
	/* A build for tests ends itself at its kill points. */
	if (r == 0 && NETLOGD_KILL_POINTS)
		r = add_equal(filter, SCMP_SYS(kill), 0, own);
	return r;
}

static int add_rest(scmp_filter_ctx filter)
{
	int r;

	/* Threads, no processes. clone3() hides its flags; the C library goes back to clone() without it. */
	r = add_masked(filter, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);
	if (r == 0)
		r = add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
	if (r == 0)
		r = add_equal(filter, SCMP_SYS(prctl), 0, PR_SET_NAME);
	if (r == 0)
		r = add_equal(filter, SCMP_SYS(ioctl), 1, FIONREAD);
	if (r == 0)
		r = add_equal(filter, SCMP_SYS(ioctl), 1, FIONBIO);
	/* if_nametoindex(), for "fe80::1%eth0" in resolv.conf or a URL. */
	if (r == 0)
		r = add_equal(filter, SCMP_SYS(ioctl), 1, SIOCGIFINDEX);
	return r;
}

int sandbox_filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return -ENOMEM;
	r = add_all(filter, SCMP_ACT_ALLOW, allowed, ARRAY_SIZE(allowed));
	if (r == 0)
		r = add_all(filter, SCMP_ACT_KILL_PROCESS, fatal, ARRAY_SIZE(fatal));
	if (r == 0)
		r = add_memory(filter);
	if (r == 0)
		r = add_sockets(filter);
	if (r == 0)
		r = add_own_process(filter);
	if (r == 0)
		r = add_rest(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}
