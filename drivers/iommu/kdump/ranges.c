// SPDX-License-Identifier: GPL-2.0-only
/*
 * Crashdump framework of the IOMMU core: lists of ranges
 */

#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "kdump.h"

/**
 * iommu_kdump_add_range() - Add a range behind the last one of a list
 * @ranges: the list
 * @first: first IOVA, not below what is in the list
 * @last: last IOVA
 *
 * Context: May sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int iommu_kdump_add_range(struct iommu_kdump_ranges *ranges, u64 first,
			  u64 last)
{
	if (ranges->nr == ranges->max) {
		unsigned int max = ranges->max ? ranges->max * 2 : 16;
		struct iommu_kdump_range *r;

		r = kvrealloc(ranges->r, array_size(max, sizeof(*r)),
			      KDUMP_GFP);
		if (!r)
			return -ENOMEM;
		ranges->r = r;
		ranges->max = max;
	}
	ranges->r[ranges->nr].first = first;
	ranges->r[ranges->nr++].last = last;
	return 0;
}

/**
 * iommu_kdump_free_ranges() - Empty a list of ranges
 * @ranges: the list
 */
void iommu_kdump_free_ranges(struct iommu_kdump_ranges *ranges)
{
	kvfree(ranges->r);
	memset(ranges, 0, sizeof(*ranges));
}

static int cmp_kdump_range(const void *a, const void *b)
{
	const struct iommu_kdump_range *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return 0;
}

/**
 * iommu_kdump_merge_ranges() - Put ranges in order, without overlaps
 * @ranges: in any order
 */
void iommu_kdump_merge_ranges(struct iommu_kdump_ranges *ranges)
{
	unsigned int i, n = 0;

	sort(ranges->r, ranges->nr, sizeof(*ranges->r), cmp_kdump_range, NULL);
	for (i = 1; i < ranges->nr; i++) {
		if (ranges->r[i].first <= ranges->r[n].last)
			ranges->r[n].last = max(ranges->r[n].last,
						ranges->r[i].last);
		else
			ranges->r[++n] = ranges->r[i];
	}
	if (ranges->nr)
		ranges->nr = n + 1;
}

/**
 * iommu_kdump_find_below() - Look a range up
 * @ranges: in ascending order
 * @addr: where to look
 *
 * Context: Any.
 *
 * Return: index of the last range that starts at or below @addr, -1 if there is none.
 */
int iommu_kdump_find_below(const struct iommu_kdump_ranges *ranges, u64 addr)
{
	int lo = 0, hi = ranges->nr;

	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;

		if (ranges->r[mid].first <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

/**
 * iommu_kdump_ranges_contain() - Is all of some ranges in others?
 * @ranges: in ascending order, without overlaps
 * @part: the ones that are looked for
 *
 * Context: Any.
 *
 * Return: true if it is.
 */
bool iommu_kdump_ranges_contain(const struct iommu_kdump_ranges *ranges,
				const struct iommu_kdump_ranges *part)
{
	unsigned int i;
	u64 pos;
	int at;

	for (i = 0; i < part->nr; i++) {
		for (pos = part->r[i].first; pos <= part->r[i].last;
		     pos = ranges->r[at].last + 1) {
			at = iommu_kdump_find_below(ranges, pos);
			if (at < 0 || ranges->r[at].last < pos)
				return false;
			if (ranges->r[at].last == U64_MAX)
				break;
		}
	}
	return true;
}

/**
 * iommu_kdump_insert_ranges() - Add ranges between those that are there
 * @ranges: in ascending order, with room for as many more
 * @more: in ascending order, nothing of it is in @ranges
 *
 * Context: Any.
 */
void iommu_kdump_insert_ranges(struct iommu_kdump_ranges *ranges,
			       const struct iommu_kdump_ranges *more)
{
	unsigned int to = ranges->nr + more->nr, a = ranges->nr, b = more->nr;

	ranges->nr = to;
	while (b) {
		if (a && ranges->r[a - 1].first > more->r[b - 1].first)
			ranges->r[--to] = ranges->r[--a];
		else
			ranges->r[--to] = more->r[--b];
	}
}
