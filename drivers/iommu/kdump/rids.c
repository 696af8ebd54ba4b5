// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: requester IDs
 *
 * What IOMMU drivers remember of a requester ID, whether there is a device for it or
 * not: that its entry was refused, and how often it has faulted.
 */

#include <linux/bitmap.h>
#include <linux/iommu-kdump.h>
#include <linux/slab.h>

#define NUM_RIDS	BIT(16)

/**
 * iommu_kdump_refuse() - Entries of requester IDs are not taken over
 * @refused: where to remember it
 * @first: first requester ID
 * @nr: how many
 *
 * Their devices are then joined with -EUCLEAN, so that the core knows that old DMA
 * goes on at IOVAs that nobody has seen.
 *
 * Context: May sleep. Only while tables are taken over.
 */
void iommu_kdump_refuse(struct iommu_kdump_refused *refused, u16 first,
			unsigned int nr)
{
	if (refused->all)
		return;
	if (!refused->rids)
		refused->rids = bitmap_zalloc(NUM_RIDS, GFP_KERNEL);
	/* Refusing too many is safe */
	if (!refused->rids) {
		refused->all = true;
		return;
	}
	bitmap_set(refused->rids, first, min(nr, NUM_RIDS - first));
}
EXPORT_SYMBOL_GPL(iommu_kdump_refuse);

/**
 * iommu_kdump_was_refused() - Was the entry of a requester ID refused?
 * @refused: where it was remembered
 * @rid: requester ID
 *
 * Context: Any.
 *
 * Return: true if it was, or may have been.
 */
bool iommu_kdump_was_refused(const struct iommu_kdump_refused *refused, u16 rid)
{
	return refused->all || (refused->rids && test_bit(rid, refused->rids));
}
EXPORT_SYMBOL_GPL(iommu_kdump_was_refused);

/**
 * iommu_kdump_forget_refused() - Forget all refusals
 * @refused: nobody uses it any more
 */
void iommu_kdump_forget_refused(struct iommu_kdump_refused *refused)
{
	bitmap_free(refused->rids);
	refused->rids = NULL;
	refused->all = false;
}
EXPORT_SYMBOL_GPL(iommu_kdump_forget_refused);
