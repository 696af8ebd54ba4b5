/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Crashdump framework of the IOMMU core: between import.c, which goes through the
 * tables of a group, and report.c, which judges what is in them.
 */
#ifndef __IOMMU_KDUMP_REPORT_H
#define __IOMMU_KDUMP_REPORT_H

#include <linux/ktime.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include "carry.h"
#include "kdump.h"
#include "targets.h"

/* What is at most so far apart is reserved as one, unless there is too much of it */
#define KDUMP_MERGE_GAP	SZ_64K

/**
 * enum iommu_kdump_pass - what becomes of the mappings that are found
 * @PASS_CHECK: nothing
 * @PASS_COLLECT: their IOVAs are written down, nothing else
 * @PASS_IMPORT: their IOVAs are written down, and they are mapped
 * @PASS_CARRY: they are mapped, if their IOVAs have been written down
 */
enum iommu_kdump_pass {
	PASS_CHECK,
	PASS_COLLECT,
	PASS_IMPORT,
	PASS_CARRY,
};

/**
 * struct iommu_kdump_report - takes the mappings of one old table
 * @kg: the group that they belong to
 * @stats: what was found
 * @carrier: takes them into the domain
 * @pass: what becomes of them
 * @ranges: IOVA ranges to reserve, merged
 * @known: those of them that an earlier table has brought
 * @regions: reserved regions of the group's devices, in pages of the domain
 * @targets: what the mappings may lead to
 * @first: lowest IOVA that the domain translates
 * @last: highest IOVA that the domain translates
 * @granule: smallest page size of the domain
 * @next: where the next mapping of this table may start
 * @gap: old ranges that are at most this far apart are reserved as one
 * @max_ranges: how many ranges there may be. If there are more, @gap grows.
 * @max_tables: tables that a walk may read
 * @seen_tables: tables that this walk has read
 * @bad_low: bytes of IOVA below KDUMP_LIKELY that bad entries of this walk have taken
 * @deadline: when the walk ends, wherever it is
 * @plain_first: IOVA from which on there is no reserved region
 * @plain_last: IOVA up to which there is none
 * @ram_first: physical address from which on there is RAM of the crashed kernel
 * @ram_last: physical address up to which there is
 * @ram_prot: IOMMU_CACHE, if the DMA of the device is coherent
 * @identity: take everything that is not the crash kernel's memory
 */
struct iommu_kdump_report {
	struct iommu_kdump_group *kg;
	struct iommu_kdump_stats *stats;
	struct iommu_kdump_carrier carrier;
	enum iommu_kdump_pass pass;
	struct iommu_kdump_ranges ranges;
	struct iommu_kdump_ranges known;
	struct iommu_kdump_ranges regions;
	struct iommu_kdump_targets targets;
	u64 first;
	u64 last;
	u64 granule;
	u64 next;
	u64 gap;
	u64 max_ranges;
	u64 max_tables;
	u64 seen_tables;
	u64 bad_low;
	ktime_t deadline;
	u64 plain_first;
	u64 plain_last;
	u64 ram_first;
	u64 ram_last;
	int ram_prot;
	bool identity;
};

int iommu_kdump_report_reserve(struct iommu_kdump_report *report, u64 iova,
			       u64 size);
int iommu_kdump_report_identity(struct iommu_kdump_report *report);

/* What has been looked up does not hold any more */
static inline void iommu_kdump_report_restart(struct iommu_kdump_report *report)
{
	report->next = 0;
	report->seen_tables = 0;
	report->bad_low = 0;
	report->plain_first = U64_MAX;
}

#endif /* __IOMMU_KDUMP_REPORT_H */
