"""A program in the place of a trial: it trains nothing, and is quick."""

# A trial in a twentieth of a second: the farther from 1e-2 and 16, the greater.
FAKE = """
import json, math, os, sys, time
from pathlib import Path
place = Path(sys.argv[1])
values = json.loads((place / "values.json").read_text())
time.sleep(float(os.environ.get("SLOWLY", 0)))
rate, size = values.get("learning_rate", 1e-2), values.get("batch_size", 16)
if size == 8 and os.environ.get("KILLED"):
    os.kill(os.getpid(), int(os.environ["KILLED"]))
if os.environ.get("REFUSED"):
    told = {"reason": os.environ["REFUSED"], "refused": True, "seconds": 1.0}
    (place / "result.json").write_text(json.dumps(told))
    sys.exit()
if size == 8 and os.environ.get("SAID"):
    sys.exit(os.environ["SAID"])
(place / "model.safetensors").write_text("weights")
score = abs(math.log10(rate) + 2) + abs(size - 16) / 100
result = {"score": score, "epoch": 1, "metrics": {}, "seconds": 1.0}
with open(os.environ["DIARY"], "a") as diary:
    diary.write(json.dumps(values) + chr(10))
(place / "result.json").write_text(json.dumps(result))
"""
