// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: what old mappings may cost, and what is given back
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/vmstat.h>

#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"
#include "targets.h"

/* A window of PCI devices where large machines have them, of 2 TiB */
#define FAR		BIT_ULL(45)
#define FAR_SIZE	BIT_ULL(41)

static void far_window(struct iommu_kdump_targets *targets)
{
	iommu_kdump_add_range(&targets->windows, FAR, FAR + FAR_SIZE - 1);
}

static struct iommu_kdump_stats *stats_of(struct device *dev)
{
	return &dev->iommu_group->kdump->stats;
}

static struct device *identity_far(struct kunit *test, struct crash **crash)
{
	struct device *dev;

	*crash = crash_new(test, NULL);
	kunit_activate_static_stub(test, iommu_kdump_find_resources, far_window);
	dev = crash_add_dev(*crash, 0, 1);
	crash_set_entry(*crash, 1, KUNIT_IOMMU_IDENTITY, 0, 0);
	crash_add_legacy(*crash, 1, 0, OLD_BUFFERS, OLD_BUFFERS, SZ_2M,
			 PTE_R | PTE_W);
	/* Plugged in too late for the header */
	crash_add_legacy(*crash, 1, 0, NOWHERE, NOWHERE, SZ_2M, PTE_R | PTE_W);
	crash_add_legacy(*crash, 1, 0, FAR + SZ_1G, FAR + SZ_1G, SZ_2M,
			 PTE_R | PTE_W);
	crash_add_legacy(*crash, 1, 0, FAR + FAR_SIZE - SZ_4K,
			 FAR + FAR_SIZE - SZ_4K, SZ_4K, PTE_R | PTE_W);
	/* In the middle of a hole of 28 TiB, and behind the end of all */
	crash_add_legacy(*crash, 1, 0, FAR / 2, FAR / 2, SZ_4K, PTE_R)->refused =
		true;
	crash_add_legacy(*crash, 1, 0, FAR + FAR_SIZE, FAR + FAR_SIZE, SZ_4K,
			 PTE_R)->refused = true;
	return dev;
}

/* Where there was no translation, memory and windows count, and not what is between */
static void test_identity_far(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = identity_far(test, &crash);
	unsigned int flushes;

	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	/* In leaves of 1 GiB. The model of plain domains takes more for each leaf. */
	if (crash_counts_tables(crash))
		KUNIT_EXPECT_LT(test, stats_of(dev)->new_tables, SZ_64K);
	KUNIT_EXPECT_GE(test, stats_of(dev)->mapped, FAR_SIZE);
	KUNIT_EXPECT_LT(test, stats_of(dev)->mapped, 2 * FAR_SIZE);

	crash_bind(crash, dev);
	crash->expect = SAFE;
	flushes = crash->flushes;
	crash_grace_over(dev);
	KUNIT_EXPECT_LT(test, crash->flushes - flushes, 64);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* What is said to be free is free, and that is nearly all */
static void test_release_frees(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = identity_far(test, &crash);
	unsigned long before, pages;

	if (IS_ENABLED(CONFIG_SMP) || !crash_counts_tables(crash)) {
		crash_boot(crash);
		crash_check_end(crash);
		kunit_skip(test, "pages are counted exactly by generic_pt on one processor only");
	}
	crash_boot(crash);
	crash_bind(crash, dev);
	crash->expect = SAFE;
	before = global_node_page_state(NR_IOMMU_PAGES);
	pages = stats_of(dev)->new_tables >> PAGE_SHIFT;
	crash_grace_over(dev);
	KUNIT_EXPECT_EQ(test, stats_of(dev)->freed >> PAGE_SHIFT,
			before - global_node_page_state(NR_IOMMU_PAGES));
	/* What is left are tables in which there is room for something else */
	KUNIT_EXPECT_LE(test, pages - (stats_of(dev)->freed >> PAGE_SHIFT), 3);
	KUNIT_EXPECT_GE(test, stats_of(dev)->freed >> PAGE_SHIFT, 1);
	crash_check_end(crash);
}

/* One page in 72 KiB each, and no memory for so many ranges */
static void test_many_ranges(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	const u64 iova = SZ_2G, distance = 18 * SZ_4K;
	unsigned int nr = 1300, i;
	phys_addr_t phys = 0;

	/* Firmware's, between two of them */
	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu,
						    iova + 600 * distance + SZ_4K,
						    SZ_4K, IOMMU_RESV_DIRECT), 0);
	for (i = 0; i < nr; i++)
		crash_map(crash, OLD_RAM, iova + i * distance,
			  OLD_BUFFERS + SZ_64M + i * SZ_8K, SZ_4K,
			  PTE_R | PTE_W);
	crash_add_legacy(crash, 1, 0, iova, OLD_BUFFERS + SZ_64M, SZ_4K,
			 PTE_R | PTE_W);
	crash_add_legacy(crash, 1, 0, iova + (nr - 1) * distance,
			 OLD_BUFFERS + SZ_64M + (nr - 1) * SZ_8K, SZ_4K,
			 PTE_R | PTE_W);
	crash->budget = 60;
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_LE(test, stats_of(dev)->ranges, 1024);
	KUNIT_EXPECT_GE(test, stats_of(dev)->ranges, 3);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_use_new(crash, dev);
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	/* That one was never ours */
	KUNIT_EXPECT_EQ(test,
			kunit_iommu_dev_dma(dev, iova + 600 * distance + SZ_4K,
					    true, &phys), 0);
	crash_check_end(crash);
}

/* Interrupts are off meanwhile, so a shortage does not take all that there is at once */
static void test_reclaim_bounded(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct iommu_domain *domain;
	unsigned int i, left, gone = 0;
	struct iommu_kdump_iova *old;

	for (i = 0; i < 300; i++)
		crash_map(crash, OLD_RAM, SZ_2G + i * SZ_128K,
			  OLD_BUFFERS + SZ_64M + i * SZ_8K, SZ_4K,
			  PTE_R | PTE_W);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash->expect = SAFE;
	domain = dev->iommu_group->default_domain;
	old = iommu_dma_kdump_iova(domain);
	left = old->reserved.nr;
	KUNIT_ASSERT_GT(test, left, 300);
	for (i = 1; left; left -= gone) {
		KUNIT_ASSERT_TRUE(test,
				  iommu_kdump_reclaim_iova(domain,
							   iommu_dma_iova_domain(domain),
							   old, U64_MAX));
		gone = left - old->reserved.nr;
		KUNIT_EXPECT_EQ(test, gone, min(left, i));
		i = min(2 * i, 64U);
	}
	crash->forgotten = true;
	crash_check_end(crash);
}

/* Three tables, and each of the upper two leads to the next one 512 times */
static struct device *endless(struct kunit *test, struct crash **crash)
{
	struct device *dev = crash_one_device(test, crash);
	u64 table = OLD_RAM, next;
	unsigned int level, i;

	for (level = 3; level; level--) {
		next = crash_new_table(*crash);
		for (i = 0; i < 512; i++)
			crash_table(*crash, table)[i] =
				crash_table_entry(*crash, next, level);
		table = next;
	}
	(*crash)->nr_legacy = 0;
	return dev;
}

static void restore_time(void *ms)
{
	iommu_kdump_walk_ms = (unsigned long)ms;
}

static void set_time(struct kunit *test, unsigned int ms)
{
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, restore_time,
						  (void *)(unsigned long)iommu_kdump_walk_ms),
			0);
	iommu_kdump_walk_ms = ms;
}

/* No kernel has had so many tables, and a slow machine counts them all */
static void test_endless_tables(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = endless(test, &crash);

	set_time(test, UINT_MAX);
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_LE(test, stats_of(dev)->tables, 16384);
	KUNIT_EXPECT_GE(test, stats_of(dev)->tables, 16000);
	crash_use_new(crash, dev);
	crash_check_end(crash);
}

static void test_endless_time(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = endless(test, &crash);

	set_time(test, 0);
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	KUNIT_EXPECT_LE(test, stats_of(dev)->tables, 64);
	crash_use_new(crash, dev);
	crash_check_end(crash);
}

static u64 nearly_a_half(void)
{
	return totalram_pages() / 2 - 3;
}

/* What a group takes counts as long as it carries, and the others get the rest */
static void test_budget_of_all(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	u64 before = iommu_kdump_carried_pages(), now;

	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	now = iommu_kdump_carried_pages();
	KUNIT_EXPECT_GT(test, now,
			before + (stats_of(dev)->new_tables >> PAGE_SHIFT));

	kunit_deactivate_static_stub(test, iommu_kdump_table_budget);
	kunit_activate_static_stub(test, iommu_kdump_carried_pages,
				   nearly_a_half);
	KUNIT_EXPECT_LE(test, iommu_kdump_table_budget(), 3);
	kunit_deactivate_static_stub(test, iommu_kdump_carried_pages);
	KUNIT_EXPECT_GT(test, iommu_kdump_table_budget(), 3);

	crash->expect = SAFE;
	crash_grace_over(dev);
	KUNIT_EXPECT_EQ(test, iommu_kdump_carried_pages(), before);
	crash_check_end(crash);
}

/* A group that goes away takes what it has cost along */
static void test_budget_of_removed(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = identity_far(test, &crash);
	u64 before = iommu_kdump_carried_pages();

	/* Without a driver, which would release the group when it goes */
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_GT(test, iommu_kdump_carried_pages(), before);
	crash->expect = SAFE;
	crash_power_off(crash);
	KUNIT_EXPECT_EQ(test, iommu_kdump_carried_pages(), before);
	crash_check_end(crash);
}

static struct kunit_case cost_cases[] = {
	KUNIT_CASE_PARAM(test_identity_far, crash_machines),
	KUNIT_CASE_PARAM(test_release_frees, crash_machines),
	KUNIT_CASE(test_many_ranges),
	KUNIT_CASE(test_reclaim_bounded),
	KUNIT_CASE_PARAM(test_endless_tables, crash_machines),
	KUNIT_CASE(test_endless_time),
	KUNIT_CASE_PARAM(test_budget_of_all, crash_machines),
	KUNIT_CASE(test_budget_of_removed),
	{}
};

static struct kunit_suite cost_suite = {
	.name = "iommu_kdump_cost",
	.test_cases = cost_cases,
};

kunit_test_suite(cost_suite);
