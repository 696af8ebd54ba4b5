// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: entries of the crashed kernel
 *
 * Hardware finds an entry for each ID of a device: a requester ID, a stream ID, a
 * device ID. What is known of an ID, whether there is a device for it or not, is
 * kept here: if its entry is still the one of the crashed kernel, and with which
 * domain ID; if it was refused; how often it has faulted.
 */

#define pr_fmt(fmt) "iommu: kdump: " fmt

#include <linux/device.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include <kunit/visibility.h>

#include "../iommu-priv.h"
#include "kdump.h"

/* So many faults, and the ID faults silently from then on */
#define MAX_FAULTS	16

/**
 * struct entry - what is known of an ID
 * @domain_id: that the old entry leads to
 * @faults: since the old entry is gone, or since the boot
 * @to_silence: there have been so many of them that the driver is to silence it
 * @silent: its faults are not reported any more
 * @old: hardware still uses the entry of the crashed kernel
 * @left: it did
 *
 * What is about faults is under &iommu_kdump_entries.fault_lock, the rest under the lock
 * of the array.
 */
struct entry {
	u32 domain_id;
	u16 faults;
	bool to_silence;
	bool silent;
	bool old;
	bool left;
};

/* With the lock of the array held. NULL if there is no memory. */
static struct entry *get_entry(struct iommu_kdump_entries *entries, u32 id)
{
	struct entry *entry = xa_load(&entries->xa, id);

	if (entry)
		return entry;
	entry = kzalloc_obj(*entry, GFP_ATOMIC | __GFP_NOWARN);
	if (entry &&
	    xa_err(__xa_store(&entries->xa, id, entry,
			      GFP_ATOMIC | __GFP_NOWARN))) {
		kfree(entry);
		return NULL;
	}
	return entry;
}

/* With the lock of faults held */
static void add_faults(struct entry *entry, unsigned int nr)
{
	unsigned int before = entry->faults;

	entry->faults += nr;
	/* And again if it goes on */
	if ((before + nr) / MAX_FAULTS != before / MAX_FAULTS)
		entry->to_silence = true;
}

/* Those of IDs that nothing was known of when they began */
static void count_new_faults(struct iommu_kdump_entries *entries)
{
	struct entry *entry;
	unsigned int i, nr;
	u32 id;

	for (i = 0; i < ARRAY_SIZE(entries->new_faults); i++) {
		struct iommu_kdump_new_faults *new = &entries->new_faults[i];

		raw_spin_lock_irq(&entries->fault_lock);
		nr = new->nr;
		id = new->id;
		raw_spin_unlock_irq(&entries->fault_lock);
		if (!nr)
			continue;

		xa_lock_irq(&entries->xa);
		entry = get_entry(entries, id);
		xa_unlock_irq(&entries->xa);

		raw_spin_lock_irq(&entries->fault_lock);
		if (entry)
			add_faults(entry, new->nr);
		new->nr = 0;
		raw_spin_unlock_irq(&entries->fault_lock);
		/* Without memory to count them it is silenced at once */
		if (!entry)
			entries->ops->silence(entries, id);
	}
}

static void silence_work_fn(struct work_struct *work)
{
	struct iommu_kdump_entries *entries =
		container_of(work, struct iommu_kdump_entries, silence_work);
	struct entry *entry;
	unsigned long id;

	count_new_faults(entries);
	xa_for_each(&entries->xa, id, entry) {
		bool wanted, before;

		/* What comes from here on asks again */
		raw_spin_lock_irq(&entries->fault_lock);
		wanted = entry->to_silence;
		entry->to_silence = false;
		before = entry->silent;
		raw_spin_unlock_irq(&entries->fault_lock);
		if (!wanted)
			continue;

		entries->ops->silence(entries, id);

		/* Also if the driver has replaced an old entry to that end */
		raw_spin_lock_irq(&entries->fault_lock);
		entry->silent = true;
		raw_spin_unlock_irq(&entries->fault_lock);
		if (!before)
			pr_warn("%s: %#lx keeps faulting: its faults are not reported any more\n",
				entries->name, id);
	}
}

/**
 * iommu_kdump_entries_init() - Nothing is known yet
 * @entries: to initialise
 * @ops: what the driver does for the core
 * @ids: the domain IDs that entries lead to, NULL if hardware has none
 * @name: of the IOMMU, for the log. Lives as long as @entries.
 *
 * &iommu_device.kdump has to point there before the IOMMU is registered.
 */
void iommu_kdump_entries_init(struct iommu_kdump_entries *entries,
			      const struct iommu_kdump_entry_ops *ops,
			      struct iommu_kdump_ids *ids, const char *name)
{
	entries->ops = ops;
	entries->ids = ids;
	entries->name = name;
	xa_init_flags(&entries->xa, XA_FLAGS_LOCK_IRQ);
	raw_spin_lock_init(&entries->fault_lock);
	INIT_WORK(&entries->silence_work, silence_work_fn);
}
EXPORT_SYMBOL_GPL(iommu_kdump_entries_init);

/**
 * iommu_kdump_entries_destroy() - Undo iommu_kdump_entries_init()
 * @entries: of an IOMMU that reports no faults any more. Domain IDs of old entries
 *           stay kept.
 *
 * Context: May sleep.
 */
void iommu_kdump_entries_destroy(struct iommu_kdump_entries *entries)
{
	struct entry *entry;
	unsigned long id;

	cancel_work_sync(&entries->silence_work);
	xa_for_each(&entries->xa, id, entry)
		kfree(entry);
	xa_destroy(&entries->xa);
	kfree(entries->refused);
	entries->refused = NULL;
	entries->nr_refused = 0;
	entries->refused_all = false;
}
EXPORT_SYMBOL_GPL(iommu_kdump_entries_destroy);

/**
 * iommu_kdump_keep_entry() - An entry of the crashed kernel stays in use
 * @entries: where to remember it
 * @id: ID that it is for
 * @domain_id: domain ID that it leads to, which is kept from the allocator
 *
 * Context: Any that the allocator of domain IDs may be used in. Only while tables
 * are taken over.
 *
 * Return: 0, -ENOSPC if the domain ID is in use by somebody else, -ENOMEM. The
 * entry must be refused then.
 */
int iommu_kdump_keep_entry(struct iommu_kdump_entries *entries, u32 id,
			   u32 domain_id)
{
	struct entry *entry;
	unsigned long flags;
	int ret = 0;

	if (entries->ids) {
		ret = iommu_kdump_get_id(entries->ids, domain_id);
		if (ret)
			return ret;
	}
	xa_lock_irqsave(&entries->xa, flags);
	entry = get_entry(entries, id);
	if (entry) {
		entry->domain_id = domain_id;
		entry->old = true;
	} else {
		ret = -ENOMEM;
	}
	xa_unlock_irqrestore(&entries->xa, flags);
	if (ret && entries->ids)
		iommu_kdump_put_id(entries->ids, domain_id);
	return ret;
}
EXPORT_SYMBOL_GPL(iommu_kdump_keep_entry);

/**
 * iommu_kdump_refuse_entries() - Entries of the crashed kernel are not kept
 * @entries: where to remember it
 * @first: first ID
 * @nr: how many, 0 for all that there are
 *
 * Their devices are blocked, and the core has to know that old DMA goes on trying
 * at IOVAs that nobody has seen.
 *
 * Context: May sleep. Only while tables are taken over.
 */
void iommu_kdump_refuse_entries(struct iommu_kdump_entries *entries, u32 first,
				u32 nr)
{
	struct iommu_kdump_range *range;
	u64 last = (u64)first + nr - 1;

	if (!nr)
		entries->refused_all = true;
	if (entries->refused_all)
		return;
	if (entries->nr_refused) {
		range = &entries->refused[entries->nr_refused - 1];
		if (range->last + 1 == first) {
			range->last = last;
			return;
		}
	}
	/* A power of 2 is full */
	if (!(entries->nr_refused & (entries->nr_refused - 1))) {
		range = krealloc(entries->refused,
				 array_size(max(2 * entries->nr_refused, 1),
					    sizeof(*range)), GFP_KERNEL);
		/* Refusing too many is safe */
		if (!range) {
			entries->refused_all = true;
			return;
		}
		entries->refused = range;
	}
	range = &entries->refused[entries->nr_refused++];
	range->first = first;
	range->last = last;
}
EXPORT_SYMBOL_GPL(iommu_kdump_refuse_entries);

/**
 * iommu_kdump_entry_was_refused() - Was the entry of an ID refused?
 * @entries: where it was remembered
 * @id: the ID
 *
 * Return: true if it was, or may have been.
 */
bool iommu_kdump_entry_was_refused(const struct iommu_kdump_entries *entries,
				   u32 id)
{
	unsigned int i;

	for (i = 0; i < entries->nr_refused && !entries->refused_all; i++) {
		if (id >= entries->refused[i].first &&
		    id <= entries->refused[i].last)
			return true;
	}
	return entries->refused_all;
}

/**
 * iommu_kdump_entry_is_old() - Does hardware use an entry of the crashed kernel?
 * @entries: of the IOMMU
 * @id: the ID
 *
 * For whoever is about to write the entry, under the lock that protects it. If true,
 * DMA of the crashed kernel is in flight: the new entry must replace the old one in
 * one store, and after the flush iommu_kdump_entry_left() must be called.
 *
 * Context: Any.
 *
 * Return: true if it does.
 */
bool iommu_kdump_entry_is_old(struct iommu_kdump_entries *entries, u32 id)
{
	struct entry *entry;
	unsigned long flags;
	bool old;

	if (likely(xa_empty(&entries->xa)))
		return false;
	xa_lock_irqsave(&entries->xa, flags);
	entry = xa_load(&entries->xa, id);
	old = entry && entry->old;
	xa_unlock_irqrestore(&entries->xa, flags);
	return old;
}
EXPORT_SYMBOL_GPL(iommu_kdump_entry_is_old);

/**
 * iommu_kdump_entry_left() - An entry of the crashed kernel has been replaced
 * @entries: of the IOMMU
 * @id: the ID
 *
 * What hardware had cached of it, under the old domain ID as well, has been flushed.
 * The domain ID is free once no other entry leads to it.
 *
 * Context: Any.
 *
 * Return: true once for each entry, false if it has been replaced before or was
 * never the crashed kernel's.
 */
bool iommu_kdump_entry_left(struct iommu_kdump_entries *entries, u32 id)
{
	struct entry *entry;
	unsigned long flags;
	bool old = false;
	u32 domain_id;

	if (likely(xa_empty(&entries->xa)))
		return false;
	xa_lock_irqsave(&entries->xa, flags);
	entry = xa_load(&entries->xa, id);
	if (entry && entry->old) {
		old = true;
		domain_id = entry->domain_id;
		entry->old = false;
		entry->left = true;
		/* What faults from now on is the crash kernel's own */
		raw_spin_lock(&entries->fault_lock);
		entry->faults = 0;
		entry->silent = false;
		raw_spin_unlock(&entries->fault_lock);
	}
	xa_unlock_irqrestore(&entries->xa, flags);
	if (old && entries->ids)
		iommu_kdump_put_id(entries->ids, domain_id);
	return old;
}
EXPORT_SYMBOL_GPL(iommu_kdump_entry_left);

/**
 * iommu_kdump_entry_was_left() - Has an entry of the crashed kernel been replaced?
 * @entries: of the IOMMU
 * @id: the ID
 *
 * Return: true if iommu_kdump_entry_left() has returned true for it.
 */
bool iommu_kdump_entry_was_left(struct iommu_kdump_entries *entries, u32 id)
{
	struct entry *entry;
	bool left;

	xa_lock_irq(&entries->xa);
	entry = xa_load(&entries->xa, id);
	left = entry && entry->left;
	xa_unlock_irq(&entries->xa);
	return left;
}

struct each_id {
	int (*fn)(struct iommu_kdump_entries *entries, u32 id, void *data);
	struct iommu_kdump_entries *entries;
	void *data;
};

#ifdef CONFIG_PCI
static int each_alias(struct pci_dev *pdev, u16 alias, void *data)
{
	struct each_id *each = data;

	return each->fn(each->entries, alias, each->data);
}
#endif

/**
 * iommu_kdump_walk_ids() - Go through the IDs of a device
 * @entries: of its IOMMU
 * @dev: the device
 * @fn: called for each ID, for some of them twice. Anything but 0 ends the loop.
 * @data: for @fn
 *
 * They are what firmware says, else those that PCI gives to the device and its
 * aliases, and one that only its IOMMU driver knows.
 *
 * Return: what @fn has returned last.
 */
int iommu_kdump_walk_ids(struct iommu_kdump_entries *entries,
			 struct device *dev,
			 int (*fn)(struct iommu_kdump_entries *entries, u32 id,
				   void *data), void *data)
{
	struct iommu_fwspec *fwspec = dev_iommu_fwspec_get(dev);
	unsigned int i;
	int ret = 0;

	if (fwspec && fwspec->num_ids) {
		for (i = 0; i < fwspec->num_ids && !ret; i++)
			ret = fn(entries, fwspec->ids[i], data);
	}
#ifdef CONFIG_PCI
	else if (dev_is_pci(dev)) {
		struct each_id each = {
			.fn = fn,
			.entries = entries,
			.data = data,
		};

		ret = pci_for_each_dma_alias(pci_real_dma_dev(to_pci_dev(dev)),
					     each_alias, &each);
	}
#endif
	if (!ret && entries->ops->own_id)
		ret = fn(entries, entries->ops->own_id(entries, dev),
			 data);
	return ret;
}

static int is_old(struct iommu_kdump_entries *entries, u32 id, void *data)
{
	return iommu_kdump_entry_is_old(entries, id);
}

/**
 * iommu_kdump_dev_is_old() - Does hardware use the crashed kernel's entries for a
 *                            device?
 * @entries: of its IOMMU
 * @dev: the device, its driver data is set up
 *
 * What is attached to the device next replaces them.
 *
 * Context: Any that the IDs of a device may be looked up in.
 *
 * Return: true if it does for at least one ID of the device.
 */
bool iommu_kdump_dev_is_old(struct iommu_kdump_entries *entries,
			    struct device *dev)
{
	if (likely(xa_empty(&entries->xa)))
		return false;
	return iommu_kdump_walk_ids(entries, dev, is_old, NULL);
}

/* Where those of an ID are, else where there is room, else NULL */
static struct iommu_kdump_new_faults *
find_new_faults(struct iommu_kdump_entries *entries, u32 id)
{
	struct iommu_kdump_new_faults *room = NULL;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(entries->new_faults); i++) {
		struct iommu_kdump_new_faults *new = &entries->new_faults[i];

		if (!new->nr)
			room = new;
		else if (new->id == id)
			return new;
	}
	return room;
}

/* Takes raw spinlocks only, and allocates nothing */
VISIBLE_IF_KUNIT bool iommu_kdump_count_fault(struct iommu_kdump_entries *entries,
					      u32 id)
{
	struct iommu_kdump_new_faults *new;
	bool enough = true, work = true;
	struct entry *entry = NULL;
	unsigned long flags;

	raw_spin_lock_irqsave(&entries->fault_lock, flags);
	new = find_new_faults(entries, id);
	/* It is not freed before the IOMMU reports no faults any more */
	if (!new || !new->nr)
		entry = xa_load(&entries->xa, id);
	if (entry) {
		enough = entry->silent || entry->faults >= MAX_FAULTS;
		add_faults(entry, 1);
		work = entry->to_silence;
	} else if (new && new->nr < MAX_FAULTS) {
		new->id = id;
		new->nr++;
		enough = false;
	}
	raw_spin_unlock_irqrestore(&entries->fault_lock, flags);
	if (work)
		queue_work(system_dfl_wq, &entries->silence_work);
	return enough;
}

/**
 * iommu_kdump_fault() - A device has done something that hardware reports
 * @entries: of the IOMMU
 * @id: ID that hardware gives for it, which need not exist
 *
 * A device that keeps faulting must not cost the dump. &iommu_kdump_entry_ops.silence
 * is called for it after a number of faults, and again if it goes on; where there is no
 * memory to count them, after the first ones.
 *
 * Context: Any, also an interrupt that is no thread with PREEMPT_RT.
 *
 * Return: true if there have been enough of them in the log.
 */
bool iommu_kdump_fault(struct iommu_kdump_entries *entries, u32 id)
{
	return iommu_kdump_active() && iommu_kdump_count_fault(entries, id);
}
