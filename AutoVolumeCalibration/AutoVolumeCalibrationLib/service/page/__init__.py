"""The web page of the day: queue, plans, and what the user decides about them. It works without JavaScript."""
