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
	seg->dev_table_base = virt_to_phys(seg->dev_table) | 1;
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
		int guest_ir;
		u64 lo;
		u64 root;
		bool copied;
	} irtes[] = {
		{ AMD_IOMMU_GUEST_IR_VAPIC, BIT(7) | 1, OLD(OLD_GUEST_ROOT), true },
		{ AMD_IOMMU_GUEST_IR_VAPIC, BIT(7) | 1, SOME_MMIO, false },
		{ AMD_IOMMU_GUEST_IR_VAPIC, BIT(7) | 1, OLD(OLD_PAGES), false },
		{ AMD_IOMMU_GUEST_IR_VAPIC, BIT(7) | 1, 0, false },
		{ AMD_IOMMU_GUEST_IR_VAPIC, BIT(7) | 1, GENMASK_ULL(51, 12), false },
		/* Not valid, not in guest mode */
		{ AMD_IOMMU_GUEST_IR_VAPIC, BIT(7), SOME_MMIO, true },
		{ AMD_IOMMU_GUEST_IR_VAPIC, 1, SOME_MMIO, true },
		/* This kernel has no guest mode, or entries without such a mode */
		{ AMD_IOMMU_GUEST_IR_LEGACY_GA, BIT(7) | 1, OLD(OLD_GUEST_ROOT), false },
		{ AMD_IOMMU_GUEST_IR_LEGACY_GA, 1, SOME_MMIO, true },
		{ AMD_IOMMU_GUEST_IR_LEGACY, BIT(7) | 1, SOME_MMIO, true },
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
			amd_iommu_guest_ir = irtes[i].guest_ir;
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

#include "kdump_entries_kunit.c"
#include "kdump_units_kunit.c"

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
	KUNIT_CASE(test_table_moves),
	KUNIT_CASE(test_control),
	KUNIT_CASE(test_locked_table),
	KUNIT_CASE(test_locked_all),
	KUNIT_CASE(test_shutdown),
	{}
};

static struct kunit_suite amd_kdump_test_suite = {
	.name = "amd_kdump",
	.test_cases = amd_kdump_test_cases,
};

kunit_test_init_section_suites(&amd_kdump_test_suite);
