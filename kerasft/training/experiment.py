"""What TensorBoard's HParams tab is told of a search: its settings and its score.

Without it the tab takes every number of every run for a score, and shows the first few.
The trap: TensorFlow's own writer would take a GPU's memory in the process that starts
the trials, so this goes through TensorBoard's, which needs no device.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams_summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

TYPES = {
    bool: api_pb2.DATA_TYPE_BOOL,
    int: api_pb2.DATA_TYPE_FLOAT64,
    float: api_pb2.DATA_TYPE_FLOAT64,
}


def write_experiment(folder: Path, settings: Mapping, score: str):
    """Write it above the runs, once.

    Args:
        folder: of all runs; theirs are below it.
        settings: name -> a value of its type.
        score: tag of the score in the runs that have settings.
    """
    if folder.exists() and any(folder.glob("*tfevents*")):
        return
    columns = [
        api_pb2.HParamInfo(
            name=name, type=TYPES.get(type(value), api_pb2.DATA_TYPE_STRING)
        )
        for name, value in settings.items()
    ]
    metric = api_pb2.MetricInfo(name=api_pb2.MetricName(tag=score))
    summary = hparams_summary.experiment_pb(columns, [metric])
    writer = EventFileWriter(str(folder))
    event = Event(wall_time=time.time())
    event.summary.ParseFromString(summary.SerializeToString())  # Of another class.
    writer.add_event(event)
    writer.close()
