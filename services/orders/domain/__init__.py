"""What orders decide: pure functions over values, without database, HTTP or clock."""
