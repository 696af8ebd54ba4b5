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

#include <kunit/device.h>
#include <linux/kexec.h>

#define DEVICES		256
/* No machine has so many */
#define SEGMENT		0x7ff0

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
	/* Serves all of the segment */
	struct amd_iommu *iommu;
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
	{ "reserved", 3, 0, 63, RESERVED },
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

/* Section 2.2.5.2: a virtual APIC must be in the crashed kernel's memory */
static bool spec_irtes(u64 table, unsigned int nr)
{
	const u64 *irte = crashed.mem[0] + (table - OLD_RAM) / sizeof(u64);

	for (; nr--; irte += 2) {
		if ((irte[0] & 0x81) == 0x81 &&
		    !spec_table(irte[1] & GENMASK_ULL(51, 12)))
			return false;
	}
	return true;
}

/* Section 2.2.5: what goes on with interrupts, whatever becomes of DMA */
static u64 spec_interrupts(const u64 *dte, u64 before)
{
	u64 table = bits(dte, 2, 6, 51) << 6, len = bits(dte, 2, 1, 4);
	const u64 mask = GENMASK_ULL(63, 56) | GENMASK_ULL(51, 0);

	if (bits(dte, 2, 0, 0) && bits(dte, 2, 60, 61) == 2) {
		/* 2048 entries at most, of 16 bytes at most */
		if (len > 11 || table < OLD_RAM ||
		    table + (16ULL << len) > OLD(OLD_PAGES) ||
		    !spec_irtes(table, 1 << len))
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

static void init_entries(struct amd_iommu *iommu)
{
	iommu_kdump_entries_init(&iommu->kdump, &entry_ops,
				 &amd_iommu_kdump_dids, "a test");
	iommu->iommu.kdump = &iommu->kdump;
}

static void leave_entries(struct amd_iommu *iommu)
{
	unsigned int i;

	for (i = 0; i < DEVICES; i++)
		amd_iommu_kdump_entry_left(iommu, i,
					   &old_kernel.seg->dev_table[i]);
	iommu_kdump_entries_destroy(&iommu->kdump);
}

static void reset_table(void)
{
	unsigned int i;

	leave_entries(old_kernel.iommu);
	for (i = 0; i < DEVICES; i++)
		block_entry(&old_kernel.seg->dev_table[i]);
	iommu_kdump_ids_destroy(&amd_iommu_kdump_dids);
	ida_destroy(&old_kernel.dids);
	ida_init(&old_kernel.dids);
	iommu_kdump_ids_init(&amd_iommu_kdump_dids, &old_kernel.dids, 1,
			     MAX_DOMAIN_ID - 1);
	init_entries(old_kernel.iommu);
}

static bool is_old(unsigned int devid)
{
	return iommu_kdump_entry_is_old(&old_kernel.iommu->kdump, devid);
}

/* What the core is told of a requester ID */
static int lookup(unsigned int devid, struct iommu_kdump_tables *tables)
{
	u64 gcr3;

	if (iommu_kdump_entry_was_refused(&old_kernel.iommu->kdump, devid))
		return -EUCLEAN;
	if (!is_old(devid))
		return 0;
	return decode(&old_kernel.seg->dev_table[devid], true, tables, &gcr3);
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
	u64 guest_0 = 0, guest_1 = 0;
	const char *error;
	int ret;

	if ((new[2] & irq) != spec_interrupts(old, 1))
		return "has wrong interrupts";
	ret = lookup(devid, &tables);

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
		guest_0 |= BIT_ULL(55);
		if ((new[0] & guest_0) || (new[1] & guest_1))
			return "has PASIDs";
	}
	if ((new[0] & ~guest_0) != (old[0] & ~guest_0) ||
	    (new[1] & ~guest_1) != (old[1] & ~guest_1) ||
	    (new[2] & ~irq) != (old[2] & ~irq) || new[3])
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
	    tables.format != (v.outcome == GUEST_TABLE ? PD_MODE_V2 :
							 PD_MODE_V1))
		return "has another page table";
	return NULL;
}

static int __init take_over_one(unsigned int devid, bool irqs)
{
	struct amd_iommu *iommu = old_kernel.iommu;
	int ret = take_over_entry(iommu, devid, (void *)old_dte(devid), irqs);

	if (ret < 0)
		iommu_kdump_refuse_entries(&iommu->kdump, devid, 1);
	return ret;
}

static bool __init take_over_and_judge(bool all, const char *what, u64 value)
{
	unsigned int i, nr = all ? ENTRIES_PER_PAGE : USED_DEVICES;

	reset_table();
	for (i = 0; i < nr; i++)
		take_over_one(i, true);
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
	int guest_ir;
	enum protection_domain_mode pgtable;
};

static void stop_old_kernel(void *data)
{
	struct iommu_dev_data *dev_data, *next;
	struct driver_state *state = data;

	if (old_kernel.seg->dev_table) {
		reset_table();
		iommu_free_pages(old_kernel.seg->dev_table);
	}
	iommu_kdump_entries_destroy(&old_kernel.iommu->kdump);
	iommu_kdump_ids_destroy(&amd_iommu_kdump_dids);
	amd_iommu_kdump_dids.ida = NULL;
	ida_destroy(&old_kernel.dids);
	llist_for_each_entry_safe(dev_data, next,
				  old_kernel.seg->dev_data_list.first,
				  dev_data_list)
		kfree(dev_data);
	list_del(&old_kernel.seg->list);
	amd_iommu_efr = state->efr;
	amd_iommu_hatdis = state->hatdis;
	amd_iommu_irq_remap = state->irq_remap;
	amd_iommu_guest_ir = state->guest_ir;
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

/* Registers and buffers in memory: commands are carried out as soon as they are there */
static struct amd_iommu *__init new_iommu(struct kunit *test, u64 base)
{
	struct amd_iommu *iommu = kunit_kzalloc(test, sizeof(*iommu),
						GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, iommu);
	iommu->pci_seg = old_kernel.seg;
	iommu->mmio_base = (__force u8 __iomem *)kunit_kzalloc(test, SZ_16K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, (__force void *)iommu->mmio_base);
	writeq(base, iommu->mmio_base + MMIO_DEV_TABLE_OFFSET);
	writeq(BIT_ULL(17), iommu->mmio_base + MMIO_CONTROL_OFFSET);
	iommu->cmd_buf = kunit_kzalloc(test, CMD_BUFFER_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, iommu->cmd_buf);
	iommu->cmd_sem = kunit_kzalloc(test, sizeof(u64), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, (void *)iommu->cmd_sem);
	*iommu->cmd_sem = S64_MAX;
	raw_spin_lock_init(&iommu->lock);
	iommu->flags = AMD_IOMMU_FLAG_TRANS_PRE_ENABLED;
	return iommu;
}

/* Section 2.4: how many commands of a kind there have been for an ID, and forget them */
static unsigned int commands(unsigned int opcode, unsigned int word, u16 id)
{
	struct amd_iommu *iommu = old_kernel.iommu;
	u32 *cmd = (u32 *)iommu->cmd_buf;
	unsigned int nr = 0;

	for (; (u8 *)cmd < iommu->cmd_buf + iommu->cmd_buf_tail; cmd += 4)
		nr += cmd[1] >> 28 == opcode && (u16)cmd[word] == id;
	return nr;
}

static unsigned int entry_flushes(u16 devid)
{
	return commands(2, 0, devid);
}

static unsigned int domain_flushes(u16 did)
{
	return commands(3, 1, did);
}

static void forget_commands(void)
{
	old_kernel.iommu->cmd_buf_tail = 0;
}

static u16 entry_did(unsigned int devid)
{
	return old_kernel.seg->dev_table[devid].data[1];
}

static unsigned long did_users(u16 did)
{
	void *users = xa_load(&amd_iommu_kdump_dids.users, did);

	return users ? xa_to_value(users) : 0;
}

static void __init start_old_kernel(struct kunit *test)
{
	struct amd_iommu_pci_seg *seg;
	struct driver_state *state;
	unsigned int i;

	/* Not beside a driver that has taken something over */
	if (amd_iommu_kdump_dids.ida || !list_empty(&amd_iommu_list))
		kunit_skip(test, "the driver is in use");

	memset(&old_kernel, 0, sizeof(old_kernel));
	old_start(test);
	seg = kunit_kzalloc(test, sizeof(*seg), GFP_KERNEL);
	state = kunit_kzalloc(test, sizeof(*state), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, seg);
	KUNIT_ASSERT_NOT_NULL(test, state);
	old_kernel.seg = seg;
	seg->id = SEGMENT;
	seg->last_bdf = DEVICES - 1;
	seg->rlookup_table = kunit_kcalloc(test, DEVICES, sizeof(void *),
					   GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, seg->rlookup_table);
	seg->alias_table = kunit_kcalloc(test, DEVICES, sizeof(u16),
					 GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, seg->alias_table);
	old_kernel.iommu = new_iommu(test, OLD_RAM);
	for (i = 0; i < DEVICES; i++) {
		seg->rlookup_table[i] = old_kernel.iommu;
		seg->alias_table[i] = i;
	}

	state->efr = amd_iommu_efr;
	state->hatdis = amd_iommu_hatdis;
	state->irq_remap = amd_iommu_irq_remap;
	state->guest_ir = amd_iommu_guest_ir;
	state->pgtable = amd_iommu_pgtable;
	amd_iommu_efr = TEST_FEATURES;
	amd_iommu_hatdis = false;
	amd_iommu_irq_remap = true;
	amd_iommu_guest_ir = AMD_IOMMU_GUEST_IR_VAPIC;
	ida_init(&old_kernel.dids);
	iommu_kdump_ids_init(&amd_iommu_kdump_dids, &old_kernel.dids, 1,
			     MAX_DOMAIN_ID - 1);
	init_entries(old_kernel.iommu);
	list_add(&seg->list, &amd_iommu_pci_seg_list);
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
	u64 gcr3;

	start_old_kernel(test);
#define DECODE(devid) decode((void *)old_dte(devid), false, &tables, &gcr3)
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

/* The old tables are of use only where this kernel remaps, with entries of their size */
static void __init test_no_irq_remap(struct kunit *test)
{
	static const struct {
		u64 control;
		int guest_ir;
		bool remap;
		bool copied;
	} kernels[] = {
		{ BIT_ULL(17), AMD_IOMMU_GUEST_IR_VAPIC, true, true },
		{ BIT_ULL(17), AMD_IOMMU_GUEST_IR_LEGACY_GA, true, true },
		{ 0, AMD_IOMMU_GUEST_IR_LEGACY, true, true },
		{ BIT_ULL(17), AMD_IOMMU_GUEST_IR_VAPIC, false, false },
		{ BIT_ULL(17), AMD_IOMMU_GUEST_IR_LEGACY, true, false },
		{ 0, AMD_IOMMU_GUEST_IR_VAPIC, true, false },
	};
	unsigned int i;

	start_old_kernel(test);
	for (i = 0; i < ARRAY_SIZE(kernels); i++) {
		reset_table();
		amd_iommu_irq_remap = kernels[i].remap;
		amd_iommu_guest_ir = kernels[i].guest_ir;
		writeq(kernels[i].control,
		       old_kernel.iommu->mmio_base + MMIO_CONTROL_OFFSET);
		take_over_table(old_kernel.iommu);
		KUNIT_EXPECT_EQ_MSG(test, old_kernel.seg->dev_table[HOST].data[2],
				    kernels[i].copied ? old_dte(HOST)[2] : 1,
				    "kernel %u", i);
		/* DMA goes on whatever happens to interrupts */
		KUNIT_EXPECT_TRUE(test, is_old(HOST));
	}
}

/* Section 2.2.5.2: where the interrupts of a guest go */
static void __init test_guest_interrupts(struct kunit *test)
{
	static const struct {
		bool ga;
		u64 lo;
		u64 root;
		bool copied;
	} irtes[] = {
		{ true, BIT(7) | 1, OLD(OLD_GUEST_ROOT), true },
		{ true, BIT(7) | 1, SOME_MMIO, false },
		{ true, BIT(7) | 1, OLD(OLD_PAGES), false },
		{ true, BIT(7) | 1, 0, false },
		{ true, BIT(7) | 1, GENMASK_ULL(51, 12), false },
		/* Not valid, not in guest mode, entries without such a mode */
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
			u64 *irte = crashed.mem[OLD_IRQ] + at[j] * 2;

			irte[0] = irtes[i].lo;
			irte[1] = irtes[i].root | 0x31;
			amd_iommu_guest_ir = irtes[i].ga ?
					     AMD_IOMMU_GUEST_IR_VAPIC :
					     AMD_IOMMU_GUEST_IR_LEGACY;
			reset_table();
			/* DMA goes on whatever happens to interrupts */
			KUNIT_EXPECT_EQ(test, take_over_one(HOST, true), 1);
			KUNIT_EXPECT_EQ_MSG(test,
					    old_kernel.seg->dev_table[HOST].data[2],
					    irtes[i].copied ? old_dte(HOST)[2] : 1,
					    "entry %u at %u", i, at[j]);
			irte[0] = 0;
			irte[1] = 0;
		}
	}
}

/* Which part of which table is copied */

static void __init expect_copied(struct kunit *test, u64 base, bool low,
				 bool high)
{
	struct amd_iommu *iommu = old_kernel.iommu;

	reset_table();
	writeq(base, iommu->mmio_base + MMIO_DEV_TABLE_OFFSET);
	take_over_table(iommu);
	KUNIT_EXPECT_EQ_MSG(test, is_old(HOST), low, "base %#llx", base);
	KUNIT_EXPECT_EQ_MSG(test, is_old(ENTRIES_PER_PAGE + HOST), high,
			    "base %#llx", base);
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

static struct amd_iommu *__init second_iommu(struct kunit *test, bool on)
{
	struct amd_iommu *iommu = new_iommu(test, OLD_RAM);

	if (!on)
		iommu->flags = 0;
	init_entries(iommu);
	return iommu;
}

static void forget_iommus(void *second)
{
	leave_entries(second);
	INIT_LIST_HEAD(&amd_iommu_list);
}

/* The IOMMUs of the machine, in this order */
static void __init list_iommus(struct kunit *test, struct amd_iommu *first,
			       struct amd_iommu *second)
{
	list_add_tail(&first->list, &amd_iommu_list);
	list_add_tail(&second->list, &amd_iommu_list);
	KUNIT_ASSERT_EQ(test,
			kunit_add_action_or_reset(test, forget_iommus,
						  first == old_kernel.iommu ?
						  second : first), 0);
}

static void __init test_owners(struct kunit *test)
{
	struct amd_iommu *a, *b;

	start_old_kernel(test);
	a = old_kernel.iommu;
	b = second_iommu(test, true);
	list_iommus(test, a, b);
	old_kernel.seg->rlookup_table[GUEST] = b;
	old_kernel.seg->rlookup_table[HOST_6_LEVELS] = NULL;
	reset_table();
	take_over_table(a);
	KUNIT_EXPECT_TRUE(test, is_old(HOST));
	KUNIT_EXPECT_FALSE(test, is_old(GUEST));
	/* Nobody's: the first one is asked */
	KUNIT_EXPECT_TRUE(test, is_old(HOST_6_LEVELS));
	reset_table();
	take_over_table(b);
	KUNIT_EXPECT_FALSE(test, is_old(GUEST));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_is_old(&b->kdump, GUEST));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_is_old(&b->kdump, HOST));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_is_old(&b->kdump, HOST_6_LEVELS));
}

/* An IOMMU that was off, with another one that was on or off beside it */
static void __init expect_pass_through(struct kunit *test, bool off_is_first,
				       bool other_is_on)
{
	const u64 pass = 3ULL << 61 | 3, blocked = amd_iommu_blocked_dte_flags();
	struct dev_table_entry *table = old_kernel.seg->dev_table;
	struct amd_iommu *off, *other;

	off = second_iommu(test, false);
	other = old_kernel.iommu;
	other->flags = other_is_on ? AMD_IOMMU_FLAG_TRANS_PRE_ENABLED : 0;
	list_iommus(test, off_is_first ? off : other,
		    off_is_first ? other : off);
	memset(old_kernel.seg->rlookup_table, 0, DEVICES * sizeof(void *));
	old_kernel.seg->rlookup_table[HOST] = other;
	old_kernel.seg->rlookup_table[GUEST] = off;
	old_kernel.seg->rlookup_table[HOST_PASIDS] = off;
	reset_table();
	amd_iommu_kdump_take_over(old_kernel.seg);

	KUNIT_EXPECT_TRUE(test, off->kdump.not_live);
	KUNIT_EXPECT_EQ(test, other->kdump.not_live, !other_is_on);
	KUNIT_EXPECT_EQ(test, table[GUEST].data[0], pass);
	KUNIT_EXPECT_EQ(test, table[HOST].data[0],
			other_is_on ? old_dte(HOST)[0] : pass);
	/* Nobody's requester IDs do not pass through an IOMMU that translates */
	KUNIT_EXPECT_EQ(test, table[BLOCKED].data[0],
			other_is_on ? blocked : pass);
	KUNIT_EXPECT_EQ(test, is_old(HOST_6_LEVELS), other_is_on);
	/* There is nothing to remember of each requester ID */
	KUNIT_EXPECT_TRUE(test, xa_empty(&off->kdump.xa));
	KUNIT_EXPECT_EQ(test, xa_empty(&other->kdump.xa), !other_is_on);

	/* One is in an identity domain by now */
	table[HOST_PASIDS].data[1] |= 15;
	amd_iommu_kdump_end_pass_through();
	KUNIT_EXPECT_FALSE(test, off->kdump.not_live);
	KUNIT_EXPECT_FALSE(test, other->kdump.not_live);
	KUNIT_EXPECT_EQ(test, table[GUEST].data[0], blocked);
	KUNIT_EXPECT_EQ(test, table[HOST_PASIDS].data[0], pass);
	KUNIT_EXPECT_EQ(test, table[HOST].data[0],
			other_is_on ? old_dte(HOST)[0] : blocked);
	KUNIT_EXPECT_EQ(test, table[BLOCKED].data[0], blocked);
	/* Without translation, and the crashed kernel's */
	if (other_is_on)
		KUNIT_EXPECT_EQ(test, table[NO_PAGES].data[0],
				old_dte(NO_PAGES)[0]);
	kunit_release_action(test, forget_iommus, off);
}

static void __init test_pass_through(struct kunit *test)
{
	start_old_kernel(test);
	expect_pass_through(test, false, false);
	expect_pass_through(test, true, false);
	expect_pass_through(test, false, true);
	expect_pass_through(test, true, true);
}

/* A domain ID is free when the last entry that leads to it is gone, not before */
static void __init test_domain_ids(struct kunit *test)
{
	struct amd_iommu *iommu;
	struct dev_table_entry *table;

	start_old_kernel(test);
	iommu = old_kernel.iommu;
	table = old_kernel.seg->dev_table;
	take_over_and_judge(true, "nothing", 0);
	/* 7 is used three times, 14 by an entry that blocks */
	KUNIT_EXPECT_TRUE(test, ida_exists(&old_kernel.dids, 7));
	KUNIT_EXPECT_FALSE(test, ida_exists(&old_kernel.dids, 14));
	amd_iommu_kdump_entry_left(iommu, HOST, &table[HOST]);
	amd_iommu_kdump_entry_left(iommu, HOST_6_LEVELS, &table[HOST_6_LEVELS]);
	/* Once is enough */
	amd_iommu_kdump_entry_left(iommu, HOST, &table[HOST]);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_free_ids(&amd_iommu_kdump_dids));
	KUNIT_EXPECT_TRUE(test, ida_exists(&old_kernel.dids, 7));
	amd_iommu_kdump_entry_left(iommu, HOST_PASIDS, &table[HOST_PASIDS]);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_free_ids(&amd_iommu_kdump_dids));
	KUNIT_EXPECT_FALSE(test, ida_exists(&old_kernel.dids, 7));
	KUNIT_EXPECT_TRUE(test, ida_exists(&old_kernel.dids, 8));
}

/* What the core does with the requester IDs of a device */

struct test_device {
	struct pci_dev pdev;
	struct dev_iommu param;
	struct pci_bus bus;
	struct pci_sysdata sysdata;
	unsigned long aliases[BITS_TO_LONGS(DEVICES)];
};

static struct iommu_dev_data *__init new_device(struct kunit *test, u16 devid)
{
	struct test_device *dev = kunit_kzalloc(test, sizeof(*dev), GFP_KERNEL);
	struct iommu_dev_data *dev_data = find_dev_data(old_kernel.iommu, devid);

	KUNIT_ASSERT_NOT_NULL(test, dev);
	KUNIT_ASSERT_NOT_NULL(test, dev_data);
	dev->sysdata.domain = SEGMENT;
	dev->bus.sysdata = &dev->sysdata;
	dev->pdev.bus = &dev->bus;
	dev->pdev.devfn = devid;
	dev->pdev.dma_alias_mask = dev->aliases;
	dev->pdev.dev.bus = &pci_bus_type;
	dev->pdev.dev.iommu = &dev->param;
	dev->param.iommu_dev = &old_kernel.iommu->iommu;
	dev->param.priv = dev_data;
	dev_data->dev = &dev->pdev.dev;
	return dev_data;
}

static void add_alias(struct iommu_dev_data *dev_data, u8 alias)
{
	set_bit(alias, to_pci_dev(dev_data->dev)->dma_alias_mask);
}

/* A new entry, with another domain ID, as attach and detach set it */
static void set_new_entry(struct kunit *test, struct iommu_dev_data *dev_data,
			  u16 did)
{
	static struct protection_domain domain;
	struct dev_table_entry new = { .data[0] = DTE_FLAG_V };

	dev_data->domain = did ? &domain : NULL;
	if (did) {
		new.data[0] |= OLD(OLD_HOST_ROOT) | 3 << 9 | 2 | 3ULL << 61;
		new.data[1] = did;
	}
	forget_commands();
	amd_iommu_update_dte(old_kernel.iommu, dev_data, &new);
	KUNIT_EXPECT_EQ(test, entry_did(dev_data->devid), did);
}

/* f1 has f0, a device of its own, as alias: one old entry is both's */
static void __init test_aliases(struct kunit *test)
{
	struct iommu_kdump_entries *entries;
	struct iommu_dev_data *f0, *f1;

	start_old_kernel(test);
	entries = &old_kernel.iommu->kdump;
	f0 = new_device(test, HOST);
	f1 = new_device(test, HOST_PASIDS);
	add_alias(f1, HOST);

	take_over_and_judge(false, "nothing", 0);
	KUNIT_EXPECT_EQ(test, did_users(7), 3);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_dev_is_old(entries, f0->dev));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_dev_is_old(entries, f1->dev));

	set_new_entry(test, f0, 20);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_dev_is_old(entries, f0->dev));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_dev_is_old(entries, f1->dev));
	KUNIT_EXPECT_TRUE(test, entry_flushes(HOST));
	KUNIT_EXPECT_EQ(test, domain_flushes(7), 1);
	KUNIT_EXPECT_EQ(test, did_users(7), 2);

	/* The entry of f0 is its own, whatever f1 does */
	set_new_entry(test, f1, 21);
	KUNIT_EXPECT_EQ(test, entry_did(HOST), 20);
	KUNIT_EXPECT_EQ(test, domain_flushes(7), 1);
	KUNIT_EXPECT_EQ(test, did_users(7), 1);
	set_new_entry(test, f1, 0);
	KUNIT_EXPECT_EQ(test, entry_did(HOST), 20);
	KUNIT_EXPECT_EQ(test, domain_flushes(7), 0);
	KUNIT_EXPECT_EQ(test, did_users(7), 1);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_dev_is_old(entries, f1->dev));
}

/* The same, but f1 comes first, or f0 is no device */
static void __init test_alias_first(struct kunit *test)
{
	struct iommu_dev_data *f0, *f1;

	start_old_kernel(test);
	f1 = new_device(test, HOST_PASIDS);
	add_alias(f1, HOST);
	take_over_and_judge(false, "nothing", 0);
	set_new_entry(test, f1, 21);
	KUNIT_EXPECT_EQ(test, entry_did(HOST), 21);
	KUNIT_EXPECT_EQ(test, domain_flushes(7), 2);
	KUNIT_EXPECT_EQ(test, did_users(7), 1);

	f0 = new_device(test, HOST);
	set_new_entry(test, f0, 20);
	KUNIT_EXPECT_EQ(test, entry_did(HOST_PASIDS), 21);
	KUNIT_EXPECT_EQ(test, domain_flushes(7), 0);
	KUNIT_EXPECT_EQ(test, did_users(7), 1);
}

/* The alias that only firmware knows */
static void __init test_own_id(struct kunit *test)
{
	struct iommu_kdump_entries *entries;
	struct iommu_dev_data *dev_data;
	struct device *dev;

	start_old_kernel(test);
	entries = &old_kernel.iommu->kdump;
	dev_data = new_device(test, BLOCKED);
	take_over_and_judge(false, "nothing", 0);
	/* As it is while the device is being probed */
	dev_data->dev->iommu->iommu_dev = NULL;
	KUNIT_EXPECT_EQ(test, own_id(entries, dev_data->dev), BLOCKED);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_dev_is_old(entries, dev_data->dev));
	old_kernel.seg->alias_table[BLOCKED] = HOST;
	KUNIT_EXPECT_EQ(test, own_id(entries, dev_data->dev), HOST);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_dev_is_old(entries, dev_data->dev));

	/* What is not a PCI device has one requester ID */
	dev = kunit_device_register(test, "not-pci");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	dev->iommu = dev_data->dev->iommu;
	KUNIT_EXPECT_EQ(test, own_id(entries, dev), BLOCKED);
	dev->iommu = NULL;
}

/* The domain ID of each kind of entry comes back, and so does what was allocated */
static void __init test_each_leaves(struct kunit *test)
{
	unsigned int i;

	start_old_kernel(test);
	take_over_and_judge(false, "nothing", 0);
	KUNIT_EXPECT_TRUE(test, is_old(NESTED_TABLES));
	KUNIT_EXPECT_TRUE(test, is_old(READ_ONLY));
	KUNIT_EXPECT_TRUE(test, is_old(NOT_VALID));
	KUNIT_EXPECT_FALSE(test, is_old(BLOCKED));
	for (i = 0; i < USED_DEVICES; i++)
		set_new_entry(test, new_device(test, i), i % 2 ? 20 + i : 0);
	iommu_kdump_free_ids(&amd_iommu_kdump_dids);
	KUNIT_EXPECT_TRUE(test, ida_is_empty(&old_kernel.dids));
	for (i = 0; i < USED_DEVICES; i++)
		KUNIT_EXPECT_FALSE(test, is_old(i));
}

/* Devices that keep faulting */

#define MANY_EVENTS	100
#define SA		BIT_ULL(34)
#define IG		BIT_ULL(5)

/* Returns how many of them are in the log */
static unsigned int send_events(u16 devid, int type, unsigned int nr)
{
	struct amd_iommu *iommu = old_kernel.iommu;
	unsigned int logged = 0;

	while (nr--) {
		forget_commands();
		logged += !amd_iommu_kdump_event(iommu, devid, type);
		flush_work(&iommu->kdump.silence_work);
	}
	return logged;
}

static void __init test_silence(struct kunit *test)
{
	static const struct {
		int type;
		bool page_fault;
	} events[] = {
		{ EVENT_TYPE_ILL_DEV },
		{ EVENT_TYPE_IO_FAULT, true },
		{ EVENT_TYPE_DEV_TAB_ERR },
		{ EVENT_TYPE_PAGE_TAB_ERR },
		{ EVENT_TYPE_INV_DEV_REQ },
		{ EVENT_TYPE_INV_PPR_REQ },
	};
	const u64 blocked = amd_iommu_blocked_dte_flags();
	struct dev_table_entry *dte;
	unsigned int i, logged;
	u64 old;

	start_old_kernel(test);
	dte = &old_kernel.seg->dev_table[GUEST];
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		take_over_and_judge(false, "nothing", 0);
		old = dte->data[0];
		logged = send_events(GUEST, events[i].type, 16);
		/* The first answer never costs a device what it may still do */
		KUNIT_EXPECT_TRUE(test, dte->data[1] & SA);
		KUNIT_EXPECT_TRUE(test, dte->data[2] & IG);
		KUNIT_EXPECT_EQ(test, dte->data[0], old);
		KUNIT_EXPECT_TRUE(test, is_old(GUEST));
		KUNIT_EXPECT_EQ(test, entry_flushes(GUEST), 1);

		logged += send_events(GUEST, events[i].type, MANY_EVENTS);
		KUNIT_EXPECT_LE_MSG(test, logged, 16, "event %u", i);
		KUNIT_EXPECT_TRUE(test, dte->data[1] & SA);
		KUNIT_EXPECT_EQ_MSG(test, dte->data[0],
				    events[i].page_fault ? old : blocked,
				    "event %u", i);
		KUNIT_EXPECT_EQ(test, is_old(GUEST), events[i].page_fault);
		KUNIT_EXPECT_EQ(test, did_users(8), events[i].page_fault);
		/* The interrupts of the device are none of this */
		KUNIT_EXPECT_EQ(test, dte->data[2] & ~IG & DTE_DATA2_INTR_MASK,
				old_dte(GUEST)[2]);

		/* Its driver comes: what it does then is reported again */
		set_new_entry(test, new_device(test, GUEST), 30 + i);
		KUNIT_EXPECT_FALSE(test, dte->data[1] & SA);
		KUNIT_EXPECT_EQ(test, did_users(8), 0);
	}
}

/* What stands in an event is what the device has sent */
static void __init test_event_without_entry(struct kunit *test)
{
	struct iommu_kdump_entries *entries;
	struct dev_table_entry *before;
	size_t size = DEVICES * sizeof(*before);

	start_old_kernel(test);
	entries = &old_kernel.iommu->kdump;
	take_over_and_judge(false, "nothing", 0);
	before = kunit_kmalloc(test, size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, before);
	memcpy(before, old_kernel.seg->dev_table, size);
	KUNIT_EXPECT_LE(test, send_events(DEVICES, EVENT_TYPE_IO_FAULT,
					  MANY_EVENTS), 16);
	KUNIT_EXPECT_LE(test, send_events(U16_MAX, EVENT_TYPE_ILL_DEV,
					  MANY_EVENTS), 16);
	amd_iommu_silence_dte(entries, DEVICES);
	amd_iommu_silence_dte(entries, U16_MAX);
	KUNIT_EXPECT_EQ(test, old_kernel.iommu->cmd_buf_tail, 0);
	KUNIT_EXPECT_MEMEQ(test, old_kernel.seg->dev_table, before, size);
	KUNIT_EXPECT_NULL(test, search_dev_data(old_kernel.iommu, U16_MAX));
	/* The last one that there is */
	amd_iommu_silence_dte(entries, DEVICES - 1);
	KUNIT_EXPECT_TRUE(test,
			  old_kernel.seg->dev_table[DEVICES - 1].data[1] & SA);
}

/* The crash kernel's last act does not let old DMA pass */
static void __init test_shutdown(struct kunit *test)
{
	const u64 on = BIT_ULL(12) | BIT_ULL(2) | BIT_ULL(0);
	u8 __iomem *control;

	start_old_kernel(test);
	list_iommus(test, old_kernel.iommu, second_iommu(test, true));
	control = old_kernel.iommu->mmio_base + MMIO_CONTROL_OFFSET;
	writeq(on, control);
	amd_iommu_shutdown();
	KUNIT_EXPECT_EQ(test, readq(control), on);
	/* Another kernel finds what it finds after any kernel */
	kexec_in_progress = true;
	amd_iommu_shutdown();
	kexec_in_progress = false;
	KUNIT_EXPECT_EQ(test, readq(control), 0);
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
	KUNIT_CASE(test_pass_through),
	KUNIT_CASE(test_domain_ids),
	KUNIT_CASE(test_aliases),
	KUNIT_CASE(test_alias_first),
	KUNIT_CASE(test_own_id),
	KUNIT_CASE(test_each_leaves),
	KUNIT_CASE(test_silence),
	KUNIT_CASE(test_event_without_entry),
	KUNIT_CASE(test_shutdown),
	{}
};

static struct kunit_suite amd_kdump_test_suite = {
	.name = "amd_kdump",
	.test_cases = amd_kdump_test_cases,
};

kunit_test_init_section_suites(&amd_kdump_test_suite);
