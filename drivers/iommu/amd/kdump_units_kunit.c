// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the AMD IOMMU driver in a crash kernel, part of kdump_kunit.c: IOMMUs
 * that use the device table of a segment, from the first instant to the last
 */

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

/*
 * An IOMMU that keeps the device table of the crashed kernel. Its base register cannot
 * be written, here because the upper halves of the addresses differ.
 */

static void *old_memremap(u64 paddr, size_t size)
{
	u64 phys = paddr & GENMASK_ULL(51, 12);

	if (!iommu_kdump_is_old_ram(phys, size))
		return NULL;
	return crashed.mem[(phys - OLD_RAM) / SZ_4K];
}

static bool locked_buffer(struct amd_iommu *iommu, u32 offset, u8 **buf, u64 length,
			  size_t size)
{
	return false;
}

/* Returns what hardware has as its base then */
static u64 __init take_over_base(u64 base)
{
	struct amd_iommu *iommu = old_kernel.iommu;

	/* One command flushes all, the buffer has no room for more */
	amd_iommu_efr |= FEATURE_IA;
	take_over_and_judge(false, "nothing", 0);
	writeq(base, iommu->mmio_base + MMIO_DEV_TABLE_OFFSET);
	iommu->old_table = NULL;
	iommu->old_table_entries = 0;
	forget_commands();
	amd_iommu_take_over(iommu);
	return readq(iommu->mmio_base + MMIO_DEV_TABLE_OFFSET);
}

static void __init take_over_locked(struct kunit *test, u64 base)
{
	KUNIT_EXPECT_EQ(test, take_over_base(base), base);
}

static void expect_same(struct kunit *test, unsigned int devid)
{
	KUNIT_EXPECT_MEMEQ(test, old_dte(devid), old_kernel.seg->dev_table[devid].data,
			   sizeof(struct dev_table_entry));
}

static void expect_all_same(struct kunit *test, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		expect_same(test, i);
}

/* What the crashed kernel had set up, and this one has not, is not left on */
static void __init test_control(struct kunit *test)
{
	const u64 on = BIT_ULL(0), ga = BIT_ULL(17), gam = BIT_ULL(25);
	const u64 xt = BIT_ULL(50), intcapxt = BIT_ULL(51), commands = BIT_ULL(12);
	static const int kernels[] = {
		AMD_IOMMU_GUEST_IR_LEGACY, AMD_IOMMU_GUEST_IR_LEGACY_GA,
		AMD_IOMMU_GUEST_IR_VAPIC,
	};
	u64 control, wanted[] = { 0, ga, ga | gam };
	u8 __iomem *mmio;
	unsigned int i;

	start_old_kernel(test);
	mmio = old_kernel.iommu->mmio_base;
	for (i = 0; i < ARRAY_SIZE(kernels); i++) {
		amd_iommu_guest_ir = kernels[i];
		writeq(on | ga | gam | xt | intcapxt, mmio + MMIO_CONTROL_OFFSET);
		take_over_base(SOME_MMIO | 1);
		control = readq(mmio + MMIO_CONTROL_OFFSET);
		KUNIT_EXPECT_EQ_MSG(test, control, on | commands | wanted[i],
				    "kernel %u", i);
		writeq(on, mmio + MMIO_CONTROL_OFFSET);
		take_over_base(SOME_MMIO | 1);
		control = readq(mmio + MMIO_CONTROL_OFFSET);
		/* The log of the guests' interrupts comes first */
		KUNIT_EXPECT_EQ_MSG(test, control, on | commands | (wanted[i] & ~gam),
				    "kernel %u", i);
	}
}

/* What has not been validated does not pass, and the crash kernel has interrupts */
static void __init test_locked_table(struct kunit *test)
{
	struct dev_table_entry *own, new = { .data[0] = DTE_FLAG_V };
	const u64 blocked[4] = { amd_iommu_blocked_dte_flags(), SA, IG | 1 };
	const u64 irq = 0x1234000 | 2ULL << 60 | 9 << 1 | 1;
	struct iommu_dev_data *dev_data;
	unsigned int i;
	u64 *saved;

	start_old_kernel(test);
	kunit_activate_static_stub(test, amd_iommu_memremap, old_memremap);
	own = old_kernel.seg->dev_table;
	saved = kunit_kmalloc(test, SZ_8K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, saved);
	memcpy(saved, old_dte(0), SZ_8K);
	set_dte(BLOCKED, U64_MAX, U64_MAX, U64_MAX);

	take_over_locked(test, OLD_RAM | 1);
	expect_all_same(test, DEVICES);
	KUNIT_EXPECT_TRUE(test, old_dte(HOST)[0] & DTE_FLAG_IR);
	KUNIT_EXPECT_EQ(test, old_dte(BLOCKED)[0], amd_iommu_blocked_dte_flags());
	KUNIT_EXPECT_GT(test, commands(8, 0, 0), 0);

	/* A driver comes, another one has interrupts only */
	dev_data = new_device(test, HOST);
	set_new_entry(test, dev_data, 20);
	expect_same(test, HOST);
	KUNIT_EXPECT_EQ(test, (u16)old_dte(HOST)[1], 20);
	dev_data = new_device(test, BLOCKED);
	WRITE_ONCE(own[BLOCKED].data[2], irq);
	amd_iommu_update_dte(old_kernel.iommu, dev_data, &new);
	KUNIT_EXPECT_EQ(test, old_dte(BLOCKED)[2], irq);
	/* With guest translation, and without again */
	dev_data = new_device(test, GUEST);
	new.data[0] = own[GUEST].data[0];
	new.data[1] = own[GUEST].data[1];
	new.data[2] = BIT_ULL(54);
	amd_iommu_update_dte(old_kernel.iommu, dev_data, &new);
	expect_same(test, GUEST);
	set_new_entry(test, dev_data, 0);
	expect_same(test, GUEST);
	send_events(HOST, EVENT_TYPE_IO_FAULT, 16);
	KUNIT_EXPECT_TRUE(test, old_dte(HOST)[1] & SA);

	/* Larger than ours: what is beyond blocks. Smaller: nothing is beyond. */
	memcpy(old_dte(0), saved, SZ_8K);
	old_dte(DEVICES)[0] = 3ULL << 61 | 3;
	take_over_locked(test, OLD_RAM | 2);
	expect_all_same(test, DEVICES);
	for (i = DEVICES; i < DEVICES + ENTRIES_PER_PAGE; i++)
		KUNIT_EXPECT_MEMEQ(test, old_dte(i), blocked, sizeof(blocked));
	memcpy(old_dte(0), saved, SZ_8K);
	take_over_locked(test, OLD_RAM);
	expect_all_same(test, ENTRIES_PER_PAGE);
	KUNIT_EXPECT_MEMEQ(test, old_dte(ENTRIES_PER_PAGE), saved + SZ_4K / 8, SZ_4K);
	amd_iommu_update_dte(old_kernel.iommu,
			     new_device(test, ENTRIES_PER_PAGE), &new);
	KUNIT_EXPECT_MEMEQ(test, old_dte(ENTRIES_PER_PAGE), saved + SZ_4K / 8, SZ_4K);
}

/* Nor does it take for ever if hardware cannot be told */
static void __init test_locked_all(struct kunit *test)
{
	struct amd_iommu *iommu;
	ktime_t start;

	start_old_kernel(test);
	kunit_activate_static_stub(test, amd_iommu_memremap, old_memremap);
	kunit_activate_static_stub(test, amd_iommu_set_buffer, locked_buffer);
	iommu = old_kernel.iommu;
	*iommu->cmd_sem = 0;
	start = ktime_get();
	take_over_locked(test, OLD(OLD_PAGES) | 1);
	KUNIT_EXPECT_NULL(test, iommu->old_table);
	set_new_entry(test, new_device(test, HOST), 20);
	send_events(GUEST, EVENT_TYPE_IO_FAULT, 16);
	KUNIT_EXPECT_EQ(test, iommu->cmd_buf_tail, 0);
	/* One that waits takes two seconds */
	KUNIT_EXPECT_LT(test, ktime_ms_delta(ktime_get(), start), 2000);
	*iommu->cmd_sem = S64_MAX;
}

/* Where nothing is in the way the old table is left as it was */
static void __init test_table_moves(struct kunit *test)
{
	start_old_kernel(test);
	kunit_activate_static_stub(test, amd_iommu_memremap, old_memremap);
	KUNIT_EXPECT_EQ(test, take_over_base(SOME_MMIO | 1),
			old_kernel.seg->dev_table_base);
	KUNIT_EXPECT_NULL(test, old_kernel.iommu->old_table);
	KUNIT_EXPECT_GT(test, commands(8, 0, 0), 0);
}

#define IW		BIT_ULL(62)
#define SYSMGT_1	BIT_ULL(40)

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
	/* What firmware wants of system management, and what erratum 63 makes of it */
	table[BLOCKED].data[0] = IW;
	table[BLOCKED].data[1] = SYSMGT_1;
	amd_iommu_kdump_take_over(old_kernel.seg);

	KUNIT_EXPECT_EQ(test, table[BLOCKED].data[1] & SYSMGT_1, SYSMGT_1);
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
