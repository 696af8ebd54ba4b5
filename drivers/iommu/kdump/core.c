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

#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../dma-iommu.h"
#include "../iommu-priv.h"
#include "kdump.h"
#include "trace.h"

static void block(struct iommu_kdump_group *kg, const char *reason)
{
	kg->state = KDUMP_BLOCKED;
	kg->reason = reason;
	trace_iommu_kdump_block(kg->group->id, reason);
	pr_warn("group %d: %s: DMA of the crashed kernel is blocked, drivers start afresh\n",
		kg->group->id, reason);
}

static bool is_bridge(struct device *dev)
{
	return dev_is_pci(dev) && pci_is_bridge(to_pci_dev(dev));
}

/* Does the device have DMA in flight, as far as its configuration says? */
static bool may_do_dma(struct device *dev)
{
	u16 cmd;

	if (!dev_is_pci(dev))
		return true;
	if (is_bridge(dev))
		return false;
	/* A device that does not answer reads as all ones */
	pci_read_config_word(to_pci_dev(dev), PCI_COMMAND, &cmd);
	return cmd & PCI_COMMAND_MASTER;
}

/* What cannot reach its memory any more need not try */
static void stop_dma(struct device *dev)
{
	if (dev_is_pci(dev) && !is_bridge(dev))
		pci_clear_master(to_pci_dev(dev));
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
	kg = iommu_kdump_new_group(group);
	if (kg)
		iommu_kdump_release_init(kg);
	return kg;
}

/* A device with several IDs must have one translation: nobody sets up two */
static int add_tables(struct iommu_kdump_tables *tables,
		      const struct iommu_kdump_tables *one)
{
	if (tables->type == IOMMU_KDUMP_NONE)
		*tables = *one;
	return iommu_kdump_same_tables(tables, one) ? 0 : -EUCLEAN;
}

static int inherit_id(struct iommu_kdump_entries *entries, u32 id, void *data)
{
	struct iommu_kdump_tables one = {};
	struct iommu_kdump_dev *kdev = data;
	int ret;

	if (iommu_kdump_entry_was_refused(entries, id))
		return -EUCLEAN;
	if (entries->not_live) {
		one.type = IOMMU_KDUMP_IDENTITY;
	} else if (iommu_kdump_entry_is_old(entries, id)) {
		ret = dev_iommu_ops(kdev->dev)->inherit_tables(kdev->dev, id,
							       &one);
		if (ret)
			return ret;
	} else {
		/* Of a sibling, whose old mappings the group may carry by now */
		kdev->holds |= iommu_kdump_entry_was_left(entries, id);
		return 0;
	}
	return add_tables(&kdev->tables, &one);
}

/**
 * iommu_kdump_join() - A device joins a group
 * @group: the group, its mutex is held
 * @dev: device whose driver data is set up, not yet in the list of the group
 *
 * Reads what hardware uses for the device now. Nothing is written: the rest of
 * the group may not be there yet. When the device comes makes no difference; what
 * counts is if its entries are still those of the crashed kernel.
 *
 * Without memory nothing is inherited, and the device starts with an empty
 * domain: blocked.
 */
void iommu_kdump_join(struct iommu_group *group, struct device *dev)
{
	struct iommu_kdump_group *kg;
	struct iommu_kdump_dev *kdev;

	if (!iommu_kdump_takes_part(dev))
		return;

	kg = get_kdump_group(group);
	if (!iommu_kdump_enabled()) {
		if (kg)
			kg->state = KDUMP_BLOCKED;
		return;
	}

	kdev = kzalloc_obj(*kdev, KDUMP_GFP);
	if (!kg || !kdev) {
		if (kg)
			kg->lost = true;
		kfree(kdev);
		dev_warn(dev, "iommu: kdump: out of memory: DMA of the crashed kernel is blocked\n");
		return;
	}

	kdev->dev = dev;
	kdev->dma = may_do_dma(dev);
	kdev->error = iommu_kdump_walk_ids(dev->iommu->iommu_dev->kdump, dev,
					   inherit_id, kdev);
	if (kdev->tables.type == IOMMU_KDUMP_NONE)
		kdev->tables.type = IOMMU_KDUMP_BLOCKED;
	else
		kdev->holds = true;
	trace_iommu_kdump_join(group->id, dev, &kdev->tables, kdev->dma,
			       kdev->error);
	list_add_tail(&kdev->node, &kg->devs);

	/* As if it had been there from the beginning */
	if (kdev->error && iommu_kdump_group_inherited(group))
		iommu_kdump_take_over(group, NULL);
}

/* Why nothing can be imported into the domain that the group uses, NULL if it can */
static const char *no_import_reason(const struct iommu_group *group)
{
	if (group->domain != group->default_domain)
		return "the group is not in its default domain";
	if (!iommu_is_dma_domain(group->domain) ||
	    !iommu_dma_iova_domain(group->domain))
		return "the DMA API does not use the IOMMU";
	return NULL;
}

/**
 * iommu_kdump_grow() - A device is about to be attached to the domain of its group
 * @group: the group, its mutex is held, its domain is set up
 * @dev: device that has joined it after the others
 *
 * If hardware still uses old tables for the device, their mappings are imported
 * first. If that fails, it costs the old DMA of this device and nothing else: in the
 * domain of the group it would meet what others have mapped at the same IOVAs.
 *
 * Return: true if the device must be blocked until its driver comes.
 */
bool iommu_kdump_grow(struct iommu_group *group, struct device *dev)
{
	struct iommu_kdump_dev *kdev = iommu_kdump_find_dev(group, dev);
	struct iommu_kdump_group *kg = group->kdump;
	const char *reason;

	/* In a blocked group, or one without memory, new mappings stay away from old */
	if (!kg || kg->state == KDUMP_BLOCKED)
		return false;
	/* Without memory it is not known what the device uses */
	if (!kdev)
		return kg->lost && may_do_dma(dev);
	if (kdev->tables.type < IOMMU_KDUMP_IDENTITY && !kdev->error)
		return false;
	if (kdev->error)
		reason = iommu_kdump_error_reason(kdev->error);
	else
		reason = no_import_reason(group);
	if (!reason && kdev->dma)
		kdev->error = iommu_kdump_import_member(kg, kdev, &reason);

	if (reason) {
		kdev->holds = false;
		dev_warn(dev, "iommu: kdump: %s: DMA of the crashed kernel is blocked\n",
			 reason);
		return kdev->dma;
	}
	if (kdev->dma)
		kg->state = KDUMP_CARRYING;
	return false;
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

	kdev = iommu_kdump_find_dev(group, dev);
	if (kdev) {
		list_del(&kdev->node);
		kfree(kdev);
	}
	if (!list_empty(&group->devices)) {
		iommu_kdump_update_release(kg);
		return;
	}
	iommu_kdump_cancel_release(kg);
	iommu_kdump_uncharge(kg);
	kg->state = KDUMP_NONE;
	kg->reason = NULL;
	kg->lost = false;
	memset(&kg->stats, 0, sizeof(kg->stats));
}

/* Was there no memory at all when the devices of the group have joined? */
static bool group_was_missed(struct iommu_group *group)
{
	struct group_device *gdev;

	if (group->kdump)
		return false;
	for_each_group_device(group, gdev) {
		if (iommu_kdump_takes_part(gdev->dev))
			return true;
	}
	return false;
}

/**
 * iommu_kdump_default_domain_is_dma() - Must old IOVAs be translated?
 * @group: group whose mutex is held
 * @driver_wants: what the IOMMU driver asks for, 0 if it does not care
 *
 * An identity domain would make physical addresses of what the old DMA still uses
 * as IOVAs. Only where they are that already, in all of the group, the driver gets
 * the identity domain that it insists on.
 *
 * Return: true if the group needs a DMA domain, whatever else has been asked for.
 */
bool iommu_kdump_default_domain_is_dma(struct iommu_group *group,
				       unsigned int driver_wants)
{
	struct iommu_kdump_group *kg = group->kdump;
	struct iommu_kdump_dev *kdev;

	if (!kg)
		return group_was_missed(group);
	if (kg->state == KDUMP_RELEASED)
		return false;
	if (kg->lost || kg->state == KDUMP_BLOCKED)
		return true;
	list_for_each_entry(kdev, &kg->devs, node) {
		if (driver_wants != IOMMU_DOMAIN_IDENTITY || kdev->error ||
		    kdev->tables.type != IOMMU_KDUMP_IDENTITY)
			return true;
	}
	return false;
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

	group->domain = &iommu_kdump_inherited_domain;
	kg->state = KDUMP_INHERITED;
	return true;
}

/*
 * An IOMMU that does not translate yet is about to be switched on. From then on it
 * needs tables for the DMA that goes on without it now. And an old identity
 * translation leaves the memory of the crash kernel open to a device that does DMA.
 */
static bool identity_must_end(struct iommu_kdump_group *kg)
{
	struct iommu_kdump_dev *kdev;

	list_for_each_entry(kdev, &kg->devs, node) {
		if (kdev->tables.type == IOMMU_KDUMP_IDENTITY &&
		    (kdev->dma || kdev->dev->iommu->iommu_dev->kdump->not_live))
			return true;
	}
	return false;
}

/**
 * iommu_kdump_group_ready() - The default domain and its allocator are set up
 * @group: group whose mutex is held
 *
 * An identity translation is replaced by a map with a hole where the crash kernel's
 * memory is. Where old DMA is blocked, or there is none that is known of but the
 * device is a bus master, its IOVAs are not known; nor is anything of a group that
 * there was no memory for.
 */
void iommu_kdump_group_ready(struct iommu_group *group)
{
	struct iommu_kdump_group *kg = group->kdump;

	if (!kg) {
		if (group_was_missed(group))
			iommu_kdump_prefer_low(group->default_domain);
		return;
	}
	if (iommu_kdump_group_inherited(group)) {
		if (identity_must_end(kg))
			iommu_kdump_take_over(group, NULL);
		return;
	}
	if (kg->state == KDUMP_BLOCKED || has_old_dma(kg))
		iommu_kdump_prefer_low(group->default_domain);
	iommu_kdump_update_release(kg);
}

/**
 * iommu_kdump_check_group() - The boot is over, and no driver may have come
 * @group: group whose mutex is not held
 *
 * Old tables that can reach more than they should are replaced by what is left of them
 * after the import, as if a driver came.
 *
 * Context: May sleep.
 */
void iommu_kdump_check_group(struct iommu_group *group)
{
	struct iommu_kdump_group *kg;
	struct iommu_kdump_dev *kdev;

	guard(mutex)(&group->mutex);

	kg = group->kdump;
	if (!iommu_kdump_group_inherited(group))
		return;
	/* Somebody may have switched bus mastering on meanwhile */
	list_for_each_entry(kdev, &kg->devs, node)
		kdev->dma |= may_do_dma(kdev->dev);
	if (identity_must_end(kg) || !iommu_kdump_validate(kg))
		iommu_kdump_take_over(group, NULL);
}

/* What the group does with what it has inherited: its state afterwards says it */
static void decide(struct iommu_kdump_group *kg)
{
	struct iommu_domain *domain = kg->group->default_domain;
	const char *reason = NULL;

	if (!iommu_is_dma_domain(domain)) {
		/* The driver insists, for devices that do not work otherwise */
		pr_warn("group %d: IOMMU driver wants identity: DMA of the crashed kernel is not confined\n",
			kg->group->id);
		kg->state = KDUMP_RELEASED;
	} else if (!iommu_dma_iova_domain(domain)) {
		block(kg, "the DMA API does not use the IOMMU");
	} else if (!has_old_dma(kg)) {
		kg->state = KDUMP_RELEASED;
	} else if (iommu_kdump_import(kg, &reason)) {
		block(kg, reason);
	} else {
		kg->state = KDUMP_CARRYING;
	}
	/* Also where there is none yet: it may wait for a driver */
	iommu_kdump_prefer_low(domain);
}

/* The state of the group says what becomes of its old mappings */
static int leave_inherited(struct iommu_kdump_group *kg)
{
	struct iommu_group *group = kg->group;
	int ret;

	ret = iommu_group_leave_inherited(group);
	trace_iommu_kdump_attach(group->id, iommu_kdump_state_name(kg->state),
				 ret);
	if (ret)
		pr_err("group %d: a device could not be attached and is blocked (%d)\n",
		       group->id, ret);
	if (kg->state == KDUMP_RELEASED)
		iommu_kdump_release(kg, group->default_domain);
	iommu_kdump_update_release(kg);
	return ret;
}

/*
 * The group has left the old tables, perhaps released what was in them, before this
 * device got its driver. Its bus mastering was off, so nobody has waited for it; but what
 * waits in it goes on when its driver switches that on. The old tables are as they were.
 */
static void import_waiting(struct iommu_group *group, struct device *dev)
{
	struct iommu_kdump_dev *kdev = iommu_kdump_find_dev(group, dev);
	struct iommu_kdump_group *kg = group->kdump;
	const char *reason;

	if (!kdev || kdev->dma || kdev->quiet || !kdev->holds || is_bridge(dev))
		return;
	kdev->dma = true;
	if (kdev->tables.type < IOMMU_KDUMP_IDENTITY || kdev->error ||
	    kdev->carried || kg->state == KDUMP_BLOCKED ||
	    no_import_reason(group))
		return;
	if (iommu_kdump_import_member(kg, kdev, &reason)) {
		dev_warn(dev, "iommu: kdump: %s: DMA that has waited since the crash is blocked\n",
			 reason);
		return;
	}
	kg->state = KDUMP_CARRYING;
}

/**
 * iommu_kdump_take_over() - Move a group from the old tables to its default
 *                           domain
 * @group: group whose mutex is held
 * @dev: device whose driver is about to probe, or NULL
 *
 * With the old mappings imported, DMA that is in flight does not notice. If they
 * cannot be, it is blocked, and the group works as after a cold boot. Does
 * nothing if the group does not use old tables (any more), unless @dev could not be
 * attached the last time.
 *
 * Return: 0, or why @dev could not be attached to the default domain.
 */
int iommu_kdump_take_over(struct iommu_group *group, struct device *dev)
{
	struct iommu_kdump_group *kg = group->kdump;
	struct iommu_kdump_dev *kdev;
	int ret;

	if (!iommu_kdump_group_inherited(group)) {
		if (!dev)
			return 0;
		if (!iommu_group_is_parked(group, dev)) {
			import_waiting(group, dev);
			return 0;
		}
		stop_dma(dev);
		return iommu_group_attach_parked(group, dev);
	}

	ret = iommu_group_alloc_blocking_domain(group);
	if (ret)
		return ret;

	/* What waits in it goes on when the driver switches bus mastering on */
	kdev = dev ? iommu_kdump_find_dev(group, dev) : NULL;
	if (kdev && !is_bridge(dev))
		kdev->dma = true;

	decide(kg);

	if (kg->state == KDUMP_BLOCKED && dev)
		stop_dma(dev);

	ret = leave_inherited(kg);
	/* It has been tried right now */
	return dev && iommu_group_is_parked(group, dev) ? ret : 0;
}

/**
 * iommu_kdump_abandon() - Move a group to its default domain without its old mappings
 * @group: group whose mutex is held
 *
 * Somebody is about to attach a domain of his own. Does nothing if the group does not
 * use old tables (any more).
 *
 * Return: 0, or why the group cannot be blocked.
 */
int iommu_kdump_abandon(struct iommu_group *group)
{
	int ret;

	if (!iommu_kdump_group_inherited(group))
		return 0;
	ret = iommu_group_alloc_blocking_domain(group);
	if (ret)
		return ret;
	iommu_kdump_forget(group->kdump);
	group->kdump->state = KDUMP_RELEASED;
	iommu_kdump_prefer_low(group->default_domain);
	leave_inherited(group->kdump);
	return 0;
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
