// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: what concerns all groups
 *
 * Groups that no driver has claimed are checked when the boot is over. A system in which
 * DMA of a crashed kernel is in flight does not sleep.
 */

#define pr_fmt(fmt) "iommu: kdump: " fmt

#include <linux/crash_dump.h>
#include <linux/init.h>
#include <linux/iommu-kdump.h>
#include <linux/kobject.h>
#include <linux/notifier.h>
#include <linux/sched.h>
#include <linux/suspend.h>
#include <linux/workqueue.h>

#include <kunit/visibility.h>

#include "../iommu-priv.h"
#include "kdump.h"

/* Drivers that are built in have had their turn by then */
#define CHECK_DELAY	(2 * HZ)

/**
 * iommu_kdump_firmware_damaged() - What describes the IOMMUs cannot be used
 * @table: name of the ACPI table
 *
 * The crashed kernel has used it, and may have written over it since. IOMMU drivers that
 * find that out tell it, because it makes all the difference to those who look for the
 * reason why no device works.
 *
 * Context: Any.
 */
void iommu_kdump_firmware_damaged(const char *table)
{
	if (iommu_kdump_active())
		pr_err("the ACPI table %s is damaged: IOMMUs go on to translate by the tables of the crashed kernel, devices that the dump needs cannot do DMA\n",
		       table);
}

VISIBLE_IF_KUNIT void iommu_kdump_check_driverless(void)
{
	struct iommu_group *group;
	int id = -1;

	while ((group = iommu_kdump_next_group(&id))) {
		iommu_kdump_check_group(group);
		kobject_put(&group->kobj);
		cond_resched();
	}
}

static void check_work_fn(struct work_struct *work)
{
	iommu_kdump_check_driverless();
}

static DECLARE_DELAYED_WORK(check_work, check_work_fn);

/* IOMMUs are off while the system sleeps, and while it makes an image of itself */
VISIBLE_IF_KUNIT int iommu_kdump_sleep(struct notifier_block *nb,
				       unsigned long event, void *unused)
{
	struct iommu_group *group;
	int id = -1;

	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		group = iommu_kdump_next_group(&id);
		if (!group)
			return NOTIFY_DONE;
		kobject_put(&group->kobj);
		pr_warn("a crash kernel cannot sleep: DMA of the crashed kernel would go anywhere\n");
		return notifier_from_errno(-EBUSY);
	default:
		return NOTIFY_DONE;
	}
}

static struct notifier_block sleep_notifier = {
	.notifier_call = iommu_kdump_sleep,
};

static int __init iommu_kdump_late_init(void)
{
	if (is_kdump_kernel()) {
		register_pm_notifier(&sleep_notifier);
		iommu_kdump_status_init();
	}
	if (iommu_kdump_enabled())
		queue_delayed_work(system_dfl_wq, &check_work, CHECK_DELAY);
	return 0;
}
late_initcall_sync(iommu_kdump_late_init);
