"""Network classes. The only folder of ``core`` that imports torch at file scope: use it through ``registry.py``."""
