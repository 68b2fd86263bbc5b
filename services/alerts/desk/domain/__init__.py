"""What the desk decides, pure: service hours, policies, the log of a conversation, its clocks."""
