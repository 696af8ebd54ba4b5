# SPDX-License-Identifier: GPL-2.0
# Two network cards that are functions of one device: one group, and a requester ID for
# each. The crash kernel drives card A only; card B, which nobody resets, goes on writing
# received frames through whatever the translation of the group is by then.

card_a=0000:00:03.0
card_b=0000:00:03.1
same_wire=same_wire

. /scenarios/two_cards.sh
