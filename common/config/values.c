/* SPDX-License-Identifier: BSD-3-Clause */
/* The values of the configuration file, by type. Each reader fills in its place only if all of it is right.
 */

#include "common/config/values.h"

#include "common/parse.h"
#include "common/time_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define TEXT_MAX 255

static void *place(const struct config_key *key, void *section)
{
	return (char *)section + key->offset;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* Whether a text consists of the given characters, letters and digits. */
static bool is_made_of(const char *text, size_t n, const char *others)
{
	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
			continue;
		if (!c || !strchr(others, c))
			return false;
	}
	return n > 0;
}

static int store_text(const struct config_key *key, const char *text, void *section)
{
	char **value = place(key, section);

	*value = strdup(text);
	return *value ? 0 : -ENOMEM;
}

int config_read_text(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	(void)ret_wrong;
	if (strlen(text) > TEXT_MAX || !is_printable(text))
		return -EINVAL;
	return store_text(key, text, section);
}

int config_read_name(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	(void)ret_wrong;
	if (strlen(text) > TEXT_MAX || !is_made_of(text, strlen(text), "_.-$"))
		return -EINVAL;
	return store_text(key, text, section);
}

/* As the kernel's dev_valid_name(): nothing that could be read as a path or a list. */
bool config_is_interface(const char *text)
{
	if (!*text || strlen(text) >= IFNAMSIZ || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return false;
	return is_printable(text) && !strpbrk(text, "/: \t");
}

int config_read_interface(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	(void)ret_wrong;
	return config_is_interface(text) ? store_text(key, text, section) : -EINVAL;
}

static bool is_path(const char *text)
{
	return text[0] == '/' && is_printable(text);
}

int config_read_path(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	(void)ret_wrong;
	return is_path(text) ? store_text(key, text, section) : -EINVAL;
}

bool config_is_socket_path(const char *text)
{
	return is_path(text) && strlen(text) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
}

int config_read_socket_path(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	(void)ret_wrong;
	return config_is_socket_path(text) ? store_text(key, text, section) : -EINVAL;
}

/* Metrics are neither encrypted nor protected by a password. */
int config_read_loopback(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	static const uint8_t ipv6_loopback[16] = {[15] = 1};
	struct endpoint endpoint;
	bool loopback;

	(void)ret_wrong;
	if (endpoint_parse(text, &endpoint) < 0 || endpoint.port == 0)
		return -EINVAL;
	if (endpoint.address.family == ADDRESS_IPV4)
		loopback = endpoint.address.bytes[0] == 127;
	else
		loopback = endpoint.address.family == ADDRESS_IPV6 &&
			   memcmp(endpoint.address.bytes, ipv6_loopback, sizeof(ipv6_loopback)) == 0;
	if (!loopback)
		return -EINVAL;
	return store_text(key, text, section);
}

static bool host_is_loopback(const char *host, size_t n)
{
	char text[ADDRESS_TEXT_MAX];
	struct in_addr address;

	if ((n == 9 && strncasecmp(host, "localhost", n) == 0) || (n == 5 && strncmp(host, "[::1]", n) == 0))
		return true;
	if (n >= sizeof(text))
		return false;
	memcpy(text, host, n);
	text[n] = '\0';
	return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool is_host(const char *host, size_t n)
{
	char text[ADDRESS_TEXT_MAX];
	struct in6_addr address;

	if (n == 0 || host[0] != '[')
		return is_made_of(host, n, "_.-");
	if (n < 2 || host[n - 1] != ']' || n - 2 >= sizeof(text))
		return false;
	memcpy(text, host + 1, n - 2);
	text[n - 2] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_port(const char *text, size_t n)
{
	unsigned int port = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		port = port * 10 + (unsigned int)(text[i] - '0');
		if (port > UINT16_MAX)
			return false;
	}
	return port > 0;
}

/* A fault of the host that is better named: it is not in ASCII, or an address with a zone. */
static int find_host_fault(const char *host)
{
	size_t n = strcspn(host, "/?#");

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)host[i] > '~')
			return -EILSEQ;
	return host[0] == '[' && memchr(host, '%', strcspn(host, "]/")) ? -EPFNOSUPPORT : 0;
}

/*
 * A base URL (RFC 3986), to which a sink appends its own path and query; it has no query and no fragment.
 * User and password have keys of their own, since URLs are repeated in errors and status.
 */
int config_read_url(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	const char *host, *end, *port;
	bool plain;
	int r;

	(void)ret_wrong;
	if (strncasecmp(text, "https://", 8) == 0) {
		host = text + 8;
		plain = false;
	} else if (strncasecmp(text, "http://", 7) == 0) {
		host = text + 7;
		plain = true;
	} else {
		return -EINVAL;
	}
	r = find_host_fault(host);
	if (r < 0)
		return r;
	if (!is_printable(text) || strpbrk(text, " ?#@\\\"<>"))
		return -EINVAL;
	end = strchrnul(host, '/');
	port = memrchr(host, ':', (size_t)(end - host));
	if (port && memchr(port, ']', (size_t)(end - port)))
		port = NULL;
	if (port && !is_port(port + 1, (size_t)(end - port - 1)))
		return -EINVAL;
	if (port)
		end = port;
	if (!is_host(host, (size_t)(end - host)))
		return -EINVAL;
	if (plain && !host_is_loopback(host, (size_t)(end - host)))
		return -EACCES;
	return store_text(key, text, section);
}

int config_read_bool(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	(void)ret_wrong;
	return parse_bool(text, place(key, section));
}

static int read_number(const struct config_key *key, const char *text,
		       int (*parse)(const char *text, uint64_t *ret_value), uint64_t *ret_value)
{
	uint64_t value;

	if (parse(text, &value) < 0 || value < key->min || value > key->max)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int config_read_u32(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	uint64_t value;

	(void)ret_wrong;
	if (read_number(key, text, parse_u64, &value) < 0)
		return -EINVAL;
	*(uint32_t *)place(key, section) = (uint32_t)value;
	return 0;
}

int config_read_u64(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	(void)ret_wrong;
	return read_number(key, text, parse_u64, place(key, section));
}

int config_read_size(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	(void)ret_wrong;
	return read_number(key, text, parse_size, place(key, section));
}

int config_read_duration(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	int64_t value;

	(void)ret_wrong;
	if (parse_duration(text, &value) < 0 || (uint64_t)value < key->min || (uint64_t)value > key->max)
		return -EINVAL;
	*(int64_t *)place(key, section) = value;
	return 0;
}

int config_read_choice(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	(void)ret_wrong;
	for (const struct config_choice *choice = key->choices; choice->text; choice++) {
		if (strcmp(text, choice->text) != 0)
			continue;
		if (choice->unsupported)
			return -EOPNOTSUPP;
		memcpy(place(key, section), &choice->value, sizeof(choice->value));
		return 0;
	}
	return -EINVAL;
}

static int wrong_item(const char *item, char *ret_wrong)
{
	snprintf(ret_wrong, CONFIG_WRONG_MAX, "%s", item);
	return -EINVAL;
}

static int read_list(const struct config_key *key, const char *text, void *section, char *ret_wrong,
		     bool (*is_item)(const char *item))
{
	char **list;
	int r;

	r = parse_list(text, &list);
	if (r < 0)
		return r;
	for (size_t i = 0; list && list[i]; i++) {
		if (is_item(list[i]))
			continue;
		r = wrong_item(list[i], ret_wrong);
		strv_free(list);
		return r;
	}
	*(char ***)place(key, section) = list;
	return 0;
}

static bool is_user(const char *item)
{
	return strlen(item) <= TEXT_MAX && is_made_of(item, strlen(item), "_.-$");
}

int config_read_names(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	return read_list(key, text, section, ret_wrong, is_user);
}

/* "Name: value", the name a token (RFC 9110, 5.6.2). */
static bool is_header(const char *item)
{
	const char *colon = strchr(item, ':');

	return colon && is_printable(item) && is_made_of(item, (size_t)(colon - item), "!#$%&'*+-.^_`|~");
}

int config_read_headers(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	return read_list(key, text, section, ret_wrong, is_header);
}

static bool is_setting(const char *item)
{
	const char *equal = strchr(item, '=');

	return equal && is_printable(item) && is_made_of(item, (size_t)(equal - item), "_");
}

int config_read_settings(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	return read_list(key, text, section, ret_wrong, is_setting);
}

/* *ret_word: whether the word, which may stand among the prefixes, does. */
static int read_prefixes(const char *text, const char *word, bool *ret_word, struct prefix_list *ret_list,
			 char *ret_wrong)
{
	struct prefix_list prefixes = {};
	bool found = false;
	char **list;
	int r;

	r = parse_list(text, &list);
	for (size_t i = 0; r == 0 && list && list[i]; i++) {
		struct prefix prefix;

		if (word && strcmp(list[i], word) == 0)
			found = true;
		else if (prefix_parse(list[i], &prefix) < 0)
			r = wrong_item(list[i], ret_wrong);
		else
			r = prefix_list_add(&prefixes, &prefix);
	}
	strv_free(list);
	if (r < 0) {
		prefix_list_deinit(&prefixes);
		return r;
	}
	if (ret_word)
		*ret_word = found;
	*ret_list = prefixes;
	return 0;
}

int config_read_prefixes(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	return read_prefixes(text, NULL, NULL, place(key, section), ret_wrong);
}

int config_read_addresses(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	struct prefix_list *list = place(key, section);
	char wrong[PREFIX_TEXT_MAX];
	int r;

	r = read_prefixes(text, NULL, NULL, list, ret_wrong);
	for (size_t i = 0; r == 0 && i < list->n; i++) {
		if (prefix_is_single(&list->items[i]))
			continue;
		prefix_format(&list->items[i], wrong);
		r = wrong_item(wrong, ret_wrong);
	}
	return r;
}

int config_read_subnet_routes(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	struct config *config = section;

	return read_prefixes(text, "connected", &config->subnet_route_connected, place(key, section),
			     ret_wrong);
}

int config_read_names_file(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	struct config *config = section;
	int r = 0;

	config->wireguard_names = strcmp(text, "auto") == 0   ? NAMES_AUTO
				  : strcmp(text, "none") == 0 ? NAMES_NONE
							      : NAMES_FILE;
	if (config->wireguard_names == NAMES_FILE)
		r = config_read_path(key, text, section, ret_wrong);
	return r;
}

int config_read_underlay(const struct config_key *key, const char *text, void *section, char *ret_wrong)
{
	struct config *config = section;
	int r;

	if (strcmp(text, "auto") == 0) {
		config->underlay = UNDERLAY_AUTO;
		return 0;
	}
	if (strcmp(text, "none") == 0) {
		config->underlay = UNDERLAY_NONE;
		return 0;
	}
	r = read_list(key, text, section, ret_wrong, config_is_interface);
	if (r < 0)
		return r;
	if (!config->underlay_devices)
		return -EINVAL;
	for (size_t i = 0; config->underlay_devices && config->underlay_devices[i]; i++)
		if (strcmp(config->underlay_devices[i], "auto") == 0 ||
		    strcmp(config->underlay_devices[i], "none") == 0)
			return wrong_item(config->underlay_devices[i], ret_wrong);
	config->underlay = UNDERLAY_LIST;
	return 0;
}
