/*
 * Classifying answers. A wrong verdict loses messages (refused ones are set aside) or holds up the stream
 * (retried ones are not), so all of it stands in this one place.
 */

#include "daemon/upload/answer.h"

#include "common/cleanup.h"
#include "common/log_id.h"
#include "common/time_text.h"
#include "daemon/upload/backoff.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

enum verdict answer_classify_status(long status)
{
	if (status >= 200 && status <= 299)
		return VERDICT_DELIVERED;
	switch (status) {
	case 408:
	case 425:
	case 429:
		return VERDICT_RETRY;
	case 400:
	case 413:
	case 422:
		return VERDICT_REFUSED;
	}
	if (status >= 300 && status <= 499)
		return VERDICT_MISCONFIGURED;
	return VERDICT_RETRY;
}

enum verdict answer_classify_transfer(int curl_code)
{
	switch (curl_code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CLIENTCERT:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_URL_MALFORMAT:
	case CURLE_BAD_FUNCTION_ARGUMENT:
	case CURLE_UNKNOWN_OPTION:
		return VERDICT_MISCONFIGURED;
	default:
		return VERDICT_RETRY;
	}
}

/* Of what the server wrote. */
#define TEXT_SHOWN 160

/* curl_getdate() also takes many forms that no server may send; only what begins as an HTTP date passes. */
static bool is_http_date(const char *text)
{
	static const char days[][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

	for (size_t i = 0; i < ARRAY_SIZE(days); i++)
		if (strncmp(text, days[i], 3) == 0)
			return strchr(text, ':') != NULL;
	return false;
}

int64_t answer_parse_retry_after(const char *value, size_t n, int64_t wall)
{
	char text[64];
	int64_t wait = 0;
	time_t date;
	size_t i;

	while (n > 0 && isspace((unsigned char)value[0])) {
		value++;
		n--;
	}
	while (n > 0 && isspace((unsigned char)value[n - 1]))
		n--;
	if (n == 0 || n >= sizeof(text) || memchr(value, 0, n))
		return -1;
	memcpy(text, value, n);
	text[n] = 0;
	for (i = 0; i < n && isdigit((unsigned char)text[i]); i++)
		wait = MIN(wait * 10 + (text[i] - '0'), BACKOFF_RETRY_AFTER / NSEC_PER_SEC);
	if (i == n)
		return wait * NSEC_PER_SEC;
	if (!is_http_date(text))
		return -1;
	date = curl_getdate(text, NULL);
	if (date < 0)
		return -1;
	if (date <= wall / NSEC_PER_SEC)
		return 0;
	if (date - wall / NSEC_PER_SEC >= BACKOFF_RETRY_AFTER / NSEC_PER_SEC)
		return BACKOFF_RETRY_AFTER;
	return date * NSEC_PER_SEC - wall;
}

/* User and password as HTTP sends them, should the server quote that. */
static void hide_basic(char *text, size_t n)
{
	static const char scheme[] = "Basic ";
	char *end = text + n, *at = text;

	while ((at = memmem(at, (size_t)(end - at), scheme, sizeof(scheme) - 1)))
		for (at += sizeof(scheme) - 1;
		     at < end && (isalnum((unsigned char)*at) || strchr("+/=", *at));)
			*at++ = '#';
}

/* A run of hex digits as long as half a log ID or longer becomes one '#'. */
static size_t hide_ids(char *text, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n;) {
		size_t run = 0;

		while (i + run < n && isxdigit((unsigned char)text[i + run]))
			run++;
		if (run >= LOG_ID_SIZE) {
			text[out++] = '#';
			i += run;
			continue;
		}
		run = MAX(run, (size_t)1);
		memmove(text + out, text + i, run);
		out += run;
		i += run;
	}
	return out;
}

void answer_describe(struct answer *answer, const char *prefix, const char *body, size_t n)
{
	char excerpt[512];
	size_t length = 0;

	/* More is looked at than is shown: an ID must not escape by being cut in the middle. */
	for (size_t i = 0; i < n && length < sizeof(excerpt); i++) {
		unsigned char c = (unsigned char)body[i];

		if (isspace(c) && (length == 0 || excerpt[length - 1] == ' '))
			continue;
		excerpt[length++] = isspace(c) ? ' ' : (c > 0x20 && c < 0x7f) ? (char)c : '?';
	}
	hide_basic(excerpt, length);
	length = hide_ids(excerpt, length);
	length = MIN(length, (size_t)TEXT_SHOWN);
	while (length > 0 && excerpt[length - 1] == ' ')
		length--;
	snprintf(answer->text, sizeof(answer->text), "%s%s%.*s", prefix, length > 0 ? ": " : "", (int)length,
		 excerpt);
}
