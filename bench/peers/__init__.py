"""What stands beside us: limits (a raw echo), and the same work as it is usually written."""
