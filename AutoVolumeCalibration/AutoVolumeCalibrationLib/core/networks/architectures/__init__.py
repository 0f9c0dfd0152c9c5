"""Network classes. The only folder of ``core`` that imports torch at file scope: reach it through ``networks.py``."""
