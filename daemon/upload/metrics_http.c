/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The metrics port. The uploader serves it, so that the process with capabilities has no network connection.
 * Until the daemon has sent a text the answer is 503: no figures are better than zeros.
 *
 * Anyone who can reach the port can open connections, and must not starve the delivery of messages. So there
 * are few at a time, fewer still where descriptors are short, the oldest makes room for the next, none lives
 * long, and they are accepted at a limited rate. (libevent's HTTP server has none of this: it accepts every
 * connection, and logs each failure.)
 */

#include "daemon/upload/metrics_http.h"

#include "common/address.h"
#include "common/cleanup.h"
#include "common/descriptors.h"
#include "common/log.h"
#include "common/plural.h"
#include "common/time_text.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 32
#define REQUEST_MAX	8192
#define SURPLUS_MAX	(16 << 20) /* bytes after the request that are read */
/* From the connection to the last byte of the answer. */
#define LIFETIME (10 * NSEC_PER_SEC)
/* One turn of the loop accepts this many, then pauses. */
#define ACCEPTS_A_TURN 16
#define TURN_PAUSE_MS  20
/* After an error (mostly: no descriptors left), since the connection still waits and would wake the loop at
 * once. */
#define ERROR_PAUSE_MS 100
#define LOG_INTERVAL   (60 * NSEC_PER_SEC)

struct connection {
	struct metrics_http *metrics;
	struct bufferevent *stream;
	int64_t deadline; /* boot time */
	bool answered;
	bool ended;	/* the client sends no more */
	size_t surplus; /* bytes after the request */
	TAILQ_ENTRY(connection) entry;
};

struct metrics_http {
	struct event_base *base;
	int fd;
	struct event *accept_event;
	struct event *pause_event;			 /* resumes accepting */
	struct event *deadline_event;			 /* the oldest connection's */
	TAILQ_HEAD(connections, connection) connections; /* the oldest first */
	size_t n_connections;
	char *text;

	uint64_t dropped; /* without an answer */
	uint64_t accept_errors;
	int64_t logged_at; /* boot time; 0: never */
};

/* At most once a minute; the counters tell the rest. */
static void warn(struct metrics_http *metrics, const char *what)
{
	int64_t now = time_now_boot();

	if (metrics->logged_at != 0 && now - metrics->logged_at < LOG_INTERVAL)
		return;
	metrics->logged_at = now;
	log_warning("metrics port: %s (%" PRIu64 " %s dropped without an answer, %" PRIu64
		    " could not be accepted)",
		    what, metrics->dropped, plural(metrics->dropped, "connection", "connections"),
		    metrics->accept_errors);
}

/* ---- connections ---- */

static void connection_free(struct connection *connection)
{
	struct metrics_http *metrics = connection->metrics;

	TAILQ_REMOVE(&metrics->connections, connection, entry);
	metrics->n_connections--;
	bufferevent_free(connection->stream);
	free(connection);
}

static void set_deadline(struct metrics_http *metrics)
{
	const struct connection *oldest = TAILQ_FIRST(&metrics->connections);
	struct timeval timeout;
	int64_t left;

	if (!oldest) {
		event_del(metrics->deadline_event);
		return;
	}
	left = MAX(oldest->deadline - time_now_boot(), INT64_C(0));
	timeout = (struct timeval){.tv_sec = left / NSEC_PER_SEC,
				   .tv_usec = left % NSEC_PER_SEC / NSEC_PER_USEC};
	event_add(metrics->deadline_event, &timeout);
}

static void on_deadline(evutil_socket_t fd, short what, void *userdata)
{
	struct metrics_http *metrics = userdata;
	struct connection *oldest;
	int64_t now = time_now_boot();

	(void)fd;
	(void)what;
	while ((oldest = TAILQ_FIRST(&metrics->connections)) && oldest->deadline <= now + NSEC_PER_MSEC) {
		/* The kernel must not keep what it has not taken by now. */
		const struct linger none = {.l_onoff = 1};

		if (!oldest->answered) {
			metrics->dropped++;
			warn(metrics, "a client sent no request in time");
		}
		(void)setsockopt(bufferevent_getfd(oldest->stream), SOL_SOCKET, SO_LINGER, &none,
				 sizeof(none));
		connection_free(oldest);
	}
	set_deadline(metrics);
}

int metrics_http_judge(const char *head, size_t n, bool *ret_head)
{
	static const char path[] = "/metrics";
	const char *end = memchr(head, '\n', n), *target, *version;
	size_t length;

	/* Also of a request that is refused: a body would be taken for the next answer (RFC 9110, 9.3.2). */
	*ret_head = n >= 5 && memcmp(head, "HEAD ", 5) == 0;
	if (!end)
		return 400;
	if (end > head && end[-1] == '\r')
		end--;
	target = memchr(head, ' ', (size_t)(end - head));
	if (!target || target == head)
		return 400;
	length = (size_t)(target - head);
	target++;
	version = memchr(target, ' ', (size_t)(end - target));
	if (!version || version == target || end - version < 9 || memcmp(version, " HTTP/1.", 8) != 0)
		return 400;
	if (!*ret_head && (length != 3 || memcmp(head, "GET", 3) != 0))
		return 405;
	length = (size_t)(version - target);
	if (length < sizeof(path) - 1 || memcmp(target, path, sizeof(path) - 1) != 0)
		return 404;
	return length == sizeof(path) - 1 || target[sizeof(path) - 1] == '?' ? 200 : 404;
}

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "No metrics yet";
	default:
		return "Bad Request";
	}
}

/* The whole answer in one piece, or none. */
static int answer(struct connection *connection, int status, bool head)
{
	const struct metrics_http *metrics = connection->metrics;
	struct evbuffer *whole = evbuffer_new(), *body = evbuffer_new();
	int r = whole && body ? 0 : -ENOMEM;

	if (r == 0 && status != 200)
		r = MIN(evbuffer_add_printf(body, "%s\n", reason(status)), 0);
	if (r == 0 && status == 200)
		r = evbuffer_add(body, metrics->text, strlen(metrics->text));
	if (r == 0 && status == 200)
		r = MIN(evbuffer_add_printf(body,
					    "# HELP netlogd_metrics_dropped_total Connections to this port "
					    "that were closed without an answer.\n"
					    "# TYPE netlogd_metrics_dropped_total counter\n"
					    "netlogd_metrics_dropped_total %" PRIu64 "\n"
					    "# HELP netlogd_metrics_accept_errors_total Times that a "
					    "connection to this port could not be accepted.\n"
					    "# TYPE netlogd_metrics_accept_errors_total counter\n"
					    "netlogd_metrics_accept_errors_total %" PRIu64 "\n",
					    metrics->dropped, metrics->accept_errors),
			0);
	if (r == 0)
		r = MIN(evbuffer_add_printf(whole,
					    "HTTP/1.1 %d %s\r\n"
					    "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
					    "Content-Length: %zu\r\n"
					    "%s"
					    "Connection: close\r\n\r\n",
					    status, reason(status), evbuffer_get_length(body),
					    status == 405 ? "Allow: GET, HEAD\r\n" : ""),
			0);
	if (r == 0 && !head)
		r = evbuffer_add_buffer(whole, body);
	if (r == 0)
		r = bufferevent_write_buffer(connection->stream, whole);
	if (whole)
		evbuffer_free(whole);
	if (body)
		evbuffer_free(body);
	connection->answered = r == 0;
	return r;
}

static void on_readable(struct bufferevent *stream, void *userdata)
{
	struct connection *connection = userdata;
	struct evbuffer *input = bufferevent_get_input(stream);
	size_t n = evbuffer_get_length(input);
	struct evbuffer_ptr end;
	const char *data;
	bool head = false;
	int status = 400;

	/*
	 * One request per connection: what follows is dropped. It is read, though not forever: a client that
	 * is still sending would otherwise see a reset instead of the answer (RFC 9112, 9.6).
	 */
	if (connection->answered) {
		evbuffer_drain(input, n);
		connection->surplus += n;
		if (connection->surplus > SURPLUS_MAX)
			connection_free(connection);
		return;
	}
	end = evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_LF);
	if (end.pos != 0)
		end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	if (end.pos < 0)
		end = evbuffer_search(input, "\n\n", 2, NULL);
	if (end.pos < 0 && n < REQUEST_MAX)
		return;
	data = (const char *)evbuffer_pullup(input, -1);
	if (data)
		status = metrics_http_judge(data, n, &head);
	if (end.pos < 0)
		status = 431;
	if (status == 200 && !connection->metrics->text)
		status = 503;
	evbuffer_drain(input, n);
	if (answer(connection, status, head) < 0) {
		connection->metrics->dropped++;
		connection_free(connection);
	}
}

static void on_written(struct bufferevent *stream, void *userdata)
{
	struct connection *connection = userdata;

	if (!connection->answered)
		return;
	/* The client closes once it has read everything: a close here could discard what is still in transit.
	 */
	(void)shutdown(bufferevent_getfd(stream), SHUT_WR);
	if (connection->ended)
		connection_free(connection);
}

static void on_end(struct bufferevent *stream, short what, void *userdata)
{
	struct connection *connection = userdata;

	connection->ended = true;
	if (what & BEV_EVENT_EOF && connection->answered &&
	    evbuffer_get_length(bufferevent_get_output(stream)) > 0)
		return;
	connection_free(connection);
}

/* Takes the descriptor. */
static int connection_new(struct metrics_http *metrics, int fd)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (connection)
		connection->stream = bufferevent_socket_new(metrics->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!connection || !connection->stream) {
		free(connection);
		safe_close(fd);
		return -ENOMEM;
	}
	connection->metrics = metrics;
	connection->deadline = time_now_boot() + LIFETIME;
	TAILQ_INSERT_TAIL(&metrics->connections, connection, entry);
	metrics->n_connections++;
	bufferevent_setcb(connection->stream, on_readable, on_written, on_end, connection);
	bufferevent_setwatermark(connection->stream, EV_READ, 0, REQUEST_MAX);
	bufferevent_enable(connection->stream, EV_READ);
	return 0;
}

/* ---- accepting ---- */

static void pause_accepting(struct metrics_http *metrics, int ms)
{
	struct timeval pause = {.tv_usec = ms * 1000};

	event_del(metrics->accept_event);
	event_add(metrics->pause_event, &pause);
}

static void on_pause_over(evutil_socket_t fd, short what, void *userdata)
{
	struct metrics_http *metrics = userdata;

	(void)fd;
	(void)what;
	if (event_add(metrics->accept_event, NULL) < 0)
		pause_accepting(metrics, ERROR_PAUSE_MS);
}

static void on_accept(evutil_socket_t fd, short what, void *userdata)
{
	struct metrics_http *metrics = userdata;
	struct connection *oldest;

	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client < 0 && errno == EAGAIN) {
			set_deadline(metrics);
			return;
		}
		if (client < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (client < 0) {
			metrics->accept_errors++;
			warn(metrics, strerror(errno));
			set_deadline(metrics);
			pause_accepting(metrics, ERROR_PAUSE_MS);
			return;
		}
		oldest = TAILQ_FIRST(&metrics->connections);
		if (!oldest && descriptor_is_reserved(client)) {
			safe_close(client);
			metrics->dropped++;
			continue;
		}
		if (metrics->n_connections >= CONNECTIONS_MAX || descriptor_is_reserved(client)) {
			if (!oldest->answered) {
				metrics->dropped++;
				warn(metrics, "too many clients that send no request");
			}
			connection_free(oldest);
		}
		if (connection_new(metrics, client) < 0)
			metrics->dropped++;
	}
	set_deadline(metrics);
	pause_accepting(metrics, TURN_PAUSE_MS);
}

/* ---- life ---- */

static int open_listener(const struct endpoint *endpoint, int *ret_fd)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
	bool is_ipv4 = endpoint->address.family == ADDRESS_IPV4;
	const struct sockaddr *address = is_ipv4 ? (struct sockaddr *)&ipv4 : (struct sockaddr *)&ipv6;
	_cleanup_close_ int fd = -1;
	int yes = 1;

	memcpy(&ipv4.sin_addr, endpoint->address.bytes, sizeof(ipv4.sin_addr));
	memcpy(&ipv6.sin6_addr, endpoint->address.bytes, sizeof(ipv6.sin6_addr));
	fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Connections left over from the last run must not prevent listening. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 ||
	    bind(fd, address, is_ipv4 ? sizeof(ipv4) : sizeof(ipv6)) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

DEFINE_CLEANUP(struct metrics_http *, metrics_http_free);

int metrics_http_new(struct event_base *base, const char *listen, struct metrics_http **ret_metrics)
{
	_cleanup_(metrics_http_freep) struct metrics_http *metrics = NULL;
	struct endpoint endpoint;
	int r;

	if (endpoint_parse(listen, &endpoint) < 0 || endpoint.address.family == ADDRESS_NONE)
		return -EINVAL;
	metrics = calloc(1, sizeof(*metrics));
	if (!metrics)
		return -ENOMEM;
	metrics->base = base;
	metrics->fd = -1;
	TAILQ_INIT(&metrics->connections);
	r = open_listener(&endpoint, &metrics->fd);
	if (r < 0)
		return r;
	metrics->accept_event = event_new(base, metrics->fd, EV_READ | EV_PERSIST, on_accept, metrics);
	metrics->pause_event = evtimer_new(base, on_pause_over, metrics);
	metrics->deadline_event = evtimer_new(base, on_deadline, metrics);
	if (!metrics->accept_event || !metrics->pause_event || !metrics->deadline_event ||
	    event_add(metrics->accept_event, NULL) < 0)
		return -ENOMEM;
	*ret_metrics = TAKE_PTR(metrics);
	return 0;
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

void metrics_http_free(struct metrics_http *metrics)
{
	if (!metrics)
		return;
	while (!TAILQ_EMPTY(&metrics->connections))
		connection_free(TAILQ_FIRST(&metrics->connections));
	free_event(metrics->accept_event);
	free_event(metrics->pause_event);
	free_event(metrics->deadline_event);
	safe_close(metrics->fd);
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
