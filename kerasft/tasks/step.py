"""Which train step a task uses: ours on TensorFlow and on JAX, Keras' own elsewhere."""

import keras

BACKEND = keras.backend.backend()
if BACKEND == "tensorflow":
    from kerasft.tasks.replicas_tensorflow import refuse_foreign_clipping
    from kerasft.tasks.step_tensorflow import (
        TrainStep,
        as_data,
        batches_of,
        prepared,
    )
elif BACKEND == "jax":
    from kerasft.tasks.step_jax import (
        TrainStep,
        as_data,
        batches_of,
        prepared,
        refuse_foreign_clipping,
    )
else:
    from kerasft.tasks.step_keras import (
        TrainStep,
        as_data,
        batches_of,
        prepared,
        refuse_foreign_clipping,
    )

__all__ = [
    "TrainStep",
    "as_data",
    "batches_of",
    "prepared",
    "refuse_foreign_clipping",
]
