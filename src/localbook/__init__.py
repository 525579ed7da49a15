"""localbook: local learning with gradient reconciliation, and tropical geometry of ReLU networks.

Importing the package is cheap and imports no torch; import what you need by name::

    from localbook import data, runs
    from localbook.local import SGR, isolate
"""

__version__ = "0.1.0"
