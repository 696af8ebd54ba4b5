// SPDX-License-Identifier: GPL-2.0
/* crash_load KERNEL INITRD CMDLINE: load a crash kernel with kexec_file_load(2) */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/kexec.h>

static int open_or_complain(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fprintf(stderr, "crash_load: %s: %s\n", path, strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	int kernel, initrd;

	if (argc != 4) {
		fprintf(stderr, "usage: crash_load KERNEL INITRD CMDLINE\n");
		return 2;
	}
	kernel = open_or_complain(argv[1]);
	initrd = open_or_complain(argv[2]);
	if (kernel < 0 || initrd < 0)
		return 1;

	if (syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1,
		    argv[3], KEXEC_FILE_ON_CRASH)) {
		fprintf(stderr, "crash_load: kexec_file_load: %s\n",
			strerror(errno));
		return 1;
	}
	return 0;
}
