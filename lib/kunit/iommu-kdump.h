/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KUnit-managed IOMMU: what its driver and its part of the crashdump framework share
 */
#ifndef _LIB_KUNIT_IOMMU_KDUMP_H
#define _LIB_KUNIT_IOMMU_KDUMP_H

#include <linux/iommu-kdump.h>

#include <kunit/iommu.h>

struct device;

/* iommu.c: the hardware, and how the driver writes to it */
struct kunit_iommu *kunit_iommu_of(struct device *dev);
struct kunit_iommu *kunit_iommu_of_old(struct iommu_kdump_entries *old);
struct iommu_kdump_entries *kunit_iommu_old(struct kunit_iommu *iommu);
enum kunit_iommu_format kunit_iommu_old_format(struct kunit_iommu *iommu);
u32 kunit_iommu_own_id(struct iommu_kdump_entries *entries, struct device *dev);
void kunit_iommu_write_entry(struct kunit_iommu *iommu, u32 rid,
			     const struct kunit_iommu_entry *entry);
void kunit_iommu_silence(struct kunit_iommu *iommu, u32 rid);

/* iommu-kdump.c */
#ifdef CONFIG_IOMMU_KDUMP
extern const struct iommu_kdump_entry_ops kunit_iommu_entry_ops;

void kunit_iommu_take_over(struct kunit_iommu *iommu);
int kunit_iommu_inherit_tables(struct device *dev, u32 id,
			       struct iommu_kdump_tables *tables);
int kunit_iommu_reserve_old_iova(struct device *dev,
				 const struct iommu_kdump_tables *tables,
				 struct iommu_kdump_report *report);
#endif

#endif /* _LIB_KUNIT_IOMMU_KDUMP_H */
