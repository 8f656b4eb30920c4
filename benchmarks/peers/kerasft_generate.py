"""kerasft: `CausalLM.generate_ids`, greedy."""

import time

import tensorflow as tf
from prompts import prompts_of
from worker import serve

import kerasft as kft


def start(job):
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    task = kft.CausalLM.from_pretrained(job.checkpoint)
    prompts = prompts_of(job)

    def run() -> dict:
        began = time.perf_counter()
        made = task.generate_ids(prompts, max_new_tokens=job.tokens)
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "ids": [text for (text,) in made]}

    return run


if __name__ == "__main__":
    serve(start, ["keras", "tensorflow"])
