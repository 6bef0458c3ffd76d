/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/upload/kinds/clickhouse_query.h"

#include <string.h>

void clickhouse_query_escape(struct buffer *url, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-_.~", c)) {
			buffer_append_char(url, (char)c);
		} else {
			buffer_append_char(url, '%');
			buffer_append_char(url, hex[c >> 4]);
			buffer_append_char(url, hex[c & 15]);
		}
	}
}

/* `name`, escaped. */
static void append_identifier(struct buffer *query, const char *name, const char *suffix)
{
	buffer_append_char(query, '`');
	for (; *name; name++) {
		if (*name == '`' || *name == '\\')
			buffer_append_char(query, '\\');
		buffer_append_char(query, *name);
	}
	buffer_append_text(query, suffix);
	buffer_append_char(query, '`');
}

static const char *database_of(const struct sink_config *config)
{
	return config->database ? config->database : "default";
}

void clickhouse_query_table(struct buffer *query, const struct sink_config *config, const char *suffix)
{
	append_identifier(query, database_of(config), "");
	buffer_append_char(query, '.');
	append_identifier(query, config->table, suffix);
}

void clickhouse_query_table_text(struct buffer *text, const struct sink_config *config, const char *suffix)
{
	buffer_printf(text, "%s.%s%s", database_of(config), config->table, suffix);
}

void clickhouse_query_url(struct buffer *url, const struct sink_config *config, struct buffer *query)
{
	const char *base = config->url;
	size_t n = strlen(base);

	while (n > 0 && base[n - 1] == '/')
		n--;
	buffer_append_char(query, '\0');
	buffer_append(url, base, n);
	buffer_append_text(url, "/?query=");
	if (buffer_error(query) == 0)
		clickhouse_query_escape(url, query->data);
}
