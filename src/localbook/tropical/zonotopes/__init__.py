"""Zonotopes."""

from localbook.tropical.zonotopes.exact import exact_vertices as exact_vertices
from localbook.tropical.zonotopes.hausdorff import farthest as farthest
from localbook.tropical.zonotopes.hausdorff import hausdorff as hausdorff
from localbook.tropical.zonotopes.hausdorff import paired_bound as paired_bound
from localbook.tropical.zonotopes.hull import ZonotopeHull as ZonotopeHull
from localbook.tropical.zonotopes.hull import hull_of_zonotopes as hull_of_zonotopes
from localbook.tropical.zonotopes.labels import keys as keys
from localbook.tropical.zonotopes.labels import random_marks as random_marks
from localbook.tropical.zonotopes.patterns import activation_patterns as activation_patterns
from localbook.tropical.zonotopes.patterns import most_patterns as most_patterns
from localbook.tropical.zonotopes.patterns import sampled_patterns as sampled_patterns
from localbook.tropical.zonotopes.representations import halfspaces as halfspaces
from localbook.tropical.zonotopes.representations import reduce_order as reduce_order
from localbook.tropical.zonotopes.space import cross as cross
from localbook.tropical.zonotopes.zonotope import Zonotope as Zonotope
