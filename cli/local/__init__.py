"""What `opswire up` needs to run the whole platform on one machine: a private database, supervised processes."""
