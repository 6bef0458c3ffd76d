/*
 * ClickHouse's error codes (src/Common/ErrorCodes.cpp there). Only codes that can't be anything else are
 * taken for bad data or for a misconfiguration: everything else is tried again, which loses nothing.
 */

#include "daemon/upload/clickhouse_answer.h"

#include "common/cleanup.h"
#include "daemon/upload/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

/* Something in the rows can't be read or stored. */
static const int refused_codes[] = {
	6,   /* CANNOT_PARSE_TEXT */
	20,  /* NUMBER_OF_COLUMNS_DOESNT_MATCH */
	25,  /* CANNOT_PARSE_ESCAPE_SEQUENCE */
	26,  /* CANNOT_PARSE_QUOTED_STRING */
	27,  /* CANNOT_PARSE_INPUT_ASSERTION_FAILED */
	38,  /* CANNOT_PARSE_DATE */
	41,  /* CANNOT_PARSE_DATETIME */
	69,  /* ARGUMENT_OUT_OF_BOUND */
	70,  /* CANNOT_CONVERT_TYPE */
	72,  /* CANNOT_PARSE_NUMBER */
	117, /* INCORRECT_DATA */
	130, /* CANNOT_READ_ARRAY_FROM_TEXT */
	131, /* TOO_LARGE_STRING_SIZE */
	190, /* SIZES_OF_ARRAYS_DONT_MATCH */
	321, /* VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE */
	349, /* CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN */
	441, /* CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING */
	467, /* CANNOT_PARSE_BOOL */
	469, /* VIOLATED_CONSTRAINT */
	675, /* CANNOT_PARSE_IPV4 */
	676, /* CANNOT_PARSE_IPV6 */
};

/* It takes a person: a missing or different table, a right, a password, a setting. */
static const int misconfigured_codes[] = {
	10,  /* NOT_FOUND_COLUMN_IN_BLOCK */
	16,  /* NO_SUCH_COLUMN_IN_TABLE */
	36,  /* BAD_ARGUMENTS */
	44,  /* ILLEGAL_COLUMN */
	46,  /* UNKNOWN_FUNCTION */
	47,  /* UNKNOWN_IDENTIFIER */
	48,  /* NOT_IMPLEMENTED */
	53,  /* TYPE_MISMATCH */
	60,  /* UNKNOWN_TABLE */
	62,  /* SYNTAX_ERROR */
	73,  /* UNKNOWN_FORMAT */
	81,  /* UNKNOWN_DATABASE */
	82,  /* DATABASE_NOT_EMPTY */
	115, /* UNKNOWN_SETTING */
	116, /* THERE_IS_NO_PROFILE */
	164, /* READONLY */
	180, /* THERE_IS_NO_DEFAULT_VALUE */
	192, /* UNKNOWN_USER */
	193, /* WRONG_PASSWORD */
	194, /* REQUIRED_PASSWORD */
	195, /* IP_ADDRESS_NOT_ALLOWED */
	291, /* DATABASE_ACCESS_DENIED */
	301, /* NO_ELEMENTS_IN_CONFIG */
	392, /* QUERY_IS_PROHIBITED */
	452, /* SETTING_CONSTRAINT_VIOLATION */
	497, /* ACCESS_DENIED */
	516, /* AUTHENTICATION_FAILED */
};

static bool contains(const int *codes, size_t n, int code)
{
	for (size_t i = 0; i < n; i++)
		if (codes[i] == code)
			return true;
	return false;
}

enum verdict clickhouse_classify(int code)
{
	if (contains(refused_codes, ARRAY_SIZE(refused_codes), code))
		return VERDICT_REFUSED;
	if (contains(misconfigured_codes, ARRAY_SIZE(misconfigured_codes), code))
		return VERDICT_MISCONFIGURED;
	return VERDICT_RETRY;
}

static int parse_code(const char *text, size_t n)
{
	int code = 0;

	for (size_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++) {
		code = code * 10 + (text[i] - '0');
		if (code > 100000)
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

void clickhouse_judge(const struct http_answer *http, struct answer *ret_answer)
{
	char prefix[64];
	int code;

	http_answer_judge(http, ret_answer);
	if (http->curl_code != CURLE_OK)
		return;
	code = http->watched ? parse_code(http->watched, strlen(http->watched)) : 0;
	if (code == 0)
		code = clickhouse_find_code(http->body, http->length);
	/* A success with an exception in it is none. One that says nothing more is not known to be one. */
	if (code == 0 && !http->watched)
		return;
	ret_answer->verdict = clickhouse_classify(code);
	snprintf(prefix, sizeof(prefix), "HTTP %ld", http->status);
	answer_describe(ret_answer, prefix, http->body, http->length);
}
