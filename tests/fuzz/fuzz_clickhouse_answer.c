/* What a server answers: a verdict comes out, and a text that is one line of printable ASCII without IDs. */

#include "common/log_id.h"
#include "daemon/upload/clickhouse_answer.h"
#include "daemon/upload/http.h"

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
	http_answer_judge(&http, &answer);
	check(&answer);
	clickhouse_judge(&http, &answer);
	check(&answer);
	return 0;
}
