/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers are TabSeparated: a row per line. The questions are GET requests, which a server treats as
 * read-only, and need no right but that to insert. Limits that a profile sets for people's queries do not
 * concern them, so they lift these limits; a server may refuse that, and is then asked without.
 */

#include "daemon/upload/kinds/clickhouse_server.h"

#include "common/log.h"
#include "common/time_text.h"
#include "daemon/upload/kinds/clickhouse_answer.h"
#include "daemon/upload/kinds/clickhouse_query.h"
#include "daemon/upload/kinds/clickhouse_rows.h"
#include "daemon/upload/kinds/clickhouse_types.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOKEN_SETTING "insert_deduplication_token"
/* Tables change, and servers are upgraded. */
#define KNOWN_FOR (INT64_C(600) * NSEC_PER_SEC)

/* Of the questions. All servers know them. */
#define QUESTION_SETTINGS                                                                                    \
	"&max_result_rows=0&max_result_bytes=0&max_rows_to_read=0&max_bytes_to_read=0&extremes=0"

/* The user's follow and so override ours, where they may; ours override the server's profile. */
static const char *const own_settings[] = {
	"input_format_skip_unknown_fields=1",
	"wait_for_async_insert=1",
	"input_format_allow_errors_num=0",
	"input_format_allow_errors_ratio=0",
};

/*
 * With any other value of these a server says that rows are stored which it has not stored: it answers before
 * that, leaves out those that it can't read, stops half-way without an error, or takes each batch for a
 * duplicate of the one before; or it refuses rows for a detail that its table has no column for. NULL: there
 * is no harmless value.
 */
static const struct {
	const char *name;
	const char *values[3];
} honest_settings[] = {
	{"wait_for_async_insert", {"1", "true"}},
	{"input_format_allow_errors_num", {"0"}},
	{"input_format_allow_errors_ratio", {"0", "0.0"}},
	{"materialized_views_ignore_errors", {"0", "false"}},
	{"timeout_overflow_mode", {"throw"}},
	{"read_overflow_mode", {"throw"}},
	{"input_format_skip_unknown_fields", {"1", "true"}},
	{TOKEN_SETTING, {NULL}},
};

/* ---- settings ---- */

static int add_setting(struct clickhouse_server *server, const char *setting)
{
	if (server->n_settings == CLICKHOUSE_SETTINGS_MAX)
		return 0;
	server->settings[server->n_settings] = strdup(setting);
	if (!server->settings[server->n_settings])
		return -ENOMEM;
	server->n_settings++;
	return 0;
}

/* Whether the server's answers stay true with it. */
static bool is_honest(const char *setting)
{
	size_t n = strcspn(setting, "=");
	const char *value = setting[n] ? setting + n + 1 : "";

	for (size_t i = 0; i < ARRAY_SIZE(honest_settings); i++) {
		const char *name = honest_settings[i].name;
		const char *const *values = honest_settings[i].values;

		if (strlen(name) != n || memcmp(name, setting, n) != 0)
			continue;
		while (*values && strcasecmp(*values, value) != 0)
			values++;
		return *values;
	}
	return true;
}

int clickhouse_server_init(struct clickhouse_server *server, const struct sink_config *config,
			   const struct clock *clock)
{
	int r = 0;

	*server = (struct clickhouse_server){.config = config, .clock = clock};
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own_settings); i++)
		r = add_setting(server, own_settings[i]);
	for (size_t i = 0; r == 0 && config->settings && config->settings[i]; i++) {
		const char *setting = config->settings[i];

		if (is_honest(setting))
			r = add_setting(server, setting);
		else
			log_warning("sink %s: ignoring %s: rows could be lost", config->name, setting);
	}
	return r;
}

void clickhouse_server_deinit(struct clickhouse_server *server)
{
	for (size_t i = 0; i < server->n_settings; i++)
		free(server->settings[i]);
	server->n_settings = 0;
}

void clickhouse_server_append_settings(const struct clickhouse_server *server, struct buffer *url)
{
	for (size_t i = 0; i < server->n_settings; i++) {
		const char *setting = server->settings[i], *equals = strchr(setting, '=');

		if (!server->known[i] || !equals)
			continue;
		buffer_append_char(url, '&');
		buffer_append(url, setting, (size_t)(equals + 1 - setting));
		clickhouse_query_escape(url, equals + 1);
	}
}

/* ---- questions ---- */

void clickhouse_server_forget(struct clickhouse_server *server)
{
	server->next = CLICKHOUSE_ASK_SETTINGS;
}

bool clickhouse_server_is_known(struct clickhouse_server *server)
{
	if (clock_boot(server->clock) - server->asked_at >= KNOWN_FOR) {
		clickhouse_server_forget(server);
		server->plain = server->post = false;
	}
	return server->next == CLICKHOUSE_ASKED;
}

static void ask_settings(struct clickhouse_server *server, struct buffer *query)
{
	server->asked_at = clock_boot(server->clock);
	snprintf(server->task, sizeof(server->task), "netlogd-%016" PRIx64,
		 clock_random_below(server->clock, UINT64_MAX));
	buffer_printf(query,
		      "SELECT reverse('%s') AS name UNION ALL "
		      "SELECT name FROM system.settings WHERE name IN ('" TOKEN_SETTING "'",
		      server->task);
	for (size_t i = 0; i < server->n_settings; i++) {
		const char *name = server->settings[i];

		buffer_append_text(query, ",'");
		for (; *name && *name != '='; name++)
			if (*name != '\'' && *name != '\\')
				buffer_append_char(query, *name);
		buffer_append_char(query, '\'');
	}
	buffer_append_text(query, ") FORMAT TabSeparated");
}

static const char *suffix_of(enum clickhouse_question question)
{
	return question == CLICKHOUSE_ASK_EVENTS ? CLICKHOUSE_EVENTS_SUFFIX : "";
}

void clickhouse_server_ask(struct clickhouse_server *server, struct buffer *url)
{
	_cleanup_buffer_ struct buffer query = {};

	if (server->next == CLICKHOUSE_ASK_SETTINGS) {
		ask_settings(server, &query);
	} else {
		buffer_append_text(&query, "DESCRIBE TABLE ");
		clickhouse_query_table(&query, server->config, suffix_of(server->next));
		buffer_append_text(&query, " FORMAT TabSeparated");
	}
	clickhouse_query_url(url, server->config, &query);
	if (!server->plain)
		buffer_append_text(url, QUESTION_SETTINGS);
}

/* ---- answers ---- */

/* A part of an answer. */
struct slice {
	const char *data;
	size_t length;
};

/* The next line of a text: false at its end. */
static bool next_line(const char **text, const char *end, struct slice *ret_line)
{
	const char *newline;

	if (*text >= end)
		return false;
	newline = memchr(*text, '\n', (size_t)(end - *text));
	ret_line->data = *text;
	ret_line->length = (size_t)((newline ? newline : end) - *text);
	*text = newline ? newline + 1 : end;
	/* output_format_tsv_crlf_end_of_line; a '\r' in a value is escaped. */
	if (ret_line->length > 0 && ret_line->data[ret_line->length - 1] == '\r')
		ret_line->length--;
	return true;
}

static bool slice_is(const struct slice *slice, const char *text)
{
	return slice->length == strlen(text) && memcmp(slice->data, text, slice->length) == 0;
}

static bool is_solved(const struct clickhouse_server *server, const struct slice *line)
{
	size_t n = strlen(server->task);

	for (size_t i = 0; i < n; i++)
		if (line->length != n || line->data[i] != server->task[n - 1 - i])
			return false;
	return true;
}

/* The task's solution and a name per line, in any order: whether a ClickHouse wrote that. */
static bool take_settings(struct clickhouse_server *server, const struct http_answer *http)
{
	const char *at = http->body, *end = at + http->length;
	bool solved = false;
	struct slice line;

	server->knows_tokens = false;
	memset(server->known, 0, sizeof(server->known));
	while (next_line(&at, end, &line)) {
		solved |= is_solved(server, &line);
		server->knows_tokens |= slice_is(&line, TOKEN_SETTING);
		for (size_t i = 0; i < server->n_settings; i++) {
			const char *setting = server->settings[i];

			if (line.length == strcspn(setting, "=") &&
			    memcmp(setting, line.data, line.length) == 0)
				server->known[i] = true;
		}
	}
	if (!solved)
		return false;
	server->has_mark = http->marked;
	for (size_t i = ARRAY_SIZE(own_settings); i < server->n_settings; i++)
		if (!server->known[i])
			log_warning("sink %s: the server does not know the setting %s", server->config->name,
				    server->settings[i]);
	return true;
}

static struct slice take_field(struct slice *line)
{
	const char *tab = memchr(line->data, '\t', line->length);
	struct slice field = {.data = line->data, .length = tab ? (size_t)(tab - line->data) : line->length};
	size_t taken = MIN(field.length + 1, line->length);

	line->data += taken;
	line->length -= taken;
	return field;
}

/* The place of a name in a list that ends with NULL; the list's length if it is not there. */
static size_t find_name(const char *const names[], const struct slice *name)
{
	size_t i = 0;

	while (names[i] && !slice_is(name, names[i]))
		i++;
	return i;
}

static void list(struct buffer *text, const char *const names[], const bool named[], bool wanted)
{
	const char *comma = "";

	for (size_t i = 0; names[i]; i++)
		if (named[i] == wanted) {
			buffer_printf(text, "%s%s", comma, names[i]);
			comma = ", ";
		}
}

static void list_needed(struct buffer *text, const char *const names[], const char *const needed[])
{
	const char *comma = "";

	for (size_t i = 0; names[i]; i++)
		if (needed[i]) {
			buffer_printf(text, "%s%s must be %s", comma, names[i], needed[i]);
			comma = ", ";
		}
}

/* What a table has of some columns, in their order; the last one stands for all others. */
struct columns {
	bool found[CLICKHOUSE_COLUMNS_MAX + 1];
	bool computed[CLICKHOUSE_COLUMNS_MAX + 1];
	const char *needed[CLICKHOUSE_COLUMNS_MAX + 1]; /* NULL: the type fits */
};

/* A column per line: name, type, kind of default, and more. 0, or -EBADMSG when no ClickHouse wrote that. */
static int take_columns(const struct http_answer *http, const char *const names[], bool events,
			struct columns *ret_columns)
{
	struct columns columns = {};
	bool any = false;
	const char *at = http->body, *end = at + http->length;
	struct slice line;

	while (next_line(&at, end, &line)) {
		struct slice name = take_field(&line), type = take_field(&line);
		struct slice kind = take_field(&line);
		size_t i = find_name(names, &name);

		/* The last line of a long answer may be cut off. */
		if (http->truncated && at == end)
			break;
		if (name.length == 0 || type.length == 0)
			return -EBADMSG;
		any = columns.found[i] = true;
		columns.computed[i] = slice_is(&kind, "ALIAS") || slice_is(&kind, "MATERIALIZED");
		if (names[i] && !columns.computed[i])
			columns.needed[i] = clickhouse_type_needed(names[i], events, type.data, type.length);
	}
	if (!any)
		return -EBADMSG;
	*ret_columns = columns;
	return 0;
}

/* What is wrong with them for our rows, which may be nothing. `lacks`: the words for what is missing. */
static void tell_wrong(const struct columns *columns, const char *const names[], const char *lacks,
		       struct buffer *wrong)
{
	bool any_missing = false, any_computed = false, any_misfit = false;

	for (size_t i = 0; names[i]; i++) {
		any_missing |= !columns->found[i];
		any_computed |= columns->computed[i];
		any_misfit |= columns->needed[i] != NULL;
	}
	if (any_missing) {
		buffer_append_text(wrong, lacks);
		list(wrong, names, columns->found, false);
	}
	if (any_computed) {
		buffer_append_text(wrong, wrong->length > 0 ? "; it computes " : "it computes ");
		list(wrong, names, columns->computed, true);
	}
	if (any_misfit) {
		buffer_append_text(wrong, wrong->length > 0 ? "; these hold" : "these hold");
		buffer_append_text(wrong, " not all our values: ");
		list_needed(wrong, names, columns->needed);
	}
}

/* Which details the table of flows has no place for. */
static void judge_details(struct clickhouse_server *server, const struct http_answer *http)
{
	_cleanup_buffer_ struct buffer wrong = {}, table = {};
	bool any_missing = false, any_misfit = false;
	struct columns columns = {};

	(void)take_columns(http, clickhouse_detail_columns, false, &columns);
	for (size_t i = 0; clickhouse_detail_columns[i]; i++) {
		server->lacks[i] = !columns.found[i] || columns.computed[i] || columns.needed[i];
		any_missing |= !columns.found[i];
		any_misfit |= columns.found[i] && server->lacks[i];
	}
	tell_wrong(&columns, clickhouse_detail_columns, "lacks columns ", &wrong);
	clickhouse_query_table_text(&table, server->config, "");
	server->lacking[0] = '\0';
	if (wrong.length > 0)
		snprintf(server->lacking, sizeof(server->lacking),
			 "table %.*s %s%.*s: %srun the migration in packaging/clickhouse; until then these "
			 "details are left out",
			 (int)table.length, table.length > 0 ? table.data : "",
			 any_missing ? "" : "has no place for details: ", (int)wrong.length, wrong.data,
			 any_misfit ? "rename these columns and " : "");
}

static void not_clickhouse(const struct http_answer *http, struct answer *answer)
{
	answer->verdict = VERDICT_MISCONFIGURED;
	http_answer_advise(http, CLICKHOUSE_NOT, NULL, answer);
}

/* Whether the table has all columns that it must have, each open to values. */
static void judge_columns(struct clickhouse_server *server, const struct http_answer *http,
			  struct answer *answer)
{
	const char *const *names =
		server->next == CLICKHOUSE_ASK_EVENTS ? clickhouse_event_columns : clickhouse_flow_columns;
	_cleanup_buffer_ struct buffer wrong = {}, table = {};
	struct columns columns;

	if (take_columns(http, names, server->next == CLICKHOUSE_ASK_EVENTS, &columns) < 0) {
		not_clickhouse(http, answer);
		return;
	}
	/* What lies beyond is unknown; the insert names its columns, and the server says if one is missing.
	 */
	for (size_t i = 0; http->truncated && names[i]; i++)
		columns.found[i] = true;
	tell_wrong(&columns, names, "it has no column ", &wrong);
	if (server->next == CLICKHOUSE_ASK_FLOWS)
		judge_details(server, http);
	if (wrong.length == 0 && buffer_error(&wrong) == 0) {
		server->next++;
		return;
	}
	clickhouse_query_table_text(&table, server->config, suffix_of(server->next));
	answer->verdict = VERDICT_MISCONFIGURED;
	snprintf(answer->text, sizeof(answer->text),
		 "table %.*s does not fit: %.*s (the schema is in packaging/clickhouse)", (int)table.length,
		 table.length > 0 ? table.data : "", (int)wrong.length, wrong.length > 0 ? wrong.data : "");
}

/* Whether the same question may be answered when it is put in another way, which is noted. */
static bool ask_otherwise(struct clickhouse_server *server, const struct http_answer *http)
{
	if (!server->plain && clickhouse_refuses_settings(http))
		server->plain = true;
	else if (!server->post && clickhouse_refuses_get(http))
		server->post = true;
	else
		return false;
	return true;
}

void clickhouse_server_take(struct clickhouse_server *server, const struct http_answer *http,
			    struct answer *ret_answer)
{
	_cleanup_buffer_ struct buffer query = {};

	if (server->next == CLICKHOUSE_ASK_SETTINGS) {
		buffer_append_text(&query, "SELECT FROM system.settings");
	} else {
		buffer_append_text(&query, "DESCRIBE TABLE ");
		clickhouse_query_table_text(&query, server->config, suffix_of(server->next));
	}
	buffer_append_char(&query, '\0');
	clickhouse_judge_question(http, buffer_error(&query) == 0 ? query.data : "", ret_answer);
	if (ask_otherwise(server, http)) {
		ret_answer->verdict = VERDICT_DELIVERED;
		return;
	}
	if (ret_answer->verdict != VERDICT_DELIVERED)
		return;
	if (server->next != CLICKHOUSE_ASK_SETTINGS)
		judge_columns(server, http, ret_answer);
	else if (http->status == 200 && take_settings(server, http))
		server->next++;
	else
		not_clickhouse(http, ret_answer);
}
