/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl peers: who is at the other ends of the tunnel, and where. */

#include "control/commands/commands.h"

#include "common/time_text.h"
#include "control/daemon_call.h"
#include "control/table.h"
#include "control/units.h"

#include <string.h>

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

/* Peers come from the sock device: its state tells why there are none. */
static void explain_none(struct ctl *ctl, const json_t *status)
{
	const json_t *sock = json_object_get(status, "sock");
	const char *source = json_text(sock, "source"), *state = json_text(sock, "state");
	const char *reason = json_text(sock, "reason"), *interface = json_text(sock, "interface");
	_cleanup_free_ char *made = NULL;
	const char *why = NULL;
	int n = 0;

	if (!json_flag(status, "running"))
		why = "the logger is stopped (\"netlogctl start\" starts it)";
	else if (strcmp(json_text(sock, "configured"), "none") == 0)
		why = "with [sock] source=none the tunnel is not asked for them";
	else if (strcmp(state, "counting") != 0)
		n = *reason ? asprintf(&made, "%s", reason) : asprintf(&made, "the sock device is %s", state);
	else if (strcmp(source, "none") == 0)
		n = asprintf(&made, "no WireGuard tunnel is counted%s%s", *reason ? ": " : "", reason);
	else if (strcmp(source, "wireguard") != 0)
		n = asprintf(&made, "the source %s does not name a tunnel's peers", source);
	else if (!*json_text(json_object_get(status, "window"), "lastEnd"))
		why = "no window has ended yet (\"netlogctl flush\" ends this one)";
	else
		n = asprintf(&made, "%s had none at the end of the last window%s%s",
			     *interface ? interface : "the tunnel", *reason ? ": " : "", reason);
	print_color(ctl->out, false, TABLE_PLAIN, "no peers are known: %s",
		    why	    ? why
		    : n < 0 ? "out of memory"
			    : made);
	fputc('\n', ctl->out);
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
	if (table_print(table, ctl->out, ctl->color, 0) < 0)
		return ctl_error(ctl, "out of memory");
	return CTL_OK;
}

int cmd_peers(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *peers = NULL, *object = NULL, *reply = NULL;
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
	if (!ctl->json && json_array_size(peers) > 0)
		return print_peers(ctl, peers, keys);
	if (!ctl->json) {
		r = ctl_call(ctl, "Status", NULL, CTL_CALL_TIMEOUT_MS, &reply);
		if (r == CTL_OK)
			explain_none(ctl, json_object_get(reply, "status"));
		return r;
	}
	object = json_pack("{sO}", "peers", peers);
	return ctl_print_json(ctl, object);
}
