// SPDX-License-Identifier: GPL-2.0
/*
 * vmcore_check: read /proc/vmcore from end to end, and find the crash in it.
 *
 * Mapped, as makedumpfile does it: several times faster than read(2).
 *
 * The text looked for is the panic message as the crashed kernel formatted it:
 * in that form it exists in its log buffer only. The crash kernel's own memory,
 * and so this program, is no part of a vmcore; but the crashed kernel held a copy
 * of the program in its initramfs, which is why the text is in two pieces here.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VMCORE	"/proc/vmcore"
#define WINDOW	(8ul << 20)
/* windows overlap, for a text that lies across their border */
#define OVERLAP	4096ul

static const char before[] = "Kernel panic - not syncing:";
static const char after[] = " sysrq triggered crash";

static int fail(const char *reason)
{
	printf("rig: vmcore bad %s\n", reason);
	return 1;
}

static int found_in(const char *data, size_t length)
{
	const char *at = data, *end = data + length;
	size_t need = sizeof(before) - 1 + sizeof(after) - 1;

	while ((at = memmem(at, end - at, before, sizeof(before) - 1))) {
		if ((size_t)(end - at) >= need &&
		    !memcmp(at + sizeof(before) - 1, after, sizeof(after) - 1))
			return 1;
		at++;
	}
	return 0;
}

int main(void)
{
	unsigned long long listed = 0, offset, length;
	int fd = open(VMCORE, O_RDONLY), found = 0, i;
	Elf64_Ehdr header;
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		return fail(strerror(errno));
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_type != ET_CORE || header.e_phentsize != sizeof(Elf64_Phdr))
		return fail("no ELF core header");

	for (i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr part;

		if (pread(fd, &part, sizeof(part),
			  header.e_phoff + i * sizeof(part)) != sizeof(part))
			return fail("program headers cannot be read");
		listed += part.p_filesz;
	}
	if ((unsigned long long)status.st_size < listed)
		return fail("shorter than its headers say");

	for (offset = 0; offset < (unsigned long long)status.st_size;
	     offset += WINDOW) {
		char *data;

		length = status.st_size - offset;
		if (length > WINDOW + OVERLAP)
			length = WINDOW + OVERLAP;
		data = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, offset);
		if (data == MAP_FAILED)
			return fail(strerror(errno));
		found |= found_in(data, length);
		munmap(data, length);
	}
	if (!found)
		return fail("the panic message is not in it");
	printf("rig: vmcore good %llu\n", (unsigned long long)status.st_size);
	return 0;
}
