# SPDX-License-Identifier: GPL-2.0
"""The other end of the virtual network cards.

A card is connected to one end of a datagram socket pair, so there is no port
that two runs could quarrel about and nothing that outlives the processes. A
frame of the rig is broadcast, of the experimental type 0x88b5, and its payload is
one 16-byte word over and over: the sender's name and the token of the run.
"""

import socket
import threading

HEADER = b"\xff" * 6 + b"\x02RIG\x00\x01" + b"\x88\xb5"
PAYLOAD = 1024


def marker(sender, token):
    """The word a sender (one letter) fills its frames with."""
    return b"RIG-%c---" % ord(sender) + token.encode()


class Wire:
    """One network card's cable."""

    def __init__(self, token):
        self.token = token
        self.ours, self.qemus = socket.socketpair(socket.AF_UNIX,
                                                  socket.SOCK_DGRAM)
        self.ours.setblocking(False)
        self.sender = None
        self.interval = 0
        self.sent = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def flood(self, sender, per_second):
        """Send frames of this sender from now on; None sends none."""
        self.interval = 1 / per_second if sender else 0
        self.sender = sender

    def close(self):
        self._ended.set()
        self._thread.join()
        self.ours.close()
        self.qemus.close()

    def _work(self):
        while not self._ended.wait(self.interval or 0.02):
            self._drain()
            sender = self.sender
            if not sender:
                continue
            word = marker(sender, self.token)
            try:
                self.ours.send(HEADER + word * (PAYLOAD // len(word)))
                self.sent[sender] = self.sent.get(sender, 0) + 1
            except OSError:
                pass        # no room: the card does not take any frames now

    def _drain(self):
        # what the guest sends is of no interest, but must not pile up
        try:
            while self.ours.recv(4096):
                pass
        except OSError:
            pass
