// SPDX-License-Identifier: GPL-2.0
/*
 * dump_clock panic: note the time and panic
 * dump_clock first: note the time
 * dump_clock dump: read the first page of /proc/vmcore, and the first page of memory
 *	that is in it, and note the time
 *
 * The time is the time stamp counter, which a crash does not set back.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

static void say(const char *what, unsigned long long ticks)
{
	FILE *log = fopen("/dev/kmsg", "w");

	if (log) {
		fprintf(log, "<5>bench %s tsc=%llu\n", what, ticks);
		fclose(log);
	}
}

static int crash(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);

	say("panic", __rdtsc());
	if (fd < 0 || write(fd, "c", 1) != 1)
		perror("dump_clock: /proc/sysrq-trigger");
	return 1;
}

static int dump(void)
{
	int fd = open("/proc/vmcore", O_RDONLY), i;
	static char page[4096];
	Elf64_Ehdr header;

	if (fd < 0 || read(fd, page, sizeof(page)) != sizeof(page)) {
		perror("dump_clock: /proc/vmcore");
		return 1;
	}
	memcpy(&header, page, sizeof(header));
	for (i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr part;

		if (pread(fd, &part, sizeof(part),
			  header.e_phoff + i * sizeof(part)) != sizeof(part))
			break;
		if (part.p_type != PT_LOAD || part.p_filesz < sizeof(page))
			continue;
		if (pread(fd, page, sizeof(page), part.p_offset) != sizeof(page))
			break;
		say("dump", __rdtsc());
		return 0;
	}
	fprintf(stderr, "dump_clock: no memory in /proc/vmcore\n");
	return 1;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "panic"))
		return crash();
	if (argc == 2 && !strcmp(argv[1], "dump"))
		return dump();
	if (argc == 2 && !strcmp(argv[1], "first")) {
		say("first", __rdtsc());
		return 0;
	}
	fprintf(stderr, "usage: dump_clock panic|first|dump\n");
	return 2;
}
