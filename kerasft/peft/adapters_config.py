"""What a config of the `adapters` library means, and how a method is told in one.

The trap: many of its fields together select a formula. Each formula here has one value
of each; every other is refused by the field's name.

Source: adapters 1.3.0, `BnConfig`.
"""

import math

from kerasft._errors import CheckpointError

# Fields of a `BnConfig` whose one value the formulas here cover.
ONLY = {
    "adapter_residual_before_ln": False,
    "cross_adapter": False,
    "inv_adapter": None,
    "ln_after": False,
    "ln_before": False,
    "original_ln_after": True,
    "phm_layer": False,
    "residual_before_ln": True,
    "stochastic_depth": 0.0,
    "use_gating": False,
}
# Those that then mean nothing; as the library writes them.
IDLE = {
    "factorized_phm_W": True,
    "factorized_phm_rule": False,
    "hypercomplex_nonlinearity": "glorot-uniform",
    "init_weights_seed": None,
    "inv_adapter_reduction_factor": None,
    "learn_phm": True,
    "phm_bias": True,
    "phm_c_init": "normal",
    "phm_dim": 4,
    "phm_init_range": 0.0001,
    "phm_rank": 1,
    "shared_W_phm": False,
    "shared_phm_rule": True,
}
# Where the adapters stand and what they are given; absent: the library's own default.
FORM = {
    "mh_adapter": None,
    "output_adapter": None,
    "is_parallel": False,
    "original_ln_before": False,
}


def is_theirs(content):
    """Whether an `adapter_config.json` is the library's, and not peft's."""
    return (
        isinstance(content, dict) and "config" in content and "peft_type" not in content
    )


def has_form(content, form):
    """Whether the adapters of a config stand where a method's do, and see the same."""
    config = content["config"]
    return all(config.get(name, FORM[name]) == form[name] for name in form)


def check(content, path):
    """Refuse a config that is no bottleneck adapter's.

    Args:
        content: the parsed JSON.
        path: where it came from, for messages.

    Raises:
        CheckpointError: it is another kind's, or too old to be sure what it means.
    """
    config = content["config"]
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: config is {config!r:.60}, not an object.")
    if config.get("architecture"):
        raise CheckpointError(
            f"{path}: it is a {config['architecture']!r} of the adapters library, of "
            "which kerasft reads bottleneck adapters alone. Make it with peft."
        )
    if "version" not in content:
        raise CheckpointError(
            f"{path}: no version is told; before there was one, 'gelu' meant another "
            "function. Load and save the adapter with a newer release of the library."
        )
    absent = [n for n in ("reduction_factor", "non_linearity") if config.get(n) is None]
    if absent:
        raise CheckpointError(f"{path}: config does not tell {', '.join(absent)}.")


def unknown_form(content):
    """What to say of adapters that stand, or see, as no method has it."""
    told = {name: content["config"].get(name, usual) for name, usual in FORM.items()}
    return (
        f"bottleneck adapters of {told}: kerasft has those of Houlsby (double_seq_bn), "
        "Pfeiffer (seq_bn) and He (par_bn)."
    )


def settings(content):
    """Settings of a `BottleneckMethod` that a config means.

    Raises:
        CheckpointError: it asks for another formula.
    """
    config = content["config"]
    _refuse_others(config)
    return {
        "reduction_factor": config["reduction_factor"],
        "activation": str(config["non_linearity"]).lower(),
        "scaling": config.get("scaling", 1.0),
        "dropout": config.get("dropout", 0.0),
        "leave_out": tuple(config.get("leave_out") or ()),
        "init": config.get("init_weights", "bert"),
    }


def _refuse_others(config):
    known = {*ONLY, *IDLE, *FORM, "reduction_factor", "non_linearity", "scaling"}
    known |= {"dropout", "leave_out", "init_weights", "architecture"}
    wrong = [
        f"{name} is {config[name]!r} (known: {only!r})"
        for name, only in ONLY.items()
        if config.get(name, only) != only
    ]
    wrong += [f"{name} is set" for name in sorted(set(config) - known) if config[name]]
    if wrong:
        raise CheckpointError(
            f"adapter_config.json: {'; '.join(wrong)}, which is another formula, that "
            "kerasft does not know. Make the adapter without it."
        )


def config_of(method, adapter):
    """The fields of a `BnConfig` for a method."""
    factor = method.reduction_factor
    if method.width is not None:
        factor = factor_for(adapter.places.backbone.config.hidden_size, method.width)
    scaling = method.scaling
    return {
        **ONLY,
        **IDLE,
        **method.form,
        "reduction_factor": factor,
        "non_linearity": method.activation,
        "scaling": scaling if isinstance(scaling, str) else float(scaling),
        "dropout": float(method.dropout),
        "leave_out": list(method.leave_out),
        "init_weights": method.init,
    }


def factor_for(size, narrow):
    """A factor f for which size // f is `narrow`."""
    factor = size / narrow
    if factor.is_integer():
        return int(factor)
    return factor if size // factor == narrow else math.nextafter(factor, 0.0)
