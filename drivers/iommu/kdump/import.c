// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: import of old mappings
 *
 * The mappings of the crashed kernel are read by the IOMMU driver's
 * reserve_old_iova(), checked here and written into the group's default domain by
 * value, at the same IOVA with the same permissions. Runs that are contiguous in
 * memory become the largest pages that fit; scattered pages go in one table at a
 * time.
 *
 * A page that must not be carried is left out, but its IOVA is reserved like the
 * others: the old device may use it at any time.
 */

#define pr_fmt(fmt) "iommu: kdump: " fmt

#include <linux/device.h>
#include <linux/generic_pt/iommu.h>
#include <linux/ioport.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "kdump.h"
#include "trace.h"

/*
 * Old ranges that are at most this far apart are reserved as one. What is lost
 * is IOVA space, what is gained are nodes in the allocator.
 */
#define KDUMP_MERGE_GAP	SZ_64K

/* Leaves that are collected for one call of map_leaves() */
#define BATCH_LEAVES	512

/* Shorter runs share their leaf tables with others and go through the batch */
#define LONG_RUN	BATCH_LEAVES

/* Of a page table, the top one left out: it is there from the start */
#define MAX_LEVELS	5

/**
 * struct iommu_kdump_report - takes the mappings of one old table
 * @kg: the group that they belong to
 * @domain: where they go
 * @stats: what was found
 * @ranges: IOVA ranges to reserve, merged
 * @regions: reserved regions of the group's devices, in no order
 * @windows: address space that PCI devices answer to, for peer to peer DMA
 * @first: lowest IOVA that the domain translates
 * @last: highest IOVA that the domain translates
 * @granule: smallest page size of the domain
 * @next: where the next mapping of this table may start
 * @max_tables: tables that a walk may read
 * @seen_tables: tables that this walk has read
 * @budget: page table pages that may still be allocated
 * @paid: last table of each level, from the leaf tables up, that was charged
 * @plain_first: IOVA from which on there is no reserved region
 * @plain_last: IOVA up to which there is none
 * @ram_first: physical address from which on there is RAM of the crashed kernel
 * @ram_last: physical address up to which there is
 * @identity: take everything that is not the crash kernel's memory
 * @again: not the first table of the group, mappings may be there already
 * @dry: only check
 * @dirty: something may have been mapped
 * @error: why nothing is imported any more, 0 while it is
 * @run_iova: start of the current run
 * @run_phys: its physical address
 * @run_size: its length in bytes, 0 if there is none
 * @run_prot: its IOMMU_* flags
 * @batch_iova: IOVA of the first element of @batch
 * @batch_lg2sz: log2 of what an element translates
 * @batch_nr: elements in use
 * @batch: for &pt_iommu_ops.map_leaves
 */
struct iommu_kdump_report {
	struct iommu_kdump_group *kg;
	struct iommu_domain *domain;
	struct iommu_kdump_stats *stats;
	struct iommu_kdump_ranges ranges;
	struct iommu_kdump_ranges regions;
	struct iommu_kdump_ranges windows;
	u64 first;
	u64 last;
	u64 granule;
	u64 next;
	u64 max_tables;
	u64 seen_tables;
	u64 budget;
	u64 paid[MAX_LEVELS];
	u64 plain_first;
	u64 plain_last;
	u64 ram_first;
	u64 ram_last;
	bool identity;
	bool again;
	bool dry;
	bool dirty;
	int error;
	u64 run_iova;
	phys_addr_t run_phys;
	u64 run_size;
	int run_prot;
	u64 batch_iova;
	unsigned int batch_lg2sz;
	unsigned int batch_nr;
	u64 batch[BATCH_LEAVES];
};

/*
 * Account for the page table pages that the next mapping may need. Mappings come in
 * ascending order, so at each level only the last table can be there already. The
 * leaves are of @lg2sz, or, if @large, as large as they can be.
 */
static bool charge(struct iommu_kdump_report *report, u64 iova, u64 size,
		   unsigned int lg2sz, bool large, phys_addr_t phys)
{
	unsigned int shift = __ffs64(report->granule), level;
	u64 last = iova + size - 1, pages = 0;

	for (level = 0; level < MAX_LEVELS; level++) {
		u64 lo, hi, span;
		bool head, tail;

		shift += ilog2(BATCH_LEAVES);
		if (!(report->last >> shift))
			break;
		if (shift <= lg2sz)
			continue;
		span = BIT_ULL(shift);
		lo = iova >> shift;
		hi = last >> shift;
		head = !IS_ALIGNED(iova, span);
		tail = !IS_ALIGNED(last + 1, span);
		if (large && (report->domain->pgsize_bitmap & span) &&
		    IS_ALIGNED(iova ^ phys, span)) {
			/* What is complete becomes one leaf */
			pages += lo == hi ? head || tail : head + tail;
		} else {
			pages += hi - lo + 1;
			head = true;
			tail = true;
		}
		if ((head || (tail && lo == hi)) && lo == report->paid[level])
			pages--;
		if (tail || (head && lo == hi))
			report->paid[level] = hi;
	}

	if (report->budget < pages) {
		report->error = -ENOSPC;
		return false;
	}
	report->budget -= pages;
	report->stats->new_tables += pages * PAGE_SIZE;
	report->dirty = true;
	return true;
}

static void flush_batch(struct iommu_kdump_report *report)
{
	struct pt_iommu *pt = iommupt_from_domain(report->domain);

	if (!report->batch_nr)
		return;
	if (!report->error) {
		if (charge(report, report->batch_iova,
			   (u64)report->batch_nr << report->batch_lg2sz,
			   report->batch_lg2sz, false, 0))
			report->error = pt->ops->map_leaves(pt,
							    report->batch_iova,
							    report->batch_lg2sz,
							    report->batch,
							    report->batch_nr,
							    KDUMP_GFP);
	}
	report->batch_nr = 0;
}

/* Make room in the batch for the leaf at @iova and those behind it */
static u64 *batch_at(struct iommu_kdump_report *report, u64 iova,
		     unsigned int lg2sz)
{
	u64 span = (u64)BATCH_LEAVES << lg2sz;
	unsigned int i;

	if (report->batch_nr &&
	    (lg2sz != report->batch_lg2sz ||
	     ALIGN_DOWN(iova, span) != ALIGN_DOWN(report->batch_iova, span)))
		flush_batch(report);
	if (!report->batch_nr) {
		report->batch_iova = iova;
		report->batch_lg2sz = lg2sz;
	}
	i = (iova - report->batch_iova) >> lg2sz;
	while (report->batch_nr < i)
		report->batch[report->batch_nr++] = 0;
	return &report->batch[i];
}

static void batch_run(struct iommu_kdump_report *report)
{
	u64 done;

	for (done = 0; done < report->run_size && !report->error;
	     done += report->granule) {
		*batch_at(report, report->run_iova + done,
			  __ffs64(report->granule)) =
			(report->run_phys + done) | report->run_prot;
		report->batch_nr++;
	}
}

static void map_run(struct iommu_kdump_report *report)
{
	struct pt_iommu *pt = iommupt_from_domain(report->domain);
	size_t mapped = 0;

	if (report->error)
		return;
	if (!charge(report, report->run_iova, report->run_size, 0, true,
		    report->run_phys))
		return;

	if (pt)
		report->error = pt->ops->map_range(pt, report->run_iova,
						   report->run_phys,
						   report->run_size,
						   report->run_prot, KDUMP_GFP,
						   &mapped);
	else
		report->error = iommu_map(report->domain, report->run_iova,
					  report->run_phys, report->run_size,
					  report->run_prot, KDUMP_GFP);
}

static void flush_run(struct iommu_kdump_report *report)
{
	bool pt = iommupt_from_domain(report->domain);

	if (!report->run_size)
		return;
	/* What is left of the walk only reserves */
	if (report->error) {
		report->run_size = 0;
		report->batch_nr = 0;
		return;
	}
	/*
	 * Over the mappings of another member of the group only map_leaves() can
	 * tell the same mapping from a contradicting one.
	 */
	if (pt && (report->again ||
		   report->run_size < LONG_RUN * report->granule)) {
		batch_run(report);
	} else {
		flush_batch(report);
		map_run(report);
	}
	if (!report->error)
		report->stats->mapped += report->run_size;
	report->run_size = 0;
}

/* A region that firmware wants mapped 1:1 lies between two old ranges */
static bool direct_between(struct iommu_kdump_report *report, u64 first,
			   u64 last)
{
	unsigned int i;

	for (i = 0; i < report->regions.nr; i++) {
		if (report->regions.r[i].first <= last &&
		    report->regions.r[i].last >= first)
			return true;
	}
	return false;
}

static int reserve(struct iommu_kdump_report *report, u64 iova, u64 size)
{
	struct iommu_kdump_ranges *ranges = &report->ranges;
	u64 last = iova + size - 1;

	if (report->dry)
		return 0;

	if (ranges->nr) {
		struct iommu_kdump_range *r = &ranges->r[ranges->nr - 1];

		if (iova > r->last && iova - r->last - 1 <= KDUMP_MERGE_GAP &&
		    (iova == r->last + 1 ||
		     !direct_between(report, r->last + 1, iova - 1))) {
			r->last = last;
			return 0;
		}
	}
	return iommu_kdump_add_range(ranges, iova, last);
}

static int take(struct iommu_kdump_report *report, u64 iova, phys_addr_t phys,
		u64 size, int prot)
{
	if (report->run_size &&
	    report->run_iova + report->run_size == iova &&
	    report->run_phys + report->run_size == phys &&
	    report->run_prot == prot) {
		report->run_size += size;
	} else {
		flush_run(report);
		report->run_iova = iova;
		report->run_phys = phys;
		report->run_size = size;
		report->run_prot = prot;
	}
	return reserve(report, iova, size);
}

/* Reserve what the allocator could hand out of a range, in its own pages */
static int reserve_within(struct iommu_kdump_report *report, u64 iova, u64 size)
{
	u64 last = (iova + size - 1) | (report->granule - 1);

	iova = max(ALIGN_DOWN(iova, report->granule), report->first);
	last = min(last, report->last);
	return iova > last ? 0 : reserve(report, iova, last - iova + 1);
}

/*
 * Pages that are not carried. The tracepoint tells of each, the log and the table in
 * debugfs of their sums.
 */
static void refuse(struct iommu_kdump_report *report, u64 iova,
		   phys_addr_t phys, u64 size, enum iommu_kdump_refusal why)
{
	u64 pages = DIV_ROUND_UP_ULL(size, PAGE_SIZE);

	trace_iommu_kdump_refuse(report->kg->group->id, iova, phys, size, why);
	switch (why) {
	case KDUMP_REFUSED_BAD_ENTRY:
		report->stats->bad += pages;
		break;
	case KDUMP_REFUSED_TARGET:
	case KDUMP_REFUSED_REGION:
		report->stats->refused += pages;
		break;
	case KDUMP_REFUSED_WIDTH:
		report->stats->clipped += pages;
		break;
	}
}

/* Returns the IOMMU_* flags that @phys is mapped with, 0 if it must not be */
static int target(struct iommu_kdump_report *report, phys_addr_t phys,
		  u64 *last)
{
	unsigned int i;
	u64 crash_last;

	if (iommu_kdump_old_ram_extent(phys, last))
		return IOMMU_CACHE;

	if (iommu_kdump_crash_mem_extent(phys, &crash_last)) {
		*last = crash_last;
		return 0;
	}
	*last = min(*last, crash_last);

	for (i = 0; i < report->windows.nr; i++) {
		const struct iommu_kdump_range *window = &report->windows.r[i];

		if (phys < window->first) {
			*last = min(*last, window->first - 1);
			break;
		}
		if (phys <= window->last) {
			*last = min(*last, window->last);
			return IOMMU_MMIO;
		}
	}

	/*
	 * Neither RAM nor PCI: firmware memory that is not told about, or a hole.
	 * Without translation the device can reach it, and must go on to.
	 */
	return report->identity ? IOMMU_CACHE : 0;
}

/* Is there a reserved region at @iova, and where does it, or the gap, end? */
static bool in_region(struct iommu_kdump_report *report, u64 iova, u64 *last)
{
	unsigned int i;

	*last = U64_MAX;
	for (i = 0; i < report->regions.nr; i++) {
		const struct iommu_kdump_range *r = &report->regions.r[i];

		if (iova >= r->first && iova <= r->last) {
			*last = r->last;
			return true;
		}
		if (r->first > iova)
			*last = min(*last, r->first - 1);
	}
	return false;
}

/*
 * An address, as low as it is easily found, that is in the same range of RAM as @phys,
 * which ends at @last. Where one lower than all before comes, more will.
 */
static u64 ram_start(u64 phys, u64 last)
{
	u64 size, at, at_last;

	for (size = PAGE_SIZE; size; size <<= 1) {
		at = ALIGN_DOWN(phys, size);
		if (at < phys && (!iommu_kdump_old_ram_extent(at, &at_last) ||
				  at_last != last))
			break;
		phys = at;
	}
	return phys;
}

/**
 * iommu_kdump_report_mapping() - An IOMMU driver has found an old mapping
 * @report: as given to &iommu_ops.reserve_old_iova
 * @iova: first IOVA, not below the end of the last mapping reported
 * @phys: where it points. Need not be checked, that is done here.
 * @size: bytes, a multiple of the smallest page size of the old table
 * @prot: IOMMU_READ, IOMMU_WRITE, IOMMU_NOEXEC
 *
 * Context: May sleep.
 *
 * Return: 0 to go on. On an error the driver must stop and return it.
 */
int iommu_kdump_report_mapping(struct iommu_kdump_report *report, u64 iova,
			       phys_addr_t phys, u64 size, int prot)
{
	u64 last, phys_last;
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_report_mapping, report, iova,
				   phys, size, prot);

	if (!size || check_add_overflow(iova, size - 1, &last) ||
	    check_add_overflow((u64)phys, size - 1, &phys_last) ||
	    iova < report->next || !(prot & (IOMMU_READ | IOMMU_WRITE)))
		return -EUCLEAN;
	report->next = last == U64_MAX ? last : last + 1;

	/* Where hardware goes on with the old table, all of it counts */
	if (!report->dry &&
	    (iova < report->first || last > report->last ||
	     !IS_ALIGNED(iova | phys | size, report->granule))) {
		refuse(report, iova, phys, size, KDUMP_REFUSED_WIDTH);
		return reserve_within(report, iova, size);
	}

	/* Nearly all of them: what has been looked up for the one before holds */
	if (iova >= report->plain_first && last <= report->plain_last &&
	    phys >= report->ram_first && phys_last <= report->ram_last)
		return take(report, iova, phys, size, prot | IOMMU_CACHE);

	while (iova <= last) {
		u64 resv_last, step;
		bool region;
		int kind;

		region = in_region(report, iova, &resv_last);
		kind = target(report, phys, &phys_last);
		if (!region && kind == IOMMU_CACHE && !report->identity) {
			report->plain_first = iova;
			report->plain_last = min(resv_last, report->last);
			/* Ranges that end at the same address are one */
			if (phys_last != report->ram_last)
				report->ram_first = phys;
			else if (phys < report->ram_first)
				report->ram_first = ram_start(phys, phys_last);
			report->ram_last = phys_last;
		}
		step = min3(last - iova, resv_last - iova, phys_last - phys);
		/* Reject page by page: a partial page is all rejected */
		if (step != last - iova)
			step = ALIGN_DOWN(step + 1, report->granule) - 1;
		if (step == U64_MAX || step + 1 < report->granule) {
			step = report->granule - 1;
			kind = 0;
		}
		step++;

		if (region) {
			/*
			 * The new domain has its own idea of these addresses:
			 * mapped 1:1 or not translated at all.
			 */
			if (phys != iova)
				refuse(report, iova, phys, step,
				       KDUMP_REFUSED_REGION);
			ret = 0;
		} else if (!kind && report->identity) {
			/*
			 * Nobody was told to use the crash kernel's memory: what
			 * it leaves free is IOVA space for 32-bit devices.
			 */
			ret = 0;
		} else if (!kind) {
			refuse(report, iova, phys, step, KDUMP_REFUSED_TARGET);
			ret = reserve(report, iova, step);
		} else {
			ret = take(report, iova, phys, step, prot | kind);
		}
		if (ret)
			return ret;
		if (step > last - iova)
			break;
		iova += step;
		phys += step;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_kdump_report_mapping);

/* Empty entries from @at on, if the next one that is not is near enough */
static unsigned int small_hole(const u64 *entries, unsigned long at,
			       unsigned long nr, unsigned int lg2sz)
{
	unsigned int i;

	nr = min_t(u64, nr - at, (KDUMP_MERGE_GAP >> lg2sz) + 1);
	for (i = 0; i < nr; i++)
		if (READ_ONCE(entries[at + i]))
			return i;
	return 0;
}

/* What two leaves have to have in common to be taken in one go */
struct leaf_kind {
	/* The entry of the lowest leaf of the kind, and how many there can be */
	u64 lowest;
	u64 nr;
	/* From the entry to what map_leaves() wants */
	u64 more;
	unsigned int lg2sz;
};

/*
 * This is where the time goes. One comparison does it for address and flags:
 * rotated, flags that differ are high bits. Returns where it has stopped.
 */
static noinline unsigned long take_same(const u64 *entries, u64 *batch,
					unsigned long i, unsigned long nr,
					const struct leaf_kind *kind)
{
	const struct leaf_kind k = *kind;

	for (; i < nr; i++) {
		u64 entry = READ_ONCE(entries[i]);

		if (unlikely(ror64(entry - k.lowest, k.lg2sz) >= k.nr))
			break;
		batch[i] = entry + k.more;
	}
	return i;
}

/*
 * Leaves for which holds what has been looked up for the one before: RAM and no
 * region. They differ from the first one in nothing but the address, and holes
 * between them would be reserved anyway. Returns how many there are.
 */
static unsigned int take_leaves(struct iommu_kdump_report *report,
				const struct iommu_kdump_leaves *leaves,
				int *ret)
{
	u64 size = BIT_ULL(leaves->lg2sz), iova = leaves->iova;
	unsigned long nr = leaves->nr, holes = 0, hole, i;
	unsigned int lg2sz = leaves->lg2sz;
	phys_addr_t phys = leaves->phys;
	u64 first, last, end, *batch;
	struct leaf_kind kind;

	/* What another member of the group has mapped is compared in small pages */
	if (!iommupt_from_domain(report->domain) ||
	    !(report->domain->pgsize_bitmap & size) ||
	    (report->again && size != report->granule) ||
	    !IS_ALIGNED(iova | phys, size) || iova < report->next ||
	    iova < report->plain_first || iova > report->plain_last ||
	    !(leaves->prot & (IOMMU_READ | IOMMU_WRITE)))
		return 0;
	nr = min_t(u64, nr, (report->plain_last - iova + 1) >> lg2sz);
	nr = min_t(u64, nr, BATCH_LEAVES - (iova >> lg2sz) % BATCH_LEAVES);
	first = ALIGN(report->ram_first, size);
	last = ALIGN_DOWN(report->ram_last + 1, size);
	if (!nr || phys < first || phys >= last)
		return 0;

	flush_run(report);
	batch = batch_at(report, iova, lg2sz);
	kind.lowest = leaves->entry - (phys - first);
	kind.nr = (last - first) >> lg2sz;
	kind.more = (phys | leaves->prot | IOMMU_CACHE) - leaves->entry;
	kind.lg2sz = lg2sz;
	batch[0] = leaves->entry + kind.more;
	i = 1;
	while ((i = take_same(leaves->entries, batch, i, nr, &kind)) < nr) {
		hole = small_hole(leaves->entries, i, nr, lg2sz);
		if (!hole)
			break;
		memset(batch + i, 0, hole * sizeof(*batch));
		holes += hole;
		i += hole;
	}

	report->batch_nr += i;
	if (!report->error)
		report->stats->mapped += (u64)(i - holes) << lg2sz;
	end = iova + ((u64)i << lg2sz) - 1;
	report->next = end == U64_MAX ? end : end + 1;
	*ret = reserve(report, iova, (u64)i << lg2sz);
	return i;
}

/**
 * iommu_kdump_report_leaves() - An IOMMU driver has found leaves of a table
 * @report: as given to &iommu_ops.reserve_old_iova
 * @leaves: the first of them has been checked, as for iommu_kdump_report_mapping()
 *
 * The same as iommu_kdump_report_mapping() for the first leaf and those after it
 * that differ from it in nothing but the address, but faster. The others are left
 * to the caller: &iommu_kdump_leaves.nr tells where to go on. Memory that the
 * entries lead to is checked here.
 *
 * Context: May sleep.
 *
 * Return: 0 to go on. On an error the driver must stop and return it.
 */
int iommu_kdump_report_leaves(struct iommu_kdump_report *report,
			      struct iommu_kdump_leaves *leaves)
{
	unsigned int taken;
	int ret = 0;

	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_report_leaves, report, leaves);

	taken = take_leaves(report, leaves, &ret);
	if (!taken) {
		taken = 1;
		ret = iommu_kdump_report_mapping(report, leaves->iova,
						 leaves->phys,
						 BIT_ULL(leaves->lg2sz),
						 leaves->prot);
	}
	leaves->nr = taken;
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_kdump_report_leaves);

/**
 * iommu_kdump_report_bad() - An IOMMU driver has found an entry that cannot be
 *                            right
 * @report: as given to &iommu_ops.reserve_old_iova
 * @iova: first IOVA that the entry translates
 * @size: bytes that the entry translates
 *
 * The entry is dropped, its IOVA is reserved.
 *
 * Context: May sleep.
 *
 * Return: 0 to go on. On an error the driver must stop and return it.
 */
int iommu_kdump_report_bad(struct iommu_kdump_report *report, u64 iova,
			   u64 size)
{
	u64 last;

	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_report_bad, report, iova, size);

	if (!size || check_add_overflow(iova, size - 1, &last) ||
	    iova < report->next)
		return -EUCLEAN;
	report->next = last == U64_MAX ? last : last + 1;
	refuse(report, iova, 0, size, KDUMP_REFUSED_BAD_ENTRY);
	return reserve_within(report, iova, size);
}
EXPORT_SYMBOL_GPL(iommu_kdump_report_bad);

/**
 * iommu_kdump_report_table() - An IOMMU driver is about to read a table
 * @report: as given to &iommu_ops.reserve_old_iova
 *
 * Bounds the walk: tables that point at each other in circles or at one table
 * many times cannot keep it busy for longer than a machine full of tables would.
 *
 * Context: May sleep.
 *
 * Return: 0 to go on. On an error the driver must stop and return it.
 */
int iommu_kdump_report_table(struct iommu_kdump_report *report)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_report_table, report);

	if (++report->seen_tables > report->max_tables)
		return -EUCLEAN;
	report->stats->tables++;
	cond_resched();
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_kdump_report_table);

static int cmp_kdump_range(const void *a, const void *b)
{
	const struct iommu_kdump_range *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return 0;
}

/* Several tables: ranges of one may overlap those of another; PCI windows as well */
static void merge_ranges(struct iommu_kdump_ranges *ranges)
{
	unsigned int i, n = 0;

	sort(ranges->r, ranges->nr, sizeof(*ranges->r), cmp_kdump_range, NULL);
	for (i = 1; i < ranges->nr; i++) {
		if (ranges->r[i].first <= ranges->r[n].last)
			ranges->r[n].last = max(ranges->r[n].last,
						ranges->r[i].last);
		else
			ranges->r[++n] = ranges->r[i];
	}
	if (ranges->nr)
		ranges->nr = n + 1;
}

static void find_windows(struct iommu_kdump_report *report)
{
#ifdef CONFIG_PCI
	struct pci_bus *seen = NULL;
	struct pci_dev *pdev = NULL;
	struct resource *res;

	/*
	 * Root buses by their devices: pci_bus_sem, which protects the list of
	 * buses, is held where a reset wants the mutex of the group.
	 */
	for_each_pci_dev(pdev) {
		if (!pci_is_root_bus(pdev->bus) || pdev->bus == seen)
			continue;
		seen = pdev->bus;
		pci_bus_for_each_resource(seen, res) {
			/* Without memory: what leads there is refused */
			if (res && resource_type(res) == IORESOURCE_MEM &&
			    resource_size(res))
				iommu_kdump_add_range(&report->windows,
						      res->start, res->end);
		}
	}
	merge_ranges(&report->windows);
#endif
}

/* Pages of RAM that the crashed kernel had: more tables cannot exist */
static u64 old_ram_pages(void)
{
	u64 pages = 0, addr = 0, last;

	do {
		if (iommu_kdump_old_ram_extent(addr, &last))
			pages += (last - addr + 1) >> PAGE_SHIFT;
		addr = last + 1;
	} while (addr);
	return pages;
}

/*
 * An eighth of the memory of the crash kernel for the tables of one group, and
 * never the last eighth of what is free: the dump needs the rest.
 */
VISIBLE_IF_KUNIT u64 iommu_kdump_table_budget(void)
{
	unsigned long total = totalram_pages();
	unsigned long avail = si_mem_available();

	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_table_budget);

	if (avail <= total / 8)
		return 0;
	return min(total / 8, avail - total / 8);
}

static int max_resource_end(struct resource *res, void *arg)
{
	u64 *last = arg;

	*last = max_t(u64, *last, res->end);
	return 0;
}

/* All that there is, except the memory of the crash kernel, in one go */
static int import_identity(struct iommu_kdump_report *report)
{
	u64 end = U32_MAX, addr = 0, last;

	/* Where the crash kernel's memory is not known, there can be no hole */
	if (!iommu_kdump_oldmem_known())
		return -EUCLEAN;

	walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_MEM, 0, -1, &end,
			    max_resource_end);
	do {
		if (iommu_kdump_old_ram_extent(addr, &last))
			end = max(end, last);
		addr = last + 1;
	} while (addr);
	end = min(PAGE_ALIGN(end + 1) - 1, report->last);

	report->identity = true;
	return iommu_kdump_report_mapping(report, 0, 0, end + 1,
					  IOMMU_READ | IOMMU_WRITE);
}

static int import_tables(struct iommu_kdump_report *report,
			 struct iommu_kdump_dev *kdev)
{
	const struct iommu_ops *ops = dev_iommu_ops(kdev->dev);
	int ret;

	report->next = 0;
	report->seen_tables = 0;
	memset(report->paid, 0xff, sizeof(report->paid));
	if (kdev->tables.type == IOMMU_KDUMP_IDENTITY)
		ret = import_identity(report);
	else
		ret = ops->reserve_old_iova(kdev->dev, &kdev->tables, report);
	/* What could not be reserved must not be mapped either */
	if (ret && !report->error)
		report->error = ret;
	flush_run(report);
	flush_batch(report);
	report->again = true;
	return ret;
}

/**
 * iommu_kdump_same_tables() - Do two descriptions mean one translation?
 * @a: as filled in by &iommu_ops.inherit_tables
 * @b: another one
 *
 * Return: true if hardware does the same with the DMA of both.
 */
bool iommu_kdump_same_tables(const struct iommu_kdump_tables *a,
			     const struct iommu_kdump_tables *b)
{
	if (a->type != b->type)
		return false;
	return a->type != IOMMU_KDUMP_PAGING ||
	       (a->root == b->root && a->levels == b->levels &&
		a->format == b->format);
}

/* Has an earlier member of the group brought the same tables? */
static bool seen_before(struct iommu_kdump_group *kg,
			struct iommu_kdump_dev *kdev)
{
	struct iommu_kdump_dev *pos;

	list_for_each_entry(pos, &kg->devs, node) {
		if (pos == kdev)
			return false;
		if (iommu_kdump_same_tables(&pos->tables, &kdev->tables))
			return true;
	}
	return false;
}

/**
 * iommu_kdump_error_reason() - What an error means for those who read the log
 * @error: what the driver or the import has returned
 *
 * Return: a few words that are never freed.
 */
const char *iommu_kdump_error_reason(int error)
{
	switch (error) {
	case -EADDRINUSE:
		return "mappings contradict each other";
	case -ENOSPC:
		return "page tables do not fit into memory";
	case -ENOMEM:
		return "out of memory";
	case -EUCLEAN:
		return "table or entry is corrupt";
	case -EXDEV:
		return "identity and paging in one group";
	case -EOPNOTSUPP:
		return "translation cannot be inherited";
	default:
		return "import failed";
	}
}

static int check_members(struct iommu_kdump_group *kg)
{
	bool identity = false, paging = false;
	struct iommu_kdump_dev *kdev;

	if (kg->lost)
		return -ENOMEM;
	list_for_each_entry(kdev, &kg->devs, node) {
		if (kdev->error)
			return kdev->error;
		identity |= kdev->tables.type == IOMMU_KDUMP_IDENTITY;
		paging |= kdev->tables.type == IOMMU_KDUMP_PAGING;
	}
	return identity && paging ? -EXDEV : 0;
}

static struct iommu_kdump_report *
alloc_report(struct iommu_kdump_group *kg, struct iommu_domain *domain,
	     struct iommu_kdump_stats *stats)
{
	struct iommu_kdump_report *report;

	report = kvzalloc_obj(*report, KDUMP_GFP);
	if (!report)
		return NULL;
	report->kg = kg;
	report->domain = domain;
	report->stats = stats;
	report->granule = 1UL << __ffs(domain->pgsize_bitmap);
	report->first = domain->geometry.aperture_start;
	report->last = domain->geometry.aperture_end;
	report->max_tables = old_ram_pages();
	report->budget = iommu_kdump_table_budget();
	report->plain_first = U64_MAX;
	find_windows(report);
	return report;
}

/* iommu_get_group_resv_regions() wants the mutex of the group, which is held */
static int find_regions(struct iommu_kdump_report *report)
{
	struct group_device *gdev;
	int ret = 0;

	for_each_group_device(report->kg->group, gdev) {
		struct iommu_resv_region *region;
		LIST_HEAD(regions);

		iommu_get_resv_regions(gdev->dev, &regions);
		list_for_each_entry(region, &regions, list) {
			if (!ret && region->length)
				ret = iommu_kdump_add_range(&report->regions,
							    region->start,
							    region->start +
							    region->length - 1);
		}
		iommu_put_resv_regions(gdev->dev, &regions);
	}
	return ret;
}

static void free_report(struct iommu_kdump_report *report)
{
	iommu_kdump_free_ranges(&report->ranges);
	iommu_kdump_free_ranges(&report->regions);
	iommu_kdump_free_ranges(&report->windows);
	kvfree(report);
}

/**
 * iommu_kdump_validate() - Do the old tables of a group reach only old memory?
 * @kg: inheritance of the group
 *
 * Changes nothing.
 *
 * Context: May sleep, holds the group's mutex.
 *
 * Return: false if a table is corrupt or a mapping must not be carried.
 */
bool iommu_kdump_validate(struct iommu_kdump_group *kg)
{
	struct iommu_domain *domain = kg->group->default_domain;
	struct iommu_kdump_stats stats = {};
	struct iommu_kdump_report *report;
	struct iommu_kdump_dev *kdev;
	bool good = !check_members(kg);
	int err;

	if (!iommu_is_dma_domain(domain))
		return true;
	report = alloc_report(kg, domain, &stats);
	/* Without memory the import would fail as well: leave it alone */
	if (!report)
		return true;
	report->dry = true;
	report->error = -ECANCELED;
	list_for_each_entry(kdev, &kg->devs, node) {
		if (kdev->tables.type != IOMMU_KDUMP_PAGING || kdev->error ||
		    seen_before(kg, kdev))
			continue;
		err = import_tables(report, kdev);
		if (err && err != -ENOMEM)
			good = false;
	}
	free_report(report);
	return good && !stats.bad && !stats.refused;
}

/* One line if something was left out, for all of the group */
static void log_refusals(const struct iommu_kdump_group *kg)
{
	const struct iommu_kdump_stats *stats = &kg->stats;

	if (!stats->bad && !stats->refused && !stats->clipped)
		return;
	pr_warn("group %d: %llu pages with a corrupt entry, %llu outside of the crashed kernel's memory, %llu out of range: left out, DMA to them is blocked\n",
		kg->group->id, stats->bad, stats->refused, stats->clipped);
}

static void drop_mappings(struct iommu_kdump_report *report)
{
	unsigned int i;

	report->kg->stats.mapped = 0;
	report->kg->stats.new_tables = 0;
	for (i = 0; report->dirty && i < report->ranges.nr; i++)
		iommu_kdump_unmap_range(report->domain,
					report->ranges.r[i].first,
					report->ranges.r[i].last);
	report->dirty = false;
}

/**
 * iommu_kdump_import() - Bring the old mappings of a group into a domain
 * @kg: inheritance of the group, whose default domain is attached to nothing yet
 * @reason: set to what went wrong on failure
 *
 * On failure no old mapping is in the domain, but the old IOVAs are reserved as far
 * as they are known.
 *
 * Context: May sleep, holds the group's mutex.
 *
 * Return: 0; -EUCLEAN if the old tables or entries are corrupt, -EADDRINUSE if
 * members of the group contradict each other, -EXDEV if one translates and
 * another does not, -ENOSPC if the page tables would
 * take more memory than the dump can spare, -EOPNOTSUPP, -ENOMEM.
 */
int iommu_kdump_import(struct iommu_kdump_group *kg, const char **reason)
{
	struct iommu_domain *domain = kg->group->default_domain;
	ktime_t start = ktime_get();
	struct iommu_kdump_report *report;
	struct iommu_kdump_dev *kdev;
	int ret, err;

	*reason = iommu_kdump_error_reason(-ENOMEM);
	report = alloc_report(kg, domain, &kg->stats);
	if (!report)
		return -ENOMEM;

	ret = check_members(kg);
	/* Without the regions direct mappings cannot be told from old ones */
	err = find_regions(report);
	report->error = ret ?: err;
	ret = report->error;

	list_for_each_entry(kdev, &kg->devs, node) {
		if (kdev->error || kdev->tables.type < IOMMU_KDUMP_IDENTITY ||
		    seen_before(kg, kdev))
			continue;
		err = import_tables(report, kdev);
		if (err && !ret)
			ret = err;
		if (report->error && !ret)
			ret = report->error;
		if (ret)
			report->error = ret;
	}

	if (ret)
		drop_mappings(report);
	merge_ranges(&report->ranges);
	kg->stats.ranges = report->ranges.nr;
	err = iommu_kdump_reserve(domain, &report->ranges, !ret,
				  &kg->stats.reserved);
	if (err) {
		/* An IOVA that can be handed out must not be mapped */
		if (!ret)
			drop_mappings(report);
		ret = ret ?: err;
	}
	if (ret)
		*reason = iommu_kdump_error_reason(ret);
	else
		log_refusals(kg);

	kg->stats.import_ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	trace_iommu_kdump_import(kg->group->id, &kg->stats, ret);
	free_report(report);
	return ret;
}

/**
 * iommu_kdump_import_member() - Bring the old mappings of a late device into the
 *                               domain that its group uses
 * @kg: inheritance of the group
 * @kdev: what the device has inherited, in the list of @kg already
 * @reason: set to what went wrong on failure
 *
 * Their IOVAs are kept from the allocator before anything is mapped: the domain is in
 * use. On failure no mapping of the device is in the domain that others have not
 * brought, and those of others are as they were.
 *
 * Context: May sleep, holds the group's mutex.
 *
 * Return: as iommu_kdump_import(), and -EADDRINUSE also if the crash kernel has given
 * one of the IOVAs to somebody already.
 */
int iommu_kdump_import_member(struct iommu_kdump_group *kg,
			      struct iommu_kdump_dev *kdev,
			      const char **reason)
{
	if (kg->state == KDUMP_CARRYING && seen_before(kg, kdev))
		return 0;
	*reason = iommu_kdump_error_reason(-EOPNOTSUPP);
	return -EOPNOTSUPP;
}
