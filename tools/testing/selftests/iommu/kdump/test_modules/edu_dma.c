// SPDX-License-Identifier: GPL-2.0
/*
 * Driver for QEMU's "edu" device as a DMA master that does what it is told.
 *
 * It maps buffers when it is bound, and more on request, and performs single
 * accesses to any bus address whatsoever. It never resets the device and never
 * looks at an address it is given, because accesses to addresses that nobody
 * mapped are what it is for. Not for any real machine.
 *
 * Files in debugfs, edu_dma/<device>/:
 *	mappings	one line for each mapping, in the order they were made
 *	refused		number of mappings that failed
 *	map		write N: make N mappings more
 *	write		write "ADDRESS LENGTH": the device writes to that address
 *	read		the same, the device reads
 *	loopback	moves data through the device, from one mapping to another
 *			(two must be there): "good", or what is wrong
 *	fill		write "PAGES STRIDE [RUN]": map that many pages, that many
 *			bytes apart from one another; RUN pages each are neighbours in
 *			memory, or no two of them
 *	map_within	write "START END": map a page of that part of memory
 *
 * Bound to any other device, by way of its driver_override, it is a driver that
 * maps and does not stop what it finds; the files that start a transfer are then
 * of no use.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#define EDU_DMA_SOURCE		0x80
#define EDU_DMA_DESTINATION	0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_RUN		BIT(0)
#define EDU_DMA_TO_MEMORY	BIT(1)

/* Where the device's own memory begins, in its view of addresses. */
#define EDU_MEMORY		0x40000
/* Half of that memory: QEMU ends itself when a transfer touches the end. */
#define EDU_MAX_TRANSFER	2048

/* Where "fill" begins: the DMA API starts with what 32 bits reach */
#define FILL_START		SZ_8G
/* Pages that "map_within" looks at before it gives up */
#define MAX_TRIES		262144

static unsigned int size = PAGE_SIZE;
module_param(size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of each mapping");

static unsigned int count = 1;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "mappings to make when the driver is bound");

static unsigned int mask_bits = 32;
module_param(mask_bits, uint, 0444);
MODULE_PARM_DESC(mask_bits, "address bits of the device");

static bool coherent;
module_param(coherent, bool, 0444);
MODULE_PARM_DESC(coherent, "dma_alloc_coherent() instead of dma_map_single()");

static bool fail;
module_param(fail, bool, 0644);
MODULE_PARM_DESC(fail, "the next probes fail, after they have mapped");

static bool reset;
module_param(reset, bool, 0644);
MODULE_PARM_DESC(reset, "the next probes reset the device, after they have mapped");

static unsigned int wait;
module_param(wait, uint, 0644);
MODULE_PARM_DESC(wait, "milliseconds that the next probes wait after they have mapped");

static int clear = -1;
module_param(clear, int, 0644);
MODULE_PARM_DESC(clear,
		 "a register of BAR 0 that the next probes clear after that, if it is not negative: a reset that only the driver knows of");

struct edu_mapping {
	struct list_head list;
	void *buffer;
	dma_addr_t address;
};

struct edu_dma {
	struct pci_dev *pdev;
	void __iomem *registers;
	struct dentry *directory;
	struct mutex lock;		/* the list, and one transfer at a time */
	struct list_head mappings;
	struct list_head lent;		/* by "map_within", never unmapped */
	unsigned int refused;
};

static struct dentry *edu_dma_root;

static int edu_map_one(struct edu_dma *edu)
{
	struct device *dev = &edu->pdev->dev;
	struct edu_mapping *mapping;
	int ret = -ENOMEM;

	mapping = kzalloc_obj(*mapping);
	if (!mapping)
		return -ENOMEM;

	if (coherent) {
		mapping->buffer = dma_alloc_coherent(dev, size,
						     &mapping->address,
						     GFP_KERNEL);
		if (!mapping->buffer)
			goto free_mapping;
	} else {
		mapping->buffer = kzalloc(size, GFP_KERNEL);
		if (!mapping->buffer)
			goto free_mapping;
		mapping->address = dma_map_single(dev, mapping->buffer, size,
						  DMA_BIDIRECTIONAL);
		ret = dma_mapping_error(dev, mapping->address);
		if (ret)
			goto free_buffer;
	}
	list_add_tail(&mapping->list, &edu->mappings);
	return 0;

free_buffer:
	kfree(mapping->buffer);
free_mapping:
	kfree(mapping);
	return ret;
}

static void edu_map(struct edu_dma *edu, unsigned int number)
{
	guard(mutex)(&edu->lock);
	while (number--)
		if (edu_map_one(edu))
			edu->refused++;
}

static void edu_unmap_all(struct edu_dma *edu)
{
	struct device *dev = &edu->pdev->dev;
	struct edu_mapping *mapping, *next;

	list_for_each_entry_safe(mapping, next, &edu->mappings, list) {
		if (coherent) {
			dma_free_coherent(dev, size, mapping->buffer,
					  mapping->address);
		} else {
			dma_unmap_single(dev, mapping->address, size,
					 DMA_BIDIRECTIONAL);
			kfree(mapping->buffer);
		}
		list_del(&mapping->list);
		kfree(mapping);
	}
}

static int edu_transfer(struct edu_dma *edu, u64 address, u64 length,
			bool to_memory)
{
	u64 command = EDU_DMA_RUN | (to_memory ? EDU_DMA_TO_MEMORY : 0);
	u64 source = to_memory ? EDU_MEMORY : address;
	u64 destination = to_memory ? address : EDU_MEMORY;

	if (!length || length > EDU_MAX_TRANSFER)
		return -EINVAL;

	guard(mutex)(&edu->lock);
	writeq(source, edu->registers + EDU_DMA_SOURCE);
	writeq(destination, edu->registers + EDU_DMA_DESTINATION);
	writeq(length, edu->registers + EDU_DMA_COUNT);
	writeq(command, edu->registers + EDU_DMA_COMMAND);
	/* the device takes 100 ms for a transfer, of whatever length */
	return readq_poll_timeout(edu->registers + EDU_DMA_COMMAND, command,
				  !(command & EDU_DMA_RUN), 10 * USEC_PER_MSEC,
				  5 * USEC_PER_SEC);
}

/* Through the device's memory from the first mapping to the last. */
static const char *edu_loopback(struct edu_dma *edu)
{
	struct device *dev = &edu->pdev->dev;
	struct edu_mapping *from, *to;
	size_t length = min_t(size_t, size, EDU_MAX_TRANSFER);

	if (list_empty(&edu->mappings) || list_is_singular(&edu->mappings))
		return "fewer than two mappings";
	from = list_first_entry(&edu->mappings, struct edu_mapping, list);
	to = list_last_entry(&edu->mappings, struct edu_mapping, list);

	dma_sync_single_for_cpu(dev, from->address, size, DMA_BIDIRECTIONAL);
	dma_sync_single_for_cpu(dev, to->address, size, DMA_BIDIRECTIONAL);
	get_random_bytes(from->buffer, length);
	memset(to->buffer, 0, length);
	dma_sync_single_for_device(dev, from->address, size, DMA_BIDIRECTIONAL);
	dma_sync_single_for_device(dev, to->address, size, DMA_BIDIRECTIONAL);

	if (edu_transfer(edu, from->address, length, false) ||
	    edu_transfer(edu, to->address, length, true))
		return "the device does not finish";

	dma_sync_single_for_cpu(dev, to->address, size, DMA_BIDIRECTIONAL);
	return memcmp(from->buffer, to->buffer, length) ?
		"other data than was sent" : "good";
}

/*
 * What an import costs depends on tables and entries, not on the memory behind them: a
 * few pages are enough, and each mapping gets an entry of its own. Past the DMA API,
 * which chooses addresses by itself. They stay mapped, because this driver leaves by a
 * panic.
 */
static int edu_fill(struct edu_dma *edu, unsigned long pages, u64 stride, u64 run)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(&edu->pdev->dev);
	phys_addr_t buffer;
	struct page *page;
	unsigned long i;
	int ret;

	if (!domain || !PAGE_ALIGNED(stride) || !stride || !run ||
	    run > MAX_ORDER_NR_PAGES)
		return -EINVAL;
	/* pages 0 and 2 of four are no neighbours in either order */
	page = alloc_pages(GFP_KERNEL, run == 1 ? 2 : get_order(run * PAGE_SIZE));
	if (!page)
		return -ENOMEM;
	buffer = page_to_phys(page);
	for (i = 0; i < pages; i++) {
		unsigned long at = run == 1 ? (i & 1) * 2 : i % run;

		ret = iommu_map(domain, FILL_START + i * stride,
				buffer + at * PAGE_SIZE, PAGE_SIZE,
				IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

/*
 * A page that somebody else may want moved: only such ones come from memory that is
 * lent out (crashkernel=...,cma).
 */
static int edu_map_within(struct edu_dma *edu, u64 start, u64 end)
{
	struct edu_mapping *mapping;
	struct page *page, *next;
	LIST_HEAD(others);
	int tries;
	int ret = -ENOENT;

	mapping = kzalloc_obj(*mapping);
	if (!mapping)
		return -ENOMEM;
	for (tries = 0; tries < MAX_TRIES; tries++) {
		page = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_NORETRY |
				  __GFP_NOWARN);
		if (!page)
			break;
		if (page_to_phys(page) >= start && page_to_phys(page) < end) {
			mapping->address = dma_map_page(&edu->pdev->dev, page, 0,
							PAGE_SIZE,
							DMA_BIDIRECTIONAL);
			ret = dma_mapping_error(&edu->pdev->dev,
						mapping->address);
			if (ret)
				__free_page(page);
			break;
		}
		list_add(&page->lru, &others);
	}
	list_for_each_entry_safe(page, next, &others, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	if (ret) {
		kfree(mapping);
		return ret;
	}
	guard(mutex)(&edu->lock);
	list_add(&mapping->list, &edu->lent);
	return 0;
}

static int loopback_show(struct seq_file *seq, void *unused)
{
	seq_printf(seq, "%s\n", edu_loopback(seq->private));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(loopback);

/* Two numbers from userspace, or three. Returns the bytes taken or an error. */
static ssize_t edu_numbers(const char __user *from, size_t bytes, loff_t *at,
			   u64 *one, u64 *two, u64 *three)
{
	char text[64];
	ssize_t got;

	got = simple_write_to_buffer(text, sizeof(text) - 1, at, from, bytes);
	if (got < 0)
		return got;
	text[got] = 0;
	return sscanf(text, "%lli %lli %lli", one, two, three) < 2 ? -EINVAL : got;
}

static ssize_t edu_two_numbers(const char __user *from, size_t bytes, loff_t *at,
			       u64 *one, u64 *two)
{
	u64 unused;

	return edu_numbers(from, bytes, at, one, two, &unused);
}

static ssize_t edu_access(struct file *file, const char __user *from,
			  size_t bytes, loff_t *at, bool to_memory)
{
	u64 address, length;
	ssize_t got = edu_two_numbers(from, bytes, at, &address, &length);

	if (got < 0)
		return got;
	return edu_transfer(file->private_data, address, length, to_memory) ?: got;
}

static ssize_t edu_write_fill(struct file *file, const char __user *from,
			      size_t bytes, loff_t *at)
{
	u64 pages, stride, run = 1;
	ssize_t got = edu_numbers(from, bytes, at, &pages, &stride, &run);

	if (got < 0)
		return got;
	return edu_fill(file->private_data, pages, stride, run) ?: got;
}

static const struct file_operations edu_fill_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = edu_write_fill,
};

static ssize_t edu_write_within(struct file *file, const char __user *from,
				size_t bytes, loff_t *at)
{
	u64 start, end;
	ssize_t got = edu_two_numbers(from, bytes, at, &start, &end);

	if (got < 0)
		return got;
	return edu_map_within(file->private_data, start, end) ?: got;
}

static const struct file_operations edu_within_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = edu_write_within,
};

static ssize_t edu_write(struct file *file, const char __user *from,
			 size_t bytes, loff_t *at)
{
	return edu_access(file, from, bytes, at, true);
}

static const struct file_operations edu_write_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = edu_write,
};

static ssize_t edu_read(struct file *file, const char __user *from,
			size_t bytes, loff_t *at)
{
	return edu_access(file, from, bytes, at, false);
}

static const struct file_operations edu_read_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = edu_read,
};

static int edu_map_set(void *data, u64 number)
{
	edu_map(data, number);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(edu_map_fops, NULL, edu_map_set, "%llu\n");

static int mappings_show(struct seq_file *seq, void *unused)
{
	struct edu_dma *edu = seq->private;
	struct edu_mapping *mapping;

	guard(mutex)(&edu->lock);
	list_for_each_entry(mapping, &edu->mappings, list)
		seq_printf(seq, "%pad %u\n", &mapping->address, size);
	list_for_each_entry(mapping, &edu->lent, list)
		seq_printf(seq, "%pad %lu lent\n", &mapping->address, PAGE_SIZE);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mappings);

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu_dma *edu;
	int ret;

	edu = devm_kzalloc(&pdev->dev, sizeof(*edu), GFP_KERNEL);
	if (!edu)
		return -ENOMEM;
	edu->pdev = pdev;
	INIT_LIST_HEAD(&edu->mappings);
	INIT_LIST_HEAD(&edu->lent);
	mutex_init(&edu->lock);
	pci_set_drvdata(pdev, edu);

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	edu->registers = pcim_iomap_region(pdev, 0, "edu_dma");
	if (IS_ERR(edu->registers))
		return PTR_ERR(edu->registers);
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(mask_bits));
	if (ret)
		return ret;
	pci_set_master(pdev);

	edu_map(edu, count);

	if (fail) {
		/* Leave the device as it is, a master of the bus as well */
		pcim_pin_device(pdev);
		edu_unmap_all(edu);
		return -EIO;
	}
	msleep(wait);
	if (clear >= 0)
		writel(0, edu->registers + clear);
	if (reset) {
		ret = pci_reset_function_locked(pdev);
		if (ret) {
			edu_unmap_all(edu);
			return ret;
		}
	}

	edu->directory = debugfs_create_dir(pci_name(pdev), edu_dma_root);
	debugfs_create_file("mappings", 0400, edu->directory, edu,
			    &mappings_fops);
	debugfs_create_file("loopback", 0400, edu->directory, edu,
			    &loopback_fops);
	debugfs_create_u32("refused", 0400, edu->directory, &edu->refused);
	debugfs_create_file("map", 0200, edu->directory, edu, &edu_map_fops);
	debugfs_create_file("write", 0200, edu->directory, edu,
			    &edu_write_fops);
	debugfs_create_file("fill", 0200, edu->directory, edu, &edu_fill_fops);
	debugfs_create_file("map_within", 0200, edu->directory, edu,
			    &edu_within_fops);
	debugfs_create_file("read", 0200, edu->directory, edu, &edu_read_fops);
	return 0;
}

static void edu_remove(struct pci_dev *pdev)
{
	struct edu_dma *edu = pci_get_drvdata(pdev);

	debugfs_remove(edu->directory);
	pci_clear_master(pdev);
	edu_unmap_all(edu);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = "edu_dma",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};

static int __init edu_dma_init(void)
{
	int ret;

	edu_dma_root = debugfs_create_dir("edu_dma", NULL);
	ret = pci_register_driver(&edu_driver);
	if (ret)
		debugfs_remove(edu_dma_root);
	return ret;
}
module_init(edu_dma_init);

static void __exit edu_dma_exit(void)
{
	pci_unregister_driver(&edu_driver);
	debugfs_remove(edu_dma_root);
}
module_exit(edu_dma_exit);

MODULE_DESCRIPTION("QEMU edu device as a test DMA master");
MODULE_LICENSE("GPL");
