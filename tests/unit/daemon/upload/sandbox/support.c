/* SPDX-License-Identifier: BSD-3-Clause */
/* Directories to reach or not to reach, and confined children. */

#include "tests/unit/daemon/upload/sandbox/support.h"

#include "common/config/config.h"
#include "daemon/upload/sandbox/sandbox.h"
#include "daemon/upload/sandbox/user.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char sandbox_directory[SCRATCH_MAX];

void sandbox_make_config(struct config *config, char *upload, char *spool, char *file)
{
	sprintf(upload, "%s/upload", sandbox_directory);
	sprintf(spool, "%s/spool", sandbox_directory);
	sprintf(file, "%s/netlogd.conf", sandbox_directory);
	*config = (struct config){
		.file = file,
		.upload_directory = upload,
		.spool_directory = spool,
		.log_id_file = NULL,
	};
}

int sandbox_confined(int (*check)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char upload[SANDBOX_PATH_MAX], spool[SANDBOX_PATH_MAX], file[SANDBOX_PATH_MAX];
		struct config config;

		sandbox_make_config(&config, upload, spool, file);
		struct sandbox_user user = {.uid = geteuid(), .gid = getegid()};
		int upload_fd = open(upload, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (sandbox_enter(&config, &user, upload_fd, false) < 0)
			_exit(255);
		_exit(check());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

void sandbox_setup(void)
{
	char path[SANDBOX_PATH_MAX];

	scratch_make(sandbox_directory);
	for (const char *const *name = (const char *const[]){"upload", "spool", "other", NULL}; *name;
	     name++) {
		snprintf(path, sizeof(path), "%s/%s", sandbox_directory, *name);
		ck_assert_int_eq(mkdir(path, 0700), 0);
		snprintf(path, sizeof(path), "%s/%s/file", sandbox_directory, *name);
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	}
}
