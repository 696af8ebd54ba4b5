// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: life of the inheritance of a group
 *
 * What hardware still uses for a group when the crash kernel boots is a domain,
 * the inherited domain. Nothing can attach to it; a group can only leave it.
 *
 *   none --join--> inherited --driver about to probe--> carrying --> released
 *                      |                                   |
 *                      `------------- refused -------------'---> blocked
 *
 * All of it is protected by the mutex of the group.
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
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/xarray.h>

#include <kunit/static_stub.h>
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

/* Drivers that are built in have had their turn by then */
#define CHECK_DELAY	(2 * HZ)

/* All struct iommu_kdump_group, whatever their state, by the number of the group */
static DEFINE_XARRAY(kdump_groups);

static bool kdump_inherit __ro_after_init = true;
static unsigned int kdump_grace __ro_after_init = GRACE_DEFAULT;

static const struct iommu_domain_ops inherited_domain_ops = {};

static struct iommu_domain inherited_domain = {
	.type = IOMMU_DOMAIN_INHERITED,
	.ops = &inherited_domain_ops,
};

VISIBLE_IF_KUNIT int __init iommu_kdump_setup(char *str)
{
	if (str && !strcmp(str, "inherit"))
		kdump_inherit = true;
	else if (str && !strcmp(str, "block"))
		kdump_inherit = false;
	else
		pr_warn("iommu.kdump=%s is unknown, use inherit or block; going on with %s\n",
			str ?: "", kdump_inherit ? "inherit" : "block");
	return 0;
}
early_param("iommu.kdump", iommu_kdump_setup);

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
 * iommu_kdump_enabled() - May translations of a crashed kernel be inherited?
 *
 * Context: Any.
 *
 * Return: true in a crash kernel, unless its command line asks for a clean slate
 * (iommu.kdump=block). If false in a crash kernel an IOMMU driver keeps nothing
 * of what it finds, and blocks the DMA of every device that has no domain yet.
 */
bool iommu_kdump_enabled(void)
{
	return iommu_kdump_active() && kdump_inherit;
}
EXPORT_SYMBOL_GPL(iommu_kdump_enabled);

/**
 * iommu_kdump_active() - Is there DMA of a crashed kernel to care about?
 *
 * Return: true in a crash kernel, also if nothing is to be inherited.
 */
bool iommu_kdump_active(void)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_active);
	return is_kdump_kernel();
}

/**
 * iommu_domain_is_inherited() - Is this the translation of the crashed kernel?
 * @domain: domain to look at, may be NULL
 *
 * For the attach_dev() of an IOMMU driver: if @old is the inherited domain,
 * hardware uses tables of the crashed kernel for the device, and must use either
 * those or the new ones at any instant.
 *
 * Context: Any.
 *
 * Return: true if it is.
 */
bool iommu_domain_is_inherited(const struct iommu_domain *domain)
{
	return domain == &inherited_domain;
}
EXPORT_SYMBOL_GPL(iommu_domain_is_inherited);

/**
 * iommu_kdump_group_inherited() - Does hardware still use old tables?
 * @group: group whose mutex is held
 *
 * Return: true if it does.
 */
bool iommu_kdump_group_inherited(struct iommu_group *group)
{
	return iommu_domain_is_inherited(group->domain);
}

static void block(struct iommu_kdump_group *kg, const char *reason)
{
	kg->state = KDUMP_BLOCKED;
	kg->reason = reason;
	trace_iommu_kdump_block(kg->group->id, reason);
	pr_warn("group %d: %s: DMA of the crashed kernel is blocked, drivers start afresh\n",
		kg->group->id, reason);
}

static struct iommu_kdump_dev *find_kdev(struct iommu_group *group,
					 struct device *dev)
{
	struct iommu_kdump_dev *kdev;

	if (!group->kdump)
		return NULL;
	list_for_each_entry(kdev, &group->kdump->devs, node)
		if (kdev->dev == dev)
			return kdev;
	return NULL;
}

/**
 * iommu_kdump_old_id() - Domain ID of what a device has inherited
 * @dev: device whose group's mutex is held, as it is in &iommu_domain_ops.attach_dev
 *
 * For a driver that can no longer read it from the entry which it replaces.
 *
 * Context: Any.
 *
 * Return: &iommu_kdump_tables.id as &iommu_ops.inherit_tables has set it, 0 if
 * nothing is inherited.
 */
u32 iommu_kdump_old_id(struct device *dev)
{
	struct iommu_kdump_dev *kdev = find_kdev(dev->iommu_group, dev);

	return kdev && !kdev->error ? kdev->tables.id : 0;
}
EXPORT_SYMBOL_GPL(iommu_kdump_old_id);

static void free_kdev(struct iommu_kdump_dev *kdev)
{
	list_del(&kdev->node);
	kfree(kdev);
}

/*
 * Old mappings out of the domain, then what the driver has kept for them. The
 * group has left the inherited domain.
 */
static void release(struct iommu_kdump_group *kg)
{
	struct iommu_group *group = kg->group;
	struct group_device *gdev;
	ktime_t start = ktime_get();

	if (kg->state == KDUMP_CARRYING)
		iommu_kdump_release_mappings(group->default_domain);
	kg->state = KDUMP_RELEASED;

	for_each_group_device(group, gdev) {
		const struct iommu_ops *ops;

		if (!gdev->dev->iommu || !gdev->dev->iommu->iommu_dev)
			continue;
		ops = dev_iommu_ops(gdev->dev);
		if (ops->release_on_driver_probe)
			ops->release_on_driver_probe(gdev->dev);
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
		release(kg);
	mutex_unlock(&group->mutex);
	iommu_group_put(group);
}

static void cancel_release(struct iommu_kdump_group *kg)
{
	/* If it runs already, it finds the state changed and does nothing */
	if (cancel_delayed_work(&kg->release_work))
		iommu_group_put(kg->group);
}

/* Release if nobody can use an old mapping, or after the grace period */
static void update_release(struct iommu_kdump_group *kg)
{
	struct iommu_kdump_dev *kdev;
	bool wait = false;

	if (kg->state != KDUMP_CARRYING)
		return;

	list_for_each_entry(kdev, &kg->devs, node) {
		if (!kdev->dma || kdev->quiet)
			continue;
		if (!kdev->bound) {
			cancel_release(kg);
			return;
		}
		wait = true;
	}

	if (!wait) {
		cancel_release(kg);
		release(kg);
	} else if (kdump_grace != GRACE_NEVER &&
		   !delayed_work_pending(&kg->release_work)) {
		iommu_group_ref_get(kg->group);
		if (!schedule_delayed_work(&kg->release_work,
					   secs_to_jiffies(kdump_grace)))
			iommu_group_put(kg->group);
	}
}

/* Does the device have DMA in flight, as far as its configuration says? */
static bool may_do_dma(struct device *dev)
{
	struct pci_dev *pdev;
	u16 cmd;

	if (!dev_is_pci(dev))
		return true;
	pdev = to_pci_dev(dev);
	if (pci_is_bridge(pdev))
		return false;
	/* A device that does not answer reads as all ones */
	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	return cmd & PCI_COMMAND_MASTER;
}

static bool has_old_dma(struct iommu_kdump_group *kg)
{
	struct iommu_kdump_dev *kdev;

	list_for_each_entry(kdev, &kg->devs, node)
		if (kdev->dma)
			return true;
	return false;
}

static struct iommu_kdump_group *get_kdump_group(struct iommu_group *group)
{
	struct iommu_kdump_group *kg = group->kdump;

	if (kg)
		return kg;
	kg = kzalloc_obj(*kg, KDUMP_GFP);
	if (!kg)
		return NULL;
	kg->group = group;
	INIT_LIST_HEAD(&kg->devs);
	INIT_DELAYED_WORK(&kg->release_work, release_work);
	if (xa_err(xa_store(&kdump_groups, group->id, kg, KDUMP_GFP))) {
		kfree(kg);
		return NULL;
	}
	group->kdump = kg;
	return kg;
}

/**
 * iommu_kdump_join() - A device joins a group
 * @group: the group, its mutex is held
 * @dev: device whose driver data is set up
 * @late: the device has come after the boot, or after its group was set up
 *
 * Reads what hardware uses for the device now. Nothing is written: the rest of
 * the group may not be there yet. A device that comes late has no old DMA worth
 * keeping; what the crashed kernel has left for it goes when it is attached. If
 * it does DMA nevertheless, its new IOVAs must not be the ones that it uses.
 *
 * Without memory nothing is inherited, and the device starts with an empty
 * domain: blocked.
 */
void iommu_kdump_join(struct iommu_group *group, struct device *dev, bool late)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);
	struct iommu_kdump_group *kg;
	struct iommu_kdump_dev *kdev;

	if (!iommu_kdump_active() || !ops->inherit_tables)
		return;

	if (!kdump_inherit) {
		kg = get_kdump_group(group);
		if (kg)
			kg->state = KDUMP_BLOCKED;
		return;
	}

	if (late) {
		iommu_kdump_take_over(group, NULL);
		/* Nothing is known of this group, and that is how it should be */
		if (!group->default_domain) {
			kg = get_kdump_group(group);
			/* Removed and found again: it does what it was told */
			if (kg && dev_is_pci(dev) && may_do_dma(dev))
				block(kg, "device has come late, and does DMA");
		}
		return;
	}

	kg = get_kdump_group(group);
	kdev = kzalloc_obj(*kdev, KDUMP_GFP);
	if (!kg || !kdev) {
		if (kg)
			kg->lost = true;
		kfree(kdev);
		dev_warn(dev, "iommu: kdump: out of memory: DMA of the crashed kernel is blocked\n");
		return;
	}

	kdev->dev = dev;
	kdev->error = ops->inherit_tables(dev, &kdev->tables);
	if (kdev->error == -ENOENT) {
		kfree(kdev);
		return;
	}
	kdev->dma = may_do_dma(dev);
	trace_iommu_kdump_join(group->id, dev, &kdev->tables, kdev->dma,
			       kdev->error);
	list_add_tail(&kdev->node, &kg->devs);
}

/**
 * iommu_kdump_leave() - A device leaves its group
 * @group: the group, its mutex is held
 * @dev: device that is not in the list of the group any more
 *
 * The core blocks the device next, so it does not hold the others up. With the
 * last device the inheritance ends: the domains are about to be freed.
 */
void iommu_kdump_leave(struct iommu_group *group, struct device *dev)
{
	struct iommu_kdump_group *kg = group->kdump;
	struct iommu_kdump_dev *kdev;

	if (!kg)
		return;

	kdev = find_kdev(group, dev);
	if (kdev)
		free_kdev(kdev);
	if (!list_empty(&group->devices)) {
		update_release(kg);
		return;
	}
	cancel_release(kg);
	kg->state = KDUMP_NONE;
	kg->attach_failed = false;
	iommu_kdump_free_iova(kg->kept);
	kg->kept = NULL;
}

/**
 * iommu_kdump_free() - The group is gone
 * @group: group without devices and references
 */
void iommu_kdump_free(struct iommu_group *group)
{
	struct iommu_kdump_group *kg = group->kdump;

	if (!kg)
		return;
	/* The number may belong to another group already */
	xa_cmpxchg(&kdump_groups, group->id, kg, NULL, 0);
	kfree(kg);
}

/* Was there no memory at all when the devices of the group have joined? */
static bool group_was_missed(struct iommu_group *group)
{
	struct group_device *gdev;

	if (group->kdump || !iommu_kdump_active())
		return false;
	for_each_group_device(group, gdev) {
		if (gdev->dev->iommu && gdev->dev->iommu->iommu_dev &&
		    dev_iommu_ops(gdev->dev)->inherit_tables)
			return true;
	}
	return false;
}

/**
 * iommu_kdump_default_domain_is_dma() - Must old IOVAs be translated?
 * @group: group whose mutex is held
 *
 * Return: true if the group has inherited something. An identity domain would
 * make physical addresses of what the old DMA still uses as IOVAs.
 */
bool iommu_kdump_default_domain_is_dma(struct iommu_group *group)
{
	struct iommu_kdump_group *kg = group->kdump;

	if (!kg)
		return group_was_missed(group);
	if (kg->state == KDUMP_RELEASED)
		return false;
	return kg->lost || kg->state == KDUMP_BLOCKED || !list_empty(&kg->devs);
}

/**
 * iommu_kdump_set_default_domain() - First default domain of a group
 * @group: group whose mutex is held, in no domain yet
 *
 * Return: true if the group stays with the translation of the crashed kernel,
 * false if the default domain must be attached.
 */
bool iommu_kdump_set_default_domain(struct iommu_group *group)
{
	struct iommu_kdump_group *kg = group->kdump;
	struct iommu_kdump_dev *kdev;
	bool inherits = false;

	if (group_was_missed(group)) {
		kg = get_kdump_group(group);
		if (kg)
			kg->lost = true;
	}
	if (!kg || kg->state == KDUMP_BLOCKED)
		return false;

	if (kg->lost) {
		block(kg, "out of memory");
		return false;
	}
	list_for_each_entry(kdev, &kg->devs, node) {
		if (kdev->error) {
			block(kg, iommu_kdump_error_reason(kdev->error));
			return false;
		}
		if (kdev->tables.type >= IOMMU_KDUMP_IDENTITY)
			inherits = true;
	}
	if (!inherits)
		return false;

	group->domain = &inherited_domain;
	kg->state = KDUMP_INHERITED;
	return true;
}

/**
 * iommu_kdump_keep_iova() - The default domain of a group has been replaced
 * @group: group whose mutex is held
 * @domain: its default domain until now, about to be freed
 *
 * The old IOVAs stay reserved: iommu_kdump_group_ready() takes them out of the
 * allocator of the next DMA domain.
 */
void iommu_kdump_keep_iova(struct iommu_group *group,
			   struct iommu_domain *domain)
{
	struct iommu_kdump_group *kg = group->kdump;

	if (!kg || !iommu_is_dma_domain(domain) ||
	    !iommu_dma_kdump_iova(domain))
		return;
	iommu_kdump_free_iova(kg->kept);
	kg->kept = iommu_dma_kdump_iova(domain);
	iommu_dma_set_kdump_iova(domain, NULL);
}

static void reserve_kept(struct iommu_kdump_group *kg)
{
	struct iommu_domain *domain = kg->group->default_domain;
	u64 bytes = 0;

	if (!kg->kept || !iommu_is_dma_domain(domain) ||
	    !iommu_dma_iova_domain(domain))
		return;
	if (!iommu_dma_kdump_iova(domain) &&
	    iommu_kdump_reserve(domain, &kg->kept->reserved, false,
				kg->kept->guessed, &bytes))
		iommu_kdump_reserve_unknown(domain);
	iommu_kdump_free_iova(kg->kept);
	kg->kept = NULL;
}

/**
 * iommu_kdump_group_ready() - The default domain and its allocator are set up
 * @group: group whose mutex is held
 *
 * An IOMMU that does not translate yet is about to be switched on. From then on
 * it needs tables for the DMA that goes on without it now. And an old identity
 * translation leaves the memory of the crash kernel open: it is replaced by a map
 * with a hole there right away. Where old DMA is blocked, or there should be none but
 * the device is a bus master, its IOVAs are not known.
 */
void iommu_kdump_group_ready(struct iommu_group *group)
{
	struct iommu_kdump_dev *kdev;

	if (group->kdump)
		reserve_kept(group->kdump);
	if (group->kdump && group->kdump->state == KDUMP_BLOCKED)
		iommu_kdump_reserve_unknown(group->default_domain);
	if (!iommu_kdump_group_inherited(group)) {
		if (group->kdump && has_old_dma(group->kdump))
			iommu_kdump_prefer_low(group->default_domain);
		return;
	}
	list_for_each_entry(kdev, &group->kdump->devs, node) {
		if (kdev->tables.type == IOMMU_KDUMP_IDENTITY) {
			iommu_kdump_take_over(group, NULL);
			return;
		}
	}
}

/*
 * Groups that no driver has claimed are checked when the boot is over. Old tables
 * that can reach more than they should are replaced by what is left of them after
 * the import, as if a driver came.
 */
static void check_group(struct iommu_group *group)
{
	guard(mutex)(&group->mutex);

	if (!iommu_kdump_group_inherited(group) ||
	    iommu_kdump_validate(group->kdump))
		return;
	iommu_kdump_take_over(group, NULL);
}

/**
 * iommu_kdump_next_group() - Go through the groups, which may come and go meanwhile
 * @id: -1 to begin with, set to the number of the group that is returned
 *
 * Context: May sleep. Called without the mutex of any group.
 *
 * Return: the group with the next higher number, NULL at the end. To be put with
 * kobject_put() on its kobj.
 */
struct iommu_group *iommu_kdump_next_group(int *id)
{
	struct iommu_kdump_group *kg;
	unsigned long index;

	xa_lock(&kdump_groups);
	xa_for_each_start(&kdump_groups, index, kg, *id + 1) {
		*id = index;
		/*
		 * The last reference may be gone already. devices_kobj, which is
		 * what users of a group hold, may even be freed.
		 */
		if (kobject_get_unless_zero(&kg->group->kobj)) {
			xa_unlock(&kdump_groups);
			return kg->group;
		}
	}
	xa_unlock(&kdump_groups);
	return NULL;
}

VISIBLE_IF_KUNIT void iommu_kdump_check_driverless(void)
{
	struct iommu_group *group;
	int id = -1;

	while ((group = iommu_kdump_next_group(&id))) {
		check_group(group);
		kobject_put(&group->kobj);
		cond_resched();
	}
}

static void check_work_fn(struct work_struct *work)
{
	iommu_kdump_check_driverless();
}

static DECLARE_DELAYED_WORK(check_work, check_work_fn);

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
				iommu_kdump_end(group);
				*pages += kg->stats.new_tables >> PAGE_SHIFT;
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

static int __init iommu_kdump_late_init(void)
{
	if (is_kdump_kernel()) {
		iommu_kdump_status_init();
		register_oom_notifier(&oom_notifier);
	}
	if (iommu_kdump_enabled())
		queue_delayed_work(system_unbound_wq, &check_work,
				   CHECK_DELAY);
	return 0;
}
late_initcall_sync(iommu_kdump_late_init);

/**
 * iommu_kdump_take_over() - Move a group from the old tables to its default
 *                           domain
 * @group: group whose mutex is held
 * @dev: device whose driver is about to probe, or NULL
 *
 * With the old mappings imported, DMA that is in flight does not notice. If they
 * cannot be, it is blocked, and the group works as after a cold boot. Does
 * nothing if the group does not use old tables (any more), unless a device could
 * not be attached the last time.
 *
 * Return: 0, or why the default domain could not be attached.
 */
int iommu_kdump_take_over(struct iommu_group *group, struct device *dev)
{
	struct iommu_kdump_group *kg = group->kdump;
	const char *reason = NULL;
	int ret;

	if (kg && kg->attach_failed)
		goto attach;
	if (!iommu_kdump_group_inherited(group))
		return 0;

	if (!iommu_is_dma_domain(group->default_domain)) {
		/* The driver insists, for devices that do not work otherwise */
		pr_warn("group %d: IOMMU driver wants identity: DMA of the crashed kernel is not confined\n",
			group->id);
		kg->state = KDUMP_RELEASED;
	} else if (!iommu_dma_iova_domain(group->default_domain)) {
		block(kg, "the DMA API does not use the IOMMU");
	} else if (iommu_kdump_import(kg, group->default_domain, &reason)) {
		block(kg, reason);
	} else {
		kg->state = KDUMP_CARRYING;
		if (has_old_dma(kg))
			iommu_kdump_prefer_low(group->default_domain);
	}

	/* What cannot reach its memory any more need not try */
	if (kg->state == KDUMP_BLOCKED && dev && dev_is_pci(dev) &&
	    !pci_is_bridge(to_pci_dev(dev)))
		pci_clear_master(to_pci_dev(dev));

attach:
	/* After a failure: what has failed is blocked, the others move as well */
	if (kg->attach_failed && group->domain == group->default_domain)
		group->domain = group->blocking_domain;
	ret = iommu_group_set_default_domain_locked(group);
	kg->attach_failed = ret;
	trace_iommu_kdump_attach(group->id, iommu_kdump_state_name(kg->state),
				 ret);
	if (ret)
		pr_err("group %d: could not be attached to its domain (%d)\n",
		       group->id, ret);
	update_release(kg);
	return ret;
}

/**
 * iommu_kdump_end() - A group stops carrying old mappings
 * @group: group whose mutex is held
 *
 * Its default domain is about to be replaced, or somebody (an owner like VFIO, for
 * one) has moved the group to another domain: old mappings are not brought there.
 */
void iommu_kdump_end(struct iommu_group *group)
{
	struct iommu_kdump_group *kg = group->kdump;

	if (!kg || kg->state != KDUMP_CARRYING)
		return;
	cancel_release(kg);
	release(kg);
}

/**
 * iommu_kdump_reset_prepare() - A function level reset is about to be done
 * @pdev: device whose group's mutex is not held
 *
 * The inherited translation could not be restored after the reset.
 *
 * Return: as iommu_kdump_take_over().
 */
int iommu_kdump_reset_prepare(struct pci_dev *pdev)
{
	struct iommu_group *group = pdev->dev.iommu_group;

	if (!iommu_kdump_active() || !group)
		return 0;
	guard(mutex)(&group->mutex);
	return iommu_kdump_take_over(group, NULL);
}

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
	kdev = find_kdev(group, &pdev->dev);
	if (!kdev)
		return;
	if (pci_read_config_word(pdev, PCI_COMMAND, &cmd) ||
	    PCI_POSSIBLE_ERROR(cmd) ||
	    (cmd & (PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)))
		return;
	kdev->quiet = true;
	update_release(group->kdump);
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
	kdev = find_kdev(group, dev);
	if (kdev) {
		/* A driver that lets go of its device has stopped it before */
		if (!bound && kdev->bound)
			kdev->quiet = true;
		kdev->bound = bound;
		update_release(group->kdump);
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
