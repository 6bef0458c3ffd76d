/*
 * The metrics port. It is the uploader that serves it, so that the process with capabilities has no network
 * connection. Until the collector has sent a text the answer is 503: no figures are better than zeros.
 */

#include "daemon/upload/metrics_http.h"

#include "common/address.h"
#include "common/cleanup.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <string.h>

/* A scraper that is silent this long is not waited for. */
#define TIMEOUT_SECONDS	    15
#define REQUEST_BODY_MAX    0
#define REQUEST_HEADERS_MAX (16 * 1024)

struct metrics_http {
	struct evhttp *http;
	char *text;
};

static void on_metrics(struct evhttp_request *request, void *userdata)
{
	struct metrics_http *metrics = userdata;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	struct evbuffer *body;

	if (!metrics->text) {
		evhttp_send_error(request, HTTP_SERVUNAVAIL, "No metrics yet");
		return;
	}
	body = evbuffer_new();
	if (!body || evbuffer_add(body, metrics->text, strlen(metrics->text)) < 0) {
		evhttp_send_error(request, HTTP_INTERNAL, NULL);
	} else {
		evhttp_add_header(headers, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
		evhttp_send_reply(request, HTTP_OK, "OK", body);
	}
	if (body)
		evbuffer_free(body);
}

int metrics_http_new(struct event_base *base, const char *listen, struct metrics_http **ret_metrics)
{
	char address[ADDRESS_TEXT_MAX];
	struct metrics_http *metrics;
	struct endpoint endpoint;
	int r;

	if (endpoint_parse(listen, &endpoint) < 0 || endpoint.address.family == ADDRESS_NONE)
		return -EINVAL;
	address_format(&endpoint.address, address);
	metrics = calloc(1, sizeof(*metrics));
	if (!metrics)
		return -ENOMEM;
	metrics->http = evhttp_new(base);
	if (!metrics->http) {
		free(metrics);
		return -ENOMEM;
	}
	evhttp_set_timeout(metrics->http, TIMEOUT_SECONDS);
	evhttp_set_max_headers_size(metrics->http, REQUEST_HEADERS_MAX);
	evhttp_set_max_body_size(metrics->http, REQUEST_BODY_MAX);
	evhttp_set_allowed_methods(metrics->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_cb(metrics->http, "/metrics", on_metrics, metrics);
	errno = 0;
	if (!evhttp_bind_socket_with_handle(metrics->http, address, endpoint.port)) {
		r = errno ? -errno : -EADDRNOTAVAIL;
		metrics_http_free(metrics);
		return r;
	}
	*ret_metrics = metrics;
	return 0;
}

void metrics_http_free(struct metrics_http *metrics)
{
	if (!metrics)
		return;
	evhttp_free(metrics->http);
	free(metrics->text);
	free(metrics);
}

void metrics_http_set_text(struct metrics_http *metrics, const char *text)
{
	char *copy;

	if (!metrics)
		return;
	copy = strdup(text);
	if (!copy)
		return;
	free(metrics->text);
	metrics->text = copy;
}
