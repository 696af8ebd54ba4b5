// SPDX-License-Identifier: GPL-2.0
/*
 * What the IOMMU crashdump framework shows in sysfs and debugfs, seen from inside.
 *
 * In a normal kernel nothing of it is there. In a crash kernel each group has a
 * state, which agrees with the table in debugfs and with the drivers that are bound,
 * and neither file can be written to.
 *
 * KDUMP_EXPECT=framework in the environment makes failures of what is a skip
 * otherwise, because the running kernel may have been built without the framework.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../kselftest_harness.h"

#define GROUPS		"/sys/kernel/iommu_groups"
#define TABLE		"/sys/kernel/debug/iommu/kdump"
#define MAX_GROUPS	1024

static const char * const words[] = {
	"none", "inherited", "carrying", "released", "blocked",
};

static const char * const types[] = {
	"none", "blocked", "identity", "paging", "refused", "mixed",
};

static bool known(const char *word, const char * const *list, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!strcmp(word, list[i]))
			return true;
	return false;
}

/* Only a crash kernel has the memory of another one */
static bool in_crash_kernel(void)
{
	return !access("/proc/vmcore", F_OK);
}

static bool must_have_framework(void)
{
	const char *expect = getenv("KDUMP_EXPECT");

	return expect && !strcmp(expect, "framework");
}

/* Bytes read, without the terminating NUL that is added; -errno on failure */
static ssize_t read_file(const char *path, char *buf, size_t size)
{
	ssize_t n, total = 0;
	int fd;

	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf + total, size - 1 - total)) > 0)
		total += n;
	if (n < 0)
		total = -errno;
	close(fd);
	buf[total < 0 ? 0 : total] = '\0';
	return total;
}

static int find_groups(int *ids, int max)
{
	struct dirent *entry;
	DIR *dir;
	int n = 0;

	dir = opendir(GROUPS);
	if (!dir)
		return 0;
	while (n < max && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			ids[n++] = atoi(entry->d_name);
	closedir(dir);
	return n;
}

static ssize_t read_state(int id, char *buf, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), GROUPS "/%d/kdump_state", id);
	return read_file(path, buf, size);
}

/* How many devices of a group have a driver that uses the DMA API */
static int bound_devices(int id)
{
	char path[PATH_MAX], driver[PATH_MAX];
	struct dirent *entry;
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), GROUPS "/%d/devices", id);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		ssize_t len;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), GROUPS "/%d/devices/%s/driver", id,
			 entry->d_name);
		len = readlink(path, driver, sizeof(driver) - 1);
		if (len < 0)
			continue;
		driver[len] = '\0';
		/* Bridges have a driver that does no DMA */
		if (strcmp(basename(driver), "pcieport"))
			n++;
	}
	closedir(dir);
	return n;
}

/* One line of the table */
struct row {
	int group;
	char state[16];
	char type[16];
	unsigned long long ranges, mapped, reserved, given_back, new_tables;
	unsigned long long old_tables, bad, refused, clipped, time_us;
	char devices[512];
	char reason[128];
};

static bool parse_row(const char *line, struct row *row)
{
	int end = 0;

	return sscanf(line, "%d %15s %15s %llu %llu %llu %llu %llu %n",
		      &row->group, row->state, row->type, &row->ranges,
		      &row->mapped, &row->reserved, &row->given_back,
		      &row->new_tables, &end) == 8 &&
	       sscanf(line + end, "%llu %llu %llu %llu %llu %511s %127[^\n]",
		      &row->old_tables, &row->bad, &row->refused, &row->clipped,
		      &row->time_us, row->devices, row->reason) == 7;
}

static bool find_row(const char *table, int group, struct row *row)
{
	const char *line = table;

	while ((line = strchr(line, '\n')) && *++line)
		if (parse_row(line, row) && row->group == group)
			return true;
	return false;
}

/* A normal kernel: nothing of it is there */

FIXTURE(normal)
{
	int ids[MAX_GROUPS];
	int nr;
};

FIXTURE_SETUP(normal)
{
	if (in_crash_kernel())
		SKIP(return, "this is a crash kernel");
	self->nr = find_groups(self->ids, MAX_GROUPS);
}

FIXTURE_TEARDOWN(normal)
{
}

TEST_F(normal, no_state_file)
{
	char buf[64];
	int i;

	if (!self->nr)
		SKIP(return, "no IOMMU groups");
	for (i = 0; i < self->nr; i++)
		EXPECT_EQ(-ENOENT, read_state(self->ids[i], buf, sizeof(buf)));
}

TEST_F(normal, no_table)
{
	EXPECT_NE(0, access(TABLE, F_OK));
}

/* A crash kernel: every group obeys the contract */

FIXTURE(crash)
{
	int ids[MAX_GROUPS];
	int nr;
};

FIXTURE_SETUP(crash)
{
	char buf[64];

	if (!in_crash_kernel())
		SKIP(return, "this is no crash kernel");
	self->nr = find_groups(self->ids, MAX_GROUPS);
	if (must_have_framework()) {
		ASSERT_LT(0, self->nr);
		return;
	}
	if (!self->nr)
		SKIP(return, "no IOMMU groups");
	if (read_state(self->ids[0], buf, sizeof(buf)) == -ENOENT)
		SKIP(return, "the kernel was built without IOMMU_KDUMP, or is no crash kernel");
}

FIXTURE_TEARDOWN(crash)
{
}

TEST_F(crash, state_is_one_word)
{
	char buf[64];
	int i;

	for (i = 0; i < self->nr; i++) {
		ssize_t n = read_state(self->ids[i], buf, sizeof(buf));

		ASSERT_LT(1, n) {
			TH_LOG("group %d: %s", self->ids[i], strerror(-n));
		}
		ASSERT_EQ('\n', buf[n - 1]);
		buf[n - 1] = '\0';
		EXPECT_TRUE(known(buf, words, ARRAY_SIZE(words))) {
			TH_LOG("group %d: %s", self->ids[i], buf);
		}
	}
}

/* Nobody keeps old tables in use whose driver has come */
TEST_F(crash, no_driver_on_old_tables)
{
	char buf[64];
	int i;

	for (i = 0; i < self->nr; i++) {
		if (!bound_devices(self->ids[i]))
			continue;
		ASSERT_LT(1, read_state(self->ids[i], buf, sizeof(buf)));
		EXPECT_STRNE("inherited\n", buf) {
			TH_LOG("group %d has a driver", self->ids[i]);
		}
	}
}

TEST_F(crash, state_cannot_be_written)
{
	char path[128];
	int i;

	for (i = 0; i < self->nr; i++) {
		snprintf(path, sizeof(path), GROUPS "/%d/kdump_state",
			 self->ids[i]);
		errno = 0;
		EXPECT_EQ(-1, open(path, O_WRONLY));
		EXPECT_EQ(EACCES, errno);
		errno = 0;
		EXPECT_EQ(-1, open(path, O_RDWR));
		EXPECT_EQ(EACCES, errno);
	}
}

TEST_F(crash, odd_reads)
{
	char path[128], buf[64], word[64], again[64];
	/* NULL, which the compiler cannot know */
	char *nowhere = self->nr < 0 ? buf : NULL;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), GROUPS "/%d/kdump_state", self->ids[0]);
	n = read_state(self->ids[0], word, sizeof(word));
	ASSERT_LT(1, n);

	fd = open(path, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, read(fd, buf, 0));
	errno = 0;
	EXPECT_EQ(-1, read(fd, nowhere, sizeof(buf)));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, pread(fd, buf, sizeof(buf), n));
	EXPECT_EQ(0, pread(fd, buf, sizeof(buf), 1024 * 1024));
	errno = 0;
	EXPECT_EQ(-1, pread(fd, buf, sizeof(buf), -1));
	EXPECT_EQ(EINVAL, errno);
	/* One byte at a time gives the same word, unless it has changed meanwhile */
	EXPECT_EQ(1, pread(fd, buf, 1, 0));
	n = read_state(self->ids[0], again, sizeof(again));
	ASSERT_LT(1, n);
	if (!strcmp(word, again))
		EXPECT_EQ(word[0], buf[0]);
	EXPECT_EQ(1, pread(fd, buf, 1, n - 1));
	EXPECT_EQ('\n', buf[0]);
	close(fd);
}

/* The table in debugfs */

#define TABLE_SIZE	(1024 * 1024)

FIXTURE(table)
{
	int ids[MAX_GROUPS];
	int nr;
	char *text;
};

FIXTURE_SETUP(table)
{
	ssize_t n;

	if (!in_crash_kernel())
		SKIP(return, "this is no crash kernel");
	self->nr = find_groups(self->ids, MAX_GROUPS);
	self->text = malloc(TABLE_SIZE);
	ASSERT_NE(NULL, self->text);
	n = read_file(TABLE, self->text, TABLE_SIZE);
	if (n < 0 && !must_have_framework())
		SKIP(return, "%s: %s", TABLE, strerror(-n));
	ASSERT_LT(0, n);
}

FIXTURE_TEARDOWN(table)
{
	free(self->text);
}

TEST_F(table, rows_make_sense)
{
	const char *line = self->text;
	int rows = 0;

	ASSERT_EQ(0, strncmp(line, "group", 5));
	while ((line = strchr(line, '\n')) && *++line) {
		struct row row;

		ASSERT_TRUE(parse_row(line, &row)) {
			TH_LOG("%.80s", line);
		}
		rows++;
		EXPECT_TRUE(known(row.state, words, ARRAY_SIZE(words)));
		EXPECT_TRUE(known(row.type, types, ARRAY_SIZE(types)));
		/* What is carried has ranges and tables, what is blocked has not */
		if (!strcmp(row.state, "blocked")) {
			EXPECT_EQ(0, row.mapped);
		}
		if (row.mapped) {
			EXPECT_NE(0, row.ranges);
			EXPECT_NE(0, row.new_tables);
		}
	}
	EXPECT_LE(rows, self->nr);
}

/* States change while we look: equal before and after is what counts */
TEST_F(table, agrees_with_sysfs)
{
	int i;

	for (i = 0; i < self->nr; i++) {
		char before[64], after[64];
		struct row row;

		ASSERT_LT(1, read_state(self->ids[i], before, sizeof(before)));
		ASSERT_LT(0, read_file(TABLE, self->text, TABLE_SIZE));
		ASSERT_LT(1, read_state(self->ids[i], after, sizeof(after)));
		if (strcmp(before, after))
			continue;
		before[strlen(before) - 1] = '\0';
		if (!find_row(self->text, self->ids[i], &row))
			strcpy(row.state, "none");
		EXPECT_STREQ(before, row.state);
	}
}

/* Kernel addresses have 16 digits, of which the first are f */
TEST_F(table, no_kernel_pointer)
{
	EXPECT_EQ(NULL, strstr(self->text, "0x"));
	EXPECT_EQ(NULL, strstr(self->text, "ffff"));
	EXPECT_EQ(NULL, strstr(self->text, "(____ptrval____)"));
}

TEST_F(table, cannot_be_written)
{
	int fd;

	errno = 0;
	fd = open(TABLE, O_RDWR);
	if (fd < 0) {
		EXPECT_TRUE(errno == EACCES || errno == EPERM);
		return;
	}
	errno = 0;
	EXPECT_EQ(-1, write(fd, "block\n", 6));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
}

/* Small reads put together are one read, as long as nothing changes */
TEST_F(table, piecewise)
{
	char head[16];
	int fd;

	fd = open(TABLE, O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_EQ(7, read(fd, head, 7));
	EXPECT_EQ(0, memcmp(head, self->text, 7));
	ASSERT_EQ(7, read(fd, head, 7));
	EXPECT_EQ(0, memcmp(head, self->text + 7, 7));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_SET));
	ASSERT_EQ(7, read(fd, head, 7));
	EXPECT_EQ(0, memcmp(head, self->text, 7));
	errno = 0;
	EXPECT_EQ(-1, lseek(fd, -1, SEEK_SET));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
}

TEST_HARNESS_MAIN
