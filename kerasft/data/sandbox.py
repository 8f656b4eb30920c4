"""Run the chat template of a checkpoint, which may come from anyone, without harm.

Jinja's immutable sandbox keeps a template from Python's inside. What it does not bound
is bounded here: steps of loops, calls, and how long a text or a number may grow. The
marks `{% generation %}` and `{% endgeneration %}` around the assistant's words can be
made visible, to be looked for in the text.

The names and settings are those that the reference gives a template: a template that
needs others would not work there either.

Source: render_jinja_template of huggingface/transformers 5.23, for names and settings.
"""

import json
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from kerasft._errors import CheckpointError, DataError

STEPS = 1_000_000
LONGEST = 4_000_000  # characters, or items of a list
BITS = 4096
MARKS = "generation_marks"  # name of the pair of strings put around the marked text

_left = ContextVar("steps left")


class _Exhausted(Exception):
    """A template that goes on and on."""


class _Bounded(CodeGenerator):
    """Compiles loops and joined texts so that they are counted."""

    def visit_For(self, node, frame):  # noqa: N802 - Jinja's name
        node.iter = _call("counted", [node.iter], node)
        super().visit_For(node, frame)

    def visit_Concat(self, node, frame):  # noqa: N802 - Jinja's name
        self.visit(_call("joined", node.nodes, node), frame)


def _call(name, arguments, node):
    method = nodes.EnvironmentAttribute(name)
    call = nodes.Call(method, arguments, [], None, None, lineno=node.lineno)
    call.set_environment(node.environment)
    return call


class _Sandbox(ImmutableSandboxedEnvironment):
    code_generator_class = _Bounded
    intercepted_binops = frozenset(["+", "*", "**"])

    def counted(self, values):
        """The values, one by one, each a step."""
        for value in values:
            _step()
            yield value

    def joined(self, *parts):
        """Texts put together by `~`."""
        texts = [str(part) for part in parts]
        _raise_if_long(sum(map(len, texts)))
        return "".join(texts)

    def call(__self, __context, __obj, *args, **kwargs):  # noqa: N805 - Jinja's names
        """Count a call, and do it."""
        _step()
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context, operator, left, right):
        """Do `left` + `right` and the like, if the result is not too long."""
        if operator == "+" and isinstance(left, str | list | tuple):
            _raise_if_long(len(left) + len(right))
        for one, other in ((left, right), (right, left)):
            if operator == "*" and isinstance(one, str | list | tuple):
                _raise_if_long(len(one) * other)
        if isinstance(left, int) and isinstance(right, int) and operator != "+":
            bits = right if operator == "**" else right.bit_length()
            if left.bit_length() * max(bits, 1) > BITS**2 or bits > BITS:
                raise _Exhausted("a number of thousands of digits")
        return super().call_binop(context, operator, left, right)


def _step():
    left = _left.get()
    left[0] -= 1
    if left[0] < 0:
        raise _Exhausted(f"more than {STEPS:,} steps")


def _raise_if_long(length):
    if length > LONGEST:
        raise _Exhausted(f"a text of {length:,} characters")


class _GenerationMarks(Extension):
    """`{% generation %}`: the text as it is, or between two marks."""

    tags = {"generation"}

    def parse(self, parser):
        """Take the block for a call of `marked`."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("marked", [nodes.ContextReference()])
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def marked(self, context, caller):
        """What stands in the block."""
        marks = context.parent.get(MARKS)
        return f"{marks[0]}{caller()}{marks[1]}" if marks else caller()


class _OpenNamespace(Namespace):
    """Jinja's `namespace`, whose names do not begin with an underscore."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name in dict(*args, **kwargs):
            _raise_if_hidden(name)

    def __setitem__(self, name, value):
        _raise_if_hidden(name)
        super().__setitem__(name, value)


def _raise_if_hidden(name):
    if str(name).startswith("_"):
        raise SecurityError(f"the name {name!r} in a namespace")


def _make_dict(*args, **kwargs):
    return dict(*args, **kwargs)


def _raise(message):
    raise TemplateError(message)


def _to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    """JSON as it is; Jinja's own would escape what HTML needs escaped."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _now(pattern):
    return datetime.now().strftime(pattern)


@lru_cache(maxsize=16)
def compiled(source: str):
    """The template of a checkpoint, ready to be run by `run`.

    Raises:
        CheckpointError: it is no Jinja template.
    """
    sandbox = _Sandbox(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_GenerationMarks, "jinja2.ext.loopcontrols"],
    )
    sandbox.filters["tojson"] = _to_json
    sandbox.globals |= {
        "raise_exception": _raise,
        "strftime_now": _now,
        "dict": _make_dict,
        "namespace": _OpenNamespace,
    }
    try:
        return sandbox.from_string(source)
    except (TemplateSyntaxError, RecursionError) as error:
        raise CheckpointError(
            f"The chat template cannot be read ({error}). Copy tokenizer_config.json, "
            "or chat_template.jinja, again from where the checkpoint came."
        ) from error


def run(source: str, variables: dict) -> str:
    """The text that a template makes of variables, which are plain values.

    Raises:
        CheckpointError: no template, or one that does what none should.
        DataError: the template refuses these variables.
    """
    template = compiled(source)
    token = _left.set([STEPS])
    try:
        return template.render(variables)
    except (SecurityError, _Exhausted, RecursionError, MemoryError) as error:
        told = str(error) or type(error).__name__
        raise CheckpointError(
            f"The chat template does what none should ({told}). Do not use this "
            "checkpoint's template."
        ) from error
    except Exception as error:  # A template may do anything wrong that Python can.
        raise DataError(
            f"The chat template does not take these messages: {error}. Expected are "
            "messages of the roles that it knows, in their order."
        ) from error
    finally:
        _left.reset(token)
