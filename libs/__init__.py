"""What the services share: how they talk (`events`) and how they run (`service`)."""
