// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: where old mappings lead
 *
 * A positive list: memory of the crashed kernel, PCI devices, and the registers that
 * MSIs are written to. And the IOVAs that firmware, or hardware, has other plans for.
 */

#define pr_fmt(fmt) "iommu: kdump: " fmt

#include <linux/ioport.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <linux/printk.h>
#include <linux/spinlock.h>

#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "../iommu-priv.h"
#include "kdump.h"
#include "targets.h"

/* One for each frame or file of an interrupt controller: large machines have dozens */
#define MAX_DOORBELLS	128

static DEFINE_SPINLOCK(doorbell_lock);
static struct iommu_kdump_range doorbells[MAX_DOORBELLS];
/* Never fewer, but in tests: what is below it does not change */
static unsigned int nr_doorbells;

/**
 * iommu_kdump_add_doorbell() - MSIs are written there
 * @phys: physical address of the register, or of the first of several
 * @size: bytes
 *
 * For drivers of interrupt controllers whose MSIs go through the IOMMU. Mappings of a
 * crashed kernel that lead there are carried over.
 *
 * Context: Any.
 */
void iommu_kdump_add_doorbell(phys_addr_t phys, size_t size)
{
	unsigned long flags;
	unsigned int nr;

	if (!size)
		return;
	spin_lock_irqsave(&doorbell_lock, flags);
	nr = nr_doorbells;
	if (nr < MAX_DOORBELLS) {
		doorbells[nr].first = phys;
		doorbells[nr].last = phys + size - 1;
		/* Pairs with that of find_doorbell() */
		smp_store_release(&nr_doorbells, nr + 1);
	}
	spin_unlock_irqrestore(&doorbell_lock, flags);
	if (nr == MAX_DOORBELLS)
		pr_warn_once("MSIs to more than %u addresses: those of old devices do not arrive\n",
			     MAX_DOORBELLS);
}

#if IS_ENABLED(CONFIG_KUNIT)
/* Forget the last one that was added */
void iommu_kdump_remove_doorbell(void)
{
	guard(spinlock_irqsave)(&doorbell_lock);
	nr_doorbells--;
}
#endif

/* A page of the domain with a doorbell: that is what kernels map */
static bool find_doorbell(u64 granule, u64 phys, u64 *last)
{
	/* Pairs with that of iommu_kdump_add_doorbell() */
	unsigned int nr = smp_load_acquire(&nr_doorbells), i;

	for (i = 0; i < nr; i++) {
		u64 first = ALIGN_DOWN(doorbells[i].first, granule);
		u64 end = doorbells[i].last | (granule - 1);

		if (phys >= first && phys <= end) {
			*last = min(*last, end);
			return true;
		}
		if (first > phys)
			*last = min(*last, first - 1);
	}
	return false;
}

/**
 * iommu_kdump_find_target() - What is at a physical address?
 * @targets: what is known
 * @phys: the address, which may be any
 * @last: set to the last address up to which the answer holds, at least
 *
 * Return: what it is.
 */
enum iommu_kdump_target
iommu_kdump_find_target(const struct iommu_kdump_targets *targets,
			phys_addr_t phys, u64 *last)
{
	u64 crash_last;
	int i;

	if (iommu_kdump_old_ram_extent(phys, last))
		return KDUMP_TARGET_RAM;

	if (iommu_kdump_crash_mem_extent(phys, &crash_last)) {
		*last = crash_last;
		return KDUMP_TARGET_CRASH;
	}
	*last = min(*last, crash_last);

	if (find_doorbell(targets->granule, phys, last))
		return KDUMP_TARGET_DOORBELL;

	i = iommu_kdump_find_below(&targets->windows, phys);
	if (i >= 0 && phys <= targets->windows.r[i].last) {
		*last = min(*last, targets->windows.r[i].last);
		return KDUMP_TARGET_MMIO;
	}
	if (++i < targets->windows.nr)
		*last = min(*last, targets->windows.r[i].first - 1);
	return KDUMP_TARGET_NOTHING;
}

/**
 * iommu_kdump_ram_start() - An address that is in the same range of RAM
 * @targets: what is known
 * @phys: an address in old RAM
 * @last: the last one of the range that it is in
 *
 * As low as it is easily found. Where an address lower than all before comes, more will.
 *
 * Return: @phys, or one below it.
 */
u64 iommu_kdump_ram_start(const struct iommu_kdump_targets *targets, u64 phys,
			  u64 last)
{
	u64 size, at, at_last;

	for (size = targets->granule; size; size <<= 1) {
		at = ALIGN_DOWN(phys, size);
		if (at < phys && (!iommu_kdump_old_ram_extent(at, &at_last) ||
				  at_last != last))
			break;
		phys = at;
	}
	return phys;
}

/**
 * iommu_kdump_old_ram_size() - How much memory had the crashed kernel?
 *
 * Return: in bytes.
 */
u64 iommu_kdump_old_ram_size(void)
{
	u64 size = 0, addr = 0, last;

	do {
		if (iommu_kdump_old_ram_extent(addr, &last))
			size += last - addr + 1;
		addr = last + 1;
	} while (addr);
	return size;
}

/**
 * iommu_kdump_last_target() - Where does everything end that a device can reach?
 * @targets: what iommu_kdump_find_resources() has found
 *
 * Return: the last address of a page, not below 4 GiB.
 */
u64 iommu_kdump_last_target(const struct iommu_kdump_targets *targets)
{
	u64 end = U32_MAX, addr = 0, last;

	if (targets->windows.nr)
		end = max(end, targets->windows.r[targets->windows.nr - 1].last);
	do {
		if (iommu_kdump_old_ram_extent(addr, &last))
			end = max(end, last);
		addr = last + 1;
	} while (addr);
	return PAGE_ALIGN(end + 1) - 1;
}

static int add_resource(struct resource *res, void *arg)
{
	struct iommu_kdump_targets *targets = arg;

	/* Terabytes of address space for PCI devices, few of which are there */
	if (res->flags & IORESOURCE_WINDOW)
		return 0;
	/* Without memory: what is there is not mapped, unless it lies near to memory */
	iommu_kdump_add_range(&targets->windows, res->start, res->end);
	return 0;
}

/**
 * iommu_kdump_find_resources() - Find what devices reach that are not translated
 * @targets: &iommu_kdump_targets.windows gets all that the crash kernel knows of
 *
 * Registers of PCI devices and chipsets, and firmware's memory.
 */
void iommu_kdump_find_resources(struct iommu_kdump_targets *targets)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_find_resources, targets);

	walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_MEM, 0, -1, targets,
			    add_resource);
	iommu_kdump_merge_ranges(&targets->windows);
}

/**
 * iommu_kdump_find_windows() - Find the address space of PCI devices
 * @targets: &iommu_kdump_targets.windows is filled in
 */
void iommu_kdump_find_windows(struct iommu_kdump_targets *targets)
{
#ifdef CONFIG_PCI
	struct pci_bus *seen = NULL;
	struct pci_dev *pdev = NULL;
	struct resource *res;

	/*
	 * Root buses by their devices: pci_bus_sem, which protects the list of
	 * buses, is held where a reset wants the mutex of the group.
	 */
	for_each_pci_dev(pdev) {
		if (!pci_is_root_bus(pdev->bus) || pdev->bus == seen)
			continue;
		seen = pdev->bus;
		pci_bus_for_each_resource(seen, res) {
			/* Without memory: what leads there is refused */
			if (res && resource_type(res) == IORESOURCE_MEM &&
			    resource_size(res))
				iommu_kdump_add_range(&targets->windows,
						      res->start, res->end);
		}
	}
	iommu_kdump_merge_ranges(&targets->windows);
#endif
}

/**
 * iommu_kdump_find_regions() - IOVAs that are not for the DMA API
 * @group: group whose mutex is held: iommu_get_group_resv_regions() wants it
 * @granule: of the domain that the group uses, whose pages they are
 * @regions: filled in, in ascending order
 *
 * Where a driver puts MSIs by itself is not among them: the DMA API has no such place,
 * and maps doorbells like any buffer.
 *
 * Return: 0 or -ENOMEM.
 */
int iommu_kdump_find_regions(struct iommu_group *group, u64 granule,
			     struct iommu_kdump_ranges *regions)
{
	struct group_device *gdev;
	int ret = 0;

	for_each_group_device(group, gdev) {
		struct iommu_resv_region *region;
		LIST_HEAD(list);

		iommu_get_resv_regions(gdev->dev, &list);
		list_for_each_entry(region, &list, list) {
			u64 last = region->start + region->length - 1;

			if (ret || !region->length ||
			    region->type == IOMMU_RESV_SW_MSI)
				continue;
			ret = iommu_kdump_add_range(regions,
						    ALIGN_DOWN(region->start,
							       granule),
						    last | (granule - 1));
		}
		iommu_put_resv_regions(gdev->dev, &list);
	}
	iommu_kdump_merge_ranges(regions);
	return ret;
}
