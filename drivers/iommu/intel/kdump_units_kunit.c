// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the Intel IOMMU driver in a crash kernel, part of kdump_kunit.c: units
 * that stay on, and what the command line says of them
 */

struct machine {
	struct list_head units;
	int policy;
	int igfx_off;
};

static void restore_machine(void *data)
{
	struct machine *machine = data;

	list_replace(&machine->units, &dmar_drhd_units);
	dmar_policy = machine->policy;
	disable_igfx_iommu = machine->igfx_off;
	up_read(&dmar_global_lock);
}

/* The machine has the unit of the crashed kernel, which translates, and no other */
static struct dmar_drhd_unit *new_machine(struct kunit *test)
{
	struct dmar_drhd_unit *drhd = kunit_kzalloc(test, sizeof(*drhd), GFP_KERNEL);
	struct machine *machine = kunit_kzalloc(test, sizeof(*machine), GFP_KERNEL);
	struct intel_iommu *iommu = old_kernel.iommu;

	KUNIT_ASSERT_NOT_NULL(test, drhd);
	KUNIT_ASSERT_NOT_NULL(test, machine);
	down_read(&dmar_global_lock);
	list_replace_init(&dmar_drhd_units, &machine->units);
	machine->policy = dmar_policy;
	machine->igfx_off = disable_igfx_iommu;
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, restore_machine,
							machine), 0);
	iommu->reg = (__force void __iomem *)kunit_kzalloc(test, SZ_4K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, (__force void *)iommu->reg);
	writel(DMA_GSTS_TES, iommu->reg + DMAR_GSTS_REG);
	drhd->iommu = iommu;
	iommu->drhd = drhd;
	list_add(&drhd->list, &dmar_drhd_units);
	return drhd;
}

static void set_translates(bool on)
{
	writel(on ? DMA_GSTS_TES : 0, old_kernel.iommu->reg + DMAR_GSTS_REG);
}

/* The crash kernel's last act does not let old DMA pass */
static void __init test_shutdown(struct kunit *test)
{
	struct intel_iommu *iommu;

	start_old_kernel(test, false);
	new_machine(test);
	set_translates(false);
	dmar_policy = DMAR_ON;
	iommu = old_kernel.iommu;
	iommu->gcmd = DMA_GCMD_TE | DMA_GCMD_IRE;
	writel(iommu->gcmd, iommu->reg + DMAR_GCMD_REG);
	intel_iommu_shutdown();
	KUNIT_EXPECT_EQ(test, readl(iommu->reg + DMAR_GCMD_REG),
			DMA_GCMD_TE | DMA_GCMD_IRE);
	KUNIT_EXPECT_EQ(test, iommu->gcmd, DMA_GCMD_TE | DMA_GCMD_IRE);
	/* Another kernel finds what it finds after any kernel */
	kexec_in_progress = true;
	intel_iommu_shutdown();
	kexec_in_progress = false;
	KUNIT_EXPECT_EQ(test, readl(iommu->reg + DMAR_GCMD_REG), DMA_GCMD_IRE);
}

/* Only the user can switch off what the crashed kernel had on */
static void __init test_policy(struct kunit *test)
{
	static const struct {
		int policy;
		bool on;
		int followed;
	} policies[] = {
		{ DMAR_DEFAULT_OFF, true, DMAR_ON },
		{ DMAR_FW_OFF, true, DMAR_ON },
		{ DMAR_USER_OFF, true, DMAR_USER_OFF },
		{ DMAR_ON, true, DMAR_ON },
		{ DMAR_FORCE_ON, true, DMAR_FORCE_ON },
		{ DMAR_DEFAULT_OFF, false, DMAR_DEFAULT_OFF },
		{ DMAR_FW_OFF, false, DMAR_FW_OFF },
	};
	struct dmar_drhd_unit broken = {};
	unsigned int i;

	start_old_kernel(test, false);
	new_machine(test);
	/* One that could not be mapped comes first */
	list_add(&broken.list, &dmar_drhd_units);
	for (i = 0; i < ARRAY_SIZE(policies); i++) {
		set_translates(policies[i].on);
		dmar_policy = policies[i].policy;
		intel_iommu_follow_policy();
		KUNIT_EXPECT_EQ_MSG(test, dmar_policy, policies[i].followed,
				    "policy %u", i);
	}
	/* A crash kernel is what it is about */
	kunit_deactivate_static_stub(test, iommu_kdump_active);
	set_translates(true);
	dmar_policy = DMAR_DEFAULT_OFF;
	intel_iommu_follow_policy();
	KUNIT_EXPECT_EQ(test, dmar_policy, DMAR_DEFAULT_OFF);
	list_del(&broken.list);
}

/* Is a unit ignored whose scope has these devices? */
static bool __init ignores(struct dmar_drhd_unit *drhd, struct pci_dev *a,
			   struct pci_dev *b)
{
	struct dmar_dev_scope scope[2] = {
		{ .dev = a ? RCU_INITIALIZER(&a->dev) : NULL },
		{ .dev = b ? RCU_INITIALIZER(&b->dev) : NULL },
	};

	drhd->devices = scope;
	drhd->devices_cnt = ARRAY_SIZE(scope);
	drhd->ignored = 0;
	drhd->gfx_dedicated = 0;
	init_no_remapping_devices();
	drhd->devices = NULL;
	drhd->devices_cnt = 0;
	return drhd->ignored;
}

/* Section 6.6: a unit in another table mode goes on, but cannot be used without ESRTPS */
static void __init test_mode_is_stuck(struct kunit *test)
{
	static const struct {
		u64 rtaddr;
		u64 cap;
		bool on;
		bool ignored;
	} units[] = {
		{ OLD(OLD_ROOT), 0, true, false },
		{ OLD(OLD_ROOT) | 1 << 10, 0, true, true },
		{ OLD(OLD_ROOT) | 1 << 10, BIT_ULL(63), true, false },
		{ OLD(OLD_ROOT) | 1 << 10, 0, false, false },
		{ OLD(OLD_ROOT) | 2 << 10, 0, true, true },
		{ OLD(OLD_ROOT) | 3 << 10, 0, true, true },
		{ OLD(OLD_ROOT) | BIT(7), 0, true, false },
	};
	struct dmar_drhd_unit *drhd;
	struct intel_iommu *iommu;
	unsigned int i;

	start_old_kernel(test, false);
	iommu = old_kernel.iommu;
	drhd = new_machine(test);
	drhd->include_all = 1;
	for (i = 0; i < ARRAY_SIZE(units); i++) {
		writeq(units[i].rtaddr, iommu->reg + DMAR_RTADDR_REG);
		iommu->cap = TEST_CAP | units[i].cap;
		set_translates(units[i].on);
		KUNIT_EXPECT_EQ_MSG(test, ignores(drhd, NULL, NULL),
				    units[i].ignored, "unit %u", i);
	}
}

/* A unit that translates is not ignored, and what is ignored does not let DMA pass */
static void __init test_ignored_units(struct kunit *test)
{
	struct pci_dev *gfx, *other;
	struct dmar_drhd_unit *drhd;
	struct intel_iommu *iommu;

	start_old_kernel(test, false);
	iommu = old_kernel.iommu;
	drhd = new_machine(test);
	gfx = &new_function(test, 0x10, -1)->pdev;
	gfx->class = PCI_CLASS_DISPLAY_VGA << 8;
	other = &new_function(test, 0x18, -1)->pdev;

	/* Silent devices are no graphics devices */
	disable_igfx_iommu = 1;
	KUNIT_EXPECT_FALSE(test, ignores(drhd, NULL, NULL));
	KUNIT_EXPECT_FALSE(test, drhd->gfx_dedicated);
	KUNIT_EXPECT_FALSE(test, ignores(drhd, NULL, gfx));
	KUNIT_EXPECT_TRUE(test, drhd->gfx_dedicated);
	KUNIT_EXPECT_FALSE(test, ignores(drhd, gfx, other));
	KUNIT_EXPECT_FALSE(test, drhd->gfx_dedicated);

	/* Without old DMA all is as ever */
	set_translates(false);
	KUNIT_EXPECT_TRUE(test, ignores(drhd, NULL, NULL));
	KUNIT_EXPECT_TRUE(test, ignores(drhd, NULL, gfx));
	KUNIT_EXPECT_FALSE(test, ignores(drhd, gfx, other));
	disable_igfx_iommu = 0;
	KUNIT_EXPECT_FALSE(test, ignores(drhd, gfx, NULL));
	KUNIT_EXPECT_TRUE(test, drhd->gfx_dedicated);

	/* For another reason, such as a width that is not supported */
	iommu->gcmd = DMA_GCMD_TE;
	intel_iommu_ignore(iommu);
	KUNIT_EXPECT_EQ(test, iommu->gcmd, 0);
	set_translates(true);
	iommu->gcmd = DMA_GCMD_TE;
	intel_iommu_ignore(iommu);
	KUNIT_EXPECT_EQ(test, iommu->gcmd, DMA_GCMD_TE);
}
