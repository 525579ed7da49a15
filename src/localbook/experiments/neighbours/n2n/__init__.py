"""N2N: every student of a teacher is trained, and searches are judged in the tables of them."""

from localbook.experiments.neighbours.n2n.searches import N2N
from localbook.experiments.neighbours.n2n.students import N2N_STUDENTS

EXPERIMENTS = {"n2n": N2N, "n2n-students": N2N_STUDENTS}
