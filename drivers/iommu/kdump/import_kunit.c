// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: what is imported, when, and what it costs
 */

#include <linux/device.h>
#include <linux/generic_pt/iommu.h>
#include <linux/iommu.h>
#include <linux/iova.h>
#include <linux/sizes.h>

#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "carry.h"
#include "crash_kunit.h"
#include "kdump.h"
#include "report.h"
#include "targets.h"

/* A device that hardware knows from the start, and the crash kernel not yet */
static u64 hidden_device(struct crash *crash)
{
	u64 root = crash_new_table(crash);

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, root, 9);
	return root;
}

/* Now its group uses its domain */
static struct device *add_late(struct crash *crash)
{
	return crash_add_dev(crash, 0, 2);
}

/* What it has that others have not is added, the rest compared */
static void test_late_table(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	u64 root = hidden_device(crash);

	crash_add_legacy(crash, 2, root, 0xfffff000, OLD_BUFFERS + SZ_16M,
			 SZ_4K, PTE_R | PTE_W);
	crash_add_legacy(crash, 2, root, 0xfe000000, OLD_BUFFERS + SZ_64M,
			 SZ_2M, PTE_R);
	/* One run, of which two pages are there already */
	crash_add_legacy(crash, 2, root, 0xffedf000,
			 OLD_BUFFERS + SZ_16M + SZ_128K - SZ_4K, SZ_16K, PTE_W);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	b = add_late(crash);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_check_new(crash);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 3);

	/* It holds the release */
	crash_grace_over(a);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, WORKS);
	crash_unmap_new(crash);
	crash->expect = SAFE;
	crash_grace_over(b);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* The same tables as those of a sibling are not read again */
static void test_late_same_table(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	crash_boot(crash);
	crash_bind(crash, a);
	b = add_late(crash);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* ... unless what the sibling had brought is gone */
static void test_late_after_release(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	crash_boot(crash);
	crash_bind(crash, a);
	crash->expect = SAFE;
	crash_grace_over(a);
	EXPECT_STATE(crash, a, KDUMP_RELEASED);
	b = add_late(crash);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 3);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, b);
	crash->expect = SAFE;
	crash_grace_over(b);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* A contradiction costs the late device its old DMA, and nobody anything else */
static void test_late_contradiction(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	u64 root = hidden_device(crash);
	struct legacy *l[2];

	l[0] = crash_add_legacy(crash, 2, root, 0xfe000000,
				OLD_BUFFERS + SZ_64M, SZ_2M, PTE_R);
	l[1] = crash_add_legacy(crash, 2, root, 0xfffe0000,
				OLD_BUFFERS + SZ_128M, SZ_4K, PTE_R | PTE_W);
	crash_map(crash, root, 0xfffff000, OLD_BUFFERS + SZ_128M, SZ_4K,
		  PTE_R | PTE_W);
	crash_boot(crash);
	crash_bind(crash, a);
	l[0]->refused = true;
	l[1]->refused = true;
	b = add_late(crash);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* Leaves that are taken many at once, in no order */
static void scattered(struct crash *crash, u64 root)
{
	unsigned int i;

	for (i = 0; i < 64; i++)
		crash_map(crash, root, SZ_1G + i * SZ_4K,
			  OLD_BUFFERS + SZ_64M + i * 37 % 64 * SZ_4K, SZ_4K,
			  PTE_R | PTE_W);
	/* Larger, but in the same table of the next level */
	crash_map(crash, root, SZ_1G + SZ_4M, OLD_BUFFERS + SZ_128M, SZ_2M,
		  PTE_R | PTE_W);
}

static void expect_scattered(struct crash *crash, struct device *dev,
			     bool mapped)
{
	unsigned int i;

	for (i = 0; i < 64; i++)
		KUNIT_EXPECT_EQ(crash->test,
				iommu_iova_to_phys(dev->iommu_group->default_domain,
						   SZ_1G + i * SZ_4K),
				mapped ? OLD_BUFFERS + SZ_64M +
						 i * 37 % 64 * SZ_4K : 0);
	KUNIT_EXPECT_EQ(crash->test,
			iommu_iova_to_phys(dev->iommu_group->default_domain,
					   SZ_1G + SZ_4M + SZ_1M),
			mapped ? OLD_BUFFERS + SZ_128M + SZ_1M : 0);
}

static void test_late_scattered(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	scattered(crash, hidden_device(crash));
	crash_boot(crash);
	crash_bind(crash, a);
	b = add_late(crash);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	expect_scattered(crash, a, true);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, b);
	crash->expect = SAFE;
	crash_grace_over(b);
	expect_scattered(crash, a, false);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* They are out again when there is a contradiction behind them */
static void test_late_scattered_contradiction(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	u64 root = hidden_device(crash);

	scattered(crash, root);
	crash_map(crash, root, 0xfffff000, OLD_BUFFERS + SZ_128M, SZ_4K,
		  PTE_R | PTE_W);
	crash_boot(crash);
	crash_bind(crash, a);
	add_late(crash);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	expect_scattered(crash, a, false);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* The crash kernel has an IOVA that is mapped in the table at @root as well */
static void map_new_over_old(struct crash *crash, struct device *dev, u64 root)
{
	crash_map_new(crash, dev);
	crash_map(crash, root, crash->new[0].iova, OLD_BUFFERS, SZ_4K,
		  PTE_R | PTE_W);
	memcpy(crash->snapshot, crash->tables, OLD_TABLES * PAGE_SIZE);
}

/* ... and have never been in where they could not be reserved */
static void test_late_scattered_in_use(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	u64 root = hidden_device(crash);

	scattered(crash, root);
	crash_boot(crash);
	crash_bind(crash, a);
	map_new_over_old(crash, a, root);
	add_late(crash);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	expect_scattered(crash, a, false);
	crash_check_dma(crash, WORKS);
	crash_check_new(crash);
	crash_check_end(crash);
}

/* An IOVA that the crash kernel uses meanwhile stays what it is */
static void test_late_iova_in_use(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *a = crash_add_dev(crash, 0, 1), *b;
	u64 root = hidden_device(crash);
	struct legacy *l;

	l = crash_add_legacy(crash, 2, root, 0xfe000000, OLD_BUFFERS + SZ_64M,
			     SZ_2M, PTE_R);
	crash_boot(crash);
	crash_bind(crash, a);
	map_new_over_old(crash, a, root);
	l->refused = true;
	b = add_late(crash);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	crash_check_new(crash);
	EXPECT_STATE(crash, b, KDUMP_NONE);
	crash_check_end(crash);
}

/* Nothing is mapped there, but the allocator has it at hand for the next one */
static void test_late_iova_cached(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *a = crash_add_dev(crash, 0, 1), *b;
	u64 root = hidden_device(crash), iova;
	struct iova_domain *iovad;
	struct legacy *l;

	l = crash_add_legacy(crash, 2, root, 0xfe000000, OLD_BUFFERS + SZ_64M,
			     SZ_2M, PTE_R);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_map_new(crash, a);
	iova = crash->new[0].iova;
	crash_unmap_new(crash);
	iovad = iommu_dma_iova_domain(a->iommu_group->default_domain);
	KUNIT_ASSERT_NOT_NULL(test, find_iova(iovad, iova_pfn(iovad, iova)));
	crash_map(crash, root, iova, OLD_BUFFERS, SZ_4K, PTE_R | PTE_W);
	memcpy(crash->snapshot, crash->tables, OLD_TABLES * PAGE_SIZE);
	l->refused = true;
	b = add_late(crash);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	/* Nothing has been kept from the allocator for it */
	KUNIT_EXPECT_NULL(test, find_iova(iovad, iova_pfn(iovad, 0xfe000000)));
	crash_use_new(crash, a);
	EXPECT_STATE(crash, b, KDUMP_NONE);
	crash_check_end(crash);
}

/* Next to each other in the table and in memory, but not the same permissions */
static void test_neighbours(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	static const u64 prots[] = {
		PTE_R, PTE_W, PTE_R | PTE_W, PTE_R, PTE_R | PTE_W, PTE_W,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(prots); i++)
		crash_add_legacy(crash, 1, OLD_RAM, SZ_1G + i * SZ_4K,
				 OLD_BUFFERS + SZ_64M + i * SZ_4K, SZ_4K,
				 prots[i]);
	/* In large pages, which come one by one */
	for (i = 0; i < 2; i++)
		crash_add_legacy(crash, 1, OLD_RAM, SZ_2G + i * SZ_2M,
				 OLD_BUFFERS + SZ_128M + i * SZ_2M, SZ_2M,
				 prots[i]);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* The table grows a mapping after its IOVAs have been reserved */
static struct {
	unsigned int tables;
	u64 *pte;
	u64 entry;
} late_change;

static int change_table(struct iommu_kdump_report *report)
{
	/* The second walk begins with the fifth table */
	if (++late_change.tables == 5)
		*late_change.pte = late_change.entry;
	return 0;
}

static void test_late_table_changes(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	u64 root = hidden_device(crash);
	struct legacy *l;

	l = crash_add_legacy(crash, 2, root, 0xfe000000, OLD_BUFFERS + SZ_64M,
			     SZ_64K, PTE_R | PTE_W);
	crash_boot(crash);
	crash_bind(crash, a);
	late_change.tables = 0;
	late_change.pte = crash_pte(crash, root, 4, 0xfe100000, 0);
	late_change.entry = crash_leaf_entry(crash, OLD_BUFFERS, PTE_R | PTE_W,
					     0);
	kunit_activate_static_stub(test, iommu_kdump_report_table,
				   change_table);
	l->refused = true;
	add_late(crash);
	kunit_deactivate_static_stub(test, iommu_kdump_report_table);
	KUNIT_EXPECT_EQ(test, late_change.tables, 8);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	*late_change.pte = 0;
	crash_check_end(crash);
}

/* Without translation it does not fit to those that have one */
static void test_late_identity(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	phys_addr_t phys;

	crash_set_entry(crash, 2, KUNIT_IOMMU_IDENTITY, 0, 0);
	crash_boot(crash);
	crash_bind(crash, a);
	b = add_late(crash);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(b, OLD_BUFFERS, true, &phys),
			-EFAULT);
	crash_check_end(crash);
}

/* One translation, if all is the same that hardware looks at */
static void test_same_tables(struct kunit *test)
{
	static const struct iommu_kdump_tables all[] = {
		{ .type = IOMMU_KDUMP_BLOCKED },
		{ .type = IOMMU_KDUMP_IDENTITY },
		{ .type = IOMMU_KDUMP_PAGING, .root = OLD_RAM, .levels = 4 },
		{ .type = IOMMU_KDUMP_PAGING, .root = OLD_RAM, .levels = 3 },
		{ .type = IOMMU_KDUMP_PAGING, .root = OLD_RAM, .levels = 4,
		  .format = 1 },
		{ .type = IOMMU_KDUMP_PAGING, .root = OLD_RAM + SZ_4K,
		  .levels = 4 },
	};
	struct iommu_kdump_tables other;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		for (j = 0; j < ARRAY_SIZE(all); j++)
			KUNIT_EXPECT_EQ_MSG(test,
					    iommu_kdump_same_tables(&all[i],
								    &all[j]),
					    i == j, "%u, %u", i, j);
	/* By which ID hardware tags it makes no difference, nor what is not used */
	other = all[2];
	other.id = 5;
	KUNIT_EXPECT_TRUE(test, iommu_kdump_same_tables(&all[2], &other));
	other = all[1];
	other.root = OLD_RAM;
	KUNIT_EXPECT_TRUE(test, iommu_kdump_same_tables(&all[1], &other));
}

/* Targets and regions */

static void remove_doorbell(void *unused)
{
	iommu_kdump_remove_doorbell();
}

/* MSIs of old devices arrive; nothing else can be done to their registers */
static void test_doorbell(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct legacy *l;

	iommu_kdump_add_doorbell(NOWHERE + SZ_4K + 0x40, 4);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, remove_doorbell,
							NULL), 0);
	crash_map(crash, OLD_RAM, 0xfe000000, NOWHERE + SZ_4K, SZ_4K,
		  PTE_R | PTE_W);
	crash_add_legacy(crash, 1, OLD_RAM, 0xfe000000, NOWHERE + SZ_4K, SZ_4K,
			 PTE_R | PTE_W);
	l = crash_add_legacy(crash, 1, OLD_RAM, 0xfe002000, NOWHERE + SZ_4K,
			     SZ_4K, PTE_R);
	l->refused = true;
	l = crash_add_legacy(crash, 1, OLD_RAM, 0xfe004000, NOWHERE + SZ_8K,
			     SZ_4K, PTE_R | PTE_W);
	l->refused = true;
	l = crash_add_legacy(crash, 1, OLD_RAM, 0xfe006000, NOWHERE, SZ_4K,
			     PTE_R | PTE_W);
	l->refused = true;
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash->legacy[crash->nr_legacy - 4].prot = crash_prot(crash, PTE_W);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.refused, 3);
	crash_check_end(crash);
}

/* More than there is room for do no harm */
static void test_doorbell_many(struct kunit *test)
{
	struct iommu_kdump_targets targets = { .granule = SZ_4K };
	struct crash *crash = crash_new(test, NULL);
	unsigned int i, n = 0;
	u64 last;

	iommu_kdump_add_doorbell(NOWHERE, 0);
	for (i = 0; i < 1000; i++)
		iommu_kdump_add_doorbell(NOWHERE + i * SZ_8K, 4);
	for (i = 0; i < 1000; i++)
		n += iommu_kdump_find_target(&targets, NOWHERE + i * SZ_8K,
					     &last) == KDUMP_TARGET_DOORBELL;
	KUNIT_EXPECT_GE(test, n, 64);
	KUNIT_EXPECT_LT(test, n, 1000);
	/* What has been found ends where the next one begins */
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_find_target(&targets, NOWHERE + SZ_4K, &last),
			KDUMP_TARGET_NOTHING);
	KUNIT_EXPECT_EQ(test, last, NOWHERE + SZ_8K - 1);
	while (n--)
		iommu_kdump_remove_doorbell();
	KUNIT_EXPECT_EQ(test, iommu_kdump_find_target(&targets, NOWHERE, &last),
			KDUMP_TARGET_NOTHING);
	crash_boot(crash);
}

/* All kinds of addresses, and how far each of them goes */
static void test_find_target(struct kunit *test)
{
	struct iommu_kdump_range windows[] = {
		{ NOWHERE, NOWHERE + SZ_64K - 1 },
		{ NOWHERE + SZ_1M, NOWHERE + SZ_1M + SZ_4K - 1 },
	};
	struct iommu_kdump_targets targets = {
		.windows = { .r = windows, .nr = ARRAY_SIZE(windows) },
		.granule = SZ_4K,
	};
	static const struct {
		u64 phys;
		enum iommu_kdump_target target;
		u64 last;
	} cases[] = {
		{ 0, KDUMP_TARGET_CRASH, SZ_4G - 1 },
		{ SZ_4G, KDUMP_TARGET_NOTHING, OLD_RAM - 1 },
		{ OLD_RAM, KDUMP_TARGET_RAM, OLD_RAM + OLD_RAM_SIZE - 1 },
		{ OLD_RAM + OLD_RAM_SIZE, KDUMP_TARGET_NOTHING, NOWHERE - 1 },
		{ NOWHERE - 1, KDUMP_TARGET_NOTHING, NOWHERE - 1 },
		{ NOWHERE, KDUMP_TARGET_MMIO, NOWHERE + SZ_64K - 1 },
		{ NOWHERE + SZ_64K - 1, KDUMP_TARGET_MMIO, NOWHERE + SZ_64K - 1 },
		{ NOWHERE + SZ_64K, KDUMP_TARGET_NOTHING, NOWHERE + SZ_1M - 1 },
		{ NOWHERE + SZ_1M, KDUMP_TARGET_MMIO,
		  NOWHERE + SZ_1M + SZ_4K - 1 },
		{ NOWHERE + SZ_1M + SZ_4K, KDUMP_TARGET_NOTHING,
		  NOWHERE + SZ_2M - 1 },
		{ NOWHERE + SZ_2M - 1, KDUMP_TARGET_NOTHING,
		  NOWHERE + SZ_2M - 1 },
		{ NOWHERE + SZ_2M, KDUMP_TARGET_DOORBELL,
		  NOWHERE + SZ_2M + SZ_4K - 1 },
		{ NOWHERE + SZ_2M + SZ_4K - 1, KDUMP_TARGET_DOORBELL,
		  NOWHERE + SZ_2M + SZ_4K - 1 },
		{ NOWHERE + SZ_2M + SZ_4K, KDUMP_TARGET_NOTHING, U64_MAX },
		{ U64_MAX, KDUMP_TARGET_NOTHING, U64_MAX },
	};
	unsigned int i;

	crash_new(test, NULL);
	iommu_kdump_add_doorbell(NOWHERE + SZ_2M + SZ_1K, 4);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, remove_doorbell,
							NULL), 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 last = 0;

		KUNIT_EXPECT_EQ_MSG(test,
				    iommu_kdump_find_target(&targets,
							    cases[i].phys, &last),
				    cases[i].target, "%#llx", cases[i].phys);
		KUNIT_EXPECT_EQ_MSG(test, last, cases[i].last, "%#llx",
				    cases[i].phys);
	}
	KUNIT_EXPECT_EQ(test, iommu_kdump_old_ram_size(), OLD_RAM_SIZE);
	KUNIT_EXPECT_EQ(test, iommu_kdump_last_target(&targets),
			NOWHERE + SZ_1M + SZ_4K - 1);
	targets.windows.nr = 0;
	KUNIT_EXPECT_EQ(test, iommu_kdump_last_target(&targets),
			OLD_RAM + OLD_RAM_SIZE - 1);
}

/* Old RAM with a hole that the crash kernel may be in */
#define LOW_RAM		(OLD_RAM + SZ_64K)
#define HIGH_RAM	(OLD_RAM + SZ_128K)

static bool two_extents(phys_addr_t phys, u64 *last)
{
	static const u64 ends[] = {
		OLD_RAM, LOW_RAM, HIGH_RAM, HIGH_RAM + SZ_128K, 0,
	};
	unsigned int i;

	for (i = 0; ends[i] && phys >= ends[i]; i++)
		;
	*last = ends[i] - 1;
	return i & 1;
}

/* It ends where its range of RAM begins, whatever is on the other side of a hole */
static void test_ram_start(struct kunit *test)
{
	static const struct iommu_kdump_oldmem_ops two = {
		.extent = two_extents,
	};
	struct iommu_kdump_targets targets = { .granule = SZ_4K };
	u64 last = HIGH_RAM + SZ_128K - 1;

	crash_new(test, NULL);
	iommu_kdump_set_oldmem_ops(&two);
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_ram_start(&targets, HIGH_RAM + SZ_64K + SZ_4K,
					      last), HIGH_RAM);
	KUNIT_EXPECT_EQ(test, iommu_kdump_ram_start(&targets, HIGH_RAM, last),
			HIGH_RAM);
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_ram_start(&targets, OLD_RAM + SZ_8K,
					      LOW_RAM - 1), OLD_RAM);
}

/* Where a driver would put MSIs is IOVA space like any other */
static void test_sw_msi_region(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xfe000000,
						    SZ_1M, IOMMU_RESV_SW_MSI), 0);
	crash_add_legacy(crash, 1, OLD_RAM, 0xfe000000, OLD_BUFFERS + SZ_64M,
			 SZ_64K, PTE_R | PTE_W);
	crash_boot(crash);
	crash_bind(crash, dev);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.refused, 0);
	crash_check_end(crash);
}

/* What firmware wants mapped is nothing that a group has to be taken over for */
static void test_check_knows_regions(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xfd000000,
						    SZ_64K, IOMMU_RESV_DIRECT), 0);
	crash_map(crash, OLD_RAM, 0xfd000000, 0xfd000000, SZ_64K,
		  PTE_R | PTE_W);
	crash_boot(crash);
	iommu_kdump_check_driverless();
	EXPECT_STATE(crash, dev, KDUMP_INHERITED);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

/* A corrupt entry there does not take away what the crash kernel has mapped */
static void test_bad_entry_in_region(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	phys_addr_t phys = 0;

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xfd000800,
						    SZ_64K, IOMMU_RESV_DIRECT), 0);
	/* A large leaf, in the middle of nowhere */
	*crash_pte(crash, OLD_RAM, 4, 0xfd000000, 1) =
		(OLD_BUFFERS + SZ_4K) | PTE_R | PTE_W | PTE_PS;
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.bad, 512);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	/* What is mapped of it begins with the first whole page */
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, 0xfd001000, true, &phys),
			0);
	KUNIT_EXPECT_EQ(test, phys, 0xfd001000);
	KUNIT_EXPECT_EQ(test, kunit_iommu_dev_dma(dev, 0xfd0107ff, true, &phys),
			0);
	crash_check_end(crash);
}

/* Old IOVAs are reserved as one if they are near, unless firmware has some between */
static void test_report_near(struct kunit *test)
{
	struct iommu_kdump_range firmware = { SZ_32M, SZ_32M + SZ_4K - 1 };
	struct iommu_kdump_report report = {
		.pass = PASS_COLLECT,
		.gap = KDUMP_MERGE_GAP,
		.max_ranges = 100,
		.regions = { .r = &firmware, .nr = 1 },
	};
	static const struct {
		u64 iova;
		unsigned int ranges;
	} pages[] = {
		{ SZ_1M, 1 },
		{ SZ_1M + SZ_4K, 1 },
		/* As far away as may be, and a page more */
		{ SZ_1M + SZ_4K + SZ_64K + SZ_4K, 1 },
		{ SZ_2M, 2 },
		{ SZ_2M + SZ_64K + SZ_8K, 3 },
		{ SZ_32M - SZ_8K, 4 },
		/* On the other side of the region */
		{ SZ_32M + SZ_8K, 5 },
		/* A second table begins anew */
		{ SZ_1M, 6 },
		{ SZ_1M, 7 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		KUNIT_EXPECT_EQ(test,
				iommu_kdump_report_reserve(&report, pages[i].iova,
							   SZ_4K), 0);
		KUNIT_EXPECT_EQ_MSG(test, report.ranges.nr, pages[i].ranges,
				    "number %u", i);
	}
	KUNIT_EXPECT_EQ(test, report.ranges.r[0].last,
			SZ_1M + SZ_64K + SZ_8K + SZ_4K - 1);
	iommu_kdump_free_ranges(&report.ranges);
}

/* The limit is one that is reached, and half of it is left then */
static void test_report_coarsen(struct kunit *test)
{
	struct iommu_kdump_report report = {
		.pass = PASS_COLLECT,
		.gap = KDUMP_MERGE_GAP,
		.max_ranges = 8,
	};
	unsigned int i;

	/* Pairs, that are nearer to each other than to the next one */
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test,
				iommu_kdump_report_reserve(&report,
							   i / 2 * SZ_16M +
							   i % 2 * SZ_1M,
							   SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, report.ranges.nr, 8);
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_report_reserve(&report, SZ_1G, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, report.ranges.nr, 5);
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, report.ranges.r[i].first, i * SZ_16M);
		KUNIT_EXPECT_EQ(test, report.ranges.r[i].last,
				i * SZ_16M + SZ_1M + SZ_4K - 1);
	}
	KUNIT_EXPECT_EQ(test, report.gap, SZ_1M);
	iommu_kdump_free_ranges(&report.ranges);
}

/* Cost */

static struct iommu_domain *own_domain(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *dev = crash_add_dev(crash, 0, 1);
	struct iommu_domain *domain;

	crash->budget = SZ_1M;
	crash_boot(crash);
	domain = iommu_paging_domain_alloc(dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, domain);
	return domain;
}

static void free_domain(void *domain)
{
	iommu_domain_free(domain);
}

static void test_budget_of_long_run(struct kunit *test)
{
	struct iommu_domain *domain = own_domain(test);
	struct iommu_kdump_carrier carrier = {};

	KUNIT_ASSERT_EQ(test, iommu_kdump_carrier_init(&carrier, domain), 0);
	carrier.budget = 100;
	/* 16 GiB that need 4 KiB pages, and 32 MiB of tables */
	iommu_kdump_carry(&carrier, 0, OLD_RAM + SZ_4K, 16ULL * SZ_1G,
			  IOMMU_READ);
	iommu_kdump_carry_finish(&carrier);
	KUNIT_EXPECT_EQ(test, carrier.error, -ENOSPC);
	KUNIT_EXPECT_EQ(test, carrier.mapped, 0);
	KUNIT_EXPECT_TRUE(test, carrier.dirty);
	KUNIT_EXPECT_LE(test, iommu_kdump_carrier_tables(&carrier),
			100 * PAGE_SIZE + SZ_2M);
	iommu_kdump_unmap_range(domain, 0, 16ULL * SZ_1G - 1);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, SZ_1M), 0);
	iommu_kdump_carrier_destroy(&carrier);
	iommu_domain_free(domain);
}

/* Page tables of generic_pt are counted each time: there is no need to guess */
static void test_budget_of_scattered(struct kunit *test)
{
	struct iommu_domain *domain = own_domain(test);
	struct iommu_kdump_carrier carrier = {};
	unsigned int i;

	KUNIT_ASSERT_EQ(test, iommu_kdump_carrier_init(&carrier, domain), 0);
	carrier.budget = 10;
	for (i = 0; i < 1000 && !carrier.error; i++)
		iommu_kdump_carry(&carrier, (u64)i * SZ_2M,
				  OLD_RAM + i * SZ_8K, SZ_4K, IOMMU_READ);
	KUNIT_EXPECT_EQ(test, carrier.error, -ENOSPC);
	KUNIT_EXPECT_LE(test, iommu_kdump_carrier_tables(&carrier),
			12 * PAGE_SIZE);
	iommu_kdump_unmap_range(domain, 0, SZ_2G - 1);
	iommu_kdump_carrier_destroy(&carrier);
	iommu_domain_free(domain);
}

/* What is counted is what has been allocated */
static void test_tables_are_counted(struct kunit *test)
{
	struct iommu_domain *domain = own_domain(test);
	struct iommu_kdump_carrier carrier = {};
	unsigned int i;

	KUNIT_ASSERT_EQ(test, iommu_kdump_carrier_init(&carrier, domain), 0);
	KUNIT_EXPECT_EQ(test, iommu_kdump_carrier_tables(&carrier), 0);
	/* What fits exactly fits */
	carrier.budget = 6;
	/* Three levels, and three tables of leaves more */
	for (i = 0; i < 4; i++)
		iommu_kdump_carry(&carrier, 3ULL * SZ_1G + i * SZ_2M,
				  OLD_RAM + i * SZ_1M, SZ_4K, IOMMU_READ);
	/* A large leaf takes none */
	iommu_kdump_carry(&carrier, 3ULL * SZ_1G + SZ_16M, OLD_RAM + SZ_16M,
			  SZ_2M, IOMMU_READ);
	iommu_kdump_carry_finish(&carrier);
	KUNIT_EXPECT_EQ(test, carrier.error, 0);
	KUNIT_EXPECT_EQ(test, iommu_kdump_carrier_tables(&carrier),
			6 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, carrier.mapped, 4 * SZ_4K + SZ_2M);
	iommu_kdump_carrier_destroy(&carrier);
	iommu_domain_free(domain);
}

/* What has gone wrong first is the reason, not what follows from it */
static void test_first_error_stays(struct kunit *test)
{
	struct iommu_domain *domain = own_domain(test);
	struct iommu_kdump_carrier carrier = {};

	KUNIT_ASSERT_EQ(test, iommu_kdump_carrier_init(&carrier, domain), 0);
	iommu_kdump_carry(&carrier, SZ_1G, OLD_RAM, SZ_4K, IOMMU_READ);
	iommu_kdump_carry(&carrier, SZ_2G, OLD_RAM, SZ_4K, IOMMU_READ);
	iommu_kdump_carry_finish(&carrier);
	KUNIT_EXPECT_EQ(test, carrier.error, 0);
	carrier.error = -EADDRINUSE;
	carrier.budget = 0;
	iommu_kdump_carry(&carrier, 3ULL * SZ_1G, OLD_RAM, SZ_4K, IOMMU_READ);
	iommu_kdump_carry_finish(&carrier);
	KUNIT_EXPECT_EQ(test, carrier.error, -EADDRINUSE);
	KUNIT_EXPECT_EQ(test, carrier.mapped, SZ_8K);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, 3ULL * SZ_1G), 0);
	iommu_kdump_carrier_destroy(&carrier);
	iommu_domain_free(domain);
}

static void test_nothing_costs_nothing(struct kunit *test)
{
	struct iommu_domain *domain = own_domain(test);
	struct iommu_kdump_carrier carrier = {};

	KUNIT_ASSERT_EQ(test, iommu_kdump_carrier_init(&carrier, domain), 0);
	carrier.budget = 0;
	iommu_kdump_carry_finish(&carrier);
	KUNIT_EXPECT_EQ(test, carrier.error, 0);
	KUNIT_EXPECT_FALSE(test, carrier.dirty);
	KUNIT_EXPECT_EQ(test, iommu_kdump_carrier_tables(&carrier), 0);
	iommu_kdump_carrier_destroy(&carrier);
	iommu_domain_free(domain);
}

static u64 pages_left;

static u64 fewer_pages(void)
{
	return --pages_left;
}

/* Without generic_pt somebody looks now and then how much is left */
static void test_budget_plain(struct kunit *test)
{
	struct machine plain = { "plain", KUNIT_IOMMU_VTDSS, .plain = true };
	struct iommu_kdump_carrier carrier = {};
	struct iommu_domain *domain;
	unsigned int i;

	test->param_value = &plain;
	domain = own_domain(test);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_domain,
							domain), 0);
	pages_left = 1000;
	kunit_activate_static_stub(test, iommu_kdump_free_pages, fewer_pages);
	KUNIT_ASSERT_EQ(test, iommu_kdump_carrier_init(&carrier, domain), 0);
	KUNIT_EXPECT_NULL(test, carrier.pt);
	carrier.budget = 3;
	for (i = 0; i < 1000 && !carrier.error; i++)
		iommu_kdump_carry(&carrier, (u64)i * SZ_2M,
				  OLD_RAM + i * SZ_8K, SZ_4K, IOMMU_READ);
	KUNIT_EXPECT_EQ(test, carrier.error, -ENOSPC);
	/* Not each time: the fourth look, each after 64 mappings, is one too many */
	KUNIT_EXPECT_EQ(test, i, 4 * 64 + 1);
	KUNIT_EXPECT_EQ(test, carrier.pieces.nr, i - 1);
	for (i = 0; i < carrier.pieces.nr; i++)
		iommu_kdump_unmap_range(domain, carrier.pieces.r[i].first,
					carrier.pieces.r[i].last);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, SZ_2M), 0);
	kunit_deactivate_static_stub(test, iommu_kdump_free_pages);
	iommu_kdump_carrier_destroy(&carrier);
	test->param_value = NULL;
}

/* A piece is what a shortage takes as a whole: as few as possible, none above 64 GiB */
static void test_pieces(struct kunit *test)
{
	struct machine plain = { "plain", KUNIT_IOMMU_VTDSS, .plain = true };
	struct iommu_kdump_carrier carrier = {};
	struct iommu_domain *domain;
	static const struct {
		u64 iova, size;
		unsigned int pieces;
	} runs[] = {
		{ SZ_1G, SZ_4K, 1 },
		/* Behind the last one, but not in memory */
		{ SZ_1G + SZ_4K, SZ_8K, 1 },
		{ SZ_1G + SZ_16K, SZ_4K, 2 },
		{ SZ_2G, SZ_4M, 3 },
		{ 64ULL * SZ_1G - SZ_4K, SZ_8K, 5 },
		{ 64ULL * SZ_1G + SZ_4K, SZ_4K, 5 },
		{ 127ULL * SZ_1G, 66ULL * SZ_1G, 8 },
	};
	unsigned int i;

	test->param_value = &plain;
	domain = own_domain(test);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_domain,
							domain), 0);
	KUNIT_ASSERT_EQ(test, iommu_kdump_carrier_init(&carrier, domain), 0);
	for (i = 0; i < ARRAY_SIZE(runs); i++) {
		/* All in large pages, if they are large */
		iommu_kdump_carry(&carrier, runs[i].iova,
				  2 * OLD_RAM - runs[i].iova % SZ_1G,
				  runs[i].size, IOMMU_READ);
		iommu_kdump_carry_finish(&carrier);
		KUNIT_EXPECT_EQ(test, carrier.error, 0);
		KUNIT_EXPECT_EQ(test, carrier.pieces.nr, runs[i].pieces);
	}
	KUNIT_EXPECT_EQ(test, carrier.pieces.r[0].first, SZ_1G);
	KUNIT_EXPECT_EQ(test, carrier.pieces.r[0].last, SZ_1G + SZ_8K + SZ_4K - 1);
	KUNIT_EXPECT_EQ(test, carrier.pieces.r[3].last, 64ULL * SZ_1G - 1);
	KUNIT_EXPECT_EQ(test, carrier.pieces.r[4].last,
			64ULL * SZ_1G + SZ_8K - 1);
	KUNIT_EXPECT_EQ(test, carrier.pieces.r[7].first, 192ULL * SZ_1G);
	for (i = 0; i < carrier.pieces.nr; i++)
		iommu_kdump_unmap_range(domain, carrier.pieces.r[i].first,
					carrier.pieces.r[i].last);
	for (i = 0; i < ARRAY_SIZE(runs); i++)
		KUNIT_EXPECT_EQ(test,
				iommu_iova_to_phys(domain, runs[i].iova + 8), 0);
	iommu_kdump_carrier_destroy(&carrier);
	test->param_value = NULL;
}

/* Leaves of all sizes, with holes: each is unmapped as a whole. The model judges. */
static void test_unmap_plain(struct kunit *test)
{
	struct machine plain = { "plain", KUNIT_IOMMU_VTDSS, .plain = true };
	static const struct {
		u64 iova;
		u64 size;
	} maps[] = {
		{ 0, SZ_4K },
		{ SZ_2M - SZ_4K, SZ_4K },
		{ SZ_2M, SZ_2M },
		{ SZ_4M + SZ_1M, SZ_64K },
		{ SZ_1G - SZ_4M, SZ_2M },
		{ SZ_1G, SZ_1G },
		{ 3ULL * SZ_1G - SZ_2M, SZ_2M },
		{ 3ULL * SZ_1G + SZ_4K, SZ_4K },
	};
	struct iommu_domain *domain;
	unsigned int i;

	test->param_value = &plain;
	domain = own_domain(test);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_domain,
							domain), 0);
	for (i = 0; i < ARRAY_SIZE(maps); i++)
		KUNIT_ASSERT_EQ(test,
				iommu_map(domain, maps[i].iova,
					  OLD_RAM + maps[i].iova, maps[i].size,
					  IOMMU_READ, GFP_KERNEL), 0);
	/* The last page stays */
	iommu_kdump_unmap_range(domain, 0, 3ULL * SZ_1G - 1);
	for (i = 0; i < ARRAY_SIZE(maps) - 1; i++)
		KUNIT_EXPECT_EQ(test,
				iommu_iova_to_phys(domain, maps[i].iova + 8), 0);
	KUNIT_EXPECT_EQ(test, iommu_iova_to_phys(domain, maps[i].iova),
			OLD_RAM + maps[i].iova);
	test->param_value = NULL;
}

static struct kunit_case import_cases[] = {
	KUNIT_CASE_PARAM(test_late_table, crash_machines),
	KUNIT_CASE_PARAM(test_late_same_table, crash_machines),
	KUNIT_CASE_PARAM(test_late_after_release, crash_machines),
	KUNIT_CASE_PARAM(test_late_contradiction, crash_machines),
	KUNIT_CASE_PARAM(test_late_scattered, crash_machines),
	KUNIT_CASE_PARAM(test_late_scattered_contradiction, crash_machines),
	KUNIT_CASE_PARAM(test_late_scattered_in_use, crash_machines),
	KUNIT_CASE_PARAM(test_late_iova_in_use, crash_machines),
	KUNIT_CASE_PARAM(test_late_iova_cached, crash_machines),
	KUNIT_CASE_PARAM(test_neighbours, crash_machines),
	KUNIT_CASE_PARAM(test_late_table_changes, crash_machines),
	KUNIT_CASE_PARAM(test_late_identity, crash_machines),
	KUNIT_CASE(test_same_tables),
	KUNIT_CASE_PARAM(test_doorbell, crash_machines),
	KUNIT_CASE(test_doorbell_many),
	KUNIT_CASE(test_find_target),
	KUNIT_CASE(test_ram_start),
	KUNIT_CASE_PARAM(test_sw_msi_region, crash_machines),
	KUNIT_CASE_PARAM(test_check_knows_regions, crash_machines),
	KUNIT_CASE(test_bad_entry_in_region),
	KUNIT_CASE(test_report_near),
	KUNIT_CASE(test_report_coarsen),
	KUNIT_CASE(test_budget_of_long_run),
	KUNIT_CASE(test_budget_of_scattered),
	KUNIT_CASE(test_tables_are_counted),
	KUNIT_CASE(test_first_error_stays),
	KUNIT_CASE_PARAM(test_nothing_costs_nothing, crash_machines),
	KUNIT_CASE(test_budget_plain),
	KUNIT_CASE(test_pieces),
	KUNIT_CASE(test_unmap_plain),
	{}
};

static struct kunit_suite import_suite = {
	.name = "iommu_kdump_import",
	.test_cases = import_cases,
};

kunit_test_suite(import_suite);
