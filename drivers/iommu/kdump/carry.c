// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: old mappings in the page table of a domain
 */

#include <linux/generic_pt/iommu.h>
#include <linux/iommu.h>
#include <linux/overflow.h>

#include "../dma-iommu.h"
#include "kdump.h"

/* Unmap where the page table cannot skip holes by itself */
static void unmap_page_by_page(struct iommu_domain *domain, u64 first, u64 last)
{
	size_t granule = 1UL << __ffs(domain->pgsize_bitmap);
	struct iommu_iotlb_gather gather;
	size_t total = 0;
	u64 iova = first;

	iommu_iotlb_gather_init(&gather);

	while (iova < last) {
		size_t unmapped = granule;

		/* 0 is ambiguous for IOVA 0, which no kernel maps */
		if (iommu_iova_to_phys(domain, iova)) {
			unmapped = iommu_unmap_fast(domain, iova, granule,
						    &gather);
			total += unmapped;
		}
		if (check_add_overflow(iova, max(unmapped, granule), &iova))
			break;
	}
	if (total)
		iommu_iotlb_sync(domain, &gather);
}

/**
 * iommu_kdump_unmap_range() - Remove all mappings of a range
 * @domain: paging domain
 * @first: first IOVA
 * @last: last IOVA
 *
 * Context: Any, if nobody else changes mappings of the range.
 */
void iommu_kdump_unmap_range(struct iommu_domain *domain, u64 first, u64 last)
{
	struct pt_iommu *pt = iommupt_from_domain(domain);
	struct iommu_iotlb_gather gather;

	if (!pt) {
		unmap_page_by_page(domain, first, last);
		return;
	}
	iommu_iotlb_gather_init(&gather);
	pt->ops->unmap_sparse(pt, first, last - first + 1, &gather);
	iommu_iotlb_sync(domain, &gather);
}
