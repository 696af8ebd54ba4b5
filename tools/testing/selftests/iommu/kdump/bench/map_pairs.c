// SPDX-License-Identifier: GPL-2.0
/*
 * What one dma_map_single() and dma_unmap_single() cost, on QEMU's "edu" device.
 *
 * Counts instructions around each pair, on x86 by the time stamp counter, which under
 * QEMU's -icount goes on by one with each of them, and prints
 *
 *	bench pairs size=BYTES median=TICKS min=TICKS mean=TICKS
 *
 * The median leaves out what interrupts and a flush of the invalidation queue add
 * now and then, the mean does not.
 */
#include <linux/dma-mapping.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>

#if defined(CONFIG_X86)
#include <asm/tsc.h>
#define instructions()	rdtsc_ordered()
#elif defined(CONFIG_RISCV)
#include <asm/csr.h>
#define instructions()	csr_read(CSR_INSTRET)
#endif

#define PAIRS	4001

static int compare(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int measure(struct device *dev, void *buffer, size_t size, u64 *ticks)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < PAIRS; i++) {
		u64 start = instructions();
		dma_addr_t address = dma_map_single(dev, buffer, size,
						    DMA_BIDIRECTIONAL);

		if (dma_mapping_error(dev, address))
			return -ENOMEM;
		dma_unmap_single(dev, address, size, DMA_BIDIRECTIONAL);
		ticks[i] = instructions() - start;
		sum += ticks[i];
	}
	sort(ticks, PAIRS, sizeof(*ticks), compare, NULL);
	dev_info(dev, "bench pairs size=%zu median=%llu min=%llu mean=%llu\n",
		 size, ticks[PAIRS / 2], ticks[0], div_u64(sum, PAIRS));
	return 0;
}

static int map_pairs_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	static const size_t sizes[] = { SZ_4K, SZ_4K, SZ_64K, SZ_1M };
	void *buffer;
	u64 *ticks;
	int i, ret;

	ret = dma_set_mask(&pdev->dev, DMA_BIT_MASK(32));
	if (ret)
		return ret;
	ticks = kvcalloc(PAIRS, sizeof(*ticks), GFP_KERNEL);
	buffer = kzalloc(SZ_1M, GFP_KERNEL);
	ret = ticks && buffer ? 0 : -ENOMEM;
	/* The first size twice: the first time fills caches */
	for (i = 0; i < ARRAY_SIZE(sizes) && !ret; i++)
		ret = measure(&pdev->dev, buffer, sizes[i], ticks);
	kfree(buffer);
	kvfree(ticks);
	return ret;
}

static const struct pci_device_id map_pairs_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, map_pairs_ids);

static struct pci_driver map_pairs_driver = {
	.name = "map_pairs",
	.id_table = map_pairs_ids,
	.probe = map_pairs_probe,
};
module_pci_driver(map_pairs_driver);

MODULE_DESCRIPTION("Cost of a DMA mapping, on QEMU's edu device");
MODULE_LICENSE("GPL");
