# SPDX-License-Identifier: GPL-2.0
"""Host side of the kdump tests of the IOMMU core, see ../README."""
