/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ClickHouse sink: rows over the HTTP interface, as JSONEachRow. A batch is at most two inserts: its
 * events and its flows, each into a table of its own. The part that was accepted is not sent again as long as
 * the process lives; after that the rows' keys identify duplicates.
 *
 * Building a batch takes about half the time that the server needs to accept it, so the next one is built
 * while one is under way.
 *
 * Before the first insert, and again after a while or when something has changed, the server is asked what it
 * is, which settings it knows (an unknown one would make it refuse everything) and which columns its tables
 * have (clickhouse_server.h). Inserts go only to addresses that have answered these questions; where a proxy
 * removes the headers of a ClickHouse, an empty 200 could come from anything, so they go only over the
 * connection that the questions were answered on, or right after them where each connection is closed.
 */

#include "common/buffer.h"
#include "common/log.h"
#include "common/time_text.h"
#include "daemon/upload/credentials/credentials.h"
#include "daemon/upload/http/compressor.h"
#include "daemon/upload/http/http.h"
#include "daemon/upload/kinds/clickhouse_answer.h"
#include "daemon/upload/kinds/clickhouse_query.h"
#include "daemon/upload/kinds/clickhouse_rows.h"
#include "daemon/upload/kinds/clickhouse_server.h"
#include "daemon/upload/kinds/kinds.h"
#include "daemon/upload/sink/sink.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EXCEPTION_HEADER "X-ClickHouse-Exception-Code"
/* Every answer has headers of that name, at least since 2018. */
#define MARK "X-ClickHouse-"
/* Questions for one try, when each connection leads to another address. */
#define ASKED_MAX 24
/* Connections that were closed after a question, in one try: this server, or the proxy, closes each. */
#define CLOSED_MAX 2
/* Nothing is built beside a larger body (usually one that is not compressed). */
#define AHEAD_BODY_MAX (4 * 1024 * 1024)
/* With a partition per day, an insert into more than 100 is refused (max_partitions_per_insert_block). */
#define BATCH_SPAN_MAX (INT64_C(30) * 86400 * NSEC_PER_SEC)

enum part { PART_EVENTS, PART_FLOWS, N_PARTS };

struct batch {
	struct compressor *bodies[N_PARTS];
	uint64_t n_rows[N_PARTS];
	bool has_details;
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

	struct clickhouse_server server;
	bool outdated;	      /* to be asked again before the next batch */
	bool was_asked;	      /* once at least: knows_tokens means something */
	unsigned int n_asked; /* questions for this try */
	unsigned int n_moved; /* requests of this try that came to an address or connection without trust */
	bool closes;	      /* connections last for one answer, so they can't be trusted for the next */
};

/* ---- sending ---- */

static const char *suffix_of(enum part part)
{
	return part == PART_EVENTS ? CLICKHOUSE_EVENTS_SUFFIX : "";
}

static void make_insert_url(struct clickhouse *clickhouse, struct buffer *url)
{
	const struct sink_config *config = clickhouse->context->config;
	const struct batch *batch = clickhouse->sent;
	const struct compressor *body = batch->bodies[batch->part];
	const char *const *names =
		batch->part == PART_EVENTS ? clickhouse_event_columns : clickhouse_flow_columns;
	_cleanup_buffer_ struct buffer query = {};

	buffer_append_text(&query, "INSERT INTO ");
	clickhouse_query_table(&query, config, suffix_of(batch->part));
	/* By name: a column that the table has lost since is an error then, and not skipped. */
	for (size_t i = 0; names[i]; i++)
		buffer_printf(&query, "%s`%s`", i == 0 ? " (" : ", ", names[i]);
	for (size_t i = 0; batch->part == PART_FLOWS && clickhouse_detail_columns[i]; i++)
		if (!clickhouse->server.lacks[i])
			buffer_printf(&query, ", `%s`", clickhouse_detail_columns[i]);
	buffer_append_text(&query, ") FORMAT JSONEachRow");
	clickhouse_query_url(url, config, &query);
	clickhouse_server_append_settings(&clickhouse->server, url);
	/* With the checksum: other bytes with the same token would be taken for a duplicate, and lost. */
	if (clickhouse->server.knows_tokens)
		buffer_printf(url, "&insert_deduplication_token=%s-%" PRIu64 "-%" PRIu64 "-%08" PRIx32,
			      batch->bounds.spool_id, batch->bounds.first, batch->bounds.last,
			      compressor_crc(body));
}

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

/* What answered last may not be what it was: nothing is sent before it has proved itself again. */
static void forget_server(struct clickhouse *clickhouse)
{
	clickhouse_server_forget(&clickhouse->server);
	http_client_distrust(clickhouse->http);
}

/* The connection, or its address, has not proved to lead to a ClickHouse, and nothing was sent. */
static void ask_again(struct clickhouse *clickhouse)
{
	struct answer answer = {.verdict = VERDICT_RETRY, .retry_after = -1};

	clickhouse_server_forget(&clickhouse->server);
	clickhouse->closes |= ++clickhouse->n_moved >= CLOSED_MAX;
	if (clickhouse->n_asked < ASKED_MAX) {
		send_next(clickhouse);
		return;
	}
	snprintf(answer.text, sizeof(answer.text), "each connection leads to another address");
	answer_with(clickhouse, &answer);
}

static void on_asked(const struct http_answer *http, void *userdata)
{
	struct clickhouse *clickhouse = userdata;
	struct clickhouse_server *server = &clickhouse->server;
	bool is_first = server->next == CLICKHOUSE_ASK_SETTINGS;
	struct answer answer;

	if (http->untrusted) {
		ask_again(clickhouse);
		return;
	}
	clickhouse_server_take(server, http, &answer);
	if (answer.verdict == VERDICT_DELIVERED) {
		if (is_first && server->next != CLICKHOUSE_ASK_SETTINGS)
			http_client_trust(clickhouse->http, server->has_mark || clickhouse->closes
								    ? HTTP_TRUST_ADDRESS
								    : HTTP_TRUST_CONNECTION);
		if (server->next == CLICKHOUSE_ASKED && !server->lacking[0])
			sink_warn(clickhouse->context->sink, "");
		send_next(clickhouse);
		return;
	}
	forget_server(clickhouse);
	answer_with(clickhouse, &answer);
}

static void on_inserted(const struct http_answer *http, void *userdata)
{
	struct clickhouse *clickhouse = userdata;
	const struct clickhouse_server *server = &clickhouse->server;
	_cleanup_buffer_ struct buffer query = {};
	struct answer answer;

	if (http->untrusted) {
		ask_again(clickhouse);
		return;
	}
	buffer_append_text(&query, "INSERT INTO ");
	clickhouse_query_table_text(&query, clickhouse->context->config, suffix_of(clickhouse->sent->part));
	buffer_append_char(&query, '\0');
	clickhouse->wire_bytes += http->wire_bytes;
	clickhouse_judge_insert(http, buffer_error(&query) == 0 ? query.data : "", server->has_mark, &answer);
	if (answer.verdict == VERDICT_DELIVERED) {
		if (clickhouse->sent->part == PART_FLOWS && clickhouse->sent->has_details)
			sink_warn(clickhouse->context->sink, server->lacking);
		clickhouse->sent->part++;
		send_next(clickhouse);
		return;
	}
	if (answer.verdict == VERDICT_MISCONFIGURED || http->curl_code != CURLE_OK || !http->marked)
		forget_server(clickhouse);
	/* The table may have changed since it was asked for: what is wrong with it is told better by that. */
	if (answer.verdict == VERDICT_MISCONFIGURED && clickhouse->n_asked == 0) {
		send_next(clickhouse);
		return;
	}
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
	struct http_request http = {
		.url = url->data,
		.trusted_only = body || clickhouse->server.next != CLICKHOUSE_ASK_SETTINGS,
		.headers = headers,
	};

	if (buffer_error(url) < 0)
		return buffer_error(url);
	if (body) {
		headers[1] = encodings[compressor_method(body)];
		http.body = compressor_body(body)->data;
		http.length = compressor_body(body)->length;
	} else if (clickhouse->server.post) {
		http.body = "";
	}
	http_client_send(clickhouse->http, &http, body ? on_inserted : on_asked, clickhouse);
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
	return !clickhouse->was_asked || clickhouse->server.knows_tokens ? COMPRESSED_ZSTD : COMPRESSED_GZIP;
}

/* Does what the batch needs next: a question to the server, an insert, or the answer that it is delivered. */
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
	if (!clickhouse_server_is_known(&clickhouse->server)) {
		clickhouse_server_ask(&clickhouse->server, &url);
		clickhouse->n_asked++;
		body = NULL;
	} else {
		clickhouse->was_asked = true;
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
	clickhouse->n_asked = clickhouse->n_moved = 0;
	/* No trust in a connection is possible: the proof has to come right before. */
	if (clickhouse->outdated || (clickhouse->closes && !clickhouse->server.has_mark))
		forget_server(clickhouse);
	clickhouse->outdated = false;
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
	batch->finished = batch->has_details = false;
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
	batch->has_details |= rows->has_details;
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

/* A migrated table need not wait for the next time that it is asked about. Not while questions are under way.
 */
static void clickhouse_reopen(void *state)
{
	struct clickhouse *clickhouse = state;

	clickhouse->outdated = true;
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
	clickhouse_server_deinit(&clickhouse->server);
	free(clickhouse);
}

static int clickhouse_new(const struct sink_context *context, void **ret_state)
{
	struct clickhouse *clickhouse = calloc(1, sizeof(*clickhouse));
	int r;

	if (!clickhouse)
		return -ENOMEM;
	clickhouse->context = context;
	r = clickhouse_server_init(&clickhouse->server, context->config, context->clock);
	clickhouse->made = clickhouse->sent = &clickhouse->batches[0];
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(clickhouse->batches) * N_PARTS; i++)
		r = compressor_new(&clickhouse->batches[i / N_PARTS].bodies[i % N_PARTS]);
	if (r == 0)
		r = http_client_new(context, EXCEPTION_HEADER, MARK, &clickhouse->http);
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
	.reopen = clickhouse_reopen,
};
