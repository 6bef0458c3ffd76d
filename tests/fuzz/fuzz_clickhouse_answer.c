/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a server answers: a verdict comes out, and a text that is one line of printable ASCII without IDs.
 * Where the request held a secret, the text is one of few: it does not depend on what the body says, but for
 * an error code.
 */

#include "common/log_id.h"
#include "daemon/upload/http/http.h"
#include "daemon/upload/kinds/clickhouse_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct answer *answer)
{
	size_t hex = 0, length = strnlen(answer->text, sizeof(answer->text));

	if (length == sizeof(answer->text))
		abort();
	for (size_t i = 0; i < length; i++) {
		char c = answer->text[i];

		if (c < 0x20 || c > 0x7e)
			abort();
		hex = strchr("0123456789abcdefABCDEF", c) ? hex + 1 : 0;
		if (hex >= LOG_ID_SIZE)
			abort();
	}
}

/* Taken apart, nothing is left of the text. */
static void check_secret(const struct http_answer *http, const struct answer *answer)
{
	const char *reason = answer_status_reason(http->status), *end;
	char begin[64];
	int code = 0, n = 0;

	snprintf(begin, sizeof(begin), "HTTP %ld%s%s", http->status, *reason ? " " : "", reason);
	if (strncmp(answer->text, begin, strlen(begin)) != 0)
		abort();
	end = answer->text + strlen(begin);
	if (!*end || strcmp(end, ": " CLICKHOUSE_NOT) == 0)
		return;
	if (strcmp(end, ": redirected without a Location, which is not followed: correct url") == 0)
		return;
	if (sscanf(end, ": Code: %4d%n", &code, &n) != 1 || n == 0)
		abort();
	end += n;
	if (strncmp(end, " (", 2) == 0)
		end += 2 + strspn(end + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") + 1;
	if (strncmp(end, ", INSERT INTO a.b", 17) != 0 ||
	    (end[17] && strncmp(end + 17, "; a materialized view", 21) != 0 &&
	     strncmp(end + 17, "; the table is right", 20) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char watched[64] = "";
	struct http_answer http = {.retry_after = -1};
	struct answer answer;

	if (n < 3)
		return 0;
	http.status = data[0] * 4;
	http.body = (const char *)data + 2;
	http.length = n - 2;
	if (data[1] & 1) {
		snprintf(watched, sizeof(watched), "%.*s", (int)(n - 2), (const char *)data + 2);
		http.watched = watched;
	}
	for (int secret = 0; secret < 2; secret++) {
		http.secret = secret;
		http_answer_judge(&http, &answer);
		check(&answer);
		clickhouse_judge(&http, "INSERT INTO a.b", &answer);
		check(&answer);
		clickhouse_judge_insert(&http, "INSERT INTO a.b", data[1] & 2, &answer);
		check(&answer);
		if (answer.verdict == VERDICT_DELIVERED && (http.status != 200 || data[1] & 2))
			abort();
	}
	check_secret(&http, &answer);
	return 0;
}
