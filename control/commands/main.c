/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl: the streams and the terminal around a command line. */

#include "control/commands/dispatch.h"

#include <locale.h>
#include <string.h>

int main(int argc, char **argv)
{
	const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
	bool is_terminal = isatty(STDOUT_FILENO);
	struct ctl ctl = {
		.in = stdin,
		.out = stdout,
		.err = stderr,
		.out_is_terminal = is_terminal,
		/* https://no-color.org: present and not empty. */
		.color = is_terminal && !(no_color && *no_color) &&
			 !(terminal && strcmp(terminal, "dumb") == 0),
	};

	setlocale(LC_CTYPE, "");
	return ctl_main(&ctl, argc, argv);
}
