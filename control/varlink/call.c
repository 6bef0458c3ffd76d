/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks up a request's method, checks its parameters against the interface's description, runs it, and sends
 * the answers.
 */

#include "control/varlink/call.h"

#include "control/varlink/idl.h"
#include "control/varlink/output.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SERVICE		"org.varlink.service"
#define METHOD_NAME_MAX 1024

struct varlink_call {
	unsigned int n_refs;
	struct varlink_connection *client;	   /* NULL: gone, or the call is done */
	const struct varlink_interface *interface; /* never NULL */
	uid_t uid;
	bool more;
	bool oneway;
	void (*closed)(struct varlink_call *call, void *userdata);
	void *userdata;
};

struct varlink_call *varlink_call_ref(struct varlink_call *call)
{
	call->n_refs++;
	return call;
}

static int call_fail(struct varlink_call *call, int error)
{
	char name[256];

	if (error == -EPERM || error == -EACCES) {
		call->client->pool->counters.denied++;
		return varlink_call_error(call, SERVICE ".PermissionDenied", NULL);
	}
	snprintf(name, sizeof(name), "%s.Failed", call->interface->name);
	return varlink_call_error(call, name, json_pack("{ss}", "reason", strerror(-error)));
}

void varlink_call_unref(struct varlink_call *call)
{
	if (!call)
		return;
	assert(call->n_refs > 0);
	/* Only the connection's reference is left, so nobody can answer any more. This also ends the call. */
	if (call->n_refs == 2 && call->client && call->client->call == call) {
		call->n_refs--;
		(void)call_fail(call, -ECANCELED);
		return;
	}
	if (--call->n_refs == 0)
		free(call);
}

bool varlink_call_wants_more(const struct varlink_call *call)
{
	return call->more;
}

bool varlink_call_is_oneway(const struct varlink_call *call)
{
	return call->oneway;
}

bool varlink_call_is_closed(const struct varlink_call *call)
{
	return !call->client;
}

uid_t varlink_call_peer_uid(const struct varlink_call *call)
{
	return call->uid;
}

size_t varlink_call_pending(const struct varlink_call *call)
{
	return call->client ? evbuffer_get_length(call->client->output) : 0;
}

void varlink_call_on_closed(struct varlink_call *call,
			    void (*closed)(struct varlink_call *call, void *userdata), void *userdata)
{
	call->closed = closed;
	call->userdata = userdata;
}

static void drop_call(struct varlink_call *call)
{
	call->client = NULL;
	if (call->closed)
		call->closed(call, call->userdata);
	call->closed = NULL;
	varlink_call_unref(call);
}

static void attach(struct varlink_connection *client, struct varlink_call *call)
{
	client->call = call;
	client->call_more = call->more;
	client->call_oneway = call->oneway;
}

/* Answers. */

/* The call has had its last answer, sent or not: the connection continues with the next request. */
static void call_done(struct varlink_call *call)
{
	struct varlink_connection *client = TAKE_PTR(call->client);

	call->closed = NULL;
	if (client->call == call) /* a stream with a oneway request beside it is not */
		client->call = NULL;
	varlink_connection_wake(client);
	varlink_call_unref(call);
}

/*
 * Sends an answer; an empty message means that memory was short. The last answer ends the call even if it
 * cannot be sent: then the client is disconnected in its next turn. A method is done with a call that it has
 * answered.
 */
static int call_send(struct varlink_call *call, const struct buffer *message, bool last)
{
	struct varlink_connection *client = call->client;
	int r = 0;

	if (!client)
		return -ENOTCONN;
	if (client->doomed)
		r = -ENOTCONN;
	else if (!last && !call->more)
		r = -EINVAL;
	else if (!call->oneway)
		r = message->length > 0 ? varlink_connection_write(client, message) : -ENOMEM;
	/* A client must not wait for ever for an answer that cannot be made. */
	if (last && r == -ENOMEM)
		varlink_connection_close_later(client);
	if (last)
		call_done(call);
	return r;
}

/* Takes the reference to answer. */
static int call_answer(struct varlink_call *call, json_t *answer, bool last)
{
	_cleanup_buffer_ struct buffer message = {};

	if (answer && call->client && !call->oneway)
		(void)varlink_encode(&message, answer); /* stays empty without memory */
	json_decref(answer);
	return call_send(call, &message, last);
}

static json_t *make_answer(const char *error, json_t *parameters, bool continues)
{
	json_t *answer = json_object();

	if (!parameters)
		parameters = json_object();
	if ((error && json_object_set_new(answer, "error", json_string(error)) < 0)) {
		json_decref(parameters);
		goto fail;
	}
	if (json_object_set_new(answer, "parameters", parameters) < 0)
		goto fail;
	if (continues && json_object_set_new(answer, "continues", json_true()) < 0)
		goto fail;
	return answer;
fail:
	json_decref(answer);
	return NULL;
}

int varlink_call_reply(struct varlink_call *call, json_t *parameters)
{
	return call_answer(call, make_answer(NULL, parameters, false), true);
}

int varlink_call_reply_continues(struct varlink_call *call, json_t *parameters)
{
	return call_answer(call, make_answer(NULL, parameters, true), false);
}

int varlink_call_error(struct varlink_call *call, const char *name, json_t *parameters)
{
	return call_answer(call, make_answer(name, parameters, false), true);
}

int varlink_call_invalid_parameter(struct varlink_call *call, const char *parameter)
{
	return varlink_call_error(call, SERVICE ".InvalidParameter",
				  json_pack("{ss}", "parameter", parameter));
}

static int call_answer_text(struct varlink_call *call, const char *parameters, size_t n, bool last)
{
	_cleanup_buffer_ struct buffer message = {};

	if (call->client && !call->oneway) {
		buffer_append_text(&message, "{\"parameters\":");
		buffer_append(&message, parameters, n);
		buffer_append_text(&message, last ? "}" : ",\"continues\":true}");
		buffer_append_char(&message, '\0');
		if (buffer_error(&message) < 0)
			buffer_reset(&message);
	}
	return call_send(call, &message, last);
}

int varlink_call_reply_text(struct varlink_call *call, const char *parameters, size_t n)
{
	return call_answer_text(call, parameters, n, true);
}

int varlink_call_reply_continues_text(struct varlink_call *call, const char *parameters, size_t n)
{
	return call_answer_text(call, parameters, n, false);
}

/* From a request to its method. */

size_t varlink_calls_find_interface(const struct varlink_calls *calls, const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < calls->n_interfaces; i++) {
		const char *known = calls->interfaces[i].interface->name;

		if (strlen(known) == length && memcmp(known, name, length) == 0)
			break;
	}
	return i;
}

int varlink_calls_add_interface(struct varlink_calls *calls, const struct varlink_interface *interface,
				void *userdata)
{
	size_t n = calls->n_interfaces;
	unsigned int line;
	void *interfaces;

	if (varlink_calls_find_interface(calls, interface->name, strlen(interface->name)) < n)
		return -EEXIST;
	if (varlink_idl_check(interface->description, interface->name, &line) < 0)
		return -EINVAL;
	for (size_t i = 0; i < interface->n_methods; i++)
		if (!varlink_idl_has_method(interface->description, interface->methods[i].name))
			return -EINVAL;
	interfaces = reallocarray(calls->interfaces, n + 1, sizeof(*calls->interfaces));
	if (!interfaces)
		return -ENOMEM;
	calls->interfaces = interfaces;
	calls->interfaces[n].interface = interface;
	calls->interfaces[n].userdata = userdata;
	calls->n_interfaces++;
	return 0;
}

bool varlink_call_is_privileged(const struct varlink_call *call)
{
	return call->client && varlink_connection_is_operator(call->client);
}

/* 0 if the method is to run, 1 if the call has been answered with an error. */
static int call_check(struct varlink_call *call, const struct varlink_method *method, const char *method_name,
		      const char *full_name, bool upgrade, json_t *parameters)
{
	const char *description = call->interface->description;
	char wrong[VARLINK_IDL_NAME_MAX];
	const char *error = NULL;

	if (!method && !varlink_idl_has_method(description, method_name))
		error = SERVICE ".MethodNotFound";
	else if (!method || !method->run)
		error = SERVICE ".MethodNotImplemented";
	if (error) {
		(void)varlink_call_error(call, error, json_pack("{ss}", "method", full_name));
		return 1;
	}
	if ((method->flags & VARLINK_PRIVILEGED) && !varlink_call_is_privileged(call)) {
		(void)call_fail(call, -EPERM);
		return 1;
	}
	if (upgrade) {
		/* No method here takes over the connection. */
		(void)varlink_call_invalid_parameter(call, "upgrade");
		return 1;
	}
	if ((method->flags & VARLINK_NEEDS_MORE) && !call->more) {
		(void)varlink_call_error(call, SERVICE ".ExpectedMore", NULL);
		return 1;
	}
	if (varlink_idl_check_parameters(description, method_name, parameters, wrong) < 0) {
		(void)varlink_call_invalid_parameter(call, wrong);
		return 1;
	}
	return 0;
}

static void call_run(struct varlink_call *call, const char *full_name, bool upgrade, json_t *parameters)
{
	const struct varlink_calls *calls = call->client->pool->userdata;
	const char *dot = strrchr(full_name, '.');
	size_t length = dot ? (size_t)(dot - full_name) : strlen(full_name);
	size_t place = varlink_calls_find_interface(calls, full_name, length);
	const struct varlink_method *method = NULL;
	int r;

	if (!dot || place == calls->n_interfaces) {
		(void)varlink_call_error(call, SERVICE ".InterfaceNotFound",
					 json_pack("{ss%}", "interface", full_name, length));
		return;
	}
	call->interface = calls->interfaces[place].interface;
	for (size_t i = 0; i < call->interface->n_methods && !method; i++)
		if (strcmp(call->interface->methods[i].name, dot + 1) == 0)
			method = &call->interface->methods[i];
	if (call_check(call, method, dot + 1, full_name, upgrade, parameters) != 0)
		return;
	r = method->run(call, parameters, calls->interfaces[place].userdata);
	if (r < 0 && call->client)
		(void)call_fail(call, r);
}

/* A flag of a request. 0, or -EBADMSG when it is not a boolean. */
static int get_flag(const json_t *request, const char *name, bool *ret_flag)
{
	const json_t *flag = json_object_get(request, name);

	if (flag && !json_is_boolean(flag) && !json_is_null(flag))
		return -EBADMSG;
	*ret_flag = json_is_true(flag);
	return 0;
}

static int dispatch(struct varlink_connection *client, json_t *request)
{
	const struct varlink_calls *calls = client->pool->userdata;
	json_t *method = json_object_get(request, "method");
	json_t *parameters = json_object_get(request, "parameters");
	bool more, oneway, upgrade;
	struct varlink_call *call;

	if (!json_is_string(method) || json_string_length(method) > METHOD_NAME_MAX ||
	    get_flag(request, "more", &more) < 0 || get_flag(request, "oneway", &oneway) < 0 ||
	    get_flag(request, "upgrade", &upgrade) < 0 ||
	    (parameters && !json_is_object(parameters) && !json_is_null(parameters)))
		return -EBADMSG;
	parameters = json_is_object(parameters) ? json_incref(parameters) : json_object();
	call = calloc(1, sizeof(*call));
	if (!call || !parameters) {
		free(call);
		json_decref(parameters);
		return -ENOMEM;
	}
	client->pool->counters.calls++;
	call->n_refs = 2; /* the connection's, and ours until the method has run */
	call->client = client;
	call->interface = calls->interfaces[0].interface; /* until its own is known */
	call->uid = client->uid;
	call->more = more && !oneway;
	call->oneway = oneway;
	attach(client, call);
	call_run(call, json_string_value(method), upgrade, parameters);
	json_decref(parameters);
	varlink_call_unref(call);
	return 0;
}

/* A call that its method keeps continues without a client. */
static int dispatch_beside(struct varlink_connection *client, json_t *request)
{
	struct varlink_call *stream = varlink_call_ref(TAKE_PTR(client->call));
	int r = dispatch(client, request);

	if (client->call)
		drop_call(TAKE_PTR(client->call));
	/* A method that ended the stream has also dropped the connection's reference to it. */
	if (!varlink_call_is_closed(stream) && client->fd >= 0)
		attach(client, stream);
	else if (!varlink_call_is_closed(stream))
		drop_call(stream);
	varlink_call_unref(stream);
	return r;
}

const struct varlink_connection_ops varlink_call_connection_ops = {
	.dispatch = dispatch,
	.dispatch_beside = dispatch_beside,
	.drop_call = drop_call,
};
