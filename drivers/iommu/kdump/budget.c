// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: what old mappings may take from the dump
 */

#include <linux/atomic.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "kdump.h"

/**
 * iommu_kdump_free_pages() - Pages that can be had without taking them from anybody
 *
 * Return: their number, about.
 */
u64 iommu_kdump_free_pages(void)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_free_pages);
	return max(si_mem_available(), 0L);
}

/* Pages that old mappings of all groups take */
static atomic64_t carried_pages;

VISIBLE_IF_KUNIT u64 iommu_kdump_carried_pages(void)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_carried_pages);
	return atomic64_read(&carried_pages);
}

/**
 * iommu_kdump_charge() - Old mappings of a group have come
 * @kg: inheritance of the group
 * @pages: how many pages they take
 */
void iommu_kdump_charge(struct iommu_kdump_group *kg, u64 pages)
{
	kg->charged += pages;
	atomic64_add(pages, &carried_pages);
}

/**
 * iommu_kdump_uncharge() - The old mappings of a group are gone
 * @kg: inheritance of the group
 */
void iommu_kdump_uncharge(struct iommu_kdump_group *kg)
{
	atomic64_sub(kg->charged, &carried_pages);
	kg->charged = 0;
}

/**
 * iommu_kdump_table_budget() - What the old mappings of one more group may take
 *
 * An eighth of the memory of the crash kernel, a half for those of all groups, and
 * never the last eighth of what is free: the dump needs the rest.
 *
 * Return: in pages.
 */
u64 iommu_kdump_table_budget(void)
{
	u64 total = totalram_pages(), avail = iommu_kdump_free_pages();
	u64 carried = iommu_kdump_carried_pages();

	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_table_budget);

	if (avail <= total / 8 || carried >= total / 2)
		return 0;
	return min3(total / 8, avail - total / 8, total / 2 - carried);
}
