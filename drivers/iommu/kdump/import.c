// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: import of old mappings
 *
 * Into the group's default domain, from all the tables that its devices use: at the
 * same IOVAs, with the same permissions. report.c judges what is in them, carry.c
 * writes it.
 */

#define pr_fmt(fmt) "iommu: kdump: " fmt

#include <linux/align.h>
#include <linux/cache.h>
#include <linux/device.h>
#include <linux/dma-map-ops.h>
#include <linux/errno.h>
#include <linux/iommu.h>
#include <linux/iova.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/time64.h>

#include <kunit/visibility.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "carry.h"
#include "kdump.h"
#include "report.h"
#include "targets.h"
#include "trace.h"

/* Longer than for any table that makes sense. Somebody waits for the dump. */
VISIBLE_IF_KUNIT unsigned int iommu_kdump_walk_ms = 20 * MSEC_PER_SEC;

static int import_tables(struct iommu_kdump_report *report,
			 struct iommu_kdump_dev *kdev)
{
	const struct iommu_ops *ops = dev_iommu_ops(kdev->dev);
	int ret;

	iommu_kdump_report_restart(report);
	report->deadline = ktime_add_ms(ktime_get(), iommu_kdump_walk_ms);
	report->ram_prot = dev_is_dma_coherent(kdev->dev) ? IOMMU_CACHE : 0;
	if (kdev->tables.type == IOMMU_KDUMP_IDENTITY)
		ret = iommu_kdump_report_identity(report);
	else
		ret = ops->reserve_old_iova(kdev->dev, &kdev->tables, report);
	/* What could not be reserved must not be mapped either */
	if (ret && !report->carrier.error)
		report->carrier.error = ret;
	iommu_kdump_carry_finish(&report->carrier);
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

static void free_report(struct iommu_kdump_report *report)
{
	iommu_kdump_carrier_destroy(&report->carrier);
	iommu_kdump_free_ranges(&report->ranges);
	iommu_kdump_free_ranges(&report->known);
	iommu_kdump_free_ranges(&report->regions);
	iommu_kdump_free_ranges(&report->targets.windows);
	kfree(report);
}

/*
 * What is kept of each separate range of IOVA: a node of the allocator, and the range
 * itself, twice as long as there is a report. A quarter of the budget may go into that.
 */
#define RANGE_COST	(ALIGN(sizeof(struct iova), L1_CACHE_BYTES) + \
			 2 * sizeof(struct iommu_kdump_range))
#define RANGES_MIN	1024ULL

/* Every kernel may have had so many page tables for a device */
#define TABLES_MIN	16384ULL

static struct iommu_kdump_report *alloc_report(struct iommu_kdump_group *kg,
					       struct iommu_kdump_stats *stats,
					       enum iommu_kdump_pass pass)
{
	struct iommu_domain *domain = kg->group->default_domain;
	struct iommu_kdump_report *report;

	report = kzalloc_obj(*report, KDUMP_GFP);
	if (!report)
		return NULL;
	report->kg = kg;
	report->stats = stats;
	report->pass = pass;
	report->granule = 1UL << __ffs(domain->pgsize_bitmap);
	report->first = domain->geometry.aperture_start;
	report->last = domain->geometry.aperture_end;
	/*
	 * Of the same size as the pages, no two in the same place, and a kernel has
	 * other things in its memory.
	 */
	report->max_tables = max(TABLES_MIN, div64_u64(iommu_kdump_old_ram_size(),
						       report->granule * 64));
	report->gap = KDUMP_MERGE_GAP;
	report->targets.granule = report->granule;
	iommu_kdump_find_windows(&report->targets);
	/* Without the regions direct mappings cannot be told from old ones */
	if (iommu_kdump_carrier_init(&report->carrier, domain) ||
	    iommu_kdump_find_regions(kg->group, report->granule,
				     &report->regions)) {
		free_report(report);
		return NULL;
	}
	report->max_ranges = max(RANGES_MIN, report->carrier.budget *
				 (PAGE_SIZE / 4) / RANGE_COST);
	return report;
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
	struct iommu_kdump_stats stats = {};
	struct iommu_kdump_report *report;
	struct iommu_kdump_dev *kdev;
	bool good = !check_members(kg);
	int err;

	if (!iommu_is_dma_domain(kg->group->default_domain))
		return true;
	report = alloc_report(kg, &stats, PASS_CHECK);
	/* Without memory the import would fail as well: leave it alone */
	if (!report)
		return true;
	report->carrier.error = -ECANCELED;
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

/* One line if something was left out, for all of the group, or of a late member */
static void log_refusals(const struct iommu_kdump_group *kg,
			 const struct iommu_kdump_stats *stats)
{
	if (!stats->bad && !stats->refused && !stats->clipped)
		return;
	pr_warn("group %d: %llu pages with a corrupt entry, %llu outside of the crashed kernel's memory, %llu out of range: left out, DMA to them is blocked\n",
		kg->group->id, stats->bad, stats->refused, stats->clipped);
}

/* Take out what has been mapped */
static void drop_mappings(struct iommu_kdump_report *report)
{
	const struct iommu_kdump_ranges *mapped = &report->ranges;
	unsigned int i;

	if (report->carrier.keep_pieces)
		mapped = &report->carrier.pieces;
	for (i = 0; report->carrier.dirty && i < mapped->nr; i++)
		iommu_kdump_unmap_range(report->carrier.domain,
					mapped->r[i].first, mapped->r[i].last);
	report->carrier.dirty = false;
	report->carrier.mapped = 0;
}

static void charge(struct iommu_kdump_report *report)
{
	u64 bytes = iommu_kdump_carrier_tables(&report->carrier) +
		    report->ranges.nr * (u64)RANGE_COST;
	u64 pages = DIV_ROUND_UP_ULL(bytes, PAGE_SIZE);

	iommu_kdump_charge(report->kg, pages);
}

/* What tables that were read before have brought is there already, or may be */
static int update_known(struct iommu_kdump_report *report)
{
	unsigned int i;
	int ret = 0;

	report->known.nr = 0;
	for (i = 0; i < report->ranges.nr && !ret; i++)
		ret = iommu_kdump_add_range(&report->known,
					    report->ranges.r[i].first,
					    report->ranges.r[i].last);
	iommu_kdump_merge_ranges(&report->known);
	report->carrier.known = &report->known;
	return ret;
}

static int import_all(struct iommu_kdump_report *report)
{
	struct iommu_kdump_carrier *carrier = &report->carrier;
	struct iommu_kdump_group *kg = report->kg;
	struct iommu_kdump_dev *kdev;
	int err;

	/* What is left of the walk after an error only reserves */
	carrier->error = check_members(kg);
	list_for_each_entry(kdev, &kg->devs, node) {
		if (kdev->error || kdev->tables.type < IOMMU_KDUMP_IDENTITY ||
		    seen_before(kg, kdev))
			continue;
		err = report->ranges.nr ? update_known(report) : 0;
		if (err && !carrier->error)
			carrier->error = err;
		import_tables(report, kdev);
	}
	if (carrier->error)
		drop_mappings(report);
	return carrier->error;
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
	report = alloc_report(kg, &kg->stats, PASS_IMPORT);
	if (!report)
		return -ENOMEM;

	ret = import_all(report);
	iommu_kdump_merge_ranges(&report->ranges);
	kg->stats.ranges = report->ranges.nr;
	err = iommu_kdump_reserve(domain, &report->ranges, !ret,
				  &kg->stats.reserved);
	if (!err)
		err = iommu_kdump_add_pieces(domain, &report->carrier.pieces);
	/* An IOVA that can be handed out must not be mapped */
	if (err)
		drop_mappings(report);
	ret = ret ?: err;
	kg->stats.mapped = report->carrier.mapped;
	kg->stats.new_tables = iommu_kdump_carrier_tables(&report->carrier);
	if (ret)
		*reason = iommu_kdump_error_reason(ret);
	else
		log_refusals(kg, &kg->stats);
	if (!ret)
		charge(report);
	list_for_each_entry(kdev, &kg->devs, node)
		kdev->carried = !ret && kdev->tables.type >= IOMMU_KDUMP_IDENTITY;

	kg->stats.import_ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	trace_iommu_kdump_import(kg->group->id, &kg->stats, ret);
	free_report(report);
	return ret;
}

/* The tables of a device whose group uses the domain already */
static int import_late(struct iommu_kdump_report *report,
		       struct iommu_kdump_dev *kdev)
{
	struct iommu_kdump_carrier *carrier = &report->carrier;
	struct iommu_domain *domain = carrier->domain;
	int ret;

	carrier->error = -ECANCELED;
	ret = import_tables(report, kdev);
	if (ret)
		return ret;
	iommu_kdump_merge_ranges(&report->ranges);
	ret = iommu_kdump_reserve_more(domain, &report->ranges, &report->known,
				       &report->stats->reserved);
	if (ret)
		return ret;
	report->stats->ranges = report->ranges.nr;

	/* The old device may have changed its table: all is looked at again */
	report->pass = PASS_CARRY;
	report->stats->tables = 0;
	carrier->known = &report->known;
	carrier->keep_pieces = true;
	carrier->error = 0;
	import_tables(report, kdev);
	if (!carrier->error && !carrier->bulk)
		carrier->error = iommu_kdump_add_pieces(domain,
							&carrier->pieces);
	if (carrier->error)
		drop_mappings(report);
	iommu_kdump_reserved_more(domain);
	return carrier->error;
}

/* 0 to import it, 1 if that has been done with those of another device */
static int check_late(struct iommu_kdump_group *kg, struct iommu_kdump_dev *kdev)
{
	struct iommu_kdump_dev *pos;
	int ret = 0;

	if (kg->state != KDUMP_CARRYING)
		return 0;
	list_for_each_entry(pos, &kg->devs, node) {
		if (!pos->carried)
			continue;
		if (iommu_kdump_same_tables(&pos->tables, &kdev->tables))
			return 1;
		if (pos->tables.type != kdev->tables.type)
			ret = -EXDEV;
	}
	return ret;
}

static void add_stats(struct iommu_kdump_stats *stats,
		      const struct iommu_kdump_stats *more)
{
	stats->ranges += more->ranges;
	stats->mapped += more->mapped;
	stats->reserved += more->reserved;
	stats->tables += more->tables;
	stats->new_tables += more->new_tables;
	stats->bad += more->bad;
	stats->refused += more->refused;
	stats->clipped += more->clipped;
	stats->import_ns += more->import_ns;
}

/**
 * iommu_kdump_import_member() - Bring the old mappings of a late device into the
 *                               domain that its group uses
 * @kg: inheritance of the group
 * @kdev: what the device has inherited, in the list of @kg already
 * @reason: set to what went wrong on failure
 *
 * Their IOVAs are kept from the allocator before anything is mapped: the domain is in
 * use. So the table is read twice. On failure no mapping of the device is in the domain
 * that others have not brought, and those of others are as they were.
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
	struct iommu_kdump_stats more = {};
	struct iommu_kdump_report *report;
	ktime_t start = ktime_get();
	int ret = check_late(kg, kdev);

	if (!ret) {
		report = alloc_report(kg, &more, PASS_COLLECT);
		ret = report ? import_late(report, kdev) : -ENOMEM;
		if (!ret) {
			more.mapped = report->carrier.mapped;
			more.new_tables =
				iommu_kdump_carrier_tables(&report->carrier);
			more.import_ns = ktime_to_ns(ktime_sub(ktime_get(),
							       start));
			log_refusals(kg, &more);
			charge(report);
			add_stats(&kg->stats, &more);
		}
		trace_iommu_kdump_import(kg->group->id, &more, ret);
		if (report)
			free_report(report);
	}
	if (ret < 0) {
		*reason = iommu_kdump_error_reason(ret);
		return ret;
	}
	kdev->carried = true;
	return 0;
}
