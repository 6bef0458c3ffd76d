/* SPDX-License-Identifier: BSD-3-Clause */
/* Talking to the daemon: where it is, what it answers, and what an operator can do when it does not. */

#include "control/daemon_call.h"

#include "common/config/load.h"
#include "control/ctl.h"
#include "control/varlink/client.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define INTERFACE "org.netlogd.control."
#define SERVICE	  "org.varlink.service."

/* Whether the daemon at the other end runs with this configuration file. */
static bool runs_with(struct varlink_client *client, const char *file)
{
	_cleanup_free_ char *error = NULL;
	json_auto_t *reply = NULL;
	struct stat ours, its;

	if (varlink_client_call(client, INTERFACE "Status", NULL, CTL_CALL_TIMEOUT_MS, &reply, &error) < 0 ||
	    error)
		return false;
	return stat(file, &ours) == 0 &&
	       stat(json_text(json_object_get(reply, "status"), "configurationFile"), &its) == 0 &&
	       ours.st_dev == its.st_dev && ours.st_ino == its.st_ino;
}

/*
 * Nobody listens at the socket that the file names. The file may have changed since the daemon's start, and
 * it is the daemon that has to say so: it is looked for where the packaged units have it. Another tunnel's
 * daemon is not taken for it. Returns 0 or -ENOENT.
 */
static int find_daemon(struct ctl *ctl, const char *named, struct varlink_client **ret_client)
{
	const char *slash = strrchr(ctl->config, '/'), *name = slash ? slash + 1 : ctl->config;
	const char *dot = strrchr(name, '.');
	char instance[256];
	const char *const places[] = {CTL_DEFAULT_SOCKET, instance};

	snprintf(instance, sizeof(instance), "/run/netlogd@%.*s/control.sock", (int)(dot ? dot - name : 0),
		 name);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_(varlink_client_freep) struct varlink_client *client = NULL;

		if (strcmp(places[i], named) == 0 ||
		    varlink_client_connect(places[i], CTL_CALL_TIMEOUT_MS, &client) < 0 ||
		    !runs_with(client, ctl->config))
			continue;
		ctl_note(ctl,
			 "no daemon answers at %s, which %s names; the one that runs with this file is at %s",
			 named, ctl->config, places[i]);
		*ret_client = TAKE_PTR(client);
		return 0;
	}
	return -ENOENT;
}

/* The socket that the file names. An error elsewhere in it is no reason not to reach the daemon. */
static int configured_socket(struct ctl *ctl, char **ret_path)
{
	_cleanup_(config_error_deinit) struct config_error error = {};
	_cleanup_free_ char *text = NULL;

	if (config_load_control_socket(ctl->config, ret_path, &error) < 0)
		return ctl_config_error(ctl, &error, "");
	text = error.reason ? config_error_text(&error) : NULL;
	if (text)
		ctl_note(ctl, "warning: %s; only control-socket is taken from the file", text);
	return CTL_OK;
}

/* Connects to the given socket; to that of the configuration if only that was given; else to the default. */
static int connect_daemon(struct ctl *ctl, struct varlink_client **ret_client)
{
	_cleanup_free_ char *configured = NULL;
	const char *path = ctl->socket;
	int r;

	if (ctl->config_given && !ctl->socket_given) {
		r = configured_socket(ctl, &configured);
		if (r != CTL_OK)
			return r;
		path = configured;
	}
	r = varlink_client_connect(path, CTL_CALL_TIMEOUT_MS, ret_client);
	if ((r == -ENOENT || r == -ECONNREFUSED) && configured && find_daemon(ctl, path, ret_client) >= 0)
		r = 0;
	if (r >= 0)
		return CTL_OK;
	if ((r == -ENOENT || r == -ECONNREFUSED) && configured)
		return ctl_error(
			ctl,
			"no daemon answers at %s, which %s names. Start it with \"systemctl start "
			"netlogd\" or, by hand, \"netlogd --config FILE\"; one that was started before "
			"control-socket changed: --socket with the path that was there",
			path, ctl->config);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return ctl_error(ctl,
				 "no daemon answers at %s. Start it with \"systemctl start netlogd\" or, by "
				 "hand, \"netlogd --config FILE\"; another socket: --socket PATH",
				 path);
	if (r == -EACCES || r == -EPERM)
		return ctl_error(ctl,
				 "no permission to connect to %s: be root or in the daemon's control-group",
				 path);
	if (r == -ETIMEDOUT)
		return ctl_error(ctl, "the daemon at %s does not accept connections (too busy?)", path);
	return ctl_error(ctl, "%s: %s", path, strerror(-r));
}

static bool is_error(const char *error, const char *interface, const char *name)
{
	size_t n = strlen(interface);

	return strncmp(error, interface, n) == 0 && strcmp(error + n, name) == 0;
}

/* The standard errors of Varlink. */
static int service_error(struct ctl *ctl, const char *error, const json_t *parameters)
{
	if (is_error(error, SERVICE, "PermissionDenied"))
		return ctl_error(ctl, "only root, the daemon's user and its operators may do this "
				      "(\"operators\" in the configuration)");
	if (is_error(error, SERVICE, "MethodNotFound") || is_error(error, SERVICE, "MethodNotImplemented"))
		return ctl_error(ctl, "this daemon does not know %s (another version?)",
				 json_text(parameters, "method"));
	if (is_error(error, SERVICE, "InterfaceNotFound"))
		return ctl_error(ctl, "the program at that socket is not netlogd");
	if (is_error(error, SERVICE, "InvalidParameter"))
		return ctl_error(ctl, "the daemon does not accept \"%s\" (another version?)",
				 json_text(parameters, "parameter"));
	return ctl_error(ctl, "the daemon answered with %s", error);
}

static int reply_error(struct ctl *ctl, const char *error, const json_t *parameters)
{
	const char *value = json_text(parameters, "value"), *id = json_text(parameters, "publicId");
	const struct config_error invalid = {
		.file = (char *)json_text(parameters, "file"),
		.line = (unsigned int)json_number(parameters, "line"),
		.reason = (char *)json_text(parameters, "reason"),
	};

	if (is_error(error, INTERFACE, "AlreadyRunning"))
		return ctl_error(ctl, "already running%s%s", *id ? ", for log ID " : "", id);
	if (is_error(error, INTERFACE, "NotRunning"))
		return ctl_error(ctl, "the logger is stopped; \"netlogctl start\" starts it");
	if (is_error(error, INTERFACE, "Stopping"))
		return ctl_error(ctl, "the daemon is stopping");
	if (is_error(error, INTERFACE, "InvalidRoute"))
		return ctl_error(ctl, "\"%s\" is not a prefix (like 10.0.0.0/8 or fd00::1)", value);
	if (is_error(error, INTERFACE, "InvalidNode"))
		return ctl_error(ctl, "invalid node: \"%s\"%s%s", value,
				 *json_text(parameters, "reason") ? " " : "",
				 json_text(parameters, "reason"));
	if (is_error(error, INTERFACE, "DeviceUnavailable"))
		return ctl_error(ctl, "the %s device is not available: %s", json_text(parameters, "device"),
				 json_text(parameters, "reason"));
	if (is_error(error, INTERFACE, "ConfigurationInvalid"))
		return ctl_config_error(ctl, &invalid, "; nothing was changed");
	if (is_error(error, INTERFACE, "Failed"))
		return ctl_error(ctl, "the daemon could not do that: %s", json_text(parameters, "reason"));
	return service_error(ctl, error, parameters);
}

static int call_error(struct ctl *ctl, int error)
{
	if (error == -ETIMEDOUT)
		return ctl_error(ctl, "the daemon does not answer");
	if (error == -ECONNRESET)
		return ctl_error(ctl,
				 "the daemon closed the connection (shutting down, or too many clients?)");
	if (error == -EBADMSG || error == -EMSGSIZE)
		return ctl_error(ctl, "the program at that socket does not speak Varlink");
	return ctl_error(ctl, "%s", strerror(-error));
}

int ctl_call(struct ctl *ctl, const char *method, json_t *parameters, int timeout_ms, json_t **ret_parameters)
{
	_cleanup_(varlink_client_freep) struct varlink_client *client = NULL;
	_cleanup_free_ char *error = NULL;
	char name[128];
	json_t *reply;
	int r;

	r = connect_daemon(ctl, &client);
	if (r != CTL_OK) {
		json_decref(parameters);
		return r;
	}
	snprintf(name, sizeof(name), INTERFACE "%s", method);
	r = varlink_client_call(client, name, parameters, timeout_ms, &reply, &error);
	if (r < 0)
		return call_error(ctl, r);
	if (error) {
		r = reply_error(ctl, error, reply);
		json_decref(reply);
		return r;
	}
	*ret_parameters = reply;
	return CTL_OK;
}

int ctl_stream(struct ctl *ctl, const char *method, int idle_ms,
	       bool (*reply)(json_t *parameters, void *userdata), void *userdata)
{
	_cleanup_(varlink_client_freep) struct varlink_client *client = NULL;
	bool wanted = true, continues = true;
	char name[128];
	int r;

	r = connect_daemon(ctl, &client);
	if (r != CTL_OK)
		return r;
	snprintf(name, sizeof(name), INTERFACE "%s", method);
	r = varlink_client_send(client, name, NULL, true, CTL_CALL_TIMEOUT_MS);
	if (r < 0)
		return call_error(ctl, r);
	while (wanted && continues) {
		_cleanup_free_ char *error = NULL;
		json_auto_t *parameters = NULL;

		r = varlink_client_receive(client, idle_ms, &parameters, &error, &continues);
		if (r < 0 && r != -ETIMEDOUT)
			return call_error(ctl, r);
		if (error)
			return reply_error(ctl, error, parameters);
		wanted = reply(parameters, userdata);
	}
	return CTL_OK;
}

int ctl_list(struct ctl *ctl, const char *method, const char *member, json_t **ret_list)
{
	_cleanup_(varlink_client_freep) struct varlink_client *client = NULL;
	json_auto_t *list = json_array();
	bool continues = true;
	char name[128];
	int r = connect_daemon(ctl, &client);

	if (r != CTL_OK)
		return r;
	snprintf(name, sizeof(name), INTERFACE "%s", method);
	r = varlink_client_send(client, name, NULL, true, CTL_CALL_TIMEOUT_MS);
	while (r >= 0 && continues) {
		_cleanup_free_ char *error = NULL;
		json_auto_t *parameters = NULL;
		json_t *part;

		r = varlink_client_receive(client, CTL_CALL_TIMEOUT_MS, &parameters, &error, &continues);
		if (r < 0)
			break;
		if (error && is_error(error, SERVICE, "MethodNotFound")) {
			*ret_list = NULL;
			return CTL_OK;
		}
		if (error)
			return reply_error(ctl, error, parameters);
		part = json_object_get(parameters, member);
		if (!json_is_array(part))
			return ctl_error(ctl, "the daemon's answer to %s has no \"%s\"", method, member);
		if (json_array_extend(list, part) < 0)
			return ctl_error(ctl, "out of memory");
	}
	if (r < 0)
		return call_error(ctl, r);
	*ret_list = json_incref(list);
	return CTL_OK;
}
