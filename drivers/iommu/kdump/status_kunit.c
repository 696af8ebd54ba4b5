// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: what people see
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"
#include "trace.h"

/* What is in the table, read as debugfs does */

static char *read_table(struct kunit *test)
{
	struct seq_file s = {
		.size = SZ_64K,
	};

	s.buf = kunit_kzalloc(test, s.size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s.buf);
	KUNIT_ASSERT_EQ(test, iommu_kdump_status_show(&s, NULL), 0);
	KUNIT_ASSERT_FALSE(test, seq_has_overflowed(&s));
	return s.buf;
}

struct status_row {
	char state[16];
	char type[16];
	unsigned long long ranges, mapped, reserved, given_back, new_tables;
	unsigned long long old_tables, bad, refused, clipped, us;
	char rest[160];
};

/* id, state, type, the counts, the reason */
#define ROW_FORMAT	"%d %15s %15s " \
			"%llu %llu %llu %llu " \
			"%llu %llu %llu %llu %llu %llu " \
			"%159[^\n]"

static bool find_row(const char *table, int group, struct status_row *row)
{
	const char *line = table;
	int id;

	while ((line = strchr(line, '\n')) && *++line) {
		memset(row, 0, sizeof(*row));
		KUNIT_EXPECT_EQ(the_crash->test,
				sscanf(line, ROW_FORMAT,
				       &id, row->state, row->type, &row->ranges,
				       &row->mapped, &row->reserved,
				       &row->given_back, &row->new_tables,
				       &row->old_tables, &row->bad,
				       &row->refused, &row->clipped, &row->us,
				       row->rest), 14);
		if (id == group)
			return true;
	}
	return false;
}

static void expect_row(struct kunit *test, struct device *dev,
		       const char *state, const char *type,
		       struct status_row *row)
{
	char *table = read_table(test);

	KUNIT_ASSERT_TRUE(test, find_row(table, dev->iommu_group->id, row));
	KUNIT_EXPECT_STREQ(test, row->state, state);
	KUNIT_EXPECT_STREQ(test, row->type, type);
	KUNIT_EXPECT_NOT_NULL(test, strstr(row->rest, dev_name(dev)));
	KUNIT_EXPECT_NULL(test, strstr(table, "0x"));
}

/* One group has a page that must not be carried, the other one a corrupt table */
static struct device *good_and_bad(struct kunit *test, struct crash **crash,
				   struct device **bad)
{
	struct device *good = crash_one_device(test, crash);
	u64 root;

	*bad = crash_add_dev(*crash, 1, 2);
	root = crash_translated(*crash, 2, 6);
	*crash_pte(*crash, root, 4, SZ_1G, 1) =
		crash_table_entry(*crash, NOWHERE, 1);
	crash_add_legacy(*crash, 1, OLD_RAM, 0xfffe0000, NOWHERE, SZ_4K,
			 PTE_R | PTE_W)
		->refused = true;
	return good;
}

static void test_status_table(struct kunit *test)
{
	struct device *blocked, *dev;
	struct status_row row;
	struct crash *crash;
	unsigned int i;
	u64 bytes = 0;

	dev = good_and_bad(test, &crash, &blocked);
	crash_boot(crash);
	expect_row(test, dev, "inherited", "paging", &row);
	KUNIT_EXPECT_EQ(test, row.mapped + row.new_tables + row.us, 0);

	crash_bind(crash, dev);
	expect_row(test, dev, "carrying", "paging", &row);
	for (i = 0; i < crash->nr_legacy; i++)
		if (crash->legacy[i].rid == 1 && !crash->legacy[i].refused)
			bytes += crash->legacy[i].size;
	KUNIT_EXPECT_EQ(test, row.mapped, bytes / SZ_1K);
	KUNIT_EXPECT_GE(test, row.reserved, row.mapped);
	KUNIT_EXPECT_NE(test, row.ranges, 0);
	KUNIT_EXPECT_GT(test, row.old_tables, 2);
	/* Two levels of tables at least, besides the top that was there */
	if (crash_counts_tables(crash)) {
		KUNIT_EXPECT_GE(test, row.new_tables, 8);
		KUNIT_EXPECT_LE(test, row.new_tables, 64);
	}
	KUNIT_EXPECT_NE(test, row.new_tables, 0);
	KUNIT_EXPECT_EQ(test, row.refused, 1);
	KUNIT_EXPECT_EQ(test, row.bad + row.clipped + row.given_back, 0);
	KUNIT_EXPECT_NOT_NULL(test, strstr(row.rest, "  -"));

	crash->expect = SAFE;
	crash_bind(crash, blocked);
	expect_row(test, blocked, "blocked", "paging", &row);
	KUNIT_EXPECT_EQ(test, row.mapped, 0);
	KUNIT_EXPECT_NOT_NULL(test, strstr(row.rest, "corrupt"));

	kunit_iommu_remove_device(dev);
	read_table(test);
}

/* Tracepoints: what has been seen of each, with a field that matters */

#ifdef CONFIG_TRACEPOINTS
static struct {
	unsigned int joins, imports, attaches, blocks, releases;
	unsigned int refusals[KDUMP_REFUSED_WIDTH + 1];
	u64 mapped;
	u64 refused_iova;
	const char *reason;
} seen;

static void see_join(void *data, int group, struct device *dev,
		     const struct iommu_kdump_tables *tables, bool dma,
		     int error)
{
	seen.joins++;
}

static void see_refuse(void *data, int group, u64 iova, u64 phys, u64 size,
		       enum iommu_kdump_refusal why)
{
	seen.refusals[why]++;
	seen.refused_iova = iova;
}

static void see_import(void *data, int group,
		       const struct iommu_kdump_stats *stats, int error)
{
	seen.imports++;
	seen.mapped += stats->mapped;
}

static void see_attach(void *data, int group, const char *state, int error)
{
	seen.attaches++;
}

static void see_block(void *data, int group, const char *reason)
{
	seen.blocks++;
	seen.reason = reason;
}

static void see_release(void *data, int group, u64 ns)
{
	seen.releases++;
}

static void see_nothing_more(void *unused)
{
	unregister_trace_iommu_kdump_release(see_release, NULL);
	unregister_trace_iommu_kdump_block(see_block, NULL);
	unregister_trace_iommu_kdump_attach(see_attach, NULL);
	unregister_trace_iommu_kdump_import(see_import, NULL);
	unregister_trace_iommu_kdump_refuse(see_refuse, NULL);
	unregister_trace_iommu_kdump_join(see_join, NULL);
	tracepoint_synchronize_unregister();
}

static void test_trace(struct kunit *test)
{
	struct device *blocked, *dev;
	struct crash *crash;

	memset(&seen, 0, sizeof(seen));
	register_trace_iommu_kdump_join(see_join, NULL);
	register_trace_iommu_kdump_refuse(see_refuse, NULL);
	register_trace_iommu_kdump_import(see_import, NULL);
	register_trace_iommu_kdump_attach(see_attach, NULL);
	register_trace_iommu_kdump_block(see_block, NULL);
	register_trace_iommu_kdump_release(see_release, NULL);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, see_nothing_more, NULL),
			0);

	dev = good_and_bad(test, &crash, &blocked);
	crash_boot(crash);
	KUNIT_EXPECT_EQ(test, seen.joins, 2);
	KUNIT_EXPECT_EQ(test, seen.attaches, 0);

	crash_bind(crash, dev);
	KUNIT_EXPECT_EQ(test, seen.imports, 1);
	KUNIT_EXPECT_EQ(test, seen.attaches, 1);
	KUNIT_EXPECT_EQ(test, seen.mapped,
			dev->iommu_group->kdump->stats.mapped);
	KUNIT_EXPECT_EQ(test, seen.refusals[KDUMP_REFUSED_TARGET], 1);
	KUNIT_EXPECT_EQ(test, seen.refused_iova, 0xfffe0000);
	KUNIT_EXPECT_EQ(test, seen.blocks, 0);

	crash->expect = SAFE;
	crash_bind(crash, blocked);
	KUNIT_EXPECT_EQ(test, seen.imports, 2);
	KUNIT_EXPECT_EQ(test, seen.blocks, 1);
	KUNIT_EXPECT_STREQ(test, seen.reason, "table or entry is corrupt");
	crash_grace_over(dev);
	KUNIT_EXPECT_EQ(test, seen.releases, 1);
}
#else
static void test_trace(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_TRACEPOINTS");
}
#endif

static struct kunit_case status_cases[] = {
	KUNIT_CASE_PARAM(test_status_table, crash_machines),
	KUNIT_CASE_PARAM(test_trace, crash_machines),
	{}
};

static struct kunit_suite status_suite = {
	.name = "iommu_kdump_status",
	.test_cases = status_cases,
};

kunit_test_suite(status_suite);
