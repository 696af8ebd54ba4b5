// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of what kdump.c, which includes this, makes of the device table of a
 * crashed kernel
 *
 * A crashed kernel is made up: a device table, GCR3 tables, an interrupt remapping
 * table, in memory that only the accessor of the framework can reach. Each field
 * of each entry is set to each kind of wrong value, and bits are flipped at
 * random. What must come of it is worked out a second time here, from the layout
 * that the specification gives: see spec_lookup().
 */

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "amd_kdump_kunit."

/* What each page of the crashed kernel's memory holds */
enum {
	OLD_DEV_TABLE,
	OLD_DEV_TABLE_1,
	OLD_HOST_ROOT,
	OLD_GUEST_ROOT,
	/* GCR3 tables: PASID 0 alone, with others, and two levels of them */
	OLD_GCR3_ALONE,
	OLD_GCR3,
	OLD_GCR3_TOP,
	OLD_IRQ,
	OLD_IRQ_LAST = OLD_IRQ + 1,
	OLD_PAGES,
};

#define POINTER_BITS	GENMASK_ULL(51, 12)
#define CORRUPTIONS	20000
#include "../kdump/old_tables_kunit.h"

#define DEVICES		256

/* Guest translation with GLX up to 2, 5 levels; 6 levels of host tables */
#define TEST_FEATURES	(BIT_ULL(4) | 2ULL << 10 | 1ULL << 12 | 2ULL << 14)

/* Device table entries that have something in them */
enum {
	HOST = 1,
	HOST_6_LEVELS,
	GUEST,
	GUEST_PASIDS,
	GUEST_TWO_LEVELS,
	HOST_PASIDS,
	NESTED_TABLES,
	READ_ONLY,
	NO_PAGES,
	NOT_VALID,
	NOT_TRANSLATED,
	BLOCKED,
	USED_DEVICES,
};

static struct old_kernel {
	struct amd_iommu_pci_seg *seg;
	struct ida dids;
} old_kernel;

/* Section 2.2.2.1, as the specification draws it */

static const struct field dte_fields[] = {
	{ "V", 0, 0, 0, VALUE },
	{ "TV", 0, 1, 1, VALUE },
	{ "reserved", 0, 2, 6, RESERVED },
	{ "HAD", 0, 7, 8, VALUE },
	{ "Mode", 0, 9, 11, VALUE },
	{ "Host page table root", 0, 12, 51, VALUE },
	{ "PPR", 0, 52, 52, VALUE },
	{ "GPRP", 0, 53, 53, VALUE },
	{ "GIoV", 0, 54, 54, VALUE },
	{ "GV", 0, 55, 55, VALUE },
	{ "GLX", 0, 56, 57, VALUE },
	{ "GCR3 root 14:12", 0, 58, 60, VALUE },
	{ "IR", 0, 61, 61, VALUE },
	{ "IW", 0, 62, 62, VALUE },
	{ "reserved", 0, 63, 63, RESERVED },
	{ "DomainID", 1, 0, 15, VALUE },
	{ "GCR3 root 30:15", 1, 16, 31, VALUE },
	{ "I to SysMgt", 1, 32, 42, VALUE },
	{ "GCR3 root 51:31", 1, 43, 63, VALUE },
	{ "IV", 2, 0, 0, VALUE },
	{ "IntTabLen", 2, 1, 4, VALUE },
	{ "IG", 2, 5, 5, VALUE },
	{ "Interrupt table root", 2, 6, 51, VALUE },
	{ "reserved", 2, 52, 53, RESERVED },
	{ "GuestPagingMode", 2, 54, 55, VALUE },
	{ "InitPass to HPTMode", 2, 56, 59, VALUE },
	{ "IntCtl", 2, 60, 61, VALUE },
	{ "Lint0, Lint1", 2, 62, 63, VALUE },
	{ "software", 3, 0, 63, VALUE },
};

static const struct layout dte_layout = LAYOUT(dte);

static u64 spec_gcr3_root(const u64 *dte)
{
	return bits(dte, 0, 58, 60) << 12 | bits(dte, 1, 16, 31) << 15 |
	       bits(dte, 1, 43, 63) << 31;
}

enum outcome {
	/* Nothing passes; what the crashed kernel had is not copied */
	REFUSED,
	/* Nothing passes, as the crashed kernel had it */
	BLOCKS,
	IDENTITY,
	HOST_TABLE,
	GUEST_TABLE,
	/* Left as it is, until the core blocks the group */
	UNSUPPORTED,
};

struct verdict {
	enum outcome outcome;
	unsigned int levels;
	u64 root;
	/* PASID 0 of the GCR3 table */
	u64 gcr3;
	/* What is left of guest translation */
	bool drop_guest;
	bool own_gcr3;
};

/* Section 2.2.6.3: the first entry of each level is that of PASID 0 */
static enum outcome spec_guest(struct verdict *v, const u64 *dte)
{
	u64 mode = bits(dte, 2, 54, 55), glx = bits(dte, 0, 56, 57), level;
	u64 table = spec_gcr3_root(dte);
	unsigned int i;

	/* GuestPagingMode: 0 is 4 levels, 1 is 5. GLX: 3 is reserved */
	if (mode > 1 || glx > 2)
		return REFUSED;
	for (level = glx + 1; level; level--) {
		if (!spec_table(table))
			return REFUSED;
		v->gcr3 = spec_at(table)[0];
		/* No guest table: nothing passes */
		if (!(v->gcr3 & 1))
			return BLOCKS;
		if (bits(&v->gcr3, 0, 1, 11) || bits(&v->gcr3, 0, 52, 63))
			return REFUSED;
		table = v->gcr3 & ~1ULL;
	}
	if (!spec_table(table))
		return REFUSED;
	v->levels = 4 + mode;
	v->root = table;
	v->own_gcr3 = glx;
	table = spec_gcr3_root(dte);
	for (i = 1; i < 512; i++)
		if (spec_at(table)[i] & 1)
			v->own_gcr3 = true;
	return GUEST_TABLE;
}

static enum outcome spec_host(struct verdict *v, const u64 *dte)
{
	u64 mode = bits(dte, 0, 9, 11), root = bits(dte, 0, 12, 51) << 12;

	if (!mode)
		return IDENTITY;
	if (mode == 7 || !spec_table(root))
		return REFUSED;
	v->levels = mode;
	v->root = root;
	return HOST_TABLE;
}

static enum outcome spec_dma(struct verdict *v, const u64 *dte)
{
	bool guest = bits(dte, 0, 55, 55), giov = bits(dte, 0, 54, 54);
	enum outcome outcome;

	if (!bits(dte, 0, 0, 0))
		return IDENTITY;
	if (!spec_valid(&dte_layout, dte))
		return REFUSED;
	/* TV = 0 blocks, and so does IR = IW = 0 */
	if (!bits(dte, 0, 1, 1) || !bits(dte, 0, 61, 62))
		return BLOCKS;

	if (guest && giov && !bits(dte, 0, 9, 11))
		outcome = spec_guest(v, dte);
	else
		outcome = spec_host(v, dte);
	if (outcome == REFUSED || outcome == BLOCKS)
		return outcome;
	/* PASIDs of dead processes; translated twice they are confined anyway */
	v->drop_guest = guest && !giov;
	if (bits(dte, 0, 61, 62) != 3 ||
	    (guest && giov && bits(dte, 0, 9, 11)))
		return UNSUPPORTED;
	return outcome;
}

static struct verdict spec_lookup(const u64 *dte)
{
	struct verdict v = {};

	v.outcome = spec_dma(&v, dte);
	return v;
}

/* Section 2.2.5: what goes on with interrupts, whatever becomes of DMA */
static u64 spec_interrupts(const u64 *dte, u64 before)
{
	u64 table = bits(dte, 2, 6, 51) << 6, len = bits(dte, 2, 1, 4);
	const u64 mask = GENMASK_ULL(63, 56) | GENMASK_ULL(51, 0);

	if (bits(dte, 2, 0, 0) && bits(dte, 2, 60, 61) == 2) {
		/* 2048 entries at most, of 16 bytes at most */
		if (len > 11 || table < OLD_RAM ||
		    table + (16ULL << len) > OLD(OLD_PAGES))
			return before & mask;
	}
	return dte[2] & mask;
}

/* What the code has made of it */

static void block_entry(struct dev_table_entry *dte)
{
	dte->data[0] = amd_iommu_blocked_dte_flags();
	dte->data[1] = 0;
	/* As the driver has it: interrupts are remapped, none is */
	dte->data[2] = 1;
	dte->data[3] = 0;
}

static void reset_table(void)
{
	struct amd_iommu_pci_seg *seg = old_kernel.seg;
	unsigned int i;

	for (i = 0; i < DEVICES; i++) {
		if (test_and_clear_bit(i, seg->kdump_inherited))
			amd_iommu_kdump_put_entry(&seg->dev_table[i]);
		block_entry(&seg->dev_table[i]);
	}
	iommu_kdump_forget_refused(&seg->kdump_refused);
	iommu_kdump_ids_destroy(&kdump_dids);
	ida_destroy(&old_kernel.dids);
	ida_init(&old_kernel.dids);
	iommu_kdump_ids_init(&kdump_dids, &old_kernel.dids);
}

static u64 *old_dte(unsigned int devid)
{
	return crashed.mem[OLD_DEV_TABLE] + devid * 4;
}

static const char *judge_own_gcr3(const struct verdict *v, const u64 *new)
{
	u64 table = spec_gcr3_root(new);
	const u64 *page;
	unsigned int i;

	if (spec_table(table))
		return "has PASIDs";
	if (bits(new, 0, 56, 57))
		return "has levels in its own GCR3 table";
	page = phys_to_virt(table);
	if (page[0] != v->gcr3)
		return "has another PASID 0";
	for (i = 1; i < 512; i++)
		if (page[i])
			return "has PASIDs in its own GCR3 table";
	return NULL;
}

static const char *judge(unsigned int devid)
{
	struct amd_iommu_pci_seg *seg = old_kernel.seg;
	const u64 irq = GENMASK_ULL(63, 56) | GENMASK_ULL(51, 0);
	const u64 *new = seg->dev_table[devid].data, *old = old_dte(devid);
	struct verdict v = spec_lookup(old);
	struct iommu_kdump_tables tables = {};
	struct inherit_data inherit = {
		.pci_seg = seg,
		.tables = &tables,
	};
	u64 guest_0 = 0, guest_1 = 0;
	const char *error;
	int ret;

	if ((new[2] & irq) != spec_interrupts(old, 1))
		return "has wrong interrupts";
	ret = inherit_one(NULL, devid, &inherit);

	if (v.outcome == REFUSED || v.outcome == BLOCKS) {
		crashed.refused += v.outcome == REFUSED;
		if (ret != (v.outcome == REFUSED ? -EUCLEAN : 0) || tables.type)
			return "was not refused";
		if (new[0] != amd_iommu_blocked_dte_flags() || new[1] ||
		    (new[2] & ~irq) || new[3])
			return "was copied though it was refused";
		return NULL;
	}

	if (v.drop_guest || v.own_gcr3) {
		guest_0 = GENMASK_ULL(60, 56);
		guest_1 = GENMASK_ULL(63, 43) | GENMASK_ULL(31, 16);
	}
	if (v.drop_guest) {
		guest_0 |= GENMASK_ULL(55, 54);
		if ((new[0] & guest_0) || (new[1] & guest_1))
			return "has PASIDs";
	}
	if ((new[0] & ~guest_0) != (old[0] & ~guest_0) ||
	    (new[1] & ~guest_1) != (old[1] & ~guest_1) ||
	    (new[2] & ~irq) != (old[2] & ~irq) || new[3] != old[3])
		return "was not copied as it was";
	if (v.own_gcr3) {
		error = judge_own_gcr3(&v, new);
		if (error)
			return error;
	}
	if (bits(old, 1, 0, 15) &&
	    !ida_exists(&old_kernel.dids, bits(old, 1, 0, 15)))
		return "has a domain ID that may be given to another domain";

	if (v.outcome == UNSUPPORTED)
		return ret == -EOPNOTSUPP ? NULL : "was inherited";
	if (ret || !tables.type)
		return "was refused";
	if (v.outcome == IDENTITY)
		return tables.type == IOMMU_KDUMP_IDENTITY ? NULL :
							     "was identity";
	if (tables.id != bits(old, 1, 0, 15))
		return "has another domain ID";
	if (tables.type != IOMMU_KDUMP_PAGING || tables.root != v.root ||
	    tables.levels != v.levels ||
	    tables.format != (v.outcome == GUEST_TABLE ? OLD_GUEST : OLD_HOST))
		return "has another page table";
	return NULL;
}

static bool __init take_over_and_judge(bool all, const char *what, u64 value)
{
	unsigned int i, nr = all ? ENTRIES_PER_PAGE : USED_DEVICES;
	struct take_over_stats stats = {};

	reset_table();
	for (i = 0; i < nr; i++)
		copy_entry(old_kernel.seg, i, (void *)old_dte(i), &stats);
	crashed.count++;
	for (i = 0; i < nr; i++) {
		const char *error = judge(i);

		if (error) {
			KUNIT_FAIL(crashed.test,
				   "%s = %#llx: entry %u %s", what, value, i,
				   error);
			return false;
		}
	}
	return old_is_as_it_was(what, value);
}

/* A crashed kernel, with all that hardware can do */

struct driver_state {
	u64 efr;
	bool hatdis;
	bool irq_remap;
	enum protection_domain_mode pgtable;
};

static void stop_old_kernel(void *data)
{
	struct driver_state *state = data;

	if (old_kernel.seg->dev_table) {
		reset_table();
		iommu_free_pages(old_kernel.seg->dev_table);
	}
	iommu_kdump_ids_destroy(&kdump_dids);
	kdump_dids.ida = NULL;
	ida_destroy(&old_kernel.dids);
	amd_iommu_efr = state->efr;
	amd_iommu_hatdis = state->hatdis;
	amd_iommu_irq_remap = state->irq_remap;
	amd_iommu_pgtable = state->pgtable;
}

static u64 gcr3_bits_0(u64 table)
{
	return (table >> 12 & 7) << 58;
}

static u64 gcr3_bits_1(u64 table)
{
	return (table >> 15 & 0xffff) << 16 | (table >> 31) << 43;
}

static void set_dte(unsigned int devid, u64 w0, u64 w1, u64 w2)
{
	old_dte(devid)[0] = w0;
	old_dte(devid)[1] = w1;
	old_dte(devid)[2] = w2;
}

static void set_guest(unsigned int devid, u64 w0, u64 did, u64 table, u64 w2)
{
	set_dte(devid, w0 | BIT_ULL(55) | gcr3_bits_0(table),
		did | gcr3_bits_1(table), w2);
}

static void fill_table(void)
{
	const u64 rw = 3ULL << 61, live = rw | 3, giov = BIT_ULL(54);
	const u64 irq = OLD(OLD_IRQ) | 2ULL << 60 | 9 << 1 | 1;
	const u64 host = live | OLD(OLD_HOST_ROOT) | 4 << 9;
	unsigned int i;

	for (i = 0; i < DEVICES; i++)
		set_dte(i, 3, 0, 0);
	set_dte(HOST, host, 7, irq);
	set_dte(HOST_6_LEVELS, live | OLD(OLD_HOST_ROOT) | 6 << 9, 7, irq);
	set_guest(GUEST, live | giov, 8, OLD(OLD_GCR3_ALONE), irq);
	set_guest(GUEST_PASIDS, live | giov, 9, OLD(OLD_GCR3), 1ULL << 54);
	set_guest(GUEST_TWO_LEVELS, live | giov | 1ULL << 56, 10,
		  OLD(OLD_GCR3_TOP), 0);
	set_guest(HOST_PASIDS, host, 7, OLD(OLD_GCR3), 0);
	set_guest(NESTED_TABLES, host | giov, 11, SOME_MMIO, 0);
	set_dte(READ_ONLY, (host & ~BIT_ULL(62)), 12, 0);
	set_dte(NO_PAGES, live, 13, 0);
	set_dte(NOT_VALID, 0, 0, 0);
	set_dte(NOT_TRANSLATED, host & ~BIT_ULL(1), 14, 0);
	set_dte(BLOCKED, 3, 0, irq);
	crashed.mem[OLD_GCR3_ALONE][0] = OLD(OLD_GUEST_ROOT) | 1;
	crashed.mem[OLD_GCR3][0] = OLD(OLD_GUEST_ROOT) | 1;
	crashed.mem[OLD_GCR3][511] = OLD(OLD_GUEST_ROOT) | 1;
	crashed.mem[OLD_GCR3_TOP][0] = OLD(OLD_GCR3) | 1;
}

static void __init start_old_kernel(struct kunit *test)
{
	struct amd_iommu_pci_seg *seg;
	struct driver_state *state;

	/* Not beside a driver that has taken something over */
	if (kdump_dids.ida)
		kunit_skip(test, "the driver is in use");

	memset(&old_kernel, 0, sizeof(old_kernel));
	old_start(test);
	seg = kunit_kzalloc(test, sizeof(*seg), GFP_KERNEL);
	state = kunit_kzalloc(test, sizeof(*state), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, seg);
	KUNIT_ASSERT_NOT_NULL(test, state);
	old_kernel.seg = seg;
	seg->last_bdf = DEVICES - 1;
	seg->kdump_inherited = kunit_kcalloc(test, BITS_TO_LONGS(DEVICES),
					     sizeof(long), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, seg->kdump_inherited);
	seg->rlookup_table = kunit_kcalloc(test, DEVICES, sizeof(void *),
					   GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, seg->rlookup_table);

	state->efr = amd_iommu_efr;
	state->hatdis = amd_iommu_hatdis;
	state->irq_remap = amd_iommu_irq_remap;
	state->pgtable = amd_iommu_pgtable;
	amd_iommu_efr = TEST_FEATURES;
	amd_iommu_hatdis = false;
	amd_iommu_irq_remap = true;
	ida_init(&old_kernel.dids);
	iommu_kdump_ids_init(&kdump_dids, &old_kernel.dids);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, stop_old_kernel, state),
			0);

	seg->dev_table = iommu_alloc_pages_sz(GFP_KERNEL,
					      DEVICES * sizeof(*seg->dev_table));
	KUNIT_ASSERT_NOT_NULL(test, seg->dev_table);
	fill_table();
}

/* The table that is corrupted below is good: the matrix starts from there */
static void __init test_good(struct kunit *test)
{
	static const enum outcome outcomes[USED_DEVICES] = {
		[0] = BLOCKS,
		[HOST] = HOST_TABLE,
		[HOST_6_LEVELS] = HOST_TABLE,
		[GUEST] = GUEST_TABLE,
		[GUEST_PASIDS] = GUEST_TABLE,
		[GUEST_TWO_LEVELS] = GUEST_TABLE,
		[HOST_PASIDS] = HOST_TABLE,
		[NESTED_TABLES] = UNSUPPORTED,
		[READ_ONLY] = UNSUPPORTED,
		[NOT_TRANSLATED] = BLOCKS,
		[BLOCKED] = BLOCKS,
		[NO_PAGES] = IDENTITY,
		[NOT_VALID] = IDENTITY,
	};
	unsigned int i;

	start_old_kernel(test);
	for (i = 0; i < USED_DEVICES; i++)
		KUNIT_EXPECT_EQ_MSG(test, spec_lookup(old_dte(i)).outcome,
				    outcomes[i], "entry %u", i);
	take_over_and_judge(true, "nothing", 0);
}

/* The matrix */

static bool __init point_to(u64 *entry, u64 phys)
{
	const u64 root = GENMASK_ULL(51, 12), gcr3 = GENMASK_ULL(60, 58);
	u64 good = entry[1];
	bool ok;

	ok = corrupt_word("host root", entry, (entry[0] & ~root) | phys, false);
	ok &= corrupt_word("interrupt table", entry + 2,
			   (entry[2] & ~root) | phys, false);
	entry[1] = (entry[1] & ~(GENMASK_ULL(63, 43) | GENMASK_ULL(31, 16))) |
		   gcr3_bits_1(phys);
	ok &= corrupt_word("GCR3 root", entry,
			   (entry[0] & ~gcr3) | gcr3_bits_0(phys), false);
	entry[1] = good;
	return ok;
}

static void __init corrupt_entry(u64 *entry)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(dte_fields); i++)
		if (!corrupt_field(&dte_fields[i], entry))
			return;
	for (i = 0; i < ARRAY_SIZE(bad_pointers); i++)
		if (!point_to(entry, bad_pointers[i]))
			return;
	/* Itself, loops, aliases */
	for (i = 0; i < OLD_PAGES; i++)
		if (!point_to(entry, OLD(i)))
			return;
}

static void __init test_fields(struct kunit *test)
{
	unsigned int i;

	start_old_kernel(test);
	for (i = 0; i < USED_DEVICES; i++)
		corrupt_entry(old_dte(i));
	kunit_info(test, "%u corrupted tables", crashed.count);
}

/* The entries of GCR3 tables */
static void __init test_gcr3_fields(struct kunit *test)
{
	static const unsigned int tables[] = {
		OLD_GCR3_ALONE, OLD_GCR3, OLD_GCR3_TOP
	};
	unsigned int i, n;

	start_old_kernel(test);
	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		u64 *word = crashed.mem[tables[i]];

		for (n = 0; n < 64; n++)
			corrupt_word("GCR3", word, *word ^ BIT_ULL(n), false);
		for (n = 0; n < ARRAY_SIZE(bad_pointers); n++)
			corrupt_word("GCR3", word, bad_pointers[n] | 1, false);
		for (n = 0; n < OLD_PAGES; n++)
			corrupt_word("GCR3", word, OLD(n) | 1, true);
		corrupt_word("GCR3", word, U64_MAX, false);
	}
	kunit_info(test, "%u corrupted tables", crashed.count);
}

/* What hardware cannot do is not what it did */
static void __init test_capabilities(struct kunit *test)
{
	struct iommu_kdump_tables tables;

	start_old_kernel(test);
#define DECODE(devid) decode((void *)old_dte(devid), false, &tables)
	KUNIT_EXPECT_EQ(test, DECODE(HOST_6_LEVELS), 0);
	KUNIT_EXPECT_EQ(test, DECODE(GUEST), 0);
	KUNIT_EXPECT_EQ(test, DECODE(GUEST_PASIDS), 0);
	KUNIT_EXPECT_EQ(test, DECODE(GUEST_TWO_LEVELS), 0);
	/* HATS: 4 and 5 levels */
	amd_iommu_efr = TEST_FEATURES & ~GENMASK_ULL(11, 10);
	KUNIT_EXPECT_EQ(test, DECODE(HOST), 0);
	KUNIT_EXPECT_EQ(test, DECODE(HOST_6_LEVELS), -EUCLEAN);
	amd_iommu_efr |= 1 << 10;
	KUNIT_EXPECT_EQ(test, DECODE(HOST_6_LEVELS), -EUCLEAN);
	/* GATS, GLXSup, GTSup */
	amd_iommu_efr = TEST_FEATURES & ~GENMASK_ULL(13, 12);
	KUNIT_EXPECT_EQ(test, DECODE(GUEST), 0);
	KUNIT_EXPECT_EQ(test, DECODE(GUEST_PASIDS), -EUCLEAN);
	amd_iommu_efr = TEST_FEATURES & ~GENMASK_ULL(15, 14);
	KUNIT_EXPECT_EQ(test, DECODE(GUEST), 0);
	KUNIT_EXPECT_EQ(test, DECODE(GUEST_TWO_LEVELS), -EUCLEAN);
	amd_iommu_efr = TEST_FEATURES & ~BIT_ULL(4);
	KUNIT_EXPECT_EQ(test, DECODE(HOST), 0);
	KUNIT_EXPECT_EQ(test, DECODE(GUEST), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, DECODE(HOST_PASIDS), -EUCLEAN);
	amd_iommu_efr = TEST_FEATURES;
	amd_iommu_hatdis = true;
	KUNIT_EXPECT_EQ(test, DECODE(HOST), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, DECODE(GUEST), 0);
#undef DECODE
}

static void __init test_corrupt_table(struct kunit *test)
{
	start_old_kernel(test);
	aim_at(old_dte(0), old_dte(USED_DEVICES), true);
	aim_at(crashed.mem[OLD_HOST_ROOT], crashed.mem[OLD_PAGES], false);
	corrupt_randomly(test);
}

/* This kernel does not remap interrupts, the crashed one did */
static void __init test_no_irq_remap(struct kunit *test)
{
	struct take_over_stats stats = {};

	start_old_kernel(test);
	reset_table();
	amd_iommu_irq_remap = false;
	copy_entry(old_kernel.seg, HOST, (void *)old_dte(HOST), &stats);
	KUNIT_EXPECT_EQ(test, old_kernel.seg->dev_table[HOST].data[2], 1);
	KUNIT_EXPECT_EQ(test, stats.entries, 1);
}

/* Section 2.2.5.2: where the interrupts of a guest go */
static void __init test_guest_interrupts(struct kunit *test)
{
	static const struct {
		bool guest_mode;
		u64 lo;
		u64 root;
		bool copied;
	} irtes[] = {
		{ true, BIT(7) | 1, OLD(OLD_GUEST_ROOT), true },
		{ true, BIT(7) | 1, SOME_MMIO, false },
		{ true, BIT(7) | 1, OLD(OLD_PAGES), false },
		{ true, BIT(7) | 1, 0, false },
		{ true, BIT(7) | 1, GENMASK_ULL(51, 12), false },
		/* Not valid, not in guest mode, no guest mode at all */
		{ true, BIT(7), SOME_MMIO, true },
		{ true, 1, SOME_MMIO, true },
		{ false, BIT(7) | 1, SOME_MMIO, true },
	};
	/* The table that fill_table() sets has 512 entries of 16 bytes */
	static const unsigned int at[] = { 0, 1, 255, 256, 511 };
	unsigned int i, j;

	start_old_kernel(test);
	for (i = 0; i < ARRAY_SIZE(irtes); i++) {
		for (j = 0; j < ARRAY_SIZE(at); j++) {
			struct take_over_stats stats = {
				.guest_mode = irtes[i].guest_mode,
			};
			u64 *irte = crashed.mem[OLD_IRQ] + at[j] * 2;

			irte[0] = irtes[i].lo;
			irte[1] = irtes[i].root | 0x31;
			reset_table();
			copy_entry(old_kernel.seg, HOST, (void *)old_dte(HOST),
				   &stats);
			KUNIT_EXPECT_EQ_MSG(test, stats.vapics, !irtes[i].copied,
					    "entry %u at %u", i, at[j]);
			KUNIT_EXPECT_EQ_MSG(test,
					    old_kernel.seg->dev_table[HOST].data[2],
					    irtes[i].copied ? old_dte(HOST)[2] : 1,
					    "entry %u at %u", i, at[j]);
			/* DMA goes on whatever happens to interrupts */
			KUNIT_EXPECT_EQ(test, stats.entries, 1);
			irte[0] = 0;
			irte[1] = 0;
		}
	}
}

/* Which part of which table is copied */

static struct amd_iommu *__init new_iommu(struct kunit *test, u64 base)
{
	struct amd_iommu *iommu = kunit_kzalloc(test, sizeof(*iommu),
						GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, iommu);
	iommu->pci_seg = old_kernel.seg;
	iommu->mmio_base = (__force u8 __iomem *)kunit_kzalloc(test, SZ_4K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, (__force void *)iommu->mmio_base);
	writeq(base, iommu->mmio_base + MMIO_DEV_TABLE_OFFSET);
	return iommu;
}

static void __init expect_copied(struct kunit *test, u64 base, bool low,
				 bool high)
{
	struct amd_iommu *iommu = new_iommu(test, base);
	struct take_over_stats stats = {};

	reset_table();
	copy_table(iommu, true, &stats);
	KUNIT_EXPECT_EQ_MSG(test, test_bit(HOST, old_kernel.seg->kdump_inherited),
			    low, "base %#llx", base);
	KUNIT_EXPECT_EQ_MSG(test, test_bit(ENTRIES_PER_PAGE + HOST,
					   old_kernel.seg->kdump_inherited),
			    high, "base %#llx", base);
	KUNIT_EXPECT_EQ(test, crashed.mapped_pages, 0);
	KUNIT_EXPECT_PTR_EQ(test, (void *)crashed.broken, NULL);
}

static void __init test_base_register(struct kunit *test)
{
	start_old_kernel(test);
	memcpy(old_dte(ENTRIES_PER_PAGE + HOST), old_dte(HOST),
	       sizeof(struct dev_table_entry));
	/* The size of the table is in 4K pages, less one */
	expect_copied(test, OLD_RAM | 1, true, true);
	expect_copied(test, OLD_RAM, true, false);
	expect_copied(test, OLD_RAM | 511, true, true);
	/* Not a table, but nothing that says so: V = 0 all over */
	expect_copied(test, OLD(OLD_DEV_TABLE_1) | 1, true, true);
	/* The last page of RAM, the one before the first */
	memcpy(crashed.mem[OLD_PAGES - 1], crashed.mem[OLD_DEV_TABLE],
	       SZ_4K);
	expect_copied(test, OLD(OLD_PAGES - 1) | 1, true, false);
	expect_copied(test, (OLD_RAM - SZ_4K) | 1, false, true);
	expect_copied(test, OLD(OLD_PAGES) | 1, false, false);
	expect_copied(test, CRASH_MEM | 1, false, false);
	expect_copied(test, SOME_MMIO | 1, false, false);
	expect_copied(test, 1, false, false);
	expect_copied(test, U64_MAX, false, false);
}

/* Each IOMMU is asked for what it serves */
static void __init test_owners(struct kunit *test)
{
	struct amd_iommu *a, *b;
	struct take_over_stats stats = {};
	unsigned long *copied;

	start_old_kernel(test);
	copied = old_kernel.seg->kdump_inherited;
	a = new_iommu(test, OLD_RAM);
	b = new_iommu(test, OLD_RAM);
	old_kernel.seg->rlookup_table[HOST] = a;
	old_kernel.seg->rlookup_table[GUEST] = b;
	reset_table();
	copy_table(a, true, &stats);
	KUNIT_EXPECT_TRUE(test, test_bit(HOST, copied));
	KUNIT_EXPECT_FALSE(test, test_bit(GUEST, copied));
	KUNIT_EXPECT_TRUE(test, test_bit(HOST_6_LEVELS, copied));
	reset_table();
	copy_table(b, false, &stats);
	KUNIT_EXPECT_FALSE(test, test_bit(HOST, copied));
	KUNIT_EXPECT_TRUE(test, test_bit(GUEST, copied));
	KUNIT_EXPECT_FALSE(test, test_bit(HOST_6_LEVELS, copied));
}

/* A domain ID is free when the last entry that leads to it is gone, not before */
static void __init test_domain_ids(struct kunit *test)
{
	struct dev_table_entry *table;

	start_old_kernel(test);
	table = old_kernel.seg->dev_table;
	take_over_and_judge(true, "nothing", 0);
	/* 7 is used three times, 14 by an entry that blocks */
	KUNIT_EXPECT_TRUE(test, ida_exists(&old_kernel.dids, 7));
	KUNIT_EXPECT_FALSE(test, ida_exists(&old_kernel.dids, 14));
	amd_iommu_kdump_put_entry(&table[HOST]);
	amd_iommu_kdump_put_entry(&table[HOST_6_LEVELS]);
	KUNIT_EXPECT_FALSE(test, amd_iommu_kdump_free_dids());
	KUNIT_EXPECT_TRUE(test, ida_exists(&old_kernel.dids, 7));
	amd_iommu_kdump_put_entry(&table[HOST_PASIDS]);
	KUNIT_EXPECT_TRUE(test, amd_iommu_kdump_free_dids());
	KUNIT_EXPECT_FALSE(test, ida_exists(&old_kernel.dids, 7));
	KUNIT_EXPECT_TRUE(test, ida_exists(&old_kernel.dids, 8));
	clear_bit(HOST, old_kernel.seg->kdump_inherited);
	clear_bit(HOST_6_LEVELS, old_kernel.seg->kdump_inherited);
	clear_bit(HOST_PASIDS, old_kernel.seg->kdump_inherited);
}

/* A device with two requester IDs: both must have one translation */
static void __init test_aliases(struct kunit *test)
{
	struct iommu_kdump_tables tables = {};
	struct inherit_data inherit = { .tables = &tables };

	start_old_kernel(test);
	inherit.pci_seg = old_kernel.seg;
	take_over_and_judge(false, "nothing", 0);
	KUNIT_EXPECT_EQ(test, inherit_one(NULL, HOST, &inherit), 0);
	/* Blocked, beyond the table, and the same tables */
	KUNIT_EXPECT_EQ(test, inherit_one(NULL, BLOCKED, &inherit), 0);
	KUNIT_EXPECT_EQ(test, inherit_one(NULL, DEVICES, &inherit), 0);
	KUNIT_EXPECT_EQ(test, inherit_one(NULL, HOST_PASIDS, &inherit), 0);
	KUNIT_EXPECT_EQ(test, tables.id, 7);
	/* More levels, none, another format */
	KUNIT_EXPECT_EQ(test, inherit_one(NULL, HOST_6_LEVELS, &inherit),
			-EUCLEAN);
	KUNIT_EXPECT_EQ(test, inherit_one(NULL, NO_PAGES, &inherit), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, inherit_one(NULL, GUEST, &inherit), -EUCLEAN);
	KUNIT_EXPECT_EQ(test, tables.root, OLD(OLD_HOST_ROOT));
}

static struct kunit_case __refdata amd_kdump_test_cases[] = {
	KUNIT_CASE(test_good),
	KUNIT_CASE(test_fields),
	KUNIT_CASE(test_gcr3_fields),
	KUNIT_CASE(test_capabilities),
	KUNIT_CASE(test_corrupt_table),
	KUNIT_CASE(test_no_irq_remap),
	KUNIT_CASE(test_guest_interrupts),
	KUNIT_CASE(test_base_register),
	KUNIT_CASE(test_owners),
	KUNIT_CASE(test_domain_ids),
	KUNIT_CASE(test_aliases),
	{}
};

static struct kunit_suite amd_kdump_test_suite = {
	.name = "amd_kdump",
	.test_cases = amd_kdump_test_cases,
};

kunit_test_init_section_suites(&amd_kdump_test_suite);
