// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: when old mappings go
 *
 * They are carried until the drivers of the group have taken their devices over, or
 * until something has ended the old DMA before: a reset, a driver on its way out, a
 * new owner. A shortage of memory takes them earlier. All of it is protected by the
 * mutex of the group.
 */

#define pr_fmt(fmt) "iommu: kdump: " fmt

#include <linux/crash_dump.h>
#include <linux/device.h>
#include <linux/init.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/pci.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include <kunit/visibility.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "kdump.h"
#include "trace.h"

/*
 * A driver has probed long before it has stopped the DMA that it found: it may
 * start its device in a work item, or not before the interface is brought up.
 * The crash kernel lives for minutes, and old mappings cost it little.
 */
#define GRACE_DEFAULT	60U
#define GRACE_NEVER	UINT_MAX

static unsigned int kdump_grace __ro_after_init = GRACE_DEFAULT;

VISIBLE_IF_KUNIT int __init iommu_kdump_grace_setup(char *str)
{
	unsigned int seconds;

	if (str && !strcmp(str, "never"))
		kdump_grace = GRACE_NEVER;
	else if (str && !kstrtouint(str, 0, &seconds) &&
		 seconds <= INT_MAX / HZ)
		kdump_grace = seconds;
	else
		pr_warn("iommu.kdump_grace=%s is unknown, use seconds or never; going on with %u seconds\n",
			str ?: "", kdump_grace);
	return 0;
}
early_param("iommu.kdump_grace", iommu_kdump_grace_setup);

/**
 * iommu_kdump_release() - Remove the old mappings of a group
 * @kg: inheritance of a group that has left the inherited domain
 * @domain: DMA domain that has carried them, if one has
 *
 * Old mappings out of the domain, then what the driver has kept for them.
 */
void iommu_kdump_release(struct iommu_kdump_group *kg,
			 struct iommu_domain *domain)
{
	struct iommu_group *group = kg->group;
	struct group_device *gdev;
	struct iommu_kdump_dev *kdev;
	ktime_t start = ktime_get();

	iommu_kdump_cancel_release(kg);
	list_for_each_entry(kdev, &kg->devs, node)
		kdev->carried = false;
	if (kg->state == KDUMP_CARRYING)
		kg->stats.freed = iommu_kdump_release_mappings(domain)
				  << PAGE_SHIFT;
	kg->state = KDUMP_RELEASED;
	iommu_kdump_uncharge(kg);

	for_each_group_device(group, gdev) {
		struct dev_iommu *param = gdev->dev->iommu;
		const struct iommu_ops *ops;

		if (!param || !param->iommu_dev || !param->iommu_dev->kdump)
			continue;
		ops = dev_iommu_ops(gdev->dev);
		if (ops->release_on_driver_probe)
			ops->release_on_driver_probe(gdev->dev);
		if (param->iommu_dev->kdump->ids)
			iommu_kdump_free_ids(param->iommu_dev->kdump->ids);
	}
	kg->stats.release_ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	trace_iommu_kdump_release(group->id, kg->stats.release_ns);
}

static void release_work(struct work_struct *work)
{
	struct iommu_kdump_group *kg =
		container_of(to_delayed_work(work), struct iommu_kdump_group,
			     release_work);
	struct iommu_group *group = kg->group;

	mutex_lock(&group->mutex);
	if (kg->state == KDUMP_CARRYING)
		iommu_kdump_release(kg, group->default_domain);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}

/**
 * iommu_kdump_release_init() - Prepare what releases the old mappings of a group
 * @kg: inheritance of the group, zeroed
 */
void iommu_kdump_release_init(struct iommu_kdump_group *kg)
{
	INIT_DELAYED_WORK(&kg->release_work, release_work);
}

/**
 * iommu_kdump_cancel_release() - Old mappings stay for now
 * @kg: inheritance of the group
 */
void iommu_kdump_cancel_release(struct iommu_kdump_group *kg)
{
	/* If it runs already, it finds the state changed and does nothing */
	if (cancel_delayed_work(&kg->release_work))
		iommu_group_put(kg->group);
}

/**
 * iommu_kdump_update_release() - Something has happened to a device of a group
 * @kg: inheritance of the group
 *
 * Old mappings go at once if nobody can use one, or after the grace period once all
 * that use them have drivers. Does nothing if there are none.
 */
void iommu_kdump_update_release(struct iommu_kdump_group *kg)
{
	struct iommu_kdump_dev *kdev;
	bool wait = false;

	if (kg->state != KDUMP_CARRYING)
		return;

	list_for_each_entry(kdev, &kg->devs, node) {
		if (!kdev->holds || !kdev->dma || kdev->quiet)
			continue;
		if (!kdev->bound) {
			iommu_kdump_cancel_release(kg);
			return;
		}
		wait = true;
	}

	if (!wait) {
		iommu_kdump_release(kg, kg->group->default_domain);
	} else if (kdump_grace != GRACE_NEVER &&
		   !delayed_work_pending(&kg->release_work)) {
		iommu_group_ref_get(kg->group);
		if (!queue_delayed_work(system_dfl_wq, &kg->release_work,
					secs_to_jiffies(kdump_grace)))
			iommu_group_put(kg->group);
	}
}

/**
 * iommu_kdump_forget() - Nothing of what a group has inherited is needed any more
 * @kg: inheritance of the group
 *
 * Not even by devices whose drivers are still to come.
 */
void iommu_kdump_forget(struct iommu_kdump_group *kg)
{
	struct iommu_kdump_dev *kdev;

	list_for_each_entry(kdev, &kg->devs, node)
		kdev->holds = false;
}

/**
 * iommu_kdump_left() - A group has left a domain
 * @group: group whose mutex is held
 * @domain: the domain, which is still there
 *
 * Old mappings are not brought anywhere else: who claims a group (VFIO, for one), or
 * replaces its default domain, ends the inheritance.
 */
void iommu_kdump_left(struct iommu_group *group, struct iommu_domain *domain)
{
	struct iommu_kdump_group *kg = group->kdump;

	if (!kg)
		return;
	/* To the default domain: that is iommu_kdump_take_over() */
	if (iommu_domain_is_inherited(domain) ?
	    group->domain == group->default_domain : kg->state != KDUMP_CARRYING)
		return;
	iommu_kdump_forget(kg);
	iommu_kdump_release(kg, domain);
	iommu_kdump_prefer_low(group->default_domain);
}

/*
 * The dump comes first: before somebody is killed for memory, old mappings go, and
 * with them the page tables that only they need.
 */
VISIBLE_IF_KUNIT int iommu_kdump_out_of_memory(struct notifier_block *nb,
					       unsigned long unused, void *freed)
{
	unsigned long *pages = freed;
	struct iommu_group *group;
	int id = -1;

	while ((group = iommu_kdump_next_group(&id))) {
		/* It may be the holder of the mutex who has run out of memory */
		if (mutex_trylock(&group->mutex)) {
			struct iommu_kdump_group *kg = group->kdump;

			if (kg && kg->state == KDUMP_CARRYING) {
				pr_warn("group %d: out of memory: old mappings are released early\n",
					group->id);
				iommu_kdump_release(kg, group->default_domain);
				*pages += kg->stats.freed >> PAGE_SHIFT;
			}
			mutex_unlock(&group->mutex);
		}
		kobject_put(&group->kobj);
	}
	return NOTIFY_OK;
}

static struct notifier_block oom_notifier = {
	.notifier_call = iommu_kdump_out_of_memory,
};

static int __init iommu_kdump_oom_init(void)
{
	if (is_kdump_kernel())
		register_oom_notifier(&oom_notifier);
	return 0;
}

/* Before IOMMU drivers find devices, whose mappings may be imported at once */
core_initcall(iommu_kdump_oom_init);

/**
 * iommu_kdump_reset_done() - A function level reset has been done
 * @pdev: device whose group's mutex is not held
 *
 * The DMA of the crashed kernel has ended for this device. The caller does not
 * know if the reset has succeeded, the command register does.
 */
void iommu_kdump_reset_done(struct pci_dev *pdev)
{
	struct iommu_group *group = pdev->dev.iommu_group;
	struct iommu_kdump_dev *kdev;
	u16 cmd;

	if (!iommu_kdump_active() || !group)
		return;
	guard(mutex)(&group->mutex);
	kdev = iommu_kdump_find_dev(group, &pdev->dev);
	if (!kdev)
		return;
	if (pci_read_config_word(pdev, PCI_COMMAND, &cmd) ||
	    PCI_POSSIBLE_ERROR(cmd) ||
	    (cmd & (PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)))
		return;
	kdev->quiet = true;
	iommu_kdump_update_release(group->kdump);
}

static void driver_changed(struct device *dev, bool bound)
{
	struct iommu_group *group;
	struct iommu_kdump_dev *kdev;

	if (!iommu_kdump_active())
		return;
	group = iommu_group_get(dev);
	if (!group)
		return;

	mutex_lock(&group->mutex);
	kdev = iommu_kdump_find_dev(group, dev);
	if (kdev) {
		/* A driver that lets go of its device has stopped it before */
		if (!bound && kdev->bound)
			kdev->quiet = true;
		kdev->bound = bound;
		iommu_kdump_update_release(group->kdump);
	}
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}

/**
 * iommu_kdump_driver_bound() - The driver of a device has probed
 * @dev: the device, no lock of its group is held
 */
void iommu_kdump_driver_bound(struct device *dev)
{
	driver_changed(dev, true);
}

/**
 * iommu_kdump_driver_unbound() - The driver of a device is gone
 * @dev: the device, no lock of its group is held
 */
void iommu_kdump_driver_unbound(struct device *dev)
{
	driver_changed(dev, false);
}
