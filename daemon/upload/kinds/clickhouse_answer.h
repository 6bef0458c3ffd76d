/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a ClickHouse server's answer means: its own error code takes precedence over the HTTP status, which
 * has changed its meaning between versions (18.16 answers 500 to bad data, today's 408 to a timeout).
 */

#include "daemon/upload/http/answer.h"

#include <stddef.h>

/* The error code in an answer's body ("Code: 60. DB::Exception: ..."); 0 if there is none. */
int clickhouse_find_code(const char *body, size_t n);
/* The verdict on an error code. */
enum verdict clickhouse_classify(int code);
/*
 * The verdict on an answer: by its error code, otherwise by HTTP. query: the request in our own words, for
 * people; where the server's may not be shown, the code, its name and the query are.
 */
void clickhouse_judge(const struct http_answer *http, const char *query, struct answer *ret_answer);
