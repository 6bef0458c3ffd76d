/* SPDX-License-Identifier: BSD-3-Clause */
/* Walks the answer once, in place. The names of members are tailscaled's own, from ipn/ipnstate. */

#include "daemon/tailscale/status_scan.h"

#include "common/cleanup.h"
#include "common/hash_bytes.h"
#include "daemon/tailscale/form.h"

#include <errno.h>
#include <string.h>

struct known_name {
	const char *text;
	size_t length;
};

#define NAME(text)                                                                                           \
	{                                                                                                    \
		text, sizeof(text) - 1                                                                       \
	}

static const struct known_name field_names[N_STATUS_FIELDS] = {
	[FIELD_ID] = NAME("ID"),
	[FIELD_HOST_NAME] = NAME("HostName"),
	[FIELD_DNS_NAME] = NAME("DNSName"),
	[FIELD_OS] = NAME("OS"),
	[FIELD_USER_ID] = NAME("UserID"),
	[FIELD_TAILSCALE_IPS] = NAME("TailscaleIPs"),
	[FIELD_ALLOWED_IPS] = NAME("AllowedIPs"),
	[FIELD_TAGS] = NAME("Tags"),
	[FIELD_CUR_ADDR] = NAME("CurAddr"),
	[FIELD_RELAY] = NAME("Relay"),
	[FIELD_PEER_RELAY] = NAME("PeerRelay"),
	[FIELD_RX_BYTES] = NAME("RxBytes"),
	[FIELD_TX_BYTES] = NAME("TxBytes"),
	[FIELD_LAST_SEEN] = NAME("LastSeen"),
	[FIELD_LAST_HANDSHAKE] = NAME("LastHandshake"),
};

static bool slice_is(const struct json_slice *slice, const char *text)
{
	size_t n = strlen(text);

	return slice->length == n && memcmp(slice->data, text, n) == 0;
}

/* N_STATUS_FIELDS: of no interest. */
static enum status_field find_field(const struct json_slice *name)
{
	enum status_field field = 0;

	while (field < N_STATUS_FIELDS && (name->length != field_names[field].length ||
					   memcmp(name->data, field_names[field].text, name->length) != 0))
		field++;
	return field;
}

static int scan_peer(struct json_scan *scan, struct status_peer *ret_peer)
{
	struct json_slice name, value;
	bool first = true;
	int r;

	while ((r = json_scan_member(scan, &first, &name)) > 0) {
		enum status_field field = find_field(&name);

		r = json_scan_value(scan, &value);
		if (r < 0)
			return r;
		if (field < N_STATUS_FIELDS && !slice_is(&value, "null"))
			ret_peer->fields[field] = value;
	}
	if (r < 0)
		return r;
	for (int i = 0; i < N_STATUS_FIELDS; i++) {
		uint64_t *sum = i < FIELDS_FIXED ? &ret_peer->fixed : &ret_peer->moving;

		*sum = hash_bytes(*sum, ret_peer->fields[i].data, ret_peer->fields[i].length);
	}
	return 0;
}

/* Room for one more; NULL without memory. */
static struct status_peer *add_peer(struct status_scan *scan)
{
	if (scan->n_peers == scan->allocated) {
		size_t n = MAX(scan->allocated * 2, (size_t)64);
		struct status_peer *peers = reallocarray(scan->peers, n, sizeof(*peers));

		if (!peers)
			return NULL;
		scan->peers = peers;
		scan->allocated = n;
	}
	return memset(&scan->peers[scan->n_peers], 0, sizeof(*scan->peers));
}

/* A node key is "nodekey:" and hex digits. */
static bool is_key(const struct json_slice *key)
{
	for (size_t i = 0; i < key->length; i++)
		if (key->data[i] <= ' ' || key->data[i] >= 0x7f || key->data[i] == '\\')
			return false;
	return key->length > 0 && key->length <= TAILSCALE_TEXT_MAX;
}

static int scan_peers(struct json_scan *scan, struct status_scan *status)
{
	struct json_slice key;
	bool first = true;
	int r;

	/* A name that comes twice: the last one counts, as in Go. */
	status->n_peers = 0;
	status->skipped = 0;
	while ((r = json_scan_member(scan, &first, &key)) > 0) {
		bool usable = is_key(&key) && status->n_peers < TAILSCALE_PEERS_MAX;
		struct status_peer *peer;

		if (!usable || !json_scan_char(scan, '{')) {
			status->skipped++;
			r = json_scan_value(scan, NULL);
			if (r < 0)
				return r;
			continue;
		}
		peer = add_peer(status);
		if (!peer)
			return -ENOMEM;
		peer->key = key;
		r = scan_peer(scan, peer);
		if (r < 0)
			return r;
		status->n_peers++;
	}
	return r;
}

/* Takes the value of one member of the answer. has_peers is set when it tells of the peers. */
static int scan_status_member(struct json_scan *scan, const struct json_slice *name,
			      struct status_scan *status, bool *has_peers)
{
	struct json_slice value, *kept = NULL;
	int r;

	if (slice_is(name, "Peer") && json_scan_char(scan, '{')) {
		*has_peers = true;
		return scan_peers(scan, status);
	}
	if (slice_is(name, "Self") && json_scan_char(scan, '{')) {
		status->self = (struct status_peer){};
		status->has_self = true;
		return scan_peer(scan, &status->self);
	}
	if (slice_is(name, "BackendState"))
		kept = &status->backend_state;
	else if (slice_is(name, "Version"))
		kept = &status->version;
	else if (slice_is(name, "User"))
		kept = &status->users;
	r = json_scan_value(scan, &value);
	if (r < 0)
		return r;
	if (kept)
		*kept = value;
	if (slice_is(name, "Peer") && slice_is(&value, "null"))
		*has_peers = true;
	return 0;
}

int status_scan(const char *text, size_t size, struct status_scan *ret_scan)
{
	struct json_scan scan = {.next = text, .end = text + size};
	bool first = true, has_peers = false;
	struct json_slice name;
	int r;

	status_scan_reset(ret_scan);
	if (!json_scan_char(&scan, '{'))
		return -EBADMSG;
	while ((r = json_scan_member(&scan, &first, &name)) > 0) {
		r = scan_status_member(&scan, &name, ret_scan, &has_peers);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	return json_scan_at_end(&scan) && has_peers ? 0 : -EBADMSG;
}

void status_scan_reset(struct status_scan *scan)
{
	*scan = (struct status_scan){.peers = scan->peers, .allocated = scan->allocated};
}

void status_scan_deinit(struct status_scan *scan)
{
	free(scan->peers);
	*scan = (struct status_scan){};
}
