// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel IOMMU: callbacks of the crashdump framework
 *
 * Root and context tables are validated and copied when the driver starts, page
 * tables and PASID tables stay where they are until the group moves to its new
 * domain. Translation stays on all the time. Sections are those of the "Intel
 * Virtualization Technology for Directed I/O Architecture Specification", 4.1.
 */

#define pr_fmt(fmt)	"DMAR: kdump: " fmt

#include <linux/crash_dump.h>
#include <linux/dmar.h>
#include <linux/generic_pt/iommu.h>
#include <linux/iommu-kdump.h>
#include <linux/pci.h>

#include "iommu.h"
#include "pasid.h"
#include "../iommu-pages.h"

#define ROOT_ENTRY_RSVD		GENMASK_ULL(11, 1)
#define CONTEXT_RSVD_LO		GENMASK_ULL(11, 4)
#define CONTEXT_RSVD_HI		(BIT_ULL(7) | GENMASK_ULL(63, 24))
#define SM_CONTEXT_RSVD_LO	GENMASK_ULL(8, 5)
#define SM_CONTEXT_DTE		BIT_ULL(2)
#define SM_CONTEXT_PRE		BIT_ULL(4)
/* With RID_PRIV, which no kernel sets */
#define SM_CONTEXT_RSVD_HI	GENMASK_ULL(63, 20)
#define SM_CONTEXT_RID_PASID	GENMASK_ULL(19, 0)
#define PASID_PDE_RSVD		GENMASK_ULL(11, 2)
#define PASID_PTE_RSVD_0	GENMASK_ULL(11, 10)
#define PASID_PTE_RSVD_1	GENMASK_ULL(22, 16)
#define PASID_PTE_RSVD_2	BIT_ULL(1)
#define PASID_PTE_FS_RSVD_2	GENMASK_ULL(11, 8)

/* @format is a PGTT, section 9.6 */
static int paging(u8 format, u8 levels, u64 root,
		  struct iommu_kdump_tables *tables)
{
	tables->type = IOMMU_KDUMP_PAGING;
	tables->format = format;
	tables->levels = levels;
	tables->root = root & VTD_PAGE_MASK;
	/* What the crashed kernel wrote must be followed only into its RAM */
	return iommu_kdump_is_old_ram(tables->root, VTD_PAGE_SIZE) ? 0 : -EUCLEAN;
}

static int second_stage(struct intel_iommu *iommu, u64 root, unsigned int aw,
			struct iommu_kdump_tables *tables)
{
	if (!(cap_sagaw(iommu->cap) & BIT(aw)))
		return -EUCLEAN;
	return paging(PASID_ENTRY_PGTT_SL_ONLY, agaw_to_level(aw), root,
		      tables);
}

/* @val is the third word of the PASID table entry */
static int first_stage(struct intel_iommu *iommu, u64 val,
		       struct iommu_kdump_tables *tables)
{
	/* FSPM: 0 is four levels, 1 is five */
	unsigned int fspm = (val >> 2) & 3;

	if (!ecap_flts(iommu->ecap) || (val & PASID_PTE_FS_RSVD_2) ||
	    fspm > cap_fl5lp_support(iommu->cap))
		return -EUCLEAN;
	return paging(PASID_ENTRY_PGTT_FL_ONLY, 4 + fspm, val, tables);
}

static int identity(struct intel_iommu *iommu, struct iommu_kdump_tables *tables)
{
	tables->type = IOMMU_KDUMP_IDENTITY;
	return ecap_pass_through(iommu->ecap) ? 0 : -EUCLEAN;
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
		return identity(iommu, tables);
	case CONTEXT_TT_DEV_IOTLB:
		if (!ecap_dev_iotlb_support(iommu->ecap))
			return -EUCLEAN;
		fallthrough;
	case CONTEXT_TT_MULTI_LEVEL:
		return second_stage(iommu, ce->lo, ce->hi & 7, tables);
	default:
		return -EUCLEAN;
	}
}

/* Section 9.4: what hardware does not have is reserved */
static bool sm_context_valid(struct intel_iommu *iommu,
			     const struct context_entry *ce)
{
	u64 lo = SM_CONTEXT_RSVD_LO, hi = SM_CONTEXT_RSVD_HI;

	if (!ecap_dev_iotlb_support(iommu->ecap))
		lo |= SM_CONTEXT_DTE;
	if (!ecap_pasid(iommu->ecap))
		lo |= CONTEXT_PASIDE;
	if (!ecap_prs(iommu->ecap))
		lo |= SM_CONTEXT_PRE;
	if (!ecap_rps(iommu->ecap))
		hi |= SM_CONTEXT_RID_PASID;
	return !(ce->lo & lo) && !(ce->hi & hi);
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
	u64 pde, pte[8];
	int ret;

	if (!sm_context_valid(iommu, ce) ||
	    (pasid >> PASID_PDE_SHIFT) >= get_pasid_dir_size(ce))
		return -EUCLEAN;

	ret = iommu_kdump_read_old((ce->lo & VTD_PAGE_MASK) +
				   (pasid >> PASID_PDE_SHIFT) * sizeof(pde),
				   VTD_PAGE_SIZE, &pde, 1);
	if (ret)
		return ret;
	if (!(pde & PASID_PTE_PRESENT))
		return 0;
	if (pde & PASID_PDE_RSVD)
		return -EUCLEAN;

	ret = iommu_kdump_read_old((pde & VTD_PAGE_MASK) +
				   (pasid & PASID_PTE_MASK) *
				   sizeof(struct pasid_entry),
				   VTD_PAGE_SIZE, pte, ARRAY_SIZE(pte));
	if (ret)
		return ret;
	if (!(pte[0] & PASID_PTE_PRESENT))
		return 0;
	if ((pte[0] & PASID_PTE_RSVD_0) || (pte[1] & PASID_PTE_RSVD_1) ||
	    (pte[2] & PASID_PTE_RSVD_2) ||
	    memchr_inv(&pte[3], 0, sizeof(pte) - 3 * sizeof(pte[0])))
		return -EUCLEAN;

	tables->id = pte[1] & 0xffff;
	switch ((pte[0] >> 6) & 7) {
	case PASID_ENTRY_PGTT_FL_ONLY:
		return first_stage(iommu, pte[2], tables);
	case PASID_ENTRY_PGTT_SL_ONLY:
	case PASID_ENTRY_PGTT_NESTED:
		if (!ecap_slts(iommu->ecap))
			return -EUCLEAN;
		ret = second_stage(iommu, pte[0], (pte[0] >> 2) & 7, tables);
		/* The first stage is where the second stage says it is */
		if (!ret && ((pte[0] >> 6) & 7) == PASID_ENTRY_PGTT_NESTED)
			ret = ecap_nest(iommu->ecap) ? -EOPNOTSUPP : -EUCLEAN;
		return ret;
	case PASID_ENTRY_PGTT_PT:
		return identity(iommu, tables);
	default:
		return -EUCLEAN;
	}
}

static int decode(struct intel_iommu *iommu, const struct context_entry *ce,
		  struct iommu_kdump_tables *tables)
{
	int ret;

	*tables = (struct iommu_kdump_tables){ .type = IOMMU_KDUMP_BLOCKED };
	if (sm_supported(iommu))
		ret = decode_sm_context(iommu, ce, tables);
	else
		ret = decode_context(iommu, ce, tables);
	if (tables->type == IOMMU_KDUMP_BLOCKED)
		return ret;
	/* Sections 9.3 and 9.6: bits that hardware does not have are reserved */
	if (tables->id >= iommu->max_domain_id)
		return -EUCLEAN;
	/* Section 6.1: in caching mode hardware needs one for what is not present */
	return tables->id || !cap_caching_mode(iommu->cap) ? ret : -EUCLEAN;
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

	old = iommu_kdump_map_old(old_phys, VTD_PAGE_SIZE);
	if (IS_ERR(old)) {
		iommu_free_pages(new);
		return ERR_CAST(old);
	}
	for (i = 0; i < SZ_4K / sizeof(*old); i += step, rid++) {
		struct iommu_kdump_tables tables;
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
		if (!ret && tables.type == IOMMU_KDUMP_BLOCKED)
			continue;
		/* Understood, but not by the framework: the group is blocked */
		if (!ret || ret == -EOPNOTSUPP)
			ret = iommu_kdump_keep_entry(&iommu->kdump, rid,
						     tables.id);
		if (ret) {
			iommu_kdump_refuse_entries(&iommu->kdump, rid, 1);
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

/* From a root entry of the crashed kernel to one of ours */
static void __init take_over_table(struct intel_iommu *iommu, u64 old, u64 *new,
				   u16 rid, struct take_over_stats *stats)
{
	struct context_entry *table = ERR_PTR(-EUCLEAN);

	if (!(old & 1))
		return;
	if (!(old & ROOT_ENTRY_RSVD))
		table = copy_context_table(iommu, old & VTD_PAGE_MASK, rid,
					   stats);
	if (IS_ERR(table)) {
		iommu_kdump_refuse_entries(&iommu->kdump, rid,
					   256 / entry_step(iommu));
		stats->lost_tables++;
	} else {
		*new = virt_to_phys(table) | 1;
	}
}

static int __init take_over_root(struct intel_iommu *iommu, u64 old_phys,
				 struct take_over_stats *stats)
{
	struct root_entry *new = iommu->root_entry;
	const struct root_entry *old;
	unsigned int bus;

	old = iommu_kdump_map_old(old_phys, VTD_PAGE_SIZE);
	if (IS_ERR(old))
		return PTR_ERR(old);
	for (bus = 0; bus < ROOT_ENTRY_NR; bus++) {
		u64 lo = READ_ONCE(old[bus].lo), hi = READ_ONCE(old[bus].hi);

		/* Section 9.1: the upper half is reserved in legacy mode */
		if (!sm_supported(iommu) && hi) {
			lo |= ROOT_ENTRY_RSVD;
			hi = 0;
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
 * written. Section 6.6 allows to set the root table pointer while translation is on,
 * if what is valid in both gives identical results, and with ESRTPS the table mode.
 *
 * Context: May sleep.
 */
void __init intel_kdump_take_over(struct intel_iommu *iommu)
{
	struct take_over_stats stats = {};
	const char *reason = NULL;
	u64 rtaddr;

	block_all(iommu);

	rtaddr = readq(iommu->reg + DMAR_RTADDR_REG);
	if (!iommu_kdump_enabled())
		reason = "the command line asks for it";
	else if ((rtaddr & ~VTD_PAGE_MASK) != (sm_supported(iommu) ? DMA_RTADDR_SMT : 0))
		reason = "the root table is of another mode";
	else if (!iommu->kdump_blocked)
		reason = "out of memory";
	else if (take_over_root(iommu, rtaddr & VTD_PAGE_MASK, &stats))
		reason = "the root table cannot be read";
	__iommu_flush_cache(iommu, iommu->root_entry, ROOT_SIZE);

	if (reason) {
		iommu_kdump_refuse_entries(&iommu->kdump, 0, 0);
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

/**
 * intel_iommu_inherit_tables() - &iommu_ops.inherit_tables
 * @dev: device that joins a group
 * @id: requester ID whose entry is the crashed kernel's
 * @tables: filled in with what the entry leads to
 *
 * Return: see &iommu_ops.inherit_tables.
 */
int intel_iommu_inherit_tables(struct device *dev, u32 id,
			       struct iommu_kdump_tables *tables)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);
	struct intel_iommu *iommu = info->iommu;
	struct context_entry ce;

	/* It is present: nothing is allocated */
	scoped_guard(spinlock, &iommu->lock)
		ce = *iommu_context_addr(iommu, PCI_BUS_NUM(id), id & 0xff, 1);
	return decode(iommu, &ce, tables);
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

	if (tables->format == PASID_ENTRY_PGTT_FL_ONLY) {
		foreign.features = BIT(PT_FEAT_SIGN_EXTEND);
		return pt_iommu_x86_64_walk_foreign(&foreign, report);
	}
	return pt_iommu_vtdss_walk_foreign(&foreign, report);
}

static u32 own_id(struct iommu_kdump_entries *entries, struct device *dev)
{
	struct device_domain_info *info = dev_iommu_priv_get(dev);

	/* The child of a VMD has one of its own, which no DMA has */
	if (dev_is_pci(dev))
		return pci_dev_id(pci_real_dma_dev(to_pci_dev(dev)));
	return PCI_DEVID(info->bus, info->devfn);
}

static void silence(struct iommu_kdump_entries *entries, u32 id)
{
	struct intel_iommu *iommu =
		container_of(entries, struct intel_iommu, kdump);
	struct context_entry *context;

	guard(spinlock)(&iommu->lock);
	if (!iommu->root_entry)
		return;
	context = iommu_context_addr(iommu, PCI_BUS_NUM(id), id & 0xff, 1);
	if (!context)
		return;
	WRITE_ONCE(context->lo, context->lo | CONTEXT_FPD);
	__iommu_flush_cache(iommu, context, sizeof(*context));
	intel_context_flush(iommu, context_domain_id(context), id,
			    DMA_CCMD_DEVICE_INVL);
}

static const struct iommu_kdump_entry_ops entry_ops = {
	.own_id = own_id,
	.silence = silence,
};

/**
 * intel_kdump_init() - Opt in to the crashdump framework
 * @iommu: new IOMMU, not registered yet
 */
void intel_kdump_init(struct intel_iommu *iommu)
{
	iommu_kdump_ids_init(&iommu->kdump_dids, &iommu->domain_ida,
			     IDA_START_DID, iommu->max_domain_id - 1);
	iommu_kdump_entries_init(&iommu->kdump, &entry_ops, &iommu->kdump_dids,
				 iommu->name);
	iommu->iommu.kdump = &iommu->kdump;
}

/**
 * intel_kdump_destroy() - Undo intel_kdump_init()
 * @iommu: IOMMU that reports no faults any more
 */
void intel_kdump_destroy(struct intel_iommu *iommu)
{
	iommu_kdump_entries_destroy(&iommu->kdump);
	iommu_kdump_ids_destroy(&iommu->kdump_dids);
}

#ifdef CONFIG_IOMMU_KDUMP_KUNIT_TEST
#include "kdump_kunit.c"
#endif
