/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KUnit-managed IOMMU: a page table that is none of generic_pt
 */
#ifndef _LIB_KUNIT_IOMMU_PLAIN_H
#define _LIB_KUNIT_IOMMU_PLAIN_H

#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/xarray.h>

#define KUNIT_IOMMU_PLAIN_SIZES	(SZ_4K | SZ_2M | SZ_1G)

/**
 * struct kunit_iommu_plain - leaves by their IOVA
 * @leaves: an entry for each leaf, at the number of its first page of 4K
 * @violations: requests that must not be made
 */
struct kunit_iommu_plain {
	struct xarray leaves;
	atomic_t violations;
};

void kunit_iommu_plain_init(struct kunit_iommu_plain *plain);
void kunit_iommu_plain_destroy(struct kunit_iommu_plain *plain);
int kunit_iommu_plain_map(struct kunit_iommu_plain *plain, u64 iova,
			  phys_addr_t phys, size_t size, int prot, gfp_t gfp);
size_t kunit_iommu_plain_unmap(struct kunit_iommu_plain *plain, u64 iova,
			       size_t size);
bool kunit_iommu_plain_walk(struct kunit_iommu_plain *plain, u64 iova,
			    phys_addr_t *phys, int *prot);

#endif /* _LIB_KUNIT_IOMMU_PLAIN_H */
