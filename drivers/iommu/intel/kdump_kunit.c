// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of what kdump.c, which includes this, makes of the tables of a crashed
 * kernel
 *
 * A crashed kernel is made up: a root table, context tables, PASID tables, in
 * memory that only the accessor of the framework can reach. Each field of each
 * entry is set to each kind of wrong value, and bits are flipped at random. What
 * must come of it is worked out a second time here, from the layout that the
 * specification gives: see spec_lookup().
 */

#include <linux/cleanup.h>
#include <linux/idr.h>
#include <linux/kexec.h>
#include <linux/pci.h>

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "intel_kdump_kunit."

/* What each page of the crashed kernel's memory holds */
enum {
	OLD_ROOT,
	OLD_LOWER,
	OLD_UPPER,
	OLD_DIR,
	OLD_FS_ROOT,
	OLD_SS_ROOT,
	OLD_TABLE_1,
	OLD_TABLE_0,
	OLD_PAGES,
};

#define POINTER_BITS	GENMASK_ULL(63, 12)
#define CORRUPTIONS	10000
#include "../kdump/old_tables_kunit.h"

/* Hardware: 48 and 57 bits of IOVA, all of what can be translated */
#define TEST_CAP	(BIT_ULL(60) | 47 << 16 | 0xc << 8)
#define TEST_ECAP_SM	(BIT_ULL(49) | BIT_ULL(47) | BIT_ULL(46) | BIT_ULL(43) | \
			 BIT_ULL(40) | BIT_ULL(29) | BIT_ULL(26))
#define TEST_ECAP	(BIT_ULL(6) | BIT_ULL(2) | BIT_ULL(0))
#define TEST_DIDS	256

static struct old_kernel {
	struct intel_iommu *iommu;
	struct root_entry *blocked_root;
	bool sm;
	/* Something with a requester ID, for what asks for a device */
	struct device dev;
	struct dev_iommu dev_iommu;
	struct device_domain_info info;
	/* Invalidations, in their order: c, C (all of them) and i, I of the IOTLB */
	char flushed[32];
	unsigned int nr_flushed;
} old_kernel;

static void record(char what)
{
	if (old_kernel.nr_flushed < ARRAY_SIZE(old_kernel.flushed) - 1)
		old_kernel.flushed[old_kernel.nr_flushed++] = what;
}

static void flush_context(struct intel_iommu *iommu, u16 did, u16 sid, u8 mask,
			  u64 type)
{
	record(type == DMA_CCMD_GLOBAL_INVL ? 'C' : 'c');
}

static void flush_iotlb(struct intel_iommu *iommu, u16 did, u64 addr,
			unsigned int size_order, u64 type)
{
	record(type == DMA_TLB_GLOBAL_FLUSH ? 'I' : 'i');
}

static void expect_flushed(struct kunit *test, const char *what)
{
	KUNIT_EXPECT_STREQ(test, old_kernel.flushed, what);
	memset(old_kernel.flushed, 0, sizeof(old_kernel.flushed));
	old_kernel.nr_flushed = 0;
}

/* The layout of the tables, as the specification draws it */

/* Section 9.1 */
static const struct field root_entry_fields[] = {
	{ "P", 0, 0, 0, VALUE },
	{ "reserved", 0, 1, 11, RESERVED },
	{ "CTP", 0, 12, 63, POINTER },
	{ "reserved", 1, 0, 63, RESERVED },
};

static const struct layout root_entry_layout = LAYOUT(root_entry);

/* Section 9.2, both halves are alike */
static const struct field sm_root_entry_fields[] = {
	{ "P", 0, 0, 0, VALUE },
	{ "reserved", 0, 1, 11, RESERVED },
	{ "CTP", 0, 12, 63, POINTER },
};

static const struct layout sm_root_entry_layout = LAYOUT(sm_root_entry);

/* Section 9.3 */
static const struct field context_fields[] = {
	{ "P", 0, 0, 0, VALUE },
	{ "FPD", 0, 1, 1, VALUE },
	{ "TT", 0, 2, 3, VALUE },
	{ "reserved", 0, 4, 11, RESERVED },
	{ "SSPTPTR", 0, 12, 63, POINTER },
	{ "AW", 1, 0, 2, VALUE },
	{ "ignored", 1, 3, 6, VALUE },
	{ "reserved", 1, 7, 7, RESERVED },
	{ "DID", 1, 8, 23, VALUE },
	{ "reserved", 1, 24, 63, RESERVED },
};

static const struct layout context_layout = LAYOUT(context);

/* Section 9.4 */
static const struct field sm_context_fields[] = {
	{ "P", 0, 0, 0, VALUE },
	{ "FPD", 0, 1, 1, VALUE },
	{ "DTE", 0, 2, 2, VALUE },
	{ "PASIDE", 0, 3, 3, VALUE },
	{ "PRE", 0, 4, 4, VALUE },
	{ "reserved", 0, 5, 8, RESERVED },
	{ "PDTS", 0, 9, 11, VALUE },
	{ "PASIDDIRPTR", 0, 12, 63, POINTER },
	{ "RID_PASID", 1, 0, 19, VALUE },
	/* No kernel sets it */
	{ "RID_PRIV", 1, 20, 20, RESERVED },
	{ "reserved", 1, 21, 63, RESERVED },
	{ "reserved", 2, 0, 63, RESERVED },
	{ "reserved", 3, 0, 63, RESERVED },
};

static const struct layout sm_context_layout = LAYOUT(sm_context);

/* Section 9.5 */
static const struct field pasid_dir_fields[] = {
	{ "P", 0, 0, 0, VALUE },
	{ "FPD", 0, 1, 1, VALUE },
	{ "reserved", 0, 2, 11, RESERVED },
	{ "SMPTBLPTR", 0, 12, 63, POINTER },
};

static const struct layout pasid_dir_layout = LAYOUT(pasid_dir);

/* Section 9.6, what does not depend on PGTT */
static const struct field pasid_fields[] = {
	{ "P", 0, 0, 0, VALUE },
	{ "FPD", 0, 1, 1, VALUE },
	{ "AW", 0, 2, 4, VALUE },
	{ "SSEE", 0, 5, 5, VALUE },
	{ "PGTT", 0, 6, 8, VALUE },
	{ "SSADE", 0, 9, 9, VALUE },
	{ "reserved", 0, 10, 11, RESERVED },
	{ "SSPTPTR", 0, 12, 63, VALUE },
	{ "DID", 1, 0, 15, VALUE },
	{ "reserved", 1, 16, 22, RESERVED },
	{ "memory types", 1, 23, 63, VALUE },
	{ "SRE", 2, 0, 0, VALUE },
	{ "reserved", 2, 1, 1, RESERVED },
	{ "FSPM", 2, 2, 3, VALUE },
	{ "WPE to EAFE", 2, 4, 7, VALUE },
	{ "reserved", 2, 8, 11, VALUE },
	{ "FSPTPTR", 2, 12, 63, VALUE },
	{ "reserved", 3, 0, 63, RESERVED },
	{ "reserved", 4, 0, 63, RESERVED },
	{ "reserved", 5, 0, 63, RESERVED },
	{ "reserved", 6, 0, 63, RESERVED },
	{ "reserved", 7, 0, 63, RESERVED },
};

static const struct layout pasid_layout = LAYOUT(pasid);

enum outcome {
	/* Nothing passes; what the crashed kernel had is not copied */
	REFUSED,
	/* Nothing passes, the crashed kernel had no entry */
	ABSENT,
	/* Nothing passes, as the entry of the crashed kernel has it */
	BLOCKS,
	IDENTITY,
	SECOND_STAGE,
	FIRST_STAGE,
	/* Left as it is, until the core blocks the group */
	NESTED,
};

struct verdict {
	enum outcome outcome;
	unsigned int levels;
	u64 root;
	unsigned int did;
	const u64 *entry;
};

static enum outcome spec_second_stage(struct verdict *v, u64 ptr, u64 aw)
{
	/* AW: 1 is 39 bits and three levels; CAP.SAGAW has bits for 4 and 5 */
	if ((aw != 2 && aw != 3) || !spec_table(ptr))
		return REFUSED;
	v->levels = aw + 2;
	v->root = ptr >> 12 << 12;
	return SECOND_STAGE;
}

/* Section 9.3 */
static enum outcome spec_context(struct verdict *v, const u64 *ce)
{
	u64 tt = bits(ce, 0, 2, 3);

	v->did = bits(ce, 1, 8, 23);
	/* Pass-through has no table, its pointer is not looked at */
	if (tt == 2) {
		u64 without_table[2] = { (ce[0] & 0xfff) | OLD_RAM, ce[1] };

		return spec_valid(&context_layout, without_table) ? IDENTITY : REFUSED;
	}
	if (tt == 3 || !spec_valid(&context_layout, ce))
		return REFUSED;
	return spec_second_stage(v, ce[0], bits(ce, 1, 0, 2));
}

/* Sections 9.4 to 9.6 */
static enum outcome spec_sm_context(struct verdict *v, const u64 *ce)
{
	u64 pasid = bits(ce, 1, 0, 19);
	const u64 *pde, *pte;
	enum outcome outcome;

	if (!spec_valid(&sm_context_layout, ce))
		return REFUSED;
	/* PDTS: 2^(X + 7) entries in the directory, 64 PASIDs each */
	if (pasid >= 64ULL << (bits(ce, 0, 9, 11) + 7))
		return REFUSED;
	/* A directory may have several pages */
	if (!spec_table(ce[0] + pasid / 64 * 8))
		return REFUSED;
	pde = spec_at(ce[0] + pasid / 64 * 8) + pasid / 64 % 512;
	if (!bits(pde, 0, 0, 0))
		return BLOCKS;
	if (!spec_valid(&pasid_dir_layout, pde))
		return REFUSED;
	pte = spec_at(*pde) + pasid % 64 * 8;
	if (!bits(pte, 0, 0, 0))
		return BLOCKS;
	if (!spec_valid(&pasid_layout, pte))
		return REFUSED;

	v->did = bits(pte, 1, 0, 15);
	switch (bits(pte, 0, 6, 8)) {
	case 1:
		if (bits(pte, 2, 2, 3) > 1 || bits(pte, 2, 8, 11) ||
		    !spec_table(pte[2]))
			return REFUSED;
		v->levels = bits(pte, 2, 2, 3) ? 5 : 4;
		v->root = pte[2] >> 12 << 12;
		return FIRST_STAGE;
	case 2:
		return spec_second_stage(v, pte[0], bits(pte, 0, 2, 4));
	case 3:
		outcome = spec_second_stage(v, pte[0], bits(pte, 0, 2, 4));
		return outcome == SECOND_STAGE ? NESTED : outcome;
	case 4:
		return IDENTITY;
	default:
		return REFUSED;
	}
}

/* What hardware does with the DMA of a requester ID, if its tables are sound */
static struct verdict spec_lookup(unsigned int bus, unsigned int devfn)
{
	const u64 *root = &crashed.mem[OLD_ROOT][bus * 2], *ce;
	struct verdict v = { .outcome = REFUSED };

	if (old_kernel.sm && devfn >= 0x80)
		root++;
	if (!bits(root, 0, 0, 0)) {
		v.outcome = ABSENT;
		return v;
	}
	if (!spec_valid(old_kernel.sm ? &sm_root_entry_layout :
					&root_entry_layout, root))
		return v;
	ce = spec_at(*root) + (old_kernel.sm ? devfn % 0x80 * 4 : devfn * 2);
	if (!bits(ce, 0, 0, 0)) {
		v.outcome = ABSENT;
		return v;
	}
	v.entry = ce;
	v.outcome = old_kernel.sm ? spec_sm_context(&v, ce) :
				    spec_context(&v, ce);
	/* CAP.ND: bits of domain IDs that hardware does not have are reserved */
	if (v.did >= TEST_DIDS)
		v.outcome = REFUSED;
	return v;
}

/* What the code has made of it */

static void reset_iommu(void)
{
	struct intel_iommu *iommu = old_kernel.iommu;
	unsigned int i;

	for (i = 0; i < ROOT_ENTRY_NR; i++) {
		u64 blocked = virt_to_phys(iommu->kdump_blocked) | 1;
		struct root_entry *root = &iommu->root_entry[i];

		if ((root->lo & 1) && root->lo != blocked)
			iommu_free_pages(phys_to_virt(root->lo & ~1ULL));
		if ((root->hi & 1) && root->hi != blocked)
			iommu_free_pages(phys_to_virt(root->hi & ~1ULL));
	}
	memcpy(iommu->root_entry, old_kernel.blocked_root, SZ_4K);
	intel_kdump_destroy(iommu);
	ida_destroy(&iommu->domain_ida);
	ida_init(&iommu->domain_ida);
	intel_kdump_init(iommu);
}

/* Where hardware finds the entry of a requester ID, NULL if nowhere */
static struct context_entry *find_entry(u8 bus, u8 devfn)
{
	struct root_entry *root = &old_kernel.iommu->root_entry[bus];
	u64 entry = old_kernel.sm && devfn >= 0x80 ? root->hi : root->lo;

	if (!(entry & 1))
		return NULL;
	return (struct context_entry *)phys_to_virt(entry & VTD_PAGE_MASK) +
	       (old_kernel.sm ? devfn % 0x80 * 2 : devfn);
}

static const char *judge(unsigned int bus, unsigned int devfn)
{
	struct intel_iommu *iommu = old_kernel.iommu;
	struct verdict v = spec_lookup(bus, devfn);
	const struct context_entry *ce = find_entry(bus, devfn);
	u16 sid = PCI_DEVID(bus, devfn);
	bool refused = iommu_kdump_entry_was_refused(&iommu->kdump, sid);
	bool old = iommu_kdump_entry_is_old(&iommu->kdump, sid);
	bool refuse = v.outcome == REFUSED;
	struct iommu_kdump_tables tables;
	int ret;
	u64 lo;

	if (!ce)
		return "is reported by hardware, not blocked silently";
	if (v.outcome <= BLOCKS) {
		crashed.refused += refuse;
		if (old || refused != refuse)
			return refused ? "was refused" : "was not refused";
		if (ce->lo != 2 || ce->hi)
			return "was copied though nothing passes";
		return NULL;
	}
	if (!old || refused)
		return "was refused";
	ret = intel_iommu_inherit_tables(&old_kernel.dev, sid, &tables);

	/* PASIDE, and PRE with it: the processes of the PASIDs are dead */
	lo = v.entry[0];
	if (old_kernel.sm && (lo & BIT_ULL(3)))
		lo &= ~(BIT_ULL(3) | BIT_ULL(4));
	if (ce->lo != lo || ce->hi != v.entry[1])
		return "was not copied as it was";
	if (old_kernel.sm && (ce[1].lo || ce[1].hi))
		return "has a reserved half that is set";
	if (v.did >= 2 && v.did < iommu->max_domain_id &&
	    !ida_exists(&iommu->domain_ida, v.did))
		return "has a domain ID that may be given to another domain";

	if (v.outcome == NESTED)
		return ret == -EOPNOTSUPP ? NULL : "is nested, and inherited";
	if (ret || !tables.type)
		return "is not inherited";
	if (tables.id != v.did)
		return "has another domain ID";
	if (v.outcome == IDENTITY)
		return tables.type == IOMMU_KDUMP_IDENTITY ? NULL :
							     "was identity";
	if (tables.type != IOMMU_KDUMP_PAGING || tables.root != v.root ||
	    tables.levels != v.levels ||
	    tables.format != (v.outcome == FIRST_STAGE ? 1 : 2))
		return "has another page table";
	return NULL;
}

static const u8 used_devfns[] = { 0x08, 0x10, 0x18, 0x20, 0x28, 0x88, 0x90 };

static bool __init take_over_and_judge(bool all, const char *what, u64 value)
{
	struct kunit *test = crashed.test;
	struct take_over_stats stats = {};
	unsigned int i;
	int ret;

	reset_iommu();
	ret = take_over_root(old_kernel.iommu, OLD(OLD_ROOT), &stats);
	crashed.count++;
	if (ret)
		crashed.broken = "lost the root table";
	for (i = 0; i < (all ? 256 : ARRAY_SIZE(used_devfns)); i++) {
		unsigned int devfn = all ? i : used_devfns[i];
		const char *error = judge(0, devfn);

		if (error) {
			KUNIT_FAIL(test, "%s = %#llx: entry of 0:%#x %s", what,
				   value, devfn, error);
			return false;
		}
	}
	return old_is_as_it_was(what, value);
}

/* A crashed kernel, with all that hardware can do */

static void stop_old_kernel(void *data)
{
	struct intel_iommu *iommu = old_kernel.iommu;

	if (iommu->kdump_blocked) {
		reset_iommu();
		iommu_free_pages(iommu->kdump_blocked);
	}
	intel_kdump_destroy(iommu);
	ida_destroy(&iommu->domain_ida);
	iommu_free_pages(iommu->root_entry);
	intel_iommu_sm = (long)data;
}

static void set_context(unsigned int page, unsigned int idx, u64 lo, u64 hi)
{
	unsigned int words = old_kernel.sm ? 4 : 2;

	crashed.mem[page][idx * words] = lo;
	crashed.mem[page][idx * words + 1] = hi;
}

static void set_pasid(unsigned int page, unsigned int idx, u64 w0, u64 w1,
		      u64 w2)
{
	crashed.mem[page][idx * 8] = w0;
	crashed.mem[page][idx * 8 + 1] = w1;
	crashed.mem[page][idx * 8 + 2] = w2;
}

static void fill_legacy(void)
{
	crashed.mem[OLD_ROOT][0] = OLD(OLD_LOWER) | 1;
	/* Second stage; through a device's TLB; pass-through; not present */
	set_context(OLD_LOWER, 0x08, OLD(OLD_SS_ROOT) | 1, 7 << 8 | 2);
	set_context(OLD_LOWER, 0x10, OLD(OLD_SS_ROOT) | 1 << 2 | 1, 8 << 8 | 3);
	set_context(OLD_LOWER, 0x18, 2 << 2 | 1, 1 << 8 | 2);
	set_context(OLD_LOWER, 0x20, OLD(OLD_SS_ROOT), 9 << 8 | 2);
	set_context(OLD_LOWER, 0x88, OLD(OLD_SS_ROOT) | 1, 7 << 8 | 2);
}

static void fill_scalable(void)
{
	u64 dir = OLD(OLD_DIR) | 1;

	crashed.mem[OLD_ROOT][0] = OLD(OLD_LOWER) | 1;
	crashed.mem[OLD_ROOT][1] = OLD(OLD_UPPER) | 1;
	crashed.mem[OLD_DIR][0] = OLD(OLD_TABLE_0) | 1;
	crashed.mem[OLD_DIR][1] = OLD(OLD_TABLE_1) | 1;
	/* Second stage, with PASIDs beside it; first stage of 4 and 5 levels */
	set_context(OLD_LOWER, 0x08, dir | 0x1c, 0);
	set_pasid(OLD_TABLE_0, 0, OLD(OLD_SS_ROOT) | 2 << 6 | 2 << 2 | 1, 7, 0);
	set_context(OLD_LOWER, 0x10, dir, 63);
	set_pasid(OLD_TABLE_0, 63, 1 << 6 | 1, 8, OLD(OLD_FS_ROOT));
	set_context(OLD_LOWER, 0x18, dir, 65);
	set_pasid(OLD_TABLE_1, 1, 1 << 6 | 1, 9, OLD(OLD_FS_ROOT) | 1 << 2);
	/* Pass-through, nested, not present */
	set_context(OLD_LOWER, 0x20, dir, 66);
	set_pasid(OLD_TABLE_1, 2, 4 << 6 | 1, 1, 0);
	set_context(OLD_UPPER, 0x08, dir, 67);
	set_pasid(OLD_TABLE_1, 3, OLD(OLD_SS_ROOT) | 3 << 6 | 2 << 2 | 1, 10,
		  SOME_MMIO);
	set_context(OLD_UPPER, 0x10, dir, 68);
	/* A directory entry that is not present */
	set_context(OLD_LOWER, 0x28, dir, 640);
}

static void __init start_old_kernel(struct kunit *test, bool sm)
{
	struct intel_iommu *iommu = kunit_kzalloc(test, sizeof(*iommu),
						  GFP_KERNEL);
	long old_sm = intel_iommu_sm;

	KUNIT_ASSERT_NOT_NULL(test, iommu);
	memset(&old_kernel, 0, sizeof(old_kernel));
	old_start(test);
	old_kernel.iommu = iommu;
	old_kernel.sm = sm;
	iommu->node = NUMA_NO_NODE;
	iommu->cap = TEST_CAP;
	iommu->ecap = TEST_ECAP | (sm ? TEST_ECAP_SM : 0);
	iommu->max_domain_id = TEST_DIDS;
	iommu->flags = VTD_FLAG_TRANS_PRE_ENABLED;
	iommu->flush.flush_context = flush_context;
	iommu->flush.flush_iotlb = flush_iotlb;
	strscpy(iommu->name, "kunit", sizeof(iommu->name));
	spin_lock_init(&iommu->lock);
	spin_lock_init(&iommu->device_rbtree_lock);
	mutex_init(&iommu->did_lock);
	ida_init(&iommu->domain_ida);
	intel_kdump_init(iommu);
	old_kernel.info.iommu = iommu;
	old_kernel.dev_iommu.priv = &old_kernel.info;
	old_kernel.dev.iommu = &old_kernel.dev_iommu;
	intel_iommu_sm = sm;
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, stop_old_kernel,
						  (void *)old_sm), 0);

	iommu->root_entry = iommu_alloc_pages_sz(GFP_KERNEL, SZ_4K);
	KUNIT_ASSERT_NOT_NULL(test, iommu->root_entry);
	block_all(iommu);
	KUNIT_ASSERT_NOT_NULL(test, iommu->kdump_blocked);
	old_kernel.blocked_root = kunit_kmalloc(test, SZ_4K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, old_kernel.blocked_root);
	memcpy(old_kernel.blocked_root, iommu->root_entry, SZ_4K);

	if (sm)
		fill_scalable();
	else
		fill_legacy();
}

static void __init expect(struct kunit *test, unsigned int devfn,
			  enum outcome outcome)
{
	struct verdict v = spec_lookup(0, devfn);

	KUNIT_EXPECT_EQ_MSG(test, v.outcome, outcome, "0:%#x", devfn);
}

/* The tables that are corrupted below are good: the matrix starts from there */
static void __init test_legacy_good(struct kunit *test)
{
	start_old_kernel(test, false);
	expect(test, 0x08, SECOND_STAGE);
	expect(test, 0x10, SECOND_STAGE);
	expect(test, 0x18, IDENTITY);
	expect(test, 0x20, ABSENT);
	expect(test, 0x88, SECOND_STAGE);
	take_over_and_judge(true, "nothing", 0);
}

static void __init test_scalable_good(struct kunit *test)
{
	start_old_kernel(test, true);
	expect(test, 0x08, SECOND_STAGE);
	expect(test, 0x10, FIRST_STAGE);
	expect(test, 0x18, FIRST_STAGE);
	expect(test, 0x20, IDENTITY);
	expect(test, 0x28, BLOCKS);
	expect(test, 0x88, NESTED);
	expect(test, 0x90, BLOCKS);
	take_over_and_judge(true, "nothing", 0);
}

/* The matrix */

static bool __init corrupt_any_field(const struct field *f, u64 *entry)
{
	u64 mask = GENMASK_ULL(f->last, f->first), *word = entry + f->word;
	unsigned int i;

	if (!corrupt_field(f, entry))
		return false;
	if (mask != POINTER_BITS)
		return true;
	for (i = 0; i < ARRAY_SIZE(bad_pointers); i++)
		if (!corrupt_word(f->name, word,
				  (*word & ~mask) | bad_pointers[i], false))
			return false;
	/* Itself, loops, aliases */
	for (i = 0; i < OLD_PAGES; i++)
		if (!corrupt_word(f->name, word, (*word & ~mask) | OLD(i), true))
			return false;
	return true;
}

static void __init corrupt_entry(const struct layout *layout, u64 *entry)
{
	unsigned int i;

	for (i = 0; i < layout->nr_fields; i++)
		if (!corrupt_any_field(&layout->fields[i], entry))
			return;
}

static void __init test_legacy_fields(struct kunit *test)
{
	start_old_kernel(test, false);
	corrupt_entry(&root_entry_layout, crashed.mem[OLD_ROOT]);
	corrupt_entry(&root_entry_layout, crashed.mem[OLD_ROOT] + 2);
	corrupt_entry(&context_layout, crashed.mem[OLD_LOWER] + 0x08 * 2);
	corrupt_entry(&context_layout, crashed.mem[OLD_LOWER] + 0x10 * 2);
	corrupt_entry(&context_layout, crashed.mem[OLD_LOWER] + 0x18 * 2);
	corrupt_entry(&context_layout, crashed.mem[OLD_LOWER] + 0x20 * 2);
	kunit_info(test, "%u corrupted tables", crashed.count);
}

static void __init test_scalable_fields(struct kunit *test)
{
	unsigned int i;

	start_old_kernel(test, true);
	corrupt_entry(&sm_root_entry_layout, crashed.mem[OLD_ROOT]);
	corrupt_entry(&sm_root_entry_layout, crashed.mem[OLD_ROOT] + 1);
	corrupt_entry(&sm_context_layout, crashed.mem[OLD_LOWER] + 0x08 * 4);
	corrupt_entry(&sm_context_layout, crashed.mem[OLD_LOWER] + 0x10 * 4);
	corrupt_entry(&sm_context_layout, crashed.mem[OLD_UPPER] + 0x08 * 4);
	corrupt_entry(&pasid_dir_layout, crashed.mem[OLD_DIR]);
	corrupt_entry(&pasid_dir_layout, crashed.mem[OLD_DIR] + 1);
	corrupt_entry(&pasid_layout, crashed.mem[OLD_TABLE_0]);
	corrupt_entry(&pasid_layout, crashed.mem[OLD_TABLE_0] + 63 * 8);
	for (i = 1; i < 4; i++)
		corrupt_entry(&pasid_layout, crashed.mem[OLD_TABLE_1] + i * 8);
	kunit_info(test, "%u corrupted tables", crashed.count);
}

/* What hardware cannot do is not what it did */
static void __init test_capabilities(struct kunit *test)
{
	struct intel_iommu *iommu;
	struct iommu_kdump_tables tables;
	struct context_entry ce = { .lo = OLD(OLD_SS_ROOT) | 1, .hi = 2 };

	start_old_kernel(test, false);
	iommu = old_kernel.iommu;
	KUNIT_EXPECT_EQ(test, decode(iommu, &ce, &tables), 0);
	iommu->cap &= ~BIT_ULL(8 + 2);
	KUNIT_EXPECT_EQ(test, decode(iommu, &ce, &tables), -EUCLEAN);
	iommu->cap = TEST_CAP;
	ce.lo |= 1 << 2;
	KUNIT_EXPECT_EQ(test, decode(iommu, &ce, &tables), 0);
	iommu->ecap &= ~BIT_ULL(2);
	KUNIT_EXPECT_EQ(test, decode(iommu, &ce, &tables), -EUCLEAN);
	ce.lo = 2 << 2 | 1;
	KUNIT_EXPECT_EQ(test, decode(iommu, &ce, &tables), 0);
	/* CM: domain ID 0 is hardware's */
	iommu->cap |= BIT_ULL(7);
	KUNIT_EXPECT_EQ(test, decode(iommu, &ce, &tables), -EUCLEAN);
	ce.hi |= 1 << 8;
	KUNIT_EXPECT_EQ(test, decode(iommu, &ce, &tables), 0);
	iommu->ecap &= ~BIT_ULL(6);
	KUNIT_EXPECT_EQ(test, decode(iommu, &ce, &tables), -EUCLEAN);
}

static void __init test_scalable_capabilities(struct kunit *test)
{
	/* Which capability the entry with this RID_PASID depends on */
	static const struct {
		u64 rid_pasid;
		u64 cap;
		u64 ecap;
		int ret;
		u64 lo;
	} needs[] = {
		{ 0, BIT_ULL(8 + 2), 0, 0 },
		{ 0, 0, BIT_ULL(46), 0 },
		{ 63, 0, BIT_ULL(47), 0 },
		{ 65, 0, BIT_ULL(47), 0 },
		{ 65, BIT_ULL(60), 0, 0 },
		{ 66, 0, BIT_ULL(6), 0 },
		{ 67, 0, BIT_ULL(46), -EOPNOTSUPP },
		{ 67, 0, BIT_ULL(26), -EOPNOTSUPP },
		/* RPS, DT, PASID, PRS */
		{ 63, 0, BIT_ULL(49), 0 },
		{ 0, 0, BIT_ULL(2), 0, BIT(2) },
		{ 0, 0, BIT_ULL(40), 0, BIT(3) },
		{ 0, 0, BIT_ULL(29), 0, BIT(4) },
	};
	struct iommu_kdump_tables tables;
	unsigned int i;

	start_old_kernel(test, true);
	for (i = 0; i < ARRAY_SIZE(needs); i++) {
		struct intel_iommu *iommu = old_kernel.iommu;
		struct context_entry ce = {
			.lo = OLD(OLD_DIR) | needs[i].lo | 1,
			.hi = needs[i].rid_pasid,
		};

		iommu->cap = TEST_CAP;
		iommu->ecap = TEST_ECAP | TEST_ECAP_SM;
		KUNIT_EXPECT_EQ(test, decode(iommu, &ce, &tables),
				needs[i].ret);
		iommu->cap &= ~needs[i].cap;
		iommu->ecap &= ~needs[i].ecap;
		KUNIT_EXPECT_EQ_MSG(test, decode(iommu, &ce, &tables),
				    -EUCLEAN, "number %u", i);
	}
}

static void __init test_corrupt_legacy(struct kunit *test)
{
	start_old_kernel(test, false);
	aim_at(crashed.mem[0], crashed.mem[OLD_PAGES], false);
	corrupt_randomly(test);
}

static void __init test_corrupt_scalable(struct kunit *test)
{
	start_old_kernel(test, true);
	aim_at(crashed.mem[0], crashed.mem[OLD_PAGES], false);
	corrupt_randomly(test);
}

/* The root table register: without a table that can be read all is blocked */
static void __init test_root_register(struct kunit *test)
{
	static const struct {
		u64 value;
		bool good;
	} regs[] = {
		{ OLD(OLD_ROOT), true },
		{ OLD(OLD_ROOT) | DMA_RTADDR_SMT, false },
		{ OLD(OLD_ROOT) | 2 << 10, false },
		{ OLD(OLD_ROOT) | 3 << 10, false },
		{ OLD(OLD_ROOT) | BIT(7), false },
		{ OLD(OLD_PAGES), false },
		{ OLD_RAM - SZ_4K, false },
		{ CRASH_MEM, false },
		{ SOME_MMIO, false },
		{ 0, false },
		{ U64_MAX & ~DMA_RTADDR_SMT, false },
	};
	struct intel_iommu *iommu;
	unsigned int i;

	start_old_kernel(test, false);
	iommu = old_kernel.iommu;
	iommu->reg = (__force void __iomem *)kunit_kzalloc(test, SZ_4K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, (__force void *)iommu->reg);
	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		reset_iommu();
		iommu_free_pages(iommu->kdump_blocked);
		memset(iommu->root_entry, 0, SZ_4K);
		iommu->kdump_blocked = NULL;
		writeq(regs[i].value, iommu->reg + DMAR_RTADDR_REG);
		intel_kdump_take_over(iommu);
		KUNIT_ASSERT_NOT_NULL(test, iommu->kdump_blocked);
		KUNIT_EXPECT_EQ(test, iommu->root_entry[1].lo,
				virt_to_phys(iommu->kdump_blocked) | 1);
		if (regs[i].good)
			KUNIT_EXPECT_PTR_EQ(test, (void *)judge(0, 0x08), NULL);
		else
			KUNIT_EXPECT_EQ(test, iommu->root_entry[0].lo,
					virt_to_phys(iommu->kdump_blocked) | 1);
		memcpy(old_kernel.blocked_root, iommu->root_entry, SZ_4K);
		old_kernel.blocked_root[0] = old_kernel.blocked_root[1];
	}
	KUNIT_EXPECT_EQ(test, crashed.mapped_pages, 0);
	KUNIT_EXPECT_PTR_EQ(test, (void *)crashed.broken, NULL);
}

#include "kdump_entries_kunit.c"
#include "kdump_units_kunit.c"

static struct kunit_case __refdata intel_kdump_test_cases[] = {
	KUNIT_CASE(test_legacy_good),
	KUNIT_CASE(test_scalable_good),
	KUNIT_CASE(test_legacy_fields),
	KUNIT_CASE(test_scalable_fields),
	KUNIT_CASE(test_capabilities),
	KUNIT_CASE(test_scalable_capabilities),
	KUNIT_CASE(test_corrupt_legacy),
	KUNIT_CASE(test_corrupt_scalable),
	KUNIT_CASE(test_root_register),
	KUNIT_CASE(test_domain_ids),
	KUNIT_CASE(test_alias_legacy),
	KUNIT_CASE(test_alias_scalable),
	KUNIT_CASE(test_nested),
	KUNIT_CASE(test_removed_legacy),
	KUNIT_CASE(test_removed_scalable),
	KUNIT_CASE(test_silence),
	KUNIT_CASE(test_own_id),
	KUNIT_CASE(test_shutdown),
	KUNIT_CASE(test_policy),
	KUNIT_CASE(test_ignored_units),
	KUNIT_CASE(test_mode_is_stuck),
	{}
};

static struct kunit_suite intel_kdump_test_suite = {
	.name = "intel_kdump",
	.test_cases = intel_kdump_test_cases,
};

kunit_test_init_section_suites(&intel_kdump_test_suite);
