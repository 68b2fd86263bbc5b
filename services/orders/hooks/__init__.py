"""Other shops' webhooks: whose they are (`signatures.py`), and what each kind says, as news of an order (D53). Pure."""
