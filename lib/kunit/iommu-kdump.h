/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KUnit-managed IOMMU: what its driver and its part of the crashdump framework share
 */
#ifndef _LIB_KUNIT_IOMMU_KDUMP_H
#define _LIB_KUNIT_IOMMU_KDUMP_H

#include <linux/iommu-kdump.h>

#include <kunit/iommu.h>

struct device;

/**
 * struct kunit_iommu_old - what the driver keeps of a crashed kernel
 * @entries: its context entries, as far as hardware uses them still
 * @num_rids: number of them
 * @ids: their domain IDs
 * @refused: those that could not be taken over for want of memory
 */
struct kunit_iommu_old {
	struct kunit_iommu_entry *entries;
	u32 num_rids;
	struct iommu_kdump_ids ids;
	struct iommu_kdump_refused refused;
};

/* iommu.c: the hardware, and how the driver writes to it */
struct kunit_iommu *kunit_iommu_of(struct device *dev);
struct kunit_iommu_old *kunit_iommu_old(struct kunit_iommu *iommu);
unsigned int kunit_iommu_rids(struct device *dev, const u32 **rids);
bool kunit_iommu_translates(struct kunit_iommu *iommu);
enum kunit_iommu_format kunit_iommu_table_format(struct kunit_iommu *iommu);
void kunit_iommu_write_entry(struct kunit_iommu *iommu, u32 rid,
			     const struct kunit_iommu_entry *entry);
void kunit_iommu_count(struct kunit_iommu *iommu, bool walked);

/* iommu-kdump.c */
#ifdef CONFIG_IOMMU_KDUMP
int kunit_iommu_take_over(struct kunit_iommu *iommu);
void kunit_iommu_leave_old(struct kunit_iommu *iommu, u32 rid);
int kunit_iommu_inherit_tables(struct device *dev,
			       struct iommu_kdump_tables *tables);
int kunit_iommu_reserve_old_iova(struct device *dev,
				 const struct iommu_kdump_tables *tables,
				 struct iommu_kdump_report *report);
void kunit_iommu_release_on_driver_probe(struct device *dev);
#endif

#endif /* _LIB_KUNIT_IOMMU_KDUMP_H */
