/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl peers: who is at the other ends of the tunnel, and where. */

#include "control/commands/commands.h"

#include "common/time_text.h"
#include "control/daemon_call.h"
#include "control/table.h"
#include "control/units.h"

/* "12 s ago"; "never" without a time. */
static void add_age(struct table *table, const char *time_text)
{
	int64_t time, now = time_now_wall();
	char age[UNITS_TEXT_MAX];

	if (!*time_text || time_parse(time_text, &time) < 0)
		table_cell(table, "never");
	else
		table_cell(table, "%s ago", units_duration(now > time ? now - time : 0, age));
}

static void add_bytes(struct table *table, const json_t *peer, const char *member)
{
	char bytes[UNITS_TEXT_MAX];

	table_cell(table, "%s", units_bytes((uint64_t)json_number(peer, member), bytes));
}

static int print_peers(struct ctl *ctl, const json_t *peers, bool keys)
{
	static const struct table_column columns[] = {
		{"PEER", TABLE_LEFT},	    {"ADDRESSES", TABLE_LEFT}, {"ENDPOINT", TABLE_LEFT},
		{"HANDSHAKE", TABLE_LEFT},  {"SENT", TABLE_RIGHT},     {"RECEIVED", TABLE_RIGHT},
		{"PUBLIC KEY", TABLE_LEFT},
	};
	_cleanup_(table_freep) struct table *table = NULL;
	json_t *peer;
	size_t i;

	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return ctl_error(ctl, "out of memory");
	json_array_foreach ((json_t *)peers, i, peer) {
		table_cell(table, "%s", json_text(peer, "name"));
		table_cell_list(table, json_object_get(peer, "addresses"));
		table_cell(table, "%s", json_text(peer, "endpoint"));
		add_age(table, json_text(peer, "lastHandshake"));
		add_bytes(table, peer, "txBytes");
		add_bytes(table, peer, "rxBytes");
		table_cell(table, "%s", keys ? json_text(peer, "publicKey") : "");
	}
	if (table_rows(table) == 0)
		fputs("no peers are known\n", ctl->out);
	else if (table_print(table, ctl->out, ctl->color, 0) < 0)
		return ctl_error(ctl, "out of memory");
	return CTL_OK;
}

int cmd_peers(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *peers = NULL, *object = NULL;
	bool keys = false;
	const struct ctl_option options[] = {{.name = "keys", .flag = &keys}};
	int r;

	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 0, NULL);
	if (r == CTL_OK)
		r = ctl_list(ctl, "GetPeers", "peers", &peers);
	if (r != CTL_OK)
		return r;
	if (!peers)
		return ctl_error(ctl, "this daemon does not know GetPeers (an older version?)");
	if (!ctl->json)
		return print_peers(ctl, peers, keys);
	object = json_pack("{sO}", "peers", peers);
	return ctl_print_json(ctl, object);
}
