"""What every test may ask for. The fixtures themselves live in tests/support."""
