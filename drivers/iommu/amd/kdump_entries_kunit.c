// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the AMD IOMMU driver in a crash kernel, part of kdump_kunit.c: devices
 * that replace the entries of the crashed kernel, or keep faulting
 */

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
