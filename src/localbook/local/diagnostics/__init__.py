"""What the modules of a trained network have learned, and what they tell each other."""

from localbook.local.diagnostics.alignment import Alignment as Alignment
from localbook.local.diagnostics.alignment import ErrorBudget as ErrorBudget
from localbook.local.diagnostics.alignment import Telescope as Telescope
from localbook.local.diagnostics.alignment import alignment as alignment
from localbook.local.diagnostics.alignment import error_budget as error_budget
from localbook.local.diagnostics.alignment import telescope as telescope
from localbook.local.diagnostics.conditions import ccgp as ccgp
from localbook.local.diagnostics.conditions import inherited as inherited
from localbook.local.diagnostics.conditions import parallelism as parallelism
from localbook.local.diagnostics.discord import Discord as Discord
from localbook.local.diagnostics.discord import accuracy as accuracy
from localbook.local.diagnostics.discord import discord as discord
from localbook.local.diagnostics.early_exit import EarlyExit as EarlyExit
from localbook.local.diagnostics.early_exit import early_exit as early_exit
from localbook.local.diagnostics.probes import activations as activations
from localbook.local.diagnostics.probes import linear_probe as linear_probe
from localbook.local.diagnostics.similarity import Matching as Matching
from localbook.local.diagnostics.similarity import linear_cka as linear_cka
from localbook.local.diagnostics.similarity import match_neurons as match_neurons
