// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit-managed IOMMU: a page table that is none of generic_pt
 *
 * For what users of a domain may expect of its operations and no more: with the
 * manners of io-pgtable, which many drivers use. Mapping over something is refused,
 * and so is unmapping a part of a leaf, or nothing. To unmap with the size of a larger
 * leaf takes all out that is below.
 */

#include <linux/bitfield.h>
#include <linux/bitops.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/xarray.h>

#include "iommu-plain.h"

/* What a leaf is, as a value of the array */
#define LEAF_PROT	GENMASK(1, 0)
#define LEAF_LG2	GENMASK(7, 2)
#define LEAF_PFN_SHIFT	8

static const u8 leaf_lg2[] = { 12, 21, 30 };

static void *make_leaf(phys_addr_t phys, unsigned int lg2, int prot)
{
	return xa_mk_value((unsigned long)PHYS_PFN(phys) << LEAF_PFN_SHIFT |
			   FIELD_PREP(LEAF_LG2, lg2) |
			   FIELD_PREP(LEAF_PROT, prot));
}

static unsigned int lg2_of(void *leaf)
{
	return FIELD_GET(LEAF_LG2, xa_to_value(leaf));
}

static void *find_leaf(struct kunit_iommu_plain *plain, u64 iova)
{
	unsigned int i;
	void *leaf;

	for (i = 0; i < ARRAY_SIZE(leaf_lg2); i++) {
		leaf = xa_load(&plain->leaves,
			       PHYS_PFN(iova & GENMASK_ULL(63, leaf_lg2[i])));
		if (leaf && lg2_of(leaf) >= leaf_lg2[i])
			return leaf;
	}
	return NULL;
}

void kunit_iommu_plain_init(struct kunit_iommu_plain *plain)
{
	xa_init_flags(&plain->leaves, XA_FLAGS_LOCK_IRQ);
}

void kunit_iommu_plain_destroy(struct kunit_iommu_plain *plain)
{
	xa_destroy(&plain->leaves);
}

/**
 * kunit_iommu_plain_map() - Add one leaf
 * @plain: the page table
 * @iova: where, a multiple of @size
 * @phys: where it leads, a multiple of @size
 * @size: one of KUNIT_IOMMU_PLAIN_SIZES
 * @prot: IOMMU_READ, IOMMU_WRITE
 * @gfp: how to allocate
 *
 * Context: Any, if @gfp suits it.
 *
 * Return: 0, -ENOMEM, -EEXIST if there is something, which is a violation.
 */
int kunit_iommu_plain_map(struct kunit_iommu_plain *plain, u64 iova,
			  phys_addr_t phys, size_t size, int prot, gfp_t gfp)
{
	unsigned long pfn = PHYS_PFN(iova), at = pfn, flags;
	int ret = -EEXIST;

	prot &= IOMMU_READ | IOMMU_WRITE;
	xa_lock_irqsave(&plain->leaves, flags);
	if (find_leaf(plain, iova) ||
	    xa_find(&plain->leaves, &at, pfn + PHYS_PFN(size) - 1, XA_PRESENT))
		atomic_inc(&plain->violations);
	else
		ret = xa_err(__xa_store(&plain->leaves, pfn,
					make_leaf(phys, ilog2(size), prot),
					gfp));
	xa_unlock_irqrestore(&plain->leaves, flags);
	return ret;
}

/**
 * kunit_iommu_plain_unmap() - Remove one leaf, or a table of smaller ones
 * @plain: the page table
 * @iova: where, a multiple of @size
 * @size: one of KUNIT_IOMMU_PLAIN_SIZES
 *
 * Context: Any.
 *
 * Return: @size; 0 if there is nothing, or a larger leaf, which is a violation.
 */
size_t kunit_iommu_plain_unmap(struct kunit_iommu_plain *plain, u64 iova,
			       size_t size)
{
	unsigned long last = PHYS_PFN(iova + size - 1), at, flags;
	bool found = false;
	void *leaf;

	xa_lock_irqsave(&plain->leaves, flags);
	leaf = find_leaf(plain, iova);
	if (!leaf || lg2_of(leaf) <= ilog2(size)) {
		xa_for_each_range(&plain->leaves, at, leaf, PHYS_PFN(iova),
				  last) {
			__xa_erase(&plain->leaves, at);
			found = true;
		}
	}
	if (!found)
		atomic_inc(&plain->violations);
	xa_unlock_irqrestore(&plain->leaves, flags);
	return found ? size : 0;
}

/**
 * kunit_iommu_plain_walk() - Translate
 * @plain: the page table
 * @iova: what to translate
 * @phys: set to where it leads
 * @prot: set to IOMMU_READ, IOMMU_WRITE
 *
 * Context: Any.
 *
 * Return: false if there is nothing.
 */
bool kunit_iommu_plain_walk(struct kunit_iommu_plain *plain, u64 iova,
			    phys_addr_t *phys, int *prot)
{
	void *leaf = find_leaf(plain, iova);
	unsigned long value;

	if (!leaf)
		return false;
	value = xa_to_value(leaf);
	*phys = PFN_PHYS((phys_addr_t)(value >> LEAF_PFN_SHIFT)) |
		(iova & (BIT_ULL(lg2_of(leaf)) - 1));
	*prot = FIELD_GET(LEAF_PROT, value);
	return true;
}
