/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What servers answer to questions and to messages: whatever they say, they are a ClickHouse only with the
 * solution of the task, and a text comes out that is one line of printable ASCII.
 */

#include "daemon/upload/kinds/clickhouse_server.h"
#include "daemon/upload/kinds/logtail_answer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char solution[] = "0000000000000000-dgolten";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct sink_config config = {.name = (char *)"a", .url = (char *)"b", .table = (char *)"t"};
	struct clickhouse_server server;
	struct http_answer http = {.status = 200, .retry_after = -1};
	struct answer answer;

	if (n < 1)
		return 0;
	http.truncated = data[0] & 1;
	http.secret = data[0] & 2;
	http.body = (const char *)data + 1;
	http.length = n - 1;
	if (logtail_is_answer(http.body, http.length) && http.length > 0 && http.body[0] == '<')
		abort();
	if (clickhouse_server_init(&server, &config, &clock_system) < 0)
		abort();
	memcpy(server.task, "netlogd-0000000000000000", sizeof("netlogd-0000000000000000"));
	for (int question = CLICKHOUSE_ASK_SETTINGS; question < CLICKHOUSE_ASKED; question++) {
		server.next = (enum clickhouse_question)question;
		clickhouse_server_take(&server, &http, &answer);
		if (answer.verdict == VERDICT_DELIVERED && question == CLICKHOUSE_ASK_SETTINGS &&
		    !memmem(http.body, http.length, solution, strlen(solution)))
			abort();
		for (const char *c = answer.text; *c; c++)
			if (*c < 0x20 || *c > 0x7e)
				abort();
	}
	clickhouse_server_deinit(&server);
	return 0;
}
