/* SPDX-License-Identifier: BSD-3-Clause */
/* Log IDs: bits, text, hash, files. */

#include "common/log_id.h"
#include "common/cleanup.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

START_TEST(test_bits)
{
	struct log_id id, other;

	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(log_id_generate(&id), 0);
		ck_assert_uint_eq(id.bytes[0] & 7, 0);
		ck_assert_uint_eq(id.bytes[31] & 0xc0, 0x40);
		ck_assert(log_id_is_private(&id));
		ck_assert(!log_id_is_zero(&id));
	}
	ck_assert_int_eq(log_id_generate(&other), 0);
	ck_assert_int_ne(memcmp(&id, &other, sizeof(id)), 0);
	/* each fixed bit counts */
	for (int bit = 0; bit < 3; bit++) {
		other = id;
		other.bytes[0] |= (uint8_t)(1 << bit);
		ck_assert(!log_id_is_private(&other));
	}
	other = id;
	other.bytes[31] |= 0x80;
	ck_assert(!log_id_is_private(&other));
	other = id;
	other.bytes[31] &= 0xbf;
	ck_assert(!log_id_is_private(&other));
	log_id_wipe(&id);
	ck_assert(log_id_is_zero(&id));
}
END_TEST

START_TEST(test_public)
{
	/* SHA-256 of the bytes 00 to 1f, by sha256sum. */
	static const char expected[] = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd";
	char text[LOG_ID_TEXT_MAX];
	struct log_id id, public_id;

	for (uint8_t i = 0; i < LOG_ID_SIZE; i++)
		id.bytes[i] = i;
	log_id_public(&id, &public_id);
	log_id_format(&public_id, text);
	ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(test_text)
{
	static const char lower[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddee4f";
	static const char upper[] = "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEE4F";
	char text[LOG_ID_TEXT_MAX], wrong[LOG_ID_TEXT_MAX + 1];
	struct log_id id, other;

	ck_assert_int_eq(log_id_parse(lower, &id), 0);
	ck_assert_int_eq(log_id_parse(upper, &other), 0);
	ck_assert_mem_eq(&id, &other, sizeof(id));
	log_id_format(&id, text);
	ck_assert_str_eq(text, lower);
	other = id;
	for (size_t n = 0; n < 64; n++) {
		snprintf(wrong, sizeof(wrong), "%.*s", (int)n, lower);
		ck_assert_int_eq(log_id_parse(wrong, &id), -EINVAL);
		snprintf(wrong, sizeof(wrong), "%s", lower);
		wrong[n] = 'g';
		ck_assert_int_eq(log_id_parse(wrong, &id), -EINVAL);
	}
	snprintf(wrong, sizeof(wrong), "%s0", lower);
	ck_assert_int_eq(log_id_parse(wrong, &id), -EINVAL);
	ck_assert_mem_eq(&id, &other, sizeof(id));
}
END_TEST

START_TEST(test_create)
{
	_cleanup_free_ char *path = path_in("node.logid");
	struct log_id id, again = {.bytes = {42}};
	struct stat status;

	ck_assert_int_eq(log_id_read_file(path, &again), -ENOENT);
	ck_assert_int_eq(log_id_create_file(path, &id), 0);
	ck_assert(log_id_is_private(&id));
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	ck_assert_int_eq(status.st_size, 65);
	ck_assert_int_eq(log_id_create_file(path, &again), -EEXIST);
	ck_assert_uint_eq(again.bytes[0], 42);
	ck_assert_int_eq(log_id_read_file(path, &again), 0);
	ck_assert_mem_eq(&id, &again, sizeof(id));
}
END_TEST

START_TEST(test_file)
{
	static const char digits[] = "0812233445566778899aabbccddeeff00112233445566778899aabbccddee44f";
	_cleanup_free_ char *path = path_in("id");
	char content[200];
	struct log_id id;

	make_file(path, digits, 0600);
	ck_assert_int_eq(log_id_read_file(path, &id), 0);
	snprintf(content, sizeof(content), "%s \r\n", digits);
	make_file(path, content, 0400);
	ck_assert_int_eq(log_id_read_file(path, &id), 0);
	ck_assert_uint_eq(id.bytes[0], 8);
	make_file(path, digits, 0640);
	ck_assert_int_eq(log_id_read_file(path, &id), -EPERM);
	make_file(path, digits, 0604);
	ck_assert_int_eq(log_id_read_file(path, &id), -EPERM);

	snprintf(content, sizeof(content), "%s\n%s\n", digits, digits);
	make_file(path, content, 0600);
	ck_assert_int_eq(log_id_read_file(path, &id), -EINVAL);
	/* not a private one */
	snprintf(content, sizeof(content), "09%s", digits + 2);
	make_file(path, content, 0600);
	ck_assert_int_eq(log_id_read_file(path, &id), -EINVAL);
	make_file(path, "", 0600);
	ck_assert_int_eq(log_id_read_file(path, &id), -EINVAL);
	ck_assert_int_eq(log_id_read_file(test_directory(), &id), -EISDIR);
	ck_assert_uint_eq(id.bytes[0], 8);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log_id");
	TCase *test_case = tcase_create("log_id");

	add_directory(test_case);
	tcase_add_test(test_case, test_bits);
	tcase_add_test(test_case, test_public);
	tcase_add_test(test_case, test_text);
	tcase_add_test(test_case, test_create);
	tcase_add_test(test_case, test_file);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
