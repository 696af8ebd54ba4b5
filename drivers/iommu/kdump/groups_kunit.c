// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: groups of several devices
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sizes.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

#include "crash_kunit.h"
#include "kdump.h"

/* One that no driver claims keeps the old mappings alive for all */
static void test_group_driverless_holds(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, a);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(a));
	crash_grace_over(a);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);

	/* Until it gets a driver */
	crash_bind(crash, b);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(a));
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_grace_over(a);
	crash_check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->released, 2);
	crash_check_end(crash);
}

/* One that hardware has blocked all the time has nothing to hold */
static void test_group_blocked_does_not_hold(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	crash_set_entry(crash, 2, KUNIT_IOMMU_BLOCKED, 0, 0);
	b = crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	crash_bind(crash, a);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(a));
	crash->expect = SAFE;
	crash_grace_over(a);
	EXPECT_STATE(crash, b, KDUMP_RELEASED);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* ... or goes away */
static void test_group_driverless_removed(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	b = crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_check_dma(crash, WORKS);
	kunit_iommu_remove_device(b);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(a));
	crash->expect = SAFE;
	crash_grace_over(a);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* Devices that share a requester ID: one driver moves both, hitless */
static void test_group_aliased(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	struct device *b = crash_add_dev(crash, 0, 1);

	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, WORKS);
	crash_unmap_new(crash);
	crash->expect = SAFE;
	kunit_iommu_unbind(a);
	crash_grace_over(b);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* Different old tables of one group are carried together */
static void test_group_two_tables(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	u64 root;

	root = crash_new_table(crash);
	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, root, 9);
	crash_add_legacy(crash, 2, root, 0xfe000000, OLD_BUFFERS + SZ_64M,
			 SZ_64K, PTE_R | PTE_W);
	crash_add_legacy(crash, 2, root, 0xfd000000, OLD_BUFFERS + SZ_128M,
			 SZ_2M, PTE_R);
	b = crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	crash_bind(crash, b);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 2);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash_unmap_new(crash);
	crash->expect = SAFE;
	crash_grace_over(a);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_group_same_mapping_twice(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	u64 root = crash_new_table(crash);

	/* A copy of one mapping, small pages where the other has a large one */
	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, root, 9);
	crash_add_legacy(crash, 2, root, 0xfffff000, OLD_BUFFERS + SZ_16M,
			 SZ_4K, PTE_R | PTE_W);
	crash_add_legacy(crash, 2, root, 0xff810000,
			 OLD_BUFFERS + SZ_16M + SZ_2M + SZ_64K, SZ_32K,
			 PTE_R | PTE_W);
	crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	crash_bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* The second table has lower IOVAs than the first, the third the same as that */
static void test_group_three_tables(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	u64 root = crash_new_table(crash);

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, root, 9);
	crash_add_legacy(crash, 2, root, SZ_1G, OLD_BUFFERS + SZ_64M, SZ_4K,
			 PTE_R | PTE_W);
	crash_add_dev(crash, 0, 2);
	root = crash_new_table(crash);
	crash_set_entry(crash, 3, KUNIT_IOMMU_PAGING, root, 10);
	crash_add_legacy(crash, 3, root, 0xfffff000, OLD_BUFFERS + SZ_16M,
			 SZ_4K, PTE_R | PTE_W);
	crash_add_legacy(crash, 3, root, SZ_1G, OLD_BUFFERS + SZ_64M, SZ_4K,
			 PTE_R | PTE_W);
	crash_add_dev(crash, 0, 3);
	crash_boot(crash);
	crash_bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 3);
	crash_check_end(crash);
}

#define RANDOM_PAGES	96

/* Pages of two old tables, as a model of what has to become of them */
struct random_page {
	u64 phys;
	u64 prot;
	/* In the table of the first device, of the second one */
	bool in[2];
};

static u64 random_iova(unsigned int i)
{
	/* Over the end of a table, and of the one above it */
	return SZ_1G - RANDOM_PAGES / 2 * SZ_4K + (u64)i * SZ_4K;
}

static void random_pages(struct rnd_state *rnd, struct random_page *pages)
{
	unsigned int i = 0, left;

	while (i < RANDOM_PAGES) {
		u32 r = prandom_u32_state(rnd);
		struct random_page page = {
			.phys = OLD_BUFFERS + SZ_128M + (r >> 16) % 3 * SZ_16M,
			.prot = r & BIT(8) ? PTE_R : PTE_R | PTE_W,
			.in = { r & BIT(0), r & BIT(1) },
		};

		for (left = 1 + (r >> 20) % 24; left && i < RANDOM_PAGES; left--, i++) {
			pages[i] = page;
			pages[i].phys += i * SZ_4K;
		}
	}
}

static void check_random_pages(struct crash *crash,
			       const struct random_page *pages, unsigned int seed)
{
	unsigned int i, rid;

	for (i = 0; i < RANDOM_PAGES; i++) {
		bool mapped = pages[i].in[0] || pages[i].in[1];

		for (rid = 1; rid <= 2; rid++) {
			phys_addr_t phys = 0, written;
			int ret = kunit_iommu_dma(crash->iommu, rid,
						  random_iova(i) + 8, false,
						  &phys);
			int ret_write = kunit_iommu_dma(crash->iommu, rid,
							random_iova(i), true,
							&written);

			if (!ret == mapped &&
			    (!mapped || phys == pages[i].phys + 8) &&
			    !ret_write == (mapped && pages[i].prot & PTE_W))
				continue;
			KUNIT_FAIL(crash->test,
				   "page %u of device %u, seed %u: %d, %d, %pa", i,
				   rid, seed, ret, ret_write, &phys);
			return;
		}
	}
}

/* Runs of pages that are in one table, in the other, in both, and not the same there */
static void test_group_random_tables(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	unsigned int seed = get_random_u32(), n, i, t;
	struct random_page *pages;
	struct rnd_state rnd;

	pages = kunit_kcalloc(test, RANDOM_PAGES, sizeof(*pages), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	prandom_seed_state(&rnd, seed);
	crash->expect = SAFE;
	for (n = 0; n < 60; n++) {
		unsigned int contradicts = RANDOM_PAGES;
		struct device *dev;
		u64 root[2];

		random_pages(&rnd, pages);
		if (n % 4 == 0) {
			i = prandom_u32_state(&rnd) % RANDOM_PAGES;
			if (pages[i].in[0] && pages[i].in[1])
				contradicts = i;
		}
		memset(crash->tables, 0, OLD_TABLES * PAGE_SIZE);
		crash->nr_tables = 0;
		for (t = 0; t < 2; t++) {
			root[t] = crash_new_table(crash);
			crash_set_entry(crash, 1 + t, KUNIT_IOMMU_PAGING,
					root[t], 7 + t);
			dev = crash_add_dev(crash, 0, 1 + t);
		}
		for (i = 0; i < RANDOM_PAGES; i++)
			for (t = 0; t < 2; t++)
				if (pages[i].in[t])
					crash_map(crash, root[t], random_iova(i),
						  pages[i].phys +
							  (t && i == contradicts ? SZ_4K : 0),
						  SZ_4K, pages[i].prot);
		crash_boot(crash);
		crash_bind(crash, dev);
		if (contradicts < RANDOM_PAGES) {
			EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
			memset(pages, 0, RANDOM_PAGES * sizeof(*pages));
		} else {
			EXPECT_STATE(crash, dev, KDUMP_CARRYING);
		}
		check_random_pages(crash, pages, seed);
		crash_power_off(crash);
		if (test->status != KUNIT_SUCCESS) {
			kunit_err(test, "number %u of seed %u", n, seed);
			return;
		}
	}
	crash_check_end(crash);
}

static void test_group_contradiction_blocks(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);

	crash_translated(crash, 2, 9);
	crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_use_new(crash, a);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* What firmware wants is not an old mapping, and survives */
static void test_blocked_keeps_direct_region(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	phys_addr_t phys = 0;

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xfd000000,
						    SZ_64K, IOMMU_RESV_DIRECT), 0);
	crash_translated(crash, 2, 9);
	crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(a, 0xfd000000, true, &phys),
			0);
	KUNIT_EXPECT_EQ(test, phys, 0xfd000000);
	crash_use_new(crash, a);
	crash_check_end(crash);
}

static void test_group_identity_and_paging_blocks(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);

	crash_set_entry(crash, 2, KUNIT_IOMMU_IDENTITY, 0, 0);
	crash_add_dev(crash, 0, 2);
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_use_new(crash, a);
	crash_check_end(crash);
}

/* Two groups: what happens to one does not concern the other */
static void test_two_groups(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	b = crash_add_dev(crash, 1, 2);
	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM + SZ_1G + SZ_4K,
			9);
	crash_boot(crash);
	crash_bind(crash, b);
	EXPECT_STATE(crash, b, KDUMP_BLOCKED);
	EXPECT_STATE(crash, a, KDUMP_INHERITED);
	crash_check_dma(crash, WORKS);
	crash_map_new(crash, b);
	crash_check_new(crash);
	crash_bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* One device with two IDs, whose DMA has the one or the other */
static struct device *add_two_ids(struct crash *crash)
{
	static const u32 ids[] = { 1, 2 };
	struct device *dev = kunit_iommu_add_device(crash->iommu, 0, ids,
						    ARRAY_SIZE(ids));

	KUNIT_ASSERT_NOT_ERR_OR_NULL(crash->test, dev);
	return dev;
}

static void test_ids_alike(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	u64 root = crash_translated(crash, 1, 7);
	struct device *dev;

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, root, 7);
	crash_add_legacy(crash, 2, root, 0xfd000000, OLD_BUFFERS, SZ_4K,
			 PTE_R | PTE_W);
	dev = add_two_ids(crash);
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash->expect = WORKS;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* Nobody sets that up: which of the two is wrong is not known */
static void test_ids_differ(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *dev;

	crash_translated(crash, 1, 7);
	crash_translated(crash, 2, 8);
	dev = add_two_ids(crash);
	crash->expect = SAFE;
	crash_boot(crash);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static struct kunit_case groups_cases[] = {
	KUNIT_CASE_PARAM(test_group_driverless_holds, crash_machines),
	KUNIT_CASE_PARAM(test_group_driverless_removed, crash_machines),
	KUNIT_CASE_PARAM(test_group_blocked_does_not_hold, crash_machines),
	KUNIT_CASE_PARAM(test_group_aliased, crash_machines),
	KUNIT_CASE_PARAM(test_group_two_tables, crash_machines),
	KUNIT_CASE_PARAM(test_group_same_mapping_twice, crash_machines),
	KUNIT_CASE_PARAM(test_group_three_tables, crash_machines),
	KUNIT_CASE_PARAM(test_group_random_tables, crash_machines),
	KUNIT_CASE_PARAM(test_group_contradiction_blocks, crash_machines),
	KUNIT_CASE_PARAM(test_blocked_keeps_direct_region, crash_machines),
	KUNIT_CASE_PARAM(test_group_identity_and_paging_blocks, crash_machines),
	KUNIT_CASE_PARAM(test_ids_alike, crash_machines),
	KUNIT_CASE_PARAM(test_ids_differ, crash_machines),
	KUNIT_CASE_PARAM(test_two_groups, crash_machines),
	{}
};

static struct kunit_suite groups_suite = {
	.name = "iommu_kdump_groups",
	.test_cases = groups_cases,
};

kunit_test_suite(groups_suite);
