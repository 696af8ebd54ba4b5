// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: groups that get one more device
 */

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include <kunit/iommu.h>
#include <kunit/test.h>

#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

/* The second device uses the tables of the first one */
static void same_tables(struct crash *crash)
{
	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	crash_add_legacy(crash, 2, 0, 0xfffff000, OLD_BUFFERS + SZ_16M, SZ_4K,
			 PTE_R | PTE_W);
}

/* ... or others, with other IOVAs */
static u64 other_tables(struct crash *crash)
{
	u64 root = crash_new_table(crash);

	crash_set_entry(crash, 2, KUNIT_IOMMU_PAGING, root, 9);
	crash_add_legacy(crash, 2, root, 0xfe000000, OLD_BUFFERS + SZ_64M,
			 SZ_64K, PTE_R | PTE_W);
	crash_add_legacy(crash, 2, root, 0xfd000000, OLD_BUFFERS + SZ_128M,
			 SZ_2M, PTE_R);
	return root;
}

/* What becomes of the old DMA of a requester ID */
static void refuse(struct crash *crash, u32 rid, bool refused)
{
	unsigned int i;

	for (i = 0; i < crash->nr_legacy; i++)
		if (crash->legacy[i].rid == rid)
			crash->legacy[i].refused = refused;
}

static void forget(struct crash *crash, u32 rid)
{
	unsigned int i;

	for (i = 0; i < crash->nr_legacy; i++)
		if (crash->legacy[i].rid == rid)
			crash->legacy[i].reused = true;
}

/* The old DMA of all devices ends with the grace period */
static void expect_release(struct crash *crash, struct device *dev)
{
	KUNIT_EXPECT_TRUE(crash->test, crash_release_is_pending(dev));
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, dev, KDUMP_RELEASED);
}

/* Nothing is written: it is as if it had been there from the beginning */
static void test_grow_inherited(struct kunit *test)
{
	struct kunit_iommu_entry before, after;
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	same_tables(crash);
	crash_boot(crash);
	kunit_iommu_get_entry(crash->iommu, 2, &before);
	crash->expect = WORKS;
	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_INHERITED);
	crash_check_dma(crash, WORKS);
	kunit_iommu_get_entry(crash->iommu, 2, &after);
	KUNIT_EXPECT_EQ(test, memcmp(&before, &after, sizeof(before)), 0);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->attached, 0);

	/* Without a driver it holds the release */
	crash_bind(crash, a);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(a));
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, WORKS);
	expect_release(crash, b);
	crash_check_end(crash);
}

/* On a host whose devices are found one by one, with no list of the group */
static void test_grow_one_by_one(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct device *a, *b;

	crash_translated(crash, 1, 7);
	same_tables(crash);
	crash->expect = WORKS;
	crash_boot(crash);
	a = crash_add_dev(crash, 0, 1);
	EXPECT_STATE(crash, a, KDUMP_INHERITED);
	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_INHERITED);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->attached, 0);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, b);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(b));
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash_check_dma(crash, WORKS);
	expect_release(crash, a);
	crash_check_end(crash);
}

/* Its entry was refused: the group is blocked, as it would be had it come first */
static void test_grow_inherited_refused(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	crash_set_entry(crash, 2, KUNIT_IOMMU_NESTED, OLD_RAM, 9);
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_BLOCKED);
	KUNIT_EXPECT_PTR_EQ(test, a->iommu_group->domain,
			    a->iommu_group->default_domain);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* Two IDs of one device, that lead to different tables: which is right is not known */
static struct device *add_contradiction(struct crash *crash)
{
	static const u32 ids[] = { 2, 3 };
	struct device *dev = kunit_iommu_add_device(crash->iommu, 0, ids,
						    ARRAY_SIZE(ids));

	KUNIT_ASSERT_NOT_ERR_OR_NULL(crash->test, dev);
	return dev;
}

/* Its tables are not read, then */
static void test_grow_inherited_ids_differ(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);

	other_tables(crash);
	crash_set_entry(crash, 3, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	add_contradiction(crash);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash_check_end(crash);
}

static void test_grow_inherited_identity(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	crash_set_entry(crash, 2, KUNIT_IOMMU_IDENTITY, 0, 0);
	crash_add_legacy(crash, 2, 0, OLD_BUFFERS, OLD_BUFFERS, SZ_2M,
			 PTE_R | PTE_W);
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash_check_end(crash);
}

/* The same tables are there already */
static void test_grow_carrying_same(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	same_tables(crash);
	crash_boot(crash);
	crash->expect = WORKS;
	crash_bind(crash, a);
	crash_use_new(crash, a);
	KUNIT_EXPECT_TRUE(test, crash_release_is_pending(a));
	crash_check_dma(crash, WORKS);
	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 1);

	/* Without a driver it holds the release */
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(a));
	crash_grace_over(a);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, b);
	crash_use_new(crash, b);
	expect_release(crash, b);
	crash_check_new(crash);
	crash_check_end(crash);
}

/* Others are imported, beside new mappings that are in use */
static void test_grow_carrying_other(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	u64 mapped;

	other_tables(crash);
	crash_boot(crash);
	crash->expect = WORKS;
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash_check_dma(crash, WORKS);
	mapped = a->iommu_group->kdump->stats.mapped;
	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_check_new(crash);
	KUNIT_EXPECT_EQ(test, a->iommu_group->kdump->stats.mapped,
			mapped + SZ_64K + SZ_2M);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(a));
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, WORKS);
	expect_release(crash, b);
	crash_check_new(crash);
	crash_unmap_new(crash);
	crash_use_new(crash, a);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* It costs the old DMA of the one that has come, and nothing else */
static void expect_late_blocked(struct crash *crash, struct device *a)
{
	struct device *b;

	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_TRUE(crash->test, crash_release_is_pending(a));
	refuse(crash, 2, true);
	crash->expect = WORKS;
	b = crash_add_dev(crash, 0, 2);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	crash_check_new(crash);
	EXPECT_STATE(crash, a, KDUMP_CARRYING);
	/* It does not hold what it does not use */
	KUNIT_EXPECT_TRUE(crash->test, crash_release_is_pending(a));
	/* Until its driver comes, which stops it */
	crash->expect = SAFE;
	forget(crash, 2);
	crash_bind(crash, b);
	crash_map_new(crash, b);
	crash_check_new(crash);
	crash_check_dma(crash, WORKS);
	expect_release(crash, a);
	crash_check_new(crash);
	crash_check_end(crash);
}

static void test_grow_carrying_contradiction(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	u64 root = other_tables(crash);

	/* After what does not contradict */
	crash_add_legacy(crash, 2, root, 0xfffff000, OLD_BUFFERS + SZ_32M,
			 SZ_4K, PTE_R | PTE_W);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	expect_late_blocked(crash, a);
}

static void test_grow_carrying_in_use(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	u64 root = other_tables(crash), iova;

	crash_boot(crash);
	crash_bind(crash, a);
	crash_map_new(crash, a);
	iova = crash->new[0].iova;
	crash_add_legacy(crash, 2, root, iova, OLD_BUFFERS + SZ_32M, SZ_8K,
			 PTE_R | PTE_W);
	memcpy(crash->snapshot, crash->tables, OLD_TABLES * PAGE_SIZE);
	/* Nobody can know that this IOVA will be an old one */
	crash->forgotten = true;
	expect_late_blocked(crash, a);
}

static void test_grow_carrying_refused(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);

	crash_set_entry(crash, 2, KUNIT_IOMMU_NESTED, OLD_RAM, 9);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	expect_late_blocked(crash, a);
}

/* A corrupt table is no reason to give up what is carried already */
static void test_grow_carrying_corrupt(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	u64 root = other_tables(crash);

	*crash_pte(crash, root, 4, SZ_1G, 1) =
		crash_table_entry(crash, NOWHERE, 1);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	expect_late_blocked(crash, a);
}

/* Nor is a shortage of memory */
static void test_grow_carrying_no_memory(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);

	other_tables(crash);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash->map_fails = true;
	expect_late_blocked(crash, a);
}

/* What has been released once is carried again, for the one that needs it */
static void test_grow_released(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	other_tables(crash);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash_check_dma(crash, WORKS);
	refuse(crash, 1, true);
	crash_grace_over(a);
	EXPECT_STATE(crash, a, KDUMP_RELEASED);
	crash->validated = true;
	crash_check_dma(crash, WORKS);

	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_check_new(crash);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(a));
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, WORKS);
	expect_release(crash, b);
	crash_unmap_new(crash);
	crash_use_new(crash, b);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_grow_blocked(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;

	same_tables(crash);
	crash_boot(crash);
	crash->map_fails = true;
	crash->expect = SAFE;
	crash_bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_BLOCKED);
	crash->map_fails = false;
	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* What VFIO has is VFIO's */
static void test_grow_claimed(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	struct iommu_group *group;

	same_tables(crash);
	crash_boot(crash);
	group = a->iommu_group;
	crash->expect = SAFE;
	KUNIT_ASSERT_EQ(test, iommu_group_claim_dma_owner(group, crash), 0);
	refuse(crash, 1, true);
	crash->validated = true;
	crash_check_dma(crash, WORKS);
	refuse(crash, 2, true);
	crash->validated = false;
	b = crash_add_dev(crash, 0, 2);
	crash_check_dma(crash, FAULTS);
	crash->validated = true;
	KUNIT_EXPECT_PTR_EQ(test, group->domain, group->blocking_domain);
	iommu_group_release_dma_owner(group);
	EXPECT_STATE(crash, b, KDUMP_RELEASED);
	crash_check_dma(crash, FAULTS);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 0);
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* The first device had nothing, and is in use */
static struct device *nothing_inherited(struct kunit *test,
					struct crash **crash)
{
	*crash = crash_new(test, NULL);
	KUNIT_ASSERT_EQ(test, crash_new_table(*crash), OLD_RAM);
	return crash_add_dev(*crash, 0, 1);
}

static void test_grow_none(struct kunit *test)
{
	struct crash *crash;
	struct device *a = nothing_inherited(test, &crash), *b;

	other_tables(crash);
	crash_boot(crash);
	crash_bind(crash, a);
	EXPECT_STATE(crash, a, KDUMP_NONE);
	crash_use_new(crash, a);
	crash_check_dma(crash, WORKS);
	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_check_new(crash);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(a));
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, WORKS);
	expect_release(crash, a);
	crash_check_new(crash);
	crash_check_end(crash);
}

/* Nor are they where the group is in use */
static void test_grow_none_ids_differ(struct kunit *test)
{
	struct crash *crash;
	struct device *a = nothing_inherited(test, &crash), *b;

	other_tables(crash);
	crash_set_entry(crash, 3, KUNIT_IOMMU_PAGING, OLD_RAM, 7);
	crash_boot(crash);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	b = add_contradiction(crash);
	refuse(crash, 2, true);
	crash->validated = true;
	crash_check_dma(crash, FAULTS);
	EXPECT_STATE(crash, a, KDUMP_NONE);
	KUNIT_EXPECT_EQ(test, kunit_iommu_get_stats(crash->iommu)->walked, 0);
	crash_check_new(crash);
	crash_bind(crash, b);
	crash_map_new(crash, b);
	crash_check_new(crash);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_grow_none_identity(struct kunit *test)
{
	struct crash *crash;
	struct device *a = nothing_inherited(test, &crash), *b;
	u64 ram = virt_to_phys(crash) & PAGE_MASK;

	crash_set_entry(crash, 2, KUNIT_IOMMU_IDENTITY, 0, 0);
	crash_add_legacy(crash, 2, 0, OLD_BUFFERS, OLD_BUFFERS, SZ_2M,
			 PTE_R | PTE_W);
	crash_add_legacy(crash, 2, 0, ram, ram, SZ_4K, PTE_R | PTE_W)->refused =
		true;
	crash_boot(crash);
	crash_bind(crash, a);
	crash_use_new(crash, a);
	crash->expect = WORKS;
	b = crash_add_dev(crash, 0, 2);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	crash_check_new(crash);
	/* What the crash kernel has mapped there is not old */
	crash->nr_legacy--;
	crash_check_dma(crash, WORKS);
	crash_bind(crash, b);
	expect_release(crash, b);
	crash_check_new(crash);
	crash_check_end(crash);
}

/* Devices that share a requester ID, of which one comes later */

/* Somebody gets the ID again, and nobody takes it away */
static void expect_id_is_free_once(struct crash *crash, struct device *a,
				   struct device *b)
{
	u32 rid;

	KUNIT_EXPECT_FALSE(crash->test, kunit_iommu_id_in_use(crash->iommu, 7));
	for (rid = 3; rid < 10 && !kunit_iommu_id_in_use(crash->iommu, 7); rid++)
		crash_add_dev(crash, rid, rid);
	KUNIT_EXPECT_TRUE(crash->test, kunit_iommu_id_in_use(crash->iommu, 7));
	kunit_iommu_remove_device(b);
	kunit_iommu_remove_device(a);
	KUNIT_EXPECT_TRUE(crash->test, kunit_iommu_id_in_use(crash->iommu, 7));
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

static void test_alias_carrying(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	const struct kunit_iommu_stats *stats;
	struct kunit_iommu_entry entry, later;
	unsigned int writes;

	crash_boot(crash);
	stats = kunit_iommu_get_stats(crash->iommu);
	writes = stats->entry_writes;
	KUNIT_EXPECT_TRUE(test, kunit_iommu_id_in_use(crash->iommu, 7));
	crash->expect = WORKS;
	crash_bind(crash, a);
	KUNIT_EXPECT_EQ(test, stats->entry_writes, writes + 1);
	kunit_iommu_get_entry(crash->iommu, 1, &entry);
	KUNIT_EXPECT_NE(test, entry.id, 7);
	KUNIT_EXPECT_TRUE(test, kunit_iommu_id_in_use(crash->iommu, 7));

	/* Its old DMA is that of its sibling: nothing to do, but to wait for it */
	b = crash_add_dev(crash, 0, 1);
	EXPECT_STATE(crash, b, KDUMP_CARRYING);
	KUNIT_EXPECT_EQ(test, stats->entry_writes, writes + 1);
	KUNIT_EXPECT_EQ(test, stats->walked, 1);
	kunit_iommu_get_entry(crash->iommu, 1, &later);
	KUNIT_EXPECT_EQ(test, later.root, entry.root);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_FALSE(test, crash_release_is_pending(a));
	crash_bind(crash, b);
	crash_use_new(crash, b);
	crash_check_dma(crash, WORKS);
	expect_release(crash, b);
	crash_unmap_new(crash);
	expect_id_is_free_once(crash, a, b);
}

static void test_alias_inherited(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash), *b;
	const struct kunit_iommu_stats *stats;
	unsigned int writes;

	crash_boot(crash);
	stats = kunit_iommu_get_stats(crash->iommu);
	writes = stats->entry_writes;
	crash->expect = WORKS;
	b = crash_add_dev(crash, 0, 1);
	EXPECT_STATE(crash, b, KDUMP_INHERITED);
	KUNIT_EXPECT_EQ(test, stats->entry_writes, writes);
	crash_bind(crash, b);
	KUNIT_EXPECT_EQ(test, stats->entry_writes, writes + 1);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, a);
	expect_release(crash, a);
	expect_id_is_free_once(crash, a, b);
}

/* The entry is the last one's */
static void test_alias_removed(struct kunit *test)
{
	struct crash *crash;
	struct device *a = crash_one_device(test, &crash);
	struct device *b = crash_add_dev(crash, 0, 1);

	crash_boot(crash);
	crash->expect = WORKS;
	kunit_iommu_remove_device(a);
	crash_check_dma(crash, WORKS);
	EXPECT_STATE(crash, b, KDUMP_INHERITED);
	crash_bind(crash, b);
	crash_check_dma(crash, WORKS);
	a = crash_add_dev(crash, 0, 1);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, a);
	expect_release(crash, b);
	expect_id_is_free_once(crash, a, b);
}

static struct kunit_case grow_cases[] = {
	KUNIT_CASE_PARAM(test_grow_inherited, crash_machines),
	KUNIT_CASE_PARAM(test_grow_one_by_one, crash_machines),
	KUNIT_CASE_PARAM(test_grow_inherited_refused, crash_machines),
	KUNIT_CASE_PARAM(test_grow_inherited_ids_differ, crash_machines),
	KUNIT_CASE_PARAM(test_grow_inherited_identity, crash_machines),
	KUNIT_CASE_PARAM(test_grow_carrying_same, crash_machines),
	KUNIT_CASE_PARAM(test_grow_carrying_other, crash_machines),
	KUNIT_CASE_PARAM(test_grow_carrying_contradiction, crash_machines),
	KUNIT_CASE_PARAM(test_grow_carrying_in_use, crash_machines),
	KUNIT_CASE_PARAM(test_grow_carrying_refused, crash_machines),
	KUNIT_CASE_PARAM(test_grow_carrying_corrupt, crash_machines),
	KUNIT_CASE_PARAM(test_grow_carrying_no_memory, crash_machines),
	KUNIT_CASE_PARAM(test_grow_released, crash_machines),
	KUNIT_CASE_PARAM(test_grow_blocked, crash_machines),
	KUNIT_CASE_PARAM(test_grow_claimed, crash_machines),
	KUNIT_CASE_PARAM(test_grow_none, crash_machines),
	KUNIT_CASE_PARAM(test_grow_none_ids_differ, crash_machines),
	KUNIT_CASE_PARAM(test_grow_none_identity, crash_machines),
	KUNIT_CASE_PARAM(test_alias_carrying, crash_machines),
	KUNIT_CASE_PARAM(test_alias_inherited, crash_machines),
	KUNIT_CASE_PARAM(test_alias_removed, crash_machines),
	{}
};

static struct kunit_suite grow_suite = {
	.name = "iommu_kdump_grow",
	.test_cases = grow_cases,
};

kunit_test_suite(grow_suite);
