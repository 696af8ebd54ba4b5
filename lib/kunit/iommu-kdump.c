// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit-managed IOMMU: how its driver opts in to the crashdump framework
 *
 * This is all that a driver adds whose old page tables generic_pt can read, besides
 * writing an entry in one store and saying iommu_kdump_entry_left() after the flush.
 * It is the sample of Documentation/iommu/kdump-driver.rst, and the tests of the
 * framework run on it.
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
 * Step 1, when the driver finds hardware that translates, before it registers the
 * IOMMU: entries that make sense stay in use, the others are blocked
 */
void kunit_iommu_take_over(struct kunit_iommu *iommu)
{
	static const struct kunit_iommu_entry blocked = {
		.mode = KUNIT_IOMMU_BLOCKED,
	};
	struct iommu_kdump_entries *old = kunit_iommu_old(iommu);
	struct kunit_iommu_entry entry;
	u32 rid;

	for (rid = 0; kunit_iommu_get_entry(iommu, rid, &entry); rid++) {
		struct iommu_kdump_tables tables = {};
		int ret = -EUCLEAN;

		/* With iommu.kdump=block nothing is kept */
		if (iommu_kdump_enabled())
			ret = decode(&entry, &tables);
		if (!ret && tables.type != IOMMU_KDUMP_BLOCKED)
			ret = iommu_kdump_keep_entry(old, rid, tables.id);
		if (ret) {
			iommu_kdump_refuse_entries(old, rid, 1);
			kunit_iommu_write_entry(iommu, rid, &blocked);
		}
	}
}

/* Step 2, &iommu_ops.inherit_tables: what hardware does for one that was kept */
int kunit_iommu_inherit_tables(struct device *dev, u32 id,
			       struct iommu_kdump_tables *tables)
{
	struct kunit_iommu_entry entry;

	if (!kunit_iommu_get_entry(kunit_iommu_of(dev), id, &entry))
		return -EUCLEAN;
	return decode(&entry, tables);
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

	switch (kunit_iommu_old_format(iommu)) {
	case KUNIT_IOMMU_AMDV1:
		return pt_iommu_amdv1_walk_foreign(&foreign, report);
	case KUNIT_IOMMU_RISCV64:
		foreign.features = BIT(PT_FEAT_SIGN_EXTEND) |
				   BIT(PT_FEAT_RISCV_SVNAPOT_64K);
		return pt_iommu_riscv_64_walk_foreign(&foreign, report);
#ifdef CONFIG_IOMMU_PT_ARMV8
	case KUNIT_IOMMU_ARMV8:
		return pt_iommu_armv8_4k_walk_foreign(&foreign, report);
#endif
	default:
		return pt_iommu_vtdss_walk_foreign(&foreign, report);
	}
}

/* Step 4: a device that keeps faulting */
static void silence(struct iommu_kdump_entries *old, u32 id)
{
	kunit_iommu_silence(kunit_iommu_of_old(old), id);
}

const struct iommu_kdump_entry_ops kunit_iommu_entry_ops = {
	.own_id = kunit_iommu_own_id,
	.silence = silence,
};
