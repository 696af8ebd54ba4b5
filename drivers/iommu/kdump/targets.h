/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Crashdump framework of the IOMMU core: where old mappings lead
 */
#ifndef __IOMMU_KDUMP_TARGETS_H
#define __IOMMU_KDUMP_TARGETS_H

#include <linux/types.h>

#include "kdump.h"

struct iommu_group;

/**
 * enum iommu_kdump_target - what is at a physical address
 * @KDUMP_TARGET_NOTHING: neither of what follows: a hole, or memory of firmware
 * @KDUMP_TARGET_CRASH: memory of the crash kernel
 * @KDUMP_TARGET_RAM: memory of the crashed kernel
 * @KDUMP_TARGET_MMIO: address space that PCI devices answer to
 * @KDUMP_TARGET_DOORBELL: what MSIs are written to
 */
enum iommu_kdump_target {
	KDUMP_TARGET_NOTHING,
	KDUMP_TARGET_CRASH,
	KDUMP_TARGET_RAM,
	KDUMP_TARGET_MMIO,
	KDUMP_TARGET_DOORBELL,
};

/**
 * struct iommu_kdump_targets - what has to be known to tell targets from each other
 * @windows: address space that PCI devices answer to, for peer to peer DMA
 * @granule: smallest page size of the domain: doorbells are pages of it
 */
struct iommu_kdump_targets {
	struct iommu_kdump_ranges windows;
	u64 granule;
};

void iommu_kdump_find_windows(struct iommu_kdump_targets *targets);
void iommu_kdump_find_resources(struct iommu_kdump_targets *targets);
enum iommu_kdump_target
iommu_kdump_find_target(const struct iommu_kdump_targets *targets,
			phys_addr_t phys, u64 *last);
u64 iommu_kdump_ram_start(const struct iommu_kdump_targets *targets, u64 phys,
			  u64 last);
u64 iommu_kdump_old_ram_size(void);
u64 iommu_kdump_last_target(const struct iommu_kdump_targets *targets);
int iommu_kdump_find_regions(struct iommu_group *group, u64 granule,
			     struct iommu_kdump_ranges *regions);

#endif /* __IOMMU_KDUMP_TARGETS_H */
