/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ClickHouse sink: rows over the HTTP interface, as JSONEachRow. A batch is at most two inserts: its
 * events and its flows, each into a table of its own. The part that was accepted is not sent again as long as
 * the process lives; after that the rows' keys identify duplicates.
 *
 * Building a batch takes about half the time that the server needs to accept it, so the next one is built
 * while one is under way.
 *
 * The server is asked once which settings it knows: an unknown one would make it refuse everything, and they
 * also show what it can read.
 */

#include "common/buffer.h"
#include "common/log.h"
#include "common/time_text.h"
#include "daemon/upload/credentials/credentials.h"
#include "daemon/upload/http/compressor.h"
#include "daemon/upload/http/http.h"
#include "daemon/upload/kinds/clickhouse_answer.h"
#include "daemon/upload/kinds/clickhouse_rows.h"
#include "daemon/upload/kinds/kinds.h"
#include "daemon/upload/sink/sink.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EVENTS_SUFFIX	 "_events"
#define TOKEN_SETTING	 "insert_deduplication_token"
#define EXCEPTION_HEADER "X-ClickHouse-Exception-Code"
#define SETTINGS_MAX	 64
/* Nothing is built beside a larger body (usually one that is not compressed). */
#define AHEAD_BODY_MAX (4 * 1024 * 1024)
/* With a partition per day, an insert into more than 100 is refused (max_partitions_per_insert_block). */
#define BATCH_SPAN_MAX (INT64_C(30) * 86400 * NSEC_PER_SEC)

enum part { PART_EVENTS, PART_FLOWS, N_PARTS };

struct batch {
	struct compressor *bodies[N_PARTS];
	uint64_t n_rows[N_PARTS];
	bool finished;
	enum part part; /* sent next, or under way */
	struct batch_bounds bounds;
	int64_t earliest, latest; /* times of its messages */
};

struct clickhouse {
	const struct sink_context *context;
	struct http_client *http;
	struct clickhouse_rows rows; /* of one message */

	struct batch batches[2];
	struct batch *made; /* the one being filled */
	struct batch *sent; /* the last one sent; the same unless another is built ahead */
	uint64_t wire_bytes;

	bool asked;		   /* the server has answered which settings it knows */
	char *names[SETTINGS_MAX]; /* wanted: "name=value", the user's after ours */
	bool known[SETTINGS_MAX];  /* by the server */
	size_t n_names;
	bool knows_tokens; /* since 22.2; such a server reads zstd too */
};

/* The user's follow and so override ours; but an insert that nobody waits for would lose rows. */
static const char *const own_settings[] = {
	"input_format_skip_unknown_fields=1",
	"wait_for_async_insert=1",
};

/* ---- settings ---- */

static int add_setting(struct clickhouse *clickhouse, const char *setting)
{
	if (clickhouse->n_names == SETTINGS_MAX)
		return 0;
	clickhouse->names[clickhouse->n_names] = strdup(setting);
	if (!clickhouse->names[clickhouse->n_names])
		return -ENOMEM;
	clickhouse->n_names++;
	return 0;
}

static int add_settings(struct clickhouse *clickhouse)
{
	const struct sink_config *config = clickhouse->context->config;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own_settings); i++)
		r = add_setting(clickhouse, own_settings[i]);
	for (size_t i = 0; r == 0 && config->settings && config->settings[i]; i++) {
		if (strcmp(config->settings[i], "wait_for_async_insert=0") == 0)
			log_warning("sink %s: ignoring wait_for_async_insert=0: rows could be lost",
				    config->name);
		else
			r = add_setting(clickhouse, config->settings[i]);
	}
	return r;
}

/* One name per line. */
static void read_known(struct clickhouse *clickhouse, const char *body, size_t n)
{
	const char *end = body + n;

	clickhouse->knows_tokens = false;
	memset(clickhouse->known, 0, sizeof(clickhouse->known));
	while (body < end) {
		const char *newline = memchr(body, '\n', (size_t)(end - body));
		const char *stop = newline ? newline : end;
		size_t length = (size_t)(stop - body);

		if (length == strlen(TOKEN_SETTING) && memcmp(body, TOKEN_SETTING, length) == 0)
			clickhouse->knows_tokens = true;
		for (size_t i = 0; i < clickhouse->n_names; i++) {
			const char *name = clickhouse->names[i];

			if (strncmp(name, body, length) == 0 && name[length] == '=')
				clickhouse->known[i] = true;
		}
		body = stop + 1;
	}
	for (size_t i = ARRAY_SIZE(own_settings); i < clickhouse->n_names; i++)
		if (!clickhouse->known[i])
			log_warning("sink %s: the server does not know the setting %s",
				    clickhouse->context->config->name, clickhouse->names[i]);
	clickhouse->asked = true;
}

/* ---- URLs ---- */

static void append_escaped(struct buffer *url, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-_.~", c)) {
			buffer_append_char(url, (char)c);
		} else {
			buffer_append_char(url, '%');
			buffer_append_char(url, hex[c >> 4]);
			buffer_append_char(url, hex[c & 15]);
		}
	}
}

/* `name`, escaped. */
static void append_identifier(struct buffer *query, const char *name, const char *suffix)
{
	buffer_append_char(query, '`');
	for (; *name; name++) {
		if (*name == '`' || *name == '\\')
			buffer_append_char(query, '\\');
		buffer_append_char(query, *name);
	}
	buffer_append_text(query, suffix);
	buffer_append_char(query, '`');
}

static void begin_url(struct clickhouse *clickhouse, struct buffer *url, struct buffer *query)
{
	const char *base = clickhouse->context->config->url;
	size_t n = strlen(base);

	while (n > 0 && base[n - 1] == '/')
		n--;
	buffer_append_char(query, '\0');
	buffer_append(url, base, n);
	buffer_append_text(url, "/?query=");
	if (buffer_error(query) == 0)
		append_escaped(url, query->data);
}

static void make_settings_url(struct clickhouse *clickhouse, struct buffer *url)
{
	_cleanup_buffer_ struct buffer query = {};

	buffer_append_text(&query, "SELECT name FROM system.settings WHERE name IN ('" TOKEN_SETTING "'");
	for (size_t i = 0; i < clickhouse->n_names; i++) {
		const char *name = clickhouse->names[i];

		buffer_append_text(&query, ",'");
		for (; *name && *name != '='; name++)
			if (*name != '\'' && *name != '\\')
				buffer_append_char(&query, *name);
		buffer_append_char(&query, '\'');
	}
	buffer_append_text(&query, ") FORMAT TabSeparated");
	begin_url(clickhouse, url, &query);
}

static void make_insert_url(struct clickhouse *clickhouse, struct buffer *url)
{
	const struct sink_config *config = clickhouse->context->config;
	const struct batch *batch = clickhouse->sent;
	const struct compressor *body = batch->bodies[batch->part];
	_cleanup_buffer_ struct buffer query = {};

	buffer_append_text(&query, "INSERT INTO ");
	append_identifier(&query, config->database ? config->database : "default", "");
	buffer_append_char(&query, '.');
	append_identifier(&query, config->table, batch->part == PART_EVENTS ? EVENTS_SUFFIX : "");
	buffer_append_text(&query, " FORMAT JSONEachRow");
	begin_url(clickhouse, url, &query);
	for (size_t i = 0; i < clickhouse->n_names; i++) {
		const char *equals = strchr(clickhouse->names[i], '=');

		if (!clickhouse->known[i] || !equals)
			continue;
		buffer_append_char(url, '&');
		buffer_append(url, clickhouse->names[i], (size_t)(equals + 1 - clickhouse->names[i]));
		append_escaped(url, equals + 1);
	}
	/* With the checksum: other bytes with the same token would be taken for a duplicate, and lost. */
	if (clickhouse->knows_tokens)
		buffer_printf(url, "&" TOKEN_SETTING "=%s-%" PRIu64 "-%" PRIu64 "-%08" PRIx32,
			      batch->bounds.spool_id, batch->bounds.first, batch->bounds.last,
			      compressor_crc(body));
}

/* ---- sending ---- */

static void send_next(struct clickhouse *clickhouse);

static void answer_with(struct clickhouse *clickhouse, const struct answer *answer)
{
	sink_answered(clickhouse->context->sink, answer, clickhouse->wire_bytes);
}

static void fail(struct clickhouse *clickhouse, int error)
{
	struct answer answer = {.verdict = VERDICT_RETRY, .retry_after = -1};

	snprintf(answer.text, sizeof(answer.text), "%s", strerror(-error));
	answer_with(clickhouse, &answer);
}

static void on_settings(const struct http_answer *http, void *userdata)
{
	struct clickhouse *clickhouse = userdata;
	struct answer answer;

	clickhouse_judge(http, "SELECT FROM system.settings", &answer);
	if (answer.verdict == VERDICT_DELIVERED) {
		read_known(clickhouse, http->body, http->length);
		send_next(clickhouse);
		return;
	}
	/* A query without rows cannot be refused because of them. */
	if (answer.verdict == VERDICT_REFUSED)
		answer.verdict = VERDICT_MISCONFIGURED;
	answer_with(clickhouse, &answer);
}

static void on_inserted(const struct http_answer *http, void *userdata)
{
	struct clickhouse *clickhouse = userdata;
	const struct sink_config *config = clickhouse->context->config;
	struct answer answer;
	char query[128];

	snprintf(query, sizeof(query), "INSERT INTO %s.%s%s", config->database ? config->database : "default",
		 config->table, clickhouse->sent->part == PART_EVENTS ? EVENTS_SUFFIX : "");
	clickhouse->wire_bytes += http->wire_bytes;
	clickhouse_judge(http, query, &answer);
	if (answer.verdict == VERDICT_DELIVERED) {
		clickhouse->sent->part++;
		send_next(clickhouse);
		return;
	}
	/* It may be another server by now, or an upgraded one. */
	if (answer.verdict == VERDICT_MISCONFIGURED)
		clickhouse->asked = false;
	answer_with(clickhouse, &answer);
}

static int request(struct clickhouse *clickhouse, const struct buffer *url, const struct compressor *body)
{
	static const char *const encodings[] = {
		[COMPRESSED_ZSTD] = "Content-Encoding: zstd",
		[COMPRESSED_GZIP] = "Content-Encoding: gzip",
		[COMPRESSED_NONE] = NULL,
	};
	const char *headers[] = {"Content-Type: application/x-ndjson", NULL, NULL};
	struct http_request http = {.url = url->data, .headers = headers};

	if (buffer_error(url) < 0)
		return buffer_error(url);
	if (body) {
		headers[1] = encodings[compressor_method(body)];
		http.body = compressor_body(body)->data;
		http.length = compressor_body(body)->length;
	}
	http_client_send(clickhouse->http, &http, body ? on_inserted : on_settings, clickhouse);
	return 0;
}

static enum compression wanted_compression(const struct clickhouse *clickhouse)
{
	switch (clickhouse->context->config->compression) {
	case SINK_COMPRESSION_GZIP:
		return COMPRESSED_GZIP;
	case SINK_COMPRESSION_NONE:
		return COMPRESSED_NONE;
	case SINK_COMPRESSION_ZSTD:
		return COMPRESSED_ZSTD;
	case SINK_COMPRESSION_AUTO:
		break;
	}
	return !clickhouse->asked || clickhouse->knows_tokens ? COMPRESSED_ZSTD : COMPRESSED_GZIP;
}

/* Does what the batch needs next: the server's settings, an insert, or the answer that it is delivered. */
static void send_next(struct clickhouse *clickhouse)
{
	_cleanup_buffer_ struct buffer url = {};
	struct answer delivered = {.verdict = VERDICT_DELIVERED, .retry_after = -1};
	struct batch *batch = clickhouse->sent;
	struct compressor *body;
	int r;

	while (batch->part < N_PARTS && batch->n_rows[batch->part] == 0)
		batch->part++;
	if (batch->part == N_PARTS) {
		answer_with(clickhouse, &delivered);
		return;
	}
	body = batch->bodies[batch->part];
	if (!clickhouse->asked) {
		make_settings_url(clickhouse, &url);
		body = NULL;
	} else {
		r = compressor_convert(body, wanted_compression(clickhouse));
		if (r < 0) {
			fail(clickhouse, r);
			return;
		}
		make_insert_url(clickhouse, &url);
	}
	buffer_append_char(&url, '\0');
	r = request(clickhouse, &url, body);
	if (r < 0)
		fail(clickhouse, r);
}

static void clickhouse_send(void *state, const struct batch_bounds *bounds)
{
	struct clickhouse *clickhouse = state;
	struct batch *batch = clickhouse->made;
	int r = 0;

	clickhouse->sent = batch;
	batch->bounds = *bounds;
	clickhouse->wire_bytes = 0;
	for (int i = 0; r == 0 && !batch->finished && i < N_PARTS; i++)
		r = compressor_finish(batch->bodies[i]);
	if (r < 0) {
		fail(clickhouse, r);
		return;
	}
	batch->finished = true;
	send_next(clickhouse);
}

/* ---- batches ---- */

static void clickhouse_begin(void *state, const struct batch_bounds *bounds)
{
	struct clickhouse *clickhouse = state;
	struct batch *batch = clickhouse->made;

	batch->bounds = *bounds;
	batch->finished = false;
	batch->part = PART_EVENTS;
	for (int i = 0; i < N_PARTS; i++) {
		compressor_begin(batch->bodies[i], wanted_compression(clickhouse));
		batch->n_rows[i] = 0;
	}
}

/* Whether the batch is full without this message and its rows. */
static bool is_full(const struct clickhouse *clickhouse, const struct spool_message *message)
{
	const struct sink_config *config = clickhouse->context->config;
	const struct clickhouse_rows *rows = &clickhouse->rows;
	const struct batch *batch = clickhouse->made;
	uint64_t length =
		compressor_length(batch->bodies[PART_FLOWS]) + compressor_length(batch->bodies[PART_EVENTS]);

	return batch->n_rows[PART_FLOWS] + rows->n_flows > config->max_rows ||
	       length + rows->flows.length + rows->events.length > config->max_batch_size ||
	       message->time - batch->earliest > BATCH_SPAN_MAX ||
	       batch->latest - message->time > BATCH_SPAN_MAX;
}

static int clickhouse_add(void *state, const struct batch_item *item)
{
	struct clickhouse *clickhouse = state;
	struct clickhouse_rows *rows = &clickhouse->rows;
	struct batch *batch = clickhouse->made;
	const struct log_id *public_id = &item->message->public_id;
	int64_t time = item->message->time;
	int r;

	if (log_id_is_zero(public_id))
		public_id = &clickhouse->context->credentials->public_id;
	clickhouse_rows_reset(rows);
	r = clickhouse_rows_add(rows, item, batch->bounds.spool_id, public_id);
	if (r < 0)
		return r;
	if (item->index > 0 && is_full(clickhouse, item->message))
		return -E2BIG;
	r = compressor_add(batch->bodies[PART_FLOWS], rows->flows.data, rows->flows.length);
	if (r == 0)
		r = compressor_add(batch->bodies[PART_EVENTS], rows->events.data, rows->events.length);
	if (r < 0)
		return r;
	batch->earliest = item->index > 0 ? MIN(batch->earliest, time) : time;
	batch->latest = item->index > 0 ? MAX(batch->latest, time) : time;
	batch->n_rows[PART_FLOWS] += rows->n_flows;
	batch->n_rows[PART_EVENTS] += rows->n_events;
	return 0;
}

static bool clickhouse_ahead(void *state)
{
	struct clickhouse *clickhouse = state;

	for (int i = 0; i < N_PARTS; i++)
		if (compressor_body(clickhouse->sent->bodies[i])->length > AHEAD_BODY_MAX)
			return false;
	clickhouse->made = &clickhouse->batches[clickhouse->sent == &clickhouse->batches[0]];
	return true;
}

static void clickhouse_back(void *state)
{
	struct clickhouse *clickhouse = state;

	clickhouse->made = clickhouse->sent;
}

/* ---- life ---- */

static void clickhouse_free(void *state)
{
	struct clickhouse *clickhouse = state;

	http_client_free(clickhouse->http);
	for (size_t i = 0; i < ARRAY_SIZE(clickhouse->batches); i++)
		for (int part = 0; part < N_PARTS; part++)
			compressor_free(clickhouse->batches[i].bodies[part]);
	clickhouse_rows_deinit(&clickhouse->rows);
	for (size_t i = 0; i < clickhouse->n_names; i++)
		free(clickhouse->names[i]);
	free(clickhouse);
}

static int clickhouse_new(const struct sink_context *context, void **ret_state)
{
	struct clickhouse *clickhouse = calloc(1, sizeof(*clickhouse));
	int r;

	if (!clickhouse)
		return -ENOMEM;
	clickhouse->context = context;
	r = add_settings(clickhouse);
	clickhouse->made = clickhouse->sent = &clickhouse->batches[0];
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(clickhouse->batches) * N_PARTS; i++)
		r = compressor_new(&clickhouse->batches[i / N_PARTS].bodies[i % N_PARTS]);
	if (r == 0)
		r = http_client_new(context, EXCEPTION_HEADER, &clickhouse->http);
	if (r < 0) {
		clickhouse_free(clickhouse);
		return r;
	}
	*ret_state = clickhouse;
	return 0;
}

const struct sink_ops sink_clickhouse_ops = {
	.name = "clickhouse",
	.new = clickhouse_new,
	.free = clickhouse_free,
	.begin = clickhouse_begin,
	.add = clickhouse_add,
	.send = clickhouse_send,
	.ahead = clickhouse_ahead,
	.back = clickhouse_back,
};
