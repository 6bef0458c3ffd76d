/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judges answers. A wrong verdict loses messages (refused ones are quarantined) or holds up the stream
 * (the others are retried), so all of it is in this one place; so is what is shown of an answer.
 */

#include "daemon/upload/http/answer.h"

#include "common/cleanup.h"
#include "common/log_id.h"
#include "common/time_text.h"
#include "daemon/upload/sink/backoff.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TEXT_SHOWN 200
/* Of another server's address. */
#define ORIGIN_MAX 100
#define LABEL_MAX  20
/* "A timeout occurred", from a gateway that waited in vain (in no RFC). */
#define CLOUDFLARE_TIMEOUT 524

/* RFC 9110, 6585, 4918 and 2518. */
static const struct {
	int status;
	const char *text;
} reasons[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{402, "Payment Required"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{407, "Proxy Authentication Required"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{417, "Expectation Failed"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Content"},
	{425, "Too Early"},
	{426, "Upgrade Required"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{451, "Unavailable For Legal Reasons"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
	{507, "Insufficient Storage"},
	{511, "Network Authentication Required"},
};

/*
 * How those of libcurl's texts begin that contain only our own configuration, fixed texts (of the TLS
 * library, of the C library) and an HTTP status. Others may quote the server: the name in its certificate, a
 * header's value.
 */
static const char *const harmless[] = {
	"Could not resolve ",
	"Failed to connect to ",
	"Connection timed out after ",
	"Resolving timed out after ",
	"Recv failure: ",
	"Send failure: ",
	"CONNECT tunnel failed, response ",
	"Received HTTP code ",
	"SSL connection timeout",
	"Received HTTP/0.9 when not allowed",
	"SSL certificate problem: ",
	"SSL: no alternative certificate subject name matches target ",
	"server certificate verification failed",
	"server certificate expiration date has passed",
	"server certificate not activated yet",
	"OpenSSL/",
	"OpenSSL SSL_connect: ",
	"TLS connect error: ",
	"gnutls_handshake() failed: ",
	"GnuTLS, handshake failed: ",
	/* our own files */
	"error setting certificate ",
	"error adding trust anchors ",
	"could not load PEM client certificate",
	"unable to set private key file",
	"unable to use client certificate",
	"Private key does not match the certificate public key",
};

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

enum verdict answer_classify_error(int error)
{
	switch (-error) {
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case EIO:
	case EINTR:
	case EAGAIN:
	case EPIPE: /* the broker has ended */
		return VERDICT_RETRY;
	default:
		return VERDICT_MISCONFIGURED;
	}
}

const char *answer_status_reason(long status)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "";
}

/* curl_getdate() also takes many forms that HTTP does not allow; only what begins like an HTTP date passes.
 */
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

/* One line of what is shown of n bytes of words. */
static void clean(const char *words, size_t n, char ret_text[static TEXT_SHOWN + 1])
{
	char excerpt[512];
	size_t length = 0;

	/* Reads more than is shown: an ID must not slip through because it is cut off. */
	for (size_t i = 0; i < n && length < sizeof(excerpt); i++) {
		unsigned char c = (unsigned char)words[i];

		if (isspace(c) && (length == 0 || excerpt[length - 1] == ' '))
			continue;
		excerpt[length++] = isspace(c) ? ' ' : (c > 0x20 && c < 0x7f) ? (char)c : '?';
	}
	length = hide_ids(excerpt, length);
	length = MIN(length, (size_t)TEXT_SHOWN);
	while (length > 0 && excerpt[length - 1] == ' ')
		length--;
	memcpy(ret_text, excerpt, length);
	ret_text[length] = '\0';
}

void answer_describe(struct answer *answer, const char *prefix, const char *words, size_t n)
{
	char text[TEXT_SHOWN + 1];

	clean(words, n, text);
	snprintf(answer->text, sizeof(answer->text), "%s%s%s", prefix, *text ? ": " : "", text);
}

void http_answer_advise(const struct http_answer *http, const char *advice, const char *meaning,
			struct answer *answer)
{
	const char *reason = answer_status_reason(http->status);
	char prefix[280];

	snprintf(prefix, sizeof(prefix), "HTTP %ld%s%s%s%s", http->status, *reason ? " " : "", reason,
		 advice ? ": " : "", advice ? advice : "");
	if (!http->secret && http->length > 0)
		answer_describe(answer, prefix, http->body, http->length);
	else
		answer_describe(answer, prefix, meaning, meaning ? strlen(meaning) : 0);
}

void http_answer_describe(const struct http_answer *http, const char *meaning, struct answer *answer)
{
	http_answer_advise(http, NULL, meaning, answer);
}

/*
 * The server that a URL leads to, without user, path and query, in which what it was told might come back;
 * nor is a label shown that is long enough for most of a secret. NULL if nothing is left.
 */
static const char *find_origin(const char *url, int *ret_length)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	const char *host = strstr(url, "://");
	size_t n, label;

	if (!host)
		return NULL;
	host += 3;
	n = strcspn(host, "/?#");
	if (n == 0 || n > ORIGIN_MAX || memchr(host, '@', n))
		return NULL;
	for (size_t at = 0; at < n; at += label + 1) {
		label = strspn(host + at, plain);
		if (label > LABEL_MAX || (at + label < n && !strchr(".:[]", host[at + label])))
			return NULL;
	}
	*ret_length = (int)(host + n - url);
	return url;
}

/* A redirection is not followed: the rows would go to a server that nobody named. */
static void describe_redirect(const struct http_answer *http, struct answer *answer)
{
	char advice[TEXT_SHOWN + 80], target[TEXT_SHOWN + 1];
	const char *url = http->redirect;
	int length = url ? (int)strlen(url) : 0;

	if (url && http->secret)
		url = find_origin(url, &length);
	if (url) {
		clean(url, (size_t)length, target);
		snprintf(advice, sizeof(advice), "redirected to %s, which is not followed: correct url",
			 target);
	} else {
		snprintf(advice, sizeof(advice), "redirected%s, which is not followed: correct url",
			 http->redirect ? "" : " without a Location");
	}
	http_answer_advise(http, advice, NULL, answer);
}

static void describe_status(const struct http_answer *http, struct answer *answer)
{
	char advice[80];

	switch (http->status) {
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		describe_redirect(http, answer);
		return;
	case 415:
		if (!http->encoding)
			break;
		snprintf(advice, sizeof(advice), "it does not take bodies in %s: set compression = none",
			 http->encoding);
		http_answer_advise(http, advice, NULL, answer);
		return;
	}
	http_answer_describe(http, NULL, answer);
}

/* Whether a smaller body might have gone through: somebody gave up waiting for this one. */
static bool was_too_slow(const struct http_answer *http)
{
	if (http->wire_bytes == 0)
		return false;
	if (http->curl_code == CURLE_OPERATION_TIMEDOUT)
		return http->connected;
	return http->curl_code == CURLE_OK &&
	       (http->status == 408 || http->status == 504 || http->status == CLOUDFLARE_TIMEOUT);
}

void http_answer_judge(const struct http_answer *http, struct answer *ret_answer)
{
	const char *error = http->error ? http->error : "";
	size_t shown = 0;

	*ret_answer = (struct answer){.retry_after = http->retry_after, .too_large = was_too_slow(http)};
	if (http->curl_code == CURLE_OK) {
		ret_answer->verdict = answer_classify_status(http->status);
		describe_status(http, ret_answer);
		return;
	}
	ret_answer->verdict = answer_classify_transfer(http->curl_code);
	if (http->reason) {
		answer_describe(ret_answer, http->reason, NULL, 0);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (strncmp(error, harmless[i], strlen(harmless[i])) == 0)
			shown = strlen(error);
	answer_describe(ret_answer, curl_easy_strerror((CURLcode)http->curl_code), error, shown);
}
