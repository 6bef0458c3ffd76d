/* SPDX-License-Identifier: BSD-3-Clause */
/* The form of the file: lines, sections, entries, continuations and comments. */

#include "common/config/file.h"

#include "tests/unit/common/config/support.h"

#include <errno.h>
#include <string.h>

/* "{kind|name|line<key|value|line|lines>...}..." */
static char *describe(const char *text)
{
	struct config_sections sections = {};
	struct config_error error = {};
	char *result = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&result, &size);
	int r = config_sections_parse(text, strlen(text), &sections, &error);

	ck_assert_msg(r == 0, "%u: %s", error.line, error.reason);
	for (size_t i = 0; i < sections.n; i++) {
		const struct config_section *section = &sections.items[i];

		fprintf(file, "{%s|%s|%u", section->kind, section->name, section->line);
		for (size_t j = 0; j < section->n_entries; j++)
			fprintf(file, "<%s|%s|%u|%u>", section->entries[j].key, section->entries[j].value,
				section->entries[j].line, section->entries[j].n_lines);
		fputc('}', file);
	}
	fclose(file);
	config_sections_deinit(&sections);
	return result;
}

static const struct {
	const char *text;
	const char *sections;
} forms[] = {
	{"", ""},
	{"\xef\xbb\xbf", ""},
	{"\n \n\t\r\n\f\n", ""},
	{"# a\n; b\n  # c\n\t; [d\n", ""},
	{"\xef\xbb\xbf[a]\nb=c", "{a||1<b|c|2|1>}"},
	{"[a]\r\nb = c\r\n", "{a||1<b|c|2|1>}"},
	{"[a b]\n[ a  c d ] # e\n[f]; g\n[]", "{a|b|1}{a|c d|2}{f||3}{||4}"},
	{"[a]\nb: c\nd=e: f=g\nh:i=j", "{a||1<b|c|2|1><d|e: f=g|3|1><h|i=j|4|1>}"},
	{"[a]\n  b = c\n  d = e", "{a||1<b|c,d = e|2|2>}"},
	{"[a]\nb=c;d\ne=f ; g\nh= ; i\nj=;k\nl=m #n",
	 "{a||1<b|c;d|2|1><e|f|3|1><h||4|1><j|;k|5|1><l|m #n|6|1>}"},
	{"[a]\nb=\"c ; d\"\ne='f'", "{a||1<b|\"c|2|1><e|'f'|3|1>}"},
	{"[a]\nb=c\n d ; e\n\n ; f\n\tg\n# h\n i\n", "{a||1<b|c,d,g,i|2|4>}"},
	{"[a]\n=b\n", "{a||1<|b|2|1>}"},
	{"[a]\nb c = d  e \n", "{a||1<b c|d  e|2|1>}"},
	{"[a]\n[b]\n c=d\n", "{a||1}{b||2<c|d|3|1>}"},
	{"[a]\nb=[c]\n", "{a||1<b|[c]|2|1>}"},
	/* nothing is lost at any length */
	{"[a] # " HUNDRED HUNDRED "\nb=" HUNDRED HUNDRED ";" HUNDRED " #" HUNDRED,
	 "{a||1<b|" HUNDRED HUNDRED ";" HUNDRED " #" HUNDRED "|2|1>}"},
	{"[a]\nb: " HUNDRED HUNDRED " ; " HUNDRED "\n " HUNDRED HUNDRED HUNDRED " ; c",
	 "{a||1<b|" HUNDRED HUNDRED "," HUNDRED HUNDRED HUNDRED "|2|2>}"},
};

START_TEST(form)
{
	_cleanup_free_ char *found = describe(forms[_i].text);

	ck_assert_str_eq(found, forms[_i].sections);
}
END_TEST

/* A '#' or a ';' at each place of a long value. */
START_TEST(signs_anywhere_in_long_values)
{
	char text[600] = "[a]\nb=", expected[600];
	size_t start = strlen(text);

	memset(text + start, 'v', 400);
	for (size_t i = 0; i < 400; i++) {
		_cleanup_free_ char *found = NULL;

		text[start + i] = i % 2 ? '#' : ';';
		snprintf(expected, sizeof(expected), "{a||1<b|%s|2|1>}", text + start);
		found = describe(text);
		ck_assert_str_eq(found, expected);
		text[start + i] = 'v';
	}
}
END_TEST

static const struct error_case errors[] = {
	{"[tun\n", 1, "expected ] at the end of the section's name"},
	{"[tun] x\n", 1, "expected nothing after ]"},
	{" [tun]\n", 1, "expected [ at the beginning of the line"},
	{"\ninterface=wg0\n", 2, "expected a [section] before \"interface\""},
	{TUN "source\n", 3, "expected \"key = value\""},
	{TUN "source\nmax-flows=0\n", 3, "expected \"key = value\""},
	{TUN "[record]\n[tun]\n", 4, "section [tun] already begins in line 1"},
	{TUN "[upload a]\ntype=file\npath=/a\n[upload a]\n", 6,
	 "section [upload a] already begins in line 3"},
	{TUN "max-flows=5\ninterface=wg1\n", 4, "interface is already set in line 2"},
	{TUN " source=ebpf\n", 3, "only a list continues on an indented line, and interface is not one"},
	{TUN "[node]\nid=" HUNDRED HUNDRED HUNDRED "\nname\n", 5, "expected \"key = value\""},
	{TUN "[node]\nid=" HUNDRED HUNDRED HUNDRED "\n\n", 4,
	 "id = " HUNDRED HUNDRED HUNDRED ": expected at most 255 bytes, and no control characters"},
	/* The log shows it as a question mark. */
	{TUN "[node]\nid=a\tb\n", 4, "id = a\tb: expected at most 255 bytes, and no control characters"},
	{TUN HUNDRED HUNDRED "=1\n", 3, "expected \"key = value\""},
	{"[tun ; x]\n", 1, "expected ] at the end of the section's name"},
	{TUN "max-flows ; = 5\n", 3, "expected \"key = value\""},
	{TUN "\n[netlogd] ; c\nfirst = 1\nfirst: 2\n", 6, "first is already set in line 5"},
};

START_TEST(refused)
{
	assert_error(errors[_i].text, strlen(errors[_i].text), errors[_i].line, errors[_i].reason);
}
END_TEST

START_TEST(nul)
{
	static const char text[] = TUN "[node]\nid=a\0b\n", comment[] = TUN "#\0\n";

	assert_error(text, sizeof(text) - 1, 4, "NUL byte: not a text file");
	assert_error(comment, sizeof(comment) - 1, 3, "NUL byte: not a text file");
}
END_TEST

START_TEST(lines_are_bounded)
{
	static char text[3 * CONFIG_LINE_MAX];
	struct config_sections sections;
	struct config_error error = {};

	for (size_t n = CONFIG_LINE_MAX; n <= CONFIG_LINE_MAX + 1; n++) {
		/* A comment may be of any length. */
		size_t start = (size_t)sprintf(text, "[a]\n#%*s\n", CONFIG_LINE_MAX + 10, "");
		int r;

		memset(text + start, 'v', n);
		memcpy(text + start, "b=", 2);
		text[start + n] = '\0';
		r = config_sections_parse(text, start + n, &sections, &error);
		ck_assert_int_eq(r, n > CONFIG_LINE_MAX ? -EINVAL : 0);
		if (r == 0) {
			ck_assert_uint_eq(strlen(sections.items[0].entries[0].value), n - 2);
			config_sections_deinit(&sections);
		}
	}
	ck_assert_uint_eq(error.line, 3);
	ck_assert_str_eq(error.reason, "line longer than 65536 bytes");
	config_error_deinit(&error);
}
END_TEST

START_TEST(long_lines)
{
	static char text[65536];
	size_t n = (size_t)sprintf(text, TUN "[routes]\nroute=");
	struct config *config;

	for (int i = 0; i < 1000; i++)
		n += (size_t)sprintf(text + n, "%s10.%d.%d.0/24", i ? (i % 3 ? "," : " ,  ") : "", i / 256,
				     i % 256);
	n += (size_t)sprintf(text + n, " ; a comment, 10.0.0.0/8\n ");
	for (int i = 0; i < 100; i++)
		n += (size_t)sprintf(text + n, "172.16.%d.0/24,", i);
	sprintf(text + n,
		"\n[upload a]\ntype=logtail\nurl=https://a\ncollection=c\n"
		"header=X: %s%s %s;%s\n",
		HUNDRED, HUNDRED, HUNDRED, HUNDRED);
	config = parse_config(text);
	ck_assert_uint_eq(config->routes.routes.n, 1100);
	for (size_t i = 0; i < 1000; i++) {
		char expected[32], found[PREFIX_TEXT_MAX];

		sprintf(expected, "10.%zu.%zu.0/24", i / 256, i % 256);
		prefix_format(&config->routes.routes.items[i], found);
		ck_assert_str_eq(found, expected);
	}
	ck_assert_str_eq(config->sinks[0].headers[0], "X: " HUNDRED HUNDRED " " HUNDRED ";" HUNDRED);
	config_free(config);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("file");
	TCase *test_case = tcase_create("file");

	tcase_add_loop_test(test_case, form, 0, ARRAY_SIZE(forms));
	tcase_add_test(test_case, signs_anywhere_in_long_values);
	tcase_add_loop_test(test_case, refused, 0, ARRAY_SIZE(errors));
	tcase_add_test(test_case, nul);
	tcase_add_test(test_case, lines_are_bounded);
	tcase_add_test(test_case, long_lines);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
