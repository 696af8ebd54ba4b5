// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: domain IDs of the crashed kernel
 *
 * Hardware tags what it caches with the ID of a domain. An ID that an entry of the
 * crashed kernel leads to must not be given to a new domain before the last such
 * entry is gone and the caches have been flushed.
 */

#include <linux/export.h>
#include <linux/idr.h>
#include <linux/iommu-kdump.h>
#include <linux/xarray.h>

#include "kdump.h"

/**
 * iommu_kdump_ids_init() - Start to keep old IDs from an allocator
 * @ids: to initialise
 * @ida: allocator of the IOMMU, or of all of them
 * @first: lowest ID that the allocator hands out
 * @last: highest ID that it hands out. Others are never a new domain's, and are not
 *        looked at.
 */
void iommu_kdump_ids_init(struct iommu_kdump_ids *ids, struct ida *ida,
			  u32 first, u32 last)
{
	ids->ida = ida;
	ids->first = first;
	ids->last = last;
	xa_init_flags(&ids->users, XA_FLAGS_LOCK_IRQ);
}
EXPORT_SYMBOL_GPL(iommu_kdump_ids_init);

/**
 * iommu_kdump_ids_destroy() - Undo iommu_kdump_ids_init()
 * @ids: nobody uses it any more. IDs that are still reserved stay so.
 */
void iommu_kdump_ids_destroy(struct iommu_kdump_ids *ids)
{
	xa_destroy(&ids->users);
}

/**
 * iommu_kdump_get_id() - An entry of the crashed kernel leads to an ID
 * @ids: where to count it
 * @id: the ID, which the first entry takes out of the allocator
 *
 * Context: May sleep. Only while tables are taken over.
 *
 * Return: 0, -ENOSPC if the ID is in use by somebody else, -ENOMEM.
 */
int iommu_kdump_get_id(struct iommu_kdump_ids *ids, u32 id)
{
	unsigned long users, flags;
	void *entry;
	int ret;

	if (id < ids->first || id > ids->last)
		return 0;
	entry = xa_load(&ids->users, id);
	users = entry ? xa_to_value(entry) : 0;
	if (!entry) {
		ret = ida_alloc_range(ids->ida, id, id, GFP_KERNEL);
		if (ret < 0)
			return ret;
	}
	xa_lock_irqsave(&ids->users, flags);
	ret = xa_err(__xa_store(&ids->users, id, xa_mk_value(users + 1),
				GFP_ATOMIC | __GFP_NOWARN));
	xa_unlock_irqrestore(&ids->users, flags);
	if (ret && !entry)
		ida_free(ids->ida, id);
	return ret;
}

/**
 * iommu_kdump_put_id() - An entry of the crashed kernel is gone
 * @ids: where it was counted
 * @id: ID that it has led to. One that was never counted is ignored.
 *
 * Context: Any. What hardware has cached under the ID must have been flushed.
 */
void iommu_kdump_put_id(struct iommu_kdump_ids *ids, u32 id)
{
	unsigned long flags;
	void *entry;

	xa_lock_irqsave(&ids->users, flags);
	entry = xa_load(&ids->users, id);
	/* Replacing a value by a value needs no memory */
	if (entry && xa_to_value(entry))
		__xa_store(&ids->users, id,
			   xa_mk_value(xa_to_value(entry) - 1), 0);
	xa_unlock_irqrestore(&ids->users, flags);
}

/**
 * iommu_kdump_free_ids() - Give IDs back that no old entry leads to any more
 * @ids: where they were counted
 *
 * Called by the core after a release, and by the driver when its allocator is empty.
 *
 * Context: Any.
 *
 * Return: true if there was one.
 */
bool iommu_kdump_free_ids(struct iommu_kdump_ids *ids)
{
	unsigned long flags, id;
	bool freed = false;
	void *entry;

	xa_lock_irqsave(&ids->users, flags);
	xa_for_each(&ids->users, id, entry) {
		if (xa_to_value(entry))
			continue;
		__xa_erase(&ids->users, id);
		ida_free(ids->ida, id);
		freed = true;
	}
	xa_unlock_irqrestore(&ids->users, flags);
	return freed;
}
EXPORT_SYMBOL_GPL(iommu_kdump_free_ids);
