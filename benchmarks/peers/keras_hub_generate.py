"""KerasHub: `GPT2CausalLM.generate`, greedy, on token ids; weights of its own draw."""

import time

import keras_hub
import numpy as np
import tensorflow as tf
from prompts import prompts_of
from worker import serve

SMALL = {
    "vocabulary_size": 50257,
    "num_layers": 12,
    "num_heads": 12,
    "hidden_dim": 768,
    "intermediate_dim": 3072,
    "max_sequence_length": 1024,
}


def start(job):
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    backbone = keras_hub.models.GPT2Backbone(**SMALL)
    model = keras_hub.models.GPT2CausalLM(backbone, preprocessor=None)
    model.compile(sampler="greedy")
    whole = job.length + job.tokens
    ids = np.zeros((job.prompts, whole), "int32")
    ids[:, : job.length] = prompts_of(job)
    mask = np.zeros_like(ids)
    mask[:, : job.length] = 1

    def run() -> dict:
        began = time.perf_counter()
        inputs = {"token_ids": ids, "padding_mask": mask}
        made = model.generate(inputs, stop_token_ids=None)
        seconds = time.perf_counter() - began
        tokens = np.asarray(made["token_ids"])[:, job.length :]
        return {"seconds": seconds, "ids": tokens.tolist()}

    return run


if __name__ == "__main__":
    serve(start, ["keras", "tensorflow", "keras-hub"])
