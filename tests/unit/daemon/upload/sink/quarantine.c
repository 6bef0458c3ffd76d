/* SPDX-License-Identifier: BSD-3-Clause */
/* Refused messages of two spools, and the limit. */

#include "daemon/upload/sink/quarantine.h"
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

static size_t count_quarantined(void)
{
	int fd = openat(upload_fd, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fdopendir(fd);
	size_t n = 0;

	for (struct dirent *entry; (entry = readdir(entries));)
		n += entry->d_name[0] != '.';
	closedir(entries);
	return n;
}

/* A new spool starts its sequences over: what was kept of the one before stays. */
START_TEST(test_quarantine_of_two_spools)
{
	struct spool_message message = {.sequence = 3, .data = "first", .length = 5};

	ck_assert_int_eq(quarantine_add(upload_fd, &message, 100), 0);
	message.position.spool_id.bytes[0] = 1;
	message.data = "other";
	ck_assert_int_eq(quarantine_add(upload_fd, &message, 100), 0);
	ck_assert_int_eq(quarantine_add(upload_fd, &message, 100), 0);
	ck_assert_uint_eq(count_quarantined(), 2);
	/* The oldest goes, whatever its number. */
	message.sequence = 1;
	ck_assert_int_eq(quarantine_add(upload_fd, &message, 14), 0);
	ck_assert_uint_eq(count_quarantined(), 2);
	ck_assert_int_eq(faccessat(upload_fd, "quarantine/0000000000000003-00000000.json", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(upload_fd, "quarantine/0000000000000003-01000000.json", F_OK, 0), 0);
}
END_TEST

int main(void)
{
	TCase *tcase = make_case("quarantine");

	tcase_add_checked_fixture(tcase, make_directory, remove_directory);
	tcase_add_test(tcase, test_quarantine_of_two_spools);
	return run_case(tcase);
}
