"""The service desk: conversations and their clocks, complaints, reviews (SRV-1 to SRV-8)."""
