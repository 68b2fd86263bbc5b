"""How services talk: contracts, codec, bus, outbox, consumer."""
