/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Crashdump framework of the IOMMU core: between import.c, which decides what is
 * carried, and carry.c, which writes it into the page table of a domain.
 */
#ifndef __IOMMU_KDUMP_CARRY_H
#define __IOMMU_KDUMP_CARRY_H

#include <linux/types.h>

#include "kdump.h"

struct iommu_domain;
struct pt_iommu;

/**
 * struct iommu_kdump_carrier - writes old mappings into a domain
 * @domain: where they go
 * @pt: its page table, NULL if that is none of generic_pt
 * @bulk: see iommu_kdump_is_bulk()
 * @granule: smallest page size of the domain
 * @known: where mappings of tables that have been read before may be, in ascending
 *         order, or NULL: there, the same mapping once more is no error, and another
 *         one is. Set by the caller.
 * @keep_pieces: remember in @pieces what is mapped. Set by the caller; always the case
 *               where the page table cannot skip holes when it is unmapped.
 * @error: why nothing is mapped any more, 0 while it is. May be set by the caller.
 * @mapped: bytes that have been mapped, or were there already
 * @dirty: something may have been mapped
 * @pieces: what has been mapped and was not there before. None of them has a leaf in
 *          common with what it does not contain.
 * @budget: pages that the page tables may take
 * @before: what is subtracted for what the domain had before
 * @unchecked: how much has been mapped since somebody looked, without generic_pt
 * @run_iova: start of the current run
 * @run_phys: its physical address
 * @run_size: its length in bytes, 0 if there is none
 * @run_prot: its IOMMU_* flags
 * @batch_iova: IOVA of the first element of @batch
 * @batch_lg2sz: log2 of what an element translates
 * @batch_nr: elements in use
 * @batch_max: elements that there are: as many as a table of the domain has
 * @batch: for &pt_iommu_ops.map_leaves
 *
 * Mappings come in ascending order of the IOVA, table by table. Runs that are
 * contiguous in memory become the largest pages that fit; scattered pages go in one
 * table at a time.
 */
struct iommu_kdump_carrier {
	struct iommu_domain *domain;
	struct pt_iommu *pt;
	bool bulk;
	u64 granule;
	const struct iommu_kdump_ranges *known;
	bool keep_pieces;
	int error;
	u64 mapped;
	bool dirty;
	struct iommu_kdump_ranges pieces;
	u64 budget;
	u64 before;
	unsigned int unchecked;
	u64 run_iova;
	u64 run_phys;
	u64 run_size;
	int run_prot;
	u64 batch_iova;
	unsigned int batch_lg2sz;
	unsigned int batch_nr;
	unsigned int batch_max;
	u64 *batch;
};

int iommu_kdump_carrier_init(struct iommu_kdump_carrier *carrier,
			     struct iommu_domain *domain);
void iommu_kdump_carrier_destroy(struct iommu_kdump_carrier *carrier);
void iommu_kdump_carry(struct iommu_kdump_carrier *carrier, u64 iova,
		       phys_addr_t phys, u64 size, int prot);
u64 *iommu_kdump_carry_leaves(struct iommu_kdump_carrier *carrier, u64 iova,
			      unsigned int lg2sz, unsigned long *nr);
void iommu_kdump_carry_taken(struct iommu_kdump_carrier *carrier, unsigned long nr,
			     unsigned long holes);
void iommu_kdump_carry_finish(struct iommu_kdump_carrier *carrier);
u64 iommu_kdump_carrier_tables(const struct iommu_kdump_carrier *carrier);

#endif /* __IOMMU_KDUMP_CARRY_H */
