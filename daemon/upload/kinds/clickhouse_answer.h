/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a ClickHouse server's answer means: its own error code takes precedence over the HTTP status, which
 * has changed its meaning between versions (18.16 answers 500 to bad data, today's 408 to a timeout).
 */

#include "daemon/upload/http/answer.h"

#include <stdbool.h>
#include <stddef.h>

/* Said of an answer that no ClickHouse gives. */
#define CLICKHOUSE_NOT "this is not ClickHouse (a web page, a portal, a proxy?): correct url"

/* The error code in an answer's body ("Code: 60. DB::Exception: ..."); 0 if there is none. */
int clickhouse_find_code(const char *body, size_t n);
/* The verdict on an error code. */
enum verdict clickhouse_classify(int code);
/*
 * The verdict on an answer: by its error code, otherwise by HTTP. query: the request in our own words, for
 * people; where the server's may not be shown, the code, its name and the query are.
 */
void clickhouse_judge(const struct http_answer *http, const char *query, struct answer *ret_answer);
/* The same for a question, for which every error that is no known outage is a misconfiguration. */
void clickhouse_judge_question(const struct http_answer *http, const char *query, struct answer *ret_answer);
/* Whether the server does not let a query change settings, or does not know one. */
bool clickhouse_refuses_settings(const struct http_answer *http);
/* Whether something before the server refuses GET as a method. */
bool clickhouse_refuses_get(const struct http_answer *http);
/*
 * The same for an insert. Only an empty 200 means that the rows are stored; marked: with the headers of a
 * ClickHouse, which the answers of this server have had. What the operator has to correct behind the table is
 * named.
 */
void clickhouse_judge_insert(const struct http_answer *http, const char *query, bool marked,
			     struct answer *ret_answer);
