"""Which layers targets mean, and what is said when they mean none."""

import pytest
from adapted_models import FAMILIES, loaded, peft, saved_base, targets_of, with_peft

import kerasft as kft
from kerasft.layers.dense import Dense, Embedding


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    theirs = saved_base(request.param, folder)
    return request.param, folder, theirs, loaded(folder)._stack.places


def names_of(places, targets, **options):
    return [p.theirs for p in places.chosen(targets, (Dense, Embedding), **options)]


def pefts_places(folder, model_class, targets):
    config = peft.LoraConfig(task_type="SEQ_CLS", target_modules=targets)
    adapted = with_peft(model_class.from_pretrained(folder), config)
    ends = ".lora_A.default.weight"
    names = [n.removesuffix(ends) for n, _ in adapted.named_parameters() if ends in n]
    return [name.removeprefix("base_model.model.") for name in names]


def test_names_of_hugging_face_mean_what_peft_takes_them_for(model):
    family, folder, theirs, places = model
    targets = targets_of(family)
    wanted = pefts_places(folder, type(theirs), targets)
    assert sorted(names_of(places, targets)) == sorted(wanted)
    assert sorted(names_of(places, "attention")) == sorted(wanted)


def test_all_linear_means_what_peft_takes_it_for(model):
    family, folder, theirs, places = model
    found = names_of(places, "all-linear")
    if family == "distilbert":  # peft raises a TypeError; ours leaves the labels' out.
        assert len(found) == 2 * 6
        assert not any(name.endswith("classifier") for name in found)
        return
    wanted = pefts_places(folder, type(theirs), "all-linear")
    assert sorted(found) == sorted(wanted)


def test_a_pattern_is_fitted_to_the_whole_name_in_either_spelling(model):
    _, _, _, places = model
    assert names_of(places, r"block_1/.*_proj") and names_of(places, r".*\b1\b.*")
    with pytest.raises(kft.KerasftError, match="fits no layer"):
        names_of(places, "proj")


def test_blocks_and_exclusions_narrow_the_choice(model):
    _, _, _, places = model
    whole = names_of(places, "attention-all")
    first = names_of(places, "attention-all", layers=(0,))
    assert len(first) == len(whole) // 2
    rest = names_of(places, "attention-all", exclude=("o_proj",))
    assert 0 < len(rest) < len(whole)


def test_a_name_that_fits_nothing_is_told_with_all_names_there_are(model):
    _, _, _, places = model
    with pytest.raises(kft.KerasftError) as error:
        names_of(places, ("v_porj", "mlp"))
    message = str(error.value)
    assert "v_porj" in message and "attention-all" in message
    assert all(name in message for name in ("o_proj", "down_proj", "token_embedding"))


def test_a_pattern_that_is_none_is_told(model):
    with pytest.raises(kft.KerasftError, match="no regular expression"):
        names_of(model[3], "attention(")
