// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel IOMMU: callbacks of the crashdump framework
 *
 * Root and context tables are taken over per IOMMU when the driver starts: every
 * entry of the crashed kernel is validated and copied, what is not valid blocks
 * without reporting. Translation stays on all the time. The page tables, and the
 * PASID tables of scalable mode, stay where they are until the group moves to
 * its new domain.
 *
 * References are to the "Intel Virtualization Technology for Directed I/O
 * Architecture Specification", revision 4.1.
 */

#define pr_fmt(fmt)	"DMAR: kdump: " fmt

#include <linux/crash_dump.h>
#include <linux/dmar.h>
#include <linux/generic_pt/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/pci.h>
#include <linux/workqueue.h>

#include "iommu.h"
#include "pasid.h"
#include "../iommu-pages.h"

#define ROOT_ENTRY_RSVD		GENMASK_ULL(11, 1)
#define CONTEXT_RSVD_LO		GENMASK_ULL(11, 4)
#define CONTEXT_RSVD_HI		(BIT_ULL(7) | GENMASK_ULL(63, 24))
#define SM_CONTEXT_RSVD_LO	GENMASK_ULL(8, 5)
#define SM_CONTEXT_PRE		BIT_ULL(4)
#define SM_CONTEXT_RSVD_HI	GENMASK_ULL(63, 21)
#define SM_CONTEXT_RID_PASID	GENMASK_ULL(19, 0)
#define PASID_PDE_RSVD		GENMASK_ULL(11, 2)
#define PASID_PTE_RSVD_0	GENMASK_ULL(11, 10)
#define PASID_PTE_RSVD_1	GENMASK_ULL(22, 16)
#define PASID_PTE_RSVD_2	GENMASK_ULL(11, 8)
#define CONTEXT_TT_RSVD		3

/* Page table formats, for struct iommu_kdump_tables */
enum {
	OLD_SECOND_STAGE,
	OLD_FIRST_STAGE,
};

/* An address that the crashed kernel wrote must be followed only into its RAM */
static bool old_page(u64 phys)
{
	return iommu_kdump_is_old_ram(phys, VTD_PAGE_SIZE);
}

static int second_stage(struct intel_iommu *iommu, u64 root, unsigned int aw,
			struct iommu_kdump_tables *tables)
{
	if (!(cap_sagaw(iommu->cap) & BIT(aw)) || !old_page(root))
		return -EUCLEAN;
	tables->type = IOMMU_KDUMP_PAGING;
	tables->format = OLD_SECOND_STAGE;
	tables->levels = agaw_to_level(aw);
	tables->root = root;
	return 0;
}

/* @val is the third word of the PASID table entry */
static int first_stage(struct intel_iommu *iommu, u64 val,
		       struct iommu_kdump_tables *tables)
{
	/* FSPM: 0 is four levels, 1 is five */
	unsigned int fspm = (val >> 2) & 3;

	if (!ecap_flts(iommu->ecap) || (val & PASID_PTE_RSVD_2) ||
	    fspm > cap_fl5lp_support(iommu->cap) ||
	    !old_page(val & VTD_PAGE_MASK))
		return -EUCLEAN;
	tables->type = IOMMU_KDUMP_PAGING;
	tables->format = OLD_FIRST_STAGE;
	tables->levels = 4 + fspm;
	tables->root = val & VTD_PAGE_MASK;
	return 0;
}

/* Section 9.3, Context Entry */
static int decode_context(struct intel_iommu *iommu,
			  const struct context_entry *ce,
			  struct iommu_kdump_tables *tables)
{
	if ((ce->lo & CONTEXT_RSVD_LO) || (ce->hi & CONTEXT_RSVD_HI))
		return -EUCLEAN;

	tables->id = (ce->hi >> 8) & 0xffff;
	switch ((ce->lo >> 2) & 3) {
	case CONTEXT_TT_PASS_THROUGH:
		if (!ecap_pass_through(iommu->ecap))
			return -EUCLEAN;
		tables->type = IOMMU_KDUMP_IDENTITY;
		return 0;
	case CONTEXT_TT_DEV_IOTLB:
		if (!ecap_dev_iotlb_support(iommu->ecap))
			return -EUCLEAN;
		fallthrough;
	case CONTEXT_TT_MULTI_LEVEL:
		return second_stage(iommu, ce->lo & VTD_PAGE_MASK, ce->hi & 7,
				    tables);
	default:
		return -EUCLEAN;
	}
}

/* Read @nr words of a table of the crashed kernel that do not cross a page */
static int read_old(u64 phys, u64 *val, unsigned int nr)
{
	const void *page;
	const u64 *src;
	unsigned int i;

	page = iommu_kdump_map_old(phys & VTD_PAGE_MASK);
	if (IS_ERR(page))
		return PTR_ERR(page);
	src = page + offset_in_page(phys);
	for (i = 0; i < nr; i++)
		val[i] = READ_ONCE(src[i]);
	iommu_kdump_unmap_old(page);
	return 0;
}

/*
 * Sections 9.4 to 9.6: the scalable mode context entry points to a PASID
 * directory, a directory entry to a PASID table. DMA without PASID uses the
 * table entry that RID_PASID selects.
 */
static int decode_sm_context(struct intel_iommu *iommu,
			     const struct context_entry *ce,
			     struct iommu_kdump_tables *tables)
{
	u32 pasid = ce->hi & SM_CONTEXT_RID_PASID;
	u64 pde, pte[3];
	int ret;

	if ((ce->lo & SM_CONTEXT_RSVD_LO) || (ce->hi & SM_CONTEXT_RSVD_HI) ||
	    (pasid >> PASID_PDE_SHIFT) >= get_pasid_dir_size(ce))
		return -EUCLEAN;

	ret = read_old((ce->lo & VTD_PAGE_MASK) +
		       (pasid >> PASID_PDE_SHIFT) * sizeof(pde), &pde, 1);
	if (ret)
		return ret;
	if (!(pde & PASID_PTE_PRESENT)) {
		tables->type = IOMMU_KDUMP_BLOCKED;
		return 0;
	}
	if (pde & PASID_PDE_RSVD)
		return -EUCLEAN;

	ret = read_old((pde & VTD_PAGE_MASK) +
		       (pasid & PASID_PTE_MASK) * sizeof(struct pasid_entry),
		       pte, ARRAY_SIZE(pte));
	if (ret)
		return ret;
	if (!(pte[0] & PASID_PTE_PRESENT)) {
		tables->type = IOMMU_KDUMP_BLOCKED;
		return 0;
	}

	if ((pte[0] & PASID_PTE_RSVD_0) || (pte[1] & PASID_PTE_RSVD_1))
		return -EUCLEAN;

	tables->id = pte[1] & 0xffff;
	switch ((pte[0] >> 6) & 7) {
	case PASID_ENTRY_PGTT_FL_ONLY:
		return first_stage(iommu, pte[2], tables);
	case PASID_ENTRY_PGTT_SL_ONLY:
	case PASID_ENTRY_PGTT_NESTED:
		if (!ecap_slts(iommu->ecap))
			return -EUCLEAN;
		ret = second_stage(iommu, pte[0] & VTD_PAGE_MASK,
				   (pte[0] >> 2) & 7, tables);
		/* The first stage is where the second stage says it is */
		if (!ret && ((pte[0] >> 6) & 7) == PASID_ENTRY_PGTT_NESTED)
			ret = ecap_nest(iommu->ecap) ? -EOPNOTSUPP : -EUCLEAN;
		return ret;
	case PASID_ENTRY_PGTT_PT:
		if (!ecap_pass_through(iommu->ecap))
			return -EUCLEAN;
		tables->type = IOMMU_KDUMP_IDENTITY;
		return 0;
	default:
		return -EUCLEAN;
	}
}

static int decode(struct intel_iommu *iommu, const struct context_entry *ce,
		  struct iommu_kdump_tables *tables)
{
	if (sm_supported(iommu))
		return decode_sm_context(iommu, ce, tables);
	return decode_context(iommu, ce, tables);
}

/* IDs below are not allocated: what is tagged with them is never a domain's */
static int get_did(struct intel_iommu *iommu, u16 did)
{
	if (did < IDA_START_DID || did >= iommu->max_domain_id)
		return 0;
	return iommu_kdump_get_id(&iommu->kdump_dids, did);
}

/* Where hardware finds the entry of a requester ID, NULL if nowhere */
static struct context_entry *find_context(struct intel_iommu *iommu, u8 bus,
					  u8 devfn)
{
	struct root_entry *root = &iommu->root_entry[bus];
	u64 entry = root->lo;
	unsigned int idx = devfn;

	if (sm_supported(iommu)) {
		if (devfn >= 0x80)
			entry = root->hi;
		idx = (devfn & 0x7f) * 2;
	}
	if (!(entry & 1))
		return NULL;
	return (struct context_entry *)phys_to_virt(entry & VTD_PAGE_MASK) +
	       idx;
}

/* A scalable mode entry is twice as large, its upper half is reserved */
static unsigned int entry_step(struct intel_iommu *iommu)
{
	return sm_supported(iommu) ? 2 : 1;
}

struct take_over_stats {
	unsigned int entries;
	unsigned int refused;
	unsigned int pasids;
	unsigned int lost_tables;
};

/* One table: 256 entries of legacy mode, 128 of scalable mode, from @rid on */
static struct context_entry * __init
copy_context_table(struct intel_iommu *iommu, u64 old_phys, u16 rid,
		   struct take_over_stats *stats)
{
	unsigned int step = entry_step(iommu);
	const struct context_entry *old;
	struct context_entry *new;
	unsigned int i;

	new = iommu_alloc_pages_node_sz(iommu->node, GFP_KERNEL, SZ_4K);
	if (!new)
		return ERR_PTR(-ENOMEM);
	memcpy(new, iommu->kdump_blocked, SZ_4K);

	old = iommu_kdump_map_old(old_phys);
	if (IS_ERR(old)) {
		iommu_free_pages(new);
		return ERR_CAST(old);
	}
	for (i = 0; i < SZ_4K / sizeof(*old); i += step, rid++) {
		struct iommu_kdump_tables tables = {};
		struct context_entry ce;
		int ret;

		ce.hi = READ_ONCE(old[i].hi);
		ce.lo = READ_ONCE(old[i].lo);
		if (!context_present(&ce))
			continue;

		ret = decode(iommu, &ce, &tables);
		if (step > 1 && (READ_ONCE(old[i + 1].lo) ||
				 READ_ONCE(old[i + 1].hi)))
			ret = -EUCLEAN;
		/* Understood, but not by the framework: the group is blocked */
		if (ret == -EOPNOTSUPP)
			ret = 0;
		if (!ret)
			ret = get_did(iommu, tables.id);
		if (ret) {
			iommu_kdump_refuse(&iommu->kdump_refused, rid, 1);
			stats->refused++;
			continue;
		}
		stats->entries++;
		if (sm_supported(iommu) && (ce.lo & CONTEXT_PASIDE)) {
			/* The processes that PASIDs belong to are dead */
			ce.lo &= ~(CONTEXT_PASIDE | SM_CONTEXT_PRE);
			stats->pasids++;
		}
		new[i] = ce;
	}
	iommu_kdump_unmap_old(old);
	__iommu_flush_cache(iommu, new, SZ_4K);
	return new;
}

static void __init lose_table(struct intel_iommu *iommu, u16 rid,
			      struct take_over_stats *stats)
{
	iommu_kdump_refuse(&iommu->kdump_refused, rid,
			   sm_supported(iommu) ? 128 : 256);
	stats->lost_tables++;
}

static void __init take_over_table(struct intel_iommu *iommu, u64 old, u64 *new,
				   u16 rid, struct take_over_stats *stats)
{
	struct context_entry *table;

	if (!(old & 1))
		return;
	if (old & ROOT_ENTRY_RSVD)
		table = ERR_PTR(-EUCLEAN);
	else
		table = copy_context_table(iommu, old & VTD_PAGE_MASK, rid,
					   stats);
	if (IS_ERR(table))
		lose_table(iommu, rid, stats);
	else
		*new = virt_to_phys(table) | 1;
}

static int __init take_over_root(struct intel_iommu *iommu, u64 old_phys,
				 struct take_over_stats *stats)
{
	struct root_entry *new = iommu->root_entry;
	const struct root_entry *old;
	unsigned int bus;

	old = iommu_kdump_map_old(old_phys);
	if (IS_ERR(old))
		return PTR_ERR(old);
	for (bus = 0; bus < ROOT_ENTRY_NR; bus++) {
		u64 lo = READ_ONCE(old[bus].lo), hi = READ_ONCE(old[bus].hi);

		/* Section 9.1: the upper half is reserved in legacy mode */
		if (!sm_supported(iommu) && hi) {
			if (lo & 1)
				lose_table(iommu, PCI_DEVID(bus, 0), stats);
			continue;
		}
		take_over_table(iommu, lo, &new[bus].lo, PCI_DEVID(bus, 0),
				stats);
		take_over_table(iommu, hi, &new[bus].hi, PCI_DEVID(bus, 0x80),
				stats);
	}
	iommu_kdump_unmap_old(old);
	return 0;
}

/* Nothing passes, nothing is reported: a page that all buses can share */
static void __init block_all(struct intel_iommu *iommu)
{
	struct context_entry *blocked;
	unsigned int i;

	blocked = iommu_alloc_pages_node_sz(iommu->node, GFP_KERNEL, SZ_4K);
	/* Without it nothing passes either, but every attempt is reported */
	if (!blocked)
		return;
	for (i = 0; i < SZ_4K / sizeof(*blocked); i += entry_step(iommu))
		blocked[i].lo = CONTEXT_FPD;
	__iommu_flush_cache(iommu, blocked, SZ_4K);
	iommu->kdump_blocked = blocked;

	for (i = 0; i < ROOT_ENTRY_NR; i++) {
		iommu->root_entry[i].lo = virt_to_phys(blocked) | 1;
		if (sm_supported(iommu))
			iommu->root_entry[i].hi = virt_to_phys(blocked) | 1;
	}
}

/**
 * intel_kdump_take_over() - Take root and context tables over from the crashed
 *                           kernel
 * @iommu: IOMMU that translates, whose new root table is empty and not in use
 *
 * Fills in the new root table: entries that are valid as the crashed kernel had
 * them, the others blocked. If nothing can be taken over, all of it blocks. In no
 * case is translation switched off, and nothing of the crashed kernel's memory is
 * written.
 *
 * Section 9.1 (root entries), 9.3 and 9.4 (context entries), 11.4.5 (Root Table
 * Address Register).
 *
 * Context: May sleep.
 */
void __init intel_kdump_take_over(struct intel_iommu *iommu)
{
	struct take_over_stats stats = {};
	const char *reason = NULL;
	u64 rtaddr;
	int ret;

	block_all(iommu);

	rtaddr = readq(iommu->reg + DMAR_RTADDR_REG);
	if (!iommu_kdump_enabled())
		reason = "the command line asks for it";
	else if (!!(rtaddr & DMA_RTADDR_SMT) != !!sm_supported(iommu))
		reason = "another IOMMU has a root table of the other mode";
	else if (!iommu->kdump_blocked)
		reason = "out of memory";

	if (!reason) {
		ret = take_over_root(iommu, rtaddr & VTD_PAGE_MASK, &stats);
		if (ret)
			reason = ret == -ENOMEM ?
				"out of memory" :
				"root table is not in its memory";
	}
	__iommu_flush_cache(iommu, iommu->root_entry, ROOT_SIZE);

	if (reason) {
		iommu->kdump_refused.all = true;
		pr_warn("%s: nothing inherited, %s: all devices are blocked until their drivers come\n",
			iommu->name, reason);
		return;
	}
	if (stats.lost_tables)
		pr_warn("%s: %u context tables are corrupt or could not be copied: the devices of their buses are blocked\n",
			iommu->name, stats.lost_tables);
	pr_info("%s: %s mode: %u requester IDs inherited, %u refused and blocked, PASIDs of %u blocked\n",
		iommu->name, sm_supported(iommu) ? "scalable" : "legacy",
		stats.entries, stats.refused, stats.pasids);
}

static int each_requester_id(struct device_domain_info *info,
			     int (*fn)(struct pci_dev *pdev, u16 alias,
				       void *data),
			     void *data)
{
	if (!dev_is_pci(info->dev))
		return fn(NULL, PCI_DEVID(info->bus, info->devfn), data);
	return pci_for_each_dma_alias(to_pci_dev(info->dev), fn, data);
}

struct inherit_data {
	struct intel_iommu *iommu;
	struct iommu_kdump_tables *tables;
};

static int inherit_one(struct pci_dev *pdev, u16 alias, void *data)
{
	struct inherit_data *inherit = data;
	struct iommu_kdump_tables tables = {};
	struct context_entry *ce;
	int ret;

	if (iommu_kdump_was_refused(&inherit->iommu->kdump_refused, alias))
		return -EUCLEAN;
	ce = find_context(inherit->iommu, PCI_BUS_NUM(alias), alias & 0xff);
	if (!ce || !context_present(ce))
		return 0;
	ret = decode(inherit->iommu, ce, &tables);
	return ret ?: iommu_kdump_add_tables(inherit->tables, &tables);
}

/**
 * intel_iommu_inherit_tables() - &iommu_ops.inherit_tables
 * @dev: device that joins a group
 * @tables: filled in with what its context entries lead to
 *
 * Return: see &iommu_ops.inherit_tables.
 */
int intel_iommu_inherit_tables(struct device *dev,
			       struct iommu_kdump_tables *tables)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_iommu *iommu = info->iommu;
	struct inherit_data inherit = {
		.iommu = iommu,
		.tables = tables,
	};
	int ret;

	if (dev_is_real_dma_subdevice(dev))
		return -ENOENT;

	if (!(iommu->flags & VTD_FLAG_TRANS_PRE_ENABLED)) {
		tables->type = IOMMU_KDUMP_IDENTITY;
		tables->not_live = true;
		return 0;
	}

	ret = each_requester_id(info, inherit_one, &inherit);
	if (ret)
		return ret;
	if (tables->type == IOMMU_KDUMP_NONE)
		tables->type = IOMMU_KDUMP_BLOCKED;
	return 0;
}

/**
 * intel_iommu_reserve_old_iova() - &iommu_ops.reserve_old_iova
 * @dev: one of the devices that use the table
 * @tables: what intel_iommu_inherit_tables() has filled in
 * @report: takes the mappings
 *
 * Return: see &iommu_ops.reserve_old_iova.
 */
int intel_iommu_reserve_old_iova(struct device *dev,
				 const struct iommu_kdump_tables *tables,
				 struct iommu_kdump_report *report)
{
	struct pt_iommu_foreign foreign = {
		.root = tables->root,
		.levels = tables->levels,
		.max_oasz_lg2 = boot_cpu_data.x86_phys_bits,
	};

	if (tables->format == OLD_FIRST_STAGE) {
		foreign.features = BIT(PT_FEAT_SIGN_EXTEND);
		return pt_iommu_x86_64_walk_foreign(&foreign, report);
	}
	return pt_iommu_vtdss_walk_foreign(&foreign, report);
}

/* By us, or by the crashed kernel */
static bool ats_is_on(struct device_domain_info *info)
{
	struct pci_dev *pdev;
	u16 ctrl;

	if (info->ats_enabled)
		return true;
	if (!info->ats_supported || !info->ats_left_alone)
		return false;
	pdev = to_pci_dev(info->dev);
	return !pci_read_config_word(pdev, pdev->ats_cap + PCI_ATS_CTRL, &ctrl) &&
	       !PCI_POSSIBLE_ERROR(ctrl) && (ctrl & PCI_ATS_CTRL_ENABLE);
}

/**
 * intel_kdump_flush_dev_iotlb() - Empty the TLB of a device
 * @info: device that may have cached translations of the crashed kernel
 *
 * A device that does not answer is not waited for.
 */
void intel_kdump_flush_dev_iotlb(struct device_domain_info *info)
{
	if (!ats_is_on(info) || !pci_device_is_present(to_pci_dev(info->dev)))
		return;
	qi_flush_dev_iotlb(info->iommu, PCI_DEVID(info->bus, info->devfn),
			   info->pfsid, info->ats_qdep, 0, MAX_AGAW_PFN_WIDTH);
	quirk_extra_dev_tlb_flush(info, 0, MAX_AGAW_PFN_WIDTH, IOMMU_NO_PASID,
				  info->ats_qdep);
}

/**
 * intel_iommu_release_on_driver_probe() - &iommu_ops.release_on_driver_probe
 * @dev: device whose old mappings are gone
 *
 * The old translation may be in the device's own TLB still: it was warm before
 * ATS was set up here, so the cache tags of the domain did not cover it.
 */
void intel_iommu_release_on_driver_probe(struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	intel_kdump_flush_dev_iotlb(info);
	iommu_kdump_free_ids(&info->iommu->kdump_dids);
}

static int any_present(struct pci_dev *pdev, u16 alias, void *data)
{
	struct context_entry *ce;

	ce = find_context(data, PCI_BUS_NUM(alias), alias & 0xff);
	return ce && context_present(ce);
}

/**
 * intel_kdump_device_inherited() - Does hardware have entries for a new device?
 * @info: device that no domain is attached to
 *
 * Return: true if a requester ID of it has an entry that the crashed kernel, or a
 * sibling with the same requester ID, has set. What is attached next replaces it.
 */
bool intel_kdump_device_inherited(struct device_domain_info *info)
{
	if (!is_kdump_kernel() ||
	    !(info->iommu->flags & VTD_FLAG_TRANS_PRE_ENABLED) ||
	    dev_is_real_dma_subdevice(info->dev))
		return false;
	return each_requester_id(info, any_present, info->iommu);
}

/* One store, so that hardware sees the old entry or the new one */
static bool exchange_context(struct context_entry *context,
			     const struct context_entry *new)
{
#ifdef system_has_cmpxchg128
	u128 val = (u128)new->hi << 64 | new->lo;
	u128 old;

	if (!system_has_cmpxchg128())
		return false;
	old = (u128)context->hi << 64 | context->lo;
	while (!try_cmpxchg128((u128 *)context, &old, val))
		;
	return true;
#else
	return false;
#endif
}

/**
 * intel_kdump_replace_context() - Replace a present context entry
 * @iommu: IOMMU whose lock the caller holds
 * @context: present entry that the crashed kernel has set
 * @new: what replaces it, with complete tables behind it
 * @bus: bus number of the requester ID
 * @devfn: device and function number of the requester ID
 * @did: domain ID of the old translation
 *
 * Section 6.5.3.3 tells software to make a present entry not present first. That
 * is what one must do if the fields of an entry cannot change together, and it
 * blocks DMA that is in flight. Here the fields change together in one 128-bit
 * store (section 9.3: hardware reads an entry as a whole), and both entries are
 * complete: whichever hardware uses until the flush is done, old DMA goes to the
 * same place. Processors without such a store get the order of the specification.
 *
 * On return nothing of the old entry is cached.
 */
void intel_kdump_replace_context(struct intel_iommu *iommu,
				 struct context_entry *context,
				 const struct context_entry *new, u8 bus,
				 u8 devfn, u16 did)
{
	u16 sid = PCI_DEVID(bus, devfn);

	assert_spin_locked(&iommu->lock);

	/* What the new entry leads to must be visible before the entry is */
	dma_wmb();
	if (!exchange_context(context, new)) {
		context_clear_present(context);
		__iommu_flush_cache(iommu, context, sizeof(*context));
		iommu->flush.flush_context(iommu, did, sid,
					   DMA_CCMD_MASK_NOBIT,
					   DMA_CCMD_DEVICE_INVL);
		WRITE_ONCE(context->hi, new->hi);
		dma_wmb();
		WRITE_ONCE(context->lo, new->lo);
	}
	__iommu_flush_cache(iommu, context, sizeof(*context));
	iommu_flush_write_buffer(iommu);

	iommu->flush.flush_context(iommu, did, sid, DMA_CCMD_MASK_NOBIT,
				   DMA_CCMD_DEVICE_INVL);
	if (sm_supported(iommu)) {
		/* First stage entries are tagged with PASIDs as well */
		qi_flush_pasid_cache(iommu, 0, QI_PC_GLOBAL, 0);
		iommu->flush.flush_iotlb(iommu, 0, 0, 0, DMA_TLB_GLOBAL_FLUSH);
	} else if (did < iommu->max_domain_id) {
		iommu->flush.flush_iotlb(iommu, did, 0, 0, DMA_TLB_DSI_FLUSH);
	}
	iommu_kdump_put_id(&iommu->kdump_dids, did);
}

/*
 * A device that keeps faulting must not cost the dump: the requester ID of every
 * so-many-th fault faults silently from then on. Several of them get there in turn.
 */
static void silence_faults(struct work_struct *work)
{
	struct intel_iommu *iommu =
		container_of(work, struct intel_iommu, kdump_fault_work);
	u16 sid = READ_ONCE(iommu->kdump_fault_sid);
	u8 bus = PCI_BUS_NUM(sid), devfn = sid & 0xff;
	struct context_entry *ce;

	spin_lock(&iommu->lock);
	ce = iommu_context_addr(iommu, bus, devfn, 1);
	if (ce) {
		WRITE_ONCE(ce->lo, ce->lo | CONTEXT_FPD);
		__iommu_flush_cache(iommu, ce, sizeof(*ce));
		iommu_flush_write_buffer(iommu);
		iommu->flush.flush_context(iommu, context_domain_id(ce), sid,
					   DMA_CCMD_MASK_NOBIT,
					   DMA_CCMD_DEVICE_INVL);
	}
	spin_unlock(&iommu->lock);

	if (ce)
		pr_warn("%s: %04x:%02x:%02x.%d keeps faulting: its faults are not reported any more\n",
			iommu->name, iommu->segment, bus, PCI_SLOT(devfn),
			PCI_FUNC(devfn));
	WRITE_ONCE(iommu->kdump_faults, 0);
}

/**
 * intel_kdump_fault() - A DMA fault has been reported
 * @iommu: IOMMU that has reported it
 * @sid: requester ID
 *
 * Context: Fault interrupt, in a crash kernel.
 */
void intel_kdump_fault(struct intel_iommu *iommu, u16 sid)
{
	if (!iommu->root_entry || iommu->kdump_faults >= IOMMU_KDUMP_FAULTS)
		return;
	WRITE_ONCE(iommu->kdump_fault_sid, sid);
	WRITE_ONCE(iommu->kdump_faults, iommu->kdump_faults + 1);
	if (iommu->kdump_faults == IOMMU_KDUMP_FAULTS)
		schedule_work(&iommu->kdump_fault_work);
}

/**
 * intel_kdump_init() - Initialise what the crashdump framework needs per IOMMU
 * @iommu: new IOMMU
 */
void intel_kdump_init(struct intel_iommu *iommu)
{
	iommu_kdump_ids_init(&iommu->kdump_dids, &iommu->domain_ida);
	INIT_WORK(&iommu->kdump_fault_work, silence_faults);
}

/**
 * intel_kdump_destroy() - Undo intel_kdump_init()
 * @iommu: IOMMU that reports no faults any more
 */
void intel_kdump_destroy(struct intel_iommu *iommu)
{
	cancel_work_sync(&iommu->kdump_fault_work);
	iommu_kdump_forget_refused(&iommu->kdump_refused);
	iommu_kdump_ids_destroy(&iommu->kdump_dids);
}

#ifdef CONFIG_IOMMU_KDUMP_KUNIT_TEST
#include "kdump_kunit.c"
#endif
