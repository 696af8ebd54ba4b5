// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: what old tables map, and what of it may be
 * carried
 *
 * The IOMMU driver's reserve_old_iova() reports what it finds. What may be carried goes
 * on to carry.c. A page that must not be carried is left out, but its IOVA is reserved
 * like the others: the old device may use it at any time.
 */

#include <linux/bitops.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include <kunit/static_stub.h>

#include "../iommu-priv.h"
#include "carry.h"
#include "kdump.h"
#include "report.h"
#include "targets.h"
#include "trace.h"

/* Bad entries take no more than this of the IOVAs below KDUMP_LIKELY */
#define MAX_BAD_LOW	SZ_64M

/* Is there a reserved region at @iova, and where does it, or the gap, end? */
static bool in_region(const struct iommu_kdump_report *report, u64 iova,
		      u64 *last)
{
	const struct iommu_kdump_ranges *regions = &report->regions;
	int i = iommu_kdump_find_below(regions, iova);

	if (i >= 0 && iova <= regions->r[i].last) {
		*last = regions->r[i].last;
		return true;
	}
	*last = ++i < regions->nr ? regions->r[i].first - 1 : U64_MAX;
	return false;
}

/*
 * May a range that ends at @last and one that begins at @first be reserved as one? What is
 * lost is IOVA space, what is gained are nodes in the allocator.
 */
static bool is_near(const struct iommu_kdump_report *report, u64 last, u64 first)
{
	u64 gap_last;

	if (first <= last || first - last - 1 > report->gap)
		return false;
	/* What firmware wants mapped may lie between two old ranges */
	return first == last + 1 || (!in_region(report, last + 1, &gap_last) &&
				     gap_last >= first - 1);
}

/* So many ranges that the dump would miss the memory: to half of them, or fewer */
static void coarsen(struct iommu_kdump_report *report)
{
	struct iommu_kdump_ranges *ranges = &report->ranges;
	unsigned int i, n, max = ranges->nr / 2;

	iommu_kdump_merge_ranges(ranges);
	while (ranges->nr > max && report->gap < BIT_ULL(62)) {
		report->gap <<= 1;
		for (i = 1, n = 0; i < ranges->nr; i++) {
			if (is_near(report, ranges->r[n].last,
				    ranges->r[i].first))
				ranges->r[n].last = ranges->r[i].last;
			else
				ranges->r[++n] = ranges->r[i];
		}
		ranges->nr = n + 1;
	}
	cond_resched();
}

/**
 * iommu_kdump_report_reserve() - An old IOVA must not be handed out
 * @report: what is being found
 * @iova: the first one
 * @size: bytes
 *
 * Return: 0; -ENOMEM; -EUCLEAN if it is new in a table that is read again.
 */
int iommu_kdump_report_reserve(struct iommu_kdump_report *report, u64 iova,
			       u64 size)
{
	struct iommu_kdump_ranges *ranges = &report->ranges;
	struct iommu_kdump_range *r;
	u64 last = iova + size - 1;
	int i;

	switch (report->pass) {
	case PASS_CHECK:
		return 0;
	case PASS_CARRY:
		/* The old device, or what is left of its kernel, writes to the table */
		i = iommu_kdump_find_below(ranges, iova);
		return i >= 0 && last <= ranges->r[i].last ? 0 : -EUCLEAN;
	default:
		break;
	}

	if (ranges->nr) {
		r = &ranges->r[ranges->nr - 1];
		if (is_near(report, r->last, iova)) {
			r->last = last;
			return 0;
		}
		if (ranges->nr >= report->max_ranges)
			coarsen(report);
	}
	return iommu_kdump_add_range(ranges, iova, last);
}

static int take(struct iommu_kdump_report *report, u64 iova, phys_addr_t phys,
		u64 size, int prot)
{
	int ret = iommu_kdump_report_reserve(report, iova, size);

	if (!ret)
		iommu_kdump_carry(&report->carrier, iova, phys, size, prot);
	return ret;
}

/* Reserve what the allocator could hand out of a range, in its own pages */
static int reserve_within(struct iommu_kdump_report *report, u64 iova, u64 size)
{
	u64 last = min((iova + size - 1) | (report->granule - 1), report->last);
	u64 end;
	int ret;

	iova = max(ALIGN_DOWN(iova, report->granule), report->first);
	for (; iova <= last; iova = end + 1) {
		/* What firmware wants mapped stays where it is */
		bool region = in_region(report, iova, &end);

		end = min(end, last);
		ret = 0;
		if (!region)
			ret = iommu_kdump_report_reserve(report, iova,
							 end - iova + 1);
		if (ret || end == last)
			return ret;
	}
	return 0;
}

/*
 * Pages that are not carried. The tracepoint tells of each, the log and the table in
 * debugfs of their sums.
 */
static void refuse(struct iommu_kdump_report *report, u64 iova,
		   phys_addr_t phys, u64 size, enum iommu_kdump_refusal why)
{
	u64 pages = DIV_ROUND_UP_ULL(size, report->granule);

	/* They will be found again */
	if (report->pass == PASS_COLLECT)
		return;
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

/* Returns the IOMMU_* flags of a mapping with @prot to @target, 0 if it must not be */
static int target_prot(const struct iommu_kdump_report *report,
		       enum iommu_kdump_target target, int prot)
{
	switch (target) {
	case KDUMP_TARGET_RAM:
		return prot | report->ram_prot;
	case KDUMP_TARGET_MMIO:
		return prot | IOMMU_MMIO;
	case KDUMP_TARGET_DOORBELL:
		/* What is beside the register is not for devices to read */
		return prot & IOMMU_WRITE ? (prot & ~IOMMU_READ) | IOMMU_MMIO : 0;
	case KDUMP_TARGET_NOTHING:
		/*
		 * Firmware memory that is not told about, or a hole. Without
		 * translation the device can reach it, and must go on to.
		 */
		return report->identity ? prot | IOMMU_MMIO : 0;
	case KDUMP_TARGET_CRASH:
		break;
	}
	return 0;
}

/* Remember what has been looked up: it holds for nearly all that follows */
static void set_plain(struct iommu_kdump_report *report, u64 iova, u64 resv_last,
		      u64 phys, u64 phys_last)
{
	report->plain_first = iova;
	report->plain_last = min(resv_last, report->last);
	/* Ranges that end at the same address are one */
	if (phys_last != report->ram_last)
		report->ram_first = phys;
	else if (phys < report->ram_first)
		report->ram_first = iommu_kdump_ram_start(&report->targets, phys,
							  phys_last);
	report->ram_last = phys_last;
}

/* The next mapping of a table, which may be anything */
static int next_mapping(struct iommu_kdump_report *report, u64 iova, u64 size)
{
	u64 last;

	if (!size || check_add_overflow(iova, size - 1, &last) ||
	    iova < report->next)
		return -EUCLEAN;
	report->next = last == U64_MAX ? last : last + 1;
	return 0;
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
	u64 last = iova + size - 1, phys_last;
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_report_mapping, report, iova,
				   phys, size, prot);

	if (check_add_overflow((u64)phys, size - 1, &phys_last) ||
	    !(prot & (IOMMU_READ | IOMMU_WRITE)))
		return -EUCLEAN;
	ret = next_mapping(report, iova, size);
	if (ret)
		return ret;

	/* Where hardware goes on with the old table, all of it counts */
	if (report->pass != PASS_CHECK &&
	    (iova < report->first || last > report->last ||
	     !IS_ALIGNED(iova | phys | size, report->granule))) {
		refuse(report, iova, phys, size, KDUMP_REFUSED_WIDTH);
		return reserve_within(report, iova, size);
	}

	/* Nearly all of them: what has been looked up for the one before holds */
	if (iova >= report->plain_first && last <= report->plain_last &&
	    phys >= report->ram_first && phys_last <= report->ram_last)
		return take(report, iova, phys, size, prot | report->ram_prot);

	while (iova <= last) {
		enum iommu_kdump_target target;
		u64 resv_last, step;
		bool region;
		int kind;

		region = in_region(report, iova, &resv_last);
		target = iommu_kdump_find_target(&report->targets, phys,
						 &phys_last);
		kind = target_prot(report, target, prot);
		if (!region && target == KDUMP_TARGET_RAM && !report->identity)
			set_plain(report, iova, resv_last, phys, phys_last);
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
			/*
			 * Persistent memory, or what was plugged in late: it does
			 * not count against what works, but it is not carried.
			 */
			if (report->pass != PASS_CHECK ||
			    target != KDUMP_TARGET_NOTHING)
				refuse(report, iova, phys, step,
				       KDUMP_REFUSED_TARGET);
			ret = iommu_kdump_report_reserve(report, iova, step);
		} else {
			ret = take(report, iova, phys, step, kind);
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

/**
 * iommu_kdump_report_bad() - An IOMMU driver has found an entry that cannot be
 *                            right
 * @report: as given to &iommu_ops.reserve_old_iova
 * @iova: first IOVA that the entry translates
 * @size: bytes that the entry translates
 *
 * The entry is dropped, its IOVA is reserved, unless there is so much garbage that
 * nothing would be left of the IOVAs that new mappings are safest at.
 *
 * Context: May sleep.
 *
 * Return: 0 to go on. On an error the driver must stop and return it.
 */
int iommu_kdump_report_bad(struct iommu_kdump_report *report, u64 iova,
			   u64 size)
{
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_report_bad, report, iova, size);

	ret = next_mapping(report, iova, size);
	if (ret)
		return ret;
	refuse(report, iova, 0, size, KDUMP_REFUSED_BAD_ENTRY);
	if (iova < KDUMP_LIKELY) {
		u64 low = min(size, KDUMP_LIKELY - iova);

		report->bad_low += low;
		if (report->bad_low > MAX_BAD_LOW) {
			iova += low;
			size -= low;
		}
	}
	return size ? reserve_within(report, iova, size) : 0;
}
EXPORT_SYMBOL_GPL(iommu_kdump_report_bad);

/**
 * iommu_kdump_report_table() - An IOMMU driver is about to read a table
 * @report: as given to &iommu_ops.reserve_old_iova
 *
 * Bounds the walk: tables that point at each other in circles or at one table
 * many times cannot keep it busy for longer than those of a kernel would, nor for longer
 * than somebody can wait.
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
	if (report->seen_tables % 64 == 0 &&
	    ktime_after(ktime_get(), report->deadline))
		return -EUCLEAN;
	report->stats->tables++;
	cond_resched();
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_kdump_report_table);
