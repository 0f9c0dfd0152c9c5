"""Many studies: an engine of workers, and what a batch and a service do with it. Knows ``core`` and ``mrml`` only.

Importing these modules is light: the core is imported once a study is planned.
"""
