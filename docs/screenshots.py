"""Screenshots of every TensorBoard panel, from a small search and a run with all on.

Command   python docs/screenshots.py
Minutes   about 17 on two busy cores, downloads left out
Expected  docs/tensorboard-*.png, 10 of them

Needs a Chromium with its driver, Selenium and the Profile tab (on Debian: apt-get
install chromium chromium-driver; pip install selenium tensorboard-plugin-profile).
`--logs FOLDER` takes logs that are there.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from kerasft.training.board import serve

HERE = Path(__file__).parent.resolve()
sys.path.insert(0, str(HERE.parent / "examples"))
WAIT = 8  # seconds until a panel has drawn itself
ONE_RUN = "regexInput=^best"
OUTLIERS, PARALLEL = "Ignore outliers in chart scaling", "Parallel Coordinates View"
# Name of the picture -> address of the tab, height in pixels, what is clicked there.
PANELS = {
    "time-series": ("timeseries", 1000, None),
    "scalars": (f"scalars&{ONE_RUN}&_smoothingWeight=0", 3300, OUTLIERS),
    "images": (f"images&{ONE_RUN}", 2600, None),
    "text": (f"text&{ONE_RUN}", 1800, None),
    "pr-curves": (f"pr_curves&{ONE_RUN}", 1500, None),
    "histograms": (f"histograms&{ONE_RUN}", 1300, None),
    "distributions": (f"distributions&{ONE_RUN}", 1300, None),
    "hparams-table": ("hparams", 700, None),
    "hparams-parallel": ("hparams", 1300, PARALLEL),
    "profile": ("profile", 1300, None),
}
# Parts of TensorBoard stand in shadow trees, which plain selectors do not enter.
ALL = """
function* all(root) {
  for (const one of root.querySelectorAll("*")) {
    yield one;
    if (one.shadowRoot) yield* all(one.shadowRoot);
  }
}
"""
OPEN = """
for (const one of all(document))
  if (one.localName == "tf-category-paginated-view") one.opened = true;
"""
CLICK = """
for (const one of all(document)) {
  const clicked = ["paper-tab", "paper-checkbox"].includes(one.localName);
  if (clicked && one.textContent.trim().toLowerCase() == arguments[0]) {
    one.click();
    return true;
  }
}
return false;
"""


def make_logs(folder):
    """A search of four trials over film sentences, and a run with histograms.

    In a folder that has some of it already, the rest.
    """
    import real_inputs
    import search as example

    import kerasft as kft
    from kerasft.workflows import cli

    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # So that no path of this machine is in the pictures.
    if not Path("minilm").exists():
        shutil.copytree(real_inputs.minilm_folder(), "minilm")
        example.write_files(Path("data"), 1200)
    settings = kft.FinetuneSettings(
        checkpoint="minilm",
        train="data/train.csv",
        validation="data/valid.csv",
        text="text",
        label="mood",
        max_length=32,
        epochs=3,
        monitor="val_accuracy",
        out="search",
        tensorboard="logs/search",
    )
    if not Path("search/best.yaml").exists():
        kft.search(settings, example.SPACE, trials=4)
    if not Path("best/metrics.json").exists():
        command = "finetune --config search/best.yaml --histograms --profile [5,8]"
        if cli.main([*command.split(), "--out", "best", "--tensorboard", "logs/best"]):
            sys.exit(1)
    return Path("logs")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--logs", type=Path, help="logs to show; default: made anew")
    parser.add_argument(
        "--work", type=Path, help="where to make them; default: nowhere"
    )
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args(arguments)
    out = options.out.resolve()

    from selenium import webdriver

    chosen = webdriver.ChromeOptions()
    for flag in ("headless=new", "no-sandbox", "hide-scrollbars"):
        chosen.add_argument(f"--{flag}")
    with tempfile.TemporaryDirectory() as place:
        address = serve(options.logs or make_logs(options.work or Path(place)), port=0)
        browser = webdriver.Chrome(options=chosen)
        try:
            for name, (tab, height, click) in PANELS.items():
                browser.set_window_size(1400, height)
                browser.get("about:blank")
                browser.get(f"{address}#{tab}")
                time.sleep(WAIT)
                if click and not browser.execute_script(ALL + CLICK, click.lower()):
                    sys.exit(f"TensorBoard has no tab {click!r} in {tab}.")
                browser.execute_script(ALL + OPEN)
                time.sleep(WAIT)
                browser.save_screenshot(str(out / f"tensorboard-{name}.png"))
                print(f"tensorboard-{name}.png")
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
