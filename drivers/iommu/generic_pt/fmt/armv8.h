/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arm's VMSAv8-64 page tables, stage 1 and stage 2, for reading only: what
 * iommu_pt_foreign.h needs. Tables are written by io-pgtable-arm.c, which
 * calls the format LPAE.
 *
 * This is described in
 *   Chapter D8 "The AArch64 Virtual Memory System Architecture"
 *
 * Of the "Arm Architecture Reference Manual for A-profile architecture", without
 * the extensions that IOMMUs do not have or Linux does not use there: addresses of
 * 52 bits (FEAT_LPA and FEAT_LPA2), descriptors of 128 bits, permission
 * indirection.
 *
 * It is compiled once for each translation granule, of ARMV8_GRANULE_LG2SZ bits.
 * The named levels in the manual map to the pts->level as:
 *   Level 3 - 0
 *   Level 2 - 1
 *   Level 1 - 2
 *   Level 0 - 3
 */
#ifndef __GENERIC_PT_FMT_ARMV8_H
#define __GENERIC_PT_FMT_ARMV8_H

#include "defs_armv8.h"
#include "../pt_defs.h"

#include <linux/bits.h>
#include <linux/log2.h>

/* Header self-compile default defines */
#ifndef ARMV8_GRANULE_LG2SZ
#define ARMV8_GRANULE_LG2SZ 12
#endif

enum {
	PT_MAX_OUTPUT_ADDRESS_LG2 = 48,
	/* FEAT_LVA is for the granule of 64 KiB */
	PT_MAX_VA_ADDRESS_LG2 = ARMV8_GRANULE_LG2SZ == 16 ? 52 : 48,
	PT_ITEM_WORD_SIZE = sizeof(u64),
	PT_MAX_TOP_LEVEL = ARMV8_GRANULE_LG2SZ == 16 ? 2 : 3,
	PT_GRANULE_LG2SZ = ARMV8_GRANULE_LG2SZ,
	PT_TABLEMEM_LG2SZ = ARMV8_GRANULE_LG2SZ,

	/* TTB0 and S2TTB */
	PT_TOP_PHYS_MASK = GENMASK_ULL(47, 4),
};

/* Bits that descriptors have in common */
enum {
	ARMV8PT_FMT_VALID = BIT(0),
	/* A page at the last level, a table above it */
	ARMV8PT_FMT_TYPE = BIT(1),
	ARMV8PT_FMT_OA = GENMASK_ULL(47, ARMV8_GRANULE_LG2SZ),
	/* Address bits above 48 and below the granule, and GP, which is for the PE */
	ARMV8PT_FMT_RES0 = GENMASK_ULL(50, 12) & ~ARMV8PT_FMT_OA,
};

/* Blocks and pages */
enum {
	/* Stage 1: AP[2:1] */
	ARMV8PT_FMT_UNPRIV = BIT(6),
	ARMV8PT_FMT_RDONLY = BIT(7),
	/* Stage 2: S2AP */
	ARMV8PT_FMT_S2_R = BIT(6),
	ARMV8PT_FMT_S2_W = BIT(7),
	ARMV8PT_FMT_AF = BIT(10),
	ARMV8PT_FMT_DBM = BIT_ULL(51),
	ARMV8PT_FMT_XN = BIT_ULL(54),
};

/* Tables of stage 1. For stage 2 all of it is reserved. */
enum {
	ARMV8PT_FMT_XN_TABLE = BIT_ULL(60),
	ARMV8PT_FMT_PRIV_TABLE = BIT_ULL(61),
	ARMV8PT_FMT_RDONLY_TABLE = BIT_ULL(62),
	ARMV8PT_FMT_S2_TABLE_RES0 = GENMASK_ULL(63, 59),
};

static inline pt_oaddr_t armv8pt_table_pa(const struct pt_state *pts)
{
	return pts->entry & ARMV8PT_FMT_OA;
}
#define pt_table_pa armv8pt_table_pa

/* The items of a contiguous entry have their own address, the hint can be ignored */
static inline pt_oaddr_t armv8pt_entry_oa(const struct pt_state *pts)
{
	return pts->entry & ARMV8PT_FMT_OA;
}
#define pt_entry_oa armv8pt_entry_oa

static inline bool armv8pt_can_have_leaf(const struct pt_state *pts)
{
	return pts->level <= (PT_GRANULE_LG2SZ == 12 ? 2 : 1);
}
#define pt_can_have_leaf armv8pt_can_have_leaf

static inline unsigned int armv8pt_num_items_lg2(const struct pt_state *pts)
{
	return PT_TABLEMEM_LG2SZ - ilog2(sizeof(u64));
}
#define pt_num_items_lg2 armv8pt_num_items_lg2

static inline enum pt_entry_type armv8pt_load_entry_raw(struct pt_state *pts)
{
	const u64 *tablep = pt_cur_table(pts, u64);

	pts->entry = READ_ONCE(tablep[pts->index]);
	if (!(pts->entry & ARMV8PT_FMT_VALID))
		return PT_ENTRY_EMPTY;
	if (pts->level && (pts->entry & ARMV8PT_FMT_TYPE))
		return PT_ENTRY_TABLE;
	return PT_ENTRY_OA;
}
#define pt_load_entry_raw armv8pt_load_entry_raw

/* --- iommu */
#include <linux/generic_pt/iommu.h>
#include <linux/iommu.h>

/* What hardware checks in table descriptors of stage 1, unless told not to */
static inline unsigned int armv8pt_table_prot(const struct pt_state *pts)
{
	unsigned int prot = IOMMU_READ | IOMMU_WRITE;

	if (pts_feature(pts, PT_FEAT_ARMV8_S2) ||
	    pts_feature(pts, PT_FEAT_ARMV8_HPD))
		return prot;
	if ((pts->entry & ARMV8PT_FMT_PRIV_TABLE) &&
	    !pts_feature(pts, PT_FEAT_ARMV8_PRIVILEGED))
		return 0;
	if (pts->entry & ARMV8PT_FMT_RDONLY_TABLE)
		prot &= ~IOMMU_WRITE;
	if (pts->entry & ARMV8PT_FMT_XN_TABLE)
		prot |= IOMMU_NOEXEC;
	return prot;
}

static inline unsigned int armv8pt_foreign_prot(const struct pt_state *pts)
{
	/* Hardware makes a page writeable when it is written to */
	bool dbm = pts_feature(pts, PT_FEAT_ARMV8_HD) &&
		   (pts->entry & ARMV8PT_FMT_DBM);
	unsigned int prot = 0;

	if (pts->type == PT_ENTRY_TABLE)
		return armv8pt_table_prot(pts);
	/* What hardware does not set itself has to be set */
	if (!pts_feature(pts, PT_FEAT_ARMV8_HA) &&
	    !(pts->entry & ARMV8PT_FMT_AF))
		return 0;
	if (pts_feature(pts, PT_FEAT_ARMV8_S2)) {
		if (pts->entry & ARMV8PT_FMT_S2_R)
			prot |= IOMMU_READ;
		if ((pts->entry & ARMV8PT_FMT_S2_W) || dbm)
			prot |= IOMMU_WRITE;
	} else {
		if (!(pts->entry & ARMV8PT_FMT_UNPRIV) &&
		    !pts_feature(pts, PT_FEAT_ARMV8_PRIVILEGED))
			return 0;
		prot |= IOMMU_READ;
		if (!(pts->entry & ARMV8PT_FMT_RDONLY) || dbm)
			prot |= IOMMU_WRITE;
	}
	if (pts->entry & ARMV8PT_FMT_XN)
		prot |= IOMMU_NOEXEC;
	return prot;
}
#define pt_foreign_prot armv8pt_foreign_prot

/*
 * Reserved bits, the reserved descriptor of the last level, and blocks where there
 * are none. The address bits of a block that have to be 0 are the walker's.
 */
static inline bool armv8pt_foreign_bad(const struct pt_state *pts)
{
	if (pts->entry & ARMV8PT_FMT_RES0)
		return true;
	if (pts->type == PT_ENTRY_TABLE)
		return pts_feature(pts, PT_FEAT_ARMV8_S2) &&
		       (pts->entry & ARMV8PT_FMT_S2_TABLE_RES0);
	if (!pts->level)
		return !(pts->entry & ARMV8PT_FMT_TYPE);
	return !armv8pt_can_have_leaf(pts);
}
#define pt_foreign_bad armv8pt_foreign_bad

/* Up to 16 tables of stage 2 stand one behind the other instead of a level above them */
static inline unsigned int
armv8pt_foreign_concat_lg2(const struct pt_common *common)
{
	return pt_feature(common, PT_FEAT_ARMV8_S2) ? ilog2(16) : 0;
}
#define pt_foreign_concat_lg2 armv8pt_foreign_concat_lg2

static inline u64 armv8pt_leaf_step(unsigned int isz_lg2)
{
	return log2_to_int(isz_lg2);
}
#define pt_leaf_step armv8pt_leaf_step

#endif
