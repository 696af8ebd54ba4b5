/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Walker for foreign page tables: tables of the same formats that another
 * kernel, which is dead now, left in memory that is not in our direct map.
 *
 * "Templated C code" as iommu_pt.h is, compiled once per format. The format
 * decodes the entries, but the iterators of pt_iter.h cannot be used: they reach
 * the next level through the direct map and they trust what they read. Here
 * every table page goes through the accessor of the crashdump framework, every
 * entry is read once, and nothing that is read is believed before it is checked.
 *
 * Next to what iommu_pt.h needs, a format provides:
 *
 *   pt_foreign_prot(pts)
 *       The IOMMU_READ/IOMMU_WRITE/IOMMU_NOEXEC that a leaf, or the path through
 *       a table entry, allows; 0 if hardware treats the entry as not present.
 *   pt_foreign_bad(pts)
 *       True if hardware would refuse the entry, or if no kernel writes such an
 *       entry: reserved bits, impossible sizes, levels that do not add up.
 *   pt_foreign_lower_level(pts)
 *       Optional: level of the table that a table entry points to, for formats
 *       that can skip levels.
 *   pt_foreign_concat_lg2(common)
 *       Optional: log2 of how many tables may stand one behind the other as the top.
 *
 * A format that is only read defines PT_FOREIGN_ONLY, and needs nothing of what writes.
 */
#ifndef __GENERIC_PT_IOMMU_PT_FOREIGN_H
#define __GENERIC_PT_IOMMU_PT_FOREIGN_H

#include "pt_iter.h"

#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/module.h>

#ifndef pt_foreign_lower_level
static inline unsigned int pt_foreign_lower_level(const struct pt_state *pts)
{
	return pts->level - 1;
}
#endif

#ifndef pt_foreign_concat_lg2
static inline unsigned int pt_foreign_concat_lg2(const struct pt_common *common)
{
	return 0;
}
#endif

/* Items further on in the table, for comparing: faster than loading them all */
static u64 NS(foreign_peek)(const struct pt_state *pts, unsigned int num)
{
	if (sizeof(u32) == PT_ITEM_WORD_SIZE)
		return READ_ONCE(pt_cur_table(pts, u32)[pts->index + num]);
	return READ_ONCE(pt_cur_table(pts, u64)[pts->index + num]);
}

/*
 * Leaves from @pts on that are the same but for the address, which goes on from one
 * to the next: they are reported as one. Most tables consist of such runs.
 */
static unsigned int NS(foreign_run)(struct pt_state *pts,
				    unsigned int num_items, pt_oaddr_t oa)
{
	unsigned int isz_lg2 = pt_table_item_lg2sz(pts);
	u64 step = pt_leaf_step(isz_lg2), next = pts->entry;
	unsigned int index = pts->index, num;
	pt_oaddr_t room;

	/* The upper half of a sign extended format is elsewhere */
	if (pts_feature(pts, PT_FEAT_SIGN_EXTEND) &&
	    pts->level == pts->range->top_level && index < num_items / 2)
		num_items /= 2;
	/* The address must not grow into the bits above it */
	room = oalog2_div(oalog2_to_max_int(pts->range->common->max_oasz_lg2) -
			  oa, isz_lg2);
	num_items = min_t(u64, num_items - index, (u64)room + 1);
	for (num = 1; num < num_items; num++) {
		next += step;
		if (NS(foreign_peek)(pts, num) != next)
			break;
	}
	return num;
}

/* Shorter runs are taken together with the pages around them */
#define FOREIGN_LONG_RUN	32

/* How much lower than it is the address stands in an entry, if it may stand so at all */
#define FOREIGN_SHIFT \
	(PT_GRANULE_LG2SZ - ilog2(pt_leaf_step(PT_GRANULE_LG2SZ)))

/*
 * Are the leaves from @pts on, which may lead anywhere, something for
 * iommu_kdump_report_leaves()?
 */
static bool NS(foreign_scattered)(const struct pt_state *pts,
				  unsigned int num_items, unsigned int run)
{
	if (sizeof(u64) != PT_ITEM_WORD_SIZE ||
	    pt_leaf_step(PT_GRANULE_LG2SZ) > log2_to_int(PT_GRANULE_LG2SZ))
		return false;
	/* Half of its items are elsewhere in IOVA space */
	if (pts_feature(pts, PT_FEAT_SIGN_EXTEND) &&
	    pts->level == pts->range->top_level)
		return false;
	return run < FOREIGN_LONG_RUN && pts->index + run < num_items;
}

/*
 * A leaf is taken item by item: the items of a contiguous entry are copies of
 * each other only if nobody has written over one of them, and hardware uses the
 * one that it happens to read.
 */
static int NS(foreign_leaf)(struct pt_state *pts,
			    struct iommu_kdump_report *report, pt_vaddr_t va,
			    unsigned int num_items, unsigned int prot)
{
	unsigned int isz_lg2 = pt_table_item_lg2sz(pts);
	unsigned int contig_lg2 = pt_entry_num_contig_lg2(pts);
	unsigned int lg2sz = isz_lg2 + contig_lg2;
	unsigned int num = 1;
	pt_oaddr_t oa;
	int ret;

	if (!pt_can_have_leaf(pts) || contig_lg2 > pt_num_items_lg2(pts) ||
	    lg2sz >= PT_VADDR_MAX_LG2 ||
	    !(pt_possible_sizes(pts) & log2_to_int(lg2sz)))
		return iommu_kdump_report_bad(report, va, log2_to_int(isz_lg2));

	oa = pt_entry_oa(pts);
	if (oalog2_mod(oa, lg2sz) ||
	    oalog2_div(oa, pts->range->common->max_oasz_lg2))
		return iommu_kdump_report_bad(report, va, log2_to_int(isz_lg2));

	if (contig_lg2)
		oa += oalog2_mul(log2_mod_t(unsigned int, pts->index,
					    contig_lg2), isz_lg2);
	else
		num = NS(foreign_run)(pts, num_items, oa);
	if (!contig_lg2 && NS(foreign_scattered)(pts, num_items, num)) {
		struct iommu_kdump_leaves leaves = {
			.entries = pt_cur_table(pts, u64) + pts->index,
			.entry = pts->entry,
			.nr = num_items - pts->index,
			.lg2sz = isz_lg2,
			.shift = FOREIGN_SHIFT,
			.iova = va,
			.phys = oa,
			.prot = prot,
		};

		ret = iommu_kdump_report_leaves(report, &leaves);
		num = leaves.nr;
	} else {
		ret = iommu_kdump_report_mapping(report, va, oa,
						 log2_mul(num, isz_lg2), prot);
	}
	pts->index += num - 1;
	return ret;
}

static int NS(foreign_table)(struct pt_range *range,
			     struct iommu_kdump_report *report,
			     unsigned int level, pt_oaddr_t table_pa,
			     pt_vaddr_t va, unsigned int prot)
{
	struct pt_state pts = pt_init(range, level, NULL);
	unsigned int isz_lg2 = pt_table_item_lg2sz(&pts);
	unsigned int size_lg2 = PT_TABLEMEM_LG2SZ, num_items;
	const void *page;
	int ret;

	ret = iommu_kdump_report_table(report);
	if (ret)
		return ret;

	/* The top may have fewer items */
	if (level == range->top_level)
		size_lg2 = min_t(unsigned int, size_lg2,
				 range->max_vasz_lg2 - isz_lg2 +
					 ilog2(PT_ITEM_WORD_SIZE));
	num_items = log2_to_int(size_lg2 - ilog2(PT_ITEM_WORD_SIZE));

	/* A table pointer that leaves the memory of the crashed kernel */
	if (oalog2_mod(table_pa, size_lg2))
		return -EUCLEAN;
	page = iommu_kdump_map_old(table_pa, log2_to_int(size_lg2));
	if (IS_ERR(page))
		return PTR_ERR(page);
	pts.table = (struct pt_table_p *)page;

	for (pts.index = 0; pts.index < num_items; pts.index++) {
		pt_vaddr_t item_va = va + log2_mul(pts.index, isz_lg2);
		unsigned int item_prot;

		pts.type = pt_load_entry_raw(&pts);
		if (pts.type == PT_ENTRY_EMPTY)
			continue;

		/* The canonical form of the upper half */
		if (pts_feature(&pts, PT_FEAT_SIGN_EXTEND) &&
		    log2_div(item_va, range->max_vasz_lg2 - 1))
			item_va |= ~log2_to_max_int(range->max_vasz_lg2);

		/* Hardware applies the most restrictive of the path */
		item_prot = pt_foreign_prot(&pts);
		if (!(item_prot & (IOMMU_READ | IOMMU_WRITE)))
			continue;
		item_prot = (item_prot & prot & (IOMMU_READ | IOMMU_WRITE)) |
			    ((item_prot | prot) & IOMMU_NOEXEC);

		if (pts.type == PT_ENTRY_TABLE) {
			unsigned int lower = pt_foreign_lower_level(&pts);

			if (!level || lower >= level || pt_foreign_bad(&pts)) {
				ret = -EUCLEAN;
				break;
			}
			if (!(item_prot & (IOMMU_READ | IOMMU_WRITE)))
				continue;
			ret = NS(foreign_table)(range, report, lower,
						pt_table_pa(&pts), item_va,
						item_prot);
		} else if (pt_foreign_bad(&pts)) {
			ret = iommu_kdump_report_bad(report, item_va,
						     log2_to_int(isz_lg2));
		} else if (item_prot & (IOMMU_READ | IOMMU_WRITE)) {
			ret = NS(foreign_leaf)(&pts, report, item_va, num_items,
					       item_prot);
		}
		if (ret)
			break;
	}

	iommu_kdump_unmap_old(page);
	return ret;
}

#define pt_iommu_walk_foreign \
	CONCATENATE(CONCATENATE(pt_iommu_, PTPFX), walk_foreign)

/* The top, which may be several tables of a format that has no level above them then */
static int NS(foreign_top)(struct pt_range *range,
			   struct iommu_kdump_report *report, pt_oaddr_t root)
{
	struct pt_state pts = pt_init(range, range->top_level, NULL);
	unsigned int table_lg2 = pt_table_item_lg2sz(&pts) + PT_TABLEMEM_LG2SZ -
				 ilog2(PT_ITEM_WORD_SIZE);
	unsigned int num_lg2 = 0, i;
	int ret;

	if (range->max_vasz_lg2 > table_lg2)
		num_lg2 = range->max_vasz_lg2 - table_lg2;
	if (num_lg2 && oalog2_mod(root, PT_TABLEMEM_LG2SZ + num_lg2))
		return -EUCLEAN;
	for (i = 0; i < log2_to_int(num_lg2); i++) {
		ret = NS(foreign_table)(range, report, range->top_level,
					root + oalog2_mul(i, PT_TABLEMEM_LG2SZ),
					i ? log2_mul(i, table_lg2) : 0,
					IOMMU_READ | IOMMU_WRITE);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * pt_iommu_walk_foreign() - Report every mapping of a foreign page table
 * @foreign: Where the table is and how it is to be read
 * @report: Takes the mappings, see &iommu_ops.reserve_old_iova
 *
 * Walks the whole table in ascending order of the IOVA (the upper half of a
 * sign extended format comes last). A leaf that cannot be right is reported as
 * bad and skipped. Levels and loops are bounded by the format, the number of
 * tables by iommu_kdump_report_table().
 *
 * Context: May sleep.
 *
 * Return: 0 on success, -EUCLEAN if a table cannot be right, -EINVAL if
 * @foreign describes no table of this format, or what @report returned.
 */
int pt_iommu_walk_foreign(const struct pt_iommu_foreign *foreign,
			  struct iommu_kdump_report *report)
{
	struct pt_common common = {
		.features = foreign->features,
		.max_vasz_lg2 = foreign->max_vasz_lg2,
		.max_oasz_lg2 = foreign->max_oasz_lg2,
	};
	struct pt_range range = {
		.common = &common,
		.top_level = foreign->levels - 1,
	};
	struct pt_state pts = pt_init(&range, range.top_level, NULL);
	unsigned int top_lg2;

	if (!foreign->levels || range.top_level > PT_MAX_TOP_LEVEL ||
	    (foreign->features & ~(unsigned int)PT_SUPPORTED_FEATURES))
		return -EINVAL;

	top_lg2 = pt_table_item_lg2sz(&pts) + PT_TABLEMEM_LG2SZ -
		  ilog2(PT_ITEM_WORD_SIZE);
	if (common.max_vasz_lg2)
		top_lg2 += pt_foreign_concat_lg2(&common);
	top_lg2 = min_t(unsigned int, PT_MAX_VA_ADDRESS_LG2, top_lg2);
	if (!common.max_vasz_lg2 || common.max_vasz_lg2 > top_lg2)
		common.max_vasz_lg2 = top_lg2;
	if (!common.max_oasz_lg2 ||
	    common.max_oasz_lg2 > PT_MAX_OUTPUT_ADDRESS_LG2)
		common.max_oasz_lg2 = PT_MAX_OUTPUT_ADDRESS_LG2;
	range.max_vasz_lg2 = common.max_vasz_lg2;
	if (range.max_vasz_lg2 <= pt_table_item_lg2sz(&pts))
		return -EINVAL;

	return NS(foreign_top)(&range, report, foreign->root);
}
EXPORT_SYMBOL_NS_GPL(pt_iommu_walk_foreign, "GENERIC_PT_IOMMU");

#ifdef PT_FOREIGN_ONLY
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Walker of foreign page tables for " __stringify(PTPFX_RAW));
MODULE_IMPORT_NS("GENERIC_PT");
#endif

#endif /* __GENERIC_PT_IOMMU_PT_FOREIGN_H */
