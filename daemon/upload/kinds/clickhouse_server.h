/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What is known of the server, from its answers to three questions that come before the first insert: that it
 * is a ClickHouse at all, and which settings it has; and which columns the two tables have.
 *
 * Anything may answer 200 to everything: a portal, a web page, a proxy. So the first question holds a task
 * that only a database solves, to turn a random text around. And a server skips what its table has no column
 * for, without a word, and cuts off what its column is too narrow for: so rows go only into tables that have
 * them all, each of a type that holds our values. The columns for details are an exception, since tables were
 * made before there were any: where one is missing, its values are left out, and that is told.
 */

#include "common/buffer.h"
#include "common/clock.h"
#include "common/config/config.h"
#include "daemon/upload/http/answer.h"
#include "daemon/upload/kinds/clickhouse_rows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLICKHOUSE_SETTINGS_MAX 64
/* "netlogd-" and 16 hex digits. */
#define CLICKHOUSE_TASK_MAX 32

enum clickhouse_question {
	CLICKHOUSE_ASK_SETTINGS, /* and for the proof */
	CLICKHOUSE_ASK_FLOWS,
	CLICKHOUSE_ASK_EVENTS,
	CLICKHOUSE_ASKED, /* all is known */
};

struct clickhouse_server {
	const struct sink_config *config;
	const struct clock *clock;
	enum clickhouse_question next;
	int64_t asked_at; /* boot time of the first question */
	char task[CLICKHOUSE_TASK_MAX];
	bool plain; /* the server refuses our settings for questions: they go without */
	bool post;  /* something refuses GET: questions are POST requests without a body */

	char *settings[CLICKHOUSE_SETTINGS_MAX]; /* wanted: "name=value", the user's after ours */
	bool known[CLICKHOUSE_SETTINGS_MAX];	 /* by the server */
	size_t n_settings;
	bool knows_tokens; /* insert_deduplication_token, since 22.2; such a server reads zstd too */
	bool has_mark;	   /* its answers carry the headers of a ClickHouse; a proxy may remove them */

	bool lacks[CLICKHOUSE_DETAILS_MAX]; /* of clickhouse_detail_columns: not to be inserted */
	char lacking[ANSWER_TEXT_MAX];	    /* which those are and what to do, for people; "" for none */
};

/* 0 or -ENOMEM; deinit in any case. config and clock are borrowed. */
int clickhouse_server_init(struct clickhouse_server *server, const struct sink_config *config,
			   const struct clock *clock);
void clickhouse_server_deinit(struct clickhouse_server *server);

/* Everything is asked again: it may be another server by now, or another table. */
void clickhouse_server_forget(struct clickhouse_server *server);
/* Whether nothing is to be asked before an insert; forgets what is too old. */
bool clickhouse_server_is_known(struct clickhouse_server *server);
/* The URL of the next question, for a GET, or a POST if server->post. Errors stick to the buffer. */
void clickhouse_server_ask(struct clickhouse_server *server, struct buffer *url);
/*
 * Takes the answer to the question that was asked last. VERDICT_DELIVERED: the next one may be asked, which
 * is the same in another way if server->next is unchanged. The answer's text is for people.
 */
void clickhouse_server_take(struct clickhouse_server *server, const struct http_answer *http,
			    struct answer *ret_answer);
/* The settings that the server knows, as parameters of a URL. */
void clickhouse_server_append_settings(const struct clickhouse_server *server, struct buffer *url);
