// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of what kdump.c, which includes this, makes of the directory of a crashed
 * kernel
 *
 * A crashed kernel is made up: a device directory of one to three levels, with contexts
 * of both formats, and process directories, in memory that only the accessor of the
 * framework can reach. Each field of each entry is set to each kind of wrong value, and
 * bits are flipped at random. What must come of it is worked out a second time here,
 * from the layout that the specification gives: see spec_lookup().
 *
 * Hardware may read the words of a context in any order, and may have cached any of
 * them until it is told to forget them: see combine().
 */

#include <linux/cleanup.h>
#include <linux/idr.h>
#include <linux/kexec.h>
#include <linux/pci.h>

#include <kunit/device.h>

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "riscv_kdump_kunit."

/* What each page of the crashed kernel's memory holds */
enum {
	OLD_ROOT,
	OLD_MID,
	OLD_LEAF,
	OLD_LEAF_2,
	OLD_PROCESS_2,
	OLD_PROCESS_1,
	OLD_PROCESS_0,
	OLD_PT,
	OLD_PAGES,
};

/* Of an address; where it is in a word depends on the word */
#define POINTER_BITS	GENMASK_ULL(55, 12)
#define CORRUPTIONS	10000

/* Only page tables and process directories have a mode, in the highest four bits */
static u64 old_pointer(u64 word, u64 phys)
{
	if (word >> 60)
		return (word & ~GENMASK_ULL(43, 0)) | phys >> 12;
	return (word & ~GENMASK_ULL(53, 10)) | phys >> 2;
}

#define OLD_POINTER(word, phys)	old_pointer(word, phys)

#include "../kdump/old_tables_kunit.h"

#define TEST_CAPS	(BIT_ULL(9) | BIT_ULL(10) | BIT_ULL(11) | BIT_ULL(15) |	\
			 BIT_ULL(24) | BIT_ULL(25) | 46ULL << 32 | BIT_ULL(38) |	\
			 BIT_ULL(39) | BIT_ULL(40))
#define TEST_FLAT	BIT_ULL(22)

static struct old_kernel {
	struct riscv_iommu_device *iommu;
	unsigned int levels;
	struct device *parent;
	/* Memory as it was before the take-over */
	u64 (*before)[512];
	/* What hardware has as its root */
	u64 *root;
	void *devres;
	struct ida pscids;
	/* A context that is watched, and what hardware may have of each word */
	u64 *watched;
	u32 watched_id;
	u64 may_be[8][8];
	unsigned int nr_may_be[8];
	bool forget;
	bool (*consistent)(u64 tc, u64 ta, u64 fsc);
	u64 from_fsc;
	u64 from_pscid;
	u64 to_fsc;
	u64 to_pscid;
	bool inconsistent;
	/* Commands in their order, and the PSCID of the last IOTINVAL */
	char log[64];
	unsigned int nr_log;
	u64 flushed_pscid;
} old_kernel;

static unsigned int test_words(void)
{
	return old_kernel.iommu->caps & TEST_FLAT ? 8 : 4;
}

static unsigned int test_leaf_ids(void)
{
	return 512 / test_words();
}

/* Hardware */

static void combine(void)
{
	unsigned int a, b, c;

	if (!old_kernel.watched || !old_kernel.consistent)
		return;
	for (a = 0; a < old_kernel.nr_may_be[0]; a++)
		for (b = 0; b < old_kernel.nr_may_be[2]; b++)
			for (c = 0; c < old_kernel.nr_may_be[3]; c++)
				if (!old_kernel.consistent(old_kernel.may_be[0][a],
							   old_kernel.may_be[2][b],
							   old_kernel.may_be[3][c]))
					old_kernel.inconsistent = true;
}

static void test_set_word(u64 *word, u64 value)
{
	unsigned int i = word - old_kernel.watched;

	WRITE_ONCE(*word, value);
	if (!old_kernel.watched || word < old_kernel.watched || i >= test_words())
		return;
	if (old_kernel.nr_may_be[i] < ARRAY_SIZE(old_kernel.may_be[i]))
		old_kernel.may_be[i][old_kernel.nr_may_be[i]++] = value;
	else
		old_kernel.inconsistent = true;
	combine();
}

/* From now on hardware has what is there now */
static void forget_old_words(void)
{
	unsigned int i;

	for (i = 0; old_kernel.watched && i < test_words(); i++) {
		old_kernel.may_be[i][0] = old_kernel.watched[i];
		old_kernel.nr_may_be[i] = 1;
	}
	combine();
}

static void record(char what)
{
	if (old_kernel.nr_log < ARRAY_SIZE(old_kernel.log) - 1)
		old_kernel.log[old_kernel.nr_log++] = what;
}

/* d, D: contexts, one or all; v, V: translations, of one PSCID or all */
static void test_send(struct riscv_iommu_device *iommu,
		      struct riscv_iommu_command *cmd)
{
	switch (cmd->dword0 & GENMASK(9, 0)) {
	case 3:
		record(cmd->dword0 & BIT_ULL(33) ? 'd' : 'D');
		if (!(cmd->dword0 & BIT_ULL(33)) ||
		    cmd->dword0 >> 40 == old_kernel.watched_id)
			old_kernel.forget = true;
		break;
	case 1:
		record(cmd->dword0 & BIT_ULL(32) ? 'v' : 'V');
		old_kernel.flushed_pscid = bits(&cmd->dword0, 0, 12, 31);
		break;
	default:
		record('?');
	}
}

static void test_sync(struct riscv_iommu_device *iommu)
{
	record('f');
	if (old_kernel.forget)
		forget_old_words();
	old_kernel.forget = false;
}

static void expect_commands(struct kunit *test, const char *what)
{
	KUNIT_EXPECT_STREQ(test, old_kernel.log, what);
	memset(old_kernel.log, 0, sizeof(old_kernel.log));
	old_kernel.nr_log = 0;
}

static u64 *test_map_root(phys_addr_t phys)
{
	if (!iommu_kdump_is_old_ram(phys, SZ_4K))
		return NULL;
	return crashed.mem[(phys - OLD_RAM) / SZ_4K];
}

static void test_unmap_root(u64 *root)
{
}

/* The layout of the tables, as the specification draws it */

/* Sections 2.1.1 and 2.2.1 */
static const struct field ddte_fields[] = {
	{ "V", 0, 0, 0, VALUE },
	{ "reserved", 0, 1, 9, RESERVED },
	{ "PPN", 0, 10, 53, VALUE },
	{ "reserved", 0, 54, 63, RESERVED },
};

static const struct layout ddte_layout = LAYOUT(ddte);

/* Section 2.1.3 */
static const struct field extended_fields[] = {
	{ "V", 0, 0, 0, VALUE },
	{ "EN_ATS to T2GPA", 0, 1, 3, VALUE },
	{ "DTF", 0, 4, 4, VALUE },
	{ "PDTV to GADE", 0, 5, 7, VALUE },
	{ "SADE to SXL", 0, 8, 11, VALUE },
	{ "reserved", 0, 12, 23, RESERVED },
	/* Nobody knows what it means */
	{ "custom", 0, 24, 31, RESERVED },
	{ "reserved", 0, 32, 63, RESERVED },
	{ "iohgatp.PPN and GSCID", 1, 0, 59, VALUE },
	{ "iohgatp.MODE", 1, 60, 63, VALUE },
	{ "reserved", 2, 0, 11, RESERVED },
	{ "PSCID", 2, 12, 31, VALUE },
	{ "reserved", 2, 32, 63, RESERVED },
	{ "fsc.PPN", 3, 0, 43, VALUE },
	{ "reserved", 3, 44, 59, RESERVED },
	{ "fsc.MODE", 3, 60, 63, VALUE },
	/* The base format ends here */
	{ "msiptp.PPN", 4, 0, 43, VALUE },
	{ "reserved", 4, 44, 59, RESERVED },
	{ "msiptp.MODE", 4, 60, 63, VALUE },
	{ "msi_addr_mask", 5, 0, 51, VALUE },
	{ "reserved", 5, 52, 63, RESERVED },
	{ "msi_addr_pattern", 6, 0, 51, VALUE },
	{ "reserved", 6, 52, 63, RESERVED },
	{ "reserved", 7, 0, 63, RESERVED },
};

static const struct layout extended_layout = LAYOUT(extended);

static const struct layout base_layout = {
	.fields = extended_fields,
	.nr_fields = 16,
};

/* Section 2.2.3 */
static const struct field process_fields[] = {
	{ "V", 0, 0, 0, VALUE },
	{ "ENS and SUM", 0, 1, 2, VALUE },
	{ "reserved", 0, 3, 11, RESERVED },
	{ "PSCID", 0, 12, 31, VALUE },
	{ "reserved", 0, 32, 63, RESERVED },
	{ "fsc.PPN", 1, 0, 43, VALUE },
	{ "reserved", 1, 44, 59, RESERVED },
	{ "fsc.MODE", 1, 60, 63, VALUE },
};

static const struct layout process_layout = LAYOUT(process);

enum outcome {
	/* Nothing passes; what the crashed kernel had is not copied */
	REFUSED,
	/* Nothing passes, the crashed kernel had no context */
	ABSENT,
	/* Nothing passes, as the crashed kernel has it */
	BLOCKS,
	IDENTITY,
	PAGING,
};

struct verdict {
	enum outcome outcome;
	const u64 *dc;
	unsigned int levels;
	u64 root;
	u64 pscid;
	bool updates;
};

static bool has(unsigned int capability)
{
	return old_kernel.iommu->caps & BIT_ULL(capability);
}

static const u64 *spec_page(u64 ppn)
{
	if (ppn < OLD_RAM >> 12 || ppn >= (OLD_RAM >> 12) + OLD_PAGES)
		return NULL;
	return old_kernel.before[ppn - (OLD_RAM >> 12)];
}

/* Section 2.1.3.6, iosatp with SXL = 0 */
static enum outcome spec_iosatp(struct verdict *v, u64 pscid, u64 iosatp)
{
	unsigned int mode = iosatp >> 60;

	v->pscid = pscid;
	/* No new domain may have it either */
	if (pscid == 0xfffff)
		return REFUSED;
	if (!mode)
		return IDENTITY;
	if (mode < 8 || mode > 10 || !has(9 + mode - 8) ||
	    !spec_page(bits(&iosatp, 0, 0, 43)))
		return REFUSED;
	v->levels = mode - 5;
	v->root = bits(&iosatp, 0, 0, 43) << 12;
	return PAGING;
}

/* Section 2.3.2, with process ID 0 */
static enum outcome spec_process(struct verdict *v, u64 pdtp)
{
	unsigned int mode = pdtp >> 60, level;
	u64 ppn = bits(&pdtp, 0, 0, 43);
	const u64 *page;

	if (!mode)
		return IDENTITY;
	if (mode > 3 || !has(37 + mode))
		return REFUSED;
	for (level = mode - 1;; level--) {
		page = spec_page(ppn);
		if (!page)
			return REFUSED;
		if (!bits(page, 0, 0, 0))
			return BLOCKS;
		if (!level)
			break;
		if (!spec_valid(&ddte_layout, page))
			return REFUSED;
		ppn = bits(page, 0, 10, 53);
	}
	if (!spec_valid(&process_layout, page))
		return REFUSED;
	return spec_iosatp(v, bits(page, 0, 12, 31), page[1]);
}

/* Section 2.1.4 */
static enum outcome spec_dc(struct verdict *v, const u64 *dc)
{
	bool ats = bits(dc, 0, 1, 1), pri = bits(dc, 0, 2, 2);
	bool pdtv = bits(dc, 0, 5, 5), dpe = bits(dc, 0, 9, 9);
	enum outcome outcome;

	if (!spec_valid(test_words() == 8 ? &extended_layout : &base_layout, dc))
		return REFUSED;
	/* ATS, PRI, PRPR; T2GPA needs a second stage, and that is refused */
	if ((ats && !has(25)) || (pri && !ats) || (bits(dc, 0, 6, 6) && !pri) ||
	    bits(dc, 0, 3, 3) || bits(dc, 1, 60, 63))
		return REFUSED;
	/* SADE and GADE; DPE; SBE and SXL */
	if ((bits(dc, 0, 7, 8) && !has(24)) || (dpe && !pdtv) ||
	    bits(dc, 0, 10, 11))
		return REFUSED;
	if (test_words() == 8 && bits(dc, 4, 60, 63))
		return REFUSED;
	/* A directory of one level is not copied */
	if (pdtv && (!dpe || old_kernel.levels == 1))
		return REFUSED;
	v->updates = bits(dc, 0, 8, 8);
	v->pscid = 0;
	if (pdtv)
		outcome = spec_process(v, dc[3]);
	else
		outcome = spec_iosatp(v, bits(dc, 2, 12, 31), dc[3]);
	return outcome;
}

/* What hardware does with the DMA of a device ID, if its tables are sound */
static struct verdict spec_lookup(u32 id)
{
	struct verdict v = { .outcome = ABSENT };
	const u64 *page = old_kernel.before[OLD_ROOT];
	unsigned int lg2 = test_words() == 8 ? 6 : 7, level;
	u64 entry;

	for (level = old_kernel.levels - 1; level; level--) {
		entry = page[(id >> (lg2 + 9 * (level - 1))) % 512];
		if (!bits(&entry, 0, 0, 0))
			return v;
		page = spec_page(bits(&entry, 0, 10, 53));
		if (!spec_valid(&ddte_layout, &entry) || !page) {
			v.outcome = REFUSED;
			return v;
		}
	}
	v.dc = page + id % test_leaf_ids() * test_words();
	if (bits(v.dc, 0, 0, 0))
		v.outcome = spec_dc(&v, v.dc);
	return v;
}

/* What the code has made of it */

/* Where hardware finds the context of a device ID now */
static u64 *hw_dc(u32 id)
{
	unsigned int lg2 = test_words() == 8 ? 6 : 7, level;
	u64 *page = old_kernel.root, entry;

	for (level = old_kernel.levels - 1; level; level--) {
		entry = page[(id >> (lg2 + 9 * (level - 1))) % 512];
		if (!bits(&entry, 0, 0, 0) || !spec_valid(&ddte_layout, &entry) ||
		    bits(&entry, 0, 10, 53) >= OLD_RAM >> 12)
			return NULL;
		page = phys_to_virt(bits(&entry, 0, 10, 53) << 12);
	}
	return page + id % test_leaf_ids() * test_words();
}

/* Valid, silent, with a page table that is empty, under a PSCID that nobody has */
static bool blocks(const u64 *dc)
{
	u64 fsc = dc[3];
	u64 ppn = bits(&fsc, 0, 0, 43);

	return dc[0] == (BIT(0) | BIT(4)) && !dc[1] && dc[2] == 0xfffffULL << 12 &&
	       fsc >> 60 >= 8 && fsc >> 60 <= 10 && has(9 + (fsc >> 60) - 8) &&
	       ppn < OLD_RAM >> 12 &&
	       !memchr_inv(phys_to_virt(ppn << 12), 0, SZ_4K) &&
	       (test_words() == 4 || !memchr_inv(dc + 4, 0, 4 * sizeof(*dc)));
}

static struct device *new_dev(struct kunit *test, const u32 *ids, unsigned int nr)
{
	struct device *dev = kunit_kzalloc(test, sizeof(*dev), GFP_KERNEL);
	struct iommu_fwspec *fwspec;

	KUNIT_ASSERT_NOT_NULL(test, dev);
	dev->iommu = kunit_kzalloc(test, sizeof(*dev->iommu), GFP_KERNEL);
	fwspec = kunit_kzalloc(test, struct_size(fwspec, ids, nr), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, dev->iommu);
	KUNIT_ASSERT_NOT_NULL(test, fwspec);
	fwspec->iommu_fwnode = kunit_kzalloc(test, sizeof(*fwspec->iommu_fwnode),
					     GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fwspec->iommu_fwnode);
	fwspec->iommu_fwnode->dev = old_kernel.parent;
	fwspec->num_ids = nr;
	memcpy(fwspec->ids, ids, nr * sizeof(*ids));
	dev->iommu->fwspec = fwspec;
	dev->iommu->iommu_dev = &old_kernel.iommu->iommu;
	return dev;
}

static struct device *asking;

static const char *judge(u32 id)
{
	struct riscv_iommu_device *iommu = old_kernel.iommu;
	struct verdict v = spec_lookup(id);
	bool refused = iommu_kdump_entry_was_refused(&iommu->kdump, id);
	bool old = iommu_kdump_entry_is_old(&iommu->kdump, id);
	bool refuse = v.outcome == REFUSED;
	struct iommu_kdump_tables tables;
	const u64 *dc = hw_dc(id);
	u64 tc;
	int ret;

	if (!dc)
		return "is reported by hardware, not blocked silently";
	if (v.outcome <= BLOCKS) {
		crashed.refused += refuse;
		if (old || refused != refuse)
			return refused ? "was refused" : "was not refused";
		return blocks(dc) ? NULL : "does not block";
	}
	if (!old || refused)
		return "was refused";

	/* V, EN_ATS, DTF and SADE */
	tc = v.dc[0] & (BIT(0) | BIT(1) | BIT(4) | BIT(8));
	if (dc[0] != tc)
		return "has another tc";
	if (old_kernel.levels == 1) {
		if (memcmp(dc + 1, v.dc + 1, (test_words() - 1) * sizeof(*dc)))
			return "was not left as it was";
	} else if (dc[1] || dc[2] != v.pscid << 12 ||
		   (test_words() == 8 && memchr_inv(dc + 4, 0, 4 * sizeof(*dc)))) {
		return "has something else than it had";
	}
	if (v.outcome == IDENTITY ? dc[3] >> 60 :
				    dc[3] != ((u64)(v.levels + 5) << 60 | v.root >> 12))
		return "has another page table";
	if (v.pscid && !ida_exists(&riscv_iommu_pscids, v.pscid))
		return "has a PSCID that may be given to another domain";

	ret = riscv_iommu_inherit_tables(asking, id, &tables);
	if (ret || tables.id != v.pscid)
		return "is not inherited";
	if (v.outcome == IDENTITY)
		return tables.type == IOMMU_KDUMP_IDENTITY ? NULL : "was identity";
	if (tables.type != IOMMU_KDUMP_PAGING || tables.root != v.root ||
	    tables.levels != v.levels || tables.format != v.updates)
		return "is inherited with another page table";
	return NULL;
}

/* As if the driver had never seen it */
static void reset_iommu(void)
{
	struct riscv_iommu_device *iommu = old_kernel.iommu;

	riscv_iommu_kdump_end(iommu);
	if (old_kernel.devres)
		devres_release_group(old_kernel.parent, old_kernel.devres);
	old_kernel.devres = devres_open_group(old_kernel.parent, NULL, GFP_KERNEL);
	iommu_kdump_ids_destroy(&kdump_pscids);
	kdump_pscids.ida = NULL;
	ida_destroy(&riscv_iommu_pscids);
	iommu->ddt_mode = 0;
	iommu->ddt_root = riscv_iommu_get_pages(iommu, SZ_4K);
	atomic_set(&iommu->cmdq.tail, 0);
	atomic_set(&iommu->cmdq.head, 0);
	old_kernel.watched = NULL;
	memset(old_kernel.log, 0, sizeof(old_kernel.log));
	old_kernel.nr_log = 0;
}

static void set_ddtp(u64 value)
{
	riscv_iommu_writeq(old_kernel.iommu, RISCV_IOMMU_REG_DDTP, value);
}

static u64 old_ddtp(void)
{
	return OLD(OLD_ROOT) >> 2 | (old_kernel.levels + 1);
}

/* Returns what the driver would go on with: is the directory in use? */
static bool take_over(u64 ddtp)
{
	struct riscv_iommu_device *iommu = old_kernel.iommu;

	reset_iommu();
	old_kernel.root = crashed.mem[OLD_ROOT];
	set_ddtp(ddtp);
	memcpy(old_kernel.before, crashed.mem, OLD_PAGES * SZ_4K);
	return riscv_iommu_kdump_start(iommu, ddtp) &&
	       riscv_iommu_kdump_take_over(iommu);
}

static const u32 used_ids[] = { 0x01, 0x02, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38 };

static bool __init take_over_and_judge(bool all, const char *what, u64 value)
{
	struct kunit *test = crashed.test;
	unsigned int i, nr = old_kernel.levels == 1 ? 1 : 2;
	const char *error = NULL;
	u32 id = 0;

	if (!take_over(old_ddtp()))
		crashed.broken = "lost the directory";
	crashed.count++;
	for (i = 0; i < (all ? nr * test_leaf_ids() : ARRAY_SIZE(used_ids)) && !error;
	     i++) {
		id = all ? i : used_ids[i];
		error = judge(id);
	}
	/* Of the second table */
	if (!error && nr == 2)
		error = judge(test_leaf_ids() + 8);
	if (error)
		KUNIT_FAIL(test, "%s = %#llx: context %#x %s", what, value, id, error);
	/* Nothing but the root page is written */
	if (memcmp(crashed.mem[OLD_MID], old_kernel.before[OLD_MID],
		   (OLD_PAGES - OLD_MID) * SZ_4K))
		crashed.broken = "wrote to memory of the crashed kernel";
	/* The next one starts from the same */
	memcpy(crashed.mem[OLD_ROOT], old_kernel.before[OLD_ROOT], SZ_4K);
	return !error && old_is_as_it_was(what, value);
}

/* A crashed kernel, with all that hardware can do */

static void stop_old_kernel(void *data)
{
	reset_iommu();
	devres_release_group(old_kernel.parent, old_kernel.devres);
	riscv_iommu_pscids = old_kernel.pscids;
	vfree(old_kernel.before);
	vfree(old_kernel.iommu->cmdq.base);
	old_kernel.iommu = NULL;
}

static u64 *old_dc(unsigned int page, unsigned int idx)
{
	return &crashed.mem[page][idx * test_words()];
}

static void set_dc(unsigned int page, unsigned int idx, u64 tc, u64 pscid, u64 fsc)
{
	u64 *dc = old_dc(page, idx);

	dc[0] = tc;
	dc[2] = pscid << 12;
	dc[3] = fsc;
}

static u64 old_atp(unsigned int mode, unsigned int page)
{
	return (u64)mode << 60 | OLD(page) >> 12;
}

static void fill_old_kernel(void)
{
	unsigned int leaf = old_kernel.levels == 1 ? OLD_ROOT : OLD_LEAF;

	if (old_kernel.levels == 3) {
		crashed.mem[OLD_ROOT][0] = OLD(OLD_MID) >> 2 | 1;
		crashed.mem[OLD_MID][0] = OLD(OLD_LEAF) >> 2 | 1;
		crashed.mem[OLD_MID][1] = OLD(OLD_LEAF_2) >> 2 | 1;
	} else if (old_kernel.levels == 2) {
		crashed.mem[OLD_ROOT][0] = OLD(OLD_LEAF) >> 2 | 1;
		crashed.mem[OLD_ROOT][1] = OLD(OLD_LEAF_2) >> 2 | 1;
	}
	/* Two with the same domain; ATS, PRI, PRPR, DTF, SADE; none; not valid */
	set_dc(leaf, 0x01, 1, 7, old_atp(8, OLD_PT));
	set_dc(leaf, 0x08, 1, 7, old_atp(8, OLD_PT));
	set_dc(leaf, 0x10, 0x157, 8, old_atp(9, OLD_PT));
	set_dc(leaf, 0x18, 1, 9, 0);
	set_dc(leaf, 0x20, U64_MAX - 1, 10, old_atp(8, OLD_PT));
	/* Processes: the first of them, one that is not valid */
	set_dc(leaf, 0x28, 0x221, 0, old_atp(3, OLD_PROCESS_2));
	crashed.mem[OLD_PROCESS_2][0] = OLD(OLD_PROCESS_1) >> 2 | 1;
	crashed.mem[OLD_PROCESS_1][0] = OLD(OLD_PROCESS_0) >> 2 | 1;
	crashed.mem[OLD_PROCESS_0][0] = 10 << 12 | 1;
	crashed.mem[OLD_PROCESS_0][1] = old_atp(10, OLD_PT);
	set_dc(leaf, 0x30, 0x221, 0, old_atp(1, OLD_PT));
	/* A second stage, an MSI page table */
	set_dc(leaf, 0x38, 1, 11, 0);
	old_dc(leaf, 0x38)[1] = old_atp(8, OLD_PT);
	if (test_words() == 8) {
		set_dc(leaf, 0x02, 1, 12, old_atp(8, OLD_PT));
		old_dc(leaf, 0x02)[4] = old_atp(1, OLD_PT);
	}
	if (old_kernel.levels > 1)
		set_dc(OLD_LEAF_2, 0x08, 1, 13, old_atp(8, OLD_PT));
}

/* Another one, in the same memory */
static void __init set_old_kernel(unsigned int levels, bool flat)
{
	old_kernel.levels = levels;
	old_kernel.iommu->caps = TEST_CAPS | (flat ? TEST_FLAT : 0);
	memset(crashed.mem, 0, OLD_PAGES * SZ_4K);
	fill_old_kernel();
}

static void __init start_old_kernel(struct kunit *test, unsigned int levels,
				    bool flat)
{
	struct riscv_iommu_device *iommu = kunit_kzalloc(test, sizeof(*iommu),
							 GFP_KERNEL);
	static const u32 any;

	KUNIT_ASSERT_NOT_NULL(test, iommu);
	memset(&old_kernel, 0, sizeof(old_kernel));
	old_start(test);
	old_kernel.iommu = iommu;
	old_kernel.parent = kunit_device_register(test, "riscv-iommu-kunit");
	KUNIT_ASSERT_FALSE(test, IS_ERR(old_kernel.parent));
	dev_set_drvdata(old_kernel.parent, iommu);
	old_kernel.before = vzalloc(OLD_PAGES * SZ_4K);
	iommu->cmdq.base = vzalloc(SZ_8K * sizeof(struct riscv_iommu_command));
	iommu->reg = (__force void __iomem *)kunit_kzalloc(test, SZ_4K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, old_kernel.before);
	KUNIT_ASSERT_NOT_NULL(test, iommu->cmdq.base);
	KUNIT_ASSERT_NOT_NULL(test, (__force void *)iommu->reg);
	iommu->dev = old_kernel.parent;
	mutex_init(&iommu->dc_lock);
	raw_spin_lock_init(&iommu->cmdq.lock);
	iommu->cmdq.iommu = iommu;
	iommu->cmdq.mask = SZ_8K - 1;
	iommu->cmdq.qbr = RISCV_IOMMU_REG_CQB;
	iommu->cmdq.qcr = RISCV_IOMMU_REG_CQCSR;
	/* Nobody waits for commands that are not executed */
	riscv_iommu_writel(iommu, RISCV_IOMMU_REG_CQCSR, RISCV_IOMMU_CQCSR_CQMF);
	kunit_activate_static_stub(test, set_word, test_set_word);
	kunit_activate_static_stub(test, send, test_send);
	kunit_activate_static_stub(test, sync, test_sync);
	kunit_activate_static_stub(test, map_root, test_map_root);
	kunit_activate_static_stub(test, unmap_root, test_unmap_root);
	old_kernel.pscids = riscv_iommu_pscids;
	ida_init(&riscv_iommu_pscids);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, stop_old_kernel, NULL), 0);
	asking = new_dev(test, &any, 1);
	set_old_kernel(levels, flat);
}

static void __init expect(struct kunit *test, u32 id, enum outcome outcome)
{
	struct verdict v;

	memcpy(old_kernel.before, crashed.mem, OLD_PAGES * SZ_4K);
	v = spec_lookup(id);
	KUNIT_EXPECT_EQ_MSG(test, v.outcome, outcome, "context %#x", id);
}

/* The tables that are corrupted below are good: the matrix starts from there */
static void __init good(struct kunit *test, unsigned int levels, bool flat)
{
	bool copied = levels > 1;

	start_old_kernel(test, levels, flat);
	expect(test, 0x01, PAGING);
	expect(test, 0x08, PAGING);
	expect(test, 0x10, PAGING);
	expect(test, 0x18, IDENTITY);
	expect(test, 0x20, ABSENT);
	expect(test, 0x28, copied ? PAGING : REFUSED);
	expect(test, 0x30, copied ? BLOCKS : REFUSED);
	expect(test, 0x38, REFUSED);
	expect(test, 0x02, flat ? REFUSED : ABSENT);
	if (copied)
		expect(test, test_leaf_ids() + 8, PAGING);
	take_over_and_judge(true, "nothing", 0);
	expect_commands(test, copied ? "DVf" : "DVfDVf");
	/* The largest IDs have contexts as well */
	if (levels == 3)
		KUNIT_EXPECT_PTR_EQ(test, find_dc(old_kernel.iommu, 0xffffff), NULL);
	KUNIT_EXPECT_PTR_EQ(test, find_dc(old_kernel.iommu, 0x1000000), NULL);
}

static void __init test_good_3(struct kunit *test)
{
	good(test, 3, false);
}

static void __init test_good_2(struct kunit *test)
{
	good(test, 2, false);
}

static void __init test_good_1(struct kunit *test)
{
	good(test, 1, false);
}

static void __init test_good_extended_3(struct kunit *test)
{
	good(test, 3, true);
}

static void __init test_good_extended_2(struct kunit *test)
{
	good(test, 2, true);
}

static void __init test_good_extended_1(struct kunit *test)
{
	good(test, 1, true);
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
		    (strstr(f->name, "PPN") && !corrupt_pointers(f, entry)))
			return;
	}
}

static void __init corrupt_contexts(const struct layout *layout, unsigned int page)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(used_ids); i++)
		corrupt_entry(layout, old_dc(page, used_ids[i]));
}

static void __init test_base_fields(struct kunit *test)
{
	start_old_kernel(test, 3, false);
	corrupt_entry(&ddte_layout, crashed.mem[OLD_ROOT]);
	corrupt_entry(&ddte_layout, crashed.mem[OLD_ROOT] + 1);
	corrupt_entry(&ddte_layout, crashed.mem[OLD_MID]);
	corrupt_entry(&ddte_layout, crashed.mem[OLD_MID] + 1);
	corrupt_contexts(&base_layout, OLD_LEAF);
	corrupt_entry(&ddte_layout, crashed.mem[OLD_PROCESS_2]);
	corrupt_entry(&ddte_layout, crashed.mem[OLD_PROCESS_1]);
	corrupt_entry(&process_layout, crashed.mem[OLD_PROCESS_0]);
	kunit_info(test, "%u corrupted tables", crashed.count);
}

static void __init test_extended_fields(struct kunit *test)
{
	start_old_kernel(test, 2, true);
	corrupt_entry(&ddte_layout, crashed.mem[OLD_ROOT]);
	corrupt_contexts(&extended_layout, OLD_LEAF);
	kunit_info(test, "%u corrupted tables", crashed.count);
}

static void __init test_in_place_fields(struct kunit *test)
{
	start_old_kernel(test, 1, true);
	corrupt_contexts(&extended_layout, OLD_ROOT);
	kunit_info(test, "%u corrupted tables", crashed.count);
}

/* What hardware cannot do is not what it did */
static void __init test_capabilities(struct kunit *test)
{
	static const struct {
		u32 id;
		unsigned int capability;
	} needs[] = {
		/* Sv39, Sv48, Sv57, ATS, AMO_HWAD, PD8, PD20 */
		{ 0x08, 9 }, { 0x10, 10 }, { 0x28, 11 }, { 0x10, 25 }, { 0x10, 24 },
		{ 0x30, 38 }, { 0x28, 40 },
	};
	struct riscv_iommu_device *iommu;
	unsigned int i;

	start_old_kernel(test, 2, false);
	iommu = old_kernel.iommu;
	for (i = 0; i < ARRAY_SIZE(needs); i++) {
		iommu->caps &= ~BIT_ULL(needs[i].capability);
		expect(test, needs[i].id, REFUSED);
		take_over_and_judge(false, "capability", needs[i].capability);
		iommu->caps = TEST_CAPS;
	}
	/* PD17, which the others do not have */
	set_dc(OLD_LEAF, 0x28, 0x221, 0, old_atp(2, OLD_PROCESS_1));
	expect(test, 0x28, PAGING);
	take_over_and_judge(false, "PD17", 1);
	iommu->caps &= ~BIT_ULL(39);
	expect(test, 0x28, REFUSED);
	take_over_and_judge(false, "PD17", 0);
	/* Without page tables there is no way to block, and nothing to inherit */
	iommu->caps = TEST_CAPS & ~GENMASK_ULL(11, 9);
	KUNIT_EXPECT_FALSE(test, take_over(old_ddtp()));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_was_refused(&iommu->kdump, 8));
}

static void __init corrupt_all(struct kunit *test, unsigned int levels, bool flat)
{
	start_old_kernel(test, levels, flat);
	aim_at(crashed.mem[0], crashed.mem[OLD_PAGES], false);
	corrupt_randomly(test);
}

static void __init test_corrupt_base(struct kunit *test)
{
	corrupt_all(test, 3, false);
}

static void __init test_corrupt_extended(struct kunit *test)
{
	corrupt_all(test, 2, true);
}

static void __init test_corrupt_in_place(struct kunit *test)
{
	corrupt_all(test, 1, false);
}

/* The base register: a root page that is no memory of the crashed kernel stays alone */
static void __init test_root_register(struct kunit *test)
{
	static const u64 bad[] = {
		OLD(OLD_PAGES), OLD_RAM - SZ_4K, CRASH_MEM, SOME_MMIO, 0,
		GENMASK_ULL(55, 12),
	};
	struct riscv_iommu_device *iommu;
	unsigned int i, mode;

	start_old_kernel(test, 3, false);
	iommu = old_kernel.iommu;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_FALSE(test, take_over(bad[i] >> 2 | 4));
		KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_was_refused(&iommu->kdump, 8));
		/* What comes then blocks */
		KUNIT_EXPECT_NOT_NULL(test, iommu->kdump_shared[0]);
		expect_commands(test, "");
	}
	for (mode = 5; mode < 16; mode++)
		KUNIT_EXPECT_FALSE(test, take_over(OLD(OLD_ROOT) >> 2 | mode));
	KUNIT_EXPECT_EQ(test, memcmp(crashed.mem, old_kernel.before,
				     OLD_PAGES * SZ_4K), 0);
	KUNIT_EXPECT_EQ(test, crashed.mapped_pages, 0);
	KUNIT_EXPECT_PTR_EQ(test, (void *)crashed.broken, NULL);
}

/* A directory that is full, of nothing: it takes as long as it may take, and ends */
static void __init test_full_directory(struct kunit *test)
{
	struct riscv_iommu_device *iommu;
	unsigned int i;

	start_old_kernel(test, 3, true);
	iommu = old_kernel.iommu;
	for (i = 0; i < 512; i++) {
		crashed.mem[OLD_ROOT][i] = OLD(OLD_MID) >> 2 | 1;
		crashed.mem[OLD_MID][i] = OLD(OLD_PT) >> 2 | 1;
	}
	KUNIT_EXPECT_TRUE(test, take_over(old_ddtp()));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_was_refused(&iommu->kdump, 0));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_was_refused(&iommu->kdump, 0x37fff));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_was_refused(&iommu->kdump, 0xffffff));
	KUNIT_EXPECT_LE(test, iommu->kdump.nr_refused, 2);
	KUNIT_EXPECT_TRUE(test, blocks(hw_dc(0)));
	KUNIT_EXPECT_TRUE(test, blocks(hw_dc(0xffffff)));
	KUNIT_EXPECT_EQ(test, crashed.mapped_pages, 0);
}

/* The command line asks for it: nothing is inherited, and nothing passes */
static void __init test_nothing_is_kept(struct kunit *test)
{
	struct take_over_stats stats = {};
	unsigned int levels, id;

	start_old_kernel(test, 3, false);
	for (levels = 3; levels; levels--) {
		set_old_kernel(levels, false);
		reset_iommu();
		KUNIT_ASSERT_TRUE(test, riscv_iommu_kdump_start(old_kernel.iommu,
								old_ddtp()));
		old_kernel.iommu->ddt_mode = levels + 1;
		old_kernel.root = crashed.mem[OLD_ROOT];
		if (levels == 1)
			take_over_in_place(old_kernel.iommu, false, &stats);
		else
			take_over_root(old_kernel.iommu, false, &stats);
		for (id = 0; id < 128; id++)
			KUNIT_ASSERT_TRUE(test, blocks(hw_dc(id)));
		KUNIT_EXPECT_EQ(test, stats.entries, 0);
	}
}

#include "kdump_entries_kunit.c"

static struct kunit_case __refdata riscv_kdump_test_cases[] = {
	KUNIT_CASE(test_good_3),
	KUNIT_CASE(test_good_2),
	KUNIT_CASE(test_good_1),
	KUNIT_CASE(test_good_extended_3),
	KUNIT_CASE(test_good_extended_2),
	KUNIT_CASE(test_good_extended_1),
	KUNIT_CASE(test_base_fields),
	KUNIT_CASE(test_extended_fields),
	KUNIT_CASE(test_in_place_fields),
	KUNIT_CASE(test_capabilities),
	KUNIT_CASE(test_corrupt_base),
	KUNIT_CASE(test_corrupt_extended),
	KUNIT_CASE(test_corrupt_in_place),
	KUNIT_CASE(test_root_register),
	KUNIT_CASE(test_full_directory),
	KUNIT_CASE(test_nothing_is_kept),
	KUNIT_CASE(test_switch_translated),
	KUNIT_CASE(test_switch_identity),
	KUNIT_CASE(test_switch_blocked),
	KUNIT_CASE(test_switch_to_blocked),
	KUNIT_CASE(test_switch_in_place),
	KUNIT_CASE(test_shared_id),
	KUNIT_CASE(test_new_table),
	KUNIT_CASE(test_pscids),
	KUNIT_CASE(test_removed),
	KUNIT_CASE(test_silence),
	KUNIT_CASE(test_pass_through),
	KUNIT_CASE(test_off),
	KUNIT_CASE(test_shutdown),
	{}
};

static struct kunit_suite riscv_kdump_test_suite = {
	.name = "riscv_kdump",
	.test_cases = riscv_kdump_test_cases,
};

kunit_test_init_section_suites(&riscv_kdump_test_suite);
