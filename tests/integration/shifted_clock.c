/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded to shift the wall clock and the boot-time clock by the offsets in a file that the test may change
 * at any time. Stepping the real clocks would step them for everybody.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC 1000000000

/* The file: two offsets in ns, in the machine's byte order. */
struct shifts {
	int64_t wall;
	int64_t boot;
};

static const volatile struct shifts *shifts;

__attribute__((constructor)) static void map_shifts(void)
{
	const char *path = getenv("SHIFTED_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *data;

	if (fd < 0)
		return;
	data = mmap(NULL, sizeof(*shifts), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (data != MAP_FAILED)
		shifts = data;
}

/* Calls the kernel directly: a sanitizer asks for the time before this library is set up. */
int clock_gettime(clockid_t clock, struct timespec *time)
{
	int64_t shift = 0, ns;
	int r = (int)syscall(SYS_clock_gettime, clock, time);

	if (r == 0 && shifts && clock == CLOCK_REALTIME)
		shift = shifts->wall;
	else if (r == 0 && shifts && clock == CLOCK_BOOTTIME)
		shift = shifts->boot;
	if (shift) {
		ns = (int64_t)time->tv_sec * NSEC_PER_SEC + time->tv_nsec + shift;
		time->tv_sec = ns / NSEC_PER_SEC;
		time->tv_nsec = ns % NSEC_PER_SEC;
	}
	return r;
}
