/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a ClickHouse server means: its own error code goes before the HTTP status, which has changed its
 * meaning between versions (18.16 answers 500 to bad data, today's 408 to a time-out).
 */

#include "daemon/upload/http/answer.h"

#include <stddef.h>

/* The error code in an answer's body ("Code: 60. DB::Exception: ..."); 0 if there is none. */
int clickhouse_find_code(const char *body, size_t n);
/* The verdict that an error code means. */
enum verdict clickhouse_classify(int code);
/*
 * The verdict on an answer, by code, else by HTTP. query is what was asked, for people, in our own words:
 * where the server's may not be shown, the code, its name and the query are.
 */
void clickhouse_judge(const struct http_answer *http, const char *query, struct answer *ret_answer);
