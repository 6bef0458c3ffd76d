/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ClickHouse's error codes (src/Common/ErrorCodes.cpp there). Only codes that are unambiguous count as bad
 * data or as a misconfiguration: everything else is tried again, which loses nothing.
 *
 * Their names are shown from this table, not from the answer: a server that was told a password might repeat
 * it.
 */

#include "daemon/upload/kinds/clickhouse_answer.h"

#include "common/cleanup.h"
#include "daemon/upload/http/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static const struct error_code {
	int code;
	enum verdict verdict;
	const char *name;
	bool too_large; /* fewer rows may go through */
} error_codes[] = {
	/* Something in the rows cannot be read or stored. */
	{6, VERDICT_REFUSED, "CANNOT_PARSE_TEXT"},
	{20, VERDICT_REFUSED, "NUMBER_OF_COLUMNS_DOESNT_MATCH"},
	{25, VERDICT_REFUSED, "CANNOT_PARSE_ESCAPE_SEQUENCE"},
	{26, VERDICT_REFUSED, "CANNOT_PARSE_QUOTED_STRING"},
	{27, VERDICT_REFUSED, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"},
	{38, VERDICT_REFUSED, "CANNOT_PARSE_DATE"},
	{41, VERDICT_REFUSED, "CANNOT_PARSE_DATETIME"},
	{69, VERDICT_REFUSED, "ARGUMENT_OUT_OF_BOUND"},
	{70, VERDICT_REFUSED, "CANNOT_CONVERT_TYPE"},
	{72, VERDICT_REFUSED, "CANNOT_PARSE_NUMBER"},
	{117, VERDICT_REFUSED, "INCORRECT_DATA"},
	{130, VERDICT_REFUSED, "CANNOT_READ_ARRAY_FROM_TEXT"},
	{131, VERDICT_REFUSED, "TOO_LARGE_STRING_SIZE"},
	{190, VERDICT_REFUSED, "SIZES_OF_ARRAYS_DONT_MATCH"},
	{321, VERDICT_REFUSED, "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE"},
	{349, VERDICT_REFUSED, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"},
	{441, VERDICT_REFUSED, "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING"},
	{467, VERDICT_REFUSED, "CANNOT_PARSE_BOOL"},
	{469, VERDICT_REFUSED, "VIOLATED_CONSTRAINT"},
	{675, VERDICT_REFUSED, "CANNOT_PARSE_IPV4"},
	{676, VERDICT_REFUSED, "CANNOT_PARSE_IPV6"},
	/* Only a person can fix it: a missing or different table, a right, a password, a setting. */
	{10, VERDICT_MISCONFIGURED, "NOT_FOUND_COLUMN_IN_BLOCK"},
	{16, VERDICT_MISCONFIGURED, "NO_SUCH_COLUMN_IN_TABLE"},
	{36, VERDICT_MISCONFIGURED, "BAD_ARGUMENTS"},
	{44, VERDICT_MISCONFIGURED, "ILLEGAL_COLUMN"},
	{46, VERDICT_MISCONFIGURED, "UNKNOWN_FUNCTION"},
	{47, VERDICT_MISCONFIGURED, "UNKNOWN_IDENTIFIER"},
	{48, VERDICT_MISCONFIGURED, "NOT_IMPLEMENTED"},
	{53, VERDICT_MISCONFIGURED, "TYPE_MISMATCH"},
	{60, VERDICT_MISCONFIGURED, "UNKNOWN_TABLE"},
	{62, VERDICT_MISCONFIGURED, "SYNTAX_ERROR"},
	{73, VERDICT_MISCONFIGURED, "UNKNOWN_FORMAT"},
	{81, VERDICT_MISCONFIGURED, "UNKNOWN_DATABASE"},
	{82, VERDICT_MISCONFIGURED, "DATABASE_ALREADY_EXISTS"},
	{115, VERDICT_MISCONFIGURED, "UNKNOWN_SETTING"},
	{116, VERDICT_MISCONFIGURED, "THERE_IS_NO_DEFAULT_VALUE"},
	{139, VERDICT_MISCONFIGURED, "NO_ELEMENTS_IN_CONFIG"},
	{158, VERDICT_MISCONFIGURED, "TOO_MANY_ROWS"},
	{164, VERDICT_MISCONFIGURED, "READONLY"},
	{180, VERDICT_MISCONFIGURED, "THERE_IS_NO_PROFILE"},
	{192, VERDICT_MISCONFIGURED, "UNKNOWN_USER"},
	{193, VERDICT_MISCONFIGURED, "WRONG_PASSWORD"},
	{194, VERDICT_MISCONFIGURED, "REQUIRED_PASSWORD"},
	{195, VERDICT_MISCONFIGURED, "IP_ADDRESS_NOT_ALLOWED"},
	{291, VERDICT_MISCONFIGURED, "DATABASE_ACCESS_DENIED"},
	{307, VERDICT_MISCONFIGURED, "TOO_MANY_BYTES"},
	{392, VERDICT_MISCONFIGURED, "QUERY_IS_PROHIBITED"},
	{396, VERDICT_MISCONFIGURED, "TOO_MANY_ROWS_OR_BYTES"},
	{452, VERDICT_MISCONFIGURED, "SETTING_CONSTRAINT_VIOLATION"},
	{497, VERDICT_MISCONFIGURED, "ACCESS_DENIED"},
	{516, VERDICT_MISCONFIGURED, "AUTHENTICATION_FAILED"},
	{691, VERDICT_MISCONFIGURED, "UNKNOWN_ELEMENT_OF_ENUM"},
	/* Temporary, as far as they were seen. */
	{33, VERDICT_RETRY, "CANNOT_READ_ALL_DATA"},
	{49, VERDICT_RETRY, "LOGICAL_ERROR"},
	{76, VERDICT_RETRY, "CANNOT_OPEN_FILE"},
	{160, VERDICT_RETRY, "TOO_SLOW", true},
	{173, VERDICT_RETRY, "CANNOT_ALLOCATE_MEMORY", true},
	{159, VERDICT_RETRY, "TIMEOUT_EXCEEDED", true},
	{201, VERDICT_RETRY, "QUOTA_EXCEEDED"},
	{202, VERDICT_RETRY, "TOO_MANY_SIMULTANEOUS_QUERIES"},
	{203, VERDICT_RETRY, "NO_FREE_CONNECTION"},
	{209, VERDICT_RETRY, "SOCKET_TIMEOUT", true},
	{210, VERDICT_RETRY, "NETWORK_ERROR"},
	{218, VERDICT_RETRY, "TABLE_IS_DROPPED"},
	{225, VERDICT_RETRY, "NO_ZOOKEEPER"},
	{236, VERDICT_RETRY, "ABORTED"},
	{241, VERDICT_RETRY, "MEMORY_LIMIT_EXCEEDED", true},
	{242, VERDICT_RETRY, "TABLE_IS_READ_ONLY"},
	{243, VERDICT_RETRY, "NOT_ENOUGH_SPACE"},
	{252, VERDICT_RETRY, "TOO_MANY_PARTS"},
	{279, VERDICT_RETRY, "ALL_CONNECTION_TRIES_FAILED"},
	{285, VERDICT_RETRY, "TOO_FEW_LIVE_REPLICAS"},
	{286, VERDICT_RETRY, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE"},
	{289, VERDICT_RETRY, "REPLICA_IS_NOT_IN_QUORUM"},
	{290, VERDICT_RETRY, "LIMIT_EXCEEDED"},
	{319, VERDICT_RETRY, "UNKNOWN_STATUS_OF_INSERT"},
	{394, VERDICT_RETRY, "QUERY_WAS_CANCELLED"},
	{425, VERDICT_RETRY, "SYSTEM_ERROR"},
	{439, VERDICT_RETRY, "CANNOT_SCHEDULE_TASK"},
	{499, VERDICT_RETRY, "S3_ERROR"},
	{999, VERDICT_RETRY, "KEEPER_EXCEPTION"},
	{1000, VERDICT_RETRY, "POCO_EXCEPTION"},
	{1001, VERDICT_RETRY, "STD_EXCEPTION"},
	{1002, VERDICT_RETRY, "UNKNOWN_EXCEPTION"},
};

static const struct error_code *find_error(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(error_codes); i++)
		if (error_codes[i].code == code)
			return &error_codes[i];
	return NULL;
}

enum verdict clickhouse_classify(int code)
{
	const struct error_code *error = find_error(code);

	return error ? error->verdict : VERDICT_RETRY;
}

/* Largest number that is taken for a code; none is above 3000. */
#define CODE_MAX 9999

static int parse_code(const char *text, size_t n)
{
	int code = 0;

	for (size_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++) {
		code = code * 10 + (text[i] - '0');
		if (code > CODE_MAX)
			return 0;
	}
	return code;
}

int clickhouse_find_code(const char *body, size_t n)
{
	static const char mark[] = "Code: ";
	const char *end = body + n, *at = body;

	while ((at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1))) {
		int code;

		at += sizeof(mark) - 1;
		code = parse_code(at, (size_t)(end - at));
		if (code > 0 && memmem(at, (size_t)(end - at), "DB::", 4))
			return code;
	}
	return 0;
}

/* The code of the exception that an answer tells of; 0: of one with an unreadable code; -1: of none. */
static int exception_code(const struct http_answer *http)
{
	int code = http->watched ? parse_code(http->watched, strlen(http->watched)) : 0;

	if (code == 0)
		code = clickhouse_find_code(http->body, http->length);
	return code > 0 || http->watched ? code : -1;
}

/* advice may be NULL. */
static void judge_exception(const struct http_answer *http, int code, const char *query, const char *advice,
			    struct answer *answer)
{
	const struct error_code *error = find_error(code);
	char meaning[256];
	size_t n;

	answer->verdict = clickhouse_classify(code);
	answer->too_large = error && error->too_large;
	snprintf(meaning, sizeof(meaning), "Code: %d%s%s%s, %s", code, error ? " (" : "",
		 error ? error->name : "", error ? ")" : "", query);
	http_answer_describe(http, meaning, answer);
	n = strlen(answer->text);
	if (advice)
		snprintf(answer->text + n, sizeof(answer->text) - n, "; %s", advice);
}

void clickhouse_judge(const struct http_answer *http, const char *query, struct answer *ret_answer)
{
	int code;

	http_answer_judge(http, ret_answer);
	if (http->curl_code != CURLE_OK)
		return;
	/* Without a trace of an exception, the HTTP status decides. A 200 with one is not a success, even if
	 * its code is unreadable. */
	code = exception_code(http);
	if (code >= 0)
		judge_exception(http, code, query, NULL, ret_answer);
}

void clickhouse_judge_question(const struct http_answer *http, const char *query, struct answer *ret_answer)
{
	int code;

	clickhouse_judge(http, query, ret_answer);
	/* A question without rows cannot be refused because of them, nor is it too large. */
	if (ret_answer->verdict == VERDICT_REFUSED)
		ret_answer->verdict = VERDICT_MISCONFIGURED;
	ret_answer->too_large = false;
	if (http->curl_code != CURLE_OK)
		return;
	code = exception_code(http);
	/* The server can read its question, and has something against it that is no outage known here. */
	if (code > 0 && !find_error(code))
		ret_answer->verdict = VERDICT_MISCONFIGURED;
	if (code < 0 && http->status == 405)
		http_answer_advise(http,
				   "it takes the questions before an insert neither as GET nor as POST: "
				   "correct what stands before the server",
				   query, ret_answer);
}

bool clickhouse_refuses_settings(const struct http_answer *http)
{
	int code = http->curl_code == CURLE_OK ? exception_code(http) : -1;

	return code == 115 || code == 164 || code == 452;
}

bool clickhouse_refuses_get(const struct http_answer *http)
{
	return http->curl_code == CURLE_OK && http->status == 405 && exception_code(http) < 0;
}

/* Something that the insert names is not there. Yet the table is, with these columns: that was asked. */
static bool is_absence(int code)
{
	switch (code) {
	case 10:
	case 16:
	case 46:
	case 47:
	case 60:
	case 81:
		return true;
	}
	return false;
}

/* Old servers have no code of its own for a word that an Enum lacks: 49, a logical error. */
static bool is_enum_error(const struct http_answer *http, int code)
{
	static const char words[] = "for type Enum";

	return code == 49 && memmem(http->body, http->length, words, strlen(words));
}

static bool is_blank(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strchr(" \t\r\n", text[i]) || text[i] == '\0')
			return false;
	return true;
}

void clickhouse_judge_insert(const struct http_answer *http, const char *query, bool marked,
			     struct answer *ret_answer)
{
	static const char view[] = "while pushing to view";
	const struct error_code *error;
	int code;

	clickhouse_judge(http, query, ret_answer);
	if (http->curl_code != CURLE_OK)
		return;
	if (ret_answer->verdict == VERDICT_DELIVERED &&
	    (http->status != 200 || !is_blank(http->body, http->length) || (marked && !http->marked))) {
		ret_answer->verdict = VERDICT_MISCONFIGURED;
		http_answer_advise(http, CLICKHOUSE_NOT, NULL, ret_answer);
		return;
	}
	code = exception_code(http);
	if (code < 0)
		return;
	error = find_error(code);
	if (memmem(http->body, http->length, view, strlen(view))) {
		judge_exception(http, code, query,
				"a materialized view behind the table fails: correct or drop it", ret_answer);
		/* The rows are not to blame: the table takes them. */
		if (!error || error->verdict != VERDICT_RETRY)
			ret_answer->verdict = VERDICT_MISCONFIGURED;
	} else if (is_enum_error(http, code)) {
		ret_answer->verdict = VERDICT_MISCONFIGURED;
	} else if (is_absence(code)) {
		judge_exception(
			http, code, query,
			"the table is right, but not what is behind it (a materialized view, another table)",
			ret_answer);
	}
}
