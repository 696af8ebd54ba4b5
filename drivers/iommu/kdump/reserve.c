// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: IOVAs of the crashed kernel
 *
 * What the crashed kernel had mapped is kept from the IOVA allocator of the
 * crash kernel: while the old mappings are carried, because two mappings cannot
 * share an IOVA; after the release, because a stray write of the old device must
 * meet a fault and not a new buffer.
 *
 * The dump comes first, so the reservation gives way when the allocator runs
 * out: the highest ranges that the device can reach go first, twice as many each
 * time, up to 64. If the old mappings are still there, they are removed with their range.
 */

#include <linux/generic_pt/iommu.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/iova.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "../dma-iommu.h"
#include "kdump.h"
#include "trace.h"

/* Ranges that one shortage gives back at most: interrupts are off meanwhile */
#define MAX_RECLAIM	64

/*
 * Reserves nothing, for all domains that need no more than to prefer low IOVAs and had
 * no memory to remember it. Never freed.
 */
static struct iommu_kdump_iova low_only = {
	.lock = __SPIN_LOCK_UNLOCKED(low_only.lock),
	.low = true,
	.next_reclaim = 1,
};

/*
 * Take what is free of a range out of the allocator. What is reserved by somebody
 * else already stays theirs, and is added to @others if that is not NULL.
 */
static int reserve_range(struct iova_domain *iovad,
			 const struct iommu_kdump_range *range,
			 struct iommu_kdump_ranges *ours,
			 struct iommu_kdump_ranges *others, u64 *bytes)
{
	unsigned long shift = iova_shift(iovad);
	unsigned long pfn = range->first >> shift, last = range->last >> shift;
	int ret;

	while (pfn <= last) {
		unsigned long lo = pfn, hi = last;

		ret = reserve_iova_gap(iovad, &lo, &hi, KDUMP_GFP);
		if (ret == -ENOENT)
			lo = last + 1;
		else if (ret)
			return ret;
		if (others && lo > pfn) {
			ret = iommu_kdump_add_range(others, (u64)pfn << shift,
						    ((u64)lo << shift) - 1);
			if (ret && lo <= last)
				free_iova(iovad, lo);
			if (ret)
				return ret;
		}
		if (lo > last)
			break;
		ret = iommu_kdump_add_range(ours, (u64)lo << shift,
					    ((u64)hi << shift) |
						    iova_mask(iovad));
		if (ret) {
			free_iova(iovad, lo);
			return ret;
		}
		*bytes += (u64)(hi - lo + 1) << shift;
		pfn = hi + 1;
	}
	return 0;
}

static void give_back(struct iova_domain *iovad,
		      struct iommu_kdump_ranges *ranges)
{
	unsigned int i;

	for (i = 0; i < ranges->nr; i++)
		free_iova(iovad, iova_pfn(iovad, ranges->r[i].first));
	iommu_kdump_free_ranges(ranges);
}

/**
 * iommu_kdump_reserve() - Keep old IOVAs from the allocator of a domain
 * @domain: DMA domain whose allocator is initialised
 * @ranges: what to reserve
 * @mapped: old mappings are in @ranges, for iommu_kdump_release_mappings()
 * @bytes: incremented by what was reserved
 *
 * What is reserved by somebody else already stays theirs.
 *
 * Context: May sleep. Only once per domain, or after iommu_kdump_prefer_low().
 *
 * Return: 0, or -ENOMEM with nothing reserved.
 */
int iommu_kdump_reserve(struct iommu_domain *domain,
			const struct iommu_kdump_ranges *ranges, bool mapped,
			u64 *bytes)
{
	struct iova_domain *iovad = iommu_dma_iova_domain(domain);
	struct iommu_kdump_iova *old;
	unsigned int i;
	int ret = 0;

	old = kzalloc_obj(*old, KDUMP_GFP);
	if (!old)
		return -ENOMEM;
	spin_lock_init(&old->lock);
	old->next_reclaim = 1;
	old->mapped = mapped;

	for (i = 0; i < ranges->nr && !ret; i++)
		ret = reserve_range(iovad, &ranges->r[i], &old->reserved,
				    mapped ? &old->shared : NULL, bytes);
	if (ret) {
		/* The caller takes the mappings out again */
		give_back(iovad, &old->reserved);
		iommu_kdump_free_iova(old);
		return ret;
	}
	iommu_dma_set_kdump_iova(domain, old);
	return 0;
}

/**
 * iommu_kdump_reserve_more() - Old IOVAs of a device that has joined its group late
 * @domain: DMA domain of the group, in use by the other devices
 * @ranges: IOVAs that the crashed kernel has used for the device
 * @overlaps: empty; those of @ranges that were reserved already are added, where old
 *            mappings may be
 * @bytes: incremented by what was reserved
 *
 * For mappings that are made afterwards: either all of @ranges is kept from the
 * allocator on return, or nothing more than before.
 *
 * Until iommu_kdump_reserved_more() is called none of them gives way.
 *
 * Context: May sleep.
 *
 * Return: 0; -EADDRINUSE if the crash kernel uses one of them already, or firmware
 * does; -ENOMEM.
 */
int iommu_kdump_reserve_more(struct iommu_domain *domain,
			     const struct iommu_kdump_ranges *ranges,
			     struct iommu_kdump_ranges *overlaps, u64 *bytes)
{
	struct iova_domain *iovad = iommu_dma_iova_domain(domain);
	struct iommu_kdump_iova *old = iommu_dma_kdump_iova(domain);
	struct iommu_kdump_ranges none = {}, ours = {}, merged = {};
	unsigned int i;
	int ret = 0;

	if (!old || old == &low_only) {
		ret = iommu_kdump_reserve(domain, &none, false, bytes);
		if (ret)
			return ret;
		old = iommu_dma_kdump_iova(domain);
	}

	for (i = 0; i < ranges->nr && !ret; i++)
		ret = reserve_range(iovad, &ranges->r[i], &ours, overlaps,
				    bytes);
	/* Nothing is added meanwhile, only taken away */
	merged.max = old->reserved.nr + ours.nr;
	if (!ret && merged.max) {
		merged.r = kvmalloc_array(merged.max, sizeof(*merged.r),
					  KDUMP_GFP);
		if (!merged.r)
			ret = -ENOMEM;
	}
	if (!ret) {
		spin_lock_irq(&old->lock);
		if (iommu_kdump_ranges_contain(&old->reserved, overlaps)) {
			merged.nr = old->reserved.nr;
			memcpy(merged.r, old->reserved.r,
			       merged.nr * sizeof(*merged.r));
			iommu_kdump_insert_ranges(&merged, &ours);
			swap(old->reserved, merged);
			old->mapped = true;
			old->growing = true;
		} else {
			ret = -EADDRINUSE;
		}
		spin_unlock_irq(&old->lock);
	}
	if (ret)
		give_back(iovad, &ours);
	iommu_kdump_free_ranges(&ours);
	iommu_kdump_free_ranges(&merged);
	return ret;
}

/**
 * iommu_kdump_add_pieces() - What old mappings consist of
 * @domain: DMA domain whose old IOVAs are reserved
 * @pieces: what has been mapped, in any order, without anything in common with each
 *          other or with what was mapped before
 *
 * For page tables that cannot skip holes when they are unmapped.
 *
 * Context: May sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int iommu_kdump_add_pieces(struct iommu_domain *domain,
			   const struct iommu_kdump_ranges *pieces)
{
	struct iommu_kdump_iova *old = iommu_dma_kdump_iova(domain);
	struct iommu_kdump_ranges merged = {};

	if (!pieces->nr)
		return 0;
	/* Nothing is added meanwhile, only taken away */
	merged.max = old->pieces.nr + pieces->nr;
	merged.r = kvmalloc_array(merged.max, sizeof(*merged.r), KDUMP_GFP);
	if (!merged.r)
		return -ENOMEM;
	spin_lock_irq(&old->lock);
	merged.nr = old->pieces.nr;
	memcpy(merged.r, old->pieces.r, merged.nr * sizeof(*merged.r));
	memcpy(merged.r + merged.nr, pieces->r, pieces->nr * sizeof(*merged.r));
	merged.nr += pieces->nr;
	spin_unlock_irq(&old->lock);

	/* Until iommu_kdump_reserved_more() nothing is taken away either */
	iommu_kdump_merge_ranges(&merged);
	spin_lock_irq(&old->lock);
	swap(old->pieces, merged);
	spin_unlock_irq(&old->lock);
	iommu_kdump_free_ranges(&merged);
	return 0;
}

/**
 * iommu_kdump_reserved_more() - What was reserved for has been mapped
 * @domain: as for iommu_kdump_reserve_more(), which has succeeded
 */
void iommu_kdump_reserved_more(struct iommu_domain *domain)
{
	struct iommu_kdump_iova *old = iommu_dma_kdump_iova(domain);

	spin_lock_irq(&old->lock);
	old->growing = false;
	spin_unlock_irq(&old->lock);
}

/**
 * iommu_kdump_prefer_low() - Make new mappings where old DMA is unlikely to be
 * @domain: default domain of a group that may still do old DMA
 *
 * What old tables say need not be all that devices use: the tables may have been
 * wiped or written over, and DMA that faults today would reach what is mapped there
 * tomorrow. Old ranges that are known stay reserved in any case.
 *
 * Context: May sleep. Cannot fail.
 */
void iommu_kdump_prefer_low(struct iommu_domain *domain)
{
	struct iommu_kdump_ranges none = {};
	u64 bytes = 0;

	if (!iommu_is_dma_domain(domain) || !iommu_dma_iova_domain(domain))
		return;
	if (!iommu_dma_kdump_iova(domain) &&
	    iommu_kdump_reserve(domain, &none, false, &bytes)) {
		iommu_dma_set_kdump_iova(domain, &low_only);
		return;
	}
	WRITE_ONCE(iommu_dma_kdump_iova(domain)->low, true);
}

VISIBLE_IF_KUNIT bool iommu_kdump_wants_low(const struct iommu_kdump_iova *old)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_wants_low, old);
	return READ_ONCE(old->low);
}

VISIBLE_IF_KUNIT int iommu_kdump_try_iova(struct iova_domain *iovad,
					  unsigned long size, u64 limit,
					  bool flush, unsigned long *pfn)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_try_iova, iovad, size, limit,
				   flush, pfn);
	return alloc_iova_errno(iovad, size, limit >> iova_shift(iovad), flush,
				pfn);
}

/* 0, or an error as well if low IOVAs are not asked for */
static int alloc_low(struct iova_domain *iovad, struct iommu_kdump_iova *old,
		     unsigned long size, u64 limit, unsigned long *pfn)
{
	int ret;

	if (!iommu_kdump_wants_low(old))
		return -ENOSPC;
	ret = iommu_kdump_try_iova(iovad, size,
				   min(limit, (u64)KDUMP_LIKELY - 1), false,
				   pfn);
	/* Others that share it have room */
	if (ret == -ENOSPC && old != &low_only)
		WRITE_ONCE(old->low, false);
	return ret;
}

/*
 * Where only whole leaves can be unmapped, whole pieces go. Those of a range that is
 * given back must, before somebody else maps something there.
 */
static void unmap_reclaimed(struct iommu_domain *domain,
			    struct iommu_kdump_iova *old,
			    const struct iommu_kdump_range *range)
{
	struct iommu_kdump_ranges *pieces = &old->pieces;
	int i;

	if (iommu_kdump_is_bulk(domain)) {
		iommu_kdump_unmap_range(domain, range->first, range->last);
		return;
	}
	while ((i = iommu_kdump_find_below(pieces, range->last)) >= 0 &&
	       pieces->r[i].last >= range->first) {
		iommu_kdump_unmap_range(domain, pieces->r[i].first,
					pieces->r[i].last);
		pieces->nr--;
		memmove(&pieces->r[i], &pieces->r[i + 1],
			(pieces->nr - i) * sizeof(pieces->r[i]));
	}
}

/**
 * iommu_kdump_reclaim_iova() - Give reserved IOVAs back to the allocator
 * @domain: DMA domain whose allocator has nothing left
 * @iovad: the allocator
 * @old: its reservation, may be NULL
 * @limit: highest IOVA that the device can reach
 *
 * Context: Any.
 *
 * Return: true if something was given back, so that another attempt makes sense.
 */
bool iommu_kdump_reclaim_iova(struct iommu_domain *domain,
			      struct iova_domain *iovad,
			      struct iommu_kdump_iova *old, u64 limit)
{
	unsigned long flags;
	unsigned int n;
	int i;

	if (!old)
		return false;

	spin_lock_irqsave(&old->lock, flags);
	for (n = 0; n < old->next_reclaim && !old->growing; n++) {
		struct iommu_kdump_range r;

		i = iommu_kdump_find_below(&old->reserved, limit);
		if (i < 0)
			break;
		r = old->reserved.r[i];
		memmove(&old->reserved.r[i], &old->reserved.r[i + 1],
			(old->reserved.nr - i - 1) * sizeof(r));
		old->reserved.nr--;
		if (old->mapped)
			unmap_reclaimed(domain, old, &r);
		free_iova(iovad, iova_pfn(iovad, r.first));
		trace_iommu_kdump_reclaim(r.first, r.last, old->mapped);
	}
	old->reclaimed += n;
	/* Not when there was nothing within the reach of the device */
	if (n == old->next_reclaim && n < MAX_RECLAIM)
		old->next_reclaim *= 2;
	spin_unlock_irqrestore(&old->lock, flags);
	return n;
}

/**
 * iommu_kdump_alloc_iova() - Allocate an IOVA in a domain that keeps old ones
 * @domain: DMA domain with old IOVAs
 * @iovad: its allocator
 * @size: in units of the allocator
 * @limit: highest IOVA that the device can reach
 *
 * A crash kernel stays away from where DMA of the crashed one may be: as low as
 * possible, else as high as possible. What it has reserved gives way before an
 * allocation fails.
 *
 * Context: Any.
 *
 * Return: as alloc_iova_fast().
 */
unsigned long iommu_kdump_alloc_iova(struct iommu_domain *domain,
				     struct iova_domain *iovad,
				     unsigned long size, u64 limit)
{
	struct iommu_kdump_iova *old = iommu_dma_kdump_iova(domain);
	unsigned long pfn;
	int ret;

	ret = alloc_low(iovad, old, size, limit, &pfn);
	if (!ret)
		return pfn;
	/* A shortage of memory is none that old IOVAs could help against */
	do {
		ret = iommu_kdump_try_iova(iovad, size, limit, true, &pfn);
	} while (ret == -ENOSPC &&
		 iommu_kdump_reclaim_iova(domain, iovad, old, limit));
	return ret ? 0 : pfn;
}

static void unmap_all(struct iommu_domain *domain, struct iommu_kdump_iova *old,
		      const struct iommu_kdump_ranges *ranges, u64 *pages)
{
	bool end = false;
	u64 pos = 0;
	int i;

	/* Bit by bit: the DMA API may take ranges from us meanwhile */
	while (!end) {
		struct iommu_kdump_range r;

		spin_lock_irq(&old->lock);
		i = iommu_kdump_find_below(ranges, pos);
		if (i < 0 || ranges->r[i].last < pos)
			i++;
		end = i >= (int)ranges->nr;
		if (!end) {
			r = ranges->r[i];
			pos = max(r.first, pos);
			if (iommu_kdump_unmap_some(domain, &pos, r.last, pages))
				end = check_add_overflow(r.last, 1ULL, &pos);
		}
		spin_unlock_irq(&old->lock);
		cond_resched();
	}
}

/**
 * iommu_kdump_release_mappings() - Remove the old mappings, keep their IOVAs
 * @domain: DMA domain that may carry old mappings
 *
 * On return no old mapping is in the page table or in the IOTLB, and page tables that
 * were for nothing else are free.
 *
 * Context: May sleep.
 *
 * Return: pages that are free now, as far as it is known.
 */
u64 iommu_kdump_release_mappings(struct iommu_domain *domain)
{
	struct iommu_kdump_iova *old = iommu_dma_kdump_iova(domain);
	u64 pages = 0, before, now;

	if (!old || !old->mapped)
		return 0;

	before = iommu_kdump_free_pages();
	if (iommu_kdump_is_bulk(domain)) {
		unmap_all(domain, old, &old->shared, &pages);
		unmap_all(domain, old, &old->reserved, &pages);
	} else {
		unmap_all(domain, old, &old->pieces, &pages);
	}
	if (!iommupt_from_domain(domain)) {
		now = iommu_kdump_free_pages();
		pages = now > before ? now - before : 0;
	}
	spin_lock_irq(&old->lock);
	old->mapped = false;
	spin_unlock_irq(&old->lock);
	iommu_kdump_free_ranges(&old->shared);
	iommu_kdump_free_ranges(&old->pieces);
	return pages;
}

/**
 * iommu_kdump_given_back() - Reserved ranges that the allocator has taken back
 * @domain: a DMA domain
 *
 * Return: their number; their IOVAs are in use by the crash kernel, or may be.
 */
unsigned int iommu_kdump_given_back(struct iommu_domain *domain)
{
	struct iommu_kdump_iova *old = iommu_dma_kdump_iova(domain);
	unsigned int n;

	if (!old)
		return 0;
	spin_lock_irq(&old->lock);
	n = old->reclaimed;
	spin_unlock_irq(&old->lock);
	return n;
}

/**
 * iommu_kdump_free_iova() - Free the reservation of a domain
 * @old: the reservation, may be NULL. Its nodes go with the allocator.
 */
void iommu_kdump_free_iova(struct iommu_kdump_iova *old)
{
	if (!old || old == &low_only)
		return;
	iommu_kdump_free_ranges(&old->reserved);
	iommu_kdump_free_ranges(&old->shared);
	iommu_kdump_free_ranges(&old->pieces);
	kfree(old);
}
