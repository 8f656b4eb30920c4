"""Ask SavedModels in a process that has TensorFlow and tensorflow_text alone."""

import json
import subprocess
import sys
import textwrap

PROGRAM = """
    import json, sys
    import tensorflow as tf, tensorflow_text

    def plain(value):
        if isinstance(value, list):
            return [plain(one) for one in value]
        return value.decode() if isinstance(value, bytes) else value

    before, answers = set(sys.modules), {}
    for name, (folder, given) in json.loads(sys.stdin.read()).items():
        serve = tf.saved_model.load(folder).signatures["serving_default"]
        served = serve(**{key: tf.constant(side) for key, side in given.items()})
        served = {key: one.numpy().tolist() for key, one in served.items()}
        answers[name] = {key: plain(column) for key, column in served.items()}
    # TensorFlow brings a part of Keras itself; no more of it may be wanted.
    later = {m for m in set(sys.modules) - before if m.split(".")[0] == "keras"}
    names = {name.split(".")[0] for name in sys.modules}
    later |= names & {"kerasft", "transformers", "tokenizers", "torch", "safetensors"}
    print(json.dumps({"answers": answers, "strangers": sorted(later)}))
"""


def ask(asked) -> dict[str, dict[str, list]]:
    """What SavedModels answer.

    Args:
        asked: name -> (folder, {input: strings}).

    Returns:
        Name -> {output: nested lists}, strings decoded; and under "stderr" what was
        complained of.
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        input=json.dumps(
            {name: (str(folder), given) for name, (folder, given) in asked.items()}
        ),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["strangers"] == []
    return told["answers"] | {"stderr": done.stderr}
