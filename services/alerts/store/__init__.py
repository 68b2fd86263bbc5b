"""SQL in, domain values out."""
