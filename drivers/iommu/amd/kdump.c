// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD IOMMU: callbacks of the crashdump framework
 *
 * Device tables are taken over when the driver starts: every entry that the
 * crashed kernel had set is validated and copied, whatever is not valid blocks
 * without reporting. Translation stays on all the time. The page tables, and the
 * GCR3 tables of guest translation, stay where they are until the group moves to
 * its new domain.
 *
 * References are to the "AMD I/O Virtualization Technology (IOMMU)
 * Specification", publication 48882, revision 3.
 */

#define pr_fmt(fmt)	"AMD-Vi: kdump: " fmt

#include <linux/bitfield.h>
#include <linux/bitmap.h>
#include <linux/generic_pt/iommu.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/iommu-kdump.h>
#include <linux/pci.h>

#include "amd_iommu.h"
#include "../iommu-pages.h"

/* Section 2.2.2.1, Device Table Entry Format */
#define DTE_DATA0_RSVD		(GENMASK_ULL(6, 2) | BIT_ULL(63))
#define DTE_DATA2_RSVD		GENMASK_ULL(53, 52)
#define DTE_MODE_RSVD		7
#define DTE_GLX_RSVD		3
#define DTE_GUEST_PASID_0	(DTE_FLAG_V | DTE_FLAG_TV | DTE_FLAG_GV | \
				 DTE_FLAG_GIOV)
#define DTE_GUEST_BITS0		(DTE_FLAG_GV | DTE_FLAG_GIOV | DTE_GLX | \
				 DTE_GCR3_14_12)
#define DTE_GUEST_BITS1		(DTE_GCR3_30_15 | DTE_GCR3_51_31)

#define ENTRIES_PER_PAGE	(SZ_4K / sizeof(struct dev_table_entry))
#define GCR3_ENTRIES		(SZ_4K / sizeof(u64))
#define GCR3_RSVD		(GENMASK_ULL(11, 1) | GENMASK_ULL(63, 52))

/* Page table formats, for struct iommu_kdump_tables */
enum {
	OLD_HOST,
	OLD_GUEST,
};

static struct iommu_kdump_ids kdump_dids;

/* An address that the crashed kernel wrote must be followed only into its RAM */
static bool old_page(u64 phys)
{
	return iommu_kdump_is_old_ram(phys, SZ_4K);
}

/* Firmware need not tell them, and the take-over is too early to ask hardware */
static u64 features(void)
{
	return amd_iommu_efr ?: U64_MAX;
}

static u64 gcr3_table(const struct dev_table_entry *dte)
{
	return __sme_clr(FIELD_GET(DTE_GCR3_14_12, dte->data[0]) << 12 |
			 FIELD_GET(DTE_GCR3_30_15, dte->data[1]) << 15 |
			 FIELD_GET(DTE_GCR3_51_31, dte->data[1]) << 31);
}

/*
 * Section 2.2.6.3, Guest CR3 Table: GLX + 1 levels lead to the guest page table
 * of a PASID. DMA without PASID uses PASID 0, the first entry of each level.
 *
 * A table that is not the crashed kernel's is what drop_pasids() has made; @own
 * says that such a pointer is to be believed.
 */
static int read_gcr3(const struct dev_table_entry *dte, bool own, u64 *gcr3)
{
	unsigned int glx = FIELD_GET(DTE_GLX, dte->data[0]);
	u64 table = gcr3_table(dte);
	const u64 *page;

	if (glx == DTE_GLX_RSVD || glx > FIELD_GET(FEATURE_GLX, features()))
		return -EUCLEAN;
	if (own && !old_page(table)) {
		*gcr3 = *(u64 *)phys_to_virt(table);
		return 0;
	}

	for (;;) {
		page = iommu_kdump_map_old(table);
		if (IS_ERR(page))
			return PTR_ERR(page);
		*gcr3 = READ_ONCE(*page);
		iommu_kdump_unmap_old(page);
		if (!(*gcr3 & GCR3_VALID))
			return 0;
		if (*gcr3 & GCR3_RSVD)
			return -EUCLEAN;
		if (!glx--)
			return 0;
		table = __sme_clr(*gcr3) & PM_ADDR_MASK;
	}
}

static int decode_guest(const struct dev_table_entry *dte, bool own,
			struct iommu_kdump_tables *tables)
{
	unsigned int level = FIELD_GET(DTE_GPT_LEVEL_MASK, dte->data[2]);
	u64 gcr3;
	int ret;

	if (level > GUEST_PGTABLE_5_LEVEL ||
	    level > FIELD_GET(FEATURE_GATS, features()))
		return -EUCLEAN;
	ret = read_gcr3(dte, own, &gcr3);
	if (ret)
		return ret;
	if (!(gcr3 & GCR3_VALID)) {
		tables->type = IOMMU_KDUMP_BLOCKED;
		return 0;
	}

	tables->root = __sme_clr(gcr3) & PM_ADDR_MASK;
	if (!old_page(tables->root))
		return -EUCLEAN;
	tables->type = IOMMU_KDUMP_PAGING;
	tables->format = OLD_GUEST;
	tables->levels = level == GUEST_PGTABLE_5_LEVEL ? PAGE_MODE_5_LEVEL :
							  PAGE_MODE_4_LEVEL;
	return 0;
}

static int decode_host(const struct dev_table_entry *dte,
		       struct iommu_kdump_tables *tables)
{
	unsigned int mode = FIELD_GET(DTE_MODE_MASK, dte->data[0]);

	if (mode == PAGE_MODE_NONE) {
		tables->type = IOMMU_KDUMP_IDENTITY;
		return 0;
	}
	/* HATS is the highest mode that hardware has, 0 is four levels */
	tables->root = __sme_clr(dte->data[0]) & DTE_HOST_TRP;
	if (mode == DTE_MODE_RSVD || amd_iommu_hatdis ||
	    mode > FIELD_GET(FEATURE_HATS, features()) + PAGE_MODE_4_LEVEL ||
	    !old_page(tables->root))
		return -EUCLEAN;
	tables->type = IOMMU_KDUMP_PAGING;
	tables->format = OLD_HOST;
	tables->levels = mode;
	return 0;
}

/* DMA without PASID is translated twice */
static bool nested(const struct dev_table_entry *dte)
{
	const u64 guest = DTE_FLAG_GV | DTE_FLAG_GIOV;

	return (dte->data[0] & guest) == guest &&
	       (dte->data[0] & DTE_MODE_MASK);
}

/* Section 2.2.2.1; for V and TV see the table of their combinations there */
static int decode(const struct dev_table_entry *dte, bool own,
		  struct iommu_kdump_tables *tables)
{
	const u64 both = DTE_FLAG_IR | DTE_FLAG_IW;
	bool unsupported, guest = false;
	int ret;

	tables->id = FIELD_GET(DTE_DOMID_MASK, dte->data[1]);

	/* V = 0: not translated, whatever the rest says */
	if (!(dte->data[0] & DTE_FLAG_V)) {
		tables->type = IOMMU_KDUMP_IDENTITY;
		tables->id = 0;
		return 0;
	}
	if ((dte->data[0] & DTE_DATA0_RSVD) || (dte->data[2] & DTE_DATA2_RSVD))
		return -EUCLEAN;
	if (!(dte->data[0] & DTE_FLAG_TV) || !(dte->data[0] & both)) {
		tables->type = IOMMU_KDUMP_BLOCKED;
		return 0;
	}
	/* No kernel lets a device only read, or only write, all it can reach */
	unsupported = (dte->data[0] & both) != both;

	if (dte->data[0] & DTE_FLAG_GV) {
		if (!(features() & FEATURE_GT))
			return -EUCLEAN;
		/* The host table says where the guest table is */
		if (nested(dte))
			unsupported = true;
		/* GIOV: the guest table of PASID 0 is for DMA without PASID */
		else if (dte->data[0] & DTE_FLAG_GIOV)
			guest = true;
	}
	ret = guest ? decode_guest(dte, own, tables) : decode_host(dte, tables);
	if (!ret && unsupported && tables->type != IOMMU_KDUMP_BLOCKED)
		ret = -EOPNOTSUPP;
	return ret;
}

/**
 * amd_iommu_kdump_free_dids() - Give domain IDs back that no old entry uses any
 *                               more
 *
 * Context: Any.
 *
 * Return: true if there was one.
 */
bool amd_iommu_kdump_free_dids(void)
{
	return kdump_dids.ida && iommu_kdump_free_ids(&kdump_dids);
}

/**
 * amd_iommu_kdump_put_entry() - An entry of the crashed kernel is gone
 * @old: what it was
 *
 * Context: Any. All that hardware has cached of it must have been flushed.
 */
void amd_iommu_kdump_put_entry(const struct dev_table_entry *old)
{
	u64 table = gcr3_table(old);

	iommu_kdump_put_id(&kdump_dids,
			   FIELD_GET(DTE_DOMID_MASK, old->data[1]));

	/* Only of such entries is it known where the table is */
	if ((old->data[0] & DTE_GUEST_PASID_0) == DTE_GUEST_PASID_0 &&
	    !(old->data[0] & DTE_MODE_MASK) && !old_page(table))
		iommu_free_pages(phys_to_virt(table));
}

struct take_over_stats {
	unsigned int entries;
	unsigned int refused;
	unsigned int pasids;
	unsigned int vapics;
	/* Interrupts may go to virtual APICs */
	bool guest_mode;
};

static bool __init only_pasid_0(const struct dev_table_entry *dte)
{
	const u64 *page;
	unsigned int i;

	if (FIELD_GET(DTE_GLX, dte->data[0]))
		return false;
	page = iommu_kdump_map_old(gcr3_table(dte));
	if (IS_ERR(page))
		return false;
	for (i = 1; i < GCR3_ENTRIES; i++) {
		if (READ_ONCE(page[i]) & GCR3_VALID)
			break;
	}
	iommu_kdump_unmap_old(page);
	return i == GCR3_ENTRIES;
}

/*
 * The processes that PASIDs belong to are dead. What is left is PASID 0, which
 * stands for DMA without PASID.
 */
static int __init drop_pasids(struct dev_table_entry *dte,
			      struct take_over_stats *stats)
{
	u64 gcr3 = 0, *page;
	int ret;

	/* PASIDs that are translated twice stay within the host table */
	if (!(dte->data[0] & DTE_FLAG_V) || !(dte->data[0] & DTE_FLAG_GV) ||
	    nested(dte))
		return 0;

	if (dte->data[0] & DTE_FLAG_GIOV) {
		if (only_pasid_0(dte))
			return 0;
		ret = read_gcr3(dte, false, &gcr3);
		if (ret)
			return ret;
	}
	stats->pasids++;

	if (!gcr3) {
		dte->data[0] &= ~DTE_GUEST_BITS0;
		dte->data[1] &= ~DTE_GUEST_BITS1;
		return 0;
	}

	page = iommu_alloc_pages_sz(GFP_KERNEL, SZ_4K);
	if (!page)
		return -ENOMEM;
	page[0] = gcr3;
	gcr3 = iommu_virt_to_phys(page);
	dte->data[0] &= ~(DTE_GLX | DTE_GCR3_14_12);
	dte->data[1] &= ~DTE_GUEST_BITS1;
	dte->data[0] |= FIELD_PREP(DTE_GCR3_14_12, gcr3 >> 12);
	dte->data[1] |= FIELD_PREP(DTE_GCR3_30_15, gcr3 >> 15) |
			FIELD_PREP(DTE_GCR3_51_31, gcr3 >> 31);
	return 0;
}

/*
 * Section 2.2.5.2: for an interrupt in guest mode the IOMMU writes to the backing
 * page of a virtual APIC. The virtual machine is gone, its memory need not be.
 */
static bool __init vapics_are_old(u64 table, u64 size)
{
	const struct irte_ga *page = NULL;
	u64 at, end = table + size;
	bool old = true;

	for (at = table; at < end && old; at += sizeof(*page)) {
		union irte_ga_lo lo;
		union irte_ga_hi hi;

		if (!page)
			page = iommu_kdump_map_old(ALIGN_DOWN(at, SZ_4K));
		if (IS_ERR(page))
			return false;
		lo.val = READ_ONCE(page[at % SZ_4K / sizeof(*page)].lo.val);
		hi.val = READ_ONCE(page[at % SZ_4K / sizeof(*page)].hi.val);
		if (lo.fields_vapic.valid && lo.fields_vapic.guest_mode)
			old = old_page(__sme_clr((u64)hi.fields.ga_root_ptr << 12));
		if (!old || IS_ALIGNED(at + sizeof(*page), SZ_4K) ||
		    at + sizeof(*page) == end) {
			iommu_kdump_unmap_old(page);
			page = NULL;
		}
	}
	return old;
}

/*
 * Section 2.2.5: interrupts are remapped on their own, whatever V and TV say. An
 * interrupt remapping table that is not in old memory stays away: with IV = 1
 * and IntCtl = 0, as the new entry has them, fixed interrupts are aborted.
 */
static void __init copy_interrupts(const struct dev_table_entry *old,
				   struct dev_table_entry *new,
				   struct take_over_stats *stats)
{
	u64 irq = old->data[2];
	u64 table = __sme_clr(irq) & DTE_IRQ_PHYS_ADDR_MASK;
	unsigned int len_lg2 = FIELD_GET(DTE_INTTABLEN_MASK, irq);

	/* This kernel sends interrupts that are not to be remapped */
	if (!amd_iommu_irq_remap)
		return;

	/* An entry has 4 or 16 bytes: the larger table must be old memory */
	if ((irq & DTE_IRQ_REMAP_ENABLE) &&
	    (irq & DTE_IRQ_REMAP_INTCTL_MASK) == DTE_IRQ_REMAP_INTCTL) {
		u64 size = sizeof(struct irte_ga) << len_lg2;

		if (len_lg2 > DTE_INTTABLEN_VALUE_2K ||
		    !iommu_kdump_is_old_ram(table, size))
			return;
		if (stats->guest_mode && !vapics_are_old(table, size)) {
			stats->vapics++;
			return;
		}
	}
	new->data[2] &= ~DTE_DATA2_INTR_MASK;
	new->data[2] |= irq & DTE_DATA2_INTR_MASK;
}

/* Domain ID 0 is nobody's */
static int __init get_did(u16 did)
{
	return did ? iommu_kdump_get_id(&kdump_dids, did) : 0;
}

static void __init copy_entry(struct amd_iommu_pci_seg *pci_seg, u32 devid,
			      const struct dev_table_entry *old,
			      struct take_over_stats *stats)
{
	struct dev_table_entry *new = &pci_seg->dev_table[devid];
	struct iommu_kdump_tables tables = {};
	struct dev_table_entry dte;
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(dte.data); i++)
		dte.data[i] = READ_ONCE(old->data[i]);

	copy_interrupts(&dte, new, stats);

	ret = decode(&dte, false, &tables);
	if (!ret && tables.type == IOMMU_KDUMP_BLOCKED)
		return;
	/* Understood, but not by the framework: the group is blocked */
	if (!ret || ret == -EOPNOTSUPP)
		ret = drop_pasids(&dte, stats);
	if (!ret)
		ret = get_did(FIELD_GET(DTE_DOMID_MASK, dte.data[1]));
	if (ret) {
		iommu_kdump_refuse(&pci_seg->kdump_refused, devid, 1);
		stats->refused++;
		return;
	}

	new->data[0] = dte.data[0];
	new->data[1] = dte.data[1];
	new->data[2] &= DTE_DATA2_INTR_MASK;
	new->data[2] |= dte.data[2] & ~DTE_DATA2_INTR_MASK;
	new->data[3] = dte.data[3];
	set_bit(devid, pci_seg->kdump_inherited);
	stats->entries++;
}

/*
 * MMIO Offset 0000h, Device Table Base Address Register. Each IOMMU has its own;
 * it is asked for the requester IDs that firmware says it serves, and the first
 * one of the segment for those that firmware does not mention.
 */
static void __init copy_table(struct amd_iommu *iommu, bool first,
			      struct take_over_stats *stats)
{
	struct amd_iommu_pci_seg *pci_seg = iommu->pci_seg;
	u64 base = readq(iommu->mmio_base + MMIO_DEV_TABLE_OFFSET);
	u64 phys = __sme_clr(base) & PM_ADDR_MASK;
	u32 nr = min_t(u32, pci_seg->last_bdf + 1,
		       ((base & DEV_TABLE_SIZE_MASK) + 1) * ENTRIES_PER_PAGE);
	const struct dev_table_entry *old = NULL;
	unsigned int lost = 0;
	u32 devid;

	stats->guest_mode = readq(iommu->mmio_base + MMIO_CONTROL_OFFSET) &
			    BIT_ULL(CONTROL_GAM_EN);

	for (devid = 0; devid < nr; devid++) {
		struct amd_iommu *owner = pci_seg->rlookup_table[devid];

		if (!(devid % ENTRIES_PER_PAGE)) {
			if (!IS_ERR_OR_NULL(old))
				iommu_kdump_unmap_old(old);
			old = iommu_kdump_map_old(phys + devid * sizeof(*old));
			if (IS_ERR(old))
				lost++;
		}
		if (owner ? owner != iommu : !first)
			continue;
		if (IS_ERR(old))
			iommu_kdump_refuse(&pci_seg->kdump_refused, devid, 1);
		else
			copy_entry(pci_seg, devid,
				   &old[devid % ENTRIES_PER_PAGE], stats);
	}
	if (!IS_ERR_OR_NULL(old))
		iommu_kdump_unmap_old(old);

	if (lost)
		pr_warn("IOMMU%d: %u of %zu pages of the device table at %#llx cannot be read: their devices are blocked\n",
			iommu->index, lost,
			DIV_ROUND_UP((size_t)nr, ENTRIES_PER_PAGE), phys);
	if (stats->vapics)
		pr_warn("IOMMU%d: interrupts of %u requester IDs refused, their virtual APICs are not in the crashed kernel's memory\n",
			iommu->index, stats->vapics);
	pr_info("IOMMU%d: %u requester IDs inherited, %u refused and blocked, PASIDs of %u blocked\n",
		iommu->index, stats->entries, stats->refused, stats->pasids);
}

/*
 * An IOMMU that does not translate yet: DMA passes now, and goes on to pass until
 * the core has moved the groups to their domains.
 */
static void __init pass_through(struct amd_iommu *iommu, bool first)
{
	struct amd_iommu_pci_seg *pci_seg = iommu->pci_seg;
	u32 devid;

	for (devid = 0; devid <= pci_seg->last_bdf; devid++) {
		struct amd_iommu *owner = pci_seg->rlookup_table[devid];

		if (owner ? owner != iommu : !first)
			continue;
		pci_seg->dev_table[devid].data[0] |= DTE_FLAG_TV | DTE_FLAG_IR |
						     DTE_FLAG_IW;
		set_bit(devid, pci_seg->kdump_inherited);
	}
	pr_info("IOMMU%d: not used by the crashed kernel, its DMA is kept from the crash kernel's memory from now on\n",
		iommu->index);
}

/**
 * amd_iommu_kdump_take_over() - Fill in what the crashed kernel has set up
 * @pci_seg: PCI segment whose new device table is not in use and blocks all
 *
 * Entries that are valid are put into the new table as the crashed kernel had
 * them, the others stay blocked. Neither hardware nor memory of the crashed
 * kernel is written.
 *
 * Context: May sleep. iommu_kdump_oldmem_init() has been called.
 */
void __init amd_iommu_kdump_take_over(struct amd_iommu_pci_seg *pci_seg)
{
	struct amd_iommu *iommu;
	bool first = true;

	/* Without page tables there is nothing to inherit, and no way to block */
	if (amd_iommu_pgtable == PD_MODE_NONE)
		return;

	if (iommu_kdump_enabled())
		pci_seg->kdump_inherited =
			bitmap_zalloc(pci_seg->last_bdf + 1, GFP_KERNEL);
	if (!pci_seg->kdump_inherited) {
		pci_seg->kdump_refused.all = true;
		pr_warn("segment %#x: nothing inherited, %s: all devices are blocked until their drivers come\n",
			pci_seg->id, iommu_kdump_enabled() ?
			"out of memory" : "the command line asks for it");
		return;
	}

	if (!kdump_dids.ida)
		iommu_kdump_ids_init(&kdump_dids, &pdom_ids);

	for_each_iommu(iommu) {
		struct take_over_stats stats = {};

		if (iommu->pci_seg != pci_seg)
			continue;
		if (translation_pre_enabled(iommu))
			copy_table(iommu, first, &stats);
		else
			pass_through(iommu, first);
		first = false;
	}
}

/**
 * amd_iommu_kdump_end_pass_through() - All devices of the boot are in domains
 * @pci_seg: PCI segment that may have an IOMMU that the crashed kernel did not use
 *
 * What still passes without translation belongs to no device. The caller flushes.
 */
void __init amd_iommu_kdump_end_pass_through(struct amd_iommu_pci_seg *pci_seg)
{
	struct amd_iommu *iommu, *first = NULL;
	u32 devid;

	if (!pci_seg->kdump_inherited)
		return;

	for_each_iommu(iommu) {
		if (iommu->pci_seg == pci_seg) {
			first = iommu;
			break;
		}
	}

	for_each_set_bit(devid, pci_seg->kdump_inherited,
			 pci_seg->last_bdf + 1) {
		iommu = pci_seg->rlookup_table[devid] ?: first;
		if (!iommu || translation_pre_enabled(iommu))
			continue;
		clear_bit(devid, pci_seg->kdump_inherited);
		/* All that decides about DMA is in the first word */
		WRITE_ONCE(pci_seg->dev_table[devid].data[0],
			   amd_iommu_blocked_dte_flags());
	}
}

static int each_requester_id(struct amd_iommu *iommu, struct device *dev,
			     u16 devid,
			     int (*fn)(struct pci_dev *pdev, u16 alias,
				       void *data),
			     void *data)
{
	u16 ivrs_alias = iommu->pci_seg->alias_table[devid];
	int ret;

	if (!dev_is_pci(dev))
		return fn(NULL, devid, data);
	if (ivrs_alias != devid) {
		ret = fn(NULL, ivrs_alias, data);
		if (ret)
			return ret;
	}
	return pci_for_each_dma_alias(to_pci_dev(dev), fn, data);
}

static bool entry_inherited(struct amd_iommu_pci_seg *pci_seg, u16 devid)
{
	return devid <= pci_seg->last_bdf && pci_seg->kdump_inherited &&
	       test_bit(devid, pci_seg->kdump_inherited);
}

static int any_inherited(struct pci_dev *pdev, u16 alias, void *data)
{
	return entry_inherited(data, alias);
}

/**
 * amd_iommu_kdump_device_inherited() - Does hardware have entries for a new
 *                                      device?
 * @iommu: IOMMU of the device
 * @dev: device that no domain is attached to
 * @devid: its requester ID
 *
 * Return: true if a requester ID of it has an entry of the crashed kernel. What
 * is attached next replaces it.
 */
bool amd_iommu_kdump_device_inherited(struct amd_iommu *iommu,
				      struct device *dev, u16 devid)
{
	return each_requester_id(iommu, dev, devid, any_inherited,
				 iommu->pci_seg);
}

struct inherit_data {
	struct amd_iommu_pci_seg *pci_seg;
	struct iommu_kdump_tables *tables;
};

static int inherit_one(struct pci_dev *pdev, u16 alias, void *data)
{
	struct inherit_data *inherit = data;
	struct iommu_kdump_tables tables = {};
	int ret;

	if (iommu_kdump_was_refused(&inherit->pci_seg->kdump_refused, alias))
		return -EUCLEAN;
	if (!entry_inherited(inherit->pci_seg, alias))
		return 0;
	ret = decode(&inherit->pci_seg->dev_table[alias], true, &tables);
	return ret ?: iommu_kdump_add_tables(inherit->tables, &tables);
}

/**
 * amd_iommu_inherit_tables() - &iommu_ops.inherit_tables
 * @dev: device that joins a group
 * @tables: filled in with what its device table entries lead to
 *
 * Return: see &iommu_ops.inherit_tables.
 */
int amd_iommu_inherit_tables(struct device *dev,
			     struct iommu_kdump_tables *tables)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);
	struct amd_iommu *iommu = get_amd_iommu_from_dev(dev);
	struct inherit_data inherit = {
		.pci_seg = iommu->pci_seg,
		.tables = tables,
	};
	int ret;

	if (!translation_pre_enabled(iommu)) {
		tables->type = IOMMU_KDUMP_IDENTITY;
		tables->not_live = true;
		return 0;
	}

	ret = each_requester_id(iommu, dev, dev_data->devid, inherit_one,
				&inherit);
	if (ret)
		return ret;
	if (tables->type == IOMMU_KDUMP_NONE)
		tables->type = IOMMU_KDUMP_BLOCKED;
	return 0;
}

/**
 * amd_iommu_reserve_old_iova() - &iommu_ops.reserve_old_iova
 * @dev: one of the devices that use the table
 * @tables: what amd_iommu_inherit_tables() has filled in
 * @report: takes the mappings
 *
 * As PASID 0 a guest page table is not sign extended: all bits that its levels
 * decode count from 0.
 *
 * Return: see &iommu_ops.reserve_old_iova.
 */
int amd_iommu_reserve_old_iova(struct device *dev,
			       const struct iommu_kdump_tables *tables,
			       struct iommu_kdump_report *report)
{
	struct pt_iommu_foreign foreign = {
		.root = tables->root,
		.levels = tables->levels,
		.max_oasz_lg2 = boot_cpu_data.x86_phys_bits,
	};

	if (tables->format == OLD_GUEST) {
		foreign.features = BIT(PT_FEAT_X86_64_AMD_ENCRYPT_TABLES);
		return pt_iommu_x86_64_walk_foreign(&foreign, report);
	}
	foreign.features = BIT(PT_FEAT_AMDV1_ENCRYPT_TABLES);
	return pt_iommu_amdv1_walk_foreign(&foreign, report);
}

/**
 * amd_iommu_release_on_driver_probe() - &iommu_ops.release_on_driver_probe
 * @dev: device whose old mappings are gone
 *
 * The old translation may be in the device's own TLB still, if that was warm
 * before ATS was set up here.
 */
void amd_iommu_release_on_driver_probe(struct device *dev)
{
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);

	if (dev_data->ats_enabled && pci_device_is_present(to_pci_dev(dev)))
		amd_iommu_flush_dev_iotlb(dev_data);
	amd_iommu_kdump_free_dids();
}

#ifdef CONFIG_IOMMU_KDUMP_KUNIT_TEST
#include "kdump_kunit.c"
#endif
