"""A new anatomy: its landmarks before anybody measured them, its first protocol, the tissues of its label maps."""
