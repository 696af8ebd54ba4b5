// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: memory of the crashed kernel
 *
 * What may be read, and what old DMA may reach, is a positive list: the RAM of
 * the crashed kernel as the ELF core header lists it. "Not System RAM here" would
 * not do: parts of the crash kernel's reservation, the pages of the header
 * itself for one, are not in the crash kernel's memory map.
 *
 * The header is parsed here, before vmcore_init() takes it and without
 * CONFIG_PROC_VMCORE, because IOMMU drivers take over earlier than that.
 */

#define pr_fmt(fmt) "iommu: kdump: " fmt

#include <linux/bsearch.h>
#include <linux/cc_platform.h>
#include <linux/crash_dump.h>
#include <linux/elf.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/io.h>
#include <linux/memblock.h>
#include <linux/overflow.h>
#include <linux/range.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/vmalloc.h>

#include <kunit/static_stub.h>

#include "kdump.h"

/* A header with more entries than any machine has memory ranges is garbage */
#define MAX_PHNUM	SZ_32K

/* Sorted, disjoint, end inclusive */
static struct range *old_ram __ro_after_init;
static unsigned int nr_old_ram __ro_after_init;

/*
 * The crash kernel's own memory: for each hole of old_ram that it lies in, the
 * smallest range that covers all of it there.
 */
static struct range *crash_mem __ro_after_init;
static unsigned int nr_crash_mem __ro_after_init;

static const struct iommu_kdump_oldmem_ops *oldmem_ops;

#if IS_ENABLED(CONFIG_KUNIT)
/**
 * iommu_kdump_set_oldmem_ops() - Replace the memory of the crashed kernel
 * @ops: What tests provide instead, or NULL for the real one
 *
 * For KUnit tests only; no inheritance may be in progress.
 */
void iommu_kdump_set_oldmem_ops(const struct iommu_kdump_oldmem_ops *ops)
{
	WRITE_ONCE(oldmem_ops, ops);
}
#endif

static int cmp_range(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return 0;
}

static int find_range(const void *key, const void *elt)
{
	const u64 *addr = key;
	const struct range *r = elt;

	if (*addr < r->start)
		return -1;
	return *addr > r->end;
}

static const struct range *lookup(const struct range *ranges, unsigned int nr,
				  u64 addr)
{
	return bsearch(&addr, ranges, nr, sizeof(*ranges), find_range);
}

/* Last byte before the next range that starts above @addr */
static u64 last_before_next(const struct range *ranges, unsigned int nr,
			    u64 addr)
{
	unsigned int lo = 0, hi = nr;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (ranges[mid].start > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo < nr ? ranges[lo].start - 1 : U64_MAX;
}

/**
 * iommu_kdump_old_ram_extent() - How far memory of one kind goes
 * @phys: Where to look
 * @last: Set to the last address that is of the same kind as @phys
 *
 * Return: true if @phys is RAM of the crashed kernel.
 */
bool iommu_kdump_old_ram_extent(phys_addr_t phys, u64 *last)
{
	const struct range *r;

	if (IS_ENABLED(CONFIG_KUNIT) && oldmem_ops)
		return oldmem_ops->extent(phys, last);

	r = lookup(old_ram, nr_old_ram, phys);
	if (r) {
		*last = r->end;
		return true;
	}
	*last = last_before_next(old_ram, nr_old_ram, phys);
	return false;
}

/**
 * iommu_kdump_crash_mem_extent() - Where the crash kernel's own memory is
 * @phys: Where to look
 * @last: Set to the last address that is of the same kind as @phys
 *
 * Return: true if @phys is memory of the crash kernel.
 */
bool iommu_kdump_crash_mem_extent(phys_addr_t phys, u64 *last)
{
	const struct range *r;

	if (IS_ENABLED(CONFIG_KUNIT) && oldmem_ops)
		return oldmem_ops->crash_extent(phys, last);

	r = lookup(crash_mem, nr_crash_mem, phys);
	if (r) {
		*last = r->end;
		return true;
	}
	*last = last_before_next(crash_mem, nr_crash_mem, phys);
	return false;
}

/**
 * iommu_kdump_oldmem_known() - Is it known whose memory is whose?
 *
 * Return: false if the ELF core header was unusable: then no address is known to be
 * the crashed kernel's, nor the crash kernel's.
 */
bool iommu_kdump_oldmem_known(void)
{
	KUNIT_STATIC_STUB_REDIRECT(iommu_kdump_oldmem_known);
	if (IS_ENABLED(CONFIG_KUNIT) && oldmem_ops)
		return true;
	return nr_old_ram && nr_crash_mem;
}

/**
 * iommu_kdump_is_old_ram() - Is all of a range RAM of the crashed kernel?
 * @phys: Start of the range
 * @size: Bytes, not 0
 *
 * IOMMU drivers use it on every address that they read from the crashed kernel
 * before hardware is allowed to follow it.
 *
 * Context: Any.
 *
 * Return: true if no byte of the range is anything else, the crash kernel's
 * memory and MMIO included.
 */
bool iommu_kdump_is_old_ram(phys_addr_t phys, u64 size)
{
	u64 last;

	return size && iommu_kdump_old_ram_extent(phys, &last) &&
	       size - 1 <= last - phys;
}
EXPORT_SYMBOL_GPL(iommu_kdump_is_old_ram);

static bool __maybe_unused memory_is_encrypted(void)
{
	KUNIT_STATIC_STUB_REDIRECT(memory_is_encrypted);
	return cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT);
}

/* Memory that a kernel has written as its own, and that is not ours */
static void *map_ram(phys_addr_t phys, u64 size)
{
#ifdef ioremap_encrypted
	/* memremap() takes it for memory that firmware has written, in plain text */
	if (memory_is_encrypted())
		return (void __force *)ioremap_encrypted(phys, size);
#endif
	return memremap(phys, size, MEMREMAP_WB);
}

/**
 * iommu_kdump_map_old() - Map a table of the crashed kernel
 * @phys: Physical address
 * @size: bytes, at least one. What a table has need not be the size of a page of
 *        this kernel, nor of the crashed one.
 *
 * Context: May sleep. To be undone by iommu_kdump_unmap_old().
 *
 * Return: the mapping, which is for reading only; -EUCLEAN if not all of it is
 * RAM of the crashed kernel, -ENOMEM.
 */
const void *iommu_kdump_map_old(phys_addr_t phys, u64 size)
{
	const void *vaddr;

	if (!iommu_kdump_is_old_ram(phys, size))
		return ERR_PTR(-EUCLEAN);

	if (IS_ENABLED(CONFIG_KUNIT) && oldmem_ops)
		return oldmem_ops->map(phys, size);

	vaddr = map_ram(phys, size);
	return vaddr ?: ERR_PTR(-ENOMEM);
}
EXPORT_SYMBOL_GPL(iommu_kdump_map_old);

/**
 * iommu_kdump_unmap_old() - Undo iommu_kdump_map_old()
 * @vaddr: What iommu_kdump_map_old() returned
 *
 * Context: May sleep.
 */
void iommu_kdump_unmap_old(const void *vaddr)
{
	if (IS_ENABLED(CONFIG_KUNIT) && oldmem_ops)
		oldmem_ops->unmap(vaddr);
	else
		memunmap((void *)vaddr);
}
EXPORT_SYMBOL_GPL(iommu_kdump_unmap_old);

/**
 * iommu_kdump_read_old() - Read a few words of a table of the crashed kernel
 * @phys: Physical address of the first one, a multiple of 8
 * @size: Of a page of the table in bytes, a power of two. All of the page has to be
 *        RAM of the crashed kernel, and the words do not cross its end.
 * @val: Filled in
 * @nr: Number of words, of 64 bits each
 *
 * Context: May sleep.
 *
 * Return: 0, or why the page cannot be mapped, see iommu_kdump_map_old().
 */
int iommu_kdump_read_old(phys_addr_t phys, u64 size, u64 *val, unsigned int nr)
{
	const void *page;
	const u64 *src;
	unsigned int i;

	page = iommu_kdump_map_old(ALIGN_DOWN(phys, size), size);
	if (IS_ERR(page))
		return PTR_ERR(page);
	src = page + (phys & (size - 1));
	for (i = 0; i < nr; i++)
		val[i] = READ_ONCE(src[i]);
	iommu_kdump_unmap_old(page);
	return 0;
}
EXPORT_SYMBOL_GPL(iommu_kdump_read_old);

/* Sort, drop what is empty, merge what touches or overlaps */
static unsigned int __init normalize(struct range *ranges, unsigned int nr)
{
	unsigned int i, n = 0;

	sort(ranges, nr, sizeof(*ranges), cmp_range, NULL);
	for (i = 0; i < nr; i++) {
		if (ranges[i].start > ranges[i].end)
			continue;
		if (n && (ranges[n - 1].end == U64_MAX ||
			  ranges[i].start <= ranges[n - 1].end + 1))
			ranges[n - 1].end = max(ranges[n - 1].end,
						ranges[i].end);
		else
			ranges[n++] = ranges[i];
	}
	return n;
}

/*
 * Map part of the header, whose bounds come from the header itself. Where memory of the
 * host is encrypted, kexec has written it in plain text, as all that it loads.
 */
static void * __init map_header(u64 size)
{
	u64 last;

	KUNIT_STATIC_STUB_REDIRECT(map_header, size);
	if (check_add_overflow(elfcorehdr_addr, size - 1, &last))
		return NULL;
	return memremap(elfcorehdr_addr, size, MEMREMAP_WB);
}

/* Total size of the header, 0 if it is not one */
static u64 __init header_size(const Elf64_Ehdr *ehdr)
{
	if (memcmp(ehdr->e_ident, ELFMAG, SELFMAG) ||
	    ehdr->e_ident[EI_CLASS] != ELFCLASS64 || ehdr->e_type != ET_CORE ||
	    ehdr->e_phentsize != sizeof(Elf64_Phdr) || !ehdr->e_phnum ||
	    ehdr->e_phnum > MAX_PHNUM || ehdr->e_phoff < sizeof(*ehdr) ||
	    ehdr->e_phoff > SZ_64K)
		return 0;
	return ehdr->e_phoff + (u64)ehdr->e_phnum * sizeof(Elf64_Phdr);
}

static int __init parse_phdrs(const Elf64_Phdr *phdr, unsigned int phnum)
{
	unsigned int i, nr = 0;

	old_ram = kvmalloc_array(phnum, sizeof(*old_ram), GFP_KERNEL);
	if (!old_ram)
		return -ENOMEM;

	for (i = 0; i < phnum; i++) {
		u64 start = phdr[i].p_paddr, end;

		if (phdr[i].p_type != PT_LOAD || !phdr[i].p_memsz ||
		    check_add_overflow(start, phdr[i].p_memsz, &end))
			continue;
		/* Partial pages are not ours to give to anybody */
		start = PAGE_ALIGN(start);
		end = PAGE_ALIGN_DOWN(end);
		if (start >= end)
			continue;
		old_ram[nr].start = start;
		old_ram[nr++].end = end - 1;
	}
	nr_old_ram = normalize(old_ram, nr);
	return nr_old_ram ? 0 : -EUCLEAN;
}

static unsigned int __init add_crash_mem(unsigned int n, u64 start, u64 end)
{
	u64 hole_last;

	/* Below the next range of old RAM: grow the range of this hole */
	if (n) {
		struct range *prev = &crash_mem[n - 1];

		hole_last = last_before_next(old_ram, nr_old_ram, prev->end);
		if (start <= hole_last) {
			prev->end = max(prev->end, end);
			return n;
		}
	}
	crash_mem[n].start = start;
	crash_mem[n].end = end;
	return n + 1;
}

/*
 * Old RAM and crash memory must not overlap; where they do, the header lies or
 * was overwritten, and the crash kernel wins. Its own ranges are in order, and do
 * not touch each other.
 */
static int __init cut_crash_mem(const struct range *own, unsigned int n)
{
	unsigned int i, j, nr_cut = 0;
	struct range *cut;

	crash_mem = kvmalloc_array(n, sizeof(*crash_mem), GFP_KERNEL);
	/* Each range of its own parts one of old RAM at most */
	cut = kvmalloc_array(nr_old_ram + n, sizeof(*cut), GFP_KERNEL);
	if (!crash_mem || !cut) {
		kvfree(cut);
		return -ENOMEM;
	}

	for (i = 0, j = 0; i < nr_old_ram; i++) {
		u64 pos = old_ram[i].start;
		bool to_the_end = false;

		while (j < n && own[j].end < pos)
			j++;
		for (; j < n && own[j].start <= old_ram[i].end; j++) {
			if (own[j].start > pos) {
				cut[nr_cut].start = pos;
				cut[nr_cut++].end = own[j].start - 1;
			}
			/* It may reach into the next one as well */
			to_the_end = own[j].end >= old_ram[i].end;
			if (to_the_end)
				break;
			pos = own[j].end + 1;
		}
		if (!to_the_end) {
			cut[nr_cut].start = pos;
			cut[nr_cut++].end = old_ram[i].end;
		}
	}
	kvfree(old_ram);
	old_ram = cut;
	nr_old_ram = nr_cut;

	for (i = 0; i < n; i++)
		nr_crash_mem = add_crash_mem(nr_crash_mem, own[i].start,
					     own[i].end);
	return nr_old_ram ? 0 : -EUCLEAN;
}

static int __init find_crash_mem(u64 hdr_size)
{
	unsigned int n = 0, nr = 0;
	phys_addr_t start, end;
	struct range *own;
	int ret;
	u64 mi;

	for_each_mem_range(mi, &start, &end)
		nr++;
	own = kvmalloc_array(nr + 1, sizeof(*own), GFP_KERNEL);
	if (!own)
		return -ENOMEM;

	for_each_mem_range(mi, &start, &end) {
		if (n == nr)
			break;
		own[n].start = start;
		own[n++].end = end - 1;
	}
	own[n].start = PAGE_ALIGN_DOWN(elfcorehdr_addr);
	own[n++].end = PAGE_ALIGN(elfcorehdr_addr + hdr_size) - 1;
	ret = cut_crash_mem(own, normalize(own, n));
	kvfree(own);
	return ret;
}

static int __init read_header(void)
{
	Elf64_Ehdr *ehdr;
	void *header;
	int ret = -EUCLEAN;
	u64 size;

	if (elfcorehdr_addr == ELFCORE_ADDR_ERR)
		return -EUCLEAN;
	ehdr = map_header(sizeof(*ehdr));
	if (!ehdr)
		return -ENOMEM;
	size = header_size(ehdr);
	memunmap(ehdr);
	if (!size)
		return -EUCLEAN;

	header = map_header(size);
	if (!header)
		return -ENOMEM;
	ehdr = header;
	/* Mapped again: what was checked may have been overwritten */
	if (header_size(ehdr) == size)
		ret = parse_phdrs(header + ehdr->e_phoff, ehdr->e_phnum);
	memunmap(header);
	return ret ?: find_crash_mem(size);
}

static int __init learn_memory(void)
{
	int ret = read_header();

	if (!ret)
		return 0;
	nr_old_ram = 0;
	nr_crash_mem = 0;
	pr_err("ELF core header at %#llx is unusable (%d): nothing can be inherited, old DMA will be blocked\n",
	       elfcorehdr_addr, ret);
	return ret;
}

/**
 * iommu_kdump_oldmem_init() - Learn which memory the crashed kernel had
 *
 * Called by IOMMU drivers that take over before the initcalls, and by the core
 * in any case. If it fails nothing counts as memory of the crashed kernel: every
 * table is refused and every group starts blocked.
 *
 * Context: May sleep, needs a working page allocator and memblock.
 *
 * Return: 0 on success or if this is not a crash kernel, -EUCLEAN if the ELF
 * core header cannot be right, -ENOMEM.
 */
int __init iommu_kdump_oldmem_init(void)
{
	static bool done __initdata;
	static int ret __initdata;

	if (done || !is_kdump_kernel())
		return ret;
	done = true;
	ret = learn_memory();
	return ret;
}

static int __init oldmem_initcall(void)
{
	iommu_kdump_oldmem_init();
	return 0;
}

/* Before memblock may be discarded */
early_initcall(oldmem_initcall);

#ifdef CONFIG_IOMMU_KDUMP_KUNIT_TEST
#include "oldmem_kunit.c"
#endif
