/* SPDX-License-Identifier: BSD-3-Clause */
/* What HTML would interpret is escaped. */

#include "control/html.h"

#include "common/cleanup.h"
#include "tests/unit/control/support.h"

START_TEST(test_html_text)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *file = open_memstream(&text, &n);

	html_text(file, "<b onclick='x'>\"a\" & b</b>\033");
	fclose(file);
	ck_assert_str_eq(text, "&lt;b onclick=&#39;x&#39;&gt;&quot;a&quot; &amp; b&lt;/b&gt;?");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_html_text};

	return run_suite("html", tests, ARRAY_SIZE(tests));
}
