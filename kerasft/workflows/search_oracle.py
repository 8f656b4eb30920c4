"""KerasTuner's oracles: which values a search tries next; the one file that knows it.

The trap: KerasTuner writes its files in place, and its grid forgets where it was; both
are mended here, so that a search that is killed at any moment goes on.
"""

import itertools
import json
import shutil
import tempfile
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from kerasft._errors import SettingsError
from kerasft.workflows import run_folder
from kerasft.workflows.search_cluster import keep_at_work

ORACLE = "oracle"


def oracle_of(settings, declare, sign, folder):
    """KerasTuner's oracle, as it was where the search goes on, and its tuner.

    Raises:
        SettingsError: `declare` tells of another space than before.
    """
    oracle = _new(settings, sign)
    tuner = _tuner(oracle, declare, folder)
    tuner.save = lambda: None  # Else it would not ask for the space when it goes on.
    if not oracle.get_space().space:
        raise SettingsError("The space is empty: its function asks `hp` for nothing.")
    path = folder / ORACLE / "oracle.json"
    if path.exists():
        _reload(oracle, path)
    return oracle, tuner


def client_of(settings, declare, sign):
    """What asks the chief that the environment names, in place of an oracle."""
    with tempfile.TemporaryDirectory() as place:  # The chief's folder is its own.
        return _tuner(_new(settings, sign), declare, place).oracle


def _tuner(oracle, declare, folder):
    import keras_tuner

    with redirect_stdout(StringIO()):
        return keras_tuner.engine.base_tuner.BaseTuner(
            oracle, hypermodel=declare, directory=str(folder), project_name=ORACLE
        )


def _new(settings, sign):
    import keras_tuner

    kinds = {
        "random": keras_tuner.oracles.RandomSearchOracle,
        "grid": _grid(keras_tuner),
        "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
        "hyperband": keras_tuner.oracles.HyperbandOracle,
    }
    options = {
        "objective": keras_tuner.Objective(
            settings.monitor, "max" if sign > 0 else "min"
        ),
        "seed": settings.seed + 1,  # 0 would be a random one.
        "max_consecutive_failed_trials": 10**9,
    }
    if settings.algorithm == "hyperband":
        options["max_epochs"] = settings.epochs
    oracle = _kept(kinds[settings.algorithm])(**options)
    oracle.max_trials = settings.trials
    oracle.verbose = 0
    return oracle


def values_of(trial) -> dict:
    """What people are told of a trial: setting -> value."""
    values = trial.hyperparameters.values
    told = {name: v for name, v in values.items() if not name.startswith("tuner/")}
    if "tuner/epochs" in values:
        told["epochs"] = values["tuner/epochs"]
    return told


def _reload(oracle, path):
    asked = oracle.get_space().get_config()["space"]
    known = json.loads(path.read_text("utf-8"))
    for place in path.parent.glob("trial_*"):  # Begun, but not yet in its list.
        if place.name.removeprefix("trial_") not in known["start_order"]:
            shutil.rmtree(place)
    oracle.reload()
    keep_at_work(oracle, known["ongoing_trials"])
    # In their order, on which the last digits of a Gaussian process depend.
    oracle.trials = {name: oracle.trials[name] for name in oracle.start_order}
    if oracle.get_space().get_config()["space"] != json.loads(json.dumps(asked)):
        raise SettingsError(
            f"{path.parents[1]} holds a search of another space. Give the same, or "
            "choose another folder."
        )


def _kept(kind):
    """The kind of oracle, with files that are whole at any moment."""

    class Kept(kind):
        def save(self):
            self._write(Path(self._project_dir) / "oracle.json", self.get_state())

        def _save_trial(self, trial):
            place = Path(self._get_trial_dir(trial.trial_id))
            self._write(place / "trial.json", trial.get_state())

        def _write(self, path, state):
            run_folder.write_text(path, json.dumps(state))

        def populate_space(self, trial_id):
            if hasattr(self, "_random_state"):
                # Else a Gaussian process would draw anew what it drew before a kill.
                self._random_state.seed(self.seed + len(self.trials))
            with warnings.catch_warnings():
                # Its process does not settle on few points, which is no news.
                warnings.simplefilter("ignore")
                return super().populate_space(trial_id)

    return Kept


def _grid(keras_tuner):
    """All values, the last setting's first; KerasTuner's own forgets where it was."""

    class Grid(keras_tuner.Oracle):
        @property
        def size(self):
            return sum(1 for _ in self._combinations())

        def populate_space(self, trial_id):
            for values in self._combinations():
                if not self._duplicate(values):
                    return {"status": "RUNNING", "values": values}
            return {"status": "STOPPED", "values": None}

        def _combinations(self):
            """Values of the parameters that are active by the others."""
            space = self.hyperparameters.space
            told = set()
            for chosen in itertools.product(*(tuple(one.values) for one in space)):
                hp = keras_tuner.HyperParameters()
                for one, value in zip(space, chosen, strict=True):
                    hp.merge([one])
                    if hp.is_active(one):
                        hp.values[one.name] = value
                key = json.dumps(hp.values)
                if key not in told:
                    told.add(key)
                    yield hp.values

    return Grid
