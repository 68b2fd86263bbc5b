"""A small service: notes. It shows the shape that every service has, and lets the shell be tested for real."""
