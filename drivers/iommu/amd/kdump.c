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
#include <linux/generic_pt/iommu.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/iommu-kdump.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "amd_iommu.h"
#include "../iommu-pages.h"

/* Section 2.2.2.1, Device Table Entry Format */
#define DTE_DATA0_RSVD		(GENMASK_ULL(6, 2) | BIT_ULL(63))
#define DTE_DATA2_RSVD		GENMASK_ULL(53, 52)
#define DTE_MODE_RSVD		7
#define DTE_GLX_RSVD		3
#define DTE_PASS_THROUGH	(DTE_FLAG_V | DTE_FLAG_TV | DTE_FLAG_IR | DTE_FLAG_IW)

#define ENTRIES_PER_PAGE	(SZ_4K / sizeof(struct dev_table_entry))
#define GCR3_RSVD		(GENMASK_ULL(11, 1) | GENMASK_ULL(63, 52))

struct iommu_kdump_ids amd_iommu_kdump_dids;

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
 */
static int read_gcr3(const struct dev_table_entry *dte, u64 *gcr3)
{
	unsigned int glx = FIELD_GET(DTE_GLX, dte->data[0]);
	u64 table = gcr3_table(dte);
	int ret;

	if (glx == DTE_GLX_RSVD || glx > FIELD_GET(FEATURE_GLX, features()))
		return -EUCLEAN;

	for (;;) {
		ret = iommu_kdump_read_old(table, SZ_4K, gcr3, 1);
		if (ret)
			return ret;
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
			struct iommu_kdump_tables *tables, u64 *gcr3)
{
	unsigned int level = FIELD_GET(DTE_GPT_LEVEL_MASK, dte->data[2]);
	int ret = 0;

	if (level > GUEST_PGTABLE_5_LEVEL ||
	    level > FIELD_GET(FEATURE_GATS, features()))
		return -EUCLEAN;
	/* See keep_only_pasid_0() */
	if (own)
		*gcr3 = *(u64 *)phys_to_virt(gcr3_table(dte));
	else
		ret = read_gcr3(dte, gcr3);
	if (ret)
		return ret;
	if (!(*gcr3 & GCR3_VALID)) {
		tables->type = IOMMU_KDUMP_BLOCKED;
		return 0;
	}

	tables->root = __sme_clr(*gcr3) & PM_ADDR_MASK;
	if (!old_page(tables->root))
		return -EUCLEAN;
	tables->type = IOMMU_KDUMP_PAGING;
	tables->format = PD_MODE_V2;
	tables->levels = PAGE_MODE_4_LEVEL + level;
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
	tables->format = PD_MODE_V1;
	tables->levels = mode;
	return 0;
}

/* GIOV: PASID 0 stands for DMA without PASID */
static bool uses_pasid_0(const struct dev_table_entry *dte)
{
	const u64 guest = DTE_FLAG_V | DTE_FLAG_GV | DTE_FLAG_GIOV;

	return (dte->data[0] & guest) == guest;
}

/* DMA without PASID is translated twice: the host table says where the guest's is */
static bool nested(const struct dev_table_entry *dte)
{
	return uses_pasid_0(dte) && (dte->data[0] & DTE_MODE_MASK);
}

/*
 * Section 2.2.2.1; for V and TV see the table of their combinations there. @own says
 * that the entry has been through take_over_entry(). Of an entry with GIOV that is not
 * nested, @gcr3 becomes PASID 0.
 */
static int decode(const struct dev_table_entry *dte, bool own,
		  struct iommu_kdump_tables *tables, u64 *gcr3)
{
	const u64 both = DTE_FLAG_IR | DTE_FLAG_IW;
	int ret;

	tables->id = FIELD_GET(DTE_DOMID_MASK, dte->data[1]);

	/* V = 0: not translated, whatever the rest says */
	if (!(dte->data[0] & DTE_FLAG_V)) {
		tables->type = IOMMU_KDUMP_IDENTITY;
		tables->id = 0;
		return 0;
	}
	/* Nobody has set the last word yet, and most of it is reserved */
	if ((dte->data[0] & DTE_DATA0_RSVD) ||
	    (dte->data[2] & DTE_DATA2_RSVD) || dte->data[3])
		return -EUCLEAN;
	if (!(dte->data[0] & DTE_FLAG_TV) || !(dte->data[0] & both)) {
		tables->type = IOMMU_KDUMP_BLOCKED;
		return 0;
	}
	if ((dte->data[0] & DTE_FLAG_GV) && !(features() & FEATURE_GT))
		return -EUCLEAN;

	if (uses_pasid_0(dte) && !nested(dte))
		ret = decode_guest(dte, own, tables, gcr3);
	else
		ret = decode_host(dte, tables);
	if (ret || tables->type == IOMMU_KDUMP_BLOCKED)
		return ret;
	/* No kernel lets a device only read, or only write, all it can reach */
	if (nested(dte) || (dte->data[0] & both) != both)
		return -EOPNOTSUPP;
	return 0;
}

/* See keep_only_pasid_0() */
static void free_own_gcr3(const struct dev_table_entry *dte)
{
	if (uses_pasid_0(dte) && !nested(dte))
		iommu_free_pages(phys_to_virt(gcr3_table(dte)));
}

/**
 * amd_iommu_kdump_entry_left() - An entry of the crashed kernel is gone
 * @iommu: IOMMU of the requester ID
 * @devid: the requester ID
 * @old: what the entry was
 *
 * Context: Any. All that hardware has cached of it must have been flushed.
 */
void amd_iommu_kdump_entry_left(struct amd_iommu *iommu, u16 devid,
				const struct dev_table_entry *old)
{
	if (iommu_kdump_entry_left(&iommu->kdump, devid))
		free_own_gcr3(old);
}

/**
 * amd_iommu_kdump_event() - Hardware has logged an event
 * @iommu: IOMMU that has logged it
 * @devid: requester ID in it, which need not exist
 * @type: EVENT_TYPE_*
 *
 * SA silences page faults. That is tried first; a device that goes on with events of
 * another kind is blocked.
 *
 * Context: May sleep.
 *
 * Return: true if there have been enough of them in the log.
 */
bool amd_iommu_kdump_event(struct amd_iommu *iommu, u16 devid, int type)
{
	struct iommu_dev_data *dev_data;

	if (!iommu->iommu.kdump || !iommu_kdump_fault(&iommu->kdump, devid))
		return false;

	/* Some events of the IOMMU itself have 0 there, which is the host bridge */
	if (type != EVENT_TYPE_IO_FAULT && devid &&
	    devid <= iommu->pci_seg->last_bdf) {
		dev_data = find_dev_data(iommu, devid);
		if (dev_data)
			dev_data->noisy = true;
	}
	return true;
}

/**
 * amd_iommu_inherit_tables() - &iommu_ops.inherit_tables
 * @dev: device that joins a group
 * @devid: requester ID of it whose entry is the crashed kernel's
 * @tables: filled in with what the entry leads to
 *
 * Return: see &iommu_ops.inherit_tables.
 */
int amd_iommu_inherit_tables(struct device *dev, u32 devid,
			     struct iommu_kdump_tables *tables)
{
	struct amd_iommu *iommu = get_amd_iommu_from_dev(dev);
	u64 gcr3;

	return decode(&get_dev_table(iommu)[devid], true, tables, &gcr3);
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

	if (tables->format == PD_MODE_V2) {
		foreign.features = BIT(PT_FEAT_X86_64_AMD_ENCRYPT_TABLES);
		return pt_iommu_x86_64_walk_foreign(&foreign, report);
	}
	foreign.features = BIT(PT_FEAT_AMDV1_ENCRYPT_TABLES);
	return pt_iommu_amdv1_walk_foreign(&foreign, report);
}

/* &iommu_kdump_entry_ops.own_id: the alias that firmware gives, on any bus */
static u32 own_id(struct iommu_kdump_entries *entries, struct device *dev)
{
	struct amd_iommu *iommu = container_of(entries, struct amd_iommu, kdump);
	struct iommu_dev_data *dev_data = dev_iommu_priv_get(dev);

	if (!dev_is_pci(dev))
		return dev_data->devid;
	return iommu->pci_seg->alias_table[dev_data->devid];
}

static const struct iommu_kdump_entry_ops entry_ops = {
	.own_id = own_id,
	.silence = amd_iommu_silence_dte,
};

/* A storm of old DMA, or of old interrupts, must not cost the dump */
static void block(struct dev_table_entry *dte)
{
	dte->data[0] = amd_iommu_blocked_dte_flags();
	dte->data[1] |= DTE_FLAG_SA;
	dte->data[2] |= DTE_IRQ_NO_FAULT;
	if (amd_iommu_irq_remap)
		dte->data[2] |= DTE_IRQ_REMAP_ENABLE;
}

/*
 * The processes that PASIDs belong to are dead. What is left is PASID 0, in a table of
 * our own.
 */
static int __init keep_only_pasid_0(struct dev_table_entry *dte, u64 gcr3)
{
	u64 *page;

	/* PASIDs that are translated twice stay within the host table */
	if (!(dte->data[0] & DTE_FLAG_V) || !(dte->data[0] & DTE_FLAG_GV) ||
	    nested(dte))
		return 0;
	dte->data[0] &= ~(DTE_GLX | DTE_GCR3_14_12);
	dte->data[1] &= ~(DTE_GCR3_30_15 | DTE_GCR3_51_31);
	if (!uses_pasid_0(dte)) {
		dte->data[0] &= ~DTE_FLAG_GV;
		return 0;
	}

	page = iommu_alloc_pages_sz(GFP_KERNEL, SZ_4K);
	if (!page)
		return -ENOMEM;
	page[0] = gcr3;
	gcr3 = iommu_virt_to_phys(page);
	dte->data[0] |= FIELD_PREP(DTE_GCR3_14_12, gcr3 >> 12);
	dte->data[1] |= FIELD_PREP(DTE_GCR3_30_15, gcr3 >> 15) |
			FIELD_PREP(DTE_GCR3_51_31, gcr3 >> 31);
	return 0;
}

/*
 * Section 2.2.5.2: for an interrupt in guest mode the IOMMU writes to the backing
 * page of a virtual APIC. The virtual machine is gone, its memory need not be. Where
 * this kernel has no guest mode the entry would mean something else.
 */
static bool __init vapics_are_old(u64 table, u64 size)
{
	const struct irte_ga *page;
	union irte_ga_lo lo;
	union irte_ga_hi hi;
	bool old = true;
	u64 at, end;

	for (at = table; at < table + size && old; at = end) {
		end = min(ALIGN_DOWN(at, SZ_4K) + SZ_4K, table + size);
		page = iommu_kdump_map_old(ALIGN_DOWN(at, SZ_4K), SZ_4K);
		if (IS_ERR(page))
			return false;
		for (; at < end; at += sizeof(*page)) {
			lo.val = READ_ONCE(page[at % SZ_4K / sizeof(*page)].lo.val);
			hi.val = READ_ONCE(page[at % SZ_4K / sizeof(*page)].hi.val);
			if (lo.fields_vapic.valid && lo.fields_vapic.guest_mode &&
			    (!AMD_IOMMU_GUEST_IR_VAPIC(amd_iommu_guest_ir) ||
			     !old_page(__sme_clr((u64)hi.fields.ga_root_ptr << 12))))
				old = false;
		}
		iommu_kdump_unmap_old(page);
	}
	return old;
}

/*
 * Section 2.2.5: interrupts are remapped on their own, whatever V and TV say. An
 * interrupt remapping table that is not in old memory stays away: with IV = 1
 * and IntCtl = 0, as the new entry has them, fixed interrupts are aborted.
 */
static void __init copy_interrupts(const struct dev_table_entry *old,
				   struct dev_table_entry *new)
{
	u64 irq = old->data[2];
	u64 table = __sme_clr(irq) & DTE_IRQ_PHYS_ADDR_MASK;
	unsigned int len_lg2 = FIELD_GET(DTE_INTTABLEN_MASK, irq);

	/* An entry has 4 or 16 bytes: the larger table must be old memory */
	if ((irq & DTE_IRQ_REMAP_ENABLE) &&
	    (irq & DTE_IRQ_REMAP_INTCTL_MASK) == DTE_IRQ_REMAP_INTCTL) {
		u64 size = sizeof(struct irte_ga) << len_lg2;

		if (len_lg2 > DTE_INTTABLEN_VALUE_2K ||
		    !iommu_kdump_is_old_ram(table, size))
			return;
		if (AMD_IOMMU_GUEST_IR_GA(amd_iommu_guest_ir) &&
		    !vapics_are_old(table, size))
			return;
	}
	new->data[2] &= ~DTE_DATA2_INTR_MASK;
	new->data[2] |= irq & DTE_DATA2_INTR_MASK;
}

/*
 * Fills in an entry of the new device table, which blocks. Returns 1 if hardware goes
 * on to use the old one, 0 if that has blocked as well, or why it is refused.
 */
static int __init take_over_entry(struct amd_iommu *iommu, u32 devid,
				  const struct dev_table_entry *old, bool irqs)
{
	struct dev_table_entry *new = &get_dev_table(iommu)[devid];
	struct iommu_kdump_tables tables = {};
	struct dev_table_entry dte;
	unsigned int i;
	u64 gcr3 = 0;
	int ret;

	for (i = 0; i < ARRAY_SIZE(dte.data); i++)
		dte.data[i] = READ_ONCE(old->data[i]);

	if (irqs)
		copy_interrupts(&dte, new);

	ret = decode(&dte, false, &tables, &gcr3);
	if (!ret && tables.type == IOMMU_KDUMP_BLOCKED)
		return 0;
	/* Understood, but not by the framework: the group is blocked */
	if (!ret || ret == -EOPNOTSUPP)
		ret = keep_only_pasid_0(&dte, gcr3);
	if (ret)
		return ret;

	ret = iommu_kdump_keep_entry(&iommu->kdump, devid,
				     FIELD_GET(DTE_DOMID_MASK, dte.data[1]));
	if (ret) {
		free_own_gcr3(&dte);
		return ret;
	}
	new->data[0] = dte.data[0];
	new->data[1] = dte.data[1];
	new->data[2] &= DTE_DATA2_INTR_MASK;
	new->data[2] |= dte.data[2] & ~DTE_DATA2_INTR_MASK;
	return 1;
}

/*
 * The IOMMU that looks at a requester ID. One that firmware does not mention goes to
 * one that translates, if there is any: it must not pass through that one.
 */
static struct amd_iommu *__init iommu_of(struct amd_iommu_pci_seg *pci_seg,
					 u32 devid)
{
	struct amd_iommu *iommu, *other = NULL;

	if (pci_seg->rlookup_table[devid])
		return pci_seg->rlookup_table[devid];
	for_each_iommu(iommu) {
		if (iommu->pci_seg == pci_seg &&
		    (!other || !translation_pre_enabled(other)))
			other = iommu;
	}
	return other;
}

/*
 * MMIO Offset 0000h, Device Table Base Address Register. Each IOMMU has its own, and
 * is asked for the requester IDs that it serves.
 */
static void __init take_over_table(struct amd_iommu *iommu)
{
	struct amd_iommu_pci_seg *pci_seg = iommu->pci_seg;
	u64 control = readq(iommu->mmio_base + MMIO_CONTROL_OFFSET);
	u64 base = readq(iommu->mmio_base + MMIO_DEV_TABLE_OFFSET);
	u64 phys = __sme_clr(base) & PM_ADDR_MASK;
	u32 nr = min_t(u32, pci_seg->last_bdf + 1,
		       ((base & DEV_TABLE_SIZE_MASK) + 1) * ENTRIES_PER_PAGE);
	const struct dev_table_entry *page;
	unsigned int kept = 0, refused = 0;
	u32 first, devid;
	bool irqs;
	int ret;

	/* Remapped here as well, by entries of the same size? */
	irqs = amd_iommu_irq_remap && !!(control & BIT_ULL(CONTROL_GA_EN)) ==
				      !!AMD_IOMMU_GUEST_IR_GA(amd_iommu_guest_ir);

	for (first = 0; first < nr; first += ENTRIES_PER_PAGE) {
		page = iommu_kdump_map_old(phys + first * sizeof(*page),
					   SZ_4K);
		for (devid = first; devid < min(first + ENTRIES_PER_PAGE, nr);
		     devid++) {
			if (iommu_of(pci_seg, devid) != iommu)
				continue;
			ret = PTR_ERR_OR_ZERO(page) ?:
			      take_over_entry(iommu, devid, &page[devid - first],
					      irqs);
			if (ret < 0) {
				iommu_kdump_refuse_entries(&iommu->kdump, devid, 1);
				refused++;
			} else {
				kept += ret;
			}
		}
		if (!IS_ERR(page))
			iommu_kdump_unmap_old(page);
	}

	pr_info("IOMMU%d: %u requester IDs inherited, %u refused and blocked\n",
		iommu->index, kept, refused);
}

/*
 * An IOMMU that does not translate yet: DMA passes now, and goes on to pass until
 * the core has moved the groups to their domains.
 */
static void __init pass_through(struct amd_iommu *iommu)
{
	u32 devid;

	for (devid = 0; devid <= iommu->pci_seg->last_bdf; devid++) {
		if (iommu_of(iommu->pci_seg, devid) == iommu)
			get_dev_table(iommu)[devid].data[0] = DTE_PASS_THROUGH;
	}
	iommu->kdump.not_live = true;
	pr_info("IOMMU%d: not used by the crashed kernel, its DMA is kept from the crash kernel's memory from now on\n",
		iommu->index);
}

/**
 * amd_iommu_kdump_take_over() - Fill in what the crashed kernel has set up
 * @pci_seg: PCI segment whose new device table is not in use
 *
 * Entries that are valid are put into the new table as the crashed kernel had
 * them, the others are blocked. Neither hardware nor memory of the crashed
 * kernel is written.
 *
 * Context: May sleep. iommu_kdump_oldmem_init() has been called.
 */
void __init amd_iommu_kdump_take_over(struct amd_iommu_pci_seg *pci_seg)
{
	struct amd_iommu *iommu;
	u32 devid;

	/* Without page tables there is nothing to inherit, and no way to block */
	if (amd_iommu_pgtable == PD_MODE_NONE)
		return;

	for (devid = 0; devid <= pci_seg->last_bdf; devid++)
		block(&pci_seg->dev_table[devid]);

	if (!amd_iommu_kdump_dids.ida)
		iommu_kdump_ids_init(&amd_iommu_kdump_dids, &pdom_ids, 1,
				     MAX_DOMAIN_ID - 1);

	for_each_iommu(iommu) {
		if (iommu->pci_seg != pci_seg)
			continue;
		iommu_kdump_entries_init(&iommu->kdump, &entry_ops,
					 &amd_iommu_kdump_dids,
					 kasprintf(GFP_KERNEL, "AMD-Vi: IOMMU%d",
						   iommu->index) ?: "AMD-Vi");
		iommu->iommu.kdump = &iommu->kdump;
		if (!iommu_kdump_enabled()) {
			iommu_kdump_refuse_entries(&iommu->kdump, 0, 0);
			pr_warn("IOMMU%d: nothing inherited, the command line asks for it: all devices are blocked until their drivers come\n",
				iommu->index);
		} else if (translation_pre_enabled(iommu)) {
			take_over_table(iommu);
		} else {
			pass_through(iommu);
		}
	}
}

/**
 * amd_iommu_kdump_copy_dte() - An entry has changed that hardware has a copy of
 * @iommu: IOMMU with the device table of the crashed kernel
 * @devid: the requester ID. What this kernel does not know of is blocked.
 *
 * Context: Any. The caller flushes.
 */
void amd_iommu_kdump_copy_dte(struct amd_iommu *iommu, u16 devid)
{
	struct dev_table_entry *old = &iommu->old_table[devid];
	struct dev_table_entry *own = &get_dev_table(iommu)[devid];
	struct dev_table_entry new = {};
	unsigned int i, first;

	if (devid >= iommu->old_table_entries)
		return;

	guard(raw_spinlock_irqsave)(&iommu->lock);
	if (devid > iommu->pci_seg->last_bdf) {
		block(&new);
	} else {
		for (i = 0; i < ARRAY_SIZE(new.data128); i++)
			new.data128[i] = arch_cmpxchg128(&own->data128[i], 0, 0);
	}
	/* As update_dte256() does it: no GV without the level that belongs to it */
	first = !(old->data[0] & DTE_FLAG_GV);
	arch_cmpxchg128_local(&old->data128[first], old->data128[first],
			      new.data128[first]);
	arch_cmpxchg128_local(&old->data128[!first], old->data128[!first],
			      new.data128[!first]);
}

/**
 * amd_iommu_kdump_keep_table() - The IOMMU keeps the device table of the crashed kernel
 * @iommu: IOMMU whose base register cannot be written, or not at once
 * @base: what it says
 *
 * So this table becomes a copy of that of the segment, and remains one: DMA and
 * interrupts of the crash kernel work as ever. Its size need not be the same.
 *
 * Context: May sleep. The caller flushes.
 */
void __init amd_iommu_kdump_keep_table(struct amd_iommu *iommu, u64 base)
{
	u32 nr = ((base & DEV_TABLE_SIZE_MASK) + 1) * ENTRIES_PER_PAGE, devid;

	iommu->old_table = amd_iommu_memremap(base, nr * sizeof(*iommu->old_table));
	if (!iommu->old_table) {
		pr_err("IOMMU%d: device table at %#llx can neither be replaced nor written: its devices and their interrupts are lost\n",
		       iommu->index, base & PM_ADDR_MASK);
		return;
	}
	pr_warn("IOMMU%d: device table at %#llx cannot be replaced: memory of the crashed kernel is written\n",
		iommu->index, base & PM_ADDR_MASK);
	iommu->old_table_entries = nr;
	for (devid = 0; devid < nr; devid++)
		amd_iommu_kdump_copy_dte(iommu, devid);
}

/**
 * amd_iommu_kdump_end_pass_through() - All devices of the boot are in domains
 *
 * What still passes without translation belongs to no device: unlike the entry of an
 * identity domain it has no domain ID. The caller flushes.
 */
void __init amd_iommu_kdump_end_pass_through(void)
{
	struct amd_iommu *iommu;
	u32 devid;

	for_each_iommu(iommu) {
		struct dev_table_entry *table = get_dev_table(iommu);

		if (!iommu->kdump.not_live)
			continue;
		for (devid = 0; devid <= iommu->pci_seg->last_bdf; devid++) {
			if (iommu_of(iommu->pci_seg, devid) == iommu &&
			    table[devid].data[0] == DTE_PASS_THROUGH &&
			    !(table[devid].data[1] & DTE_DOMID_MASK))
				/* All that decides about DMA is in this word */
				WRITE_ONCE(table[devid].data[0],
					   amd_iommu_blocked_dte_flags());
		}
		iommu->kdump.not_live = false;
	}
}

#ifdef CONFIG_IOMMU_KDUMP_KUNIT_TEST
#include "kdump_kunit.c"
#endif
