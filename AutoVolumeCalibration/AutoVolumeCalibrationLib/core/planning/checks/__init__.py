"""May the plan be trusted, and if not, what should the user do: one function for each check, one file for each subject.

A function returns at most one finding. Limits of what the model shows are the model's own
(``detection.model_limits``); those here are of the geometry of scouts and heads, and of how well a plan must be known.
Levels: a warning asks the user to review something, an error says that the plan must not be used unchanged.
"""
