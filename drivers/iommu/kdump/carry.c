// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: old mappings in the page table of a domain
 *
 * What comes here has been judged (import.c). It is written by value, at the same IOVA
 * with the same permissions, and taken out again.
 */

#include <linux/generic_pt/iommu.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "../dma-iommu.h"
#include "carry.h"
#include "kdump.h"

/*
 * Leaves for which a call of the page table may need 1 MiB of tables, at 8 bytes for
 * each. In between it is checked what they have taken.
 */
#define CALL_LEAVES	(SZ_1M / sizeof(u64))

/* Calls that may need 16 KiB of tables each, a new one at every level */
#define CHECK_CALLS	(SZ_1M / SZ_16K)

/* A shortage of IOVAs takes a piece as a whole */
#define MAX_PIECE	(64ULL * SZ_1G)

/* Leaves that are unmapped with interrupts off */
#define UNMAP_LEAVES	SZ_16K

static u64 largest_page(const struct iommu_domain *domain)
{
	return rounddown_pow_of_two(domain->pgsize_bitmap);
}

/*
 * Pages that the page tables have got: exact, or, without generic_pt, about so many,
 * but one at least.
 */
static u64 pages_spent(const struct iommu_kdump_carrier *carrier)
{
	u64 now;

	if (!carrier->dirty)
		return 0;
	if (carrier->pt)
		return (u32)(iommupt_table_pages(carrier->pt) - carrier->before);
	now = iommu_kdump_free_pages();
	return now < carrier->before ? carrier->before - now : 1;
}

static void check_budget(struct iommu_kdump_carrier *carrier, u64 leaves)
{
	if (!carrier->pt) {
		/* Somebody has to be asked */
		carrier->unchecked += 1 + leaves * CHECK_CALLS / CALL_LEAVES;
		if (carrier->unchecked < CHECK_CALLS)
			return;
		carrier->unchecked = 0;
	}
	if (!carrier->error && pages_spent(carrier) > carrier->budget)
		carrier->error = -ENOSPC;
}

/* Before it is mapped: what is not known cannot be taken out again */
static int remember(struct iommu_kdump_carrier *carrier, u64 iova, u64 size)
{
	u64 span = max(MAX_PIECE, largest_page(carrier->domain));
	struct iommu_kdump_ranges *pieces = &carrier->pieces;
	u64 last = iova + size - 1, end;
	int ret;

	carrier->dirty = true;
	if (!carrier->keep_pieces)
		return 0;
	for (;; iova = end + 1) {
		end = min(last, iova | (span - 1));
		if (pieces->nr && !IS_ALIGNED(iova, span) &&
		    pieces->r[pieces->nr - 1].last + 1 == iova) {
			pieces->r[pieces->nr - 1].last = end;
		} else {
			ret = iommu_kdump_add_range(pieces, iova, end);
			if (ret)
				return ret;
		}
		if (end == last)
			return 0;
	}
}

static int map_batch(struct iommu_kdump_carrier *carrier)
{
	struct iommu_domain *domain = carrier->domain;
	unsigned int lg2sz = carrier->batch_lg2sz, nr = carrier->batch_nr;
	u64 iova = carrier->batch_iova, *leaves = carrier->batch;
	struct pt_iommu *pt = carrier->pt;

	if (!pt)
		return domain->ops->map_leaves(domain, iova, lg2sz, leaves, nr, KDUMP_GFP);
	return pt->ops->map_leaves(pt, iova, lg2sz, leaves, nr, KDUMP_GFP);
}

static void flush_batch(struct iommu_kdump_carrier *carrier)
{
	if (!carrier->batch_nr)
		return;
	if (!carrier->error) {
		carrier->dirty = true;
		carrier->error = map_batch(carrier);
		check_budget(carrier, carrier->batch_nr);
	}
	carrier->batch_nr = 0;
}

/* Make room in the batch for the leaf at @iova and those behind it */
static u64 *batch_at(struct iommu_kdump_carrier *carrier, u64 iova,
		     unsigned int lg2sz)
{
	u64 span = (u64)carrier->batch_max << lg2sz;
	unsigned int i;

	if (carrier->batch_nr &&
	    (lg2sz != carrier->batch_lg2sz ||
	     ALIGN_DOWN(iova, span) != ALIGN_DOWN(carrier->batch_iova, span)))
		flush_batch(carrier);
	if (!carrier->batch_nr) {
		carrier->batch_iova = iova;
		carrier->batch_lg2sz = lg2sz;
	}
	i = (iova - carrier->batch_iova) >> lg2sz;
	while (carrier->batch_nr < i)
		carrier->batch[carrier->batch_nr++] = 0;
	return &carrier->batch[i];
}

static void batch_page(struct iommu_kdump_carrier *carrier, u64 iova, u64 phys,
		       int prot)
{
	*batch_at(carrier, iova, __ffs64(carrier->granule)) = phys | prot;
	carrier->batch_nr++;
}

static int map_one(struct iommu_kdump_carrier *carrier, u64 iova, u64 phys,
		   u64 size, int prot)
{
	struct pt_iommu *pt = carrier->pt;
	size_t mapped = 0;

	if (pt)
		return pt->ops->map_range(pt, iova, phys, size, prot, KDUMP_GFP,
					  &mapped);
	return iommu_map(carrier->domain, iova, phys, size, prot, KDUMP_GFP);
}

/* In as few calls as the budget allows, in the largest leaves that fit */
static void map_run(struct iommu_kdump_carrier *carrier, u64 iova, u64 phys,
		    u64 size, int prot)
{
	u64 sizes = carrier->domain->pgsize_bitmap, step;
	unsigned int leaf_lg2, lg2;

	if (iova ^ phys)
		sizes &= GENMASK_ULL(__ffs64(iova ^ phys), 0);
	leaf_lg2 = ilog2(sizes);
	lg2 = leaf_lg2 + ilog2(CALL_LEAVES);
	for (; size && !carrier->error; iova += step, phys += step, size -= step) {
		step = size;
		if (lg2 < 64)
			step = min(size, BIT_ULL(lg2) - (iova & (BIT_ULL(lg2) - 1)));
		carrier->error = remember(carrier, iova, step);
		if (!carrier->error)
			carrier->error = map_one(carrier, iova, phys, step, prot);
		check_budget(carrier, step >> leaf_lg2);
		cond_resched();
	}
}

/*
 * Another table of the group may have brought the same pages. The address tells; if
 * the permissions are the same as well is what map_leaves() checks.
 */
static void compare_run(struct iommu_kdump_carrier *carrier, u64 iova, u64 phys,
			u64 size, int prot)
{
	u64 granule = carrier->granule;

	for (; size && !carrier->error;
	     iova += granule, phys += granule, size -= granule) {
		u64 there = 0;

		/* Of its last byte: where page 0 leads must not look like nowhere */
		if (carrier->keep_pieces)
			there = iommu_iova_to_phys(carrier->domain,
						   iova + granule - 1);
		if (there && there != phys + granule - 1) {
			carrier->error = -EADDRINUSE;
			break;
		}
		if (!there)
			carrier->error = remember(carrier, iova, granule);
		if (carrier->error)
			break;
		if (carrier->bulk) {
			batch_page(carrier, iova, phys, prot);
		} else if (!there) {
			carrier->error = map_one(carrier, iova, phys, granule,
						 prot);
			check_budget(carrier, 1);
		}
		if (IS_ALIGNED(iova, SZ_4M))
			cond_resched();
	}
}

/* Is @iova where something may be mapped? @size is cut to what it is true for. */
static bool is_known(const struct iommu_kdump_carrier *carrier, u64 iova,
		     u64 *size)
{
	const struct iommu_kdump_ranges *known = carrier->known;
	int i;

	if (!known)
		return false;
	i = iommu_kdump_find_below(known, iova);
	if (i >= 0 && known->r[i].last >= iova) {
		if (known->r[i].last - iova < *size - 1)
			*size = known->r[i].last - iova + 1;
		return true;
	}
	if (++i < known->nr)
		*size = min(*size, known->r[i].first - iova);
	return false;
}

static void flush_run(struct iommu_kdump_carrier *carrier)
{
	u64 iova = carrier->run_iova, phys = carrier->run_phys;
	u64 size = carrier->run_size, part;
	int prot = carrier->run_prot;

	for (; size && !carrier->error; iova += part, phys += part, size -= part) {
		part = size;
		if (is_known(carrier, iova, &part)) {
			compare_run(carrier, iova, phys, part, prot);
		} else if (carrier->bulk &&
			   part < carrier->batch_max * carrier->granule) {
			/* It shares its leaf table with others */
			u64 done;

			carrier->error = remember(carrier, iova, part);
			for (done = 0; done < part; done += carrier->granule)
				batch_page(carrier, iova + done, phys + done,
					   prot);
		} else {
			flush_batch(carrier);
			map_run(carrier, iova, phys, part, prot);
		}
	}
	if (!carrier->error)
		carrier->mapped += carrier->run_size;
	carrier->run_size = 0;
}

/**
 * iommu_kdump_carry() - Map what an old table maps
 * @carrier: where to
 * @iova: first IOVA, not below what has been carried of this table
 * @phys: where it leads
 * @size: bytes, at least one. All three are aligned to the granule of the domain.
 * @prot: IOMMU_* flags
 *
 * It need not happen before iommu_kdump_carry_finish().
 */
void iommu_kdump_carry(struct iommu_kdump_carrier *carrier, u64 iova,
		       phys_addr_t phys, u64 size, int prot)
{
	if (carrier->run_size &&
	    carrier->run_iova + carrier->run_size == iova &&
	    carrier->run_phys + carrier->run_size == phys &&
	    carrier->run_prot == prot) {
		carrier->run_size += size;
		return;
	}
	flush_run(carrier);
	carrier->run_iova = iova;
	carrier->run_phys = phys;
	carrier->run_size = size;
	carrier->run_prot = prot;
}

/**
 * iommu_kdump_carry_leaves() - Where leaves of one table can be put directly
 * @carrier: where they are mapped
 * @iova: of the first of them, aligned
 * @lg2sz: log2 of what one of them translates
 * @nr: how many there may be, set to how many there is room for, at least one
 *
 * Return: where the physical address of each goes, together with its IOMMU_* flags; 0
 * maps nothing. To be completed by iommu_kdump_carry_taken(). NULL if they have to be
 * carried one by one.
 */
u64 *iommu_kdump_carry_leaves(struct iommu_kdump_carrier *carrier, u64 iova,
			      unsigned int lg2sz, unsigned long *nr)
{
	u64 part;

	if (!carrier->bulk || !(carrier->domain->pgsize_bitmap & BIT_ULL(lg2sz)))
		return NULL;
	*nr = min(*nr, carrier->batch_max -
		       ((iova >> lg2sz) & (carrier->batch_max - 1)));
	if (carrier->known) {
		part = (u64)*nr << lg2sz;
		/* What is there already is compared in small pages */
		if (is_known(carrier, iova, &part) &&
		    (carrier->keep_pieces || BIT_ULL(lg2sz) != carrier->granule))
			return NULL;
		*nr = part >> lg2sz;
		if (!*nr)
			return NULL;
	}
	flush_run(carrier);
	return batch_at(carrier, iova, lg2sz);
}

/**
 * iommu_kdump_carry_taken() - Leaves have been put where they go
 * @carrier: as given to iommu_kdump_carry_leaves()
 * @nr: how many, from the first one on
 * @holes: so many of them are 0
 */
void iommu_kdump_carry_taken(struct iommu_kdump_carrier *carrier, unsigned long nr,
			     unsigned long holes)
{
	unsigned int lg2sz = carrier->batch_lg2sz;

	if (!carrier->error)
		carrier->error = remember(carrier,
					  carrier->batch_iova +
					  ((u64)carrier->batch_nr << lg2sz),
					  (u64)nr << lg2sz);
	carrier->batch_nr += nr;
	if (!carrier->error)
		carrier->mapped += (u64)(nr - holes) << lg2sz;
}

/**
 * iommu_kdump_carry_finish() - All of a table has been carried
 * @carrier: where to
 *
 * Afterwards &iommu_kdump_carrier.error tells how it went.
 */
void iommu_kdump_carry_finish(struct iommu_kdump_carrier *carrier)
{
	flush_run(carrier);
	flush_batch(carrier);
	check_budget(carrier, CALL_LEAVES);
}

/**
 * iommu_kdump_carrier_tables() - What it has cost
 * @carrier: a carrier
 *
 * Return: bytes of page tables; about as many, if they are none of generic_pt.
 */
u64 iommu_kdump_carrier_tables(const struct iommu_kdump_carrier *carrier)
{
	return pages_spent(carrier) << PAGE_SHIFT;
}

/**
 * iommu_kdump_carrier_init() - Prepare to write into a domain
 * @carrier: zeroed
 * @domain: paging domain
 *
 * Return: 0 or -ENOMEM.
 */
int iommu_kdump_carrier_init(struct iommu_kdump_carrier *carrier,
			     struct iommu_domain *domain)
{
	carrier->domain = domain;
	carrier->pt = iommupt_from_domain(domain);
	carrier->granule = 1UL << __ffs(domain->pgsize_bitmap);
	carrier->bulk = iommu_kdump_is_bulk(domain);
	carrier->keep_pieces = !carrier->bulk;
	/* Tables are as large as the smallest page */
	carrier->batch_max = carrier->granule / sizeof(*carrier->batch);
	carrier->batch = kvmalloc_array(carrier->batch_max,
					sizeof(*carrier->batch), KDUMP_GFP);
	if (!carrier->batch)
		return -ENOMEM;
	carrier->budget = iommu_kdump_table_budget();
	carrier->before = carrier->pt ? iommupt_table_pages(carrier->pt) :
					iommu_kdump_free_pages();
	return 0;
}

/**
 * iommu_kdump_carrier_destroy() - The counterpart of iommu_kdump_carrier_init()
 * @carrier: zeroed at least
 */
void iommu_kdump_carrier_destroy(struct iommu_kdump_carrier *carrier)
{
	iommu_kdump_free_ranges(&carrier->pieces);
	kvfree(carrier->batch);
}

/*
 * Unmap where the page table cannot skip holes by itself. To ask for more than the leaf
 * takes a table of smaller ones out with all that is in it, to ask for less fails, and
 * where nothing is mapped must not be asked.
 */
static bool unmap_leaves(struct iommu_domain *domain, u64 *first, u64 last)
{
	u64 granule = 1UL << __ffs(domain->pgsize_bitmap), iova = *first;
	struct iommu_iotlb_gather gather;
	unsigned int work = UNMAP_LEAVES;
	size_t total = 0;
	bool end = false;

	iommu_iotlb_gather_init(&gather);
	while (!end && work--) {
		size_t unmapped = 0;
		u64 sizes = 0;

		if (iommu_iova_to_phys(domain, iova + granule - 1)) {
			/* Those that are aligned and end within the range */
			sizes = domain->pgsize_bitmap;
			if (iova)
				sizes &= GENMASK_ULL(__ffs64(iova), 0);
			if (last - iova != U64_MAX)
				sizes &= GENMASK_ULL(ilog2(last - iova + 1), 0);
		}
		while (sizes && !unmapped) {
			unmapped = iommu_unmap_fast(domain, iova,
						    BIT_ULL(ilog2(sizes)),
						    &gather);
			sizes &= ~BIT_ULL(ilog2(sizes));
		}
		total += unmapped;
		end = check_add_overflow(iova, max(unmapped, granule), &iova) ||
		      iova > last;
	}
	if (total)
		iommu_iotlb_sync(domain, &gather);
	*first = iova;
	return end;
}

/**
 * iommu_kdump_is_bulk() - Does the page table take many leaves, and skip holes?
 * @domain: paging domain
 *
 * Return: true for those of generic_pt, and those that can do the same.
 */
bool iommu_kdump_is_bulk(struct iommu_domain *domain)
{
	return iommupt_from_domain(domain) || domain->ops->map_leaves;
}

/**
 * iommu_kdump_unmap_some() - Begin to remove, or go on with, all mappings of a range
 * @domain: paging domain
 * @first: first IOVA, moved on behind what does not need to be looked at again
 * @last: last IOVA. Unless iommu_kdump_is_bulk() no leaf is in the range in part only.
 * @pages: incremented by the number of page tables that were freed, where it is known
 *
 * Ends after a time that is short enough to keep interrupts off. How long it takes does
 * not depend on how far the range reaches where nothing is mapped.
 *
 * Context: Any, if nobody else changes mappings of the range.
 *
 * Return: true if nothing of the range is left.
 */
bool iommu_kdump_unmap_some(struct iommu_domain *domain, u64 *first, u64 last,
			    u64 *pages)
{
	struct pt_iommu *pt = iommupt_from_domain(domain);
	struct iommu_iotlb_gather gather;
	int ret;

	if (!iommu_kdump_is_bulk(domain))
		return unmap_leaves(domain, first, last);
	if (!pt)
		return domain->ops->unmap_sparse(domain, *first,
						 last - *first + 1,
						 UNMAP_LEAVES) != -EAGAIN;
	iommu_iotlb_gather_init(&gather);
	/* From the beginning each time: so tables are freed as a whole */
	ret = pt->ops->unmap_sparse(pt, *first, last - *first + 1, UNMAP_LEAVES,
				    &gather);
	*pages += list_count_nodes(&gather.freelist.pages);
	if (gather.start <= gather.end)
		iommu_iotlb_sync(domain, &gather);
	return ret != -EAGAIN;
}

/**
 * iommu_kdump_unmap_range() - Remove all mappings of a range
 * @domain: paging domain
 * @first: first IOVA
 * @last: last IOVA. Unless iommu_kdump_is_bulk() no leaf is in the range in part only.
 *
 * Context: Any, if nobody else changes mappings of the range.
 */
void iommu_kdump_unmap_range(struct iommu_domain *domain, u64 first, u64 last)
{
	u64 pages = 0;

	while (!iommu_kdump_unmap_some(domain, &first, last, &pages))
		;
}
