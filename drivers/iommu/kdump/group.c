// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: groups that have inherited something
 *
 * Is this a crash kernel that inherits; which groups there are; what is known of a
 * device. When any of it changes is said in core.c and release.c.
 */

#define pr_fmt(fmt) "iommu: kdump: " fmt

#include <linux/crash_dump.h>
#include <linux/device.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/iommu.h>
#include <linux/kexec.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/xarray.h>

#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "../iommu-priv.h"
#include "kdump.h"

/* All struct iommu_kdump_group, whatever their state, by the number of the group */
static DEFINE_XARRAY(kdump_groups);

static bool kdump_inherit __ro_after_init = true;

static const struct iommu_domain_ops inherited_domain_ops = {};

struct iommu_domain iommu_kdump_inherited_domain = {
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

/**
 * iommu_kdump_enabled() - May translations of a crashed kernel be inherited?
 *
 * Context: Any.
 *
 * Return: true in a crash kernel of 64 bits, unless its command line asks for a clean
 * slate (iommu.kdump=block). If false in a crash kernel an IOMMU driver keeps nothing
 * of what it finds, and blocks the DMA of every device that has no domain yet.
 */
bool iommu_kdump_enabled(void)
{
	/* There, not every address in old tables is one of this kernel's */
	return IS_ENABLED(CONFIG_64BIT) && iommu_kdump_active() && kdump_inherit;
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
 * iommu_kdump_keeps_translation() - Must an IOMMU go on to translate for good?
 *
 * For the shutdown of an IOMMU driver. DMA of the crashed kernel goes on until the
 * platform is reset, and nobody waits for its end. Another kernel that is started by
 * kexec needs not to find translation on; it is started after PCI has ended the bus
 * mastering of every device.
 *
 * Context: Any.
 *
 * Return: true in a crash kernel, unless it starts another kernel.
 */
bool iommu_kdump_keeps_translation(void)
{
	return iommu_kdump_active() && !kexec_in_progress;
}
EXPORT_SYMBOL_GPL(iommu_kdump_keeps_translation);

/**
 * iommu_kdump_takes_part() - Does the framework care about a device?
 * @dev: the device
 *
 * Return: true in a crash kernel, if the driver of its IOMMU has opted in.
 */
bool iommu_kdump_takes_part(struct device *dev)
{
	return iommu_kdump_active() && dev->iommu && dev->iommu->iommu_dev &&
	       dev->iommu->iommu_dev->kdump;
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
	return domain == &iommu_kdump_inherited_domain;
}

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

/**
 * iommu_kdump_new_group() - Begin to remember what a group has inherited
 * @group: group without, its mutex is held
 *
 * Return: nothing yet, NULL if there is no memory.
 */
struct iommu_kdump_group *iommu_kdump_new_group(struct iommu_group *group)
{
	struct iommu_kdump_group *kg;

	kg = kzalloc_obj(*kg, KDUMP_GFP);
	if (!kg)
		return NULL;
	kg->group = group;
	INIT_LIST_HEAD(&kg->devs);
	if (xa_err(xa_store(&kdump_groups, group->id, kg, KDUMP_GFP))) {
		kfree(kg);
		return NULL;
	}
	group->kdump = kg;
	return kg;
}

/**
 * iommu_kdump_find_dev() - What a device has inherited
 * @group: its group, whose mutex is held
 * @dev: the device
 *
 * Return: NULL if there was no memory to remember it, or nobody has asked.
 */
struct iommu_kdump_dev *iommu_kdump_find_dev(struct iommu_group *group,
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
