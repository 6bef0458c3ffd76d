/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The system calls that remain (seccomp(2)): those of a process that reads and writes files, talks to the
 * network, and starts threads. It can't run another program or fork, make memory executable except by loading
 * a library, or open any socket but IP ones.
 */

#include "daemon/upload/sandbox/seccomp.h"

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
	/* memory; executable memory: below */
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
	/* network; which sockets: below */
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
	/* signals, threads, time, randomness */
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

/* Nothing here makes these by accident: a process that does has been taken over. */
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

/* A call that this architecture lacks needs no rule. */
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

/* Calls that are allowed with certain arguments only. */
static int add_conditional(scmp_filter_ctx filter)
{
	const scmp_datum_t own = (scmp_datum_t)getpid();
	const struct {
		int call;
		struct scmp_arg_cmp argument;
	} conditions[] = {
		/* Memory is never writable and executable at once, and becomes executable only by mapping. */
		{SCMP_SYS(mprotect), SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
		{SCMP_SYS(mmap), SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, 0)},
		{SCMP_SYS(mmap), SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_WRITE)},
		{SCMP_SYS(mmap), SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_EXEC)},
		{SCMP_SYS(mmap2), SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, 0)},
		{SCMP_SYS(mmap2), SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_WRITE)},
		{SCMP_SYS(mmap2), SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_EXEC)},
		/* Netlink: getaddrinfo() asks which kinds of addresses the machine has. No Unix sockets: they
		 * lead to other programs. */
		{SCMP_SYS(socket), SCMP_CMP64(0, SCMP_CMP_EQ, AF_INET)},
		{SCMP_SYS(socket), SCMP_CMP64(0, SCMP_CMP_EQ, AF_INET6)},
		{SCMP_SYS(socket), SCMP_CMP64(0, SCMP_CMP_EQ, AF_NETLINK)},
		/* An uploader that root did not start shares its user with other processes: hands off them.
		 */
		{SCMP_SYS(tgkill), SCMP_CMP64(0, SCMP_CMP_EQ, own)},
		{SCMP_SYS(prlimit64), SCMP_CMP64(0, SCMP_CMP_EQ, 0)},
		/* Threads, not processes. */
		{SCMP_SYS(clone), SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)},
		{SCMP_SYS(prctl), SCMP_CMP64(0, SCMP_CMP_EQ, PR_SET_NAME)},
		{SCMP_SYS(ioctl), SCMP_CMP64(1, SCMP_CMP_EQ, FIONREAD)},
		{SCMP_SYS(ioctl), SCMP_CMP64(1, SCMP_CMP_EQ, FIONBIO)},
		/* if_nametoindex(), for "fe80::1%eth0" in resolv.conf or a URL. */
		{SCMP_SYS(ioctl), SCMP_CMP64(1, SCMP_CMP_EQ, SIOCGIFINDEX)},
		{SCMP_SYS(kill), SCMP_CMP64(0, SCMP_CMP_EQ, own)},
	};
	/* The last one is for test builds only, which kill themselves at kill points. */
	size_t n = ARRAY_SIZE(conditions) - (NETLOGD_KILL_POINTS ? 0 : 1);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_rule(filter, SCMP_ACT_ALLOW, conditions[i].call, 1, &conditions[i].argument);
	return r;
}

int seccomp_restrict(void)
{
	/* For libcurl's threads. A pair of streams leads nowhere else; a datagram socket could be
	 * reconnected. */
	const struct scmp_arg_cmp stream_pair[] = {
		SCMP_CMP64(0, SCMP_CMP_EQ, AF_UNIX),
		SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, (scmp_datum_t) ~(SOCK_CLOEXEC | SOCK_NONBLOCK),
			   SOCK_STREAM),
	};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return -ENOMEM;
	r = add_all(filter, SCMP_ACT_ALLOW, allowed, ARRAY_SIZE(allowed));
	if (r == 0)
		r = add_all(filter, SCMP_ACT_KILL_PROCESS, fatal, ARRAY_SIZE(fatal));
	if (r == 0)
		r = add_conditional(filter);
	if (r == 0)
		r = add_rule(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), ARRAY_SIZE(stream_pair),
			     stream_pair);
	/* It hides its flags. Without it, the C library falls back to clone(). */
	if (r == 0)
		r = add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, NULL);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}
