// SPDX-License-Identifier: GPL-2.0-only
/*
 * RISC-V IOMMU: callbacks of the crashdump framework
 *
 * While the IOMMU translates its directory cannot be replaced: section 5.5 leaves open
 * what happens if ddtp is changed from one directory to another. So the root page of
 * the crashed kernel stays in use. What it points to is copied, with every device
 * context validated, and the pointers in it are replaced, each by one store. A directory
 * of one level has the contexts in the root page: they are validated where they are.
 * Whatever is not valid blocks without reporting. Translation stays on all the time.
 *
 * Sections are those of the "RISC-V IOMMU Architecture Specification", version 1.0.
 */

#include <linux/bitfield.h>
#include <linux/generic_pt/iommu.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/iommu-kdump.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>

#include <kunit/static_stub.h>

#include "../iommu-pages.h"
#include "iommu-bits.h"
#include "iommu.h"

/* Sections 2.1.1 and 2.2.1: entries that lead to another table */
#define DDTE_RSVD		(GENMASK_ULL(9, 1) | GENMASK_ULL(63, 54))
/* Section 2.1.3.1, with the bits for custom use, whose meaning nobody knows */
#define DC_TC_RSVD		GENMASK_ULL(63, 12)
#define DC_TA_RSVD		(GENMASK_ULL(11, 0) | GENMASK_ULL(63, 32))
#define DC_ATP_RSVD		GENMASK_ULL(59, 44)
#define DC_MSI_RSVD		GENMASK_ULL(63, 52)
#define PC_TA_RSVD		(GENMASK_ULL(11, 3) | GENMASK_ULL(63, 32))

/* &iommu_kdump_tables.format: hardware sets accessed and dirty bits */
#define FORMAT_SADE		1

static bool extended(struct riscv_iommu_device *iommu)
{
	return iommu->caps & RISCV_IOMMU_CAPABILITIES_MSI_FLAT;
}

static unsigned int dc_words(struct riscv_iommu_device *iommu)
{
	return extended(iommu) ? 8 : 4;
}

/* Bits of a device ID that are below an entry of a table, section 2.3.1 */
static unsigned int ids_lg2(struct riscv_iommu_device *iommu, unsigned int level)
{
	return level ? (extended(iommu) ? 6 : 7) + 9 * (level - 1) : 0;
}

static void read_dc(struct riscv_iommu_device *iommu, const u64 *entry,
		    struct riscv_iommu_dc *dc)
{
	unsigned int i;

	*dc = (struct riscv_iommu_dc){};
	for (i = 0; i < dc_words(iommu); i++)
		((u64 *)dc)[i] = READ_ONCE(entry[i]);
}

/* Sections 2.1.3.6 and 2.2.3.2: @ta and @fsc are those of a device or of a process */
static int decode_first_stage(struct riscv_iommu_device *iommu, u64 ta, u64 fsc,
			      struct iommu_kdump_tables *tables)
{
	static const u64 caps[] = {
		RISCV_IOMMU_CAPABILITIES_SV39,
		RISCV_IOMMU_CAPABILITIES_SV48,
		RISCV_IOMMU_CAPABILITIES_SV57,
	};
	unsigned int mode = FIELD_GET(RISCV_IOMMU_DC_FSC_MODE, fsc);

	tables->id = FIELD_GET(RISCV_IOMMU_DC_TA_PSCID, ta);
	if (fsc & DC_ATP_RSVD)
		return -EUCLEAN;
	if (mode == RISCV_IOMMU_DC_FSC_MODE_BARE) {
		tables->type = IOMMU_KDUMP_IDENTITY;
		return 0;
	}
	if (mode < RISCV_IOMMU_DC_FSC_IOSATP_MODE_SV39 ||
	    mode > RISCV_IOMMU_DC_FSC_IOSATP_MODE_SV57)
		return -EUCLEAN;
	mode -= RISCV_IOMMU_DC_FSC_IOSATP_MODE_SV39;
	if (!(iommu->caps & caps[mode]))
		return -EUCLEAN;

	tables->type = IOMMU_KDUMP_PAGING;
	tables->levels = 3 + mode;
	tables->root = FIELD_GET(RISCV_IOMMU_DC_FSC_PPN, fsc) << 12;
	/* What the crashed kernel wrote must be followed only into its RAM */
	return iommu_kdump_is_old_ram(tables->root, SZ_4K) ? 0 : -EUCLEAN;
}

/*
 * Sections 2.2 and 2.3.2: as many levels as the mode says lead to the context of a
 * process. DMA without a process ID uses process 0, the first entry of each level.
 */
static int decode_process(struct riscv_iommu_device *iommu, u64 pdtp,
			  struct iommu_kdump_tables *tables)
{
	static const u64 caps[] = {
		RISCV_IOMMU_CAPABILITIES_PD8,
		RISCV_IOMMU_CAPABILITIES_PD17,
		RISCV_IOMMU_CAPABILITIES_PD20,
	};
	unsigned int levels = FIELD_GET(RISCV_IOMMU_DC_FSC_MODE, pdtp);
	u64 table = FIELD_GET(RISCV_IOMMU_DC_FSC_PPN, pdtp) << 12;
	u64 pc[2], pdte;
	int ret;

	if (pdtp & DC_ATP_RSVD)
		return -EUCLEAN;
	if (!levels) {
		tables->type = IOMMU_KDUMP_IDENTITY;
		return 0;
	}
	if (levels > ARRAY_SIZE(caps) || !(iommu->caps & caps[levels - 1]))
		return -EUCLEAN;
	while (--levels) {
		ret = iommu_kdump_read_old(table, SZ_4K, &pdte, 1);
		if (ret)
			return ret;
		if (!(pdte & RISCV_IOMMU_DDTE_V))
			return 0;
		if (pdte & DDTE_RSVD)
			return -EUCLEAN;
		table = ppn_to_phys(pdte);
	}
	ret = iommu_kdump_read_old(table, SZ_4K, pc, ARRAY_SIZE(pc));
	if (ret || !(pc[0] & RISCV_IOMMU_PC_TA_V))
		return ret;
	if (pc[0] & PC_TA_RSVD)
		return -EUCLEAN;
	return decode_first_stage(iommu, pc[0], pc[1], tables);
}

/* Section 2.1.4, of tc what is wrong whatever the rest is */
static bool tc_valid(struct riscv_iommu_device *iommu, u64 tc)
{
	u64 rsvd = DC_TC_RSVD;

	if (!(iommu->caps & RISCV_IOMMU_CAPABILITIES_ATS))
		rsvd |= RISCV_IOMMU_DC_TC_EN_ATS;
	if (!(tc & RISCV_IOMMU_DC_TC_EN_ATS))
		rsvd |= RISCV_IOMMU_DC_TC_EN_PRI;
	if (!(tc & RISCV_IOMMU_DC_TC_EN_PRI))
		rsvd |= RISCV_IOMMU_DC_TC_PRPR;
	if (!(tc & RISCV_IOMMU_DC_TC_PDTV))
		rsvd |= RISCV_IOMMU_DC_TC_DPE;
	if (!(iommu->caps & RISCV_IOMMU_CAPABILITIES_AMO_HWAD))
		rsvd |= RISCV_IOMMU_DC_TC_SADE | RISCV_IOMMU_DC_TC_GADE;
	/* Nothing but a second stage makes sense of it */
	rsvd |= RISCV_IOMMU_DC_TC_T2GPA;
	return !(tc & rsvd);
}

/* Section 2.1.4, of a context that is valid */
static int decode(struct riscv_iommu_device *iommu, const struct riscv_iommu_dc *dc,
		  struct iommu_kdump_tables *tables)
{
	bool be = iommu->fctl & RISCV_IOMMU_FCTL_BE;
	unsigned int mode;

	*tables = (struct iommu_kdump_tables){ .type = IOMMU_KDUMP_BLOCKED };

	/* The host uses the guest's addresses there, or those of an MSI page table */
	mode = FIELD_GET(RISCV_IOMMU_DC_IOHGATP_MODE, dc->iohgatp);
	if (mode >= RISCV_IOMMU_DC_IOHGATP_MODE_SV39X4 &&
	    mode <= RISCV_IOMMU_DC_IOHGATP_MODE_SV57X4)
		return -EOPNOTSUPP;
	if (mode || !tc_valid(iommu, dc->tc) || (dc->ta & DC_TA_RSVD))
		return -EUCLEAN;
	if (extended(iommu)) {
		mode = FIELD_GET(RISCV_IOMMU_DC_MSIPTP_MODE, dc->msiptp);
		/* What is in it the IOMMU may write to */
		if (mode == RISCV_IOMMU_DC_MSIPTP_MODE_FLAT)
			return -EOPNOTSUPP;
		if (mode || (dc->msiptp & DC_ATP_RSVD) || dc->_reserved ||
		    ((dc->msi_addr_mask | dc->msi_addr_pattern) & DC_MSI_RSVD))
			return -EUCLEAN;
	}
	/* Pages of 32 bits, page tables of the other byte order: no kernel has them */
	if ((dc->tc & RISCV_IOMMU_DC_TC_SXL) ||
	    !!(dc->tc & RISCV_IOMMU_DC_TC_SBE) != be)
		return -EOPNOTSUPP;

	if (dc->tc & RISCV_IOMMU_DC_TC_SADE)
		tables->format = FORMAT_SADE;
	if (!(dc->tc & RISCV_IOMMU_DC_TC_PDTV))
		return decode_first_stage(iommu, dc->ta, dc->fsc, tables);
	/* Without a process ID nothing would be translated */
	if (!(dc->tc & RISCV_IOMMU_DC_TC_DPE))
		return -EOPNOTSUPP;
	return decode_process(iommu, dc->fsc, tables);
}

/* The context of a device ID, if it has one of its own. With the lock of contexts held */
static struct riscv_iommu_dc *find_dc(struct riscv_iommu_device *iommu, u32 id)
{
	unsigned int level = iommu->ddt_mode - RISCV_IOMMU_DDTP_IOMMU_MODE_1LVL;
	u64 *table = iommu->ddt_root, entry;

	if (!iommu->kdump_shared[0] ||
	    iommu->ddt_mode < RISCV_IOMMU_DDTP_IOMMU_MODE_1LVL ||
	    id >> min(ids_lg2(iommu, level + 1), 24))
		return NULL;
	for (; level; level--) {
		entry = table[(id >> ids_lg2(iommu, level)) % 512];
		table = phys_to_virt(ppn_to_phys(entry));
		if (table == iommu->kdump_shared[0] ||
		    table == iommu->kdump_shared[1])
			return NULL;
	}
	id %= BIT(ids_lg2(iommu, 1));
	return (struct riscv_iommu_dc *)(table + id * dc_words(iommu));
}

/**
 * riscv_iommu_inherit_tables() - &iommu_ops.inherit_tables
 * @dev: device that joins a group
 * @id: device ID whose context is the crashed kernel's
 * @tables: filled in with what the context leads to
 *
 * Return: see &iommu_ops.inherit_tables.
 */
int riscv_iommu_inherit_tables(struct device *dev, u32 id,
			       struct iommu_kdump_tables *tables)
{
	struct riscv_iommu_device *iommu = dev_to_iommu(dev);
	struct riscv_iommu_dc *entry, dc;

	guard(mutex)(&iommu->dc_lock);
	entry = find_dc(iommu, id);
	if (!entry)
		return -EUCLEAN;
	/* Old DMA may write over a root page that hardware does not let go of */
	read_dc(iommu, (const u64 *)entry, &dc);
	return decode(iommu, &dc, tables);
}

/**
 * riscv_iommu_reserve_old_iova() - &iommu_ops.reserve_old_iova
 * @dev: one of the devices that use the table
 * @tables: what riscv_iommu_inherit_tables() has filled in
 * @report: takes the mappings
 *
 * Section 5.3: every IOMMU has Svnapot.
 *
 * Return: see &iommu_ops.reserve_old_iova.
 */
int riscv_iommu_reserve_old_iova(struct device *dev,
				 const struct iommu_kdump_tables *tables,
				 struct iommu_kdump_report *report)
{
	struct riscv_iommu_device *iommu = dev_to_iommu(dev);
	struct pt_iommu_foreign foreign = {
		.root = tables->root,
		.levels = tables->levels,
		.features = BIT(PT_FEAT_SIGN_EXTEND) |
			    BIT(PT_FEAT_RISCV_SVNAPOT_64K),
		.max_oasz_lg2 = FIELD_GET(RISCV_IOMMU_CAPABILITIES_PAS,
					  iommu->caps),
	};

	if (iommu->caps & RISCV_IOMMU_CAPABILITIES_SVPBMT)
		foreign.features |= BIT(PT_FEAT_RISCV_SVPBMT);
	if (tables->format == FORMAT_SADE)
		foreign.features |= BIT(PT_FEAT_RISCV_SVADU);
	return pt_iommu_riscv_64_walk_foreign(&foreign, report);
}

/* Contexts that the driver writes */

/*
 * Tags what blocks, and what passes until the IOMMU is used: no domain has it. In a
 * context that passes it means nothing to hardware.
 */
#define NOBODYS_PSCID		RISCV_IOMMU_MAX_PSCID
#define NOBODYS_TA		FIELD_PREP(RISCV_IOMMU_DC_TA_PSCID, NOBODYS_PSCID)

static struct iommu_kdump_ids kdump_pscids;

static u64 table_entry(const void *table)
{
	return phys_to_ppn(virt_to_phys((void *)table)) | RISCV_IOMMU_DDTE_V;
}

static bool is_nobodys(const struct riscv_iommu_dc *dc)
{
	return FIELD_GET(RISCV_IOMMU_DC_TA_PSCID, dc->ta) == NOBODYS_PSCID;
}

/* Section 2.9: the IOMMU sees a word as it was or as it is, in any order of the words */
static void set_word(u64 *word, u64 value)
{
	KUNIT_STATIC_STUB_REDIRECT(set_word, word, value);
	WRITE_ONCE(*word, value);
}

static void send(struct riscv_iommu_device *iommu, struct riscv_iommu_command *cmd)
{
	KUNIT_STATIC_STUB_REDIRECT(send, iommu, cmd);
	riscv_iommu_cmd_send(iommu, cmd);
}

static void sync(struct riscv_iommu_device *iommu)
{
	KUNIT_STATIC_STUB_REDIRECT(sync, iommu);
	riscv_iommu_cmd_sync(iommu, RISCV_IOMMU_IOTINVAL_TIMEOUT);
}

/* Section 6.3.1: a context has changed */
static void flush_dc(struct riscv_iommu_device *iommu, u32 id)
{
	struct riscv_iommu_command cmd;

	riscv_iommu_cmd_iodir_inval_ddt(&cmd);
	riscv_iommu_cmd_iodir_set_did(&cmd, id);
	send(iommu, &cmd);
	sync(iommu);
}

/* The directory has, above contexts */
static void flush_directory(struct riscv_iommu_device *iommu)
{
	struct riscv_iommu_command cmd;

	riscv_iommu_cmd_iodir_inval_ddt(&cmd);
	send(iommu, &cmd);
	sync(iommu);
}

/* Blocks all DMA, and reports none of it */
static void make_blocked(struct riscv_iommu_device *iommu, struct riscv_iommu_dc *dc)
{
	*dc = (struct riscv_iommu_dc){
		.tc = RISCV_IOMMU_DC_TC_V | RISCV_IOMMU_DC_TC_DTF,
		.ta = NOBODYS_TA,
		.fsc = iommu->kdump_fsc,
	};
	if (iommu->fctl & RISCV_IOMMU_FCTL_BE)
		dc->tc |= RISCV_IOMMU_DC_TC_SBE;
}

/**
 * riscv_iommu_kdump_fault() - Hardware has reported a fault
 * @iommu: IOMMU that has reported it
 * @event: what it has reported
 *
 * Context: May sleep.
 *
 * Return: true if there have been enough of them in the log.
 */
bool riscv_iommu_kdump_fault(struct riscv_iommu_device *iommu,
			     const struct riscv_iommu_fq_record *event)
{
	/* Section 3.2: not everything comes from a device */
	if (FIELD_GET(RISCV_IOMMU_FQ_HDR_TTYP, event->hdr) ==
	    RISCV_IOMMU_FQ_TTYP_NONE || !iommu->iommu.kdump)
		return false;
	return iommu_kdump_fault(&iommu->kdump,
				 FIELD_GET(RISCV_IOMMU_FQ_HDR_DID, event->hdr));
}

/**
 * riscv_iommu_kdump_free_pscids() - There is no PSCID left
 *
 * Return: true if one that the crashed kernel had is free now.
 */
bool riscv_iommu_kdump_free_pscids(void)
{
	return kdump_pscids.ida && iommu_kdump_free_ids(&kdump_pscids);
}

/**
 * riscv_iommu_kdump_unshare() - An entry of the directory is about to be used
 * @iommu: IOMMU whose lock of contexts is held
 * @entry: of the directory, on the way to a context that will be written
 *
 * In a crash kernel most entries lead to a table that blocks, which they share.
 *
 * Return: false if there is no memory for a table of its own.
 */
bool riscv_iommu_kdump_unshare(struct riscv_iommu_device *iommu, u64 *entry)
{
	void *shared, *table;

	if (!iommu->kdump_shared[0])
		return true;
	shared = phys_to_virt(ppn_to_phys(*entry));
	if (shared != iommu->kdump_shared[0] && shared != iommu->kdump_shared[1])
		return true;
	table = riscv_iommu_get_pages(iommu, SZ_4K);
	if (!table)
		return false;
	memcpy(table, shared, SZ_4K);
	/* Hardware must not see the pointer before the table */
	dma_wmb();
	WRITE_ONCE(*entry, table_entry(table));
	if (iommu->kdump_root && entry >= iommu->ddt_root &&
	    entry < iommu->ddt_root + 512)
		set_word(&iommu->kdump_root[entry - iommu->ddt_root], *entry);
	flush_directory(iommu);
	return true;
}

/**
 * riscv_iommu_kdump_blocked() - A context is about to be made invalid
 * @iommu: the IOMMU
 * @fsc: what the first stage context would be
 * @ta: what the translation attributes would be. V there is tc.V.
 *
 * A crash kernel makes one instead that blocks. Once a context is not valid, there
 * is no way to keep hardware from reporting it.
 */
void riscv_iommu_kdump_blocked(struct riscv_iommu_device *iommu, u64 *fsc, u64 *ta)
{
	if (!iommu->kdump_shared[0] || (*ta & RISCV_IOMMU_PC_TA_V))
		return;
	*fsc = iommu->kdump_fsc;
	*ta = NOBODYS_TA | RISCV_IOMMU_PC_TA_V;
}

static u64 new_tc(struct riscv_iommu_device *iommu, u64 ta)
{
	struct riscv_iommu_dc blocked;

	make_blocked(iommu, &blocked);
	if (FIELD_GET(RISCV_IOMMU_DC_TA_PSCID, ta) != NOBODYS_PSCID)
		blocked.tc &= ~RISCV_IOMMU_DC_TC_DTF;
	return blocked.tc;
}

/**
 * riscv_iommu_kdump_tc() - Translation control of a context of this kernel
 * @iommu: the IOMMU
 * @tc: what it was
 * @ta: translation attributes, with V
 *
 * Return: what it has to be. In a crash kernel a device may have been silenced.
 */
u64 riscv_iommu_kdump_tc(struct riscv_iommu_device *iommu, u64 tc, u64 ta)
{
	if (!iommu->kdump_shared[0])
		return tc | (ta & RISCV_IOMMU_DC_TC_V);
	return new_tc(iommu, ta);
}

/**
 * riscv_iommu_kdump_keeps() - May DMA of the crashed kernel be in flight?
 * @iommu: IOMMU whose lock of contexts is held
 * @id: device ID
 * @dc: its context
 * @fsc: first stage context that is about to be set
 * @ta: translation attributes, with V
 *
 * Return: true if the context must not become invalid on the way, or is what it
 * has to be: a device with the same ID was here before.
 */
bool riscv_iommu_kdump_keeps(struct riscv_iommu_device *iommu, u32 id,
			     const struct riscv_iommu_dc *dc, u64 fsc, u64 ta)
{
	if (!iommu->kdump_shared[0] || !(dc->tc & RISCV_IOMMU_DC_TC_V))
		return false;
	return iommu_kdump_entry_is_old(&iommu->kdump, id) || is_nobodys(dc) ||
	       (dc->fsc == fsc && dc->ta == (ta & RISCV_IOMMU_DC_TA_PSCID));
}

/**
 * riscv_iommu_kdump_replace() - Replace what hardware uses for a device ID
 * @iommu: IOMMU whose lock of contexts is held
 * @dev: device that is attached
 * @id: device ID, riscv_iommu_kdump_keeps() is true for it
 * @dc: its context
 * @fsc: new first stage context. What it leads to is complete.
 * @ta: new translation attributes, with V
 *
 * Section 2.9 allows to change a valid context as long as its fields agree. Page table
 * and PSCID are in different words, which hardware may read in any order, so one
 * follows when nothing can have the old value of the other any more. Old DMA goes to
 * the same place through both page tables, so the new one may have the old PSCID, as
 * long as it is flushed in the end; the old one must not have the new PSCID. If
 * nothing is translated before, it is the other way round: then the old PSCID may be
 * that of others.
 */
void riscv_iommu_kdump_replace(struct riscv_iommu_device *iommu, struct device *dev,
			       u32 id, struct riscv_iommu_dc *dc, u64 fsc, u64 ta)
{
	bool bare = FIELD_GET(RISCV_IOMMU_DC_FSC_MODE, dc->fsc) ==
		    RISCV_IOMMU_DC_FSC_MODE_BARE;
	u64 tc = new_tc(iommu, ta), pscid = dc->ta & RISCV_IOMMU_DC_TA_PSCID;
	struct riscv_iommu_command cmd;

	ta &= RISCV_IOMMU_DC_TA_PSCID;
	if (dc->tc == tc && dc->ta == ta && dc->fsc == fsc &&
	    !iommu_kdump_entry_is_old(&iommu->kdump, id))
		return;
	/* What the new context leads to must be visible before */
	dma_wmb();
	if (bare || is_nobodys(dc)) {
		set_word(&dc->ta, ta);
		flush_dc(iommu, id);
		set_word(&dc->fsc, fsc);
	} else {
		set_word(&dc->fsc, fsc);
		flush_dc(iommu, id);
		set_word(&dc->ta, ta);
	}
	if (dc->tc & RISCV_IOMMU_DC_TC_EN_ATS) {
		/* What the device has cached is right until then */
		flush_dc(iommu, id);
		if (dev_is_pci(dev))
			pci_prepare_ats(to_pci_dev(dev), PAGE_SHIFT);
	}
	set_word(&dc->tc, tc);

	/* Section 6.3.1 */
	riscv_iommu_cmd_iodir_inval_ddt(&cmd);
	riscv_iommu_cmd_iodir_set_did(&cmd, id);
	send(iommu, &cmd);
	riscv_iommu_cmd_inval_vma(&cmd);
	if (!bare)
		riscv_iommu_cmd_inval_set_pscid(&cmd, FIELD_GET(RISCV_IOMMU_DC_TA_PSCID,
								pscid));
	send(iommu, &cmd);
	sync(iommu);
	iommu_kdump_entry_left(&iommu->kdump, id);
}

/* The take-over: before the IOMMU is registered, and until it is in use */

/* What stays of tc, apart from the bits that PDTV = 0 does away with */
#define DC_TC_KEPT		(RISCV_IOMMU_DC_TC_V | RISCV_IOMMU_DC_TC_EN_ATS | \
				 RISCV_IOMMU_DC_TC_DTF | RISCV_IOMMU_DC_TC_SADE | \
				 RISCV_IOMMU_DC_TC_SBE)

/* The tables that are read of a directory: more than a machine has buses for */
#define MAX_TABLES		4096

/* IOMMUs that let pass what they do not know yet, until the initcalls are over */
static LIST_HEAD(passing);
static DEFINE_MUTEX(passing_lock);
static bool booted;

/* Whatever was there before. No context that is kept has a second stage */
static void flush_all(struct riscv_iommu_device *iommu)
{
	struct riscv_iommu_command cmd;

	riscv_iommu_cmd_iodir_inval_ddt(&cmd);
	send(iommu, &cmd);
	riscv_iommu_cmd_inval_vma(&cmd);
	send(iommu, &cmd);
	sync(iommu);
}

/*
 * The same for DMA without a process ID, without what needs more memory of the crashed
 * kernel: the processes are dead, and so is the handler of page requests.
 */
static void make_dc(const struct iommu_kdump_tables *tables, u64 tc,
		    struct riscv_iommu_dc *dc)
{
	*dc = (struct riscv_iommu_dc){
		.tc = tc & DC_TC_KEPT,
		.ta = FIELD_PREP(RISCV_IOMMU_DC_TA_PSCID, tables->id),
	};
	if (tables->type == IOMMU_KDUMP_PAGING)
		dc->fsc = FIELD_PREP(RISCV_IOMMU_DC_FSC_MODE, tables->levels - 3 +
				     RISCV_IOMMU_DC_FSC_IOSATP_MODE_SV39) |
			  FIELD_PREP(RISCV_IOMMU_DC_FSC_PPN, tables->root >> 12);
}

/* Section 2.1.3.1: DTF disables the reports of all that an access can meet */
static void silence(struct iommu_kdump_entries *entries, u32 id)
{
	struct riscv_iommu_device *iommu =
		container_of(entries, struct riscv_iommu_device, kdump);
	struct riscv_iommu_dc *dc, blocked;

	guard(mutex)(&iommu->dc_lock);
	dc = find_dc(iommu, id);
	if (!dc)
		return;
	if (dc->tc & RISCV_IOMMU_DC_TC_V) {
		set_word(&dc->tc, dc->tc | RISCV_IOMMU_DC_TC_DTF);
	} else {
		/* One that is not valid is always reported: V comes last */
		make_blocked(iommu, &blocked);
		dc->fsc = blocked.fsc;
		dc->ta = blocked.ta;
		dc->iohgatp = 0;
		dma_wmb();
		set_word(&dc->tc, blocked.tc);
	}
	flush_dc(iommu, id);
}

static const struct iommu_kdump_entry_ops entry_ops = {
	.silence = silence,
};

struct take_over_stats {
	unsigned int entries;
	unsigned int refused;
	unsigned int tables;
	unsigned int lost_tables;
};

/* Unlike all else that the crashed kernel has left, the root page is written */
static u64 *map_root(phys_addr_t phys)
{
	KUNIT_STATIC_STUB_REDIRECT(map_root, phys);
	if (!iommu_kdump_is_old_ram(phys, SZ_4K))
		return NULL;
	return memremap(phys, SZ_4K, MEMREMAP_WB);
}

static void unmap_root(u64 *root)
{
	KUNIT_STATIC_STUB_REDIRECT(unmap_root, root);
	memunmap(root);
}

/* Fill a table with the same context, or the same entry, from its begin to its end */
static void fill_table(u64 *table, const void *entry, unsigned int words)
{
	unsigned int i;

	for (i = 0; i < 512; i += words)
		memcpy(&table[i], entry, words * sizeof(*table));
}

/*
 * Returns 1 if hardware goes on to use the translation of the crashed kernel, 0 if
 * there was none, or why it is refused.
 */
static int take_over_dc(struct riscv_iommu_device *iommu, u32 id, const u64 *old,
			bool in_place, struct riscv_iommu_dc *new)
{
	struct iommu_kdump_tables tables;
	struct riscv_iommu_dc dc;
	int ret;

	read_dc(iommu, old, &dc);
	if (!(dc.tc & RISCV_IOMMU_DC_TC_V))
		return 0;
	/* One store does not make a page table of a process directory */
	if (in_place && (dc.tc & RISCV_IOMMU_DC_TC_PDTV))
		return -EOPNOTSUPP;
	ret = decode(iommu, &dc, &tables);
	if (ret || tables.type == IOMMU_KDUMP_BLOCKED)
		return ret;
	ret = iommu_kdump_keep_entry(&iommu->kdump, id, tables.id);
	if (ret)
		return ret;
	make_dc(&tables, dc.tc, new);
	return 1;
}

static void count(struct riscv_iommu_device *iommu, u32 id, int ret,
		  struct take_over_stats *stats)
{
	if (ret < 0) {
		iommu_kdump_refuse_entries(&iommu->kdump, id, 1);
		stats->refused++;
	} else {
		stats->entries += ret;
	}
}

/*
 * From an entry of the crashed kernel to one of ours, which leads to the shared table
 * if nothing is kept. The IDs below it begin with @first; level 0 has the contexts.
 */
static void take_over_table(struct riscv_iommu_device *iommu, unsigned int level,
			    u64 ddte, u32 first, u64 *entry,
			    struct take_over_stats *stats)
{
	unsigned int step = level ? 1 : dc_words(iommu), i;
	struct riscv_iommu_dc dc;
	const u64 *old = NULL;
	u64 *new = NULL;
	u32 id;
	int ret;

	if (!(ddte & RISCV_IOMMU_DDTE_V))
		return;
	if (!(ddte & DDTE_RSVD) && stats->tables < MAX_TABLES)
		new = riscv_iommu_get_pages(iommu, SZ_4K);
	if (new) {
		stats->tables++;
		old = iommu_kdump_map_old(ppn_to_phys(ddte), SZ_4K);
	}
	if (IS_ERR_OR_NULL(old)) {
		iommu_kdump_refuse_entries(&iommu->kdump, first,
					   BIT(ids_lg2(iommu, level + 1)));
		stats->lost_tables++;
		goto out;
	}

	memcpy(new, iommu->kdump_shared[level], SZ_4K);
	for (i = 0; i < 512; i += step) {
		id = first + ((i / step) << ids_lg2(iommu, level));
		if (level) {
			take_over_table(iommu, level - 1, READ_ONCE(old[i]), id,
					&new[i], stats);
			continue;
		}
		ret = take_over_dc(iommu, id, &old[i], false, &dc);
		count(iommu, id, ret, stats);
		if (ret > 0)
			memcpy(&new[i], &dc, step * sizeof(*new));
	}
	iommu_kdump_unmap_old(old);
	if (memcmp(new, iommu->kdump_shared[level], SZ_4K)) {
		*entry = table_entry(new);
		return;
	}
out:
	if (new)
		riscv_iommu_free_pages(iommu, new);
}

/* Two or three levels: a root of our own, for this kernel; hardware keeps the old one */
static void take_over_root(struct riscv_iommu_device *iommu, bool keep,
			   struct take_over_stats *stats)
{
	unsigned int level = iommu->ddt_mode - RISCV_IOMMU_DDTP_IOMMU_MODE_1LVL;
	u64 entry = table_entry(iommu->kdump_shared[level - 1]);
	unsigned int i, nr = BIT(min(24 - ids_lg2(iommu, level), 9));

	fill_table(iommu->ddt_root, &entry, 1);
	for (i = 0; i < nr && keep; i++)
		take_over_table(iommu, level - 1, READ_ONCE(iommu->kdump_root[i]),
				i << ids_lg2(iommu, level), &iommu->ddt_root[i],
				stats);
	/* Hardware must not see a pointer before the tables */
	dma_wmb();
	for (i = 0; i < 512; i++)
		set_word(&iommu->kdump_root[i], iommu->ddt_root[i]);
	flush_all(iommu);
}

/* One level: contexts stay where they are, and become what blocks only after a flush */
static void take_over_in_place(struct riscv_iommu_device *iommu, bool keep,
			       struct take_over_stats *stats)
{
	unsigned int step = dc_words(iommu), i;
	u64 *root = iommu->kdump_root;
	struct riscv_iommu_dc dc, blocked;
	int ret;

	for (i = 0; i < 512; i += step) {
		ret = keep ? take_over_dc(iommu, i / step, &root[i], true, &dc) : 0;
		count(iommu, i / step, ret, stats);
		set_word(&root[i], ret > 0 ? dc.tc : 0);
	}
	flush_all(iommu);
	make_blocked(iommu, &blocked);
	for (i = 0; i < 512; i += step) {
		if (root[i] & RISCV_IOMMU_DC_TC_V)
			continue;
		memcpy(&root[i + 1], &blocked.iohgatp, (step - 1) * sizeof(*root));
		dma_wmb();
		set_word(&root[i], blocked.tc);
	}
	flush_all(iommu);
	iommu->ddt_root = root;
}

/* Shared by all that is not used: what blocks, or what passes until the IOMMU is used */
static void fill_shared(struct riscv_iommu_device *iommu,
			const struct riscv_iommu_dc *dc)
{
	u64 entry = table_entry(iommu->kdump_shared[0]);

	fill_table(iommu->kdump_shared[0], dc, dc_words(iommu));
	fill_table(iommu->kdump_shared[1], &entry, 1);
}

/**
 * riscv_iommu_kdump_fill_root() - The directory is about to be used
 * @iommu: IOMMU that does not translate
 * @mode: of the directory
 *
 * In a crash kernel every device ID has a context, see riscv_iommu_kdump_start().
 */
void riscv_iommu_kdump_fill_root(struct riscv_iommu_device *iommu, unsigned int mode)
{
	unsigned int level = mode - RISCV_IOMMU_DDTP_IOMMU_MODE_1LVL;
	u64 entry;

	if (!iommu->kdump_shared[0] || mode < RISCV_IOMMU_DDTP_IOMMU_MODE_1LVL)
		return;
	if (!level) {
		memcpy(iommu->ddt_root, iommu->kdump_shared[0], SZ_4K);
		return;
	}
	entry = table_entry(iommu->kdump_shared[level - 1]);
	fill_table(iommu->ddt_root, &entry, 1);
}

static bool alloc_shared(struct riscv_iommu_device *iommu)
{
	static const struct {
		u64 cap;
		u64 mode;
	} modes[] = {
		{ RISCV_IOMMU_CAPABILITIES_SV39, RISCV_IOMMU_DC_FSC_IOSATP_MODE_SV39 },
		{ RISCV_IOMMU_CAPABILITIES_SV48, RISCV_IOMMU_DC_FSC_IOSATP_MODE_SV48 },
		{ RISCV_IOMMU_CAPABILITIES_SV57, RISCV_IOMMU_DC_FSC_IOSATP_MODE_SV57 },
	};
	void *empty = riscv_iommu_get_pages(iommu, SZ_4K);
	void *leaf = riscv_iommu_get_pages(iommu, SZ_4K);
	void *table = riscv_iommu_get_pages(iommu, SZ_4K);
	struct riscv_iommu_dc blocked;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (iommu->caps & modes[i].cap)
			break;
	/* What is not used goes with the device */
	if (!empty || !leaf || !table || i == ARRAY_SIZE(modes))
		return false;
	iommu->kdump_fsc = FIELD_PREP(RISCV_IOMMU_DC_FSC_MODE, modes[i].mode) |
			   FIELD_PREP(RISCV_IOMMU_DC_FSC_PPN,
				      virt_to_phys(empty) >> 12);
	iommu->kdump_shared[0] = leaf;
	iommu->kdump_shared[1] = table;
	make_blocked(iommu, &blocked);
	fill_shared(iommu, &blocked);
	return true;
}

/**
 * riscv_iommu_kdump_start() - A crash kernel has found an IOMMU
 * @iommu: the IOMMU
 * @ddtp: what its register says
 *
 * Every device ID gets a context that blocks, and reports nothing, unless there is
 * something better. Nothing is written yet that hardware looks at.
 *
 * Context: May sleep.
 *
 * Return: false if the IOMMU uses a directory that cannot be taken over. Then it has
 * to be switched to Off, which blocks.
 */
bool riscv_iommu_kdump_start(struct riscv_iommu_device *iommu, u64 ddtp)
{
	unsigned int mode = FIELD_GET(RISCV_IOMMU_DDTP_IOMMU_MODE, ddtp);

	if (!kdump_pscids.ida) {
		iommu_kdump_ids_init(&kdump_pscids, &riscv_iommu_pscids, 1,
				     RISCV_IOMMU_MAX_PSCID);
		ida_alloc_range(&riscv_iommu_pscids, NOBODYS_PSCID, NOBODYS_PSCID,
				GFP_KERNEL);
	}
	iommu_kdump_entries_init(&iommu->kdump, &entry_ops, &kdump_pscids,
				 dev_name(iommu->dev));
	iommu->iommu.kdump = &iommu->kdump;
	INIT_LIST_HEAD(&iommu->kdump_node);

	alloc_shared(iommu);
	if (mode <= RISCV_IOMMU_DDTP_IOMMU_MODE_BARE)
		return true;
	if (iommu->kdump_shared[0] && mode <= RISCV_IOMMU_DDTP_IOMMU_MODE_MAX)
		iommu->kdump_root = map_root(ppn_to_phys(ddtp));
	if (iommu->kdump_root)
		return true;
	iommu_kdump_refuse_entries(&iommu->kdump, 0, 0);
	dev_warn(iommu->dev, "kdump: the directory at %#llx cannot be taken over: all devices are blocked until their drivers come\n",
		 ppn_to_phys(ddtp));
	return false;
}

/*
 * An IOMMU that does not translate yet: DMA passes now, and goes on to pass until the
 * core has moved the groups to their domains.
 */
static void pass_through(struct riscv_iommu_device *iommu)
{
	struct riscv_iommu_dc dc;

	make_blocked(iommu, &dc);
	dc.tc &= ~RISCV_IOMMU_DC_TC_DTF;
	dc.fsc = 0;
	fill_shared(iommu, &dc);
	iommu->kdump.not_live = true;
	scoped_guard(mutex, &passing_lock)
		list_add(&iommu->kdump_node, &passing);
	dev_info(iommu->dev, "kdump: not used by the crashed kernel, its DMA is kept from the crash kernel's memory from now on\n");
}

/* Two words of a context change. PSCID is right already, and V stays */
static void end_pass_through_table(struct riscv_iommu_device *iommu,
				   unsigned int level, u64 *table)
{
	unsigned int step = level ? 1 : dc_words(iommu), i;
	struct riscv_iommu_dc *dc;
	void *lower;

	for (i = 0; i < 512; i += step) {
		if (level) {
			lower = phys_to_virt(ppn_to_phys(table[i]));
			if (lower != iommu->kdump_shared[level - 1])
				end_pass_through_table(iommu, level - 1, lower);
			continue;
		}
		dc = (struct riscv_iommu_dc *)&table[i];
		if (dc->fsc || !is_nobodys(dc))
			continue;
		set_word(&dc->fsc, iommu->kdump_fsc);
		set_word(&dc->tc, dc->tc | RISCV_IOMMU_DC_TC_DTF);
	}
}

/* What still passes belongs to no device that has come with the boot */
static void end_pass_through(struct riscv_iommu_device *iommu)
{
	scoped_guard(mutex, &iommu->dc_lock) {
		end_pass_through_table(iommu, 0, iommu->kdump_shared[0]);
		end_pass_through_table(iommu, iommu->ddt_mode -
				       RISCV_IOMMU_DDTP_IOMMU_MODE_1LVL,
				       iommu->ddt_root);
		flush_all(iommu);
	}
	iommu->kdump.not_live = false;
}

/**
 * riscv_iommu_kdump_ready() - An IOMMU has been registered
 * @iommu: the IOMMU
 *
 * Devices may come after it until the initcalls are over.
 */
void riscv_iommu_kdump_ready(struct riscv_iommu_device *iommu)
{
	guard(mutex)(&passing_lock);
	if (!booted || !iommu->kdump.not_live)
		return;
	list_del_init(&iommu->kdump_node);
	end_pass_through(iommu);
}

static int __init end_all_pass_through(void)
{
	struct riscv_iommu_device *iommu, *next;

	guard(mutex)(&passing_lock);
	booted = true;
	list_for_each_entry_safe(iommu, next, &passing, kdump_node) {
		list_del_init(&iommu->kdump_node);
		end_pass_through(iommu);
	}
	return 0;
}
late_initcall_sync(end_all_pass_through);

/**
 * riscv_iommu_kdump_end() - Undo riscv_iommu_kdump_start()
 * @iommu: IOMMU that is off, and reports no faults any more
 */
void riscv_iommu_kdump_end(struct riscv_iommu_device *iommu)
{
	if (!iommu->iommu.kdump)
		return;
	scoped_guard(mutex, &passing_lock)
		list_del_init(&iommu->kdump_node);
	iommu_kdump_entries_destroy(&iommu->kdump);
	iommu->iommu.kdump = NULL;
	iommu->kdump_shared[0] = NULL;
	if (iommu->kdump_root)
		unmap_root(iommu->kdump_root);
	iommu->kdump_root = NULL;
}

/**
 * riscv_iommu_kdump_take_over() - Take the device directory over
 * @iommu: IOMMU whose queues are our own, riscv_iommu_kdump_start() has seen it
 *
 * Contexts that are valid stay as the crashed kernel had them, the others block.
 *
 * Context: May sleep.
 *
 * Return: true if the IOMMU translates, and is ready to be used. Otherwise its
 * directory has to be set.
 */
bool riscv_iommu_kdump_take_over(struct riscv_iommu_device *iommu)
{
	u64 ddtp = riscv_iommu_readq(iommu, RISCV_IOMMU_REG_DDTP);
	unsigned int mode = FIELD_GET(RISCV_IOMMU_DDTP_IOMMU_MODE, ddtp);
	struct take_over_stats stats = {};
	bool keep = iommu_kdump_enabled();

	if (!iommu->kdump_shared[0])
		return false;
	if (!keep) {
		iommu_kdump_refuse_entries(&iommu->kdump, 0, 0);
		dev_warn(iommu->dev, "kdump: nothing inherited, the command line asks for it: all devices are blocked until their drivers come\n");
	}
	if (!iommu->kdump_root) {
		if (keep && mode == RISCV_IOMMU_DDTP_IOMMU_MODE_BARE)
			pass_through(iommu);
		return false;
	}

	/* Faults are reported already */
	scoped_guard(mutex, &iommu->dc_lock) {
		iommu->ddt_mode = mode;
		iommu->ddt_phys = ppn_to_phys(ddtp);
		if (mode == RISCV_IOMMU_DDTP_IOMMU_MODE_1LVL)
			take_over_in_place(iommu, keep, &stats);
		else
			take_over_root(iommu, keep, &stats);
	}
	if (stats.lost_tables)
		dev_warn(iommu->dev, "kdump: %u tables are corrupt or could not be copied: their devices are blocked\n",
			 stats.lost_tables);
	if (keep)
		dev_info(iommu->dev, "kdump: directory of %u levels: %u device IDs inherited, %u refused and blocked\n",
			 mode - RISCV_IOMMU_DDTP_IOMMU_MODE_1LVL + 1,
			 stats.entries, stats.refused);
	return true;
}

#ifdef CONFIG_IOMMU_KDUMP_KUNIT_TEST
#include "kdump_kunit.c"
#endif
