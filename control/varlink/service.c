/* SPDX-License-Identifier: BSD-3-Clause */
/* Introspection, answered from the server's options and the descriptions of its interfaces. */

#include "control/varlink/service.h"

#include "control/varlink/interfaces.h"

#include <errno.h>
#include <string.h>

static const char *text(const char *value)
{
	return value ? value : "";
}

static int run_get_info(struct varlink_call *call, json_t *parameters, void *userdata)
{
	const struct varlink_service *service = userdata;
	const struct varlink_server_options *options = service->options;
	json_t *interfaces = json_array();

	(void)parameters;
	for (size_t i = 0; i < service->calls->n_interfaces; i++)
		json_array_append_new(interfaces, json_string(service->calls->interfaces[i].interface->name));
	return varlink_call_reply(call,
				  json_pack("{ss ss ss ss so}", "vendor", text(options->vendor), "product",
					    text(options->product), "version", text(options->version), "url",
					    text(options->url), "interfaces", interfaces));
}

static int run_get_interface_description(struct varlink_call *call, json_t *parameters, void *userdata)
{
	const struct varlink_service *service = userdata;
	const struct varlink_calls *calls = service->calls;
	const char *name = json_string_value(json_object_get(parameters, "interface"));
	size_t place = varlink_calls_find_interface(calls, name, strlen(name));

	if (place == calls->n_interfaces)
		return varlink_call_error(call, "org.varlink.service.InterfaceNotFound",
					  json_pack("{ss}", "interface", name));
	return varlink_call_reply(
		call, json_pack("{ss}", "description", calls->interfaces[place].interface->description));
}

static const struct varlink_method methods[] = {
	{.name = "GetInfo", .run = run_get_info},
	{.name = "GetInterfaceDescription", .run = run_get_interface_description},
};

const struct varlink_interface varlink_service_interface = {
	.name = "org.varlink.service",
	.description = interface_varlink_service,
	.methods = methods,
	.n_methods = ARRAY_SIZE(methods),
};
