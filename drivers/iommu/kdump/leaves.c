// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: leaves of an old table, many at once
 *
 * This is where the time goes. What report.c has looked up for one leaf holds for most of
 * those behind it; here it is only told if it does.
 */

#include <linux/bitops.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/limits.h>
#include <linux/minmax.h>

#include <kunit/static_stub.h>

#include "carry.h"
#include "kdump.h"
#include "report.h"

/* Empty entries from @at on, if the next one that is not is near enough */
static __always_inline unsigned int small_hole(const u64 *entries,
					       unsigned long at,
					       unsigned long nr,
					       unsigned int lg2sz)
{
	unsigned int i;

	nr = min_t(u64, nr - at, (KDUMP_MERGE_GAP >> lg2sz) + 1);
	for (i = 0; i < nr; i++)
		if (READ_ONCE(entries[at + i]))
			return i;
	return 0;
}

/* What two leaves have to have in common to be taken in one go */
struct leaf_kind {
	/* The entry of the lowest leaf of the kind, and how many there can be */
	u64 lowest;
	u64 nr;
	/* From the entry, shifted, to what map_leaves() wants */
	u64 more;
	unsigned int lg2sz;
	/* Bits below those of the address in an entry */
	unsigned int low;
};

/* One comparison does it for address and flags: rotated, flags that differ are high bits */
static __always_inline bool same_kind(const struct leaf_kind *kind, u64 entry)
{
	return likely(ror64(entry - kind->lowest, kind->low) < kind->nr);
}

/*
 * This is where the time goes: four at a time, until one differs; and across small
 * holes. Returns where it has stopped.
 */
static __always_inline unsigned long
take_shifted(const u64 *entries, u64 *batch, unsigned long nr,
	     const struct leaf_kind *kind, unsigned int shift,
	     unsigned long *holes)
{
	const struct leaf_kind k = *kind;
	unsigned long i = 1, hole;
	u64 entry[4];

	while (i < nr) {
		for (; i + 4 <= nr; i += 4) {
			entry[0] = READ_ONCE(entries[i]);
			entry[1] = READ_ONCE(entries[i + 1]);
			entry[2] = READ_ONCE(entries[i + 2]);
			entry[3] = READ_ONCE(entries[i + 3]);
			if (!same_kind(&k, entry[0]) ||
			    !same_kind(&k, entry[1]) ||
			    !same_kind(&k, entry[2]) ||
			    !same_kind(&k, entry[3]))
				break;
			batch[i] = (entry[0] << shift) + k.more;
			batch[i + 1] = (entry[1] << shift) + k.more;
			batch[i + 2] = (entry[2] << shift) + k.more;
			batch[i + 3] = (entry[3] << shift) + k.more;
		}
		for (; i < nr; i++) {
			entry[0] = READ_ONCE(entries[i]);
			if (!same_kind(&k, entry[0]))
				break;
			batch[i] = (entry[0] << shift) + k.more;
		}
		if (i == nr)
			break;
		hole = small_hole(entries, i, nr, k.lg2sz);
		if (!hole)
			break;
		*holes += hole;
		while (hole--)
			batch[i++] = 0;
	}
	return i;
}

/* Most formats have the address as it is: not an instruction more for those */
static noinline unsigned long take_same(const u64 *entries, u64 *batch,
					unsigned long nr,
					const struct leaf_kind *kind,
					unsigned long *holes)
{
	return take_shifted(entries, batch, nr, kind, 0, holes);
}

static noinline unsigned long take_same_shifted(const u64 *entries, u64 *batch,
						unsigned long nr,
						const struct leaf_kind *kind,
						unsigned long *holes)
{
	return take_shifted(entries, batch, nr, kind, kind->lg2sz - kind->low,
			    holes);
}

/*
 * Leaves for which holds what has been looked up for the one before: RAM and no
 * region. They differ from the first one in nothing but the address, and holes
 * between them would be reserved anyway. Returns how many there are.
 */
static unsigned int take_leaves(struct iommu_kdump_report *report,
				const struct iommu_kdump_leaves *leaves,
				int *ret)
{
	u64 size = BIT_ULL(leaves->lg2sz), iova = leaves->iova;
	unsigned long nr = leaves->nr, holes = 0, i;
	unsigned int lg2sz = leaves->lg2sz, shift = leaves->shift;
	phys_addr_t phys = leaves->phys;
	u64 first, last, end, *batch;
	struct leaf_kind kind;

	if (!IS_ALIGNED(iova | phys, size) || iova < report->next ||
	    iova < report->plain_first || iova > report->plain_last ||
	    !(leaves->prot & (IOMMU_READ | IOMMU_WRITE)))
		return 0;
	nr = min_t(u64, nr, (report->plain_last - iova + 1) >> lg2sz);
	first = ALIGN(report->ram_first, size);
	last = ALIGN_DOWN(report->ram_last + 1, size);
	if (!nr || phys < first || phys >= last)
		return 0;
	batch = iommu_kdump_carry_leaves(&report->carrier, iova, lg2sz, &nr);
	if (!batch)
		return 0;

	kind.lowest = leaves->entry - ((phys - first) >> shift);
	kind.nr = (last - first) >> lg2sz;
	batch[0] = phys | leaves->prot | report->ram_prot;
	kind.more = batch[0] - (leaves->entry << shift);
	kind.lg2sz = lg2sz;
	kind.low = lg2sz - shift;
	if (shift)
		i = take_same_shifted(leaves->entries, batch, nr, &kind, &holes);
	else
		i = take_same(leaves->entries, batch, nr, &kind, &holes);

	end = iova + ((u64)i << lg2sz) - 1;
	report->next = end == U64_MAX ? end : end + 1;
	*ret = iommu_kdump_report_reserve(report, iova, (u64)i << lg2sz);
	iommu_kdump_carry_taken(&report->carrier, i, holes);
	return i;
}

/**
 * iommu_kdump_report_leaves() - An IOMMU driver has found leaves of a table
 * @report: as given to &iommu_ops.reserve_old_iova
 * @leaves: the first of them has been checked, as for iommu_kdump_report_mapping()
 *
 * The same as iommu_kdump_report_mapping() for the first leaf and those after it
 * that differ from it in nothing but the address, but faster. The others are left
 * to the caller: &iommu_kdump_leaves.nr tells where to go on. Memory that the
 * entries lead to is checked here.
 *
 * Context: May sleep.
 *
 * Return: 0 to go on. On an error the driver must stop and return it.
 */
int iommu_kdump_report_leaves(struct iommu_kdump_report *report,
			      struct iommu_kdump_leaves *leaves)
{
	unsigned int taken;
	int ret = 0;

	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_report_leaves, report, leaves);

	taken = take_leaves(report, leaves, &ret);
	if (!taken) {
		taken = 1;
		ret = iommu_kdump_report_mapping(report, leaves->iova,
						 leaves->phys,
						 BIT_ULL(leaves->lg2sz),
						 leaves->prot);
	}
	leaves->nr = taken;
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_kdump_report_leaves);
