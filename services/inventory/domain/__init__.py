"""What inventory decides, pure: levels, promises and the ledger, without SQL, HTTP or any clock."""
