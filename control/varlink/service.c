/* SPDX-License-Identifier: BSD-3-Clause */
/* org.varlink.service, which every Varlink service has: who we are, and what our interfaces look like. */

#include "control/varlink/call.h"
#include "control/varlink/interfaces.h"

#include <errno.h>
#include <string.h>

static const char *text(const char *value)
{
	return value ? value : "";
}

static int run_get_info(struct varlink_call *call, json_t *parameters, void *userdata)
{
	const struct varlink_server *server = userdata;
	const struct varlink_server_options *options = &server->options;
	json_t *interfaces = json_array();

	(void)parameters;
	json_array_append_new(interfaces, json_string(varlink_service_interface.name));
	for (size_t i = 0; i < server->n_interfaces; i++)
		json_array_append_new(interfaces, json_string(server->interfaces[i]->name));
	return varlink_call_reply(call,
				  json_pack("{ss ss ss ss so}", "vendor", text(options->vendor), "product",
					    text(options->product), "version", text(options->version), "url",
					    text(options->url), "interfaces", interfaces));
}

static int run_get_interface_description(struct varlink_call *call, json_t *parameters, void *userdata)
{
	const struct varlink_server *server = userdata;
	const char *name = json_string_value(json_object_get(parameters, "interface"));
	const struct varlink_interface *interface;

	if (strcmp(name, varlink_service_interface.name) == 0)
		interface = &varlink_service_interface;
	else
		interface = varlink_server_find_interface(server, name, strlen(name));
	if (!interface)
		return varlink_call_error(call, "org.varlink.service.InterfaceNotFound",
					  json_pack("{ss}", "interface", name));
	return varlink_call_reply(call, json_pack("{ss}", "description", interface->description));
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
