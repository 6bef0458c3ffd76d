/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a server says of its tables' columns: rows go only into a table of which nothing is wrong, and what is
 * told of it is printable.
 */

#include "daemon/upload/kinds/clickhouse_server.h"

#include "daemon/upload/http/http.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int64_t zero(void *userdata)
{
	(void)userdata;
	return 0;
}

static void check_text(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	if (length == size)
		abort();
	for (size_t i = 0; i < length; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct clock clock = {.wall = zero, .boot = zero};
	static const struct sink_config config = {
		.name = (char *)"ch", .url = (char *)"http://127.0.0.1/", .table = (char *)"flows"};
	struct clickhouse_server server;
	struct http_answer http = {.status = 200, .retry_after = -1};
	enum clickhouse_question question;
	struct answer answer;
	bool lacks = false;

	if (n < 1 || clickhouse_server_init(&server, &config, &clock) < 0)
		return 0;
	http.truncated = data[0] & 1;
	http.body = (const char *)data + 1;
	http.length = n - 1;
	question = data[0] & 2 ? CLICKHOUSE_ASK_EVENTS : CLICKHOUSE_ASK_FLOWS;
	server.next = question;
	clickhouse_server_take(&server, &http, &answer);
	/* Or the same question may be put in another way. */
	if ((answer.verdict == VERDICT_DELIVERED) !=
	    (server.next == question + 1 || server.plain || server.post))
		abort();
	check_text(answer.text, sizeof(answer.text));
	check_text(server.lacking, sizeof(server.lacking));
	for (size_t i = 0; clickhouse_detail_columns[i]; i++)
		lacks |= server.lacks[i];
	if (lacks != (server.lacking[0] != '\0'))
		abort();
	clickhouse_server_deinit(&server);
	return 0;
}
