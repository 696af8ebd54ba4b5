// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: IOVAs of the crashed kernel
 */

#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/iova.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

/* G4: the tables do not tell any more what is still in use */

static void wiped_tables(struct crash *crash, struct device *dev,
			 enum iommu_kdump_state expected)
{
	kunit_deactivate_static_stub(crash->test, iommu_kdump_wants_low);
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, expected);
	/* Its driver does not stop it */
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	if (expected != KDUMP_NONE)
		crash_grace_over(dev);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_wiped_top(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	memset(crash->tables, 0, PAGE_SIZE);
	wiped_tables(crash, dev, KDUMP_CARRYING);
}

static void test_wiped_leaves(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	memset(crash_pte(crash, OLD_RAM, 4, 0xffe00000, 0), 0, PAGE_SIZE);
	crash->nr_legacy--;		/* a leaf of 2 MiB, in another table */
	wiped_tables(crash, dev, KDUMP_CARRYING);
}

static void test_wiped_entry(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_set_entry(crash, 1, KUNIT_IOMMU_BLOCKED, 0, 0);
	wiped_tables(crash, dev, KDUMP_NONE);
}

/* What is blocked goes on, at IOVAs that nobody has read: new ones keep off */
static void test_blocked_prefers_low(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	unsigned int i;

	*crash_pte(crash, OLD_RAM, 4, SZ_512G, 2) =
		crash_table_entry(crash, NOWHERE, 2);
	kunit_deactivate_static_stub(test, iommu_kdump_wants_low);
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_use_new(crash, dev);
	for (i = 0; i < crash->nr_new; i++)
		KUNIT_EXPECT_LT(test, crash->new[i].iova, SZ_1G);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* So much garbage that all of the low IOVAs would be gone: they are for new mappings */
static void test_bad_entries_leave_room(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	unsigned int i;

	for (i = 0; i < 512; i++)
		*crash_pte(crash, OLD_RAM, 4, (u64)i * SZ_2M, 1) =
			(OLD_BUFFERS + SZ_4K) | PTE_R | PTE_W | PTE_PS;
	kunit_deactivate_static_stub(test, iommu_kdump_wants_low);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_map_new(crash, dev);
	KUNIT_EXPECT_LT(test, crash->new[0].iova, SZ_1G);
	/* A few of them are not garbage, but damage */
	KUNIT_EXPECT_GE(test, crash->new[0].iova, SZ_64M);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

static int no_node(struct iova_domain *iovad, unsigned long size, u64 limit,
		   bool flush, unsigned long *pfn)
{
	return -ENOMEM;
}

/* Memory that is short for a moment is no shortage of IOVAs */
static void test_no_node(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct page *page = virt_to_page(crash);
	unsigned int i;

	kunit_deactivate_static_stub(test, iommu_kdump_wants_low);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	kunit_activate_static_stub(test, iommu_kdump_try_iova, no_node);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test,
				dma_map_page(dev, page, 0, SZ_4K,
					     DMA_BIDIRECTIONAL),
				DMA_MAPPING_ERROR);
	kunit_deactivate_static_stub(test, iommu_kdump_try_iova);
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_given_back(dev->iommu_group->default_domain),
			0);
	crash_map_new(crash, dev);
	KUNIT_EXPECT_LT(test, crash->new[0].iova, SZ_1G);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* Below 1 GiB as long as there is room, and nothing is lost when there is none */
static void test_wiped_no_room(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct iova_domain *iovad;
	unsigned int i;

	memset(crash->tables, 0, PAGE_SIZE);
	kunit_deactivate_static_stub(test, iommu_kdump_wants_low);
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	crash_map_new(crash, dev);
	KUNIT_EXPECT_LT(test, crash->new[0].iova, SZ_1G);
	iovad = iommu_dma_iova_domain(dev->iommu_group->default_domain);
	for (i = iova_pfn(iovad, SZ_1G); i; i /= 2)
		while (alloc_iova(iovad, i, iova_pfn(iovad, SZ_1G) - 1, false))
			cond_resched();
	for (i = 0; i < crash->nr_legacy; i++)
		crash->legacy[i].reused = true;
	crash->forgotten = true;
	for (i = 0; i < 40; i++) {
		crash_map_new(crash, dev);
		KUNIT_EXPECT_GE(test, crash->new[crash->nr_new - 1].iova, SZ_1G);
		KUNIT_EXPECT_LE(test, crash->new[crash->nr_new - 1].iova, U32_MAX);
	}
	crash_check_new(crash);
	crash_check_end(crash);
}

/* G4: what is refused is not mapped, and its IOVA not handed out either */
static void test_refused_reserved(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	/* In the middle of the highest gap, too far away to be merged */
	crash_add_legacy(crash, 1, OLD_RAM, 0xfffc0000, NOWHERE, SZ_4K,
			 PTE_R | PTE_W)
		->refused = true;
	crash_boot(crash);
	crash->expect = WORKS;
	crash_bind(crash, dev);
	crash->validated = true;
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* The same for an entry that cannot be right: a large page that is misaligned */
static void test_bad_entry_reserved(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *dev = crash_add_dev(crash, 0, 1);
	u64 root = crash_new_table(crash);

	crash_set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	crash_add_legacy(crash, 1, root, 0xffc00000, OLD_BUFFERS, SZ_2M,
			 PTE_R | PTE_W);
	*crash_pte(crash, root, 4, 0xffe00000, 1) = (OLD_BUFFERS + SZ_4K) |
						    PTE_R | PTE_W | PTE_PS;
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.bad,
			SZ_2M / SZ_4K);
	/* Not carried, so that it faults from here on */
	crash_add_legacy(crash, 1, 0, 0xffe00000, OLD_BUFFERS + SZ_4K, SZ_2M,
			 PTE_R | PTE_W)
		->refused = true;
	crash->validated = true;
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* G5: also where the IOVAs belong to somebody else, as a PCI window does */
static void test_released_shared(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct iova_domain *iovad;

	crash_boot(crash);
	iovad = iommu_dma_iova_domain(dev->iommu_group->default_domain);
	KUNIT_ASSERT_NOT_NULL(test, iovad);
	/* The large page of crash_translated() */
	KUNIT_ASSERT_NOT_NULL(test,
			      reserve_iova(iovad, iova_pfn(iovad, 0xff800000),
					   iova_pfn(iovad, 0xff9fffff)));
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_use_new(crash, dev);
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	KUNIT_EXPECT_NOT_NULL(test,
			      find_iova(iovad, iova_pfn(iovad, 0xff800000)));
	crash_check_end(crash);
}

/* Old IOVAs lie around nodes of others: neither merged with, nor overlapped */
static void test_reserve_gaps(struct kunit *test)
{
	static const struct {
		unsigned long lo, hi;
		int ret;
		unsigned long first, last;
	} gaps[] = {
		{ 20, 29, -ENOENT },
		{ 22, 25, -ENOENT },
		{ 29, 29, -ENOENT },
		{ 10, 20, 0, 10, 19 },
		{ 10, 19, -ENOENT },
		{ 29, 30, 0, 30, 30 },
		{ 25, 60, 0, 31, 39 },
		{ 40, 40, -ENOENT },
		{ 40, 60, 0, 41, 60 },
		{ 9, 61, 0, 9, 9 },
		{ 10, 61, 0, 61, 61 },
		{ 9, 61, -ENOENT },
	};
	struct iova_domain iovad = {};
	unsigned int i;

	KUNIT_ASSERT_EQ(test, iova_cache_get(), 0);
	init_iova_domain(&iovad, SZ_4K, 1);
	KUNIT_EXPECT_NOT_NULL(test, reserve_iova(&iovad, 20, 29));
	KUNIT_EXPECT_NOT_NULL(test, reserve_iova(&iovad, 40, 40));
	for (i = 0; i < ARRAY_SIZE(gaps); i++) {
		unsigned long lo = gaps[i].lo, hi = gaps[i].hi;

		KUNIT_EXPECT_EQ_MSG(test,
				    reserve_iova_gap(&iovad, &lo, &hi,
						     GFP_KERNEL),
				    gaps[i].ret, "number %u", i);
		if (gaps[i].ret)
			continue;
		KUNIT_EXPECT_EQ_MSG(test, lo, gaps[i].first, "number %u", i);
		KUNIT_EXPECT_EQ_MSG(test, hi, gaps[i].last, "number %u", i);
	}
	/* Each is a node of its own, that can be given back alone */
	free_iova(&iovad, 10);
	KUNIT_EXPECT_PTR_EQ(test, find_iova(&iovad, 19), NULL);
	KUNIT_EXPECT_NOT_NULL(test, find_iova(&iovad, 20));
	KUNIT_EXPECT_NOT_NULL(test, find_iova(&iovad, 9));
	put_iova_domain(&iovad);
	iova_cache_put();
}

/* Up to the last address that there is, and across ranges that touch */
static void test_ranges_contain(struct kunit *test)
{
	struct iommu_kdump_range there[] = {
		{ 0x1000, 0x1fff }, { 0x2000, 0x2fff }, { 0x5000, U64_MAX },
	};
	struct iommu_kdump_ranges ranges = {
		.r = there, .nr = ARRAY_SIZE(there),
	};
	static const struct {
		u64 first, last;
		bool contained;
	} cases[] = {
		{ 0x1000, 0x1fff, true },
		{ 0x1800, 0x27ff, true },
		{ 0x2fff, 0x2fff, true },
		{ 0x1000, 0x3000, false },
		{ 0xfff, 0x1000, false },
		{ 0, 0, false },
		{ 0x3000, 0x4fff, false },
		{ 0x4fff, U64_MAX, false },
		{ 0x5000, U64_MAX, true },
		{ U64_MAX, U64_MAX, true },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct iommu_kdump_range one[] = {
			{ 0x5000, 0x5fff },
			{ cases[i].first, cases[i].last },
		};
		struct iommu_kdump_ranges part = { .r = one, .nr = 2 };

		KUNIT_EXPECT_EQ_MSG(test,
				    iommu_kdump_ranges_contain(&ranges, &part),
				    cases[i].contained, "number %u", i);
	}
}

/* G7: reserved IOVAs give way before an allocation fails */
static void iova_pressure(struct kunit *test, bool released)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *dev = crash_add_dev(crash, 0, 1);
	u64 root = crash_new_table(crash), limit = SZ_4M;
	unsigned int i, n = 0, want = 700;
	dma_addr_t *iovas;
	void *buf;

	/* All even 128K below 4M are old, which leaves 512 pages */
	crash_set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	for (i = 0; i < limit / SZ_256K; i++)
		crash_add_legacy(crash, 1, root, i * SZ_256K + SZ_128K,
				 OLD_BUFFERS + i * SZ_256K, SZ_128K,
				 PTE_R | PTE_W);
	crash_boot(crash);
	crash_bind(crash, dev);
	crash_check_dma(crash, WORKS);
	if (released) {
		crash->expect = SAFE;
		crash_grace_over(dev);
		crash_check_dma(crash, FAULTS);
	}
	KUNIT_ASSERT_EQ(test, dma_set_mask_and_coherent(dev, limit - 1), 0);
	iovas = kunit_kcalloc(test, want, sizeof(*iovas), GFP_KERNEL);
	buf = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, iovas);
	KUNIT_ASSERT_NOT_NULL(test, buf);

	crash->expect = SAFE;
	/* An old IOVA that is given back is not the old kernel's any more */
	crash->nr_legacy = 0;
	for (i = 0; i < want; i++) {
		phys_addr_t phys = 0;

		iovas[i] = dma_map_single(dev, buf, SZ_4K, DMA_BIDIRECTIONAL);
		if (dma_mapping_error(dev, iovas[i]))
			break;
		n++;
		KUNIT_EXPECT_EQ(test,
				kunit_iommu_dev_dma(dev, iovas[i], true, &phys),
				0);
		KUNIT_EXPECT_EQ(test, phys, virt_to_phys(buf));
	}
	KUNIT_EXPECT_EQ(test, n, want);
	while (n--)
		dma_unmap_single(dev, iovas[n], SZ_4K, DMA_BIDIRECTIONAL);
	if (!released)
		crash_grace_over(dev);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
	crash_check_end(crash);
}

static void test_iova_pressure_carrying(struct kunit *test)
{
	iova_pressure(test, false);
}

static void test_iova_pressure_released(struct kunit *test)
{
	iova_pressure(test, true);
}

/* Regions of the firmware: not imported over, not handed out */
static void test_direct_region(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	phys_addr_t phys = 0;

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xfe000000,
						    SZ_64K, IOMMU_RESV_DIRECT), 0);
	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xfee00000,
						    SZ_1M, IOMMU_RESV_RESERVED), 0);
	crash_map(crash, OLD_RAM, 0xfe000000, 0xfe000000, SZ_64K,
		  PTE_R | PTE_W);
	/* Neighbours of the region, which would be merged without it */
	crash_add_legacy(crash, 1, OLD_RAM, 0xfe000000 - SZ_8K,
			 OLD_BUFFERS + SZ_128M, SZ_8K, PTE_R | PTE_W);
	crash_add_legacy(crash, 1, OLD_RAM, 0xfe010000,
			 OLD_BUFFERS + SZ_128M + SZ_64K, SZ_8K, PTE_R | PTE_W);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, 0xfe000000, true, &phys),
			0);
	crash_use_new(crash, dev);
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	/* The firmware's mapping outlives the release */
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, 0xfe00f000, true, &phys),
			0);
	KUNIT_EXPECT_EQ(test, phys, 0xfe00f000);
	crash_check_end(crash);
}

/* IOVAs are given back from the top of what the device reaches, 1, 2, 4 at a time */
static void test_iova_pressure_order(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *dev = crash_add_dev(crash, 0, 1);
	u64 root = crash_new_table(crash);
	struct iommu_kdump_iova *old;
	struct iommu_domain *domain;
	unsigned int i, left = 8, step;
	struct iova_domain *iovad;

	/* Too far apart to be merged */
	crash_set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	for (i = 0; i < left; i++)
		crash_add_legacy(crash, 1, root, SZ_1M + i * SZ_128K,
				 OLD_BUFFERS + i * SZ_128K, SZ_4K,
				 PTE_R | PTE_W);
	crash_boot(crash);
	crash_bind(crash, dev);
	crash_check_dma(crash, WORKS);
	domain = dev->iommu_group->default_domain;
	iovad = iommu_dma_iova_domain(domain);
	old = iommu_dma_kdump_iova(domain);
	KUNIT_ASSERT_EQ(test, old->reserved.nr, left);

	/* A device that reaches none of them may ask as often as it likes */
	for (i = 0; i < 40; i++)
		KUNIT_EXPECT_FALSE(test,
				   iommu_kdump_reclaim_iova(domain, iovad, old,
							    SZ_1M - 1));

	/* The highest one is out of reach */
	crash->expect = SAFE;
	for (step = 1; left > 1; step *= 2) {
		unsigned int n = min(step, left - 1);

		KUNIT_EXPECT_TRUE(test,
				  iommu_kdump_reclaim_iova(domain, iovad, old,
							   SZ_1M + 7 * SZ_128K -
							   1));
		for (i = 0; i < n; i++)
			crash->legacy[--left - 1].refused = true;
		KUNIT_EXPECT_EQ(test, old->reserved.nr, left);
		crash->validated = true;
		crash_check_dma(crash, WORKS);
		crash->expect = SAFE;
	}
	KUNIT_EXPECT_FALSE(test,
			   iommu_kdump_reclaim_iova(domain, iovad, old,
						    SZ_1M + 7 * SZ_128K - 1));
	KUNIT_EXPECT_TRUE(test,
			  iommu_kdump_reclaim_iova(domain, iovad, old, U32_MAX));
	KUNIT_EXPECT_FALSE(test,
			   iommu_kdump_reclaim_iova(domain, iovad, old,
						    U32_MAX));
	crash_check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, old->reclaimed, 8);
	crash_check_end(crash);
}

static struct kunit_case reserve_cases[] = {
	KUNIT_CASE_PARAM(test_wiped_top, crash_machines),
	KUNIT_CASE_PARAM(test_wiped_leaves, crash_machines),
	KUNIT_CASE_PARAM(test_wiped_entry, crash_machines),
	KUNIT_CASE_PARAM(test_blocked_prefers_low, crash_machines),
	KUNIT_CASE_PARAM(test_no_node, crash_machines),
	KUNIT_CASE_PARAM(test_wiped_no_room, crash_machines),
	KUNIT_CASE_PARAM(test_refused_reserved, crash_machines),
	/* Sizes of AMD's large pages are in the address: none is misaligned */
	KUNIT_CASE(test_bad_entry_reserved),
	KUNIT_CASE(test_bad_entries_leave_room),
	KUNIT_CASE_PARAM(test_released_shared, crash_machines),
	KUNIT_CASE(test_reserve_gaps),
	KUNIT_CASE(test_ranges_contain),
	KUNIT_CASE_PARAM(test_iova_pressure_carrying, crash_machines),
	KUNIT_CASE_PARAM(test_iova_pressure_released, crash_machines),
	KUNIT_CASE_PARAM(test_direct_region, crash_machines),
	KUNIT_CASE_PARAM(test_iova_pressure_order, crash_machines),
	{}
};

static struct kunit_suite reserve_suite = {
	.name = "iommu_kdump_reserve",
	.test_cases = reserve_cases,
};

kunit_test_suite(reserve_suite);
