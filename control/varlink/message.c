/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests and replies as JSON, as in https://varlink.org/Wire-Protocol. */

#include "control/varlink/message.h"

#include "control/varlink/codec.h"

#include <errno.h>

int varlink_encode_request(struct buffer *output, const char *method, json_t *parameters,
			   enum varlink_request_kind kind)
{
	json_t *request = json_object();
	int r = -ENOMEM;

	if (json_object_set_new(request, "method", json_string(method)) < 0) {
		json_decref(parameters);
		goto out;
	}
	if (parameters && json_object_set_new(request, "parameters", parameters) < 0)
		goto out;
	if (kind == VARLINK_REQUEST_MORE && json_object_set_new(request, "more", json_true()) < 0)
		goto out;
	if (kind == VARLINK_REQUEST_ONEWAY && json_object_set_new(request, "oneway", json_true()) < 0)
		goto out;
	r = varlink_encode(output, request);
out:
	json_decref(request);
	return r;
}

int varlink_parse_reply(const json_t *message, json_t **ret_parameters, char **ret_error, bool *ret_continues)
{
	json_t *parameters = json_object_get(message, "parameters");
	const json_t *error = json_object_get(message, "error");
	const json_t *continues = json_object_get(message, "continues");
	char *name = NULL;

	if ((parameters && !json_is_object(parameters) && !json_is_null(parameters)) ||
	    (error && !json_is_string(error) && !json_is_null(error)) ||
	    (continues && !json_is_boolean(continues) && !json_is_null(continues)))
		return -EBADMSG;
	if (json_is_string(error)) {
		name = strdup(json_string_value(error));
		if (!name)
			return -ENOMEM;
	}
	parameters = json_is_object(parameters) ? json_incref(parameters) : json_object();
	if (!parameters) {
		free(name);
		return -ENOMEM;
	}
	*ret_parameters = parameters;
	*ret_error = name;
	if (ret_continues)
		*ret_continues = json_is_true(continues);
	return 0;
}
