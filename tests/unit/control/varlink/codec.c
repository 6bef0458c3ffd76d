/* SPDX-License-Identifier: BSD-3-Clause */
/* However a stream is cut, the same messages come out; bounds and garbage. */

#include "control/varlink/codec.h"

#include "tests/unit/control/support.h"

#include <errno.h>
#include <string.h>

static const char stream[] =
	"{\"method\":\"a.b.C\"}\0"
	"{\"method\":\"a.b.D\",\"parameters\":{\"text\":\"\\u00e4 \\\" and more of it\"}}\0"
	"{}\0"
	" {\"n\":9223372036854775807} ";

static const char *const messages[] = {
	"{'method':'a.b.C'}",
	"{'method':'a.b.D','parameters':{'text':'\\u00e4 \\\" and more of it'}}",
	"{}",
	"{'n':9223372036854775807}",
};

/* Takes all complete messages and compares them with those from *at on. */
static void take_messages(struct varlink_decoder *decoder, size_t *at)
{
	json_t *message;

	while (varlink_decoder_next(decoder, &message) > 0) {
		ck_assert_uint_lt(*at, ARRAY_SIZE(messages));
		assert_json(message, messages[(*at)++]);
	}
}

static void feed_in_pieces(size_t first, size_t size)
{
	struct varlink_decoder decoder = {};
	size_t at = 0;

	for (size_t i = 0, n; i < sizeof(stream); i += n) {
		n = i == 0 && first > 0 ? first : size;
		n = MIN(n, sizeof(stream) - i);
		ck_assert_int_eq(varlink_decoder_feed(&decoder, stream + i, n), 0);
		take_messages(&decoder, &at);
		ck_assert_int_eq(varlink_decoder_in_message(&decoder), stream[i + n - 1] != '\0');
	}
	ck_assert_uint_eq(at, ARRAY_SIZE(messages));
	ck_assert_uint_eq(varlink_decoder_pending(&decoder), 0);
	varlink_decoder_deinit(&decoder);
}

START_TEST(test_byte_by_byte)
{
	feed_in_pieces(0, 1);
}
END_TEST

START_TEST(test_every_split)
{
	/* An 18-byte buffer, begun at every place, puts a cut at every byte of every message. */
	for (size_t first = 0; first <= 18; first++)
		feed_in_pieces(first, 18);
	for (size_t first = 1; first < sizeof(stream); first++)
		feed_in_pieces(first, sizeof(stream));
}
END_TEST

START_TEST(test_garbage)
{
	static const char *const garbage[] = {
		"",
		"[]",
		"\"text\"",
		"12",
		"null",
		"{",
		"{\"a\":}",
		"{\"a\":1}x",
		"{}{}",
		"{\"a\":\xff}",
		"{\"\xff\":1}",
		"{\"a\":1,\"a\":2}",
		"GET / HTTP/1.1\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		struct varlink_decoder decoder = {};
		json_t *message;

		ck_assert_int_eq(varlink_decoder_feed(&decoder, garbage[i], strlen(garbage[i]) + 1), 0);
		ck_assert_msg(varlink_decoder_next(&decoder, &message) == -EBADMSG, "%s", garbage[i]);
		varlink_decoder_deinit(&decoder);
	}
}
END_TEST

/* A message of exactly this many bytes. */
static char *message_of(size_t n)
{
	char *text = malloc(n + 1);

	memset(text, ' ', n);
	memcpy(text, "{\"a\":1", 6);
	text[n - 1] = '}';
	text[n] = '\0';
	return text;
}

START_TEST(test_largest)
{
	struct varlink_decoder decoder = {.max = 1000};
	_cleanup_free_ char *fits = message_of(1000), *too_large = message_of(1001);
	json_t *message;

	/* Many whole ones may wait together. */
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(varlink_decoder_feed(&decoder, fits, 1001), 0);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(varlink_decoder_next(&decoder, &message), 1);
		assert_json(message, "{'a':1}");
	}
	ck_assert_int_eq(varlink_decoder_next(&decoder, &message), 0);
	/* One too large is refused whether its end is there or not. */
	ck_assert_int_eq(varlink_decoder_feed(&decoder, too_large, 1002), 0);
	ck_assert_int_eq(varlink_decoder_next(&decoder, &message), -EMSGSIZE);
	varlink_decoder_deinit(&decoder);

	decoder = (struct varlink_decoder){.max = 1000};
	ck_assert_int_eq(varlink_decoder_feed(&decoder, fits, 1001), 0);
	ck_assert_int_eq(varlink_decoder_feed(&decoder, too_large, 1000), 0);
	ck_assert_int_eq(varlink_decoder_feed(&decoder, too_large + 1000, 1), -EMSGSIZE);
	varlink_decoder_deinit(&decoder);
}
END_TEST

START_TEST(test_secrets_are_overwritten)
{
	static const char text[] = "{\"nodeLogId\":\"5ec7e7\"}\0{\"method\":";
	struct varlink_decoder decoder = {};
	json_t *message;

	ck_assert_int_eq(varlink_decoder_feed(&decoder, text, sizeof(text) - 1), 0);
	ck_assert_int_eq(varlink_decoder_next(&decoder, &message), 1);
	assert_json(message, "{'nodeLogId':'5ec7e7'}");
	ck_assert_ptr_null(memmem(decoder.input.data, decoder.input.allocated, "5ec7e7", 6));
	varlink_decoder_deinit(&decoder);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_byte_by_byte, test_every_split, test_garbage, test_largest, test_secrets_are_overwritten,
	};

	return run_suite("varlink_codec", tests, ARRAY_SIZE(tests));
}
