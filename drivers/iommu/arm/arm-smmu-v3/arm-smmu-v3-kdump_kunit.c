// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of what arm-smmu-v3-kdump.c, which includes this, makes of the stream table of
 * a crashed kernel
 *
 * A crashed kernel is made up: a stream table of two levels or a linear one, with
 * entries for both stages and context descriptors in tables of each format, in memory
 * that only the accessor of the framework can reach. Each field of each entry is set to
 * each kind of wrong value, and bits are flipped at random. What must come of it is
 * worked out a second time here, from the layout that the specification gives: see
 * spec_lookup().
 */

#include <linux/cleanup.h>

#include <kunit/device.h>

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "smmuv3_kdump_kunit."

/* What each page of the crashed kernel's memory holds; tables are aligned to their size */
enum {
	/* Entries for 256 stream IDs */
	OLD_L2,
	OLD_L2_LAST = OLD_L2 + 3,
	OLD_LINEAR,
	OLD_LINEAR_LAST = OLD_LINEAR + 3,
	/* Top tables of up to 16 KiB */
	OLD_PT,
	OLD_PT_LAST = OLD_PT + 3,
	OLD_L1,
	/* Entries for 64 stream IDs */
	OLD_L2_SMALL,
	OLD_CD,
	OLD_CD_L1,
	OLD_PAGES,
};

#define POINTER_BITS	GENMASK_ULL(51, 12)
#define CORRUPTIONS	10000

#include "../../kdump/old_tables_kunit.h"

#define TEST_FEATURES	(ARM_SMMU_FEAT_2_LVL_STRTAB | ARM_SMMU_FEAT_2_LVL_CDTAB | \
			 ARM_SMMU_FEAT_COHERENCY | ARM_SMMU_FEAT_TRANS_S1 |	  \
			 ARM_SMMU_FEAT_TRANS_S2 | ARM_SMMU_FEAT_STALLS |	  \
			 ARM_SMMU_FEAT_ATS | ARM_SMMU_FEAT_HA | ARM_SMMU_FEAT_HD | \
			 ARM_SMMU_FEAT_ATTR_TYPES_OVR)
#define TEST_PAGES	(SZ_4K | SZ_2M | SZ_1G | SZ_16K | SZ_32M | SZ_64K | SZ_512M)

static struct old_kernel {
	struct arm_smmu_device *smmu;
	struct arm_smmu_master master;
	struct device *parent;
	bool linear;
	/* Memory as it was before the take-over */
	u64 (*before)[512];
	void *devres;
	struct ida asids;
	/* Commands in their order */
	char log[64];
	unsigned int nr_log;
	u64 last_id;
	/* An entry that is watched */
	u64 *watched;
	u64 from[8];
	u64 to[8];
	unsigned int desc_stores;
	bool inconsistent;
} old_kernel;

/* Hardware */

static void record(char what)
{
	if (old_kernel.nr_log < ARRAY_SIZE(old_kernel.log) - 1)
		old_kernel.log[old_kernel.nr_log++] = what;
}

/* c: all configuration; a, e, v: an ASID, one of EL2, a VMID; t: what is stalled; i: ATC */
static void test_send(struct arm_smmu_device *smmu, struct arm_smmu_cmd *cmds, int n)
{
	static const struct {
		u8 op;
		char what;
	} known[] = {
		{ 0x04, 'c' }, { 0x11, 'a' }, { 0x21, 'e' }, { 0x28, 'v' },
		{ 0x45, 't' }, { 0x40, 'i' },
	};
	unsigned int i;

	for (; n; n--, cmds++) {
		for (i = 0; i < ARRAY_SIZE(known); i++)
			if (known[i].op == (cmds->data[0] & 0xff))
				break;
		record(i < ARRAY_SIZE(known) ? known[i].what : '?');
		if (i < ARRAY_SIZE(known) && strchr("ae", known[i].what))
			old_kernel.last_id = bits(cmds->data, 0, 48, 63);
		if (i < ARRAY_SIZE(known) && known[i].what == 'v')
			old_kernel.last_id = bits(cmds->data, 0, 32, 47);
	}
	record('.');
}

static void expect_commands(struct kunit *test, const char *what)
{
	KUNIT_EXPECT_STREQ(test, old_kernel.log, what);
	memset(old_kernel.log, 0, sizeof(old_kernel.log));
	old_kernel.nr_log = 0;
}

static void test_set_word(__le64 *word, u64 value)
{
	u64 *l1 = crashed.mem[OLD_L1];

	if ((u64 *)word >= l1 && (u64 *)word < l1 + 512)
		old_kernel.desc_stores++;
	WRITE_ONCE(*word, cpu_to_le64(value));
}

static void *test_map_table(phys_addr_t phys, u64 size)
{
	if (!iommu_kdump_is_old_ram(phys, size))
		return NULL;
	return (void *)crashed.mem[0] + (phys - OLD_RAM);
}

static void test_unmap_table(void *table)
{
}

/* The layout of the tables, as the specification draws it */

/* Section 5.1 */
static const struct field desc_fields[] = {
	{ "Span", 0, 0, 4, VALUE },
	{ "reserved", 0, 5, 5, RESERVED },
	{ "L2Ptr", 0, 6, 51, VALUE },
	{ "reserved", 0, 52, 63, RESERVED },
};

static const struct layout desc_layout = LAYOUT(desc);

/* Section 5.2, with what no kernel uses in one */
static const struct field ste_fields[] = {
	{ "V and Config", 0, 0, 3, VALUE },
	{ "S1Fmt", 0, 4, 5, VALUE },
	{ "S1ContextPtr", 0, 6, 51, VALUE },
	{ "reserved", 0, 52, 58, VALUE },
	{ "S1CDMax", 0, 59, 63, VALUE },
	{ "S1DSS", 1, 0, 1, VALUE },
	{ "S1CIR, S1COR, S1CSH", 1, 2, 7, VALUE },
	{ "HWU, DRE, CONT, DCP, PPAR", 1, 8, 18, VALUE },
	{ "MEV", 1, 19, 19, VALUE },
	{ "SW_RESERVED, S1PIE", 1, 20, 24, VALUE },
	{ "S2FWB, S1MPAM, S1STALLD", 1, 25, 27, VALUE },
	{ "EATS", 1, 28, 29, VALUE },
	{ "STRW", 1, 30, 31, VALUE },
	{ "attributes", 1, 32, 43, VALUE },
	{ "SHCFG", 1, 44, 45, VALUE },
	{ "more attributes", 1, 46, 63, VALUE },
	{ "S2VMID", 2, 0, 15, VALUE },
	{ "reserved", 2, 16, 31, VALUE },
	{ "S2T0SZ", 2, 32, 37, VALUE },
	{ "S2SL0", 2, 38, 39, VALUE },
	{ "S2IR0, S2OR0, S2SH0", 2, 40, 45, VALUE },
	{ "S2TG", 2, 46, 47, VALUE },
	{ "S2PS", 2, 48, 50, VALUE },
	{ "S2AA64 to S2PTW", 2, 51, 54, VALUE },
	{ "S2HD to S2R", 2, 55, 58, VALUE },
	{ "reserved", 2, 59, 63, VALUE },
	{ "S2TTB", 3, 0, 51, VALUE },
	{ "reserved", 3, 52, 63, VALUE },
	{ "not used", 5, 0, 63, VALUE },
};

static const struct layout ste_layout = LAYOUT(ste);

/* Section 5.3 */
static const struct field cd_l1_fields[] = {
	{ "V", 0, 0, 0, VALUE },
	{ "reserved", 0, 1, 11, RESERVED },
	{ "L2Ptr", 0, 12, 51, VALUE },
	{ "reserved", 0, 52, 63, RESERVED },
};

static const struct layout cd_l1_layout = LAYOUT(cd_l1);

/* Section 5.4 */
static const struct field cd_fields[] = {
	{ "T0SZ", 0, 0, 5, VALUE },
	{ "TG0", 0, 6, 7, VALUE },
	{ "IR0, OR0, SH0", 0, 8, 13, VALUE },
	{ "EPD0, ENDI", 0, 14, 15, VALUE },
	{ "of TTB1", 0, 16, 29, VALUE },
	{ "EPD1, V", 0, 30, 31, VALUE },
	{ "IPS", 0, 32, 34, VALUE },
	{ "AFFD, WXN, UWXN, TBI, PAN", 0, 35, 40, VALUE },
	{ "AA64", 0, 41, 41, VALUE },
	{ "HD, HA", 0, 42, 43, VALUE },
	{ "S, R, A, ASET", 0, 44, 47, VALUE },
	{ "ASID", 0, 48, 63, VALUE },
	{ "NSCFG0, HAD0, E0PD0, HAFT", 1, 0, 3, VALUE },
	{ "TTB0", 1, 4, 51, VALUE },
	{ "HWU0", 1, 52, 63, VALUE },
	{ "TTB1", 2, 0, 63, VALUE },
	{ "MAIR", 3, 0, 63, VALUE },
};

static const struct layout cd_layout = LAYOUT(cd);

enum outcome {
	/* Nothing passes; what the crashed kernel had is not kept */
	REFUSED,
	/* Nothing passes, as the crashed kernel has it */
	ABSENT,
	IDENTITY,
	STAGE_1,
	STAGE_2,
};

struct verdict {
	enum outcome outcome;
	const u64 *ste;
	const u64 *cd;
	unsigned int levels;
	unsigned int ias;
	unsigned int oas;
	unsigned int granule;
	u64 root;
	u64 id;
};

static bool has(u32 feature)
{
	return old_kernel.smmu->features & feature;
}

/* Before the take-over, if all of it is memory of the crashed kernel */
static const u64 *spec_mem(u64 phys, u64 size)
{
	if (phys < OLD_RAM || size > OLD_PAGES * SZ_4K ||
	    phys - OLD_RAM > OLD_PAGES * SZ_4K - size)
		return NULL;
	return (u64 *)((void *)old_kernel.before[0] + (phys - OLD_RAM));
}

/* Granules in the order of their numbers in TG0 */
static const u8 granules[] = { 12, 16, 14 };

static bool spec_table_ok(struct verdict *v, unsigned int tg, unsigned int ps,
			  unsigned int concat)
{
	static const u8 sizes[] = { 32, 36, 40, 42, 44, 48 };
	unsigned int entry_lg2, top;
	u64 size;

	if (tg > 2 || ps > 5 || v->ias < 25 || v->ias > 48)
		return false;
	v->granule = granules[tg];
	v->oas = min_t(unsigned int, sizes[ps], old_kernel.smmu->oas);
	/* What one entry of the top table translates */
	if (!v->levels)
		for (v->levels = 1; v->granule + v->levels * (v->granule - 3) < v->ias;)
			v->levels++;
	entry_lg2 = v->granule + (v->levels - 1) * (v->granule - 3);
	if (v->ias <= entry_lg2)
		return false;
	top = v->ias - entry_lg2;
	size = top < 3 ? 64 : 8ULL << top;
	return top <= v->granule - 3 + concat && !(v->root % size) &&
	       spec_mem(v->root, size);
}

static enum outcome spec_cd(struct verdict *v, u64 phys)
{
	const u64 *cd = spec_mem(phys, 64);

	if (!cd)
		return REFUSED;
	v->cd = cd;
	if (!bits(cd, 0, 31, 31))
		return ABSENT;
	/* AFFD to PAN, AA64, ENDI, EPD1 */
	if (bits(cd, 0, 35, 40) || !bits(cd, 0, 41, 41) || bits(cd, 0, 15, 15) ||
	    !bits(cd, 0, 30, 30) || bits(cd, 1, 0, 2) || bits(cd, 1, 52, 63))
		return REFUSED;
	/* HD without HA; HAFT, which the SMMU does not have; S */
	if ((bits(cd, 0, 42, 42) && !bits(cd, 0, 43, 43)) || bits(cd, 1, 3, 3) ||
	    (bits(cd, 0, 42, 42) && !has(ARM_SMMU_FEAT_HD)) ||
	    (bits(cd, 0, 43, 43) && !has(ARM_SMMU_FEAT_HA)) ||
	    (bits(cd, 0, 44, 44) && !has(ARM_SMMU_FEAT_STALLS)))
		return REFUSED;
	v->id = bits(cd, 0, 48, 63);
	if (v->id >> old_kernel.smmu->asid_bits)
		return REFUSED;
	if (bits(cd, 0, 14, 14))
		return ABSENT;
	v->ias = 64 - bits(cd, 0, 0, 5);
	v->root = bits(cd, 1, 4, 51) << 4;
	return spec_table_ok(v, bits(cd, 0, 6, 7), bits(cd, 0, 32, 34), 0) ? STAGE_1 :
									  REFUSED;
}

static enum outcome spec_s1(struct verdict *v, const u64 *ste)
{
	unsigned int cdmax = bits(ste, 0, 59, 63), fmt = bits(ste, 0, 4, 5);
	u64 ptr = bits(ste, 0, 6, 51) << 6;
	const u64 *l1;

	if (!has(ARM_SMMU_FEAT_TRANS_S1) || bits(ste, 0, 52, 58) ||
	    cdmax > old_kernel.smmu->ssid_bits || bits(ste, 1, 25, 25) ||
	    (bits(ste, 1, 27, 27) && !has(ARM_SMMU_FEAT_STALLS)))
		return REFUSED;
	if (bits(ste, 1, 30, 31) != (has(ARM_SMMU_FEAT_E2H) ? 2 : 0) ||
	    (!has(ARM_SMMU_FEAT_E2H) && bits(ste, 2, 0, 15)))
		return REFUSED;
	if (!cdmax)
		return spec_cd(v, ptr);
	switch (bits(ste, 1, 0, 1)) {
	case 0:
		return ABSENT;
	case 1:
		return IDENTITY;
	case 3:
		return REFUSED;
	}
	if (!fmt)
		return spec_cd(v, ptr);
	l1 = spec_mem(ptr, 8);
	if (fmt == 3 || !has(ARM_SMMU_FEAT_2_LVL_CDTAB) || !l1)
		return REFUSED;
	if (!bits(l1, 0, 0, 0))
		return ABSENT;
	if (!spec_valid(&cd_l1_layout, l1))
		return REFUSED;
	return spec_cd(v, bits(l1, 0, 12, 51) << 12);
}

static enum outcome spec_s2(struct verdict *v, const u64 *ste)
{
	unsigned int tg = bits(ste, 2, 46, 47), sl = bits(ste, 2, 38, 39);

	v->id = bits(ste, 2, 0, 15);
	if (!has(ARM_SMMU_FEAT_TRANS_S2) || bits(ste, 2, 16, 31) ||
	    bits(ste, 2, 59, 63) || bits(ste, 3, 0, 3) || bits(ste, 3, 52, 63) ||
	    v->id >> old_kernel.smmu->vmid_bits)
		return REFUSED;
	/* S2AA64, S2ENDI, S2AFFD, S2HD and S2HA, S2S; S2FWB, which the SMMU has not */
	if (!bits(ste, 2, 51, 51) || bits(ste, 2, 52, 53) || bits(ste, 2, 55, 56) ||
	    (bits(ste, 2, 57, 57) && !has(ARM_SMMU_FEAT_STALLS)) || bits(ste, 1, 25, 25))
		return REFUSED;
	if (sl == 3)
		return REFUSED;
	/* The level that the walk starts from, of 0 to 3 */
	v->levels = 4 - (tg ? 3 - sl : 2 - sl);
	v->ias = 64 - bits(ste, 2, 32, 37);
	v->root = bits(ste, 3, 4, 51) << 4;
	return spec_table_ok(v, tg, bits(ste, 2, 48, 50), 4) ? STAGE_2 : REFUSED;
}

static enum outcome spec_ste(struct verdict *v, const u64 *ste)
{
	unsigned int config = bits(ste, 0, 1, 3);

	if (!bits(ste, 0, 0, 0) || config < 4)
		return ABSENT;
	if (config == 7)
		return REFUSED;
	if (bits(ste, 1, 8, 18) || bits(ste, 1, 20, 24) || bits(ste, 1, 26, 26) ||
	    bits(ste, 1, 32, 43) || bits(ste, 1, 46, 63))
		return REFUSED;
	if (config == 4)
		return IDENTITY;
	if (bits(ste, 1, 28, 29) > 1 ||
	    (bits(ste, 1, 28, 29) && !has(ARM_SMMU_FEAT_ATS)))
		return REFUSED;
	return config == 5 ? spec_s1(v, ste) : spec_s2(v, ste);
}

/* What hardware does with the DMA of a stream ID, if its tables are sound */
static struct verdict spec_lookup(u32 sid)
{
	struct verdict v = { .outcome = ABSENT };
	const u64 *desc, *l2;
	unsigned int span;
	u64 size;

	if (old_kernel.linear) {
		v.ste = &old_kernel.before[OLD_LINEAR][sid * 8];
		v.outcome = spec_ste(&v, v.ste);
		return v;
	}
	desc = &old_kernel.before[OLD_L1][sid / 256];
	span = bits(desc, 0, 0, 4);
	if (!span)
		return v;
	v.outcome = REFUSED;
	if (span > 9 || !spec_valid(&desc_layout, desc))
		return v;
	size = 64ULL << (span - 1);
	l2 = spec_mem(bits(desc, 0, 6, 51) << 6, size);
	if (!l2 || (bits(desc, 0, 6, 51) << 6) % size)
		return v;
	v.outcome = ABSENT;
	if (sid % 256 >= size / 64)
		return v;
	v.ste = l2 + sid % 256 * 8;
	v.outcome = spec_ste(&v, v.ste);
	return v;
}

/* What the code has made of it */

/* Where hardware finds the entry of a stream ID now; NULL is as good as an abort */
static u64 *hw_ste(u32 sid)
{
	u64 desc;

	if (old_kernel.linear)
		return &crashed.mem[OLD_LINEAR][sid * 8];
	desc = crashed.mem[OLD_L1][sid / 256];
	if (!desc)
		return NULL;
	if ((desc & 0x1f) != 9 || desc >= OLD_RAM)
		crashed.broken = "left a pointer to memory of the crashed kernel";
	if (crashed.broken)
		return NULL;
	return (u64 *)phys_to_virt(desc & GENMASK_ULL(51, 6)) + sid % 256 * 8;
}

static bool aborts(const u64 *ste)
{
	return !ste || ste[0] == 1;
}

static const char *judge_tables(u32 sid, const struct verdict *v)
{
	bool s2 = v->outcome == STAGE_2;
	struct iommu_kdump_tables tables;
	u32 format;

	if (arm_smmu_inherit_tables(old_kernel.master.dev, sid, &tables))
		return "is not inherited";
	if (v->outcome == IDENTITY)
		return tables.type == IOMMU_KDUMP_IDENTITY ? NULL : "was identity";
	format = tables.format;
	if (tables.type != IOMMU_KDUMP_PAGING || tables.root != v->root ||
	    tables.levels != v->levels || tables.id != v->id ||
	    (format & 63) != v->ias || (format >> 6 & 63) != v->oas ||
	    granules[format >> 12 & 3] != v->granule ||
	    !!(format & BIT(14)) != s2)
		return "is inherited with another page table";
	if (v->outcome == STAGE_1 && (format >> 15 & 1) != bits(v->cd, 0, 43, 43))
		return "is inherited with another use of the access flag";
	if (v->outcome == STAGE_1 && v->id && !ida_exists(&arm_smmu_asid_ida, v->id))
		return "has an ASID that may be given to another domain";
	if (v->outcome == STAGE_2 && v->id &&
	    !ida_exists(&old_kernel.smmu->vmid_map, v->id))
		return "has a VMID that may be given to another domain";
	return NULL;
}

static const char *judge(u32 sid)
{
	struct arm_smmu_kdump *kd = old_kernel.smmu->kdump;
	bool refused = iommu_kdump_entry_was_refused(&kd->entries, sid);
	bool old = iommu_kdump_entry_is_old(&kd->entries, sid);
	struct verdict v = spec_lookup(sid);
	const u64 *ste = hw_ste(sid), *cd;
	bool refuse = v.outcome == REFUSED;

	if (v.outcome <= ABSENT) {
		crashed.refused += refuse;
		if (old || refused != refuse)
			return refused ? "was refused" : "was not refused";
		return aborts(ste) ? NULL : "does not abort";
	}
	if (!old || refused || !ste)
		return "was refused";

	switch (v.outcome) {
	case IDENTITY:
		if ((ste[0] & 0xf) != 9)
			return "does not bypass";
		break;
	case STAGE_1:
		/* S1CDMax 0, linear, one descriptor of our own */
		if ((ste[0] & ~GENMASK_ULL(51, 6)) != 0xb || ste[0] >= OLD_RAM)
			return "does not lead to a context descriptor of this kernel";
		cd = phys_to_virt(bits(ste, 0, 6, 51) << 6);
		if (cd[0] != (v.cd[0] & ~(GENMASK_ULL(29, 16) | BIT_ULL(44) | BIT_ULL(45))) ||
		    cd[1] != v.cd[1] || cd[2] || cd[3] != v.cd[3] ||
		    memchr_inv(cd + 4, 0, 32))
			return "has another context descriptor";
		/* S1STALLD, EATS and STRW are the device's */
		if (!old_kernel.linear &&
		    (ste[1] != ((v.ste[1] & GENMASK_ULL(31, 27)) | 0xd6) ||
		     memchr_inv(ste + 2, 0, 48)))
			return "has something else than it had";
		break;
	default:
		if ((ste[0] & 0xf) != 0xd || ste[3] != v.ste[3])
			return "has another page table";
		if (!old_kernel.linear &&
		    (ste[2] != (v.ste[2] & ~(BIT_ULL(57) | BIT_ULL(58))) ||
		     memchr_inv(ste + 4, 0, 32)))
			return "has something else than it had";
	}
	if (old_kernel.linear && memcmp(ste + 1, v.ste + 1, 56))
		return "was not left as it was";
	return judge_tables(sid, &v);
}

/* As if the driver had never seen it */
static void reset_smmu(void)
{
	struct arm_smmu_device *smmu = old_kernel.smmu;

	if (smmu->kdump)
		stop(smmu);
	if (old_kernel.devres)
		devres_release_group(old_kernel.parent, old_kernel.devres);
	old_kernel.devres = devres_open_group(old_kernel.parent, NULL, GFP_KERNEL);
	if (kdump_asids.ida)
		iommu_kdump_ids_destroy(&kdump_asids);
	kdump_asids.ida = NULL;
	ida_destroy(&arm_smmu_asid_ida);
	ida_destroy(&smmu->vmid_map);
	memset(&smmu->strtab_cfg, 0, sizeof(smmu->strtab_cfg));
	smmu->pgsize_bitmap = TEST_PAGES;
	if (!old_kernel.linear)
		smmu->features |= ARM_SMMU_FEAT_2_LVL_STRTAB;
	memset(old_kernel.log, 0, sizeof(old_kernel.log));
	old_kernel.nr_log = 0;
	old_kernel.desc_stores = 0;
}

static void set_reg(unsigned int reg, u64 value)
{
	if (reg == ARM_SMMU_STRTAB_BASE)
		writeq_relaxed(value, old_kernel.smmu->base + reg);
	else
		writel_relaxed(value, old_kernel.smmu->base + reg);
}

/* Stream IDs of 10 bits, or of 8 */
static void set_registers(void)
{
	set_reg(ARM_SMMU_GERROR, 0);
	set_reg(ARM_SMMU_GERRORN, 0);
	set_reg(ARM_SMMU_CR1, 0xd75);
	set_reg(ARM_SMMU_CR2, has(ARM_SMMU_FEAT_E2H) ? 7 : 6);
	set_reg(ARM_SMMU_STRTAB_BASE, BIT_ULL(62) |
		OLD(old_kernel.linear ? OLD_LINEAR : OLD_L1));
	set_reg(ARM_SMMU_STRTAB_BASE_CFG, old_kernel.linear ? 8 : 0x1020a);
}

/* Returns what the driver would go on with: is the table in use? */
static bool take_over(void)
{
	struct arm_smmu_device *smmu = old_kernel.smmu;

	reset_smmu();
	memcpy(old_kernel.before, crashed.mem, OLD_PAGES * SZ_4K);
	if (start(smmu, CR0_SMMUEN | CR0_ATSCHK | CR0_CMDQEN) || !smmu->kdump_cr0 ||
	    arm_smmu_kdump_init_strtab(smmu))
		return false;
	arm_smmu_kdump_take_over(smmu);
	return true;
}

static const u32 used_ids[] = {
	0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38,
};

static bool __init take_over_and_judge(bool all, const char *what, u64 value)
{
	struct kunit *test = crashed.test;
	const char *error = NULL;
	unsigned int i;
	u32 sid = 0;

	if (!take_over())
		crashed.broken = "lost the stream table";
	crashed.count++;
	for (i = 0; i < (all ? (old_kernel.linear ? 256 : 1024) : ARRAY_SIZE(used_ids)) &&
	     !error && !crashed.broken; i++) {
		sid = all ? i : used_ids[i];
		error = judge(sid);
	}
	/* Of the second table, and behind its end */
	if (!error && !crashed.broken && !old_kernel.linear)
		error = judge(0x108) ?: judge(0x140);
	if (error)
		KUNIT_FAIL(test, "%s = %#llx: entry %#x %s", what, value, sid, error);
	/* Nothing but what hardware has as its stream table is written */
	memcpy(crashed.mem[old_kernel.linear ? OLD_LINEAR : OLD_L1],
	       old_kernel.before[old_kernel.linear ? OLD_LINEAR : OLD_L1],
	       old_kernel.linear ? SZ_16K : SZ_4K);
	if (memcmp(crashed.mem, old_kernel.before, OLD_PAGES * SZ_4K))
		crashed.broken = "wrote to memory of the crashed kernel";
	return !error && old_is_as_it_was(what, value);
}

/* A crashed kernel, with all that hardware can do */

static void stop_old_kernel(void *data)
{
	reset_smmu();
	devres_release_group(old_kernel.parent, old_kernel.devres);
	arm_smmu_asid_ida = old_kernel.asids;
	vfree(old_kernel.before);
	old_kernel.smmu = NULL;
}

static u64 *old_ste(u32 sid)
{
	return &crashed.mem[old_kernel.linear ? OLD_LINEAR : OLD_L2][sid * 8];
}

/* V, Config; S1STALLD, S1CIR, S1COR, S1CSH, S1DSS = SSID0 */
static void set_s1(u64 *ste, unsigned int fmt, unsigned int cdmax, u64 table)
{
	ste[0] = 0xb | fmt << 4 | (u64)cdmax << 59 | table;
	ste[1] = BIT_ULL(27) | 0xd6;
}

/* ASET, A, R, AA64, V, EPD1, walks are cacheable; IPS is 48 bits */
static void set_cd(unsigned int idx, u64 asid, unsigned int tg, unsigned int ias,
		   u64 more, u64 root)
{
	u64 *cd = &crashed.mem[OLD_CD][idx * 8];

	cd[0] = asid << 48 | 0xe200c0003500ULL | 5ULL << 32 | tg << 6 | (64 - ias) | more;
	cd[1] = root;
	cd[3] = 0x44ff;
}

static void fill_old_kernel(void)
{
	u64 *ste;

	/* 4 levels; part of a table of 16 KiB granules, HA, HD, S; part of one of 64 KiB */
	set_cd(0, 7, 0, 48, 0, OLD(OLD_PT));
	set_cd(1, 8, 2, 36, BIT_ULL(42) | BIT_ULL(43) | BIT_ULL(44), OLD(OLD_PT));
	set_cd(2, 9, 1, 36, 0, OLD(OLD_PT) + SZ_1K);
	set_cd(3, 13, 0, 39, 0, OLD(OLD_PT));
	crashed.mem[OLD_CD_L1][0] = OLD(OLD_CD) | 1;

	/* Two with the same domain, another, ATS and substreams, bypass, not valid */
	set_s1(old_ste(0x01), 0, 0, OLD(OLD_CD));
	set_s1(old_ste(0x08), 0, 0, OLD(OLD_CD));
	set_s1(old_ste(0x05), 0, 0, OLD(OLD_CD) + 128);
	set_s1(old_ste(0x10), 0, 5, OLD(OLD_CD) + 64);
	old_ste(0x10)[1] ^= BIT_ULL(28) | BIT_ULL(27);
	old_ste(0x18)[0] = 9;
	old_ste(0x18)[1] = BIT_ULL(44);
	memset(old_ste(0x20), 0xfe, 64);
	/* Substreams by two levels; without: bypass, nothing */
	set_s1(old_ste(0x28), 2, 12, OLD(OLD_CD_L1));
	set_s1(old_ste(0x30), 0, 5, OLD(OLD_CD));
	old_ste(0x30)[1] ^= 3;
	set_s1(old_ste(0x03), 0, 5, OLD(OLD_CD));
	old_ste(0x03)[1] ^= 2;
	/* Nested; aborts */
	set_s1(old_ste(0x38), 0, 0, OLD(OLD_CD));
	old_ste(0x38)[0] |= 0xf;
	old_ste(0x04)[0] = 1;
	/* Stage 2: two tables behind each other, of three levels */
	ste = old_ste(0x02);
	ste[0] = 0xd;
	ste[1] = BIT_ULL(44);
	ste[2] = 5 | (64 - 40ULL) << 32 | 1ULL << 38 | 0x35ULL << 40 | 5ULL << 48 |
		 BIT_ULL(51) | BIT_ULL(54) | BIT_ULL(58);
	ste[3] = OLD(OLD_PT);
	if (old_kernel.linear)
		return;
	set_s1(&crashed.mem[OLD_L2_SMALL][8 * 8], 0, 0, OLD(OLD_CD) + 192);
	crashed.mem[OLD_L1][0] = OLD(OLD_L2) | 9;
	crashed.mem[OLD_L1][1] = OLD(OLD_L2_SMALL) | 7;
}

/* Another one, in the same memory */
static void __init set_old_kernel(bool linear, u32 more, u32 less)
{
	struct arm_smmu_device *smmu = old_kernel.smmu;

	old_kernel.linear = linear;
	smmu->features = (TEST_FEATURES | more) & ~less;
	smmu->sid_bits = linear ? 8 : 10;
	memset(crashed.mem, 0, OLD_PAGES * SZ_4K);
	set_registers();
	fill_old_kernel();
}

static void __init start_old_kernel(struct kunit *test, bool linear)
{
	struct arm_smmu_device *smmu = kunit_kzalloc(test, sizeof(*smmu), GFP_KERNEL);
	struct device *dev = kunit_kzalloc(test, sizeof(*dev), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, smmu);
	KUNIT_ASSERT_NOT_NULL(test, dev);
	memset(&old_kernel, 0, sizeof(old_kernel));
	old_start(test);
	old_kernel.smmu = smmu;
	old_kernel.parent = kunit_device_register(test, "arm-smmu-v3-kunit");
	KUNIT_ASSERT_FALSE(test, IS_ERR(old_kernel.parent));
	old_kernel.parent->coherent_dma_mask = DMA_BIT_MASK(42);
	dev_set_dma_coherent(old_kernel.parent);
	old_kernel.before = vzalloc(OLD_PAGES * SZ_4K);
	smmu->base = (__force void __iomem *)kunit_kzalloc(test, SZ_4K, GFP_KERNEL);
	dev->iommu = kunit_kzalloc(test, sizeof(*dev->iommu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, old_kernel.before);
	KUNIT_ASSERT_NOT_NULL(test, (__force void *)smmu->base);
	KUNIT_ASSERT_NOT_NULL(test, dev->iommu);
	smmu->dev = old_kernel.parent;
	smmu->oas = 44;
	smmu->asid_bits = 16;
	smmu->vmid_bits = 16;
	smmu->ssid_bits = 16;
	mutex_init(&smmu->streams_mutex);
	ida_init(&smmu->vmid_map);
	old_kernel.master.smmu = smmu;
	old_kernel.master.dev = dev;
	/* dev_iommu_priv_set() is for who probes */
	dev->iommu->priv = &old_kernel.master;
	kunit_activate_static_stub(test, set_word, test_set_word);
	kunit_activate_static_stub(test, send, test_send);
	kunit_activate_static_stub(test, map_table, test_map_table);
	kunit_activate_static_stub(test, unmap_table, test_unmap_table);
	old_kernel.asids = arm_smmu_asid_ida;
	ida_init(&arm_smmu_asid_ida);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, stop_old_kernel, NULL), 0);
	set_old_kernel(linear, 0, 0);
}

static void __init expect(struct kunit *test, u32 sid, enum outcome outcome)
{
	struct verdict v;

	memcpy(old_kernel.before, crashed.mem, OLD_PAGES * SZ_4K);
	v = spec_lookup(sid);
	KUNIT_EXPECT_EQ_MSG(test, v.outcome, outcome, "entry %#x", sid);
}

/* The tables that are corrupted below are good: the matrix starts from there */
static void __init good(struct kunit *test, bool linear)
{
	start_old_kernel(test, linear);
	expect(test, 0x01, STAGE_1);
	expect(test, 0x05, STAGE_1);
	expect(test, 0x08, STAGE_1);
	expect(test, 0x10, STAGE_1);
	expect(test, 0x18, IDENTITY);
	expect(test, 0x20, ABSENT);
	expect(test, 0x28, STAGE_1);
	expect(test, 0x30, IDENTITY);
	expect(test, 0x38, REFUSED);
	expect(test, 0x02, STAGE_2);
	expect(test, 0x03, ABSENT);
	expect(test, 0x04, ABSENT);
	if (!linear)
		expect(test, 0x108, STAGE_1);
	take_over_and_judge(true, "nothing", 0);
	/* Of the reset, which follows, flushes all of it */
	expect_commands(test, "");
	KUNIT_EXPECT_EQ(test, old_kernel.desc_stores, linear ? 0 : 4);
	KUNIT_EXPECT_EQ(test, old_kernel.smmu->kdump_cr0, CR0_SMMUEN | CR0_ATSCHK);
	KUNIT_EXPECT_EQ(test, !(old_kernel.smmu->features & ARM_SMMU_FEAT_2_LVL_STRTAB),
			linear);
}

static void __init test_good_2lvl(struct kunit *test)
{
	good(test, false);
}

static void __init test_good_linear(struct kunit *test)
{
	good(test, true);
}

/* The regime of a hypervisor; an SMMU without stage 1, whose VMIDs come back */
static void __init test_good_others(struct kunit *test)
{
	static const u32 s1[] = { 0x01, 0x05, 0x08, 0x10, 0x28, 0x30 };
	struct arm_smmu_kdump *kd;
	unsigned int i;

	start_old_kernel(test, false);
	set_old_kernel(false, ARM_SMMU_FEAT_E2H, 0);
	for (i = 0; i < ARRAY_SIZE(s1); i++) {
		expect(test, s1[i], REFUSED);
		old_ste(s1[i])[1] |= BIT_ULL(31);
	}
	expect(test, 0x01, STAGE_1);
	take_over_and_judge(true, "E2H", 1);

	set_old_kernel(false, 0, ARM_SMMU_FEAT_TRANS_S1);
	expect(test, 0x01, REFUSED);
	expect(test, 0x02, STAGE_2);
	take_over_and_judge(true, "S2", 1);
	kd = old_kernel.smmu->kdump;
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_left(&kd->entries, 0x02));
	KUNIT_EXPECT_TRUE(test, arm_smmu_kdump_free_vmids(old_kernel.smmu));
	KUNIT_EXPECT_FALSE(test, ida_exists(&old_kernel.smmu->vmid_map, 5));
}

/* The matrix */

static bool __init corrupt_pointers(const struct field *f, u64 *entry)
{
	u64 *word = entry + f->word;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_pointers); i++)
		if (!corrupt_word(f->name, word, OLD_POINTER(*word, bad_pointers[i]),
				  false))
			return false;
	/* Itself, loops, aliases */
	for (i = 0; i < OLD_PAGES; i++)
		if (!corrupt_word(f->name, word, OLD_POINTER(*word, OLD(i)), true))
			return false;
	return true;
}

static void __init corrupt_entry(const struct layout *layout, u64 *entry)
{
	unsigned int i;

	for (i = 0; i < layout->nr_fields; i++) {
		const struct field *f = &layout->fields[i];

		if (!corrupt_field(f, entry) ||
		    ((strstr(f->name, "Ptr") || strstr(f->name, "TTB")) &&
		     f->kind == VALUE && !corrupt_pointers(f, entry)))
			return;
	}
}

static void __init test_fields(struct kunit *test, bool linear)
{
	unsigned int i;

	start_old_kernel(test, linear);
	for (i = 0; i < ARRAY_SIZE(used_ids); i++)
		corrupt_entry(&ste_layout, old_ste(used_ids[i]));
	kunit_info(test, "%u corrupted tables", crashed.count);
}

static void __init test_fields_2lvl(struct kunit *test)
{
	test_fields(test, false);
}

static void __init test_fields_linear(struct kunit *test)
{
	test_fields(test, true);
}

static void __init test_fields_pointed_to(struct kunit *test)
{
	unsigned int i;

	start_old_kernel(test, false);
	for (i = 0; i < 3; i++)
		corrupt_entry(&desc_layout, crashed.mem[OLD_L1] + i);
	corrupt_entry(&cd_l1_layout, crashed.mem[OLD_CD_L1]);
	for (i = 0; i < 4; i++)
		corrupt_entry(&cd_layout, crashed.mem[OLD_CD] + i * 8);
	kunit_info(test, "%u corrupted tables", crashed.count);
}

/* What hardware cannot do is not what it did */
static void __init test_capabilities(struct kunit *test)
{
	static const struct {
		u32 sid;
		u32 feature;
	} needs[] = {
		{ 0x01, ARM_SMMU_FEAT_TRANS_S1 }, { 0x02, ARM_SMMU_FEAT_TRANS_S2 },
		{ 0x10, ARM_SMMU_FEAT_ATS }, { 0x10, ARM_SMMU_FEAT_HA },
		{ 0x10, ARM_SMMU_FEAT_HD }, { 0x10, ARM_SMMU_FEAT_STALLS },
		{ 0x01, ARM_SMMU_FEAT_STALLS }, { 0x28, ARM_SMMU_FEAT_2_LVL_CDTAB },
	};
	unsigned int i;

	start_old_kernel(test, false);
	for (i = 0; i < ARRAY_SIZE(needs); i++) {
		set_old_kernel(false, 0, needs[i].feature);
		expect(test, needs[i].sid, REFUSED);
		take_over_and_judge(false, "feature", needs[i].feature);
	}
	set_old_kernel(false, 0, 0);
	old_kernel.smmu->ssid_bits = 4;
	expect(test, 0x10, REFUSED);
	take_over_and_judge(false, "ssid_bits", 4);
	old_kernel.smmu->ssid_bits = 16;
	old_kernel.smmu->asid_bits = 3;
	expect(test, 0x01, STAGE_1);
	expect(test, 0x28, STAGE_1);
	expect(test, 0x10, REFUSED);
	take_over_and_judge(false, "asid_bits", 3);
}

static void __init corrupt_all(struct kunit *test, bool linear)
{
	start_old_kernel(test, linear);
	aim_at(crashed.mem[0], crashed.mem[OLD_PAGES], false);
	corrupt_randomly(test);
}

static void __init test_corrupt_2lvl(struct kunit *test)
{
	corrupt_all(test, false);
}

static void __init test_corrupt_linear(struct kunit *test)
{
	corrupt_all(test, true);
}

/* Registers: what cannot be right stays alone, and blocks */
static void __init test_registers(struct kunit *test)
{
	static const struct {
		u16 reg;
		u64 value;
	} bad[] = {
		/* Not old RAM, or not all of it; not aligned */
		{ ARM_SMMU_STRTAB_BASE, OLD(OLD_PAGES) },
		{ ARM_SMMU_STRTAB_BASE, OLD_RAM - SZ_4K },
		{ ARM_SMMU_STRTAB_BASE, CRASH_MEM },
		{ ARM_SMMU_STRTAB_BASE, SOME_MMIO },
		{ ARM_SMMU_STRTAB_BASE, 0 },
		{ ARM_SMMU_STRTAB_BASE, GENMASK_ULL(51, 6) },
		/* Linear and too large, formats and splits that are not this one, too small */
		{ ARM_SMMU_STRTAB_BASE_CFG, 0x0000b },
		{ ARM_SMMU_STRTAB_BASE_CFG, 0x0003f },
		{ ARM_SMMU_STRTAB_BASE_CFG, 0x2020a },
		{ ARM_SMMU_STRTAB_BASE_CFG, 0x3020a },
		{ ARM_SMMU_STRTAB_BASE_CFG, 0x1018a },
		{ ARM_SMMU_STRTAB_BASE_CFG, 0x1028a },
		{ ARM_SMMU_STRTAB_BASE_CFG, 0x10207 },
		{ ARM_SMMU_STRTAB_BASE_CFG, 0x1020b },
		{ ARM_SMMU_STRTAB_BASE_CFG, 0x1023f },
		/* Service failure mode; queues that are not cacheable; another regime */
		{ ARM_SMMU_GERROR, BIT(8) },
		{ ARM_SMMU_CR1, 0xd40 },
		{ ARM_SMMU_CR2, 7 },
	};
	struct arm_smmu_device *smmu;
	unsigned int i;

	start_old_kernel(test, false);
	smmu = old_kernel.smmu;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		set_registers();
		set_reg(bad[i].reg, bad[i].value);
		KUNIT_EXPECT_FALSE_MSG(test, take_over(), "register %#x = %#llx",
				       bad[i].reg, bad[i].value);
		KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_was_refused(smmu->iommu.kdump, 8));
		KUNIT_EXPECT_EQ(test, smmu->kdump_cr0, 0);
	}
	set_registers();
	smmu->features &= ~ARM_SMMU_FEAT_COHERENCY;
	KUNIT_EXPECT_FALSE(test, take_over());
	smmu->features |= ARM_SMMU_FEAT_COHERENCY;
	/* A latched error is acknowledged, nothing else */
	set_reg(ARM_SMMU_GERROR, BIT(0) | BIT(2));
	KUNIT_EXPECT_TRUE(test, take_over());
	KUNIT_EXPECT_EQ(test, readl(smmu->base + ARM_SMMU_GERRORN), 5);
	memcpy(crashed.mem[OLD_L1], old_kernel.before[OLD_L1], SZ_4K);
	KUNIT_EXPECT_EQ(test, memcmp(crashed.mem, old_kernel.before,
				     OLD_PAGES * SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, crashed.mapped_pages, 0);
	KUNIT_EXPECT_PTR_EQ(test, (void *)crashed.broken, NULL);
}

/* The command line asks for it: nothing is inherited, and nothing passes */
static void __init test_nothing_is_kept(struct kunit *test)
{
	struct take_over_stats stats = {};
	u32 sid;

	start_old_kernel(test, false);
	KUNIT_ASSERT_EQ(test, start(old_kernel.smmu, CR0_SMMUEN), 0);
	KUNIT_ASSERT_EQ(test, arm_smmu_kdump_init_strtab(old_kernel.smmu), 0);
	take_over_2lvl(old_kernel.smmu, false, &stats);
	for (sid = 0; sid < 1024; sid++)
		KUNIT_ASSERT_TRUE(test, aborts(hw_ste(sid)));

	reset_smmu();
	set_old_kernel(true, 0, 0);
	KUNIT_ASSERT_EQ(test, start(old_kernel.smmu, CR0_SMMUEN), 0);
	KUNIT_ASSERT_EQ(test, arm_smmu_kdump_init_strtab(old_kernel.smmu), 0);
	take_over_linear(old_kernel.smmu, false, &stats);
	for (sid = 0; sid < 256; sid++)
		KUNIT_ASSERT_TRUE(test, aborts(hw_ste(sid)));
	KUNIT_EXPECT_EQ(test, stats.entries, 0);
}

/* A crash kernel with larger pages uses those of the crashed kernel */
static void __init test_granule(struct kunit *test)
{
	start_old_kernel(test, false);
	KUNIT_ASSERT_TRUE(test, take_over());
	KUNIT_EXPECT_EQ(test, old_kernel.smmu->kdump->granules,
			BIT(12) | BIT(14) | BIT(16));
	KUNIT_EXPECT_EQ(test, old_kernel.smmu->pgsize_bitmap,
			IS_ENABLED(CONFIG_ARM64_4K_PAGES) ? TEST_PAGES :
			SZ_4K | SZ_2M | SZ_1G);
}

#include "arm-smmu-v3-kdump_entries_kunit.c"

static struct kunit_case __refdata smmuv3_kdump_test_cases[] = {
	KUNIT_CASE(test_good_2lvl),
	KUNIT_CASE(test_good_linear),
	KUNIT_CASE(test_good_others),
	KUNIT_CASE(test_fields_2lvl),
	KUNIT_CASE(test_fields_linear),
	KUNIT_CASE(test_fields_pointed_to),
	KUNIT_CASE(test_capabilities),
	KUNIT_CASE(test_corrupt_2lvl),
	KUNIT_CASE(test_corrupt_linear),
	KUNIT_CASE(test_registers),
	KUNIT_CASE(test_nothing_is_kept),
	KUNIT_CASE(test_granule),
	KUNIT_CASE(test_switch_s1),
	KUNIT_CASE(test_switch_bypass),
	KUNIT_CASE(test_switch_s2),
	KUNIT_CASE(test_switch_linear),
	KUNIT_CASE(test_switch_to_abort),
	KUNIT_CASE(test_asids),
	KUNIT_CASE(test_pass_through),
	{}
};

static struct kunit_suite smmuv3_kdump_test_suite = {
	.name = "smmuv3_kdump",
	.test_cases = smmuv3_kdump_test_cases,
};

kunit_test_init_section_suites(&smmuv3_kdump_test_suite);
