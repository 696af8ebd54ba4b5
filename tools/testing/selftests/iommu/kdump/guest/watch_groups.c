// SPDX-License-Identifier: GPL-2.0
/*
 * watch_groups: print every change of an IOMMU group's kdump_state, until killed.
 * On a kernel without such files there is nothing to watch, and it ends at once.
 */
#include <glob.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GROUPS	64
#define PATTERN	"/sys/kernel/iommu_groups/*/kdump_state"

int main(void)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	static char last[GROUPS][16];
	char word[16];
	glob_t files;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (glob(PATTERN, 0, NULL, &files))
		return 0;
	for (;; nanosleep(&pause, NULL)) {
		for (i = 0; i < files.gl_pathc && i < GROUPS; i++) {
			int fd = open(files.gl_pathv[i], O_RDONLY);
			ssize_t length;
			int group;

			if (fd < 0)
				continue;
			length = read(fd, word, sizeof(word) - 1);
			close(fd);
			if (length <= 0)
				continue;
			word[length] = 0;
			word[strcspn(word, "\n")] = 0;
			if (!strcmp(word, last[i]))
				continue;
			memcpy(last[i], word, sizeof(word));
			if (sscanf(files.gl_pathv[i],
				   "/sys/kernel/iommu_groups/%d", &group) == 1)
				printf("rig: state %d %s\n", group, word);
		}
	}
}
