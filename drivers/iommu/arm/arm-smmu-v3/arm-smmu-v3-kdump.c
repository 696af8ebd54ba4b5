// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: callbacks of the crashdump framework
 *
 * While the SMMU translates its stream table cannot be replaced: a write to
 * STRTAB_BASE is ignored then, or worse (section 6.3.24). So the first level of the
 * crashed kernel stays in use. What it points to is copied, with every stream table
 * entry and context descriptor validated, and the descriptors in it are replaced, each
 * by one store. A linear table is validated where it is, entry by entry, and what it
 * leads to is copied. Whatever is not valid aborts. Translation stays on all the time.
 *
 * Sections are those of the "Arm System Memory Management Unit Architecture
 * Specification, SMMU architecture version 3", IHI 0070.
 */

#include <linux/bitfield.h>
#include <linux/crash_dump.h>
#include <linux/dma-mapping.h>
#include <linux/generic_pt/iommu.h>
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/iommu-kdump.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/xarray.h>

#include <kunit/static_stub.h>

#include "arm-smmu-v3.h"

/* Section 5.2: what a kernel sets in entries that are in use; the rest changes what they do */
#define STE_1_KNOWN		(STRTAB_STE_1_S1DSS | STRTAB_STE_1_S1CIR | \
				 STRTAB_STE_1_S1COR | STRTAB_STE_1_S1CSH | \
				 STRTAB_STE_1_MEV | STRTAB_STE_1_S2FWB | \
				 STRTAB_STE_1_S1STALLD | STRTAB_STE_1_EATS | \
				 STRTAB_STE_1_STRW | STRTAB_STE_1_SHCFG)
#define STE_2_KNOWN		(STRTAB_STE_2_S2VMID | STRTAB_STE_2_VTCR | \
				 STRTAB_STE_2_S2AA64 | STRTAB_STE_2_S2ENDI | \
				 STRTAB_STE_2_S2PTW | STRTAB_STE_2_S2S | \
				 STRTAB_STE_2_S2R)
#define STE_0_S1FMT_4K_L2	1
#define STE_0_S1_RSVD		GENMASK_ULL(58, 52)
/* Section 5.4; EPD1 does away with what belongs to the other table */
#define CD_0_TTB1		GENMASK_ULL(29, 16)
#define CD_0_KNOWN		(CTXDESC_CD_0_TCR_T0SZ | CTXDESC_CD_0_TCR_TG0 | \
				 CTXDESC_CD_0_TCR_IRGN0 | CTXDESC_CD_0_TCR_ORGN0 | \
				 CTXDESC_CD_0_TCR_SH0 | CTXDESC_CD_0_TCR_EPD0 | \
				 CTXDESC_CD_0_ENDI | CD_0_TTB1 | \
				 CTXDESC_CD_0_TCR_EPD1 | CTXDESC_CD_0_V | \
				 CTXDESC_CD_0_TCR_IPS | CTXDESC_CD_0_AA64 | \
				 CTXDESC_CD_0_TCR_HD | CTXDESC_CD_0_TCR_HA | \
				 CTXDESC_CD_0_S | CTXDESC_CD_0_R | CTXDESC_CD_0_A | \
				 CTXDESC_CD_0_ASET | CTXDESC_CD_0_ASID)
#define CD_1_KNOWN		(CTXDESC_CD_1_HAFT | CTXDESC_CD_1_TTB0_MASK)

/* Section 4.6.2: transactions of a stream that are stalled end */
#define CMDQ_OP_STALL_TERM	0x45

/* &iommu_kdump_tables.format: what the walker has to know */
#define FORMAT_IAS		GENMASK(5, 0)
#define FORMAT_OAS		GENMASK(11, 6)
#define FORMAT_TG		GENMASK(13, 12)
#define FORMAT_S2		BIT(14)
#define FORMAT_HA		BIT(15)
#define FORMAT_HD		BIT(16)

/* The tables that are read: as many as 16 bits of stream ID need, larger ones not at all */
#define MAX_L2_TABLES		256
#define MAX_LINEAR_BITS		20

#define DESC_RSVD		(~(STRTAB_L1_DESC_SPAN | STRTAB_L1_DESC_L2PTR_MASK))
#define CD_L1_RSVD		(~(CTXDESC_L1_DESC_L2PTR_MASK | CTXDESC_L1_DESC_V))

/**
 * struct old_stream - what a stream table entry of the crashed kernel leads to
 * @tables: for the core
 * @cfg: STE.Config
 * @ats: translation requests are allowed, the device may have cached something
 * @stalls: transactions may have been stalled
 * @word: of the entry that goes on, what decides what it does
 * @cd: the context descriptor, if there is one
 */
struct old_stream {
	struct iommu_kdump_tables tables;
	u8 cfg;
	bool ats;
	bool stalls;
	u64 word;
	u64 cd[CTXDESC_CD_DWORDS];
};

/**
 * struct cd_block - context descriptors for the stream IDs of a second level table
 * @cds: indexed by the lower bits of the stream ID
 * @dma: where hardware finds them
 */
struct cd_block {
	struct arm_smmu_cd *cds;
	dma_addr_t dma;
};

/**
 * struct arm_smmu_kdump - what the crashed kernel has left
 * @smmu: whose it is
 * @entries: what the core knows of it
 * @vmids: domain IDs of an SMMU that has no stage 1
 * @streams: struct old_stream, by stream ID
 * @cd_blocks: struct cd_block, by stream ID without the lower bits
 * @table: what hardware has as stream table, mapped: its first level, or all of it
 * @nr: how many descriptors or entries it has
 * @l2_dma: where hardware finds the second level tables that were copied
 * @shared: while DMA passes: a second level table for all that have none
 * @passing: lets DMA pass until the boot is over
 * @granules: of the old page tables
 * @node: in the list of those that let pass
 */
struct arm_smmu_kdump {
	struct arm_smmu_device *smmu;
	struct iommu_kdump_entries entries;
	struct iommu_kdump_ids vmids;
	struct xarray streams;
	struct xarray cd_blocks;
	void *table;
	u32 nr;
	dma_addr_t *l2_dma;
	struct arm_smmu_strtab_l2 *shared;
	bool passing;
	unsigned long granules;
	struct list_head node;
};

/* Decoding */

static bool cpu_is_be(void)
{
	return IS_ENABLED(CONFIG_CPU_BIG_ENDIAN);
}

/* TG0 and S2TG: log2 of the granule, 0 if it is reserved or hardware has it not */
static unsigned int granule_lg2(struct arm_smmu_device *smmu, unsigned int tg)
{
	static const u8 lg2[] = { 12, 16, 14, 0 };

	return smmu->pgsize_bitmap & BIT(lg2[tg]) ? lg2[tg] : 0;
}

/*
 * IPS and S2PS, section 3.4.3: what is larger than what hardware has means that. 52 bits
 * do not stand in an entry as they are, and nothing here reads them.
 */
static unsigned int oas_bits(struct arm_smmu_device *smmu, unsigned int ps)
{
	static const u8 bits[] = { 32, 36, 40, 42, 44, 48 };

	return ps < ARRAY_SIZE(bits) ? min_t(unsigned int, bits[ps], smmu->oas) : 0;
}

/* @levels is 0 if the input size says it. Stage 2 has up to 16 tables at the top */
static int decode_table(struct arm_smmu_device *smmu, unsigned int tg,
			unsigned int tsz, unsigned int ps, unsigned int levels,
			u64 root, struct iommu_kdump_tables *tables)
{
	unsigned int granule = granule_lg2(smmu, tg), ias = 64 - tsz, per_level, top;
	unsigned int oas = oas_bits(smmu, ps);
	u64 size;

	if (!granule || tsz > 39 || tsz < 12)
		return -EUCLEAN;
	if (!oas)
		return -EOPNOTSUPP;
	/* Section 3.4.1 */
	if (ias > 48 && (granule != 16 || !(smmu->features & ARM_SMMU_FEAT_VAX)))
		return -EUCLEAN;

	per_level = granule - ilog2(sizeof(u64));
	if (!levels)
		levels = DIV_ROUND_UP(ias - granule, per_level);
	if (ias <= granule + per_level * (levels - 1))
		return -EUCLEAN;
	top = ias - granule - per_level * (levels - 1);
	if (top > per_level + (tables->format & FORMAT_S2 ? ilog2(16) : 0))
		return -EUCLEAN;
	size = max(sizeof(u64) << top, 64);
	/* What the crashed kernel wrote must be followed only into its RAM */
	if (!IS_ALIGNED(root, size) || !iommu_kdump_is_old_ram(root, size))
		return -EUCLEAN;

	tables->type = IOMMU_KDUMP_PAGING;
	tables->levels = levels;
	tables->root = root;
	tables->format |= FIELD_PREP(FORMAT_IAS, ias) | FIELD_PREP(FORMAT_OAS, oas) |
			  FIELD_PREP(FORMAT_TG, tg);
	return 0;
}

/* Section 5.4, of a context descriptor that was read once */
static int decode_cd(struct arm_smmu_device *smmu, struct old_stream *old)
{
	const u64 *cd = old->cd;
	u64 tcr = cd[0];

	old->tables.id = FIELD_GET(CTXDESC_CD_0_ASID, tcr);
	/* Nothing passes, nor if there is no walk */
	if (!(tcr & CTXDESC_CD_0_V))
		return 0;
	if ((tcr & ~CD_0_KNOWN) || (cd[1] & ~CD_1_KNOWN))
		return -EUCLEAN;
	/* No kernel has those: 32 bits, the other byte order, a second table */
	if (!(tcr & CTXDESC_CD_0_AA64) || !!(tcr & CTXDESC_CD_0_ENDI) != cpu_is_be() ||
	    !(tcr & CTXDESC_CD_0_TCR_EPD1))
		return -EOPNOTSUPP;
	if (((tcr & CTXDESC_CD_0_TCR_HA) && !(smmu->features & ARM_SMMU_FEAT_HA)) ||
	    ((tcr & CTXDESC_CD_0_TCR_HD) && !(smmu->features & ARM_SMMU_FEAT_HD)) ||
	    ((tcr & CTXDESC_CD_0_TCR_HD) && !(tcr & CTXDESC_CD_0_TCR_HA)) ||
	    ((cd[1] & CTXDESC_CD_1_HAFT) && !(smmu->features & ARM_SMMU_FEAT_HAFT)) ||
	    ((tcr & CTXDESC_CD_0_S) && !(smmu->features & ARM_SMMU_FEAT_STALLS)) ||
	    (FIELD_GET(CTXDESC_CD_0_ASID, tcr) >> smmu->asid_bits))
		return -EUCLEAN;
	if (tcr & CTXDESC_CD_0_TCR_EPD0)
		return 0;

	old->stalls = tcr & CTXDESC_CD_0_S;
	if (tcr & CTXDESC_CD_0_TCR_HA)
		old->tables.format |= FORMAT_HA;
	if (tcr & CTXDESC_CD_0_TCR_HD)
		old->tables.format |= FORMAT_HD;
	return decode_table(smmu, FIELD_GET(CTXDESC_CD_0_TCR_TG0, tcr),
			    FIELD_GET(CTXDESC_CD_0_TCR_T0SZ, tcr),
			    FIELD_GET(CTXDESC_CD_0_TCR_IPS, tcr), 0,
			    cd[1] & CTXDESC_CD_1_TTB0_MASK, &old->tables);
}

static int read_words(phys_addr_t phys, u64 *words, unsigned int nr)
{
	unsigned int i;
	int ret;

	ret = iommu_kdump_read_old(phys, SZ_4K, words, nr);
	for (i = 0; i < nr && !ret; i++)
		words[i] = le64_to_cpu((__force __le64)words[i]);
	return ret;
}

/* Sections 5.2 and 5.3: DMA without a substream ID uses the first descriptor */
static int decode_s1(struct arm_smmu_device *smmu, const u64 *ste,
		     struct old_stream *old)
{
	bool e2h = smmu->features & ARM_SMMU_FEAT_E2H;
	unsigned int cdmax = FIELD_GET(STRTAB_STE_0_S1CDMAX, ste[0]);
	unsigned int fmt = FIELD_GET(STRTAB_STE_0_S1FMT, ste[0]);
	phys_addr_t phys = ste[0] & STRTAB_STE_0_S1CTXPTR_MASK;
	u64 desc;
	int ret;

	if (!(smmu->features & ARM_SMMU_FEAT_TRANS_S1) || cdmax > smmu->ssid_bits ||
	    (ste[0] & STE_0_S1_RSVD) || (ste[1] & STRTAB_STE_1_S2FWB) ||
	    ((ste[1] & STRTAB_STE_1_S1STALLD) &&
	     !(smmu->features & ARM_SMMU_FEAT_STALLS)) ||
	    FIELD_GET(STRTAB_STE_1_STRW, ste[1]) !=
		    (e2h ? STRTAB_STE_1_STRW_EL2 : STRTAB_STE_1_STRW_NSEL1) ||
	    (!e2h && FIELD_GET(STRTAB_STE_2_S2VMID, ste[2])))
		return -EUCLEAN;

	if (cdmax) {
		switch (FIELD_GET(STRTAB_STE_1_S1DSS, ste[1])) {
		case STRTAB_STE_1_S1DSS_TERMINATE:
			return 0;
		case STRTAB_STE_1_S1DSS_BYPASS:
			old->cfg = STRTAB_STE_0_CFG_BYPASS;
			old->tables.type = IOMMU_KDUMP_IDENTITY;
			return 0;
		case STRTAB_STE_1_S1DSS_SSID0:
			break;
		default:
			return -EUCLEAN;
		}
	}
	if (cdmax && fmt != STRTAB_STE_0_S1FMT_LINEAR) {
		if (!(smmu->features & ARM_SMMU_FEAT_2_LVL_CDTAB) ||
		    (fmt != STE_0_S1FMT_4K_L2 && fmt != STRTAB_STE_0_S1FMT_64K_L2))
			return -EUCLEAN;
		ret = read_words(phys, &desc, 1);
		if (ret || !(desc & CTXDESC_L1_DESC_V))
			return ret;
		if (desc & CD_L1_RSVD)
			return -EUCLEAN;
		phys = desc & CTXDESC_L1_DESC_L2PTR_MASK;
	}
	ret = read_words(phys, old->cd, CTXDESC_CD_DWORDS);
	return ret ?: decode_cd(smmu, old);
}

/* Section 5.2 */
static int decode_s2(struct arm_smmu_device *smmu, const u64 *ste,
		     struct old_stream *old)
{
	u64 vtcr = FIELD_GET(STRTAB_STE_2_VTCR, ste[2]);
	unsigned int tg = FIELD_GET(STRTAB_STE_2_VTCR_S2TG, vtcr);
	unsigned int sl = FIELD_GET(STRTAB_STE_2_VTCR_S2SL0, vtcr);

	old->tables.id = FIELD_GET(STRTAB_STE_2_S2VMID, ste[2]);
	if (!(smmu->features & ARM_SMMU_FEAT_TRANS_S2) || (ste[2] & ~STE_2_KNOWN) ||
	    (ste[3] & ~STRTAB_STE_3_S2TTB_MASK) ||
	    ((ste[1] & STRTAB_STE_1_S2FWB) &&
	     !(smmu->features & ARM_SMMU_FEAT_S2FWB)) ||
	    ((ste[2] & STRTAB_STE_2_S2S) &&
	     !(smmu->features & ARM_SMMU_FEAT_STALLS)) ||
	    (old->tables.id >> smmu->vmid_bits) || sl == 3)
		return -EUCLEAN;
	if (!(ste[2] & STRTAB_STE_2_S2AA64) ||
	    !!(ste[2] & STRTAB_STE_2_S2ENDI) != cpu_is_be())
		return -EOPNOTSUPP;

	old->stalls = ste[2] & STRTAB_STE_2_S2S;
	old->tables.format = FORMAT_S2;
	return decode_table(smmu, tg, FIELD_GET(STRTAB_STE_2_VTCR_S2T0SZ, vtcr),
			    FIELD_GET(STRTAB_STE_2_VTCR_S2PS, vtcr),
			    sl + (tg ? 1 : 2), ste[3], &old->tables);
}

/* Section 5.2. In what an entry does not use there may be anything */
static int decode(struct arm_smmu_device *smmu, const u64 *ste, struct old_stream *old)
{
	unsigned int eats = FIELD_GET(STRTAB_STE_1_EATS, ste[1]);

	*old = (struct old_stream){
		.cfg = FIELD_GET(STRTAB_STE_0_CFG, ste[0]),
		.tables.type = IOMMU_KDUMP_BLOCKED,
	};
	if (!(ste[0] & STRTAB_STE_0_V) || old->cfg < STRTAB_STE_0_CFG_BYPASS)
		return 0;
	/* A guest's addresses, which nobody has mapped for the host */
	if (old->cfg == STRTAB_STE_0_CFG_NESTED)
		return -EOPNOTSUPP;
	if (ste[1] & ~STE_1_KNOWN)
		return -EUCLEAN;
	if (old->cfg == STRTAB_STE_0_CFG_BYPASS) {
		old->tables.type = IOMMU_KDUMP_IDENTITY;
		return 0;
	}
	old->ats = eats == STRTAB_STE_1_EATS_TRANS;
	if (eats > STRTAB_STE_1_EATS_TRANS ||
	    (old->ats && !(smmu->features & ARM_SMMU_FEAT_ATS)))
		return -EUCLEAN;
	if (old->cfg == STRTAB_STE_0_CFG_S1_TRANS)
		return decode_s1(smmu, ste, old);
	return decode_s2(smmu, ste, old);
}

/**
 * arm_smmu_inherit_tables() - &iommu_ops.inherit_tables
 * @dev: device that joins a group
 * @id: stream ID whose entry is the crashed kernel's
 * @tables: filled in with what the entry leads to
 *
 * Return: see &iommu_ops.inherit_tables.
 */
int arm_smmu_inherit_tables(struct device *dev, u32 id,
			    struct iommu_kdump_tables *tables)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct old_stream *old = xa_load(&master->smmu->kdump->streams, id);

	if (!old)
		return -EUCLEAN;
	*tables = old->tables;
	return 0;
}

/**
 * arm_smmu_reserve_old_iova() - &iommu_ops.reserve_old_iova
 * @dev: one of the devices that use the table
 * @tables: what arm_smmu_inherit_tables() has filled in
 * @report: takes the mappings
 *
 * Return: see &iommu_ops.reserve_old_iova.
 */
int arm_smmu_reserve_old_iova(struct device *dev,
			      const struct iommu_kdump_tables *tables,
			      struct iommu_kdump_report *report)
{
	static int (* const walk[])(const struct pt_iommu_foreign *foreign,
				    struct iommu_kdump_report *report) = {
		pt_iommu_armv8_4k_walk_foreign,
		pt_iommu_armv8_64k_walk_foreign,
		pt_iommu_armv8_16k_walk_foreign,
	};
	struct pt_iommu_foreign foreign = {
		.root = tables->root,
		.levels = tables->levels,
		.max_vasz_lg2 = FIELD_GET(FORMAT_IAS, tables->format),
		.max_oasz_lg2 = FIELD_GET(FORMAT_OAS, tables->format),
	};

	if (tables->format & FORMAT_S2)
		foreign.features |= BIT(PT_FEAT_ARMV8_S2);
	if (tables->format & FORMAT_HA)
		foreign.features |= BIT(PT_FEAT_ARMV8_HA);
	if (tables->format & FORMAT_HD)
		foreign.features |= BIT(PT_FEAT_ARMV8_HD);
	return walk[FIELD_GET(FORMAT_TG, tables->format)](&foreign, report);
}

/* Entries that the driver writes */

static struct iommu_kdump_ids kdump_asids;

static void send(struct arm_smmu_device *smmu, struct arm_smmu_cmd *cmds, int n)
{
	KUNIT_STATIC_STUB_REDIRECT(send, smmu, cmds, n);
	arm_smmu_cmdq_issue_cmdlist(smmu, &smmu->cmdq, cmds, n, true);
}

/* Hardware reads 64 bits at once */
static void set_word(__le64 *word, u64 value)
{
	KUNIT_STATIC_STUB_REDIRECT(set_word, word, value);
	WRITE_ONCE(*word, cpu_to_le64(value));
}

static void flush_config(struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmd cmd = arm_smmu_make_cmd_cfgi_all();

	send(smmu, &cmd, 1);
}

static u64 l1_desc(dma_addr_t l2)
{
	return FIELD_PREP(STRTAB_L1_DESC_SPAN, STRTAB_SPLIT + 1) |
	       (l2 & STRTAB_L1_DESC_L2PTR_MASK);
}

/* Has the crashed kernel left ATS on, and this one not done anything about it? */
static bool ats_left_on(struct device *dev)
{
#ifdef CONFIG_PCI_ATS
	struct pci_dev *pdev = dev_is_pci(dev) ? to_pci_dev(dev) : NULL;
	u16 ctrl;

	if (!pdev || !pdev->ats_cap || pdev->ats_enabled ||
	    pci_read_config_word(pdev, pdev->ats_cap + PCI_ATS_CTRL, &ctrl))
		return false;
	return !PCI_POSSIBLE_ERROR(ctrl) && (ctrl & PCI_ATS_CTRL_ENABLE);
#else
	return false;
#endif
}

/* What the device has cached of the old translation goes */
static void flush_ats(struct arm_smmu_master *master)
{
	struct arm_smmu_cmd cmd;
	unsigned int i;

	if (!ats_left_on(master->dev))
		return;
	for (i = 0; i < master->num_streams; i++) {
		cmd = arm_smmu_make_cmd_atc_inv_all(master->streams[i].id,
						    IOMMU_NO_PASID);
		send(master->smmu, &cmd, 1);
	}
}

/* What hardware has cached or holds back of the old translation goes */
static void flush_old(struct arm_smmu_device *smmu, u32 sid,
		      const struct old_stream *old)
{
	struct arm_smmu_cmd cmds[2];
	int n = 0;

	if (old->tables.type == IOMMU_KDUMP_PAGING) {
		if (old->cfg == STRTAB_STE_0_CFG_S2_TRANS)
			cmds[n++] = arm_smmu_make_cmd_tlbi(CMDQ_OP_TLBI_S12_VMALL, 0,
							   old->tables.id);
		else if (smmu->features & ARM_SMMU_FEAT_E2H)
			cmds[n++] = arm_smmu_make_cmd_tlbi(CMDQ_OP_TLBI_EL2_ASID,
							   old->tables.id, 0);
		else
			cmds[n++] = arm_smmu_make_cmd_tlbi(CMDQ_OP_TLBI_NH_ASID,
							   old->tables.id, 0);
	}
	if (old->stalls) {
		cmds[n] = (struct arm_smmu_cmd){};
		cmds[n++].data[0] = FIELD_PREP(CMDQ_0_OP, CMDQ_OP_STALL_TERM) |
				    FIELD_PREP(CMDQ_CFGI_0_SID, sid);
	}
	if (n)
		send(smmu, cmds, n);
}

/*
 * An entry that one store cannot turn into the new one: a copy of the table that it is
 * in has the new one, and one store makes hardware use the copy.
 */
static bool swap_l2(struct arm_smmu_device *smmu, u32 sid,
		    const struct arm_smmu_ste *target)
{
	struct arm_smmu_strtab_cfg *cfg = &smmu->strtab_cfg;
	u32 idx = arm_smmu_strtab_l1_idx(sid);
	struct arm_smmu_strtab_l2 *old, *new;
	dma_addr_t dma;

	if (!(smmu->features & ARM_SMMU_FEAT_2_LVL_STRTAB) ||
	    !smmu->kdump->l2_dma[idx])
		return false;
	new = dmam_alloc_coherent(smmu->dev, sizeof(*new), &dma, GFP_KERNEL);
	if (!new)
		return false;
	old = cfg->l2.l2ptrs[idx];
	*new = *old;
	new->stes[arm_smmu_strtab_l2_idx(sid)] = *target;
	/* Hardware must not see the pointer before the table */
	dma_wmb();
	set_word(&cfg->l2.l1tab[idx].l2ptr, l1_desc(dma));
	flush_config(smmu);
	cfg->l2.l2ptrs[idx] = new;
	dmam_free_coherent(smmu->dev, sizeof(*old), old, smmu->kdump->l2_dma[idx]);
	smmu->kdump->l2_dma[idx] = dma;
	return true;
}

/**
 * arm_smmu_kdump_replace_ste() - A stream table entry is about to be written
 * @writer: how the driver writes it
 * @sid: stream ID
 * @ste: where the entry is
 * @target: what it has to become
 *
 * If it is the crashed kernel's, DMA is in flight.
 *
 * Context: With the lock of ASIDs held.
 *
 * Return: true if it was, and has been replaced.
 */
bool arm_smmu_kdump_replace_ste(struct arm_smmu_entry_writer *writer, u32 sid,
				struct arm_smmu_ste *ste,
				const struct arm_smmu_ste *target)
{
	struct arm_smmu_device *smmu = writer->master->smmu;
	struct arm_smmu_kdump *kd = smmu->kdump;
	__le64 unused[STRTAB_STE_DWORDS];
	struct old_stream *old;
	u8 diff;

	if (!kd || !iommu_kdump_entry_is_old(&kd->entries, sid))
		return false;
	lockdep_assert_held(&arm_smmu_asid_lock);
	old = xa_load(&kd->streams, sid);
	diff = arm_smmu_entry_qword_diff(writer, ste->data, target->data, unused);
	if (hweight8(diff) < 2 || !swap_l2(smmu, sid, target))
		arm_smmu_write_entry(writer, ste->data, target->data);
	flush_old(smmu, sid, old);
	if (old->ats)
		flush_ats(writer->master);
	iommu_kdump_entry_left(&kd->entries, sid);
	return true;
}

/**
 * arm_smmu_release_on_driver_probe() - &iommu_ops.release_on_driver_probe
 * @dev: device whose old mappings are gone
 */
void arm_smmu_release_on_driver_probe(struct device *dev)
{
	flush_ats(dev_iommu_priv_get(dev));
}

/**
 * arm_smmu_kdump_end_ats() - PCI features of a device are about to change
 * @dev: the device
 *
 * PCIe leaves open what happens if PASID changes while ATS is on. Requests that are not
 * translated get the same translation.
 */
void arm_smmu_kdump_end_ats(struct device *dev)
{
	if (is_kdump_kernel() && ats_left_on(dev))
		pci_prepare_ats(to_pci_dev(dev), PAGE_SHIFT);
}

/**
 * arm_smmu_kdump_free_asids() - There is no ASID left
 *
 * Return: true if one that the crashed kernel had is free now.
 */
bool arm_smmu_kdump_free_asids(void)
{
	return kdump_asids.ida && iommu_kdump_free_ids(&kdump_asids);
}

/**
 * arm_smmu_kdump_free_vmids() - There is no VMID left
 * @smmu: the SMMU
 *
 * Return: true if one that the crashed kernel had is free now.
 */
bool arm_smmu_kdump_free_vmids(struct arm_smmu_device *smmu)
{
	return smmu->kdump && smmu->kdump->vmids.ida &&
	       iommu_kdump_free_ids(&smmu->kdump->vmids);
}

/* The take-over: before the SMMU is registered, and until it is in use */

/* SMMUs that let pass what they do not know yet, until the initcalls are over */
static LIST_HEAD(passing);
static DEFINE_MUTEX(passing_lock);
static bool booted = IS_MODULE(CONFIG_ARM_SMMU_V3);

struct take_over_stats {
	unsigned int entries;
	unsigned int refused;
	unsigned int tables;
	unsigned int lost_tables;
};

static const struct iommu_kdump_entry_ops entry_ops = {};

/* Unlike all else that the crashed kernel has left, the stream table is written */
static void *map_table(phys_addr_t phys, u64 size)
{
	KUNIT_STATIC_STUB_REDIRECT(map_table, phys, size);
	if (!iommu_kdump_is_old_ram(phys, size))
		return NULL;
	return memremap(phys, size, MEMREMAP_WB);
}

static void unmap_table(void *table)
{
	KUNIT_STATIC_STUB_REDIRECT(unmap_table, table);
	memunmap(table);
}

/* One descriptor for each stream ID: those of other substreams are of dead processes */
static struct arm_smmu_cd *get_cd(struct arm_smmu_device *smmu, u32 sid, u64 *dma)
{
	u32 block = sid / STRTAB_NUM_L2_STES, i = sid % STRTAB_NUM_L2_STES;
	struct arm_smmu_kdump *kd = smmu->kdump;
	struct cd_block *cds = xa_load(&kd->cd_blocks, block);

	if (!cds) {
		cds = devm_kzalloc(smmu->dev, sizeof(*cds), GFP_KERNEL);
		if (!cds)
			return NULL;
		cds->cds = dmam_alloc_coherent(smmu->dev, STRTAB_NUM_L2_STES *
					       sizeof(*cds->cds), &cds->dma,
					       GFP_KERNEL);
		if (!cds->cds ||
		    xa_err(xa_store(&kd->cd_blocks, block, cds, GFP_KERNEL)))
			return NULL;
	}
	*dma = cds->dma + i * sizeof(*cds->cds);
	return &cds->cds[i];
}

/* The same for DMA without a substream ID. Nothing stalls, nothing is reported. */
static int make_ste(struct arm_smmu_device *smmu, u32 sid, const u64 *ste,
		    const struct old_stream *old, u64 *new)
{
	u64 stalls = smmu->features & ARM_SMMU_FEAT_STALL_FORCE ? CTXDESC_CD_0_S : 0;
	struct arm_smmu_ste bypass;
	struct arm_smmu_cd *cd;
	u64 dma;

	memset(new, 0, STRTAB_STE_DWORDS * sizeof(*new));
	new[0] = STRTAB_STE_0_V | FIELD_PREP(STRTAB_STE_0_CFG, old->cfg);
	switch (old->cfg) {
	case STRTAB_STE_0_CFG_BYPASS:
		arm_smmu_make_bypass_ste(smmu, &bypass);
		new[1] = le64_to_cpu(bypass.data[1]);
		return 0;
	case STRTAB_STE_0_CFG_S1_TRANS:
		cd = get_cd(smmu, sid, &dma);
		if (!cd)
			return -ENOMEM;
		cd->data[0] = cpu_to_le64((old->cd[0] & ~(CTXDESC_CD_0_R | CD_0_TTB1 |
							  CTXDESC_CD_0_S)) |
					  (old->cd[0] & stalls));
		cd->data[1] = cpu_to_le64(old->cd[1]);
		cd->data[3] = cpu_to_le64(old->cd[3]);
		new[0] |= dma & STRTAB_STE_0_S1CTXPTR_MASK;
		/* What the driver sets as well, so that the next change is in one word */
		new[1] = FIELD_PREP(STRTAB_STE_1_S1DSS, STRTAB_STE_1_S1DSS_SSID0) |
			 FIELD_PREP(STRTAB_STE_1_S1CIR, STRTAB_STE_1_S1C_CACHE_WBRA) |
			 FIELD_PREP(STRTAB_STE_1_S1COR, STRTAB_STE_1_S1C_CACHE_WBRA) |
			 FIELD_PREP(STRTAB_STE_1_S1CSH, ARM_SMMU_SH_ISH) |
			 (ste[1] & (STRTAB_STE_1_S1STALLD | STRTAB_STE_1_EATS |
				    STRTAB_STE_1_STRW));
		return 0;
	default:
		new[1] = ste[1] & (STRTAB_STE_1_S2FWB | STRTAB_STE_1_EATS |
				   STRTAB_STE_1_SHCFG);
		new[2] = ste[2] & ~(STRTAB_STE_2_S2R | STRTAB_STE_2_S2S);
		if (stalls)
			new[2] |= ste[2] & STRTAB_STE_2_S2S;
		new[3] = ste[3];
		return 0;
	}
}

/* ASIDs, or VMIDs if there are none: then an entry with the other kind keeps its ID for good */
static int keep_ids(struct arm_smmu_device *smmu, u32 sid, const struct old_stream *old)
{
	bool s2 = old->cfg == STRTAB_STE_0_CFG_S2_TRANS;
	u32 id = old->tables.id;
	int ret;

	if (s2 && smmu->kdump->entries.ids == &kdump_asids) {
		ret = id ? ida_alloc_range(&smmu->vmid_map, id, id, GFP_KERNEL) : 0;
		/* Of the same domain as another entry */
		if (ret < 0 && ret != -ENOSPC)
			return ret;
		id = 0;
	}
	return iommu_kdump_keep_entry(&smmu->kdump->entries, sid, id);
}

/*
 * Returns 1 if hardware goes on to use the translation of the crashed kernel, 0 if
 * there was none, or why it is refused.
 */
static int take_over_ste(struct arm_smmu_device *smmu, u32 sid, const u64 *ste,
			 u64 *new)
{
	struct old_stream *old, one;
	int ret;

	ret = decode(smmu, ste, &one);
	if (ret || one.tables.type == IOMMU_KDUMP_BLOCKED)
		return ret;
	ret = make_ste(smmu, sid, ste, &one, new);
	if (ret)
		return ret;
	one.word = new[0];
	old = devm_kmemdup(smmu->dev, &one, offsetof(struct old_stream, cd), GFP_KERNEL);
	if (!old)
		return -ENOMEM;
	ret = xa_err(xa_store(&smmu->kdump->streams, sid, old, GFP_KERNEL)) ?:
	      keep_ids(smmu, sid, &one);
	if (ret)
		return ret;
	if (one.tables.type == IOMMU_KDUMP_PAGING)
		smmu->kdump->granules |=
			BIT(granule_lg2(smmu, FIELD_GET(FORMAT_TG, one.tables.format)));
	return 1;
}

static void count(struct arm_smmu_device *smmu, u32 sid, int ret,
		  struct take_over_stats *stats)
{
	if (ret < 0) {
		iommu_kdump_refuse_entries(&smmu->kdump->entries, sid, 1);
		stats->refused++;
	} else {
		stats->entries += ret;
	}
}

/* Copies what a descriptor of the crashed kernel leads to. Returns false if it cannot be. */
static bool take_over_l2(struct arm_smmu_device *smmu, u32 idx, u64 desc, u64 *buf,
			 struct arm_smmu_strtab_l2 *l2, struct take_over_stats *stats)
{
	unsigned int span = FIELD_GET(STRTAB_L1_DESC_SPAN, desc), nr, i, j, k;
	phys_addr_t phys = desc & STRTAB_L1_DESC_L2PTR_MASK;
	u64 new[STRTAB_STE_DWORDS];
	u32 sid;
	int ret;

	nr = BIT(span - 1);
	if (!IS_ALIGNED(phys, nr * sizeof(struct arm_smmu_ste)) ||
	    !iommu_kdump_is_old_ram(phys, nr * sizeof(struct arm_smmu_ste)))
		return false;
	for (i = 0; i < nr; i++) {
		j = i % (SZ_4K / sizeof(struct arm_smmu_ste));
		if (!j && read_words(phys + i * sizeof(struct arm_smmu_ste), buf,
				     min(nr * STRTAB_STE_DWORDS, SZ_4K / sizeof(*buf))))
			return false;
		sid = idx * STRTAB_NUM_L2_STES + i;
		ret = take_over_ste(smmu, sid, buf + j * STRTAB_STE_DWORDS, new);
		count(smmu, sid, ret, stats);
		for (k = 0; k < STRTAB_STE_DWORDS && ret > 0; k++)
			l2->stes[i].data[k] = cpu_to_le64(new[k]);
	}
	return true;
}

static void take_over_desc(struct arm_smmu_device *smmu, u32 idx, u64 desc, u64 *buf,
			   struct take_over_stats *stats)
{
	unsigned int span = FIELD_GET(STRTAB_L1_DESC_SPAN, desc), i;
	unsigned int kept = stats->entries;
	struct arm_smmu_strtab_l2 *l2 = NULL;
	dma_addr_t dma;

	if (!span)
		return;
	if (span <= STRTAB_SPLIT + 1 && !(desc & DESC_RSVD) &&
	    stats->tables < MAX_L2_TABLES)
		l2 = dmam_alloc_coherent(smmu->dev, sizeof(*l2), &dma, GFP_KERNEL);
	if (l2) {
		stats->tables++;
		for (i = 0; i < STRTAB_NUM_L2_STES; i++)
			arm_smmu_make_abort_ste(&l2->stes[i]);
	}
	if (!l2 || !take_over_l2(smmu, idx, desc, buf, l2, stats)) {
		iommu_kdump_refuse_entries(&smmu->kdump->entries,
					   idx * STRTAB_NUM_L2_STES,
					   STRTAB_NUM_L2_STES);
		stats->lost_tables++;
	}
	if (kept != stats->entries) {
		smmu->strtab_cfg.l2.l2ptrs[idx] = l2;
		smmu->kdump->l2_dma[idx] = dma;
	} else if (l2) {
		dmam_free_coherent(smmu->dev, sizeof(*l2), l2, dma);
	}
}

/* Without a table there is nothing but aborts, and nobody reads reports of them */
static void take_over_2lvl(struct arm_smmu_device *smmu, bool keep,
			   struct take_over_stats *stats)
{
	struct arm_smmu_strtab_l1 *l1 = smmu->strtab_cfg.l2.l1tab;
	struct arm_smmu_kdump *kd = smmu->kdump;
	u64 *buf = kmalloc(SZ_4K, GFP_KERNEL);
	u32 i;

	if (!buf && keep)
		iommu_kdump_refuse_entries(&kd->entries, 0, 0);
	for (i = 0; i < kd->nr && keep && buf; i++)
		take_over_desc(smmu, i, le64_to_cpu(READ_ONCE(l1[i].l2ptr)), buf, stats);
	/* Hardware must not see a pointer before the table */
	dma_wmb();
	for (i = 0; i < kd->nr; i++)
		set_word(&l1[i].l2ptr, kd->l2_dma[i] ? l1_desc(kd->l2_dma[i]) : 0);
	kfree(buf);
}

/*
 * What decides what an entry does is in its first word. Nothing is written before all of
 * the table has been read: what is elsewhere in it may be what an entry leads to.
 */
static void take_over_linear(struct arm_smmu_device *smmu, bool keep,
			     struct take_over_stats *stats)
{
	struct arm_smmu_ste *stes = smmu->strtab_cfg.linear.table;
	u64 ste[STRTAB_STE_DWORDS], new[STRTAB_STE_DWORDS];
	struct arm_smmu_kdump *kd = smmu->kdump;
	struct old_stream *old;
	unsigned int k;
	u32 sid;

	for (sid = 0; sid < kd->nr && keep; sid++) {
		for (k = 0; k < STRTAB_STE_DWORDS; k++)
			ste[k] = le64_to_cpu(READ_ONCE(stes[sid].data[k]));
		count(smmu, sid, take_over_ste(smmu, sid, ste, new), stats);
	}
	/* Hardware must not see a pointer before the descriptor */
	dma_wmb();
	for (sid = 0; sid < kd->nr; sid++) {
		old = NULL;
		if (iommu_kdump_entry_is_old(&kd->entries, sid))
			old = xa_load(&kd->streams, sid);
		set_word(&stes[sid].data[0], old ? old->word : STRTAB_STE_0_V);
	}
}

/*
 * The DMA API can use pages that are smaller than those of this kernel. Then what was
 * mapped page by page can be imported page by page.
 */
static void follow_granule(struct arm_smmu_device *smmu)
{
	static const struct {
		unsigned long granule;
		unsigned long blocks;
	} sizes[] = {
		{ SZ_4K, SZ_2M | SZ_1G },
		{ SZ_16K, SZ_32M },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (sizes[i].granule >= PAGE_SIZE ||
		    !(smmu->kdump->granules & BIT(ilog2(sizes[i].granule))))
			continue;
		smmu->pgsize_bitmap &= sizes[i].granule | sizes[i].blocks;
		return;
	}
}

/* An SMMU that does not translate yet: DMA passes now, and goes on to pass */
static void pass_through(struct arm_smmu_device *smmu)
{
	struct arm_smmu_strtab_cfg *cfg = &smmu->strtab_cfg;
	struct arm_smmu_kdump *kd = smmu->kdump;
	dma_addr_t dma;
	u32 i;

	if (smmu->features & ARM_SMMU_FEAT_2_LVL_STRTAB) {
		kd->shared = dmam_alloc_coherent(smmu->dev, sizeof(*kd->shared), &dma,
						 GFP_KERNEL);
		if (!kd->shared) {
			kd->passing = false;
			iommu_kdump_refuse_entries(&kd->entries, 0, 0);
			return;
		}
		arm_smmu_kdump_init_l2(smmu, kd->shared);
		for (i = 0; i < cfg->l2.num_l1_ents; i++)
			set_word(&cfg->l2.l1tab[i].l2ptr, l1_desc(dma));
	} else {
		for (i = 0; i < cfg->linear.num_ents; i++)
			arm_smmu_make_bypass_ste(smmu, &cfg->linear.table[i]);
	}
	kd->entries.not_live = true;
	scoped_guard(mutex, &passing_lock)
		list_add(&kd->node, &passing);
	dev_info(smmu->dev, "kdump: not used by the crashed kernel, its DMA is kept from the crash kernel's memory from now on\n");
}

/**
 * arm_smmu_kdump_init_l2() - A second level table has been allocated
 * @smmu: the SMMU
 * @l2: the table, which aborts
 *
 * What passes goes on to pass.
 */
void arm_smmu_kdump_init_l2(struct arm_smmu_device *smmu, struct arm_smmu_strtab_l2 *l2)
{
	unsigned int i;

	for (i = 0; smmu->kdump && smmu->kdump->passing && i < STRTAB_NUM_L2_STES; i++)
		arm_smmu_make_bypass_ste(smmu, &l2->stes[i]);
}

/**
 * arm_smmu_kdump_l1_changed() - A descriptor leads to another table
 * @smmu: the SMMU
 *
 * In a crash kernel hardware may have cached what was there before.
 */
void arm_smmu_kdump_l1_changed(struct arm_smmu_device *smmu)
{
	if (smmu->kdump)
		flush_config(smmu);
}

static bool is_bypass(const struct arm_smmu_ste *ste)
{
	return FIELD_GET(STRTAB_STE_0_CFG, le64_to_cpu(ste->data[0])) ==
	       STRTAB_STE_0_CFG_BYPASS;
}

static void end_pass_through_stes(struct arm_smmu_device *smmu,
				  struct arm_smmu_ste *stes, unsigned int nr, u32 first)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (is_bypass(&stes[i]) && !arm_smmu_find_master(smmu, first + i))
			set_word(&stes[i].data[0], STRTAB_STE_0_V);
}

/* What still passes belongs to no device that has come with the boot */
static void end_pass_through(struct arm_smmu_device *smmu)
{
	struct arm_smmu_strtab_cfg *cfg = &smmu->strtab_cfg;
	struct arm_smmu_kdump *kd = smmu->kdump;
	u32 i;

	guard(mutex)(&arm_smmu_asid_lock);
	guard(mutex)(&smmu->streams_mutex);
	kd->passing = false;
	if (!(smmu->features & ARM_SMMU_FEAT_2_LVL_STRTAB)) {
		end_pass_through_stes(smmu, cfg->linear.table, cfg->linear.num_ents, 0);
	} else {
		for (i = 0; i < STRTAB_NUM_L2_STES; i++)
			set_word(&kd->shared->stes[i].data[0], STRTAB_STE_0_V);
		for (i = 0; i < cfg->l2.num_l1_ents; i++)
			if (cfg->l2.l2ptrs[i])
				end_pass_through_stes(smmu, cfg->l2.l2ptrs[i]->stes,
						      STRTAB_NUM_L2_STES,
						      i * STRTAB_NUM_L2_STES);
	}
	flush_config(smmu);
	kd->entries.not_live = false;
}

/**
 * arm_smmu_kdump_ready() - An SMMU has been registered
 * @smmu: the SMMU
 *
 * Devices may come after it until the initcalls are over.
 */
void arm_smmu_kdump_ready(struct arm_smmu_device *smmu)
{
	struct arm_smmu_kdump *kd = smmu->kdump;

	if (!kd || !kd->passing)
		return;
	/* From now on for whatever switches the SMMU off */
	arm_smmu_update_gbpa(smmu, GBPA_ABORT, 0);
	guard(mutex)(&passing_lock);
	if (!booted)
		return;
	list_del_init(&kd->node);
	end_pass_through(smmu);
}

#ifndef MODULE
static int __init end_all_pass_through(void)
{
	struct arm_smmu_kdump *kd, *next;

	guard(mutex)(&passing_lock);
	booted = true;
	list_for_each_entry_safe(kd, next, &passing, node) {
		list_del_init(&kd->node);
		end_pass_through(kd->smmu);
	}
	return 0;
}
late_initcall_sync(end_all_pass_through);
#endif

/* Returns why the stream table cannot be taken over, NULL if it can */
static const char *find_table(struct arm_smmu_device *smmu)
{
	struct arm_smmu_kdump *kd = smmu->kdump;
	u64 base = readq_relaxed(smmu->base + ARM_SMMU_STRTAB_BASE);
	u32 cfg = readl_relaxed(smmu->base + ARM_SMMU_STRTAB_BASE_CFG);
	u32 cr1 = readl_relaxed(smmu->base + ARM_SMMU_CR1);
	u32 cr2 = readl_relaxed(smmu->base + ARM_SMMU_CR2);
	u32 gerror = readl_relaxed(smmu->base + ARM_SMMU_GERROR) ^
		     readl_relaxed(smmu->base + ARM_SMMU_GERRORN);
	unsigned int lg2 = FIELD_GET(STRTAB_BASE_CFG_LOG2SIZE, cfg);
	bool linear = FIELD_GET(STRTAB_BASE_CFG_FMT, cfg) == STRTAB_BASE_CFG_FMT_LINEAR;
	u64 size;

	if (gerror & GERROR_SFM_ERR)
		return "the SMMU is in service failure mode";
	if (smmu->impl_ops)
		return "command queues that devices of their own use are lost";
	if (!(smmu->features & ARM_SMMU_FEAT_COHERENCY))
		return "the SMMU is not coherent";
	/* Locked while the SMMU translates, and what the driver relies on */
	if (!(smmu->features & ARM_SMMU_FEAT_E2H) != !(cr2 & CR2_E2H) ||
	    (cr1 & (CR1_QUEUE_SH | CR1_QUEUE_OC | CR1_QUEUE_IC)) !=
		    (FIELD_PREP(CR1_QUEUE_SH, ARM_SMMU_SH_ISH) |
		     FIELD_PREP(CR1_QUEUE_OC, CR1_CACHE_WB) |
		     FIELD_PREP(CR1_QUEUE_IC, CR1_CACHE_WB)))
		return "it was set up in another way";

	if (linear) {
		if (lg2 > min_t(unsigned int, smmu->sid_bits, MAX_LINEAR_BITS))
			return "its size is wrong";
		kd->nr = BIT(lg2);
		size = (u64)kd->nr * sizeof(struct arm_smmu_ste);
	} else {
		if (FIELD_GET(STRTAB_BASE_CFG_FMT, cfg) != STRTAB_BASE_CFG_FMT_2LVL ||
		    !(smmu->features & ARM_SMMU_FEAT_2_LVL_STRTAB) ||
		    FIELD_GET(STRTAB_BASE_CFG_SPLIT, cfg) != STRTAB_SPLIT)
			return "its format is wrong";
		if (lg2 < STRTAB_SPLIT || lg2 > smmu->sid_bits ||
		    BIT(lg2 - STRTAB_SPLIT) > STRTAB_MAX_L1_ENTRIES)
			return "its size is wrong";
		kd->nr = BIT(lg2 - STRTAB_SPLIT);
		size = (u64)kd->nr * sizeof(struct arm_smmu_strtab_l1);
	}
	base &= STRTAB_BASE_ADDR_MASK;
	if (!IS_ALIGNED(base, max(size, 64)))
		return "it is not aligned";
	kd->table = map_table(base, size);
	if (!kd->table)
		return "it is not in memory of the crashed kernel";
	if (linear)
		smmu->features &= ~ARM_SMMU_FEAT_2_LVL_STRTAB;
	return NULL;
}

static void stop(void *data)
{
	struct arm_smmu_device *smmu = data;
	struct arm_smmu_kdump *kd = smmu->kdump;

	/* What the crashed kernel has left is not to be used without a driver */
	arm_smmu_device_disable(smmu);
	scoped_guard(mutex, &passing_lock)
		list_del_init(&kd->node);
	iommu_kdump_entries_destroy(&kd->entries);
	smmu->iommu.kdump = NULL;
	if (kd->table)
		unmap_table(kd->table);
	xa_destroy(&kd->streams);
	xa_destroy(&kd->cd_blocks);
	smmu->kdump = NULL;
	smmu->kdump_cr0 = 0;
}

static int start(struct arm_smmu_device *smmu, u32 cr0)
{
	struct arm_smmu_kdump *kd;
	const char *reason;

	kd = devm_kzalloc(smmu->dev, sizeof(*kd), GFP_KERNEL);
	if (!kd)
		return -ENOMEM;
	kd->smmu = smmu;
	INIT_LIST_HEAD(&kd->node);
	xa_init(&kd->streams);
	xa_init(&kd->cd_blocks);
	if (!kdump_asids.ida)
		iommu_kdump_ids_init(&kdump_asids, &arm_smmu_asid_ida, 1,
				     ARM_SMMU_MAX_ASIDS - 1);
	if (!(smmu->features & ARM_SMMU_FEAT_TRANS_S1))
		iommu_kdump_ids_init(&kd->vmids, &smmu->vmid_map, 1,
				     ARM_SMMU_MAX_VMIDS - 1);
	iommu_kdump_entries_init(&kd->entries, &entry_ops,
				 kd->vmids.ida ? &kd->vmids : &kdump_asids,
				 dev_name(smmu->dev));
	smmu->kdump = kd;
	smmu->iommu.kdump = &kd->entries;

	if (!(cr0 & CR0_SMMUEN)) {
		/* Or all has been aborted all the time */
		kd->passing = iommu_kdump_enabled() &&
			      !(readl_relaxed(smmu->base + ARM_SMMU_GBPA) & GBPA_ABORT);
		return 0;
	}
	reason = find_table(smmu);
	if (!reason) {
		smmu->kdump_cr0 = cr0 & (CR0_SMMUEN | CR0_ATSCHK);
		return 0;
	}
	iommu_kdump_refuse_entries(&kd->entries, 0, 0);
	dev_warn(smmu->dev, "kdump: the stream table cannot be taken over, %s: all devices are blocked until their drivers come\n",
		 reason);
	return 0;
}

/**
 * arm_smmu_kdump_start() - A crash kernel has found an SMMU
 * @smmu: the SMMU, whose features are known
 *
 * What goes wrong from here on blocks. Nothing is written yet that hardware looks at
 * while it translates. &arm_smmu_device.kdump_cr0 says what of CR0 has to stay.
 *
 * Return: 0, or why the SMMU cannot be used.
 */
int arm_smmu_kdump_start(struct arm_smmu_device *smmu)
{
	u32 cr0;
	int ret;

	if (!is_kdump_kernel())
		return 0;
	cr0 = readl_relaxed(smmu->base + ARM_SMMU_CR0);
	if (cr0 & CR0_SMMUEN)
		arm_smmu_update_gbpa(smmu, GBPA_ABORT, 0);
	ret = start(smmu, cr0);
	if (ret) {
		arm_smmu_device_disable(smmu);
		return ret;
	}
	return devm_add_action_or_reset(smmu->dev, stop, smmu);
}

/**
 * arm_smmu_kdump_init_strtab() - Use the stream table that hardware has
 * @smmu: SMMU that goes on to translate
 *
 * Return: 0 or -ENOMEM.
 */
int arm_smmu_kdump_init_strtab(struct arm_smmu_device *smmu)
{
	struct arm_smmu_strtab_cfg *cfg = &smmu->strtab_cfg;
	struct arm_smmu_kdump *kd = smmu->kdump;

	if (!(smmu->features & ARM_SMMU_FEAT_2_LVL_STRTAB)) {
		cfg->linear.table = kd->table;
		cfg->linear.num_ents = kd->nr;
		return 0;
	}
	cfg->l2.l1tab = kd->table;
	cfg->l2.num_l1_ents = kd->nr;
	cfg->l2.l2ptrs = devm_kcalloc(smmu->dev, kd->nr, sizeof(*cfg->l2.l2ptrs),
				      GFP_KERNEL);
	kd->l2_dma = devm_kcalloc(smmu->dev, kd->nr, sizeof(*kd->l2_dma), GFP_KERNEL);
	return cfg->l2.l2ptrs && kd->l2_dma ? 0 : -ENOMEM;
}

/**
 * arm_smmu_kdump_take_over() - Take the stream table over
 * @smmu: SMMU whose queues are off
 *
 * Entries that are valid go on to translate as the crashed kernel had it, the others
 * abort. What hardware has cached has to be flushed next.
 *
 * Context: May sleep.
 */
void arm_smmu_kdump_take_over(struct arm_smmu_device *smmu)
{
	bool keep = iommu_kdump_enabled(), linear;
	struct take_over_stats stats = {};

	if (!smmu->kdump)
		return;
	/* Errors that nobody has acknowledged keep the command queue from working */
	writel_relaxed(readl_relaxed(smmu->base + ARM_SMMU_GERROR),
		       smmu->base + ARM_SMMU_GERRORN);
	if (!keep) {
		iommu_kdump_refuse_entries(&smmu->kdump->entries, 0, 0);
		dev_warn(smmu->dev, "kdump: nothing inherited, the command line asks for it: all devices are blocked until their drivers come\n");
	}
	if (smmu->kdump->passing)
		pass_through(smmu);
	if (!smmu->kdump_cr0)
		return;

	linear = !(smmu->features & ARM_SMMU_FEAT_2_LVL_STRTAB);
	if (linear)
		take_over_linear(smmu, keep, &stats);
	else
		take_over_2lvl(smmu, keep, &stats);
	follow_granule(smmu);
	if (stats.lost_tables)
		dev_warn(smmu->dev, "kdump: %u tables are corrupt or could not be copied: their devices are blocked\n",
			 stats.lost_tables);
	if (keep)
		dev_info(smmu->dev, "kdump: %s stream table: %u stream IDs inherited, %u refused and blocked\n",
			 linear ? "linear" : "2-level", stats.entries, stats.refused);
}

MODULE_IMPORT_NS("GENERIC_PT_IOMMU");

#if defined(CONFIG_IOMMU_KDUMP_KUNIT_TEST) && !defined(MODULE)
#include "arm-smmu-v3-kdump_kunit.c"
#endif
