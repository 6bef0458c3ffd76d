/* SPDX-License-Identifier: BSD-3-Clause */
/* Bodies that are compressed while they are built: each method gives back what was added. */

#include "daemon/upload/http/compressor.h"

#include "common/cleanup.h"
#include "common/crc32c.h"
#include "tests/unit/daemon/upload/sink/fault.h"

#include <check.h>
#include <errno.h>
#include <libdeflate.h>
#include <string.h>
#include <zstd.h>

/* More than two of gzip's pieces. */
#define SIZE (600 * 1024)

static char data[SIZE];
static struct compressor *compressor;

static void setup(void)
{
	uint32_t random = 1;

	/* Half of it can't be compressed. */
	for (size_t i = 0; i < SIZE; i++) {
		random = random * 1664525 + 1013904223;
		data[i] = i % 2 ? 'x' : (char)(random >> 24);
	}
	ck_assert_int_eq(compressor_new(&compressor), 0);
}

static void teardown(void)
{
	compressor_free(compressor);
}

static void unpack_zstd(const struct buffer *body, char *ret_data, size_t *ret_size)
{
	*ret_size = ZSTD_decompress(ret_data, SIZE + 1, body->data, body->length);
	ck_assert(!ZSTD_isError(*ret_size));
}

static void unpack_gzip(const struct buffer *body, char *ret_data, size_t *ret_size)
{
	struct libdeflate_decompressor *gzip = libdeflate_alloc_decompressor();
	size_t in = 0, out = 0;

	while (in < body->length) {
		size_t used, made;

		ck_assert_int_eq(libdeflate_gzip_decompress_ex(gzip, body->data + in, body->length - in,
							       ret_data + out, SIZE + 1 - out, &used, &made),
				 LIBDEFLATE_SUCCESS);
		in += used;
		out += made;
	}
	libdeflate_free_decompressor(gzip);
	*ret_size = out;
}

/* The body holds the first n bytes of the data, by this method. */
static void expect(enum compression method, size_t n)
{
	_cleanup_free_ char *unpacked = malloc(SIZE + 1);
	const struct buffer *body = compressor_body(compressor);
	size_t size = 0;

	ck_assert_int_eq(compressor_method(compressor), method);
	ck_assert_uint_eq(compressor_length(compressor), n);
	ck_assert_uint_eq(compressor_crc(compressor), crc32c(0, data, n));
	if (method == COMPRESSED_ZSTD) {
		unpack_zstd(body, unpacked, &size);
	} else if (method == COMPRESSED_GZIP) {
		unpack_gzip(body, unpacked, &size);
	} else {
		size = body->length;
		memcpy(unpacked, body->data, size);
	}
	ck_assert_uint_eq(size, n);
	ck_assert_mem_eq(unpacked, data, n);
	if (method != COMPRESSED_NONE && n == SIZE)
		ck_assert_uint_lt(body->length, SIZE);
}

static void make(enum compression method, size_t n, size_t step)
{
	compressor_begin(compressor, method);
	for (size_t at = 0; at < n; at += step)
		ck_assert_int_eq(compressor_add(compressor, data + at, MIN(step, n - at)), 0);
	ck_assert_int_eq(compressor_finish(compressor), 0);
}

START_TEST(test_gives_back_what_was_added)
{
	static const enum compression methods[] = {COMPRESSED_ZSTD, COMPRESSED_GZIP, COMPRESSED_NONE};

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		/* In one piece, in small ones, and again after a large one. */
		make(methods[i], SIZE, SIZE);
		expect(methods[i], SIZE);
		make(methods[i], SIZE, 1000);
		expect(methods[i], SIZE);
		make(methods[i], 10, 3);
		expect(methods[i], 10);
	}
}
END_TEST

START_TEST(test_a_body_that_was_not_finished_leaves_nothing)
{
	compressor_begin(compressor, COMPRESSED_ZSTD);
	ck_assert_int_eq(compressor_add(compressor, data + 100, SIZE - 100), 0);
	make(COMPRESSED_ZSTD, 1000, 1000);
	expect(COMPRESSED_ZSTD, 1000);
	compressor_begin(compressor, COMPRESSED_GZIP);
	ck_assert_int_eq(compressor_add(compressor, data + 100, SIZE - 100), 0);
	make(COMPRESSED_GZIP, 1000, 1000);
	expect(COMPRESSED_GZIP, 1000);
}
END_TEST

START_TEST(test_converts)
{
	make(COMPRESSED_ZSTD, SIZE, 1000);
	ck_assert_int_eq(compressor_convert(compressor, COMPRESSED_ZSTD), 0);
	expect(COMPRESSED_ZSTD, SIZE);
	ck_assert_int_eq(compressor_convert(compressor, COMPRESSED_GZIP), 0);
	expect(COMPRESSED_GZIP, SIZE);
	/* Only zstd is read back; a failure leaves the body as it was. */
	ck_assert_int_eq(compressor_convert(compressor, COMPRESSED_NONE), -EBADMSG);
	expect(COMPRESSED_GZIP, SIZE);
	make(COMPRESSED_ZSTD, SIZE, SIZE);
	ck_assert_int_eq(compressor_convert(compressor, COMPRESSED_NONE), 0);
	expect(COMPRESSED_NONE, SIZE);
}
END_TEST

/* Without memory to convert it, the body is still whole for the next try. */
START_TEST(test_a_body_is_converted_whole_or_not)
{
	unsigned int at = 0;

	fault = (struct fault){.kind = FAULT_ALLOCATE, .error = ENOMEM};
	do {
		int r;

		make(COMPRESSED_ZSTD, SIZE, SIZE);
		fault.at = ++at;
		fault.calls = 0;
		fault.hit = false;
		fault.armed = true;
		r = compressor_convert(compressor, COMPRESSED_NONE);
		fault.armed = false;
		ck_assert_int_eq(r, fault.hit ? -ENOMEM : 0);
		ck_assert_int_eq(compressor_convert(compressor, COMPRESSED_NONE), 0);
		expect(COMPRESSED_NONE, SIZE);
		/* Nothing of this one is used again. */
		compressor_free(compressor);
		ck_assert_int_eq(compressor_new(&compressor), 0);
	} while (fault.hit);
	ck_assert_uint_gt(at, 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("compressor");
	TCase *tcase = tcase_create("compressor");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_gives_back_what_was_added);
	tcase_add_test(tcase, test_a_body_that_was_not_finished_leaves_nothing);
	tcase_add_test(tcase, test_converts);
	tcase_add_test(tcase, test_a_body_is_converted_whole_or_not);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
