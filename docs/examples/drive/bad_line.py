"""A line to a server that somebody can cut: what goes in at one port comes out at another, as long as nobody does."""

from twisted.protocols.portforward import ProxyFactory


class BadLine(ProxyFactory):
    noisy = False

    def __init__(self, port):
        super().__init__("localhost", port)
        self.ends = set()

    def buildProtocol(self, address):
        end = super().buildProtocol(address)
        self.ends.add(end)
        return end

    def cut(self):
        """Whatever is connected is so no more. Who connects again finds a line that works."""
        for end in self.ends:
            end.transport.abortConnection()
        self.ends.clear()
