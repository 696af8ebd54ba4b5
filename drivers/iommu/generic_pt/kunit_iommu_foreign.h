/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests of what the crashdump framework does with page tables, once per format:
 * the walker of iommu_pt_foreign.h, on tables that the format's own map operation
 * has built, and map_leaves() and unmap_sparse() of iommu_pt.h.
 *
 * The walker is the one that drivers use. What it reports is caught here, and the
 * tables are handed to it as if they were memory of a crashed kernel.
 */
#ifndef __GENERIC_PT_KUNIT_IOMMU_FOREIGN_H
#define __GENERIC_PT_KUNIT_IOMMU_FOREIGN_H

#include <kunit/static_stub.h>
#include <linux/iommu-kdump.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sort.h>
#include <linux/vmalloc.h>

#include "../kdump/kdump.h"
#ifdef PT_FOREIGN_ONLY
#include "kunit_iommu_armv8.h"
#endif

#define pt_iommu_walk_foreign \
	CONCATENATE(CONCATENATE(pt_iommu_, PTPFX), walk_foreign)
int pt_iommu_walk_foreign(const struct pt_iommu_foreign *foreign,
			  struct iommu_kdump_report *report);

#define FOREIGN_MAX_MAPS	1024

struct foreign_map {
	u64 va;
	u64 oa;
	u64 len;
	unsigned int prot;
};

struct foreign_log {
	struct kunit *test;
	/* What must be found, in ascending order */
	struct foreign_map maps[FOREIGN_MAX_MAPS];
	unsigned int nr_maps;
	/* How far it was found */
	unsigned int cur;
	u64 done;
	u64 next_va;
	unsigned int tables;
	unsigned int bad;
	unsigned int wrong;
	/* What was allowed by any of them */
	int all_prot;
	/* Times that leaves were offered together */
	unsigned int leaves;
	int mapped_pages;
};

static struct foreign_log *foreign_log;

static bool foreign_extent(phys_addr_t phys, u64 *last)
{
	*last = U64_MAX;
	return true;
}

static bool foreign_crash_extent(phys_addr_t phys, u64 *last)
{
	*last = U64_MAX;
	return false;
}

static const void *foreign_map_page(phys_addr_t phys, u64 size)
{
	foreign_log->mapped_pages++;
	return phys_to_virt(phys);
}

static void foreign_unmap_page(const void *vaddr)
{
	foreign_log->mapped_pages--;
}

static const struct iommu_kdump_oldmem_ops foreign_oldmem_ops = {
	.extent = foreign_extent,
	.crash_extent = foreign_crash_extent,
	.map = foreign_map_page,
	.unmap = foreign_unmap_page,
};

static int foreign_report_table(struct iommu_kdump_report *report)
{
	foreign_log->tables++;
	return 0;
}

static int foreign_report_bad(struct iommu_kdump_report *report, u64 iova,
			      u64 size)
{
	foreign_log->bad++;
	return 0;
}

/*
 * A mapping comes in one piece or in many, but in order. Two that continue each other may
 * come as one.
 */
static int foreign_report_mapping(struct iommu_kdump_report *report, u64 iova,
				  phys_addr_t phys, u64 size, int prot)
{
	struct foreign_log *log = foreign_log;
	u64 part;

	log->all_prot |= prot;
	for (; size; iova += part, phys += part, size -= part) {
		const struct foreign_map *map = &log->maps[log->cur];

		if (log->cur >= log->nr_maps || iova != map->va + log->done ||
		    phys != map->oa + log->done ||
		    (prot & (IOMMU_READ | IOMMU_WRITE)) != map->prot) {
			if (!log->wrong++)
				kunit_err(log->test,
					  "reported %#llx to %pap size %#llx prot %x, expected number %u: %#llx to %#llx size %#llx prot %x, of which %#llx was found\n",
					  iova, &phys, size, prot, log->cur,
					  map->va, map->oa, map->len, map->prot,
					  log->done);
			return 0;
		}
		part = min(size, map->len - log->done);
		log->done += part;
		if (log->done == map->len) {
			log->cur++;
			log->done = 0;
		}
	}
	return 0;
}

static int foreign_report_leaves(struct iommu_kdump_report *report,
				 struct iommu_kdump_leaves *leaves)
{
	u64 address = leaves->entry << leaves->shift;

	/* Flags are below it, and in the highest bits of an entry */
	foreign_log->leaves++;
	if ((address ^ leaves->phys) & GENMASK_ULL(49, leaves->lg2sz))
		foreign_log->wrong++;
	leaves->nr = 1;
	return foreign_report_mapping(report, leaves->iova, leaves->phys,
				      log2_to_int(leaves->lg2sz), leaves->prot);
}

static void foreign_stop(void *data)
{
	iommu_kdump_set_oldmem_ops(NULL);
	vfree(foreign_log);
	foreign_log = NULL;
}

static struct foreign_log *foreign_start(struct kunit *test)
{
	foreign_log = vzalloc(sizeof(*foreign_log));
	KUNIT_ASSERT_NOT_NULL(test, foreign_log);
	foreign_log->test = test;
	iommu_kdump_set_oldmem_ops(&foreign_oldmem_ops);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, foreign_stop, NULL), 0);
	kunit_activate_static_stub(test, iommu_kdump_report_mapping,
				   foreign_report_mapping);
	kunit_activate_static_stub(test, iommu_kdump_report_leaves,
				   foreign_report_leaves);
	kunit_activate_static_stub(test, iommu_kdump_report_bad,
				   foreign_report_bad);
	kunit_activate_static_stub(test, iommu_kdump_report_table,
				   foreign_report_table);
	return foreign_log;
}

#ifndef PT_FOREIGN_ONLY
/* Some formats cannot say "write only" */
static unsigned int foreign_prot(struct kunit *test, unsigned int prot)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_write_attrs w = {}, rw = {};

	if (prot != IOMMU_WRITE)
		return prot;
	pt_iommu_set_prot(priv->common, &w, IOMMU_WRITE);
	pt_iommu_set_prot(priv->common, &rw, IOMMU_READ | IOMMU_WRITE);
	return w.descriptor_bits == rw.descriptor_bits ?
		       IOMMU_READ | IOMMU_WRITE : IOMMU_WRITE;
}
#endif

static unsigned int foreign_nth_prot(unsigned int n)
{
	static const unsigned int prots[] = {
		IOMMU_READ | IOMMU_WRITE, IOMMU_READ, IOMMU_WRITE
	};

	return prots[n % ARRAY_SIZE(prots)];
}

/* Map something and expect it to be found. False if something is in the way. */
static bool foreign_do_map(struct kunit *test, u64 va, u64 oa, u64 len)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct foreign_log *log = foreign_log;
	struct foreign_map *map = &log->maps[log->nr_maps];
	unsigned int prot = foreign_nth_prot(log->nr_maps), i;
	int ret;

	KUNIT_ASSERT_LT(test, log->nr_maps, FOREIGN_MAX_MAPS);
	/* A map operation may replace what is there */
	for (i = 0; i < log->nr_maps; i++)
		if (va < log->maps[i].va + log->maps[i].len &&
		    log->maps[i].va < va + len)
			return false;
	ret = iommu_map(&priv->domain, va, oa, len, prot, GFP_KERNEL);
	if (ret == -EADDRINUSE)
		return false;
	KUNIT_ASSERT_NO_ERRNO_FN(test, "iommu_map", ret);
	map->va = va;
	map->oa = oa;
	map->len = len;
	map->prot = foreign_prot(test, prot);
	log->nr_maps++;
	return true;
}

static int foreign_cmp(const void *a, const void *b)
{
	const struct foreign_map *x = a, *y = b;

	if (x->va != y->va)
		return x->va < y->va ? -1 : 1;
	return 0;
}

static int foreign_walk(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);
	struct pt_iommu_foreign foreign = {
		.root = virt_to_phys(range.top_table),
		.features = priv->common->features,
		.levels = range.top_level + 1,
		.max_vasz_lg2 = priv->common->max_vasz_lg2,
		.max_oasz_lg2 = priv->common->max_oasz_lg2,
	};
	int ret;

	foreign_log->cur = 0;
	foreign_log->done = 0;
	foreign_log->tables = 0;
	foreign_log->bad = 0;
	foreign_log->wrong = 0;
	ret = pt_iommu_walk_foreign(&foreign, NULL);
	KUNIT_EXPECT_EQ(test, foreign_log->mapped_pages, 0);
	return ret;
}

/* All that was mapped is found, and nothing else */
static void foreign_check(struct kunit *test)
{
	struct foreign_log *log = foreign_log;

	sort(log->maps, log->nr_maps, sizeof(log->maps[0]), foreign_cmp, NULL);
	KUNIT_ASSERT_NO_ERRNO_FN(test, "walk", foreign_walk(test));
	KUNIT_EXPECT_EQ(test, log->wrong, 0);
	KUNIT_EXPECT_EQ(test, log->bad, 0);
	KUNIT_EXPECT_EQ(test, log->cur, log->nr_maps);
	KUNIT_EXPECT_EQ(test, log->done, 0);
	KUNIT_EXPECT_GT(test, log->tables, 0);
}

/* Log2 of how many tables the top consists of */
static unsigned int foreign_top_lg2(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);
	struct pt_state pts = pt_init(&range, range.top_level, NULL);
	unsigned int table_lg2 =
		pt_table_item_lg2sz(&pts) + pt_num_items_lg2(&pts);

	return range.max_vasz_lg2 > table_lg2 ?
		       range.max_vasz_lg2 - table_lg2 : 0;
}

static void test_foreign_empty(struct kunit *test)
{
	foreign_start(test);
	foreign_check(test);
	KUNIT_EXPECT_EQ(test, foreign_log->tables,
			log2_to_int(foreign_top_lg2(test)));
}

static void foreign_map_sizes(struct kunit *test, pt_vaddr_t va,
			      pt_vaddr_t last)
{
	struct kunit_iommu_priv *priv = test->priv;
	unsigned int pgsz_lg2;

	for (pgsz_lg2 = 0; pgsz_lg2 != PT_VADDR_MAX_LG2; pgsz_lg2++) {
		u64 len = log2_to_int(pgsz_lg2);

		if (!(priv->safe_pgsize_bitmap & len))
			continue;
		va = ALIGN(va, len);
		if (va > last || len - 1 > last - va)
			break;
		foreign_do_map(test, va,
			       log2_set_mod(priv->test_oa, 0, pgsz_lg2), len);
		va += len;
	}
}

/* Every page size, contiguous entries included */
static void test_foreign_sizes(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);

	foreign_start(test);
	foreign_map_sizes(test, range.va + priv->smallest_pgsz * 256,
			  PT_VADDR_MAX);
	foreign_check(test);
}

/* The upper half, where the top bit of the IOVA is extended */
static __maybe_unused void test_foreign_sign_extend(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range;

	if (!pt_feature(priv->common, PT_FEAT_SIGN_EXTEND))
		kunit_skip(test, "PT_FEAT_SIGN_EXTEND not set");
	foreign_start(test);
	range = pt_upper_range(priv->common);
	foreign_map_sizes(test, range.va, range.last_va);
	foreign_do_map(test, range.last_va - priv->smallest_pgsz + 1,
		       priv->smallest_pgsz, priv->smallest_pgsz);
	range = pt_top_range(priv->common);
	foreign_do_map(test, range.va + SZ_64K, SZ_64K, priv->smallest_pgsz);
	foreign_check(test);
}

/* First and last page of what each number of levels translates */
static void test_foreign_levels(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_common *common = priv->common;
	struct pt_range range = pt_top_range(common);
	u64 pgsz = priv->smallest_pgsz;

	foreign_start(test);
	foreign_do_map(test, range.va, pgsz * 2, pgsz);
	for (;;) {
		range = pt_top_range(common);
		if (range.last_va != PT_VADDR_MAX)
			foreign_do_map(test, range.last_va - pgsz + 1,
				       pgsz * 16, pgsz);
		foreign_check(test);
		if (!pt_feature(common, PT_FEAT_DYNAMIC_TOP) ||
		    common->max_vasz_lg2 <= range.max_vasz_lg2 || range.va)
			break;
		/* The first page behind it needs another level */
		foreign_do_map(test, range.last_va + 1, pgsz * 64, pgsz);
		KUNIT_ASSERT_EQ(test, pt_top_range(common).top_level,
				range.top_level + 1);
	}
}

/* Whatever the map operation makes of runs of any size */
static void test_foreign_random(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);
	unsigned int pgsz_lg2 = priv->smallest_pgsz_lg2;
	unsigned int i;

	foreign_start(test);
	for (i = 0; i < 400; i++) {
		u64 pages = 1ULL << get_random_u32_below(13);
		u64 va, oa;

		pages += get_random_u32_below(pages);
		va = range.va +
		     log2_mod((u64)get_random_u32_below(SZ_256K) << pgsz_lg2,
			      priv->common->max_vasz_lg2 - 1);
		oa = oalog2_mod((u64)get_random_u32_below(SZ_1M) << pgsz_lg2,
				priv->common->max_oasz_lg2 - 1);
		/* Every other time it may become large pages */
		if (i & 1)
			oa = log2_set_mod(oa, va, pgsz_lg2 * 2 - 3);
		foreign_do_map(test, va, oa, pages << pgsz_lg2);
	}
	KUNIT_EXPECT_GT(test, foreign_log->nr_maps, 20);
	foreign_check(test);
}

/* What continues each other at both ends, by chance or because it was mapped in pieces */
static void test_foreign_neighbours(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);
	u64 pgsz = priv->smallest_pgsz;
	unsigned int i;

	foreign_start(test);
	/* Every third one has the same permissions, and each is too short for a run */
	for (i = 0; i < 12; i++) {
		u64 at = (i % 3 * 128 + i / 3 * 20) * pgsz;

		KUNIT_EXPECT_TRUE(test, foreign_do_map(test, range.va + at,
						       at + pgsz, 20 * pgsz));
	}
	foreign_check(test);
}

/* A walk that cannot be right is refused before anything is read */
static void test_foreign_invalid(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);
	struct pt_iommu_foreign good = {
		.root = virt_to_phys(range.top_table),
		.features = priv->common->features,
		.levels = range.top_level + 1,
		.max_vasz_lg2 = priv->common->max_vasz_lg2,
	};
	struct pt_iommu_foreign foreign = good;

	foreign_start(test);
	foreign.levels = 0;
	KUNIT_EXPECT_EQ(test, pt_iommu_walk_foreign(&foreign, NULL), -EINVAL);
	foreign.levels = PT_MAX_TOP_LEVEL + 2;
	KUNIT_EXPECT_EQ(test, pt_iommu_walk_foreign(&foreign, NULL), -EINVAL);
	foreign = good;
	/* DEBUG_GENERIC_PT lets all features pass */
	foreign.features = BIT(31);
	if (!(PT_SUPPORTED_FEATURES & BIT(31)))
		KUNIT_EXPECT_EQ(test, pt_iommu_walk_foreign(&foreign, NULL),
				-EINVAL);
	foreign = good;
	foreign.max_vasz_lg2 = PT_GRANULE_LG2SZ;
	KUNIT_EXPECT_EQ(test, pt_iommu_walk_foreign(&foreign, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, foreign_log->tables, 0);
	foreign = good;
	foreign.root += 8;
	KUNIT_EXPECT_EQ(test, pt_iommu_walk_foreign(&foreign, NULL), -EUCLEAN);
	foreign.root = good.root + log2_to_int(PT_TABLEMEM_LG2SZ);
	if (foreign_top_lg2(test))
		KUNIT_EXPECT_EQ(test, pt_iommu_walk_foreign(&foreign, NULL),
				-EUCLEAN);
	KUNIT_EXPECT_EQ(test, pt_iommu_walk_foreign(&good, NULL), 0);
	KUNIT_EXPECT_EQ(test, foreign_log->mapped_pages, 0);
}

/* Corrupted tables */

/* Per configuration of the format, on top of those that are the same each time */
static unsigned int corruptions = 8500;
module_param(corruptions, uint, 0444);
MODULE_PARM_DESC(corruptions, "Tables to corrupt at random");

static unsigned int corruption_seed;
module_param(corruption_seed, uint, 0444);
MODULE_PARM_DESC(corruption_seed, "Seed to repeat a run with, 0 for a new one");

#define CORRUPT_MAX_TABLES	24

/* What hardware has, of what makes a difference for a bit */
static unsigned int corrupt_features __maybe_unused;

/* What a bit of an entry that is present means, as the specification has it */
enum corrupt_bit {
	/* Does not change what is translated */
	CORRUPT_IGNORED,
	/* Cleared, nothing is translated */
	CORRUPT_PRESENT,
	CORRUPT_READ,
	CORRUPT_WRITE,
	/* Part of the address */
	CORRUPT_ADDRESS,
	/* Reserved, or impossible with the rest of the entry */
	CORRUPT_BAD,
	/* Makes an entry of another kind of it */
	CORRUPT_KIND,
};

#if defined(__GENERIC_PT_FMT_VTDSS_H)
#define CORRUPT_ADDRESS_BIT	12

/* VT-d specification, section 9.8 */
static enum corrupt_bit corrupt_bit(unsigned int level, bool leaf,
				    unsigned int bit)
{
	switch (bit) {
	case 0:
		return CORRUPT_READ;
	case 1:
		return CORRUPT_WRITE;
	case 7:
		if (!level)
			return CORRUPT_IGNORED;
		return level > 2 ? CORRUPT_BAD : CORRUPT_KIND;
	case 12 ... 51:
		return CORRUPT_ADDRESS;
	default:
		return CORRUPT_IGNORED;
	}
}
#elif defined(__GENERIC_PT_FMT_X86_64_H)
#define CORRUPT_ADDRESS_BIT	12

/* AMD64 Architecture Programmer's Manual, volume 2, section 5.4 */
static enum corrupt_bit corrupt_bit(unsigned int level, bool leaf,
				    unsigned int bit)
{
	switch (bit) {
	case 0:
	case 2:
		/* P, and U/S: DMA is user privilege */
		return CORRUPT_PRESENT;
	case 1:
		return CORRUPT_WRITE;
	case 7:
		if (!level)
			return CORRUPT_IGNORED;
		return level > 2 ? CORRUPT_BAD : CORRUPT_KIND;
	case 12 ... 51:
		return CORRUPT_ADDRESS;
	default:
		return CORRUPT_IGNORED;
	}
}
#elif defined(__GENERIC_PT_FMT_AMDV1_H)
#define CORRUPT_ADDRESS_BIT	12

/* AMD I/O Virtualization Technology specification, section 2.2.3 */
static enum corrupt_bit corrupt_bit(unsigned int level, bool leaf,
				    unsigned int bit)
{
	switch (bit) {
	case 0:
		return CORRUPT_PRESENT;
	case 9 ... 11:
		return CORRUPT_KIND;
	case 12 ... 51:
		return CORRUPT_ADDRESS;
	case 52 ... 58:
		return CORRUPT_BAD;
	case 59 ... 60:
		/* U and FC of a leaf */
		return leaf ? CORRUPT_IGNORED : CORRUPT_BAD;
	case 61:
		return CORRUPT_READ;
	case 62:
		return CORRUPT_WRITE;
	default:
		return CORRUPT_IGNORED;
	}
}
#elif defined(__GENERIC_PT_FMT_RISCV_H)
#define CORRUPT_ADDRESS_BIT	10

/* RISC-V privileged architecture, sections "Sv32" to "Sv57", Svnapot, Svpbmt, Svadu */
static enum corrupt_bit corrupt_bit(unsigned int level, bool leaf,
				    unsigned int bit)
{
	switch (bit) {
	case 0:
		return CORRUPT_PRESENT;
	case 1:
		/* W without R is reserved */
		return leaf ? CORRUPT_BAD : CORRUPT_KIND;
	case 2:
		return leaf ? CORRUPT_WRITE : CORRUPT_KIND;
	case 3:
		return leaf ? CORRUPT_IGNORED : CORRUPT_KIND;
	case 4:
		/* U, without which the page is the supervisor's */
		return leaf ? CORRUPT_PRESENT : CORRUPT_BAD;
	case 6:
		/* A and D, which some hardware sets itself, are for leaves */
		if (leaf && !(corrupt_features & BIT(PT_FEAT_RISCV_SVADU)))
			return CORRUPT_PRESENT;
		return leaf ? CORRUPT_IGNORED : CORRUPT_BAD;
	case 7:
		if (leaf && !(corrupt_features & BIT(PT_FEAT_RISCV_SVADU)))
			return CORRUPT_WRITE;
		return leaf ? CORRUPT_IGNORED : CORRUPT_BAD;
	case 61:
		/* PBMT as well: NC is what the leaf has, if hardware has it */
		if (!(corrupt_features & BIT(PT_FEAT_RISCV_SVPBMT)))
			return CORRUPT_BAD;
		return leaf ? CORRUPT_IGNORED : CORRUPT_BAD;
	case 62:
		return CORRUPT_BAD;
	case 10 ... 53:
		return CORRUPT_ADDRESS;
	case 54 ... 60:
	case 63:
		/* N: the page is not one of 64K */
		return CORRUPT_BAD;
	default:
		return CORRUPT_IGNORED;
	}
}
#elif defined(__GENERIC_PT_FMT_ARMV8_H)
#define CORRUPT_ADDRESS_BIT	ARMV8_GRANULE_LG2SZ

/* Arm Architecture Reference Manual, sections "Table descriptor format" and on */
static enum corrupt_bit corrupt_bit(unsigned int level, bool leaf,
				    unsigned int bit)
{
	bool s2 = corrupt_features & BIT(PT_FEAT_ARMV8_S2);
	bool privileged = corrupt_features & BIT(PT_FEAT_ARMV8_PRIVILEGED);

	switch (bit) {
	case 0:
		return CORRUPT_PRESENT;
	case 1:
		return level ? CORRUPT_KIND : CORRUPT_BAD;
	case 6:
		/* AP[1], without which the page is for privileged DMA; S2AP */
		if (leaf && s2)
			return CORRUPT_READ;
		return leaf && !privileged ? CORRUPT_PRESENT : CORRUPT_IGNORED;
	case 7:
		/* AP[2], which with HD only means that nothing has been written yet */
		if (leaf && (s2 || !(corrupt_features & BIT(PT_FEAT_ARMV8_HD))))
			return CORRUPT_WRITE;
		return CORRUPT_IGNORED;
	case 10:
		if (leaf && !(corrupt_features & BIT(PT_FEAT_ARMV8_HA)))
			return CORRUPT_PRESENT;
		return CORRUPT_IGNORED;
	case 12 ... 47:
		return bit < ARMV8_GRANULE_LG2SZ ? CORRUPT_BAD : CORRUPT_ADDRESS;
	case 48 ... 50:
		return CORRUPT_BAD;
	case 61:
	case 62:
		/* APTable */
		if (leaf)
			return CORRUPT_IGNORED;
		if (s2)
			return CORRUPT_BAD;
		if (corrupt_features & BIT(PT_FEAT_ARMV8_HPD))
			return CORRUPT_IGNORED;
		if (bit == 62)
			return CORRUPT_WRITE;
		return privileged ? CORRUPT_IGNORED : CORRUPT_PRESENT;
	case 59 ... 60:
	case 63:
		return s2 && !leaf ? CORRUPT_BAD : CORRUPT_IGNORED;
	default:
		return CORRUPT_IGNORED;
	}
}
#else
#error "This format has no table of what its bits mean"
#endif

/* How an entry says an address, from CORRUPT_ADDRESS_BIT on, and the reverse */
static u64 corrupt_field(u64 address)
{
	return log2_div_t(u64, address, PT_GRANULE_LG2SZ)
	       << CORRUPT_ADDRESS_BIT;
}

static u64 corrupt_address(u64 field)
{
	return log2_div_t(u64, field, CORRUPT_ADDRESS_BIT) << PT_GRANULE_LG2SZ;
}

static unsigned int leaves_per_table(struct kunit *test)
{
	return log2_to_int(PT_TABLEMEM_LG2SZ - ilog2(PT_ITEM_WORD_SIZE));
}

static u64 leaves_va(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);

	return range.va + 4 * leaves_per_table(test) * priv->smallest_pgsz;
}

/*
 * A chain of tables, from the top to the leaves, and what may be read of it. Behind
 * them are more tables of the top, if the format has that.
 */
struct corrupt_walk {
	struct kunit *test;
	phys_addr_t tables_at[CORRUPT_MAX_TABLES];
	u64 sizes[CORRUPT_MAX_TABLES];
	unsigned int nr_tables;
	unsigned int nr_levels;
	bool learning;
	u64 next;
	bool wrapped;
	unsigned int tables;
	unsigned int mapped_pages;
	unsigned int reported;
	unsigned int bad;
	const char *broken;
	int ret;
	/* The first mappings of the last walk, and those of the good table */
	struct foreign_map maps[4];
	struct foreign_map good[4];
	unsigned int nr_good;
};

static struct corrupt_walk corrupt;

static bool corrupt_extent(phys_addr_t phys, u64 *last)
{
	unsigned int i;

	*last = U64_MAX;
	if (corrupt.learning)
		return true;
	for (i = 0; i < corrupt.nr_tables; i++) {
		*last = corrupt.tables_at[i] + corrupt.sizes[i] - 1;
		if (phys >= corrupt.tables_at[i] && phys <= *last)
			return true;
	}
	*last = phys;
	return false;
}

static const void *corrupt_map(phys_addr_t phys, u64 size)
{
	u64 last;

	if (corrupt.learning && corrupt.nr_tables < CORRUPT_MAX_TABLES) {
		corrupt.sizes[corrupt.nr_tables] = size;
		corrupt.tables_at[corrupt.nr_tables++] = phys;
	} else if (!corrupt_extent(phys, &last) || last - phys < size - 1) {
		corrupt.broken = "read memory that is out of bounds";
	}
	corrupt.mapped_pages++;
	return phys_to_virt(phys);
}

static void corrupt_unmap(const void *vaddr)
{
	corrupt.mapped_pages--;
}

static const struct iommu_kdump_oldmem_ops corrupt_oldmem_ops = {
	.extent = corrupt_extent,
	.crash_extent = foreign_crash_extent,
	.map = corrupt_map,
	.unmap = corrupt_unmap,
};

static int corrupt_report_table(struct iommu_kdump_report *report)
{
	/* A chain, of which each entry may be followed once more by mistake */
	if (++corrupt.tables > 64)
		corrupt.broken = "does not end";
	return corrupt.tables > 64 ? -EUCLEAN : 0;
}

static void corrupt_check_range(u64 iova, u64 size)
{
	struct kunit_iommu_priv *priv = corrupt.test->priv;
	unsigned int vasz_lg2 = min_t(unsigned int, PT_VADDR_MAX_LG2,
				      priv->common->max_vasz_lg2);
	u64 upper = vasz_lg2 >= 64 ? 0 : iova >> vasz_lg2;

	if (!size || iova + (size - 1) < iova)
		corrupt.broken = "reported an empty or endless range";
	else if (!IS_ALIGNED(iova | size, priv->smallest_pgsz))
		corrupt.broken = "reported part of a page";
	else if (iova < corrupt.next || corrupt.wrapped)
		corrupt.broken = "went backwards";
	else if (upper && (!pt_feature(priv->common, PT_FEAT_SIGN_EXTEND) ||
			   upper != U64_MAX >> vasz_lg2))
		corrupt.broken = "reported what hardware does not translate";
	corrupt.next = iova + size;
	corrupt.wrapped = !corrupt.next;
}

static int corrupt_report_bad(struct iommu_kdump_report *report, u64 iova,
			      u64 size)
{
	corrupt.bad++;
	corrupt_check_range(iova, size);
	return 0;
}

static int corrupt_report_mapping(struct iommu_kdump_report *report, u64 iova,
				  phys_addr_t phys, u64 size, int prot)
{
	struct kunit_iommu_priv *priv = corrupt.test->priv;

	if (corrupt.reported < ARRAY_SIZE(corrupt.maps)) {
		struct foreign_map *map = &corrupt.maps[corrupt.reported];

		map->va = iova;
		map->oa = phys;
		map->len = size;
		map->prot = prot & (IOMMU_READ | IOMMU_WRITE);
	}
	corrupt.reported++;
	corrupt_check_range(iova, size);
	if (!IS_ALIGNED(iova | phys, size))
		corrupt.broken = "reported an address within a page";
	else if (oalog2_div((pt_oaddr_t)phys + (size - 1),
			    priv->common->max_oasz_lg2))
		corrupt.broken = "reported an address that does not exist";
	else if (!(prot & (IOMMU_READ | IOMMU_WRITE)) ||
		 (prot & ~(IOMMU_READ | IOMMU_WRITE | IOMMU_NOEXEC)))
		corrupt.broken = "reported impossible permissions";
	return 0;
}

static int corrupt_report_leaves(struct iommu_kdump_report *report,
				 struct iommu_kdump_leaves *leaves)
{
	leaves->nr = 1;
	return corrupt_report_mapping(report, leaves->iova, leaves->phys,
				      log2_to_int(leaves->lg2sz), leaves->prot);
}

static int corrupt_do_walk(void)
{
	struct kunit_iommu_priv *priv = corrupt.test->priv;
	struct pt_range range = pt_top_range(priv->common);
	struct pt_iommu_foreign foreign = {
		.root = virt_to_phys(range.top_table),
		.features = priv->common->features,
		.levels = range.top_level + 1,
		.max_vasz_lg2 = priv->common->max_vasz_lg2,
		.max_oasz_lg2 = priv->common->max_oasz_lg2,
	};
	int ret;

	corrupt.next = 0;
	corrupt.wrapped = false;
	corrupt.tables = 0;
	corrupt.reported = 0;
	corrupt.bad = 0;
	ret = pt_iommu_walk_foreign(&foreign, NULL);
	if (ret && ret != -EUCLEAN)
		corrupt.broken = "failed with something else than -EUCLEAN";
	if (corrupt.mapped_pages)
		corrupt.broken = "left pages mapped";
	corrupt.ret = ret;
	return ret;
}

/*
 * What one bit of one entry of the good table must have changed. @below says which
 * of the mappings are reached through the entry.
 */
static void corrupt_judge_bit(unsigned int level, bool leaf,
			      unsigned int bit, unsigned int below)
{
	struct kunit_iommu_priv *priv = corrupt.test->priv;
	enum corrupt_bit what = corrupt_bit(level, leaf, bit);
	struct foreign_map want[ARRAY_SIZE(corrupt.good)];
	unsigned int i, nr = 0, bad = 0;
	int ret = 0;
	u64 oa;

	if (what == CORRUPT_KIND)
		return;
	/* Another table of the same chain is found again */
	if (what == CORRUPT_ADDRESS && !leaf) {
		oa = corrupt.tables_at[corrupt.nr_levels - level] ^
		     corrupt_address(BIT_ULL(bit));
		for (i = 0; i < corrupt.nr_tables; i++)
			if (corrupt.tables_at[i] == oa)
				return;
	}

	for (i = 0; i < corrupt.nr_good; i++) {
		want[nr] = corrupt.good[i];
		if (!(below & BIT(i)) || what == CORRUPT_IGNORED) {
			nr++;
			continue;
		}
		switch (what) {
		case CORRUPT_READ:
			want[nr++].prot &= ~IOMMU_READ;
			break;
		case CORRUPT_WRITE:
			want[nr++].prot &= ~IOMMU_WRITE;
			break;
		case CORRUPT_ADDRESS:
			if (!leaf) {
				ret = -EUCLEAN;
				break;
			}
			oa = want[nr].oa ^ corrupt_address(BIT_ULL(bit));
			want[nr].oa = oa;
			if (oalog2_div((pt_oaddr_t)oa,
				       priv->common->max_oasz_lg2) ||
			    !IS_ALIGNED(oa, want[nr].len))
				bad++;
			else
				nr++;
			break;
		case CORRUPT_BAD:
			if (leaf)
				bad++;
			else
				ret = -EUCLEAN;
			break;
		default:
			break;
		}
	}
	if (corrupt.ret != ret)
		corrupt.broken = ret ? "was not refused" : "was refused";
	else if (ret)
		return;
	else if (corrupt.bad != bad)
		corrupt.broken = bad ? "was not reported as bad" :
				       "was reported as bad";
	else if (corrupt.reported != nr)
		corrupt.broken = "has lost a mapping, or made one";
	for (i = 0; i < nr && !corrupt.broken; i++)
		if (corrupt.maps[i].va != want[i].va ||
		    corrupt.maps[i].oa != want[i].oa ||
		    corrupt.maps[i].len != want[i].len ||
		    corrupt.maps[i].prot != want[i].prot)
			corrupt.broken = "has changed a mapping";
}

static void corrupt_stop(void *data)
{
	iommu_kdump_set_oldmem_ops(NULL);
}

static bool corrupt_one(u64 *entry, u64 value, unsigned int *refused,
			unsigned int *count)
{
	u64 good = *entry;

	WRITE_ONCE(*entry, value);
	if (corrupt_do_walk())
		++*refused;
	WRITE_ONCE(*entry, good);
	++*count;
	if (corrupt.broken) {
		KUNIT_FAIL(corrupt.test, "entry %#llx instead of %#llx: %s",
			   value, good, corrupt.broken);
		return false;
	}
	return true;
}

static bool corrupt_bits(u64 *entry, unsigned int level, bool leaf,
			 unsigned int below, unsigned int *refused,
			 unsigned int *count)
{
	u64 good = *entry;
	unsigned int i;

	for (i = 0; i < 64; i++) {
		WRITE_ONCE(*entry, good ^ BIT_ULL(i));
		if (corrupt_do_walk())
			++*refused;
		WRITE_ONCE(*entry, good);
		++*count;
		if (!corrupt.broken)
			corrupt_judge_bit(level, leaf, i, below);
		if (corrupt.broken) {
			KUNIT_FAIL(corrupt.test,
				   "bit %u of entry %#llx, level %u: %s", i,
				   good, level, corrupt.broken);
			return false;
		}
	}
	return true;
}

/* An entry like @good, which points to @old_pa, that points to @pa */
static u64 corrupt_pointer(u64 good, phys_addr_t old_pa, phys_addr_t pa)
{
	return (good & ~corrupt_field(old_pa)) | corrupt_field(pa);
}

static void test_foreign_corrupt(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);
	unsigned int level, i, n, words, refused = 0, count = 0, seed;
	unsigned int levels = range.top_level + 1;
	u64 va = leaves_va(test), pgsz = priv->smallest_pgsz;
	u64 *entries[CORRUPT_MAX_TABLES], large;
	struct rnd_state rnd;

	memset(&corrupt, 0, sizeof(corrupt));
	corrupt.test = test;
	corrupt_features = priv->common->features;
	do_map(test, va, pgsz * 64, pgsz);
	do_map(test, va + pgsz * 3, pgsz * 128, pgsz);
	corrupt.nr_good = 2;
	large = leaves_per_table(test) * pgsz;
	if ((priv->safe_pgsize_bitmap & large) && range.last_va - va > 5 * large) {
		do_map(test, va + large * 4, large * 32, large);
		corrupt.nr_good++;
	}

	iommu_kdump_set_oldmem_ops(&corrupt_oldmem_ops);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, corrupt_stop, NULL), 0);
	kunit_activate_static_stub(test, iommu_kdump_report_mapping,
				   corrupt_report_mapping);
	kunit_activate_static_stub(test, iommu_kdump_report_leaves,
				   corrupt_report_leaves);
	kunit_activate_static_stub(test, iommu_kdump_report_bad,
				   corrupt_report_bad);
	kunit_activate_static_stub(test, iommu_kdump_report_table,
				   corrupt_report_table);

	corrupt.learning = true;
	KUNIT_ASSERT_EQ(test, corrupt_do_walk(), 0);
	corrupt.learning = false;
	KUNIT_ASSERT_GE(test, corrupt.nr_tables, levels);
	corrupt.nr_levels = levels;
	KUNIT_ASSERT_EQ(test, corrupt.reported, corrupt.nr_good);
	memcpy(corrupt.good, corrupt.maps, sizeof(corrupt.good));
	KUNIT_ASSERT_PTR_EQ(test, corrupt.broken, NULL);

	/* The entry of each table that leads down */
	for (level = 0; level < levels; level++) {
		u64 *table = phys_to_virt(corrupt.tables_at[level]);

		words = corrupt.sizes[level] / sizeof(u64);
		for (i = 0; i < words && !table[i]; i++)
			;
		KUNIT_ASSERT_LT(test, i, words);
		entries[level] = table + i;
	}

	for (level = 0; level < levels; level++) {
		u64 *entry = entries[level], good = *entry;
		bool leaf = level == levels - 1;
		phys_addr_t pa = leaf ? pgsz * 64 : corrupt.tables_at[level + 1];

		n = levels - 1 - level;
		if (!corrupt_bits(entry, n, leaf, leaf ? 1 : n == 1 ? 3 : 7,
				  &refused, &count))
			return;
		/* The leaf beside the table of leaves */
		if (n == 1 && corrupt.nr_good == 3 &&
		    !corrupt_bits(entry + 4, 1, true, 4, &refused, &count))
			return;
		if (!corrupt_one(entry, U64_MAX, &refused, &count) ||
		    !corrupt_one(entry, 0, &refused, &count))
			return;
		/* Loops and aliases: every table in the place of every other */
		for (i = 0; i < corrupt.nr_tables; i++)
			if (!corrupt_one(entry,
					 corrupt_pointer(good, pa,
							 corrupt.tables_at[i]),
					 &refused, &count))
				return;
		/* Out of what may be read, at the end of what exists */
		n = refused;
		if (!corrupt_one(entry,
				 corrupt_pointer(good, pa, pa ^ SZ_1G),
				 &refused, &count) ||
		    !corrupt_one(entry,
				 corrupt_pointer(good, pa, BIT_ULL(45)),
				 &refused, &count))
			return;
		KUNIT_EXPECT_EQ(test, refused - n, leaf ? 0 : 2);
	}

	seed = corruption_seed ?: get_random_u32();
	prandom_seed_state(&rnd, seed);
	for (i = 0; i < corruptions; i++) {
		u64 *entry, value;

		level = prandom_u32_state(&rnd) % levels;
		entry = entries[level];
		value = *entry;

		/* A few flips, or garbage, sometimes where nothing was */
		n = prandom_u32_state(&rnd) % 8;
		if (n == 7)
			value = ((u64)prandom_u32_state(&rnd) << 32) |
				prandom_u32_state(&rnd);
		else
			while (n-- + 1)
				value ^= BIT_ULL(prandom_u32_state(&rnd) % 64);
		if (!(prandom_u32_state(&rnd) % 4))
			entry = phys_to_virt(corrupt.tables_at[level]) +
				prandom_u32_state(&rnd) %
					(corrupt.sizes[level] / sizeof(u64)) *
					sizeof(u64);
		if (!corrupt_one(entry, value, &refused, &count)) {
			kunit_err(test, "number %u of seed %u", i, seed);
			return;
		}
		if (!(i % 256))
			cond_resched();
	}
	KUNIT_EXPECT_EQ(test, corrupt_do_walk(), 0);
	KUNIT_EXPECT_EQ(test, corrupt.reported, corrupt.nr_good);
	kunit_info(test, "%u corrupted tables, %u refused, seed %u", count,
		   refused, seed);
}

#ifdef __GENERIC_PT_FMT_ARMV8_H
static u64 *armv8_entry(struct kunit *test, u64 va, unsigned int level)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);
	struct pt_state pts = pt_init(&range, range.top_level,
				      range.top_table);

	for (;; pts.level--) {
		pts.index = log2_div(va, pt_table_item_lg2sz(&pts));
		if (pts.level != range.top_level)
			pts.index = log2_mod(pts.index, pt_num_items_lg2(&pts));
		if (pts.level == level)
			return pt_cur_table(&pts, u64) + pts.index;
		pt_load_entry(&pts);
		pts.table = pts.table_lower;
	}
}

/* What hardware allows, by the bits of a leaf, of the table above it, and what it has */
static void test_foreign_armv8_prot(struct kunit *test)
{
	enum {
		RW = IOMMU_READ | IOMMU_WRITE,
		HA = BIT(PT_FEAT_ARMV8_HA),
		HD = HA | BIT(PT_FEAT_ARMV8_HD),
		HPD = BIT(PT_FEAT_ARMV8_HPD),
		PRIV = BIT(PT_FEAT_ARMV8_PRIVILEGED),
	};
	static const struct {
		unsigned int features;
		bool s2;
		u64 clear;
		u64 set;
		u64 set_table;
		unsigned int prot;
	} cases[] = {
		{ 0, false, 0, 0, 0, RW },
		{ 0, false, BIT(10), 0, 0, 0 },
		{ HA, false, BIT(10), 0, 0, RW },
		{ 0, false, 0, BIT(7), 0, IOMMU_READ },
		{ 0, false, 0, BIT(7) | BIT_ULL(51), 0, IOMMU_READ },
		{ HD, false, 0, BIT(7) | BIT_ULL(51), 0, RW },
		{ HD, false, BIT_ULL(51), BIT(7), 0, IOMMU_READ },
		{ HA, false, 0, BIT(7) | BIT_ULL(51), 0, IOMMU_READ },
		{ 0, false, BIT(6), 0, 0, 0 },
		{ PRIV, false, BIT(6), 0, 0, RW },
		{ PRIV, false, BIT(6), BIT(7), 0, IOMMU_READ },
		{ 0, false, 0, 0, BIT_ULL(61), 0 },
		{ PRIV, false, 0, 0, BIT_ULL(61), RW },
		{ HPD, false, 0, 0, BIT_ULL(61), RW },
		{ 0, false, 0, 0, BIT_ULL(62), IOMMU_READ },
		{ HD, false, 0, BIT(7) | BIT_ULL(51), BIT_ULL(62), IOMMU_READ },
		{ HPD, false, 0, 0, BIT_ULL(62), RW },
		{ 0, false, 0, BIT_ULL(54), 0, RW | IOMMU_NOEXEC },
		{ 0, false, 0, 0, BIT_ULL(60), RW | IOMMU_NOEXEC },
		{ HPD, false, 0, 0, BIT_ULL(60), RW },
		{ 0, true, 0, 0, 0, RW },
		{ 0, true, BIT(10), 0, 0, 0 },
		{ HA, true, BIT(10), 0, 0, RW },
		{ 0, true, BIT(6), 0, 0, IOMMU_WRITE },
		{ 0, true, BIT(7), 0, 0, IOMMU_READ },
		{ 0, true, BIT(6) | BIT(7), 0, 0, 0 },
		{ 0, true, BIT(7), BIT_ULL(51), 0, IOMMU_READ },
		{ HD, true, BIT(7), BIT_ULL(51), 0, RW },
		{ HD, true, BIT(7), 0, 0, IOMMU_READ },
		{ PRIV | HPD, true, BIT(6), 0, 0, IOMMU_WRITE },
		{ 0, true, 0, BIT_ULL(54), 0, RW | IOMMU_NOEXEC },
	};
	struct kunit_iommu_priv *priv = test->priv;
	struct foreign_log *log = foreign_start(test);
	u64 va = leaves_va(test), pgsz = priv->smallest_pgsz;
	u64 *leaf, *table, good_leaf, good_table;
	unsigned int i;

	do_map(test, va, pgsz * 7, pgsz);
	leaf = armv8_entry(test, va, 0);
	table = armv8_entry(test, va, 1);
	good_leaf = *leaf;
	good_table = *table;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].s2 != priv->s2)
			continue;
		priv->common->features = cases[i].features;
		if (priv->s2)
			priv->common->features |= BIT(PT_FEAT_ARMV8_S2);
		*leaf = (good_leaf & ~cases[i].clear) | cases[i].set;
		*table = good_table | cases[i].set_table;
		log->nr_maps = !!cases[i].prot;
		log->maps[0] = (struct foreign_map){
			va, pgsz * 7, pgsz, cases[i].prot & RW
		};
		log->all_prot = 0;
		KUNIT_EXPECT_EQ(test, foreign_walk(test), 0);
		if (log->wrong || log->bad || log->cur != log->nr_maps ||
		    (log->all_prot ^ cases[i].prot) & IOMMU_NOEXEC)
			KUNIT_FAIL(test, "case %u: found %u, bad %u, prot %x",
				   i, log->cur, log->bad, log->all_prot);
	}
	*leaf = good_leaf;
	*table = good_table;
}

/* Blocks where there are none, or not aligned; the reserved descriptor of a page */
static void test_foreign_armv8_reserved(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct foreign_log *log = foreign_start(test);
	struct pt_range range = pt_top_range(priv->common);
	u64 va = leaves_va(test), pgsz = priv->smallest_pgsz;
	u64 *leaf, *entry, good, block;
	unsigned int level;

	do_map(test, va, pgsz * 7, pgsz);
	leaf = armv8_entry(test, va, 0);
	good = *leaf;
	*leaf &= ~BIT_ULL(1);
	KUNIT_EXPECT_EQ(test, foreign_walk(test), 0);
	KUNIT_EXPECT_EQ(test, log->bad, 1);
	/* Not valid, whatever the rest is */
	*leaf = ~BIT_ULL(0);
	KUNIT_EXPECT_EQ(test, foreign_walk(test), 0);
	KUNIT_EXPECT_EQ(test, log->bad, 0);
	/* The hint that a page is one of several changes nothing */
	*leaf = good | BIT_ULL(52);
	log->nr_maps = 1;
	log->maps[0] = (struct foreign_map){
		va, pgsz * 7, pgsz, IOMMU_READ | IOMMU_WRITE
	};
	foreign_check(test);
	*leaf = good;

	block = good & ~(GENMASK_ULL(47, 12) | BIT_ULL(1));
	for (level = 1; level <= range.top_level; level++) {
		struct pt_state pts = pt_init(&range, level, NULL);
		unsigned int isz_lg2 = pt_table_item_lg2sz(&pts);
		u64 size = log2_to_int(isz_lg2);
		bool can = level <= (pgsz == SZ_4K ? 2 : 1);

		entry = armv8_entry(test, va, level);
		good = *entry;
		*entry = block;
		log->nr_maps = can;
		log->maps[0] = (struct foreign_map){
			log2_set_mod(va, 0, isz_lg2), 0, size,
			IOMMU_READ | IOMMU_WRITE
		};
		KUNIT_EXPECT_EQ(test, foreign_walk(test), 0);
		KUNIT_EXPECT_EQ(test, log->bad, !can);
		KUNIT_EXPECT_EQ(test, log->cur, can);
		KUNIT_EXPECT_EQ(test, log->wrong, 0);
		/* Half a block, nT, and what has more bits than there are */
		log->nr_maps = 0;
		*entry = block | size / 2;
		KUNIT_EXPECT_EQ(test, foreign_walk(test), 0);
		KUNIT_EXPECT_EQ(test, log->bad, 1);
		*entry = block | BIT(16);
		KUNIT_EXPECT_EQ(test, foreign_walk(test), 0);
		KUNIT_EXPECT_EQ(test, log->bad, 1);
		*entry = block | BIT_ULL(48);
		KUNIT_EXPECT_EQ(test, foreign_walk(test), 0);
		KUNIT_EXPECT_EQ(test, log->bad, 1);
		*entry = good;
	}
}

/* Every width that Linux uses, in both stages */
static const void *armv8_width_gen_params(struct kunit *test, const void *prev,
					  char *desc)
{
	static struct armv8_cfg cfg;
	static const unsigned int oas[] = { 32, 36, 40, 42, 44, 48 };
	unsigned int i;

	if (!prev)
		cfg = (struct armv8_cfg){ .ias = 32 };
	else if (!cfg.s2)
		cfg.s2 = true;
	else
		cfg = (struct armv8_cfg){ .ias = cfg.ias + 1 };
	if (cfg.ias > 48)
		return NULL;
	/* Stage 2 translates no more than there is, stage 1 may */
	for (i = 0; i < ARRAY_SIZE(oas); i++)
		if (oas[i] >= (cfg.s2 ? cfg.ias : 32 + cfg.ias * 5 % 17))
			break;
	cfg.oas = oas[i];
	armv8_cfg_desc(&cfg, desc);
	return &cfg;
}

static void test_foreign_armv8_width(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct pt_range range = pt_top_range(priv->common);
	u64 pgsz = priv->smallest_pgsz, va;
	unsigned int i;

	foreign_start(test);
	foreign_do_map(test, 0, pgsz * 3, pgsz);
	foreign_do_map(test, range.last_va - pgsz + 1,
		       log2_to_int(priv->cfg.oas) - pgsz, pgsz);
	foreign_map_sizes(test, pgsz * 256, range.last_va - pgsz);
	/* One for each of 16 tables that may be the top */
	for (i = 1; i < 16; i++) {
		va = (range.last_va / 16 + 1) * i;
		foreign_do_map(test, ALIGN_DOWN(va, pgsz) + pgsz * 5, pgsz * i,
			       pgsz * 2);
	}
	KUNIT_EXPECT_GE(test, foreign_log->nr_maps, 16);
	foreign_check(test);
}
#endif

/* map_leaves() */

static int do_large_leaves(struct kunit *test, u64 va, u64 pgsz,
			   const u64 *leaves, unsigned int nr)
{
	struct kunit_iommu_priv *priv = test->priv;

#ifdef PT_FOREIGN_ONLY
	return priv->ops->map_leaves(priv->ops, va, ilog2(pgsz), leaves, nr,
				     GFP_KERNEL);
#else
	return priv->iommu->ops->map_leaves(priv->iommu, va, ilog2(pgsz),
					    leaves, nr, GFP_KERNEL);
#endif
}

static int do_leaves(struct kunit *test, u64 va, const u64 *leaves,
		     unsigned int nr)
{
	struct kunit_iommu_priv *priv = test->priv;

	return do_large_leaves(test, va, priv->smallest_pgsz, leaves, nr);
}

static u64 *alloc_leaves(struct kunit *test, unsigned int *nr)
{
	u64 *leaves;

	*nr = leaves_per_table(test);
	leaves = kunit_kcalloc(test, *nr, sizeof(*leaves), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, leaves);
	return leaves;
}

static void expect_leaves(struct kunit *test, u64 va, const u64 *leaves,
			  unsigned int nr)
{
	struct kunit_iommu_priv *priv = test->priv;
	unsigned int i;

	for (i = 0; i < nr; i++)
		KUNIT_ASSERT_EQ(test,
				iommu_iova_to_phys(&priv->domain,
						   va + i * priv->smallest_pgsz),
				ALIGN_DOWN(leaves[i], priv->smallest_pgsz));
}

/* Scattered pages of a whole table, with holes, read back by the walker too */
static void test_map_leaves(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct foreign_log *log = foreign_start(test);
	u64 va = leaves_va(test), *leaves;
	unsigned int i, nr;

	leaves = alloc_leaves(test, &nr);
	nr = min(nr, FOREIGN_MAX_MAPS);
	for (i = 0; i < nr; i++) {
		unsigned int prot = foreign_nth_prot(i / 2);

		if (i % 7 == 3)
			continue;
		leaves[i] = (u64)(3 * i + 5) * priv->smallest_pgsz;
		log->maps[log->nr_maps].va = va + i * priv->smallest_pgsz;
		log->maps[log->nr_maps].oa = leaves[i];
		log->maps[log->nr_maps].len = priv->smallest_pgsz;
		log->maps[log->nr_maps++].prot = foreign_prot(test, prot);
		leaves[i] |= prot;
	}
	KUNIT_ASSERT_EQ(test, do_leaves(test, va, leaves, nr), 0);
	expect_leaves(test, va, leaves, nr);
	foreign_check(test);
	KUNIT_EXPECT_GT(test, log->leaves, 0);

	/* The same once more, in part and in full */
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, nr), 0);
	KUNIT_EXPECT_EQ(test,
			do_leaves(test, va + 5 * priv->smallest_pgsz,
				  leaves + 5, 9), 0);
	foreign_check(test);

	/* Into the holes */
	for (i = 0; i < nr; i++)
		leaves[i] = i % 7 == 3 ?
			    (priv->smallest_pgsz * i * 2) | IOMMU_READ : 0;
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, nr), 0);
	for (i = 0; i < nr; i++)
		if (leaves[i])
			expect_leaves(test, va + i * priv->smallest_pgsz,
				      leaves + i, 1);
}

static void test_map_leaves_refuses(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	u64 va = leaves_va(test), pgsz = priv->smallest_pgsz, *leaves;
	unsigned int nr;

	leaves = alloc_leaves(test, &nr);
	leaves[0] = 8 * pgsz | IOMMU_READ;
	leaves[1] = 4 * pgsz | IOMMU_READ;
	KUNIT_ASSERT_EQ(test, do_leaves(test, va, leaves, 2), 0);

	/* Another address, another permission */
	leaves[1] = 5 * pgsz | IOMMU_READ;
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, 2), -EADDRINUSE);
	leaves[1] = 3 * pgsz | IOMMU_READ;
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, 2), -EADDRINUSE);
	leaves[1] = 4 * pgsz | IOMMU_READ | IOMMU_WRITE;
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, 2), -EADDRINUSE);
	leaves[1] = 4 * pgsz | IOMMU_READ;
	expect_leaves(test, va, leaves, 2);

	/* Behind one that is new and has the same permission */
	leaves[2] = 2 * pgsz | IOMMU_READ;
	leaves[3] = 6 * pgsz | IOMMU_READ;
	KUNIT_EXPECT_EQ(test, do_leaves(test, va + 3 * pgsz, leaves + 3, 1), 0);
	leaves[3] = 7 * pgsz | IOMMU_READ;
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, 4), -EADDRINUSE);
	leaves[3] = 6 * pgsz | IOMMU_READ;
	expect_leaves(test, va, leaves, 4);

	/* Into the next table */
	KUNIT_EXPECT_EQ(test,
			do_leaves(test, va + (nr - 1) * pgsz, leaves, 2),
			-EINVAL);
}

/* Below a large page what it maps is there, and nothing else can be */
static void test_map_leaves_large(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	u64 va = leaves_va(test), pgsz = priv->smallest_pgsz, *leaves, large, oa;
	unsigned int i, nr;

	leaves = alloc_leaves(test, &nr);
	large = nr * pgsz;
	if (!(priv->safe_pgsize_bitmap & large))
		kunit_skip(test, "no page of the size of a table");
	oa = 16 * large;
	do_map(test, va, oa, large);
	for (i = 0; i < nr; i++)
		leaves[i] = (oa + i * pgsz) | IOMMU_READ | IOMMU_WRITE;
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, nr), 0);
	leaves[9] = 0;
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, nr), 0);
	KUNIT_EXPECT_EQ(test, do_leaves(test, va + 7 * pgsz, leaves + 7, 20), 0);
	leaves[20] += pgsz;
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, nr), -EADDRINUSE);
	KUNIT_EXPECT_EQ(test, count_valids(test), 1);
}

/* Leaves that translate as much as a table of small ones */
static void test_map_large_leaves(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	u64 pgsz = priv->smallest_pgsz, *leaves, large, va, small;
	struct pt_range range = pt_top_range(priv->common);
	unsigned int i, nr;

	leaves = alloc_leaves(test, &nr);
	large = nr * pgsz;
	if (!(priv->safe_pgsize_bitmap & large))
		kunit_skip(test, "no page of the size of a table");
	if (range.max_vasz_lg2 <= ilog2(large) + ilog2(nr))
		kunit_skip(test, "no table of such pages below the top");
	va = ALIGN(range.va + 1, nr * large);
	for (i = 0; i < nr; i++) {
		if (i % 7 == 3)
			continue;
		leaves[i] = (3 * i + 5) * large | IOMMU_READ;
		if (i % 5)
			leaves[i] |= IOMMU_WRITE;
	}
	KUNIT_ASSERT_EQ(test, do_large_leaves(test, va, large, leaves, nr), 0);
	for (i = 0; i < nr; i++)
		KUNIT_ASSERT_EQ(test,
				iommu_iova_to_phys(&priv->domain,
						   va + i * large + pgsz),
				leaves[i] ? ALIGN_DOWN(leaves[i], pgsz) + pgsz :
					    0);
	KUNIT_EXPECT_EQ(test, count_valids(test), nr - DIV_ROUND_UP(nr - 3, 7));

	/* The same, another address, another permission, over a table */
	KUNIT_EXPECT_EQ(test, do_large_leaves(test, va, large, leaves, nr), 0);
	leaves[1] += large;
	KUNIT_EXPECT_EQ(test, do_large_leaves(test, va, large, leaves, 2),
			-EADDRINUSE);
	leaves[1] -= large;
	leaves[1] ^= IOMMU_WRITE;
	KUNIT_EXPECT_EQ(test, do_large_leaves(test, va, large, leaves, 2),
			-EADDRINUSE);
	small = 8 * large | IOMMU_READ;
	KUNIT_EXPECT_EQ(test, do_leaves(test, va + 3 * large, &small, 1), 0);
	leaves[3] = 8 * large | IOMMU_READ;
	KUNIT_EXPECT_EQ(test, do_large_leaves(test, va + 3 * large, large,
					      leaves + 3, 1), -EADDRINUSE);

	/* Not what one item of a table translates */
	va += 10 * large;
	KUNIT_EXPECT_EQ(test, do_large_leaves(test, va, 2 * pgsz, leaves, 1),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, do_large_leaves(test, va, pgsz / 2, leaves, 1),
			-EINVAL);
	va -= 10 * large;
	KUNIT_EXPECT_EQ(test,
			do_large_leaves(test, va + (nr - 1) * large, large,
					leaves, 2), -EINVAL);
}

#ifdef __GENERIC_PT_FMT_ARMV8_H
/* An address that does not fit must not become other bits of an entry */
static void test_map_leaves_armv8_range(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	u64 va = leaves_va(test), pgsz = priv->smallest_pgsz, *leaves;
	unsigned int nr, i;

	leaves = alloc_leaves(test, &nr);
	for (i = 0; i < 8; i++) {
		leaves[i] = i * pgsz | IOMMU_READ;
		leaves[i] |= BIT_ULL(priv->cfg.oas);
		KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, 8), -ERANGE);
		leaves[i] ^= BIT_ULL(priv->cfg.oas);
		leaves[i] |= BIT_ULL(63);
		KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, 8), -ERANGE);
		leaves[i] ^= BIT_ULL(63);
	}
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, 8), 0);
	check_iova(test, va, 0, 8 * pgsz);
	/* Neither become another page, nor one of those that are looked at together */
	for (i = 1; i < 8; i++) {
		leaves[i] += 8 * pgsz;
		KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, 8),
				-EADDRINUSE);
		leaves[i] -= 8 * pgsz;
	}
	check_iova(test, va, 0, 8 * pgsz);
	va = BIT_ULL(priv->cfg.ias);
	KUNIT_EXPECT_EQ(test, do_leaves(test, va, leaves, 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, do_leaves(test, va - pgsz, leaves, 2), -EINVAL);
}
#endif

/* unmap_sparse() */

struct sparse {
	/* What has to be flushed, nothing if @first is above @last */
	u64 first;
	u64 last;
	unsigned int freed;
};

#ifdef PT_FOREIGN_ONLY
/* It flushes all, and frees the tables */
static int do_unmap_some(struct kunit *test, u64 va, u64 len, unsigned int work,
			 struct sparse *sparse)
{
	struct kunit_iommu_priv *priv = test->priv;
	unsigned int flushes = priv->flushes, tables = priv->tables;
	int ret;

	ret = priv->ops->unmap_sparse(priv->ops, va, len, work);
	sparse->first = va;
	sparse->last = va + len - 1;
	if (priv->flushes == flushes)
		swap(sparse->first, sparse->last);
	sparse->freed += tables - priv->tables;
	return ret;
}
#else
static int do_unmap_some(struct kunit *test, u64 va, u64 len, unsigned int work,
			 struct sparse *sparse)
{
	struct kunit_iommu_priv *priv = test->priv;
	struct iommu_iotlb_gather gather;
	int ret;

	iommu_iotlb_gather_init(&gather);
	ret = priv->iommu->ops->unmap_sparse(priv->iommu, va, len, work,
					     &gather);
	sparse->first = gather.start;
	sparse->last = gather.end;
	sparse->freed += list_count_nodes(&gather.freelist.pages);
	if (gather.start <= gather.end)
		iommu_iotlb_sync(&priv->domain, &gather);
	else
		KUNIT_EXPECT_TRUE(test,
				  list_empty(&gather.freelist.pages));
	return ret;
}
#endif

static void do_unmap_sparse(struct kunit *test, u64 va, u64 len)
{
	struct sparse sparse = {};

	KUNIT_EXPECT_EQ(test, do_unmap_some(test, va, len, UINT_MAX, &sparse),
			0);
}

static void test_unmap_sparse(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	u64 pgsz = priv->smallest_pgsz, table, start, va;
	struct sparse sparse = {};
	unsigned int i;

	table = leaves_per_table(test) * pgsz;
	start = leaves_va(test);
	/* One page before, one behind, and all kinds of holes between */
	do_map(test, start - pgsz, 0, pgsz);
	for (i = 0; i < 9; i++) {
		va = start + i * i * table + i * 3 * pgsz;
		do_map(test, va, pgsz * 64, pgsz * (i + 1));
	}
	if (priv->safe_pgsize_bitmap & table)
		do_map(test, start + 70 * table, table * 8, table);
	do_map(test, start + 80 * table, pgsz * 64, pgsz);

	do_unmap_sparse(test, start, 80 * table);
	KUNIT_EXPECT_EQ(test, count_valids(test), 2);
	/* There is nothing to flush, and no time is spent but with what lies beside */
	KUNIT_EXPECT_EQ(test,
			do_unmap_some(test, start, 80 * table, 12 * 32, &sparse),
			0);
	KUNIT_EXPECT_GT(test, sparse.first, sparse.last);
	check_iova(test, start - pgsz, 0, pgsz);
	check_iova(test, start + 80 * table, pgsz * 64, pgsz);
	do_unmap_sparse(test, start - pgsz, 82 * table);
	KUNIT_EXPECT_EQ(test, count_valids(test), 0);
}

/* In small steps: what has gone in each is flushed, and at the end no table is left */
static void test_unmap_sparse_work(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	u64 pgsz = priv->smallest_pgsz, start = leaves_va(test), table, va;
	unsigned int calls = 0, leaves = 40, i;
	struct sparse sparse = {};
	int ret;

	table = leaves_per_table(test) * pgsz;
	for (i = 0; i < leaves; i++) {
		va = start + (i / 10) * table + (i % 10) * 5 * pgsz;
		do_map(test, va, pgsz * 64, pgsz);
	}
	do {
		unsigned int before = count_valids(test), gone;
		u64 flushed = 0;

		/* One leaf, and the tables on the way to it */
		ret = do_unmap_some(test, start, 4 * table, 5 * 32 + 1,
				    &sparse);
		gone = before - count_valids(test);
		if (sparse.first <= sparse.last)
			flushed = sparse.last - sparse.first + 1;
		if (gone > 161 || flushed < gone * pgsz ||
		    (flushed && (sparse.first < start ||
				 sparse.last >= start + 4 * table))) {
			KUNIT_FAIL(test, "%u leaves, flushed %#llx to %#llx",
				   gone, sparse.first, sparse.last);
			return;
		}
		if (++calls > 2 * leaves) {
			KUNIT_FAIL(test, "comes to no end");
			return;
		}
	} while (ret == -EAGAIN);
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, count_valids(test), 0);
	/* The four of the leaves at least, though each was left half done before */
	KUNIT_EXPECT_GE(test, sparse.freed, 4);
}

/* As many leaves as there is work, whatever else there is */
static void test_unmap_sparse_bound(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	u64 pgsz = priv->smallest_pgsz, start = leaves_va(test);
	struct sparse sparse = {};
	unsigned int i;

	for (i = 0; i < 250; i++)
		do_map(test, start + 2 * i * pgsz, pgsz * 64, pgsz);
	KUNIT_EXPECT_EQ(test,
			do_unmap_some(test, start, 500 * pgsz, 6 * 32, &sparse),
			-EAGAIN);
	KUNIT_EXPECT_GE(test, count_valids(test), 250 - 6 * 32);
	KUNIT_EXPECT_LT(test, count_valids(test), 250);
	do_unmap_sparse(test, start, 500 * pgsz);
}

/* A leaf that is in the range only in part goes as a whole */
static void test_unmap_sparse_parts(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	u64 pgsz = priv->smallest_pgsz, start = leaves_va(test), size;

	for (size = pgsz * 2; size <= leaves_per_table(test) * pgsz; size *= 2) {
		if (!(priv->safe_pgsize_bitmap & size))
			continue;
		/* From its middle, and a page of the next one */
		do_map(test, start, size * 4, size * 2);
		do_map(test, start + size * 4, size, pgsz);
		do_unmap_sparse(test, start + size / 2, size / 2 + pgsz);
		KUNIT_EXPECT_EQ(test, count_valids(test), 1);
		/* From the last page on, across a hole, to the first page */
		do_map(test, start, size * 4, size);
		do_map(test, start + size * 2, size * 4, size);
		do_unmap_sparse(test, start + size - pgsz, size + pgsz * 2);
		KUNIT_EXPECT_EQ(test, count_valids(test), 1);
		do_unmap_sparse(test, start, size * 5);
		KUNIT_EXPECT_EQ(test, count_valids(test), 0);
	}
}

/* What lies beyond the table does not keep the rest from going */
static void test_unmap_sparse_beyond(struct kunit *test)
{
	struct kunit_iommu_priv *priv = test->priv;
	u64 pgsz = priv->smallest_pgsz, start = leaves_va(test);

	do_map(test, start, pgsz, pgsz);
	do_map(test, start + pgsz * 8, pgsz, pgsz);
	do_unmap_sparse(test, -pgsz, pgsz);
	KUNIT_EXPECT_EQ(test, count_valids(test), 2);
	do_unmap_sparse(test, start, -start);
	KUNIT_EXPECT_EQ(test, count_valids(test), 0);
}

static struct kunit_case foreign_test_cases[] = {
	KUNIT_CASE_FMT(test_foreign_empty),
	KUNIT_CASE_FMT(test_foreign_sizes),
#ifndef PT_FOREIGN_ONLY
	KUNIT_CASE_FMT(test_foreign_sign_extend),
#endif
	KUNIT_CASE_FMT(test_foreign_levels),
	KUNIT_CASE_FMT(test_foreign_random),
	KUNIT_CASE_FMT(test_foreign_neighbours),
	KUNIT_CASE_FMT(test_foreign_invalid),
	KUNIT_CASE_FMT(test_foreign_corrupt),
#ifdef __GENERIC_PT_FMT_ARMV8_H
	KUNIT_CASE_FMT(test_foreign_armv8_prot),
	KUNIT_CASE_FMT(test_foreign_armv8_reserved),
	KUNIT_CASE_PARAM(test_foreign_armv8_width, armv8_width_gen_params),
#endif
	KUNIT_CASE_FMT(test_map_leaves),
	KUNIT_CASE_FMT(test_map_leaves_refuses),
	KUNIT_CASE_FMT(test_map_leaves_large),
	KUNIT_CASE_FMT(test_map_large_leaves),
#ifdef __GENERIC_PT_FMT_ARMV8_H
	KUNIT_CASE_FMT(test_map_leaves_armv8_range),
#endif
	KUNIT_CASE_FMT(test_unmap_sparse),
	KUNIT_CASE_FMT(test_unmap_sparse_parts),
	KUNIT_CASE_FMT(test_unmap_sparse_work),
	KUNIT_CASE_FMT(test_unmap_sparse_bound),
	KUNIT_CASE_FMT(test_unmap_sparse_beyond),
	{},
};

static struct kunit_suite NS(foreign_suite) = {
	.name = __stringify(NS(foreign_test)),
	.init = pt_kunit_iommu_init,
	.exit = pt_kunit_iommu_exit,
	.test_cases = foreign_test_cases,
};

kunit_test_suites(&NS(foreign_suite));

#endif
