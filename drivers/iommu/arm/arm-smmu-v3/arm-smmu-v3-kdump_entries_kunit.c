// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the SMMUv3 driver in a crash kernel, part of arm-smmu-v3-kdump_kunit.c:
 * entries of the crashed kernel that are replaced, as hardware may see it
 */

/* Of what the entry that hardware finds uses, is it what it was, or what it will be? */
static bool equivalent(const u64 *ste, const u64 *other)
{
	__le64 used[STRTAB_STE_DWORDS] = {};
	unsigned int i;

	arm_smmu_get_ste_used((const __le64 *)ste, used);
	/* ATS is off when EATS changes, MEV may be either */
	used[1] &= ~cpu_to_le64(GENMASK_ULL(29, 28) | BIT_ULL(19));
	for (i = 0; i < STRTAB_STE_DWORDS; i++)
		if ((ste[i] ^ other[i]) & le64_to_cpu(used[i]))
			return false;
	return true;
}

static void test_sync(struct arm_smmu_entry_writer *writer)
{
	if (!(old_kernel.watched[0] & 1) ||
	    (!equivalent(old_kernel.watched, old_kernel.from) &&
	     !equivalent(old_kernel.watched, old_kernel.to)))
		old_kernel.inconsistent = true;
}

static const struct arm_smmu_entry_writer_ops test_writer_ops = {
	.sync = test_sync,
	.get_used = arm_smmu_get_ste_used,
	.get_update_safe = arm_smmu_get_ste_update_safe,
};

static bool replace(u32 sid, const struct arm_smmu_ste *target)
{
	struct arm_smmu_entry_writer writer = {
		.ops = &test_writer_ops,
		.master = &old_kernel.master,
	};
	u64 *ste = hw_ste(sid);

	old_kernel.watched = ste;
	memcpy(old_kernel.from, ste, sizeof(old_kernel.from));
	memcpy(old_kernel.to, target, sizeof(old_kernel.to));
	old_kernel.inconsistent = false;
	old_kernel.desc_stores = 0;
	guard(mutex)(&arm_smmu_asid_lock);
	return arm_smmu_kdump_replace_ste(&writer, sid, (struct arm_smmu_ste *)ste,
					  target);
}

/* With these commands, and so many stores of a descriptor; then it is not old any more */
static void switch_to(struct kunit *test, u32 sid, const struct arm_smmu_ste *target,
		      const char *commands, u64 id, unsigned int stores, bool hitless)
{
	struct arm_smmu_kdump *kd = old_kernel.smmu->kdump;
	const u64 *before = hw_ste(sid), *after;

	expect_commands(test, "");
	KUNIT_EXPECT_TRUE(test, iommu_kdump_entry_is_old(&kd->entries, sid));
	KUNIT_EXPECT_TRUE(test, replace(sid, target));
	KUNIT_EXPECT_EQ(test, old_kernel.inconsistent, !hitless);
	KUNIT_EXPECT_EQ(test, old_kernel.desc_stores, stores);
	expect_commands(test, commands);
	if (strpbrk(commands, "aev"))
		KUNIT_EXPECT_EQ(test, old_kernel.last_id, id);
	after = hw_ste(sid);
	KUNIT_EXPECT_MEMEQ(test, after, target, sizeof(*target));
	KUNIT_EXPECT_EQ(test, before != after, stores == 1);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_is_old(&kd->entries, sid));
	KUNIT_EXPECT_FALSE(test, replace(sid, target));
	expect_commands(test, "");
}

static struct arm_smmu_ste new_s1(bool ats, bool stall)
{
	struct arm_smmu_master *master = &old_kernel.master;
	struct arm_smmu_ste target;

	master->cd_table.cdtab_dma = 0xf0f0f0f0c0;
	master->cd_table.s1cdmax = 5;
	master->stall_enabled = stall;
	arm_smmu_make_cdtable_ste(&target, master, ats, STRTAB_STE_1_S1DSS_SSID0);
	return target;
}

/* As the driver makes one of the same geometry */
static struct arm_smmu_ste new_s2(u64 vmid, u64 root)
{
	struct arm_smmu_ste target = {};

	target.data[0] = cpu_to_le64(0xd);
	target.data[1] = cpu_to_le64(BIT_ULL(44));
	target.data[2] = cpu_to_le64((old_ste(0x02)[2] & ~GENMASK_ULL(15, 0)) | vmid);
	target.data[3] = cpu_to_le64(root);
	return target;
}

static void __init test_switch_s1(struct kunit *test)
{
	struct arm_smmu_ste target;

	start_old_kernel(test, false);
	KUNIT_ASSERT_TRUE(test, take_over());
	target = new_s1(false, false);
	switch_to(test, 0x01, &target, "a.", 7, 0, true);
	switch_to(test, 0x28, &target, "a.", 7, 0, true);
	switch_to(test, 0x108, &target, "a.", 13, 0, true);
	/* Its driver wants to hear of faults, and so did that of the crashed kernel */
	target = new_s1(true, true);
	switch_to(test, 0x10, &target, "at.", 8, 0, true);
	/* What does not agree takes two stores, or another table */
	target = new_s1(false, true);
	switch_to(test, 0x08, &target, "c.a.", 7, 1, true);

	set_old_kernel(false, ARM_SMMU_FEAT_E2H, 0);
	old_ste(0x01)[1] |= BIT_ULL(31);
	KUNIT_ASSERT_TRUE(test, take_over());
	target = new_s1(false, false);
	switch_to(test, 0x01, &target, "e.", 7, 0, true);
}

static void __init test_switch_bypass(struct kunit *test)
{
	struct arm_smmu_ste target;

	start_old_kernel(test, false);
	KUNIT_ASSERT_TRUE(test, take_over());
	target = new_s1(false, false);
	switch_to(test, 0x18, &target, "", 0, 0, true);
	switch_to(test, 0x30, &target, "", 0, 0, true);
}

/* VMID and root are in different words: the table is replaced, and keeps all the others */
static void __init test_switch_s2(struct kunit *test)
{
	struct arm_smmu_ste target, was[2];

	start_old_kernel(test, false);
	KUNIT_ASSERT_TRUE(test, take_over());
	memcpy(&was[0], hw_ste(0x01), sizeof(was[0]));
	memcpy(&was[1], hw_ste(0xff), sizeof(was[1]));
	target = new_s2(9, SZ_16M);
	switch_to(test, 0x02, &target, "c.v.", 5, 1, true);
	KUNIT_EXPECT_MEMEQ(test, hw_ste(0x01), &was[0], sizeof(was[0]));
	KUNIT_EXPECT_MEMEQ(test, hw_ste(0xff), &was[1], sizeof(was[1]));
	KUNIT_EXPECT_PTR_EQ(test, (u64 *)&old_kernel.smmu->strtab_cfg.l2.l2ptrs[0]->stes[2],
			    hw_ste(0x02));
	/* The other one in the same table follows */
	target = new_s1(false, false);
	switch_to(test, 0x01, &target, "a.", 7, 0, true);

	set_old_kernel(false, 0, 0);
	KUNIT_ASSERT_TRUE(test, take_over());
	target = new_s1(false, false);
	switch_to(test, 0x02, &target, "c.v.", 5, 1, true);
}

/* There is no other table, so that what takes two stores aborts in between */
static void __init test_switch_linear(struct kunit *test)
{
	struct arm_smmu_ste target;

	start_old_kernel(test, true);
	KUNIT_ASSERT_TRUE(test, take_over());
	target = new_s1(false, false);
	switch_to(test, 0x01, &target, "a.", 7, 0, true);
	switch_to(test, 0x18, &target, "", 0, 0, true);
	target = new_s2(9, SZ_16M);
	switch_to(test, 0x02, &target, "v.", 5, 0, false);
}

static void __init test_switch_to_abort(struct kunit *test)
{
	struct arm_smmu_ste target;
	bool linear;
	int i;

	start_old_kernel(test, false);
	arm_smmu_make_abort_ste(&target);
	for (i = 0; i < 2; i++) {
		linear = i;
		set_old_kernel(linear, 0, 0);
		KUNIT_ASSERT_TRUE(test, take_over());
		switch_to(test, 0x01, &target, "a.", 7, 0, true);
		switch_to(test, 0x10, &target, "at.", 8, 0, true);
		switch_to(test, 0x18, &target, "", 0, 0, true);
		switch_to(test, 0x02, &target, "v.", 5, 0, true);
		/* What has never been there is written as ever */
		KUNIT_EXPECT_FALSE(test, replace(0x38, &target));
	}
}

/* An ASID is free when the last entry that leads to it is gone, not before */
static void __init test_asids(struct kunit *test)
{
	struct arm_smmu_ste target;
	unsigned int id;

	start_old_kernel(test, false);
	KUNIT_ASSERT_TRUE(test, take_over());
	for (id = 7; id <= 13; id++)
		KUNIT_EXPECT_EQ(test, ida_exists(&arm_smmu_asid_ida, id),
				id <= 9 || id == 13);
	KUNIT_EXPECT_TRUE(test, ida_exists(&old_kernel.smmu->vmid_map, 5));
	KUNIT_EXPECT_FALSE(test, arm_smmu_kdump_free_asids());
	KUNIT_EXPECT_FALSE(test, arm_smmu_kdump_free_vmids(old_kernel.smmu));

	target = new_s1(false, false);
	switch_to(test, 0x01, &target, "a.", 7, 0, true);
	switch_to(test, 0x28, &target, "a.", 7, 0, true);
	KUNIT_EXPECT_FALSE(test, arm_smmu_kdump_free_asids());
	switch_to(test, 0x08, &target, "a.", 7, 0, true);
	KUNIT_EXPECT_TRUE(test, arm_smmu_kdump_free_asids());
	KUNIT_EXPECT_FALSE(test, ida_exists(&arm_smmu_asid_ida, 7));
	KUNIT_EXPECT_TRUE(test, ida_exists(&arm_smmu_asid_ida, 8));
}

/* Every stream ID that the table has, in it or in what its descriptors share */
static bool all_are(struct arm_smmu_device *smmu, bool (*what)(const u64 *ste),
		    u32 except)
{
	struct arm_smmu_strtab_cfg *cfg = &smmu->strtab_cfg;
	bool two = smmu->features & ARM_SMMU_FEAT_2_LVL_STRTAB;
	u32 sid, nr = two ? 1024 : 256;
	const u64 *ste;

	for (sid = 0; sid < nr; sid++) {
		if (sid == except)
			continue;
		if (two)
			ste = (u64 *)phys_to_virt(le64_to_cpu(cfg->l2.l1tab[sid / 256].l2ptr) &
						  GENMASK_ULL(51, 6)) + sid % 256 * 8;
		else
			ste = (u64 *)&cfg->linear.table[sid];
		if (!what(ste))
			return false;
	}
	return true;
}

static bool passes(const u64 *ste)
{
	return ste[0] == 9 && ste[1] == BIT_ULL(44);
}

/* As the driver allocates them */
static void __init new_strtab(struct kunit *test, struct arm_smmu_device *smmu)
{
	struct arm_smmu_strtab_cfg *cfg = &smmu->strtab_cfg;

	if (smmu->features & ARM_SMMU_FEAT_2_LVL_STRTAB) {
		cfg->l2.num_l1_ents = 4;
		cfg->l2.l1tab = kunit_kzalloc(test, 4 * sizeof(*cfg->l2.l1tab), GFP_KERNEL);
		cfg->l2.l2ptrs = kunit_kzalloc(test, 4 * sizeof(*cfg->l2.l2ptrs), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, cfg->l2.l1tab);
		KUNIT_ASSERT_NOT_NULL(test, cfg->l2.l2ptrs);
	} else {
		cfg->linear.num_ents = 256;
		cfg->linear.table = kunit_kzalloc(test, 256 * sizeof(*cfg->linear.table),
						  GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, cfg->linear.table);
	}
}

/* Off: DMA passes until each device has a domain, or the boot is over */
static void __init test_pass_through(struct kunit *test)
{
	struct arm_smmu_stream stream = { .id = 0x42, .master = &old_kernel.master };
	struct arm_smmu_device *smmu;
	struct arm_smmu_strtab_l2 *l2;
	int linear;

	start_old_kernel(test, false);
	smmu = old_kernel.smmu;
	l2 = kunit_kzalloc(test, sizeof(*l2), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, l2);
	for (linear = 0; linear < 2; linear++) {
		reset_smmu();
		set_old_kernel(linear, 0, linear ? ARM_SMMU_FEAT_2_LVL_STRTAB : 0);
		set_reg(ARM_SMMU_GBPA, 0);
		new_strtab(test, smmu);
		KUNIT_ASSERT_EQ(test, start(smmu, 0), 0);
		KUNIT_EXPECT_EQ(test, smmu->kdump_cr0, 0);
		arm_smmu_kdump_take_over(smmu);
		KUNIT_EXPECT_TRUE(test, smmu->kdump->entries.not_live);
		KUNIT_EXPECT_TRUE(test, all_are(smmu, passes, 0x10000));

		/* A device has come, and is not in its domain yet; one that has none */
		smmu->streams = RB_ROOT;
		rb_link_node(&stream.node, NULL, &smmu->streams.rb_node);
		rb_insert_color(&stream.node, &smmu->streams);
		if (!linear) {
			arm_smmu_kdump_init_l2(smmu, l2);
			smmu->strtab_cfg.l2.l2ptrs[0] = l2;
			smmu->strtab_cfg.l2.l1tab[0].l2ptr =
				cpu_to_le64(virt_to_phys(l2) | 9);
			arm_smmu_kdump_l1_changed(smmu);
			expect_commands(test, "c.");
			KUNIT_EXPECT_TRUE(test, all_are(smmu, passes, 0x10000));
		}
		arm_smmu_kdump_ready(smmu);
		expect_commands(test, "c.");
		KUNIT_EXPECT_FALSE(test, smmu->kdump->entries.not_live);
		KUNIT_EXPECT_TRUE(test, all_are(smmu, aborts, 0x42));
		KUNIT_EXPECT_FALSE(test, all_are(smmu, aborts, 0x10000));
		KUNIT_EXPECT_EQ(test, readl(smmu->base + ARM_SMMU_GBPA) & BIT(20), BIT(20));
	}

	/* All has been aborted all the time */
	reset_smmu();
	set_old_kernel(false, 0, 0);
	set_reg(ARM_SMMU_GBPA, BIT(20));
	KUNIT_ASSERT_EQ(test, start(smmu, 0), 0);
	arm_smmu_kdump_take_over(smmu);
	KUNIT_EXPECT_FALSE(test, smmu->kdump->entries.not_live);
	KUNIT_EXPECT_FALSE(test, iommu_kdump_entry_was_refused(&smmu->kdump->entries, 8));
	/* A table that comes then aborts */
	memset(l2, 0, sizeof(*l2));
	arm_smmu_kdump_init_l2(smmu, l2);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(l2, 0, sizeof(*l2)), NULL);
}
