"""A site's habit of planning, learnt from its archive: what it is, which exams differ, and the protocol of it."""
