/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Crashdump framework of the IOMMU core: tracepoints. Their fields are described in
 * Documentation/iommu/kdump-admin.rst.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM iommu_kdump

#if !defined(__IOMMU_KDUMP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define __IOMMU_KDUMP_TRACE_H

#include <linux/device.h>
#include <linux/iommu-kdump.h>
#include <linux/tracepoint.h>

#include "kdump.h"

TRACE_DEFINE_ENUM(IOMMU_KDUMP_NONE);
TRACE_DEFINE_ENUM(IOMMU_KDUMP_BLOCKED);
TRACE_DEFINE_ENUM(IOMMU_KDUMP_IDENTITY);
TRACE_DEFINE_ENUM(IOMMU_KDUMP_PAGING);

#define show_iommu_kdump_type(type)			\
	__print_symbolic(type,				\
		{ IOMMU_KDUMP_NONE,	"none" },	\
		{ IOMMU_KDUMP_BLOCKED,	"blocked" },	\
		{ IOMMU_KDUMP_IDENTITY,	"identity" },	\
		{ IOMMU_KDUMP_PAGING,	"paging" })

TRACE_DEFINE_ENUM(KDUMP_REFUSED_BAD_ENTRY);
TRACE_DEFINE_ENUM(KDUMP_REFUSED_TARGET);
TRACE_DEFINE_ENUM(KDUMP_REFUSED_REGION);
TRACE_DEFINE_ENUM(KDUMP_REFUSED_WIDTH);

#define show_iommu_kdump_refusal(why)				\
	__print_symbolic(why,					\
		{ KDUMP_REFUSED_BAD_ENTRY,	"bad-entry" },	\
		{ KDUMP_REFUSED_TARGET,		"target" },	\
		{ KDUMP_REFUSED_REGION,		"region" },	\
		{ KDUMP_REFUSED_WIDTH,		"width" })

TRACE_EVENT(iommu_kdump_join,
	TP_PROTO(int group, struct device *dev,
		 const struct iommu_kdump_tables *tables, bool dma, int error),
	TP_ARGS(group, dev, tables, dma, error),
	TP_STRUCT__entry(
		__field(int, group)
		__string(device, dev_name(dev))
		__field(int, type)
		__field(unsigned int, format)
		__field(unsigned int, levels)
		__field(u32, id)
		__field(u64, root)
		__field(bool, dma)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->group = group;
		__assign_str(device);
		__entry->type = tables->type;
		__entry->format = tables->format;
		__entry->levels = tables->levels;
		__entry->id = tables->id;
		__entry->root = tables->root;
		__entry->dma = dma;
		__entry->error = error;
	),
	TP_printk("group=%d device=%s type=%s format=%u levels=%u id=%u root=%#llx dma=%d error=%d",
		  __entry->group, __get_str(device),
		  show_iommu_kdump_type(__entry->type), __entry->format,
		  __entry->levels, __entry->id, __entry->root, __entry->dma,
		  __entry->error)
);

TRACE_EVENT(iommu_kdump_refuse,
	TP_PROTO(int group, u64 iova, u64 phys, u64 size,
		 enum iommu_kdump_refusal why),
	TP_ARGS(group, iova, phys, size, why),
	TP_STRUCT__entry(
		__field(int, group)
		__field(u64, iova)
		__field(u64, phys)
		__field(u64, size)
		__field(int, why)
	),
	TP_fast_assign(
		__entry->group = group;
		__entry->iova = iova;
		__entry->phys = phys;
		__entry->size = size;
		__entry->why = why;
	),
	TP_printk("group=%d iova=%#llx phys=%#llx size=%#llx why=%s",
		  __entry->group, __entry->iova, __entry->phys, __entry->size,
		  show_iommu_kdump_refusal(__entry->why))
);

TRACE_EVENT(iommu_kdump_import,
	TP_PROTO(int group, const struct iommu_kdump_stats *stats, int error),
	TP_ARGS(group, stats, error),
	TP_STRUCT__entry(
		__field(int, group)
		__field(unsigned int, ranges)
		__field(u64, mapped)
		__field(u64, reserved)
		__field(u64, tables)
		__field(u64, new_tables)
		__field(u64, bad)
		__field(u64, refused)
		__field(u64, clipped)
		__field(u64, ns)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->group = group;
		__entry->ranges = stats->ranges;
		__entry->mapped = stats->mapped;
		__entry->reserved = stats->reserved;
		__entry->tables = stats->tables;
		__entry->new_tables = stats->new_tables;
		__entry->bad = stats->bad;
		__entry->refused = stats->refused;
		__entry->clipped = stats->clipped;
		__entry->ns = stats->import_ns;
		__entry->error = error;
	),
	TP_printk("group=%d ranges=%u mapped=%llu reserved=%llu tables=%llu new_tables=%llu bad=%llu refused=%llu clipped=%llu ns=%llu error=%d",
		  __entry->group, __entry->ranges, __entry->mapped,
		  __entry->reserved, __entry->tables, __entry->new_tables,
		  __entry->bad, __entry->refused, __entry->clipped,
		  __entry->ns, __entry->error)
);

TRACE_EVENT(iommu_kdump_attach,
	TP_PROTO(int group, const char *state, int error),
	TP_ARGS(group, state, error),
	TP_STRUCT__entry(
		__field(int, group)
		__string(state, state)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->group = group;
		__assign_str(state);
		__entry->error = error;
	),
	TP_printk("group=%d state=%s error=%d", __entry->group,
		  __get_str(state), __entry->error)
);

TRACE_EVENT(iommu_kdump_block,
	TP_PROTO(int group, const char *reason),
	TP_ARGS(group, reason),
	TP_STRUCT__entry(
		__field(int, group)
		__string(reason, reason)
	),
	TP_fast_assign(
		__entry->group = group;
		__assign_str(reason);
	),
	TP_printk("group=%d reason=\"%s\"", __entry->group, __get_str(reason))
);

TRACE_EVENT(iommu_kdump_release,
	TP_PROTO(int group, u64 ns),
	TP_ARGS(group, ns),
	TP_STRUCT__entry(
		__field(int, group)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->group = group;
		__entry->ns = ns;
	),
	TP_printk("group=%d ns=%llu", __entry->group, __entry->ns)
);

TRACE_EVENT(iommu_kdump_reclaim,
	TP_PROTO(u64 first, u64 last, bool mapped),
	TP_ARGS(first, last, mapped),
	TP_STRUCT__entry(
		__field(u64, first)
		__field(u64, last)
		__field(bool, mapped)
	),
	TP_fast_assign(
		__entry->first = first;
		__entry->last = last;
		__entry->mapped = mapped;
	),
	TP_printk("first=%#llx last=%#llx mapped=%d", __entry->first,
		  __entry->last, __entry->mapped)
);

#endif /* __IOMMU_KDUMP_TRACE_H */

/* This part must be outside protection */
#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH ../../drivers/iommu/kdump
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
