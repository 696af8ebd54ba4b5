// SPDX-License-Identifier: GPL-2.0
/*
 * Gives QEMU's AMD IOMMU a device table of another size, as another kernel would have
 * made one: the entries are copied, and what is beyond them blocks. What the kernel
 * writes to its own table from then on is without effect, so this is for a kernel that is
 * about to crash. Nothing is flushed: QEMU has no cache of device table entries. Not for
 * any real machine.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

/* Where QEMU has the registers; the first is the table's address and size */
#define REGISTERS	0xfed80000
#define SIZE_MASK	0x1ffULL
#define BASE_MASK	GENMASK_ULL(51, 12)
#define ENTRY_WORDS	4
/* Valid, translated, and nothing allowed */
#define BLOCKS		3ULL

static unsigned int pages = 512;
module_param(pages, uint, 0444);
MODULE_PARM_DESC(pages, "size of the new device table");

static bool low;
module_param(low, bool, 0444);
MODULE_PARM_DESC(low, "the new device table is below 4 GiB");

static int __init amd_table_init(void)
{
	unsigned int had, i;
	void __iomem *at;
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
	u64 *old, *new;
	u64 was;
	int ret = -ENOMEM;

	if (!pages || pages > SIZE_MASK + 1)
		return -EINVAL;
	at = ioremap(REGISTERS, PAGE_SIZE);
	if (!at)
		return ret;
	was = readq(at);
	had = (was & SIZE_MASK) + 1;
	/* a smaller one is as large in memory: QEMU reads beyond what it is told */
	if (low)
		gfp |= GFP_DMA32;
	new = alloc_pages_exact(max(pages, had) * PAGE_SIZE, gfp);
	old = memremap(was & BASE_MASK, had * PAGE_SIZE, MEMREMAP_WB);
	if (!new || !old)
		goto unmap;
	for (i = 0; i < pages * PAGE_SIZE / sizeof(*new); i += ENTRY_WORDS)
		new[i] = BLOCKS;
	memcpy(new, old, had * PAGE_SIZE);
	writeq(virt_to_phys(new) | (pages - 1), at);
	pr_info("amd_table: %u pages instead of %u\n", pages, had);
	new = NULL;
	ret = 0;
unmap:
	if (old)
		memunmap(old);
	if (new)
		free_pages_exact(new, max(pages, had) * PAGE_SIZE);
	iounmap(at);
	return ret;
}
module_init(amd_table_init);

MODULE_DESCRIPTION("A device table of another size for QEMU's AMD IOMMU");
MODULE_LICENSE("GPL");
