/* SPDX-License-Identifier: BSD-3-Clause */
/* Log IDs: the configured ones, those given to Start, and what is found of them later. */

#include "daemon/upload/credentials/credentials.h"

#include "common/config/config.h"
#include "tests/unit/scratch.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char root[SCRATCH_MAX], node_path[128], domain_path[128];
static struct config config;
static int upload_fd;
static struct credentials *credentials;

static void make_id(struct log_id *ret_id, char ret_text[static LOG_ID_TEXT_MAX])
{
	ck_assert_int_eq(log_id_generate(ret_id), 0);
	log_id_format(ret_id, ret_text);
}

static void setup(void)
{
	scratch_make(root);
	snprintf(node_path, sizeof(node_path), "%s/node.logid", root);
	snprintf(domain_path, sizeof(domain_path), "%s/domain.logid", root);
	config = (struct config){.log_id_file = node_path};
	upload_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(upload_fd, 0);
}

static void teardown(void)
{
	credentials_free(credentials);
	credentials = NULL;
	close(upload_fd);
}

static void load(void)
{
	_cleanup_free_ char *reason = NULL;

	ck_assert_int_eq(credentials_new(&config, upload_fd, NULL, &credentials, &reason), 0);
	ck_assert_ptr_null(reason);
}

/* Loading fails with this error and this reason. */
static void refuse(int error, const char *expected)
{
	_cleanup_free_ char *reason = NULL;

	ck_assert_int_eq(credentials_new(&config, upload_fd, NULL, &credentials, &reason), error);
	ck_assert_str_eq(reason, expected);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

START_TEST(test_id_is_created_and_read_again)
{
	struct log_id first, public_id;
	struct stat st;

	load();
	first = credentials->node.private_id;
	ck_assert(log_id_is_private(&first));
	log_id_public(&first, &public_id);
	ck_assert_mem_eq(&credentials->public_id, &public_id, sizeof(public_id));
	ck_assert(!credentials->node.has_domain);
	ck_assert_int_eq(stat(node_path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	credentials_free(credentials);
	load();
	ck_assert_mem_eq(&credentials->node.private_id, &first, sizeof(first));
}
END_TEST

START_TEST(test_reasons)
{
	char expected[256];

	write_file(node_path, "x\n", 0600);
	snprintf(expected, sizeof(expected),
		 "log ID file %s: it does not hold a private log ID (64 hex digits)", node_path);
	refuse(-EINVAL, expected);
	ck_assert_int_eq(unlink(node_path), 0);
	load();
	credentials_free(credentials);
	credentials = NULL;
	ck_assert_int_eq(chmod(node_path, 0640), 0);
	snprintf(expected, sizeof(expected),
		 "log ID file %s: users other than its owner can read it (set mode 0600)", node_path);
	refuse(-EPERM, expected);
	ck_assert_int_eq(chmod(node_path, 0600), 0);
	config.domain_log_id_file = domain_path;
	write_file(domain_path, "", 0600);
	snprintf(expected, sizeof(expected),
		 "domain log ID file %s: it does not hold a private log ID (64 hex digits)", domain_path);
	refuse(-EINVAL, expected);
	ck_assert_ptr_null(credentials);
}
END_TEST

START_TEST(test_domain_given_to_start)
{
	char text[LOG_ID_TEXT_MAX];
	struct log_id configured, given, public_id;

	config.domain_log_id_file = domain_path;
	load();
	configured = credentials->node.domain_private_id;
	ck_assert(credentials->node.has_domain);
	make_id(&given, text);
	ck_assert_int_eq(credentials_set_domain(credentials, text), 0);
	ck_assert_mem_eq(&credentials->node.domain_private_id, &given, sizeof(given));
	log_id_public(&given, &public_id);
	ck_assert_mem_eq(&credentials->domain_public_id, &public_id, sizeof(public_id));
	/* What is not a private ID changes nothing. */
	ck_assert_int_eq(credentials_set_domain(credentials, "00"), -EINVAL);
	ck_assert_mem_eq(&credentials->node.domain_private_id, &given, sizeof(given));
	/* Another process of the same run has it too. */
	credentials_free(TAKE_PTR(credentials));
	load();
	ck_assert_mem_eq(&credentials->node.domain_private_id, &given, sizeof(given));
	ck_assert_mem_eq(&credentials->domain_public_id, &public_id, sizeof(public_id));
	ck_assert_mem_eq(&credentials->configured_domain, &configured, sizeof(configured));
	/* Without one, the configured one counts again. */
	ck_assert_int_eq(credentials_set_domain(credentials, NULL), 0);
	ck_assert_mem_eq(&credentials->node.domain_private_id, &configured, sizeof(configured));
	credentials_free(TAKE_PTR(credentials));
	load();
	ck_assert_mem_eq(&credentials->node.domain_private_id, &configured, sizeof(configured));
}
END_TEST

START_TEST(test_identities_of_start_are_found)
{
	char node_text[LOG_ID_TEXT_MAX], domain_text[LOG_ID_TEXT_MAX];
	struct log_id node, domain, public_id, unknown;
	struct log_identity found;

	load();
	make_id(&node, node_text);
	make_id(&domain, domain_text);
	ck_assert_int_eq(credentials_keep(credentials, node_text, domain_text, &public_id), 0);
	ck_assert_int_eq(credentials_find(credentials, &public_id, &found), 0);
	ck_assert_mem_eq(&found.private_id, &node, sizeof(node));
	ck_assert(found.has_domain);
	ck_assert_mem_eq(&found.domain_private_id, &domain, sizeof(domain));
	/* Given again without a domain, it has none. */
	ck_assert_int_eq(credentials_keep(credentials, node_text, NULL, &public_id), 0);
	ck_assert_int_eq(credentials_find(credentials, &public_id, &found), 0);
	ck_assert(!found.has_domain);
	/* Zeros, and its own public ID, are the node. */
	ck_assert_int_eq(credentials_find(credentials, &(struct log_id){}, &found), 0);
	ck_assert_mem_eq(&found.private_id, &credentials->node.private_id, sizeof(node));
	ck_assert_int_eq(credentials_find(credentials, &credentials->public_id, &found), 0);
	ck_assert_mem_eq(&found.private_id, &credentials->node.private_id, sizeof(node));
	log_id_public(&domain, &unknown);
	ck_assert_int_eq(credentials_find(credentials, &unknown, &found), -ENOENT);
	ck_assert_int_eq(credentials_keep(credentials, "00", NULL, &public_id), -EINVAL);
	ck_assert_int_eq(credentials_keep(credentials, node_text, "00", &public_id), -EINVAL);
}
END_TEST

START_TEST(test_configured_domain_is_kept_with_an_identity)
{
	char text[LOG_ID_TEXT_MAX];
	struct log_identity found;
	struct log_id node, public_id;

	config.domain_log_id_file = domain_path;
	load();
	make_id(&node, text);
	ck_assert_int_eq(credentials_keep(credentials, text, NULL, &public_id), 0);
	ck_assert_int_eq(credentials_find(credentials, &public_id, &found), 0);
	ck_assert(found.has_domain);
	ck_assert_mem_eq(&found.domain_private_id, &credentials->configured_domain, sizeof(node));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("credentials");
	TCase *tcase = tcase_create("credentials");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_id_is_created_and_read_again);
	tcase_add_test(tcase, test_reasons);
	tcase_add_test(tcase, test_domain_given_to_start);
	tcase_add_test(tcase, test_identities_of_start_are_found);
	tcase_add_test(tcase, test_configured_domain_is_kept_with_an_identity);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
