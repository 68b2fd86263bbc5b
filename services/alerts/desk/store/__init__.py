"""SQL of the desk: in and out, domain values."""
