/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The logtail sink: the protocol of Tailscale's log service. Messages go unchanged, as a JSON array, to a URL
 * that holds the private log ID.
 */

#include "common/buffer.h"
#include "common/cleanup.h"
#include "daemon/upload/credentials/credentials.h"
#include "daemon/upload/credentials/secret.h"
#include "daemon/upload/http/http.h"
#include "daemon/upload/kinds/kinds.h"
#include "daemon/upload/kinds/logtail_answer.h"
#include "daemon/upload/sink/sink.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

/* Bodies up to this size go uncompressed, and larger ones too if compression saves no more than that. */
#define COMPRESS_LARGER_THAN 256
#define COMPRESS_SAVING	     64
#define COMPRESS_LEVEL	     1

struct logtail {
	const struct sink_context *context;
	struct http_client *http;
	struct buffer body; /* "[message,message": the closing bracket is added when it is sent */
	bool complete;
	ZSTD_CCtx *zstd;
	struct buffer compressed;
	bool is_compressed;
};

static int logtail_new(const struct sink_context *context, void **ret_state)
{
	struct logtail *logtail = calloc(1, sizeof(*logtail));
	int r;

	if (!logtail)
		return -ENOMEM;
	logtail->context = context;
	r = http_client_new(context, NULL, NULL, &logtail->http);
	if (r < 0) {
		free(logtail);
		return r;
	}
	*ret_state = logtail;
	return 0;
}

static void logtail_free(void *state)
{
	struct logtail *logtail = state;

	http_client_free(logtail->http);
	ZSTD_freeCCtx(logtail->zstd);
	buffer_deinit(&logtail->body);
	buffer_deinit(&logtail->compressed);
	free(logtail);
}

static void logtail_begin(void *state, const struct batch_bounds *bounds)
{
	struct logtail *logtail = state;

	(void)bounds;
	buffer_reset(&logtail->body);
	logtail->complete = false;
}

static int logtail_add(void *state, const struct batch_item *item)
{
	struct logtail *logtail = state;
	struct buffer *body = &logtail->body;
	size_t before = body->length;
	size_t more = item->message->length + 1 + (item->loss ? item->loss_length + 1 : 0);

	/* With the closing bracket; the comma of the first is the opening one. */
	if (item->index > 0 && before + more + 1 > logtail->context->config->max_batch_size)
		return -E2BIG;
	buffer_append_char(body, before == 0 ? '[' : ',');
	if (item->loss) {
		buffer_append(body, item->loss, item->loss_length);
		buffer_append_char(body, ',');
	}
	buffer_append(body, item->message->data, item->message->length);
	/* Room for the closing bracket: a server would refuse the batch without it. */
	if (buffer_reserve(body, 1))
		return 0;
	buffer_reset(body);
	return -ENOMEM;
}

/* Compresses the body if that is worth it; without memory for it, the body goes uncompressed. */
static void complete(struct logtail *logtail)
{
	struct buffer *body = &logtail->body;
	size_t bound = ZSTD_compressBound(body->length + 1), n;
	char *room;

	if (logtail->complete)
		return;
	buffer_append_char(body, ']');
	logtail->complete = true;
	logtail->is_compressed = false;
	if (body->length <= COMPRESS_LARGER_THAN ||
	    logtail->context->config->compression == SINK_COMPRESSION_NONE)
		return;
	if (!logtail->zstd)
		logtail->zstd = ZSTD_createCCtx();
	buffer_reset(&logtail->compressed);
	room = buffer_reserve(&logtail->compressed, bound);
	if (!logtail->zstd || !room)
		return;
	n = ZSTD_compressCCtx(logtail->zstd, room, bound, body->data, body->length, COMPRESS_LEVEL);
	if (ZSTD_isError(n) || n + COMPRESS_SAVING >= body->length)
		return;
	logtail->compressed.length = n;
	logtail->is_compressed = true;
}

static void on_answer(const struct http_answer *http, void *userdata)
{
	struct logtail *logtail = userdata;
	struct answer answer;

	http_answer_judge(http, &answer);
	if (answer.verdict == VERDICT_DELIVERED && !logtail_is_answer(http->body, http->length)) {
		answer.verdict = VERDICT_MISCONFIGURED;
		http_answer_advise(http, "this is not a log collector (a web page, a portal?): correct url",
				   NULL, &answer);
	}
	sink_answered(logtail->context->sink, &answer, http->wire_bytes);
}

static int make_url(struct logtail *logtail, const struct log_id *public_id, char **ret_url)
{
	_cleanup_(log_identity_wipe) struct log_identity identity = {};
	char private_text[LOG_ID_TEXT_MAX], domain_text[LOG_ID_TEXT_MAX] = "";
	const struct sink_config *config = logtail->context->config;
	size_t n = strlen(config->url);
	int r;

	r = credentials_find(logtail->context->credentials, public_id, &identity);
	if (r < 0)
		return r;
	while (n > 0 && config->url[n - 1] == '/')
		n--;
	log_id_format(&identity.private_id, private_text);
	if (identity.has_domain)
		log_id_format(&identity.domain_private_id, domain_text);
	if (asprintf(ret_url, "%.*s/c/%s/%s%s%s", (int)n, config->url, config->collection, private_text,
		     identity.has_domain ? "?copyId=" : "", domain_text) < 0)
		r = -ENOMEM;
	explicit_bzero(private_text, sizeof(private_text));
	explicit_bzero(domain_text, sizeof(domain_text));
	return r;
}

static void logtail_send(void *state, const struct batch_bounds *bounds)
{
	_cleanup_(wipe_freep) char *url = NULL;
	struct logtail *logtail = state;
	struct http_request request;
	char length_header[64], id[LOG_ID_TEXT_MAX];
	const char *headers[] = {"Content-Type: application/json", NULL, NULL, NULL};
	int r;

	r = make_url(logtail, &bounds->public_id, &url);
	if (r < 0) {
		struct answer answer = {.verdict = answer_classify_error(r), .retry_after = -1};

		/* The public ID is not secret, and needed to find the private one. */
		log_id_format(&bounds->public_id, id);
		snprintf(answer.text, sizeof(answer.text), "no private log ID for %s: %s", id, strerror(-r));
		sink_answered(logtail->context->sink, &answer, 0);
		return;
	}
	complete(logtail);
	request = (struct http_request){
		.url = url,
		.secret_url = true,
		.headers = headers,
		.body = logtail->body.data,
		.length = logtail->body.length,
	};
	if (logtail->is_compressed) {
		snprintf(length_header, sizeof(length_header), "Orig-Content-Length: %zu",
			 logtail->body.length);
		headers[1] = "Content-Encoding: zstd";
		headers[2] = length_header;
		request.body = logtail->compressed.data;
		request.length = logtail->compressed.length;
	}
	http_client_send(logtail->http, &request, on_answer, logtail);
}

const struct sink_ops sink_logtail_ops = {
	.name = "logtail",
	.new = logtail_new,
	.free = logtail_free,
	.begin = logtail_begin,
	.add = logtail_add,
	.send = logtail_send,
};
