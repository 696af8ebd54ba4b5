// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the crashdump framework: what of the crashed kernel is not believed
 */

#include <linux/device.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <kunit/iommu.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>

#include "../iommu-priv.h"
#include "crash_kunit.h"
#include "kdump.h"

/* A context entry that cannot be right is blocked from the start */
static void test_refused_entry(struct kunit *test)
{
	/* Memory of the crash kernel, in which hardware finds no entry that is present */
	void *own = kunit_kzalloc(test, SZ_4K, GFP_KERNEL);
	const struct kunit_iommu_entry bad[] = {
		{ KUNIT_IOMMU_PAGING, 4, 7, OLD_RAM + OLD_RAM_SIZE },
		{ KUNIT_IOMMU_PAGING, 4, 7, OLD_RAM - SZ_4K },
		{ KUNIT_IOMMU_PAGING, 4, 7, OLD_RAM + 8 },
		{ KUNIT_IOMMU_PAGING, 4, 7, virt_to_phys(own) },
		{ KUNIT_IOMMU_PAGING, 6, 7, OLD_RAM },
		{ KUNIT_IOMMU_PAGING, 0, 7, OLD_RAM },
		{ KUNIT_IOMMU_PAGING, 4, 0, OLD_RAM },
		{ KUNIT_IOMMU_NESTED, 4, 7, OLD_RAM },
	};
	struct crash *crash = crash_new(test, NULL);
	struct device *dev[ARRAY_SIZE(bad)];
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, own);
	crash_translated(crash, 0, 7);
	crash->nr_legacy = 0;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		dev[i] = crash_add_dev(crash, i, i);
		kunit_iommu_set_entry(crash->iommu, i, &bad[i]);
		crash_add_legacy(crash, i, 0, 0xfffff000, OLD_BUFFERS, SZ_4K,
				 PTE_R | PTE_W);
	}
	crash->expect = SAFE;
	crash_boot(crash);
	crash_check_dma(crash, FAULTS);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_STATE(crash, dev[i], KDUMP_BLOCKED);
		crash_bind(crash, dev[i]);
		crash_map_new(crash, dev[i]);
		kunit_iommu_unbind(dev[i]);
		EXPECT_STATE(crash, dev[i], KDUMP_BLOCKED);
		crash->nr_new = 0;
	}
	crash_check_end(crash);
}

/* A table pointer out of the old memory refuses all of it */
static void test_refused_table(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	*crash_pte(crash, OLD_RAM, 4, SZ_1G, 1) =
		crash_table_entry(crash, NOWHERE, 1);
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* A loop costs bounded work */
static void test_refused_loop(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	u64 loop = crash_new_table(crash);
	unsigned int i;

	/* 512 * 512 tables to read, but no more than the old RAM has pages */
	crash->nr_legacy = 0;
	crash->ram_size = SZ_8M;
	for (i = 0; i < 512; i++)
		crash_table(crash, loop)[i] = crash_table_entry(crash, loop, 3);
	*crash_pte(crash, OLD_RAM, 4, BIT_ULL(39), 3) =
		crash_table_entry(crash, loop, 3);
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_map_new(crash, dev);
	crash_check_end(crash);
}

/* No loop, but one table that stands for very many */
static void test_refused_fan_out(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	u64 tables[3];
	unsigned int i, level;

	crash->nr_legacy = 0;
	crash->ram_size = SZ_8M;
	for (i = 0; i < ARRAY_SIZE(tables); i++)
		tables[i] = crash_new_table(crash);
	for (level = 1; level < 3; level++)
		for (i = 0; i < 512; i++)
			crash_table(crash, tables[level])[i] =
				crash_table_entry(crash, tables[level - 1],
						  level);
	*crash_pte(crash, OLD_RAM, 4, BIT_ULL(39), 3) =
		crash_table_entry(crash, tables[2], 3);
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_map_new(crash, dev);
	crash_check_end(crash);
}

/* G2: single pages are left out, their IOVAs kept */
static void test_refused_pages(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	struct iommu_kdump_stats *stats;

	/* The crash kernel's memory, a hole, across the end of the old RAM */
	crash_add_legacy(crash, 1, OLD_RAM, 0xffe00000, SZ_16M, SZ_4K,
			 PTE_R | PTE_W)
		->refused = true;
	crash_add_legacy(crash, 1, OLD_RAM, 0xffe01000, NOWHERE, SZ_8K, PTE_W)
		->refused = true;
	crash_add_legacy(crash, 1, OLD_RAM, 0xffe03000, OLD_BUFFERS, SZ_4K,
			 PTE_R);
	crash_add_legacy(crash, 1, OLD_RAM, 0xffc00000, SZ_32M, SZ_2M, PTE_R)
		->refused = true;
	crash_add_legacy(crash, 1, OLD_RAM, 0xff600000,
			 OLD_RAM + OLD_RAM_SIZE - SZ_64K, SZ_64K, PTE_R);
	crash_add_legacy(crash, 1, OLD_RAM, 0xff610000, OLD_RAM + OLD_RAM_SIZE,
			 SZ_64K, PTE_R)
		->refused = true;
	crash_boot(crash);
	crash->expect = WORKS;
	crash_bind(crash, dev);
	crash->validated = true;
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	stats = &dev->iommu_group->kdump->stats;
	KUNIT_EXPECT_GT(test, stats->refused, 3);
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash_unmap_new(crash);
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	crash_use_new(crash, dev);
	crash_check_end(crash);
}

/*
 * A table of leaves that lead anywhere, which are taken together, and among them some
 * that must not be: wherever they stand, their neighbours must not suffer.
 */

#define LEAVES		512
#define LEAVES_IOVA	SZ_1G

struct odd_leaf {
	const char *name;
	/* What it becomes: an address, or bits of the entry to turn over, or nothing */
	u64 phys;
	u64 flip;
	/* So many of them, one after the other */
	unsigned int nr;
	/* Its DMA works nevertheless */
	bool works;
	u64 prot;
};

#define RAM_END		(OLD_RAM + OLD_RAM_SIZE)

static const struct odd_leaf odd_leaves[] = {
	{ "nothing", 0, 0, 1, true },
	{ "a hole", 0, 0, 1 },
	{ "a hole that is reserved", 0, 0, 16 },
	{ "a large hole", 0, 0, 17 },
	{ "crash kernel's memory", SZ_16M, 0, 1 },
	{ "page zero", 0, U64_MAX, 1 },
	{ "below RAM", OLD_RAM - SZ_2M, 0, 1 },
	{ "start of RAM", OLD_RAM + SZ_2M, 0, 1, true },
	{ "end of RAM", RAM_END - SZ_2M, 0, 1, true },
	{ "beyond RAM", RAM_END, 0, 1 },
	{ "nowhere, twice", NOWHERE, 0, 2 },
	{ "an address bit", 0, BIT_ULL(46), 1 },
	{ "a high address bit", 0, BIT_ULL(50), 1 },
	{ "read only", 0, 0, 1, true, PTE_R },
	{ "write only", 0, 0, 3, true, PTE_W },
	{ "no permission", 0, 0, 1, false, BIT_ULL(63) },
};

struct any_leaf {
	u64 phys;
	u64 prot;
};

static void odd_leaf(struct crash *crash, const struct odd_leaf *odd,
		     u64 *entry, unsigned int level, struct any_leaf *want)
{
	u64 prot = odd->prot ?: PTE_R | PTE_W;

	if (!odd->works)
		want->phys = 0;
	want->prot = crash_prot(crash, prot);
	if (odd->phys) {
		*entry = crash_leaf_entry(crash, odd->phys, prot, level);
		if (odd->works)
			want->phys = odd->phys;
	} else if (odd->flip == U64_MAX) {
		*entry = crash_leaf_entry(crash, 0, prot, level);
	} else if (odd->flip) {
		*entry ^= odd->flip;
	} else if (odd->prot) {
		u64 mask = BIT_ULL(PAGE_SHIFT + 9 * level) - 1;

		*entry = crash_leaf_entry(crash,
					  crash_entry_addr(crash, *entry) & ~mask,
					  prot & (PTE_R | PTE_W), level);
	} else if (!odd->works) {
		*entry = 0;
	}
}

static void one_any_dma(struct crash *crash, u64 iova, const struct any_leaf *want,
			bool write, const char *name, unsigned int i)
{
	bool works = want->phys && (want->prot & (write ? PTE_W : PTE_R));
	phys_addr_t phys = 0;
	int ret = kunit_iommu_dma(crash->iommu, 1, iova, write, &phys);

	if (works == !ret && (ret || phys == want->phys))
		return;
	KUNIT_FAIL(crash->test, "%s: %s of leaf %u: %d, %pa, expected %#llx",
		   name, write ? "write" : "read", i, ret, &phys, want->phys);
}

static void any_leaves(struct crash *crash, unsigned int level,
		       const struct odd_leaf *odd, struct any_leaf *want)
{
	static const unsigned int at[] = { 0, 1, 30, 31, 64, 255, 400, 495, 511 };
	unsigned int shift = PAGE_SHIFT + 9 * level, i, j;
	u64 root, phys, *entry;
	struct device *dev;

	memset(crash->tables, 0, OLD_TABLES * PAGE_SIZE);
	crash->nr_tables = 0;
	root = crash_new_table(crash);
	crash_set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	for (i = 0; i < LEAVES; i++) {
		phys = OLD_BUFFERS + ((u64)(i * 37 % 331) << shift);
		want[i].phys = phys;
		want[i].prot = PTE_R | PTE_W;
		entry = crash_pte(crash, root, 4,
				  LEAVES_IOVA + ((u64)i << shift), level);
		*entry = crash_leaf_entry(crash, phys, PTE_R | PTE_W, level);
	}
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		for (j = at[i]; j < min(at[i] + odd->nr, LEAVES); j++) {
			entry = crash_pte(crash, root, 4,
					  LEAVES_IOVA + ((u64)j << shift),
					  level);
			odd_leaf(crash, odd, entry, level, &want[j]);
		}
	}

	dev = crash_add_dev(crash, 0, 1);
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	for (i = 0; i < LEAVES; i++) {
		u64 iova = LEAVES_IOVA + ((u64)i << shift);

		one_any_dma(crash, iova, &want[i], false, odd->name, i);
		one_any_dma(crash, iova, &want[i], true, odd->name, i);
	}
	crash_check_end(crash);
	kunit_iommu_unbind(dev);
	crash_power_off(crash);
}

static void test_any_leaves(struct kunit *test)
{
	struct crash *crash = crash_new(test, NULL);
	struct any_leaf *want;
	unsigned int i;

	want = kunit_kcalloc(test, LEAVES, sizeof(*want), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, want);
	for (i = 0; i < ARRAY_SIZE(odd_leaves); i++) {
		any_leaves(crash, 0, &odd_leaves[i], want);
		any_leaves(crash, 1, &odd_leaves[i], want);
	}
}

/* R=W=0 below the top is not present, whatever else is set */
static void test_not_present(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	*crash_pte(crash, OLD_RAM, 4, 0xffe00000, 0) = NOWHERE;
	*crash_pte(crash, OLD_RAM, 4, SZ_2G, 2) = NOWHERE | PTE_PS;
	crash_boot(crash);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.bad, 0);
	crash_check_end(crash);
}

/* What the tables on the way allow bounds what a leaf does */
static void test_path_permissions(struct kunit *test)
{
	const struct machine *machine = test->param_value;
	u64 r = PTE_R, w = PTE_W, *entry;
	struct crash *crash;
	struct device *dev;

	if (machine->format != KUNIT_IOMMU_VTDSS &&
	    machine->format != KUNIT_IOMMU_AMDV1)
		kunit_skip(test, "what can be written can be read");
	if (machine->format == KUNIT_IOMMU_AMDV1) {
		r = AMD_IR;
		w = AMD_IW;
	}
	dev = crash_one_device(test, &crash);
	/* Below a table that can only be read */
	crash_add_legacy(crash, 1, OLD_RAM, SZ_1G, OLD_BUFFERS + SZ_64M, SZ_4K,
			 PTE_R | PTE_W)->prot = PTE_R;
	crash_add_legacy(crash, 1, OLD_RAM, SZ_1G + SZ_4K,
			 OLD_BUFFERS + SZ_64M + SZ_4K, SZ_4K, PTE_W)->prot = 0;
	*crash_pte(crash, OLD_RAM, 4, SZ_1G, 1) &= ~w;
	/* And a table that nothing can get to, so that nobody cares where it is */
	entry = crash_pte(crash, OLD_RAM, 4, SZ_2G, 1);
	*entry = crash_table_entry(crash, NOWHERE, 1) & ~r;
	*crash_pte(crash, OLD_RAM, 4, SZ_2G, 2) &= ~w;
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.bad, 0);
	crash_check_end(crash);
}

/* Neighbours in both address spaces that differ in what they allow */
static void test_contiguous_permissions(struct kunit *test)
{
	static const u64 prots[] = { PTE_R | PTE_W, PTE_R, PTE_W };
	struct crash *crash = crash_new(test, NULL);
	struct device *dev = crash_add_dev(crash, 0, 1);
	u64 root = crash_new_table(crash), iova = 0xff000000,
	    phys = OLD_BUFFERS;
	unsigned int i;

	crash_set_entry(crash, 1, KUNIT_IOMMU_PAGING, root, 7);
	for (i = 0; i < 9; i++) {
		/* Long runs are mapped in another way than short ones */
		u64 size = i < 6 ? SZ_4K : SZ_4M;

		if (i == 6) {
			iova = 0xe0000000;
			phys = OLD_BUFFERS + SZ_64M;
		}
		crash_add_legacy(crash, 1, root, iova, phys, size,
				 prots[i % ARRAY_SIZE(prots)]);
		iova += size;
		phys += size;
	}
	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_check_end(crash);
}

static int report_garbage(struct iommu_kdump_report *report)
{
	struct kunit *test = the_crash->test;
	const int rw = IOMMU_READ | IOMMU_WRITE;
	u64 iova = SZ_1M, phys = OLD_BUFFERS, entry = phys;
	struct iommu_kdump_leaves leaves = {
		.entries = &entry,
		.entry = entry,
		.nr = 1,
		.lg2sz = PAGE_SHIFT,
		.iova = iova,
		.phys = phys,
		.prot = rw,
	};

#define REPORT(iova, phys, size, prot) \
	iommu_kdump_report_mapping(report, iova, phys, size, prot)
	KUNIT_EXPECT_EQ(test, REPORT(iova, phys, 0, rw), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, REPORT(iova, phys, SZ_4K, 0), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, REPORT(iova, phys, SZ_4K, IOMMU_NOEXEC), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, REPORT(U64_MAX - SZ_4K + 1, phys, SZ_8K, rw),
			-EUCLEAN);
	KUNIT_EXPECT_EQ(test, REPORT(iova, U64_MAX - SZ_4K + 1, SZ_8K, rw),
			-EUCLEAN);
	KUNIT_EXPECT_EQ(test, iommu_kdump_report_bad(report, iova, 0), -EUCLEAN);
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_report_bad(report, U64_MAX - SZ_4K + 1,
					       SZ_8K), -EUCLEAN);
	/* In order, and each IOVA once */
	KUNIT_EXPECT_EQ(test, REPORT(iova, phys, SZ_8K, rw), 0);
	KUNIT_EXPECT_EQ(test, REPORT(iova, phys, SZ_8K, rw), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, REPORT(iova + SZ_4K, phys, SZ_4K, rw), -EUCLEAN);
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_report_bad(report, iova + SZ_4K, SZ_4K),
			-EUCLEAN);
	KUNIT_EXPECT_EQ(test,
			iommu_kdump_report_bad(report, iova + SZ_8K, SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, REPORT(iova + SZ_8K, phys, SZ_4K, rw), -EUCLEAN);
	/* Many at once are no better */
	KUNIT_EXPECT_EQ(test, iommu_kdump_report_leaves(report, &leaves),
			-EUCLEAN);
	leaves.iova = iova + SZ_16K;
	leaves.prot = IOMMU_NOEXEC;
	KUNIT_EXPECT_EQ(test, iommu_kdump_report_leaves(report, &leaves),
			-EUCLEAN);
	/* What the domain cannot map is no mistake of the walker, up to the very last IOVA */
	KUNIT_EXPECT_EQ(test, REPORT(iova + SZ_64K, phys + 8, SZ_4K, rw), 0);
	KUNIT_EXPECT_EQ(test, REPORT(iova + SZ_128K + 8, phys, SZ_4K, rw), 0);
	KUNIT_EXPECT_EQ(test, REPORT(U64_MAX - SZ_4K + 1, phys, SZ_4K, rw), 0);
	KUNIT_EXPECT_EQ(test, REPORT(U64_MAX - SZ_4K + 1, phys, SZ_4K, rw),
			-EUCLEAN);
#undef REPORT
	/* Once, at the first table; the rest of the walk is of no interest */
	return -EUCLEAN;
}

/* A driver whose walker goes wrong */
static void test_report_garbage(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	kunit_activate_static_stub(test, iommu_kdump_report_table,
				   report_garbage);
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* The tables of the crashed kernel cannot be read */
static void test_map_old_fails(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	crash_boot(crash);
	crash->map_fails = true;
	crash->expect = SAFE;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_BLOCKED);
	crash_check_dma(crash, FAULTS);
	crash_use_new(crash, dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* Registers that MSIs are written to, and that nobody has to read */
static void remove_doorbell(void *unused)
{
	iommu_kdump_remove_doorbell();
}

static void test_doorbell(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);
	const u64 frame = NOWHERE + SZ_64K;

	iommu_kdump_add_doorbell(frame + 0x40, 4);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, remove_doorbell, NULL),
			0);
	crash_map(crash, OLD_RAM, 0xffd00000, frame, SZ_4K, PTE_R | PTE_W);
	/* Its neighbours are none */
	crash_add_legacy(crash, 1, OLD_RAM, 0xffd01000, frame + SZ_4K, SZ_4K,
			 PTE_W)->refused = true;
	crash_add_legacy(crash, 1, OLD_RAM, 0xffcff000, frame - SZ_4K, SZ_4K,
			 PTE_W)->refused = true;
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	crash->validated = true;
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	/* From now on it can be written only */
	crash_add_legacy(crash, 1, 0, 0xffd00000, frame, SZ_4K, PTE_W);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.refused, 2);
	crash_use_new(crash, dev);
	crash_check_dma(crash, WORKS);
	crash->expect = SAFE;
	crash_grace_over(dev);
	crash_check_dma(crash, FAULTS);
	crash_check_end(crash);
}

/* Where software may map MSIs is no plan of anybody for what is mapped already */
static void test_sw_msi_region(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xfff00000,
						    SZ_1M, IOMMU_RESV_SW_MSI),
			0);
	crash_boot(crash);
	crash->expect = WORKS;
	crash_bind(crash, dev);
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	crash_use_new(crash, dev);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.refused, 0);
	crash_check_end(crash);
}

/* Where hardware has MSIs there is no translation */
static void test_msi_region(struct kunit *test)
{
	struct crash *crash;
	struct device *dev = crash_one_device(test, &crash);

	KUNIT_ASSERT_EQ(test,
			kunit_iommu_add_resv_region(crash->iommu, 0xff600000,
						    SZ_1M, IOMMU_RESV_MSI),
			0);
	crash_add_legacy(crash, 1, OLD_RAM, 0xff600000, OLD_BUFFERS, SZ_4K,
			 PTE_R | PTE_W)->refused = true;
	crash_boot(crash);
	crash->expect = SAFE;
	crash_bind(crash, dev);
	crash->validated = true;
	EXPECT_STATE(crash, dev, KDUMP_CARRYING);
	crash_check_dma(crash, WORKS);
	KUNIT_EXPECT_EQ(test, dev->iommu_group->kdump->stats.refused, 1);
	crash_check_end(crash);
}

static struct kunit_case refuse_cases[] = {
	KUNIT_CASE_PARAM(test_refused_entry, crash_machines),
	KUNIT_CASE_PARAM(test_refused_table, crash_machines),
	KUNIT_CASE_PARAM(test_refused_loop, crash_machines),
	KUNIT_CASE_PARAM(test_refused_fan_out, crash_machines),
	KUNIT_CASE_PARAM(test_refused_pages, crash_machines),
	KUNIT_CASE_PARAM(test_doorbell, crash_machines),
	KUNIT_CASE_PARAM(test_sw_msi_region, crash_machines),
	KUNIT_CASE_PARAM(test_msi_region, crash_machines),
	KUNIT_CASE_PARAM(test_any_leaves, crash_machines),
	KUNIT_CASE_PARAM(test_not_present, crash_machines),
	KUNIT_CASE_PARAM(test_path_permissions, crash_machines),
	KUNIT_CASE_PARAM(test_contiguous_permissions, crash_machines),
	KUNIT_CASE_PARAM(test_report_garbage, crash_machines),
	KUNIT_CASE_PARAM(test_map_old_fails, crash_machines),
	{}
};

static struct kunit_suite refuse_suite = {
	.name = "iommu_kdump_refuse",
	.test_cases = refuse_cases,
};

kunit_test_suite(refuse_suite);
