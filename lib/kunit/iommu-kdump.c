// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit-managed IOMMU: how its driver opts in to the crashdump framework
 *
 * This is all that a driver with page tables of generic_pt adds, besides an
 * attach_dev() that goes from an old entry to a new one in one store. It is the
 * sample of Documentation/iommu/kdump-driver.rst, and the tests of the framework run
 * on it.
 */

#include <linux/generic_pt/iommu.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>

#include <kunit/iommu.h>

#include "iommu-kdump.h"

/* Nothing that is read from the crashed kernel is believed */
static int decode(const struct kunit_iommu_entry *entry,
		  struct iommu_kdump_tables *tables)
{
	switch (entry->mode) {
	case KUNIT_IOMMU_BLOCKED:
		tables->type = IOMMU_KDUMP_BLOCKED;
		return 0;
	case KUNIT_IOMMU_IDENTITY:
		tables->type = IOMMU_KDUMP_IDENTITY;
		return 0;
	case KUNIT_IOMMU_PAGING:
		if (entry->levels < 3 || entry->levels > 5 || !entry->id ||
		    entry->id > KUNIT_IOMMU_MAX_ID ||
		    !PAGE_ALIGNED(entry->root) ||
		    !iommu_kdump_is_old_ram(entry->root, PAGE_SIZE))
			return -EUCLEAN;
		tables->type = IOMMU_KDUMP_PAGING;
		tables->levels = entry->levels;
		tables->id = entry->id;
		tables->root = entry->root;
		return 0;
	case KUNIT_IOMMU_NESTED:
		return -EOPNOTSUPP;
	}
	return -EUCLEAN;
}

/*
 * Step 1, when the driver finds hardware that translates: entries that make sense
 * stay in use, the others are blocked, and the IDs that the caches know stay out of
 * the allocator. Each entry is read once: what is judged is what is kept.
 */
int kunit_iommu_take_over(struct kunit_iommu *iommu)
{
	static const struct kunit_iommu_entry blocked = {
		.mode = KUNIT_IOMMU_BLOCKED,
	};
	struct kunit_iommu_old *old = kunit_iommu_old(iommu);
	u32 rid;

	for (rid = 0; rid < old->num_rids; rid++) {
		struct kunit_iommu_entry *entry = &old->entries[rid];
		struct iommu_kdump_tables tables = {};
		int ret = -EUCLEAN;

		/* With iommu.kdump=block nothing is kept */
		if (iommu_kdump_enabled()) {
			kunit_iommu_get_entry(iommu, rid, entry);
			ret = decode(entry, &tables);
		}
		if (!ret && tables.type == IOMMU_KDUMP_PAGING) {
			ret = iommu_kdump_get_id(&old->ids, tables.id);
			if (ret)
				iommu_kdump_refuse(&old->refused, rid, 1);
		}
		if (ret)
			kunit_iommu_write_entry(iommu, rid, &blocked);
	}
	return 0;
}

/* Hardware does not use the old entry any more, and the caches have been flushed */
void kunit_iommu_leave_old(struct kunit_iommu *iommu, u32 rid)
{
	struct kunit_iommu_old *old = kunit_iommu_old(iommu);
	struct kunit_iommu_entry *entry = &old->entries[rid];
	struct iommu_kdump_tables tables = {};

	if (!decode(entry, &tables) && tables.type == IOMMU_KDUMP_PAGING &&
	    !iommu_kdump_was_refused(&old->refused, rid))
		iommu_kdump_put_id(&old->ids, tables.id);
	entry->mode = KUNIT_IOMMU_BLOCKED;
}

/* Step 2, &iommu_ops.inherit_tables: what hardware does for the device now */
int kunit_iommu_inherit_tables(struct device *dev,
			       struct iommu_kdump_tables *tables)
{
	struct kunit_iommu *iommu = kunit_iommu_of(dev);
	struct kunit_iommu_old *old = kunit_iommu_old(iommu);
	unsigned int i, num_rids;
	const u32 *rids;
	int ret = 0;

	/* It is switched on when all devices have joined */
	if (!kunit_iommu_translates(iommu)) {
		tables->type = IOMMU_KDUMP_IDENTITY;
		tables->not_live = true;
		return 0;
	}

	num_rids = kunit_iommu_rids(dev, &rids);
	for (i = 0; i < num_rids && !ret; i++) {
		struct iommu_kdump_tables one = {};

		if (iommu_kdump_was_refused(&old->refused, rids[i]))
			return -EUCLEAN;
		ret = decode(&old->entries[rids[i]], &one);
		/* All requester IDs of a device have one translation */
		if (!ret)
			ret = iommu_kdump_add_tables(tables, &one);
	}
	return ret;
}

/* Step 3, &iommu_ops.reserve_old_iova: the walker of generic_pt does it all */
int kunit_iommu_reserve_old_iova(struct device *dev,
				 const struct iommu_kdump_tables *tables,
				 struct iommu_kdump_report *report)
{
	struct kunit_iommu *iommu = kunit_iommu_of(dev);
	struct pt_iommu_foreign foreign = {
		.root = tables->root,
		.levels = tables->levels,
	};

	kunit_iommu_count(iommu, true);
	if (kunit_iommu_table_format(iommu) == KUNIT_IOMMU_AMDV1)
		return pt_iommu_amdv1_walk_foreign(&foreign, report);
	return pt_iommu_vtdss_walk_foreign(&foreign, report);
}

/*
 * Step 5, &iommu_ops.release_on_driver_probe: IDs that no old entry leads to any
 * more are free again
 */
void kunit_iommu_release_on_driver_probe(struct device *dev)
{
	struct kunit_iommu *iommu = kunit_iommu_of(dev);
	struct kunit_iommu_old *old = kunit_iommu_old(iommu);
	unsigned int i, num_rids;
	const u32 *rids;

	kunit_iommu_count(iommu, false);
	num_rids = kunit_iommu_rids(dev, &rids);
	for (i = 0; i < num_rids; i++)
		kunit_iommu_leave_old(iommu, rids[i]);
	iommu_kdump_free_ids(&old->ids);
}
