// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: DMA that was not translated
 */

#include <linux/align.h>
#include <linux/errno.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/sizes.h>

#include "kdump.h"
#include "report.h"
#include "targets.h"

/* Bytes that a table translates which is full of the largest leaves up to 1 GiB */
static u64 leaf_table_span(const struct iommu_kdump_report *report)
{
	u64 sizes = report->carrier.domain->pgsize_bitmap &
		    GENMASK_ULL(ilog2(SZ_1G), 0);

	return rounddown_pow_of_two(sizes) * (report->granule / sizeof(u64));
}

static int report_one(struct iommu_kdump_report *report, u64 first, u64 end)
{
	if (first == end)
		return 0;
	return iommu_kdump_report_mapping(report, first, first, end - first,
					  IOMMU_READ | IOMMU_WRITE);
}

/**
 * iommu_kdump_report_identity() - There was no translation: report what devices reach
 * @report: what is being found
 *
 * All that there is, except the memory of the crash kernel. A hole between memory,
 * registers and what else firmware and drivers have told of is mapped as far as it takes
 * no page table of its own: there may be memory that nobody has told of.
 *
 * Context: May sleep.
 *
 * Return: 0; -EUCLEAN if it is not known where the crash kernel's memory is; what
 * iommu_kdump_report_mapping() returns.
 */
int iommu_kdump_report_identity(struct iommu_kdump_report *report)
{
	struct iommu_kdump_targets reach = { .granule = report->granule };
	u64 span = leaf_table_span(report), first = 0, pos = 0, last;
	int ret = 0;

	/* Where the crash kernel's memory is not known, there can be no hole */
	if (!iommu_kdump_oldmem_known())
		return -EUCLEAN;
	report->identity = true;
	iommu_kdump_find_resources(&reach);
	last = min(iommu_kdump_last_target(&reach) | (report->granule - 1),
		   report->last);
	while (!ret) {
		enum iommu_kdump_target target;
		u64 end, hole, hole_end;

		target = iommu_kdump_find_target(&reach, pos, &end);
		if (end >= last)
			break;
		hole = ALIGN(pos, span);
		hole_end = ALIGN_DOWN(end + 1, span);
		if (target == KDUMP_TARGET_NOTHING && hole < hole_end) {
			ret = report_one(report, first, hole);
			first = hole_end;
		}
		pos = end + 1;
	}
	iommu_kdump_free_ranges(&reach.windows);
	return ret ?: report_one(report, first, last + 1);
}
