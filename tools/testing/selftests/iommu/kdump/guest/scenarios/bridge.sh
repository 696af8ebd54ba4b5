# SPDX-License-Identifier: GPL-2.0
# Two network cards behind a PCIe-to-PCI bridge have one requester ID, so one
# translation. The crash kernel drives card A only; card B, which nobody resets,
# goes on writing received frames through whatever that translation is by then.

card_a=0000:01:01.0
card_b=0000:01:02.0

. /scenarios/two_cards.sh
