"""SavedModels of hidden words, of choices, of labels in words and of doubtful answers.

That they give what the task gives is shown, without kerasft, by test_every_export.py.
"""

import keras
import numpy as np
import pytest
from tensorflow_or_skip import tf
from tiny_tasks import tiny_choices, tiny_masked, tiny_questions, tiny_rows

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.serving import choice_signatures, mask_graph
from kerasft.serving.verify import VerificationError
from kerasft.tasks import exporting


@pytest.fixture(scope="module", autouse=True)
def little_proof():
    """Fewer texts to verify on; the proof itself is tested in tests/serving."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "VERIFIED_FUZZ", 50)
        yield


def made(kind, folder, **options):
    keras.utils.set_random_seed(1)
    task = kind.from_pretrained(folder, **options)
    for weight in task.trainable_weights:
        weight.assign_add(keras.random.normal(weight.shape, 0, 0.2))
    return task


def serving(folder):
    return tf.saved_model.load(str(folder)).signatures["serving_default"]


@pytest.fixture(scope="module")
def guesser(folder):
    return made(kft.MaskedLM, folder, max_length=16)


@pytest.fixture(scope="module")
def guesses(guesser, tmp_path_factory):
    place = tmp_path_factory.mktemp("guesser")
    # One row is longer than the model takes.
    rows = kft.from_lists([*tiny_masked(12).texts(), "good film " * 30])
    guesser.export(place / "made", rows, top=3)
    return serving(place / "made")


def test_texts_may_have_unlike_numbers_of_masks(guesses, guesser):
    texts = ["a [MASK] film [MASK]", "no gap", "[MASK]"]
    served = {key: value.numpy() for key, value in guesses(text=texts).items()}
    assert served["masks"].tolist() == [2, 0, 1]
    assert served["token"].shape == served["score"].shape == (3, 2, 3)
    for row, text in ((0, texts[0]), (2, texts[2])):
        (told,) = guesser.predict_text([text], top=3)
        for place, best in enumerate(told):
            found = [token.decode() for token in served["token"][row, place]]
            assert found == [one["token"] for one in best]
    assert set(served["token"][1].ravel()) == {b""}
    assert served["score"][1].max() == served["score"][2, 1].max() == 0
    assert guesses(text=["none"])["token"].shape == (1, 0, 3)
    assert guesses(text=tf.constant([], tf.string))["token"].shape == (0, 0, 3)


def test_a_mask_that_would_be_cut_off_is_refused(guesses):
    fitting = "a " * 13 + "[MASK]"
    assert guesses(text=[fitting])["masks"].numpy() == [1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="than the 16 tokens"):
        guesses(text=["a " + fitting])


@pytest.mark.parametrize("top", [0, 102])
def test_there_are_not_so_many_tokens_to_tell(top, guesser, tmp_path):
    with pytest.raises(SettingsError, match=f"top is {top}; give 1 to 101"):
        guesser.export(tmp_path / "made", top=top)


def test_a_graph_that_takes_a_mask_for_text_is_never_written(
    guesser, tmp_path, monkeypatch
):
    split = tf.strings.split
    monkeypatch.setattr(
        mask_graph.tf.strings, "split", lambda text, mask: split(text, "[mask]")
    )
    with pytest.raises(VerificationError, match="tokenizer graph differs"):
        guesser.export(tmp_path / "made", tiny_masked(12))
    assert list(tmp_path.iterdir()) == []


def test_a_chooser_that_cuts_the_choice_is_never_written(folder, tmp_path, monkeypatch):
    task = made(kft.MultipleChoice, folder, max_length=16)
    monkeypatch.setattr(
        choice_signatures,
        "_beginnings",
        lambda ragged, rows, _: tf.gather(ragged, rows),
    )
    with pytest.raises(VerificationError, match="differs from the task on"):
        task.export(tmp_path / "made", tiny_choices(12))
    assert list(tmp_path.iterdir()) == []


def test_sentences_that_follow_are_served_by_name(folder, tmp_path):
    labels = ("contradiction", "entailment")
    task = made(kft.TextClassifier, folder, labels=labels, max_length=16)
    classifier = kft.ZeroShotClassifier(task, ("sport", "news"), multi_label=True)
    classifier.export(tmp_path / "made", tiny_rows(12))
    texts = tiny_rows(20, seed=1).texts()
    served = serving(tmp_path / "made")(text=texts)
    scores = classifier.scores(texts)
    np.testing.assert_allclose(served["scores"], scores, atol=1e-5)
    np.testing.assert_array_equal(served["chosen"], scores >= 0.5)
    names = (tmp_path / "made" / "assets" / "labels.txt").read_text()
    assert names == "sport\nnews\n"
    classifier.labels = ("a\nb", "news")
    with pytest.raises(SettingsError, match="one a line"):
        classifier.export(tmp_path / "x")


def half_answered(task, count=24):
    """Questions of which half have an answer: those of which the task doubts least."""
    rows = tiny_questions(count)
    doubts = [one.doubts[0] for one in task.predict_rows(rows)]
    answers = [
        {"text": one["answer"], "start": one["start"]} if doubt < middle else []
        for middle in [np.median(doubts)]
        for doubt, one in zip(doubts, task.answer_rows(rows), strict=True)
    ]
    asked = (rows.column(name) for name in ("question", "context"))
    return kft.from_questions(*asked, answers)


def test_no_answer_is_served_where_the_tuned_threshold_says_so(folder, tmp_path):
    task = made(kft.QuestionAnswerer, folder, max_length=32)
    rows = half_answered(task)
    assert task.tune_threshold(rows)["exact"] == 1
    task.export(tmp_path / "made", rows)  # Verified on the rows it was tuned on.
    asked = {name: rows.column(name) for name in ("question", "context")}
    served = [
        one.decode() for one in serving(tmp_path / "made")(**asked)["answer"].numpy()
    ]
    assert served == [some[0] if some else "" for some in rows.accepted]
    assert served.count("") == 12
