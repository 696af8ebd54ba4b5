// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: groups that no driver claims
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/sizes.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

/* G6: nothing to complain about */
static void test_check_good(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct kunit_iommu_entry before, after;
	unsigned int i;

	crash_boot(crash);
	kunit_iommu_get_entry(crash->iommu, 1, &before);
	crash->expect = WORKS;
	iommu_kdump_check_driverless();
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	/* Who looks maps nothing */
	for (i = 0; i < crash->nr_legacy; i++)
		KUNIT_EXPECT_EQ(test,
				iommu_iova_to_phys(dev->iommu_group->default_domain,
						   crash->legacy[i].iova + 8), 0);
	kunit_iommu_get_entry(crash->iommu, 1, &after);
	KUNIT_EXPECT_EQ(test, memcmp(&before, &after, sizeof(before)), 0);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* One that uses no table has none that could be wrong, and the same table is read once */
static void test_check_siblings(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_add_dev(crash, 0, 2);
	crash_set_entry(crash, 3, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	crash_add_dev(crash, 0, 3);
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash->expect = WORKS;
	iommu_kdump_check_driverless();
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	crash_check_end(crash);
}

/* Without memory to check it, it stays as it is */
static void test_check_without_memory(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash->expect = WORKS;
	crash->map_fails = true;
	iommu_kdump_check_driverless();
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash_check_end(crash);
}

/* G2: what is left when the bad page is out */
static void test_check_crash_memory(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	u64 root;

	root = crash_new_table(crash);
	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, root, 9);
	crash_add_legacy(crash, 2, root, 0xffe00000, SZ_16M, SZ_4K, PTE_W)
		->refused = true;
	crash_add_legacy(crash, 2, root, 0xffe01000, OLD_BUFFERS, SZ_4K, PTE_W);
	b = crash_add_dev(crash, 1, 2);
	crash_boot(crash);
	EXPECT_STATE(crash, b, KDUMP_INHERITED);
	crash->expect = WORKS;
	iommu_kdump_check_driverless();
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, a, KDUMP_INHERITED);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(b));
	crash_check_end(crash);
}

/* Persistent memory, for one, that the crashed kernel had and this one is not told of */
static void test_check_nowhere(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_add_legacy(crash, 1, OLD_RAM, 0xfd000000, NOWHERE, SZ_4K,
			 PTE_R | PTE_W);
	crash_boot(crash);
	crash->expect = WORKS;
	iommu_kdump_check_driverless();
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash_check_dma(crash, WORKS);
	/* But a driver of this kernel has no use for it */
	crash->legacy[crash->nr_legacy - 1].refused = true;
	crash_bind(crash, dev);
	crash->validated = true;
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.refused, 1);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* Also where the new domain ends, and the old table goes on */
static void test_check_beyond(struct kunit *test)
{
	const struct machine *machine = test->param_value;
	struct kunit_iommu_entry entry = {
		.mode = KUNIT_IOMMU_PAGING,
		.levels = 5,
		.id = 7,
	};
	struct crash *crash;
	struct device *dev;

	if (machine->format == KUNIT_IOMMU_ARMV8)
		kunit_skip(test, "no table of Arm's goes on where a domain ends");

	crash = crash_new(test, NULL);
	dev = crash_add_dev(crash, 0, 1);
	entry.root = crash_new_table(crash);
	kunit_iommu_set_entry(crash->iommu, 1, &entry);
	crash_add_legacy(crash, 1, 0, BIT_ULL(50), SZ_16M, SZ_4K, PTE_R | PTE_W)
		->refused = true;
	*crash_pte(crash, entry.root, 5, BIT_ULL(50), 0) =
		crash_leaf_entry(crash, SZ_16M, PTE_R | PTE_W, 0);
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash->expect = SAFE;
	iommu_kdump_check_driverless();
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.clipped, 1);
	crash->validated = true;
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_check_corrupt(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	*crash_pte(crash, OLD_RAM, 4, SZ_1G, 1) =
		crash_table_entry(crash, NOWHERE, 1);
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash->expect = SAFE;
	iommu_kdump_check_driverless();
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* A group that a driver has claimed is none of its business */
static void test_check_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_bind(crash, dev);
	crash->map_fails = true;
	crash->expect = WORKS;
	iommu_kdump_check_driverless();
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	crash_check_end(crash);
}

static struct kunit_case driverless_cases[] = {
	KUNIT_CASE_PARAM(test_check_good, crash_machines),
	KUNIT_CASE_PARAM(test_check_siblings, crash_machines),
	KUNIT_CASE_PARAM(test_check_without_memory, crash_machines),
	KUNIT_CASE_PARAM(test_check_crash_memory, crash_machines),
	KUNIT_CASE_PARAM(test_check_nowhere, crash_machines),
	KUNIT_CASE_PARAM(test_check_beyond, crash_machines),
	KUNIT_CASE_PARAM(test_check_corrupt, crash_machines),
	KUNIT_CASE_PARAM(test_check_carrying, crash_machines),
	{}
};

static struct kunit_suite driverless_suite = {
	.name = "iommu_kdump_driverless",
	.test_cases = driverless_cases,
};

kunit_test_suite(driverless_suite);
