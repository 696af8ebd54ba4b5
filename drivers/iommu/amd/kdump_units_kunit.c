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
