/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Line by line, as wg(8) reads: without blanks, and without what follows a '#'. Where it is not certain whose
 * name a comment is, or whether it is one, the peer stays without: its key is a better name than another
 * one's.
 */

#include "daemon/device/peers/conf_names.h"

#include <jansson.h>
#include <nettle/base64.h>
#include <string.h>
#include <strings.h>

/* The length of a run of these is that of a key in base64, less its '='; one in hex is longer. */
#define KEY_DIGITS    43
#define BASE64_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
/* As JSON and URLs may write a '/' or '+' (\/, \u002b, %2F): a key goes on behind it. */
#define ESCAPES	    "\\%"
#define LETTERS	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define BLANKS	    " \t\r\v\f"
#define UUID_LENGTH 36

void conf_names_deinit(struct conf_names *file)
{
	explicit_bzero(file, sizeof(*file));
}

static void trim_end(char *text)
{
	size_t n = strlen(text);

	while (n > 0 && strchr(BLANKS, text[n - 1]))
		text[--n] = '\0';
}

/* --- what a comment says --- */

static bool may_hold_key(const char *text, const char *digits)
{
	size_t left = strlen(text), n;

	for (; left >= KEY_DIGITS; text += n, left -= n) {
		n = strspn(text, digits);
		if (n >= KEY_DIGITS)
			return true;
		n = n > 0 ? n : 1;
	}
	return false;
}

/* What follows a label and one of these signs; NULL: the text has no such label. */
static char *after_label(char *text, const char *label, const char *signs)
{
	size_t n = strlen(label);

	if (strncasecmp(text, label, n) != 0)
		return NULL;
	text += n;
	/* A blank as the sign itself, or blanks around it. */
	if (!strchr(signs, ' ') || !strchr(BLANKS, *text)) {
		text += strspn(text, BLANKS);
		if (!*text || !strchr(signs, *text))
			return NULL;
	}
	return *text ? text + 1 + strspn(text + 1, BLANKS) : NULL;
}

static enum conf_rank take(enum conf_rank rank, const char *text, struct conf_name *ret_name)
{
	size_t n = strnlen(text, sizeof(ret_name->text) - 1);

	/* It is cut once more, between characters, when it is added. */
	memcpy(ret_name->text, text, n);
	ret_name->text[n] = '\0';
	ret_name->rank = n > 0 ? rank : CONF_RANK_NONE;
	return ret_name->rank;
}

/* The members that people use for a name, the best first. */
static void take_json(const char *text, struct conf_name *ret_name)
{
	static const char *const members[] = {"name",	  "friendly_name", "peer_name",
					      "hostname", "user_name",	   "username"};
	json_t *object = json_loads(text, 0, NULL);

	for (size_t i = 0; i < ARRAY_SIZE(members) && ret_name->rank == CONF_RANK_NONE; i++) {
		const char *value = json_string_value(json_object_get(object, members[i]));

		if (value && *value && !may_hold_key(value, BASE64_DIGITS ESCAPES))
			take(CONF_RANK_JSON, value, ret_name);
	}
	json_decref(object);
}

/* "# AllowedIPs = ...", "# Email: ...", "# ------": what a comment can be that is not a name. */
static bool is_plain_name(const char *text)
{
	size_t word = strspn(text, LETTERS);
	const char *colon = strchr(text, ':');
	bool tells = false;

	if (word > 0 && text[word + strspn(text + word, BLANKS)] == '=')
		return false;
	if (colon && (!colon[1] || strchr(BLANKS, colon[1])))
		return false;
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		tells = tells || *c >= 0x80 || strchr(LETTERS "0123456789", *c);
	return tells;
}

/* "### Client X" and the like, which begin a peer. */
static char *find_client(char *text, size_t hashes)
{
	char *value = after_label(text, "BEGIN_PEER", " ");
	size_t n;

	if (!value && hashes >= 3)
		value = after_label(text, "Client", " :");
	if (!value && hashes >= 3)
		value = after_label(text, "begin", " ");
	if (!value)
		value = after_label(text, "Client", ":");
	/* wg-easy: "laptop (2b3c...)". */
	n = value ? strlen(value) : 0;
	if (n > UUID_LENGTH + 3 && value[n - 1] == ')' && value[n - UUID_LENGTH - 2] == '(' &&
	    value[n - UUID_LENGTH - 3] == ' ' &&
	    strspn(value + n - UUID_LENGTH - 1, "0123456789abcdefABCDEF-") == UUID_LENGTH)
		value[n - UUID_LENGTH - 3] = '\0';
	return value;
}

static bool is_end_of_client(char *text, size_t hashes)
{
	return after_label(text, "END_PEER", " ") || strcasecmp(text, "END_PEER") == 0 ||
	       (hashes >= 3 && after_label(text, "end", " "));
}

/* Without the hashes, blanks, and hashes at the end of "### X ###". */
static char *strip_comment(char *text, size_t *ret_hashes)
{
	char *begin = text + strspn(text, "#" BLANKS);
	size_t n = strlen(begin);

	*ret_hashes = strspn(text, "#");
	if (*ret_hashes > 1) {
		while (n > 0 && begin[n - 1] == '#')
			n--;
		if (n == 0 || strchr(BLANKS, begin[n - 1]))
			begin[n] = '\0';
	}
	trim_end(begin);
	return begin;
}

/* --- whose it is --- */

static void keep_best(struct conf_name *best, const struct conf_name *other)
{
	if (other->rank > best->rank)
		*best = *other;
}

/* The comments before this line were not directly before a peer: they are the section's. */
static void end_block(struct conf_names *file, bool empty_line)
{
	if (file->in_peer && !file->closed && (file->block.rank > CONF_RANK_PLAIN || !file->gap))
		keep_best(&file->name, &file->block);
	file->gap = file->gap || empty_line;
	file->block = (struct conf_name){};
	file->block_muted = false;
}

static void take_comment(struct conf_names *file, char *line)
{
	struct conf_name name = {};
	size_t hashes;
	char *text = strip_comment(line, &hashes), *value;

	/* In JSON other letters may be written so; its name is looked at once it has been read. */
	value = after_label(text, "friendly_json", "=:");
	if (may_hold_key(text, value ? BASE64_DIGITS : BASE64_DIGITS ESCAPES))
		return;
	if (*text == '[') {
		/* What follows until an empty line belonged to that section, and so did what came before. */
		file->block = (struct conf_name){};
		file->block_muted = file->closed = true;
		return;
	}
	if (is_end_of_client(text, hashes)) {
		end_block(file, false);
		file->closed = true;
		return;
	}
	value = find_client(text, hashes);
	if (value) {
		file->block_muted = false;
		take(CONF_RANK_CLIENT, value, &name);
	} else if ((value = after_label(text, "friendly_name", "=:"))) {
		take(CONF_RANK_FRIENDLY, value, &name);
	} else if ((value = after_label(text, "friendly_json", "=:"))) {
		take_json(value, &name);
	} else if ((value = after_label(text, "Name", "=:"))) {
		take(CONF_RANK_NAME, value, &name);
	} else if (is_plain_name(text)) {
		take(CONF_RANK_PLAIN, text, &name);
	}
	if (!file->block_muted)
		keep_best(&file->block, &name);
}

static int end_section(struct conf_names *file, struct wg_names *names)
{
	int r = 0;

	if (file->in_peer && file->has_key && file->name.rank != CONF_RANK_NONE)
		r = wg_names_add(names, file->public_key, file->name.text, file->name.rank);
	file->in_peer = file->has_key = file->closed = file->gap = false;
	file->name = (struct conf_name){};
	return r;
}

/* The text ends at its first '#'; its blanks go. What follows the '#' stays where it is. */
static char *squeeze(char *line)
{
	char *from = line, *to = line, *comment = strchr(line, '#');

	if (comment)
		*comment = '\0';
	for (; *from; from++)
		if (!strchr(BLANKS, *from))
			*to++ = *from;
	*to = '\0';
	return comment ? comment + 1 : NULL;
}

static void take_key(struct conf_names *file, const char *text)
{
	uint8_t key[BASE64_DECODE_LENGTH(BASE64_ENCODE_RAW_LENGTH(WG_PEERS_KEY_SIZE))];
	struct base64_decode_ctx context;
	size_t n = sizeof(key);

	base64_decode_init(&context);
	file->has_key = strlen(text) == BASE64_ENCODE_RAW_LENGTH(WG_PEERS_KEY_SIZE) &&
			base64_decode_update(&context, &n, key, strlen(text), text) &&
			base64_decode_final(&context) && n == WG_PEERS_KEY_SIZE;
	if (file->has_key)
		memcpy(file->public_key, key, WG_PEERS_KEY_SIZE);
}

static int take_setting(struct conf_names *file, char *line, struct wg_names *names)
{
	static const char key[] = "PublicKey=";
	char *comment = squeeze(line);
	struct conf_name before;
	int r;

	if (*line != '[') {
		end_block(file, false);
		if (file->in_peer && strncasecmp(line, key, strlen(key)) == 0)
			take_key(file, line + strlen(key));
		return 0;
	}
	before = file->block;
	file->block = (struct conf_name){};
	file->block_muted = false;
	r = end_section(file, names);
	file->in_peer = strcasecmp(line, "[Peer]") == 0 || strcasecmp(line, "[WireGuardPeer]") == 0;
	if (!file->in_peer)
		return r;
	file->name = before;
	if (comment) {
		take_comment(file, comment);
		keep_best(&file->name, &file->block);
		file->block = (struct conf_name){};
	}
	return r;
}

static int take_line(struct conf_names *file, struct wg_names *names)
{
	static const char mark[] = "\xef\xbb\xbf"; /* of byte order, which editors leave */
	char *line = file->line;
	int r = 0;

	line[file->length] = '\0';
	if (!file->begun && strncmp(line, mark, strlen(mark)) == 0)
		line += strlen(mark);
	file->begun = true;
	line += strspn(line, BLANKS);
	trim_end(line);
	if (file->too_long)
		end_block(file, false);
	else if (!*line)
		end_block(file, true);
	else if (*line == '#')
		take_comment(file, line);
	else
		r = take_setting(file, line, names);
	explicit_bzero(file->line, file->length);
	file->length = 0;
	file->too_long = false;
	return r;
}

int conf_names_feed(struct conf_names *file, const char *data, size_t n, struct wg_names *names)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n') {
			int r = take_line(file, names);

			if (r < 0)
				return r;
		} else if (file->length == sizeof(file->line) - 1) {
			file->too_long = true;
		} else {
			/* A NUL is shown as what it is: none of a text. */
			file->line[file->length++] = data[i] ? data[i] : '\x01';
		}
	}
	return 0;
}

int conf_names_finish(struct conf_names *file, struct wg_names *names)
{
	int r = take_line(file, names);

	if (r == 0)
		end_block(file, false);
	if (r == 0)
		r = end_section(file, names);
	wg_names_sort(names);
	return r;
}
