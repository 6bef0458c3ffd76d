/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The HTTP client of a sink. Everything about connections and TLS that an operator can set, or must not be
 * able to turn off, is here once for all kinds of sinks.
 */

#include "daemon/upload/http/http.h"

#include "build-config.h"
#include "common/buffer.h"
#include "common/file.h"
#include "common/time_text.h"
#include "daemon/upload/broker/broker.h"
#include "daemon/upload/credentials/secret.h"
#include "daemon/upload/http/answer.h"
#include "daemon/upload/http/curl_loop.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Larger than any bundle of certificates. */
#define CERTIFICATES_SIZE_MAX (4 << 20)
/* Certificates and keys that were read within this time are not read again: a request can follow another
 * faster than that takes. After a failure they are: they may have been read while they were being renewed. */
#define CERTIFICATES_AGE_MAX NSEC_PER_SEC

struct http_client {
	const struct sink_context *context;
	const char *watched_header;
	const char *mark;
	CURL *easy;
	struct curl_transfer transfer;
	bool running;
	bool failed;		   /* the last transfer, for any reason */
	int64_t trusted_since;	   /* boot time; older connections are not reused; 0: all are */
	int64_t certificates_read; /* boot time; 0: they must be read */
	struct curl_slist *headers;
	bool secret; /* the request holds one */
	char *reason;
	const char *encoding;			     /* of the request's body, or NULL */
	bool connected;				     /* the request was about to be sent */
	char address[INET6_ADDRSTRLEN + 8];	     /* and port that the last one went to */
	char connection[2 * (INET6_ADDRSTRLEN + 8)]; /* the same, and our own end */
	char trusted[HTTP_TRUSTED_MAX][2 * (INET6_ADDRSTRLEN + 8)];
	size_t n_trusted; /* ever; the oldest is replaced */
	bool trusted_only, untrusted;

	http_done_fn done;
	void *userdata;
	size_t request_length;

	struct buffer answer;
	bool truncated;
	size_t header_length; /* of all header lines, interim answers and trailers included */
	int64_t retry_after;
	char watched[64];
	bool has_watched;
	bool marked;
	char error[CURL_ERROR_SIZE];
};

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
	struct http_client *client = userdata;
	size_t length = size * n;
	size_t room = HTTP_ANSWER_MAX - client->answer.length;

	buffer_append(&client->answer, data, MIN(length, room));
	if (length <= room)
		return length;
	/* Ends the transfer: a server may never stop sending. */
	client->truncated = true;
	return 0;
}

static const char *header_value(const char *line, size_t n, const char *name, size_t *ret_length)
{
	size_t length = strlen(name);

	if (n <= length || strncasecmp(line, name, length) != 0 || line[length] != ':')
		return NULL;
	line += length + 1;
	n -= length + 1;
	while (n > 0 && (line[0] == ' ' || line[0] == '\t')) {
		line++;
		n--;
	}
	while (n > 0 && strchr("\r\n \t", line[n - 1]))
		n--;
	*ret_length = n;
	return line;
}

static size_t on_header(char *line, size_t size, size_t n, void *userdata)
{
	struct http_client *client = userdata;
	const char *value;
	size_t length;

	/* libcurl keeps every line, and limits neither trailers nor the lines of several answers together. */
	client->header_length += size * n;
	if (client->header_length > HTTP_HEADERS_MAX)
		return 0;
	/* A new status line: headers of interim answers do not count. */
	if (size * n >= 5 && strncmp(line, "HTTP/", 5) == 0) {
		client->retry_after = -1;
		client->has_watched = false;
		client->marked = false;
	}
	if (client->mark && size * n > strlen(client->mark) &&
	    strncasecmp(line, client->mark, strlen(client->mark)) == 0)
		client->marked = true;
	value = header_value(line, size * n, "Retry-After", &length);
	if (value)
		client->retry_after =
			answer_parse_retry_after(value, length, clock_wall(client->context->clock));
	value = client->watched_header ? header_value(line, size * n, client->watched_header, &length) : NULL;
	if (value) {
		snprintf(client->watched, sizeof(client->watched), "%.*s", (int)length, value);
		client->has_watched = true;
	}
	return size * n;
}

static bool is_trusted(const struct http_client *client)
{
	for (size_t i = 0; i < MIN(client->n_trusted, (size_t)HTTP_TRUSTED_MAX); i++)
		if (strcmp(client->trusted[i], client->address) == 0 ||
		    strcmp(client->trusted[i], client->connection) == 0)
			return true;
	return false;
}

/* A connection stands, new or not, and nothing of the request was sent yet. */
static int on_connection(void *userdata, char *remote, char *local, int remote_port, int local_port)
{
	struct http_client *client = userdata;

	snprintf(client->address, sizeof(client->address), "%s %d", remote, remote_port);
	snprintf(client->connection, sizeof(client->connection), "%s %d %s %d", remote, remote_port, local,
		 local_port);
	client->untrusted = client->trusted_only && !is_trusted(client);
	client->connected = !client->untrusted;
	return client->untrusted ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void wipe_headers(struct http_client *client)
{
	for (struct curl_slist *item = client->headers; item; item = item->next)
		explicit_bzero(item->data, strlen(item->data));
	curl_slist_free_all(client->headers);
	client->headers = NULL;
}

/* libcurl knows only blobs, not where they are from. */
static void explain_certificate(struct http_client *client)
{
	const struct sink_config *config = client->context->config;
	const char *key = config->key_file ? config->key_file : config->cert_file;

	free(client->reason);
	if (asprintf(&client->reason, "%s: not a certificate and its unencrypted key in %s",
		     config->cert_file, key == config->cert_file ? "the same file" : key) < 0)
		client->reason = NULL;
}

static void on_done(CURL *easy, CURLcode result, void *userdata)
{
	struct http_client *client = userdata;
	struct http_answer answer = {.retry_after = -1};
	char *redirect = NULL;

	client->running = false;
	client->failed = result != CURLE_OK && !client->untrusted;
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
	curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
	if (client->header_length > HTTP_HEADERS_MAX) {
		result = CURLE_WRITE_ERROR;
		answer.reason = "the answer's headers are longer than 64 KiB";
	} else if (result == CURLE_WRITE_ERROR && client->truncated) {
		result = CURLE_OK;
	} else if (result == CURLE_SSL_CERTPROBLEM && client->context->config->cert_file) {
		explain_certificate(client);
		answer.reason = client->reason;
	}
	answer.curl_code = (int)result;
	answer.retry_after = client->retry_after;
	answer.length = client->answer.length;
	answer.body = answer.length > 0 ? client->answer.data : "";
	answer.watched = client->has_watched ? client->watched : NULL;
	answer.truncated = client->truncated;
	answer.marked = client->marked;
	answer.redirect = redirect;
	answer.encoding = client->encoding;
	answer.connected = client->connected;
	answer.untrusted = client->untrusted;
	answer.wire_bytes = client->request_length;
	answer.error = client->error;
	answer.secret = client->secret;
	wipe_headers(client);
	client->done(&answer, client->userdata);
}

static void set_options(struct http_client *client)
{
	const struct sink_config *config = client->context->config;
	long timeout_ms = (long)(config->timeout / NSEC_PER_MSEC);

	curl_easy_setopt(client->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(client->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(client->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(client->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(client->easy, CURLOPT_TIMEOUT_MS, MAX(timeout_ms, 1L));
	curl_easy_setopt(client->easy, CURLOPT_CONNECTTIMEOUT_MS, MAX(MIN(timeout_ms, 20000L), 1L));
	curl_easy_setopt(client->easy, CURLOPT_USERAGENT, "netlogd/" NETLOGD_VERSION);
	curl_easy_setopt(client->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(client->easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
	curl_easy_setopt(client->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(client->easy, CURLOPT_WRITEDATA, client);
	curl_easy_setopt(client->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(client->easy, CURLOPT_HEADERDATA, client);
	curl_easy_setopt(client->easy, CURLOPT_PREREQFUNCTION, on_connection);
	curl_easy_setopt(client->easy, CURLOPT_PREREQDATA, client);
	curl_easy_setopt(client->easy, CURLOPT_ERRORBUFFER, client->error);
	/* Plain HTTP is for this machine only, so it must not leave it through a proxy. */
	if (strncasecmp(config->url, "http:", 5) == 0)
		curl_easy_setopt(client->easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(client->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(client->easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(client->easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(client->easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	/* Only the authorities of ca-file, not the system's as well. */
	if (config->ca_file)
		curl_easy_setopt(client->easy, CURLOPT_CAPATH, NULL);
}

int http_client_new(const struct sink_context *context, const char *watched_header, const char *mark,
		    struct http_client **ret_client)
{
	struct http_client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	client->context = context;
	client->watched_header = watched_header;
	client->mark = mark;
	client->easy = curl_easy_init();
	client->transfer = (struct curl_transfer){
		.easy = client->easy,
		.limit = context->config->timeout,
		.done = on_done,
		.userdata = client,
	};
	if (!client->easy) {
		free(client);
		return -ENOMEM;
	}
	set_options(client);
	*ret_client = client;
	return 0;
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	http_client_cancel(client);
	curl_easy_cleanup(client->easy);
	wipe_headers(client);
	buffer_deinit(&client->answer);
	free(client->reason);
	free(client);
}

static int add_header(struct http_client *client, const char *line)
{
	struct curl_slist *longer = curl_slist_append(client->headers, line);

	if (!longer)
		return -ENOMEM;
	client->headers = longer;
	return 0;
}

static int explain(struct http_client *client, const char *path, int error)
{
	const char *why = error == -EPERM    ? "users other than its owner can read it (set mode 0600)"
			  : error == -EINVAL ? "it is empty or holds control characters"
					     : strerror(-error);

	free(client->reason);
	if (asprintf(&client->reason, "%s: %s", path, why) < 0)
		client->reason = NULL;
	return error;
}

static int add_secret_header(struct http_client *client, const char *name, const char *path)
{
	_cleanup_(wipe_freep) char *secret = NULL, *line = NULL;
	int r;

	r = secret_read(client->context->broker, path, &secret);
	if (r < 0)
		return explain(client, path, r);
	if (asprintf(&line, "%s%s", name, secret) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	return add_header(client, line);
}

/* User and password: HTTP's basic authentication; ClickHouse has headers for them that need no encoding. */
static int add_password(struct http_client *client)
{
	const struct sink_config *config = client->context->config;
	_cleanup_(wipe_freep) char *password = NULL;
	_cleanup_free_ char *line = NULL;
	int r;

	if (!config->user)
		return 0;
	if (config->type == SINK_TYPE_CLICKHOUSE) {
		if (asprintf(&line, "X-ClickHouse-User: %s", config->user) < 0) {
			line = NULL;
			return -ENOMEM;
		}
		r = add_header(client, line);
		if (r == 0 && config->password_file)
			r = add_secret_header(client, "X-ClickHouse-Key: ", config->password_file);
		return r;
	}
	if (config->password_file) {
		r = secret_read(client->context->broker, config->password_file, &password);
		if (r < 0)
			return explain(client, config->password_file, r);
	}
	curl_easy_setopt(client->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	curl_easy_setopt(client->easy, CURLOPT_USERNAME, config->user);
	curl_easy_setopt(client->easy, CURLOPT_PASSWORD, password ? password : "");
	return 0;
}

/* Whether the request tells the server a secret. Any configured header may be one, and so may any path. */
static bool holds_secret(const struct sink_config *config, const struct http_request *request)
{
	const char *host = strstr(config->url, "://");
	const char *path = host ? strchr(host + 3, '/') : NULL;

	return request->secret_url || config->headers || config->bearer_token_file || config->password_file ||
	       (path && path[1]);
}

static int set_blob(struct http_client *client, CURLoption option, const char *path)
{
	_cleanup_close_ int fd = broker_open_secret(client->context->broker, path);
	struct curl_blob blob = {.flags = CURL_BLOB_COPY};
	_cleanup_free_ char *text = NULL;
	int r;

	r = fd < 0 ? fd : file_read_fd(fd, CERTIFICATES_SIZE_MAX, &text, &blob.len, NULL);
	if (r == 0 && blob.len == 0)
		r = -EINVAL;
	if (r < 0)
		return explain(client, path, r);
	blob.data = text;
	r = curl_easy_setopt(client->easy, option, &blob) == CURLE_OK ? 0 : -ENOMEM;
	explicit_bzero(text, blob.len);
	return r;
}

/* Certificates and keys as they are on disk now. libcurl reuses a connection that was made with the same
 * ones. */
static int set_certificates(struct http_client *client)
{
	const struct sink_config *config = client->context->config;
	int64_t now = clock_boot(client->context->clock);
	int r = 0;

	if (client->certificates_read > 0 && !client->failed &&
	    now - client->certificates_read < CERTIFICATES_AGE_MAX)
		return 0;
	if (config->ca_file)
		r = set_blob(client, CURLOPT_CAINFO_BLOB, config->ca_file);
	if (r == 0 && config->cert_file)
		r = set_blob(client, CURLOPT_SSLCERT_BLOB, config->cert_file);
	if (r == 0 && config->cert_file)
		r = set_blob(client, CURLOPT_SSLKEY_BLOB,
			     config->key_file ? config->key_file : config->cert_file);
	client->certificates_read = r == 0 ? now : 0;
	return r;
}

/* The headers that every request carries, with the credentials as they are on disk now. */
static int make_headers(struct http_client *client, const struct http_request *request)
{
	const struct sink_config *config = client->context->config;
	int r;

	wipe_headers(client);
	/* No wait for a "100 Continue" before the body. */
	r = add_header(client, "Expect:");
	for (size_t i = 0; r == 0 && request->headers && request->headers[i]; i++)
		r = add_header(client, request->headers[i]);
	for (size_t i = 0; r == 0 && config->headers && config->headers[i]; i++)
		r = add_header(client, config->headers[i]);
	if (r == 0 && config->bearer_token_file)
		r = add_secret_header(client, "Authorization: Bearer ", config->bearer_token_file);
	if (r == 0)
		r = add_password(client);
	return r;
}

static void fail(struct http_client *client, int error)
{
	struct http_answer answer = {
		.curl_code = answer_classify_error(error) == VERDICT_RETRY ? CURLE_OUT_OF_MEMORY
									   : CURLE_SSL_CERTPROBLEM,
		.retry_after = -1,
		.body = "",
		.reason = client->reason ? client->reason : strerror(-error),
	};

	client->done(&answer, client->userdata);
}

/*
 * After a failure the next request uses a new connection. libcurl keeps an HTTP/2 connection when only a
 * stream of it has timed out, and would reuse it forever although the server, or a proxy, hangs on that
 * connection alone.
 */
static void choose_connection(struct http_client *client)
{
	int64_t now = clock_boot(client->context->clock);

	if (client->failed)
		client->trusted_since = now;
	curl_easy_setopt(client->easy, CURLOPT_FRESH_CONNECT, client->failed ? 1L : 0L);
	/* In whole seconds; 0 would mean no limit. */
	if (client->trusted_since > 0)
		curl_easy_setopt(client->easy, CURLOPT_MAXLIFETIME_CONN,
				 MAX((long)((now - client->trusted_since) / NSEC_PER_SEC), 1L));
}

static const char *find_encoding(const struct http_request *request)
{
	static const char name[] = "Content-Encoding: ";

	for (size_t i = 0; request->headers && request->headers[i]; i++)
		if (strncmp(request->headers[i], name, strlen(name)) == 0)
			return request->headers[i] + strlen(name);
	return NULL;
}

void http_client_send(struct http_client *client, const struct http_request *request, http_done_fn done,
		      void *userdata)
{
	int r;

	client->done = done;
	client->userdata = userdata;
	client->request_length = request->length;
	client->secret = holds_secret(client->context->config, request);
	buffer_reset(&client->answer);
	client->truncated = false;
	client->header_length = 0;
	client->retry_after = -1;
	client->has_watched = false;
	client->marked = client->connected = client->untrusted = false;
	client->trusted_only = request->trusted_only;
	client->encoding = find_encoding(request);
	client->error[0] = '\0';
	free(TAKE_PTR(client->reason)); /* of an earlier request */
	r = make_headers(client, request);
	if (r == 0)
		r = set_certificates(client);
	if (r < 0) {
		fail(client, r);
		return;
	}
	choose_connection(client);
	/* Checked since it copies the URL: without memory the request would fail as one without a URL. */
	if (curl_easy_setopt(client->easy, CURLOPT_URL, request->url) != CURLE_OK) {
		fail(client, -ENOMEM);
		return;
	}
	curl_easy_setopt(client->easy, CURLOPT_HTTPHEADER, client->headers);
	if (request->body) {
		curl_easy_setopt(client->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(client->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
		curl_easy_setopt(client->easy, CURLOPT_POSTFIELDS, request->body);
	} else {
		curl_easy_setopt(client->easy, CURLOPT_HTTPGET, 1L);
	}
	r = curl_loop_add(client->context->curl, &client->transfer);
	if (r < 0)
		fail(client, r);
	else
		client->running = true;
}

void http_client_cancel(struct http_client *client)
{
	if (!client->running)
		return;
	client->running = false;
	curl_loop_remove(client->context->curl, &client->transfer);
	wipe_headers(client);
}

void http_client_trust(struct http_client *client, enum http_trust trust)
{
	const char *what = trust == HTTP_TRUST_ADDRESS ? client->address : client->connection;
	char *place = client->trusted[client->n_trusted % HTTP_TRUSTED_MAX];

	for (size_t i = 0; i < MIN(client->n_trusted, (size_t)HTTP_TRUSTED_MAX); i++)
		if (strcmp(client->trusted[i], what) == 0)
			return;
	snprintf(place, sizeof(client->trusted[0]), "%s", what);
	client->n_trusted++;
}

void http_client_distrust(struct http_client *client)
{
	client->n_trusted = 0;
}
