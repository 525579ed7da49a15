"""What an experiment and a job are, and what all experiments have in common."""

from localbook.experiments.harness.changes import changed as changed
from localbook.experiments.harness.changes import differences as differences
from localbook.experiments.harness.changes import label as label
from localbook.experiments.harness.changes import plain as plain
from localbook.experiments.harness.job import Experiment as Experiment
from localbook.experiments.harness.job import Job as Job
from localbook.experiments.harness.job import Outcome as Outcome
from localbook.experiments.harness.job import Samples as Samples
from localbook.experiments.harness.job import Setting as Setting
from localbook.experiments.harness.job import Split as Split
from localbook.experiments.harness.trials import TUNING_SEED as TUNING_SEED
from localbook.experiments.harness.trials import each_seed as each_seed
from localbook.experiments.harness.trials import fewer_images as fewer_images
from localbook.experiments.harness.trials import rounded as rounded
from localbook.experiments.harness.trials import seed_by_seed as seed_by_seed
from localbook.experiments.harness.trials import significant as significant
from localbook.experiments.harness.trials import tune as tune
from localbook.experiments.harness.trials import with_threads_that_pay as with_threads_that_pay
from localbook.experiments.harness.unfinished import rows_once as rows_once
from localbook.experiments.harness.unfinished import tensors_once as tensors_once
