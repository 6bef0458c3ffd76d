/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Before a byte is sent on a new connection, its owner is looked at: the file's, and that of the process
 * which listens, must be root or our own user. Anybody may have put another socket there, if the directory
 * allows it.
 */

#include "daemon/tailscale/api.h"

#include "common/cleanup.h"
#include "common/plain_text.h"
#include "common/unix_socket.h"
#include "daemon/tailscale/form.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* tailscaled accepts requests for no other host (apitype.LocalAPIHost). */
#define HOST	  "http://local-tailscaled.sock"
#define HTTP_OK	  200
#define STATUS_MS 5000L
#define DERP_MS	  500L		    /* readings wait for it */
#define KEPT_MAX  (4 * 1024 * 1024) /* of a buffer between answers */

struct transfer {
	struct api *api;
	enum api_resource resource;
	CURL *easy;
	bool running, too_large;
	struct buffer body;
	char error[CURL_ERROR_SIZE];
	int new_fd; /* of a connection that was not looked at yet; -1: none */
	/* Why there is no connection. */
	enum api_problem problem;
	char reason[160];
};

struct api {
	char *path;
	const struct api_ops *ops;
	void *userdata;
	CURLM *multi;
	struct transfer transfers[N_API_RESOURCES];
	char server[64];
	unsigned int bus_mask;
};

const char *api_problem_name(enum api_problem problem)
{
	static const char *const names[] = {
		[API_FINE] = "fine", [API_ABSENT] = "absent", [API_REFUSED] = "refused",
		[API_SLOW] = "slow", [API_LARGE] = "large",   [API_BROKEN] = "broken",
	};

	return names[problem];
}

/* ---- connecting ------------------------------------------------------------------------------------ */

static void refuse(struct transfer *transfer, enum api_problem problem, const char *what)
{
	transfer->problem = problem;
	snprintf(transfer->reason, sizeof(transfer->reason), "%s", what);
}

static void explain_connect(struct transfer *transfer, int error)
{
	if (error == -ENOENT || error == -ECONNREFUSED)
		refuse(transfer, API_ABSENT, "nothing listens there");
	else if (error == -EACCES || error == -EPERM)
		refuse(transfer, API_REFUSED, "no permission to connect to it");
	/* While its queue is full, connect() fails at once with EAGAIN, which libcurl takes for a connection
	 * in progress: there is no error then. */
	else if (error == -ETIMEDOUT || error == -EAGAIN || error == 0)
		refuse(transfer, API_SLOW, "it does not accept connections in time");
	else
		refuse(transfer, API_BROKEN, strerror(-error));
}

/* Whose the new connection is, and which tailscaled it leads to. 0, -EPERM, or another -errno. */
static int check_owner(struct transfer *transfer)
{
	struct api *api = transfer->api;
	struct unix_peer peer = {};
	struct stat file;
	char what[128];
	uid_t owner;
	int r = unix_socket_check_owner(transfer->new_fd, api->path, &owner);

	if (r == -EPERM) {
		snprintf(what, sizeof(what), "it belongs to user %lu, not to root: anybody may have made it",
			 (unsigned long)owner);
		refuse(transfer, API_REFUSED, what);
	}
	if (r == 0)
		r = stat(api->path, &file) < 0 ? -errno : unix_socket_peer(transfer->new_fd, &peer);
	if (r == 0)
		snprintf(api->server, sizeof(api->server), "%d-%llx-%llu", (int)peer.pid,
			 (unsigned long long)file.st_dev, (unsigned long long)file.st_ino);
	return r;
}

/* Only so that its number is known. */
static curl_socket_t on_open(void *userdata, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *transfer = userdata;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);

	(void)purpose;
	transfer->new_fd = fd;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* Right before the request; also on a connection that was used before. */
static int on_connected(void *userdata, char *remote, char *local, int remote_port, int local_port)
{
	struct transfer *transfer = userdata;
	int r = transfer->new_fd < 0 ? 0 : check_owner(transfer);

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	if (r < 0 && transfer->problem == API_FINE)
		explain_connect(transfer, r);
	transfer->new_fd = -1;
	return r < 0 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* ---- transfers ------------------------------------------------------------------------------------- */

static size_t on_data(char *data, size_t size, size_t n, void *userdata)
{
	struct transfer *transfer = userdata;
	long status = 0;

	size *= n;
	/* What the bus says can be large; that it says something is all that counts. */
	if (transfer->resource == API_BUS) {
		curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status == HTTP_OK && memchr(data, '\n', size))
			transfer->api->ops->told(transfer->api->userdata);
		return size;
	}
	if (transfer->body.length + size > TAILSCALE_ANSWER_MAX) {
		transfer->too_large = true;
		return 0;
	}
	buffer_append(&transfer->body, data, size);
	return buffer_error(&transfer->body) ? 0 : size;
}

static CURLcode set_options(struct transfer *transfer)
{
	static const long limits[] = {[API_STATUS] = STATUS_MS, [API_DERP_MAP] = DERP_MS, [API_BUS] = 0};
	CURL *easy = transfer->easy;
	CURLcode r = curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, transfer->api->path);

	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, limits[transfer->resource]);
	/* No proxy, whatever the environment says. */
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
	if (r == CURLE_OK)
		r = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
	return r;
}

static CURLcode set_url(struct transfer *transfer)
{
	char url[128];

	switch (transfer->resource) {
	case API_STATUS:
		return curl_easy_setopt(transfer->easy, CURLOPT_URL, HOST "/localapi/v0/status");
	case API_DERP_MAP:
		return curl_easy_setopt(transfer->easy, CURLOPT_URL, HOST "/localapi/v0/derpmap");
	default:
		snprintf(url, sizeof(url), HOST "/localapi/v0/watch-ipn-bus?mask=%u",
			 transfer->api->bus_mask);
		return curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
	}
}

void api_set_bus_mask(struct api *api, unsigned int mask)
{
	api->bus_mask = mask;
}

bool api_is_asking(const struct api *api, enum api_resource resource)
{
	return api->transfers[resource].running;
}

int api_ask(struct api *api, enum api_resource resource)
{
	struct transfer *transfer = &api->transfers[resource];

	if (transfer->running)
		return 0;
	buffer_reset(&transfer->body);
	*transfer->error = '\0';
	transfer->too_large = false;
	transfer->problem = API_FINE;
	transfer->new_fd = -1;
	if (set_url(transfer) != CURLE_OK || curl_multi_add_handle(api->multi, transfer->easy) != CURLM_OK)
		return -ENOMEM;
	transfer->running = true;
	return 0;
}

/* What the server said beside an error, in a line. */
static void explain_status(struct transfer *transfer, long status, struct api_answer *answer)
{
	char said[80];
	size_t n = MIN(transfer->body.length, sizeof(said) - 1);

	if (n > 0)
		memcpy(said, transfer->body.data, n);
	said[n] = '\0';
	said[strcspn(said, "\r\n")] = '\0';
	plain_text_clean(said);
	answer->problem = status == 401 || status == 403 ? API_REFUSED : API_BROKEN;
	snprintf(answer->reason, sizeof(answer->reason), "HTTP %ld%s%s", status, *said ? ": " : "", said);
}

static void explain_result(struct transfer *transfer, CURLcode result, struct api_answer *answer)
{
	const char *text = *transfer->error ? transfer->error : curl_easy_strerror(result);
	long error = 0;

	if (result == CURLE_COULDNT_CONNECT && transfer->problem == API_FINE) {
		curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &error);
		explain_connect(transfer, -(int)error);
	}
	answer->problem = API_BROKEN;
	if (transfer->problem != API_FINE) {
		answer->problem = transfer->problem;
		text = transfer->reason;
	} else if (transfer->too_large) {
		answer->problem = API_LARGE;
		text = "its answer is larger than 64 MiB";
	} else if (result == CURLE_OPERATION_TIMEDOUT) {
		answer->problem = API_SLOW;
		text = "no complete answer in time";
	} else if (buffer_error(&transfer->body)) {
		text = "no memory for its answer";
	}
	snprintf(answer->reason, sizeof(answer->reason), "%s", text);
}

static void finish(struct api *api, struct transfer *transfer, CURLcode result)
{
	struct api_answer answer = {.body = &transfer->body};
	long status = 0;

	curl_multi_remove_handle(api->multi, transfer->easy);
	transfer->running = false;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (result != CURLE_OK)
		explain_result(transfer, result, &answer);
	else if (status != HTTP_OK)
		explain_status(transfer, status, &answer);
	api->ops->answered(transfer->resource, &answer, api->userdata);
	if (transfer->body.allocated > KEPT_MAX && !transfer->running)
		buffer_deinit(&transfer->body);
}

/* Lets all go on; true when some have ended. */
static bool perform(struct api *api, int *ret_error)
{
	int running, left;
	CURLMsg *message;
	bool ended = false;

	*ret_error = curl_multi_perform(api->multi, &running) == CURLM_OK ? 0 : -EIO;
	while ((message = curl_multi_info_read(api->multi, &left))) {
		struct transfer *transfer = NULL;
		CURLcode result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
		finish(api, transfer, result);
		ended = true;
	}
	return ended;
}

int api_wait(struct api *api, int fd, int timeout_ms)
{
	struct curl_waitfd extra = {.fd = fd, .events = CURL_WAIT_POLLIN};
	int r;

	if (perform(api, &r) || r < 0)
		return r;
	if (curl_multi_poll(api->multi, &extra, 1, timeout_ms, NULL) != CURLM_OK)
		return -EIO;
	perform(api, &r);
	return r;
}

const char *api_server(const struct api *api)
{
	return api->server;
}

static int make_transfer(struct api *api, enum api_resource resource)
{
	struct transfer *transfer = &api->transfers[resource];

	transfer->api = api;
	transfer->resource = resource;
	transfer->easy = curl_easy_init();
	return transfer->easy && set_options(transfer) == CURLE_OK ? 0 : -ENOMEM;
}

DEFINE_CLEANUP(struct api *, api_free);

int api_new(const char *path, const struct api_ops *ops, void *userdata, struct api **ret_api)
{
	_cleanup_(api_freep) struct api *api = calloc(1, sizeof(*api));
	int r = 0;

	if (!api)
		return -ENOMEM;
	api->ops = ops;
	api->userdata = userdata;
	api->path = strdup(path);
	api->multi = curl_multi_init();
	if (!api->path || !api->multi)
		return -ENOMEM;
	for (int i = 0; r == 0 && i < N_API_RESOURCES; i++)
		r = make_transfer(api, (enum api_resource)i);
	if (r < 0)
		return r;
	*ret_api = TAKE_PTR(api);
	return 0;
}

void api_free(struct api *api)
{
	if (!api)
		return;
	for (size_t i = 0; i < N_API_RESOURCES; i++) {
		struct transfer *transfer = &api->transfers[i];

		if (transfer->running)
			curl_multi_remove_handle(api->multi, transfer->easy);
		curl_easy_cleanup(transfer->easy);
		buffer_deinit(&transfer->body);
	}
	curl_multi_cleanup(api->multi);
	free(api->path);
	free(api);
}
