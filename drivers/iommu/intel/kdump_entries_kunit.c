// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the Intel IOMMU driver in a crash kernel, part of kdump_kunit.c: devices
 * that replace the entries of the crashed kernel
 */

struct function {
	struct pci_dev pdev;
	struct dev_iommu dev_iommu;
	struct device_domain_info info;
};

static struct function *new_function(struct kunit *test, u8 devfn, int alias)
{
	struct function *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct pci_sysdata *sysdata = kunit_kzalloc(test, sizeof(*sysdata),
						    GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	KUNIT_ASSERT_NOT_NULL(test, sysdata);
	f->pdev.bus = kunit_kzalloc(test, sizeof(*f->pdev.bus), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, f->pdev.bus);
	f->pdev.bus->sysdata = sysdata;
	f->pdev.devfn = devfn;
	f->pdev.dev.bus = &pci_bus_type;
	f->pdev.dev.iommu = &f->dev_iommu;
	f->dev_iommu.priv = &f->info;
	f->info.dev = &f->pdev.dev;
	f->info.iommu = old_kernel.iommu;
	f->info.devfn = devfn;
	RB_CLEAR_NODE(&f->info.node);
	if (alias >= 0) {
		f->pdev.dma_alias_mask = kunit_kzalloc(test, 256 / 8, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, f->pdev.dma_alias_mask);
		__set_bit(alias, f->pdev.dma_alias_mask);
	}
	if (old_kernel.sm)
		KUNIT_ASSERT_EQ(test, intel_pasid_alloc_table(f->info.dev), 0);
	return f;
}

/* With ATS, as the only one that has it */
static void has_ats(struct function *f)
{
	f->info.ats_supported = 1;
	rb_link_node(&f->info.node, NULL,
		     &old_kernel.iommu->device_rbtree.rb_node);
}

static void free_function(struct function *f)
{
	device_block_translation(f->info.dev);
	if (old_kernel.sm) {
		intel_pasid_teardown_sm_context(f->info.dev);
		intel_pasid_free_table(f->info.dev);
	}
}

static struct iommu_domain *new_domain(struct kunit *test, struct function *f)
{
	struct iommu_domain *domain;

	domain = intel_iommu_ops.domain_alloc_paging_flags(f->info.dev, 0, NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(domain));
	return domain;
}

static void attach(struct kunit *test, struct iommu_domain *domain,
		   struct function *f)
{
	KUNIT_ASSERT_EQ(test, domain->ops->attach_dev(domain, f->info.dev, NULL), 0);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_dev_is_old(&old_kernel.iommu->kdump,
							f->info.dev));
}

/* Each domain ID is counted by the old entries that lead to it, by no other */
static void expect_counted(struct kunit *test, u16 did, unsigned int old)
{
	struct intel_iommu *iommu = old_kernel.iommu;
	unsigned int entries = 0, i;
	void *users = xa_load(&iommu->kdump_dids.users, did);

	for (i = 0; i < 256; i++) {
		if (iommu_kdump_entry_is_old(&iommu->kdump, i) &&
		    spec_lookup(0, i).did == did)
			entries++;
	}
	KUNIT_EXPECT_EQ(test, entries, old);
	KUNIT_ASSERT_NOT_NULL(test, users);
	KUNIT_EXPECT_EQ(test, xa_to_value(users), old);
}

static void expect_comes_back(struct kunit *test, u16 did)
{
	struct ida *ida = &old_kernel.iommu->domain_ida;

	expect_counted(test, did, 0);
	KUNIT_EXPECT_TRUE(test, ida_exists(ida, did));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_free_ids(&old_kernel.iommu->kdump_dids));
	KUNIT_EXPECT_FALSE(test, ida_exists(ida, did));
}

static bool leads_to(unsigned int devfn, struct function *f)
{
	const struct context_entry *ce = find_entry(0, devfn);

	return (ce->lo & 1) && (ce->lo & VTD_PAGE_MASK) ==
			       virt_to_phys(f->info.pasid_table->table);
}

/* A domain ID is free when the last entry that leads to it is gone, not before */
static void __init test_domain_ids(struct kunit *test)
{
	struct iommu_kdump_entries *entries;
	struct iommu_kdump_ids *dids;
	struct ida *ida;

	start_old_kernel(test, false);
	entries = &old_kernel.iommu->kdump;
	dids = &old_kernel.iommu->kdump_dids;
	ida = &old_kernel.iommu->domain_ida;
	/* Somebody has it already */
	reset_iommu();
	KUNIT_ASSERT_EQ(test, ida_alloc_range(ida, 12, 12, GFP_KERNEL), 12);
	KUNIT_EXPECT_EQ(test, iommu_kdump_keep_entry(entries, 1, 12), -ENOSPC);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_is_old(entries, 1));
	ida_free(ida, 12);

	take_over_and_judge(false, "nothing", 0);
	/* 7 is used twice, 8 once, 9 by an entry that is not present */
	expect_counted(test, 7, 2);
	expect_counted(test, 8, 1);
	KUNIT_EXPECT_FALSE(test, ida_exists(ida, 9));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_free_ids(dids));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_left(entries, 0x08));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_left(entries, 0x08));
	expect_counted(test, 7, 1);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_free_ids(dids));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_left(entries, 0x88));
	expect_comes_back(test, 7);
	KUNIT_EXPECT_TRUE(test, ida_exists(ida, 8));
	KUNIT_EXPECT_FALSE(test, iommu_kdump_free_ids(dids));
}

/* f1 may send its DMA as f0: the entry of f0 is what f0 has set, whoever comes first */
static void __init test_alias_legacy(struct kunit *test)
{
	struct context_entry *entry, was;
	struct iommu_domain *domain, *other;
	struct function *f0, *f1;

	start_old_kernel(test, false);
	take_over_and_judge(false, "nothing", 0);
	f0 = new_function(test, 0x08, -1);
	f1 = new_function(test, 0x88, 0x08);
	has_ats(f0);
	domain = new_domain(test, f0);
	other = new_domain(test, f0);
	entry = find_entry(0, 0x08);
	expect_counted(test, 7, 2);

	attach(test, domain, f0);
	expect_flushed(test, "ci");
	expect_counted(test, 7, 1);
	was = *entry;
	KUNIT_EXPECT_EQ(test, bits(&was.lo, 0, 0, 3), BIT(2) | 1);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_dev_is_old(&old_kernel.iommu->kdump,
						       f1->info.dev));
	attach(test, domain, f1);
	expect_flushed(test, "ci");
	expect_counted(test, 7, 0);
	KUNIT_EXPECT_MEMEQ(test, entry, &was, sizeof(was));
	/* The group moves, and one after the other is removed */
	attach(test, other, f0);
	attach(test, other, f1);
	KUNIT_EXPECT_NE(test, context_domain_id(entry), context_domain_id(&was));
	KUNIT_EXPECT_EQ(test, context_domain_id(entry),
			context_domain_id(find_entry(0, 0x88)));
	was = *entry;
	KUNIT_EXPECT_EQ(test, bits(&was.lo, 0, 0, 3), BIT(2) | 1);
	free_function(f1);
	KUNIT_EXPECT_EQ(test, find_entry(0, 0x88)->lo, 0);
	KUNIT_EXPECT_MEMEQ(test, entry, &was, sizeof(was));
	free_function(f0);
	KUNIT_EXPECT_EQ(test, entry->lo, 0);
	expect_comes_back(test, 7);

	/* f1 comes first, with what f0 needs in the entry of f0 */
	take_over_and_judge(false, "nothing", 0);
	entry = find_entry(0, 0x08);
	attach(test, domain, f1);
	expect_counted(test, 7, 0);
	KUNIT_EXPECT_EQ(test, bits(&entry->lo, 0, 0, 3), BIT(2) | 1);
	was = *entry;
	attach(test, domain, f0);
	KUNIT_EXPECT_MEMEQ(test, entry, &was, sizeof(was));
	free_function(f0);
	free_function(f1);
	expect_comes_back(test, 7);

	/* f1 cannot be attached, and is blocked: before f0 comes, and after */
	take_over_and_judge(false, "nothing", 0);
	entry = find_entry(0, 0x08);
	attach(test, domain, f0);
	was = *entry;
	device_block_translation(f1->info.dev);
	KUNIT_EXPECT_EQ(test, find_entry(0, 0x88)->lo, 0);
	KUNIT_EXPECT_MEMEQ(test, entry, &was, sizeof(was));
	free_function(f0);
	expect_comes_back(test, 7);

	take_over_and_judge(false, "nothing", 0);
	entry = find_entry(0, 0x08);
	device_block_translation(f1->info.dev);
	expect_counted(test, 7, 0);
	attach(test, domain, f0);
	KUNIT_EXPECT_EQ(test, bits(&entry->lo, 0, 0, 3), BIT(2) | 1);
	free_function(f0);
	expect_comes_back(test, 7);

	domain->ops->free(domain);
	other->ops->free(other);
}

static void __init test_alias_scalable(struct kunit *test)
{
	struct iommu_domain *domain;
	struct function *f0, *f1;

	start_old_kernel(test, true);
	take_over_and_judge(false, "nothing", 0);
	f0 = new_function(test, 0x08, -1);
	f1 = new_function(test, 0x10, 0x08);
	domain = new_domain(test, f0);

	attach(test, domain, f0);
	expect_counted(test, 7, 0);
	expect_counted(test, 8, 1);
	KUNIT_EXPECT_TRUE(test, leads_to(0x08, f0));
	expect_flushed(test, "cI");
	attach(test, domain, f1);
	expect_counted(test, 7, 0);
	expect_counted(test, 8, 0);
	KUNIT_EXPECT_TRUE(test, leads_to(0x08, f0));
	KUNIT_EXPECT_TRUE(test, leads_to(0x10, f1));
	expect_flushed(test, "cI");
	free_function(f1);
	KUNIT_EXPECT_TRUE(test, leads_to(0x08, f0));
	KUNIT_EXPECT_EQ(test, find_entry(0, 0x10)->lo, 0);
	free_function(f0);
	KUNIT_EXPECT_EQ(test, find_entry(0, 0x08)->lo, 0);
	expect_comes_back(test, 7);

	/* f1 is blocked first: what it leaves of the entry of f0 is for f0 to set */
	take_over_and_judge(false, "nothing", 0);
	f0 = new_function(test, 0x08, -1);
	f1 = new_function(test, 0x10, 0x08);
	device_block_translation(f1->info.dev);
	expect_counted(test, 7, 0);
	expect_counted(test, 8, 0);
	KUNIT_EXPECT_TRUE(test, leads_to(0x10, f1));
	KUNIT_EXPECT_EQ(test, find_entry(0, 0x08)->lo, 0);
	attach(test, domain, f0);
	KUNIT_EXPECT_TRUE(test, leads_to(0x08, f0));
	attach(test, domain, f1);
	KUNIT_EXPECT_TRUE(test, leads_to(0x08, f0));
	free_function(f1);
	free_function(f0);

	domain->ops->free(domain);
}

/* What the framework does not understand is blocked, and its domain ID comes back */
static void __init test_nested(struct kunit *test)
{
	struct function *f;

	start_old_kernel(test, true);
	take_over_and_judge(false, "nothing", 0);
	f = new_function(test, 0x88, -1);
	expect_counted(test, 10, 1);
	KUNIT_EXPECT_TRUE(test, iommu_kdump_dev_is_old(&old_kernel.iommu->kdump,
						       f->info.dev));
	device_block_translation(f->info.dev);
	KUNIT_EXPECT_TRUE(test, leads_to(0x88, f));
	expect_flushed(test, "cI");
	expect_comes_back(test, 10);
	free_function(f);
}

/* As the core removes a device: its last domain is the blocking one */
static void __init remove_while_inherited(struct kunit *test, bool sm)
{
	struct iommu_domain *blocked = intel_iommu_ops.blocked_domain;
	struct function *f;

	start_old_kernel(test, sm);
	take_over_and_judge(false, "nothing", 0);
	f = new_function(test, 0x10, -1);
	expect_counted(test, 8, 1);
	KUNIT_EXPECT_EQ(test, blocked->ops->attach_dev(blocked, f->info.dev,
						       NULL), 0);
	expect_comes_back(test, 8);
	free_function(f);
	KUNIT_EXPECT_EQ(test, find_entry(0, 0x10)->lo, 0);
}

static void __init test_removed_legacy(struct kunit *test)
{
	remove_while_inherited(test, false);
}

static void __init test_removed_scalable(struct kunit *test)
{
	remove_while_inherited(test, true);
}

/* A device that keeps faulting is told to fault silently, whatever its entry is */
static void __init test_silence(struct kunit *test)
{
	struct iommu_kdump_entries *entries;
	struct intel_iommu *iommu;
	struct context_entry *entry, was;
	struct root_entry *root;
	unsigned int i;

	start_old_kernel(test, false);
	take_over_and_judge(false, "nothing", 0);
	iommu = old_kernel.iommu;
	entries = &iommu->kdump;
	entry = find_entry(0, 0x10);
	was = *entry;

	for (i = 0; i < 15; i++)
		KUNIT_EXPECT_FALSE(test, iommu_kdump_fault(entries, 0x10));
	flush_work(&entries->silence_work);
	KUNIT_EXPECT_MEMEQ(test, entry, &was, sizeof(was));
	iommu_kdump_fault(entries, 0x10);
	flush_work(&entries->silence_work);
	was.lo |= BIT(1);
	KUNIT_EXPECT_MEMEQ(test, entry, &was, sizeof(was));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_fault(entries, 0x10));
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_is_old(entries, 0x10));
	expect_flushed(test, "ci");

	/* The table that buses share is not written, and what it blocks stays so */
	for (i = 0; i < 16; i++)
		iommu_kdump_fault(entries, PCI_DEVID(5, 0x18));
	flush_work(&entries->silence_work);
	KUNIT_EXPECT_PTR_NE(test, find_entry(5, 0), iommu->kdump_blocked);
	KUNIT_EXPECT_PTR_EQ(test, find_entry(6, 0), iommu->kdump_blocked);
	KUNIT_EXPECT_MEMEQ(test, find_entry(5, 0), iommu->kdump_blocked, SZ_4K);
	expect_flushed(test, "CIci");

	/* Before there is a table, or when there is none any more */
	root = iommu->root_entry;
	iommu->root_entry = NULL;
	for (i = 0; i < 16; i++)
		iommu_kdump_fault(entries, 0x18);
	flush_work(&entries->silence_work);
	iommu->root_entry = root;
	KUNIT_EXPECT_EQ(test, find_entry(0, 0x18)->lo & BIT(1), 0);
}

/* The requester ID of what is no PCI device is known to this driver only */
static void __init test_own_id(struct kunit *test)
{
	start_old_kernel(test, false);
	take_over_and_judge(false, "nothing", 0);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_dev_is_old(&old_kernel.iommu->kdump,
							&old_kernel.dev));
	old_kernel.info.devfn = 0x10;
	KUNIT_EXPECT_TRUE(test, iommu_kdump_dev_is_old(&old_kernel.iommu->kdump,
						       &old_kernel.dev));
}
