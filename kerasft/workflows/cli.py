"""The command line: `kerasft COMMAND`, flags and recipes alike.

Exit codes: 0; 2 for what the user can mend, with one message; 3 for a worker whose
fellows are lost; 130 for Ctrl-C, 143 for SIGTERM. Any other error is a defect and keeps
its traceback. Nothing heavy is imported before a
command runs.
"""

import json
import os
import sys
import warnings
from argparse import ArgumentError
from importlib import import_module

from jsonargparse import ArgumentParser

import kerasft
from kerasft._errors import KerasftError, SettingsError
from kerasft.workflows import COMMANDS
from kerasft.workflows.console import ERRORS
from kerasft.workflows.flags import parser_of, readable, settings_from
from kerasft.workflows.quiet import without_remarks

BACKENDS = ("tensorflow", "jax", "torch", "numpy", "openvino")
LOST = 3
LOST_ERRORS = ("UnavailableError", "AbortedError", "DeadlineExceededError")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and give its exit code.

    Args:
        arguments: what follows the program's name; None: `sys.argv`.
    """
    try:
        # TensorFlow's chatter would bury what we print.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        without_remarks()
        if arguments is None:  # As a program; a caller has its own way.
            warnings.showwarning = _warn
        _raise_unless_known(os.environ.get("KERAS_BACKEND") or BACKENDS[0])
        name, settings = parse(arguments)
        function, _ = _load(name)
        function(settings)
    except ArgumentError as error:
        return _complain(f"{readable(error)}\nSee kerasft COMMAND --help.")
    except KerasftError as error:
        return _complain(error)
    except KeyboardInterrupt:
        ERRORS.print("Interrupted.")
        return 130
    except Exception as error:
        if not _is_of_a_lost_worker(error):
            raise
        reason = _reason(error)
        ERRORS.print(
            f"kerasft: another worker was lost ({reason[:200]}). Started again, all go "
            "on from the last snapshot, or from the beginning if there is none yet."
        )
        ERRORS.file.flush()
        os._exit(LOST)  # The usual end would wait for the others.
    return 0


def _raise_unless_known(backend):
    if backend not in BACKENDS:
        raise SettingsError(
            f"KERAS_BACKEND is {backend!r}; Keras knows {', '.join(BACKENDS)}."
        )


def _reason(error):
    """The last line of a message that is not about TensorFlow's graph."""
    lines = [line.strip() for line in str(error).splitlines()]
    idle = ("[[", "(", "The error could be from a previous operation")
    told = [line for line in lines if line and not line.startswith(idle)]
    return told[-1] if told else "no reason told"


def _is_of_a_lost_worker(error):
    """Whether this process is one of several and cannot reach the others."""
    kind = type(error).__name__
    aborted = kind == "InternalError" and "Collective ops is aborted" in str(error)
    return "TF_CONFIG" in os.environ and (kind in LOST_ERRORS or aborted)


def parse(arguments: list[str] | None = None):
    """The command that is asked for, and its settings.

    Raises:
        ArgumentError: unknown or missing flags, values of the wrong type.
        KerasftError: values that are out of bounds.
    """
    parser = ArgumentParser(
        prog="kerasft",
        exit_on_error=False,
        description=kerasft.__doc__.split("\n")[0],
        epilog="Example: kerasft finetune --checkpoint bert-base-uncased "
        "--train train.csv --text review --label stars --out saved_models/reviews",
    )
    parser.add_argument(
        "--version", action="version", version=f"kerasft {kerasft.__version__}"
    )
    commands = parser.add_subcommands(dest="command", metavar="COMMAND")
    for name in COMMANDS:
        function, settings = _load(name)
        about = function.__doc__.split("\n")[0]
        typed = name.replace("_", "-")
        usage = f"kerasft {typed} [--config RECIPE] [flags]"
        parser_of_command = parser_of(settings, usage=usage, description=about)
        commands.add_subcommand(typed, parser_of_command, help=about)
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if given[:1] == ["launch"] and "--" in given:
        place = given.index("--")
        given[place:] = ["--command", json.dumps(given[place + 1 :])]
    elif given[:1] == ["launch"] and not {"--help", "-h", "--config"} & set(given):
        raise SettingsError(
            "launch is told after -- what each worker runs: kerasft launch "
            "--workers 2 -- finetune ..."
        )
    parsed = parser.parse_args(_spelled_out(given))
    name = parsed.command.replace("-", "_")
    _, settings = _load(name)
    return name, settings_from(settings, parsed[parsed.command])


def _spelled_out(arguments):
    """`--peft lora` as `--peft.method lora`: --peft.rank can stand beside it."""
    found = []
    for argument, following in zip(arguments, [*arguments, ""][1:], strict=True):
        name, equals, value = argument.partition("=")
        if name == "--peft" and "null" not in (value, following):
            argument = "--peft.method" + equals + value
        found.append(argument)
    return found


def _load(name):
    """Function and settings class of a command."""
    place, settings = COMMANDS[name]
    module = vars(import_module(place))
    return module[name], module[settings]


def _warn(message, category, filename, lineno, file=None, line=None):
    """Show a warning as a line, without the code that it comes from."""
    if issubclass(category, UserWarning):
        ERRORS.print(f"kerasft: warning: {message}")
    else:
        ERRORS.print(f"{filename}:{lineno}: {category.__name__}: {message}")


def _complain(message):
    ERRORS.print(f"kerasft: error: {message}")
    return 2
